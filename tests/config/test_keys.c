/*
 * The table of keys is whole: every row says all there is to know, and nothing twice.
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
#include "config/keys.h"
#include "config/types.h"

struct walk {
    const char *headings[64];
    unsigned sections;
    unsigned keys;
};

static void check_row(const struct config_section *section, const struct config_key *key)
{
    assert_non_null(key->type);
    assert_non_null(key->type->name);
    assert_non_null(key->type->read);
    assert_non_null(key->type->write);
    if (key->help == NULL || key->help[0] == '\0')
        fail_msg("%s %s has no help", section->heading, key->name);
    if (key->help[strlen(key->help) - 1] != '.')
        fail_msg("the help of %s %s is no sentence", section->heading, key->name);
    if (key->min > key->max)
        fail_msg("%s %s has no range", section->heading, key->name);
    if (strspn(key->name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(key->name))
        fail_msg("%s %s is not in lower case", section->heading, key->name);
    for (const struct config_key *other = section->keys; other != key; other++)
        assert_string_not_equal(other->name, key->name);
    if (key->type == &type_section || key->type == &type_own_section || key->type == &type_sections)
        assert_non_null(key->section);
    if (key->type == &type_own_section)
        assert_true(key->section->size > 0);
    if (key->type == &type_sections)
        assert_true(key->section->size > 0 && key->count_at > 0);
    if (key->type == &type_choice || key->type == &type_flag || key->type == &type_words)
        assert_non_null(key->choices);
    if ((key->flags & KEY_REQUIRED) != 0)
        assert_null(key->fallback);
}

static void check_section(struct walk *walk, const struct config_section *section)
{
    assert_non_null(section->heading);
    assert_true((section->turn_off == NULL) == (section->is_off == NULL) || section->is_set != NULL);
    for (unsigned i = 0; i < walk->sections; i++)
        assert_string_not_equal(walk->headings[i], section->heading);
    assert_true(walk->sections < sizeof(walk->headings) / sizeof(walk->headings[0]));
    walk->headings[walk->sections++] = section->heading;
    for (const struct config_key *key = section->keys; key->name != NULL; key++) {
        walk->keys++;
        check_row(section, key);
        if (key->section != NULL && key->type != &type_stage_gates) /* those of the route again */
            check_section(walk, key->section);
    }
}

static void every_row_is_whole(void **state)
{
    struct walk walk = {.sections = 0};
    (void)state;
    check_section(&walk, &config_file_section);
    assert_true(walk.sections >= 20);
    assert_true(walk.keys >= 90);
}

/* A default goes through the same reader as a value of the file, so a file that says all defaults is as good as none.
 */
static void defaults_can_be_written_into_the_file(void **state)
{
    static const char text[] = "listeners: [ { address: 127.0.0.1:1 } ]\nbackends: { legacy: { url: \"http://a\" } }\n"
                               "routes: [ { name: r, new: legacy } ]\n";
    struct config_errors errors = {0};
    (void)state;
    struct config *config = config_parse("a", text, strlen(text), &errors);
    assert_non_null(config);
    char *first = config_dump(config);
    config_free(config);
    assert_non_null(first);
    config = config_parse("a", first, strlen(first), &errors);
    assert_non_null(config);
    char *second = config_dump(config);
    config_free(config);
    assert_string_equal(first, second);
    free(first);
    free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(defaults_can_be_written_into_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
