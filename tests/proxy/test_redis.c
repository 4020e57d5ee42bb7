/*
 * The way to Redis against servers that play: what is said, in which order, what every kind of trouble becomes, and
 * that it comes back from each. test_redis_real.c has real servers.
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
    assert_string_equal(fake.notes,
                        "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 2 shunt:{g}:state shunt:{g}:lease "
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

/* ---- questions ---- */

static void open_ready(struct table *t, uint64_t timeout_ms)
{
    open_table(t);
    t->door.config.timeout_ms = timeout_ms;
    door_knock(&t->door, "return 1");
    door_until(&t->door, t->door.ready == 1);
}

/* Three questions, the first answered so: what becomes of it, and whether the connection bears it. */
static void asks(const char *reply, bool closes, enum redis_fault fault, bool survives)
{
    struct table t;
    bool is_late = fault == REDIS_FAULT_TIMEOUT;
    open_ready(&t, is_late ? SHORT_MS : LONG_MS);
    (closes ? fake_closes : fake_rule)(&t.fake, "EVALSHA", reply, 1);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(door_ask(&t.door, i, "{}"), REDIS_FAULT_NONE);
    assert_int_equal(door_facts(&t.door).queued, 3);
    door_until(&t.door, t.door.answers == 3);
    assert_int_equal(t.door.answer[0].ticket, 0);
    assert_int_equal(t.door.answer[0].fault, fault);
    assert_int_equal(t.door.answer[1].fault, survives ? REDIS_FAULT_NONE : fault);
    assert_int_equal(t.door.answer[2].fault, survives ? REDIS_FAULT_NONE : fault);
    assert_int_equal(t.door.lost, survives ? 0 : 1);
    if (fault != REDIS_FAULT_NONE) {
        assert_true(is_late || door_facts(&t.door).faults[fault] == 1);
        assert_int_equal(door_facts(&t.door).last_fault, fault);
    }
    door_until(&t.door, redis_is_ready(t.door.redis));
    assert_true(is_late || door_facts(&t.door).reconnects == (survives ? 0 : 1));
    if (!is_late)
        assert_string_equal(t.door.events,
                            survives ? "redis_connected;" : "redis_connected;redis_lost;redis_connected;");
    close_table(&t);
}

static void error_answers_leave_the_connection(void **state)
{
    (void)state;
    asks("-OOM command not allowed when used memory > 'maxmemory'.\r\n", false, REDIS_FAULT_MEMORY, true);
    asks("-ERR Error running script (call to f_x): @user_script:1: -OOM command not allowed\r\n", false,
         REDIS_FAULT_MEMORY, true);
    asks("-MISCONF Redis is configured to save RDB snapshots, but\r\n", false, REDIS_FAULT_MEMORY, true);
    asks("-NOPERM this user has no permissions to access one of the keys\r\n", false, REDIS_FAULT_AUTH, true);
    asks("-NOAUTH Authentication required.\r\n", false, REDIS_FAULT_AUTH, true);
    asks("-BUSY Redis is busy running a script\r\n", false, REDIS_FAULT_LOADING, true);
    asks("-LOADING Redis is loading the dataset in memory\r\n", false, REDIS_FAULT_LOADING, true);
    asks("-MOVED 12 127.0.0.1:1\r\n", false, REDIS_FAULT_REFUSED, true); /* not configured as a cluster */
    asks("-ERR something else\r\n", false, REDIS_FAULT_REFUSED, true);
    asks("!9\r\nERR a\r\nbc\r\n", false, REDIS_FAULT_REFUSED, true);
    asks("*1\r\n:1\r\n", false, REDIS_FAULT_PROTOCOL, true);
    asks(":42\r\n", false, REDIS_FAULT_NONE, true);
    asks("_\r\n", false, REDIS_FAULT_NONE, true);
    asks(">2\r\n+invalidate\r\n*0\r\n+fine\r\n", false, REDIS_FAULT_NONE, true);
}

