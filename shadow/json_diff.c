/*
 * JSON difference: see json_diff.h.
 *
 * Two documents are walked together. At each value the bytes are compared first, because most of two answers is the
 * same; only what differs is taken apart. The trail from the root is kept on a stack, and is turned into text only when
 * there is something to note. Beside the trail runs the position in the route's rule paths.
 *
 * The walk recurses, at most JSON_DEPTH deep. Work is bounded by a budget, because a backend could send arrays made to
 * be expensive. Some questions ("are these two elements the same under the rules?") are asked by walking in probing
 * mode, which notes nothing and stops at the first difference. Runs on the compare thread.
 */
#include "shadow/json_diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "shadow/instant.h"
#include "shadow/redact.h"

enum {
    BYTES_PER_UNIT = 512,     /* that may be compared with memcmp, or hashed, for one unit */
    READ_PER_UNIT = 16,       /* bytes of a number or of a text with escapes that may be read for one unit */
    SORT_PER_UNIT = 8,        /* comparisons of a sort for one unit */
    PLACES_PER_UNIT = 64,     /* decimal places of a distance for one unit */
    PLACES_MOST = 1024,       /* that decimal.c lays out */
    ALIGNED_MOST = 10 * 1000, /* elements of an array in which it is looked for what was put in; more go by place */
    SHIFTED_LEAST = 3,        /* places that differ, before anything is taken for shifted */
    NAME_READ = 64,           /* bytes of a name that are looked at to write it */
    TRAIL_ROOM = JSON_DEPTH + 2,
    MATCHING_MAX = 32, /* elements that are matched in the best way under tolerances; above, first come first served */
    SCRATCH_KEPT = 64 * 1024,
    TOLERANCES_MAX = 4, /* for one value; any of them will do */
};

static const uint32_t none = UINT32_MAX;

/* One step of the trail: a member when `name` is not `none`, else an element. */
struct trail_step {
    const struct json_doc *doc;
    uint32_t name;
    uint32_t index;
    const char *by; /* the member by which the element was found, or NULL */
    uint32_t key;   /* its value, with `by` */
};

/* A child of a container while the children of both sides are being matched. */
struct child {
    uint64_t hash;    /* of a member's name, of an element's value or key */
    uint32_t node;    /* a member's name node, an element's node */
    uint32_t index;   /* its place in the container */
    uint32_t partner; /* index into the other side's children, or `none` */
    uint32_t key;     /* node of the key's value, or `none` */
    bool repeated;    /* a member without partner whose name the other side has, but not as often */
};

/* Children are sorted by their hashes without being moved. */
struct turn {
    uint64_t hash;
    uint32_t place; /* in its region */
};

struct json_diff {
    const struct rules *rules;
    const struct json_doc *doc[2];
    struct difference_list *list;
    struct trail_step trail[TRAIL_ROOM];
    uint32_t depth;
    bool on_path[TRAIL_ROOM]; /* some rule applies here or below */
    uint64_t *positions;      /* owned: `words` for each depth */
    uint32_t words, positions_room;
    struct child *children; /* owned stack; regions are addressed by index because it may move */
    uint32_t child_count, child_room;
    struct turn *turns[2]; /* owned: for each side the order in which children are held against each other */
    uint32_t turn_room[2];
    char *text[2]; /* owned: for each side a string with its escapes resolved */
    size_t text_room[2];
    uint64_t budget;
    bool too_complex, no_memory;
    bool probing, found; /* probing: note nothing, set `found` at the first real difference */
    bool exact;          /* hashes tell tolerated numbers apart */
    uint32_t real;       /* differences noted */
};

struct json_diff *json_diff_new(void)
{
    return calloc(1, sizeof(struct json_diff));
}

void json_diff_free(struct json_diff *diff)
{
    if (diff == NULL)
        return;
    free(diff->positions);
    free(diff->children);
    free(diff->turns[0]);
    free(diff->turns[1]);
    free(diff->text[0]);
    free(diff->text[1]);
    free(diff);
}

static bool spend(struct json_diff *d, uint64_t units)
{
    if (d->budget < units) {
        d->too_complex = true;
        return false;
    }
    d->budget -= units;
    return true;
}

/* Is there nothing more to find out? */
static bool is_over(const struct json_diff *d)
{
    return d->too_complex || d->no_memory || (d->probing && d->found);
}

/* ---- the nodes ---- */

static const struct json_node *node_at(const struct json_diff *d, int side, uint32_t node)
{
    return &d->doc[side]->nodes[node];
}

static uint32_t next_of(const struct json_diff *d, int side, uint32_t node)
{
    return node_at(d, side, node)->next;
}

/* Do both have the same bytes, and mean the same by them? Asking costs whatever the answer: elements of two arrays may
 * be held against each other in every combination. */
static bool same_text(struct json_diff *d, uint32_t a, uint32_t b)
{
    size_t len = json_node_length(d->doc[0], a);
    bool alike = len == json_node_length(d->doc[1], b) && node_at(d, 0, a)->broken == node_at(d, 1, b)->broken;
    if (!spend(d, 1 + (alike ? len / BYTES_PER_UNIT : 0)) || !alike)
        return false;
    return memcmp(json_node_text(d->doc[0], a), json_node_text(d->doc[1], b), len) == 0;
}

/* A string's bytes with escapes resolved; valid until the next call for the same document. Empty without memory. */
static struct span string_text(struct json_diff *d, const struct json_doc *doc, uint32_t node)
{
    const struct json_node *n = &doc->nodes[node];
    int side = doc == d->doc[0] ? 0 : 1;
    if (!n->escaped)
        return (struct span){doc->text + n->start + 1, n->count};
    (void)spend(d, n->count / READ_PER_UNIT); /* where that was too much, this is the last one */
    if (n->count > d->text_room[side]) {
        char *text = realloc(d->text[side], n->count);
        if (text == NULL) {
            d->no_memory = true;
            return (struct span){"", 0};
        }
        d->text[side] = text;
        d->text_room[side] = n->count;
    }
    return (struct span){d->text[side], json_string_decode(doc, node, d->text[side])};
}

/* ---- the trail and the rules along it ---- */

static uint64_t *position_at(struct json_diff *d, uint32_t depth)
{
    return d->positions + (size_t)depth * d->words;
}

static void enter_member(struct json_diff *d, const struct json_doc *doc, uint32_t name)
{
    uint32_t from = d->depth++;
    d->trail[d->depth] = (struct trail_step){.doc = doc, .name = name};
    d->on_path[d->depth] = false;
    if (!d->on_path[from] || !spend(d, d->words))
        return;
    struct span text = string_text(d, doc, name);
    d->on_path[d->depth] =
        json_path_into_member(d->rules->paths, position_at(d, from), text.at, text.len, position_at(d, d->depth));
}

static void enter_element(struct json_diff *d, uint32_t index)
{
    uint32_t from = d->depth++;
    d->trail[d->depth] = (struct trail_step){.name = none, .index = index};
    d->on_path[d->depth] =
        d->on_path[from] && spend(d, d->words) &&
        json_path_into_element(d->rules->paths, position_at(d, from), index, position_at(d, d->depth));
}

/* The element of an array whose elements have keys. */
static void enter_keyed(struct json_diff *d, int side, const char *by, const struct child *element)
{
    enter_element(d, element->index);
    if (element->key == none)
        return;
    struct trail_step *step = &d->trail[d->depth];
    step->doc = d->doc[side];
    step->by = by;
    step->key = element->key;
}

static void leave(struct json_diff *d)
{
    d->depth--;
}

/* What the rules say about the value at hand: NULL where they say nothing. */
struct rules_here {
    const struct rules *rules;
    const struct rule *ignore, *unordered, *keyed, *present;
    const struct rule *tolerances[TOLERANCES_MAX]; /* of numbers and of time */
    uint32_t tolerance_count;
    uint64_t replacements; /* bits: which of rules->replacements */
};

