/*
 * Asks a gate's webhook, every interval, while the stage waits for it: GET, 200 is go, everything else is not yet.
 *
 * The router looks once a second and takes the newest answer; a go counts for three intervals at most. When nobody
 * has looked for a few seconds (the stage was left, the plan paused), the asking ends, and who looks again later begins
 * without an answer: yesterday's go does not open today's stage.
 */
#include "proxy/notify_question.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/log.h"
#include "router/utf8.h"

enum {
    WANTED_MS = 10 * 1000, /* the router looks once a second; with very many routes and a busy machine, less often */
    OVER_MS = 10 * 60 * 1000,
    INTERVALS_GO_COUNTS = 3,
    LINE_ROOM = 101,
    CLOCK_ROOM = 24,
};

struct question *question_new(struct notify_context *context, const char *route, const char *stage,
                              const struct config_gate_webhook *webhook)
{
    struct question *question = calloc(1, sizeof(*question));
    if (question == NULL)
        return NULL;
    question->context = context;
    question->route = strdup(route);
    question->stage = strdup(stage);
    question->url = strdup(webhook->url);
    question->wanted_ms = question->ask_ms = context->now_ms;
    if (question->route != NULL && question->stage != NULL && question->url != NULL)
        return question;
    question_free(question);
    return NULL;
}

void question_free(struct question *question)
{
    if (question == NULL)
        return;
    errand_done(&question->errand, question->context->multi);
    free(question->route);
    free(question->stage);
    free(question->url);
    free(question);
}

bool question_is(const struct question *question, const char *route, const char *stage,
                 const struct config_gate_webhook *webhook)
{
    return strcmp(question->route, route) == 0 && strcmp(question->stage, stage) == 0 &&
           strcmp(question->url, webhook->url) == 0;
}

/* ---- who looks ---- */

static bool is_wanted(const struct question *question)
{
    return question->context->now_ms - question->wanted_ms < WANTED_MS;
}

void question_forget(struct question *question)
{
    question->answer = (struct approval_answer){0};
    question->ask_ms = question->context->now_ms;
    question->outdated = question->errand.under_way;
}

bool question_want(struct question *question, const struct config_gate_webhook *webhook, struct approval_answer *answer)
{
    uint64_t now_ms = question->context->now_ms;
    if (!is_wanted(question))
        question_forget(question);
    question->wanted_ms = now_ms;
    question->interval_ms = webhook->interval_ms;
    question->timeout_ms = webhook->timeout_ms;
    *answer = question->answer;
    if (answer->what == APPROVAL_GO && now_ms - question->answered_ms > INTERVALS_GO_COUNTS * webhook->interval_ms) {
        answer->what = APPROVAL_WAITING;
        snprintf(answer->sentence, sizeof(answer->sentence), "its last answer, %.80s, is too old",
                 question->answer.sentence);
    }
    return (!question->errand.under_way || question->outdated) && question->ask_ms <= now_ms;
}

/* ---- answers ---- */

static void print_clock(char text[CLOCK_ROOM])
{
    time_t now = time(NULL);
    struct tm broken_down;
    gmtime_r(&now, &broken_down);
    strftime(text, CLOCK_ROOM, "%H:%M:%S UTC", &broken_down);
}

static void print_answer(struct question *question, const struct errand_result *result)
{
    char clock[CLOCK_ROOM], line[LINE_ROOM];
    char *sentence = question->answer.sentence;
    size_t room = sizeof(question->answer.sentence);
    print_clock(clock);
    errand_first_line(&question->errand, line, sizeof(line));
    if (result->status == 0)
        snprintf(sentence, room, "no answer at %s: %s", clock, result->fault);
    else if (result->status == 200 || line[0] == '\0')
        snprintf(sentence, room, "%u at %s", result->status, clock);
    else
        snprintf(sentence, room, "%u at %s: %s", result->status, clock, line);
}

static void on_end(void *owner, const struct errand_result *result)
{
    struct question *question = owner;
    enum approval before = question->answer.what;
    if (question->outdated || !is_wanted(question))
        return; /* it comes too late for everybody */
    question->answered_ms = question->context->now_ms;
    question->answer.what = result->status == 200 ? APPROVAL_GO : APPROVAL_HOLD;
    print_answer(question, result);
    if (question->answer.what != before)
        log_event(question->context->log, LOG_LEVEL_INFO, "webhook_answered",
                  json_pack("{s:o, s:o, s:s, s:o}", "route", utf8_json(question->route), "stage",
                            utf8_json(question->stage), "answer", result->status == 200 ? "go" : "hold", "sentence",
                            utf8_json(question->answer.sentence)));
}

/* ---- asking ---- */

void question_work(struct question *question)
{
    struct notify_context *context = question->context;
    if (context->stopping || context->now_ms < question->ask_ms || !is_wanted(question))
        return;
    if (question->outdated)
        errand_done(&question->errand, context->multi);
    question->outdated = false;
    if (question->errand.under_way)
        return;
    const struct errand_request request = {
        .url = question->url,
        .route = question->route,
        .stage = question->stage,
        .timeout_ms = question->timeout_ms,
    };
    question->ask_ms = context->now_ms + question->interval_ms;
    if (!errand_start(&question->errand, context->multi, &request, on_end, question))
        on_end(question, &(struct errand_result){.fault = "no memory"});
}

uint64_t question_due_ms(const struct question *question)
{
    bool waits = question->errand.under_way && !question->outdated;
    return waits || question->context->stopping || !is_wanted(question) ? UINT64_MAX : question->ask_ms;
}

bool question_is_over(const struct question *question)
{
    return !question->errand.under_way && question->context->now_ms - question->wanted_ms >= OVER_MS;
}
