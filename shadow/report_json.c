/*
 * The report as JSON: how a row is told. The schema is docs/report.md; a field is added freely, but renamed or removed
 * only with a new REPORT_SCHEMA. Called under the report's lock, on control, the keeper's thread or in shuntctl.
 */
#include "shadow/report_row.h"

#include <stdlib.h>
#include <string.h>

#include "shadow/redact.h"
#include "shadow/verdict.h"

static json_t *count_json(uint64_t count)
{
    return json_integer((json_int_t)count);
}

static double rate_of(uint64_t count, uint64_t total)
{
    return total > 0 ? (double)count / (double)total : 0;
}

/* ---- totals ---- */

static json_t *judged_json(const uint64_t judged[JUDGEMENTS])
{
    json_t *json = json_object();
    for (enum judgement judgement = 0; json != NULL && judgement < JUDGEMENTS; judgement++)
        json_object_set_new(json, judgement_name(judgement), count_json(judged[judgement]));
    if (json != NULL)
        json_object_set_new(json, "compared", count_json(judged_total(judged)));
    return json;
}

static json_t *totals_json(const uint64_t judged[JUDGEMENTS], uint64_t noise_only)
{
    json_t *json = judged_json(judged);
    if (json != NULL)
        json_object_set_new(json, "noise_only", count_json(noise_only));
    return json;
}

static json_t *obstacles_json(const uint64_t obstacles[OBSTACLES])
{
    json_t *json = json_object();
    for (enum obstacle obstacle = OBSTACLE_NONE + 1; json != NULL && obstacle < OBSTACLES; obstacle++)
        if (obstacles[obstacle] > 0)
            json_object_set_new(json, obstacle_name(obstacle), count_json(obstacles[obstacle]));
    return json;
}

static json_t *verdict_json(const struct report_row *row, const struct row_sums *sums, const char *route)
{
    struct rate_verdict verdict;
    uint64_t compared = judged_total(sums->judged), differing = sums->judged[JUDGEMENT_MISMATCHED] - sums->noise_only;
    const char *state = compared == 0 ? "no_data" : differing == 0 ? "agree" : "differ";

    verdict_judge(route, compared, differing, row->limit, row->confidence, &verdict);
    json_t *json = json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:s}", "result", verdict_name(verdict.result),
                             "state", state, "compared", (json_int_t)compared, "differing", (json_int_t)differing,
                             "rate", verdict.rate, "at_least", verdict.at_least, "at_most", verdict.at_most,
                             "confidence", row->confidence, "sentence", verdict.sentence);
    if (json != NULL)
        json_object_set_new(json, "limit", row->limit < 0 ? json_null() : json_real(row->limit));
    return json;
}

static json_t *noise_rule_json(const struct config_noise *noise)
{
    return json_pack("{s:f, s:f, s:f, s:f}", "percent", (double)noise->percent / SHARE_ALL, "relative", noise->relative,
                     "absolute", noise->absolute, "confidence", noise->confidence);
}

/* ---- latency ---- */

struct quantile_name {
    const char *name;
    double q;
};

/* Null where there is nothing. */
static json_t *quantiles_json(const struct paired *latency, double (*value)(const struct paired *, double),
                              const struct quantile_name *names, uint32_t count)
{
    json_t *json = json_object();
    for (uint32_t i = 0; json != NULL && i < count; i++)
        json_object_set_new(json, names[i].name,
                            latency != NULL && latency->count > 0 ? json_real(value(latency, names[i].q))
                                                                  : json_null());
    return json;
}

static json_t *side_latency_json(const struct paired *latency, double (*value)(const struct paired *, double))
{
    static const struct quantile_name names[] = {{"p50_ms", 0.5}, {"p95_ms", 0.95}, {"p99_ms", 0.99}};
    json_t *json = quantiles_json(latency, value, names, 3);
    if (json != NULL)
        json_object_set_new(json, "count", count_json(latency != NULL ? latency->count : 0));
    return json;
}

