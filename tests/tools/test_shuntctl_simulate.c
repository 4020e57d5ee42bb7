/*
 * `shuntctl simulate`: what is assumed is read rightly, wrong words are refused by name, and what comes out of a plan.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "tools/shuntctl/command.h"
#include "tools/shuntctl/forecast.h"

static char file[64];

static const char *const yaml =
    "listeners: [ { address: \"127.0.0.1:8080\" } ]\n"
    "backends: { legacy: { url: \"http://127.0.0.1:3001\" }, new: { url: \"http://127.0.0.1:3002\" } }\n"
    "routes:\n"
    "  - name: orders\n"
    "    match: { path: /orders }\n"
    "    promotion: auto\n"
    "    stages: [ { name: canary, percent: 10, hold: 1m }, { name: half, percent: 50, hold: 10m } ]\n"
    "    gates: { error_rate_increase: 2%, p95_increase: 20%, confidence: 99% }\n"
    "  - name: rest\n"
    "    match: { path: /** }\n"
    "    percent: 5\n";

static int write_file(void **state)
{
    (void)state;
    (void)snprintf(file, sizeof(file), "/tmp/shunt-simulate-%d.yaml", (int)getpid());
    FILE *out = fopen(file, "w");
    if (out == NULL)
        return -1;
    (void)fputs(yaml, out);
    return fclose(out);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(file);
}

/* Runs the command line, words separated by '|'; *text is what it wrote to both streams, in a static buffer. */
static int run_line(const char *line, const char **text)
{
    static char told[65536];
    char words[512];
    char *argv[32] = {"shuntctl"};
    char *rest = words;
    int count = 1;
    (void)snprintf(words, sizeof(words), "%s", line);
    for (char *word; count < 32 && (word = strsep(&rest, "|")) != NULL;)
        argv[count++] = word;
    FILE *out = tmpfile();
    assert_non_null(out);
    fflush(stdout);
    fflush(stderr);
    int former_out = dup(1);
    int former_err = dup(2);
    dup2(fileno(out), 1);
    dup2(fileno(out), 2);
    int code = shuntctl_run(count, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(former_out, 1);
    dup2(former_err, 2);
    close(former_out);
    close(former_err);
    rewind(out);
    size_t length = fread(told, 1, sizeof(told) - 1, out);
    told[length] = '\0';
    fclose(out);
    *text = told;
    return code;
}

static void assert_says(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void assert_refused(const char *options, int code, const char *part)
{
    char line[512];
    const char *text;
    (void)snprintf(line, sizeof(line), "simulate|%s", options);
    assert_int_equal(run_line(line, &text), code);
    assert_says(text, part);
}

static void wrong_words_are_refused_by_name(void **state)
{
    (void)state;
    assert_refused("--config|x.yaml", EXIT_USAGE, "--rate: simulate needs it");
    assert_refused("--rate|20", EXIT_USAGE, "--config: simulate needs it");
    assert_refused("--rate|0|--config|x", EXIT_USAGE, "--rate: \"0\" is not requests a second");
    assert_refused("--rate|20x|--config|x", EXIT_USAGE, "--rate: \"20x\"");
    assert_refused("--rate|nan|--config|x", EXIT_USAGE, "--rate: \"nan\"");
    assert_refused("--rate|20|--legacy-errors|5", EXIT_USAGE, "--legacy-errors: \"5\" is not a percentage");
    assert_refused("--rate|20|--legacy-errors|+5%", EXIT_USAGE, "--legacy-errors: \"+5%\"");
    assert_refused("--rate|20|--new-errors|+101%", EXIT_USAGE,
                   "so much more than legacy's (--legacy-errors), such as +0.5%");
    assert_refused("--rate|20|--legacy-errors|1%|--new-errors|-2%", EXIT_USAGE, "--new-errors: \"-2%\"");
    assert_refused("--rate|20|--new-latency|fast", EXIT_USAGE, "such as x1.3");
    assert_refused("--rate|20|--latency|x2", EXIT_USAGE, "--latency: \"x2\"");
    assert_refused("--rate|20|--new-latency|x", EXIT_USAGE, "--new-latency: \"x\"");
    assert_refused("--rate|20|--mismatch|101%", EXIT_USAGE, "--mismatch: \"101%\"");
    assert_refused("--rate|20|--runs|3000", EXIT_USAGE, "--runs: \"3000\" is not a number from 1 to 2000");
    assert_refused("--rate|20|--runs|0", EXIT_USAGE, "--runs: \"0\"");
    assert_refused("--rate|20|--latency|900s", EXIT_USAGE, "is not a time from 10us to 600s");
    assert_refused("--rate|20|--limit|3", EXIT_USAGE, "takes no --limit");
    assert_refused("--rate|20|--config|/nowhere/x.yaml", EXIT_REFUSED, "/nowhere/x.yaml is no good configuration");
}

static void the_route_must_have_a_plan(void **state)
{
    (void)state;
    char options[256];
    (void)snprintf(options, sizeof(options), "--rate|20|--config|%s|--route|nobody", file);
    assert_refused(options, EXIT_USAGE, "has no route \"nobody\"; routes with stages are: ");
    (void)snprintf(options, sizeof(options), "--rate|20|--config|%s|--route|rest", file);
    assert_refused(options, EXIT_USAGE, "route rest has a fixed share");
}

static void what_changes_nothing_is_told(void **state)
{
    (void)state;
    const char *text;
    char line[512];
    (void)snprintf(line, sizeof(line), "simulate|--config|%s|--rate|20|--runs|2|--for|5m|--mismatch|1%%", file);
    assert_int_equal(run_line(line, &text), EXIT_DONE);
    assert_says(text, "--mismatch changes nothing: no stage of the plan mirrors");
    assert_says(text, "each run ends after 5m 00s, before the holds of 11m 00s together can be over");
    (void)snprintf(line, sizeof(line), "simulate|--config|%s|--rate|20|--runs|2", file);
    assert_int_equal(run_line(line, &text), EXIT_DONE);
    assert_null(strstr(text, "changes nothing"));
    assert_null(strstr(text, "together can be over"));
}

static json_t *simulated(const char *options)
{
    char line[512];
    const char *text;
    (void)snprintf(line, sizeof(line), "simulate|--config|%s|--json|%s", file, options);
    assert_int_equal(run_line(line, &text), EXIT_DONE);
    json_t *answer = json_loads(text, 0, NULL);
    if (answer == NULL)
        fail_msg("no JSON: %s", text);
    return answer;
}

static const char *all_remarks(const json_t *answer)
{
    static char text[2048];
    size_t index;
    const json_t *remark;
    text[0] = '\0';
    json_array_foreach(json_object_get(answer, "remarks"), index, remark)
    {
        (void)strncat(text, json_string_value(remark), sizeof(text) - strlen(text) - 2);
        (void)strcat(text, "\n");
    }
    return text;
}

static double number_at(const json_t *object, const char *first, const char *second)
{
    return json_number_value(json_object_get(json_object_get(object, first), second));
}

static void what_is_assumed_is_read_rightly(void **state)
{
    (void)state;
    json_t *answer = simulated("--rate|12.5/s|--legacy-errors|1%|--new-errors|+0.5%|--latency|40ms|--new-latency|x1.5|"
                               "--mismatch|0.02%|--daily|60%|--runs|1|--seed|9|--for|1m");
    assert_true(fabs(number_at(answer, "assumed", "rate") - 12.5) < 1e-9);
    assert_true(fabs(number_at(answer, "assumed", "legacy_errors") - 0.01) < 1e-9);
    assert_true(fabs(number_at(answer, "assumed", "new_errors") - 0.015) < 1e-9);
    assert_true(fabs(number_at(answer, "assumed", "legacy_median_ms") - 40) < 1e-9);
    assert_true(fabs(number_at(answer, "assumed", "new_median_ms") - 60) < 1e-9);
    assert_true(fabs(number_at(answer, "assumed", "mismatch") - 0.0002) < 1e-9);
    assert_true(fabs(number_at(answer, "assumed", "daily") - 0.6) < 1e-9);
    assert_int_equal(json_integer_value(json_object_get(answer, "seed")), 9);
    assert_int_equal(json_integer_value(json_object_get(answer, "most_ms")), 60000);
    json_decref(answer);
    answer = simulated("--rate|5|--legacy-errors|1%|--new-errors|0.2%|--runs|1|--for|1m");
    assert_true(fabs(number_at(answer, "assumed", "new_errors") - 0.002) < 1e-9);
    assert_true(fabs(number_at(answer, "assumed", "new_median_ms") - 20) < 1e-9);
    json_decref(answer);
}

static int ended(const json_t *answer, const char *end)
{
    return (int)number_at(json_object_get(answer, "ends"), end, "runs");
}

static void an_equal_backend_is_done(void **state)
{
    (void)state;
    json_t *answer = simulated("--rate|100|--runs|6");
    assert_int_equal(ended(answer, "done"), 6);
    assert_int_equal(json_integer_value(json_object_get(answer, "promoted_wrongly")), 0);
    assert_int_equal(json_integer_value(json_object_get(answer, "failed_wrongly")), 0);
    const json_t *canary = json_array_get(json_object_get(answer, "stages"), 0);
    assert_string_equal(json_string_value(json_object_get(canary, "stage")), "canary");
    assert_int_equal(json_integer_value(json_object_get(canary, "left")), 6);
    assert_string_equal(json_string_value(json_object_get(canary, "held_by")),
                        "p95_increase"); /* or it is the errors */
    assert_true(number_at(canary, "took_ms", "median") > 60000);
    assert_says(all_remarks(answer), "at 100 req/s the gate p95_increase of stage canary needs");
    assert_says(all_remarks(answer), "longer than the hold of 1m 00s");
    json_decref(answer);
}

static void a_worse_backend_is_rolled_back(void **state)
{
    (void)state;
    json_t *answer = simulated("--rate|100|--new-errors|4.5%|--runs|6");
    assert_int_equal(ended(answer, "rolled_back"), 6);
    assert_int_equal(json_integer_value(json_object_get(answer, "promoted_wrongly")), 0);
    assert_int_equal(json_integer_value(json_object_get(answer, "failed_wrongly")), 0);
    assert_int_equal(number_at(answer, "ended_by", "error_rate_increase") + number_at(answer, "ended_by", "breaker"),
                     6);
    json_decref(answer);
}

static void what_is_not_decided_says_so(void **state)
{
    (void)state;
    json_t *answer = simulated("--rate|100|--new-errors|2%|--runs|3|--for|2h");
    assert_int_equal(ended(answer, "undecided"), 3);
    assert_says(all_remarks(answer), "the truth is exactly the limit of error_rate_increase");
    json_decref(answer);
    answer = simulated("--rate|1|--runs|3|--for|1h");
    assert_int_equal(ended(answer, "undecided"), 3);
    assert_says(all_remarks(answer), "stage canary is not left in 100 % of the runs");
    json_decref(answer);
}

static void people_read_a_table(void **state)
{
    (void)state;
    char line[256];
    const char *text;
    (void)snprintf(line, sizeof(line), "simulate|--config|%s|--rate|100|--new-errors|4.5%%|--runs|6", file);
    assert_int_equal(run_line(line, &text), EXIT_DONE);
    assert_says(text, "orders at 100 req/s: legacy errs 0 %, new 4.5 %");
    assert_says(text, "rolled back  100 %");
    assert_says(text, "promoted wrongly: 0 %; failed wrongly: 0 %");
    assert_says(text, "canary, 10 % on new");
    assert_says(text, "error_rate_increase");
    assert_says(text, "+2 %");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_words_are_refused_by_name), cmocka_unit_test(the_route_must_have_a_plan),
        cmocka_unit_test(what_changes_nothing_is_told),    cmocka_unit_test(what_is_assumed_is_read_rightly),
        cmocka_unit_test(an_equal_backend_is_done),        cmocka_unit_test(a_worse_backend_is_rolled_back),
        cmocka_unit_test(what_is_not_decided_says_so),     cmocka_unit_test(people_read_a_table),
    };
    return cmocka_run_group_tests(tests, write_file, remove_file);
}
