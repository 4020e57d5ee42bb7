/*
 * The query of a request target as name=value pairs (the URL standard's application/x-www-form-urlencoded): "&"
 * separates pairs, the first "=" ends the name, "+" is a blank, %XY is a byte; a "%" that no two digits follow stands
 * for itself. Nothing is decoded into memory: text is compared and hashed as it is read.
 */
#ifndef SHUNT_ROUTER_QUERY_H
#define SHUNT_ROUTER_QUERY_H

#include "router/request.h"

struct query_pair {
    struct text name;  /* as it came */
    struct text value; /* as it came; empty without "=" */
};

/* Takes the first pair off `rest`. Empty pairs are skipped. False at the end. */
bool query_next(struct text *rest, struct query_pair *pair);

/* Decodes the first byte of *text and steps over it; *text must not be empty. */
uint8_t query_take_byte(struct text *text);

/* Is `encoded`, once decoded, `plain`? */
bool query_equals(struct text encoded, const char *plain, size_t len);

/* Are there bytes to decode? */
bool query_is_encoded(struct text text);

#endif
