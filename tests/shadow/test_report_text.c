/*
 * The report for a terminal: what stands in it, and that it keeps to its width whatever it is given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "shadow/export.h"

static json_t *fixture(void)
{
    json_t *report = json_load_file("tests/shadow/report_fixture.json", 0, NULL);
    assert_non_null(report);
    return report;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void assert_has_not(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("\"%s\" is in:\n%s", part, text);
}

static void verdict_and_what_was_left_out_come_first(void **state)
{
    json_t *report = fixture();
    char *text = report_text(report, 120, false);
    (void)state;
    assert_has(text, "  ✗ orders-read: 13,017 compared, 13 differ (0.10 %)");
    assert_has(text, "  ✓ catalogue: 200,000 compared");
    assert_has(text, "  ○ orders-read: 400 compared");
    assert_has(text, "shadow_timeout 53, truncated 7, shadow_connect 3");
    assert_has(text, "    not mirrored           437  ");
    assert_has_not(text, "breaker 0");
    assert_has(text, "rule without effect: shadow.compare.ignore[3]");
    assert_has(text, "rules that never matched anything: unordered $.lines, ignore header:x-never");
    assert_has(text, "4 rules are suggested, as YAML to paste: --suggest-rules");
    assert_has(text, "99.99 %"); /* of catalogue: two of 200,000 differ, so it is not all */
    free(text);
    json_decref(report);
}

static void what_found_no_row_is_told(void **state)
{
    json_t *report = fixture();
    json_t *route = json_array_get(json_object_get(report, "routes"), 0), *limits = json_object_get(route, "limits");
    char *text = report_text(report, 120, false);
    (void)state;
    assert_has(text, "    more endpoints than rows: ");
    assert_has(text, " pairs are under (other)");
    assert_has(text, "    more fields than rows: some are under (other)");
    assert_has_not(text, "the report is full");
    free(text);
    json_object_set_new(limits, "endpoints_beyond", json_false());
    json_object_set_new(limits, "fields_beyond", json_false());
    json_object_set_new(limits, "bytes_beyond", json_true());
    text = report_text(report, 120, false);
    assert_has_not(text, "than rows");
    assert_has(text, "    the report is full: ");
    free(text);
    json_decref(report);
}

static void samples_show_what_counts(void **state)
{
    json_t *report = fixture();
    char *text = report_text(report, 120, false);
    (void)state;
    assert_has(text, "GET /orders/1042?expand=<string 5>\n              $.total  value  <number> → <number>\n");
    assert_has_not(text, "$.token  value");
    assert_has_not(text, "$.meta.request_id  value");
    free(text);
    text = report_text_all(report, 120, false);
    assert_has(text, "$.token  value");
    assert_has(text, "$.meta.request_id  value");
    free(text);
    json_decref(report);
}

static void shown_fields_have_lines_and_hidden_ones_are_folded(void **state)
{
    json_t *report = fixture();
    char *text = report_text(report, 120, false);
    (void)state;
    assert_has(text, "GET /orders/{id}  11 of 10,104 differ");
    assert_has(text, "$.customer.phone  missing           3    0.03 %    0.00 %  <string 12> → (none)");
    assert_has(text, "differs in 0.03 % of pairs and by itself in none of 505");
    assert_has(text, "2 noise: $.token (1,191), $.tags (30)");
    assert_has(text, "1 ignored by rule: $.meta.request_id (900)");
    assert_has(text, "2 endpoints without a difference");
    assert_has_not(text, "value         1,191");
    free(text);
    text = report_text_all(report, 120, false);
    assert_has(text, "value         1,191");
    assert_has(text, "differs in 11.79 % of pairs and in 31.68 % by itself");
    assert_has(text, "GET /orders/{id}/invoice");
    assert_has_not(text, "endpoints without a difference");
    free(text);
    json_decref(report);
}

static void latency_is_told_in_pairs(void **state)
{
    json_t *report = fixture();
    char *text = report_text(report, 120, false);
    (void)state;
    assert_has(text, "shadow minus primary      2.90 ms    16.0 ms    55.0 ms");
    assert_has(text, "the shadow was slower in 84.00 % of pairs; half of them took at least 1.22 times as long");
    free(text);
    json_decref(report);
}

static unsigned columns_of(const char *line, size_t length)
{
    unsigned columns = 0;
    for (size_t i = 0; i < length; i++)
        columns += ((unsigned char)line[i] & 0xc0) != 0x80;
    return columns;
}

static void lines_keep_to_the_width(void **state)
{
    json_t *report = fixture();
    (void)state;
    for (unsigned width = 60; width <= 160; width += 7) {
        char *text = report_text_all(report, width, false);
        assert_non_null(text);
        for (const char *line = text; *line != '\0';) {
            size_t length = strcspn(line, "\n");
            if (columns_of(line, length) > width)
                fail_msg("%u columns at %u: %.*s", columns_of(line, length), width, (int)length, line);
            line += length + (line[length] == '\n');
        }
        free(text);
    }
    json_decref(report);
}

static void colours_are_asked_for(void **state)
{
    json_t *report = fixture();
    char *plain = report_text(report, 100, false), *painted = report_text(report, 100, true);
    (void)state;
    assert_null(strchr(plain, '\033'));
    assert_has(painted, "\033[31m");
    free(plain);
    free(painted);
    json_decref(report);
}

static void hostile_text_speaks_to_no_terminal(void **state)
{
    static const char evil[] = "\033]0;owned\007 \xe2\x80\xae \xc2\x9b"
                               "31m \r\n\x7f";
    json_t *report = json_pack(
        "{s:[{s:s, s:s, s:s, s:i, s:{s:s, s:s}, s:{s:i}, s:{s:i}, s:[{s:s, s:[{s:s, s:s, s:b, s:s, s:{s:s, s:s}}]}], "
        "s:[s], s:[{s:s, s:i}]}]}",
        "routes", "route", evil, "primary", evil, "shadow", evil, "since_ms", 1, "verdict", "result", evil, "sentence",
        evil, "totals", "compared", 1, "not_comparable", evil, 3, "endpoints", "endpoint", evil, "fields", "field",
        evil, "state", evil, "shown", 1, "why", evil, "example", "primary", evil, "path", evil, "rules_refused", evil,
        "rules", "rule", evil, "pairs", 0);
    (void)state;
    assert_non_null(report);
    char *text = report_text_all(report, 100, false);
    for (const char *at = text; *at != '\0'; at++)
        assert_false(((unsigned char)*at < 0x20 && *at != '\n') || *at == 0x7f);
    assert_null(strstr(text, "\xe2\x80\xae"));
    assert_null(strstr(text, "\xc2\x9b"));
    free(text);
    json_decref(report);
}

static void an_empty_report_says_what_is_missing(void **state)
{
    json_t *report = json_pack("{s:i, s:[]}", "schema", 2, "routes");
    char *text = report_text(report, 100, false);
    (void)state;
    assert_has(text, "Nothing has been compared yet.");
    free(text);
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdict_and_what_was_left_out_come_first),
        cmocka_unit_test(what_found_no_row_is_told),
        cmocka_unit_test(samples_show_what_counts),
        cmocka_unit_test(shown_fields_have_lines_and_hidden_ones_are_folded),
        cmocka_unit_test(latency_is_told_in_pairs),
        cmocka_unit_test(lines_keep_to_the_width),
        cmocka_unit_test(colours_are_asked_for),
        cmocka_unit_test(hostile_text_speaks_to_no_terminal),
        cmocka_unit_test(an_empty_report_says_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
