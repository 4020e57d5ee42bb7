/*
 * The audit trail: every line whole, in order, with who and why; torn ends are cut off, a full disk loses nothing, and
 * whatever was changed, removed, added or moved is found out.
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
#include <sys/wait.h>
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
    json_t *evidence = json_pack("{s:s}", "verdict", "pass");
    struct router_event event = {
        .sequence = sequence,
        .at_ms = 1700000000123,
        .route = "orders",
        .what = "promote",
        .who = "operator:ada",
        .why = "gates passed",
        .from = from,
        .to = to,
        .evidence = evidence,
    };
    bool done = audit_append(&f->audit, &event, &error) && audit_fsync(&f->audit);
    json_decref(from);
    json_decref(to);
    json_decref(evidence);
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
    assert_int_equal(json_string_length(json_object_get(line, "check")), CHAIN_CHECK_LENGTH);
    json_object_del(line, "check");
    json_t *wanted =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:{s:i}, s:{s:i}, s:{s:s}}", "sequence", 7, "time",
                  "2023-11-14T22:13:20.123Z", "route", "orders", "what", "promote", "who", "operator:ada", "why",
                  "gates passed", "from", "percent", 10, "to", "percent", 25, "evidence", "verdict", "pass");
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

/* ---- the chain ---- */

/* The whole file, NUL-terminated and malloc'd. */
static char *read_trail(struct fixture *f, size_t *length)
{
    struct stat facts;
    int fd = openat(f->directory, "audit.jsonl", O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &facts) == 0);
    *length = (size_t)facts.st_size;
    char *text = calloc(1, *length + 1);
    assert_non_null(text);
    assert_int_equal(read(fd, text, *length), *length);
    close(fd);
    return text;
}

static void write_trail(struct fixture *f, const char *text, size_t length)
{
    unlinkat(f->directory, "audit.jsonl", 0);
    put_behind(f, text, length);
}

/* Makes a trail of `count` lines; returns its bytes and where each line begins (and the last ends). */
static char *make_trail(struct fixture *f, size_t count, size_t begins[])
{
    size_t length;
    unlinkat(f->directory, "audit.jsonl", 0);
    open_it(f);
    for (uint64_t i = 1; i <= count; i++)
        append(f, i);
    assert_int_equal(f->audit.chain.damaged, 0);
    char *text = read_trail(f, &length);
    begins[0] = 0;
    for (size_t i = 1; i <= count; i++)
        begins[i] = (size_t)(strchr(text + begins[i - 1], '\n') - text) + 1;
    assert_int_equal(begins[count], length);
    return text;
}

/* A trail put together from these lines of `text` has its first fault at line `at`; 0: none. */
static void lines_are_judged(struct fixture *f, const char *text, const size_t begins[], const char *order, uint64_t at)
{
    char place[128];
    unlinkat(f->directory, "audit.jsonl", 0);
    for (const char *line = order; *line != '\0'; line++) {
        size_t i = (size_t)(*line - '1');
        put_behind(f, text + begins[i], begins[i + 1] - begins[i]);
    }
    open_it(f);
    assert_int_equal(f->audit.chain.damaged_at, at);
    assert_int_equal(f->audit.damaged > 0, at > 0);
    if (at == 0) {
        assert_null(f->audit.damage);
        return;
    }
    snprintf(place, sizeof(place), "%s/audit.jsonl:%d: ", f->place, (int)at);
    assert_memory_equal(f->audit.damage, place, strlen(place));
}

static void lines_removed_added_or_moved_are_reported_where_they_are(void **state)
{
    static const struct {
        const char *order;
        uint64_t at;
    } cases[] = {
        {"123456", 0}, {"12345", 0}, /* the end alone: audit_expect() finds it out */
        {"12456", 3},  {"23456", 1}, {"1234566", 7}, {"132456", 2}, {"213456", 1}, {"654321", 1}, {"3", 1},
    };
    struct fixture *f = *state;
    size_t begins[7];
    char *text = make_trail(f, 6, begins);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        lines_are_judged(f, text, begins, cases[i].order, cases[i].at);
    free(text);
}

