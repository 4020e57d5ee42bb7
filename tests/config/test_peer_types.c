/*
 * The keys of peers: TLS on both sides, protocols and active checks land in their fields, are refused at their place,
 * and are dumped so that they are read as the same again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"

/* The keys of a listener begin in line 2, column 32, those of a backend in line 3, column 36 (37 with https). */
#define LISTENER(keys)                                                                                                 \
    "listeners:\n  - { address: 127.0.0.1:8080, " keys " }\nbackends: { legacy: { url: \"http://127.0.0.1:3001\" } "   \
    "}\n"
#define BACKEND(url, keys)                                                                                             \
    "listeners: [ { address: 127.0.0.1:8080 } ]\nbackends:\n  legacy: { url: \"" url "\", " keys " }\n"
#define HTTP(keys)  BACKEND("http://a.local", keys)
#define HTTPS(keys) BACKEND("https://a.local", keys)

/* Beside the configuration; what they hold is not looked at. */
static const char *const file_names[] = {"tls.crt", "tls.key", "rsa.crt", "rsa.key", "ca.crt", "set.pb",
                                         /* and those of config/examples/tls-grpc.yaml */
                                         "orders.pb", "tls/ecdsa.crt", "tls/ecdsa.key", "tls/rsa.crt", "tls/rsa.key",
                                         "tls/clients.crt", "tls/backends.crt", "tls/shunt.crt", "tls/shunt.key"};

enum {
    FILES = sizeof(file_names) / sizeof(file_names[0])
};

static char folder[] = "/tmp/shunt-test-XXXXXX";
static char config_name[64];

static const char *in_folder(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int make_files(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(config_name, sizeof(config_name), "%s/a.yaml", folder);
    if (mkdir(in_folder("tls"), 0700) != 0)
        return -1;
    for (size_t i = 0; i < FILES; i++) {
        FILE *file = fopen(in_folder(file_names[i]), "w");
        if (file == NULL || fclose(file) != 0)
            return -1;
    }
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < FILES; i++) {
        if (unlink(in_folder(file_names[i])) != 0)
            return -1;
    }
    return rmdir(in_folder("tls")) == 0 ? rmdir(folder) : -1;
}

static struct config *parse(const char *text)
{
    struct config_errors errors = {0};
    struct config *config = config_parse(config_name, text, strlen(text), &errors);
    for (size_t i = 0; i < errors.count; i++)
        print_error("%s\n", errors.lines[i]);
    assert_non_null(config);
    config_errors_free(&errors);
    return config;
}

/* What --dump writes of `text` has this part, and is read again as the same. */
static void dumps(const char *text, const char *part)
{
    struct config *config = parse(text);
    char *first = config_dump(config);
    config_free(config);
    assert_non_null(first);
    config = parse(first);
    char *second = config_dump(config);
    config_free(config);
    assert_non_null(second);
    assert_string_equal(first, second);
    if (strstr(first, part) == NULL)
        fail_msg("%s is not in\n%s", part, first);
    free(first);
    free(second);
}

/* The only fault of `text` is told here, in these words. */
static void is_refused(const char *text, unsigned line, unsigned column, const char *said)
{
    char expected[1024];
    struct config_errors errors = {0};
    struct config *config = config_parse(config_name, text, strlen(text), &errors);
    (void)snprintf(expected, sizeof(expected), "%s:%u:%u: %s", config_name, line, column, said);
    for (size_t i = 0; i < errors.count; i++) {
        if (strcmp(errors.lines[i], expected) != 0)
            print_error("got:      %s\n", errors.lines[i]);
    }
    if (config != NULL || errors.count != 1 || strcmp(errors.lines[0], expected) != 0)
        fail_msg("expected: %s", expected);
    config_errors_free(&errors);
}

static bool is_file(const char *path, const char *name)
{
    return path != NULL && strcmp(path, in_folder(name)) == 0;
}

/* ---- listeners[].tls ---- */

