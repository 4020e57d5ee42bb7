/*
 * The names of gRPC's statuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/grpc_names.h"

static void every_status_has_its_name(void **state)
{
    (void)state;
    for (unsigned status = 0; status < GRPC_STATUSES; status++) {
        unsigned found = GRPC_STATUSES;
        char number[8];
        assert_non_null(grpc_name(status));
        assert_true(grpc_named(grpc_name(status), &found));
        assert_int_equal(found, status);
        (void)snprintf(number, sizeof(number), "%u", status);
        found = GRPC_STATUSES;
        assert_true(grpc_named(number, &found));
        assert_int_equal(found, status);
    }
    assert_null(grpc_name(GRPC_STATUSES));
}

static void numbers_are_those_of_the_protocol(void **state)
{
    (void)state;
    assert_string_equal(grpc_name(0), "OK");
    assert_string_equal(grpc_name(4), "DEADLINE_EXCEEDED");
    assert_string_equal(grpc_name(8), "RESOURCE_EXHAUSTED");
    assert_string_equal(grpc_name(12), "UNIMPLEMENTED");
    assert_string_equal(grpc_name(14), "UNAVAILABLE");
    assert_string_equal(grpc_name(16), "UNAUTHENTICATED");
}

static void names_have_no_case_and_nothing_else_is_one(void **state)
{
    static const char *const bad[] = {"",           "17",           "-1",  "1.0",
                                      "UNAVAILABL", "UNAVAILABLE ", "5xx", "99999999999999999999"};
    unsigned status = 99;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(grpc_named(bad[i], &status));
    assert_int_equal(status, 99);
    assert_true(grpc_named("data_loss", &status));
    assert_int_equal(status, 15);
    assert_true(grpc_named("Data_Loss", &status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_name),
        cmocka_unit_test(numbers_are_those_of_the_protocol),
        cmocka_unit_test(names_have_no_case_and_nothing_else_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
