/*
 * The thread "notify" against real sockets: what is sent, how often, in which order, what is given up, and what the
 * webhooks of gates answer.
 */
#include "proxy/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "config/events.h"
#include "proxy/curl_library.h"
#include "proxy/log.h"
#include "proxy/notify_sentence.h"

enum {
    REQUESTS_MOST = 512,
    ROOM = 64 * 1024,
    PATIENCE_MS = 60 * 1000,
};

/* ---- a server ---- */

/* One connection for each request, one after the other. What it answers is the test's to say while it runs. */
struct server {
    int listener;
    uint16_t port;
    pthread_t thread;
    int stop[2];
    struct {
        pthread_mutex_t lock;
        char *requests[REQUESTS_MOST]; /* owned, as they came */
        size_t count;
        const char *answers[8]; /* to the first requests, then the last for ever: status and more, without the HTTP/1.1;
                                   NULL: never */
        size_t answer_count;
        size_t answered;
    } shared;
};

static bool read_request(struct server *server, int fd, char *text)
{
    size_t length = 0;
    for (;;) {
        struct pollfd wait[] = {{.fd = fd, .events = POLLIN}, {.fd = server->stop[0], .events = POLLIN}};
        if (poll(wait, 2, -1) < 0 || wait[1].revents != 0)
            return false;
        ssize_t got = read(fd, text + length, ROOM - 1 - length);
        if (got <= 0)
            return false;
        length += (size_t)got;
        text[length] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *announced = strcasestr(text, "\r\nContent-Length: ");
        size_t body = announced != NULL ? strtoul(announced + 18, NULL, 10) : 0;
        if (end != NULL && length >= (size_t)(end + 4 - text) + body)
            return true;
    }
}

/* What to answer, malloc'd, since a test may free its own copy meanwhile; NULL: nothing. */
static char *note_request(struct server *server, const char *text)
{
    pthread_mutex_lock(&server->shared.lock);
    size_t i = server->shared.answered++;
    if (server->shared.count < REQUESTS_MOST)
        server->shared.requests[server->shared.count++] = strdup(text);
    const char *answer = server->shared.answers[i < server->shared.answer_count ? i : server->shared.answer_count - 1];
    char *copy = answer != NULL ? strdup(answer) : NULL;
    pthread_mutex_unlock(&server->shared.lock);
    return copy;
}

static void answer_one(struct server *server, int fd)
{
    char *text = malloc(ROOM);
    if (read_request(server, fd, text)) {
        char *answer = note_request(server, text);
        if (answer != NULL)
            dprintf(fd, "HTTP/1.1 %s%s", answer, strstr(answer, "\r\n\r\n") != NULL ? "" : "\r\n\r\n");
        char rest[256];
        struct pollfd wait[] = {{.fd = fd, .events = POLLIN}, {.fd = server->stop[0], .events = POLLIN}};
        if (answer != NULL)
            shutdown(fd, SHUT_WR);
        while (poll(wait, 2, -1) > 0 && wait[1].revents == 0 && read(fd, rest, sizeof(rest)) > 0)
            ;
        free(answer);
    }
    free(text);
    close(fd);
}

static void *serve(void *argument)
{
    struct server *server = argument;
    for (;;) {
        struct pollfd wait[] = {{.fd = server->listener, .events = POLLIN}, {.fd = server->stop[0], .events = POLLIN}};
        if (poll(wait, 2, -1) < 0 || wait[1].revents != 0)
            return NULL;
        int fd = accept(server->listener, NULL, NULL);
        if (fd >= 0)
            answer_one(server, fd);
    }
}

static void server_answers(struct server *server, size_t count, const char *const answers[])
{
    pthread_mutex_lock(&server->shared.lock);
    for (size_t i = 0; i < count; i++)
        server->shared.answers[i] = answers[i];
    server->shared.answer_count = count;
    server->shared.answered = 0;
    pthread_mutex_unlock(&server->shared.lock);
}

#define ANSWERS(server, ...)                                                                                           \
    server_answers(server, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static struct server *server_new(void)
{
    struct server *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(server->listener, 128), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &length), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pipe(server->stop), 0);
    pthread_mutex_init(&server->shared.lock, NULL);
    ANSWERS(server, "200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
    return server;
}

static void server_free(struct server *server)
{
    assert_int_equal(write(server->stop[1], "x", 1), 1);
    pthread_join(server->thread, NULL);
    for (size_t i = 0; i < server->shared.count; i++)
        free(server->shared.requests[i]);
    close(server->listener);
    close(server->stop[0]);
    close(server->stop[1]);
    pthread_mutex_destroy(&server->shared.lock);
    free(server);
}