static void every_changed_bit_is_found_out(void **state)
{
    struct fixture *f = *state;
    size_t begins[4];
    char *text = make_trail(f, 3, begins);
    for (size_t i = 0; i < begins[3]; i++) {
        text[i] ^= 1;
        write_trail(f, text, begins[3]);
        open_it(f);
        if (f->audit.damaged == 0) { /* else it made the last line look torn, which is told as well */
            assert_true(i >= begins[2] - 1);
            assert_true(f->audit.cut > 0);
        }
        text[i] ^= 1;
    }
    free(text);
}

static void a_line_that_shunt_did_not_write_is_reported(void **state)
{
    struct fixture *f = *state;
    static const char stranger[] = "{\"sequence\":2,\"what\":\"promote\",\"who\":\"operator:nobody\"}\n";
    open_it(f);
    append(f, 1);
    put_behind(f, stranger, sizeof(stranger) - 1);
    open_it(f);
    assert_int_equal(f->audit.chain.damaged_at, 2);
    assert_non_null(strstr(f->audit.damage, "it has no checksum"));
    append(f, 3); /* goes on behind it */
    append(f, 4);
    open_it(f);
    assert_int_equal(f->audit.damaged, 1);
    has_lines(f, 10, 1, 4);
}

static void damage_is_told_again_at_each_start_and_stops_nothing(void **state)
{
    struct fixture *f = *state;
    size_t begins[4];
    char *text = make_trail(f, 3, begins);
    char *at = strstr(text + begins[1], "operator:ada");
    memcpy(at, "operator:eve", 12);
    write_trail(f, text, begins[3]);
    for (uint64_t i = 4; i < 8; i++) {
        open_it(f);
        assert_int_equal(f->audit.damaged, 1);
        assert_int_equal(f->audit.chain.damaged_at, 2);
        append(f, i);
        has_lines(f, 100, 1, i);
    }
    free(text);
}

static void lines_from_before_there_were_checksums_are_accepted_and_vouched_for_from_then_on(void **state)
{
    static const char old[] = "{\"sequence\":1,\"who\":\"operator:ada\"}\n{\"sequence\":2,\"who\":\"plan\"}\n";
    struct fixture *f = *state;
    size_t length;
    put_behind(f, old, sizeof(old) - 1);
    open_it(f);
    assert_int_equal(f->audit.damaged, 0);
    append(f, 3);
    open_it(f);
    assert_int_equal(f->audit.damaged, 0);
    append(f, 4);
    char *text = read_trail(f, &length);
    memcpy(strstr(text, "operator:ada"), "operator:eve", 12);
    write_trail(f, text, length);
    open_it(f);
    assert_int_equal(f->audit.damaged, 1);
    assert_int_equal(f->audit.chain.damaged_at, 3); /* the first that could tell */
    free(text);
}

static void an_end_that_was_removed_is_reported_by_what_the_state_knows(void **state)
{
    struct fixture *f = *state;
    size_t begins[5];
    char *text = make_trail(f, 4, begins);
    open_it(f);
    audit_expect(&f->audit, 4, 4);
    audit_expect(&f->audit, 3, 4); /* killed between the trail and the state */
    assert_int_equal(f->audit.damaged, 0);
    write_trail(f, text, begins[2]);
    open_it(f);
    audit_expect(&f->audit, 4, 2);
    assert_int_equal(f->audit.damaged, 1);
    assert_non_null(strstr(f->audit.damage, "/audit.jsonl:2: it ends with event 2, but the state knows of event 4"));
    write_trail(f, "", 0);
    open_it(f);
    audit_expect(&f->audit, 4, 0); /* somebody began a new file */
    assert_int_equal(f->audit.damaged, 0);
    free(text);
}

