/*
 * Bodies: see body.h. What a body is, its Content-Type says; where neither side says anything, its first byte does.
 * Runs on the compare thread; the buffers in struct body_judge are its own.
 */
#include "shadow/body.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shadow/coding.h"
#include "shadow/headers.h"
#include "shadow/json_diff.h"
#include "shadow/json_doc.h"
#include "shadow/redact.h"
#include "shadow/text_diff.h"

static const char body_field[] = "body";

enum body_kind {
    BODY_BYTES,
    BODY_TEXT,
    BODY_JSON
};

/* A body with the header fields that describe it. */
struct body {
    struct span head;
    struct span bytes;
    uint64_t len; /* of the whole body; `bytes` may be only its beginning */
    bool truncated;
};

/* Bodies that come out of a compressed one may be this many times as large as what is kept of a response. */
enum {
    DECODED_TIMES_KEPT = 8
};

struct body_judge {
    struct json_doc primary, shadow;
    struct coding_output primary_output, shadow_output;
    struct json_diff *json; /* owned */
    struct text_diff *text; /* owned */
};

struct body_judge *body_judge_new(void)
{
    struct body_judge *judge = calloc(1, sizeof(*judge));
    if (judge == NULL)
        return NULL;
    judge->json = json_diff_new();
    judge->text = text_diff_new();
    if (judge->json == NULL || judge->text == NULL) {
        body_judge_free(judge);
        return NULL;
    }
    return judge;
}

void body_judge_free(struct body_judge *judge)
{
    if (judge == NULL)
        return;
    json_doc_done(&judge->primary);
    json_doc_done(&judge->shadow);
    coding_output_done(&judge->primary_output);
    coding_output_done(&judge->shadow_output);
    json_diff_free(judge->json);
    text_diff_free(judge->text);
    free(judge);
}

/* ---- bytes ---- */

static struct span kept_body(const struct capture *capture)
{
    size_t len = capture->len - capture->head_len;
    return (struct span){.at = len == 0 ? "" : capture->at + capture->head_len, .len = len};
}

static bool same_bytes(struct span a, struct span b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

bool body_is_same(const struct capture *primary, const struct capture *shadow)
{
    if (primary->body_len != shadow->body_len || primary->truncated != shadow->truncated)
        return false;
    if (primary->truncated)
        return primary->digest[0] == shadow->digest[0] && primary->digest[1] == shadow->digest[1];
    return same_bytes(kept_body(primary), kept_body(shadow));
}

static uint64_t first_difference(struct span a, struct span b)
{
    size_t shorter = a.len < b.len ? a.len : b.len, i = 0;
    while (i < shorter && a.at[i] == b.at[i])
        i++;
    return i;
}

static void show_length(char *to, uint64_t len)
{
    snprintf(to, VALUE_ROOM, "<bytes %" PRIu64 ">", len);
}

/* Bytes are never shown: what is no text helps nobody on a terminal. */
static void compare_bytes(const struct body *primary, const struct body *shadow, struct difference_list *list)
{
    enum difference_kind kind = primary->len != shadow->len ? DIFFERENCE_LENGTH : DIFFERENCE_VALUE;
    if (shadow->len == 0)
        kind = DIFFERENCE_MISSING;
    else if (primary->len == 0)
        kind = DIFFERENCE_EXTRA;
    struct difference *d = difference_note(list, kind, false, body_field);
    if (d == NULL)
        return;
    snprintf(d->path, sizeof(d->path), "body, byte %" PRIu64, first_difference(primary->bytes, shadow->bytes));
    if (primary->len > 0)
        show_length(d->primary, primary->len);
    if (shadow->len > 0)
        show_length(d->shadow, shadow->len);
}

/* ---- text ---- */

static void show_line(char *to, const struct veil *veil, struct text_line line)
{
    if (line.at != NULL)
        redact_value(to, VALUE_ROOM, veil, false, "line", (int64_t)line.len, line.at, line.len);
}

static void note_text(const struct text_difference *t, struct difference_list *list)
{
    enum difference_kind kind = t->added == 0     ? DIFFERENCE_MISSING
                                : t->removed == 0 ? DIFFERENCE_EXTRA
                                                  : DIFFERENCE_VALUE;
    struct difference *d = difference_note(list, kind, false, body_field);
    if (d == NULL)
        return;
    snprintf(d->path, sizeof(d->path), "body, line %u", t->line);
    d->count = t->removed > t->added ? t->removed : t->added;
    show_line(d->primary, &list->veil, t->first);
    show_line(d->shadow, &list->veil, t->second);
}

static enum obstacle compare_text(struct body_judge *judge, const struct body *primary, const struct body *shadow,
                                  struct difference_list *list)
{
    struct text_difference difference;
    if (!text_diff_run(judge->text, primary->bytes.at, primary->bytes.len, shadow->bytes.at, shadow->bytes.len,
                       &difference))
        return OBSTACLE_MEMORY;
    if (difference.line == 0) /* only the line feed at the end */
        compare_bytes(primary, shadow, list);
    else
        note_text(&difference, list);
    return OBSTACLE_NONE;
}

/* ---- JSON ---- */

/* A byte order mark is no JSON (RFC 8259 section 8.1); where both sides send it, it is no difference. */
static void skip_marks(struct span *a, struct span *b)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (a->len < 3 || b->len < 3 || memcmp(a->at, mark, 3) != 0 || memcmp(b->at, mark, 3) != 0)
        return;
    *a = (struct span){a->at + 3, a->len - 3};
    *b = (struct span){b->at + 3, b->len - 3};
}