static size_t request_count(struct server *server)
{
    pthread_mutex_lock(&server->shared.lock);
    size_t count = server->shared.count;
    pthread_mutex_unlock(&server->shared.lock);
    return count;
}

static const char *request_at(struct server *server, size_t i)
{
    pthread_mutex_lock(&server->shared.lock);
    const char *text = i < server->shared.count ? server->shared.requests[i] : NULL;
    pthread_mutex_unlock(&server->shared.lock);
    assert_non_null(text);
    return text;
}

static json_t *body_of(const char *request)
{
    json_t *body = json_loads(strstr(request, "\r\n\r\n") + 4, 0, NULL);
    assert_non_null(body);
    return body;
}

static json_int_t sequence_at(struct server *server, size_t i)
{
    json_t *body = body_of(request_at(server, i));
    json_int_t sequence = json_integer_value(json_object_get(body, "sequence"));
    json_decref(body);
    return sequence;
}

/* ---- the fixture ---- */

struct fixture {
    struct server *server;
    struct server *other;
    struct notify_limits limits;
    struct notify *notify;
    struct log *log;
    FILE *log_file;
};

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Awaits a condition: fails after a minute. */
#define AWAIT(condition)                                                                                               \
    do {                                                                                                               \
        int left_ms = PATIENCE_MS;                                                                                     \
        while (!(condition) && left_ms-- > 0)                                                                          \
            pause_ms(1);                                                                                               \
        if (left_ms <= 0)                                                                                              \
            fail_msg("not within a minute: %s", #condition);                                                           \
    } while (0)

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->server = server_new();
    f->other = server_new();
    f->limits = (struct notify_limits){
        .queue = 10, .first_retry_ms = 1, .most_retry_ms = 8, .give_up_ms = 3600000, .questions = 100};
    f->log_file = tmpfile();
    f->log = log_start(fileno(f->log_file));
    f->notify = notify_new(f->log, &f->limits);
    assert_non_null(f->notify);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    notify_stop(f->notify, 0);
    log_stop(f->log, 1000);
    fclose(f->log_file);
    server_free(f->server);
    server_free(f->other);
    free(f);
    return 0;
}

/* What the log says so far, malloc'd. */
static char *read_log(struct fixture *f)
{
    char *text = calloc(1, ROOM);
    log_flush(f->log, PATIENCE_MS);
    assert_true(pread(fileno(f->log_file), text, ROOM - 1, 0) >= 0);
    return text;
}

static bool log_says(struct fixture *f, const char *what)
{
    char *text = read_log(f);
    bool says = strstr(text, what) != NULL;
    free(text);
    return says;
}

static void take_targets(struct fixture *f, const char *format, ...)
{
    char yaml[4096], *targets;
    struct config_errors errors = {0};
    va_list args;
    va_start(args, format);
    assert_true(vasprintf(&targets, format, args) >= 0);
    va_end(args);
    snprintf(yaml, sizeof(yaml),
             "listeners: [ { address: \"127.0.0.1:0\" } ]\n"
             "backends: { legacy: { url: \"http://127.0.0.1:3001\" } }\n"
             "notify: [ %s ]\n",
             targets);
    struct config *config = config_parse("test.yaml", yaml, strlen(yaml), &errors);
    if (config == NULL)
        fail_msg("%s", errors.lines[0]);
    struct notify_plan *plan = notify_prepare(f->notify, config);
    assert_non_null(plan);
    notify_adopt(f->notify, plan);
    config_free(config);
    config_errors_free(&errors);
    free(targets);
}

static void tell_of(struct fixture *f, const char *route, uint64_t sequence, const char *what)
{
    const struct router_event event = {.sequence = sequence,
                                       .at_ms = 1700000000123,
                                       .route = route,
                                       .what = what,
                                       .who = "operator:ada",
                                       .why = "quiet night"};
    notify_event(f->notify, &event);
}

static void tell(struct fixture *f, uint64_t sequence, const char *what)
{
    tell_of(f, "orders", sequence, what);
}

struct wanted_stats {
    size_t index;
    struct notify_stats stats;
    char target[64];
};

static void keep_stats(void *context, const struct notify_stats *stats)
{
    struct wanted_stats *wanted = context;
    if (wanted->index-- != 0)
        return;
    wanted->stats = *stats;
    snprintf(wanted->target, sizeof(wanted->target), "%s", stats->target);
}

