/*
 * Opens shared libraries by the name they had when shunt was built, all functions or none. See library.h; the tables
 * are zone.c's (ICU), shadow/xml_library.c's, router/store/digest.c's and proxy/curl_library.c's.
 *
 * Nothing is ever closed: tables are read without a lock, and some libraries leave threads and handlers behind.
 */
#include "config/library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* two threads may want the same one at once */

static void explain(const struct library *library, const char *fault, char why[LIBRARY_WHY_ROOM])
{
    const char *remedy = library->package[0] != '\0' ? "install the Debian package " : "install the package that has ";
    const char *what = library->package[0] != '\0' ? library->package : library->soname;
    snprintf(why, LIBRARY_WHY_ROOM, "%s cannot be loaded (%.300s); %s%s", library->soname,
             fault != NULL ? fault : "no reason is known", remedy, what);
}

/* POSIX lets a pointer to an object hold what dlsym() found; ISO C has no cast from it to a function. */
static void set(void *table, size_t at, void *symbol)
{
    memcpy((char *)table + at, &symbol, sizeof(symbol));
}

static bool open_now(struct library *library, char why[LIBRARY_WHY_ROOM])
{
    void *handle = dlopen(library->soname, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        explain(library, dlerror(), why);
        return false;
    }
    for (size_t i = 0; i < library->count; i++) {
        void *symbol = dlsym(handle, library->functions[i].name);
        if (symbol == NULL) {
            explain(library, dlerror(), why);
            return false;
        }
        set(library->table, library->functions[i].at, symbol);
    }
    return true;
}

bool library_open(struct library *library, char why[LIBRARY_WHY_ROOM])
{
    if (atomic_load_explicit(&library->open, memory_order_acquire))
        return true;
    pthread_mutex_lock(&lock);
    bool open = atomic_load_explicit(&library->open, memory_order_relaxed) || open_now(library, why);
    atomic_store_explicit(&library->open, open, memory_order_release);
    pthread_mutex_unlock(&lock);
    return open;
}
