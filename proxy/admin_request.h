/*
 * One admin request on its way through the handlers, and the table row that describes an endpoint. Internal to
 * admin*.c.
 */
#ifndef SHUNT_PROXY_ADMIN_REQUEST_H
#define SHUNT_PROXY_ADMIN_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>

struct control;
struct admin_reports;
struct admin_request;

enum {
    ADMIN_BODY_BYTES = 64 * 1024, /* of a request; a larger one is answered 413 */
    ADMIN_ROUTE_ROOM = 256,       /* a route's name in a path, decoded */
};

/* A member that a JSON body may have. */
enum admin_field_type {
    ADMIN_BOOLEAN,
    ADMIN_NUMBER,
    ADMIN_STRING,
    ADMIN_HEADERS /* object or array of pairs */
};

struct admin_field {
    const char *name;
    enum admin_field_type type;
    bool required;
    const char *expected; /* for messages: "a number from 0 to 100" */
};

enum admin_access {
    ADMIN_OPEN,   /* anybody, under any name: health checks */
    ADMIN_SCRAPE, /* without a token; by name only as admin_guard.h says */
    ADMIN_SECRET, /* with the token, where there is one */
};

struct admin_endpoint {
    const char *path;            /* "{route}" stands for one segment */
    enum evhttp_cmd_type method; /* GET answers HEAD as well */
    enum admin_access access;
    void (*handle)(struct admin_request *request); /* answers exactly once */
    int argument;                                  /* the handler's */
    const struct admin_field *fields;              /* of a POST's body, ended by a NULL name; NULL: none are read */
    const char *help;
};

struct admin_request {
    struct control *control;       /* borrowed */
    struct admin_reports *reports; /* borrowed: those being made */
    struct evhttp_request *http;   /* borrowed: evhttp frees it once it is answered */
    const struct admin_endpoint *endpoint;
    char route[ADMIN_ROUTE_ROOM]; /* "{route}" of the path, decoded */
    struct evkeyvalq query;       /* owned by serve() in admin.c */
    json_t *body;                 /* POST: always an object, its members checked; else NULL */
};

/* The row for this path and method. NULL when there is none; *allow then has the methods the path knows, or is empty.
 */
const struct admin_endpoint *admin_endpoint_find(const char *path, enum evhttp_cmd_type method, char *route,
                                                 char allow[32]);
/* The verbs there are, and a near one first, for a path that has a route and none of them: malloc'd, NULL without
 * memory and for any other path. */
char *admin_endpoint_verbs(const char *path);
/* The list of endpoints as text for people; malloc'd, NULL without memory. */
char *admin_endpoint_list(void);

#endif
