/*
 * TLS to Redis: one context for all servers of a configuration, with the same versions, ciphers and reading of files as
 * backends have.
 */
#ifndef SHUNT_PROXY_REDIS_TLS_H
#define SHUNT_PROXY_REDIS_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

struct redis_tls;
struct bufferevent;
typedef struct ssl_st SSL;

/* Reads the files; the configuration is not needed afterwards. NULL with a malloc'd sentence in *error. */
struct redis_tls *redis_tls_new(const struct config_redis *config, char **error);
void redis_tls_free(struct redis_tls *tls); /* NULL is fine; connections keep what they need */
/* Whatever certificate is shown is taken. */
bool redis_tls_is_insecure(const struct redis_tls *tls);

/* For a connection to this host, whose name or address the certificate must have when the configuration names no other.
 * NULL without memory. */
SSL *redis_tls_connection(const struct redis_tls *tls, const char *host);
/* Why OpenSSL ended this connection, if it did; False: it did not, or there is no TLS. */
bool redis_tls_words(struct bufferevent *stream, char *words, size_t room);

#endif
