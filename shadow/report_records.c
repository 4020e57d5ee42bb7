/*
 * The report as records: what has changed is handed to the keeper, and at a start taken back. See records.h.
 *
 * The lock is held while one cell (with its fields and groups), or one row's buckets and rules, is copied, never while
 * the sink is called. What a record says is checked before any of it is taken: the file may be of another hand.
 */
#include "shadow/report_row.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/redact.h"

enum {
    BUCKET_CHANGES = BUCKET_MINUTES_MAX + BUCKET_HOURS_MAX + 2
};

/* Counts above this are damage: they would overflow when added up. */
#define COUNT_MAX (INT64_MAX / 1024)

/* ---- copies of what has changed ---- */

struct cell_copy {
    struct cell cell; /* its pointers are not to be followed */
    double limit, confidence;
    bool changed;
    size_t latency_len;
    unsigned char latency[PAIRED_PACKED_MAX];
    uint32_t field_count, group_count;
    uint16_t field_index[FIELDS_MAX], group_index[GROUPS_MAX];
    struct field_counts fields[FIELDS_MAX];
    struct group groups[GROUPS_MAX];
};

struct row_copy {
    uint32_t bucket_count, rule_count;
    struct bucket_change buckets[BUCKET_CHANGES];
    struct rule_count rules[RULES_MAX];
};

struct saving {
    struct report *report;
    const struct record_sink *sink;
    struct record_key key;
    char route[ROUTE_NAME_ROOM];
    uint64_t epoch;
    union {
        struct cell_copy cell;
        struct row_copy row;
    } copy;
};

static void pack_latency(struct cell_copy *copy, const struct paired *latency)
{
    copy->latency_len = latency != NULL ? paired_pack(latency, copy->latency) : 0;
}

static void copy_fields(struct cell_copy *copy, struct field_map *fields)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        if (!fields->rows[i].changed)
            continue;
        fields->rows[i].changed = false;
        copy->field_index[copy->field_count] = (uint16_t)i;
        copy->fields[copy->field_count++] = fields->rows[i];
    }
}

static void copy_groups(struct cell_copy *copy, struct groups *groups)
{
    for (uint32_t i = 0; i < groups->count; i++) {
        if (!groups->rows[i].changed)
            continue;
        groups->rows[i].changed = false;
        copy->group_index[copy->group_count] = (uint16_t)i;
        copy->groups[copy->group_count++] = groups->rows[i];
    }
}

static void copy_cell(struct cell_copy *copy, struct cell *cell)
{
    copy->field_count = copy->group_count = 0;
    copy->limit = -1;
    copy->confidence = 0;
    copy->changed = cell->changed;
    if (!cell->changed) /* then nothing in it has */
        return;
    cell->changed = false;
    copy->cell = *cell;
    pack_latency(copy, cell->latency);
    copy_fields(copy, &cell->fields);
    copy_groups(copy, &cell->groups);
}

/* The route as a whole, in the form of a cell. */
static void copy_whole(struct cell_copy *copy, struct report_row *row)
{
    struct row_sums sums;
    copy->field_count = copy->group_count = 0;
    copy->changed = row->changed && row->since_ms > 0; /* of one that was forgotten nothing is to be stored */
    row->changed = false;
    if (!copy->changed)
        return;
    report_row_sums(row, &sums);
    copy->cell = (struct cell){.since_ms = row->since_ms, .last_ms = row->last_ms};
    memcpy(copy->cell.judged, sums.judged, sizeof(sums.judged));
    memcpy(copy->cell.noise_judged, sums.noise_judged, sizeof(sums.noise_judged));
    memcpy(copy->cell.obstacles, sums.obstacles, sizeof(sums.obstacles));
    copy->limit = row->limit;
    copy->confidence = row->confidence;
    pack_latency(copy, row->latency);
}

