/*
 * Wishes: what the router, or a person, asks the fleet for, and who waits for the answer. See control_fleet.h. Control
 * thread.
 */
#include "proxy/control_fleet_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "router/utf8.h"

/* A wish under way. */
struct asked {
    struct asked *next;
    struct control_fleet *fleet;
    uint64_t ticket; /* of `expected`; 0: nobody waits */
    bool passthrough_on;
    char name[]; /* of the item */
};

bool control_fleet_asks(const struct control_fleet *fleet, const char *item)
{
    for (const struct asked *asked = fleet->asked; asked != NULL; asked = asked->next)
        if (strcmp(asked->name, item) == 0)
            return true;
    return false;
}

bool control_fleet_turns_on(const struct control_fleet *fleet)
{
    for (const struct asked *asked = fleet->asked; asked != NULL; asked = asked->next)
        if (asked->passthrough_on)
            return true;
    return false;
}

static void forget_asked(struct asked *asked)
{
    struct asked **at = &asked->fleet->asked;
    while (*at != asked)
        at = &(*at)->next;
    *at = asked->next;
    free(asked);
}

/* ---- who waits ---- */

uint64_t control_fleet_expect(struct control_fleet *fleet, const struct control_waiter *waiter)
{
    for (size_t i = 0; i < FLEET_WAITERS_MOST; i++) {
        if (fleet->expected[i].ticket != 0)
            continue;
        fleet->expected[i] = (struct expected){++fleet->last_ticket, *waiter};
        return fleet->last_ticket;
    }
    return 0;
}

void control_fleet_forget(struct control_fleet *fleet, uint64_t ticket)
{
    for (size_t i = 0; fleet != NULL && i < FLEET_WAITERS_MOST; i++)
        if (fleet->expected[i].ticket == ticket)
            fleet->expected[i].ticket = 0;
}

static void tell_waiter(struct control_fleet *fleet, uint64_t ticket, int error, const char *why)
{
    for (size_t i = 0; i < FLEET_WAITERS_MOST && ticket != 0; i++) {
        struct expected *expected = &fleet->expected[i];
        if (expected->ticket != ticket)
            continue;
        expected->ticket = 0;
        expected->waiter.done(expected->waiter.context, error, why);
        return;
    }
}

static const char no_redis[] = "Redis is not there, so that the fleet cannot be told";

static const struct {
    const char *why;
    int error;
    const char *sentence;
} failures[] = {
    {"conflict", -ECANCELED, "somebody else changed it in the same moment"},
    {"raise", -EPERM, "it would raise a share, which only the leader's verdict or a person may"},
    {"format", -EPERM, "the group is of a later version of shunt than this replica"},
    {"not_leader", -ECANCELED, "another replica leads by now"},
    {"cut_off", -ENOLINK, no_redis},
    {"busy", -EAGAIN, "another change of the same is under way"},
    {"full", -EAGAIN, "too many changes wait for Redis already"},
    {"refused", -ENOLINK, "Redis refuses it: see the log"},
    {"no_answer", -ETIMEDOUT, "Redis did not answer: nobody knows yet whether it has happened"},
};

/* ---- the answer ---- */

/* What the fleet says has been saved before anybody is told that it is done. */
static void on_changed(void *context, uint64_t ticket, const char *why)
{
    struct asked *asked = context;
    struct control_fleet *fleet = asked->fleet;
    const char *route = control_fleet_route(asked->name);
    int error = 0;
    const char *sentence = NULL;
    (void)ticket;
    for (size_t i = 0; why != NULL && i < sizeof(failures) / sizeof(failures[0]); i++) {
        if (strcmp(failures[i].why, why) != 0)
            continue;
        error = failures[i].error;
        sentence = failures[i].sentence;
    }
    if (why != NULL && error == 0)
        error = -EPERM, sentence = "the fleet refused it";
    if (error == -ECANCELED)
        fleet->conflicts++;
    if (route != NULL && why != NULL)
        router_wish_over(fleet->control->router, route);
    if (asked->ticket != 0 && error == 0 && fleet->ready && !control_settle_and_wait(fleet->control))
        error = -EIO, sentence = "it is done, but could not be saved: a restart while Redis is away would undo it";
    control_fleet_settle(fleet);
    uint64_t waits = asked->ticket;
    forget_asked(asked);
    tell_waiter(fleet, waits, error, sentence);
}

