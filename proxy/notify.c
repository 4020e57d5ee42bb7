/*
 * The thread "notify" and the lock between it and control. What a target does is in notify_target.c, what a question
 * does in notify_question.c, how a request is made in errand.c.
 *
 * The thread alone touches libcurl, but for waking it. Each round it lets libcurl move bytes, without the lock; then,
 * with it, hears what has ended, and starts what is due.
 */
#include "proxy/notify.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "proxy/curl_library.h"
#include "proxy/log.h"
#include "proxy/notify_question.h"
#include "proxy/notify_sentence.h"
#include "proxy/notify_target.h"
#include "router/store/store.h"
#include "router/utf8.h"

enum {
    ROUND_MS = 60 * 1000, /* the thread looks around that often at least */
    ROUND_LEAST_MS = 100, /* and when libcurl cannot wait, no more often than that */
    FORMATS = NOTIFY_SLACK + 1,
};

const struct notify_limits notify_limits = {.queue = 1000,
                                            .first_retry_ms = 1000,
                                            .most_retry_ms = 5 * 60 * 1000,
                                            .give_up_ms = 60 * 60 * 1000,
                                            .questions = 256};

struct notify_plan {
    struct target *targets;
};

struct notify {
    pthread_t thread;
    bool thread_runs; /* control's */
    bool told;        /* that it cannot be started */
    bool begun;       /* libcurl is */
    CURLM *multi;     /* made by control before the thread starts */
    struct {
        pthread_mutex_t lock;
        struct notify_context context;
        struct target *targets;
        struct target *gone; /* to be freed by the thread */
        struct question *questions;
        uint64_t deadline_ms; /* while stopping */
    } shared;
};

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Takes the lock, and looks at the clock. */
static void enter(struct notify *notify)
{
    pthread_mutex_lock(&notify->shared.lock);
    notify->shared.context.now_ms = clock_ms();
}

static void leave(struct notify *notify)
{
    pthread_mutex_unlock(&notify->shared.lock);
}

/* ---- the thread ---- */

static void hear(struct notify *notify)
{
    int left;
    for (CURLMsg *message; (message = libcurl.multi_info_read(notify->multi, &left)) != NULL;)
        if (message->msg == CURLMSG_DONE)
            errand_end(message->easy_handle, notify->multi, message->data.result);
}

static void free_targets(struct target *target)
{
    while (target != NULL) {
        struct target *next = target->next;
        target_free(target);
        target = next;
    }
}

static void forget_questions(struct notify *notify)
{
    struct question **at = &notify->shared.questions;
    while (*at != NULL) {
        struct question *question = *at;
        if (!question_is_over(question)) {
            at = &question->next;
            continue;
        }
        *at = question->next;
        question_free(question);
    }
}

static size_t count_asked(const struct notify *notify)
{
    size_t count = 0;
    for (const struct question *question = notify->shared.questions; question != NULL; question = question->next)
        count += question->errand.under_way;
    return count;
}

/* Those that are asked go to the end of the list, so that everybody's turn comes. Returns when the next one is due. */
static uint64_t ask_due(struct notify *notify)
{
    uint64_t due_ms = UINT64_MAX;
    size_t asked = count_asked(notify);
    struct question **at = &notify->shared.questions, *asked_now = NULL, **end = &asked_now;
    while (*at != NULL) {
        struct question *question = *at;
        bool was_asked = question->errand.under_way;
        bool waits = !was_asked && asked >= notify->shared.context.limits->questions; /* until one has ended */
        if (!waits)
            question_work(question);
        if (!waits && question_due_ms(question) < due_ms)
            due_ms = question_due_ms(question);
        if (was_asked || !question->errand.under_way) {
            at = &question->next;
            continue;
        }
        asked++;
        *at = question->next;
        question->next = NULL;
        *end = question;
        end = &question->next;
    }
    *at = asked_now;
    return due_ms;
}

/* When there is something to do, in milliseconds from now. */
static int start_due(struct notify *notify)
{
    uint64_t now_ms = notify->shared.context.now_ms, due_ms = now_ms + ROUND_MS;
    for (struct target *target = notify->shared.targets; target != NULL; target = target->next) {
        target_work(target);
        if (target_due_ms(target) < due_ms)
            due_ms = target_due_ms(target);
    }
    uint64_t question_ms = ask_due(notify);
    if (question_ms < due_ms)
        due_ms = question_ms;
    if (notify->shared.context.stopping && notify->shared.deadline_ms < due_ms)
        due_ms = notify->shared.deadline_ms;
    return due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
}

static bool is_over(const struct notify *notify)
{
    const struct notify_context *context = &notify->shared.context;
    if (!context->stopping || context->now_ms >= notify->shared.deadline_ms)
        return context->stopping;
    for (const struct target *target = notify->shared.targets; target != NULL; target = target->next)
        if (target->count > 0 && !target->given_up)
            return false;
    return true;
}

