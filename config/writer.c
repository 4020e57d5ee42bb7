/*
 * Writer: YAML lines in the order of the table of keys, and --dump, which is all of them.
 *
 * Own code and not libyaml's emitter, because the output is for people: lists of words stay on one line, the order is
 * the table's, and a secret is written as where it came from.
 */
#include "config/writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/secret.h"
#include "config/types.h"

static bool make_room(struct writer *writer, size_t more)
{
    if (writer->no_memory)
        return false;
    if (writer->room - writer->len > more)
        return true;
    size_t room = writer->room == 0 ? 4096 : writer->room * 2;
    while (room - writer->len <= more)
        room *= 2;
    char *text = realloc(writer->text, room);
    if (text == NULL) {
        writer->no_memory = true;
        return false;
    }
    writer->text = text;
    writer->room = room;
    return true;
}

static void append(struct writer *writer, const char *text, size_t len)
{
    if (!make_room(writer, len))
        return;
    memcpy(writer->text + writer->len, text, len);
    writer->len += len;
    writer->text[writer->len] = '\0';
}

void writer_raw(struct writer *writer, const char *text)
{
    append(writer, text, strlen(text));
}

void writer_print(struct writer *writer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    if (len >= 0 && make_room(writer, (size_t)len)) {
        (void)vsnprintf(writer->text + writer->len, (size_t)len + 1, format, again);
        writer->len += (size_t)len;
    }
    va_end(again);
    va_end(args);
}

/* Safe without quotes, in a list on one line too? Plain words, numbers, paths. */
static bool is_plain(const char *text)
{
    static const char *const nulls[] = {"null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++) {
        if (strcmp(text, nulls[i]) == 0)
            return false;
    }
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/"
    return text[0] != '\0' && strchr(LETTERS, text[0]) != NULL && text[strspn(text, LETTERS ".%*+-")] == '\0';
#undef LETTERS
}

static void append_quoted(struct writer *writer, const char *text, bool is_value)
{
    writer_raw(writer, "\"");
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            writer_raw(writer, "\\");
        if (is_value && *text == '$' && (text[1] == '{' || text[1] == '$'))
            writer_raw(writer, "$");
        append(writer, text, 1);
    }
    writer_raw(writer, "\"");
}

void writer_name(struct writer *writer, const char *name)
{
    if (is_plain(name))
        writer_raw(writer, name);
    else
        append_quoted(writer, name, false);
}

void writer_key(struct writer *writer, const char *name)
{
    unsigned blanks = writer->indent * 2;
    if (writer->dash)
        writer_print(writer, "%*s- ", (int)blanks - 2, "");
    else
        writer_print(writer, "%*s", (int)blanks, "");
    writer->dash = false;
    writer_name(writer, name);
    writer_raw(writer, ":");
}

void writer_text(struct writer *writer, const char *text)
{
    const char *origin = writer->config == NULL ? NULL : config_secret_origin(writer->config, text);
    if (origin != NULL)
        writer_raw(writer, origin);
    else if (is_plain(text))
        writer_raw(writer, text);
    else
        append_quoted(writer, text, true);
}

void writer_value(struct writer *writer, const char *text)
{
    writer_raw(writer, " ");
    writer_text(writer, text);
    writer_raw(writer, "\n");
}

void writer_texts(struct writer *writer, const char *const *texts, size_t count)
{
    writer_raw(writer, " [");
    for (size_t i = 0; i < count; i++) {
        writer_raw(writer, i > 0 ? ", " : "");
        writer_text(writer, texts[i]);
    }
    writer_raw(writer, "]\n");
}

static bool is_written(const struct config_key *key, const void *base)
{
    if (key->section != NULL && key->section->is_set != NULL && key->type == &type_section)
        return key->section->is_set((const char *)base + key->at);
    return key->type->is_set == NULL || key->type->is_set(key, base);
}

void writer_section(struct writer *writer, const struct config_section *section, const void *base)
{
    for (const struct config_key *key = section->keys; key->name != NULL; key++) {
        if (!is_written(key, base))
            continue;
        writer_key(writer, key->name);
        key->type->write(writer, key, base);
    }
}

char *writer_take(struct writer *writer)
{
    char *text = writer->text;
    if (writer->no_memory) {
        free(text);
        text = NULL;
    }
    writer->text = NULL;
    return text;
}

char *config_dump(const struct config *config)
{
    struct writer writer = {.config = config};
    writer_print(&writer, "# The effective configuration of %s: every default filled in.\n", config->file);
    if (config->secrets != NULL)
        writer_raw(&writer, "# Secrets are masked: ${NAME} and file: stand where their values would be ***.\n");
    writer_section(&writer, &config_file_section, config);
    return writer_take(&writer);
}
