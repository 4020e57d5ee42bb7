/*
 * A report of what all replicas have told. On the keeper's thread, in a report of its own that nobody else sees.
 *
 * The numbers are first sorted to the things they belong to, then given to the report as its records (records.h), which
 * checks each: so what is told of a fleet is told by the same functions as one replica's. Parcels are not of one
 * instant, and Redis' contents are anybody's: what would contradict itself is cut to what is possible, the rest is left
 * out.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/report_fleet.h"
#include "shadow/report_fleet_keys.h"
#include "shadow/report_fleet_samples.h"
#include "shadow/report_fleet_tree.h"
#include "shadow/report_row.h"

/* ---- counters ---- */

static void read_sums(const struct fleet_node *node, void (*name_of)(uint32_t, char[FLEET_KEY]), void *sums,
                      uint32_t count)
{
    uint64_t *to = sums;
    char name[FLEET_KEY];
    for (uint32_t i = 0; i < count; i++) {
        name_of(i, name);
        to[i] += fleet_node_number(node, name);
    }
}

static uint64_t at_most(uint64_t number, uint64_t most)
{
    return number < most ? number : most;
}

/* ---- latency ---- */

/* A coarse step is spread evenly over the fine ones. */
static void spread(uint32_t *steps, const struct fleet_part *part, uint32_t width, uint32_t coarse, uint32_t number)
{
    uint32_t first = 0, last = part->count - 1;
    while (first < part->count && fleet_coarse(part, width, first) < coarse)
        first++;
    while (last > first && fleet_coarse(part, width, last) > coarse)
        last--;
    uint64_t wide = last - first + 1;
    for (uint64_t k = 0; k < wide; k++)
        steps[first + k] += (uint32_t)(number * (k + 1) / wide - number * k / wide);
}

static uint64_t read_part(const struct fleet_node *node, struct paired *paired, uint32_t p, uint32_t width)
{
    const struct fleet_part *part = &fleet_parts[p];
    uint64_t total = 0;
    for (uint32_t i = 0; i < fleet_coarse_count(part, width); i++) {
        char name[FLEET_KEY];
        (void)snprintf(name, sizeof(name), "%c%u", part->letter, i);
        uint64_t number = at_most(fleet_node_number(node, name), UINT32_MAX - total);
        if (number > 0)
            spread(fleet_steps(paired, p), part, width, i, (uint32_t)number);
        total += number;
    }
    return total;
}

/* False: there is none, or not all of it is there yet. */
static bool read_latency(const struct fleet_node *node, uint32_t width, struct paired *paired)
{
    memset(paired, 0, sizeof(*paired));
    paired->count = fleet_node_number(node, "count");
    if (paired->count == 0)
        return false;
    for (uint32_t p = 0; p < FLEET_PARTS; p++) {
        uint64_t total = read_part(node, paired, p, width);
        if (total == 0)
            return false;
        paired->count = total > paired->count ? total : paired->count;
    }
    paired->slower = at_most(fleet_node_number(node, "slower"), paired->count);
    return true;
}

/* ---- one endpoint ---- */

struct making {
    const struct fleet_tree *tree;
    struct report *report; /* the one that is made */
    struct report *own;    /* this replica's; borrowed */
    struct paired latency; /* scratch, as is the next */
    unsigned char packed[PAIRED_PACKED_MAX];
    uint32_t fields_left; /* of the route */
};

static struct record_cell cell_record(struct making *making, const struct fleet_node *node, uint32_t width)
{
    struct record_cell record = {.since_ms = fleet_node_number(node, "<since"),
                                 .last_ms = fleet_node_number(node, ">last")};
    if (read_latency(node, width, &making->latency)) {
        record.latency = making->packed;
        record.latency_len = paired_pack(&making->latency, making->packed);
    }
    return record;
}

static void fill_cell(struct record_cell *record, struct fleet_cell_sums *sums)
{
    uint64_t left = sums->judged[JUDGEMENT_NOT_COMPARABLE];
    for (int i = 0; i < OBSTACLES; i++) {
        sums->obstacles[i] = at_most(sums->obstacles[i], left);
        left -= sums->obstacles[i];
    }
    memcpy(record->judged, sums->judged, sizeof(record->judged));
    memcpy(record->noise_judged, sums->noise_judged, sizeof(record->noise_judged));
    memcpy(record->obstacles, sums->obstacles, sizeof(record->obstacles));
    record->ungrouped = sums->ungrouped;
    record->ungrouped_noise = at_most(sums->ungrouped_noise, sums->ungrouped);
    record->other_differing = sums->other_differing;
    record->other_ignored = sums->other_ignored;
    record->other_noise = sums->other_noise;
}

