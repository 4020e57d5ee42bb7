/*
 * Types of plans: how sure a gate must be, when a stage may be left, who waits for whom, and who is told.
 *
 * Called through the table of keys only. What depends on other routes, or on keys that are read later, is only kept
 * here and settled in check_plan.c.
 */
#include "config/types.h"

#include <stdio.h>
#include <string.h>

#include "config/events.h"
#include "config/loader.h"
#include "config/names.h"
#include "config/scalar.h"
#include "config/schedule.h"
#include "config/secret.h"
#include "config/texts.h"
#include "config/writer.h"

static bool is_off_word(const struct config_key *key, const struct node *node)
{
    return (key->flags & KEY_OFF) != 0 && node->kind == NODE_SCALAR && !node->broken && strcmp(node->text, "off") == 0;
}

/* ---- gates.confidence: its section speaks of the whole struct of gates, the first key of `default` ---- */

/* Gates that `given` (NULL: none) does not name are as sure as all. */
static void spread_confidence(const struct config_key *key, const struct node *given, void *gates)
{
    double every = ((const struct config_gates *)gates)->confidence;
    for (const struct config_key *gate = key->section->keys; gate->name != NULL; gate++) {
        if (given == NULL || node_find(given, gate->name) == NULL)
            *KEY_FIELD(double, gate, gates) = every;
    }
}

static void read_confidence(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    const struct node *given = node->kind == NODE_MAPPING && node_find(node, "file") == NULL ? node : NULL;
    if (given != NULL)
        loader_read_given(loader, key->section, given, base);
    else
        type_rate.read(loader, key, node, base);
    spread_confidence(key, given, base);
}

static void write_confidence(struct writer *writer, const struct config_key *key, const void *base)
{
    char text[SCALAR_TEXT_BYTES];
    double every = ((const struct config_gates *)base)->confidence;
    bool differs = false;
    scalar_print_rate(every, text);
    for (const struct config_key *gate = key->section->keys; gate->name != NULL; gate++) {
        double own = *KEY_CONST_FIELD(double, gate, base);
        char own_text[SCALAR_TEXT_BYTES];
        if (own >= every && own <= every)
            continue;
        scalar_print_rate(own, own_text);
        if (!differs)
            writer_print(writer, " { default: %s", text);
        writer_print(writer, ", %s: %s", gate->name, own_text);
        differs = true;
    }
    if (differs)
        writer_raw(writer, " }\n");
    else
        writer_value(writer, text);
}

static void write_confidence_range(struct writer *writer, const struct config_key *key)
{
    type_rate.write_range(writer, key);
}

const struct config_type type_confidence = {
    .name = "a rate in %", .read = read_confidence, .write = write_confidence, .write_range = write_confidence_range};

/* ---- stages[].gates ---- */

static void read_stage_gates(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    struct config_stage *stage = base;
    (void)key;
    stage->own_gates = loader_mapping(loader, node, "a mapping of keys") != NULL;
}

static void write_stage_gates(struct writer *writer, const struct config_key *key, const void *base)
{
    type_section.write(writer, key, base);
}

static bool has_own_gates(const struct config_key *key, const void *base)
{
    (void)key;
    return ((const struct config_stage *)base)->own_gates;
}

const struct config_type type_stage_gates = {
    .name = "a mapping of keys", .read = read_stage_gates, .write = write_stage_gates, .is_set = has_own_gates};

/* ---- gates.only, freeze ---- */

static const char schedule_expected[] = "a line such as \"Mon-Thu 09:00-16:00 Europe/Berlin\" or \"2026-12-24 - "
                                        "2026-12-26\", or a list of them";

static bool read_schedule_line(struct loader *loader, const struct node *node, struct schedule **schedule)
{
    const struct node *scalar = loader_scalar(loader, node, schedule_expected);
    const char *why = NULL;
    if (scalar == NULL)
        return false;
    if (schedule_add_in(schedule, &loader->zones, scalar->text, &why))
        return loader_keep(loader, schedule_line(*schedule, schedule_count(*schedule) - 1), scalar) != NULL;
    if (why == NULL)
        faults_no_memory(loader->faults);
    else
        loader_fault(loader, scalar->place, "%s: %s", node_shown(loader->faults, scalar), why);
    return false;
}

