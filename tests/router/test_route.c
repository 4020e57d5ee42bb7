/* Matching: host, path, method, headers and query, each by the rules written down in route.h. */
#include "fixture.h"

#include "router/route.h"

/* A route from the text of its `match:`, ready for questions. */
struct subject {
    struct config *config;
    struct route route;
};

static void subject_init(struct subject *s, const char *match)
{
    char yaml[1024];
    (void)snprintf(yaml, sizeof(yaml), "%s  - { name: r, percent: 0, match: { %s } }\n", YAML_HEAD, match);
    s->config = config_from(yaml);
    assert_true(route_init(&s->route, &s->config->routes[0]));
}

static void subject_done(struct subject *s)
{
    route_done(&s->route);
    config_free(s->config);
}

static bool matches(struct subject *s, const struct request *r)
{
    struct route_probe probe = {.facts = &r->facts};
    return route_matches(&s->route, &probe);
}

static void paths_match_by_segments(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *path;
        bool match;
    } rows[] = {
        {"/orders", "/orders", true},
        {"/orders", "/orders/", false},
        {"/orders", "/orders/1", false},
        {"/orders", "/ordersx", false},
        {"/orders", "/order", false},
        {"/orders", "/Orders", false},
        {"/orders/", "/orders/", true},
        {"/orders/", "/orders", false},
        {"/orders/**", "/orders", true},
        {"/orders/**", "/orders/", true},
        {"/orders/**", "/orders/1/2", true},
        {"/orders/**", "/ordersx", false},
        {"/orders/**", "/ordersx/1", false},
        {"/orders/*", "/orders/1", true},
        {"/orders/*", "/orders/", false},
        {"/orders/*", "/orders", false},
        {"/orders/*", "/orders/1/2", false},
        {"/orders/*/items", "/orders/1/items", true},
        {"/orders/*/items", "/orders//items", false},
        {"/orders/*/items", "/orders/1/item", false},
        {"/orders/*/items", "/orders/1/itemsx", false},
        {"/orders/*/**", "/orders/1", true},
        {"/orders/*/**", "/orders/1/2/3", true},
        {"/orders/*/**", "/orders", false},
        {"/", "/", true},
        {"/", "//", false},
        {"/", "/a", false},
        {"/**", "/", true},
        {"/**", "/a/b", true},
        {"/**", "*", false},
        /* unreserved characters count as themselves, nothing else is decoded */
        {"/orders", "/%6Frders", true},
        {"/orders", "/%6frders", true},
        {"/orders/**", "/%6frder%73/%2F", true},
        {"/a-b_c.d~e", "/%61%2Db%5fc%2Ed%7e%65", true},
        {"/a/b", "/a%2Fb", false},
        {"/a%2Fb", "/a%2fb", true},
        {"/a%2fb", "/a%2Fb", true},
        {"/%61", "/a", true},
        {"/a%2Fb/**", "/a%2Fb/c", true},
        {"/a", "/a%", false},
        {"/a%20b", "/a%20b", true},
        {"/a%20b", "/a+b", false},
        {"/*", "/%2F", true},
        {"/orders", "/orders%", false},
        {"/orders", "/orders%6", false},
        {"/orders", "/order%7", false},
        {"/orders", "/x/../orders", false}, /* dot segments are not resolved */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct subject s;
        struct request r;
        char match[128];
        (void)snprintf(match, sizeof(match), "path: \"%s\"", rows[i].pattern);
        subject_init(&s, match);
        request_init(&r, "GET", rows[i].path);
        if (matches(&s, &r) != rows[i].match)
            fail_msg("%s on %s: expected %d", rows[i].pattern, rows[i].path, rows[i].match);
        subject_done(&s);
    }
}

static void hosts_match_without_case_port_and_final_dot(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *host;
        bool match;
    } rows[] = {
        {"example.com", "example.com", true},
        {"example.com", "EXAMPLE.Com:8080", true},
        {"example.com", "example.com.", true},
        {"example.com", "example.com.:80", true},
        {"example.com", "www.example.com", false},
        {"example.com", "example.co", false},
        {"example.com", "", false},
        {"*.example.com", "www.example.com", true},
        {"*.example.com", "a.b.Example.com:1", true},
        {"*.example.com", "example.com", false},
        {"*.example.com", ".example.com", false},
        {"*.example.com", "badexample.com", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct subject s;
        struct request r;
        char match[128];
        (void)snprintf(match, sizeof(match), "host: \"%s\"", rows[i].pattern);
        subject_init(&s, match);
        request_init(&r, "GET", "/");
        r.facts.host = text_of(rows[i].host);
        if (matches(&s, &r) != rows[i].match)
            fail_msg("%s on %s: expected %d", rows[i].pattern, rows[i].host, rows[i].match);
        subject_done(&s);
    }
    struct text six = route_host_of(text_of("[2001:db8::1]:8080"));
    assert_true(text_equals(six, "[2001:db8::1]", 13));
}

