/*
 * Makes the sentences that the rooms hand up; whoever knows the whole logs them once.
 */
#include "router/store/fault.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

bool fault_set(char **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vasprintf(error, format, args) < 0)
        *error = NULL;
    va_end(args);
    return false;
}
