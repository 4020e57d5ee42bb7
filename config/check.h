/*
 * Rules between keys, and what a section is when its keys are not there.
 */
#ifndef SHUNT_CONFIG_CHECK_H
#define SHUNT_CONFIG_CHECK_H

#include "config/loader.h"

/* Called by loader_read_section() as the table of sections says; `base` is the section's struct. */

bool admin_is_set(const void *base);
void admin_check(struct loader *loader, const struct node *node, void *base);

void access_log_turn_off(void *base);
bool access_log_is_off(const void *base);

void timeouts_check(struct loader *loader, const struct node *node, void *base);
void limits_check(struct loader *loader, const struct node *node, void *base);

bool match_is_set(const void *base);
bool assign_is_set(const void *base);

void breaker_prepare(void *base);
void breaker_turn_off(void *base);
bool breaker_is_off(const void *base);

void breaker_check(struct loader *loader, const struct node *node, void *base);

void webhook_turn_off(void *base);
bool webhook_is_off(const void *base);
void webhook_check(struct loader *loader, const struct node *node, void *base);

bool edits_are_set(const void *base);

void shadow_breaker_prepare(void *base);
void shadow_breaker_turn_off(void *base);
bool shadow_breaker_is_off(const void *base);

void tolerance_check(struct loader *loader, const struct node *node, void *base);
void replace_check(struct loader *loader, const struct node *node, void *base);

void fallback_turn_off(void *base);
bool fallback_is_set(const void *base);

void route_check(struct loader *loader, const struct node *node, void *base);
void file_check(struct loader *loader, const struct node *node, void *base);

/* check_peers.c: TLS on both sides, and active checks. */

/* The section listeners[].tls: the configuration's struct first, then what the file may say in two ways. */
struct listener_tls_keys {
    struct config_listener_tls tls; /* config_listener.tls points here */
    struct config_certificate own;  /* `certificate` and `key` */
    struct config_certificate *list;
    uint32_t list_count; /* `certificates` */
};

void listener_tls_check(struct loader *loader, const struct node *node, void *base);
void backend_tls_check(struct loader *loader, const struct node *node, void *base);
void backend_check(struct loader *loader, const struct node *node, void *base);
void health_check(struct loader *loader, const struct node *node, void *base);

/* check_redis.c: where state is kept and shared. */
bool state_is_set(const void *base);
void state_check(struct loader *loader, const struct node *node, void *base);
bool redis_is_set(const void *base);
bool redis_tls_is_set(const void *base);
void redis_tls_check(struct loader *loader, const struct node *node, void *base); /* check_peers.c */
void redis_check(struct loader *loader, const struct node *node, void *base);

/* check_plan.c, by route_check(): stages with what they have of their route, and what a failure does. */
void plan_check(struct loader *loader, const struct node *node, struct config_route *route);

/* check_depends.c, by file_check(): finds the routes and stages that depends_on names. `routes` is the file's list. */
void dependencies_check(struct loader *loader, const struct node *routes);

/* What checks have in common: where a key's value stands (or the mapping itself), whether the file says it, and a fault
 * of a key below the one the path stands at. */
struct place check_place(const struct node *mapping, const char *key);
bool check_says(const struct node *mapping, const char *key);
void check_fault(struct loader *loader, const char *key, struct place place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
