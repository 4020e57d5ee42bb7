/*
 * Types that one key alone has: tokens, backends, cohorts' keys, overrides, and what is compared.
 */
#include "config/types.h"

#include <inttypes.h>
#include <string.h>

#include "config/fields.h"
#include "config/jsonpath.h"
#include "config/loader.h"
#include "config/names.h"
#include "config/scalar.h"
#include "config/texts.h"
#include "config/writer.h"

/* ---- admin.token_file, notify[].token_file ---- */

/* The token travels in an Authorization field: visible ASCII without blanks. */
static bool is_bearer_token(const char *token)
{
    for (const char *at = token; *at != '\0'; at++) {
        if (*at <= 0x20 || *at >= 0x7f)
            return false;
    }
    return true;
}

/* The path as it is opened, and the token in the file. False after a fault. */
static bool read_token(struct loader *loader, const struct node *node, const char **path, const char **token)
{
    const struct node *scalar = loader_scalar(loader, node, "the path of a file");
    if (scalar == NULL)
        return false;
    const char *content = loader_secret(loader, scalar->text, scalar->place);
    if (content == NULL)
        return false;
    if (!is_bearer_token(content)) {
        loader_fault(loader, scalar->place,
                     "the token in the file holds a blank or a byte beyond ASCII; expected one "
                     "word of visible characters");
        return false;
    }
    const char *full = loader_resolve(loader, scalar->text);
    if (full == NULL || !loader_keep_path(loader, full, scalar))
        return false;
    *path = full;
    *token = content;
    return true;
}

static void read_admin_token(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    (void)read_token(loader, node, KEY_FIELD(const char *, key, base), &((struct config_admin *)base)->token);
}

static void read_notify_token(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    (void)read_token(loader, node, KEY_FIELD(const char *, key, base), &((struct config_notify *)base)->token);
}

const struct config_type type_token_file = {
    .name = "a path", .read = read_admin_token, .write = key_write_text, .is_set = key_text_is_set};
const struct config_type type_notify_token_file = {
    .name = "a path", .read = read_notify_token, .write = key_write_text, .is_set = key_text_is_set};

/* ---- backends ---- */

/* A URL that was refused may hold a password or a token. */
static const char *url_shown(struct faults *faults, const struct node *scalar)
{
    return strpbrk(scalar->text, "@?") != NULL ? "the URL" : node_shown(faults, scalar);
}

static void read_url(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "http://HOST:PORT, https://HOST:PORT (an IPv6 address between [ and ]) or "
                                   "unix:/PATH";
    struct config_backend *backend = base;
    const struct node *scalar = loader_scalar(loader, node, expected);
    const char *why = NULL;
    (void)key;
    if (scalar == NULL)
        return;
    if (scalar_backend_url(loader->arena, scalar->text, &backend->address, &why))
        backend->url = backend->address.text;
    else if (why == NULL)
        faults_no_memory(loader->faults);
    else
        loader_fault(loader, scalar->place, "%s: %s; expected %s", url_shown(loader->faults, scalar), why, expected);
}

const struct config_type type_url = {.name = "a URL", .read = read_url, .write = key_write_text};

static void read_backend(struct loader *loader, const struct config_key *key, const struct node_item *item,
                         struct config_backend *backend)
{
    size_t mark = faults_enter_key(loader->faults, item->key);
    backend->name = config_arena_text(loader->arena, item->key, strlen(item->key));
    if (backend->name == NULL)
        faults_no_memory(loader->faults);
    if (!name_is_valid(item->key))
        loader_fault(loader, item->key_place,
                     "%s is no name for a backend; expected 1 to 64 letters, digits, \"_\", "
                     "\".\" and \"-\", but not \"-\" alone",
                     text_shown(loader->faults, item->key));
    loader_read_section(loader, key->section, item->value, backend);
    faults_leave(loader->faults, mark);
}

