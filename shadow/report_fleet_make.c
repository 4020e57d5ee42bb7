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
#include "shadow/report_row.h"

#define COUNT_MOST (INT64_C(1) << 50)

/* ---- things and their numbers ---- */

struct node {
    char id[FLEET_ID + 1];
    char kind;
    char parent[FLEET_ID + 1]; /* of a row: the side */
    const char *text;          /* borrowed from the document */
    json_t *numbers;           /* owned: counter: N; least and most with their sign */
    uint32_t index;            /* of a field in its endpoint's map, when it has a place there */
    bool placed;
};

struct tree {
    struct node *nodes; /* owned, each with its numbers; by ID, then by parent and text */
    uint32_t count;
    int64_t beyond;
};

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct node *)a)->id, ((const struct node *)b)->id);
}

/* So that what belongs to one thing stands together, and always in the same order. */
static int by_parent(const void *a, const void *b)
{
    const struct node *x = a, *y = b;
    int order = strcmp(x->parent, y->parent);
    if (order == 0)
        order = x->kind - y->kind;
    return order != 0 ? order : strcmp(x->text, y->text);
}

/* "=ID KIND PARENT TEXT"; false: it is not that. */
static bool read_name(const char *name, struct node *node)
{
    enum {
        KIND = FLEET_ID + 2,
        PARENT = FLEET_ID + 4
    };
    if (strlen(name) < PARENT + 2 || name[0] != '=' || name[KIND - 1] != ' ' || name[KIND + 1] != ' ')
        return false;
    const char *text = strchr(name + PARENT, ' ');
    size_t length = text != NULL ? (size_t)(text - name - PARENT) : 0;
    if (length == 0 || length > FLEET_ID || text[1] == '\0')
        return false;
    *node = (struct node){.kind = name[KIND], .text = text + 1};
    memcpy(node->id, name + 1, FLEET_ID);
    memcpy(node->parent, name + PARENT, length);
    char expected[FLEET_ID + 1];
    fleet_id(expected, (enum fleet_thing)node->kind, node->parent, node->text);
    return strcmp(expected, node->id) == 0;
}

static struct node *find_id(const struct tree *tree, const char *id)
{
    struct node key = {0};
    if (strlen(id) < FLEET_ID)
        return NULL;
    memcpy(key.id, id, FLEET_ID);
    return bsearch(&key, tree->nodes, tree->count, sizeof(key), by_id);
}

/* "[<>]ID.COUNTER": N */
static void read_number(struct tree *tree, const char *name, const json_t *value)
{
    char counter[FLEET_KEY];
    const char *id = name + (name[0] == '<' || name[0] == '>');
    struct node *node = find_id(tree, id);
    if (strcmp(name, "beyond") == 0)
        tree->beyond = json_integer_value(value);
    if (node == NULL || id[FLEET_ID] != '.' || strlen(id) >= FLEET_ID + sizeof(counter) || !json_is_integer(value))
        return;
    (void)snprintf(counter, sizeof(counter), "%.*s%s", (int)(id - name), name, id + FLEET_ID + 1);
    if (node->numbers == NULL)
        node->numbers = json_object();
    (void)json_object_set(node->numbers, counter, (json_t *)value); /* without memory it is left out */
}

static void tree_done(struct tree *tree)
{
    for (uint32_t i = 0; i < tree->count; i++)
        json_decref(tree->nodes[i].numbers);
    free(tree->nodes);
}

static bool tree_read(struct tree *tree, const json_t *fields)
{
    const char *name;
    json_t *value;
    *tree = (struct tree){.nodes = calloc(json_object_size(fields) + 1, sizeof(*tree->nodes))};
    if (tree->nodes == NULL)
        return false;
    json_object_foreach((json_t *)fields, name, value) if (read_name(name, &tree->nodes[tree->count])) tree->count++;
    qsort(tree->nodes, tree->count, sizeof(*tree->nodes), by_id);
    json_object_foreach((json_t *)fields, name, value) read_number(tree, name, value);
    qsort(tree->nodes, tree->count, sizeof(*tree->nodes), by_parent);
    return true;
}

