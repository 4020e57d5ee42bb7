/*
 * The run: taking out, putting in, and taking out once more to see that all comes back. Each text that is made is read
 * again, and means what it meant but for what was to be changed.
 *
 * The texts of one run follow each other: as read, without ConfigMaps of shunt, without shunt, with it. Each knows the
 * one before it, so that faults name lines of the file that somebody has before them.
 */
#include <stdarg.h>
#include <string.h>

#include "tools/shuntctl/inject.h"
#include "tools/shuntctl/inject_lay.h"
#include "tools/shuntctl/inject_meaning.h"
#include "tools/shuntctl/manifest_edit.h"

void inject_note(struct inject *inject, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = config_arena_vprint(inject->faults.arena, format, args);
    va_end(args);
    inject->faults.no_memory |= text == NULL;
    for (size_t i = 0; text != NULL && i < inject->note_count; i++)
        if (strcmp(inject->notes[i], text) == 0)
            return;
    if (text != NULL && inject->note_count < INJECT_NOTES)
        inject->notes[inject->note_count++] = text;
}

const char *inject_print(struct inject *inject, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = config_arena_vprint(inject->faults.arena, format, args);
    va_end(args);
    inject->faults.no_memory |= text == NULL;
    return text != NULL ? text : "";
}

json_t *inject_keep(struct inject *inject, json_t *json)
{
    if (json != NULL && json_array_append_new(inject->kept, json) == 0)
        return json;
    inject->faults.no_memory = true;
    return NULL;
}

static bool is_good(const struct inject *inject)
{
    return inject->faults.count == 0 && !inject->faults.no_memory;
}

/* A text as manifest; NULL with a fault. */
static struct manifest *read_text(struct inject *inject, const char *name, const char *text, size_t length,
                                  const struct manifest *before)
{
    struct manifest *manifest = config_arena_take(inject->faults.arena, 1, sizeof(*manifest));
    if (manifest == NULL) {
        inject->faults.no_memory = true;
        return NULL;
    }
    if (!manifest_parse(manifest, name, text, length, &inject->faults))
        return NULL;
    manifest->kept = inject->kept;
    manifest->before = before;
    return manifest;
}

/* Is the change of a text one of its meaning that was meant? A fault where it is not. */
static bool means_what_was_meant(struct inject *inject, const struct manifest *before, const struct manifest *made)
{
    const struct manifest_node *wrong = made != NULL ? inject_other_meaning(before, made) : NULL;
    if (wrong == NULL)
        return made != NULL;
    inject->one_way = true;
    manifest_fault(before, wrong->start,
                   "shunt cannot be put in or taken out here so that all else stays what it is; write this in plain "
                   "blocks");
    return false;
}

static struct manifest *apply(struct inject *inject, struct manifest *manifest)
{
    size_t length = 0;
    if (manifest->splice_count == 0)
        return manifest;
    const char *text = manifest_apply(manifest, &length);
    struct manifest *made = text != NULL ? read_text(inject, manifest->name, text, length, manifest) : NULL;
    return means_what_was_meant(inject, manifest, made) ? made : NULL;
}

/* ---- out ---- */

static bool is_configmap(const struct inject_object *object)
{
    return strcmp(object->kind, "ConfigMap") == 0 && object->injected != NULL;
}

static void remove_configmaps(struct inject *inject, const struct inject_object *objects)
{
    for (const struct inject_object *object = objects; object != NULL; object = object->next) {
        if (!is_configmap(object) || !inject_is_wanted(inject, object->injected))
            continue;
        object->node->leaves = true;
        if (object->items == NULL)
            manifest_remove_document(object->manifest, object->document);
    }
    const struct manifest_node *done = NULL; /* the items of one list follow each other */
    for (const struct inject_object *object = objects; object != NULL; object = object->next)
        if (object->node->leaves && object->items != NULL && object->items != done) {
            manifest_remove(object->manifest, object->items);
            done = object->items;
        }
}

/* The pods go without shunt, and this one goes on leading to it. Whether its annotation is whole is for the run that
 * takes the annotation away. */
