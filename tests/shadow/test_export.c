/*
 * The report's other forms: every one is made of a realistic report, of hostile text, and of JSON that is no report.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <ctype.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "shadow/export.h"
#include "shadow/export_text.h"

static const char hostile[] =
    "'; touch /tmp/owned; $(reboot) `id` | \\ \"q\" <script>&amp;]]>--> ${X} \033[31m\x7f\r\n\t# *a* "
    "[x](http://e) {{y}} \xc2\x9b \xe2\x80\xae end";

static json_t *fixture(void)
{
    json_error_t error;
    json_t *report = json_load_file("tests/shadow/report_fixture.json", 0, &error);
    if (report == NULL)
        fail_msg("%s", error.text);
    return report;
}

static char *make(const char *format, const json_t *report)
{
    char *text = export_find(format)->make(report);
    assert_non_null(text);
    return text;
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

/* Every string of a report replaced by hostile text, names and structure kept. */
static void poison(json_t *value)
{
    const char *key;
    json_t *member;
    void *next;
    size_t i;
    json_object_foreach_safe(value, next, key, member)
    {
        bool keeps = strcmp(key, "state") == 0 || strcmp(key, "result") == 0 || strcmp(key, "rule") == 0;
        if (json_is_string(member) && !keeps)
            json_object_set_new(value, key, json_string(hostile));
        else
            poison(member);
    }
    json_array_foreach(value, i, member)
    {
        if (json_is_string(member))
            json_array_set_new(value, i, json_string(hostile));
        else
            poison(member);
    }
}

/* Every member, one after the other, replaced by something of another type. */
static void break_types(json_t *value, unsigned *left, json_t *with)
{
    const char *key;
    json_t *member;
    void *next;
    size_t i;
    json_object_foreach_safe(value, next, key, member)
    {
        if ((*left)-- == 0) {
            json_object_set(value, key, with);
            return;
        }
        break_types(member, left, with);
    }
    json_array_foreach(value, i, member)
    {
        if ((*left)-- == 0) {
            json_array_set(value, i, with);
            return;
        }
        break_types(member, left, with);
    }
}

static void assert_no_controls(const char *text)
{
    for (const char *at = text; *at != '\0'; at++)
        if (((unsigned char)*at < 0x20 && *at != '\n') || *at == 0x7f || strncmp(at, "\xe2\x80\xae", 3) == 0)
            fail_msg("byte %d in: %.60s", *at, at);
}

static void formats_are_found_by_name(void **state)
{
    static const char *const names[] = {"text", "json", "markdown", "junit", "har", "curl", "rules", "html"};
    (void)state;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_non_null(export_find(names[i]));
        assert_string_equal(export_at(i)->name, names[i]);
        assert_non_null(export_at(i)->media_type);
    }
    assert_null(export_at(sizeof(names) / sizeof(names[0])));
    assert_null(export_find("pdf"));
    assert_null(export_find(""));
}

/* ---- markdown ---- */

static void markdown_tells_verdict_totals_fields_and_suggestions(void **state)
{
    json_t *report = fixture();
    char *text = make("markdown", report);
    (void)state;
    assert_has(text, "❌ **orders-read: 13,017 compared, 13 differ");
    assert_has(text, "| 13,017 | 9,227 | 1,000 | 2,777 | 13 | 63 |");
    assert_has(text, "| `GET /orders/{id}` | `$.total` | 6 | 0.06 % | 0.00 % | `<number>` → `<number>` | differs in");
    assert_has(text, "Noise, which differs by itself: `$.token` (1,191), `$.tags` (30)");
    assert_has(text, "Rules that never matched anything: `unordered $.lines`, `ignore header:x-never`");
    assert_has(text, "- ignore `$.token`: differs in 31.68 %");
    assert_has_not(text, "`GET /orders/{id}` | `$.token`"); /* noise has no row */
    free(text);
    json_decref(report);
}

static void markdown_escapes(void **state)
{
    json_t *report = fixture();
    poison(report);
    char *text = make("markdown", report);
    (void)state;
    assert_no_controls(text);
    assert_has_not(text, "<script>");
    assert_has_not(text, "](http");
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        unsigned bars = 0;
        if (line[0] != '|')
            continue;
        for (const char *at = line; *at != '\0'; at++)
            bars += *at == '|';
        if (bars != 7 && bars != 8)
            fail_msg("%u bars in a row of a table: %s", bars, line);
    }
    free(text);
    json_decref(report);
}

/* ---- junit ---- */

