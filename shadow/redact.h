/*
 * What of a request and its answers may stand in a report: safe to print, and without values unless the file says so.
 */
#ifndef SHUNT_SHADOW_REDACT_H
#define SHUNT_SHADOW_REDACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

/* How values of one route may be shown. */
struct veil {
    enum config_sample_values values;
    const char *const *deny; /* names that are secret besides those known, lower case; borrowed */
    uint32_t deny_count;
};

static inline struct veil veil_of(const struct config_samples *samples)
{
    return (struct veil){samples->values, samples->deny, samples->deny_count};
}

static inline bool veil_hides(const struct veil *veil)
{
    return veil->values != SAMPLES_FULL;
}

/*
 * Copies text so that it is valid UTF-8 without control characters (a terminal and a JSON reader may take it as it is);
 * what is not becomes "?" byte by byte. Cut at `room` - 1 bytes, never inside a character, with "..." at the end.
 * Returns the length written; always NUL-terminated.
 */
size_t redact_clean(char *to, size_t room, const char *at, size_t len);

/* Length of the valid, printable UTF-8 character at `at` (RFC 3629) of at least one byte; 0: it is none. */
size_t redact_character(const char *at, size_t len);

/* Is this field, query parameter or JSON member known to hold a secret? Then its value is never shown, whatever the
 * file says. */
bool redact_is_secret_header(const struct veil *veil, const char *name, size_t len);
bool redact_is_secret_name(const struct veil *veil, const char *name, size_t len);

/*
 * A member name that is data rather than a name (an id, an address, a long token): it may not be shown where values are
 * not, and counting it as a field of its own would make one row for each customer.
 */
bool redact_is_data_name(const char *name, size_t len);

/*
 * Does a text look like a credential whatever it is called, or hold one: a JWT, a PEM block, "Bearer ...", the number
 * of a payment card, user and password of a URL, "password=..."? Then it is not shown even where values are.
 */
bool redact_looks_secret(const struct veil *veil, const char *at, size_t len);

enum {
    NO_COUNT = -1
};
/*
 * A value as it may be shown: the cleaned text where the veil is `full`; "<string 12>" where it is `redacted`; with
 * `hashed` "<string 12 #5f3a09bc11d2>", equal for equal values within the life of this process and of no use elsewhere;
 * "" with `none`. A secret, by its name or by its looks, is "<string 12>" at most. `type` is "string", "number", ...;
 * `count` its length, or NO_COUNT.
 */
void redact_value(char *to, size_t room, const struct veil *veil, bool secret, const char *type, int64_t count,
                  const char *at, size_t len);

/* A request target: query values become "<string 12>", path segments that look like data "<24>", and so does what
 * follows a segment that names secrets; short ids stay. With `full` only what is or looks secret. */
void redact_target(char *to, size_t room, const struct veil *veil, const char *target);

#endif
