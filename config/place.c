/*
 * Places: see place.h. The loader fills the list; whoever finds a fault in one of these files later, on any thread,
 * begins its sentence with the place, as the loader's own faults do.
 */
#include "config/place.h"

#include <stddef.h>

#include "config/arena.h"

bool config_place_add(struct config *config, const char *text, const char *where)
{
    struct config_place *place = config_arena_take(config->arena, 1, sizeof(*place));
    if (place == NULL)
        return false;
    *place = (struct config_place){.next = config->places, .text = text, .where = where};
    config->places = place;
    return true;
}

const char *config_place_of(const struct config *config, const char *text)
{
    for (const struct config_place *place = config->places; place != NULL; place = place->next) {
        if (place->text == text)
            return place->where;
    }
    return NULL;
}
