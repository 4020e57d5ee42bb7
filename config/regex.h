/*
 * Regular expressions a file holds: are they good, and does what replaces their matches fit them?
 */
#ifndef SHUNT_CONFIG_REGEX_H
#define SHUNT_CONFIG_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct regex_fault {
    bool no_memory;
    size_t offset; /* bytes from the beginning, of what is wrong */
    char text[128];
};

/* How everybody compiles a pattern of the file: characters are those of UTF-8, and bytes that are none match nothing.
 */
uint32_t regex_options(void);

/* False: *fault says why. */
bool regex_is_valid(const char *pattern, struct regex_fault *fault);

/*
 * May `with` replace matches of the pattern? "$1", "${1}" and "$0" stand for groups, "$$" for a dollar. NULL when it
 * may, else what is wrong with it (static text). True too where the pattern itself is bad, which was told already.
 */
const char *regex_replacement_fault(const char *pattern, const char *with);

#endif
