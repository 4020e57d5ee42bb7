/*
 * Samples: see sample.h. Nothing is written here that did not pass redact.h: names through redact_clean(), values
 * through redact_value(), targets through redact_target().
 *
 * Runs on the compare thread, once for a pair that is to be kept. All memory is that of one call: samples are rare.
 * What a body costs is bounded by SAMPLE_LOOKED_AT bytes read and SAMPLE_BODY_BYTES written, whatever its size; beyond
 * the first bound it is not looked at, and beyond the second what is open is closed again, so that JSON stays JSON.
 */
#include "shadow/sample.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shadow/coding.h"
#include "shadow/headers.h"
#include "shadow/json_doc.h"
#include "shadow/redact.h"

enum {
    SAMPLE_LOOKED_AT = 4 * SAMPLE_BODY_BYTES, /* bytes of a decoded body */
    HEADERS_MOST = 100,
    HEADER_NAME_ROOM = 80,
    HEADER_VALUE_ROOM = 512,
    TEXT_ROOM = 320,
    HIDDEN_ROOM = 64, /* "<string 12 #5f3a09bc11d2>" */
    ENDING_ROOM = 16, /* what a cut container gets: ,"…":"…" */
};

/* A body as it may be shown, written piece by piece. */
struct shown {
    size_t len;
    bool cut;
    char at[SAMPLE_BODY_BYTES + 1];
};

struct sampler {
    struct veil veil;
    struct json_doc doc;
    struct coding_output output;
    struct shown shown;
    char text[SAMPLE_LOOKED_AT]; /* a string without its escapes */
};

static bool set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0; /* takes NULL, and then fails */
}

static bool set_text(json_t *object, const char *key, const char *text)
{
    char clean[TEXT_ROOM];
    redact_clean(clean, sizeof(clean), text, strlen(text));
    return set(object, key, json_string(clean));
}

static bool set_number(json_t *object, const char *key, uint64_t number)
{
    return set(object, key, json_integer((json_int_t)number));
}

/* ---- headers ---- */

/* Fields that say how a message is written and not what: short words and numbers, shown where they are nothing else. */
static bool is_plain_field(const char *name, size_t len)
{
    static const char *const plain[] = {"content-type", "content-length", "content-encoding", "transfer-encoding"};
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (strlen(plain[i]) == len && strncasecmp(plain[i], name, len) == 0)
            return true;
    return false;
}

/* Up to where a value of such a field may be shown: without its parameters. 0: not at all. */
static size_t plain_length(struct span value)
{
    size_t len = 0, digits = 0;
    for (; len < value.len && value.at[len] != ';'; len++) {
        unsigned char c = (unsigned char)value.at[len];
        digits += isdigit(c) ? 1 : 0;
        if (!isalnum(c) && strchr("/+.-, ", c) == NULL)
            return 0;
    }
    bool number = digits == len;
    return len <= 64 && (number ? len <= 20 : digits <= 4) ? len : 0;
}

static json_t *header_pair(const struct veil *veil, struct span name, struct span value)
{
    char shown_name[HEADER_NAME_ROOM], shown[HEADER_VALUE_ROOM];
    bool secret = redact_is_secret_header(veil, name.at, name.len);
    size_t plain = !secret && is_plain_field(name.at, name.len) ? plain_length(value) : 0;
    if (redact_is_data_name(name.at, name.len))
        snprintf(shown_name, sizeof(shown_name), "<name %zu>", name.len);
    else
        redact_clean(shown_name, sizeof(shown_name), name.at, name.len);
    if (plain > 0 && veil_hides(veil))
        redact_clean(shown, sizeof(shown), value.at, plain);
    else
        redact_value(shown, sizeof(shown), veil, secret, "string", (int64_t)value.len, value.at, value.len);
    return json_pack("[ss]", shown_name, shown);
}

static struct span trimmed(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    return (struct span){at, (size_t)(end - at)};
}

/* [["name", "value"], ...] of "Name: value\r\n" lines; NULL without memory. */
static json_t *headers_json(const struct veil *veil, struct span head)
{
    json_t *list = json_array();
    const char *end = head.at + head.len;
    for (const char *at = head.at; list != NULL && at < end && json_array_size(list) < HEADERS_MOST;) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        const char *stop = feed != NULL ? feed : end;
        const char *colon = memchr(at, ':', (size_t)(stop - at));
        if (colon != NULL &&
            json_array_append_new(list, header_pair(veil, trimmed(at, colon), trimmed(colon + 1, stop))) != 0) {
            json_decref(list);
            return NULL;
        }
        at = stop + 1;
    }
    return list;
}

