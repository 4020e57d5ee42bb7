/*
 * The names of gRPC's statuses. Pure functions, any thread.
 */
#include "config/grpc_names.h"

#include <stddef.h>
#include <stdint.h>
#include <strings.h>

#include "config/scalar.h"

static const char *const names[GRPC_STATUSES] = {
    [0] = "OK",
    [1] = "CANCELLED",
    [2] = "UNKNOWN",
    [3] = "INVALID_ARGUMENT",
    [4] = "DEADLINE_EXCEEDED",
    [5] = "NOT_FOUND",
    [6] = "ALREADY_EXISTS",
    [7] = "PERMISSION_DENIED",
    [8] = "RESOURCE_EXHAUSTED",
    [9] = "FAILED_PRECONDITION",
    [10] = "ABORTED",
    [11] = "OUT_OF_RANGE",
    [12] = "UNIMPLEMENTED",
    [13] = "INTERNAL",
    [14] = "UNAVAILABLE",
    [15] = "DATA_LOSS",
    [16] = "UNAUTHENTICATED",
};

const char *grpc_name(unsigned status)
{
    return status < GRPC_STATUSES ? names[status] : NULL;
}

bool grpc_named(const char *text, unsigned *status)
{
    uint64_t number;
    if (scalar_count(text, &number) == SCALAR_OK) {
        if (number >= GRPC_STATUSES)
            return false;
        *status = (unsigned)number;
        return true;
    }
    for (unsigned i = 0; i < GRPC_STATUSES; i++) {
        if (strcasecmp(names[i], text) == 0) {
            *status = i;
            return true;
        }
    }
    return false;
}
