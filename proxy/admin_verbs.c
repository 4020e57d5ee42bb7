/*
 * The endpoints that change something: plan verbs, passthrough, reload.
 *
 * Each turns a checked JSON body into one call of control.h, which saves, publishes and audits; nothing is changed
 * here. Who asked is always "operator:...", so that nobody can sign as the plan or the breaker.
 */
#include "proxy/admin_handlers.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proxy/admin_reply.h"
#include "proxy/control.h"

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
};

static void reply_refusal(struct admin_request *request, int error, const char *why)
{
    const char *sentence = why != NULL ? why : strerror(-error);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].error == error) {
            admin_reply_error(request->http, refusals[i].status, refusals[i].code, refusals[i].remedy, "route %s: %s",
                              request->route, sentence);
            return;
        }
    }
    admin_reply_error(request->http, 500, "failed", "see shunt's log", "route %s: %s", request->route, sentence);
}

/* The first gate with this verdict, borrowed from `route`; NULL when there is none. */
static const json_t *gate_with(const json_t *route, const char *verdict)
{
    const json_t *gate;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(route, "gates"), "gates"), i, gate)
    {
        const char *its = json_string_value(json_object_get(gate, "verdict"));
        if (its != NULL && strcmp(its, verdict) == 0)
            return gate;
    }
    return NULL;
}

/* A promote that a gate stands in the way of: says which gate and why. False when no gate does. */
static bool reply_gate(struct admin_request *request)
{
    json_t *route = admin_route_json(request->control, request->route), *body = NULL;
    const char *verdict = json_string_value(json_object_get(json_object_get(route, "gates"), "verdict"));
    const char *phase = json_string_value(json_object_get(route, "phase"));
    const json_t *gate = verdict != NULL ? gate_with(route, verdict) : NULL;
    if (gate != NULL && strcmp(verdict, "pass") != 0 && strcmp(phase, plan_phase_name(PLAN_RUNNING)) == 0)
        body = json_pack("{s:{s:s, s:o, s:s, s:s}}", "error", "code",
                         strcmp(verdict, "fail") == 0 ? "gate_failed" : "gate_undecided", "message",
                         json_sprintf("route %s: gate %s: %s: %s", request->route,
                                      json_string_value(json_object_get(gate, "gate")), verdict,
                                      json_string_value(json_object_get(gate, "sentence"))),
                         "remedy", "wait for evidence, or promote with force", "verdict", verdict);
    json_decref(route);
    if (body == NULL)
        return false;
    admin_reply_json(request->http, 409, body);
    return true;
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
    const char *why = NULL;
    int error = control_command(request->control, &command, &why);
    if (error == 0)
        admin_view_route(request);
    else if (error == -ENOENT)
        admin_no_such_route(request, request->route);
    else if (error != -EPERM || command.verb != VERB_PROMOTE || !reply_gate(request))
        reply_refusal(request, error, why);
}

void admin_change_passthrough(struct admin_request *request)
{
    struct admin_signature signature;
    if (!admin_read_signature(request, &signature))
        return;
    bool on = json_is_true(json_object_get(request->body, "on"));
    bool done = control_passthrough(request->control, on, signature.who, signature.reason);
    bool now = router_passthrough_is_on(control_router(request->control));
    if (!done) {
        admin_reply_error(request->http, 500, "not_saved", "see shunt's log and the state directory's free space",
                          "passthrough is %s now, but that could not be saved", now ? "on" : "off");
        return;
    }
    /* Off here does not mean off: a signal, the environment or a file may still hold it on. */
    admin_reply_json(request->http, 200,
                     json_pack("{s:b, s:b, s:o}", "passthrough", now, "requested", on, "passthrough_sources",
                               admin_passthrough_sources(request->control)));
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
