/*
 * The state directory: opens and locks it, keeps state.json, and hands the audit trail to audit.c.
 *
 * state.json is one JSON object on one line: {"format":1,"xxh3":"...","state":{...}}. The checksum is over the bytes of
 * `state`, so that a file which a failing disk or an editor has changed is found out and set aside rather than believed.
 * All files are reached through the open directory, so that a directory moved or replaced while shunt runs is not written to
 * by halves.
 */
#include "router/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "router/store/audit.h"
#include "router/store/fault.h"

enum {
    STATE_MOST = 64 * 1024 * 1024, /* a larger state.json is not ours */
    HEAD_LENGTH = sizeof("{'format':1,'xxh3':'0123456789abcdef','state':") - 1,
    DAMAGED_MOST = 1000,
};

static const char head_format[] = "{\"format\":1,\"xxh3\":\"%016" PRIx64 "\",\"state\":";

struct store {
    char *directory; /* NULL: memory */
    int directory_fd;
    int lock_fd;
    struct audit audit;
    uint64_t saved_digest; /* of what was saved last; only with `saved` */
    size_t saved_length;
    bool saved;
};

/* ---- opening ---- */

static bool open_directory(struct store *store, char **error)
{
    const char *place = store->directory;
    if (mkdir(place, 0700) < 0 && errno != EEXIST)
        return fault_set(error, "state directory %s: cannot be made: %s; %s", place, strerror(errno),
                         errno == ENOENT ? "make its parent directory first" : "give shunt a directory it may write to");
    store->directory_fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->directory_fd < 0)
        return fault_set(error, "state directory %s: cannot be opened: %s; %s", place, strerror(errno),
                         errno == ENOTDIR ? "a file is in its place: move it away, or name another directory"
                                          : "give shunt a directory it may read and write");
    return true;
}

/* The process that holds the lock, as it wrote itself down; 0 when it cannot be read. */
static long holder_of(int lock_fd)
{
    char text[24] = "";
    ssize_t got = pread(lock_fd, text, sizeof(text) - 1, 0);
    return got > 0 ? strtol(text, NULL, 10) : 0;
}

/* For people only: a full disk must not keep shunt from starting. */
static void leave_number(int lock_fd)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (pwrite(lock_fd, text, (size_t)len, 0) < 0 || ftruncate(lock_fd, len) < 0)
        errno = 0;
}

static bool take_lock(struct store *store, char **error)
{
    const char *place = store->directory;
    store->lock_fd = openat(store->directory_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock_fd < 0)
        return fault_set(error, "state directory %s: cannot open the file lock: %s; give shunt a directory it may write to",
                         place, strerror(errno));
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return fault_set(error, "state directory %s: cannot be locked: %s; use a local disk", place, strerror(errno));
        return fault_set(error,
                         "state directory %s: another shunt (process %ld) uses it; end that one, or give each its own "
                         "directory",
                         place, holder_of(store->lock_fd));
    }
    leave_number(store->lock_fd);
    return true;
}

/* May files be made here? Better known at start than at the first change. */
static bool is_writable(const struct store *store, char **error)
{
    if (faccessat(store->directory_fd, ".", W_OK | X_OK, AT_EACCESS) == 0)
        return true;
    return fault_set(error, "state directory %s: cannot be written: %s; give shunt a directory it may write to",
                     store->directory, strerror(errno));
}

struct store *store_open(const char *directory, char **error)
{
    struct store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        fault_set(error, "state: no memory");
        return NULL;
    }
    store->directory_fd = store->lock_fd = store->audit.fd = -1;
    if (directory != NULL && (store->directory = strdup(directory)) == NULL) {
        fault_set(error, "state: no memory");
        goto fail;
    }
    if (directory != NULL &&
        (!open_directory(store, error) || !is_writable(store, error) || !take_lock(store, error)))
        goto fail;
    if (!audit_open(&store->audit, store->directory_fd, store->directory, error))
        goto fail;
    return store;
fail:
    store_close(store);
    return NULL;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    audit_close(&store->audit);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    if (store->directory_fd >= 0)
        close(store->directory_fd);
    free(store->directory);
    free(store);
}

/* ---- loading ---- */

/* The whole file, malloc'd and NUL-terminated; NULL with errno. */
static char *read_whole(int fd, size_t *length)
{
    struct stat facts;
    if (fstat(fd, &facts) < 0)
        return NULL;
    if (!S_ISREG(facts.st_mode) || facts.st_size > STATE_MOST) {
        errno = EFBIG;
        return NULL;
    }
    size_t room = (size_t)facts.st_size;
    char *text = malloc(room + 1);
    if (text == NULL)
        return NULL;
    size_t got = 0;
    while (got < room) {
        ssize_t n = read(fd, text + got, room - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(text);
            return NULL;
        }
        if (n == 0)
            break;
        got += (size_t)n;
    }
    text[got] = '\0';
    *length = got;
    return text;
}

