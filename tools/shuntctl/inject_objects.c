/*
 * The objects of manifests: which have pods, which of them are meant, what an earlier run has written on them.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tools/shuntctl/inject.h"

static const struct inject_kind kinds[] = {
    {"Deployment", "apps/", "deploy", {"spec", "template"}, true},
    {"StatefulSet", "apps/", "sts", {"spec", "template"}, true},
    {"DaemonSet", "apps/", "ds", {"spec", "template"}, true},
    {"ReplicaSet", "apps/", "rs", {"spec", "template"}, true},
    {"Pod", "v1", "po", {NULL}, true},
    {"Job", "batch/", "job", {"spec", "template"}, false},
    {"CronJob", "batch/", "cj", {"spec", "jobTemplate", "spec", "template"}, false},
};

enum {
    KINDS = sizeof(kinds) / sizeof(kinds[0]),
    WAY = 4
};

static const struct inject_kind *kind_of(const char *version, const char *kind)
{
    for (size_t i = 0; i < KINDS; i++) {
        size_t length = strlen(kinds[i].group);
        bool whole = kinds[i].group[length - 1] != '/';
        if (strcmp(kinds[i].kind, kind) == 0 && strncmp(kinds[i].group, version, length) == 0 &&
            (!whole || version[length] == '\0'))
            return &kinds[i];
    }
    return NULL;
}

/* Aliases on the way are followed: whoever changes something there is told. */
static struct manifest_node *map_at(const struct manifest *manifest, const struct manifest_node *node,
                                    const char *const *way, size_t steps)
{
    for (size_t i = 0; i < steps && way[i] != NULL; i++)
        node = manifest_value(manifest, node, way[i]);
    return node != NULL && node->kind == MANIFEST_MAP ? (struct manifest_node *)node : NULL;
}

static void look_at_pods(struct inject_object *object)
{
    const struct manifest *manifest = object->manifest;
    object->template = map_at(manifest, object->node, object->workload->template, WAY);
    object->labels = map_at(manifest, object->template, (const char *const[]){"metadata", "labels"}, 2);
    object->injected =
        manifest_text(manifest, map_at(manifest, object->template, (const char *const[]){"metadata", "annotations"}, 2),
                      INJECT_ANNOTATION);
}

static void add_object(struct inject *inject, struct inject_object *found, const char *version,
                       struct inject_object **last)
{
    struct manifest *manifest = found->manifest;
    const struct manifest_node *about = manifest_value(manifest, found->node, "metadata");
    const struct manifest_node *owners = manifest_value(manifest, about, "ownerReferences");
    const char *name = manifest_text(manifest, about, "name");
    struct inject_object *object = config_arena_take(inject->faults.arena, 1, sizeof(*object));
    if (object == NULL) {
        inject->faults.no_memory = true;
        return;
    }
    *object = *found;
    object->name = name != NULL ? name : "";
    object->namespace = manifest_text(manifest, about, "namespace");
    object->id = inject_print(inject, "%s/%s", object->kind, object->name);
    if (owners == NULL || owners->first == NULL) /* else its owner has the pods */
        object->workload = kind_of(version, object->kind);
    if (object->workload != NULL)
        look_at_pods(object);
    else
        object->injected = manifest_text(manifest, map_at(manifest, about, (const char *const[]){"annotations"}, 1),
                                         INJECT_ANNOTATION);
    while (*last != NULL)
        last = &(*last)->next;
    *last = object;
}

static void look_at(struct inject *inject, const struct inject_object *found, struct inject_object **last,
                    unsigned depth)
{
    struct manifest *manifest = found->manifest;
    struct inject_object object = *found;
    object.node = (struct manifest_node *)manifest_meant(found->node);
    const char *kind = manifest_text(manifest, object.node, "kind");
    const char *version = manifest_text(manifest, object.node, "apiVersion");
    if (kind == NULL || version == NULL || depth > 3)
        return;
    const struct manifest_node *items = manifest_value(manifest, object.node, "items");
    size_t length = strlen(kind);
    if (length >= 4 && strcmp(kind + length - 4, "List") == 0 && items != NULL && items->kind == MANIFEST_LIST) {
        object.items = (struct manifest_node *)items;
        for (struct manifest_node *item = items->first; item != NULL; item = item->next) {
            object.node = item;
            look_at(inject, &object, last, depth + 1);
        }
        return;
    }
    object.kind = kind;
    add_object(inject, &object, version, last);
}

