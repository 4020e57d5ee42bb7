/*
 * The state directory: opens and locks it, keeps state.json, and hands the audit trail to audit.c.
 *
 * state.json is one JSON object on one line: {"format":1,"xxh3":"...","state":{...}}. The checksum is over the bytes of
 * `state`, so that a file which a failing disk or an editor has changed is found out and set aside rather than
 * believed. All files are reached through the open directory, so that a directory moved or replaced while shunt runs is
 * not written to by halves.
 *
 * Two threads: control makes the bytes and hands them over under the lock, the thread "state" writes them. Only the
 * newest state matters, so one place is enough for those that wait.
 */
#include "router/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>

#include "router/store/audit.h"
#include "router/store/fault.h"
#include "router/store/timestamp.h"

enum {
    STATE_MOST = 64 * 1024 * 1024, /* a larger state.json is not ours */
    HEAD_LENGTH = sizeof("{'format':1,'xxh3':'0123456789abcdef','state':") - 1,
    DAMAGED_MOST = 1000,
    EVENTS_MOST = 1000, /* behind a state */
};

static const char head_format[] = "{\"format\":1,\"xxh3\":\"%016" PRIx64 "\",\"state\":";

/* The bytes of a state file on their way. */
struct draft {
    char *text; /* owned; NULL: none */
    size_t length;
    uint64_t digest; /* of the state in it */
    uint64_t ticket;
};

struct store {
    char *directory; /* NULL: memory */
    int directory_fd;
    int lock_fd;
    struct audit audit;
    uint64_t last_ticket;
    pthread_t thread;
    bool thread_runs;
    uint64_t saved_digest; /* the thread's: of what was saved last; only with `saved` */
    size_t saved_length;
    bool saved;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t submitted, settled;
        struct draft waiting;
        uint64_t kept, failed; /* tickets: the newest durable one, the newest that failed */
        char *error;           /* of `failed`; owned */
        bool stopping;
    } shared;
};

/* ---- opening ---- */