static void show_validity(char *to, const struct json_doc *doc)
{
    if (doc->fault == JSON_FAULT_NONE)
        snprintf(to, VALUE_ROOM, "<valid JSON>");
    else
        snprintf(to, VALUE_ROOM, "<not JSON: %s at byte %zu>", json_fault_name(doc->fault), doc->fault_at);
}

static void note_invalid(const struct body_judge *judge, struct difference_list *list)
{
    struct difference *d = difference_note(list, DIFFERENCE_INVALID, false, body_field);
    if (d == NULL)
        return;
    snprintf(d->path, sizeof(d->path), "%s", body_field);
    show_validity(d->primary, &judge->primary);
    show_validity(d->shadow, &judge->shadow);
}

static enum obstacle diff_documents(struct body_judge *judge, const struct rules *rules, struct difference_list *list)
{
    switch (json_diff_run(judge->json, rules, &judge->primary, &judge->shadow, list)) {
    case JSON_DIFF_DONE:
        return OBSTACLE_NONE;
    case JSON_DIFF_TOO_COMPLEX:
        return OBSTACLE_TOO_COMPLEX;
    case JSON_DIFF_NO_MEMORY:
        break;
    }
    return OBSTACLE_MEMORY;
}

static enum obstacle obstacle_of_fault(enum json_fault fault)
{
    if (!json_fault_is_ours(fault))
        return OBSTACLE_NONE;
    return fault == JSON_FAULT_MEMORY ? OBSTACLE_MEMORY : OBSTACLE_TOO_COMPLEX;
}

static enum obstacle compare_json(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                  const struct body *shadow, struct difference_list *list)
{
    struct span a = primary->bytes, b = shadow->bytes;
    skip_marks(&a, &b);
    bool good = json_doc_parse(&judge->primary, a.at, a.len), other_good = json_doc_parse(&judge->shadow, b.at, b.len);
    enum obstacle obstacle = obstacle_of_fault(judge->primary.fault);
    if (obstacle == OBSTACLE_NONE)
        obstacle = obstacle_of_fault(judge->shadow.fault);

    if (obstacle == OBSTACLE_NONE && good && other_good)
        obstacle = diff_documents(judge, rules, list);
    else if (obstacle == OBSTACLE_NONE && (good || other_good))
        note_invalid(judge, list);
    else if (obstacle == OBSTACLE_NONE) /* neither is JSON, whatever it says */
        obstacle = compare_text(judge, primary, shadow, list);
    json_doc_trim(&judge->primary);
    json_doc_trim(&judge->shadow);
    return obstacle;
}

