/*
 * The keys of a listener's session tickets (RFC 5077, RFC 8446 section 4.6.1): a client brings its session back sealed
 * with one of them, so that nothing about it is kept here. Shared by all workers and by the contexts that follow each
 * other in reloads.
 */
#ifndef SHUNT_PROXY_TLS_TICKETS_H
#define SHUNT_PROXY_TLS_TICKETS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ssl_ctx_st SSL_CTX;
struct tls_tickets; /* counted */

/* A key seals for `lifetime_ms` and opens for twice as long. NULL without memory or without random bytes. */
struct tls_tickets *tls_tickets_new(uint64_t lifetime_ms);
/* Any thread; NULL is fine. */
struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets);
void tls_tickets_unref(struct tls_tickets *tickets);

/* Control: tickets from now on. What has been sealed stays good for as long as the former lifetime said. */
void tls_tickets_set_lifetime(struct tls_tickets *tickets, uint64_t lifetime_ms);
/* Control: the next look at the keys finds them `ms` older. For tests of rotation. */
void tls_tickets_age(struct tls_tickets *tickets, uint64_t ms);

/* Connections of `ctx` seal and open with these; the caller keeps a reference as long as the context lives. */
void tls_tickets_install(struct tls_tickets *tickets, SSL_CTX *ctx);

#endif
