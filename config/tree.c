/*
 * Tree: YAML events into nodes.
 *
 * Called by the loader only. Works on libyaml's events and not on its documents: a document has lost the second of two
 * equal keys, and its composer unfolds whatever it is told to. Recursion is bounded by TREE_DEPTH; the events arrive
 * one by one, so that a hostile text is left as soon as it crosses a bound. Reads the environment, and nothing else
 * outside its input.
 */
#include "config/tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "config/names.h"

struct anchor {
    struct anchor *next;
    const char *name;
    const struct node *node; /* NULL while it is being built */
};

struct builder {
    yaml_parser_t parser;
    struct faults *faults;
    struct config_arena *arena;
    const char *text;
    size_t length;
    struct anchor *anchors;
    uint32_t anchor_count;
    uint32_t depth;
    uint32_t nodes;
    uint32_t alias_nodes;
    size_t variable_bytes;
    bool stopped; /* no more events are asked for */
};

static struct place place_of(const yaml_mark_t *mark)
{
    return (struct place){.line = (uint32_t)mark->line + 1, .column = (uint32_t)mark->column + 1};
}

static void no_memory(struct builder *builder)
{
    builder->stopped = true;
    faults_no_memory(builder->faults);
}

__attribute__((format(printf, 3, 4))) static void stop(struct builder *builder, struct place place, const char *format,
                                                       ...)
{
    va_list args;
    va_start(args, format);
    const char *text = config_arena_vprint(builder->arena, format, args);
    va_end(args);
    builder->stopped = true;
    if (text == NULL)
        faults_no_memory(builder->faults);
    else
        faults_add(builder->faults, place, "%s", text);
}

/* ---- bytes ---- */

/* Length of the UTF-8 sequence at `at` (RFC 3629 section 4), 0 when there is none; the code point in *code. */
static size_t utf8_sequence(const unsigned char *at, size_t left, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc2 ? 2 : 0;
    if (len == 0 || len > left || at[0] > 0xf4)
        return 0;
    uint32_t sum = len == 1 ? at[0] : at[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        sum = sum << 6 | (at[i] & 0x3fU);
    }
    if (len > 1 && (sum < smallest[len] || sum > 0x10ffff || (sum >= 0xd800 && sum <= 0xdfff)))
        return 0;
    *code = sum;
    return len;
}

/* YAML 1.1 section 5.1: printable characters only. */
static bool is_yaml_character(uint32_t code)
{
    if (code < 0x20)
        return code == '\t' || code == '\n' || code == '\r';
    if (code >= 0x7f && code < 0xa0)
        return code == 0x85;
    return code != 0xfeff && code != 0xfffe && code != 0xffff;
}

/* What is wrong with the bytes of a value or key; NULL when nothing is. */
static const char *bad_bytes(const char *text, size_t len)
{
    const unsigned char *at = (const unsigned char *)text;
    uint32_t code = 0;
    for (size_t i = 0, step; i < len; i += step) {
        step = utf8_sequence(at + i, len - i, &code);
        if (step == 0)
            return "bytes that are not UTF-8";
        if (code == '\n' || code == '\r' || code == 0x85 || code == 0x2028 || code == 0x2029)
            return "a line break";
        if (code == '\t' || !is_yaml_character(code))
            return "a control character";
    }
    return NULL;
}

/* ---- messages ---- */

const char *node_kind_name(const struct node *node)
{
    static const char *const names[] = {
        [NODE_SCALAR] = "a single value",
        [NODE_LIST] = "a list",
        [NODE_MAPPING] = "a mapping",
    };
    return names[node->kind];
}

const char *text_shown(struct faults *faults, const char *text)
{
    enum {
        SHOWN = 40
    };
    char out[SHOWN * 4 + 1];
    size_t used = 0;
    size_t at = 0;
    for (; text[at] != '\0' && at < SHOWN; at++) {
        unsigned char c = (unsigned char)text[at];
        if (c < 0x20 || c == 0x7f)
            used += (size_t)snprintf(out + used, sizeof(out) - used, "\\x%02x", c);
        else
            out[used++] = (char)c;
    }
    bool cut = text[at] != '\0';
    while (cut && used > 0 && ((unsigned char)out[used - 1] & 0x80) != 0 && ((unsigned char)text[at] & 0xc0) == 0x80) {
        used--; /* never half of a character */
        at--;
    }
    out[used] = '\0';
    bool number =
        out[0] >= '0' && out[0] <= '9' && out[strspn(out, "0123456789.%abcdefghijklmnopqrstuvwxyzKMGTBi")] == '\0';
    const char *format = number ? "%s%s" : "\"%s%s\"";
    const char *shown = config_arena_print(faults->arena, format, out, cut ? "..." : "");
    if (shown == NULL) {
        faults_no_memory(faults);
        return "?";
    }
    return shown;
}

