/* Few: which verdicts rest on a part of the clients or paths. The gates' words for it are in test_gate.c. */
#include "tests/router/fixture.h"

#include "router/few.h"

enum {
    CLIENTS = 200
};

static struct evidence evidence;
static struct few_question question;

static int begin(void **state)
{
    (void)state;
    memset(&evidence, 0, sizeof(evidence));
    question =
        (struct few_question){.evidence = &evidence, .quantile = 0.95, .limit = 1.2, .confidence = 0.99, .least = 100};
    return 0;
}

static uint16_t mark_of(uint32_t one)
{
    return (uint16_t)(one * 2654435761u >> 12);
}

static void serve(enum side side, uint32_t client, uint32_t path, uint64_t us)
{
    histogram_add(&evidence.side[side].latency, us);
    crowd_add(&evidence.side[side].crowd, mark_of(client), mark_of(1000 + path), us);
}

/* `count` exchanges of all clients on one path, from us to twice that. */
static void serve_many(enum side side, uint32_t count, uint32_t path, uint64_t us)
{
    for (uint32_t i = 0; i < count; i++)
        serve(side, i % CLIENTS, path, us + i * 7919ull % us);
}

static void nobody_is_odd(void **state)
{
    (void)state;
    for (uint32_t path = 0; path < 10; path++) {
        serve_many(SIDE_LEGACY, 400, path, 10000);
        serve_many(SIDE_NEW, 400, path, 20000);
    }
    assert_int_equal(few_make_new_fail(&question), FEW_NOT);
    question.limit = 3;
    assert_int_equal(few_make_new_pass(&question), FEW_NOT);
}

/* What leads to the verdict need not be new to both sides: the path is slow on legacy, too, but much more so on new. */
static void the_others_say_what_is_true_of_them(void **state)
{
    (void)state;
    serve_many(SIDE_LEGACY, 4000, 0, 10000);
    serve_many(SIDE_LEGACY, 800, 1, 50000);
    serve_many(SIDE_NEW, 4000, 0, 10000);
    serve_many(SIDE_NEW, 800, 1, 100000);
    assert_int_equal(few_make_new_fail(&question), FEW_PATHS);
    serve_many(SIDE_NEW, 4000, 0, 30000); /* now the other path is slower as well */
    assert_int_equal(few_make_new_fail(&question), FEW_NOT);
}

/* Much that is as fast as legacy's is not odd for being much, however slow the little is that is left without it. */
static void who_is_not_slow_is_never_left_out(void **state)
{
    (void)state;
    serve_many(SIDE_LEGACY, 20000, 0, 10000);
    serve_many(SIDE_NEW, 20000, 0, 10000);
    serve_many(SIDE_LEGACY, 300, 1, 10000);
    serve_many(SIDE_NEW, 300, 1, 90000);
    assert_int_equal(few_make_new_pass(&question), FEW_NOT);
}

/* The slow path of legacy is nearly all: what is left is too little to say anything of it. */
static void too_little_is_not_asked_for_a_pass(void **state)
{
    (void)state;
    serve_many(SIDE_LEGACY, 4000, 0, 90000);
    serve_many(SIDE_NEW, 4000, 0, 50000);
    serve_many(SIDE_LEGACY, 99, 1, 1000);
    serve_many(SIDE_NEW, 99, 1, 2000);
    assert_int_equal(few_make_new_pass(&question), FEW_NOT);
    serve_many(SIDE_LEGACY, 1, 1, 1000);
    assert_int_equal(few_make_new_pass(&question), FEW_NOT);
    serve_many(SIDE_NEW, 1, 1, 2000);
    assert_int_equal(few_make_new_pass(&question), FEW_PATHS);
}

/* But to fail, it has to be said by those who are left, if there are any. */
static void too_little_does_not_fail(void **state)
{
    (void)state;
    serve_many(SIDE_LEGACY, 4000, 0, 10000);
    serve_many(SIDE_NEW, 4000, 0, 50000);
    assert_int_equal(few_make_new_fail(&question), FEW_NOT); /* no other path; all clients */
    serve_many(SIDE_NEW, 3, 1, 10000);
    assert_int_equal(few_make_new_fail(&question), FEW_PATHS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nobody_is_odd, begin),
        cmocka_unit_test_setup(the_others_say_what_is_true_of_them, begin),
        cmocka_unit_test_setup(who_is_not_slow_is_never_left_out, begin),
        cmocka_unit_test_setup(too_little_is_not_asked_for_a_pass, begin),
        cmocka_unit_test_setup(too_little_does_not_fail, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
