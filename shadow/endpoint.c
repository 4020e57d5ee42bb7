/*
 * Endpoints: see endpoint.h. Pure; called by the report for every pair.
 *
 * What looks like data never stands in a name: better one template too coarse, which the file can refine, than a
 * customer's address in a report. What looks like a word stays, and where words are data after all (a shop's slugs) the
 * report's bound on endpoints holds.
 */
#include "shadow/endpoint.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "shadow/redact.h"
#include "shadow/span.h"

enum {
    SEGMENTS_SHOWN = 16,
    SEGMENT_ROOM = 256, /* decoded; a longer one is a token whatever it says */
    TOKEN_LENGTH = 16,
    TOKEN_PART_LENGTH = 8,
    WORD_PART_LENGTH = 10,
    WORD_LENGTH = 40, /* longer than this is data */
    UUID_LENGTH = 36,
    UUID_DIGITS = 32,
    HEX_LENGTH = 8,
    ID_DIGITS = 3, /* in a row, within a word */
    EXTENSION_LENGTH = 5,
    METHOD_ROOM = 17,
    REST_ROOM = 4 /* "/" "**" and the end */
};

/* ---- characters ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static size_t count_of(const char *at, size_t len, bool (*is)(char c))
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += is(at[i]);
    return count;
}

static bool consists_of(const char *at, size_t len, const char *allowed)
{
    return len > 0 && strspn(at, allowed) >= len;
}

/* ---- what a segment looks like; each of `len` characters, none of them NUL ---- */

#define DIGITS "0123456789"

static bool is_number(const char *at, size_t len)
{
    return consists_of(at, len, DIGITS "+-.,") && count_of(at, len, is_digit) > 0;
}

static bool is_uuid(const char *at, size_t len)
{
    if (len == UUID_DIGITS)
        return count_of(at, len, is_hex) == len;
    if (len != UUID_LENGTH)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? at[i] != '-' : !is_hex(at[i]))
            return false;
    }
    return true;
}

static bool is_hex_string(const char *at, size_t len)
{
    return len >= HEX_LENGTH && count_of(at, len, is_hex) == len && count_of(at, len, is_digit) > 0;
}

/* 2025-03, 2025-03-02, 2025-03-02T10:00:00.5+01:00. */
static bool is_date(const char *at, size_t len)
{
    static const char shape[] = "dddd-dd-dd";
    size_t shaped = len < sizeof(shape) - 1 ? len : sizeof(shape) - 1;
    if (shaped != 7 && shaped != sizeof(shape) - 1)
        return false;
    for (size_t i = 0; i < shaped; i++)
        if (shape[i] == 'd' ? !is_digit(at[i]) : at[i] != shape[i])
            return false;
    return len == shaped || ((at[shaped] == 'T' || at[shaped] == 't' || at[shaped] == ' ') &&
                             strspn(at + shaped + 1, DIGITS ":.,+-Zz") >= len - shaped - 1);
}

static bool is_email(const char *at, size_t len)
{
    return memchr(at, '@', len) != NULL;
}

/* A part of a name that is a word, or one with a number: "orders", "page12", "v1", "v1beta2". */
static bool is_word_part(const char *at, size_t len)
{
    size_t digits = count_of(at, len, is_digit), letters = count_of(at, len, is_letter);
    return letters == len ||
           (len > 0 && is_letter(at[0]) && len <= WORD_PART_LENGTH && digits <= 2 && letters + digits == len);
}

static bool is_separator(char c)
{
    return c == '-' || c == '_' || c == '.';
}

static bool is_capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* Capitals all over, as no word and no camel has them. */
static bool has_wild_capitals(const char *at, size_t len)
{
    size_t capitals = count_of(at, len, is_capital), letters = count_of(at, len, is_letter);
    return capitals * 3 >= letters && (letters - capitals) * 5 >= letters && letters > 0;
}

/* Made of parts that mix letters and digits as no word does. */
static bool has_mixed_parts(const char *at, size_t len)
{
    size_t begin = 0, mixed = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && !is_separator(at[i]))
            continue;
        size_t part = i - begin;
        if (count_of(at + begin, part, is_digit) > 0 && count_of(at + begin, part, is_letter) > 0 &&
            !is_word_part(at + begin, part)) {
            mixed++;
            if (part >= TOKEN_PART_LENGTH)
                return true;
        }
        begin = i + 1;
    }
    return mixed > 1;
}

