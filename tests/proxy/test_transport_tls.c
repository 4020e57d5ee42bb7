/*
 * TLS as a transport: it fills the room it is given, knows without asking when the socket is empty, survives sockets
 * that take a part of what is offered, and tells an end from a cut. Over socket pairs; the client is plain OpenSSL.
 */
#include "proxy/transport_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "proxy/exchange.h"
#include "proxy/tls_context.h"
#include "proxy/tls_session.h"
#include "proxy/worker_inside.h"
#include "tests/proxy/tls_support.h"
#include "tests/proxy/unlimited.h"

struct fixture {
    struct authority authority;
    struct pair_files files;
    struct worker *worker;
    struct tls_context *context;
    struct conn conn;
    SSL_CTX *ctx;
    SSL *client;
    int fd; /* the client's */
};

static void on_readable(struct conn *conn)
{
    (void)conn;
}

static void on_failed(struct conn *conn, int error)
{
    (void)conn;
    fail_msg("writing failed: %s", strerror(error));
}

static const struct conn_events events = {.on_readable = on_readable, .on_failed = on_failed};

/* Both sides until both are done. */
static enum tls_step shake(struct fixture *f)
{
    enum tls_step step = TLS_STEP_WAIT;
    int theirs = 0;
    for (int i = 0; i < 20 && (step == TLS_STEP_WAIT || theirs != 1); i++) {
        theirs = theirs == 1 ? 1 : SSL_do_handshake(f->client);
        f->conn.dry = false;
        if (step == TLS_STEP_WAIT)
            step = tls_handshake(&f->conn);
        if (step == TLS_STEP_FAILED)
            break;
    }
    ERR_clear_error();
    return step;
}

static void open_pair(struct fixture *f)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    memset(&f->conn, 0, sizeof(f->conn));
    assert_true(conn_open(&f->conn, f->worker, fds[0], &events));
    assert_true(tls_begin_server(&f->conn, f->context));
    f->fd = fds[1];
    f->client = SSL_new(f->ctx);
    SSL_set_fd(f->client, f->fd);
    SSL_set_connect_state(f->client);
}

static void stand(struct fixture *f)
{
    char byte;
    open_pair(f);
    assert_int_equal(shake(f), TLS_STEP_STANDS);
    assert_int_equal(SSL_read(f->client, &byte, 1), -1); /* tickets */
    ERR_clear_error();
}

static int set_up(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    memset(f, 0, sizeof(*f));
    assert_int_equal(posix_memalign((void **)&f->worker, 64, sizeof(*f->worker)), 0);
    memset(f->worker, 0, sizeof(*f->worker));
    f->worker->memory = &unlimited;
    wheel_init(&f->worker->wheel, 0);
    f->worker->base = event_base_new();
    authority_open(&f->authority, "tests");
    f->files = make_pair(&f->authority, "localhost", "DNS:localhost", false, DAY_S);
    struct config_certificate pair = {f->files.certificate, f->files.key};
    const struct config_listener_tls tls = {.certificates = &pair,
                                            .certificate_count = 1,
                                            .client_ca = f->authority.ca,
                                            .client_certificate = CLIENT_CERTIFICATE_OPTIONAL};
    const struct config_listener listener = {.tls = &tls, .protocols = PROTOCOL_HTTP1};
    char *error = NULL;
    f->context = tls_context_of_listener(&listener, NULL, &error);
    assert_non_null(f->context);
    f->ctx = SSL_CTX_new(TLS_client_method());
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    conn_close(&f->conn);
    SSL_free(f->client);
    if (f->fd >= 0)
        close(f->fd);
    SSL_CTX_free(f->ctx);
    tls_context_unref(f->context);
    outq_clear(f->worker, &f->conn.out);
    while (f->worker->free_segments != NULL) {
        struct segment *next = f->worker->free_segments->next;
        free(f->worker->free_segments);
        f->worker->free_segments = next;
    }
    if (f->worker->input != NULL)
        chunk_unref(f->worker->input);
    chunk_pool_done(&f->worker->chunks);
    event_base_free(f->worker->base);
    free(f->worker);
    authority_close(&f->authority);
    return 0;
}

static void client_sends(struct fixture *f, const char *text)
{
    assert_int_equal(SSL_write(f->client, text, (int)strlen(text)), strlen(text));
}

static void edge(struct fixture *f)
{
    f->conn.readable = true;
    f->conn.dry = false;
}

static void reads(struct fixture *f, enum conn_read expected, const char *text, size_t room)
{
    char got[65536];
    size_t len = 0;
    assert_int_equal(conn_read_into(&f->conn, got, room, &len), expected);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(got, text, len);
}

