/*
 * One target's queue: the oldest event is sent until it is delivered, refused, or too old; then the next.
 *
 * The log hears of the first failure in a row and of its end, not of every try, and of a URL only its host: who knows
 * the path of a chat's webhook can write there.
 */
#include "proxy/notify_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/log.h"
#include "router/utf8.h"

/* ---- messages ---- */

struct message *message_new(char *text, uint64_t now_ms)
{
    struct message *message = text != NULL ? malloc(sizeof(*message)) : NULL;
    if (message == NULL) {
        free(text);
        return NULL;
    }
    *message = (struct message){.refs = 1, .at_ms = now_ms, .text = text};
    return message;
}

void message_unref(struct message *message)
{
    if (message == NULL || --message->refs > 0)
        return;
    free(message->text);
    free(message);
}

/* ---- life ---- */

static bool copy_events(struct target *target, const struct config_notify *config)
{
    target->events = calloc(config->event_count + 1, sizeof(*target->events));
    for (uint32_t i = 0; target->events != NULL && i < config->event_count; i++) {
        target->events[i] = strdup(config->events[i]);
        if (target->events[i] == NULL)
            return false;
        target->event_count++;
    }
    return target->events != NULL;
}

/* "https://chat.example.org:8443/services/secret" without all that is not the host. */
static char *host_of(const char *url)
{
    const char *host = strstr(url, "://");
    host = host != NULL ? host + strlen("://") : url;
    return strndup(host, strcspn(host, "/?"));
}

struct target *target_new(struct notify_context *context, const struct config_notify *config)
{
    struct target *target = calloc(1, sizeof(*target));
    if (target == NULL)
        return NULL;
    target->context = context;
    target->format = config->format;
    target->timeout_ms = config->timeout_ms;
    target->url = strdup(config->url);
    target->name = host_of(config->url);
    target->token = config->token != NULL ? strdup(config->token) : NULL;
    target->ring = calloc(context->limits->queue, sizeof(*target->ring));
    if (target->url != NULL && target->name != NULL && (config->token == NULL || target->token != NULL) &&
        target->ring != NULL && copy_events(target, config))
        return target;
    target_free(target);
    return NULL;
}

static void free_secret(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
}

static struct message **place(const struct target *target, size_t i)
{
    return &target->ring[(target->first + i) % target->context->limits->queue];
}

void target_free(struct target *target)
{
    if (target == NULL)
        return;
    errand_done(&target->errand, target->context->multi);
    for (size_t i = 0; i < target->count; i++)
        message_unref(*place(target, i));
    for (uint32_t i = 0; i < target->event_count; i++)
        free(target->events[i]);
    free(target->events);
    free(target->ring);
    free(target->name);
    free_secret(target->url);
    free_secret(target->token);
    free(target);
}

bool target_is_same(const struct target *target, const struct target *other)
{
    return target->format == other->format && strcmp(target->url, other->url) == 0;
}

#define SWAP(member)                                                                                                   \
    do {                                                                                                               \
        __typeof__(target->member) former = target->member;                                                            \
        target->member = from->member;                                                                                 \
        from->member = former;                                                                                         \
    } while (0)

void target_swap_words(struct target *target, struct target *from)
{
    SWAP(token);
    SWAP(name);
    SWAP(events);
    SWAP(event_count);
    SWAP(timeout_ms);
}

/* ---- the queue ---- */

bool target_wants(const struct target *target, const char *what)
{
    for (uint32_t i = 0; i < target->event_count; i++)
        if (strcmp(target->events[i], what) == 0)
            return true;
    return target->event_count == 0;
}

static void pop(struct target *target)
{
    message_unref(*place(target, 0));
    *place(target, 0) = NULL;
    target->first = (target->first + 1) % target->context->limits->queue;
    target->count--;
    target->tries = 0;
    target->due_ms = target->context->now_ms;
}

/* The oldest, or the one behind it when that is on its way. */
static void drop_oldest(struct target *target)
{
    if (target->errand.under_way && target->count > 1) {
        struct message *sent = *place(target, 0);
        *place(target, 0) = *place(target, 1);
        *place(target, 1) = sent;
    }
    if (!target->errand.under_way)
        target->tries = 0;
    message_unref(*place(target, 0));
    *place(target, 0) = NULL;
    target->first = (target->first + 1) % target->context->limits->queue;
    target->count--;
}

