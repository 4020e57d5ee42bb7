/*
 * One connection to Redis: see redis_link.h. On the loop of who opened it; blocks nowhere.
 *
 * A non-blocking connect(), then a libevent bufferevent, with OpenSSL's filter in it for TLS. What comes in goes
 * through redis_resp and then hiredis's reader. Everything that may call a hook runs between enter() and leave(): who
 * is told may close the connection at once, and it is freed when the last of us is through.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/ssl.h>

#include "proxy/endpoint.h"
#include "proxy/redis_fault.h"
#include "proxy/redis_link_inside.h"
#include "proxy/redis_tls.h"

enum {
    WHY_ROOM = 256,
};

uint64_t redis_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t now_ms(void)
{
    return redis_now_us() / 1000;
}

/* ---- the end ---- */

static void wipe(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

static void forget_sent(struct redis_link *link)
{
    while (link->first != NULL) {
        struct redis_sent *sent = link->first;
        link->first = sent->next;
        free(sent);
    }
    link->last = &link->first;
}

static void destroy(struct redis_link *link)
{
    if (link->writable != NULL)
        event_free(link->writable);
    if (link->clock != NULL)
        event_free(link->clock);
    if (link->stream != NULL)
        bufferevent_free(link->stream);
    if (link->ssl != NULL)
        SSL_free(link->ssl);
    if (link->fd >= 0)
        close(link->fd);
    if (link->reader != NULL)
        redisReaderFree(link->reader);
    forget_sent(link);
    free(link->host);
    free(link->channel);
    wipe(link->username);
    wipe(link->password);
    free(link);
}

static void enter(struct redis_link *link)
{
    link->busy++;
}

static void leave(struct redis_link *link)
{
    if (--link->busy == 0 && link->is_closed)
        destroy(link);
}

static bool is_over(const struct redis_link *link)
{
    return link->is_closed || link->is_down;
}

void redis_link_close(struct redis_link *link)
{
    if (link == NULL)
        return;
    link->is_closed = true;
    if (link->busy == 0)
        destroy(link);
}

void redis_link_fail(struct redis_link *link, enum redis_fault fault, const char *format, ...)
{
    char why[WHY_ROOM];
    if (is_over(link))
        return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    link->is_down = true;
    if (link->stream != NULL)
        bufferevent_disable(link->stream, EV_READ | EV_WRITE);
    evtimer_del(link->clock);
    enter(link);
    link->hooks.on_down(link->hooks.context, fault, why);
    leave(link);
}

/* ---- time ---- */

/* What happens next if nothing else does; 0: nothing. */
static uint64_t next_due_ms(const struct redis_link *link)
{
    if (link->connect_due_ms != 0)
        return link->connect_due_ms;
    if (link->first != NULL)
        return link->first->due_ms;
    return link->is_up && link->ping_ms != 0 ? link->heard_ms + link->ping_ms : 0;
}

static void arm(struct redis_link *link)
{
    uint64_t due_ms = next_due_ms(link), now = now_ms();
    if (is_over(link))
        return;
    if (due_ms == 0) {
        evtimer_del(link->clock);
        return;
    }
    uint64_t wait_ms = due_ms > now ? due_ms - now : 0;
    struct timeval after = {.tv_sec = (time_t)(wait_ms / 1000), .tv_usec = (suseconds_t)(wait_ms % 1000) * 1000};
    evtimer_add(link->clock, &after);
}

static void on_pong(void *context, const redisReply *reply)
{
    struct redis_link *link = context;
    if (reply->type == REDIS_REPLY_ERROR)
        redis_link_fail(link, redis_meaning_of(reply->str).fault, "%s", reply->str);
}

static void ping(struct redis_link *link)
{
    static const char *words[] = {"PING"};
    if (!redis_link_send(link, 1, words, NULL, on_pong, link))
        redis_link_fail(link, REDIS_FAULT_CLOSED, "no memory");
}

static void on_clock(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct redis_link *link = context;
    uint64_t now = now_ms(), due_ms = next_due_ms(link);
    enter(link);
    if (is_over(link) || due_ms == 0 || due_ms > now)
        ; /* it was answered in the same round */
    else if (link->connect_error != 0)
        redis_link_fail(link, REDIS_FAULT_CONNECT, "%s", strerror(link->connect_error));
    else if (link->connect_due_ms != 0)
        redis_link_fail(link, REDIS_FAULT_TIMEOUT, "no connection within %llu ms",
                        (unsigned long long)link->timeout_ms);
    else if (link->first != NULL)
        redis_link_fail(link, REDIS_FAULT_TIMEOUT, "no answer to %s within %llu ms", link->first->what,
                        (unsigned long long)link->timeout_ms);
    else
        ping(link);
    arm(link);
    leave(link);
}

/* ---- answers ---- */

static bool is_array_of(const redisReply *reply, const char *first, size_t elements)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == elements &&
           reply->element[0]->type == REDIS_REPLY_STRING && strcasecmp(reply->element[0]->str, first) == 0;
}

