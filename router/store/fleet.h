/*
 * A replica's part in a fleet: what it knows of the desired state, whether it leads, what it sends and what it makes of
 * the answers. docs/fleet.md has the protocol. No I/O and no clock: proxy/control_fleet.c sends, receives and calls in
 * time. Control thread only.
 *
 *   fleet.c         this door: the link, the clock, the role, who asked what
 *   fleet_beat.c    beats: what is told, what is made of the answers
 *   fleet_items.c   all items this replica knows; kept and restored
 *   fleet_change.c  changes by the leader, people and files: waiting, sent, answered
 *   fleet_safety.c  changes for safety: kept until Redis knows them
 *   fleet_item.c    one item of desired state: compare, safer, to and from JSON
 *   fleet.lua       the other side: what Redis does with it (fleet_script.h)
 */
#ifndef SHUNT_ROUTER_STORE_FLEET_H
#define SHUNT_ROUTER_STORE_FLEET_H

#define FLEET_VERSION_MOST ((json_int_t)1 << 53) /* Lua's numbers are doubles */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct fleet;

enum {
    FLEET_FORMAT = 1,
    FLEET_BEAT_MS = 800,      /* 1.25 commands a second */
    FLEET_LEASE_MS = 1800,    /* a dead leader is replaced within this and one beat */
    FLEET_LEAD_MS = 1500,     /* after sending the last answered beat, by our own clock */
    FLEET_BEAT_LEAST_MS = 70, /* between two beats, however much there is to tell: at most 15 commands a second */
    FLEET_SETTLE_MS = 3000,   /* after Redis came back empty or older, or we became leader: nothing is raised */
    FLEET_SILENT_MS = 3000,   /* without an answer to any beat: we are cut off, whatever the link says */
    FLEET_RATE = 14,          /* operations a second in the long run, of any kind; at most 20 in any one second */
    FLEET_ITEMS_MOST = 1025,
    FLEET_NAME_MOST = 300,  /* bytes of an item's name */
    FLEET_TEXT_MOST = 6144, /* of its text, and of a change's log */
    FLEET_VIEW_MOST = 4096, /* of a replica's view, as text */
    FLEET_ID = 8,           /* characters of a change's id in an item's past */
    FLEET_PAST_MOST = 32,   /* ids an item remembers */
    FLEET_MARK_MOST = 24,   /* characters of the checksum over all changes */
    FLEET_KEYS_GROUP = 9,   /* state lease alive replicas open seq log report samples */
    FLEET_KEYS_ROUTE = 3,   /* e m w */
};

enum fleet_role {
    FLEET_CUT_OFF,  /* no Redis: alone for safety, nothing is raised */
    FLEET_FOLLOWER, /* another decides, or nobody yet */
    FLEET_LEADER
};
const char *fleet_role_name(enum fleet_role role);

enum fleet_kind {
    FLEET_BY_LEADER,
    FLEET_BY_PERSON,
    FLEET_FOR_SAFETY,
    FLEET_BY_FILE
};
const char *fleet_kind_name(enum fleet_kind kind);

/* ---- items (fleet_item.c) ---- */

struct fleet_item {
    char *name;       /* "passthrough", "route:NAME"; owned */
    uint64_t version; /* 0: it is not there */
    uint32_t share;   /* 0..10000 */
    uint32_t rank;    /* the safest is 0 */
    char *text;       /* JSON; owned; NULL with version 0 */
    char *past;       /* ids of the changes that made it, the newest first; owned; NULL: not known. Redis' to write */
};

bool fleet_item_copy(struct fleet_item *to, const struct fleet_item *from); /* false without memory: *to is empty */
void fleet_item_done(struct fleet_item *item);
/* < 0: a is safer, 0: they are the same, > 0: b is safer. Versions are not compared. */
int fleet_item_compare_safety(const struct fleet_item *a, const struct fleet_item *b);
/* What `b` is to `a`, two states of one item. By their pasts, since a Redis that came back older lets two changes have
 * one version; by versions when the pasts say nothing. */
enum fleet_relation {
    FLEET_SAME,
    FLEET_NEWER,   /* it came of `a` */
    FLEET_OLDER,   /* `a` came of it */
    FLEET_CONFLICT /* neither knew of the other: the safer stands */
};
enum fleet_relation fleet_item_relation(const struct fleet_item *a, const struct fleet_item *b);
/* The one that stands when both are known: the newer, of two that are in conflict the safer. True: `b` does. */
bool fleet_item_is_beaten(const struct fleet_item *a, const struct fleet_item *b);
/* [ NAME, VERSION, SHARE, RANK, TEXT, PAST ]; new reference, NULL without memory. */
json_t *fleet_item_json(const struct fleet_item *item);
/* False with *why (static) when it is not that. */
bool fleet_item_load(const json_t *json, struct fleet_item *item, const char **why);

/* ---- the replica ---- */

