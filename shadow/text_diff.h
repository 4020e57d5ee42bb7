/*
 * How two texts differ by lines: where first, and in how many lines.
 */
#ifndef SHUNT_SHADOW_TEXT_DIFF_H
#define SHUNT_SHADOW_TEXT_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text_line {
    const char *at; /* without its line feed; NULL when there is none */
    size_t len;
};

struct text_difference {
    uint32_t line;                  /* number of the first line that differs, from 1; 0: the texts are the same */
    uint32_t removed;               /* lines only the first text has */
    uint32_t added;                 /* lines only the second text has */
    bool exact;                     /* false: too different to count, removed and added are upper bounds */
    struct text_line first, second; /* the first line that differs; of a text that ends before it, `at` is NULL */
};

struct text_diff; /* buffers that are used again */

struct text_diff *text_diff_new(void); /* NULL without memory */
void text_diff_free(struct text_diff *diff);

/* False without memory. Lines end with LF; a CR before it belongs to the line. */
bool text_diff_run(struct text_diff *diff, const char *a, size_t a_len, const char *b, size_t b_len,
                   struct text_difference *difference);

#endif
