/*
 * The file watch: a change is told once, however it was made; what only looks like one is not told.
 */
#include "proxy/watch.h"

#include <fcntl.h>
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
#include <event2/event.h>

enum {
    DEADLINE_S = 30,
    PATH_ROOM = 256
};

struct fixture {
    char folder[64];
    char path[PATH_ROOM];
    struct event_base *base;
    struct watch *watch;
    unsigned told;
    bool exists;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->folder, "/tmp/shunt-watch-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof(f->path), "%s/file", f->folder);
    f->base = event_base_new();
    assert_non_null(f->base);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[PATH_ROOM];
    watch_free(f->watch);
    event_base_free(f->base);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->folder);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void on_change(void *context, bool exists)
{
    struct fixture *f = context;
    f->told++;
    f->exists = exists;
}

static void begin(struct fixture *f, uint32_t settle_ms, uint32_t poll_ms)
{
    const struct watch_options options = {
        .path = f->path, .settle_ms = settle_ms, .poll_ms = poll_ms, .on_change = on_change, .context = f};
    f->watch = watch_new(f->base, &options);
    assert_non_null(f->watch);
}

static const char *in(const struct fixture *f, const char *name)
{
    static char paths[4][PATH_ROOM];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, PATH_ROOM, "%s/%s", f->folder, name);
    return path;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void on_time(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    *(bool *)context = true;
}

/* Runs the loop for some time. */
static void run(struct fixture *f, uint32_t ms)
{
    bool over = false;
    struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    struct event *timer = evtimer_new(f->base, on_time, &over);
    evtimer_add(timer, &after);
    while (!over)
        assert_true(event_base_loop(f->base, EVLOOP_ONCE) >= 0);
    event_free(timer);
}

static void await(struct fixture *f, unsigned told)
{
    bool late = false;
    struct timeval patience = {.tv_sec = DEADLINE_S};
    struct event *timer = evtimer_new(f->base, on_time, &late);
    evtimer_add(timer, &patience);
    while (f->told < told && !late)
        assert_true(event_base_loop(f->base, EVLOOP_ONCE) >= 0);
    event_free(timer);
    assert_int_equal(f->told, told);
}

static void coming_and_going_are_told_at_once_without_a_poll(void **state)
{
    struct fixture *f = *state;
    begin(f, 0, 3600 * 1000);
    assert_true(watch_is_quick(f->watch));
    run(f, 5);
    assert_int_equal(f->told, 0);
    put(f->path, "");
    await(f, 1);
    assert_true(f->exists);
    assert_int_equal(unlink(f->path), 0);
    await(f, 2);
    assert_false(f->exists);
}

static void a_file_put_in_its_place_is_told_once(void **state)
{
    struct fixture *f = *state;
    put(f->path, "one");
    begin(f, 30, 3600 * 1000);
    put(in(f, "new"), "two");
    assert_int_equal(rename(in(f, "new"), f->path), 0);
    await(f, 1);
    assert_true(f->exists);
    run(f, 100);
    assert_int_equal(f->told, 1);
}

static void a_file_written_over_is_told(void **state)
{
    struct fixture *f = *state;
    put(f->path, "one");
    begin(f, 30, 3600 * 1000);
    put(f->path, "other");
    await(f, 1);
}

static void a_change_is_told_only_when_it_has_settled(void **state)
{
    struct fixture *f = *state;
    put(f->path, "0");
    begin(f, 1000, 3600 * 1000);
    for (int i = 1; i <= 5; i++) { /* each within the time of the one before */
        char text[16] = "";
        memset(text, 'x', (size_t)i);
        put(f->path, text);
        run(f, 5);
    }
    assert_int_equal(f->told, 0);
    await(f, 1);
    run(f, 1100);
    assert_int_equal(f->told, 1);
}

static void other_files_and_a_change_taken_back_are_not_told(void **state)
{
    struct fixture *f = *state;
    begin(f, 50, 3600 * 1000);
    put(in(f, "other"), "x");
    put(f->path, "");
    run(f, 5);
    assert_int_equal(unlink(f->path), 0); /* before it has settled */
    run(f, 120);
    assert_int_equal(f->told, 0);
}

/* A ConfigMap as the kubelet keeps it: file -> ..data/file, ..data -> a folder for each version. */
static void publish(const struct fixture *f, const char *version, const char *text)
{
    char path[PATH_ROOM];
    assert_int_equal(mkdir(in(f, version), 0755), 0);
    snprintf(path, sizeof(path), "%s/file", version);
    put(in(f, path), text);
    assert_int_equal(symlink(version, in(f, "..data_tmp")), 0);
    assert_int_equal(rename(in(f, "..data_tmp"), in(f, "..data")), 0);
}

static void a_link_that_is_swapped_is_told_every_time(void **state)
{
    struct fixture *f = *state;
    publish(f, "..1", "one");
    assert_int_equal(symlink("..data/file", f->path), 0);
    begin(f, 20, 3600 * 1000);
    publish(f, "..2", "two");
    await(f, 1);
    publish(f, "..3", "six"); /* same size */
    await(f, 2);
    put(in(f, "..3/file"), "written in the second folder");
    await(f, 3);
    assert_true(f->exists);
}

static void a_folder_that_inotify_cannot_watch_is_polled(void **state)
{
    struct fixture *f = *state;
    snprintf(f->path, sizeof(f->path), "%s/later/file", f->folder);
    begin(f, 0, 10);
    assert_false(watch_is_quick(f->watch));
    assert_int_equal(mkdir(in(f, "later"), 0755), 0);
    put(f->path, "x");
    await(f, 1);
    assert_true(watch_is_quick(f->watch)); /* from now on */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(coming_and_going_are_told_at_once_without_a_poll, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_put_in_its_place_is_told_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_written_over_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_is_told_only_when_it_has_settled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_files_and_a_change_taken_back_are_not_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_that_is_swapped_is_told_every_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_inotify_cannot_watch_is_polled, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
