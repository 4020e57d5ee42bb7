/*
 * The look-ups of all backends, on the control thread's loop, by libevent's evdns.
 *
 * One `lookup` for each backend, whatever its host. A host that is an address is done with when it is made. A name is
 * asked for at once and then every dns_refresh; after a failure sooner, with a doubling wait. Results are sorted before
 * they are compared, so that a server which turns its answers round changes nothing.
 *
 * A question cannot be taken back from evdns, only be marked: its callback comes later. So a lookup that is no longer
 * wanted is `gone` until then.
 */
#include "proxy/resolver.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>

#include "proxy/dns.h"
#include "proxy/endpoint.h"

enum {
    TIMEOUT_MS = 2000,
    RETRY_MS = 1000,
    FREE_ROUNDS = 100
};

/* One backend's host. */
struct lookup {
    struct resolver *resolver;            /* borrowed */
    const struct config_backend *backend; /* borrowed from the configuration in use */
    uint32_t index;
    char *host; /* owned: outlives the configuration with a question under way; NULL: nothing to ask */
    uint16_t port;
    struct evdns_getaddrinfo_request *question; /* NULL: none under way */
    bool asking;                                /* its callback has not come yet */
    bool gone;                                  /* free it when the callback has come */
    bool answered;                              /* at least once, either way */
    bool failed;                                /* the last time */
    uint64_t wait_ms;                           /* before the next try, after a failure */
    uint64_t lookups, failures;
    char error[96]; /* of the last one; "" */
    struct event *timer;
    struct lookup *next_gone;
};

struct resolver_plan {
    struct resolver *resolver;
    const struct config *config;
    uint32_t count;
    struct lookup **lookups;          /* owned */
    struct endpoint_list **endpoints; /* counted */
    const struct lookup **before;     /* whose host it is already, or NULL; valid until anything else happens */
};

struct resolver {
    struct event_base *base; /* borrowed */
    struct dns *dns;         /* owned */
    struct resolver_options options;
    uint32_t count;
    struct lookup **lookups;
    struct endpoint_list **endpoints;
    struct lookup *gone;
};

static void ask(struct lookup *lookup);

/* ---- one look-up ---- */

static void lookup_free(struct lookup *lookup)
{
    if (lookup->timer != NULL)
        event_free(lookup->timer);
    free(lookup->host);
    free(lookup);
}

/* No longer wanted. */
static void lookup_leave(struct lookup *lookup)
{
    if (!lookup->asking) {
        lookup_free(lookup);
        return;
    }
    struct resolver *resolver = lookup->resolver;
    lookup->gone = true;
    lookup->next_gone = resolver->gone;
    resolver->gone = lookup;
    evtimer_del(lookup->timer);
    if (lookup->question != NULL)
        evdns_getaddrinfo_cancel(lookup->question);
}

static void lookup_buried(struct lookup *lookup)
{
    struct lookup **at = &lookup->resolver->gone;
    while (*at != lookup)
        at = &(*at)->next_gone;
    *at = lookup->next_gone;
    lookup_free(lookup);
}

static void ask_in(struct lookup *lookup, uint64_t ms)
{
    uint32_t random;
    evutil_secure_rng_get_bytes(&random, sizeof(random));
    ms += random % (ms / 10 + 1); /* so that replicas do not ask in step */
    struct timeval after = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    evtimer_add(lookup->timer, &after);
}

/* The answer as a list; NULL without memory or when nothing of it is of use. */
static struct endpoint_list *list_of(const struct evutil_addrinfo *answer)
{
    struct endpoint_list *list = endpoint_list_new(RESOLVER_ADDRESSES_MOST);
    if (list == NULL)
        return NULL;
    list->count = 0;
    for (; answer != NULL && list->count < RESOLVER_ADDRESSES_MOST; answer = answer->ai_next)
        if (endpoint_address_set(&list->address[list->count], answer->ai_addr, (socklen_t)answer->ai_addrlen))
            list->count++;
    endpoint_list_settle(list);
    struct endpoint_list *fitting = list->count > 0 ? endpoint_list_new(list->count) : NULL;
    if (fitting != NULL)
        memcpy(fitting->address, list->address, list->count * sizeof(list->address[0]));
    endpoint_list_unref(list);
    return fitting;
}

/* Takes the addresses into use where they differ. */
static bool replace(struct lookup *lookup, struct endpoint_list *list)
{
    struct endpoint_list **place = &lookup->resolver->endpoints[lookup->index];
    if (endpoint_list_equal(*place, list)) {
        endpoint_list_unref(list);
        return false;
    }
    endpoint_list_unref(*place);
    *place = list;
    return true;
}

