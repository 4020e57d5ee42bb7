/*
 * Shunt put into manifests, and taken out again: what `shuntctl inject` does between reading files and writing them.
 *
 * inject_run() first takes out what an earlier run put in, and then puts in what is asked for, so that doing it twice
 * is doing it once, and other options change what is there. Whatever it makes it reads again, to see that it means what
 * it meant but for what was to be changed, and takes it out again, to see that every byte of the file comes back; a
 * file for which that is not so is refused.
 */
#ifndef SHUNT_SHUNTCTL_INJECT_H
#define SHUNT_SHUNTCTL_INJECT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "tools/shuntctl/manifest.h"

enum {
    INJECT_NOTES = 50,
    INJECT_ADMIN_PORT = 9901,
    INJECT_PORT = 8080
};

#define INJECT_ANNOTATION "shunt/injected"

enum inject_only {
    INJECT_EVERYTHING,
    INJECT_PODS,
    INJECT_SERVICES
};

/* What lets an application serve on while clients are led away. */
enum inject_pause {
    INJECT_PAUSE_DEFAULT, /* sleep in pods with a native sidecar, exec elsewhere */
    INJECT_PAUSE_SLEEP,   /* the kubelet waits: Kubernetes 1.30 */
    INJECT_PAUSE_EXEC,    /* the image's own sleep */
    INJECT_PAUSE_NONE
};

struct inject_options {
    const char *image;
    const char *config_name, *config_text; /* shunt's file; NULL: none was given */
    const char *configmap;                 /* one that is there already; NULL: it is made */
    const char *new;                       /* its URL, for a plan that is made; NULL: none */
    const char *token_secret;              /* NULL: called after the workload */
    unsigned legacy;                       /* the application's port; 0: by the plan, or the only one there is */
    unsigned port;                         /* shunt's; 0: by the file */
    unsigned pre_stop_s;
    enum inject_pause pause;
    enum inject_only only;
    bool classic, uninject;
    const char *const *words; /* "deployment/orders"; none: those that have shunt, else the only one */
    size_t word_count;
};

struct inject_file {
    const char *name, *text;
    size_t length;
    const char *made; /* of the arena */
    size_t made_length;
    bool changed;
    bool json;             /* objects without "---" between them */
    bool opened, directed; /* its first document begins by "---", and has directives in front of that */
};

/* A kind of object that has pods. */
struct inject_kind {
    const char *kind, *group, *alias;
    const char *template[4]; /* the way to the pod's metadata and spec */
    bool serves;             /* behind Services, for good; else it completes */
};

struct inject_object {
    struct inject_object *next;
    struct manifest *manifest;
    struct manifest_document *document;
    struct manifest_node *node;
    struct manifest_node *items;              /* of the List it stands in; NULL: it is a document */
    const char *kind, *name, *namespace, *id; /* texts; namespace may be NULL. id: "Deployment/orders" */
    const struct inject_kind *workload;       /* NULL: it has no pods */
    struct manifest_node *template;           /* NULL: it is not there, or an alias */
    const struct manifest_node *labels;       /* of the pods */
    const char *injected;                     /* the annotation; NULL: none */
    bool chosen;
    unsigned port, legacy; /* of a chosen one; legacy 0: not known */
};

struct inject {
    struct inject_options options;
    struct inject_file *files;
    size_t file_count;
    struct manifest_faults faults;
    const char *notes[INJECT_NOTES]; /* what to know, and what is done */
    size_t note_count;
    /* the run's own */
    json_t *kept;
    struct inject_object *objects; /* of all files */
    const char **wanted;           /* ids */
    size_t wanted_count;
    bool one_way; /* what was made could not be taken out again, and was refused */
};

/* True when all files are made. The faults' arena is the caller's, and has all texts. */
bool inject_run(struct inject *inject);

/* ---- between inject_*.c ---- */

void inject_note(struct inject *inject, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* printf into the arena; "" without memory, which the faults know. */
const char *inject_print(struct inject *inject, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Keeps JSON (stolen) until the end of the run. Returns it; NULL: the faults know. */
json_t *inject_keep(struct inject *inject, json_t *json);

/* Finds the objects of a manifest and puts them behind `last`. */
void inject_find(struct inject *inject, struct manifest *manifest, struct inject_object **last);
bool inject_is_wanted(const struct inject *inject, const char *id);
/* Which workloads are meant. A fault where that cannot be said. */
void inject_choose(struct inject *inject);
/* What the annotation says: an object with "undo". A new reference; NULL with a fault. */
json_t *inject_record(const struct inject_object *object);

/* Shunt's file: given, kept from an earlier run, or made. */
struct inject_plan {
    const char *text;
    unsigned port, admin_port, legacy; /* legacy 0: it is not in the pod, or not known */
    unsigned drain_s;
};
/* False with faults. `kept`: the file of an earlier run; NULL: none. */
bool inject_plan(struct inject *inject, const struct inject_object *object, const char *kept, struct inject_plan *plan);

/* Puts shunt into a chosen workload; false with faults. */
bool inject_pod(struct inject *inject, struct inject_object *object, const struct inject_plan *plan);
/* The container, volumes and ConfigMap, new references. */
json_t *inject_container(const struct inject *inject, const struct inject_plan *plan);
json_t *inject_volumes(const char *configmap, const char *token_secret);
json_t *inject_configmap(const struct inject_object *object, const char *name, const char *text);
const char *inject_configmap_name(struct inject *inject, const struct inject_object *object);
const char *inject_secret_name(struct inject *inject, const struct inject_object *object);

/* The only port a pod's containers have, 0 where there is none or more; does a container have this one? */
unsigned inject_only_port(const struct inject_object *object);
bool inject_has_port(const struct inject_object *object, unsigned number);
/* The number of the port that is called so; 0: none is. */
unsigned inject_port_named(const struct inject_object *object, const char *name);

/* Leads Services to the shunt of the pods they select. */
void inject_services(struct inject *inject);
/* Notes of NetworkPolicies that may keep clients from it. */
void inject_policies(struct inject *inject);

#endif
