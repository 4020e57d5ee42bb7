/*
 * What the tests of the way to Redis share: a loop, the door with everything it says written down, and servers that say
 * what a test tells them to. All on one loop and in one thread, so that a test decides what has happened.
 */
#ifndef SHUNT_TESTS_REDIS_SUPPORT_H
#define SHUNT_TESTS_REDIS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <hiredis/hiredis.h>

#include "proxy/redis.h"
#include "proxy/redis_link.h"

enum {
    RULES_MOST = 16,
    CONNS_MOST = 64,
    NOTES_MOST = 4096,
    ANSWERS_MOST = 256,
    PATIENCE_MS = 30 * 1000,
};

/* ---- a server that plays ---- */

struct rule {
    const char *command; /* how it begins, words parted by a space */
    const char *reply;   /* NULL: none */
    int times;           /* how often; 0: always */
    bool closes;         /* afterwards */
};

struct fake {
    struct evconnlistener *listener;
    struct event_base *base;
    uint16_t port;
    const char *greeting; /* said at once; NULL: nothing */
    struct rule rules[RULES_MOST];
    int used[RULES_MOST];
    size_t rule_count;
    char notes[NOTES_MOST]; /* commands, each with a ';' behind it */
    struct fake_conn {
        struct fake *fake;
        struct bufferevent *stream; /* NULL: gone */
        redisReader *reader;
    } conns[CONNS_MOST];
    size_t conn_count;
};

/* The answers of a good server; a test's rules come first. */
static const struct rule fake_manners[] = {
    {"HELLO", "%1\r\n$5\r\nproto\r\n:3\r\n", 0, false},
    {"AUTH", "+OK\r\n", 0, false},
    {"CLIENT", "+OK\r\n", 0, false},
    {"SELECT", "+OK\r\n", 0, false},
    {"ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", 0, false},
    {"PING", "+PONG\r\n", 0, false},
    {"SUBSCRIBE", ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n", 0, false},
    {"ASKING", "+OK\r\n", 0, false},
    {"EVAL", "$4\r\ndone\r\n", 0, false},
};

static inline void fake_drop(struct fake_conn *conn)
{
    if (conn->stream == NULL)
        return;
    bufferevent_free(conn->stream);
    redisReaderFree(conn->reader);
    conn->stream = NULL;
}

static inline void fake_say(struct fake_conn *conn, const struct rule *rule)
{
    size_t length = rule->reply != NULL ? strlen(rule->reply) : 0;
    if (!rule->closes && length > 0)
        bufferevent_write(conn->stream, rule->reply, length);
    if (!rule->closes)
        return;
    assert_int_equal(write(bufferevent_getfd(conn->stream), rule->reply, length), length); /* before the end */
    fake_drop(conn);
}

static inline void fake_answer(struct fake_conn *conn, const char *command)
{
    struct fake *fake = conn->fake;
    for (size_t i = 0; i < fake->rule_count; i++) {
        const struct rule *rule = &fake->rules[i];
        if (strncmp(command, rule->command, strlen(rule->command)) != 0 ||
            (rule->times > 0 && fake->used[i] >= rule->times))
            continue;
        fake->used[i]++;
        fake_say(conn, rule);
        return;
    }
    for (size_t i = 0; i < sizeof(fake_manners) / sizeof(fake_manners[0]); i++) {
        if (strncmp(command, fake_manners[i].command, strlen(fake_manners[i].command)) == 0) {
            fake_say(conn, &fake_manners[i]);
            return;
        }
    }
}

static inline void fake_on_readable(struct bufferevent *stream, void *context)
{
    struct fake_conn *conn = context;
    struct evbuffer *input = bufferevent_get_input(stream);
    size_t length = evbuffer_get_length(input);
    redisReaderFeed(conn->reader, (char *)evbuffer_pullup(input, -1), length);
    evbuffer_drain(input, length);
    void *got;
    while (conn->stream != NULL && redisReaderGetReply(conn->reader, &got) == REDIS_OK && got != NULL) {
        redisReply *reply = got;
        char command[512] = "";
        for (size_t i = 0; i < reply->elements; i++)
            snprintf(command + strlen(command), sizeof(command) - strlen(command), "%s%s", i > 0 ? " " : "",
                     reply->element[i]->str);
        freeReplyObject(reply);
        size_t noted = strlen(conn->fake->notes);
        snprintf(conn->fake->notes + noted, NOTES_MOST - noted, "%s;", command);
        fake_answer(conn, command);
    }
}

static inline void fake_on_end(struct bufferevent *stream, short what, void *context)
{
    (void)stream, (void)what;
    fake_drop(context);
}

static inline void fake_on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                                  int length, void *context)
{
    (void)listener, (void)from, (void)length;
    struct fake *fake = context;
    assert_true(fake->conn_count < CONNS_MOST);
    struct fake_conn *conn = &fake->conns[fake->conn_count++];
    conn->fake = fake;
    conn->reader = redisReaderCreate();
    conn->stream = bufferevent_socket_new(fake->base, fd, BEV_OPT_CLOSE_ON_FREE);
    assert_non_null(conn->stream);
    bufferevent_setcb(conn->stream, fake_on_readable, NULL, fake_on_end, conn);
    bufferevent_enable(conn->stream, EV_READ | EV_WRITE);
    if (fake->greeting != NULL)
        bufferevent_write(conn->stream, fake->greeting, strlen(fake->greeting));
}