static void conclude(struct lookup *lookup, struct endpoint_list *list, const char *error)
{
    struct resolver *resolver = lookup->resolver;
    struct resolver_result result = {.backend = lookup->backend->name, .host = lookup->host};
    bool failed = list == NULL;
    result.turned = failed ? !lookup->failed : lookup->failed;
    lookup->answered = true;
    lookup->failed = failed;
    snprintf(lookup->error, sizeof(lookup->error), "%s", failed ? error : "");
    if (failed) {
        result.error = lookup->error;
        lookup->failures++;
        lookup->wait_ms = lookup->wait_ms == 0 ? resolver->options.retry_ms : 2 * lookup->wait_ms;
        if (lookup->wait_ms > lookup->backend->dns_refresh_ms)
            lookup->wait_ms = lookup->backend->dns_refresh_ms;
        ask_in(lookup, lookup->wait_ms);
    } else {
        lookup->wait_ms = 0;
        result.changed = replace(lookup, list);
        ask_in(lookup, lookup->backend->dns_refresh_ms);
    }
    result.addresses = resolver->endpoints[lookup->index]->count;
    if (resolver->options.on_result != NULL)
        resolver->options.on_result(resolver->options.context, &result);
}

static void on_answer(int fault, struct evutil_addrinfo *answer, void *context)
{
    struct lookup *lookup = context;
    lookup->asking = false;
    lookup->question = NULL;
    if (lookup->gone) {
        lookup_buried(lookup);
    } else {
        struct endpoint_list *list = fault == 0 ? list_of(answer) : NULL;
        conclude(lookup, list, fault != 0 ? evutil_gai_strerror(fault) : "no memory");
    }
    if (answer != NULL)
        evutil_freeaddrinfo(answer);
}

static void on_time(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    ask(context);
}

static void ask(struct lookup *lookup)
{
    struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_protocol = IPPROTO_TCP,
        .ai_flags = EVUTIL_AI_ADDRCONFIG | EVUTIL_AI_NUMERICSERV,
    };
    char port[8];
    if (lookup->asking)
        return;
    lookup->lookups++;
    struct evdns_base *dns = dns_base(lookup->resolver->dns);
    if (dns == NULL) {
        conclude(lookup, NULL, "no memory");
        return;
    }
    snprintf(port, sizeof(port), "%u", (unsigned)lookup->port);
    lookup->asking = true;
    struct evdns_getaddrinfo_request *question = evdns_getaddrinfo(dns, lookup->host, port, &hints, on_answer, lookup);
    if (lookup->asking) /* else it was answered at once, from /etc/hosts */
        lookup->question = question;
}

/* ---- plans ---- */

static const struct lookup *find_host(const struct resolver *resolver, const struct config_address *address)
{
    for (uint32_t i = 0; i < resolver->count; i++) {
        const struct lookup *lookup = resolver->lookups[i];
        if (lookup->host != NULL && lookup->port == address->port && strcmp(lookup->host, address->host) == 0)
            return lookup;
    }
    return NULL;
}

static bool plan_backend(struct resolver_plan *plan, const struct config_backend *backend)
{
    struct resolver *resolver = plan->resolver;
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    if (lookup == NULL)
        return false;
    plan->lookups[backend->index] = lookup;
    lookup->resolver = resolver;
    lookup->backend = backend;
    lookup->index = backend->index;
    bool is_name;
    plan->endpoints[backend->index] = endpoint_list_of(&backend->address, &is_name);
    if (!is_name)
        return plan->endpoints[backend->index] != NULL;
    lookup->host = strdup(backend->address.host);
    lookup->port = backend->address.port;
    lookup->timer = evtimer_new(resolver->base, on_time, lookup);
    plan->before[backend->index] = find_host(resolver, &backend->address);
    plan->endpoints[backend->index] = endpoint_list_new(0);
    return lookup->host != NULL && lookup->timer != NULL && plan->endpoints[backend->index] != NULL;
}

struct resolver_plan *resolver_prepare(struct resolver *resolver, const struct config *config)
{
    struct resolver_plan *plan = calloc(1, sizeof(*plan));
    if (plan == NULL)
        return NULL;
    plan->resolver = resolver;
    plan->config = config;
    plan->count = config->backend_count;
    plan->lookups = calloc(plan->count + 1, sizeof(*plan->lookups));
    plan->endpoints = calloc(plan->count + 1, sizeof(*plan->endpoints));
    plan->before = calloc(plan->count + 1, sizeof(*plan->before));
    bool made = plan->lookups != NULL && plan->endpoints != NULL && plan->before != NULL;
    for (uint32_t i = 0; i < plan->count && made; i++)
        made = plan_backend(plan, &config->backends[i]);
    if (!made) {
        resolver_discard(plan);
        return NULL;
    }
    return plan;
}

