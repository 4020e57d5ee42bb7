/*
 * Pairs of certificate and key: see tls_pair.h. Control thread, at loads and when files change. Knows files and X.509
 * names, and nothing of connections.
 *
 * Host names are taken as bytes of A-labels (RFC 6125 section 6.4.2): who asks by SNI asks so, too. A name with a NUL
 * or a byte that no host name has is left out: it can fit nobody.
 */
#include "proxy/tls_pair.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "router/store/fault.h"

enum {
    NAME_MOST = 253, /* RFC 1035 section 2.3.4, without the final dot */
};

const char *tls_last_words(void)
{
    unsigned long first = ERR_get_error();
    const char *words = first != 0 ? ERR_reason_error_string(first) : NULL;
    ERR_clear_error();
    return words != NULL ? words : "no reason given";
}

/* ---- files ---- */

static BIO *open_file(const char *path, const char *what, char **error)
{
    errno = 0;
    BIO *file = BIO_new_file(path, "re");
    if (file == NULL) {
        int why = errno;
        ERR_clear_error();
        fault_set(error, "%s %s: cannot be read: %s; check the path and who may read it", what, path,
                  why != 0 ? strerror(why) : "no memory");
    }
    return file;
}

const char *tls_file_guess(const char *path)
{
    unsigned char first = 0;
    BIO *file = BIO_new_file(path, "re");
    int got = file != NULL ? BIO_read(file, &first, 1) : -1;
    BIO_free(file);
    ERR_clear_error();
    if (got == 0)
        return " (it is empty)";
    if (got == 1 && first == V_ASN1_SEQUENCE + V_ASN1_CONSTRUCTED)
        return " (it looks like DER or PKCS #12, of which openssl x509, pkey or pkcs12 makes PEM)";
    return "";
}

/* There is nobody to ask for a passphrase; *context tells that one is needed. */
static int no_passphrase(char *to, int room, int writing, void *context)
{
    (void)to, (void)room, (void)writing;
    if (context != NULL)
        *(bool *)context = true;
    return 0;
}

static bool read_chain(struct tls_pair *pair, char **error)
{
    BIO *file = open_file(pair->certificate_path, "certificate", error);
    if (file == NULL)
        return false;
    pair->leaf = PEM_read_bio_X509_AUX(file, NULL, no_passphrase, NULL);
    pair->chain = sk_X509_new_null();
    bool whole = pair->leaf != NULL && pair->chain != NULL;
    while (whole) {
        X509 *next = PEM_read_bio_X509(file, NULL, no_passphrase, NULL);
        if (next == NULL)
            break;
        if (sk_X509_push(pair->chain, next) == 0) {
            X509_free(next);
            whole = false;
        }
    }
    unsigned long last = ERR_peek_last_error();
    bool at_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (pair->leaf == NULL)
        fault_set(error, "certificate %s: holds no certificate in PEM%s; give the chain, the server's own first",
                  pair->certificate_path, tls_file_guess(pair->certificate_path));
    else if (!whole || !at_end)
        fault_set(error, "certificate %s: its certificate number %d cannot be read: %s; give whole certificates in PEM",
                  pair->certificate_path, sk_X509_num(pair->chain) + 2, tls_last_words());
    ERR_clear_error();
    BIO_free(file);
    return whole && at_end;
}

static bool read_key(struct tls_pair *pair, char **error)
{
    BIO *file = open_file(pair->key_path, "key", error);
    if (file == NULL)
        return false;
    bool is_locked = false;
    pair->key = PEM_read_bio_PrivateKey(file, NULL, no_passphrase, &is_locked);
    BIO_free(file);
    if (pair->key == NULL && is_locked)
        fault_set(error, "key %s: needs a passphrase, and there is nobody to ask; take it off with openssl pkey",
                  pair->key_path);
    else if (pair->key == NULL)
        fault_set(error, "key %s: holds no private key in PEM%s; give the certificate's", pair->key_path,
                  tls_file_guess(pair->key_path));
    ERR_clear_error();
    return pair->key != NULL;
}

