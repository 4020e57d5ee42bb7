/*
 * Endpoint addresses: read, printed, brought into order.
 */
#include "proxy/endpoint.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void becomes(const char *host, const char *wanted)
{
    const struct config_address address = {.host = host, .port = 8080};
    bool is_name = false;
    struct endpoint_list *list = endpoint_list_of(&address, &is_name);
    if (wanted == NULL) {
        assert_null(list);
        assert_true(is_name);
        return;
    }
    assert_false(is_name);
    assert_int_equal(list->count, 1);
    assert_string_equal(list->address[0].text, wanted);
    endpoint_list_unref(list);
}

static void addresses_are_told_from_names(void **state)
{
    (void)state;
    becomes("127.0.0.1", "127.0.0.1:8080");
    becomes("::1", "[::1]:8080");
    becomes("2001:db8:0:0:0:0:0:1", "[2001:db8::1]:8080");
    becomes("localhost", NULL);
    becomes("127.1", NULL); /* what inet_aton() would take, and a resolver may */
    becomes("1.2.3.4.example", NULL);
    becomes("999.1.1.1", NULL);
}

static void a_long_path_is_cut_in_text_only(void **state)
{
    (void)state;
    char path[100];
    memset(path, 'a', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    const struct config_address address = {.unix_path = path};
    bool is_name;
    struct endpoint_list *list = endpoint_list_of(&address, &is_name);
    assert_non_null(list);
    assert_int_equal(strlen(list->address[0].text), sizeof(list->address[0].text) - 1);
    assert_string_equal(list->address[0].to.un.sun_path, path);
    endpoint_list_unref(list);
}

static void other_families_are_refused(void **state)
{
    (void)state;
    struct endpoint_address address;
    const struct sockaddr other = {.sa_family = AF_PACKET};
    assert_false(endpoint_address_set(&address, &other, sizeof(other)));
    assert_false(endpoint_address_set(&address, &other, 4096));
}

static void an_order_is_made_and_duplicates_go(void **state)
{
    (void)state;
    static const char *const hosts[] = {"::2", "192.0.2.9", "192.0.2.1", "::2", "192.0.2.9", "::1"};
    static const char *const wanted[] = {"192.0.2.1:80", "192.0.2.9:80", "[::1]:80", "[::2]:80"};
    struct endpoint_list *list = endpoint_list_new(6);
    for (uint32_t i = 0; i < 6; i++) {
        const struct config_address address = {.host = hosts[i], .port = 80};
        bool is_name;
        struct endpoint_list *one = endpoint_list_of(&address, &is_name);
        list->address[i] = one->address[0];
        endpoint_list_unref(one);
    }
    endpoint_list_settle(list);
    assert_int_equal(list->count, 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_string_equal(list->address[i].text, wanted[i]);
    endpoint_list_unref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_told_from_names),
        cmocka_unit_test(a_long_path_is_cut_in_text_only),
        cmocka_unit_test(other_families_are_refused),
        cmocka_unit_test(an_order_is_made_and_duplicates_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
