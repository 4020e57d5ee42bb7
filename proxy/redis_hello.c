/*
 * How a connection to Redis introduces itself: see redis_link.h. One command after the other, each judged before the
 * next:
 *
 *   HELLO 3 [AUTH ...] SETNAME shunt     a server that does not know it: RESP2, and the next two
 *   AUTH, CLIENT SETNAME
 *   SELECT
 *   ROLE                                 a replica is no place to ask; an ACL may forbid the question, then Redis says
 * READONLY later PING                                 proves that it answers: while it loads its file, it says so here
 *   SUBSCRIBE                            of a connection that listens
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/redis_fault.h"
#include "proxy/redis_link_inside.h"

enum {
    WORDS_MOST = 8
};
static const char client_name[] = "shunt";

struct step {
    bool (*is_wanted)(const struct redis_link *link);
    int (*words)(const struct redis_link *link, const char **words);
    /* False: it has ended the connection. */
    bool (*judge)(struct redis_link *link, const redisReply *reply);
};

static bool is_error(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR;
}

static bool fail_by(struct redis_link *link, const redisReply *reply)
{
    redis_link_fail(link, redis_meaning_of(reply->str).fault, "%s", reply->str);
    return false;
}

static bool judge_plainly(struct redis_link *link, const redisReply *reply)
{
    return !is_error(reply) || fail_by(link, reply);
}

static bool judge_leniently(struct redis_link *link, const redisReply *reply)
{
    (void)link, (void)reply;
    return true;
}

/* ---- HELLO ---- */

static bool wants_hello(const struct redis_link *link)
{
    return link->resp != REDIS_RESP_2;
}

static int hello_words(const struct redis_link *link, const char **words)
{
    int count = 0;
    words[count++] = "HELLO";
    words[count++] = "3";
    if (link->password != NULL) {
        words[count++] = "AUTH";
        words[count++] = link->username != NULL ? link->username : "default";
        words[count++] = link->password;
    }
    words[count++] = "SETNAME";
    words[count++] = client_name;
    return count;
}

/* An ACL may forbid the command while it allows what we need; before version 6 the password must be told before
 * anything else. */
static bool hello_may_be_left_out(const struct redis_link *link, const char *text)
{
    if (link->resp == REDIS_RESP_3)
        return false;
    return redis_is_unknown_command(text) || strncmp(text, "NOPERM", 6) == 0 ||
           (link->password != NULL && strncmp(text, "NOAUTH", 6) == 0);
}

static bool judge_hello(struct redis_link *link, const redisReply *reply)
{
    if (is_error(reply))
        return hello_may_be_left_out(link, reply->str) || fail_by(link, reply);
    link->speaks_3 = true;
    return true;
}

/* ---- without it ---- */

static bool wants_auth(const struct redis_link *link)
{
    return !link->speaks_3 && link->password != NULL;
}

static int auth_words(const struct redis_link *link, const char **words)
{
    int count = 0;
    words[count++] = "AUTH";
    if (link->username != NULL)
        words[count++] = link->username;
    words[count++] = link->password;
    return count;
}

/* A password too many is no fault: HELLO would not mind it either. */
static bool judge_auth(struct redis_link *link, const redisReply *reply)
{
    if (!is_error(reply) || strncmp(reply->str, "ERR Client sent AUTH, but no password is set", 44) == 0 ||
        strncmp(reply->str, "ERR AUTH <password> called without any password", 47) == 0)
        return true;
    enum redis_fault fault = redis_meaning_of(reply->str).fault;
    redis_link_fail(link, fault == REDIS_FAULT_REFUSED ? REDIS_FAULT_AUTH : fault, "%s", reply->str);
    return false;
}

static bool wants_name(const struct redis_link *link)
{
    return !link->speaks_3;
}

static int name_words(const struct redis_link *link, const char **words)
{
    (void)link;
    words[0] = "CLIENT";
    words[1] = "SETNAME";
    words[2] = client_name;
    return 3;
}

/* ---- what is there ---- */

static bool wants_select(const struct redis_link *link)
{
    return link->database != 0;
}

static int select_words(const struct redis_link *link, const char **words)
{
    words[0] = "SELECT";
    words[1] = link->database_text;
    return 2;
}

static bool wants_role(const struct redis_link *link)
{
    return link->must_be_master;
}

static int role_words(const struct redis_link *link, const char **words)
{
    (void)link;
    words[0] = "ROLE";
    return 1;
}

static bool judge_role(struct redis_link *link, const redisReply *reply)
{
    if (is_error(reply))
        return strncmp(reply->str, "NOPERM", 6) == 0 || redis_is_unknown_command(reply->str) || fail_by(link, reply);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 1 || reply->element[0]->type != REDIS_REPLY_STRING) {
        redis_link_fail(link, REDIS_FAULT_PROTOCOL, "no answer to ROLE");
        return false;
    }
    if (strcmp(reply->element[0]->str, "master") == 0)
        return true;
    redis_link_fail(link, REDIS_FAULT_READ_ONLY, "it is no master: its role is %.40s", reply->element[0]->str);
    return false;
}

static bool wants_ping(const struct redis_link *link)
{
    return link->channel == NULL;
}

static int ping_words(const struct redis_link *link, const char **words)
{
    (void)link;
    words[0] = "PING";
    return 1;
}

static bool wants_channel(const struct redis_link *link)
{
    return link->channel != NULL;
}

static int subscribe_words(const struct redis_link *link, const char **words)
{
    words[0] = "SUBSCRIBE";
    words[1] = link->channel;
    return 2;
}

static bool judge_subscribe(struct redis_link *link, const redisReply *reply)
{
    if (is_error(reply))
        return fail_by(link, reply);
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 && reply->element[0]->type == REDIS_REPLY_STRING &&
        strcasecmp(reply->element[0]->str, "subscribe") == 0)
        return true;
    redis_link_fail(link, REDIS_FAULT_PROTOCOL, "no answer to SUBSCRIBE");
    return false;
}

/* ---- in order ---- */

static const struct step steps[] = {
    {wants_hello, hello_words, judge_hello},
    {wants_auth, auth_words, judge_auth},
    {wants_name, name_words, judge_leniently},
    {wants_select, select_words, judge_plainly},
    {wants_role, role_words, judge_role},
    {wants_ping, ping_words, judge_plainly},
    {wants_channel, subscribe_words, judge_subscribe},
};
enum {
    STEPS = sizeof(steps) / sizeof(steps[0])
};

static void on_step(void *context, const redisReply *reply)
{
    struct redis_link *link = context;
    if (!steps[link->step].judge(link, reply))
        return;
    link->step++;
    redis_hello_go_on(link);
}

void redis_hello_go_on(struct redis_link *link)
{
    const char *words[WORDS_MOST];
    while (!link->is_bare && link->step < STEPS && !steps[link->step].is_wanted(link))
        link->step++;
    if (link->is_bare || link->step == STEPS) {
        link->is_up = true;
        link->hooks.on_up(link->hooks.context);
        return;
    }
    int count = steps[link->step].words(link, words);
    if (!redis_link_send(link, count, words, NULL, on_step, link))
        redis_link_fail(link, REDIS_FAULT_CLOSED, "no memory");
}
