/*
 * The configuration: one YAML file as one immutable tree.
 *
 * config_load() builds it, everybody else only reads it, from any thread. It knows no other room: no sockets, no loop,
 * no threads. All memory of one tree dies together in config_free(). The keys, their units, ranges and defaults are
 * rows of the table in keys.c; the loader, --dump and docs/configuration.md all read that table.
 */
#ifndef SHUNT_CONFIG_CONFIG_H
#define SHUNT_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_arena;
struct schedule; /* config/schedule.h */

/* The two sides of a migration. */
enum side {
    SIDE_LEGACY = 0,
    SIDE_NEW = 1,
    SIDES = 2,
};

/* "legacy" or "new". */
const char *side_name(enum side side);

static inline enum side side_other(enum side side)
{
    return side == SIDE_LEGACY ? SIDE_NEW : SIDE_LEGACY;
}

/* Shares of traffic are counted in steps of 0.01 %: 10,000 is everything. */
enum {
    SHARE_ALL = 10000
};

/* A percentage that was not given. */
#define RATE_UNSET (-1.0)

/* Where something listens or is reached: host and port, or a unix socket. */
struct config_address {
    const char *text;      /* as written, for messages */
    const char *host;      /* name or address without brackets; NULL for a unix socket */
    const char *unix_path; /* NULL for host and port */
    uint16_t port;         /* 0 lets the kernel choose (admin and listeners) */
};

/* The versions of HTTP somebody speaks. */
enum config_protocol {
    PROTOCOL_HTTP1 = 1,
    PROTOCOL_HTTP2 = 2,
    PROTOCOL_AUTO = PROTOCOL_HTTP1 | PROTOCOL_HTTP2, /* by ALPN; in clear a listener knows by the preface, and a backend
                                                        is asked in HTTP/1.1 */
};

/* Files of PEM; read, and read again when they change, by proxy/. Paths are as the loader resolved them. */
struct config_certificate {
    const char *certificate; /* the chain, leaf first */
    const char *key;
};

enum config_client_certificate {
    CLIENT_CERTIFICATE_OFF,
    CLIENT_CERTIFICATE_OPTIONAL,
    CLIENT_CERTIFICATE_REQUIRED
};

struct config_listener_tls {
    struct config_certificate *certificates; /* at least one; the first is shown where no name fits */
    uint32_t certificate_count;
    const char *client_ca; /* NULL unless clients are asked for a certificate */
    enum config_client_certificate client_certificate;
    bool tls13_only;             /* min_version: 1.3; the default is 1.2 */
    bool early_data;             /* safe methods may come in early data; others are answered 425 (RFC 8470) */
    uint64_t ticket_lifetime_ms; /* a ticket's key lives twice as long; 0: no tickets */
};

struct config_listener {
    struct config_address address;
    const struct config_listener_tls *tls; /* NULL: in clear */
    enum config_protocol protocols;
};

struct config_admin {
    struct config_address address;
    bool enabled;      /* false when the file has no admin section */
    const char *token; /* content of token_file, without the final newline; NULL when there is none */
    const char *token_file;
};

struct config_timeouts {        /* all in milliseconds */
    uint64_t request_header_ms; /* from a request's first byte to its complete head: 408 */
    uint64_t request_body_ms;   /* without progress while a body is awaited from the client: 408 */
    uint64_t idle_ms;           /* kept client connection without a request */
    uint64_t connect_ms;        /* to a backend: 504 */
    uint64_t response_ms;       /* from the request's last byte to the response's head: 504 */
    uint64_t stream_idle_ms;    /* without a byte either way while a response streams */
    uint64_t tunnel_idle_ms;    /* without a byte either way after an upgrade, and in passthrough */
    uint64_t drain_ms;          /* SIGTERM: in-flight exchanges may take this long */
    uint64_t drain_min_ms;      /* and before that, from where draining began, all is served on; at most drain_ms */
    uint64_t tls_handshake_ms;  /* either side, from the connection's beginning (ours: from being connected) */
    uint64_t http2_ping_ms; /* HTTP/2 connections that carry streams and are silent so long are asked with a PING; who
                               does not answer within as long again is gone. 0: never */
};