static void what_ends_the_connection_answers_all(void **state)
{
    (void)state;
    asks("-READONLY You can't write against a read only replica.\r\n", false, REDIS_FAULT_READ_ONLY, false);
    asks("-ERR Error running script (call to f_x): @user_script:1: @user_script: 1: -READONLY You can't write\r\n",
         false, REDIS_FAULT_READ_ONLY, false);
    asks(NULL, true, REDIS_FAULT_CLOSED, false);
    asks("$100\r\nhalf", true, REDIS_FAULT_CLOSED, false);
    asks("garbage\r\n", false, REDIS_FAULT_PROTOCOL, false);
    asks("$99999999999\r\nendless", false, REDIS_FAULT_PROTOCOL, false);
    asks("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", false, REDIS_FAULT_PROTOCOL, false);
    asks("$100\r\nhalf", false, REDIS_FAULT_TIMEOUT, false);
}

static void silence_is_noticed(void **state)
{
    (void)state;
    struct table t;
    open_ready(&t, SHORT_MS);
    fake_rule(&t.fake, "EVALSHA", NULL, 0);
    uint64_t asked_us = redis_now_us();
    assert_int_equal(door_ask(&t.door, 1, "{}"), REDIS_FAULT_NONE);
    door_until(&t.door, t.door.lost == 1);
    assert_true(redis_now_us() - asked_us >= (SHORT_MS - 5) * 1000);
    assert_int_equal(t.door.fault, REDIS_FAULT_TIMEOUT);
    assert_int_equal(t.door.answer[0].fault, REDIS_FAULT_TIMEOUT);
    close_table(&t);
}

static void a_quiet_connection_is_proven(void **state)
{
    (void)state;
    struct table t;
    open_ready(&t, SHORT_MS);
    fake_rule(&t.fake, "PING", NULL, 0); /* from now on */
    door_until(&t.door, t.door.lost == 1);
    assert_int_equal(t.door.fault, REDIS_FAULT_TIMEOUT);
    assert_non_null(strstr(t.door.why, "PING"));
    close_table(&t);
}

static void an_answer_too_many_is_a_fault(void **state)
{
    (void)state;
    struct table t;
    open_ready(&t, LONG_MS);
    fake_rule(&t.fake, "EVALSHA", "+one\r\n+two\r\n", 1);
    assert_int_equal(door_ask(&t.door, 1, "{}"), REDIS_FAULT_NONE);
    door_until(&t.door, t.door.lost == 1);
    assert_int_equal(t.door.answers, 1);
    assert_int_equal(t.door.answer[0].fault, REDIS_FAULT_NONE);
    assert_int_equal(t.door.fault, REDIS_FAULT_PROTOCOL);
    close_table(&t);
}

static void an_unknown_script_is_sent_whole(void **state)
{
    (void)state;
    struct table t;
    open_ready(&t, LONG_MS);
    fake_rule(&t.fake, "EVALSHA", "-NOSCRIPT No matching script. Please use EVAL.\r\n", 1);
    t.fake.notes[0] = '\0';
    assert_int_equal(door_ask(&t.door, 1, "{}"), REDIS_FAULT_NONE);
    assert_int_equal(door_ask(&t.door, 2, "{}"), REDIS_FAULT_NONE);
    door_until(&t.door, t.door.answers == 2);
    assert_non_null(strstr(t.fake.notes, ";EVAL return 1 2 shunt:{g}:state shunt:{g}:lease beat {};"));
    assert_int_equal(fake_noted(&t.fake, "EVALSHA"), 2);
    assert_int_equal(t.door.answer[0].ticket, 2);
    assert_int_equal(t.door.answer[1].ticket, 1);
    assert_int_equal(t.door.answer[1].fault, REDIS_FAULT_NONE);
    close_table(&t);
}

static void a_server_that_knows_no_script_at_all(void **state)
{
    (void)state;
    struct table t;
    open_ready(&t, LONG_MS);
    fake_rule(&t.fake, "EVAL", "-NOSCRIPT No matching script.\r\n", 0);
    assert_int_equal(door_ask(&t.door, 1, "{}"), REDIS_FAULT_NONE);
    door_until(&t.door, t.door.answers == 1);
    assert_int_equal(t.door.answer[0].fault, REDIS_FAULT_REFUSED);
    assert_int_equal(fake_noted(&t.fake, "EVAL"), 2);
    close_table(&t);
}

