/*
 * A target's back-off over hours, with a clock handed in: nothing is really sent.
 */
#include "proxy/notify_target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/curl_library.h"
#include "proxy/log.h"

enum {
    MINUTE_MS = 60 * 1000,
    HOUR_MS = 60 * MINUTE_MS,
};

struct fixture {
    FILE *log_file;
    struct notify_context context;
    struct target *target;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    static const struct config_notify config = {.url = "http://127.0.0.1:9/", .timeout_ms = 1000};
    struct fixture *f = &fixture;
    char why[LIBRARY_WHY_ROOM];
    if (!curl_library_open(why) || libcurl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -1;
    f->log_file = tmpfile();
    f->context = (struct notify_context){.log = log_start(fileno(f->log_file)),
                                         .limits = &notify_limits,
                                         .multi = libcurl.multi_init(),
                                         .now_ms = HOUR_MS,
                                         .chance = 1};
    f->target = target_new(&f->context, &config);
    *state = f;
    return f->target != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    target_free(f->target);
    libcurl.multi_cleanup(f->context.multi);
    libcurl.global_cleanup();
    log_stop(f->context.log, 1000);
    fclose(f->log_file);
    return 0;
}

static void push(struct fixture *f)
{
    struct message *message = message_new(strdup("{}"), f->context.now_ms);
    target_push(f->target, message);
    message_unref(message);
}

/* Lets `ms` pass while each try fails at once; `every_ms` another event comes. Returns how often it was tried. */
static unsigned fail_for(struct fixture *f, uint64_t ms, uint64_t every_ms)
{
    unsigned tries = 0;
    for (uint64_t end_ms = f->context.now_ms + ms; f->context.now_ms < end_ms; f->context.now_ms += 500) {
        if (f->context.now_ms % every_ms == 0)
            push(f);
        target_work(f->target);
        if (!f->target->errand.under_way)
            continue;
        tries++;
        errand_end(f->target->errand.easy, f->context.multi, CURLE_COULDNT_CONNECT);
    }
    return tries;
}

static void a_dead_target_is_tried_later_and_later(void **state)
{
    struct fixture *f = *state;
    push(f);
    unsigned tries = fail_for(f, 2 * MINUTE_MS, HOUR_MS * 100);
    assert_in_range(tries, 6, 7); /* at 0, 1, 3, 7, 15, 31, 63 s, each up to a quarter later */
    assert_int_equal(f->target->stats.retries, tries - 1);
}

/* After the first hour an event becomes too old every ten seconds: the one behind it is no reason to hurry. */
static void events_that_become_too_old_do_not_hasten_it(void **state)
{
    struct fixture *f = *state;
    fail_for(f, HOUR_MS, 10 * 1000);
    assert_int_equal(f->target->stats.expired, 0);
    unsigned tries = fail_for(f, HOUR_MS, 10 * 1000);
    assert_true(f->target->stats.expired > 300);
    assert_in_range(tries, 9, 13); /* every five minutes */
}

static void a_full_queue_does_not_hasten_it(void **state)
{
    struct fixture *f = *state;
    fail_for(f, HOUR_MS, 1000);
    assert_true(f->target->stats.dropped > 2000);
    assert_in_range(fail_for(f, HOUR_MS, 1000), 9, 13);
}

/* It is well again: the next failure is a first one. */
static void a_success_ends_it(void **state)
{
    struct fixture *f = *state;
    push(f);
    fail_for(f, HOUR_MS / 2, HOUR_MS * 100);
    assert_true(f->target->due_ms > f->context.now_ms);
    f->context.now_ms = f->target->due_ms;
    target_work(f->target);
    f->target->errand.on_end(f->target, &(struct errand_result){.status = 200});
    f->target->errand.under_way = false;
    libcurl.multi_remove_handle(f->context.multi, f->target->errand.easy);
    assert_int_equal(f->target->stats.delivered, 1);
    push(f);
    target_work(f->target);
    errand_end(f->target->errand.easy, f->context.multi, CURLE_COULDNT_CONNECT);
    assert_in_range(f->target->due_ms - f->context.now_ms, 1000, 1250);
}

static void nobody_may_ask_for_more_than_five_minutes(void **state)
{
    struct fixture *f = *state;
    static const uint64_t asked_s[] = {301, 86400, UINT64_MAX / 1000 + 1, UINT64_MAX};
    push(f);
    for (size_t i = 0; i < sizeof(asked_s) / sizeof(asked_s[0]); i++) {
        f->target->failures = 0;
        target_work(f->target);
        f->target->errand.under_way = false;
        libcurl.multi_remove_handle(f->context.multi, f->target->errand.easy);
        f->target->errand.on_end(f->target, &(struct errand_result){.status = 503, .retry_after_s = asked_s[i]});
        assert_int_equal(f->target->due_ms - f->context.now_ms, 5 * MINUTE_MS);
        f->context.now_ms = f->target->due_ms;
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_dead_target_is_tried_later_and_later),    CASE(events_that_become_too_old_do_not_hasten_it),
        CASE(a_full_queue_does_not_hasten_it),           CASE(a_success_ends_it),
        CASE(nobody_may_ask_for_more_than_five_minutes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
