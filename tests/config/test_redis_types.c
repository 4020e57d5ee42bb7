/*
 * The keys of state.redis: they land in their fields, contradict each other in one line at its place, and --dump shows
 * no password, wherever it stood.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"

/* What state holds begins in line 3, column 10, and what redis holds in line 4, column 12. */
#define STATE(keys)                                                                                                    \
    "listeners: [ { address: 127.0.0.1:8080 } ]\nbackends: { legacy: { url: \"http://a\" } }\nstate: { " keys "\n"
#define REDIS(keys) STATE("\n  redis: { " keys " } }")
#define URL         "url: \"redis://redis\", group: orders"

static char folder[] = "/tmp/shunt-test-XXXXXX";
static char config_name[64];

static void path_of(const char *name, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", folder, name);
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(config_name, sizeof(config_name), "%s/a.yaml", folder);
    char path[128];
    path_of("password", path);
    FILE *file = fopen(path, "w");
    return file != NULL && fputs("hunter2\n", file) >= 0 && fclose(file) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    char path[128];
    (void)state;
    path_of("password", path);
    return unlink(path) == 0 ? rmdir(folder) : -1;
}

static struct config *parse(const char *text)
{
    struct config_errors errors = {0};
    struct config *config = config_parse(config_name, text, strlen(text), &errors);
    for (size_t i = 0; i < errors.count; i++)
        print_error("%s\n", errors.lines[i]);
    assert_non_null(config);
    config_errors_free(&errors);
    return config;
}

/* What --dump writes of `text`; it is read again as the same. The caller frees it. */
static char *dump_of(const char *text)
{
    struct config *config = parse(text);
    char *first = config_dump(config);
    config_free(config);
    assert_non_null(first);
    config = parse(first);
    char *second = config_dump(config);
    config_free(config);
    assert_non_null(second);
    assert_string_equal(first, second);
    free(second);
    return first;
}

static void dumps(const char *text, const char *part, const char *secret)
{
    char *dump = dump_of(text);
    if (strstr(dump, part) == NULL)
        fail_msg("%s is not in\n%s", part, dump);
    if (secret != NULL && strstr(dump, secret) != NULL)
        fail_msg("%s is shown in\n%s", secret, dump);
    free(dump);
}

static void is_refused(const char *text, unsigned line, unsigned column, const char *said)
{
    char expected[1024];
    struct config_errors errors = {0};
    struct config *config = config_parse(config_name, text, strlen(text), &errors);
    (void)snprintf(expected, sizeof(expected), "%s:%u:%u: %s", config_name, line, column, said);
    for (size_t i = 0; i < errors.count; i++) {
        if (strcmp(errors.lines[i], expected) != 0)
            print_error("got:      %s\n", errors.lines[i]);
    }
    if (config != NULL || errors.count != 1 || strcmp(errors.lines[0], expected) != 0)
        fail_msg("expected: %s", expected);
    config_errors_free(&errors);
}

/* ---- fields ---- */

/* The line of PRODUCT.md. */
static void url_and_group_are_enough(void **state)
{
    (void)state;
    struct config *config = parse(STATE("redis: { url: \"rediss://:secret@redis:6379/0\", group: orders } }"));
    const struct config_redis *redis = &config->state.redis;
    assert_null(config->state.directory);
    assert_string_equal(redis->url, "rediss://:secret@redis:6379/0");
    assert_string_equal(redis->group, "orders");
    assert_true(redis->is_tls);
    assert_int_equal(redis->host_count, 1);
    assert_string_equal(redis->hosts[0].host, "redis");
    assert_int_equal(redis->hosts[0].port, 6379);
    assert_string_equal(redis->password, "secret");
    assert_null(redis->username);
    assert_null(redis->password_file);
    assert_int_equal(redis->resp, REDIS_RESP_AUTO);
    assert_int_equal(redis->timeout_ms, 1000);
    assert_null(redis->ca);
    assert_null(redis->server_name);
    assert_false(redis->insecure_skip_verify);
    assert_non_null(redis->replica);
    config_free(config);
}