static bool take_message(struct redis_link *link, const redisReply *reply)
{
    if (link->channel == NULL || !is_array_of(reply, "message", 3) || reply->element[2]->type != REDIS_REPLY_STRING)
        return false;
    if (link->is_up)
        link->hooks.on_message(link->hooks.context, reply->element[2]->str, reply->element[2]->len);
    return true;
}

static void take_reply(struct redis_link *link, const redisReply *reply)
{
    struct redis_sent *sent = link->first;
    if (take_message(link, reply))
        return;
    if (sent == NULL) {
        if (reply->type == REDIS_REPLY_ERROR) /* "max number of clients reached" */
            redis_link_fail(link, redis_meaning_of(reply->str).fault, "%s", reply->str);
        else
            redis_link_fail(link, REDIS_FAULT_PROTOCOL, "an answer that nobody asked for");
        return;
    }
    link->first = sent->next;
    if (link->first == NULL)
        link->last = &link->first;
    struct redis_sent answered = *sent;
    free(sent);
    answered.answered(answered.context, reply);
}

static void take_replies(struct redis_link *link)
{
    while (!is_over(link)) {
        void *reply = NULL;
        if (redisReaderGetReply(link->reader, &reply) != REDIS_OK) {
            redis_link_fail(link, REDIS_FAULT_PROTOCOL, "%s", link->reader->errstr);
            return;
        }
        if (reply == NULL)
            return;
        take_reply(link, reply);
        freeReplyObject(reply);
    }
}

static bool feed_reader(void *context, const char *bytes, size_t length)
{
    struct redis_link *link = context;
    return redisReaderFeed(link->reader, bytes, length) == REDIS_OK;
}

static void on_readable(struct bufferevent *stream, void *context)
{
    struct redis_link *link = context;
    struct evbuffer *input = bufferevent_get_input(stream);
    enter(link);
    link->heard_ms = now_ms();
    while (!is_over(link) && evbuffer_get_length(input) > 0) {
        size_t length = evbuffer_get_contiguous_space(input);
        bool good = redis_resp_feed(&link->filter, (const char *)evbuffer_pullup(input, (ev_ssize_t)length), length);
        evbuffer_drain(input, length);
        take_replies(link); /* those before the garbage are answers */
        if (!good)
            redis_link_fail(link, REDIS_FAULT_PROTOCOL, "garbage: %s", link->filter.fault);
    }
    arm(link);
    leave(link);
}

/* ---- commands ---- */

size_t redis_link_unsent(const struct redis_link *link)
{
    return link->stream != NULL ? evbuffer_get_length(bufferevent_get_output(link->stream)) : 0;
}

static bool write_command(struct redis_link *link, int count, const char **words, const size_t *lengths)
{
    char *command = NULL;
    long long length = redisFormatCommandArgv(&command, count, words, lengths); /* int before hiredis 1.0 */
    bool written = length > 0 && redis_link_unsent(link) + (size_t)length <= REDIS_BYTES_MOST &&
                   bufferevent_write(link->stream, command, (size_t)length) == 0;
    if (length > 0) {
        explicit_bzero(command, (size_t)length); /* perhaps a password */
        redisFreeCommand(command);
    }
    return written;
}

bool redis_link_send(struct redis_link *link, int count, const char **words, const size_t *lengths,
                     redis_link_answered *answered, void *context)
{
    if (is_over(link) || link->stream == NULL)
        return false;
    struct redis_sent *sent = calloc(1, sizeof(*sent));
    if (sent == NULL || !write_command(link, count, words, lengths)) {
        free(sent);
        return false;
    }
    sent->answered = answered;
    sent->context = context;
    sent->due_ms = now_ms() + link->timeout_ms;
    snprintf(sent->what, sizeof(sent->what), "%s", words[0]);
    *link->last = sent;
    link->last = &sent->next;
    ++*link->commands;
    arm(link);
    return true;
}

/* ---- connecting ---- */

static void on_connected(struct redis_link *link)
{
    link->connect_due_ms = 0;
    link->heard_ms = now_ms();
    redis_hello_go_on(link);
}

