/*
 * How a backend is verified, and what it is shown. See tls_context.h.
 *
 * The certificate must be signed by who the file says (default: the system's CAs), be good now, and be for the
 * backend's name or address. With insecure_skip_verify the same is looked at and counted, and nothing follows from it.
 */
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "proxy/tls_context_inside.h"
#include "proxy/tls_session.h"
#include "router/store/fault.h"

static const unsigned char alpn_both[] = "\x02h2\x08http/1.1";
static const unsigned char alpn_http1[] = "\x08http/1.1";
static const unsigned char alpn_http2[] = "\x02h2";

static bool offer(SSL_CTX *ctx, enum config_protocol protocol)
{
    const unsigned char *wire = alpn_both;
    unsigned size = sizeof(alpn_both) - 1;
    if (protocol == PROTOCOL_HTTP1) {
        wire = alpn_http1;
        size = sizeof(alpn_http1) - 1;
    } else if (protocol == PROTOCOL_HTTP2) {
        wire = alpn_http2;
        size = sizeof(alpn_http2) - 1;
    }
    return SSL_CTX_set_alpn_protos(ctx, wire, size) == 0; /* the one function of OpenSSL that returns 0 for success */
}

/* "[::1]" is written with brackets in a url. */
static bool is_address(const char *name)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

/* RFC 6066 section 3: addresses are not asked for, but the certificate must have them (RFC 9110 section 4.3.5). */
static bool expect_name(struct tls_context *context, SSL_CTX *ctx, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    context->server_name = strdup(name);
    return context->server_name != NULL && X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

static bool trust(SSL_CTX *ctx, const struct config_backend_tls *tls, char **error)
{
    if (tls->ca == NULL)
        return SSL_CTX_set_default_verify_paths(ctx) == 1 ||
               fault_set(error, "the system's CAs cannot be read: %s", tls_last_words());
    X509_STORE *store = tls_context_read_ca(tls->ca, error);
    if (store == NULL)
        return false;
    SSL_CTX_set_cert_store(ctx, store); /* takes it over */
    return true;
}

static bool show(struct tls_context *context, SSL_CTX *ctx, const struct config_backend_tls *tls, char **error)
{
    struct tls_pair pair;
    if (tls->certificate == NULL)
        return true;
    if (!tls_pair_read(&pair, tls->certificate, tls->key, error))
        return false;
    bool shown = tls_context_use(ctx, &pair, error);
    if (shown && !tls_context_note_expiry(context, &pair))
        shown = fault_set(error, "no memory for %s", tls->certificate);
    tls_pair_free(&pair);
    return shown;
}

static bool build(struct tls_context *context, const struct config_backend *backend, char **error)
{
    const struct config_backend_tls *tls = backend->tls;
    SSL_CTX *ctx = tls_context_add(context, TLS_client_method());
    if (ctx == NULL || !offer(ctx, backend->protocol) || !expect_name(context, ctx, tls->server_name)) {
        ERR_clear_error();
        return fault_set(error, "no memory for the TLS of a backend");
    }
    context->is_client = true;
    context->protocols = backend->protocol;
    context->is_insecure = tls->insecure_skip_verify;
    SSL_CTX_set_verify(ctx, context->is_insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    tls_session_install(context, ctx);
    return trust(ctx, tls, error) && show(context, ctx, tls, error);
}

struct tls_context *tls_context_of_backend(const struct config_backend *backend, char **error)
{
    struct tls_context *context = tls_context_new();
    if (context == NULL) {
        fault_set(error, "no memory for the TLS of a backend");
        return NULL;
    }
    if (!build(context, backend, error)) {
        tls_context_unref(context);
        return NULL;
    }
    return context;
}
