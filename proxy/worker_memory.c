/*
 * Memory that is short, as a worker sees it: see memory.h for the levels. Worker thread.
 *
 * What the migration costs goes first, all of it and at once: copies, their pairs, their connections. Then spare parts
 * that only lie ready. Only when that is not enough do clients notice, and then those first that lose least:
 * connections that have rested for a while, the oldest first and a few at a time, until there is room again. Exchanges
 * under way are never broken off. Clients that are not taken wait in the kernel's queue, as they do over
 * limits.connections: most find room before they give up, and those that do not have not been served half.
 */
#include "proxy/worker_memory.h"

#include "proxy/chunk.h"
#include "proxy/downstream.h"
#include "proxy/exchange.h"
#include "proxy/h2_block.h"
#include "proxy/h2_client.h"
#include "proxy/h2_server.h"
#include "proxy/memory.h"
#include "proxy/mirror.h"
#include "proxy/pipe.h"
#include "proxy/turn.h"
#include "proxy/upstream.h"

enum {
    TRIM_MS = 100,       /* how often spare parts are freed while memory is short */
    CLIENTS_ALWAYS = 64, /* of the whole process: a limit that something else has used up does not shut everybody out */
    CLOSED_PER_TICK = 8, /* what it has brought is seen later: the kernel frees a socket when it finds time */
    LOOKED_AT_PER_TICK = 512,
    LOOK_CLOSE_MS = 4,
    LOOK_FAR_MS = 20,
    PROMISE_PART = 6,          /* of what was promised is forgotten with each tick: half within 60 ms */
    EXCHANGES_ALWAYS = 16,     /* of the whole process */
    EXCHANGE_BYTES = 8 * 1024, /* what one under way may yet take, on average */
};

void worker_memory_grew(struct worker *worker, size_t bytes)
{
    memory_grew(worker->memory, &worker->chunks.taken, bytes, worker_now_ms(worker));
}

void worker_memory_promise(struct worker *worker, size_t bytes)
{
    if (memory_limit(worker->memory) == 0)
        return;
    worker->promised += bytes;
    worker_memory_grew(worker, bytes);
}

/* As if all workers had promised as much as this one. */
bool worker_memory_has_room_for(const struct worker *worker, size_t bytes)
{
    return memory_level(worker->memory) < MEMORY_SCARCE &&
           memory_has_room(worker->memory, (worker->promised + bytes) * worker->workers);
}

static uint64_t exchanges_under_way(const struct worker *worker)
{
    return worker->exchanges_open - worker->counters.upstream_queue;
}

bool worker_memory_has_few_exchanges(const struct worker *worker)
{
    return exchanges_under_way(worker) < worker_part(worker, EXCHANGES_ALWAYS);
}

bool worker_memory_has_room_for_exchange(const struct worker *worker)
{
    return worker_memory_has_few_exchanges(worker) ||
           worker_memory_has_room_for(worker, (size_t)exchanges_under_way(worker) * EXCHANGE_BYTES);
}

/* Who would only wait for a turn waits in the kernel's queue as well. Not when listeners are about to close. */
static bool allows_newcomers(const struct worker *worker)
{
    if (worker->phase >= DRAIN_CLOSING)
        return worker_memory_has_room_for(worker, 0);
    return worker->turns.waiting == 0 &&
           worker_memory_has_room_for(worker, (size_t)worker->greetings * TURN_HANDSHAKE_BYTES);
}

bool worker_memory_allows_clients(const struct worker *worker, uint64_t open)
{
    return memory_limit(worker->memory) == 0 || open < worker_part(worker, CLIENTS_ALWAYS) || allows_newcomers(worker);
}

size_t worker_memory_shadow_bound(const struct worker *worker)
{
    size_t share = memory_shares_of(memory_limit(worker->memory)).shadow;
    size_t bound = worker->view->config->limits.shadow_memory;
    return (bound < share ? bound : share) / worker->workers;
}

/* What only lies ready; all of it is made again when it is needed. */
static void free_spare_parts(struct worker *worker)
{
    mirrors_reclaim(worker);
    mirrors_trim(worker);
    exchanges_done(worker);
    h2_clients_done(worker);
    h2_blocks_done(worker);
    h2_server_streams_done(worker);
    conn_spares_done(worker);
    pipes_done(worker);
    chunk_pool_done(&worker->chunks);
}

void worker_memory_rest(struct worker *worker)
{
    if (memory_limit(worker->memory) > 0)
        free_spare_parts(worker);
}

static void shed_shadow(struct worker *worker)
{
    mirrors_shed(worker, MIRROR_MEMORY);
    (void)upstream_set_close_idle(worker->upstreams, USE_SHADOW);
    free_spare_parts(worker);
    worker->trim_at_ms = worker_now_ms(worker) + TRIM_MS;
}

/* While there is work a look costs little, and a burst is over before the tick comes. */
void worker_memory_look(struct worker *worker)
{
    uint64_t now_ms = worker_now_ms(worker);
    if (memory_limit(worker->memory) == 0) {
        worker->look_at_ms = UINT64_MAX; /* until a round finds that there is one */
        return;
    }
    if (worker->tick_is_fast || memory_is_close(worker->memory))
        memory_look(worker->memory, now_ms); /* in the quiet control's looks will do */
    worker->look_at_ms = now_ms + (memory_is_close(worker->memory) ? LOOK_CLOSE_MS : LOOK_FAR_MS);
}

void worker_memory_round(struct worker *worker)
{
    if (worker->look_at_ms == UINT64_MAX)
        worker->look_at_ms = 0;
    enum memory_level level = memory_level(worker->memory), before = worker->memory_level;
    if (level == before)
        return;
    worker->memory_level = level;
    if (level > MEMORY_PLENTY && before == MEMORY_PLENTY) {
        worker_clock(worker);
        shed_shadow(worker);
        conn_settle(worker);
    }
    worker_busy(worker); /* the tick has something to do */
}

/* Of the connections looked at those that do not rest go to the list's young end, so that others come next. */
static void close_some(struct worker *worker)
{
    int closed = 0;
    for (int i = 0; i < LOOKED_AT_PER_TICK && closed < CLOSED_PER_TICK && worker->oldest_downstream != NULL; i++) {
        struct downstream *down = worker->oldest_downstream;
        if (down->ops->rests != NULL && down->ops->rests(down))
            closed++;
        else if (worker->oldest_downstream == down)
            downstream_touch(down);
    }
    count_add(&worker->counters.connections_shed, (uint64_t)closed);
}

void worker_memory_tick(struct worker *worker)
{
    enum memory_level level = memory_level(worker->memory);
    worker->promised -= worker->promised / PROMISE_PART;
    turns_tick(worker);
    if (worker->counters.upstream_queue > 0 && worker_memory_allows_exchanges(worker))
        upstream_set_release(worker->upstreams);
    if (level == MEMORY_PLENTY)
        return;
    worker_busy(worker);
    if (worker_now_ms(worker) >= worker->trim_at_ms) {
        free_spare_parts(worker);
        worker->trim_at_ms = worker_now_ms(worker) + TRIM_MS;
    }
    if (memory_is_scarce(worker->memory))
        close_some(worker);
}
