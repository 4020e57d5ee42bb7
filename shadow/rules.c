/*
 * Rules: a route's `shadow.compare` section in the form the comparing needs, made once and kept by compare.c.
 *
 * The configuration refuses a bad rule before it gets here; what slips through has no effect and is named in the
 * report, because a rule that silently did nothing would be taken for one that found nothing. Used on the compare
 * thread.
 */
#include "shadow/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char header_prefix[] = "header:";

static const char *header_of_rule(const char *text)
{
    size_t prefix = sizeof(header_prefix) - 1;
    return strncmp(text, header_prefix, prefix) == 0 ? text + prefix : NULL;
}

bool rules_accept_ignore(const char *text, struct json_path_fault *fault)
{
    const char *header = header_of_rule(text);
    if (header != NULL) {
        if (*header != '\0')
            return true;
        *fault = (struct json_path_fault){.at = sizeof(header_prefix) - 1, .what = "a header's name is expected"};
        return false;
    }
    if (strcmp(text, "status") == 0 || strcmp(text, "body") == 0)
        return true;
    if (text[0] == '$')
        return json_path_is_valid(text, fault);
    *fault = (struct json_path_fault){
        .at = 0, .what = "\"status\", \"body\", \"header:NAME\" or a path that starts with $ is expected"};
    return false;
}

/* ---- the source: every input in one text, to tell later whether a route is still the same ---- */

struct source {
    char *to;         /* NULL: only compare or measure */
    const char *with; /* compared with this, not NULL */
    size_t len, limit;
    bool same;
};

static void source_bytes(struct source *s, const void *at, size_t len)
{
    if (s->to != NULL)
        memcpy(s->to + s->len, at, len);
    else if (s->with != NULL && s->same)
        s->same = len <= s->limit - s->len && memcmp(s->with + s->len, at, len) == 0;
    s->len += s->same ? len : 0;
}

static void source_texts(struct source *s, const char *const *texts, uint32_t count)
{
    source_bytes(s, &count, sizeof(count));
    for (uint32_t i = 0; i < count; i++)
        source_bytes(s, texts[i], strlen(texts[i]) + 1);
}

static void source_route(struct source *s, const struct config_route *route)
{
    const struct config_compare *compare = &route->shadow.compare;
    const char flags[2] = {(char)compare->status_class, (char)route->shadow.samples.values};

    source_bytes(s, flags, sizeof(flags));
    source_texts(s, (const char *const *)compare->headers, compare->header_count);
    source_texts(s, (const char *const *)compare->ignore, compare->ignore_count);
    source_texts(s, (const char *const *)compare->unordered, compare->unordered_count);
    for (uint32_t i = 0; i < compare->tolerance_count; i++) {
        const struct config_tolerance *t = &compare->tolerance[i];
        char kind = (char)t->kind;
        source_bytes(s, t->path, strlen(t->path) + 1);
        source_bytes(s, &kind, 1);
        source_bytes(s, &t->amount, sizeof(t->amount));
    }
}

bool rules_are_of(const struct rules *rules, const struct config_route *route)
{
    struct source s = {.with = rules->source, .limit = rules->source_len, .same = true};
    source_route(&s, route);
    return s.same && s.len == rules->source_len;
}

static bool keep_source(struct rules *rules, const struct config_route *route)
{
    struct source measure = {.same = true};
    source_route(&measure, route);
    rules->source = malloc(measure.len);
    if (rules->source == NULL)
        return false;
    struct source copy = {.to = rules->source, .same = true};
    source_route(&copy, route);
    rules->source_len = copy.len;
    return true;
}

/* ---- compiling ---- */

static bool refuse(struct rules *rules, const char *text, const struct json_path_fault *fault)
{
    char **refused = realloc(rules->refused, (rules->refused_count + 1) * sizeof(*refused));
    if (refused == NULL)
        return false;
    rules->refused = refused;
    if (asprintf(&refused[rules->refused_count], "%s: at character %zu %s", text, fault->at + 1, fault->what) < 0)
        return false;
    rules->refused_count++;
    return true;
}

