/*
 * How a connection to Redis introduces itself, to servers that play: old ones, ones that forbid something, and ones
 * that make trouble at each step.
 */
#include "redis_support.h"

static void an_old_server_is_spoken_to_in_its_words(void **state)
{
    (void)state;
    struct table t;
    open_table(&t);
    t.door.config.password = "secret";
    fake_rule(&t.fake, "HELLO", "-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n", 0);
    fake_rule(&t.fake, "SUBSCRIBE", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n", 0);
    fake_rule(&t.fake, "PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n", 0);
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 1);
    assert_non_null(strstr(t.fake.notes, "AUTH secret;CLIENT SETNAME shunt;ROLE;PING;"));
    close_table(&t);
}

static void version_2_is_spoken_when_the_file_says_so(void **state)
{
    (void)state;
    struct table t;
    open_table(&t);
    t.door.config.resp = REDIS_RESP_2;
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 1);
    assert_int_equal(fake_noted(&t.fake, "HELLO"), 0);
    assert_int_equal(fake_noted(&t.fake, "AUTH"), 0);
    assert_int_equal(fake_noted(&t.fake, "CLIENT SETNAME shunt"), 2);
    close_table(&t);
}

static void a_forbidden_role_is_no_fault(void **state)
{
    (void)state;
    struct table t;
    open_table(&t);
    fake_rule(&t.fake, "ROLE", "-NOPERM this user has no permissions to run the 'role' command\r\n", 0);
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 1);
    close_table(&t);
}

/* What a server says once while it is met, and what that is; the next time it is good. */
static void meets(const char *command, const char *reply, bool closes, enum redis_fault fault)
{
    struct table t;
    open_table(&t);
    bool is_late = fault == REDIS_FAULT_TIMEOUT;
    t.door.config.timeout_ms = is_late ? SHORT_MS : LONG_MS;
    t.door.config.password = "secret";
    (closes ? fake_closes : fake_rule)(&t.fake, command, reply, 1);
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 1);
    struct redis_facts facts = door_facts(&t.door);
    if (facts.last_fault != fault)
        print_error("%s -> %s: %s\n", reply, redis_fault_name(facts.last_fault), facts.last_error);
    assert_int_equal(facts.last_fault, fault);
    assert_true(is_late ? facts.faults[fault] >= 1 : facts.faults[fault] == 1);
    assert_string_equal(t.door.events, "redis_unavailable;redis_connected;");
    assert_int_equal(t.door.lost, 0);
    close_table(&t);
}

static void troubles_of_meeting_have_names(void **state)
{
    (void)state;
    meets("HELLO", "-NOAUTH HELLO must be called with the client already authenticated\r\n", true,
          REDIS_FAULT_CLOSED); /* it may be an old one: AUTH is tried, too */
    meets("HELLO", "-WRONGPASS invalid username-password pair or user is disabled.\r\n", false, REDIS_FAULT_AUTH);
    meets("HELLO", "-ERR max number of clients reached\r\n", true, REDIS_FAULT_REFUSED);
    meets("HELLO", "-DENIED Redis is running in protected mode\r\n", true, REDIS_FAULT_AUTH);
    meets("HELLO", NULL, false, REDIS_FAULT_TIMEOUT);
    meets("HELLO", NULL, true, REDIS_FAULT_CLOSED);
    meets("HELLO", "HTTP/1.1 400 Bad Request\r\n\r\n", true, REDIS_FAULT_PROTOCOL);
    meets("HELLO", "%1\r\n$5\r\nproto", false, REDIS_FAULT_TIMEOUT);
    meets("ROLE", "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:1\r\n", false, REDIS_FAULT_READ_ONLY);
    meets("ROLE", "+huh\r\n", false, REDIS_FAULT_PROTOCOL);
    meets("PING", "-LOADING Redis is loading the dataset in memory\r\n", false, REDIS_FAULT_LOADING);
    meets("PING", "-MASTERDOWN Link with MASTER is down\r\n", false, REDIS_FAULT_LOADING);
    meets("SUBSCRIBE", "-NOPERM No permissions to access a channel\r\n", false, REDIS_FAULT_AUTH);
    meets("SUBSCRIBE", "+OK\r\n", false, REDIS_FAULT_PROTOCOL);
    meets("SUBSCRIBE", NULL, false, REDIS_FAULT_TIMEOUT);
}

static void a_greeting_nobody_asked_for_is_a_fault(void **state)
{
    (void)state;
    struct table t;
    open_table(&t);
    t.fake.greeting = "+hello\r\n+there\r\n";
    door_knock(&t.door, "return 1");
    door_until(&t.door, door_facts(&t.door).faults[REDIS_FAULT_PROTOCOL] >= 1);
    t.fake.greeting = NULL;
    door_until(&t.door, t.door.ready == 1);
    close_table(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_server_is_spoken_to_in_its_words),
        cmocka_unit_test(version_2_is_spoken_when_the_file_says_so),
        cmocka_unit_test(a_forbidden_role_is_no_fault),
        cmocka_unit_test(troubles_of_meeting_have_names),
        cmocka_unit_test(a_greeting_nobody_asked_for_is_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
