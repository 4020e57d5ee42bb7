/*
 * All items a replica knows: what it takes of Redis' answers and of the news, what it tells Redis that Redis has lost,
 * and what it keeps over a restart. Part of fleet.c; control thread, no I/O.
 *
 * An item goes forward only: what came of ours, by its past, takes its place. What we know and Redis does not (it came
 * back empty, or older), and what was changed there while ours was lost, goes to Redis by `merge`, whose answer has
 * what became of both.
 */
#include "router/store/fleet_inner.h"

#include <stdlib.h>
#include <string.h>

/* ---- the list ---- */

/* Where the name is, or belongs. */
static size_t place_of(const struct fleet *fleet, const char *name)
{
    size_t low = 0, high = fleet->known_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(fleet->known[middle]->item.name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct fleet_known *fleet_find(const struct fleet *fleet, const char *name)
{
    size_t place = place_of(fleet, name);
    bool is_there = place < fleet->known_count && strcmp(fleet->known[place]->item.name, name) == 0;
    return is_there ? fleet->known[place] : NULL;
}

void fleet_known_free(struct fleet_known *known)
{
    if (known == NULL)
        return;
    fleet_item_done(&known->item);
    fleet_item_done(&known->pending);
    free(known->pending_log);
    free(known);
}

static bool has_room(struct fleet *fleet)
{
    if (fleet->known_count < fleet->known_room)
        return true;
    size_t room = fleet->known_room > 0 ? 2 * fleet->known_room : 16;
    struct fleet_known **grown = realloc(fleet->known, room * sizeof(*grown));
    if (grown == NULL)
        return false;
    fleet->known = grown;
    fleet->known_room = room;
    return true;
}

struct fleet_known *fleet_find_or_add(struct fleet *fleet, const char *name)
{
    struct fleet_known *known = fleet_find(fleet, name);
    if (known != NULL)
        return known;
    if (fleet->known_count >= FLEET_ITEMS_MOST || !has_room(fleet))
        return NULL;
    known = calloc(1, sizeof(*known));
    if (known == NULL || !fleet_item_copy(&known->item, &(struct fleet_item){.name = (char *)name})) {
        free(known);
        return NULL;
    }
    size_t place = place_of(fleet, name);
    memmove(&fleet->known[place + 1], &fleet->known[place], (fleet->known_count - place) * sizeof(*fleet->known));
    fleet->known[place] = known;
    fleet->known_count++;
    return known;
}

const struct fleet_item *fleet_known_effective(const struct fleet_known *known)
{
    bool is_ordered = known->pending.name != NULL &&
                      (known->item.version == 0 || fleet_item_compare_safety(&known->pending, &known->item) < 0);
    return is_ordered ? &known->pending : &known->item;
}

const struct fleet_item *fleet_item(const struct fleet *fleet, const char *name)
{
    const struct fleet_known *known = fleet_find(fleet, name);
    const struct fleet_item *item = known != NULL ? fleet_known_effective(known) : NULL;
    return item != NULL && item->text != NULL ? item : NULL;
}

uint64_t fleet_epoch(const struct fleet *fleet)
{
    return fleet->epoch;
}

uint64_t fleet_revision(const struct fleet *fleet)
{
    return fleet->revision;
}

/* ---- taking what is newer ---- */

/* The items of an array; NULL with *why when one of them is none. */
static struct fleet_item *load_items(const json_t *array, size_t *count, const char **why)
{
    *count = 0;
    *why = "no list of items";
    if (!json_is_array(array) || json_array_size(array) > FLEET_ITEMS_MOST)
        return NULL;
    *why = "no memory";
    struct fleet_item *items = calloc(json_array_size(array) + 1, sizeof(*items));
    bool whole = items != NULL;
    for (size_t i = 0; whole && i < json_array_size(array); i++) {
        whole = fleet_item_load(json_array_get(array, i), &items[i], why);
        *count += whole;
    }
    if (whole)
        return items;
    while (*count > 0)
        fleet_item_done(&items[--*count]);
    free(items);
    return NULL;
}

static void free_items(struct fleet_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fleet_item_done(&items[i]);
    free(items);
}

/* Takes `item` over, whatever becomes of it. False: we know better, or have no room for it. */
static bool take(struct fleet *fleet, struct fleet_item *item)
{
    struct fleet_known *known = fleet_find_or_add(fleet, item->name);
    if (known == NULL)
        return false;
    known->listed = true;
    enum fleet_relation relation = known->item.version == 0 ? FLEET_NEWER : fleet_item_relation(&known->item, item);
    if (relation == FLEET_NEWER) {
        struct fleet_item former = known->item;
        known->item = *item;
        *item = former;
        known->pending.version = known->item.version;
        known->untold = true;
        fleet->revision++;
    }
    return relation == FLEET_NEWER || relation == FLEET_SAME;
}

/* Those that an order for safety hides are told when it is done. */
void fleet_tell_items(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->known_count; i++) {
        struct fleet_known *known = fleet->known[i];
        if (!known->untold || fleet_known_effective(known) != &known->item)
            continue;
        known->untold = false;
        if (fleet->hooks.on_item != NULL)
            fleet->hooks.on_item(fleet->hooks.context, &known->item);
    }
}

static bool misses_some(const struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->known_count; i++)
        if (!fleet->known[i]->listed && fleet->known[i]->item.version > 0)
            return true;
    return false;
}

