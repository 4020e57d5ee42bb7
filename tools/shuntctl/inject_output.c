/*
 * Writing manifests. Files are written beside the old ones first, and put in their place when all are there.
 */
#include "tools/shuntctl/inject_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- one text of all ---- */

static bool ends_a_line(const struct inject_file *file)
{
    char last = file->made_length > 0 ? file->made[file->made_length - 1] : '\n';
    return last == '\n' || last == '\r';
}

/* What separates two files' documents, where the second does not do so by itself. */
static void join(FILE *out, const struct inject_file *before, const struct inject_file *file)
{
    const char *newline = memchr(before->made, '\r', before->made_length) != NULL ? "\r\n" : "\n";
    if (!ends_a_line(before))
        fputs(newline, out);
    if (file->directed)
        fprintf(out, "...%s", newline);
    else if (!file->opened && !(before->json && file->json))
        fprintf(out, "---%s", newline);
}

static void write_joined(FILE *out, const struct inject *inject)
{
    const struct inject_file *before = NULL;
    for (size_t i = 0; i < inject->file_count; i++) {
        const struct inject_file *file = &inject->files[i];
        size_t mark = before != NULL && file->made_length >= 3 && memcmp(file->made, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        if (file->made_length == mark)
            continue;
        if (before != NULL)
            join(out, before, file);
        fwrite(file->made + mark, 1, file->made_length - mark, out);
        before = file;
    }
}

/* ---- files ---- */

struct target {
    const char *path; /* links are followed */
    char *beside;     /* the new file, until it takes the old one's place; both of the run's arena */
};

static void forget(struct target *target)
{
    if (target->beside != NULL)
        unlink(target->beside);
    target->beside = NULL;
}

/* The mode of what was there; of a new file, what the process may give. */
static mode_t mode_of(const char *path)
{
    struct stat found;
    if (stat(path, &found) == 0)
        return found.st_mode & 07777;
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

static bool name_target(struct config_arena *arena, struct target *target, const char *name)
{
    char *path = realpath(name, NULL);
    const char *known = path != NULL ? path : name;
    target->path = config_arena_text(arena, known, strlen(known));
    free(path);
    return target->path != NULL;
}

/* Writes the new file; 0, or errno. */
static int write_beside(struct config_arena *arena, struct target *target, const char *name, const char *text,
                        size_t length)
{
    char *beside = name_target(arena, target, name) ? config_arena_print(arena, "%s.XXXXXX", target->path) : NULL;
    if (beside == NULL)
        return ENOMEM;
    int fd = mkostemp(beside, O_CLOEXEC), cause = errno;
    if (fd < 0)
        return cause;
    target->beside = beside;
    FILE *out = fdopen(fd, "w");
    if (out == NULL) {
        cause = errno;
        close(fd);
        return cause;
    }
    errno = 0;
    bool whole = fwrite(text, 1, length, out) == length && fflush(out) == 0 && fchmod(fd, mode_of(target->path)) == 0 &&
                 fsync(fd) == 0;
    cause = whole ? 0 : errno != 0 ? errno : EIO;
    if (fclose(out) != 0 && whole)
        cause = errno;
    return cause;
}

static int take_place(struct target *target)
{
    if (target->beside == NULL)
        return 0;
    if (rename(target->beside, target->path) != 0)
        return errno;
    target->beside = NULL;
    return 0;
}

static int cannot_write(const struct ctl *ctl, const char *name, int cause)
{
    return complain(ctl, EXIT_USAGE, "inject: %s cannot be written: %s; nothing of it is changed", name,
                    strerror(cause));
}

static int write_in_place(struct ctl *ctl, const struct inject *inject)
{
    struct target targets[OPTIONS_FILES] = {{.path = NULL}};
    int code = EXIT_DONE, cause = 0;
    for (size_t i = 0; i < inject->file_count && code == EXIT_DONE; i++) {
        const struct inject_file *file = &inject->files[i];
        if (file->changed &&
            (cause = write_beside(inject->faults.arena, &targets[i], file->name, file->made, file->made_length)) != 0)
            code = cannot_write(ctl, file->name, cause);
    }
    for (size_t i = 0; i < inject->file_count && code == EXIT_DONE; i++)
        if ((cause = take_place(&targets[i])) != 0)
            code = cannot_write(ctl, inject->files[i].name, cause);
    for (size_t i = 0; i < inject->file_count; i++)
        forget(&targets[i]);
    return code;
}

static int write_to(struct ctl *ctl, struct config_arena *arena, const char *name, const char *text, size_t length)
{
    struct target target = {.path = NULL};
    struct stat found;
    int cause;
    if (stat(name, &found) == 0 && !S_ISREG(found.st_mode)) { /* a terminal, a pipe: nothing to be put in its place */
        FILE *out = fopen(name, "we");
        bool whole = out != NULL && fwrite(text, 1, length, out) == length;
        whole = out != NULL && fclose(out) == 0 && whole;
        return whole ? EXIT_DONE : cannot_write(ctl, name, errno);
    }
    cause = write_beside(arena, &target, name, text, length);
    if (cause == 0)
        cause = take_place(&target);
    forget(&target);
    return cause == 0 ? EXIT_DONE : cannot_write(ctl, name, cause);
}

int inject_write(struct ctl *ctl, const struct inject *inject)
{
    const char *output = ctl->options.output;
    char *text = NULL;
    size_t length = 0;
    if (ctl->options.inject.in_place)
        return write_in_place(ctl, inject);
    if (output == NULL || strcmp(output, "-") == 0) {
        write_joined(ctl->screen.out, inject);
        return EXIT_DONE;
    }
    FILE *out = open_memstream(&text, &length);
    if (out == NULL)
        return complain(ctl, EXIT_USAGE, "out of memory");
    write_joined(out, inject);
    int code = fclose(out) == 0 ? write_to(ctl, inject->faults.arena, output, text, length)
                                : complain(ctl, EXIT_USAGE, "out of memory");
    free(text);
    return code;
}