struct config_limits {
    size_t header_bytes;    /* a whole head, request or response: 431 / 502 */
    uint32_t header_count;  /* fields of a head: 431 / 502 */
    size_t uri_bytes;       /* request target: 414 */
    uint32_t connections;   /* client connections of the whole process; over it new ones wait in the kernel's queue */
    uint32_t http2_streams; /* at once on one client's HTTP/2 connection */
    size_t http2_window;    /* bytes a peer may send ahead on one stream; a connection has four times as much */
    size_t shadow_memory;   /* of the whole process, for copies under way, captured answers and pairs that wait; over it
                               copies are not made, or given up */
};

enum config_header_rule {
    HEADER_APPEND, /* add ours behind what is there */
    HEADER_SET,    /* replace what the client sent */
    HEADER_KEEP,   /* set only where the client sent none */
    HEADER_OFF,    /* leave exactly as it came */
};

struct config_headers {                              /* what shunt writes into requests and responses it forwards */
    bool via;                                        /* RFC 9110 section 7.6.3, both directions */
    enum config_header_rule x_forwarded_for;         /* append | set | off */
    enum config_header_rule x_forwarded_proto;       /* set | keep | off */
    enum config_header_rule x_forwarded_host;        /* set | keep | off */
    enum config_header_rule x_request_id;            /* set | keep | off */
    enum config_header_rule x_forwarded_client_cert; /* set | append | keep | off; what a client sent by itself is
                                                        removed unless it is `keep` or `off` */
};

struct config_backend_tls {  /* of a backend whose url is https:// */
    const char *ca;          /* file of PEM; NULL: the system's */
    const char *server_name; /* SNI and the name the certificate must have; default: the host of the url */
    const char *certificate; /* what we show when asked; NULL: nothing */
    const char *key;
    bool insecure_skip_verify;
};

enum config_health_kind {
    HEALTH_HTTP,
    HEALTH_GRPC
};

struct config_health { /* active checks of each address of a backend */
    enum config_health_kind kind;
    const char *path;     /* HTTP: 2xx and 3xx are healthy */
    const char *host;     /* Host of the checks; NULL: the backend's */
    const char *service;  /* gRPC: grpc.health.v1.HealthCheckRequest.service; "" is the whole server */
    uint64_t interval_ms; /* up to a tenth more or less, by chance */
    uint64_t timeout_ms;
    uint32_t unhealthy_after; /* failures in a row */
    uint32_t healthy_after;   /* successes in a row */
};

struct config_backend {
    const char *name;
    const char *url; /* as written */
    struct config_address address;
    uint32_t index;                       /* position in config.backends */
    uint32_t max_connections;             /* of the whole process; each worker may hold its part */
    uint32_t queue;                       /* exchanges that may wait for a connection, whole process */
    uint64_t queue_timeout_ms;            /* 503 after it */
    uint64_t idle_timeout_ms;             /* kept upstream connection without an exchange */
    uint64_t dns_refresh_ms;              /* how often a name is looked up again */
    uint32_t eject_after;                 /* consecutive failures that eject one address of several; 0 never */
    uint64_t eject_ms;                    /* for how long */
    const struct config_backend_tls *tls; /* NULL: in clear */
    enum config_protocol protocol;
    const struct config_health *health; /* NULL: no active checks */
};

/* NAME: VALUE or NAME: [VALUE, ...]; no values means "present". */
struct config_field_match {
    const char *name; /* lower case for headers */
    uint32_t name_len;
    const char **values; /* any of them */
    uint32_t value_count;
};

