/*
 * The reference page is the table of keys, and what it shows is true.
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

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("%s cannot be opened (tests run in the root of the tree)", path);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    size_t len = fread(text, 1, (1 << 20) - 1, file);
    assert_true(len > 0 && feof(file));
    assert_int_equal(fclose(file), 0);
    return text;
}

static void page_in_docs_is_up_to_date(void **state)
{
    char *page = config_reference();
    char *docs = read_file("docs/configuration.md");
    (void)state;
    assert_non_null(page);
    if (strcmp(page, docs) != 0)
        fail_msg("docs/configuration.md is not what the table of keys says; make it again with "
                 "`shunt --reference > docs/configuration.md`");
    free(page);
    free(docs);
}

static void examples_of_the_page_are_the_files(void **state)
{
    static const char *const files[] = {"config/examples/smallest.yaml", "config/examples/orders.yaml"};
    char *page = config_reference();
    (void)state;
    assert_non_null(page);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char *text = read_file(files[i]);
        const char *start = strstr(text, "listeners:"); /* behind the file's own opening comment */
        assert_non_null(start);
        if (strstr(page, start) == NULL)
            fail_msg("%s is not what config/reference.c shows; make both the same", files[i]);
        free(text);
    }
    free(page);
}

static void faults_of_the_page_are_real(void **state)
{
    static const char text[] = "listeners:\n"
                               "  - address: 127.0.0.1:8080\n"
                               "backends:\n"
                               "  legacy: { url: \"http://127.0.0.1:3001\" }\n"
                               "  new:    { url: \"http://127.0.0.1:3002\" }\n"
                               "routes:\n"
                               "  - name: orders\n"
                               "    percent: 101\n"
                               "    stciky: [ client_ip ]\n";
    struct config_errors errors = {0};
    char *page = config_reference();
    (void)state;
    assert_non_null(page);
    assert_null(config_parse("shunt.yaml", text, strlen(text), &errors));
    assert_int_equal(errors.count, 2);
    for (size_t i = 0; i < errors.count; i++) {
        if (strstr(page, errors.lines[i]) == NULL)
            fail_msg("the page does not show this line as it is: %s", errors.lines[i]);
    }
    config_errors_free(&errors);
    free(page);
}

static void links_lead_to_headings(void **state)
{
    char *page = config_reference();
    unsigned links = 0;
    (void)state;
    assert_non_null(page);
    for (const char *at = page; (at = strstr(at, "](#")) != NULL; at++) {
        const char *name = at;
        while (name[-1] != '[' || (name[0] == ']')) /* a heading may itself end in [] */
            name--;
        char heading[128];
        int len = (int)(at - name);
        (void)snprintf(heading, sizeof(heading), "\n## %.*s\n", len, name);
        if (strstr(page, heading) == NULL)
            fail_msg("there is no heading %.*s", len, name);
        links++;
    }
    assert_true(links >= 15);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_in_docs_is_up_to_date),
        cmocka_unit_test(examples_of_the_page_are_the_files),
        cmocka_unit_test(faults_of_the_page_are_real),
        cmocka_unit_test(links_lead_to_headings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
