/*
 * Keeps the evidence of a running stage. Control thread only.
 */
#include "router/evidence.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const enum outcome_kind unanswered_kinds[] = {OUTCOME_CONNECT_FAILED, OUTCOME_TIMEOUT, OUTCOME_RESET,
                                                     OUTCOME_BAD_RESPONSE};

static uint64_t unanswered(const struct side_counters *counters)
{
    uint64_t count = 0;
    for (size_t i = 0; i < sizeof(unanswered_kinds) / sizeof(unanswered_kinds[0]); i++)
        count += counters->by_outcome[unanswered_kinds[i]];
    return count;
}

static void take_base(struct evidence *base, const struct route_counters *sum)
{
    for (int side = 0; side < SIDES; side++) {
        base->side[side].judged = sum->side[side].judged;
        base->side[side].errors = sum->side[side].errors;
        base->side[side].unanswered = unanswered(&sum->side[side]);
        base->side[side].latency = sum->side[side].latency;
        base->side[side].crowd = sum->side[side].crowd;
    }
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
    for (int side = 0; side < SIDES && !meter->skipping; side++) { /* else what was done since is none */
        struct evidence_side *to = &evidence->side[side];
        to->judged += gained(sum->side[side].judged, base->side[side].judged);
        to->errors += gained(sum->side[side].errors, base->side[side].errors);
        to->unanswered += gained(unanswered(&sum->side[side]), base->side[side].unanswered);
        if (to->errors > to->judged) /* seen a moment before its exchange */
            to->errors = to->judged;
        if (to->unanswered > to->judged)
            to->unanswered = to->judged;
        struct histogram difference;
        histogram_difference(&difference, &sum->side[side].latency, &base->side[side].latency);
        histogram_merge(&to->latency, &difference);
        crowd_gain(&to->crowd, &sum->side[side].crowd, &base->side[side].crowd);
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
    take_base(&meter->base, sum);
    meter->base.pairs = *pairs;
    meter->seen = *pairs;
}

void evidence_mark(struct evidence_meter *meter, const struct marks marks[SIDES])
{
    for (int side = 0; side < SIDES; side++)
        marks_merge(&meter->carried.side[side].marks, &marks[side]);
}

void evidence_mark_pairs(struct evidence_meter *meter, const struct marks *marks)
{
    marks_merge(&meter->carried.pair_marks, marks);
}

/* What was gained until the first look at which the share was not in force still counts: it was a moment ago. */
void evidence_skip(struct evidence_meter *meter, const struct route_counters *sum,
                   const struct comparison_totals *pairs)
{
    if (!meter->skipping) {
        struct evidence now;
        evidence_read(meter, sum, pairs, &now);
        memcpy(meter->carried.side, now.side, sizeof(now.side));
    }
    meter->skipping = true;
    take_base(&meter->base, sum);
    evidence_follow(meter, pairs);
}

void evidence_take_up(struct evidence_meter *meter, const struct route_counters *sum)
{
    if (meter->skipping)
        take_base(&meter->base, sum);
    meter->skipping = false;
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
        memset(&meter->carried.pair_marks, 0, sizeof(meter->carried.pair_marks));
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

/* All parts in one row. */
static json_t *save_crowd(const struct crowd *crowd)
{
    json_t *pairs = json_array();
    for (uint32_t i = 0; i < CROWD_PARTS * CROWD_BUCKETS; i++) {
        uint32_t count = crowd->count[i / CROWD_BUCKETS][i % CROWD_BUCKETS];
        if (count > 0 && json_array_append_new(pairs, json_pack("[iI]", (int)i, (json_int_t)count)) != 0) {
            json_decref(pairs);
            return NULL;
        }
    }
    return pairs;
}

/* Word by word, each as 16 hex digits. */
static json_t *save_sketch(const struct sketch *sketch)
{
    char text[SKETCH_WORDS * 16 + 1];
    for (size_t i = 0; i < SKETCH_WORDS; i++)
        (void)snprintf(text + i * 16, sizeof(text) - i * 16, "%016llx", (unsigned long long)sketch->word[i]);
    return json_string(text);
}

static const struct {
    const char *key;
    size_t offset;
} mark_members[] = {
    {"keys", offsetof(struct marks, keys)},           {"error_keys", offsetof(struct marks, error_keys)},
    {"paths", offsetof(struct marks, paths)},         {"error_paths", offsetof(struct marks, error_paths)},
    {"lost_keys", offsetof(struct marks, lost_keys)}, {"lost_paths", offsetof(struct marks, lost_paths)},
};

enum {
    MARK_MEMBERS = sizeof(mark_members) / sizeof(mark_members[0])
};

static json_t *save_marks(const struct marks *marks)
{
    json_t *json = json_object();
    for (size_t i = 0; i < MARK_MEMBERS; i++) {
        const struct sketch *sketch = (const void *)((const char *)marks + mark_members[i].offset);
        if (sketch_count(sketch) > 0 && json_object_set_new(json, mark_members[i].key, save_sketch(sketch)) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

static json_t *save_side(const struct evidence_side *side)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:i, s:o, s:i, s:o}", "judged", (json_int_t)side->judged, "errors",
                     (json_int_t)side->errors, "unanswered", (json_int_t)side->unanswered, "sum_us",
                     (json_int_t)side->latency.sum_us, "steps", HISTOGRAM_STEPS, "latency",
                     save_latency(&side->latency), "crowd_of", CROWD_BUCKETS, "crowd", save_crowd(&side->crowd));
}

json_t *evidence_save(const struct evidence *evidence)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "legacy", save_side(&evidence->side[SIDE_LEGACY]), "new",
                     save_side(&evidence->side[SIDE_NEW]), "compared", (json_int_t)evidence->pairs.compared,
                     "mismatched", (json_int_t)evidence->pairs.mismatched, "marks",
                     save_marks(&evidence->side[SIDE_NEW].marks), "legacy_marks",
                     save_marks(&evidence->side[SIDE_LEGACY].marks), "pair_marks", save_marks(&evidence->pair_marks));
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

static bool load_optional(const json_t *object, const char *key, uint64_t *count)
{
    *count = 0;
    return json_object_get(object, key) == NULL || load_count(object, key, count);
}

enum {
    OLD_STEPS = HISTOGRAM_STEPS / 2, /* of each power of two in the first version's histograms */
    OLD_BUCKETS = OLD_STEPS * 29,
};

/*
 * An old bucket is two of today's, but where it held one value. Which of its values lay in which half is not known:
 * half of them go to each, the odd one to the slower, so that quantiles read as they did before.
 */
static void add_old_bucket(struct histogram *latency, uint32_t bucket, uint64_t count)
{
    if (bucket < HISTOGRAM_STEPS) {
        latency->count[bucket] += count;
        return;
    }
    uint32_t first = bucket / OLD_STEPS * HISTOGRAM_STEPS - HISTOGRAM_STEPS + bucket % OLD_STEPS * 2;
    latency->count[first] += count / 2;
    latency->count[first + 1] += count - count / 2;
}

static bool load_bucket(const json_t *pair, bool old, struct histogram *latency)
{
    const json_t *bucket = json_array_get(pair, 0);
    const json_t *count = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(bucket) || !json_is_integer(count))
        return false;
    json_int_t index = json_integer_value(bucket);
    json_int_t number = json_integer_value(count);
    if (index < 0 || index >= (old ? OLD_BUCKETS : HISTOGRAM_BUCKETS) || number < 0 || number > COUNT_MAX)
        return false;
    if (old)
        add_old_bucket(latency, (uint32_t)index, (uint64_t)number);
    else
        latency->count[index] = (uint64_t)number;
    return true;
}

