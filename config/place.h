/*
 * Where the file says what is looked at only later, by others: the paths of files that they open.
 */
#ifndef SHUNT_CONFIG_PLACE_H
#define SHUNT_CONFIG_PLACE_H

#include <stdbool.h>

#include "config/config.h"

struct config_place {
    struct config_place *next;
    const char *text;  /* compared by address */
    const char *where; /* as faults begin: "shunt.yaml:3:12: listeners[0].tls.key" */
};

/* Remembers both, of the configuration's memory. False without memory. config_place_of() in config.h finds it. */
bool config_place_add(struct config *config, const char *text, const char *where);

#endif
