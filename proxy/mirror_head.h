/*
 * The head of a copy: the primary's, with X-Shunt-Shadow and with what the route's file changes: the Host, and fields
 * removed, replaced or added (other credentials, for one).
 */
#ifndef SHUNT_PROXY_MIRROR_HEAD_H
#define SHUNT_PROXY_MIRROR_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "router/request.h"

/* What becomes of the head; all borrowed. */
struct mirror_head {
    struct text original; /* as the primary got it: request line, field lines, empty line */
    const struct config_shadow *shadow;
    const struct config_backend *backend; /* where the copy goes */
};

/* An upper bound of what mirror_head_write() writes. */
size_t mirror_head_bound(const struct mirror_head *head);
/*
 * Writes it; returns the bytes written. Names are compared without regard to case. Fields that say where a message ends
 * or what becomes of its connection, Host and X-Shunt-Shadow are not for the file to edit: such an edit does nothing.
 */
size_t mirror_head_write(char *to, const struct mirror_head *head);

/* May the file edit a field of this name? */
bool mirror_head_may_edit(const char *name);

#endif
