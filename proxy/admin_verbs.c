/*
 * The endpoints that change something: plan verbs, passthrough, reload, draining.
 *
 * Each turns a checked JSON body into one call of control.h, which saves, publishes and audits; nothing is changed
 * here. Who asked is always "operator:...", so that nobody can sign as the plan or the breaker.
 */
#include "proxy/admin_handlers.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "proxy/admin_reply.h"
#include "proxy/control.h"
#include "proxy/control_fleet.h"

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

bool admin_read_signature(struct admin_request *request, struct admin_signature *signature)
{
    static const char prefix[] = "operator:";
    const char *who = json_string_value(json_object_get(request->body, "who"));
    signature->reason = json_string_value(json_object_get(request->body, "reason"));
    if (who == NULL || who[0] == '\0')
        who = "api";
    if (strncmp(who, prefix, sizeof(prefix) - 1) == 0)
        who += sizeof(prefix) - 1;
    if (strlen(who) > ADMIN_WHO_BYTES || !is_printable(who)) {
        admin_reply_error(request->http, 400, "bad_body", "send a plain name",
                          "body: \"who\" is longer than %d bytes or has control characters", ADMIN_WHO_BYTES);
        return false;
    }
    if (signature->reason != NULL &&
        (strlen(signature->reason) > ADMIN_REASON_BYTES || !is_printable(signature->reason))) {
        admin_reply_error(request->http, 400, "bad_body", "send one short line",
                          "body: \"reason\" is longer than %d bytes or has control characters", ADMIN_REASON_BYTES);
        return false;
    }
    snprintf(signature->who, sizeof(signature->who), "%s%s", prefix, who);
    return true;
}

/* A percentage with up to two decimals as a share. */
static bool share_of(double percent, uint32_t *share)
{
    double steps = percent * 100.0;
    if (!(steps >= 0.0 && steps <= SHARE_ALL) || fabs(steps - round(steps)) > 1e-6)
        return false;
    *share = (uint32_t)lround(steps);
    return true;
}

static const struct {
    int error;
    int status;
    const char *code;
    const char *remedy;
} refusals[] = {
    {-EINVAL, 400, "bad_value", "see docs/admin-api.md for what is accepted"},
    {-EALREADY, 409, "already_so", "nothing has to be done"},
    {-EIO, 500, "not_saved", "see shunt's log and the state directory's free space"},
    {-EPERM, 409, "not_possible_now", "GET the route to see what it is doing (shuntctl status ROUTE)"},
    {-ECANCELED, 409, "conflict", "see what it is now (shuntctl status ROUTE), and ask again"},
    {-ENOLINK, 503, "no_redis",
     "ask again when Redis is there (shuntctl fleet); pause, freeze, rollback and passthrough work meanwhile"},
    {-ETIMEDOUT, 504, "no_answer", "see what it is now (shuntctl status ROUTE)"},
    {-EAGAIN, 503, "busy", "ask again in a moment"},
};

static void reply_refusal(struct admin_request *request, int error, const char *why)
{
    const char *sentence = why != NULL ? why : strerror(-error);
    bool start = request->endpoint->argument == VERB_START && error == -EALREADY; /* it may say "resume it" */
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].error == error) {
            admin_reply_error(request->http, refusals[i].status, refusals[i].code,
                              start ? "there is nothing to start" : refusals[i].remedy, "route %s: %s", request->route,
                              sentence);
            return;
        }
    }
    admin_reply_error(request->http, 500, "failed", "see shunt's log", "route %s: %s", request->route, sentence);
}

/* Done here; the fleet will be told. */
static void reply_pending(struct admin_request *request)
{
    json_t *route = admin_route_json(request->control, request->route);
    if (route != NULL)
        json_object_set_new(route, "pending", json_true());
    admin_reply_json(request->http, 202, route);
}

/* ---- promote: what stands in the way, and what force went past ---- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static bool stands_in_the_way(const json_t *gate)
{
    return json_is_true(json_object_get(gate, "applies")) && strcmp(text_of(gate, "verdict"), "pass") != 0;
}

/* A sentence for each gate that has not passed, those with the verdict of all first, and for the breaker. */
static json_t *obstacles_json(const json_t *route, const char *verdict)
{
    const json_t *gates = json_object_get(json_object_get(route, "gates"), "gates"), *gate;
    const json_t *breaker = json_object_get(route, "breaker");
    json_t *obstacles = json_array();
    size_t i;
    for (int others = 0; others < 2; others++) {
        json_array_foreach(gates, i, gate)
        {
            bool other = strcmp(text_of(gate, "verdict"), verdict) != 0;
            if (stands_in_the_way(gate) && other == (others == 1))
                json_array_append_new(obstacles, json_sprintf("gate %s: %s: %s", text_of(gate, "gate"),
                                                              text_of(gate, "verdict"), text_of(gate, "sentence")));
        }
    }
    if (strcmp(text_of(breaker, "state"), breaker_state_name(BREAKER_CLOSED)) != 0)
        json_array_append_new(
            obstacles, json_sprintf("the breaker is %s: %s", text_of(breaker, "state"), text_of(breaker, "why")));
    return obstacles;
}

