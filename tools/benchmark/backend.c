/*
 * The benchmark's backend: HTTP/1.1 answers that cost next to nothing to give.
 *
 * One thread, one edge-triggered epoll loop, every answer built once at the start. It reads just enough of a request to
 * know where it ends (blank line, Content-Length) and drains bodies; chunked requests get 411. `/large` answers 1 MiB,
 * everything else 200 bytes. With --hang it reads and never answers. It trusts its clients and is of no use outside
 * tools/bench and tests/bench.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/benchmark/socket.h"

enum {
    HEAD_MAX = 8192,
    SMALL_BODY = 200,
    LARGE_BODY = 1 << 20,
    MAX_FD = 65536,
    EVENTS = 256
};

struct answer {
    char *bytes;
    size_t len;
};

struct conn {
    char head[HEAD_MAX]; /* an unfinished head */
    size_t have;
    uint64_t body_left;          /* of the request being drained */
    const struct answer *answer; /* what is being sent; NULL: nothing */
    size_t sent;
    bool last; /* close after the answer */
};

struct backend {
    int epoll;
    int listener;
    bool hang;
    struct answer small;
    struct answer small_last; /* says Connection: close */
    struct answer large;
    struct answer refusal;
    struct conn *conns[MAX_FD]; /* by descriptor; kept for the next connection with the same number */
};

static struct answer answer_make(const char *status, const char *fields, size_t body)
{
    static const char opening[] = "{\"id\":4711,\"state\":\"shipped\",\"items\":[1,2,3],\"note\":\"";
    struct answer answer;
    char head[256];
    int head_len =
        snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n",
                 status, body, fields);
    answer.len = (size_t)head_len + body;
    answer.bytes = malloc(answer.len);
    if (answer.bytes == NULL)
        fail("malloc");
    memcpy(answer.bytes, head, (size_t)head_len);
    if (body == 0)
        return answer;
    char *at = answer.bytes + head_len;
    memset(at, 'x', body);
    memcpy(at, opening, sizeof(opening) - 1);
    memcpy(at + body - 2, "\"}", 2);
    return answer;
}

static void conn_close(struct backend *backend, int fd)
{
    struct conn *conn = backend->conns[fd];
    conn->have = 0;
    conn->body_left = 0;
    conn->answer = NULL;
    conn->last = false;
    close(fd);
}

