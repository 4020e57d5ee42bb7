/*
 * Header fields: see headers.h.
 *
 * Several lines of one name are one comma-separated list (RFC 9110 section 5.3), so lists are compared element by
 * element, in order, whichever way they were cut into lines; Set-Cookie is the exception and is compared line by line.
 * A media type is compared without regard to letter case, white space and quotes (section 8.3.1); everything else byte
 * by byte. Pure; used on the compare thread.
 */
#include "shadow/headers.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "shadow/redact.h"

enum {
    MEDIA_TYPE_LONGEST = 60
};

static bool is_content_type(const struct rules_header *header)
{
    return header->len == 12 && strncasecmp(header->name, "content-type", 12) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trim(struct span text)
{
    while (text.len > 0 && is_blank(text.at[0])) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && (is_blank(text.at[text.len - 1]) || text.at[text.len - 1] == '\r'))
        text.len--;
    return text;
}

struct span headers_of(const struct capture *capture)
{
    return (struct span){.at = capture->at, .len = capture->head_len};
}

bool headers_find(struct span head, const char *name, size_t name_len, size_t *from, struct span *value)
{
    while (*from < head.len) {
        const char *line = head.at + *from;
        size_t left = head.len - *from;
        const char *lf = memchr(line, '\n', left);
        size_t len = lf == NULL ? left : (size_t)(lf - line);
        *from += lf == NULL ? left : len + 1;
        if (len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
            continue;
        *value = trim((struct span){line + name_len + 1, len - name_len - 1});
        return true;
    }
    return false;
}

/* ---- the elements of a field, over all its lines ---- */

struct elements {
    struct span head;
    const struct rules_header *header;
    size_t from;
    struct span rest; /* of the line at hand */
    bool whole_lines;
};

static struct elements elements_start(struct span head, const struct rules_header *header)
{
    bool cookies = header->len == 10 && strncasecmp(header->name, "set-cookie", 10) == 0;
    return (struct elements){.head = head, .header = header, .whole_lines = cookies};
}

/* Length up to a comma that is not inside a quoted string. */
static size_t element_length(struct span text)
{
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"')
            quoted = !quoted;
        else if (text.at[i] == '\\' && quoted)
            i++;
        else if (text.at[i] == ',' && !quoted)
            return i;
    }
    return text.len;
}

static bool elements_next(struct elements *e, struct span *element)
{
    for (;;) {
        while (e->rest.len > 0) {
            size_t len = e->whole_lines ? e->rest.len : element_length(e->rest);
            *element = trim((struct span){e->rest.at, len});
            size_t taken = len < e->rest.len ? len + 1 : len;
            e->rest = (struct span){e->rest.at + taken, e->rest.len - taken};
            if (element->len > 0) /* empty elements do not count (RFC 9110 section 5.6.1) */
                return true;
        }
        if (!headers_find(e->head, e->header->name, e->header->len, &e->from, &e->rest))
            return false;
    }
}

/* ---- media types ---- */

struct media_reader {
    struct span text;
    size_t at;
    bool quoted;
    bool in_value;  /* behind "=" of a parameter whose value has its letter case */
    size_t name_at; /* of the parameter */
};

/* The next byte that counts, in lower case where case does not count; -1 at the end. */
static int media_next(struct media_reader *r)
{
    while (r->at < r->text.len) {
        unsigned char c = (unsigned char)r->text.at[r->at++];
        if (c == '"') {
            r->quoted = !r->quoted;
            continue;
        }
        if (!r->quoted && is_blank((char)c))
            continue;
        if (!r->quoted && c == ';') {
            r->in_value = false;
            r->name_at = r->at;
        } else if (!r->quoted && c == '=') {
            struct span name = trim((struct span){r->text.at + r->name_at, r->at - 1 - r->name_at});
            r->in_value = !(name.len == 7 && strncasecmp(name.at, "charset", 7) == 0);
        }
        return r->in_value ? c : tolower(c);
    }
    return -1;
}

static bool media_types_equal(struct span a, struct span b)
{
    struct media_reader x = {.text = a}, y = {.text = b};
    for (;;) {
        int i = media_next(&x), j = media_next(&y);
        if (i != j)
            return false;
        if (i < 0)
            return true;
    }
}

/* ---- comparing ---- */

static bool spans_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static bool header_differs(const struct rules_header *header, struct span primary, struct span shadow)
{
    bool media = is_content_type(header);
    struct elements x = elements_start(primary, header), y = elements_start(shadow, header);
    struct span a, b;
    for (;;) {
        bool more = elements_next(&x, &a), other = elements_next(&y, &b);
        if (more != other)
            return true;
        if (!more)
            return false;
        if (!spans_equal(a, b) && !(media && media_types_equal(a, b)))
            return true;
    }
}

static bool first_value(const struct rules_header *header, struct span head, struct span *value)
{
    size_t from = 0;
    return headers_find(head, header->name, header->len, &from, value);
}

/* The media type alone, without parameters, is no secret and says much: application/json here, text/html there. */
static bool show_media_type(char *to, struct span value)
{
    size_t len = 0, slashes = 0;
    while (len < value.len && (isalnum((unsigned char)value.at[len]) || memchr("/+.-", value.at[len], 4) != NULL))
        slashes += value.at[len++] == '/' ? 1 : 0;
    bool ends = len == value.len || value.at[len] == ';' || is_blank(value.at[len]);
    if (!ends || slashes != 1 || len > MEDIA_TYPE_LONGEST)
        return false;
    redact_clean(to, VALUE_ROOM, value.at, len);
    return true;
}

static void show(char *to, const struct rules_header *header, const struct difference_list *list, struct span value)
{
    if (veil_hides(&list->veil) && is_content_type(header) && show_media_type(to, value))
        return;
    bool secret = redact_is_secret_header(&list->veil, header->name, header->len);
    redact_value(to, VALUE_ROOM, &list->veil, secret, "string", (int64_t)value.len, value.at, value.len);
}

static void note(const struct rules_header *header, struct span primary, struct span shadow,
                 struct difference_list *list)
{
    char field[FIELD_ROOM];
    struct span a, b;
    bool has_a = first_value(header, primary, &a), has_b = first_value(header, shadow, &b);
    enum difference_kind kind = !has_b ? DIFFERENCE_MISSING : !has_a ? DIFFERENCE_EXTRA : DIFFERENCE_VALUE;

    snprintf(field, sizeof(field), "header:%s", header->name);
    struct difference *d = difference_note(list, kind, header->ignored, field);
    if (d == NULL)
        return;
    snprintf(d->path, sizeof(d->path), "%s", field);
    if (has_a)
        show(d->primary, header, list, a);
    if (has_b)
        show(d->shadow, header, list, b);
}

void headers_compare(const struct rules *rules, struct span primary, struct span shadow, struct difference_list *list)
{
    if (spans_equal(primary, shadow))
        return;
    for (uint32_t i = 0; i < rules->header_count; i++)
        if (header_differs(&rules->headers[i], primary, shadow))
            note(&rules->headers[i], primary, shadow, list);
}
