/*
 * What is kept of one route in one direction. Internal to the report: report.c fills it, report_json.c tells it,
 * report_records.c stores it.
 */
#ifndef SHUNT_SHADOW_REPORT_ROW_H
#define SHUNT_SHADOW_REPORT_ROW_H

#include <jansson.h>
#include <pthread.h>

#include "router/router.h"
#include "router/sketch.h"
#include "shadow/buckets.h"
#include "shadow/cell.h"
#include "shadow/report.h"
#include "shadow/rule_counts.h"

enum {
    ROUTE_NAME_ROOM = 128,
    ROWS_MAX = 1024,
    CELLS_MAX = 128,
    CELL_SLOTS = 256,
    ROW_FIELDS_MAX = 512
};

extern const char report_other[]; /* "(other)" */

/* What traffic may make the report allocate, apart from the rows themselves. */
struct report_budgets {
    struct budget rows;  /* latency and buckets of whole routes, rule counts */
    struct budget cells; /* endpoints, their fields, groups and latencies */
    size_t most;         /* of everything, as it is told */
};

struct report_row {
    char route[ROUTE_NAME_ROOM];
    enum side primary;
    struct report_budgets *budgets; /* borrowed: the report's */
    uint64_t epoch;                 /* grows with each reset: what was read before it is of another row */
    enum config_sample_values veil; /* values may not tell more than this; a reset does not change it */
    bool changed;                   /* since it was last stored */
    uint64_t since_ms, last_ms;     /* wall clock of the first and the newest pair; 0: none since the reset */
    double limit, confidence;       /* of the route's mismatch gate when the newest pair came; limit negative: none */
    struct config_noise noise;      /* as it was then */
    uint32_t fields_left;           /* of ROW_FIELDS_MAX */
    struct cell **cells;            /* owned, each owned; a cell stays until the reset */
    uint32_t cell_count, cell_room;
    uint8_t slots[CELL_SLOTS]; /* open addressing: cell + 1, 0 is free */
    struct cell *other;        /* owned; endpoints that found no cell; NULL: all did */
    struct paired *latency;    /* owned; of all endpoints; NULL: none yet, or no room */
    struct buckets buckets;
    struct marks marks; /* whose pairs were compared and, as errors, whose differ, since report_take_marks() */
    struct rule_counts rules;
    json_t *refused; /* owned array of rules that are not understood; NULL: none */
};

struct sample_queue {
    json_t *waiting; /* owned array, NULL: none */
    size_t bytes, most;
    json_t *for_fleet; /* owned array of the newest samples, oldest first; NULL: no fleet wants them */
};

struct report {
    pthread_mutex_t lock; /* guards everything below */
    struct report_budgets budgets;
    struct report_row **rows; /* owned; a row stays where it is until report_free() */
    uint32_t count, room;
    struct report_row *last; /* the row of the pair before: most pairs in a batch are of few routes */
    struct sample_queue samples;
    struct report_veil *veils; /* owned */
    uint32_t veil_count;
};

/* ---- report_row.c ---- */

struct report_row *report_row_new(const char *route, enum side primary, struct report_budgets *budgets);
void report_row_reset(struct report_row *row);
void report_row_free(struct report_row *row);
bool report_row_is(const struct report_row *row, const char *route, enum side primary);

/* Counts a pair; returns its cell and what it touched there. NULL without memory. */
struct cell *report_row_add(struct report_row *row, const struct pair *pair, const struct comparison *comparison,
                            const char *endpoint, struct cell_hit *hit);
/* The cell of an endpoint, made when there is none; "(other)", or beyond CELLS_MAX: the one for the rest. NULL without
 * memory. */
struct cell *report_row_cell(struct report_row *row, const char *endpoint);
/* Only when it is there. */
struct cell *report_row_find(const struct report_row *row, const char *endpoint);
struct field_limits report_row_limits(struct report_row *row);
/* Cells with "(other)" last: count and access. */
uint32_t report_row_cells(const struct report_row *row);
struct cell *report_row_at(const struct report_row *row, uint32_t index);

struct row_sums { /* over all cells */
    uint64_t judged[JUDGEMENTS], noise_judged[JUDGEMENTS], obstacles[OBSTACLES];
    uint64_t noise_only;
    uint32_t differing_fields;
    bool fields_beyond;
};
void report_row_sums(const struct report_row *row, struct row_sums *sums);

/* ---- report.c ---- */

/* The row of a route and direction, made when it is the first; beyond ROWS_MAX the one for the rest. NULL without
 * memory. */
struct report_row *report_row_of(struct report *report, const char *route, enum side primary);

/* ---- report_veils.c ---- */

/* What rows of this route may show. */
enum config_sample_values report_veil_of(const struct report *report, const char *route);
/* Empties the examples of the fields that a pair touched. */
void report_drop_examples(struct cell *cell, const struct cell_hit *hit);

/* ---- report_samples.c ---- */

/* The field of a pair a sample would be made for, or FIELD_NO_ROW. Notes that one is made. */
uint32_t report_choose_sample(struct report_row *row, struct cell *cell, const struct pair *pair,
                              const struct cell_hit *hit);
bool report_has_sample_room(const struct report *report);
void report_queue_sample(struct report *report, json_t *entry);
/* Forgets what waits of a route (NULL: all). */
void report_drop_samples(struct report *report, const char *route);

/* ---- report_json.c ---- */

/* The row as one element of "routes"; a new reference, NULL without memory. */
json_t *report_row_json(const struct report_row *row);

/* ---- suggest.c ---- */

/* Rules that would take away what is noise, order or rounding; a new array, NULL without memory. */
json_t *report_suggestions(const struct report_row *row);

#endif
