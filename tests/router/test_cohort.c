/* Cohort numbers: the promise that they never change, and what counts as a key. */
#include "fixture.h"

#include "router/cohort.h"

/* Made with the xxHash library, outside of this program. If one of these fails, every user of every route moves. */
static void the_numbers_never_change(void **state)
{
    (void)state;
    char long_key[300];
    memset(long_key, 'x', sizeof(long_key));
    static const uint8_t address6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    const struct {
        const char *route;
        const void *key;
        size_t len;
        uint32_t cohort;
    } golden[] = {
        {"orders-read", "a", 1, 2006},
        {"orders-read", "user-1", 6, 8054},
        {"orders-read", "user-2", 6, 1200},
        {"everything-else", "user-1", 6, 3924},
        {"orders-read", "6f1c9d4e-2b7a-4c55-9e0d-0a1b2c3d4e5f", 36, 6336},
        {"orders-read", long_key, sizeof(long_key), 2049},
        {"orders-read", "\xc0\x00\x02\x01", 4, 5553},
        {"orders-read", address6, 16, 4919},
        {"orders-read", "Zo\xc3\xab M\xc3\xbcller", 12, 5895},
    };
    for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++)
        assert_int_equal(cohort_of(cohort_seed(golden[i].route, ""), golden[i].key, golden[i].len), golden[i].cohort);
    assert_true(cohort_seed("orders-read", "") == 0xaae0c0b6132e4205u);
    assert_true(cohort_seed("orders-read", "/shadow") == 0x2cda98bf27dac6d4u);
    assert_true(cohort_seed("orders-read", "/noise") == 0x44494c06aed4263bu);
}

static void every_number_is_reached_and_none_beyond(void **state)
{
    (void)state;
    uint64_t seed = cohort_seed("r", "");
    static uint32_t seen[SHARE_ALL];
    memset(seen, 0, sizeof(seen));
    for (uint32_t i = 0; i < 200000; i++) {
        uint32_t cohort = cohort_of(seed, &i, sizeof(i));
        assert_true(cohort < SHARE_ALL);
        seen[cohort]++;
    }
    double chi_square = 0; /* 9,999 degrees of freedom: mean 9,999, sigma 141 */
    for (int i = 0; i < SHARE_ALL; i++)
        chi_square += (seen[i] - 20.0) * (seen[i] - 20.0) / 20.0;
    assert_true(chi_square > 9999 - 5 * 141 && chi_square < 9999 + 5 * 141);
}

static uint32_t cohort_for(const struct config_sticky *sticky, uint32_t count, struct request *r, int32_t *used)
{
    return cohort_of_request(cohort_seed("orders-read", ""), sticky, count, &r->facts, used);
}

static const struct config_sticky by_query = {STICKY_QUERY, "user", 4};
static const struct config_sticky by_address = {STICKY_CLIENT_IP, NULL, 0};
static const struct config_sticky by_chance = {STICKY_RANDOM, NULL, 0};

static void a_query_key_counts_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        int32_t used;
        uint32_t cohort;
    } rows[] = {
        {"/?user=user-1", 0, 8054},
        {"/?user=user%2D1", 0, 8054},
        {"/?a=b&%75ser=user-1&user=user-2", 0, 8054},
        {"/?user=&user=user-2", 0, 1200},
        {"/?user=Zo%C3%AB+M%c3%bcller", 0, 5895},
        {"/?user", -1, 5553},
        {"/?users=user-1", -1, 5553},
        {"/", -1, 5553},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct request r;
        int32_t used;
        request_init(&r, "GET", rows[i].target);
        assert_int_equal(cohort_for(&by_query, 1, &r, &used), rows[i].cohort);
        assert_int_equal(used, rows[i].used);
    }
}

static void a_long_encoded_key_counts_as_its_plain_one(void **state)
{
    (void)state;
    char target[1000] = "/?user=%78"; /* "x", then 299 more */
    memset(target + strlen(target), 'x', 299);
    struct request r;
    int32_t used;
    request_init(&r, "GET", target);
    assert_int_equal(cohort_for(&by_query, 1, &r, &used), 2049);
}

static void a_mapped_address_is_its_ipv4_one(void **state)
{
    (void)state;
    struct request r;
    int32_t used;
    request_init(&r, "GET", "/");
    assert_int_equal(cohort_for(&by_address, 1, &r, &used), 5553);
    r.facts.client = (struct client_address){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}, 16};
    assert_int_equal(cohort_for(&by_address, 1, &r, &used), 5553);
    assert_int_equal(used, 0);
    r.facts.client = (struct client_address){{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 16};
    assert_int_equal(cohort_for(&by_address, 1, &r, &used), 4919);
}

static void chance_is_even_and_serves_clients_without_an_address(void **state)
{
    (void)state;
    const struct config_sticky *keys[] = {&by_chance, &by_address};
    for (int k = 0; k < 2; k++) {
        uint64_t random = 42;
        uint32_t below_half = 0;
        for (int i = 0; i < 20000; i++) {
            struct request r;
            int32_t used;
            request_init(&r, "GET", "/");
            r.facts.client.length = 0;
            r.facts.random = next_random(&random);
            below_half += cohort_for(keys[k], 1, &r, &used) < SHARE_ALL / 2;
            assert_int_equal(used, k == 0 ? 0 : -1);
        }
        assert_in_range(below_half, 10000 - 212, 10000 + 212); /* 3 sigma */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_never_change),
        cmocka_unit_test(every_number_is_reached_and_none_beyond),
        cmocka_unit_test(a_query_key_counts_decoded),
        cmocka_unit_test(a_long_encoded_key_counts_as_its_plain_one),
        cmocka_unit_test(a_mapped_address_is_its_ipv4_one),
        cmocka_unit_test(chance_is_even_and_serves_clients_without_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
