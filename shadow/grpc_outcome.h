/*
 * How the gRPC calls of a pair ended: 200 is what HTTP says of all of them.
 */
#ifndef SHUNT_SHADOW_GRPC_OUTCOME_H
#define SHUNT_SHADOW_GRPC_OUTCOME_H

#include "shadow/headers.h"

/* Of one side: the field lines that say it. */
struct grpc_outcome {
    struct span fields;
    bool told; /* there is a grpc-status */
};

/* What says it: the trailers in a gRPC-Web body (empty where there are none), the trailers, or the head of an answer
 * that has nothing else. */
struct grpc_outcome grpc_outcome_of(struct span in_body, struct span trailers, struct span head);

/*
 * Notes grpc-status and grpc-message where they differ. *apart: one call succeeded and the other did not, and no rule
 * ignores it, so that looking further would find one cause many times.
 */
enum replace_result grpc_outcome_compare(const struct rules *rules, const struct grpc_outcome *primary,
                                         const struct grpc_outcome *shadow, bool *apart, struct difference_list *list);

#endif
