/* Cookie fields: what is a pair, in which order, and what is passed over. */
#include "fixture.h"

#include "router/cookie.h"

static void pairs_come_in_order_over_all_fields(void **state)
{
    (void)state;
    struct request r;
    struct cookie cookie;
    char seen[256] = "";
    request_init(&r, "GET", "/");
    request_add(&r, "Cookie", "a=1; b=\"two\";c = 3 ;; =x; junk; d=");
    request_add(&r, "X-Other", "e=5");
    request_add(&r, "cookie", "\t f=6=7\t");
    struct cookie_walk walk = cookie_walk_over(&r.facts);
    while (cookie_next(&walk, &cookie)) {
        size_t used = strlen(seen);
        (void)snprintf(seen + used, sizeof(seen) - used, "%.*s:%.*s|", (int)cookie.name.len, cookie.name.at,
                       (int)cookie.value.len, cookie.value.at);
    }
    assert_string_equal(seen, "a:1|b:\"two\"|c : 3|d:|f:6=7|");
}

static void the_first_value_that_is_not_empty_is_found(void **state)
{
    (void)state;
    struct request r;
    struct text value;
    request_init(&r, "GET", "/");
    request_add(&r, "Cookie", "session=; xsession=0; SESSION=1; session=2");
    request_add(&r, "Cookie", "session=3");
    assert_true(cookie_find(&r.facts, text_of("session"), &value));
    assert_true(text_equals(value, "2", 1));
    assert_false(cookie_find(&r.facts, text_of("sess"), &value));
    assert_false(cookie_find(&r.facts, text_of("sessions"), &value));
    request_init(&r, "GET", "/");
    assert_false(cookie_find(&r.facts, text_of("session"), &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_come_in_order_over_all_fields),
        cmocka_unit_test(the_first_value_that_is_not_empty_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