static double count(xmlDocPtr doc, const char *path)
{
    xmlXPathContextPtr context = xmlXPathNewContext(doc);
    xmlXPathObjectPtr found = xmlXPathEvalExpression((const xmlChar *)path, context);
    assert_non_null(found);
    double number = xmlXPathCastToNumber(found);
    xmlXPathFreeObject(found);
    xmlXPathFreeContext(context);
    return number;
}

static void junit_has_a_suite_for_each_direction_and_a_case_for_each_endpoint(void **state)
{
    json_t *report = fixture();
    char *text = make("junit", report);
    xmlDocPtr doc = xmlReadMemory(text, (int)strlen(text), "junit", NULL, XML_PARSE_NONET);
    (void)state;
    assert_non_null(doc);
    assert_true(count(doc, "count(/testsuites/testsuite)") == 3);
    assert_true(count(doc, "count(/testsuites/testsuite[1]/testcase)") == 6); /* the verdict and five endpoints */
    assert_true(count(doc, "number(/testsuites/testsuite[1]/@failures)") == 3);
    assert_true(count(doc, "count(//testsuite[1]/testcase[@name='GET /orders/{id}']/failure)") == 1);
    assert_true(count(doc, "count(//testcase[@name='verdict']/failure)") == 1);
    assert_true(count(doc, "count(//testsuite[1]/testcase[@name='HEAD /orders/{id}']/skipped)") == 1);
    assert_true(count(doc, "count(//testcase[@name='GET /orders/{id}/invoice']/*)") == 0);
    assert_true(count(doc, "count(//testsuite[@tests != count(testcase)])") == 0);
    assert_true(count(doc, "count(//testsuite[@failures != count(testcase/failure)])") == 0);
    assert_true(count(doc, "count(//testsuite[@skipped != count(testcase/skipped)])") == 0);
    assert_has(text, "message=\"$.total: differs in 0.06 % of pairs");
    xmlFreeDoc(doc);
    free(text);
    json_decref(report);
}

static void junit_escapes(void **state)
{
    json_t *report = fixture();
    poison(report);
    char *text = make("junit", report);
    xmlDocPtr doc = xmlReadMemory(text, (int)strlen(text), "junit", NULL, XML_PARSE_NONET);
    (void)state;
    assert_non_null(doc);
    assert_true(count(doc, "count(//script)") == 0);
    assert_no_controls(text);
    xmlFreeDoc(doc);
    free(text);
    json_decref(report);
}

static void text_that_xml_cannot_hold_is_replaced(void **state)
{
    struct export_page page;
    (void)state;
    assert_true(export_open(&page));
    export_put(page.out, EXPORT_XML,
               "a\xef\xbf\xbe"
               "b\xef\xbf\xbf"
               "c\x01"
               "d\xff"
               "e<&>\"");
    char *text = export_close(&page);
    assert_string_equal(text, "a?b?c?d?e&lt;&amp;&gt;&quot;");
    free(text);
}

/* ---- har ---- */

static void har_has_two_entries_for_each_sample(void **state)
{
    json_t *report = fixture();
    char *text = make("har", report);
    json_t *har = json_loads(text, 0, NULL), *entries = json_object_get(json_object_get(har, "log"), "entries"), *entry;
    size_t i;
    (void)state;
    assert_string_equal(export_string(json_object_get(har, "log"), "version"), "1.2");
    assert_int_equal(json_array_size(entries), 14);
    json_array_foreach(entries, i, entry)
    {
        static const char *const of_request[] = {"method",  "url",         "httpVersion", "cookies",
                                                 "headers", "queryString", "headersSize", "bodySize"};
        static const char *const of_response[] = {"status",  "statusText",  "httpVersion", "cookies", "headers",
                                                  "content", "redirectURL", "headersSize", "bodySize"};
        for (size_t k = 0; k < sizeof(of_request) / sizeof(of_request[0]); k++)
            assert_non_null(json_object_get(json_object_get(entry, "request"), of_request[k]));
        for (size_t k = 0; k < sizeof(of_response) / sizeof(of_response[0]); k++)
            assert_non_null(json_object_get(json_object_get(entry, "response"), of_response[k]));
        assert_true(json_is_object(json_object_get(entry, "cache")));
        assert_true(json_is_number(json_object_get(json_object_get(entry, "timings"), "wait")));
        assert_int_equal(strlen(export_string(entry, "startedDateTime")), strlen("2025-03-02T10:11:31.000Z"));
    }
    entry = json_array_get(entries, 8); /* new answered, legacy is compared */
    assert_string_equal(export_string(json_object_get(entry, "request"), "url"), "http://new/orders");
    assert_string_equal(export_string(json_object_get(entry, "response"), "redirectURL"), "/orders/2001");
    entry = json_array_get(entries, 0);
    assert_string_equal(export_string(json_object_get(entry, "request"), "url"),
                        "http://legacy/orders/1042?expand=%3Cstring%205%3E");
    json_decref(har);
    free(text);
    json_decref(report);
}