static const struct {
    const char *gate;
    const char *remedy;
} remedies[] = {
    {"window", "wait until the file's hours allow it, or promote with force"},
    {"webhook", "wait for its go, or promote with force"},
    {"dependency", "bring the other route there first, or promote with force"},
};

/* What to do about the first gate that stands in the way. */
static const char *remedy_for(const json_t *route, const char *verdict)
{
    const json_t *gate;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(route, "gates"), "gates"), i, gate)
    {
        if (!stands_in_the_way(gate) || strcmp(text_of(gate, "verdict"), verdict) != 0)
            continue;
        for (size_t r = 0; r < sizeof(remedies) / sizeof(remedies[0]); r++)
            if (strcmp(remedies[r].gate, text_of(gate, "gate")) == 0)
                return remedies[r].remedy;
        break;
    }
    return strcmp(verdict, "fail") == 0 ? "see what new does wrong, or promote with force"
                                        : "wait for evidence, or promote with force";
}

/* A promote that gates stand in the way of: says which and why. False when none does. */
static bool reply_gate(struct admin_request *request)
{
    json_t *route = admin_route_json(request->control, request->route), *body = NULL;
    const char *verdict = text_of(json_object_get(route, "gates"), "verdict");
    bool runs = strcmp(text_of(route, "phase"), plan_phase_name(PLAN_RUNNING)) == 0;
    json_t *obstacles = runs && strcmp(verdict, "pass") != 0 ? obstacles_json(route, verdict) : NULL;
    const char *first = json_string_value(json_array_get(obstacles, 0));
    if (first != NULL)
        body = json_pack("{s:{s:s, s:o, s:s, s:s, s:O}}", "error", "code",
                         strcmp(verdict, "fail") == 0 ? "gate_failed" : "gate_undecided", "message",
                         json_sprintf("route %s: %s", request->route, first), "remedy", remedy_for(route, verdict),
                         "verdict", verdict, "obstacles", obstacles);
    json_decref(obstacles);
    json_decref(route);
    if (body == NULL)
        return false;
    admin_reply_json(request->http, 409, body);
    return true;
}

/* The route after a promotion by force, with what it went past, as the audit trail has it. */
static void reply_forced(struct admin_request *request)
{
    json_t *route = admin_route_json(request->control, request->route);
    json_t *history = router_history(control_router(request->control), request->route);
    const json_t *event = NULL;
    for (size_t i = json_array_size(history); i > 0 && event == NULL; i--)
        if (strcmp(text_of(json_array_get(history, i - 1), "what"), "promote") == 0)
            event = json_array_get(history, i - 1);
    json_t *past = json_object_get(json_object_get(event, "evidence"), "past");
    if (route != NULL)
        (void)(past != NULL ? json_object_set(route, "past", past) : json_object_set_new(route, "past", json_array()));
    json_decref(history);
    admin_reply_json(request->http, 200, route);
}

/* ---- answers that come later ---- */

/* What of a request outlives its handler, until the fleet has answered. */
struct later {
    struct admin_request request; /* its query is empty; `body` is a reference */
    char who[sizeof(((struct admin_signature *)0)->who)];
};

static struct later *keep(const struct admin_request *request, const struct admin_signature *signature)
{
    struct later *later = calloc(1, sizeof(*later));
    if (later == NULL)
        return NULL;
    later->request = *request;
    TAILQ_INIT(&later->request.query);
    json_incref(later->request.body);
    memcpy(later->who, signature->who, sizeof(later->who));
    return later;
}

static void let_go(struct later *later)
{
    json_decref(later->request.body);
    free(later);
}

static void conclude(struct admin_request *request, int error, const char *why, bool pending)
{
    bool promotes = request->endpoint->argument == VERB_PROMOTE;
    if (error == 0 && pending)
        reply_pending(request);
    else if (error == 0 && promotes && json_is_true(json_object_get(request->body, "force")))
        reply_forced(request);
    else if (error == 0)
        admin_view_route(request);
    else if (error == -ENOENT)
        admin_no_such_route(request, request->route);
    else if (error != -EPERM || !promotes || !reply_gate(request))
        reply_refusal(request, error, why);
}

static void on_route_changed(void *context, int error, const char *why)
{
    struct later *later = context;
    /* A rollback holds here, and is kept until the fleet knows it. */
    bool pending = later->request.endpoint->argument == VERB_ROLLBACK && (error == -ENOLINK || error == -ETIMEDOUT);
    conclude(&later->request, pending ? 0 : error, why, pending);
    let_go(later);
}

