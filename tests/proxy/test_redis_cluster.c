/*
 * Clusters: slots against the values of the specification and of real servers, what nodes answer, and the door between
 * nodes that play: MOVED, ASK, TRYAGAIN, CLUSTERDOWN, circles, and one that is gone.
 */
#include "proxy/redis_cluster.h"

#include "redis_support.h"

/* ---- words ---- */

static void slots_are_those_of_real_servers(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        unsigned slot;
    } rows[] = {
        {"123456789", 0x31c3 & 16383}, /* the specification's check value of the CRC */
        {"", 0},
        {"foo", 12182}, /* these by CLUSTER KEYSLOT */
        {"bar", 5061},
        {"shunt:{g}:state", 7233},
        {"g", 7233},
        {"{user1000}.following", 3443},
        {"foo{}{bar}", 8363}, /* nothing between the first braces: all of it */
        {"foo{{bar}}zap", 4015},
        {"foo{bar}{zap}", 5061},
        {"{", 4092},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(redis_cluster_slot(rows[i].key, strlen(rows[i].key)), rows[i].slot);
}

static void redirects_are_read(void **state)
{
    (void)state;
    struct redis_place from = {.host = "10.0.0.1", .port = 7000}, place;
    assert_true(redis_cluster_read_redirect("MOVED 3999 127.0.0.1:6381", &from, &place));
    assert_string_equal(place.host, "127.0.0.1");
    assert_int_equal(place.port, 6381);
    assert_true(redis_cluster_read_redirect("ASK 3999 ::1:6381", &from, &place));
    assert_string_equal(place.host, "::1");
    assert_true(redis_cluster_read_redirect("MOVED 3999 :6382", &from, &place));
    assert_string_equal(place.host, "10.0.0.1");
    assert_int_equal(place.port, 6382);
    assert_true(redis_cluster_read_redirect("MOVED 1 a.name:1 more", &from, &place));
    assert_string_equal(place.host, "a.name");
    static const char *const bad[] = {
        "MOVED", "MOVED 1", "MOVED 1 host", "MOVED 1 host:", "MOVED 1 host:0", "MOVED 1 h:1x", "MOVED 1 h:99999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(redis_cluster_read_redirect(bad[i], &from, &place));
}

static void count_node(void *context, const struct redis_place *place)
{
    assert_true(place->port > 0);
    ++*(unsigned *)context;
}

static void read_slots(const char *text, uint16_t slot, const char *host, uint16_t port, unsigned nodes)
{
    redisReader *reader = redisReaderCreate();
    void *reply;
    assert_int_equal(redisReaderFeed(reader, text, strlen(text)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    struct redis_place from = {.host = "10.0.0.1", .port = 7000}, place;
    unsigned noted = 0;
    assert_int_equal(redis_cluster_read(reply, slot, &from, &place, count_node, &noted), host != NULL);
    if (host != NULL) {
        assert_string_equal(place.host, host);
        assert_int_equal(place.port, port);
    }
    assert_int_equal(noted, nodes);
    freeReplyObject(reply);
    redisReaderFree(reader);
}

static void maps_of_slots_are_read(void **state)
{
    (void)state;
    static const char two[] =
        "*2\r\n*4\r\n:0\r\n:99\r\n*3\r\n$1\r\na\r\n:1\r\n$1\r\nx\r\n*3\r\n$1\r\nb\r\n:2\r\n$1\r\ny\r\n"
        "*3\r\n:100\r\n:16383\r\n*4\r\n$-1\r\n:3\r\n$1\r\nz\r\n*0\r\n";
    read_slots(two, 0, "a", 1, 3);
    read_slots(two, 99, "a", 1, 3);
    read_slots(two, 100, "10.0.0.1", 3, 3);
    read_slots("*1\r\n*3\r\n:0\r\n:99\r\n*2\r\n$1\r\na\r\n:1\r\n", 100, NULL, 0, 1);
    read_slots("*1\r\n*3\r\n:0\r\n:99\r\n*2\r\n$1\r\n?\r\n:1\r\n", 5, NULL, 0, 0);
    read_slots("*0\r\n", 0, NULL, 0, 0);
    read_slots("+OK\r\n", 0, NULL, 0, 0);
    read_slots("*1\r\n:1\r\n", 0, NULL, 0, 0);
    read_slots("*1\r\n*3\r\n+a\r\n:1\r\n:2\r\n", 0, NULL, 0, 0);
    read_slots("*1\r\n*3\r\n:0\r\n:9\r\n:2\r\n", 0, NULL, 0, 0);
    read_slots("*1\r\n*3\r\n:0\r\n:9\r\n*2\r\n$1\r\na\r\n:70000\r\n", 0, NULL, 0, 0);
}

/* ---- nodes that play ---- */

struct pair {
    struct door door;
    struct fake a, b;
    char slots_of_a[128], slots_of_b[128], moved_to_a[64], moved_to_b[64], ask_b[64];
};

static void open_pair(struct pair *p)
{
    door_init(&p->door, 0);
    fake_open(&p->a, p->door.base);
    fake_open(&p->b, p->door.base);
    p->door.config.kind = REDIS_CLUSTER;
    p->door.config.timeout_ms = 20000;
    p->door.hosts[0].port = p->a.port;
    snprintf(p->slots_of_a, sizeof(p->slots_of_a), "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%u\r\n",
             (unsigned)p->a.port);
    snprintf(p->slots_of_b, sizeof(p->slots_of_b), "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%u\r\n",
             (unsigned)p->b.port);
    snprintf(p->moved_to_a, sizeof(p->moved_to_a), "-MOVED 7233 127.0.0.1:%u\r\n", (unsigned)p->a.port);
    snprintf(p->moved_to_b, sizeof(p->moved_to_b), "-MOVED 7233 127.0.0.1:%u\r\n", (unsigned)p->b.port);
    snprintf(p->ask_b, sizeof(p->ask_b), "-ASK 7233 127.0.0.1:%u\r\n", (unsigned)p->b.port);
}

static void knock(struct pair *p)
{
    door_knock(&p->door, "return 1");
    door_until(&p->door, p->door.ready == 1);
}

static void close_pair(struct pair *p)
{
    fake_close(&p->a);
    fake_close(&p->b);
    door_close(&p->door);
}

static void the_node_of_the_slot_is_found(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    fake_rule(&p.a, "CLUSTER SLOTS", p.slots_of_b, 0);
    knock(&p);
    assert_int_equal(fake_noted(&p.a, "ROLE"), 0);
    assert_int_equal(fake_noted(&p.b, "ROLE"), 1);
    assert_int_equal(fake_noted(&p.b, "SUBSCRIBE"), 1);
    close_pair(&p);
}

static void nodes_that_are_gone_are_passed_over(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    p.door.hosts[0].port = 1;
    p.door.hosts[1] = (struct config_redis_host){.host = "127.0.0.1", .port = p.b.port};
    p.door.config.host_count = 2;
    fake_rule(&p.b, "CLUSTER SLOTS", p.slots_of_a, 0);
    knock(&p);
    assert_string_equal(p.door.events, "redis_connected;");
    close_pair(&p);
}

/* The node that named all others is gone: they are asked, though the file does not have them. */
static void who_was_named_once_is_remembered(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    fake_rule(&p.a, "CLUSTER SLOTS", p.slots_of_b, 0);
    fake_rule(&p.b, "CLUSTER SLOTS", p.slots_of_b, 0);
    knock(&p);
    fake_close(&p.a);
    fake_drop_all(&p.b);
    door_until(&p.door, p.door.ready == 2);
    assert_int_equal(fake_noted(&p.b, "CLUSTER SLOTS"), 1);
    close_pair(&p);
}

static void a_slot_nobody_has_is_waited_for(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    fake_rule(&p.a, "CLUSTER SLOTS", "*0\r\n", 2);
    fake_rule(&p.a, "CLUSTER SLOTS", p.slots_of_a, 0);
    knock(&p);
    assert_int_equal(door_facts(&p.door).faults[REDIS_FAULT_LOADING], 2);
    close_pair(&p);
}

static void a_server_that_is_no_cluster_is_said(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    fake_rule(&p.a, "CLUSTER SLOTS", "-ERR This instance has cluster support disabled\r\n", 0);
    door_knock(&p.door, "return 1");
    door_until(&p.door, door_facts(&p.door).faults[REDIS_FAULT_REFUSED] >= 1);
    assert_non_null(strstr(door_facts(&p.door).last_error, "cluster support disabled"));
    close_pair(&p);
}

static void moved_is_followed(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    fake_rule(&p.a, "CLUSTER SLOTS", p.slots_of_a, 0);
    fake_rule(&p.a, "EVALSHA", p.moved_to_b, 0);
    knock(&p);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(door_ask(&p.door, i, "{}"), REDIS_FAULT_NONE);
    door_until(&p.door, p.door.answers >= 1);
    assert_int_equal(door_ask(&p.door, 3, "{}"), REDIS_FAULT_NONE);
    door_until(&p.door, p.door.answers == 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(p.door.answer[i].fault, REDIS_FAULT_NONE);
    assert_int_equal(p.door.ready, 1);
    assert_int_equal(p.door.lost, 0);
    assert_string_equal(p.door.events, "redis_connected;redis_moved;");
    assert_int_equal(fake_noted(&p.b, "EVALSHA"), 4);
    assert_int_equal(fake_noted(&p.b, "SUBSCRIBE"), 1);
    close_pair(&p);
}

static void moved_to_nobody_ends_in_a_loss(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    fake_rule(&p.a, "CLUSTER SLOTS", p.slots_of_a, 0);
    fake_rule(&p.a, "EVALSHA", "-MOVED 7233 127.0.0.1:1\r\n", 1);
    knock(&p);
    assert_int_equal(door_ask(&p.door, 1, "{}"), REDIS_FAULT_NONE);
    door_until(&p.door, p.door.lost == 1);
    assert_int_equal(p.door.answer[0].fault, REDIS_FAULT_CONNECT);
    door_until(&p.door, p.door.ready == 2);
    close_pair(&p);
}

static void nodes_that_send_in_circles_are_not_followed_for_ever(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    p.door.config.timeout_ms = 600;
    fake_rule(&p.a, "CLUSTER SLOTS", p.slots_of_a, 0);
    fake_rule(&p.a, "EVALSHA", p.moved_to_b, 0);
    fake_rule(&p.b, "EVALSHA", p.moved_to_a, 0);
    knock(&p);
    assert_int_equal(door_ask(&p.door, 1, "{}"), REDIS_FAULT_NONE);
    door_until(&p.door, p.door.lost == 1);
    assert_int_equal(p.door.answers, 1);
    assert_int_equal(p.door.answer[0].fault, REDIS_FAULT_LOADING);
    assert_true(fake_noted(&p.a, "ROLE") + fake_noted(&p.b, "ROLE") <= 6);
    close_pair(&p);
}

static void a_node_that_sends_to_itself(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    fake_rule(&p.a, "CLUSTER SLOTS", p.slots_of_a, 0);
    fake_rule(&p.a, "EVALSHA", p.moved_to_a, 2);
    knock(&p);
    assert_int_equal(door_ask(&p.door, 1, "{}"), REDIS_FAULT_NONE);
    door_until(&p.door, p.door.answers == 1);
    assert_int_equal(p.door.answer[0].fault, REDIS_FAULT_NONE);
    assert_int_equal(fake_noted(&p.a, "ROLE"), 1);
    close_pair(&p);
}

static void ask_is_followed_once(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    fake_rule(&p.a, "CLUSTER SLOTS", p.slots_of_a, 0);
    fake_rule(&p.a, "EVALSHA", p.ask_b, 2);
    knock(&p);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(door_ask(&p.door, i, "{}"), REDIS_FAULT_NONE);
    door_until(&p.door, p.door.answers == 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(p.door.answer[i].fault, REDIS_FAULT_NONE);
    assert_int_equal(fake_noted(&p.b, "ASKING;EVALSHA"), 2);
    assert_int_equal(fake_noted(&p.b, "ROLE"), 0);
    assert_int_equal(p.door.lost, 0);
    close_pair(&p);
}

static void ask_to_nobody_goes_back(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    fake_rule(&p.a, "CLUSTER SLOTS", p.slots_of_a, 0);
    fake_rule(&p.a, "EVALSHA", "-ASK 7233 127.0.0.1:1\r\n", 1);
    knock(&p);
    assert_int_equal(door_ask(&p.door, 1, "{}"), REDIS_FAULT_NONE);
    door_until(&p.door, p.door.answers == 1);
    assert_int_equal(p.door.answer[0].fault, REDIS_FAULT_NONE);
    close_pair(&p);
}

static void who_was_asked_aside_and_closes_gives_no_answer(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    fake_rule(&p.a, "CLUSTER SLOTS", p.slots_of_a, 0);
    fake_rule(&p.a, "EVALSHA", p.ask_b, 1);
    fake_closes(&p.b, "EVALSHA", NULL, 1);
    knock(&p);
    assert_int_equal(door_ask(&p.door, 1, "{}"), REDIS_FAULT_NONE);
    door_until(&p.door, p.door.answers == 1);
    assert_int_equal(p.door.answer[0].fault, REDIS_FAULT_CLOSED);
    assert_int_equal(p.door.lost, 0);
    close_pair(&p);
}

/* However much is asked meanwhile. */
static void tries_again_in_a_moment(const char *reply)
{
    struct pair p;
    open_pair(&p);
    fake_rule(&p.a, "CLUSTER SLOTS", p.slots_of_a, 0);
    fake_rule(&p.a, "EVALSHA", reply, 2);
    knock(&p);
    assert_int_equal(door_ask(&p.door, 1, "{}"), REDIS_FAULT_NONE);
    for (bool answered = false; !answered;) {
        (void)door_ask(&p.door, 2, "{}");
        event_base_loop(p.door.base, EVLOOP_NONBLOCK);
        for (unsigned i = 0; i < p.door.answers; i++) {
            assert_int_equal(p.door.answer[i].fault, REDIS_FAULT_NONE);
            answered = answered || p.door.answer[i].ticket == 1;
        }
        p.door.answers = 0;
    }
    assert_int_equal(p.door.lost, 0);
    close_pair(&p);
}

static void what_is_there_in_a_moment_is_waited_for(void **state)
{
    (void)state;
    tries_again_in_a_moment("-TRYAGAIN Multiple keys request during rehashing of slot\r\n");
    tries_again_in_a_moment("-CLUSTERDOWN The cluster is down\r\n");
}

static void a_cluster_that_stays_down_is_looked_for_anew(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    p.door.config.timeout_ms = 600;
    fake_rule(&p.a, "CLUSTER SLOTS", p.slots_of_a, 1);
    fake_rule(&p.a, "CLUSTER SLOTS", p.slots_of_b, 0);
    fake_rule(&p.a, "EVALSHA", "-CLUSTERDOWN The cluster is down\r\n", 0);
    knock(&p);
    assert_int_equal(door_ask(&p.door, 1, "{}"), REDIS_FAULT_NONE);
    door_until(&p.door, p.door.lost == 1);
    assert_int_equal(p.door.fault, REDIS_FAULT_LOADING);
    door_until(&p.door, p.door.ready == 2);
    assert_string_equal(p.door.events, "redis_connected;redis_lost;redis_failover;redis_connected;");
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_those_of_real_servers),
        cmocka_unit_test(redirects_are_read),
        cmocka_unit_test(maps_of_slots_are_read),
        cmocka_unit_test(the_node_of_the_slot_is_found),
        cmocka_unit_test(nodes_that_are_gone_are_passed_over),
        cmocka_unit_test(who_was_named_once_is_remembered),
        cmocka_unit_test(a_slot_nobody_has_is_waited_for),
        cmocka_unit_test(a_server_that_is_no_cluster_is_said),
        cmocka_unit_test(moved_is_followed),
        cmocka_unit_test(moved_to_nobody_ends_in_a_loss),
        cmocka_unit_test(nodes_that_send_in_circles_are_not_followed_for_ever),
        cmocka_unit_test(a_node_that_sends_to_itself),
        cmocka_unit_test(ask_is_followed_once),
        cmocka_unit_test(ask_to_nobody_goes_back),
        cmocka_unit_test(who_was_asked_aside_and_closes_gives_no_answer),
        cmocka_unit_test(what_is_there_in_a_moment_is_waited_for),
        cmocka_unit_test(a_cluster_that_stays_down_is_looked_for_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