/* A sample of the fixture that differs in noise alone, its only difference being the second of the first sample's. */
static void make_noise_only(json_t *report)
{
    json_t *route = json_array_get(json_object_get(report, "routes"), 0);
    json_t *sample = json_array_get(json_object_get(route, "samples"), 0);
    json_array_remove(json_object_get(sample, "differences"), 0);
    json_object_set_new(sample, "fields", json_integer(1));
}

static void pairs_that_differ_in_noise_alone_are_no_mismatch(void **state)
{
    static const char *const forms[] = {"har", "curl", "text"};
    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        json_t *report = fixture();
        char *text = make(forms[i], report);
        assert_has(text, "/orders/1042");
        free(text);
        make_noise_only(report);
        text = make(forms[i], report);
        assert_has_not(text, "/orders/1042");
        assert_has(text, "/orders/77"); /* the others stay */
        free(text);
        json_object_set_new(
            json_array_get(json_object_get(json_array_get(json_object_get(report, "routes"), 0), "samples"), 0),
            "fields", json_integer(2));
        text = make(forms[i], report);
        assert_has(text, "/orders/1042"); /* one of its fields is not told: it may be a real one */
        free(text);
        json_decref(report);
    }
}

/* ---- curl ---- */

/* Runs the lines with a shell in which curl is a function that writes its arguments, one a line behind "=". */
static char *played(const char *script, const char *directory)
{
    char path[256], command[1024];
    snprintf(path, sizeof(path), "%s/script", directory);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs("curl() { echo curl; for a in \"$@\"; do printf '=%s\\n' \"$a\"; done; }\n", out);
    fputs(script, out);
    assert_int_equal(fclose(out), 0);
    snprintf(command, sizeof(command), "cd '%s' && LEGACY=http://old NEW=http://new sh ./script 2>&1", directory);
    FILE *in = popen(command, "r");
    assert_non_null(in);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    size_t length = fread(text, 1, (1 << 20) - 1, in);
    text[length] = '\0';
    assert_int_equal(pclose(in), 0);
    unlink(path);
    return text;
}

static void curl_lines_say_the_same_request_to_both_sides(void **state)
{
    char directory[] = "/tmp/shunt-export-XXXXXX";
    json_t *report = fixture();
    char *text = make("curl", report);
    (void)state;
    assert_non_null(mkdtemp(directory));
    char *said = played(text, directory);
    assert_has(said,
               "=-X\n=POST\n=-H\n=host: shop.example.com\n=-H\n=content-type: application/json\n=-H\n=accept: */*\n"
               "=--data-raw\n={\"sku\":\"it's a 'test' $(reboot) `id`\",\"quantity\":2}\n=http://old/orders\n");
    assert_has(said, "=http://new/orders\n");
    assert_has(text, "# fill in what is hidden");
    free(said);
    free(text);
    json_decref(report);
    rmdir(directory);
}

/* "Host: <string 10>" would be refused by either side, and noise is not what the line is kept for. */
static void hidden_headers_are_left_out_and_named(void **state)
{
    json_t *report = fixture();
    json_t *route = json_array_get(json_object_get(report, "routes"), 0);
    json_t *sample = json_array_get(json_object_get(route, "samples"), 0);
    (void)state;
    json_object_set_new(json_object_get(sample, "request"), "headers",
                        json_pack("[[s,s],[s,s],[s,s]]", "Host", "<string 10>", "Accept", "text/plain", "Via",
                                  "<string 9 #5f3a09bc11d2>"));
    char *text = make("curl", report);
    assert_has(text, "# left out, for the values are hidden: Host, Via\n");
    assert_has(text, "-H 'Accept: text/plain' \"$LEGACY\"");
    assert_has_not(text, "<string 10>");
    assert_has(text, "# differs: $.total\n");
    assert_has_not(text, "# differs: $.token");
    free(text);
    json_decref(report);
}

