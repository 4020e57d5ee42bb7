/*
 * Endpoints: what becomes a part of a template, what stays, what never stands in a name.
 */
#include "shadow/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/pattern.h"

static const char *name_of(const struct config_shadow *shadow, const char *method, const char *target)
{
    static char name[ENDPOINT_ROOM];
    memset(name, 'x', sizeof(name));
    endpoint_name(shadow, method, target, name);
    assert_non_null(memchr(name, '\0', sizeof(name)));
    return name;
}

struct named {
    const char *target, *name; /* after "GET " */
};

static void assert_names(const struct config_shadow *shadow, const struct named *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = name_of(shadow, "GET", cases[i].target);
        if (strncmp(name, "GET ", 4) != 0 || strcmp(name + 4, cases[i].name) != 0)
            fail_msg("%s: \"%s\" instead of \"GET %s\"", cases[i].target, name, cases[i].name);
    }
}

#define ASSERT_NAMES(shadow, cases) assert_names(shadow, cases, sizeof(cases) / sizeof(cases[0]))

static const struct config_shadow none;

static void data_becomes_a_part_of_a_template(void **state)
{
    static const struct named cases[] = {
        {"/orders/17", "/orders/{number}"},
        {"/orders/0", "/orders/{number}"},
        {"/orders/-5/items/12.5", "/orders/{number}/items/{number}"},
        {"/near/52.52,13.40", "/near/{number}"},
        {"/hosts/10.0.0.1", "/hosts/{number}"},
        {"/days/20250302", "/days/{number}"},
        {"/users/6F9619FF-8B86-D011-B42D-00C04FC964FF", "/users/{uuid}"},
        {"/users/6f9619ff-8b86-d011-b42d-00c04fc964ff/x", "/users/{uuid}/x"},
        {"/users/6f9619ff8b86d011b42d00c04fc964ff", "/users/{uuid}"},
        {"/commits/5f3a09bc", "/commits/{hex}"},
        {"/commits/da39a3ee5e6b4b0d3255bfef95601890afd80709", "/commits/{hex}"},
        {"/on/2025-03-02", "/on/{date}"},
        {"/on/2025-03", "/on/{date}"},
        {"/at/2025-03-02T10:00:00Z", "/at/{date}"},
        {"/at/2025-03-02T10:00:00.123%2B01:00", "/at/{date}"},
        {"/people/jane.doe@example.com", "/people/{email}"},
        {"/people/jane.doe%40example.com", "/people/{email}"},
        {"/events/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/events/{token}"},
        {"/s/dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "/s/{token}"},
        {"/s/aB3-x9Kq_zz81Lm0Pq", "/s/{token}"},
        {"/j/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
         "/j/{token}"},
        {"/posts/how-to-move-a-legacy-backend-without-any-downtime", "/posts/{token}"},
        {"/s/qWeRtYuIoPaSdFgHjKlZ", "/s/{token}"},
        {"/items/item-12345", "/items/{id}"},
        {"/invoices/inv_2024_000123", "/invoices/{id}"},
        {"/filter/color=red", "/filter/{id}"},
        {"/files/12345.json", "/files/{number}.json"},
        {"/files/6f9619ff-8b86-d011-b42d-00c04fc964ff.tar", "/files/{uuid}.tar"},
        {"/%6Frders/%31%37", "/%6Frders/{number}"},
        {"/s/qWeRtYuIoPaSdFgH", "/s/{token}"},
        {"/n/01234567890123456789012345678901", "/n/{number}"},
        {"/n/17;v=1", "/n/{number}"},
    };
    (void)state;
    ASSERT_NAMES(&none, cases);
}

static void words_stay(void **state)
{
    static const struct named cases[] = {
        {"/", "/"},
        {"", "/"},
        {"/?a=1", "/"},
        {"/orders", "/orders"},
        {"/orders/", "/orders"},
        {"//orders///items", "/orders/items"},
        {"/api/v1/orders", "/api/v1/orders"},
        {"/api2/v12/s3", "/api2/v12/s3"},
        {"/order-items-v2-summary", "/order-items-v2-summary"},
        {"/deadbeef", "/deadbeef"},
        {"/add/face", "/add/face"},
        {"/getOpenOrdersOfCustomer", "/getOpenOrdersOfCustomer"},
        {"/static/jquery-3.6.0.min.js", "/static/jquery-3.6.0.min.js"},
        {"/static/jquery.min.js", "/static/jquery.min.js"},
        {"/index.html", "/index.html"},
        {"/shop.orders.v1.OrderService/GetOrder", "/shop.orders.v1.OrderService/GetOrder"},
        {"/grpc.reflection.v1alpha.ServerReflectionService/X", "/grpc.reflection.v1alpha.ServerReflectionService/X"},
        {"/orders?id=17#part", "/orders"},
        {"/orders;jsessionid=SECRET/items;v=1", "/orders/items"},
        {"/;jsessionid=SECRET", "/"},
        {"http://shop.example.com:8080/orders/17?x=/y", "/orders/{number}"},
        {"http://shop.example.com", "/"},
        {"*", "*"},
        {"/s/qWeRtYuIoPaSdFg", "/s/qWeRtYuIoPaSdFg"},
        {"/a/..%2F..%2Fb", "/a/..%2F..%2Fb"},
    };
    (void)state;
    ASSERT_NAMES(&none, cases);
}

static void templates_of_the_file_come_first(void **state)
{
    const char *templates[] = {"/orders/latest", "/orders/{id}/items", "/posts/{slug}", "/files/**", "/"};
    const struct config_shadow shadow = {.endpoints = templates, .endpoint_count = 5};
    static const struct named cases[] = {
        {"/orders/latest", "/orders/latest"},
        {"/orders/17/items", "/orders/{id}/items"},
        {"/orders/17/items/", "/orders/{id}/items"},
        {"/orders/anything/items?x=1", "/orders/{id}/items"},
        {"/orders/17/other", "/orders/{number}/other"},
        {"/orders/17/items/3", "/orders/{number}/items/{number}"},
        {"/posts/a-slug", "/posts/{slug}"},
        {"/%70osts/a-slug", "/posts/{slug}"},
        {"/posts", "/posts"},
        {"/posts//", "/posts"},
        {"/files", "/files/**"},
        {"/files/a/b/c/4", "/files/**"},
        {"/", "/"},
    };
    (void)state;
    ASSERT_NAMES(&shadow, cases);
    assert_string_equal(name_of(&shadow, "POST", "/posts/x"), "POST /posts/{slug}");
}

static void names_are_bounded_and_printable(void **state)
{
    char target[4096] = "";
    (void)state;
    for (int i = 0; i < 40; i++)
        strcat(target, "/ab");
    assert_string_equal(name_of(&none, "GET", target), "GET /ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/**");
    memset(target, 0, sizeof(target));
    memset(target, 'a', sizeof(target) - 1);
    target[0] = '/';
    assert_string_equal(name_of(&none, "GET", target), "GET /{token}");
    memset(target, 0, sizeof(target));
    for (int i = 0; i < 16; i++)
        strcat(target, "/abcdefghijklmnopqrstuvwxyz");
    const char *name = name_of(&none, "GET", target);
    assert_string_equal(name + strlen(name) - 3, "/**");
    assert_string_equal(name_of(&none, "G\x1b[31m", "/\x1b[2J\xff\x01"), "G?[31m /?[2J??");
    assert_string_equal(name_of(&none, "AVERYLONGMETHODTHATNOBODYKNOWS", "/a"), "AVERYLONGMETH... /a");
}

/* Whatever is asked, the answer depends on nothing but the path, and a cut escape is only text. */
static void odd_paths_are_names_too(void **state)
{
    static const struct named cases[] = {
        {"/%", "/%"},         {"/%4", "/%4"},           {"/%zz", "/%zz"},
        {"/a%00b", "/a%00b"}, {"/.hidden", "/.hidden"}, {"/12345.", "/{number}"},
    };
    (void)state;
    ASSERT_NAMES(&none, cases);
    ASSERT_NAMES(&none, cases);
}

/* A template says a name as a request does, or as it is meant. */
static void templates_may_be_percent_encoded(void **state)
{
    const char *templates[] = {"/caf%C3%A9/{id}", "/a-b/%7euser"};
    const struct config_shadow shadow = {.endpoints = templates, .endpoint_count = 2};
    static const struct named cases[] = {
        {"/caf%c3%a9/17", "/caf%C3%A9/{id}"},
        {"/caf\xc3\xa9/x", "/caf%C3%A9/{id}"},
        {"/cafe/x", "/cafe/x"},
        {"/%61-b/~user", "/a-b/%7euser"},
    };
    (void)state;
    ASSERT_NAMES(&shadow, cases);
    for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++)
        assert_null(pattern_template_fault(templates[i]));
}

/* What the file may say always fits: a template is a whole name with any method. */
static void the_longest_template_fits(void **state)
{
    char longest[PATTERN_TEMPLATE_BYTES + 2] = "/";
    const char *templates[] = {longest};
    const struct config_shadow shadow = {.endpoints = templates, .endpoint_count = 1};
    (void)state;
    memset(longest + 1, 'a', PATTERN_TEMPLATE_BYTES - 1);
    assert_null(pattern_template_fault(longest));
    const char *name = name_of(&shadow, "AVERYLONGMETHODTHATNOBODYKNOWS", longest);
    assert_string_equal(name + strlen(name) - strlen(longest), longest);
    longest[PATTERN_TEMPLATE_BYTES] = 'a';
    assert_non_null(pattern_template_fault(longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_becomes_a_part_of_a_template), cmocka_unit_test(words_stay),
        cmocka_unit_test(templates_of_the_file_come_first),  cmocka_unit_test(names_are_bounded_and_printable),
        cmocka_unit_test(odd_paths_are_names_too),           cmocka_unit_test(templates_may_be_percent_encoded),
        cmocka_unit_test(the_longest_template_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
