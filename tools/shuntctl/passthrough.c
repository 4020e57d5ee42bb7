/*
 * `passthrough on|off|status`: the emergency switch.
 */
#include <string.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/value.h"

/* "passthrough is on, held by: api, file" */
static void tell(const struct screen *screen, const json_t *answer)
{
    bool on = value_flag(answer, "passthrough");
    const json_t *source;
    size_t i;
    screen_print(screen, on ? TONE_BAD : TONE_GOOD, "passthrough is %s", on ? "on" : "off");
    json_array_foreach(value_at(answer, "passthrough_sources"), i, source)
    {
        screen_print(screen, TONE_PLAIN, "%s%s", i > 0 ? ", " : ", held by: ", json_string_value(source));
    }
    fputc('\n', screen->out);
}

static int tell_state(struct ctl *ctl)
{
    json_t *answer = NULL;
    int code = api_ask(ctl, "/api/v1/status", NULL, "passthrough", &answer);
    if (code == EXIT_DONE && ctl->options.json) {
        json_t *only = json_pack("{s:O?, s:O?}", "passthrough", value_at(answer, "passthrough"), "passthrough_sources",
                                 value_at(answer, "passthrough_sources"));
        api_print(only);
        json_decref(only);
    } else if (code == EXIT_DONE) {
        tell(&ctl->screen, answer);
    }
    if (code == EXIT_DONE && value_flag(answer, "passthrough"))
        code = EXIT_REFUSED;
    json_decref(answer);
    return code;
}

static int switch_to(struct ctl *ctl, bool on)
{
    json_t *answer = NULL, *body = api_signature(ctl);
    if (body == NULL || json_object_set_new(body, "on", json_boolean(on)) < 0 ||
        (ctl->options.local && json_object_set_new(body, "local", json_true()) < 0)) {
        json_decref(body);
        return complain(ctl, EXIT_USAGE, API_NO_SIGNATURE);
    }
    int code = api_ask(ctl, "/api/v1/passthrough", body, "passthrough", &answer);
    if (code == EXIT_DONE && ctl->options.json) {
        api_print(answer);
    } else if (code == EXIT_DONE) {
        tell(&ctl->screen, answer);
        api_tell_pending(&ctl->screen, answer);
    }
    if (code == EXIT_DONE && value_flag(answer, "passthrough") != on) /* another switch still holds it */
        code = EXIT_REFUSED;
    json_decref(answer);
    return code;
}

int run_passthrough(struct ctl *ctl, const struct command *command, const char *const *words)
{
    if (strcmp(words[0], "status") == 0)
        return ctl->options.local ? complain(ctl, EXIT_USAGE, "passthrough: --local goes with on and off; leave it out")
                                  : tell_state(ctl);
    if (strcmp(words[0], "on") == 0 || strcmp(words[0], "off") == 0)
        return switch_to(ctl, strcmp(words[0], "on") == 0);
    return complain(ctl, EXIT_USAGE, "%s: \"%s\" is unknown; expected on, off or status", command->name, words[0]);
}
