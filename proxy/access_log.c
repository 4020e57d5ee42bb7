/*
 * Access lines: one JSON object for each exchange, made by hand into the worker's own block.
 *
 * Runs on the request path of a worker: no allocation, no lock and no system call, but for the hand-over of a full
 * block to the log thread (one lock for some fifty lines). Before a line is written its worst length is known, so the
 * writing itself checks no bounds. A target may hold secrets; parameters whose names say so, and codes behind a
 * segment whose name does, are masked here, as nothing that was logged can be taken back.
 */
#include "proxy/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/log_queue.h"
#include "router/store/timestamp.h"
#include "router/utf8.h"
#include "shadow/redact.h"

enum {
    TARGET_MOST = 1024, /* bytes of a text that are logged at most */
    TEXT_MOST = 256,
    ESCAPED = 6,       /* bytes that one byte becomes at most: \u00ff */
    CUT_MARK = 3,      /* U+2026 */
    FIXED_MOST = 1024, /* a line without its texts: names, numbers, punctuation; our own words */
    ERROR_MOST = 200,
};

/* What the worst line takes has to fit into an empty block. */
static_assert(ESCAPED * (TARGET_MOST + 6 * TEXT_MOST) + FIXED_MOST <= LOG_BLOCK_BYTES,
              "a line may not fit into a block");

struct access_log {
    struct log *log;         /* borrowed */
    struct log_block *block; /* owned; NULL between a hand-over and the next line */
    uint64_t second;         /* the one that `time` shows */
    char time[TIMESTAMP_ROOM];
};

/* How a byte goes into a JSON string: 0 as it is, 'u' as \u00XX, 8 after a look at its neighbours, else behind a
 * backslash. */
static const char escapes[256] = {
    ['\b'] = 'b',  ['\t'] = 't', ['\n'] = 'n',    ['\f'] = 'f', ['\r'] = 'r',          ['"'] = '"',
    ['\\'] = '\\', [0x7f] = 'u', [0 ... 7] = 'u', [0x0b] = 'u', [0x0e ... 0x1f] = 'u', [0x80 ... 0xff] = 8,
};

/* ---- pieces ---- */

#define PUT(to, literal) put(to, literal, sizeof(literal) - 1)

static char *put(char *to, const char *text, size_t len)
{
    memcpy(to, text, len);
    return to + len;
}

static char *put_number(char *to, uint64_t number)
{
    char digits[20];
    unsigned at = sizeof(digits);
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return put(to, digits + at, sizeof(digits) - at);
}

static char *put_byte_escaped(char *to, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    to = PUT(to, "\\u00");
    *to++ = hex[byte >> 4];
    *to++ = hex[byte & 15];
    return to;
}

/* The content of a JSON string; writes at most ESCAPED bytes for each. */
static char *put_escaped(char *to, const char *at, size_t len)
{
    const char *end = at + len;
    while (at < end) {
        unsigned char byte = (unsigned char)*at;
        char escape = escapes[byte];
        if (escape == 0) {
            *to++ = *at++;
            continue;
        }
        size_t sequence = escape == 8 ? utf8_sequence(at, (size_t)(end - at)) : 0;
        if (sequence > 0) {
            to = put(to, at, sequence);
            at += sequence;
            continue;
        }
        if (escape == 8 || escape == 'u') {
            to = put_byte_escaped(to, byte);
        } else {
            *to++ = '\\';
            *to++ = escape;
        }
        at++;
    }
    return to;
}

static char *put_text(char *to, struct text text, size_t most)
{
    if (text.at == NULL)
        return PUT(to, "null");
    bool cut = text.len > most;
    *to++ = '"';
    to = put_escaped(to, text.at, cut ? most - CUT_MARK : text.len);
    if (cut)
        to = PUT(to, "\xe2\x80\xa6");
    *to++ = '"';
    return to;
}

static struct text text_from(const char *string)
{
    return (struct text){string, string != NULL ? (uint32_t)strlen(string) : 0};
}

/* Has a segment behind a name of secrets the looks of one? Words such as "reset" are none; a code has a digit. */
static bool is_code(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (at[i] >= '0' && at[i] <= '9')
            return len > 3;
    return false;
}

