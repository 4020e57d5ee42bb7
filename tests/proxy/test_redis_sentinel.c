/*
 * Sentinels that play: who is asked, in which order, what they may say, and that another master is gone to.
 */
#include "redis_support.h"

struct three {
    struct door door;
    struct fake sentinel[2], a, b;
    char is_a[128], is_b[128];
};

static void print_master(char *text, size_t room, uint16_t port)
{
    char number[8];
    int length = snprintf(number, sizeof(number), "%u", (unsigned)port);
    snprintf(text, room, "*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n", length, number);
}

static void open_three(struct three *t)
{
    door_init(&t->door, 0);
    t->door.config.kind = REDIS_SENTINEL;
    t->door.config.master = "mymaster";
    t->door.config.timeout_ms = 20000;
    t->door.config.host_count = 2;
    for (int i = 0; i < 2; i++) {
        fake_open(&t->sentinel[i], t->door.base);
        t->door.hosts[i] = (struct config_redis_host){.host = "127.0.0.1", .port = t->sentinel[i].port};
    }
    fake_open(&t->a, t->door.base);
    fake_open(&t->b, t->door.base);
    print_master(t->is_a, sizeof(t->is_a), t->a.port);
    print_master(t->is_b, sizeof(t->is_b), t->b.port);
}

static void close_three(struct three *t)
{
    for (int i = 0; i < 2; i++)
        fake_close(&t->sentinel[i]);
    fake_close(&t->a);
    fake_close(&t->b);
    door_close(&t->door);
}

static void all_say(struct three *t, const char *reply, int times)
{
    for (int i = 0; i < 2; i++)
        fake_rule(&t->sentinel[i], "SENTINEL get-master-addr-by-name mymaster", reply, times);
}

static unsigned asked(const struct three *t)
{
    return fake_noted(&t->sentinel[0], "SENTINEL") + fake_noted(&t->sentinel[1], "SENTINEL");
}

static void the_master_is_asked_for_and_gone_to(void **state)
{
    (void)state;
    struct three t;
    open_three(&t);
    t.door.config.password = "secret";
    all_say(&t, t.is_b, 0);
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 1);
    assert_int_equal(asked(&t), 1);
    assert_null(strstr(t.sentinel[0].notes, "secret")); /* nobody has asked for it */
    assert_null(strstr(t.sentinel[1].notes, "secret"));
    assert_int_equal(fake_noted(&t.b, "ROLE"), 1);
    close_three(&t);
}

static void a_sentinel_that_wants_the_password_gets_it(void **state)
{
    (void)state;
    struct three t;
    open_three(&t);
    t.door.config.password = "secret";
    all_say(&t, "-NOAUTH Authentication required.\r\n", 1);
    all_say(&t, t.is_a, 0);
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 1);
    assert_int_equal(fake_noted(&t.sentinel[0], "AUTH secret") + fake_noted(&t.sentinel[1], "AUTH secret"), 1);
    close_three(&t);
}

static void sentinels_that_are_away_are_passed_over(void **state)
{
    (void)state;
    struct three t;
    open_three(&t);
    t.door.hosts[0].port = 1;
    all_say(&t, t.is_a, 0);
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 1);
    assert_string_equal(t.door.events, "redis_connected;");
    close_three(&t);
}

static void silent_sentinels_are_passed_over(void **state)
{
    (void)state;
    struct three t;
    open_three(&t);
    t.door.config.timeout_ms = 300;
    fake_rule(&t.sentinel[0], "SENTINEL", NULL, 0);
    fake_rule(&t.sentinel[1], "SENTINEL", t.is_a, 0);
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 1);
    close_three(&t);
}

static void nobody_knows(const char *reply)
{
    struct three t;
    open_three(&t);
    all_say(&t, reply, 1);
    all_say(&t, t.is_a, 0);
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 1);
    assert_string_equal(t.door.events, "redis_unavailable;redis_connected;");
    assert_int_equal(door_facts(&t.door).faults[REDIS_FAULT_NO_MASTER], 1);
    close_three(&t);
}

static void that_nobody_knows_a_master_is_said(void **state)
{
    (void)state;
    nobody_knows("*-1\r\n");
    nobody_knows("-IDONTKNOW I have not enough information\r\n");
    nobody_knows("-ERR unknown command `SENTINEL`\r\n");
    nobody_knows("*2\r\n$0\r\n\r\n$1\r\n1\r\n");
    nobody_knows("*2\r\n$1\r\na\r\n$2\r\n-1\r\n");
    nobody_knows("garbage\r\n");
}

static void another_master_is_gone_to(void **state)
{
    (void)state;
    struct three t;
    open_three(&t);
    all_say(&t, t.is_a, 1);
    all_say(&t, t.is_b, 0);
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 2);
    assert_string_equal(t.door.events, "redis_connected;redis_lost;redis_failover;redis_connected;");
    assert_int_equal(t.door.fault, REDIS_FAULT_READ_ONLY);
    assert_int_equal(fake_noted(&t.b, "SUBSCRIBE"), 1);
    close_three(&t);
}

/* The old one is dead and back-off is long by now: the sentinels' word ends it. */
static void a_new_master_ends_the_wait(void **state)
{
    (void)state;
    struct three t;
    open_three(&t);
    fake_close(&t.a);
    all_say(&t, t.is_a, 3);
    all_say(&t, t.is_b, 0);
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 1);
    assert_int_equal(fake_noted(&t.b, "ROLE"), 1);
    assert_true(asked(&t) <= 5); /* one question a second, however often we try */
    close_three(&t);
}

static void a_master_that_is_none_yet_is_tried_again(void **state)
{
    (void)state;
    struct three t;
    open_three(&t);
    all_say(&t, t.is_a, 0);
    fake_rule(&t.a, "ROLE", "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:1\r\n", 2);
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 1);
    assert_int_equal(door_facts(&t.door).faults[REDIS_FAULT_READ_ONLY], 2);
    close_three(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_master_is_asked_for_and_gone_to),
        cmocka_unit_test(a_sentinel_that_wants_the_password_gets_it),
        cmocka_unit_test(sentinels_that_are_away_are_passed_over),
        cmocka_unit_test(silent_sentinels_are_passed_over),
        cmocka_unit_test(that_nobody_knows_a_master_is_said),
        cmocka_unit_test(another_master_is_gone_to),
        cmocka_unit_test(a_new_master_ends_the_wait),
        cmocka_unit_test(a_master_that_is_none_yet_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
