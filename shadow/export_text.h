/*
 * What all forms of the report share: reading JSON that nobody has checked, and writing text that nothing in it can
 * break out of. Members that are missing or of another type read as "", 0 or NULL.
 */
#ifndef SHUNT_SHADOW_EXPORT_TEXT_H
#define SHUNT_SHADOW_EXPORT_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    EXPORT_FIGURE = 48
};

/* Text that grows. What is written after memory ran out is lost, and export_close() says so. */
struct export_page {
    FILE *out;
    char *text;
    size_t len;
};

bool export_open(struct export_page *page);
/* The text, malloc'd and NUL-terminated; NULL when memory ran out on the way. */
char *export_close(struct export_page *page);

/* Reading; `object` may be anything, NULL too. */
uint64_t export_count(const json_t *object, const char *key); /* negative ones are 0 */
double export_number(const json_t *object, const char *key);
bool export_has_number(const json_t *object, const char *key);
bool export_flag(const json_t *object, const char *key);
const char *export_string(const json_t *object, const char *key); /* borrowed, as it came: not clean */

/*
 * Does this difference of a sample count: no rule ignores it, and its field is not noise at the sample's endpoint?
 */
bool export_counts(const json_t *route, const json_t *sample, const json_t *difference);
/* Has the sample one that counts, or may it have one? True where it does not tell all of them. */
bool export_sample_counts(const json_t *route, const json_t *sample);

enum export_syntax {
    EXPORT_PLAIN,    /* cleaned only: one line of a terminal or of a comment */
    EXPORT_XML,      /* text or an attribute in double quotes */
    EXPORT_MARKDOWN, /* inside a paragraph or the cell of a table */
    EXPORT_YAML,     /* inside double quotes */
};

/* Writes text cleaned (redact_clean()) and then escaped, so that it stays one piece of text. */
void export_put(FILE *out, enum export_syntax syntax, const char *text);
/* A value or a path as Markdown code; nothing for "". */
void export_put_code(FILE *out, const char *text);
/*
 * One word for a POSIX shell that stands for exactly these bytes, whatever they are. What a terminal would take as a
 * command, and what a shell at a prompt would act upon while it is pasted, is written as `printf` of its number.
 */
void export_put_shell(FILE *out, const char *text);

enum {
    EXPORT_FLEET = 160
};
/* "12 replicas of a fleet together" of a report that is a fleet's, and what it lacks; false: it is one replica's, and
 * `text` is "". */
bool export_fleet(char text[EXPORT_FLEET], const json_t *report);

/* Figures; each returns `text`. */
const char *export_commas(char text[EXPORT_FIGURE], uint64_t count);
const char *export_percent(char text[EXPORT_FIGURE], double rate);    /* "0.05 %", "<0.01 %" */
const char *export_milliseconds(char text[EXPORT_FIGURE], double ms); /* "1.25 ms", "-3.0 ms", "214 ms" */
/* UTC, by strftime()'s format; "" where there is no such time. */
const char *export_clock(char text[EXPORT_FIGURE], uint64_t wall_ms, const char *format);

#endif
