/*
 * The way to Redis: questions go in, answers come out, and whatever happens to Redis or the network happens here.
 *
 * Two connections to one server, the master: one for questions and answers, pipelined, and one that listens to a
 * channel. Both are connected, authenticated, proven by PING and made anew with back-off for ever; `on_ready` is called
 * when both stand, `on_lost` when one of them does not any more. Where the server is, is found anew each time: by the
 * file, by asking sentinels, or by following a cluster's slot. Runs on the control thread's loop; never blocks it,
 * never on a request's path.
 *
 *   redis.c            this door: which server, phases, back-off, events
 *   redis_ask.c        questions: deadlines, and where an answer says to send them instead
 *   redis_queue.c      those without an answer yet
 *   redis_sentinel.c   who is the master
 *   redis_cluster.c    which node has the slot
 *   redis_node.c       one server: its name, its addresses, a connection to ask and one to listen
 *   redis_link.c       one connection: socket or TLS by a libevent bufferevent, replies in order, deadlines
 *   redis_hello.c      its introduction: protocol, password, database, role, channel
 *   redis_resp.c       RESP3 as RESP2, which hiredis's reader knows
 *   redis_fault.c      error replies in our words
 *   redis_files.c, redis_names.c, redis_place.c, redis_tls.c
 */
#ifndef SHUNT_PROXY_REDIS_H
#define SHUNT_PROXY_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "config/config.h"

struct event_base;
struct redis;

enum {
    REDIS_QUESTIONS_MOST = 64,          /* unanswered */
    REDIS_BYTES_MOST = 4 * 1024 * 1024, /* of them */
    REDIS_BACK_OFF_MS = 3000,           /* the longest wait before the next try */
    REDIS_REPLY_MOST = 8 * 1024 * 1024, /* one answer; more is garbage, and the connection is closed */
    REDIS_PING_MS = 2000, /* the listening connection; the other is proven by its answers, or by PING when quiet */
};

/* Why something did not work; the name in metrics and events is redis_fault_name(). */
enum redis_fault {
    REDIS_FAULT_NONE,
    REDIS_FAULT_RESOLVE,
    REDIS_FAULT_CONNECT,
    REDIS_FAULT_TLS,
    REDIS_FAULT_AUTH,    /* wrong or missing password, or the ACL forbids a command or key */
    REDIS_FAULT_TIMEOUT, /* no answer in time: hung, or silently dropped */
    REDIS_FAULT_CLOSED,
    REDIS_FAULT_PROTOCOL,  /* garbage */
    REDIS_FAULT_READ_ONLY, /* a replica that is no master (any more) */
    REDIS_FAULT_MEMORY,    /* OOM: command not allowed */
    REDIS_FAULT_LOADING,   /* LOADING, BUSY, MASTERDOWN, CLUSTERDOWN, TRYAGAIN */
    REDIS_FAULT_NO_MASTER, /* no sentinel knows one */
    REDIS_FAULT_QUEUE,     /* ours: too much is unanswered already */
    REDIS_FAULT_REFUSED,   /* any other error reply */
    REDIS_FAULTS
};
const char *redis_fault_name(enum redis_fault fault);

/* How a question ended. `text` is the answer (a string, NUL-terminated; of a status or integer likewise), or what the
 * server or we say about the fault. Borrowed for the call. */
struct redis_answer {
    enum redis_fault fault;
    const char *text;
    size_t length;
};

struct redis_hooks {
    void *context;
    void (*on_ready)(void *context);
    /* Every question that was under way has been answered with a fault before. */
    void (*on_lost)(void *context, enum redis_fault fault, const char *why);
    /* A message of the channel; not NUL-terminated. */
    void (*on_message)(void *context, const char *payload, size_t length);
    /* Something for the log: "redis_connected", "redis_lost", "redis_failover", ...; takes the reference of `fields`.
     * Told when it turns, not at each try. */
    void (*on_event)(void *context, bool bad, const char *what, json_t *fields);
};

/* Begins to connect at once. `config` is borrowed until redis_configure() or redis_free(); `script` (the text of
 * fleet.lua) and `channel` likewise. NULL without memory. */
struct redis *redis_new(struct event_base *base, const struct config_redis *config, const char *script,
                        const char *channel, const struct redis_hooks *hooks);
/* Not from within a hook, nor is redis_free(). A reload: connections are made anew when `config` differs in anything
 * that matters to them, or its files do. */
void redis_configure(struct redis *redis, const struct config_redis *config);
/* Answers what is under way with REDIS_FAULT_CLOSED, without on_lost. NULL is fine. */
void redis_free(struct redis *redis);

bool redis_is_ready(const struct redis *redis);

/*
 * Runs the script (EVALSHA, and EVAL where the server does not know it yet) with these keys and two arguments;
 * `answered` is called exactly once, never before this returns, at the latest after config->timeout_ms. Everything is
 * copied. The first key's slot is where it goes in a cluster; MOVED and ASK are followed within the deadline.
 * REDIS_FAULT_READ_ONLY, and a timeout, also end the connection: the server is looked for anew.
 */
struct redis_question {
    const char *const *keys;
    size_t key_count;
    const char *operation; /* ARGV[1] */
    const char *document;  /* ARGV[2] */
    void (*answered)(void *context, uint64_t ticket, const struct redis_answer *answer);
    void *context;
    uint64_t ticket;
};
/* REDIS_FAULT_NONE, or why it was not taken (then `answered` is not called): REDIS_FAULT_QUEUE, REDIS_FAULT_CLOSED. */
enum redis_fault redis_ask(struct redis *redis, const struct redis_question *question);

/* For status and metrics. */
struct redis_facts {
    bool ready;
    char server[300];    /* "host:port" now or last tried; "" before the first */
    uint64_t reconnects; /* connections made after the first */
    uint64_t commands;   /* sent to Redis, PING included; what sentinels are asked is not */
    uint64_t unverified; /* connections whose certificate nobody looked at: insecure_skip_verify */
    uint64_t queued;     /* questions unanswered now */
    uint64_t latency_us; /* of the newest answer */
    uint64_t latency_sum_us, answers;
    uint64_t faults[REDIS_FAULTS];
    enum redis_fault last_fault;
    char last_error[200];   /* "" : none yet */
    uint64_t down_since_ms; /* monotonic; 0: it is up */
};
void redis_facts(const struct redis *redis, struct redis_facts *facts);

#endif