/* The state in a file's bytes; NULL with *fault (static) saying what is wrong. */
static json_t *state_of(const char *text, size_t length, const char **fault)
{
    char head[HEAD_LENGTH + 1];
    const char end[] = "}\n";
    *fault = "it is not what shunt writes";
    if (length < HEAD_LENGTH + sizeof(end) - 1 || memcmp(text + length - 2, end, 2) != 0)
        return NULL;
    const char *state = text + HEAD_LENGTH;
    size_t state_length = length - HEAD_LENGTH - 2;
    snprintf(head, sizeof(head), head_format, (uint64_t)XXH3_64bits(state, state_length));
    *fault = "its checksum does not fit its content";
    if (memcmp(text, head, HEAD_LENGTH) != 0)
        return NULL;
    *fault = "it is not JSON";
    return json_loadb(state, state_length, 0, NULL);
}

static void set_aside(struct store *store, const char *fault, char **warning)
{
    char name[40];
    for (unsigned i = 1; i <= DAMAGED_MOST; i++) {
        snprintf(name, sizeof(name), "state.json.damaged-%u", i);
        if (renameat2(store->directory_fd, "state.json", store->directory_fd, name, RENAME_NOREPLACE) == 0) {
            fault_set(warning,
                      "state directory %s: state.json is damaged (%s); it was set aside as %s, and shunt starts without "
                      "a state: every plan at its first stage",
                      store->directory, fault, name);
            return;
        }
        if (errno != EEXIST)
            break;
    }
    fault_set(warning,
              "state directory %s: state.json is damaged (%s) and cannot be set aside: %s; shunt starts without a state and "
              "will overwrite it",
              store->directory, fault, strerror(errno));
}

json_t *store_load(struct store *store, char **warning)
{
    *warning = NULL;
    if (store->directory == NULL)
        return NULL;
    int fd = openat(store->directory_fd, "state.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return NULL;
    const char *fault = NULL;
    size_t length = 0;
    char *text = fd >= 0 ? read_whole(fd, &length) : NULL;
    json_t *state = NULL;
    if (text == NULL)
        fault = strerror(errno);
    else
        state = state_of(text, length, &fault);
    if (state == NULL)
        set_aside(store, fault, warning);
    free(text);
    if (fd >= 0)
        close(fd);
    return state;
}

/* ---- saving ---- */

static bool write_whole(int fd, const char *text, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t n = write(fd, text + done, length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = ENOSPC;
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

/* Makes `text` the content of state.json. On failure errno is set and *step says at what. */
static bool replace_state(const struct store *store, const char *text, size_t length, const char **step)
{
    const char *temporary = "state.json.new";
    int at = store->directory_fd;
    *step = "open state.json.new";
    int fd = openat(at, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    *step = "write state.json.new";
    bool done = write_whole(fd, text, length);
    if (done) {
        *step = "fsync state.json.new";
        done = fsync(fd) == 0;
    }
    int fault = errno;
    close(fd);
    if (!done) {
        unlinkat(at, temporary, 0); /* gives back what space it took */
        errno = fault;
        return false;
    }
    *step = "rename state.json.new";
    if (renameat(at, temporary, at, "state.json") < 0)
        return false;
    *step = "fsync the directory";
    return fsync(at) == 0;
}

/* The file's bytes, malloc'd; NULL without memory. */
static char *file_text(const json_t *state, size_t *length, uint64_t *digest)
{
    char *text = NULL, *body = json_dumps(state, JSON_COMPACT);
    if (body == NULL)
        return NULL;
    size_t body_length = strlen(body);
    *digest = XXH3_64bits(body, body_length);
    *length = HEAD_LENGTH + body_length + 2;
    text = malloc(*length + 1);
    if (text != NULL) {
        snprintf(text, HEAD_LENGTH + 1, head_format, *digest);
        memcpy(text + HEAD_LENGTH, body, body_length);
        memcpy(text + HEAD_LENGTH + body_length, "}\n", 3);
    }
    free(body);
    return text;
}

bool store_save(struct store *store, const json_t *state, char **error)
{
    if (store->directory == NULL)
        return true;
    size_t length;
    uint64_t digest;
    const char *step;
    char *text = file_text(state, &length, &digest);
    if (text == NULL)
        return fault_set(error, "state directory %s: no memory to write the state", store->directory);
    bool done = store->saved && store->saved_digest == digest && store->saved_length == length;
    if (!done) {
        store->saved = false;
        done = replace_state(store, text, length, &step);
        if (!done)
            fault_set(error, "state directory %s: cannot %s: %s; the former state is kept; give the directory space and "
                             "write permission, shunt tries again",
                      store->directory, step, strerror(errno));
    }
    if (done) {
        store->saved = true;
        store->saved_digest = digest;
        store->saved_length = length;
    }
    free(text);
    return done;
}

/* ---- the rest ---- */

bool store_audit(struct store *store, const struct router_event *event, char **error)
{
    return audit_append(&store->audit, event, error);
}

bool store_sync(struct store *store, char **error)
{
    return audit_sync(&store->audit, error);
}

size_t store_pending(const struct store *store)
{
    return store->directory != NULL ? store->audit.count : 0;
}

size_t store_lost(const struct store *store)
{
    return store->audit.lost;
}

json_t *store_audit_tail(struct store *store, size_t limit)
{
    return audit_tail(&store->audit, limit);
}

bool store_passthrough_file(const struct store *store)
{
    struct stat facts;
    return store->directory != NULL && fstatat(store->directory_fd, "passthrough", &facts, AT_SYMLINK_NOFOLLOW) == 0;
}

const char *store_directory(const struct store *store)
{
    return store->directory;
}
