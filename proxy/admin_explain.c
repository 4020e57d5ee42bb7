/*
 * `explain`: which side a made-up request would get on the current state, and why, in fields and in one sentence.
 *
 * Builds the facts that a codec would have found and asks the router; counts nothing and sends nothing.
 */
#include "proxy/admin_handlers.h"

#include <arpa/inet.h>
#include <event2/util.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/names.h"
#include "proxy/admin_reply.h"
#include "proxy/control.h"

static struct text text_of(const char *at)
{
    return (struct text){at, (uint32_t)strlen(at)};
}

static void add_field(struct request_facts *facts, struct field *fields, const char *name, const char *value)
{
    struct field *field = &fields[facts->field_count++];
    field->name = text_of(name);
    value += strspn(value, " \t");
    field->value = text_of(value);
    while (field->value.len > 0 && strchr(" \t", value[field->value.len - 1]) != NULL)
        field->value.len--;
    field->id = request_field_id(field->name);
    if (field->id == FIELD_HOST)
        facts->host = field->value;
    if (field->id == FIELD_UPGRADE)
        facts->upgrade = true;
}

/* Headers as {"name": "value"} or [["name", "value"]]. The array is malloc'd; NULL without memory. */
static struct field *read_fields(json_t *headers, struct request_facts *facts)
{
    size_t count = json_is_object(headers) ? json_object_size(headers) : json_array_size(headers);
    struct field *fields = calloc(count + 1, sizeof(*fields));
    if (fields == NULL)
        return NULL;
    const char *name;
    json_t *item;
    size_t i;
    json_object_foreach(headers, name, item)
    {
        add_field(facts, fields, name, json_string_value(item));
    }
    json_array_foreach(headers, i, item)
    {
        add_field(facts, fields, json_string_value(json_array_get(item, 0)),
                  json_string_value(json_array_get(item, 1)));
    }
    facts->fields = fields;
    return fields;
}

/* Only bytes that a request can carry: what the codec refuses needs no decision. `also` may be in it, too. */
static bool is_plain(const char *text, const char *also)
{
    for (; *text != '\0'; text++)
        if (((unsigned char)*text <= 0x20 || *text == 0x7f) && strchr(also, *text) == NULL)
            return false;
    return true;
}

static bool are_fields(json_t *headers)
{
    const char *name;
    json_t *item;
    size_t i;
    json_object_foreach(headers, name, item)
    {
        if (!name_is_token(name) || !is_plain(json_string_value(item), " \t"))
            return false;
    }
    json_array_foreach(headers, i, item)
    {
        if (!name_is_token(json_string_value(json_array_get(item, 0))) ||
            !is_plain(json_string_value(json_array_get(item, 1)), " \t"))
            return false;
    }
    return true;
}

static bool read_client(const char *text, struct client_address *client)
{
    memset(client, 0, sizeof(*client));
    if (text == NULL)
        return true;
    if (inet_pton(AF_INET, text, client->bytes) == 1)
        client->length = 4;
    else if (inet_pton(AF_INET6, text, client->bytes) == 1)
        client->length = 16;
    return client->length != 0;
}

static void read_target(const char *path, struct request_facts *facts)
{
    const char *query = strchr(path, '?');
    facts->path = text_of(path);
    if (query != NULL) {
        facts->path.len = (uint32_t)(query - path);
        facts->query = text_of(query + 1);
    }
}

/* "header:x-user-id", "client_ip"; a new reference, JSON null when the decision used no key. */
static json_t *sticky_used(const struct decision *decision)
{
    static const char *const kinds[] = {
        [STICKY_HEADER] = "header",       [STICKY_COOKIE] = "cookie", [STICKY_QUERY] = "query",
        [STICKY_CLIENT_IP] = "client_ip", [STICKY_RANDOM] = "random",
    };
    if (decision->route == NULL || decision->sticky < 0 || (uint32_t)decision->sticky >= decision->route->sticky_count)
        return json_null();
    const struct config_sticky *sticky = &decision->route->sticky[decision->sticky];
    if (sticky->name == NULL)
        return json_string(kinds[sticky->kind]);
    return json_sprintf("%s:%s", kinds[sticky->kind], sticky->name);
}

static json_t *decision_json(const struct decision *decision, const char *sentence)
{
    return json_pack(
        "{s:s?, s:s, s:s?, s:s, s:i, s:f, s:o, s:o, s:b, s:s, s:s}", "route",
        decision->route != NULL ? decision->route->name : NULL, "side", side_name(decision->side), "backend",
        decision->backend != NULL ? decision->backend->name : NULL, "reason", decision_reason_name(decision->reason),
        "cohort", (int)decision->cohort, "share_percent", decision->share / 100.0, "sticky", sticky_used(decision),
        "override", decision->override < 0 ? json_null() : json_integer(decision->override), "mirrored",
        decision->mirror == MIRROR_SENT, "mirror", mirror_reason_name(decision->mirror), "sentence", sentence);
}

void admin_explain(struct admin_request *request)
{
    struct request_facts facts = {0};
    const char *method = json_string_value(json_object_get(request->body, "method"));
    const char *path = json_string_value(json_object_get(request->body, "path"));
    const char *client = json_string_value(json_object_get(request->body, "client"));
    if (method == NULL || method[0] == '\0')
        method = "GET";
    facts.method = text_of(method);
    if (!name_is_token(method)) {
        admin_reply_error(request->http, 400, "bad_body", "send a method such as \"GET\"",
                          "body: \"method\" is no word that HTTP allows there");
        return;
    }
    if (!is_plain(path, "")) {
        admin_reply_error(request->http, 400, "bad_body", "percent-encode them, as a client has to",
                          "body: \"path\" has blanks or control characters");
        return;
    }
    if (!are_fields(json_object_get(request->body, "headers"))) {
        admin_reply_error(request->http, 400, "bad_body", "send names such as \"X-User-Id\", and values of one line",
                          "body: \"headers\" has a name or a value that HTTP does not allow");
        return;
    }
    if (path[0] != '/' && strcmp(path, "*") != 0) {
        admin_reply_error(request->http, 400, "bad_body", "send a path such as \"/orders/7\"",
                          "body: \"path\" does not begin with a slash");
        return;
    }
    if (!read_client(client, &facts.client)) {
        admin_reply_error(request->http, 400, "bad_body", "send an address such as \"192.0.2.7\"",
                          "body: \"client\" is not an IPv4 or IPv6 address");
        return;
    }
    read_target(path, &facts);
    struct field *fields = read_fields(json_object_get(request->body, "headers"), &facts);
    if (fields == NULL) {
        admin_reply_json(request->http, 500, NULL);
        return;
    }
    evutil_secure_rng_get_bytes(&facts.random, sizeof(facts.random));
    struct decision decision;
    char sentence[512];
    router_explain(control_router(request->control), &facts, &decision, sentence, sizeof(sentence));
    admin_reply_json(request->http, 200, decision_json(&decision, sentence));
    free(fields);
}
