/*
 * Shunt put into the pods of a workload: what must not be there yet, what is laid on, and the ConfigMap beside it.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/inject.h"
#include "tools/shuntctl/inject_lay.h"
#include "tools/shuntctl/manifest_edit.h"

enum {
    GRACE_DEFAULT_S = 30, /* of Kubernetes */
    SAVE_S = 10           /* for saving the state, and a reserve */
};

static const char *const container_lists[] = {"initContainers", "containers"};

enum {
    CONTAINER_LISTS = sizeof(container_lists) / sizeof(container_lists[0])
};

/* ---- what there is ---- */

static const struct manifest_node *spec_of(const struct inject_object *object)
{
    return manifest_value(object->manifest, object->template, "spec");
}

static const struct manifest_node *list_in(const struct inject_object *object, const struct manifest_node *map,
                                           const char *name)
{
    const struct manifest_node *list = manifest_value(object->manifest, map, name);
    return list != NULL && list->kind == MANIFEST_LIST ? list : NULL;
}

/* Calls `look` for each port of TCP that a container of this list declares. */
static void each_port(const struct inject_object *object, const char *list_name,
                      void (*look)(void *context, const struct inject_object *object,
                                   const struct manifest_node *container, const struct manifest_node *port),
                      void *context)
{
    const struct manifest *manifest = object->manifest;
    const struct manifest_node *list = list_in(object, spec_of(object), list_name);
    for (const struct manifest_node *item = list != NULL ? list->first : NULL; item != NULL; item = item->next) {
        const struct manifest_node *ports = list_in(object, item, "ports");
        for (const struct manifest_node *port = ports != NULL ? ports->first : NULL; port != NULL; port = port->next) {
            const char *protocol = manifest_text(manifest, port, "protocol");
            if (protocol == NULL || strcmp(protocol, "TCP") == 0)
                look(context, object, item, port);
        }
    }
}

struct port_search {
    const char *name; /* NULL: any */
    long number;      /* 0: any */
    long found;       /* the last one's number */
    unsigned count;
};

static void search_port(void *context, const struct inject_object *object, const struct manifest_node *container,
                        const struct manifest_node *port)
{
    struct port_search *search = context;
    long number = manifest_number(object->manifest, port, "containerPort");
    const char *name = manifest_text(object->manifest, port, "name");
    (void)container;
    if (number < 1 || number > 65535 || (search->number != 0 && number != search->number) ||
        (search->name != NULL && (name == NULL || strcmp(name, search->name) != 0)))
        return;
    search->found = number;
    search->count++;
}

unsigned inject_only_port(const struct inject_object *object)
{
    struct port_search search = {.name = NULL};
    each_port(object, "containers", search_port, &search);
    return search.count == 1 ? (unsigned)search.found : 0;
}

bool inject_has_port(const struct inject_object *object, unsigned number)
{
    struct port_search search = {.number = (long)number};
    each_port(object, "containers", search_port, &search);
    return search.count > 0;
}

unsigned inject_port_named(const struct inject_object *object, const char *name)
{
    struct port_search search = {.name = name};
    each_port(object, "containers", search_port, &search);
    return search.count > 0 ? (unsigned)search.found : 0;
}

/* ---- what must not be there ---- */

struct port_check {
    const struct inject_plan *plan;
};

static void check_port(void *context, const struct inject_object *object, const struct manifest_node *container,
                       const struct manifest_node *port)
{
    const struct inject_plan *plan = ((struct port_check *)context)->plan;
    const char *name = manifest_text(object->manifest, port, "name");
    const char *owner = lay_name_of(object->manifest, container);
    long number = manifest_number(object->manifest, port, "containerPort");
    if (number == (long)plan->port)
        manifest_fault(
            object->manifest, port->start,
            "the container %s has port %ld, which shunt would have in the same pod; choose another: --port, and "
            "the same in shunt's file",
            owner != NULL ? owner : "here", number);
    else if (number == (long)plan->admin_port)
        manifest_fault(object->manifest, port->start,
                       "the container %s has port %ld, which shunt's admin server would have in the same pod; choose "
                       "another in shunt's file: admin: { address: 0.0.0.0:PORT, ... }",
                       owner != NULL ? owner : "here", number);
    else if (name != NULL && (strcmp(name, "shunt") == 0 || strcmp(name, "shunt-admin") == 0))
        manifest_fault(object->manifest, port->start,
                       "a port is called %s, which is what shunt calls one of its own; rename it", name);
}

static void check_names(const struct inject_object *object, const char *list_name, const char *const *taken,
                        size_t count)
{
    const struct manifest_node *list = list_in(object, spec_of(object), list_name);
    for (const struct manifest_node *item = list != NULL ? list->first : NULL; item != NULL; item = item->next) {
        const char *name = manifest_text(object->manifest, item, "name");
        for (size_t i = 0; name != NULL && i < count; i++)
            if (strcmp(name, taken[i]) == 0)
                manifest_fault(
                    object->manifest, item->start,
                    "%s has a %s here already, which shuntctl did not put there; take it out, or leave %s as it is",
                    object->id, name, object->id);
    }
}

