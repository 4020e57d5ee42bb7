/*
 * Secrets: a list of texts by address, kept with the configuration that owns them.
 *
 * The loader adds while it reads; --dump asks. A value is a secret by where it came from, not by which key it belongs
 * to, so that a new key cannot be forgotten here.
 */
#include "config/secret.h"

#include <string.h>

#include "config/arena.h"

bool config_secret_add(struct config *config, const char *text, const char *origin)
{
    struct config_secret *secret = config_arena_take(config->arena, 1, sizeof(*secret));
    const char *copy = config_arena_text(config->arena, origin, strlen(origin));
    if (secret == NULL || copy == NULL)
        return false;
    *secret = (struct config_secret){.next = config->secrets, .text = text, .origin = copy};
    config->secrets = secret;
    return true;
}

const char *config_secret_origin(const struct config *config, const char *text)
{
    for (const struct config_secret *secret = config->secrets; secret != NULL; secret = secret->next) {
        if (secret->text == text)
            return secret->origin;
    }
    return NULL;
}
