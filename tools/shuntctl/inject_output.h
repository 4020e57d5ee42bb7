/*
 * Where manifests go: to standard output, to one file, or each over the file it came from.
 */
#ifndef SHUNT_SHUNTCTL_INJECT_OUTPUT_H
#define SHUNT_SHUNTCTL_INJECT_OUTPUT_H

#include "tools/shuntctl/command.h"
#include "tools/shuntctl/inject.h"

/* All of them or none; the exit code, with what is wrong told. */
int inject_write(struct ctl *ctl, const struct inject *inject);

#endif