static void copy_row(struct row_copy *copy, struct report_row *row)
{
    copy->bucket_count = buckets_take_changes(&row->buckets, copy->buckets, BUCKET_CHANGES);
    copy->rule_count = 0;
    for (uint32_t i = 0; i < row->rules.count && i < RULES_MAX; i++) {
        if (!row->rules.rows[i].changed)
            continue;
        row->rules.rows[i].changed = false;
        copy->rules[copy->rule_count++] = row->rules.rows[i];
    }
}

/* ---- handing over ---- */

static bool put_cell(struct saving *saving)
{
    const struct cell_copy *copy = &saving->copy.cell;
    const struct cell *cell = &copy->cell;
    struct record_cell record = {
        .key = saving->key,
        .since_ms = cell->since_ms,
        .last_ms = cell->last_ms,
        .ungrouped = cell->ungrouped,
        .ungrouped_noise = cell->ungrouped_noise,
        .other_differing = cell->other_differing,
        .other_ignored = cell->other_ignored,
        .other_noise = cell->other_noise,
        .limit = copy->limit,
        .confidence = copy->confidence,
        .latency = copy->latency_len > 0 ? copy->latency : NULL,
        .latency_len = copy->latency_len,
    };
    memcpy(record.judged, cell->judged, sizeof(record.judged));
    memcpy(record.noise_judged, cell->noise_judged, sizeof(record.noise_judged));
    memcpy(record.obstacles, cell->obstacles, sizeof(record.obstacles));
    return !copy->changed || saving->sink->cell(saving->sink->context, &record);
}

static bool put_field(struct saving *saving, uint32_t i)
{
    const struct field_counts *field = &saving->copy.cell.fields[i];
    struct record_field record = {
        .key = saving->key,
        .index = saving->copy.cell.field_index[i],
        .name = field->name,
        .differing = field->differing,
        .ignored = field->ignored,
        .noise = field->noise,
        .apart = field->apart,
        .example_ms = field->example_ms,
        .path = field->path,
        .primary = field->primary,
        .shadow = field->shadow,
        .request_id = field->request_id,
    };
    memcpy(record.by_kind, field->by_kind, sizeof(field->by_kind));
    record.by_kind[RECORD_SHAPE] = field->shape;
    record.by_kind[RECORD_NOISE_SHAPE] = field->noise_shape;
    return saving->sink->field(saving->sink->context, &record);
}

static bool put_group(struct saving *saving, uint32_t i)
{
    const struct group *group = &saving->copy.cell.groups[i];
    struct record_group record = {
        .key = saving->key,
        .index = saving->copy.cell.group_index[i],
        .fields = group->fields,
        .field_count = group->count,
        .pairs = group->pairs,
        .last_ms = group->last_ms,
    };
    return saving->sink->group(saving->sink->context, &record);
}

static bool put_bucket(struct saving *saving, uint32_t i)
{
    const struct bucket *bucket = &saving->copy.row.buckets[i].bucket;
    const float *figures = bucket->figures;
    struct record_bucket record = {
        .key = saving->key,
        .at_ms = bucket->at_ms,
        .width_s = saving->copy.row.buckets[i].width_s,
        .primary_p50_ms = figures[BUCKET_PRIMARY_P50],
        .primary_p95_ms = figures[BUCKET_PRIMARY_P95],
        .shadow_p50_ms = figures[BUCKET_SHADOW_P50],
        .shadow_p95_ms = figures[BUCKET_SHADOW_P95],
        .difference_p50_ms = figures[BUCKET_DIFFERENCE_P50],
        .difference_p95_ms = figures[BUCKET_DIFFERENCE_P95],
        .ratio_p50 = figures[BUCKET_RATIO_P50],
        .ratio_p95 = figures[BUCKET_RATIO_P95],
    };
    for (int j = 0; j < JUDGEMENTS; j++)
        record.judged[j] = bucket->judged[j];
    return saving->sink->bucket(saving->sink->context, &record);
}

static bool put_rule(struct saving *saving, uint32_t i)
{
    const struct rule_count *rule = &saving->copy.row.rules[i];
    struct record_rule record = {.key = saving->key, .text = rule->text, .pairs = rule->pairs};
    return saving->sink->rule(saving->sink->context, &record);
}

