/*
 * The state directory: what is saved is loaded, nothing damaged is believed, kill -9 leaves one of the two last states.
 */
#include "router/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    PATH_ROOM = 512
};

struct fixture {
    char parent[64];
    char directory[128];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->parent, "/tmp/shunt-store-XXXXXX");
    assert_non_null(mkdtemp(f->parent));
    snprintf(f->directory, sizeof(f->directory), "%s/state", f->parent);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[PATH_ROOM];
    snprintf(command, sizeof(command), "chmod -R u+rwx '%s' && rm -rf '%s'", f->parent, f->parent);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static struct store *opened(const char *directory)
{
    char *error = NULL;
    struct store *store = store_open(directory, &error);
    if (store == NULL)
        fail_msg("%s", error);
    return store;
}

/* store_open() must fail with a sentence that has both texts in it. */
static void refused(const char *directory, const char *fault, const char *remedy)
{
    char *error = NULL;
    struct store *store = store_open(directory, &error);
    assert_null(store);
    assert_non_null(error);
    if (strstr(error, fault) == NULL || strstr(error, remedy) == NULL || strstr(error, directory) == NULL)
        fail_msg("\"%s\" does not say \"%s\", \"%s\" and the place", error, fault, remedy);
    free(error);
}

enum {
    PATIENCE_MS = 60000
};

static void saved(struct store *store, json_t *state)
{
    char *error = NULL;
    uint64_t ticket = store_submit(store, state);
    assert_true(ticket > 0);
    if (!store_await(store, ticket, PATIENCE_MS, &error))
        fail_msg("%s", error);
    json_decref(state);
}

static json_t *loaded(struct store *store)
{
    char *warning = NULL;
    json_t *state = store_load(store, &warning);
    if (warning != NULL)
        fail_msg("%s", warning);
    return state;
}

static char *in(const struct fixture *f, const char *name)
{
    static char path[PATH_ROOM];
    snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    return path;
}

static void write_file(const char *path, const char *text, size_t length)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static size_t read_file(const char *path, char *text, size_t room)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, room, file);
    fclose(file);
    return length;
}

/* ---- the directory ---- */

static void a_fresh_directory_is_made_private_and_has_no_state(void **state)
{
    struct fixture *f = *state;
    struct store *store = opened(f->directory);
    struct stat facts;
    assert_int_equal(stat(f->directory, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0700);
    assert_null(loaded(store));
    assert_string_equal(store_directory(store), f->directory);
    store_close(store);
}

static void memory_keeps_no_state_but_the_newest_audit_lines(void **state)
{
    (void)state;
    struct store *store = opened(NULL);
    char *error = NULL;
    saved(store, json_pack("{s:i}", "n", 1));
    assert_null(loaded(store));
    assert_null(store_directory(store));
    assert_false(store_passthrough_file(store));
    for (uint64_t i = 1; i <= 1500; i++) {
        struct router_event event = {.sequence = i, .what = "pause", .who = "operator:a"};
        assert_true(store_audit(store, &event, &error));
    }
    assert_int_equal(store_pending(store), 0);
    assert_int_equal(store_lost(store), 0);
    json_t *tail = store_audit_tail(store, 2);
    assert_int_equal(json_array_size(tail), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(tail, 1), "sequence")), 1500);
    json_decref(tail);
    store_close(store);
}

static void a_missing_parent_is_named(void **state)
{
    struct fixture *f = *state;
    char path[PATH_ROOM];
    snprintf(path, sizeof(path), "%s/none/state", f->parent);
    refused(path, "No such file or directory", "make its parent directory first");
}

static void a_file_in_its_place_is_named(void **state)
{
    struct fixture *f = *state;
    write_file(f->directory, "x", 1);
    refused(f->directory, "Not a directory", "move it away");
}