static void read_backends(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "a mapping of names to backends, such as legacy: { url: \"http://127.0.0.1:3001\" }";
    struct config *config = base;
    const struct node *mapping = loader_mapping(loader, node, expected);
    if (mapping == NULL)
        return;
    config->backends = loader_take(loader, mapping->count, sizeof(*config->backends));
    if (config->backends == NULL)
        return;
    for (const struct node_item *item = mapping->items; item != NULL; item = item->next) {
        struct config_backend *backend = &config->backends[config->backend_count];
        backend->index = config->backend_count++;
        read_backend(loader, key, item, backend);
        if (strcmp(item->key, side_name(SIDE_LEGACY)) == 0)
            config->legacy = backend;
    }
    if (config->legacy == NULL)
        loader_fault(loader, mapping->place,
                     "there is no backend named legacy; expected one, as it answers requests "
                     "without a route and everything in passthrough");
}

static void write_backends(struct writer *writer, const struct config_key *key, const void *base)
{
    const struct config *config = base;
    writer_raw(writer, "\n");
    writer->indent++;
    for (uint32_t i = 0; i < config->backend_count; i++) {
        writer_key(writer, config->backends[i].name);
        writer_raw(writer, "\n");
        writer->indent++;
        writer_section(writer, key->section, &config->backends[i]);
        writer->indent--;
    }
    writer->indent--;
}

const struct config_type type_backends = {
    .name = "a mapping of names to backends", .read = read_backends, .write = write_backends};

static const struct config_backend *find_backend(const struct config *config, const char *name,
                                                 struct name_guess *guess)
{
    for (uint32_t i = 0; i < config->backend_count; i++) {
        if (config->backends[i].name != NULL && strcmp(config->backends[i].name, name) == 0)
            return &config->backends[i];
        if (config->backends[i].name != NULL)
            name_guess_try(guess, config->backends[i].name);
    }
    return NULL;
}

static void read_backend_name(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    const struct node *scalar = loader_scalar(loader, node, "the name of a backend");
    if (scalar == NULL)
        return;
    struct name_guess guess = {.wanted = scalar->text};
    const struct config_backend *backend = find_backend(loader->config, scalar->text, &guess);
    *KEY_FIELD(const struct config_backend *, key, base) = backend;
    if (backend != NULL || loader->config->backend_count == 0) /* the missing backends were told already */
        return;
    const char *near = name_guess_best(&guess);
    loader_fault(loader, scalar->place, "there is no backend named %s; expected one of those under backends%s%s%s",
                 node_shown(loader->faults, scalar), near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                 near != NULL ? "?" : "");
}

static void write_backend_name(struct writer *writer, const struct config_key *key, const void *base)
{
    writer_value(writer, (*KEY_CONST_FIELD(struct config_backend *, key, base))->name);
}

const struct config_type type_backend_name = {
    .name = "a backend's name", .read = read_backend_name, .write = write_backend_name};

/* ---- routes[].sticky ---- */

enum {
    STICKY_MOST = 8
};

struct sticky_word {
    const char *word;
    enum config_sticky_kind kind;
    bool named; /* { header: NAME }, else a word by itself */
};

static const struct sticky_word sticky_words[] = {
    {"header", STICKY_HEADER, true},        {"cookie", STICKY_COOKIE, true},  {"query", STICKY_QUERY, true},
    {"client_ip", STICKY_CLIENT_IP, false}, {"random", STICKY_RANDOM, false},
};

static const char sticky_expected[] = "{ header: NAME }, { cookie: NAME }, { query: NAME }, client_ip or random";

static const struct sticky_word *find_sticky_word(const char *word, bool named)
{
    for (size_t i = 0; i < sizeof(sticky_words) / sizeof(sticky_words[0]); i++) {
        if (sticky_words[i].named == named && strcmp(sticky_words[i].word, word) == 0)
            return &sticky_words[i];
    }
    return NULL;
}

