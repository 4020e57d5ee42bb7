/*
 * Wall clock times as text: RFC 3339, UTC, milliseconds.
 */
#ifndef SHUNT_ROUTER_STORE_TIMESTAMP_H
#define SHUNT_ROUTER_STORE_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

enum {
    TIMESTAMP_ROOM = 25
}; /* "2025-01-31T23:59:59.999Z" and its NUL */

/* Any thread; no locale, no time zone file, no system call. Years beyond 9999 are printed as the end of 9999. */
void timestamp_print(char text[TIMESTAMP_ROOM], uint64_t wall_ms);
/* Reads what timestamp_print() prints. False when it is anything else. */
bool timestamp_read(const char *text, uint64_t *wall_ms);

#endif