static void take_rule(void *context, uint32_t id)
{
    struct rules_here *here = context;
    const struct rule *rule = &here->rules->rules[id];
    switch (rule->kind) {
    case RULE_IGNORE:
        here->ignore = rule;
        break;
    case RULE_UNORDERED:
        here->unordered = rule;
        break;
    case RULE_KEYED:
        here->keyed = rule;
        break;
    case RULE_PRESENT:
        here->present = rule;
        break;
    case RULE_TOLERANCE:
    case RULE_WITHIN:
        if (here->tolerance_count < TOLERANCES_MAX)
            here->tolerances[here->tolerance_count++] = rule;
        break;
    case RULE_REPLACE:
        here->replacements |= UINT64_C(1) << rule->replacement;
        break;
    }
}

static struct rules_here rules_here(struct json_diff *d)
{
    struct rules_here here = {.rules = d->rules};
    if (d->on_path[d->depth])
        json_path_matches(d->rules->paths, position_at(d, d->depth), take_rule, &here);
    return here;
}

/* The rule that lets elements stand in any order. */
static const struct rule *order_rule(const struct rules_here *here)
{
    return here->keyed != NULL ? here->keyed : here->unordered;
}

/* ---- noting ---- */

struct path_writer {
    char *to;
    size_t room, len; /* room leaves place for the ellipsis */
    bool cut;
};

static const char ellipsis[] = "...";

static void write_text(struct path_writer *w, const char *text, size_t len)
{
    if (w->cut)
        return;
    if (len < w->room - w->len) {
        w->len += redact_clean(w->to + w->len, w->room - w->len, text, len);
        return;
    }
    w->cut = true;
    memcpy(w->to + w->len, ellipsis, sizeof(ellipsis));
}

static bool is_plain_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '@' || c == '#';
        bool later = (c >= '0' && c <= '9') || c == '-' || c == ':';
        if (!letter && !(later && i > 0))
            return false;
    }
    return name.len > 0;
}

static void write_quoted_name(struct path_writer *w, struct span name)
{
    write_text(w, "['", 2);
    for (size_t i = 0; i < name.len;) {
        size_t plain = 0;
        while (i + plain < name.len && name.at[i + plain] != '\'' && name.at[i + plain] != '\\')
            plain++;
        write_text(w, name.at + i, plain);
        i += plain;
        if (i < name.len) {
            char escaped[2] = {'\\', name.at[i++]};
            write_text(w, escaped, 2);
        }
    }
    write_text(w, "']", 2);
}

static void write_name(struct path_writer *w, struct span name, bool schema)
{
    if (schema || is_plain_name(name)) {
        write_text(w, ".", 1);
        write_text(w, name.at, name.len);
    } else {
        write_quoted_name(w, name);
    }
}

static void write_name_hint(struct path_writer *w, size_t len)
{
    char hint[40];
    int n = snprintf(hint, sizeof(hint), "['<name %zu>']", len);
    if (n > 0)
        write_text(w, hint, (size_t)n);
}

static void write_index(struct path_writer *w, uint32_t index)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "[%u]", index);
    if (n > 0)
        write_text(w, text, (size_t)n);
}

/* A container is shown by its length only, and null as it is. `secret`: the value of a secret member. */
static void show_scalar(struct json_diff *d, const struct json_doc *doc, uint32_t node, bool secret, char *to)
{
    const struct json_node *n = &doc->nodes[node];
    const char *text = json_node_text(doc, node);
    size_t len = json_node_length(doc, node);
    if (n->type == NODE_NULL)
        redact_clean(to, VALUE_ROOM, text, len);
    else
        redact_value(to, VALUE_ROOM, &d->list->veil, secret, node_type_name(n->type),
                     n->type == NODE_STRING ? (int64_t)n->count : NO_COUNT, text, len);
}

/* [id=17], as far as the key may be shown. */
static void write_key(struct json_diff *d, struct path_writer *w, const struct trail_step *step)
{
    char value[VALUE_ROOM];
    show_scalar(d, step->doc, step->key, redact_is_secret_name(&d->list->veil, step->by, strlen(step->by)), value);
    write_text(w, "[", 1);
    write_text(w, step->by, strlen(step->by));
    write_text(w, "=", 1);
    write_text(w, value, strlen(value));
    write_text(w, "]", 1);
}

/* The trail as a field (positions and names that are data left out), or as a path to this one place. */
static void write_trail(struct json_diff *d, char *to, size_t room, bool as_field)
{
    struct path_writer w = {.to = to, .room = room - sizeof(ellipsis) + 1};
    write_text(&w, "$", 1);
    for (uint32_t i = 1; i <= d->depth && !w.cut; i++) {
        const struct trail_step *step = &d->trail[i];
        if (step->name == none) {
            if (as_field)
                write_text(&w, "[*]", 3);
            else if (step->by != NULL)
                write_key(d, &w, step);
            else
                write_index(&w, step->index);
            continue;
        }
        struct span name = string_text(d, step->doc, step->name);
        (void)spend(d, 1 + (name.len < NAME_READ ? name.len : NAME_READ) / READ_PER_UNIT);
        bool schema = step->doc->nodes[step->name].schema;
        bool data = !schema && redact_is_data_name(name.at, name.len);
        if (data && as_field)
            write_text(&w, ".*", 2);
        else if (data && veil_hides(&d->list->veil))
            write_name_hint(&w, name.len);
        else
            write_name(&w, name, schema);
    }
}

static bool trail_is_secret(struct json_diff *d)
{
    for (uint32_t i = 1; i <= d->depth; i++) {
        if (d->trail[i].name == none)
            continue;
        struct span name = string_text(d, d->trail[i].doc, d->trail[i].name);
        if (redact_is_secret_name(&d->list->veil, name.at, name.len))
            return true;
    }
    return false;
}

/* A value as it may stand in a report. Containers are never shown, only counted. */
static void show_value(struct json_diff *d, int side, uint32_t node, char *to)
{
    const struct json_node *n = node_at(d, side, node);
    if (n->broken)
        snprintf(to, VALUE_ROOM, "<%s, %u bytes>", node_fault_name((enum node_fault)n->broken), n->count);
    else if (n->type == NODE_ARRAY || n->type == NODE_OBJECT)
        snprintf(to, VALUE_ROOM, "<%s %u>", node_type_name(n->type), n->count);
    else
        show_scalar(d, d->doc[side], node, trail_is_secret(d), to);
}

static void hit(struct json_diff *d, const struct rule *rule)
{
    if (!d->probing)
        difference_rule_hit(d->list, rule->text);
}

/* `a` and `b` are the values, `none` where a side has none. */
static void note_place(struct json_diff *d, enum difference_kind kind, bool ignored, uint32_t a, uint32_t b)
{
    char field[FIELD_ROOM];

    if (d->no_memory || !spend(d, 1)) /* then it is not known what this is */
        return;
    d->found = d->found || !ignored;
    if (d->probing)
        return;
    d->real += ignored ? 0 : 1;
    write_trail(d, field, sizeof(field), true);
    struct difference *difference = difference_note(d->list, kind, ignored, field);
    if (difference == NULL)
        return;
    write_trail(d, difference->path, sizeof(difference->path), false);
    if (a != none)
        show_value(d, 0, a, difference->primary);
    if (b != none)
        show_value(d, 1, b, difference->shadow);
}

/* `rule` says that it does not matter; NULL: it does. */
static void note(struct json_diff *d, enum difference_kind kind, const struct rule *rule, uint32_t a, uint32_t b)
{
    if (rule != NULL)
        hit(d, rule);
    note_place(d, kind, rule != NULL, a, b);
}