static void one_certificate_of_a_listener_lands_in_its_list(void **state)
{
    struct config *config = parse(LISTENER("tls: { certificate: tls.crt, key: tls.key }"));
    const struct config_listener_tls *tls = config->listeners[0].tls;
    (void)state;
    assert_non_null(tls);
    assert_int_equal(tls->certificate_count, 1);
    assert_true(is_file(tls->certificates[0].certificate, "tls.crt"));
    assert_true(is_file(tls->certificates[0].key, "tls.key"));
    assert_null(tls->client_ca);
    assert_int_equal(tls->client_certificate, CLIENT_CERTIFICATE_OFF);
    assert_false(tls->tls13_only);
    assert_false(tls->early_data);
    assert_int_equal(tls->ticket_lifetime_ms, 12 * 3600 * 1000);
    assert_int_equal(config->listeners[0].protocols, PROTOCOL_AUTO);
    config_free(config);
    dumps(LISTENER("tls: { certificate: tls.crt, key: tls.key }"),
          "    tls:\n      certificate: \"tls.crt\"\n      key: \"tls.key\"\n      client_certificate: off\n"
          "      min_version: 1.2\n      early_data: false\n      session_tickets: 12h\n"
          "    protocols: [h2, http/1.1]\n");
}

static void where_a_file_is_named_is_known_later(void **state)
{
    struct config *config = parse(LISTENER("tls: { certificate: tls.crt, key: tls.key }"));
    (void)state;
    const struct config_certificate *pair = &config->listeners[0].tls->certificates[0];
    const char *certificate = config_place_of(config, pair->certificate), *key = config_place_of(config, pair->key);
    assert_non_null(certificate);
    assert_non_null(key);
    const char *name = strstr(certificate, "yaml:");
    assert_non_null(name);
    assert_string_equal(name, "yaml:2:52: listeners[0].tls.certificate");
    assert_string_equal(strstr(key, "yaml:"), "yaml:2:66: listeners[0].tls.key");
    assert_null(config_place_of(config, "tls.key")); /* a text of somebody else */
    config_free(config);
}

static void files_that_are_missing_are_told_by_name(void **state)
{
    const char *text = LISTENER("tls: { certificate: none.crt, key: tls.key, client_ca: none.ca }");
    struct config_errors errors = {0};
    (void)state;
    assert_null(config_parse(config_name, text, strlen(text), &errors));
    assert_int_equal(errors.count, 2);
    assert_int_equal(errors.missing_count, 2);
    bool other_order = is_file(errors.missing[0], "none.ca");
    assert_true(is_file(errors.missing[other_order ? 0 : 1], "none.ca"));
    assert_true(is_file(errors.missing[other_order ? 1 : 0], "none.crt"));
    config_errors_free(&errors);
}

static void several_certificates_and_clients_land_in_their_fields(void **state)
{
    static const char text[] = LISTENER(
        "tls: { certificates: [ { certificate: tls.crt, key: tls.key }, { certificate: rsa.crt, key: rsa.key } "
        "], client_ca: ca.crt, min_version: 1.3, early_data: true, session_tickets: 1h }, protocols: [h2]");
    struct config *config = parse(text);
    const struct config_listener_tls *tls = config->listeners[0].tls;
    (void)state;
    assert_int_equal(tls->certificate_count, 2);
    assert_true(is_file(tls->certificates[0].key, "tls.key"));
    assert_true(is_file(tls->certificates[1].certificate, "rsa.crt"));
    assert_true(is_file(tls->certificates[1].key, "rsa.key"));
    assert_true(is_file(tls->client_ca, "ca.crt"));
    assert_int_equal(tls->client_certificate, CLIENT_CERTIFICATE_REQUIRED);
    assert_true(tls->tls13_only);
    assert_true(tls->early_data);
    assert_int_equal(tls->ticket_lifetime_ms, 3600 * 1000);
    assert_int_equal(config->listeners[0].protocols, PROTOCOL_HTTP2);
    config_free(config);
    dumps(text, "      certificates:\n        - certificate: \"tls.crt\"\n          key: \"tls.key\"\n"
                "        - certificate: \"rsa.crt\"\n          key: \"rsa.key\"\n      client_ca: \"ca.crt\"\n"
                "      client_certificate: required\n      min_version: 1.3\n      early_data: true\n"
                "      session_tickets: 1h\n    protocols: [h2]\n");
}

