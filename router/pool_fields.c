/*
 * Fields of the pool. What is written is small in name, as every replica's parcel repeats it; what is read has been in
 * the hands of others, so that each name and number is looked at.
 */
#include "router/pool_fields.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_ROOM = 32,
    REPLICA_ROOM = 16,
    HEX_DIGITS = POOL_SKETCHES * SKETCH_BITS / 4,
    BIT_BYTES = 6, /* of an offset in JSON */
};

#define NUMBER_MOST (INT64_C(1) << 53) /* more than this Lua cannot add up */

#define OF(where, member) (offsetof(struct evidence, where) + offsetof(struct marks, member))
#define LEGACYS(member)   OF(side[SIDE_LEGACY].marks, member)
#define NEWS(member)      OF(side[SIDE_NEW].marks, member)

const size_t pool_sketches[POOL_SKETCHES] = {
    LEGACYS(keys),
    LEGACYS(error_keys),
    LEGACYS(paths),
    LEGACYS(error_paths),
    LEGACYS(lost_keys),
    LEGACYS(lost_paths),
    NEWS(keys),
    NEWS(error_keys),
    NEWS(paths),
    NEWS(error_paths),
    NEWS(lost_keys),
    NEWS(lost_paths),
    OF(pair_marks, keys),
    OF(pair_marks, error_keys),
    OF(pair_marks, paths),
    OF(pair_marks, error_paths),
};

static const char side_letters[SIDES] = {[SIDE_LEGACY] = 'l', [SIDE_NEW] = 'n'};

/* ---- writing ---- */

static size_t digits_of(int64_t number)
{
    size_t digits = number < 0 ? 2 : 1;
    while (number / 10 != 0) {
        number /= 10;
        digits++;
    }
    return digits;
}

void pool_add(struct pool_adder *adder, const char *field, int64_t amount)
{
    if (amount == 0 || adder->failed)
        return;
    if (json_object_set_new(adder->add, field, json_integer(amount)) != 0)
        adder->failed = true;
    adder->bytes += strlen(field) + digits_of(amount) + 4; /* quotes, colon, comma */
}

static void add_of_side(struct pool_adder *adder, int side, const char *rest, uint64_t now, uint64_t told)
{
    char name[2 + NAME_ROOM];
    if (now == told)
        return;
    (void)snprintf(name, sizeof(name), "%c.%s", side_letters[side], rest);
    pool_add(adder, name, (int64_t)(now - told));
}

static void add_latency(struct pool_adder *adder, int side, const struct histogram *now, const struct histogram *told)
{
    char rest[NAME_ROOM];
    for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++) {
        if (now->count[b] == told->count[b])
            continue;
        (void)snprintf(rest, sizeof(rest), "h.%u", b);
        add_of_side(adder, side, rest, now->count[b], told->count[b]);
    }
    add_of_side(adder, side, "h.us", now->sum_us, told->sum_us);
}

/* Counts are modulo 2^32: what was gained is right all the same. */
static void add_crowd(struct pool_adder *adder, int side, const struct crowd *now, const struct crowd *told)
{
    char rest[NAME_ROOM];
    for (uint32_t part = 0; part < CROWD_PARTS; part++) {
        for (uint32_t b = 0; b < CROWD_BUCKETS; b++) {
            uint32_t gained = now->count[part][b] - told->count[part][b];
            if (gained == 0)
                continue;
            (void)snprintf(rest, sizeof(rest), "c.%u.%u", part, b);
            add_of_side(adder, side, rest, gained, 0);
        }
    }
}

void pool_add_gain(struct pool_adder *adder, const struct evidence *now, const struct evidence *told, bool crowds)
{
    for (int side = 0; side < SIDES; side++) {
        const struct evidence_side *to = &now->side[side];
        const struct evidence_side *from = &told->side[side];
        add_of_side(adder, side, "j", to->judged, from->judged);
        add_of_side(adder, side, "e", to->errors, from->errors);
        add_of_side(adder, side, "u", to->unanswered, from->unanswered);
        add_latency(adder, side, &to->latency, &from->latency);
        if (crowds)
            add_crowd(adder, side, &to->crowd, &from->crowd);
    }
}

