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
#include "router/store/chain.h"

enum {
    AUDIT_WAITING_MOST = 1000
};

struct audit {
    const char *place;  /* the directory, for messages; NULL: lines stay in memory, the newest AUDIT_WAITING_MOST */
    int fd;             /* -1 in memory */
    off_t size;         /* the file's, up to the last whole line */
    _Atomic bool dirty; /* written since the last fsync */
    char **waiting;     /* ring of owned lines, each without its seal and line feed, not yet in the file */
    size_t first, count;
    size_t lost;        /* lines given up because the ring was full */
    struct chain chain; /* of the lines in the file */
    off_t cut;          /* bytes of a torn end that audit_open() cut off */
    uint64_t damaged;   /* what did not fit when the file was opened: lines, and an end that is missing */
    char *damage;       /* owned: "PLACE/audit.jsonl:LINE: ..." of the first of them; NULL: none */
};

/* Opens audit.jsonl in `directory` (-1: in memory), cuts off a torn end and follows the chain; what does not fit there
 * is left in `damaged` and `damage` and is no failure. `place` is borrowed. audit_close() in any case. */
bool audit_open(struct audit *audit, int directory, const char *place, char **error);
void audit_close(struct audit *audit);
/* The state knows of events up to `sequence`, and the trail's last is `last`: less is a missing end. A trail without a
 * line is a new one. */
void audit_expect(struct audit *audit, uint64_t sequence, uint64_t last);

/* The event as its line says it, without the checksum; new reference, NULL without memory. */
json_t *audit_json(const struct router_event *event);

/* See store_audit(). */
bool audit_append(struct audit *audit, const struct router_event *event, char **error);
/* Writes the lines that wait. False as above. */
bool audit_write(struct audit *audit, char **error);
/* Waits until what is written is on the disk; the only function for another thread. False with errno. */
bool audit_fsync(struct audit *audit);
json_t *audit_tail(const struct audit *audit, size_t limit);

#endif