static void words_of_a_listener_are_read(void **state)
{
    struct config *config =
        parse(LISTENER("protocols: [http/1.1], tls: { certificate: tls.crt, key: tls.key, client_ca: ca.crt, "
                       "client_certificate: optional, session_tickets: off }"));
    (void)state;
    assert_int_equal(config->listeners[0].protocols, PROTOCOL_HTTP1);
    assert_int_equal(config->listeners[0].tls->client_certificate, CLIENT_CERTIFICATE_OPTIONAL);
    assert_int_equal(config->listeners[0].tls->ticket_lifetime_ms, 0);
    config_free(config);
    config = parse(LISTENER("tls: { certificate: tls.crt, key: tls.key, client_certificate: off }"));
    assert_int_equal(config->listeners[0].tls->client_certificate, CLIENT_CERTIFICATE_OFF);
    config_free(config);
    dumps(LISTENER("tls: { certificate: tls.crt, key: tls.key, session_tickets: off }"),
          "      session_tickets: off\n");
    dumps(LISTENER("protocols: [http/1.1, h2]"), "    protocols: [h2, http/1.1]\n");
}

static void paths_are_dumped_as_they_were_written(void **state)
{
    char text[512];
    char expected[256];
    (void)state;
    (void)snprintf(text, sizeof(text), LISTENER("tls: { certificate: %s, key: \"${SHUNT_TEST_FOLDER}/tls.key\" }"),
                   in_folder("tls.crt"));
    (void)snprintf(expected, sizeof(expected), "      certificate: %s\n      key: \"${SHUNT_TEST_FOLDER}/tls.key\"\n",
                   in_folder("tls.crt"));
    assert_int_equal(setenv("SHUNT_TEST_FOLDER", folder, 1), 0);
    dumps(text, expected);
    assert_int_equal(unsetenv("SHUNT_TEST_FOLDER"), 0);
}

static void bad_tls_of_a_listener_is_refused(void **state)
{
    (void)state;
    is_refused(LISTENER("tls: {}"), 2, 37,
               "listeners[0].tls: there is no certificate to show to clients; expected certificate: FILE and key: "
               "FILE, or certificates");
    is_refused(LISTENER("tls: on"), 2, 37, "listeners[0].tls: \"on\" is a single value; expected a mapping of keys");
    is_refused(LISTENER("tls: { certificate: tls.crt }"), 2, 52,
               "listeners[0].tls.certificate: it cannot be used without its key; expected key: FILE beside it");
    is_refused(LISTENER("tls: { key: tls.key }"), 2, 44,
               "listeners[0].tls.key: it cannot be used without its certificate; expected certificate: FILE beside it");
    is_refused(LISTENER("tls: { certificate: tls.crt, key: tls.key, certificates: [ { certificate: rsa.crt, key: "
                        "rsa.key } ] }"),
               2, 89,
               "listeners[0].tls.certificates: there is a certificate beside the list; expected either certificate and "
               "key, or certificates");
    is_refused(LISTENER("tls: { certificates: [] }"), 2, 53,
               "listeners[0].tls.certificates: the list has 0 items; expected 1 to 256");
    is_refused(LISTENER("tls: { certificates: [ { certificate: tls.crt } ] }"), 2, 55,
               "listeners[0].tls.certificates[0].key: this key is missing; expected a path");
    is_refused(LISTENER("tls: { certificate: tls.crt, key: tls.key, client_certificate: required }"), 2, 95,
               "listeners[0].tls.client_certificate: nothing says who may sign certificates of clients; expected "
               "client_ca: FILE beside it");
    is_refused(LISTENER("tls: { certificate: tls.crt, key: tls.key, client_certificate: optional }"), 2, 95,
               "listeners[0].tls.client_certificate: nothing says who may sign certificates of clients; expected "
               "client_ca: FILE beside it");
    is_refused(LISTENER("tls: { certificate: tls.crt, key: tls.key, client_ca: ca.crt, client_certificate: off }"), 2,
               86,
               "listeners[0].tls.client_ca: clients are not asked for a certificate, so that it would check nothing; "
               "expected client_certificate: optional or required, or no client_ca");
    is_refused(
        LISTENER("tls: { certificate: tls.crt, key: tls.key, client_ca: ca.crt, client_certificate: maybe }"), 2, 114,
        "listeners[0].tls.client_certificate: \"maybe\" is none of its words; expected off, optional or required");
    is_refused(LISTENER("tls: { certificate: tls.crt, key: tls.key, min_version: 1.1 }"), 2, 88,
               "listeners[0].tls.min_version: 1.1 is none of its words; expected 1.2 or 1.3; did you mean 1.2?");
    is_refused(LISTENER("tls: { certificate: tls.crt, key: tls.key, early_data: true, session_tickets: off }"), 2, 87,
               "listeners[0].tls.early_data: early data comes only from clients that hold a ticket; expected "
               "session_tickets with a duration");
    is_refused(LISTENER("tls: { certificate: tls.crt, key: tls.key, session_tickets: 8d }"), 2, 92,
               "listeners[0].tls.session_tickets: 8d is too large; expected a duration from 1s to 7d, such as 1s500ms "
               "(with d, h, m, s or ms), or off");
    is_refused(LISTENER("protocols: [h3]"), 2, 44,
               "listeners[0].protocols[0]: \"h3\" is no known protocol; expected h2 or http/1.1");
}

