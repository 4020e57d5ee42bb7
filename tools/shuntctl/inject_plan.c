/*
 * Shunt's file: the one that was given, with what a pod needs put behind it, or the smallest that does something. Read
 * by the same loader as shunt's own, so that what is wrong is told here, and not by a pod that does not start.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"
#include "tools/shuntctl/inject.h"
#include "tools/shuntctl/manifest_edit.h"

#define TOKEN_FILE      "/etc/shunt/admin/token"
#define STATE_DIRECTORY "/var/lib/shunt"

/* ---- reading it here, where the token is not ---- */

/* A file with a token of no meaning, as a path of this process. */
static int stand_in(char *path, size_t room)
{
    static const char token[] = "0123456789abcdef0123456789abcdef";
    int fd = memfd_create("token", MFD_CLOEXEC);
    if (fd >= 0 && write(fd, token, sizeof(token) - 1) != (ssize_t)sizeof(token) - 1) {
        close(fd);
        fd = -1;
    }
    snprintf(path, room, "/proc/self/fd/%d", fd);
    return fd;
}

/* The text with the stand-in in the place of the token's file. */
static const char *with_stand_in(struct inject *inject, const char *text, const char *path)
{
    const char *made = "";
    for (const char *at; (at = strstr(text, TOKEN_FILE)) != NULL; text = at + strlen(TOKEN_FILE))
        made = inject_print(inject, "%s%.*s%s", made, (int)(at - text), text, path);
    return inject_print(inject, "%s%s", made, text);
}

/* Tells all faults but that the token's file is not here. How many? */
static size_t tell_faults(struct inject *inject, const struct config_errors *errors)
{
    size_t told = 0;
    for (size_t i = 0; i < errors->count; i++) {
        if (strstr(errors->lines[i], TOKEN_FILE "\" cannot be read") != NULL)
            continue;
        manifest_fault_plainly(&inject->faults, "%s", errors->lines[i]);
        told++;
    }
    return told;
}

static struct config *read_file(struct inject *inject, const char *name, const char *text)
{
    struct config_errors errors = {0};
    char path[32];
    if (setenv("POD_NAME", "pod", 0) != 0) /* the container has it */
        inject->faults.no_memory = true;
    struct config *config = config_parse(name, text, strlen(text), &errors);
    if (config == NULL && tell_faults(inject, &errors) == 0) {
        int fd = stand_in(path, sizeof(path));
        const char *other = with_stand_in(inject, text, path);
        config_errors_free(&errors);
        errors = (struct config_errors){0};
        config = config_parse(name, other, strlen(other), &errors);
        if (config == NULL && tell_faults(inject, &errors) == 0)
            manifest_fault_plainly(&inject->faults, "%s: the file cannot be read here", name);
        if (fd >= 0)
            close(fd);
    }
    config_errors_free(&errors);
    return config;
}

/* ---- what a pod needs of it ---- */

static bool is_loopback(const char *host)
{
    return host != NULL &&
           (strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0);
}

