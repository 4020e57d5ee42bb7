/*
 * Points in time as answers write them, compared exactly.
 */
#ifndef SHUNT_SHADOW_INSTANT_H
#define SHUNT_SHADOW_INSTANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the count starts from, or runs in: two instants of different frames have no distance. */
enum instant_frame {
    INSTANT_UTC,     /* a text with a zone, an HTTP date, a date alone (its first moment) */
    INSTANT_LOCAL,   /* a date and time without a zone */
    INSTANT_SECONDS, /* numbers since 1970. Seconds here and milliseconds there is an error, not the same time */
    INSTANT_MILLISECONDS,
    INSTANT_MICROSECONDS,
    INSTANT_NANOSECONDS,
};

struct instant {
    __int128 attoseconds; /* since 1970-01-01T00:00:00 */
    enum instant_frame frame;
};

/*
 * Reads the whole text: RFC 3339 (with "T", "t" or a blank; "Z", +02:00, +0200 or +02; without a zone it is local;
 * seconds and their fraction may be absent), an ISO date, the three forms of RFC 9110 section 5.6.7 with the right day
 * of the week, or a number. False: it is none, or there is no such day or time. A 60th second is taken where there can
 * be one. Digits below an attosecond are left out of account.
 */
bool instant_read_text(struct instant *instant, const char *text, size_t len);
/* A number by JSON's grammar, seconds to nanoseconds by its size: up to 11 digits before the point are seconds, 14
 * milliseconds, 17 microseconds, 20 nanoseconds. False: larger. */
bool instant_read_number(struct instant *instant, const char *text, size_t len);

/* Are both of one frame and no further apart? */
bool instant_within(const struct instant *a, const struct instant *b, uint64_t nanoseconds);

#endif
