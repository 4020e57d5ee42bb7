/*
 * The fleet, drawn from made-up answers of a shunt.
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

#include "tools/shuntctl/fleet.h"

#define UP                                                                                                             \
    "{\"available\": true, \"server\": \"redis:6379\", \"last_error\": null, \"latency_ms\": 0.42, \"reconnects\": 3}"
#define DOWN                                                                                                           \
    "{\"available\": false, \"server\": \"redis:6379\", \"last_error\": \"connection refused\", \"down_ms\": 123000}"
#define ME                                                                                                             \
    "{\"replica\": \"pod-b/2\", \"name\": \"pod-b\", \"version\": \"0.9.0\", \"role\": \"follower\", \"epoch\": 17,"   \
    " \"epochs_behind\": 0, \"seen_ms_ago\": 120, \"file\": \"aa\", \"open\": []}"
#define LEADER                                                                                                         \
    "{\"replica\": \"pod-a/1\", \"name\": \"pod-a\", \"version\": \"0.9.0\", \"role\": \"follower\", \"epoch\": 17,"   \
    " \"epochs_behind\": 0, \"seen_ms_ago\": 800, \"file\": \"aa\", \"open\": []}"
#define ODD                                                                                                            \
    "{\"replica\": \"pod-c/3\", \"name\": \"pod-c\", \"version\": \"0.8.1\", \"role\": \"cut_off\", \"epoch\": 15,"    \
    " \"epochs_behind\": 2, \"seen_ms_ago\": 7000, \"file\": \"bb\", \"open\": [\"orders\", \"carts\"]}"
#define ITEMS                                                                                                          \
    "{\"name\": \"passthrough\", \"version\": 2, \"share\": 1, \"text\": {\"on\": false}},"                            \
    "{\"name\": \"route:orders\", \"version\": 7, \"share\": 0, \"by\": {\"what\": \"breaker_open\","                  \
    "  \"who\": \"shunt\", \"why\": \"4 of 6 replicas\"},"                                                             \
    " \"text\": {\"plan\": {\"phase\": \"running\", \"stage\": \"canary\", \"percent\": 1000},"                        \
    "            \"breaker\": {\"state\": \"open\"}}},"                                                                \
    "{\"name\": \"route:carts\", \"version\": 1, \"share\": 25.0, \"text\": {\"plan\": {\"phase\": \"rolled_back\","   \
    " \"percent\": 2500}, \"breaker\": {\"state\": \"half_open\"}, \"by\": {\"what\": \"set_percent\","                \
    " \"who\": \"operator:anna\", \"why\": \"a_b: c\", \"at_ms\": 1772359931000}}}"

static json_t *load(const char *text)
{
    json_error_t fault;
    json_t *json = json_loads(text, 0, &fault);
    if (json == NULL)
        fail_msg("%s at %d", fault.text, fault.position);
    return json;
}

static char *drawn(const char *leader, const char *redis, const char *replicas, const char *more)
{
    char text[8192], *out = NULL;
    size_t length = 0;
    snprintf(text, sizeof(text),
             "{\"group\": \"shop\", \"replica\": \"pod-b/2\", \"role\": \"follower\", \"leader\": \"%s\", \"term\": 4,"
             " \"epoch\": 17, \"alive\": 3, \"lag_ms\": 250, \"file\": \"aa\", \"redis\": %s, \"replicas\": [%s]%s}",
             leader, redis, replicas, more);
    json_t *fleet = load(text);
    struct screen screen = {.out = open_memstream(&out, &length), .width = 140};
    assert_true(fleet_draw(&screen, fleet));
    fclose(screen.out);
    json_decref(fleet);
    return out;
}

static void shows(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void hides(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("\"%s\" is in:\n%s", part, text);
}

static void a_healthy_fleet_says_who_leads_and_who_is_behind(void **state)
{
    char *text = drawn("pod-a/1", UP, ODD "," ME "," LEADER, "");
    (void)state;
    shows(text, "fleet shop: 3 replicas alive, pod-a leads (term 4), epoch 17\n");
    shows(text, "  this replica pod-b, follower, answered 250ms ago\n");
    shows(text, "  redis redis:6379, answers in 420 us, 3 reconnects\n");
    /* in the order of their names; who leads is what Redis says, not what the replica said last */
    shows(text, "REPLICA           VERSION  ROLE             EPOCH  FILE   BREAKERS OPEN       SEEN\n"
                "pod-a             0.9.0    leader              17  same   -              800ms ago\n"
                "pod-b (this one)  0.9.0    follower            17  same   -              120ms ago\n"
                "pod-c             0.8.1    cut off   15, 2 behind  other  orders, carts     7s ago\n");
    hides(text, "PASSTHROUGH");
    hides(text, "ROUTE");
    hides(text, "AWAY");
    free(text);
}