/* ---- reading ---- */

static void all_records_come_at_once(void **state)
{
    struct fixture *f = *state;
    stand(f);
    client_sends(f, "one ");
    client_sends(f, "two ");
    client_sends(f, "three");
    edge(f);
    reads(f, CONN_READ_DATA, "one two three", 1000);
    assert_false(f->conn.readable);
    reads(f, CONN_READ_AGAIN, "", 1000);
}

static void what_has_no_room_stays_readable(void **state)
{
    struct fixture *f = *state;
    stand(f);
    client_sends(f, "one two three");
    edge(f);
    reads(f, CONN_READ_DATA, "one ", 4);
    assert_true(f->conn.readable);
    reads(f, CONN_READ_DATA, "two three", 1000);
    assert_false(f->conn.readable);
}

static void an_empty_socket_is_not_asked_again(void **state)
{
    struct fixture *f = *state;
    stand(f);
    client_sends(f, "one");
    edge(f);
    reads(f, CONN_READ_DATA, "one", 1000);
    assert_true(f->conn.dry);
    client_sends(f, "two"); /* there, and no edge has told of it */
    f->conn.readable = true;
    reads(f, CONN_READ_AGAIN, "", 1000);
    edge(f);
    reads(f, CONN_READ_DATA, "two", 1000);
}

static void behind_the_peers_end_everything_is_read(void **state)
{
    struct fixture *f = *state;
    stand(f);
    client_sends(f, "one");
    edge(f);
    reads(f, CONN_READ_DATA, "one", 1000);
    client_sends(f, "two");
    SSL_shutdown(f->client);
    close(f->fd);
    f->fd = -1;
    f->conn.readable = true;
    f->conn.peer_closed = true; /* told by an edge that also cleared `dry`, and then something set it again */
    f->conn.dry = true;
    reads(f, CONN_READ_DATA, "two", 1000);
    assert_true(f->conn.readable);
    reads(f, CONN_READ_END, "", 1000);
}

static void half_a_record_waits_for_its_rest(void **state)
{
    struct fixture *f = *state;
    stand(f);
    char record[256];
    BIO *memory = BIO_new(BIO_s_mem());
    BIO *socket = SSL_get_wbio(f->client);
    BIO_up_ref(socket);
    SSL_set0_wbio(f->client, memory);
    client_sends(f, "whole");
    int len = BIO_read(memory, record, sizeof(record));
    SSL_set0_wbio(f->client, socket);
    assert_true(len > 10);
    assert_int_equal(send(f->fd, record, 10, 0), 10);
    edge(f);
    reads(f, CONN_READ_AGAIN, "", 1000);
    assert_false(f->conn.readable);
    assert_int_equal(send(f->fd, record + 10, (size_t)len - 10, 0), len - 10);
    edge(f);
    reads(f, CONN_READ_DATA, "whole", 1000);
}

