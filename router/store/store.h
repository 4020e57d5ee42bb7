/*
 * Keeps what the router decided: the state and the audit trail, in a directory or in memory.
 *
 * Control thread only. The directory holds state.json (written whole to a temporary file, fsynced, renamed, directory
 * fsynced: after kill -9 it is one of the two last written), audit.jsonl (one line for each change; a torn last line is cut
 * off at the next start), lock (held while a process uses the directory) and, when an operator puts it there, the file
 * `passthrough`.
 */
#ifndef SHUNT_ROUTER_STORE_STORE_H
#define SHUNT_ROUTER_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "router/router.h"

struct store;

/*
 * Opens the directory (created when missing, mode 0700; its parent must exist), takes an exclusive lock on it, and repairs
 * a torn audit line. NULL `directory` keeps nothing but the newest audit lines, in memory. On failure returns NULL and a
 * malloc'd sentence naming place, fault and remedy in *error.
 */
struct store *store_open(const char *directory, char **error);
void store_close(struct store *store); /* NULL is fine */

/* The last saved state, new reference; NULL when there is none. A damaged file is set aside (state.json.damaged-N), and
 * *warning gets a malloc'd sentence (else NULL). */
json_t *store_load(struct store *store, char **warning);

/* Durable when it returns true. False with a malloc'd sentence in *error: the former state is still whole on disk; call
 * again later. Costs nothing when the state is what was saved last. */
bool store_save(struct store *store, const json_t *state, char **error);

/*
 * Appends one audit line. It survives the end of this process at once, and a loss of power after store_sync(): two steps,
 * so that a decision can be acted on before a slow disk has answered. False as above; the line is kept in memory (bounded)
 * and written, in order, by the next store_audit() or store_sync().
 */
bool store_audit(struct store *store, const struct router_event *event, char **error);
/* Writes audit lines that could not be written before, and waits until all are on the disk. False as above. */
bool store_sync(struct store *store, char **error);
/* Audit lines that wait in memory for a disk that takes them. */
size_t store_pending(const struct store *store);
/* Audit lines given up because too many were waiting. */
size_t store_lost(const struct store *store);

/* The newest `limit` audit lines, oldest first, as an array; new reference, NULL without memory. */
json_t *store_audit_tail(struct store *store, size_t limit);

/* True while the file `passthrough` stands in the directory. One stat(). */
bool store_passthrough_file(const struct store *store);

const char *store_directory(const struct store *store); /* NULL: memory */

#endif
