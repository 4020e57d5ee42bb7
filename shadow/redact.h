/*
 * What of a request and its answers may stand in a report: safe to print, and without values unless the file says so.
 */
#ifndef SHUNT_SHADOW_REDACT_H
#define SHUNT_SHADOW_REDACT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Copies text so that it is valid UTF-8 without control characters (a terminal and a JSON reader may take it as it is);
 * what is not becomes "?" byte by byte. Cut at `room` - 1 bytes, never inside a character, with "..." at the end.
 * Returns the length written; always NUL-terminated.
 */
size_t redact_clean(char *to, size_t room, const char *at, size_t len);

/* Is this field, query parameter or JSON member known to hold a secret? Then its value is never shown, whatever the
 * file says. */
bool redact_is_secret_header(const char *name, size_t len);
bool redact_is_secret_name(const char *name, size_t len);

/*
 * A member name that is data rather than a name (an id, an address, a long token): it may not be shown where values are
 * not, and counting it as a field of its own would make one row for each customer.
 */
bool redact_is_data_name(const char *name, size_t len);

/* A value as it may be shown: "<string 12>" where redacted, else the cleaned text. `type` is "string", "number", ... */
void redact_value(char *to, size_t room, bool redact, const char *type, size_t count, const char *at, size_t len);

/* A request target: query values become "<string 12>", path segments that look like data "<24>". */
void redact_target(char *to, size_t room, bool redact, const char *target);

#endif
