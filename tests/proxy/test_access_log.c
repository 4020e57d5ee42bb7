/*
 * Access lines: any bytes come back from a JSON reader as they went in, secrets do not, and a stuck log costs lines
 * only.
 */
#include "config/config.h"
#include "proxy/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/log_queue.h"

struct fixture {
    char path[64];
    int fd;
    struct log *log;
    struct access_log *access_log;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->path, "/tmp/shunt-access-XXXXXX");
    f->fd = mkstemp(f->path);
    assert_true(f->fd >= 0);
    f->log = log_start(f->fd);
    assert_non_null(f->log);
    f->access_log = access_log_new(f->log);
    assert_non_null(f->access_log);
    *state = f;
    return 0;
}

static void stop(struct fixture *f)
{
    access_log_free(f->access_log);
    f->access_log = NULL;
    log_stop(f->log, 60000);
    f->log = NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    stop(f);
    close(f->fd);
    unlink(f->path);
    free(f);
    return 0;
}

static json_t *lines_of(struct fixture *f)
{
    stop(f);
    FILE *file = fopen(f->path, "r");
    assert_non_null(file);
    json_t *lines = json_array();
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    while ((len = getline(&line, &room, file)) > 0) {
        json_t *object = json_loadb(line, (size_t)len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        if (!json_is_object(object))
            fail_msg("not an object: %s", line);
        json_array_append_new(lines, object);
    }
    free(line);
    fclose(file);
    return lines;
}

static struct text text(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static struct access_record plain_record(void)
{
    return (struct access_record){
        .wall_ms = 1700000000123,
        .method = text("GET"),
        .target = text("/orders/1?page=2"),
        .host = text("shop.example"),
        .request_id = text("abc-123"),
        .client = text("10.1.2.3"),
        .route = "orders-read",
        .side = "new",
        .reason = "cohort",
        .outcome = "ok",
        .upstream = "127.0.0.1:3002",
        .status = 200,
        .version_major = 1,
        .version_minor = 1,
        .bytes_in = 0,
        .bytes_out = UINT64_MAX / 4,
        .duration_us = 1234,
        .upstream_us = 999,
        .mirrored = true,
        .cohort = 4711,
    };
}

/* What a reader of the log gets for this target. */
static void target_becomes(struct fixture *f, const char *target, size_t len, const char *wanted, size_t wanted_len)
{
    struct access_record record = plain_record();
    record.target = (struct text){target, (uint32_t)len};
    assert_true(access_log_write(f->access_log, &record));
    json_t *lines = lines_of(f), *got = json_object_get(json_array_get(lines, 0), "target");
    if (json_string_length(got) != wanted_len || memcmp(json_string_value(got), wanted, wanted_len) != 0)
        fail_msg("%s instead of %s", json_string_value(got), wanted);
    json_decref(lines);
}

static void an_error_is_told_where_there_was_one(void **state)
{
    struct fixture *f = *state;
    struct access_record record = plain_record();
    record.error = "the backend's certificate has expired";
    assert_true(access_log_write(f->access_log, &record));
    char long_text[1000];
    memset(long_text, 'x', sizeof(long_text));
    long_text[sizeof(long_text) - 1] = '\0';
    record.error = long_text;
    assert_true(access_log_write(f->access_log, &record));
    json_t *lines = lines_of(f);
    assert_string_equal(json_string_value(json_object_get(json_array_get(lines, 0), "error")),
                        "the backend's certificate has expired");
    assert_int_equal(json_string_length(json_object_get(json_array_get(lines, 1), "error")), 200);
    json_decref(lines);
}

static void a_line_has_every_fact(void **state)
{
    struct fixture *f = *state;
    struct access_record record = plain_record();
    assert_true(access_log_write(f->access_log, &record));
    json_t *lines = lines_of(f);
    json_t *wanted = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:i, s:s, s:s, s:i, "
                               "s:I, s:i, s:i, s:b, s:b, s:b}",
                               "time", "2023-11-14T22:13:20.123Z", "level", "info", "kind", "access", "method", "GET",
                               "target", "/orders/1?page=2", "version", "1.1", "host", "shop.example", "client",
                               "10.1.2.3", "request_id", "abc-123", "status", 200, "route", "orders-read", "side",
                               "new", "reason", "cohort", "cohort", 4711, "outcome", "ok", "upstream", "127.0.0.1:3002",
                               "bytes_in", 0, "bytes_out", (json_int_t)(UINT64_MAX / 4), "duration_us", 1234,
                               "upstream_us", 999, "mirrored", 1, "fell_back", 0, "retried", 0);
    assert_non_null(wanted);
    assert_true(json_equal(json_array_get(lines, 0), wanted));
    json_decref(wanted);
    json_decref(lines);
}

static void a_call_has_its_status(void **state)
{
    struct fixture *f = *state;
    struct access_record record = plain_record();
    record.is_grpc = true;
    record.grpc_status = 14;
    assert_true(access_log_write(f->access_log, &record));
    json_t *lines = lines_of(f), *status = json_object_get(json_array_get(lines, 0), "grpc_status");
    assert_true(json_is_integer(status));
    assert_int_equal(json_integer_value(status), 14);
    json_decref(lines);
}

static void what_is_absent_is_null(void **state)
{
    struct fixture *f = *state;
    struct access_record record = {.wall_ms = 999, .method = text("GET"), .target = text("/"), .side = "legacy"};
    assert_true(access_log_write(f->access_log, &record));
    json_t *lines = lines_of(f), *line = json_array_get(lines, 0);
    assert_string_equal(json_string_value(json_object_get(line, "time")), "1970-01-01T00:00:00.999Z");
    assert_true(json_is_null(json_object_get(line, "route")));
    assert_true(json_is_null(json_object_get(line, "host")));
    assert_true(json_is_null(json_object_get(line, "upstream")));
    json_decref(lines);
}

static void every_byte_survives_a_json_reader(void **state)
{
    struct fixture *f = *state;
    char target[256], wanted[512];
    size_t len = 0, wanted_len = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        if (byte == '?')
            continue;
        target[len++] = (char)byte;
        if (byte < 0x80) {
            wanted[wanted_len++] = (char)byte;
        } else { /* alone it is no UTF-8, and is written as the code point of its value */
            wanted[wanted_len++] = (char)(0xc0 | byte >> 6);
            wanted[wanted_len++] = (char)(0x80 | (byte & 0x3f));
        }
    }
    target_becomes(f, target, len, wanted, wanted_len);
}

