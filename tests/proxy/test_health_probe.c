/*
 * Active checks as bytes: what is asked, and what answers mean.
 */
#include "proxy/health_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text) text, sizeof(text) - 1

enum {
    ROOM = 160
};

static const struct text no_trailers = {NULL, 0};

static struct config_backend backend_of(const struct config_health *health)
{
    return (struct config_backend){.address = {.host = "shop", .port = 3002}, .health = health};
}

/* Both in memory of exactly the size that the bound promises, so that a sanitizer sees what is too much. */
static void assert_asks(const struct config_health *health, const char *head, const char *body, size_t body_len)
{
    struct config_backend backend = backend_of(health);
    char *room = malloc(health_probe_bound(&backend));
    assert_non_null(room);
    size_t len = health_probe_head(room, &backend);
    assert_int_equal(len, strlen(head));
    assert_memory_equal(room, head, len);
    free(room);
    room = malloc(health_probe_bound(&backend));
    assert_non_null(room);
    assert_int_equal(health_probe_body(room, health), body_len);
    assert_memory_equal(room, body, body_len);
    free(room);
}

static void http_is_asked_with_get(void **state)
{
    (void)state;
    struct config_health health = {.kind = HEALTH_HTTP, .path = "/healthz?deep=1"};
    assert_asks(&health,
                "GET /healthz?deep=1 HTTP/1.1\r\nHost: shop:3002\r\nUser-Agent: shunt-health\r\nAccept: */*\r\n"
                "Connection: close\r\n\r\n",
                "", 0);
    health.host = "health.test";
    assert_asks(&health,
                "GET /healthz?deep=1 HTTP/1.1\r\nHost: health.test\r\nUser-Agent: shunt-health\r\nAccept: */*\r\n"
                "Connection: close\r\n\r\n",
                "", 0);
}

static void grpc_is_asked_with_a_message(void **state)
{
    (void)state;
    struct config_health health = {.kind = HEALTH_GRPC, .service = "", .timeout_ms = 3600000};
    assert_asks(&health,
                "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: shop:3002\r\nUser-Agent: shunt-health\r\n"
                "Content-Type: application/grpc\r\nTE: trailers\r\ngrpc-timeout: 3600000m\r\nContent-Length: 5\r\n\r\n",
                BYTES("\0\0\0\0\0"));
    health.service = "a.B";
    health.timeout_ms = 1;
    assert_asks(&health,
                "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: shop:3002\r\nUser-Agent: shunt-health\r\n"
                "Content-Type: application/grpc\r\nTE: trailers\r\ngrpc-timeout: 1m\r\nContent-Length: 10\r\n\r\n",
                BYTES("\0\0\0\0\x05\x0a\x03"
                      "a.B"));
}

static void a_long_service_has_a_longer_length(void **state)
{
    (void)state;
    char service[301], body[5 + 1 + 2 + 300] = "\0\0\0\x01\x2f\x0a\xac\x02"; /* 303 bytes of message, 300 of name */
    memset(service, 's', 300);
    service[300] = '\0';
    memset(body + 8, 's', 300);
    const struct config_health health = {.kind = HEALTH_GRPC, .service = service, .timeout_ms = 500};
    assert_asks(&health,
                "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: shop:3002\r\nUser-Agent: shunt-health\r\n"
                "Content-Type: application/grpc\r\nTE: trailers\r\ngrpc-timeout: 500m\r\nContent-Length: 308\r\n\r\n",
                body, sizeof(body));
}

/* ---- HTTP ---- */

static bool judge_status(unsigned status, char *reason)
{
    struct health_answer answer = {.kind = HEALTH_HTTP};
    const struct head head = {.status = (uint16_t)status};
    assert_true(health_answer_head(&answer, &head));
    return health_answer_judge(&answer, no_trailers, reason, ROOM);
}