/* The things of a kind that belong to `parent`: the first of them, and how many. */
static struct node *children(const struct tree *tree, const char *parent, enum fleet_thing kind, uint32_t *count)
{
    uint32_t low = 0, high = tree->count;
    *count = 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct node *node = &tree->nodes[middle];
        int order = strcmp(node->parent, parent);
        if (order < 0 || (order == 0 && node->kind < (char)kind))
            low = middle + 1;
        else
            high = middle;
    }
    for (uint32_t i = low;
         i < tree->count && tree->nodes[i].kind == (char)kind && strcmp(tree->nodes[i].parent, parent) == 0; i++)
        (*count)++;
    return *count > 0 ? &tree->nodes[low] : NULL;
}

static uint64_t number_of(const struct node *node, const char *counter)
{
    json_int_t number = json_integer_value(json_object_get(node->numbers, counter));
    return number <= 0 ? 0 : number < COUNT_MOST ? (uint64_t)number : (uint64_t)COUNT_MOST;
}

static void read_sums(const struct node *node, void (*name_of)(uint32_t, char[FLEET_KEY]), void *sums, uint32_t count)
{
    uint64_t *to = sums;
    char name[FLEET_KEY];
    for (uint32_t i = 0; i < count; i++) {
        name_of(i, name);
        to[i] += number_of(node, name);
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

static uint64_t read_part(const struct node *node, struct paired *paired, uint32_t p, uint32_t width)
{
    const struct fleet_part *part = &fleet_parts[p];
    uint64_t total = 0;
    for (uint32_t i = 0; i < fleet_coarse_count(part, width); i++) {
        char name[FLEET_KEY];
        (void)snprintf(name, sizeof(name), "%c%u", part->letter, i);
        uint64_t number = at_most(number_of(node, name), UINT32_MAX - total);
        if (number > 0)
            spread(fleet_steps(paired, p), part, width, i, (uint32_t)number);
        total += number;
    }
    return total;
}

/* False: there is none, or not all of it is there yet. */
static bool read_latency(const struct node *node, uint32_t width, struct paired *paired)
{
    memset(paired, 0, sizeof(*paired));
    paired->count = number_of(node, "count");
    if (paired->count == 0)
        return false;
    for (uint32_t p = 0; p < FLEET_PARTS; p++) {
        uint64_t total = read_part(node, paired, p, width);
        if (total == 0)
            return false;
        paired->count = total > paired->count ? total : paired->count;
    }
    paired->slower = at_most(number_of(node, "slower"), paired->count);
    return true;
}

/* ---- one endpoint ---- */

struct making {
    const struct tree *tree;
    struct report *report; /* the one that is made */
    struct report *own;    /* this replica's; borrowed */
    struct paired latency; /* scratch, as is the next */
    unsigned char packed[PAIRED_PACKED_MAX];
    uint32_t fields_left; /* of the route */
};

static struct record_cell cell_record(struct making *making, const struct node *node, uint32_t width)
{
    struct record_cell record = {.since_ms = number_of(node, "<since"), .last_ms = number_of(node, ">last")};
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
    const struct node *x = *(const struct node *const *)a, *y = *(const struct node *const *)b;
    uint64_t m = number_of(x, "differing"), n = number_of(y, "differing");
    return m != n ? (m < n) - (m > n) : strcmp(x->text, y->text);
}

/* An endpoint's fields and groups while it is made. */
struct parts {
    struct node **fields; /* owned; sorted: those that have a place first */
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
    struct node *fields = children(making->tree, id, FLEET_FIELD, &parts->field_count);
    parts->fields = calloc(parts->field_count + 1, sizeof(struct node *));
    if (parts->fields == NULL)
        return false;
    for (uint32_t i = 0; i < parts->field_count; i++)
        parts->fields[i] = &fields[i];
    qsort(parts->fields, parts->field_count, sizeof(struct node *), most_first);
    for (uint32_t i = 0; i < parts->field_count; i++) {
        struct node *field = parts->fields[i];
        field->index = parts->placed;
        field->placed = parts->placed < FIELDS_MAX && making->fields_left > 0;
        if (field->placed) {
            parts->placed++;
            making->fields_left--;
            continue;
        }
        sums->other_differing += number_of(field, "differing");
        sums->other_ignored += number_of(field, "ignored");
        sums->other_noise += number_of(field, "noise");
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
    const struct node *groups = children(making->tree, id, FLEET_GROUP, &count);
    uint64_t left = sums->judged[JUDGEMENT_MISMATCHED];
    parts->groups = calloc(GROUPS_MAX, sizeof(*parts->groups));
    parts->members = calloc(GROUPS_MAX, sizeof(*parts->members));
    if (parts->groups == NULL || parts->members == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t pairs = at_most(number_of(&groups[i], "pairs"), left);
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
                                                                  .last_ms = number_of(&groups[i], ">last")};
        parts->group_count++;
    }
    sums->ungrouped = at_most(sums->ungrouped, left);
    return true;
}

static void put_field(struct making *making, const struct record_key *key, const struct node *node,
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
    if (number_of(node, ">mixed") == 0 && json_object_get(node->numbers, ">apart") != NULL)
        record.apart = (double)number_of(node, ">apart") / FLEET_APART;
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

static uint64_t pairs_of(const struct node *cell)
{
    uint64_t pairs = 0;
    char name[FLEET_KEY];
    for (uint32_t i = 0; i < 2 * JUDGEMENTS; i++) {
        fleet_cell_counter(i, name);
        pairs += number_of(cell, name);
    }
    return pairs;
}

static int busiest_first(const void *a, const void *b)
{
    const struct node *x = *(const struct node *const *)a, *y = *(const struct node *const *)b;
    uint64_t m = pairs_of(x), n = pairs_of(y);
    return m != n ? (m < n) - (m > n) : strcmp(x->text, y->text);
}

/* The busiest endpoints find their own cells; the rest, and what replicas had no cell for, is "(other)". */
static void put_cells(struct making *making, struct record_key key, const char *row_id)
{
    uint32_t count, used = 0;
    struct node *cells = children(making->tree, row_id, FLEET_CELL, &count);
    struct node **sorted = calloc(count + 1, sizeof(struct node *));
    struct fleet_cell_sums rest = {0};
    struct record_cell of_rest = {0};
    char rest_id[FLEET_ID + 1];
    for (uint32_t i = 0; sorted != NULL && i < count; i++)
        sorted[i] = &cells[i];
    if (sorted != NULL)
        qsort(sorted, count, sizeof(struct node *), busiest_first);
    fleet_id(rest_id, FLEET_CELL, row_id, report_other);
    for (uint32_t i = 0; sorted != NULL && i < count; i++) {
        const struct node *node = sorted[i];
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

static void put_row(struct making *making, const struct node *node)
{
    uint32_t count;
    enum side primary = node->parent[0] == 'n' ? SIDE_NEW : SIDE_LEGACY;
    struct report_row *row =
        strlen(node->text) < ROUTE_NAME_ROOM ? report_row_of(making->report, node->text, primary) : NULL;
    if (row == NULL || !report_row_is(row, node->text, primary) || number_of(node, ">last") == 0)
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
    const struct node *rules = children(making->tree, node->id, FLEET_RULE, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct record_rule rule = {.key = key, .text = rules[i].text, .pairs = number_of(&rules[i], "pairs")};
        (void)report_restore_rule(making->report, &rule);
    }
}

static void put_rows(struct making *making)
{
    static const char *const sides[] = {"l", "n"};
    for (size_t side = 0; side < sizeof(sides) / sizeof(sides[0]); side++) {
        uint32_t count;
        const struct node *rows = children(making->tree, sides[side], FLEET_ROW, &count);
        for (uint32_t i = 0; i < count; i++)
            put_row(making, &rows[i]);
    }
}

/* ---- samples ---- */

static enum config_sample_values values_of(const json_t *sample)
{
    const char *values = json_string_value(json_object_get(sample, "values"));
    if (values == NULL)
        return SAMPLES_FULL;
    return strcmp(values, "redacted") == 0 ? SAMPLES_REDACTED
           : strcmp(values, "hashed") == 0 ? SAMPLES_HASHED
                                           : SAMPLES_FULL;
}

/* A sample as a replica tells it, as far as this one may show it; new reference, else NULL. */
static json_t *read_sample(struct report *own, const json_t *text)
{
    static const char *const texts[] = {"route", "primary", "endpoint"};
    json_t *sample = json_is_string(text) && json_string_length(text) <= REPORT_FLEET_SAMPLE_BYTES
                         ? json_loads(json_string_value(text), 0, NULL)
                         : NULL;
    bool good = json_is_object(sample) && json_is_array(json_object_get(sample, "differences"));
    for (size_t i = 0; good && i < sizeof(texts) / sizeof(texts[0]); i++)
        good = json_is_string(json_object_get(sample, texts[i]));
    if (good && report_may_show(own, json_string_value(json_object_get(sample, "route")), values_of(sample)))
        return sample;
    json_decref(sample);
    return NULL;
}

/* Newest first. */
static json_t *read_samples(struct report *own, const json_t *texts)
{
    json_t *samples = json_array();
    for (size_t i = json_array_size(texts); i-- > 0;) {
        json_t *sample = read_sample(own, json_array_get(texts, i));
        if (sample != NULL)
            (void)json_array_append_new(samples, sample);
    }
    return samples;
}

static bool is_same(const json_t *a, const json_t *b, const char *key)
{
    return json_equal(json_object_get(a, key), json_object_get(b, key));
}

/* The newest sample in which this field of the endpoint differs gives its example. */
static void add_example(const json_t *route, const json_t *endpoint, json_t *field, const json_t *samples)
{
    size_t i, k;
    const json_t *sample, *difference;
    if (json_integer_value(json_object_get(field, "differing")) == 0)
        return;
    json_array_foreach(samples, i, sample)
    {
        if (!is_same(sample, route, "route") || !is_same(sample, route, "primary") ||
            !is_same(sample, endpoint, "endpoint"))
            continue;
        json_array_foreach(json_object_get(sample, "differences"), k, difference)
        {
            if (!is_same(difference, field, "field") || json_is_true(json_object_get(difference, "ignored")))
                continue;
            (void)json_object_set_new(
                field, "example",
                json_pack("{s:O?, s:O?, s:O?, s:O*, s:O*}", "at_ms", json_object_get(sample, "at_ms"), "path",
                          json_object_get(difference, "path"), "request_id", json_object_get(sample, "request_id"),
                          "primary", json_object_get(difference, "primary"), "shadow",
                          json_object_get(difference, "shadow")));
            return;
        }
    }
}

static void add_examples(const json_t *route, const json_t *samples)
{
    size_t i, k;
    const json_t *endpoint;
    json_t *field;
    json_array_foreach(json_object_get(route, "endpoints"), i, endpoint)
        json_array_foreach(json_object_get(endpoint, "fields"), k, field) add_example(route, endpoint, field, samples);
}

/* The first field that differs is what a sample is of. */
static const char *field_of(const json_t *sample)
{
    const json_t *first = json_array_get(json_object_get(sample, "differences"), 0);
    const char *name = json_string_value(json_object_get(first, "field"));
    return name != NULL ? name : "";
}

static unsigned shown_of(const json_t *shown, const json_t *sample)
{
    size_t i;
    unsigned count = 0;
    const json_t *one;
    json_array_foreach(shown, i, one) count +=
        is_same(one, sample, "endpoint") && strcmp(field_of(one), field_of(sample)) == 0;
    return count;
}

static bool add_samples(json_t *route, const json_t *samples, unsigned each)
{
    size_t i;
    json_t *sample, *shown = json_array();
    json_array_foreach(samples, i, sample) if (is_same(sample, route, "route") && is_same(sample, route, "primary") &&
                                               shown_of(shown, sample) < each)(void) json_array_append(shown, sample);
    return json_object_set_new(route, "samples", shown) == 0;
}

/* ---- the door ---- */

static struct report *make(struct report *own, const json_t *fields, int64_t *beyond)
{
    struct tree tree;
    struct making *making = calloc(1, sizeof(*making));
    struct report *report = report_new();
    if (making == NULL || report == NULL || !tree_read(&tree, fields)) {
        free(making);
        report_free(report);
        return NULL;
    }
    making->tree = &tree;
    making->report = report;
    making->own = own;
    put_rows(making);
    *beyond = tree.beyond > 0 ? tree.beyond : 0;
    tree_done(&tree);
    free(making);
    return report;
}

json_t *report_fleet_json(struct report *own, const json_t *document, const char *route, unsigned each)
{
    int64_t beyond;
    size_t i;
    json_t *one;
    struct report *report = make(own, json_object_get(document, "fields"), &beyond);
    json_t *json = report != NULL ? report_json(report, route) : NULL;
    json_t *samples = read_samples(own, json_object_get(document, "samples"));
    report_free(report);
    bool good = json != NULL && samples != NULL;
    json_array_foreach(json_object_get(json, "routes"), i, one)
    {
        add_examples(one, samples);
        good = add_samples(one, samples, each) && good;
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
