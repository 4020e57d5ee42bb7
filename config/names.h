/*
 * Names: which characters they may have, which known one a wrong one is near to, where a known one belongs.
 */
#ifndef SHUNT_CONFIG_NAMES_H
#define SHUNT_CONFIG_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "config/arena.h"

enum {
    NAME_BYTES = 64
}; /* of routes, backends, stages */

/* 1 to NAME_BYTES letters, digits, "_", "." and "-"; and "-" alone is kept for requests without a route. */
bool name_is_valid(const char *name);

/* RFC 9110 section 5.6.2: what methods, header names and cookie names are made of. */
bool name_is_token(const char *name);

/* The known name nearest to a wrong one, for "did you mean". */
struct name_guess {
    const char *wanted;
    const char *best;
    size_t distance;
};

void name_guess_try(struct name_guess *guess, const char *candidate);
/* NULL when nothing is near enough to be a slip of the finger. */
const char *name_guess_best(const struct name_guess *guess);

/* The heading of the only section that has this key ("routes[].shadow"), or NULL when there is none or several. */
const char *config_key_home(const char *key);

/* The text in double quotes, as YAML reads it back; a "$" stays as it is. NULL without memory. */
const char *config_yaml_quote(struct config_arena *arena, const char *text);

#endif
