/*
 * Memory by the control group's limit: see memory.h. Reads the group's files and a clock value it is handed; frees
 * nothing itself, logs nothing and knows no worker.
 */
#include "proxy/memory.h"

#include <string.h>

#include "shadow/json_doc.h"
#include "shadow/report.h"

enum {
    MIB = 1024 * 1024,
    LOOK_FAR_MS = 250, /* less than half of the limit is used */
    LOOK_CLOSE_MS = 25,
    LIMIT_MS = 5 * 1000,  /* a pod may be given another limit while it runs */
    SCARCE_HOLD_MS = 250, /* clients wait at the door meanwhile */
    SHORT_HOLD_MS = 2000, /* the first time */
    SHORT_HOLD_MOST_MS = 64 * 1000,
    CALM_MS = 2 * 60 * 1000, /* without SHORT: the next time is a first time */
    STRIDE_PARTS = 128,      /* of the limit, between two looks of one thread */
    STRIDE_LEAST = 64 * 1024,
    STRIDE_MOST = 4 * MIB,
};

static const char *const level_names[MEMORY_LEVELS] = {
    [MEMORY_PLENTY] = "plenty",
    [MEMORY_SHORT] = "short",
    [MEMORY_SCARCE] = "scarce",
};

const char *memory_level_name(enum memory_level level)
{
    return (unsigned)level < MEMORY_LEVELS ? level_names[level] : "unknown";
}

/* ---- the judgement ---- */

/*
 * How much stays free: a part of the limit; of a small one more, since what hundreds of clients take within a moment
 * does not shrink with it; of a large one less, since that does not grow with it.
 */