static struct span header_value(struct span head, const char *name)
{
    size_t from = 0;
    struct span value = {"", 0};
    return headers_find(head, name, strlen(name), &from, &value) ? value : (struct span){"", 0};
}

/* ---- what a body is ---- */

enum sample_type {
    TYPE_JSON,
    TYPE_XML,
    TYPE_TEXT,
    TYPE_BYTES
};

static const char *const type_names[] = {
    [TYPE_JSON] = "json", [TYPE_XML] = "xml", [TYPE_TEXT] = "text", [TYPE_BYTES] = "bytes"};

struct type_mark {
    const char *part; /* of a media type, in lower case */
    enum sample_type type;
};

/* The first one that is in it decides: image/svg+xml is XML, text/xml too. */
static const struct type_mark type_marks[] = {
    {"application/grpc", TYPE_BYTES},
    {"json", TYPE_JSON},
    {"xml", TYPE_XML},
    {"text/", TYPE_TEXT},
    {"html", TYPE_TEXT},
    {"javascript", TYPE_TEXT},
    {"x-www-form-urlencoded", TYPE_TEXT},
};

static bool has_word(struct span value, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= value.len && value.at[i] != ';'; i++)
        if (strncasecmp(value.at + i, word, len) == 0)
            return true;
    return false;
}

static enum sample_type type_of(struct span media_type, struct span body)
{
    for (size_t i = 0; i < sizeof(type_marks) / sizeof(type_marks[0]); i++)
        if (has_word(media_type, type_marks[i].part))
            return type_marks[i].type;
    bool opens = body.len > 0 && (body.at[0] == '{' || body.at[0] == '[');
    return media_type.len == 0 && opens ? TYPE_JSON : TYPE_BYTES;
}

/* ---- writing what may be shown ---- */

static bool fits(const struct shown *shown, size_t len, size_t reserve)
{
    return shown->len + len + reserve <= SAMPLE_BODY_BYTES;
}

static void put(struct shown *shown, const char *at, size_t len)
{
    memcpy(shown->at + shown->len, at, len);
    shown->len += len;
}

static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* A text between quotes as JSON has it; what a terminal would obey is left out. False: it does not fit. */
static bool put_quoted(struct shown *shown, const char *at, size_t len, size_t reserve)
{
    static const char escaped[] = "\n\r\t\"\\", letters[] = "nrt\"\\";
    size_t before = shown->len, run = 0;
    if (!fits(shown, 2, reserve))
        return false;
    put(shown, "\"", 1);
    for (size_t i = 0, step; i < len; i += step) {
        for (run = i; run < len && is_plain(at[run]);)
            run++;
        step = run - i;
        if (step > 0 && fits(shown, step + 1, reserve)) {
            put(shown, at + i, step);
            continue;
        }
        const char *special = at[i] == '\0' ? NULL : strchr(escaped, at[i]);
        step = special != NULL ? 1 : redact_character(at + i, len - i);
        if (run > i || !fits(shown, (step > 2 ? step : 2) + 1, reserve)) {
            shown->len = before;
            return false;
        }
        if (special != NULL) {
            char pair[2] = {'\\', letters[special - escaped]};
            put(shown, pair, 2);
        } else {
            put(shown, step == 0 ? "?" : at + i, step == 0 ? 1 : step);
        }
        step = step == 0 ? 1 : step;
    }
    put(shown, "\"", 1);
    return true;
}

static bool put_hidden(struct sampler *s, bool secret, const char *type, int64_t count, struct span value,
                       size_t reserve)
{
    char text[HIDDEN_ROOM];
    struct veil veil = s->veil;
    if (veil.values == SAMPLES_FULL) /* only what is secret is hidden then, and never hashed */
        veil.values = SAMPLES_REDACTED;
    redact_value(text, sizeof(text), &veil, secret, type, count, value.at, value.len);
    return put_quoted(&s->shown, text, strlen(text), reserve);
}

/* ---- JSON ---- */

struct open_container {
    uint32_t node;
    bool object, empty;
};

