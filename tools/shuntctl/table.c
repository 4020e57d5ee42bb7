/*
 * Tables for people. Filled row by row, measured and printed at the end. One thread; owns its cells.
 */
#include "tools/shuntctl/table.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    GAP = 2
};

struct cell {
    enum tone tone;
    char *text; /* NULL: empty */
};

struct table {
    const struct table_column *columns; /* borrowed */
    unsigned count;
    unsigned next; /* cell of the last row that is filled next */
    size_t rows, room;
    struct cell *cells; /* rows x (count + 1): the last one is the row's note */
    bool failed;
};

struct table *table_new(const struct table_column *columns, unsigned count)
{
    struct table *table = calloc(1, sizeof(*table));
    if (table == NULL)
        return NULL;
    table->columns = columns;
    table->count = count;
    return table;
}

void table_free(struct table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->rows * (table->count + 1); i++)
        free(table->cells[i].text);
    free(table->cells);
    free(table);
}

void table_row(struct table *table)
{
    table->next = 0;
    if (table->rows == table->room) {
        size_t room = table->room > 0 ? table->room * 2 : 8;
        struct cell *cells = reallocarray(table->cells, room * (table->count + 1), sizeof(*cells));
        if (cells == NULL) {
            table->failed = true;
            table->next = table->count; /* no place for this row's cells */
            return;
        }
        table->cells = cells;
        table->room = room;
    }
    memset(&table->cells[table->rows * (table->count + 1)], 0, (table->count + 1) * sizeof(*table->cells));
    table->rows++;
}

static void take_cell(struct table *table, enum tone tone, char *text)
{
    if (text == NULL || table->rows == 0 || table->next >= table->count) {
        table->failed |= text == NULL;
        free(text);
        return;
    }
    table->cells[(table->rows - 1) * (table->count + 1) + table->next++] = (struct cell){tone, text};
}

void table_note(struct table *table, enum tone tone, const char *text)
{
    if (table->rows == 0 || text[0] == '\0')
        return;
    struct cell *note = &table->cells[table->rows * (table->count + 1) - 1];
    char *whole = NULL;
    if (note->text == NULL)
        *note = (struct cell){tone, strdup(text)};
    else if (asprintf(&whole, "%s\n%s", note->text, text) >= 0) {
        free(note->text);
        note->text = whole;
    } else {
        table->failed = true;
    }
    table->failed |= note->text == NULL;
}

void table_cell(struct table *table, enum tone tone, const char *text)
{
    take_cell(table, tone, strdup(text));
}

void table_cellf(struct table *table, enum tone tone, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    take_cell(table, tone, length < 0 ? NULL : text);
}

static const struct cell *cell_at(const struct table *table, size_t row, unsigned column)
{
    return &table->cells[row * (table->count + 1) + column];
}

/* 0 for a column without any text. */
static unsigned column_width(const struct table *table, unsigned column)
{
    unsigned width = 0;
    for (size_t row = 0; row < table->rows; row++) {
        const char *text = cell_at(table, row, column)->text;
        unsigned columns = text != NULL ? screen_columns(text) : 0;
        width = columns > width ? columns : width;
    }
    unsigned title = screen_columns(table->columns[column].title);
    return width == 0 ? 0 : title > width ? title : width;
}

static unsigned last_column(const struct table *table)
{
    unsigned last = 0;
    for (unsigned column = 0; column < table->count; column++)
        if (column_width(table, column) > 0)
            last = column;
    return last;
}

/* Cuts UTF-8 text to `columns`, in place, with "..." where something is missing. */
static void cut(char *text, unsigned columns)
{
    if (columns < 4 || screen_columns(text) <= columns)
        return;
    unsigned seen = 0;
    char *at = text;
    for (; *at != '\0'; at++) {
        if (((unsigned char)*at & 0xc0) != 0x80 && seen++ == columns - 3)
            break;
    }
    /* three bytes are there: at least four columns follow or stood here */
    memcpy(at, "...", 4);
}

/* Blanks are owed until text follows, so that no line ends in some. */
static void print_padded(const struct screen *screen, enum tone tone, const char *text, unsigned width, bool right,
                         unsigned *owed)
{
    unsigned columns = screen_columns(text);
    unsigned padding = columns < width ? width - columns : 0;
    *owed += right ? padding : 0;
    if (columns > 0) {
        fprintf(screen->out, "%*s", (int)*owed, "");
        screen_write(screen, tone, text);
        *owed = 0;
    }
    *owed += right ? 0 : padding;
}

/* One line; `row` SIZE_MAX prints the titles. */
static bool print_line(const struct table *table, const struct screen *screen, unsigned indent, size_t row)
{
    unsigned last = last_column(table), used = indent, owed = indent;
    for (unsigned column = 0; column <= last; column++) {
        unsigned width = column_width(table, column);
        if (width == 0)
            continue;
        const struct cell *cell = row == SIZE_MAX ? NULL : cell_at(table, row, column);
        const char *source = cell == NULL ? table->columns[column].title : cell->text != NULL ? cell->text : "";
        char *text = strdup(source);
        if (text == NULL)
            return false;
        if (column == last && screen->terminal && screen->width > used)
            cut(text, screen->width - used);
        print_padded(screen, cell == NULL ? TONE_FAINT : cell->tone, text, width, table->columns[column].right, &owed);
        free(text);
        owed += GAP;
        used += width + GAP;
    }
    fputc('\n', screen->out);
    return true;
}

static bool has_titles(const struct table *table)
{
    for (unsigned column = 0; column < table->count; column++)
        if (table->columns[column].title[0] != '\0')
            return true;
    return false;
}

/* Each line of it wrapped by itself. */
static bool print_note(const struct screen *screen, const struct cell *note, unsigned indent)
{
    char *lines = strdup(note->text), *rest = lines;
    if (lines == NULL)
        return false;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;)
        screen_wrap(screen, note->tone, indent, line);
    free(lines);
    return true;
}

bool table_print(const struct table *table, const struct screen *screen, unsigned indent)
{
    bool whole = !table->failed;
    if (table->rows == 0)
        return whole;
    if (has_titles(table))
        whole &= print_line(table, screen, indent, SIZE_MAX);
    for (size_t row = 0; row < table->rows; row++) {
        const struct cell *note = cell_at(table, row, table->count);
        whole &= print_line(table, screen, indent, row);
        if (note->text != NULL)
            whole &= print_note(screen, note, indent + GAP);
    }
    return whole;
}