static void files_that_cannot_be_opened_are_refused(void **state)
{
    (void)state;
    is_refused(LISTENER("tls: { certificate: /nonexistent/tls.crt, key: tls.key }"), 2, 52,
               "listeners[0].tls.certificate: the file \"/nonexistent/tls.crt\" cannot be read: No such file or "
               "directory; expected a file that shunt may read");
    is_refused(LISTENER("tls: { certificate: tls.crt, key: /dev/null }"), 2, 66,
               "listeners[0].tls.key: the file \"/dev/null\" cannot be read: it is no regular file; expected a file "
               "that shunt may read");
    is_refused(HTTPS("tls: { ca: /nonexistent/ca.crt }"), 3, 48,
               "backends.legacy.tls.ca: the file \"/nonexistent/ca.crt\" cannot be read: No such file or directory; "
               "expected a file that shunt may read");
    is_refused(HTTPS("tls: { ca: [ ca.crt ] }"), 3, 48,
               "backends.legacy.tls.ca: this is a list; expected the path of a file");
    is_refused(HTTP("queue: 1") "routes: [ { name: r, new: legacy, shadow: { compare: { descriptor_set: /nonexistent } "
                                "} } ]\n",
               4, 72,
               "routes[0].shadow.compare.descriptor_set: the file \"/nonexistent\" cannot be read: No such file or "
               "directory; expected a file that shunt may read");
}

static void a_relative_path_is_told_where_it_was_looked_for(void **state)
{
    static const char text[] = LISTENER("tls: { certificate: tls, key: tls.key }");
    char said[512];
    (void)state;
    (void)snprintf(
        said, sizeof(said),
        "listeners[0].tls.certificate: the file \"%s\" cannot be read: it is no regular file; expected a file "
        "that shunt may read",
        in_folder("tls"));
    is_refused(text, 2, 52, said);
}

/* ---- backends.NAME ---- */

static void an_https_backend_is_verified_by_default(void **state)
{
    static const struct {
        const char *text;
        const char *server_name;
        uint16_t port;
    } cases[] = {
        {HTTPS("protocol: auto"), "a.local", 443},
        {HTTPS("tls: {}"), "a.local", 443},
        {BACKEND("https://a.local.:8443", "queue: 1"), "a.local", 8443},
        {BACKEND("https://[::1]", "queue: 1"), "::1", 443},
        {BACKEND("https://10.0.0.1", "queue: 1"), "10.0.0.1", 443},
        {HTTPS("tls: { server_name: b.local. }"), "b.local", 443},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config *config = parse(cases[i].text);
        const struct config_backend_tls *tls = config->backends[0].tls;
        assert_non_null(tls);
        assert_string_equal(tls->server_name, cases[i].server_name);
        assert_null(tls->ca);
        assert_null(tls->certificate);
        assert_null(tls->key);
        assert_false(tls->insecure_skip_verify);
        assert_int_equal(config->backends[0].address.port, cases[i].port);
        assert_int_equal(config->backends[0].protocol, PROTOCOL_AUTO);
        config_free(config);
        dumps(cases[i].text, "    tls:\n      server_name: ");
    }
}

