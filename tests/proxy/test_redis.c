/*
 * The way to Redis against servers that play: what is said, in which order, what every kind of trouble becomes, and that it comes
 * back from each. test_redis_real.c has real servers.
 */
#include "redis_support.h"

static void asks_and_is_answered(void **state)
{
    (void)state;
    struct door door;
    struct fake fake;
    door_init(&door, 0);
    fake_open(&fake, door.base);
    door.hosts[0].port = fake.port;
    door.config.username = "shunt";
    door.config.password = "secret";
    door.config.database = 3;
    door_knock(&door, "return 1");
    assert_false(redis_is_ready(door.redis));
    assert_int_equal(door_ask(&door, 1, "{}"), REDIS_FAULT_CLOSED);
    door_until(&door, door.ready == 1);
    assert_string_equal(fake.notes, "HELLO 3 AUTH shunt secret SETNAME shunt;SELECT 3;ROLE;PING;"
                                    "HELLO 3 AUTH shunt secret SETNAME shunt;SUBSCRIBE shunt:{g}:news;");
    fake.notes[0] = '\0';
    assert_int_equal(door_ask(&door, 7, "{\"a\":1}"), REDIS_FAULT_NONE);
    door_until(&door, door.answers == 1);
    assert_string_equal(fake.notes, "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 2 shunt:{g}:state shunt:{g}:lease "
                                    "beat {\"a\":1};");
    assert_int_equal(door.answer[0].ticket, 7);
    assert_int_equal(door.answer[0].fault, REDIS_FAULT_NONE);
    assert_string_equal(door.answer[0].text, "done");
    struct redis_facts facts = door_facts(&door);
    assert_true(facts.ready);
    assert_int_equal(facts.reconnects, 0);
    assert_int_equal(facts.answers, 1);
    assert_int_equal(facts.commands, 7);
    assert_int_equal(facts.down_since_ms, 0);
    assert_string_equal(door.events, "redis_connected;");
    fake_close(&fake);
    door_close(&door);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_and_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