static void the_queue_is_bounded(void **state)
{
    (void)state;
    struct table t;
    open_ready(&t, SHORT_MS);
    fake_rule(&t.fake, "EVALSHA", NULL, 0);
    for (uint64_t i = 0; i < REDIS_QUESTIONS_MOST; i++)
        assert_int_equal(door_ask(&t.door, i, "{}"), REDIS_FAULT_NONE);
    assert_int_equal(door_ask(&t.door, 99, "{}"), REDIS_FAULT_QUEUE);
    assert_int_equal(door_facts(&t.door).faults[REDIS_FAULT_QUEUE], 1);
    door_until(&t.door, t.door.answers == REDIS_QUESTIONS_MOST);
    assert_int_equal(door_facts(&t.door).queued, 0);
    close_table(&t);
}

static void bytes_are_bounded(void **state)
{
    (void)state;
    struct table t;
    open_ready(&t, SHORT_MS);
    fake_rule(&t.fake, "EVALSHA", NULL, 0);
    char *document = calloc(1, REDIS_BYTES_MOST);
    assert_non_null(document);
    memset(document, 'x', REDIS_BYTES_MOST / 2);
    assert_int_equal(door_ask(&t.door, 1, document), REDIS_FAULT_NONE);
    assert_int_equal(door_ask(&t.door, 2, document), REDIS_FAULT_QUEUE);
    memset(document, 'x', REDIS_BYTES_MOST - 1);
    assert_int_equal(door_ask(&t.door, 3, document), REDIS_FAULT_QUEUE);
    free(document);
    door_until(&t.door, t.door.answers == 1);
    close_table(&t);
}

static void the_end_answers_what_is_under_way(void **state)
{
    (void)state;
    struct table t;
    open_ready(&t, LONG_MS);
    assert_int_equal(door_ask(&t.door, 5, "{}"), REDIS_FAULT_NONE);
    close_table(&t);
    assert_int_equal(t.door.answers, 1);
    assert_int_equal(t.door.answer[0].fault, REDIS_FAULT_CLOSED);
    assert_int_equal(t.door.lost, 0);
}

/* ---- listening ---- */

static void messages_come_in(void **state)
{
    (void)state;
    struct table t;
    open_table(&t);
    fake_rule(&t.fake, "SUBSCRIBE",
              "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$3\r\none\r\n"
              ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\n\r\ntwo\r\n",
              1);
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.messages == 2);
    assert_string_equal(t.door.message, "\r\ntwo");
    assert_int_equal(t.door.ready, 1);
    close_table(&t);
}

static void garbage_among_messages_ends_both_connections(void **state)
{
    (void)state;
    struct table t;
    open_table(&t);
    fake_rule(&t.fake, "SUBSCRIBE", ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n*1\r\n+what\r\n", 1);
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.lost == 1);
    assert_int_equal(t.door.fault, REDIS_FAULT_PROTOCOL);
    door_until(&t.door, t.door.ready == 2);
    close_table(&t);
}

/* ---- coming back ---- */

static void nobody_there_is_told_once_and_tried_for_ever(void **state)
{
    (void)state;
    struct table t;
    open_table(&t);
    evconnlistener_disable(t.fake.listener);
    fake_close(&t.fake); /* the port is free: connections are refused */
    door_knock(&t.door, "return 1");
    door_until(&t.door, door_facts(&t.door).faults[REDIS_FAULT_CONNECT] >= 5);
    assert_string_equal(t.door.events, "redis_unavailable;");
    assert_true(door_facts(&t.door).down_since_ms > 0);
    assert_int_equal(t.door.ready, 0);
    close_table(&t);
}

static void every_address_of_a_host_list_is_tried(void **state)
{
    (void)state;
    struct table t;
    open_table(&t);
    t.door.hosts[1] = t.door.hosts[0];
    t.door.hosts[0].port = 1; /* nobody is there */
    t.door.config.host_count = 2;
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 1);
    close_table(&t);
}

