/*
 * Is an audit trail as shunt wrote it?
 */
#ifndef SHUNT_SHUNTCTL_AUDIT_VERIFY_H
#define SHUNT_SHUNTCTL_AUDIT_VERIFY_H

#include "tools/shuntctl/command.h"

/* `path`: an audit.jsonl, or a state directory. Returns the exit code: EXIT_REFUSED when a line does not fit,
 * EXIT_UNDECIDED when none has a checksum or none is there although there have been events, EXIT_USAGE when the file
 * cannot be read. */
int audit_verify(struct ctl *ctl, const char *path);

#endif