static void curl_lines_cannot_be_broken_out_of(void **state)
{
    char directory[] = "/tmp/shunt-export-XXXXXX", bait[64];
    json_t *report = fixture();
    char attack[512];
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(bait, sizeof(bait), "%s/owned", directory);
    snprintf(attack, sizeof(attack), "'; touch %s; '\"$(touch %s)`touch %s`\n touch %s #", bait, bait, bait, bait);
    json_t *sample = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:[[s,s],[s,s],[s,s]], s:s}, s:[{s:s}]}", "route",
                               attack, "endpoint", attack, "primary", attack, "request_id", attack, "method", attack,
                               "target", "@elsewhere/\n x", "request", "headers", "x-a", attack, "@/etc/passwd", "y",
                               "x-empty", "", "body", hostile, "differences", "path", attack);
    assert_non_null(sample);
    json_t *poisoned = json_pack("{s:[{s:[o]}]}", "routes", "samples", sample);
    char *text = make("curl", poisoned), *said = played(text, directory);
    assert_int_not_equal(access(bait, F_OK), 0);
    assert_has(said, attack);
    assert_has(said, "=x-empty;\n");
    assert_has(said, "=http://old/@elsewhere/\n x\n"); /* a path, never part of the host's name */
    assert_has(said, hostile);                         /* to the byte */
    assert_has_not(said, "=@/etc/passwd");
    assert_no_controls(text);
    free(said);
    free(text);
    json_decref(poisoned);
    json_decref(report);
    rmdir(directory);
}

/* ---- rules ---- */

/* Does a file with these lines under shadow.compare load? */
static struct config *loaded(const char *rules)
{
    struct config_errors errors = {0};
    struct export_page page;
    assert_true(export_open(&page));
    fputs("listeners: [ { address: \"127.0.0.1:0\" } ]\nbackends:\n  legacy: { url: \"http://127.0.0.1:1\" }\n"
          "  new: { url: \"http://127.0.0.1:2\" }\nroutes:\n  - name: r\n    match: { path: /** }\n    percent: 0\n"
          "    shadow:\n      compare:\n",
          page.out);
    while (*rules != '\0') {
        size_t line = strcspn(rules, "\n");
        fprintf(page.out, "        %.*s\n", (int)line, rules);
        rules += line + (rules[line] == '\n');
    }
    char *text = export_close(&page);
    struct config *config = config_parse("rules", text, strlen(text), &errors);
    for (size_t i = 0; i < errors.count; i++)
        print_message("%s\n", errors.lines[i]);
    config_errors_free(&errors);
    free(text);
    return config;
}

static void rules_load_under_compare(void **state)
{
    json_t *report = fixture();
    char *text = make("rules", report);
    struct config *config = loaded(text);
    (void)state;
    assert_non_null(config);
    const struct config_compare *compare = &config->routes[0].shadow.compare;
    assert_int_equal(compare->ignore_count, 2);
    assert_string_equal(compare->ignore[0], "$.token");
    assert_int_equal(compare->unordered_count, 1);
    assert_int_equal(compare->tolerance_count, 1);
    assert_true(compare->tolerance[0].amount >= 0.02 - 1e-12 && compare->tolerance[0].amount < 0.021);
    config_free(config);
    free(text);
    json_decref(report);
}

static void rules_that_no_file_would_take_are_left_out(void **state)
{
    json_t *report =
        json_pack("{s:[{s:s, s:[{s:s,s:s,s:s},{s:s,s:s},{s:s,s:s},{s:s,s:s,s:f},{s:s,s:s},{s:s,s:s},{s:s,s:s,s:f}]},"
                  "{s:s, s:[{s:s,s:s}]}]}",
                  "routes", "route", hostile, "suggestions", "rule", "ignore", "path", "$['a\"b\\\\c: #']", "why",
                  hostile, "rule", "ignore", "path", "$.a[", "rule", "unordered", "path", "status", "rule", "tolerance",
                  "path", "$.n", "relative", 7.0, "rule", "ignore", "path", "$.x\n- $.y", "rule", "nonsense", "path",
                  "$.x", "rule", "tolerance", "path", "$.m", "relative", 0.00031, "route", hostile, "suggestions",
                  "rule", "ignore", "path", "$['a\"b\\\\c: #']");
    char *text = make("rules", report);
    struct config *config = loaded(text);
    (void)state;
    assert_non_null(config);
    const struct config_compare *compare = &config->routes[0].shadow.compare;
    assert_int_equal(compare->ignore_count, 1); /* said once for both directions */
    assert_string_equal(compare->ignore[0], "$['a\"b\\\\c: #']");
    assert_int_equal(compare->unordered_count, 0);
    assert_int_equal(compare->tolerance_count, 1);
    assert_true(compare->tolerance[0].amount >= 0.00031);
    assert_has(text, "# left out, for it cannot be written as a rule: tolerance $.n");
    config_free(config);
    free(text);
    json_decref(report);
}