static void utf8_stays(void **state)
{
    const char *target = "/\xc3\xa4/\xe2\x82\xac/\xf0\x9f\x98\x80";
    target_becomes(*state, target, strlen(target), target, strlen(target));
}

static void secrets_in_the_query_are_masked(void **state)
{
    const char *target = "/login?user=ada&password=hunter2&token=&next=/a?b&access_token=eyJ&x";
    const char *wanted = "/login?user=ada&password=***&token=&next=/a?b&access_token=***&x";
    target_becomes(*state, target, strlen(target), wanted, strlen(wanted));
}

static void codes_behind_a_name_of_secrets_are_masked(void **state)
{
    const char *target = "/password-reset/a1b2/token/is/otp/123456?x=/otp/1";
    const char *wanted = "/password-reset/***/token/is/otp/***?x=/otp/1";
    target_becomes(*state, target, strlen(target), wanted, strlen(wanted));
}

static void names_the_route_denies_are_masked(void **state)
{
    struct fixture *f = *state;
    static const char *const deny[] = {"tax-number"};
    const struct config_samples samples = {.deny = (const char **)(uintptr_t)deny, .deny_count = 1};
    struct access_record record = plain_record();
    record.target = text("/a?tax_number=17&b=2");
    assert_true(access_log_write(f->access_log, &record));
    record.samples = &samples;
    assert_true(access_log_write(f->access_log, &record));
    json_t *lines = lines_of(f);
    assert_string_equal(json_string_value(json_object_get(json_array_get(lines, 0), "target")), "/a?tax_number=17&b=2");
    assert_string_equal(json_string_value(json_object_get(json_array_get(lines, 1), "target")),
                        "/a?tax_number=***&b=2");
    json_decref(lines);
}