struct json_walk {
    struct sampler *sampler;
    uint32_t depth;
    struct open_container open[JSON_DEPTH];
};

/* What must stay free to close everything again. */
static size_t reserve_of(const struct json_walk *walk)
{
    return walk->depth + ENDING_ROOM;
}

/* Of a text that ends early: what was begun and is not there reaches to the end. */
static uint32_t after(const struct json_doc *doc, uint32_t node)
{
    return doc->nodes[node].end == 0 ? doc->count : doc->nodes[node].next;
}

static struct span string_text(struct sampler *s, uint32_t node)
{
    const struct json_node *n = &s->doc.nodes[node];
    if (!n->escaped)
        return (struct span){s->doc.text + n->start + 1, n->count};
    return (struct span){s->text, json_string_decode(&s->doc, node, s->text)};
}

static bool put_scalar(struct sampler *s, uint32_t node, size_t reserve)
{
    const struct json_node *n = &s->doc.nodes[node];
    const char *type = node_type_name((enum node_type)n->type);
    struct span text = {json_node_text(&s->doc, node), json_node_length(&s->doc, node)};
    int64_t count = NO_COUNT;
    bool string = n->type == NODE_STRING;
    if (n->type == NODE_NULL || (n->type == NODE_BOOLEAN && !veil_hides(&s->veil))) {
        if (!fits(&s->shown, text.len, reserve))
            return false;
        put(&s->shown, text.at, text.len);
        return true;
    }
    if (string) {
        text = string_text(s, node);
        count = (int64_t)text.len;
    }
    bool secret = s->veil.values == SAMPLES_FULL && redact_looks_secret(&s->veil, text.at, text.len);
    if (secret || veil_hides(&s->veil))
        return put_hidden(s, secret, type, count, text, reserve);
    if (string)
        return put_quoted(&s->shown, text.at, text.len, reserve);
    if (!fits(&s->shown, text.len, reserve))
        return false;
    put(&s->shown, text.at, text.len);
    return true;
}

static bool put_secret(struct sampler *s, uint32_t node, size_t reserve)
{
    const struct json_node *n = &s->doc.nodes[node];
    int64_t count = n->end != 0 && n->type != NODE_NUMBER && n->type != NODE_BOOLEAN && n->type != NODE_NULL
                        ? (int64_t)n->count
                        : NO_COUNT;
    return put_hidden(s, true, node_type_name((enum node_type)n->type), count, (struct span){NULL, 0}, reserve);
}

/* Writes a member's name and ":"; *secret says whether its value may be shown. */
static bool put_name(struct sampler *s, uint32_t node, size_t reserve, bool *secret)
{
    struct span name = string_text(s, node);
    *secret = redact_is_secret_name(&s->veil, name.at, name.len);
    bool put_it;
    if (redact_is_data_name(name.at, name.len) && veil_hides(&s->veil))
        put_it = put_hidden(s, true, "name", (int64_t)name.len, name, reserve + 1);
    else if (s->veil.values != SAMPLES_REDACTED && redact_looks_secret(&s->veil, name.at, name.len))
        put_it = put_hidden(s, true, "name", (int64_t)name.len, name, reserve + 1);
    else
        put_it = put_quoted(&s->shown, name.at, name.len, reserve + 1);
    if (put_it)
        put(&s->shown, ":", 1);
    return put_it;
}

static void close_container(struct json_walk *walk)
{
    put(&walk->sampler->shown, walk->open[--walk->depth].object ? "}" : "]", 1);
}

/* The mark that something is missing, then every bracket that is open. */
static void close_cut(struct json_walk *walk)
{
    static const char element[] = "\"\xe2\x80\xa6\"", member[] = "\"\xe2\x80\xa6\":\"\xe2\x80\xa6\"";
    struct shown *shown = &walk->sampler->shown;
    shown->cut = true;
    if (walk->depth > 0) {
        const struct open_container *top = &walk->open[walk->depth - 1];
        if (!top->empty)
            put(shown, ",", 1);
        put(shown, top->object ? member : element, (top->object ? sizeof(member) : sizeof(element)) - 1);
    }
    while (walk->depth > 0)
        close_container(walk);
}

