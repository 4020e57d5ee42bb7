/*
 * XML: see xml_tree.h.
 *
 * libxml2 reads, in SAX mode: its tree would take a hundred bytes for each element of a document made to be large, and
 * expands entities where one does not look. Here an entity of the document's own ends the reading (a handful of lines
 * can stand for gigabytes, and an external one for any file or address); what such a document says is then compared as
 * text. Two things that cost libxml2 quadratic time, attributes of one element and namespaces around one place, are
 * bounded: attributes before libxml2 sees them, by counting quoted values in a tag. For that the text must be of an
 * encoding in which an ASCII byte means its ASCII character. Runs on the compare thread.
 */
#include "shadow/xml_tree.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <libxml/xmlerror.h>

#include "shadow/xml_library.h"

enum {
    CHUNK_FIRST = 1024,
};

static const char *const fault_names[XML_FAULTS] = {
    [XML_FAULT_NONE] = "none",
    [XML_FAULT_EMPTY] = "empty",
    [XML_FAULT_SYNTAX] = "syntax",
    [XML_FAULT_TAGS] = "tags do not match",
    [XML_FAULT_ENDS_EARLY] = "ends early",
    [XML_FAULT_AFTER_END] = "something after the end",
    [XML_FAULT_CHARACTER] = "invalid character",
    [XML_FAULT_ATTRIBUTE] = "bad attribute",
    [XML_FAULT_ENTITY] = "unknown entity",
    [XML_FAULT_EXPANSION] = "an entity that is not expanded",
    [XML_FAULT_ENCODING] = "an encoding that is not read",
    [XML_FAULT_DEPTH] = "nested too deeply",
    [XML_FAULT_SIZE] = "too large",
    [XML_FAULT_MEMORY] = "no memory",
    [XML_FAULT_LIBRARY] = "libxml2 cannot be loaded",
};

