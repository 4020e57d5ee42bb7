/*
 * What this replica tells the fleet of its routes: parcels of what was gained since the ones before.
 *
 * Asked at each beat, of every route, most of which have nothing to tell: then only the number of ended exchanges and
 * the totals of pairs are looked at. A route is told whole or not at all, so that nobody judges half of what was seen
 * together; what has been told is noted only when all of its parcel has been made.
 */
#include "router/pool.h"

#include <stdlib.h>
#include <string.h>

#include "router/pool_route.h"

enum {
    MARKS_LATE_MS = 2000,     /* they are taken from the workers, and from the report, a moment after the counts */
    PROGRESS_EVERY_MS = 5000, /* when there is nothing else to tell */
    PROGRESS_SLACK_MS = 250,  /* of ticks that come late */
    BUCKET_MIN_MS = 100,
};

/* ---- life ---- */

struct pool_route *pool_route_new(void)
{
    return calloc(1, sizeof(struct pool_route));
}

void pool_route_free(struct pool_route *pool)
{
    if (pool == NULL)
        return;
    free(pool->sums);
    free(pool);
}

uint64_t pool_bucket_ms(const struct config_breaker *breaker)
{
    uint64_t bucket_ms = (breaker->window_ms + POOL_BUCKETS - 1) / POOL_BUCKETS;
    return bucket_ms > BUCKET_MIN_MS ? bucket_ms : BUCKET_MIN_MS;
}

/* ---- what there is now ---- */

struct pool_look {
    uint64_t ended;
    struct comparison_totals pairs; /* of the route since the process started */
    struct evidence evidence;
    struct window_counts window[SIDES];
};

static bool pairs_differ(const struct comparison_totals *a, const struct comparison_totals *b)
{
    return a->compared != b->compared || a->mismatched != b->mismatched;
}

/* The cheap half. True: something may have been gained. */
static bool has_news(const struct router *router, struct route_state *state, struct pool_look *look, uint64_t now_ms)
{
    struct pool_route *pool = state->pool;
    look->ended = tally_ended(state->tally);
    look->pairs = route_state_pairs(router, state);
    bool fresh = look->ended != pool->ended || pairs_differ(&look->pairs, &pool->pairs);
    if (fresh)
        pool->quiet_at_ms = now_ms + MARKS_LATE_MS;
    return fresh || pool->waits || !pool->begun || pool->entry != state->entry ||
           pool->entries != state->plan.entries || now_ms < pool->quiet_at_ms;
}

/* The whole of it. */
static void read_all(struct router *router, struct route_state *state, struct pool_look *look)
{
    struct marks of_pairs = route_state_take_pair_marks(router, state);
    evidence_follow(&state->meter, &look->pairs);
    evidence_mark_pairs(&state->meter, &of_pairs);
    tally_sum(state->tally, &router->sum);
    evidence_read(&state->meter, &router->sum, &look->pairs, &look->evidence);
    for (int side = 0; side < SIDES; side++) {
        const struct side_counters *counters = &router->sum.side[side];
        look->window[side] = (struct window_counts){counters->judged, counters->errors, counters->slow};
    }
}

/* ---- where telling begins ---- */

static void begin_window(struct pool_route *pool, const struct pool_look *look, uint64_t now_ms)
{
    memcpy(pool->window, look->window, sizeof(pool->window));
    pool->looked_ms = now_ms;
}

/* All there is now is not to be told any more; whether the fleet has it or not. */
static void begin_at(struct route_state *state, const struct pool_look *look)
{
    struct pool_route *pool = state->pool;
    pool->begun = true;
    pool->entry = state->entry;
    pool->entries = state->plan.entries;
    pool->told = look->evidence;
    pool->owed = (struct comparison_totals){0};
}

void pool_route_resume(struct router *router, struct route_state *state)
{
    struct pool_look look = {.pairs = route_state_pairs(router, state)};
    if (state->pool == NULL)
        return;
    read_all(router, state, &look);
    begin_at(state, &look);
    begin_window(state->pool, &look, router->ticked_ms);
}

