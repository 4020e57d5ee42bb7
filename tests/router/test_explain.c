/* Explanations: one sentence for each reason, in the words of the file. */
#include "fixture.h"

#define ROUTES                                                                                                         \
    YAML_HEAD                                                                                                          \
    "  - name: orders\n"                                                                                               \
    "    match: { path: /orders/** }\n"                                                                                \
    "    sticky: [ { header: X-User-Id }, { cookie: session }, { query: user } ]\n"                                    \
    "    assign: { cookie: side, max_age: 1h }\n"                                                                      \
    "    overrides: [ { query: { preview: [\"1\"] }, backend: new } ]\n"                                               \
    "    percent: 12.34\n"                                                                                             \
    "    shadow: { percent: 100 }\n"                                                                                   \
    "    breaker: { consecutive_errors: 3, cooldown: 1s, trial_requests: 1 }\n"                                        \
    "  - { name: dice, match: { path: /dice }, sticky: [ random ], percent: 100 }\n"                                   \
    "  - { name: home, match: { path: /home }, sticky: [ client_ip ], percent: 0 }\n"

static char sentence[512];

static struct decision explain(struct fixture *f, const char *method, const char *target, const char *header,
                               const char *value)
{
    struct request r;
    struct decision d;
    request_init(&r, method, target);
    if (header != NULL)
        request_add(&r, header, value);
    router_explain(f->router, &r.facts, &d, sentence, sizeof(sentence));
    return d;
}

static void every_reason_has_its_sentence(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    (void)explain(f, "GET", "/nothing", NULL, NULL);
    assert_string_equal(sentence,
                        "no route matches, and such requests go to legacy. It goes to legacy, backend legacy.");

    struct decision d = explain(f, "GET", "/orders", "X-User-Id", "ann");
    char expected[256];
    (void)snprintf(
        expected, sizeof(expected),
        "Route orders: header x-user-id gives cohort %u; the share of 12.34 %% takes cohorts below 1234. It goes "
        "to %s, backend %s. A copy goes to %s.",
        d.cohort, side_name(d.side), side_name(d.side), side_name(side_other(d.side)));
    assert_string_equal(sentence, expected);

    (void)explain(f, "POST", "/orders?user=7", NULL, NULL);
    assert_non_null(strstr(sentence, "query parameter user gives cohort"));
    assert_non_null(strstr(sentence, "No copy is sent (method)."));
    (void)explain(f, "GET", "/orders", NULL, NULL);
    assert_non_null(strstr(sentence, "no sticky key is present, so the client address gives cohort"));
    (void)explain(f, "GET", "/dice", NULL, NULL);
    assert_non_null(strstr(sentence, "Route dice: chance gives cohort"));
    (void)explain(f, "GET", "/home", NULL, NULL);
    assert_non_null(strstr(sentence, "client address gives cohort"));
    d = explain(f, "GET", "/orders?preview=1", NULL, NULL);
    assert_int_equal(d.side, SIDE_NEW);
    assert_non_null(strstr(sentence, "override 1 (query parameter preview) matches. It goes to new, backend new."));

    char cookie[64];
    (void)snprintf(cookie, sizeof(cookie), "side=%s", router_assign_value(f->view, &d));
    d = explain(f, "GET", "/orders", "Cookie", cookie);
    assert_true(d.reason == REASON_ASSIGNED || d.cohort < 1234);
    if (d.reason == REASON_ASSIGNED)
        assert_non_null(strstr(sentence, ", but the assignment cookie keeps the client on new"));

    assert_int_equal(command(f, VERB_ROLLBACK, "home"), 0);
    (void)explain(f, "GET", "/home", NULL, NULL);
    assert_non_null(strstr(sentence, "the plan is rolled back: everything goes to legacy until a person resumes it"));
    (void)router_passthrough(f->router, PASSTHROUGH_API, true, "operator:ann", NULL, f->wall_ms);
    (void)explain(f, "GET", "/orders", NULL, NULL);
    assert_non_null(strstr(sentence, "passthrough is on: everything goes to legacy. It goes to legacy"));
    assert_non_null(strstr(sentence, "No copy is sent (passthrough)."));
    fixture_free(f);
}

static void an_open_and_a_half_open_breaker_are_explained_without_a_permit_taken(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    for (int i = 0; i < 3; i++) {
        struct request r;
        request_init(&r, "GET", "/orders?preview=1");
        struct decision d = decide_on(f, 0, &r);
        observe(f, 0, &d, OUTCOME_CONNECT_FAILED, 0, 1);
    }
    fixture_wait(f, TICK_MS);
    (void)explain(f, "GET", "/orders?preview=1", NULL, NULL);
    assert_non_null(strstr(sentence, "new would be asked, but the breaker keeps live traffic on legacy"));
    fixture_wait(f, 1000);
    for (int i = 0; i < 5; i++) {
        (void)explain(f, "GET", "/orders?preview=1", NULL, NULL);
        assert_non_null(strstr(sentence, "the breaker is half open, and this would be one of its trial requests"));
    }
    fixture_free(f);
}

static void a_room_of_any_size_is_kept(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, ROUTES);
    for (size_t room = 1; room < 200; room++) {
        struct request r;
        struct decision d;
        char *small = malloc(room); /* the sanitizer watches its end */
        assert_non_null(small);
        request_init(&r, "GET", "/orders");
        router_explain(f->router, &r.facts, &d, small, room);
        assert_true(strlen(small) < room);
        free(small);
    }
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_its_sentence),
        cmocka_unit_test(an_open_and_a_half_open_breaker_are_explained_without_a_permit_taken),
        cmocka_unit_test(a_room_of_any_size_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
