/*
 * Keys: the one place that says what the file may hold.
 *
 * Read from the bottom (the whole file) to the top (the innermost sections). A default is written as a person would
 * write it, and is read through the same reader as the file. To add a key: a field in config.h, a row here, and
 * `shunt --reference > docs/configuration.md`.
 */
#include "config/keys.h"

#include "config/check.h"
#include "config/config.h"
#include "config/types.h"

/* A row reads best on as few lines as it needs. */
/* clang-format off */

/* ---- rows, by the type of their value ---- */

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
enum { KIB = 1024, MIB = 1024 * KIB };
static const double YEAR = 365.0 * DAY;

#define ROW(key, kind, record, field) .name = (key), .type = &(kind), .at = offsetof(struct record, field)
#define END_OF_KEYS {.name = NULL}

#define NUMBER(key, kind, record, field, by_default, least, most, text)                                                \
    {ROW(key, kind, record, field), .fallback = (by_default), .min = (least), .max = (most), .help = (text)}
#define DURATION(key, record, field, by_default, least, most, text)                                                    \
    NUMBER(key, type_duration, record, field, by_default, least, most, text)
#define COUNT(key, record, field, by_default, least, most, text)                                                       \
    NUMBER(key, type_count, record, field, by_default, least, most, text)
#define COUNT64(key, record, field, by_default, least, most, text)                                                     \
    NUMBER(key, type_count64, record, field, by_default, least, most, text)
#define SIZE(key, record, field, by_default, least, most, text)                                                        \
    NUMBER(key, type_size, record, field, by_default, least, most, text)
#define SHARE(key, record, field, by_default, text)                                                                    \
    NUMBER(key, type_share, record, field, by_default, 0, SHARE_ALL, text)
#define RATE(key, record, field, by_default, least, most, text)                                                        \
    {ROW(key, type_rate, record, field), .fallback = (by_default), .min = (least), .max = (most), .flags = KEY_OFF,    \
     .help = (text)}
#define WORD(key, kind, record, field, by_default, words, text)                                                        \
    {ROW(key, kind, record, field), .fallback = (by_default), .choices = (words), .help = (text)}
#define LIST(key, kind, record, field, count_field, by_default, text)                                                  \
    {ROW(key, kind, record, field), .count_at = offsetof(struct record, count_field), .fallback = (by_default),        \
     .help = (text)}
#define METHODS(record, by_default, text)                                                                              \
    {ROW("methods", type_methods, record, methods), .count_at = offsetof(struct record, method_count),                 \
     .flag_at = offsetof(struct record, all_methods), .fallback = (by_default), .help = (text)}
#define SECTION(key, record, field, table, text)                                                                       \
    {ROW(key, type_section, record, field), .section = &(table), .help = (text)}
#define OWN_SECTION(key, record, field, table, text)                                                                   \
    {ROW(key, type_own_section, record, field), .section = &(table), .help = (text)}
#define PATH(key, record, field, text) {ROW(key, type_file, record, field), .help = (text)}
#define TIMER(key, record, field, by_default, least, most, text)                                                       \
    {ROW(key, type_timer, record, field), .fallback = (by_default), .min = (least), .max = (most), .flags = KEY_OFF,   \
     .help = (text)}
#define SECTIONS(key, record, field, count_field, table, least, most, text)                                            \
    {ROW(key, type_sections, record, field), .count_at = offsetof(struct record, count_field), .section = &(table),    \
     .min = (least), .max = (most), .help = (text)}

/* ---- words ---- */

static const struct config_choice yes_no[] = {{"true", 1}, {"false", 0}, {"on", 1}, {"off", 0}, {NULL, 0}};
static const struct config_choice append_set_off[] = {
    {"append", HEADER_APPEND}, {"set", HEADER_SET}, {"off", HEADER_OFF}, {NULL, 0}};
static const struct config_choice set_keep_off[] = {
    {"set", HEADER_SET}, {"keep", HEADER_KEEP}, {"off", HEADER_OFF}, {NULL, 0}};
static const struct config_choice set_append_keep_off[] = {
    {"set", HEADER_SET}, {"append", HEADER_APPEND}, {"keep", HEADER_KEEP}, {"off", HEADER_OFF}, {NULL, 0}};
static const struct config_choice client_certificates[] = {{"off", CLIENT_CERTIFICATE_OFF},
                                                           {"optional", CLIENT_CERTIFICATE_OPTIONAL},
                                                           {"required", CLIENT_CERTIFICATE_REQUIRED},
                                                           {NULL, 0}};
static const struct config_choice tls_versions[] = {{"1.2", 0}, {"1.3", 1}, {NULL, 0}};
static const struct config_choice backend_protocols[] = {
    {"auto", PROTOCOL_AUTO}, {"http1", PROTOCOL_HTTP1}, {"http2", PROTOCOL_HTTP2}, {NULL, 0}};
static const struct config_choice health_kinds[] = {{"http", HEALTH_HTTP}, {"grpc", HEALTH_GRPC}, {NULL, 0}};
static const struct config_choice promotions[] = {
    {"manual", PROMOTION_MANUAL}, {"auto", PROMOTION_AUTO}, {NULL, 0}};
static const struct config_choice starts[] = {{"auto", 0}, {"manual", 1}, {NULL, 0}};
static const struct config_choice deadline_actions[] = {
    {"pause", DEADLINE_PAUSE}, {"rollback", DEADLINE_ROLLBACK}, {"tell", DEADLINE_TELL}, {NULL, 0}};
static const struct config_choice failure_ends[] = {{"zero", FAILURE_ZERO},
                                                    {"previous", FAILURE_PREVIOUS},
                                                    {"freeze", FAILURE_FREEZE},
                                                    {"tell", FAILURE_TELL},
                                                    {NULL, 0}};
static const struct config_choice notify_formats[] = {{"json", NOTIFY_JSON}, {"slack", NOTIFY_SLACK}, {NULL, 0}};
static const struct config_choice redis_protocols[] = {
    {"auto", REDIS_RESP_AUTO}, {"2", REDIS_RESP_2}, {"3", REDIS_RESP_3}, {NULL, 0}};
static const struct config_choice sample_values[] = {{"redacted", SAMPLES_REDACTED},
                                                     {"full", SAMPLES_FULL},
                                                     {"hashed", SAMPLES_HASHED},
                                                     {"none", SAMPLES_NONE},
                                                     {NULL, 0}};
static const struct config_choice status_rules[] = {{"exact", 0}, {"class", 1}, {NULL, 0}};
static const struct config_choice blank_rules[] = {{"ignore", 0}, {"exact", 1}, {NULL, 0}};
static const struct config_choice read_only_words[] = {{"off", 0}, {"simulate", 1}, {NULL, 0}};
static const struct config_choice samplings[] = {{"request", 0}, {"cohort", 1}, {NULL, 0}};

/* ---- listeners[] ---- */

