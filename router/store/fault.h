/*
 * Sentences for people about what went wrong: place, fault, remedy.
 */
#ifndef SHUNT_ROUTER_STORE_FAULT_H
#define SHUNT_ROUTER_STORE_FAULT_H

#include <stdbool.h>

/* *error = what printf would print, malloc'd (NULL without memory). Returns false, for `return fault_set(...)`. */
bool fault_set(char **error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
