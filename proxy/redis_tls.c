/*
 * TLS to Redis: see redis_tls.h. Control thread.
 *
 * Which name is expected is each connection's own: the nodes of a cluster have several, sentinels name another one
 * after a failover.
 */
#include "proxy/redis_tls.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "proxy/tls_context_inside.h"
#include "router/store/fault.h"

struct redis_tls {
    struct tls_context *context; /* counted */
    SSL_CTX *ctx;                /* the context's */
    char *server_name;           /* owned; NULL: the host's */
    bool is_insecure;
};

static bool trust(SSL_CTX *ctx, const struct config_redis *config, char **error)
{
    if (config->ca == NULL)
        return SSL_CTX_set_default_verify_paths(ctx) == 1 ||
               fault_set(error, "the system's CAs cannot be read: %s", tls_last_words());
    X509_STORE *store = tls_context_read_ca(config->ca, error);
    if (store == NULL)
        return false;
    SSL_CTX_set_cert_store(ctx, store); /* takes it over */
    return true;
}

static bool show(SSL_CTX *ctx, const struct config_redis *config, char **error)
{
    struct tls_pair pair;
    if (config->certificate == NULL)
        return true;
    if (!tls_pair_read(&pair, config->certificate, config->key, error))
        return false;
    bool shown = tls_context_use(ctx, &pair, error);
    tls_pair_free(&pair);
    return shown;
}

struct redis_tls *redis_tls_new(const struct config_redis *config, char **error)
{
    struct redis_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL || (tls->context = tls_context_new()) == NULL ||
        (tls->ctx = tls_context_add(tls->context, TLS_client_method())) == NULL ||
        (config->server_name != NULL && (tls->server_name = strdup(config->server_name)) == NULL)) {
        ERR_clear_error();
        fault_set(error, "no memory for the TLS of Redis");
        redis_tls_free(tls);
        return NULL;
    }
    tls->is_insecure = config->insecure_skip_verify;
    SSL_CTX_set_verify(tls->ctx, tls->is_insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_read_ahead(tls->ctx, 0); /* libevent asks SSL_pending(), which does not see what was read ahead */
    if (trust(tls->ctx, config, error) && show(tls->ctx, config, error))
        return tls;
    redis_tls_free(tls);
    return NULL;
}

void redis_tls_free(struct redis_tls *tls)
{
    if (tls == NULL)
        return;
    tls_context_unref(tls->context);
    free(tls->server_name);
    free(tls);
}

bool redis_tls_is_insecure(const struct redis_tls *tls)
{
    return tls->is_insecure;
}

/* RFC 6066 section 3: addresses are not asked for, but the certificate must have them. */
static bool expect(SSL *ssl, const char *name)
{
    unsigned char bytes[16];
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    return SSL_set_tlsext_host_name(ssl, name) == 1 && X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

SSL *redis_tls_connection(const struct redis_tls *tls, const char *host)
{
    SSL *ssl = SSL_new(tls->ctx);
    if (ssl != NULL && expect(ssl, tls->server_name != NULL ? tls->server_name : host))
        return ssl;
    ERR_clear_error();
    SSL_free(ssl);
    return NULL;
}

bool redis_tls_words(struct bufferevent *stream, char *words, size_t room)
{
    SSL *ssl = bufferevent_openssl_get_ssl(stream);
    if (ssl == NULL)
        return false;
    unsigned long error = bufferevent_get_openssl_error(stream);
    ERR_clear_error();
    if (error == 0)
        return false;
    long verified = SSL_get_verify_result(ssl);
    const char *reason = ERR_reason_error_string(error);
    if (verified != X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE)
        snprintf(words, room, "the server's certificate: %s", X509_verify_cert_error_string(verified));
    else
        snprintf(words, room, "%s", reason != NULL ? reason : "TLS failed");
    return true;
}