void target_push(struct target *target, struct message *message)
{
    if (target->count == target->context->limits->queue) {
        drop_oldest(target);
        target->stats.dropped++;
        target->lost++;
    }
    message->refs++;
    *place(target, target->count) = message;
    target->count++;
}

/* ---- telling the log ---- */

static void tell(const struct target *target, enum log_level level, const char *event, json_t *fields)
{
    json_t *named = json_pack("{s:o}", "target", utf8_json(target->name));
    json_object_update(named, fields);
    json_decref(fields);
    log_event(target->context->log, level, event, named);
}

void target_tell_lost(struct target *target, uint64_t count, const char *why)
{
    if (count > 0)
        tell(target, LOG_LEVEL_WARN, "notify_lost", json_pack("{s:I, s:s}", "events", (json_int_t)count, "why", why));
}

/* The first failure in a row. */
static void tell_failure(struct target *target, const struct errand_result *result)
{
    if (target->failing)
        return;
    target->failing = true;
    tell(target, LOG_LEVEL_WARN, "notify_failed",
         result->status > 0 ? json_pack("{s:i}", "status", (int)result->status)
                            : json_pack("{s:s}", "error", result->fault));
}

static void tell_success(struct target *target)
{
    if (target->failing)
        tell(target, LOG_LEVEL_INFO, "notify_delivers_again",
             json_pack("{s:I}", "events_lost", (json_int_t)target->lost));
    target->failing = false;
    target->lost = 0;
}

/* ---- sending ---- */

static bool is_refused(unsigned status)
{
    return status >= 300 && status < 500 && status != 408 && status != 429;
}

static uint64_t chance(struct notify_context *context)
{
    context->chance ^= context->chance << 13; /* G. Marsaglia: Xorshift RNGs, 2003 */
    context->chance ^= context->chance >> 7;
    context->chance ^= context->chance << 17;
    return context->chance;
}

static uint64_t retry_after_ms(struct target *target, uint64_t asked_s)
{
    const struct notify_limits *limits = target->context->limits;
    uint64_t wait_ms = limits->first_retry_ms;
    for (unsigned i = 1; i < target->failures && wait_ms < limits->most_retry_ms; i++)
        wait_ms *= 2;
    wait_ms += chance(target->context) % (wait_ms / 4 + 1);
    if (asked_s >= limits->most_retry_ms / 1000 + 1)
        return limits->most_retry_ms;
    if (asked_s * 1000 > wait_ms)
        wait_ms = asked_s * 1000;
    return wait_ms < limits->most_retry_ms ? wait_ms : limits->most_retry_ms;
}

static void on_end(void *owner, const struct errand_result *result)
{
    struct target *target = owner;
    if (result->status >= 200 && result->status < 300) {
        target->stats.delivered++;
        target->failures = 0;
        pop(target);
        tell_success(target);
        return;
    }
    tell_failure(target, result);
    if (is_refused(result->status)) {
        target->stats.refused++;
        target->failures = 0;
        target->lost++;
        pop(target);
        return;
    }
    target->tries++;
    target->failures++;
    target->due_ms = target->context->now_ms + retry_after_ms(target, result->retry_after_s);
    target->given_up = target->context->stopping;
}

/* What is behind them does not bring a dead target to life: it is tried as seldom as before. */
static void expire(struct target *target)
{
    while (target->count > 0 &&
           target->context->now_ms - (*place(target, 0))->at_ms >= target->context->limits->give_up_ms) {
        target->stats.expired++;
        target->lost++;
        pop(target);
    }
}

void target_work(struct target *target)
{
    const struct notify_context *context = target->context;
    if (target->errand.under_way || target->given_up || context->now_ms < target->due_ms)
        return;
    expire(target);
    if (target->count == 0)
        return;
    const struct errand_request request = {
        .url = target->url,
        .body = (*place(target, 0))->text,
        .token = target->token,
        .timeout_ms = target->timeout_ms,
    };
    if (target->tries > 0)
        target->stats.retries++;
    if (!errand_start(&target->errand, context->multi, &request, on_end, target))
        on_end(target, &(struct errand_result){.fault = "no memory"});
}

uint64_t target_due_ms(const struct target *target)
{
    return target->errand.under_way || target->given_up || target->count == 0 ? UINT64_MAX : target->due_ms;
}
