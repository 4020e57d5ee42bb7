/*
 * What fleet.c, fleet_beat.c, fleet_items.c and fleet_change.c have in common; nobody else includes it. Who may call is
 * told in fleet.h. Callbacks may come back into fleet.h at any time, fleet_free() excepted.
 */
#ifndef SHUNT_ROUTER_STORE_FLEET_INNER_H
#define SHUNT_ROUTER_STORE_FLEET_INNER_H

#include "router/store/fleet.h"

enum {
    FLEET_QUESTIONS = 32,              /* under way */
    FLEET_WISHES_MOST = 1100,          /* changes that wait */
    FLEET_DOCUMENT_BYTES = 128 * 1024, /* items of one document, about; more follow in the next */
    FLEET_LOGS_MOST = 64,              /* changes told in one document */
};

/* One item as this replica knows it. Its place in memory stays. */
struct fleet_known {
    struct fleet_item item;    /* as Redis had it last; version 0: it had not */
    struct fleet_item pending; /* ordered for safety, and Redis has not said that it knows; name NULL: nothing is */
    char *pending_log;
    uint64_t pending_order; /* grows with each order */
    bool untold;            /* on_item() is due */
    bool listed;            /* in the answer that is being looked at */
};

/* A change by the leader, a person or the file. */
struct fleet_wish {
    struct fleet_wish *next;
    enum fleet_kind kind;
    uint64_t term;
    struct fleet_item *items; /* owned; versions and pasts are what was known when it was wished */
    uint32_t item_count;
    char *log;
    bool alone; /* was refused together with others */
    void (*done)(void *context, uint64_t ticket, const char *why);
    void *context;
    uint64_t ticket;
};

/* Who ordered something for safety and waits until Redis knows. */
struct fleet_waiter {
    struct fleet_waiter *next;
    uint64_t order;
    void (*done)(void *context, uint64_t ticket, const char *why);
    void *context;
    uint64_t ticket;
};

enum fleet_question_kind {
    FLEET_ASKS_NOTHING, /* a free place */
    FLEET_ASKS_BEAT,
    FLEET_ASKS_CHANGE,
    FLEET_ASKS_SAFETY,
    FLEET_ASKS_MERGE,
    FLEET_ASKS_READ,
};

struct fleet_question {
    enum fleet_question_kind kind;
    uint64_t ticket;
    uint64_t sent_ms;
    bool had_counts;                                   /* a beat */
    uint64_t order;                                    /* safety: all up to this one are told */
    struct fleet_wish *wishes;                         /* change; owned */
    void (*done)(void *context, const json_t *answer); /* read */
    void *context;
};

struct fleet {
    struct fleet_hooks hooks;
    char *replica;
    char *boot;
    bool may_lead;
    uint64_t now_ms; /* as last told */
    uint64_t random;

    bool connected;
    bool joined; /* a beat was answered since we were connected */
    enum fleet_role role;
    uint64_t term;       /* the one we lead in; 0: we do not */
    uint64_t group_term; /* the highest we heard of */
    uint64_t lead_until_ms;
    uint64_t settle_until_ms;
    char *leader; /* NULL: none known */
    uint64_t alive, format;

    struct fleet_known **known; /* sorted by name */
    size_t known_count, known_room;
    uint64_t epoch;
    char mark[FLEET_MARK_MOST + 1];
    bool to_merge;     /* Redis lacks something we know */
    size_t merge_from; /* the first item of the next document; it goes round */
    uint64_t revision;

    uint64_t next_beat_ms, beat_sent_ms;
    uint64_t answered_ms; /* the last beat's answer came; 0: none ever */
    uint64_t proven_ms;   /* of being connected, or of the last answer */
    bool hurried;
    bool tell_all; /* Redis may not have our view and open breakers */
    bool view_untold, open_untold;
    char *view; /* as text; NULL: never told */
    json_t *open;
    json_t *counts, *counts_routes; /* told and not yet acknowledged; NULL: none */
    uint64_t counts_ms;             /* when they were first told */
    uint64_t seq;

    struct fleet_wish *wishes, **wishes_end;
    size_t wish_count;
    struct fleet_waiter *waiters, **waiters_end;
    size_t waiter_count;
    uint64_t last_order, done_order; /* the same: none is left to be told */
    bool hold_orders;                /* the last was not answered: the next beat has to be first */

