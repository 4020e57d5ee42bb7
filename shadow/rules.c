/*
 * Rules: a route's `shadow.compare` section in the form the comparing needs, made once and kept by compare.c.
 *
 * The configuration refuses a bad rule before it gets here; what slips through has no effect and is named in the
 * report, because a rule that silently did nothing would be taken for one that found nothing. Used on the compare
 * thread.
 */
#include "shadow/rules.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

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

static void source_text(struct source *s, const char *text)
{
    source_bytes(s, text, strlen(text) + 1);
}

static void source_tolerances(struct source *s, const struct config_compare *compare)
{
    source_bytes(s, &compare->tolerance_count, sizeof(compare->tolerance_count));
    for (uint32_t i = 0; i < compare->tolerance_count; i++) {
        const struct config_tolerance *t = &compare->tolerance[i];
        const char kind = (char)t->kind;
        source_text(s, t->path);
        source_bytes(s, &kind, 1);
        source_bytes(s, &t->amount, sizeof(t->amount));
    }
}

/* A file that is written anew is another one. */
static void source_file(struct source *s, const char *path)
{
    struct stat facts;
    int64_t state[4] = {0};
    if (path == NULL)
        return;
    if (stat(path, &facts) == 0) {
        state[0] = (int64_t)facts.st_mtim.tv_sec;
        state[1] = (int64_t)facts.st_mtim.tv_nsec;
        state[2] = (int64_t)facts.st_size;
        state[3] = (int64_t)facts.st_ino;
    }
    source_text(s, path);
    source_bytes(s, state, sizeof(state));
}