static void note_numbers(struct json_diff *d, const struct rule *rule, uint32_t a, uint32_t b, double apart)
{
    note(d, DIFFERENCE_VALUE, rule, a, b);
    if (!d->probing && !is_over(d))
        difference_apart(d->list, apart);
}

/* ---- asking without noting ---- */

static void compare_values(struct json_diff *d, uint32_t a, uint32_t b);
static void compare_in_order(struct json_diff *d, uint32_t a, uint32_t b);

/* Does this comparison find a real difference? */
static bool probe(struct json_diff *d, void (*compare)(struct json_diff *, uint32_t, uint32_t), uint32_t a, uint32_t b)
{
    bool probing = d->probing, found = d->found;
    d->probing = true;
    d->found = false;
    compare(d, a, b);
    bool differs = d->found;
    d->probing = probing;
    d->found = found;
    return differs;
}

static bool elements_equal(struct json_diff *d, uint32_t index, uint32_t a, uint32_t b)
{
    enter_element(d, index);
    bool differs = probe(d, compare_values, a, b);
    leave(d);
    return !differs;
}

/* ---- hashes: equal for values that are equal under the rules, whatever the order of members ---- */

static const uint64_t hash_ignored =
    0; /* of a value that a rule ignores: adds nothing, so that it may also be absent */

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b ^ UINT64_C(0xc2b2ae3d27d4eb4f));
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Beside the types of values: of a text that is not what it should be, which equals no string. */
static const uint64_t broken_type = 16;

/* Of a value that need only be there. */
static const uint64_t hash_present = UINT64_C(0x5eed0f0ec0ffee01);

static uint64_t hash_string(struct json_diff *d, int side, uint32_t node)
{
    struct span text = string_text(d, d->doc[side], node);
    return XXH3_64bits(text.at, text.len);
}

static uint64_t hash_value(struct json_diff *d, int side, uint32_t node);

/* Reading it costs by its length: it may be as long as the body. */
static void read_number(struct json_diff *d, int side, uint32_t node, struct decimal *decimal)
{
    size_t len = json_node_length(d->doc[side], node);
    (void)spend(d, len / READ_PER_UNIT);
    decimal_read(decimal, json_node_text(d->doc[side], node), len);
}

static uint64_t hash_number(struct json_diff *d, int side, uint32_t node, const struct rules_here *here)
{
    struct decimal decimal;
    if (here->tolerance_count > 0 && !d->exact)
        return 1;
    read_number(d, side, node, &decimal);
    return decimal.huge ? XXH3_64bits(json_node_text(d->doc[side], node), json_node_length(d->doc[side], node))
                        : decimal_hash(&decimal);
}

static void take_result(struct json_diff *d, enum replace_result result)
{
    d->no_memory = d->no_memory || result == REPLACE_NO_MEMORY;
    d->too_complex = d->too_complex || result == REPLACE_TOO_COMPLEX || result == REPLACE_TOO_LARGE;
}

/* Strings that are the same once the replacements are made have the same hash. */
static uint64_t hash_replaced(struct json_diff *d, int side, uint32_t node, uint64_t replacements)
{
    struct span text = string_text(d, d->doc[side], node), nothing = {"", 0};
    uint64_t changed;
    take_result(d, rules_replace(d->rules, replacements, &text, &nothing, &changed));
    return XXH3_64bits(text.at, text.len);
}

static uint64_t hash_text(struct json_diff *d, int side, uint32_t node, const struct rules_here *here)
{
    const struct json_node *n = node_at(d, side, node);
    if (here->tolerance_count > 0 && !d->exact && !n->broken)
        return 1; /* perhaps a time, perhaps an amount */
    if (!spend(d, n->count / BYTES_PER_UNIT))
        return 0;
    return here->replacements != 0 ? hash_replaced(d, side, node, here->replacements) : hash_string(d, side, node);
}

static uint64_t hash_element(struct json_diff *d, int side, uint32_t index, uint32_t element)
{
    enter_element(d, index);
    uint64_t hash = hash_value(d, side, element);
    leave(d);
    return hash;
}

static uint64_t hash_array(struct json_diff *d, int side, uint32_t node, bool unordered)
{
    uint64_t hash = 0;
    uint32_t element = node + 1, count = node_at(d, side, node)->count;
    for (uint32_t i = 0; i < count && !is_over(d); i++, element = next_of(d, side, element)) {
        uint64_t value = hash_element(d, side, i, element);
        hash = unordered ? hash + mix(value, 1) : mix(hash, value);
    }
    return hash;
}

/* What doc_builder.h says about the order of an object's members: which they are, and how they follow each other. */
struct member_order {
    uint64_t members, sequence;
};

static struct member_order member_order(struct json_diff *d, int side, uint32_t object)
{
    struct member_order order = {0, 0};
    if (!node_at(d, side, object)->ordered)
        return order;
    _Static_assert(sizeof(order) == NODE_ORDER_BYTES, "what is written is what is read");
    memcpy(&order, json_node_text(d->doc[side], object) + 1, sizeof(order));
    return order;
}

static uint64_t hash_object(struct json_diff *d, int side, uint32_t node, bool unordered)
{
    uint64_t hash = unordered ? 0 : member_order(d, side, node).sequence;
    uint32_t name = node + 1, count = node_at(d, side, node)->count;
    for (uint32_t i = 0; i < count && !is_over(d); i++, name = next_of(d, side, name + 1)) {
        enter_member(d, d->doc[side], name);
        uint64_t value = hash_value(d, side, name + 1);
        leave(d);
        if (value != hash_ignored)
            hash += mix(hash_string(d, side, name), value);
    }
    return hash;
}

static uint64_t hash_value(struct json_diff *d, int side, uint32_t node)
{
    uint64_t hash = 0;
    const struct json_node *n = node_at(d, side, node);
    struct rules_here here = rules_here(d);

    if (here.ignore != NULL || !spend(d, 1))
        return hash_ignored;
    if (here.present != NULL)
        return hash_present;
    switch ((enum node_type)n->type) {
    case NODE_NULL:
        break;
    case NODE_BOOLEAN:
        hash = (unsigned char)*json_node_text(d->doc[side], node);
        break;
    case NODE_NUMBER:
        hash = hash_number(d, side, node, &here);
        break;
    case NODE_STRING:
        hash = hash_text(d, side, node, &here);
        break;
    case NODE_ARRAY:
        hash = hash_array(d, side, node, order_rule(&here) != NULL);
        break;
    case NODE_OBJECT:
        hash = hash_object(d, side, node, here.unordered != NULL);
        break;
    }
    return mix(hash, n->broken ? broken_type + n->broken : n->type + 1u) | 1; /* never hash_ignored */
}

/* ---- children, side by side ---- */

/* A region of the stack of children. */
struct region {
    uint32_t at, count;
};

static struct child *child_at(struct json_diff *d, struct region region, uint32_t i)
{
    return &d->children[region.at + i];
}

/* False without memory. */
static bool open_region(struct json_diff *d, uint32_t count, struct region *region)
{
    if (count > d->child_room - d->child_count) {
        uint32_t room = d->child_count + count + d->child_room;
        struct child *children = realloc(d->children, room * sizeof(*children));
        if (children == NULL) {
            d->no_memory = true;
            return false;
        }
        d->children = children;
        d->child_room = room;
    }
    *region = (struct region){.at = d->child_count, .count = count};
    d->child_count += count;
    return true;
}

static bool open_members(struct json_diff *d, int side, uint32_t object, struct region *region)
{
    uint32_t name = object + 1;
    if (!spend(d, node_at(d, side, object)->count) || !open_region(d, node_at(d, side, object)->count, region))
        return false;
    for (uint32_t i = 0; i < region->count; i++, name = next_of(d, side, name + 1))
        *child_at(d, *region, i) =
            (struct child){.hash = hash_string(d, side, name), .node = name, .index = i, .partner = none, .key = none};
    return true;
}

