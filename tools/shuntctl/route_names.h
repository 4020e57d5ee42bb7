/*
 * The routes of a file, for those who named none or one that is not there.
 */
#ifndef SHUNT_SHUNTCTL_ROUTE_NAMES_H
#define SHUNT_SHUNTCTL_ROUTE_NAMES_H

#include "config/config.h"
#include "tools/shuntctl/command.h"

enum route_kind {
    ROUTES_ALL,
    ROUTES_WITH_STAGES
};

/* Complains of `fault`, with the routes of that kind there are, and first the one whose name is near to --route.
 * Returns EXIT_USAGE. */
int route_names_complain(const struct ctl *ctl, const struct config *config, enum route_kind kind, const char *fault);

#endif
