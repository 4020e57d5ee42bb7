/*
 * The audit trail: every line whole, in order, with who and why; torn ends are cut off, a full disk loses nothing.
 */
#include "router/store/audit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char place[64];
    int directory;
    struct audit audit;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->place, "/tmp/shunt-audit-XXXXXX");
    assert_non_null(mkdtemp(f->place));
    f->directory = open(f->place, O_RDONLY | O_DIRECTORY);
    assert_true(f->directory >= 0);
    f->audit.fd = -1;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    audit_close(&f->audit);
    unlinkat(f->directory, "audit.jsonl", 0);
    close(f->directory);
    rmdir(f->place);
    free(f);
    return 0;
}

static void open_it(struct fixture *f)
{
    char *error = NULL;
    audit_close(&f->audit);
    if (!audit_open(&f->audit, f->directory, f->place, &error))
        fail_msg("%s", error);
}

static void append(struct fixture *f, uint64_t sequence)
{
    char *error = NULL;
    json_t *from = json_pack("{s:i}", "percent", 10), *to = json_pack("{s:i}", "percent", 25);
    struct router_event event = {
        .sequence = sequence,
        .at_ms = 1700000000123,
        .route = "orders",
        .what = "promote",
        .who = "operator:ada",
        .why = "gates passed",
        .from = from,
        .to = to,
    };
    bool done = audit_append(&f->audit, &event, &error) && audit_fsync(&f->audit);
    json_decref(from);
    json_decref(to);
    if (!done)
        fail_msg("%s", error);
}

static void put_behind(struct fixture *f, const char *bytes, size_t length)
{
    int fd = openat(f->directory, "audit.jsonl", O_WRONLY | O_APPEND | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    close(fd);
}

/* The tail has exactly the sequences first, first + 1, ... */
static void has_lines(struct fixture *f, size_t limit, uint64_t first, size_t count)
{
    json_t *tail = audit_tail(&f->audit, limit);
    assert_int_equal(json_array_size(tail), count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(json_integer_value(json_object_get(json_array_get(tail, i), "sequence")), first + i);
    json_decref(tail);
}

static void a_line_says_who_when_why_from_what_and_to_what(void **state)
{
    struct fixture *f = *state;
    open_it(f);
    append(f, 7);
    json_t *tail = audit_tail(&f->audit, 10), *line = json_array_get(tail, 0);
    json_t *wanted = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:{s:i}, s:{s:i}}", "sequence", 7, "time",
                               "2023-11-14T22:13:20.123Z", "route", "orders", "what", "promote", "who", "operator:ada",
                               "why", "gates passed", "from", "percent", 10, "to", "percent", 25);
    assert_non_null(wanted);
    assert_true(json_equal(line, wanted));
    json_decref(wanted);
    json_decref(tail);
}

static void what_is_absent_is_null_and_what_is_not_utf8_is_replaced(void **state)
{
    struct fixture *f = *state;
    char *error = NULL;
    struct router_event event = {.sequence = 1, .what = "passthrough_on", .who = "operator:\xff\xfe", .why = "a\nb"};
    open_it(f);
    assert_true(audit_append(&f->audit, &event, &error));
    json_t *tail = audit_tail(&f->audit, 10), *line = json_array_get(tail, 0);
    assert_true(json_is_null(json_object_get(line, "route")));
    assert_true(json_is_null(json_object_get(line, "from")));
    assert_string_equal(json_string_value(json_object_get(line, "who")), "operator:\xef\xbf\xbd\xef\xbf\xbd");
    assert_string_equal(json_string_value(json_object_get(line, "why")), "a\nb");
    json_decref(tail);
}

static void the_tail_is_the_newest_oldest_first(void **state)
{
    struct fixture *f = *state;
    open_it(f);
    has_lines(f, 10, 0, 0);
    for (uint64_t i = 1; i <= 1200; i++)
        append(f, i); /* some 190 KiB: more than one block */
    has_lines(f, 0, 0, 0);
    has_lines(f, 1, 1200, 1);
    has_lines(f, 3, 1198, 3);
    has_lines(f, 1200, 1, 1200);
    has_lines(f, 5000, 1, 1200);
    open_it(f);
    has_lines(f, 1199, 2, 1199);
}

