/*
 * The URL of state.redis: every form lands in its fields, every slip is told with its remedy and without a secret.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/redis_url.h"

/* ---- what is good ---- */

struct good {
    const char *url;
    enum config_redis_kind kind;
    bool is_tls;
    const char *hosts; /* "HOST PORT", with blanks between them */
    const char *master;
    uint32_t database;
    const char *username;
    const char *password;
};

/* clang-format off */
static const struct good good_urls[] = {
    {"redis://redis", REDIS_STANDALONE, false, "redis 6379 ", NULL, 0, NULL, NULL},
    {"redis://redis/", REDIS_STANDALONE, false, "redis 6379 ", NULL, 0, NULL, NULL},
    {"redis://redis.local:6380/15", REDIS_STANDALONE, false, "redis.local 6380 ", NULL, 15, NULL, NULL},
    {"redis://10.0.0.7:1/65535", REDIS_STANDALONE, false, "10.0.0.7 1 ", NULL, 65535, NULL, NULL},
    {"redis://[::1]", REDIS_STANDALONE, false, "::1 6379 ", NULL, 0, NULL, NULL},
    {"redis://u@[fe80::1]:7000/1", REDIS_STANDALONE, false, "fe80::1 7000 ", NULL, 1, "u", NULL},
    {"rediss://:secret@redis:6379/0", REDIS_STANDALONE, true, "redis 6379 ", NULL, 0, NULL, "secret"},
    {"rediss://us%65r:p%40ss%3A%2f%25@redis", REDIS_STANDALONE, true, "redis 6379 ", NULL, 0, "user", "p@ss:/%"},
    {"redis://u:a:b@c@redis", REDIS_STANDALONE, false, "redis 6379 ", NULL, 0, "u", "a:b@c"}, /* only the last @ counts */
    {"redis://:%F0%9f%94%91%0a@redis", REDIS_STANDALONE, false, "redis 6379 ", NULL, 0, NULL, "\xf0\x9f\x94\x91\n"},
    {"unix:///run/redis.sock", REDIS_STANDALONE, false, "/run/redis.sock 0 ", NULL, 0, NULL, NULL},
    {"unix:///run/a@b:c%3Fd?db=7", REDIS_STANDALONE, false, "/run/a@b:c?d 0 ", NULL, 7, NULL, NULL},
    {"redis+sentinel://a,b:1,[::1]:2/main", REDIS_SENTINEL, false, "a 26379 b 1 ::1 2 ", "main", 0, NULL, NULL},
    {"rediss+sentinel://u:p@a/my.main-1_/3", REDIS_SENTINEL, true, "a 26379 ", "my.main-1_", 3, "u", "p"},
    {"redis+sentinel://a/main/", REDIS_SENTINEL, false, "a 26379 ", "main", 0, NULL, NULL},
    {"redis+cluster://a,b:7001", REDIS_CLUSTER, false, "a 6379 b 7001 ", NULL, 0, NULL, NULL},
    {"rediss+cluster://:p@a/0", REDIS_CLUSTER, true, "a 6379 ", NULL, 0, NULL, "p"},
};
/* clang-format on */

static void same(const char *url, const char *what, const char *got, const char *expected)
{
    if ((got == NULL) != (expected == NULL) || (got != NULL && strcmp(got, expected) != 0))
        fail_msg("%s: %s is %s; expected %s", url, what, got != NULL ? got : "none",
                 expected != NULL ? expected : "none");
}

static void every_form_lands_in_its_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_urls) / sizeof(good_urls[0]); i++) {
        const struct good *good = &good_urls[i];
        struct config_arena *arena = config_arena_new();
        struct config_redis redis = {.timeout_ms = 77, .group = "kept"};
        struct redis_url_fault fault = {0};
        char hosts[256] = "";
        if (!redis_url_read(arena, good->url, &redis, &fault))
            fail_msg("%s: %s", good->url, fault.why);
        for (uint32_t j = 0; j < redis.host_count; j++)
            (void)snprintf(hosts + strlen(hosts), sizeof(hosts) - strlen(hosts), "%s %u ", redis.hosts[j].host,
                           (unsigned)redis.hosts[j].port);
        same(good->url, "the list of hosts", hosts, good->hosts);
        same(good->url, "the master", redis.master, good->master);
        same(good->url, "the user", redis.username, good->username);
        same(good->url, "the password", redis.password, good->password);
        assert_int_equal(redis.kind, good->kind);
        assert_int_equal(redis.is_tls, good->is_tls);
        assert_int_equal(redis.database, good->database);
        assert_int_equal(redis.timeout_ms, 77);
        assert_string_equal(redis.group, "kept");
        config_arena_free(arena);
    }
}

/* ---- what is not ---- */

#define FOUR(text) text text text text
#define HOSTS64    FOUR(FOUR(FOUR("a,")))

