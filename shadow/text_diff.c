/*
 * Text difference: see text_diff.h.
 *
 * The lines that agree at both ends are taken away; what is left goes through the greedy algorithm of E. W. Myers ("An
 * O(ND) Difference Algorithm", 1986), which finds the length of the shortest edit script. The script itself is not
 * wanted: its length and the two numbers of lines give how many were removed and added. Texts that differ in more than
 * EDITS_MAX lines are not counted exactly. Runs on the compare thread.
 */
#include "shadow/text_diff.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

enum {
    EDITS_MAX = 400,
    LINES_MAX = 200 * 1000,
    LINES_KEPT = 16 * 1024
};

struct line {
    struct text_line text;
    uint64_t hash;
};

struct text_diff {
    struct line *lines; /* owned: those of the first text, then those of the second */
    uint32_t room;
    int32_t furthest[2 * EDITS_MAX + 3]; /* Myers' V: how far each diagonal has come */
};

struct text_diff *text_diff_new(void)
{
    return calloc(1, sizeof(struct text_diff));
}

void text_diff_free(struct text_diff *diff)
{
    if (diff != NULL)
        free(diff->lines);
    free(diff);
}

static struct text_line line_at(const char *at, size_t left)
{
    const char *end = left == 0 ? NULL : memchr(at, '\n', left);
    return (struct text_line){.at = at, .len = end == NULL ? left : (size_t)(end - at)};
}

/* Bytes up to and including the line's end. */
static size_t whole_line(struct text_line line, size_t left)
{
    return line.len < left ? line.len + 1 : line.len;
}

static uint32_t count_lines(const char *at, size_t len)
{
    uint32_t count = 0;
    for (size_t i = 0; i < len && count <= LINES_MAX; count++)
        i += whole_line(line_at(at + i, len - i), len - i);
    return count;
}

static void split(struct line *to, const char *at, size_t len)
{
    for (size_t i = 0; i < len; to++) {
        to->text = line_at(at + i, len - i);
        to->hash = XXH3_64bits(to->text.at, to->text.len);
        i += whole_line(to->text, len - i);
    }
}

static bool lines_equal(const struct line *a, const struct line *b)
{
    return a->hash == b->hash && a->text.len == b->text.len && memcmp(a->text.at, b->text.at, a->text.len) == 0;
}

static bool make_room(struct text_diff *diff, uint32_t count)
{
    if (count <= diff->room)
        return true;
    struct line *lines = realloc(diff->lines, count * sizeof(*lines));
    if (lines == NULL)
        return false;
    diff->lines = lines;
    diff->room = count;
    return true;
}

static void give_back(struct text_diff *diff)
{
    if (diff->room <= LINES_KEPT)
        return;
    free(diff->lines);
    diff->lines = NULL;
    diff->room = 0;
}

struct range {
    const struct line *lines;
    int32_t count;
};

static void trim(struct range *a, struct range *b, uint32_t *before)
{
    while (a->count > 0 && b->count > 0 && lines_equal(a->lines, b->lines)) {
        a->lines++;
        b->lines++;
        a->count--;
        b->count--;
        ++*before;
    }
    while (a->count > 0 && b->count > 0 && lines_equal(&a->lines[a->count - 1], &b->lines[b->count - 1])) {
        a->count--;
        b->count--;
    }
}

/* The length of the shortest edit script, or -1 when it is longer than EDITS_MAX. */
static int32_t count_edits(struct text_diff *diff, struct range a, struct range b)
{
    int32_t *v = diff->furthest + EDITS_MAX + 1;
    v[1] = 0;
    for (int32_t d = 0; d <= EDITS_MAX; d++) {
        for (int32_t k = -d; k <= d; k += 2) {
            int32_t x = k == -d || (k != d && v[k - 1] < v[k + 1]) ? v[k + 1] : v[k - 1] + 1;
            int32_t y = x - k;
            while (x < a.count && y >= 0 && y < b.count && lines_equal(&a.lines[x], &b.lines[y])) {
                x++;
                y++;
            }
            v[k] = x;
            if (x >= a.count && y >= b.count)
                return d;
        }
    }
    return -1;
}

static void conclude(struct text_diff *diff, struct range a, struct range b, uint32_t before,
                     struct text_difference *to)
{
    *to = (struct text_difference){.exact = true};
    if (a.count == 0 && b.count == 0)
        return;
    to->line = before + 1;
    if (a.count > 0)
        to->first = a.lines[0].text;
    if (b.count > 0)
        to->second = b.lines[0].text;
    int32_t edits = count_edits(diff, a, b);
    to->exact = edits >= 0;
    to->removed = to->exact ? (uint32_t)(edits + a.count - b.count) / 2 : (uint32_t)a.count;
    to->added = to->exact ? (uint32_t)edits - to->removed : (uint32_t)b.count;
}

bool text_diff_run(struct text_diff *diff, const char *a, size_t a_len, const char *b, size_t b_len,
                   struct text_difference *difference)
{
    uint32_t a_count = count_lines(a, a_len), b_count = count_lines(b, b_len), before = 0;
    if (a_count > LINES_MAX || b_count > LINES_MAX) { /* taken as one line each */
        *difference =
            (struct text_difference){.line = 1, .removed = 1, .added = 1, .first = {a, a_len}, .second = {b, b_len}};
        return true;
    }
    if (!make_room(diff, a_count + b_count + 1)) /* never none: two empty texts are ranges, too */
        return false;
    if (a_count > 0)
        split(diff->lines, a, a_len);
    if (b_count > 0)
        split(diff->lines + a_count, b, b_len);
    struct range x = {diff->lines, (int32_t)a_count}, y = {diff->lines + a_count, (int32_t)b_count};
    trim(&x, &y, &before);
    conclude(diff, x, y, before, difference);
    give_back(diff);
    return true;
}