static inline void fake_open(struct fake *fake, struct event_base *base)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(to);
    memset(fake, 0, sizeof(*fake));
    fake->base = base;
    fake->listener = evconnlistener_new_bind(base, fake_on_accept, fake, LEV_OPT_CLOSE_ON_FREE, 64,
                                             (struct sockaddr *)&to, sizeof(to));
    assert_non_null(fake->listener);
    assert_int_equal(getsockname(evconnlistener_get_fd(fake->listener), (struct sockaddr *)&to, &length), 0);
    fake->port = ntohs(to.sin_port);
}

static inline void fake_rule(struct fake *fake, const char *command, const char *reply, int times)
{
    assert_true(fake->rule_count < RULES_MOST);
    fake->rules[fake->rule_count++] = (struct rule){command, reply, times, false};
}

static inline void fake_closes(struct fake *fake, const char *command, const char *reply, int times)
{
    fake_rule(fake, command, reply, times);
    fake->rules[fake->rule_count - 1].closes = true;
}

static inline void fake_drop_all(struct fake *fake)
{
    for (size_t i = 0; i < fake->conn_count; i++)
        fake_drop(&fake->conns[i]);
    fake->conn_count = 0;
}

static inline void fake_close(struct fake *fake)
{
    fake_drop_all(fake);
    if (fake->listener != NULL)
        evconnlistener_free(fake->listener);
    fake->listener = NULL;
}

static inline unsigned fake_noted(const struct fake *fake, const char *command)
{
    unsigned count = 0;
    for (const char *at = strstr(fake->notes, command); at != NULL; at = strstr(at + 1, command))
        count++;
    return count;
}

/* ---- the door ---- */

struct door {
    struct event_base *base;
    struct config_redis config;
    struct config_redis_host hosts[4];
    struct redis *redis;
    unsigned ready, lost, messages, answers;
    enum redis_fault fault; /* of the last loss */
    char why[256], message[256];
    char events[NOTES_MOST]; /* names, each with a ';' behind it */
    struct {
        uint64_t ticket;
        enum redis_fault fault;
        char text[256];
        size_t length;
    } answer[ANSWERS_MOST];
    bool within_ask;
    struct event *guard;
    bool late;
};

static inline void door_on_ready(void *context)
{
    struct door *door = context;
    assert_true(redis_is_ready(door->redis));
    door->ready++;
}

static inline void door_on_lost(void *context, enum redis_fault fault, const char *why)
{
    struct door *door = context;
    struct redis_facts facts;
    assert_false(redis_is_ready(door->redis));
    redis_facts(door->redis, &facts);
    assert_int_equal(facts.queued, 0);
    door->lost++;
    door->fault = fault;
    snprintf(door->why, sizeof(door->why), "%s", why);
}

static inline void door_on_message(void *context, const char *payload, size_t length)
{
    struct door *door = context;
    door->messages++;
    snprintf(door->message, sizeof(door->message), "%.*s", (int)length, payload);
}