static const struct {
    uint64_t percent, least, least_percent, most; /* at least `least`, where that is not more than `least_percent` */
    uint64_t slack_percent;                       /* so much more must be free for the level to end */
} marks_by_level[MEMORY_LEVELS] = {
    [MEMORY_SHORT] = {20, 8 * MIB, 32, 256 * MIB, 10},
    [MEMORY_SCARCE] = {8, 5 * MIB, 20, 96 * MIB, 6},
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t kept_free(uint64_t limit, enum memory_level level)
{
    uint64_t part = limit / 100 * marks_by_level[level].percent;
    uint64_t least = smaller(marks_by_level[level].least, limit / 100 * marks_by_level[level].least_percent);
    return smaller(part > least ? part : least, marks_by_level[level].most);
}

struct memory_marks memory_marks_of(uint64_t limit)
{
    struct memory_marks marks = {.enter = {0}};
    for (int level = MEMORY_SHORT; level < MEMORY_LEVELS; level++) {
        uint64_t slack = smaller(limit / 100 * marks_by_level[level].slack_percent, marks_by_level[level].most / 2);
        marks.enter[level] = limit - kept_free(limit, (enum memory_level)level);
        marks.leave[level] = marks.enter[level] - slack;
    }
    marks.brink = limit - kept_free(limit, MEMORY_SCARCE) / 2;
    return marks;
}

/* SHORT begins: for longer than last time, where that was not long ago. */
static void begin_short(struct memory_judge *judge, uint64_t now_ms)
{
    bool again = judge->left_ms != 0 && now_ms - judge->left_ms < CALM_MS;
    judge->hold_ms = again ? judge->hold_ms * 2 : SHORT_HOLD_MS;
    if (judge->hold_ms > SHORT_HOLD_MOST_MS)
        judge->hold_ms = SHORT_HOLD_MOST_MS;
}

static void enter(struct memory_judge *judge, enum memory_level level, uint64_t now_ms)
{
    if (judge->level == MEMORY_PLENTY)
        begin_short(judge, now_ms);
    else if (level == MEMORY_PLENTY)
        judge->left_ms = now_ms;
    judge->level = level;
    judge->pressed_ms = now_ms;
}

enum memory_level memory_judge(struct memory_judge *judge, const struct memory_marks *marks, uint64_t used,
                               uint64_t now_ms)
{
    enum memory_level now = used >= marks->enter[MEMORY_SCARCE]  ? MEMORY_SCARCE
                            : used >= marks->enter[MEMORY_SHORT] ? MEMORY_SHORT
                                                                 : MEMORY_PLENTY;
    if (now_ms < judge->pressed_ms) /* of a thread that read its clock before another one, which looked first */
        now_ms = judge->pressed_ms;
    if (now > judge->level) {
        enter(judge, now, now_ms);
        return judge->level;
    }
    if (judge->level == MEMORY_PLENTY)
        return judge->level;
    if (used >= marks->leave[judge->level])
        judge->pressed_ms = now_ms;
    uint64_t hold_ms = judge->level == MEMORY_SCARCE ? SCARCE_HOLD_MS : judge->hold_ms;
    if (now_ms - judge->pressed_ms >= hold_ms)
        enter(judge, judge->level - 1, now_ms);
    return judge->level;
}

/* ---- shares ---- */

static size_t part(uint64_t limit, unsigned parts, size_t most)
{
    return limit == 0 || limit / parts > most ? most : (size_t)(limit / parts);
}

/*
 * A tenth of the chart's limit, 25 MiB, is so divided: 6 for copies, 2 for the report, 3 for comparing two documents,
 * 1 for the database and samples; 4 the idle process has. The rest is for clients.
 */
struct memory_shares memory_shares_of(uint64_t limit)
{
    return (struct memory_shares){
        .shadow = part(limit, 4, SIZE_MAX),
        .report = part(limit, 12, REPORT_BYTES_MAX),
        .samples = part(limit, 48, REPORT_SAMPLE_BYTES_MAX),
        .archive = part(limit, 48, SIZE_MAX),
        .json_nodes = (uint32_t)part(limit, 8 * 2 * (unsigned)sizeof(struct json_node), JSON_NODES),
    };
}

/* ---- looking ---- */

static void note(struct memory *memory, uint64_t used, uint64_t now_ms)
{
    const struct memory_marks marks = memory_marks_of(memory_limit(memory));
    enum memory_level level = memory_judge(&memory->judge, &marks, used, now_ms);
    atomic_store_explicit(&memory->used, used, memory_order_relaxed);
    atomic_store_explicit(&memory->level, level, memory_order_relaxed);
}

/* The cache of files is asked for only where it could make a difference. */
static bool read_used(const struct memory *memory, uint64_t *used)
{
    if (!memory_group_charged(&memory->group, used))
        return false;
    return *used < memory_limit(memory) / 2 || memory_group_used(&memory->group, used);
}

void memory_look(struct memory *memory, uint64_t now_ms)
{
    uint64_t used;
    if (memory_limit(memory) == 0 || atomic_flag_test_and_set_explicit(&memory->looking, memory_order_acquire))
        return;
    if (read_used(memory, &used))
        note(memory, used, now_ms);
    atomic_flag_clear_explicit(&memory->looking, memory_order_release);
}

bool memory_is_scarce(const struct memory *memory)
{
    return memory_level(memory) == MEMORY_SCARCE &&
           atomic_load_explicit(&memory->used, memory_order_relaxed) >=
               atomic_load_explicit(&memory->scarce_until, memory_order_relaxed);
}

bool memory_has_room(const struct memory *memory, size_t bytes)
{
    return memory_limit(memory) == 0 || atomic_load_explicit(&memory->used, memory_order_relaxed) + bytes <
                                            atomic_load_explicit(&memory->scarce_from, memory_order_relaxed);
}

bool memory_is_at_brink(const struct memory *memory)
{
    return memory_level(memory) == MEMORY_SCARCE && atomic_load_explicit(&memory->used, memory_order_relaxed) >=
                                                        atomic_load_explicit(&memory->brink, memory_order_relaxed);
}

bool memory_is_close(const struct memory *memory)
{
    return memory_level(memory) != MEMORY_PLENTY ||
           atomic_load_explicit(&memory->used, memory_order_relaxed) >= memory_limit(memory) / 2;
}

static void forget_level(struct memory *memory)
{
    if (atomic_flag_test_and_set_explicit(&memory->looking, memory_order_acquire))
        return; /* the next time the limit is looked at */
    memset(&memory->judge, 0, sizeof(memory->judge));
    atomic_store_explicit(&memory->level, MEMORY_PLENTY, memory_order_relaxed);
    atomic_flag_clear_explicit(&memory->looking, memory_order_release);
}

/* Who asks whether there is room does so for each exchange: the marks are worked out once. */
static void keep_marks(struct memory *memory, uint64_t limit)
{
    const struct memory_marks marks = memory_marks_of(limit);
    atomic_store_explicit(&memory->scarce_from, marks.enter[MEMORY_SCARCE], memory_order_relaxed);
    atomic_store_explicit(&memory->scarce_until, marks.leave[MEMORY_SCARCE], memory_order_relaxed);
    atomic_store_explicit(&memory->brink, marks.brink, memory_order_relaxed);
}

static bool read_limit(struct memory *memory, uint64_t now_ms)
{
    memory->limit_at_ms = now_ms + LIMIT_MS;
    uint64_t limit = memory->group.usage_fd >= 0 ? memory_group_limit(&memory->place) : 0;
    keep_marks(memory, limit);
    bool changed = atomic_exchange_explicit(&memory->limit, limit, memory_order_relaxed) != limit;
    if (limit == 0 && memory_level(memory) != MEMORY_PLENTY)
        forget_level(memory);
    return changed;
}

bool memory_tick(struct memory *memory, uint64_t now_ms)
{
    bool changed = now_ms >= memory->limit_at_ms && read_limit(memory, now_ms);
    uint64_t limit = memory_limit(memory);
    if (limit == 0 || (now_ms < memory->look_at_ms && !changed))
        return changed;
    memory_look(memory, now_ms);
    memory->look_at_ms = now_ms + (memory_is_close(memory) ? LOOK_CLOSE_MS : LOOK_FAR_MS);
    return changed;
}

uint64_t memory_used(const struct memory *memory)
{
    uint64_t used = 0;
    return memory_group_used(&memory->group, &used) ? used : 0;
}

size_t memory_stride(const struct memory *memory)
{
    uint64_t stride = memory_limit(memory) / STRIDE_PARTS;
    if (stride == 0)
        return 0;
    return stride < STRIDE_LEAST ? STRIDE_LEAST : stride > STRIDE_MOST ? STRIDE_MOST : (size_t)stride;
}

void memory_grew(struct memory *memory, size_t *taken, size_t bytes, uint64_t now_ms)
{
    size_t stride = memory_stride(memory);
    *taken += bytes;
    if (stride == 0 || *taken < stride)
        return;
    *taken = 0;
    memory_look(memory, now_ms);
}

/* ---- life ---- */

void memory_init(struct memory *memory, const struct cgroup_place *place, uint64_t now_ms)
{
    memset(memory, 0, sizeof(*memory));
    memory->place = *place;
    atomic_flag_clear(&memory->looking);
    (void)memory_group_open(&memory->group, place);
    (void)read_limit(memory, now_ms);
    memory_look(memory, now_ms);
}

void memory_done(struct memory *memory)
{
    memory_group_close(&memory->group);
}
