/*
 * JSON paths: see json_path.h. A path becomes a row of steps that ends with STEP_END; all rows lie in one array, and a
 * position is the set of array indices that may match next (Thompson's construction without the alternatives). A
 * descending step stays in the set and lets its successor in wherever it matches.
 */
#include "shadow/json_path.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum step_kind {
    STEP_MEMBER,
    STEP_ELEMENT,
    STEP_ANY,
    STEP_END
};

enum {
    STEPS_PER_PATH = 64
};

struct step {
    enum step_kind kind;
    bool descends; /* "..": also at any depth below */
    char *name;    /* owned; STEP_MEMBER */
    size_t len;
    uint32_t index; /* STEP_ELEMENT; of STEP_END the path's id */
};

struct json_path_set {
    struct step *steps; /* owned */
    uint32_t count, room;
    uint32_t *first; /* owned: index of each path's first step */
    uint32_t paths, paths_room;
};

struct json_path_set *json_path_set_new(void)
{
    return calloc(1, sizeof(struct json_path_set));
}

static void free_steps(struct step *steps, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(steps[i].name);
}

void json_path_set_free(struct json_path_set *set)
{
    if (set == NULL)
        return;
    free_steps(set->steps, set->count);
    free(set->steps);
    free(set->first);
    free(set);
}

/* ---- reading a path ---- */

static const char no_memory[] = "no memory";

struct reader {
    const char *text;
    size_t at;
    const char *fault; /* what was expected at `at` */
    struct step steps[STEPS_PER_PATH];
    uint32_t count;
};

static bool expected(struct reader *r, const char *what)
{
    r->fault = what;
    return false;
}

static bool is_name_byte(unsigned char c)
{
    return c > ' ' && c != 0x7f && strchr(".[]*'\"", c) == NULL;
}

static bool take_name(struct reader *r, struct step *step, const char *from, size_t len)
{
    step->kind = STEP_MEMBER;
    step->name = strndup(from, len);
    step->len = len;
    return step->name != NULL || expected(r, no_memory);
}

static bool read_bare(struct reader *r, struct step *step)
{
    const char *from = r->text + r->at;
    size_t len = 0;

    if (*from == '*') {
        r->at++;
        step->kind = STEP_ANY;
        return true;
    }
    while (is_name_byte((unsigned char)from[len]))
        len++;
    if (len == 0)
        return expected(r, "a name or * is expected");
    r->at += len;
    return take_name(r, step, from, len);
}

static bool read_quoted(struct reader *r, struct step *step)
{
    char quote = r->text[r->at++];
    char *name = malloc(strlen(r->text + r->at) + 1);
    size_t len = 0;

    if (name == NULL)
        return expected(r, no_memory);
    while (r->text[r->at] != quote) {
        if (r->text[r->at] == '\\')
            r->at++;
        if (r->text[r->at] == '\0') {
            free(name);
            return expected(r, "a closing quote is expected");
        }
        name[len++] = r->text[r->at++];
    }
    r->at++;
    name[len] = '\0';
    step->kind = STEP_MEMBER;
    step->name = name;
    step->len = len;
    return true;
}

static bool read_index(struct reader *r, struct step *step)
{
    uint64_t index = 0;
    if (!isdigit((unsigned char)r->text[r->at]))
        return expected(r, "a number, * or a quoted name is expected");
    for (; isdigit((unsigned char)r->text[r->at]); r->at++) {
        index = index * 10 + (uint64_t)(r->text[r->at] - '0');
        if (index > UINT32_MAX)
            return expected(r, "a smaller number is expected");
    }
    step->kind = STEP_ELEMENT;
    step->index = (uint32_t)index;
    return true;
}

static bool read_bracket(struct reader *r, struct step *step)
{
    bool good;
    r->at++;
    if (r->text[r->at] == '*') {
        r->at++;
        step->kind = STEP_ANY;
        good = true;
    } else if (r->text[r->at] == '\'' || r->text[r->at] == '"') {
        good = read_quoted(r, step);
    } else {
        good = read_index(r, step);
    }
    if (good && r->text[r->at] != ']')
        return expected(r, "] is expected");
    r->at += good ? 1 : 0;
    return good;
}

static bool read_step(struct reader *r)
{
    if (r->count == STEPS_PER_PATH - 1)
        return expected(r, "the end is expected: a path has at most 63 steps");
    struct step *step = &r->steps[r->count++];
    *step = (struct step){.kind = STEP_END};
    if (r->text[r->at] == '[')
        return read_bracket(r, step);
    if (r->text[r->at] != '.')
        return expected(r, ". or [ is expected");
    r->at++;
    if (r->text[r->at] != '.')
        return read_bare(r, step);
    r->at++;
    step->descends = true;
    return r->text[r->at] == '[' ? read_bracket(r, step) : read_bare(r, step);
}

