/*
 * What a stage has shown so far: the exchanges of both sides and the compared pairs since it began, across restarts.
 *
 * A meter turns ever-growing counters into evidence: what they gained since a base, plus what was carried over (from
 * before a restart, or legacy's record from the stage before when the new stage leaves legacy no traffic of its own).
 */
#ifndef SHUNT_ROUTER_EVIDENCE_H
#define SHUNT_ROUTER_EVIDENCE_H

#include <jansson.h>

#include "router/router.h"
#include "router/sketch.h"

struct evidence_side {
    uint64_t judged;
    uint64_t errors;
    uint64_t unanswered; /* of judged: no connection, timeout, reset, no HTTP */
    struct histogram latency;
    struct crowd crowd; /* the same by clients and paths */
    struct marks marks;
};

struct evidence {
    struct evidence_side side[SIDES];
    struct comparison_totals pairs;
    struct marks pair_marks;
};

struct evidence_meter {
    struct evidence base;
    struct evidence carried;
    struct comparison_totals seen; /* by evidence_follow() */
    bool skipping;                 /* since the last evidence_skip() */
};

/* Begins anew. With `keep_legacy`, legacy's evidence so far is carried over. */
void evidence_begin(struct evidence_meter *meter, const struct route_counters *sum,
                    const struct comparison_totals *pairs, bool keep_legacy);
void evidence_read(const struct evidence_meter *meter, const struct route_counters *sum,
                   const struct comparison_totals *pairs, struct evidence *evidence);

/* Who asked which side, as taken from the workers. */
void evidence_mark(struct evidence_meter *meter, const struct marks marks[SIDES]);
/* Whose pairs were compared. */
void evidence_mark_pairs(struct evidence_meter *meter, const struct marks *marks);

/*
 * To be called at each look while the stage's share is not in force (passthrough, breaker, ramps, pause of the share):
 * what both sides do then is not compared, since they do not do it with the same traffic. Evidence so far is kept, and
 * compared pairs go on counting: both sides were asked the same.
 */
void evidence_skip(struct evidence_meter *meter, const struct route_counters *sum,
                   const struct comparison_totals *pairs);
/* To be called when the share is in force again, also when nothing was skipped: exchanges count from now on. */
void evidence_take_up(struct evidence_meter *meter, const struct route_counters *sum);

/*
 * Goes on with what was saved before a restart. The totals of compared pairs outlive it as well: where they do, the
 * base is set so that what the stage had gained is still in them, and noise that is learnt later is taken out of it,
 * too.
 */
void evidence_resume(struct evidence_meter *meter, const struct evidence *past, const struct comparison_totals *pairs);

/*
 * To be called now and then while a stage runs: the total of mismatched pairs falls when a field is found to be noise,
 * and both totals when the report is forgotten. What is taken back is taken from before the stage first, so that a
 * doubt never counts for new: the stage may then hold longer than it would have to, but is never left too early.
 */
void evidence_follow(struct evidence_meter *meter, const struct comparison_totals *pairs);

/* Sparse JSON; new reference, NULL without memory. */
json_t *evidence_save(const struct evidence *evidence);
/* Reads also what was saved before there were marks, crowds, unanswered exchanges and buckets as fine as these: what is
 * missing is none. False when `json` is not what evidence_save() writes; *evidence is then undefined. */
bool evidence_load(const json_t *json, struct evidence *evidence);

#endif