static void each_route_says_stage_share_and_who_did_it(void **state)
{
    (void)state;
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
    char *text = drawn("pod-a/1", UP, ME, ", \"items\": [" ITEMS "]");
    shows(text,
          "ROUTE   STATE        STAGE           SHARE  BREAKER    VERSION  CHANGED\n"
          "orders  running      canary  10 %, now 0 %  open             7  breaker open by shunt: 4 of 6 replicas\n"
          "carts   rolled back                   25 %  half open        1  2026-03-01 10:12:11 set percent by "
          "operator:anna: a_b: c\n");
    free(text);
}

static void passthrough_is_shouted(void **state)
{
    char *text = drawn("pod-a/1", UP, ME,
                       ", \"passthrough\": {\"version\": 3, \"share\": 0, \"text\": {\"on\": true, \"by\": {\"who\": "
                       "\"operator:anna\", \"why\": \"fire\"}}}");
    (void)state;
    shows(text, "PASSTHROUGH IS ON for the fleet: everything goes straight to legacy (by operator:anna: fire)\n");
    free(text);
}

static void redis_away_says_what_still_works(void **state)
{
    char *text = drawn("", DOWN, "", "");
    (void)state;
    shows(text, "fleet shop: epoch 17 is what this replica knows\n");
    hides(text, "alive");
    shows(text, "REDIS IS AWAY for 2m 03s (redis:6379: connection refused)\n");
    shows(text, "It trips breakers, rolls back and goes to passthrough by itself, and raises no share.");
    hides(text, "REPLICA ");
    free(text);
    text = drawn("", "{\"available\": false, \"server\": \"\"}", "", "");
    shows(text, "REDIS IS AWAY (no server yet)\n");
    free(text);
    text = drawn("pod-a/1", "{\"available\": true, \"server\": \"redis:6379\", \"last_error\": \"OOM command\"}", ME,
                 ", \"role\": \"cut_off\"");
    shows(text, "CUT OFF, although Redis is there (redis:6379: OOM command)\n");
    shows(text, "this replica pod-b, cut off, ");
    free(text);
}

/* Two of one name, as from one host, are told apart. */
static void replicas_of_one_name_have_their_identities(void **state)
{
    char *text = drawn("vm/1", UP,
                       "{\"replica\": \"vm/2\", \"name\": \"vm\", \"file\": \"aa\"}, "
                       "{\"replica\": \"vm/1\", \"name\": \"vm\", \"file\": \"aa\"}, "
                       "{\"replica\": \"x\", \"file\": \"aa\"}",
                       "");
    (void)state;
    shows(text, "vm/1 leads");
    shows(text, "\nvm/1 ");
    shows(text, "\nvm/2 ");
    shows(text, "\nx "); /* one that told no name */
    free(text);
}

static void an_answer_of_another_version_is_shown_as_far_as_it_is_understood(void **state)
{
    char *out = NULL;
    size_t length = 0;
    json_t *fleet = load("{\"group\": 7, \"replicas\": [ 1, {} ], \"items\": [ {}, { \"name\": \"route:\" }, 3 ], "
                         "\"passthrough\": 1, \"redis\": [] }");
    struct screen screen = {.out = open_memstream(&out, &length), .width = 80};
    (void)state;
    assert_true(fleet_draw(&screen, fleet));
    fclose(screen.out);
    shows(out, "fleet : epoch 0 is what this replica knows\n");
    free(out);
    json_decref(fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_healthy_fleet_says_who_leads_and_who_is_behind),
        cmocka_unit_test(each_route_says_stage_share_and_who_did_it),
        cmocka_unit_test(passthrough_is_shouted),
        cmocka_unit_test(redis_away_says_what_still_works),
        cmocka_unit_test(replicas_of_one_name_have_their_identities),
        cmocka_unit_test(an_answer_of_another_version_is_shown_as_far_as_it_is_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
