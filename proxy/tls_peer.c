/*
 * X-Forwarded-Client-Cert: see tls_peer.h. Once for each connection with a verified certificate.
 *
 * The text goes into a head, and somebody decides by it: whatever a certificate has in it, a value ends where it
 * should. In the subject a quote and a backslash are written in RFC 4514's hexadecimal form, in the other names as
 * percent signs have them.
 */
#include "proxy/tls_peer.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

static void put_hash(FILE *to, const X509 *certificate)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned bytes = 0;
    if (X509_digest(certificate, EVP_sha256(), digest, &bytes) != 1)
        return;
    fputs("Hash=", to);
    for (unsigned i = 0; i < bytes; i++)
        fprintf(to, "%02x", digest[i]);
}

static void put_subject(FILE *to, const X509 *certificate)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len = 0;
    if (memory != NULL && X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0)
        len = BIO_get_mem_data(memory, &text);
    fputs(";Subject=\"", to);
    for (long i = 0; i < len; i++) {
        bool escaped = text[i] == '\\' && i + 1 < len && (text[i + 1] == '"' || text[i + 1] == '\\');
        if (escaped)
            fputs(text[++i] == '"' ? "\\22" : "\\5C", to);
        else if (text[i] == '"')
            fputs("\\22", to);
        else
            fputc(text[i], to);
    }
    fputc('"', to);
    BIO_free(memory);
}

static void put_value(FILE *to, const char *name, const ASN1_IA5STRING *value)
{
    const unsigned char *at = ASN1_STRING_get0_data(value);
    size_t len = (size_t)ASN1_STRING_length(value);
    bool quoted = false;
    for (size_t i = 0; i < len; i++)
        quoted = quoted || at[i] == ',' || at[i] == ';' || at[i] == '=';
    fprintf(to, ";%s=%s", name, quoted ? "\"" : "");
    for (size_t i = 0; i < len; i++) {
        if (at[i] <= 0x20 || at[i] >= 0x7f || at[i] == '"' || at[i] == '\\')
            fprintf(to, "%%%02X", at[i]);
        else
            fputc(at[i], to);
    }
    if (quoted)
        fputc('"', to);
}

static void put_alternatives(FILE *to, const X509 *certificate)
{
    static const struct {
        int type;
        const char *name;
    } kinds[] = {{GEN_URI, "URI"}, {GEN_DNS, "DNS"}};
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
            const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
            if (one->type == kinds[k].type)
                put_value(to, kinds[k].name, one->d.ia5);
        }
    }
    GENERAL_NAMES_free(names);
}

char *tls_peer_text(const X509 *certificate)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL)
        return NULL;
    put_hash(to, certificate);
    put_subject(to, certificate);
    put_alternatives(to, certificate);
    bool whole = !ferror(to);
    whole = fclose(to) == 0 && whole;
    ERR_clear_error();
    if (!whole) {
        free(text);
        return NULL;
    }
    return text;
}
