/*
 * `report`: what comparing found. The text is made by the room that made the report: shadow/report.h.
 */
#include <stdlib.h>
#include <string.h>

#include "shadow/report.h"
#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"

static int reset_report(struct ctl *ctl, const char *route)
{
    json_t *answer = NULL, *body = route != NULL ? json_pack("{s:s}", "route", route) : json_object();
    if (body == NULL)
        return complain(ctl, EXIT_REFUSED, "out of memory");
    int code = api_ask(ctl, "/api/v1/report/reset", body, &answer);
    if (code == EXIT_DONE && ctl->options.json)
        api_print(answer);
    else if (code == EXIT_DONE)
        screen_print(&ctl->screen, TONE_PLAIN, "%s: the report starts anew\n", route != NULL ? route : "all routes");
    json_decref(answer);
    return code;
}

int run_report(struct ctl *ctl, const struct command *command, const char *const *words)
{
    (void)command;
    if (ctl->options.reset)
        return reset_report(ctl, words[0]);
    json_t *answer = NULL;
    char *path = words[0] != NULL ? api_path("/api/v1/report?route=%s", words[0]) : strdup("/api/v1/report");
    int code = api_ask(ctl, path, NULL, &answer);
    free(path);
    if (code == EXIT_DONE && ctl->options.json) {
        code = api_print(answer);
    } else if (code == EXIT_DONE) {
        char *text = report_text(answer, ctl->screen.width, ctl->screen.color);
        if (text == NULL)
            code = complain(ctl, EXIT_REFUSED, "out of memory");
        else
            fputs(text, stdout);
        free(text);
    }
    json_decref(answer);
    return code;
}
