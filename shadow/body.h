/*
 * The bodies of a pair, compared by what they are: JSON, XML, forms and protobuf by structure, text by lines, anything
 * else by bytes.
 */
#ifndef SHUNT_SHADOW_BODY_H
#define SHUNT_SHADOW_BODY_H

#include "shadow/compare.h"
#include "shadow/rules.h"

struct body_judge; /* buffers that are used again for every pair */

struct body_judge *body_judge_new(void); /* NULL without memory */
void body_judge_free(struct body_judge *judge);
/* See compare_bound(). */
void body_judge_bound(struct body_judge *judge, const struct compare_bounds *bounds);

/* Are they the same bytes? Of truncated bodies, by length and digest. */
bool body_is_same(const struct capture *primary, const struct capture *shadow);

/* Notes how two bodies that are not the same bytes differ. Returns what stood in the way, or OBSTACLE_NONE. */
enum obstacle body_compare(struct body_judge *judge, const struct rules *rules, const struct pair *pair,
                           struct difference_list *list);

#endif
