/*
 * Values as text. Knows nothing of manifests; every text that YAML could read as something else is quoted.
 */
#include "tools/shuntctl/manifest_emit.h"

#include <string.h>
#include <strings.h>

static void put(const struct emit *emit, unsigned blanks, const char *text)
{
    fprintf(emit->out, "%*s%s", (int)blanks, "", text);
}

/* ---- scalars ---- */

static bool is_word_of_yaml(const char *text)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

static bool is_quantity(const char *text)
{
    static const char *const units[] = {"m", "Ki", "Mi", "Gi"};
    size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; digits > 0 && i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(text + digits, units[i]) == 0)
            return true;
    return false;
}

static bool is_plain(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_/";
    static const char others[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_/0123456789.:@-";
    size_t length = strlen(text);
    if (length == 0 || text[length - 1] == ':' || is_word_of_yaml(text))
        return false;
    return is_quantity(text) || (strchr(letters, text[0]) != NULL && strspn(text, others) == length);
}

/* Characters that YAML's readers refuse or take for line breaks: bytes of the one that begins here; 0: a harmless one.
 */
static size_t odd_bytes(const unsigned char *at, unsigned *code)
{
    size_t bytes = at[0] < 0x80 ? 1 : at[0] == 0xc2 ? 2 : (at[0] & 0xf0) == 0xe0 && at[1] != 0 && at[2] != 0 ? 3 : 0;
    *code = bytes == 1   ? at[0]
            : bytes == 2 ? (at[0] & 0x1fU) << 6 | (at[1] & 0x3fU)
            : bytes == 3 ? (at[0] & 0x0fU) << 12 | (at[1] & 0x3fU) << 6 | (at[2] & 0x3fU)
                         : 'x';
    bool odd = *code < 0x20 || (*code >= 0x7f && *code < 0xa0) || *code == 0x2028 || *code == 0x2029 ||
               *code == 0xfeff || *code >= 0xfffe;
    return odd ? bytes : 0;
}

/* Has it something that neither single quotes nor a literal can hold? */
static bool is_odd(const char *text)
{
    unsigned code;
    for (; *text != '\0'; text++)
        if (odd_bytes((const unsigned char *)text, &code) > 0 && *text != '\n' && *text != '\t')
            return true;
    return false;
}

/* In double quotes, as JSON and YAML read it. */
static void put_quoted(FILE *out, const char *text)
{
    unsigned code;
    putc('"', out);
    while (*text != '\0') {
        size_t odd = odd_bytes((const unsigned char *)text, &code);
        if (*text == '\n')
            fputs("\\n", out);
        else if (odd > 0)
            fprintf(out, "\\u%04x", code);
        else if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else
            putc(*text, out);
        text += odd > 0 ? odd : 1;
    }
    putc('"', out);
}

static void put_json(FILE *out, const json_t *value)
{
    if (json_is_string(value))
        put_quoted(out, json_string_value(value));
    else if (json_is_integer(value))
        fprintf(out, "%lld", (long long)json_integer_value(value));
    else
        fputs(json_is_true(value)     ? "true"
              : json_is_false(value)  ? "false"
              : json_is_object(value) ? "{}"
              : json_is_array(value)  ? "[]"
                                      : "null",
              out);
}

static void put_single_quoted(FILE *out, const char *text)
{
    putc('\'', out);
    for (; *text != '\0'; text++)
        fputs(*text == '\'' ? "''" : (char[]){*text, '\0'}, out);
    putc('\'', out);
}

static void put_text(FILE *out, const char *text)
{
    if (is_plain(text))
        fputs(text, out);
    else if (strchr(text, '"') != NULL && strchr(text, '\n') == NULL && !is_odd(text))
        put_single_quoted(out, text);
    else
        put_quoted(out, text);
}

static void put_scalar(FILE *out, const json_t *value)
{
    if (json_is_string(value))
        put_text(out, json_string_value(value));
    else
        put_json(out, value);
}

/* Lines that a literal keeps as they are: the first is not empty and has no blank in front, one line break ends the
 * last. */
static bool fits_literal(const char *text)
{
    size_t length = strlen(text);
    return length > 1 && strchr(" \t\n", text[0]) == NULL && text[length - 1] == '\n' && text[length - 2] != '\n' &&
           !is_odd(text);
}

static void put_literal(const struct emit *emit, const char *text, unsigned column)
{
    fprintf(emit->out, " |%s", emit->newline);
    for (const char *line = text; *line != '\0';) {
        int length = (int)strcspn(line, "\n");
        if (length > 0)
            fprintf(emit->out, "%*s%.*s", (int)column, "", length, line);
        fputs(emit->newline, emit->out);
        line += length + 1;
    }
}

/* ---- blocks ---- */

static bool has_only_scalars(const json_t *list)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        if (json_is_object(item) || json_is_array(item))
            return false;
    }
    return true;
}