enum config_segment_kind {
    SEGMENT_LITERAL,
    SEGMENT_ANY,  /* "*": exactly one segment */
    SEGMENT_REST, /* "**": the rest, also nothing; only at the end */
};

struct config_segment {
    enum config_segment_kind kind;
    const char *text; /* literal only */
    uint32_t len;
};

/* "/orders", "/orders/ *" or "/orders/ **" (without the blank). "/orders/ **" also matches "/orders". */
struct config_path {
    const char *text;
    struct config_segment *segments;
    uint32_t segment_count;
};

struct config_match {
    const char *host; /* lower case, without port; "*.example.com" matches one or more labels; NULL matches all */
    struct config_path *path; /* NULL matches all */
    const char **methods;
    uint32_t method_count;              /* 0 matches all */
    struct config_field_match *headers; /* all must match */
    uint32_t header_count;
    struct config_field_match *query; /* all must match; compared after percent-decoding */
    uint32_t query_count;
};

enum config_sticky_kind {
    STICKY_HEADER,
    STICKY_COOKIE,
    STICKY_QUERY,
    STICKY_CLIENT_IP,
    STICKY_RANDOM,
};

struct config_sticky {
    enum config_sticky_kind kind;
    const char *name; /* header names in lower case; NULL for client_ip and random */
    uint32_t name_len;
};

struct config_override {
    enum config_sticky_kind kind; /* STICKY_HEADER, STICKY_COOKIE or STICKY_QUERY */
    struct config_field_match match;
    enum side side;
};

enum config_promotion {
    PROMOTION_MANUAL,
    PROMOTION_AUTO
};

/* A gate's question to somebody else: 200 says go, anything else (or no answer) says not yet. */
struct config_gate_webhook {
    const char *url; /* NULL: none. http or https */
    uint64_t interval_ms;
    uint64_t timeout_ms;
};

/* How sure each verdict must be: the file's `confidence`, or the gate's own. */
struct config_confidence {
    double error_rate_increase, error_rate, availability;
    double p50_increase, p95_increase, p99_increase, p95_ratio;
    double mismatch_rate;
};

struct config_gates {           /* rates are fractions (0.02 is 2 %); RATE_UNSET where the gate is not asked for */
    uint64_t min_requests;      /* on each side that must have traffic in the stage */
    uint64_t min_distinct_keys; /* clients on new, before anything is judged, and behind each verdict: router/gate.h; 0:
                                   not asked for */
    double error_rate_increase; /* new minus legacy */
    double error_rate;          /* of new, whatever legacy's */
    double availability; /* at least so much of what new was asked must have been answered, whatever `errors` says */
    double p50_increase; /* relative: new / legacy - 1 */
    double p95_increase;
    double p99_increase;
    double p95_ratio;     /* new / legacy */
    double mismatch_rate; /* of compared pairs */
    double confidence;    /* 0.99 */
    struct config_confidence confidence_of;
    struct config_gate_webhook webhook;
    const struct schedule *only; /* NULL: at any time; else a stage is left only then */
};

enum config_deadline_action {
    DEADLINE_PAUSE, /* the share holds until a person resumes */
    DEADLINE_ROLLBACK,
    DEADLINE_TELL, /* an event, and nothing else */
};

struct config_stage {
    const char *name; /* given, or made from the share: "25%" */
    uint32_t percent; /* of SHARE_ALL: live traffic to new */
    uint32_t shadow;  /* of SHARE_ALL: mirrored to the other side */
    uint64_t hold_ms;
    bool confirm;                    /* a person must promote out of this stage */
    enum config_promotion promotion; /* out of this stage: its own, else the route's; manual where `confirm` is set */
    uint64_t deadline_ms;            /* time in the stage, pauses included, after which on_deadline happens; 0: none */
    enum config_deadline_action on_deadline;
    struct config_gates gates; /* the route's, with what the stage says of its own */
    bool own_gates;            /* it says something: --dump shows them */
};

