/*
 * `passthrough on|off|status`: the emergency switch.
 */
#include <string.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/value.h"

static int tell_state(struct ctl *ctl)
{
    json_t *answer = NULL;
    const json_t *source;
    size_t i;
    int code = api_ask(ctl, "/api/v1/status", NULL, &answer);
    if (code != EXIT_DONE)
        return json_decref(answer), code;
    bool on = value_flag(answer, "passthrough");
    if (ctl->options.json) {
        json_t *only = json_pack("{s:b, s:O?}", "passthrough", on, "sources", value_at(answer, "passthrough_sources"));
        api_print(only);
        json_decref(only);
    } else {
        screen_print(&ctl->screen, on ? TONE_BAD : TONE_GOOD, "passthrough is %s", on ? "on" : "off");
        json_array_foreach(value_at(answer, "passthrough_sources"), i, source)
        {
            screen_print(&ctl->screen, TONE_PLAIN, "%s%s", i > 0 ? ", " : ", held by: ", json_string_value(source));
        }
        fputc('\n', stdout);
    }
    json_decref(answer);
    return on ? EXIT_REFUSED : EXIT_DONE;
}

static int switch_to(struct ctl *ctl, bool on)
{
    json_t *answer = NULL, *body = api_signature(ctl);
    if (body == NULL || json_object_set_new(body, "on", json_boolean(on)) < 0) {
        json_decref(body);
        return complain(ctl, EXIT_REFUSED, "out of memory");
    }
    int code = api_ask(ctl, "/api/v1/passthrough", body, &answer);
    if (code == EXIT_DONE && ctl->options.json)
        api_print(answer);
    else if (code == EXIT_DONE)
        screen_print(&ctl->screen, value_flag(answer, "passthrough") ? TONE_BAD : TONE_GOOD, "passthrough is %s%s%s\n",
                     value_flag(answer, "passthrough") ? "on" : "off",
                     value_text(answer, "note")[0] != '\0' ? ": " : "", value_text(answer, "note"));
    bool done = value_flag(answer, "passthrough") == on;
    json_decref(answer);
    return code == EXIT_DONE && !done ? EXIT_REFUSED : code;
}

int run_passthrough(struct ctl *ctl, const struct command *command, const char *const *words)
{
    if (strcmp(words[0], "status") == 0)
        return tell_state(ctl);
    if (strcmp(words[0], "on") == 0 || strcmp(words[0], "off") == 0)
        return switch_to(ctl, strcmp(words[0], "on") == 0);
    return complain(ctl, EXIT_USAGE, "%s: \"%s\" is unknown; expected on, off or status", command->name, words[0]);
}