/* Segments one by one: /password-reset/CODE. Never longer than put_escaped() at its worst, as the mark stands for more
 * bytes than it has. */
static char *put_path(char *to, const struct veil *veil, const char *at, size_t len)
{
    const char *end = at + len;
    const char *before = at;
    size_t before_len = 0;
    while (at < end) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        size_t segment = (size_t)((slash != NULL ? slash : end) - at);
        if (before_len > 0 && is_code(at, segment) && redact_is_secret_name(veil, before, before_len))
            to = PUT(to, "***");
        else
            to = put_escaped(to, at, segment);
        if (slash != NULL)
            *to++ = '/';
        before = at;
        before_len = segment;
        at += segment + 1;
    }
    return to;
}

/* Query parameters one by one: the values of secret ones are not shown. Never longer than put_escaped() at its worst.
 */
static char *put_query(char *to, const struct veil *veil, const char *at, size_t len)
{
    const char *end = at + len;
    while (at < end) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        const char *stop = next != NULL ? next : end;
        const char *equals = memchr(at, '=', (size_t)(stop - at));
        if (equals != NULL && equals + 1 < stop && redact_is_secret_name(veil, at, (size_t)(equals - at))) {
            to = put_escaped(to, at, (size_t)(equals + 1 - at));
            to = PUT(to, "***");
        } else {
            to = put_escaped(to, at, (size_t)(stop - at));
        }
        if (next != NULL)
            *to++ = '&';
        at = next != NULL ? next + 1 : end;
    }
    return to;
}

static char *put_target(char *to, const struct config_samples *samples, struct text target)
{
    static const struct veil plain = {.values = SAMPLES_FULL}; /* the names that are always secret */
    const struct veil veil = samples != NULL ? veil_of(samples) : plain;
    if (target.at == NULL)
        return PUT(to, "null");
    bool cut = target.len > TARGET_MOST;
    size_t len = cut ? TARGET_MOST - CUT_MARK : target.len;
    const char *mark = memchr(target.at, '?', len);
    size_t path = mark != NULL ? (size_t)(mark - target.at) : len;
    *to++ = '"';
    to = put_path(to, &veil, target.at, path);
    if (mark != NULL) {
        *to++ = '?';
        to = put_query(to, &veil, mark + 1, len - path - 1);
    }
    if (cut)
        to = PUT(to, "\xe2\x80\xa6");
    *to++ = '"';
    return to;
}

static char *put_bool(char *to, bool value)
{
    return value ? PUT(to, "true") : PUT(to, "false");
}

static char *put_time(struct access_log *access_log, char *to, uint64_t wall_ms)
{
    if (access_log->second != wall_ms / 1000) {
        access_log->second = wall_ms / 1000;
        timestamp_print(access_log->time, wall_ms);
    }
    char *ms = access_log->time + 20;
    unsigned value = (unsigned)(wall_ms % 1000);
    ms[0] = (char)('0' + value / 100);
    ms[1] = (char)('0' + value / 10 % 10);
    ms[2] = (char)('0' + value % 10);
    return put(to, access_log->time, TIMESTAMP_ROOM - 1);
}

/* ---- lines ---- */

static size_t clipped(uint32_t len, size_t most)
{
    return len < most ? len : most;
}

/* The most bytes this record's line can take. Texts of our own (names in the file, of sides and reasons) need it too: a
 * route's name may have any character. */
static size_t worst_length(const struct access_record *record)
{
    size_t texts = clipped(record->method.len, TEXT_MOST) + clipped(record->target.len, TARGET_MOST) +
                   clipped(record->host.len, TEXT_MOST) + clipped(record->request_id.len, TEXT_MOST) +
                   clipped(record->client.len, TEXT_MOST) + clipped(text_from(record->route).len, TEXT_MOST) +
                   clipped(text_from(record->upstream).len, TEXT_MOST);
    return texts * ESCAPED + FIXED_MOST;
}