static bool read_sticky_name(struct loader *loader, const struct sticky_word *word, const struct node *node,
                             struct config_sticky *sticky)
{
    const struct node *scalar = loader_scalar(loader, node, "a name");
    if (scalar == NULL)
        return false;
    bool good = word->kind == STICKY_QUERY ? scalar->text[0] != '\0' && strlen(scalar->text) <= NAME_BYTES * 4
                                           : name_is_token(scalar->text);
    if (!good) {
        loader_fault(loader, scalar->place,
                     "%s cannot be a name of a %s; expected letters, digits and "
                     "!#$%%&'*+-.^_`|~",
                     node_shown(loader->faults, scalar), word->word);
        return false;
    }
    sticky->name = word->kind == STICKY_HEADER ? loader_lower(loader, scalar) : loader_text(loader, scalar);
    sticky->name_len = sticky->name == NULL ? 0 : (uint32_t)strlen(sticky->name);
    return sticky->name != NULL;
}

static bool read_sticky_item(struct loader *loader, const struct node *node, struct config_sticky *sticky)
{
    if (node->broken)
        return false;
    bool named = node->kind == NODE_MAPPING && node->count == 1;
    bool single = node->kind == NODE_SCALAR && !node->empty;
    const struct sticky_word *word = NULL;
    if (named || single)
        word = find_sticky_word(named ? node->items->key : node->text, named);
    if (word == NULL) {
        const char *shown = single ? node_shown(loader->faults, node) : node_kind_name(node);
        loader_fault(loader, node->place, "%s decides no cohort; expected %s", shown, sticky_expected);
        return false;
    }
    sticky->kind = word->kind;
    return !named || read_sticky_name(loader, word, node->items->value, sticky);
}

static bool is_last_resort(const struct config_sticky *sticky)
{
    return sticky->kind == STICKY_CLIENT_IP || sticky->kind == STICKY_RANDOM;
}

static void check_sticky_order(struct loader *loader, const struct config_sticky *list, uint32_t index,
                               const struct node *node)
{
    for (uint32_t i = 0; i < index; i++) {
        if (is_last_resort(&list[i])) {
            loader_fault(loader, node->place,
                         "this is never looked at, as client_ip and random are always there; "
                         "expected them last");
            return;
        }
        if (list[i].kind == list[index].kind && list[i].name != NULL && list[index].name != NULL &&
            strcmp(list[i].name, list[index].name) == 0) {
            loader_fault(loader, node->place, "this stands here twice; expected it once");
            return;
        }
    }
}

static void read_sticky(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    const struct node *list = loader_list(loader, node, "a list such as [ { header: X-User-Id }, client_ip ]");
    if (list == NULL)
        return;
    if (list->count == 0 || list->count > STICKY_MOST) {
        loader_fault(loader, list->place, "the list has %" PRIu32 " items; expected 1 to %d", list->count, STICKY_MOST);
        return;
    }
    struct config_sticky *items = loader_take(loader, list->count, sizeof(*items));
    uint32_t count = 0;
    const struct node_item *item = items == NULL ? NULL : list->items;
    for (; item != NULL; item = item->next, count++) {
        size_t mark = faults_enter_item(loader->faults, count);
        if (read_sticky_item(loader, item->value, &items[count]))
            check_sticky_order(loader, items, count, item->value);
        faults_leave(loader->faults, mark);
    }
    *KEY_FIELD(struct config_sticky *, key, base) = items;
    *KEY_COUNT(key, base) = count;
}

static const char *sticky_kind_word(enum config_sticky_kind kind)
{
    for (size_t i = 0; i < sizeof(sticky_words) / sizeof(sticky_words[0]); i++) {
        if (sticky_words[i].kind == kind)
            return sticky_words[i].word;
    }
    return "?";
}

static void write_sticky(struct writer *writer, const struct config_key *key, const void *base)
{
    const struct config_sticky *items = *KEY_CONST_FIELD(struct config_sticky *, key, base);
    writer_raw(writer, " [");
    for (uint32_t i = 0; i < *KEY_CONST_COUNT(key, base); i++) {
        const char *word = sticky_kind_word(items[i].kind);
        writer_raw(writer, i > 0 ? ", " : "");
        if (items[i].name == NULL) {
            writer_raw(writer, word);
            continue;
        }
        writer_print(writer, "{ %s: ", word);
        writer_text(writer, items[i].name);
        writer_raw(writer, " }");
    }
    writer_raw(writer, "]\n");
}

const struct config_type type_sticky = {.name = "a list", .read = read_sticky, .write = write_sticky};