/* How many of `count` records the sink took. */
static uint32_t put_all(struct saving *saving, uint32_t count, bool (*put)(struct saving *saving, uint32_t i))
{
    uint32_t taken = 0;
    while (taken < count && put(saving, taken))
        taken++;
    return taken;
}

/* ---- what the sink refused is changed still ---- */

/* The row, as long as nobody has reset it since. */
static struct report_row *row_again(const struct saving *saving, uint32_t index)
{
    struct report_row *row = saving->report->rows[index];
    return row->epoch == saving->epoch ? row : NULL;
}

static void mark_cell(struct saving *saving, struct cell *cell, uint32_t fields, uint32_t groups)
{
    const struct cell_copy *copy = &saving->copy.cell;
    cell->changed = true;
    for (uint32_t i = fields; i < copy->field_count; i++)
        cell->fields.rows[copy->field_index[i]].changed = true;
    for (uint32_t i = groups; i < copy->group_count; i++)
        cell->groups.rows[copy->group_index[i]].changed = true;
}

static void mark_row(const struct saving *saving, struct report_row *row, uint32_t buckets, uint32_t rules)
{
    const struct row_copy *copy = &saving->copy.row;
    for (uint32_t i = buckets; i < copy->bucket_count; i++)
        buckets_mark_changed(&row->buckets, &copy->buckets[i]);
    for (uint32_t i = rules; i < copy->rule_count; i++)
        for (uint32_t k = 0; k < row->rules.count; k++)
            if (strcmp(row->rules.rows[k].text, copy->rules[i].text) == 0)
                row->rules.rows[k].changed = true;
}

/* ---- one row ---- */

static bool save_whole(struct saving *saving, uint32_t index)
{
    saving->key.endpoint = "";
    pthread_mutex_lock(&saving->report->lock);
    copy_whole(&saving->copy.cell, saving->report->rows[index]);
    pthread_mutex_unlock(&saving->report->lock);
    if (put_cell(saving))
        return true;
    pthread_mutex_lock(&saving->report->lock);
    saving->report->rows[index]->changed = true;
    pthread_mutex_unlock(&saving->report->lock);
    return false;
}

static bool put_cell_parts(struct saving *saving, uint32_t *fields, uint32_t *groups)
{
    const struct cell_copy *copy = &saving->copy.cell;
    *fields = *groups = 0;
    if (!put_cell(saving))
        return false;
    *fields = put_all(saving, copy->field_count, put_field);
    if (*fields < copy->field_count)
        return false;
    *groups = put_all(saving, copy->group_count, put_group);
    return *groups == copy->group_count;
}

/* False: the sink refused. *more: there was such a cell. */
static bool save_cell(struct saving *saving, uint32_t index, uint32_t at, bool *more)
{
    struct report *report = saving->report;
    uint32_t fields, groups;
    pthread_mutex_lock(&report->lock);
    struct report_row *row = row_again(saving, index);
    *more = row != NULL && at < report_row_cells(row);
    if (*more)
        copy_cell(&saving->copy.cell, report_row_at(row, at));
    pthread_mutex_unlock(&report->lock);
    if (!*more || !saving->copy.cell.changed)
        return true;
    saving->key.endpoint = saving->copy.cell.cell.endpoint;
    if (put_cell_parts(saving, &fields, &groups))
        return true;
    pthread_mutex_lock(&report->lock);
    row = row_again(saving, index);
    struct cell *cell = row != NULL ? report_row_find(row, saving->copy.cell.cell.endpoint) : NULL;
    if (cell != NULL)
        mark_cell(saving, cell, fields, groups);
    pthread_mutex_unlock(&report->lock);
    return false;
}