enum config_failure_to {
    FAILURE_TELL,     /* an event: a person decides. Default of a manual plan */
    FAILURE_ZERO,     /* rolled back. Default of a plan that promotes by itself */
    FAILURE_PREVIOUS, /* the stage before, from which the plan goes on; rolled back where there is none */
    FAILURE_FREEZE,   /* the share stays as it is until a person resumes */
};

/* What a failed gate, a deadline's rollback or a fallen dependency does to the plan. */
struct config_on_failure {
    enum config_failure_to to;
    uint64_t ramp_ms; /* the share goes down in equal steps over this time; 0: at once */
    uint32_t retries; /* of FAILURE_PREVIOUS: steps back in a row before the plan is rolled back; 3. Else 0 */
};

/* `stage` NULL: its plan must be done. Else it must be in that stage or behind it. */
struct config_dependency {
    const char *route;
    const char *stage;
    uint32_t route_index; /* position in config.routes */
    uint32_t stage_index;
};

/* Which ends of an exchange speak against a backend. */
enum config_error_kind {
    ERROR_CONNECT = 1,
    ERROR_TIMEOUT = 2,
    ERROR_RESET = 4,
    ERROR_BAD_RESPONSE = 8,
};

struct config_errors_of { /* routes[].errors; default: 5xx, all four kinds, and the gRPC statuses below */
    unsigned kinds;       /* of enum config_error_kind */
    uint64_t status[10];  /* one bit for each status 0..639 */
    uint32_t grpc;        /* one bit for each gRPC status 0..16; default UNKNOWN (2), DEADLINE_EXCEEDED (4),
                             RESOURCE_EXHAUSTED (8), INTERNAL (13), UNAVAILABLE (14), DATA_LOSS (15). One beyond 16 is
                             an error as UNKNOWN is */
};

static inline bool config_status_is_error(const struct config_errors_of *errors, unsigned status)
{
    return status < 640 && (errors->status[status / 64] >> (status % 64) & 1) != 0;
}

static inline bool config_grpc_is_error(const struct config_errors_of *errors, unsigned status)
{
    return (errors->grpc >> (status <= 16 ? status : 2) & 1) != 0;
}

struct config_breaker {
    bool enabled;
    uint64_t window_ms;
    uint64_t min_requests;       /* on new within the window */
    uint32_t min_distinct_keys;  /* errors must come from so many clients, and paths, or from as many as new has */
    double error_rate;           /* absolute; RATE_UNSET: not watched */
    double error_rate_increase;  /* over legacy in the same window; RATE_UNSET: not watched */
    double p95_ratio;            /* new / legacy; RATE_UNSET: not watched */
    uint64_t slow_call_ms;       /* an exchange that took so long is slow; 0: not watched */
    double slow_call_rate;       /* of new's judged exchanges; RATE_UNSET: not watched */
    uint32_t consecutive_errors; /* 0: not watched */
    uint64_t cooldown_ms;        /* doubles with each trip in a row; up to a fifth longer, by chance */
    uint64_t ramp_ms;            /* after it closed, new's share grows back over this time; 0: at once */
    uint32_t max_trips;          /* then rolled back until a person resumes; 0: never */
    uint32_t trial_requests;     /* successes a half-open trial needs */
};

enum config_tolerance_kind {
    TOLERANCE_ABSOLUTE,
    TOLERANCE_RELATIVE,
    TOLERANCE_WITHIN, /* points in time: RFC 3339, IMF-fixdate, or numbers: seconds or milliseconds since 1970 */
};

struct config_tolerance {
    const char *path;
    enum config_tolerance_kind kind;
    double amount; /* of TOLERANCE_WITHIN: milliseconds */
};

struct config_keyed {
    const char *path; /* of an array of objects, compared without regard to order */
    const char *by;   /* the member that says which element of one side belongs to which of the other */
};