static struct wanted_stats stats_of(struct fixture *f, size_t index)
{
    struct wanted_stats wanted = {.index = index};
    notify_each(f->notify, keep_stats, &wanted);
    return wanted;
}

#define STATS(index) stats_of(f, index).stats

/* ---- what is sent ---- */

static void json_is_the_audit_line_with_the_token(void **state)
{
    struct fixture *f = *state;
    json_t *from = json_pack("{s:s, s:i}", "stage", "shadow", "percent", 0);
    json_t *to = json_pack("{s:s, s:i}", "stage", "canary", "percent", 10);
    json_t *evidence = json_pack("{s:s}", "verdict", "pass");
    const struct router_event event = {.sequence = 7,
                                       .at_ms = 1700000000123,
                                       .route = "orders",
                                       .what = "promote",
                                       .who = "plan",
                                       .why = "all gates passed",
                                       .from = from,
                                       .to = to,
                                       .evidence = evidence};
    char path[] = "/tmp/shunt-notify-XXXXXX";
    int token = mkstemp(path);
    assert_int_equal(write(token, "s3cret\n", 7), 7);
    close(token);
    take_targets(f, "{ url: \"http://127.0.0.1:%u/hook/abc?x=1\", token_file: \"%s\" }", f->server->port, path);
    unlink(path);
    notify_event(f->notify, &event);
    AWAIT(STATS(0).delivered == 1);
    const char *request = request_at(f->server, 0);
    assert_memory_equal(request, "POST /hook/abc?x=1 HTTP/1.1\r\n", 29);
    assert_non_null(strstr(request, "\r\nAuthorization: Bearer s3cret\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    json_t *wanted = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:O, s:O, s:O}", "sequence", 7, "time",
                               "2023-11-14T22:13:20.123Z", "route", "orders", "what", "promote", "who", "plan", "why",
                               "all gates passed", "from", from, "to", to, "evidence", evidence);
    json_t *body = body_of(request);
    assert_true(json_equal(body, wanted));
    json_decref(body);
    json_decref(wanted);
    json_decref(from);
    json_decref(to);
    json_decref(evidence);
}

static void slack_gets_one_sentence(void **state)
{
    struct fixture *f = *state;
    take_targets(f, "{ url: \"http://127.0.0.1:%u/services/T0/B0/xyz\", format: slack }", f->server->port);
    tell(f, 1, "rollback");
    AWAIT(STATS(0).delivered == 1);
    json_t *body = body_of(request_at(f->server, 0));
    assert_int_equal(json_object_size(body), 1);
    assert_string_equal(json_string_value(json_object_get(body, "text")),
                        "orders was rolled back, by operator:ada: quiet night");
    json_decref(body);
}

static void sentence_is(const struct router_event *event, const char *wanted)
{
    char *sentence = notify_sentence(event);
    assert_string_equal(sentence, wanted);
    free(sentence);
}

static void sentences_say_from_where_to_where_and_are_harmless(void **state)
{
    (void)state;
    json_t *shadow = json_pack("{s:s, s:i}", "stage", "shadow", "percent", 0);
    json_t *canary = json_pack("{s:s, s:f}", "stage", "canary", "percent", 12.5);
    json_t *fixed = json_pack("{s:n, s:i}", "stage", "percent", 25);
    json_t *open = json_pack("{s:s, s:i}", "breaker", "open", "trips", 1);
    struct router_event event = {.route = "orders", .what = "promote", .who = "plan", .why = "all gates passed"};
    event.from = shadow;
    event.to = canary;
    sentence_is(&event, "orders was promoted from shadow (0%) to canary (12.5%), by plan: all gates passed");
    event.from = event.to;
    sentence_is(&event, "orders was promoted, by plan: all gates passed");
    event = (struct router_event){.route = "orders", .what = "set_percent", .who = "operator:a", .from = canary};
    event.to = fixed;
    sentence_is(&event, "orders was given another share from canary (12.5%) to 25%, by operator:a");
    event = (struct router_event){.route = "orders", .what = "breaker_open", .who = "breaker", .why = "9 of 10 failed"};
    event.from = event.to = open;
    sentence_is(&event, "orders was taken back to legacy: its breaker opened: 9 of 10 failed");
    event = (struct router_event){.what = "passthrough_on", .who = "signal:USR1"};
    sentence_is(&event, "shunt sends everything straight to legacy: passthrough is on, by signal:USR1");
    event =
        (struct router_event){.route = "a", .what = "pause", .who = "operator:\xff", .why = "<!channel> & \"so\"\n"};
    char *slack = notify_slack(&event);
    json_t *message = json_loads(slack, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(message, "text")),
                        "a was paused, by operator:\xef\xbf\xbd: &lt;!channel&gt; &amp; \"so\"\n");
    json_decref(message);
    free(slack);
    char why[2000];
    memset(why, 'y', sizeof(why));
    memcpy(why + 599, "\xc3\xa4", 2); /* the cut is not inside a character */
    why[sizeof(why) - 1] = '\0';
    event = (struct router_event){.route = "a", .what = "pause", .why = why};
    char *sentence = notify_sentence(&event);
    assert_int_equal(strlen(sentence), strlen("a was paused: ") + 599 + strlen("..."));
    assert_null(strstr(sentence, "\xef\xbf\xbd"));
    free(sentence);
    json_decref(shadow);
    json_decref(canary);
    json_decref(fixed);
    json_decref(open);
}

