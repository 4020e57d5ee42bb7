/*
 * The switches of passthrough other than the API's: signal, environment, file, fail-open.
 *
 *   api          turned by a person through the admin server; kept by the state
 *   signal       SIGUSR1 turns it round; kept by the state
 *   environment  SHUNT_PASSTHROUGH at the start; stands until a start without it
 *   file         on while `passthrough` stands in the state directory
 *   fail_open    on while there is no valid file
 *
 * Passthrough is on while any of them is, so none can be switched off from another: whoever made the emergency ends it.
 */
#include "proxy/control_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/watch.h"
#include "router/store/store.h"

enum {
    POLL_MS = 25, /* where inotify is blind */
    PATH_ROOM = 4096,
};

/* Whatever does not clearly say no means yes: it is an emergency switch. */
static bool environment_says_on(void)
{
    static const char *const no[] = {"", "0", "no", "off", "false"};
    const char *value = getenv("SHUNT_PASSTHROUGH");
    if (value == NULL)
        return false;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        if (strcasecmp(value, no[i]) == 0)
            return false;
    return true;
}

void control_passthrough_begin(struct control_state *state, bool fail_open)
{
    struct router *router = state->router;
    uint64_t wall_ms = control_wall_clock_ms();
    router_passthrough(router, PASSTHROUGH_ENVIRONMENT, environment_says_on(), "environment",
                       "SHUNT_PASSTHROUGH is set", wall_ms);
    router_passthrough(router, PASSTHROUGH_FILE, store_passthrough_file(state->store), "file",
                       "the file passthrough stands in the state directory", wall_ms);
    router_passthrough(router, PASSTHROUGH_FAIL_OPEN, fail_open, "fail_open", "there is no valid configuration file",
                       wall_ms);
}

static void on_file(void *context, bool exists)
{
    struct control *control = context;
    router_passthrough(control->router, PASSTHROUGH_FILE, exists, "file",
                       exists ? "the file passthrough was put into the state directory"
                              : "the file passthrough was taken from the state directory",
                       control_wall_clock_ms());
    control_settle(control);
}

bool control_passthrough_watch(struct control *control)
{
    char path[PATH_ROOM];
    watch_free(control->passthrough_watch);
    control->passthrough_watch = NULL;
    const char *directory = store_directory(control->store);
    if (directory == NULL)
        return true;
    snprintf(path, sizeof(path), "%s/passthrough", directory);
    const struct watch_options options = {.path = path, .poll_ms = POLL_MS, .on_change = on_file, .context = control};
    control->passthrough_watch = watch_new(control->base, &options);
    if (control->passthrough_watch == NULL)
        return false;
    on_file(control, store_passthrough_file(control->store)); /* it may have come since the start */
    return true;
}

void control_passthrough_toggle(struct control *control)
{
    control->signal_passthrough = !control->signal_passthrough;
    router_passthrough(control->router, PASSTHROUGH_SIGNAL, control->signal_passthrough, "signal:USR1",
                       control->signal_passthrough ? "SIGUSR1 turned it on" : "SIGUSR1 turned it off",
                       control_wall_clock_ms());
    control_settle(control);
}

bool control_passthrough(struct control *control, bool on, const char *who, const char *reason)
{
    router_passthrough(control->router, PASSTHROUGH_API, on, who, reason, control_wall_clock_ms());
    return control_settle_and_wait(control);
}
