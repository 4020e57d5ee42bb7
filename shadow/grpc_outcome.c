/*
 * gRPC outcomes: see grpc_outcome.h. Trailers, trailers in the body, and an answer of nothing but a head say the same
 * thing, so that a side that sends one is compared with a side that sends another. Compare thread.
 */
#include "shadow/grpc_outcome.h"

static const char status_name[] = "grpc-status";

static bool find_status(struct span fields, struct span *value)
{
    size_t from = 0;
    return headers_find(fields, status_name, sizeof(status_name) - 1, &from, value);
}

struct grpc_outcome grpc_outcome_of(struct span in_body, struct span trailers, struct span head)
{
    struct span value;
    struct grpc_outcome outcome = {.fields = in_body, .told = find_status(in_body, &value)};
    if (!outcome.told)
        outcome = (struct grpc_outcome){.fields = trailers, .told = find_status(trailers, &value)};
    if (!outcome.told)
        outcome = (struct grpc_outcome){.fields = head, .told = find_status(head, &value)};
    return outcome;
}

/* Without a status a client takes it for UNKNOWN. */
static bool succeeded(const struct grpc_outcome *outcome)
{
    struct span value;
    return find_status(outcome->fields, &value) && span_equal(value, (struct span){"0", 1});
}

enum replace_result grpc_outcome_compare(const struct rules *rules, const struct grpc_outcome *primary,
                                         const struct grpc_outcome *shadow, bool *apart, struct difference_list *list)
{
    uint32_t before = list->real + list->beyond;
    enum replace_result result = headers_compare_outcome(rules, primary->fields, shadow->fields, list);
    *apart = list->real + list->beyond > before && succeeded(primary) != succeeded(shadow);
    return result;
}
