/*
 * Keeps the evidence of a running stage. Control thread only.
 */
#include "router/evidence.h"

#include <string.h>

static void take_base(struct evidence *base, const struct route_counters *sum, const struct comparison_totals *pairs)
{
    for (int side = 0; side < SIDES; side++) {
        base->side[side].judged = sum->side[side].judged;
        base->side[side].errors = sum->side[side].errors;
        base->side[side].latency = sum->side[side].latency;
    }
    base->pairs = *pairs;
}

/* A source that began anew (its total fell) counts from nothing. */
static uint64_t gained(uint64_t now, uint64_t base)
{
    return now >= base ? now - base : now;
}

void evidence_read(const struct evidence_meter *meter, const struct route_counters *sum,
                   const struct comparison_totals *pairs, struct evidence *evidence)
{
    const struct evidence *base = &meter->base;
    *evidence = meter->carried;
    for (int side = 0; side < SIDES; side++) {
        struct evidence_side *to = &evidence->side[side];
        to->judged += gained(sum->side[side].judged, base->side[side].judged);
        to->errors += gained(sum->side[side].errors, base->side[side].errors);
        if (to->errors > to->judged) /* seen a moment before its exchange */
            to->errors = to->judged;
        struct histogram difference;
        histogram_difference(&difference, &sum->side[side].latency, &base->side[side].latency);
        histogram_merge(&to->latency, &difference);
    }
    evidence->pairs.compared += gained(pairs->compared, base->pairs.compared);
    evidence->pairs.mismatched += gained(pairs->mismatched, base->pairs.mismatched);
    if (evidence->pairs.mismatched > evidence->pairs.compared) /* noise was learnt a moment ago */
        evidence->pairs.mismatched = evidence->pairs.compared;
}

void evidence_begin(struct evidence_meter *meter, const struct route_counters *sum,
                    const struct comparison_totals *pairs, bool keep_legacy)
{
    struct evidence before;
    evidence_read(meter, sum, pairs, &before);
    memset(&meter->carried, 0, sizeof(meter->carried));
    if (keep_legacy)
        meter->carried.side[SIDE_LEGACY] = before.side[SIDE_LEGACY];
    take_base(&meter->base, sum, pairs);
    meter->seen = *pairs;
}

static uint64_t less(uint64_t from, uint64_t amount)
{
    return from > amount ? from - amount : 0;
}

void evidence_resume(struct evidence_meter *meter, const struct evidence *past, const struct comparison_totals *pairs)
{
    meter->carried = *past;
    meter->seen = *pairs;
    if (pairs->compared < past->pairs.compared)
        return; /* the totals began anew: what was gained before is only in what was saved */
    meter->carried.pairs = (struct comparison_totals){0};
    meter->base.pairs.compared = pairs->compared - past->pairs.compared;
    meter->base.pairs.mismatched = less(pairs->mismatched, past->pairs.mismatched);
}

void evidence_follow(struct evidence_meter *meter, const struct comparison_totals *pairs)
{
    struct comparison_totals *base = &meter->base.pairs;
    if (pairs->compared < meter->seen.compared) {
        *base = (struct comparison_totals){0};
        meter->carried.pairs = (struct comparison_totals){0};
    } else if (pairs->mismatched < meter->seen.mismatched) {
        base->mismatched = less(base->mismatched, meter->seen.mismatched - pairs->mismatched);
    }
    meter->seen = *pairs;
}

/* ---- JSON ---- */

static json_t *save_latency(const struct histogram *latency)
{
    json_t *pairs = json_array();
    for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++) {
        if (latency->count[b] > 0 &&
            json_array_append_new(pairs, json_pack("[iI]", (int)b, (json_int_t)latency->count[b])) != 0) {
            json_decref(pairs);
            return NULL;
        }
    }
    return pairs;
}

static json_t *save_side(const struct evidence_side *side)
{
    return json_pack("{s:I, s:I, s:I, s:o}", "judged", (json_int_t)side->judged, "errors", (json_int_t)side->errors,
                     "sum_us", (json_int_t)side->latency.sum_us, "latency", save_latency(&side->latency));
}

json_t *evidence_save(const struct evidence *evidence)
{
    return json_pack("{s:o, s:o, s:I, s:I}", "legacy", save_side(&evidence->side[SIDE_LEGACY]), "new",
                     save_side(&evidence->side[SIDE_NEW]), "compared", (json_int_t)evidence->pairs.compared,
                     "mismatched", (json_int_t)evidence->pairs.mismatched);
}

/* Counts above this are damage: they would overflow when added up. */
#define COUNT_MAX (INT64_MAX / 1024)

static bool load_count(const json_t *object, const char *key, uint64_t *count)
{
    const json_t *value = json_object_get(object, key);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > COUNT_MAX)
        return false;
    *count = (uint64_t)number;
    return true;
}

static bool load_bucket(const json_t *pair, struct histogram *latency)
{
    const json_t *bucket = json_array_get(pair, 0);
    const json_t *count = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(bucket) || !json_is_integer(count))
        return false;
    json_int_t index = json_integer_value(bucket);
    json_int_t number = json_integer_value(count);
    if (index < 0 || index >= HISTOGRAM_BUCKETS || number < 0 || number > COUNT_MAX)
        return false;
    latency->count[index] = (uint64_t)number;
    return true;
}

static bool load_side(const json_t *object, struct evidence_side *side)
{
    if (!load_count(object, "judged", &side->judged) || !load_count(object, "errors", &side->errors) ||
        !load_count(object, "sum_us", &side->latency.sum_us) || side->errors > side->judged)
        return false;
    const json_t *latency = json_object_get(object, "latency");
    if (!json_is_array(latency))
        return false;
    for (size_t i = 0; i < json_array_size(latency); i++)
        if (!load_bucket(json_array_get(latency, i), &side->latency))
            return false;
    return true;
}

bool evidence_load(const json_t *json, struct evidence *evidence)
{
    memset(evidence, 0, sizeof(*evidence));
    return load_side(json_object_get(json, "legacy"), &evidence->side[SIDE_LEGACY]) &&
           load_side(json_object_get(json, "new"), &evidence->side[SIDE_NEW]) &&
           load_count(json, "compared", &evidence->pairs.compared) &&
           load_count(json, "mismatched", &evidence->pairs.mismatched) &&
           evidence->pairs.mismatched <= evidence->pairs.compared;
}
