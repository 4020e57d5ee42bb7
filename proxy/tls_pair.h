/*
 * A certificate with its chain and its key, read from files of PEM, and the names it is for.
 */
#ifndef SHUNT_PROXY_TLS_PAIR_H
#define SHUNT_PROXY_TLS_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

struct tls_pair {
    const char *certificate_path; /* borrowed */
    const char *key_path;
    X509 *leaf;
    STACK_OF(X509) * chain; /* behind the leaf; may be empty */
    EVP_PKEY *key;
    char *
        *names; /* host names, lower case, "*.example.com" among them: of subjectAltName, without one the common name */
    uint32_t name_count;
};

/* Reads both files at once, so that what is used together was read together. False with a malloc'd sentence in *error
 * (place, fault, remedy), and nothing to free. Never asks for a passphrase. */
bool tls_pair_read(struct tls_pair *pair, const char *certificate_path, const char *key_path, char **error);
void tls_pair_free(struct tls_pair *pair);

/* Is this host name, lower case, one of them? A "*" stands for one whole label, the first. */
bool tls_pair_has_name(const struct tls_pair *pair, const char *name);
/* "*.example.com" for "a.example.com", which it points into; NULL where no wildcard could fit. */
const char *tls_name_behind_first_label(const char *name);

/* When the certificate ends, seconds since 1970. */
int64_t tls_certificate_ends_s(const X509 *certificate);

/* Behind "no PEM in this file": what it looks like instead, with the way out; "" where nothing is known. Static text.
 */
const char *tls_file_guess(const char *path);

/* Why the last call into OpenSSL failed, in its own words; empties the thread's queue of errors. Static text. */
const char *tls_last_words(void);

#endif
