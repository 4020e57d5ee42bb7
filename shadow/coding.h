/*
 * Content codings (RFC 9110 section 8.4.1): turns a compressed body back into what was meant, within a bound.
 */
#ifndef SHUNT_SHADOW_CODING_H
#define SHUNT_SHADOW_CODING_H

#include <stdbool.h>
#include <stddef.h>

enum coding_result {
    CODING_DONE,
    CODING_UNKNOWN,   /* a coding that is not decoded here, or several at once */
    CODING_BROKEN,    /* not what the header says, or cut off */
    CODING_TOO_LARGE, /* more than the bound comes out */
    CODING_NO_MEMORY,
};

/* Where a decoded body lies; used again for the next one. A zeroed struct is empty. */
struct coding_output {
    char *at; /* owned */
    size_t len, room;
};

/* Does a Content-Encoding value of this text change the body at all? "" and "identity" do not. */
bool coding_is_identity(const char *name, size_t name_len);

/* Decodes "gzip", "x-gzip" and "deflate" (with or without zlib's header, as both are sent). At most `limit` bytes. */
enum coding_result coding_decode(const char *name, size_t name_len, const char *at, size_t len, size_t limit,
                                 struct coding_output *output);

/* Gives back a large buffer. */
void coding_output_trim(struct coding_output *output);
void coding_output_done(struct coding_output *output);

#endif
