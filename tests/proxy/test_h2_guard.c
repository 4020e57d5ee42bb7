/*
 * Bounds on frames in bulk: so many within a second, more with work, and what has no bound here.
 */
#include "proxy/h2_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
    FAR = 100000
};

/* How many are allowed at that time. */
static uint32_t allowed(struct h2_guard *guard, enum h2_abuse what, uint64_t now_ms)
{
    for (uint32_t i = 0; i < FAR; i++)
        if (!h2_guard_allows(guard, what, now_ms))
            return i;
    return FAR;
}

static void each_kind_has_a_bound_of_its_own(void **state)
{
    (void)state;
    struct h2_guard guard = {0};
    for (enum h2_abuse what = 0; what < H2_ABUSE_KINDS; what++) {
        bool elsewhere = what == H2_ABUSE_CONTINUATION || what == H2_ABUSE_HEADER_LIST || what == H2_ABUSE_STALLED;
        uint32_t count = allowed(&guard, what, 5000);
        assert_true(elsewhere ? count == FAR : count >= 100 && count <= 2000);
    }
}

static void a_second_later_it_begins_anew(void **state)
{
    (void)state;
    struct h2_guard guard = {0};
    uint32_t first = allowed(&guard, H2_ABUSE_PING, 5000);
    assert_int_equal(allowed(&guard, H2_ABUSE_PING, 5999), 0);
    assert_int_equal(allowed(&guard, H2_ABUSE_PING, 6000), first);
}

static void work_allows_more_of_what_comes_with_it(void **state)
{
    (void)state;
    struct h2_guard idle = {0}, busy = {0};
    (void)h2_guard_allows(&busy, H2_ABUSE_PING, 5000); /* its second has begun */
    for (int i = 0; i < 3000; i++)
        h2_guard_work(&busy);
    assert_true(allowed(&busy, H2_ABUSE_PING, 5000) >= allowed(&idle, H2_ABUSE_PING, 5000) + 2999);
    assert_true(allowed(&busy, H2_ABUSE_WINDOW_UPDATES, 5000) >= 2 * 3000);
    assert_int_equal(allowed(&busy, H2_ABUSE_RESETS, 5000), allowed(&idle, H2_ABUSE_RESETS, 5000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_a_bound_of_its_own),
        cmocka_unit_test(a_second_later_it_begins_anew),
        cmocka_unit_test(work_allows_more_of_what_comes_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
