/*
 * Handshakes: beginning, going on, and why one fails. See transport_tls.h. Worker thread; never waits: who calls waits
 * for edges.
 *
 * Early data (RFC 8446 section 2.3): a server that takes it gives the connection to its codec as soon as such data is
 * there, and the handshake goes on within reads. Until it is over, requests are told to be early.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "proxy/conn.h"
#include "proxy/tls_context.h"
#include "proxy/tls_inside.h"
#include "proxy/tls_session.h"
#include "proxy/worker_inside.h"
#include "router/histogram.h"

static struct worker_counters *counters_of(const struct tls *tls)
{
    return &tls->conn->worker->counters;
}

/* ---- beginning ---- */

static bool begin(struct conn *conn, struct tls_context *context, enum tls_side side)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL)
        return false;
    tls->ssl = tls_context_connection(context);
    if (tls->ssl == NULL || !tls_bio_attach(tls)) {
        SSL_free(tls->ssl);
        free(tls);
        return false;
    }
    tls->context = tls_context_ref(context);
    tls->side = side;
    tls->conn = conn;
    conn->tls = tls;
    conn->transport = &transport_tls;
    return true;
}

bool tls_begin_server(struct conn *conn, struct tls_context *context)
{
    if (!begin(conn, context, TLS_DOWNSTREAM))
        return false;
    SSL_set_accept_state(conn->tls->ssl);
    return true;
}

bool tls_begin_client(struct conn *conn, struct tls_context *context, struct tls_session *session)
{
    if (!begin(conn, context, TLS_UPSTREAM))
        return false;
    struct tls *tls = conn->tls;
    SSL_set_connect_state(tls->ssl);
    SSL_SESSION *former = tls_session_for(session, context);
    if (former != NULL && SSL_set_session(tls->ssl, former) != 1)
        ERR_clear_error(); /* it cannot be resumed: the handshake is a full one */
    tls->session = tls_session_ref(session);
    SSL_set_app_data(tls->ssl, session);
    return true;
}

bool tls_offer_http1(struct conn *conn)
{
    static const unsigned char wire[] = "\x08http/1.1";
    return SSL_set_alpn_protos(conn->tls->ssl, wire, sizeof(wire) - 1) == 0; /* 0 is success */
}

/* ---- how it ends ---- */

static enum tls_failure failure_of_verification(long verify)
{
    switch (verify) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return TLS_FAILURE_CERTIFICATE_EXPIRED;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        return TLS_FAILURE_CERTIFICATE_AUTHORITY;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return TLS_FAILURE_CERTIFICATE_NAME;
    default:
        return TLS_FAILURE_CERTIFICATE;
    }
}

static enum tls_failure failure_of_error(struct tls *tls, unsigned long error)
{
    int reason = ERR_GET_REASON(error);
    if (ERR_GET_LIB(error) != ERR_LIB_SSL)
        return TLS_FAILURE_OTHER;
    switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        tls->verify = SSL_get_verify_result(tls->ssl);
        return failure_of_verification(tls->verify);
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return TLS_FAILURE_NO_CERTIFICATE;
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return TLS_FAILURE_CLOSED;
    case SSL_AD_REASON_OFFSET + SSL_AD_PROTOCOL_VERSION:
    case SSL_AD_REASON_OFFSET + SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_REASON_OFFSET + SSL_AD_INSUFFICIENT_SECURITY:
    case SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL:
        return TLS_FAILURE_PROTOCOL;
    default:
        return reason > SSL_AD_REASON_OFFSET ? TLS_FAILURE_ALERT : TLS_FAILURE_PROTOCOL;
    }
}

void tls_break(struct tls *tls, int error)
{
    tls->phase = TLS_BROKEN;
    tls->error = error;
}

static void fail(struct tls *tls, enum tls_failure failure)
{
    tls_count_failure(counters_of(tls), tls->side, failure);
    tls->failure = failure;
    tls_break(tls, tls->error != 0 ? tls->error : ECONNRESET);
}

static bool has_expired(const struct tls *tls)
{
    const X509 *peer = SSL_get0_peer_certificate(tls->ssl);
    return peer != NULL && X509_cmp_current_time(X509_get0_notAfter(peer)) < 0;
}

/* False: it may not be used after all. */
static bool finish(struct tls *tls)
{
    bool resumed = SSL_session_reused(tls->ssl) == 1;
    if (resumed && tls->side == TLS_DOWNSTREAM && has_expired(tls)) { /* was good when the session began */
        fail(tls, TLS_FAILURE_CERTIFICATE_EXPIRED);
        return false;
    }
    if (tls->side == TLS_UPSTREAM && tls_context_protocols(tls->context) == PROTOCOL_HTTP2 &&
        tls_protocol(tls->conn) != PROTOCOL_HTTP2) {
        tls->no_http2 = true;
        fail(tls, TLS_FAILURE_PROTOCOL);
        return false;
    }
    tls->phase = TLS_OPEN;
    tls_count_result(counters_of(tls), tls->side, resumed ? TLS_RESUMED : TLS_FULL);
    if (tls->side == TLS_UPSTREAM && tls_context_is_insecure(tls->context) &&
        SSL_get_verify_result(tls->ssl) != X509_V_OK)
        count_add(&counters_of(tls)->tls_unverified, 1);
    if (tls->shut_wanted)
        transport_tls.shutdown_write(tls->conn);
    return true;
}

