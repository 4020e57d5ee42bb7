/*
 * The handlers behind the endpoint table. Each answers its request exactly once, on the control thread.
 */
#ifndef SHUNT_PROXY_ADMIN_HANDLERS_H
#define SHUNT_PROXY_ADMIN_HANDLERS_H

#include "proxy/admin_request.h"

/* admin_views.c: reading */
void admin_view_index(struct admin_request *request);
void admin_view_health(struct admin_request *request);
void admin_view_ready(struct admin_request *request);
void admin_view_metrics(struct admin_request *request);
void admin_view_status(struct admin_request *request);
void admin_view_routes(struct admin_request *request);
void admin_view_route(struct admin_request *request);
void admin_view_report(struct admin_request *request);
void admin_view_history(struct admin_request *request);
void admin_view_audit(struct admin_request *request);
void admin_view_config(struct admin_request *request);

/* admin_verbs.c: changing */
void admin_change_route(struct admin_request *request); /* argument: enum router_verb */
void admin_change_passthrough(struct admin_request *request);
void admin_change_config(struct admin_request *request);
void admin_change_report(struct admin_request *request);

/* admin_explain.c */
void admin_explain(struct admin_request *request);

/* Answers 404 for a route that the configuration does not have, naming those it has. */
void admin_no_such_route(struct admin_request *request, const char *route);

/* The switches that hold passthrough on; a new reference, NULL without memory. */
json_t *admin_passthrough_sources(struct control *control);

/* The route as router_status() shows it; a new reference, NULL when there is none of that name. */
json_t *admin_route_json(struct control *control, const char *name);

#endif