static bool open_elements(struct json_diff *d, int side, uint32_t array, struct region *region)
{
    uint32_t element = array + 1;
    if (!open_region(d, node_at(d, side, array)->count, region))
        return false;
    for (uint32_t i = 0; i < region->count; i++, element = next_of(d, side, element))
        *child_at(d, *region, i) = (struct child){.node = element, .index = i, .partner = none, .key = none};
    return true;
}

/* Hashing recurses and may move the stack of children, so this goes by index. */
static void hash_elements(struct json_diff *d, int side, struct region region)
{
    for (uint32_t i = 0; i < region.count && !is_over(d); i++) {
        uint64_t hash = hash_element(d, side, i, child_at(d, region, i)->node);
        child_at(d, region, i)->hash = hash;
    }
}

static int by_hash(const void *a, const void *b)
{
    const struct child *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static int by_index(const void *a, const void *b)
{
    const struct child *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

/* What sorting so many costs. */
static bool spend_sorting(struct json_diff *d, uint32_t count)
{
    uint64_t turns = count < 2 ? 0 : 32u - (uint32_t)__builtin_clz(count);
    return spend(d, count * turns / SORT_PER_UNIT);
}

static void sort(struct json_diff *d, struct region region, int (*order)(const void *, const void *))
{
    if (region.count > 1 && spend_sorting(d, region.count))
        qsort(child_at(d, region, 0), region.count, sizeof(struct child), order);
}

static int by_turn(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static struct turn *turn_room(struct json_diff *d, int side, uint32_t count)
{
    if (count <= d->turn_room[side])
        return d->turns[side];
    struct turn *turns = realloc(d->turns[side], count * sizeof(*turns));
    if (turns == NULL) {
        d->no_memory = true;
        return NULL;
    }
    d->turns[side] = turns;
    d->turn_room[side] = count;
    return turns;
}

/* The children of a region by their hashes, equal ones as they stand; NULL without memory, or when it is too much. */
static const struct turn *in_turn(struct json_diff *d, int side, struct region region)
{
    bool sorted = true;
    struct turn *turns = turn_room(d, side, region.count + 1); /* never none: an empty region is one, too */
    for (uint32_t i = 0; turns != NULL && i < region.count; i++) {
        turns[i] = (struct turn){.hash = child_at(d, region, i)->hash, .place = i};
        sorted = sorted && (i == 0 || turns[i - 1].hash <= turns[i].hash);
    }
    if (turns == NULL || sorted)
        return turns;
    if (!spend_sorting(d, region.count))
        return NULL;
    qsort(turns, region.count, sizeof(*turns), by_turn);
    return turns;
}

/* Gives the k-th child with a hash on one side the k-th with that hash on the other as its partner. */
static void pair_by_hash(struct json_diff *d, struct region a, struct region b)
{
    const struct turn *xs = in_turn(d, 0, a), *ys = in_turn(d, 1, b);
    uint32_t i = 0, j = 0;
    uint64_t last = 0;
    bool any = false;

    if (xs == NULL || ys == NULL)
        return;
    while (i < a.count && j < b.count) {
        struct child *x = child_at(d, a, xs[i].place), *y = child_at(d, b, ys[j].place);
        if (x->hash == y->hash) {
            x->partner = y->index;
            y->partner = x->index;
            last = x->hash;
            any = true;
            i++;
            j++;
        } else if (x->hash < y->hash) {
            x->repeated = any && x->hash == last;
            i++;
        } else {
            y->repeated = any && y->hash == last;
            j++;
        }
    }
    for (; any && i < a.count && xs[i].hash == last; i++)
        child_at(d, a, xs[i].place)->repeated = true;
    for (; any && j < b.count && ys[j].hash == last; j++)
        child_at(d, b, ys[j].place)->repeated = true;
}

/* ---- objects ---- */

/* Do both objects have the same names in the same order? Then there is nothing to sort. */
static bool names_in_step(struct json_diff *d, uint32_t a, uint32_t b)
{
    uint32_t count = node_at(d, 0, a)->count;
    uint32_t x = a + 1, y = b + 1;
    if (count != node_at(d, 1, b)->count || !spend(d, count))
        return false;
    for (uint32_t i = 0; i < count; i++, x = next_of(d, 0, x + 1), y = next_of(d, 1, y + 1))
        if (!json_string_equal(d->doc[0], x, d->doc[1], y))
            return false;
    return true;
}

static void compare_members(struct json_diff *d, uint32_t x, uint32_t y)
{
    enter_member(d, d->doc[0], x);
    compare_values(d, x + 1, y + 1);
    leave(d);
}

static void compare_in_step(struct json_diff *d, uint32_t a, uint32_t b)
{
    uint32_t x = a + 1, y = b + 1, count = node_at(d, 0, a)->count;
    for (uint32_t i = 0; i < count && !is_over(d); i++, x = next_of(d, 0, x + 1), y = next_of(d, 1, y + 1))
        compare_members(d, x, y);
}

static void note_lonely_member(struct json_diff *d, int side, const struct child *member)
{
    enum difference_kind kind = side == 0 ? DIFFERENCE_MISSING : DIFFERENCE_EXTRA;
    uint32_t value = member->node + 1;
    if (member->repeated)
        kind = DIFFERENCE_DUPLICATE;
    enter_member(d, d->doc[side], member->node);
    note(d, kind, rules_here(d).ignore, side == 0 ? value : none, side == 1 ? value : none);
    leave(d);
}

static void compare_by_name(struct json_diff *d, uint32_t a, uint32_t b)
{
    struct region x = {0}, y = {0};
    uint32_t mark = d->child_count;

    if (open_members(d, 0, a, &x) && open_members(d, 1, b, &y)) {
        pair_by_hash(d, x, y);
        for (uint32_t i = 0; i < x.count && !is_over(d); i++) {
            struct child member = *child_at(d, x, i);
            if (member.partner == none)
                note_lonely_member(d, 0, &member);
            else
                compare_members(d, member.node, child_at(d, y, member.partner)->node);
        }
        for (uint32_t i = 0; i < y.count && !is_over(d); i++) {
            struct child member = *child_at(d, y, i);
            if (member.partner == none)
                note_lonely_member(d, 1, &member);
        }
    }
    d->child_count = mark;
}

static void compare_order(struct json_diff *d, uint32_t a, uint32_t b, const struct rule *unordered)
{
    struct member_order x = member_order(d, 0, a), y = member_order(d, 1, b);
    if (x.members == y.members && x.sequence != y.sequence)
        note(d, DIFFERENCE_ORDER, unordered, a, b);
}

static void compare_objects(struct json_diff *d, uint32_t a, uint32_t b, const struct rule *unordered)
{
    compare_order(d, a, b, unordered);
    if (names_in_step(d, a, b))
        compare_in_step(d, a, b);
    else
        compare_by_name(d, a, b);
}

/* ---- arrays ---- */

/* Element by element; both have the same number. */
static void compare_in_order(struct json_diff *d, uint32_t a, uint32_t b)
{
    uint32_t x = a + 1, y = b + 1, count = node_at(d, 0, a)->count;
    for (uint32_t i = 0; i < count && !is_over(d); i++, x = next_of(d, 0, x), y = next_of(d, 1, y)) {
        enter_element(d, i);
        compare_values(d, x, y);
        leave(d);
    }
}

static uint32_t places_that_differ(struct json_diff *d, uint32_t a, uint32_t b)
{
    uint32_t x = a + 1, y = b + 1, count = node_at(d, 0, a)->count, differ = 0;
    for (uint32_t i = 0; i < count && differ < 2 && !is_over(d); i++, x = next_of(d, 0, x), y = next_of(d, 1, y))
        differ += same_text(d, x, y) ? 0 : 1;
    return differ;
}

/* Do both have the same elements, as a multiset? What stands the same in the same place adds the same to both sums. */
static bool same_elements(struct json_diff *d, uint32_t a, uint32_t b)
{
    uint32_t x = a + 1, y = b + 1, count = node_at(d, 0, a)->count;
    uint64_t sums[2] = {0, 0};
    for (uint32_t i = 0; i < count && !is_over(d); i++, x = next_of(d, 0, x), y = next_of(d, 1, y)) {
        if (same_text(d, x, y))
            continue;
        sums[0] += mix(hash_element(d, 0, i, x), 1);
        sums[1] += mix(hash_element(d, 1, i, y), 1);
    }
    return sums[0] == sums[1] && !is_over(d);
}

/* Same elements under the rules, other order? */
static bool is_reordered(struct json_diff *d, uint32_t a, uint32_t b)
{
    if (places_that_differ(d, a, b) < 2 || !probe(d, compare_in_order, a, b))
        return false;
    d->exact = true;
    bool same = same_elements(d, a, b);
    d->exact = false;
    return same;
}

static void note_lonely_element(struct json_diff *d, int side, const struct child *element)
{
    enter_element(d, element->index);
    note(d, side == 0 ? DIFFERENCE_MISSING : DIFFERENCE_EXTRA, rules_here(d).ignore, side == 0 ? element->node : none,
         side == 1 ? element->node : none);
    leave(d);
}

static void note_lonely_elements(struct json_diff *d, int side, struct region region)
{
    for (uint32_t i = 0; i < region.count && !is_over(d); i++) {
        struct child element = *child_at(d, region, i);
        note_lonely_element(d, side, &element);
    }
}

/* Elements without a partner: in the order in which they stand they are taken to be each other's, so that what differs
 * inside them is found; the rest is missing or extra. */
static void compare_left_over(struct json_diff *d, struct region x, struct region y)
{
    uint32_t both = x.count < y.count ? x.count : y.count;
    for (uint32_t i = 0; i < both && !is_over(d); i++) {
        enter_element(d, child_at(d, x, i)->index);
        compare_values(d, child_at(d, x, i)->node, child_at(d, y, i)->node);
        leave(d);
    }
    note_lonely_elements(d, 0, (struct region){x.at + both, x.count - both});
    note_lonely_elements(d, 1, (struct region){y.at + both, y.count - both});
}

/* Two elements that are the same under the rules: what the rules cover inside them is noted. */
static void note_covered(struct json_diff *d, const struct child *x, const struct child *y)
{
    if (d->probing)
        return;
    enter_element(d, x->index);
    compare_values(d, x->node, y->node);
    leave(d);
}

static bool ends_agree(struct json_diff *d, const struct child *x, const struct child *y)
{
    if (!elements_equal(d, x->index, x->node, y->node))
        return false;
    struct child a = *x, b = *y; /* the stack of children may move */
    note_covered(d, &a, &b);
    return true;
}

/* ---- arrays in which elements were put in or taken out ---- */

static void hash_exactly(struct json_diff *d, int side, struct region region)
{
    d->exact = true;
    for (uint32_t i = 0; i < region.count && !is_over(d); i++) {
        struct child element = *child_at(d, region, i);
        uint64_t hash = hash_element(d, side, element.index, element.node);
        child_at(d, region, i)->hash = hash;
    }
    d->exact = false;
}

/* Elements that are where they would be without anything put in or taken out. */
static uint32_t count_in_place(struct json_diff *d, struct region x, struct region y)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < x.count && i < y.count && !is_over(d); i++) {
        struct child a = *child_at(d, x, i), b = *child_at(d, y, i);
        bool equal = a.hash == b.hash || (d->rules->has_tolerance && elements_equal(d, a.index, a.node, b.node));
        count += equal ? 1 : 0;
    }
    return count;
}

/* The place in its region of an element's partner; the regions of arrays in order have no gaps. */
static uint32_t partner_place(struct json_diff *d, struct region x, struct region y, uint32_t i)
{
    return child_at(d, x, i)->partner - child_at(d, y, 0)->index;
}

/* Of all partners keeps the longest row that stands in the same order on both sides (C. Schensted, 1961); a member's
 * `key` is the one before it meanwhile. */
static void keep_in_step(struct json_diff *d, struct region x, struct region y)
{
    struct turn *ends = turn_room(d, 0, x.count + 1); /* of rows by their length: the one that ends first */
    uint32_t longest = 0, at = none;
    if (ends == NULL || !spend_sorting(d, x.count))
        return;
    for (uint32_t i = 0; i < x.count; i++) {
        uint32_t low = 0, high = longest, partner = child_at(d, x, i)->partner;
        if (partner == none)
            continue;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (child_at(d, x, ends[middle].place)->partner < partner)
                low = middle + 1;
            else
                high = middle;
        }
        child_at(d, x, i)->key = low > 0 ? ends[low - 1].place : none;
        ends[low].place = i;
        longest += low == longest ? 1 : 0;
    }
    if (longest > 0)
        at = ends[longest - 1].place;
    for (uint32_t i = x.count; i-- > 0;) {
        struct child *element = child_at(d, x, i);
        if (i == at) {
            at = element->key;
        } else if (element->partner != none) {
            child_at(d, y, partner_place(d, x, y, i))->partner = none;
            element->partner = none;
        }
        child_at(d, x, i)->key = none;
    }
}

