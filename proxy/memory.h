/*
 * Memory by the control group's limit: how close it is, and what may still be done.
 *
 * Whoever goes over the limit is ended by the kernel, and with it every request under way. So shunt gives up first what
 * the migration costs, then clients that only rest. Shared by control and the workers: control looks at times, and
 * every worker after so many bytes, so that what grows between two looks is bounded whatever the load. Without a limit
 * nothing is looked at, nothing is bounded, and the level is MEMORY_PLENTY for ever.
 */
#ifndef SHUNT_PROXY_MEMORY_H
#define SHUNT_PROXY_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/memory_group.h"

/*
 *   PLENTY --80 %--> SHORT --92 %--> SCARCE    of small limits earlier: memory_marks_of()
 *     ^               | ^               |
 *     +-- below 70 % -+ +- below 86 % --+        each after it has been so for a while: memory_judge()
 */
enum memory_level {
    MEMORY_PLENTY = 0,
    MEMORY_SHORT,  /* no copy is made, those under way are given up, what only lies ready is freed */
    MEMORY_SCARCE, /* also: clients that rest are closed, no new one is taken, and reading goes in turns (turn.h) */
    MEMORY_LEVELS
};

/* "plenty", "short", "scarce". */
const char *memory_level_name(enum memory_level level);

/* ---- the judgement: a pure function ---- */

struct memory_judge {
    enum memory_level level;
    uint64_t pressed_ms; /* when there was last too much for a lower level */
    uint64_t hold_ms;    /* how long it must be well before SHORT ends: longer each time it comes back soon */
    uint64_t left_ms;    /* when SHORT ended last; 0: never */
};

struct memory_marks {
    uint64_t enter[MEMORY_LEVELS], leave[MEMORY_LEVELS];
    uint64_t brink; /* half of what was left when SCARCE began is used up */
};

/* A share of the limit stays free: of small limits a larger one, of large limits a smaller one. */
struct memory_marks memory_marks_of(uint64_t limit);
/* The new level. A `now_ms` of before the last change is taken for that: threads read their clocks before they look. */
enum memory_level memory_judge(struct memory_judge *judge, const struct memory_marks *marks, uint64_t used,
                               uint64_t now_ms);

/* ---- shares of the limit ---- */

/* What may be taken at most where the file allows more. */
struct memory_shares {
    size_t shadow;       /* copies, captured answers, pairs that wait */
    size_t report;       /* what comparing has found, in memory */
    size_t samples;      /* that wait to be stored */
    size_t archive;      /* the database's own memory */
    uint32_t json_nodes; /* of one document that is compared */
};
/* All at their largest without a limit (0). */
struct memory_shares memory_shares_of(uint64_t limit);

/* ---- the process's ---- */

struct memory {
    struct cgroup_place place; /* its texts are borrowed */
    struct memory_group group;
    _Atomic uint32_t level;        /* enum memory_level; read it with memory_level() */
    _Atomic uint64_t limit;        /* 0: none */
    _Atomic uint64_t scarce_from;  /* of the limit's marks, kept with it: SCARCE begins */
    _Atomic uint64_t scarce_until; /* there is room again below this */
    _Atomic uint64_t brink;
    _Atomic uint64_t used;            /* when it was looked at last */
    atomic_flag looking;              /* one looks; who comes meanwhile does not wait */
    struct memory_judge judge;        /* of the one who looks */
    uint64_t look_at_ms, limit_at_ms; /* control's: when to look next, and when at the limit */
};

/* Finds the group and looks once. `place` is copied. No limit and no group are fine. */
void memory_init(struct memory *memory, const struct cgroup_place *place, uint64_t now_ms);
void memory_done(struct memory *memory);

static inline enum memory_level memory_level(const struct memory *memory)
{
    return (enum memory_level)atomic_load_explicit(&memory->level, memory_order_relaxed);
}

static inline uint64_t memory_limit(const struct memory *memory)
{
    return atomic_load_explicit(&memory->limit, memory_order_relaxed);
}

/* SCARCE holds for a while after there is room again: is there still none? */
bool memory_is_scarce(const struct memory *memory);

/* The same, and half of what was left when it began is used up: as little as possible may be taken. */
bool memory_is_at_brink(const struct memory *memory);

/* Would `bytes` more not make it scarce? By what was seen last. Without a limit there always is. */
bool memory_has_room(const struct memory *memory, size_t bytes);
/* Half of the limit is used, or more. */
bool memory_is_close(const struct memory *memory);

/* Looks now. Any thread; `now_ms` of the monotonic clock. */
void memory_look(struct memory *memory, uint64_t now_ms);

/* Control's tick: looks when it is time, more often when it is close. True: the limit is another than it was. */
bool memory_tick(struct memory *memory, uint64_t now_ms);

/* What is used now, read afresh; 0 without a group. Any thread. */
uint64_t memory_used(const struct memory *memory);

/* How much a thread may take between two looks; 0: it need not look. */
size_t memory_stride(const struct memory *memory);

/* A thread has taken `bytes` more; *taken, which is its own, says how many since it has looked. */
void memory_grew(struct memory *memory, size_t *taken, size_t bytes, uint64_t now_ms);

#endif
