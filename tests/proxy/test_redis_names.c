/*
 * Names of Redis servers, asked of a DNS server that plays; and one server behind a name with several addresses, of
 * which not each is what is wanted.
 */
#include "proxy/redis_names.h"

#include "redis_support.h"

#include <event2/dns.h>
#include <event2/dns_struct.h>

#include "proxy/redis_node.h"

struct town {
    struct event_base *base;
    struct evdns_server_port *server;
    char nameserver[32];
    struct redis_names *names;
    unsigned asked;
    /* what was told */
    unsigned told, addresses;
    char first[64], last[64], why[128];
};

/* "one.test" has an address, "two.test" has two, "silent.test" is not answered, no other name is known. */
static void on_question(struct evdns_server_request *request, void *context)
{
    struct town *town = context;
    const struct evdns_server_question *question = request->questions[0];
    unsigned char addresses[2][4] = {{127, 0, 0, 1}, {127, 0, 0, 2}};
    town->asked++;
    if (strcasecmp(question->name, "silent.test") == 0) {
        evdns_server_request_drop(request);
        return;
    }
    int count = strcasecmp(question->name, "one.test") == 0 ? 1 : strcasecmp(question->name, "two.test") == 0 ? 2 : 0;
    if (count > 0 && question->type == EVDNS_TYPE_A)
        assert_int_equal(evdns_server_request_add_a_reply(request, question->name, count, addresses, 60), 0);
    evdns_server_request_respond(request, count > 0 ? 0 : 3);
}

static void town_open(struct town *town)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(to);
    memset(town, 0, sizeof(*town));
    town->base = event_base_new();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &length), 0);
    town->server = evdns_add_server_port_with_base(town->base, fd, 0, on_question, town);
    assert_non_null(town->server);
    snprintf(town->nameserver, sizeof(town->nameserver), "127.0.0.1:%u", (unsigned)ntohs(to.sin_port));
    town->names = redis_names_new(town->base, town->nameserver);
    assert_non_null(town->names);
}

static void town_close(struct town *town)
{
    redis_names_free(town->names);
    evdns_close_server_port(town->server);
    event_base_loop(town->base, EVLOOP_NONBLOCK);
    event_base_free(town->base);
}

static void on_addresses(void *context, struct endpoint_list *list, const char *why)
{
    struct town *town = context;
    town->told++;
    assert_true((list == NULL) == (why != NULL));
    if (list != NULL) {
        town->addresses = list->count;
        snprintf(town->first, sizeof(town->first), "%s", list->address[0].text);
        snprintf(town->last, sizeof(town->last), "%s", list->address[list->count - 1].text);
    } else {
        snprintf(town->why, sizeof(town->why), "%s", why);
    }
    endpoint_list_unref(list);
}

static struct redis_lookup *look_up(struct town *town, const char *host, uint16_t port, uint64_t timeout_ms)
{
    struct redis_lookup *lookup = redis_names_ask(town->names, host, port, timeout_ms, on_addresses, town);
    assert_non_null(lookup);
    assert_int_equal(town->told, 0);
    return lookup;
}

static void finds(const char *host, uint16_t port, unsigned count, const char *first, const char *last)
{
    struct town town;
    town_open(&town);
    (void)look_up(&town, host, port, 20000);
    while (town.told == 0)
        event_base_loop(town.base, EVLOOP_ONCE);
    assert_int_equal(town.addresses, count);
    if (count > 0) {
        assert_string_equal(town.first, first);
        assert_string_equal(town.last, last);
    } else {
        assert_true(strlen(town.why) > 0);
    }
    town_close(&town);
}

static void addresses_and_paths_are_taken_as_they_are(void **state)
{
    (void)state;
    finds("127.0.0.9", 7, 1, "127.0.0.9:7", "127.0.0.9:7");
    finds("::1", 7, 1, "[::1]:7", "[::1]:7");
    finds("/run/redis.sock", 0, 1, "unix:/run/redis.sock", "unix:/run/redis.sock");
}

static void names_have_all_their_addresses(void **state)
{
    (void)state;
    finds("one.test", 7, 1, "127.0.0.1:7", "127.0.0.1:7");
    finds("two.test", 8, 2, "127.0.0.1:8", "127.0.0.2:8");
    finds("none.test", 9, 0, NULL, NULL);
}

