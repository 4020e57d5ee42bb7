/*
 * The protocol of a fleet (docs/fleet.md, router/store/fleet.lua and fleet*.c), for spin: a few replicas, one item, and a
 * Redis that is restarted as it was, older or empty. What no step may do is asserted in it; what must hold when everybody
 * has heard of everything, by the process `server`. `run` checks it, and that it fails without what the protocol lives by.
 *
 * An item's value is 0 (safe: passthrough on, share 0) or 1 (raised). Its past is a set of changes, one bit each. There is no
 * time, so that all that takes time may happen at any moment: a lease runs out (another one takes it), a leader believes in
 * it for ever (it was stopped), a connection breaks, and what was sent by it arrives still, or never. A replica without
 * a connection is one that takes no step for a while, which any may.
 *
 * Left out, for the implementation is more careful here: settling before a raise, the leader's own clock, news (a beat
 * that comes at any time tells the same), pasts that end (32 changes), counts.
 *
 *   NO_FENCE     the script does not compare the term           -> a change under a stale term
 *   NO_EXPECT    nor what the change was decided on             -> an acknowledged change is lost
 *   VERSIONS     versions decide alone, not pasts               -> an acknowledged change is lost
 *   HASTE        an order for safety is taken as known before this replica knows the item it became of -> it is lost
 *   REACH        a check of the check: the end is reached with all that may happen having happened
 */
#ifndef REPLICAS
#define REPLICAS 2
#endif
#ifndef CHANGES
#define CHANGES 3  /* that somebody wants */
#endif
#ifndef RESTARTS
#define RESTARTS 1 /* of Redis */
#endif
#ifndef TERMS
#define TERMS 2    /* given, over all */
#endif

#define BIT(id) (1 << (id))
#define NOBODY 255

typedef Item {
    byte id;     /* of the newest change; 0: there is none */
#ifdef VERSIONS
    byte version;
#endif
    short past;  /* all changes that made it, that one too */
    bit value;
    short base;  /* the past of the change that brought the value; a merge keeps it */
};

typedef Replica {
    Item known;
    byte term;     /* it believes that it leads in it; 0: it does not */
    bit ordered;   /* safety, and Redis has not said that it knows */
    byte wish;     /* under way: 0 none, else a kind */
    bit orphan;    /* its connection is gone: nobody gets the answer */
    bit wanted;    /* value */
    byte in_term;
    byte on_id;    /* what it was decided on */
    short on_past;
};

mtype = { leader, person };

Item redis, snapshot, nothing;
byte lease = NOBODY, lease_term, term, snapshot_term;
byte terms_given, last_id, changes, restarts;
bit has_snapshot;
Replica r[REPLICAS];

/* What nothing forgets. */
short acknowledged;    /* changes that somebody was told are done */
short safe;            /* those of them that were for safety */
byte acted_term;       /* of the last leader's change in this life of Redis */

inline copy(to, from) {
    to.id = from.id;
    to.past = from.past;
    to.value = from.value;
    to.base = from.base;
#ifdef VERSIONS
    to.version = from.version;
#endif
}

#ifdef VERSIONS
#define newer(a, b) (b.version > a.version)
#define same(a, b) (a.version == b.version && (a.id == b.id || a.value <= b.value))
#define conflict(a, b) (a.version == b.version && a.id != b.id)
#else
#define same(a, b) (a.id == b.id)
#define newer(a, b) (b.id != 0 && a.id != b.id && (a.id == 0 || (b.past & BIT(a.id)) != 0))
#define conflict(a, b) (a.id != 0 && b.id != 0 && (b.past & BIT(a.id)) == 0 && (a.past & BIT(b.id)) == 0)
#endif

/* What a change makes of the item; `old` is the past of what it was decided on. */
inline make(old, new_value) {
    last_id++;
    assert(last_id < 15);
    redis.past = old | BIT(last_id);
    redis.id = last_id;
    redis.base = redis.past;
    redis.value = new_value;
#ifdef VERSIONS
    redis.version = redis.version + 1;
#endif
}

inline take(i) {
    if
    :: newer(r[i].known, redis) -> copy(r[i].known, redis)
    :: else
    fi
}

/* The connection is gone. */
inline lose(i) {
    r[i].term = 0;
    r[i].orphan = (r[i].wish != 0)
}

inline end_wish(i) {
    r[i].wish = 0;
    r[i].orphan = 0;
    r[i].wanted = 0;
    r[i].in_term = 0;
    r[i].on_id = 0;
    r[i].on_past = 0
}

/* ---- what the script does ---- */

/* Of the lease: renewed in its term, refused while another has it, given in a new term. */
inline beat(i) {
    if
    :: lease == i && r[i].term == lease_term && lease_term >= term
    :: lease != NOBODY && lease != i -> r[i].term = 0
    :: terms_given < TERMS && !(lease == i && r[i].term == lease_term && lease_term >= term) ->
        terms_given++;
        term = (lease == i && lease_term > term -> lease_term : term) + 1;
        lease = i;
        lease_term = term;
        r[i].term = term
    fi;
    take(i)
}

