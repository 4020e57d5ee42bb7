/*
 * Matching a request against one route. Built on the control thread, read by all workers, immutable in between;
 * matching allocates nothing and never fails.
 */
#include "router/route.h"

#include <stdio.h>
#include <stdlib.h>

#include "router/cohort.h"
#include "router/cookie.h"
#include "router/query.h"
#include "router/text.h"

/* ---- building ---- */

static bool texts_init(struct text **texts, const char *const *strings, uint32_t count)
{
    if (count == 0)
        return true;
    *texts = calloc(count, sizeof(**texts));
    if (*texts == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        (*texts)[i] = text_of(strings[i]);
    return true;
}

static bool rule_init(struct route_rule *rule, enum config_sticky_kind kind, const struct config_field_match *match)
{
    rule->kind = kind;
    rule->name = (struct text){match->name, match->name_len};
    if (!texts_init(&rule->values, (const char *const *)match->values, match->value_count))
        return false;
    rule->value_count = match->value_count;
    return true;
}

static bool rules_init(struct route_rule **rules, uint32_t *count, enum config_sticky_kind kind,
                       const struct config_field_match *matches, uint32_t match_count)
{
    if (match_count == 0)
        return true;
    *rules = calloc(match_count, sizeof(**rules));
    if (*rules == NULL)
        return false;
    *count = match_count;
    for (uint32_t i = 0; i < match_count; i++)
        if (!rule_init(&(*rules)[i], kind, &matches[i]))
            return false;
    return true;
}

static void rules_done(struct route_rule *rules, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(rules[i].values);
    free(rules);
}

static bool overrides_init(struct route *route, const struct config_route *config)
{
    if (config->override_count == 0)
        return true;
    route->overrides = calloc(config->override_count, sizeof(*route->overrides));
    if (route->overrides == NULL)
        return false;
    route->override_count = config->override_count;
    for (uint32_t i = 0; i < config->override_count; i++) {
        const struct config_override *override = &config->overrides[i];
        route->overrides[i].side = override->side;
        if (!rule_init(&route->overrides[i], override->kind, &override->match))
            return false;
    }
    return true;
}

static bool is_unreserved(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

/* Steps over one normalised unit of a path and writes its 1 or 3 bytes: see route.h for what is decoded. */
static uint32_t take_unit(const char **at, const char *end, char unit[3])
{
    const char *p = *at;
    if (*p == '%' && end - p >= 3) {
        int high = text_hex(p[1]);
        int low = text_hex(p[2]);
        if (high >= 0 && low >= 0) {
            int byte = high * 16 + low;
            *at = p + 3;
            if (is_unreserved(byte)) {
                unit[0] = (char)byte;
                return 1;
            }
            unit[0] = '%';
            unit[1] = "0123456789ABCDEF"[high];
            unit[2] = "0123456789ABCDEF"[low];
            return 3;
        }
    }
    *at = p + 1;
    unit[0] = *p;
    return 1;
}

static uint32_t normalise(char *into, const char *at, uint32_t len)
{
    const char *end = at + len;
    uint32_t written = 0;
    char unit[3];
    while (at < end) {
        uint32_t size = take_unit(&at, end, unit);
        memcpy(into + written, unit, size);
        written += size;
    }
    return written;
}

static bool path_init(struct route *route, const struct config_path *path)
{
    size_t room = 1;
    for (uint32_t i = 0; i < path->segment_count; i++)
        room += 1 + (path->segments[i].kind == SEGMENT_LITERAL ? path->segments[i].len : 0);
    char *text = malloc(room);
    route->segments = calloc(path->segment_count + 1, sizeof(*route->segments));
    route->path_text.at = text;
    if (text == NULL || route->segments == NULL)
        return false;
    uint32_t used = 0;
    route->path_plain = true;
    for (uint32_t i = 0; i < path->segment_count; i++) {
        const struct config_segment *from = &path->segments[i];
        struct route_segment *to = &route->segments[i];
        to->kind = from->kind;
        if (from->kind == SEGMENT_ANY)
            route->path_plain = false;
        if (from->kind == SEGMENT_REST)
            route->path_rest = true;
        if (from->kind != SEGMENT_LITERAL)
            continue;
        text[used++] = '/';
        to->text.at = text + used;
        to->text.len = normalise(text + used, from->text, from->len);
        used += to->text.len;
    }
    if (path->segment_count == 0)
        text[used++] = '/';
    route->path_text.len = used;
    route->segment_count = path->segment_count;
    route->has_path = true;
    return true;
}

static void host_init(struct route *route, const char *host)
{
    if (host == NULL)
        return;
    route->host_suffix = host[0] == '*';
    route->host = text_of(route->host_suffix ? host + 1 : host);
}

/* The cookie's value carries a mark of its route, so that one cookie name may serve several routes without mixing them
 * up. */
static void assign_init(struct route *route, const struct config_route *config)
{
    if (config->assign.cookie == NULL)
        return;
    route->assign_cookie = text_of(config->assign.cookie);
    for (int side = 0; side < SIDES; side++)
        (void)snprintf(route->assign_value[side], sizeof(route->assign_value[side]), "%s.%08x",
                       side_name((enum side)side), (unsigned)(route->seed >> 32));
}

bool route_init(struct route *route, const struct config_route *config)
{
    const struct config_match *match = &config->match;
    memset(route, 0, sizeof(*route));
    route->config = config;
    route->seed = cohort_seed(config->name, "");
    route->shadow_seed = cohort_seed(config->name, "/shadow");
    route->noise_seed = cohort_seed(config->name, "/noise");
    host_init(route, match->host);
    assign_init(route, config);
    route->method_count = match->method_count;
    route->shadow_method_count = config->shadow.method_count;
    return (match->path == NULL || path_init(route, match->path)) &&
           texts_init(&route->methods, (const char *const *)match->methods, match->method_count) &&
           texts_init(&route->shadow_methods, (const char *const *)config->shadow.methods,
                      config->shadow.method_count) &&
           rules_init(&route->headers, &route->header_count, STICKY_HEADER, match->headers, match->header_count) &&
           rules_init(&route->query, &route->query_count, STICKY_QUERY, match->query, match->query_count) &&
           overrides_init(route, config);
}

void route_done(struct route *route)
{
    free((char *)route->path_text.at);
    free(route->segments);
    free(route->methods);
    free(route->shadow_methods);
    rules_done(route->headers, route->header_count);
    rules_done(route->query, route->query_count);
    rules_done(route->overrides, route->override_count);
}

/* ---- matching ---- */

struct text route_host_of(struct text authority)
{
    const char *end = authority.at + authority.len;
    if (authority.len > 0 && authority.at[0] == '[') {
        const char *close = memchr(authority.at, ']', authority.len);
        if (close != NULL)
            end = close + 1;
    } else {
        const char *colon = authority.len > 0 ? memchr(authority.at, ':', authority.len) : NULL;
        if (colon != NULL)
            end = colon;
    }
    uint32_t len = (uint32_t)(end - authority.at);
    if (len > 1 && authority.at[len - 1] == '.')
        len--;
    return (struct text){authority.at, len};
}

static bool host_matches(const struct route *route, struct route_probe *probe)
{
    if (!probe->host_known) {
        probe->host = route_host_of(probe->facts->host);
        probe->host_known = true;
    }
    struct text host = probe->host;
    if (!route->host_suffix)
        return text_equals_fold(host, route->host.at, route->host.len);
    if (host.len <= route->host.len)
        return false;
    struct text tail = {host.at + (host.len - route->host.len), route->host.len};
    return text_equals_fold(tail, route->host.at, route->host.len);
}

bool route_names_method(const struct text *methods, uint32_t count, struct text method)
{
    for (uint32_t i = 0; i < count; i++)
        if (text_equals(method, methods[i].at, methods[i].len))
            return true;
    return false;
}

static bool literal_matches(const char *at, const char *end, struct text literal)
{
    const char *want = literal.at;
    const char *want_end = literal.at + literal.len;
    char unit[3];
    while (at < end) {
        uint32_t size = take_unit(&at, end, unit);
        if ((size_t)(want_end - want) < size || memcmp(want, unit, size) != 0)
            return false;
        want += size;
    }
    return want == want_end;
}

/* Segment by segment; every segment of a path begins with its "/". */
static bool segments_match(const struct route *route, struct text path)
{
    const char *at = path.at;
    const char *end = path.at + path.len;
    for (uint32_t i = 0; i < route->segment_count; i++) {
        const struct route_segment *segment = &route->segments[i];
        if (segment->kind == SEGMENT_REST)
            return true;
        if (at == end || *at != '/')
            return false;
        at++;
        const char *next = memchr(at, '/', (size_t)(end - at));
        if (next == NULL)
            next = end;
        bool equal = segment->kind == SEGMENT_ANY ? next > at : literal_matches(at, next, segment->text);
        if (!equal)
            return false;
        at = next;
    }
    return at == end || (route->segment_count == 0 && path.len == 1);
}

static bool prefix_matches(const struct route *route, struct text path)
{
    struct text prefix = route->path_text;
    if (path.len < prefix.len || memcmp(path.at, prefix.at, prefix.len) != 0)
        return false;
    return path.len == prefix.len || (route->path_rest && path.at[prefix.len] == '/');
}

static bool path_matches(const struct route *route, struct route_probe *probe)
{
    struct text path = probe->facts->path;
    if (path.len == 0 || path.at[0] != '/')
        return false;
    if (!route->path_plain)
        return segments_match(route, path);
    if (prefix_matches(route, path))
        return true;
    if (!probe->encoded_known) {
        probe->encoded = memchr(path.at, '%', path.len) != NULL;
        probe->encoded_known = true;
    }
    return probe->encoded && segments_match(route, path);
}

static bool value_matches(const struct route_rule *rule, struct text value)
{
    if (rule->value_count == 0)
        return true;
    for (uint32_t i = 0; i < rule->value_count; i++)
        if (text_equals(value, rule->values[i].at, rule->values[i].len))
            return true;
    return false;
}

static bool header_rule_matches(const struct route_rule *rule, const struct request_facts *facts)
{
    for (uint32_t i = 0; i < facts->field_count; i++) {
        const struct field *field = &facts->fields[i];
        if (text_equals_fold(field->name, rule->name.at, rule->name.len) && value_matches(rule, field->value))
            return true;
    }
    return false;
}

static bool cookie_rule_matches(const struct route_rule *rule, const struct request_facts *facts)
{
    struct cookie_walk walk = cookie_walk_over(facts);
    struct cookie cookie;
    while (cookie_next(&walk, &cookie))
        if (text_equals(cookie.name, rule->name.at, rule->name.len) && value_matches(rule, cookie.value))
            return true;
    return false;
}

static bool query_value_matches(const struct route_rule *rule, struct text value)
{
    if (rule->value_count == 0)
        return true;
    for (uint32_t i = 0; i < rule->value_count; i++)
        if (query_equals(value, rule->values[i].at, rule->values[i].len))
            return true;
    return false;
}

static bool query_rule_matches(const struct route_rule *rule, const struct request_facts *facts)
{
    struct text rest = facts->query;
    struct query_pair pair;
    while (query_next(&rest, &pair))
        if (query_equals(pair.name, rule->name.at, rule->name.len) && query_value_matches(rule, pair.value))
            return true;
    return false;
}

bool route_rule_matches(const struct route_rule *rule, const struct request_facts *facts)
{
    switch (rule->kind) {
    case STICKY_HEADER:
        return header_rule_matches(rule, facts);
    case STICKY_COOKIE:
        return cookie_rule_matches(rule, facts);
    case STICKY_QUERY:
        return query_rule_matches(rule, facts);
    case STICKY_CLIENT_IP:
    case STICKY_RANDOM:
        break;
    }
    return false;
}

static bool rules_match(const struct route_rule *rules, uint32_t count, const struct request_facts *facts)
{
    for (uint32_t i = 0; i < count; i++)
        if (!route_rule_matches(&rules[i], facts))
            return false;
    return true;
}

bool route_matches(const struct route *route, struct route_probe *probe)
{
    const struct request_facts *facts = probe->facts;
    return (!route->has_path || path_matches(route, probe)) && (route->host.len == 0 || host_matches(route, probe)) &&
           (route->method_count == 0 || route_names_method(route->methods, route->method_count, facts->method)) &&
           rules_match(route->headers, route->header_count, facts) &&
           rules_match(route->query, route->query_count, facts);
}
