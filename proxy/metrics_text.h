/*
 * Writes the Prometheus text exposition format 0.0.4: HELP, TYPE and samples with escaped labels.
 *
 * Not thread-safe; one writer per page. A failure (no memory) is remembered, so that only the end has to be checked.
 */
#ifndef SHUNT_PROXY_METRICS_TEXT_H
#define SHUNT_PROXY_METRICS_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/buffer.h>

enum metrics_type {
    METRICS_COUNTER,
    METRICS_GAUGE,
    METRICS_HISTOGRAM
};

struct metrics_label {
    const char *name;
    const char *value;
};

enum {
    METRICS_NAME_ROOM = 96
};

struct metrics_text {
    struct evbuffer *out;         /* borrowed */
    char name[METRICS_NAME_ROOM]; /* of the current family, with prefix and suffix */
    bool failed;
};

void metrics_text_init(struct metrics_text *text, struct evbuffer *out);

/* Starts a family; the samples that follow belong to it. The name is given as it will stand, "_total" included. */
void metrics_text_family(struct metrics_text *text, const char *name, enum metrics_type type, const char *help);

/* One sample of the family. `labels` end with a NULL name; NULL: none. */
void metrics_text_count(struct metrics_text *text, const struct metrics_label *labels, uint64_t value);
void metrics_text_value(struct metrics_text *text, const struct metrics_label *labels, double value);

/* A family of one sample without labels. */
struct metrics_fact {
    const char *name;
    enum metrics_type type;
    double value;
    const char *help;
};
void metrics_text_facts(struct metrics_text *text, const struct metrics_fact *facts, size_t count);

/* One histogram: `cumulative[i]` samples took at most `edges_us[i]` microseconds, `total` in all. Written in seconds.
 */
void metrics_text_histogram(struct metrics_text *text, const struct metrics_label *labels, const uint64_t *edges_us,
                            const uint64_t *cumulative, uint32_t edges, uint64_t total, uint64_t sum_us);

#endif
