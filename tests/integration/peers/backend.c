/*
 * A fast backend whose misbehaviour is switched while it runs.
 *
 *   backend --name new [--listen 127.0.0.1:0] [--seed N] [--wrong SHARE]
 *
 * Prints "listening ADDRESS", answers HTTP/1.1 and takes commands on standard input, one per line, each answered by a
 * line:
 *
 *   ok | status N | delay MS | hang | reset | garbage | close    how requests are answered from now on
 *   refuse | accept       closes the listening socket and every connection; opens it again on the same port
 *   kill                  closes every connection (idle ones as well), keeps listening
 *   counts {"requests":N,"connections":N,"open":N,"body_bytes":N,"shadows":N,"first_ns":N,"last_ns":N,"mark_ns":N} zero
 * sets the counts to zero mark N                sets them to zero, and mark_ns will be the time when request N came
 * that is not answered well
 *
 * The path may ask for something: /bytes/N (Content-Length), /chunked/N, /status/N, /delay/MS, or /order/ID (see
 * order.h:
 * --seed and --wrong are for it); anything else gets a small JSON body. Every answer names this backend (X-Backend)
 * and, for a request with a body, says how long it was and whether it was the pattern (X-Body-Length, X-Body-Match).
 * End of standard input ends the program.
 */
#include "order.h"
#include "peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum mode {
    MODE_OK,
    MODE_STATUS,
    MODE_HANG,
    MODE_RESET,
    MODE_GARBAGE,
    MODE_CLOSE
};
enum {
    HEAD_ROOM = 65536,
    READ_ROOM = 262144
};

enum reading {
    READ_HEAD,
    READ_LENGTH,
    READ_CHUNK_LINE,
    READ_CHUNK,
    READ_CHUNK_END,
    READ_TRAILERS,
    READ_WAIT
};

struct conn {
    struct conn *next, **link;
    int fd;
    enum reading reading;
    bool keep_alive, is_head, has_body, matches, writing, waiting_delay;
    char path[256];
    char *in; /* HEAD_ROOM bytes: the head, or a chunk line, being read */
    size_t in_len;
    uint64_t remaining; /* of the body or the chunk */
    uint64_t body_len;
    uint64_t due_ns; /* a delayed answer */
    char out[2048];  /* head of the answer, and a small body */
    size_t out_len, out_done;
    uint64_t send_len, send_done; /* pattern bytes behind it */
    bool chunked_out;
    size_t chunk_left; /* pattern bytes left of the chunk being sent */
};

struct backend {
    const char *name;
    char address[128];
    int epoll, listener;
    struct conn *conns;
    enum mode mode;
    int status;
    uint64_t delay_ns;
    uint64_t requests, connections, open, body_bytes, shadows, first_ns, last_ns, mark, mark_ns, bad;
    struct order order;
    char *scratch; /* READ_ROOM bytes */
    bool over;
};

static void conn_close(struct backend *b, struct conn *c, bool reset)
{
    struct linger now = {1, 0};

    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(c->fd);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    b->open--;
    free(c->in);
    free(c);
}

static void conn_register(struct backend *b, struct conn *c, bool writing, int operation)
{
    struct epoll_event event = {.events = writing ? EPOLLOUT : EPOLLIN, .data.ptr = c};

    if (epoll_ctl(b->epoll, operation, c->fd, &event) < 0)
        die("epoll_ctl");
    c->writing = writing;
}

static void conn_await(struct backend *b, struct conn *c, bool writing)
{
    if (c->writing != writing)
        conn_register(b, c, writing, EPOLL_CTL_MOD);
}

static uint64_t path_number(const char *path, const char *prefix, bool *found)
{
    size_t n = strlen(prefix);

    *found = strncmp(path, prefix, n) == 0;
    return *found ? strtoull(path + n, NULL, 10) : 0;
}

