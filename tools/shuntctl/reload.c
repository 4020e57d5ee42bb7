/*
 * `reload` and `config`: the configuration file, read again or shown as it is in force.
 */
#include <stdlib.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/value.h"

int run_reload(struct ctl *ctl, const struct command *command, const char *const *words)
{
    json_t *answer = NULL, *body = api_signature(ctl);
    (void)command;
    (void)words;
    if (body == NULL)
        return complain(ctl, EXIT_USAGE, API_NO_SIGNATURE);
    int code = api_ask(ctl, "/api/v1/reload", body, "reloaded", &answer);
    if (code == EXIT_DONE && ctl->options.json)
        api_print(answer);
    else if (code == EXIT_DONE)
        screen_print(&ctl->screen, TONE_GOOD, "reloaded, generation %llu\n",
                     (unsigned long long)value_count(answer, "generation"));
    json_decref(answer);
    return code;
}

int run_config(struct ctl *ctl, const struct command *command, const char *const *words)
{
    char *text = NULL;
    (void)command;
    (void)words;
    int code = api_ask_text(ctl, "/api/v1/config", "application/yaml", &text);
    if (code == EXIT_DONE && ctl->options.json) {
        json_t *json = json_pack("{s:s}", "yaml", text);
        api_print(json);
        json_decref(json);
    } else if (code == EXIT_DONE) {
        screen_write(&ctl->screen, TONE_PLAIN, text);
    }
    free(text);
    return code;
}
