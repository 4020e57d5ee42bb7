/*
 * Orders for safety: kept, the safest one for each item, until Redis has said that it knows them, over lost links and
 * restarts too. Part of fleet.c; control thread, no I/O.
 *
 * An order is not tied to a term nor to a version, so that it may be told at any time, and twice: what is as safe
 * already stays as it is. While it is not known there, it hides what Redis says of the item, unless that is safer.
 */
#include "router/store/fleet_inner.h"

#include <stdlib.h>
#include <string.h>

/* The safest order for an item is kept; a later one is another order all the same. */
static bool keep_order(struct fleet *fleet, const struct fleet_item *item, const char *log)
{
    struct fleet_known *known = fleet_find_or_add(fleet, item->name);
    if (known == NULL)
        return false;
    if (known->pending.name != NULL && fleet_item_compare_safety(&known->pending, item) <= 0)
        return true;
    struct fleet_item copy, plain = *item;
    plain.past = NULL; /* it is no change yet */
    char *log_copy = strdup(log);
    if (log_copy == NULL || !fleet_item_copy(&copy, &plain)) {
        free(log_copy);
        return false;
    }
    fleet_item_done(&known->pending);
    free(known->pending_log);
    known->pending = copy;
    known->pending.version = known->item.version;
    known->pending_log = log_copy;
    known->pending_order = fleet->last_order;
    fleet->revision++;
    return true;
}

static void end_order(struct fleet *fleet, struct fleet_known *known)
{
    fleet_item_done(&known->pending);
    free(known->pending_log);
    known->pending_log = NULL;
    fleet->revision++;
}

static bool add_waiter(struct fleet *fleet, const struct fleet_change *change)
{
    struct fleet_waiter *waiter = fleet->waiter_count < FLEET_WISHES_MOST ? malloc(sizeof(*waiter)) : NULL;
    if (waiter == NULL)
        return false;
    *waiter = (struct fleet_waiter){NULL, fleet->last_order, change->done, change->context, change->ticket};
    *fleet->waiters_end = waiter;
    fleet->waiters_end = &waiter->next;
    fleet->waiter_count++;
    return true;
}

/* Those who wait for orders up to this one. */
static void end_waiters(struct fleet *fleet, uint64_t order, const char *why)
{
    while (fleet->waiters != NULL && fleet->waiters->order <= order) {
        struct fleet_waiter *waiter = fleet->waiters;
        fleet->waiters = waiter->next;
        if (fleet->waiters == NULL)
            fleet->waiters_end = &fleet->waiters;
        fleet->waiter_count--;
        waiter->done(waiter->context, waiter->ticket, why);
        free(waiter);
    }
}

void fleet_order_safety(struct fleet *fleet, const struct fleet_change *change)
{
    bool kept = true;
    fleet->last_order++;
    for (uint32_t i = 0; i < change->item_count; i++)
        kept = keep_order(fleet, &change->items[i], change->log) && kept;
    if (!kept)
        change->done(change->context, change->ticket, "full");
    else if (!fleet->joined || fleet->role == FLEET_CUT_OFF || !add_waiter(fleet, change))
        change->done(change->context, change->ticket, "cut_off");
    else
        fleet_pump(fleet);
}

/* The oldest orders that fit into a document; *upto: all up to this one are in it, 0: there is none. */
static json_t *orders_document(struct fleet *fleet, uint64_t *upto)
{
    json_t *items = json_array(), *logs = json_array();
    size_t bytes = 0;
    bool whole = items != NULL && logs != NULL;
    uint64_t after = 0;
    for (;;) {
        const struct fleet_known *next = NULL;
        for (size_t i = 0; i < fleet->known_count; i++) {
            const struct fleet_known *known = fleet->known[i];
            bool is_next = known->pending.name != NULL && known->pending_order > after &&
                           (next == NULL || known->pending_order < next->pending_order);
            next = is_next ? known : next;
        }
        if (next == NULL)
            break;
        for (size_t i = 0; whole && i < fleet->known_count; i++) {
            const struct fleet_known *known = fleet->known[i];
            if (known->pending.name == NULL || known->pending_order != next->pending_order)
                continue;
            bytes += strlen(known->pending.text) + FLEET_NAME_MOST;
            whole = json_array_append_new(items, fleet_item_json(&known->pending)) == 0;
        }
        whole = whole && json_array_append_new(logs, json_string(next->pending_log)) == 0;
        after = next->pending_order;
        if (bytes >= FLEET_DOCUMENT_BYTES || json_array_size(logs) >= FLEET_LOGS_MOST)
            break;
    }
    *upto = after;
    json_t *document = whole && json_array_size(items) > 0
                           ? json_pack("{s:s, s:i, s:s, s:i, s:O, s:[], s:O}", "replica", fleet->replica, "format",
                                       FLEET_FORMAT, "kind", "safety", "term", 0, "log", logs, "routes", "items", items)
                           : NULL;
    json_decref(items);
    json_decref(logs);
    return document;
}

void fleet_send_safety(struct fleet *fleet)
{
    struct fleet_question question = {.kind = FLEET_ASKS_SAFETY};
    if (fleet->hold_orders || fleet->last_order == fleet->done_order || fleet_asks(fleet, FLEET_ASKS_SAFETY) ||
        !fleet_has_credit(fleet))
        return;
    json_t *document = orders_document(fleet, &question.order);
    if (document != NULL)
        (void)fleet_send(fleet, &question, "change", NULL, document);
    else if (question.order == 0)
        fleet->done_order = fleet->last_order; /* none is left */
}

static void end_orders(struct fleet *fleet, uint64_t upto)
{
    for (size_t i = 0; i < fleet->known_count; i++)
        if (fleet->known[i]->pending.name != NULL && fleet->known[i]->pending_order <= upto)
            end_order(fleet, fleet->known[i]);
}

void fleet_on_safety(struct fleet *fleet, const struct fleet_question *question, const json_t *answer)
{
    bool behind;
    const char *why = fleet_outcome(fleet, answer, &behind);
    fleet->hold_orders = why == NULL || behind || why[0] != '\0';
    if (why != NULL && behind)
        return; /* should Redis forget what became of it, nobody would know: it is told again after the merge */
    if (why != NULL && why[0] == '\0')
        end_orders(fleet, question->order);
    fleet_tell_items(fleet);
    end_waiters(fleet, question->order, why == NULL ? "no_answer" : why[0] != '\0' ? why : NULL);
}

void fleet_give_up_waiting(struct fleet *fleet)
{
    end_waiters(fleet, fleet->last_order, "cut_off");
    fleet->hold_orders = false;
}