const char *node_shown(struct faults *faults, const struct node *node)
{
    if (node->origin != NULL)
        return node->origin;
    return text_shown(faults, node->raw != NULL ? node->raw : node->text);
}

/* ---- nodes ---- */

const struct node_item *node_find(const struct node *mapping, const char *key)
{
    if (mapping->kind != NODE_MAPPING)
        return NULL;
    for (const struct node_item *item = mapping->items; item != NULL; item = item->next) {
        if (strcmp(item->key, key) == 0)
            return item;
    }
    return NULL;
}

struct node *node_scalar(struct config_arena *arena, const char *text, struct place place)
{
    struct node *node = config_arena_take(arena, 1, sizeof(*node));
    if (node == NULL)
        return NULL;
    *node = (struct node){.kind = NODE_SCALAR, .place = place, .text = text, .raw = text, .weight = 1};
    return node;
}

/* YAML allows no tabs there, and says so in its own words. */
static bool line_starts_with_tab(const struct builder *builder, uint32_t line)
{
    const char *at = builder->text;
    const char *end = at + builder->length;
    for (; line > 1 && at != NULL && at < end; line--) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at == NULL ? NULL : at + 1;
    }
    while (at != NULL && at < end && *at == ' ')
        at++;
    return at != NULL && at < end && *at == '\t';
}

static bool next_event(struct builder *builder, yaml_event_t *event)
{
    if (builder->stopped)
        return false;
    if (yaml_parser_parse(&builder->parser, event))
        return true;
    const yaml_parser_t *parser = &builder->parser;
    if (parser->error == YAML_MEMORY_ERROR) {
        no_memory(builder);
        return false;
    }
    const char *problem = parser->problem != NULL ? parser->problem : "it cannot be read";
    struct place place = place_of(&parser->problem_mark);
    faults_leave(builder->faults, 0); /* the place says more than a half-read key */
    if (line_starts_with_tab(builder, place.line))
        stop(builder, place, "this line is indented with a tab; expected blanks");
    else if (parser->context != NULL && parser->context_mark.line + 1 != place.line)
        stop(builder, place, "this is no valid YAML: %s (%s that starts in line %zu)", problem, parser->context,
             parser->context_mark.line + 1);
    else
        stop(builder, place, "this is no valid YAML: %s", problem);
    return false;
}

static struct node *new_node(struct builder *builder, enum node_kind kind, struct place place)
{
    if (++builder->nodes > TREE_NODES) {
        stop(builder, place, "the file has more than %d values; expected a smaller file", TREE_NODES);
        return NULL;
    }
    struct node *node = config_arena_take(builder->arena, 1, sizeof(*node));
    if (node == NULL) {
        no_memory(builder);
        return NULL;
    }
    *node = (struct node){.kind = kind, .place = place, .weight = 1};
    return node;
}

/* ---- anchors and aliases ---- */

static struct anchor *remember_anchor(struct builder *builder, const yaml_char_t *name, struct place place)
{
    if (name == NULL)
        return NULL;
    if (++builder->anchor_count > TREE_ANCHORS) {
        stop(builder, place, "there are more than %d anchors; expected fewer", TREE_ANCHORS);
        return NULL;
    }
    struct anchor *anchor = config_arena_take(builder->arena, 1, sizeof(*anchor));
    const char *copy = config_arena_text(builder->arena, (const char *)name, strlen((const char *)name));
    if (anchor == NULL || copy == NULL) {
        no_memory(builder);
        return NULL;
    }
    *anchor = (struct anchor){.next = builder->anchors, .name = copy};
    builder->anchors = anchor;
    return anchor;
}