static char *put_line(struct access_log *access_log, char *to, const struct access_record *record)
{
    to = PUT(to, "{\"time\":\"");
    to = put_time(access_log, to, record->wall_ms);
    to = PUT(to, "\",\"level\":\"info\",\"kind\":\"access\",\"method\":");
    to = put_text(to, record->method, TEXT_MOST);
    to = PUT(to, ",\"target\":");
    to = put_target(to, record->samples, record->target);
    to = PUT(to, ",\"version\":\"");
    to = put_number(to, record->version_major);
    *to++ = '.';
    to = put_number(to, record->version_minor);
    to = PUT(to, "\",\"host\":");
    to = put_text(to, record->host, TEXT_MOST);
    to = PUT(to, ",\"client\":");
    to = put_text(to, record->client, TEXT_MOST);
    to = PUT(to, ",\"request_id\":");
    to = put_text(to, record->request_id, TEXT_MOST);
    to = PUT(to, ",\"status\":");
    to = put_number(to, record->status);
    to = PUT(to, ",\"route\":");
    to = put_text(to, text_from(record->route), TEXT_MOST);
    to = PUT(to, ",\"side\":");
    to = put_text(to, text_from(record->side), TEXT_MOST);
    to = PUT(to, ",\"reason\":");
    to = put_text(to, text_from(record->reason), TEXT_MOST);
    to = PUT(to, ",\"cohort\":");
    to = put_number(to, record->cohort);
    to = PUT(to, ",\"outcome\":");
    to = put_text(to, text_from(record->outcome), TEXT_MOST);
    to = PUT(to, ",\"upstream\":");
    to = put_text(to, text_from(record->upstream), TEXT_MOST);
    to = PUT(to, ",\"bytes_in\":");
    to = put_number(to, record->bytes_in);
    to = PUT(to, ",\"bytes_out\":");
    to = put_number(to, record->bytes_out);
    to = PUT(to, ",\"duration_us\":");
    to = put_number(to, record->duration_us);
    to = PUT(to, ",\"upstream_us\":");
    to = put_number(to, record->upstream_us);
    to = PUT(to, ",\"mirrored\":");
    to = put_bool(to, record->mirrored);
    to = PUT(to, ",\"fell_back\":");
    to = put_bool(to, record->fell_back);
    to = PUT(to, ",\"retried\":");
    to = put_bool(to, record->retried);
    if (record->is_grpc) {
        to = PUT(to, ",\"grpc_status\":");
        to = put_number(to, record->grpc_status);
    }
    if (record->error != NULL) {
        struct text error = text_from(record->error); /* our own: there is nothing to escape */
        to = PUT(to, ",\"error\":\"");
        to = put(to, error.at, error.len < ERROR_MOST ? error.len : ERROR_MOST);
        *to++ = '"';
    }
    return PUT(to, "}\n");
}

struct access_log *access_log_new(struct log *log)
{
    struct access_log *access_log = calloc(1, sizeof(*access_log));
    if (access_log == NULL)
        return NULL;
    access_log->log = log;
    access_log->second = UINT64_MAX;
    return access_log;
}

void access_log_free(struct access_log *access_log)
{
    if (access_log == NULL)
        return;
    access_log_flush(access_log);
    free(access_log->block);
    free(access_log);
}

/* Makes room for `length` bytes, handing over what has collected when it must. */
static bool make_room(struct access_log *access_log, size_t length)
{
    struct log_block *block = access_log->block;
    if (block != NULL && block->room - block->used >= length)
        return true;
    if (block != NULL) {
        if (log_is_behind(access_log->log, LOG_ACCESS_BYTES) ||
            !log_hand_over(access_log->log, block, LOG_ACCESS_BYTES))
            return false;
    }
    access_log->block = log_take_block(access_log->log);
    return access_log->block != NULL;
}

bool access_log_write(struct access_log *access_log, const struct access_record *record)
{
    if (!make_room(access_log, worst_length(record)))
        return false;
    struct log_block *block = access_log->block;
    char *end = put_line(access_log, block->text + block->used, record);
    block->used = (uint32_t)(end - block->text);
    block->lines++;
    assert(block->used <= block->room);
    return true;
}

void access_log_flush(struct access_log *access_log)
{
    struct log_block *block = access_log->block;
    if (block != NULL && block->used > 0 && log_hand_over(access_log->log, block, LOG_ACCESS_BYTES))
        access_log->block = NULL;
}
