/*
 * What active checks have found, as workers share it.
 */
#include "proxy/health_board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct endpoint_address address_of(const char *text, uint8_t last)
{
    struct endpoint_address address = {.length = sizeof(struct sockaddr_in)};
    address.to.in.sin_family = AF_INET;
    address.to.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + last);
    strncpy(address.text, text, sizeof(address.text) - 1);
    return address;
}

static void a_mark_is_one_for_all_who_ask(void **state)
{
    (void)state;
    struct health_board *board = health_board_new();
    struct endpoint_address one = address_of("one", 1), two = address_of("two", 2);
    struct health_mark *mark = health_board_mark(board, "legacy", &one);
    assert_false(health_mark_is_down(mark));
    assert_false(health_mark_is_down(NULL));
    struct health_mark *again = health_board_mark(board, "legacy", &one);
    struct health_mark *other = health_board_mark(board, "new", &one),
                       *second = health_board_mark(board, "legacy", &two);
    assert_ptr_equal(again, mark);
    assert_ptr_not_equal(other, mark);
    assert_ptr_not_equal(second, mark);
    health_mark_set(mark, true, "status 503");
    assert_true(health_mark_is_down(again));
    assert_false(health_mark_is_down(other));
    assert_false(health_mark_is_down(second));
    health_mark_unref(mark);
    assert_true(health_mark_is_down(again)); /* somebody else holds it */
    health_mark_unref(again);
    mark = health_board_mark(board, "legacy", &one);
    assert_false(health_mark_is_down(mark)); /* nobody did: it begins anew */
    health_mark_unref(mark);
    health_mark_unref(other);
    health_mark_unref(second);
    health_mark_unref(NULL);
    health_board_free(board);
}

static void who_is_down_and_why(void **state)
{
    (void)state;
    struct health_board *board = health_board_new();
    struct endpoint_address one = address_of("10.0.0.1:80", 1), two = address_of("10.0.0.2:80", 2);
    struct health_mark *up = health_board_mark(board, "legacy", &one), *down = health_board_mark(board, "legacy", &two);
    health_mark_set(up, true, "status 500");
    health_mark_set(up, false, "status 200");
    health_mark_set(down, true, "no answer within 2000 ms");
    json_t *expected = json_pack("[{s:s, s:s}]", "address", "10.0.0.2:80", "reason", "no answer within 2000 ms");
    json_t *json = health_board_json(board, "legacy"), *others = health_board_json(board, "new");
    assert_true(json_equal(json, expected));
    assert_int_equal(json_array_size(others), 0);
    json_decref(json);
    json_decref(others);
    json_decref(expected);
    health_mark_unref(up);
    health_mark_unref(down);
    health_board_free(board);
}

struct seen {
    int backends;
    uint64_t sum[CHECK_RESULTS];
};

static void add(void *context, const char *backend, const uint64_t counts[CHECK_RESULTS])
{
    struct seen *seen = context;
    (void)backend;
    seen->backends++;
    for (int i = 0; i < CHECK_RESULTS; i++)
        seen->sum[i] += counts[i];
}

static struct seen look(struct health_board *board)
{
    struct seen seen = {0};
    health_board_each_count(board, add, &seen);
    return seen;
}

static void counts_go_on_for_backends_that_stay(void **state)
{
    (void)state;
    struct config_health health = {.kind = HEALTH_HTTP};
    struct config_backend backends[] = {
        {.name = "legacy", .health = &health}, {.name = "new", .health = &health}, {.name = "unchecked"}};
    struct config config = {.backends = backends, .backend_count = 3};
    struct health_board *board = health_board_new();
    assert_true(health_board_settle(board, &config));
    assert_int_equal(look(board).backends, 2);
    health_board_count(board, "legacy", CHECK_SUCCESS);
    health_board_count(board, "legacy", CHECK_TIMEOUT);
    health_board_count(board, "new", CHECK_FAILURE);
    health_board_count(board, "unchecked", CHECK_FAILURE);
    struct seen seen = look(board);
    assert_int_equal(seen.sum[CHECK_SUCCESS] + seen.sum[CHECK_FAILURE] + seen.sum[CHECK_TIMEOUT], 3);
    backends[1].health = NULL;
    assert_true(health_board_settle(board, &config));
    seen = look(board);
    assert_int_equal(seen.backends, 1);
    assert_int_equal(seen.sum[CHECK_SUCCESS], 1);
    assert_int_equal(seen.sum[CHECK_FAILURE], 0);
    health_board_count(board, "new", CHECK_FAILURE); /* of a check that ended late */
    assert_int_equal(look(board).sum[CHECK_FAILURE], 0);
    health_board_free(board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_is_one_for_all_who_ask),
        cmocka_unit_test(who_is_down_and_why),
        cmocka_unit_test(counts_go_on_for_backends_that_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
