/*
 * The verbs of a plan: promote, pause, resume, rollback, restart, set-percent, reset-breaker.
 *
 * Each is one POST, signed with who and why; what is printed is the route as it is afterwards.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/number.h"
#include "tools/shuntctl/value.h"

/* "orders-read: running, stage canary, 10 % to new, breaker closed" */
static void tell_route(const struct ctl *ctl, const json_t *route)
{
    char percent[NUMBER_ROOM], now[NUMBER_ROOM];
    double plan = value_number(route, "percent"), effective = value_number(route, "effective_percent");
    const char *stage = value_text(route, "stage");
    screen_print(&ctl->screen, TONE_STRONG, "%s", value_text(route, "name"));
    screen_print(&ctl->screen, TONE_PLAIN, ": %s%s%s, %s to new", value_text(route, "phase"),
                 stage[0] != '\0' ? ", stage " : "", stage, number_percent(plan / 100.0, percent));
    if (plan != effective)
        screen_print(&ctl->screen, TONE_BAD, " (now %s)", number_percent(effective / 100.0, now));
    screen_print(&ctl->screen, TONE_PLAIN, ", breaker %s\n", value_text(route, "breaker.state"));
}

/* Posts to /api/v1/routes/ROUTE/VERB. Steals `body`; NULL: no memory. */
static int post_verb(struct ctl *ctl, const char *verb, const char *route, json_t *body)
{
    json_t *answer = NULL;
    char format[96];
    snprintf(format, sizeof(format), "/api/v1/routes/%%s/%s", verb);
    char *path = api_path(format, route);
    if (body == NULL || path == NULL) {
        json_decref(body);
        free(path);
        return complain(ctl, EXIT_REFUSED, "out of memory");
    }
    int code = api_ask(ctl, path, body, &answer);
    if (code == EXIT_DONE && ctl->options.json)
        api_print(answer);
    else if (code == EXIT_DONE)
        tell_route(ctl, answer);
    json_decref(answer);
    free(path);
    return code;
}

int run_verb(struct ctl *ctl, const struct command *command, const char *const *words)
{
    json_t *body = api_signature(ctl);
    if (ctl->options.force && body != NULL)
        json_object_set_new(body, "force", json_true());
    return post_verb(ctl, command->name, words[0], body);
}

/* "12.5" or "12.5%". */
static bool read_percent(const char *text, double *percent)
{
    char *end;
    errno = 0;
    *percent = strtod(text, &end);
    bool plain = text[strspn(text, "0123456789.%")] == '\0' && text[0] != '\0';
    return errno == 0 && plain && end != text && (*end == '\0' || strcmp(end, "%") == 0) && *percent >= 0 &&
           *percent <= 100;
}

int run_set_percent(struct ctl *ctl, const struct command *command, const char *const *words)
{
    double percent;
    if (!read_percent(words[1], &percent))
        return complain(ctl, EXIT_USAGE, "set-percent: \"%s\" is not a percentage; expected 0 to 100, such as 12.5",
                        words[1]);
    json_t *body = api_signature(ctl);
    if (body != NULL && json_object_set_new(body, "percent", json_real(percent)) < 0) {
        json_decref(body);
        body = NULL;
    }
    return post_verb(ctl, command->name, words[0], body);
}
