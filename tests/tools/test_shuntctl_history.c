/*
 * Changes of state as people read them: when, of what, by whom, from what to what, why, on which evidence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/shuntctl/history.h"

static void assert_drawn(const char *events, const char *expected)
{
    char *text = NULL;
    size_t length = 0;
    json_error_t fault;
    json_t *json = json_loads(events, 0, &fault);
    if (json == NULL)
        fail_msg("%s at %d", fault.text, fault.position);
    struct screen screen = {.out = open_memstream(&text, &length), .width = 80};
    assert_true(history_draw(&screen, json));
    fclose(screen.out);
    assert_string_equal(text, expected);
    free(text);
    json_decref(json);
}

#define HEAD "TIME                 ROUTE   WHAT     WHO\n"
#define AT   "\"at_ms\": 1772359931000, \"route\": \"orders\""

static void a_promotion_says_from_where_to_where_and_on_what_evidence(void **state)
{
    (void)state;
    assert_drawn("[{" AT ", \"what\": \"promote\", \"who\": \"plan\", \"why\": \"all gates pass\","
                 " \"from\": {\"phase\": \"running\", \"stage\": \"canary\", \"percent\": 10},"
                 " \"to\": {\"phase\": \"running\", \"stage\": \"25%\", \"percent\": 25},"
                 " \"evidence\": {\"verdict\": \"pass\", \"decisive\": null,"
                 "  \"legacy\": {\"judged\": 12034, \"errors\": 12}, \"new\": {\"judged\": 1337, \"errors\": 0},"
                 "  \"compared\": 4000, \"mismatched\": 3, \"gates\": []}}]",
                 HEAD "2026-03-01 10:12:11  orders  promote  plan\n"
                      "  canary 10 % -> 25% 25 %\n"
                      "  all gates pass\n"
                      "  evidence: pass; legacy 12,034 requests, 0.1 % errors; new 1,337 requests, 0 %\n"
                      "  errors; 4,000 compared, 3 differ\n");
}

static void force_says_what_it_went_past(void **state)
{
    (void)state;
    assert_drawn("[{" AT ", \"what\": \"promote\", \"who\": \"operator:anna\", \"why\": \"TICKET-12\","
                 " \"from\": {\"phase\": \"running\", \"stage\": \"canary\", \"percent\": 100},"
                 " \"to\": {\"phase\": \"done\", \"stage\": \"canary\", \"percent\": 100},"
                 " \"evidence\": {\"verdict\": \"undecided\", \"decisive\": \"window\", \"legacy\": {\"judged\": 0},"
                 "  \"compared\": 0, \"forced\": true, \"past\": [\"gate window (undecided): changes are frozen\"]}}]",
                 HEAD "2026-03-01 10:12:11  orders  promote  operator:anna\n"
                      "  running, canary 100 % -> done, canary 100 %\n"
                      "  TICKET-12\n"
                      "  evidence: undecided, window; past gate window (undecided): changes are frozen\n");
}

static void a_ramp_and_a_beginning_are_told(void **state)
{
    (void)state;
    assert_drawn("[{" AT ", \"what\": \"rollback\", \"who\": \"plan\", \"why\": null, \"evidence\": null,"
                 " \"from\": {\"phase\": \"running\", \"stage\": \"half\", \"percent\": 50},"
                 " \"to\": {\"phase\": \"rolled_back\", \"stage\": \"half\", \"percent\": 0,"
                 "  \"ramp\": {\"from\": 50, \"left_ms\": 600000}}},"
                 " {" AT ", \"what\": \"route_added\", \"who\": \"config\", \"why\": \"\", \"from\": null,"
                 " \"to\": {\"phase\": \"fixed\", \"stage\": null, \"percent\": 0.5}}]",
                 "TIME                 ROUTE   WHAT         WHO\n"
                 "2026-03-01 10:12:11  orders  rollback     plan\n"
                 "  running, half 50 % -> rolled back, half 0 %, within 10m 00s\n"
                 "2026-03-01 10:12:11  orders  route_added  config\n"
                 "  fixed, 0.5 %\n");
}

static void what_is_no_plan_is_told_member_by_member(void **state)
{
    (void)state;
    assert_drawn("[{" AT ", \"what\": \"breaker_open\", \"who\": \"breaker\", \"why\": \"12 errors\","
                 " \"from\": {\"breaker\": \"closed\", \"trips\": 0}, \"to\": {\"breaker\": \"open\", \"trips\": 1}},"
                 " {\"time\": \"2026-03-01T10:12:11.000Z\", \"route\": null, \"what\": \"passthrough_on\","
                 "  \"who\": \"signal:USR1\", \"to\": {\"on\": true, \"x\": null, \"y\": [1]}}]",
                 "TIME                      ROUTE   WHAT            WHO\n"
                 "2026-03-01 10:12:11       orders  breaker_open    breaker\n"
                 "  breaker closed -> open, trips 0 -> 1\n"
                 "  12 errors\n"
                 "2026-03-01T10:12:11.000Z  -       passthrough_on  signal:USR1\n"
                 "  on yes, x -\n");
}

static void nothing_is_said_to_be_nothing(void **state)
{
    (void)state;
    assert_drawn("[]", "nothing has changed\n");
    assert_drawn("[{}, 7]", "ROUTE\n-\n-\n");
}

static int set_zone(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_promotion_says_from_where_to_where_and_on_what_evidence),
        cmocka_unit_test(force_says_what_it_went_past),
        cmocka_unit_test(a_ramp_and_a_beginning_are_told),
        cmocka_unit_test(what_is_no_plan_is_told_member_by_member),
        cmocka_unit_test(nothing_is_said_to_be_nothing),
    };
    return cmocka_run_group_tests(tests, set_zone, NULL);
}