static void a_name_that_is_none_is_a_fault(void **state)
{
    (void)state;
    struct table t;
    open_table(&t);
    t.door.hosts[0].host = "no.such.name.invalid";
    door_knock(&t.door, "return 1");
    door_until(&t.door, door_facts(&t.door).faults[REDIS_FAULT_RESOLVE] >= 1);
    close_table(&t);
}

static void a_name_of_this_machine_is_found(void **state)
{
    (void)state;
    struct table t;
    open_table(&t);
    t.door.hosts[0].host = "localhost";
    door_knock(&t.door, "return 1");
    door_until(&t.door, t.door.ready == 1);
    close_table(&t);
}

/* ---- another configuration ---- */

static void the_same_configuration_changes_nothing(void **state)
{
    (void)state;
    struct table t;
    open_ready(&t, LONG_MS);
    struct config_redis same = t.door.config;
    struct config_redis_host host = t.door.hosts[0];
    same.hosts = &host;
    same.group = "g";
    redis_configure(t.door.redis, &same);
    assert_true(redis_is_ready(t.door.redis));
    assert_int_equal(door_ask(&t.door, 1, "{}"), REDIS_FAULT_NONE);
    door_until(&t.door, t.door.answers == 1);
    assert_int_equal(t.door.lost, 0);
    close_table(&t);
}

static void another_configuration_connects_anew(void **state)
{
    (void)state;
    struct table t;
    struct fake other;
    open_ready(&t, LONG_MS);
    fake_open(&other, t.door.base);
    struct config_redis changed = t.door.config;
    struct config_redis_host host = {.host = "127.0.0.1", .port = other.port};
    changed.hosts = &host;
    assert_int_equal(door_ask(&t.door, 1, "{}"), REDIS_FAULT_NONE);
    redis_configure(t.door.redis, &changed);
    assert_int_equal(t.door.answer[0].fault, REDIS_FAULT_CLOSED);
    assert_int_equal(t.door.lost, 1);
    door_until(&t.door, t.door.ready == 2);
    assert_int_equal(fake_noted(&other, "ROLE"), 1);
    fake_close(&other);
    close_table(&t);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void the_password_file_is_read_for_each_connection(void **state)
{
    (void)state;
    struct table t;
    char path[] = "/tmp/shunt-redis-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    open_table(&t);
    t.door.config.password_file = path;
    fake_rule(&t.fake, "HELLO 3 AUTH default one ", "-WRONGPASS invalid username-password pair\r\n", 0);
    door_knock(&t.door, "return 1");
    door_until(&t.door, door_facts(&t.door).faults[REDIS_FAULT_AUTH] >= 1); /* it is empty */
    assert_non_null(strstr(door_facts(&t.door).last_error, "it is empty"));
    write_file(path, "one\n");
    door_until(&t.door, fake_noted(&t.fake, "AUTH default one ") >= 1);
    write_file(path, "two words\n");
    door_until(&t.door, t.door.ready == 1);
    assert_true(fake_noted(&t.fake, "AUTH default two words SETNAME") >= 2);
    unlink(path);
    close_table(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_and_is_answered),
        cmocka_unit_test(error_answers_leave_the_connection),
        cmocka_unit_test(what_ends_the_connection_answers_all),
        cmocka_unit_test(silence_is_noticed),
        cmocka_unit_test(a_quiet_connection_is_proven),
        cmocka_unit_test(an_answer_too_many_is_a_fault),
        cmocka_unit_test(an_unknown_script_is_sent_whole),
        cmocka_unit_test(a_server_that_knows_no_script_at_all),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(the_end_answers_what_is_under_way),
        cmocka_unit_test(messages_come_in),
        cmocka_unit_test(garbage_among_messages_ends_both_connections),
        cmocka_unit_test(nobody_there_is_told_once_and_tried_for_ever),
        cmocka_unit_test(every_address_of_a_host_list_is_tried),
        cmocka_unit_test(a_name_that_is_none_is_a_fault),
        cmocka_unit_test(a_name_of_this_machine_is_found),
        cmocka_unit_test(the_same_configuration_changes_nothing),
        cmocka_unit_test(another_configuration_connects_anew),
        cmocka_unit_test(the_password_file_is_read_for_each_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
