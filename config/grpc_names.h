/*
 * The names of gRPC's statuses, 0 (OK) to 16 (UNAUTHENTICATED): https://grpc.io/docs/guides/status-codes/
 */
#ifndef SHUNT_CONFIG_GRPC_NAMES_H
#define SHUNT_CONFIG_GRPC_NAMES_H

#include <stdbool.h>

enum {
    GRPC_STATUSES = 17
};

/* "UNAVAILABLE" of 14; NULL for a status beyond 16. */
const char *grpc_name(unsigned status);

/* The status of a name, in upper or lower case, or of its number. False for anything else. */
bool grpc_named(const char *text, unsigned *status);

#endif
