/*
 * The verbs of a plan: start, promote, pause, freeze, resume, rollback, restart, set-percent, reset-breaker.
 *
 * Each is one POST, signed with who and why; what is printed is the route as it is afterwards.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/plan.h"
#include "tools/shuntctl/value.h"

/* The route as it is now, and what a promotion by force went past. */
static void tell_route(const struct ctl *ctl, const json_t *route)
{
    const json_t *past;
    size_t i;
    plan_draw_line(&ctl->screen, route);
    json_array_foreach(value_at(route, "past"), i, past)
    {
        const char *text = json_string_value(past);
        char *line = NULL;
        if (text == NULL || asprintf(&line, "past %s", text) < 0)
            continue;
        screen_wrap(&ctl->screen, TONE_WARN, 2, line);
        free(line);
    }
}

/* Posts to /api/v1/routes/ROUTE/VERB. Steals `body`; NULL: api_signature() had none. */
static int post_verb(struct ctl *ctl, const char *verb, const char *route, json_t *body)
{
    json_t *answer = NULL;
    char format[96];
    snprintf(format, sizeof(format), "/api/v1/routes/%%s/%s", verb);
    char *path = api_path(format, route);
    if (body == NULL || path == NULL) {
        json_decref(body);
        free(path);
        return complain(ctl, EXIT_USAGE, API_NO_SIGNATURE);
    }
    int code = api_ask(ctl, path, body, "phase", &answer);
    if (code == EXIT_DONE && ctl->options.json) {
        api_print(answer);
    } else if (code == EXIT_DONE) {
        tell_route(ctl, answer);
        api_tell_pending(&ctl->screen, answer);
    }
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

/* "12.5" or "12.5%", in steps of 0.01 as a share has them. */
static bool read_percent(const char *text, double *percent)
{
    char *end;
    errno = 0;
    *percent = strtod(text, &end);
    double steps = *percent * 100;
    bool plain = text[strspn(text, "0123456789.%")] == '\0' && text[0] != '\0';
    return errno == 0 && plain && end != text && (*end == '\0' || strcmp(end, "%") == 0) && *percent >= 0 &&
           *percent <= 100 && fabs(steps - round(steps)) <= 1e-6;
}

int run_set_percent(struct ctl *ctl, const struct command *command, const char *const *words)
{
    double percent;
    if (!read_percent(words[1], &percent))
        return complain(ctl, EXIT_USAGE,
                        "set-percent: \"%s\" is not a percentage; expected 0 to 100 with up to two decimals, such as "
                        "12.5",
                        words[1]);
    json_t *body = api_signature(ctl);
    if (body != NULL && json_object_set_new(body, "percent", json_real(percent)) < 0) {
        json_decref(body);
        body = NULL;
    }
    return post_verb(ctl, command->name, words[0], body);
}
