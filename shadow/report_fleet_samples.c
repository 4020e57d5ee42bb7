/*
 * Samples on their way through Redis. What is told has been redacted as its route's file said when it was made; what is
 * shown is what this replica's own report might show. Telling is control's, showing the keeper's.
 */
#include "shadow/report_fleet_samples.h"

#include <stdlib.h>
#include <string.h>

#include "shadow/report_fleet.h"
#include "shadow/report_row.h"

/* ---- telling ---- */

/* A sample that is too long is told without the bodies. */
static json_t *sample_text(json_t *sample)
{
    static const char *const holders[] = {"request", "primary_answer", "shadow_answer"};
    char *text = json_dumps(sample, JSON_COMPACT);
    if (text != NULL && strlen(text) > REPORT_FLEET_SAMPLE_BYTES) {
        free(text);
        for (size_t i = 0; i < sizeof(holders) / sizeof(holders[0]); i++) {
            json_t *holder = json_object_get(sample, holders[i]);
            if (json_object_del(holder, "body") == 0)
                (void)json_object_set_new(holder, "cut", json_true());
        }
        text = json_dumps(sample, JSON_COMPACT);
    }
    json_t *json = text != NULL && strlen(text) <= REPORT_FLEET_SAMPLE_BYTES ? json_string(text) : NULL;
    free(text);
    return json;
}

json_t *fleet_samples_take(struct report *report)
{
    pthread_mutex_lock(&report->lock);
    json_t *newest = report->samples.for_fleet;
    if (json_array_size(newest) > 0)
        report->samples.for_fleet = json_array(); /* without memory: no more of them */
    pthread_mutex_unlock(&report->lock);
    size_t count = json_array_size(newest);
    if (count == 0)
        return NULL;
    json_t *texts = json_array();
    for (size_t i = count > REPORT_FLEET_SAMPLES ? count - REPORT_FLEET_SAMPLES : 0; i < count; i++) {
        json_t *text = sample_text(json_array_get(newest, i));
        if (text != NULL)
            (void)json_array_append_new(texts, text);
    }
    json_decref(newest);
    if (json_array_size(texts) > 0)
        return texts;
    json_decref(texts);
    return NULL;
}

/* ---- showing ---- */

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

json_t *fleet_samples_read(struct report *own, const json_t *texts)
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

/* Where a side has no such value, a sample says "", and a field's example nothing. */
static json_t *value_of(const json_t *difference, const char *side)
{
    json_t *value = json_object_get(difference, side);
    return json_string_length(value) > 0 ? value : NULL;
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
                          "primary", value_of(difference, "primary"), "shadow", value_of(difference, "shadow")));
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
    {
        json_array_foreach(json_object_get(endpoint, "fields"), k, field)
        {
            add_example(route, endpoint, field, samples);
        }
    }
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
    json_array_foreach(shown, i, one)
    {
        count += is_same(one, sample, "endpoint") && strcmp(field_of(one), field_of(sample)) == 0;
    }
    return count;
}

bool fleet_samples_add(json_t *route, const json_t *samples, unsigned each)
{
    size_t i;
    json_t *sample, *shown = json_array();
    add_examples(route, samples);
    json_array_foreach(samples, i, sample)
    {
        if (is_same(sample, route, "route") && is_same(sample, route, "primary") && shown_of(shown, sample) < each)
            (void)json_array_append(shown, sample);
    }
    return json_object_set_new(route, "samples", shown) == 0;
}
