/*
 * The verdict on a route's comparison: does the rate of differing answers hold its limit? One sentence and one word.
 */
#ifndef SHUNT_SHADOW_VERDICT_H
#define SHUNT_SHADOW_VERDICT_H

#include <stddef.h>
#include <stdint.h>

#include "router/gate.h" /* enum verdict: pass, fail, undecided; verdict_name() */

enum {
    VERDICT_ROOM = 320
};

struct rate_verdict {
    enum verdict result; /* pass: at this confidence the rate is at or below the limit; fail: it is above */
    double rate;         /* of compared; 0 without any */
    double at_least;     /* one-sided bounds at `confidence`, each by Clopper and Pearson (1934) */
    double at_most;
    char sentence[VERDICT_ROOM];
};

/*
 * `name` opens the sentence: "orders-read: 1,204,332 compared, 12 differ (0.0010 %), at 99 % confidence below 0.0019 %;
 * limit 0.01 %: pass". `limit` negative: none, and the result is undecided.
 */
void verdict_judge(const char *name, uint64_t compared, uint64_t differing, double limit, double confidence,
                   struct rate_verdict *verdict);

#endif
