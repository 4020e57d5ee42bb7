/*
 * The way to Redis against a real redis-server: in clear, by a unix socket, by TLS, with ACLs; stopped, killed, empty,
 * full, demoted. Skipped where none is installed.
 */
#include "redis_support.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include "tls_support.h"

static const char script[] = "redis.call('PUBLISH', 'shunt:{g}:news', ARGV[2])\n"
                             "return redis.call('INCR', KEYS[1]) .. ':' .. ARGV[1]";

struct server {
    pid_t pid; /* 0: it does not run */
    uint16_t port, tls_port;
    char folder[32], unix_path[64];
    char more[512]; /* lines of the configuration */
};

static bool is_installed(void)
{
    return access("/usr/bin/redis-server", X_OK) == 0;
}

static uint16_t free_port(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &length), 0);
    close(fd);
    return ntohs(to.sin_port);
}

static void write_configuration(const struct server *server)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/conf", server->folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file, "bind 127.0.0.1\nport %u\ndir %s\nsave \"\"\nunixsocket %s\nlogfile %s/log\n%s",
            (unsigned)server->port, server->folder, server->unix_path, server->folder, server->more);
    assert_int_equal(fclose(file), 0);
}

static void server_start(struct server *server)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/conf", server->folder);
    pid_t parent = getpid();
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        execl("/usr/bin/redis-server", "redis-server", path, (char *)NULL);
    _exit(127);
}

static void server_kill(struct server *server)
{
    if (server->pid == 0)
        return;
    kill(server->pid, SIGKILL);
    assert_int_equal(waitpid(server->pid, NULL, 0), server->pid);
    server->pid = 0;
}

static void server_open(struct server *server, const char *more)
{
    memset(server, 0, sizeof(*server));
    strcpy(server->folder, "/tmp/shunt-redis-XXXXXX");
    assert_non_null(mkdtemp(server->folder));
    server->port = free_port();
    snprintf(server->unix_path, sizeof(server->unix_path), "%s/socket", server->folder);
    snprintf(server->more, sizeof(server->more), "%s", more);
    write_configuration(server);
    server_start(server);
}

static void server_close(struct server *server)
{
    static const char *const files[] = {"conf", "log", "socket", "dump.rdb"};
    char path[64];
    server_kill(server);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", server->folder, files[i]);
        unlink(path);
    }
    rmdir(server->folder);
}

/* One command, as an operator gives it. */
static void server_does(const struct server *server, const char *command)
{
    redisContext *admin = redisConnect("127.0.0.1", server->port);
    assert_non_null(admin);
    assert_int_equal(admin->err, 0);
    redisReply *reply = NULL;
    char *whole = NULL;
    int length = redisFormatCommand(&whole, command);
    assert_true(length > 0);
    assert_int_equal(redisAppendFormattedCommand(admin, whole, (size_t)length), REDIS_OK);
    assert_int_equal(redisGetReply(admin, (void **)&reply), REDIS_OK);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    redisFreeCommand(whole);
    redisFree(admin);
}

static void asks_well(struct door *door, const char *expected)
{
    unsigned messages = door->messages, answers = door->answers;
    assert_int_equal(door_ask(door, 1, "{}"), REDIS_FAULT_NONE);
    door_until(door, door->answers > answers && door->messages > messages);
    assert_int_equal(door->answer[answers].fault, REDIS_FAULT_NONE);
    assert_string_equal(door->answer[answers].text, expected);
    assert_string_equal(door->message, "{}");
}

static void in_clear_with_each_version(void **state)
{
    (void)state;
    static const enum config_redis_resp versions[] = {REDIS_RESP_AUTO, REDIS_RESP_2, REDIS_RESP_3};
    struct server server;
    if (!is_installed())
        skip();
    server_open(&server, "");
    for (uint32_t i = 0; i < 3; i++) {
        struct door door;
        door_init(&door, server.port);
        door.config.resp = versions[i];
        door.config.database = i;
        door_knock(&door, script);
        door_until(&door, door.ready == 1);
        asks_well(&door, "1:beat"); /* each in a database of its own */
        door_close(&door);
    }
    server_close(&server);
}

static void by_a_unix_socket(void **state)
{
    (void)state;
    struct server server;
    struct door door;
    if (!is_installed())
        skip();
    server_open(&server, "");
    door_init(&door, 0);
    door.hosts[0].host = server.unix_path;
    door_knock(&door, script);
    door_until(&door, door.ready == 1);
    asks_well(&door, "1:beat");
    assert_string_equal(door_facts(&door).server, server.unix_path);
    door_close(&door);
    server_close(&server);
}

