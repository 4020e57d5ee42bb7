/*
 * Replacements: see replace.h.
 *
 * The patterns are the operator's, the texts a backend's, so the time a match takes is in nobody's hands. PCRE2's own
 * limits count per starting point and not over a whole text; therefore every item of a pattern calls back here
 * (PCRE2_AUTO_CALLOUT) and pays from the pair's budget for itself and for the distance it moved. That is exact, needs
 * no clock, and costs a few nanoseconds for each item. There is no just-in-time compiler: its code would need memory
 * that is both writable and executable.
 *
 * A text that is valid UTF-8 is checked once here; PCRE2 would check what is left of it again before each match. One
 * that is not goes to a second form of the pattern, for which bytes that are no characters match nothing. Runs on the
 * compare thread.
 */
#include "shadow/replace.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#include <xxhash.h>

#include "config/regex.h"

enum {
    BYTES_PER_STEP = 256,
    MATCH_LIMIT = 1000 * 1000, /* behind the budget, which is used up first */
    HEAP_KIB = 16 * 1024,
    BUFFER_FIRST = 256,
    BUFFER_KEPT = 64 * 1024,
};

struct replacement {
    pcre2_code *valid, *broken; /* owned: for texts that are UTF-8, and for those that are not */
    pcre2_match_data *matches;  /* owned */
    char *with;                 /* owned */
};

struct buffer {
    char *at; /* owned */
    size_t room;
};

struct replacer {
    struct buffer buffers[REPLACE_SLOTS][2]; /* where its text is, and where the next one goes */
    pcre2_match_context *context;            /* owned */
    uint64_t budget;
};

/* One run, as the callouts see it. */
struct run {
    struct replacer *replacer;
    struct span text;
    bool checks_each_match;
    size_t last_place;
    uint64_t pieces;
};

/* ---- compiling ---- */

static void fault_of_error(struct replace_fault *fault, int error)
{
    if (pcre2_get_error_message(error, (PCRE2_UCHAR *)fault->what, sizeof(fault->what)) == PCRE2_ERROR_BADDATA)
        snprintf(fault->what, sizeof(fault->what), "unknown error %d", error);
}

static pcre2_code *compile(const char *pattern, uint32_t options, struct replace_fault *fault)
{
    int error = 0;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options | PCRE2_AUTO_CALLOUT, &error,
                                     &fault->at, NULL);
    if (code == NULL) {
        fault->no_memory = error == PCRE2_ERROR_HEAP_FAILED;
        fault_of_error(fault, error);
    }
    return code;
}

static bool with_fits(const char *pattern, const char *with, struct replace_fault *fault)
{
    const char *wrong = regex_replacement_fault(pattern, with);
    if (wrong == NULL)
        return true;
    *fault = (struct replace_fault){.no_memory = false};
    snprintf(fault->what, sizeof(fault->what), "what replaces it %s", wrong);
    return false;
}

struct replacement *replacement_new(const char *pattern, const char *with, struct replace_fault *fault)
{
    uint32_t options = regex_options();
    *fault = (struct replace_fault){.no_memory = true};
    struct replacement *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->valid = compile(pattern, options & ~(uint32_t)PCRE2_MATCH_INVALID_UTF, fault);
    r->broken = r->valid == NULL ? NULL : compile(pattern, options, fault);
    if (r->broken == NULL)
        goto fail;
    if (!with_fits(pattern, with, fault))
        goto fail;
    *fault = (struct replace_fault){.no_memory = true};
    r->matches = pcre2_match_data_create_from_pattern(r->valid, NULL);
    r->with = strdup(with);
    if (r->matches == NULL || r->with == NULL)
        goto fail;
    return r;
fail:
    replacement_free(r);
    return NULL;
}

void replacement_free(struct replacement *r)
{
    if (r == NULL)
        return;
    pcre2_code_free(r->valid);
    pcre2_code_free(r->broken);
    pcre2_match_data_free(r->matches);
    free(r->with);
    free(r);
}

/* ---- the replacer ---- */

struct replacer *replacer_new(void)
{
    struct replacer *replacer = calloc(1, sizeof(*replacer));
    if (replacer == NULL)
        return NULL;
    replacer->budget = REPLACE_BUDGET;
    replacer->context = pcre2_match_context_create(NULL);
    if (replacer->context == NULL) {
        replacer_free(replacer);
        return NULL;
    }
    pcre2_set_match_limit(replacer->context, MATCH_LIMIT);
    pcre2_set_heap_limit(replacer->context, HEAP_KIB);
    return replacer;
}

static void buffer_done(struct buffer *buffer)
{
    free(buffer->at);
    *buffer = (struct buffer){0};
}

void replacer_free(struct replacer *replacer)
{
    if (replacer == NULL)
        return;
    for (int i = 0; i < 2 * REPLACE_SLOTS; i++)
        buffer_done(&replacer->buffers[i / 2][i % 2]);
    pcre2_match_context_free(replacer->context);
    free(replacer);
}

void replacer_start(struct replacer *replacer)
{
    replacer->budget = REPLACE_BUDGET;
    for (int i = 0; i < 2 * REPLACE_SLOTS; i++)
        if (replacer->buffers[i / 2][i % 2].room > BUFFER_KEPT)
            buffer_done(&replacer->buffers[i / 2][i % 2]);
}

