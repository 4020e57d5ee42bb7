/*
 * What comparing found, for as long as it lasts: begins and ends its keeping, tells the log what went wrong with it,
 * and forgets it when a person asks.
 *
 * The keeper's thread does the work; here is only what belongs to control. The report is loaded before the router takes
 * a configuration, so that the evidence of a stage counts on from totals that already contain what was before the
 * restart.
 */
#include "proxy/control_inside.h"

#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "router/store/store.h"
#include "router/utf8.h"
#include "shadow/keeper.h"

enum {
    LAST_SAVE_MS = 5000
};

static void tell(struct control *control, const char *event, char *sentence)
{
    const char *key = strcmp(event, "report_values_deleted") == 0 ? "why" : "error";
    if (sentence != NULL)
        log_event(control->log, LOG_LEVEL_WARN, event, json_pack("{s:o}", key, utf8_json(sentence)));
    free(sentence);
}

bool control_report_begin(struct control *control)
{
    char *warning;
    control->keeper = keeper_start(store_directory(control->store), control->report, &warning);
    tell(control, "report_damaged", warning);
    return control->keeper != NULL;
}

void control_report_tick(struct control *control)
{
    tell(control, "report_save_failed", keeper_fault(control->keeper));
    tell(control, "report_values_deleted", keeper_note(control->keeper));
}

bool control_report_veil(struct control *control, const struct config *config)
{
    struct report_veil *veils = calloc(config->route_count > 0 ? config->route_count : 1, sizeof(*veils));
    for (uint32_t i = 0; veils != NULL && i < config->route_count; i++)
        veils[i] = (struct report_veil){config->routes[i].name, config->routes[i].shadow.samples.values};
    bool done = veils != NULL && keeper_veil(control->keeper, veils, config->route_count);
    free(veils);
    return done;
}

bool control_report_end(struct control *control)
{
    if (!keeper_stop(control->keeper, LAST_SAVE_MS)) {
        log_event(control->log, LOG_LEVEL_ERROR, "report_save_failed",
                  json_pack("{s:s}", "error",
                            "the state directory's disk does not answer: what was compared in the last "
                            "seconds is lost"));
        return false;
    }
    control->keeper = NULL;
    return true;
}

bool control_forget_report(struct control *control, const char *route, const char *who, const char *reason)
{
    keeper_forget(control->keeper, route);
    router_note(control->router, route, "report_forgotten", who, reason, control_wall_clock_ms());
    return control_settle_and_wait(control);
}
