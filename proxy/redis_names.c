/*
 * Names of Redis servers: see redis_names.h. Control thread.
 *
 * evdns answers whenever it likes, even within the question; here everything is told from a timer. A question that was
 * taken back or took too long is `gone`, and freed when evdns has let go of it.
 */
#include "proxy/redis_names.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>

#include "proxy/dns.h"
#include "proxy/endpoint.h"

enum {
    SERVER_TIMEOUT_MS = 500,
    FREE_ROUNDS = 100,
};

struct redis_names {
    struct event_base *base; /* borrowed */
    struct dns *dns;         /* owned */
    unsigned asking;         /* questions that evdns still has */
};

struct redis_lookup {
    struct redis_names *names; /* borrowed */
    struct event *timer;
    struct evdns_getaddrinfo_request *question; /* NULL: none that could be cancelled */
    bool asking;                                /* evdns has it */
    bool gone;
    struct endpoint_list *list; /* owned, until it is told */
    char why[96];
    void (*done)(void *context, struct endpoint_list *list, const char *why);
    void *context;
};

struct redis_names *redis_names_new(struct event_base *base, const char *nameserver)
{
    struct redis_names *names = calloc(1, sizeof(*names));
    if (names == NULL)
        return NULL;
    names->base = base;
    names->dns = dns_new(base, nameserver, SERVER_TIMEOUT_MS);
    if (names->dns != NULL)
        return names;
    free(names);
    return NULL;
}

static void run_out(struct redis_names *names)
{
    for (int i = 0; i < FREE_ROUNDS && names->asking > 0; i++)
        event_base_loop(names->base, EVLOOP_NONBLOCK);
}

void redis_names_free(struct redis_names *names)
{
    if (names == NULL)
        return;
    run_out(names);
    dns_free(names->dns);
    run_out(names);
    free(names);
}

static void lookup_free(struct redis_lookup *lookup)
{
    if (lookup->timer != NULL)
        event_free(lookup->timer);
    endpoint_list_unref(lookup->list);
    free(lookup);
}

/* Nobody waits for it any more. */
static void leave(struct redis_lookup *lookup)
{
    if (!lookup->asking) {
        lookup_free(lookup);
        return;
    }
    lookup->gone = true;
    evtimer_del(lookup->timer);
    if (lookup->question != NULL)
        evdns_getaddrinfo_cancel(lookup->question);
}

void redis_lookup_cancel(struct redis_lookup *lookup)
{
    if (lookup != NULL)
        leave(lookup);
}

static struct endpoint_list *list_of(const struct evutil_addrinfo *answer)
{
    struct endpoint_list *list = endpoint_list_new(REDIS_ADDRESSES_MOST);
    if (list == NULL)
        return NULL;
    list->count = 0;
    for (; answer != NULL && list->count < REDIS_ADDRESSES_MOST; answer = answer->ai_next)
        if (endpoint_address_set(&list->address[list->count], answer->ai_addr, (socklen_t)answer->ai_addrlen))
            list->count++;
    endpoint_list_settle(list);
    if (list->count > 0)
        return list;
    endpoint_list_unref(list);
    return NULL;
}

static void tell_soon(struct redis_lookup *lookup)
{
    struct timeval at_once = {0};
    evtimer_add(lookup->timer, &at_once);
}

static void on_answer(int fault, struct evutil_addrinfo *answer, void *context)
{
    struct redis_lookup *lookup = context;
    lookup->asking = false;
    lookup->question = NULL;
    lookup->names->asking--;
    if (lookup->gone) {
        lookup_free(lookup);
    } else {
        lookup->list = fault == 0 ? list_of(answer) : NULL;
        if (lookup->list == NULL)
            snprintf(lookup->why, sizeof(lookup->why), "%s",
                     fault != 0 ? evutil_gai_strerror(fault) : "it has no address");
        tell_soon(lookup);
    }
    if (answer != NULL)
        evutil_freeaddrinfo(answer);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct redis_lookup *lookup = context;
    struct endpoint_list *list = lookup->list;
    lookup->list = NULL;
    if (lookup->asking)
        snprintf(lookup->why, sizeof(lookup->why), "no answer in time");
    lookup->done(lookup->context, list, list != NULL ? NULL : lookup->why);
    leave(lookup);
}

static void ask(struct redis_lookup *lookup, const char *host, uint16_t port)
{
    struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_protocol = IPPROTO_TCP,
        .ai_flags = EVUTIL_AI_ADDRCONFIG | EVUTIL_AI_NUMERICSERV,
    };
    char port_text[8];
    struct evdns_base *dns = dns_base(lookup->names->dns);
    if (dns == NULL) {
        snprintf(lookup->why, sizeof(lookup->why), "no memory");
        tell_soon(lookup);
        return;
    }
    snprintf(port_text, sizeof(port_text), "%u", (unsigned)port);
    lookup->asking = true;
    lookup->names->asking++;
    struct evdns_getaddrinfo_request *question = evdns_getaddrinfo(dns, host, port_text, &hints, on_answer, lookup);
    if (lookup->asking) /* else it was answered at once, from /etc/hosts */
        lookup->question = question;
}

struct redis_lookup *redis_names_ask(struct redis_names *names, const char *host, uint16_t port, uint64_t timeout_ms,
                                     void (*done)(void *context, struct endpoint_list *list, const char *why),
                                     void *context)
{
    struct redis_lookup *lookup = calloc(1, sizeof(*lookup));
    if (lookup == NULL || (lookup->timer = evtimer_new(names->base, on_timer, lookup)) == NULL) {
        free(lookup);
        return NULL;
    }
    lookup->names = names;
    lookup->done = done;
    lookup->context = context;
    struct config_address address = {
        .host = port != 0 ? host : NULL, .unix_path = port == 0 ? host : NULL, .port = port};
    bool is_name;
    lookup->list = endpoint_list_of(&address, &is_name);
    struct timeval patience = {.tv_sec = (time_t)(timeout_ms / 1000),
                               .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    if (is_name && evtimer_add(lookup->timer, &patience) == 0) {
        ask(lookup, host, port);
    } else {
        if (lookup->list == NULL)
            snprintf(lookup->why, sizeof(lookup->why), "no memory");
        tell_soon(lookup);
    }
    return lookup;
}
