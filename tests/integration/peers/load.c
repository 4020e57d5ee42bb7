/*
 * A fast client: sends many requests, checks every answer strictly, and says what happened as one line of JSON.
 *
 *   load --to 127.0.0.1:8080 [--connections 8] [--requests N | until standard input ends] [--users N] [--first-user K]
 *        [--rate PER_SECOND] [--path /] [--method GET] [--host shunt.test] [--field "Name: value"] [--body BYTES]
 *        [--chunked 1] [--verify 1] [--fresh 1] [--sides FILE] [--slow BYTES_PER_10MS]
 *
 * --users: request i carries `X-User-Id: u((first + i) mod users)`; --sides writes one letter per user: the side that
 * answered (first letter of X-Backend), '?' for none, '!' for both. --verify: the response's body must be the pattern,
 * or with --body the backend must have seen the pattern. --fresh: a connection per request. --slow: reads no faster
 * than that.
 *
 * A failure is an answer that breaks off, is malformed or not 2xx, a connection that cannot be made or ends without an
 * answer. One thing is no failure but counted as "stale": a kept connection closed before the first byte of an answer,
 * which HTTP lets a client repeat; the request is sent again on a new connection.
 */
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_ROOM = 32768,
    READ_ROOM = 1 << 18,
    FAILURES_KEPT = 20,
    LATENCIES = 400 * 1000,
    GIVE_UP_S = 60
};

enum reading {
    READ_HEAD,
    READ_LENGTH,
    READ_UNTIL_CLOSE,
    READ_CHUNK_LINE,
    READ_CHUNK,
    READ_CHUNK_END,
    READ_TRAILERS
};

struct client {
    int fd; /* -1: not connected */
    bool busy, used, connected, must_close, matches, asked;
    uint64_t user;
    enum reading reading;
    char in[HEAD_ROOM];
    size_t in_len;
    int status;
    char side;
    uint64_t remaining, body_len, got; /* got: bytes of the answer so far */
    char head[2048];
    size_t head_len, head_done;
    uint64_t body_done; /* bytes of the request's body sent */
    char chunk[32];     /* chunk framing being sent */
    size_t chunk_len, chunk_done, chunk_left;
    bool last_chunk_made;
    uint64_t started_ns, resume_ns;
};

struct failure {
    const char *what;
    int status;
    uint64_t sent_ns, failed_ns, got;
    bool reused;
};

struct load {
    const char *to, *path, *method, *host, *field, *sides_file;
    uint64_t connections, requests, users, first_user, rate, body, slow;
    bool chunked, verify, fresh;
    int epoll;
    struct client *clients;
    char *sides; /* one letter per user */
    char *scratch;
    bool ending; /* no new requests */
    uint64_t started, done, ok, failed, stale, legacy, new_side, no_side, bytes_in, max_us, started_ns;
    uint64_t to_new, to_legacy; /* users that changed their side */
    uint64_t status_class[10];
    uint32_t latency[LATENCIES]; /* by microsecond */
    struct failure failures[FAILURES_KEPT];
};

static void client_disconnect(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->used = c->connected = false;
}

static bool client_connect(struct load *l, struct client *c)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};

    c->fd = socket_connect(l->to);
    if (c->fd < 0)
        return false;
    if (l->slow > 0) {
        int room = 65536;
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    }
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
    return true;
}

static void request_failed(struct load *l, struct client *c, const char *what)
{
    if (l->failed < FAILURES_KEPT)
        l->failures[l->failed] = (struct failure){what, c->status, c->started_ns, now_ns(), c->got, c->used};
    l->failed++;
    l->done++;
    c->busy = false;
    client_disconnect(c);
}

static void request_begin(struct client *c)
{
    c->reading = READ_HEAD;
    c->in_len = 0;
    c->got = c->body_len = c->body_done = 0;
    c->head_done = 0;
    c->chunk_len = c->chunk_done = c->chunk_left = 0;
    c->last_chunk_made = false;
    c->status = 0;
    c->side = '-';
    c->matches = true;
    c->busy = true;
}