static void tls_of_a_backend_lands_in_its_fields(void **state)
{
    static const char text[] = HTTPS("protocol: http2, tls: { ca: ca.crt, server_name: \"${SHUNT_TEST_NAME}\", "
                                     "certificate: tls.crt, key: tls.key, insecure_skip_verify: true }");
    (void)state;
    assert_int_equal(setenv("SHUNT_TEST_NAME", "b.local", 1), 0);
    struct config *config = parse(text);
    const struct config_backend_tls *tls = config->backends[0].tls;
    assert_true(is_file(tls->ca, "ca.crt"));
    assert_string_equal(tls->server_name, "b.local");
    assert_true(is_file(tls->certificate, "tls.crt"));
    assert_true(is_file(tls->key, "tls.key"));
    assert_true(tls->insecure_skip_verify);
    assert_int_equal(config->backends[0].protocol, PROTOCOL_HTTP2);
    config_free(config);
    dumps(text,
          "    tls:\n      ca: \"ca.crt\"\n      server_name: \"${SHUNT_TEST_NAME}\"\n      certificate: \"tls.crt\"\n"
          "      key: \"tls.key\"\n      insecure_skip_verify: true\n    protocol: http2\n");
    assert_int_equal(unsetenv("SHUNT_TEST_NAME"), 0);
}

static void bad_tls_of_a_backend_is_refused(void **state)
{
    (void)state;
    is_refused(
        HTTP("tls: {}"), 3, 41,
        "backends.legacy.tls: the url does not begin with https://, so that nothing would be encrypted; expected "
        "url: \"https://HOST:PORT\", or no tls");
    is_refused(
        BACKEND("unix:/run/a", "tls: {}"), 3, 38,
        "backends.legacy.tls: the url does not begin with https://, so that nothing would be encrypted; expected "
        "url: \"https://HOST:PORT\", or no tls");
    is_refused(HTTPS("tls: { certificate: tls.crt }"), 3, 57,
               "backends.legacy.tls.certificate: it cannot be used without its key; expected key: FILE beside it");
    is_refused(HTTPS("tls: { key: tls.key }"), 3, 49,
               "backends.legacy.tls.key: it cannot be used without its certificate; expected certificate: FILE beside "
               "it");
    is_refused(
        HTTPS("tls: { server_name: \"a:443\" }"), 3, 57,
        "backends.legacy.tls.server_name: \"a:443\": it has a colon and is no IPv6 address; expected a host name "
        "such as api.example.com, or an IP address");
    is_refused(HTTPS("protocol: h2"), 3, 47,
               "backends.legacy.protocol: \"h2\" is none of its words; expected auto, http1 or http2");
    is_refused(
        BACKEND("https://a/b", "queue: 1"), 3, 18,
        "backends.legacy.url: \"https://a/b\": a path is refused: requests are forwarded with the path they came "
        "with; expected http://HOST:PORT, https://HOST:PORT (an IPv6 address between [ and ]) or unix:/PATH");
    is_refused(BACKEND("https://a:0", "tls: {}"), 3, 18,
               "backends.legacy.url: \"https://a:0\": port 0 cannot be connected to; expected http://HOST:PORT, "
               "https://HOST:PORT (an IPv6 address between [ and ]) or unix:/PATH");
}

/* ---- backends.NAME.health ---- */

static void active_checks_have_defaults_of_their_kind(void **state)
{
    struct config *config = parse(HTTP("health: {}"));
    const struct config_health *health = config->backends[0].health;
    (void)state;
    assert_int_equal(health->kind, HEALTH_HTTP);
    assert_string_equal(health->path, "/healthz");
    assert_null(health->host);
    assert_null(health->service);
    assert_int_equal(health->interval_ms, 10000);
    assert_int_equal(health->timeout_ms, 2000);
    assert_int_equal(health->unhealthy_after, 3);
    assert_int_equal(health->healthy_after, 2);
    config_free(config);
    config = parse(HTTP("protocol: http2, health: { type: grpc, interval: 500ms }"));
    health = config->backends[0].health;
    assert_int_equal(health->kind, HEALTH_GRPC);
    assert_null(health->path);
    assert_string_equal(health->service, "");
    assert_int_equal(health->timeout_ms, 500);
    config_free(config);
    dumps(HTTP("health: {}"),
          "    health:\n      type: http\n      path: /healthz\n      interval: 10s\n      timeout: 2s\n"
          "      unhealthy_after: 3\n      healthy_after: 2\n");
    dumps(HTTPS("health: { type: grpc }"), "    health:\n      type: grpc\n      service: \"\"\n      interval: 10s\n");
}