static void answer_head(struct backend *b, struct conn *c, int status, const char *framing)
{
    int n = snprintf(c->out, sizeof(c->out), "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nX-Backend: %s\r\n",
                     status, status == 200 ? "OK" : "Asked", b->name);

    if (c->has_body)
        n += snprintf(c->out + n, sizeof(c->out) - (size_t)n, "X-Body-Length: %llu\r\nX-Body-Match: %s\r\n",
                      (unsigned long long)c->body_len, c->matches ? "yes" : "no");
    n += snprintf(c->out + n, sizeof(c->out) - (size_t)n, "%s%s\r\n", c->keep_alive ? "" : "Connection: close\r\n",
                  framing);
    c->out_len = (size_t)n;
    c->out_done = 0;
}

/* Makes the answer to the request just read. False when the connection is gone. */
static bool answer(struct backend *b, struct conn *c)
{
    static const char garbage[] = "\x16\x03\x01 this is not HTTP\r\n\r\n";
    char framing[64];
    bool found;
    uint64_t n;
    int status = 200;

    if (b->mode == MODE_RESET || b->mode == MODE_CLOSE) {
        conn_close(b, c, b->mode == MODE_RESET);
        return false;
    }
    if (b->mode == MODE_HANG)
        return true;
    c->send_len = c->send_done = 0;
    c->chunked_out = false;
    if (b->mode == MODE_GARBAGE) {
        memcpy(c->out, garbage, sizeof(garbage) - 1);
        c->out_len = sizeof(garbage) - 1;
        c->out_done = 0;
        c->keep_alive = false;
        return true;
    }
    if (b->mode == MODE_STATUS)
        status = b->status;
    n = path_number(c->path, "/status/", &found);
    if (found)
        status = (int)n;
    n = path_number(c->path, "/bytes/", &found);
    if (found) {
        snprintf(framing, sizeof(framing), "Content-Length: %llu\r\n", (unsigned long long)n);
        answer_head(b, c, status, framing);
        c->send_len = c->is_head ? 0 : n;
        return true;
    }
    n = path_number(c->path, "/chunked/", &found);
    if (found) {
        answer_head(b, c, status, "Transfer-Encoding: chunked\r\n");
        c->chunked_out = !c->is_head;
        c->chunk_left = 0;
        c->send_len = c->is_head ? 0 : n;
        return true;
    }
    char body[1024];
    bool is_order = strncmp(c->path, "/order/", 7) == 0;
    size_t length = is_order ? order_write(&b->order, body, sizeof(body))
                             : (size_t)snprintf(body, sizeof(body), "{\"backend\":\"%s\",\"n\":7}\n", b->name);
    snprintf(framing, sizeof(framing), "Content-Length: %zu\r\n", length);
    answer_head(b, c, status, framing);
    if (!c->is_head) {
        memcpy(c->out + c->out_len, body, length);
        c->out_len += length;
    }
    return true;
}

/* Sends what there is to send. False when the connection is gone. */
static bool conn_write(struct backend *b, struct conn *c)
{
    for (;;) {
        const char *at;
        size_t length;
        ssize_t n;
        bool of_body = false;

        if (c->out_done < c->out_len) {
            at = c->out + c->out_done;
            length = c->out_len - c->out_done;
        } else if (c->send_done < c->send_len && c->chunked_out && c->chunk_left == 0) {
            uint64_t left = c->send_len - c->send_done;
            c->chunk_left = left > 60000 ? 60000 : (size_t)left;
            c->out_len =
                (size_t)snprintf(c->out, sizeof(c->out), "%s%zx\r\n", c->send_done > 0 ? "\r\n" : "", c->chunk_left);
            c->out_done = 0;
            continue;
        } else if (c->send_done < c->send_len) {
            length = c->chunked_out
                         ? c->chunk_left
                         : (c->send_len - c->send_done > PATTERN_BYTES ? PATTERN_BYTES
                                                                       : (size_t)(c->send_len - c->send_done));
            at = pattern_at(c->send_done, &length);
            of_body = true;
        } else if (c->chunked_out) {
            c->out_len = (size_t)snprintf(c->out, sizeof(c->out), "%s0\r\n\r\n", c->send_done > 0 ? "\r\n" : "");
            c->out_done = 0;
            c->chunked_out = false;
            continue;
        } else {
            break;
        }
        n = send(c->fd, at, length, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) {
                conn_await(b, c, true);
                return true;
            }
            conn_close(b, c, false);
            return false;
        }
        if (of_body) {
            c->send_done += (uint64_t)n;
            if (c->chunked_out)
                c->chunk_left -= (size_t)n;
        } else {
            c->out_done += (size_t)n;
        }
    }
    if (!c->keep_alive) {
        shutdown(c->fd, SHUT_WR);
        conn_close(b, c, false);
        return false;
    }
    c->reading = READ_HEAD;
    c->out_len = c->out_done = 0;
    conn_await(b, c, false);
    return true;
}

