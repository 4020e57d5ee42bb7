/*
 * Routes made ready for matching: everything that can be worked out once per configuration (lengths, normalised paths,
 * hash seeds) is worked out here, so that a request costs no more than comparing.
 *
 * How a request matches: all of host, path, methods, headers and query that the file names must match; the first route
 * in the file's order wins.
 *  - host: letters of either case; port and one final dot are ignored. "*.example.com" wants one label more, or
 * several.
 *  - path: segment by segment, on the path as it came. Percent-encoded unreserved characters count as themselves
 *    (RFC 3986 section 6.2.2.2) and hexadecimal digits of either case are equal (6.2.2.1); nothing else is decoded, so
 *    %2F never separates segments, and dot segments are not resolved. "*" is one segment that is not empty; "**" is
 *    any rest, also none. The target "*" (OPTIONS *) has no path: only routes without a path match it.
 *  - methods and values: exact. Header names: letters of either case; any field of the name, and its whole value: lists
 *    are not split.
 *  - query: names and values are compared after decoding, "+" as a blank.
 */
#ifndef SHUNT_ROUTER_ROUTE_H
#define SHUNT_ROUTER_ROUTE_H

#include "config/config.h"
#include "router/request.h"

/* "NAME is one of VALUES", or with no values "NAME is there". */
struct route_rule {
    enum config_sticky_kind kind; /* STICKY_HEADER, STICKY_COOKIE or STICKY_QUERY */
    struct text name;             /* borrowed from the configuration; lower case for headers */
    struct text *values;          /* owned array of borrowed texts */
    uint32_t value_count;
    enum side side; /* overrides only */
};

struct route_segment {
    enum config_segment_kind kind;
    struct text text; /* into route.path_text: normalised */
};

struct route {
    const struct config_route *config;
    struct text host; /* without "*"; empty matches all */
    bool host_suffix; /* "*.example.com": host is ".example.com" */
    bool has_path;
    bool path_plain; /* literals, then perhaps "**": path_text is compared as one prefix */
    bool path_rest;
    struct text path_text; /* owned: "/a/b" of the literals, normalised */
    struct route_segment *segments;
    uint32_t segment_count;
    struct text *methods;
    uint32_t method_count;
    struct route_rule *headers;
    uint32_t header_count;
    struct route_rule *query;
    uint32_t query_count;
    struct route_rule *overrides;
    uint32_t override_count;
    struct text *shadow_methods;
    uint32_t shadow_method_count;
    struct text assign_cookie;    /* empty: none */
    char assign_value[SIDES][24]; /* "new.1a2b3c4d": the side and a mark of the route */
    uint64_t seed;                /* of cohorts */
    uint64_t shadow_seed;
    uint64_t noise_seed;
};

/* What matching needs to know of one request, worked out at most once. Starts as {0} with `facts` set. */
struct route_probe {
    const struct request_facts *facts;
    struct text host; /* without port and trailing dot */
    bool host_known;
    bool encoded_known;
    bool encoded; /* there is a "%" in the path */
};

/* False without memory; call route_done() in either case. `config` is borrowed until then. */
bool route_init(struct route *route, const struct config_route *config);
void route_done(struct route *route);

bool route_matches(const struct route *route, struct route_probe *probe);
bool route_rule_matches(const struct route_rule *rule, const struct request_facts *facts);
bool route_names_method(const struct text *methods, uint32_t count, struct text method);

/* Host without port (also of "[::1]:80") and without one trailing dot. */
struct text route_host_of(struct text authority);

#endif
