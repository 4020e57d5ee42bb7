/*
 * TLS contexts in use: see control_tls.h. Control thread.
 *
 * Each file is watched. What changes together, a certificate and its key, is read together: nothing is read until the
 * files have been quiet for a moment, however many watches see it. What cannot be used then leaves the context as it
 * was, and is told; the next change tries again. Workers hear of it by the snapshot, connections that stand keep what
 * they began with. A whole configuration that is refused for its files leaves watches on them, too: with other files it
 * may be good.
 */
#include "proxy/control_tls.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <jansson.h>

#include "proxy/log.h"
#include "proxy/tls_tickets.h"
#include "proxy/watch.h"
#include "router/store/fault.h"
#include "router/store/timestamp.h"
#include "router/utf8.h"

enum {
    SETTLE_MS = 100, /* a pair that is still being written is not read */
    POLL_MS = 1000,
};

/* One listener or backend with TLS. */
struct place {
    const struct config *config;
    const struct config_listener *listener; /* NULL: a backend's */
    const struct config_backend *backend;
    struct tls_context **context; /* counted; in the plan's lists */
    struct tls_tickets *tickets;  /* counted; NULL: none */
    const char *renewed_by;       /* the changed file, until it has been told; NULL: none */
};

struct watched {
    struct control_tls *tls;
    const char *path; /* the configuration's, or `own` */
    char *own;
    struct watch *watch;
    bool changed;
};

struct control_tls_plan {
    struct config_holder *holder; /* counted */
    struct tls_context **listeners, **backends;
    struct place *places;
    uint32_t place_count;
    struct watched *files;
    uint32_t file_count;
};

struct control_tls {
    struct event_base *base; /* borrowed */
    struct log *log;         /* borrowed */
    struct control_tls_plan *plan;
    struct control_tls_plan *refused; /* could not be made; its files are watched. NULL: none */
    struct event *settle;
    const struct control_tls_events *events; /* borrowed */
    void *context;
    struct control_tls_stats stats;
};

/* ---- the files of a place ---- */

typedef bool (*path_visitor)(void *context, const char *path);

static bool visit_path(path_visitor visit, void *context, const char *path)
{
    return path == NULL || visit(context, path);
}

/* False: the visitor has said so. */
static bool visit_paths(const struct place *place, path_visitor visit, void *context)
{
    if (place->backend != NULL) {
        const struct config_backend_tls *tls = place->backend->tls;
        return visit_path(visit, context, tls->certificate) && visit_path(visit, context, tls->key) &&
               visit_path(visit, context, tls->ca);
    }
    const struct config_listener_tls *tls = place->listener->tls;
    for (uint32_t i = 0; i < tls->certificate_count; i++)
        if (!visit_path(visit, context, tls->certificates[i].certificate) ||
            !visit_path(visit, context, tls->certificates[i].key))
            return false;
    return visit_path(visit, context, tls->client_ca);
}

struct subject {
    const char *fault;
    const char *path; /* the configuration's own, when it is found */
};

/* Is the fault about this file? It begins with its kind and its path. */
static bool find_subject(void *context, const char *path)
{
    struct subject *subject = context;
    const char *at = strchr(subject->fault, ' ');
    size_t len = strlen(path);
    if (at == NULL || strncmp(at + 1, path, len) != 0 || at[1 + len] != ':')
        return true;
    subject->path = path;
    return false;
}

/* The whole sentence: where the configuration names the file, whose it is, and the fault. */
static void tell_fault(const struct place *place, const char *fault, char **error)
{
    struct subject subject = {.fault = fault};
    (void)visit_paths(place, find_subject, &subject);
    const char *where = subject.path != NULL ? config_place_of(place->config, subject.path) : NULL;
    fault_set(error, "%s%s%s %s: tls: %s", where != NULL ? where : "", where != NULL ? ": " : "",
              place->backend != NULL ? "backend" : "listener",
              place->backend != NULL ? place->backend->name : place->listener->address.text, fault);
}

