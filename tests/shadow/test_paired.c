/*
 * Paired latency: steps, quantiles, merging, packing, and what damage does.
 */
#include "shadow/paired.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct paired *new_paired(void)
{
    struct paired *paired = calloc(1, sizeof(*paired));
    assert_non_null(paired);
    return paired;
}

static void add(struct paired *paired, uint64_t primary_us, uint64_t shadow_us)
{
    struct paired_steps steps = paired_steps_of(primary_us, shadow_us);
    paired_add(paired, &steps);
}

static void assert_close(double value, double expected, double relative)
{
    if (fabs(value - expected) > relative * fabs(expected))
        fail_msg("%g instead of %g", value, expected);
}

static void it_is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct paired) <= 8192);
}

static void one_value_is_found_again(void **state)
{
    static const struct {
        uint64_t primary, shadow;
    } cases[] = {{10000, 12000}, {12000, 10000},   {1000, 1000000},      {3000000, 1500000},
                 {1, 8},         {100000, 100001}, {70000000, 35000000}, {5000, 5000}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct paired *paired = new_paired();
        add(paired, cases[i].primary, cases[i].shadow);
        double primary = (double)cases[i].primary / 1000, shadow = (double)cases[i].shadow / 1000;
        assert_close(paired_primary_ms(paired, 0.5), primary, 0.07);
        assert_close(paired_shadow_ms(paired, 0.5), shadow, 0.07);
        assert_close(paired_difference_ms(paired, 0.5), shadow - primary, 0.13);
        assert_close(paired_ratio(paired, 0.5), shadow / primary, 0.045);
        assert_int_equal(paired->slower, cases[i].shadow > cases[i].primary);
        free(paired);
    }
}

static void nothing_has_no_quantiles(void **state)
{
    struct paired *paired = new_paired();
    (void)state;
    assert_true(paired_primary_ms(paired, 0.5) == 0 && paired_difference_ms(paired, 0.5) == 0);
    assert_true(paired_ratio(paired, 0.5) == 0);
    free(paired);
}

/* Half of the requests 10 ms slower, half 10 ms faster: side by side the two sides look the same. */
static void pairs_tell_what_sides_cannot(void **state)
{
    struct paired *paired = new_paired();
    (void)state;
    for (int i = 0; i < 1000; i++)
        add(paired, i % 2 == 0 ? 10000 : 20000, i % 2 == 0 ? 20000 : 10000);
    assert_close(paired_primary_ms(paired, 0.95), paired_shadow_ms(paired, 0.95), 1e-9);
    assert_close(paired_difference_ms(paired, 0.05), -10, 0.13);
    assert_close(paired_difference_ms(paired, 0.95), 10, 0.13);
    assert_close(paired_ratio(paired, 0.05), 0.5, 0.045);
    assert_close(paired_ratio(paired, 0.95), 2, 0.045);
    assert_int_equal(paired->slower, 500);
    free(paired);
}

static void quantiles_follow_the_values(void **state)
{
    static const double quantiles[] = {0.05, 0.5, 0.95, 0.99};
    struct paired *paired = new_paired();
    (void)state;
    for (uint64_t i = 1; i <= 10000; i++) /* differences from -49.99 to 50 ms, evenly */
        add(paired, 50000, i * 10);
    for (int i = 0; i < 4; i++) {
        double expected = quantiles[i] * 100 - 50;
        assert_true(fabs(paired_difference_ms(paired, quantiles[i]) - expected) < 0.02 + fabs(expected) * 0.02);
        assert_close(paired_ratio(paired, quantiles[i]), quantiles[i] * 2, 0.02);
        assert_close(paired_shadow_ms(paired, quantiles[i]), quantiles[i] * 100, 0.02);
    }
    free(paired);
}

static void extremes_stay_inside(void **state)
{
    struct paired *paired = new_paired();
    (void)state;
    add(paired, 0, UINT64_MAX);
    add(paired, UINT64_MAX, 0);
    add(paired, 0, 0);
    assert_int_equal(paired->count, 3);
    assert_true(paired_difference_ms(paired, 0) < -1e6 && paired_difference_ms(paired, 1) > 1e6);
    assert_true(paired_ratio(paired, 0) < 0.001 && paired_ratio(paired, 1) > 1000);
    free(paired);
}

