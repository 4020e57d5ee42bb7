/*
 * Suggestions: rules of the file that would take away what needs no developer. Made from a row when it is told.
 *
 * What only changes its order may be compared as a set, what only differs in its last digits may have a tolerance, what
 * differs by itself may be ignored. A name is suggested only when it is real at no endpoint, because a rule holds for
 * all of them, and only when the file would accept it.
 */
#include "shadow/report_row.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "shadow/figures.h"
#include "shadow/rules.h"

enum {
    WHY_ROOM = 320
};

static const double tolerance_most = 0.01;

enum suggestion_kind {
    SUGGEST_IGNORE,
    SUGGEST_UNORDERED,
    SUGGEST_TOLERANCE
};

static const char *const rule_names[] = {
    [SUGGEST_IGNORE] = "ignore",
    [SUGGEST_UNORDERED] = "unordered",
    [SUGGEST_TOLERANCE] = "tolerance",
};

/* A field by name, over all endpoints. */
struct field_sum {
    const char *name;
    uint64_t differing, compared, noise, noise_compared;
    uint64_t by_kind[DIFFERENCE_KINDS];
    double apart;     /* negative: not always two numbers */
    bool noise_where; /* noise wherever it differs */
};

static void sum_cell(const struct report_row *row, const struct cell *cell, const char *name, struct field_sum *sum)
{
    for (uint32_t i = 0; i < cell->fields.count; i++) {
        const struct field_counts *field = &cell->fields.rows[i];
        if (strcmp(field->name, name) != 0 || field->differing + field->noise == 0)
            continue;
        sum->differing += field->differing;
        sum->noise += field->noise;
        sum->compared += judged_total(cell->judged);
        sum->noise_compared += judged_total(cell->noise_judged);
        for (int kind = 0; kind < DIFFERENCE_KINDS; kind++)
            sum->by_kind[kind] += field->by_kind[kind];
        if (field->differing > 0)
            sum->apart = field->apart < 0 || sum->apart < 0 ? -1 : fmax(sum->apart, field->apart);
        sum->noise_where = sum->noise_where && cell_field_is_noise(cell, &row->noise, i);
    }
}

static struct field_sum sum_of(const struct report_row *row, const char *name)
{
    struct field_sum sum = {.name = name, .noise_where = true};
    for (uint32_t i = 0; i < report_row_cells(row); i++)
        sum_cell(row, report_row_at(row, i), name, &sum);
    return sum;
}

/* Every difference there was is of this kind. */
static bool is_only(const struct field_sum *sum, enum difference_kind kind)
{
    for (int i = 0; i < DIFFERENCE_KINDS; i++)
        if (i != (int)kind && sum->by_kind[i] > 0)
            return false;
    return sum->by_kind[kind] > 0;
}

static bool choose(const struct field_sum *sum, enum suggestion_kind *kind)
{
    bool is_path = sum->name[0] == '$';
    if (is_path && is_only(sum, DIFFERENCE_ORDER))
        *kind = SUGGEST_UNORDERED;
    else if (is_path && is_only(sum, DIFFERENCE_VALUE) && sum->apart > 0 && sum->apart < tolerance_most &&
             !sum->noise_where)
        *kind = SUGGEST_TOLERANCE;
    else if (sum->noise_where && sum->differing > 0)
        *kind = SUGGEST_IGNORE;
    else
        return false;
    return true;
}

/* A round number at or above what was seen. */
static double tolerance_for(double apart)
{
    double scale = pow(10, floor(log10(apart)));
    return ceil(apart / scale * (1 - 1e-9)) * scale;
}

static void say_why(char why[WHY_ROOM], const struct report_row *row, const struct field_sum *sum,
                    enum suggestion_kind kind)
{
    char rate[FIGURE_ROOM], count[FIGURE_ROOM];
    if (kind == SUGGEST_UNORDERED)
        snprintf(why, WHY_ROOM, "in all %s pairs in which it differs only the order does",
                 figure_count(count, sum->differing));
    else if (kind == SUGGEST_TOLERANCE)
        snprintf(
            why, WHY_ROOM,
            "relative: in all %s pairs in which it differs the numbers are at most %s apart; only you know whether "
            "that is rounding",
            figure_count(count, sum->differing), figure_percent(rate, sum->apart, ROUND_UP));
    else
        snprintf(why, WHY_ROOM, "noise: differs in %s of pairs of %s with itself",
                 figure_percent(rate, (double)sum->noise / (double)sum->noise_compared, ROUND_NEAREST),
                 side_name(row->primary));
}

static json_t *suggestion_json(const struct report_row *row, const struct field_sum *sum, enum suggestion_kind kind)
{
    char why[WHY_ROOM];
    say_why(why, row, sum, kind);
    json_t *json = json_pack("{s:s, s:s, s:s, s:I}", "rule", rule_names[kind], "path", sum->name, "why", why, "pairs",
                             (json_int_t)sum->differing);
    if (json != NULL && kind == SUGGEST_TOLERANCE)
        json_object_set_new(json, "relative", json_real(tolerance_for(sum->apart)));
    return json;
}

static bool is_known(const json_t *array, const char *name)
{
    size_t i;
    const json_t *one;
    json_array_foreach(array, i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "path")), name) == 0)
            return true;
    }
    return false;
}

static void suggest(const struct report_row *row, const char *name, json_t *array)
{
    struct json_path_fault fault;
    enum suggestion_kind kind;
    struct field_sum sum = sum_of(row, name);
    if (choose(&sum, &kind) && !is_known(array, name) && rules_accept_ignore(name, &fault))
        json_array_append_new(array, suggestion_json(row, &sum, kind));
}

json_t *report_suggestions(const struct report_row *row)
{
    json_t *array = json_array();
    for (uint32_t i = 0; array != NULL && i < report_row_cells(row); i++) {
        const struct cell *cell = report_row_at(row, i);
        for (uint32_t k = 0; k < cell->fields.count; k++)
            if (cell->fields.rows[k].differing > 0)
                suggest(row, cell->fields.rows[k].name, array);
    }
    return array;
}
