/*
 * Which of the libraries that are opened only when needed (config/library.h) a configuration needs.
 */
#ifndef SHUNT_PROXY_LIBRARIES_H
#define SHUNT_PROXY_LIBRARIES_H

#include <stdbool.h>

struct config;
struct config_errors;

enum libraries_wanted {
    LIBRARIES_NOW, /* those that must be there before the configuration is taken into use */
    LIBRARIES_ALL, /* also those that are opened when traffic first needs them: to find out that they can be */
};

/* Opens them. False with a line for each one that cannot be, which names the key that needs it. Reads files: at start,
 * reload and --check, on the control thread. */
bool libraries_open(const struct config *config, enum libraries_wanted wanted, struct config_errors *errors);

#endif
