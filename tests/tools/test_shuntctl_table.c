/*
 * Tables and the screen: alignment, width, tones, and what may not reach a terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/table.h"

/* A screen that writes to memory. */
struct canvas {
    struct screen screen;
    char *text;
    size_t length;
};

static void canvas_open(struct canvas *canvas, unsigned width, bool color, bool terminal)
{
    *canvas = (struct canvas){.screen = {.width = width, .color = color, .terminal = terminal}};
    canvas->screen.out = open_memstream(&canvas->text, &canvas->length);
    assert_non_null(canvas->screen.out);
}

static void assert_drawn(struct canvas *canvas, const char *expected)
{
    fclose(canvas->screen.out);
    assert_string_equal(canvas->text, expected);
    free(canvas->text);
}

static const struct table_column columns[] = {{"NAME", false}, {"COUNT", true}, {"EMPTY", false}, {"NOTE", false}};

static struct table *example(void)
{
    struct table *table = table_new(columns, 4);
    assert_non_null(table);
    table_row(table);
    table_cell(table, TONE_PLAIN, "a");
    table_cell(table, TONE_PLAIN, "1,204,332");
    table_cell(table, TONE_PLAIN, "");
    table_cell(table, TONE_PLAIN, "gr\303\274n");
    table_row(table);
    table_cell(table, TONE_PLAIN, "second");
    table_cellf(table, TONE_GOOD, "%d", 7);
    return table;
}

static void columns_are_aligned_and_empty_ones_left_out(void **state)
{
    struct canvas canvas;
    struct table *table = example();
    (void)state;
    canvas_open(&canvas, 80, false, false);
    assert_true(table_print(table, &canvas.screen, 2));
    assert_drawn(&canvas, "  NAME        COUNT  NOTE\n"
                          "  a       1,204,332  gr\303\274n\n"
                          "  second          7\n");
    table_free(table);
}

static void notes_stand_below_their_row(void **state)
{
    struct canvas canvas;
    struct table *table = example();
    (void)state;
    table_note(table, TONE_PLAIN, "one two three");
    canvas_open(&canvas, 12, false, false);
    assert_true(table_print(table, &canvas.screen, 0));
    fclose(canvas.screen.out);
    assert_non_null(strstr(canvas.text, "  one two\n  three\n"));
    free(canvas.text);
    table_free(table);
}

static void more_notes_stand_below_each_other(void **state)
{
    struct canvas canvas;
    struct table *table = table_new(columns, 1);
    (void)state;
    table_row(table);
    table_cell(table, TONE_PLAIN, "a");
    table_note(table, TONE_PLAIN, "first");
    table_note(table, TONE_PLAIN, "");
    table_note(table, TONE_PLAIN, "second, of 31.0 % and more");
    canvas_open(&canvas, 18, false, false);
    assert_true(table_print(table, &canvas.screen, 0));
    assert_drawn(&canvas, "NAME\na\n  first\n  second, of\n  31.0 % and more\n");
    table_free(table);
}

static void last_column_is_cut_on_a_terminal_only(void **state)
{
    struct canvas canvas;
    struct table *table = table_new(columns, 1);
    (void)state;
    table_row(table);
    table_cell(table, TONE_PLAIN, "gr\303\274n and more than fits");
    canvas_open(&canvas, 10, false, true);
    assert_true(table_print(table, &canvas.screen, 0));
    assert_drawn(&canvas, "NAME\ngr\303\274n an...\n");
    canvas_open(&canvas, 10, false, false);
    assert_true(table_print(table, &canvas.screen, 0));
    assert_drawn(&canvas, "NAME\ngr\303\274n and more than fits\n");
    table_free(table);
}

static void tones_are_codes_where_there_is_colour(void **state)
{
    struct canvas canvas;
    (void)state;
    canvas_open(&canvas, 80, true, true);
    screen_write(&canvas.screen, TONE_GOOD, "ok\n");
    screen_write(&canvas.screen, TONE_GOOD, "");
    screen_write(&canvas.screen, TONE_PLAIN, " plain");
    assert_drawn(&canvas, "\033[32mok\033[0m\n plain");
    canvas_open(&canvas, 80, false, true);
    screen_write(&canvas.screen, TONE_BAD, "bad");
    assert_drawn(&canvas, "bad");
}

static bool draws_unicode(const char *all, const char *characters, const char *language)
{
    struct screen screen;
    setenv("LC_ALL", all, 1);
    setenv("LC_CTYPE", characters, 1);
    setenv("LANG", language, 1);
    screen_init(&screen, stdout, true);
    return screen.unicode;
}

static void pictures_are_ascii_where_the_locale_is(void **state)
{
    (void)state;
    assert_true(draws_unicode("", "", "C.UTF-8"));
    assert_true(draws_unicode("", "de_DE.utf8", "C"));
    assert_true(draws_unicode("en_US.UTF-8", "C", "C"));
    assert_false(draws_unicode("C", "de_DE.utf8", "C.UTF-8"));
    assert_false(draws_unicode("", "POSIX", "C.UTF-8"));
    assert_false(draws_unicode("", "", ""));
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
    struct canvas canvas;
    (void)state;
    canvas_open(&canvas, 80, false, true);
    screen_write(&canvas.screen, TONE_PLAIN, "a\033]0;title\007b\302\233c\177d\re\tf\303\251");
    assert_drawn(&canvas, "a?]0;title?b?c?d?e\tf\303\251");
}

static void table_without_rows_prints_nothing(void **state)
{
    struct canvas canvas;
    struct table *table = table_new(columns, 4);
    (void)state;
    table_cell(table, TONE_PLAIN, "lost: no row was begun");
    canvas_open(&canvas, 80, false, false);
    assert_true(table_print(table, &canvas.screen, 0));
    assert_drawn(&canvas, "");
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_aligned_and_empty_ones_left_out),
        cmocka_unit_test(notes_stand_below_their_row),
        cmocka_unit_test(more_notes_stand_below_each_other),
        cmocka_unit_test(last_column_is_cut_on_a_terminal_only),
        cmocka_unit_test(tones_are_codes_where_there_is_colour),
        cmocka_unit_test(pictures_are_ascii_where_the_locale_is),
        cmocka_unit_test(control_characters_do_not_reach_the_terminal),
        cmocka_unit_test(table_without_rows_prints_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