static json_t *paired_json(const struct paired *latency)
{
    static const struct quantile_name names[] = {{"p5", 0.05}, {"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}};
    uint64_t count = latency != NULL ? latency->count : 0;
    json_t *json = json_pack("{s:I, s:o, s:o}", "count", (json_int_t)count, "difference_ms",
                             quantiles_json(latency, paired_difference_ms, names, 4), "ratio",
                             quantiles_json(latency, paired_ratio, names, 4));
    if (json != NULL)
        json_object_set_new(json, "slower", count > 0 ? json_real(rate_of(latency->slower, count)) : json_null());
    return json;
}

static json_t *latency_json(const struct paired *latency)
{
    return json_pack("{s:o, s:o, s:o}", "primary", side_latency_json(latency, paired_primary_ms), "shadow",
                     side_latency_json(latency, paired_shadow_ms), "paired", paired_json(latency));
}

/* ---- buckets ---- */

static const char *const figure_names[BUCKET_FIGURES] = {
    [BUCKET_PRIMARY_P50] = "primary_p50_ms",
    [BUCKET_PRIMARY_P95] = "primary_p95_ms",
    [BUCKET_SHADOW_P50] = "shadow_p50_ms",
    [BUCKET_SHADOW_P95] = "shadow_p95_ms",
    [BUCKET_DIFFERENCE_P50] = "difference_p50_ms",
    [BUCKET_DIFFERENCE_P95] = "difference_p95_ms",
    [BUCKET_RATIO_P50] = "ratio_p50",
    [BUCKET_RATIO_P95] = "ratio_p95",
};

static void append_bucket(void *context, const struct bucket *bucket, uint32_t width_s)
{
    json_t *array = context;
    /* no ratio is 0: it says that no latency is known */
    bool has_figures = bucket->figures[BUCKET_RATIO_P50] > 0;
    json_t *json = json_pack("{s:I, s:I}", "at_ms", (json_int_t)bucket->at_ms, "width_s", (json_int_t)width_s);
    if (json == NULL)
        return;
    for (enum judgement judgement = 0; judgement < JUDGEMENTS; judgement++)
        json_object_set_new(json, judgement_name(judgement), count_json(bucket->judged[judgement]));
    for (int i = 0; i < BUCKET_FIGURES; i++)
        json_object_set_new(json, figure_names[i], has_figures ? json_real((double)bucket->figures[i]) : json_null());
    json_array_append_new(array, json);
}

static json_t *buckets_json(const struct report_row *row)
{
    json_t *array = json_array();
    if (array != NULL)
        buckets_each(&row->buckets, append_bucket, array);
    return array;
}

/* ---- fields ---- */

static json_t *kinds_json(const struct field_counts *field)
{
    json_t *json = json_object();
    for (uint32_t kind = 0; json != NULL && kind < DIFFERENCE_KINDS; kind++)
        if (field->by_kind[kind] > 0)
            json_object_set_new(json, difference_kind_name(kind), count_json(field->by_kind[kind]));
    return json;
}

static json_t *example_json(const struct field_counts *field)
{
    json_t *json = json_pack("{s:I, s:s, s:s}", "at_ms", (json_int_t)field->example_ms, "path", field->path,
                             "request_id", field->request_id);
    if (json != NULL && field->primary[0] != '\0')
        json_object_set_new(json, "primary", json_string(field->primary));
    if (json != NULL && field->shadow[0] != '\0')
        json_object_set_new(json, "shadow", json_string(field->shadow));
    return json;
}

struct field_view {
    const char *name, *state, *why;
    bool shown;
    uint64_t differing, ignored, noise;
};

static json_t *view_json(const struct cell *cell, const struct field_view *view)
{
    uint64_t compared = judged_total(cell->judged), noise_compared = judged_total(cell->noise_judged);
    json_t *json = json_pack("{s:s, s:s, s:b, s:s, s:I, s:f, s:I, s:I}", "field", view->name, "state", view->state,
                             "shown", view->shown, "why", view->why, "differing", (json_int_t)view->differing, "rate",
                             rate_of(view->differing, compared), "noise_differing", (json_int_t)view->noise, "ignored",
                             (json_int_t)view->ignored);
    if (json != NULL)
        json_object_set_new(json, "noise_rate",
                            noise_compared > 0 ? json_real(rate_of(view->noise, noise_compared)) : json_null());
    return json;
}

static json_t *field_json(const struct report_row *row, const struct cell *cell, uint32_t index, uint32_t together)
{
    const struct field_counts *field = &cell->fields.rows[index];
    char why[NOISE_WHY_ROOM] = "differs only where a rule ignores it";
    struct field_view view = {field->name, "ignored", why, false, field->differing, field->ignored, field->noise};
    if (field->differing + field->noise > 0) {
        struct noise_counts counts = cell_noise_counts(cell, index, together);
        enum field_state state = noise_explain(&row->noise, &counts, why, sizeof(why));
        view.shown = state == FIELD_REAL && field->differing > 0;
        view.state =
            state == FIELD_REAL && field->differing == 0 ? field_state_name(FIELD_RARE) : field_state_name(state);
    }
    json_t *json = view_json(cell, &view);
    if (json == NULL)
        return NULL;
    json_object_set_new(json, "kinds", kinds_json(field));
    if (field->differing > 0 && field->apart >= 0)
        json_object_set_new(json, "apart", json_real(field->apart));
    if (field->differing > 0 && field->example_ms > 0)
        json_object_set_new(json, "example", example_json(field));
    return json;
}

static json_t *other_field_json(const struct cell *cell)
{
    struct field_view view = {.name = report_other,
                              .state = field_state_name(FIELD_UNDECIDED),
                              .why = "fields that found no row: their pairs count, they are not judged one by one",
                              .differing = cell->other_differing,
                              .ignored = cell->other_ignored,
                              .noise = cell->other_noise};
    json_t *json = view_json(cell, &view);
    if (json != NULL)
        json_object_set_new(json, "kinds", json_object());
    return json;
}

static int most_differing_first(const void *a, const void *b)
{
    const struct field_counts *x = *(const struct field_counts *const *)a, *y = *(const struct field_counts *const *)b;
    if (x->differing != y->differing)
        return x->differing < y->differing ? 1 : -1;
    if (x->ignored != y->ignored)
        return x->ignored < y->ignored ? 1 : -1;
    return strcmp(x->name, y->name);
}

static json_t *fields_json(const struct report_row *row, const struct cell *cell, uint32_t together)
{
    const struct field_counts *sorted[FIELDS_MAX] = {NULL};
    json_t *array = json_array();
    for (uint32_t i = 0; i < cell->fields.count; i++)
        sorted[i] = &cell->fields.rows[i];
    qsort(sorted, cell->fields.count, sizeof(struct field_counts *), most_differing_first);
    for (uint32_t i = 0; array != NULL && i < cell->fields.count; i++)
        json_array_append_new(array, field_json(row, cell, (uint32_t)(sorted[i] - cell->fields.rows), together));
    if (array != NULL && cell->other_differing + cell->other_ignored + cell->other_noise > 0)
        json_array_append_new(array, other_field_json(cell));
    return array;
}

/* ---- groups ---- */

static json_t *group_json(const struct report_row *row, const struct cell *cell, const struct group *group)
{
    json_t *fields = json_array();
    for (uint32_t i = 0; fields != NULL && i < group->count; i++)
        json_array_append_new(fields, json_string(cell->fields.rows[group_row(group->fields[i])].name));
    return json_pack("{s:o, s:I, s:I, s:b}", "fields", fields, "pairs", (json_int_t)group->pairs, "last_ms",
                     (json_int_t)group->last_ms, "noise", cell_group_is_noise(cell, &row->noise, group));
}

static int most_pairs_first(const void *a, const void *b)
{
    const struct group *x = *(const struct group *const *)a, *y = *(const struct group *const *)b;
    return (x->pairs < y->pairs) - (x->pairs > y->pairs);
}

static json_t *groups_json(const struct report_row *row, const struct cell *cell)
{
    const struct group *sorted[GROUPS_MAX] = {NULL};
    json_t *array = json_array();
    for (uint32_t i = 0; i < cell->groups.count; i++)
        sorted[i] = &cell->groups.rows[i];
    qsort(sorted, cell->groups.count, sizeof(struct group *), most_pairs_first);
    for (uint32_t i = 0; array != NULL && i < cell->groups.count; i++)
        json_array_append_new(array, group_json(row, cell, sorted[i]));
    if (array != NULL && cell->ungrouped > 0)
        json_array_append_new(array,
                              json_pack("{s:[s], s:I, s:I, s:b}", "fields", report_other, "pairs",
                                        (json_int_t)cell->ungrouped, "last_ms", (json_int_t)cell->last_ms, "noise", 0));
    return array;
}

/* ---- endpoints ---- */

static json_t *cell_json(const struct report_row *row, const struct cell *cell, uint32_t together)
{
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "endpoint", cell->endpoint, "since_ms",
                     (json_int_t)cell->since_ms, "last_ms", (json_int_t)cell->last_ms, "totals",
                     totals_json(cell->judged, cell_noise_only(cell, &row->noise)), "not_comparable",
                     obstacles_json(cell->obstacles), "noise", judged_json(cell->noise_judged), "latency",
                     latency_json(cell->latency), "fields", fields_json(row, cell, together), "groups",
                     groups_json(row, cell));
}

struct ranked {
    const struct cell *cell;
    uint64_t differing;
};

static int worst_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    uint64_t m = judged_total(x->cell->judged), n = judged_total(y->cell->judged);
    if (x->differing != y->differing)
        return x->differing < y->differing ? 1 : -1;
    if (m != n)
        return m < n ? 1 : -1;
    return strcmp(x->cell->endpoint, y->cell->endpoint);
}

