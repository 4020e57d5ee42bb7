/*
 * Sessions with backends: see tls_session.h. The newest replaces the one before: backends give out several, each as
 * good.
 */
#include "proxy/tls_session.h"

#include <stdlib.h>

#include <openssl/ssl.h>

struct tls_session *tls_session_new(void)
{
    struct tls_session *session = calloc(1, sizeof(*session));
    if (session != NULL)
        session->refs = 1;
    return session;
}

struct tls_session *tls_session_ref(struct tls_session *session)
{
    if (session != NULL)
        session->refs++;
    return session;
}

void tls_session_unref(struct tls_session *session)
{
    if (session == NULL || --session->refs > 0)
        return;
    SSL_SESSION_free(session->session);
    tls_context_unref(session->context);
    free(session);
}

/* TLS 1.3 gives sessions after the handshake, perhaps several times. 1: `newest` is ours to free. */
static int on_new_session(SSL *ssl, SSL_SESSION *newest)
{
    struct tls_session *session = SSL_get_app_data(ssl);
    struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (session == NULL)
        return 0;
    SSL_SESSION_free(session->session);
    session->session = newest;
    if (session->context != context) {
        tls_context_unref(session->context);
        session->context = tls_context_ref(context);
    }
    return 1;
}

void tls_session_install(struct tls_context *context, SSL_CTX *ctx)
{
    SSL_CTX_set_app_data(ctx, context);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
}

SSL_SESSION *tls_session_for(const struct tls_session *session, const struct tls_context *context)
{
    return session != NULL && session->context == context ? session->session : NULL;
}
