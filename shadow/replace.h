/*
 * Replacements: what a pattern (PCRE2) finds in a text gives way to another text before two answers are compared.
 *
 * Patterns are compiled as config/regex.h says: characters are those of UTF-8. All replacements of one pair take their
 * steps from one budget, so that a pattern that backtracks without end is an outcome and not a stall.
 */
#ifndef SHUNT_SHADOW_REPLACE_H
#define SHUNT_SHADOW_REPLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shadow/span.h"

enum {
    REPLACE_FAULT_ROOM = 192
};

/* What is wrong with a pattern, or with what stands for it. */
struct replace_fault {
    bool no_memory;
    size_t at; /* in the pattern, or 0 */
    char what[REPLACE_FAULT_ROOM];
};

struct replacement; /* one compiled pattern with what stands for its matches */

/*
 * `with` may name groups: $1, ${1}, $0 for all of it; $$ is a dollar sign. A group that took no part stands for
 * nothing. Keeps neither text. NULL: *fault says why (no_memory is one reason).
 */
struct replacement *replacement_new(const char *pattern, const char *with, struct replace_fault *fault);
void replacement_free(struct replacement *replacement); /* NULL is fine */

enum replace_result {
    REPLACE_DONE,        /* also when nothing was found */
    REPLACE_TOO_COMPLEX, /* the budget of this pair is used up */
    REPLACE_TOO_LARGE,   /* the result is more than REPLACE_TIMES as long as the text and REPLACE_MORE bytes */
    REPLACE_NO_MEMORY,
};

enum {
    REPLACE_TIMES = 4,
    REPLACE_MORE = 64 * 1024,
    REPLACE_BUDGET = 2 * 1000 * 1000, /* steps of matching for one pair; some tenths of a second at worst */
};

enum {
    REPLACE_SLOTS = 4 /* texts that may be in use at the same time */
};

struct replacer; /* buffers, and what is left of the budget */

struct replacer *replacer_new(void); /* NULL without memory */
void replacer_free(struct replacer *replacer);
/* A new pair: the whole budget again, large buffers are given back. */
void replacer_start(struct replacer *replacer);

/*
 * Replaces every match in *text, which then points into the replacer's buffers of `slot` where anything was
 * found, until the next call for that slot with another text. *pieces is changed by what was replaced, in whatever
 * order: two texts in which the same pieces gave way to the same come to the same sum. On anything but REPLACE_DONE
 * *text is as before.
 */
enum replace_result replacer_run(struct replacer *replacer, const struct replacement *replacement, int slot,
                                 struct span *text, uint64_t *pieces);

#endif
