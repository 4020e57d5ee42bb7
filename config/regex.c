/*
 * Regular expressions: compiled once while a file is checked, and thrown away.
 *
 * Called by the loader's types. shadow/ compiles them for itself with the same options, so that what was accepted here
 * works there.
 */
#include "config/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

uint32_t regex_options(void)
{
    return PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
}

static pcre2_code *compile(const char *pattern, int *error, size_t *offset)
{
    return pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, regex_options(), error, offset, NULL);
}

bool regex_is_valid(const char *pattern, struct regex_fault *fault)
{
    int error = 0;
    *fault = (struct regex_fault){0};
    pcre2_code *code = compile(pattern, &error, &fault->offset);
    if (code != NULL) {
        pcre2_code_free(code);
        return true;
    }
    fault->no_memory = error == PCRE2_ERROR_HEAP_FAILED;
    if (pcre2_get_error_message(error, (PCRE2_UCHAR *)fault->text, sizeof(fault->text)) < 0 && fault->text[0] == '\0')
        memcpy(fault->text, "it is wrong", sizeof("it is wrong"));
    return false;
}

static uint32_t group_count(const char *pattern)
{
    int error = 0;
    size_t offset = 0;
    uint32_t count = 0;
    pcre2_code *code = compile(pattern, &error, &offset);
    if (code == NULL || pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &count) != 0)
        count = UINT32_MAX;
    pcre2_code_free(code);
    return count;
}

/* Reads the number at *at and steps over it; more than three digits are no group. */
static uint32_t group_at(const char **at)
{
    uint32_t group = 0;
    size_t digits = strspn(*at, "0123456789");
    for (size_t i = 0; i < digits && i < 4; i++)
        group = group * 10 + (uint32_t)((*at)[i] - '0');
    *at += digits;
    return group;
}

const char *regex_replacement_fault(const char *pattern, const char *with)
{
    const char *at = strchr(with, '$');
    if (at == NULL)
        return NULL;
    uint32_t groups = group_count(pattern);
    for (; at != NULL; at = strchr(at, '$')) {
        bool braced = at[1] == '{';
        at += braced ? 2 : 1;
        if (!braced && *at == '$') {
            at++;
            continue;
        }
        if (*at < '0' || *at > '9')
            return "has a $ that stands for no group";
        if (group_at(&at) > groups)
            return "names a group that the pattern does not have";
        if (braced && *at++ != '}')
            return "has a $ that stands for no group";
    }
    return NULL;
}