struct config_replace {
    const char *in;      /* "body" (text, before it is parsed), "header:NAME", or a JSON path to strings */
    const char *pattern; /* PCRE2; all matches are replaced on both sides before comparing */
    const char *with;    /* $1 ... stand for groups */
};

struct config_noise {
    uint32_t percent; /* of SHARE_ALL: mirrored safe requests that also go a second time to the primary's own backend */
    double relative;  /* Diffy's rule: raw and noise rate must be apart by more than this part of their sum; 0.2 */
    double absolute;  /* and by more than this, of all pairs; 0.0003 */
    double confidence; /* and the excess must be significant; 0.99, for all fields of a route together */
};

struct config_compare {
    bool status_class;    /* compare 2xx with 2xx only; default is the exact status */
    const char **headers; /* response headers compared, lower case; default: content-type, location */
    uint32_t header_count;
    const char **ignore; /* "header:NAME", "status", "body", or a JSON path */
    uint32_t ignore_count;
    struct config_tolerance *tolerance;
    uint32_t tolerance_count;
    const char **unordered; /* JSON paths of arrays compared as multisets */
    uint32_t unordered_count;
    struct config_keyed *keyed; /* entries of `unordered` with a key */
    uint32_t keyed_count;
    const char **present_only; /* JSON paths of values that must be there on both sides, whatever they are */
    uint32_t present_only_count;
    struct config_replace *replace; /* in this order */
    uint32_t replace_count;
    bool xml_whitespace; /* blanks around text and blank text between elements count; default: they do not */
    struct config_noise noise;
    const char *descriptor_set; /* file of a serialized google.protobuf.FileDescriptorSet: fields of protobuf messages
                                   have their names then; NULL: their numbers */
};

enum config_sample_values {
    SAMPLES_REDACTED, /* type and length */
    SAMPLES_FULL,     /* as they came, but for what is known to be secret */
    SAMPLES_HASHED,   /* a keyed hash: equal values look equal, and nothing else can be told */
    SAMPLES_NONE,     /* no samples, no values: fields are counted only */
};

struct config_samples {
    uint32_t keep; /* for each field: half of them the newest, half the most telling */
    enum config_sample_values values;
    size_t max_bytes;    /* of all samples of the route */
    uint64_t max_age_ms; /* older ones are forgotten */
    const char **deny;   /* names of headers, members, parameters that are secret, besides those known; lower case */
    uint32_t deny_count;
};

enum config_shadow_host {
    SHADOW_HOST_ORIGINAL, /* the Host the primary got */
    SHADOW_HOST_BACKEND,  /* host and port of the mirrored backend's URL */
    SHADOW_HOST_FIXED,    /* shadow.host_name */
};

enum config_header_edit_kind {
    HEADER_EDIT_REMOVE, /* all lines of this name */
    HEADER_EDIT_SET,    /* these are replaced by one, which is added where there was none */
    HEADER_EDIT_ADD,    /* one line more */
};

struct config_header_edit {
    enum config_header_edit_kind kind;
    const char *name;
    const char *value; /* NULL for remove */
};

struct config_status_range {
    uint16_t from, to; /* inclusive: 200..299 for "2xx", 404..404 for "404" */
};

struct config_shadow_breaker { /* of the mirror: a backend that cannot answer copies is left alone for a while */
    bool enabled;
    uint32_t consecutive_failures; /* connect, timeout, reset, not HTTP; an answer, whatever its status, is a success */
    uint64_t cooldown_ms; /* then one copy at a time is let through; doubles with each failed one, up to 32 times */
};

