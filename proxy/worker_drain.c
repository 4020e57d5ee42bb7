/*
 * Draining, as a worker does it: see drain.h for the phases. Worker thread. The tick takes a worker from one phase to
 * the next; what a phase means for one connection is its codec's business (downstream.h, tunnel.h).
 *
 * From LEAVING on codecs say with every response that it was the last, which takes no walk; LEAVING itself is told to
 * those that can be told without one (HTTP/2). Nothing is taken back from a client that has been told when draining is:
 * it leaves, and comes again.
 */
#include "proxy/worker_drain.h"

#include "proxy/downstream.h"
#include "proxy/health.h"
#include "proxy/listener.h"
#include "proxy/mirror.h"
#include "proxy/tunnel.h"
#include "proxy/upstream.h"
#include "proxy/worker_inside.h"

enum {
    QUIET_MOST_MS = 5000, /* a relay that draining finds silent for so long is idle, where the minimum is longer */
};

static void tell_downstreams(struct worker *worker, enum drain_phase phase)
{
    struct downstream *next;
    for (struct downstream *down = worker->downstreams; down != NULL; down = next) {
        next = down->next; /* draining one closes only itself */
        down->ops->drain(down, phase);
    }
}

/* Nobody comes any more: what was for those who would have is given up. */
static void stop_taking(struct worker *worker)
{
    listeners_end(worker);
    health_stop(worker);
    (void)upstream_set_close_idle(worker->upstreams, USE_LIVE);
    (void)upstream_set_close_idle(worker->upstreams, USE_SHADOW);
    (void)upstream_set_close_idle(worker->upstreams, USE_HEALTH);
}

static void break_off(struct worker *worker)
{
    listeners_close_all(worker);
    while (worker->downstreams != NULL)
        worker->downstreams->ops->drain(worker->downstreams, DRAIN_OVER);
    tunnels_close(worker);
    (void)mirrors_cancel(worker, MIRROR_TIMEOUT);
}

static bool has_clients(const struct worker *worker)
{
    /* A listener that is left has some in its queue. Copies are not waited for. */
    return worker->downstreams != NULL || worker->tunnels_open > 0 || worker->listeners != NULL;
}

/*
 * So long silent, a relay of passthrough is idle. Once the end is due the half of the time that is left is enough: a
 * client that asks again and again would be cut at the end, and between two answers it loses nothing.
 */
static uint64_t relay_quiet_ms(const struct worker *worker)
{
    const struct drain *drain = &worker->drain;
    uint64_t now_ms = worker_now_ms(worker), quiet_ms = UINT64_MAX;
    if (drain->min_ms > 0)
        quiet_ms = drain->min_ms < QUIET_MOST_MS ? drain->min_ms : QUIET_MOST_MS;
    if (!drain->ends)
        return quiet_ms;
    uint64_t half_ms = drain->until_ms > now_ms ? (drain->until_ms - now_ms) / 2 : 0;
    return half_ms < quiet_ms ? half_ms : quiet_ms;
}

void worker_drain_tick(struct worker *worker)
{
    enum drain_phase before = worker->phase, phase = drain_phase(&worker->drain, worker_now_ms(worker));
    worker->phase = phase;
    if (phase >= DRAIN_ENDING && before < DRAIN_ENDING)
        stop_taking(worker);
    if (phase > before && phase >= DRAIN_LEAVING)
        tell_downstreams(worker, phase);
    if (phase >= DRAIN_CLOSING)
        tunnels_close_idle(worker, relay_quiet_ms(worker));
    if (phase == DRAIN_OVER || (phase == DRAIN_ENDING && !has_clients(worker)))
        break_off(worker);
    atomic_store_explicit(&worker->phase_taken, phase, memory_order_relaxed);
}

void worker_drain_set(struct worker *worker, const struct drain *drain)
{
    worker->drain = *drain;
    worker_drain_tick(worker);
}

bool worker_drain_is_busy(const struct worker *worker)
{
    return worker->drain.begun && worker->phase != DRAIN_CLOSING; /* which may last for ever */
}

bool worker_drain_is_done(const struct worker *worker)
{
    return worker->phase >= DRAIN_ENDING && !has_clients(worker) && worker->mirrors == NULL;
}