static bool save_buckets_and_rules(struct saving *saving, uint32_t index)
{
    struct report *report = saving->report;
    saving->key.endpoint = "";
    pthread_mutex_lock(&report->lock);
    copy_row(&saving->copy.row, report->rows[index]);
    saving->epoch = report->rows[index]->epoch;
    pthread_mutex_unlock(&report->lock);
    const struct row_copy *copy = &saving->copy.row;
    uint32_t rules = 0, buckets = put_all(saving, copy->bucket_count, put_bucket);
    if (buckets == copy->bucket_count)
        rules = put_all(saving, copy->rule_count, put_rule);
    if (buckets == copy->bucket_count && rules == copy->rule_count)
        return true;
    pthread_mutex_lock(&report->lock);
    struct report_row *row = row_again(saving, index);
    if (row != NULL)
        mark_row(saving, row, buckets, rules);
    pthread_mutex_unlock(&report->lock);
    return false;
}

static bool save_row(struct saving *saving, uint32_t index, const struct report_row *row)
{
    bool more = true;
    memcpy(saving->route, row->route, sizeof(saving->route)); /* neither changes as long as the row lives */
    saving->key = (struct record_key){.route = saving->route, .primary = row->primary, .endpoint = ""};
    if (!save_whole(saving, index) || !save_buckets_and_rules(saving, index))
        return false;
    for (uint32_t at = 0; more; at++)
        if (!save_cell(saving, index, at, &more))
            return false;
    return true;
}

bool report_save_changes(struct report *report, const struct record_sink *sink)
{
    struct saving *saving = calloc(1, sizeof(*saving));
    bool good = saving != NULL;
    if (good)
        *saving = (struct saving){.report = report, .sink = sink};
    for (uint32_t i = 0; good; i++) {
        pthread_mutex_lock(&report->lock);
        const struct report_row *row = i < report->count ? report->rows[i] : NULL;
        pthread_mutex_unlock(&report->lock);
        if (row == NULL)
            break;
        good = save_row(saving, i, row);
    }
    free(saving);
    return good;
}

static void mark_all_of(struct report_row *row)
{
    row->changed = true;
    for (uint32_t i = 0; i < report_row_cells(row); i++) {
        struct cell *cell = report_row_at(row, i);
        cell->changed = true;
        for (uint32_t k = 0; k < cell->fields.count; k++)
            cell->fields.rows[k].changed = true;
        for (uint32_t k = 0; k < cell->groups.count; k++)
            cell->groups.rows[k].changed = true;
    }
    buckets_mark_all_changed(&row->buckets);
    for (uint32_t i = 0; i < row->rules.count; i++)
        row->rules.rows[i].changed = true;
}

void report_save_again(struct report *report)
{
    pthread_mutex_lock(&report->lock);
    for (uint32_t i = 0; i < report->count; i++)
        mark_all_of(report->rows[i]);
    pthread_mutex_unlock(&report->lock);
}

/* ---- taking back ---- */

static bool is_clean(const char *text, size_t room, bool may_be_empty)
{
    char clean[512];
    if (text == NULL || strlen(text) >= room || (text[0] == '\0' && !may_be_empty))
        return false;
    redact_clean(clean, sizeof(clean), text, strlen(text));
    return strcmp(clean, text) == 0;
}

static bool are_counts(const uint64_t *counts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (counts[i] > COUNT_MAX)
            return false;
    return true;
}

static bool is_key(const struct record_key *key, bool of_route)
{
    return key->route != NULL && key->route[0] != '\0' && strlen(key->route) < ROUTE_NAME_ROOM &&
           (unsigned)key->primary < SIDES && is_clean(key->endpoint, ENDPOINT_ROOM, of_route) &&
           (key->endpoint[0] == '\0') == of_route;
}

static bool is_sane_cell(const struct record_cell *r)
{
    uint64_t obstacles = 0;
    const uint64_t singles[] = {r->ungrouped,   r->ungrouped_noise, r->other_differing, r->other_ignored,
                                r->other_noise, r->since_ms,        r->last_ms};
    if (!are_counts(r->judged, JUDGEMENTS) || !are_counts(r->noise_judged, JUDGEMENTS) ||
        !are_counts(r->obstacles, OBSTACLES) || !are_counts(singles, sizeof(singles) / sizeof(singles[0])))
        return false;
    for (int i = 0; i < OBSTACLES; i++)
        obstacles += r->obstacles[i];
    return obstacles <= r->judged[JUDGEMENT_NOT_COMPARABLE] && r->ungrouped <= r->judged[JUDGEMENT_MISMATCHED] &&
           r->ungrouped_noise <= r->ungrouped;
}

