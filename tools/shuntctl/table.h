/*
 * A table for a terminal: columns as wide as their widest cell, numbers to the right, a tone for each cell.
 */
#ifndef SHUNT_SHUNTCTL_TABLE_H
#define SHUNT_SHUNTCTL_TABLE_H

#include <stdbool.h>

#include "tools/shuntctl/screen.h"

struct table_column {
    const char *title;
    bool right; /* align to the right */
};

struct table;

/* `columns` is borrowed for the table's life. NULL without memory. */
struct table *table_new(const struct table_column *columns, unsigned count);
void table_free(struct table *table); /* NULL is fine */

/* Starts a row; cells follow from left to right, missing ones stay empty. */
void table_row(struct table *table);
void table_cell(struct table *table, enum tone tone, const char *text);
void table_cellf(struct table *table, enum tone tone, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A line of text below the current row, indented and wrapped. Counts for no column. More of them stand below each
 * other, in the tone of the first. */
void table_note(struct table *table, enum tone tone, const char *text);

/* Prints it, below a line of titles where there are any. Columns in which no row has text are left out; the last column
 * is cut at the screen's width on a terminal. False when memory ran out while it was filled. */
bool table_print(const struct table *table, const struct screen *screen, unsigned indent);

#endif