static void every_key_lands_in_its_field(void **state)
{
    (void)state;
    struct config *config =
        parse(STATE("directory: /a, redis: { url: \"rediss+sentinel://a,b/main/2\", group: G_.-1, replica: pod-1,\n"
                    "  username: shunt, password: \"p:/@%\", resp: 2, timeout: 250ms,\n"
                    "  tls: { ca: password, certificate: password, key: password, server_name: redis.local.,\n"
                    "         insecure_skip_verify: true } } }"));
    const struct config_redis *redis = &config->state.redis;
    char path[128];
    path_of("password", path);
    assert_string_equal(config->state.directory, "/a");
    assert_int_equal(redis->kind, REDIS_SENTINEL);
    assert_int_equal(redis->host_count, 2);
    assert_string_equal(redis->master, "main");
    assert_int_equal(redis->database, 2);
    assert_string_equal(redis->group, "G_.-1");
    assert_string_equal(redis->replica, "pod-1");
    assert_string_equal(redis->username, "shunt");
    assert_string_equal(redis->password, "p:/@%");
    assert_int_equal(redis->resp, REDIS_RESP_2);
    assert_int_equal(redis->timeout_ms, 250);
    assert_string_equal(redis->ca, path);
    assert_string_equal(redis->certificate, path);
    assert_string_equal(redis->key, path);
    assert_string_equal(redis->server_name, "redis.local");
    assert_true(redis->insecure_skip_verify);
    config_free(config);
}

/* The file is read by whoever connects. */
static void a_password_file_is_kept_as_a_path(void **state)
{
    (void)state;
    struct config *config = parse(REDIS(URL ", username: u, password_file: password"));
    char path[128];
    path_of("password", path);
    assert_null(config->state.redis.password);
    assert_string_equal(config->state.redis.password_file, path);
    config_free(config);
}

static void replica_is(const char *pod, const char *expected)
{
    if (pod != NULL)
        assert_int_equal(setenv("POD_NAME", pod, 1), 0);
    struct config *config = parse(REDIS(URL));
    assert_string_equal(config->state.redis.replica, expected);
    config_free(config);
    assert_int_equal(unsetenv("POD_NAME"), 0);
}

static void a_replica_is_named_after_its_pod_or_host(void **state)
{
    char host[256] = "";
    (void)state;
    assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
    for (size_t i = 0; host[i] != '\0'; i++) {
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-", host[i]) == NULL)
            host[i] = '-';
    }
    host[64] = '\0';
    assert_int_equal(unsetenv("POD_NAME"), 0);
    replica_is(NULL, host);
    replica_is("", host);
    replica_is("orders-7c9-x2", "orders-7c9-x2");
    replica_is("a b/\xc3\xa4.c", "a-b---.c");
    replica_is("-", "replica");
    replica_is("0123456789012345678901234567890123456789012345678901234567890123456789",
               "0123456789012345678901234567890123456789012345678901234567890123");
}

/* ---- faults ---- */

static void state_needs_a_place(void **state)
{
    (void)state;
    is_refused(STATE("}"), 3, 8,
               "state.directory: there is no place to keep state in; expected directory: PATH, or redis, or both");
}

static void required_keys_are_told(void **state)
{
    (void)state;
    is_refused(REDIS("url: \"redis://a\""), 4, 10, "state.redis.group: this key is missing; expected a name");
    is_refused(REDIS("group: a"), 4, 10, "state.redis.url: this key is missing; expected a URL of Redis");
}

static void values_are_refused_at_their_place(void **state)
{
    (void)state;
    is_refused(REDIS("url: \"redis://:hunter2@\", group: a"), 4, 17,
               "state.redis.url: the URL cannot be used: the host is missing; expected HOST or HOST:PORT, with an IPv6 "
               "address between [ and ]");
    is_refused(REDIS("group: \"a b\", url: \"redis://a\""), 4, 19,
               "state.redis.group: \"a b\" cannot be used here; expected a name of 1 to 64 letters, digits, \"_\", "
               "\".\" and \"-\", but not \"-\" alone");
    is_refused(REDIS("replica: \"\", " URL), 4, 21,
               "state.redis.replica: \"\" cannot be used here; expected a name of 1 to 64 letters, digits, \"_\", "
               "\".\" and \"-\", but not \"-\" alone");
    is_refused(REDIS("resp: 4, " URL), 4, 18, "state.redis.resp: 4 is none of its words; expected auto, 2 or 3");
    is_refused(
        REDIS("timeout: 99ms, " URL), 4, 21,
        "state.redis.timeout: 99ms is too small; expected a duration from 100ms to 10s, such as 1s500ms (with d, "
        "h, m, s or ms)");
    is_refused(REDIS("timeout: 11s, " URL), 4, 21,
               "state.redis.timeout: 11s is too large; expected a duration from 100ms to 10s, such as 1s500ms (with d, "
               "h, m, s or ms)");
    is_refused(REDIS("password: \"\", " URL), 4, 22,
               "state.redis.password: it is empty; expected a text that is not empty");
    is_refused(REDIS("username: \"\", password: p, " URL), 4, 22,
               "state.redis.username: it is empty; expected a text that is not empty");
    is_refused(REDIS("password_file: /nonexistent/p, " URL), 4, 27,
               "state.redis.password_file: the file \"/nonexistent/p\" cannot be read: No such file or directory; "
               "expected a file with one line");
    is_refused(REDIS("urll: a, " URL), 4, 12, "state.redis: the key \"urll\" is unknown; did you mean url?");
}

