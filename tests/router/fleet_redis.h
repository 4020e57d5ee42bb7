/*
 * The other side of a fleet in memory: what router/store/fleet.lua does, in C, with a clock in hand and a past that can
 * come back. tests/integration/test_fleet_script.py plays what it was asked to the real script, and compares.
 *
 * Not in it: evidence, windows, report, samples, logs; of counts only that each is taken in once.
 */
#ifndef SHUNT_TESTS_ROUTER_FLEET_REDIS_H
#define SHUNT_TESTS_ROUTER_FLEET_REDIS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "router/store/fleet.h"

#define UNUSED_OK __attribute__((unused))

enum {
    MODEL_ITEMS = 512,
    MODEL_REPLICAS = 64,
    MODEL_NAME = 64,
    MODEL_TEXT = 128,
    MODEL_PAST = FLEET_PAST_MOST * (FLEET_ID + 1),
    MODEL_SILENT_MS = 2400,
};

struct model_item {
    char name[MODEL_NAME], text[MODEL_TEXT], past[MODEL_PAST];
    uint64_t version;
    uint32_t share, rank;
};

struct model_replica {
    char name[MODEL_NAME], boot[MODEL_NAME], former[MODEL_NAME];
    uint64_t beat_ms, seq, former_seq; /* of boot, and of the boot before */
    uint64_t counted;                  /* the sum of what it counted */
    bool has_view, is_open;
};

/* All of Redis' state: copied, it is a snapshot. */
struct model_state {
    uint64_t format, epoch, term, stamp;
    char mark[FLEET_MARK_MOST + 1];
    struct model_item items[MODEL_ITEMS];
    size_t item_count;
    struct model_replica replicas[MODEL_REPLICAS];
    size_t replica_count;
    uint64_t lease_term, lease_until_ms;
    char lease_holder[MODEL_NAME];
};

struct model {
    struct model_state state;
    uint64_t now_ms;
    char *news; /* of the last operation; NULL: none. Freed by the next */
    /* Told of every change that was made (NULL parent_b but for a merge of two that were in conflict), and of orders
     * for safety that found it as safe already: then `now` stays. */
    void (*on_safe)(void *context, const struct model_item *wanted, const struct model_item *now);
    void (*on_change)(void *context, const char *kind, const char *replica, uint64_t term, const struct model_item *now,
                      const struct model_item *before, const char *parent_b);
    void *context;
};

/* ---- JSON ---- */

static const char *model_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

static uint64_t model_number(const json_t *object, const char *key)
{
    const json_t *number = json_object_get(object, key);
    assert_true(json_is_integer(number) && json_integer_value(number) >= 0);
    return (uint64_t)json_integer_value(number);
}

static json_t *model_item_json(const struct model_item *item)
{
    return json_pack("[s, I, i, i, s, s]", item->name, (json_int_t)item->version, (int)item->share, (int)item->rank,
                     item->text, item->past);
}

static json_t *model_all(const struct model *model)
{
    json_t *all = json_array();
    for (size_t i = 0; i < model->state.item_count; i++)
        json_array_append_new(all, model_item_json(&model->state.items[i]));
    return all;
}

static struct model_item model_item_of(const json_t *row)
{
    struct model_item item = {.version = (uint64_t)json_integer_value(json_array_get(row, 1)),
                              .share = (uint32_t)json_integer_value(json_array_get(row, 2)),
                              .rank = (uint32_t)json_integer_value(json_array_get(row, 3))};
    const char *name = json_string_value(json_array_get(row, 0)), *text = json_string_value(json_array_get(row, 4));
    const char *past = json_string_value(json_array_get(row, 5));
    assert_true(json_array_size(row) == 6 && name != NULL && text != NULL && past != NULL);
    assert_true(strlen(name) < MODEL_NAME && strlen(text) < MODEL_TEXT && strlen(past) < MODEL_PAST);
    strcpy(item.name, name);
    strcpy(item.text, text);
    strcpy(item.past, past);
    return item;
}

/* ---- items ---- */

static struct model_item *model_find(struct model *model, const char *name)
{
    for (size_t i = 0; i < model->state.item_count; i++)
        if (strcmp(model->state.items[i].name, name) == 0)
            return &model->state.items[i];
    return NULL;
}

static void model_put(struct model *model, const struct model_item *item)
{
    struct model_item *place = model_find(model, item->name);
    if (place == NULL) {
        assert_true(model->state.item_count < MODEL_ITEMS);
        place = &model->state.items[model->state.item_count++];
    }
    *place = *item;
}

