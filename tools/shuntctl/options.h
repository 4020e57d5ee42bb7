/*
 * shuntctl's command line: words (command and its arguments) and flags, in any order.
 *
 * One table of flags (options.c) is read by the parser, by --help and by the check that a command knows the flag it
 * got.
 */
#ifndef SHUNT_SHUNTCTL_OPTIONS_H
#define SHUNT_SHUNTCTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    OPTIONS_WORDS = 8,
    OPTIONS_HEADERS = 64,
    OPTIONS_GIVEN = 80,
    OPTIONS_FILES = 64
};

/* Flags that belong to single commands; a command names those it takes. Global flags are taken by all. */
enum option_group {
    GROUP_GLOBAL = 0,
    GROUP_WHO = 1 << 0,
    GROUP_REASON = 1 << 1,
    GROUP_FORCE = 1 << 6,
    GROUP_LIMIT = 1 << 2,
    GROUP_WATCH = 1 << 3,  /* --count, --interval */
    GROUP_HEADER = 1 << 4, /* -H */
    GROUP_RESET = 1 << 5,
    GROUP_CLIENT = 1 << 7,
    GROUP_REPORT = 1 << 8,   /* in which form, and where to */
    GROUP_RULES = 1 << 9,    /* --suggest-rules */
    GROUP_VERDICT = 1 << 10, /* --limit as a share, --confidence */
    GROUP_WAIT = 1 << 11,
    GROUP_COMPARE = 1 << 12,
    GROUP_STATE = 1 << 13, /* --wait for a state, --timeout of that */
    GROUP_SINCE = 1 << 14,
    GROUP_SIMULATE = 1 << 15,
    GROUP_LOCAL = 1 << 16,  /* of passthrough */
    GROUP_FLEET = 1 << 17,  /* of a report */
    GROUP_CANCEL = 1 << 18, /* of draining */
    GROUP_INJECT = 1 << 19,
    GROUP_CHANGE = GROUP_WHO | GROUP_REASON,
};

/* A flag that means another thing with another command; options_settle() knows which. */
struct option_given {
    const char *name, *value;
    char letter; /* it was given by; 0: by its name */
};

/* What simulate assumes, as written; NULL or 0 where not given. */
struct option_traffic {
    const char *rate, *legacy_errors, *new_errors, *latency, *new_latency, *mismatch, *daily;
    uint64_t runs, seed, time_ms;
};

/* Of inject, as written; NULL where not given. */
struct option_inject {
    const char *files[OPTIONS_FILES];
    size_t file_count;
    const char *image, *configmap, *token_secret, *port, *pre_stop, *app_pre_stop, *only;
    bool native, classic, no_service, in_place, uninject;
};

struct options { /* text is borrowed from argv and the environment */
    const char *admin;
    const char *token_file;
    const char *reason;
    const char *who;
    const char *client;
    const char *headers[OPTIONS_HEADERS]; /* "Name: value" */
    size_t header_count;
    const char *words[OPTIONS_WORDS];
    size_t word_count;
    uint64_t timeout_ms;
    uint64_t limit; /* 0: the server's default */
    uint64_t count; /* of watch; 0: for ever */
    uint64_t interval_ms;
    const char *format, *output;         /* of a report; NULL: text, standard output */
    const char *legacy, *new, *requests; /* of compare */
    const char *config, *route, *methods;
    uint64_t samples;               /* of each field; 0: as the format has it */
    uint64_t rate, concurrency;     /* requests a second, requests at once */
    uint64_t wait_ms;               /* 0: do not wait */
    uint64_t wait_most_ms;          /* of status --wait; 0: for as long as it takes */
    uint64_t since_ms;              /* how far back; 0: not asked for */
    const char *state;              /* of status --wait; NULL: do not wait */
    double most, confidence, noise; /* fractions; negative: not given */
    struct option_traffic traffic;  /* of simulate */
    struct option_inject inject;
    bool json, no_color, help, version, force, reset, all, html, suggest_rules, insecure, local, fleet, cancel;
    unsigned seen; /* groups of the flags that were given */
    struct option_given given[OPTIONS_GIVEN];
    size_t given_count;
};

/*
 * Fills in defaults and environment (SHUNT_ADMIN, SHUNT_TOKEN_FILE), then the command line. False with a malloc'd
 * sentence in *error (NULL without memory).
 */
bool options_parse(struct options *options, int argc, char **argv, char **error);

/* Takes the flags whose meaning hangs on the command, as one that takes `groups` means them. Same answer. */
bool options_settle(struct options *options, unsigned groups, char **error);

/* The name of a flag that was given and is in none of `groups`; NULL when there is none. After options_settle(). */
const char *options_stranger(const struct options *options, unsigned groups);

/* What a flag is, for whoever lists them. */
struct option_fact {
    const char *name;
    char letter;          /* 0: none */
    const char *argument; /* NULL: a switch, without one */
    const char *help;
    bool repeats; /* may be given more than once */
};

/* The flags in these groups, one after the other; global ones when `groups` is GROUP_GLOBAL. Begin with *at = 0; false
 * when there are no more. */
bool options_next(size_t *at, unsigned groups, struct option_fact *fact);

/* Help lines of the flags in these groups; global ones when `groups` is GROUP_GLOBAL. */
void options_help(FILE *out, unsigned groups);

#endif