static json_t *endpoints_json(const struct report_row *row, uint32_t together)
{
    struct ranked ranked[CELLS_MAX];
    json_t *array = json_array();
    for (uint32_t i = 0; i < row->cell_count; i++) {
        const struct cell *cell = row->cells[i];
        ranked[i] = (struct ranked){cell, cell->judged[JUDGEMENT_MISMATCHED] - cell_noise_only(cell, &row->noise)};
    }
    qsort(ranked, row->cell_count, sizeof(struct ranked), worst_first);
    for (uint32_t i = 0; array != NULL && i < row->cell_count; i++)
        json_array_append_new(array, cell_json(row, ranked[i].cell, together));
    if (array != NULL && row->other != NULL)
        json_array_append_new(array, cell_json(row, row->other, together));
    return array;
}

/* ---- the rest ---- */

static json_t *limits_json(const struct report_row *row, const struct row_sums *sums)
{
    bool is_full = row->budgets->rows.refused || row->budgets->cells.refused;
    return json_pack("{s:i, s:i, s:i, s:b, s:b, s:I, s:I, s:b}", "endpoints", CELLS_MAX, "fields", FIELDS_MAX,
                     "fields_of_route", ROW_FIELDS_MAX, "endpoints_beyond", row->other != NULL, "fields_beyond",
                     sums->fields_beyond, "bytes", (json_int_t)row->budgets->most, "bytes_used",
                     (json_int_t)row->budgets->rows.used + (json_int_t)row->budgets->cells.used, "bytes_beyond",
                     is_full);
}

