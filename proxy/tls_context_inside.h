/*
 * The inside of TLS contexts, for tls_context.c, tls_listener_context.c and tls_backend_context.c.
 */
#ifndef SHUNT_PROXY_TLS_CONTEXT_INSIDE_H
#define SHUNT_PROXY_TLS_CONTEXT_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "proxy/tls_context.h"
#include "proxy/tls_pair.h"

struct tls_named { /* which certificates a name gets */
    char *name;    /* lower case */
    SSL_CTX *ctx;  /* borrowed from tls_context.ctxs */
};

struct tls_context {
    uint32_t refs; /* atomic */
    SSL_CTX **ctxs;
    uint32_t ctx_count; /* the first is the one that connections begin with */
    struct tls_expiry *expiries;
    uint32_t expiry_count;
    enum config_protocol protocols;
    /* listeners */
    struct tls_tickets *tickets; /* counted; NULL: none */
    struct tls_named *named;     /* sorted by name */
    uint32_t named_count;
    bool early_data;
    /* backends */
    bool is_client;
    bool is_insecure;
    char *server_name; /* SNI; NULL for an address */
};

/* Zeroed, one reference; NULL without memory. */
struct tls_context *tls_context_new(void);
/* One more SSL_CTX with all that both sides have in common; owned by the context. NULL without memory. */
SSL_CTX *tls_context_add(struct tls_context *context, const SSL_METHOD *method);
/* Shows this pair. False with a sentence in *error. */
bool tls_context_use(SSL_CTX *ctx, const struct tls_pair *pair, char **error);
/* False without memory. */
bool tls_context_note_expiry(struct tls_context *context, const struct tls_pair *pair);
/* Who may sign the peer's certificate. NULL with a sentence in *error. */
X509_STORE *tls_context_read_ca(const char *path, char **error);

#endif
