/*
 * What is a gRPC call, how long it may take and how it ended.
 */
#include "proxy/grpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct head head_with(struct field *field, const char *name, const char *value, enum field_id id)
{
    *field =
        (struct field){.name = {name, (uint32_t)strlen(name)}, .value = {value, (uint32_t)strlen(value)}, .id = id};
    return (struct head){.fields = field, .field_count = 1};
}

static void calls_are_known_by_their_type(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        bool call;
    } rows[] = {
        {"application/grpc", true},
        {"application/grpc+proto", true},
        {"Application/GRPC; charset=x", true},
        {"application/grpc-web", false},
        {"application/grpc-web+proto", false},
        {"application/grpcx", false},
        {"application/json", false},
        {"application/grp", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct field field;
        struct head head = head_with(&field, "content-type", rows[i].type, FIELD_CONTENT_TYPE);
        assert_int_equal(grpc_is_call(&head), rows[i].call);
    }
    struct head bare = {0};
    assert_false(grpc_is_call(&bare));
}

static void timeouts_have_eight_digits_and_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t ms;
    } rows[] = {
        {"1H", 3600000},   {"2M", 120000}, {"3S", 3000},
        {"250m", 250},     {"1500u", 2},   {"1u", 1},
        {"1n", 1},         {"0m", 0},      {"99999999H", UINT64_C(359999996400000)},
        {"100000000S", 0}, {"S", 0},       {"", 0},
        {"5", 0},          {"5s", 0},      {"-1S", 0},
        {"1 S", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct field field;
        struct head head = head_with(&field, "Grpc-Timeout", rows[i].value, FIELD_OTHER);
        assert_int_equal(grpc_timeout_ms(&head), rows[i].ms);
    }
}

static void a_status_is_in_the_trailers_or_in_the_head(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        enum grpc_status status;
    } rows[] = {
        {"grpc-status: 0\r\n", GRPC_OK},
        {"x: y\r\nGRPC-Status:14 \r\ngrpc-message: gone\r\n", GRPC_UNAVAILABLE},
        {"grpc-status: 17\r\n", GRPC_UNKNOWN},
        {"grpc-status: x\r\n", GRPC_UNKNOWN},
        {"grpc-status: \r\n", GRPC_UNKNOWN},
        {"grpc-status: 013\r\n", GRPC_UNKNOWN},
        {"grpc-status-details-bin: AA\r\n", GRPC_NONE},
        {"", GRPC_NONE},
        {"grpc-status: 4", GRPC_DEADLINE_EXCEEDED}, /* without its end */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct text lines = {rows[i].lines, (uint32_t)strlen(rows[i].lines)};
        assert_int_equal(grpc_status_of_trailers(lines), rows[i].status);
    }
    struct field field;
    struct head head = head_with(&field, "grpc-status", "8", FIELD_OTHER);
    assert_int_equal(grpc_status_of_head(&head), GRPC_RESOURCE_EXHAUSTED);
    head = head_with(&field, "grpc-message", "8", FIELD_OTHER);
    assert_int_equal(grpc_status_of_head(&head), GRPC_NONE);
}

/* doc/http-grpc-status-mapping.md */
static void statuses_of_http_stand_for_others(void **state)
{
    (void)state;
    static const unsigned rows[][2] = {{400, 13}, {401, 16}, {403, 7},  {404, 12}, {429, 14},
                                       {502, 14}, {503, 14}, {504, 14}, {200, 2},  {500, 2}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(grpc_status_of_http(rows[i][0]), rows[i][1]);
    assert_int_equal(grpc_status_of_answer(504, true), GRPC_DEADLINE_EXCEEDED);
    assert_int_equal(grpc_status_of_answer(504, false), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_status_of_answer(431, false), GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(grpc_status_of_answer(408, false), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_status_of_answer(408, true), GRPC_DEADLINE_EXCEEDED);
}

static void an_answer_is_a_head_alone(void **state)
{
    (void)state;
    struct grpc_answer answer;
    grpc_answer(&answer, GRPC_UNAVAILABLE, "the backend cannot be reached");
    assert_int_equal(answer.head.status, 200);
    assert_int_equal(answer.head.framing, FRAMING_NONE);
    assert_true(grpc_is_call(&answer.head));
    assert_int_equal(grpc_status_of_head(&answer.head), GRPC_UNAVAILABLE);
    assert_int_equal(answer.head.lines.len, strlen(answer.lines));
    assert_memory_equal(answer.fields[2].value.at, "the backend cannot be reached", answer.fields[2].value.len);
    char endless[600];
    memset(endless, 'x', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    grpc_answer(&answer, GRPC_INTERNAL, endless);
    assert_int_equal(grpc_status_of_head(&answer.head), GRPC_INTERNAL);
    assert_int_equal(answer.fields[2].value.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_known_by_their_type),
        cmocka_unit_test(timeouts_have_eight_digits_and_a_unit),
        cmocka_unit_test(a_status_is_in_the_trailers_or_in_the_head),
        cmocka_unit_test(statuses_of_http_stand_for_others),
        cmocka_unit_test(an_answer_is_a_head_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