/* Of two fields the one that differs more comes first. */
static int most_first(const void *a, const void *b)
{
    const struct fleet_node *x = *(const struct fleet_node *const *)a, *y = *(const struct fleet_node *const *)b;
    uint64_t m = fleet_node_number(x, "differing"), n = fleet_node_number(y, "differing");
    return m != n ? (m < n) - (m > n) : strcmp(x->text, y->text);
}

/* An endpoint's fields and groups while it is made. */
struct parts {
    struct fleet_node **fields; /* owned; sorted: those that have a place first */
    uint32_t field_count, placed;
    struct record_group *groups; /* owned */
    uint16_t (*members)[GROUP_FIELDS_MAX];
    uint32_t group_count;
};

static void parts_done(struct parts *parts)
{
    free(parts->fields);
    free(parts->groups);
    free(parts->members);
}

/* Those beyond what a report holds are counted together. */
static bool place_fields(struct making *making, const char *id, struct parts *parts, struct fleet_cell_sums *sums)
{
    struct fleet_node *fields = fleet_children(making->tree, id, FLEET_FIELD, &parts->field_count);
    parts->fields = calloc(parts->field_count + 1, sizeof(struct fleet_node *));
    if (parts->fields == NULL)
        return false;
    for (uint32_t i = 0; i < parts->field_count; i++)
        parts->fields[i] = &fields[i];
    qsort(parts->fields, parts->field_count, sizeof(struct fleet_node *), most_first);
    for (uint32_t i = 0; i < parts->field_count; i++) {
        struct fleet_node *field = parts->fields[i];
        field->index = parts->placed;
        field->placed = parts->placed < FIELDS_MAX && making->fields_left > 0;
        if (field->placed) {
            parts->placed++;
            making->fields_left--;
            continue;
        }
        sums->other_differing += fleet_node_number(field, "differing");
        sums->other_ignored += fleet_node_number(field, "ignored");
        sums->other_noise += fleet_node_number(field, "noise");
    }
    return true;
}

