/*
 * The structural difference of two JSON documents under a route's rules.
 */
#ifndef SHUNT_SHADOW_JSON_DIFF_H
#define SHUNT_SHADOW_JSON_DIFF_H

#include "shadow/difference.h"
#include "shadow/json_doc.h"
#include "shadow/rules.h"

struct json_diff; /* buffers that are used again for every pair */

enum {
    JSON_DIFF_BUDGET = 3 * 1000 * 1000 /* units: about a sixth of a second */
};

enum json_diff_result {
    JSON_DIFF_DONE,
    JSON_DIFF_TOO_COMPLEX, /* more work than a pair is given; what was noted until then is right */
    JSON_DIFF_NO_MEMORY,
};

struct json_diff *json_diff_new(void); /* NULL without memory */
void json_diff_free(struct json_diff *diff);

/*
 * Notes every difference, with fields such as "$.items[*].price".
 *
 * Members are compared by name, in whatever order they stand; a name that occurs several times is compared occurrence
 * by occurrence. Elements are compared by position; arrays with the same elements in another order are one difference
 * ("order"); where elements were put in or taken out, those that are the same are found again in their order, and what
 * stands between them is compared by position; elements that have a key by a rule are compared with the one of the same
 * key, and their places are named by it: "$.items[id=17].price".
 * Strings are compared with their escapes resolved, numbers by their exact decimal value. What a rule covers is noted
 * as ignored.
 */
enum json_diff_result json_diff_run(struct json_diff *diff, const struct rules *rules, const struct json_doc *primary,
                                    const struct json_doc *shadow, struct difference_list *list);

/* The work of the last run, in units of which a pair is given JSON_DIFF_BUDGET: counted, so that it is the same on
 * every machine. One is about 50 ns of a release build. */
uint64_t json_diff_spent(const struct json_diff *diff);

#endif
