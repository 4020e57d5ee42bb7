/*
 * Difference list: see difference.h. Fixed room, so that an answer that differs in ten thousand places costs no more
 * memory than one that differs in one; what finds no room is counted in `beyond`. Pure; used on the compare thread.
 */
#include "shadow/difference.h"

#include <string.h>

#include <xxhash.h>

static const char *const kind_names[DIFFERENCE_KINDS] = {
    [DIFFERENCE_MISSING] = "missing",     [DIFFERENCE_EXTRA] = "extra",     [DIFFERENCE_TYPE] = "type",
    [DIFFERENCE_VALUE] = "value",         [DIFFERENCE_ORDER] = "order",     [DIFFERENCE_LENGTH] = "length",
    [DIFFERENCE_DUPLICATE] = "duplicate", [DIFFERENCE_INVALID] = "invalid",
};

const char *difference_kind_name(enum difference_kind kind)
{
    return (unsigned)kind < DIFFERENCE_KINDS ? kind_names[kind] : "unknown";
}

void difference_list_reset(struct difference_list *list, const struct veil *veil)
{
    list->count = 0;
    list->real = 0;
    list->beyond = 0;
    list->last = DIFFERENCES_MAX;
    list->veil = *veil;
    memset(list->rule_hits, 0, sizeof(list->rule_hits));
}

static struct difference *find(struct difference_list *list, uint64_t hash, bool ignored, const char *field, size_t len)
{
    for (uint32_t i = 0; i < list->count; i++) {
        struct difference *d = &list->at[i];
        if (d->hash == hash && d->ignored == ignored && memcmp(d->field, field, len) == 0 && d->field[len] == '\0')
            return d;
    }
    return NULL;
}

struct difference *difference_note(struct difference_list *list, enum difference_kind kind, bool ignored,
                                   const char *field)
{
    size_t len = strnlen(field, FIELD_ROOM - 1);
    uint64_t hash = XXH3_64bits(field, len);
    struct difference *d = find(list, hash, ignored, field, len);
    if (d != NULL) {
        d->count++;
        d->kinds |= 1u << kind;
        list->last = (uint32_t)(d - list->at);
        return NULL;
    }
    list->last = list->count;
    if (list->count == DIFFERENCES_MAX) {
        list->beyond += ignored ? 0 : 1;
        return NULL;
    }
    d = &list->at[list->count++];
    list->real += ignored ? 0 : 1;
    d->hash = hash;
    d->kinds = 1u << kind;
    d->count = 1;
    d->ignored = ignored;
    d->apart = -1;
    d->kind = kind;
    memcpy(d->field, field, len);
    d->field[len] = '\0';
    d->path[0] = d->primary[0] = d->shadow[0] = '\0';
    return d;
}

void difference_apart(struct difference_list *list, double apart)
{
    if (list->last < list->count && apart > list->at[list->last].apart)
        list->at[list->last].apart = apart;
}

void difference_rule_hit(struct difference_list *list, uint32_t rule)
{
    if (rule < RULES_MAX)
        list->rule_hits[rule / 64] |= UINT64_C(1) << (rule % 64);
}

bool difference_list_is_real(const struct difference_list *list)
{
    return list->real > 0 || list->beyond > 0;
}