static const struct node *resolve_alias(struct builder *builder, const char *name, struct place place)
{
    const struct anchor *anchor = builder->anchors;
    while (anchor != NULL && strcmp(anchor->name, name) != 0)
        anchor = anchor->next;
    if (anchor == NULL) {
        stop(builder, place, "the alias *%s has no anchor &%s before it", name, name);
        return NULL;
    }
    if (anchor->node == NULL) {
        stop(builder, place,
             "the alias *%s stands inside its own anchor; expected a value that does not contain itself", name);
        return NULL;
    }
    builder->alias_nodes += anchor->node->weight;
    if (builder->alias_nodes > TREE_ALIAS_NODES) {
        stop(builder, place, "the aliases unfold into more than %d values; expected fewer or smaller aliases",
             TREE_ALIAS_NODES);
        return NULL;
    }
    return anchor->node;
}

/* ---- scalars ---- */

static bool is_null(const yaml_event_t *event)
{
    static const char *const names[] = {"", "~", "null", "Null", "NULL"};
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp((const char *)event->data.scalar.value, names[i]) == 0)
            return true;
    }
    return false;
}

static size_t variable_name_length(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
    return text[0] >= '0' && text[0] <= '9' ? 0 : len;
}

struct expansion {
    char text[TREE_SCALAR_BYTES + 1];
    size_t len;
    bool replaced; /* a variable was used */
};

static bool expansion_append(struct expansion *out, const char *text, size_t len)
{
    if (len > TREE_SCALAR_BYTES - out->len)
        return false;
    memcpy(out->text + out->len, text, len);
    out->len += len;
    out->text[out->len] = '\0';
    return true;
}

/* `at` stands behind "${". Returns what stands behind "}", or NULL after a fault. */
static const char *expand_variable(struct builder *builder, const char *at, struct place place, struct expansion *out)
{
    size_t len = variable_name_length(at);
    if (len == 0 || at[len] != '}') {
        faults_add(builder->faults, place,
                   "${ is not followed by a variable's name and }; expected ${NAME}, or $${ for "
                   "the characters themselves");
        return NULL;
    }
    char *name = config_arena_text(builder->arena, at, len);
    if (name == NULL) {
        no_memory(builder);
        return NULL;
    }
    const char *value = getenv(name);
    if (value == NULL) {
        faults_add(builder->faults, place,
                   "the environment variable %s is not set; expected it in the environment of "
                   "shunt",
                   text_shown(builder->faults, name));
        return NULL;
    }
    size_t value_len = strlen(value);
    const char *bad = bad_bytes(value, value_len);
    builder->variable_bytes += value_len;
    if (bad != NULL) {
        faults_add(builder->faults, place, "the environment variable %s holds %s; expected one line of text", name,
                   bad);
        return NULL;
    }
    if (builder->variable_bytes > TREE_VARIABLE_BYTES || !expansion_append(out, value, value_len)) {
        faults_add(builder->faults, place, "the value is too long with ${%s}; expected at most %d bytes", name,
                   TREE_SCALAR_BYTES);
        return NULL;
    }
    out->replaced = true;
    return at + len + 1;
}

/* "${NAME}" is the environment's, "$$" is "$", any other "$" is itself: JSON paths start with one. */
static bool expand(struct builder *builder, const char *text, struct place place, struct expansion *out)
{
    out->len = 0;
    out->replaced = false;
    out->text[0] = '\0';
    while (text != NULL && *text != '\0') {
        size_t plain = strcspn(text, "$");
        if (!expansion_append(out, text, plain))
            return false; /* cannot be: the raw text was measured */
        text += plain;
        if (text[0] == '$' && text[1] == '{') {
            text = expand_variable(builder, text + 2, place, out);
        } else if (text[0] == '$') {
            if (!expansion_append(out, "$", 1))
                return false;
            text += text[1] == '$' ? 2 : 1;
        }
    }
    return text != NULL;
}

static const struct node *build_scalar(struct builder *builder, const yaml_event_t *event)
{
    struct place place = place_of(&event->start_mark);
    const char *value = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    struct node *node = new_node(builder, NODE_SCALAR, place);
    if (node == NULL)
        return NULL;
    const char *bad = bad_bytes(value, len);
    if (bad != NULL || len > TREE_SCALAR_BYTES) {
        node->broken = true;
        if (bad != NULL)
            faults_add(builder->faults, place, "the value holds %s; expected one line of text", bad);
        else
            faults_add(builder->faults, place, "the value has %zu bytes; expected at most %d", len, TREE_SCALAR_BYTES);
        return node;
    }
    struct expansion expanded;
    node->empty = is_null(event);
    node->broken = !expand(builder, value, place, &expanded);
    node->raw = config_arena_text(builder->arena, value, len);
    node->text = config_arena_text(builder->arena, expanded.text, expanded.len);
    if (node->raw == NULL || node->text == NULL) {
        no_memory(builder);
        return NULL;
    }
    if (expanded.replaced)
        node->origin = config_yaml_quote(builder->arena, node->raw);
    if (expanded.replaced && node->origin == NULL) {
        no_memory(builder);
        return NULL;
    }
    return node;
}