static bool check_match(const struct tls_pair *pair, char **error)
{
    if (X509_check_private_key(pair->leaf, pair->key) == 1)
        return true;
    ERR_clear_error();
    return fault_set(error, "key %s: does not belong to the first certificate in %s; give the key it was issued for",
                     pair->key_path, pair->certificate_path);
}

/* ---- names ---- */

static bool is_host_name(const char *at, size_t len)
{
    if (len == 0 || len > NAME_MOST)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)at[i];
        bool star = byte == '*' && i == 0 && len > 2 && at[1] == '.';
        if (!isalnum(byte) && byte != '-' && byte != '.' && byte != '_' && !star)
            return false;
    }
    return true;
}

/* False without memory. */
static bool add_name(struct tls_pair *pair, const char *at, size_t len)
{
    if (!is_host_name(at, len))
        return true;
    char **names = realloc(pair->names, (pair->name_count + 1) * sizeof(*names));
    if (names == NULL)
        return false;
    pair->names = names;
    char *name = strndup(at, len);
    if (name == NULL)
        return false;
    for (char *p = name; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    names[pair->name_count++] = name;
    return true;
}

static bool add_alternatives(struct tls_pair *pair, const GENERAL_NAMES *alternatives)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(alternatives, i);
        if (one->type != GEN_DNS)
            continue;
        const ASN1_IA5STRING *text = one->d.dNSName;
        if (!add_name(pair, (const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)))
            return false;
    }
    return true;
}

/* Only where there are no alternatives (RFC 6125 section 6.4.4). */
static bool add_common_name(struct tls_pair *pair)
{
    const X509_NAME *subject = X509_get_subject_name(pair->leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    const X509_NAME_ENTRY *entry = at >= 0 ? X509_NAME_get_entry(subject, at) : NULL;
    unsigned char *text = NULL;
    int len = entry != NULL ? ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry)) : -1;
    bool added = len < 0 || add_name(pair, (const char *)text, (size_t)len);
    OPENSSL_free(text);
    return added;
}

static bool read_names(struct tls_pair *pair, char **error)
{
    GENERAL_NAMES *alternatives = X509_get_ext_d2i(pair->leaf, NID_subject_alt_name, NULL, NULL);
    bool read = alternatives == NULL || add_alternatives(pair, alternatives);
    GENERAL_NAMES_free(alternatives);
    if (read && pair->name_count == 0)
        read = add_common_name(pair);
    ERR_clear_error();
    return read || fault_set(error, "no memory for the names of %s", pair->certificate_path);
}

/* ---- life ---- */

bool tls_pair_read(struct tls_pair *pair, const char *certificate_path, const char *key_path, char **error)
{
    *pair = (struct tls_pair){.certificate_path = certificate_path, .key_path = key_path};
    if (read_chain(pair, error) && read_key(pair, error) && check_match(pair, error) && read_names(pair, error))
        return true;
    tls_pair_free(pair);
    return false;
}

void tls_pair_free(struct tls_pair *pair)
{
    for (uint32_t i = 0; i < pair->name_count; i++)
        free(pair->names[i]);
    free(pair->names);
    X509_free(pair->leaf);
    sk_X509_pop_free(pair->chain, X509_free);
    EVP_PKEY_free(pair->key);
    *pair = (struct tls_pair){.leaf = NULL};
}

/* ---- questions ---- */

const char *tls_name_behind_first_label(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot != NULL && dot != name && dot[1] != '\0' ? dot : NULL;
}

bool tls_pair_has_name(const struct tls_pair *pair, const char *name)
{
    const char *rest = tls_name_behind_first_label(name);
    for (uint32_t i = 0; i < pair->name_count; i++) {
        const char *own = pair->names[i];
        if (strcmp(own, name) == 0 || (rest != NULL && own[0] == '*' && strcmp(own + 1, rest) == 0))
            return true;
    }
    return false;
}

int64_t tls_certificate_ends_s(const X509 *certificate)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1)
        return 0;
    return timegm(&tm);
}
