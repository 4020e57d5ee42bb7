/*
 * Listening sockets: one for each worker at one address, refused by name when somebody else has it.
 */
#include "proxy/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct listen_set opened(const struct config_address *address, uint32_t count)
{
    struct listen_set set;
    char *error = NULL;
    if (!listen_open(&set, address, count, false, &error))
        fail_msg("%s", error);
    return set;
}

static void refused(const struct config_address *address, const char *fault, const char *remedy)
{
    struct listen_set set;
    char *error = NULL;
    assert_false(listen_open(&set, address, 2, false, &error));
    if (error == NULL || strstr(error, fault) == NULL || strstr(error, remedy) == NULL ||
        strstr(error, address->text) == NULL)
        fail_msg("\"%s\" does not say \"%s\", \"%s\" and the place", error, fault, remedy);
    free(error);
    assert_null(set.fds);
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage at;
    socklen_t length = sizeof(at);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &length), 0);
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

static void port_0_gives_all_workers_the_same_port(void **state)
{
    (void)state;
    const struct config_address address = {.text = "127.0.0.1:0", .host = "127.0.0.1"};
    struct listen_set set = opened(&address, 4);
    char wanted[64];
    uint16_t port = port_of(set.fds[0]);
    assert_int_not_equal(port, 0);
    snprintf(wanted, sizeof(wanted), "127.0.0.1:%u", port);
    assert_string_equal(set.text, wanted);
    for (uint32_t i = 0; i < 4; i++) {
        int on = 0, nodelay = 0;
        socklen_t length = sizeof(on);
        assert_int_equal(port_of(set.fds[i]), port);
        assert_int_equal(getsockopt(set.fds[i], SOL_SOCKET, SO_ACCEPTCONN, &on, &length), 0);
        assert_int_equal(getsockopt(set.fds[i], IPPROTO_TCP, TCP_NODELAY, &nodelay, &length), 0);
        assert_true(on && nodelay);
        assert_int_equal(accept(set.fds[i], NULL, NULL), -1);
        assert_int_equal(errno, EAGAIN); /* non-blocking */
    }
    listen_close(&set);
}

static void two_files_lines_with_port_0_get_two_ports(void **state)
{
    (void)state;
    const struct config_address address = {.text = "127.0.0.1:0", .host = "127.0.0.1"};
    struct listen_set one = opened(&address, 2), other = opened(&address, 2);
    assert_string_not_equal(one.text, other.text);
    listen_close(&one);
    listen_close(&other);
}

/* SO_REUSEPORT alone would let the second one in, and take half of the first one's clients. */
static void a_port_that_is_listened_on_is_refused_unless_it_is_ours(void **state)
{
    (void)state;
    const struct config_address any = {.text = "127.0.0.1:0", .host = "127.0.0.1"};
    struct listen_set first = opened(&any, 2);
    const struct config_address same = {.text = "0.0.0.0:same", .host = "0.0.0.0", .port = port_of(first.fds[0])};
    refused(&same, "Address already in use", "choose another port");
    struct listen_set second;
    char *error = NULL;
    assert_true(listen_open(&second, &same, 2, true, &error));
    listen_close(&second);
    listen_close(&first);
    struct listen_set third = opened(&same, 2);
    listen_close(&third);
}

static void ipv6_and_ipv4_stand_side_by_side(void **state)
{
    (void)state;
    struct config_address address = {.text = "[::]:0", .host = "::"};
    struct listen_set set;
    char *error = NULL;
    if (!listen_open(&set, &address, 2, false, &error)) { /* a kernel without IPv6 */
        assert_non_null(strstr(error, "cannot listen"));
        free(error);
        skip();
    }
    assert_memory_equal(set.text, "[::]:", 5);
    address = (struct config_address){.text = "0.0.0.0", .host = "0.0.0.0", .port = port_of(set.fds[0])};
    struct listen_set four = opened(&address, 1);
    listen_close(&four);
    listen_close(&set);
}

static void addresses_of_elsewhere_are_refused(void **state)
{
    (void)state;
    const struct config_address elsewhere = {.text = "192.0.2.1:80", .host = "192.0.2.1", .port = 8080};
    refused(&elsewhere, "Cannot assign requested address", "address of this machine");
    const struct config_address nonsense = {
        .text = "no.such.host.invalid:80", .host = "no.such.host.invalid", .port = 80};
    refused(&nonsense, "no.such.host.invalid", "such as 0.0.0.0:8080");
}

/* ---- unix sockets ---- */

struct fixture {
    char folder[64];
    char path[128];
    struct config_address address;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->folder, "/tmp/shunt-listen-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof(f->path), "%s/sock", f->folder);
    f->address = (struct config_address){.text = f->path, .unix_path = f->path};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    assert_int_equal(rmdir(f->folder), 0);
    free(f);
    return 0;
}

static void connects(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    close(fd);
}

static void a_unix_socket_is_shared_and_taken_away(void **state)
{
    struct fixture *f = *state;
    struct listen_set set = opened(&f->address, 3);
    assert_true(set.fds[0] != set.fds[1] && set.fds[1] != set.fds[2]);
    connects(f->path);
    int taken = accept(set.fds[2], NULL, NULL);
    assert_true(taken >= 0);
    close(taken);
    refused(&f->address, "Address already in use", "end the program");
    listen_unlink(&set);
    listen_close(&set);
    assert_int_equal(access(f->path, F_OK), -1);
}

static void a_socket_left_by_a_crash_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct listen_set left = opened(&f->address, 1);
    close(left.fds[0]);
    left.fds[0] = -1;
    struct listen_set set = opened(&f->address, 1);
    connects(f->path);
    listen_unlink(&set);
    listen_close(&left);
    listen_close(&set);
}

static void a_file_that_is_no_socket_is_not_touched(void **state)
{
    struct fixture *f = *state;
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    fclose(file);
    refused(&f->address, "cannot listen", "");
    assert_int_equal(access(f->path, F_OK), 0);
}

static void a_path_too_long_is_refused(void **state)
{
    (void)state;
    char path[200];
    memset(path, 'a', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    const struct config_address address = {.text = path, .unix_path = path};
    refused(&address, "too long", "at most 107 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_0_gives_all_workers_the_same_port),
        cmocka_unit_test(two_files_lines_with_port_0_get_two_ports),
        cmocka_unit_test(a_port_that_is_listened_on_is_refused_unless_it_is_ours),
        cmocka_unit_test(ipv6_and_ipv4_stand_side_by_side),
        cmocka_unit_test(addresses_of_elsewhere_are_refused),
        cmocka_unit_test_setup_teardown(a_unix_socket_is_shared_and_taken_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_socket_left_by_a_crash_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_socket_is_not_touched, set_up, tear_down),
        cmocka_unit_test(a_path_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
