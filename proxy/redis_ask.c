/*
 * Questions to Redis: sent, answered, sent again where the answer says so. See redis.h. Control thread.
 *
 *   NOSCRIPT                  the same question with the whole script
 *   MOVED                     the node of the slot is another one: questions wait until we are connected to it
 *   ASK                       this question goes to another node, this once
 *   CLUSTERDOWN, TRYAGAIN     again in a moment
 *
 * All of it within the question's deadline. Every answer is told from the loop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/redis_inside.h"

enum {
    HOPS_MOST = 5, /* then it goes in circles, and pauses */
    AGAIN_MS = 100,
};

static uint64_t now_ms(void)
{
    return redis_now_us() / 1000;
}

/* ---- answers ---- */

static void answer(struct redis_asked *asked, enum redis_fault fault, const char *text, size_t length)
{
    struct redis *redis = asked->owner;
    struct redis_answer told = {.fault = fault, .text = text, .length = length};
    if (fault != REDIS_FAULT_NONE) {
        redis->facts.faults[fault]++;
        redis->facts.last_fault = fault;
        snprintf(redis->facts.last_error, sizeof(redis->facts.last_error), "%s", text);
    }
    redis_queue_answer(&redis->queue, asked, &told);
}

static void note_latency(struct redis *redis, const struct redis_asked *asked)
{
    redis->facts.latency_us = redis_now_us() - asked->sent_us;
    redis->facts.latency_sum_us += redis->facts.latency_us;
    redis->facts.answers++;
}

static void answer_with(struct redis_asked *asked, const redisReply *reply)
{
    char number[32];
    switch (reply->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        answer(asked, REDIS_FAULT_NONE, reply->str, reply->len);
        return;
    case REDIS_REPLY_INTEGER:
        snprintf(number, sizeof(number), "%lld", reply->integer);
        answer(asked, REDIS_FAULT_NONE, number, strlen(number));
        return;
    case REDIS_REPLY_NIL:
        answer(asked, REDIS_FAULT_NONE, "", 0);
        return;
    default:
        answer(asked, REDIS_FAULT_PROTOCOL, "a list", 6);
    }
}

/* ---- answers that say where or when ---- */

/* It waits; when it waits too long, that is why. */
static void wait_for(struct redis_asked *asked, uint64_t ms, enum redis_fault fault, const char *why)
{
    asked->is_sent = false;
    asked->again_ms = ms == 0 ? 0 : now_ms() + ms;
    asked->fault = fault;
    asked->why = why;
}

static void on_next_up(void *context)
{
    struct redis *redis = context;
    const struct redis_answer unknown = {.fault = REDIS_FAULT_CLOSED, .text = "the slot has moved", .length = 18};
    char from[REDIS_PLACE_ROOM], to[REDIS_PLACE_ROOM];
    redis_place_print(&redis->place, from, sizeof(from));
    redis_node_close(redis->node);
    redis->node = redis->next;
    redis->next = NULL;
    redis->place = *redis_node_place(redis->node);
    redis_place_print(&redis->place, to, sizeof(to));
    snprintf(redis->facts.server, sizeof(redis->facts.server), "%s", to);
    memcpy(redis->server_before, redis->facts.server, sizeof(redis->server_before));
    for (struct redis_asked *asked = redis->queue.first, *after; asked != NULL; asked = after) {
        after = asked->next;
        if (asked->is_sent &&
            !asked->is_aside) /* to the one that is no more; it has answered all it was asked before MOVED */
            redis_queue_answer(&redis->queue, asked, &unknown);
    }
    redis_tell(redis, false, "redis_moved", json_pack("{s:s, s:s}", "from", from, "to", to));
    redis_send_waiting(redis);
    redis_arm(redis);
}

static void on_next_down(void *context, enum redis_fault fault, const char *why)
{
    redis_lost(context, fault, why, false);
}

static void on_next_message(void *context, const char *payload, size_t length)
{
    struct redis *redis = context;
    redis->hooks.on_message(redis->hooks.context, payload, length);
}