static const struct config_key certificate_keys[] = {
    {ROW("certificate", type_file, config_certificate, certificate), .flags = KEY_REQUIRED,
     .help = "A file of PEM: the chain, the server's own certificate first."},
    {ROW("key", type_file, config_certificate, key), .flags = KEY_REQUIRED, .help = "A file of PEM: its private key."},
    END_OF_KEYS,
};
static const struct config_section certificate_section = {
    .heading = "listeners[].tls.certificates[]",
    .intro = "Which one a client gets follows the name it asks for (SNI) and what it can verify, so that RSA and ECDSA may "
             "stand side by side; the first is shown where no name fits.",
    .keys = certificate_keys,
    .size = sizeof(struct config_certificate),
};

static const struct config_key listener_tls_keys[] = {
    PATH("certificate", listener_tls_keys, own.certificate,
         "A file of PEM: the chain, the server's own certificate first. With `key`, or `certificates` in place of both."),
    PATH("key", listener_tls_keys, own.key, "A file of PEM: its private key."),
    SECTIONS("certificates", listener_tls_keys, list, list_count, certificate_section, 1, 256, "Several of them."),
    PATH("client_ca", listener_tls_keys, tls.client_ca, "A file of PEM: who may sign the certificates of clients."),
    {ROW("client_certificate", type_choice, listener_tls_keys, tls.client_certificate),
     .fallback = "required with client_ca, else off", .choices = client_certificates, .flags = KEY_DEFERRED,
     .help = "`required` ends the handshake of a client without one, `optional` only that of a client with a bad one."},
    WORD("min_version", type_words, listener_tls_keys, tls.tls13_only, "1.2", tls_versions, "The oldest TLS that is spoken."),
    WORD("early_data", type_flag, listener_tls_keys, tls.early_data, "false", yes_no,
         "Takes requests with safe methods in TLS 1.3's early data, which somebody else can send again; others get 425."),
    TIMER("session_tickets", listener_tls_keys, tls.ticket_lifetime_ms, "12h", SECOND, 7.0 * DAY,
          "How long a client may resume a session with its ticket. The keys of tickets change as often, and live twice as "
          "long."),
    END_OF_KEYS,
};
static const struct config_section listener_tls_section = {
    .heading = "listeners[].tls",
    .intro = "Without this section the listener is in clear. Paths start at the folder of this file. Each file is read "
             "again when it changes, and the new certificate is for new connections; one that is no good leaves the old "
             "one in place, and is logged and counted.",
    .keys = listener_tls_keys,
    .size = sizeof(struct listener_tls_keys),
    .check = listener_tls_check,
};

static const struct config_key listener_keys[] = {
    {ROW("address", type_address, config_listener, address), .flags = KEY_REQUIRED,
     .help = "Where clients connect: `HOST:PORT`, `[IPV6]:PORT` or `unix:/PATH`. Port 0 lets the kernel choose one."},
    OWN_SECTION("tls", config_listener, tls, listener_tls_section, "What the listener shows and asks for; absent: in clear."),
    {ROW("protocols", type_protocols, config_listener, protocols), .fallback = "[h2, http/1.1]",
     .help = "What clients may speak: with TLS they choose by ALPN, in clear HTTP/2 is known by its preface. HTTP/1.1 "
             "includes 1.0."},
    END_OF_KEYS,
};
static const struct config_section listener_section = {
    .heading = "listeners[]", .keys = listener_keys, .size = sizeof(struct config_listener)};

/* ---- admin ---- */

static const struct config_key admin_keys[] = {
    {ROW("address", type_address, config_admin, address), .flags = KEY_REQUIRED | KEY_RESTART,
     .help = "Where the admin API, health checks and metrics answer. Port 0 lets the kernel choose one and says so."},
    {ROW("token_file", type_token_file, config_admin, token_file),
     .help = "A file with the token that changes need; relative to the folder of this file. Required where other "
             "machines can reach the address."},
    END_OF_KEYS,
};
static const struct config_section admin_section = {
    .heading = "admin",
    .intro = "Without this section there is no admin server: no metrics, no `shuntctl`.",
    .keys = admin_keys,
    .is_set = admin_is_set,
    .check = admin_check,
};

/* ---- access_log, timeouts, limits, headers ---- */

static const struct config_key access_log_keys[] = {
    SHARE("sample", config_access_log, sample, "100%", "How many of the requests get a line."),
    END_OF_KEYS,
};
static const struct config_section access_log_section = {
    .heading = "access_log",
    .intro = "One line of JSON per request. `access_log: off` writes none.",
    .keys = access_log_keys,
    .turn_off = access_log_turn_off,
    .is_off = access_log_is_off,
};

static const struct config_key timeout_keys[] = {
    DURATION("request_header", config_timeouts, request_header_ms, "10s", 1, DAY,
             "From a request's first byte to its complete head; over it the client gets 408."),
    DURATION("request_body", config_timeouts, request_body_ms, "30s", 1, DAY,
             "Without a byte while a body is awaited from the client; over it the client gets 408."),
    DURATION("idle", config_timeouts, idle_ms, "60s", 1, DAY, "A kept client connection without a request is closed."),
    DURATION("connect", config_timeouts, connect_ms, "1s", 1, HOUR,
             "To a backend's accepted connection; over it the client gets 504."),
    DURATION("response", config_timeouts, response_ms, "15s", 1, DAY,
             "From the request's last byte to the response's head; over it the client gets 504."),
    DURATION("stream_idle", config_timeouts, stream_idle_ms, "5m", 1, 7.0 * DAY,
             "Without a byte in either direction while a response streams."),
    DURATION("tunnel_idle", config_timeouts, tunnel_idle_ms, "1h", 1, 30.0 * DAY,
             "Without a byte in either direction after an upgrade (WebSocket), and in passthrough."),
    DURATION("drain", config_timeouts, drain_ms, "30s", 0, DAY,
             "How long exchanges in flight may take to end after SIGTERM."),
    DURATION("drain_min", config_timeouts, drain_min_ms, "0s", 0, DAY,
             "How long a draining process serves on: new connections are taken, from the half on clients are told to leave, "
             "and at the end idle connections are closed. At most `drain`."),
    DURATION("tls_handshake", config_timeouts, tls_handshake_ms, "5s", 1, HOUR,
             "A client's TLS handshake from its connection on, and a backend's from being connected; over it the "
             "connection is closed, and an exchange that waited for it gets 504."),
    TIMER("http2_ping", config_timeouts, http2_ping_ms, "30s", 100, DAY,
          "An HTTP/2 connection that carries streams and is silent so long is asked with a PING, and closed when no answer "
          "comes within as long again."),
    END_OF_KEYS,
};
static const struct config_section timeout_section = {.heading = "timeouts", .keys = timeout_keys, .check = timeouts_check};