static struct tls_context *make_context(const struct place *place, char **error)
{
    char *fault = NULL;
    struct tls_context *context = place->backend != NULL
                                      ? tls_context_of_backend(place->backend, &fault)
                                      : tls_context_of_listener(place->listener, place->tickets, &fault);
    if (context != NULL)
        return context;
    tell_fault(place, fault != NULL ? fault : "no memory", error);
    free(fault);
    return NULL;
}

/* ---- watching ---- */

static void on_file_change(void *context, bool exists)
{
    struct watched *file = context;
    static const struct timeval settle = {.tv_usec = SETTLE_MS * 1000};
    if (!exists)
        return; /* gone: it is about to come back, which is another change */
    file->changed = true;
    evtimer_add(file->tls->settle, &settle); /* again from the start */
}

static bool is_watched(const struct control_tls_plan *plan, const char *path)
{
    for (uint32_t i = 0; i < plan->file_count; i++)
        if (strcmp(plan->files[i].path, path) == 0)
            return true;
    return false;
}

static bool count_path(void *context, const char *path)
{
    (void)path;
    ++*(uint32_t *)context;
    return true;
}

static bool add_path(void *context, const char *path)
{
    struct control_tls_plan *plan = context;
    if (!is_watched(plan, path))
        plan->files[plan->file_count++].path = path;
    return true;
}

static bool start_watches(struct control_tls *tls, struct control_tls_plan *plan)
{
    for (uint32_t i = 0; i < plan->file_count; i++) {
        const struct watch_options options = {
            .path = plan->files[i].path,
            .poll_ms = POLL_MS,
            .on_change = on_file_change,
            .context = &plan->files[i],
        };
        plan->files[i].tls = tls;
        plan->files[i].watch = watch_new(tls->base, &options);
        if (plan->files[i].watch == NULL)
            return false;
    }
    return true;
}

static bool watch_files(struct control_tls *tls, struct control_tls_plan *plan)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < plan->place_count; i++)
        visit_paths(&plan->places[i], count_path, &most);
    plan->files = calloc(most + 1, sizeof(*plan->files));
    if (plan->files == NULL)
        return false;
    for (uint32_t i = 0; i < plan->place_count; i++)
        visit_paths(&plan->places[i], add_path, plan);
    return start_watches(tls, plan);
}

/* ---- certificates that have ended ---- */

static void tell_if_expired(void *context, const struct tls_expiry *expiry)
{
    const struct control_tls *tls = context;
    if (expiry->ends_s > (int64_t)time(NULL))
        return;
    log_event(tls->log, LOG_LEVEL_WARN, "tls_certificate_expired",
              json_pack("{s:o, s:I, s:s}", "certificate", utf8_json(expiry->path), "ended_s",
                        (json_int_t)expiry->ends_s, "why",
                        "it is shown all the same, and peers that verify refuse it"));
}

/* ---- taking changes into use ---- */

struct search {
    const struct control_tls_plan *plan;
    const char *changed; /* the first that has; NULL: none */
};

static bool find_changed(void *context, const char *path)
{
    struct search *search = context;
    for (uint32_t i = 0; i < search->plan->file_count; i++) {
        if (search->plan->files[i].changed && strcmp(search->plan->files[i].path, path) == 0) {
            search->changed = path;
            return false;
        }
    }
    return true;
}

static bool renew(struct control_tls *tls, struct place *place, const char *changed)
{
    char *error = NULL;
    struct tls_context *context = make_context(place, &error);
    if (context == NULL) {
        tls->stats.reload_failures++;
        log_event(tls->log, LOG_LEVEL_ERROR, "tls_reload_failed",
                  json_pack("{s:o, s:o}", "file", utf8_json(changed), "error",
                            utf8_json(error != NULL ? error : "no memory")));
        free(error);
        return false;
    }
    tls_context_unref(*place->context);
    *place->context = context;
    place->renewed_by = changed;
    tls->stats.reloads++;
    return true;
}