/* Differences that there are at most between the elements that are the same, and behind the last of them. */
static uint32_t count_between(struct json_diff *d, struct region x, struct region y)
{
    uint32_t count = 0, from = 0, other = 0;
    for (uint32_t i = 0; i <= x.count; i++) {
        if (i < x.count && child_at(d, x, i)->partner == none)
            continue;
        uint32_t partner = i < x.count ? partner_place(d, x, y, i) : y.count;
        count += i - from > partner - other ? i - from : partner - other;
        from = i + 1;
        other = partner + 1;
    }
    return count;
}

/* Finds elements that are the same on both sides and in the same order. False: that leaves no fewer differences than
 * there are by place. */
static bool align(struct json_diff *d, struct region x, struct region y)
{
    if (x.count == 0 || y.count == 0 || x.count > ALIGNED_MOST || y.count > ALIGNED_MOST)
        return false;
    hash_exactly(d, 0, x);
    hash_exactly(d, 1, y);
    pair_by_hash(d, x, y);
    uint32_t by_place = (x.count > y.count ? x.count : y.count) - count_in_place(d, x, y);
    keep_in_step(d, x, y);
    return !is_over(d) && count_between(d, x, y) < by_place;
}

/* What stands between elements that are the same is compared with what stands between them on the other side. */
static void compare_aligned(struct json_diff *d, struct region x, struct region y)
{
    uint32_t from = 0, other = 0;
    for (uint32_t i = 0; i < x.count && !is_over(d); i++) {
        if (child_at(d, x, i)->partner == none)
            continue;
        uint32_t partner = partner_place(d, x, y, i);
        compare_left_over(d, (struct region){x.at + from, i - from}, (struct region){y.at + other, partner - other});
        struct child a = *child_at(d, x, i), b = *child_at(d, y, partner);
        note_covered(d, &a, &b);
        from = i + 1;
        other = partner + 1;
    }
    compare_left_over(d, (struct region){x.at + from, x.count - from}, (struct region){y.at + other, y.count - other});
}

