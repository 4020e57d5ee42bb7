/*
 * The fleet's side: what all replicas together have told, as the leader has read it last.
 */
#include <stdlib.h>
#include <string.h>

#include "router/pool.h"
#include "router/pool_route.h"

/* ---- what to read ---- */

/* Does anything here go by what all have seen? */
static bool is_of_interest(const struct route_state *state)
{
    return state->pool != NULL && (state->config->breaker.enabled || plan_stage(&state->plan, state->config) != NULL);
}

static bool is_read_before(const struct route_state *a, const struct route_state *b)
{
    return a->pool->read_at_ms < b->pool->read_at_ms;
}

/* Puts it where it belongs among the `count` that wait longest, of which there are at most `most`. */
static uint32_t insert(const struct route_state **oldest, uint32_t count, uint32_t most,
                       const struct route_state *state)
{
    uint32_t at = count;
    while (at > 0 && is_read_before(state, oldest[at - 1]))
        at--;
    if (at == most)
        return count;
    uint32_t last = count < most ? count : most - 1;
    memmove(&oldest[at + 1], &oldest[at], (last - at) * sizeof(oldest[0]));
    oldest[at] = state;
    return last + 1;
}

json_t *router_pool_wanted(const struct router *router, uint32_t most)
{
    uint32_t count = 0;
    json_t *names = json_array();
    const struct route_state **oldest = calloc((size_t)most + 1, sizeof(*oldest));
    for (uint32_t i = 0; oldest != NULL && i < router->count; i++)
        if (is_of_interest(router->states[i]))
            count = insert(oldest, count, most, router->states[i]);
    for (uint32_t i = 0; i < count; i++)
        (void)json_array_append_new(names, json_string(oldest[i]->tally->name)); /* else it is read next time */
    free(oldest);
    return names;
}

/* ---- taking it in ---- */

/* The window that is filling at Redis now is the last one. */
static bool read_window(struct pool_route *pool, const struct config_breaker *breaker, const json_t *window,
                        uint64_t now_ms, uint64_t redis_ms)
{
    struct pool_window read;
    uint64_t bucket_ms = pool_bucket_ms(breaker);
    uint64_t last = redis_ms / bucket_ms;
    uint64_t first = last >= POOL_BUCKETS ? last - POOL_BUCKETS : 0;
    if (!pool_window_read(window, first, &read))
        return false;
    pool->window_read = read;
    pool->bucket_ms = bucket_ms;
    pool->window_first = first;
    pool->redis_ahead_ms = (int64_t)(redis_ms - now_ms);
    pool->window_known = true;
    return true;
}

bool router_pool_take(struct router *router, const char *route, const json_t *answer, uint64_t now_ms,
                      uint64_t redis_ms)
{
    int64_t entry;
    struct route_state *state = router_find(router, route);
    if (state == NULL || state->pool == NULL || !pool_number(json_object_get(answer, "entry"), &entry) || entry < 0)
        return false;
    struct pool_sums *sums = malloc(sizeof(*sums));
    if (sums == NULL || !pool_sums_read(json_object_get(answer, "counts"), json_object_get(answer, "bits"), sums) ||
        !read_window(state->pool, &state->config->breaker, json_object_get(answer, "window"), now_ms, redis_ms)) {
        free(sums);
        return false;
    }
    free(state->pool->sums);
    state->pool->sums = sums;
    state->pool->sums_entry = (uint64_t)entry;
    state->pool->read_at_ms = now_ms;
    return true;
}

void router_pool_forget(struct router *router)
{
    for (uint32_t i = 0; i < router->count; i++) {
        struct pool_route *pool = router->states[i]->pool;
        if (pool == NULL)
            continue;
        free(pool->sums);
        pool->sums = NULL;
        pool->window_known = false;
        pool->read_at_ms = 0;
    }
}

/* ---- asking ---- */

static const struct pool_sums *sums_of(const struct pool_route *pool, uint64_t entry)
{
    return pool != NULL && pool->sums != NULL && pool->sums_entry == entry ? pool->sums : NULL;
}

const struct evidence *pool_evidence(const struct pool_route *pool, uint64_t entry)
{
    const struct pool_sums *sums = sums_of(pool, entry);
    return sums != NULL ? &sums->evidence : NULL;
}

void pool_progress(const struct pool_route *pool, uint64_t entry, uint64_t *held_ms, uint64_t *gathered_ms)
{
    const struct pool_sums *sums = sums_of(pool, entry);
    *held_ms = sums != NULL ? sums->held_ms : 0;
    *gathered_ms = sums != NULL ? sums->gathered_ms : 0;
}

static uint64_t by_redis(const struct pool_route *pool, uint64_t at_ms)
{
    int64_t there_ms = (int64_t)at_ms + pool->redis_ahead_ms;
    return there_ms > 0 ? (uint64_t)there_ms : 0;
}

static void add_counts(struct window_counts *to, const struct window_counts *from)
{
    to->judged += from->judged;
    to->errors += from->errors;
    to->slow += from->slow;
}

/* Without its worst replica. It is told a moment before or after the sums it is in. */
static void leave_out(struct window_counts *all, const struct window_counts *worst)
{
    all->judged -= worst->judged < all->judged ? worst->judged : all->judged;
    all->errors -= worst->errors < all->errors ? worst->errors : all->errors;
    all->slow -= worst->slow < all->slow ? worst->slow : all->slow;
}

bool pool_window(const struct pool_route *pool, uint64_t since_ms, uint64_t now_ms, struct window_counts counts[SIDES])
{
    struct window_counts worst = {0};
    memset(counts, 0, SIDES * sizeof(counts[0]));
    if (pool == NULL || !pool->window_known)
        return false;
    uint64_t last = by_redis(pool, now_ms) / pool->bucket_ms;
    uint64_t since = since_ms > 0 ? (by_redis(pool, since_ms) + pool->bucket_ms - 1) / pool->bucket_ms : 0;
    for (uint32_t i = 0; i < POOL_WINDOW_BUCKETS; i++) {
        uint64_t bucket = pool->window_first + i;
        if (bucket + POOL_BUCKETS < last || bucket < since)
            continue;
        for (int side = 0; side < SIDES; side++)
            add_counts(&counts[side], &pool->window_read.all[i][side]);
        add_counts(&worst, &pool->window_read.worst[i]);
    }
    leave_out(&counts[SIDE_NEW], &worst);
    return true;
}
