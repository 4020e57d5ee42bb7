/*
 * The heads of frames in a stream of bytes (RFC 9113 section 4.1), for what nghttp2 passes over in silence.
 */
#ifndef SHUNT_PROXY_H2_WALK_H
#define SHUNT_PROXY_H2_WALK_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    H2_FRAME_HEAD = 9
};

struct h2_walk {
    uint32_t skip; /* bytes until the next frame: what is left of a payload, or of the preface */
    uint8_t have;  /* of the next frame's head */
    uint8_t head[H2_FRAME_HEAD];
};

/* The next frame whose head is complete in [*at, end), which moves on. False: there is none, and all bytes were taken.
 */
bool h2_walk_next(struct h2_walk *walk, const uint8_t **at, const uint8_t *end, nghttp2_frame_hd *frame);

#endif