static void check_containers(const struct inject_object *object)
{
    const struct manifest_node *list = list_in(object, spec_of(object), "containers");
    if (list == NULL || list->first == NULL) {
        manifest_fault(object->manifest, object->template->start,
                       "%s has no containers in its pod's spec; expected the application's", object->id);
        return;
    }
    for (const struct manifest_node *item = list->first; item != NULL; item = item->next)
        if (lay_name_of(object->manifest, item) == NULL)
            manifest_fault(object->manifest, item->start, "a container without a name; expected name: and image:");
}

static bool check_pod(struct inject *inject, const struct inject_object *object, const struct inject_plan *plan)
{
    static const char *const containers[] = {"shunt"};
    static const char *const volumes[] = {"shunt-config", "shunt-admin", "shunt-state"};
    struct port_check ports = {plan};
    size_t faults = inject->faults.count;
    check_containers(object);
    for (size_t i = 0; i < CONTAINER_LISTS; i++) {
        check_names(object, container_lists[i], containers, 1);
        each_port(object, container_lists[i], check_port, &ports);
    }
    check_names(object, "volumes", volumes, 3);
    if (!object->workload->serves && inject->options.classic)
        manifest_fault(object->manifest, object->node->start,
                       "%s would never complete: a classic sidecar does not end by itself; leave --classic out",
                       object->id);
    if (plan->legacy == plan->port)
        manifest_fault(object->manifest, object->node->start,
                       "%s: port %u is the application's and shunt's at once; choose another: --port", object->id,
                       plan->port);
    return inject->faults.count == faults;
}

/* ---- what is laid on ---- */

static json_t *pause_of(const struct inject *inject)
{
    json_int_t seconds = inject->options.pre_stop_s;
    enum inject_pause pause = inject->options.pause;
    if (pause == INJECT_PAUSE_DEFAULT)
        pause = inject->options.classic ? INJECT_PAUSE_EXEC : INJECT_PAUSE_SLEEP;
    if (pause == INJECT_PAUSE_SLEEP)
        return json_pack("{s:{s:I}}", "sleep", "seconds", seconds);
    return json_pack("{s:{s:[s, o]}}", "exec", "command", "sleep", json_sprintf("%u", inject->options.pre_stop_s));
}

/* Every container of the application goes on meanwhile, as one may need another; a pause of its own stays. */
static int add_pauses(json_t *containers, const struct inject *inject, const struct inject_object *object)
{
    const struct manifest_node *list = list_in(object, spec_of(object), "containers");
    int bad = 0;
    if (!object->workload->serves || inject->options.pause == INJECT_PAUSE_NONE || inject->options.pre_stop_s == 0)
        return 0;
    for (const struct manifest_node *item = list->first; item != NULL; item = item->next) {
        const struct manifest_node *lifecycle = manifest_value(object->manifest, item, "lifecycle");
        if (manifest_is_null(manifest_value(object->manifest, lifecycle, "preStop")))
            bad |= json_array_append_new(containers,
                                         json_pack("{s:s, s:{s:o}}", "name", lay_name_of(object->manifest, item),
                                                   "lifecycle", "preStop", pause_of(inject)));
    }
    return bad;
}

/* 0: what there is is enough. */
static unsigned grace_of(const struct inject *inject, const struct inject_object *object,
                         const struct inject_plan *plan)
{
    const struct manifest_node *spec = spec_of(object);
    unsigned needed = inject->options.pre_stop_s + plan->drain_s + SAVE_S;
    const struct manifest_node *value = manifest_value(object->manifest, spec, "terminationGracePeriodSeconds");
    long now = manifest_is_null(value) ? GRACE_DEFAULT_S
                                       : manifest_number(object->manifest, spec, "terminationGracePeriodSeconds");
    if (now < 0)
        manifest_fault(object->manifest, value->start,
                       "terminationGracePeriodSeconds is no number of seconds; expected one in plain digits");
    return now >= (long)needed ? 0 : needed;
}

/* What the pod's spec gets; NULL without memory. */
static json_t *spec_overlay(struct inject *inject, const struct inject_object *object, const struct inject_plan *plan)
{
    json_t *spec = json_object(), *containers = json_array(), *init = json_array();
    unsigned grace = grace_of(inject, object, plan);
    int bad = add_pauses(containers, inject, object);
    bad |= json_array_append_new(inject->options.classic ? containers : init, inject_container(inject, plan));
    if (grace > 0)
        bad |= json_object_set_new(spec, "terminationGracePeriodSeconds", json_integer(grace));
    if (json_array_size(init) > 0)
        bad |= json_object_set(spec, "initContainers", init);
    if (json_array_size(containers) > 0)
        bad |= json_object_set(spec, "containers", containers);
    bad |= json_object_set_new(
        spec, "volumes", inject_volumes(inject_configmap_name(inject, object), inject_secret_name(inject, object)));
    json_decref(containers);
    json_decref(init);
    if (bad == 0)
        return spec;
    json_decref(spec);
    return NULL;
}