static const struct config_key limit_keys[] = {
    SIZE("header_bytes", config_limits, header_bytes, "32KiB", KIB, MIB,
         "A whole head. A larger request gets 431; a larger response becomes 502."),
    COUNT("header_count", config_limits, header_count, "100", 8, 10000,
          "Fields of a head. More in a request get 431; more in a response become 502."),
    SIZE("uri_bytes", config_limits, uri_bytes, "8KiB", 64, MIB, "The request target; a longer one gets 414."),
    {ROW("connections", type_count, config_limits, connections), .fallback = "10000", .min = 1, .max = 1000000,
     .help = "Client connections of the process; more wait in the kernel's queue."},
    COUNT("http2_streams", config_limits, http2_streams, "128", 1, 10000,
          "Requests at a time on one HTTP/2 connection of a client. One more is refused, for the client to try again, "
          "until it has acknowledged the number; then it breaks the rules, and loses the connection."),
    SIZE("http2_window", config_limits, http2_window, "64KiB", 64 * KIB, 16.0 * MIB,
         "Bytes a peer may send ahead on one HTTP/2 stream, of what nobody has taken yet; a connection has four times as "
         "much."),
    SIZE("shadow_memory", config_limits, shadow_memory, "64MiB", MIB, 64.0 * 1024 * MIB,
         "All that mirroring may hold at one time: copies under way, captured answers and pairs that wait to be "
         "compared. Over it copies are not made, or given up, and counted."),
    END_OF_KEYS,
};
static const struct config_section limit_section = {.heading = "limits", .keys = limit_keys, .check = limits_check};

static const struct config_key header_keys[] = {
    WORD("via", type_flag, config_headers, via, "true", yes_no,
         "Adds `Via` in both directions, as RFC 9110 section 7.6.3 asks of a proxy."),
    WORD("x_forwarded_for", type_choice, config_headers, x_forwarded_for, "append", append_set_off,
         "`append` adds the client's address to what is there, `set` replaces it, `off` leaves it as it came."),
    WORD("x_forwarded_proto", type_choice, config_headers, x_forwarded_proto, "set", set_keep_off,
         "`set` replaces what the client sent, `keep` only adds where it sent none, `off` leaves it as it came."),
    WORD("x_forwarded_host", type_choice, config_headers, x_forwarded_host, "set", set_keep_off, "As above."),
    WORD("x_request_id", type_choice, config_headers, x_request_id, "keep", set_keep_off,
         "As above; both sides of a mirrored request get the same."),
    WORD("x_forwarded_client_cert", type_choice, config_headers, x_forwarded_client_cert, "set", set_append_keep_off,
         "Of a client's verified certificate: `set` replaces what the client sent, `append` adds behind it what the "
         "certificate says, `keep` only adds where it sent none, `off` leaves it as it came. With `set` and `append` "
         "a client without a verified certificate has none."),
    END_OF_KEYS,
};
static const struct config_section header_section = {
    .heading = "headers", .intro = "What shunt writes into the messages it forwards.", .keys = header_keys};

/* ---- backends.NAME ---- */

static const struct config_key backend_tls_keys[] = {
    PATH("ca", config_backend_tls, ca, "A file of PEM: who may sign the backend's certificate; absent: the system's."),
    {ROW("server_name", type_server_name, config_backend_tls, server_name), .fallback = "the host of url",
     .flags = KEY_DEFERRED,
     .help = "The name asked for (SNI), which the certificate must have. An IP address is not asked for, but must be in the "
             "certificate."},
    PATH("certificate", config_backend_tls, certificate, "A file of PEM: what shunt shows when it is asked. With `key`."),
    PATH("key", config_backend_tls, key, "A file of PEM: its private key."),
    WORD("insecure_skip_verify", type_flag, config_backend_tls, insecure_skip_verify, "false", yes_no,
         "`true` takes any certificate, so that anybody in between can be the backend: never outside of a test."),
    END_OF_KEYS,
};
static const struct config_section backend_tls_section = {
    .heading = "backends.NAME.tls",
    .intro = "Of a backend whose `url` begins with `https://`, which has these defaults without this section too. Files are "
             "read again when they change.",
    .keys = backend_tls_keys,
    .size = sizeof(struct config_backend_tls),
    .check = backend_tls_check,
};

static const struct config_key health_keys[] = {
    WORD("type", type_choice, config_health, kind, "http", health_kinds,
         "`http` asks with GET, and 2xx and 3xx are healthy; `grpc` asks grpc.health.v1, and SERVING is."),
    {ROW("path", type_health_path, config_health, path), .fallback = "/healthz", .flags = KEY_DEFERRED,
     .help = "What `http` asks for."},
    {ROW("host", type_host_port, config_health, host), .help = "The `Host` of the checks; absent: the backend's own."},
    {ROW("service", type_health_service, config_health, service), .fallback = "\"\"", .flags = KEY_DEFERRED,
     .help = "The service `grpc` asks after; the empty one is the whole server."},
    DURATION("interval", config_health, interval_ms, "10s", 10, DAY,
             "From one check to the next, up to a tenth more or less by chance."),
    {ROW("timeout", type_duration, config_health, timeout_ms), .fallback = "2s, or the interval where that is shorter",
     .min = 1, .max = HOUR, .flags = KEY_DEFERRED, .help = "No answer in this time is a failure; at most `interval`."},
    COUNT("unhealthy_after", config_health, unhealthy_after, "3", 1, 1000, "Failures in a row that leave out an address."),
    COUNT("healthy_after", config_health, healthy_after, "2", 1, 1000, "Successes in a row that bring it back."),
    END_OF_KEYS,
};
static const struct config_section health_section = {
    .heading = "backends.NAME.health",
    .intro = "Active checks of each address of the backend. Without this section only live traffic tells how it does.",
    .keys = health_keys,
    .size = sizeof(struct config_health),
    .check = health_check,
};

static const struct config_key backend_keys[] = {
    {ROW("url", type_url, config_backend, url), .flags = KEY_REQUIRED,
     .help = "`http://HOST:PORT`, `https://HOST:PORT` (an IPv6 address between `[` and `]`) or `unix:/PATH`; port 80 or 443 "
             "when none is given. No path, query or user: requests keep their own."},
    OWN_SECTION("tls", config_backend, tls, backend_tls_section, "How an `https://` backend is verified."),
    WORD("protocol", type_choice, config_backend, protocol, "auto", backend_protocols,
         "`auto` lets the backend choose by ALPN, and asks in HTTP/1.1 in clear; `http2` in clear takes for granted that "
         "the backend speaks it."),
    OWN_SECTION("health", config_backend, health, health_section, "Active checks; absent: none."),
    COUNT("max_connections", config_backend, max_connections, "1024", 1, 1000000,
          "Connections of the whole process to this backend."),
    COUNT("queue", config_backend, queue, "1024", 0, 1000000,
          "Exchanges that may wait for a connection; more get 503 at once."),
    DURATION("queue_timeout", config_backend, queue_timeout_ms, "1s", 1, HOUR,
             "How long one waits before it gets 503."),
    DURATION("idle_timeout", config_backend, idle_timeout_ms, "30s", 1, DAY,
             "A kept connection without an exchange is closed; keep it below the backend's own."),
    DURATION("dns_refresh", config_backend, dns_refresh_ms, "30s", 100, DAY,
             "How often a host name is looked up again."),
    COUNT("eject_after", config_backend, eject_after, "5", 0, 1000000,
          "Failures in a row that leave out one of several addresses of a name; 0 never does."),
    DURATION("eject_for", config_backend, eject_ms, "10s", 1, DAY, "How long such an address is left out."),
    END_OF_KEYS,
};
static const struct config_section backend_section = {
    .heading = "backends.NAME",
    .intro = "Names are free, but one must be `legacy`: it answers requests without a route, and everything in "
             "passthrough. Routes use `legacy` and `new` unless they name others.",
    .keys = backend_keys,
    .size = sizeof(struct config_backend),
    .check = backend_check,
};

