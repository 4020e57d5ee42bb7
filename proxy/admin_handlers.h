/*
 * The handlers behind the endpoint table. Each answers its request exactly once, on the control thread.
 */
#ifndef SHUNT_PROXY_ADMIN_HANDLERS_H
#define SHUNT_PROXY_ADMIN_HANDLERS_H

#include "proxy/admin_request.h"

struct event_base;

/* admin_views.c: reading */
void admin_view_index(struct admin_request *request);
void admin_view_health(struct admin_request *request);
void admin_view_ready(struct admin_request *request);
void admin_view_metrics(struct admin_request *request);
void admin_view_status(struct admin_request *request);
void admin_view_routes(struct admin_request *request);
void admin_view_route(struct admin_request *request);
void admin_view_history(struct admin_request *request);
void admin_view_audit(struct admin_request *request);
void admin_view_config(struct admin_request *request);

/* admin_fleet.c: what only Redis knows, answered later */
void admin_view_fleet(struct admin_request *request);

/* admin_verbs.c: changing */
void admin_change_route(struct admin_request *request); /* argument: enum router_verb */
void admin_change_passthrough(struct admin_request *request);
void admin_change_config(struct admin_request *request);
void admin_change_drain(struct admin_request *request);

/* admin_report.c: what comparing found. Reports are made by another thread and answered later. */
void admin_view_report(struct admin_request *request);
void admin_view_page(struct admin_request *request);
void admin_view_verdict(struct admin_request *request);
void admin_change_report(struct admin_request *request);

/* The reports being made, one for each admin server; NULL without memory or descriptors. */
struct admin_reports *admin_reports_new(struct event_base *base);
/* Answers all who still wait that shunt ends. Before evhttp_free(), after keeper_stop(). NULL is fine for both. */
void admin_reports_refuse(struct admin_reports *reports);
/* After evhttp_free(). */
void admin_reports_free(struct admin_reports *reports);

/* admin_explain.c */
void admin_explain(struct admin_request *request);

enum {
    ADMIN_WHO_BYTES = 64,
    ADMIN_REASON_BYTES = 500
};

struct admin_signature {
    char who[sizeof("operator:") + ADMIN_WHO_BYTES];
    const char *reason; /* borrowed from the body; may be NULL */
};
/* Who asks and why, for the audit trail. False: answered. */
bool admin_read_signature(struct admin_request *request, struct admin_signature *signature);

/* Answers 404 for a route that the configuration does not have, naming those it has, and a near one first. */
void admin_no_such_route(struct admin_request *request, const char *route);

/* True when the query asks for nothing but `names` (ended by NULL). False: answered 400, with what may be asked: a
 * misspelt "route" must not read as "all routes". */
bool admin_query_knows(struct admin_request *request, const char *const *names);
/* How far draining is: an object, or null while there is none; a new reference, NULL without memory. */
json_t *admin_drain_json(struct control *control);
/* The switches that hold passthrough on; a new reference, NULL without memory. */
json_t *admin_passthrough_sources(struct control *control);

/* The route as router_status() shows it, with the time and whether passthrough is on; a new reference, NULL when there
 * is none of that name. */
json_t *admin_route_json(struct control *control, const char *name);

#endif