/* libxml2's errors that have a name of their own here; all others are "syntax". */
static const struct {
    int code; /* xmlParserErrors */
    enum xml_fault fault;
} faults_by_code[] = {
    {XML_ERR_NO_MEMORY, XML_FAULT_MEMORY},
    {XML_ERR_DOCUMENT_END, XML_FAULT_AFTER_END},
    {XML_ERR_TAG_NAME_MISMATCH, XML_FAULT_TAGS},
    {XML_ERR_TAG_NOT_FINISHED, XML_FAULT_ENDS_EARLY},
    {XML_ERR_CDATA_NOT_FINISHED, XML_FAULT_ENDS_EARLY},
    {XML_ERR_COMMENT_NOT_FINISHED, XML_FAULT_ENDS_EARLY},
    {XML_ERR_PI_NOT_FINISHED, XML_FAULT_ENDS_EARLY},
    {XML_ERR_INVALID_CHAR, XML_FAULT_CHARACTER},
    {XML_ERR_INVALID_CHARREF, XML_FAULT_CHARACTER},
    {XML_ERR_INVALID_ENCODING, XML_FAULT_CHARACTER},
    {XML_I18N_CONV_FAILED, XML_FAULT_CHARACTER},
    {XML_ERR_UNSUPPORTED_ENCODING, XML_FAULT_ENCODING},
    {XML_ERR_UNKNOWN_ENCODING, XML_FAULT_ENCODING},
    {XML_ERR_ATTRIBUTE_REDEFINED, XML_FAULT_ATTRIBUTE},
    {XML_ERR_ATTRIBUTE_NOT_STARTED, XML_FAULT_ATTRIBUTE},
    {XML_ERR_ATTRIBUTE_WITHOUT_VALUE, XML_FAULT_ATTRIBUTE},
    {XML_ERR_UNDECLARED_ENTITY, XML_FAULT_ENTITY},
    {XML_ERR_ENTITY_LOOP, XML_FAULT_EXPANSION},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

const char *xml_fault_name(enum xml_fault fault)
{
    return (unsigned)fault < XML_FAULTS ? fault_names[fault] : "unknown";
}

/* ---- before libxml2 sees it ---- */

/* Encodings in which the bytes of ASCII mean nothing else; all others are left alone. */
static bool is_read(struct span encoding)
{
    static const char *const names[] = {"utf-8", "utf8", "us-ascii", "ascii"};
    static const char *const families[] = {"iso-8859-", "windows-125"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (strlen(names[i]) == encoding.len && strncasecmp(names[i], encoding.at, encoding.len) == 0)
            return true;
    for (size_t i = 0; i < COUNT(families); i++)
        if (encoding.len > strlen(families[i]) && strncasecmp(families[i], encoding.at, strlen(families[i])) == 0)
            return true;
    return false;
}

/* The value of `encoding` in the XML declaration; "utf-8" where there is none. */
static struct span declared_encoding(struct span text)
{
    static const char word[] = "encoding";
    struct span utf8 = {"utf-8", 5};
    const char *end = text.len < 5 || memcmp(text.at, "<?xml", 5) != 0 ? NULL : memmem(text.at, text.len, "?>", 2);
    const char *at = end == NULL ? NULL : memmem(text.at, (size_t)(end - text.at), word, sizeof(word) - 1);
    if (at == NULL)
        return utf8;
    while (at < end && *at != '"' && *at != '\'')
        at++;
    const char *close = at == end ? NULL : memchr(at + 1, *at, (size_t)(end - at - 1));
    return close == NULL ? utf8 : (struct span){at + 1, (size_t)(close - at - 1)};
}

/* A text of UTF-16 or UTF-32 has a byte order mark or a NUL among its first bytes; EBCDIC has no '<'. */
static bool is_of_ascii_bytes(struct span text)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (text.len >= 3 && memcmp(text.at, mark, 3) == 0)
        text = (struct span){text.at + 3, text.len - 3};
    if (memchr(text.at, '\0', text.len < 4 ? text.len : 4) != NULL)
        return false;
    unsigned char first = text.len == 0 ? '<' : (unsigned char)text.at[0];
    return first < 0x80 && first != 0x4c && is_read(declared_encoding(text));
}

/* What stands between `<` and what closes it, where it is not a tag. */
static const struct {
    const char *open, *close;
} passages[] = {{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}};

/* The end of the comment, CDATA or instruction that begins at `at`; NULL when none does. */
static const char *skip_passage(const char *at, const char *end)
{
    for (size_t i = 0; i < COUNT(passages); i++) {
        size_t len = strlen(passages[i].open);
        if ((size_t)(end - at) < len || memcmp(at, passages[i].open, len) != 0)
            continue;
        const char *close = memmem(at + len, (size_t)(end - at) - len, passages[i].close, strlen(passages[i].close));
        return close == NULL ? end : close + strlen(passages[i].close);
    }
    return NULL;
}

/* Behind a tag (or a declaration); *values are the quoted ones in it. */
static const char *skip_tag(const char *at, const char *end, uint32_t *values)
{
    *values = 0;
    for (at++; at < end && *at != '>' && *at != '<'; at++) {
        if (*at != '"' && *at != '\'')
            continue;
        const char *close = memchr(at + 1, *at, (size_t)(end - at - 1));
        if (close == NULL)
            return end;
        at = close;
        ++*values;
    }
    return at;
}

static bool has_too_many_attributes(struct span text)
{
    const char *at = text.at, *end = text.at + text.len;
    while (at < end && (at = memchr(at, '<', (size_t)(end - at))) != NULL) {
        const char *behind = skip_passage(at, end);
        uint32_t values = 0;
        at = behind != NULL ? behind : skip_tag(at, end, &values);
        if (values > XML_ATTRIBUTES)
            return true;
    }
    return false;
}

/* ---- what libxml2 reports ---- */

struct reader {
    xmlParserCtxtPtr parser;
    struct tree *tree;
    struct xml_result result;
    char *chunk; /* owned: the text since the last tag */
    size_t chunk_len, chunk_room;
    uint32_t namespaces;               /* declared around this place */
    uint16_t declared[TREE_DEPTH + 1]; /* by each open element */
    uint32_t depth;
    bool whitespace;
};

static void stop(struct reader *r, enum xml_fault fault)
{
    if (r->result.fault == XML_FAULT_NONE)
        r->result = (struct xml_result){fault, (uint32_t)libxml.line_number(r->parser)};
    libxml.stop_parser(r->parser);
}

static void stop_if_tree_is_full(struct reader *r)
{
    static const enum xml_fault faults[JSON_FAULTS] = {[JSON_FAULT_DEPTH] = XML_FAULT_DEPTH,
                                                       [JSON_FAULT_SIZE] = XML_FAULT_SIZE,
                                                       [JSON_FAULT_MEMORY] = XML_FAULT_MEMORY};
    if (r->tree->fault != JSON_FAULT_NONE)
        stop(r, faults[r->tree->fault]);
}

static struct span span_of(const xmlChar *text)
{
    return text == NULL ? (struct span){"", 0} : (struct span){(const char *)text, strlen((const char *)text)};
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct span trim(struct span text)
{
    while (text.len > 0 && is_space(text.at[0]))
        text = (struct span){text.at + 1, text.len - 1};
    while (text.len > 0 && is_space(text.at[text.len - 1]))
        text.len--;
    return text;
}

/* The text before a tag is complete. */
static void finish_chunk(struct reader *r)
{
    static const struct span name = {"#text", 5};
    struct span text = {r->chunk_len == 0 ? "" : r->chunk, r->chunk_len};
    r->chunk_len = 0;
    if (!r->whitespace)
        text = trim(text);
    if (text.len > 0)
        tree_add(r->tree, TREE_TEXT, name, name, (struct span){"", 0}, text);
}

static bool chunk_room(struct reader *r, size_t more)
{
    if (more <= r->chunk_room - r->chunk_len)
        return true;
    size_t room = r->chunk_room * 2 + more + CHUNK_FIRST;
    char *grown = realloc(r->chunk, room);
    if (grown == NULL) {
        stop(r, XML_FAULT_MEMORY);
        return false;
    }
    r->chunk = grown;
    r->chunk_room = room;
    return true;
}

static void add_to_chunk(struct reader *r, const char *at, size_t len)
{
    if (len == 0 || !chunk_room(r, len))
        return;
    memcpy(r->chunk + r->chunk_len, at, len);
    r->chunk_len += len;
}

/* "@" or nothing, the prefix and a colon or nothing, the local name; in the chunk, until the next use of it. */
static struct span written_name(struct reader *r, const char *mark, const xmlChar *prefix, struct span local)
{
    struct span before = span_of(prefix);
    r->chunk_len = 0;
    add_to_chunk(r, mark, strlen(mark));
    add_to_chunk(r, before.at, before.len);
    add_to_chunk(r, ":", before.len == 0 ? 0 : 1);
    add_to_chunk(r, local.at, local.len);
    struct span name = {r->chunk_len == 0 ? "" : r->chunk, r->chunk_len};
    r->chunk_len = 0;
    return name;
}

/* A prefix that was never declared is part of the name (Namespaces in XML calls it an error, XML does not). */
static struct span local_part(struct span written, struct span local, const xmlChar *prefix, const xmlChar *uri)
{
    if (prefix != NULL && uri == NULL)
        return written;
    return (struct span){written.at + written.len - local.len, local.len};
}

/* libxml2 hands an "&" in an attribute on as "&#38;" where entities are not expanded. */
static size_t undo_ampersands(char *text, size_t len)
{
    size_t to = 0;
    for (size_t i = 0; i < len; to++) {
        text[to] = text[i];
        i += text[i] == '&' && len - i >= 5 && memcmp(text + i, "&#38;", 5) == 0 ? 5 : 1;
    }
    return to;
}

/* Five pointers stand for one attribute: local name, prefix, URI, value, end of value. */
static void add_attribute(struct reader *r, const xmlChar **attribute)
{
    struct span local = span_of(attribute[0]);
    size_t len = (size_t)(attribute[4] - attribute[3]);
    char *value = malloc(len + 1);
    if (value == NULL) {
        stop(r, XML_FAULT_MEMORY);
        return;
    }
    memcpy(value, attribute[3], len);
    len = undo_ampersands(value, len);
    struct span name = written_name(r, "@", attribute[1], local);
    if (r->result.fault == XML_FAULT_NONE)
        tree_add(r->tree, TREE_ATTRIBUTE, name, local_part(name, local, attribute[1], attribute[2]),
                 span_of(attribute[2]), (struct span){value, len});
    free(value);
}

static void on_start(void *context, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri, int namespaces,
                     const xmlChar **declared, int attributes, int defaulted, const xmlChar **attribute)
{
    struct reader *r = context;
    (void)declared;
    finish_chunk(r);
    r->namespaces += (uint32_t)namespaces;
    if (r->namespaces > XML_NAMESPACES || attributes > XML_ATTRIBUTES) {
        stop(r, XML_FAULT_SIZE);
        return;
    }
    if (r->depth == TREE_DEPTH) {
        stop(r, XML_FAULT_DEPTH);
        return;
    }
    r->declared[r->depth++] = (uint16_t)namespaces;
    struct span name = written_name(r, "", prefix, span_of(local));
    if (r->result.fault == XML_FAULT_NONE)
        tree_open(r->tree, name, local_part(name, span_of(local), prefix, uri), span_of(uri));
    for (int i = 0; i < attributes - defaulted && r->result.fault == XML_FAULT_NONE; i++)
        add_attribute(r, attribute + (size_t)i * 5);
    stop_if_tree_is_full(r);
}

static void on_end(void *context, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri)
{
    struct reader *r = context;
    (void)local;
    (void)prefix;
    (void)uri;
    if (r->result.fault != XML_FAULT_NONE)
        return;
    finish_chunk(r);
    tree_close(r->tree);
    r->namespaces -= r->declared[--r->depth];
    stop_if_tree_is_full(r);
}

static void on_characters(void *context, const xmlChar *text, int len)
{
    add_to_chunk(context, (const char *)text, (size_t)len);
}

static bool has_document_type(const struct reader *r)
{
    return r->parser->intSubName != NULL;
}

/* Asked for an entity that is not one of the five every document has. Within the document type libxml2 asks for each
 * one that is declared, too; to that, and to what is used there, the answer is that there is none. */
static xmlEntityPtr on_entity(void *context, const xmlChar *name)
{
    struct reader *r = context;
    (void)name;
    if (r->parser->inSubset == 0)
        stop(r, has_document_type(r) ? XML_FAULT_EXPANSION : XML_FAULT_ENTITY);
    return NULL;
}

static xmlEntityPtr on_parameter_entity(void *context, const xmlChar *name)
{
    (void)context;
    (void)name;
    return NULL;
}

static void on_error(void *context, const xmlError *error)
{
    struct reader *r = context;
    enum xml_fault fault = XML_FAULT_SYNTAX;
    if (error->level != XML_ERR_FATAL || r->result.fault != XML_FAULT_NONE)
        return;
    for (size_t i = 0; i < COUNT(faults_by_code); i++)
        if (faults_by_code[i].code == error->code)
            fault = faults_by_code[i].fault;
    if (fault == XML_FAULT_ENTITY && has_document_type(r)) /* it is not here because nothing was kept or fetched */
        fault = XML_FAULT_EXPANSION;
    r->result = (struct xml_result){fault, error->line < 1 ? 1 : (uint32_t)error->line};
}

/* ---- reading ---- */

static void set_handlers(xmlSAXHandler *sax)
{
    *sax = (xmlSAXHandler){.initialized = XML_SAX2_MAGIC,
                           .startElementNs = on_start,
                           .endElementNs = on_end,
                           .characters = on_characters,
                           .ignorableWhitespace = on_characters,
                           .cdataBlock = on_characters,
                           .getEntity = on_entity,
                           .getParameterEntity = on_parameter_entity,
                           .serror = (xmlStructuredErrorFunc)on_error};
}

static void read_with(struct reader *r, struct span text)
{
    /* What matters is not here: XML_PARSE_NOENT, _DTDLOAD, _DTDATTR, _XINCLUDE and _HUGE stay off. */
    static const int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_COMPACT;
    set_handlers(r->parser->sax);
    r->parser->userData = r;
    libxml.free_document(libxml.read_memory(r->parser, text.at, (int)text.len, NULL, NULL, options));
    if (r->result.fault == XML_FAULT_NONE && r->parser->wellFormed == 0)
        r->result = (struct xml_result){XML_FAULT_SYNTAX, 1};
}

static struct xml_result read_document(struct reader *r, struct span text)
{
    if (trim(text).len == 0)
        return (struct xml_result){XML_FAULT_EMPTY, 1};
    if (!is_of_ascii_bytes(text))
        return (struct xml_result){XML_FAULT_ENCODING, 1};
    if (text.len > INT32_MAX || has_too_many_attributes(text))
        return (struct xml_result){XML_FAULT_SIZE, 1};
    char why[LIBRARY_WHY_ROOM];
    if (!xml_library_open(why))
        return (struct xml_result){XML_FAULT_LIBRARY, 1};
    r->parser = libxml.new_parser();
    if (r->parser == NULL)
        return (struct xml_result){XML_FAULT_MEMORY, 1};
    read_with(r, text);
    libxml.free_parser(r->parser);
    return r->result;
}

struct xml_result xml_tree_read(struct tree *tree, struct span text, bool whitespace)
{
    static const struct span nothing = {"", 0};
    struct reader r = {.tree = tree, .whitespace = whitespace};
    tree_start(tree);
    tree_open(tree, nothing, nothing, nothing);
    struct xml_result result = read_document(&r, text);
    tree_close(tree);
    free(r.chunk);
    if (result.fault == XML_FAULT_NONE && tree->fault != JSON_FAULT_NONE)
        result = (struct xml_result){tree->fault == JSON_FAULT_MEMORY ? XML_FAULT_MEMORY : XML_FAULT_SIZE, 1};
    return result;
}
