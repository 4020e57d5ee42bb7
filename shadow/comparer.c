/*
 * The compare thread: takes finished pairs from the workers' rings, has them judged, counts them, gives them back.
 *
 * Who waits for whom: nobody. A worker that finds its ring full keeps the pair; the thread that finds the ring back
 * full leaves the pair where it is. Waking up is arranged so that a worker makes a system call only when the thread is
 * really asleep:
 *
 *   AWAKE --nothing to do--> NAPPING (10 ms) --found work--> AWAKE
 *                              |   ^  |
 *                              |   +--+ still nothing, up to NAPS_BEFORE_SLEEP times
 *                              v
 *                           SLEEPING --a worker submits, or has emptied the full way back--> AWAKE
 *
 * Under load the thread so finds a batch after each nap and no worker ever calls the kernel; only a ring that is half
 * full cuts a nap short. The thread says NAPPING or SLEEPING before it looks at the rings a last time, a worker
 * publishes its pair before it looks at the state, and all four accesses are sequentially consistent: one of the two
 * always sees the other.
 *
 * It runs at a lower priority than the workers, so that clients come first where cores are scarce.
 */
#include "shadow/comparer.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shadow/compare.h"
#include "shadow/ring.h"

enum {
    NAP_MS = 10,
    NAPS_BEFORE_SLEEP = 5,
    BATCH = 64, /* pairs of one worker before the next worker's turn */
    COMPARE_NICE = 5,
    LANE_BYTES = 16 * 1024 * 1024, /* between one worker and the thread, both ways, until the worker says otherwise */
};

enum thread_state {
    AWAKE = 0,
    NAPPING,
    SLEEPING
};

struct lane { /* between one worker and the thread */
    struct ring there, back;
    _Alignas(CACHE_LINE) size_t bytes; /* the worker's: held by pairs that it has submitted and not taken back */
    size_t bound;                      /* likewise: of `bytes` */
};

struct comparer {
    struct lane *lanes; /* owned, cache-line aligned */
    uint32_t lane_count;
    uint32_t half;           /* pairs in a ring that are worth cutting a nap short */
    struct report *report;   /* borrowed */
    struct compare *compare; /* owned; the thread's */
    pthread_t thread;
    bool running;                                /* workers are not, when it changes */
    _Alignas(CACHE_LINE) _Atomic uint32_t state; /* enum thread_state; also the futex */
    _Atomic bool stopping;
    _Atomic uint64_t stop_at_ms; /* the thread gives up what is queued */
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- sleeping and waking ---- */

static void futex_wait(_Atomic uint32_t *word, uint32_t expected, const struct timespec *timeout)
{
    /* Returns at once when the word has changed already; a spurious return only costs a look at the rings. */
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout, NULL, 0);
}

static void wake(struct comparer *comparer)
{
    if (atomic_exchange(&comparer->state, AWAKE) != AWAKE)
        syscall(SYS_futex, &comparer->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static bool work_is_waiting(struct comparer *comparer)
{
    for (uint32_t i = 0; i < comparer->lane_count; i++)
        if (!ring_is_empty(&comparer->lanes[i].there) && ring_has_room(&comparer->lanes[i].back))
            return true;
    return atomic_load(&comparer->stopping);
}

/* Announces the state, looks once more, then blocks. An exchange rather than a store: see wake_if_held_up(). */
static void rest(struct comparer *comparer, enum thread_state state, const struct timespec *timeout)
{
    (void)atomic_exchange(&comparer->state, state);
    if (!work_is_waiting(comparer))
        futex_wait(&comparer->state, state, timeout);
    atomic_store(&comparer->state, AWAKE);
}

/* ---- the thread ---- */

static void judge(struct comparer *comparer, const struct pair *pair)
{
    report_add(comparer->report, pair, compare_pair(comparer->compare, pair));
}

/* Takes a pair only when there is a place to put it afterwards. */
static uint32_t drain_lane(struct comparer *comparer, struct lane *lane)
{
    uint32_t done = 0;
    while (done < BATCH && ring_has_room(&lane->back)) {
        struct pair *pair = ring_pop(&lane->there);
        if (pair == NULL)
            break;
        judge(comparer, pair);
        ring_push(&lane->back, pair);
        done++;
    }
    return done;
}

static uint32_t drain(struct comparer *comparer)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < comparer->lane_count; i++)
        done += drain_lane(comparer, &comparer->lanes[i]);
    return done;
}

static void drain_until(struct comparer *comparer, uint64_t deadline_ms)
{
    while (now_ms() < deadline_ms)
        if (drain(comparer) == 0)
            return;
}

static void *run(void *argument)
{
    static const struct timespec nap = {.tv_nsec = NAP_MS * 1000000L};
    struct comparer *comparer = argument;
    uint32_t idle = 0;

    pthread_setname_np(pthread_self(), "compare");
    id_t self = (id_t)syscall(SYS_gettid);
    setpriority(PRIO_PROCESS, self, getpriority(PRIO_PROCESS, self) + COMPARE_NICE);
    while (!atomic_load(&comparer->stopping)) {
        idle = drain(comparer) > 0 ? 0 : idle + 1;
        if (idle <= NAPS_BEFORE_SLEEP)
            rest(comparer, NAPPING, &nap);
        else
            rest(comparer, SLEEPING, NULL);
    }
    drain_until(comparer, atomic_load(&comparer->stop_at_ms));
    return NULL;
}