/* In a child, as nothing is read-only to root. */
static void a_read_only_directory_is_refused_at_the_start(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(chmod(f->parent, 0755), 0);
    assert_int_equal(mkdir(f->directory, 0555), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char *error = NULL;
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
            _exit(2);
        bool told = store_open(f->directory, &error) == NULL && strstr(error, "Permission denied") != NULL &&
                    strstr(error, "may write to") != NULL;
        _exit(told ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_second_user_of_a_directory_is_refused_until_the_first_has_gone(void **state)
{
    struct fixture *f = *state;
    char number[32];
    struct store *first = opened(f->directory);
    snprintf(number, sizeof(number), "process %ld", (long)getpid());
    refused(f->directory, number, "each its own directory");
    store_close(first);
    store_close(opened(f->directory));
}

/* ---- state ---- */

static void a_state_comes_back_as_it_was_saved(void **state)
{
    struct fixture *f = *state;
    struct store *store = opened(f->directory);
    json_t *wanted = json_pack("{s:{s:s, s:f, s:I}, s:[i, i, n]}", "route", "name", "b\xc3\xa4r \"}\n", "rate", 0.1,
                               "big", (json_int_t)INT64_MAX, "list", 1, 2);
    assert_non_null(wanted);
    saved(store, json_incref(wanted));
    json_t *got = loaded(store);
    assert_true(json_equal(got, wanted));
    json_decref(got);
    store_close(store);
    store = opened(f->directory);
    got = loaded(store);
    assert_true(json_equal(got, wanted));
    json_decref(got);
    json_decref(wanted);
    struct stat facts;
    assert_int_equal(stat(in(f, "state.json"), &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    char text[512];
    size_t length = read_file(in(f, "state.json"), text, sizeof(text));
    json_t *whole = json_loadb(text, length, 0, NULL); /* people read it with jq */
    assert_int_equal(json_integer_value(json_object_get(whole, "format")), 1);
    json_decref(whole);
    store_close(store);
}

static void saving_the_same_state_again_does_not_touch_the_disk(void **state)
{
    struct fixture *f = *state;
    struct store *store = opened(f->directory);
    struct stat before, after;
    saved(store, json_pack("{s:i}", "n", 1));
    assert_int_equal(stat(in(f, "state.json"), &before), 0);
    saved(store, json_pack("{s:i}", "n", 1));
    assert_int_equal(stat(in(f, "state.json"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    saved(store, json_pack("{s:i}", "n", 2));
    assert_int_equal(stat(in(f, "state.json"), &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
    store_close(store);
}

/* Every single byte of a state file is changed, and every shorter beginning tried: none of it may be believed. */
static void a_damaged_state_is_set_aside_whatever_the_damage(void **state)
{
    struct fixture *f = *state;
    char whole[256], text[256], *warning;
    struct store *store = opened(f->directory);
    saved(store, json_pack("{s:i, s:s}", "stage", 3, "name", "orders"));
    size_t length = read_file(in(f, "state.json"), whole, sizeof(whole));
    unsigned aside = 0;
    for (size_t i = 0; i < 2 * length; i++) {
        memcpy(text, whole, length);
        if (i < length)
            text[i] ^= 1;
        write_file(in(f, "state.json"), text, i < length ? length : i - length);
        assert_null(store_load(store, &warning));
        assert_non_null(warning);
        free(warning);
        aside++;
        assert_int_equal(access(in(f, "state.json"), F_OK), -1);
        char name[40];
        snprintf(name, sizeof(name), "state.json.damaged-%u", aside);
        assert_int_equal(access(in(f, name), F_OK), 0);
    }
    saved(store, json_pack("{s:i}", "n", 1));
    json_decref(loaded(store));
    store_close(store);
}

static void something_else_in_the_place_of_the_state_is_set_aside(void **state)
{
    struct fixture *f = *state;
    char *warning;
    struct store *store = opened(f->directory);
    assert_int_equal(mkdir(in(f, "state.json"), 0700), 0);
    assert_null(store_load(store, &warning));
    assert_non_null(warning);
    assert_non_null(strstr(warning, "state.json.damaged-1"));
    free(warning);
    saved(store, json_pack("{s:i}", "n", 1));
    store_close(store);
}

/* A disk that is full: RLIMIT_FSIZE makes write(2) fall short in the same way. */
static void a_full_disk_leaves_the_former_state_and_heals(void **state)
{
    struct fixture *f = *state;
    struct store *store = opened(f->directory);
    struct rlimit before, small;
    char *error = NULL;
    saved(store, json_pack("{s:i}", "n", 1));
    json_t *large = json_pack("{s:o}", "text", json_sprintf("%04000d", 7));
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){1000, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bool done = store_await(store, store_submit(store, large), PATIENCE_MS, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(done);
    char *polled;
    uint64_t kept;
    assert_false(store_poll(store, &kept, &polled));
    assert_string_equal(polled, error);
    assert_int_equal(kept, 1);
    free(polled);
    assert_true(store_poll(store, &kept, &polled)); /* told once */
    assert_non_null(strstr(error, "cannot write state.json.new: File too large"));
    assert_non_null(strstr(error, "tries again"));
    free(error);
    assert_int_equal(access(in(f, "state.json.new"), F_OK), -1);
    json_t *got = loaded(store);
    assert_int_equal(json_integer_value(json_object_get(got, "n")), 1);
    json_decref(got);
    saved(store, json_incref(large));
    got = loaded(store);
    assert_true(json_equal(got, large));
    json_decref(got);
    json_decref(large);
    store_close(store);
}

/* RLIMIT_FSIZE again; the state is smaller than the audit trail, so only the trail is refused. */
static void an_audit_line_that_cannot_be_written_fails_the_ticket_until_it_can(void **state)
{
    struct fixture *f = *state;
    struct store *store = opened(f->directory);
    struct rlimit before, small;
    struct router_event event = {.sequence = 1, .what = "pause", .who = "operator:a", .why = "long"};
    char *error = NULL, why[600] = "";
    memset(why, 'x', sizeof(why) - 1);
    event.why = why;
    assert_true(store_audit(store, &event, &error));
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){1000, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    event.sequence = 2;
    bool written = store_audit(store, &event, &error);
    free(error);
    json_t *one = json_pack("{s:i}", "n", 1);
    bool kept = store_await(store, store_submit(store, one), PATIENCE_MS, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(written);
    assert_false(kept);
    assert_non_null(strstr(error, "audit.jsonl"));
    free(error);
    assert_int_equal(store_pending(store), 1);
    saved(store, one);
    assert_int_equal(store_pending(store), 0);
    json_t *tail = store_audit_tail(store, 10);
    assert_int_equal(json_array_size(tail), 2);
    json_decref(tail);
    store_close(store);
}

static void what_was_submitted_is_finished_before_closing(void **state)
{
    struct fixture *f = *state;
    struct store *store = opened(f->directory);
    uint64_t last = 0;
    for (int i = 1; i <= 50; i++) { /* faster than a disk: only the newest matters */
        json_t *one = json_pack("{s:i}", "n", i);
        uint64_t ticket = store_submit(store, one);
        assert_true(ticket > last);
        last = ticket;
        json_decref(one);
    }
    store_close(store);
    store = opened(f->directory);
    json_t *got = loaded(store);
    assert_int_equal(json_integer_value(json_object_get(got, "n")), 50);
    json_decref(got);
    store_close(store);
}

static void a_temporary_file_left_by_a_crash_does_not_matter(void **state)
{
    struct fixture *f = *state;
    struct store *store = opened(f->directory);
    saved(store, json_pack("{s:i}", "n", 1));
    store_close(store);
    write_file(in(f, "state.json.new"), "{\"format\":1,\"xx", 15);
    store = opened(f->directory);
    json_t *got = loaded(store);
    assert_int_equal(json_integer_value(json_object_get(got, "n")), 1);
    json_decref(got);
    saved(store, json_pack("{s:i}", "n", 2));
    store_close(store);
}

static void events_behind_a_state_come_back_as_they_were_told(void **state)
{
    const struct fixture *f = *state;
    struct store *store = opened(f->directory);
    char *error = NULL;
    for (uint64_t sequence = 1; sequence <= 5; sequence++) {
        json_t *to = json_pack("{s:I}", "number", (json_int_t)sequence);
        const struct router_event event = {sequence, 1700000000000 + sequence, "orders", "promote", "plan", "why", NULL,
                                           to,       sequence == 5 ? to : NULL};
        assert_true(store_audit(store, &event, &error));
        json_decref(to);
    }
    store_close(store);
    store = opened(f->directory);
    json_t *events = store_events_after(store, 3);
    json_t *wanted = json_pack(
        "[{s:i, s:I, s:s, s:s, s:s, s:s, s:n, s:{s:i}, s:n}, {s:i, s:I, s:s, s:s, s:s, s:s, s:n, "
        "s:{s:i}, s:{s:i}}]",
        "sequence", 4, "at_ms", (json_int_t)1700000000004, "route", "orders", "what", "promote", "who", "plan", "why",
        "why", "from", "to", "number", 4, "evidence", "sequence", 5, "at_ms", (json_int_t)1700000000005, "route",
        "orders", "what", "promote", "who", "plan", "why", "why", "from", "to", "number", 5, "evidence", "number", 5);
    assert_non_null(wanted);
    assert_true(json_equal(events, wanted));
    json_decref(wanted);
    json_decref(events);
    events = store_events_after(store, 5);
    assert_int_equal(json_array_size(events), 0);
    json_decref(events);
    events = store_events_after(store, 0);
    assert_int_equal(json_array_size(events), 5);
    json_decref(events);
    store_close(store);
}

static void the_passthrough_file_is_seen(void **state)
{
    struct fixture *f = *state;
    struct store *store = opened(f->directory);
    assert_false(store_passthrough_file(store));
    write_file(in(f, "passthrough"), "", 0);
    assert_true(store_passthrough_file(store));
    assert_int_equal(unlink(in(f, "passthrough")), 0);
    assert_false(store_passthrough_file(store));
    store_close(store);
}

/* ---- kill -9 ---- */

struct progress {
    volatile uint64_t begun, acknowledged; /* numbers of states; shared with the child */
};

/* Saves states and audit lines with growing numbers until it is killed. */
static void __attribute__((noreturn)) write_for_ever(const char *directory, struct progress *progress)
{
    char *error = NULL;
    struct store *store = store_open(directory, &error);
    if (store == NULL)
        _exit(1);
    for (uint64_t n = progress->acknowledged + 1;; n++) {
        json_t *state =
            json_pack("{s:I, s:o}", "n", (json_int_t)n, "filler", json_sprintf("%0*d", (int)(n % 9000 + 1), 1));
        struct router_event event = {.sequence = n, .what = "promote", .who = "operator:a", .why = "because"};
        progress->begun = n;
        if (!store_audit(store, &event, &error) || !store_await(store, store_submit(store, state), PATIENCE_MS, &error))
            _exit(2);
        progress->acknowledged = n;
        json_decref(state);
    }
}

static void check_after_kill(const char *directory, const struct progress *progress)
{
    struct store *store = opened(directory);
    json_t *state = loaded(store);
    json_t *tail = store_audit_tail(store, 1);
    uint64_t n = (uint64_t)json_integer_value(json_object_get(state, "n"));
    uint64_t audited = (uint64_t)json_integer_value(json_object_get(json_array_get(tail, 0), "sequence"));
    if (progress->begun > 0)
        assert_in_range(audited, progress->acknowledged, progress->begun);
    if (progress->acknowledged > 0)
        assert_in_range(n, progress->acknowledged, progress->begun);
    json_decref(state);
    json_decref(tail);
    store_close(store);
}

static void kill_9_at_any_instant_leaves_one_of_the_two_last_states(void **state)
{
    struct fixture *f = *state;
    struct progress *progress =
        mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(progress, MAP_FAILED);
    unsigned random = 20240229;
    for (int round = 0; round < 200; round++) {
        uint64_t enough = progress->acknowledged + (uint64_t)(rand_r(&random) % 4);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            write_for_ever(f->directory, progress);
        while (progress->acknowledged < enough && waitpid(child, NULL, WNOHANG) == 0)
            usleep(50);
        usleep((useconds_t)(rand_r(&random) % 700)); /* somewhere in the next one */
        assert_int_equal(kill(child, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        check_after_kill(f->directory, progress);
    }
    assert_true(progress->acknowledged > 100);
    munmap(progress, sizeof(*progress));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_fresh_directory_is_made_private_and_has_no_state, set_up, tear_down),
        cmocka_unit_test(memory_keeps_no_state_but_the_newest_audit_lines),
        cmocka_unit_test_setup_teardown(a_missing_parent_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_in_its_place_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_read_only_directory_is_refused_at_the_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_user_of_a_directory_is_refused_until_the_first_has_gone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_state_comes_back_as_it_was_saved, set_up, tear_down),
        cmocka_unit_test_setup_teardown(saving_the_same_state_again_does_not_touch_the_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_state_is_set_aside_whatever_the_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(something_else_in_the_place_of_the_state_is_set_aside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_the_former_state_and_heals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_audit_line_that_cannot_be_written_fails_the_ticket_until_it_can, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_was_submitted_is_finished_before_closing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_temporary_file_left_by_a_crash_does_not_matter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_behind_a_state_come_back_as_they_were_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_passthrough_file_is_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kill_9_at_any_instant_leaves_one_of_the_two_last_states, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
