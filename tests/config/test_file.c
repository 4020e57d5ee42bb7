/*
 * Files: read whole or refused in words, and never waited for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/file.h"

static char folder[] = "/tmp/shunt-test-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/a", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void write_text(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void content_is_read_up_to_the_room(void **state)
{
    char out[8];
    const char *why = NULL;
    (void)state;
    write_text("12345");
    assert_int_equal(file_read(path, out, sizeof(out), &why), 5);
    assert_memory_equal(out, "12345", 5);
    assert_int_equal(file_read_regular(path, out, 3, &why), 3);
    assert_true(file_is_readable(path, &why));
    assert_null(why);
    assert_int_equal(unlink(path), 0);
}

static void a_file_that_is_not_there_is_refused(void **state)
{
    char out[8];
    (void)state;
    for (int way = 0; way < 3; way++) {
        const char *why = NULL;
        bool good = way == 0   ? file_read(path, out, sizeof(out), &why) >= 0
                    : way == 1 ? file_read_regular(path, out, sizeof(out), &why) >= 0
                               : file_is_readable(path, &why);
        assert_false(good);
        assert_string_equal(why, "No such file or directory");
    }
}

static void folders_and_pipes_are_refused_without_waiting(void **state)
{
    char out[8];
    const char *why = NULL;
    (void)state;
    assert_false(file_is_readable(folder, &why));
    assert_string_equal(why, "it is no regular file");
    assert_int_equal(file_read(folder, out, sizeof(out), &why), -1);
    assert_string_equal(why, "Is a directory");
    assert_int_equal(mkfifo(path, 0600), 0);
    why = NULL;
    assert_int_equal(file_read_regular(path, out, sizeof(out), &why), -1);
    assert_string_equal(why, "it is no regular file");
    assert_false(file_is_readable(path, &why));
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_is_read_up_to_the_room),
        cmocka_unit_test(a_file_that_is_not_there_is_refused),
        cmocka_unit_test(folders_and_pipes_are_refused_without_waiting),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
