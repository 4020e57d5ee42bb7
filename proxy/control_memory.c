/*
 * Memory by the control group's limit, as control sees to it: hands out shares of the limit, looks with the tick how
 * close it is, tells of a new level, and gives what has been freed back to the kernel. What a level means for
 * traffic is the workers' business (worker_memory.c). Control thread.
 */
#include "proxy/control_inside.h"

#include <malloc.h>

#include "proxy/memory.h"
#include "proxy/worker.h"
#include "shadow/archive.h"
#include "shadow/comparer.h"
#include "shadow/report.h"

enum {
    TRIM_MS = 100,        /* while memory is short */
    QUIET_MS = 10 * 1000, /* without a request: what the last ones took is given back, once */
};

static void tell_limit(struct control *control)
{
    uint64_t limit = memory_limit(&control->memory);
    struct memory_shares shares = memory_shares_of(limit);
    size_t shadow = control->holder->config->limits.shadow_memory;
    if (limit == 0)
        return;
    log_event(control->log, LOG_LEVEL_INFO, "memory_limit",
              json_pack("{s:I, s:I, s:I, s:I}", "limit", (json_int_t)limit, "used",
                        (json_int_t)memory_used(&control->memory), "shadow_memory",
                        (json_int_t)(shadow < shares.shadow ? shadow : shares.shadow), "report",
                        (json_int_t)shares.report));
}

void control_memory_open(struct control *control)
{
    memory_init(&control->memory, &cgroup_system, control_clock_ms());
    struct memory_shares shares = memory_shares_of(memory_limit(&control->memory));
    if (control->report != NULL)
        report_bound(control->report, shares.report, shares.samples);
    if (memory_limit(&control->memory) > 0)
        archive_bound(shares.archive, shares.archive * 4);
}

void control_memory_begin(struct control *control)
{
    uint64_t limit = memory_limit(&control->memory);
    struct memory_shares shares = memory_shares_of(limit);
    const struct compare_bounds bounds = {.nodes = shares.json_nodes, .bytes = limit > 0 ? shares.samples * 2 : 0};
    comparer_limit(control->comparer, &bounds);
    tell_limit(control);
}

void control_memory_reloaded(struct control *control)
{
    tell_limit(control);
}

static void tell_level(struct control *control)
{
    enum memory_level level = memory_level(&control->memory);
    if (level == control->memory_told)
        return;
    log_event(control->log, level > control->memory_told ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "memory_pressure",
              json_pack("{s:s, s:s, s:I, s:I}", "from", memory_level_name(control->memory_told), "to",
                        memory_level_name(level), "used", (json_int_t)memory_used(&control->memory), "limit",
                        (json_int_t)memory_limit(&control->memory)));
    control->memory_told = level;
}

/* All arenas, also the workers': glibc keeps what was freed in the middle of one for ever otherwise. */
static void trim(struct control *control, uint64_t now_ms, uint64_t next_ms)
{
    (void)malloc_trim(0);
    control->memory_trim_at_ms = now_ms + next_ms;
}

/* Once after the last request, when the workers have had time to see that they are quiet. */
static void trim_in_the_quiet(struct control *control, uint64_t now_ms)
{
    if (now_ms < control->memory_trim_at_ms)
        return;
    struct worker_counters sum;
    control_counters(control, &sum);
    uint64_t events = sum.downstream_requests + sum.downstream_connections;
    bool quiet = events == control->memory_events;
    control->memory_events = events;
    if (quiet && !control->memory_is_trimmed)
        (void)malloc_trim(0);
    control->memory_is_trimmed = quiet;
    control->memory_trim_at_ms = now_ms + QUIET_MS;
}

void control_memory_tick(struct control *control, uint64_t now_ms)
{
    if (memory_tick(&control->memory, now_ms)) {
        tell_limit(control);
        control->publish_wanted = true; /* workers take their shares with a snapshot */
    }
    if (memory_limit(&control->memory) == 0)
        return;
    bool is_new = memory_level(&control->memory) != control->memory_told;
    tell_level(control);
    if (memory_level(&control->memory) == MEMORY_PLENTY)
        trim_in_the_quiet(control, now_ms);
    else if (is_new || now_ms >= control->memory_trim_at_ms)
        trim(control, now_ms, TRIM_MS);
}
