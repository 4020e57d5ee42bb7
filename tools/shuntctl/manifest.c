/*
 * Manifests: libyaml's events into nodes that know their bytes.
 *
 * Called by `shuntctl inject`, for the user's manifests and for shunt's own file. libyaml tells places by character;
 * here they are bytes. What it cannot tell (where a block ends, where an empty value stands, where an item's dash is)
 * is found in the text. JSON objects that follow each other without "---" are read one by one. Recursion is bounded by
 * MANIFEST_DEPTH. All memory is the arena's.
 */
#include "tools/shuntctl/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <yaml.h>

enum {
    CHARACTERS = 256 /* between two remembered places */
};

struct anchor {
    struct anchor *next;
    const char *name;
    struct manifest_node *node;
    bool open; /* still being read */
};

struct reader {
    struct manifest *manifest;
    yaml_parser_t parser;
    size_t base;    /* of the piece that is read */
    size_t length;  /* of it */
    size_t *places; /* byte of each CHARACTERS'th character of the piece */
    size_t place_count;
    struct anchor *anchors; /* of the document */
    unsigned depth;
    bool seen_map, seen_list; /* a first one */
    bool stopped;
};

static void no_memory(struct reader *reader)
{
    reader->stopped = true;
    reader->manifest->faults->no_memory = true;
}

/* ---- places ---- */

/* libyaml counts characters, and its reader has seen that they are UTF-8 before it tells of one. */
static bool remember_places(struct reader *reader)
{
    const char *text = reader->manifest->text + reader->base;
    size_t count = 0;
    reader->places =
        config_arena_take(reader->manifest->faults->arena, reader->length / CHARACTERS + 2, sizeof(size_t));
    if (reader->places == NULL) {
        no_memory(reader);
        return false;
    }
    for (size_t i = 0; i < reader->length; i++) {
        if (((unsigned char)text[i] & 0xc0) == 0x80)
            continue;
        if (count++ % CHARACTERS == 0)
            reader->places[reader->place_count++] = i;
    }
    return true;
}

static size_t place_of(const struct reader *reader, const yaml_mark_t *mark)
{
    size_t row = mark->index / CHARACTERS, left = mark->index % CHARACTERS;
    const char *text = reader->manifest->text + reader->base;
    if (row >= reader->place_count)
        return reader->base + reader->length;
    size_t at = reader->places[row];
    for (; left > 0 && at < reader->length; left--)
        do
            at++;
        while (at < reader->length && ((unsigned char)text[at] & 0xc0) == 0x80);
    return reader->base + at;
}

/* ---- events ---- */

static bool next_event(struct reader *reader, yaml_event_t *event)
{
    const yaml_parser_t *parser = &reader->parser;
    if (reader->stopped)
        return false;
    if (yaml_parser_parse(&reader->parser, event))
        return true;
    if (parser->error == YAML_MEMORY_ERROR) {
        no_memory(reader);
        return false;
    }
    size_t at = parser->error == YAML_READER_ERROR ? reader->base + parser->problem_offset
                                                   : place_of(reader, &parser->problem_mark);
    const char *problem = parser->problem != NULL ? parser->problem : "it cannot be read";
    if (at > reader->base + reader->length)
        at = reader->base + reader->length;
    if (parser->context != NULL && parser->error != YAML_READER_ERROR)
        manifest_fault(reader->manifest, at, "this is no valid YAML: %s (%s that starts in line %zu); correct it first",
                       problem, parser->context,
                       manifest_line(reader->manifest, place_of(reader, &parser->context_mark)));
    else
        manifest_fault(reader->manifest, at, "this is no valid YAML: %s; correct it first", problem);
    reader->stopped = true;
    return false;
}

static struct manifest_node *new_node(struct reader *reader, enum manifest_kind kind, const yaml_event_t *event)
{
    struct manifest_node *node = config_arena_take(reader->manifest->faults->arena, 1, sizeof(*node));
    if (node == NULL) {
        no_memory(reader);
        return NULL;
    }
    node->kind = kind;
    node->start = place_of(reader, &event->start_mark);
    node->end = place_of(reader, &event->end_mark);
    return node;
}

