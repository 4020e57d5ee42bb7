/*
 * Libraries that only some files need: opened when they are first needed, so that nobody else pays for them with
 * memory and a longer start.
 *
 * Who uses one has a table with a typed pointer for each function; this fills it. An opened library stays open until
 * the process ends.
 */
#ifndef SHUNT_CONFIG_LIBRARY_H
#define SHUNT_CONFIG_LIBRARY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct library_function {
    const char *name; /* the symbol, with the library's own suffix if it has one */
    size_t at;        /* of its pointer in the table */
};

struct library {
    const char *soname;  /* found when shunt was built: "libcurl.so.4" */
    const char *package; /* the Debian package that holds it; "" where that is not known */
    const struct library_function *functions;
    size_t count;
    void *table; /* its pointers may be called once library_open() has returned true */
    atomic_bool open;
};

enum {
    LIBRARY_WHY_ROOM = 512
};

/* Any thread, any number of times: once it is open, this costs an atomic load. False with a sentence of fault and
 * remedy in `why`: try again whenever you like, somebody may have installed it. May read files. */
bool library_open(struct library *library, char why[LIBRARY_WHY_ROOM]);

/* For the tables: a member for a function of the library, and the row that fills it. A header's macro that gives the
 * function another name is followed. */
#define LIBRARY_MEMBER(member, function)    __typeof__(function) *member;
#define LIBRARY_TEXT(name)                  #name
#define LIBRARY_ROW(type, member, function) {LIBRARY_TEXT(function), offsetof(struct type, member)},

#endif
