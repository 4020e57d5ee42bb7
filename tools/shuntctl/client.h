/*
 * A small HTTP/1.1 client: one connection, one request, one bounded answer, one deadline for all of it.
 */
#ifndef SHUNT_SHUNTCTL_CLIENT_H
#define SHUNT_SHUNTCTL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CLIENT_TOKEN_ROOM = 4096,
    CLIENT_HOST_ROOM = 256
};

struct client {
    char host[CLIENT_HOST_ROOM]; /* without brackets */
    char port[8];
    char token[CLIENT_TOKEN_ROOM]; /* empty: none */
    uint64_t timeout_ms;
};

struct answer {
    int status;
    char type[64]; /* of the body; empty: none was told */
    char *body;    /* malloc'd, NUL-terminated */
    size_t length;
};

/* Reads "HOST:PORT", "[V6]:PORT" or ":PORT", with or without "http://". False with a malloc'd sentence in *error. */
bool client_init(struct client *client, const char *admin, uint64_t timeout_ms, char **error);
/* Takes the token, less its final newline. False as above: it is empty, too long or cannot stand in a header. */
bool client_set_token(struct client *client, const char *token, const char *source, char **error);
/* Reads it from a file. */
bool client_read_token(struct client *client, const char *file, char **error);

/*
 * Sends a request and reads the answer. `body` may be NULL; otherwise it is JSON. True when an answer came, whatever
 * its status: answer->body is then the caller's. False with a malloc'd sentence in *error (NULL without memory).
 */
bool client_call(const struct client *client, const char *method, const char *path, const char *body,
                 struct answer *answer, char **error);

#endif
