/*
 * Restart: which keys of a new file take effect only when shunt starts again.
 *
 * Asked by whoever reloads, to say so in the log. Compares what --dump would write of the rows marked KEY_RESTART, so
 * that a new key needs nothing here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/keys.h"
#include "config/types.h"
#include "config/writer.h"

struct comparison {
    char *names;
    size_t room;
    size_t len;
    bool differs;
};

static void note(struct comparison *comparison, const char *heading, const char *name)
{
    size_t left = comparison->room - comparison->len;
    int wrote = snprintf(comparison->names + comparison->len, left, "%s%s%s%s", comparison->differs ? ", " : "",
                         heading, heading[0] == '\0' ? "" : ".", name);
    comparison->differs = true;
    if (wrote > 0)
        comparison->len += (size_t)wrote < left ? (size_t)wrote : left - (left > 0 ? 1 : 0);
}

static char *value_text(const struct config_key *key, const void *base)
{
    struct writer writer = {.config = NULL};
    writer_raw(&writer, "");
    if (key->type->is_set == NULL || key->type->is_set(key, base))
        key->type->write(&writer, key, base);
    return writer_take(&writer);
}

/* Without memory they count as different: a line too many in a log harms nobody. */
static bool value_differs(const struct config_key *key, const void *running, const void *next)
{
    char *before = value_text(key, running);
    char *after = value_text(key, next);
    bool same = before != NULL && after != NULL && strcmp(before, after) == 0;
    free(before);
    free(after);
    return !same;
}

/* Is there a key in here that a reload cannot change? */
static bool has_restart(const struct config_section *section)
{
    for (const struct config_key *key = section->keys; key->name != NULL; key++) {
        if ((key->flags & KEY_RESTART) != 0 || (key->type == &type_section && has_restart(key->section)))
            return true;
    }
    return false;
}

static void compare(struct comparison *comparison, const struct config_section *section, const char *heading,
                    const void *running, const void *next)
{
    for (const struct config_key *key = section->keys; key->name != NULL; key++) {
        if ((key->flags & KEY_RESTART) != 0) {
            if (value_differs(key, running, next))
                note(comparison, heading, key->name);
            continue;
        }
        if (key->type != &type_section)
            continue;
        const void *a = (const char *)running + key->at;
        const void *b = (const char *)next + key->at;
        bool (*is_set)(const void *) = key->section->is_set;
        bool a_set = is_set == NULL || is_set(a);
        bool b_set = is_set == NULL || is_set(b);
        if (a_set && b_set)
            compare(comparison, key->section, key->section->heading, a, b);
        else if (a_set != b_set && has_restart(key->section))
            note(comparison, heading, key->name);
    }
}

bool config_needs_restart(const struct config *running, const struct config *next, char *names, size_t room)
{
    struct comparison comparison = {.names = names, .room = room};
    if (room > 0)
        names[0] = '\0';
    compare(&comparison, &config_file_section, "", running, next);
    return comparison.differs;
}