/* Once the workers have been told: who hears of it can rely on it. */
static void tell_renewed(struct control_tls *tls, struct control_tls_plan *plan)
{
    for (uint32_t i = 0; i < plan->place_count; i++) {
        struct place *place = &plan->places[i];
        if (place->renewed_by != NULL)
            log_event(tls->log, LOG_LEVEL_INFO, "tls_reloaded",
                      json_pack("{s:o}", "file", utf8_json(place->renewed_by)));
        place->renewed_by = NULL;
    }
}

/* Takes note of it: true once for each change. */
static bool has_changed(struct control_tls_plan *plan)
{
    bool changed = false;
    for (uint32_t i = 0; plan != NULL && i < plan->file_count; i++) {
        changed = changed || plan->files[i].changed;
        plan->files[i].changed = false;
    }
    return changed;
}

static void renew_changed(struct control_tls *tls)
{
    struct control_tls_plan *plan = tls->plan;
    bool renewed = false;
    for (uint32_t i = 0; plan != NULL && i < plan->place_count; i++) {
        struct search search = {.plan = plan};
        if (!visit_paths(&plan->places[i], find_changed, &search))
            renewed = renew(tls, &plan->places[i], search.changed) || renewed;
    }
    (void)has_changed(plan);
    if (!renewed)
        return;
    tls->events->on_change(tls->context);
    tell_renewed(tls, plan);
    control_tls_each_expiry(tls, tell_if_expired, tls);
}

static void on_settled(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct control_tls *tls = context;
    renew_changed(tls);
    if (has_changed(tls->refused))
        tls->events->on_refused_change(tls->context);
}

/* ---- life ---- */

struct control_tls *control_tls_new(struct event_base *base, struct log *log, const struct control_tls_events *events,
                                    void *context)
{
    struct control_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL)
        return NULL;
    *tls = (struct control_tls){.base = base, .log = log, .events = events, .context = context};
    tls->settle = evtimer_new(base, on_settled, tls);
    if (tls->settle == NULL) {
        free(tls);
        return NULL;
    }
    return tls;
}

void control_tls_free(struct control_tls *tls)
{
    if (tls == NULL)
        return;
    control_tls_discard(tls->plan);
    control_tls_forget_refused(tls);
    event_free(tls->settle);
    free(tls);
}

/* ---- another configuration ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_address(const struct config_address *a, const struct config_address *b)
{
    return same_text(a->host, b->host) && same_text(a->unix_path, b->unix_path) && a->port == b->port;
}

/* Keys that were given out there before, or new ones. False without memory. */
static bool find_tickets(const struct control_tls *tls, struct place *place)
{
    uint64_t lifetime_ms = place->listener->tls->ticket_lifetime_ms;
    if (lifetime_ms == 0)
        return true;
    const struct control_tls_plan *former = tls != NULL ? tls->plan : NULL;
    for (uint32_t i = 0; former != NULL && i < former->place_count; i++) {
        const struct place *other = &former->places[i];
        if (other->listener != NULL && same_address(&other->listener->address, &place->listener->address))
            place->tickets = tls_tickets_ref(other->tickets);
    }
    if (place->tickets == NULL)
        place->tickets = tls_tickets_new(lifetime_ms);
    return place->tickets != NULL;
}

static void list_places(struct control_tls_plan *plan, const struct config *config)
{
    for (uint32_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].tls != NULL)
            plan->places[plan->place_count++] =
                (struct place){.config = config, .listener = &config->listeners[i], .context = &plan->listeners[i]};
    for (uint32_t i = 0; i < config->backend_count; i++)
        if (config->backends[i].tls != NULL)
            plan->places[plan->place_count++] =
                (struct place){.config = config, .backend = &config->backends[i], .context = &plan->backends[i]};
}