static bool in_state_directory(const char *path)
{
    size_t length = strlen(STATE_DIRECTORY);
    return strncmp(path, STATE_DIRECTORY, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

/* The listener that clients are led to; NULL: none can be. */
static const struct config_listener *listener_of(const struct inject *inject, const struct config *config)
{
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct config_address *address = &config->listeners[i].address;
        if (address->unix_path == NULL && !is_loopback(address->host) && address->port != 0 &&
            (inject->options.port == 0 || address->port == inject->options.port))
            return &config->listeners[i];
    }
    return NULL;
}

static void check_listener(struct inject *inject, const char *name, const struct config *config,
                           struct inject_plan *plan)
{
    const struct config_listener *listener = listener_of(inject, config);
    if (listener != NULL)
        plan->port = listener->address.port;
    else if (inject->options.port != 0)
        manifest_fault_plainly(
            &inject->faults,
            "%s: no listener takes clients of other pods at port %u; expected listeners: [ { address: "
            "0.0.0.0:%u } ], or another --port",
            name, inject->options.port, inject->options.port);
    else
        manifest_fault_plainly(
            &inject->faults,
            "%s: no listener takes clients of other pods; expected listeners: [ { address: 0.0.0.0:%d } ]", name,
            INJECT_PORT);
}

static void check_pod_needs(struct inject *inject, const char *name, const struct config *config,
                            struct inject_plan *plan)
{
    struct manifest_faults *faults = &inject->faults;
    const struct config_admin *admin = &config->admin;
    check_listener(inject, name, config, plan);
    if (admin->enabled &&
        (admin->address.unix_path != NULL || is_loopback(admin->address.host) || admin->address.port == 0))
        manifest_fault_plainly(
            faults,
            "%s: the admin server listens at %s, where the kubelet's probes do not come; expected admin: "
            "{ address: 0.0.0.0:%d, token_file: " TOKEN_FILE " }, or no admin at all",
            name, admin->address.text, INJECT_ADMIN_PORT);
    else if (admin->enabled && (admin->token_file == NULL || (strstr(admin->token_file, "/proc/self/fd/") == NULL &&
                                                              strcmp(admin->token_file, TOKEN_FILE) != 0)))
        manifest_fault_plainly(faults, "%s: the admin server's token_file is %s; in the pod it is " TOKEN_FILE, name,
                               admin->token_file != NULL ? admin->token_file : "missing");
    plan->admin_port = admin->enabled ? admin->address.port : INJECT_ADMIN_PORT;
    if (config->state.directory != NULL && !in_state_directory(config->state.directory))
        manifest_fault_plainly(
            faults, "%s: state.directory is %s, which cannot be written to in the pod; expected " STATE_DIRECTORY, name,
            config->state.directory);
    plan->drain_s = (unsigned)((config->timeouts.drain_ms + 999) / 1000);
    if (is_loopback(config->legacy->address.host))
        plan->legacy = config->legacy->address.port;
    else
        inject_note(inject,
                    "%s: legacy is %s, which is not in the pod; a sidecar's is the application beside it, such as "
                    "http://127.0.0.1:3001",
                    name, config->legacy->url);
}

/* ---- putting behind it what is missing ---- */

/* NULL without memory. */
static json_t *additions(const struct manifest *file, const struct manifest_node *root, const struct inject *inject)
{
    json_t *pairs = json_object();
    int bad = pairs == NULL ? -1 : 0;
    if (manifest_value(file, root, "admin") == NULL) {
        json_t *address = json_sprintf("0.0.0.0:%d", INJECT_ADMIN_PORT);
        bad |=
            json_object_set_new(pairs, "admin", json_pack("{s:o, s:s}", "address", address, "token_file", TOKEN_FILE));
    }
    if (manifest_value(file, root, "timeouts") == NULL && inject->options.pre_stop_s > 0) {
        json_t *pause = json_sprintf("%us", inject->options.pre_stop_s);
        bad |= json_object_set_new(pairs, "timeouts", json_pack("{s:o}", "drain_min", pause));
    }
    if (manifest_value(file, root, "state") == NULL)
        bad |= json_object_set_new(pairs, "state", json_pack("{s:s}", "directory", STATE_DIRECTORY));
    if (bad == 0)
        return pairs;
    json_decref(pairs);
    return NULL;
}

static void add_drain_min(struct manifest *file, const struct manifest_node *root, struct inject *inject)
{
    const struct manifest_node *timeouts = manifest_value(file, root, "timeouts");
    if (timeouts != NULL && timeouts->kind == MANIFEST_MAP && inject->options.pre_stop_s > 0 &&
        manifest_value(file, timeouts, "drain_min") == NULL) {
        json_t *pause = json_sprintf("%us", inject->options.pre_stop_s);
        json_t *pairs = inject_keep(inject, json_pack("{s:o}", "drain_min", pause));
        if (pairs != NULL)
            manifest_add_pairs(file, timeouts, pairs);
    }
}

/* The file with admin, state and drain_min, where it says nothing of them. */
static const char *completed(struct inject *inject, const char *name, const char *text, bool may_wait)
{
    struct manifest file;
    size_t length = strlen(text);
    if (!manifest_parse(&file, name, text, length, &inject->faults))
        return text;
    const struct manifest_node *root = file.documents != NULL ? file.documents->root : NULL;
    if (root == NULL || root->kind != MANIFEST_MAP)
        return text;
    if (may_wait)
        add_drain_min(&file, root, inject);
    json_t *pairs = inject_keep(inject, additions(&file, root, inject));
    if (json_object_size(pairs) > 0)
        manifest_add_pairs(&file, root, pairs);
    const char *made = manifest_apply(&file, &length);
    return made != NULL ? made : text;
}

/* As a ConfigMap has it: no byte order mark, lines end in "\n", the last one, too. */
static const char *plain_text(struct inject *inject, const char *text)
{
    char *copy = config_arena_take(inject->faults.arena, strlen(text) + 2, 1), *to = copy;
    if (copy == NULL) {
        inject->faults.no_memory = true;
        return "";
    }
    for (const char *at = strncmp(text, "\xef\xbb\xbf", 3) == 0 ? text + 3 : text; *at != '\0'; at++)
        if (at[0] != '\r' || at[1] != '\n')
            *to++ = *at;
    while (to > copy && to[-1] == '\n')
        to--;
    *to = '\n';
    to[1] = '\0';
    return copy;
}

/* ---- making one ---- */

/* Called as the workload, where that is a name of shunt's file, too, and no other word of YAML. */
static const char *route_name(const struct inject_object *object)
{
    size_t length = strlen(object->name);
    bool good = length > 0 && length <= 64 && strspn(object->name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length &&
                object->name[0] >= 'a' && strcmp(object->name, "null") != 0;
    return good ? object->name : "application";
}

/* Could it stand in shunt's file? */
static bool is_text(const char *text)
{
    json_t *string = json_string(text);
    bool good = string != NULL && strpbrk(text, "\"\\") == NULL;
    json_decref(string);
    return good;
}

static const char *made_up(struct inject *inject, const struct inject_object *object)
{
    const struct inject_options *options = &inject->options;
    unsigned legacy = options->legacy != 0 ? options->legacy : inject_only_port(object);
    unsigned port = options->port != 0 ? options->port : INJECT_PORT;
    unsigned drain = options->pre_stop_s > 30 ? options->pre_stop_s : 30;
    if (!is_text(options->new)) {
        manifest_fault_plainly(&inject->faults, "--new is no URL; expected one such as http://orders-v2:80");
        return NULL;
    }
    if (legacy == 0) {
        manifest_fault(object->manifest, object->node->start,
                       "%s does not have exactly one port; say where the application listens: --legacy PORT",
                       object->id);
        return NULL;
    }
    if (legacy == port || inject_has_port(object, port)) {
        manifest_fault(object->manifest, object->node->start,
                       "%s: port %u is the application's, and shunt is in the same pod; give it another: --port %u",
                       object->id, port, port + 1);
        return NULL;
    }
    return inject_print(inject,
                        "listeners:\n"
                        "  - address: 0.0.0.0:%u\n"
                        "admin: { address: 0.0.0.0:%d, token_file: " TOKEN_FILE " }\n"
                        "workers: 2\n"
                        "timeouts: { drain: %us, drain_min: %us }\n"
                        "backends:\n"
                        "  legacy: { url: \"http://127.0.0.1:%u\" }\n"
                        "  new: { url: \"%s\" }\n"
                        "routes:\n"
                        "  - name: %s\n"
                        "    match: { path: /**, methods: [GET, HEAD] }\n"
                        "    sticky: [ client_ip ]\n"
                        "    stages:\n"
                        "      - { name: shadow, percent: 0, shadow: 100, hold: 24h }\n"
                        "    shadow: { compare: { noise: { percent: 5%% } } }\n"
                        "state: { directory: " STATE_DIRECTORY " }\n",
                        port, INJECT_ADMIN_PORT, drain, options->pre_stop_s, legacy, options->new, route_name(object));
}

static const char *chosen_text(struct inject *inject, const struct inject_object *object, const char *kept,
                               const char **name)
{
    const struct inject_options *options = &inject->options;
    if (options->config_text != NULL) {
        *name = options->config_name;
        return options->config_text;
    }
    if (options->new != NULL) {
        *name = "the plan of --new";
        return made_up(inject, object);
    }
    *name = "the ConfigMap's shunt.yaml";
    if (kept == NULL)
        manifest_fault_plainly(&inject->faults,
                               "%s needs a plan: say where the new backend is (--new http://HOST:PORT), "
                               "or give shunt's file (--config FILE), or a ConfigMap that has it "
                               "(--configmap NAME)",
                               object->id);
    return kept;
}

bool inject_plan(struct inject *inject, const struct inject_object *object, const char *kept, struct inject_plan *plan)
{
    const struct inject_options *options = &inject->options;
    size_t faults = inject->faults.count;
    const char *name = "", *text;
    *plan = (struct inject_plan){.port = options->port != 0 ? options->port : INJECT_PORT,
                                 .admin_port = INJECT_ADMIN_PORT,
                                 .legacy = options->legacy != 0 ? options->legacy : inject_only_port(object),
                                 .drain_s = 30};
    if (options->configmap != NULL)
        return true;
    plan->legacy = 0;
    text = chosen_text(inject, object, kept, &name);
    if (text == NULL)
        return false;
    text = plain_text(inject, text);
    struct config *config = read_file(inject, name, text);
    if (config == NULL)
        return false;
    check_pod_needs(inject, name, config, plan);
    plan->text = completed(inject, name, text, config->timeouts.drain_ms >= UINT64_C(1000) * options->pre_stop_s);
    config_free(config);
    if (options->legacy != 0 && plan->legacy != 0 && plan->legacy != options->legacy)
        manifest_fault_plainly(&inject->faults, "%s: legacy is at port %u, and --legacy says %u; leave --legacy out",
                               name, plan->legacy, options->legacy);
    if (plan->legacy == 0)
        plan->legacy = options->legacy;
    return inject->faults.count == faults;
}