static void note_leads_nowhere(struct inject *inject, const struct inject_object *service)
{
    json_t *record = json_loads(service->injected, JSON_REJECT_DUPLICATES, NULL);
    const char *of = json_string_value(json_object_get(record, "of"));
    if (of != NULL && inject_is_wanted(inject, of))
        inject_note(inject,
                    "%s still leads to the shunt of %s: lead it back first, with --uninject --only services, or its "
                    "clients reach nobody",
                    service->id, of);
    json_decref(record);
}

static void remove_shunt(struct inject *inject, const struct inject_object *object)
{
    bool pods = object->workload != NULL, service = strcmp(object->kind, "Service") == 0;
    enum inject_only only = inject->options.only;
    if (object->injected == NULL || (!pods && !service) || (pods && only == INJECT_SERVICES))
        return;
    if (service && only == INJECT_PODS) {
        if (inject->options.uninject)
            note_leads_nowhere(inject, object);
        return;
    }
    json_t *record = inject_record(object);
    if (record == NULL || inject_keep(inject, record) == NULL)
        return;
    const char *of = json_string_value(json_object_get(record, "of"));
    if (inject_is_wanted(inject, pods ? object->id : of != NULL ? of : ""))
        lay_off(object->manifest, pods ? object->template : object->node, json_object_get(record, "undo"));
}

/* A text without what an earlier run has put in; NULL with faults. */
static struct manifest *take_out(struct inject *inject, struct manifest *manifest)
{
    struct inject_object *objects = NULL;
    inject_find(inject, manifest, &objects);
    if (inject->options.only != INJECT_SERVICES)
        remove_configmaps(inject, objects);
    struct manifest *without = is_good(inject) ? apply(inject, manifest) : NULL;
    if (without == NULL)
        return NULL;
    objects = NULL;
    inject_find(inject, without, &objects);
    for (const struct inject_object *object = objects; object != NULL; object = object->next)
        remove_shunt(inject, object);
    return is_good(inject) ? apply(inject, without) : NULL;
}

/* ---- in ---- */

/* The file that an earlier run has put into a ConfigMap for this workload. */
static const char *kept_plan(const struct inject_object *objects, const char *id)
{
    for (const struct inject_object *object = objects; object != NULL; object = object->next)
        if (is_configmap(object) && strcmp(object->injected, id) == 0)
            return manifest_text(object->manifest, manifest_value(object->manifest, object->node, "data"),
                                 "shunt.yaml");
    return NULL;
}

static unsigned port_of(const json_t *record, const char *name)
{
    json_int_t port = json_integer_value(json_object_get(record, name));
    return port > 0 && port < 65536 ? (unsigned)port : 0;
}

/* With --only services the pods are as an earlier run has left them. */
static void read_ports(struct inject *inject, struct inject_object *object)
{
    if (object->injected == NULL) {
        manifest_fault(
            object->manifest, object->node->start,
            "%s has no shunt in this file, so that a Service that leads to it would lead nowhere; run it with "
            "--only pods first",
            object->id);
        return;
    }
    json_t *record = inject_record(object);
    object->port = port_of(record, "port");
    object->legacy = inject->options.legacy != 0 ? inject->options.legacy : port_of(record, "legacy");
    json_decref(record);
}

/* Pods of both ports are there while they are replaced, and a Service leads to one. */
static void note_other_port(struct inject *inject, const struct inject_object *object,
                            const struct inject_object *before)
{
    while (before != NULL && (before->workload == NULL || strcmp(before->id, object->id) != 0))
        before = before->next;
    if (before == NULL || before->injected == NULL)
        return;
    json_t *record = inject_record(before);
    unsigned port = port_of(record, "port");
    json_decref(record);
    if (port != 0 && port != object->port)
        inject_note(inject,
                    "%s: shunt was at port %u and will be at %u: lead its Services back to the application before this "
                    "(--uninject --only services), or clients reach nobody while pods are replaced",
                    object->id, port, object->port);
}

