/*
 * The audit trail: one JSON object for each change of state, one line each, oldest first. Internal to the store.
 */
#ifndef SHUNT_ROUTER_STORE_AUDIT_H
#define SHUNT_ROUTER_STORE_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <jansson.h>

#include "router/router.h"

enum {
    AUDIT_WAITING_MOST = 1000
};

struct audit {
    const char *place;  /* the directory, for messages; NULL: lines stay in memory, the newest AUDIT_WAITING_MOST */
    int fd;             /* -1 in memory */
    off_t size;         /* the file's, up to the last whole line */
    _Atomic bool dirty; /* written since the last fsync */
    char **waiting;     /* ring of owned lines, each with its line feed, not yet in the file */
    size_t first, count;
    size_t lost; /* lines given up because the ring was full */
};

/* Opens audit.jsonl in `directory` (-1: in memory) and cuts off a torn end. `place` is borrowed. audit_close() in any
 * case. */
bool audit_open(struct audit *audit, int directory, const char *place, char **error);
void audit_close(struct audit *audit);

/* See store_audit(). */
bool audit_append(struct audit *audit, const struct router_event *event, char **error);
/* Writes the lines that wait. False as above. */
bool audit_write(struct audit *audit, char **error);
/* Waits until what is written is on the disk; the only function for another thread. False with errno. */
bool audit_fsync(struct audit *audit);
json_t *audit_tail(const struct audit *audit, size_t limit);

#endif
