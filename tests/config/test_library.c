/*
 * Libraries opened when they are needed: the table is whole or the sentence says what to install.
 */
#include "config/library.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>

#include "config/icu_library.h"

#define MATH_FUNCTIONS(X)                                                                                              \
    X(hypotenuse, hypot)                                                                                               \
    X(power, pow)

struct math_library {
    MATH_FUNCTIONS(LIBRARY_MEMBER)
};

#define ROW(member, function) LIBRARY_ROW(math_library, member, function)
static const struct library_function functions[] = {MATH_FUNCTIONS(ROW)};

static struct library of(struct math_library *table, const char *soname)
{
    return (struct library){
        .soname = soname, .package = "libmath9", .functions = functions, .count = 2, .table = table};
}

static void every_function_is_in_the_table(void **state)
{
    struct math_library math = {0};
    struct library library = of(&math, "libm.so.6");
    char why[LIBRARY_WHY_ROOM];
    (void)state;
    assert_true(library_open(&library, why));
    assert_true(math.hypotenuse(3.0, 4.0) == 5.0);
    assert_true(math.power(2.0, 10.0) == 1024.0);
    assert_true(library_open(&library, why));
}

static void one_that_is_not_there_is_named_with_its_package(void **state)
{
    struct math_library math = {0};
    struct library library = of(&math, "libnobodyhas.so.9");
    char why[LIBRARY_WHY_ROOM] = "";
    (void)state;
    assert_false(library_open(&library, why));
    assert_non_null(strstr(why, "libnobodyhas.so.9 cannot be loaded ("));
    assert_non_null(strstr(why, "; install the Debian package libmath9"));
    library.package = "";
    assert_false(library_open(&library, why));
    assert_non_null(strstr(why, "; install the package that has libnobodyhas.so.9"));
}

/* Somebody has installed it: the same library is found then. */
static void it_is_looked_for_again(void **state)
{
    struct math_library math = {0};
    struct library library = of(&math, "libnobodyhas.so.9");
    char why[LIBRARY_WHY_ROOM];
    (void)state;
    assert_false(library_open(&library, why));
    library.soname = "libm.so.6";
    assert_true(library_open(&library, why));
    assert_true(math.hypotenuse(6.0, 8.0) == 10.0);
}

static void one_without_a_function_is_refused(void **state)
{
    static const struct library_function others[] = {{"hypot", 0}, {"hypot_of_another_version", sizeof(void *)}};
    struct math_library math = {0};
    struct library library = of(&math, "libm.so.6");
    char why[LIBRARY_WHY_ROOM] = "";
    (void)state;
    library.functions = others;
    assert_false(library_open(&library, why));
    assert_non_null(strstr(why, "hypot_of_another_version"));
    assert_false(library_open(&library, why));
}

static void *open_it(void *context)
{
    char why[LIBRARY_WHY_ROOM];
    struct library *library = context;
    struct math_library *math = library->table;
    return library_open(library, why) && math->hypotenuse(3.0, 4.0) == 5.0 ? library : NULL;
}

static void two_threads_may_want_it_at_once(void **state)
{
    struct math_library math = {0};
    struct library library = of(&math, "libm.so.6");
    pthread_t threads[8];
    (void)state;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_it, &library), 0);
    for (size_t i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, &library);
    }
}

/* Its functions' names end in its version. */
static void icu_is_found_by_the_names_of_its_headers(void **state)
{
    char why[LIBRARY_WHY_ROOM] = "";
    UChar text[4];
    (void)state;
    if (!icu_library_open(why))
        fail_msg("%s", why);
    icu.from_chars("abc", text, 4);
    assert_int_equal(text[2], 'c');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_function_is_in_the_table),
        cmocka_unit_test(one_that_is_not_there_is_named_with_its_package),
        cmocka_unit_test(it_is_looked_for_again),
        cmocka_unit_test(one_without_a_function_is_refused),
        cmocka_unit_test(two_threads_may_want_it_at_once),
        cmocka_unit_test(icu_is_found_by_the_names_of_its_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