static void a_very_long_target_is_cut(void **state)
{
    char target[5000], wanted[1024];
    memset(target, 'a', sizeof(target));
    memset(wanted, 'a', sizeof(wanted));
    target[0] = wanted[0] = '/';
    memcpy(wanted + 1021, "\xe2\x80\xa6", 3);
    target_becomes(*state, target, sizeof(target), wanted, sizeof(wanted));
}

static void the_worst_record_fits(void **state)
{
    struct fixture *f = *state;
    char worst[3000];
    memset(worst, '\x01', sizeof(worst) - 1);
    worst[sizeof(worst) - 1] = '\0';
    struct text all = {worst, sizeof(worst) - 1};
    struct access_record record = {
        .wall_ms = UINT64_MAX,
        .method = all,
        .target = all,
        .host = all,
        .request_id = all,
        .client = all,
        .route = worst,
        .side = "legacy",
        .reason = "breaker_trial",
        .outcome = "connect_failed",
        .upstream = worst,
        .status = UINT32_MAX,
        .version_major = UINT32_MAX,
        .version_minor = UINT32_MAX,
        .bytes_in = UINT64_MAX / 2,
        .bytes_out = UINT64_MAX / 2,
        .duration_us = UINT64_MAX / 2,
        .upstream_us = UINT64_MAX / 2,
        .cohort = UINT32_MAX,
    };
    worst[1] = '?';
    for (int i = 0; i < 10; i++)
        assert_true(access_log_write(f->access_log, &record));
    json_t *lines = lines_of(f);
    assert_int_equal(json_array_size(lines), 10);
    json_decref(lines);
}

static void thousands_of_lines_arrive_in_order(void **state)
{
    struct fixture *f = *state;
    struct access_record record = plain_record();
    for (uint32_t i = 0; i < 5000; i++) {
        record.cohort = i;
        record.wall_ms += 7;
        assert_true(access_log_write(f->access_log, &record));
        if (i % 777 == 0)
            access_log_flush(f->access_log);
    }
    json_t *lines = lines_of(f), *line;
    size_t i;
    assert_int_equal(json_array_size(lines), 5000);
    json_array_foreach(lines, i, line) assert_int_equal(json_integer_value(json_object_get(line, "cohort")), i);
    json_decref(lines);
}

static void a_stuck_log_refuses_access_lines_and_still_takes_events(void **state)
{
    (void)state;
    int ends[2];
    struct access_record record = plain_record();
    assert_int_equal(pipe(ends), 0);
    struct log *log = log_start(ends[1]);
    struct access_log *access_log = access_log_new(log);
    assert_non_null(access_log);
    uint64_t taken = 0;
    while (access_log_write(access_log, &record))
        taken++;
    assert_in_range(taken, LOG_ACCESS_BYTES / 500, LOG_ACCESS_BYTES / 300);
    assert_false(access_log_write(access_log, &record));
    log_event(log, LOG_LEVEL_ERROR, "still_here", NULL);
    assert_int_equal(log_dropped(log), 0);
    access_log_free(access_log);
    log_stop(log, 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_every_fact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_call_has_its_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_error_is_told_where_there_was_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_absent_is_null, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_byte_survives_a_json_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(utf8_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(secrets_in_the_query_are_masked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(codes_behind_a_name_of_secrets_are_masked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_the_route_denies_are_masked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_very_long_target_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_worst_record_fits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(thousands_of_lines_arrive_in_order, set_up, tear_down),
        cmocka_unit_test(a_stuck_log_refuses_access_lines_and_still_takes_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