static void two_and_three_hundreds_are_healthy(void **state)
{
    (void)state;
    char reason[ROOM];
    for (unsigned status = 200; status < 600; status++) {
        char expected[ROOM];
        assert_int_equal(judge_status(status, reason), status < 400);
        snprintf(expected, sizeof(expected), "status %u", status);
        assert_string_equal(reason, expected);
    }
}

static void interim_heads_are_passed_over_but_not_for_ever(void **state)
{
    (void)state;
    struct health_answer answer = {.kind = HEALTH_HTTP};
    const struct head interim = {.status = 103}, upgrade = {.status = 101};
    for (int i = 0; i < PROBE_INTERIMS; i++)
        assert_true(health_answer_head(&answer, &interim));
    assert_int_equal(answer.status, 0);
    assert_false(health_answer_head(&answer, &interim));
    answer = (struct health_answer){.kind = HEALTH_HTTP};
    assert_false(health_answer_head(&answer, &upgrade));
}

static void of_a_long_body_enough_is_enough(void **state)
{
    (void)state;
    char piece[4096] = {0};
    struct health_answer answer = {.kind = HEALTH_HTTP};
    for (int i = 0; i < PROBE_BODY_MOST / (int)sizeof(piece); i++)
        assert_true(health_answer_body(&answer, piece, sizeof(piece)));
    assert_false(health_answer_body(&answer, piece, 1));
}

/* ---- gRPC ---- */

/* One answer: content type (NULL: none), message, trailers. The body comes byte by byte or at once. */
static bool judge_grpc(unsigned status, const char *type, const char *message, size_t len, const char *trailers,
                       char *reason)
{
    bool verdict[2];
    for (int by_byte = 0; by_byte < 2; by_byte++) {
        struct health_answer answer = {.kind = HEALTH_GRPC};
        const struct field field = {.name = {BYTES("content-type")},
                                    .value = {type, type != NULL ? (uint32_t)strlen(type) : 0},
                                    .id = FIELD_CONTENT_TYPE};
        const struct head head = {.status = (uint16_t)status, .fields = &field, .field_count = type != NULL ? 1 : 0};
        assert_true(health_answer_head(&answer, &head));
        size_t step = by_byte != 0 || len == 0 ? 1 : len;
        for (size_t i = 0; i < len; i += step)
            (void)health_answer_body(&answer, message + i, step);
        const struct text lines = {trailers, (uint32_t)strlen(trailers)};
        verdict[by_byte] = health_answer_judge(&answer, lines, reason, ROOM);
    }
    assert_int_equal(verdict[0], verdict[1]);
    return verdict[0];
}

static void serving_is_healthy(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        size_t len;
        const char *reason;
    } rows[] = {
        {BYTES("\0\0\0\0\2\x08\1"), "SERVING"},
        {BYTES("\0\0\0\0\5\x12\1x\x08\1"), "SERVING"}, /* with a field we do not know */
        {BYTES("\0\0\0\0\4\x08\2\x08\1"), "SERVING"},  /* the last one counts */
        {BYTES("\0\0\0\0\0"), "UNKNOWN"},              /* a default is not written */
        {BYTES("\0\0\0\0\2\x08\0"), "UNKNOWN"},
        {BYTES("\0\0\0\0\2\x08\2"), "NOT_SERVING"},
        {BYTES("\0\0\0\0\2\x08\3"), "SERVICE_UNKNOWN"},
        {BYTES("\0\0\0\0\3\x08\xac\2"), "serving status 300"},
        {BYTES("\0\0\0\0\2\x10\1"), "UNKNOWN"},   /* field 2 is none of ours */
        {BYTES("\0\0\0\0\3\x0a\1\1"), "UNKNOWN"}, /* field 1, but not a number */
        {BYTES(""), "its answer is not a HealthCheckResponse"},
        {BYTES("\0\0\0\0"), "its answer is not a HealthCheckResponse"},
        {BYTES("\1\0\0\0\2\x08\1"), "its answer is not a HealthCheckResponse"}, /* compressed: nobody said we could */
        {BYTES("\0\0\0\0\2\x08"), "its answer is not a HealthCheckResponse"},
        {BYTES("\0\0\0\0\2\x08\1\0"), "its answer is not a HealthCheckResponse"},
        {BYTES("\0\xff\xff\xff\xff\x08\1"), "its answer is not a HealthCheckResponse"},
        {BYTES("\0\0\0\0\2\x08\x81"), "its answer is not a HealthCheckResponse"}, /* a number that does not end */
    };
    char reason[ROOM];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool healthy =
            judge_grpc(200, "application/grpc+proto", rows[i].message, rows[i].len, "grpc-status: 0\r\n", reason);
        assert_string_equal(reason, rows[i].reason);
        assert_int_equal(healthy, strcmp(rows[i].reason, "SERVING") == 0);
    }
}

