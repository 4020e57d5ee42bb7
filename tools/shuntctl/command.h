/*
 * What a command is, and what it is handed. Each command lives in the file of its noun; command.c has the table.
 */
#ifndef SHUNT_SHUNTCTL_COMMAND_H
#define SHUNT_SHUNTCTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "tools/shuntctl/client.h"
#include "tools/shuntctl/options.h"
#include "tools/shuntctl/screen.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,     /* shunt refused, a check failed, a verdict is `fail` */
    EXIT_USAGE = 2,       /* the command line is wrong */
    EXIT_UNDECIDED = 3,   /* not enough evidence yet */
    EXIT_UNREACHABLE = 4, /* no answer from a shunt */
};

struct ctl {
    struct options options;
    struct client client; /* not set up for commands that are local */
    struct screen screen; /* standard output */
    FILE *err;
};

struct command {
    const char *name;
    const char *arguments; /* "ROUTE [PERCENT]"; empty: none */
    size_t least, most;    /* words after the name */
    unsigned groups;       /* of flags it takes beside the global ones */
    bool local;            /* asks no shunt */
    int (*run)(struct ctl *ctl, const struct command *command, const char *const *words);
    const char *summary;
    const char *details; /* paragraphs and examples for --help; may be empty */
};

/* The commands in their order; NULL behind the last. */
const struct command *command_at(size_t index);
/* NULL when there is none of that name. */
const struct command *command_find(const char *name);
/* The nearest name to a misspelt one; NULL when none is near. */
const char *command_nearest(const char *name);
void command_overview(FILE *out);
/* Each of the exit codes, a sentence; NULL where there is none. */
const char *command_exit_code(unsigned code);
void command_help(FILE *out, const struct command *command);

/* "shuntctl: ..." on standard error. Returns `code`. */
int complain(const struct ctl *ctl, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Parses the command line, runs the command, returns the exit code. */
int shuntctl_run(int argc, char **argv);

/* The commands. */
int run_status(struct ctl *ctl, const struct command *command, const char *const *words);
int run_plan(struct ctl *ctl, const struct command *command, const char *const *words);
int run_watch(struct ctl *ctl, const struct command *command, const char *const *words);
int run_fleet(struct ctl *ctl, const struct command *command, const char *const *words);
int run_routes(struct ctl *ctl, const struct command *command, const char *const *words);
int run_gates(struct ctl *ctl, const struct command *command, const char *const *words);
int run_verdict(struct ctl *ctl, const struct command *command, const char *const *words);
int run_report(struct ctl *ctl, const struct command *command, const char *const *words);
int run_compare(struct ctl *ctl, const struct command *command, const char *const *words);
int run_verb(struct ctl *ctl, const struct command *command, const char *const *words);
int run_set_percent(struct ctl *ctl, const struct command *command, const char *const *words);
int run_passthrough(struct ctl *ctl, const struct command *command, const char *const *words);
int run_drain(struct ctl *ctl, const struct command *command, const char *const *words);
int run_reload(struct ctl *ctl, const struct command *command, const char *const *words);
int run_explain(struct ctl *ctl, const struct command *command, const char *const *words);
int run_simulate(struct ctl *ctl, const struct command *command, const char *const *words);
int run_inject(struct ctl *ctl, const struct command *command, const char *const *words);
int run_check(struct ctl *ctl, const struct command *command, const char *const *words);
int run_history(struct ctl *ctl, const struct command *command, const char *const *words);
int run_audit(struct ctl *ctl, const struct command *command, const char *const *words);
int run_config(struct ctl *ctl, const struct command *command, const char *const *words);
int run_ready(struct ctl *ctl, const struct command *command, const char *const *words);
int run_completion(struct ctl *ctl, const struct command *command, const char *const *words);
int run_manual(struct ctl *ctl, const struct command *command, const char *const *words);

#endif
