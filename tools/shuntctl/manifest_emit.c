/*
 * Values as text. Knows nothing of manifests; every text that YAML could read as something else is quoted.
 */
#include "tools/shuntctl/manifest_emit.h"

#include <stdlib.h>
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

/* Bytes that neither quotes of one kind nor a literal can hold: control characters, and what YAML takes for a line
 * break. */
static bool is_odd(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++)
        if ((*at < 0x20 && *at != '\n' && *at != '\t') || *at == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0) ||
            (at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9)))
            return true;
    return false;
}

static void put_json(FILE *out, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    fputs(text != NULL ? text : "", out);
    free(text);
}

static void put_single_quoted(FILE *out, const char *text)
{
    putc('\'', out);
    for (; *text != '\0'; text++)
        fputs(*text == '\'' ? "''" : (char[]){*text, '\0'}, out);
    putc('\'', out);
}

static void put_scalar(FILE *out, const json_t *value)
{
    const char *text = json_string_value(value);
    if (text == NULL)
        put_json(out, value);
    else if (is_plain(text))
        fputs(text, out);
    else if (strchr(text, '"') != NULL && strchr(text, '\n') == NULL && !is_odd(text))
        put_single_quoted(out, text);
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
        json_t *text = json_string(key);
        if (begun || first == NULL)
            put(emit, column, "");
        else
            put(emit, column - 2, first);
        put_scalar(emit->out, text);
        putc(':', emit->out);
        put_value(emit, value, column);
        json_decref(text);
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
        json_t *text = json_string(key);
        fputs(begun ? "," : "", out);
        if (begun || lines)
            put_glue(out, glue, lines ? blanks + step : 0);
        put_json(out, text);
        fputs(": ", out);
        put_deep(out, inner, glue, blanks + step, step);
        json_decref(text);
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