static bool read_schedule_lines(struct loader *loader, const struct node *list, struct schedule **schedule)
{
    bool good = true;
    size_t index = 0;
    if (list->count == 0)
        loader_fault(loader, list->place, "the list is empty; expected %s", schedule_expected);
    for (const struct node_item *item = list->items; item != NULL; item = item->next, index++) {
        size_t mark = faults_enter_item(loader->faults, index);
        good = read_schedule_line(loader, item->value, schedule) && good;
        faults_leave(loader->faults, mark);
    }
    return good && list->count > 0;
}

static void read_schedule(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    struct schedule *schedule = NULL;
    bool good = is_off_word(key, node) || (node->kind == NODE_LIST ? read_schedule_lines(loader, node, &schedule)
                                                                   : read_schedule_line(loader, node, &schedule));
    if (good)
        *KEY_FIELD(const struct schedule *, key, base) = schedule;
}

static void write_schedule(struct writer *writer, const struct config_key *key, const void *base)
{
    const struct schedule *schedule = *KEY_CONST_FIELD(struct schedule *, key, base);
    if (schedule == NULL) {
        writer_raw(writer, " off\n");
        return;
    }
    writer_raw(writer, " [");
    for (size_t i = 0; i < schedule_count(schedule); i++) {
        writer_raw(writer, i > 0 ? ", " : "");
        writer_text(writer, schedule_line(schedule, i));
    }
    writer_raw(writer, "]\n");
}

const struct config_type type_schedule = {
    .name = "a schedule, or a list of them", .read = read_schedule, .write = write_schedule};

/* ---- URLs of webhooks ---- */

static void read_web_url(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]";
    const struct node *scalar = loader_scalar(loader, node, expected);
    const char *why = NULL;
    if (scalar == NULL)
        return;
    if (scalar_web_url(loader->faults->arena, scalar->text, &why))
        *KEY_FIELD(const char *, key, base) = loader_text(loader, scalar);
    else if (why == NULL)
        faults_no_memory(loader->faults);
    else /* it may hold a secret, wherever the slip is */
        loader_fault(loader, scalar->place, "the URL cannot be used: %s; expected %s", why, expected);
}

/* Who knows the path of a chat's webhook can write there: only where the URL came from, or its host, is shown. */
static void write_web_url(struct writer *writer, const struct config_key *key, const void *base)
{
    const char *url = *KEY_CONST_FIELD(char *, key, base);
    const char *origin = writer->config == NULL ? NULL : config_secret_origin(writer->config, url);
    const char *host = strstr(url, "://") + strlen("://");
    size_t host_end = (size_t)(host - url) + strcspn(host, "/?");
    bool is_bare = url[host_end] == '\0' || strcmp(url + host_end, "/") == 0;
    if (origin != NULL || is_bare)
        writer_value(writer, url);
    else
        writer_print(writer, " \"%.*s/***\"\n", (int)host_end, url);
}

const struct config_type type_web_url = {.name = "a URL", .read = read_web_url, .write = write_web_url};

/* ---- routes[].depends_on ---- */

enum {
    DEPENDENCIES_MOST = 16
};

static const char dependency_expected[] = "the name of a route, or { route: NAME, stage: NAME }";

static const char *read_dependency_name(struct loader *loader, const struct node *mapping, const char *key)
{
    const struct node_item *item = node_find(mapping, key);
    if (item == NULL)
        return NULL;
    size_t mark = faults_enter_key(loader->faults, key);
    const struct node *scalar = loader_scalar(loader, item->value, "a name");
    faults_leave(loader->faults, mark);
    return scalar == NULL ? NULL : loader_text(loader, scalar);
}