static void only_a_call_that_ended_well_says_anything(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *type, *trailers, *reason;
    } rows[] = {
        {200, "application/grpc", "grpc-status: 12\r\n",
         "grpc-status 12 (UNIMPLEMENTED): it does not offer grpc.health.v1"},
        {200, "application/grpc", "x: y\r\nGrpc-Status: 14\r\n", "grpc-status 14 (UNAVAILABLE)"},
        {200, "application/grpc", "", "it did not say how the call ended (grpc-status)"},
        {200, "text/html", "grpc-status: 0\r\n", "status 200, not gRPC"},
        {200, "application/grpc-web", "grpc-status: 0\r\n", "status 200, not gRPC"},
        {404, NULL, "", "status 404, not gRPC"},
        {503, "application/grpc", "grpc-status: 0\r\n", "status 503"},
    };
    char reason[ROOM];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_false(judge_grpc(rows[i].status, rows[i].type, BYTES("\0\0\0\0\2\x08\1"), rows[i].trailers, reason));
        assert_string_equal(reason, rows[i].reason);
    }
}

static void a_call_may_end_with_its_head(void **state)
{
    (void)state;
    const struct field fields[] = {
        {.name = {BYTES("content-type")}, .value = {BYTES("application/grpc")}, .id = FIELD_CONTENT_TYPE},
        {.name = {BYTES("grpc-status")}, .value = {BYTES("5")}, .id = FIELD_OTHER},
    };
    const struct head head = {.status = 200, .fields = fields, .field_count = 2};
    struct health_answer answer = {.kind = HEALTH_GRPC};
    char reason[ROOM];
    assert_true(health_answer_head(&answer, &head));
    assert_false(health_answer_judge(&answer, no_trailers, reason, sizeof(reason)));
    assert_string_equal(reason, "grpc-status 5 (NOT_FOUND)");
}

static void an_endless_message_is_none(void **state)
{
    (void)state;
    char piece[1000] = {0};
    struct health_answer answer = {.kind = HEALTH_GRPC, .status = 200, .is_grpc = true, .grpc = GRPC_OK};
    char reason[ROOM];
    assert_false(health_answer_body(&answer, piece, sizeof(piece)));
    assert_false(health_answer_judge(&answer, no_trailers, reason, sizeof(reason)));
    assert_string_equal(reason, "its answer is not a HealthCheckResponse");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_is_asked_with_get),
        cmocka_unit_test(grpc_is_asked_with_a_message),
        cmocka_unit_test(a_long_service_has_a_longer_length),
        cmocka_unit_test(two_and_three_hundreds_are_healthy),
        cmocka_unit_test(interim_heads_are_passed_over_but_not_for_ever),
        cmocka_unit_test(of_a_long_body_enough_is_enough),
        cmocka_unit_test(serving_is_healthy),
        cmocka_unit_test(only_a_call_that_ended_well_says_anything),
        cmocka_unit_test(a_call_may_end_with_its_head),
        cmocka_unit_test(an_endless_message_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