/* ---- lists and mappings ---- */

static const struct node *build_node(struct builder *builder, const yaml_event_t *event);

static struct node_item *append_item(struct builder *builder, struct node *node, struct node_item *last)
{
    struct node_item *item = config_arena_take(builder->arena, 1, sizeof(*item));
    if (item == NULL) {
        no_memory(builder);
        return NULL;
    }
    if (last == NULL)
        node->items = item;
    else
        last->next = item;
    node->count++;
    return item;
}

static void build_list(struct builder *builder, struct node *node)
{
    struct node_item *last = NULL;
    yaml_event_t event;
    while (next_event(builder, &event)) {
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return;
        }
        size_t mark = faults_enter_item(builder->faults, node->count);
        const struct node *value = build_node(builder, &event);
        yaml_event_delete(&event);
        faults_leave(builder->faults, mark);
        if (value == NULL)
            return;
        last = append_item(builder, node, last);
        if (last == NULL)
            return;
        last->value = value;
        node->weight += value->weight;
    }
}

/* Whether the event is a key that can be kept; a fault is told otherwise and *skip says that its value follows. */
static bool check_key(struct builder *builder, const struct node *mapping, const yaml_event_t *event, bool *skip)
{
    struct place place = place_of(&event->start_mark);
    *skip = false;
    if (event->type != YAML_SCALAR_EVENT) {
        stop(builder, place, "this key is no plain name; expected NAME: VALUE");
        return false;
    }
    const char *key = (const char *)event->data.scalar.value;
    const struct node_item *before = NULL;
    *skip = true;
    const char *bad = bad_bytes(key, event->data.scalar.length);
    if (bad != NULL)
        faults_add(builder->faults, place, "the key %s holds %s; expected a plain name",
                   text_shown(builder->faults, key), bad);
    else if (strcmp(key, "<<") == 0 && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        faults_add(builder->faults, place,
                   "the merge key << is not supported; expected every key written out, or an "
                   "alias for a whole value");
    else if ((before = node_find(mapping, key)) != NULL)
        faults_add(builder->faults, place,
                   "the key %s stands here a second time; expected it once, as in line %" PRIu32,
                   text_shown(builder->faults, key), before->key_place.line);
    else if (mapping->count >= TREE_MAPPING_KEYS)
        stop(builder, place, "the mapping has more than %d keys; expected fewer", TREE_MAPPING_KEYS);
    else
        *skip = false;
    return !*skip && !builder->stopped;
}

/* The value of the pair whose key was just read. */
static const struct node *build_value(struct builder *builder, const char *key)
{
    yaml_event_t event;
    if (!next_event(builder, &event))
        return NULL;
    size_t mark = faults_enter_key(builder->faults, key);
    const struct node *value = build_node(builder, &event);
    yaml_event_delete(&event);
    faults_leave(builder->faults, mark);
    return value;
}

/* One pair; false when no more can be read. */
static bool build_pair(struct builder *builder, struct node *node, const yaml_event_t *event, struct node_item **last)
{
    bool skip;
    bool keep = check_key(builder, node, event, &skip);
    if (!keep && !skip)
        return false;
    const char *key =
        config_arena_text(builder->arena, (const char *)event->data.scalar.value, event->data.scalar.length);
    if (key == NULL) {
        no_memory(builder);
        return false;
    }
    const struct node *value = build_value(builder, key);
    if (value == NULL || !keep)
        return value != NULL;
    struct node_item *item = append_item(builder, node, *last);
    if (item == NULL)
        return false;
    item->key = key;
    item->key_place = place_of(&event->start_mark);
    item->value = value;
    node->weight += value->weight;
    *last = item;
    return true;
}

static void build_mapping(struct builder *builder, struct node *node)
{
    struct node_item *last = NULL;
    yaml_event_t event;
    while (next_event(builder, &event)) {
        bool end = event.type == YAML_MAPPING_END_EVENT;
        bool more = !end && build_pair(builder, node, &event, &last);
        yaml_event_delete(&event);
        if (!more)
            return;
    }
}

static const struct node *build_collection(struct builder *builder, enum node_kind kind, struct place place)
{
    struct node *node = new_node(builder, kind, place);
    if (node == NULL)
        return NULL;
    if (builder->depth == TREE_DEPTH) {
        stop(builder, place, "lists and mappings are nested deeper than %d; expected a flatter file", TREE_DEPTH);
        return NULL;
    }
    builder->depth++;
    if (kind == NODE_LIST)
        build_list(builder, node);
    else
        build_mapping(builder, node);
    builder->depth--;
    return builder->stopped ? NULL : node;
}

struct event_parts {
    const yaml_char_t *anchor;
    const yaml_char_t *tag;
};

static struct event_parts parts_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return (struct event_parts){event->data.scalar.anchor, event->data.scalar.tag};
    case YAML_SEQUENCE_START_EVENT:
        return (struct event_parts){event->data.sequence_start.anchor, event->data.sequence_start.tag};
    case YAML_MAPPING_START_EVENT:
        return (struct event_parts){event->data.mapping_start.anchor, event->data.mapping_start.tag};
    default:
        return (struct event_parts){NULL, NULL};
    }
}

