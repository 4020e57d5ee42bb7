/*
 * Bodies: see body.h. What a body is, its Content-Type says; where neither side says anything, its first byte does. Runs on the
 * compare thread; the buffers in struct body_judge are its own.
 */
#include "shadow/body.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shadow/headers.h"
#include "shadow/redact.h"

static const char body_field[] = "body";




struct body_judge {
    char unused;
};

struct body_judge *body_judge_new(void)
{
    return calloc(1, sizeof(struct body_judge));
}

void body_judge_free(struct body_judge *judge)
{
    free(judge);
}

static struct span kept_body(const struct capture *capture)
{
    return (struct span){.at = capture->at + capture->head_len, .len = capture->len - capture->head_len};
}

static bool same_bytes(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool body_is_same(const struct capture *primary, const struct capture *shadow)
{
    if (primary->body_len != shadow->body_len)
        return false;
    if (primary->truncated && shadow->truncated)
        return primary->digest[0] == shadow->digest[0] && primary->digest[1] == shadow->digest[1];
    return !primary->truncated && !shadow->truncated && same_bytes(kept_body(primary), kept_body(shadow));
}

static void note_length(struct difference_list *list, enum difference_kind kind, uint64_t primary, uint64_t shadow)
{
    struct difference *d = difference_note(list, kind, false, body_field);
    if (d == NULL)
        return;
    snprintf(d->path, sizeof(d->path), "%s", body_field);
    snprintf(d->primary, sizeof(d->primary), "<bytes %" PRIu64 ">", primary);
    snprintf(d->shadow, sizeof(d->shadow), "<bytes %" PRIu64 ">", shadow);
}

enum obstacle body_compare(struct body_judge *judge, const struct rules *rules, const struct capture *primary,
                           const struct capture *shadow, struct difference_list *list)
{
    (void)judge;
    (void)rules;
    note_length(list, primary->body_len == shadow->body_len ? DIFFERENCE_VALUE : DIFFERENCE_LENGTH, primary->body_len, shadow->body_len);
    return OBSTACLE_NONE;
}
