/*
 * Runs a simulator again and again and sums up. Keeps every run until the end, as medians need them all.
 */
#include "tools/shuntctl/forecast.h"

#include <math.h>
#include <stdlib.h>

double forecast_limit(const struct config_gates *gates, enum gate_kind kind)
{
    switch (kind) {
    case GATE_ERROR_RATE_INCREASE:
        return gates->error_rate_increase;
    case GATE_ERROR_RATE:
        return gates->error_rate;
    case GATE_P50_INCREASE:
        return gates->p50_increase;
    case GATE_P95_INCREASE:
        return gates->p95_increase;
    case GATE_P99_INCREASE:
        return gates->p99_increase;
    case GATE_P95_RATIO:
        return gates->p95_ratio;
    case GATE_MISMATCH_RATE:
        return gates->mismatch_rate;
    default:
        return RATE_UNSET;
    }
}

/* Evidence grows by so much from look to look: answers are late by half of it, and come ten times as soon. */
#define STEP 0.1

/* ---- spreads ---- */

struct runs {
    const struct simulate_run *run;
    uint32_t count;
    double *values; /* room for as many */
};

/* What is asked of each run: NaN where it has no answer. */
struct question {
    double (*answer)(const struct question *question, const struct simulate_run *run);
    uint32_t stage;
    enum gate_kind gate;
    enum verdict verdict;
    enum simulate_end end;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct spread spread_of(const struct runs *runs, struct question question)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < runs->count; i++) {
        double value = question.answer(&question, &runs->run[i]);
        if (!isnan(value))
            runs->values[count++] = value;
    }
    if (count == 0)
        return (struct spread){0};
    qsort(runs->values, count, sizeof(runs->values[0]), by_value);
    return (struct spread){count, runs->values[count / 20], runs->values[count / 2],
                           runs->values[count - 1 - count / 20]};
}

static double end_of(const struct question *q, const struct simulate_run *run)
{
    return run->end == q->end ? (double)run->end_ms : NAN;
}

static double errors_of(const struct question *q, const struct simulate_run *run)
{
    (void)q;
    return (double)run->errors_of_new;
}

static double stay_of(const struct question *q, const struct simulate_run *run)
{
    return run->stages[q->stage].left ? (double)run->stages[q->stage].took_ms : NAN;
}

static double decision_of(const struct question *q, const struct simulate_run *run)
{
    const struct simulate_gate *gate = &run->stages[q->stage].gate[q->gate];
    return gate->applies && gate->verdict == q->verdict ? (double)gate->after_ms : NAN;
}

static double evidence_of(const struct question *q, const struct simulate_run *run)
{
    const struct simulate_gate *gate = &run->stages[q->stage].gate[q->gate];
    return gate->applies && gate->verdict != VERDICT_UNDECIDED ? (double)gate->evidence : NAN;
}

/* ---- gates and stages ---- */

static bool is_stuck_in(const struct simulate_run *run, uint32_t stage)
{
    return run->stage == stage && (run->end == SIMULATE_UNDECIDED || run->by == SIMULATE_BY_DEADLINE);
}

static void sum_gate(struct forecast_gate *gate, const struct runs *runs, const struct config_gates *gates,
                     const struct simulate_world *world, uint32_t stage, enum gate_kind kind)
{
    gate->limit = forecast_limit(gates, kind);
    gate->measures = gate->limit >= 0;
    gate->holds = simulate_holds(gates, world, kind, &gate->truth);
    for (uint32_t i = 0; i < runs->count; i++) {
        const struct simulate_gate *one = &runs->run[i].stages[stage].gate[kind];
        if (!one->applies)
            continue;
        gate->applies = true;
        gate->passed += one->verdict == VERDICT_PASS;
        gate->failed += one->verdict == VERDICT_FAIL;
        gate->undecided += one->verdict == VERDICT_UNDECIDED;
        gate->open += is_stuck_in(&runs->run[i], stage) && one->newest == VERDICT_UNDECIDED;
    }
    gate->pass_ms = spread_of(runs, (struct question){decision_of, stage, kind, VERDICT_PASS, 0});
    gate->fail_ms = spread_of(runs, (struct question){decision_of, stage, kind, VERDICT_FAIL, 0});
    gate->evidence = spread_of(runs, (struct question){evidence_of, stage, kind, 0, 0});
}

/* The gate for which the stage was left no sooner; none where the hold was longer. */
static enum gate_kind decided_last(const struct simulate_stage *stage, uint64_t hold_ms)
{
    if (stage->last == GATES || stage->gate[stage->last].after_ms <= hold_ms)
        return GATES;
    return stage->last;
}