/* On success the steps' names are the caller's. */
static bool read_path(struct reader *r, const char *text)
{
    r->text = text;
    r->at = 0;
    r->count = 0;
    r->fault = NULL;
    if (text[0] != '$')
        return expected(r, "$ is expected: a path starts at the root");
    for (r->at = 1; text[r->at] != '\0';) {
        if (!read_step(r)) {
            free_steps(r->steps, r->count);
            return false;
        }
    }
    return true;
}

static void report_fault(const struct reader *r, struct json_path_fault *fault)
{
    if (fault != NULL)
        *fault = (struct json_path_fault){.at = r->at, .what = r->fault};
}

bool json_path_is_valid(const char *text, struct json_path_fault *fault)
{
    struct reader r;
    if (!read_path(&r, text)) {
        report_fault(&r, fault);
        return false;
    }
    free_steps(r.steps, r.count);
    return true;
}

/* ---- the set ---- */

static bool make_room(struct json_path_set *set, uint32_t more)
{
    if (set->count + more > set->room) {
        uint32_t room = (set->count + more) * 2;
        struct step *steps = realloc(set->steps, room * sizeof(*steps));
        if (steps == NULL)
            return false;
        set->steps = steps;
        set->room = room;
    }
    if (set->paths == set->paths_room) {
        uint32_t room = set->paths_room == 0 ? 8 : set->paths_room * 2;
        uint32_t *first = realloc(set->first, room * sizeof(*first));
        if (first == NULL)
            return false;
        set->first = first;
        set->paths_room = room;
    }
    return true;
}

bool json_path_set_add(struct json_path_set *set, const char *text, uint32_t id, struct json_path_fault *fault)
{
    struct reader r;
    if (!read_path(&r, text)) {
        report_fault(&r, fault);
        return false;
    }
    if (!make_room(set, r.count + 1)) {
        free_steps(r.steps, r.count);
        r.fault = no_memory;
        report_fault(&r, fault);
        return false;
    }
    set->first[set->paths++] = set->count;
    memcpy(set->steps + set->count, r.steps, r.count * sizeof(*r.steps));
    set->count += r.count;
    set->steps[set->count++] = (struct step){.kind = STEP_END, .index = id};
    return true;
}

/* ---- walking ---- */

uint32_t json_path_words(const struct json_path_set *set)
{
    return (set->count + 63) / 64;
}

static void put(uint64_t *position, uint32_t step)
{
    position[step / 64] |= UINT64_C(1) << (step % 64);
}

void json_path_root(const struct json_path_set *set, uint64_t *position)
{
    memset(position, 0, json_path_words(set) * sizeof(*position));
    for (uint32_t i = 0; i < set->paths; i++)
        put(position, set->first[i]);
}

/* What the walk goes down into: a member when name is not NULL. */
struct child {
    const char *name;
    size_t len;
    uint32_t index;
};

static bool step_takes(const struct step *step, const struct child *child)
{
    switch (step->kind) {
    case STEP_ANY:
        return true;
    case STEP_MEMBER:
        return child->name != NULL && step->len == child->len && memcmp(step->name, child->name, child->len) == 0;
    case STEP_ELEMENT:
        return child->name == NULL && step->index == child->index;
    case STEP_END:
        break;
    }
    return false;
}

static bool advance(const struct json_path_set *set, const uint64_t *from, const struct child *child, uint64_t *to)
{
    uint32_t words = json_path_words(set);
    bool any = false;

    memset(to, 0, words * sizeof(*to));
    for (uint32_t w = 0; w < words; w++) {
        for (uint64_t bits = from[w]; bits != 0; bits &= bits - 1) {
            uint32_t at = w * 64 + (uint32_t)__builtin_ctzll(bits);
            const struct step *step = &set->steps[at];
            if (step->descends)
                put(to, at);
            bool takes = step_takes(step, child);
            if (takes)
                put(to, at + 1);
            any = any || takes || step->descends;
        }
    }
    return any;
}

bool json_path_into_member(const struct json_path_set *set, const uint64_t *from, const char *name, size_t len,
                           uint64_t *to)
{
    return advance(set, from, &(struct child){.name = name, .len = len}, to);
}

bool json_path_into_element(const struct json_path_set *set, const uint64_t *from, uint32_t index, uint64_t *to)
{
    return advance(set, from, &(struct child){.index = index}, to);
}

void json_path_matches(const struct json_path_set *set, const uint64_t *position,
                       void (*match)(void *context, uint32_t id), void *context)
{
    uint32_t words = json_path_words(set);
    for (uint32_t w = 0; w < words; w++) {
        for (uint64_t bits = position[w]; bits != 0; bits &= bits - 1) {
            const struct step *step = &set->steps[w * 64 + (uint32_t)__builtin_ctzll(bits)];
            if (step->kind == STEP_END)
                match(context, step->index);
        }
    }
}