/* clang-format off */
static const struct bad {
    const char *url, *why, *expected; /* of `expected` a part */
} bad_urls[] = {
    {"", "the scheme is missing", "redis://[USER:PASSWORD@]HOST"},
    {"redis:6379", "the scheme is missing", "redis+cluster://"},
    {"http://redis", "the scheme is none of Redis", "rediss in place of redis for TLS"},
    {"redis-sentinel://a/m", "the scheme is none of Redis", "redis+sentinel://HOST[,HOST...]/MASTER"},
    {"redis://a b", "it holds a blank or a byte beyond ASCII", "%20"},
    {"redis://:\xc3\xa4@a", "it holds a blank or a byte beyond ASCII", "%XX"},
    {"redis://", "the host is missing", "HOST or HOST:PORT"},
    {"redis://:6379", "the host is missing", "HOST or HOST:PORT"},
    {"redis://u:p@", "the host is missing", "HOST or HOST:PORT"},
    {"redis://a:0", "port 0 cannot be connected to", "HOST:PORT"},
    {"redis://a:", "the port is no number from 0 to 65535", "HOST:PORT"},
    {"redis://a:65536", "the port is no number from 0 to 65535", "HOST:PORT"},
    {"redis://1.2.3", "the host is no IPv4 address", "HOST"},
    {"redis://a_-", "the host is neither a name nor an address", "HOST"},
    {"redis://::1", "an IPv6 address must stand between [ and ]", "[ and ]"},
    {"redis://[::1", "the ] behind the IPv6 address is missing", "[ and ]"},
    {"redis://[::x]", "between [ and ] stands no IPv6 address", "[ and ]"},
    {"redis://[::1]6379", "only :PORT may follow the ]", "HOST:PORT"},
    {"redis://@a", "there is neither user nor password before the @", "USER:PASSWORD@"},
    {"redis://u:@a", "the password behind the : is empty", "password_file"},
    {"redis://:p%@a", "a % is not followed by two hexadecimal digits", "%25"},
    {"redis://:p%4@a", "a % is not followed by two hexadecimal digits", "%25"},
    {"redis://:p%4g@a", "a % is not followed by two hexadecimal digits", "%25"},
    {"redis://%zz:p@a", "a % is not followed by two hexadecimal digits", "%25"},
    {"redis://:p%00@a", "%00 stands for a byte that no name, password or path holds", "password_file"},
    {"redis://:p/q@a", "an @ stands behind the hosts", "%2F for /"},
    {"redis://:p?q@a", "an @ stands behind the hosts", "%3F for ?"},
    {"redis://:p#q@a", "an @ stands behind the hosts", "%23 for #"},
    {"redis://a/0?timeout=1s", "a ? or # has no meaning here", "their own keys"},
    {"redis://a?db=1", "a ? or # has no meaning here", "their own keys"},
    {"redis://a/1#x", "a ? or # has no meaning here", "without it"},
    {"redis://a/x", "the database is no number from 0 to 65535", "a number such as 0"},
    {"redis://a/65536", "the database is no number from 0 to 65535", "a number such as 0"},
    {"redis://a/1/2", "the database is no number from 0 to 65535", "a number such as 0"},
    {"redis://a/-1", "the database is no number from 0 to 65535", "a number such as 0"},
    {"redis://a,b", "there are several hosts, and no way is given to choose one", "redis+sentinel://"},
    {"redis+cluster://a,,b", "the host is missing", "HOST"},
    {"redis+cluster://a,", "the host is missing", "HOST"},
    {"redis+cluster://" HOSTS64 "a", "there are more than 64 hosts", "some of them"},
    {"redis+cluster://a/1", "a cluster has no other database than 0", "ends with the hosts"},
    {"redis+sentinel://a", "the name of the master is missing", "/MASTER"},
    {"redis+sentinel://a//0", "the name of the master is missing", "/MASTER"},
    {"redis+sentinel://a/m%20n", "the name of the master holds other characters than letters, digits, \".\", \"-\" and \"_\"", "/MASTER"},
    {"redis+sentinel://a/m/x", "the database is no number from 0 to 65535", "a number such as 0"},
    {"unix://run/redis.sock", "the path of a unix socket must start with /", "unix:///PATH"},
    {"unix://u:p@/run/redis.sock", "the path of a unix socket must start with /", "have their own keys"},
    {"unix://", "the path of a unix socket must start with /", "unix:///PATH"},
    {"unix:///a?db=", "behind the path stands something else than ?db=DATABASE", "?db=DATABASE"},
    {"unix:///a?password=p", "behind the path stands something else than ?db=DATABASE", "own keys"},
    {"unix:///a#b", "behind the path stands something else than ?db=DATABASE", "unix:///PATH"},
    {"unix:///a?db=x", "the database is no number from 0 to 65535", "a number"},
    {"unix:///a%2", "a % is not followed by two hexadecimal digits", "%25"},
    {"unix:///aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "the path of a unix socket may have at most 107 bytes", "unix:///PATH"},
};
/* clang-format on */

static void every_slip_is_told_with_its_remedy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_urls) / sizeof(bad_urls[0]); i++) {
        const struct bad *bad = &bad_urls[i];
        struct config_arena *arena = config_arena_new();
        struct config_redis redis = {.host_count = 3, .database = 9, .username = "kept"};
        struct redis_url_fault fault = {0};
        if (redis_url_read(arena, bad->url, &redis, &fault))
            fail_msg("%s is taken", bad->url);
        same(bad->url, "the reason", fault.why, bad->why);
        if (fault.expected == NULL || strstr(fault.expected, bad->expected) == NULL)
            fail_msg("%s: expected is %s; expected %s in it", bad->url, fault.expected, bad->expected);
        assert_int_equal(redis.host_count, 3);
        assert_int_equal(redis.database, 9);
        assert_string_equal(redis.username, "kept");
        config_arena_free(arena);
    }
}

static void as_many_hosts_as_allowed_are_taken(void **state)
{
    struct config_arena *arena = config_arena_new();
    struct config_redis redis = {0};
    struct redis_url_fault fault = {0};
    char url[] = "redis+cluster://" HOSTS64;
    (void)state;
    url[sizeof(url) - 2] = '\0'; /* the last comma */
    assert_true(redis_url_read(arena, url, &redis, &fault));
    assert_int_equal(redis.host_count, REDIS_HOSTS_MOST);
    config_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_lands_in_its_fields),
        cmocka_unit_test(every_slip_is_told_with_its_remedy),
        cmocka_unit_test(as_many_hosts_as_allowed_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
