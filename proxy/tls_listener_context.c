/*
 * What a listener shows and asks for: several certificates by name, ALPN, clients' certificates, tickets. See
 * tls_context.h.
 *
 * Certificates of different kinds of keys (RSA, ECDSA) for the same name stand in one SSL_CTX, among which OpenSSL
 * chooses by what the client can verify. So there is one SSL_CTX for each different set of certificates that some name
 * gets; all else is the same in all of them. A name gets, of each kind, the first certificate in the file that has it
 * in full, else the first whose wildcard covers it.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "proxy/tls_context_inside.h"
#include "proxy/tls_tickets.h"
#include "router/store/fault.h"

enum {
    KINDS = 8, /* of keys, more than OpenSSL signs with */
    NAME_ROOM = 254,
    EARLY_DATA_BYTES = 16384, /* of one connection: a request's head, as limits have it, and a little more */
};

/* Which certificates go together: numbers of pairs, by kind of key. */
struct tls_set {
    uint32_t count;
    uint32_t pairs[KINDS];
    SSL_CTX *ctx;
};

struct building {
    const struct config_listener_tls *config;
    struct tls_context *context;
    struct tls_pair *pairs;
    uint32_t pair_count; /* read so far */
    struct tls_set *sets;
    uint32_t set_count;
    X509_STORE *clients;                /* who may sign clients' certificates; NULL: nobody is asked */
    STACK_OF(X509_NAME) * client_names; /* what clients are told of them */
    unsigned char session_context[EVP_MAX_MD_SIZE];
    unsigned session_context_bytes;
    char **error;
};

static bool no_memory(struct building *building)
{
    ERR_clear_error();
    return fault_set(building->error, "no memory for the certificates of a listener");
}

/* ---- which certificates go together ---- */

static bool kind_is_in(const struct building *building, const struct tls_set *set, const struct tls_pair *pair)
{
    int kind = EVP_PKEY_get_base_id(pair->key);
    for (uint32_t i = 0; i < set->count; i++)
        if (EVP_PKEY_get_base_id(building->pairs[set->pairs[i]].key) == kind)
            return true;
    return set->count == KINDS;
}

static bool has_exactly(const struct tls_pair *pair, const char *name)
{
    for (uint32_t i = 0; i < pair->name_count; i++)
        if (strcmp(pair->names[i], name) == 0)
            return true;
    return false;
}

static void choose(const struct building *building, const char *name, struct tls_set *set)
{
    *set = (struct tls_set){.count = 0};
    for (int exactly = 1; exactly >= 0; exactly--) {
        for (uint32_t i = 0; i < building->pair_count; i++) {
            const struct tls_pair *pair = &building->pairs[i];
            bool fits = exactly ? has_exactly(pair, name) : tls_pair_has_name(pair, name);
            if (fits && !kind_is_in(building, set, pair))
                set->pairs[set->count++] = i;
        }
    }
    for (uint32_t i = 1; i < set->count; i++) /* in the file's order, so that equal sets look equal */
        for (uint32_t k = i; k > 0 && set->pairs[k - 1] > set->pairs[k]; k--) {
            uint32_t other = set->pairs[k];
            set->pairs[k] = set->pairs[k - 1];
            set->pairs[k - 1] = other;
        }
}

static bool same_set(const struct tls_set *a, const struct tls_set *b)
{
    return a->count == b->count && memcmp(a->pairs, b->pairs, a->count * sizeof(a->pairs[0])) == 0;
}

/* ---- what all of them have in common ---- */

/* RFC 7301 section 3.2: the server's order counts. HTTP/1.0 is what it says, for the few who say it. */
static int on_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len, const unsigned char *offered,
                   unsigned offered_len, void *argument)
{
    static const struct {
        enum config_protocol protocol;
        const char *wire; /* its length in front */
    } known[] = {{PROTOCOL_HTTP2, "\x02h2"}, {PROTOCOL_HTTP1, "\x08http/1.1"}, {PROTOCOL_HTTP1, "\x08http/1.0"}};
    const struct tls_context *context = argument;
    (void)ssl;
    for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
        if ((context->protocols & known[k].protocol) == 0)
            continue;
        size_t size = strlen(known[k].wire);
        for (unsigned at = 0; at + size <= offered_len; at += offered[at] + 1U) {
            if (memcmp(offered + at, known[k].wire, size) != 0)
                continue;
            *chosen = offered + at + 1;
            *chosen_len = offered[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tls_named *)a)->name, ((const struct tls_named *)b)->name);
}

