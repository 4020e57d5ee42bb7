/*
 * Recorded requests, read from an HTTP archive (HAR 1.2) or from lines of JSON, made ready to be sent again.
 */
#ifndef SHUNT_SHUNTCTL_COMPARE_INPUT_H
#define SHUNT_SHUNTCTL_COMPARE_INPUT_H

#include <stdbool.h>
#include <stddef.h>

enum {
    RECORDED_BYTES_MAX = 1024 * 1024 * 1024 /* of a file */
};

struct recorded { /* everything owned */
    char *method;
    char *target;   /* path and query: begins with "/", only what may stand in a request line */
    char **headers; /* "Name: value"; without those of one connection and HTTP/2's pseudo headers */
    size_t header_count;
    char *body; /* NULL: none */
    size_t body_length;
};

struct recording {
    struct recorded *at; /* owned */
    size_t count, room;
    size_t bad; /* entries that are not requests; each was told */
};

/*
 * Reads text in memory; `name` stands for the file in messages. Calls `tell` for each entry that is no request, with a
 * sentence such as "requests.jsonl:17: no \"url\"". True, unless memory ran out. Zero *recording first, free it in
 * either case.
 */
bool recording_parse(struct recording *recording, const char *name, const char *text, size_t length,
                     void (*tell)(void *context, const char *sentence), void *context);
void recording_free(struct recording *recording);

/* Is this "Name: value" (or "Name:") of one connection, or not a header at all? */
bool recorded_header_is_left_out(const char *name, size_t length);

#endif
