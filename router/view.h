/*
 * What control publishes and workers read: routes ready for matching, and for each the share in force. Immutable once
 * made.
 *
 * A view holds a route table (made once per configuration, shared by all its views) and one small row per route.
 * References are counted atomically; whoever drops the last one frees the view, and with the last view of a table the
 * hook config_released() says that the configuration is no longer read.
 */
#ifndef SHUNT_ROUTER_VIEW_H
#define SHUNT_ROUTER_VIEW_H

#include "router/route.h"
#include "router/router.h"
#include "router/tally.h"

struct route_table {
    uint32_t refs; /* atomic */
    const struct config *config;
    struct router_hooks hooks;
    bool passthrough_raw; /* every route's legacy side is the configuration's legacy backend */
    uint32_t count;
    struct route routes[];
};

struct view_route {
    const struct route *route;
    struct tally *tally; /* one reference */
    uint32_t share;      /* of SHARE_ALL; 0 when rolled back; the breaker is not in it */
    uint32_t shadow;     /* of SHARE_ALL */
    uint32_t epoch;      /* of the breaker */
    uint32_t permits;    /* probes all workers together may have in this half-open epoch */
    enum breaker_state breaker;
    bool rolled_back;
    bool by_cohort; /* the share goes down to 0, or grows back, step by step: cookies keep nobody on new meanwhile */
    bool held_back; /* a route it depends on has no closed breaker: new gets overrides only */
};

struct router_view {
    uint32_t refs; /* atomic */
    bool passthrough;
    uint32_t workers;
    struct route_table *table;  /* one reference */
    struct tally *unrouted;     /* of "-"; one reference */
    uint32_t count;             /* of routes: the table's */
    struct view_route routes[]; /* in the configuration's order */
};

/* NULL without memory. */
struct route_table *route_table_new(const struct config *config, const struct router_hooks *hooks);
struct route_table *route_table_ref(struct route_table *table);
void route_table_unref(struct route_table *table); /* NULL is fine */

/* A view with one reference whose rows have only `route` set; the caller fills them in before anybody else sees it. */
struct router_view *view_new(struct route_table *table, struct tally *unrouted, uint32_t workers, bool passthrough);

/* router_decide(); with `dry` nothing at all is counted and no permit is taken. */
void view_decide(const struct router_view *view, uint32_t worker, const struct request_facts *facts, bool dry,
                 struct decision *decision);

#endif
