/*
 * The command line: flags in any order, values, what is refused, and the admin address and token behind them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/command.h"

static bool parse(struct options *options, char **error, const char *line)
{
    static char text[512];
    char *words[32] = {"shuntctl"}, *rest = text;
    int count = 1;
    unsetenv("SHUNT_ADMIN");
    unsetenv("SHUNT_TOKEN_FILE");
    snprintf(text, sizeof(text), "%s", line);
    for (char *word; count < 32 && (word = strsep(&rest, "|")) != NULL;)
        words[count++] = word;
    if (!options_parse(options, count, words, error))
        return false;
    const struct command *command = options->word_count > 0 ? command_find(options->words[0]) : NULL;
    return command == NULL || options_settle(options, command->groups, error);
}

static void assert_refused(const char *line, const char *part)
{
    struct options options;
    char *error = NULL;
    if (parse(&options, &error, line))
        fail_msg("accepted: %s", line);
    if (strstr(error, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, error);
    free(error);
}

static void flags_stand_anywhere(void **state)
{
    struct options options;
    char *error = NULL;
    (void)state;
    assert_true(parse(&options, &error, "--json|set-percent|--admin=[::1]:99|orders|-m|why not|12.5|--who|ada"));
    assert_int_equal(options.word_count, 3);
    assert_string_equal(options.words[0], "set-percent");
    assert_string_equal(options.words[1], "orders");
    assert_string_equal(options.words[2], "12.5");
    assert_string_equal(options.admin, "[::1]:99");
    assert_string_equal(options.reason, "why not");
    assert_string_equal(options.who, "ada");
    assert_true(options.json);
}

static void headers_are_collected(void **state)
{
    struct options options;
    char *error = NULL;
    (void)state;
    assert_true(parse(&options, &error, "explain|GET|/|-H|A: 1|-HB:2|--header|C: x: y"));
    assert_int_equal(options.header_count, 3);
    assert_string_equal(options.headers[1], "B:2");
    assert_string_equal(options.headers[2], "C: x: y");
    assert_refused("explain|GET|/|-H|no colon", "'Name: value'");
    assert_refused("explain|GET|/|-H|: x", "'Name: value'");
}

static void words_after_two_dashes_are_no_flags(void **state)
{
    struct options options;
    char *error = NULL;
    (void)state;
    assert_true(parse(&options, &error, "status|--|--json"));
    assert_false(options.json);
    assert_string_equal(options.words[1], "--json");
}

static void defaults_come_from_the_environment(void **state)
{
    struct options options;
    char *error = NULL, *words[] = {"shuntctl", "status"};
    (void)state;
    assert_true(parse(&options, &error, "status"));
    assert_string_equal(options.admin, "127.0.0.1:9901");
    assert_null(options.token_file);
    assert_int_equal(options.timeout_ms, 5000);
    setenv("SHUNT_ADMIN", "10.0.0.7:9901", 1);
    setenv("SHUNT_TOKEN_FILE", "/run/token", 1);
    assert_true(options_parse(&options, 2, words, &error));
    assert_string_equal(options.admin, "10.0.0.7:9901");
    assert_string_equal(options.token_file, "/run/token");
    setenv("SHUNT_ADMIN", "", 1);
    assert_true(options_parse(&options, 2, words, &error));
    assert_string_equal(options.admin, "127.0.0.1:9901");
}

static void a_limit_is_a_share_or_a_count(void **state)
{
    struct options options;
    char *error = NULL;
    (void)state;
    assert_true(parse(&options, &error, "verdict|r|--limit|0.01%|--wait|2h|--confidence=99.9%"));
    assert_true(options.most > 0.000099 && options.most < 0.000101);
    assert_true(options.confidence > 0.9989 && options.confidence < 0.9991);
    assert_int_equal(options.wait_ms, 2 * 3600 * 1000);
    assert_null(options_stranger(&options, GROUP_VERDICT | GROUP_WAIT));
    assert_true(parse(&options, &error, "history|--limit|7"));
    assert_int_equal(options.limit, 7);
    assert_true(options.most < 0);
    assert_null(options_stranger(&options, GROUP_LIMIT));
    assert_true(parse(&options, &error, "verdict|r|-w|1500ms"));
    assert_int_equal(options.wait_ms, 1500);
    assert_refused("verdict|r|--limit|x", "is not a percentage; expected one from 0% to 100%, such as 0.01%");
    assert_refused("verdict|r|--limit|101%", "not a percentage");
    assert_refused("verdict|r|--limit|-1%", "not a percentage");
    assert_refused("verdict|r|--wait|31d", "at most 30d");
    assert_refused("verdict|r|--wait|2 weeks", "such as 90s, 15m or 2h");
    assert_refused("verdict|r|--limit|7", "not a percentage");
    assert_refused("history|--limit|7%", "not a number");
}

static void a_wait_is_for_a_time_or_for_a_state(void **state)
{
    struct options options;
    char *error = NULL;
    (void)state;
    assert_true(parse(&options, &error, "status|r|--wait|done|--timeout|2h"));
    assert_string_equal(options.state, "done");
    assert_int_equal(options.wait_most_ms, 2 * 3600 * 1000);
    assert_int_equal(options.timeout_ms, 5000);
    assert_int_equal(options.wait_ms, 0);
    assert_null(options_stranger(&options, GROUP_STATE));
    assert_true(parse(&options, &error, "status|r|-w|25%"));
    assert_string_equal(options.state, "25%");
    assert_true(parse(&options, &error, "history|--since|7d"));
    assert_int_equal(options.since_ms, UINT64_C(7) * 86400 * 1000);
    assert_refused("history|--since|yesterday", "such as 90s, 15m or 2h");
    assert_refused("status|--timeout|soon", "not a time");
    assert_refused("history|--timeout|2h", "expected seconds");
    assert_true(parse(&options, &error, "history|--wait|done"));
    assert_string_equal(options_stranger(&options, GROUP_LIMIT | GROUP_SINCE), "wait");
}

static void too_many_options_are_refused(void **state)
{
    char *words[OPTIONS_GIVEN + 3] = {"shuntctl", "verdict"}, *error = NULL;
    struct options options;
    (void)state;
    for (size_t i = 0; i <= OPTIONS_GIVEN; i++)
        words[i + 2] = "-w1s";
    assert_true(options_parse(&options, OPTIONS_GIVEN + 2, words, &error));
    assert_false(options_parse(&options, OPTIONS_GIVEN + 3, words, &error));
    assert_string_equal(error, "--wait: too many options");
    free(error);
}

/* -f is a manifest for one command, and a form for another. */
static void a_letter_means_what_its_command_knows(void **state)
{
    char *words[OPTIONS_FILES + 3] = {"shuntctl", "inject"}, *error = NULL;
    struct options options;
    (void)state;
    assert_true(parse(&options, &error,
                      "inject|-f|a.yaml|-fb.yaml|--filename|-|--legacy|3001|-o|out.yaml|--in-place|deploy/a"));
    assert_int_equal(options.inject.file_count, 3);
    assert_string_equal(options.inject.files[1], "b.yaml");
    assert_string_equal(options.inject.files[2], "-");
    assert_string_equal(options.legacy, "3001");
    assert_string_equal(options.output, "out.yaml");
    assert_true(options.inject.in_place);
    assert_string_equal(options.words[1], "deploy/a");
    assert_null(options_stranger(&options, GROUP_INJECT));
    assert_true(parse(&options, &error, "report|-f|json"));
    assert_string_equal(options.format, "json");
    assert_int_equal(options.inject.file_count, 0);
    assert_true(parse(&options, &error, "status|-f|json"));
    assert_string_equal(options_stranger(&options, GROUP_STATE), "format");
    for (size_t i = 0; i <= OPTIONS_FILES; i++)
        words[i + 2] = "-fa";
    assert_true(options_parse(&options, OPTIONS_FILES + 3, words, &error));
    assert_false(options_settle(&options, GROUP_INJECT, &error));
    assert_string_equal(error, "-f: more than 64 files");
    free(error);
}

