/*
 * All endpoints of the admin server in one table: its dispatcher, the index page, the Allow field and the body checks
 * read it.
 */
#include "proxy/admin_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/names.h"
#include "proxy/admin_handlers.h"
#include "router/router.h"

#define WHO                                                                                                            \
    {                                                                                                                  \
        "who", ADMIN_STRING, false, "a name for the audit trail, of at most 64 bytes"                                  \
    }
#define REASON                                                                                                         \
    {                                                                                                                  \
        "reason", ADMIN_STRING, false, "a text for the audit trail, of at most 500 bytes"                              \
    }

static const struct admin_field verb_fields[] = {WHO, REASON, {0}};
static const struct admin_field promote_fields[] = {
    {"force", ADMIN_BOOLEAN, false, "true to go past what has not passed"}, WHO, REASON, {0}};
static const struct admin_field percent_fields[] = {
    {"percent", ADMIN_NUMBER, true, "a number from 0 to 100 with up to two decimals"}, WHO, REASON, {0}};
static const struct admin_field passthrough_fields[] = {{"on", ADMIN_BOOLEAN, true, "true or false"},
                                                        {"local", ADMIN_BOOLEAN, false, "true for this replica alone"},
                                                        WHO,
                                                        REASON,
                                                        {0}};
static const struct admin_field drain_fields[] = {
    {"cancel", ADMIN_BOOLEAN, false, "true to take it back"}, WHO, REASON, {0}};
static const struct admin_field reload_fields[] = {WHO, {0}};
static const struct admin_field reset_fields[] = {
    {"route", ADMIN_STRING, false, "a route's name; all routes without it"}, WHO, REASON, {0}};
static const struct admin_field explain_fields[] = {
    {"method", ADMIN_STRING, false, "a method, such as \"GET\""},
    {"path", ADMIN_STRING, true, "a path with or without query, such as \"/orders/7?full=1\""},
    {"headers", ADMIN_HEADERS, false, "an object of strings, or an array of [name, value] pairs"},
    {"client", ADMIN_STRING, false, "the client's IPv4 or IPv6 address"},
    {0}};

static const struct admin_endpoint endpoints[] = {
    {"/", EVHTTP_REQ_GET, ADMIN_SECRET, admin_view_index, 0, NULL, "this list"},
    {"/healthz", EVHTTP_REQ_GET, ADMIN_OPEN, admin_view_health, 0, NULL,
     "200 while all loops turn, else 503 with which hangs"},
    {"/readyz", EVHTTP_REQ_GET, ADMIN_OPEN, admin_view_ready, 0, NULL, "200 while traffic is taken, else 503 with why"},
    {"/metrics", EVHTTP_REQ_GET, ADMIN_SCRAPE, admin_view_metrics, 0, NULL, "Prometheus text format 0.0.4"},
    {"/api/v1/status", EVHTTP_REQ_GET, ADMIN_SECRET, admin_view_status, 0, NULL, "process, backends and all routes"},
    {"/api/v1/routes", EVHTTP_REQ_GET, ADMIN_SECRET, admin_view_routes, 0, NULL, "all routes"},
    {"/api/v1/routes/{route}", EVHTTP_REQ_GET, ADMIN_SECRET, admin_view_route, 0, NULL, "one route"},
    {"/api/v1/fleet", EVHTTP_REQ_GET, ADMIN_SECRET, admin_view_fleet, 0, NULL,
     "the replicas that share this plan, and what they see"},
    {"/api/v1/report", EVHTTP_REQ_GET, ADMIN_SECRET, admin_view_report, 0, NULL,
     "what comparing found [?route=NAME&format=FORMAT&samples=N]"},
    {"/report", EVHTTP_REQ_GET, ADMIN_SECRET, admin_view_page, 0, NULL, "the same as a page for people [?route=NAME]"},
    {"/api/v1/verdict", EVHTTP_REQ_GET, ADMIN_SECRET, admin_view_verdict, 0, NULL,
     "does the comparison hold its limit ?route=NAME[&limit=0.001&confidence=0.99]"},
    {"/api/v1/history", EVHTTP_REQ_GET, ADMIN_SECRET, admin_view_history, 0, NULL,
     "newest changes of state [?route=NAME&limit=N&since_ms=N]"},
    {"/api/v1/audit", EVHTTP_REQ_GET, ADMIN_SECRET, admin_view_audit, 0, NULL,
     "newest lines of the audit trail [?limit=N]"},
    {"/api/v1/config", EVHTTP_REQ_GET, ADMIN_SECRET, admin_view_config, 0, NULL,
     "effective configuration as YAML, secrets masked"},
    {"/api/v1/routes/{route}/start", EVHTTP_REQ_POST, ADMIN_SECRET, admin_change_route, VERB_START, verb_fields,
     "begin a plan that waits for a person {reason, who}"},
    {"/api/v1/routes/{route}/promote", EVHTTP_REQ_POST, ADMIN_SECRET, admin_change_route, VERB_PROMOTE, promote_fields,
     "go to the next stage {force, reason, who}"},
    {"/api/v1/routes/{route}/pause", EVHTTP_REQ_POST, ADMIN_SECRET, admin_change_route, VERB_PAUSE, verb_fields,
     "hold the share, advance no further {reason, who}"},
    {"/api/v1/routes/{route}/freeze", EVHTTP_REQ_POST, ADMIN_SECRET, admin_change_route, VERB_FREEZE, verb_fields,
     "nothing moves the plan until a person resumes it {reason, who}"},
    {"/api/v1/routes/{route}/resume", EVHTTP_REQ_POST, ADMIN_SECRET, admin_change_route, VERB_RESUME, verb_fields,
     "go on after a pause, a freeze or a rollback {reason, who}"},
    {"/api/v1/routes/{route}/rollback", EVHTTP_REQ_POST, ADMIN_SECRET, admin_change_route, VERB_ROLLBACK, verb_fields,
     "all live traffic to legacy {reason, who}"},
    {"/api/v1/routes/{route}/restart", EVHTTP_REQ_POST, ADMIN_SECRET, admin_change_route, VERB_RESTART, verb_fields,
     "the plan from its first stage {reason, who}"},
    {"/api/v1/routes/{route}/set-percent", EVHTTP_REQ_POST, ADMIN_SECRET, admin_change_route, VERB_SET_PERCENT,
     percent_fields, "this share, and pause there {percent, reason, who}"},
    {"/api/v1/routes/{route}/reset-breaker", EVHTTP_REQ_POST, ADMIN_SECRET, admin_change_route, VERB_RESET_BREAKER,
     verb_fields, "close the breaker, forget its trips {reason, who}"},
    {"/api/v1/passthrough", EVHTTP_REQ_POST, ADMIN_SECRET, admin_change_passthrough, 0, passthrough_fields,
     "everything straight to legacy, or back {on, local, reason, who}"},
    {"/api/v1/reload", EVHTTP_REQ_POST, ADMIN_SECRET, admin_change_config, 0, reload_fields,
     "read the file again {who}"},
    {"/api/v1/drain", EVHTTP_REQ_POST, ADMIN_SECRET, admin_change_drain, 0, drain_fields,
     "lead clients away, without ending {cancel, reason, who}"},
    {"/api/v1/report/reset", EVHTTP_REQ_POST, ADMIN_SECRET, admin_change_report, 0, reset_fields,
     "forget what comparing found {route, reason, who}"},
    {"/api/v1/explain", EVHTTP_REQ_POST, ADMIN_SECRET, admin_explain, 0, explain_fields,
     "which side a request would get, and why {method, path, headers, client}"},
};

