/*
 * The inside of this replica's part in its fleet, for the control_fleet*.c files. Control thread.
 */
#ifndef SHUNT_PROXY_CONTROL_FLEET_INSIDE_H
#define SHUNT_PROXY_CONTROL_FLEET_INSIDE_H

#include "proxy/control_fleet.h"
#include "proxy/control_inside.h"
#include "proxy/fleet_keys.h"

enum {
    FLEET_WAITERS_MOST = 64,
    FLEET_ID_ROOM = 160,
    FLEET_ROUTE_ITEM_ROOM = 6 + 256,
};

/* The names of items. */
#define FLEET_PASSTHROUGH  "passthrough"
#define FLEET_ROUTE_PREFIX "route:"

struct report_fleet; /* shadow/report_fleet.h */

struct asked;  /* control_fleet_wish.c */
struct reader; /* control_fleet_status.c */

/* Those who want the answer to one operation. */
struct readers {
    struct control_fleet *fleet;
    const char *operation;
    struct reader *asked;   /* whose question is under way */
    struct reader *waiting; /* whose is not */
};
enum {
    FLEET_READINGS = 2,
    FLEET_READERS_MOST = 256,
};

/* Somebody who waits for the wish of a command. */
struct expected {
    uint64_t ticket; /* 0: free */
    struct control_waiter waiter;
};

struct control_fleet {
    struct control *control;
    struct config_holder *holder; /* one reference */
    struct redis *redis;
    struct fleet *fleet;
    struct fleet_keys keys;
    char *group; /* that of the keys, whatever the file in use says */
    char id[FLEET_ID_ROOM];
    char boot[17];
    char file[17]; /* hash of all plans in the file */
    bool ready;    /* the first items have been adopted: from now on changes are published */
    struct expected expected[FLEET_WAITERS_MOST];
    uint64_t last_ticket;
    struct asked *asked;       /* wishes under way */
    json_t *view, *open;       /* as last told; owned */
    struct report_fleet *told; /* of the report; owned */
    uint64_t stamp, stamp_read, read_at_ms, reading_since_ms;
    json_t *reading; /* names of the routes that are being read; owned, NULL: none are */
    uint64_t alive, term, beaten_ms, conflicts;
    uint64_t other_file, look_at_ms; /* replicas whose file is another, as the leader saw them last; the next look */
    bool looking, looked;            /* a look is under way; one has been answered since we lead */
    struct readers readers[FLEET_READINGS];
    unsigned reader_count;
    char leader[FLEET_ID_ROOM];
};

static inline const struct config_redis *control_fleet_config(const struct control_fleet *fleet)
{
    return &fleet->holder->config->state.redis;
}

/* The name of a route's item, in `name`, which is returned. */
const char *control_fleet_item_name(char name[FLEET_ROUTE_ITEM_ROOM], const char *route);
/* NULL: it is not the item of a route. */
const char *control_fleet_route(const char *item);
/* After a change of the router: publishes and saves it, once the start is over. */
void control_fleet_settle(struct control_fleet *fleet);

/* ---- control_fleet_status.c ---- */

/* Looks now and then whether all replicas have the same file; for the leader. */
void control_fleet_compare_files(struct control_fleet *fleet, uint64_t now_ms);

/* ---- control_fleet_status.c ---- */

void control_fleet_begin_readers(struct control_fleet *fleet);
/* Asks what waits, as far as FLEET_RATE lets it; where Redis is not there, all are told so. */
void control_fleet_serve_readers(struct control_fleet *fleet);
/* All are told that there is no answer. */
void control_fleet_end_readers(struct control_fleet *fleet);

/* ---- control_fleet_wish.c ---- */

/* Is a wish of ours for this item under way? One that turns passthrough on? */
bool control_fleet_asks(const struct control_fleet *fleet, const char *item);
bool control_fleet_turns_on(const struct control_fleet *fleet);
/* Turns this process' switch. */
void control_fleet_turn(struct control_fleet *fleet, bool on, const char *who, const char *why);
/* Tells whoever still waits that shunt ends. */
void control_fleet_refuse(struct control_fleet *fleet);

#endif
