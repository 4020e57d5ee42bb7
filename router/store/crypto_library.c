/*
 * The table of libcrypto's functions. Opened by control when a file needs it (proxy/libraries.c), and by whoever hashes
 * without having asked before.
 */
#include "router/store/crypto_library.h"

struct crypto_library libcrypto;

bool crypto_library_open(char why[LIBRARY_WHY_ROOM])
{
#define ROW(member, function) LIBRARY_ROW(crypto_library, member, function)
    static const struct library_function functions[] = {CRYPTO_FUNCTIONS(ROW)};
#undef ROW
    static struct library library = {.soname = SHUNT_CRYPTO_SONAME,
                                     .package = SHUNT_CRYPTO_PACKAGE,
                                     .functions = functions,
                                     .count = sizeof(functions) / sizeof(functions[0]),
                                     .table = &libcrypto};
    return library_open(&library, why);
}