static bool load_latency(const json_t *object, struct histogram *latency)
{
    const json_t *buckets = json_object_get(object, "latency");
    uint64_t steps;
    if (!json_is_array(buckets) || !load_optional(object, "steps", &steps) || (steps != 0 && steps != HISTOGRAM_STEPS))
        return false;
    for (size_t i = 0; i < json_array_size(buckets); i++)
        if (!load_bucket(json_array_get(buckets, i), steps == 0, latency))
            return false;
    return true;
}

static bool load_crowd_row(const json_t *pair, struct crowd *crowd)
{
    const json_t *place = json_array_get(pair, 0);
    const json_t *count = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(place) || !json_is_integer(count))
        return false;
    json_int_t index = json_integer_value(place);
    json_int_t number = json_integer_value(count);
    if (index < 0 || index >= CROWD_PARTS * CROWD_BUCKETS || number < 0 || number > UINT32_MAX)
        return false;
    crowd->count[index / CROWD_BUCKETS][index % CROWD_BUCKETS] = (uint32_t)number;
    return true;
}

static bool load_crowd(const json_t *object, struct crowd *crowd)
{
    const json_t *rows = json_object_get(object, "crowd");
    uint64_t buckets;
    if (rows == NULL)
        return true;
    if (!json_is_array(rows) || !load_count(object, "crowd_of", &buckets) || buckets != CROWD_BUCKETS)
        return false;
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (!load_crowd_row(json_array_get(rows, i), crowd))
            return false;
    return true;
}

static bool load_side(const json_t *object, struct evidence_side *side)
{
    return load_count(object, "judged", &side->judged) && load_count(object, "errors", &side->errors) &&
           load_optional(object, "unanswered", &side->unanswered) &&
           load_count(object, "sum_us", &side->latency.sum_us) && side->errors <= side->judged &&
           side->unanswered <= side->judged && load_latency(object, &side->latency) && load_crowd(object, &side->crowd);
}

static bool load_sketch(const json_t *json, struct sketch *sketch)
{
    if (json_string_length(json) != SKETCH_WORDS * 16)
        return false;
    const char *text = json_string_value(json);
    for (size_t i = 0; i < SKETCH_WORDS * 16; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
        if (digit == NULL)
            return false;
        sketch->word[i / 16] = sketch->word[i / 16] << 4 | (uint64_t)(digit - digits);
    }
    return true;
}

static bool load_marks(const json_t *json, struct marks *marks)
{
    if (json != NULL && !json_is_object(json))
        return false;
    for (size_t i = 0; i < MARK_MEMBERS; i++) {
        struct sketch *sketch = (void *)((char *)marks + mark_members[i].offset);
        const json_t *member = json_object_get(json, mark_members[i].key);
        if (member != NULL && !load_sketch(member, sketch))
            return false;
    }
    return true;
}

bool evidence_load(const json_t *json, struct evidence *evidence)
{
    memset(evidence, 0, sizeof(*evidence));
    return load_side(json_object_get(json, "legacy"), &evidence->side[SIDE_LEGACY]) &&
           load_side(json_object_get(json, "new"), &evidence->side[SIDE_NEW]) &&
           load_count(json, "compared", &evidence->pairs.compared) &&
           load_count(json, "mismatched", &evidence->pairs.mismatched) &&
           evidence->pairs.mismatched <= evidence->pairs.compared &&
           load_marks(json_object_get(json, "marks"), &evidence->side[SIDE_NEW].marks) &&
           load_marks(json_object_get(json, "legacy_marks"), &evidence->side[SIDE_LEGACY].marks) &&
           load_marks(json_object_get(json, "pair_marks"), &evidence->pair_marks);
}