/* ---- routes[] ---- */

static const struct config_key match_keys[] = {
    {ROW("host", type_host, config_match, host),
     .help = "A host without its port; `*.example.com` matches one or more labels."},
    {ROW("path", type_path, config_match, path),
     .help = "`/orders` exactly, `/orders/*` with one segment for the `*`, `/orders/**` with anything below it and "
             "`/orders` itself."},
    LIST("methods", type_match_methods, config_match, methods, method_count, NULL, "Any of these."),
    LIST("headers", type_header_fields, config_match, headers, header_count, NULL,
         "All of these: `NAME: VALUE`, `NAME: [VALUE, VALUE]` for any of several, `NAME: \"*\"` for any value."),
    LIST("query", type_query_fields, config_match, query, query_count, NULL,
         "The same for query parameters, compared after percent-decoding."),
    END_OF_KEYS,
};
static const struct config_section match_section = {
    .heading = "routes[].match",
    .intro = "All keys that are given must match; none at all matches every request. A route that no request can reach "
             "because an earlier one takes them all is refused.",
    .keys = match_keys,
    .is_set = match_is_set,
};

static const struct config_key assign_keys[] = {
    {ROW("cookie", type_token, config_assign, cookie), .flags = KEY_REQUIRED, .help = "The cookie's name."},
    DURATION("max_age", config_assign, max_age_ms, "30d", SECOND, YEAR, "How long the client keeps it."),
    END_OF_KEYS,
};
static const struct config_section assign_section = {
    .heading = "routes[].assign",
    .intro = "Lets the client keep the side it got in a cookie, for clients without another key. Without this "
             "section no cookie is set.",
    .keys = assign_keys,
    .is_set = assign_is_set,
};

#define CONFIDENCE(key, field)                                                                                         \
    {ROW(key, type_rate, config_gates, confidence_of.field), .fallback = "default", .min = 0.5, .max = 0.999999,       \
     .flags = KEY_DEFERRED, .help = "Of the gate of this name."}

static const struct config_key confidence_keys[] = {
    {ROW("default", type_rate, config_gates, confidence), .fallback = "99%", .min = 0.5, .max = 0.999999,
     .flags = KEY_DEFERRED, .help = "Of the gates that are not named here; in a stage without it the route's."},
    CONFIDENCE("error_rate_increase", error_rate_increase),
    CONFIDENCE("error_rate", error_rate),
    CONFIDENCE("availability", availability),
    CONFIDENCE("p50_increase", p50_increase),
    CONFIDENCE("p95_increase", p95_increase),
    CONFIDENCE("p99_increase", p99_increase),
    CONFIDENCE("p95_ratio", p95_ratio),
    CONFIDENCE("mismatch_rate", mismatch_rate),
    END_OF_KEYS,
};
static const struct config_section confidence_section = {
    .heading = "routes[].gates.confidence",
    .intro = "How sure a verdict must be, gate by gate: `confidence: { default: 99%, mismatch_rate: 99.9% }`. A stage's "
             "`confidence` stands in place of the route's as a whole.",
    .keys = confidence_keys,
};

static const struct config_key webhook_keys[] = {
    {ROW("url", type_web_url, config_gate_webhook, url), .flags = KEY_REQUIRED,
     .help = "`http://` or `https://`. `--dump` shows it without what lies behind the host."},
    DURATION("interval", config_gate_webhook, interval_ms, "30s", SECOND, DAY, "How often it is asked; at least `timeout`."),
    DURATION("timeout", config_gate_webhook, timeout_ms, "5s", 10, HOUR, "No answer in this time is no go."),
    END_OF_KEYS,
};
static const struct config_section webhook_section = {
    .heading = "routes[].gates.webhook",
    .intro = "Asks somebody else before a stage is left: only the status 200 says go, and nothing it says is a failure of "
             "new. `webhook: off` asks nobody, in a stage of a route that asks.",
    .keys = webhook_keys,
    .turn_off = webhook_turn_off,
    .is_off = webhook_is_off,
    .check = webhook_check,
};

static const struct config_key gate_keys[] = {
    COUNT64("min_requests", config_gates, min_requests, "500", 1, 1e12,
            "Requests on each side that has traffic in the stage, before anything is judged."),
    COUNT64("min_distinct_keys", config_gates, min_distinct_keys, "0", 0, 1000,
            "Clients (values of the sticky key) new must have answered, so that no single one moves the plan. Errors and "
            "mismatches fail it only when they come from as many, and from as many paths, or from all there are; errors of "
            "legacy help new to pass on the same terms. From 2 on, a verdict on latency must hold without any few clients "
            "or paths that alone lead to it."),
    RATE("error_rate_increase", config_gates, error_rate_increase, "2%", 0, 1,
         "How much the error rate of new may be above legacy's, in points."),
    RATE("error_rate", config_gates, error_rate, "off", 0, 1, "The error rate of new, whatever legacy's is."),
    RATE("availability", config_gates, availability, "off", 0, 1,
         "How much of what new was asked must have been answered, with whatever status. A failed connection, a timeout, a "
         "reset and what is no HTTP are no answer, also where `errors` does not name them."),
    RATE("p95_increase", config_gates, p95_increase, "20%", 0, 1000,
         "How much the 95th percentile of new's latency may be above legacy's."),
    RATE("p50_increase", config_gates, p50_increase, "off", 0, 1000, "The same for the median."),
    RATE("p99_increase", config_gates, p99_increase, "off", 0, 1000, "The same for the 99th percentile."),
    {ROW("p95_ratio", type_ratio, config_gates, p95_ratio), .fallback = "off", .min = 1, .max = 1000, .flags = KEY_OFF,
     .help = "The 95th percentile of new's latency over legacy's."},
    RATE("mismatch_rate", config_gates, mismatch_rate, "0.1%", 0, 1,
         "How many of the compared pairs may differ. Off by default in a route that mirrors nothing."),
    {ROW("confidence", type_confidence, config_gates, confidence), .fallback = "99%", .min = 0.5, .max = 0.999999,
     .section = &confidence_section,
     .help = "How sure a verdict must be; one for all, or `{ default: 99%, mismatch_rate: 99.9% }`."},
    SECTION("webhook", config_gates, webhook, webhook_section, "Somebody else who must say go; or `off`."),
    {ROW("only", type_schedule, config_gates, only), .fallback = "off", .flags = KEY_OFF,
     .help = "When a stage may be left by itself, as in `Mon-Thu 09:00-16:00 Europe/Berlin` (see [Schedules](#schedules)); "
             "`off`: at any time."},
    END_OF_KEYS,
};
const struct config_section config_gate_section = {
    .heading = "routes[].gates",
    .intro = "What must be true to leave a stage. A route with a fixed share has no gates.",
    .keys = gate_keys,
};

