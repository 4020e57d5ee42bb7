/*
 * Accepting: see listener.h. Worker thread. A connection is taken only when it can be served: over the connection
 * limit, out of descriptors or memory it waits in the kernel's queue, and copies give way first. When it ends, who
 * waits there is served, too, before the socket closes.
 */
#include "proxy/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/downstream.h"
#include "proxy/worker_inside.h"
#include "proxy/worker_memory.h"

enum {
    ACCEPTS_PER_EVENT = 64,
    CLIENT_BYTES = 8 * 1024, /* what a client takes by and by, the kernel's part included */
    UNSENT_IN_KERNEL = 128 * 1024,
    TLS_CLIENT_BYTES = 64 * 1024, /* likewise; half of it until its handshake is over */
};

struct listener {
    struct listener *next;
    struct worker *worker;
    struct event event;
    uint32_t id;
    int fd;
    bool listening; /* the event is registered */
    bool last;      /* only those are taken who wait already: no event, the tick looks; then it closes */
    bool known;     /* a snapshot has named it: the facts below are those of the newest that did */
    uint64_t seen;  /* generation of the snapshot that was looked at last */
    struct listener_facts facts;
};

/* What the file says of the listener now. One that it does not name any more, and which is about to close, keeps what
 * it was told. */
static void look_up(struct listener *listener)
{
    const struct snapshot *snapshot = listener->worker->view->snapshot;
    if (listener->seen == snapshot->generation)
        return;
    listener->seen = snapshot->generation;
    for (uint32_t i = 0; i < snapshot->listener_count; i++) {
        if (snapshot->listener_ids[i] != listener->id)
            continue;
        tls_context_unref(listener->facts.tls);
        listener->facts.tls = tls_context_ref(snapshot->listener_tls[i]);
        listener->facts.protocols = snapshot->config->listeners[i].protocols;
        listener->known = true;
        return;
    }
}

static void client_address_from(struct client_address *to, const struct sockaddr_storage *from)
{
    memset(to, 0, sizeof(*to));
    if (from->ss_family == AF_INET) {
        to->length = 4;
        memcpy(to->bytes, &((const struct sockaddr_in *)from)->sin_addr, 4);
    } else if (from->ss_family == AF_INET6) {
        const struct in6_addr *address = &((const struct sockaddr_in6 *)from)->sin6_addr;
        /* An IPv4 client on a dual-stack socket is the same client. */
        bool mapped = IN6_IS_ADDR_V4MAPPED(address);
        to->length = mapped ? 4 : 16;
        memcpy(to->bytes, address->s6_addr + (mapped ? 12 : 0), to->length);
    }
}

static void pause_accepting(struct worker *worker)
{
    worker->accept_paused = true;
    for (struct listener *l = worker->listeners; l != NULL; l = l->next) {
        if (l->listening)
            event_del(&l->event);
        l->listening = false;
    }
}

static bool is_full(const struct worker *worker)
{
    uint64_t open = worker->counters.downstream_active + worker->tunnels_open;
    return open >= worker_part(worker, worker->view->config->limits.connections) ||
           !worker_memory_allows_clients(worker, open);
}

enum accepted {
    ACCEPTED,        /* or it has gone: there may be another one */
    ACCEPTED_NOBODY, /* the queue is empty */
    ACCEPT_AGAIN,    /* something was freed that was missing */
    ACCEPT_LATER,
};

static enum accepted accept_one(struct listener *listener)
{
    struct worker *worker = listener->worker;
    struct sockaddr_storage from;
    socklen_t length = sizeof(from);
    from.ss_family = AF_UNSPEC;
    int fd = accept4(listener->fd, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EINTR || errno == ECONNABORTED)
            return ACCEPTED;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return ACCEPTED_NOBODY;
        count_add(&worker->counters.accept_errors, 1);
        return worker_shed_shadow(worker) ? ACCEPT_AGAIN : ACCEPT_LATER;
    }
    struct client_address client;
    client_address_from(&client, &from);
    downstream_accept(worker, &listener->facts, fd, &client);
    worker_memory_promise(worker, listener->facts.tls != NULL ? TLS_CLIENT_BYTES : CLIENT_BYTES);
    return ACCEPTED;
}

static void on_accept(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct listener *listener = context;
    struct worker *worker = listener->worker;
    worker_clock(worker);
    look_up(listener);
    if (!listener->known) { /* its snapshot is still to come */
        event_del(&listener->event);
        listener->listening = false;
        worker->accept_paused = true;
        worker_busy(worker);
        return;
    }
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        if (is_full(worker)) {
            count_add(&worker->counters.connections_refused, 1);
            pause_accepting(worker);
            break;
        }
        enum accepted accepted = accept_one(listener);
        if (accepted == ACCEPT_LATER)
            pause_accepting(worker);
        if (accepted != ACCEPTED)
            break;
    }
    conn_settle(worker);
}

