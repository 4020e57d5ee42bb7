/*
 * Header fields: see headers.h.
 *
 * Several lines of one name are one comma-separated list (RFC 9110 section 5.3), so lists are compared element by
 * element, in order, whichever way they were cut into lines; Set-Cookie is the exception and is compared line by line.
 * Fields that are sets (Vary, Allow, ...) are compared as such, without regard to letter case. A media type is compared
 * without regard to letter case, white space and quotes (section 8.3.1); everything else byte by byte. Used on the
 * compare thread.
 */
#include "shadow/headers.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shadow/redact.h"

enum {
    MEDIA_TYPE_LONGEST = 60,
    SET_MAX = 256, /* elements of a set; longer ones are compared in order */
    GRPC_STATUS_LONGEST = 3,
};

/* The value of one field on one side. */
struct field {
    const char *name;
    size_t len;
    bool is_set, is_cookies, is_media_type;
    bool is_outcome; /* of a gRPC call: shown by its name alone, the status as it is */
};

/* Fields whose elements have no order and no letter case. */
static const char *const sets[] = {
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-patch",
    "accept-post",
    "accept-ranges",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-expose-headers",
    "allow",
    "cache-control",
    "clear-site-data",
    "connection",
    "pragma",
    "vary",
};

/*
 * What `*` leaves out: fields of one hop (RFC 9110 section 7.6.1), the framing of the body, which is compared itself,
 * fields that tell two answers of the same backend apart, and those by which a gRPC call says how it ended, which are
 * compared by themselves. Named under `headers`, each of them is compared.
 */
static const char *const never_the_same[] = {
    "age",
    "cf-ray",
    "connection",
    "content-length",
    "date",
    "grpc-status",
    "grpc-message",
    "keep-alive",
    "proxy-connection",
    "server",
    "server-timing",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-amz-cf-id",
    "x-amz-request-id",
    "x-amzn-requestid",
    "x-amzn-trace-id",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-correlation-id",
    "x-request-id",
    "x-response-time",
    "x-runtime",
    "x-trace-id",
};

/* How a gRPC call ended. */
static const char *const outcome_names[] = {"grpc-status", "grpc-message"};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool is_name(const char *name, size_t len, const char *text)
{
    return strlen(text) == len && strncasecmp(name, text, len) == 0;
}

static bool is_among(const char *name, size_t len, const char *const *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_name(name, len, table[i]))
            return true;
    return false;
}

static struct field field_named(const char *name, size_t len)
{
    return (struct field){.name = name,
                          .len = len,
                          .is_set = is_among(name, len, sets, COUNT(sets)),
                          .is_cookies = is_name(name, len, "set-cookie"),
                          .is_media_type = is_name(name, len, "content-type")};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trim(struct span text)
{
    while (text.len > 0 && is_blank(text.at[0])) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && (is_blank(text.at[text.len - 1]) || text.at[text.len - 1] == '\r'))
        text.len--;
    return text;
}

struct span headers_of(const struct capture *capture)
{
    return (struct span){.at = capture->head_len == 0 ? "" : capture->at, .len = capture->head_len};
}

struct span trailers_of(const struct capture *capture)
{
    return capture->trailers_len == 0 ? (struct span){"", 0}
                                      : (struct span){capture->at + capture->len, capture->trailers_len};
}