/* The mark that follows; the first characters are the id of the change. */
static void model_turn(struct model *model, const char *operation, const char *document, char mark[FLEET_MARK_MOST + 1])
{
    size_t size = strlen(model->state.mark) + strlen(operation) + strlen(document) + 1;
    char *all = malloc(size);
    unsigned char sum[SHA_DIGEST_LENGTH];
    assert_non_null(all);
    snprintf(all, size, "%s%s%s", model->state.mark, operation, document);
    SHA1((const unsigned char *)all, size - 1, sum);
    for (size_t i = 0; i < FLEET_MARK_MOST / 2; i++)
        snprintf(mark + 2 * i, 3, "%02x", sum[i]);
    free(all);
}

static void model_prepend(char *to, const char *id, const char *past)
{
    char joined[MODEL_PAST + FLEET_ID + 2];
    snprintf(joined, sizeof(joined), past[0] != '\0' ? "%.8s,%s" : "%.8s", id, past);
    joined[MODEL_PAST - 1] = '\0'; /* the oldest falls out */
    strcpy(to, joined);
}

static bool model_is_safer(const struct model_item *a, const struct model_item *b)
{
    return a->share != b->share ? a->share < b->share : a->rank < b->rank;
}

/* Both pasts, the newest of each first, each id once. */
static void model_join(char *to, const char *id, const char *a, const char *b)
{
    const size_t unit = FLEET_ID + 1;
    snprintf(to, MODEL_PAST, "%.8s", id);
    for (size_t i = 0; i * unit < strlen(a) + 1 || i * unit < strlen(b) + 1; i++) {
        for (int side = 0; side < 2; side++) {
            const char *from = side == 0 ? a : b;
            char one[FLEET_ID + 1] = "";
            if (i * unit < strlen(from))
                memcpy(one, from + i * unit, FLEET_ID);
            if (one[0] == '\0' || strstr(to, one) != NULL || strlen(to) + unit >= MODEL_PAST)
                continue;
            strcat(to, ",");
            strcat(to, one);
        }
    }
}

/* ---- what was changed ---- */

static void model_commit(struct model *model, const char *mark, const json_t *changed)
{
    char after[FLEET_MARK_MOST + 1];
    strcpy(after, model->state.mark);
    strcpy(model->state.mark, mark);
    json_t *news = json_pack("{s:I, s:s, s:s, s:O}", "epoch", (json_int_t)model->state.epoch, "mark", mark, "after",
                             after, "items", changed);
    model->news = json_dumps(news, JSON_COMPACT);
    json_decref(news);
}

static char *model_answer(json_t *answer)
{
    assert_non_null(answer);
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    return text;
}

static bool model_leads(const struct model *model, const char *replica, uint64_t term)
{
    const struct model_state *state = &model->state;
    return model->now_ms < state->lease_until_ms && strcmp(state->lease_holder, replica) == 0 &&
           state->lease_term == term && term >= state->term;
}

static const char *model_reason(struct model *model, const json_t *document, bool is_safety)
{
    size_t i;
    json_t *row;
    if (model_number(document, "format") < model->state.format)
        return "format";
    if (strcmp(model_text(document, "kind"), "leader") == 0 &&
        !model_leads(model, model_text(document, "replica"), model_number(document, "term")))
        return "not_leader";
    json_array_foreach(json_object_get(document, "items"), i, row)
    {
        const struct model_item item = model_item_of(row), *now = model_find(model, item.name);
        bool is_expected =
            item.version == (now != NULL ? now->version : 0) && strcmp(item.past, now != NULL ? now->past : "") == 0;
        if (!is_safety && !is_expected)
            return "conflict";
    }
    return NULL;
}

static void model_set(struct model *model, const json_t *document, struct model_item item, const char *mark,
                      json_t *changed)
{
    const struct model_item none = {.share = 10001}, *now = model_find(model, item.name);
    const struct model_item before = now != NULL ? *now : none;
    const char *kind = model_text(document, "kind");
    item.version = before.version + 1;
    model_prepend(item.past, mark, before.past);
    if (strcmp(kind, "safety") == 0 && !model_is_safer(&item, &before)) {
        if (model->on_safe != NULL)
            model->on_safe(model->context, &item, &before);
        return;
    }
    model_put(model, &item);
    json_array_append_new(changed, model_item_json(&item));
    if (model->on_change != NULL)
        model->on_change(model->context, kind, model_text(document, "replica"), model_number(document, "term"), &item,
                         &before, NULL);
}