/* ---- starting and stopping ---- */

static bool open_lanes(struct comparer *comparer, uint32_t workers, uint32_t capacity)
{
    comparer->lanes = aligned_alloc(CACHE_LINE, workers * sizeof(*comparer->lanes));
    if (comparer->lanes == NULL)
        return false;
    memset(comparer->lanes, 0, workers * sizeof(*comparer->lanes));
    comparer->lane_count = workers;
    for (uint32_t i = 0; i < workers; i++)
        comparer->lanes[i].bound = LANE_BYTES;
    for (uint32_t i = 0; i < workers; i++)
        if (!ring_init(&comparer->lanes[i].there, capacity) || !ring_init(&comparer->lanes[i].back, capacity))
            return false;
    comparer->half = ring_capacity(&comparer->lanes[0].there) / 2;
    return true;
}

/* Signals are control's: the thread takes none. */
static bool start_thread(struct comparer *comparer)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return false;
    comparer->running = pthread_create(&comparer->thread, NULL, run, comparer) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return comparer->running;
}

static void free_pairs(struct ring *ring)
{
    if (ring->slots == NULL)
        return;
    for (struct pair *pair = ring_pop(ring); pair != NULL; pair = ring_pop(ring))
        pair_free(pair);
}

static void comparer_free(struct comparer *comparer)
{
    for (uint32_t i = 0; i < comparer->lane_count; i++) {
        free_pairs(&comparer->lanes[i].there);
        free_pairs(&comparer->lanes[i].back);
        ring_done(&comparer->lanes[i].there);
        ring_done(&comparer->lanes[i].back);
    }
    free(comparer->lanes);
    compare_free(comparer->compare);
    free(comparer);
}

struct comparer *comparer_start(uint32_t workers, uint32_t capacity, struct report *report)
{
    struct comparer *comparer = aligned_alloc(CACHE_LINE, sizeof(*comparer));
    if (comparer == NULL)
        return NULL;
    memset(comparer, 0, sizeof(*comparer));
    comparer->report = report;
    comparer->compare = compare_new();
    if (workers == 0 || comparer->compare == NULL || !open_lanes(comparer, workers, capacity) ||
        !start_thread(comparer)) {
        comparer_free(comparer);
        return NULL;
    }
    return comparer;
}

void comparer_finish(struct comparer *comparer, uint64_t wait_ms)
{
    if (!comparer->running)
        return;
    atomic_store(&comparer->stop_at_ms, now_ms() + wait_ms);
    atomic_store(&comparer->stopping, true);
    wake(comparer);
    pthread_join(comparer->thread, NULL);
    comparer->running = false;
}

void comparer_stop(struct comparer *comparer, uint64_t wait_ms)
{
    if (comparer == NULL)
        return;
    comparer_finish(comparer, wait_ms);
    comparer_free(comparer);
}

void comparer_limit(struct comparer *comparer, const struct compare_bounds *bounds)
{
    compare_bound(comparer->compare, bounds);
}

/* ---- the workers' side ---- */

void comparer_set_bound(struct comparer *comparer, uint32_t worker, size_t bytes)
{
    comparer->lanes[worker].bound = bytes;
}

/* A pair that is larger than the bound passes when nothing else is under way. */
static bool push(struct lane *lane, struct pair *pair)
{
    size_t bytes = pair_bytes(pair); /* read before it is another thread's */
    if (lane->bytes > 0 && lane->bytes + bytes > lane->bound)
        return false;
    if (!ring_push(&lane->there, pair))
        return false;
    lane->bytes += bytes;
    return true;
}

bool comparer_submit(struct comparer *comparer, uint32_t worker, struct pair *pair)
{
    struct lane *lane = &comparer->lanes[worker];
    bool queued = push(lane, pair);
    uint32_t state = atomic_load(&comparer->state);
    if (state == AWAKE)
        return queued;
    if (!queued) {
        /* The thread may have gone to sleep because the way back was full, which the caller has changed since. */
        if (ring_depth(&lane->back) < ring_capacity(&lane->back))
            wake(comparer);
    } else if (state == SLEEPING || ring_depth(&lane->there) >= comparer->half) {
        wake(comparer);
    }
    return queued;
}

/*
 * The way back was full, the thread went to sleep over it, and it is empty now: perhaps no pair comes any more that
 * would wake the thread. Of two read-modify-writes of one word the later sees what came before the earlier: either the
 * thread announced its sleep first, and is woken, or it sees the room when it looks once more.
 */
static void wake_if_held_up(struct comparer *comparer, const struct lane *lane)
{
    if (ring_depth(&lane->there) > 0 && atomic_fetch_or(&comparer->state, 0) == SLEEPING)
        wake(comparer);
}

struct pair *comparer_reclaim(struct comparer *comparer, uint32_t worker)
{
    struct lane *lane = &comparer->lanes[worker];
    struct pair *pair = ring_pop(&lane->back);
    if (pair == NULL && !comparer->running) /* the thread has ended: what it did not come to is the caller's, too */
        pair = ring_pop(&lane->there);
    if (pair == NULL) {
        wake_if_held_up(comparer, lane);
        return NULL;
    }
    lane->bytes -= pair_bytes(pair);
    capture_trim(&pair->request);
    capture_trim(&pair->primary_capture);
    capture_trim(&pair->shadow_capture);
    return pair;
}
