/*
 * TLS contexts: files that are no good are refused with a sentence, names choose certificates, tickets are good as long
 * as they should and nowhere else, and a client's certificate is told in a form nobody can break out of.
 */
#include "proxy/tls_context.h"

#include <openssl/err.h>

#include "proxy/tls_peer.h"
#include "proxy/tls_tickets.h"
#include "tests/proxy/tls_support.h"

enum {
    HOUR_MS = 3600 * 1000
};

static struct authority authority;
static struct pair_files local;

static int set_up(void **state)
{
    (void)state;
    authority_open(&authority, "tests");
    local = make_pair(&authority, "localhost", "DNS:localhost", false, 10L * DAY_S);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    authority_close(&authority);
    return 0;
}

static struct tls_context *listener(const struct config_listener_tls *tls, struct tls_tickets *tickets, char **error)
{
    const struct config_listener listener = {.tls = tls, .protocols = PROTOCOL_HTTP1 | PROTOCOL_HTTP2};
    return tls_context_of_listener(&listener, tickets, error);
}

static struct tls_context *listener_of(const struct pair_files *files, uint32_t count, struct tls_tickets *tickets)
{
    struct config_certificate certificates[8];
    char *error = NULL;
    for (uint32_t i = 0; i < count; i++)
        certificates[i] = (struct config_certificate){files[i].certificate, files[i].key};
    const struct config_listener_tls tls = {
        .certificates = certificates, .certificate_count = count, .ticket_lifetime_ms = tickets != NULL ? HOUR_MS : 0};
    struct tls_context *context = listener(&tls, tickets, &error);
    if (context == NULL)
        fail_msg("%s", error);
    return context;
}

/* ---- files ---- */

static void refuses(const char *certificate, const char *key, const char *ca, const char *said, const char *file)
{
    struct config_certificate pair = {certificate, key};
    const struct config_listener_tls tls = {.certificates = &pair,
                                            .certificate_count = 1,
                                            .client_ca = ca,
                                            .client_certificate =
                                                ca != NULL ? CLIENT_CERTIFICATE_REQUIRED : CLIENT_CERTIFICATE_OFF};
    char *error = NULL;
    assert_null(listener(&tls, NULL, &error));
    assert_non_null(error);
    if (strstr(error, said) == NULL || strstr(error, file) == NULL)
        fail_msg("\"%s\" does not say \"%s\" of %s", error, said, file);
    free(error);
    assert_int_equal(ERR_peek_error(), 0); /* who handshakes next on this thread would take it for its own */
}

static void says_what_is_wrong_with_a_file(void **state)
{
    (void)state;
    struct pair_files other = make_pair(&authority, "other", "DNS:other", false, DAY_S);
    char none[PATH_ROOM], cut[PATH_ROOM], locked[PATH_ROOM], der[PATH_ROOM], empty[PATH_ROOM];
    snprintf(none, sizeof(none), "%s/none", authority.folder);
    snprintf(cut, sizeof(cut), "%s/cut", authority.folder);
    snprintf(locked, sizeof(locked), "%s/locked", authority.folder);
    snprintf(der, sizeof(der), "%s/der", authority.folder);
    snprintf(empty, sizeof(empty), "%s/empty", authority.folder);
    FILE *file = fopen(cut, "we");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, authority.certificate), 1);
    fputs("-----BEGIN CERTIFICATE-----\nMIIB\n", file);
    fclose(file);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    write_pem(locked, NULL, key, "secret");
    EVP_PKEY_free(key);
    write_pem(empty, NULL, NULL, NULL);
    file = fopen(der, "we");
    assert_non_null(file);
    assert_int_equal(i2d_X509_fp(file, authority.certificate), 1);
    fclose(file);

    refuses(none, local.key, NULL, "No such file", none);
    refuses(local.certificate, none, NULL, "No such file", none);
    refuses(local.key, local.key, NULL, "holds no certificate", local.key);
    refuses(cut, local.key, NULL, "certificate number 2", cut);
    refuses(local.certificate, local.certificate, NULL, "no private key", local.certificate);
    refuses(local.certificate, locked, NULL, "needs a passphrase", locked);
    refuses(der, local.key, NULL, "looks like DER", der);
    refuses(local.certificate, der, NULL, "looks like DER", der);
    refuses(local.certificate, local.key, der, "looks like DER", der);
    refuses(empty, local.key, NULL, "is empty", empty);
    refuses(local.certificate, empty, NULL, "is empty", empty);
    refuses(local.certificate, other.key, NULL, "does not belong", other.key);
    refuses(local.certificate, local.key, none, "No such file", none);
    refuses(local.certificate, local.key, local.key, "holds no certificate", local.key);
    unlink(cut);
    unlink(locked);
    unlink(der);
    unlink(empty);
}

