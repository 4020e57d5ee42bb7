/*
 * Reads the admin token's file for each request that needs the token, so that who swaps it, as a kubelet does with a
 * changed Secret, need not tell us: shuntctl beside us reads the same file, and a hook that it runs must not be refused
 * because we know an older one. A small file, read at once. Called by admin.c on the control thread; remembers nothing.
 */
#include "proxy/admin_token.h"

#include <stddef.h>
#include <string.h>
#include <sys/types.h>

#include "config/file.h"

static bool is_visible(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= 0x20 || text[i] >= 0x7f)
            return false;
    }
    return true;
}

bool admin_token_read(const char *path, char text[ADMIN_TOKEN_ROOM])
{
    const char *why;
    ssize_t got = path != NULL ? file_read_regular(path, text, ADMIN_TOKEN_ROOM, &why) : -1;
    size_t len = got > 0 ? (size_t)got : 0;
    if (len > 0 && len < ADMIN_TOKEN_ROOM && text[len - 1] == '\n')
        len -= len > 1 && text[len - 2] == '\r' ? 2 : 1;
    if (len == 0 || len >= ADMIN_TOKEN_ROOM || !is_visible(text, len)) {
        explicit_bzero(text, ADMIN_TOKEN_ROOM);
        return false;
    }
    text[len] = '\0';
    return true;
}
