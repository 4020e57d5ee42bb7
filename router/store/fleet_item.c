/*
 * One item of what a fleet wants: copying, comparing, JSON. Touches nothing but its arguments; fleet.c and what belongs
 * to it use it. fleet.lua has the same rules of an item's past, in Lua.
 */
#include "router/store/fleet.h"

#include <stdlib.h>
#include <string.h>

enum {
    FIELDS = 6,
    SHARE_MOST = 10000,
    RANK_MOST = 1000,
    FAR = 16, /* versions apart: then a past says nothing, and the later one stands */
};

const char *fleet_role_name(enum fleet_role role)
{
    static const char *const names[] = {
        [FLEET_CUT_OFF] = "cut_off",
        [FLEET_FOLLOWER] = "follower",
        [FLEET_LEADER] = "leader",
    };
    return names[role];
}

const char *fleet_kind_name(enum fleet_kind kind)
{
    static const char *const names[] = {
        [FLEET_BY_LEADER] = "leader",
        [FLEET_BY_PERSON] = "person",
        [FLEET_FOR_SAFETY] = "safety",
        [FLEET_BY_FILE] = "file",
    };
    return names[kind];
}

/* NULL stays NULL. False without memory. */
static bool copy_text(char **to, const char *from)
{
    *to = from != NULL ? strdup(from) : NULL;
    return *to != NULL || from == NULL;
}

bool fleet_item_copy(struct fleet_item *to, const struct fleet_item *from)
{
    struct fleet_item copy = {.version = from->version, .share = from->share, .rank = from->rank};
    bool whole = copy_text(&copy.name, from->name);
    whole = copy_text(&copy.text, from->text) && whole;
    whole = copy_text(&copy.past, from->past) && whole;
    if (!whole)
        fleet_item_done(&copy);
    *to = copy;
    return whole;
}

void fleet_item_done(struct fleet_item *item)
{
    free(item->name);
    free(item->text);
    free(item->past);
    *item = (struct fleet_item){0};
}

static const char *text_or_none(const char *text)
{
    return text != NULL ? text : "";
}

int fleet_item_compare_safety(const struct fleet_item *a, const struct fleet_item *b)
{
    if (a->share != b->share)
        return a->share < b->share ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return strcmp(text_or_none(a->text), text_or_none(b->text));
}

/* Is the newest change of `item` among those that `past` tells? All ids are equally long. */
static bool knows(const char *past, const struct fleet_item *item)
{
    char id[FLEET_ID + 1] = {0};
    memcpy(id, item->past, FLEET_ID);
    return strstr(past, id) != NULL;
}

static bool has_past(const struct fleet_item *item)
{
    return item->past != NULL && strlen(item->past) >= FLEET_ID;
}

enum fleet_relation fleet_item_relation(const struct fleet_item *a, const struct fleet_item *b)
{
    if (has_past(a) && has_past(b)) {
        uint64_t apart = a->version > b->version ? a->version - b->version : b->version - a->version;
        if (memcmp(a->past, b->past, FLEET_ID) == 0)
            return FLEET_SAME;
        if (knows(b->past, a))
            return FLEET_NEWER;
        if (knows(a->past, b))
            return FLEET_OLDER;
        if (apart < FAR)
            return FLEET_CONFLICT;
    }
    if (a->version != b->version)
        return a->version < b->version ? FLEET_NEWER : FLEET_OLDER;
    return fleet_item_compare_safety(a, b) == 0 ? FLEET_SAME : FLEET_CONFLICT;
}

bool fleet_item_is_beaten(const struct fleet_item *a, const struct fleet_item *b)
{
    enum fleet_relation relation = fleet_item_relation(a, b);
    return relation == FLEET_NEWER || (relation == FLEET_CONFLICT && fleet_item_compare_safety(b, a) < 0);
}

json_t *fleet_item_json(const struct fleet_item *item)
{
    return json_pack("[s, I, I, I, s, s]", item->name, (json_int_t)item->version, (json_int_t)item->share,
                     (json_int_t)item->rank, text_or_none(item->text), text_or_none(item->past));
}

/* ---- what others say ---- */

static bool is_number(const json_t *json, json_int_t most)
{
    return json_is_integer(json) && json_integer_value(json) >= 0 && json_integer_value(json) <= most;
}

static bool is_name(const json_t *json)
{
    size_t length = json_string_length(json);
    if (!json_is_string(json) || length == 0 || length > FLEET_NAME_MOST)
        return false;
    for (const char *at = json_string_value(json); *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return false;
    return true;
}

/* Ids, the newest first, with commas between them. */
static bool is_past(const json_t *json)
{
    const char *past = json_string_value(json);
    size_t length = json_string_length(json), unit = FLEET_ID + 1;
    if (past == NULL || length >= FLEET_PAST_MOST * unit || (length > 0 && (length + 1) % unit != 0))
        return false;
    for (size_t i = 0; i < length; i++)
        if (i % unit == FLEET_ID ? past[i] != ',' : strchr("0123456789abcdef", past[i]) == NULL)
            return false;
    return true;
}

bool fleet_item_load(const json_t *json, struct fleet_item *item, const char **why)
{
    const json_t *field[FIELDS];
    for (size_t i = 0; i < FIELDS; i++)
        field[i] = json_array_get(json, i);
    *why = NULL;
    if (json_array_size(json) != FIELDS || !is_name(field[0]))
        *why = "an item is not [ name, version, share, rank, text, past ]";
    else if (!is_number(field[1], FLEET_VERSION_MOST) || json_integer_value(field[1]) == 0)
        *why = "an item's version is no number from 1 to 2^53";
    else if (!is_number(field[2], SHARE_MOST) || !is_number(field[3], RANK_MOST))
        *why = "an item's share or rank is out of range";
    else if (!json_is_string(field[4]) || json_string_length(field[4]) > FLEET_TEXT_MOST)
        *why = "an item's text is none, or too long";
    else if (!is_past(field[5]))
        *why = "an item's past is no list of changes";
    if (*why != NULL)
        return false;
    const struct fleet_item borrowed = {
        .name = (char *)json_string_value(field[0]),
        .version = (uint64_t)json_integer_value(field[1]),
        .share = (uint32_t)json_integer_value(field[2]),
        .rank = (uint32_t)json_integer_value(field[3]),
        .text = (char *)json_string_value(field[4]),
        .past = (char *)json_string_value(field[5]),
    };
    if (fleet_item_copy(item, &borrowed))
        return true;
    *why = "no memory";
    return false;
}