/* ---- routes[].overrides ---- */

enum {
    OVERRIDES_MOST = 256
};

struct override_place {
    const char *key;
    enum config_sticky_kind kind;
    enum field_place place;
};

static const struct override_place override_places[] = {
    {"header", STICKY_HEADER, FIELD_HEADER},
    {"cookie", STICKY_COOKIE, FIELD_COOKIE},
    {"query", STICKY_QUERY, FIELD_QUERY},
};

static const char override_expected[] = "{ header: { NAME: VALUE }, backend: new } (or with cookie or query in place "
                                        "of header, and legacy in place of new)";

static const struct override_place *find_override_place(const char *key)
{
    for (size_t i = 0; i < sizeof(override_places) / sizeof(override_places[0]); i++) {
        if (strcmp(override_places[i].key, key) == 0)
            return &override_places[i];
    }
    return NULL;
}

static bool is_backend_named(const struct config_backend *backend, const char *name)
{
    return backend != NULL && backend->name != NULL && strcmp(backend->name, name) == 0;
}

/* "legacy" and "new" are the sides; a side's backend may be called by its own name too. */
static void read_override_side(struct loader *loader, const struct node *node, const struct config_route *route,
                               struct config_override *rule)
{
    size_t mark = faults_enter_key(loader->faults, "backend");
    const struct node *scalar = loader_scalar(loader, node, "legacy or new");
    bool found = scalar == NULL;
    for (int by_name = 0; by_name < 2 && !found; by_name++) {
        for (int side = 0; side < SIDES && !found; side++) {
            found = by_name ? is_backend_named(route->side[side], scalar->text)
                            : strcmp(side_name((enum side)side), scalar->text) == 0;
            if (found)
                rule->side = (enum side)side;
        }
    }
    if (!found)
        loader_fault(loader, scalar->place, "%s is no side of this route; expected legacy or new",
                     node_shown(loader->faults, scalar));
    faults_leave(loader->faults, mark);
}

static void read_override_match(struct loader *loader, const struct override_place *place, const struct node *node,
                                struct config_override *rule)
{
    size_t mark = faults_enter_key(loader->faults, place->key);
    const struct node *mapping = loader_mapping(loader, node, "one name and its value, such as { X-Tenant: acme }");
    rule->kind = place->kind;
    if (mapping != NULL && mapping->count == 1)
        (void)fields_read_one(loader, mapping->items, place->place, &rule->match);
    else if (mapping != NULL)
        loader_fault(loader, mapping->place,
                     "there are %" PRIu32 " names; expected one, and another rule for another name", mapping->count);
    faults_leave(loader->faults, mark);
}

static void read_override(struct loader *loader, const struct node *node, const struct config_route *route,
                          struct config_override *rule)
{
    const struct node *mapping = loader_mapping(loader, node, override_expected);
    bool has_side = false;
    bool has_unknown = false;
    unsigned places = 0;
    if (mapping == NULL)
        return;
    for (const struct node_item *item = mapping->items; item != NULL; item = item->next) {
        const struct override_place *place = find_override_place(item->key);
        if (place != NULL && places++ == 0) {
            read_override_match(loader, place, item->value, rule);
        } else if (strcmp(item->key, "backend") == 0) {
            has_side = true;
            read_override_side(loader, item->value, route, rule);
        } else if (place == NULL) {
            has_unknown = true;
            loader_fault(loader, item->key_place, "the key %s is unknown; expected %s",
                         text_shown(loader->faults, item->key), override_expected);
        }
    }
    if (places != 1 && !has_unknown)
        loader_fault(loader, mapping->place, "the rule names %s of header, cookie and query; expected exactly one",
                     places == 0 ? "none" : "several");
    if (!has_side)
        loader_fault(loader, mapping->place, "the key backend is missing; expected legacy or new");
}

