/*
 * What there is instead of a route that is not there. Called by the commands that read a file; asks no shunt.
 */
#include "tools/shuntctl/route_names.h"

#include <stdlib.h>

#include "config/names.h"

static const struct {
    const char *are;
    const char *none;
} words[] = {
    [ROUTES_ALL] = {"routes are", "the file has no routes: add some"},
    [ROUTES_WITH_STAGES] = {"routes with stages are", "no route of the file has stages: add some"},
};

int route_names_complain(const struct ctl *ctl, const struct config *config, enum route_kind kind, const char *fault)
{
    struct name_guess guess = {.wanted = ctl->options.route != NULL ? ctl->options.route : ""};
    char *names = NULL;
    size_t length = 0;
    uint32_t count = 0;
    FILE *out = open_memstream(&names, &length);
    if (out == NULL)
        return complain(ctl, EXIT_USAGE, "%s", fault);
    for (uint32_t i = 0; i < config->route_count; i++) {
        if (kind == ROUTES_WITH_STAGES && config->routes[i].stage_count == 0)
            continue;
        name_guess_try(&guess, config->routes[i].name);
        fprintf(out, "%s%s", count++ > 0 ? ", " : "", config->routes[i].name);
    }
    const char *near = name_guess_best(&guess);
    if (fclose(out) == 0 && count > 0)
        complain(ctl, EXIT_USAGE, "%s; %s%s%s%s: %s", fault, near != NULL ? "did you mean " : "",
                 near != NULL ? near : "", near != NULL ? "? " : "", words[kind].are, names);
    else
        complain(ctl, EXIT_USAGE, "%s; %s", fault, words[kind].none);
    free(names);
    return EXIT_USAGE;
}