/* ---- what a body is ---- */

static struct span header_value(struct span head, const char *name)
{
    struct span value = {"", 0};
    size_t from = 0;
    headers_find(head, name, strlen(name), &from, &value);
    return value;
}

static bool ends_with(struct span text, const char *end)
{
    size_t len = strlen(end);
    return text.len >= len && strncasecmp(text.at + text.len - len, end, len) == 0;
}

static bool starts_with(struct span text, const char *start)
{
    size_t len = strlen(start);
    return text.len >= len && strncasecmp(text.at, start, len) == 0;
}

/* Media types by how they begin or end; first match. RFC 6839 for the suffixes. */
static const struct {
    const char *start, *end;
    enum body_kind kind;
} media_kinds[] = {
    {"application/json", "json", BODY_JSON}, /* not json-seq, not jsonl */
    {"text/json", "json", BODY_JSON},
    {"", "+json", BODY_JSON},
    {"text/", "", BODY_TEXT},
    {"application/json", "", BODY_TEXT},
    {"application/x-ndjson", "", BODY_TEXT},
    {"application/xml", "", BODY_TEXT},
    {"", "+xml", BODY_TEXT},
    {"application/javascript", "", BODY_TEXT},
    {"application/x-www-form-urlencoded", "", BODY_TEXT},
    {"application/yaml", "", BODY_TEXT},
    {"", "+yaml", BODY_TEXT},
    {"application/graphql", "", BODY_TEXT},
    {"application/sql", "", BODY_TEXT},
};

static struct span media_type(struct span head)
{
    struct span value = header_value(head, "content-type");
    size_t len = 0;
    while (len < value.len && value.at[len] != ';' && value.at[len] != ' ' && value.at[len] != '\t')
        len++;
    return (struct span){value.at, len};
}

/* Without a Content-Type the first byte has to do. */
static enum body_kind sniff(struct span bytes)
{
    size_t i = 0;
    while (i < bytes.len && strchr(" \t\r\n", bytes.at[i]) != NULL && bytes.at[i] != '\0')
        i++;
    return i < bytes.len && (bytes.at[i] == '{' || bytes.at[i] == '[') ? BODY_JSON : BODY_BYTES;
}

static enum body_kind kind_of(const struct body *body)
{
    struct span type = media_type(body->head);
    if (type.len == 0)
        return sniff(body->bytes);
    for (size_t i = 0; i < sizeof(media_kinds) / sizeof(media_kinds[0]); i++)
        if (starts_with(type, media_kinds[i].start) && ends_with(type, media_kinds[i].end))
            return media_kinds[i].kind;
    return BODY_BYTES;
}

/* Where the sides say different things, what tells more: a lost Content-Type is a difference of its own. */
static enum body_kind kind_of_pair(const struct body *primary, const struct body *shadow)
{
    enum body_kind a = kind_of(primary), b = kind_of(shadow);
    return a > b ? a : b;
}

static struct body body_of(const struct capture *capture)
{
    return (struct body){.head = headers_of(capture),
                         .bytes = kept_body(capture),
                         .len = capture->body_len,
                         .truncated = capture->truncated};
}

static enum obstacle compare_decoded(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                     const struct body *shadow, struct difference_list *list)
{
    enum body_kind kind = kind_of_pair(primary, shadow);
    bool truncated = primary->truncated || shadow->truncated;
    if (truncated && kind == BODY_JSON)
        return OBSTACLE_TRUNCATED;
    if (kind == BODY_BYTES || truncated) {
        compare_bytes(primary, shadow, list);
        return OBSTACLE_NONE;
    }
    return kind == BODY_JSON ? compare_json(judge, rules, primary, shadow, list)
                             : compare_text(judge, primary, shadow, list);
}

/* ---- compressed bodies ---- */

