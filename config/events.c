/*
 * Events: one list of names, so that a slip in a file is found when it is read, and not on the night nobody is told.
 */
#include "config/events.h"

#include <stddef.h>
#include <string.h>

const char *const event_names[] = {
    /* a person's verbs, and the same steps when the plan takes them */
    "start",
    "promote",
    "pause",
    "resume",
    "freeze",
    "rollback",
    "restart",
    "set_percent",
    "reset_breaker",
    /* what a plan does by itself */
    "waiting_for_promote",
    "gate_failed",
    "step_back",
    "deadline",
    "dependency_met",
    "dependency_lost",
    "done",
    /* the breaker */
    "breaker_open",
    "breaker_half_open",
    "breaker_closed",
    "breaker_healthy",
    /* of a fleet: its breaker, and a replica whose own is open alone */
    "fleet_breaker_open",
    "fleet_breaker_half_open",
    "fleet_breaker_closed",
    "fleet_breaker_healthy",
    "fleet_outlier",
    /* the whole process, and the file */
    "passthrough_on",
    "passthrough_off",
    "route_added",
    "route_removed",
    "reload",
    "report_forgotten",
    NULL,
};

bool event_is_known(const char *name)
{
    for (size_t i = 0; event_names[i] != NULL; i++) {
        if (strcmp(event_names[i], name) == 0)
            return true;
    }
    return false;
}
