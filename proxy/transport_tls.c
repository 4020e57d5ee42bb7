/*
 * TLS as a transport: see transport_tls.h. Worker thread. Moves bytes between OpenSSL and the connection's queues;
 * handshakes are in tls_handshake.c, the socket below in tls_bio.c.
 *
 * Idle connections own no buffers (SSL_MODE_RELEASE_BUFFERS). What is queued goes out in records as full as it allows,
 * gathered in a buffer of the thread. OpenSSL keeps a record that the socket did not take, and wants the same bytes
 * again: the queue offers them, perhaps with more behind.
 *
 * An end of the socket without TLS's own end is a reset (RFC 9112 section 9.8): it may be cut off.
 */
#include "proxy/transport_tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "proxy/conn.h"
#include "proxy/exchange.h"
#include "proxy/tls_context.h"
#include "proxy/tls_inside.h"
#include "proxy/tls_peer.h"
#include "proxy/tls_session.h"
#include "proxy/worker_inside.h"
#include "router/text.h"

char *tls_record_room(void)
{
    static _Thread_local char room[TLS_RECORD_BYTES];
    return room;
}

/* ---- reading ---- */

/* A read has brought nothing: why. */
static void read_stopped(struct tls *tls)
{
    switch (SSL_get_error(tls->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return;
    case SSL_ERROR_ZERO_RETURN:
        if (!tls->socket_ended) { /* OpenSSL takes the one end for the other, so that its sessions outlive it */
            tls->phase = TLS_ENDED;
            break;
        }
        /* fall through */
    default:
        tls->truncated = tls->socket_ended || tls->error != 0;
        tls->alerted = ERR_GET_REASON(ERR_peek_error()) > SSL_AD_REASON_OFFSET;
        tls_break(tls, tls->error != 0 ? tls->error : ECONNRESET);
        break;
    }
    ERR_clear_error();
}

static size_t take_kept_early(struct tls *tls, char *to, size_t room)
{
    size_t left = tls->early_len - tls->early_at;
    size_t len = left < room ? left : room;
    memcpy(to, tls->early + tls->early_at, len);
    tls->early_at += (uint32_t)len;
    if (tls->early_at == tls->early_len) {
        free(tls->early);
        tls->early = NULL;
        tls->early_at = tls->early_len = 0;
    }
    return len;
}

static size_t read_early(struct tls *tls, char *to, size_t room)
{
    size_t got = 0;
    while (got < room && tls->phase == TLS_EARLY) {
        size_t n = 0;
        if (tls->early != NULL)
            n = take_kept_early(tls, to + got, room - got);
        else if (tls_read_early(tls, to + got, room - got, &n) == TLS_STEP_WAIT)
            break;
        got += n;
    }
    return got;
}

/* Nothing can come before the next edge: OpenSSL need not be asked. */
static bool is_dry(const struct tls *tls)
{
    return tls->conn->dry && !tls->conn->peer_closed && SSL_has_pending(tls->ssl) == 0;
}

/* What came made no data, as tickets and parts of records do. A reset that came together with it makes no edge of its
 * own. */
static bool may_hide_reset(struct tls *tls)
{
    bool may = tls->taken;
    tls->taken = false;
    return may;
}

static size_t read_records(struct tls *tls, char *to, size_t room)
{
    size_t got = 0, n;
    tls->taken = false;
    while (got < room && tls->phase == TLS_OPEN && !is_dry(tls)) {
        if (SSL_read_ex(tls->ssl, to + got, room - got, &n) == 1) {
            got += n;
            continue;
        }
        read_stopped(tls);
        if (tls->phase == TLS_OPEN) {
            if (got > 0 || !may_hide_reset(tls))
                break;
            tls->conn->dry = false;
        }
    }
    return got;
}

/* Bytes that came early are not mixed with those that came later: who reads asks which they are. */
static ssize_t tls_read(struct conn *conn, char *to, size_t room)
{
    struct tls *tls = conn->tls;
    tls->conn = conn;
    size_t got = tls->phase == TLS_EARLY ? read_early(tls, to, room) : 0;
    if (got == 0)
        got = read_records(tls, to, room);
    if (got > 0) {
        if (tls->phase >= TLS_ENDED)
            conn->peer_closed = true; /* the end is behind these bytes, and makes no edge */
        return (ssize_t)got;
    }
    if (tls->phase == TLS_ENDED)
        return 0;
    errno = tls->phase == TLS_BROKEN ? tls->error : EAGAIN;
    return -1;
}

/* ---- writing ---- */

struct source {
    const struct iovec *parts;
    int count;
    size_t at; /* within the first */
};

static void advance(struct source *source, size_t len)
{
    source->at += len;
    while (source->count > 0 && source->at >= source->parts->iov_len) {
        source->at -= source->parts->iov_len;
        source->parts++;
        source->count--;
    }
}

/* The next record's bytes: where they lie when they lie together, else gathered. */
static const char *next_record(const struct source *source, size_t *len)
{
    const char *first = (const char *)source->parts->iov_base + source->at;
    size_t first_len = source->parts->iov_len - source->at;
    if (first_len >= TLS_RECORD_BYTES || source->count == 1) {
        *len = first_len < TLS_RECORD_BYTES ? first_len : TLS_RECORD_BYTES;
        return first;
    }
    char *room = tls_record_room();
    memcpy(room, first, first_len);
    *len = first_len;
    for (int i = 1; i < source->count && *len < TLS_RECORD_BYTES; i++) {
        size_t part = source->parts[i].iov_len;
        if (part > TLS_RECORD_BYTES - *len)
            part = TLS_RECORD_BYTES - *len;
        memcpy(room + *len, source->parts[i].iov_base, part);
        *len += part;
    }
    return room;
}

/* 1: *sent bytes are taken; 0: none now; -1: broken. */
static int write_record(struct tls *tls, const char *at, size_t len, size_t *sent)
{
    int result =
        tls->phase == TLS_EARLY ? SSL_write_early_data(tls->ssl, at, len, sent) : SSL_write_ex(tls->ssl, at, len, sent);
    if (result == 1)
        return 1;
    int why = SSL_get_error(tls->ssl, result);
    if (why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ)
        return 0;
    ERR_clear_error();
    tls_break(tls, tls->error != 0 ? tls->error : EPIPE);
    return -1;
}

static ssize_t tls_write(struct conn *conn, const struct iovec *parts, int count)
{
    struct tls *tls = conn->tls;
    struct source source = {parts, count, 0};
    size_t taken = 0;
    tls->conn = conn;
    tls->full = false;
    if (tls->phase == TLS_BROKEN || tls->phase == TLS_SHAKING) {
        errno = tls->phase == TLS_BROKEN ? tls->error : EPROTO;
        return -1;
    }
    advance(&source, 0); /* empty parts in front */
    while (source.count > 0) {
        size_t len, sent = 0;
        const char *at = next_record(&source, &len);
        int result = write_record(tls, at, len, &sent);
        if (result < 0) {
            errno = tls->error;
            return -1;
        }
        if (result == 0)
            break;
        taken += sent;
        advance(&source, sent);
    }
    if (taken == 0 && source.count > 0) {
        errno = EAGAIN;
        return -1;
    }
    return (ssize_t)taken;
}

/* ---- ending ---- */

void tls_say_end(struct tls *tls)
{
    tls->full = false;
    (void)SSL_shutdown(
        tls->ssl); /* the peer's own is not waited for; a socket that takes nothing is not waited for either */
    ERR_clear_error();
}

static void tls_shutdown_write(struct conn *conn)
{
    struct tls *tls = conn->tls;
    tls->conn = conn;
    if (tls->phase == TLS_EARLY) { /* the handshake cannot end once nothing may be sent: it goes on with the reads */
        tls->shut_wanted = true;
        return;
    }
    if (tls->phase == TLS_OPEN || tls->phase == TLS_ENDED)
        tls_say_end(tls);
    (void)shutdown(conn->fd, SHUT_WR); /* the only failure is a connection that is gone already */
}

/* A connection that is reset, or closed with bytes unsent, must not look as if it had ended well. */
static void tls_close(struct conn *conn)
{
    struct tls *tls = conn->tls;
    tls->conn = conn;
    if ((tls->phase == TLS_OPEN || tls->phase == TLS_ENDED) && !conn->write_shut && conn->out.bytes == 0)
        tls_say_end(tls);
    if (tls->truncated)
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* its session is as good as before */
    SSL_free(tls->ssl);
    ERR_clear_error();
    tls_context_unref(tls->context);
    tls_session_unref(tls->session);
    free(tls->early);
    free(tls->certificate);
    free(tls);
    conn->tls = NULL;
}

const struct transport transport_tls = {
    .name = "tls",
    .read = tls_read,
    .write = tls_write,
    .shutdown_write = tls_shutdown_write,
    .close = tls_close,
};

/* ---- what is asked of it ---- */

enum config_protocol tls_protocol(const struct conn *conn)
{
    const unsigned char *chosen = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(conn->tls->ssl, &chosen, &len);
    if (len == 0)
        return (enum config_protocol)0;
    return len == 2 && memcmp(chosen, "h2", 2) == 0 ? PROTOCOL_HTTP2 : PROTOCOL_HTTP1;
}

bool tls_is_early(const struct conn *conn)
{
    return conn->tls != NULL && conn->tls->phase == TLS_EARLY;
}

/* Empty without a certificate that was verified. */
static struct text client_certificate(struct tls *tls)
{
    if (tls->certificate == NULL) {
        bool verified =
            (SSL_get_verify_mode(tls->ssl) & SSL_VERIFY_PEER) != 0 && SSL_get_verify_result(tls->ssl) == X509_V_OK;
        const X509 *certificate = verified ? SSL_get0_peer_certificate(tls->ssl) : NULL;
        tls->certificate = certificate != NULL ? tls_peer_text(certificate) : strdup("");
    }
    return text_of(tls->certificate != NULL ? tls->certificate : "");
}

void tls_describe(struct conn *conn, struct exchange_request *request)
{
    if (conn->tls == NULL)
        return;
    request->tls = true;
    request->early_data = tls_is_early(conn);
    request->client_certificate = client_certificate(conn->tls);
}

/* In TLS 1.3 a client hears what the server thinks of its certificate only after its own side of the handshake. */
const char *tls_reset_text(const struct conn *conn)
{
    if (conn->tls != NULL && conn->tls->alerted)
        return "the backend ended TLS with an alert; perhaps it wants another certificate";
    return "the backend reset the connection";
}

void tls_note_truncation(const struct conn *conn)
{
    if (conn->tls != NULL && conn->tls->truncated)
        tls_count_truncation(&conn->worker->counters, conn->tls->side);
}
