/*
 * The table of libcurl's functions. Opened by control when it reads a file (libraries.c), used by the thread "notify"
 * alone but for a few calls of notify.c before that thread runs and to wake it.
 */
#include "proxy/curl_library.h"

struct curl_library libcurl;

bool curl_library_open(char why[LIBRARY_WHY_ROOM])
{
#define ROW(member, function) LIBRARY_ROW(curl_library, member, function)
    static const struct library_function functions[] = {CURL_FUNCTIONS(ROW)};
#undef ROW
    static struct library library = {.soname = SHUNT_CURL_SONAME,
                                     .package = SHUNT_CURL_PACKAGE,
                                     .functions = functions,
                                     .count = sizeof(functions) / sizeof(functions[0]),
                                     .table = &libcurl};
    return library_open(&library, why);
}