static void a_user_with_no_more_than_it_needs(void **state)
{
    (void)state;
    struct server server;
    struct door door;
    if (!is_installed())
        skip();
    server_open(
        &server,
        "user default off\nuser shunt on >secret ~shunt:{g}:* &shunt:{g}:* -@all +hello +auth +select +ping +role "
        "+subscribe +publish +evalsha +eval +incr\nuser deaf on >secret ~shunt:{g}:* resetchannels +@all\n");
    door_init(&door, server.port);
    door.config.username = "shunt";
    door.config.password = "secret";
    door_knock(&door, script);
    door_until(&door, door.ready == 1);
    asks_well(&door, "1:beat");
    struct config_redis other = door.config;
    other.username = "deaf"; /* may do everything but listen */
    redis_configure(door.redis, &other);
    door_until(&door, door_facts(&door).last_fault == REDIS_FAULT_AUTH);
    assert_false(redis_is_ready(door.redis));
    struct config_redis wrong = door.config;
    wrong.password = "wrong";
    redis_configure(door.redis, &wrong);
    door_until(&door, door_facts(&door).faults[REDIS_FAULT_AUTH] >= 3);
    assert_false(redis_is_ready(door.redis));
    redis_configure(door.redis, &door.config);
    door_until(&door, door.ready == 2);
    door_close(&door);
    server_close(&server);
}

/* ---- TLS ---- */

struct secure {
    struct authority authority;
    struct server server;
    struct pair_files pair;
};

static void secure_open(struct secure *secure, const char *auth_clients)
{
    char more[512];
    authority_open(&secure->authority, "the authority");
    secure->pair = make_pair(&secure->authority, "redis", "DNS:localhost,IP:127.0.0.1", false, DAY_S);
    uint16_t tls_port = free_port();
    snprintf(more, sizeof(more),
             "tls-port %u\ntls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\ntls-auth-clients %s\n",
             (unsigned)tls_port, secure->pair.certificate, secure->pair.key, secure->authority.ca, auth_clients);
    server_open(&secure->server, more);
    secure->server.tls_port = tls_port;
}

static void secure_close(struct secure *secure)
{
    server_close(&secure->server);
    authority_close(&secure->authority);
}

static void secure_door(struct door *door, struct secure *secure)
{
    door_init(door, secure->server.tls_port);
    door->config.is_tls = true;
    door->config.ca = secure->authority.ca;
}

static void by_tls(void **state)
{
    (void)state;
    struct secure secure;
    struct door door;
    if (!is_installed())
        skip();
    secure_open(&secure, "no");
    secure_door(&door, &secure);
    door_knock(&door, script);
    door_until(&door, door.ready == 1);
    asks_well(&door, "1:beat");
    assert_int_equal(door_facts(&door).unverified, 0);
    char *long_document = calloc(1, 300001); /* many records, both ways */
    assert_non_null(long_document);
    memset(long_document, 'x', 300000);
    assert_int_equal(door_ask(&door, 9, long_document), REDIS_FAULT_NONE);
    door_until(&door, door.messages == 2 && door.answers == 2);
    free(long_document);
    door_close(&door);
    secure_close(&secure);
}

static void fails_by_tls(struct door *door, const char *why)
{
    door_knock(door, script);
    door_until(door, door_facts(door).faults[REDIS_FAULT_TLS] >= 1);
    if (strstr(door_facts(door).last_error, why) == NULL)
        print_error("%s\n", door_facts(door).last_error);
    assert_non_null(strstr(door_facts(door).last_error, why));
    assert_int_equal(door->ready, 0);
    assert_int_equal(door_facts(door).commands, 0); /* nothing was told, least of all a password */
    door_close(door);
}

static void strangers_are_not_told_the_password(void **state)
{
    (void)state;
    struct secure secure;
    struct authority stranger;
    struct door door;
    if (!is_installed())
        skip();
    secure_open(&secure, "no");
    authority_open(&stranger, "a stranger");
    secure_door(&door, &secure);
    door_knock(&door, script);
    door_until(&door, door.ready == 1); /* it runs */
    door_close(&door);
    secure_door(&door, &secure);
    door.config.ca = stranger.ca;
    door.config.password = "secret";
    fails_by_tls(&door, "certificate");
    secure_door(&door, &secure);
    door.config.server_name = "another.name";
    fails_by_tls(&door, "hostname mismatch");
    secure_door(&door, &secure);
    door.config.ca = NULL; /* the system's */
    fails_by_tls(&door, "certificate");
    secure_door(&door, &secure);
    door.config.ca = "/nowhere/ca.pem";
    fails_by_tls(&door, "/nowhere/ca.pem");
    authority_close(&stranger);
    secure_close(&secure);
}

static void unverified_is_possible_loud_and_counted(void **state)
{
    (void)state;
    struct secure secure;
    struct door door;
    if (!is_installed())
        skip();
    secure_open(&secure, "no");
    secure_door(&door, &secure);
    door.config.ca = NULL;
    door.config.insecure_skip_verify = true;
    door_knock(&door, script);
    door_until(&door, door.ready == 1);
    asks_well(&door, "1:beat");
    assert_true(door_facts(&door).unverified >= 2);
    assert_non_null(strstr(door.events, "redis_insecure;"));
    door_close(&door);
    secure_close(&secure);
}