static bool ask(struct control_fleet *fleet, enum fleet_kind kind, const struct fleet_item *item, const json_t *log,
                uint64_t ticket)
{
    size_t length = strlen(item->name) + 1;
    struct asked *asked = calloc(1, sizeof(*asked) + length);
    char *text = asked != NULL && log != NULL ? json_dumps(log, JSON_COMPACT) : NULL;
    if (asked == NULL || (log != NULL && text == NULL)) {
        free(asked);
        return false;
    }
    asked->fleet = fleet;
    asked->ticket = ticket;
    asked->passthrough_on = strcmp(item->name, FLEET_PASSTHROUGH) == 0 && item->share == 0;
    memcpy(asked->name, item->name, length);
    asked->next = fleet->asked;
    fleet->asked = asked;
    const struct fleet_change change = {
        .kind = kind,
        .items = item,
        .item_count = 1,
        .log = text != NULL ? text : "{}",
        .done = on_changed,
        .context = asked,
        .ticket = ticket,
    };
    fleet_change(fleet->fleet, &change, control_clock_ms());
    free(text);
    return true;
}

static const enum fleet_kind kinds[] = {
    [WISH_LEADER] = FLEET_BY_LEADER,
    [WISH_PERSON] = FLEET_BY_PERSON,
    [WISH_SAFETY] = FLEET_FOR_SAFETY,
    [WISH_FILE] = FLEET_BY_FILE,
};

void control_fleet_wish(struct control_fleet *fleet, const struct router_wish *wish)
{
    if (fleet == NULL)
        return; /* without a fleet the router wishes nothing */
    char name[FLEET_ROUTE_ITEM_ROOM];
    char *text = json_dumps(wish->value, JSON_COMPACT | JSON_SORT_KEYS);
    (void)control_fleet_item_name(name, wish->route);
    const struct fleet_item item = {.name = name, .share = wish->share, .rank = wish->rank, .text = text};
    if (text == NULL || !ask(fleet, kinds[wish->kind], &item, wish->log, wish->ticket)) {
        router_wish_over(fleet->control->router, wish->route);
        tell_waiter(fleet, wish->ticket, -ENOMEM, "no memory to ask the fleet");
    }
    free(text);
}

/* ---- passthrough ---- */

void control_fleet_turn(struct control_fleet *fleet, bool on, const char *who, const char *why)
{
    (void)router_passthrough(fleet->control->router, PASSTHROUGH_FLEET, on, who, why, control_wall_clock_ms());
    control_fleet_settle(fleet);
}

bool control_fleet_passthrough(struct control_fleet *fleet, bool on, const char *who, const char *reason,
                               const struct control_waiter *waiter, int *error, const char **why)
{
    uint64_t wall_ms = control_wall_clock_ms();
    const char *because = reason != NULL ? reason : "no reason given";
    if (on)
        control_fleet_turn(fleet, true, who, because); /* one switch always works */
    if (!on && fleet_role(fleet->fleet) == FLEET_CUT_OFF) {
        *error = -ENOLINK;
        *why = no_redis;
        return false;
    }
    json_t *value =
        json_pack("{s:b, s:{s:s, s:o, s:o, s:I}}", "on", on, "by", "what", on ? "passthrough_on" : "passthrough_off",
                  "who", utf8_json(who), "why", utf8_json(because), "at_ms", (json_int_t)wall_ms);
    json_t *log = json_copy(json_object_get(value, "by"));
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    const struct fleet_item item = {.name = (char *)FLEET_PASSTHROUGH, .share = on ? 0 : 1, .text = text};
    uint64_t ticket = text != NULL ? control_fleet_expect(fleet, waiter) : 0;
    bool asked = ticket != 0 && ask(fleet, on ? FLEET_FOR_SAFETY : FLEET_BY_PERSON, &item, log, ticket);
    if (!asked) {
        control_fleet_forget(fleet, ticket);
        *error = -ENOMEM;
        *why = "too many wait for the fleet already, or there is no memory";
    }
    free(text);
    json_decref(log);
    json_decref(value);
    return asked;
}

/* ---- the end ---- */

void control_fleet_refuse(struct control_fleet *fleet)
{
    for (size_t i = 0; i < FLEET_WAITERS_MOST; i++)
        tell_waiter(fleet, fleet->expected[i].ticket, -ENOLINK, "shunt ends");
}