static const struct config_key stage_keys[] = {
    {ROW("name", type_stage_name, config_stage, name),
     .help = "Shown in status and audit; a stage without one is called after its share, such as `25%`."},
    {ROW("percent", type_share, config_stage, percent), .min = 0, .max = SHARE_ALL, .flags = KEY_REQUIRED,
     .help = "Live traffic to new. Never smaller than in the stage before."},
    SHARE("shadow", config_stage, shadow, "0%", "Traffic mirrored to the side that does not answer it."),
    DURATION("hold", config_stage, hold_ms, "0s", 0, YEAR,
             "How long the gates must have passed before the next stage. Required where shunt promotes by itself; "
             "the last stage may leave it out."),
    WORD("confirm", type_flag, config_stage, confirm, "false", yes_no,
         "A person must promote out of this stage, also with `promotion: auto`."),
    {ROW("promotion", type_choice, config_stage, promotion), .fallback = "the route's", .choices = promotions,
     .flags = KEY_DEFERRED, .help = "Out of this stage: by itself, or by a person."},
    DURATION("deadline", config_stage, deadline_ms, "0s", 0, YEAR,
             "The longest time in this stage, pauses included; 0 sets none. Longer than `hold`."),
    WORD("on_deadline", type_choice, config_stage, on_deadline, "pause", deadline_actions,
         "What happens then, once: `pause` keeps the share until a person resumes, `rollback` does what `on_failure` "
         "says (`zero` where that says `tell` or `freeze`), `tell` is an event and nothing else."),
    {ROW("gates", type_stage_gates, config_stage, gates), .section = &config_gate_section, .fallback = "the route's",
     .flags = KEY_DEFERRED, .help = "What must be true to leave this stage: keys given here stand in place of the "
                                    "route's, one by one."},
    END_OF_KEYS,
};
static const struct config_section stage_section = {
    .heading = "routes[].stages[]", .keys = stage_keys, .size = sizeof(struct config_stage)};

static const struct config_key on_failure_keys[] = {
    {ROW("to", type_choice, config_on_failure, to), .fallback = "zero, and tell with promotion: manual",
     .choices = failure_ends, .flags = KEY_DEFERRED,
     .help = "`zero` rolls back, `previous` goes back to the stage before and on from there, `freeze` keeps the share until "
             "a person resumes, `tell` is an event and nothing else."},
    {ROW("ramp", type_duration, config_on_failure, ramp_ms), .fallback = "0s", .min = 0, .max = DAY,
     .flags = KEY_SKIP_ZERO, .help = "The share goes down in ten steps over this time; 0: at once."},
    {ROW("retries", type_count, config_on_failure, retries), .fallback = "3", .min = 1, .max = 100,
     .flags = KEY_SKIP_ZERO,
     .help = "Of `previous`: after so many steps back in a row the plan is rolled back."},
    END_OF_KEYS,
};
static const struct config_section on_failure_section = {
    .heading = "routes[].on_failure",
    .intro = "What a failed gate, a deadline with `on_deadline: rollback` or a dependency that fell back does to the plan. "
             "The breaker and a person's rollback always go to zero at once.",
    .keys = on_failure_keys,
};

static const struct config_key breaker_keys[] = {
    DURATION("window", config_breaker, window_ms, "60s", 100, HOUR, "The sliding window that rates are taken over."),
    COUNT64("min_requests", config_breaker, min_requests, "50", 1, 1e12,
            "Requests on new within the window before a rate counts."),
    RATE("error_rate", config_breaker, error_rate, "5%", 0, 1, "Errors of new; what counts as one is `errors` of the route."),
    RATE("error_rate_increase", config_breaker, error_rate_increase, "2%", 0, 1,
         "The same above legacy's in the same window, in points."),
    {ROW("p95_ratio", type_ratio, config_breaker, p95_ratio), .fallback = "2", .min = 1, .max = 1000, .flags = KEY_OFF,
     .help = "The 95th percentile of new's latency over legacy's."},
    COUNT("min_distinct_keys", config_breaker, min_distinct_keys, "3", 0, 1000,
          "Clients, and paths, that errors must come from before they count; or from all of them, where new has fewer."),
    DURATION("slow_call", config_breaker, slow_call_ms, "0s", 0, HOUR,
             "An exchange that takes so long is slow; 0 does not watch them."),
    RATE("slow_call_rate", config_breaker, slow_call_rate, "50%", 0, 1, "Slow exchanges of new, where `slow_call` is set."),
    DURATION("ramp", config_breaker, ramp_ms, "10s", 0, DAY,
             "After a recovery new's share grows back over this time."),
    COUNT("consecutive_errors", config_breaker, consecutive_errors, "10", 0, 1000000,
          "Errors of new in a row, whatever the window; 0 does not watch them."),
    DURATION("cooldown", config_breaker, cooldown_ms, "30s", 1, DAY,
             "Time until a trial; doubles with each trip in a row."),
    COUNT("max_trips", config_breaker, max_trips, "3", 0, 1000,
          "Trips after which the route is rolled back until a person resumes it; 0 never does."),
    COUNT("trial_requests", config_breaker, trial_requests, "5", 1, 1000,
          "Successes in a row that a trial needs to close the breaker."),
    END_OF_KEYS,
};
static const struct config_section breaker_section = {
    .heading = "routes[].breaker",
    .intro = "Takes all live traffic back to legacy when new fails. On with these defaults when the section is absent; "
             "`breaker: off` does without.",
    .keys = breaker_keys,
    .prepare = breaker_prepare,
    .turn_off = breaker_turn_off,
    .is_off = breaker_is_off,
    .check = breaker_check,
};

static const struct config_key sample_keys[] = {
    COUNT("keep", config_samples, keep, "10", 0, 1000,
          "Pairs kept for each field that differs: half of them the newest, half the most telling."),
    WORD("values", type_choice, config_samples, values, "redacted", sample_values,
         "`redacted` shows where a pair differs and the type and length of each value; `hashed` adds a keyed hash, so "
         "that equal values look equal; `full` shows values, but for what is known to be secret; `none` keeps no "
         "samples and no values at all."),
    SIZE("max_bytes", config_samples, max_bytes, "16MiB", 64 * KIB, 1024.0 * MIB,
         "All samples of the route; over it the oldest go first."),
    DURATION("max_age", config_samples, max_age_ms, "30d", MINUTE, 10 * YEAR, "Older samples are forgotten."),
    LIST("deny", type_secret_names, config_samples, deny, deny_count, NULL,
         "Names of headers, query and form parameters and JSON members whose values are never shown, besides those "
         "that shunt knows (such as `authorization`, `cookie`, `password`, `token`, `card`)."),
    END_OF_KEYS,
};
static const struct config_section sample_section = {.heading = "routes[].shadow.samples", .keys = sample_keys};

static const struct config_key tolerance_keys[] = {
    {ROW("path", type_json_path, config_tolerance, path), .flags = KEY_REQUIRED, .help = "A JSON path to numbers, or to points in time."},
    {ROW("absolute", type_absolute, config_tolerance, amount), .min = 0, .max = 999999999,
     .help = "How much they may differ. Exactly one of this and the next two is given."},
    {ROW("relative", type_relative, config_tolerance, amount), .min = 0, .max = 1,
     .help = "How much they may differ, of the larger one."},
    {ROW("within", type_within, config_tolerance, amount), .min = 1, .max = 365.0 * DAY,
     .help = "How far points in time may be apart: RFC 3339, HTTP dates, or numbers that are seconds or milliseconds "
             "since 1970."},
    END_OF_KEYS,
};
static const struct config_section tolerance_section = {
    .heading = "routes[].shadow.compare.tolerance[]",
    .keys = tolerance_keys,
    .size = sizeof(struct config_tolerance),
    .check = tolerance_check,
};

