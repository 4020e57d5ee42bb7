/*
 * What shunt answers itself, whatever codec the client speaks: a short text that says why.
 */
#ifndef SHUNT_PROXY_ANSWER_H
#define SHUNT_PROXY_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

enum {
    ANSWER_HEAD_ROOM = 320
};

/* Writes the head of the answer as HTTP/1.1, for a body of `length` bytes. `close`: says that the connection ends.
 * Returns its bytes, 0 when the room is too small, which it never is for ANSWER_HEAD_ROOM. */
size_t answer_head(char *to, size_t room, unsigned status, size_t length, bool close);

#endif