bool headers_find(struct span head, const char *name, size_t name_len, size_t *from, struct span *value)
{
    while (*from < head.len) {
        const char *line = head.at + *from;
        size_t left = head.len - *from;
        const char *lf = memchr(line, '\n', left);
        size_t len = lf == NULL ? left : (size_t)(lf - line);
        *from += lf == NULL ? left : len + 1;
        if (len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
            continue;
        *value = trim((struct span){line + name_len + 1, len - name_len - 1});
        return true;
    }
    return false;
}

/* ---- the elements of a field, over all its lines ---- */

struct elements {
    const struct field *field;
    struct span head;
    size_t from;
    struct span rest; /* of the line at hand */
};

static struct elements elements_of_head(struct span head, const struct field *field)
{
    return (struct elements){.field = field, .head = head};
}

/* Of a value that is no longer what the head says. Cookies are on lines of their own there, too. */
static struct elements elements_of_value(struct span value, const struct field *field)
{
    return (struct elements){.field = field, .rest = value};
}

static size_t line_length(struct span text)
{
    const char *end = text.len == 0 ? NULL : memchr(text.at, '\n', text.len);
    return end == NULL ? text.len : (size_t)(end - text.at);
}

/* Length up to a comma that is not inside a quoted string. */
static size_t element_length(struct span text)
{
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"')
            quoted = !quoted;
        else if (text.at[i] == '\\' && quoted)
            i++;
        else if (text.at[i] == ',' && !quoted)
            return i;
    }
    return text.len;
}

static bool elements_next(struct elements *e, struct span *element)
{
    for (;;) {
        while (e->rest.len > 0) {
            size_t len = e->field->is_cookies ? line_length(e->rest) : element_length(e->rest);
            *element = trim((struct span){e->rest.at, len});
            size_t taken = len < e->rest.len ? len + 1 : len;
            e->rest = (struct span){e->rest.at + taken, e->rest.len - taken};
            if (element->len > 0) /* empty elements do not count (RFC 9110 section 5.6.1) */
                return true;
        }
        if (!headers_find(e->head, e->field->name, e->field->len, &e->from, &e->rest))
            return false;
    }
}

/* ---- media types ---- */

struct media_reader {
    struct span text;
    size_t at;
    bool quoted;
    bool in_value;  /* behind "=" of a parameter whose value has its letter case */
    size_t name_at; /* of the parameter */
};

/* The next byte that counts, in lower case where case does not count; -1 at the end. */
static int media_next(struct media_reader *r)
{
    while (r->at < r->text.len) {
        unsigned char c = (unsigned char)r->text.at[r->at++];
        if (c == '"') {
            r->quoted = !r->quoted;
            continue;
        }
        if (!r->quoted && is_blank((char)c))
            continue;
        if (!r->quoted && c == ';') {
            r->in_value = false;
            r->name_at = r->at;
        } else if (!r->quoted && c == '=') {
            struct span name = trim((struct span){r->text.at + r->name_at, r->at - 1 - r->name_at});
            r->in_value = !(name.len == 7 && strncasecmp(name.at, "charset", 7) == 0);
        }
        return r->in_value ? c : tolower(c);
    }
    return -1;
}

static bool media_types_equal(struct span a, struct span b)
{
    struct media_reader x = {.text = a}, y = {.text = b};
    for (;;) {
        int i = media_next(&x), j = media_next(&y);
        if (i != j)
            return false;
        if (i < 0)
            return true;
    }
}

/* ---- comparing ---- */

static bool lists_differ(struct elements x, struct elements y)
{
    bool media = x.field->is_media_type;
    struct span a, b;
    for (;;) {
        bool more = elements_next(&x, &a), other = elements_next(&y, &b);
        if (more != other)
            return true;
        if (!more)
            return false;
        if (!span_equal(a, b) && !(media && media_types_equal(a, b)))
            return true;
    }
}

