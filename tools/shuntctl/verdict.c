/*
 * `verdict ROUTE`: do the answers agree well enough? One sentence for people, one exit code for scripts.
 *
 * shunt counts and judges by the route's gate; with --limit or --confidence its counts are judged here, by the same
 * rule (shadow/verdict.h). With --wait it asks each second until there is a pass or a fail; a shunt that is restarted
 * meanwhile, and therefore away, is waited for as well.
 */
#include <stdlib.h>
#include <string.h>

#include "shadow/verdict.h"
#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/number.h"
#include "tools/shuntctl/value.h"
#include "tools/shuntctl/wait.h"

static const struct {
    const char *result;
    int code;
    enum tone tone;
} results[] = {
    {"pass", EXIT_DONE, TONE_GOOD},
    {"fail", EXIT_REFUSED, TONE_BAD},
    {"undecided", EXIT_UNDECIDED, TONE_WARN},
};

static unsigned result_index(const json_t *verdict)
{
    for (unsigned i = 0; i < sizeof(results) / sizeof(results[0]); i++)
        if (strcmp(value_text(verdict, "result"), results[i].result) == 0)
            return i;
    return sizeof(results) / sizeof(results[0]) - 1;
}

static double number_or(const json_t *object, const char *name, double otherwise)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

/* By what the command line asks for, from the counts of the answer. False without memory. */
static bool judge_again(const struct ctl *ctl, const char *route, json_t *answer)
{
    struct rate_verdict verdict;
    double limit = ctl->options.most >= 0 ? ctl->options.most : number_or(answer, "limit", -1);
    double confidence = ctl->options.confidence >= 0 ? ctl->options.confidence : number_or(answer, "confidence", 0.99);
    verdict_judge(route, value_count(answer, "compared"), value_count(answer, "differing"), limit, confidence,
                  &verdict);
    json_t *mine = json_pack("{s:s, s:f, s:f, s:f, s:f, s:s}", "result", verdict_name(verdict.result), "rate",
                             verdict.rate, "at_least", verdict.at_least, "at_most", verdict.at_most, "confidence",
                             confidence, "sentence", verdict.sentence);
    bool done = mine != NULL && json_object_update(answer, mine) == 0 &&
                json_object_set_new(answer, "limit", limit < 0 ? json_null() : json_real(limit)) == 0;
    json_decref(mine);
    return done;
}

struct verdict_wait {
    const char *route;
    bool failed; /* no memory to judge with */
    char progress[96];
};

/* Judged anew where the command line asks for that; no memory for it ends the wait. */
static bool is_decided(void *context, struct ctl *ctl, json_t *answer)
{
    struct verdict_wait *wait = context;
    if ((ctl->options.most >= 0 || ctl->options.confidence >= 0) && !judge_again(ctl, wait->route, answer)) {
        wait->failed = true;
        return true;
    }
    return results[result_index(answer)].code != EXIT_UNDECIDED;
}

static const char *tell_progress(void *context, const json_t *answer)
{
    struct verdict_wait *wait = context;
    char compared[NUMBER_ROOM];
    snprintf(wait->progress, sizeof(wait->progress), "undecided, %s compared",
             number_count(value_count(answer, "compared"), compared));
    return wait->progress;
}

int run_verdict(struct ctl *ctl, const struct command *command, const char *const *words)
{
    json_t *answer = NULL;
    bool answered = false;
    char *complaint = NULL, *path = api_path("/api/v1/verdict?route=%s", words[0]);
    (void)command;
    if (ctl->options.confidence >= 0 && (ctl->options.confidence < 0.5 || ctl->options.confidence > 0.999999)) {
        free(path);
        return complain(ctl, EXIT_USAGE, "--confidence: expected a percentage from 50%% to 99.9999%%");
    }
    struct verdict_wait context = {.route = words[0]};
    const struct wait wait = {path, "result", ctl->options.wait_ms, false, &context, is_decided, tell_progress};
    int code = path == NULL ? complain(ctl, EXIT_USAGE, "out of memory") : wait_for(ctl, &wait, &answer, &complaint);
    if (context.failed) {
        code = complain(ctl, EXIT_USAGE, "out of memory");
    } else if (code == EXIT_DONE) {
        unsigned result = result_index(answer);
        answered = true;
        code = results[result].code;
        if (ctl->options.json)
            api_print(answer);
        else
            screen_print(&ctl->screen, results[result].tone, "%s\n", value_text(answer, "sentence"));
    } else if (complaint != NULL) {
        fputs(complaint, ctl->err);
    }
    json_decref(answer);
    free(complaint);
    free(path);
    /* "there is no such route" must not read as "the answers differ" */
    return answered || code != EXIT_REFUSED ? code : EXIT_USAGE;
}
