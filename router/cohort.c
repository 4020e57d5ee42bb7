/*
 * From a request to its cohort number. On worker threads, once per request: no allocation, and one hash in the usual
 * case. xxHash is compiled in (XXH_INLINE_ALL) because a call into the library costs more than hashing a short key.
 */
#include "router/cohort.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "router/cookie.h"
#include "router/query.h"
#include "router/text.h"

uint64_t cohort_seed(const char *route, const char *suffix)
{
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, route, strlen(route));
    XXH3_64bits_update(&state, suffix, strlen(suffix));
    return XXH3_64bits_digest(&state);
}

/* Multiply and shift (D. Lemire, "Fast random integer generation in an interval", 2019): even to 1 part in 400,000. */
uint32_t cohort_of_hash(uint64_t hash)
{
    return (uint32_t)(((hash >> 32) * SHARE_ALL) >> 32);
}

static uint64_t hash_of(uint64_t seed, const void *key, size_t len)
{
    return XXH3_64bits_withSeed(key, len, seed);
}

uint32_t cohort_of(uint64_t seed, const void *key, size_t len)
{
    return cohort_of_hash(hash_of(seed, key, len));
}

uint32_t cohort_draw(uint64_t seed, uint64_t random)
{
    return cohort_of_hash(hash_of(seed, &random, sizeof(random)));
}

static bool header_hash(uint64_t seed, const struct config_sticky *key, const struct request_facts *facts,
                        uint64_t *hash)
{
    for (uint32_t i = 0; i < facts->field_count; i++) {
        const struct field *field = &facts->fields[i];
        if (field->value.len > 0 && text_equals_fold(field->name, key->name, key->name_len)) {
            *hash = hash_of(seed, field->value.at, field->value.len);
            return true;
        }
    }
    return false;
}

static bool cookie_hash(uint64_t seed, const struct config_sticky *key, const struct request_facts *facts,
                        uint64_t *hash)
{
    struct text value;
    if (!cookie_find(facts, (struct text){key->name, key->name_len}, &value))
        return false;
    *hash = hash_of(seed, value.at, value.len);
    return true;
}

/* Hashes the decoded value piece by piece; the same number as hashing it in one. */
static uint64_t encoded_hash(uint64_t seed, struct text value)
{
    XXH3_state_t state;
    uint8_t piece[128];
    memset(&state, 0, sizeof(state)); /* the reset looks at the seed that was there before */
    XXH3_64bits_reset_withSeed(&state, seed);
    while (value.len > 0) {
        size_t used = 0;
        while (value.len > 0 && used < sizeof(piece))
            piece[used++] = query_take_byte(&value);
        XXH3_64bits_update(&state, piece, used);
    }
    return XXH3_64bits_digest(&state);
}

static bool query_hash(uint64_t seed, const struct config_sticky *key, const struct request_facts *facts,
                       uint64_t *hash)
{
    struct text rest = facts->query;
    struct query_pair pair;
    while (query_next(&rest, &pair)) {
        if (pair.value.len == 0 || !query_equals(pair.name, key->name, key->name_len))
            continue;
        *hash = query_is_encoded(pair.value) ? encoded_hash(seed, pair.value)
                                             : hash_of(seed, pair.value.at, pair.value.len);
        return true;
    }
    return false;
}

/* ::ffff:192.0.2.1 is the same client as 192.0.2.1 (RFC 4291 section 2.5.5.2). */
static bool address_hash(uint64_t seed, const struct client_address *client, uint64_t *hash)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (client->length == 0)
        return false;
    if (client->length == 16 && memcmp(client->bytes, mapped, sizeof(mapped)) == 0)
        *hash = hash_of(seed, client->bytes + 12, 4);
    else
        *hash = hash_of(seed, client->bytes, client->length);
    return true;
}

static bool key_hash(uint64_t seed, const struct config_sticky *key, const struct request_facts *facts, uint64_t *hash)
{
    switch (key->kind) {
    case STICKY_HEADER:
        return header_hash(seed, key, facts, hash);
    case STICKY_COOKIE:
        return cookie_hash(seed, key, facts, hash);
    case STICKY_QUERY:
        return query_hash(seed, key, facts, hash);
    case STICKY_CLIENT_IP:
        return address_hash(seed, &facts->client, hash);
    case STICKY_RANDOM:
        *hash = hash_of(seed, &facts->random, sizeof(facts->random));
        return true;
    }
    return false;
}

uint64_t cohort_hash_of_request(uint64_t seed, const struct config_sticky *sticky, uint32_t count,
                                const struct request_facts *facts, int32_t *used)
{
    uint64_t hash;
    for (uint32_t i = 0; i < count; i++) {
        if (key_hash(seed, &sticky[i], facts, &hash)) {
            *used = (int32_t)i;
            return hash;
        }
    }
    *used = -1;
    if (!address_hash(seed, &facts->client, &hash))
        hash = hash_of(seed, &facts->random, sizeof(facts->random));
    return hash;
}

uint32_t cohort_of_request(uint64_t seed, const struct config_sticky *sticky, uint32_t count,
                           const struct request_facts *facts, int32_t *used)
{
    return cohort_of_hash(cohort_hash_of_request(seed, sticky, count, facts, used));
}

/* ---- marks ---- */

uint16_t cohort_key_mark(uint64_t hash, const struct config_sticky *key, const struct request_facts *facts)
{
    uint64_t of_address;
    if (key != NULL && key->kind == STICKY_RANDOM && address_hash(0, &facts->client, &of_address))
        return (uint16_t)of_address;
    return (uint16_t)hash;
}

uint16_t cohort_path_mark(const struct request_facts *facts)
{
    return (uint16_t)XXH3_64bits(facts->path.at, facts->path.len);
}