static void read_dependency(struct loader *loader, const struct node *node, struct config_dependency *dependency)
{
    if (node->kind != NODE_MAPPING) {
        const struct node *scalar = loader_scalar(loader, node, dependency_expected);
        dependency->route = scalar == NULL ? NULL : loader_text(loader, scalar);
        return;
    }
    for (const struct node_item *item = node->items; item != NULL; item = item->next) {
        if (strcmp(item->key, "route") != 0 && strcmp(item->key, "stage") != 0)
            loader_fault(loader, item->key_place, "the key %s is unknown; expected %s",
                         text_shown(loader->faults, item->key), dependency_expected);
    }
    if (node_find(node, "route") == NULL)
        loader_fault(loader, node->place, "no route is named; expected %s", dependency_expected);
    dependency->route = read_dependency_name(loader, node, "route");
    dependency->stage = read_dependency_name(loader, node, "stage");
}

static void read_depends_on(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    const struct node *list = loader_list(loader, node, "a list of routes such as [planner]");
    if (list == NULL)
        return;
    if (list->count == 0 || list->count > DEPENDENCIES_MOST) {
        loader_fault(loader, list->place, "the list has %u items; expected 1 to %d", (unsigned)list->count,
                     DEPENDENCIES_MOST);
        return;
    }
    struct config_dependency *dependencies = loader_take(loader, list->count, sizeof(*dependencies));
    if (dependencies == NULL)
        return;
    size_t index = 0;
    for (const struct node_item *item = list->items; item != NULL; item = item->next, index++) {
        size_t mark = faults_enter_item(loader->faults, index);
        read_dependency(loader, item->value, &dependencies[index]);
        faults_leave(loader->faults, mark);
    }
    *KEY_FIELD(struct config_dependency *, key, base) = dependencies;
    *KEY_COUNT(key, base) = list->count;
}

static void write_depends_on(struct writer *writer, const struct config_key *key, const void *base)
{
    const struct config_dependency *dependencies = *KEY_CONST_FIELD(struct config_dependency *, key, base);
    writer_raw(writer, " [");
    for (uint32_t i = 0; i < *KEY_CONST_COUNT(key, base); i++) {
        writer_raw(writer, i > 0 ? ", " : "");
        if (dependencies[i].stage != NULL)
            writer_raw(writer, "{ route: ");
        writer_text(writer, dependencies[i].route);
        if (dependencies[i].stage != NULL) {
            writer_raw(writer, ", stage: ");
            writer_text(writer, dependencies[i].stage);
            writer_raw(writer, " }");
        }
    }
    writer_raw(writer, "]\n");
}

const struct config_type type_depends_on = {
    .name = "a list of routes", .read = read_depends_on, .write = write_depends_on, .is_set = key_has_items};

/* ---- notify[].events ---- */

static const char *event_fault(const char *text)
{
    return event_is_known(text) ? NULL : "is no event";
}

static const char *all_events(struct loader *loader)
{
    const char *text = "one of ";
    for (size_t i = 0; event_names[i] != NULL && text != NULL; i++)
        text = config_arena_print(loader->faults->arena, "%s%s%s", text, i > 0 ? ", " : "", event_names[i]);
    if (text == NULL)
        faults_no_memory(loader->faults);
    return text != NULL ? text : "the name of an event";
}

static void read_events(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    const struct texts_rule rule = {.expected = "a list of events such as [rollback, breaker_open]",
                                    .item_expected = all_events(loader),
                                    .fault = event_fault};
    struct texts texts = {0};
    if (!texts_read(loader, node, &rule, &texts))
        return;
    if (texts.count == 0)
        loader_fault(loader, node->place,
                     "the list is empty, so nothing would be told; expected %s, or no such key "
                     "for every change of state",
                     rule.expected);
    *KEY_FIELD(const char **, key, base) = texts.items;
    *KEY_COUNT(key, base) = texts.count;
}

static void write_events(struct writer *writer, const struct config_key *key, const void *base)
{
    writer_texts(writer, *KEY_CONST_FIELD(char *const *, key, base), *KEY_CONST_COUNT(key, base));
}

static void write_event_range(struct writer *writer, const struct config_key *key)
{
    (void)key;
    for (size_t i = 0; event_names[i] != NULL; i++)
        writer_print(writer, "%s`%s`", i > 0 ? ", " : "", event_names[i]);
}

const struct config_type type_events = {.name = "a list of events",
                                        .read = read_events,
                                        .write = write_events,
                                        .is_set = key_has_items,
                                        .write_range = write_event_range};