static void a_torn_end_is_cut_off(void **state)
{
    struct fixture *f = *state;
    static const char *const torn[] = {
        "{\"sequence\":3,\"ti",      /* the machine lost power inside a line */
        "\n",                        /* or the file system gave the place of a line without its bytes */
        "{\"sequence\":3}garbage\n", /* */
        "{\"sequ\n{\"seq",
    };
    open_it(f);
    append(f, 1);
    append(f, 2);
    for (size_t i = 0; i < sizeof(torn) / sizeof(torn[0]); i++) {
        put_behind(f, torn[i], strlen(torn[i]));
        open_it(f);
        has_lines(f, 10, 1, i + 2);
        append(f, i + 3);
        has_lines(f, 10, 1, i + 3);
    }
    put_behind(f, "\0\0\0\0\0\0\n\0\0\0", 10);
    open_it(f);
    has_lines(f, 10, 1, 6);
}

static void a_file_without_a_single_whole_line_becomes_empty(void **state)
{
    struct fixture *f = *state;
    char block[5000];
    memset(block, 'x', sizeof(block));
    put_behind(f, block, sizeof(block));
    open_it(f);
    has_lines(f, 10, 0, 0);
    append(f, 1);
    has_lines(f, 10, 1, 1);
    struct stat facts;
    assert_int_equal(fstatat(f->directory, "audit.jsonl", &facts, 0), 0);
    assert_true(facts.st_size < 300);
}

/* RLIMIT_FSIZE makes write(2) fall short in the middle of a line, as a full disk does. */
static void a_full_disk_keeps_lines_in_memory_and_writes_them_later_in_order(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, small;
    struct router_event event = {.what = "pause", .who = "operator:a", .why = "a sentence long enough to be cut"};
    char *error = NULL;
    open_it(f);
    append(f, 1);
    struct stat facts;
    assert_int_equal(fstatat(f->directory, "audit.jsonl", &facts, 0), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){(rlim_t)facts.st_size + 20, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bool refused = true;
    for (event.sequence = 2; event.sequence <= 4; event.sequence++) {
        refused = refused && !audit_append(&f->audit, &event, &error) && error != NULL;
        free(error);
        error = NULL;
    }
    off_t size_when_full = fstatat(f->directory, "audit.jsonl", &facts, 0) == 0 ? facts.st_size : -1;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(refused);
    assert_int_equal(size_when_full, f->audit.size); /* the half line was taken back */
    assert_int_equal(f->audit.count, 3);
    has_lines(f, 10, 1, 4); /* those that wait are shown */
    assert_true(audit_write(&f->audit, &error));
    assert_int_equal(f->audit.count, 0);
    open_it(f);
    has_lines(f, 10, 1, 4);
}

static void only_so_many_lines_wait_and_the_rest_is_counted(void **state)
{
    struct fixture *f = *state;
    struct router_event event = {.what = "pause", .who = "operator:a"};
    char *error = NULL;
    open_it(f);
    int whole = f->audit.fd;
    f->audit.fd = open("/dev/full", O_WRONLY);
    assert_true(f->audit.fd >= 0);
    for (event.sequence = 1; event.sequence <= AUDIT_WAITING_MOST + 5; event.sequence++) {
        assert_false(audit_append(&f->audit, &event, &error));
        free(error);
        error = NULL;
    }
    assert_int_equal(f->audit.lost, 5);
    close(f->audit.fd);
    f->audit.fd = whole;
    assert_true(audit_write(&f->audit, &error));
    has_lines(f, 2000, 6, AUDIT_WAITING_MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_says_who_when_why_from_what_and_to_what, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_absent_is_null_and_what_is_not_utf8_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_tail_is_the_newest_oldest_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_torn_end_is_cut_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_without_a_single_whole_line_becomes_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_keeps_lines_in_memory_and_writes_them_later_in_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(only_so_many_lines_wait_and_the_rest_is_counted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