static void knows_when_certificates_end(void **state)
{
    (void)state;
    struct pair_files files[] = {local, make_pair(&authority, "old", "DNS:old", false, -DAY_S)};
    struct tls_context *context = listener_of(files, 2, NULL); /* one that has ended is shown all the same */
    uint32_t count;
    const struct tls_expiry *expiries = tls_context_expiries(context, &count);
    assert_int_equal(count, 2);
    assert_string_equal(expiries[1].path, files[1].certificate);
    int64_t apart = expiries[0].ends_s - expiries[1].ends_s;
    assert_in_range(apart, 11L * DAY_S - 60, 11L * DAY_S + 60);
    tls_context_unref(context);
}

/* ---- names ---- */

/* The common name of what a client is shown; "" when they do not come together. */
static const char *shown(struct tls_context *context, const char *asked, const char *algorithms)
{
    static char name[64];
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_set1_sigalgs_list(ctx, algorithms), 1);
    SSL *server = tls_context_connection(context), *client = SSL_new(ctx);
    assert_non_null(server);
    if (asked != NULL)
        SSL_set_tlsext_host_name(client, asked);
    name[0] = '\0';
    if (shake_hands(server, client)) {
        X509_NAME *subject = X509_get_subject_name(SSL_get0_peer_certificate(client));
        X509_NAME_get_text_by_NID(subject, NID_commonName, name, sizeof(name));
    }
    ERR_clear_error();
    SSL_free(server);
    SSL_free(client);
    SSL_CTX_free(ctx);
    return name;
}

static void names_choose_certificates(void **state)
{
    (void)state;
    static const char any[] = "ECDSA+SHA256:RSA-PSS+SHA256", ecdsa[] = "ECDSA+SHA256", rsa[] = "RSA-PSS+SHA256";
    const struct pair_files files[] = {
        make_pair(&authority, "first", "DNS:a.test,DNS:A2.test", false, DAY_S),
        make_pair(&authority, "wild", "DNS:*.wild.test", false, DAY_S),
        make_pair(&authority, "exact", "DNS:x.wild.test", false, DAY_S),
        make_pair(&authority, "rsa", "DNS:a.test,DNS:*.wild.test", true, DAY_S),
        make_pair(&authority, "common.test", NULL, false, DAY_S),
        make_pair(&authority, "late", "DNS:a.test", false, DAY_S),
    };
    const struct {
        const char *asked, *algorithms, *name;
    } cases[] = {
        {"a.test", ecdsa, "first"},
        {"a.test", rsa, "rsa"},
        {"a2.TEST", any, "first"},
        {"y.wild.test", ecdsa, "wild"},
        {"x.wild.test", ecdsa, "exact"},
        {"x.wild.test", rsa, "rsa"},
        {"z.y.wild.test", ecdsa, "first"},
        {"wild.test", ecdsa, "first"},
        {"*.wild.test", ecdsa, "wild"},
        {"common.test", any, "common.test"},
        {"nobody.test", ecdsa, "first"},
        {"nobody.test", rsa, "rsa"},
        {NULL, ecdsa, "first"},
        {NULL, rsa, "rsa"},
        {"a2.test", rsa, ""},
    };
    struct tls_context *context = listener_of(files, sizeof(files) / sizeof(files[0]), NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *name = shown(context, cases[i].asked, cases[i].algorithms);
        if (strcmp(name, cases[i].name) != 0)
            fail_msg("%s with %s got %s", cases[i].asked, cases[i].algorithms, name);
    }
    tls_context_unref(context);
}

/* ---- ALPN ---- */