static bool request_complete(struct backend *b, struct conn *c)
{
    bool found;
    uint64_t ms = path_number(c->path, "/delay/", &found);
    uint64_t delay_ns = found ? ms * 1000000u : b->delay_ns;

    c->reading = READ_WAIT;
    if (delay_ns > 0) {
        c->waiting_delay = true;
        c->due_ns = now_ns() + delay_ns;
        return true;
    }
    if (!answer(b, c))
        return false;
    return c->out_len == 0 || conn_write(b, c);
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

static bool head_complete(struct backend *b, struct conn *c)
{
    const char *space = strchr(c->in, ' ');
    const char *value;
    size_t n = 0;

    b->requests++;
    b->last_ns = now_ns();
    if (b->first_ns == 0)
        b->first_ns = b->last_ns;
    if (b->mode != MODE_OK && ++b->bad == b->mark)
        b->mark_ns = b->last_ns;
    c->is_head = strncmp(c->in, "HEAD ", 5) == 0;
    while (space != NULL && space[1 + n] != ' ' && n < sizeof(c->path) - 1)
        n++;
    memcpy(c->path, space != NULL ? space + 1 : "", n);
    c->path[n] = '\0';
    value = field_value(c->in, "connection");
    c->keep_alive = value == NULL || strncasecmp(value, "close", 5) != 0;
    if (field_value(c->in, "x-shunt-shadow") != NULL)
        b->shadows++;
    c->body_len = 0;
    c->matches = true;
    c->has_body = false;
    value = field_value(c->in, "expect");
    if (value != NULL && strncasecmp(value, "100-continue", 12) == 0) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        if (send(c->fd, go_on, sizeof(go_on) - 1, MSG_NOSIGNAL) < 0) {
            conn_close(b, c, false);
            return false;
        }
    }
    value = field_value(c->in, "transfer-encoding");
    if (value != NULL) {
        c->has_body = true;
        c->reading = READ_CHUNK_LINE;
        c->in_len = 0;
        return true;
    }
    value = field_value(c->in, "content-length");
    if (value != NULL) {
        c->has_body = true;
        c->remaining = strtoull(value, NULL, 10);
        c->reading = READ_LENGTH;
        c->in_len = 0;
        return c->remaining > 0 || request_complete(b, c);
    }
    c->in_len = 0;
    return request_complete(b, c);
}

/* Collects a line in c->in up to its LF; *taken bytes were used. True when it is complete (NUL-terminated, without
 * CRLF). */
static bool line_collect(struct conn *c, const char *at, size_t length, size_t *taken)
{
    const char *end = memchr(at, '\n', length);

    *taken = end != NULL ? (size_t)(end - at) + 1 : length;
    if (c->in_len + *taken > HEAD_ROOM - 1) {
        errno = EMSGSIZE;
        die("line");
    }
    memcpy(c->in + c->in_len, at, *taken);
    c->in_len += *taken;
    c->in[c->in_len] = '\0';
    return end != NULL;
}

static bool body_take(struct conn *c, struct backend *b, const char *at, size_t length)
{
    c->matches = c->matches && pattern_matches(at, length, c->body_len);
    c->body_len += length;
    b->body_bytes += length;
    c->remaining -= length;
    return c->remaining == 0;
}

/* Takes bytes that came. False when the connection is gone. Bytes behind a whole request are an error of the test's
 * proxy: shunt never pipelines to a backend. */
