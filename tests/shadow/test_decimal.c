/*
 * Decimal numbers: equality and distance, exactly.
 */
#include "tests/shadow/pairs.h"

#include "shadow/decimal.h"

static struct decimal number(const char *text)
{
    struct decimal d;
    decimal_read(&d, text, strlen(text));
    return d;
}

static void check_equal(const char *a, const char *b, bool equal)
{
    struct decimal x = number(a), y = number(b);
    if (decimal_equal(&x, &y) != equal || decimal_equal(&y, &x) != equal)
        fail_msg("%s and %s: expected %s", a, b, equal ? "equal" : "different");
    if (equal && decimal_hash(&x) != decimal_hash(&y))
        fail_msg("%s and %s are equal, their hashes are not", a, b);
}

static void equality(void **state)
{
    static const char *const same[][2] = {
        {"0", "-0"},
        {"0", "0.000"},
        {"0", "0e99"},
        {"1", "1.0"},
        {"1", "10e-1"},
        {"1", "0.1e1"},
        {"100", "1e2"},
        {"100", "1E+2"},
        {"0.001", "1e-3"},
        {"12.50", "12.5"},
        {"-12.50", "-1.25e1"},
        {"0.10", "1e-1"},
        {"1000.0001", "10000001e-4"},
        {"123456789012345678901234567890", "1.2345678901234567890123456789e29"},
    };
    static const char *const different[][2] = {
        {"1", "-1"},
        {"1", "10"},
        {"1", "1.0000000000000000000000000001"},
        {"9007199254740993", "9007199254740992"},
        {"0.1", "0.01"},
        {"12", "1.2"},
        {"1e1000000000000000", "1e1000000000000001"},
        {"5", "0"},
        {"101", "11"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        check_equal(same[i][0], same[i][1], true);
    for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++)
        check_equal(different[i][0], different[i][1], false);
}

static void check_within(const char *a, const char *b, double amount, bool relative, bool within)
{
    struct decimal x = number(a), y = number(b);
    struct tolerance tolerance;
    tolerance_init(&tolerance, amount, relative);
    if (decimal_within(&x, &y, &tolerance) != within || decimal_within(&y, &x, &tolerance) != within)
        fail_msg("%s and %s within %g%s: expected %s", a, b, amount, relative ? " relative" : "",
                 within ? "yes" : "no");
}

static void absolute(void **state)
{
    (void)state;
    check_within("1.10", "1.11", 0.01, false, true);
    check_within("1.10", "1.1100000000000000000001", 0.01, false, false);
    check_within("0.1", "0.2", 0.1, false, true);
    check_within("0.3", "0.1", 0.2, false, true);
    check_within("-1", "1", 2, false, true);
    check_within("-1", "1.01", 2, false, false);
    check_within("0", "0.01", 0.01, false, true);
    check_within("9007199254740993", "9007199254740992", 1, false, true);
    check_within("9007199254740993", "9007199254740991", 1, false, false);
    check_within("1000", "999.99", 0.01, false, true);
    check_within("1000", "999.989", 0.01, false, false);
    check_within("1e400", "1e400", 0, false, true);
    check_within("1e400", "2e400", 1e300, false, false);
    check_within("1e-400", "2e-400", 0.5, false, true);
    check_within("99.5", "100.5", 1, false, true);
    check_within("5", "5.000", 0, false, true);
    check_within("5", "6", 0, false, false);
    check_within("5", "6", -3, false, false);
}

static void relative(void **state)
{
    (void)state;
    check_within("100", "95", 0.05, true, true);
    check_within("100", "94.9999", 0.05, true, false);
    check_within("-100", "-95", 0.05, true, true);
    check_within("100", "-100", 1, true, false);
    check_within("100", "-100", 2, true, true);
    check_within("0", "1", 0.5, true, false);
    check_within("0", "1", 1, true, true);
    check_within("1e300", "1.04e300", 0.05, true, true);
    check_within("123456789.123", "123456790.123", 0.00000001, true, true);
    check_within("123456789.123", "123456791.123", 0.00000001, true, false);
}

/* Against 128-bit integers on many pairs of short decimals. */
static void agrees_with_integers(void **state)
{
    uint64_t seed = 42;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        int64_t a = (int64_t)(seed >> 40) % 20000 - 10000;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        int64_t b = a + (int64_t)(seed >> 40) % 41 - 20;
        char x[32], y[32];
        snprintf(x, sizeof(x), "%s%ld.%03ld", a < 0 ? "-" : "", labs(a) / 1000, labs(a) % 1000);
        snprintf(y, sizeof(y), "%lde-3", b);
        check_equal(x, y, a == b);
        check_within(x, y, 0.01, false, labs(a - b) <= 10);
    }
}

static void long_numbers_are_bounded(void **state)
{
    enum {
        DIGITS = 5000
    };
    char *a = malloc(DIGITS + 1), *b = malloc(DIGITS + 1);
    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    memset(a, '7', DIGITS);
    memset(b, '7', DIGITS);
    a[DIGITS] = b[DIGITS] = '\0';
    check_equal(a, b, true);
    b[DIGITS - 1] = '8';
    check_equal(a, b, false);
    check_within(a, b, 0.5, true, true);
    b[0] = '1';
    check_within(a, b, 1, false, false);
    free(a);
    free(b);
}

static void how_far_apart(void **state)
{
    static const struct {
        const char *a, *b;
        double apart;
    } pairs[] = {
        {"1", "1.0", 0},
        {"0", "5", 1},
        {"100", "99", 0.01},
        {"-1", "1", 2},
        {"1e400", "2e400", 0.5},
        {"1e-400", "1e400", 1},
        {"9007199254740993", "9007199254740992", 1.1102230246251563e-16},
        {"1e9999999999999", "1", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct decimal x = number(pairs[i].a), y = number(pairs[i].b);
        double found = decimal_apart(&x, &y), other = decimal_apart(&y, &x), bound = pairs[i].apart * 1e-9;
        if (found < pairs[i].apart - bound || found > pairs[i].apart + bound || found < other || found > other)
            fail_msg("%s and %s: %g apart, expected %g", pairs[i].a, pairs[i].b, found, pairs[i].apart);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality),
        cmocka_unit_test(absolute),
        cmocka_unit_test(relative),
        cmocka_unit_test(agrees_with_integers),
        cmocka_unit_test(long_numbers_are_bounded),
        cmocka_unit_test(how_far_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