static void alpn_chooses_what_both_speak(void **state)
{
    (void)state;
    static const struct {
        unsigned protocols;
        const char *offered, *chosen; /* NULL: refused */
    } cases[] = {
        {PROTOCOL_HTTP1 | PROTOCOL_HTTP2, "\x08http/1.1\x02h2", "h2"},
        {PROTOCOL_HTTP1 | PROTOCOL_HTTP2, "\x08http/1.1", "http/1.1"},
        {PROTOCOL_HTTP1 | PROTOCOL_HTTP2, "\x08http/1.0", "http/1.0"},
        {PROTOCOL_HTTP1, "\x02h2\x08http/1.1", "http/1.1"},
        {PROTOCOL_HTTP2, "\x02h2\x08http/1.1", "h2"},
        {PROTOCOL_HTTP1, "\x02h2", NULL},
        {PROTOCOL_HTTP2, "\x08http/1.1", NULL},
        {PROTOCOL_HTTP1 | PROTOCOL_HTTP2, "\x03h2c\x03xh2", NULL},
        {PROTOCOL_HTTP1 | PROTOCOL_HTTP2, "", ""},
    };
    struct config_certificate pair = {local.certificate, local.key};
    const struct config_listener_tls tls = {.certificates = &pair, .certificate_count = 1};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct config_listener config = {.tls = &tls, .protocols = (enum config_protocol)cases[i].protocols};
        char *error = NULL;
        struct tls_context *context = tls_context_of_listener(&config, NULL, &error);
        assert_non_null(context);
        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
        SSL *server = tls_context_connection(context), *client = SSL_new(ctx);
        if (cases[i].offered[0] != '\0')
            SSL_set_alpn_protos(client, (const unsigned char *)cases[i].offered, (unsigned)strlen(cases[i].offered));
        bool done = shake_hands(server, client);
        ERR_clear_error();
        assert_int_equal(done, cases[i].chosen != NULL);
        const unsigned char *chosen = NULL;
        unsigned len = 0;
        SSL_get0_alpn_selected(client, &chosen, &len);
        if (done) {
            assert_int_equal(len, strlen(cases[i].chosen));
            assert_true(len == 0 || memcmp(chosen, cases[i].chosen, len) == 0);
        }
        SSL_free(server);
        SSL_free(client);
        SSL_CTX_free(ctx);
        tls_context_unref(context);
    }
}

/* ---- tickets ---- */

struct guest { /* a client that keeps its session */
    SSL_CTX *ctx;
    SSL_SESSION *session;
    const char *certificate, *key;
};

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct guest *guest = SSL_get_app_data(ssl);
    SSL_SESSION_free(guest->session);
    guest->session = session;
    return 1;
}

static void guest_open(struct guest *guest, int version)
{
    *guest = (struct guest){.ctx = SSL_CTX_new(TLS_client_method())};
    SSL_CTX_set_session_cache_mode(guest->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(guest->ctx, keep_session);
    SSL_CTX_set_max_proto_version(guest->ctx, version);
}

static void guest_close(struct guest *guest)
{
    SSL_SESSION_free(guest->session);
    SSL_CTX_free(guest->ctx);
}

/* 1: a full handshake, 2: the session was resumed, 0: it failed. */
static int visit(struct guest *guest, struct tls_context *context)
{
    SSL *server = tls_context_connection(context), *client = SSL_new(guest->ctx);
    SSL_set_app_data(client, guest);
    if (guest->session != NULL)
        assert_int_equal(SSL_set_session(client, guest->session), 1);
    int result = shake_hands(server, client) ? 1 + SSL_session_reused(server) : 0;
    if (result == 2 && SSL_version(client) < TLS1_3_VERSION) { /* a ticket sealed anew is told to nobody */
        SSL_SESSION_free(guest->session);
        guest->session = SSL_get1_session(client);
    }
    ERR_clear_error();
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* or the session would be thought spoilt */
    SSL_free(server);
    SSL_free(client);
    return result;
}

static void tickets_live_as_long_as_they_should(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        struct tls_tickets *tickets = tls_tickets_new(HOUR_MS);
        struct tls_context *context = listener_of(&local, 1, tickets);
        struct tls_context *reloaded = listener_of(&local, 1, tickets);
        struct guest guest;
        guest_open(&guest, versions[i]);
        assert_int_equal(visit(&guest, context), 1);
        assert_int_equal(visit(&guest, context), 2);
        assert_int_equal(visit(&guest, reloaded), 2);
        /* The key has changed once: what it sealed is opened, and sealed anew. */
        tls_tickets_age(tickets, HOUR_MS);
        assert_int_equal(visit(&guest, context), 2);
        tls_tickets_age(tickets, HOUR_MS);
        assert_int_equal(visit(&guest, context), 2);
        /* Twice: it is gone. */
        tls_tickets_age(tickets, HOUR_MS);
        struct guest newcomer;
        guest_open(&newcomer, versions[i]);
        assert_int_equal(visit(&newcomer, context), 1); /* changes the key */
        tls_tickets_age(tickets, HOUR_MS);
        assert_int_equal(visit(&guest, context), 1);
        guest_close(&newcomer);
        guest_close(&guest);
        tls_context_unref(context);
        tls_context_unref(reloaded);
        tls_tickets_unref(tickets);
    }
}