static void bad_values_are_refused(void **state)
{
    (void)state;
    assert_refused("status|--nonsense", "unknown option --nonsense");
    assert_refused("status|-x", "unknown option -x");
    assert_refused("status|--admin", "--admin needs HOST:PORT");
    assert_refused("status|--json=1", "--json takes no value");
    assert_refused("history|-n|0", "--limit");
    assert_refused("history|-n|-3", "--limit");
    assert_refused("history|-n|12x", "--limit");
    assert_refused("watch|-i|0", "--interval");
    assert_refused("watch|-i|soon", "--interval");
    assert_refused("a|b|c|d|e|f|g|h|i", "too many arguments");
}

static void durations_are_seconds(void **state)
{
    struct options options;
    char *error = NULL;
    (void)state;
    assert_true(parse(&options, &error, "watch|-i|0.25|--timeout|2s|-c|3"));
    assert_int_equal(options.interval_ms, 250);
    assert_int_equal(options.timeout_ms, 2000);
    assert_int_equal(options.count, 3);
}

static void strangers_are_named(void **state)
{
    struct options options;
    char *error = NULL;
    (void)state;
    assert_true(parse(&options, &error, "status|--force"));
    assert_string_equal(options_stranger(&options, GROUP_CHANGE), "force");
    assert_null(options_stranger(&options, GROUP_FORCE));
}

