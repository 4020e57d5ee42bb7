/*
 * The new text: a manifest's splices in the order of their places, each written as its kind says.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/manifest_edit.h"
#include "tools/shuntctl/manifest_emit.h"
#include "tools/shuntctl/manifest_splice.h"

/* Of lines that begin at one byte, what belongs to the deeper block stands first: it would end where the other's begin.
 */
static int compare(const void *a, const void *b)
{
    const struct manifest_splice *left = a, *right = b;
    if (left->start != right->start)
        return left->start < right->start ? -1 : 1;
    if ((left->kind == SPLICE_DOCUMENT) != (right->kind == SPLICE_DOCUMENT))
        return left->kind == SPLICE_DOCUMENT ? 1 : -1;
    if (left->kind == SPLICE_LINES && right->kind == SPLICE_LINES && left->column != right->column)
        return left->column > right->column ? -1 : 1;
    return left->order < right->order ? -1 : left->order > right->order;
}

static bool ends_in_break(const struct manifest *manifest)
{
    return manifest->length == manifest->begin || manifest_line_start(manifest, manifest->length) == manifest->length;
}

static void write_members(FILE *out, const struct manifest_splice *splice)
{
    const char *key;
    json_t *value;
    size_t i;
    bool first = splice->first;
    json_array_foreach(splice->content, i, value)
    {
        fprintf(out, "%s%s", first ? "" : ",", first ? "" : splice->text);
        emit_json(out, value, splice->text, splice->column);
        first = false;
    }
    json_object_foreach(splice->content, key, value)
    {
        fprintf(out, "%s%s", first ? "" : ",", first ? "" : splice->text);
        emit_key(out, key);
        emit_json(out, value, splice->text, splice->column);
        first = false;
    }
}

/* A line break in the place of the last line's missing one stands in front, and none behind. */
static void write_lines(FILE *out, const struct manifest *manifest, const char *lines, size_t length, size_t at)
{
    bool missing = at == manifest->length && !ends_in_break(manifest);
    size_t newline = strlen(manifest->newline);
    if (missing)
        fputs(manifest->newline, out);
    fwrite(lines, 1, missing && length >= newline ? length - newline : length, out);
}

static void write_document(const struct manifest *manifest, const struct emit *emit,
                           const struct manifest_splice *splice)
{
    if (manifest->json) {
        emit_json(emit->out, splice->content, splice->text, splice->column);
        fputs(manifest->newline, emit->out);
    } else {
        fprintf(emit->out, "---%s", manifest->newline);
        emit_pairs(emit, splice->content, 0);
    }
}

static void write_block(FILE *out, const struct manifest *manifest, const struct manifest_splice *splice)
{
    char *lines = NULL;
    size_t length = 0;
    struct emit emit = {open_memstream(&lines, &length), manifest->newline, manifest->step, manifest->list_step};
    if (emit.out == NULL) {
        manifest->faults->no_memory = true;
        return;
    }
    if (splice->kind == SPLICE_DOCUMENT)
        write_document(manifest, &emit, splice);
    else if (json_is_object(splice->content))
        emit_pairs(&emit, splice->content, splice->column);
    else
        emit_items(&emit, splice->content, splice->column);
    if (fclose(emit.out) != 0)
        manifest->faults->no_memory = true;
    else
        write_lines(out, manifest, lines, length, splice->start);
    free(lines);
}

static void write_splice(FILE *out, const struct manifest *manifest, const struct manifest_splice *splice)
{
    switch (splice->kind) {
    case SPLICE_NO_LINES:
        break;
    case SPLICE_TEXT:
        fputs(splice->text, out);
        break;
    case SPLICE_CONTENT:
        fputs(splice->text, out);
        emit_json(out, splice->content, " ", 0);
        break;
    case SPLICE_MEMBERS:
        write_members(out, splice);
        break;
    case SPLICE_LINES:
    case SPLICE_DOCUMENT:
        write_block(out, manifest, splice);
        break;
    }
}

/* Does a block of text in there end here? Its last line break is a part of it. */
static bool literal_ends_at(const struct manifest_node *node, size_t at)
{
    if (node == NULL || node->kind == MANIFEST_ALIAS)
        return false;
    if (node->literal && node->end == at)
        return true;
    for (const struct manifest_node *member = node->first; member != NULL; member = member->next)
        if (literal_ends_at(member, at) || literal_ends_at(member->value, at))
            return true;
    return false;
}

static bool ends_a_literal(const struct manifest *manifest, size_t at)
{
    for (const struct manifest_document *document = manifest->documents; document != NULL; document = document->next)
        if (literal_ends_at(document->root, at))
            return true;
    return false;
}

/* Lines removed at the end of a text without a last line break take the one in front of them along. */
static void widen_removal(const struct manifest *manifest, struct manifest_splice *splices, size_t at, size_t from)
{
    size_t end = splices[at].end;
    for (size_t i = at + 1; i < manifest->splice_count && splices[i].kind == SPLICE_NO_LINES && splices[i].start <= end;
         i++)
        end = splices[i].end > end ? splices[i].end : end;
    if (end != manifest->length || ends_in_break(manifest) || ends_a_literal(manifest, splices[at].start))
        return;
    size_t bytes = manifest_break_before(manifest, splices[at].start);
    if (splices[at].start - bytes >= from)
        splices[at].start -= bytes;
}

static bool write_all(FILE *out, struct manifest *manifest)
{
    struct manifest_splice *splices = manifest->splices;
    size_t from = 0, written = 0;
    for (size_t i = 0; i < manifest->splice_count; i++) {
        struct manifest_splice *splice = &splices[i];
        if (splice->kind == SPLICE_NO_LINES)
            widen_removal(manifest, splices, i, from);
        if (splice->start < from) /* in what was removed before */
            splice->start = from;
        if (splice->end < splice->start)
            splice->end = splice->start;
        fwrite(manifest->text + from, 1, splice->start - from, out);
        written += splice->start - from;
        splice->new_start = written;
        write_splice(out, manifest, splice);
        if (fflush(out) != 0)
            return false;
        written = (size_t)ftell(out);
        splice->new_length = written - splice->new_start;
        from = splice->end;
    }
    fwrite(manifest->text + from, 1, manifest->length - from, out);
    return true;
}

const char *manifest_apply(struct manifest *manifest, size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    const char *kept = NULL;
    if (out == NULL) {
        manifest->faults->no_memory = true;
        return NULL;
    }
    if (manifest->splice_count > 0)
        qsort(manifest->splices, manifest->splice_count, sizeof(*manifest->splices), compare);
    bool whole = write_all(out, manifest);
    if (fclose(out) == 0 && whole)
        kept = config_arena_text(manifest->faults->arena, text, *length);
    manifest->faults->no_memory |= kept == NULL;
    free(text);
    return kept;
}

size_t manifest_place_before(const struct manifest *manifest, size_t at)
{
    const struct manifest *before = manifest->before;
    const struct manifest_splice *last = NULL;
    for (size_t i = 0; i < before->splice_count && before->splices[i].new_start <= at; i++)
        last = &before->splices[i];
    if (last == NULL)
        return at;
    size_t behind = last->new_start + last->new_length;
    at = at < behind ? last->start : last->end + (at - behind);
    return at < before->length ? at : before->length;
}