/* NULL in *latency when there is none; false when it is damaged or has no room. */
static bool unpack_latency(const struct record_cell *record, struct budget *budget, struct paired **latency)
{
    *latency = NULL;
    if (record->latency == NULL || record->latency_len == 0)
        return true;
    if (!budget_take(budget, sizeof(**latency)))
        return false;
    *latency = calloc(1, sizeof(**latency));
    if (*latency != NULL && paired_unpack(*latency, record->latency, record->latency_len))
        return true;
    free(*latency);
    *latency = NULL;
    budget_give(budget, sizeof(**latency));
    return false;
}

static bool restore_whole(struct report_row *row, const struct record_cell *record)
{
    struct paired *latency;
    bool has_limit = record->limit >= 0 && record->limit <= 1;
    if (row->since_ms != 0 || row->latency != NULL || !(record->confidence > 0 && record->confidence < 1) ||
        !unpack_latency(record, &row->budgets->rows, &latency))
        return false;
    row->since_ms = record->since_ms;
    row->last_ms = record->last_ms;
    row->limit = has_limit ? record->limit : -1;
    row->confidence = record->confidence;
    row->latency = latency;
    return true;
}

static bool restore_endpoint(struct report_row *row, const struct record_cell *record)
{
    struct paired *latency;
    if (report_row_find(row, record->key.endpoint) != NULL || !unpack_latency(record, &row->budgets->cells, &latency))
        return false;
    struct cell *cell = report_row_cell(row, record->key.endpoint);
    if (cell == NULL || strcmp(cell->endpoint, record->key.endpoint) != 0) {
        free(latency);
        budget_give(&row->budgets->cells, latency != NULL ? sizeof(*latency) : 0);
        return false;
    }
    cell->latency = latency;
    cell->since_ms = record->since_ms;
    cell->last_ms = record->last_ms;
    memcpy(cell->judged, record->judged, sizeof(cell->judged));
    memcpy(cell->noise_judged, record->noise_judged, sizeof(cell->noise_judged));
    memcpy(cell->obstacles, record->obstacles, sizeof(cell->obstacles));
    cell->ungrouped = record->ungrouped;
    cell->ungrouped_noise = record->ungrouped_noise;
    cell->other_differing = record->other_differing;
    cell->other_ignored = record->other_ignored;
    cell->other_noise = record->other_noise;
    return true;
}

/* The row a record belongs to. NULL: damaged, or no room. */
static struct report_row *row_of(struct report *report, const struct record_key *key)
{
    struct report_row *row = report_row_of(report, key->route, key->primary);
    return row != NULL && report_row_is(row, key->route, key->primary) ? row : NULL;
}

static struct cell *cell_of(struct report *report, const struct record_key *key, struct report_row **row)
{
    if (!is_key(key, false))
        return NULL;
    *row = row_of(report, key);
    return *row != NULL ? report_row_find(*row, key->endpoint) : NULL;
}

static bool restore_cell(struct report *report, const struct record_cell *record)
{
    bool of_route = record->key.endpoint != NULL && record->key.endpoint[0] == '\0';
    if (!is_key(&record->key, of_route) || !is_sane_cell(record))
        return false;
    struct report_row *row = row_of(report, &record->key);
    if (row == NULL)
        return false;
    return of_route ? restore_whole(row, record) : restore_endpoint(row, record);
}

static bool is_sane_field(const struct record_field *r)
{
    const uint64_t singles[] = {r->differing, r->ignored, r->noise, r->example_ms};
    return are_counts(singles, sizeof(singles) / sizeof(singles[0])) && are_counts(r->by_kind, RECORD_KINDS) &&
           isfinite(r->apart) && is_clean(r->name, FIELD_ROOM, false) &&
           is_clean(r->path, DIFFERENCE_PATH_ROOM, true) && is_clean(r->primary, VALUE_ROOM, true) &&
           is_clean(r->shadow, VALUE_ROOM, true) && is_clean(r->request_id, PAIR_ID_ROOM, true);
}