static json_t *rules_json(const struct report_row *row)
{
    json_t *array = json_array();
    for (uint32_t i = 0; array != NULL && i < row->rules.count; i++)
        json_array_append_new(array, json_pack("{s:s, s:I}", "rule", row->rules.rows[i].text, "pairs",
                                               (json_int_t)row->rules.rows[i].pairs));
    return array;
}

json_t *report_row_json(const struct report_row *row)
{
    char route[ROUTE_NAME_ROOM];
    struct row_sums sums;
    redact_clean(route, sizeof(route), row->route, strlen(row->route));
    report_row_sums(row, &sums);
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "route", route,
                  "primary", side_name(row->primary), "shadow", side_name(side_other(row->primary)), "since_ms",
                  (json_int_t)row->since_ms, "last_ms", (json_int_t)row->last_ms, "verdict",
                  verdict_json(row, &sums, route), "totals", totals_json(sums.judged, sums.noise_only),
                  "not_comparable", obstacles_json(sums.obstacles), "noise", judged_json(sums.noise_judged),
                  "noise_rule", noise_rule_json(&row->noise), "latency", latency_json(row->latency), "buckets",
                  buckets_json(row), "endpoints", endpoints_json(row, sums.differing_fields), "limits",
                  limits_json(row, &sums), "rules", rules_json(row), "suggestions", report_suggestions(row));
    if (json != NULL && row->refused != NULL)
        json_object_set_new(json, "rules_refused", json_copy(row->refused));
    return json;
}