static void nothing_to_suggest_is_said(void **state)
{
    json_t *report = json_pack("{s:[]}", "routes");
    char *text = make("rules", report);
    (void)state;
    assert_has(text, "# Nothing to suggest");
    free(text);
    json_decref(report);
}

/* ---- anything ---- */

static void nothing_is_trusted(void **state)
{
    static const char *const things[] = {"null",
                                         "[]",
                                         "{}",
                                         "7",
                                         "\"x\"",
                                         "{\"routes\": 7}",
                                         "{\"routes\": {}}",
                                         "{\"routes\": [null, 7, [], {}, {\"endpoints\": [null, {\"fields\": [3]}]}]}",
                                         "{\"routes\": [{\"samples\": [null, 4, {}], \"suggestions\": [null, []]}]}"};
    (void)state;
    for (size_t i = 0; i < sizeof(things) / sizeof(things[0]); i++) {
        json_t *thing = json_loads(things[i], JSON_DECODE_ANY, NULL);
        assert_non_null(thing);
        for (unsigned format = 0; export_at(format) != NULL; format++) {
            char *text = export_at(format)->make(thing);
            assert_non_null(text);
            free(text);
        }
        json_decref(thing);
    }
}

static void members_of_another_type_are_as_good_as_missing(void **state)
{
    json_t *report = fixture();
    json_t *with[] = {json_null(), json_integer(-5), json_string("\x01<&'"), json_array()};
    json_t *small = json_object();
    (void)state;
    /* the second direction is small, and has one of everything that matters */
    json_object_set_new(small, "routes", json_pack("[O]", json_array_get(json_object_get(report, "routes"), 1)));
    for (unsigned at = 0; at < 700; at++) {
        json_t *broken = json_deep_copy(small);
        unsigned left = at;
        break_types(broken, &left, with[at % 4]);
        for (unsigned format = 0; export_at(format) != NULL; format++) {
            if (strcmp(export_at(format)->name, "html") == 0)
                continue; /* embeds the JSON as it is */
            char *text = export_at(format)->make(broken);
            assert_non_null(text);
            free(text);
        }
        json_decref(broken);
    }
    for (unsigned i = 0; i < 4; i++)
        json_decref(with[i]);
    json_decref(small);
    json_decref(report);
}

static void a_fleet_s_report_says_so_in_every_form(void **state)
{
    static const char *const forms[] = {"text", "markdown", "junit", "curl", "rules"};
    (void)state;
    json_t *report = fixture();
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        char *text = make(forms[i], report);
        assert_has_not(text, "of a fleet");
        free(text);
    }
    json_object_set_new(report, "fleet", json_pack("{s:i, s:i}", "replicas", 1200, "beyond", 5000));
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        char *text = make(forms[i], report);
        assert_has(text, "1,200 replicas of a fleet together");
        assert_has(text, "5,000 figures found no room");
        free(text);
    }
    json_object_set_new(report, "fleet", json_pack("{s:i, s:s}", "replicas", 1, "beyond", "many"));
    char *text = make("markdown", report);
    assert_has(text, "Of 1 replica of a fleet together.");
    free(text);
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_found_by_name),
        cmocka_unit_test(markdown_tells_verdict_totals_fields_and_suggestions),
        cmocka_unit_test(markdown_escapes),
        cmocka_unit_test(junit_has_a_suite_for_each_direction_and_a_case_for_each_endpoint),
        cmocka_unit_test(junit_escapes),
        cmocka_unit_test(text_that_xml_cannot_hold_is_replaced),
        cmocka_unit_test(har_has_two_entries_for_each_sample),
        cmocka_unit_test(pairs_that_differ_in_noise_alone_are_no_mismatch),
        cmocka_unit_test(curl_lines_say_the_same_request_to_both_sides),
        cmocka_unit_test(hidden_headers_are_left_out_and_named),
        cmocka_unit_test(curl_lines_cannot_be_broken_out_of),
        cmocka_unit_test(rules_load_under_compare),
        cmocka_unit_test(rules_that_no_file_would_take_are_left_out),
        cmocka_unit_test(nothing_to_suggest_is_said),
        cmocka_unit_test(nothing_is_trusted),
        cmocka_unit_test(members_of_another_type_are_as_good_as_missing),
        cmocka_unit_test(a_fleet_s_report_says_so_in_every_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
