/*
 * Markdown in, man(7) out; see roff.h. Called when a manual page is printed: by `shunt --reference=man` and
 * `shuntctl manual`.
 *
 * A table becomes a list of its rows: pages are read in 80 columns, and a cell may be a paragraph.
 */
#include "config/roff.h"

#include <stdio.h>
#include <string.h>

enum {
    CELLS_MOST = 8,
    LINE_ROOM = 4096,
};

/* ---- characters ---- */

static void letter(struct writer *writer, char c)
{
    static const struct {
        char c;
        const char *roff;
    } escapes[] = {{'\\', "\\e"}, {'-', "\\-"}, {'^', "\\(ha"}, {'~', "\\(ti"}, {'`', "\\(ga"}, {'\'', "\\(aq"}};
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++)
        if (escapes[i].c == c) {
            writer_raw(writer, escapes[i].roff);
            return;
        }
    writer_raw(writer, (const char[]){c, '\0'});
}

static void letters(struct writer *writer, const char *text, size_t length)
{
    if (length > 0 && text[0] == '.') /* not a request, wherever it comes to stand */
        writer_raw(writer, "\\&");
    for (size_t i = 0; i < length; i++)
        letter(writer, text[i]);
}

void roff_text(struct writer *writer, const char *text)
{
    letters(writer, text, strlen(text));
}

static void in_font(struct writer *writer, const char *font, const char *text, size_t length)
{
    writer_raw(writer, font);
    letters(writer, text, length);
    writer_raw(writer, "\\fR");
}

/* Length of the text of a link at `text`, which begins behind its "["; 0: there is none. Brackets in it are in pairs.
 */
static size_t link_text(const char *text)
{
    int depth = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] == ']' && depth == 0)
            return text[i + 1] == '(' && strchr(text + i, ')') != NULL ? i : 0;
        depth += (text[i] == '[') - (text[i] == ']');
    }
    return 0;
}

/* Whatever is marked up at `text`: written, and its length returned; 0: nothing is. */
static size_t marked(struct writer *writer, const char *text)
{
    const char *end;
    if (text[0] == '`' && (end = strchr(text + 1, '`')) != NULL) {
        in_font(writer, "\\fB", text + 1, (size_t)(end - text) - 1);
        return (size_t)(end - text) + 1;
    }
    if (text[0] == '*' && text[1] != ' ' && (end = strchr(text + 1, '*')) != NULL && end > text + 1) {
        in_font(writer, "\\fI", text + 1, (size_t)(end - text) - 1);
        return (size_t)(end - text) + 1;
    }
    size_t length = text[0] == '[' ? link_text(text + 1) : 0;
    if (length > 0) {
        in_font(writer, "\\fI", text + 1, length);
        return (size_t)(strchr(text + 1 + length, ')') - text) + 1;
    }
    return 0;
}

void roff_inline(struct writer *writer, const char *text)
{
    if (text[0] == '.')
        writer_raw(writer, "\\&");
    while (*text != '\0') {
        size_t length = marked(writer, text);
        if (length == 0)
            letter(writer, *text);
        text += length > 0 ? length : 1;
    }
}

/* ---- pages ---- */

void roff_heading(struct writer *writer, const char *heading)
{
    writer_raw(writer, ".SH \"");
    roff_inline(writer, heading);
    writer_raw(writer, "\"\n");
}

void roff_begin(struct writer *writer, const char *name, int section, const char *what)
{
    writer_raw(writer, ".TH \"");
    roff_text(writer, name);
    writer_print(writer, "\" %d \"\" \"shunt %s\" \"shunt\"\n", section, SHUNT_VERSION);
    writer_raw(writer, ".ad l\n"); /* lines of words that stand in a file are not spread */
    roff_heading(writer, "NAME");
    roff_text(writer, name);
    writer_raw(writer, " \\- ");
    roff_text(writer, what);
    writer_raw(writer, "\n");
}

/* ---- tables ---- */

struct row {
    char text[LINE_ROOM]; /* the cells point into it */
    char *cells[CELLS_MOST];
    size_t count;
};

/* Cells of "| a | b |", without the blanks around them; "\|" is a bar. */
static void split(const char *line, struct row *row)
{
    snprintf(row->text, sizeof(row->text), "%s", line + 1);
    char *to = row->text, *begin = row->text;
    row->count = 0;
    for (const char *from = line + 1; *from != '\0' && to < row->text + sizeof(row->text) - 1; from++) {
        if (from[0] == '\\' && from[1] == '|') {
            *to++ = *++from;
        } else if (*from != '|') {
            *to++ = *from;
        } else if (row->count < CELLS_MOST) {
            *to++ = '\0';
            begin += strspn(begin, " ");
            for (size_t length = strlen(begin); length > 0 && begin[length - 1] == ' '; length--)
                begin[length - 1] = '\0';
            row->cells[row->count++] = begin;
            begin = to;
        }
    }
}