static const struct node *build_node(struct builder *builder, const yaml_event_t *event)
{
    struct place place = place_of(&event->start_mark);
    if (event->type == YAML_ALIAS_EVENT)
        return resolve_alias(builder, (const char *)event->data.alias.anchor, place);
    struct event_parts parts = parts_of(event);
    if (parts.tag != NULL)
        faults_add(builder->faults, place, "the tag %s has no meaning here; expected a value without one",
                   text_shown(builder->faults, (const char *)parts.tag));
    struct anchor *anchor = remember_anchor(builder, parts.anchor, place);
    const struct node *node = NULL;
    if (builder->stopped)
        return NULL;
    if (event->type == YAML_SCALAR_EVENT)
        node = build_scalar(builder, event);
    else
        node = build_collection(builder, event->type == YAML_SEQUENCE_START_EVENT ? NODE_LIST : NODE_MAPPING, place);
    if (anchor != NULL)
        anchor->node = node;
    return node;
}

/* ---- the document ---- */

/* libyaml's own reader knows only an offset, a person wants a line. */
static bool check_bytes(const char *text, size_t length, struct faults *faults)
{
    const unsigned char *at = (const unsigned char *)text;
    struct place place = {1, 1};
    size_t i = 0;
    while (i < length) {
        uint32_t code = 0;
        size_t len = utf8_sequence(at + i, length - i, &code);
        if (len == 0) {
            faults_add(faults, place, "the byte 0x%02x is not UTF-8; expected a file in UTF-8", at[i]);
            return false;
        }
        if (!is_yaml_character(code)) {
            faults_add(faults, place, "the file holds the control character 0x%02" PRIx32 "; expected text", code);
            return false;
        }
        place.column++;
        if (code == '\n')
            place = (struct place){place.line + 1, 1};
        i += len;
    }
    return true;
}

/* ---- the document ---- */

static const struct node *build_document(struct builder *builder)
{
    const struct node *root = NULL;
    yaml_event_t event;
    while (next_event(builder, &event)) {
        struct place place = place_of(&event.start_mark);
        yaml_event_type_t type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && root != NULL)
            stop(builder, place, "a second document starts here; expected one document in the file");
        else if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT ||
                 type == YAML_ALIAS_EVENT)
            root = build_node(builder, &event);
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT)
            break;
    }
    return root;
}

const struct node *tree_build(const char *text, size_t length, struct faults *faults)
{
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark says nothing in UTF-8 */
        text += 3;
        length -= 3;
    }
    struct builder builder = {.faults = faults, .arena = faults->arena, .text = text, .length = length};
    if (!check_bytes(text, length, faults))
        return NULL;
    if (!yaml_parser_initialize(&builder.parser)) {
        faults_no_memory(faults);
        return NULL;
    }
    yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&builder.parser, (const unsigned char *)text, length);
    const struct node *root = build_document(&builder);
    yaml_parser_delete(&builder.parser);
    faults_leave(faults, 0);
    if (root == NULL && !faults_any(faults))
        faults_add(faults, (struct place){1, 1}, "the file is empty; expected at least listeners and backends");
    return faults->no_memory ? NULL : root;
}