static void remember_tag(struct reader *reader, struct manifest_node *node, const yaml_char_t *tag)
{
    if (tag == NULL || node == NULL)
        return;
    node->tag = config_arena_text(reader->manifest->faults->arena, (const char *)tag, strlen((const char *)tag));
    if (node->tag == NULL)
        no_memory(reader);
}

static struct anchor *remember_anchor(struct reader *reader, struct manifest_node *node, const yaml_char_t *name)
{
    struct config_arena *arena = reader->manifest->faults->arena;
    if (name == NULL || node == NULL)
        return NULL;
    struct anchor *anchor = config_arena_take(arena, 1, sizeof(*anchor));
    const char *copy = config_arena_text(arena, (const char *)name, strlen((const char *)name));
    if (anchor == NULL || copy == NULL) {
        no_memory(reader);
        return NULL;
    }
    *anchor = (struct anchor){.next = reader->anchors, .name = copy, .node = node};
    reader->anchors = anchor;
    return anchor;
}

static struct manifest_node *read_alias(struct reader *reader, const yaml_event_t *event)
{
    struct manifest_node *node = new_node(reader, MANIFEST_ALIAS, event);
    const char *name = (const char *)event->data.alias.anchor;
    const struct anchor *anchor = reader->anchors;
    while (anchor != NULL && strcmp(anchor->name, name) != 0)
        anchor = anchor->next;
    if (node == NULL)
        return NULL;
    if (anchor == NULL || anchor->open) {
        manifest_fault(reader->manifest, node->start,
                       anchor == NULL ? "the alias *%s has no anchor &%s before it; correct it first"
                                      : "the alias *%s stands inside its own anchor &%s; correct it first",
                       name, name);
        reader->stopped = true;
        return NULL;
    }
    node->target = anchor->node;
    node->target->aliases++;
    return node;
}

static struct manifest_node *read_scalar(struct reader *reader, const yaml_event_t *event)
{
    struct manifest_node *node = new_node(reader, MANIFEST_SCALAR, event);
    yaml_scalar_style_t style = event->data.scalar.style;
    if (node == NULL)
        return NULL;
    node->plain = style == YAML_PLAIN_SCALAR_STYLE;
    node->literal = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
    node->length = event->data.scalar.length;
    node->text =
        config_arena_text(reader->manifest->faults->arena, (const char *)event->data.scalar.value, node->length);
    if (node->text == NULL)
        no_memory(reader);
    remember_anchor(reader, node, event->data.scalar.anchor);
    remember_tag(reader, node, event->data.scalar.tag);
    const struct manifest *manifest = reader->manifest;
    if (node->literal && node->end == manifest->length &&
        (node->end == manifest->begin || manifest_break_before(manifest, node->end) == 0))
        reader->manifest->unended = true;
    return node->text == NULL ? NULL : node;
}

static struct manifest_node *read_node(struct reader *reader, yaml_event_t *event);

/* An empty value is told to be where the next token is: here it stands behind the colon, else behind its key. */
static void place_value(const struct manifest *manifest, struct manifest_node *key, struct manifest_node *value)
{
    size_t at = key->end;
    if (value->kind != MANIFEST_SCALAR || !value->plain || value->start != value->end)
        return;
    while (at < manifest->length && strchr(" \t\r\n", manifest->text[at]) != NULL && manifest->text[at] != '\0')
        at++;
    value->colon = at < manifest->length && manifest->text[at] == ':';
    value->start = value->end = value->colon ? at + 1 : key->end;
}

/* The dash of the item that begins behind `at`: behind blanks and comments, and, of the first, anchor and tag. */
static size_t find_dash(const struct manifest *manifest, size_t at, size_t before)
{
    const char *text = manifest->text;
    while (at < before && text[at] != '-') {
        if (text[at] == '#')
            while (at < before && manifest_break(text, manifest->length, at) == 0)
                at++;
        else if (text[at] == '&' || text[at] == '!')
            while (at < before && strchr(" \t\r\n", text[at]) == NULL)
                at++;
        else
            at++;
    }
    return at;
}

