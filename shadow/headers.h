/*
 * Header fields of a captured response: finding one, and comparing one with the other side's.
 */
#ifndef SHUNT_SHADOW_HEADERS_H
#define SHUNT_SHADOW_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

#include "shadow/capture.h"
#include "shadow/difference.h"
#include "shadow/rules.h"
#include "shadow/span.h"

/* The field lines of a captured head, or of the trailers; empty, but never at NULL, when none came. */
struct span headers_of(const struct capture *capture);
struct span trailers_of(const struct capture *capture);

/*
 * The next line with this name at or after *from (start with 0; moves behind it), any letter case. Its value without
 * the white space around it. False: no more.
 */
bool headers_find(struct span head, const char *name, size_t name_len, size_t *from, struct span *value);

/*
 * Notes the rules' headers that differ: "missing", "extra" or "value" at "header:NAME"; with `*`, of all but those of
 * one hop and those that differ between any two answers (a table in headers.c). Anything but REPLACE_DONE: a pattern
 * stood in the way; what was noted until then is right.
 */
enum replace_result headers_compare(const struct rules *rules, struct span primary, struct span shadow,
                                    struct difference_list *list);

/* The same for how a gRPC call ended: grpc-status, and where that is the same, grpc-message. Noted at
 * "header:grpc-status", with the path "grpc-status". */
enum replace_result headers_compare_outcome(const struct rules *rules, struct span primary, struct span shadow,
                                            struct difference_list *list);

#endif