static inline void door_on_event(void *context, bool bad, const char *what, json_t *fields)
{
    struct door *door = context;
    (void)bad;
    assert_non_null(fields);
    size_t noted = strlen(door->events);
    snprintf(door->events + noted, sizeof(door->events) - noted, "%s;", what);
    json_decref(fields);
}

static inline void door_on_answer(void *context, uint64_t ticket, const struct redis_answer *answer)
{
    struct door *door = context;
    assert_false(door->within_ask);
    assert_true(door->answers < ANSWERS_MOST);
    assert_int_equal(answer->text[answer->length], '\0');
    door->answer[door->answers].ticket = ticket;
    door->answer[door->answers].fault = answer->fault;
    door->answer[door->answers].length = answer->length;
    snprintf(door->answer[door->answers].text, sizeof(door->answer[0].text), "%s", answer->text);
    door->answers++;
}

static inline void door_on_guard(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    ((struct door *)context)->late = true;
}

/* Configured for a standalone server on this port; nothing is connected before door_knock(). */
static inline void door_init(struct door *door, uint16_t port)
{
    signal(SIGPIPE, SIG_IGN);
    memset(door, 0, sizeof(*door));
    door->base = event_base_new();
    door->guard = evtimer_new(door->base, door_on_guard, door);
    door->hosts[0] = (struct config_redis_host){.host = "127.0.0.1", .port = port};
    door->config = (struct config_redis){
        .url = "redis://", .hosts = door->hosts, .host_count = 1, .group = "g", .replica = "r", .timeout_ms = 1000};
}

static inline void door_knock(struct door *door, const char *script)
{
    const struct redis_hooks hooks = {.context = door,
                                      .on_ready = door_on_ready,
                                      .on_lost = door_on_lost,
                                      .on_message = door_on_message,
                                      .on_event = door_on_event};
    door->redis = redis_new(door->base, &door->config, script, "shunt:{g}:news", &hooks);
    assert_non_null(door->redis);
}

static inline void door_close(struct door *door)
{
    redis_free(door->redis);
    event_free(door->guard);
    event_base_free(door->base);
}

static inline enum redis_fault door_ask(struct door *door, uint64_t ticket, const char *document)
{
    static const char *const keys[] = {"shunt:{g}:state", "shunt:{g}:lease"};
    const struct redis_question question = {.keys = keys,
                                            .key_count = 2,
                                            .operation = "beat",
                                            .document = document,
                                            .answered = door_on_answer,
                                            .context = door,
                                            .ticket = ticket};
    door->within_ask = true;
    enum redis_fault fault = redis_ask(door->redis, &question);
    door->within_ask = false;
    return fault;
}

/* Runs the loop until the condition holds; fails when it does not for very long. */
#define door_until(door, condition)                                                                                    \
    do {                                                                                                               \
        struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};                                                      \
        (door)->late = false;                                                                                          \
        evtimer_add((door)->guard, &patience);                                                                         \
        while (!(condition) && !(door)->late)                                                                          \
            event_base_loop((door)->base, EVLOOP_ONCE);                                                                \
        if (!(condition))                                                                                              \
            print_error("events: %s why: %s\n", (door)->events, (door)->why);                                          \
        assert_true(condition);                                                                                        \
        evtimer_del((door)->guard);                                                                                    \
    } while (0)

static inline struct redis_facts door_facts(const struct door *door)
{
    struct redis_facts facts;
    redis_facts(door->redis, &facts);
    return facts;
}

/* ---- both ---- */

enum {
    LONG_MS = 20000, /* longer than this machine may take */
    SHORT_MS = 250,  /* what is waited for to the end; a slow machine can only make it come earlier */
};

struct table {
    struct door door;
    struct fake fake;
};

static inline void open_table(struct table *table)
{
    door_init(&table->door, 0);
    fake_open(&table->fake, table->door.base);
    table->door.hosts[0].port = table->fake.port;
    table->door.config.timeout_ms = LONG_MS;
}

static inline void close_table(struct table *table)
{
    fake_close(&table->fake);
    door_close(&table->door);
}

#endif