enum {
    ENDPOINTS = sizeof(endpoints) / sizeof(endpoints[0])
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes one path segment of `length` bytes. False when it is empty, too long, badly coded or contains a NUL. */
static bool decode_segment(const char *at, size_t length, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        int c = (unsigned char)at[i];
        if (c == '%') {
            int high = i + 2 < length ? hex_digit(at[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(at[i + 2]) : -1;
            if (low < 0)
                return false;
            c = high * 16 + low;
            i += 2;
        }
        if (c == 0 || used + 1 >= ADMIN_ROUTE_ROOM)
            return false;
        out[used++] = (char)c;
    }
    out[used] = '\0';
    return used > 0;
}

static bool path_matches(const char *pattern, const char *path, char *route)
{
    static const char blank[] = "{route}";
    const char *hole = strstr(pattern, blank);
    if (hole == NULL)
        return strcmp(pattern, path) == 0;
    size_t before = (size_t)(hole - pattern);
    if (strncmp(pattern, path, before) != 0)
        return false;
    size_t length = strcspn(path + before, "/");
    return strcmp(path + before + length, hole + sizeof(blank) - 1) == 0 &&
           decode_segment(path + before, length, route);
}

const struct admin_endpoint *admin_endpoint_find(const char *path, enum evhttp_cmd_type method, char *route,
                                                 char allow[32])
{
    enum evhttp_cmd_type wanted = method == EVHTTP_REQ_HEAD ? EVHTTP_REQ_GET : method;
    bool knows_get = false, knows_post = false;
    for (size_t i = 0; i < ENDPOINTS; i++) {
        if (!path_matches(endpoints[i].path, path, route))
            continue;
        if (endpoints[i].method == wanted)
            return &endpoints[i];
        knows_get |= endpoints[i].method == EVHTTP_REQ_GET;
        knows_post |= endpoints[i].method == EVHTTP_REQ_POST;
    }
    snprintf(allow, 32, "%s%s%s", knows_get ? "GET, HEAD" : "", knows_get && knows_post ? ", " : "",
             knows_post ? "POST" : "");
    return NULL;
}

char *admin_endpoint_verbs(const char *path)
{
    static const char before[] = "/api/v1/routes/", hole[] = "/api/v1/routes/{route}/";
    const char *slash = strncmp(path, before, sizeof(before) - 1) == 0 ? strchr(path + sizeof(before) - 1, '/') : NULL;
    struct name_guess guess = {.wanted = slash != NULL ? slash + 1 : ""};
    char *text = NULL;
    size_t length = 0;
    FILE *out = slash != NULL ? open_memstream(&text, &length) : NULL;
    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < ENDPOINTS; i++)
        if (strncmp(endpoints[i].path, hole, sizeof(hole) - 1) == 0)
            name_guess_try(&guess, endpoints[i].path + sizeof(hole) - 1);
    if (name_guess_best(&guess) != NULL)
        fprintf(out, "did you mean %s? ", name_guess_best(&guess));
    bool first = true;
    for (size_t i = 0; i < ENDPOINTS; i++) {
        if (strncmp(endpoints[i].path, hole, sizeof(hole) - 1) != 0)
            continue;
        fprintf(out, "%s%s", first ? "verbs of a route are: " : ", ", endpoints[i].path + sizeof(hole) - 1);
        first = false;
    }
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

char *admin_endpoint_list(void)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL)
        return NULL;
    fprintf(out, "shunt %s: admin server\n\n", SHUNT_VERSION);
    for (size_t i = 0; i < ENDPOINTS; i++)
        fprintf(out, "%-4s %-40s %s\n", endpoints[i].method == EVHTTP_REQ_GET ? "GET" : "POST", endpoints[i].path,
                endpoints[i].help);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
