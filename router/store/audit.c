/*
 * Appends to audit.jsonl and reads its end.
 *
 * A line is written with one writev(2), so that the end of the process hardly ever tears it; the end of the machine, or
 * a full disk, can. A write that fell short is taken back (ftruncate), the line waits in memory and goes out before the
 * next one. A torn end found at the start, an unfinished line or one that is not JSON, is cut off: no line was
 * acknowledged whose fsync had not returned.
 *
 * The lines are chained by checksums (chain.h), made when a line is written, so that lines given up on a full disk
 * leave no gap in the chain, only in the numbers. What does not fit at the start is told and left as it is: new lines
 * go on behind it.
 */
#include "router/store/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "router/store/fault.h"
#include "router/store/timestamp.h"
#include "router/utf8.h"

enum {
    BLOCK = 64 * 1024,
    TAIL_MOST = CHAIN_LINE_MOST, /* bytes of the file that audit_tail() reads at most */
};

static const char remedy[] = "it waits in memory; give the directory space and write permission, shunt tries again";

/* ---- the end of the file ---- */

static ssize_t read_at(int fd, char *to, size_t len, off_t from)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(fd, to + got, len - got, from + (off_t)got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

/* Where the last line feed before `end` is, plus one; 0 when there is none; -1 with errno. */
static off_t last_line_end(int fd, off_t end)
{
    char block[4096];
    while (end > 0) {
        size_t len = end < (off_t)sizeof(block) ? (size_t)end : sizeof(block);
        ssize_t got = read_at(fd, block, len, end - (off_t)len);
        if (got < 0)
            return -1;
        const char *feed = memrchr(block, '\n', (size_t)got);
        if (feed != NULL)
            return end - (off_t)len + (feed - block) + 1;
        end -= (off_t)len;
    }
    return 0;
}

static bool is_json_line(int fd, off_t from, off_t to)
{
    size_t len = (size_t)(to - from);
    char *line = len <= TAIL_MOST ? malloc(len) : NULL;
    if (line == NULL)
        return false;
    json_t *object = read_at(fd, line, len, from) == (ssize_t)len ? json_loadb(line, len, 0, NULL) : NULL;
    bool is = json_is_object(object);
    json_decref(object);
    free(line);
    return is;
}

/* The end of the last line that is whole and JSON. */
static off_t whole_end(int fd, off_t size)
{
    off_t end = last_line_end(fd, size);
    while (end > 0) {
        off_t start = last_line_end(fd, end - 1);
        if (start < 0)
            return -1;
        if (is_json_line(fd, start, end))
            break;
        end = start;
    }
    return end;
}

static bool cut_torn_end(struct audit *audit, char **error)
{
    struct stat facts;
    off_t end = fstat(audit->fd, &facts) == 0 ? whole_end(audit->fd, facts.st_size) : -1;
    if (end < 0 || (end < facts.st_size && (ftruncate(audit->fd, end) < 0 || fsync(audit->fd) < 0)))
        return fault_set(error,
                         "state directory %s: cannot repair audit.jsonl: %s; check the disk, or move the file away",
                         audit->place, strerror(errno));
    audit->size = end;
    audit->cut = facts.st_size - end;
    return true;
}

/* Follows the chain. What does not fit is remembered, and does not keep anybody from starting. */
static bool follow(struct audit *audit, char **error)
{
    if (!chain_read(&audit->chain, audit->fd, audit->size))
        return fault_set(error,
                         "state directory %s: cannot read audit.jsonl: %s; check the disk, or move the file away",
                         audit->place, strerror(errno));
    if (audit->chain.damaged == 0)
        return true;
    audit->damaged = audit->chain.damaged;
    fault_set(&audit->damage, "%s/audit.jsonl:%llu: %s", audit->place, (unsigned long long)audit->chain.damaged_at,
              audit->chain.fault);
    return true;
}

bool audit_open(struct audit *audit, int directory, const char *place, char **error)
{
    memset(audit, 0, sizeof(*audit));
    audit->place = place;
    audit->fd = -1;
    audit->waiting = calloc(AUDIT_WAITING_MOST, sizeof(audit->waiting[0]));
    if (audit->waiting == NULL)
        return fault_set(error, "audit trail: no memory");
    if (place == NULL)
        return true;
    audit->fd = openat(directory, "audit.jsonl", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (audit->fd < 0)
        return fault_set(error, "state directory %s: cannot open audit.jsonl: %s; make it a file that shunt may write",
                         place, strerror(errno));
    return cut_torn_end(audit, error) && follow(audit, error);
}

void audit_expect(struct audit *audit, uint64_t sequence, uint64_t last)
{
    if (audit->fd < 0 || audit->size == 0 || last >= sequence)
        return;
    audit->damaged++;
    if (audit->damage == NULL)
        fault_set(&audit->damage,
                  "%s/audit.jsonl:%llu: it ends with event %llu, but the state knows of event %llu: its end was "
                  "removed, or could "
                  "not be written before shunt ended",
                  audit->place, (unsigned long long)audit->chain.lines, (unsigned long long)last,
                  (unsigned long long)sequence);
}

void audit_close(struct audit *audit)
{
    if (audit->waiting != NULL)
        for (size_t i = 0; i < audit->count; i++)
            free(audit->waiting[(audit->first + i) % AUDIT_WAITING_MOST]);
    free(audit->waiting);
    free(audit->damage);
    if (audit->fd >= 0)
        close(audit->fd);
    memset(audit, 0, sizeof(*audit));
    audit->fd = -1;
}

/* ---- writing ---- */

json_t *audit_json(const struct router_event *event)
{
    char time[TIMESTAMP_ROOM];
    timestamp_print(time, event->at_ms);
    json_t *object =
        json_pack("{s:I, s:s, s:o, s:o, s:o, s:o, s:O?, s:O?}", "sequence", (json_int_t)event->sequence, "time", time,
                  "route", utf8_json(event->route), "what", utf8_json(event->what), "who", utf8_json(event->who), "why",
                  utf8_json(event->why), "from", event->from, "to", event->to);
    if (object == NULL || event->evidence == NULL || json_object_set(object, "evidence", event->evidence) == 0)
        return object;
    json_decref(object);
    return NULL;
}

static char *line_of(const struct router_event *event)
{
    json_t *object = audit_json(event);
    char *line = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return line;
}

static void drop_first(struct audit *audit)
{
    free(audit->waiting[audit->first]);
    audit->waiting[audit->first] = NULL;
    audit->first = (audit->first + 1) % AUDIT_WAITING_MOST;
    audit->count--;
}

static void wait_in_line(struct audit *audit, char *line)
{
    if (audit->count == AUDIT_WAITING_MOST) {
        drop_first(audit);
        if (audit->place != NULL)
            audit->lost++;
    }
    audit->waiting[(audit->first + audit->count) % AUDIT_WAITING_MOST] = line;
    audit->count++;
}

/* One line whole and sealed, or nothing of it. */
static bool write_line(struct audit *audit, char *line)
{
    char seal[CHAIN_SEAL_LENGTH + 2], check[CHAIN_CHECK_LENGTH + 1];
    size_t len = strlen(line), whole = len - 1 + CHAIN_SEAL_LENGTH + 1;
    if (!chain_seal(&audit->chain, line, len, seal, check))
        return false;
    struct iovec parts[] = {{line, len - 1}, {seal, CHAIN_SEAL_LENGTH + 1}};
    ssize_t wrote;
    do
        wrote = writev(audit->fd, parts, 2);
    while (wrote < 0 && errno == EINTR);
    if (wrote == (ssize_t)whole) {
        chain_advance(&audit->chain, check);
        audit->size += wrote;
        audit->dirty = true;
        return true;
    }
    int fault = wrote < 0 ? errno : ENOSPC;
    if (wrote > 0 && ftruncate(audit->fd, audit->size) < 0) {
        /* The half line stays; end it, so that the next one is whole. Reading skips what is not JSON. */
        if (write(audit->fd, "\n", 1) == 1)
            audit->size += wrote + 1;
    }
    errno = fault;
    return false;
}

bool audit_write(struct audit *audit, char **error)
{
    if (audit->place == NULL)
        return true;
    while (audit->count > 0) {
        if (!write_line(audit, audit->waiting[audit->first]))
            return fault_set(error, "state directory %s: cannot write audit.jsonl: %s; %s", audit->place,
                             strerror(errno), remedy);
        drop_first(audit);
    }
    return true;
}

bool audit_append(struct audit *audit, const struct router_event *event, char **error)
{
    char *line = line_of(event);
    if (line == NULL) {
        audit->lost++;
        return fault_set(error, "audit trail: no memory for event %llu", (unsigned long long)event->sequence);
    }
    wait_in_line(audit, line);
    return audit_write(audit, error);
}

bool audit_fsync(struct audit *audit)
{
    if (!atomic_exchange(&audit->dirty, false) || fdatasync(audit->fd) == 0)
        return true;
    atomic_store(&audit->dirty, true);
    return false;
}

/* ---- reading ---- */

/* Prepends the lines of the file's end to `lines`, which has none yet, newest first. */
static bool tail_of_file(const struct audit *audit, size_t limit, json_t *lines)
{
    size_t len = audit->size < TAIL_MOST ? (size_t)audit->size : TAIL_MOST;
    size_t want = limit < len / BLOCK ? (limit + 1) * BLOCK : len; /* a line is far shorter than a block */
    if (want < len)
        len = want;
    char *text = malloc(len + 1);
    if (text == NULL)
        return false;
    ssize_t got = read_at(audit->fd, text, len, audit->size - (off_t)len);
    size_t end = got > 0 ? (size_t)got : 0;
    while (end > 0 && json_array_size(lines) < limit) {
        const char *feed = end > 1 ? memrchr(text, '\n', end - 1) : NULL;
        size_t start = feed != NULL ? (size_t)(feed - text) + 1 : 0;
        if (start == 0 && len < (size_t)audit->size)
            break; /* its beginning was not read */
        json_t *line = json_loadb(text + start, end - start, 0, NULL);
        if (json_is_object(line))
            json_array_append(lines, line);
        json_decref(line);
        end = start;
    }
    free(text);
    return true;
}

static void reverse(json_t *array)
{
    size_t count = json_array_size(array);
    for (size_t i = 0; i + 1 < count; i++) { /* the last moves to place i */
        json_t *last = json_incref(json_array_get(array, count - 1));
        json_array_remove(array, count - 1);
        json_array_insert_new(array, i, last);
    }
}

json_t *audit_tail(const struct audit *audit, size_t limit)
{
    json_t *lines = json_array();
    if (lines == NULL)
        return NULL;
    for (size_t i = audit->count; i > 0 && json_array_size(lines) < limit; i--)
        json_array_append_new(lines, json_loads(audit->waiting[(audit->first + i - 1) % AUDIT_WAITING_MOST], 0, NULL));
    if (audit->fd >= 0 && json_array_size(lines) < limit && !tail_of_file(audit, limit, lines)) {
        json_decref(lines);
        return NULL;
    }
    reverse(lines);
    return lines;
}
