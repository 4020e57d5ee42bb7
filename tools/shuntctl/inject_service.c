/*
 * Services led to shunt: of those that select a pod with shunt, the ports that lead to the application.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/inject.h"
#include "tools/shuntctl/inject_lay.h"

static bool is_service(const struct inject_object *object)
{
    const char *version = manifest_text(object->manifest, object->node, "apiVersion");
    return strcmp(object->kind, "Service") == 0 && version != NULL && strcmp(version, "v1") == 0;
}

static const struct manifest_node *spec_of(const struct inject_object *service)
{
    return manifest_value(service->manifest, service->node, "spec");
}

static bool selects(const struct inject_object *service, const struct manifest_node *selector,
                    const struct inject_object *workload)
{
    if (selector == NULL || selector->kind != MANIFEST_MAP || selector->first == NULL || workload->labels == NULL)
        return false;
    if (service->namespace != NULL && workload->namespace != NULL &&
        strcmp(service->namespace, workload->namespace) != 0)
        return false;
    for (const struct manifest_node *key = selector->first; key != NULL; key = key->next) {
        const struct manifest_node *name = manifest_meant(key);
        const char *wanted =
            name->kind == MANIFEST_SCALAR ? manifest_text(service->manifest, selector, name->text) : NULL;
        const char *there = wanted != NULL ? manifest_text(workload->manifest, workload->labels, name->text) : NULL;
        if (there == NULL || strcmp(there, wanted) != 0)
            return false;
    }
    return true;
}

/* The workload with shunt whose pods it selects; NULL: none, or with a fault not only such. */
static const struct inject_object *workload_of(struct inject *inject, const struct inject_object *service)
{
    const struct manifest_node *selector = manifest_value(service->manifest, spec_of(service), "selector");
    const struct inject_object *chosen = NULL, *other = NULL;
    for (const struct inject_object *object = inject->objects; object != NULL; object = object->next) {
        if (object->workload == NULL || !selects(service, selector, object))
            continue;
        if (!object->chosen)
            other = object;
        else if (chosen == NULL)
            chosen = object;
        else if (chosen->port != object->port || chosen->legacy != object->legacy)
            manifest_fault(service->manifest, service->node->start,
                           "%s selects the pods of %s and %s, whose ports are not the same; give both the same --port",
                           service->id, chosen->id, object->id);
    }
    if (chosen == NULL || other == NULL)
        return chosen;
    manifest_fault(
        service->manifest, service->node->start,
        "%s selects the pods of %s as well, in which there is no shunt to lead to; name both workloads, or leave "
        "the Service as it is (--only pods)",
        service->id, other->id);
    return NULL;
}

/* The number at which clients of this port reach a container; 0: none that is known. */
static long leads_to(const struct inject_object *service, const struct manifest_node *port,
                     const struct inject_object *workload)
{
    const struct manifest *manifest = service->manifest;
    const char *protocol = manifest_text(manifest, port, "protocol"),
               *name = manifest_text(manifest, port, "targetPort");
    if (protocol != NULL && strcmp(protocol, "TCP") != 0)
        return 0;
    if (name == NULL)
        return manifest_number(manifest, port, "port");
    long number = manifest_number(manifest, port, "targetPort");
    return number >= 0 ? number : (long)inject_port_named(workload, name);
}

/* The ports to be changed, as an overlay. */
static json_t *ports_to_change(struct inject *inject, const struct inject_object *service,
                               const struct inject_object *workload)
{
    const struct manifest_node *list = manifest_value(service->manifest, spec_of(service), "ports");
    json_t *ports = inject_keep(inject, json_array());
    if (list == NULL || list->kind != MANIFEST_LIST || ports == NULL)
        return ports;
    for (const struct manifest_node *port = list->first; port != NULL; port = port->next) {
        const char *name = lay_name_of(service->manifest, port);
        if (name == NULL || leads_to(service, port, workload) != (long)workload->legacy)
            continue;
        if (json_array_append_new(ports, json_pack("{s:s, s:i}", "name", name, "targetPort", (int)workload->port)) < 0)
            inject->faults.no_memory = true;
        inject_note(inject, "%s: port %s leads to shunt", service->id, name);
    }
    return ports;
}