inline merge(i) {
    if
    :: newer(redis, r[i].known) -> copy(redis, r[i].known)
    :: conflict(redis, r[i].known) ->
        last_id++;
        assert(last_id < 15);
        if
        :: r[i].known.value < redis.value ->
            redis.value = r[i].known.value;
            redis.base = r[i].known.base
        :: r[i].known.value == redis.value -> redis.base = redis.base | r[i].known.base /* both brought it */
        :: else
        fi;
        redis.past = redis.past | r[i].known.past | BIT(last_id);
#ifdef VERSIONS
        redis.version = (redis.version > r[i].known.version -> redis.version : r[i].known.version) + 1;
#endif
        redis.id = last_id
    :: else
    fi
}

/* A leader's or a person's. `done`: it was taken. */
inline change(i, done) {
    done = 1;
    if
#ifndef NO_FENCE
    :: r[i].wish == leader && !(lease == i && lease_term == r[i].in_term && lease_term >= term) -> done = 0
#endif
#ifndef NO_EXPECT
    :: redis.id != r[i].on_id -> done = 0
#endif
    :: else ->
        if
        :: r[i].wish == leader ->
            assert(lease == i && lease_term == r[i].in_term);
            assert(r[i].in_term >= acted_term);
            acted_term = r[i].in_term
        :: else
        fi;
        make(r[i].on_past, r[i].wanted)
    fi
}

inline safety(i) {
    if
    :: redis.id == 0 || redis.value > 0 ->
        make(redis.past, 0)
    :: else
    fi;
    assert(redis.value == 0)
}

/* ---- who does it ---- */

/* Nothing is under way nor kept, and it knows what Redis does. */
#define agrees(i) (r[i].wish == 0 && !r[i].ordered && r[i].known.id == redis.id)
#if REPLICAS == 3
#define ALL(what) (what(0) && what(1) && what(2))
#else
#define ALL(what) (what(0) && what(1))
#endif

proctype replica(byte i) {
    bit done;
    do
    :: atomic { beat(i) }
    /* It knows what Redis does not; the answer may be lost. */
    :: atomic { r[i].known.id != 0 && !same(r[i].known, redis) && !newer(r[i].known, redis) ->
        merge(i);
        if
        :: take(i)
        :: lose(i)
        fi }
    /* Decided on what it knows, and under way. */
    :: atomic { r[i].wish == 0 && changes < CHANGES ->
        changes++;
        r[i].on_id = r[i].known.id;
        r[i].on_past = r[i].known.past;
        if
        :: r[i].term > 0 -> r[i].wish = leader; r[i].wanted = 1; r[i].in_term = r[i].term
        :: r[i].wish = person; r[i].wanted = 0
        :: r[i].wish = person; r[i].wanted = 1
        fi }
    /* It arrives, and is answered or not. */
    :: atomic { r[i].wish != 0 ->
        change(i, done);
        if
        :: !r[i].orphan ->
            take(i);
            if
            :: done -> acknowledged = acknowledged | BIT(last_id)
            :: else
            fi
        :: lose(i)
        fi;
        end_wish(i);
        done = 0 }
    /* It never does. */
    :: atomic { r[i].orphan -> end_wish(i) }
    /* Safety is ordered whether Redis is there or not, and told when it is, until it has answered. */
    :: atomic { !r[i].ordered && changes < CHANGES -> changes++; r[i].ordered = 1 }
    :: atomic { r[i].ordered ->
        safety(i);
        if
#ifdef HASTE
        :: take(i);
#else
        :: newer(r[i].known, redis) || same(r[i].known, redis) -> /* else it has to be merged first */
            take(i);
#endif
            r[i].ordered = 0;
            acknowledged = acknowledged | BIT(redis.id);
            safe = safe | BIT(redis.id)
        :: lose(i)
        fi }
    :: atomic { r[i].wish != 0 && !r[i].orphan -> lose(i) }
    od
}

proctype server() {
    byte i;
    do
    /* Who had the lease was silent for too long. */
    :: atomic { lease != NOBODY && terms_given < TERMS -> lease = NOBODY; lease_term = 0 }
    :: atomic { !has_snapshot && redis.id != 0 && restarts < RESTARTS ->
        has_snapshot = 1;
        copy(snapshot, redis);
        snapshot_term = term }
    :: atomic { restarts < RESTARTS ->
        restarts++;
        if
        :: copy(redis, nothing); term = 0
        :: has_snapshot -> copy(redis, snapshot); term = snapshot_term
        fi;
        has_snapshot = 0;
        copy(snapshot, nothing);
        snapshot_term = 0;
        lease = NOBODY;
        lease_term = 0;
        acted_term = 0;
        i = 0;
        do
        :: i < REPLICAS ->
            end_wish(i); /* what was on its way to it is gone */
            r[i].term = 0;
            i++
        :: else -> break
        od;
        i = 0 }
    /* Not a step: what must hold whenever everybody has heard of everything. */
    :: atomic { ALL(agrees) ->
        assert((acknowledged & ~redis.past) == 0);             /* nothing is lost */
        assert(redis.value == 0 || (safe & ~redis.base) == 0); /* raised only by who knew of it */
#ifdef REACH
        assert(!(changes == CHANGES && restarts == RESTARTS && terms_given == TERMS && redis.id > 2))
#endif
    }
    od
}
init {
    byte i;
    atomic {
        do
        :: i < REPLICAS -> run replica(i); i++
        :: else -> break
        od;
        i = 0;
        run server()
    }
}