static void read_overrides(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    const struct node *list = loader_list(loader, node, "a list of rules");
    if (list == NULL)
        return;
    if (list->count > OVERRIDES_MOST) {
        loader_fault(loader, list->place,
                     "the list has %" PRIu32 " rules; expected at most %d (one rule may list many "
                     "values)",
                     list->count, OVERRIDES_MOST);
        return;
    }
    struct config_override *rules = loader_take(loader, list->count, sizeof(*rules));
    uint32_t count = 0;
    const struct node_item *item = rules == NULL ? NULL : list->items;
    for (; item != NULL; item = item->next, count++) {
        size_t mark = faults_enter_item(loader->faults, count);
        read_override(loader, item->value, base, &rules[count]);
        faults_leave(loader->faults, mark);
    }
    *KEY_FIELD(struct config_override *, key, base) = rules;
    *KEY_COUNT(key, base) = count;
}

static void write_overrides(struct writer *writer, const struct config_key *key, const void *base)
{
    const struct config_override *rules = *KEY_CONST_FIELD(struct config_override *, key, base);
    writer_raw(writer, "\n");
    for (uint32_t i = 0; i < *KEY_CONST_COUNT(key, base); i++) {
        writer_print(writer, "%*s- { %s: { ", (int)writer->indent * 2 + 2, "", sticky_kind_word(rules[i].kind));
        fields_write_one(writer, &rules[i].match);
        writer_print(writer, " }, backend: %s }\n", side_name(rules[i].side));
    }
}

const struct config_type type_overrides = {
    .name = "a list of rules", .read = read_overrides, .write = write_overrides, .is_set = key_has_items};

/* ---- routes[].stages[].name ---- */

static void read_stage_name(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "1 to 64 letters, digits, \"_\", \".\", \"%\" and \"-\"";
    const struct node *scalar = loader_scalar(loader, node, expected);
    if (scalar == NULL)
        return;
    size_t len = strlen(scalar->text);
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.%-";
    if (len > 0 && len <= NAME_BYTES && strspn(scalar->text, letters) == len && strcmp(scalar->text, "-") != 0)
        *KEY_FIELD(const char *, key, base) = loader_text(loader, scalar);
    else
        loader_fault(loader, scalar->place, "%s is no name for a stage; expected %s",
                     node_shown(loader->faults, scalar), expected);
}

const struct config_type type_stage_name = {
    .name = "a name", .read = read_stage_name, .write = key_write_text, .is_set = key_text_is_set};

/* ---- routes[].fallback.on ---- */

static const struct config_choice fallback_words[] = {
    {"connect", FALLBACK_CONNECT},
    {"timeout", FALLBACK_TIMEOUT},
    {"5xx", FALLBACK_5XX},
    {"reset", FALLBACK_RESET},
    {NULL, 0},
};

static const struct config_choice *find_fallback_word(const char *word)
{
    const struct config_choice *choice = fallback_words;
    while (choice->word != NULL && strcmp(choice->word, word) != 0)
        choice++;
    return choice->word != NULL ? choice : NULL;
}

static const char *fallback_fault(const char *text)
{
    return find_fallback_word(text) != NULL ? NULL : "is no known failure";
}

static void read_fallback_on(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const struct texts_rule rule = {.expected = "a list of failures such as [connect, timeout, 5xx]",
                                           .item_expected = "connect, timeout, 5xx or reset",
                                           .fault = fallback_fault};
    struct texts texts = {0};
    if (!texts_read(loader, node, &rule, &texts))
        return;
    if (texts.count == 0)
        loader_fault(loader, node->place, "the list is empty; expected %s, or fallback: off", rule.expected);
    unsigned on = 0;
    for (uint32_t i = 0; i < texts.count; i++)
        on |= (unsigned)find_fallback_word(texts.items[i])->value;
    *KEY_FIELD(unsigned, key, base) = on;
}

static void write_fallback_on(struct writer *writer, const struct config_key *key, const void *base)
{
    unsigned on = *KEY_CONST_FIELD(unsigned, key, base);
    const char *words[sizeof(fallback_words) / sizeof(fallback_words[0])];
    size_t count = 0;
    for (const struct config_choice *choice = fallback_words; choice->word != NULL; choice++) {
        if ((on & (unsigned)choice->value) != 0)
            words[count++] = choice->word;
    }
    writer_texts(writer, words, count);
}

const struct config_type type_fallback_on = {
    .name = "a list of failures", .read = read_fallback_on, .write = write_fallback_on};

