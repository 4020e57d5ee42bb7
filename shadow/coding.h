/*
 * Content codings (RFC 9110 section 8.4.1): turns a compressed body back into what was meant, within a bound.
 */
#ifndef SHUNT_SHADOW_CODING_H
#define SHUNT_SHADOW_CODING_H

#include <stdbool.h>
#include <stddef.h>

enum coding_result {
    CODING_DONE,
    CODING_UNKNOWN,   /* a coding that is not decoded here, or more than CODINGS_MAX in a row */
    CODING_BROKEN,    /* not what the header says, cut off, or something follows it */
    CODING_TOO_LARGE, /* more than the bound comes out, or a larger window is asked for than is given */
    CODING_NO_MEMORY,
};

enum {
    CODINGS_MAX = 4
};

/* Where a decoded body lies; used again for the next one. A zeroed struct is empty. */
struct coding_output {
    char *at; /* owned */
    size_t len, room;
};

/* Does a Content-Encoding value of this text change the body at all? "" and "identity" do not. */
bool coding_is_identity(const char *names, size_t len);

/*
 * Undoes the codings of a Content-Encoding value, last one first: gzip, x-gzip, deflate (with or without zlib's header,
 * as both are sent), br, zstd, and identity among them. Neither the result nor any step on the way is larger than
 * `limit` bytes, and no decoder's window larger than 16 MiB.
 */
enum coding_result coding_decode(const char *names, size_t names_len, const char *at, size_t len, size_t limit,
                                 struct coding_output *output);

/* Gives back a large buffer. */
void coding_output_trim(struct coding_output *output);
void coding_output_done(struct coding_output *output);

#endif