/* A wish: what the router wants an item to be. `text` and `share`, `rank` are the item's to be. */
struct fleet_change {
    enum fleet_kind kind;
    const struct fleet_item
        *items;          /* versions and pasts are ignored: those known when fleet_change() is called are expected */
    uint32_t item_count; /* 1..FLEET_ITEMS_MOST; those for safety may be told one by one */
    const char *log;     /* JSON: who, when, why, what, from, to */
    /* Called exactly once, perhaps before fleet_change() returns. `why` NULL: it is done, and on_item() has been called
     * for all that changed. Else "conflict" (it had been changed meanwhile; on_item() told how), "not_leader", "raise"
     * (by a leader that may not: fleet_may_raise()), "format", "full" (more than FLEET_ITEMS_MOST items), "busy" (too
     * much waits already, or this file's change of it does), "refused" (it is not what can be told; an order for safety
     * is kept all the same where the script said so), "cut_off" (Redis is not there: a change for safety is kept and
     * told later, others are given up), "no_answer" (nobody knows whether it happened: what on_item() tells next will
     * show). */
    void (*done)(void *context, uint64_t ticket, const char *why);
    void *context;
    uint64_t ticket;
};

/* What a beat tells besides that we live; each may be NULL. New references, taken over. */
struct fleet_beat {
    json_t *view;   /* object, when it has changed */
    json_t *open;   /* object ROUTE: why, when it has changed */
    json_t *counts; /* object "routes", "report", "samples" as docs/fleet.md has them, without "seq" */
    json_t *routes; /* array of names, in the order of counts.routes */
};

struct fleet_hooks {
    void *context;
    /* Sends an operation with the keys of the group and of these routes (array of names, borrowed; NULL: none). False:
     * not now. The answer comes by fleet_answer() with the ticket. */
    bool (*send)(void *context, uint64_t ticket, const char *operation, const json_t *routes, const char *document);
    /* Fills *beat with what there is to tell. When the answer of that beat does not come, what was told in `counts` is
     * sent again with the same sequence before this is asked for more: counts are never lost and never counted twice.
     */
    void (*fill_beat)(void *context, struct fleet_beat *beat);
    /* The desired state of an item is now this, and was not before. */
    void (*on_item)(void *context, const struct fleet_item *item);
    void (*on_role)(void *context, enum fleet_role role, uint64_t term);
    /* A beat was answered: borrowed document, see docs/fleet.md. */
    void (*on_beat)(void *context, const json_t *answer);
    /* "fleet_joined", "fleet_leader", "fleet_left", "fleet_restored" (Redis had lost state), "fleet_format" (refused),
     * "fleet_conflict",
     * ...; takes the reference of fields. */
    void (*on_event)(void *context, bool bad, const char *what, json_t *fields);
};

struct fleet_options {
    const char *replica; /* unique in the group */
    const char *boot;    /* unique for ever */
    bool may_lead;       /* see fleet_may_lead() */
};

/* Copies what it needs. NULL without memory. */
struct fleet *fleet_new(const struct fleet_options *options, const struct fleet_hooks *hooks);
void fleet_free(struct fleet *fleet); /* NULL is fine; pending changes end with "cut_off" */

/* Both are told once each time it turns. */
void fleet_connected(struct fleet *fleet, uint64_t now_ms);
void fleet_lost(struct fleet *fleet, uint64_t now_ms);
/* To be called every 25 ms. Sends beats, ends a lease that is over, sends what waited. */
void fleet_tick(struct fleet *fleet, uint64_t now_ms);
/* There is something to tell that should not wait for the next beat. */
void fleet_hurry(struct fleet *fleet);
/* `text` NULL: no answer, or an error reply; else the script's answer. Garbage is told and changes nothing. */
void fleet_answer(struct fleet *fleet, uint64_t ticket, const char *text, uint64_t now_ms);
/* What came by the channel: { "epoch": N, "items": [...] }. Garbage is counted and ignored: the next beat heals it. */
void fleet_news(struct fleet *fleet, const char *payload, size_t length, uint64_t now_ms);
void fleet_change(struct fleet *fleet, const struct fleet_change *change, uint64_t now_ms);
/* Asks the script's `read`; `done` gets the answer, NULL: there is none. False: not now. */
bool fleet_read(struct fleet *fleet, const json_t *routes, void (*done)(void *context, const json_t *answer),
                void *context);
/* A replica whose file has other plans than the group's, or that drains, does not ask for the lease. */
void fleet_may_lead(struct fleet *fleet, bool may);

enum fleet_role fleet_role(const struct fleet *fleet);
/* May a leader raise a share now? Not within FLEET_SETTLE_MS. */
bool fleet_may_raise(const struct fleet *fleet, uint64_t now_ms);
/* NULL: not known. Borrowed until the next call. */
const struct fleet_item *fleet_item(const struct fleet *fleet, const char *name);
uint64_t fleet_epoch(const struct fleet *fleet);

/* { "version": 1, "epoch", "term", "items": [...], "safety": [ changes that Redis has not been told ] }; new reference.
 */
json_t *fleet_save(const struct fleet *fleet);
/* Before anything else. Calls on_item() for each. False with *why (static) when it is not that: nothing is changed. */
bool fleet_restore(struct fleet *fleet, const json_t *saved, const char **why);
/* Grows with everything fleet_save() would show. */
uint64_t fleet_revision(const struct fleet *fleet);

/* { "role", "term", "leader", "epoch", "alive", "format", "lag_ms": since the last answered beat, ... }; new reference.
 */
json_t *fleet_status(const struct fleet *fleet, uint64_t now_ms);

#endif
