/*
 * routes[].errors: statuses, failures and gRPC statuses, each half with its default where a list says nothing of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

#define BASE                                                                                                           \
    "listeners:\n  - address: 127.0.0.1:8080\nbackends:\n"                                                             \
    "  legacy: { url: \"http://127.0.0.1:3001\" }\n  new: { url: \"http://127.0.0.1:3002\" }\n"
#define ROUTE(keys) BASE "routes:\n  - name: r\n    " keys "\n"

static struct config *parse(const char *text)
{
    struct config_errors errors = {0};
    struct config *config = config_parse("a.yaml", text, strlen(text), &errors);
    for (size_t i = 0; i < errors.count; i++)
        print_error("%s\n", errors.lines[i]);
    assert_non_null(config);
    config_errors_free(&errors);
    return config;
}

/* The dump of `text`, which was shown to be read again as the same. The caller frees it. */
static char *stable_dump(const char *text)
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

static void is_in(const char *dump, const char *part)
{
    if (strstr(dump, part) == NULL)
        fail_msg("%s is not in\n%s", part, dump);
}

static void dumps(const char *text, const char *part)
{
    char *dump = stable_dump(text);
    is_in(dump, part);
    free(dump);
}

#define GRPC_DEFAULT ", { grpc: [UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, DATA_LOSS] }"

static void errors_are_statuses_and_kinds(void **state)
{
    struct config *config = parse(ROUTE("errors: [ timeout, 429, 502-504, 3xx ]"));
    const struct config_errors_of *errors = &config->routes[0].errors;
    (void)state;
    assert_int_equal(errors->kinds, ERROR_TIMEOUT);
    for (unsigned status = 0; status < 700; status++) {
        bool is_listed = (status >= 300 && status < 400) || status == 429 || (status >= 502 && status <= 504);
        assert_int_equal(config_status_is_error(errors, status), is_listed);
    }
    config_free(config);
    dumps(ROUTE("errors: [ timeout, 429, 502-504, 3xx ]"),
          "    errors: [3xx, 429, 502-504, timeout" GRPC_DEFAULT "]\n");
    dumps(ROUTE("errors: [ 399-501, 503, 504, 599 ]"),
          "    errors: [399, 4xx, 500-501, 503-504, 599" GRPC_DEFAULT "]\n");
    dumps(ROUTE("errors: [ bad_response, connect ]"), "    errors: [connect, bad_response" GRPC_DEFAULT "]\n");
    dumps(ROUTE("percent: 1"), "    errors: [5xx, connect, timeout, reset, bad_response" GRPC_DEFAULT "]\n");
}

enum {
    GRPC_DEFAULT_BITS = 1 << 2 | 1 << 4 | 1 << 8 | 1 << 13 | 1 << 14 | 1 << 15
};

static void grpc_statuses_are_names_and_numbers(void **state)
{
    static const struct {
        const char *errors;
        uint32_t grpc;
        unsigned kinds; /* all four by default */
    } cases[] = {
        {"[ 5xx ]", GRPC_DEFAULT_BITS, 0},
        {"[ 5xx, { grpc: [UNAVAILABLE] } ]", 1 << 14, 0},
        {"[ { grpc: [unknown, Internal, 14] }, reset ]", 1 << 2 | 1 << 13 | 1 << 14, ERROR_RESET},
        {"[ { grpc: [16, 1] } ]", 1 << 16 | 1 << 1, 15},
        {"{ grpc: [CANCELLED] }", 1 << 1, 15},
        {"[ { grpc: [] }, connect ]", 0, ERROR_CONNECT},
        {"{ grpc: [] }", 0, 15},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        (void)snprintf(text, sizeof(text), ROUTE("errors: %s"), cases[i].errors);
        struct config *config = parse(text);
        assert_int_equal(config->routes[0].errors.grpc, cases[i].grpc);
        assert_int_equal(config->routes[0].errors.kinds, cases[i].kinds);
        assert_int_equal(config_status_is_error(&config->routes[0].errors, 503),
                         cases[i].kinds == 15 || strstr(cases[i].errors, "5xx") != NULL);
        config_free(config);
        free(stable_dump(text));
    }
    dumps(ROUTE("errors: [ { grpc: [14, unknown] }, 5xx ]"), "    errors: [5xx, { grpc: [UNKNOWN, UNAVAILABLE] }]\n");
    dumps(ROUTE("errors: [ { grpc: [] }, 5xx ]"), "    errors: [5xx, { grpc: [] }]\n");
}

