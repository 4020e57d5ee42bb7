/*
 * Reads Cookie fields in place. The codec marks them with FIELD_COOKIE; names are compared exactly, as user agents do.
 */
#include "router/cookie.h"

#include "router/text.h"

static struct text trimmed(struct text text)
{
    while (text.len > 0 && (text.at[0] == ' ' || text.at[0] == '\t')) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static bool open_next_field(struct cookie_walk *walk)
{
    while (walk->next_field < walk->facts->field_count) {
        const struct field *field = &walk->facts->fields[walk->next_field++];
        if (field->id == FIELD_COOKIE && field->value.len > 0) {
            walk->rest = field->value;
            return true;
        }
    }
    return false;
}

/* Everything up to ";" is one piece. */
static struct text take_piece(struct text *rest)
{
    const char *end = memchr(rest->at, ';', rest->len);
    uint32_t len = end != NULL ? (uint32_t)(end - rest->at) : rest->len;
    struct text piece = {rest->at, len};
    uint32_t step = end != NULL ? len + 1 : len;
    rest->at += step;
    rest->len -= step;
    return piece;
}

bool cookie_next(struct cookie_walk *walk, struct cookie *cookie)
{
    while (walk->rest.len > 0 || open_next_field(walk)) {
        struct text piece = trimmed(take_piece(&walk->rest));
        const char *equals = piece.len > 0 ? memchr(piece.at, '=', piece.len) : NULL;
        if (equals == NULL || equals == piece.at)
            continue;
        uint32_t name_len = (uint32_t)(equals - piece.at);
        cookie->name = (struct text){piece.at, name_len};
        cookie->value = (struct text){equals + 1, piece.len - name_len - 1};
        return true;
    }
    return false;
}

bool cookie_find(const struct request_facts *facts, struct text name, struct text *value)
{
    struct cookie_walk walk = cookie_walk_over(facts);
    struct cookie cookie;
    while (cookie_next(&walk, &cookie)) {
        if (cookie.value.len > 0 && text_equals(cookie.name, name.at, name.len)) {
            *value = cookie.value;
            return true;
        }
    }
    return false;
}
