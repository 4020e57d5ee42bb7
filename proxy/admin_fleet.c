/*
 * GET /api/v1/fleet: this replica's part, and where Redis answers, what all replicas have told it.
 */
#include "proxy/admin_handlers.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/admin_reply.h"
#include "proxy/control.h"
#include "proxy/control_fleet.h"

struct look {
    struct control *control;
    struct evhttp_request *http;
};

static json_int_t integer_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* Texts in the document are JSON that replicas sent: what is none is left out. */
static json_t *json_of(const json_t *text)
{
    return json_is_string(text) ? json_loadb(json_string_value(text), json_string_length(text), 0, NULL) : NULL;
}

static json_t *open_of(const json_t *open, const char *replica)
{
    json_t *routes = json_array();
    const char *route;
    json_t *replicas;
    json_object_foreach((json_t *)open, route, replicas)
    {
        if (json_object_get(replicas, replica) != NULL)
            json_array_append_new(routes, json_string(route));
    }
    return routes;
}

static json_t *replica_json(const json_t *document, const char *id, const json_t *facts)
{
    json_t *view = json_of(json_object_get(facts, "view"));
    json_int_t epoch = integer_of(view, "epoch"), behind = integer_of(document, "epoch") - epoch;
    json_t *replica = json_pack("{s:s, s:I, s:I, s:o}", "replica", id, "seen_ms_ago",
                                integer_of(document, "now") - integer_of(facts, "seen"), "epochs_behind",
                                behind > 0 ? behind : 0, "open", open_of(json_object_get(document, "open"), id));
    if (replica != NULL && view != NULL)
        (void)json_object_update_missing(replica, view);
    json_decref(view);
    return replica;
}

/* Members of the document that say the same of the group as this replica's own do, but newer. */
static void add_group(json_t *body, const json_t *document)
{
    static const char *const members[] = {"epoch", "term", "leader"};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_t *value = json_object_get(document, members[i]);
        if (value != NULL)
            (void)json_object_set(body, members[i], value);
    }
}

static void add_replicas(json_t *body, const json_t *document)
{
    json_t *replicas = json_array(), *log = json_array(), *entry, *facts;
    const char *id;
    size_t i;
    json_object_foreach(json_object_get(document, "replicas"), id, facts)
    {
        (void)json_array_append_new(replicas, replica_json(document, id, facts));
    }
    json_array_foreach(json_object_get(document, "log"), i, entry)
    {
        json_t *change = json_of(entry);
        if (change != NULL)
            (void)json_array_append_new(log, change);
    }
    (void)json_object_set_new(body, "replicas", replicas);
    (void)json_object_set_new(body, "log", log);
}

static void reply(struct control *control, struct evhttp_request *http, const json_t *document)
{
    json_t *body = control_fleet_status(control_fleet(control));
    if (body != NULL && document != NULL) {
        add_group(body, document);
        add_replicas(body, document);
    }
    admin_reply_json(http, 200, body);
}

static void on_looked(void *context, const json_t *document)
{
    struct look *look = context;
    reply(look->control, look->http, document);
    free(look);
}

void admin_view_fleet(struct admin_request *request)
{
    struct control_fleet *fleet = control_fleet(request->control);
    if (fleet == NULL) {
        admin_reply_error(request->http, 404, "no_fleet",
                          "name a Redis in state.redis to share a plan with other replicas",
                          "this shunt decides alone");
        return;
    }
    struct look *look = malloc(sizeof(*look));
    if (look != NULL) {
        *look = (struct look){request->control, request->http};
        if (control_fleet_ask(fleet, "look", on_looked, look))
            return;
    }
    free(look);
    reply(request->control, request->http, NULL);
}