static bool open_container(struct json_walk *walk, uint32_t node)
{
    struct sampler *s = walk->sampler;
    bool object = s->doc.nodes[node].type == NODE_OBJECT;
    if (walk->depth == JSON_DEPTH || !fits(&s->shown, 2, reserve_of(walk)))
        return false;
    put(&s->shown, object ? "{" : "[", 1);
    walk->open[walk->depth++] = (struct open_container){node, object, true};
    return true;
}

static bool is_container(const struct json_node *node)
{
    return node->type == NODE_OBJECT || node->type == NODE_ARRAY;
}

/* Writes node *i, with its name where it has one, and steps over what was written. False: it does not fit, or it is not
 * whole; what is written so far is. */
static bool put_node(struct json_walk *walk, uint32_t *i)
{
    struct sampler *s = walk->sampler;
    const struct json_doc *doc = &s->doc;
    struct open_container *top = walk->depth > 0 ? &walk->open[walk->depth - 1] : NULL;
    size_t before = s->shown.len, reserve = reserve_of(walk);
    bool secret = false;
    uint32_t value = *i;
    if (top != NULL && !top->empty) {
        if (!fits(&s->shown, 1, reserve))
            return false;
        put(&s->shown, ",", 1);
    }
    bool good = true;
    if (top != NULL && top->object) {
        value++;
        good = value < doc->count && put_name(s, *i, reserve, &secret);
    }
    const struct json_node *n = good ? &doc->nodes[value] : NULL;
    if (n != NULL && (secret || !is_container(n))) {
        good = (n->end != 0 || is_container(n)) &&
               (secret ? put_secret(s, value, reserve) : put_scalar(s, value, reserve));
        *i = after(doc, value);
    } else if (n != NULL) {
        good = open_container(walk, value);
        *i = value + 1;
    }
    if (!good)
        s->shown.len = before;
    else if (top != NULL)
        top->empty = false;
    return good;
}

/* The parsed document, or as much of it as there is. */
static void put_document(struct sampler *s, bool whole)
{
    struct json_walk walk = {.sampler = s};
    for (uint32_t i = 0; i < s->doc.count || walk.depth > 0;) {
        if (walk.depth > 0 && i >= after(&s->doc, walk.open[walk.depth - 1].node)) {
            if (!whole && s->doc.nodes[walk.open[walk.depth - 1].node].end == 0) {
                close_cut(&walk);
                return;
            }
            close_container(&walk);
        } else if (!put_node(&walk, &i)) {
            close_cut(&walk);
            return;
        }
    }
}

/* A number at the very end of a text that was cut may be half of one. */
static void drop_cut_number(struct json_doc *doc)
{
    if (doc->count > 0 && doc->nodes[doc->count - 1].type == NODE_NUMBER && doc->nodes[doc->count - 1].end == doc->len)
        doc->nodes[doc->count - 1].end = 0;
}

/* Is what the parser met no fault of the text, but our cutting it? */
static bool is_only_cut(const struct json_doc *doc, bool cut)
{
    bool within_character = doc->fault == JSON_FAULT_UTF8 && doc->len - doc->fault_at < 4;
    return cut && (doc->fault == JSON_FAULT_ENDS_EARLY || within_character);
}

/* One document of `text`. False: it is no JSON. */
static bool put_json(struct sampler *s, struct span text, bool cut)
{
    bool whole = json_doc_parse(&s->doc, text.at, text.len);
    if (!whole && !is_only_cut(&s->doc, cut))
        return false;
    if (!whole)
        drop_cut_number(&s->doc);
    put_document(s, whole);
    return true;
}

/* One document for each line, as many as are good. */
static bool put_json_lines(struct sampler *s, struct span text, bool cut)
{
    const char *end = text.at + text.len;
    for (const char *at = text.at; at < end && !s->shown.cut;) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        struct span line = trimmed(at, feed != NULL ? feed : end);
        at = feed != NULL ? feed + 1 : end;
        if (line.len == 0)
            continue;
        if (!fits(&s->shown, 1, HIDDEN_ROOM + ENDING_ROOM)) {
            s->shown.cut = true;
            return true;
        }
        if (s->shown.len > 0)
            put(&s->shown, "\n", 1);
        if (!put_json(s, line, cut && feed == NULL))
            return false;
    }
    return s->shown.len > 0;
}

