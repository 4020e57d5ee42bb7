/*
 * JSON documents: see json_doc.h.
 *
 * jansson is what the rest of shunt reads and writes JSON with. It is not used here because it turns 0.1 into a double
 * and refuses integers beyond 64 bits, folds duplicate members, and allocates each value; a judge of differences must
 * not lose any of that, and has a few microseconds. The bytes come from a backend, so everything is bounded: depth,
 * nodes, memory. Used on the compare thread.
 */
#include "shadow/json_doc.h"

#include <stdlib.h>
#include <string.h>

enum {
    NODES_FIRST = 512,
    NODES_KEPT = 64 * 1024
};

static const char *const type_names[] = {
    [NODE_NULL] = "null",     [NODE_BOOLEAN] = "boolean", [NODE_NUMBER] = "number",
    [NODE_STRING] = "string", [NODE_ARRAY] = "array",     [NODE_OBJECT] = "object",
};

static const char *const fault_names[JSON_FAULTS] = {
    [JSON_FAULT_NONE] = "none",
    [JSON_FAULT_EMPTY] = "empty",
    [JSON_FAULT_SYNTAX] = "syntax",
    [JSON_FAULT_ENDS_EARLY] = "ends early",
    [JSON_FAULT_AFTER_END] = "something after the end",
    [JSON_FAULT_UTF8] = "invalid UTF-8",
    [JSON_FAULT_CONTROL] = "control character in a string",
    [JSON_FAULT_ESCAPE] = "bad escape",
    [JSON_FAULT_NUMBER] = "bad number",
    [JSON_FAULT_NAN] = "NaN or Infinity",
    [JSON_FAULT_MARK] = "byte order mark",
    [JSON_FAULT_DEPTH] = "nested too deeply",
    [JSON_FAULT_SIZE] = "too large",
    [JSON_FAULT_MEMORY] = "no memory",
};

const char *node_type_name(enum node_type type)
{
    return type_names[type];
}

static const char *const node_fault_names[NODE_FAULTS] = {
    [NODE_SOUND] = "sound",
    [NODE_NOT_JSON] = "not JSON",
    [NODE_NOT_PROTOBUF] = "not protobuf",
    [NODE_CUT_OFF] = "cut off",
    [NODE_NOT_DECODED] = "not as it is compressed",
};

const char *node_fault_name(enum node_fault fault)
{
    return (unsigned)fault < NODE_FAULTS ? node_fault_names[fault] : "unknown";
}

const char *json_fault_name(enum json_fault fault)
{
    return (unsigned)fault < JSON_FAULTS ? fault_names[fault] : "unknown";
}

bool json_fault_is_ours(enum json_fault fault)
{
    return fault == JSON_FAULT_DEPTH || fault == JSON_FAULT_SIZE || fault == JSON_FAULT_MEMORY;
}

/* What a byte inside a string means. */
enum {
    BYTE_PLAIN,
    BYTE_QUOTE,
    BYTE_BACKSLASH,
    BYTE_CONTROL,
    BYTE_HIGH
};

static const uint8_t string_bytes[256] = {
    [0 ... 0x1f] = BYTE_CONTROL,
    ['"'] = BYTE_QUOTE,
    ['\\'] = BYTE_BACKSLASH,
    [0x80 ... 0xff] = BYTE_HIGH,
};

struct reader {
    struct json_doc *doc;
    const unsigned char *text;
    size_t at, len;
    uint32_t depth;
    uint32_t open[JSON_DEPTH]; /* containers around the reading point, outermost first */
};

static bool refuse(struct reader *r, enum json_fault fault)
{
    r->doc->fault = fault;
    r->doc->fault_at = r->at;
    return false;
}

static bool refuse_here(struct reader *r)
{
    return refuse(r, r->at >= r->len ? JSON_FAULT_ENDS_EARLY : JSON_FAULT_SYNTAX);
}

