/*
 * Time buckets: minutes and hours, clocks that jump, memory that is spent, and what is stored.
 */
#include "shadow/buckets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SECOND ((uint64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
/* 2025-03-02 10:00:00 */
#define START ((uint64_t)1740909600000)

struct fixture {
    struct buckets buckets;
    struct budget budget;
};

struct told {
    struct bucket bucket;
    uint32_t width_s;
};

struct list {
    struct told at[2048];
    uint32_t count;
};

static void collect(void *context, const struct bucket *bucket, uint32_t width_s)
{
    struct list *list = context;
    assert_true(list->count < 2048);
    list->at[list->count++] = (struct told){*bucket, width_s};
}

/* All there are, which must be in order and never cover the same time twice. */
static struct list *list_of(const struct fixture *f)
{
    static struct list list;
    list.count = 0;
    buckets_each(&f->buckets, collect, &list);
    for (uint32_t i = 1; i < list.count; i++)
        assert_true(list.at[i].bucket.at_ms >= list.at[i - 1].bucket.at_ms + list.at[i - 1].width_s * SECOND);
    return &list;
}

static uint64_t matched_of(const struct list *list)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < list->count; i++)
        sum += list->at[i].bucket.judged[JUDGEMENT_MATCHED];
    return sum;
}

static void add_one(struct fixture *f, uint64_t wall_ms, enum judgement judgement, uint64_t shadow_us)
{
    struct paired_steps took = paired_steps_of(10000, shadow_us);
    buckets_add(&f->buckets, &f->budget, wall_ms, judgement, &took);
}

static void add(struct fixture *f, uint64_t wall_ms)
{
    add_one(f, wall_ms, JUDGEMENT_MATCHED, 20000);
}

static void start(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->budget.limit = 1 << 20;
}

static void stop(struct fixture *f)
{
    buckets_done(&f->buckets, &f->budget);
    assert_int_equal(f->budget.used, 0);
}

static void a_minute_counts_and_measures(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    assert_int_equal(list_of(&f)->count, 0);
    for (int i = 0; i < 100; i++)
        add_one(&f, START + 30 * SECOND, JUDGEMENT_MATCHED, i < 90 ? 20000 : 5000);
    add_one(&f, START + 31 * SECOND, JUDGEMENT_MISMATCHED, 20000);
    add_one(&f, START + 32 * SECOND, JUDGEMENT_IGNORED, 20000);
    add_one(&f, START + 33 * SECOND, JUDGEMENT_NOT_COMPARABLE, 99000000);
    add(&f, START + 5 * MINUTE); /* empty minutes are left out */
    struct list *list = list_of(&f);
    assert_int_equal(list->count, 2);
    const struct bucket *first = &list->at[0].bucket;
    assert_int_equal(first->at_ms, START);
    assert_int_equal(list->at[0].width_s, 60);
    assert_true(first->judged[JUDGEMENT_MATCHED] == 100 && first->judged[JUDGEMENT_MISMATCHED] == 1 &&
                first->judged[JUDGEMENT_IGNORED] == 1 && first->judged[JUDGEMENT_NOT_COMPARABLE] == 1);
    assert_true(fabsf(first->figures[BUCKET_PRIMARY_P50] - 10) < 1);
    assert_true(fabsf(first->figures[BUCKET_SHADOW_P95] - 20) < 2);
    assert_true(fabsf(first->figures[BUCKET_DIFFERENCE_P50] - 10) < 2);
    assert_true(fabsf(first->figures[BUCKET_RATIO_P50] - 2) < 0.1f);
    assert_int_equal(list->at[1].bucket.at_ms, START + 5 * MINUTE);
    stop(&f);
}

static void old_minutes_become_hours(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    for (uint64_t i = 0; i < 10 * 60; i++)
        add(&f, START + i * MINUTE);
    struct list *list = list_of(&f);
    assert_int_equal(matched_of(list), 10 * 60);
    assert_int_equal(list->at[0].width_s, 3600);
    assert_int_equal(list->at[0].bucket.judged[JUDGEMENT_MATCHED], 60);
    assert_true(fabsf(list->at[0].bucket.figures[BUCKET_RATIO_P50] - 2) < 0.1f);
    assert_int_equal(list->at[5].width_s, 3600); /* 10:00 to 16:00, the rest in minutes until 19:59 */
    assert_int_equal(list->at[6].width_s, 60);
    assert_int_equal(list->count, 6 + 4 * 60);
    stop(&f);
}