static int by_letters(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    size_t shorter = x->len < y->len ? x->len : y->len;
    int order = strncasecmp(x->at, y->at, shorter);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* The elements in the order of their letters, each once. False: too many. */
static bool collect(struct elements e, struct span *set, size_t *count)
{
    size_t all = 0;
    struct span element;
    while (elements_next(&e, &element)) {
        if (all == SET_MAX)
            return false;
        set[all++] = element;
    }
    qsort(set, all, sizeof(*set), by_letters);
    *count = 0;
    for (size_t i = 0; i < all; i++)
        if (*count == 0 || by_letters(&set[*count - 1], &set[i]) != 0)
            set[(*count)++] = set[i];
    return true;
}

static bool sets_differ(struct elements x, struct elements y)
{
    struct span a[SET_MAX], b[SET_MAX];
    size_t count, other;
    if (!collect(x, a, &count) || !collect(y, b, &other))
        return lists_differ(x, y);
    if (count != other)
        return true;
    for (size_t i = 0; i < count; i++)
        if (by_letters(&a[i], &b[i]) != 0)
            return true;
    return false;
}

static bool values_differ(struct elements x, struct elements y)
{
    return lists_differ(x, y) && (!x.field->is_set || sets_differ(x, y));
}

static bool first_value(const struct field *field, struct span head, struct span *value)
{
    size_t from = 0;
    return headers_find(head, field->name, field->len, &from, value);
}

/* The media type alone, without parameters, is no secret and says much: application/json here, text/html there. */
static bool show_media_type(char *to, struct span value)
{
    size_t len = 0, slashes = 0;
    while (len < value.len && (isalnum((unsigned char)value.at[len]) || memchr("/+.-", value.at[len], 4) != NULL))
        slashes += value.at[len++] == '/' ? 1 : 0;
    bool ends = len == value.len || value.at[len] == ';' || is_blank(value.at[len]);
    if (!ends || slashes != 1 || len > MEDIA_TYPE_LONGEST)
        return false;
    redact_clean(to, VALUE_ROOM, value.at, len);
    return true;
}

/* What went wrong is no secret: "14". */
static bool show_status(char *to, struct span value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] < '0' || value.at[i] > '9')
            return false;
    if (value.len == 0 || value.len > GRPC_STATUS_LONGEST)
        return false;
    redact_clean(to, VALUE_ROOM, value.at, value.len);
    return true;
}

static void show(char *to, const struct field *field, const struct difference_list *list, struct span value)
{
    if (veil_hides(&list->veil) && field->is_media_type && show_media_type(to, value))
        return;
    if (field->is_outcome && is_name(field->name, field->len, outcome_names[0]) && show_status(to, value))
        return;
    bool secret = redact_is_secret_header(&list->veil, field->name, field->len);
    redact_value(to, VALUE_ROOM, &list->veil, secret, "string", (int64_t)value.len, value.at, value.len);
}

/* Names are shown in lower case, cleaned: with `*` they come from a backend. */
static void name_field(char *to, size_t room, const struct field *field)
{
    char name[FIELD_ROOM];
    size_t len = redact_clean(name, sizeof(name), field->name, field->len);
    for (size_t i = 0; i < len; i++)
        name[i] = (char)tolower((unsigned char)name[i]);
    snprintf(to, room, "header:%s", name);
}

static void note(const struct field *field, struct span primary, struct span shadow, bool ignored,
                 struct difference_list *list)
{
    char name[FIELD_ROOM + 8];
    struct span a, b;
    bool has_a = first_value(field, primary, &a), has_b = first_value(field, shadow, &b);
    enum difference_kind kind = !has_b ? DIFFERENCE_MISSING : !has_a ? DIFFERENCE_EXTRA : DIFFERENCE_VALUE;

    name_field(name, sizeof(name), field);
    struct difference *d = difference_note(list, kind, ignored, name);
    if (d == NULL)
        return;
    snprintf(d->path, sizeof(d->path), "%s", field->is_outcome ? field->name : d->field);
    if (has_a)
        show(d->primary, field, list, a);
    if (has_b)
        show(d->shadow, field, list, b);
}

/* ---- replacing ---- */

/* All lines of a field in one text: a list, cookies each on a line. NULL without memory; the caller frees it. */
static char *join(struct span head, const struct field *field, size_t *len)
{
    size_t from = 0;
    struct span value;
    char *text = malloc(head.len + 1); /* a line gives a separator for at least its colon and line feed */
    *len = 0;
    while (text != NULL && headers_find(head, field->name, field->len, &from, &value)) {
        if (*len > 0 && field->is_cookies) {
            text[(*len)++] = '\n';
        } else if (*len > 0) {
            text[(*len)++] = ',';
            text[(*len)++] = ' ';
        }
        memcpy(text + *len, value.at, value.len);
        *len += value.len;
    }
    return text;
}