/* A call into OpenSSL has not brought what it should. */
static enum tls_step stopped(struct tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return TLS_STEP_WAIT;
    case SSL_ERROR_SSL:
        fail(tls, failure_of_error(tls, ERR_peek_last_error()));
        break;
    case SSL_ERROR_SYSCALL:
    case SSL_ERROR_ZERO_RETURN:
        fail(tls, TLS_FAILURE_CLOSED);
        break;
    default:
        fail(tls, TLS_FAILURE_OTHER);
        break;
    }
    ERR_clear_error();
    return TLS_STEP_FAILED;
}

/* ---- going on ---- */

static enum tls_step shake(struct tls *tls)
{
    int result = SSL_do_handshake(tls->ssl);
    if (result != 1)
        return stopped(tls, result);
    return finish(tls) ? TLS_STEP_STANDS : TLS_STEP_FAILED;
}

enum tls_step tls_read_early(struct tls *tls, char *to, size_t room, size_t *got)
{
    *got = 0;
    if (!tls->early_over) {
        int result = SSL_read_early_data(tls->ssl, to, room, got);
        if (result == SSL_READ_EARLY_DATA_ERROR)
            return stopped(tls, 0);
        if (result == SSL_READ_EARLY_DATA_SUCCESS && *got > 0)
            return TLS_STEP_STANDS;
        tls->early_over = true;
    }
    return shake(tls);
}

/* Early data that is here before anybody reads it: the connection stands, and gives it out first. */
static enum tls_step shake_early(struct tls *tls)
{
    size_t got;
    enum tls_step step = tls_read_early(tls, tls_record_room(), TLS_RECORD_BYTES, &got);
    if (got == 0)
        return step;
    tls->early = malloc(got);
    if (tls->early == NULL) {
        fail(tls, TLS_FAILURE_OTHER);
        return TLS_STEP_FAILED;
    }
    memcpy(tls->early, tls_record_room(), got);
    tls->early_len = (uint32_t)got;
    tls->phase = TLS_EARLY;
    return TLS_STEP_STANDS;
}

enum tls_step tls_handshake(struct conn *conn)
{
    struct tls *tls = conn->tls;
    tls->conn = conn;
    tls->full = false;
    bool early = tls->side == TLS_DOWNSTREAM && tls_context_takes_early_data(tls->context);
    enum tls_step step = early ? shake_early(tls) : shake(tls);
    if (step == TLS_STEP_WAIT)
        conn->readable = false;
    return step;
}

bool tls_wants_to_send(const struct conn *conn)
{
    return SSL_want_write(conn->tls->ssl);
}

void tls_handshake_late(struct conn *conn)
{
    conn->tls->conn = conn;
    fail(conn->tls, TLS_FAILURE_TIMEOUT);
}

/* ---- why it failed ---- */

enum tls_failure tls_failure_of(const struct conn *conn)
{
    return conn->tls->failure;
}

const char *tls_failure_text(const struct conn *conn)
{
    static const char *const texts[TLS_FAILURES] = {
        [TLS_FAILURE_TIMEOUT] = "the TLS handshake with the backend took too long",
        [TLS_FAILURE_CLOSED] = "the backend closed the connection during the TLS handshake",
        [TLS_FAILURE_PROTOCOL] = "the backend does not speak TLS, or none that shunt speaks, too",
        [TLS_FAILURE_NO_CERTIFICATE] = "the backend shows no certificate",
        [TLS_FAILURE_CERTIFICATE_EXPIRED] = "the backend's certificate has expired",
        [TLS_FAILURE_CERTIFICATE_AUTHORITY] = "the backend's certificate is signed by an unknown CA",
        [TLS_FAILURE_CERTIFICATE_NAME] = "the backend's certificate is for another name",
        [TLS_FAILURE_CERTIFICATE] = "the backend's certificate cannot be verified",
        [TLS_FAILURE_ALERT] = "the backend refused the TLS handshake",
        [TLS_FAILURE_OTHER] = "the TLS handshake with the backend failed",
    };
    if (conn->tls->no_http2)
        return "the backend does not choose h2 by ALPN, and the file says that it speaks HTTP/2";
    switch (conn->tls->verify) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "the backend's certificate is not valid yet";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return "the backend's certificate is signed by itself, and by no known CA";
    case X509_V_ERR_CERT_REVOKED:
        return "the backend's certificate has been revoked";
    case X509_V_ERR_INVALID_PURPOSE:
        return "the backend's certificate is not for servers";
    default:
        return texts[conn->tls->failure];
    }
}