static void request_write_head(struct load *l, struct client *c)
{
    char user[48] = "";
    char framing[64] = "";

    if (l->users > 0)
        snprintf(user, sizeof(user), "X-User-Id: u%llu\r\n", (unsigned long long)c->user);
    if (l->chunked)
        snprintf(framing, sizeof(framing), "Transfer-Encoding: chunked\r\n");
    else if (l->body > 0)
        snprintf(framing, sizeof(framing), "Content-Length: %llu\r\n", (unsigned long long)l->body);
    c->head_len = (size_t)snprintf(c->head, sizeof(c->head), "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s%s\r\n", l->method,
                                   l->path, l->host, user, framing, l->field != NULL ? l->field : "",
                                   l->field != NULL ? "\r\n" : "", l->fresh ? "Connection: close\r\n" : "");
    if (c->head_len >= sizeof(c->head)) {
        errno = EMSGSIZE;
        die("request head");
    }
}

/* A kept connection ended before an answer began: allowed, and the request goes out again. */
static void request_repeat(struct load *l, struct client *c)
{
    l->stale++;
    client_disconnect(c);
    if (l->stale > 1000000 || !client_connect(l, c)) {
        request_failed(l, c, "connect");
        return;
    }
    request_begin(c);
}

static void connection_ended(struct load *l, struct client *c, const char *what)
{
    if (!c->busy)
        client_disconnect(c);
    else if (c->got == 0 && c->used)
        request_repeat(l, c);
    else
        request_failed(l, c, c->got > 0 ? "broke off" : what);
}

static void user_answered(struct load *l, struct client *c)
{
    char *known;

    if (l->users == 0 || c->side == '-')
        return;
    known = &l->sides[c->user];
    if (*known != '?' && *known != c->side) {
        l->to_new += c->side == 'n';
        l->to_legacy += c->side == 'l';
    }
    *known = *known == '?' || *known == c->side ? c->side : '!';
}

static void request_answered(struct load *l, struct client *c)
{
    uint64_t us = (now_ns() - c->started_ns) / 1000u;
    uint64_t slot = us < LATENCIES ? us : LATENCIES - 1;

    l->status_class[c->status / 100 < 10 ? c->status / 100 : 9]++;
    if (c->status / 100 != 2) {
        request_failed(l, c, "status");
        return;
    }
    if (l->verify && !c->matches) {
        request_failed(l, c, "wrong bytes");
        return;
    }
    l->latency[slot]++;
    if (us > l->max_us)
        l->max_us = us;
    l->legacy += c->side == 'l';
    l->new_side += c->side == 'n';
    l->no_side += c->side == '-';
    user_answered(l, c);
    l->ok++;
    l->done++;
    c->busy = false;
    c->used = true;
    if (c->must_close || l->fresh)
        client_disconnect(c);
}

static const char *field_value(const char *head, const char *name)
{
    size_t n = strlen(name);
    const char *line = strstr(head, "\r\n");

    for (; line != NULL && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') {
            line += 3 + n;
            while (*line == ' ')
                line++;
            return line;
        }
    }
    return NULL;
}

/* False: the answer is over (or has failed), stop taking bytes of it. */
static bool head_complete(struct load *l, struct client *c)
{
    const char *value;

    c->in_len = 0;
    if (strncmp(c->in, "HTTP/1.1 ", 9) != 0 && strncmp(c->in, "HTTP/1.0 ", 9) != 0) {
        request_failed(l, c, "malformed");
        return false;
    }
    c->status = atoi(c->in + 9);
    if (c->status < 200)
        return true; /* interim: another head follows */
    value = field_value(c->in, "x-backend");
    c->side = value != NULL ? *value : '-';
    value = field_value(c->in, "connection");
    c->must_close = value != NULL && strncasecmp(value, "close", 5) == 0;
    value = field_value(c->in, "x-body-match");
    if (value != NULL && strncmp(value, "yes", 3) != 0)
        c->matches = false;
    if (strcmp(l->method, "HEAD") == 0 || c->status == 204 || c->status == 304) {
        request_answered(l, c);
        return false;
    }
    if (field_value(c->in, "transfer-encoding") != NULL) {
        c->reading = READ_CHUNK_LINE;
        return true;
    }
    value = field_value(c->in, "content-length");
    if (value == NULL) {
        c->reading = READ_UNTIL_CLOSE;
        return true;
    }
    c->remaining = strtoull(value, NULL, 10);
    c->reading = READ_LENGTH;
    if (c->remaining == 0) {
        request_answered(l, c);
        return false;
    }
    return true;
}