/* Does the field still differ when the route's replacements are made? */
static enum replace_result compare_replaced(const struct rules *rules, const struct field *field, struct span primary,
                                            struct span shadow, bool *differs, struct difference_list *list)
{
    struct span a, b;
    char *text = join(primary, field, &a.len), *other = join(shadow, field, &b.len);
    enum replace_result result = REPLACE_NO_MEMORY;
    bool changed;
    a.at = text;
    b.at = other;
    if (text != NULL && other != NULL)
        result = rules_replace_header(rules, field->name, field->len, &a, &b, &changed, list);
    if (result == REPLACE_DONE)
        *differs = values_differ(elements_of_value(a, field), elements_of_value(b, field));
    free(text);
    free(other);
    return result;
}

/* ---- one field, and all ---- */

static const struct rules_header *ignoring_rule(const struct rules *rules, const struct field *field)
{
    for (uint32_t i = 0; i < rules->ignored_header_count; i++)
        if (is_name(field->name, field->len, rules->ignored_headers[i].name))
            return &rules->ignored_headers[i];
    return NULL;
}

static bool is_on_both_sides(const struct field *field, struct span primary, struct span shadow)
{
    struct span value;
    return first_value(field, primary, &value) && first_value(field, shadow, &value);
}

/* A field without a value is there, even if it says nothing; an empty set is none. */
static bool fields_differ(const struct field *field, struct span primary, struct span shadow)
{
    struct span value;
    bool there = first_value(field, primary, &value), other = first_value(field, shadow, &value);
    return (there != other && !field->is_set) ||
           values_differ(elements_of_head(primary, field), elements_of_head(shadow, field));
}

static enum replace_result compare_field(const struct rules *rules, const struct field *field, struct span primary,
                                         struct span shadow, struct difference_list *list)
{
    bool differs = true;
    if (!fields_differ(field, primary, shadow))
        return REPLACE_DONE;
    const struct rules_header *rule = ignoring_rule(rules, field);
    if (rule != NULL) {
        difference_rule_hit(list, rule->text);
        note(field, primary, shadow, true, list);
        return REPLACE_DONE;
    }
    if (rules_replaces_header(rules, field->name, field->len) && is_on_both_sides(field, primary, shadow)) {
        enum replace_result result = compare_replaced(rules, field, primary, shadow, &differs, list);
        if (result != REPLACE_DONE)
            return result;
    }
    note(field, primary, shadow, !differs, list);
    return REPLACE_DONE;
}

static bool is_named(const struct rules *rules, struct span name)
{
    for (uint32_t i = 0; i < rules->header_count; i++)
        if (is_name(name.at, name.len, rules->headers[i].name))
            return true;
    return false;
}

/* ---- all fields of two heads ---- */

struct line {
    struct span name;
    struct span text; /* with its line feed */
};

/* The lines of a head by their names; those of one name as they stand. A zeroed struct holds nothing. */
struct lines {
    struct line *at; /* owned */
    char *text;      /* owned: all lines, one behind the other in this order */
    size_t count, next;
};

static void lines_done(struct lines *lines)
{
    free(lines->at);
    free(lines->text);
}

static int by_name(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int order = by_letters(&x->name, &y->name);
    return order != 0 ? order : (x->text.at > y->text.at) - (x->text.at < y->text.at);
}

/* The line at *from, which moves behind it. False at the end; what has no name is left out. */
static bool next_line(struct span head, size_t *from, struct line *line)
{
    while (*from < head.len) {
        struct span text = {head.at + *from, head.len - *from};
        size_t len = line_length(text);
        text.len = len < text.len ? len + 1 : len;
        *from += text.len;
        const char *colon = memchr(text.at, ':', len);
        if (colon == NULL || colon == text.at)
            continue;
        *line = (struct line){.name = {text.at, (size_t)(colon - text.at)}, .text = text};
        return true;
    }
    return false;
}