static void every_event_has_its_words(void **state)
{
    (void)state;
    for (size_t i = 0; event_names[i] != NULL; i++) {
        const struct router_event event = {.route = "r", .what = event_names[i]};
        char *sentence = notify_sentence(&event);
        if (strcmp(sentence + 2, event_names[i]) == 0)
            fail_msg("no words for %s", event_names[i]);
        free(sentence);
    }
}

static void only_what_was_asked_for_is_told(void **state)
{
    struct fixture *f = *state;
    take_targets(
        f, "{ url: \"http://127.0.0.1:%u/a\", events: [ rollback, breaker_open ] }, { url: \"http://127.0.0.1:%u/b\" }",
        f->server->port, f->other->port);
    tell(f, 1, "promote");
    tell(f, 2, "rollback");
    tell(f, 3, "pause");
    tell(f, 4, "breaker_open");
    AWAIT(STATS(0).delivered == 2 && STATS(1).delivered == 4);
    assert_int_equal(sequence_at(f->server, 0), 2);
    assert_int_equal(sequence_at(f->server, 1), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(sequence_at(f->other, i), i + 1);
}

/* ---- failures ---- */

static void failures_are_tried_again_in_order(void **state)
{
    struct fixture *f = *state;
    ANSWERS(f->server, "500 No", "503 No", "429 Slow down", "408 Late", "nonsense", "204 Fine");
    take_targets(f, "{ url: \"http://127.0.0.1:%u/secret-path\" }", f->server->port);
    tell(f, 1, "promote");
    tell(f, 2, "pause");
    AWAIT(STATS(0).delivered == 2);
    assert_int_equal(request_count(f->server), 7);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(sequence_at(f->server, i), 1);
    assert_int_equal(sequence_at(f->server, 6), 2);
    assert_int_equal(STATS(0).retries, 5);
    assert_int_equal(STATS(0).waiting, 0);
    char *log = read_log(f);
    assert_non_null(strstr(log, "\"notify_failed\""));
    assert_null(strstr(strstr(log, "\"notify_failed\"") + 1, "\"notify_failed\"")); /* once */
    assert_non_null(strstr(log, "\"notify_delivers_again\""));
    assert_null(strstr(log, "secret-path"));
    free(log);
}

static void what_is_refused_is_not_tried_again_and_redirects_are_not_followed(void **state)
{
    struct fixture *f = *state;
    char redirect[128];
    snprintf(redirect, sizeof(redirect), "302 Found\r\nLocation: http://127.0.0.1:%u/\r\n\r\n", f->other->port);
    ANSWERS(f->server, "400 Bad", redirect, "404 Gone", "200 OK");
    take_targets(f, "{ url: \"http://127.0.0.1:%u/\" }", f->server->port);
    for (uint64_t i = 1; i <= 4; i++)
        tell(f, i, "promote");
    AWAIT(STATS(0).delivered == 1);
    assert_int_equal(STATS(0).refused, 3);
    assert_int_equal(STATS(0).retries, 0);
    assert_int_equal(request_count(f->server), 4);
    assert_int_equal(request_count(f->other), 0);
}

static void a_hanging_target_holds_up_no_other_and_its_queue_is_bounded(void **state)
{
    struct fixture *f = *state;
    ANSWERS(f->server, NULL);
    take_targets(f, "{ url: \"http://127.0.0.1:%u/\", timeout: 1m }, { url: \"http://127.0.0.1:%u/\" }",
                 f->server->port, f->other->port);
    tell(f, 1, "promote");
    AWAIT(request_count(f->server) == 1); /* on its way: it is not among those that are dropped */
    for (uint64_t i = 2; i <= 25; i++) {
        tell(f, i, "promote");
        AWAIT(STATS(1).delivered == i);
    }
    assert_int_equal(STATS(0).waiting, 10);
    assert_int_equal(STATS(0).dropped, 15);
    assert_int_equal(STATS(0).delivered, 0);
    assert_int_equal(STATS(1).dropped, 0);
    for (size_t i = 0; i < 25; i++)
        assert_int_equal(sequence_at(f->other, i), i + 1);
}

static void a_full_queue_loses_the_oldest(void **state)
{
    struct fixture *f = *state;
    ANSWERS(f->server, "500 No");
    f->limits.first_retry_ms = f->limits.most_retry_ms = 3600000;
    take_targets(f, "{ url: \"http://127.0.0.1:%u/\" }", f->server->port);
    tell(f, 1, "promote");
    AWAIT(log_says(f, "notify_failed")); /* not on its way any more: it may be dropped */
    for (uint64_t i = 2; i <= 25; i++)
        tell(f, i, "promote");
    AWAIT(STATS(0).waiting == 10);
    assert_int_equal(STATS(0).dropped, 15);
    ANSWERS(f->server, "200 OK");
    notify_stop(f->notify, PATIENCE_MS); /* tries once more what waits */
    f->notify = notify_new(f->log, &f->limits);
    assert_int_equal(request_count(f->server), 11);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(sequence_at(f->server, 1 + i), 16 + i);
}

static void what_is_too_old_is_not_sent_any_more(void **state)
{
    struct fixture *f = *state;
    ANSWERS(f->server, "500 No");
    f->limits.give_up_ms = 30;
    take_targets(f, "{ url: \"http://127.0.0.1:%u/\" }", f->server->port);
    tell(f, 1, "promote");
    AWAIT(STATS(0).expired == 1);
    assert_int_equal(STATS(0).waiting, 0);
    assert_int_equal(STATS(0).delivered, 0);
}

static void the_end_waits_only_so_long_and_says_what_is_lost(void **state)
{
    struct fixture *f = *state;
    ANSWERS(f->server, NULL);
    take_targets(f, "{ url: \"http://127.0.0.1:%u/secret-path\", timeout: 1m }", f->server->port);
    tell(f, 1, "promote");
    tell(f, 2, "pause");
    AWAIT(request_count(f->server) == 1);
    notify_stop(f->notify, 30); /* would hang for a minute */
    f->notify = notify_new(f->log, &f->limits);
    char *log = read_log(f);
    assert_non_null(strstr(log, "\"notify_lost\""));
    assert_non_null(strstr(log, "\"events\":2"));
    assert_null(strstr(log, "secret-path"));
    free(log);
}

/* ---- another file ---- */

static void targets_that_stay_keep_what_waits(void **state)
{
    struct fixture *f = *state;
    char names[2][64];
    ANSWERS(f->server, "500 No");
    ANSWERS(f->other, "500 No");
    f->limits.first_retry_ms = f->limits.most_retry_ms = 3600000;
    take_targets(f, "{ url: \"http://127.0.0.1:%u/stays\" }, { url: \"http://127.0.0.1:%u/goes\" }", f->server->port,
                 f->other->port);
    tell(f, 1, "promote");
    tell(f, 2, "pause");
    AWAIT(request_count(f->server) == 1 && request_count(f->other) == 1);
    take_targets(f, "{ url: \"http://127.0.0.1:%u/new\" }, { url: \"http://127.0.0.1:%u/stays\", events: [ done ] }",
                 f->server->port, f->server->port);
    snprintf(names[0], sizeof(names[0]), "127.0.0.1:%u", f->server->port);
    snprintf(names[1], sizeof(names[1]), "127.0.0.1:%u#2", f->server->port);
    assert_string_equal(stats_of(f, 0).target, names[0]);
    assert_string_equal(stats_of(f, 1).target, names[1]);
    assert_int_equal(STATS(0).waiting, 0);
    assert_int_equal(STATS(1).waiting, 2);
    ANSWERS(f->server, "200 OK");
    tell(f, 3, "resume"); /* for /new alone */
    AWAIT(STATS(0).delivered == 1);
    notify_stop(f->notify, PATIENCE_MS);
    f->notify = notify_new(f->log, &f->limits);
    assert_int_equal(request_count(f->server), 4);
    assert_int_equal(request_count(f->other), 1);
    assert_memory_equal(request_at(f->server, 3), "POST /stays", 11);
    assert_int_equal(sequence_at(f->server, 2), 1);
    assert_int_equal(sequence_at(f->server, 3), 2);
    char *log = read_log(f);
    assert_non_null(strstr(log, "the file does not name it any more"));
    free(log);
}

static void nobody_to_tell_is_no_thread_and_no_harm(void **state)
{
    struct fixture *f = *state;
    take_targets(f, "");
    tell(f, 1, "promote");
    notify_each(NULL, keep_stats, NULL);
    notify_stop(NULL, 0);
}

/* ---- webhooks of gates ---- */

static struct approval_answer ask(struct fixture *f, const struct config_gate_webhook *webhook, const char *stage)
{
    struct approval_answer answer;
    notify_approval(f->notify, "orders read", stage, webhook, &answer);
    return answer;
}

static void a_webhook_says_go_with_200_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *answer, *sentence;
    } holds[] = {
        {"503 No\r\nContent-Length: 31\r\n\r\nfreeze until\x01 Monday\r\nsecond line", ": freeze until? Monday"},
        {"204 No Content", "204 at "},
        {"201 Created\r\nContent-Length: 2\r\n\r\ngo", ": go"},
        {"302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0", "302 at "},
        {"nonsense", "no answer at "},
    };
    char url[64], stage[16];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/go?team=a", f->server->port);
    const struct config_gate_webhook webhook = {.url = url, .interval_ms = 3600000, .timeout_ms = 60000};
    struct approval_answer answer = ask(f, &webhook, "50 %");
    assert_int_equal(answer.what, APPROVAL_WAITING);
    AWAIT((answer = ask(f, &webhook, "50 %")).what == APPROVAL_GO);
    assert_memory_equal(answer.sentence, "200 at ", 7);
    const char *request = request_at(f->server, 0);
    assert_memory_equal(request, "GET /go?team=a&route=orders+read&stage=50+%25 HTTP/1.1\r\n", 56);
    assert_non_null(strstr(request, "\r\nX-Shunt-Route: orders read\r\n"));
    assert_non_null(strstr(request, "\r\nX-Shunt-Stage: 50 %\r\n"));
    for (size_t i = 0; i < sizeof(holds) / sizeof(holds[0]); i++) {
        ANSWERS(f->server, holds[i].answer);
        snprintf(stage, sizeof(stage), "stage %zu", i);
        AWAIT((answer = ask(f, &webhook, stage)).what == APPROVAL_HOLD);
        if (strstr(answer.sentence, holds[i].sentence) == NULL)
            fail_msg("%s", answer.sentence);
        assert_null(strstr(answer.sentence, "second line"));
    }
    assert_int_equal(request_count(f->server), 6); /* each once: the interval is long */
}