static void fill_field(struct field_counts *field, const struct record_field *record)
{
    *field = (struct field_counts){
        .differing = record->differing,
        .ignored = record->ignored,
        .noise = record->noise,
        .shape = record->by_kind[RECORD_SHAPE],
        .noise_shape = record->by_kind[RECORD_NOISE_SHAPE],
        .apart = record->apart,
        .example_ms = record->example_ms,
    };
    memcpy(field->by_kind, record->by_kind, sizeof(field->by_kind));
    strcpy(field->name, record->name); /* each is known to fit */
    strcpy(field->path, record->path);
    strcpy(field->primary, record->primary);
    strcpy(field->shadow, record->shadow);
    strcpy(field->request_id, record->request_id);
}

static bool restore_field(struct report *report, const struct record_field *record)
{
    struct report_row *row;
    struct field_counts field;
    struct cell *cell = cell_of(report, &record->key, &row);
    if (cell == NULL || record->index != cell->fields.count || !is_sane_field(record))
        return false;
    fill_field(&field, record);
    struct field_limits limits = report_row_limits(row);
    return field_map_restore(&cell->fields, &limits, &field);
}

static bool is_sane_group(const struct record_group *r, const struct cell *cell)
{
    if (r->index != cell->groups.count || r->fields == NULL || r->field_count == 0 ||
        r->field_count > GROUP_FIELDS_MAX || r->pairs > COUNT_MAX || r->last_ms > COUNT_MAX)
        return false;
    for (uint32_t i = 0; i < r->field_count; i++)
        if (group_row(r->fields[i]) >= cell->fields.count || (i > 0 && r->fields[i] <= r->fields[i - 1]))
            return false;
    return true;
}

static bool restore_group(struct report *report, const struct record_group *record)
{
    struct report_row *row;
    struct cell *cell = cell_of(report, &record->key, &row);
    if (cell == NULL || !is_sane_group(record, cell))
        return false;
    struct group group = {.pairs = record->pairs, .last_ms = record->last_ms, .count = record->field_count};
    memcpy(group.fields, record->fields, record->field_count * sizeof(*record->fields));
    return groups_restore(&cell->groups, &row->budgets->cells, &group);
}

static bool restore_bucket(struct report *report, const struct record_bucket *record)
{
    struct bucket bucket = {
        .at_ms = record->at_ms,
        .figures = {record->primary_p50_ms, record->primary_p95_ms, record->shadow_p50_ms, record->shadow_p95_ms,
                    record->difference_p50_ms, record->difference_p95_ms, record->ratio_p50, record->ratio_p95},
    };
    for (int i = 0; i < JUDGEMENTS; i++) {
        if (record->judged[i] > UINT32_MAX)
            return false;
        bucket.judged[i] = (uint32_t)record->judged[i];
    }
    struct report_row *row = is_key(&record->key, true) ? row_of(report, &record->key) : NULL;
    return row != NULL && buckets_restore(&row->buckets, &row->budgets->rows, &bucket, record->width_s);
}

static bool restore_rule(struct report *report, const struct record_rule *record)
{
    if (!is_key(&record->key, true) || !is_clean(record->text, RULE_TEXT_ROOM, false) || record->pairs > COUNT_MAX)
        return false;
    struct report_row *row = row_of(report, &record->key);
    return row != NULL && rule_counts_restore(&row->rules, &row->budgets->rows, record->text, record->pairs);
}

#define RESTORE(what)                                                                                                  \
    bool report_restore_##what(struct report *report, const struct record_##what *record)                              \
    {                                                                                                                  \
        pthread_mutex_lock(&report->lock);                                                                             \
        bool good = restore_##what(report, record);                                                                    \
        pthread_mutex_unlock(&report->lock);                                                                           \
        return good;                                                                                                   \
    }

RESTORE(cell)
RESTORE(field)
RESTORE(group)
RESTORE(bucket)
RESTORE(rule)
