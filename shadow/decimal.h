/*
 * Decimal numbers as JSON writes them, compared exactly: 1, 1.0 and 10e-1 are equal, 9007199254740993 and
 * 9007199254740992 are not, and 1.10 is within 0.01 of 1.11. Nothing is turned into a double.
 */
#ifndef SHUNT_SHADOW_DECIMAL_H
#define SHUNT_SHADOW_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Points into the text it was read from: 0.DIGITS x 10^exponent, no leading and no trailing zeros. */
struct decimal {
    const char *digits; /* may contain one "." */
    const char *end;
    int64_t exponent;
    bool negative;
    bool zero;
    bool huge; /* the written exponent has no use: equal to nothing but the same text */
};

/* `text` is a number by JSON's grammar (RFC 8259 section 6), checked by the caller. */
void decimal_read(struct decimal *decimal, const char *text, size_t len);
bool decimal_equal(const struct decimal *a, const struct decimal *b);
/* Equal numbers have equal hashes. */
uint64_t decimal_hash(const struct decimal *decimal);

/* |a - b| / max(|a|, |b|), from 0 to 2, to some digits; 1 where an exponent has no use. */
double decimal_apart(const struct decimal *a, const struct decimal *b);

enum {
    TOLERANCE_ROOM = 32
};

/* A bound made from a configured amount; its decimal points into `text`, so it must not be moved once made. */
struct tolerance {
    char text[TOLERANCE_ROOM];
    struct decimal amount;
    bool relative;
};

/* `amount` is taken as the shortest decimal that reads back as the same double: 0.01 is 0.01. Negative or not finite:
 * 0. */
void tolerance_init(struct tolerance *tolerance, double amount, bool relative);

/*
 * Is |a - b| <= amount (absolute), or <= amount x max(|a|, |b|) (relative)? Exact for numbers whose digits span at most
 * 1,024 places; places below that are left out of account.
 */
bool decimal_within(const struct decimal *a, const struct decimal *b, const struct tolerance *tolerance);

#endif
