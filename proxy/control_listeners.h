/*
 * The listeners that are open, and how they become those of another file: opened first, closed last.
 */
#ifndef SHUNT_PROXY_CONTROL_LISTENERS_H
#define SHUNT_PROXY_CONTROL_LISTENERS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "config/config.h"
#include "proxy/listen.h"

struct worker;

struct open_listener {
    char *key;     /* owned: the address as the file says it */
    uint16_t port; /* really bound; 0 for a unix socket */
    uint32_t id;   /* for worker_listen() and worker_unlisten() */
    struct listen_set set;
};

/* Zeroed: none are open. */
struct listeners {
    struct open_listener *at; /* in the file's order */
    uint32_t count;
    uint32_t last_id;
    uint32_t *ids; /* of the newest file's listeners, in its order; NULL: none yet */
};

struct listeners_plan {
    struct open_listener *at;
    uint32_t count;
    bool *is_new; /* else it is one of the listeners' own */
    uint32_t last_id;
    uint32_t *ids;
};

/*
 * Opens, for `workers` workers, what the file names and is not open yet. A line that says the same as before keeps its
 * sockets, port 0 included. Changes nothing until listeners_adopt(). False with a malloc'd sentence in *error, and
 * everything closed again that it opened.
 */
bool listeners_prepare(const struct listeners *listeners, const struct config *config, uint32_t workers,
                       struct listeners_plan *plan, char **error);
void listeners_discard(struct listeners_plan *plan);

/* The plan's file is about to be published: listeners->ids are of its listeners from now on, so that workers know them
 * before they accept on them. */
void listeners_number(struct listeners *listeners, struct listeners_plan *plan);

/* Gives new sockets to the workers, takes those the file does not name any more from them, and says each new address to
 * `opened` and each former one to `closed`. */
void listeners_adopt(struct listeners *listeners, struct listeners_plan *plan, struct worker **workers,
                     uint32_t worker_count, void (*opened)(void *context, const char *address),
                     void (*closed)(void *context, const char *address), void *context);

/* Removes the files of unix sockets: the workers are about to close them. */
void listeners_unlink(struct listeners *listeners);
void listeners_done(struct listeners *listeners);

/* The addresses really bound; new reference. */
json_t *listeners_json(const struct listeners *listeners);

#endif
