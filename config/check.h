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

void limits_check(struct loader *loader, const struct node *node, void *base);

bool match_is_set(const void *base);
bool assign_is_set(const void *base);
bool state_is_set(const void *base);

void breaker_prepare(void *base);
void breaker_turn_off(void *base);
bool breaker_is_off(const void *base);

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

#endif