/* A stage of the fleet's that begins is told from nothing. One that began by this replica alone, as when it rolled back
 * while it was cut off, is none of the fleet's evidence: only what comes from now on is told. */
static void follow_entry(struct route_state *state, const struct pool_look *look, uint64_t now_ms)
{
    struct pool_route *pool = state->pool;
    if (!pool->begun) {
        begin_at(state, look);
        begin_window(pool, look, now_ms);
    } else if (pool->entry != state->entry) {
        begin_at(state, &(struct pool_look){0});
    } else if (pool->entries != state->plan.entries) {
        begin_at(state, look);
        pool->owed = look->evidence.pairs;
    }
}

/* ---- the stage's time ---- */

/* Time cannot pass faster than it does: what comes on top was taken over from the fleet, which has it. What begins
 * anew, begins anew for the fleet. */
static void follow_time(struct pool_progress *progress, uint64_t now_is_ms, uint64_t passed_ms)
{
    uint64_t most_ms = passed_ms + PROGRESS_SLACK_MS;
    int64_t gained_ms = (int64_t)(now_is_ms - progress->seen_ms);
    if (gained_ms >= 0 ? (uint64_t)gained_ms <= most_ms : now_is_ms <= most_ms)
        progress->untold_ms += gained_ms;
    progress->seen_ms = now_is_ms;
}

static void follow_progress(struct route_state *state, bool leads, uint64_t now_ms)
{
    struct pool_route *pool = state->pool;
    if (pool->entry != state->entry) {
        pool->held = (struct pool_progress){0};
        pool->gathered = (struct pool_progress){0};
    }
    if (leads && pool->leads && pool->progress_at_ms <= now_ms) {
        follow_time(&pool->held, state->plan.held_ms, now_ms - pool->progress_at_ms);
        follow_time(&pool->gathered, state->gathered_ms, now_ms - pool->progress_at_ms);
    } else {
        pool->held = (struct pool_progress){state->plan.held_ms, 0};
        pool->gathered = (struct pool_progress){state->gathered_ms, 0};
        pool->progress_told_ms = now_ms;
    }
    pool->leads = leads;
    pool->progress_at_ms = now_ms;
}

static bool is_progress_due(const struct pool_route *pool, uint64_t now_ms)
{
    return (pool->held.untold_ms != 0 || pool->gathered.untold_ms != 0) &&
           now_ms - pool->progress_told_ms >= PROGRESS_EVERY_MS;
}

/* ---- a route's parcel ---- */

static bool asks_for_crowds(const struct config_stage *stage)
{
    const struct config_gates *gates = &stage->gates;
    return gates->min_distinct_keys >= 2 &&
           (gates->p50_increase >= 0 || gates->p95_increase >= 0 || gates->p99_increase >= 0 || gates->p95_ratio >= 0);
}

/* What fell is taken from what the fleet may not have first, so that a doubt never counts for new. */
static int64_t change_of_pairs(uint64_t now, uint64_t told, uint64_t *owed)
{
    if (now >= told)
        return (int64_t)(now - told);
    uint64_t fell = told - now;
    uint64_t excused = fell < *owed ? fell : *owed;
    *owed -= excused;
    return -(int64_t)(fell - excused);
}

static void add_pairs(struct pool_adder *adder, const struct comparison_totals *now,
                      const struct comparison_totals *told, struct comparison_totals *owed)
{
    pool_add(adder, "p.c", change_of_pairs(now->compared, told->compared, &owed->compared));
    pool_add(adder, "p.m", change_of_pairs(now->mismatched, told->mismatched, &owed->mismatched));
}

/* One route's part of a parcel as it is made. */
struct piece {
    json_t *json; /* owned: of counts.routes */
    size_t bytes;
    bool evidence; /* it has some, or has none to tell; false: the stage is not the fleet's */
    bool crowds;
    struct comparison_totals owed; /* what is left of it */
};