/* What was in the buffer is not kept. */
static bool make_room(struct buffer *buffer, size_t room)
{
    if (buffer->room >= room)
        return true;
    buffer_done(buffer);
    buffer->at = malloc(room);
    buffer->room = buffer->at == NULL ? 0 : room;
    return buffer->at != NULL;
}

/* ---- the budget ---- */

static bool spend(struct replacer *replacer, size_t steps)
{
    if (replacer->budget < steps) {
        replacer->budget = 0;
        return false;
    }
    replacer->budget -= steps;
    return true;
}

static int on_item(pcre2_callout_block *block, void *context)
{
    struct run *run = context;
    size_t place = block->current_position;
    size_t moved = place > run->last_place ? place - run->last_place : run->last_place - place;
    run->last_place = place;
    return spend(run->replacer, 1 + moved / BYTES_PER_STEP) ? 0 : PCRE2_ERROR_CALLOUT;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b ^ UINT64_C(0xc2b2ae3d27d4eb4f));
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* A replacement was made: 0 to go on, negative to stop. */
static int on_replaced(pcre2_substitute_callout_block *block, void *context)
{
    struct run *run = context;
    size_t from = block->ovector[0], to = block->ovector[1];
    size_t out = block->output_offsets[0], out_end = block->output_offsets[1];
    run->pieces += mix(XXH3_64bits(block->input + from, to - from), XXH3_64bits(block->output + out, out_end - out));
    size_t checked = run->checks_each_match ? run->text.len - from : 0;
    return spend(run->replacer, 1 + (out_end - out + checked) / BYTES_PER_STEP) ? 0 : -1;
}

/* ---- a run ---- */

/* Bytes of the UTF-8 character (RFC 3629) at `s`, or 0. */
static size_t character_length(const unsigned char *s, size_t left)
{
    size_t need = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    if (need == 0 || need > left)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] > 0x9f;
    bool beyond = s[0] == 0xf4 && s[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : need;
}

static bool is_utf8(struct span text)
{
    const unsigned char *at = (const unsigned char *)text.at;
    for (size_t i = 0; i < text.len;) {
        size_t length = character_length(at + i, text.len - i);
        if (length == 0)
            return false;
        i += length;
    }
    return true;
}

static size_t longest_result(size_t len)
{
    return len > (SIZE_MAX - REPLACE_MORE) / REPLACE_TIMES ? SIZE_MAX : len * REPLACE_TIMES + REPLACE_MORE;
}

static int substitute(struct run *run, const struct replacement *r, struct buffer *buffer, size_t *length)
{
    pcre2_match_context *context = run->replacer->context;
    uint32_t options = PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_UNSET_EMPTY | PCRE2_SUBSTITUTE_OVERFLOW_LENGTH;
    run->pieces = 0;
    run->last_place = 0;
    pcre2_set_callout(context, on_item, run);
    pcre2_set_substitute_callout(context, on_replaced, run);
    *length = buffer->room;
    return pcre2_substitute(run->checks_each_match ? r->broken : r->valid, (PCRE2_SPTR)run->text.at, run->text.len, 0,
                            options | (run->checks_each_match ? 0 : PCRE2_NO_UTF_CHECK), r->matches, context,
                            (PCRE2_SPTR)r->with, PCRE2_ZERO_TERMINATED, (PCRE2_UCHAR *)buffer->at, length);
}

/* How often something was replaced, or an error of PCRE2's. A result that does not fit says how long it will be. */
static int substitute_with_room(struct run *run, const struct replacement *r, struct buffer *buffer, size_t *length)
{
    int made = substitute(run, r, buffer, length);
    if (made != PCRE2_ERROR_NOMEMORY || *length <= buffer->room || *length > longest_result(run->text.len))
        return made;
    if (!make_room(buffer, *length))
        return PCRE2_ERROR_HEAP_FAILED;
    return substitute(run, r, buffer, length);
}

static enum replace_result result_of_error(int error)
{
    switch (error) {
    case PCRE2_ERROR_NOMEMORY: /* of the output's room */
        return REPLACE_TOO_LARGE;
    case PCRE2_ERROR_HEAP_FAILED:
        return REPLACE_NO_MEMORY;
    default: /* a limit; what else there is, a pattern that was compiled does not bring about */
        return REPLACE_TOO_COMPLEX;
    }
}

enum replace_result replacer_run(struct replacer *replacer, const struct replacement *replacement, int slot,
                                 struct span *text, uint64_t *pieces)
{
    struct buffer *first = &replacer->buffers[slot][0], *second = &replacer->buffers[slot][1];
    struct buffer *to = text->at == first->at && first->at != NULL ? second : first;
    struct run run = {.replacer = replacer, .text = *text};
    size_t length;

    if (text->at == NULL)
        run.text.at = "";
    if (!spend(replacer, 1 + text->len / BYTES_PER_STEP))
        return REPLACE_TOO_COMPLEX;
    run.checks_each_match = !is_utf8(run.text);
    if (!make_room(to, text->len + text->len / 4 + BUFFER_FIRST))
        return REPLACE_NO_MEMORY;
    int made = substitute_with_room(&run, replacement, to, &length);
    if (replacer->budget == 0)
        return REPLACE_TOO_COMPLEX;
    if (made < 0)
        return result_of_error(made);
    if (made == 0)
        return REPLACE_DONE;
    *text = (struct span){.at = to->at, .len = length};
    *pieces += run.pieces;
    return REPLACE_DONE;
}