static void put_value(const struct emit *emit, const json_t *value, unsigned column)
{
    bool block =
        (json_is_object(value) && json_object_size(value) > 0) || (json_is_array(value) && !has_only_scalars(value));
    if (json_is_string(value) && fits_literal(json_string_value(value))) {
        put_literal(emit, json_string_value(value), column + emit->step);
        return;
    }
    fputs(block ? emit->newline : " ", emit->out);
    if (block && json_is_object(value)) {
        emit_pairs(emit, value, column + emit->step);
    } else if (block) {
        emit_items(emit, value, column + emit->list_step);
    } else if (json_is_object(value) || json_is_array(value)) {
        emit_json(emit->out, value, " ", 0);
        fputs(emit->newline, emit->out);
    } else {
        put_scalar(emit->out, value);
        fputs(emit->newline, emit->out);
    }
}

/* `first`: what stands in front of the first pair. */
static void put_pairs(const struct emit *emit, const json_t *pairs, unsigned column, const char *first)
{
    const char *key;
    json_t *value;
    bool begun = false;
    json_object_foreach((json_t *)pairs, key, value)
    {
        if (begun || first == NULL)
            put(emit, column, "");
        else
            put(emit, column - 2, first);
        put_text(emit->out, key);
        putc(':', emit->out);
        put_value(emit, value, column);
        begun = true;
    }
}

void emit_pairs(const struct emit *emit, const json_t *pairs, unsigned column)
{
    put_pairs(emit, pairs, column, NULL);
}

void emit_items(const struct emit *emit, const json_t *items, unsigned column)
{
    size_t i;
    const json_t *item;
    json_array_foreach(items, i, item)
    {
        if (json_is_object(item) && json_object_size(item) > 0) {
            put_pairs(emit, item, column + 2, "- ");
        } else {
            put(emit, column, "- ");
            put_scalar(emit->out, item);
            fputs(emit->newline, emit->out);
        }
    }
}

/* ---- JSON ---- */

void emit_key(FILE *out, const char *key)
{
    put_quoted(out, key);
    fputs(": ", out);
}

static void put_glue(FILE *out, const char *glue, unsigned blanks)
{
    fprintf(out, "%s%*s", glue, (int)blanks, "");
}

static void put_deep(FILE *out, const json_t *value, const char *glue, unsigned blanks, unsigned step)
{
    bool lines = strpbrk(glue, "\r\n") != NULL, begun = false;
    const char *key;
    json_t *inner;
    size_t i;
    if ((!json_is_object(value) || json_object_size(value) == 0) &&
        (!json_is_array(value) || json_array_size(value) == 0)) {
        put_json(out, value);
        return;
    }
    putc(json_is_object(value) ? '{' : '[', out);
    json_object_foreach((json_t *)value, key, inner)
    {
        fputs(begun ? "," : "", out);
        if (begun || lines)
            put_glue(out, glue, lines ? blanks + step : 0);
        emit_key(out, key);
        put_deep(out, inner, glue, blanks + step, step);
        begun = true;
    }
    json_array_foreach(value, i, inner)
    {
        fputs(i > 0 ? "," : "", out);
        if (i > 0 || lines)
            put_glue(out, glue, lines ? blanks + step : 0);
        put_deep(out, inner, glue, blanks + step, step);
    }
    if (lines)
        put_glue(out, glue, blanks);
    putc(json_is_object(value) ? '}' : ']', out);
}

void emit_json(FILE *out, const json_t *value, const char *glue, unsigned step)
{
    put_deep(out, value, glue, 0, step);
}