static void a_status_nobody_knows_counts_as_unknown(void **state)
{
    struct config *config = parse(ROUTE("errors: [ 5xx, { grpc: [UNKNOWN] } ]"));
    const struct config_errors_of *errors = &config->routes[0].errors;
    (void)state;
    assert_true(config_grpc_is_error(errors, 2));
    assert_true(config_grpc_is_error(errors, 17));
    assert_true(config_grpc_is_error(errors, UINT32_MAX));
    assert_false(config_grpc_is_error(errors, 0));
    assert_false(config_grpc_is_error(errors, 16));
    config_free(config);
}

/* The only fault of these errors, which stand in line 8, column 13. */
static void is_refused(const char *errors_text, unsigned column, const char *said)
{
    char text[512];
    char line[512];
    struct config_errors errors = {0};
    (void)snprintf(text, sizeof(text), ROUTE("errors: %s"), errors_text);
    (void)snprintf(line, sizeof(line), "a.yaml:8:%u: routes[0].errors%s", column, said);
    assert_null(config_parse("a.yaml", text, strlen(text), &errors));
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.lines[0], line);
    config_errors_free(&errors);
}

static void what_is_no_status_of_grpc_is_refused(void **state)
{
    (void)state;
    is_refused(
        "[ { grpc: [OK] } ]", 24,
        "[0].grpc[0]: \"OK\" is the status of answers that are fine; expected a status by its name or its number, "
        "such as UNAVAILABLE or 14");
    is_refused("{ grpc: [2, 17] }", 25,
               ".grpc[1]: 17 is no status of gRPC; expected a status by its name or its number, such as UNAVAILABLE or "
               "14");
    is_refused("[ 5xx, { grpc: UNKNOWN } ]", 28,
               "[1].grpc: \"UNKNOWN\" is a single value; expected a list of statuses such as [UNKNOWN, UNAVAILABLE]");
    is_refused("[ { grpc: [UNKNOWN, UNKNOWN] } ]", 33, "[0].grpc[1]: \"UNKNOWN\" stands here twice; expected it once");
    is_refused("[ { grpc: [UNKNOWN] }, { grpc: [INTERNAL] } ]", 36,
               "[1]: grpc stands here twice; expected it once, with all its statuses");
    is_refused("[ { http: [5xx] } ]", 15,
               "[0]: the keys of this mapping are not grpc alone; expected { grpc: [UNKNOWN, UNAVAILABLE] }");
    is_refused("{ grpc: [UNKNOWN], http: [5xx] }", 13,
               ": the keys of this mapping are not grpc alone; expected { grpc: [UNKNOWN, UNAVAILABLE] }");
    is_refused("{}", 13, ": the keys of this mapping are not grpc alone; expected { grpc: [UNKNOWN, UNAVAILABLE] }");
}

static void too_many_errors_are_refused(void **state)
{
    static char list[4096] = "[ 300";
    char text[8192];
    struct config_errors errors = {0};
    (void)state;
    for (unsigned status = 301; status < 300 + 257; status++)
        (void)snprintf(list + strlen(list), sizeof(list) - strlen(list), ", %u", status);
    (void)snprintf(text, sizeof(text), ROUTE("errors: %s ]"), list);
    assert_null(config_parse("a.yaml", text, strlen(text), &errors));
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.lines[0], "a.yaml:8:13: routes[0].errors: the list has 257 items; expected at most 256");
    config_errors_free(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_statuses_and_kinds),
        cmocka_unit_test(grpc_statuses_are_names_and_numbers),
        cmocka_unit_test(a_status_nobody_knows_counts_as_unknown),
        cmocka_unit_test(what_is_no_status_of_grpc_is_refused),
        cmocka_unit_test(too_many_errors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