static bool put_json_body(struct sampler *s, struct span text, bool cut)
{
    if (put_json(s, text, cut))
        return true;
    s->shown.len = 0;
    s->shown.cut = false;
    return s->doc.fault == JSON_FAULT_AFTER_END && put_json_lines(s, text, cut);
}

/* ---- text ---- */

static void put_line(struct sampler *s, struct span line, bool hide)
{
    char hidden[HIDDEN_ROOM];
    if (hide) {
        int len = snprintf(hidden, sizeof(hidden), "<line %zu>", line.len);
        line = (struct span){hidden, len > 0 ? (size_t)len : 0};
    }
    for (size_t i = 0, step; i < line.len; i += step) {
        bool tab = line.at[i] == '\t';
        step = tab ? 1 : redact_character(line.at + i, line.len - i);
        if (!fits(&s->shown, step == 0 ? 1 : step, ENDING_ROOM)) {
            s->shown.cut = true;
            return;
        }
        put(&s->shown, step == 0 ? "?" : line.at + i, step == 0 ? 1 : step);
        step = step == 0 ? 1 : step;
    }
}

static bool line_has(struct span line, const char *text)
{
    return memmem(line.at, line.len, text, strlen(text)) != NULL;
}

/* Line by line, but for lines that look secret, and all of a PEM block. */
static void put_text(struct sampler *s, struct span text)
{
    bool within_block = false;
    const char *end = text.at + text.len;
    for (const char *at = text.at; at < end && !s->shown.cut;) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        struct span line = trimmed(at, feed != NULL ? feed : end);
        line = (struct span){at, (size_t)(line.at + line.len - at)}; /* indentation stays */
        within_block = within_block || line_has(line, "-----BEGIN ");
        put_line(s, line, within_block || redact_looks_secret(&s->veil, line.at, line.len));
        if (line_has(line, "-----END "))
            within_block = false;
        at = feed != NULL ? feed + 1 : end;
        if (feed == NULL || s->shown.cut)
            continue;
        if (fits(&s->shown, 1, ENDING_ROOM))
            put(&s->shown, "\n", 1);
        else
            s->shown.cut = true;
    }
    if (s->shown.cut)
        put(&s->shown, "\xe2\x80\xa6", 3);
}

/* ---- bodies ---- */

static struct span kept_body(const struct capture *capture)
{
    size_t len = capture->len - capture->head_len;
    return (struct span){len == 0 ? "" : capture->at + capture->head_len, len};
}

/* Undoes its codings; *cut when there is more than is looked at. False: it cannot be undone. */
static bool decode(struct sampler *s, const struct capture *capture, struct span *body, bool *cut)
{
    struct span coding = header_value(headers_of(capture), "content-encoding");
    *cut = capture->truncated;
    *body = kept_body(capture);
    if (!coding_is_identity(coding.at, coding.len)) {
        if (*cut)
            return false;
        enum coding_result result =
            coding_decode(coding.at, coding.len, body->at, body->len, SAMPLE_LOOKED_AT, &s->output);
        *cut = result == CODING_TOO_LARGE;
        *body = (struct span){s->output.at == NULL ? "" : s->output.at, s->output.len};
        return result == CODING_DONE;
    }
    if (body->len > SAMPLE_LOOKED_AT) {
        body->len = SAMPLE_LOOKED_AT;
        *cut = true;
    }
    return true;
}

/* Writes what may be shown of a body into s->shown. False: nothing may. */
static bool show_body(struct sampler *s, enum sample_type type, struct span body, bool cut)
{
    s->shown.len = 0;
    s->shown.cut = false;
    if (body.len == 0 || type == TYPE_BYTES)
        return false;
    if (type == TYPE_JSON && put_json_body(s, body, cut))
        return true;
    if (veil_hides(&s->veil))
        return false;
    put_text(s, body);
    return true;
}

/* "headers", "trailers", "body" and "cut" of one message; *type is told too. */
static bool set_message(struct sampler *s, json_t *object, const struct capture *capture, enum sample_type *type)
{
    bool cut = false;
    struct span head = headers_of(capture), body = {"", 0};
    bool decoded = decode(s, capture, &body, &cut);
    *type = type_of(header_value(head, "content-type"), decoded ? body : (struct span){"", 0});
    bool shows = decoded && show_body(s, *type, body, cut);
    if (!set(object, "headers", headers_json(&s->veil, head)) ||
        !set(object, "cut", json_boolean(cut || (shows && s->shown.cut))))
        return false;
    if (capture->trailers_len > 0 && !set(object, "trailers", headers_json(&s->veil, trailers_of(capture))))
        return false;
    return !shows || set(object, "body", json_stringn(s->shown.at, s->shown.len));
}