/* False: the connection is over. */
static bool conn_send(struct backend *backend, int fd)
{
    struct conn *conn = backend->conns[fd];
    while (conn->answer != NULL) {
        ssize_t n = send(fd, conn->answer->bytes + conn->sent, conn->answer->len - conn->sent, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN;
        conn->sent += (size_t)n;
        if (conn->sent == conn->answer->len) {
            conn->answer = NULL;
            if (conn->last)
                return false;
        }
    }
    return true;
}

/* The value of a field in a head, or NULL. `name` is written "\nname:". */
static const char *head_find(const char *head, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    for (const char *at = head; (at = memchr(at, '\n', len - (size_t)(at - head))) != NULL; at++) {
        if ((size_t)(head + len - at) > name_len && strncasecmp(at, name, name_len) == 0)
            return at + name_len;
    }
    return NULL;
}

static void conn_request(struct backend *backend, struct conn *conn, const char *head, size_t len)
{
    const char *length = head_find(head, len, "\ncontent-length:");
    const char *connection = head_find(head, len, "\nconnection:");
    conn->body_left = length == NULL ? 0 : strtoull(length, NULL, 10);
    conn->last = connection != NULL && strncasecmp(connection + strspn(connection, " "), "close", 5) == 0;
    const char *target = memchr(head, ' ', len);
    conn->answer = target != NULL && strncmp(target, " /large", 7) == 0 ? &backend->large
                   : conn->last                                         ? &backend->small_last
                                                                        : &backend->small;
    if (head_find(head, len, "\ntransfer-encoding:") != NULL) {
        conn->answer = &backend->refusal;
        conn->last = true;
    }
    conn->sent = 0;
    if (backend->hang)
        conn->answer = NULL;
}

/* Takes what was read and answers every request that is complete in it. False: the connection is over. */
static bool conn_take(struct backend *backend, int fd, const char *bytes, size_t len)
{
    struct conn *conn = backend->conns[fd];
    while (len > 0) {
        if (conn->body_left > 0) {
            size_t part = conn->body_left < len ? (size_t)conn->body_left : len;
            conn->body_left -= part;
            bytes += part;
            len -= part;
        } else {
            size_t before = conn->have;
            size_t part = len < HEAD_MAX - before ? len : HEAD_MAX - before;
            if (part == 0)
                return false;
            memcpy(conn->head + before, bytes, part);
            const char *end = memmem(conn->head, before + part, "\r\n\r\n", 4);
            if (end == NULL) {
                conn->have += part;
                bytes += part;
                len -= part;
                continue;
            }
            size_t head_len = (size_t)(end - conn->head) + 4;
            bytes += head_len - before;
            len -= head_len - before;
            conn->have = 0;
            conn_request(backend, conn, conn->head, head_len);
        }
        if (conn->body_left == 0 && conn->answer != NULL && !conn_send(backend, fd))
            return false;
        if (conn->answer != NULL && conn->body_left == 0 && len > 0)
            return false; /* pipelined behind an answer that does not fit the socket: not for this backend */
    }
    return true;
}

static bool conn_read(struct backend *backend, int fd)
{
    static char bytes[65536];
    for (;;) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
        if (n < 0)
            return true;
        if (!conn_take(backend, fd, bytes, (size_t)n))
            return false;
        if ((size_t)n < sizeof(bytes))
            return true; /* a short read has emptied the socket; more makes a new edge */
    }
}

static void accept_all(struct backend *backend)
{
    int fd;
    while ((fd = socket_accept(backend->listener)) >= 0) {
        if (fd < MAX_FD && backend->conns[fd] == NULL)
            backend->conns[fd] = calloc(1, sizeof(struct conn));
        if (fd >= MAX_FD || backend->conns[fd] == NULL) {
            close(fd);
            continue;
        }
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
        if (epoll_ctl(backend->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            conn_close(backend, fd);
    }
}

static void serve(struct backend *backend)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(backend->epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            bool alive = true;
            if (fd == backend->listener) {
                accept_all(backend);
                continue;
            }
            if ((events[i].events & EPOLLOUT) != 0 && backend->conns[fd]->answer != NULL)
                alive = conn_send(backend, fd);
            if (alive && (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
                alive = conn_read(backend, fd);
            if (!alive)
                conn_close(backend, fd);
        }
    }
}

int main(int argc, char **argv)
{
    static struct backend backend;
    const char *address = "0";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--hang") == 0)
            backend.hang = true;
        else if (strcmp(argv[i], "--listen") == 0 && i + 1 < argc)
            address = argv[++i];
        else {
            fprintf(stderr, "usage: %s [--listen PORT|PATH] [--hang]\n", argv[0]);
            return 2;
        }
    }
    backend.small = answer_make("200 OK", "", SMALL_BODY);
    backend.small_last = answer_make("200 OK", "Connection: close\r\n", SMALL_BODY);
    backend.large = answer_make("200 OK", "", LARGE_BODY);
    backend.refusal = answer_make("411 Length Required", "Connection: close\r\n", 0);
    backend.listener = socket_listen(address);
    backend.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (backend.epoll < 0)
        fail("epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = backend.listener};
    if (epoll_ctl(backend.epoll, EPOLL_CTL_ADD, backend.listener, &event) < 0)
        fail("epoll_ctl");
    printf("%d\n", socket_port(backend.listener));
    if (fflush(stdout) != 0)
        fail("stdout");
    serve(&backend);
}
