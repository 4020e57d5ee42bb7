/*
 * Loader: a file's text, through its tree, into one `struct config`.
 *
 * Called by whoever starts or reloads, on any thread; it reads the file, the files of secrets and the environment, and
 * only opens and closes what others read later, such as certificates. It walks the table of keys (keys.c) and knows no
 * key itself. A fault never ends the walk, so that all of them are told at once; the tree of a file with faults is
 * thrown away.
 */
#include "config/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/file.h"
#include "config/names.h"
#include "config/place.h"
#include "config/secret.h"
#include "config/types.h"

/* ---- memory ---- */

void *loader_take(struct loader *loader, size_t count, size_t size)
{
    void *taken = config_arena_take(loader->arena, count, size);
    if (taken == NULL)
        faults_no_memory(loader->faults);
    return taken;
}

/* A file has few secrets, so that looking one up may be slow. */
const char *loader_keep(struct loader *loader, const char *text, const struct node *scalar)
{
    bool secret = text != NULL && scalar->origin != NULL;
    if (secret && ++loader->secrets == LOADER_SECRETS + 1)
        loader_fault(loader, scalar->place, "more than %d values come from variables and files; expected fewer",
                     LOADER_SECRETS);
    if (text == NULL ||
        (secret && loader->secrets <= LOADER_SECRETS && !config_secret_add(loader->config, text, scalar->origin)))
        faults_no_memory(loader->faults);
    return text;
}

const char *loader_text(struct loader *loader, const struct node *scalar)
{
    return loader_keep(loader, config_arena_text(loader->arena, scalar->text, strlen(scalar->text)), scalar);
}

const char *loader_lower(struct loader *loader, const struct node *scalar)
{
    return loader_keep(loader, config_arena_lower(loader->arena, scalar->text, strlen(scalar->text)), scalar);
}

/* ---- files ---- */

const char *loader_resolve(struct loader *loader, const char *path)
{
    const char *folder = path[0] == '/' ? "" : loader->folder;
    const char *full = config_arena_print(loader->arena, "%s%s", folder, path);
    if (full == NULL)
        faults_no_memory(loader->faults);
    return full;
}

static bool is_secret_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    }
    return true;
}

const char *loader_secret(struct loader *loader, const char *path, struct place place)
{
    char content[TREE_SCALAR_BYTES + 1];
    const char *why = NULL;
    const char *full = loader_resolve(loader, path);
    if (full == NULL)
        return NULL;
    ssize_t got = file_read_regular(full, content, sizeof(content), &why);
    if (got < 0) {
        loader_fault(loader, place, "the file %s cannot be read: %s; expected a file with one line",
                     text_shown(loader->faults, full), why);
        return NULL;
    }
    size_t len = (size_t)got;
    if (len > 0 && len <= TREE_SCALAR_BYTES && content[len - 1] == '\n')
        len -= len > 1 && content[len - 2] == '\r' ? 2 : 1;
    const char *wrong = len == 0                        ? "is empty"
                        : len > TREE_SCALAR_BYTES       ? "is too large"
                        : !is_secret_text(content, len) ? "holds a control byte or more than one line"
                                                        : NULL;
    const char *text = NULL;
    if (wrong != NULL) {
        loader_fault(loader, place, "the file %s %s; expected one line of at most %d bytes",
                     text_shown(loader->faults, full), wrong, TREE_SCALAR_BYTES);
    } else {
        text = config_arena_text(loader->arena, content, len);
        if (text == NULL)
            faults_no_memory(loader->faults);
    }
    explicit_bzero(content, sizeof(content));
    return text;
}

const char *loader_file(struct loader *loader, const struct node *scalar)
{
    const char *why = NULL;
    const char *full = loader_resolve(loader, scalar->text);
    if (full == NULL)
        return NULL;
    if (!file_is_readable(full, &why)) {
        loader_fault(loader, scalar->place, "the file %s cannot be read: %s; expected a file that shunt may read",
                     text_shown(loader->faults, full), why);
        faults_missing(loader->faults, full);
        return NULL;
    }
    const char *where = faults_where(loader->faults, scalar->place, loader->arena);
    if (where == NULL || !config_place_add(loader->config, full, where)) {
        faults_no_memory(loader->faults);
        return NULL;
    }
    return loader_keep_path(loader, full, scalar) ? full : NULL;
}

