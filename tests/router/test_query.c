/* The query as name=value pairs, decoded while it is compared. */
#include "fixture.h"

#include "router/query.h"

static void pairs_are_split_at_ampersand_and_first_equals(void **state)
{
    (void)state;
    struct text rest = text_of("a=1&&b&c=&=d&e=f=g&");
    struct query_pair pair;
    char seen[128] = "";
    while (query_next(&rest, &pair)) {
        size_t used = strlen(seen);
        (void)snprintf(seen + used, sizeof(seen) - used, "%.*s:%.*s|", (int)pair.name.len, pair.name.at,
                       (int)pair.value.len, pair.value.at);
    }
    assert_string_equal(seen, "a:1|b:|c:|:d|e:f=g|");
    rest = (struct text){NULL, 0};
    assert_false(query_next(&rest, &pair));
}

static void a_percent_without_two_digits_stands_for_itself(void **state)
{
    (void)state;
    assert_true(query_equals(text_of("%41%4a+%"), "AJ %", 4));
    assert_true(query_equals(text_of("%4"), "%4", 2));
    assert_true(query_equals(text_of("%4g"), "%4g", 3));
    assert_true(query_equals(text_of("%00"), "\0", 1));
    assert_false(query_equals(text_of("a"), "ab", 2));
    assert_false(query_equals(text_of("ab"), "a", 1));
    assert_true(query_equals((struct text){NULL, 0}, "", 0));
    assert_true(query_is_encoded(text_of("a%")));
    assert_true(query_is_encoded(text_of("+")));
    assert_false(query_is_encoded(text_of("a-b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_split_at_ampersand_and_first_equals),
        cmocka_unit_test(a_percent_without_two_digits_stands_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
