/*
 * Rule paths into JSON: compiled once for a route, then followed side by side while two documents are walked.
 *
 * A subset of JSONPath (RFC 9535): $ .name ['name'] ["name"] [3] [*] .* ..name ..* ..['name']. Names outside quotes are
 * anything without blanks and . [ ] * ' " (so "@type" and "$ref" are names); in quotes a backslash takes the next
 * character as it is. A set of paths is one automaton: where the walk stands is a set of bits, one for each step that
 * may come next, so the cost of a member does not depend on how often the same prefix was written down.
 */
#ifndef SHUNT_SHADOW_JSON_PATH_H
#define SHUNT_SHADOW_JSON_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_path_set;

/* What is wrong with a path, and where. */
struct json_path_fault {
    size_t at;        /* offset in the text */
    const char *what; /* what was expected there; static */
};

/* NULL without memory. */
struct json_path_set *json_path_set_new(void);
void json_path_set_free(struct json_path_set *set); /* NULL is fine */

/* Adds a path under the number `id`. False: *fault says why (`what` is "no memory" when that is the cause); the set is
 * as before. */
bool json_path_set_add(struct json_path_set *set, const char *text, uint32_t id, struct json_path_fault *fault);

/* Is `text` a path? For checking a configuration. */
bool json_path_is_valid(const char *text, struct json_path_fault *fault);

/* Words of 64 bits that one position takes; 0 while the set is empty. Fixed once the first position is made. */
uint32_t json_path_words(const struct json_path_set *set);

/* The position at the root, `$`. Positions have json_path_words() words and belong to the caller. */
void json_path_root(const struct json_path_set *set, uint64_t *position);
/* From `from` down to a member or an element. False: no path leads there or below, *to is empty. */
bool json_path_into_member(const struct json_path_set *set, const uint64_t *from, const char *name, size_t len,
                           uint64_t *to);
bool json_path_into_element(const struct json_path_set *set, const uint64_t *from, uint32_t index, uint64_t *to);

/* Calls back with the id of each path that ends exactly here. */
void json_path_matches(const struct json_path_set *set, const uint64_t *position,
                       void (*match)(void *context, uint32_t id), void *context);

#endif
