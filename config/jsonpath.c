/*
 * JSON paths: a check of their form, so that a slip is told with its line and not by a difference that is never
 * ignored.
 */
#include "config/jsonpath.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A step reader returns what stands behind the step, or NULL with *why. */

static const char *step_name(const char *at, const char **why)
{
    if (*at == '*')
        return at + 1;
    size_t len = 0;
    while ((unsigned char)at[len] >= 0x80 || (at[len] != '\0' && strchr(".[]*'\" \t", at[len]) == NULL))
        len++;
    *why = "has no name behind a point";
    return len > 0 ? at + len : NULL;
}

static const char *step_quoted(const char *at, const char **why)
{
    char quote = *at++;
    const char *start = at;
    while (*at != '\0' && *at != quote)
        at += at[0] == '\\' && at[1] != '\0' ? 2 : 1;
    if (*at == '\0' || at == start) {
        *why = "has a name in quotes that is empty or not closed";
        return NULL;
    }
    return at + 1;
}

static const char *step_index(const char *at, const char **why)
{
    uint64_t index = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        index = index * 10 + (uint64_t)(*at - '0');
        if (index > UINT32_MAX) {
            *why = "has an index above 4294967295";
            return NULL;
        }
    }
    return at;
}

static const char *step_bracket(const char *at, const char **why)
{
    const char *end = at;
    if (*at == '\'' || *at == '"')
        end = step_quoted(at, why);
    else if (*at == '*')
        end = at + 1;
    else
        end = step_index(at, why);
    if (end == NULL)
        return NULL;
    if (end == at || *end != ']' || end - at > 258) {
        *why = "has neither a number, nor *, nor a name in quotes between [ and ]";
        return NULL;
    }
    return end + 1;
}

enum {
    STEPS = 63
};

const char *jsonpath_fault(const char *text)
{
    const char *why = NULL;
    unsigned steps = 0;
    if (text[0] != '$')
        return "does not start with $";
    const char *at = text + 1;
    while (at != NULL && *at != '\0') {
        if (++steps > STEPS)
            return "has more than 63 steps";
        if (at[0] == '.' && at[1] == '.')
            at = at[2] == '[' ? step_bracket(at + 3, &why) : step_name(at + 2, &why);
        else if (at[0] == '.')
            at = step_name(at + 1, &why);
        else if (at[0] == '[')
            at = step_bracket(at + 1, &why);
        else
            return "has a step that starts with neither . nor [";
    }
    return at == NULL ? why : NULL;
}