static void sum_stage(struct forecast_stage *stage, const struct runs *runs, const struct config_stage *config,
                      const struct simulate_world *world, uint32_t index)
{
    for (uint32_t i = 0; i < runs->count; i++) {
        const struct simulate_stage *one = &runs->run[i].stages[index];
        stage->entered += one->entered;
        stage->left += one->left;
        stage->by_hand = stage->by_hand || one->by_hand;
        if (one->left)
            stage->last[decided_last(one, config->hold_ms)]++;
    }
    stage->took_ms = spread_of(runs, (struct question){stay_of, index, 0, 0, 0});
    for (int kind = 0; kind < GATES; kind++)
        sum_gate(&stage->gate[kind], runs, &config->gates, world, index, (enum gate_kind)kind);
}

/* ---- runs ---- */

static bool was_promoted_wrongly(const struct simulate_run *run, const struct config_route *route,
                                 const struct simulate_world *world, uint32_t stage_count)
{
    double truth;
    for (uint32_t i = 0; i < stage_count; i++)
        for (int kind = 0; kind < GATES; kind++)
            if (run->stages[i].left && run->stages[i].gate[kind].applies &&
                !simulate_holds(&route->stages[i].gates, world, (enum gate_kind)kind, &truth))
                return true;
    return false;
}

static void sum_run(struct forecast *forecast, const struct simulate_run *run, const struct config_route *route,
                    const struct simulate_world *world)
{
    double truth;
    bool ended = run->end != SIMULATE_DONE && run->end != SIMULATE_UNDECIDED;
    forecast->ends[run->end]++;
    forecast->tripped += run->trips > 0;
    forecast->promoted_wrongly += was_promoted_wrongly(run, route, world, forecast->stage_count);
    if (!ended)
        return;
    forecast->by_breaker += run->by == SIMULATE_BY_BREAKER;
    forecast->by_deadline += run->by == SIMULATE_BY_DEADLINE;
    if (run->by != SIMULATE_BY_GATE)
        return;
    forecast->by_gate[run->gate]++;
    forecast->failed_wrongly += simulate_holds(&route->stages[run->stage].gates, world, run->gate, &truth);
}

static void sum_up(struct forecast *forecast, const struct runs *runs, const struct config_route *route,
                   const struct simulate_world *world)
{
    forecast->runs = runs->count;
    for (uint32_t i = 0; i < runs->count; i++)
        sum_run(forecast, &runs->run[i], route, world);
    for (int end = 0; end < SIMULATE_ENDS; end++)
        forecast->end_ms[end] = spread_of(runs, (struct question){end_of, 0, 0, 0, (enum simulate_end)end});
    forecast->errors_of_new = spread_of(runs, (struct question){errors_of, 0, 0, 0, 0});
    for (uint32_t i = 0; i < forecast->stage_count; i++)
        sum_stage(&forecast->stages[i], runs, &route->stages[i], world, i);
}

static struct forecast *forecast_new(uint32_t stage_count)
{
    struct forecast *forecast = calloc(1, sizeof(*forecast));
    if (forecast == NULL)
        return NULL;
    forecast->stage_count = stage_count < SIMULATE_STAGES ? stage_count : SIMULATE_STAGES;
    forecast->stages = calloc(forecast->stage_count + 1, sizeof(*forecast->stages));
    if (forecast->stages == NULL) {
        free(forecast);
        return NULL;
    }
    return forecast;
}

void forecast_free(struct forecast *forecast)
{
    if (forecast == NULL)
        return;
    free(forecast->stages);
    free(forecast);
}

struct forecast *forecast_make(const struct config *config, uint32_t route, const struct simulate_world *world,
                               uint32_t runs, uint64_t seed, uint64_t most_ms, forecast_progress *progress,
                               void *context)
{
    const struct config_route *plan = &config->routes[route];
    struct simulator *simulator = simulator_new(config, route, world);
    struct simulate_run *run = calloc(runs, sizeof(*run));
    double *values = calloc(runs, sizeof(*values));
    struct forecast *forecast = forecast_new(plan->stage_count);
    bool good = simulator != NULL && run != NULL && values != NULL && forecast != NULL;
    uint32_t done = 0;
    if (simulator != NULL)
        simulator_step(simulator, STEP);
    while (good && done < runs) {
        good = simulator_run(simulator, seed + done, most_ms, &run[done]);
        done += good;
        if (good && progress != NULL && !progress(context, done))
            break;
    }
    if (good) {
        sum_up(forecast, &(struct runs){run, done, values}, plan, world);
    } else {
        forecast_free(forecast);
        forecast = NULL;
    }
    simulator_free(simulator);
    free(run);
    free(values);
    return forecast;
}