/* Copies the lines in their new order, and points to the copies. */
static void move_lines(struct lines *lines)
{
    char *to = lines->text;
    for (size_t i = 0; i < lines->count; i++) {
        struct line *line = &lines->at[i];
        memcpy(to, line->text.at, line->text.len);
        line->name.at = line->text.at = to;
        to += line->text.len;
        if (to[-1] != '\n') { /* the last one of a head that ends early */
            *to++ = '\n';
            line->text.len++;
        }
    }
}

/* Sorts a head's lines once, so that a name is not looked for in all of it. False without memory. */
static bool lines_of(struct span head, struct lines *lines)
{
    size_t count = 0, from = 0;
    struct line line;
    while (next_line(head, &from, &line))
        count++;
    lines->at = calloc(count + 1, sizeof(*lines->at));
    lines->text = malloc(head.len + 1);
    if (lines->at == NULL || lines->text == NULL)
        return false;
    for (from = 0; next_line(head, &from, &line);)
        lines->at[lines->count++] = line;
    qsort(lines->at, lines->count, sizeof(*lines->at), by_name);
    move_lines(lines);
    return true;
}

/* The lines of the name that comes next: a head of their own. */
static struct span take_name(struct lines *lines)
{
    const struct line *first = &lines->at[lines->next];
    struct span all = {first->text.at, 0};
    while (lines->next < lines->count && by_letters(&lines->at[lines->next].name, &first->name) == 0)
        all.len += lines->at[lines->next++].text.len;
    return all;
}

/* Which side has the name that comes next: negative the primary's, positive the shadow's, 0 both. */
static int whose_turn(const struct lines *primary, const struct lines *shadow)
{
    if (primary->next == primary->count || shadow->next == shadow->count)
        return primary->next == primary->count ? 1 : -1;
    return by_letters(&primary->at[primary->next].name, &shadow->at[shadow->next].name);
}

static enum replace_result compare_next(const struct rules *rules, struct lines *primary, struct lines *shadow,
                                        struct difference_list *list)
{
    int turn = whose_turn(primary, shadow);
    struct span name = turn > 0 ? shadow->at[shadow->next].name : primary->at[primary->next].name;
    struct span a = {"", 0}, b = {"", 0};
    if (turn <= 0)
        a = take_name(primary);
    if (turn >= 0)
        b = take_name(shadow);
    if (is_named(rules, name) || is_among(name.at, name.len, never_the_same, COUNT(never_the_same)))
        return REPLACE_DONE;
    struct field field = field_named(name.at, name.len);
    return compare_field(rules, &field, a, b, list);
}

static enum replace_result compare_all(const struct rules *rules, struct span primary, struct span shadow,
                                       struct difference_list *list)
{
    struct lines a = {0}, b = {0};
    enum replace_result result = lines_of(primary, &a) && lines_of(shadow, &b) ? REPLACE_DONE : REPLACE_NO_MEMORY;
    while (result == REPLACE_DONE && (a.next < a.count || b.next < b.count))
        result = compare_next(rules, &a, &b, list);
    lines_done(&a);
    lines_done(&b);
    return result;
}

enum replace_result headers_compare_outcome(const struct rules *rules, struct span primary, struct span shadow,
                                            struct difference_list *list)
{
    for (size_t i = 0; i < COUNT(outcome_names); i++) {
        struct field field = field_named(outcome_names[i], strlen(outcome_names[i]));
        field.is_outcome = true;
        if (fields_differ(&field, primary, shadow))
            return compare_field(rules, &field, primary, shadow, list);
    }
    return REPLACE_DONE;
}

enum replace_result headers_compare(const struct rules *rules, struct span primary, struct span shadow,
                                    struct difference_list *list)
{
    enum replace_result result = REPLACE_DONE;
    if (span_equal(primary, shadow))
        return REPLACE_DONE;
    for (uint32_t i = 0; i < rules->header_count && result == REPLACE_DONE; i++) {
        struct field field = field_named(rules->headers[i].name, rules->headers[i].len);
        result = compare_field(rules, &field, primary, shadow, list);
    }
    if (rules->all_headers && result == REPLACE_DONE)
        result = compare_all(rules, primary, shadow, list);
    return result;
}