static const struct config_key noise_keys[] = {
    SHARE("percent", config_noise, percent, "0%",
          "How many of the mirrored safe requests get the second copy."),
    {ROW("relative", type_rate, config_noise, relative), .fallback = "20%", .min = 0, .max = 1,
     .help = "A field is shown as a real difference only when the rate at which it differs is above its noise rate by "
             "more than this part of their sum."},
    {ROW("absolute", type_rate, config_noise, absolute), .fallback = "0.03%", .min = 0, .max = 1,
     .help = "And only when it is above by more than this, of all pairs."},
    {ROW("confidence", type_rate, config_noise, confidence), .fallback = "99%", .min = 0.5, .max = 0.999999,
     .help = "And only when that is significant at this confidence, for all fields of the route together."},
    END_OF_KEYS,
};
static const struct config_section noise_section = {
    .heading = "routes[].shadow.compare.noise",
    .intro = "A second copy to the primary's own backend: what differs there is noise and not counted against new.",
    .keys = noise_keys,
};

static const struct config_key keyed_keys[] = {
    {ROW("path", type_json_path, config_keyed, path), .flags = KEY_REQUIRED,
     .help = "A JSON path to arrays of objects."},
    {ROW("by", type_text, config_keyed, by), .flags = KEY_REQUIRED,
     .help = "The member that says which element of one side belongs to which of the other."},
    END_OF_KEYS,
};
static const struct config_section keyed_section = {
    .heading = "routes[].shadow.compare.unordered[]", .keys = keyed_keys, .size = sizeof(struct config_keyed)};

static const struct config_key replace_keys[] = {
    {ROW("in", type_replace_in, config_replace, in), .flags = KEY_REQUIRED,
     .help = "`body` (of text, before it is read as anything else), `header:NAME`, or a JSON path to strings."},
    {ROW("pattern", type_regex, config_replace, pattern), .flags = KEY_REQUIRED,
     .help = "A regular expression of PCRE2; every match is replaced, on both sides."},
    {ROW("with", type_replacement, config_replace, with), .flags = KEY_DEFERRED,
     .help = "What stands there instead: `$1` is the first group, `$0` the whole match, `$$$$` a dollar sign. Without "
             "this key matches are taken out."},
    END_OF_KEYS,
};
static const struct config_section replace_section = {
    .heading = "routes[].shadow.compare.replace[]",
    .keys = replace_keys,
    .size = sizeof(struct config_replace),
    .check = replace_check,
};

static const struct config_key compare_keys[] = {
    WORD("status", type_words, config_compare, status_class, "exact", status_rules,
         "`exact` compares 200 with 200, `class` is content with 2xx and 2xx."),
    LIST("headers", type_header_names, config_compare, headers, header_count, "[content-type, location]",
         "The response headers that are compared."),
    LIST("ignore", type_compare_parts, config_compare, ignore, ignore_count, NULL,
         "What is left out: `header:NAME`, `status`, `body`, or JSON paths such as `$.items[*].updated_at`."),
    SECTIONS("tolerance", config_compare, tolerance, tolerance_count, tolerance_section, 0, 64,
             "Numbers and points in time that may differ a little."),
    {ROW("unordered", type_unordered, config_compare, unordered),
     .count_at = offsetof(struct config_compare, unordered_count), .section = &keyed_section,
     .help = "Arrays whose order does not matter: JSON paths, or `{ path: \"$.items\", by: id }` where a member names "
             "each element."},
    LIST("present_only", type_json_paths, config_compare, present_only, present_only_count, NULL,
         "JSON paths of values that must be there on both sides, whatever they are."),
    SECTIONS("replace", config_compare, replace, replace_count, replace_section, 0, 64,
             "Text that is replaced on both sides before they are compared, in this order."),
    WORD("xml_whitespace", type_words, config_compare, xml_whitespace, "ignore", blank_rules,
         "`ignore` leaves out blanks around text of XML and between elements, `exact` compares them."),
    SECTION("noise", config_compare, noise, noise_section, "How noise is learnt."),
    PATH("descriptor_set", config_compare, descriptor_set,
         "A file with a `FileDescriptorSet` (`protoc --include_imports --descriptor_set_out=FILE`): fields of gRPC messages "
         "then have their names. Without it they have their numbers."),
    END_OF_KEYS,
};
static const struct config_section compare_section = {
    .heading = "routes[].shadow.compare", .intro = "When two responses are the same.", .keys = compare_keys};

/* All three make one list of config_shadow, whose struct the section shares. */
static const struct config_key edit_keys[] = {
    {.name = "remove", .type = &type_header_removals, .help = "These are taken out."},
    {.name = "set", .type = &type_header_replacements,
     .help = "`NAME: VALUE` in place of what is there, or added where nothing is. A secret comes from `${NAME}` or "
             "`{ file: PATH }`."},
    {.name = "add", .type = &type_header_additions, .help = "`NAME: VALUE` as one more line."},
    END_OF_KEYS,
};
static const struct config_section edit_section = {
    .heading = "routes[].shadow.headers",
    .intro = "What becomes of the copy's headers, in the order of these keys; the client's request to the primary is "
             "not touched. Credentials of the mirrored backend go here. `Host` has its own key, and headers that belong "
             "to the connection or say how long a body is are refused.",
    .keys = edit_keys,
    .is_set = edits_are_set,
};

static const struct config_key shadow_breaker_keys[] = {
    COUNT("consecutive_failures", config_shadow_breaker, consecutive_failures, "20", 1, 1000000,
          "Copies in a row without an answer (no connection, no answer in time, broken off, not HTTP); an answer, "
          "whatever its status, is none."),
    DURATION("cooldown", config_shadow_breaker, cooldown_ms, "5s", 100, HOUR,
             "Then no copies for this time, and one at a time as a trial; doubles with each trial that fails, up to 32 "
             "times."),
    END_OF_KEYS,
};
static const struct config_section shadow_breaker_section = {
    .heading = "routes[].shadow.breaker",
    .intro = "Leaves a mirrored backend alone when it cannot answer copies. On with these defaults when the section is "
             "absent; `breaker: off` does without. It never touches live traffic.",
    .keys = shadow_breaker_keys,
    .prepare = shadow_breaker_prepare,
    .turn_off = shadow_breaker_turn_off,
    .is_off = shadow_breaker_is_off,
};

