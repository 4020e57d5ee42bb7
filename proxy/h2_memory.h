/*
 * Where nghttp2's memory comes from.
 */
#ifndef SHUNT_PROXY_H2_MEMORY_H
#define SHUNT_PROXY_H2_MEMORY_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

/* One session's; zeroed: nothing was taken. Must outlive the session. */
struct h2_memory {
    char *pages;      /* its own, for both of these */
    bool room_taken;  /* for one frame that goes out */
    bool table_taken; /* of streams */
};

/* For nghttp2_session_*_new3(), which copies it. */
nghttp2_mem h2_memory_for(struct h2_memory *memory);
/* No frame is on its way out: the pages go back until there is one, unless there is a stream. */
void h2_memory_rest(struct h2_memory *memory);

#endif