static void *run(void *argument)
{
    struct notify *notify = argument;
    int under_way;
    pthread_setname_np(pthread_self(), "notify");
    for (;;) {
        libcurl.multi_perform(notify->multi, &under_way);
        enter(notify);
        hear(notify);
        free_targets(notify->shared.gone);
        notify->shared.gone = NULL;
        forget_questions(notify);
        int wait_ms = start_due(notify);
        bool over = is_over(notify);
        leave(notify);
        if (over)
            return NULL;
        if (libcurl.multi_poll(notify->multi, NULL, 0, wait_ms, NULL) != CURLM_OK)
            poll(NULL, 0, ROUND_LEAST_MS);
    }
}

/* ---- control's side ---- */

/* One that cannot be woken (it had no descriptors left for that) would be of no use for ever. NULL with `why`. */
static CURLM *open_multi(char why[LIBRARY_WHY_ROOM])
{
    CURLM *multi = libcurl.multi_init();
    if (multi == NULL || libcurl.multi_wakeup(multi) == CURLM_OK)
        return multi;
    libcurl.multi_cleanup(multi);
    snprintf(why, LIBRARY_WHY_ROOM, "libcurl: no descriptors to be woken by");
    return NULL;
}

/* libcurl is nobody's business before. False with `why`. */
static bool begin(struct notify *notify, char why[LIBRARY_WHY_ROOM])
{
    if (!curl_library_open(why))
        return false;
    snprintf(why, LIBRARY_WHY_ROOM, "libcurl: no memory");
    notify->begun = notify->begun || libcurl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    if (notify->begun && notify->multi == NULL)
        notify->multi = open_multi(why);
    notify->shared.context.multi = notify->multi;
    return notify->multi != NULL;
}

static bool start_thread(struct notify *notify, char why[LIBRARY_WHY_ROOM])
{
    sigset_t all, before;
    if (!begin(notify, why))
        return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are not for it */
    int fault = pthread_create(&notify->thread, NULL, run, notify);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    snprintf(why, LIBRARY_WHY_ROOM, "%s", strerror(fault));
    return fault == 0;
}

/* There is something to do for it: starts it, or wakes it. */
static void rouse(struct notify *notify)
{
    if (notify->thread_runs) {
        libcurl.multi_wakeup(notify->multi);
        return;
    }
    char why[LIBRARY_WHY_ROOM];
    notify->thread_runs = start_thread(notify, why);
    if (!notify->thread_runs && !notify->told)
        log_event(notify->shared.context.log, LOG_LEVEL_ERROR, "notify_failed",
                  json_pack("{s:o}", "error", utf8_json(why)));
    notify->told = !notify->thread_runs;
}

struct notify *notify_new(struct log *log, const struct notify_limits *limits)
{
    struct notify *notify = calloc(1, sizeof(*notify));
    if (notify == NULL)
        return NULL;
    struct notify_context *context = &notify->shared.context;
    context->log = log;
    context->limits = limits;
    if (getrandom(&context->chance, sizeof(context->chance), GRND_NONBLOCK) != sizeof(context->chance))
        context->chance = clock_ms();
    context->chance |= 1;
    pthread_mutex_init(&notify->shared.lock, NULL);
    return notify;
}

static void tell_what_is_left(struct notify *notify)
{
    for (struct target *target = notify->shared.targets; target != NULL; target = target->next)
        target_tell_lost(target, target->count, "shunt ended before they could be sent");
}

void notify_stop(struct notify *notify, uint64_t wait_ms)
{
    if (notify == NULL)
        return;
    enter(notify);
    notify->shared.context.stopping = true;
    notify->shared.deadline_ms = notify->shared.context.now_ms + wait_ms;
    for (struct target *target = notify->shared.targets; target != NULL; target = target->next)
        target->due_ms = 0; /* whatever they wait for, there is no later */
    leave(notify);
    if (notify->thread_runs) {
        libcurl.multi_wakeup(notify->multi);
        pthread_join(notify->thread, NULL);
    }
    tell_what_is_left(notify);
    free_targets(notify->shared.targets);
    free_targets(notify->shared.gone);
    while (notify->shared.questions != NULL) {
        struct question *question = notify->shared.questions;
        notify->shared.questions = question->next;
        question_free(question);
    }
    if (notify->multi != NULL)
        libcurl.multi_cleanup(notify->multi);
    if (notify->begun)
        libcurl.global_cleanup();
    pthread_mutex_destroy(&notify->shared.lock);
    free(notify);
}

/* ---- targets ---- */

void notify_discard(struct notify_plan *plan)
{
    if (plan == NULL)
        return;
    free_targets(plan->targets);
    free(plan);
}

/* Two targets of one host are told apart by their number. False without memory. */
static bool number_name(struct target *target, const struct target *before)
{
    unsigned number = 1;
    for (; before != NULL && before != target; before = before->next) {
        size_t length = strlen(target->name);
        number += strncmp(before->name, target->name, length) == 0 &&
                  (before->name[length] == '\0' || before->name[length] == '#');
    }
    if (number == 1)
        return true;
    char *name;
    if (asprintf(&name, "%s#%u", target->name, number) < 0)
        return false;
    free(target->name);
    target->name = name;
    return true;
}