static const struct config_key shadow_keys[] = {
    {ROW("percent", type_share, config_shadow, percent), .fallback = "0%", .min = 0, .max = SHARE_ALL,
     .flags = KEY_SKIP_ZERO, .help = "Traffic mirrored, in a route with a fixed share; stages have their own."},
    METHODS(config_shadow, "[GET, HEAD]",
            "What is mirrored; writes only when they are named here, and `[\"*\"]` names all."),
    DURATION("timeout", config_shadow, timeout_ms, "2s", 1, HOUR, "From the copy's start to its response's end."),
    COUNT("max_in_flight", config_shadow, max_in_flight, "256", 1, 1000000,
          "Copies under way; more are dropped and counted."),
    SIZE("max_body", config_shadow, max_body, "1MiB", 0, 64 * MIB,
         "Of a response kept for comparing; beyond it length and digest are compared."),
    SIZE("max_buffer", config_shadow, max_buffer, "256KiB", 4 * KIB, 1024.0 * MIB,
         "Request bytes a slow copy may fall behind before it is given up."),
    COUNT("max_connections", config_shadow, max_connections, "256", 1, 1000000,
          "Connections for copies to each mirrored backend, apart from those of live traffic."),
    {ROW("max_rate", type_limit, config_shadow, max_rate), .fallback = "off", .min = 1, .max = 1000000,
     .flags = KEY_OFF, .help = "Copies per second, of the whole process; more are dropped and counted."},
    WORD("sampling", type_words, config_shadow, sample_by_cohort, "request", samplings,
         "Who a share below 100 % takes: `request` draws for each request by itself, `cohort` takes all requests of "
         "the same users, as `sticky` tells them apart."),
    LIST("statuses", type_statuses, config_shadow, statuses, status_count, NULL,
         "Mirrors only what the primary answered with one of these: `2xx`, `404`, `200-204`. The copy then leaves "
         "when that answer's head is there. Without this key all."),
    WORD("read_only", type_words, config_shadow, simulate, "off", read_only_words,
         "`simulate` logs and counts what would be mirrored, and sends nothing."),
    {ROW("host", type_shadow_host, config_shadow, host), .fallback = "original",
     .help = "The copy's `Host`: what the client sent, host and port of the mirrored backend's URL, or this one."},
    {.name = "headers", .type = &type_section, .section = &edit_section,
     .help = "What becomes of the copy's headers."},
    SECTION("breaker", config_shadow, breaker, shadow_breaker_section, "When the mirrored backend is left alone."),
    LIST("endpoints", type_templates, config_shadow, endpoints, endpoint_count, NULL,
         "Path templates that the report groups requests under, the first one that fits: `/orders/{id}/items`, "
         "`/files/**`. What fits none is grouped by what its segments look like."),
    SECTION("samples", config_shadow, samples, sample_section, "What the report shows of differences."),
    SECTION("compare", config_shadow, compare, compare_section, "When two responses are the same."),
    END_OF_KEYS,
};
static const struct config_section shadow_section = {
    .heading = "routes[].shadow",
    .intro = "How requests are mirrored to the other side. A shadow never costs the client anything: what does not fit "
             "these bounds is dropped and counted.",
    .keys = shadow_keys,
};

static const struct config_key fallback_keys[] = {
    {ROW("on", type_fallback_on, config_fallback, on), .flags = KEY_REQUIRED,
     .help = "Failures of new that are answered from legacy: `connect`, `timeout`, `5xx`, `reset`."},
    METHODS(config_fallback, "[GET, HEAD]", "For these requests only; `[\"*\"]` names all."),
    END_OF_KEYS,
};
static const struct config_section fallback_section = {
    .heading = "routes[].fallback",
    .intro = "Asks legacy when new fails a request, so that the client does not see it. Without this section a "
             "failure is the client's answer.",
    .keys = fallback_keys,
    .turn_off = fallback_turn_off,
    .is_set = fallback_is_set,
};

static const struct config_key route_keys[] = {
    {ROW("name", type_name, config_route, name), .flags = KEY_REQUIRED,
     .help = "Unique; stands in metrics, logs and commands, and keeps the plan's place over reloads."},
    SECTION("match", config_route, match, match_section, "Which requests; absent: all."),
    {ROW("legacy", type_backend_name, config_route, side[SIDE_LEGACY]), .fallback = "legacy", .flags = KEY_DEFERRED,
     .help = "The backend that migration moves away from."},
    {ROW("new", type_backend_name, config_route, side[SIDE_NEW]), .fallback = "new", .flags = KEY_DEFERRED,
     .help = "The backend that it moves to."},
    LIST("sticky", type_sticky, config_route, sticky, sticky_count, "[client_ip]",
         "What decides a request's cohort, the first one present: `{ header: NAME }`, `{ cookie: NAME }`, "
         "`{ query: NAME }`, and last `client_ip` or `random`."),
    SECTION("assign", config_route, assign, assign_section, "An assignment cookie."),
    LIST("overrides", type_overrides, config_route, overrides, override_count, NULL,
         "Requests with a fixed side, the first rule that matches: `{ header: { NAME: VALUE }, backend: new }`; "
         "`cookie` and `query` work alike, and `[VALUE, VALUE]` lists several."),
    SECTIONS("stages", config_route, stages, stage_count, stage_section, 1, 64,
             "The plan. State outside the file remembers which stage it is in."),
    {ROW("percent", type_share, config_route, percent), .fallback = "0%", .min = 0, .max = SHARE_ALL,
     .flags = KEY_SKIP_ZERO,
     .help = "A fixed share of live traffic to new instead of stages; follows the file on every reload."},
    WORD("promotion", type_choice, config_route, promotion, "manual", promotions,
         "`auto` goes to the next stage once a stage has held and its gates pass."),
    WORD("start", type_words, config_route, start_by_hand, "auto", starts,
         "`manual` waits before the first stage, at share 0, until a person starts the plan."),
    SECTION("gates", config_route, gates, config_gate_section, "What must be true to leave a stage."),
    SECTION("on_failure", config_route, on_failure, on_failure_section, "What happens when a gate fails."),
    LIST("depends_on", type_depends_on, config_route, depends_on, depends_count, NULL,
         "Plans this one waits for in its first stage, and falls back with: `planner` must be done, and of `{ route: "
         "planner, stage: canary }` that stage or a later one must have begun."),
    {ROW("errors", type_errors, config_route, errors), .fallback = "[5xx, connect, timeout, reset, bad_response]",
     .help = "What speaks against a backend, for gates and breaker and both sides alike: statuses (`5xx`, `429`, `502-504`), "
             "`connect`, `timeout`, `reset`, and `bad_response` for an answer that is no HTTP. Of gRPC `{ grpc: [STATUS, ...] "
             "}`, in the list or alone, by name or number: without it UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, "
             "INTERNAL, UNAVAILABLE and DATA_LOSS; an empty list is none. A list with nothing but `grpc` leaves the "
             "rest as it is by default."},
    SECTION("breaker", config_route, breaker, breaker_section, "When live traffic is taken back."),
    SECTION("shadow", config_route, shadow, shadow_section, "How requests are mirrored and compared."),
    SECTION("fallback", config_route, fallback, fallback_section, "Answers from legacy when new fails."),
    END_OF_KEYS,
};
static const struct config_section route_section = {
    .heading = "routes[]",
    .intro = "Requests that migrate together; the first route that matches takes a request, and one that matches "
             "none goes to `legacy`.",
    .keys = route_keys,
    .size = sizeof(struct config_route),
    .check = route_check,
};

/* ---- state ---- */