static bool line_collect(struct client *c, const char *at, size_t length, size_t *taken)
{
    const char *end = memchr(at, '\n', length);

    *taken = end != NULL ? (size_t)(end - at) + 1 : length;
    if (c->in_len + *taken > HEAD_ROOM - 1) {
        errno = EMSGSIZE;
        die("response line");
    }
    memcpy(c->in + c->in_len, at, *taken);
    c->in_len += *taken;
    c->in[c->in_len] = '\0';
    return end != NULL;
}

static void body_take(struct load *l, struct client *c, const char *at, size_t length)
{
    if (l->verify && l->body == 0)
        c->matches = c->matches && pattern_matches(at, length, c->body_len);
    c->body_len += length;
    l->bytes_in += length;
    if (c->reading != READ_UNTIL_CLOSE)
        c->remaining -= length;
}

static void client_take(struct load *l, struct client *c, const char *at, size_t length)
{
    while (length > 0) {
        size_t taken = length;
        if (!c->busy) {
            c->busy = true; /* bytes nobody asked for */
            request_failed(l, c, "stray bytes");
            return;
        }
        switch (c->reading) {
        case READ_HEAD:
            if (line_collect(c, at, length, &taken) && c->in_len >= 4 &&
                memcmp(c->in + c->in_len - 4, "\r\n\r\n", 4) == 0 && !head_complete(l, c) && c->fd < 0)
                return;
            break;
        case READ_LENGTH:
        case READ_UNTIL_CLOSE:
        case READ_CHUNK:
            if (c->reading != READ_UNTIL_CLOSE && length > c->remaining)
                taken = (size_t)c->remaining;
            body_take(l, c, at, taken);
            if (c->reading == READ_LENGTH && c->remaining == 0)
                request_answered(l, c);
            else if (c->reading == READ_CHUNK && c->remaining == 0)
                c->reading = READ_CHUNK_END;
            break;
        case READ_CHUNK_LINE:
            if (line_collect(c, at, length, &taken)) {
                c->remaining = strtoull(c->in, NULL, 16);
                c->in_len = 0;
                c->reading = c->remaining > 0 ? READ_CHUNK : READ_TRAILERS;
            }
            break;
        case READ_CHUNK_END:
            if (line_collect(c, at, length, &taken)) {
                c->in_len = 0;
                c->reading = READ_CHUNK_LINE;
            }
            break;
        case READ_TRAILERS:
            if (line_collect(c, at, length, &taken)) {
                bool last = c->in_len == 2;
                c->in_len = 0;
                if (last)
                    request_answered(l, c);
            }
            break;
        }
        if (c->fd < 0)
            return;
        c->got += taken;
        at += taken;
        length -= taken;
    }
}

static void client_read(struct load *l, struct client *c)
{
    uint64_t taken = 0;

    while (c->fd >= 0) {
        ssize_t n = recv(c->fd, l->scratch, l->slow > 0 && l->slow < READ_ROOM ? (size_t)l->slow : READ_ROOM, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            connection_ended(l, c, "reset");
            return;
        }
        if (n == 0) {
            if (c->busy && c->reading == READ_UNTIL_CLOSE) {
                c->must_close = true;
                request_answered(l, c);
            } else {
                connection_ended(l, c, "closed");
            }
            return;
        }
        client_take(l, c, l->scratch, (size_t)n);
        taken += (uint64_t)n;
        if (l->slow > 0 && taken >= l->slow) {
            c->resume_ns = now_ns() + 10000000u;
            return;
        }
    }
}

/* The next piece of the request to send; NULL when all is sent. */
static const char *next_piece(struct load *l, struct client *c, size_t *length, int *kind)
{
    if (c->head_done < c->head_len) {
        *kind = 0;
        *length = c->head_len - c->head_done;
        return c->head + c->head_done;
    }
    if (c->chunk_done < c->chunk_len) {
        *kind = 1;
        *length = c->chunk_len - c->chunk_done;
        return c->chunk + c->chunk_done;
    }
    if (l->chunked && c->chunk_left == 0 && !c->last_chunk_made) {
        uint64_t left = l->body - c->body_done;
        const char *before = c->body_done > 0 ? "\r\n" : "";
        c->chunk_left = left > 65000 ? 65000 : (size_t)left;
        c->last_chunk_made = left == 0;
        c->chunk_len =
            (size_t)snprintf(c->chunk, sizeof(c->chunk), left > 0 ? "%s%zx\r\n" : "%s0\r\n\r\n", before, c->chunk_left);
        c->chunk_done = 0;
        return next_piece(l, c, length, kind);
    }
    if (c->body_done < l->body) {
        *kind = 2;
        *length = l->chunked
                      ? c->chunk_left
                      : (l->body - c->body_done > PATTERN_BYTES ? PATTERN_BYTES : (size_t)(l->body - c->body_done));
        return pattern_at(c->body_done, length);
    }
    return NULL;
}