static void long_answers_are_cut_at_a_character(void **state)
{
    struct fixture *f = *state;
    char url[64], text[700], *body = text + sprintf(text, "409 No\r\nContent-Length: 600\r\n\r\n");
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", f->server->port);
    for (int i = 0; i < 200; i++)
        memcpy(body + 3 * i, "\xe2\x82\xac", 3);
    body[600] = '\0';
    ANSWERS(f->server, text);
    const struct config_gate_webhook webhook = {.url = url, .interval_ms = 3600000, .timeout_ms = 60000};
    struct approval_answer answer;
    AWAIT((answer = ask(f, &webhook, "s")).what == APPROVAL_HOLD);
    size_t length = strlen(answer.sentence);
    assert_int_equal(length, strlen("409 at 12:34:56 UTC: ") + 99);
    assert_string_equal(answer.sentence + length - 3, "\xe2\x82\xac");
    ANSWERS(f->server, "200 OK"); /* `text` ends with this test */
}

static void a_webhook_is_asked_every_interval_and_may_change_its_mind(void **state)
{
    struct fixture *f = *state;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", f->server->port);
    ANSWERS(f->server, "200 OK", "423 Locked");
    const struct config_gate_webhook webhook = {.url = url, .interval_ms = 1, .timeout_ms = 60000};
    AWAIT(ask(f, &webhook, "s").what == APPROVAL_HOLD && request_count(f->server) > 3);
    ANSWERS(f->server, "200 OK");
    AWAIT(ask(f, &webhook, "s").what == APPROVAL_GO);
}