/* The byte at the reading point, or -1 at the end. */
static int peek(const struct reader *r)
{
    return r->at < r->len ? r->text[r->at] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static void skip_space(struct reader *r)
{
    while (r->at < r->len && r->text[r->at] <= ' ') { /* nearly always there is none */
        unsigned char c = r->text[r->at];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return;
        r->at++;
    }
}

static bool grow_nodes(struct reader *r)
{
    struct json_doc *doc = r->doc;
    uint32_t most = json_doc_most(doc), room = doc->room == 0 ? NODES_FIRST : doc->room * 2;
    if (doc->count >= most)
        return refuse(r, JSON_FAULT_SIZE);
    if (room > most)
        room = most;
    struct json_node *nodes = realloc(doc->nodes, room * sizeof(*nodes));
    if (nodes == NULL)
        return refuse(r, JSON_FAULT_MEMORY);
    doc->nodes = nodes;
    doc->room = room;
    return true;
}

static struct json_node *add_node(struct reader *r, enum node_type type)
{
    struct json_doc *doc = r->doc;
    if (doc->count == doc->room && !grow_nodes(r))
        return NULL;
    struct json_node *node = &doc->nodes[doc->count++];
    *node = (struct json_node){.start = (uint32_t)r->at, .next = doc->count, .type = (uint8_t)type};
    return node;
}

/* ---- scalars ---- */

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool skip_escape(struct reader *r)
{
    if (r->at + 1 >= r->len)
        return refuse(r, JSON_FAULT_ENDS_EARLY);
    unsigned char c = r->text[r->at + 1];
    if (c == 'u') {
        for (size_t i = 2; i < 6; i++) {
            if (r->at + i >= r->len)
                return refuse(r, JSON_FAULT_ENDS_EARLY);
            if (hex_digit(r->text[r->at + i]) < 0)
                return refuse(r, JSON_FAULT_ESCAPE);
        }
        r->at += 6;
        return true;
    }
    if (c == '\0' || strchr("\"\\/bfnrt", c) == NULL)
        return refuse(r, JSON_FAULT_ESCAPE);
    r->at += 2;
    return true;
}

/* Length of the UTF-8 sequence (RFC 3629) of two to four bytes at the reading point; 0 when it is none. */
static size_t utf8_length(const struct reader *r)
{
    const unsigned char *s = r->text + r->at;
    size_t left = r->len - r->at;
    size_t need = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    if (need == 0 || need > left)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] > 0x9f;
    bool beyond = s[0] == 0xf4 && s[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : need;
}

static bool skip_utf8(struct reader *r)
{
    size_t length = utf8_length(r);
    if (length == 0)
        return refuse(r, JSON_FAULT_UTF8);
    r->at += length;
    return true;
}

static void skip_plain(struct reader *r)
{
    const unsigned char *at = r->text + r->at, *end = r->text + r->len;
    while (at < end && string_bytes[*at] == BYTE_PLAIN)
        at++;
    r->at = (size_t)(at - r->text);
}

static bool read_string(struct reader *r)
{
    struct json_node *node = add_node(r, NODE_STRING);
    if (node == NULL)
        return false;
    for (r->at++;;) {
        skip_plain(r);
        if (r->at >= r->len)
            return refuse(r, JSON_FAULT_ENDS_EARLY);
        switch (string_bytes[r->text[r->at]]) {
        case BYTE_QUOTE:
            node->count = (uint32_t)r->at - node->start - 1;
            node->end = (uint32_t)++r->at;
            return true;
        case BYTE_BACKSLASH:
            node->escaped = true;
            if (!skip_escape(r))
                return false;
            break;
        case BYTE_HIGH:
            if (!skip_utf8(r))
                return false;
            break;
        default:
            return refuse(r, JSON_FAULT_CONTROL);
        }
    }
}

static bool skip_digits(struct reader *r)
{
    size_t from = r->at;
    while (is_digit(peek(r)))
        r->at++;
    if (r->at > from)
        return true;
    return refuse(r, r->at >= r->len ? JSON_FAULT_ENDS_EARLY : JSON_FAULT_NUMBER);
}

static bool read_number(struct reader *r)
{
    struct json_node *node = add_node(r, NODE_NUMBER);
    if (node == NULL)
        return false;
    if (peek(r) == '-')
        r->at++;
    bool zero = peek(r) == '0';
    size_t from = r->at;
    if (!skip_digits(r))
        return false;
    if (zero && r->at - from > 1) {
        r->at = from;
        return refuse(r, JSON_FAULT_NUMBER);
    }
    if (peek(r) == '.') {
        r->at++;
        if (!skip_digits(r))
            return false;
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        r->at++;
        if (peek(r) == '+' || peek(r) == '-')
            r->at++;
        if (!skip_digits(r))
            return false;
    }
    node->end = (uint32_t)r->at;
    return true;
}

static bool text_starts(const struct reader *r, const char *word)
{
    size_t len = strlen(word);
    return r->len - r->at >= len && memcmp(r->text + r->at, word, len) == 0;
}

/* What JavaScript, Python and others write for numbers that JSON has no way to write. */
static bool is_no_number(const struct reader *r)
{
    static const char *const words[] = {"NaN", "-NaN", "nan", "-nan", "Infinity", "-Infinity", "+Infinity"};
    int c = peek(r);
    if (c >= '0' && c <= '9') /* nearly every number: asked for each of them */
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (text_starts(r, words[i]))
            return true;
    return false;
}

static bool read_word(struct reader *r, const char *word, enum node_type type)
{
    struct json_node *node = add_node(r, type);
    if (node == NULL)
        return false;
    for (; *word != '\0'; word++, r->at++)
        if (peek(r) != *word)
            return refuse_here(r);
    node->end = (uint32_t)r->at;
    return true;
}

/* ---- containers ---- */

static bool open_container(struct reader *r, enum node_type type)
{
    if (r->depth == JSON_DEPTH)
        return refuse(r, JSON_FAULT_DEPTH);
    r->open[r->depth++] = r->doc->count;
    if (add_node(r, type) == NULL)
        return false;
    r->at++;
    return true;
}

static void close_container(struct reader *r)
{
    struct json_node *node = &r->doc->nodes[r->open[--r->depth]];
    node->end = (uint32_t)++r->at;
    node->next = r->doc->count;
}

static bool read_name_and_colon(struct reader *r)
{
    skip_space(r);
    if (peek(r) != '"')
        return refuse_here(r);
    if (!read_string(r))
        return false;
    skip_space(r);
    if (peek(r) != ':')
        return refuse_here(r);
    r->at++;
    return true;
}

static bool refuse_value(struct reader *r)
{
    return is_no_number(r) ? refuse(r, JSON_FAULT_NAN) : refuse_here(r);
}

enum step {
    STEP_VALUE,
    STEP_AFTER_VALUE,
    STEP_FAULT
};

/* Starts a value: scalars are complete afterwards, containers only when they are empty. */
static enum step read_value(struct reader *r)
{
    bool good;
    skip_space(r);
    switch (peek(r)) {
    case '{':
        if (!open_container(r, NODE_OBJECT))
            return STEP_FAULT;
        skip_space(r);
        if (peek(r) == '}') {
            close_container(r);
            return STEP_AFTER_VALUE;
        }
        return read_name_and_colon(r) ? STEP_VALUE : STEP_FAULT;
    case '[':
        if (!open_container(r, NODE_ARRAY))
            return STEP_FAULT;
        skip_space(r);
        if (peek(r) != ']')
            return STEP_VALUE;
        close_container(r);
        return STEP_AFTER_VALUE;
    case '"':
        good = read_string(r);
        break;
    case 't':
        good = read_word(r, "true", NODE_BOOLEAN);
        break;
    case 'f':
        good = read_word(r, "false", NODE_BOOLEAN);
        break;
    case 'n':
        good = text_starts(r, "nan") ? refuse_value(r) : read_word(r, "null", NODE_NULL);
        break;
    default:
        good = is_digit(peek(r)) || (peek(r) == '-' && !is_no_number(r)) ? read_number(r) : refuse_value(r);
    }
    return good ? STEP_AFTER_VALUE : STEP_FAULT;
}

/* A value inside a container is complete: what comes next? */
static enum step read_after_value(struct reader *r)
{
    struct json_node *container = &r->doc->nodes[r->open[r->depth - 1]];
    bool object = container->type == NODE_OBJECT;
    container->count++;
    skip_space(r);
    int c = peek(r);
    if (c == ',') {
        r->at++;
        if (!object)
            return STEP_VALUE;
        return read_name_and_colon(r) ? STEP_VALUE : STEP_FAULT;
    }
    if (c != (object ? '}' : ']')) {
        refuse_here(r);
        return STEP_FAULT;
    }
    close_container(r);
    return STEP_AFTER_VALUE;
}

static bool starts_with_mark(const struct reader *r)
{
    return r->len >= 3 && memcmp(r->text, "\xef\xbb\xbf", 3) == 0;
}

static bool read_document(struct reader *r)
{
    if (starts_with_mark(r))
        return refuse(r, JSON_FAULT_MARK);
    skip_space(r);
    if (r->at >= r->len)
        return refuse(r, JSON_FAULT_EMPTY);
    enum step step = STEP_VALUE;
    while (step == STEP_VALUE || (step == STEP_AFTER_VALUE && r->depth > 0))
        step = step == STEP_VALUE ? read_value(r) : read_after_value(r);
    if (step == STEP_FAULT)
        return false;
    skip_space(r);
    return r->at >= r->len || refuse(r, JSON_FAULT_AFTER_END);
}

bool json_doc_parse(struct json_doc *doc, const char *text, size_t len)
{
    struct reader r = {.doc = doc, .text = (const unsigned char *)text, .len = len};
    doc->text = text;
    doc->len = len;
    doc->count = 0;
    doc->fault = JSON_FAULT_NONE;
    doc->fault_at = 0;
    if (len >= UINT32_MAX)
        return refuse(&r, JSON_FAULT_SIZE);
    return read_document(&r);
}

void json_doc_trim(struct json_doc *doc)
{
    if (doc->room > NODES_KEPT)
        json_doc_done(doc);
}

void json_doc_done(struct json_doc *doc)
{
    free(doc->nodes);
    *doc = (struct json_doc){.most = doc->most};
}

/* ---- strings ---- */

static unsigned hex4(const unsigned char *at)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 4 | (unsigned)hex_digit(at[i]);
    return value;
}