static void append(struct manifest_node *parent, struct manifest_node *node)
{
    node->parent = parent;
    if (parent->last != NULL)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
}

/* The first map and the first list below a key say how blocks are written here. */
static void note_style(struct reader *reader, const struct manifest_node *key, const struct manifest_node *value)
{
    struct manifest *manifest = reader->manifest;
    bool is_list = value->kind == MANIFEST_LIST;
    if (value->flow || value->first == NULL || (is_list ? reader->seen_list : reader->seen_map))
        return;
    unsigned left = manifest_column(manifest, key->start);
    unsigned right = manifest_column(manifest, is_list ? value->first->dash : value->first->start);
    unsigned step = right > left ? right - left : 0;
    if (is_list)
        manifest->list_step = step <= 8 ? step : 2;
    else
        manifest->step = step >= 1 && step <= 8 ? step : 2;
    *(is_list ? &reader->seen_list : &reader->seen_map) = true;
}

static bool read_pair(struct reader *reader, struct manifest_node *map, yaml_event_t *event)
{
    yaml_event_t event_of_value;
    struct manifest_node *key = read_node(reader, event), *value = NULL;
    if (key == NULL || !next_event(reader, &event_of_value))
        return false;
    value = read_node(reader, &event_of_value);
    yaml_event_delete(&event_of_value);
    if (value == NULL)
        return false;
    append(map, key);
    key->value = value;
    value->key = key;
    value->parent = map;
    place_value(reader->manifest, key, value);
    note_style(reader, key, value);
    if (!map->flow)
        map->end = value->end > key->end ? value->end : key->end;
    return true;
}

static bool read_item(struct reader *reader, struct manifest_node *list, yaml_event_t *event)
{
    size_t behind = list->last != NULL ? list->last->end : list->start;
    struct manifest_node *item = read_node(reader, event);
    if (item == NULL)
        return false;
    append(list, item);
    if (!list->flow) {
        item->dash = find_dash(reader->manifest, behind, item->start);
        list->end = item->end;
    }
    return true;
}

static struct manifest_node *read_collection(struct reader *reader, const yaml_event_t *event)
{
    bool is_map = event->type == YAML_MAPPING_START_EVENT;
    yaml_event_type_t over = is_map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    struct manifest_node *node = new_node(reader, is_map ? MANIFEST_MAP : MANIFEST_LIST, event);
    struct anchor *anchor =
        remember_anchor(reader, node, is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor);
    yaml_event_t inner;
    remember_tag(reader, node, is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag);
    if (node == NULL || ++reader->depth > MANIFEST_DEPTH) {
        if (node != NULL)
            manifest_fault(reader->manifest, node->start, "this is nested deeper than %d levels; expected a manifest",
                           MANIFEST_DEPTH);
        reader->stopped = true;
        return NULL;
    }
    node->flow = is_map ? event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE
                        : event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    if (anchor != NULL)
        anchor->open = true;
    while (next_event(reader, &inner)) {
        bool ended = inner.type == over;
        if (ended && node->flow)
            node->end = place_of(reader, &inner.end_mark);
        bool good = ended || (is_map ? read_pair(reader, node, &inner) : read_item(reader, node, &inner));
        yaml_event_delete(&inner);
        if (ended || !good)
            break;
    }
    if (anchor != NULL)
        anchor->open = false;
    reader->depth--;
    return reader->stopped ? NULL : node;
}

static struct manifest_node *read_node(struct reader *reader, yaml_event_t *event)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return read_alias(reader, event);
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, event);
    default:
        return read_collection(reader, event);
    }
}

/* ---- documents ---- */

