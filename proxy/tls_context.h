/*
 * What TLS needs that connections share: certificates, keys, CAs, ticket keys, as OpenSSL contexts. One for each
 * listener and each backend that has TLS; made on control from the files the configuration names, again when one of
 * these has changed, and carried to the workers by the snapshot. Connections that began with an older one keep it.
 */
#ifndef SHUNT_PROXY_TLS_CONTEXT_H
#define SHUNT_PROXY_TLS_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

struct tls_context; /* immutable, counted */
struct tls_tickets;
typedef struct ssl_st SSL;

/* Any thread; NULL is fine. */
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);

/*
 * Reads the files. The configuration is not needed afterwards. NULL with a malloc'd sentence in *error: kind and path
 * of the file it is about ("key /tls.key: ..."), fault, remedy. `tickets`: a reference is taken; NULL: none are given
 * out. `protocols`: what ALPN may choose, HTTP/2 first.
 */
struct tls_context *tls_context_of_listener(const struct config_listener *listener, struct tls_tickets *tickets,
                                            char **error);
struct tls_context *tls_context_of_backend(const struct config_backend *backend, char **error);

/* When each certificate that the context shows will end. */
struct tls_expiry {
    char *path;     /* of the certificate's file */
    int64_t ends_s; /* since 1970 */
};
const struct tls_expiry *tls_context_expiries(const struct tls_context *context, uint32_t *count);

/* A new connection's state, as its side asks for; NULL without memory. Worker threads. */
SSL *tls_context_connection(struct tls_context *context);
/* Requests may come in early data. */
bool tls_context_takes_early_data(const struct tls_context *context);
/* What ALPN may choose. */
enum config_protocol tls_context_protocols(const struct tls_context *context);
/* Whatever certificate the backend shows is taken. */
bool tls_context_is_insecure(const struct tls_context *context);

#endif