static size_t put_utf8(char *to, unsigned code)
{
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (char)(0xc0 | code >> 6);
        to[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (char)(0xe0 | code >> 12);
        to[1] = (char)(0x80 | (code >> 6 & 0x3f));
        to[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | code >> 18);
    to[1] = (char)(0x80 | (code >> 12 & 0x3f));
    to[2] = (char)(0x80 | (code >> 6 & 0x3f));
    to[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* The character that the escape at `at` stands for; *taken are its bytes. Its grammar was checked by the reader. */
static unsigned escape_code(const unsigned char *at, const unsigned char *end, size_t *taken)
{
    static const char letters[] = "bfnrt", codes[] = "\b\f\n\r\t";
    if (at[1] != 'u') {
        const char *letter = strchr(letters, at[1]);
        *taken = 2;
        return letter == NULL ? at[1] : (unsigned char)codes[letter - letters];
    }
    unsigned high = hex4(at + 2);
    *taken = 6;
    if (high < 0xd800 || high > 0xdbff || end - at < 12 || at[6] != '\\' || at[7] != 'u')
        return high;
    unsigned low = hex4(at + 8);
    if (low < 0xdc00 || low > 0xdfff)
        return high;
    *taken = 12;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

struct characters {
    const unsigned char *at, *end;
    char pending[4]; /* of a resolved escape */
    size_t pending_at, pending_len;
};

static void characters_start(struct characters *c, const struct json_doc *doc, uint32_t node)
{
    c->at = (const unsigned char *)doc->text + doc->nodes[node].start + 1;
    c->end = (const unsigned char *)doc->text + doc->nodes[node].end - 1;
    c->pending_at = c->pending_len = 0;
}

/* The next byte of the string, escapes resolved, or -1. */
static int characters_next(struct characters *c)
{
    if (c->pending_at < c->pending_len)
        return (unsigned char)c->pending[c->pending_at++];
    if (c->at == c->end)
        return -1;
    if (*c->at != '\\')
        return *c->at++;
    size_t taken;
    unsigned code = escape_code(c->at, c->end, &taken);
    c->at += taken;
    c->pending_len = put_utf8(c->pending, code);
    c->pending_at = 1;
    return (unsigned char)c->pending[0];
}

size_t json_string_decode(const struct json_doc *doc, uint32_t node, char *to)
{
    struct characters c;
    size_t len = 0;
    characters_start(&c, doc, node);
    for (int byte = characters_next(&c); byte >= 0; byte = characters_next(&c))
        to[len++] = (char)byte;
    return len;
}

bool json_string_equal(const struct json_doc *a, uint32_t x, const struct json_doc *b, uint32_t y)
{
    const struct json_node *m = &a->nodes[x], *n = &b->nodes[y];
    if (!m->escaped && !n->escaped)
        return m->count == n->count && memcmp(a->text + m->start, b->text + n->start, m->count + 2) == 0;
    struct characters c, d;
    characters_start(&c, a, x);
    characters_start(&d, b, y);
    for (;;) {
        int i = characters_next(&c), j = characters_next(&d);
        if (i != j)
            return false;
        if (i < 0)
            return true;
    }
}