static void add_counts(struct pool_adder *adder, int side, const struct window_counts *to,
                       const struct window_counts *from, const char *of)
{
    char name[3][8 + REPLICA_ROOM];
    static const char letters[] = "jes";
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(name[i], sizeof(name[i]), "%c%s%.*s", letters[i], of[0] != '\0' ? "@" : "", REPLICA_ROOM, of);
    add_of_side(adder, side, name[0], to->judged, from->judged);
    add_of_side(adder, side, name[1], to->errors, from->errors);
    add_of_side(adder, side, name[2], to->slow, from->slow);
}

void pool_add_window(struct pool_adder *adder, const struct window_counts to[SIDES],
                     const struct window_counts from[SIDES], const char *replica)
{
    bool is_bad = to[SIDE_NEW].errors > from[SIDE_NEW].errors || to[SIDE_NEW].slow > from[SIDE_NEW].slow;
    for (int side = 0; side < SIDES; side++)
        add_counts(adder, side, &to[side], &from[side], "");
    if (is_bad && replica[0] != '\0')
        add_counts(adder, SIDE_NEW, &to[SIDE_NEW], &from[SIDE_NEW], replica);
}

static const struct sketch *sketch_at(const struct evidence *evidence, uint32_t index)
{
    return (const void *)((const char *)evidence + pool_sketches[index]);
}

static bool append_bits(json_t *bits, uint32_t first, uint64_t word, size_t *bytes)
{
    for (; word != 0; word &= word - 1) {
        *bytes += BIT_BYTES;
        if (json_array_append_new(bits, json_integer((json_int_t)first + __builtin_ctzll(word))) != 0)
            return false;
    }
    return true;
}

json_t *pool_bits(const struct evidence *now, const struct evidence *told, size_t *bytes)
{
    json_t *bits = json_array();
    for (uint32_t i = 0; i < POOL_SKETCHES; i++) {
        for (uint32_t w = 0; w < SKETCH_WORDS; w++) {
            uint64_t fresh = sketch_at(now, i)->word[w] & ~sketch_at(told, i)->word[w];
            if (append_bits(bits, i * SKETCH_BITS + w * 64, fresh, bytes))
                continue;
            json_decref(bits);
            return NULL;
        }
    }
    return bits;
}

/* ---- reading ---- */

static bool number_of_text(const char *text, int64_t *number)
{
    bool negative = *text == '-';
    int64_t value = 0;
    const char *digit = text + negative;
    if (*digit == '\0')
        return false;
    for (; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9' || value > NUMBER_MOST)
            return false;
        value = value * 10 + (*digit - '0');
    }
    *number = negative ? -value : value;
    return true;
}

bool pool_number(const json_t *json, int64_t *number)
{
    if (json_is_integer(json)) {
        *number = json_integer_value(json);
    } else if (json_is_real(json)) {
        double value = json_real_value(json);
        if (!(fabs(value) <= (double)NUMBER_MOST) || value != floor(value))
            return false;
        *number = (int64_t)value;
    } else if (!json_is_string(json) || strlen(json_string_value(json)) != json_string_length(json) ||
               !number_of_text(json_string_value(json), number)) {
        return false;
    }
    return *number >= -NUMBER_MOST && *number <= NUMBER_MOST;
}

/* A number without sign and leading zero, up to `end` or, with '\0', to the end of the text. */
static bool take_index(const char **at, char end, uint32_t below, uint32_t *index)
{
    uint64_t value = 0;
    const char *digit = *at;
    if (*digit < '0' || *digit > '9' || (digit[0] == '0' && digit[1] >= '0' && digit[1] <= '9'))
        return false;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        value = value * 10 + (uint64_t)(*digit - '0');
        if (value >= below)
            return false;
    }
    if (*digit != end)
        return false;
    *at = digit + (end != '\0');
    *index = (uint32_t)value;
    return true;
}