bool loader_keep_path(struct loader *loader, const char *full, const struct node *scalar)
{
    const char *origin = scalar->origin;
    if (origin == NULL && scalar->text[0] != '/')
        origin = config_yaml_quote(loader->faults->arena, scalar->raw);
    else if (origin == NULL)
        return true;
    if (origin != NULL && config_secret_add(loader->config, full, origin))
        return true;
    faults_no_memory(loader->faults);
    return false;
}

/* ---- nodes of the kind that is needed ---- */

/* The path of { file: PATH }, or NULL when `node` is something else. */
static const struct node *file_reference(const struct node *node)
{
    const struct node_item *item = node->kind == NODE_MAPPING && node->count == 1 ? node_find(node, "file") : NULL;
    return item != NULL && item->value->kind == NODE_SCALAR ? item->value : NULL;
}

static const struct node *read_reference(struct loader *loader, const struct node *path)
{
    if (path->broken)
        return NULL;
    const char *content = loader_secret(loader, path->text, path->place);
    if (content == NULL)
        return NULL;
    struct config_arena *scratch = loader->faults->arena;
    struct node *node = node_scalar(scratch, content, path->place);
    const char *origin = config_yaml_quote(scratch, path->raw);
    if (origin != NULL)
        origin = config_arena_print(scratch, "{ file: %s }", origin);
    if (node == NULL || origin == NULL) {
        faults_no_memory(loader->faults);
        return NULL;
    }
    node->origin = origin;
    return node;
}

static void fault_of_kind(struct loader *loader, const struct node *node, const char *expected)
{
    if (node->kind == NODE_SCALAR && node->empty)
        loader_fault(loader, node->place, "there is no value; expected %s", expected);
    else if (node->kind == NODE_SCALAR)
        loader_fault(loader, node->place, "%s is a single value; expected %s", node_shown(loader->faults, node),
                     expected);
    else
        loader_fault(loader, node->place, "this is %s; expected %s", node_kind_name(node), expected);
}

const struct node *loader_scalar(struct loader *loader, const struct node *node, const char *expected)
{
    const struct node *path = file_reference(node);
    if (path != NULL)
        return read_reference(loader, path);
    if (node->broken)
        return NULL;
    if (node->kind == NODE_SCALAR && !node->empty)
        return node;
    fault_of_kind(loader, node, expected);
    return NULL;
}

static const struct node *of_kind(struct loader *loader, const struct node *node, enum node_kind kind,
                                  const char *expected)
{
    if (node->kind == kind)
        return node;
    if (!node->broken)
        fault_of_kind(loader, node, expected);
    return NULL;
}

const struct node *loader_list(struct loader *loader, const struct node *node, const char *expected)
{
    return of_kind(loader, node, NODE_LIST, expected);
}

const struct node *loader_mapping(struct loader *loader, const struct node *node, const char *expected)
{
    return of_kind(loader, node, NODE_MAPPING, expected);
}

/* ---- sections ---- */

/* A default is written in the table as the file would say it: "10s" or "[GET, HEAD]". */
static const struct node *fallback_node(struct loader *loader, const char *text)
{
    static const struct place nowhere = {1, 1};
    if (text[0] != '[')
        return node_scalar(loader->faults->arena, text, nowhere);
    struct node *list = node_scalar(loader->faults->arena, text, nowhere);
    struct node_item **last = list == NULL ? NULL : &list->items;
    for (const char *at = text + 1; last != NULL && *at != ']';) {
        size_t len = strcspn(at, ",]");
        struct node_item *item = config_arena_take(loader->faults->arena, 1, sizeof(*item));
        const char *word = config_arena_text(loader->faults->arena, at, len);
        if (item == NULL || word == NULL)
            return NULL;
        item->value = node_scalar(loader->faults->arena, word, nowhere);
        if (item->value == NULL)
            return NULL;
        *last = item;
        last = &item->next;
        list->count++;
        at += len;
        at += strspn(at, ", ");
    }
    if (list != NULL)
        list->kind = NODE_LIST;
    return list;
}

