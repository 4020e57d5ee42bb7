/*
 * Cores: what the quota files of a control group say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/cores.h"

static void cpu_max_is_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(cores_of_cpu_max("max 100000\n"), 0);
    assert_int_equal(cores_of_cpu_max("100000 100000\n"), 1);
    assert_int_equal(cores_of_cpu_max("150000 100000\n"), 2);
    assert_int_equal(cores_of_cpu_max("10000 100000\n"), 1);
    assert_int_equal(cores_of_cpu_max("400000 100000"), 4);
    assert_int_equal(cores_of_cpu_max("0 100000"), 0);
    assert_int_equal(cores_of_cpu_max("100000 0"), 0);
    assert_int_equal(cores_of_cpu_max("100000"), 0);
    assert_int_equal(cores_of_cpu_max(""), 0);
    assert_int_equal(cores_of_cpu_max("nonsense"), 0);
}

static void cfs_files_are_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(cores_of_cfs("-1\n", "100000\n"), 0);
    assert_int_equal(cores_of_cfs("250000\n", "100000\n"), 3);
    assert_int_equal(cores_of_cfs("50000\n", "100000\n"), 1);
    assert_int_equal(cores_of_cfs("50000\n", "0\n"), 0);
    assert_int_equal(cores_of_cfs("", ""), 0);
}

static void there_is_always_one(void **state)
{
    (void)state;
    assert_int_equal(cores_count(1), 1);
    assert_in_range(cores_count(256), 1, 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cpu_max_is_rounded_up),
                                       cmocka_unit_test(cfs_files_are_rounded_up),
                                       cmocka_unit_test(there_is_always_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