struct config_shadow {
    const char **methods; /* upper case; "*" alone names all */
    uint32_t method_count;
    bool all_methods;
    uint32_t percent;         /* of SHARE_ALL, for a route with a fixed share; stages have their own */
    uint64_t timeout_ms;      /* from the copy's start to its response's end */
    uint32_t max_in_flight;   /* copies under way, whole process */
    size_t max_body;          /* of a response kept for comparing; beyond it length and digest */
    size_t max_buffer;        /* request bytes a slow copy may fall behind; over it the copy is given up */
    uint32_t max_connections; /* to each mirrored backend, whole process */
    uint32_t max_rate;        /* copies per second, whole process; 0: no limit */
    enum config_shadow_host host;
    const char *host_name;              /* of SHADOW_HOST_FIXED */
    struct config_header_edit *headers; /* of the copy, in this order: removals, replacements, additions */
    uint32_t header_count;
    bool simulate;         /* read_only: simulate: what would be sent is logged and counted, nothing is sent */
    bool sample_by_cohort; /* a share below 100 % takes the same users each time; default: each request by itself */
    struct config_status_range *statuses; /* only what the primary answered with one of these; none: all */
    uint32_t status_count;
    struct config_shadow_breaker breaker;
    const char **endpoints; /* path templates requests are grouped under: "/orders/{id}/items"; first match wins */
    uint32_t endpoint_count;
    struct config_samples samples;
    struct config_compare compare;
};

enum config_fallback_on {
    FALLBACK_CONNECT = 1,
    FALLBACK_TIMEOUT = 2,
    FALLBACK_5XX = 4,
    FALLBACK_RESET = 8,
};

struct config_fallback {
    unsigned on; /* of enum config_fallback_on; 0: no fallback */
    const char **methods;
    uint32_t method_count;
    bool all_methods;
};

struct config_assign {  /* optional assignment cookie: the side a client got is kept by the client */
    const char *cookie; /* NULL: none */
    uint64_t max_age_ms;
};

struct config_route {
    const char *name;
    uint32_t index; /* position in config.routes */
    uint32_t line;  /* in the file */
    struct config_match match;
    const struct config_backend *side[SIDES];
    struct config_sticky *sticky;
    uint32_t sticky_count;
    struct config_assign assign;
    struct config_override *overrides;
    uint32_t override_count;
    struct config_stage *stages;
    uint32_t stage_count; /* 0: fixed share */
    uint32_t percent;     /* of SHARE_ALL, when stage_count is 0 */
    enum config_promotion promotion;
    bool start_by_hand; /* start: manual: the plan waits at share 0 until a person starts it */
    struct config_on_failure on_failure;
    struct config_dependency *depends_on;
    uint32_t depends_count;
    struct config_errors_of errors;
    struct config_gates gates;
    struct config_breaker breaker;
    struct config_shadow shadow;
    struct config_fallback fallback;
};

enum config_redis_kind {
    REDIS_STANDALONE, /* redis://HOST[:PORT][/DB], rediss:// with TLS, unix://PATH[?db=N] */
    REDIS_SENTINEL,   /* redis+sentinel://HOST[:PORT][,HOST...]/MASTER[/DB], rediss+sentinel:// */
    REDIS_CLUSTER     /* redis+cluster://HOST[:PORT][,HOST...], rediss+cluster:// */
};

enum config_redis_resp {
    REDIS_RESP_AUTO, /* 3 where the server knows it, else 2 */
    REDIS_RESP_2,
    REDIS_RESP_3
};

struct config_redis_host {
    const char *host; /* name or address; of unix:// the path */
    uint16_t port;    /* 0: host is a path */
};

/* Where a fleet shares its plan. */
struct config_redis {
    const char *url; /* as in the file, a secret where it holds a password; NULL: no Redis at all */
    enum config_redis_kind kind;
    bool is_tls;
    struct config_redis_host *hosts; /* at least one; of sentinels, or of some nodes of the cluster */
    uint32_t host_count;
    const char *master;        /* the sentinels' name for it; NULL otherwise */
    uint32_t database;         /* 0 in a cluster */
    const char *username;      /* of the ACL; NULL: "default" */
    const char *password;      /* NULL: none, or password_file */
    const char *password_file; /* read again whenever a connection is made */
    const char *group;         /* replicas of the same group share one plan */
    const char *replica;       /* this one's name for people; default: POD_NAME, else the host's name */
    enum config_redis_resp resp;
    uint64_t timeout_ms; /* connecting, and for an answer */
    const char *ca;      /* files, as of a backend's tls; NULL: the system's CAs; no client certificate */
    const char *certificate;
    const char *key;
    const char *server_name; /* NULL: the host's */
    bool insecure_skip_verify;
};