/* "h." or "c." and what comes behind. */
static bool read_bucket(const char *rest, uint64_t number, struct evidence_side *side)
{
    uint32_t part;
    uint32_t bucket;
    const char *at = rest + 2;
    if (rest[0] == 'h') {
        if (strcmp(at, "us") == 0)
            side->latency.sum_us = number;
        else if (take_index(&at, '\0', HISTOGRAM_BUCKETS, &bucket))
            side->latency.count[bucket] = number;
        else
            return false;
        return true;
    }
    if (!take_index(&at, '.', CROWD_PARTS, &part) || !take_index(&at, '\0', CROWD_BUCKETS, &bucket))
        return false;
    side->crowd.count[part][bucket] = number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
    return true;
}

static const struct {
    const char *name;
    size_t offset;
} side_members[] = {
    {"j", offsetof(struct evidence_side, judged)},
    {"e", offsetof(struct evidence_side, errors)},
    {"u", offsetof(struct evidence_side, unanswered)},
};

static bool read_of_side(const char *rest, int64_t number, struct evidence_side *side)
{
    if (number < 0)
        return false;
    if ((rest[0] == 'h' || rest[0] == 'c') && rest[1] == '.')
        return read_bucket(rest, (uint64_t)number, side);
    for (size_t i = 0; i < sizeof(side_members) / sizeof(side_members[0]); i++)
        if (strcmp(rest, side_members[i].name) == 0)
            *(uint64_t *)(void *)((char *)side + side_members[i].offset) = (uint64_t)number;
    return true;
}

/* Those that may fall: below nothing when more was taken back than had come. */
static const struct {
    const char *name;
    size_t offset;
} sum_members[] = {
    {"p.c", offsetof(struct pool_sums, evidence.pairs.compared)},
    {"p.m", offsetof(struct pool_sums, evidence.pairs.mismatched)},
    {"held", offsetof(struct pool_sums, held_ms)},
    {"gathered", offsetof(struct pool_sums, gathered_ms)},
};

