/*
 * Keeps what the router decided: the state and the audit trail, in a directory or in memory.
 *
 * All functions are for the control thread. What waits for a disk is done by a thread of the store's own ("state"), so
 * that a slow disk holds up nobody who does not ask to wait. The directory holds state.json (written whole to a
 * temporary file, fsynced, renamed, directory fsynced: after kill -9 it is one of the two last written), audit.jsonl
 * (one line for each change, chained by checksums; a torn last line is cut off at the next start), lock (held while a
 * process uses the directory) and, when an operator puts it there, the file `passthrough`.
 */
#ifndef SHUNT_ROUTER_STORE_STORE_H
#define SHUNT_ROUTER_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "router/router.h"

struct store;

/*
 * Opens the directory (created when missing, mode 0700; its parent must exist), takes an exclusive lock on it, and
 * repairs a torn audit line. NULL `directory` keeps nothing but the newest audit lines, in memory. On failure returns
 * NULL and a malloc'd sentence naming place, fault and remedy in *error.
 */
struct store *store_open(const char *directory, char **error);
/* Finishes what was submitted. NULL is fine. */
void store_close(struct store *store);

/* The last saved state, new reference; NULL when there is none. A damaged file is set aside (state.json.damaged-N), and
 * *warning gets a malloc'd sentence (else NULL). */
json_t *store_load(struct store *store, char **warning);

/* Sets a state.json aside that was loaded and then refused for `fault`, such as a later version's, before it is saved
 * over. *warning gets a malloc'd sentence (NULL without a directory or memory). */
void store_set_aside(struct store *store, const char *fault, char **warning);

/*
 * Appends one audit line with one writev(2): it survives the end of this process at once, and a loss of power once a
 * state submitted later is durable. Two steps, so that a decision can be acted on before a slow disk has answered.
 * False with a malloc'd sentence in *error: the line is kept in memory (bounded) and written, in order, by a later
 * call.
 */
bool store_audit(struct store *store, const struct router_event *event, char **error);

/*
 * Hands the state to the store's thread, which makes the audit trail durable, then the state. A state that is still
 * waiting is replaced. Returns a ticket for store_await(), greater than all before; 0 without memory. When it fails,
 * the former state is still whole on disk; submit again later. Costs nothing on disk when the state is what was saved
 * last.
 */
uint64_t store_submit(struct store *store, const json_t *state);

/* Waits until the ticket's state, or a later one, is durable. False with a malloc'd sentence in *error: it failed; or
 * with NULL: it is not known after `wait_ms`. */
bool store_await(struct store *store, uint64_t ticket, uint64_t wait_ms, char **error);

/* How it went since the last call: the newest durable ticket in *kept. False with a malloc'd sentence in *error when a
 * ticket after it has failed. Does not wait. */
bool store_poll(struct store *store, uint64_t *kept, char **error);

/* What was found out about the trail when it was opened. */
struct store_trail {
    uint64_t damaged; /* lines that do not fit the checksums, and an end that is missing */
    const char
        *damage; /* "PLACE/audit.jsonl:LINE: what is wrong" of the first; NULL: none. Lives as long as the store */
    uint64_t cut_bytes; /* of a torn end, cut off */
};
void store_trail(const struct store *store, struct store_trail *trail);
/* Once, at the start: the state knows of events up to `sequence`. A trail that ends before it is damaged. */
void store_expect_audit(struct store *store, uint64_t sequence);

/* An event as its audit line says it, for others to be told; new reference, NULL without memory. */
json_t *store_event_json(const struct router_event *event);

/* Audit lines that wait in memory for a disk that takes them. */
size_t store_pending(const struct store *store);
/* Audit lines given up because too many were waiting. */
size_t store_lost(const struct store *store);

/* The newest `limit` audit lines, oldest first, as an array; new reference, NULL without memory. */
json_t *store_audit_tail(struct store *store, size_t limit);

/* The audit lines behind `sequence`, oldest first, as router_history() shows events; of very many the newest. New
 * reference, NULL without memory. */
json_t *store_events_after(struct store *store, uint64_t sequence);

/* True while the file `passthrough` stands in the directory. One stat(). */
bool store_passthrough_file(const struct store *store);

const char *store_directory(const struct store *store); /* NULL: memory */

#endif