static const struct config_key redis_tls_keys[] = {
    PATH("ca", config_redis, ca, "A file of PEM: who may sign the server's certificate; absent: the system's."),
    PATH("certificate", config_redis, certificate, "A file of PEM: what shunt shows when it is asked. With `key`."),
    PATH("key", config_redis, key, "A file of PEM: its private key."),
    {ROW("server_name", type_server_name, config_redis, server_name), .fallback = "the host that is connected to",
     .flags = KEY_DEFERRED,
     .help = "The name asked for (SNI), which the certificate must have; also of the servers that sentinels or a "
             "cluster name."},
    WORD("insecure_skip_verify", type_flag, config_redis, insecure_skip_verify, "false", yes_no,
         "`true` takes any certificate, so that anybody in between can be Redis: never outside of a test."),
    END_OF_KEYS,
};
static const struct config_section redis_tls_section = {
    .heading = "state.redis.tls",
    .intro = "Of a `url` that begins with `rediss`, which has these defaults without this section too. Files are read again "
             "whenever a connection is made.",
    .keys = redis_tls_keys,
    .is_set = redis_tls_is_set,
    .check = redis_tls_check,
};

static const struct config_key redis_keys[] = {
    {ROW("url", type_redis_url, config_redis, url), .flags = KEY_REQUIRED,
     .help = "`redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, `unix:///PATH[?db=DATABASE]`, "
             "`redis+sentinel://HOST[:PORT],HOST.../MASTER[/DATABASE]` or `redis+cluster://HOST[:PORT],HOST...`; with "
             "`rediss` in place of `redis` over TLS. Ports are 6379, of sentinels 26379, when none is given. `/ ? # @ %` "
             "in a password are written `%2F %3F %23 %40 %25`. `--dump` shows no password."},
    {ROW("group", type_name, config_redis, group), .flags = KEY_REQUIRED | KEY_RESTART,
     .help = "Replicas that name the same group share one plan, one passthrough and one report."},
    {ROW("replica", type_name, config_redis, replica),
     .fallback = "the environment's POD_NAME, else the host's name", .flags = KEY_DEFERRED | KEY_RESTART,
     .help = "This replica's name for people, in `shuntctl fleet`, events and the audit trail. It need not be unique."},
    {ROW("username", type_redis_username, config_redis, username), .help = "The user of Redis' ACL; absent: `default`."},
    {ROW("password", type_redis_password, config_redis, password),
     .help = "Best from `${NAME}` or `{ file: PATH }`."},
    {ROW("password_file", type_redis_password_file, config_redis, password_file),
     .help = "A file with the password in its place; relative to the folder of this file, and read again whenever a connection "
             "is made, so that a password can change without a reload."},
    WORD("resp", type_choice, config_redis, resp, "auto", redis_protocols,
         "The protocol's version; `auto` is 3 where the server knows it, else 2."),
    DURATION("timeout", config_redis, timeout_ms, "1s", 100, 10.0 * SECOND,
             "Of connecting, and of an answer; then the connection is given up and made anew."),
    {.name = "tls", .type = &type_section, .section = &redis_tls_section,
     .help = "How a `rediss` server is verified."},
    END_OF_KEYS,
};
static const struct config_section redis_section = {
    .heading = "state.redis",
    .intro = "One plan for all replicas of a group (see [One plan for a fleet](fleet.md)). Redis is never asked while a "
             "request is served, and may be absent, at start too. Most keys may change when the file is reloaded: the "
             "link is made anew. The section itself comes and goes when shunt starts again.",
    .keys = redis_keys,
    .is_set = redis_is_set,
    .check = redis_check,
};

static const struct config_key state_keys[] = {
    {ROW("directory", type_text, config_state, directory), .flags = KEY_RESTART,
     .help = "A folder shunt may write to; stage, share, breaker and audit trail survive there. It may be left out beside "
             "`redis`: then the last known state does not outlive a restart while Redis is away, and there is no audit trail."},
    SECTION("redis", config_state, redis, redis_section, "Where a fleet shares its plan; absent: each replica has its own."),
    END_OF_KEYS,
};
static const struct config_section state_section = {
    .heading = "state",
    .intro = "Without this section state lives in memory, and a restart begins every plan again.",
    .keys = state_keys,
    .is_set = state_is_set,
    .check = state_check,
};

/* ---- notify[] ---- */

static const struct config_key notify_keys[] = {
    {ROW("url", type_web_url, config_notify, url), .flags = KEY_REQUIRED,
     .help = "`http://` or `https://`. `--dump` shows it without what lies behind the host."},
    WORD("format", type_choice, config_notify, format, "json", notify_formats,
         "`json` is the event as in the audit trail, `slack` a message for a chat."),
    {ROW("events", type_events, config_notify, events), .count_at = offsetof(struct config_notify, event_count),
     .help = "What is told; without this key every change of state."},
    {ROW("token_file", type_notify_token_file, config_notify, token_file),
     .help = "A file with the token sent as `Authorization: Bearer`; relative to the folder of this file."},
    DURATION("timeout", config_notify, timeout_ms, "5s", 10, MINUTE, "Of one try; it is tried again, later and later."),
    END_OF_KEYS,
};
static const struct config_section notify_section = {
    .heading = "notify[]",
    .intro = "Who is told of changes of state. Nothing waits for them.",
    .keys = notify_keys,
    .size = sizeof(struct config_notify),
};

/* ---- the whole file ---- */

static const struct config_key file_keys[] = {
    {ROW("listeners", type_sections, config, listeners), .count_at = offsetof(struct config, listener_count),
     .section = &listener_section, .min = 1, .max = 64, .flags = KEY_REQUIRED,
     .help = "Where clients connect."},
    SECTION("admin", config, admin, admin_section, "The admin API, health checks and metrics."),
    {ROW("workers", type_workers, config, workers), .fallback = "auto", .min = 1, .max = 256,
     .flags = KEY_RESTART | KEY_AUTO,
     .help = "Threads that move bytes; `auto` is one per core of the CPU quota."},
    SECTION("access_log", config, access_log, access_log_section, "A line per request, or `off`."),
    SECTION("timeouts", config, timeouts, timeout_section, "How long shunt waits for what."),
    SECTION("limits", config, limits, limit_section, "What is too much."),
    SECTION("headers", config, headers, header_section, "What shunt adds to messages."),
    {ROW("backends", type_backends, config, backends), .section = &backend_section, .flags = KEY_REQUIRED,
     .help = "Who answers, by name."},
    SECTIONS("routes", config, routes, route_count, route_section, 0, 1024, "What migrates."),
    {ROW("freeze", type_schedule, config, freeze), .fallback = "off", .flags = KEY_OFF,
     .help = "When no plan is promoted by itself, as in `2026-12-20 18:00 - 2027-01-07 08:00 Europe/Berlin` (see "
             "[Schedules](#schedules)). Going back is never frozen."},
    SECTIONS("notify", config, notify, notify_count, notify_section, 0, 16, "Who is told of changes of state."),
    SECTION("state", config, state, state_section, "Where what happened is kept."),
    END_OF_KEYS,
};
const struct config_section config_file_section = {.heading = "the file", .keys = file_keys, .check = file_check};
