/*
 * The table of ICU's functions, for zone.c. Their names end in ICU's version ("ucal_open_72"), which its headers know.
 */
#include "config/icu_library.h"

struct icu_library icu;

bool icu_library_open(char why[LIBRARY_WHY_ROOM])
{
#define ROW(member, function) LIBRARY_ROW(icu_library, member, function)
    static const struct library_function functions[] = {ICU_FUNCTIONS(ROW)};
#undef ROW
    static struct library library = {.soname = SHUNT_ICU_SONAME, /* of the calendars; it brings the other one along */
                                     .package = SHUNT_ICU_PACKAGE,
                                     .functions = functions,
                                     .count = sizeof(functions) / sizeof(functions[0]),
                                     .table = &icu};
    return library_open(&library, why);
}