struct config_state {
    const char *directory; /* NULL: in memory */
    struct config_redis redis;
};

struct config_access_log {
    uint32_t sample; /* of SHARE_ALL; 0: off */
};

enum config_notify_format {
    NOTIFY_JSON, /* the event, as in the audit trail */
    NOTIFY_SLACK /* { "text": ... } */
};

struct config_notify {
    const char *url; /* http or https; a secret: paths of chat webhooks are */
    enum config_notify_format format;
    const char **events; /* names (config/events.h) of what is told, such as "rollback"; none: every change of state */
    uint32_t event_count;
    const char *token; /* Authorization: Bearer; NULL: none */
    const char *token_file;
    uint64_t timeout_ms;
};

struct config_secret; /* of config/ alone: which texts --dump must not show */
struct config_place;  /* likewise: see config_place_of() */

struct config {
    const char *file;
    struct config_arena *arena; /* owns everything reachable from here */
    struct config_secret *secrets;
    struct config_place *places;
    struct config_listener *listeners;
    uint32_t listener_count;
    struct config_admin admin;
    uint32_t workers; /* resolved: `auto` became a number */
    struct config_access_log access_log;
    struct config_timeouts timeouts;
    struct config_limits limits;
    struct config_headers headers;
    struct config_backend *backends;
    uint32_t backend_count;
    const struct config_backend *legacy; /* where a request without a route goes, and passthrough */
    struct config_route *routes;
    uint32_t route_count;
    struct config_state state;
    const struct schedule *freeze; /* change freezes: no plan is promoted by itself then; NULL: none */
    struct config_notify *notify;
    uint32_t notify_count;
};

/* All faults of one file, in the order of their place. */
struct config_errors {
    char *
        *lines; /* "shunt.yaml:8:14: routes[0].percent: 101 is too large; expected a percentage from 0% to 100%, ..." */
    size_t count;
    size_t room;
    char **missing; /* paths of files that it names and that cannot be opened: with them it may be good */
    size_t missing_count;
};

void config_errors_free(struct config_errors *errors);

/*
 * Reads and validates `path`. Returns a tree the caller frees with config_free(), or NULL with at least one line in
 * *errors (zero it first; the caller frees it with config_errors_free() in either case). Blocks on file I/O only: any
 * thread.
 */
struct config *config_load(const char *path, struct config_errors *errors);

/* The same for text in memory; `name` stands in messages for the file, and relative `{file: ...}` paths start at its
 * folder. */
struct config *config_parse(const char *name, const char *text, size_t length, struct config_errors *errors);

void config_free(struct config *config); /* NULL is fine */

/* Where the file names the file at `path`, a pointer out of `config`, as faults begin: "shunt.yaml:3:12:
 * listeners[0].tls.key". NULL when it does not. The configuration's memory. */
const char *config_place_of(const struct config *config, const char *path);

/* The effective configuration as YAML that config_parse() accepts again, defaults filled in, secrets masked as "***" in
 * a form that says where they came from. Returns malloc'd text, or NULL without memory. */
char *config_dump(const struct config *config);

/*
 * Does `next` differ from `running` in keys that only take effect when shunt starts again? Writes them to `names`
 * ("workers, admin.address", cut where `room` bytes end). Any thread.
 */
bool config_needs_restart(const struct config *running, const struct config *next, char *names, size_t room);

/* docs/configuration.md, made from the table. Returns malloc'd text, or NULL without memory. */
char *config_reference(void);
/* The same as the manual page shunt.yaml(5). */
char *config_manual(void);

#endif