/* Arrays of one length: do so many places in a row differ that rather something was put in and something taken out? */
static bool looks_shifted(struct json_diff *d, uint32_t a, uint32_t b)
{
    uint32_t x = a + 1, y = b + 1, count = node_at(d, 0, a)->count, first = none, last = 0, differ = 0;
    if (count < SHIFTED_LEAST || count > ALIGNED_MOST)
        return false;
    for (uint32_t i = 0; i < count && !is_over(d); i++, x = next_of(d, 0, x), y = next_of(d, 1, y)) {
        if (same_text(d, x, y))
            continue;
        first = first == none ? i : first;
        last = i;
        differ++;
    }
    return differ >= SHIFTED_LEAST && (uint64_t)differ * 2 > last - first;
}

/* What is left of two arrays when the elements that agree at both ends are taken away. */
static void trim_ends(struct json_diff *d, struct region *x, struct region *y)
{
    while (x->count > 0 && y->count > 0 && !is_over(d) && ends_agree(d, child_at(d, *x, 0), child_at(d, *y, 0))) {
        *x = (struct region){x->at + 1, x->count - 1};
        *y = (struct region){y->at + 1, y->count - 1};
    }
    while (x->count > 0 && y->count > 0 && !is_over(d) &&
           ends_agree(d, child_at(d, *x, x->count - 1), child_at(d, *y, y->count - 1))) {
        x->count--;
        y->count--;
    }
}

static void compare_lengths(struct json_diff *d, uint32_t a, uint32_t b)
{
    struct region x = {0}, y = {0};
    uint32_t mark = d->child_count, real = d->real;

    if (open_elements(d, 0, a, &x) && open_elements(d, 1, b, &y)) {
        trim_ends(d, &x, &y);
        if (align(d, x, y))
            compare_aligned(d, x, y);
        else
            compare_left_over(d, x, y);
        if (d->real > real)
            note(d, DIFFERENCE_LENGTH, NULL, a, b);
    }
    d->child_count = mark;
}

/* False: nothing was shifted, nothing is noted. */
static bool compare_shifted(struct json_diff *d, uint32_t a, uint32_t b)
{
    struct region x = {0}, y = {0};
    uint32_t mark = d->child_count;
    bool shifted = looks_shifted(d, a, b) && open_elements(d, 0, a, &x) && open_elements(d, 1, b, &y) && align(d, x, y);

    if (shifted)
        compare_aligned(d, x, y);
    d->child_count = mark;
    return shifted;
}

/* ---- arrays as multisets ---- */

/* Kuhn's algorithm: finds the element i of a class a partner, moving others if need be. */
struct matching {
    struct json_diff *d;
    struct region x, y;          /* classes of equal hash, at most MATCHING_MAX each */
    uint32_t of_y[MATCHING_MAX]; /* which of x has this y, or `none` */
    bool tried[MATCHING_MAX];
};

static bool find_partner(struct matching *m, uint32_t i)
{
    for (uint32_t j = 0; j < m->y.count && !is_over(m->d); j++) {
        const struct child *x = child_at(m->d, m->x, i), *y = child_at(m->d, m->y, j);
        if (m->tried[j] || !elements_equal(m->d, x->index, x->node, y->node))
            continue;
        m->tried[j] = true;
        if (m->of_y[j] == none || find_partner(m, m->of_y[j])) {
            m->of_y[j] = i;
            return true;
        }
    }
    return false;
}

static void match_class(struct json_diff *d, struct region x, struct region y)
{
    struct matching m = {.d = d, .x = x, .y = y};
    memset(m.of_y, 0xff, sizeof(m.of_y));
    for (uint32_t i = 0; i < x.count && !is_over(d); i++) {
        memset(m.tried, 0, sizeof(m.tried));
        find_partner(&m, i);
    }
    for (uint32_t j = 0; j < y.count; j++) {
        if (m.of_y[j] == none)
            continue;
        child_at(d, y, j)->partner = child_at(d, x, m.of_y[j])->index;
        child_at(d, x, m.of_y[j])->partner = child_at(d, y, j)->index;
    }
}

/* A class too large for the best matching: those that need no tolerance find each other first, then each takes the
 * first free partner that fits. */
static void match_large_class(struct json_diff *d, struct region x, struct region y)
{
    hash_exactly(d, 0, x);
    hash_exactly(d, 1, y);
    pair_by_hash(d, x, y);
    for (uint32_t i = 0; i < x.count && !is_over(d); i++) {
        for (uint32_t j = 0; child_at(d, x, i)->partner == none && j < y.count && !is_over(d); j++) {
            struct child *s = child_at(d, x, i), *t = child_at(d, y, j);
            if (t->partner != none || !elements_equal(d, s->index, s->node, t->node))
                continue;
            child_at(d, x, i)->partner = child_at(d, y, j)->index;
            child_at(d, y, j)->partner = child_at(d, x, i)->index;
        }
    }
}

static uint32_t class_length(struct json_diff *d, struct region region, uint64_t hash)
{
    uint32_t count = 0;
    while (count < region.count && child_at(d, region, count)->hash == hash)
        count++;
    return count;
}

static struct region skip(struct region region, uint32_t count)
{
    return (struct region){region.at + count, region.count - count};
}

/* Under tolerances equal hashes only mean "perhaps equal". */
static void pair_by_tolerance(struct json_diff *d, struct region a, struct region b)
{
    struct region x = a, y = b;
    sort(d, a, by_hash);
    sort(d, b, by_hash);
    while (x.count > 0 && y.count > 0 && !is_over(d)) {
        uint64_t hash = child_at(d, x, 0)->hash, other = child_at(d, y, 0)->hash;
        uint64_t low = hash < other ? hash : other;
        struct region s = {x.at, class_length(d, x, low)}, t = {y.at, class_length(d, y, low)};
        if (s.count <= MATCHING_MAX && t.count <= MATCHING_MAX)
            match_class(d, s, t);
        else
            match_large_class(d, s, t);
        x = skip(x, s.count);
        y = skip(y, t.count);
    }
    sort(d, a, by_index);
    sort(d, b, by_index);
}

static struct region keep_lonely(struct json_diff *d, struct region region)
{
    struct region lonely = {region.at, 0};
    for (uint32_t i = 0; i < region.count; i++)
        if (child_at(d, region, i)->partner == none)
            *child_at(d, lonely, lonely.count++) = *child_at(d, region, i);
    return lonely;
}

static void pair_equal_elements(struct json_diff *d, struct region x, struct region y)
{
    hash_elements(d, 0, x);
    hash_elements(d, 1, y);
    if (d->rules->has_tolerance)
        pair_by_tolerance(d, x, y);
    else
        pair_by_hash(d, x, y);
}

/* Notes what rules cover inside the pairs that were found. Did any of them change its place? */
static bool look_into_pairs(struct json_diff *d, struct region x, struct region y, const char *by)
{
    bool moved = false;
    for (uint32_t i = 0; i < x.count && !is_over(d); i++) {
        struct child element = *child_at(d, x, i);
        if (element.partner == none)
            continue;
        moved = moved || element.partner != element.index;
        enter_keyed(d, 0, by, &element);
        compare_values(d, element.node, child_at(d, y, element.partner)->node);
        leave(d);
    }
    return moved;
}

static void compare_multisets(struct json_diff *d, uint32_t a, uint32_t b, const struct rule *rule)
{
    struct region x = {0}, y = {0};
    uint32_t mark = d->child_count, real = d->real;
    bool same_length = node_at(d, 0, a)->count == node_at(d, 1, b)->count;

    if (open_elements(d, 0, a, &x) && open_elements(d, 1, b, &y)) {
        pair_equal_elements(d, x, y);
        if (look_into_pairs(d, x, y, NULL))
            hit(d, rule);
        x = keep_lonely(d, x);
        y = keep_lonely(d, y);
        if (x.count == 0 && y.count == 0 && !is_over(d))
            note(d, DIFFERENCE_ORDER, rule, a, b);
        compare_left_over(d, x, y);
        if (!same_length && d->real > real)
            note(d, DIFFERENCE_LENGTH, NULL, a, b);
    }
    d->child_count = mark;
}

