/*
 * TLS contexts: see tls_context.h. What both sides have in common: life, versions, ciphers, files of CAs.
 *
 * Made on the control thread, let go of on any. OpenSSL counts an SSL_CTX by itself; the count here is of the whole:
 * names, tickets and paths, too.
 */
#include "proxy/tls_context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "proxy/tls_context_inside.h"
#include "proxy/tls_tickets.h"
#include "router/store/fault.h"

/* Mozilla's "intermediate" (version 5.7) without the ciphers that need parameters of their own for DHE. */
static const char ciphers_12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char ciphers_13[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char groups[] = "X25519:P-256:P-384";

/* ---- life ---- */

struct tls_context *tls_context_new(void)
{
    struct tls_context *context = calloc(1, sizeof(*context));
    if (context != NULL)
        context->refs = 1;
    return context;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    if (context != NULL)
        __atomic_add_fetch(&context->refs, 1, __ATOMIC_RELAXED);
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context == NULL || __atomic_sub_fetch(&context->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (uint32_t i = 0; i < context->ctx_count; i++)
        SSL_CTX_free(context->ctxs[i]);
    for (uint32_t i = 0; i < context->named_count; i++)
        free(context->named[i].name);
    for (uint32_t i = 0; i < context->expiry_count; i++)
        free(context->expiries[i].path);
    free(context->ctxs);
    free(context->named);
    free(context->expiries);
    free(context->server_name);
    tls_tickets_unref(context->tickets);
    free(context);
}

/* ---- making ---- */

static bool set_up(SSL_CTX *ctx)
{
    /* Reading ahead takes all that has come in one system call; what is idle gives its buffers back. Bytes that could
     * not be sent may have moved when they are offered again. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_NO_AUTO_CHAIN); /* the chain is what the file has: nothing is looked for */
    SSL_CTX_set_read_ahead(ctx, 1);
    /* How a connection ended is our own concern, see transport_tls.c: to OpenSSL a cut-off would spoil the session. */
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 && SSL_CTX_set_cipher_list(ctx, ciphers_12) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, ciphers_13) == 1 && SSL_CTX_set1_groups_list(ctx, groups) == 1;
}

SSL_CTX *tls_context_add(struct tls_context *context, const SSL_METHOD *method)
{
    SSL_CTX **ctxs = realloc(context->ctxs, (context->ctx_count + 1) * sizeof(*ctxs));
    if (ctxs == NULL)
        return NULL;
    context->ctxs = ctxs;
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL)
        return NULL;
    ctxs[context->ctx_count++] = ctx;
    return set_up(ctx) ? ctx : NULL;
}

bool tls_context_use(SSL_CTX *ctx, const struct tls_pair *pair, char **error)
{
    if (SSL_CTX_use_cert_and_key(ctx, pair->leaf, pair->key, pair->chain, 1) == 1)
        return true;
    return fault_set(error, "certificate %s: cannot be used: %s; give another", pair->certificate_path,
                     tls_last_words());
}

bool tls_context_note_expiry(struct tls_context *context, const struct tls_pair *pair)
{
    struct tls_expiry *expiries = realloc(context->expiries, (context->expiry_count + 1) * sizeof(*expiries));
    if (expiries == NULL)
        return false;
    context->expiries = expiries;
    struct tls_expiry *expiry = &expiries[context->expiry_count];
    expiry->ends_s = tls_certificate_ends_s(pair->leaf);
    expiry->path = strdup(pair->certificate_path);
    if (expiry->path == NULL)
        return false;
    context->expiry_count++;
    return true;
}

/* What OpenSSL works out of a certificate at its first use is worked out now, before all workers share it. */
static void prepare(X509_STORE *store)
{
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        X509 *certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        if (certificate != NULL)
            (void)X509_check_purpose(certificate, -1, 0);
    }
}

X509_STORE *tls_context_read_ca(const char *path, char **error)
{
    int why = access(path, R_OK) == 0 ? 0 : errno;
    X509_STORE *store = X509_STORE_new();
    if (store == NULL) {
        fault_set(error, "no memory for %s", path);
        return NULL;
    }
    if (X509_STORE_load_file(store, path) == 1 && sk_X509_OBJECT_num(X509_STORE_get0_objects(store)) > 0) {
        prepare(store);
        ERR_clear_error();
        return store;
    }
    ERR_clear_error();
    X509_STORE_free(store);
    if (why != 0)
        fault_set(error, "CA %s: cannot be read: %s; check the path and who may read it", path, strerror(why));
    else
        fault_set(error, "CA %s: holds no certificate in PEM%s; give those of who may sign", path,
                  tls_file_guess(path));
    return NULL;
}

/* ---- for connections ---- */

SSL *tls_context_connection(struct tls_context *context)
{
    SSL *ssl = SSL_new(context->ctxs[0]);
    if (ssl == NULL)
        ERR_clear_error();
    if (ssl == NULL || !context->is_client)
        return ssl;
    if (context->server_name != NULL && SSL_set_tlsext_host_name(ssl, context->server_name) != 1) {
        ERR_clear_error();
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

bool tls_context_takes_early_data(const struct tls_context *context)
{
    return context->early_data;
}

enum config_protocol tls_context_protocols(const struct tls_context *context)
{
    return context->protocols;
}

bool tls_context_is_insecure(const struct tls_context *context)
{
    return context->is_insecure;
}

const struct tls_expiry *tls_context_expiries(const struct tls_context *context, uint32_t *count)
{
    *count = context->expiry_count;
    return context->expiries;
}