static bool is_token(const char *at, size_t len)
{
    static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" DIGITS "-_=.~";
    return len >= TOKEN_LENGTH && consists_of(at, len, base64url) &&
           (has_mixed_parts(at, len) || has_wild_capitals(at, len));
}

static bool has_id(const char *at, size_t len)
{
    size_t run = 0;
    for (size_t i = 0; i < len; i++) {
        run = is_digit(at[i]) ? run + 1 : 0;
        if (run >= ID_DIGITS)
            return true;
    }
    return memchr(at, '=', len) != NULL;
}

/* "shop.orders.v1.OrderService": a long name, but a name. */
static bool is_dotted_name(const char *at, size_t len)
{
    size_t begin = 0;
    if (memchr(at, '.', len) == NULL)
        return false;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && at[i] != '.')
            continue;
        if (i == begin || i - begin > WORD_LENGTH || !is_word_part(at + begin, i - begin))
            return false;
        begin = i + 1;
    }
    return true;
}

static bool is_too_long(const char *at, size_t len)
{
    return len > WORD_LENGTH && !is_dotted_name(at, len);
}

/* The first that holds names the segment. */
static const struct {
    bool (*holds)(const char *at, size_t len);
    const char *name;
} looks[] = {
    {is_date, "{date}"},      {is_number, "{number}"}, {is_uuid, "{uuid}"},      {is_email, "{email}"},
    {is_hex_string, "{hex}"}, {is_token, "{token}"},   {is_too_long, "{token}"}, {has_id, "{id}"},
};

static const char *look_of(const char *at, size_t len)
{
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++)
        if (len > 0 && looks[i].holds(at, len))
            return looks[i].name;
    return NULL;
}

/* Where a file extension begins, with its dot; `len` when there is none. */
static size_t extension_of(const char *at, size_t len)
{
    size_t dot = len;
    while (dot > 0 && at[dot - 1] != '.')
        dot--;
    size_t extension = len - dot;
    if (dot < 2 || extension == 0 || extension > EXTENSION_LENGTH || count_of(at + dot, extension, is_letter) == 0)
        return len;
    for (size_t i = dot; i < len; i++)
        if (!is_letter(at[i]) && !is_digit(at[i]))
            return len;
    return dot - 1;
}

/* ---- segments ---- */