static void source_route(struct source *s, const struct config_route *route)
{
    const struct config_compare *compare = &route->shadow.compare;
    const char flags[2] = {(char)compare->status_class, (char)compare->xml_whitespace};

    source_bytes(s, flags, sizeof(flags));
    source_texts(s, (const char *const *)compare->headers, compare->header_count);
    source_texts(s, (const char *const *)compare->ignore, compare->ignore_count);
    source_texts(s, (const char *const *)compare->unordered, compare->unordered_count);
    source_texts(s, (const char *const *)compare->present_only, compare->present_only_count);
    source_tolerances(s, compare);
    source_bytes(s, &compare->keyed_count, sizeof(compare->keyed_count));
    for (uint32_t i = 0; i < compare->keyed_count; i++) {
        source_text(s, compare->keyed[i].path);
        source_text(s, compare->keyed[i].by);
    }
    source_file(s, compare->descriptor_set);
    source_bytes(s, &compare->replace_count, sizeof(compare->replace_count));
    for (uint32_t i = 0; i < compare->replace_count; i++) {
        source_text(s, compare->replace[i].in);
        source_text(s, compare->replace[i].pattern);
        source_text(s, compare->replace[i].with);
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

/* Takes over `text`, which may be NULL: without memory. */
static bool add_refused(struct rules *rules, char *text)
{
    char **refused = text == NULL ? NULL : realloc(rules->refused, (rules->refused_count + 1) * sizeof(*refused));
    if (refused == NULL) {
        free(text);
        return false;
    }
    rules->refused = refused;
    refused[rules->refused_count++] = text;
    return true;
}

__attribute__((format(printf, 1, 2))) static char *text_of(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return length < 0 ? NULL : text;
}

static bool refuse(struct rules *rules, const char *text, size_t at, const char *what)
{
    return add_refused(rules, text_of("%s: at character %zu %s", text, at + 1, what));
}

/* Takes over `text`, which may be NULL: without memory. Returns its number, or RULE_NO_TEXT where there is no room. */
static bool add_text(struct rules *rules, char *text, uint32_t *number)
{
    *number = RULE_NO_TEXT;
    if (text == NULL)
        return false;
    if (rules->text_count == RULES_MAX) {
        free(text);
        return true;
    }
    char **texts = realloc(rules->texts, (rules->text_count + 1) * sizeof(*texts));
    if (texts == NULL) {
        free(text);
        return false;
    }
    rules->texts = texts;
    texts[rules->text_count] = text;
    *number = rules->text_count++;
    return true;
}

/*
 * A rule of a path: takes over `text`; `rule` and what it owns go into the set, or are freed where the path is refused.
 * False only without memory.
 */
static bool add_path(struct rules *rules, const char *path, char *text, struct rule rule)
{
    struct json_path_fault fault;
    if (!json_path_is_valid(path, &fault)) {
        free(text);
        free(rule.by);
        return refuse(rules, path, fault.at, fault.what);
    }
    struct rule *place = &rules->rules[rules->rule_count];
    *place = rule;
    if (!json_path_set_add(rules->paths, path, rules->rule_count, &fault)) {
        free(text);
        free(rule.by);
        return false;
    }
    rules->rule_count++;
    return add_text(rules, text, &place->text);
}

/* ---- ignore ---- */

static bool add_header_name(struct rules_header *to, const char *name)
{
    to->name = strdup(name);
    to->len = strlen(name);
    to->text = RULE_NO_TEXT;
    return to->name != NULL;
}

static bool add_ignored_header(struct rules *rules, const char *name)
{
    struct rules_header *header = &rules->ignored_headers[rules->ignored_header_count];
    if (!add_header_name(header, name))
        return false;
    rules->ignored_header_count++;
    return add_text(rules, text_of("ignore header:%s", name), &header->text);
}

static bool add_ignore(struct rules *rules, const char *text)
{
    struct json_path_fault fault;
    if (!rules_accept_ignore(text, &fault))
        return refuse(rules, text, fault.at, fault.what);
    if (strcmp(text, "status") == 0) {
        rules->ignore_status = true;
        return add_text(rules, text_of("ignore status"), &rules->status_text);
    }
    if (strcmp(text, "body") == 0) {
        rules->ignore_body = true;
        return add_text(rules, text_of("ignore body"), &rules->body_text);
    }
    if (header_of_rule(text) != NULL)
        return add_ignored_header(rules, header_of_rule(text));
    return add_path(rules, text, text_of("ignore %s", text), (struct rule){.kind = RULE_IGNORE});
}

static bool add_ignores(struct rules *rules, const struct config_compare *compare)
{
    for (uint32_t i = 0; i < compare->ignore_count; i++)
        if (!add_ignore(rules, compare->ignore[i]))
            return false;
    return true;
}

/* The rule that ignores a compared header is the last one that names it. */
static bool add_headers(struct rules *rules, const struct config_compare *compare)
{
    for (uint32_t i = 0; i < compare->header_count; i++) {
        if (strcmp(compare->headers[i], "*") == 0) {
            rules->all_headers = true;
            continue;
        }
        if (!add_header_name(&rules->headers[rules->header_count], compare->headers[i]))
            return false;
        rules->header_count++;
    }
    return true;
}

/* ---- order ---- */

static bool add_unordered(struct rules *rules, const struct config_compare *compare)
{
    for (uint32_t i = 0; i < compare->unordered_count; i++)
        if (!add_path(rules, compare->unordered[i], text_of("unordered %s", compare->unordered[i]),
                      (struct rule){.kind = RULE_UNORDERED}))
            return false;
    return true;
}

static bool add_keyed(struct rules *rules, const struct config_compare *compare)
{
    for (uint32_t i = 0; i < compare->keyed_count; i++) {
        const struct config_keyed *keyed = &compare->keyed[i];
        if (keyed->by[0] == '\0') {
            if (!refuse(rules, keyed->path, 0, "the name of a member is expected under by"))
                return false;
            continue;
        }
        struct rule rule = {.kind = RULE_KEYED, .by = strdup(keyed->by)};
        if (rule.by == NULL ||
            !add_path(rules, keyed->path, text_of("unordered %s by %s", keyed->path, keyed->by), rule))
            return false;
    }
    return true;
}

/* ---- tolerance ---- */

static const struct {
    uint64_t ms;
    const char *unit;
} duration_units[] = {
    {24 * 60 * 60 * 1000, "d"}, {60 * 60 * 1000, "h"}, {60 * 1000, "m"}, {1000, "s"}, {1, "ms"},
};

static uint64_t nanoseconds_of(double ms)
{
    static const double most = 9e18; /* 285 years */
    double ns = isfinite(ms) && ms > 0 ? ms * 1e6 : 0;
    return ns > most ? (uint64_t)most : (uint64_t)llround(ns);
}

static char *text_of_time(const char *path, double amount)
{
    uint64_t ns = nanoseconds_of(amount), ms = ns / 1000000;
    if (ms == 0 || ns % 1000000 != 0)
        return text_of("tolerance %s within %gms", path, (double)ns / 1e6);
    size_t unit = 0;
    while (ms % duration_units[unit].ms != 0)
        unit++;
    return text_of("tolerance %s within %" PRIu64 "%s", path, ms / duration_units[unit].ms, duration_units[unit].unit);
}

static char *text_of_tolerance(const struct config_tolerance *t)
{
    switch (t->kind) {
    case TOLERANCE_RELATIVE:
        return text_of("tolerance %s relative %.12g%%", t->path, t->amount * 100);
    case TOLERANCE_WITHIN:
        return text_of_time(t->path, t->amount);
    case TOLERANCE_ABSOLUTE:
        break;
    }
    return text_of("tolerance %s absolute %.12g", t->path, t->amount);
}

static bool add_tolerances(struct rules *rules, const struct config_compare *compare)
{
    for (uint32_t i = 0; i < compare->tolerance_count; i++) {
        const struct config_tolerance *t = &compare->tolerance[i];
        struct rule rule = {.kind = t->kind == TOLERANCE_WITHIN ? RULE_WITHIN : RULE_TOLERANCE};
        struct rule *place = &rules->rules[rules->rule_count];
        uint32_t before = rules->rule_count;
        rules->has_tolerance = true;
        if (!add_path(rules, t->path, text_of_tolerance(t), rule))
            return false;
        if (rules->rule_count == before) /* was refused */
            continue;
        place->within_ns = nanoseconds_of(t->amount);
        tolerance_init(&place->tolerance, t->amount, t->kind == TOLERANCE_RELATIVE);
    }
    return true;
}

static bool add_present_only(struct rules *rules, const struct config_compare *compare)
{
    for (uint32_t i = 0; i < compare->present_only_count; i++)
        if (!add_path(rules, compare->present_only[i], text_of("present_only %s", compare->present_only[i]),
                      (struct rule){.kind = RULE_PRESENT}))
            return false;
    return true;
}

/* ---- replace ---- */

/* What is replaced in: false, with *what, when it is none of the three. */
static bool accept_place(const char *in, struct json_path_fault *fault)
{
    const char *header = header_of_rule(in);
    if (strcmp(in, "body") == 0 || (header != NULL && *header != '\0'))
        return true;
    if (in[0] == '$')
        return json_path_is_valid(in, fault);
    *fault =
        (struct json_path_fault){.at = 0, .what = "\"body\", \"header:NAME\" or a path that starts with $ is expected"};
    return false;
}

/* Its text and its place are known; a rule of a path refers to it. */
static bool place_replacement(struct rules *rules, const struct config_replace *config)
{
    struct rules_replacement *r = &rules->replacements[rules->replacement_count];
    char *text = text_of("replace %s /%s/", config->in, config->pattern);
    const char *header = header_of_rule(config->in);
    if (config->in[0] == '$') {
        struct rule rule = {.kind = RULE_REPLACE, .replacement = rules->replacement_count++};
        struct rule *place = &rules->rules[rules->rule_count];
        if (!add_path(rules, config->in, text, rule))
            return false;
        r->text = place->text;
        return true;
    }
    rules->replacement_count++;
    if (header != NULL) {
        r->header = strdup(header);
        r->header_len = strlen(header);
    } else {
        r->of_body = rules->replaces_body = true;
    }
    return add_text(rules, text, &r->text) && (header == NULL || r->header != NULL);
}

static bool add_replacement(struct rules *rules, const struct config_replace *config)
{
    struct json_path_fault fault;
    struct replace_fault bad;
    if (!accept_place(config->in, &fault))
        return refuse(rules, config->in, fault.at, fault.what);
    if (rules->replacement_count == RULES_REPLACEMENTS)
        return refuse(rules, config->pattern, 0, "the end is expected: a route has at most 64 replacements");
    struct replacement *pattern = replacement_new(config->pattern, config->with, &bad);
    if (pattern == NULL)
        return !bad.no_memory && refuse(rules, config->pattern, bad.at, bad.what);
    rules->replacements[rules->replacement_count].pattern = pattern;
    return place_replacement(rules, config);
}

static bool add_replacements(struct rules *rules, const struct config_compare *compare)
{
    for (uint32_t i = 0; i < compare->replace_count; i++)
        if (!add_replacement(rules, &compare->replace[i]))
            return false;
    if (rules->replacement_count == 0)
        return true;
    rules->replacer = replacer_new();
    return rules->replacer != NULL;
}

/* ---- what protobuf messages are ---- */

static bool load_descriptors(struct rules *rules, const struct config_compare *compare)
{
    char fault[DESCRIPTOR_FAULT_ROOM];
    if (compare->descriptor_set == NULL)
        return true;
    rules->descriptors = descriptor_set_load(compare->descriptor_set, fault);
    return rules->descriptors != NULL ||
           add_refused(rules, text_of("descriptor_set %s: %s", compare->descriptor_set, fault));
}

/* ---- all of them ---- */

/* One more than is needed, so that none of them is ever nothing. */
static bool make_room(struct rules *rules, const struct config_compare *c)
{
    size_t paths = (size_t)c->ignore_count + c->tolerance_count + c->unordered_count + c->keyed_count +
                   c->present_only_count + c->replace_count;
    size_t replacements = c->replace_count < RULES_REPLACEMENTS ? c->replace_count : RULES_REPLACEMENTS;
    rules->headers = calloc((size_t)c->header_count + 1, sizeof(*rules->headers));
    rules->ignored_headers = calloc((size_t)c->ignore_count + 1, sizeof(*rules->ignored_headers));
    rules->rules = calloc(paths + 1, sizeof(*rules->rules));
    rules->replacements = calloc(replacements + 1, sizeof(*rules->replacements));
    rules->paths = json_path_set_new();
    return rules->headers != NULL && rules->ignored_headers != NULL && rules->rules != NULL &&
           rules->replacements != NULL && rules->paths != NULL;
}

static uint64_t next_serial(void)
{
    static atomic_uint_fast64_t serial;
    return atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed) + 1;
}

struct rules *rules_new(const struct config_route *route)
{
    const struct config_compare *compare = &route->shadow.compare;
    struct rules *rules = calloc(1, sizeof(*rules));
    if (rules == NULL)
        return NULL;
    rules->serial = next_serial();
    rules->status_class = compare->status_class;
    rules->xml_whitespace = compare->xml_whitespace;
    rules->status_text = rules->body_text = RULE_NO_TEXT;
    if (make_room(rules, compare) && add_headers(rules, compare) && add_ignores(rules, compare) &&
        add_unordered(rules, compare) && add_keyed(rules, compare) && add_tolerances(rules, compare) &&
        add_present_only(rules, compare) && add_replacements(rules, compare) && keep_source(rules, route) &&
        load_descriptors(rules, compare))
        return rules;
    rules_free(rules);
    return NULL;
}

static void free_texts(char **texts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

static void free_headers(struct rules_header *headers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(headers[i].name);
    free(headers);
}

static void free_replacements(struct rules *rules)
{
    /* One beyond the count may be half made. */
    for (uint32_t i = 0; rules->replacements != NULL && i <= rules->replacement_count && i < RULES_REPLACEMENTS; i++) {
        replacement_free(rules->replacements[i].pattern);
        free(rules->replacements[i].header);
    }
    free(rules->replacements);
    replacer_free(rules->replacer);
}

void rules_free(struct rules *rules)
{
    if (rules == NULL)
        return;
    free_headers(rules->headers, rules->header_count);
    free_headers(rules->ignored_headers, rules->ignored_header_count);
    free_texts(rules->refused, rules->refused_count);
    free_texts(rules->texts, rules->text_count);
    for (uint32_t i = 0; i < rules->rule_count; i++)
        free(rules->rules[i].by);
    free(rules->rules);
    free_replacements(rules);
    json_path_set_free(rules->paths);
    descriptor_set_free(rules->descriptors);
    free(rules->source);
    free(rules);
}

/* ---- replacing ---- */

void rules_start_pair(const struct rules *rules)
{
    if (rules->replacer != NULL)
        replacer_start(rules->replacer);
}

static bool replaces_in_header(const struct rules_replacement *r, const char *name, size_t len)
{
    return r->header != NULL && r->header_len == len && strncasecmp(r->header, name, len) == 0;
}

bool rules_replaces_header(const struct rules *rules, const char *name, size_t len)
{
    for (uint32_t i = 0; i < rules->replacement_count; i++)
        if (replaces_in_header(&rules->replacements[i], name, len))
            return true;
    return false;
}

/* Bodies stay in their slots while headers and strings come and go in theirs. */
enum {
    SLOTS_OF_STRINGS = 0,
    SLOTS_OF_BODIES = 2
};

static enum replace_result replace_in(const struct rules *rules, int slot, uint64_t which, struct span *primary,
                                      struct span *shadow, uint64_t *changed)
{
    struct span a = *primary, b = *shadow;
    uint64_t made = 0;
    *changed = 0;
    for (; which != 0; which &= which - 1) {
        int i = __builtin_ctzll(which);
        const struct replacement *pattern = rules->replacements[i].pattern;
        const char *at = a.at, *other_at = b.at;
        uint64_t pieces = 0, other_pieces = 0;
        enum replace_result result = replacer_run(rules->replacer, pattern, slot, &a, &pieces);
        if (result == REPLACE_DONE)
            result = replacer_run(rules->replacer, pattern, slot + 1, &b, &other_pieces);
        if (result != REPLACE_DONE)
            return result;
        made |= at != a.at || other_at != b.at ? UINT64_C(1) << i : 0;
        *changed |= pieces != other_pieces ? UINT64_C(1) << i : 0;
    }
    if (*changed == 0 && span_equal(a, b) && !span_equal(*primary, *shadow)) /* the same pieces in other places */
        *changed = made;
    *primary = a;
    *shadow = b;
    return REPLACE_DONE;
}

enum replace_result rules_replace(const struct rules *rules, uint64_t which, struct span *primary, struct span *shadow,
                                  uint64_t *changed)
{
    return replace_in(rules, SLOTS_OF_STRINGS, which, primary, shadow, changed);
}

void rules_count_replacements(const struct rules *rules, uint64_t which, struct difference_list *list)
{
    for (; which != 0; which &= which - 1)
        difference_rule_hit(list, rules->replacements[__builtin_ctzll(which)].text);
}

static enum replace_result replace_and_count(const struct rules *rules, int slot, uint64_t which, struct span *primary,
                                             struct span *shadow, bool *changed, struct difference_list *list)
{
    uint64_t hits;
    enum replace_result result = replace_in(rules, slot, which, primary, shadow, &hits);
    rules_count_replacements(rules, hits, list);
    *changed = hits != 0;
    return result;
}

enum replace_result rules_replace_bodies(const struct rules *rules, struct span *primary, struct span *shadow,
                                         bool *changed, struct difference_list *list)
{
    uint64_t which = 0;
    for (uint32_t i = 0; i < rules->replacement_count; i++)
        which |= rules->replacements[i].of_body ? UINT64_C(1) << i : 0;
    return replace_and_count(rules, SLOTS_OF_BODIES, which, primary, shadow, changed, list);
}

enum replace_result rules_replace_header(const struct rules *rules, const char *name, size_t len, struct span *primary,
                                         struct span *shadow, bool *changed, struct difference_list *list)
{
    uint64_t which = 0;
    for (uint32_t i = 0; i < rules->replacement_count; i++)
        which |= replaces_in_header(&rules->replacements[i], name, len) ? UINT64_C(1) << i : 0;
    return replace_and_count(rules, SLOTS_OF_STRINGS, which, primary, shadow, changed, list);
}
