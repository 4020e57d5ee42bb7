/*
 * What one worker remembers of one address of a backend, so that the next handshake with it is short. Not shared: one
 * thread.
 */
#ifndef SHUNT_PROXY_TLS_SESSION_H
#define SHUNT_PROXY_TLS_SESSION_H

#include <stdint.h>

#include "proxy/tls_context.h"

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_session_st SSL_SESSION;

struct tls_session {
    uint32_t refs;               /* the endpoint's and its connections' */
    SSL_SESSION *session;        /* owned; NULL: none yet */
    struct tls_context *context; /* counted: a session is good only where the same would have been verified */
};

struct tls_session *tls_session_new(void);                        /* one reference; NULL without memory */
struct tls_session *tls_session_ref(struct tls_session *session); /* NULL is fine */
void tls_session_unref(struct tls_session *session);              /* NULL is fine */

/* Connections of `ctx`, which is the context's, keep their sessions in what their application data is: a tls_session,
 * or NULL. */
void tls_session_install(struct tls_context *context, SSL_CTX *ctx);
/* The one to resume with this context, borrowed; NULL: none. */
SSL_SESSION *tls_session_for(const struct tls_session *session, const struct tls_context *context);

#endif