/* False without memory. Takes `value` in any case. */
static bool put(struct piece *piece, const char *key, json_t *value, size_t bytes)
{
    piece->bytes += strlen(key) + bytes + 4;
    return json_object_set_new(piece->json, key, value) == 0;
}

static bool put_evidence(struct piece *piece, const struct route_state *state, const struct evidence *now)
{
    const struct pool_route *pool = state->pool;
    struct pool_adder adder = {.add = json_object()};
    size_t bytes = 0;
    pool_add_gain(&adder, now, &pool->told, piece->crowds);
    add_pairs(&adder, &now->pairs, &pool->told.pairs, &piece->owed);
    pool_add(&adder, "held", pool->held.untold_ms);
    pool_add(&adder, "gathered", pool->gathered.untold_ms);
    json_t *bits = pool_bits(now, &pool->told, &bytes);
    bool fine = !adder.failed && bits != NULL;
    if (json_object_size(adder.add) > 0)
        fine = put(piece, "add", json_incref(adder.add), adder.bytes) && fine;
    if (json_array_size(bits) > 0)
        fine = put(piece, "bits", json_incref(bits), bytes) && fine;
    json_decref(adder.add);
    json_decref(bits);
    return fine;
}

static bool put_window(struct piece *piece, const struct route_state *state, const struct window_counts now[SIDES],
                       const char *replica, uint64_t now_ms)
{
    const struct config_breaker *breaker = &state->config->breaker;
    struct pool_adder adder = {.add = json_object()};
    if (breaker->enabled && now_ms - state->pool->looked_ms <= breaker->window_ms / 2) /* else it is of another time */
        pool_add_window(&adder, now, state->pool->window, replica);
    if (json_object_size(adder.add) == 0) {
        bool fine = adder.add != NULL && !adder.failed;
        json_decref(adder.add);
        return fine;
    }
    json_t *window = json_pack("{s:I, s:i, s:o}", "bucket_ms", (json_int_t)pool_bucket_ms(breaker), "keep",
                               POOL_WINDOW_BUCKETS, "add", adder.add);
    return put(piece, "window", window, adder.bytes + 40) && !adder.failed;
}

/* False: no memory. Without an entry the fleet knows nothing of the stage yet. */
static bool piece_make(struct piece *piece, const struct route_state *state, const struct pool_look *look,
                       const char *replica, uint64_t now_ms)
{
    const struct config_stage *stage = plan_stage(&state->plan, state->config);
    piece->json = json_pack("{s:I}", "entry", (json_int_t)state->entry);
    piece->bytes = strlen(state->tally->name) + 32;
    piece->owed = state->pool->owed;
    piece->evidence = state->entry != 0 && stage != NULL;
    piece->crowds = piece->evidence && asks_for_crowds(stage);
    return piece->json != NULL && (!piece->evidence || put_evidence(piece, state, &look->evidence)) &&
           put_window(piece, state, look->window, replica, now_ms);
}

/* It has been told. What was not asked for stays untold, for when it is. */
static void note_told(struct route_state *state, const struct piece *piece, const struct pool_look *look,
                      uint64_t now_ms)
{
    struct pool_route *pool = state->pool;
    pool->waits = false;
    pool->ended = look->ended;
    pool->pairs = look->pairs;
    pool->held.untold_ms = 0;
    pool->gathered.untold_ms = 0;
    pool->progress_told_ms = now_ms;
    begin_window(pool, look, now_ms);
    if (!piece->evidence)
        return;
    for (int side = 0; side < SIDES; side++) {
        const struct evidence_side *now = &look->evidence.side[side];
        struct evidence_side *told = &pool->told.side[side];
        told->judged = now->judged;
        told->errors = now->errors;
        told->unanswered = now->unanswered;
        told->latency = now->latency;
        if (piece->crowds)
            told->crowd = now->crowd;
        marks_merge(&told->marks, &now->marks);
    }
    marks_merge(&pool->told.pair_marks, &look->evidence.pair_marks);
    pool->told.pairs = look->evidence.pairs;
    pool->owed = piece->owed;
}