static char *model_change(struct model *model, const char *text, const json_t *document)
{
    size_t i;
    json_t *row, *changed = json_array(), *items = json_array();
    char mark[FLEET_MARK_MOST + 1], after[FLEET_MARK_MOST + 1];
    bool is_safety = strcmp(model_text(document, "kind"), "safety") == 0;
    const char *why = model_reason(model, document, is_safety);
    strcpy(after, model->state.mark);
    model_turn(model, "change", text, mark);
    json_array_foreach(json_object_get(document, "items"), i, row) if (why == NULL)
        model_set(model, document, model_item_of(row), mark, changed);
    if (json_array_size(changed) > 0) {
        model->state.epoch++;
        if (model->state.format == 0)
            model->state.format = model_number(document, "format");
        model_commit(model, mark, changed);
    }
    json_array_foreach(json_object_get(document, "items"), i, row)
    {
        const struct model_item *now = model_find(model, json_string_value(json_array_get(row, 0)));
        if (now != NULL)
            json_array_append_new(items, model_item_json(now));
    }
    json_decref(changed);
    return model_answer(json_pack("{s:b, s:s?, s:I, s:s, s:s, s:o}", "ok", why == NULL, "why", why, "epoch",
                                  (json_int_t)model->state.epoch, "mark", model->state.mark, "after", after, "items",
                                  items));
}

static struct fleet_item model_borrowed(const struct model_item *item)
{
    return (struct fleet_item){.name = (char *)item->name,
                               .version = item->version,
                               .share = item->share,
                               .rank = item->rank,
                               .text = (char *)item->text,
                               .past = (char *)item->past};
}

static void model_merge_one(struct model *model, struct model_item item, const char *mark, json_t *changed)
{
    const struct model_item *now = model_find(model, item.name), none = {.share = 10001};
    const struct model_item before = now != NULL ? *now : none;
    const struct fleet_item ours = model_borrowed(&before), theirs = model_borrowed(&item);
    enum fleet_relation relation = now != NULL ? fleet_item_relation(&ours, &theirs) : FLEET_NEWER;
    char other[MODEL_PAST];
    strcpy(other, item.past);
    if (relation == FLEET_CONFLICT) {
        bool is_ours =
            model_is_safer(&before, &item) || (!model_is_safer(&item, &before) && strcmp(before.text, item.text) <= 0);
        struct model_item winner = is_ours ? before : item;
        const struct model_item loser = is_ours ? item : before;
        winner.version = (before.version > item.version ? before.version : item.version) + 1;
        char past[MODEL_PAST];
        model_join(past, mark, winner.past, loser.past);
        strcpy(winner.past, past);
        item = winner;
    }
    if (relation != FLEET_NEWER && relation != FLEET_CONFLICT)
        return;
    model_put(model, &item);
    json_array_append_new(changed, model_item_json(&item));
    if (relation == FLEET_CONFLICT && model->on_change != NULL)
        model->on_change(model->context, "merge", "", 0, &item, &before, other);
}

static uint64_t model_higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static char *model_merge(struct model *model, const char *text, const json_t *document)
{
    size_t i;
    json_t *row, *changed = json_array();
    char mark[FLEET_MARK_MOST + 1];
    model_turn(model, "merge", text, mark);
    json_array_foreach(json_object_get(document, "items"), i, row)
        model_merge_one(model, model_item_of(row), mark, changed);
    int count = (int)json_array_size(changed);
    if (count > 0) {
        model->state.format = model_higher(model->state.format, model_number(document, "format"));
        model->state.epoch = model_higher(model->state.epoch, model_number(document, "epoch")) + 1;
        model->state.term = model_higher(model->state.term, model_number(document, "term"));
        model_commit(model, mark, changed);
    }
    json_decref(changed);
    return model_answer(json_pack("{s:I, s:s, s:i, s:o}", "epoch", (json_int_t)model->state.epoch, "mark",
                                  model->state.mark, "changed", count, "items", model_all(model)));
}

/* ---- beats ---- */

static struct model_replica *model_replica(struct model *model, const char *name)
{
    for (size_t i = 0; i < model->state.replica_count; i++)
        if (strcmp(model->state.replicas[i].name, name) == 0)
            return &model->state.replicas[i];
    assert_true(model->state.replica_count < MODEL_REPLICAS && strlen(name) < MODEL_NAME);
    struct model_replica *replica = &model->state.replicas[model->state.replica_count++];
    *replica = (struct model_replica){0};
    strcpy(replica->name, name);
    return replica;
}