static int hex_value(char c)
{
    return is_digit(c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* Percent-decoded once; NUL and what does not fit become "?". Returns the length; `room` when there is more. */
static size_t decode(char to[SEGMENT_ROOM + 1], const char *at, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n < SEGMENT_ROOM; i++) {
        char c = at[i];
        if (c == '%' && i + 2 < len && is_hex(at[i + 1]) && is_hex(at[i + 2])) {
            c = (char)(hex_value(at[i + 1]) << 4 | hex_value(at[i + 2]));
            i += 2;
        }
        to[n++] = c == '\0' ? '?' : c;
    }
    to[n] = '\0';
    return n;
}

enum {
    KIND_LETTER = 1 << 0,
    KIND_DIGIT = 1 << 1,
    KIND_END = 1 << 2 /* ends a segment */
};
static const unsigned char kinds[UCHAR_MAX + 1] = {
    ['0' ... '9'] = KIND_DIGIT, ['A' ... 'Z'] = KIND_LETTER, ['a' ... 'z'] = KIND_LETTER, ['/'] = KIND_END,
    [';'] = KIND_END,
};

struct segment {
    const char *at;
    size_t len;
    unsigned kind; /* that all its characters are of; 0: there are several, or others */
};

/* One segment as it stands in a name: by its look, behind which an extension stays. Returns the length; `shown` has
 * room for any that is not too long. */
static size_t describe_closely(char shown[SEGMENT_ROOM + 1], const struct segment *segment)
{
    char decoded[SEGMENT_ROOM + 1];
    size_t n = decode(decoded, segment->at, segment->len), stem = extension_of(decoded, n);
    const char *look = look_of(decoded, n);
    if (stem < n && (look == NULL || !is_email(decoded, n)))
        look = look_of(decoded, stem);
    else
        stem = n;
    if (look == NULL)
        return redact_clean(shown, SEGMENT_ROOM + 1, segment->at, segment->len);
    size_t look_len = strlen(look);
    memcpy(shown, look, look_len);
    memcpy(shown + look_len, decoded + stem, n - stem + 1);
    return look_len + n - stem;
}

/* The same, in `room` where it has to be written. Nearly every segment shows at once which look it has: a few letters
 * none, digits that of a number. */
static struct span describe(char room[SEGMENT_ROOM + 1], const struct segment *segment)
{
    static const char number[] = "{number}";
    if (segment->kind == KIND_DIGIT)
        return (struct span){number, sizeof(number) - 1};
    if (segment->kind == KIND_LETTER && segment->len < TOKEN_LENGTH)
        return (struct span){segment->at, segment->len};
    return (struct span){room, describe_closely(room, segment)};
}

struct path {
    const char *at, *end;
};

/* The path of a target, without scheme, authority, query and fragment. */
static struct path path_of(const char *target)
{
    const char *scheme = target[0] != '/' ? strstr(target, "://") : NULL;
    if (scheme != NULL)
        target = scheme + 3 + strcspn(scheme + 3, "/?#");
    return (struct path){target, target + strcspn(target, "?#")};
}

/* The next segment that is not empty, without its parameters (";v=1"); false at the end. */
static bool next_segment(struct path *path, struct segment *segment)
{
    const char *at = path->at, *end = path->end;
    do {
        while (at < end && *at == '/')
            at++;
        const char *begin = at;
        unsigned kind = KIND_LETTER | KIND_DIGIT, one;
        for (; at < end && (one = kinds[(unsigned char)*at]) != KIND_END; at++)
            kind &= one;
        *segment = (struct segment){begin, (size_t)(at - begin), kind};
        while (at < end && *at != '/')
            at++;
    } while (segment->len == 0 && at < end);
    path->at = at;
    return segment->len > 0;
}

/* ---- the file's templates ---- */

static bool segment_fits(const struct segment *wanted, const struct segment *segment)
{
    char decoded[SEGMENT_ROOM + 1], plain[SEGMENT_ROOM + 1];
    if (wanted->at[0] == '{')
        return true;
    size_t n = decode(plain, wanted->at, wanted->len);
    return decode(decoded, segment->at, segment->len) == n && memcmp(decoded, plain, n) == 0;
}

static bool template_fits(const char *text, struct path path)
{
    struct path template = {text, text + strlen(text)};
    struct segment wanted, segment;
    while (next_segment(&template, &wanted)) {
        if (wanted.len == 2 && memcmp(wanted.at, "**", 2) == 0)
            return true;
        if (!next_segment(&path, &segment) || !segment_fits(&wanted, &segment))
            return false;
    }
    return !next_segment(&path, &segment);
}

/* ---- names ---- */

static size_t append(char name[ENDPOINT_ROOM], size_t used, const char *text, size_t len)
{
    memcpy(name + used, text, len);
    name[used + len] = '\0';
    return used + len;
}

static void learn(char name[ENDPOINT_ROOM], size_t used, struct path path)
{
    struct segment segment;
    size_t begin = used;
    unsigned segments = 0;
    while (next_segment(&path, &segment)) {
        char room[SEGMENT_ROOM + 1];
        struct span shown = describe(room, &segment);
        if (segments++ == SEGMENTS_SHOWN || used + shown.len + REST_ROOM + 1 > ENDPOINT_ROOM) {
            append(name, used, "/**", 3);
            return;
        }
        name[used++] = '/';
        used = append(name, used, shown.at, shown.len);
    }
    if (used == begin)
        append(name, used, "/", 1);
}

static size_t begin_name(char name[ENDPOINT_ROOM], const char *method)
{
    size_t used = redact_clean(name, METHOD_ROOM, method, strlen(method));
    return append(name, used, " ", 1);
}

void endpoint_name(const struct config_shadow *shadow, const char *method, const char *target, char name[ENDPOINT_ROOM])
{
    struct path path = path_of(target);
    size_t used = begin_name(name, method);
    for (uint32_t i = 0; i < shadow->endpoint_count; i++) {
        if (!template_fits(shadow->endpoints[i], path))
            continue;
        redact_clean(name + used, ENDPOINT_ROOM - used, shadow->endpoints[i], strlen(shadow->endpoints[i]));
        return;
    }
    if (target[0] == '*') /* OPTIONS * */
        append(name, used, "*", 1);
    else
        learn(name, used, path);
}
