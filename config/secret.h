/*
 * Which texts of a configuration came from the environment or from a file, and must not be shown.
 */
#ifndef SHUNT_CONFIG_SECRET_H
#define SHUNT_CONFIG_SECRET_H

#include <stdbool.h>

#include "config/config.h"

struct config_secret {
    struct config_secret *next;
    const char *text;   /* compared by address */
    const char *origin; /* what to write instead: YAML that gives the text again */
};

/* Remembers `text`, of the configuration's memory; `origin` is copied. False without memory. */
bool config_secret_add(struct config *config, const char *text, const char *origin);

/* What to write instead of `text`; NULL when it is no secret. */
const char *config_secret_origin(const struct config *config, const char *text);

#endif
