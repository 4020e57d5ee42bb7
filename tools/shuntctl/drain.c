/*
 * `drain`: leads clients away from a shunt that is to end, or takes that back.
 */
#include "tools/shuntctl/drain.h"

#include <string.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/number.h"
#include "tools/shuntctl/value.h"

const char *drain_sentence(const json_t *drain)
{
    static const struct {
        const char *phase, *sentence;
    } sentences[] = {
        {"serving", "clients are still served as ever"},
        {"leaving", "clients are told to leave"},
        {"closing", "idle connections are closed"},
        {"ending", "no new connections are taken"},
    };
    for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
        if (strcmp(value_text(drain, "phase"), sentences[i].phase) == 0)
            return sentences[i].sentence;
    return value_text(drain, "phase");
}

static void tell(const struct screen *screen, const json_t *answer)
{
    const json_t *drain = value_at(answer, "drain");
    uint64_t left_ms = value_count(drain, "min_left_ms");
    char left[NUMBER_ROOM];
    if (!value_flag(answer, "draining")) {
        screen_print(screen, TONE_GOOD, "not draining\n");
        return;
    }
    screen_print(screen, TONE_WARN, "draining: %s", drain_sentence(drain));
    if (left_ms > 0)
        screen_print(screen, TONE_PLAIN, ", idle connections are closed in %s", number_duration(left_ms, left));
    screen_print(screen, TONE_PLAIN, "\n");
}

int run_drain(struct ctl *ctl, const struct command *command, const char *const *words)
{
    json_t *answer = NULL, *body = api_signature(ctl);
    (void)command;
    (void)words;
    if (body == NULL || (ctl->options.cancel && json_object_set_new(body, "cancel", json_true()) < 0)) {
        json_decref(body);
        return complain(ctl, EXIT_USAGE, API_NO_SIGNATURE);
    }
    int code = api_ask(ctl, "/api/v1/drain", body, "draining", &answer);
    if (code == EXIT_DONE && ctl->options.json)
        api_print(answer);
    else if (code == EXIT_DONE)
        tell(&ctl->screen, answer);
    json_decref(answer);
    return code;
}