static void tickets_are_good_for_one_listener_and_its_clients_authority(void **state)
{
    (void)state;
    struct tls_tickets *tickets = tls_tickets_new(HOUR_MS), *others = tls_tickets_new(HOUR_MS);
    struct config_certificate pair = {local.certificate, local.key};
    struct config_listener_tls strict = {.certificates = &pair,
                                         .certificate_count = 1,
                                         .client_ca = authority.ca,
                                         .client_certificate = CLIENT_CERTIFICATE_REQUIRED,
                                         .ticket_lifetime_ms = HOUR_MS};
    char *error = NULL;
    struct tls_context *open = listener_of(&local, 1, tickets), *elsewhere = listener_of(&local, 1, others);
    struct tls_context *none = listener_of(&local, 1, NULL), *asks = listener(&strict, tickets, &error);
    assert_non_null(asks);
    struct guest guest;
    guest_open(&guest, TLS1_2_VERSION);
    assert_int_equal(visit(&guest, open), 1);
    assert_int_equal(visit(&guest, open), 2);
    assert_int_equal(visit(&guest, asks), 0); /* a session without a certificate opens no door that asks for one */
    assert_int_equal(visit(&guest, elsewhere), 1);
    assert_int_equal(visit(&guest, none), 1);
    guest_close(&guest);
    tls_context_unref(open);
    tls_context_unref(elsewhere);
    tls_context_unref(none);
    tls_context_unref(asks);
    tls_tickets_unref(tickets);
    tls_tickets_unref(others);
}

/* ---- X-Forwarded-Client-Cert ---- */

static void peer_says(const char *name, const char *alternatives, const char *expected)
{
    X509 *certificate = issue(&authority, authority.key, name, alternatives, DAY_S);
    char *text = tls_peer_text(certificate);
    assert_non_null(text);
    assert_true(strncmp(text, "Hash=", 5) == 0 && strspn(text + 5, "0123456789abcdef") == 64);
    assert_string_equal(text + 5 + 64, expected);
    free(text);
    X509_free(certificate);
}

static void a_peers_text_cannot_be_broken_out_of(void **state)
{
    (void)state;
    peer_says("alice", "URI:spiffe://a/b,DNS:alice.test,URI:spiffe://c,IP:127.0.0.1",
              ";Subject=\"CN=alice,O=shunt\";URI=spiffe://a/b;URI=spiffe://c;DNS=alice.test");
    peer_says("a\";By=root;X=\"", NULL, ";Subject=\"CN=a\\22\\;By=root\\;X=\\22,O=shunt\"");
    peer_says("back\\", NULL, ";Subject=\"CN=back\\5C,O=shunt\"");
    peer_says("line\r\nX: y", NULL, ";Subject=\"CN=line\\0D\\0AX: y,O=shunt\"");
    peer_says("m\xc3\xbcller", "URI:a=b;c\"d\\e f", ";Subject=\"CN=m\\C3\\BCller,O=shunt\";URI=\"a=b;c%22d%5Ce%20f\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_is_wrong_with_a_file),
        cmocka_unit_test(knows_when_certificates_end),
        cmocka_unit_test(names_choose_certificates),
        cmocka_unit_test(alpn_chooses_what_both_speak),
        cmocka_unit_test(tickets_live_as_long_as_they_should),
        cmocka_unit_test(tickets_are_good_for_one_listener_and_its_clients_authority),
        cmocka_unit_test(a_peers_text_cannot_be_broken_out_of),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
