/*
 * What this replica tells the fleet of its report. Control's; the report is locked for one row at a time.
 *
 * Of every number it is kept what has been told, in the order in which the report keeps it: cells, fields and groups
 * stay in their places until a reset. Each number is noted as told when it has been put into the parcel, so that a
 * parcel may be full at any of them, and goes on there with the next. A cell in which nothing was counted costs one
 * look.
 */
#include "shadow/report_fleet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/report_fleet_keys.h"
#include "shadow/report_fleet_samples.h"
#include "shadow/report_row.h"

enum {
    NAME_AGAIN_MS = 10 * 60 * 1000, /* in case Redis has lost it */
};

/* ---- what has been told ---- */

struct told_name {
    char id[FLEET_ID + 1];
    bool named;
    uint64_t named_ms;
};

struct told_latency {
    uint32_t *steps; /* owned; NULL: none yet */
    uint64_t count, slower;
};

struct told_field {
    struct told_name name;
    struct fleet_field_sums sums;
    uint64_t apart, mixed;
};

struct told_group {
    struct told_name name;
    uint64_t pairs, last_ms;
};

struct told_cell {
    struct told_name name;
    uint64_t whole; /* pairs of the cell of which everything has been told */
    uint64_t since_ms, last_ms;
    struct fleet_cell_sums sums;
    struct told_latency latency;
    struct told_field *fields; /* owned */
    struct told_group *groups; /* owned */
    uint32_t field_count, group_count;
};

struct told_rule {
    struct told_name name;
    uint64_t pairs;
};

struct told_row {
    struct told_name name;
    uint64_t epoch; /* of the row when this was told */
    uint64_t since_ms, last_ms;
    struct told_latency latency;
    struct told_cell *cells; /* owned */
    uint32_t cell_count, next_cell;
    struct told_rule *rules; /* owned */
    uint32_t rule_count;
};

struct report_fleet {
    struct report *report;  /* borrowed */
    struct told_row **rows; /* owned, each owned; in the report's order */
    uint32_t count, next;
    bool begun;
    uint64_t parcel_ms; /* of the last parcel */
};

/* ---- the parcel ---- */

struct parcel {
    json_t *fields; /* owned; NULL: nothing is told, what there is is noted as told */
    size_t bytes;
    bool full;
    uint64_t now_ms;
};

/* Does a text go through Redis as part of a name? */
static bool is_tellable(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return strlen(text) + 2 * FLEET_ID + 8 <= REPORT_FLEET_NAME;
}

/* What is taken back and gained anew in one parcel is one number. */
static bool put(struct parcel *parcel, const char *name, int64_t number)
{
    size_t bytes = strlen(name) + 12;
    if (strchr("<>=", name[0]) == NULL)
        number += json_integer_value(json_object_get(parcel->fields, name));
    parcel->full = parcel->full || parcel->bytes + bytes > REPORT_FLEET_BYTES ||
                   json_object_set_new(parcel->fields, name, json_integer(number)) != 0;
    if (!parcel->full)
        parcel->bytes += bytes;
    return !parcel->full;
}

/* A thing as it is told. */
struct thing {
    struct told_name *told;
    enum fleet_thing kind;
    const char *parent;
    const char *text; /* NULL: it is not there any more, its name is not told again */
};

static bool put_name(struct parcel *parcel, const struct thing *thing)
{
    char name[REPORT_FLEET_NAME + 32];
    struct told_name *told = thing->told;
    if (thing->text == NULL || (told->named && parcel->now_ms - told->named_ms < NAME_AGAIN_MS))
        return true;
    (void)snprintf(name, sizeof(name), "=%s %c %s %s", told->id, (char)thing->kind, thing->parent, thing->text);
    if (!put(parcel, name, 1))
        return false;
    told->named = true;
    told->named_ms = parcel->now_ms;
    return true;
}

/* One number. `sign` is that of the least or the most; '\0': what was gained. */
static void tell(struct parcel *parcel, const struct thing *thing, char sign, const char *counter, uint64_t now,
                 uint64_t *told)
{
    char name[FLEET_KEY + 16];
    if (now == *told)
        return;
    (void)snprintf(name, sizeof(name), "%.1s%s.%s", &sign, thing->told->id, counter);
    int64_t number = sign != '\0' ? (int64_t)now : (int64_t)(now - *told);
    if (parcel->fields == NULL || (put_name(parcel, thing) && put(parcel, name, number)))
        *told = now;
}