static void read_fallback(struct loader *loader, const struct config_key *key, void *base)
{
    if (key->fallback == NULL || (key->flags & KEY_DEFERRED) != 0)
        return;
    const struct node *node = fallback_node(loader, key->fallback);
    if (node == NULL)
        faults_no_memory(loader->faults);
    else
        key->type->read(loader, key, node, base);
}

static void read_key(struct loader *loader, const struct config_key *key, const struct node *mapping, void *base)
{
    const struct node_item *item = mapping == NULL ? NULL : node_find(mapping, key->name);
    size_t mark = faults_enter_key(loader->faults, key->name);
    read_fallback(loader, key, base); /* also where the file has a value: a refused one must not upset later checks */
    if (item != NULL)
        key->type->read(loader, key, item->value, base);
    else if (mapping != NULL && (key->flags & KEY_REQUIRED) != 0)
        loader_fault(loader, mapping->place, "this key is missing; expected %s", key->type->name);
    else if (item == NULL && key->type == &type_section)
        loader_read_section(loader, key->section, NULL, (char *)base + key->at);
    faults_leave(loader->faults, mark);
}

static bool is_known(const struct config_section *section, const char *name)
{
    for (const struct config_key *key = section->keys; key->name != NULL; key++) {
        if (strcmp(key->name, name) == 0)
            return true;
    }
    return false;
}

/* "a, b or c": what a section may hold. */
static const char *known_keys(struct loader *loader, const struct config_section *section)
{
    const char *text = "";
    for (const struct config_key *key = section->keys; key->name != NULL && text != NULL; key++)
        text = config_arena_print(loader->faults->arena, "%s%s%s", text, text[0] == '\0' ? "" : ", ", key->name);
    if (text == NULL)
        faults_no_memory(loader->faults);
    return text != NULL ? text : "";
}

static void fault_unknown(struct loader *loader, const struct config_section *section, const struct node_item *item)
{
    struct name_guess guess = {.wanted = item->key};
    for (const struct config_key *key = section->keys; key->name != NULL; key++)
        name_guess_try(&guess, key->name);
    const char *near = name_guess_best(&guess);
    const char *shown = text_shown(loader->faults, item->key);
    const char *home = config_key_home(item->key);
    if (home != NULL)
        loader_fault(loader, item->key_place, "the key %s does not belong here; expected it in %s", shown, home);
    else if (near != NULL)
        loader_fault(loader, item->key_place, "the key %s is unknown; did you mean %s?", shown, near);
    else
        loader_fault(loader, item->key_place, "the key %s is unknown; expected one of %s", shown,
                     known_keys(loader, section));
}

static void refuse_unknown(struct loader *loader, const struct config_section *section, const struct node *mapping)
{
    for (const struct node_item *item = mapping->items; item != NULL; item = item->next) {
        if (!is_known(section, item->key))
            fault_unknown(loader, section, item);
    }
}

static void read_keys(struct loader *loader, const struct config_section *section, const struct node *mapping,
                      void *base)
{
    for (const struct config_key *key = section->keys; key->name != NULL; key++)
        read_key(loader, key, mapping, base);
    if (mapping != NULL)
        refuse_unknown(loader, section, mapping);
}

void loader_read_given(struct loader *loader, const struct config_section *section, const struct node *node, void *base)
{
    const struct node *mapping = loader_mapping(loader, node, "a mapping of keys");
    if (mapping == NULL)
        return;
    for (const struct config_key *key = section->keys; key->name != NULL; key++) {
        const struct node_item *item = node_find(mapping, key->name);
        size_t mark = faults_enter_key(loader->faults, key->name);
        if (item != NULL)
            key->type->read(loader, key, item->value, base);
        faults_leave(loader->faults, mark);
    }
    refuse_unknown(loader, section, mapping);
}

static bool says_off(const struct config_section *section, const struct node *node)
{
    return section->turn_off != NULL && node != NULL && node->kind == NODE_SCALAR && !node->broken &&
           strcmp(node->text, "off") == 0;
}