/* A plan without contexts, which lists what has TLS; NULL without memory. */
static struct control_tls_plan *plan_new(const struct control_tls *tls, const struct config *config)
{
    struct control_tls_plan *plan = calloc(1, sizeof(*plan));
    if (plan == NULL)
        return NULL;
    plan->listeners = calloc(config->listener_count + 1, sizeof(struct tls_context *));
    plan->backends = calloc(config->backend_count + 1, sizeof(struct tls_context *));
    plan->places = calloc(config->listener_count + config->backend_count + 1, sizeof(*plan->places));
    bool made = plan->listeners != NULL && plan->backends != NULL && plan->places != NULL;
    if (made)
        list_places(plan, config);
    for (uint32_t i = 0; made && i < plan->place_count; i++)
        made = plan->places[i].listener == NULL || find_tickets(tls, &plan->places[i]);
    if (made)
        return plan;
    control_tls_discard(plan);
    return NULL;
}

struct control_tls_plan *control_tls_prepare(struct control_tls *tls, struct config_holder *holder, char **error)
{
    struct control_tls_plan *plan = plan_new(tls, holder->config);
    if (plan == NULL) {
        fault_set(error, "no memory for the TLS of %u listeners", holder->config->listener_count);
        return NULL;
    }
    plan->holder = holder;
    config_holder_ref(holder);
    bool made = watch_files(tls, plan) || fault_set(error, "no memory to watch %u files", plan->file_count);
    for (uint32_t i = 0; made && i < plan->place_count; i++) {
        *plan->places[i].context = make_context(&plan->places[i], error);
        made = *plan->places[i].context != NULL;
    }
    if (made)
        return plan;
    control_tls_forget_refused(tls);
    tls->refused = plan;
    return NULL;
}

/* Without memory nobody waits: the next change of the configuration tries again. */
void control_tls_await(struct control_tls *tls, char *const *paths, size_t count)
{
    struct control_tls_plan *plan = calloc(1, sizeof(*plan));
    control_tls_forget_refused(tls);
    tls->refused = plan;
    if (plan != NULL)
        plan->files = calloc(count + 1, sizeof(*plan->files));
    if (plan == NULL || plan->files == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        char *path = strdup(paths[i]);
        if (path != NULL)
            plan->files[plan->file_count++] = (struct watched){.path = path, .own = path};
    }
    if (!start_watches(tls, plan))
        return;
    for (uint32_t i = 0; i < plan->file_count; i++)
        if (access(plan->files[i].path, R_OK) == 0) /* it has come before it was watched */
            on_file_change(&plan->files[i], true);
}

void control_tls_forget_refused(struct control_tls *tls)
{
    control_tls_discard(tls->refused);
    tls->refused = NULL;
}

void control_tls_discard(struct control_tls_plan *plan)
{
    if (plan == NULL)
        return;
    for (uint32_t i = 0; i < plan->file_count; i++) {
        watch_free(plan->files[i].watch);
        free(plan->files[i].own);
    }
    for (uint32_t i = 0; i < plan->place_count; i++) {
        tls_context_unref(*plan->places[i].context);
        tls_tickets_unref(plan->places[i].tickets);
    }
    free(plan->files);
    free(plan->places);
    free(plan->listeners);
    free(plan->backends);
    config_holder_unref(plan->holder);
    free(plan);
}

/* Loud, each time the file is taken into use. */
static void tell_insecure(struct control_tls *tls)
{
    tls->stats.insecure_backends = 0;
    for (uint32_t i = 0; i < tls->plan->place_count; i++) {
        const struct config_backend *backend = tls->plan->places[i].backend;
        if (backend == NULL || !backend->tls->insecure_skip_verify)
            continue;
        tls->stats.insecure_backends++;
        log_event(tls->log, LOG_LEVEL_WARN, "tls_unverified_backend",
                  json_pack("{s:o, s:s}", "backend", utf8_json(backend->name), "why",
                            "insecure_skip_verify: anybody in between can be this backend"));
    }
}