static json_t *overlay(struct inject *inject, const struct inject_object *object, const struct inject_plan *plan,
                       json_t *annotation)
{
    return inject_keep(inject, json_pack("{s:{s:{s:O}}, s:o}", "metadata", "annotations", INJECT_ANNOTATION, annotation,
                                         "spec", spec_overlay(inject, object, plan)));
}

const char *inject_configmap_name(struct inject *inject, const struct inject_object *object)
{
    return inject->options.configmap != NULL ? inject->options.configmap
                                             : inject_print(inject, "%s-shunt", object->name);
}

const char *inject_secret_name(struct inject *inject, const struct inject_object *object)
{
    return inject->options.token_secret != NULL ? inject->options.token_secret
                                                : inject_print(inject, "%s-shunt-admin", object->name);
}

static bool share_a_namespace(const struct inject_object *a, const struct inject_object *b)
{
    return a->namespace == NULL || b->namespace == NULL || strcmp(a->namespace, b->namespace) == 0;
}

/* Who has a ConfigMap of that name: one of the files, or a workload for which it has just been made; NULL: nobody. */
static const struct inject_object *owner_of_configmap(const struct inject *inject, const struct inject_object *object,
                                                      const char *name)
{
    bool is_before = true;
    for (const struct inject_object *other = inject->objects; other != NULL; other = other->next) {
        is_before = is_before && other != object;
        bool is_it = strcmp(other->kind, "ConfigMap") == 0 && strcmp(other->name, name) == 0;
        bool has_made_it = is_before && other->chosen && strcmp(other->name, object->name) == 0;
        if ((is_it || has_made_it) && share_a_namespace(object, other))
            return other;
    }
    return NULL;
}

/* One more of those that are laid on a text or a list. */
static void remember(struct inject *inject, json_t **laid, json_t *made)
{
    if (*laid == NULL)
        *laid = inject_keep(inject, json_array());
    if (json_array_append(*laid, made) < 0)
        inject->faults.no_memory = true;
}

static void add_configmap(struct inject *inject, const struct inject_object *object, const struct inject_plan *plan)
{
    if (plan->text == NULL)
        return;
    const char *name = inject_configmap_name(inject, object);
    const struct inject_object *owner = owner_of_configmap(inject, object, name);
    if (owner != NULL) {
        manifest_fault(object->manifest, object->node->start,
                       "%s: the ConfigMap %s, in which shunt's file would be, is %s already; put the file into one of "
                       "another name and say which: --configmap NAME",
                       object->id, name,
                       owner->workload != NULL ? inject_print(inject, "that of %s", owner->id) : "in these files");
        return;
    }
    json_t *made = inject_keep(inject, inject_configmap(object, name, plan->text));
    if (made == NULL)
        return;
    if (object->items == NULL) {
        manifest_add_document(object->manifest, object->document, made);
        remember(inject, &object->manifest->laid, made);
    } else {
        manifest_add_items(object->manifest, object->items, inject_keep(inject, json_pack("[O]", made)));
        remember(inject, &object->items->laid, made);
    }
}

/* What to know of it, once it is done. */
static void tell(struct inject *inject, const struct inject_object *object, const struct inject_plan *plan)
{
    const struct manifest_node *spec = spec_of(object);
    const char *host = manifest_text(object->manifest, spec, "hostNetwork");
    if (plan->legacy != 0 && !inject_has_port(object, plan->legacy))
        inject_note(inject, "%s: no container says that it listens at port %u, where legacy is; see that one does",
                    object->id, plan->legacy);
    if (host != NULL && strcmp(host, "true") == 0)
        inject_note(inject, "%s: hostNetwork is on, so that shunt's ports %u and %u are the node's", object->id,
                    plan->port, plan->admin_port);
    inject_note(inject, "%s: shunt is %s at port %u", object->id,
                inject->options.classic ? "a classic sidecar" : "a native sidecar", plan->port);
}

bool inject_pod(struct inject *inject, struct inject_object *object, const struct inject_plan *plan)
{
    const struct inject_options *options = &inject->options;
    if (object->name[0] == '\0' && (options->configmap == NULL || options->token_secret == NULL)) {
        manifest_fault(
            object->manifest, object->node->start,
            "this %s has no metadata.name, after which shunt's ConfigMap and Secret are called; give it one, or "
            "give --configmap and --token-secret",
            object->kind);
        return false;
    }
    if (!check_pod(inject, object, plan))
        return false;
    json_t *annotation = inject_keep(inject, json_string(""));
    json_t *over = overlay(inject, object, plan, annotation);
    json_t *undo = over != NULL ? lay_on(object->manifest, object->template, over) : NULL;
    object->template->laid = over;
    json_t *record = json_pack("{s:i, s:i, s:o}", "port", (int)plan->port, "legacy", (int)plan->legacy, "undo", undo);
    char *text = json_dumps(record, JSON_COMPACT);
    json_decref(record);
    if (text == NULL || json_string_set(annotation, text) < 0)
        inject->faults.no_memory = true;
    free(text);
    add_configmap(inject, object, plan);
    object->port = plan->port;
    object->legacy = plan->legacy;
    tell(inject, object, plan);
    return true;
}