static int by_number(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* The rows of a group's fields, ascending; 0: one of them has no place. */
static uint32_t read_members(const struct parts *parts, const char *text, uint16_t members[GROUP_FIELDS_MAX])
{
    uint32_t count = 0;
    while (*text != '\0') {
        uint32_t i = 0;
        while (i < parts->placed && strncmp(parts->fields[i]->id, text, FLEET_ID) != 0)
            i++;
        if (i == parts->placed || count == GROUP_FIELDS_MAX)
            return 0;
        text += FLEET_ID;
        members[count++] = (uint16_t)(parts->fields[i]->index | (*text == '!' ? GROUP_SHAPE : 0));
        text += *text == '!';
    }
    qsort(members, count, sizeof(members[0]), by_number);
    for (uint32_t i = 1; i < count; i++)
        if (members[i] == members[i - 1])
            return 0;
    return count;
}

/* A pair is in one group or in none: of pairs that differ there are never more. */
static bool place_groups(struct making *making, const char *id, struct parts *parts, struct fleet_cell_sums *sums)
{
    uint32_t count;
    const struct fleet_node *groups = fleet_children(making->tree, id, FLEET_GROUP, &count);
    uint64_t left = sums->judged[JUDGEMENT_MISMATCHED];
    parts->groups = calloc(GROUPS_MAX, sizeof(*parts->groups));
    parts->members = calloc(GROUPS_MAX, sizeof(*parts->members));
    if (parts->groups == NULL || parts->members == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t pairs = at_most(fleet_node_number(&groups[i], "pairs"), left);
        uint16_t *members = parts->group_count < GROUPS_MAX ? parts->members[parts->group_count] : NULL;
        uint32_t fields = pairs > 0 && members != NULL ? read_members(parts, groups[i].text, members) : 0;
        left -= pairs;
        if (fields == 0) {
            sums->ungrouped += pairs;
            left += pairs;
            continue;
        }
        parts->groups[parts->group_count] = (struct record_group){.index = parts->group_count,
                                                                  .fields = members,
                                                                  .field_count = fields,
                                                                  .pairs = pairs,
                                                                  .last_ms = fleet_node_number(&groups[i], ">last")};
        parts->group_count++;
    }
    sums->ungrouped = at_most(sums->ungrouped, left);
    return true;
}

static void put_field(struct making *making, const struct record_key *key, const struct fleet_node *node,
                      const struct fleet_cell_sums *cell)
{
    struct fleet_field_sums sums = {0};
    read_sums(node, fleet_field_counter, &sums, FLEET_FIELD_COUNTERS);
    struct record_field record = {.key = *key,
                                  .index = node->index,
                                  .name = node->text,
                                  .path = "",
                                  .primary = "",
                                  .shadow = "",
                                  .request_id = ""};
    record.differing = at_most(sums.differing, judged_total(cell->judged));
    record.ignored = at_most(sums.ignored, judged_total(cell->judged));
    record.noise = at_most(sums.noise, judged_total(cell->noise_judged));
    for (int i = 0; i < DIFFERENCE_KINDS; i++)
        record.by_kind[i] = at_most(sums.by_kind[i], record.differing);
    record.by_kind[RECORD_SHAPE] = at_most(sums.shape, record.differing);
    record.by_kind[RECORD_NOISE_SHAPE] = at_most(sums.noise_shape, record.noise);
    record.apart = -1;
    if (fleet_node_number(node, ">mixed") == 0 && json_object_get(node->numbers, ">apart") != NULL)
        record.apart = (double)fleet_node_number(node, ">apart") / FLEET_APART;
    (void)report_restore_field(making->report, &record);
}

static void put_cell(struct making *making, const struct record_key *key, struct record_cell *record, const char *id,
                     struct fleet_cell_sums *sums)
{
    struct parts parts = {0};
    if (place_fields(making, id, &parts, sums) && place_groups(making, id, &parts, sums)) {
        fill_cell(record, sums);
        record->key = *key;
        bool good = report_restore_cell(making->report, record);
        for (uint32_t i = 0; good && i < parts.placed; i++)
            put_field(making, key, parts.fields[i], sums);
        for (uint32_t i = 0; good && i < parts.group_count; i++) {
            parts.groups[i].key = *key;
            (void)report_restore_group(making->report, &parts.groups[i]);
        }
    }
    parts_done(&parts);
}

/* ---- one route and direction ---- */

static uint64_t pairs_of(const struct fleet_node *cell)
{
    uint64_t pairs = 0;
    char name[FLEET_KEY];
    for (uint32_t i = 0; i < 2 * JUDGEMENTS; i++) {
        fleet_cell_counter(i, name);
        pairs += fleet_node_number(cell, name);
    }
    return pairs;
}

static int busiest_first(const void *a, const void *b)
{
    const struct fleet_node *x = *(const struct fleet_node *const *)a, *y = *(const struct fleet_node *const *)b;
    uint64_t m = pairs_of(x), n = pairs_of(y);
    return m != n ? (m < n) - (m > n) : strcmp(x->text, y->text);
}

/* The busiest endpoints find their own cells; the rest, and what replicas had no cell for, is "(other)". */
static void put_cells(struct making *making, struct record_key key, const char *row_id)
{
    uint32_t count, used = 0;
    struct fleet_node *cells = fleet_children(making->tree, row_id, FLEET_CELL, &count);
    struct fleet_node **sorted = calloc(count + 1, sizeof(struct fleet_node *));
    struct fleet_cell_sums rest = {0};
    struct record_cell of_rest = {0};
    char rest_id[FLEET_ID + 1];
    for (uint32_t i = 0; sorted != NULL && i < count; i++)
        sorted[i] = &cells[i];
    if (sorted != NULL)
        qsort(sorted, count, sizeof(struct fleet_node *), busiest_first);
    fleet_id(rest_id, FLEET_CELL, row_id, report_other);
    for (uint32_t i = 0; sorted != NULL && i < count; i++) {
        const struct fleet_node *node = sorted[i];
        bool is_rest = strcmp(node->id, rest_id) == 0 || used >= CELLS_MAX;
        struct record_cell record = cell_record(making, node, FLEET_COARSE);
        struct fleet_cell_sums sums = {0};
        read_sums(node, fleet_cell_counter, is_rest ? &rest : &sums, FLEET_CELL_COUNTERS);
        if (is_rest) {
            of_rest.since_ms = of_rest.since_ms == 0 ? record.since_ms : at_most(record.since_ms, of_rest.since_ms);
            of_rest.last_ms = record.last_ms > of_rest.last_ms ? record.last_ms : of_rest.last_ms;
            continue;
        }
        key.endpoint = node->text;
        if (pairs_of(node) > 0)
            put_cell(making, &key, &record, node->id, &sums);
        used += pairs_of(node) > 0;
    }
    free(sorted);
    key.endpoint = report_other;
    if (of_rest.last_ms > 0 &&
        judged_total(rest.judged) + judged_total(rest.noise_judged) + rest.judged[JUDGEMENT_NOT_COMPARABLE] > 0)
        put_cell(making, &key, &of_rest, rest_id, &rest);
}

/* As this replica's report knows them: limit, confidence and rule of noise, which follow the file. One of the route in
 * the other direction will do. */
static void borrow_config(struct making *making, struct report_row *row)
{
    bool found = false;
    pthread_mutex_lock(&making->own->lock);
    for (uint32_t i = 0; i < making->own->count; i++) {
        const struct report_row *own = making->own->rows[i];
        if (strcmp(own->route, row->route) != 0 || (own->primary != row->primary && found))
            continue;
        found = true;
        row->limit = own->limit;
        row->confidence = own->confidence;
        row->noise = own->noise;
    }
    pthread_mutex_unlock(&making->own->lock);
}

static void put_row(struct making *making, const struct fleet_node *node)
{
    uint32_t count;
    enum side primary = node->parent[0] == 'n' ? SIDE_NEW : SIDE_LEGACY;
    struct report_row *row =
        strlen(node->text) < ROUTE_NAME_ROOM ? report_row_of(making->report, node->text, primary) : NULL;
    if (row == NULL || !report_row_is(row, node->text, primary) || fleet_node_number(node, ">last") == 0)
        return;
    borrow_config(making, row);
    struct record_key key = {.route = node->text, .primary = primary, .endpoint = ""};
    struct record_cell record = cell_record(making, node, 1);
    record.key = key;
    record.limit = row->limit;
    record.confidence = row->confidence;
    if (!report_restore_cell(making->report, &record))
        return;
    making->fields_left = ROW_FIELDS_MAX;
    put_cells(making, key, node->id);
    const struct fleet_node *rules = fleet_children(making->tree, node->id, FLEET_RULE, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct record_rule rule = {.key = key, .text = rules[i].text, .pairs = fleet_node_number(&rules[i], "pairs")};
        (void)report_restore_rule(making->report, &rule);
    }
}

static void put_rows(struct making *making)
{
    static const char *const sides[] = {"l", "n"};
    for (size_t side = 0; side < sizeof(sides) / sizeof(sides[0]); side++) {
        uint32_t count;
        const struct fleet_node *rows = fleet_children(making->tree, sides[side], FLEET_ROW, &count);
        for (uint32_t i = 0; i < count; i++)
            put_row(making, &rows[i]);
    }
}

/* ---- the door ---- */

static struct report *make(struct report *own, const json_t *fields, int64_t *beyond)
{
    struct fleet_tree tree;
    struct making *making = calloc(1, sizeof(*making));
    struct report *report = report_new();
    if (making == NULL || report == NULL || !fleet_tree_read(&tree, fields)) {
        free(making);
        report_free(report);
        return NULL;
    }
    making->tree = &tree;
    making->report = report;
    making->own = own;
    put_rows(making);
    *beyond = tree.beyond > 0 ? tree.beyond : 0;
    fleet_tree_done(&tree);
    free(making);
    return report;
}

json_t *report_fleet_json(struct report *own, const json_t *document, const char *route, unsigned each)
{
    int64_t beyond = 0;
    size_t i;
    json_t *one;
    struct report *report = make(own, json_object_get(document, "fields"), &beyond);
    json_t *json = report != NULL ? report_json(report, route) : NULL;
    json_t *samples = fleet_samples_read(own, json_object_get(document, "samples"));
    report_free(report);
    bool good = json != NULL && samples != NULL;
    json_array_foreach(json_object_get(json, "routes"), i, one)
    {
        good = fleet_samples_add(one, samples, each) && good;
    }
    json_decref(samples);
    json_int_t alive = json_integer_value(json_object_get(document, "alive"));
    good = good && json_object_set_new(
                       json, "fleet",
                       json_pack("{s:I, s:I}", "replicas", alive > 0 ? alive : 0, "beyond", (json_int_t)beyond)) == 0;
    if (good)
        return json;
    json_decref(json);
    return NULL;
}
