/*
 * Looks after the workers' loops, which cannot say themselves that they hang. Who watches the process (a liveness
 * probe, systemd's watchdog) is told, and ends it. Control's own loop needs nobody: when it hangs, nobody is answered.
 */
#include "proxy/control_inside.h"

#include <stdlib.h>

#include "proxy/worker.h"

bool control_liveness_begin(struct control *control)
{
    control->liveness = calloc(control->worker_count, sizeof(*control->liveness));
    return control->liveness != NULL;
}

static void tell(struct control *control, uint32_t index, bool hangs)
{
    json_t *fields =
        json_pack("{s:i, s:I}", "worker", (int)index, "still_ms", (json_int_t)control->liveness[index].still_ms);
    log_event(control->log, hangs ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, hangs ? "worker_hangs" : "worker_turns_again",
              fields);
}

bool control_liveness_tick(struct control *control, uint64_t now_ms)
{
    bool all_turn = true;
    for (uint32_t i = 0; i < control->worker_count; i++) {
        struct liveness *loop = &control->liveness[i];
        bool did_hang = liveness_hangs(loop);
        uint64_t rounds = __atomic_load_n(&worker_counters(control->workers[i])->loop_rounds, __ATOMIC_RELAXED);
        if (worker_finished(control->workers[i]))
            *loop = (struct liveness){0}; /* it has ended as it was to */
        else
            liveness_look(loop, rounds, now_ms);
        if (liveness_hangs(loop) != did_hang)
            tell(control, i, !did_hang);
        all_turn = all_turn && !liveness_hangs(loop);
    }
    return all_turn;
}

bool control_hanging_worker(const struct control *control, uint32_t *index, uint64_t *still_ms)
{
    for (uint32_t i = 0; control->liveness != NULL && i < control->worker_count; i++) {
        if (!liveness_hangs(&control->liveness[i]))
            continue;
        *index = i;
        *still_ms = control->liveness[i].still_ms;
        return true;
    }
    return false;
}