void control_tls_adopt(struct control_tls *tls, struct control_tls_plan *plan)
{
    struct control_tls_plan *former = tls->plan;
    tls->plan = plan;
    for (uint32_t i = 0; i < plan->place_count; i++)
        if (plan->places[i].tickets != NULL)
            tls_tickets_set_lifetime(plan->places[i].tickets, plan->places[i].listener->tls->ticket_lifetime_ms);
    control_tls_discard(former);
    tell_insecure(tls);
    control_tls_each_expiry(tls, tell_if_expired, tls);
}

/* ---- questions ---- */

struct tls_context **control_tls_listeners(const struct control_tls *tls)
{
    return tls->plan != NULL ? tls->plan->listeners : NULL;
}

struct tls_context **control_tls_backends(const struct control_tls *tls)
{
    return tls->plan != NULL ? tls->plan->backends : NULL;
}

struct control_tls_stats control_tls_stats(const struct control_tls *tls)
{
    return tls->stats;
}

/* The same file may be shown in several places. */
static bool is_told_before(const struct control_tls_plan *plan, uint32_t place, uint32_t number, const char *path)
{
    for (uint32_t i = 0; i <= place; i++) {
        uint32_t count;
        const struct tls_expiry *expiries = tls_context_expiries(*plan->places[i].context, &count);
        for (uint32_t k = 0; k < (i == place ? number : count); k++)
            if (strcmp(expiries[k].path, path) == 0)
                return true;
    }
    return false;
}

void control_tls_each_expiry(const struct control_tls *tls,
                             void (*each)(void *context, const struct tls_expiry *expiry), void *context)
{
    for (uint32_t i = 0; tls->plan != NULL && i < tls->plan->place_count; i++) {
        uint32_t count;
        const struct tls_expiry *expiries = tls_context_expiries(*tls->plan->places[i].context, &count);
        for (uint32_t k = 0; k < count; k++)
            if (!is_told_before(tls->plan, i, k, expiries[k].path))
                each(context, &expiries[k]);
    }
}

/* An expired certificate keeps nobody from starting: that would make an outage of a restart. */
static void check_expiries(const struct place *place, void (*on_fault)(void *context, const char *fault), void *context)
{
    uint32_t count;
    const struct tls_expiry *expiries = tls_context_expiries(*place->context, &count);
    for (uint32_t i = 0; i < count; i++) {
        char ended[TIMESTAMP_ROOM];
        char *what = NULL, *fault = NULL;
        if (expiries[i].ends_s > (int64_t)time(NULL))
            continue;
        timestamp_print(ended, expiries[i].ends_s > 0 ? (uint64_t)expiries[i].ends_s * 1000 : 0);
        fault_set(&what, "certificate %s: has expired at %s, and is refused by peers that verify; renew it",
                  expiries[i].path, ended);
        tell_fault(place, what != NULL ? what : "no memory", &fault);
        free(what);
        on_fault(context, fault != NULL ? fault : "no memory");
        free(fault);
    }
}

bool control_tls_check(const struct config *config, void (*on_fault)(void *context, const char *fault), void *context)
{
    struct control_tls_plan *plan = plan_new(NULL, config);
    bool good = plan != NULL;
    if (plan == NULL)
        on_fault(context, "no memory");
    for (uint32_t i = 0; plan != NULL && i < plan->place_count; i++) {
        char *fault = NULL;
        *plan->places[i].context = make_context(&plan->places[i], &fault);
        if (*plan->places[i].context != NULL) {
            check_expiries(&plan->places[i], on_fault, context);
            continue;
        }
        good = false;
        on_fault(context, fault != NULL ? fault : "no memory");
        free(fault);
    }
    control_tls_discard(plan);
    return good;
}