/* False only without memory. */
static bool add_path(struct rules *rules, const char *text, const struct rule *rule)
{
    struct json_path_fault fault;
    if (!json_path_is_valid(text, &fault))
        return refuse(rules, text, &fault);
    struct rule *grown = realloc(rules->rules, (rules->rule_count + 1) * sizeof(*grown));
    if (grown == NULL)
        return false;
    rules->rules = grown;
    if (!json_path_set_add(rules->paths, text, rules->rule_count, &fault))
        return false;
    grown[rules->rule_count++] = *rule;
    return true;
}

static void ignore_header(struct rules *rules, const char *name)
{
    for (uint32_t i = 0; i < rules->header_count; i++)
        if (strcasecmp(rules->headers[i].name, name) == 0)
            rules->headers[i].ignored = true;
}

static bool add_ignore(struct rules *rules, const char *text)
{
    struct json_path_fault fault;
    if (!rules_accept_ignore(text, &fault))
        return refuse(rules, text, &fault);
    if (strcmp(text, "status") == 0) {
        rules->ignore_status = true;
        return true;
    }
    if (strcmp(text, "body") == 0) {
        rules->ignore_body = true;
        return true;
    }
    if (header_of_rule(text) != NULL) {
        ignore_header(rules, header_of_rule(text));
        return true;
    }
    return add_path(rules, text, &(struct rule){.kind = RULE_IGNORE});
}

static bool add_headers(struct rules *rules, const struct config_compare *compare)
{
    if (compare->header_count == 0)
        return true;
    rules->headers = calloc(compare->header_count, sizeof(*rules->headers));
    if (rules->headers == NULL)
        return false;
    for (uint32_t i = 0; i < compare->header_count; i++) {
        char *name = strdup(compare->headers[i]);
        if (name == NULL)
            return false;
        rules->headers[rules->header_count++] = (struct rules_header){.name = name, .len = strlen(name)};
    }
    return true;
}

static bool add_rules(struct rules *rules, const struct config_compare *compare)
{
    for (uint32_t i = 0; i < compare->ignore_count; i++)
        if (!add_ignore(rules, compare->ignore[i]))
            return false;
    for (uint32_t i = 0; i < compare->unordered_count; i++)
        if (!add_path(rules, compare->unordered[i], &(struct rule){.kind = RULE_UNORDERED}))
            return false;
    for (uint32_t i = 0; i < compare->tolerance_count; i++) {
        rules->has_tolerance = true;
        if (!add_path(rules, compare->tolerance[i].path, &(struct rule){.kind = RULE_TOLERANCE}))
            return false;
    }
    return true;
}

/* Once the array of rules has its final place: a tolerance points into itself. */
static void set_tolerances(struct rules *rules, const struct config_compare *compare)
{
    uint32_t next = 0;
    struct json_path_fault fault;
    for (uint32_t i = 0; i < rules->rule_count; i++) {
        if (rules->rules[i].kind != RULE_TOLERANCE)
            continue;
        while (!json_path_is_valid(compare->tolerance[next].path, &fault))
            next++; /* was refused */
        const struct config_tolerance *t = &compare->tolerance[next++];
        tolerance_init(&rules->rules[i].tolerance, t->amount, t->kind == TOLERANCE_RELATIVE);
    }
}

struct rules *rules_new(const struct config_route *route)
{
    const struct config_compare *compare = &route->shadow.compare;
    struct rules *rules = calloc(1, sizeof(*rules));
    if (rules == NULL)
        return NULL;
    rules->status_class = compare->status_class;
    rules->redact = route->shadow.samples.values != SAMPLES_FULL;
    rules->paths = json_path_set_new();
    if (rules->paths == NULL || !add_headers(rules, compare) || !add_rules(rules, compare) ||
        !keep_source(rules, route))
        goto fail;
    set_tolerances(rules, compare);
    return rules;
fail:
    rules_free(rules);
    return NULL;
}

void rules_free(struct rules *rules)
{
    if (rules == NULL)
        return;
    for (uint32_t i = 0; i < rules->header_count; i++)
        free(rules->headers[i].name);
    for (uint32_t i = 0; i < rules->refused_count; i++)
        free(rules->refused[i]);
    free(rules->headers);
    free(rules->refused);
    json_path_set_free(rules->paths);
    free(rules->rules);
    free(rules->source);
    free(rules);
}