/* Decodes in place. A body that is not what its Content-Encoding says stays as it is: CODING_BROKEN. */
static enum coding_result decode(struct body *body, size_t limit, struct coding_output *output)
{
    struct span name = header_value(body->head, "content-encoding");
    if (coding_is_identity(name.at, name.len))
        return CODING_DONE;
    enum coding_result result = coding_decode(name.at, name.len, body->bytes.at, body->bytes.len, limit, output);
    if (result == CODING_DONE) {
        body->bytes = (struct span){.at = output->len == 0 ? "" : output->at, .len = output->len};
        body->len = output->len;
    }
    return result;
}

static const enum obstacle obstacles_by_coding[] = {
    [CODING_DONE] = OBSTACLE_NONE,
    [CODING_BROKEN] = OBSTACLE_NONE,
    [CODING_UNKNOWN] = OBSTACLE_CONTENT_ENCODING,
    [CODING_TOO_LARGE] = OBSTACLE_TRUNCATED,
    [CODING_NO_MEMORY] = OBSTACLE_MEMORY,
};

static void show_coding(char *to, const struct body *body, enum coding_result result)
{
    char name[32];
    struct span coding = header_value(body->head, "content-encoding");
    redact_clean(name, sizeof(name), coding.at, coding.len);
    snprintf(to, VALUE_ROOM, result == CODING_BROKEN ? "<not %s>" : "<valid %s>", name[0] == '\0' ? "identity" : name);
}

static void note_broken_coding(const struct body *primary, enum coding_result a, const struct body *shadow,
                               enum coding_result b, struct difference_list *list)
{
    struct difference *d = difference_note(list, DIFFERENCE_INVALID, false, body_field);
    if (d == NULL)
        return;
    snprintf(d->path, sizeof(d->path), "%s", body_field);
    show_coding(d->primary, primary, a);
    show_coding(d->shadow, shadow, b);
}

static bool is_encoded(const struct body *body)
{
    struct span name = header_value(body->head, "content-encoding");
    return !coding_is_identity(name.at, name.len);
}

static enum obstacle compare_encoded(struct body_judge *judge, const struct rules *rules, struct body *primary,
                                     struct body *shadow, size_t max_body, struct difference_list *list)
{
    size_t limit = max_body > SIZE_MAX / DECODED_TIMES_KEPT ? SIZE_MAX : max_body * DECODED_TIMES_KEPT;
    if (primary->truncated || shadow->truncated)
        return OBSTACLE_TRUNCATED;
    enum coding_result a = decode(primary, limit, &judge->primary_output),
                       b = decode(shadow, limit, &judge->shadow_output);
    enum obstacle obstacle = obstacles_by_coding[a] != OBSTACLE_NONE ? obstacles_by_coding[a] : obstacles_by_coding[b];
    if (obstacle == OBSTACLE_NONE && a == CODING_BROKEN && b == CODING_BROKEN)
        compare_bytes(primary, shadow, list);
    else if (obstacle == OBSTACLE_NONE && (a == CODING_BROKEN || b == CODING_BROKEN))
        note_broken_coding(primary, a, shadow, b, list);
    else if (obstacle == OBSTACLE_NONE && !same_bytes(primary->bytes, shadow->bytes))
        obstacle = compare_decoded(judge, rules, primary, shadow, list);
    coding_output_trim(&judge->primary_output);
    coding_output_trim(&judge->shadow_output);
    return obstacle;
}

enum obstacle body_compare(struct body_judge *judge, const struct rules *rules, const struct capture *primary,
                           const struct capture *shadow, struct difference_list *list)
{
    struct body a = body_of(primary), b = body_of(shadow);
    if (a.len == 0 || b.len == 0) {
        compare_bytes(&a, &b, list);
        return OBSTACLE_NONE;
    }
    if (is_encoded(&a) || is_encoded(&b))
        return compare_encoded(judge, rules, &a, &b, primary->max_body, list);
    return compare_decoded(judge, rules, &a, &b, list);
}