static void a_client_certificate_is_shown(void **state)
{
    (void)state;
    struct secure secure;
    struct door door;
    if (!is_installed())
        skip();
    secure_open(&secure, "yes");
    struct pair_files ours = make_pair(&secure.authority, "shunt", NULL, false, DAY_S);
    secure_door(&door, &secure);
    door_knock(&door, script);
    door_until(&door, door_facts(&door).faults[REDIS_FAULT_TLS] >= 1);
    struct config_redis shown = door.config;
    shown.certificate = ours.certificate;
    shown.key = ours.key;
    redis_configure(door.redis, &shown);
    door_until(&door, door.ready == 1);
    asks_well(&door, "1:beat");
    door_close(&door);
    secure_close(&secure);
}

/* ---- harm ---- */

static void a_stopped_server_is_noticed_by_nobodys_question(void **state)
{
    (void)state;
    struct server server;
    struct door door;
    if (!is_installed())
        skip();
    server_open(&server, "");
    door_init(&door, server.port);
    door_knock(&door, script);
    door_until(&door, door.ready == 1);
    kill(server.pid, SIGSTOP);
    door_until(&door, door.lost == 1);
    assert_int_equal(door.fault, REDIS_FAULT_TIMEOUT);
    kill(server.pid, SIGCONT);
    door_until(&door, door.ready == 2);
    asks_well(&door, "1:beat");
    door_close(&door);
    server_close(&server);
}

static void a_killed_server_comes_back_empty(void **state)
{
    (void)state;
    struct server server;
    struct door door;
    if (!is_installed())
        skip();
    server_open(&server, "");
    door_init(&door, server.port);
    door_knock(&door, script);
    door_until(&door, door.ready == 1);
    asks_well(&door, "1:beat");
    asks_well(&door, "2:beat");
    server_kill(&server);
    door_until(&door, door.lost == 1);
    assert_int_equal(door.fault, REDIS_FAULT_CLOSED);
    server_start(&server);
    door_until(&door, door.ready == 2);
    asks_well(&door, "1:beat"); /* it does not know the script any more, either */
    door_close(&door);
    server_close(&server);
}

static void a_full_server_refuses_and_stays(void **state)
{
    (void)state;
    struct server server;
    struct door door;
    if (!is_installed())
        skip();
    server_open(&server, "");
    door_init(&door, server.port);
    door_knock(&door, script);
    door_until(&door, door.ready == 1);
    server_does(&server, "CONFIG SET maxmemory 1");
    assert_int_equal(door_ask(&door, 1, "{}"), REDIS_FAULT_NONE);
    door_until(&door, door.answers == 1);
    assert_int_equal(door.answer[0].fault, REDIS_FAULT_MEMORY);
    server_does(&server, "CONFIG SET maxmemory 0");
    asks_well(&door, "1:beat");
    assert_int_equal(door.lost, 0);
    door_close(&door);
    server_close(&server);
}

static void a_demoted_master_is_left_and_taken_back(void **state)
{
    (void)state;
    struct server server;
    struct door door;
    if (!is_installed())
        skip();
    server_open(&server, "");
    door_init(&door, server.port);
    door_knock(&door, script);
    door_until(&door, door.ready == 1);
    server_does(&server, "REPLICAOF 127.0.0.1 1");
    assert_int_equal(door_ask(&door, 1, "{}"), REDIS_FAULT_NONE);
    door_until(&door, door.lost == 1);
    assert_int_equal(door.answer[0].fault, REDIS_FAULT_READ_ONLY);
    door_until(&door, door_facts(&door).faults[REDIS_FAULT_READ_ONLY] >= 3);
    assert_int_equal(door.ready, 1);
    server_does(&server, "REPLICAOF NO ONE");
    door_until(&door, door.ready == 2);
    asks_well(&door, "1:beat");
    door_close(&door);
    server_close(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_clear_with_each_version),
        cmocka_unit_test(by_a_unix_socket),
        cmocka_unit_test(a_user_with_no_more_than_it_needs),
        cmocka_unit_test(by_tls),
        cmocka_unit_test(strangers_are_not_told_the_password),
        cmocka_unit_test(unverified_is_possible_loud_and_counted),
        cmocka_unit_test(a_client_certificate_is_shown),
        cmocka_unit_test(a_stopped_server_is_noticed_by_nobodys_question),
        cmocka_unit_test(a_killed_server_comes_back_empty),
        cmocka_unit_test(a_full_server_refuses_and_stays),
        cmocka_unit_test(a_demoted_master_is_left_and_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