static void merging_is_adding(void **state)
{
    struct paired *one = new_paired(), *other = new_paired(), *both = new_paired();
    (void)state;
    for (uint64_t i = 0; i < 5000; i++) {
        add(i % 3 == 0 ? one : other, i * 7 % 4000, i * 13 % 9000);
        add(both, i * 7 % 4000, i * 13 % 9000);
    }
    paired_merge(one, other);
    assert_memory_equal(one, both, sizeof(*one));
    free(one);
    free(other);
    free(both);
}

/* Beyond what 32 bits hold, counts are halved and quantiles stay. */
static void counts_do_not_overflow(void **state)
{
    struct paired *paired = new_paired(), *other = new_paired();
    (void)state;
    for (int i = 0; i < 100; i++)
        add(paired, 1000, i < 90 ? 2000 : 8000);
    *other = *paired;
    for (int i = 0; i < 40; i++) { /* doubles each time */
        paired_merge(paired, other);
        *other = *paired;
        assert_true(paired->weight <= UINT32_MAX);
    }
    assert_int_equal(paired->count, 100ull << 40);
    assert_close(paired_shadow_ms(paired, 0.5), 2, 0.07);
    assert_close(paired_ratio(paired, 0.95), 8, 0.05);
    for (int i = 0; i < 10; i++)
        add(paired, 1000, 2000);
    assert_true(paired->weight <= UINT32_MAX);
    assert_close((double)paired->slower, (double)paired->count, 1e-9);
    free(paired);
    free(other);
}

static struct paired *full(void)
{
    struct paired *paired = new_paired();
    for (uint64_t i = 0; i < 200000; i++)
        add(paired, i * i % 3000000007u, i * 977 % 4000000007u);
    return paired;
}

static void packing_loses_nothing(void **state)
{
    unsigned char packed[PAIRED_PACKED_MAX];
    struct paired *from[] = {new_paired(), full()}, *back = new_paired();
    (void)state;
    for (int i = 0; i < 2; i++) {
        size_t len = paired_pack(from[i], packed);
        assert_true(len > 0 && len <= sizeof(packed));
        memset(back, 0x5a, sizeof(*back));
        assert_true(paired_unpack(back, packed, len));
        assert_memory_equal(back, from[i], sizeof(*back));
        free(from[i]);
    }
    /* the most there can be: every step in use, every count as long as can be */
    struct paired *most = new_paired();
    for (uint32_t i = 0; i < sizeof(*most) / 4; i++)
        ((uint32_t *)most)[i] = UINT32_MAX;
    assert_true(paired_pack(most, packed) <= sizeof(packed));
    free(most);
    free(back);
}

static void damage_is_refused(void **state)
{
    unsigned char packed[PAIRED_PACKED_MAX], bad[PAIRED_PACKED_MAX];
    struct paired *paired = new_paired(), *back = new_paired(), *empty = new_paired();
    (void)state;
    for (uint64_t i = 0; i < 300; i++)
        add(paired, i * 100, i * 130);
    size_t len = paired_pack(paired, packed);
    for (size_t cut = 0; cut < len; cut++) {
        memset(back, 0x5a, sizeof(*back));
        assert_false(paired_unpack(back, packed, cut));
        assert_memory_equal(back, empty, sizeof(*back));
    }
    memcpy(bad, packed, len);
    bad[len] = 0;
    assert_false(paired_unpack(back, bad, len + 1)); /* something follows */
    bad[0] = 2;
    assert_false(paired_unpack(back, bad, len)); /* another version */
    for (size_t i = 0; i < len * 8; i++) {       /* any one bit: refused, or at least sane */
        memcpy(bad, packed, len);
        bad[i / 8] ^= (unsigned char)(1u << (i % 8));
        if (paired_unpack(back, bad, len))
            assert_true(back->weight <= back->count && back->slower <= back->count);
    }
    memset(bad, 0xff, sizeof(bad));
    assert_false(paired_unpack(back, bad, sizeof(bad)));
    free(paired);
    free(back);
    free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_small),
        cmocka_unit_test(one_value_is_found_again),
        cmocka_unit_test(nothing_has_no_quantiles),
        cmocka_unit_test(pairs_tell_what_sides_cannot),
        cmocka_unit_test(quantiles_follow_the_values),
        cmocka_unit_test(extremes_stay_inside),
        cmocka_unit_test(merging_is_adding),
        cmocka_unit_test(counts_do_not_overflow),
        cmocka_unit_test(packing_loses_nothing),
        cmocka_unit_test(damage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
