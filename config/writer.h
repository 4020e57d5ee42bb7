/*
 * Text that grows: YAML for --dump, Markdown for the reference page.
 */
#ifndef SHUNT_CONFIG_WRITER_H
#define SHUNT_CONFIG_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "config/keys.h"

struct writer {
    const struct config *config; /* whose secrets are masked; may be NULL */
    char *text;                  /* malloc'd, NUL-terminated; freed by writer_done() or taken by writer_take() */
    size_t len;
    size_t room;
    unsigned indent; /* in steps of two blanks */
    bool dash;       /* the next key is the first of a list's item */
    bool no_memory;
};

/* Bytes as they are. */
void writer_raw(struct writer *writer, const char *text);
void writer_print(struct writer *writer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Starts a line: indentation, a pending dash, "NAME:". The name is quoted where it must be. */
void writer_key(struct writer *writer, const char *name);

/* A key's text, quoted where it must be. */
void writer_name(struct writer *writer, const char *name);

/* A value's text, quoted where YAML or a "$" asks for it, or where a secret came from. No blank, no line break. */
void writer_text(struct writer *writer, const char *text);

/* " TEXT" and the line's end. */
void writer_value(struct writer *writer, const char *text);

/* " [a, b]" and the line's end. */
void writer_texts(struct writer *writer, const char *const *texts, size_t count);

/* All keys of a section, one level deeper. */
void writer_section(struct writer *writer, const struct config_section *section, const void *base);

/* The text, now the caller's to free(); NULL without memory. */
char *writer_take(struct writer *writer);

#endif
