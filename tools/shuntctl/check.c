/*
 * `check FILE`: reads a file as shunt would, here and now, and tells every fault at once. Asks no shunt.
 */
#include "config/config.h"
#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/number.h"

static void tell_good(const struct ctl *ctl, const struct config *config)
{
    screen_print(&ctl->screen, TONE_GOOD, "%s is good", config->file);
    screen_print(&ctl->screen, TONE_PLAIN, ": %u listener%s, %u backends, %u route%s\n", config->listener_count,
                 config->listener_count == 1 ? "" : "s", config->backend_count, config->route_count,
                 config->route_count == 1 ? "" : "s");
    for (uint32_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        char percent[NUMBER_ROOM];
        screen_print(&ctl->screen, TONE_PLAIN, "  %s: ", route->name);
        if (route->stage_count == 0)
            screen_print(&ctl->screen, TONE_PLAIN, "fixed share of %s",
                         number_percent((double)route->percent / SHARE_ALL, percent));
        for (uint32_t stage = 0; stage < route->stage_count; stage++)
            screen_print(&ctl->screen, TONE_PLAIN, "%s%s", stage > 0 ? " -> " : "",
                         number_percent((double)route->stages[stage].percent / SHARE_ALL, percent));
        fputc('\n', ctl->screen.out);
    }
}

static void tell_faults(const struct ctl *ctl, const char *file, const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++)
        fprintf(ctl->err, "%s\n", errors->lines[i]);
    complain(ctl, EXIT_REFUSED, "%s has %zu fault%s", file, errors->count, errors->count == 1 ? "" : "s");
}

static void print_json(const char *file, const struct config_errors *errors, bool good)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < errors->count; i++)
        json_array_append_new(lines, json_string(errors->lines[i]));
    json_t *answer = json_pack("{s:s, s:b, s:o}", "file", file, "good", good, "errors", lines);
    api_print(answer);
    json_decref(answer);
}

int run_check(struct ctl *ctl, const struct command *command, const char *const *words)
{
    struct config_errors errors = {0};
    struct config *config = config_load(words[0], &errors);
    bool good = config != NULL;
    (void)command;
    if (ctl->options.json)
        print_json(words[0], &errors, good);
    else if (good)
        tell_good(ctl, config);
    else
        tell_faults(ctl, words[0], &errors);
    config_errors_free(&errors);
    config_free(config);
    return good ? EXIT_DONE : EXIT_REFUSED;
}
