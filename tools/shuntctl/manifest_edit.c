/*
 * Changes of a manifest, as splices of its text.
 *
 * What is added begins where a line does (in a block) or behind the last member (in braces), so that removing it gives
 * back the same bytes: a removal takes whole lines, or what lies between two members. The one question that leaves open
 * is the end of a last line that has no line break: what is added there takes the break in front of it, and a removal
 * there gives it back.
 */
#include "tools/shuntctl/manifest_edit.h"

#include <string.h>

#include "tools/shuntctl/manifest_splice.h"

static void add(struct manifest *manifest, struct manifest_splice splice)
{
    struct manifest_faults *faults = manifest->faults;
    if (manifest->splice_count == manifest->splice_room) {
        size_t room = manifest->splice_room == 0 ? 64 : 2 * manifest->splice_room;
        struct manifest_splice *more = config_arena_take(faults->arena, room, sizeof(*more));
        if (more == NULL) {
            faults->no_memory = true;
            return;
        }
        if (manifest->splice_count > 0)
            memcpy(more, manifest->splices, manifest->splice_count * sizeof(*more));
        manifest->splices = more;
        manifest->splice_room = room;
    }
    splice.order = manifest->splice_count;
    manifest->splices[manifest->splice_count++] = splice;
}

/* Would a change here change something elsewhere? A fault, then. */
static bool may_change(const struct manifest *manifest, const struct manifest_node *node)
{
    for (const struct manifest_node *outer = node; outer != NULL; outer = outer->parent) {
        if (outer->kind != MANIFEST_ALIAS && outer->aliases == 0)
            continue;
        manifest_fault(manifest, outer->start,
                       outer->kind == MANIFEST_ALIAS
                           ? "shunt has to change what this alias stands for; write the value out in its place"
                           : "shunt has to change something in here, and an alias means the same; write the value out "
                             "where the alias is");
        return false;
    }
    return true;
}

/* ---- where members stand ---- */

/* Of an item, or of a key with its value. */
static size_t member_end(const struct manifest_node *member)
{
    return member->value != NULL && member->value->end > member->end ? member->value->end : member->end;
}

static size_t member_start(const struct manifest_node *member)
{
    bool item_of_block = member->parent->kind == MANIFEST_LIST && !member->parent->flow;
    return item_of_block ? member->dash : member->start;
}

static size_t member_below(const struct manifest *manifest, const struct manifest_node *member)
{
    return manifest_below(manifest, &(struct manifest_node){.end = member_end(member)});
}

