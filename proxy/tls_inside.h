/*
 * The inside of a connection's TLS, for transport_tls.c, tls_bio.c and tls_handshake.c.
 */
#ifndef SHUNT_PROXY_TLS_INSIDE_H
#define SHUNT_PROXY_TLS_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "proxy/tls_counters.h"
#include "proxy/transport_tls.h"

enum {
    TLS_RECORD_BYTES = 16384
};

/*
 *   SHAKING --> (EARLY, a server that takes early data -->) OPEN --close_notify--> ENDED
 *       \-------------\-------------------------------------\--fault, end of the socket--> BROKEN
 */
enum tls_phase {
    TLS_SHAKING,
    TLS_EARLY,
    TLS_OPEN,
    TLS_ENDED,
    TLS_BROKEN
};

struct tls {
    SSL *ssl;
    struct conn *conn;           /* of the call that is under way: connections move */
    struct tls_context *context; /* counted */
    struct tls_session *session; /* counted; of clients, may be NULL */
    enum tls_phase phase;
    enum tls_side side;
    enum tls_failure failure; /* of the handshake */
    int error;                /* BROKEN: errno */
    long verify;              /* what verification said when the handshake failed */
    bool no_http2;            /* the handshake failed for that alone */
    bool full;                /* the socket took less than was offered: no more in this call */
    bool taken;               /* recv() has brought something; cleared by who wants to know */
    bool socket_ended;        /* recv() returned 0 */
    bool truncated;           /* the socket ended, TLS had not */
    bool alerted;             /* the peer ended it with an alert */
    bool early_over;          /* EARLY: all of it has been read, the handshake goes on */
    bool shut_wanted;         /* EARLY: the end is said once the handshake is over */
    uint32_t early_len, early_at;
    char *early;       /* owned: early data that came before there was a codec */
    char *certificate; /* owned: of the client, as it is forwarded; made when first asked for */
};

/* The socket under OpenSSL; false without memory. */
bool tls_bio_attach(struct tls *tls);
/* Reads early data, and goes on with the handshake behind it. TLS_STEP_STANDS: *got bytes, or none and the handshake is
 * over. */
enum tls_step tls_read_early(struct tls *tls, char *to, size_t room, size_t *got);
/* Takes the connection out of use. */
void tls_break(struct tls *tls, int error);
/* Says close_notify; the socket stays. */
void tls_say_end(struct tls *tls);
/* Memory for one record; this thread's, for the call. */
char *tls_record_room(void);

#endif