/* The slot's node is another one from now on. */
static void move_to(struct redis *redis, const struct redis_place *place)
{
    const struct redis_node_hooks hooks = {
        .context = redis, .on_up = on_next_up, .on_down = on_next_down, .on_message = on_next_message};
    if (redis->next != NULL && redis_place_equal(redis_node_place(redis->next), place))
        return;
    redis->moves++;
    redis_cluster_note(redis->cluster, place);
    redis_node_close(redis->next);
    redis->next = redis_node_open(&redis->means, REDIS_NODE_MASTER, place, redis->channel, &hooks);
    if (redis->next == NULL)
        redis_lost(redis, REDIS_FAULT_CONNECT, "no memory", false);
}

static void on_aside_up(void *context)
{
    redis_send_waiting(context);
}

/* Those that were sent there have no answer; those that were not, go the ordinary way. */
static void on_aside_down(void *context, enum redis_fault fault, const char *why)
{
    struct redis *redis = context;
    redis_node_close(redis->aside);
    redis->aside = NULL;
    const struct redis_answer told = {.fault = fault, .text = why, .length = strlen(why)};
    for (struct redis_asked *asked = redis->queue.first, *after; asked != NULL; asked = after) {
        after = asked->next;
        if (asked->is_aside && asked->is_sent)
            redis_queue_answer(&redis->queue, asked, &told);
        else if (asked->is_aside)
            asked->is_aside = false;
    }
    redis_send_waiting(redis);
}

static void ask_aside(struct redis *redis, struct redis_asked *asked, const struct redis_place *place)
{
    const struct redis_node_hooks hooks = {.context = redis, .on_up = on_aside_up, .on_down = on_aside_down};
    if (redis->aside != NULL && !redis_place_equal(redis_node_place(redis->aside), place))
        on_aside_down(redis, REDIS_FAULT_CLOSED, "the slot goes elsewhere");
    if (redis->aside == NULL)
        redis->aside = redis_node_open(&redis->means, REDIS_NODE_ASIDE, place, NULL, &hooks);
    asked->is_aside = redis->aside != NULL;
}

/* True: it has been sent elsewhere, or waits. */
static bool redirect(struct redis_asked *asked, enum redis_hint hint, const char *text)
{
    struct redis *redis = asked->owner;
    struct redis_place place;
    bool was_aside = asked->is_aside;
    const struct redis_place *from = was_aside ? redis_node_place(redis->aside) : &redis->place;
    if (redis->cluster == NULL || !redis_cluster_read_redirect(text, from, &place))
        return false;
    asked->is_aside = false;
    wait_for(asked, 0, REDIS_FAULT_TIMEOUT, "the node of the slot did not answer in time");
    bool in_circles = hint == REDIS_HINT_ASK ? ++asked->hops > HOPS_MOST : redis->moves >= HOPS_MOST;
    if (in_circles || redis_place_equal(&place, &redis->place))
        wait_for(asked, AGAIN_MS, REDIS_FAULT_LOADING, "the nodes do not agree on who has the slot");
    else if (hint == REDIS_HINT_ASK)
        ask_aside(redis, asked, &place);
    else
        move_to(redis, &place);
    return true;
}

static bool follow(struct redis_asked *asked, enum redis_hint hint, const char *text)
{
    struct redis *redis = asked->owner;
    switch (hint) {
    case REDIS_HINT_NO_SCRIPT:
        wait_for(asked, 0, REDIS_FAULT_TIMEOUT, "no answer");
        return redis_queue_send_whole(&redis->queue, asked);
    case REDIS_HINT_MOVED:
    case REDIS_HINT_ASK:
        return redirect(asked, hint, text);
    case REDIS_HINT_LATER:
        if (redis->cluster == NULL)
            return false;
        asked->is_aside = false;
        wait_for(asked, AGAIN_MS, REDIS_FAULT_LOADING, "the cluster is down, or moves the slot");
        return true;
    case REDIS_HINT_NONE:
        break;
    }
    return false;
}

