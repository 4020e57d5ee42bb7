/*
 * One row for each library that not every file needs. A file that needs one which is not there is refused like one with
 * a fault: at start, by a reload, and by --check.
 *
 * ICU is not among them: the loader itself asks it (config/zone.c) and tells the line. libxml2 is opened by the compare
 * thread when the first answers of XML differ, as most routes never see any; where it is missing, such pairs are not
 * comparable (no_libxml2).
 */
#include "proxy/libraries.h"

#include <stdint.h>
#include <stdio.h>

#include "config/config.h"
#include "config/faults.h"
#include "proxy/curl_library.h"
#include "router/store/crypto_library.h"
#include "shadow/xml_library.h"

enum {
    LINE_ROOM = LIBRARY_WHY_ROOM + 4096
};

/* ---- who needs it: the key, or NULL ---- */

static const char *needs_curl(const struct config *config)
{
    if (config->notify_count > 0)
        return "notify";
    for (uint32_t i = 0; i < config->route_count; i++)
        for (uint32_t j = 0; j < config->routes[i].stage_count; j++)
            if (config->routes[i].stages[j].gates.webhook.url != NULL)
                return "gates.webhook";
    return NULL;
}

static const char *needs_crypto(const struct config *config)
{
    if (config->state.directory != NULL)
        return "state.directory";
    for (uint32_t i = 0; i < config->route_count; i++)
        if (config->routes[i].shadow.samples.values == SAMPLES_HASHED)
            return "shadow.samples.values: hashed";
    return NULL;
}

static bool mirrors(const struct config_route *route)
{
    bool does = route->stage_count == 0 && route->shadow.percent > 0;
    for (uint32_t i = 0; i < route->stage_count; i++)
        does = does || route->stages[i].shadow > 0;
    return does;
}

static const char *needs_xml(const struct config *config)
{
    for (uint32_t i = 0; i < config->route_count; i++)
        if (mirrors(&config->routes[i]))
            return "shadow";
    return NULL;
}

static const struct row {
    const char *(*key)(const struct config *config);
    bool (*open)(char why[LIBRARY_WHY_ROOM]);
    enum libraries_wanted from; /* not opened for less than this */
} rows[] = {
    {needs_curl, curl_library_open, LIBRARIES_NOW},
    {needs_crypto, crypto_library_open, LIBRARIES_NOW},
    {needs_xml, xml_library_open, LIBRARIES_ALL},
};

bool libraries_open(const struct config *config, enum libraries_wanted wanted, struct config_errors *errors)
{
    bool good = true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char why[LIBRARY_WHY_ROOM], line[LINE_ROOM];
        const char *key = wanted >= rows[i].from ? rows[i].key(config) : NULL;
        if (key == NULL || rows[i].open(why))
            continue;
        snprintf(line, sizeof(line), "%.4000s: %s: %s", config->file, key, why);
        (void)config_errors_add(errors, line);
        good = false;
    }
    return good;
}
