/*
 * `verdict ROUTE`: do the answers agree well enough? One sentence for people, one exit code for scripts.
 *
 * shunt counts and judges by the route's gate; with --limit or --confidence its counts are judged here, by the same
 * rule (shadow/verdict.h). With --wait it asks each second until there is a pass or a fail; a shunt that is restarted
 * meanwhile, and therefore away, is waited for as well.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shadow/verdict.h"
#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/number.h"
#include "tools/shuntctl/value.h"

enum {
    ASK_EVERY_MS = 1000
};

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

/* One question. What is complained about goes to `err`, so that a wait may keep it to itself. */
static int ask(struct ctl *ctl, const char *path, const char *route, FILE *err, json_t **answer)
{
    FILE *usual = ctl->err;
    ctl->err = err;
    int code = api_ask(ctl, path, NULL, answer);
    if (code == EXIT_DONE && (ctl->options.most >= 0 || ctl->options.confidence >= 0) &&
        !judge_again(ctl, route, *answer))
        code = complain(ctl, EXIT_USAGE, "out of memory");
    ctl->err = usual;
    /* "there is no such route" must not read as "the answers differ" */
    return code == EXIT_REFUSED ? EXIT_USAGE : code;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_ms(uint64_t ms)
{
    struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

/* One line of a terminal that is written again and again. */
static void show_progress(const struct ctl *ctl, int code, const json_t *answer, uint64_t left_ms)
{
    char left[NUMBER_ROOM], compared[NUMBER_ROOM];
    if (isatty(fileno(ctl->err)) != 1)
        return;
    number_duration(left_ms, left);
    if (code == EXIT_DONE)
        fprintf(ctl->err, "\r\033[Kundecided, %s compared; %s left",
                number_count(value_count(answer, "compared"), compared), left);
    else
        fprintf(ctl->err, "\r\033[Kshunt cannot be reached; %s left", left);
    fflush(ctl->err);
}

static void end_progress(const struct ctl *ctl)
{
    if (isatty(fileno(ctl->err)) == 1)
        fputs("\r\033[K", ctl->err);
}

/* Asks until it is decided or the time is over. The last answer in *answer, the last complaint in *complaint. */
static int ask_until_decided(struct ctl *ctl, const char *path, const char *route, json_t **answer, char **complaint)
{
    uint64_t end_ms = now_ms() + ctl->options.wait_ms;
    for (;;) {
        size_t length = 0;
        json_decref(*answer);
        free(*complaint);
        *answer = NULL;
        *complaint = NULL;
        FILE *err = open_memstream(complaint, &length);
        if (err == NULL)
            return complain(ctl, EXIT_USAGE, "out of memory");
        int code = ask(ctl, path, route, err, answer);
        fclose(err);
        bool waits =
            code == EXIT_UNREACHABLE || (code == EXIT_DONE && results[result_index(*answer)].code == EXIT_UNDECIDED);
        uint64_t now = now_ms();
        if (!waits || now >= end_ms) {
            end_progress(ctl);
            return code;
        }
        show_progress(ctl, code, *answer, end_ms - now);
        sleep_ms(end_ms - now < ASK_EVERY_MS ? end_ms - now : ASK_EVERY_MS);
    }
}

int run_verdict(struct ctl *ctl, const struct command *command, const char *const *words)
{
    json_t *answer = NULL;
    char *complaint = NULL, *path = api_path("/api/v1/verdict?route=%s", words[0]);
    (void)command;
    if (ctl->options.confidence >= 0 && (ctl->options.confidence < 0.5 || ctl->options.confidence > 0.999999)) {
        free(path);
        return complain(ctl, EXIT_USAGE, "--confidence: expected a percentage from 50%% to 99.9999%%");
    }
    int code = path == NULL ? complain(ctl, EXIT_USAGE, "out of memory")
                            : ask_until_decided(ctl, path, words[0], &answer, &complaint);
    if (code == EXIT_DONE) {
        unsigned result = result_index(answer);
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
    return code;
}