static void client_write(struct load *l, struct client *c)
{
    size_t length = 0;
    int kind = 0;
    const char *at;

    while (c->fd >= 0 && c->busy && (at = next_piece(l, c, &length, &kind)) != NULL) {
        ssize_t n = send(c->fd, at, length, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return;
        if (n < 0) {
            if (c->connected)
                client_read(l, c); /* an early answer may stand in the socket */
            if (c->fd >= 0)
                connection_ended(l, c, c->connected ? "reset while sending" : "connect");
            return;
        }
        c->connected = true;
        if (kind == 0) {
            c->head_done += (size_t)n;
        } else if (kind == 1) {
            c->chunk_done += (size_t)n;
        } else {
            c->body_done += (uint64_t)n;
            if (l->chunked)
                c->chunk_left -= (size_t)n;
        }
    }
}

static bool may_start(const struct load *l, uint64_t now)
{
    if (l->ending || (l->requests > 0 && l->started >= l->requests))
        return false;
    return l->rate == 0 || l->started * 1000000000u <= (now - l->started_ns) * l->rate;
}

static void client_start(struct load *l, struct client *c)
{
    c->started_ns = now_ns();
    c->user = l->users > 0 ? (l->first_user + l->started) % l->users : 0;
    l->started++;
    request_write_head(l, c);
    request_begin(c);
    if (c->fd < 0 && !client_connect(l, c)) {
        request_failed(l, c, "connect");
        if (l->failed > 1000) /* nothing answers any more: do not spin */
            l->ending = true;
        return;
    }
    client_write(l, c);
}

/* Starts what may start; true while anything is under way or may still start. */
static bool start_due(struct load *l)
{
    uint64_t now = now_ns();
    bool busy = false;

    for (uint64_t i = 0; i < l->connections; i++) {
        struct client *c = &l->clients[i];
        if (!c->busy && may_start(l, now))
            client_start(l, c);
        if (c->busy && now > c->started_ns && now - c->started_ns > GIVE_UP_S * 1000000000ull)
            request_failed(l, c, "no answer");
        if (c->busy && c->resume_ns > 0 && now >= c->resume_ns) {
            c->resume_ns = 0;
            client_read(l, c);
        }
        busy = busy || c->busy;
    }
    return busy || !(l->ending || (l->requests > 0 && l->started >= l->requests));
}

static void on_event(struct load *l, struct client *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    if (events & EPOLLOUT)
        client_write(l, c);
    if (c->fd >= 0 && c->resume_ns == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        client_read(l, c);
}

static double quantile_ms(const struct load *l, double q)
{
    uint64_t wanted = (uint64_t)(q * (double)l->ok);
    uint64_t seen = 0;

    for (int i = 0; i < LATENCIES; i++) {
        seen += l->latency[i];
        if (seen > wanted)
            return (double)(i + 1) / 1000.0;
    }
    return (double)l->max_us / 1000.0;
}

static void report(const struct load *l)
{
    printf("{\"requests\":%llu,\"ok\":%llu,\"failed\":%llu,\"stale\":%llu,\"legacy\":%llu,\"new\":%llu,\"none\":%llu,",
           (unsigned long long)l->done, (unsigned long long)l->ok, (unsigned long long)l->failed,
           (unsigned long long)l->stale, (unsigned long long)l->legacy, (unsigned long long)l->new_side,
           (unsigned long long)l->no_side);
    printf("\"2xx\":%llu,\"3xx\":%llu,\"4xx\":%llu,\"5xx\":%llu,", (unsigned long long)l->status_class[2],
           (unsigned long long)l->status_class[3], (unsigned long long)l->status_class[4],
           (unsigned long long)l->status_class[5]);
    printf("\"users_to_new\":%llu,\"users_to_legacy\":%llu,\"bytes\":%llu,", (unsigned long long)l->to_new,
           (unsigned long long)l->to_legacy, (unsigned long long)l->bytes_in);
    printf("\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.1f,\"elapsed_s\":%.3f,\"failures\":[",
           quantile_ms(l, 0.5), quantile_ms(l, 0.9), quantile_ms(l, 0.99), (double)l->max_us / 1000.0,
           (double)(now_ns() - l->started_ns) / 1e9);
    for (uint64_t i = 0; i < l->failed && i < FAILURES_KEPT; i++) {
        const struct failure *f = &l->failures[i];
        printf("%s{\"what\":\"%s\",\"status\":%d,\"sent_ns\":%llu,\"failed_ns\":%llu,\"bytes\":%llu,\"reused\":%s}",
               i > 0 ? "," : "", f->what, f->status, (unsigned long long)f->sent_ns, (unsigned long long)f->failed_ns,
               (unsigned long long)f->got, f->reused ? "true" : "false");
    }
    printf("]}\n");
}

static void write_sides(const struct load *l)
{
    FILE *f = fopen(l->sides_file, "w");

    if (f == NULL || fwrite(l->sides, 1, l->users, f) != l->users || fclose(f) != 0)
        die(l->sides_file);
}

static void option_take(struct load *l, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **text;
        uint64_t *number;
        bool *flag;
    } options[] = {
        {"--to", &l->to, NULL, NULL},
        {"--path", &l->path, NULL, NULL},
        {"--method", &l->method, NULL, NULL},
        {"--host", &l->host, NULL, NULL},
        {"--field", &l->field, NULL, NULL},
        {"--sides", &l->sides_file, NULL, NULL},
        {"--connections", NULL, &l->connections, NULL},
        {"--requests", NULL, &l->requests, NULL},
        {"--users", NULL, &l->users, NULL},
        {"--first-user", NULL, &l->first_user, NULL},
        {"--rate", NULL, &l->rate, NULL},
        {"--body", NULL, &l->body, NULL},
        {"--slow", NULL, &l->slow, NULL},
        {"--chunked", NULL, NULL, &l->chunked},
        {"--verify", NULL, NULL, &l->verify},
        {"--fresh", NULL, NULL, &l->fresh},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (strcmp(name, options[i].name) != 0)
            continue;
        if (options[i].text != NULL)
            *options[i].text = value;
        else if (options[i].number != NULL)
            *options[i].number = strtoull(value, NULL, 10);
        else
            *options[i].flag = strcmp(value, "1") == 0;
        return;
    }
    fprintf(stderr, "unknown option %s\n", name);
    exit(2);
}

static void run(struct load *l)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    struct epoll_event ready[256];
    bool until_end = l->requests == 0;

    if (until_end && epoll_ctl(l->epoll, EPOLL_CTL_ADD, 0, &event) < 0)
        die("epoll_ctl");
    l->started_ns = now_ns();
    while (start_due(l)) {
        int n = epoll_wait(l->epoll, ready, 256, l->rate > 0 || l->slow > 0 ? 1 : 100);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            char text[64];
            if (ready[i].data.ptr != NULL)
                on_event(l, ready[i].data.ptr, ready[i].events);
            else if (read(0, text, sizeof(text)) <= 0 && epoll_ctl(l->epoll, EPOLL_CTL_DEL, 0, NULL) == 0)
                l->ending = true;
        }
    }
}

int main(int argc, char **argv)
{
    static struct load l = {.path = "/", .method = "GET", .host = "shunt.test", .connections = 8};

    for (int i = 1; i + 1 < argc; i += 2)
        option_take(&l, argv[i], argv[i + 1]);
    if (l.to == NULL || l.connections == 0)
        return fprintf(stderr, "--to ADDRESS is needed, and at least one connection\n"), 2;
    pattern_init();
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l.epoll < 0)
        die("epoll_create1");
    l.clients = must_alloc(l.connections * sizeof(*l.clients));
    l.scratch = must_alloc(READ_ROOM);
    l.sides = must_alloc(l.users + 1);
    memset(l.sides, '?', l.users);
    for (uint64_t i = 0; i < l.connections; i++)
        l.clients[i].fd = -1;
    run(&l);
    report(&l);
    if (l.sides_file != NULL)
        write_sides(&l);
    free(l.clients);
    free(l.scratch);
    free(l.sides);
    return 0;
}
