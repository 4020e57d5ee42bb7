/*
 * Leaves one part of the crowd after the other out, and compares what is left. Control thread, for a gate that would
 * decide: some 100 us, most of it for going through two histograms sixteen times.
 */
#include "router/few.h"

#include "router/confseq.h"

/* What a gate can tell at all: the width of a bucket of histogram.h. */
#define FINEST (1.0 / HISTOGRAM_STEPS)

/* Both sides, whole or without a part. */
struct pair_of_sides {
    const struct histogram *latency[SIDES];
    double quantile[SIDES];
};

static struct pair_of_sides pair_of(const struct histogram *legacy, const struct histogram *new, double quantile)
{
    return (struct pair_of_sides){
        .latency = {[SIDE_LEGACY] = legacy, [SIDE_NEW] = new},
        .quantile =
            {[SIDE_LEGACY] = histogram_quantile(legacy, quantile), [SIDE_NEW] = histogram_quantile(new, quantile)},
    };
}

/* new / legacy; 0 where legacy has nothing to compare with. */
static double ratio_of(const struct pair_of_sides *pair)
{
    double legacy = pair->quantile[SIDE_LEGACY];
    return legacy > 0 ? pair->quantile[SIDE_NEW] / legacy : 0;
}

static struct interval interval_of(const struct few_question *question, const struct pair_of_sides *pair)
{
    struct interval increase = confseq_of_increase(pair->latency[SIDE_NEW], pair->latency[SIDE_LEGACY],
                                                   question->quantile, question->confidence);
    return (struct interval){increase.low + 1, increase.high + 1};
}

static bool is_slower_by_it(const struct pair_of_sides *all, const struct pair_of_sides *rest, enum side side)
{
    return all->quantile[side] > rest->quantile[side] * (1 + FINEST);
}

static bool fails_by_it(const struct few_question *question, const struct pair_of_sides *all,
                        const struct pair_of_sides *rest)
{
    if (histogram_total(rest->latency[SIDE_NEW]) == 0 || !is_slower_by_it(all, rest, SIDE_NEW) ||
        ratio_of(all) <= ratio_of(rest) * (1 + FINEST))
        return false;
    return interval_of(question, rest).low <= question->limit;
}

static bool passes_by_it(const struct few_question *question, const struct pair_of_sides *all,
                         const struct pair_of_sides *rest)
{
    for (int side = 0; side < SIDES; side++)
        if (histogram_total(rest->latency[side]) < question->least)
            return false;
    if (!is_slower_by_it(all, rest, SIDE_LEGACY) || ratio_of(rest) <= ratio_of(all) * (1 + FINEST))
        return false;
    return interval_of(question, rest).high > question->limit;
}

static enum few ask_each(const struct few_question *question,
                         bool decides(const struct few_question *, const struct pair_of_sides *,
                                      const struct pair_of_sides *))
{
    const struct evidence_side *side = question->evidence->side;
    const struct pair_of_sides all = pair_of(&side[SIDE_LEGACY].latency, &side[SIDE_NEW].latency, question->quantile);
    for (uint32_t part = 0; part < CROWD_PARTS; part++) {
        struct histogram left[SIDES];
        for (int i = 0; i < SIDES; i++)
            crowd_without(&side[i].crowd, part, &side[i].latency, &left[i]);
        const struct pair_of_sides rest = pair_of(&left[SIDE_LEGACY], &left[SIDE_NEW], question->quantile);
        if (decides(question, &all, &rest))
            return crowd_part_is_paths(part) ? FEW_PATHS : FEW_CLIENTS;
    }
    return FEW_NOT;
}

enum few few_make_new_fail(const struct few_question *question)
{
    return ask_each(question, fails_by_it);
}

enum few few_make_new_pass(const struct few_question *question)
{
    return ask_each(question, passes_by_it);
}