static void an_old_go_does_not_count(void **state)
{
    struct fixture *f = *state;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", f->server->port);
    ANSWERS(f->server, "200 OK", NULL);
    const struct config_gate_webhook webhook = {.url = url, .interval_ms = 20, .timeout_ms = 60000};
    struct approval_answer answer;
    AWAIT(strstr((answer = ask(f, &webhook, "s")).sentence, "is too old") != NULL);
    assert_int_equal(answer.what, APPROVAL_WAITING);
    assert_memory_equal(answer.sentence, "its last answer, 200 at ", 24);
}

static void a_webhook_that_nobody_hears_is_no_go(void **state)
{
    struct fixture *f = *state;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/secret-path", f->server->port);
    ANSWERS(f->server, NULL);
    const struct config_gate_webhook webhook = {.url = url, .interval_ms = 3600000, .timeout_ms = 20};
    struct approval_answer answer;
    AWAIT((answer = ask(f, &webhook, "s")).what == APPROVAL_HOLD);
    assert_memory_equal(answer.sentence, "no answer at ", 13);
    assert_null(strstr(answer.sentence, "secret-path"));
}

/* ---- answers that are made to be a burden ---- */

enum {
    LONG = 200 * 1000
};

/* malloc'd: `head`, then `line` again and again. */
static char *long_answer(const char *head, const char *line)
{
    char *text = malloc(strlen(head) + LONG + 256);
    char *at = stpcpy(text, head);
    for (size_t length = 0; length < LONG; length += strlen(line))
        at = stpcpy(at, line);
    return text;
}