static void active_checks_land_in_their_fields(void **state)
{
    struct config *config =
        parse(HTTP("health: { path: \"/up?deep=1\", host: \"b.local:81\", interval: 1m, timeout: 1m, "
                   "unhealthy_after: 1, healthy_after: 5 }"));
    const struct config_health *health = config->backends[0].health;
    (void)state;
    assert_string_equal(health->path, "/up?deep=1");
    assert_string_equal(health->host, "b.local:81");
    assert_int_equal(health->interval_ms, 60000);
    assert_int_equal(health->timeout_ms, 60000);
    assert_int_equal(health->unhealthy_after, 1);
    assert_int_equal(health->healthy_after, 5);
    config_free(config);
    config = parse(HTTPS("health: { type: grpc, service: orders.v1.Orders, host: b.local }"));
    assert_string_equal(config->backends[0].health->service, "orders.v1.Orders");
    assert_string_equal(config->backends[0].health->host, "b.local");
    config_free(config);
    dumps(HTTPS("health: { type: grpc, service: orders.v1.Orders, host: b.local }"),
          "      host: b.local\n      service: orders.v1.Orders\n");
}

static void bad_active_checks_are_refused(void **state)
{
    (void)state;
    is_refused(HTTP("health: on"), 3, 44,
               "backends.legacy.health: \"on\" is a single value; expected a mapping of keys");
    is_refused(HTTP("health: { type: tcp }"), 3, 52,
               "backends.legacy.health.type: \"tcp\" is none of its words; expected http or grpc");
    is_refused(HTTP("health: { service: a }"), 3, 55,
               "backends.legacy.health.service: it has no meaning in a check of this type; expected type: grpc beside "
               "it, or path in its place");
    is_refused(HTTPS("health: { type: grpc, path: /a }"), 3, 65,
               "backends.legacy.health.path: it has no meaning in a check of this type; expected service in its place, "
               "or type: http");
    is_refused(HTTP("protocol: http1, health: { type: grpc }"), 3, 46,
               "backends.legacy.protocol: a check with health.type: grpc needs HTTP/2; expected protocol: http2 (or "
               "auto), or health.type: http");
    is_refused(HTTP("health: { type: grpc }"), 3, 44,
               "backends.legacy.health: a check with type: grpc needs HTTP/2, and in clear protocol: auto is HTTP/1.1; "
               "expected protocol: http2, or health.type: http");
    is_refused(HTTP("health: { path: healthz }"), 3, 52,
               "backends.legacy.health.path: \"healthz\": it does not begin with /; expected a path such as /healthz, "
               "with a query where one is needed");
    is_refused(
        HTTP("health: { path: \"/a b\" }"), 3, 52,
        "backends.legacy.health.path: \"/a b\": it holds a blank or a byte beyond ASCII; expected a path such as "
        "/healthz, with a query where one is needed");
    is_refused(HTTP("health: { path: \"/a#b\" }"), 3, 52,
               "backends.legacy.health.path: \"/a#b\": it has a fragment, which is never sent; expected a path such as "
               "/healthz, with a query where one is needed");
    is_refused(
        HTTP("health: { host: \"a b\" }"), 3, 52,
        "backends.legacy.health.host: \"a b\": the host is neither a name nor an address; expected a host such as "
        "api.example.com or api.example.com:8443");
    is_refused(HTTPS("health: { type: grpc, service: \"a b\" }"), 3, 68,
               "backends.legacy.health.service: \"a b\" is no name of a service; expected the full name of a service "
               "such as orders.v1.Orders, or \"\" for the whole server");
    is_refused(HTTP("health: { interval: 1s, timeout: 1s1ms }"), 3, 69,
               "backends.legacy.health.timeout: the next check would begin before this one must have been answered; "
               "expected at most the interval, 1s");
    is_refused(HTTP("health: { unhealthy_after: 0 }"), 3, 63,
               "backends.legacy.health.unhealthy_after: 0 is too small; expected a whole number from 1 to 1000");
}