static SSL_CTX *find_name(const struct tls_context *context, const char *name)
{
    const struct tls_named key = {.name = (char *)(uintptr_t)name};
    if (context->named_count == 0)
        return NULL;
    const struct tls_named *found = bsearch(&key, context->named, context->named_count, sizeof(key), by_name);
    return found != NULL ? found->ctx : NULL;
}

/* Without a name, or with one that no certificate has, the first certificate is shown: the client decides what it makes
 * of it. */
static int on_server_name(SSL *ssl, int *alert, void *argument)
{
    const struct tls_context *context = argument;
    (void)alert;
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    size_t len = asked != NULL ? strlen(asked) : 0;
    if (len == 0 || len >= NAME_ROOM)
        return SSL_TLSEXT_ERR_NOACK;
    char name[NAME_ROOM];
    for (size_t i = 0; i <= len; i++)
        name[i] = (char)tolower((unsigned char)asked[i]);
    SSL_CTX *ctx = find_name(context, name);
    const char *rest = tls_name_behind_first_label(name);
    if (ctx == NULL && rest != NULL) {
        char wildcard[NAME_ROOM + 1] = "*";
        memcpy(wildcard + 1, rest, strlen(rest) + 1);
        ctx = find_name(context, wildcard);
    }
    if (ctx == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    if (ctx != SSL_get_SSL_CTX(ssl))
        SSL_set_SSL_CTX(ssl, ctx);
    return SSL_TLSEXT_ERR_OK;
}

static bool ask_clients(const struct building *building, SSL_CTX *ctx)
{
    if (building->clients == NULL)
        return true;
    STACK_OF(X509_NAME) *names = SSL_dup_CA_list(building->client_names);
    if (names == NULL || SSL_CTX_set1_verify_cert_store(ctx, building->clients) != 1)
        return false;
    SSL_CTX_set_client_CA_list(ctx, names);
    bool required = building->config->client_certificate == CLIENT_CERTIFICATE_REQUIRED;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    return true;
}

/* Nothing is kept here for sessions: all is in the ticket. */
static void set_sessions(const struct building *building, SSL_CTX *ctx)
{
    struct tls_context *context = building->context;
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (context->tickets == NULL) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        return;
    }
    tls_tickets_install(context->tickets, ctx);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_timeout(ctx, (long)(building->config->ticket_lifetime_ms / 1000));
    if (!context->early_data)
        return;
    SSL_CTX_set_max_early_data(ctx, EARLY_DATA_BYTES);
    SSL_CTX_set_recv_max_early_data(ctx, EARLY_DATA_BYTES);
    /* OpenSSL's guard against replays is a cache of sessions, which neither the next process nor the next sidecar
     * shares: that only safe methods are taken (RFC 8470 section 4) holds without. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_ANTI_REPLAY);
}

static bool set_up(struct building *building, SSL_CTX *ctx)
{
    struct tls_context *context = building->context;
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, context);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, context);
    set_sessions(building, ctx);
    return (!building->config->tls13_only || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1) &&
           SSL_CTX_set_session_id_context(ctx, building->session_context, building->session_context_bytes) == 1 &&
           ask_clients(building, ctx);
}

/* ---- building ---- */

static bool read_pairs(struct building *building)
{
    const struct config_listener_tls *config = building->config;
    building->pairs = calloc(config->certificate_count, sizeof(*building->pairs));
    if (building->pairs == NULL)
        return no_memory(building);
    for (uint32_t i = 0; i < config->certificate_count; i++) {
        struct tls_pair *pair = &building->pairs[i];
        if (!tls_pair_read(pair, config->certificates[i].certificate, config->certificates[i].key, building->error))
            return false;
        building->pair_count++;
        if (!tls_context_note_expiry(building->context, pair))
            return no_memory(building);
    }
    return true;
}

/* Sessions are only resumed where clients are asked for the same: a ticket says that its owner was verified. */
static bool digest_clients(struct building *building)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    unsigned char mode = (unsigned char)building->config->client_certificate;
    bool made = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(digest, &mode, sizeof(mode)) == 1;
    const STACK_OF(X509_OBJECT) *objects =
        building->clients != NULL ? X509_STORE_get0_objects(building->clients) : NULL;
    for (int i = 0; made && i < sk_X509_OBJECT_num(objects); i++) {
        const X509 *certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        unsigned char one[EVP_MAX_MD_SIZE];
        unsigned bytes;
        if (certificate != NULL)
            made =
                X509_digest(certificate, EVP_sha256(), one, &bytes) == 1 && EVP_DigestUpdate(digest, one, bytes) == 1;
    }
    made = made && EVP_DigestFinal_ex(digest, building->session_context, &building->session_context_bytes) == 1;
    EVP_MD_CTX_free(digest);
    return made || no_memory(building);
}