static bool conn_take(struct backend *b, struct conn *c, const char *at, size_t length)
{
    while (length > 0) {
        size_t taken = length;
        switch (c->reading) {
        case READ_HEAD:
            if (line_collect(c, at, length, &taken) && c->in_len >= 4 &&
                memcmp(c->in + c->in_len - 4, "\r\n\r\n", 4) == 0 && !head_complete(b, c))
                return false;
            break;
        case READ_LENGTH:
            taken = length < c->remaining ? length : (size_t)c->remaining;
            if (body_take(c, b, at, taken) && !request_complete(b, c))
                return false;
            break;
        case READ_CHUNK_LINE:
            if (line_collect(c, at, length, &taken)) {
                c->remaining = strtoull(c->in, NULL, 16);
                c->in_len = 0;
                c->reading = c->remaining > 0 ? READ_CHUNK : READ_TRAILERS;
            }
            break;
        case READ_CHUNK:
            taken = length < c->remaining ? length : (size_t)c->remaining;
            if (body_take(c, b, at, taken))
                c->reading = READ_CHUNK_END;
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
                if (last && !request_complete(b, c))
                    return false;
            }
            break;
        case READ_WAIT:
            fprintf(stderr, "%s: bytes behind a request that is not answered yet\n", b->name);
            conn_close(b, c, true);
            return false;
        }
        at += taken;
        length -= taken;
    }
    return true;
}

static void on_readable(struct backend *b, struct conn *c)
{
    /* An answer being written waits for EPOLLOUT only, so this is always a request's part, or the end. */
    ssize_t n = recv(c->fd, b->scratch, READ_ROOM, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        conn_close(b, c, false);
        return;
    }
    conn_take(b, c, b->scratch, (size_t)n);
}

static void on_accept(struct backend *b)
{
    for (;;) {
        int fd = accept4(b->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct conn *c;
        int one = 1;
        if (fd < 0)
            return;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
                         sizeof(one)); /* fails on a unix socket, which needs it not */
        c = must_alloc(sizeof(*c));
        c->in = must_alloc(HEAD_ROOM);
        c->fd = fd;
        c->next = b->conns;
        c->link = &b->conns;
        if (b->conns != NULL)
            b->conns->link = &c->next;
        b->conns = c;
        b->connections++;
        b->open++;
        conn_register(b, c, false, EPOLL_CTL_ADD);
    }
}

/* Answers what is due; returns milliseconds until the next one, -1 when there is none. */
static int run_delays(struct backend *b)
{
    uint64_t now = now_ns();
    uint64_t next = UINT64_MAX;

    for (struct conn *c = b->conns, *after; c != NULL; c = after) {
        after = c->next;
        if (!c->waiting_delay)
            continue;
        if (c->due_ns > now) {
            next = c->due_ns < next ? c->due_ns : next;
            continue;
        }
        c->waiting_delay = false;
        if (answer(b, c) && c->out_len > 0)
            conn_write(b, c);
    }
    return next == UINT64_MAX ? -1 : (int)((next - now) / 1000000u) + 1;
}

static void listener_open(struct backend *b)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &b->listener};
    char address[sizeof(b->address)];

    snprintf(address, sizeof(address), "%s", b->address);
    b->listener = socket_listen(address, b->address, sizeof(b->address));
    if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, b->listener, &event) < 0)
        die("epoll_ctl");
}

static void close_all(struct backend *b)
{
    for (struct conn *c = b->conns, *next; c != NULL; c = next) {
        next = c->next;
        conn_close(b, c, false);
    }
}