bool fleet_take_items(struct fleet *fleet, const json_t *items, bool all, bool *behind)
{
    const char *why;
    size_t count;
    struct fleet_item *loaded = load_items(items, &count, &why);
    if (loaded == NULL) {
        fleet_note_garbage(fleet, "items", why);
        return false;
    }
    for (size_t i = 0; i < fleet->known_count; i++)
        fleet->known[i]->listed = false;
    *behind = false;
    for (size_t i = 0; i < count; i++)
        if (!take(fleet, &loaded[i]))
            *behind = true;
    if (all && misses_some(fleet))
        *behind = true;
    free_items(loaded, count);
    fleet_tell_items(fleet);
    return true;
}

static void note_restored(struct fleet *fleet, uint64_t epoch)
{
    fleet->settle_until_ms = fleet->now_ms + FLEET_SETTLE_MS;
    fleet->to_merge = true;
    if (fleet->told_restored)
        return;
    fleet->told_restored = true;
    fleet->restored++;
    fleet_tell(
        fleet, true, "fleet_restored",
        json_pack("{s:I, s:I, s:s}", "epoch", (json_int_t)epoch, "known", (json_int_t)fleet->epoch, "why",
                  "Redis had lost state, or was changed without knowing it; it is told what this replica knows"));
}

bool fleet_take_state(struct fleet *fleet, const json_t *answer)
{
    uint64_t epoch;
    bool behind;
    const char *mark = fleet_text(answer, "mark", FLEET_MARK_MOST);
    if (!fleet_number(answer, "epoch", &epoch) || mark == NULL) {
        fleet_note_garbage(fleet, "state", "no epoch or mark");
        return false;
    }
    if (!fleet_take_items(fleet, json_object_get(answer, "items"), true, &behind))
        return false;
    if (behind) {
        note_restored(fleet, epoch);
        return true;
    }
    fleet->to_merge = fleet->told_restored = false;
    if (fleet->epoch != epoch || strcmp(fleet->mark, mark) != 0)
        fleet->revision++;
    fleet->epoch = epoch;
    strcpy(fleet->mark, mark);
    return true;
}

/* ---- news ---- */

void fleet_news(struct fleet *fleet, const char *payload, size_t length, uint64_t now_ms)
{
    fleet->now_ms = now_ms;
    json_t *news = json_loadb(payload, length, 0, NULL);
    const char *mark = fleet_text(news, "mark", FLEET_MARK_MOST), *after = fleet_text(news, "after", FLEET_MARK_MOST);
    uint64_t epoch;
    bool behind;
    if (!fleet_number(news, "epoch", &epoch) || mark == NULL || after == NULL) {
        fleet_note_garbage(fleet, "news", "no epoch or mark");
    } else if (fleet_take_items(fleet, json_object_get(news, "items"), false, &behind)) {
        if (!behind && strcmp(fleet->mark, after) == 0) {
            fleet->epoch = epoch;
            strcpy(fleet->mark, mark);
            fleet->revision++;
        } else if (strcmp(fleet->mark, mark) != 0) {
            fleet->hurried = true; /* something before this was missed */
        }
    }
    json_decref(news);
    fleet_pump(fleet);
}

/* ---- telling Redis ---- */

/* As many as fit; which of them Redis needs, it finds out. Those it has already cost only their bytes. */
static json_t *known_items(const struct fleet *fleet, size_t *from)
{
    json_t *items = json_array();
    size_t bytes = 0;
    for (; *from < fleet->known_count && bytes < FLEET_DOCUMENT_BYTES; ++*from) {
        const struct fleet_item *item = &fleet->known[*from]->item;
        if (item->version == 0)
            continue;
        bytes += strlen(item->text) + FLEET_NAME_MOST;
        if (json_array_append_new(items, fleet_item_json(item)) < 0) {
            json_decref(items);
            return NULL;
        }
    }
    return items;
}

void fleet_send_merge(struct fleet *fleet)
{
    const struct fleet_question question = {.kind = FLEET_ASKS_MERGE};
    if (fleet_asks(fleet, FLEET_ASKS_MERGE) || !fleet_has_credit(fleet))
        return;
    if (fleet->merge_from >= fleet->known_count)
        fleet->merge_from = 0;
    size_t from = fleet->merge_from;
    json_t *items = known_items(fleet, &from);
    json_t *document = items == NULL ? NULL
                                     : json_pack("{s:s, s:i, s:I, s:I, s:[], s:o}", "replica", fleet->replica, "format",
                                                 FLEET_FORMAT, "epoch", (json_int_t)fleet->epoch, "term",
                                                 (json_int_t)fleet->group_term, "routes", "items", items);
    if (!fleet_send(fleet, &question, "merge", NULL, document))
        return;
    fleet->merge_from = from;
    fleet->merges++;
}

