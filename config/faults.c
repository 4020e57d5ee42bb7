/*
 * Faults: every mistake of a file, told at once.
 *
 * The tree builder and the loader add to it and go on, so that a person sees all mistakes in one run. Sorting happens
 * at the end, as the loader walks its table and not the file.
 */
#include "config/faults.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void faults_init(struct faults *faults, struct config_arena *arena, const char *file)
{
    memset(faults, 0, sizeof(*faults));
    faults->arena = arena;
    faults->file = file;
}

void faults_no_memory(struct faults *faults)
{
    faults->no_memory = true;
}

const char *faults_where(const struct faults *faults, struct place place, struct config_arena *arena)
{
    return config_arena_print(arena, "%s:%" PRIu32 ":%" PRIu32 ": %s", faults->file, place.line, place.column,
                              faults->path);
}

void faults_add(struct faults *faults, struct place place, const char *format, ...)
{
    faults->count++;
    if (faults->count > FAULT_LIMIT)
        return;
    va_list args;
    va_start(args, format);
    const char *what = config_arena_vprint(faults->arena, format, args);
    va_end(args);
    struct fault *fault = config_arena_take(faults->arena, 1, sizeof(*fault));
    const char *text = NULL;
    if (what != NULL)
        text = faults_where(faults, place, faults->arena);
    if (text != NULL)
        text = config_arena_print(faults->arena, "%s%s%s", text, faults->path_len > 0 ? ": " : "", what);
    if (fault == NULL || text == NULL) {
        faults_no_memory(faults);
        return;
    }
    *fault = (struct fault){.next = faults->first, .place = place, .order = faults->count, .text = text};
    faults->first = fault;
}

static void append_path(struct faults *faults, const char *text)
{
    size_t room = FAULT_PATH_BYTES - 1 - faults->path_len;
    size_t len = strnlen(text, room);
    memcpy(faults->path + faults->path_len, text, len);
    faults->path_len += len;
    faults->path[faults->path_len] = '\0';
}

size_t faults_enter_key(struct faults *faults, const char *key)
{
    size_t mark = faults->path_len;
    if (mark > 0)
        append_path(faults, ".");
    append_path(faults, key);
    return mark;
}

size_t faults_enter_item(struct faults *faults, size_t index)
{
    char text[32];
    size_t mark = faults->path_len;
    (void)snprintf(text, sizeof(text), "[%zu]", index);
    append_path(faults, text);
    return mark;
}

void faults_leave(struct faults *faults, size_t mark)
{
    faults->path_len = mark;
    faults->path[mark] = '\0';
}

bool config_errors_add(struct config_errors *errors, const char *line)
{
    if (errors->count == errors->room) {
        size_t room = errors->room == 0 ? 8 : errors->room * 2;
        char **lines = realloc(errors->lines, room * sizeof(*lines));
        if (lines == NULL)
            return false;
        errors->lines = lines;
        errors->room = room;
    }
    char *copy = strdup(line);
    if (copy == NULL)
        return false;
    errors->lines[errors->count++] = copy;
    return true;
}

void faults_missing(struct faults *faults, const char *path)
{
    struct missing_file *file = config_arena_take(faults->arena, 1, sizeof(*file));
    if (file == NULL) {
        faults_no_memory(faults);
        return;
    }
    *file = (struct missing_file){.next = faults->missing, .path = path};
    faults->missing = file;
}

static bool tell_missing(const struct faults *faults, struct config_errors *errors)
{
    size_t count = 0;
    for (const struct missing_file *file = faults->missing; file != NULL; file = file->next)
        count++;
    errors->missing = count > 0 ? calloc(count, sizeof(*errors->missing)) : NULL;
    for (const struct missing_file *file = faults->missing; file != NULL; file = file->next) {
        char *path = errors->missing != NULL ? strdup(file->path) : NULL;
        if (path == NULL)
            return false;
        errors->missing[errors->missing_count++] = path;
    }
    return true;
}

static int by_place(const void *left, const void *right)
{
    const struct fault *a = *(const struct fault *const *)left;
    const struct fault *b = *(const struct fault *const *)right;
    if (a->place.line != b->place.line)
        return a->place.line < b->place.line ? -1 : 1;
    if (a->place.column != b->place.column)
        return a->place.column < b->place.column ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static bool tell_the_rest(const struct faults *faults, struct config_errors *errors)
{
    if (faults->count <= FAULT_LIMIT)
        return true;
    const char *line = config_arena_print(faults->arena, "%s: %" PRIu32 " more faults are not shown", faults->file,
                                          faults->count - FAULT_LIMIT);
    return line != NULL && config_errors_add(errors, line);
}

bool faults_tell(struct faults *faults, struct config_errors *errors)
{
    const struct fault *sorted[FAULT_LIMIT];
    size_t count = 0;
    for (const struct fault *fault = faults->first; fault != NULL && count < FAULT_LIMIT; fault = fault->next)
        sorted[count++] = fault;
    qsort(sorted, count, sizeof(sorted[0]), by_place);
    for (size_t i = 0; i < count; i++) {
        if (!config_errors_add(errors, sorted[i]->text))
            return false;
    }
    return tell_the_rest(faults, errors) && tell_missing(faults, errors);
}

void config_errors_free(struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++)
        free(errors->lines[i]);
    free(errors->lines);
    for (size_t i = 0; i < errors->missing_count; i++)
        free(errors->missing[i]);
    free(errors->missing);
    *errors = (struct config_errors){0};
}