/* A ticket, a part of a record: what is behind it in the socket came with the same edge. */
static void a_cut_right_behind_what_is_no_data_is_seen(void **state)
{
    struct fixture *f = *state;
    stand(f);
    assert_int_equal(SSL_key_update(f->client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(f->client), 1); /* the message, and no data behind it */
    close(f->fd);
    f->fd = -1;
    edge(f);
    reads(f, CONN_READ_ERROR, "", 1000);
}

/* ---- ends ---- */

static void an_end_is_told_from_a_cut(void **state)
{
    struct fixture *f = *state;
    stand(f);
    client_sends(f, "half");
    close(f->fd); /* without TLS's own end */
    f->fd = -1;
    edge(f);
    f->conn.peer_closed = true; /* one edge tells of both */
    reads(f, CONN_READ_DATA, "half", 1000);
    assert_true(f->conn.readable); /* the end is still to be told, and makes no edge */
    reads(f, CONN_READ_ERROR, "", 1000);
    assert_int_equal(errno, ECONNRESET);
    reads(f, CONN_READ_ERROR, "", 1000); /* and stays told */
    tls_note_truncation(&f->conn);
    assert_int_equal(f->worker->counters.tls_down_truncated, 1);
}

static void an_end_with_notice_is_an_end(void **state)
{
    struct fixture *f = *state;
    stand(f);
    client_sends(f, "all");
    SSL_shutdown(f->client);
    edge(f);
    reads(f, CONN_READ_DATA, "all", 1000);
    assert_true(f->conn.readable);
    reads(f, CONN_READ_END, "", 1000);
    tls_note_truncation(&f->conn);
    assert_int_equal(f->worker->counters.tls_down_truncated, 0);
}

static int how_it_ends_for_the_client(struct fixture *f)
{
    char byte;
    int error = SSL_get_error(f->client, SSL_read(f->client, &byte, 1));
    ERR_clear_error();
    return error;
}

static void closing_says_so_and_resetting_does_not(void **state)
{
    struct fixture *f = *state;
    stand(f);
    conn_close(&f->conn);
    assert_int_equal(how_it_ends_for_the_client(f), SSL_ERROR_ZERO_RETURN);
    SSL_free(f->client);
    close(f->fd);
    stand(f);
    conn_reset(&f->conn);
    assert_int_not_equal(how_it_ends_for_the_client(f), SSL_ERROR_ZERO_RETURN);
}

static void what_could_not_be_sent_is_no_end(void **state)
{
    struct fixture *f = *state;
    static const char block[65536];
    stand(f);
    while (conn_flush(&f->conn) && !f->conn.blocked)
        assert_true(conn_send_copy(&f->conn, block, sizeof(block)));
    conn_close(&f->conn);
    static char got[65536];
    int n;
    while ((n = SSL_read(f->client, got, sizeof(got))) > 0)
        ;
    assert_int_not_equal(SSL_get_error(f->client, n), SSL_ERROR_ZERO_RETURN);
    ERR_clear_error();
}

static void half_closing_leaves_the_other_half(void **state)
{
    struct fixture *f = *state;
    stand(f);
    conn_shutdown_when_sent(&f->conn);
    assert_true(conn_flush(&f->conn));
    assert_int_equal(how_it_ends_for_the_client(f), SSL_ERROR_ZERO_RETURN);
    client_sends(f, "still here");
    edge(f);
    reads(f, CONN_READ_DATA, "still here", 1000);
}

/* ---- writing ---- */

/* Pieces of all sizes, a socket that takes little, and a queue that grows in between. */
static void everything_arrives_in_order(void **state)
{
    struct fixture *f = *state;
    enum {
        TOTAL = 3000000
    };
    static char got[65536];
    stand(f);
    int small = 4096;
    assert_int_equal(setsockopt(f->conn.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    size_t queued = 0, read = 0, size = 1;
    int blocked = 0;
    while (read < TOTAL) {
        for (int i = 0; i < 5 && queued < TOTAL; i++) {
            size_t len = size % 40000 < TOTAL - queued ? size % 40000 : TOTAL - queued;
            char *to = conn_send_reserve(&f->conn, len + 1);
            assert_non_null(to);
            for (size_t k = 0; k < len; k++)
                to[k] = (char)((queued + k) * 31 >> 3);
            conn_send_commit(&f->conn, len);
            queued += len;
            size = size * 7 + 13;
        }
        assert_true(conn_flush(&f->conn));
        blocked += f->conn.blocked;
        int n = SSL_read(f->client, got, (int)(size % sizeof(got)) + 1);
        for (int k = 0; k < n; k++)
            if (got[k] != (char)((read + (size_t)k) * 31 >> 3))
                fail_msg("byte %zu is wrong", read + (size_t)k);
        read += n > 0 ? (size_t)n : 0;
        f->conn.blocked = false;
        ERR_clear_error();
    }
    assert_int_equal(read, TOTAL);
    assert_true(blocked > 10);
}

static void small_pieces_are_one_record(void **state)
{
    struct fixture *f = *state;
    char got[100];
    stand(f);
    struct iovec parts[] = {{(void *)(uintptr_t) "", 0},
                            {(void *)(uintptr_t) "one ", 4},
                            {(void *)(uintptr_t) "", 0},
                            {(void *)(uintptr_t) "two", 3}};
    assert_int_equal(transport_tls.write(&f->conn, parts, 4), 7);
    assert_int_equal(SSL_read(f->client, got, sizeof(got)), 7); /* one record at a time */
    assert_memory_equal(got, "one two", 7);
}

/* ---- handshakes ---- */

static void failures_have_their_reasons(void **state)
{
    struct fixture *f = *state;
    static const char plain[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    open_pair(f);
    assert_int_equal(send(f->fd, plain, sizeof(plain) - 1, 0), sizeof(plain) - 1);
    assert_int_equal(tls_handshake(&f->conn), TLS_STEP_FAILED);
    assert_int_equal(tls_failure_of(&f->conn), TLS_FAILURE_PROTOCOL);
    conn_close(&f->conn);
    SSL_free(f->client);
    close(f->fd);

    open_pair(f);
    SSL_do_handshake(f->client);
    assert_int_equal(tls_handshake(&f->conn), TLS_STEP_WAIT);
    close(f->fd);
    f->conn.dry = false;
    assert_int_equal(tls_handshake(&f->conn), TLS_STEP_FAILED);
    assert_int_equal(tls_failure_of(&f->conn), TLS_FAILURE_CLOSED);
    conn_close(&f->conn);
    SSL_free(f->client);

    open_pair(f);
    tls_handshake_late(&f->conn);
    assert_int_equal(tls_failure_of(&f->conn), TLS_FAILURE_TIMEOUT);
    assert_int_equal(f->worker->counters.tls_down_failed, 3);
    assert_int_equal(f->worker->counters.tls_down_no_protocol, 1);
    assert_int_equal(f->worker->counters.tls_down_no_closed, 1);
    assert_int_equal(f->worker->counters.tls_down_no_timeout, 1);
    assert_int_equal(ERR_peek_error(), 0);
}

static void requests_are_told_what_they_came_by(void **state)
{
    struct fixture *f = *state;
    stand(f);
    struct exchange_request request = {.tls = false};
    tls_describe(&f->conn, &request);
    assert_true(request.tls);
    assert_false(request.early_data);
    assert_int_equal(request.client_certificate.len, 0);
    conn_close(&f->conn);
    SSL_free(f->client);
    close(f->fd);

    assert_int_equal(SSL_CTX_use_certificate_file(f->ctx, f->files.certificate, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(f->ctx, f->files.key, SSL_FILETYPE_PEM), 1);
    stand(f);
    for (int i = 0; i < 2; i++) {
        struct exchange_request other = {.tls = false};
        tls_describe(&f->conn, &other);
        assert_true(other.client_certificate.len > 70);
        assert_memory_equal(other.client_certificate.at, "Hash=", 5);
    }
}

/* ---- backends ---- */

/* We are the client; the other side asks for a certificate if `asks`. */
static enum tls_step visit_backend(struct fixture *f, const struct config_backend_tls *tls, bool asks,
                                   struct tls_session *session)
{
    const struct config_backend backend = {.name = "b", .tls = tls, .protocol = PROTOCOL_HTTP1};
    char *error = NULL;
    struct tls_context *context = tls_context_of_backend(&backend, &error);
    assert_non_null(context);
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    memset(&f->conn, 0, sizeof(f->conn));
    assert_true(conn_open(&f->conn, f->worker, fds[0], &events));
    assert_true(tls_begin_client(&f->conn, context, session));
    tls_context_unref(context); /* the connection has its own reference */
    f->fd = fds[1];
    SSL_CTX *server = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate_file(server, f->files.certificate, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(server, f->files.key, SSL_FILETYPE_PEM), 1);
    if (asks)
        SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    f->client = SSL_new(server);
    SSL_CTX_free(server);
    SSL_set_fd(f->client, f->fd);
    SSL_set_accept_state(f->client);
    enum tls_step step = TLS_STEP_WAIT;
    for (int i = 0; i < 5; i++) {
        f->conn.dry = false;
        if (step == TLS_STEP_WAIT)
            step = tls_handshake(&f->conn);
        (void)SSL_do_handshake(f->client);
        ERR_clear_error();
    }
    return step;
}

static void leave_backend(struct fixture *f)
{
    conn_close(&f->conn);
    SSL_free(f->client);
    f->client = NULL;
    close(f->fd);
    f->fd = -1;
}

static void backends_are_not_trusted_for_a_reason(void **state)
{
    struct fixture *f = *state;
    struct authority stranger, impostor;
    authority_open(&stranger, "a stranger");
    authority_open(&impostor, "tests");
    struct config_backend_tls tls = {.ca = f->authority.ca, .server_name = "elsewhere"};
    assert_int_equal(visit_backend(f, &tls, false, NULL), TLS_STEP_FAILED);
    assert_string_equal(tls_failure_text(&f->conn), "the backend's certificate is for another name");
    leave_backend(f);

    tls = (struct config_backend_tls){.ca = stranger.ca, .server_name = "localhost"};
    assert_int_equal(visit_backend(f, &tls, false, NULL), TLS_STEP_FAILED);
    assert_string_equal(tls_failure_text(&f->conn), "the backend's certificate is signed by an unknown CA");
    leave_backend(f);

    tls = (struct config_backend_tls){.ca = impostor.ca, .server_name = "localhost"};
    assert_int_equal(visit_backend(f, &tls, false, NULL), TLS_STEP_FAILED);
    assert_string_equal(tls_failure_text(&f->conn), "the backend's certificate cannot be verified");
    leave_backend(f);
    assert_int_equal(f->worker->counters.tls_up_no_certificate, 1);
    assert_int_equal(f->worker->counters.tls_up_no_certificate_name, 1);
    assert_int_equal(f->worker->counters.tls_up_no_certificate_authority, 1);

    tls.insecure_skip_verify = true;
    assert_int_equal(visit_backend(f, &tls, false, NULL), TLS_STEP_STANDS);
    leave_backend(f);
    assert_int_equal(f->worker->counters.tls_unverified, 1);

    tls = (struct config_backend_tls){.ca = f->authority.ca, .server_name = "localhost", .insecure_skip_verify = true};
    assert_int_equal(visit_backend(f, &tls, false, NULL), TLS_STEP_STANDS);
    assert_int_equal(f->worker->counters.tls_unverified, 1); /* it would have been accepted */
    authority_close(&stranger);
    authority_close(&impostor);
}

/* In TLS 1.3 our side of the handshake is over before the backend has looked at what we show. */
static void a_late_refusal_has_its_text(void **state)
{
    struct fixture *f = *state;
    struct config_backend_tls tls = {.ca = f->authority.ca, .server_name = "localhost"};
    assert_int_equal(visit_backend(f, &tls, true, NULL), TLS_STEP_STANDS);
    assert_string_equal(tls_reset_text(&f->conn), "the backend reset the connection");
    edge(f);
    reads(f, CONN_READ_ERROR, "", 1000);
    assert_non_null(strstr(tls_reset_text(&f->conn), "alert"));
    tls_note_truncation(&f->conn);
    assert_int_equal(f->worker->counters.tls_up_truncated, 0); /* it was said */
}

static void a_session_is_good_for_what_was_verified_with_it(void **state)
{
    struct fixture *f = *state;
    struct config_backend_tls tls = {.ca = f->authority.ca, .server_name = "localhost"};
    struct tls_session *session = tls_session_new();
    assert_int_equal(visit_backend(f, &tls, false, session), TLS_STEP_STANDS);
    edge(f);
    reads(f, CONN_READ_AGAIN, "", 1000); /* brings the tickets */
    assert_non_null(session->session);
    assert_ptr_equal(tls_session_for(session, session->context), session->session);
    leave_backend(f);
    /* Another context, as after a reload: nothing of the former one is taken on trust. */
    assert_int_equal(visit_backend(f, &tls, false, session), TLS_STEP_STANDS);
    assert_int_equal(f->worker->counters.tls_up_full, 2);
    leave_backend(f);
    tls_session_unref(session);
}

static void a_connection_may_move(void **state)
{
    struct fixture *f = *state;
    struct conn elsewhere = {.fd = -1};
    stand(f);
    client_sends(f, "one");
    conn_move(&elsewhere, &f->conn, &events);
    f->conn = elsewhere; /* and again: nobody remembers where it was */
    f->conn.timer = (struct timer){.fire = elsewhere.timer.fire};
    conn_move(&elsewhere, &f->conn, &events);
    elsewhere.readable = true;
    elsewhere.dry = false;
    char got[100];
    size_t len;
    assert_int_equal(conn_read_into(&elsewhere, got, sizeof(got), &len), CONN_READ_DATA);
    assert_int_equal(len, 3);
    conn_close(&elsewhere);
    assert_int_equal(how_it_ends_for_the_client(f), SSL_ERROR_ZERO_RETURN);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* OpenSSL's own sockets raise it */
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(all_records_come_at_once),
        TEST(what_has_no_room_stays_readable),
        TEST(an_empty_socket_is_not_asked_again),
        TEST(behind_the_peers_end_everything_is_read),
        TEST(half_a_record_waits_for_its_rest),
        TEST(a_cut_right_behind_what_is_no_data_is_seen),
        TEST(an_end_is_told_from_a_cut),
        TEST(an_end_with_notice_is_an_end),
        TEST(closing_says_so_and_resetting_does_not),
        TEST(what_could_not_be_sent_is_no_end),
        TEST(half_closing_leaves_the_other_half),
        TEST(everything_arrives_in_order),
        TEST(small_pieces_are_one_record),
        TEST(failures_have_their_reasons),
        TEST(requests_are_told_what_they_came_by),
        TEST(backends_are_not_trusted_for_a_reason),
        TEST(a_late_refusal_has_its_text),
        TEST(a_session_is_good_for_what_was_verified_with_it),
        TEST(a_connection_may_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
