/*
 * libcrypto, opened when something must be hashed: the audit trail on disk, values in samples; see config/library.h.
 */
#ifndef SHUNT_ROUTER_STORE_CRYPTO_LIBRARY_H
#define SHUNT_ROUTER_STORE_CRYPTO_LIBRARY_H

#include <openssl/evp.h>
#include <openssl/params.h>

#include "config/library.h"

#define CRYPTO_FUNCTIONS(X)                                                                                            \
    X(digest_new, EVP_MD_CTX_new)                                                                                      \
    X(digest_init, EVP_DigestInit_ex)                                                                                  \
    X(digest_update, EVP_DigestUpdate)                                                                                 \
    X(digest_final, EVP_DigestFinal_ex)                                                                                \
    X(digest_free, EVP_MD_CTX_free)                                                                                    \
    X(sha256, EVP_sha256)                                                                                              \
    X(mac_fetch, EVP_MAC_fetch)                                                                                        \
    X(mac_free, EVP_MAC_free)                                                                                          \
    X(mac_context_new, EVP_MAC_CTX_new)                                                                                \
    X(mac_context_free, EVP_MAC_CTX_free)                                                                              \
    X(mac_init, EVP_MAC_init)                                                                                          \
    X(mac_update, EVP_MAC_update)                                                                                      \
    X(mac_final, EVP_MAC_final)                                                                                        \
    X(param_text, OSSL_PARAM_construct_utf8_string)                                                                    \
    X(param_end, OSSL_PARAM_construct_end)

struct crypto_library {
    CRYPTO_FUNCTIONS(LIBRARY_MEMBER)
};

/* Filled by crypto_library_open(); then only read, by any thread. */
extern struct crypto_library libcrypto;

/* As library_open(). */
bool crypto_library_open(char why[LIBRARY_WHY_ROOM]);

#endif