static void a_body_without_end_is_broken_off_and_its_status_counts(void **state)
{
    struct fixture *f = *state;
    char url[64];
    char *answer = long_answer("200 OK\r\nContent-Length: 999999999\r\n\r\n", "and so on, ");
    ANSWERS(f->server, answer);
    take_targets(f, "{ url: \"http://127.0.0.1:%u/\", timeout: 1m }", f->server->port);
    tell(f, 1, "promote");
    AWAIT(STATS(0).delivered == 1);
    assert_int_equal(STATS(0).retries, 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", f->server->port);
    const struct config_gate_webhook webhook = {.url = url, .interval_ms = 3600000, .timeout_ms = 3600000};
    AWAIT(ask(f, &webhook, "s").what == APPROVAL_GO);
    ANSWERS(f->server, "200 OK");
    free(answer);
}

static void a_head_without_end_is_no_answer(void **state)
{
    struct fixture *f = *state;
    char *answer = long_answer("200 OK\r\n", "X-And-So: on\r\n");
    strcat(answer, "\r\n\r\n");
    ANSWERS(f->server, answer, "200 OK\r\nContent-Length: 0");
    take_targets(f, "{ url: \"http://127.0.0.1:%u/\", timeout: 1m }", f->server->port);
    tell(f, 1, "promote");
    AWAIT(STATS(0).delivered == 1);
    assert_int_equal(STATS(0).retries, 1);
    assert_true(log_says(f, "\"error\":\"the head of the answer is too long\""));
    ANSWERS(f->server, "200 OK");
    free(answer);
}

/* ---- no descriptors ---- */

static void without_descriptors_it_says_so_and_begins_later(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit, least;
    char why[LIBRARY_WHY_ROOM];
    assert_true(curl_library_open(why)); /* not now: it would need one, too */
    char *text = read_log(f);
    free(text);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(0); /* the lowest that is free */
    assert_true(next > 0);
    close(next);
    least = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &least), 0);
    take_targets(f, "{ url: \"http://127.0.0.1:%u/\" }", f->server->port);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(log_says(f, "\"error\":\"libcurl: no descriptors to be woken by\""));
    tell(f, 1, "promote");
    AWAIT(STATS(0).delivered == 1);
}

/* ---- whose turn it is ---- */

static void a_stage_that_begins_again_asks_again(void **state)
{
    struct fixture *f = *state;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", f->server->port);
    const struct config_gate_webhook webhook = {.url = url, .interval_ms = 3600000, .timeout_ms = 3600000};
    AWAIT(ask(f, &webhook, "s").what == APPROVAL_GO);
    tell_of(f, "orders read", 1, "waiting_for_promote"); /* the stage goes on */
    tell_of(f, "orders", 2, "resume");                   /* another route's */
    assert_int_equal(ask(f, &webhook, "s").what, APPROVAL_GO);
    ANSWERS(f->server, "423 Locked");
    tell_of(f, "orders read", 3, "resume");
    assert_int_not_equal(ask(f, &webhook, "s").what, APPROVAL_GO);
    AWAIT(ask(f, &webhook, "s").what == APPROVAL_HOLD);
    assert_int_equal(request_count(f->server), 2);
}