void loader_read_section(struct loader *loader, const struct config_section *section, const struct node *node,
                         void *base)
{
    bool off = says_off(section, node);
    const char *expected = section->turn_off != NULL ? "a mapping of keys, or off" : "a mapping of keys";
    if (section->prepare != NULL)
        section->prepare(base);
    if (node != NULL && !off)
        node = loader_mapping(loader, node, expected);
    read_keys(loader, section, off ? NULL : node, base);
    if (off)
        section->turn_off(base);
    else if (node != NULL && section->check != NULL)
        section->check(loader, node, base);
}

/* ---- the whole file ---- */

/* "a/b/" of "a/b/shunt.yaml". */
static const char *folder_of(struct config_arena *arena, const char *name)
{
    const char *slash = strrchr(name, '/');
    return config_arena_text(arena, name, slash == NULL ? 0 : (size_t)(slash + 1 - name));
}

static struct config *new_config(const char *name)
{
    struct config_arena *arena = config_arena_new();
    struct config *config = arena == NULL ? NULL : config_arena_take(arena, 1, sizeof(*config));
    const char *file = arena == NULL ? NULL : config_arena_text(arena, name, strlen(name));
    if (config == NULL || file == NULL) {
        config_arena_free(arena);
        return NULL;
    }
    config->arena = arena;
    config->file = file;
    return config;
}

static void read_config(struct loader *loader, const char *text, size_t length)
{
    struct faults *faults = loader->faults;
    if (length > TREE_FILE_BYTES) {
        faults_add(faults, (struct place){1, 1}, "the file is larger than %d bytes; expected at most 1 MiB",
                   TREE_FILE_BYTES);
        return;
    }
    const struct node *root = tree_build(text, length, faults);
    if (root == NULL)
        return;
    if (root->kind == NODE_SCALAR && root->empty)
        faults_add(faults, root->place, "the file is empty; expected at least listeners and backends");
    else
        loader_read_section(loader, &config_file_section, root, loader->config);
}

/* Loads with both arenas at hand; true when the tree is good. */
static bool load(struct config *config, struct config_arena *scratch, const char *text, size_t length,
                 struct config_errors *errors)
{
    struct faults faults;
    faults_init(&faults, scratch, config->file);
    struct loader loader = {
        .config = config, .arena = config->arena, .faults = &faults, .zones = {.arena = config->arena}};
    loader.folder = folder_of(scratch, config->file);
    if (loader.folder == NULL)
        faults_no_memory(&faults);
    else
        read_config(&loader, text, length);
    if (!faults_any(&faults))
        return true;
    if (!faults_tell(&faults, errors))
        faults_no_memory(&faults);
    if (faults.no_memory)
        (void)config_errors_add(errors, "there is not enough memory to load the configuration");
    return false;
}

struct config *config_parse(const char *name, const char *text, size_t length, struct config_errors *errors)
{
    struct config *config = new_config(name);
    struct config_arena *scratch = config_arena_new();
    bool good = false;
    if (config != NULL && scratch != NULL)
        good = load(config, scratch, text, length, errors);
    else
        (void)config_errors_add(errors, "there is not enough memory to load the configuration");
    config_arena_free(scratch);
    if (!good) {
        config_free(config);
        config = NULL;
    }
    return config;
}

static void tell_unreadable(const char *path, const char *why, struct config_errors *errors)
{
    char line[4096 + 256];
    (void)snprintf(line, sizeof(line), "%.4096s:1:1: the file cannot be read: %s; expected a YAML file", path, why);
    (void)config_errors_add(errors, line);
}

struct config *config_load(const char *path, struct config_errors *errors)
{
    const char *why = NULL;
    char *text = malloc(TREE_FILE_BYTES + 1);
    if (text == NULL) {
        (void)config_errors_add(errors, "there is not enough memory to load the configuration");
        return NULL;
    }
    struct config *config = NULL;
    ssize_t len = file_read(path, text, TREE_FILE_BYTES + 1, &why);
    if (len < 0)
        tell_unreadable(path, why, errors);
    else
        config = config_parse(path, text, (size_t)len, errors);
    free(text);
    return config;
}

void config_free(struct config *config)
{
    if (config != NULL)
        config_arena_free(config->arena);
}

const char *side_name(enum side side)
{
    return side == SIDE_NEW ? "new" : "legacy";
}
