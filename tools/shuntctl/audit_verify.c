/*
 * `audit verify FILE|DIR`: follows the checksums of an audit trail here and now. Asks no shunt and needs no secret; one
 * may be writing to the file meanwhile.
 *
 * With a state directory the state is read first, the trail after it: shunt brings the trail to the disk before the
 * state, so a trail that ends before the state's newest event has lost its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "router/store/chain.h"
#include "tools/shuntctl/api.h"
#include "tools/shuntctl/audit_verify.h"

struct trail {
    char *file;          /* owned, for messages */
    int fd;              /* -1 when it cannot be read */
    json_int_t expected; /* the state's newest event; 0: not known */
    json_int_t last;     /* the trail's */
    bool unfinished;     /* its last line has no end yet */
    struct chain chain;
};

/* ---- reading ---- */

/* Opens without waiting for whoever might write into a pipe. -1 with errno. */
static int open_at(int directory, const char *name)
{
    return openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static json_int_t sequence_of_state(int directory)
{
    int fd = open_at(directory, "state.json");
    if (fd < 0)
        return 0;
    json_t *file = json_loadfd(fd, 0, NULL);
    json_int_t sequence = json_integer_value(json_object_get(json_object_get(file, "state"), "sequence"));
    json_decref(file);
    close(fd);
    return sequence;
}

/* A device or a pipe has no lines that stay. False with errno. */
static bool is_file(int fd)
{
    struct stat facts;
    if (fd < 0 || fstat(fd, &facts) < 0)
        return false;
    errno = S_ISDIR(facts.st_mode) ? EISDIR : ENOTSUP;
    return S_ISREG(facts.st_mode);
}

/* `path` is the file, or the directory it is in. False with errno. */
static bool open_trail(struct trail *trail, const char *path)
{
    int fd = open_at(AT_FDCWD, path);
    struct stat facts;
    trail->fd = fd;
    trail->file = strdup(path);
    if (fd < 0 || trail->file == NULL || fstat(fd, &facts) < 0)
        return false;
    if (!S_ISDIR(facts.st_mode))
        return is_file(fd);
    trail->expected = sequence_of_state(fd);
    trail->fd = open_at(fd, "audit.jsonl");
    int fault = errno;
    close(fd);
    free(trail->file);
    errno = fault;
    if (asprintf(&trail->file, "%s/audit.jsonl", path) < 0)
        trail->file = NULL;
    return is_file(trail->fd) && trail->file != NULL;
}

/* The end of the last whole line; -1 with errno. */
static off_t whole_end(int fd)
{
    char block[4096];
    struct stat facts;
    if (fstat(fd, &facts) < 0)
        return -1;
    off_t end = facts.st_size;
    while (end > 0) {
        size_t want = end < (off_t)sizeof(block) ? (size_t)end : sizeof(block);
        ssize_t got = pread(fd, block, want, end - (off_t)want);
        if (got < 0)
            return -1;
        const char *feed = memrchr(block, '\n', (size_t)got);
        if (feed != NULL)
            return end - (off_t)want + (feed - block) + 1;
        end -= (off_t)want;
    }
    return 0;
}

static json_int_t sequence_of_line(int fd, off_t at, off_t end)
{
    size_t length = (size_t)(end - at);
    char *line = length <= CHAIN_LINE_MOST ? malloc(length + 1) : NULL;
    if (line == NULL)
        return 0;
    ssize_t got = pread(fd, line, length, at);
    json_t *object = got > 0 ? json_loadb(line, (size_t)got, 0, NULL) : NULL;
    json_int_t sequence = json_integer_value(json_object_get(object, "sequence"));
    json_decref(object);
    free(line);
    return sequence;
}

/* False with errno. */
static bool follow(struct trail *trail)
{
    struct stat facts;
    off_t end = whole_end(trail->fd);
    if (end < 0 || !chain_read(&trail->chain, trail->fd, end))
        return false;
    if (trail->chain.lines > 0)
        trail->last = sequence_of_line(trail->fd, trail->chain.last_at, end);
    trail->unfinished = fstat(trail->fd, &facts) == 0 && facts.st_size > end;
    return true;
}

/* ---- telling ---- */

static bool end_is_missing(const struct trail *trail)
{
    return trail->chain.lines > 0 && trail->last < trail->expected;
}

/* No line of it has a checksum, or none is there although there have been events: a trail of a new or an old shunt
 * looks like that, and so does one that was emptied or written by somebody else. */
static bool proves_nothing(const struct trail *trail)
{
    const struct chain *chain = &trail->chain;
    return chain->damaged == 0 && !end_is_missing(trail) &&
           (chain->lines > 0 ? !chain->sealed : trail->expected > 0 || trail->unfinished);
}

static void tell_doubt(const struct screen *screen, const struct trail *trail)
{
    unsigned long long lines = (unsigned long long)trail->chain.lines;
    if (lines > 0)
        screen_print(screen, TONE_WARN, "%s: %llu line%s, none with a checksum: nothing tells who wrote %s\n",
                     trail->file, lines, lines == 1 ? "" : "s", lines == 1 ? "it" : "them");
    else if (trail->expected > 0)
        screen_print(screen, TONE_WARN,
                     "%s: no line, but the state knows of event %lld: the file is new, or was emptied\n", trail->file,
                     (long long)trail->expected);
    else
        screen_print(screen, TONE_WARN, "%s: not one whole line\n", trail->file);
}

static void tell(const struct ctl *ctl, const struct trail *trail)
{
    const struct chain *chain = &trail->chain;
    const struct screen *screen = &ctl->screen;
    unsigned long long lines = (unsigned long long)chain->lines, unsealed = (unsigned long long)chain->unsealed;
    if (chain->damaged > 0)
        screen_print(screen, TONE_BAD, "%s:%llu: %s\n", trail->file, (unsigned long long)chain->damaged_at,
                     chain->fault);
    if (chain->damaged > 1)
        screen_print(screen, TONE_BAD, "%llu of %llu lines do not fit\n", (unsigned long long)chain->damaged, lines);
    if (end_is_missing(trail))
        screen_print(screen, TONE_BAD, "%s:%llu: it ends with event %lld, but the state knows of event %lld\n",
                     trail->file, lines, (long long)trail->last, (long long)trail->expected);
    if (proves_nothing(trail))
        tell_doubt(screen, trail);
    else if (chain->damaged == 0 && !end_is_missing(trail))
        screen_print(screen, TONE_GOOD, "%s: %llu line%s, as shunt wrote %s\n", trail->file, lines,
                     lines == 1 ? "" : "s", lines == 1 ? "it" : "them");
    if (unsealed > 0 && !proves_nothing(trail))
        screen_print(screen, TONE_FAINT, "%llu line%s without a checksum at the beginning, %s\n", unsealed,
                     unsealed == 1 ? "" : "s",
                     chain->sealed ? "vouched for by the first that has one" : "and none that vouches for them");
    if (trail->unfinished)
        screen_print(screen, TONE_FAINT, "the last line has no end; shunt cuts it off when it starts\n");
}

static int verify_code(const struct trail *trail)
{
    if (trail->chain.damaged > 0 || end_is_missing(trail))
        return EXIT_REFUSED;
    return proves_nothing(trail) ? EXIT_UNDECIDED : EXIT_DONE;
}

static void print_json(const struct trail *trail)
{
    const struct chain *chain = &trail->chain;
    json_t *answer = json_pack("{s:s, s:b, s:I, s:I, s:I, s:o, s:s?, s:b, s:b}", "file", trail->file, "good",
                               verify_code(trail) == EXIT_DONE, "lines", (json_int_t)chain->lines, "unsealed",
                               (json_int_t)chain->unsealed, "damaged", (json_int_t)chain->damaged, "line",
                               chain->damaged > 0 ? json_integer((json_int_t)chain->damaged_at) : json_null(), "fault",
                               chain->fault, "end_missing", end_is_missing(trail), "unfinished", trail->unfinished);
    api_print(answer);
    json_decref(answer);
}

int audit_verify(struct ctl *ctl, const char *path)
{
    struct trail trail = {0};
    int code = EXIT_USAGE;
    if (!open_trail(&trail, path) || !follow(&trail)) {
        complain(ctl, code, "%s cannot be read: %s; name an audit.jsonl, or the state directory it is in",
                 trail.file != NULL ? trail.file : path, errno == ENOTSUP ? "it is not a file" : strerror(errno));
    } else {
        code = verify_code(&trail);
        if (ctl->options.json)
            print_json(&trail);
        else
            tell(ctl, &trail);
    }
    if (trail.fd >= 0)
        close(trail.fd);
    free(trail.file);
    return code;
}
