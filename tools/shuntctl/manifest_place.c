/*
 * Places in a manifest: lines, columns, line breaks as YAML 1.1 knows them, and faults that name a place.
 */
#include <stdio.h>

#include "tools/shuntctl/manifest.h"
#include "tools/shuntctl/manifest_edit.h"

/* ---- places ---- */

size_t manifest_break(const char *text, size_t length, size_t at)
{
    const unsigned char *here = (const unsigned char *)text + at;
    size_t left = at < length ? length - at : 0;
    if (left >= 2 && here[0] == '\r' && here[1] == '\n')
        return 2;
    if (left >= 1 && (here[0] == '\r' || here[0] == '\n'))
        return 1;
    if (left >= 2 && here[0] == 0xc2 && here[1] == 0x85)
        return 2;
    return left >= 3 && here[0] == 0xe2 && here[1] == 0x80 && (here[2] == 0xa8 || here[2] == 0xa9) ? 3 : 0;
}

size_t manifest_break_before(const struct manifest *manifest, size_t at)
{
    for (size_t bytes = 3; bytes > 0; bytes--)
        if (at >= manifest->begin + bytes && manifest_break(manifest->text, manifest->length, at - bytes) == bytes)
            return bytes;
    return 0;
}

size_t manifest_line_start(const struct manifest *manifest, size_t at)
{
    while (at > manifest->begin && manifest_break_before(manifest, at) == 0)
        at--;
    return at;
}

unsigned manifest_column(const struct manifest *manifest, size_t at)
{
    unsigned column = 0;
    for (size_t i = manifest_line_start(manifest, at); i < at; i++)
        column += ((unsigned char)manifest->text[i] & 0xc0) != 0x80;
    return column;
}

size_t manifest_below(const struct manifest *manifest, const struct manifest_node *node)
{
    size_t at = node->end, bytes = 0;
    if (at > manifest->begin &&
        manifest_break_before(manifest, at) > 0) /* a literal has taken the end of its line, and more */
        return at;
    while (at < manifest->length && (bytes = manifest_break(manifest->text, manifest->length, at)) == 0)
        at++;
    return at + bytes;
}

/* ---- faults ---- */

__attribute__((format(printf, 2, 0))) static void keep_fault(struct manifest_faults *faults, const char *format,
                                                             va_list args)
{
    const char *line = config_arena_vprint(faults->arena, format, args);
    if (line == NULL)
        faults->no_memory = true;
    else if (faults->count < MANIFEST_FAULTS)
        faults->lines[faults->count++] = line;
}

void manifest_fault_plainly(struct manifest_faults *faults, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    keep_fault(faults, format, args);
    va_end(args);
}

size_t manifest_line(const struct manifest *manifest, size_t at)
{
    size_t lines = 1;
    for (size_t i = 0, step; i < at; i += step) {
        step = manifest_break(manifest->text, manifest->length, i);
        lines += step > 0 && i + step <= at;
        step = step > 0 ? step : 1;
    }
    return lines;
}

void manifest_fault(const struct manifest *manifest, size_t at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = config_arena_vprint(manifest->faults->arena, format, args);
    va_end(args);
    for (; manifest->before != NULL; manifest = manifest->before)
        at = manifest_place_before(manifest, at);
    if (text == NULL)
        manifest->faults->no_memory = true;
    else
        manifest_fault_plainly(manifest->faults, "%s:%zu:%u: %s", manifest->name, manifest_line(manifest, at),
                               manifest_column(manifest, at) + 1, text);
}