static struct manifest_document *new_document(struct reader *reader, const yaml_event_t *event)
{
    struct manifest *manifest = reader->manifest;
    struct manifest_document **last = &manifest->documents;
    struct manifest_document *document = config_arena_take(manifest->faults->arena, 1, sizeof(*document));
    if (document == NULL) {
        no_memory(reader);
        return NULL;
    }
    document->opened = !event->data.document_start.implicit;
    document->directed =
        event->data.document_start.version_directive != NULL ||
        event->data.document_start.tag_directives.start != event->data.document_start.tag_directives.end;
    document->start = manifest_line_start(manifest, place_of(reader, &event->start_mark));
    while (*last != NULL)
        last = &(*last)->next;
    *last = document;
    reader->anchors = NULL;
    return document;
}

static void read_documents(struct reader *reader)
{
    yaml_event_t event;
    struct manifest_document *document = NULL;
    while (next_event(reader, &event)) {
        yaml_event_type_t type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT)
            document = new_document(reader, &event);
        else if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT && type != YAML_DOCUMENT_END_EVENT &&
                 document != NULL)
            document->root = read_node(reader, &event);
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT)
            break;
    }
}

static bool read_piece(struct manifest *manifest, size_t start, size_t end)
{
    struct reader reader = {.manifest = manifest, .base = start, .length = end - start};
    if (!remember_places(&reader))
        return false;
    if (!yaml_parser_initialize(&reader.parser)) {
        no_memory(&reader);
        return false;
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)manifest->text + start, end - start);
    read_documents(&reader);
    yaml_parser_delete(&reader.parser);
    return !reader.stopped;
}

static size_t skip_blanks(const struct manifest *manifest, size_t at)
{
    while (at < manifest->length && manifest->text[at] != '\0' && strchr(" \t\r\n", manifest->text[at]) != NULL)
        at++;
    return at;
}

/* Behind the JSON object that begins at `at`; `at` where there is none. */
static size_t behind_object(const struct manifest *manifest, size_t at)
{
    size_t depth = 0;
    bool quoted = false;
    if (at >= manifest->length || manifest->text[at] != '{')
        return at;
    for (size_t i = at; i < manifest->length; i++) {
        char c = manifest->text[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']') && --depth == 0)
            return i + 1;
    }
    return at;
}

static bool is_json_object(const char *text, size_t length)
{
    json_t *object = json_loadb(text, length, JSON_ALLOW_NUL, NULL);
    bool is_one = json_is_object(object);
    json_decref(object);
    return is_one;
}

/* Only objects, as kubectl and jq write them? Braces of YAML look like some, and want "---" between them. */
static bool is_json(const struct manifest *manifest)
{
    size_t at = skip_blanks(manifest, manifest->begin);
    if (at >= manifest->length)
        return false;
    while (at < manifest->length) {
        size_t behind = behind_object(manifest, at);
        if (behind == at || !is_json_object(manifest->text + at, behind - at))
            return false;
        at = skip_blanks(manifest, behind);
    }
    return true;
}

static bool read_pieces(struct manifest *manifest)
{
    if (!manifest->json)
        return read_piece(manifest, manifest->begin, manifest->length);
    for (size_t at = skip_blanks(manifest, manifest->begin); at < manifest->length;) {
        size_t behind = skip_blanks(manifest, behind_object(manifest, at));
        if (!read_piece(manifest, at, behind))
            return false;
        at = behind;
    }
    return true;
}

static const char *newline_of(const struct manifest *manifest)
{
    const char *first = memchr(manifest->text, '\n', manifest->length);
    return first != NULL && first > manifest->text && first[-1] == '\r' ? "\r\n" : "\n";
}

bool manifest_parse(struct manifest *manifest, const char *name, const char *text, size_t length,
                    struct manifest_faults *faults)
{
    *manifest = (struct manifest){.name = name, .text = text, .length = length, .faults = faults};
    manifest->begin = length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    manifest->newline = newline_of(manifest);
    manifest->step = manifest->list_step = 2;
    if (length > MANIFEST_BYTES) {
        manifest_fault(manifest, 0, "the file is larger than %d MiB; expected manifests", MANIFEST_BYTES >> 20);
        return false;
    }
    manifest->json = is_json(manifest);
    return read_pieces(manifest);
}
