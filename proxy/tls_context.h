/*
 * What TLS needs that connections share: certificates, keys, CAs, ticket keys, as OpenSSL contexts. One for each listener and each
 * backend that has TLS; made on control from the files the configuration names, again when one of these has changed, and carried
 * to the workers by the snapshot. Connections that began with an older one keep it.
 */
#ifndef SHUNT_PROXY_TLS_CONTEXT_H
#define SHUNT_PROXY_TLS_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

struct tls_context;       /* immutable, counted */
typedef struct ssl_st SSL;

/* Any thread; NULL is fine. */
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);

#endif