/* Of an answer that its client does not read the kernel would keep megabytes, which cgroup v2 counts. Connections
 * inherit it. */
static void keep_kernel_lean(const struct worker *worker, int fd)
{
    static const int bytes = UNSENT_IN_KERNEL;
    if (memory_limit(worker->memory) > 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes)); /* not of a unix socket */
}

void listener_add(struct worker *worker, uint32_t id, int fd)
{
    struct listener *listener = worker_is_ending(worker) ? NULL : calloc(1, sizeof(*listener));
    if (listener == NULL) {
        close(fd);
        return;
    }
    listener->worker = worker;
    listener->id = id;
    listener->fd = fd;
    listener->next = worker->listeners;
    worker->listeners = listener;
    keep_kernel_lean(worker, fd);
    if (event_assign(&listener->event, worker->base, fd, EV_READ | EV_PERSIST, on_accept, listener) == 0)
        listener->listening = event_add(&listener->event, NULL) == 0;
    /* Without the event the tick tries again. */
    worker->accept_paused = worker->accept_paused || !listener->listening;
}

static void unregister(struct listener *listener)
{
    if (listener->listening)
        event_del(&listener->event);
    listener->listening = false;
}

static void listener_close(struct listener *listener)
{
    unregister(listener);
    close(listener->fd);
    tls_context_unref(listener->facts.tls);
    free(listener);
}

static bool somebody_waits(const struct listener *listener)
{
    struct pollfd queue = {.fd = listener->fd, .events = POLLIN};
    return poll(&queue, 1, 0) > 0 && (queue.revents & POLLIN) != 0;
}

/* It was not there when the others were told of the end. */
static void tell_newest(struct worker *worker, const struct downstream *before)
{
    struct downstream *newest = worker->downstreams;
    if (worker_is_ending(worker) && newest != NULL && newest != before)
        newest->ops->drain(newest, worker->phase);
}

/* Clients whose handshake the kernel has finished for us are ours: closing now would reset them. False: there is no
 * room for all of them. */
static bool take_those_who_wait(struct listener *listener)
{
    struct worker *worker = listener->worker;
    enum accepted accepted = ACCEPTED;
    look_up(listener);
    while (listener->known && accepted != ACCEPTED_NOBODY) {
        const struct downstream *before = worker->downstreams;
        accepted = is_full(worker) ? ACCEPT_LATER : accept_one(listener);
        if (accepted == ACCEPT_LATER)
            return !somebody_waits(listener);
        tell_newest(worker, before);
    }
    return true;
}

void listener_remove(struct worker *worker, uint32_t id)
{
    for (struct listener **at = &worker->listeners; *at != NULL; at = &(*at)->next) {
        struct listener *listener = *at;
        if (listener->id == id) {
            *at = listener->next;
            (void)take_those_who_wait(listener);
            listener_close(listener);
            return;
        }
    }
}

static void close_where_nobody_waits(struct worker *worker)
{
    struct listener **at = &worker->listeners;
    while (*at != NULL) {
        struct listener *listener = *at;
        if (!listener->last || !take_those_who_wait(listener)) {
            at = &listener->next;
            continue;
        }
        *at = listener->next;
        listener_close(listener);
    }
}

void listeners_end(struct worker *worker)
{
    for (struct listener *l = worker->listeners; l != NULL; l = l->next) {
        unregister(l);
        l->last = true;
    }
    close_where_nobody_waits(worker);
    /* Where there is no room for all who wait, others get no further than their first packet: they are refused when it
     * comes again. */
    for (struct listener *l = worker->listeners; l != NULL; l = l->next)
        (void)listen(l->fd, 0);
}

void listeners_close_all(struct worker *worker)
{
    while (worker->listeners != NULL) {
        struct listener *listener = worker->listeners;
        worker->listeners = listener->next;
        listener_close(listener);
    }
}

void listeners_resume(struct worker *worker)
{
    if (!worker->accept_paused || is_full(worker))
        return;
    worker->accept_paused = false;
    for (struct listener *l = worker->listeners; l != NULL; l = l->next) {
        if (l->last)
            continue;
        if (!l->listening)
            l->listening = event_add(&l->event, NULL) == 0;
        worker->accept_paused = worker->accept_paused || !l->listening;
    }
}

void listeners_tick(struct worker *worker)
{
    if (worker->accept_paused)
        listeners_resume(worker);
    close_where_nobody_waits(worker);
}