void resolver_discard(struct resolver_plan *plan)
{
    if (plan == NULL)
        return;
    for (uint32_t i = 0; i < plan->count; i++) {
        if (plan->lookups != NULL && plan->lookups[i] != NULL)
            lookup_free(plan->lookups[i]);
        if (plan->endpoints != NULL)
            endpoint_list_unref(plan->endpoints[i]);
    }
    free(plan->lookups);
    free(plan->endpoints);
    free(plan->before);
    free(plan);
}

/* What is known about a host stays known. */
static void inherit(struct resolver_plan *plan, uint32_t i)
{
    const struct lookup *before = plan->before[i];
    struct lookup *lookup = plan->lookups[i];
    if (before == NULL)
        return;
    struct endpoint_list *known = plan->resolver->endpoints[before->index];
    endpoint_list_ref(known);
    endpoint_list_unref(plan->endpoints[i]);
    plan->endpoints[i] = known;
    lookup->answered = before->answered;
    lookup->failed = before->failed;
    lookup->lookups = before->lookups;
    lookup->failures = before->failures;
    memcpy(lookup->error, before->error, sizeof(lookup->error));
}

static void drop_all(struct resolver *resolver)
{
    for (uint32_t i = 0; i < resolver->count; i++) {
        lookup_leave(resolver->lookups[i]);
        endpoint_list_unref(resolver->endpoints[i]);
    }
    free(resolver->lookups);
    free(resolver->endpoints);
    resolver->lookups = NULL;
    resolver->endpoints = NULL;
    resolver->count = 0;
}

void resolver_adopt(struct resolver *resolver, struct resolver_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++)
        inherit(plan, i);
    drop_all(resolver);
    resolver->count = plan->count;
    resolver->lookups = plan->lookups;
    resolver->endpoints = plan->endpoints;
    free(plan->before);
    free(plan);
    for (uint32_t i = 0; i < resolver->count; i++)
        if (resolver->lookups[i]->host != NULL)
            ask_in(resolver->lookups[i], 0); /* from the loop: an answer from /etc/hosts would come within the call */
}

/* ---- the resolver ---- */

struct resolver *resolver_new(struct event_base *base, const struct resolver_options *options)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    if (resolver == NULL)
        return NULL;
    resolver->base = base;
    resolver->options = *options;
    if (resolver->options.timeout_ms == 0)
        resolver->options.timeout_ms = TIMEOUT_MS;
    if (resolver->options.retry_ms == 0)
        resolver->options.retry_ms = RETRY_MS;
    resolver->options.nameserver = NULL;
    resolver->dns = dns_new(base, options->nameserver, resolver->options.timeout_ms);
    if (resolver->dns == NULL) {
        free(resolver);
        return NULL;
    }
    return resolver;
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    drop_all(resolver);
    for (int i = 0; i < FREE_ROUNDS && resolver->gone != NULL; i++)
        event_base_loop(resolver->base, EVLOOP_NONBLOCK);
    dns_free(resolver->dns);
    for (int i = 0; i < FREE_ROUNDS && resolver->gone != NULL; i++)
        event_base_loop(resolver->base, EVLOOP_NONBLOCK);
    free(resolver);
}

struct endpoint_list **resolver_endpoints(struct resolver *resolver)
{
    return resolver->endpoints;
}

uint32_t resolver_count(const struct resolver *resolver)
{
    return resolver->count;
}

uint32_t resolver_unanswered(const struct resolver *resolver)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < resolver->count; i++)
        count += resolver->lookups[i]->host != NULL && !resolver->lookups[i]->answered;
    return count;
}

static json_t *addresses_json(const struct endpoint_list *list)
{
    json_t *addresses = json_array();
    for (uint32_t i = 0; i < list->count; i++)
        json_array_append_new(addresses, json_string(list->address[i].text));
    return addresses;
}

json_t *resolver_json(const struct resolver *resolver)
{
    json_t *backends = json_array();
    for (uint32_t i = 0; i < resolver->count; i++) {
        const struct lookup *lookup = resolver->lookups[i];
        const struct endpoint_list *list = resolver->endpoints[i];
        json_array_append_new(backends, json_pack("{s:s, s:s, s:o, s:b, s:I, s:I, s:s?}", "name", lookup->backend->name,
                                                  "url", lookup->backend->url, "addresses", addresses_json(list),
                                                  "resolved", list->count > 0, "lookups", (json_int_t)lookup->lookups,
                                                  "failures", (json_int_t)lookup->failures, "error",
                                                  lookup->error[0] != '\0' ? lookup->error : NULL));
    }
    return backends;
}