void admin_change_route(struct admin_request *request)
{
    struct admin_signature signature;
    if (!admin_read_signature(request, &signature))
        return;
    struct router_command command = {
        .verb = (enum router_verb)request->endpoint->argument,
        .route = request->route,
        .force = json_is_true(json_object_get(request->body, "force")),
        .who = signature.who,
        .reason = signature.reason,
    };
    if (command.verb == VERB_SET_PERCENT &&
        !share_of(json_number_value(json_object_get(request->body, "percent")), &command.percent)) {
        admin_reply_error(request->http, 400, "bad_body", "send a number such as 12.5",
                          "body: \"percent\" is not a number from 0 to 100 with up to two decimals");
        return;
    }
    const char *why = "no memory";
    bool pending = false;
    struct later *later = keep(request, &signature);
    const struct control_waiter waiter = {on_route_changed, later};
    int error = later != NULL ? control_command(request->control, &command, &waiter, &pending, &why) : -ENOMEM;
    if (error == CONTROL_LATER)
        return;
    conclude(request, error, why, pending);
    if (later != NULL)
        let_go(later);
}

/* ---- passthrough ---- */

static void reply_passthrough(struct admin_request *request, bool pending)
{
    bool now = router_passthrough_is_on(control_router(request->control));
    bool on = json_is_true(json_object_get(request->body, "on"));
    /* Off here does not mean off: a signal, the environment or a file may still hold it on. */
    json_t *body = json_pack("{s:b, s:b, s:o}", "passthrough", now, "requested", on, "passthrough_sources",
                             admin_passthrough_sources(request->control));
    if (body != NULL && pending)
        json_object_set_new(body, "pending", json_true());
    admin_reply_json(request->http, pending ? 202 : 200, body);
}

static void refuse_passthrough(struct admin_request *request, int error, const char *why)
{
    bool now = router_passthrough_is_on(control_router(request->control));
    if (error == -EIO)
        admin_reply_error(request->http, 500, "not_saved", "see shunt's log and the state directory's free space",
                          "passthrough is %s now, but that could not be saved", now ? "on" : "off");
    else if (error == -ENOLINK)
        admin_reply_error(request->http, 503, "no_redis", "ask again when Redis is there: shuntctl fleet",
                          "passthrough: %s", why);
    else
        admin_reply_error(request->http, error == -ETIMEDOUT ? 504 : 409,
                          error == -ETIMEDOUT ? "no_answer" : "conflict",
                          "see what holds now (shuntctl fleet), and ask again", "passthrough: %s", why);
}

static void on_passthrough_changed(void *context, int error, const char *why)
{
    struct later *later = context;
    bool on = json_is_true(json_object_get(later->request.body, "on"));
    if (error == 0 || (on && (error == -ENOLINK || error == -ETIMEDOUT)))
        reply_passthrough(&later->request, error != 0); /* on here, and the fleet is told when Redis is there */
    else
        refuse_passthrough(&later->request, error, why);
    let_go(later);
}

static void change_fleet(struct admin_request *request, const struct admin_signature *signature, bool on)
{
    int error = -ENOMEM;
    const char *why = "no memory";
    struct later *later = keep(request, signature);
    const struct control_waiter waiter = {on_passthrough_changed, later};
    if (later != NULL && control_fleet_passthrough(control_fleet(request->control), on, signature->who,
                                                   signature->reason, &waiter, &error, &why))
        return;
    refuse_passthrough(request, error, why);
    if (later != NULL)
        let_go(later);
}

void admin_change_passthrough(struct admin_request *request)
{
    struct admin_signature signature;
    if (!admin_read_signature(request, &signature))
        return;
    bool on = json_is_true(json_object_get(request->body, "on"));
    bool local = json_is_true(json_object_get(request->body, "local"));
    if (control_fleet(request->control) != NULL && !local)
        change_fleet(request, &signature, on);
    else if (control_passthrough(request->control, on, signature.who, signature.reason))
        reply_passthrough(request, false);
    else
        refuse_passthrough(request, -EIO, NULL);
}

void admin_change_config(struct admin_request *request)
{
    struct admin_signature signature;
    if (!admin_read_signature(request, &signature))
        return;
    json_t *errors = NULL;
    if (control_reload(request->control, signature.who, &errors)) {
        struct control_process process;
        control_process(request->control, &process);
        json_decref(errors);
        admin_reply_json(request->http, 200,
                         json_pack("{s:b, s:I}", "reloaded", true, "generation", (json_int_t)process.generation));
        return;
    }
    admin_reply_json(request->http, 422,
                     json_pack("{s:{s:s, s:s, s:s, s:o}}", "error", "code", "bad_config", "message",
                               "the file has faults; the running configuration stays", "remedy",
                               "correct the file and reload again", "errors", errors != NULL ? errors : json_array()));
}

/* ---- draining ---- */

void admin_change_drain(struct admin_request *request)
{
    struct admin_signature signature;
    if (!admin_read_signature(request, &signature))
        return;
    if (!json_is_true(json_object_get(request->body, "cancel"))) {
        control_drain_begin(request->control, signature.who, signature.reason);
    } else if (!control_drain_cancel(request->control, signature.who, signature.reason)) {
        admin_reply_error(request->http, 409, "not_possible_now", "start it again when it has ended",
                          "drain: a signal has asked shunt to end, which cannot be taken back");
        return;
    }
    admin_reply_json(request->http, 200,
                     json_pack("{s:b, s:o}", "draining", control_is_draining(request->control), "drain",
                               admin_drain_json(request->control)));
}