/* ---- the parcel ---- */

struct parcel {
    json_t *routes; /* owned */
    json_t *counts; /* owned */
    size_t bytes;
    bool full;
};

static bool parcel_append(struct parcel *parcel, const char *route, json_t *json)
{
    if (json_array_append_new(parcel->routes, json_string(route)) != 0)
        return false;
    if (json_array_append(parcel->counts, json) == 0)
        return true;
    (void)json_array_remove(parcel->routes, json_array_size(parcel->routes) - 1);
    return false;
}

/* A route alone may be larger than a parcel. */
static bool parcel_has_room(const struct parcel *parcel, size_t bytes)
{
    return json_array_size(parcel->counts) == 0 || parcel->bytes + bytes <= POOL_PARCEL_BYTES;
}

/* The route is told, has nothing to tell, or waits. */
static void add_route(struct router *router, struct route_state *state, struct parcel *parcel, uint64_t now_ms)
{
    struct pool_route *pool = state->pool;
    struct pool_look look;
    struct piece piece = {0};
    if (!has_news(router, state, &look, now_ms) && !is_progress_due(pool, now_ms)) {
        pool->looked_ms = now_ms;
        return;
    }
    if (parcel->full) {
        pool->waits = true;
        return;
    }
    read_all(router, state, &look);
    follow_entry(state, &look, now_ms);
    bool made = piece_make(&piece, state, &look, router->replica, now_ms);
    if (made && json_object_size(piece.json) == 1) { /* the entry alone */
        note_told(state, &piece, &look, now_ms);
    } else if (made && parcel_has_room(parcel, piece.bytes) && parcel_append(parcel, state->tally->name, piece.json)) {
        parcel->bytes += piece.bytes;
        note_told(state, &piece, &look, now_ms);
    } else {
        pool->waits = true;
        parcel->full = made;
    }
    json_decref(piece.json);
}

/* What did not fit into the former comes first. */
static void add_routes(struct router *router, struct parcel *parcel, bool leads, uint64_t now_ms)
{
    uint32_t first = router->pool_next;
    for (uint32_t n = 0; n < router->count; n++) {
        uint32_t i = (first + n) % router->count;
        struct route_state *state = router->states[i];
        if (state->pool == NULL)
            continue;
        bool had_room = !parcel->full;
        follow_progress(state, leads, now_ms);
        add_route(router, state, parcel, now_ms);
        if (had_room && parcel->full)
            router->pool_next = i;
    }
}

bool router_pool_parcel(struct router *router, bool leads, uint64_t now_ms, json_t **routes, json_t **counts)
{
    struct parcel parcel = {.routes = json_array(), .counts = json_array()};
    if (parcel.routes != NULL && parcel.counts != NULL)
        add_routes(router, &parcel, leads, now_ms);
    if (json_array_size(parcel.counts) == 0) {
        json_decref(parcel.routes);
        json_decref(parcel.counts);
        return false;
    }
    *routes = parcel.routes;
    *counts = parcel.counts;
    return true;
}

/* Nobody knows how much of what was told the fleet still has. Exchanges that are lost are missing on both sides alike;
 * but what is taken back of pairs would be taken from those of others. */
bool router_pool_answered(struct router *router, const json_t *answer)
{
    int64_t had;
    int64_t has;
    if (!pool_number(json_object_get(answer, "had"), &had) || !pool_number(json_object_get(answer, "seq"), &has))
        return false;
    bool lost = had < router->pool_sequence;
    router->pool_sequence = has;
    for (uint32_t i = 0; i < router->count; i++) {
        struct pool_route *pool = router->states[i]->pool;
        if (lost && pool != NULL)
            pool->owed = pool->told.pairs;
    }
    return lost;
}