static void tell_all(struct parcel *parcel, const struct thing *thing, void (*name_of)(uint32_t, char[FLEET_KEY]),
                     const void *now, void *told, uint32_t count)
{
    const uint64_t *numbers = now;
    uint64_t *those_told = told;
    char name[FLEET_KEY];
    for (uint32_t i = 0; i < count && !parcel->full; i++) {
        if (numbers[i] == those_told[i])
            continue;
        name_of(i, name);
        tell(parcel, thing, '\0', name, numbers[i], &those_told[i]);
    }
}

/* ---- latency ---- */

static uint32_t steps_in_all(uint32_t width)
{
    uint32_t count = 0;
    for (uint32_t part = 0; part < FLEET_PARTS; part++)
        count += fleet_coarse_count(&fleet_parts[part], width);
    return count;
}

static void tell_part(struct parcel *parcel, const struct thing *thing, const struct fleet_part *part,
                      const uint32_t *now, uint32_t *told, uint32_t count)
{
    char name[FLEET_KEY];
    for (uint32_t i = 0; i < count && !parcel->full; i++) {
        uint64_t before = told[i];
        if (now[i] == told[i])
            continue;
        (void)snprintf(name, sizeof(name), "%c%u", part->letter, i);
        tell(parcel, thing, '\0', name, now[i], &before);
        told[i] = (uint32_t)before;
    }
}

/* `latency` NULL: none any more. */
static void tell_latency(struct parcel *parcel, const struct thing *thing, uint32_t width, struct paired *latency,
                         struct told_latency *told)
{
    uint32_t now[FLEET_STEPS_MAX] = {0};
    if (told->steps == NULL && latency != NULL)
        told->steps = calloc(steps_in_all(width), sizeof(*told->steps));
    if (told->steps == NULL)
        return; /* none, or no memory: the next parcel tries again */
    tell(parcel, thing, '\0', "count", latency != NULL ? latency->count : 0, &told->count);
    tell(parcel, thing, '\0', "slower", latency != NULL ? latency->slower : 0, &told->slower);
    uint32_t at = 0;
    for (uint32_t p = 0; p < FLEET_PARTS; p++) {
        const struct fleet_part *part = &fleet_parts[p];
        for (uint32_t i = 0; latency != NULL && i < part->count; i++)
            now[at + fleet_coarse(part, width, i)] += fleet_steps(latency, p)[i];
        uint32_t count = fleet_coarse_count(part, width);
        tell_part(parcel, thing, part, now + at, told->steps + at, count);
        at += count;
    }
}

/* ---- one endpoint ---- */

/* `array` is a pointer to the array. */
static bool grow(void *array, uint32_t *count, uint32_t wanted, size_t size)
{
    void *at;
    if (wanted <= *count)
        return true;
    memcpy(&at, array, sizeof(at)); /* of whatever type the pointer is */
    at = realloc(at, wanted * size);
    if (at == NULL)
        return false;
    memset((char *)at + *count * size, 0, (wanted - *count) * size);
    memcpy(array, &at, sizeof(at));
    *count = wanted;
    return true;
}

