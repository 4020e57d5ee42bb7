/*
 * Few: does a verdict on latency rest on a few clients, or on a few paths?
 *
 * It does where it would not be the same without one part of the crowd (crowd.h), on both sides, if that part makes
 * the side slower that has to be slow for the verdict, new to fail and legacy to pass, and leads to the verdict by
 * that. So a path that is slow on both sides, whose exchanges are the whole tail of either, decides nothing: without it
 * both are faster.
 *
 * The verdict without a part is by the same confidence sequence. Nothing is asked of parts that lead nowhere by more
 * than the width of a bucket, so that no verdict takes more evidence where nobody is odd.
 */
#ifndef SHUNT_ROUTER_FEW_H
#define SHUNT_ROUTER_FEW_H

#include "router/evidence.h"

enum few {
    FEW_NOT,
    FEW_CLIENTS,
    FEW_PATHS,
};

struct few_question {
    const struct evidence *evidence;
    double quantile;
    double limit; /* of new / legacy */
    double confidence;
    uint64_t least; /* exchanges of each side without which what is left could never pass */
};

/* New's quantile is above the limit: is it without them? What is left may be too little to tell: then it rests on them.
 * Where nothing is left of new, they are all there are. */
enum few few_make_new_fail(const struct few_question *question);
/* New's quantile is below the limit: is it without them? Not asked where less than `least` is left on a side. */
enum few few_make_new_pass(const struct few_question *question);

#endif