static bool read_field(const char *name, int64_t number, struct pool_sums *sums)
{
    for (int side = 0; side < SIDES; side++)
        if (name[0] == side_letters[side] && name[1] == '.')
            return read_of_side(name + 2, number, &sums->evidence.side[side]);
    for (size_t i = 0; i < sizeof(sum_members) / sizeof(sum_members[0]); i++)
        if (strcmp(name, sum_members[i].name) == 0)
            *(uint64_t *)(void *)((char *)sums + sum_members[i].offset) = number > 0 ? (uint64_t)number : 0;
    return true;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* Redis' first bit is the highest of the first byte. */
static bool read_bits(const json_t *bits, struct evidence *evidence)
{
    const char *hex = json_string_value(bits);
    size_t length = json_string_length(bits);
    if (bits == NULL)
        return true;
    if (hex == NULL || length > HEX_DIGITS || length % 2 != 0)
        return false;
    for (size_t i = 0; i < length * 4; i++) {
        int digit = hex_digit(hex[i / 4]);
        if (digit < 0)
            return false;
        struct sketch *sketch = (void *)((char *)evidence + pool_sketches[i / SKETCH_BITS]);
        if ((digit >> (3 - i % 4) & 1) != 0)
            sketch->word[i % SKETCH_BITS / 64] |= UINT64_C(1) << (i % 64);
    }
    return true;
}

static uint64_t at_most(uint64_t number, uint64_t most)
{
    return number < most ? number : most;
}

/* Each replica's parts are right, but not all of one instant. */
static void settle(struct evidence *evidence)
{
    for (int side = 0; side < SIDES; side++) {
        struct evidence_side *of = &evidence->side[side];
        of->errors = at_most(of->errors, of->judged);
        of->unanswered = at_most(of->unanswered, of->judged);
    }
    evidence->pairs.mismatched = at_most(evidence->pairs.mismatched, evidence->pairs.compared);
}

/* Lua writes an empty table as either. */
static bool is_table(const json_t *json)
{
    return json == NULL || json_is_object(json) || (json_is_array(json) && json_array_size(json) == 0);
}

bool pool_sums_read(const json_t *counts, const json_t *bits, struct pool_sums *sums)
{
    const char *name;
    json_t *value;
    int64_t number;
    memset(sums, 0, sizeof(*sums));
    if (!is_table(counts) || !read_bits(bits, &sums->evidence))
        return false;
    json_object_foreach((json_t *)counts, name, value)
    {
        if (!pool_number(value, &number) || !read_field(name, number, sums))
            return false;
    }
    settle(&sums->evidence);
    return true;
}

static uint64_t *count_of(char letter, struct window_counts *counts)
{
    switch (letter) {
    case 'j':
        return &counts->judged;
    case 'e':
        return &counts->errors;
    case 's':
        return &counts->slow;
    default:
        return NULL;
    }
}

/* One field of the window's hash, taken apart. */
struct window_field {
    uint64_t bucket;
    int side;
    char letter;
    const char *replica; /* whose it is; NULL: of all */
    uint64_t number;
};

/* "BUCKET " in front of the field's name. */
static bool take_bucket(const char **at, uint64_t *bucket)
{
    int64_t number;
    char text[NAME_ROOM];
    const char *blank = strchr(*at, ' ');
    size_t length = blank != NULL ? (size_t)(blank - *at) : 0;
    if (length == 0 || length >= sizeof(text))
        return false;
    memcpy(text, *at, length);
    text[length] = '\0';
    if (!number_of_text(text, &number) || number < 0)
        return false;
    *at = blank + 1;
    *bucket = (uint64_t)number;
    return true;
}

/* False: garbage. `field->letter` is 0 for what a later version may have there. */
static bool take_window_field(const char *name, const json_t *value, struct window_field *field)
{
    int64_t number;
    struct window_counts none;
    const char *at = name;
    if (!take_bucket(&at, &field->bucket) || !pool_number(value, &number) || number < 0)
        return false;
    field->number = (uint64_t)number;
    field->side = at[0] == side_letters[SIDE_NEW] ? SIDE_NEW : SIDE_LEGACY;
    bool known = at[0] == side_letters[field->side] && at[1] == '.' && count_of(at[2], &none) != NULL &&
                 (at[3] == '\0' || at[3] == '@');
    field->letter = known ? at[2] : '\0';
    field->replica = known && at[3] == '@' ? at + 4 : NULL;
    return true;
}

/* The replica with the most errors and slow calls of new; NULL: there are none. `sums` gets { REPLICA: how many }. */
static const char *find_worst(const json_t *window, uint64_t first, json_t *sums)
{
    const char *name, *worst = NULL;
    json_t *value;
    json_int_t most = 0;
    json_object_foreach((json_t *)window, name, value)
    {
        struct window_field field;
        if (!take_window_field(name, value, &field) || field.replica == NULL || field.letter == 'j' ||
            field.bucket < first)
            continue;
        json_int_t sum = json_integer_value(json_object_get(sums, field.replica)) + (json_int_t)field.number;
        (void)json_object_set_new(sums, field.replica, json_integer(sum));
        if (sum > most) {
            most = sum;
            worst = field.replica;
        }
    }
    return worst;
}

bool pool_window_read(const json_t *window, uint64_t first, struct pool_window *read)
{
    const char *name;
    json_t *value, *sums = json_object();
    memset(read, 0, sizeof(*read));
    bool good = is_table(window) && sums != NULL;
    const char *worst = good ? find_worst(window, first, sums) : NULL;
    json_object_foreach(good ? (json_t *)window : NULL, name, value)
    {
        struct window_field field;
        good = good && take_window_field(name, value, &field);
        if (!good || field.letter == '\0' || field.bucket < first || field.bucket - first >= POOL_WINDOW_BUCKETS)
            continue; /* too old, or of another length */
        uint64_t at = field.bucket - first;
        if (field.replica == NULL)
            *count_of(field.letter, &read->all[at][field.side]) = field.number;
        else if (worst != NULL && strcmp(field.replica, worst) == 0)
            *count_of(field.letter, &read->worst[at]) = field.number;
    }
    json_decref(sums);
    return good;
}