static bool read_clients(struct building *building)
{
    const char *path = building->config->client_ca;
    if (building->config->client_certificate == CLIENT_CERTIFICATE_OFF || path == NULL)
        return digest_clients(building);
    building->clients = tls_context_read_ca(path, building->error);
    if (building->clients == NULL)
        return false;
    building->client_names = SSL_load_client_CA_file(path);
    ERR_clear_error();
    if (building->client_names == NULL)
        return fault_set(building->error, "CA %s: holds no certificate in PEM; give those of who may sign", path);
    return digest_clients(building);
}

static SSL_CTX *make_ctx(struct building *building, const struct tls_set *set)
{
    SSL_CTX *ctx = tls_context_add(building->context, TLS_server_method());
    if (ctx == NULL || !set_up(building, ctx)) {
        no_memory(building);
        return NULL;
    }
    for (uint32_t i = 0; i < set->count; i++)
        if (!tls_context_use(ctx, &building->pairs[set->pairs[i]], building->error))
            return NULL;
    return ctx;
}

/* The SSL_CTX for these certificates; NULL with *error. */
static SSL_CTX *ctx_of_set(struct building *building, struct tls_set *set)
{
    for (uint32_t i = 0; i < building->set_count; i++)
        if (same_set(&building->sets[i], set))
            return building->sets[i].ctx;
    struct tls_set *sets = realloc(building->sets, (building->set_count + 1) * sizeof(*sets));
    if (sets == NULL) {
        no_memory(building);
        return NULL;
    }
    building->sets = sets;
    set->ctx = make_ctx(building, set);
    if (set->ctx != NULL)
        sets[building->set_count++] = *set;
    return set->ctx;
}

static bool is_named(const struct tls_context *context, const char *name)
{
    for (uint32_t i = 0; i < context->named_count; i++)
        if (strcmp(context->named[i].name, name) == 0)
            return true;
    return false;
}

static bool add_named(struct building *building, const char *name)
{
    struct tls_context *context = building->context;
    struct tls_set set;
    if (is_named(context, name))
        return true;
    choose(building, name, &set);
    SSL_CTX *ctx = ctx_of_set(building, &set);
    if (ctx == NULL)
        return false;
    struct tls_named *named = realloc(context->named, (context->named_count + 1) * sizeof(*named));
    if (named == NULL)
        return no_memory(building);
    context->named = named;
    named[context->named_count].ctx = ctx;
    named[context->named_count].name = strdup(name);
    if (named[context->named_count].name == NULL)
        return no_memory(building);
    context->named_count++;
    return true;
}

/* What is shown where no name fits comes first: the first certificate, and others of its first name. */
static bool make_contexts(struct building *building)
{
    const struct tls_pair *first = &building->pairs[0];
    struct tls_set alone = {.count = 1};
    if (first->name_count == 0 && ctx_of_set(building, &alone) == NULL)
        return false;
    for (uint32_t i = 0; i < building->pair_count; i++)
        for (uint32_t k = 0; k < building->pairs[i].name_count; k++)
            if (!add_named(building, building->pairs[i].names[k]))
                return false;
    struct tls_context *context = building->context;
    if (context->named_count > 0)
        qsort(context->named, context->named_count, sizeof(*context->named), by_name);
    return true;
}

struct tls_context *tls_context_of_listener(const struct config_listener *listener, struct tls_tickets *tickets,
                                            char **error)
{
    struct building building = {.config = listener->tls, .context = tls_context_new(), .error = error};
    struct tls_context *context = building.context;
    bool built = context != NULL;
    if (built) {
        context->tickets = tls_tickets_ref(tickets);
        context->protocols = listener->protocols;
        context->early_data = listener->tls->early_data && tickets != NULL;
        built = read_pairs(&building) && read_clients(&building) && make_contexts(&building);
    } else {
        no_memory(&building);
    }
    for (uint32_t i = 0; i < building.pair_count; i++)
        tls_pair_free(&building.pairs[i]);
    free(building.pairs);
    free(building.sets);
    X509_STORE_free(building.clients);
    sk_X509_NAME_pop_free(building.client_names, X509_NAME_free);
    if (!built) {
        tls_context_unref(context);
        return NULL;
    }
    return context;
}
