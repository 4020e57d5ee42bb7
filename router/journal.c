/*
 * Numbers events and keeps the newest. Control thread only. Who made a change and why comes from people, so it may not
 * be UTF-8: the event is not lost for that.
 */
#include "router/journal.h"

#include <string.h>

#include "router/utf8.h"

bool journal_init(struct journal *journal, const struct router_hooks *hooks)
{
    memset(journal, 0, sizeof(*journal));
    journal->context = hooks->context;
    journal->on_event = hooks->on_event;
    journal->newest = json_array();
    return journal->newest != NULL;
}

void journal_done(struct journal *journal)
{
    json_decref(journal->newest);
}

static json_t *value_or_null(json_t *value)
{
    return value != NULL ? json_incref(value) : json_null();
}

static void keep(struct journal *journal, const struct router_event *event)
{
    json_t *kept =
        json_pack("{s:I, s:I, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "sequence", (json_int_t)event->sequence, "at_ms",
                  (json_int_t)event->at_ms, "route", utf8_json(event->route), "what", event->what, "who",
                  utf8_json(event->who), "why", utf8_json(event->why), "from", value_or_null(event->from), "to",
                  value_or_null(event->to), "evidence", value_or_null(event->evidence));
    if (kept == NULL || json_array_append_new(journal->newest, kept) != 0)
        return;
    while (json_array_size(journal->newest) > JOURNAL_KEEPS)
        (void)json_array_remove(journal->newest, 0);
}

void journal_tell(struct journal *journal, const struct router_event *event)
{
    struct router_event told = *event;
    told.sequence = ++journal->sequence;
    keep(journal, &told);
    if (journal->on_event != NULL)
        journal->on_event(journal->context, &told);
    json_decref(told.from);
    json_decref(told.to);
    json_decref(told.evidence);
}

json_t *journal_list(const struct journal *journal, const char *route)
{
    json_t *list = json_array();
    if (list == NULL)
        return NULL;
    size_t index;
    json_t *event;
    json_array_foreach(journal->newest, index, event)
    {
        const char *of = json_string_value(json_object_get(event, "route"));
        bool wanted = route == NULL || (of != NULL && strcmp(of, route) == 0);
        if (wanted && json_array_append(list, event) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static bool is_text_or_null(const json_t *value)
{
    return json_is_string(value) || json_is_null(value);
}

static bool event_is_valid(const json_t *event)
{
    const json_t *sequence = json_object_get(event, "sequence");
    const json_t *at_ms = json_object_get(event, "at_ms");
    const json_t *evidence = json_object_get(event, "evidence"); /* version 1 had none */
    if (evidence != NULL && !json_is_object(evidence) && !json_is_null(evidence))
        return false;
    return json_is_integer(sequence) && json_integer_value(sequence) > 0 && json_is_integer(at_ms) &&
           json_integer_value(at_ms) >= 0 && json_is_string(json_object_get(event, "what")) &&
           is_text_or_null(json_object_get(event, "route")) && is_text_or_null(json_object_get(event, "who")) &&
           is_text_or_null(json_object_get(event, "why")) && json_object_get(event, "from") != NULL &&
           json_object_get(event, "to") != NULL;
}

bool journal_is_valid(const json_t *events)
{
    if (!json_is_array(events) || json_array_size(events) > JOURNAL_KEEPS)
        return false;
    for (size_t i = 0; i < json_array_size(events); i++)
        if (!event_is_valid(json_array_get(events, i)))
            return false;
    return true;
}

bool journal_load(struct journal *journal, uint64_t sequence, const json_t *events)
{
    json_t *copy = json_deep_copy(events);
    if (copy == NULL)
        return false;
    json_decref(journal->newest);
    journal->newest = copy;
    journal->sequence = sequence;
    return true;
}