static void a_password_stands_in_one_place(void **state)
{
    (void)state;
    is_refused(REDIS("password: p, password_file: password, " URL), 4, 40,
               "state.redis.password_file: there is a password beside it; expected one of both");
    is_refused(REDIS("password: p, url: \"redis://:p@a\", group: a"), 4, 22,
               "state.redis.password: the url holds a password too; expected it in one place, best in a file");
    is_refused(REDIS("password_file: password, url: \"redis://:p@a\", group: a"), 4, 27,
               "state.redis.password_file: the url holds a password too; expected it in one place, best in a file");
    is_refused(REDIS("username: u, url: \"redis://u:p@a\", group: a"), 4, 22,
               "state.redis.username: the url holds a user name too; expected it in one place");
}

static void a_user_needs_a_password(void **state)
{
    (void)state;
    is_refused(REDIS("username: u, " URL), 4, 22,
               "state.redis.username: there is a user name and no password; expected password or password_file beside "
               "it, or no user name");
    is_refused(REDIS("url: \"redis://u@a\", group: a"), 4, 17,
               "state.redis.url: there is a user name and no password; expected password or password_file beside it, "
               "or no user name");
    config_free(parse(REDIS("url: \"redis://u@a\", group: a, password: p")));
    config_free(parse(REDIS("url: \"redis://:p@a\", group: a, username: u")));
}

static void tls_is_of_rediss(void **state)
{
    (void)state;
    is_refused(REDIS("tls: {}, " URL), 4, 17,
               "state.redis.tls: the url does not begin with rediss, so that nothing would be encrypted; expected url: "
               "\"rediss://...\", or no tls");
    is_refused(REDIS("tls: { key: password }, url: \"rediss://a\", group: a"), 4, 24,
               "state.redis.tls.key: it cannot be used without its certificate; expected certificate: FILE beside it");
    is_refused(REDIS("tls: { certificate: password }, url: \"rediss://a\", group: a"), 4, 32,
               "state.redis.tls.certificate: it cannot be used without its key; expected key: FILE beside it");
    is_refused(REDIS("tls: { ca: /nonexistent/ca }, url: \"rediss://a\", group: a"), 4, 23,
               "state.redis.tls.ca: the file \"/nonexistent/ca\" cannot be read: No such file or directory; expected a "
               "file that shunt may read");
    config_free(parse(REDIS("tls: {}, url: \"rediss+cluster://a\", group: a")));
}

/* ---- --dump ---- */

static void everything_dumps_to_itself(void **state)
{
    (void)state;
    dumps(
        STATE("directory: /a, redis: { url: \"rediss://redis:6380/1\", group: g, replica: r, username: u,\n"
              "  password_file: password, resp: 3, timeout: 2s, tls: { ca: password, certificate: password,\n"
              "  key: password, server_name: a.local } } }"),
        "state:\n  directory: /a\n  redis:\n    url: \"rediss://redis:6380/1\"\n    group: g\n    replica: r\n"
        "    username: u\n    password_file: \"password\"\n    resp: 3\n    timeout: 2s\n    tls:\n"
        "      ca: \"password\"\n      certificate: \"password\"\n      key: \"password\"\n      server_name: a.local\n"
        "      insecure_skip_verify: false\n",
        "hunter2");
    dumps(REDIS("replica: r, " URL),
          "state:\n  redis:\n    url: \"redis://redis\"\n    group: orders\n    replica: r\n    resp: auto\n"
          "    timeout: 1s\n",
          NULL);
}

