/*
 * Draining in words.
 */
#ifndef SHUNT_SHUNTCTL_DRAIN_H
#define SHUNT_SHUNTCTL_DRAIN_H

#include <jansson.h>

/* What a phase means: "clients are told to leave". `drain` is the member of that name of the admin API; lives as long
 * as it does. */
const char *drain_sentence(const json_t *drain);

#endif