static void on_end(struct bufferevent *stream, short events, void *context)
{
    struct redis_link *link = context;
    int error = EVUTIL_SOCKET_ERROR();
    char words[160] = "";
    enter(link);
    if (events & BEV_EVENT_CONNECTED)
        on_connected(link); /* the handshake of TLS */
    else if (redis_tls_words(stream, words, sizeof(words)))
        redis_link_fail(link, REDIS_FAULT_TLS, "%s", words);
    else if (link->connect_due_ms != 0)
        redis_link_fail(link, REDIS_FAULT_TLS, "the server ended the connection in the handshake");
    else if ((events & BEV_EVENT_ERROR) && error != 0)
        redis_link_fail(link, REDIS_FAULT_CLOSED, "%s", evutil_socket_error_to_string(error));
    else
        redis_link_fail(link, REDIS_FAULT_CLOSED, "the server closed the connection");
    arm(link);
    leave(link);
}

/* In OpenSSL's hands from here on, and in libevent's; our own reference outlives what these do when memory is short. */
static bool make_stream(struct redis_link *link)
{
    if (link->ssl != NULL) {
        SSL_up_ref(link->ssl);
        link->stream = bufferevent_openssl_socket_new(link->base, link->fd, link->ssl, BUFFEREVENT_SSL_CONNECTING,
                                                      BEV_OPT_CLOSE_ON_FREE);
        if (link->stream != NULL)
            bufferevent_openssl_set_allow_dirty_shutdown(link->stream, 1);
    } else {
        link->stream = bufferevent_socket_new(link->base, link->fd, BEV_OPT_CLOSE_ON_FREE);
    }
    if (link->stream == NULL)
        return false;
    link->fd = -1;
    SSL_free(link->ssl);
    link->ssl = NULL;
    bufferevent_setcb(link->stream, on_readable, NULL, on_end, link);
    return bufferevent_enable(link->stream, EV_READ | EV_WRITE) == 0;
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct redis_link *link = context;
    bool is_tls = link->ssl != NULL;
    int error = 0;
    socklen_t length = sizeof(error);
    enter(link);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    if (error != 0)
        redis_link_fail(link, REDIS_FAULT_CONNECT, "%s", strerror(error));
    else if (!make_stream(link))
        redis_link_fail(link, REDIS_FAULT_CONNECT, "no memory");
    else if (!is_tls)
        on_connected(link);
    arm(link);
    leave(link);
}

/* What fails at once is told from the loop. */
static bool begin_to_connect(struct redis_link *link, const struct endpoint_address *address)
{
    link->fd = endpoint_socket(address);
    if (link->fd < 0 || (connect(link->fd, &address->to.any, address->length) != 0 && errno != EINPROGRESS))
        link->connect_error = errno;
    link->connect_due_ms = now_ms() + (link->connect_error == 0 ? link->timeout_ms : 0);
    if (link->connect_error == 0) {
        link->writable = event_new(link->base, link->fd, EV_WRITE, on_writable, link);
        if (link->writable == NULL || event_add(link->writable, NULL) != 0)
            return false;
    }
    arm(link);
    return true;
}

static char *copy_of(const char *text, bool *good)
{
    char *copy = text != NULL ? strdup(text) : NULL;
    *good = *good && (text == NULL || copy != NULL);
    return copy;
}

static bool take_options(struct redis_link *link, const struct redis_link_options *options)
{
    bool good = true;
    link->base = options->base;
    link->host = copy_of(options->host, &good);
    link->username = copy_of(options->username, &good);
    link->password = copy_of(options->password, &good);
    link->channel = copy_of(options->channel, &good);
    link->resp = options->resp;
    link->is_bare = options->is_bare;
    link->must_be_master = options->must_be_master;
    link->database = options->database;
    snprintf(link->database_text, sizeof(link->database_text), "%u", (unsigned)options->database);
    link->timeout_ms = options->timeout_ms;
    link->ping_ms = options->ping_ms;
    link->commands = options->commands;
    link->filter.emit = feed_reader;
    link->filter.context = link;
    link->filter.drop_pushes = options->channel == NULL;
    link->filter.size_most = REDIS_REPLY_MOST;
    redis_resp_start(&link->filter);
    return good;
}

struct redis_link *redis_link_open(const struct redis_link_options *options, const struct redis_link_hooks *hooks)
{
    struct redis_link *link = calloc(1, sizeof(*link));
    if (link == NULL)
        return NULL;
    link->hooks = *hooks;
    link->fd = -1;
    link->last = &link->first;
    bool good = take_options(link, options);
    link->reader = redisReaderCreate();
    link->clock = evtimer_new(options->base, on_clock, link);
    if (options->tls != NULL && (link->ssl = redis_tls_connection(options->tls, link->host)) == NULL)
        good = false;
    if (good && link->reader != NULL && link->clock != NULL && begin_to_connect(link, options->address))
        return link;
    destroy(link);
    return NULL;
}