    struct fleet_question questions[FLEET_QUESTIONS];
    uint64_t last_ticket;
    uint64_t credit_ms, credit_at_ms; /* of FLEET_RATE */

    bool told_format, told_garbage, told_refused, told_restored;
    uint64_t beats, unanswered, garbage, refused, lost_counts, conflicts, merges, restored;
};

/* ---- fleet.c ---- */

uint64_t fleet_chance(struct fleet *fleet, uint64_t below);
void fleet_tell(struct fleet *fleet, bool bad, const char *what, json_t *fields);
/* What the answer is that cannot be understood; told when it turns. */
void fleet_note_garbage(struct fleet *fleet, const char *what, const char *why);
void fleet_note_refused(struct fleet *fleet, const char *what, const json_t *answer);
void fleet_note_format(struct fleet *fleet, const json_t *answer);
/* Is one of these under way? */
bool fleet_asks(const struct fleet *fleet, enum fleet_question_kind kind);
/* May another operation be sent now? */
bool fleet_has_credit(const struct fleet *fleet);
/* Takes the question over when it was sent (true); steals `document`. */
bool fleet_send(struct fleet *fleet, const struct fleet_question *question, const char *operation, const json_t *routes,
                json_t *document);
/* Goes by the clock, the link and the lease; tells when it turns. */
void fleet_update_role(struct fleet *fleet);
/* Sends what waits, as far as it may be sent. */
void fleet_pump(struct fleet *fleet);

/* ---- fleet_items.c ---- */

struct fleet_known *fleet_find(const struct fleet *fleet, const char *name); /* NULL: not known */
/* NULL without memory. */
struct fleet_known *fleet_find_or_add(struct fleet *fleet, const char *name);
/* As this replica is to take it: what was ordered for safety while that is safer. */
const struct fleet_item *fleet_known_effective(const struct fleet_known *known);
/* Takes what is newer and tells on_item(). `all`: there are no others in Redis. *behind: Redis lacks something that we
 * know. False: garbage or no memory. */
bool fleet_take_items(struct fleet *fleet, const json_t *items, bool all, bool *behind);
/* The same of a whole answer with "items", "epoch" and "mark": we are as far as Redis is, or a merge follows. */
bool fleet_take_state(struct fleet *fleet, const json_t *answer);
/* Tells on_item() what has not been told. */
void fleet_tell_items(struct fleet *fleet);
void fleet_send_merge(struct fleet *fleet);
void fleet_on_merge(struct fleet *fleet, const json_t *answer);
void fleet_known_free(struct fleet_known *known);

/* ---- fleet_beat.c ---- */

void fleet_send_beat(struct fleet *fleet);
/* NULL: no answer. */
void fleet_on_beat(struct fleet *fleet, const struct fleet_question *question, const json_t *answer);

/* ---- fleet_change.c ---- */

void fleet_send_wishes(struct fleet *fleet);
/* NULL: no answer. */
void fleet_on_change(struct fleet *fleet, struct fleet_question *question, const json_t *answer);
/* What became of a change, and takes what its answer says of items: "" it is done, else why it is not (static); NULL:
 * nobody knows. *behind: Redis lacks something that we know, so that we could not take all of it. */
const char *fleet_outcome(struct fleet *fleet, const json_t *answer, bool *behind);
/* Those that wait come to nothing. */
void fleet_give_up_wishes(struct fleet *fleet);

/* ---- fleet_safety.c ---- */

void fleet_order_safety(struct fleet *fleet, const struct fleet_change *change);
void fleet_send_safety(struct fleet *fleet);
void fleet_on_safety(struct fleet *fleet, const struct fleet_question *question, const json_t *answer);
/* Nobody waits any longer; the orders stay. */
void fleet_give_up_waiting(struct fleet *fleet);

/* ---- fields of answers ---- */

/* False when it is not there or not a number from 0 to 2^53. */
bool fleet_number(const json_t *object, const char *key, uint64_t *value);
/* NULL when it is not there or longer. */
const char *fleet_text(const json_t *object, const char *key, size_t most);

#endif
