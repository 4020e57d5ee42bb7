/*
 * The log thread: every line arrives whole and in order; a reader that does not read costs lines, never time.
 */
#include "proxy/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/log_queue.h"

/* A file that is read back once the log has stopped. */
struct fixture {
    char path[64];
    int fd;
    struct log *log;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->path, "/tmp/shunt-log-XXXXXX");
    f->fd = mkstemp(f->path);
    assert_true(f->fd >= 0);
    f->log = log_start(f->fd);
    assert_non_null(f->log);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    log_stop(f->log, 10000);
    close(f->fd);
    unlink(f->path);
    free(f);
    return 0;
}

/* Stops the log and gives all lines as an array of objects. */
static json_t *lines_of(struct fixture *f)
{
    log_stop(f->log, 60000);
    f->log = NULL;
    FILE *file = fopen(f->path, "r");
    assert_non_null(file);
    json_t *lines = json_array();
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    while ((len = getline(&line, &room, file)) > 0) {
        assert_int_equal(line[len - 1], '\n');
        json_t *object = json_loadb(line, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(object))
            fail_msg("not an object: %s", line);
        json_array_append_new(lines, object);
    }
    free(line);
    fclose(file);
    return lines;
}

static void an_event_has_time_level_name_and_its_fields(void **state)
{
    struct fixture *f = *state;
    log_event(f->log, LOG_LEVEL_WARN, "reload_failed",
              json_pack("{s:s, s:[s]}", "file", "a\"b\n", "errors", "x:1:2: y"));
    log_event(f->log, LOG_LEVEL_INFO, "stopped", NULL);
    json_t *lines = lines_of(f), *line = json_array_get(lines, 0);
    assert_int_equal(json_array_size(lines), 2);
    const char *time = json_string_value(json_object_get(line, "time"));
    assert_int_equal(strlen(time), 24);
    assert_int_equal(time[19], '.');
    assert_int_equal(time[23], 'Z');
    assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(line, "event")), "reload_failed");
    assert_string_equal(json_string_value(json_object_get(line, "file")), "a\"b\n");
    assert_int_equal(json_array_size(json_object_get(line, "errors")), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(lines, 1), "event")), "stopped");
    json_decref(lines);
}

static void fields_cannot_change_what_the_line_is(void **state)
{
    struct fixture *f = *state;
    log_event(f->log, LOG_LEVEL_INFO, "started", json_pack("{s:s, s:s}", "event", "other", "level", "error"));
    json_t *lines = lines_of(f), *line = json_array_get(lines, 0);
    assert_string_equal(json_string_value(json_object_get(line, "event")), "started");
    assert_string_equal(json_string_value(json_object_get(line, "level")), "info");
    json_decref(lines);
}

enum {
    THREADS = 4,
    EACH = 2000
};

struct writer {
    struct log *log;
    int number;
    pthread_t thread;
};

static void *write_events(void *argument)
{
    const struct writer *writer = argument;
    for (int i = 0; i < EACH; i++)
        log_event(writer->log, LOG_LEVEL_INFO, "count", json_pack("{s:i, s:i}", "thread", writer->number, "n", i));
    return NULL;
}

static void many_threads_keep_their_order_and_lose_nothing(void **state)
{
    struct fixture *f = *state;
    struct writer writers[THREADS];
    int next[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.log = f->log, .number = i};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_events, &writers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
    assert_int_equal(log_dropped(f->log), 0);
    json_t *lines = lines_of(f), *line;
    size_t at;
    json_array_foreach(lines, at, line)
    {
        int thread = (int)json_integer_value(json_object_get(line, "thread"));
        assert_int_equal(json_integer_value(json_object_get(line, "n")), next[thread]);
        next[thread]++;
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(next[i], EACH);
    json_decref(lines);
}

static void a_reader_that_does_not_read_costs_lines_and_not_time(void **state)
{
    (void)state;
    int ends[2];
    char filler[1024];
    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    assert_int_equal(pipe(ends), 0);
    struct log *log = log_start(ends[1]);
    assert_non_null(log);
    uint64_t wrote = 0;
    while (log_dropped(log) == 0) { /* ends: the pipe and the queue are bounded */
        log_event(log, LOG_LEVEL_INFO, "filler", json_pack("{s:s}", "text", filler));
        wrote++;
    }
    assert_in_range(wrote, LOG_QUEUE_BYTES / 1300, LOG_QUEUE_BYTES / 900 + 200);
    log_stop(log, 20); /* although its thread is stuck in a write */
    close(ends[0]);
    close(ends[1]);
}

static void what_was_queued_arrives_when_the_reader_wakes_up(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0); /* and a descriptor that somebody made non-blocking */
    struct log *log = log_start(ends[1]);
    assert_non_null(log);
    for (int i = 0; i < 3000; i++) /* some 200 KiB: more than a pipe holds */
        log_event(log, LOG_LEVEL_INFO, "count", json_pack("{s:i}", "n", i));
    FILE *reader = fdopen(ends[0], "r");
    assert_non_null(reader);
    char line[256];
    for (int i = 0; i < 3000; i++) {
        assert_non_null(fgets(line, sizeof(line), reader));
        json_t *object = json_loads(line, 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(object, "n")), i);
        json_decref(object);
    }
    assert_int_equal(log_dropped(log), 0);
    log_stop(log, 10000);
    fclose(reader);
    close(ends[1]);
}

static void a_reader_that_has_gone_is_counted(void **state)
{
    (void)state;
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    struct log *log = log_start(ends[1]);
    assert_non_null(log);
    for (int i = 0; i < 10; i++)
        log_event(log, LOG_LEVEL_INFO, "count", NULL);
    while (log_dropped(log) < 10)
        usleep(1000);
    log_stop(log, 10000);
    close(ends[1]);
}

static void flushing_waits_for_the_reader_but_not_for_ever(void **state)
{
    struct fixture *f = *state;
    struct stat facts;
    for (int i = 0; i < 1000; i++)
        log_event(f->log, LOG_LEVEL_INFO, "count", NULL);
    log_flush(f->log, 60000);
    assert_int_equal(fstat(f->fd, &facts), 0);
    assert_true(facts.st_size > 60 * 1000);
    off_t before = facts.st_size;
    json_decref(lines_of(f));
    assert_int_equal(stat(f->path, &facts), 0);
    assert_int_equal(facts.st_size, before); /* nothing was left */
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct log *stuck = log_start(ends[1]);
    for (int i = 0; i < 3000; i++)
        log_event(stuck, LOG_LEVEL_INFO, "count", NULL);
    log_flush(stuck, 10);
    log_stop(stuck, 0);
    close(ends[0]);
    close(ends[1]);
}

static void no_log_is_fine(void **state)
{
    (void)state;
    log_event(NULL, LOG_LEVEL_INFO, "nowhere", json_pack("{s:i}", "n", 1));
    log_stop(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_has_time_level_name_and_its_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fields_cannot_change_what_the_line_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_threads_keep_their_order_and_lose_nothing, set_up, tear_down),
        cmocka_unit_test(a_reader_that_does_not_read_costs_lines_and_not_time),
        cmocka_unit_test(what_was_queued_arrives_when_the_reader_wakes_up),
        cmocka_unit_test(a_reader_that_has_gone_is_counted),
        cmocka_unit_test_setup_teardown(flushing_waits_for_the_reader_but_not_for_ever, set_up, tear_down),
        cmocka_unit_test(no_log_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