/* Wherever the last line is torn, what is left is whole, and goes on. */
static void a_line_torn_at_any_byte_is_repaired_without_damage(void **state)
{
    struct fixture *f = *state;
    size_t begins[3];
    char *text = make_trail(f, 2, begins);
    for (size_t end = begins[1]; end < begins[2]; end++) {
        write_trail(f, text, end);
        open_it(f);
        assert_int_equal(f->audit.cut, end - begins[1]);
        assert_int_equal(f->audit.damaged, 0);
        append(f, 2);
        open_it(f);
        assert_int_equal(f->audit.damaged, 0);
        has_lines(f, 10, 1, 2);
    }
    free(text);
}

static void lines_longer_than_a_block_are_followed_and_endless_ones_reported(void **state)
{
    struct fixture *f = *state;
    char *error = NULL;
    char *why = malloc(CHAIN_LINE_MOST + 2);
    assert_non_null(why);
    memset(why, 'x', CHAIN_LINE_MOST + 2);
    why[300000] = '\0';
    struct router_event event = {.sequence = 1, .what = "pause", .who = "operator:a", .why = why};
    open_it(f);
    assert_true(audit_append(&f->audit, &event, &error));
    append(f, 2);
    open_it(f);
    assert_int_equal(f->audit.damaged, 0);
    why[300000] = 'x';
    why[CHAIN_LINE_MOST + 1] = '\n';
    put_behind(f, why, CHAIN_LINE_MOST + 2);
    open_it(f); /* the end is no JSON: cut off */
    assert_int_equal(f->audit.cut, CHAIN_LINE_MOST + 2);
    put_behind(f, why, CHAIN_LINE_MOST + 2);
    f->audit.size += CHAIN_LINE_MOST + 2; /* as after a write that could not be taken back */
    append(f, 3);
    open_it(f);
    assert_int_equal(f->audit.damaged, 1);
    assert_int_equal(f->audit.chain.damaged_at, 3);
    free(why);
}

/* Ends at a random instant of writing, again and again: nothing is damaged, and no whole line is lost. */
static void kill_9_while_writing_damages_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t last = 0;
    srandom(20261121);
    for (int turn = 0; turn < 25; turn++) {
        struct stat facts;
        off_t before = fstatat(f->directory, "audit.jsonl", &facts, 0) == 0 ? facts.st_size : 0;
        off_t enough = before + 1 + random() % 20000;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            open_it(f);
            for (uint64_t i = last + 1;; i++)
                append(f, i);
        }
        do
            assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
        while (fstatat(f->directory, "audit.jsonl", &facts, 0) < 0 || facts.st_size < enough);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        open_it(f);
        assert_int_equal(f->audit.damaged, 0);
        json_t *tail = audit_tail(&f->audit, 1);
        uint64_t now = (uint64_t)json_integer_value(json_object_get(json_array_get(tail, 0), "sequence"));
        json_decref(tail);
        assert_true(now > last);
        assert_int_equal(f->audit.chain.lines, now);
        last = now;
        audit_close(&f->audit);
    }
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
    assert_int_equal(f->audit.damaged, 0);
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
    open_it(f);
    assert_int_equal(f->audit.damaged, 0); /* what was given up is missing in the numbers, not in the chain */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_says_who_when_why_from_what_and_to_what, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_absent_is_null_and_what_is_not_utf8_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_tail_is_the_newest_oldest_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_torn_end_is_cut_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_without_a_single_whole_line_becomes_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_removed_added_or_moved_are_reported_where_they_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_changed_bit_is_found_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_that_shunt_did_not_write_is_reported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_told_again_at_each_start_and_stops_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            lines_from_before_there_were_checksums_are_accepted_and_vouched_for_from_then_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_end_that_was_removed_is_reported_by_what_the_state_knows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_torn_at_any_byte_is_repaired_without_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_longer_than_a_block_are_followed_and_endless_ones_reported, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(kill_9_while_writing_damages_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_keeps_lines_in_memory_and_writes_them_later_in_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(only_so_many_lines_wait_and_the_rest_is_counted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