static bool begins_a_line(const struct manifest *manifest, size_t at)
{
    for (size_t i = manifest_line_start(manifest, at); i < at; i++)
        if (manifest->text[i] != ' ')
            return false;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What stands in front of the last member of braces: a line break with blanks, or one blank. */
static const char *glue_of(const struct manifest *manifest, const struct manifest_node *last)
{
    size_t from = last->start;
    while (from > manifest->begin && is_blank(manifest->text[from - 1]))
        from--;
    size_t line = manifest_line_start(manifest, last->start);
    if (line <= from)
        return " ";
    const char *glue = config_arena_print(manifest->faults->arena, "%s%.*s", manifest->newline,
                                          (int)(last->start - line), manifest->text + line);
    manifest->faults->no_memory |= glue == NULL;
    return glue != NULL ? glue : " ";
}

static const struct manifest_node *root_of(const struct manifest_node *node)
{
    while (node->parent != NULL)
        node = node->parent;
    return node;
}

/* Blanks by which members of braces stand to the right of the braces. */
static unsigned step_of(const struct manifest *manifest, const struct manifest_node *node)
{
    const struct manifest_node *root = root_of(node);
    unsigned step = root->flow && root->first != NULL ? manifest_column(manifest, root->first->start) : 0;
    return step > 0 && step <= 8 ? step : 2;
}

/* Is there room for more behind this byte in braces? A "#" there would begin a comment no more. */
static bool can_follow(const struct manifest *manifest, size_t at)
{
    if (at >= manifest->length || manifest->text[at] != '#')
        return true;
    manifest_fault(manifest, at, "shunt has to add something in front of this comment; put a blank there");
    return false;
}

/* Lines at the end of a text whose last line has no end would give it one. */
static bool can_begin_line(const struct manifest *manifest, size_t at)
{
    if (at < manifest->length || !manifest->unended)
        return true;
    manifest_fault(manifest, at, "shunt has to add lines behind a block of text that has no end of line; end the line");
    return false;
}

/* ---- adding ---- */

static void add_to_braces(struct manifest *manifest, const struct manifest_node *node, json_t *members)
{
    char opening = node->kind == MANIFEST_MAP ? '{' : '[';
    if (node->first == NULL && manifest->text[node->start] != opening) {
        manifest_fault(manifest, node->start, "shunt has to add something here; leave the anchor or the tag out");
        return;
    }
    if (node->kind == MANIFEST_MAP && node->first != NULL && manifest->text[node->end - 1] != '}') {
        manifest_fault(manifest, node->start, "shunt has to add something here; put this pair in braces");
        return;
    }
    size_t at = node->first == NULL ? node->start + 1 : member_end(node->last);
    if (can_follow(manifest, at))
        add(manifest, (struct manifest_splice){.kind = SPLICE_MEMBERS,
                                               .start = at,
                                               .end = at,
                                               .content = members,
                                               .text = node->first == NULL ? " " : glue_of(manifest, node->last),
                                               .column = step_of(manifest, node),
                                               .first = node->first == NULL});
}

/* Behind comments in lines of their own that are not to the left of what is added: they belong to what stands above. */
static size_t behind_comments(const struct manifest *manifest, size_t at, unsigned column)
{
    size_t bytes = 0;
    for (;;) {
        size_t blanks = 0, end;
        while (at + blanks < manifest->length && manifest->text[at + blanks] == ' ')
            blanks++;
        if (blanks < column || at + blanks >= manifest->length || manifest->text[at + blanks] != '#')
            return at;
        for (end = at + blanks; end < manifest->length; end++)
            if ((bytes = manifest_break(manifest->text, manifest->length, end)) > 0)
                break;
        at = end < manifest->length ? end + bytes : end;
    }
}

static void add_lines(struct manifest *manifest, size_t at, unsigned column, json_t *members)
{
    at = behind_comments(manifest, at, column);
    if (can_begin_line(manifest, at))
        add(manifest, (struct manifest_splice){
                          .kind = SPLICE_LINES, .start = at, .end = at, .column = column, .content = members});
}

static void add_members(struct manifest *manifest, const struct manifest_node *node, json_t *members)
{
    if (!may_change(manifest, node))
        return;
    if (node->flow || node->first == NULL)
        add_to_braces(manifest, node, members);
    else
        add_lines(manifest, member_below(manifest, node->last), manifest_column(manifest, member_start(node->first)),
                  members);
}

void manifest_add_pairs(struct manifest *manifest, const struct manifest_node *map, json_t *pairs)
{
    add_members(manifest, map, pairs);
}

void manifest_add_items(struct manifest *manifest, const struct manifest_node *list, json_t *items)
{
    add_members(manifest, list, items);
}

/* The text of a scalar: of one line, no anchor, no tag. NULL, and a fault, where it is not. */
static const char *text_of(struct manifest *manifest, const struct manifest_node *value)
{
    const char *text = manifest->text + value->start;
    size_t length = value->end - value->start;
    char first = length > 0 ? text[0] : '\0';
    bool one_line = length <= 256 && first != '|' && first != '>';
    for (size_t i = value->start; i < value->end; i++)
        one_line = one_line && manifest_break(manifest->text, manifest->length, i) == 0;
    if (value->kind != MANIFEST_SCALAR || !one_line || first == '&' || first == '!') {
        manifest_fault(manifest, value->start, "shunt has to change this value; write it %s",
                       first == '!'   ? "without the tag that stands in front of it"
                       : first == '&' ? "without the anchor that stands in front of it"
                                      : "in one line");
        return NULL;
    }
    const char *copy = config_arena_text(manifest->faults->arena, text, length);
    manifest->faults->no_memory |= copy == NULL;
    return copy;
}

void manifest_fill(struct manifest *manifest, const struct manifest_node *value, json_t *content, const char **before)
{
    const char *text = may_change(manifest, value) ? text_of(manifest, value) : NULL;
    bool collection = json_is_object(content) || json_is_array(content);
    *before = NULL;
    if (text == NULL)
        return;
    if (text[0] == '\0' && !value->colon) {
        manifest_fault(manifest, value->start, "shunt has to give this key a value; write a colon behind it");
    } else if (text[0] == '\0' && collection && !value->parent->flow) {
        unsigned column = manifest_column(manifest, value->key->start);
        add_lines(manifest, manifest_below(manifest, value),
                  column + (json_is_array(content) ? manifest->list_step : manifest->step), content);
    } else if (can_follow(manifest, value->end)) {
        *before = text;
        add(manifest, (struct manifest_splice){.kind = SPLICE_CONTENT,
                                               .start = value->start,
                                               .end = value->end,
                                               .content = content,
                                               .text = text[0] == '\0' ? " " : ""});
    }
}

void manifest_replace(struct manifest *manifest, const struct manifest_node *value, json_t *scalar, const char **before)
{
    *before = may_change(manifest, value) ? text_of(manifest, value) : NULL;
    if (*before != NULL)
        add(manifest,
            (struct manifest_splice){
                .kind = SPLICE_CONTENT, .start = value->start, .end = value->end, .content = scalar, .text = ""});
}

/* Where a document can stand behind this one: in front of the next one, else behind the last. */
static size_t behind_document(const struct manifest *manifest, const struct manifest_document *document)
{
    const struct manifest_document *next = document->next;
    if (next == NULL || next->root == NULL || next->directed)
        return manifest->length;
    if (manifest->json ? begins_a_line(manifest, next->root->start) : next->opened)
        return next->start;
    return manifest->length;
}

void manifest_add_document(struct manifest *manifest, const struct manifest_document *document, json_t *content)
{
    const struct manifest_node *root = document->root;
    bool lines = root->first != NULL && glue_of(manifest, root->first)[0] != ' ';
    size_t at = behind_document(manifest, document);
    if (can_begin_line(manifest, at))
        add(manifest, (struct manifest_splice){.kind = SPLICE_DOCUMENT,
                                               .start = at,
                                               .end = at,
                                               .content = content,
                                               .text = lines ? manifest->newline : " ",
                                               .column = lines ? step_of(manifest, root) : 0});
}

/* ---- removing ---- */

void manifest_restore(struct manifest *manifest, struct manifest_node *value, const char *before)
{
    size_t start = value->start;
    if (!may_change(manifest, value))
        return;
    value->restored = before;
    if (before[0] == '\0') /* it was put behind the colon */
        while (start > value->key->end && is_blank(manifest->text[start - 1]))
            start--;
    add(manifest, (struct manifest_splice){.kind = SPLICE_TEXT, .start = start, .end = value->end, .text = before});
}

static void remove_text(struct manifest *manifest, size_t start, size_t end)
{
    add(manifest, (struct manifest_splice){.kind = SPLICE_TEXT, .start = start, .end = end, .text = ""});
}

static void remove_lines(struct manifest *manifest, size_t start, size_t end)
{
    add(manifest, (struct manifest_splice){.kind = SPLICE_NO_LINES, .start = start, .end = end});
}

/* Members from `first` to `last`, which all leave; `before` and `behind` stay, where there are such. */
static void remove_run(struct manifest *manifest, const struct manifest_node *before, const struct manifest_node *first,
                       const struct manifest_node *last)
{
    const struct manifest_node *collection = first->parent, *behind = last->next;
    size_t start = member_start(first);
    if (!collection->flow && begins_a_line(manifest, start))
        remove_lines(manifest, manifest_line_start(manifest, start), member_below(manifest, last));
    else if (collection->flow && before != NULL)
        remove_text(manifest, member_end(before), member_end(last));
    else if (behind != NULL)
        remove_text(manifest, start, member_start(behind));
    else if (collection->flow && strchr("{[", manifest->text[collection->start]) != NULL)
        remove_text(manifest, collection->start + 1, member_end(last));
    else
        remove_text(manifest, start, member_end(last));
}

void manifest_remove(struct manifest *manifest, const struct manifest_node *collection)
{
    const struct manifest_node *before = NULL;
    if (!may_change(manifest, collection))
        return;
    for (const struct manifest_node *member = collection->first; member != NULL; member = member->next) {
        const struct manifest_node *last = member;
        if (!member->leaves) {
            before = member;
            continue;
        }
        while (last->next != NULL && last->next->leaves)
            last = last->next;
        remove_run(manifest, before, member, last);
        member = last;
    }
}

void manifest_remove_document(struct manifest *manifest, const struct manifest_document *document)
{
    const struct manifest_node *root = document->root;
    if (document->opened || begins_a_line(manifest, root->start))
        remove_lines(manifest, document->start, manifest_below(manifest, root));
    else
        remove_text(manifest, root->start, root->end);
}
