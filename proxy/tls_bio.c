/*
 * The socket under OpenSSL: recv() and send() on the connection's descriptor. Worker thread.
 *
 * OpenSSL's own socket BIO would be asked for more until it says EAGAIN, one system call too many for each small
 * exchange. This one knows what the loop knows: registered edge-triggered, a read that came back short has emptied the
 * socket until the next edge (conn->dry), and a write that came back short has filled it. The peer's end makes no
 * second edge, so behind it everything is read to the end.
 *
 * Kernel TLS needs the socket BIO of OpenSSL and the module tls of the kernel; it would encrypt in the kernel and make
 * splice() possible. It is not used: see docs/tls.md.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>

#include <openssl/bio.h>
#include <openssl/err.h>

#include "proxy/conn.h"
#include "proxy/tls_inside.h"

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static int on_read(BIO *bio, char *to, int room)
{
    struct tls *tls = BIO_get_data(bio);
    struct conn *conn = tls->conn;
    BIO_clear_retry_flags(bio);
    if (conn->dry && !conn->peer_closed) {
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t n;
    do {
        n = recv(conn->fd, to, (size_t)room, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        conn->dry = n < room;
        tls->taken = true;
        return (int)n;
    }
    if (n == 0) {
        tls->socket_ended = true;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        conn->dry = true;
        BIO_set_retry_read(bio);
    } else {
        tls->error = errno;
    }
    return (int)n;
}

static int on_write(BIO *bio, const char *from, int len)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tls->full) {
        BIO_set_retry_write(bio);
        return -1;
    }
    ssize_t n;
    do {
        n = send(tls->conn->fd, from, (size_t)len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n >= 0) {
        tls->full = n < len;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        tls->full = true;
        BIO_set_retry_write(bio);
    } else {
        tls->error = errno;
    }
    return (int)n;
}

static long on_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number, (void)pointer;
    const struct tls *tls = BIO_get_data(bio);
    switch (command) {
    case BIO_CTRL_FLUSH: /* nothing is held back */
        return 1;
    case BIO_CTRL_EOF:
        return tls->socket_ended;
    default:
        return 0;
    }
}

static void make_method(void)
{
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
    if (made != NULL && BIO_meth_set_read(made, on_read) == 1 && BIO_meth_set_write(made, on_write) == 1 &&
        BIO_meth_set_ctrl(made, on_control) == 1)
        method = made; /* for the life of the process */
    else
        BIO_meth_free(made);
}

bool tls_bio_attach(struct tls *tls)
{
    pthread_once(&method_once, make_method);
    BIO *bio = method != NULL ? BIO_new(method) : NULL;
    if (bio == NULL) {
        ERR_clear_error();
        return false;
    }
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    return true;
}
