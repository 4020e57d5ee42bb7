/*
 * The screen: tones, width, wrapping, and what may not pass to a terminal.
 *
 * Everything shuntctl prints for people goes through here or through table.c, which stands on it. One thread.
 */
#include "tools/shuntctl/screen.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    WIDTH_UNKNOWN = 120,
    WIDTH_LEAST = 40,
    WIDTH_MOST = 400
};

static const char *const tone_codes[] = {
    [TONE_PLAIN] = "",        [TONE_STRONG] = "\033[1m", [TONE_FAINT] = "\033[2m",
    [TONE_GOOD] = "\033[32m", [TONE_WARN] = "\033[33m",  [TONE_BAD] = "\033[1;31m",
};

static unsigned width_of(FILE *out)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    unsigned long width = columns != NULL ? strtoul(columns, NULL, 10) : 0;
    if (width == 0 && ioctl(fileno(out), TIOCGWINSZ, &size) == 0)
        width = size.ws_col;
    if (width == 0)
        return WIDTH_UNKNOWN;
    return width < WIDTH_LEAST ? WIDTH_LEAST : width > WIDTH_MOST ? WIDTH_MOST : (unsigned)width;
}

/* By the variable that decides on characters, as setlocale() would read them; nothing is set. */
static bool locale_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *locale = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && (locale == NULL || locale[0] == '\0'); i++)
        locale = getenv(names[i]);
    return locale != NULL && (strcasestr(locale, "utf-8") != NULL || strcasestr(locale, "utf8") != NULL);
}

void screen_init(struct screen *screen, FILE *out, bool no_color)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
    screen->out = out;
    screen->terminal = isatty(fileno(out)) == 1;
    screen->width = width_of(out);
    screen->unicode = locale_is_utf8();
    screen->color = screen->terminal && !no_color && (none == NULL || none[0] == '\0') &&
                    (term == NULL || strcmp(term, "dumb") != 0);
}

/* C0 without newline and tab, DEL, and C1 in UTF-8 (C2 80..9F). Bytes to replace at `at`; 0: harmless. */
static size_t harmful(const char *at)
{
    unsigned char c = (unsigned char)at[0], next = (unsigned char)at[1];
    if (c < 0x20)
        return c != '\n' && c != '\t';
    if (c == 0x7f)
        return 1;
    return c == 0xc2 && next >= 0x80 && next <= 0x9f ? 2 : 0;
}

static void write_harmless(FILE *out, const char *text, size_t length)
{
    for (const char *end = text + length; text < end;) {
        size_t bytes = harmful(text);
        putc(bytes > 0 ? '?' : *text, out);
        text += bytes > 0 ? bytes : 1;
    }
}

void screen_write(const struct screen *screen, enum tone tone, const char *text)
{
    size_t length = strlen(text);
    bool line = length > 0 && text[length - 1] == '\n'; /* the newline is never painted */
    length -= line;
    bool painted = screen->color && tone != TONE_PLAIN && length > 0;
    if (painted)
        fputs(tone_codes[tone], screen->out);
    write_harmless(screen->out, text, length);
    if (painted)
        fputs("\033[0m", screen->out);
    if (line)
        putc('\n', screen->out);
}

void screen_print(const struct screen *screen, enum tone tone, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        return;
    screen_write(screen, tone, text);
    free(text);
}

unsigned screen_columns(const char *text)
{
    unsigned columns = 0;
    for (; *text != '\0'; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

/* Bytes up to the next blank; one before a per cent sign is none, as "31.0 %" is one word. */
static size_t word_bytes(const char *at)
{
    size_t bytes = strcspn(at, " ");
    while (strncmp(at + bytes, " %", 2) == 0)
        bytes += 1 + strcspn(at + bytes + 1, " ");
    return bytes;
}

/* Bytes of `text` that fit in `columns`, up to a blank where there is one; at least a word. */
static size_t line_bytes(const char *text, unsigned columns)
{
    size_t fits = 0;
    unsigned used = 0;
    for (const char *at = text; *at != '\0';) {
        size_t blanks = strspn(at, " "), word = word_bytes(at + blanks);
        for (size_t i = 0; i < blanks + word; i++)
            used += ((unsigned char)at[i] & 0xc0) != 0x80;
        if (used > columns && fits > 0)
            break;
        at += blanks + word;
        fits = (size_t)(at - text);
    }
    return fits;
}

void screen_wrap(const struct screen *screen, enum tone tone, unsigned indent, const char *text)
{
    unsigned columns = screen->width > indent ? screen->width - indent : 1;
    while (*(text += strspn(text, " ")) != '\0') {
        size_t bytes = line_bytes(text, columns);
        fprintf(screen->out, "%*s", (int)indent, "");
        screen_print(screen, tone, "%.*s", (int)bytes, text);
        fputc('\n', screen->out);
        text += bytes;
    }
}
