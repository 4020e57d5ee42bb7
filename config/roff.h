/*
 * Manual pages, man(7), from the Markdown that docs/ and --help are written in.
 *
 * Only what these use is known: headings, paragraphs, tables, lists with "-", fenced and indented lines, `code`,
 * *emphasis* and [links](#there). Everything else is text. Any thread.
 */
#ifndef SHUNT_CONFIG_ROFF_H
#define SHUNT_CONFIG_ROFF_H

#include "config/writer.h"

/* ".TH", and the section NAME: roff_begin(&writer, "shunt.yaml", 5, "the configuration of shunt"). */
void roff_begin(struct writer *writer, const char *name, int section, const char *what);
void roff_heading(struct writer *writer, const char *heading);

/* Text in a line, with every character that roff would take for itself escaped. No line break is added. */
void roff_text(struct writer *writer, const char *text);
/* The same, with `code` in bold and *emphasis* and links as such. */
void roff_inline(struct writer *writer, const char *text);
/* Paragraphs, lists, tables, examples. "# " and HTML comments are left out. */
void roff_markdown(struct writer *writer, const char *markdown);

#endif
