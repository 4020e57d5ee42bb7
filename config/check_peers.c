/*
 * Checks of peers: certificates of listeners and backends, who must show one, and how a backend's health is asked.
 *
 * Called by the loader through the table of sections. What is left out is filled in here where it depends on other
 * keys.
 */
#include <string.h>

#include "config/check.h"
#include "config/scalar.h"

/* Does the file itself say `word` here? A value that was refused says nothing. */
static bool says_word(const struct node *mapping, const char *key, const char *word)
{
    const struct node_item *item = node_find(mapping, key);
    return item != NULL && item->value->kind == NODE_SCALAR && !item->value->broken &&
           strcmp(item->value->text, word) == 0;
}

/* A certificate and its key go together. */
static void check_pair(struct loader *loader, const struct node *node)
{
    bool certificate = check_says(node, "certificate");
    bool key = check_says(node, "key");
    if (certificate && !key)
        check_fault(loader, "certificate", check_place(node, "certificate"),
                    "it cannot be used without its key; expected key: FILE beside it");
    else if (key && !certificate)
        check_fault(loader, "key", check_place(node, "key"),
                    "it cannot be used without its certificate; expected certificate: FILE beside it");
}

/* ---- listeners[].tls ---- */

static void check_certificates(struct loader *loader, const struct node *node, struct listener_tls_keys *keys)
{
    bool own = check_says(node, "certificate") || check_says(node, "key");
    bool list = check_says(node, "certificates");
    if (own && list)
        check_fault(loader, "certificates", check_place(node, "certificates"),
                    "there is a certificate beside the list; expected either certificate and key, or certificates");
    else if (!own && !list)
        loader_fault(loader, node->place,
                     "there is no certificate to show to clients; expected certificate: FILE and key: FILE, or "
                     "certificates");
    else if (own)
        check_pair(loader, node);
    keys->tls.certificates = list ? keys->list : &keys->own;
    keys->tls.certificate_count = list ? keys->list_count : 1;
}

static void check_clients(struct loader *loader, const struct node *node, struct config_listener_tls *tls)
{
    bool ca = check_says(node, "client_ca");
    if (!check_says(node, "client_certificate"))
        tls->client_certificate = ca ? CLIENT_CERTIFICATE_REQUIRED : CLIENT_CERTIFICATE_OFF;
    else if (ca && says_word(node, "client_certificate", "off"))
        check_fault(loader, "client_ca", check_place(node, "client_ca"),
                    "clients are not asked for a certificate, so that it would check nothing; expected "
                    "client_certificate: optional or required, or no client_ca");
    else if (!ca && tls->client_certificate != CLIENT_CERTIFICATE_OFF)
        check_fault(loader, "client_certificate", check_place(node, "client_certificate"),
                    "nothing says who may sign certificates of clients; expected client_ca: FILE beside it");
}

void listener_tls_check(struct loader *loader, const struct node *node, void *base)
{
    struct listener_tls_keys *keys = base;
    check_certificates(loader, node, keys);
    check_clients(loader, node, &keys->tls);
    if (keys->tls.early_data && says_word(node, "session_tickets", "off"))
        check_fault(loader, "early_data", check_place(node, "early_data"),
                    "early data comes only from clients that hold a ticket; expected session_tickets with a duration");
}

/* ---- backends.NAME ---- */

void backend_tls_check(struct loader *loader, const struct node *node, void *base)
{
    (void)base;
    check_pair(loader, node);
}

void redis_tls_check(struct loader *loader, const struct node *node, void *base)
{
    (void)base;
    check_pair(loader, node);
}

/* What an https:// URL means where the file says no more: the host's own name, and the system's CAs. */
static void complete_backend_tls(struct loader *loader, struct config_backend *backend)
{
    struct config_backend_tls *tls = loader_take(loader, 1, sizeof(*tls));
    if (tls == NULL)
        return;
    if (backend->tls != NULL)
        *tls = *backend->tls;
    if (tls->server_name == NULL) {
        size_t len = strlen(backend->address.host);
        len -= backend->address.host[len - 1] == '.' ? 1 : 0; /* as RFC 6066 section 3 has it */
        tls->server_name = config_arena_text(loader->arena, backend->address.host, len);
        if (tls->server_name == NULL)
            faults_no_memory(loader->faults);
    }
    backend->tls = tls;
}

void backend_check(struct loader *loader, const struct node *node, void *base)
{
    struct config_backend *backend = base;
    bool calls = backend->health != NULL && backend->health->kind == HEALTH_GRPC;
    if (calls && backend->protocol == PROTOCOL_HTTP1)
        check_fault(loader, "protocol", check_place(node, "protocol"),
                    "a check with health.type: grpc needs HTTP/2; expected protocol: http2 (or auto), or health.type: "
                    "http");
    if (backend->url == NULL)
        return;
    if (scalar_is_https(backend->url)) {
        complete_backend_tls(loader, backend);
        return;
    }
    if (calls && backend->protocol == PROTOCOL_AUTO)
        check_fault(loader, "health", check_place(node, "health"),
                    "a check with type: grpc needs HTTP/2, and in clear protocol: auto is HTTP/1.1; expected protocol: "
                    "http2, or health.type: http");
    if (check_says(node, "tls"))
        check_fault(loader, "tls", check_place(node, "tls"),
                    "the url does not begin with https://, so that nothing would be encrypted; expected url: "
                    "\"https://HOST:PORT\", or no tls");
}

/* ---- backends.NAME.health ---- */

enum {
    HEALTH_TIMEOUT_MS = 2000
};

static void fill_health(struct loader *loader, struct config_health *health)
{
    const char **text = health->kind == HEALTH_GRPC ? &health->service : &health->path;
    const char *usual = health->kind == HEALTH_GRPC ? "" : "/healthz";
    if (*text != NULL)
        return;
    *text = config_arena_text(loader->arena, usual, strlen(usual));
    if (*text == NULL)
        faults_no_memory(loader->faults);
}

static void check_health_timeout(struct loader *loader, const struct node *node, struct config_health *health)
{
    char interval[SCALAR_TEXT_BYTES];
    scalar_print_duration(health->interval_ms, interval);
    if (!check_says(node, "timeout"))
        health->timeout_ms = health->interval_ms < HEALTH_TIMEOUT_MS ? health->interval_ms : HEALTH_TIMEOUT_MS;
    else if (health->timeout_ms > health->interval_ms)
        check_fault(loader, "timeout", check_place(node, "timeout"),
                    "the next check would begin before this one must have been answered; expected at most the "
                    "interval, %s",
                    interval);
}

void health_check(struct loader *loader, const struct node *node, void *base)
{
    struct config_health *health = base;
    bool grpc = health->kind == HEALTH_GRPC;
    const char *stray = grpc ? "path" : "service";
    if (check_says(node, stray) && (grpc || !check_says(node, "type") || says_word(node, "type", "http")))
        check_fault(loader, stray, check_place(node, stray), "it has no meaning in a check of this type; expected %s",
                    grpc ? "service in its place, or type: http" : "type: grpc beside it, or path in its place");
    fill_health(loader, health);
    check_health_timeout(loader, node, health);
}
