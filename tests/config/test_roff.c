/*
 * Manual pages: what Markdown becomes, and that no text is taken for a request.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/roff.h"

static void becomes(const char *markdown, const char *expected)
{
    struct writer writer = {.config = NULL};
    roff_markdown(&writer, markdown);
    char *text = writer_take(&writer);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void paragraphs_and_headings(void **state)
{
    (void)state;
    becomes("One\nline.\n\nAnother.\n", "One\nline.\n.PP\nAnother.\n");
    becomes("# Title\n\n<!-- made -->\n\nText.\n\n## Head\n\nMore.\n", "Text.\n.SH \"Head\"\nMore.\n");
}

static void what_roff_would_take_for_itself_is_text(void **state)
{
    (void)state;
    becomes(".SH no\n", "\\&.SH no\n");
    becomes("'tis a \\n and --dump ~ ^\n", "\\(aqtis a \\en and \\-\\-dump \\(ti \\(ha\n");
    becomes("see `.example`\n", "see \\fB\\&.example\\fR\n");
    becomes("`.example`\n", "\\fB\\&.example\\fR\n");
}

static void marks(void **state)
{
    (void)state;
    becomes("`a-b` and *required*, 2 * 3 * 4\n", "\\fBa\\-b\\fR and \\fIrequired\\fR, 2 * 3 * 4\n");
    becomes("a list of [routes[].stages[]](#routesstages), or [h2, http/1.1]\n",
            "a list of \\fIroutes[].stages[]\\fR, or [h2, http/1.1]\n");
    becomes("an open ` and [bracket\n", "an open \\(ga and [bracket\n");
}

static void examples_stay_as_they_are(void **state)
{
    (void)state;
    becomes("So:\n\n```yaml\na: 1   # `x` | *y*\n\n  b: -2\n```\nAfter.\n",
            "So:\n.PP\n.RS 4\n.EX\na: 1   # \\(gax\\(ga | *y*\n\n  b: \\-2\n.EE\n.RE\n.PP\nAfter.\n");
    becomes("Examples:\n  shuntctl status\n  shuntctl plan\n",
            "Examples:\n.PP\n.RS 4\n.EX\nshuntctl status\nshuntctl plan\n.EE\n.RE\n");
}

static void lists(void **state)
{
    (void)state;
    becomes("- one\n  goes on\n- two\n", ".IP \\(bu 2\none\ngoes on\n.IP \\(bu 2\ntwo\n");
}

static void a_table_is_a_list_of_its_rows(void **state)
{
    (void)state;
    becomes("| key | value | range | default | meaning |\n| --- | --- | --- | --- | --- |\n"
            "| `drain` | a duration | 0s to 1d | `30s` | How long. |\n"
            "| `url` | a URL |  | *required* | Where a \\| b. |\n"
            "| `tls` | [tls](#tls) |  | none |  |\n",
            ".TP\n\\fBdrain\\fR\na duration, 0s to 1d, default \\fB30s\\fR\n.br\nHow long.\n"
            ".TP\n\\fBurl\\fR\na URL, \\fIrequired\\fR\n.br\nWhere a | b.\n"
            ".TP\n\\fBtls\\fR\n\\fItls\\fR\n");
    becomes("| value | is written as | for example |\n| --- | --- | --- |\n| size | a number | `1MiB` |\n",
            ".TP\nsize\na number; for example \\fB1MiB\\fR\n");
}

static void the_manual_page_has_every_section_of_the_reference(void **state)
{
    char *page = config_reference(), *manual = config_manual();
    unsigned headings = 0;
    (void)state;
    assert_non_null(page);
    assert_non_null(manual);
    assert_int_equal(strncmp(manual, ".TH \"shunt.yaml\" 5 ", 19), 0);
    for (const char *at = page; (at = strstr(at, "\n## ")) != NULL; at++, headings++) {
        char heading[160];
        struct writer writer = {.config = NULL};
        (void)snprintf(heading, sizeof(heading), "%.*s", (int)strcspn(at + 4, "\n"), at + 4);
        roff_heading(&writer, heading);
        char *wanted = writer_take(&writer);
        assert_non_null(wanted);
        if (strstr(manual, wanted) == NULL)
            fail_msg("shunt.yaml(5) has no %s", wanted);
        free(wanted);
    }
    assert_true(headings >= 15);
    free(page);
    free(manual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paragraphs_and_headings),
        cmocka_unit_test(what_roff_would_take_for_itself_is_text),
        cmocka_unit_test(marks),
        cmocka_unit_test(examples_stay_as_they_are),
        cmocka_unit_test(lists),
        cmocka_unit_test(a_table_is_a_list_of_its_rows),
        cmocka_unit_test(the_manual_page_has_every_section_of_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
