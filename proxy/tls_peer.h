/*
 * What a client's verified certificate says, as X-Forwarded-Client-Cert has it.
 */
#ifndef SHUNT_PROXY_TLS_PEER_H
#define SHUNT_PROXY_TLS_PEER_H

#include <openssl/x509.h>

/*
 * Hash=<SHA-256 of the DER, lower hex>;Subject="<RFC 2253>";URI=...;DNS=...: Envoy's form, URI and DNS once for each
 * name, left out where there is none. Visible ASCII only, no double quote within a value. malloc'd; NULL without
 * memory.
 */
char *tls_peer_text(const X509 *certificate);

#endif