static void put_into_pods(struct inject *inject, struct inject_object *object, const struct inject_object *before)
{
    struct inject_plan plan;
    if (object->template == NULL)
        manifest_fault(object->manifest, object->node->start, "%s has no pod's spec; expected one", object->id);
    else if (object->injected != NULL)
        manifest_fault(object->manifest, object->node->start, "%s still has shunt; uninject it first", object->id);
    else if (inject_plan(inject, object, kept_plan(before, object->id), &plan) && inject_pod(inject, object, &plan))
        note_other_port(inject, object, before);
}

static void put_in(struct inject *inject, const struct inject_object *before)
{
    for (struct inject_object *object = inject->objects; object != NULL; object = object->next) {
        object->chosen = object->workload != NULL && inject_is_wanted(inject, object->id);
        if (object->chosen && inject->options.only == INJECT_SERVICES)
            read_ports(inject, object);
        else if (object->chosen)
            put_into_pods(inject, object, before);
    }
    if (is_good(inject) && inject->options.only != INJECT_PODS)
        inject_services(inject);
    inject_policies(inject);
}

/* Compares what was made with what it was made of, by meaning; and takes it out again, and compares by bytes. */
static void check(struct inject *inject, const struct manifest *source, const struct inject_file *file)
{
    struct manifest *made = read_text(inject, file->name, file->made, file->made_length, NULL);
    if (!means_what_was_meant(inject, source, made))
        return;
    struct manifest *without = take_out(inject, made);
    if (without != NULL && without->length == source->length &&
        memcmp(without->text, source->text, source->length) == 0)
        return;
    inject->one_way = true;
    manifest_fault_plainly(&inject->faults,
                           "%s: shunt cannot be put in here so that it can be taken out again; write the "
                           "workload and its Service in plain blocks",
                           file->name);
}

/* ---- all of it ---- */

static bool read_all(struct inject *inject, struct manifest **manifests)
{
    for (size_t i = 0; i < inject->file_count; i++) {
        const struct inject_file *file = &inject->files[i];
        manifests[i] = read_text(inject, file->name, file->text, file->length, NULL);
        if (manifests[i] != NULL)
            inject_find(inject, manifests[i], &inject->objects);
    }
    return is_good(inject);
}

static bool take_all_out(struct inject *inject, struct manifest **manifests)
{
    for (size_t i = 0; i < inject->file_count; i++)
        manifests[i] = take_out(inject, manifests[i]);
    inject->objects = NULL;
    for (size_t i = 0; i < inject->file_count && is_good(inject); i++)
        inject_find(inject, manifests[i], &inject->objects);
    return is_good(inject);
}

static void make(struct inject *inject, struct manifest *manifest, struct inject_file *file)
{
    file->made = manifest->text;
    file->made_length = manifest->length;
    file->json = manifest->json;
    file->opened = manifest->documents != NULL && manifest->documents->opened;
    file->directed = manifest->documents != NULL && manifest->documents->directed;
    if (manifest->splice_count > 0)
        file->made = manifest_apply(manifest, &file->made_length);
    if (manifest->splice_count > 0 && file->made != NULL)
        check(inject, manifest, file);
    file->changed =
        file->made != NULL && (file->made_length != file->length || memcmp(file->made, file->text, file->length) != 0);
}

static bool make_all(struct inject *inject, struct manifest **manifests)
{
    for (size_t i = 0; i < inject->file_count && is_good(inject); i++)
        make(inject, manifests[i], &inject->files[i]);
    return is_good(inject);
}

static bool run(struct inject *inject)
{
    struct manifest **manifests =
        config_arena_take(inject->faults.arena, inject->file_count + 1, sizeof(struct manifest *));
    if (manifests == NULL || inject->kept == NULL) {
        inject->faults.no_memory = true;
        return false;
    }
    if (!read_all(inject, manifests))
        return false;
    inject_choose(inject);
    const struct inject_object *before = inject->objects;
    if (!is_good(inject) || !take_all_out(inject, manifests))
        return false;
    if (!inject->options.uninject)
        put_in(inject, before);
    return is_good(inject) && make_all(inject, manifests);
}

bool inject_run(struct inject *inject)
{
    inject->kept = json_array();
    bool good = run(inject);
    json_decref(inject->kept);
    inject->kept = NULL;
    return good;
}
