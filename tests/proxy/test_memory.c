/*
 * Memory by the control group's limit: what the files say, and what follows from it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/memory.h"
#include "shadow/json_doc.h"
#include "shadow/report.h"

#define MIB ((uint64_t)1024 * 1024)

struct fixture {
    char root[64];
    char membership[128];
    struct cgroup_place place;
    struct memory memory;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->root, sizeof(f->root), "/tmp/shunt-memory-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    snprintf(f->membership, sizeof(f->membership), "%s/membership", f->root);
    f->place = (struct cgroup_place){.membership = f->membership, .mount = f->root};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", f->root);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* Overwrites in place: the files stay open. */
static void put(const struct fixture *f, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", f->root, name);
    for (char *slash = strchr(path + strlen(f->root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void put_number(const struct fixture *f, const char *name, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof(text), "%llu\n", (unsigned long long)number);
    put(f, name, text);
}

/* ---- the files ---- */

static void the_smallest_limit_on_the_way_counts(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(memory_group_limit(&f->place), 0);
    put(f, "membership", "0::/pods/one/shunt\n");
    assert_int_equal(memory_group_limit(&f->place), 0);
    put(f, "pods/one/shunt/memory.max", "max\n");
    assert_int_equal(memory_group_limit(&f->place), 0);
    put_number(f, "pods/memory.max", 512 * MIB);
    assert_int_equal(memory_group_limit(&f->place), 512 * MIB);
    put_number(f, "pods/one/shunt/memory.max", 256 * MIB);
    assert_int_equal(memory_group_limit(&f->place), 256 * MIB);
    put_number(f, "pods/one/memory.max", 25 * MIB);
    assert_int_equal(memory_group_limit(&f->place), 25 * MIB);
}

static void version_1_writes_a_large_number_for_no_limit(void **state)
{
    struct fixture *f = *state;
    put(f, "membership", "4:memory:/pods/one\n0::/\n");
    put_number(f, "memory/pods/one/memory.limit_in_bytes", 9223372036854771712u);
    put_number(f, "memory/memory.limit_in_bytes", 9223372036854771712u);
    assert_int_equal(memory_group_limit(&f->place), 0);
    put_number(f, "memory/pods/memory.limit_in_bytes", 64 * MIB);
    assert_int_equal(memory_group_limit(&f->place), 64 * MIB);
}

static void a_limit_that_is_no_number_is_none(void **state)
{
    struct fixture *f = *state;
    put(f, "membership", "0::/\n");
    put(f, "memory.max", "nonsense\n");
    assert_int_equal(memory_group_limit(&f->place), 0);
    put(f, "memory.max", "");
    assert_int_equal(memory_group_limit(&f->place), 0);
}

static void cache_of_files_is_what_nobody_has_mapped(void **state)
{
    (void)state;
    assert_int_equal(
        memory_group_cache("anon 900\nfile 5000\nfile_mapped 300\nshmem 70\ninactive_anon 2\nactive_anon 3\n"
                           "inactive_file 1000\nactive_file 500\n"),
        1200);
    /* version 1: its own and that of the groups below */
    assert_int_equal(memory_group_cache("cache 7\nmapped_file 1\ninactive_file 10\nactive_file 20\n"
                                        "total_mapped_file 100\ntotal_inactive_file 1000\ntotal_active_file 2000\n"),
                     2900);
    assert_int_equal(memory_group_cache("inactive_file 10\nactive_file 20\nfile_mapped 100\n"), 0);
    assert_int_equal(memory_group_cache(""), 0);
    assert_int_equal(memory_group_cache("nonsense"), 0);
}

static void used_is_what_is_charged_without_the_cache(void **state)
{
    struct fixture *f = *state;
    struct memory_group group;
    uint64_t bytes = 7;
    put(f, "membership", "4:memory:/pods/one\n");
    assert_false(memory_group_open(&group, &f->place));
    assert_false(memory_group_charged(&group, &bytes));
    assert_false(memory_group_used(&group, &bytes));
    assert_int_equal(bytes, 7);
    put_number(f, "memory/memory.usage_in_bytes", 999999);
    put_number(f, "memory/pods/one/memory.usage_in_bytes", 5000);
    assert_true(memory_group_open(&group, &f->place));
    assert_true(memory_group_used(&group, &bytes)); /* without memory.stat */
    assert_int_equal(bytes, 5000);
    memory_group_close(&group);
    put(f, "memory/pods/one/memory.stat", "total_inactive_file 1000\ntotal_active_file 500\ntotal_mapped_file 200\n");
    assert_true(memory_group_open(&group, &f->place));
    assert_true(memory_group_charged(&group, &bytes));
    assert_int_equal(bytes, 5000);
    assert_true(memory_group_used(&group, &bytes));
    assert_int_equal(bytes, 3700);
    put_number(f, "memory/pods/one/memory.usage_in_bytes", 1000); /* the two files are not of one instant */
    assert_true(memory_group_used(&group, &bytes));
    assert_int_equal(bytes, 0);
    put(f, "memory/pods/one/memory.usage_in_bytes", "");
    assert_false(memory_group_used(&group, &bytes));
    memory_group_close(&group);
}

/* A container in version 1 is told a path of the node, and sees its own group as the root. */
static void a_group_that_cannot_be_seen_is_the_root_of_what_can(void **state)
{
    struct fixture *f = *state;
    struct memory_group group;
    uint64_t bytes;
    put(f, "membership", "4:memory:/kubepods/burstable/pod1/abc\n");
    put_number(f, "memory/memory.usage_in_bytes", 5000);
    put_number(f, "memory/memory.limit_in_bytes", 25 * MIB);
    assert_int_equal(memory_group_limit(&f->place), 25 * MIB);
    assert_true(memory_group_open(&group, &f->place));
    assert_true(memory_group_charged(&group, &bytes));
    assert_int_equal(bytes, 5000);
    memory_group_close(&group);
}

/* ---- the judgement ---- */

static void marks_are_shares_of_the_limit(void **state)
{
    (void)state;
    struct memory_marks marks = memory_marks_of(100 * MIB);
    assert_int_equal(marks.enter[MEMORY_SHORT] / MIB, 80);
    assert_int_equal(marks.leave[MEMORY_SHORT] / MIB, 70);
    assert_int_equal(marks.enter[MEMORY_SCARCE] / MIB, 92);
    assert_int_equal(marks.leave[MEMORY_SCARCE] / MIB, 86);
}

/* A burst does not shrink with the limit. */
static void of_little_memory_more_is_kept_free(void **state)
{
    (void)state;
    struct memory_marks marks = memory_marks_of(25 * MIB);
    assert_int_equal(marks.enter[MEMORY_SHORT] / MIB, 17);
    assert_int_equal(marks.leave[MEMORY_SHORT] / MIB, 14);
    assert_int_equal(marks.enter[MEMORY_SCARCE] / MIB, 20);
    assert_int_equal(marks.leave[MEMORY_SCARCE] / MIB, 18);
    for (uint64_t limit = 4 * MIB; limit < 1024 * 1024 * MIB; limit += limit / 3) {
        marks = memory_marks_of(limit);
        assert_true(marks.leave[MEMORY_SHORT] < marks.enter[MEMORY_SHORT] &&
                    marks.enter[MEMORY_SHORT] < marks.enter[MEMORY_SCARCE] &&
                    marks.leave[MEMORY_SCARCE] < marks.enter[MEMORY_SCARCE] && marks.enter[MEMORY_SCARCE] < limit);
        assert_true(marks.enter[MEMORY_SHORT] >= limit / 100 * 68);
    }
}

static void much_memory_is_not_left_unused(void **state)
{
    (void)state;
    struct memory_marks marks = memory_marks_of(64 * 1024 * MIB);
    assert_int_equal(marks.enter[MEMORY_SHORT], (64 * 1024 - 256) * MIB);
    assert_int_equal(marks.leave[MEMORY_SHORT], (64 * 1024 - 384) * MIB);
    assert_int_equal(marks.enter[MEMORY_SCARCE], (64 * 1024 - 96) * MIB);
    assert_int_equal(marks.leave[MEMORY_SCARCE], (64 * 1024 - 144) * MIB);
}

struct judging {
    struct memory_judge judge;
    struct memory_marks marks;
};

static enum memory_level judge(struct judging *judging, uint64_t mib, uint64_t now_ms)
{
    return memory_judge(&judging->judge, &judging->marks, mib * MIB, now_ms);
}

static void it_rises_at_once_and_by_two(void **state)
{
    (void)state;
    struct judging j = {.marks = memory_marks_of(100 * MIB)};
    assert_int_equal(judge(&j, 79, 1000), MEMORY_PLENTY);
    assert_int_equal(judge(&j, 80, 1001), MEMORY_SHORT);
    assert_int_equal(judge(&j, 93, 1002), MEMORY_SCARCE);
    struct judging other = {.marks = j.marks};
    assert_int_equal(judge(&other, 99, 1000), MEMORY_SCARCE);
}

static void it_falls_step_by_step_and_late(void **state)
{
    (void)state;
    struct judging j = {.marks = memory_marks_of(100 * MIB)};
    assert_int_equal(judge(&j, 95, 1000), MEMORY_SCARCE);
    assert_int_equal(judge(&j, 10, 1249), MEMORY_SCARCE); /* a quarter of a second */
    assert_int_equal(judge(&j, 10, 1250), MEMORY_SHORT);
    assert_int_equal(judge(&j, 10, 3249), MEMORY_SHORT); /* two seconds */
    assert_int_equal(judge(&j, 10, 3250), MEMORY_PLENTY);
}

static void between_the_marks_it_stays(void **state)
{
    (void)state;
    struct judging j = {.marks = memory_marks_of(100 * MIB)};
    assert_int_equal(judge(&j, 95, 1000), MEMORY_SCARCE);
    for (uint64_t ms = 1000; ms < 10000; ms += 100)
        assert_int_equal(judge(&j, 87, ms), MEMORY_SCARCE);
    assert_int_equal(judge(&j, 85, 10100), MEMORY_SCARCE);
    assert_int_equal(judge(&j, 85, 10150), MEMORY_SHORT);
    for (uint64_t ms = 10200; ms < 30000; ms += 100)
        assert_int_equal(judge(&j, 71, ms), MEMORY_SHORT);
    assert_int_equal(judge(&j, 69, 30000), MEMORY_SHORT);
    assert_int_equal(judge(&j, 71, 31000), MEMORY_SHORT); /* begins anew */
    assert_int_equal(judge(&j, 69, 32999), MEMORY_SHORT);
    assert_int_equal(judge(&j, 69, 33000), MEMORY_PLENTY);
}

/* Whoever looks has read its own clock before: it may be some milliseconds behind that of one who looked first. */
static void a_clock_that_is_behind_ends_nothing(void **state)
{
    (void)state;
    struct judging j = {.marks = memory_marks_of(100 * MIB)};
    assert_int_equal(judge(&j, 95, 1000), MEMORY_SCARCE);
    assert_int_equal(judge(&j, 10, 995), MEMORY_SCARCE);
    assert_int_equal(judge(&j, 10, 1250), MEMORY_SHORT);
    assert_int_equal(judge(&j, 10, 1249), MEMORY_SHORT);
    assert_int_equal(judge(&j, 10, 3250), MEMORY_PLENTY);
    assert_int_equal(judge(&j, 80, 3249), MEMORY_SHORT); /* again, and so for longer */
    assert_int_equal(judge(&j, 10, 7249), MEMORY_SHORT);
    assert_int_equal(judge(&j, 10, 7250), MEMORY_PLENTY);
}

/* One that comes back as soon as it has ended is held for longer each time, so that copies do not start and stop. */
static uint64_t held_ms(struct judging *j, uint64_t *now_ms)
{
    assert_int_equal(judge(j, 80, *now_ms), MEMORY_SHORT);
    uint64_t began_ms = *now_ms;
    while (judge(j, 10, *now_ms) == MEMORY_SHORT)
        *now_ms += 100;
    return *now_ms - began_ms;
}

static void what_comes_back_stays_for_longer(void **state)
{
    (void)state;
    struct judging j = {.marks = memory_marks_of(100 * MIB)};
    uint64_t now_ms = 1000;
    assert_int_equal(held_ms(&j, &now_ms), 2000);
    assert_int_equal(held_ms(&j, &now_ms), 4000);
    assert_int_equal(held_ms(&j, &now_ms), 8000);
    for (int i = 0; i < 6; i++)
        assert_in_range(held_ms(&j, &now_ms), 16000, 64000);
    assert_int_equal(held_ms(&j, &now_ms), 64000);
    now_ms += 2 * 60 * 1000; /* calm */
    assert_int_equal(judge(&j, 10, now_ms), MEMORY_PLENTY);
    assert_int_equal(held_ms(&j, &now_ms), 2000);
}

/* ---- shares ---- */

static void without_a_limit_nothing_is_bounded(void **state)
{
    (void)state;
    struct memory_shares shares = memory_shares_of(0);
    assert_true(shares.shadow == SIZE_MAX);
    assert_true(shares.archive == SIZE_MAX);
    assert_int_equal(shares.report, REPORT_BYTES_MAX);
    assert_int_equal(shares.samples, REPORT_SAMPLE_BYTES_MAX);
    assert_int_equal(shares.json_nodes, JSON_NODES);
}

static void shares_leave_room_for_clients(void **state)
{
    (void)state;
    for (uint64_t limit = 8 * MIB; limit <= 64 * 1024 * MIB; limit *= 2) {
        struct memory_shares shares = memory_shares_of(limit);
        uint64_t documents = (uint64_t)2 * shares.json_nodes * sizeof(struct json_node);
        assert_true(shares.report <= REPORT_BYTES_MAX);
        assert_true(shares.json_nodes <= JSON_NODES);
        assert_true(shares.shadow + shares.report + shares.samples + shares.archive + documents <= limit / 100 * 51);
    }
    assert_int_equal(memory_shares_of(256 * MIB).shadow, 64 * MIB); /* the chart's limit allows the file's default */
}

/* ---- the process ---- */

static void without_files_there_is_no_limit(void **state)
{
    struct fixture *f = *state;
    put(f, "membership", "0::/one\n");
    memory_init(&f->memory, &f->place, 1000);
    assert_int_equal(memory_limit(&f->memory), 0);
    assert_int_equal(memory_stride(&f->memory), 0);
    assert_false(memory_tick(&f->memory, 20000));
    assert_int_equal(memory_level(&f->memory), MEMORY_PLENTY);
    assert_int_equal(memory_used(&f->memory), 0);
    memory_done(&f->memory);
}

static void start(struct fixture *f, uint64_t limit, uint64_t used)
{
    put(f, "membership", "0::/one\n");
    put_number(f, "one/memory.max", limit);
    put_number(f, "one/memory.current", used);
    put(f, "one/memory.stat", "inactive_file 0\n");
    memory_init(&f->memory, &f->place, 1000);
}

static void a_file_that_vanishes_changes_nothing(void **state)
{
    struct fixture *f = *state;
    start(f, 100 * MIB, 85 * MIB);
    assert_int_equal(memory_level(&f->memory), MEMORY_SHORT);
    put(f, "one/memory.current", "");
    assert_false(memory_tick(&f->memory, 5000));
    assert_int_equal(memory_level(&f->memory), MEMORY_SHORT);
    memory_done(&f->memory);
}

static void it_looks_seldom_when_there_is_plenty_and_often_when_not(void **state)
{
    struct fixture *f = *state;
    start(f, 100 * MIB, 10 * MIB);
    assert_false(memory_tick(&f->memory, 1000));
    put_number(f, "one/memory.current", 60 * MIB);
    (void)memory_tick(&f->memory, 1249);
    assert_int_equal(atomic_load(&f->memory.used), 10 * MIB);
    (void)memory_tick(&f->memory, 1250);
    assert_int_equal(atomic_load(&f->memory.used), 60 * MIB);
    put_number(f, "one/memory.current", 81 * MIB);
    (void)memory_tick(&f->memory, 1275);
    assert_int_equal(memory_level(&f->memory), MEMORY_SHORT);
    put_number(f, "one/memory.current", 95 * MIB);
    (void)memory_tick(&f->memory, 1300);
    assert_int_equal(memory_level(&f->memory), MEMORY_SCARCE);
    assert_true(memory_is_scarce(&f->memory));
    put_number(f, "one/memory.current", 85 * MIB); /* it is held for a while, but nobody need be closed any more */
    (void)memory_tick(&f->memory, 1325);
    assert_int_equal(memory_level(&f->memory), MEMORY_SCARCE);
    assert_false(memory_is_scarce(&f->memory));
    memory_done(&f->memory);
}

static void at_the_brink_half_of_what_was_left_is_used_up(void **state)
{
    struct fixture *f = *state;
    start(f, 100 * MIB, 95 * MIB); /* scarce from 92 on */
    assert_int_equal(memory_level(&f->memory), MEMORY_SCARCE);
    assert_false(memory_is_at_brink(&f->memory));
    put_number(f, "one/memory.current", 96 * MIB);
    memory_look(&f->memory, 2000);
    assert_true(memory_is_at_brink(&f->memory));
    put_number(f, "one/memory.current", 91 * MIB);
    memory_look(&f->memory, 2001);
    assert_int_equal(memory_level(&f->memory), MEMORY_SCARCE);
    assert_false(memory_is_at_brink(&f->memory));
    memory_done(&f->memory);
}

/* The marks are kept with the limit. */
static void another_limit_has_other_marks(void **state)
{
    struct fixture *f = *state;
    start(f, 100 * MIB, 95 * MIB);
    assert_false(memory_has_room(&f->memory, MIB));
    put_number(f, "one/memory.max", 200 * MIB);
    assert_true(memory_tick(&f->memory, 7000));
    assert_true(memory_has_room(&f->memory, 88 * MIB)); /* 184 MiB */
    assert_false(memory_has_room(&f->memory, 89 * MIB));
    assert_false(memory_is_scarce(&f->memory));
    put(f, "one/memory.max", "max\n");
    assert_true(memory_tick(&f->memory, 14000));
    assert_true(memory_has_room(&f->memory, 4096 * MIB));
    memory_done(&f->memory);
}

static void cache_of_files_is_no_pressure(void **state)
{
    struct fixture *f = *state;
    start(f, 100 * MIB, 10 * MIB);
    put(f, "one/memory.stat",
        "inactive_file 52428800\nactive_file 31457280\nfile_mapped 1048576\n"); /* 50, 30, 1 MiB */
    put_number(f, "one/memory.current", 99 * MIB);
    memory_look(&f->memory, 2000);
    assert_int_equal(memory_level(&f->memory), MEMORY_PLENTY);
    assert_int_equal(atomic_load(&f->memory.used), 20 * MIB);
    assert_int_equal(memory_used(&f->memory), 20 * MIB);
    memory_done(&f->memory);
}

static void what_is_promised_counts(void **state)
{
    struct fixture *f = *state;
    start(f, 100 * MIB, 40 * MIB);
    assert_false(memory_is_close(&f->memory));
    assert_true(memory_has_room(&f->memory, 51 * MIB));
    assert_false(memory_has_room(&f->memory, 52 * MIB)); /* 92 MiB */
    put_number(f, "one/memory.current", 50 * MIB);
    memory_look(&f->memory, 2000);
    assert_true(memory_is_close(&f->memory));
    memory_done(&f->memory);
}

/* Whatever the clock says. */
static void who_takes_much_looks(void **state)
{
    struct fixture *f = *state;
    size_t taken = 0;
    start(f, 100 * MIB, 10 * MIB);
    assert_int_equal(memory_stride(&f->memory), 100 * MIB / 128);
    put_number(f, "one/memory.current", 90 * MIB);
    memory_grew(&f->memory, &taken, 100 * MIB / 128 - 1, 1000);
    assert_int_equal(memory_level(&f->memory), MEMORY_PLENTY);
    memory_grew(&f->memory, &taken, 1, 1000);
    assert_int_equal(memory_level(&f->memory), MEMORY_SHORT);
    assert_int_equal(taken, 0);
    memory_done(&f->memory);
}

static void a_limit_may_change(void **state)
{
    struct fixture *f = *state;
    start(f, 100 * MIB, 85 * MIB);
    put_number(f, "one/memory.max", 200 * MIB);
    assert_false(memory_tick(&f->memory, 5999));
    assert_true(memory_tick(&f->memory, 6000));
    assert_int_equal(memory_limit(&f->memory), 200 * MIB);
    put(f, "one/memory.max", "max\n");
    assert_int_equal(memory_level(&f->memory), MEMORY_SHORT);
    assert_true(memory_tick(&f->memory, 11000));
    assert_int_equal(memory_limit(&f->memory), 0);
    assert_int_equal(memory_level(&f->memory), MEMORY_PLENTY);
    memory_done(&f->memory);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_smallest_limit_on_the_way_counts),
        TEST(version_1_writes_a_large_number_for_no_limit),
        TEST(a_limit_that_is_no_number_is_none),
        cmocka_unit_test(cache_of_files_is_what_nobody_has_mapped),
        TEST(used_is_what_is_charged_without_the_cache),
        TEST(a_group_that_cannot_be_seen_is_the_root_of_what_can),
        cmocka_unit_test(marks_are_shares_of_the_limit),
        cmocka_unit_test(of_little_memory_more_is_kept_free),
        cmocka_unit_test(much_memory_is_not_left_unused),
        cmocka_unit_test(it_rises_at_once_and_by_two),
        cmocka_unit_test(it_falls_step_by_step_and_late),
        cmocka_unit_test(between_the_marks_it_stays),
        cmocka_unit_test(a_clock_that_is_behind_ends_nothing),
        cmocka_unit_test(what_comes_back_stays_for_longer),
        cmocka_unit_test(without_a_limit_nothing_is_bounded),
        cmocka_unit_test(shares_leave_room_for_clients),
        TEST(without_files_there_is_no_limit),
        TEST(a_file_that_vanishes_changes_nothing),
        TEST(it_looks_seldom_when_there_is_plenty_and_often_when_not),
        TEST(cache_of_files_is_no_pressure),
        TEST(at_the_brink_half_of_what_was_left_is_used_up),
        TEST(another_limit_has_other_marks),
        TEST(what_is_promised_counts),
        TEST(who_takes_much_looks),
        TEST(a_limit_may_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