static bool open_directory(struct store *store, char **error)
{
    const char *place = store->directory;
    if (mkdir(place, 0700) < 0 && errno != EEXIST)
        return fault_set(error, "state directory %s: cannot be made: %s; %s", place, strerror(errno),
                         errno == ENOENT ? "make its parent directory first"
                                         : "give shunt a directory it may write to");
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
        return fault_set(error,
                         "state directory %s: cannot open the file lock: %s; give shunt a directory it may write to",
                         place, strerror(errno));
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return fault_set(error, "state directory %s: cannot be locked: %s; use a local disk", place,
                             strerror(errno));
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

static void init_monotonic(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct store *store_open(const char *directory, char **error)
{
    struct store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        fault_set(error, "state: no memory");
        return NULL;
    }
    store->directory_fd = store->lock_fd = store->audit.fd = -1;
    pthread_mutex_init(&store->shared.lock, NULL);
    pthread_cond_init(&store->shared.submitted, NULL);
    init_monotonic(&store->shared.settled);
    if (directory != NULL && (store->directory = strdup(directory)) == NULL) {
        fault_set(error, "state: no memory");
        goto fail;
    }
    if (directory != NULL && (!open_directory(store, error) || !is_writable(store, error) || !take_lock(store, error)))
        goto fail;
    if (!audit_open(&store->audit, store->directory_fd, store->directory, error))
        goto fail;
    return store;
fail:
    store_close(store);
    return NULL;
}

static void stop_thread(struct store *store)
{
    if (!store->thread_runs)
        return;
    pthread_mutex_lock(&store->shared.lock);
    store->shared.stopping = true;
    pthread_cond_signal(&store->shared.submitted);
    pthread_mutex_unlock(&store->shared.lock);
    pthread_join(store->thread, NULL);
    store->thread_runs = false;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    stop_thread(store);
    audit_close(&store->audit);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    if (store->directory_fd >= 0)
        close(store->directory_fd);
    free(store->directory);
    free(store->shared.error);
    free(store->shared.waiting.text);
    pthread_cond_destroy(&store->shared.settled);
    pthread_cond_destroy(&store->shared.submitted);
    pthread_mutex_destroy(&store->shared.lock);
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

void store_set_aside(struct store *store, const char *fault, char **warning)
{
    char name[40];
    *warning = NULL;
    if (store->directory == NULL)
        return;
    for (unsigned i = 1; i <= DAMAGED_MOST; i++) {
        snprintf(name, sizeof(name), "state.json.damaged-%u", i);
        if (renameat2(store->directory_fd, "state.json", store->directory_fd, name, RENAME_NOREPLACE) == 0) {
            fault_set(
                warning,
                "state directory %s: state.json cannot be used (%s); it was set aside as %s, and shunt starts without "
                "a state: every plan at its first stage, passthrough off unless its file or the environment has it on; "
                "to "
                "go on from it, stop shunt, and put a good one in its place",
                store->directory, fault, name);
            return;
        }
        if (errno != EEXIST)
            break;
    }
    fault_set(
        warning,
        "state directory %s: state.json cannot be used (%s) and cannot be set aside: %s; shunt starts without a state "
        "and will overwrite it: stop shunt and copy it first, if it is to be kept",
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
        store_set_aside(store, fault, warning);
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

/* The file's bytes; false without memory. */
static bool draft_make(struct draft *draft, const json_t *state)
{
    char *body = json_dumps(state, JSON_COMPACT);
    if (body == NULL)
        return false;
    size_t body_length = strlen(body);
    draft->digest = XXH3_64bits(body, body_length);
    draft->length = HEAD_LENGTH + body_length + 2;
    draft->text = malloc(draft->length + 1);
    if (draft->text != NULL) {
        snprintf(draft->text, HEAD_LENGTH + 1, head_format, draft->digest);
        memcpy(draft->text + HEAD_LENGTH, body, body_length);
        memcpy(draft->text + HEAD_LENGTH + body_length, "}\n", 3);
    }
    free(body);
    return draft->text != NULL;
}

/* ---- the thread ---- */

static bool write_draft(struct store *store, const struct draft *draft, char **error)
{
    const char *step = "fsync audit.jsonl";
    bool done = audit_fsync(&store->audit);
    if (done && !(store->saved && store->saved_digest == draft->digest && store->saved_length == draft->length)) {
        store->saved = false;
        done = replace_state(store, draft->text, draft->length, &step);
    }
    if (!done)
        return fault_set(
            error,
            "state directory %s: cannot %s: %s; the former state is kept; give the directory space and write "
            "permission, shunt tries again",
            store->directory, step, strerror(errno));
    store->saved = true;
    store->saved_digest = draft->digest;
    store->saved_length = draft->length;
    return true;
}

/* Notes how a ticket went. Takes `error`. With the lock held. */
static void settle(struct store *store, uint64_t ticket, bool done, char *error)
{
    if (done) {
        store->shared.kept = ticket;
    } else {
        store->shared.failed = ticket;
        free(store->shared.error);
        store->shared.error = error;
    }
    pthread_cond_broadcast(&store->shared.settled);
}

static void *run(void *argument)
{
    struct store *store = argument;
    pthread_setname_np(pthread_self(), "state");
    pthread_mutex_lock(&store->shared.lock);
    for (;;) {
        while (store->shared.waiting.text == NULL && !store->shared.stopping)
            pthread_cond_wait(&store->shared.submitted, &store->shared.lock);
        struct draft draft = store->shared.waiting;
        if (draft.text == NULL)
            break;
        store->shared.waiting.text = NULL;
        pthread_mutex_unlock(&store->shared.lock);
        char *error = NULL;
        bool done = write_draft(store, &draft, &error);
        free(draft.text);
        pthread_mutex_lock(&store->shared.lock);
        settle(store, draft.ticket, done, error);
    }
    pthread_mutex_unlock(&store->shared.lock);
    return NULL;
}

/* With the first state: a store that only keeps an audit trail needs none. Signals are not for it. */
static bool have_thread(struct store *store, char **error)
{
    sigset_t all, before;
    if (store->thread_runs)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int fault = pthread_create(&store->thread, NULL, run, store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    store->thread_runs = fault == 0;
    return store->thread_runs ||
           fault_set(error, "state directory %s: cannot start a thread: %s; give shunt more threads", store->directory,
                     strerror(fault));
}

/* ---- submitting ---- */

uint64_t store_submit(struct store *store, const json_t *state)
{
    struct draft draft = {.ticket = store->last_ticket + 1};
    char *error = NULL;
    bool possible = store->directory == NULL || (have_thread(store, &error) && audit_write(&store->audit, &error));
    if (store->directory != NULL && store->thread_runs && !draft_make(&draft, state)) {
        free(error);
        return 0;
    }
    store->last_ticket++;
    pthread_mutex_lock(&store->shared.lock);
    if (draft.text != NULL) { /* also when the audit trail cannot be written: better one of the two */
        free(store->shared.waiting.text);
        store->shared.waiting = draft;
        pthread_cond_signal(&store->shared.submitted);
    }
    if (!possible || store->directory == NULL)
        settle(store, draft.ticket, possible, error);
    pthread_mutex_unlock(&store->shared.lock);
    return draft.ticket;
}

bool store_await(struct store *store, uint64_t ticket, uint64_t wait_ms, char **error)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + wait_ms % 1000 * 1000000;
    until.tv_sec += (time_t)(wait_ms / 1000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    *error = NULL;
    pthread_mutex_lock(&store->shared.lock);
    while (store->shared.kept < ticket && store->shared.failed < ticket &&
           pthread_cond_timedwait(&store->shared.settled, &store->shared.lock, &until) != ETIMEDOUT)
        ;
    bool kept = store->shared.kept >= ticket && store->shared.failed != ticket;
    if (!kept && store->shared.failed >= ticket && store->shared.error != NULL)
        *error = strdup(store->shared.error);
    pthread_mutex_unlock(&store->shared.lock);
    return kept;
}

bool store_poll(struct store *store, uint64_t *kept, char **error)
{
    *error = NULL;
    pthread_mutex_lock(&store->shared.lock);
    *kept = store->shared.kept;
    bool good = store->shared.error == NULL;
    if (!good) {
        *error = store->shared.error;
        store->shared.error = NULL;
    }
    pthread_mutex_unlock(&store->shared.lock);
    return good;
}

/* ---- the rest ---- */

bool store_audit(struct store *store, const struct router_event *event, char **error)
{
    return audit_append(&store->audit, event, error);
}

void store_trail(const struct store *store, struct store_trail *trail)
{
    *trail = (struct store_trail){
        .damaged = store->audit.damaged,
        .damage = store->audit.damage,
        .cut_bytes = (uint64_t)store->audit.cut,
    };
}

void store_expect_audit(struct store *store, uint64_t sequence)
{
    json_t *tail = audit_tail(&store->audit, 1);
    json_int_t last = json_integer_value(json_object_get(json_array_get(tail, 0), "sequence"));
    audit_expect(&store->audit, sequence, last > 0 ? (uint64_t)last : 0);
    json_decref(tail);
}

json_t *store_event_json(const struct router_event *event)
{
    return audit_json(event);
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

/* An event as a line of the trail shows it has its time as text. */
static void put_time(json_t *event)
{
    uint64_t at_ms = 0;
    const char *time = json_string_value(json_object_get(event, "time"));
    if (time != NULL && timestamp_read(time, &at_ms))
        json_object_set_new(event, "at_ms", json_integer((json_int_t)at_ms));
    json_object_del(event, "time");
    json_object_del(event, "check");
    if (json_object_get(event, "evidence") == NULL)
        json_object_set_new(event, "evidence", json_null());
}

json_t *store_events_after(struct store *store, uint64_t sequence)
{
    json_t *events = audit_tail(&store->audit, EVENTS_MOST);
    while (json_array_size(events) > 0) {
        json_int_t first = json_integer_value(json_object_get(json_array_get(events, 0), "sequence"));
        if (first > 0 && (uint64_t)first > sequence)
            break;
        json_array_remove(events, 0);
    }
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event) put_time(event);
    return events;
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
