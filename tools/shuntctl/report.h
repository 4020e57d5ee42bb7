/*
 * A report in the form the command line asks for, on standard output or in a file: for `report` and `compare`.
 */
#ifndef SHUNT_SHUNTCTL_REPORT_H
#define SHUNT_SHUNTCTL_REPORT_H

#include "shadow/export.h"
#include "tools/shuntctl/command.h"

/* NULL: it was complained about, and the exit code is EXIT_USAGE. */
const struct export_format *report_format(struct ctl *ctl);

/*
 * Can --output be written to? Leaves nothing behind. For who has long work to do before there is
 * something to write. False: it was complained about.
 */
bool report_can_be_written(const struct ctl *ctl);

/* Returns an exit code: EXIT_DONE, or EXIT_USAGE when the file cannot be written. */
int report_print(struct ctl *ctl, const json_t *report, const struct export_format *format);

#endif
