/*
 * The cheapest thing that can stand between a client and a backend: a relay of raw bytes.
 *
 * One thread, one edge-triggered epoll loop, one upstream connection for each client connection, no look at what
 * passes. tools/bench measures proxies against it: what they cost above it is what they do.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/benchmark/socket.h"

enum {
    EVENTS = 256,
    CHUNK = 65536
};

/* One direction of a pair waits with at most CHUNK bytes; while it does, its source is not read. */
struct end {
    struct pair *pair;
    struct end *other;
    int fd;
    bool connected; /* false until the upstream socket has said so */
    bool ended;     /* its peer will send no more */
    char *waiting;  /* bytes for this end that did not fit its socket; NULL: none */
    size_t start;
    size_t len;
};

struct pair {
    struct end client;
    struct end upstream;
    struct pair *next_dead;
    bool dead;
};

struct relay {
    int epoll;
    int listener;
    const char *backend;
    struct pair *dead; /* freed after the round, since its other end may still have an event in it */
};

static void pair_kill(struct relay *relay, struct pair *pair)
{
    if (pair->dead)
        return;
    pair->dead = true;
    close(pair->client.fd);
    close(pair->upstream.fd);
    pair->next_dead = relay->dead;
    relay->dead = pair;
}

static void bury(struct relay *relay)
{
    while (relay->dead != NULL) {
        struct pair *pair = relay->dead;
        relay->dead = pair->next_dead;
        free(pair->client.waiting);
        free(pair->upstream.waiting);
        free(pair);
    }
}

static bool end_keep(struct end *to, const char *bytes, size_t len)
{
    to->waiting = malloc(len);
    if (to->waiting == NULL)
        return false;
    memcpy(to->waiting, bytes, len);
    to->start = 0;
    to->len = len;
    return true;
}

/* Sends what waits for this end. False: the pair is over. */
static bool end_flush(struct end *to)
{
    if (to->waiting == NULL)
        return true;
    ssize_t n = send(to->fd, to->waiting + to->start, to->len - to->start, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN;
    to->start += (size_t)n;
    if (to->start == to->len) {
        free(to->waiting);
        to->waiting = NULL;
    }
    return true;
}

/* Reads this end until it is empty or the other is full. False: the pair is over. */
static bool end_relay(struct end *from)
{
    static char bytes[CHUNK];
    struct end *to = from->other;
    while (to->waiting == NULL && !from->ended) {
        ssize_t n = recv(from->fd, bytes, sizeof(bytes), 0);
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0) {
            from->ended = true;
            return !to->ended && shutdown(to->fd, SHUT_WR) == 0;
        }
        ssize_t sent = to->connected ? send(to->fd, bytes, (size_t)n, MSG_NOSIGNAL) : 0;
        if (sent < 0 && errno != EAGAIN)
            return false;
        if (sent < 0)
            sent = 0;
        if (sent < n && !end_keep(to, bytes + sent, (size_t)(n - sent)))
            return false;
        if ((size_t)n < sizeof(bytes))
            return true; /* a short read has emptied the socket */
    }
    return true;
}

static bool end_watch(struct relay *relay, struct end *end)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = end};
    return epoll_ctl(relay->epoll, EPOLL_CTL_ADD, end->fd, &event) == 0;
}

static void accept_all(struct relay *relay)
{
    int fd;
    while ((fd = socket_accept(relay->listener)) >= 0) {
        struct pair *pair = calloc(1, sizeof(*pair));
        int upstream = pair == NULL ? -1 : socket_connect(relay->backend);
        if (upstream < 0) {
            free(pair);
            close(fd);
            continue;
        }
        pair->client = (struct end){.pair = pair, .other = &pair->upstream, .fd = fd, .connected = true};
        pair->upstream = (struct end){.pair = pair, .other = &pair->client, .fd = upstream};
        if (!end_watch(relay, &pair->client) || !end_watch(relay, &pair->upstream))
            pair_kill(relay, pair);
    }
}

static void on_event(struct relay *relay, struct end *end, uint32_t events)
{
    bool alive = true;
    bool was_full = end->waiting != NULL;
    if ((events & EPOLLOUT) != 0) {
        end->connected = true;
        alive = end_flush(end);
        if (alive && was_full && end->waiting == NULL)
            alive = end_relay(end->other); /* its edge passed while we were full */
    }
    if (alive && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        alive = end_relay(end);
    if (!alive)
        pair_kill(relay, end->pair);
}

int main(int argc, char **argv)
{
    struct relay relay = {.dead = NULL};
    if (argc != 3) {
        fprintf(stderr, "usage: %s LISTEN BACKEND   (each a port of 127.0.0.1 or the path of a unix socket)\n",
                argv[0]);
        return 2;
    }
    relay.backend = argv[2];
    relay.listener = socket_listen(argv[1]);
    relay.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (relay.epoll < 0)
        fail("epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(relay.epoll, EPOLL_CTL_ADD, relay.listener, &event) < 0)
        fail("epoll_ctl");
    printf("%d\n", socket_port(relay.listener));
    if (fflush(stdout) != 0)
        fail("stdout");

    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(relay.epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct end *end = events[i].data.ptr;
            if (end == NULL)
                accept_all(&relay);
            else if (!end->pair->dead)
                on_event(&relay, end, events[i].events);
        }
        bury(&relay);
    }
}
