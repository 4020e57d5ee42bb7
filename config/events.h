/*
 * Events: the names of all changes of state, as the journal tells them (router/journal.h) and `notify` may ask for
 * them.
 *
 * Whoever tells a new one adds its name here, else nobody can ask for it.
 */
#ifndef SHUNT_CONFIG_EVENTS_H
#define SHUNT_CONFIG_EVENTS_H

#include <stdbool.h>

/* NULL ends them. */
extern const char *const event_names[];

bool event_is_known(const char *name);

#endif