static void a_month_is_kept_and_no_more(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    for (uint64_t i = 0; i < 40 * 24; i++)
        add(&f, START + i * HOUR);
    struct list *list = list_of(&f);
    uint64_t now = START + (40 * 24 - 1) * HOUR;
    assert_true(list->at[0].bucket.at_ms >= now - 30 * DAY && list->at[0].bucket.at_ms <= now - 30 * DAY + HOUR);
    assert_true(matched_of(list) >= 30 * 24 && matched_of(list) <= 30 * 24 + 1);
    assert_true(f.budget.used <=
                2 * sizeof(struct paired) + (BUCKET_MINUTES_MAX + BUCKET_HOURS_MAX) * sizeof(struct bucket));
    stop(&f);
}

/* ---- clocks ---- */

static void late_pairs_count_in_the_running_minute(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    add(&f, START + MINUTE);
    add(&f, START + 59 * SECOND);
    add(&f, START + MINUTE);
    struct list *list = list_of(&f);
    assert_int_equal(list->count, 1);
    assert_int_equal(list->at[0].bucket.judged[JUDGEMENT_MATCHED], 3);
    stop(&f);
}

static void a_clock_that_jumps_back_goes_on(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    for (uint64_t i = 0; i < 30; i++)
        add(&f, START + i * MINUTE);
    for (uint64_t i = 10; i < 40; i++) /* twenty minutes back: the same minutes again */
        add(&f, START + i * MINUTE);
    struct list *list = list_of(&f);
    assert_int_equal(list->count, 40);
    assert_int_equal(matched_of(list), 60);
    assert_int_equal(list->at[15].bucket.judged[JUDGEMENT_MATCHED], 2);
    assert_true(fabsf(list->at[15].bucket.figures[BUCKET_RATIO_P50] - 2) < 0.1f);
    for (uint64_t i = 0; i < 5 * 60; i++)
        add(&f, START + 40 * MINUTE + i * MINUTE);
    list = list_of(&f);
    assert_int_equal(list->at[0].width_s, 3600);
    assert_int_equal(matched_of(list), 360); /* the hour knows them all as well */
    stop(&f);
}

static void buckets_of_a_wrong_future_are_dropped(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    add(&f, START);
    add(&f, START + 20 * 365 * DAY);
    add(&f, START + MINUTE);
    add(&f, START + 2 * MINUTE);
    struct list *list = list_of(&f);
    assert_true(list->count > 0);
    assert_int_equal(list->at[list->count - 1].bucket.at_ms, START + 2 * MINUTE);
    add(&f, 0); /* a clock that is not set */
    add(&f, UINT64_MAX);
    assert_int_equal(list_of(&f)->at[list_of(&f)->count - 1].bucket.at_ms, START + 2 * MINUTE);
    stop(&f);
}

static void random_clocks_break_nothing(void **state)
{
    struct fixture f;
    uint64_t seed = 7, wall = START;
    (void)state;
    start(&f);
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t step = (seed >> 33) % (i % 100 == 0 ? 3 * DAY : 2 * MINUTE);
        wall = (seed >> 20) % 3 == 0 ? wall - step : wall + step;
        add(&f, wall);
        if (i % 500 == 0)
            list_of(&f);
    }
    assert_true(f.buckets.minutes.count <= BUCKET_MINUTES_MAX && f.buckets.hours.count <= BUCKET_HOURS_MAX);
    stop(&f);
}

/* ---- memory ---- */

static void without_memory_the_newest_stay(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    f.budget.limit = sizeof(struct paired) + 20 * sizeof(struct bucket); /* 8 minutes, 8 hours, no more */
    for (uint64_t i = 0; i < 600; i++)
        add(&f, START + i * MINUTE);
    struct list *list = list_of(&f);
    assert_true(f.budget.used <= f.budget.limit);
    assert_int_equal(list->at[list->count - 1].bucket.at_ms, START + 599 * MINUTE);
    assert_true(list->count >= 8);
    stop(&f);
    start(&f);
    f.budget.limit = 0;
    add(&f, START);
    add(&f, START + MINUTE);
    list = list_of(&f); /* only what runs */
    assert_int_equal(list->count, 1);
    assert_int_equal(list->at[0].bucket.judged[JUDGEMENT_MATCHED], 1);
    stop(&f);
}

/* ---- storing ---- */