static void a_silent_server_is_waited_for_no_longer_than_said(void **state)
{
    (void)state;
    struct town town;
    town_open(&town);
    (void)look_up(&town, "silent.test", 7, 50);
    while (town.told == 0)
        event_base_loop(town.base, EVLOOP_ONCE);
    assert_string_equal(town.why, "no answer in time");
    town_close(&town); /* evdns still has it */
    assert_int_equal(town.told, 1);
}

static void what_is_taken_back_is_not_told(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "one.test", "silent.test"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct town town;
        town_open(&town);
        struct redis_lookup *lookup = look_up(&town, hosts[i], 7, 20000);
        redis_lookup_cancel(lookup);
        event_base_loop(town.base, EVLOOP_NONBLOCK);
        town_close(&town);
        assert_int_equal(town.told, 0);
    }
}

/* ---- several addresses ---- */

struct way {
    struct town town;
    struct redis_means means;
    struct config_redis config;
    struct fake here, there; /* 127.0.0.1 and 127.0.0.2, same port */
    struct redis_node *node;
    unsigned up, down;
    enum redis_fault fault;
    char why[256];
};

static void on_up(void *context)
{
    ((struct way *)context)->up++;
}

static void on_down(void *context, enum redis_fault fault, const char *why)
{
    struct way *way = context;
    way->down++;
    way->fault = fault;
    snprintf(way->why, sizeof(way->why), "%s", why);
}

static void way_open(struct way *way)
{
    memset(way, 0, sizeof(*way));
    town_open(&way->town);
    fake_open(&way->here, way->town.base);
    way->config.timeout_ms = 20000;
    way->means.base = way->town.base;
    way->means.names = way->town.names;
    way->means.config = &way->config;
}

/* The other one, on the same port. */
static void open_there(struct way *way)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(way->here.port)};
    inet_pton(AF_INET, "127.0.0.2", &to.sin_addr);
    way->there.base = way->town.base;
    way->there.listener = evconnlistener_new_bind(way->town.base, fake_on_accept, &way->there, LEV_OPT_CLOSE_ON_FREE, 8,
                                                  (struct sockaddr *)&to, sizeof(to));
    assert_non_null(way->there.listener);
}

static void go(struct way *way)
{
    const struct redis_node_hooks hooks = {.context = way, .on_up = on_up, .on_down = on_down};
    struct redis_place place = {.host = "two.test", .port = way->here.port};
    way->node = redis_node_open(&way->means, REDIS_NODE_MASTER, &place, "news", &hooks);
    assert_non_null(way->node);
    while (way->up == 0 && way->down == 0)
        event_base_loop(way->town.base, EVLOOP_ONCE);
}

static void way_close(struct way *way)
{
    redis_node_close(way->node);
    fake_close(&way->here);
    fake_close(&way->there);
    town_close(&way->town);
}

static const char is_replica[] = "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:1\r\n";

static void the_master_among_the_addresses_of_a_name_is_found(void **state)
{
    (void)state;
    struct way way;
    way_open(&way);
    open_there(&way);
    fake_rule(&way.here, "ROLE", is_replica, 0);
    go(&way);
    assert_int_equal(way.up, 1);
    assert_int_equal(fake_noted(&way.here, "SUBSCRIBE"), 0);
    assert_int_equal(fake_noted(&way.there, "SUBSCRIBE"), 1); /* both connections are of one server */
    way_close(&way);
}

static void where_nobody_is_the_next_address_is_tried(void **state)
{
    (void)state;
    struct way way;
    way_open(&way);
    open_there(&way);
    evconnlistener_free(way.here.listener);
    way.here.listener = NULL;
    go(&way);
    assert_int_equal(way.up, 1);
    way_close(&way);
}

/* That the last address is nobody's says less than what the first one said. */
static void the_most_telling_fault_is_told(void **state)
{
    (void)state;
    struct way way;
    way_open(&way);
    fake_rule(&way.here, "ROLE", is_replica, 0);
    go(&way);
    assert_int_equal(way.down, 1);
    assert_int_equal(way.fault, REDIS_FAULT_READ_ONLY);
    assert_non_null(strstr(way.why, "127.0.0.1:"));
    way_close(&way);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_and_paths_are_taken_as_they_are),
        cmocka_unit_test(names_have_all_their_addresses),
        cmocka_unit_test(a_silent_server_is_waited_for_no_longer_than_said),
        cmocka_unit_test(what_is_taken_back_is_not_told),
        cmocka_unit_test(the_master_among_the_addresses_of_a_name_is_found),
        cmocka_unit_test(where_nobody_is_the_next_address_is_tried),
        cmocka_unit_test(the_most_telling_fault_is_told),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