static json_t *request_json(struct sampler *s, const struct pair *pair)
{
    enum sample_type type;
    json_t *object = json_object();
    if (object != NULL && set_message(s, object, &pair->request, &type) &&
        set_number(object, "body_bytes", pair->request.body_len))
        return object;
    json_decref(object);
    return NULL;
}

static json_t *answer_json(struct sampler *s, const struct capture *capture)
{
    enum sample_type type = TYPE_BYTES;
    json_t *object = json_object();
    if (object != NULL && set_number(object, "status", capture->status) &&
        set_number(object, "latency_us", capture->latency_us) && set_number(object, "bytes", capture->body_len) &&
        set_message(s, object, capture, &type) && set_text(object, "type", type_names[type]))
        return object;
    json_decref(object);
    return NULL;
}

/* ---- differences ---- */

static json_t *difference_json(const struct difference *d)
{
    json_t *object = json_object();
    if (object != NULL && set_text(object, "field", d->field) && set_text(object, "path", d->path) &&
        set_text(object, "kind", difference_kind_name(d->kind)) && set_number(object, "places", d->count) &&
        set_text(object, "primary", d->primary) && set_text(object, "shadow", d->shadow) &&
        set(object, "ignored", json_boolean(d->ignored)))
        return object;
    json_decref(object);
    return NULL;
}

/* Those that count first. */
static json_t *differences_json(const struct difference_list *list)
{
    json_t *array = json_array();
    for (int ignored = 0; ignored < 2; ignored++) {
        for (uint32_t i = 0; array != NULL && i < list->count; i++) {
            if (list->at[i].ignored != (ignored == 1) || json_array_size(array) == SAMPLE_DIFFERENCES_MAX)
                continue;
            if (json_array_append_new(array, difference_json(&list->at[i])) != 0) {
                json_decref(array);
                array = NULL;
            }
        }
    }
    return array;
}

/* ---- the whole ---- */

static const char *values_name(enum config_sample_values values)
{
    return values == SAMPLES_FULL ? "full" : values == SAMPLES_HASHED ? "hashed" : "redacted";
}

static bool set_pair(json_t *object, const struct veil *veil, const struct pair *pair, const char *endpoint)
{
    char target[TEXT_ROOM];
    redact_target(target, sizeof(target), veil, pair->target);
    return set_number(object, "at_ms", pair->wall_ms) && set_text(object, "route", pair->route->name) &&
           set_text(object, "primary", side_name(pair->primary)) && set_text(object, "endpoint", endpoint) &&
           set_text(object, "method", pair->method) && set_text(object, "target", target) &&
           set_text(object, "request_id", pair->request_id) && set_number(object, "cohort", pair->cohort) &&
           set_text(object, "values", values_name(veil->values));
}

static json_t *make(struct sampler *s, const struct pair *pair, const struct comparison *comparison,
                    const char *endpoint)
{
    const struct difference_list *list = &comparison->differences;
    json_t *object = json_object();
    if (object != NULL && set_pair(object, &s->veil, pair, endpoint) && set(object, "request", request_json(s, pair)) &&
        set(object, "primary_answer", answer_json(s, &pair->primary_capture)) &&
        set(object, "shadow_answer", answer_json(s, &pair->shadow_capture)) &&
        set_number(object, "fields", (uint64_t)list->real + list->beyond) &&
        set(object, "differences", differences_json(list)))
        return object;
    json_decref(object);
    return NULL;
}

json_t *sample_json(const struct pair *pair, const struct comparison *comparison, const char *endpoint)
{
    const struct veil veil = veil_of(&pair->route->shadow.samples);
    if (veil.values == SAMPLES_NONE)
        return NULL;
    struct sampler *s = malloc(sizeof(*s));
    if (s == NULL)
        return NULL;
    s->veil = veil;
    s->doc = (struct json_doc){0};
    s->output = (struct coding_output){0};
    json_t *sample = make(s, pair, comparison, endpoint);
    json_doc_done(&s->doc);
    coding_output_done(&s->output);
    free(s);
    return sample;
}