/* Stores what has changed, as a file with one row for each time and width. */
static uint32_t store(struct fixture *f, struct list *file)
{
    static struct bucket_change changes[2048];
    uint32_t count = buckets_take_changes(&f->buckets, changes, 2048);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = 0;
        while (k < file->count &&
               (file->at[k].bucket.at_ms != changes[i].bucket.at_ms || file->at[k].width_s != changes[i].width_s))
            k++;
        file->at[k] = (struct told){changes[i].bucket, changes[i].width_s};
        file->count = k == file->count ? k + 1 : file->count;
    }
    return count;
}

static void a_restart_loses_nothing(void **state)
{
    static struct list file;
    struct fixture f, again;
    (void)state;
    start(&f);
    file.count = 0;
    for (uint64_t i = 0; i < 9 * 60; i++) {
        add(&f, START + i * MINUTE);
        if (i % 7 == 0)
            assert_true(store(&f, &file) > 0);
    }
    store(&f, &file);
    assert_int_equal(store(&f, &file), 0); /* nothing new */
    start(&again);
    for (uint32_t i = 0; i < file.count; i++)
        assert_true(buckets_restore(&again.buckets, &again.budget, &file.at[i].bucket, file.at[i].width_s));
    assert_int_equal(store(&again, &file), 0);
    assert_int_equal(matched_of(list_of(&again)), 9 * 60);
    add(&again, START + (9 * 60 - 1) * MINUTE); /* in the very minute that was running */
    for (uint64_t i = 9 * 60; i < 15 * 60; i++)
        add(&again, START + i * MINUTE);
    struct list *list = list_of(&again);
    assert_int_equal(matched_of(list), 15 * 60 + 1);
    assert_int_equal(list->at[8].width_s, 3600);
    assert_int_equal(list->at[8].bucket.judged[JUDGEMENT_MATCHED], 61); /* half before, half after */
    stop(&f);
    stop(&again);
}

static void what_was_refused_is_changed_still(void **state)
{
    static struct bucket_change changes[16];
    struct fixture f;
    (void)state;
    start(&f);
    add(&f, START);
    add(&f, START + MINUTE);
    uint32_t count = buckets_take_changes(&f.buckets, changes, 16);
    assert_int_equal(count, 3); /* two minutes and the hour */
    for (uint32_t i = 0; i < count; i++)
        buckets_mark_changed(&f.buckets, &changes[i]);
    assert_int_equal(buckets_take_changes(&f.buckets, changes, 16), 3);
    assert_int_equal(buckets_take_changes(&f.buckets, changes, 16), 0);
    stop(&f);
}

static void damage_is_refused(void **state)
{
    struct fixture f;
    const struct bucket good = {.at_ms = START};
    struct bucket bad = good;
    (void)state;
    start(&f);
    assert_true(buckets_restore(&f.buckets, &f.budget, &good, 60));
    assert_false(buckets_restore(&f.buckets, &f.budget, &good, 61));
    bad.at_ms = START + 1;
    assert_false(buckets_restore(&f.buckets, &f.budget, &bad, 60));
    bad.at_ms = START + MINUTE;
    assert_false(buckets_restore(&f.buckets, &f.budget, &bad, 3600));
    bad.at_ms = 0;
    assert_false(buckets_restore(&f.buckets, &f.budget, &bad, 60));
    bad.at_ms = UINT64_MAX / 60000 * 60000;
    assert_false(buckets_restore(&f.buckets, &f.budget, &bad, 60));
    bad = good;
    bad.figures[BUCKET_RATIO_P50] = NAN;
    assert_false(buckets_restore(&f.buckets, &f.budget, &bad, 60));
    bad.figures[BUCKET_RATIO_P50] = -1;
    assert_false(buckets_restore(&f.buckets, &f.budget, &bad, 60));
    bad.figures[BUCKET_RATIO_P50] = 0;
    bad.figures[BUCKET_DIFFERENCE_P50] = -3; /* the shadow was faster */
    assert_true(buckets_restore(&f.buckets, &f.budget, &bad, 60));
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minute_counts_and_measures),
        cmocka_unit_test(old_minutes_become_hours),
        cmocka_unit_test(a_month_is_kept_and_no_more),
        cmocka_unit_test(late_pairs_count_in_the_running_minute),
        cmocka_unit_test(a_clock_that_jumps_back_goes_on),
        cmocka_unit_test(buckets_of_a_wrong_future_are_dropped),
        cmocka_unit_test(random_clocks_break_nothing),
        cmocka_unit_test(without_memory_the_newest_stay),
        cmocka_unit_test(a_restart_loses_nothing),
        cmocka_unit_test(what_was_refused_is_changed_still),
        cmocka_unit_test(damage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