static void tell_field(struct parcel *parcel, const struct told_cell *cell, struct told_field *told,
                       const struct field_counts *field)
{
    if (told->name.id[0] == '\0' && field == NULL)
        return;
    if (told->name.id[0] == '\0')
        fleet_id(told->name.id, FLEET_FIELD, cell->name.id, field->name);
    struct thing thing = {&told->name, FLEET_FIELD, cell->name.id, field != NULL ? field->name : NULL};
    struct fleet_field_sums now = {0};
    if (field != NULL) {
        now = (struct fleet_field_sums){field->differing, field->ignored,     field->noise,
                                        field->shape,     field->noise_shape, {0}};
        memcpy(now.by_kind, field->by_kind, sizeof(now.by_kind));
    }
    tell_all(parcel, &thing, fleet_field_counter, &now, &told->sums, FLEET_FIELD_COUNTERS);
    if (field == NULL || field->differing == 0 || parcel->full)
        return;
    tell(parcel, &thing, '>', "mixed", field->apart < 0, &told->mixed);
    if (field->apart >= 0)
        tell(parcel, &thing, '>', "apart", (uint64_t)llround(field->apart * FLEET_APART), &told->apart);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The IDs of its fields, in an order that is the same in every replica. False: one of them cannot be told. */
static bool spell_group(const struct told_cell *cell, const struct group *group, char text[REPORT_FLEET_NAME])
{
    enum {
        MEMBER = FLEET_ID + 2
    };
    char members[GROUP_FIELDS_MAX][MEMBER];
    size_t length = 0;
    for (uint32_t i = 0; i < group->count; i++) {
        uint32_t row = group_row(group->fields[i]);
        if (row >= cell->field_count || cell->fields[row].name.id[0] == '\0')
            return false;
        (void)snprintf(members[i], MEMBER, "%s%s", cell->fields[row].name.id,
                       (group->fields[i] & GROUP_SHAPE) != 0 ? "!" : "");
    }
    qsort(members, group->count, MEMBER, by_text);
    for (uint32_t i = 0; i < group->count; i++)
        length += (size_t)snprintf(text + length, REPORT_FLEET_NAME - length, "%s", members[i]);
    return is_tellable(text);
}

static void tell_group(struct parcel *parcel, const struct told_cell *cell, struct told_group *told,
                       const struct group *group, uint64_t *ungrouped)
{
    char text[REPORT_FLEET_NAME];
    if (group == NULL && told->name.id[0] == '\0')
        return;
    if (group != NULL && !spell_group(cell, group, text)) {
        *ungrouped += group->pairs;
        return;
    }
    if (told->name.id[0] == '\0')
        fleet_id(told->name.id, FLEET_GROUP, cell->name.id, text);
    struct thing thing = {&told->name, FLEET_GROUP, cell->name.id, group != NULL ? text : NULL};
    tell(parcel, &thing, '\0', "pairs", group != NULL ? group->pairs : 0, &told->pairs);
    if (group != NULL && !parcel->full)
        tell(parcel, &thing, '>', "last", group->last_ms, &told->last_ms);
}

static struct fleet_cell_sums sums_of(const struct cell *cell)
{
    struct fleet_cell_sums sums = {0};
    if (cell == NULL)
        return sums;
    memcpy(sums.judged, cell->judged, sizeof(sums.judged));
    memcpy(sums.noise_judged, cell->noise_judged, sizeof(sums.noise_judged));
    memcpy(sums.obstacles, cell->obstacles, sizeof(sums.obstacles));
    sums.ungrouped = cell->ungrouped;
    sums.ungrouped_noise = cell->ungrouped_noise;
    sums.other_differing = cell->other_differing;
    sums.other_ignored = cell->other_ignored;
    sums.other_noise = cell->other_noise;
    return sums;
}

/* Fields first, as their groups are made of their IDs. `cell` NULL: it is not there any more. */
static void tell_parts(struct parcel *parcel, struct told_cell *told, const struct cell *cell, uint64_t *ungrouped)
{
    for (uint32_t i = 0; i < told->field_count && !parcel->full; i++)
        if (cell == NULL || (i < cell->fields.count && is_tellable(cell->fields.rows[i].name)))
            tell_field(parcel, told, &told->fields[i], cell != NULL ? &cell->fields.rows[i] : NULL);
    for (uint32_t i = 0; i < told->group_count && !parcel->full; i++)
        tell_group(parcel, told, &told->groups[i], cell != NULL ? &cell->groups.rows[i] : NULL, ungrouped);
}

static uint64_t pairs_of(const struct cell *cell)
{
    uint64_t pairs = 0;
    for (int i = 0; i < JUDGEMENTS; i++)
        pairs += cell->judged[i] + cell->noise_judged[i];
    return pairs;
}

/* Totals come first: what they are made of may be told later, never before. */
static void tell_cell(struct parcel *parcel, struct told_cell *told, const char *row_id, const struct cell *cell)
{
    if (cell != NULL && (pairs_of(cell) == told->whole || !is_tellable(cell->endpoint)))
        return;
    if (cell != NULL && (!grow(&told->fields, &told->field_count, cell->fields.count, sizeof(*told->fields)) ||
                         !grow(&told->groups, &told->group_count, cell->groups.count, sizeof(*told->groups))))
        return;
    if (told->name.id[0] == '\0')
        fleet_id(told->name.id, FLEET_CELL, row_id, cell->endpoint);
    struct thing thing = {&told->name, FLEET_CELL, row_id, cell != NULL ? cell->endpoint : NULL};
    struct fleet_cell_sums now = sums_of(cell);
    tell_all(parcel, &thing, fleet_cell_counter, now.judged, told->sums.judged, JUDGEMENTS);
    if (cell != NULL && !parcel->full) {
        tell(parcel, &thing, '<', "since", cell->since_ms, &told->since_ms);
        tell(parcel, &thing, '>', "last", cell->last_ms, &told->last_ms);
    }
    tell_parts(parcel, told, cell, &now.ungrouped);
    if (!parcel->full) /* else what is beyond its groups is not known */
        tell_all(parcel, &thing, fleet_cell_counter, &now, &told->sums, FLEET_CELL_COUNTERS);
    if (!parcel->full)
        tell_latency(parcel, &thing, FLEET_COARSE, cell != NULL ? cell->latency : NULL, &told->latency);
    if (!parcel->full)
        told->whole = cell != NULL ? pairs_of(cell) : 0;
}

/* ---- one row ---- */

static struct told_rule *rule_of(struct told_row *told, const char *text)
{
    char id[FLEET_ID + 1];
    fleet_id(id, FLEET_RULE, told->name.id, text);
    for (uint32_t i = 0; i < told->rule_count; i++)
        if (strcmp(told->rules[i].name.id, id) == 0)
            return &told->rules[i];
    if (told->rule_count == RULES_MAX ||
        !grow(&told->rules, &told->rule_count, told->rule_count + 1, sizeof(*told->rules)))
        return NULL;
    struct told_rule *rule = &told->rules[told->rule_count - 1];
    memcpy(rule->name.id, id, sizeof(id));
    return rule;
}

static void tell_rules(struct parcel *parcel, struct told_row *told, const struct report_row *row)
{
    for (uint32_t i = 0; i < row->rules.count && !parcel->full; i++) {
        const struct rule_count *rule = &row->rules.rows[i];
        struct told_rule *to = is_tellable(rule->text) ? rule_of(told, rule->text) : NULL;
        if (to == NULL)
            continue;
        const struct thing thing = {&to->name, FLEET_RULE, told->name.id, rule->text};
        if (parcel->bytes > 0 && !to->name.named)
            (void)put_name(parcel, &thing); /* one that never did anything is worth knowing, too */
        tell(parcel, &thing, '\0', "pairs", rule->pairs, &to->pairs);
    }
}

static void forget_cells(struct told_row *told)
{
    for (uint32_t i = 0; i < told->cell_count; i++) {
        free(told->cells[i].latency.steps);
        free(told->cells[i].fields);
        free(told->cells[i].groups);
    }
    free(told->cells);
    free(told->rules);
    free(told->latency.steps);
    told->cells = NULL;
    told->rules = NULL;
    told->latency = (struct told_latency){0};
    told->cell_count = told->rule_count = told->next_cell = 0;
}

/* The report has been forgotten: so is what this replica had told of it. */
static void take_back(struct parcel *parcel, struct told_row *told, uint64_t epoch)
{
    struct thing thing = {&told->name, FLEET_ROW, "", NULL};
    for (uint32_t i = 0; i < told->cell_count && !parcel->full; i++)
        if (told->cells[i].name.id[0] != '\0')
            tell_cell(parcel, &told->cells[i], told->name.id, NULL);
    for (uint32_t i = 0; i < told->rule_count && !parcel->full; i++)
        tell(parcel, &(struct thing){&told->rules[i].name, FLEET_RULE, "", NULL}, '\0', "pairs", 0,
             &told->rules[i].pairs);
    if (!parcel->full)
        tell_latency(parcel, &thing, 1, NULL, &told->latency);
    if (parcel->full)
        return;
    forget_cells(told);
    told->since_ms = told->last_ms = 0;
    told->epoch = epoch;
}

static void tell_row(struct parcel *parcel, struct told_row *told, const struct report_row *row)
{
    if (told->epoch != row->epoch)
        take_back(parcel, told, row->epoch);
    if (parcel->full || row->since_ms == 0 || row->last_ms == 0 || !is_tellable(row->route))
        return;
    struct thing thing = {&told->name, FLEET_ROW, row->primary == SIDE_LEGACY ? "l" : "n", row->route};
    tell(parcel, &thing, '<', "since", row->since_ms, &told->since_ms);
    tell(parcel, &thing, '>', "last", row->last_ms, &told->last_ms);
    uint32_t count = report_row_cells(row);
    if (!grow(&told->cells, &told->cell_count, count, sizeof(*told->cells)))
        return;
    for (uint32_t n = 0, first = told->next_cell; n < count && !parcel->full; n++) {
        uint32_t i = (first + n) % count;
        tell_cell(parcel, &told->cells[i], told->name.id, report_row_at(row, i));
        if (parcel->full)
            told->next_cell = i;
    }
    if (!parcel->full)
        tell_rules(parcel, told, row);
    if (!parcel->full)
        tell_latency(parcel, &thing, 1, row->latency, &told->latency);
}

/* ---- all rows ---- */

static struct told_row *row_told(struct report_fleet *told, uint32_t index, const struct report_row *row)
{
    struct told_row *to = told->rows[index];
    if (to != NULL)
        return to;
    to = calloc(1, sizeof(*to));
    if (to == NULL)
        return NULL;
    fleet_id_of_row(to->name.id, row->route, row->primary);
    to->epoch = row->epoch;
    told->rows[index] = to;
    return to;
}

static void tell_rows(struct report_fleet *told, struct parcel *parcel)
{
    struct report *report = told->report;
    pthread_mutex_lock(&report->lock);
    uint32_t count = report->count;
    pthread_mutex_unlock(&report->lock);
    if (!grow(&told->rows, &told->count, count, sizeof(struct told_row *)))
        return;
    for (uint32_t n = 0, first = told->next; n < count && !parcel->full; n++) {
        uint32_t i = (first + n) % count;
        pthread_mutex_lock(&report->lock);
        struct told_row *to = row_told(told, i, report->rows[i]);
        if (to != NULL)
            tell_row(parcel, to, report->rows[i]);
        pthread_mutex_unlock(&report->lock);
        if (parcel->full)
            told->next = i;
    }
}

/* ---- the door ---- */

struct report_fleet *report_fleet_new(struct report *report)
{
    struct report_fleet *told = calloc(1, sizeof(*told));
    json_t *samples = json_array();
    if (told == NULL || samples == NULL) {
        free(told);
        json_decref(samples);
        return NULL;
    }
    told->report = report;
    tell_rows(told, &(struct parcel){.fields = NULL});
    pthread_mutex_lock(&report->lock);
    json_decref(report->samples.for_fleet);
    report->samples.for_fleet = samples;
    pthread_mutex_unlock(&report->lock);
    return told;
}

void report_fleet_free(struct report_fleet *told)
{
    if (told == NULL)
        return;
    pthread_mutex_lock(&told->report->lock);
    json_decref(told->report->samples.for_fleet);
    told->report->samples.for_fleet = NULL;
    pthread_mutex_unlock(&told->report->lock);
    for (uint32_t i = 0; i < told->count; i++) {
        if (told->rows[i] != NULL)
            forget_cells(told->rows[i]);
        free(told->rows[i]);
    }
    free(told->rows);
    free(told);
}

bool report_fleet_parcel(struct report_fleet *told, uint64_t now_ms, json_t **fields, json_t **samples)
{
    struct parcel parcel = {.now_ms = now_ms};
    if (told->begun && now_ms - told->parcel_ms < REPORT_FLEET_EVERY_MS)
        return false;
    told->begun = true;
    told->parcel_ms = now_ms;
    parcel.fields = json_object();
    if (parcel.fields != NULL)
        tell_rows(told, &parcel);
    if (json_object_size(parcel.fields) == 0) {
        json_decref(parcel.fields);
        parcel.fields = NULL;
    }
    *fields = parcel.fields;
    *samples = fleet_samples_take(told->report);
    return *fields != NULL || *samples != NULL;
}

static void forget_names(struct told_row *row)
{
    row->name.named = false;
    for (uint32_t i = 0; i < row->cell_count; i++) {
        struct told_cell *cell = &row->cells[i];
        cell->name.named = false;
        for (uint32_t k = 0; k < cell->field_count; k++)
            cell->fields[k].name.named = false;
        for (uint32_t k = 0; k < cell->group_count; k++)
            cell->groups[k].name.named = false;
    }
    for (uint32_t i = 0; i < row->rule_count; i++)
        row->rules[i].name.named = false;
}

void report_fleet_lost(struct report_fleet *told)
{
    for (uint32_t i = 0; i < told->count; i++)
        if (told->rows[i] != NULL)
            forget_names(told->rows[i]);
}