static void methods_match_exactly(void **state)
{
    (void)state;
    struct subject s;
    struct request r;
    subject_init(&s, "methods: [GET, PROPFIND]");
    request_init(&r, "GET", "/");
    assert_true(matches(&s, &r));
    request_init(&r, "PROPFIND", "/");
    assert_true(matches(&s, &r));
    request_init(&r, "get", "/");
    assert_false(matches(&s, &r));
    request_init(&r, "GETX", "/");
    assert_false(matches(&s, &r));
    subject_done(&s);
}

static void headers_match_any_field_of_the_name_with_its_whole_value(void **state)
{
    (void)state;
    struct subject s;
    struct request r;
    subject_init(&s, "headers: { X-Version: [\"2\", \"3\"], X-Long-Header-Name-Indeed: \"*\" }");
    request_init(&r, "GET", "/");
    request_add(&r, "x-version", "1");
    request_add(&r, "X-VERSION", "3");
    assert_false(matches(&s, &r)); /* all must match */
    request_add(&r, "x-LONG-header-name-INDEED", "");
    assert_true(matches(&s, &r));
    r.fields[1].value = text_of("2, 3"); /* lists are not split */
    assert_false(matches(&s, &r));
    r.fields[1].value = text_of("2");
    r.fields[1].name = text_of("X-Versiom");
    assert_false(matches(&s, &r));
    subject_done(&s);
}

static void queries_match_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        bool match;
    } rows[] = {
        {"/?q=a%20b", true},   {"/?q=a+b", true},   {"/?x=1&q=a+b", true}, {"/?&&q=a%20b&", true}, {"/?%71=a+b", true},
        {"/?q=a", false},      {"/?q=a+b+", false}, {"/?Q=a+b", false},    {"/?q", false},         {"/", false},
        {"/?q=x&q=a+b", true}, {"/?q=a%2", false},  {"/?q=a%zzb", false},
    };
    struct subject s;
    subject_init(&s, "query: { q: \"a b\" }");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct request r;
        request_init(&r, "GET", rows[i].target);
        if (matches(&s, &r) != rows[i].match)
            fail_msg("%s: expected %d", rows[i].target, rows[i].match);
    }
    subject_done(&s);
}

static void the_first_route_in_the_file_wins(void **state)
{
    (void)state;
    struct fixture *f =
        fixture_new(1, YAML_HEAD "  - { name: one, match: { path: /a/*, methods: [GET] }, percent: 0 }\n"
                                 "  - { name: two, match: { path: /a/** }, percent: 0 }\n"
                                 "  - { name: any, percent: 0 }\n");
    struct request r;
    request_init(&r, "GET", "/a/1");
    assert_string_equal(decide_on(f, 0, &r).route->name, "one");
    request_init(&r, "PUT", "/a/1");
    assert_string_equal(decide_on(f, 0, &r).route->name, "two");
    request_init(&r, "OPTIONS", "*");
    assert_string_equal(decide_on(f, 0, &r).route->name, "any");
    fixture_free(f);
}

static void names_compare_without_case_at_every_length(void **state)
{
    (void)state;
    static const char lower[] = "abcdefghijklmnopqrstuvwxyz-0123456789";
    static const char mixed[] = "AbCdEfGhIjKlMnOpQrStUvWxYz-0123456789";
    for (uint32_t len = 0; len < sizeof(lower); len++) {
        assert_true(text_equals_fold((struct text){mixed, len}, lower, len));
        for (uint32_t at = 0; at < len; at++) {
            char other[sizeof(mixed)];
            memcpy(other, mixed, sizeof(mixed));
            other[at] = '_';
            assert_false(text_equals_fold((struct text){other, len}, lower, len));
        }
    }
    /* only letters fold: these pairs differ by the same bit */
    assert_false(text_equals_fold(text_of("^[@]\\^[@"), "~{`}|~{`", 8));
    assert_false(text_equals_fold(text_of("^"), "~", 1));
    assert_true(text_equals_fold(text_of("\xc4\xc4\xc4\xc4\xc4\xc4\xc4\xc4"), "\xc4\xc4\xc4\xc4\xc4\xc4\xc4\xc4", 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_match_by_segments),
        cmocka_unit_test(hosts_match_without_case_port_and_final_dot),
        cmocka_unit_test(methods_match_exactly),
        cmocka_unit_test(headers_match_any_field_of_the_name_with_its_whole_value),
        cmocka_unit_test(queries_match_decoded),
        cmocka_unit_test(the_first_route_in_the_file_wins),
        cmocka_unit_test(names_compare_without_case_at_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
