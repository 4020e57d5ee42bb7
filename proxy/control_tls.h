/*
 * The TLS of listeners and backends: made from the file's certificates, keys and CAs, and again when these change.
 */
#ifndef SHUNT_PROXY_CONTROL_TLS_H
#define SHUNT_PROXY_CONTROL_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/snapshot.h"
#include "proxy/tls_context.h"

struct control_tls;
struct control_tls_plan;
struct event_base;
struct log;

struct control_tls_stats {
    uint64_t reloads;         /* listeners' and backends' TLS taken anew because of its files */
    uint64_t reload_failures; /* changed files that were refused */
    uint32_t insecure_backends;
};

/* On the loop's thread: contexts are others than before; a file of the configuration that was refused last is another,
 * and it may be good now. */
struct control_tls_events {
    void (*on_change)(void *context);
    void (*on_refused_change)(void *context);
};

/* `events` is borrowed. NULL without memory. */
struct control_tls *control_tls_new(struct event_base *base, struct log *log, const struct control_tls_events *events,
                                    void *context);
void control_tls_free(struct control_tls *tls); /* NULL is fine; not from within events */

/*
 * Two steps to another configuration: control_tls_prepare() reads all files and changes nothing; NULL with a malloc'd
 * sentence in *error, and the files are watched from then on: on_refused_change. Keys of tickets of a listener that
 * stays where it is stay, too. Takes its own reference to `holder`.
 */
struct control_tls_plan *control_tls_prepare(struct control_tls *tls, struct config_holder *holder, char **error);
void control_tls_adopt(struct control_tls *tls, struct control_tls_plan *plan);
void control_tls_discard(struct control_tls_plan *plan); /* NULL is fine */
/* A configuration was refused because these cannot be opened: on_refused_change when one of them is there. */
void control_tls_await(struct control_tls *tls, char *const *paths, size_t count);
/* What was refused last is of no interest any more. */
void control_tls_forget_refused(struct control_tls *tls);

/* In the order of the configuration that was adopted last; NULL: in clear. Borrowed. */
struct tls_context **control_tls_listeners(const struct control_tls *tls);
struct tls_context **control_tls_backends(const struct control_tls *tls);

struct control_tls_stats control_tls_stats(const struct control_tls *tls);
/* Each certificate that is shown to somebody, once for each file. Borrowed for the call. */
void control_tls_each_expiry(const struct control_tls *tls,
                             void (*each)(void *context, const struct tls_expiry *expiry), void *context);

/* Reads all files and says every fault, for --check. True when none keeps the file from being used: an expired
 * certificate is said, and does not. */
bool control_tls_check(const struct config *config, void (*on_fault)(void *context, const char *fault), void *context);

#endif
