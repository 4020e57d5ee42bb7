/*
 * Changes of items: those of the leader, of people and of files wait in line and are told in their turn; those for
 * safety are kept, one for each item, until Redis has said that it knows them. Part of fleet.c; control thread, no I/O.
 *
 * An order for safety is not tied to a term nor to a version, so that it may be told at any time, and twice: what is as
 * safe already stays as it is. All others were decided on what was known when they were wished, and Redis takes them
 * only while that is so. Several that wait are told in one document, which Redis takes whole or not at all; if it does
 * not, each is told alone.
 */
#include "router/store/fleet_inner.h"

#include <stdlib.h>
#include <string.h>

/* ---- answers ---- */

static const char *const reasons[] = {"conflict", "not_leader", "raise", "format", "full"};

/* "" when the answer says that it is done, else why it is not; NULL: it says neither. */
static const char *reason_of(const json_t *answer)
{
    if (json_is_true(json_object_get(answer, "ok")))
        return "";
    const char *why = json_string_value(json_object_get(answer, "why"));
    if (!json_is_false(json_object_get(answer, "ok")) || why == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (strcmp(why, reasons[i]) == 0)
            return reasons[i];
    return NULL;
}

/* What the answer says of items and of how far Redis is. */
static bool take_answer(struct fleet *fleet, const json_t *answer, bool *behind)
{
    uint64_t epoch;
    const char *mark = fleet_text(answer, "mark", FLEET_MARK_MOST),
               *after = fleet_text(answer, "after", FLEET_MARK_MOST);
    if (!fleet_number(answer, "epoch", &epoch) || mark == NULL || after == NULL) {
        fleet_note_garbage(fleet, "change", "no epoch or mark");
        return false;
    }
    if (!fleet_take_items(fleet, json_object_get(answer, "items"), false, behind))
        return false;
    if (!*behind && strcmp(after, fleet->mark) == 0) {
        fleet->epoch = epoch;
        strcpy(fleet->mark, mark);
        fleet->revision++;
    } else if (*behind || strcmp(mark, fleet->mark) != 0) {
        fleet->hurried = true;
    }
    return true;
}

const char *fleet_outcome(struct fleet *fleet, const json_t *answer, bool *behind)
{
    *behind = false;
    if (answer == NULL)
        return NULL;
    if (json_object_get(answer, "error") != NULL) {
        fleet_note_refused(fleet, "change", answer);
        return "refused";
    }
    const char *reason = reason_of(answer);
    if (reason == NULL) {
        fleet_note_garbage(fleet, "change", "neither done nor refused");
        return NULL;
    }
    if (strcmp(reason, "format") == 0)
        fleet_note_format(fleet, answer);
    return take_answer(fleet, answer, behind) || reason[0] != '\0' ? reason : NULL;
}

/* ---- wishes ---- */

static void free_wish(struct fleet_wish *wish)
{
    for (uint32_t i = 0; wish != NULL && i < wish->item_count; i++)
        fleet_item_done(&wish->items[i]);
    if (wish != NULL) {
        free(wish->items);
        free(wish->log);
    }
    free(wish);
}

static void end_wish(struct fleet_wish *wish, const char *why)
{
    wish->done(wish->context, wish->ticket, why);
    free_wish(wish);
}

static bool copy_items(struct fleet *fleet, struct fleet_wish *wish, const struct fleet_change *change)
{
    wish->items = calloc(change->item_count, sizeof(*wish->items));
    for (uint32_t i = 0; wish->items != NULL && i < change->item_count; i++) {
        const struct fleet_known *known = fleet_find(fleet, change->items[i].name);
        struct fleet_item item = change->items[i];
        item.version = known != NULL ? known->item.version : 0;
        item.past = known != NULL ? known->item.past : NULL;
        if (!fleet_item_copy(&wish->items[i], &item))
            return false;
        wish->item_count++;
    }
    return wish->items != NULL;
}

static struct fleet_wish *new_wish(struct fleet *fleet, const struct fleet_change *change)
{
    struct fleet_wish *wish = calloc(1, sizeof(*wish));
    if (wish == NULL)
        return NULL;
    wish->kind = change->kind;
    wish->term = fleet->term;
    wish->done = change->done;
    wish->context = change->context;
    wish->ticket = change->ticket;
    wish->log = strdup(change->log);
    if (wish->log != NULL && copy_items(fleet, wish, change))
        return wish;
    free_wish(wish);
    return NULL;
}

static bool has_item(const struct fleet_wish *wish, const char *name)
{
    for (uint32_t i = 0; i < wish->item_count; i++)
        if (strcmp(wish->items[i].name, name) == 0)
            return true;
    return false;
}

static bool overlaps(const struct fleet_wish *list, const struct fleet_item *items, uint32_t count)
{
    for (; list != NULL; list = list->next)
        for (uint32_t i = 0; i < count; i++)
            if (has_item(list, items[i].name))
                return true;
    return false;
}

static bool raises(const struct fleet *fleet, const struct fleet_change *change)
{
    for (uint32_t i = 0; i < change->item_count; i++) {
        const struct fleet_item *known = fleet_item(fleet, change->items[i].name);
        if (known != NULL && change->items[i].share > known->share)
            return true;
    }
    return false;
}

/* Is the same asked by the file already? A route is looked at again and again until it is shared. */
static bool is_asked(const struct fleet *fleet, const struct fleet_change *change)
{
    if (change->kind != FLEET_BY_FILE)
        return false;
    for (size_t i = 0; i < FLEET_QUESTIONS; i++)
        if (overlaps(fleet->questions[i].wishes, change->items, change->item_count))
            return true;
    return overlaps(fleet->wishes, change->items, change->item_count);
}

/* NULL: it may be asked for. */
static const char *reason_against(const struct fleet *fleet, const struct fleet_change *change)
{
    if (!fleet->joined || fleet->role == FLEET_CUT_OFF)
        return "cut_off";
    if (change->kind == FLEET_BY_LEADER && fleet->role != FLEET_LEADER)
        return "not_leader";
    if (change->kind == FLEET_BY_LEADER && raises(fleet, change) && !fleet_may_raise(fleet, fleet->now_ms))
        return "raise";
    return fleet->wish_count >= FLEET_WISHES_MOST || is_asked(fleet, change) ? "busy" : NULL;
}

/* What is no text, or too long, would be in the way of all behind it. */
static bool can_be_told(const struct fleet_change *change)
{
    json_t *log = json_string(change->log);
    bool can = log != NULL && strlen(change->log) <= FLEET_TEXT_MOST;
    json_decref(log);
    for (uint32_t i = 0; can && i < change->item_count; i++) {
        json_t *item =
            fleet_item_json(&(struct fleet_item){.name = change->items[i].name, .text = change->items[i].text});
        can = item != NULL && strlen(change->items[i].text) <= FLEET_TEXT_MOST &&
              strlen(change->items[i].name) <= FLEET_NAME_MOST;
        json_decref(item);
    }
    return can;
}

void fleet_change(struct fleet *fleet, const struct fleet_change *change, uint64_t now_ms)
{
    fleet->now_ms = now_ms;
    fleet_update_role(fleet);
    if (!can_be_told(change)) {
        change->done(change->context, change->ticket, "refused");
        return;
    }
    if (change->kind == FLEET_FOR_SAFETY) {
        fleet_order_safety(fleet, change);
        return;
    }
    const char *against = reason_against(fleet, change);
    struct fleet_wish *wish = against == NULL ? new_wish(fleet, change) : NULL;
    if (wish == NULL) {
        change->done(change->context, change->ticket, against != NULL ? against : "busy");
        return;
    }
    *fleet->wishes_end = wish;
    fleet->wishes_end = &wish->next;
    fleet->wish_count++;
    fleet_pump(fleet);
}

static struct fleet_wish *take_first(struct fleet *fleet)
{
    struct fleet_wish *wish = fleet->wishes;
    fleet->wishes = wish->next;
    if (fleet->wishes == NULL)
        fleet->wishes_end = &fleet->wishes;
    wish->next = NULL;
    fleet->wish_count--;
    return wish;
}

static void put_back(struct fleet *fleet, struct fleet_wish *wish)
{
    wish->next = fleet->wishes;
    fleet->wishes = wish;
    if (wish->next == NULL)
        fleet->wishes_end = &wish->next;
    fleet->wish_count++;
}

static size_t bytes_of(const struct fleet_wish *wish)
{
    size_t bytes = strlen(wish->log);
    for (uint32_t i = 0; i < wish->item_count; i++)
        bytes += strlen(wish->items[i].text) + FLEET_NAME_MOST;
    return bytes;
}

/* The first that waits, and those behind it that may go along. */
static struct fleet_wish *take_batch(struct fleet *fleet)
{
    struct fleet_wish *batch = take_first(fleet), *last = batch;
    size_t bytes = bytes_of(batch), count = 1;
    while (fleet->wishes != NULL && !batch->alone && count < FLEET_LOGS_MOST) {
        const struct fleet_wish *next = fleet->wishes;
        bytes += bytes_of(next);
        if (next->alone || next->kind != batch->kind || next->term != batch->term || bytes > FLEET_DOCUMENT_BYTES ||
            overlaps(batch, next->items, next->item_count))
            break;
        last = last->next = take_first(fleet);
        count++;
    }
    return batch;
}

static json_t *wishes_document(const struct fleet *fleet, const struct fleet_wish *batch)
{
    json_t *items = json_array(), *logs = json_array();
    bool whole = items != NULL && logs != NULL;
    for (const struct fleet_wish *wish = batch; whole && wish != NULL; wish = wish->next) {
        whole = json_array_append_new(logs, json_string(wish->log)) == 0;
        for (uint32_t i = 0; whole && i < wish->item_count; i++)
            whole = json_array_append_new(items, fleet_item_json(&wish->items[i])) == 0;
    }
    json_t *document = whole ? json_pack("{s:s, s:i, s:s, s:I, s:O, s:[], s:O}", "replica", fleet->replica, "format",
                                         FLEET_FORMAT, "kind", fleet_kind_name(batch->kind), "term",
                                         (json_int_t)batch->term, "log", logs, "routes", "items", items)
                             : NULL;
    json_decref(items);
    json_decref(logs);
    return document;
}

/* In front of those that wait, in their order. */
static void put_all_back(struct fleet *fleet, struct fleet_wish *batch, bool alone)
{
    struct fleet_wish *next = batch->next;
    if (next != NULL)
        put_all_back(fleet, next, alone);
    batch->alone = alone;
    put_back(fleet, batch);
}

static void end_all(struct fleet_wish *batch, const char *why)
{
    while (batch != NULL) {
        struct fleet_wish *next = batch->next;
        end_wish(batch, why);
        batch = next;
    }
}

void fleet_send_wishes(struct fleet *fleet)
{
    while (fleet->wishes != NULL && fleet_has_credit(fleet)) {
        bool is_stale = fleet->wishes->kind == FLEET_BY_LEADER && fleet->wishes->term != fleet->term;
        if (is_stale) {
            end_wish(take_first(fleet), "not_leader");
            continue;
        }
        struct fleet_question question = {.kind = FLEET_ASKS_CHANGE};
        question.wishes = take_batch(fleet);
        if (fleet_send(fleet, &question, "change", NULL, wishes_document(fleet, question.wishes)))
            continue;
        put_all_back(fleet, question.wishes, question.wishes->alone);
        break;
    }
}

static void tell_conflict(struct fleet *fleet, const struct fleet_wish *wish)
{
    fleet->conflicts++;
    fleet_tell(fleet, false, "fleet_conflict",
               json_pack("{s:s, s:s, s:I}", "item", wish->items[0].name, "kind", fleet_kind_name(wish->kind), "epoch",
                         (json_int_t)fleet->epoch));
}

void fleet_on_change(struct fleet *fleet, struct fleet_question *question, const json_t *answer)
{
    bool behind;
    const char *why = fleet_outcome(fleet, answer, &behind);
    struct fleet_wish *batch = question->wishes;
    if (why == NULL) {
        fleet->hurried = true;
        end_all(batch, "no_answer");
        return;
    }
    if (strcmp(why, "not_leader") == 0) {
        fleet->term = 0;
        fleet_update_role(fleet);
    } else if (why[0] != '\0' && strcmp(why, "format") != 0 && batch->next != NULL) {
        put_all_back(fleet, batch, true); /* one of them is why */
        return;
    } else if (strcmp(why, "conflict") == 0) {
        tell_conflict(fleet, batch);
    }
    end_all(batch, why[0] != '\0' ? why : NULL);
}

void fleet_give_up_wishes(struct fleet *fleet)
{
    while (fleet->wishes != NULL)
        end_wish(take_first(fleet), "cut_off");
}