/* ---- what else is new with HTTP/2 and gRPC ---- */

static void a_descriptor_set_is_a_file(void **state)
{
    static const char text[] =
        HTTP("queue: 1") "routes: [ { name: r, new: legacy, shadow: { compare: { descriptor_set: "
                         "set.pb } } } ]\n";
    struct config *config = parse(text);
    (void)state;
    assert_true(is_file(config->routes[0].shadow.compare.descriptor_set, "set.pb"));
    config_free(config);
    dumps(text, "        descriptor_set: \"set.pb\"\n");
}

static void bounds_of_http2_are_kept(void **state)
{
    (void)state;
    is_refused(
        HTTP("queue: 1") "limits: { http2_window: 63KiB }\n", 4, 25,
        "limits.http2_window: 63KiB is too small; expected a size from 64KiB to 16MiB, such as 64KiB (with B, KiB, "
        "MiB or GiB)");
    is_refused(HTTP("queue: 1") "limits: { http2_streams: 0 }\n", 4, 26,
               "limits.http2_streams: 0 is too small; expected a whole number from 1 to 10000");
    is_refused(
        HTTP("queue: 1") "timeouts: { http2_ping: 0s }\n", 4, 25,
        "timeouts.http2_ping: 0s is too small; expected a duration from 100ms to 1d, such as 1s500ms (with d, h, "
        "m, s or ms), or off");
    dumps(HTTP("queue: 1") "timeouts: { http2_ping: off }\n", "  http2_ping: off\n");
}

static void the_example_is_good_where_its_files_are(void **state)
{
    static char text[16 * 1024];
    FILE *file = fopen("config/examples/tls-grpc.yaml", "r");
    (void)state;
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    assert_true(len > 0 && feof(file));
    assert_int_equal(fclose(file), 0);
    struct config *config = parse(text);
    assert_int_equal(config->listeners[0].tls->certificate_count, 2);
    assert_int_equal(config->listeners[0].tls->client_certificate, CLIENT_CERTIFICATE_OPTIONAL);
    assert_null(config->listeners[1].tls);
    assert_string_equal(config->backends[1].tls->server_name, "orders.internal");
    assert_int_equal(config->routes[0].errors.grpc, 1 << 2 | 1 << 13 | 1 << 14 | 1 << 15);
    assert_true(is_file(config->routes[0].shadow.compare.descriptor_set, "orders.pb"));
    config_free(config);
    dumps(text, "        - certificate: \"tls/ecdsa.crt\"\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_certificate_of_a_listener_lands_in_its_list),
        cmocka_unit_test(where_a_file_is_named_is_known_later),
        cmocka_unit_test(files_that_are_missing_are_told_by_name),
        cmocka_unit_test(several_certificates_and_clients_land_in_their_fields),
        cmocka_unit_test(words_of_a_listener_are_read),
        cmocka_unit_test(paths_are_dumped_as_they_were_written),
        cmocka_unit_test(bad_tls_of_a_listener_is_refused),
        cmocka_unit_test(files_that_cannot_be_opened_are_refused),
        cmocka_unit_test(a_relative_path_is_told_where_it_was_looked_for),
        cmocka_unit_test(an_https_backend_is_verified_by_default),
        cmocka_unit_test(tls_of_a_backend_lands_in_its_fields),
        cmocka_unit_test(bad_tls_of_a_backend_is_refused),
        cmocka_unit_test(active_checks_have_defaults_of_their_kind),
        cmocka_unit_test(active_checks_land_in_their_fields),
        cmocka_unit_test(bad_active_checks_are_refused),
        cmocka_unit_test(a_descriptor_set_is_a_file),
        cmocka_unit_test(bounds_of_http2_are_kept),
        cmocka_unit_test(the_example_is_good_where_its_files_are),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
