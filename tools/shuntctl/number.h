/*
 * Numbers for people: 1,204,332 requests, 12.3 ms, 0.4 %, 1h 05m.
 *
 * Pure functions; each writes NUL-terminated text and returns `out`.
 */
#ifndef SHUNT_SHUNTCTL_NUMBER_H
#define SHUNT_SHUNTCTL_NUMBER_H

#include <stdint.h>

enum {
    NUMBER_ROOM = 40
};

char *number_count(uint64_t value, char out[NUMBER_ROOM]);
/* Per second; "0/s", "0.4/s", "81.2/s", "1,204/s". */
char *number_rate(double per_second, char out[NUMBER_ROOM]);
/* A fraction as percentage, with the digits that matter: "0 %", "0.013 %", "2.4 %", "100 %". */
char *number_percent(double fraction, char out[NUMBER_ROOM]);
/* Microseconds as "870 us", "12.3 ms", "1.24 s". */
char *number_latency(double us, char out[NUMBER_ROOM]);
/* Milliseconds as the two largest units: "850ms", "12s", "5m 03s", "1h 05m", "2d 03h". */
char *number_duration(uint64_t ms, char out[NUMBER_ROOM]);

#endif