static void no_password_is_dumped(void **state)
{
    (void)state;
    assert_int_equal(setenv("SHUNT_TEST_PASSWORD", "swordfish", 1), 0);
    assert_int_equal(setenv("SHUNT_TEST_HOST", "a.local", 1), 0);
    assert_int_equal(setenv("SHUNT_TEST_URL", "redis://u:swordfish@a.local/3", 1), 0);
    dumps(REDIS("url: \"rediss://u:swordfish@a/0\", group: g"), "url: \"rediss://u:***@a/0\"", "swordfish");
    dumps(REDIS("url: \"redis+sentinel://:sword%66ish@a,b/m\", group: g"), "url: \"redis+sentinel://:***@a,b/m\"",
          "sword");
    dumps(REDIS("url: \"redis://u:${SHUNT_TEST_PASSWORD}@${SHUNT_TEST_HOST}\", group: g"),
          "url: \"redis://u:${SHUNT_TEST_PASSWORD}@${SHUNT_TEST_HOST}\"", "swordfish");
    dumps(REDIS("url: \"${SHUNT_TEST_URL}\", group: g"), "url: \"${SHUNT_TEST_URL}\"", "swordfish");
    /* one in clear beside a variable */
    dumps(REDIS("url: \"redis://:swordfish@${SHUNT_TEST_HOST}\", group: g"), "url: \"redis://:***@a.local\"",
          "swordfish");
    dumps(REDIS("url: \"redis://:x${SHUNT_TEST_PASSWORD}@a\", group: g"), "url: \"redis://:***@a\"", "swordfish");
    dumps(REDIS("url: \"redis://:swordfish@${SHUNT_TEST_HOST}/0\", group: \"${SHUNT_TEST_HOST}\""), "***", "swordfish");
    dumps(REDIS("password: swordfish, " URL), "    password: \"***\"\n", "swordfish");
    dumps(REDIS("password: \"${SHUNT_TEST_PASSWORD}\", " URL), "    password: \"${SHUNT_TEST_PASSWORD}\"\n",
          "swordfish");
    dumps(REDIS("password: { file: password }, " URL), "    password: { file: \"password\" }\n", "hunter2");
    /* what the url holds is not written a second time */
    dumps(REDIS("url: \"redis://u:swordfish@a\", group: g, replica: r"),
          "    url: \"redis://u:***@a\"\n    group: g\n    replica: r\n    resp: auto\n", "swordfish");
    assert_int_equal(unsetenv("SHUNT_TEST_PASSWORD"), 0);
    assert_int_equal(unsetenv("SHUNT_TEST_HOST"), 0);
    assert_int_equal(unsetenv("SHUNT_TEST_URL"), 0);
}

/* Nor told in a fault. */
static void no_password_is_told(void **state)
{
    static const char *const slips[] = {
        REDIS("url: \"rediss://u:swordfish@\", group: g"),
        REDIS("url: \"ftp://u:swordfish@a\", group: g"),
        REDIS("url: \"redis://u:sword/fish@a\", group: g"),
        REDIS("password: swordfish, url: \"redis://:swordfish@a\", group: g"),
        REDIS("password: [ swordfish ], url: \"redis://a\", group: g"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof(slips) / sizeof(slips[0]); i++) {
        struct config_errors errors = {0};
        assert_null(config_parse(config_name, slips[i], strlen(slips[i]), &errors));
        assert_int_equal(errors.count, 1);
        assert_null(strstr(errors.lines[0], "fish"));
        config_errors_free(&errors);
    }
}

/* ---- reload ---- */

static void restart_names(const char *before, const char *after, const char *expected)
{
    char names[128];
    struct config *running = parse(before);
    struct config *next = parse(after);
    (void)config_needs_restart(running, next, names, sizeof(names));
    assert_string_equal(names, expected);
    config_free(running);
    config_free(next);
}

static void only_who_we_are_needs_a_restart(void **state)
{
    (void)state;
    restart_names(
        REDIS("replica: r, " URL),
        REDIS("replica: r, group: orders, url: \"rediss://:p@a\", timeout: 2s, resp: 2, tls: { ca: password }"), "");
    restart_names(REDIS("replica: r, " URL), REDIS("replica: s, url: \"redis://redis\", group: o"),
                  "state.redis.group, state.redis.replica");
    restart_names(STATE("directory: /a }"), STATE("directory: /a, redis: { " URL " } }"), "state.redis");
    restart_names(STATE("directory: /a }"), REDIS(URL), "state.directory, state.redis");
    restart_names(REDIS(URL), STATE("directory: /a, redis: { " URL " } }"), "state.directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_and_group_are_enough),
        cmocka_unit_test(every_key_lands_in_its_field),
        cmocka_unit_test(a_password_file_is_kept_as_a_path),
        cmocka_unit_test(a_replica_is_named_after_its_pod_or_host),
        cmocka_unit_test(state_needs_a_place),
        cmocka_unit_test(required_keys_are_told),
        cmocka_unit_test(values_are_refused_at_their_place),
        cmocka_unit_test(a_password_stands_in_one_place),
        cmocka_unit_test(a_user_needs_a_password),
        cmocka_unit_test(tls_is_of_rediss),
        cmocka_unit_test(everything_dumps_to_itself),
        cmocka_unit_test(no_password_is_dumped),
        cmocka_unit_test(no_password_is_told),
        cmocka_unit_test(only_who_we_are_needs_a_restart),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
