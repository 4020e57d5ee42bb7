/*
 * Cohorts: a number from 0 to 9999 for each user of a route; those below the share go to the new side. A share that
 * grows only adds numbers, so a user only ever moves from legacy to new.
 *
 *   seed   = XXH3_64bits(route name)
 *   hash   = XXH3_64bits_withSeed(value of the key, seed)
 *   number = (high 32 bits of hash) * 10000 / 2^32
 *
 * The value is what decides, not where it was found: a user id counts the same as a header or as a cookie. These
 * formulas are a promise: another version, replica or machine must give the same numbers. XXH3 is defined byte by byte
 * and does not depend on the machine's byte order. (In the key `random` the number comes from the request's random bits
 * alone.)
 */
#ifndef SHUNT_ROUTER_COHORT_H
#define SHUNT_ROUTER_COHORT_H

#include "config/config.h"
#include "router/request.h"

/* XXH3_64bits(route name + suffix). The suffixes "/shadow" and "/noise" give samples that do not depend on the cohort.
 */
uint64_t cohort_seed(const char *route, const char *suffix);

/* The number of a hash; its low half has no part in it and may serve for something else. */
uint32_t cohort_of_hash(uint64_t hash);

uint32_t cohort_of(uint64_t seed, const void *key, size_t len);

/* 0..9999 from random bits: a fresh draw for each request and seed. */
uint32_t cohort_draw(uint64_t seed, uint64_t random);

/*
 * The cohort of a request: the first of `sticky` that is there and not empty decides, and its index goes to *used.
 * Without any, the client's address decides (*used is -1); a client without an address (unix socket) is drawn at
 * random.
 */
uint32_t cohort_of_request(uint64_t seed, const struct config_sticky *sticky, uint32_t count,
                           const struct request_facts *facts, int32_t *used);

/* The same before it is made a number: the hash of the key's value. */
uint64_t cohort_hash_of_request(uint64_t seed, const struct config_sticky *sticky, uint32_t count,
                                const struct request_facts *facts, int32_t *used);

/*
 * Marks for sketch.h. Of the client: of its key's `hash`, but of its address where the key is `random`, since chance
 * would make every request a client of its own. Of the path: without the query.
 */
uint16_t cohort_key_mark(uint64_t hash, const struct config_sticky *key, const struct request_facts *facts);
uint16_t cohort_path_mark(const struct request_facts *facts);

#endif
