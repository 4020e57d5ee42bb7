/*
 * The token in admin.token_file as the file is now.
 */
#ifndef SHUNT_PROXY_ADMIN_TOKEN_H
#define SHUNT_PROXY_ADMIN_TOKEN_H

#include <stdbool.h>

enum {
    ADMIN_TOKEN_ROOM = 4096
};

/*
 * Fills `text` with the file's one line, by the rules the configuration reads it with: visible ASCII, the end of the
 * line left out. False, with nothing in `text`, where the file cannot be read or has something else: the token read
 * last is in force then. `path` NULL is false. Any thread.
 */
bool admin_token_read(const char *path, char text[ADMIN_TOKEN_ROOM]);

#endif
