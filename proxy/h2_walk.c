/*
 * Frame by frame over bytes: see h2_walk.h. Any thread; looks at nothing but lengths.
 */
#include "proxy/h2_walk.h"

#include <string.h>

static void read_head(const uint8_t *head, nghttp2_frame_hd *frame)
{
    memset(frame, 0, sizeof(*frame));
    frame->length = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    frame->type = head[3];
    frame->flags = head[4];
    frame->stream_id =
        (int32_t)((uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8]);
}

bool h2_walk_next(struct h2_walk *walk, const uint8_t **at, const uint8_t *end, nghttp2_frame_hd *frame)
{
    size_t left = (size_t)(end - *at), skipped = walk->skip < left ? walk->skip : left;
    *at += skipped;
    left -= skipped;
    walk->skip -= (uint32_t)skipped;
    if (walk->skip > 0)
        return false;
    size_t missing = (size_t)(H2_FRAME_HEAD - walk->have), take = missing < left ? missing : left;
    if (take > 0)
        memcpy(walk->head + walk->have, *at, take);
    *at += take;
    walk->have = (uint8_t)(walk->have + take);
    if (walk->have < H2_FRAME_HEAD)
        return false;
    walk->have = 0;
    read_head(walk->head, frame);
    walk->skip = (uint32_t)frame->length;
    return true;
}