static void model_take_lease(struct model *model, const json_t *document)
{
    struct model_state *state = &model->state;
    const char *replica = model_text(document, "replica");
    uint64_t term = model_number(document, "term");
    bool is_mine = model_leads(model, replica, term);
    bool is_free = model->now_ms >= state->lease_until_ms || strcmp(state->lease_holder, replica) == 0;
    if (!json_is_true(json_object_get(document, "lead"))) {
        if (is_mine)
            state->lease_until_ms = 0;
        return;
    }
    if (!is_free)
        return;
    if (!is_mine)
        state->lease_term =
            model_higher(state->term, model->now_ms < state->lease_until_ms ? state->lease_term : 0) + 1;
    state->term = state->lease_term;
    strcpy(state->lease_holder, replica);
    state->lease_until_ms = model->now_ms + model_number(document, "lease_ms");
}

static void model_take_counts(struct model *model, struct model_replica *replica, const json_t *document, uint64_t *seq,
                              uint64_t *had)
{
    const json_t *counts = json_object_get(document, "counts");
    const char *boot = model_text(document, "boot");
    bool is_boot = strcmp(replica->boot, boot) == 0;
    uint64_t last = is_boot ? replica->seq : strcmp(replica->former, boot) == 0 ? replica->former_seq : 0;
    *seq = *had = last;
    if (!json_is_object(counts) || model_number(counts, "seq") <= last)
        return;
    const json_t *route = json_array_get(json_object_get(counts, "routes"), 0);
    if (!is_boot) {
        strcpy(replica->former, replica->boot);
        replica->former_seq = replica->seq;
        strcpy(replica->boot, boot);
    }
    *seq = replica->seq = model_number(counts, "seq");
    replica->counted += model_number(json_object_get(route, "add"), "n");
    model->state.stamp++;
}

static char *model_beat(struct model *model, const json_t *document)
{
    struct model_state *state = &model->state;
    struct model_replica *replica = model_replica(model, model_text(document, "replica"));
    uint64_t alive = 0, seq = 0, had = 0;
    if (model_number(document, "format") < state->format)
        return model_answer(json_pack("{s:s, s:I}", "error", "format", "format", (json_int_t)state->format));
    state->format = model_number(document, "format");
    replica->beat_ms = model->now_ms;
    replica->has_view = replica->has_view || json_is_string(json_object_get(document, "view"));
    if (json_is_object(json_object_get(document, "open")))
        replica->is_open = json_object_size(json_object_get(document, "open")) > 0;
    model_take_counts(model, replica, document, &seq, &had);
    model_take_lease(model, document);
    for (size_t i = 0; i < state->replica_count; i++)
        alive += model->now_ms < state->replicas[i].beat_ms + MODEL_SILENT_MS;
    bool is_led = model->now_ms < state->lease_until_ms;
    json_t *answer = json_pack(
        "{s:I, s:I, s:b, s:I, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:b, s:I}", "now", (json_int_t)model->now_ms, "format",
        (json_int_t)state->format, "empty", state->epoch == 0, "epoch", (json_int_t)state->epoch, "mark", state->mark,
        "term", (json_int_t)model_higher(state->term, is_led ? state->lease_term : 0), "leader",
        is_led ? state->lease_holder : "", "lease_ms", (json_int_t)(is_led ? state->lease_until_ms - model->now_ms : 0),
        "seq", (json_int_t)seq, "had", (json_int_t)had, "stamp", (json_int_t)state->stamp, "view", replica->has_view,
        "alive", (json_int_t)alive);
    if (model_number(document, "epoch") != state->epoch || strcmp(model_text(document, "mark"), state->mark) != 0)
        json_object_set_new(answer, "items", model_all(model));
    return model_answer(answer);
}

/* What Redis answers; to be freed. */
UNUSED_OK static char *model_ask(struct model *model, const char *operation, const char *text)
{
    json_t *document = json_loads(text, 0, NULL);
    char *answer = NULL;
    assert_true(json_is_object(document));
    free(model->news);
    model->news = NULL;
    if (strcmp(operation, "beat") == 0)
        answer = model_beat(model, document);
    else if (strcmp(operation, "change") == 0)
        answer = model_change(model, text, document);
    else if (strcmp(operation, "merge") == 0)
        answer = model_merge(model, text, document);
    else
        answer = strdup("{\"now\":1,\"stamp\":1,\"routes\":[]}");
    json_decref(document);
    assert_non_null(answer);
    return answer;
}

UNUSED_OK static void model_done(struct model *model)
{
    free(model->news);
    model->news = NULL;
}

#endif