void inject_find(struct inject *inject, struct manifest *manifest, struct inject_object **last)
{
    for (struct manifest_document *document = manifest->documents; document != NULL; document = document->next) {
        struct inject_object object = {.manifest = manifest, .document = document, .node = document->root};
        if (document->root == NULL)
            continue;
        look_at(inject, &object, last, 0);
        while (*last != NULL)
            last = &(*last)->next;
    }
}

/* ---- which are meant ---- */

static bool is_kind(const char *word, size_t length, const char *kind)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (strcasecmp(kinds[i].kind, kind) != 0)
            continue;
        size_t its_length = strlen(kind);
        return (length == strlen(kinds[i].alias) && strncasecmp(word, kinds[i].alias, length) == 0) ||
               ((length == its_length || (length == its_length + 1 && strchr("sS", word[its_length]) != NULL)) &&
                strncasecmp(word, kind, its_length) == 0);
    }
    return false;
}

/* "deployment/orders", "deploy/orders" and "orders" mean "Deployment/orders". */
static bool means(const char *word, const char *id)
{
    const char *slash = strchr(word, '/'), *name = strchr(id, '/');
    char kind[32];
    snprintf(kind, sizeof(kind), "%.*s", (int)(name - id), id);
    return strcmp(slash != NULL ? slash + 1 : word, name + 1) == 0 &&
           (slash == NULL || is_kind(word, (size_t)(slash - word), kind));
}

bool inject_is_wanted(const struct inject *inject, const char *id)
{
    const struct inject_options *options = &inject->options;
    if (strchr(id, '/') == NULL)
        return false;
    for (size_t i = 0; i < options->word_count; i++)
        if (means(options->words[i], id))
            return true;
    for (size_t i = 0; i < inject->wanted_count; i++)
        if (strcmp(inject->wanted[i], id) == 0)
            return true;
    return options->uninject && options->word_count == 0;
}

/* "Deployment/orders, Deployment/redis" */
static const char *list_workloads(struct inject *inject)
{
    const char *list = "";
    for (const struct inject_object *object = inject->objects; object != NULL; object = object->next)
        if (object->workload != NULL)
            list = inject_print(inject, "%s%s%s", list, list[0] != '\0' ? ", " : "", object->id);
    return list;
}

static void choose_by_word(struct inject *inject)
{
    for (size_t i = 0; i < inject->options.word_count; i++) {
        const char *word = inject->options.words[i], *there = list_workloads(inject);
        bool found = false;
        for (struct inject_object *object = inject->objects; object != NULL; object = object->next) {
            bool its = object->workload != NULL && means(word, object->id);
            object->chosen = object->chosen || its;
            found = found || its;
        }
        if (!found && !inject->options.uninject)
            manifest_fault_plainly(&inject->faults, "there is no %s in these files; expected one of: %s", word,
                                   there[0] != '\0' ? there : "(they have no workload)");
    }
}

static void choose_by_itself(struct inject *inject)
{
    struct inject_object *only = NULL;
    size_t count = 0, injected = 0;
    for (struct inject_object *object = inject->objects; object != NULL; object = object->next) {
        if (object->workload == NULL)
            continue;
        object->chosen = object->injected != NULL;
        injected += object->chosen;
        count++;
        only = object;
    }
    if (injected > 0 || inject->options.uninject)
        return;
    if (count == 1)
        only->chosen = true;
    else if (count == 0)
        manifest_fault_plainly(&inject->faults,
                               "these files have no Deployment, StatefulSet, DaemonSet, ReplicaSet, Pod, "
                               "Job or CronJob; add the one that gets shunt with -f");
    else
        manifest_fault_plainly(&inject->faults, "there are several workloads; name those that get shunt: %s",
                               list_workloads(inject));
}

void inject_choose(struct inject *inject)
{
    size_t count = 0;
    if (inject->options.word_count > 0)
        choose_by_word(inject);
    else
        choose_by_itself(inject);
    for (const struct inject_object *object = inject->objects; object != NULL; object = object->next)
        count += object->chosen;
    inject->wanted = config_arena_take(inject->faults.arena, count + 1, sizeof(*inject->wanted));
    inject->faults.no_memory |= inject->wanted == NULL;
    for (const struct inject_object *object = inject->objects; object != NULL && inject->wanted != NULL;
         object = object->next)
        if (object->chosen)
            inject->wanted[inject->wanted_count++] = object->id;
}

json_t *inject_record(const struct inject_object *object)
{
    json_t *record = json_loads(object->injected, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json_object_get(record, "undo")))
        return record;
    json_decref(record);
    manifest_fault(object->manifest, object->node->start,
                   "the annotation " INJECT_ANNOTATION
                   " of %s is not as shuntctl wrote it; take its file from before, or "
                   "remove shunt by hand, with the annotation",
                   object->id);
    return NULL;
}