static void command_run(struct backend *b, char *line)
{
    char *argument = strchr(line, ' ');
    int number = argument != NULL ? atoi(argument + 1) : 0;

    if (argument != NULL)
        *argument = '\0';
    if (strcmp(line, "ok") == 0) {
        b->mode = MODE_OK;
        b->delay_ns = 0;
    } else if (strcmp(line, "status") == 0) {
        b->mode = MODE_STATUS;
        b->status = number;
    } else if (strcmp(line, "delay") == 0) {
        b->delay_ns = (uint64_t)number * 1000000u;
    } else if (strcmp(line, "hang") == 0) {
        b->mode = MODE_HANG;
    } else if (strcmp(line, "reset") == 0) {
        b->mode = MODE_RESET;
    } else if (strcmp(line, "garbage") == 0) {
        b->mode = MODE_GARBAGE;
    } else if (strcmp(line, "close") == 0) {
        b->mode = MODE_CLOSE;
    } else if (strcmp(line, "kill") == 0) {
        close_all(b);
    } else if (strcmp(line, "refuse") == 0) {
        if (b->listener >= 0)
            close(b->listener);
        b->listener = -1;
        close_all(b);
    } else if (strcmp(line, "accept") == 0) {
        if (b->listener < 0)
            listener_open(b);
    } else if (strcmp(line, "zero") == 0 || strcmp(line, "mark") == 0) {
        b->requests = b->connections = b->body_bytes = b->shadows = b->first_ns = b->last_ns = b->mark_ns = b->bad = 0;
        b->mark = (uint64_t)number;
    } else if (strcmp(line, "counts") == 0) {
        printf("{\"requests\":%llu,\"connections\":%llu,\"open\":%llu,\"body_bytes\":%llu,\"shadows\":%llu,\"first_"
               "ns\":%llu,"
               "\"last_ns\":%llu,\"mark_ns\":%llu}\n",
               (unsigned long long)b->requests, (unsigned long long)b->connections, (unsigned long long)b->open,
               (unsigned long long)b->body_bytes, (unsigned long long)b->shadows, (unsigned long long)b->first_ns,
               (unsigned long long)b->last_ns, (unsigned long long)b->mark_ns);
        fflush(stdout);
        return;
    } else {
        printf("unknown command: %s\n", line);
        fflush(stdout);
        return;
    }
    printf("done\n");
    fflush(stdout);
}

static void on_commands(struct backend *b)
{
    static char text[4096];
    static size_t length;
    ssize_t n = read(0, text + length, sizeof(text) - 1 - length);
    char *end;

    if (n <= 0) {
        b->over = true;
        return;
    }
    length += (size_t)n;
    text[length] = '\0';
    while ((end = strchr(text, '\n')) != NULL) {
        *end = '\0';
        command_run(b, text);
        length -= (size_t)(end + 1 - text);
        memmove(text, end + 1, length + 1);
    }
}

/* Two sources are told apart from connections by their address. */
static void run(struct backend *b)
{
    static int commands;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &commands};

    if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, 0, &event) < 0)
        die("epoll_ctl");
    while (!b->over) {
        struct epoll_event ready; /* one at a time: an event may close the connection of another */
        int n = epoll_wait(b->epoll, &ready, 1, run_delays(b));
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        if (n <= 0)
            continue;
        if (ready.data.ptr == &commands) {
            on_commands(b);
        } else if (ready.data.ptr == &b->listener) {
            on_accept(b);
        } else {
            struct conn *c = ready.data.ptr;
            if (c->writing)
                conn_write(b, c);
            else
                on_readable(b, c);
        }
    }
}

int main(int argc, char **argv)
{
    struct backend b = {.name = "legacy", .address = "127.0.0.1:0", .order.random = 1};

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--name") == 0)
            b.name = argv[i + 1];
        else if (strcmp(argv[i], "--listen") == 0)
            snprintf(b.address, sizeof(b.address), "%s", argv[i + 1]);
        else if (strcmp(argv[i], "--seed") == 0)
            b.order.random = strtoull(argv[i + 1], NULL, 10) * 0x9e3779b97f4a7c15u | 1;
        else if (strcmp(argv[i], "--wrong") == 0)
            b.order.wrong = strtod(argv[i + 1], NULL);
        else
            return fprintf(stderr, "unknown option %s; known: --name --listen --seed --wrong\n", argv[i]), 2;
    }
    pattern_init();
    b.scratch = must_alloc(READ_ROOM);
    b.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (b.epoll < 0)
        die("epoll_create1");
    listener_open(&b);
    printf("listening %s\n", b.address);
    fflush(stdout);
    run(&b);
    close_all(&b);
    free(b.scratch);
    return 0;
}