/* ---- routes[].shadow.compare ---- */

static const char *compare_part_fault(const char *text)
{
    if (strcmp(text, "status") == 0 || strcmp(text, "body") == 0)
        return NULL;
    if (strncmp(text, "header:", 7) == 0)
        return name_is_token(text + 7) ? NULL : "names no header";
    if (text[0] == '$')
        return jsonpath_fault(text);
    return "is no part of a response";
}

static void read_text_list(struct loader *loader, const struct config_key *key, const struct node *node, void *base,
                           const struct texts_rule *rule)
{
    struct texts texts = {0};
    if (!texts_read(loader, node, rule, &texts))
        return;
    *KEY_FIELD(const char **, key, base) = texts.items;
    *KEY_COUNT(key, base) = texts.count;
}

static void read_compare_parts(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const struct texts_rule rule = {.expected = "a list",
                                           .item_expected =
                                               "header:NAME, status, body or a JSON path such as $.meta.id",
                                           .fault = compare_part_fault};
    struct texts texts = {0};
    if (!texts_read(loader, node, &rule, &texts))
        return;
    for (uint32_t i = 0; i < texts.count; i++) { /* the name of a header has no case */
        if (strncmp(texts.items[i], "header:", 7) == 0)
            texts.items[i] = config_arena_lower(loader->arena, texts.items[i], strlen(texts.items[i]));
        if (texts.items[i] == NULL)
            faults_no_memory(loader->faults);
    }
    *KEY_FIELD(const char **, key, base) = texts.items;
    *KEY_COUNT(key, base) = texts.count;
}

static void read_json_paths(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const struct texts_rule rule = {.expected = "a list of JSON paths",
                                           .item_expected = "a JSON path such as $.items[*].tags",
                                           .fault = jsonpath_fault};
    read_text_list(loader, key, node, base, &rule);
}

const struct config_type type_compare_parts = {
    .name = "a list", .read = read_compare_parts, .write = key_write_texts, .is_set = key_has_items};
const struct config_type type_json_paths = {
    .name = "a list of JSON paths", .read = read_json_paths, .write = key_write_texts, .is_set = key_has_items};

static void read_json_path(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    const struct node *scalar = loader_scalar(loader, node, "a JSON path such as $.total");
    if (scalar == NULL)
        return;
    const char *wrong = jsonpath_fault(scalar->text);
    if (wrong == NULL)
        *KEY_FIELD(const char *, key, base) = loader_text(loader, scalar);
    else
        loader_fault(loader, scalar->place, "%s %s; expected a JSON path such as $.total",
                     node_shown(loader->faults, scalar), wrong);
}

const struct config_type type_json_path = {
    .name = "a JSON path", .read = read_json_path, .write = key_write_text, .is_set = key_text_is_set};

/* The two ways to say how much a number may differ set the same two fields. */

static void read_absolute(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    struct config_tolerance *tolerance = base;
    tolerance->kind = TOLERANCE_ABSOLUTE;
    type_ratio.read(loader, key, node, base);
}

static void read_relative(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    struct config_tolerance *tolerance = base;
    tolerance->kind = TOLERANCE_RELATIVE;
    type_rate.read(loader, key, node, base);
}

static void write_absolute(struct writer *writer, const struct config_key *key, const void *base)
{
    type_ratio.write(writer, key, base);
}

static void write_relative(struct writer *writer, const struct config_key *key, const void *base)
{
    type_rate.write(writer, key, base);
}

static bool is_absolute(const struct config_key *key, const void *base)
{
    (void)key;
    return ((const struct config_tolerance *)base)->kind == TOLERANCE_ABSOLUTE;
}

static bool is_relative(const struct config_key *key, const void *base)
{
    (void)key;
    return ((const struct config_tolerance *)base)->kind == TOLERANCE_RELATIVE;
}

const struct config_type type_absolute = {
    .name = "a number", .read = read_absolute, .write = write_absolute, .is_set = is_absolute};
const struct config_type type_relative = {
    .name = "a percentage", .read = read_relative, .write = write_relative, .is_set = is_relative};
