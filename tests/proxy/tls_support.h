/*
 * What the tests of TLS share: an authority in memory, pairs it signs as files of PEM in a folder of the test, and the
 * other side of a handshake in plain OpenSSL.
 */
#ifndef SHUNT_TESTS_TLS_SUPPORT_H
#define SHUNT_TESTS_TLS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "config/config.h"

enum {
    PATH_ROOM = 128,
    DAY_S = 86400
};

struct authority {
    EVP_PKEY *key;
    X509 *certificate;
    long serial;
    char folder[PATH_ROOM / 2];
    char ca[PATH_ROOM];
};

struct pair_files {
    char certificate[PATH_ROOM], key[PATH_ROOM];
};

static inline void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline X509 *issue(struct authority *authority, EVP_PKEY *key, const char *name, const char *alternatives,
                          long ends_s)
{
    X509 *certificate = X509_new();
    assert_int_equal(X509_set_version(certificate, X509_VERSION_3), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++authority->serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -2L * DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(certificate), ends_s);
    X509_set_pubkey(certificate, key);
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const unsigned char *)"shunt", -1, -1, 0);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    X509 *issuer = authority->certificate != NULL ? authority->certificate : certificate;
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    if (authority->certificate == NULL)
        add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE");
    if (alternatives != NULL)
        add_extension(certificate, issuer, NID_subject_alt_name, alternatives);
    assert_true(X509_sign(certificate, authority->key, EVP_sha256()) > 0);
    return certificate;
}

static inline void write_pem(const char *path, X509 *certificate, EVP_PKEY *key, const char *passphrase)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    if (certificate != NULL)
        assert_int_equal(PEM_write_X509(file, certificate), 1);
    if (key != NULL)
        assert_int_equal(PEM_write_PrivateKey(file, key, passphrase != NULL ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
                                              (void *)(uintptr_t)passphrase),
                         1);
    assert_int_equal(fclose(file), 0);
}

static inline void authority_open(struct authority *authority, const char *name)
{
    memset(authority, 0, sizeof(*authority));
    strcpy(authority->folder, "/tmp/shunt-tls-XXXXXX");
    assert_non_null(mkdtemp(authority->folder));
    authority->key = EVP_EC_gen("P-256");
    authority->certificate = issue(authority, authority->key, name, NULL, 30L * DAY_S);
    snprintf(authority->ca, sizeof(authority->ca), "%s/ca.pem", authority->folder);
    write_pem(authority->ca, authority->certificate, NULL, NULL);
}

/* Takes its files along. */
static inline void authority_close(struct authority *authority)
{
    char path[PATH_ROOM];
    for (long i = 1; i <= authority->serial; i++) {
        for (int is_key = 0; is_key < 2; is_key++) {
            snprintf(path, sizeof(path), "%s/%ld.%s", authority->folder, i, is_key ? "key" : "pem");
            unlink(path);
        }
    }
    unlink(authority->ca);
    rmdir(authority->folder);
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
}

static inline struct pair_files make_pair(struct authority *authority, const char *name, const char *alternatives,
                                          bool rsa, long ends_s)
{
    struct pair_files files;
    EVP_PKEY *key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    X509 *certificate = issue(authority, key, name, alternatives, ends_s);
    snprintf(files.certificate, sizeof(files.certificate), "%s/%ld.pem", authority->folder, authority->serial);
    snprintf(files.key, sizeof(files.key), "%s/%ld.key", authority->folder, authority->serial);
    write_pem(files.certificate, certificate, NULL, NULL);
    write_pem(files.key, NULL, key, NULL);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return files;
}

/* Both sides in one process, over memory. True when both are done. */
static inline bool shake_hands(SSL *server, SSL *client)
{
    BIO *one, *other;
    assert_int_equal(BIO_new_bio_pair(&one, 65536, &other, 65536), 1);
    SSL_set_bio(server, one, one);
    SSL_set_bio(client, other, other);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    char byte;
    int theirs = 0, ours = 0;
    for (int i = 0; i < 10 && (theirs != 1 || ours != 1); i++) {
        theirs = SSL_do_handshake(client);
        ours = SSL_do_handshake(server);
        if (theirs != 1 && SSL_get_error(client, theirs) != SSL_ERROR_WANT_READ)
            return false;
        if (ours != 1 && SSL_get_error(server, ours) != SSL_ERROR_WANT_READ)
            return false;
    }
    (void)SSL_read(client, &byte, 1); /* tickets of TLS 1.3 */
    return theirs == 1 && ours == 1;
}

#endif
