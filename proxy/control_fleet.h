/*
 * This replica's part in its fleet: carries what the router wishes to Redis and what the fleet has decided back, lends
 * fleet.h a clock and a link, and tells the people who wait. Control thread.
 */
#ifndef SHUNT_PROXY_CONTROL_FLEET_H
#define SHUNT_PROXY_CONTROL_FLEET_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "proxy/redis.h"
#include "router/router.h"
#include "router/store/fleet.h"

struct config_holder;
struct control;
struct control_fleet;

/* Joins the fleet that the file names; `saved` is what control_fleet_save() had returned before a restart (NULL:
 * nothing). After the router's first configuration; adopts what was saved, so that it holds before the first request.
 * NULL without memory. */
struct control_fleet *control_fleet_new(struct control *control, struct config_holder *holder, const json_t *saved);
/* Whoever waits is told that Redis is not there. NULL is fine here and below, where nothing else is said: no fleet. */
void control_fleet_free(struct control_fleet *fleet);
/* Another file is in use. */
void control_fleet_configure(struct control_fleet *fleet, struct config_holder *holder);
/* Has Redis told what the fleet wants, since the start? */
bool control_fleet_has_joined(const struct control_fleet *fleet);
/* Every 25 ms, after the router's tick. */
void control_fleet_tick(struct control_fleet *fleet, uint64_t now_ms);
/* This replica ends: another should lead. */
void control_fleet_leave(struct control_fleet *fleet);

/* What must survive a restart; new reference, NULL without a fleet or memory. */
json_t *control_fleet_save(const struct control_fleet *fleet);
/* Grows with everything that would show. */
uint64_t control_fleet_revision(const struct control_fleet *fleet);

/* The router's hook: struct router_hooks.wish. */
void control_fleet_wish(struct control_fleet *fleet, const struct router_wish *wish);

/* Who waits for what the fleet says: called exactly once, later, on the control thread. `error` is 0 or a negative
 * errno as router_command() has them, and besides: -ECANCELED somebody else changed it meanwhile, -ENOLINK Redis is not
 * there, -ETIMEDOUT nobody knows. */
struct control_waiter {
    void (*done)(void *context, int error, const char *why);
    void *context;
};

/* Remembers who waits for the wish of the command with this ticket; 0: too many do. */
uint64_t control_fleet_expect(struct control_fleet *fleet, const struct control_waiter *waiter);
/* It needs not wait any more. */
void control_fleet_forget(struct control_fleet *fleet, uint64_t ticket);
/* The fleet's passthrough. On holds here at once, whatever Redis says. False: `waiter` is not called, see *error and
 * *why. */
bool control_fleet_passthrough(struct control_fleet *fleet, bool on, const char *who, const char *reason,
                               const struct control_waiter *waiter, int *error, const char **why);

/* Asks Redis for "look" or "report", for people; `answered` is called once, later, with the document or NULL. False:
 * Redis is not there. */
bool control_fleet_ask(struct control_fleet *fleet, const char *operation,
                       void (*answered)(void *context, const json_t *document), void *context);

/* For status and metrics. */
struct control_fleet_facts {
    struct redis_facts redis;
    enum fleet_role role;
    uint64_t epoch, term;
    uint64_t alive;      /* replicas, at the last beat */
    uint64_t lag_ms;     /* since the last beat that was answered; 0: none yet */
    uint64_t conflicts;  /* wishes that came too late */
    uint64_t other_file; /* replicas whose file is another, as far as the leader knows */
    const char *group;   /* borrowed, as are the next */
    const char *replica;
    const char *leader; /* "": nobody, or not known */
};
/* False without a fleet. */
bool control_fleet_facts(const struct control_fleet *fleet, struct control_fleet_facts *facts);
/* { "group", "replica", "role", ... } without what only Redis knows; new reference. */
json_t *control_fleet_status(const struct control_fleet *fleet);
/* The few of them that belong into every overview; null without a fleet; new reference. */
json_t *control_fleet_brief(const struct control_fleet *fleet);

#endif