static void on_error(struct redis_asked *asked, const char *text)
{
    struct redis *redis = asked->owner;
    struct redis_meaning meaning = redis_meaning_of(text);
    if (meaning.hint != REDIS_HINT_NONE && follow(asked, meaning.hint, text)) {
        redis_send_waiting(redis);
        redis_arm(redis);
        return;
    }
    if (meaning.fault == REDIS_FAULT_READ_ONLY)
        redis_lost(redis, meaning.fault, text, false); /* this one is answered with the others */
    else
        answer(asked, meaning.fault, text, strlen(text));
}

static void on_answer(void *context, const redisReply *reply)
{
    struct redis_asked *asked = context;
    struct redis *redis = asked->owner;
    note_latency(redis, asked);
    if (reply->type == REDIS_REPLY_ERROR) {
        on_error(asked, reply->str);
        return;
    }
    redis->failures = redis->moves = 0;
    answer_with(asked, reply);
}

/* ---- sending ---- */

static void on_asking(void *context, const redisReply *reply)
{
    (void)context, (void)reply; /* the question behind it is answered, either way */
}

/* False: to whom it goes is not there yet. */
static bool can_send(const struct redis *redis, const struct redis_asked *asked)
{
    if (asked->is_aside)
        return redis_node_is_up(redis->aside);
    return redis->phase == REDIS_READY && redis->next == NULL;
}

static void send_one(struct redis *redis, struct redis_asked *asked)
{
    static const char *asking[] = {"ASKING"};
    struct redis_node *node = asked->is_aside ? redis->aside : redis->node;
    asked->again_ms = 0; /* if not now, then when somebody is there */
    if (!can_send(redis, asked))
        return;
    asked->sent_us = redis_now_us();
    asked->is_sent = (!asked->is_aside || redis_node_send(node, 1, asking, NULL, on_asking, NULL)) &&
                     redis_node_send(node, asked->count, asked->words, NULL, on_answer, asked);
    if (!asked->is_sent)
        wait_for(asked, AGAIN_MS, REDIS_FAULT_QUEUE, "too much is unsent, or there is no memory");
}

void redis_send_waiting(struct redis *redis)
{
    uint64_t now = now_ms();
    for (struct redis_asked *asked = redis->queue.first; asked != NULL; asked = asked->next)
        if (!asked->is_sent && asked->again_ms <= now)
            send_one(redis, asked);
}

uint64_t redis_questions_due_ms(const struct redis *redis)
{
    uint64_t due_ms = 0;
    for (const struct redis_asked *asked = redis->queue.first; asked != NULL; asked = asked->next) {
        bool waits = !asked->is_sent && asked->again_ms != 0 && asked->again_ms < asked->due_ms;
        uint64_t one_ms = waits ? asked->again_ms : asked->due_ms;
        if (due_ms == 0 || one_ms < due_ms)
            due_ms = one_ms;
    }
    return due_ms;
}

/* No answer to what was sent: hung, or dropped on the way. No node for what waits: this one is of no use, either. */
void redis_end_overdue(struct redis *redis, uint64_t now)
{
    for (struct redis_asked *asked = redis->queue.first; asked != NULL; asked = asked->next) {
        if (asked->due_ms > now)
            continue;
        enum redis_fault fault =
            asked->is_sent || asked->fault == REDIS_FAULT_NONE ? REDIS_FAULT_TIMEOUT : asked->fault;
        const char *why = asked->is_sent || asked->why == NULL ? "no answer in time" : asked->why;
        redis_lost(redis, fault, why, false); /* answers all */
        return;
    }
}

enum redis_fault redis_ask(struct redis *redis, const struct redis_question *question)
{
    if (redis->phase != REDIS_READY)
        return REDIS_FAULT_CLOSED;
    struct redis_asked *asked = redis_queue_add(&redis->queue, question);
    if (asked == NULL) {
        redis->facts.faults[REDIS_FAULT_QUEUE]++;
        return REDIS_FAULT_QUEUE;
    }
    asked->owner = redis;
    asked->due_ms = now_ms() + redis->means.config->timeout_ms;
    send_one(redis, asked);
    redis_arm(redis);
    return REDIS_FAULT_NONE;
}
