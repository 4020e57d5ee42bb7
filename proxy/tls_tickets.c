/*
 * Keys of session tickets: see tls_tickets.h. Used by handshakes of all workers, hence the lock, which is held for the
 * copying of a key only. Keys are made here, never read from anywhere, and wiped when they have had their time.
 *
 * Two at a time: the newest seals; the one before still opens, and what it opened is sealed anew. A client that comes
 * back within the lifetime is thus always known again.
 */
#include "proxy/tls_tickets.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

enum {
    NAME_BYTES = 16,
    CIPHER_BYTES = 32, /* AES-256 */
    MAC_BYTES = 32,
    KEYS = 2,
};

struct ticket_key {
    unsigned char name[NAME_BYTES];
    unsigned char cipher[CIPHER_BYTES];
    unsigned char mac[MAC_BYTES];
    uint64_t made_ms;
    bool is_set;
};

struct tls_tickets {
    uint32_t refs; /* atomic */
    pthread_mutex_t lock;
    uint64_t lifetime_ms;
    uint64_t aged_ms;
    struct ticket_key keys[KEYS]; /* the newest first */
    EVP_CIPHER *cipher;           /* looked up once: that costs more than sealing does */
};

static int tickets_index = -1; /* where a context knows its tickets */
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

static void make_index(void)
{
    tickets_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static uint64_t now_ms(const struct tls_tickets *tickets)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + tickets->aged_ms;
}

/* ---- keys ---- */

static bool make_key(struct ticket_key *key, uint64_t now)
{
    if (RAND_bytes(key->name, sizeof(key->name)) != 1 || RAND_priv_bytes(key->cipher, sizeof(key->cipher)) != 1 ||
        RAND_priv_bytes(key->mac, sizeof(key->mac)) != 1)
        return false;
    key->made_ms = now;
    key->is_set = true;
    return true;
}

/* Without random bytes the key we have goes on: a late change is better than no handshakes. */
static void rotate(struct tls_tickets *tickets)
{
    uint64_t now = now_ms(tickets);
    struct ticket_key *newest = &tickets->keys[0], *former = &tickets->keys[1];
    struct ticket_key next = {.is_set = false};
    if (now - newest->made_ms >= tickets->lifetime_ms && make_key(&next, now)) {
        *former = *newest;
        *newest = next;
    }
    if (former->is_set && now - former->made_ms >= 2 * tickets->lifetime_ms)
        OPENSSL_cleanse(former, sizeof(*former));
    OPENSSL_cleanse(&next, sizeof(next));
}

/* ---- life ---- */

struct tls_tickets *tls_tickets_new(uint64_t lifetime_ms)
{
    pthread_once(&index_once, make_index);
    struct tls_tickets *tickets = tickets_index < 0 ? NULL : calloc(1, sizeof(*tickets));
    if (tickets == NULL)
        return NULL;
    tickets->refs = 1;
    tickets->lifetime_ms = lifetime_ms;
    pthread_mutex_init(&tickets->lock, NULL);
    tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (tickets->cipher == NULL || !make_key(&tickets->keys[0], now_ms(tickets))) {
        tls_tickets_unref(tickets);
        return NULL;
    }
    return tickets;
}

struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets)
{
    if (tickets != NULL)
        __atomic_add_fetch(&tickets->refs, 1, __ATOMIC_RELAXED);
    return tickets;
}

void tls_tickets_unref(struct tls_tickets *tickets)
{
    if (tickets == NULL || __atomic_sub_fetch(&tickets->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    EVP_CIPHER_free(tickets->cipher);
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets->keys, sizeof(tickets->keys));
    free(tickets);
}

void tls_tickets_set_lifetime(struct tls_tickets *tickets, uint64_t lifetime_ms)
{
    pthread_mutex_lock(&tickets->lock);
    tickets->lifetime_ms = lifetime_ms;
    pthread_mutex_unlock(&tickets->lock);
}

void tls_tickets_age(struct tls_tickets *tickets, uint64_t ms)
{
    pthread_mutex_lock(&tickets->lock);
    tickets->aged_ms += ms;
    pthread_mutex_unlock(&tickets->lock);
}

/* ---- sealing and opening ---- */

/* The key that seals, or the one of this name. `is_newest` false: what it opens should be sealed anew. */
static bool find_key(struct tls_tickets *tickets, const unsigned char *name, struct ticket_key *key, bool *is_newest)
{
    bool found = false;
    pthread_mutex_lock(&tickets->lock);
    rotate(tickets);
    for (int i = 0; i < KEYS && !found; i++) {
        if (!tickets->keys[i].is_set || (name != NULL && CRYPTO_memcmp(name, tickets->keys[i].name, NAME_BYTES) != 0))
            continue;
        *key = tickets->keys[i];
        *is_newest = i == 0;
        found = true;
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, MAC_BYTES),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof(digest) - 1),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* What OpenSSL asks: SSL_CTX_set_tlsext_ticket_key_cb(3). 0: no ticket or a full handshake; 2: opened, and seal it
 * anew. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int sealing)
{
    struct tls_tickets *tickets = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tickets_index);
    struct ticket_key key;
    bool is_newest = false;
    if (tickets == NULL || !find_key(tickets, sealing ? NULL : name, &key, &is_newest))
        return 0;
    int result;
    if (sealing) {
        memcpy(name, key.name, NAME_BYTES);
        bool ready = RAND_bytes(iv, EVP_CIPHER_get_iv_length(tickets->cipher)) == 1 &&
                     EVP_EncryptInit_ex2(cipher, tickets->cipher, key.cipher, iv, NULL) == 1 && set_mac(mac, &key);
        result = ready ? 1 : -1;
    } else {
        bool ready = EVP_DecryptInit_ex2(cipher, tickets->cipher, key.cipher, iv, NULL) == 1 && set_mac(mac, &key);
        /* Tickets of TLS 1.3 are for one use (RFC 8446 appendix C.4): who has used one is given another. */
        result = !ready ? -1 : is_newest && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
    }
    OPENSSL_cleanse(&key, sizeof(key));
    return result;
}

void tls_tickets_install(struct tls_tickets *tickets, SSL_CTX *ctx)
{
    SSL_CTX_set_ex_data(ctx, tickets_index, tickets);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}
