/*
 * The HTTP client against peers that misbehave from a script.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/shuntctl/client.h"

/* Takes one connection, reads a request's head, sends `bytes`; then closes, or with `hang` waits for the client to go.
 */
struct peer {
    int listener;
    uint16_t port;
    const char *bytes;
    size_t length;
    bool hang;
    char request[4096];
    pthread_t thread;
};

static void *play(void *context)
{
    struct peer *peer = context;
    int fd = accept(peer->listener, NULL, NULL);
    size_t got = 0;
    while (strstr(peer->request, "\r\n\r\n") == NULL) {
        ssize_t n = recv(fd, peer->request + got, sizeof(peer->request) - 1 - got, 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    for (size_t sent = 0; sent < peer->length;) {
        ssize_t n = send(fd, peer->bytes + sent, peer->length - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    char rest[256];
    while (peer->hang && recv(fd, rest, sizeof(rest), 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void peer_start(struct peer *peer, const char *bytes, bool hang)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    *peer = (struct peer){.bytes = bytes, .length = strlen(bytes), .hang = hang};
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(peer->listener, 1), 0);
    assert_int_equal(getsockname(peer->listener, (struct sockaddr *)&address, &length), 0);
    peer->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&peer->thread, NULL, play, peer), 0);
}

static void peer_stop(struct peer *peer)
{
    pthread_join(peer->thread, NULL);
    close(peer->listener);
}

static struct client client_of(const struct peer *peer, uint64_t timeout_ms)
{
    struct client client;
    char admin[32], *error = NULL;
    snprintf(admin, sizeof(admin), "127.0.0.1:%u", (unsigned)peer->port);
    assert_true(client_init(&client, admin, timeout_ms, &error));
    return client;
}

static void assert_fails(const char *bytes, bool hang, uint64_t timeout_ms, const char *part)
{
    struct peer peer;
    struct answer answer;
    char *error = NULL;
    peer_start(&peer, bytes, hang);
    struct client client = client_of(&peer, timeout_ms);
    assert_false(client_call(&client, "GET", "/", NULL, &answer, &error));
    if (strstr(error, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, error);
    free(error);
    peer_stop(&peer);
}

static void answer_is_taken_whole(void **state)
{
    struct peer peer;
    struct answer answer;
    char *error = NULL;
    (void)state;
    peer_start(&peer, "HTTP/1.1 404 Not Found\r\nX-A: b\r\ncontent-length: 5\r\n\r\nhello", false);
    struct client client = client_of(&peer, 10000);
    assert_true(client_set_token(&client, "s3cret", "test", &error));
    assert_true(client_call(&client, "POST", "/a?b=c", "{\"x\": 1}", &answer, &error));
    assert_int_equal(answer.status, 404);
    assert_string_equal(answer.body, "hello");
    free(answer.body);
    peer_stop(&peer);
    assert_int_equal(strncmp(peer.request, "POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:", 38), 0);
    assert_non_null(strstr(peer.request, "\r\nAuthorization: Bearer s3cret\r\n"));
    assert_non_null(strstr(peer.request, "\r\nContent-Length: 8\r\n"));
    assert_non_null(strstr(peer.request, "\r\nConnection: close\r\n"));
}

static void answer_without_length_ends_with_the_connection(void **state)
{
    struct peer peer;
    struct answer answer;
    char *error = NULL;
    (void)state;
    peer_start(&peer, "HTTP/1.0 200 OK\r\n\r\nall of it", false);
    struct client client = client_of(&peer, 10000);
    assert_true(client_call(&client, "GET", "/", NULL, &answer, &error));
    assert_string_equal(answer.body, "all of it");
    free(answer.body);
    peer_stop(&peer);
}

static void what_is_no_answer_of_shunt_is_refused(void **state)
{
    (void)state;
    static const char hint[] = "does not answer like shunt; is admin.address right?";
    assert_fails("", false, 10000, "closes the connection without an answer");
    assert_fails("SSH-2.0-OpenSSH_9.2\r\n", false, 10000, hint);
    assert_fails("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", false, 10000, hint);
    assert_fails("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", false, 10000, "ends before its answer is whole");
    assert_fails("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello", false, 10000, hint);
    assert_fails("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, 10000, hint);
}

static void a_lost_answer_to_a_change_is_told_as_such(void **state)
{
    struct peer peer;
    struct answer answer;
    char *error = NULL;
    (void)state;
    peer_start(&peer, "", false);
    struct client client = client_of(&peer, 10000);
    assert_false(client_call(&client, "POST", "/", "{}", &answer, &error));
    assert_non_null(strstr(error, "it may have been done all the same"));
    free(error);
    peer_stop(&peer);
}

static void the_media_type_is_told(void **state)
{
    struct peer peer;
    struct answer answer;
    char *error = NULL;
    (void)state;
    peer_start(&peer, "HTTP/1.1 200 OK\r\ncontent-type:  application/yaml; x=y\r\n\r\na: b\n", false);
    struct client client = client_of(&peer, 10000);
    assert_true(client_call(&client, "GET", "/", NULL, &answer, &error));
    assert_string_equal(answer.type, "application/yaml; x=y");
    free(answer.body);
    peer_stop(&peer);
}

static void silence_ends_at_the_deadline(void **state)
{
    (void)state;
    assert_fails("", true, 50, "no answer from shunt at 127.0.0.1:");
    assert_fails("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", true, 50, "within 0.05 s; is it busy (--timeout)");
}

static void nobody_there_is_told_with_a_remedy(void **state)
{
    struct peer peer;
    struct answer answer;
    char *error = NULL;
    (void)state;
    peer_start(&peer, "", false);
    struct client client = client_of(&peer, 10000);
    assert_false(client_call(&client, "GET", "/", NULL, &answer, &error));
    free(error);
    peer_stop(&peer); /* its port is free now */
    assert_false(client_call(&client, "GET", "/", NULL, &answer, &error));
    assert_non_null(strstr(error, "cannot reach shunt at 127.0.0.1:"));
    assert_non_null(strstr(error, "Connection refused; is it running"));
    free(error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answer_is_taken_whole),
        cmocka_unit_test(answer_without_length_ends_with_the_connection),
        cmocka_unit_test(what_is_no_answer_of_shunt_is_refused),
        cmocka_unit_test(a_lost_answer_to_a_change_is_told_as_such),
        cmocka_unit_test(the_media_type_is_told),
        cmocka_unit_test(silence_ends_at_the_deadline),
        cmocka_unit_test(nobody_there_is_told_with_a_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
