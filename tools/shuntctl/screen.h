/*
 * Where text for people goes: how wide it is, whether it has colours, and text from elsewhere made harmless.
 */
#ifndef SHUNT_SHUNTCTL_SCREEN_H
#define SHUNT_SHUNTCTL_SCREEN_H

#include <stdbool.h>
#include <stdio.h>

enum tone {
    TONE_PLAIN,
    TONE_STRONG,
    TONE_FAINT,
    TONE_GOOD,
    TONE_WARN,
    TONE_BAD
};

struct screen {
    FILE *out;      /* borrowed */
    unsigned width; /* columns */
    bool color;
    bool terminal;
    bool unicode; /* lines and blocks may be drawn */
};

/* Looks at `out`, NO_COLOR, TERM, COLUMNS and the locale's names. */
void screen_init(struct screen *screen, FILE *out, bool no_color);

/* Writes text in a tone. Control characters come out as "?", so that nobody's path or header speaks to the terminal. */
void screen_write(const struct screen *screen, enum tone tone, const char *text);
/* printf, then screen_write(). */
void screen_print(const struct screen *screen, enum tone tone, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Writes text wrapped at the screen's width, each line behind `indent` blanks; ends with a newline. */
void screen_wrap(const struct screen *screen, enum tone tone, unsigned indent, const char *text);
/* Columns that UTF-8 text takes: code points, counted. */
unsigned screen_columns(const char *text);

#endif