/* What is under way was asked for the time before; it may take an hour. */
static void a_stage_that_begins_again_does_not_wait_for_an_old_question(void **state)
{
    struct fixture *f = *state;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", f->server->port);
    const struct config_gate_webhook webhook = {.url = url, .interval_ms = 3600000, .timeout_ms = 3600000};
    ANSWERS(f->server, NULL, "200 OK\r\nContent-Length: 0");
    AWAIT(ask(f, &webhook, "s").what == APPROVAL_WAITING && request_count(f->server) == 1);
    tell_of(f, "orders read", 1, "restart");
    AWAIT(ask(f, &webhook, "s").what == APPROVAL_GO);
    assert_int_equal(request_count(f->server), 2);
}

static void only_so_many_questions_are_under_way(void **state)
{
    struct fixture *f = *state;
    char hung[64], url[64];
    f->limits.questions = 1;
    ANSWERS(f->server, NULL);
    snprintf(hung, sizeof(hung), "http://127.0.0.1:%u/", f->server->port);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", f->other->port);
    const struct config_gate_webhook first = {.url = hung, .interval_ms = 3600000, .timeout_ms = 3600000};
    const struct config_gate_webhook second = {.url = url, .interval_ms = 3600000, .timeout_ms = 3600000};
    take_targets(f, "{ url: \"http://127.0.0.1:%u/told\" }", f->other->port);
    AWAIT(ask(f, &first, "s").what == APPROVAL_WAITING && request_count(f->server) == 1);
    for (uint64_t i = 1; i <= 3; i++) { /* targets do not wait, and each of these is a round of the thread */
        ask(f, &second, "s");
        tell(f, i, "promote_was_offered");
        AWAIT(STATS(0).delivered == i);
    }
    assert_int_equal(request_count(f->other), 3);
}

static void everybody_has_a_turn(void **state)
{
    struct fixture *f = *state;
    char hung[64], url[64];
    f->limits.questions = 1;
    ANSWERS(f->server, NULL);
    snprintf(hung, sizeof(hung), "http://127.0.0.1:%u/", f->server->port);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", f->other->port);
    const struct config_gate_webhook always = {.url = hung, .interval_ms = 1, .timeout_ms = 10};
    const struct config_gate_webhook patient = {.url = url, .interval_ms = 3600000, .timeout_ms = 3600000};
    AWAIT(ask(f, &always, "s").what == APPROVAL_HOLD);
    AWAIT((ask(f, &always, "s"), ask(f, &patient, "s").what == APPROVAL_GO));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(json_is_the_audit_line_with_the_token),
        CASE(slack_gets_one_sentence),
        cmocka_unit_test(sentences_say_from_where_to_where_and_are_harmless),
        cmocka_unit_test(every_event_has_its_words),
        CASE(only_what_was_asked_for_is_told),
        CASE(failures_are_tried_again_in_order),
        CASE(what_is_refused_is_not_tried_again_and_redirects_are_not_followed),
        CASE(a_hanging_target_holds_up_no_other_and_its_queue_is_bounded),
        CASE(a_full_queue_loses_the_oldest),
        CASE(what_is_too_old_is_not_sent_any_more),
        CASE(the_end_waits_only_so_long_and_says_what_is_lost),
        CASE(targets_that_stay_keep_what_waits),
        CASE(nobody_to_tell_is_no_thread_and_no_harm),
        CASE(a_webhook_says_go_with_200_and_nothing_else),
        CASE(long_answers_are_cut_at_a_character),
        CASE(a_webhook_is_asked_every_interval_and_may_change_its_mind),
        CASE(an_old_go_does_not_count),
        CASE(a_webhook_that_nobody_hears_is_no_go),
        CASE(a_body_without_end_is_broken_off_and_its_status_counts),
        CASE(a_head_without_end_is_no_answer),
        CASE(without_descriptors_it_says_so_and_begins_later),
        CASE(a_stage_that_begins_again_asks_again),
        CASE(a_stage_that_begins_again_does_not_wait_for_an_old_question),
        CASE(only_so_many_questions_are_under_way),
        CASE(everybody_has_a_turn),
    };
    signal(SIGPIPE, SIG_IGN); /* the server's, when an answer is broken off */
    static const char *const proxies[] = {"http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"};
    for (size_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++)
        unsetenv(proxies[i]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
