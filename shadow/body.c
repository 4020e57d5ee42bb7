/*
 * Bodies: see body.h. Compressed ones are decoded first. What a body is, its Content-Type says (media.c); where the
 * sides say different things, what says more. JSON, lines of JSON, XML, forms and protobuf (body_messages.c) all become
 * documents for the JSON differ, so that one language of paths and one set of rules serves them all; the rest is
 * compared by lines or by bytes. Runs on the compare thread; the buffers in struct body_judge are its own.
 */
#include "shadow/body_inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/form_tree.h"
#include "shadow/headers.h"
#include "shadow/ndjson_doc.h"
#include "shadow/redact.h"
#include "shadow/xml_tree.h"

static const char body_path[] = "body";

struct body_judge *body_judge_new(void)
{
    struct body_judge *judge = calloc(1, sizeof(*judge));
    if (judge == NULL)
        return NULL;
    judge->json = json_diff_new();
    judge->text = text_diff_new();
    judge->trees = tree_doc_new();
    judge->messages = protobuf_tree_new();
    if (judge->json == NULL || judge->text == NULL || judge->trees == NULL || judge->messages == NULL) {
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
    doc_builder_done(&judge->primary_built);
    doc_builder_done(&judge->shadow_built);
    tree_done(&judge->primary_tree);
    tree_done(&judge->shadow_tree);
    tree_doc_free(judge->trees);
    grpc_stream_done(&judge->streams[0]);
    grpc_stream_done(&judge->streams[1]);
    protobuf_tree_free(judge->messages);
    json_diff_free(judge->json);
    text_diff_free(judge->text);
    free(judge);
}

void body_judge_bound(struct body_judge *judge, const struct compare_bounds *bounds)
{
    struct json_doc *docs[] = {&judge->primary, &judge->shadow, &judge->primary_built.doc, &judge->shadow_built.doc};
    for (size_t i = 0; i < sizeof(docs) / sizeof(docs[0]); i++) {
        json_doc_done(docs[i]); /* there may be more room already */
        docs[i]->most = bounds->nodes;
    }
    tree_done(&judge->primary_tree);
    tree_done(&judge->shadow_tree);
    judge->primary_tree.most = judge->shadow_tree.most = bounds->bytes;
    judge->decoded_most = bounds->bytes;
}

size_t body_decoded_most(const struct body_judge *judge, size_t max_body)
{
    size_t most = max_body > SIZE_MAX / BODY_DECODED_TIMES ? SIZE_MAX : max_body * BODY_DECODED_TIMES;
    return judge->decoded_most > 0 && judge->decoded_most < most ? judge->decoded_most : most;
}

/* Between two pairs: what a large one needed is given back. */
static void give_back_large_buffers(struct body_judge *judge)
{
    json_doc_trim(&judge->primary);
    json_doc_trim(&judge->shadow);
    coding_output_trim(&judge->primary_output);
    coding_output_trim(&judge->shadow_output);
    doc_builder_trim(&judge->primary_built);
    doc_builder_trim(&judge->shadow_built);
    tree_trim(&judge->primary_tree);
    tree_trim(&judge->shadow_tree);
    grpc_stream_trim(&judge->streams[0]);
    grpc_stream_trim(&judge->streams[1]);
}

/* ---- bytes ---- */

static struct span kept_body(const struct capture *capture)
{
    size_t len = capture->len - capture->head_len;
    return (struct span){.at = len == 0 ? "" : capture->at + capture->head_len, .len = len};
}

bool body_is_same(const struct capture *primary, const struct capture *shadow)
{
    if (primary->body_len != shadow->body_len || primary->truncated != shadow->truncated)
        return false;
    if (primary->truncated)
        return primary->digest[0] == shadow->digest[0] && primary->digest[1] == shadow->digest[1];
    return span_equal(kept_body(primary), kept_body(shadow));
}

static uint64_t first_difference(struct span a, struct span b)
{
    size_t shorter = a.len < b.len ? a.len : b.len, i = 0;
    while (i < shorter && a.at[i] == b.at[i])
        i++;
    return i;
}

/* Longer than what is kept: only length and digest are known. Can it be said that they differ? Not where a rule might
 * excuse what differs. */
static bool is_excusable(const struct rules *rules, enum media_kind kind)
{
    return (rules->replaces_body && media_is_text(kind)) || (media_has_paths(kind) && rules->rule_count > 0);
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
    struct difference *d = difference_note(list, kind, false, body_path);
    if (d == NULL)
        return;
    snprintf(d->path, sizeof(d->path), "body, byte %" PRIu64, first_difference(primary->bytes, shadow->bytes));
    if (primary->len > 0)
        show_length(d->primary, primary->len);
    if (shadow->len > 0)
        show_length(d->shadow, shadow->len);
}

enum obstacle body_compare_beyond(const struct rules *rules, enum media_kind kind, const struct body *primary,
                                  const struct body *shadow, struct difference_list *list)
{
    if (is_excusable(rules, kind))
        return OBSTACLE_TRUNCATED;
    enum difference_kind how = primary->len != shadow->len ? DIFFERENCE_LENGTH : DIFFERENCE_VALUE;
    struct difference *d = difference_note(list, how, false, body_path);
    if (d == NULL)
        return OBSTACLE_NONE;
    snprintf(d->path, sizeof(d->path), "body (differs, too large to show)");
    show_length(d->primary, primary->len);
    show_length(d->shadow, shadow->len);
    return OBSTACLE_NONE;
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
    struct difference *d = difference_note(list, kind, false, body_path);
    if (d == NULL)
        return;
    snprintf(d->path, sizeof(d->path), "body, line %u", t->line);
    d->count = t->removed > t->added ? t->removed : t->added;
    show_line(d->primary, &list->veil, t->first);
    show_line(d->shadow, &list->veil, t->second);
}

static enum obstacle compare_text(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                  const struct body *shadow, struct difference_list *list)
{
    struct text_difference difference;
    (void)rules; /* the same shape as its neighbours' */
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

void body_note_invalid(struct difference_list *list, const char *primary, const char *shadow)
{
    struct difference *d = difference_note(list, DIFFERENCE_INVALID, false, body_path);
    if (d == NULL)
        return;
    snprintf(d->path, sizeof(d->path), "%s", body_path);
    snprintf(d->primary, sizeof(d->primary), "%s", primary);
    snprintf(d->shadow, sizeof(d->shadow), "%s", shadow);
}

static void show_json(char *to, const struct json_doc *doc)
{
    if (doc->fault == JSON_FAULT_NONE)
        snprintf(to, VALUE_ROOM, "<valid JSON>");
    else
        snprintf(to, VALUE_ROOM, "<not JSON: %s at byte %zu>", json_fault_name(doc->fault), doc->fault_at);
}

static void note_invalid_json(const struct body_judge *judge, struct difference_list *list)
{
    char primary[VALUE_ROOM], shadow[VALUE_ROOM];
    show_json(primary, &judge->primary);
    show_json(shadow, &judge->shadow);
    body_note_invalid(list, primary, shadow);
}

static enum obstacle diff_documents(struct body_judge *judge, const struct rules *rules, const struct json_doc *primary,
                                    const struct json_doc *shadow, struct difference_list *list)
{
    switch (json_diff_run(judge->json, rules, primary, shadow, list)) {
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

enum obstacle body_compare_json(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                const struct body *shadow, struct difference_list *list)
{
    struct span a = primary->bytes, b = shadow->bytes;
    skip_marks(&a, &b);
    bool good = json_doc_parse(&judge->primary, a.at, a.len), other_good = json_doc_parse(&judge->shadow, b.at, b.len);
    enum obstacle obstacle = obstacle_of_fault(judge->primary.fault);
    if (obstacle == OBSTACLE_NONE)
        obstacle = obstacle_of_fault(judge->shadow.fault);
    if (obstacle != OBSTACLE_NONE)
        return obstacle;
    if (good && other_good)
        return diff_documents(judge, rules, &judge->primary, &judge->shadow, list);
    if (!good && !other_good) /* neither is JSON, whatever it says */
        return compare_text(judge, rules, primary, shadow, list);
    note_invalid_json(judge, list);
    return OBSTACLE_NONE;
}

/* ---- what becomes a document ---- */

enum obstacle body_diff_built(struct body_judge *judge, const struct rules *rules, enum json_fault fault,
                              struct difference_list *list)
{
    if (fault != JSON_FAULT_NONE)
        return obstacle_of_fault(fault);
    return diff_documents(judge, rules, &judge->primary_built.doc, &judge->shadow_built.doc, list);
}

static enum obstacle compare_pieces(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                    const struct body *shadow, char separator, struct difference_list *list)
{
    struct span a = primary->bytes, b = shadow->bytes;
    skip_marks(&a, &b);
    enum json_fault fault = ndjson_doc_make(&judge->primary_built, &judge->primary, a, separator);
    if (fault == JSON_FAULT_NONE)
        fault = ndjson_doc_make(&judge->shadow_built, &judge->shadow, b, separator);
    return body_diff_built(judge, rules, fault, list);
}

static enum obstacle compare_json_lines(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                        const struct body *shadow, struct difference_list *list)
{
    return compare_pieces(judge, rules, primary, shadow, '\n', list);
}

static enum obstacle compare_json_sequence(struct body_judge *judge, const struct rules *rules,
                                           const struct body *primary, const struct body *shadow,
                                           struct difference_list *list)
{
    return compare_pieces(judge, rules, primary, shadow, '\x1e', list);
}

static enum obstacle diff_trees(struct body_judge *judge, const struct rules *rules, bool ordered,
                                struct difference_list *list)
{
    enum json_fault fault = tree_doc_make(judge->trees, &judge->primary_tree, &judge->shadow_tree, ordered,
                                          &judge->primary_built, &judge->shadow_built);
    return body_diff_built(judge, rules, fault, list);
}

static enum obstacle compare_forms(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                   const struct body *shadow, struct difference_list *list)
{
    enum json_fault fault = form_tree_read(&judge->primary_tree, primary->bytes);
    if (fault == JSON_FAULT_NONE)
        fault = form_tree_read(&judge->shadow_tree, shadow->bytes);
    return fault == JSON_FAULT_NONE ? diff_trees(judge, rules, false, list) : obstacle_of_fault(fault);
}

static void show_xml(char *to, const struct xml_result *result)
{
    if (result->fault == XML_FAULT_NONE)
        snprintf(to, VALUE_ROOM, "<valid XML>");
    else
        snprintf(to, VALUE_ROOM, "<not XML: %s at line %u>", xml_fault_name(result->fault), result->line);
}

static void note_invalid_xml(const struct xml_result *a, const struct xml_result *b, struct difference_list *list)
{
    char primary[VALUE_ROOM], shadow[VALUE_ROOM];
    show_xml(primary, a);
    show_xml(shadow, b);
    body_note_invalid(list, primary, shadow);
}

static enum obstacle obstacle_of_xml(const struct xml_result *result)
{
    static const enum obstacle obstacles[XML_FAULTS] = {[XML_FAULT_DEPTH] = OBSTACLE_TOO_COMPLEX,
                                                        [XML_FAULT_SIZE] = OBSTACLE_TOO_COMPLEX,
                                                        [XML_FAULT_MEMORY] = OBSTACLE_MEMORY,
                                                        [XML_FAULT_LIBRARY] = OBSTACLE_LIBRARY};
    return obstacles[result->fault];
}

/* Perhaps good XML, but only its text can be compared. */
static bool is_text_only(const struct xml_result *result)
{
    return result->fault == XML_FAULT_EXPANSION || result->fault == XML_FAULT_ENCODING;
}

static enum obstacle compare_xml(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                 const struct body *shadow, struct difference_list *list)
{
    struct xml_result a = xml_tree_read(&judge->primary_tree, primary->bytes, rules->xml_whitespace);
    struct xml_result b = xml_tree_read(&judge->shadow_tree, shadow->bytes, rules->xml_whitespace);
    enum obstacle obstacle = obstacle_of_xml(&a);
    if (obstacle == OBSTACLE_NONE)
        obstacle = obstacle_of_xml(&b);
    if (obstacle != OBSTACLE_NONE)
        return obstacle;
    bool good = a.fault == XML_FAULT_NONE, other_good = b.fault == XML_FAULT_NONE;
    if (good && other_good)
        return diff_trees(judge, rules, true, list);
    if ((!good && !other_good) || is_text_only(&a) || is_text_only(&b))
        return compare_text(judge, rules, primary, shadow, list);
    note_invalid_xml(&a, &b, list);
    return OBSTACLE_NONE;
}

/* ---- by kind ---- */

enum obstacle body_compare_bytes(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                 const struct body *shadow, struct difference_list *list)
{
    (void)judge;
    (void)rules;
    compare_bytes(primary, shadow, list);
    return OBSTACLE_NONE;
}

static enum obstacle (*const compare_by_kind[])(struct body_judge *judge, const struct rules *rules,
                                                const struct body *primary, const struct body *shadow,
                                                struct difference_list *list) = {
    [MEDIA_BYTES] = body_compare_bytes,
    [MEDIA_TEXT] = compare_text,
    [MEDIA_FORM] = compare_forms,
    [MEDIA_JSON_SEQUENCE] = compare_json_sequence,
    [MEDIA_JSON_LINES] = compare_json_lines,
    [MEDIA_XML] = compare_xml,
    [MEDIA_JSON] = body_compare_json,
    [MEDIA_PROTOBUF] = body_compare_protobuf,
    [MEDIA_GRPC] = body_compare_grpc,
};

/* Where the sides say different things, what tells more: a lost Content-Type is a difference of its own. */
static enum media_kind kind_of_pair(const struct body *primary, const struct body *shadow)
{
    enum media_kind a = media_kind_of(primary->type, primary->bytes), b = media_kind_of(shadow->type, shadow->bytes);
    return a > b ? a : b;
}

static const enum obstacle obstacles_by_replacing[] = {
    [REPLACE_DONE] = OBSTACLE_NONE,
    [REPLACE_TOO_COMPLEX] = OBSTACLE_TOO_COMPLEX,
    [REPLACE_TOO_LARGE] = OBSTACLE_TOO_COMPLEX,
    [REPLACE_NO_MEMORY] = OBSTACLE_MEMORY,
};

/* What is left to find after the route's patterns were replaced. A pair that agrees now agrees because of a rule. */
static enum obstacle compare_replaced(struct body_judge *judge, const struct rules *rules, enum media_kind kind,
                                      struct body *primary, struct body *shadow, struct difference_list *list)
{
    bool changed = false;
    enum replace_result result = rules_replace_bodies(rules, &primary->bytes, &shadow->bytes, &changed, list);
    if (result != REPLACE_DONE)
        return obstacles_by_replacing[result];
    primary->len = primary->bytes.len;
    shadow->len = shadow->bytes.len;
    uint32_t before = list->count;
    enum obstacle obstacle = OBSTACLE_NONE;
    if (!span_equal(primary->bytes, shadow->bytes))
        obstacle = compare_by_kind[kind](judge, rules, primary, shadow, list);
    if (obstacle == OBSTACLE_NONE && changed && list->count == before)
        difference_note(list, DIFFERENCE_VALUE, true, body_path);
    return obstacle;
}

static enum obstacle compare_decoded(struct body_judge *judge, const struct rules *rules, struct body *primary,
                                     struct body *shadow, struct difference_list *list)
{
    enum media_kind kind = kind_of_pair(primary, shadow);
    if (kind == MEDIA_GRPC)
        return body_compare_grpc(judge, rules, primary, shadow, list);
    if (primary->len == 0 || shadow->len == 0)
        return body_compare_bytes(judge, rules, primary, shadow, list);
    if (primary->truncated || shadow->truncated)
        return body_compare_beyond(rules, kind, primary, shadow, list);
    if (rules->replaces_body && media_is_text(kind))
        return compare_replaced(judge, rules, kind, primary, shadow, list);
    return compare_by_kind[kind](judge, rules, primary, shadow, list);
}

/* ---- compressed bodies ---- */

static bool is_encoded(const struct body *body)
{
    return !coding_is_identity(body->codings, strlen(body->codings));
}

/* Decodes in place. A body that is not what its Content-Encoding says stays as it is: CODING_BROKEN. No bytes at all
 * are an empty body in every coding: the answer to HEAD, a 304. */
static enum coding_result decode(struct body *body, size_t limit, struct coding_output *output)
{
    if (!is_encoded(body) || body->bytes.len == 0)
        return CODING_DONE;
    enum coding_result result =
        coding_decode(body->codings, strlen(body->codings), body->bytes.at, body->bytes.len, limit, output);
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
    [CODING_TOO_LARGE] = OBSTACLE_DECODED_TOO_LARGE,
    [CODING_NO_MEMORY] = OBSTACLE_MEMORY,
};

enum obstacle body_obstacle_of_coding(enum coding_result result)
{
    return obstacles_by_coding[result];
}

static void show_coding(char *to, const struct body *body, enum coding_result result)
{
    char name[32];
    redact_clean(name, sizeof(name), body->codings, strlen(body->codings));
    snprintf(to, VALUE_ROOM, result == CODING_BROKEN ? "<not %s>" : "<valid %s>", name[0] == '\0' ? "identity" : name);
}

static void note_broken_coding(const struct body *primary, enum coding_result a, const struct body *shadow,
                               enum coding_result b, struct difference_list *list)
{
    char value[VALUE_ROOM], other[VALUE_ROOM];
    show_coding(value, primary, a);
    show_coding(other, shadow, b);
    body_note_invalid(list, value, other);
}

static enum obstacle compare_encoded(struct body_judge *judge, const struct rules *rules, struct body *primary,
                                     struct body *shadow, size_t max_body, struct difference_list *list)
{
    size_t limit = body_decoded_most(judge, max_body);
    if (primary->truncated || shadow->truncated)
        return OBSTACLE_TRUNCATED;
    enum coding_result a = decode(primary, limit, &judge->primary_output),
                       b = decode(shadow, limit, &judge->shadow_output);
    enum obstacle obstacle = obstacles_by_coding[a] != OBSTACLE_NONE ? obstacles_by_coding[a] : obstacles_by_coding[b];
    if (obstacle == OBSTACLE_NONE && a == CODING_BROKEN && b == CODING_BROKEN)
        compare_bytes(primary, shadow, list);
    else if (obstacle == OBSTACLE_NONE && (a == CODING_BROKEN || b == CODING_BROKEN))
        note_broken_coding(primary, a, shadow, b, list);
    else if (obstacle == OBSTACLE_NONE && !span_equal(primary->bytes, shadow->bytes))
        obstacle = compare_decoded(judge, rules, primary, shadow, list);
    return obstacle;
}

/* ---- a pair ---- */

struct span body_field(struct span head, const char *name)
{
    struct span value = {"", 0};
    size_t from = 0;
    headers_find(head, name, strlen(name), &from, &value);
    return value;
}

/* Several lines of one name are one list (RFC 9110 section 5.3). One that is too long is none that is known. */
static void read_codings(struct body *body, struct span head)
{
    static const char name[] = "content-encoding", beyond[] = "too-many";
    struct span line;
    size_t len = 0;
    for (size_t from = 0; headers_find(head, name, sizeof(name) - 1, &from, &line);) {
        if (line.len + 2 > sizeof(body->codings) - len) {
            memcpy(body->codings, beyond, sizeof(beyond));
            return;
        }
        if (len > 0)
            body->codings[len++] = ',';
        memcpy(body->codings + len, line.at, line.len);
        len += line.len;
    }
    body->codings[len] = '\0';
}

static struct body body_of(const struct capture *capture)
{
    struct span head = headers_of(capture);
    struct body body = {.type = body_field(head, "content-type"),
                        .head = head,
                        .trailers = trailers_of(capture),
                        .bytes = kept_body(capture),
                        .len = capture->body_len,
                        .truncated = capture->truncated,
                        .max_body = capture->max_body};
    read_codings(&body, head);
    return body;
}

enum obstacle body_compare(struct body_judge *judge, const struct rules *rules, const struct pair *pair,
                           struct difference_list *list)
{
    const struct capture *primary = &pair->primary_capture, *shadow = &pair->shadow_capture;
    judge->target = (struct span){pair->target, strlen(pair->target)};
    struct body a = body_of(primary), b = body_of(shadow);
    bool nothing_to_decode = (a.len == 0 && b.truncated) || (b.len == 0 && a.truncated);
    enum obstacle obstacle = (is_encoded(&a) || is_encoded(&b)) && !nothing_to_decode
                                 ? compare_encoded(judge, rules, &a, &b, primary->max_body, list)
                                 : compare_decoded(judge, rules, &a, &b, list);
    give_back_large_buffers(judge);
    return obstacle;
}