/* The record stands in what it is the record of, so that it is written when the rest is known. */
static void change(struct inject *inject, struct inject_object *service, const struct inject_object *workload,
                   json_t *ports)
{
    json_t *annotation = inject_keep(inject, json_string(""));
    json_t *over = inject_keep(inject, json_pack("{s:{s:{s:O}}, s:{s:O}}", "metadata", "annotations", INJECT_ANNOTATION,
                                                 annotation, "spec", "ports", ports));
    if (over == NULL)
        return;
    json_t *undo = lay_on(service->manifest, service->node, over);
    service->node->laid = over;
    json_t *record = json_pack("{s:s, s:o}", "of", workload->id, "undo", undo);
    char *text = json_dumps(record, JSON_COMPACT);
    if (text == NULL || json_string_set(annotation, text) < 0)
        inject->faults.no_memory = true;
    free(text);
    json_decref(record);
}

static void lead(struct inject *inject, struct inject_object *service, const struct inject_object *workload)
{
    const char *address = manifest_text(service->manifest, spec_of(service), "clusterIP");
    if (address != NULL && strcmp(address, "None") == 0) {
        inject_note(inject,
                    "%s is headless and left as it is: its clients choose the pod's port by themselves; tell them %u",
                    service->id, workload->port);
        return;
    }
    if (workload->legacy == 0) {
        manifest_fault(
            service->manifest, service->node->start,
            "which port of %s leads to the application cannot be said, as the one it listens at is not known; "
            "say it: --legacy PORT, or leave the Service as it is: --only pods",
            service->id);
        return;
    }
    json_t *ports = ports_to_change(inject, service, workload);
    if (json_array_size(ports) > 0)
        change(inject, service, workload, ports);
    else
        inject_note(inject, "%s selects the pods of %s, and none of its ports leads to %u: it is left as it is",
                    service->id, workload->id, workload->legacy);
}

/* A policy that lets clients in at the application's port lets nobody in at shunt's. */
static void note_policy(struct inject *inject, const struct inject_object *policy)
{
    const struct manifest_node *pods = manifest_value(policy->manifest, spec_of(policy), "podSelector");
    const struct manifest_node *labels = manifest_value(policy->manifest, pods, "matchLabels");
    bool all = pods != NULL && pods->kind == MANIFEST_MAP && pods->first == NULL;
    if (manifest_value(policy->manifest, spec_of(policy), "ingress") == NULL)
        return;
    for (const struct inject_object *object = inject->objects; object != NULL; object = object->next)
        if (object->chosen && (all || selects(policy, labels, object)))
            inject_note(inject, "%s is about the pods of %s: see that it lets clients in at port %u", policy->id,
                        object->id, object->port);
}

void inject_policies(struct inject *inject)
{
    for (const struct inject_object *object = inject->objects; object != NULL; object = object->next)
        if (strcmp(object->kind, "NetworkPolicy") == 0)
            note_policy(inject, object);
}

void inject_services(struct inject *inject)
{
    bool any = false;
    for (struct inject_object *object = inject->objects; object != NULL; object = object->next) {
        const struct inject_object *workload = is_service(object) ? workload_of(inject, object) : NULL;
        if (workload == NULL)
            continue;
        any = true;
        if (object->injected != NULL)
            manifest_fault(object->manifest, object->node->start,
                           "%s leads to the shunt of another workload: its annotation " INJECT_ANNOTATION
                           " says which; "
                           "uninject that first",
                           object->id);
        else
            lead(inject, object, workload);
    }
    for (const struct inject_object *object = inject->objects; object != NULL && !any; object = object->next)
        if (object->chosen && object->workload->serves) {
            inject_note(inject,
                        "no Service of these files selects the pods of %s: give its file with -f, or lead clients to "
                        "port %u yourself",
                        object->id, object->port);
            return;
        }
}