static void commands_are_found_or_guessed(void **state)
{
    (void)state;
    assert_non_null(command_find("set-percent"));
    assert_null(command_find("set-percen"));
    assert_string_equal(command_nearest("set-percen"), "set-percent");
    assert_string_equal(command_nearest("stauts"), "status");
    assert_null(command_nearest("frobnicate"));
    assert_null(command_nearest("a word that is longer than any command there is"));
}

/* ---- the address and the token ---- */

static void assert_address(const char *admin, const char *host, const char *port)
{
    struct client client;
    char *error = NULL;
    if (!client_init(&client, admin, 1000, &error))
        fail_msg("%s", error);
    assert_string_equal(client.host, host);
    assert_string_equal(client.port, port);
}

static void assert_no_address(const char *admin)
{
    struct client client;
    char *error = NULL;
    if (client_init(&client, admin, 1000, &error))
        fail_msg("accepted: %s", admin);
    assert_non_null(strstr(error, "expected HOST:PORT"));
    free(error);
}

static void addresses_are_read(void **state)
{
    (void)state;
    assert_address("127.0.0.1:9901", "127.0.0.1", "9901");
    assert_address("[::1]:9901", "::1", "9901");
    assert_address(":9901", "127.0.0.1", "9901");
    assert_address("http://shunt.internal:80/", "shunt.internal", "80");
    static const char *const bad[] = {
        "",         "127.0.0.1", "127.0.0.1:",       "127.0.0.1:0",        "127.0.0.1:65536",
        "::1:9901", "host:12a",  "https://host:443", "http://host:80/api", "host:123456"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_no_address(bad[i]);
    char longest[600];
    memset(longest, 'a', sizeof(longest));
    strcpy(longest + 580, ":80");
    assert_no_address(longest);
}

static void tokens_fit_in_a_header(void **state)
{
    struct client client;
    char *error = NULL;
    (void)state;
    assert_true(client_init(&client, "a:1", 1, &error));
    assert_true(client_set_token(&client, "s3cret\r\n", "test", &error));
    assert_string_equal(client.token, "s3cret");
    static const char *const bad[] = {"", "\n", "two words", "a\r\nX-Evil: 1", "gr\303\274n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(client_set_token(&client, bad[i], "test", &error));
        assert_null(strstr(error, "s3cret"));
        free(error);
    }
    assert_false(client_read_token(&client, "/nonexistent/token", &error));
    assert_non_null(strstr(error, "/nonexistent/token: No such file"));
    free(error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_stand_anywhere),
        cmocka_unit_test(headers_are_collected),
        cmocka_unit_test(words_after_two_dashes_are_no_flags),
        cmocka_unit_test(defaults_come_from_the_environment),
        cmocka_unit_test(a_limit_is_a_share_or_a_count),
        cmocka_unit_test(a_wait_is_for_a_time_or_for_a_state),
        cmocka_unit_test(too_many_options_are_refused),
        cmocka_unit_test(a_letter_means_what_its_command_knows),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(durations_are_seconds),
        cmocka_unit_test(strangers_are_named),
        cmocka_unit_test(commands_are_found_or_guessed),
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(tokens_fit_in_a_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
