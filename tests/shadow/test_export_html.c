/*
 * The page as text: whole, without anything from outside, and no value of the report can become markup. How it looks
 * and works is tests/integration/test_page.py's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/export.h"
#include "shadow/page/page.h"

static char *page_of(const char *report)
{
    json_error_t fault;
    json_t *json = json_loads(report, JSON_DECODE_ANY, &fault);
    assert_non_null(json);
    char *page = export_html(json);
    json_decref(json);
    assert_non_null(page);
    return page;
}

static void assert_has(const char *page, const char *words)
{
    if (strstr(page, words) == NULL)
        fail_msg("not on the page: %s", words);
}

static void assert_has_not(const char *page, const char *words)
{
    const char *at = strstr(page, words);
    if (at != NULL)
        fail_msg("on the page: %.60s", at);
}

static unsigned times(const char *page, const char *words)
{
    unsigned found = 0;
    for (const char *at = strstr(page, words); at != NULL; at = strstr(at + 1, words))
        found++;
    return found;
}

/* What stands in <script id="report">. New reference. */
static json_t *data_of(const char *page)
{
    static const char opening[] = "<script type=\"application/json\" id=\"report\">";
    const char *at = strstr(page, opening);
    assert_non_null(at);
    at += sizeof(opening) - 1;
    const char *end = strstr(at, "</script>");
    assert_non_null(end);
    json_t *data = json_loadb(at, (size_t)(end - at), JSON_DECODE_ANY, NULL);
    assert_non_null(data);
    return data;
}

static void the_page_is_one_file(void **state)
{
    (void)state;
    char *page = page_of("{\"routes\": []}");
    assert_has(page, "<!doctype html>");
    assert_has(page, "</html>");
    assert_has(page,
               "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:;");
    assert_int_equal(times(page, "<style>"), 1);
    assert_int_equal(times(page, "</style>"), 1);
    assert_int_equal(times(page, "</script>"), 2);
    assert_has_not(page, "{{");
    assert_has_not(page, "src=");
    assert_has_not(page, "@import");
    assert_has_not(page_css, "url(");
    /* Two names that are never asked for: an element's name space, and that of the icon inside its data: address. */
    assert_int_equal(times(page, "http://") + times(page, "https://"), times(page, "http://www.w3.org/2000/svg"));
    assert_has(page, "Nothing has been compared yet.");
    free(page);
}

/* Everything of each file is there to the last byte, however it came into the program. */
static void the_files_are_whole(void **state)
{
    static const struct {
        const char *path, *bytes;
        const size_t *len;
    } files[] = {
        {"shadow/page/report.html", page_html, &page_html_len},
        {"shadow/page/report.css", page_css, &page_css_len},
        {"shadow/page/report.js", page_js, &page_js_len},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        FILE *file = fopen(files[i].path, "r");
        assert_non_null(file);
        char *text = malloc(*files[i].len + 2);
        assert_non_null(text);
        assert_int_equal(fread(text, 1, *files[i].len + 2, file), *files[i].len);
        assert_memory_equal(text, files[i].bytes, *files[i].len);
        assert_int_equal(files[i].bytes[*files[i].len], '\0');
        free(text);
        fclose(file);
    }
}

static void no_value_ends_the_script(void **state)
{
    static const char evil[] =
        "</script><script>x()</script><!--&\"' \xe2\x80\xa8\xe2\x80\xa9 \xe2\x80\xaa {{script}} \\";
    (void)state;
    json_t *report = json_pack("{s:[{s:s, s:{s:s}}]}", "routes", "route", evil, "verdict", "sentence", evil);
    assert_non_null(report);
    char *page = export_html(report);
    assert_non_null(page);
    assert_int_equal(times(page, "</script>"), 2);
    assert_has_not(page, "x()</script>");
    assert_has_not(page, "<!--");
    assert_has_not(strstr(page, "id=\"report\""), "\xe2\x80\xa8");
    assert_has(page, "\\u003c/script\\u003e");
    assert_has(page, "\\u0026");
    assert_has(page, "\\u2028\\u2029");
    json_t *data = data_of(page);
    assert_true(json_equal(data, report)); /* escaped, and still the same */
    json_decref(data);
    json_decref(report);
    free(page);
}

static void keys_are_escaped_too(void **state)
{
    (void)state;
    char *page = page_of("{\"</script>\": 1}");
    assert_int_equal(times(page, "</script>"), 2);
    free(page);
}

static void the_sentences_are_html(void **state)
{
    (void)state;
    char *page = page_of("{\"routes\": [{\"route\": \"a<b\", \"primary\": \"legacy\", \"shadow\": \"new\","
                         " \"verdict\": {\"sentence\": \"<i>\\\"x\\\" & 'y'</i>\"}}, {}]}");
    assert_has(page, "<li><strong><bdi>a&lt;b</bdi></strong> (legacy answers, new is compared): "
                     "<bdi>&lt;i&gt;&quot;x&quot; &amp; &#39;y&#39;&lt;/i&gt;</bdi></li>");
    assert_int_equal(times(page, "<li>"), 2);
    free(page);
}

static void anything_makes_a_page(void **state)
{
    static const char *const reports[] = {"{}",
                                          "[]",
                                          "null",
                                          "5",
                                          "\"</script>\"",
                                          "{\"routes\": {\"a\": 1}}",
                                          "{\"routes\": [1, null, [], {\"verdict\": 7, \"route\": []}]}"};
    (void)state;
    for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
        char *page = page_of(reports[i]);
        json_t *given = json_loads(reports[i], JSON_DECODE_ANY, NULL);
        json_t *data = data_of(page);
        assert_true(json_equal(given, data));
        json_decref(data);
        json_decref(given);
        free(page);
    }
    char *page = export_html(NULL);
    assert_non_null(page);
    assert_has(page, "id=\"report\">null</script>");
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_one_file),     cmocka_unit_test(the_files_are_whole),
        cmocka_unit_test(no_value_ends_the_script), cmocka_unit_test(keys_are_escaped_too),
        cmocka_unit_test(the_sentences_are_html),   cmocka_unit_test(anything_makes_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