/* ---- arrays whose elements have keys ---- */

static bool name_is(struct json_diff *d, int side, uint32_t name, const char *text, size_t len)
{
    struct span found = string_text(d, d->doc[side], name);
    return found.len == len && memcmp(found.at, text, len) == 0;
}

/* The value of the first member of this name, or `none`. */
static uint32_t find_member(struct json_diff *d, int side, uint32_t object, const char *text, size_t len)
{
    uint32_t name = object + 1, count = node_at(d, side, object)->count;
    if (node_at(d, side, object)->type != NODE_OBJECT)
        return none;
    for (uint32_t i = 0; i < count && spend(d, 1); i++, name = next_of(d, side, name + 1))
        if (name_is(d, side, name, text, len))
            return name + 1;
    return none;
}

/* The scalar at `by` inside an element, or `none`; "meta.id" is a member of that name, or "id" inside of "meta". */
static uint32_t find_key(struct json_diff *d, int side, uint32_t element, const char *by)
{
    uint32_t at = find_member(d, side, element, by, strlen(by));
    if (at == none && strchr(by, '.') != NULL) {
        at = element;
        for (const char *part = by; at != none && part != NULL;) {
            size_t len = strcspn(part, ".");
            at = find_member(d, side, at, part, len);
            part = part[len] == '.' ? part + len + 1 : NULL;
        }
    }
    bool container =
        at != none && (node_at(d, side, at)->type == NODE_ARRAY || node_at(d, side, at)->type == NODE_OBJECT);
    return container ? none : at;
}

/* Without rules: 17 and 17.0 are one key, "17" is another. */
static uint64_t hash_key(struct json_diff *d, int side, uint32_t key)
{
    const struct json_node *n = node_at(d, side, key);
    const struct rules_here nothing = {.rules = d->rules};
    uint64_t hash = 0;
    if (n->type == NODE_NUMBER)
        hash = hash_number(d, side, key, &nothing);
    else if (n->type == NODE_STRING)
        hash = hash_string(d, side, key);
    else
        hash = XXH3_64bits(json_node_text(d->doc[side], key), json_node_length(d->doc[side], key));
    return mix(hash, n->type + 1u);
}

static void find_keys(struct json_diff *d, int side, struct region region, const char *by)
{
    for (uint32_t i = 0; i < region.count && !is_over(d); i++)
        child_at(d, region, i)->key = find_key(d, side, child_at(d, region, i)->node, by);
}

static uint64_t place_of(uint32_t i)
{
    return mix(i, UINT64_C(0x10e1e5));
}

/* Elements that have no equal: those with a key get its hash, those without one that of their turn among them. */
static void hash_keys(struct json_diff *d, int side, struct region region)
{
    uint32_t without = 0;
    for (uint32_t i = 0; i < region.count && !is_over(d); i++) {
        struct child *element = child_at(d, region, i);
        element->hash = element->key == none ? place_of(without++) : hash_key(d, side, element->key);
    }
}

