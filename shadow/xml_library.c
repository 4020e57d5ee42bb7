/*
 * The table of libxml2's functions. Opened by the compare thread, and by `shunt --check`, which wants to know whether
 * it could be.
 */
#include "shadow/xml_library.h"

#include <pthread.h>

struct xml_library libxml;

static void init(void)
{
    libxml.init_parser();
}

bool xml_library_open(char why[LIBRARY_WHY_ROOM])
{
#define ROW(member, function) LIBRARY_ROW(xml_library, member, function)
    static const struct library_function functions[] = {XML_FUNCTIONS(ROW)};
#undef ROW
    static struct library library = {.soname = SHUNT_LIBXML_SONAME,
                                     .package = SHUNT_LIBXML_PACKAGE,
                                     .functions = functions,
                                     .count = sizeof(functions) / sizeof(functions[0]),
                                     .table = &libxml};
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!library_open(&library, why))
        return false;
    pthread_once(&once, init);
    return true;
}