struct notify_plan *notify_prepare(const struct notify *notify, const struct config *config)
{
    struct notify_plan *plan = calloc(1, sizeof(*plan));
    struct target **end = plan != NULL ? &plan->targets : NULL;
    for (uint32_t i = 0; plan != NULL && i < config->notify_count; i++) {
        *end = target_new((struct notify_context *)&notify->shared.context, &config->notify[i]);
        if (*end == NULL || !number_name(*end, plan->targets)) {
            notify_discard(plan);
            return NULL;
        }
        end = &(*end)->next;
    }
    return plan;
}

static struct target *take_same(struct target **targets, const struct target *wanted)
{
    for (struct target **at = targets; *at != NULL; at = &(*at)->next) {
        if (!target_is_same(*at, wanted))
            continue;
        struct target *same = *at;
        *at = same->next;
        return same;
    }
    return NULL;
}

/* The targets that stay, with their queues, and the new ones, in the file's order. */
static struct target *merge(struct target **former, struct target *planned)
{
    struct target *merged = NULL, **end = &merged;
    while (planned != NULL) {
        struct target *next = planned->next, *stays = take_same(former, planned);
        planned->next = NULL;
        if (stays != NULL) {
            target_swap_words(stays, planned);
            stays->next = NULL;
            target_free(planned);
        }
        *end = stays != NULL ? stays : planned;
        end = &(*end)->next;
        planned = next;
    }
    return merged;
}

static void append(struct target **list, struct target *more)
{
    while (*list != NULL)
        list = &(*list)->next;
    *list = more;
}

void notify_adopt(struct notify *notify, struct notify_plan *plan)
{
    enter(notify);
    struct target *former = notify->shared.targets;
    notify->shared.targets = merge(&former, plan->targets);
    bool busy = notify->shared.targets != NULL || former != NULL;
    for (struct target *target = former; target != NULL; target = target->next)
        target_tell_lost(target, target->count, "the file does not name it any more");
    append(&notify->shared.gone, former);
    leave(notify);
    free(plan);
    if (busy)
        rouse(notify);
}

/* ---- events ---- */

/* With these a stage begins or goes on, perhaps one that was asked for a moment ago. */
static bool begins_stage(const char *what)
{
    static const char *const names[] = {"start",    "promote",   "resume",     "restart",
                                        "rollback", "step_back", "set_percent"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], what) == 0)
            return true;
    return false;
}

static void forget_answers(struct notify *notify, const struct router_event *event)
{
    if (event->route == NULL || !begins_stage(event->what))
        return;
    for (struct question *question = notify->shared.questions; question != NULL; question = question->next)
        if (strcmp(question->route, event->route) == 0)
            question_forget(question);
}

static char *text_of(const struct router_event *event, enum config_notify_format format)
{
    if (format == NOTIFY_SLACK)
        return notify_slack(event);
    json_t *object = store_event_json(event);
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return text;
}

/* Each format's words are made once, and only when somebody wants them. False without memory. */
static bool push(struct notify *notify, struct target *target, const struct router_event *event,
                 struct message *messages[FORMATS])
{
    struct message **message = &messages[target->format];
    if (*message == NULL)
        *message = message_new(text_of(event, target->format), notify->shared.context.now_ms);
    if (*message == NULL)
        return false;
    target_push(target, *message);
    return true;
}

void notify_event(struct notify *notify, const struct router_event *event)
{
    struct message *messages[FORMATS] = {NULL};
    bool wanted = false;
    enter(notify);
    forget_answers(notify, event);
    for (struct target *target = notify->shared.targets; target != NULL; target = target->next) {
        if (!target_wants(target, event->what))
            continue;
        wanted = true;
        if (!push(notify, target, event, messages))
            target->stats.dropped++;
    }
    for (int i = 0; i < FORMATS; i++)
        message_unref(messages[i]);
    leave(notify);
    if (wanted)
        rouse(notify);
}

/* ---- questions ---- */

static struct question *find_question(struct notify *notify, const char *route, const char *stage,
                                      const struct config_gate_webhook *webhook)
{
    for (struct question *question = notify->shared.questions; question != NULL; question = question->next)
        if (question_is(question, route, stage, webhook))
            return question;
    struct question *question = question_new(&notify->shared.context, route, stage, webhook);
    if (question == NULL)
        return NULL;
    question->next = notify->shared.questions;
    notify->shared.questions = question;
    return question;
}

void notify_approval(struct notify *notify, const char *route, const char *stage,
                     const struct config_gate_webhook *webhook, struct approval_answer *answer)
{
    enter(notify);
    struct question *question = find_question(notify, route, stage, webhook);
    bool ask = question != NULL && question_want(question, webhook, answer);
    if (question == NULL)
        *answer = (struct approval_answer){.sentence = "no memory to ask"};
    leave(notify);
    if (ask)
        rouse(notify);
}

/* ---- counts ---- */

void notify_each(struct notify *notify, void (*each)(void *context, const struct notify_stats *stats), void *context)
{
    if (notify == NULL)
        return;
    enter(notify);
    for (struct target *target = notify->shared.targets; target != NULL; target = target->next) {
        struct notify_stats stats = target->stats;
        stats.target = target->name;
        stats.waiting = target->count;
        each(context, &stats);
    }
    leave(notify);
}