/* What `pair_by_hash` wrote are indices into the arrays; `partner` is where the partner stands in its region. */
static uint32_t place_in(struct json_diff *d, struct region region, uint32_t index)
{
    uint32_t low = 0, high = region.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (child_at(d, region, middle)->index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void note_lonely_keyed(struct json_diff *d, int side, struct region region, const char *by)
{
    for (uint32_t i = 0; i < region.count && !is_over(d); i++) {
        struct child element = *child_at(d, region, i);
        if (element.partner != none)
            continue;
        enter_keyed(d, side, by, &element);
        note(d, side == 0 ? DIFFERENCE_MISSING : DIFFERENCE_EXTRA, rules_here(d).ignore,
             side == 0 ? element.node : none, side == 1 ? element.node : none);
        leave(d);
    }
}

/* The elements left over after equal ones have found each other: by their keys, one by one where a key is repeated. */
static bool compare_by_key(struct json_diff *d, struct region x, struct region y, const char *by)
{
    bool moved = false;
    hash_keys(d, 0, x);
    hash_keys(d, 1, y);
    pair_by_hash(d, x, y);
    for (uint32_t i = 0; i < x.count && !is_over(d); i++) {
        struct child element = *child_at(d, x, i);
        if (element.partner == none)
            continue;
        moved = moved || element.partner != element.index;
        enter_keyed(d, 0, by, &element);
        compare_values(d, element.node, child_at(d, y, place_in(d, y, element.partner))->node);
        leave(d);
    }
    note_lonely_keyed(d, 0, x, by);
    note_lonely_keyed(d, 1, y, by);
    return moved;
}

static void compare_keyed(struct json_diff *d, uint32_t a, uint32_t b, const struct rule *rule)
{
    struct region x = {0}, y = {0};
    uint32_t mark = d->child_count, real = d->real;
    bool same_length = node_at(d, 0, a)->count == node_at(d, 1, b)->count;

    if (open_elements(d, 0, a, &x) && open_elements(d, 1, b, &y)) {
        find_keys(d, 0, x, rule->by);
        find_keys(d, 1, y, rule->by);
        pair_equal_elements(d, x, y);
        bool moved = look_into_pairs(d, x, y, rule->by);
        moved = compare_by_key(d, keep_lonely(d, x), keep_lonely(d, y), rule->by) || moved;
        if (!same_length && d->real > real)
            note(d, DIFFERENCE_LENGTH, NULL, a, b);
        else if (moved && !is_over(d))
            note(d, DIFFERENCE_ORDER, rule, a, b);
        if (moved)
            hit(d, rule);
    }
    d->child_count = mark;
}

static void compare_arrays(struct json_diff *d, uint32_t a, uint32_t b, const struct rules_here *here)
{
    bool same_length = node_at(d, 0, a)->count == node_at(d, 1, b)->count;
    if (here->keyed != NULL)
        compare_keyed(d, a, b, here->keyed);
    else if (here->unordered != NULL && !(same_length && !probe(d, compare_in_order, a, b)))
        compare_multisets(d, a, b, here->unordered);
    else if (!same_length)
        compare_lengths(d, a, b);
    else if (!d->probing && is_reordered(d, a, b))
        note(d, DIFFERENCE_ORDER, NULL, a, b);
    else if (d->probing || !compare_shifted(d, a, b))
        compare_in_order(d, a, b);
}

/* ---- values ---- */

static bool read_instants(struct json_diff *d, uint32_t a, uint32_t b, struct instant *x, struct instant *y)
{
    return instant_read_number(x, json_node_text(d->doc[0], a), json_node_length(d->doc[0], a)) &&
           instant_read_number(y, json_node_text(d->doc[1], b), json_node_length(d->doc[1], b));
}

/* Numbers of very different size are laid out in all the places between them. */
static uint64_t cost_of_distance(const struct decimal *x, const struct decimal *y)
{
    uint64_t places = (uint64_t)(x->exponent > y->exponent ? x->exponent - y->exponent : y->exponent - x->exponent);
    places += (uint64_t)(x->end - x->digits) + (uint64_t)(y->end - y->digits);
    return 1 + (places < PLACES_MOST ? places : PLACES_MOST) / PLACES_PER_UNIT;
}

/* The rule that tolerates two numbers, or NULL. */
static const struct rule *tolerates_numbers(struct json_diff *d, uint32_t a, uint32_t b, const struct decimal *x,
                                            const struct decimal *y, const struct rules_here *here)
{
    struct instant t, u;
    for (uint32_t i = 0; i < here->tolerance_count && spend(d, cost_of_distance(x, y)); i++) {
        const struct rule *rule = here->tolerances[i];
        if (rule->kind == RULE_TOLERANCE ? decimal_within(x, y, &rule->tolerance)
                                         : read_instants(d, a, b, &t, &u) && instant_within(&t, &u, rule->within_ns))
            return rule;
    }
    return NULL;
}

static void compare_numbers(struct json_diff *d, uint32_t a, uint32_t b, const struct decimal *x,
                            const struct decimal *y, const struct rules_here *here)
{
    const struct rule *rule = tolerates_numbers(d, a, b, x, y, here);
    note_numbers(d, rule, a, b, d->probing ? 0 : decimal_apart(x, y));
}

static size_t skip_digits(struct span text, size_t at)
{
    while (at < text.len && text.at[at] >= '0' && text.at[at] <= '9')
        at++;
    return at;
}

/* "12.50", "-7": amounts are often sent as strings, and XML has nothing else. */
static bool read_plain_decimal(struct span text, struct decimal *decimal)
{
    size_t sign = text.len > 0 && text.at[0] == '-' ? 1 : 0, end = skip_digits(text, sign);
    if (end == sign)
        return false;
    if (end < text.len && text.at[end] == '.') {
        size_t point = end;
        end = skip_digits(text, point + 1);
        if (end == point + 1)
            return false;
    }
    if (end != text.len)
        return false;
    decimal_read(decimal, text.at, text.len);
    return true;
}

static const struct rule *tolerates_strings(struct json_diff *d, struct span a, struct span b,
                                            const struct rules_here *here)
{
    struct decimal x, y;
    struct instant t, u;
    uint64_t cost = 1 + (a.len + b.len) / READ_PER_UNIT;
    for (uint32_t i = 0; i < here->tolerance_count && spend(d, cost); i++) {
        const struct rule *rule = here->tolerances[i];
        bool fits =
            rule->kind == RULE_TOLERANCE
                ? read_plain_decimal(a, &x) && read_plain_decimal(b, &y) && decimal_within(&x, &y, &rule->tolerance)
                : instant_read_text(&t, a.at, a.len) && instant_read_text(&u, b.at, b.len) &&
                      instant_within(&t, &u, rule->within_ns);
        if (fits)
            return rule;
    }
    return NULL;
}

static void compare_strings(struct json_diff *d, uint32_t a, uint32_t b, const struct rules_here *here)
{
    uint64_t changed = 0;
    if (here->replacements == 0 && here->tolerance_count == 0) {
        note(d, DIFFERENCE_VALUE, NULL, a, b);
        return;
    }
    struct span x = string_text(d, d->doc[0], a), y = string_text(d, d->doc[1], b);
    if (here->replacements != 0)
        take_result(d, rules_replace(d->rules, here->replacements, &x, &y, &changed));
    if (!d->probing)
        rules_count_replacements(d->rules, changed, d->list);
    if (is_over(d))
        return;
    if (span_equal(x, y))
        note_place(d, DIFFERENCE_VALUE, true, a, b);
    else
        note(d, DIFFERENCE_VALUE, tolerates_strings(d, x, y, here), a, b);
}

static bool same_string(struct json_diff *d, uint32_t a, uint32_t b)
{
    const struct json_node *x = node_at(d, 0, a), *y = node_at(d, 1, b);
    if (x->escaped || y->escaped)
        (void)spend(d, (x->count < y->count ? x->count : y->count) / READ_PER_UNIT);
    return json_string_equal(d->doc[0], a, d->doc[1], b);
}

/* Scalars that are written in two ways: no rule is needed for them. */
static bool is_same_scalar(struct json_diff *d, uint32_t a, uint32_t b)
{
    const struct json_node *x = node_at(d, 0, a), *y = node_at(d, 1, b);
    if (x->type != y->type || x->broken || y->broken)
        return false;
    if (x->type == NODE_STRING)
        return same_string(d, a, b);
    if (x->type != NODE_NUMBER)
        return x->type == NODE_NULL;
    struct decimal m, n;
    read_number(d, 0, a, &m);
    read_number(d, 1, b, &n);
    return decimal_equal(&m, &n);
}

static void compare_same_type(struct json_diff *d, uint32_t a, uint32_t b, const struct rules_here *here)
{
    struct decimal x, y;
    switch ((enum node_type)node_at(d, 0, a)->type) {
    case NODE_NULL:
        break;
    case NODE_BOOLEAN:
        note(d, DIFFERENCE_VALUE, NULL, a, b);
        break;
    case NODE_NUMBER:
        read_number(d, 0, a, &x);
        read_number(d, 1, b, &y);
        compare_numbers(d, a, b, &x, &y, here);
        break;
    case NODE_STRING:
        compare_strings(d, a, b, here);
        break;
    case NODE_ARRAY:
        compare_arrays(d, a, b, here);
        break;
    case NODE_OBJECT:
        compare_objects(d, a, b, here->unordered);
        break;
    }
}

static void compare_values(struct json_diff *d, uint32_t a, uint32_t b)
{
    const struct json_node *x = node_at(d, 0, a), *y = node_at(d, 1, b);
    bool one_is_broken = x->broken != y->broken;
    if (same_text(d, a, b) || is_over(d) || is_same_scalar(d, a, b))
        return;
    struct rules_here here = rules_here(d);
    if (here.ignore != NULL)
        note(d, DIFFERENCE_VALUE, here.ignore, a, b);
    else if (here.present != NULL)
        note(d, x->type != y->type ? DIFFERENCE_TYPE : DIFFERENCE_VALUE, here.present, a, b);
    else if (one_is_broken || x->type != y->type)
        note(d, one_is_broken ? DIFFERENCE_INVALID : DIFFERENCE_TYPE, NULL, a, b);
    else
        compare_same_type(d, a, b, &here);
}

/* ---- a run ---- */

static bool make_positions(struct json_diff *d)
{
    d->words = json_path_words(d->rules->paths);
    if (d->words <= d->positions_room)
        return true;
    uint64_t *positions = realloc(d->positions, (size_t)TRAIL_ROOM * d->words * sizeof(*positions));
    if (positions == NULL)
        return false;
    d->positions = positions;
    d->positions_room = d->words;
    return true;
}

static void give_back_large_buffers(struct json_diff *d)
{
    if (d->child_room > SCRATCH_KEPT) {
        free(d->children);
        d->children = NULL;
        d->child_room = 0;
    }
    for (int side = 0; side < 2; side++) {
        if (d->turn_room[side] > SCRATCH_KEPT) {
            free(d->turns[side]);
            d->turns[side] = NULL;
            d->turn_room[side] = 0;
        }
        if (d->text_room[side] <= SCRATCH_KEPT)
            continue;
        free(d->text[side]);
        d->text[side] = NULL;
        d->text_room[side] = 0;
    }
}

enum json_diff_result json_diff_run(struct json_diff *d, const struct rules *rules, const struct json_doc *primary,
                                    const struct json_doc *shadow, struct difference_list *list)
{
    d->rules = rules;
    d->doc[0] = primary;
    d->doc[1] = shadow;
    d->list = list;
    d->depth = 0;
    d->child_count = 0;
    d->budget = JSON_DIFF_BUDGET;
    d->too_complex = d->no_memory = d->probing = d->found = d->exact = false;
    d->real = 0;
    if (!make_positions(d))
        return JSON_DIFF_NO_MEMORY;
    d->on_path[0] = d->words > 0;
    if (d->on_path[0])
        json_path_root(rules->paths, position_at(d, 0));
    compare_values(d, 0, 0);
    give_back_large_buffers(d);
    return d->no_memory ? JSON_DIFF_NO_MEMORY : d->too_complex ? JSON_DIFF_TOO_COMPLEX : JSON_DIFF_DONE;
}

uint64_t json_diff_spent(const struct json_diff *d)
{
    return JSON_DIFF_BUDGET - (d->too_complex ? 0 : d->budget);
}