/* The column of a fact ("duration", "1ms to 1h", "10s"), not of a sentence. */
static bool is_fact(const char *column)
{
    return strcmp(column, "value") == 0 || strcmp(column, "range") == 0 || strcmp(column, "default") == 0;
}

static void write_cell(struct writer *writer, const char *column, const char *cell)
{
    if (strcmp(column, "default") == 0 && cell[0] != '*') /* not *required* */
        writer_raw(writer, "default ");
    if (strcmp(column, "for example") == 0)
        writer_raw(writer, "for example ");
    roff_inline(writer, cell);
}

/* "duration, 1ms to 1h, default 10s", and below what is told of it in sentences. */
static void write_row(struct writer *writer, const struct row *head, const struct row *row)
{
    const char *between = "";
    writer_raw(writer, ".TP\n");
    roff_inline(writer, row->count > 0 ? row->cells[0] : "");
    writer_raw(writer, "\n");
    for (size_t i = 1; i < row->count && i < head->count; i++) {
        bool fact = is_fact(head->cells[i]);
        if (row->cells[i][0] == '\0' || strcmp(row->cells[i], "none") == 0)
            continue;
        if (!fact && strcmp(between, ", ") == 0)
            between = "\n.br\n";
        writer_raw(writer, between);
        write_cell(writer, head->cells[i], row->cells[i]);
        between = fact ? ", " : "; ";
    }
    writer_raw(writer, "\n");
}

/* ---- blocks ---- */

enum block {
    BLOCK_NONE,
    BLOCK_PARAGRAPH,
    BLOCK_BULLET,
    BLOCK_TABLE,
    BLOCK_EXAMPLE, /* indented lines */
    BLOCK_FENCE,
};

struct page {
    struct writer *writer;
    enum block block;
    struct row head, row; /* of the table */
    bool headed;          /* the block comes right behind a heading, which begins a paragraph itself */
};

static void enter(struct page *page, enum block block)
{
    bool was_example = page->block == BLOCK_EXAMPLE || page->block == BLOCK_FENCE;
    if (page->block == block)
        return;
    if (was_example)
        writer_raw(page->writer, ".EE\n.RE\n");
    if (block == BLOCK_EXAMPLE || block == BLOCK_FENCE)
        writer_raw(page->writer, page->headed ? ".RS 4\n.EX\n" : ".PP\n.RS 4\n.EX\n");
    if (block == BLOCK_PARAGRAPH && !page->headed)
        writer_raw(page->writer, ".PP\n");
    page->block = block;
    page->headed = false;
}

static void text_line(struct page *page, const char *line)
{
    roff_inline(page->writer, line);
    writer_raw(page->writer, "\n");
}

static void verbatim(struct page *page, const char *line)
{
    roff_text(page->writer, line);
    writer_raw(page->writer, "\n");
}

static void table_line(struct page *page, const char *line)
{
    bool begins = page->block != BLOCK_TABLE;
    enter(page, BLOCK_TABLE);
    split(line, begins ? &page->head : &page->row);
    if (!begins && strncmp(line, "| ---", 5) != 0)
        write_row(page->writer, &page->head, &page->row);
}

static void take_line(struct page *page, const char *line)
{
    bool continues = page->block == BLOCK_BULLET && line[0] == ' ';
    if (strncmp(line, "```", 3) == 0) {
        enter(page, page->block == BLOCK_FENCE ? BLOCK_NONE : BLOCK_FENCE);
    } else if (page->block == BLOCK_FENCE) {
        verbatim(page, line);
    } else if (strncmp(line, "# ", 2) == 0 || strncmp(line, "<!--", 4) == 0) {
        page->headed = true; /* the page has begun with a heading of its own */
    } else if (line[0] == '\0') {
        bool headed = page->headed;
        enter(page, BLOCK_NONE);
        page->headed = headed;
    } else if (strncmp(line, "## ", 3) == 0) {
        enter(page, BLOCK_NONE);
        roff_heading(page->writer, line + 3);
        page->headed = true;
    } else if (line[0] == '|') {
        table_line(page, line);
    } else if (strncmp(line, "- ", 2) == 0) {
        enter(page, BLOCK_BULLET);
        writer_raw(page->writer, ".IP \\(bu 2\n");
        text_line(page, line + 2);
    } else if (strncmp(line, "  ", 2) == 0 && !continues) {
        enter(page, BLOCK_EXAMPLE);
        verbatim(page, line + 2);
    } else {
        enter(page, continues ? BLOCK_BULLET : BLOCK_PARAGRAPH);
        text_line(page, line + strspn(line, " "));
    }
}

void roff_markdown(struct writer *writer, const char *markdown)
{
    struct page page = {.writer = writer, .headed = true};
    char line[LINE_ROOM];
    while (*markdown != '\0') {
        size_t length = strcspn(markdown, "\n");
        snprintf(line, sizeof(line), "%.*s", (int)length, markdown);
        take_line(&page, line);
        markdown += length + (markdown[length] == '\n');
    }
    enter(&page, BLOCK_NONE);
}