void fleet_on_merge(struct fleet *fleet, const json_t *answer)
{
    bool is_refused = answer != NULL && json_object_get(answer, "error") != NULL;
    bool was_last = fleet->merge_from >= fleet->known_count;
    if (is_refused)
        fleet_note_refused(fleet, "merge", answer);
    if (answer == NULL || is_refused || !fleet_take_state(fleet, answer) || was_last)
        fleet->to_merge = false; /* the next beat finds out whether it is still needed */
    fleet->hold_orders = fleet->hold_orders && answer == NULL;
}

/* ---- kept over a restart ---- */

static json_t *pending_json(const struct fleet_known *known)
{
    return json_pack("{s:[s, i, I, I, s, s], s:s}", "item", known->pending.name, 1, (json_int_t)known->pending.share,
                     (json_int_t)known->pending.rank, known->pending.text, "", "log", known->pending_log);
}

json_t *fleet_save(const struct fleet *fleet)
{
    json_t *items = json_array(), *safety = json_array();
    bool whole = items != NULL && safety != NULL;
    for (size_t i = 0; whole && i < fleet->known_count; i++) {
        const struct fleet_known *known = fleet->known[i];
        if (known->item.version > 0)
            whole = json_array_append_new(items, fleet_item_json(&known->item)) == 0;
        if (whole && known->pending.name != NULL)
            whole = json_array_append_new(safety, pending_json(known)) == 0;
    }
    json_t *saved =
        !whole ? NULL
               : json_pack("{s:i, s:I, s:s, s:I, s:O, s:O}", "version", 1, "epoch", (json_int_t)fleet->epoch, "mark",
                           fleet->mark, "term", (json_int_t)fleet->group_term, "items", items, "safety", safety);
    json_decref(items);
    json_decref(safety);
    return saved;
}

/* { "item", "log" } of each order; the logs are borrowed. NULL with *why when one of them is none. */
static struct fleet_item *load_orders(const json_t *orders, size_t *count, const char **why)
{
    json_t *items = json_array();
    size_t i;
    json_t *order;
    bool whole = items != NULL && json_is_array(orders);
    json_array_foreach(orders, i, order) whole = whole && fleet_text(order, "log", FLEET_TEXT_MOST) != NULL &&
                                                 json_array_append(items, json_object_get(order, "item")) == 0;
    struct fleet_item *loaded = NULL;
    *why = "\"safety\" is no list of orders";
    if (whole)
        loaded = load_items(items, count, why);
    json_decref(items);
    return loaded;
}

static bool restore_orders(struct fleet *fleet, struct fleet_item *orders, size_t count, const json_t *texts)
{
    for (size_t i = 0; i < count; i++) {
        struct fleet_known *known = fleet_find_or_add(fleet, orders[i].name);
        char *log = strdup(fleet_text(json_array_get(texts, i), "log", FLEET_TEXT_MOST));
        if (known == NULL || log == NULL) {
            free(log);
            return false;
        }
        free(known->pending_log);
        fleet_item_done(&known->pending);
        known->pending = orders[i];
        known->pending.version = known->item.version;
        known->pending_log = log;
        known->pending_order = ++fleet->last_order;
        orders[i] = (struct fleet_item){0};
    }
    return true;
}

static void tell_restored(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->known_count; i++) {
        const struct fleet_item *item = fleet_known_effective(fleet->known[i]);
        fleet->known[i]->untold = item != &fleet->known[i]->item && fleet->known[i]->item.version > 0;
        if (fleet->hooks.on_item != NULL && item->text != NULL)
            fleet->hooks.on_item(fleet->hooks.context, item);
    }
}

bool fleet_restore(struct fleet *fleet, const json_t *saved, const char **why)
{
    uint64_t version, epoch, term;
    size_t item_count = 0, order_count = 0;
    const char *mark = fleet_text(saved, "mark", FLEET_MARK_MOST);
    if (!fleet_number(saved, "version", &version) || version != 1 || !fleet_number(saved, "epoch", &epoch) ||
        !fleet_number(saved, "term", &term) || mark == NULL) {
        *why = "it has no version 1, epoch, mark and term";
        return false;
    }
    struct fleet_item *items = load_items(json_object_get(saved, "items"), &item_count, why);
    struct fleet_item *orders = items != NULL ? load_orders(json_object_get(saved, "safety"), &order_count, why) : NULL;
    bool done = orders != NULL;
    if (done) {
        fleet->epoch = epoch;
        fleet->group_term = term;
        strcpy(fleet->mark, mark);
        for (size_t i = 0; i < item_count; i++)
            (void)take(fleet, &items[i]);
        (void)restore_orders(fleet, orders, order_count, json_object_get(saved, "safety"));
        tell_restored(fleet);
    }
    free_items(items, item_count);
    free_items(orders, order_count);
    return done;
}
