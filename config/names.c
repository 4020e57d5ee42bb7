/*
 * Names: small questions about them, asked by the loader and its types. Pure functions.
 */
#include "config/names.h"

#include <stdint.h>
#include <string.h>

#include "config/keys.h"
#include "config/types.h"

#define LETTERS_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

bool name_is_valid(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= NAME_BYTES && strspn(name, LETTERS_DIGITS "_.-") == len && strcmp(name, "-") != 0;
}

bool name_is_token(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= NAME_BYTES * 4 && strspn(name, LETTERS_DIGITS "!#$%&'*+-.^_`|~") == len;
}

enum {
    GUESS_BYTES = 32
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damerau's distance with neighbours swapped (optimal string alignment); both at most GUESS_BYTES long. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][GUESS_BYTES + 1];
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];
        const size_t *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least(above[j - 1] + (a[i - 1] != b[j - 1]), least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

void name_guess_try(struct name_guess *guess, const char *candidate)
{
    size_t wanted_len = strlen(guess->wanted);
    size_t len = strlen(candidate);
    if (wanted_len > GUESS_BYTES || len > GUESS_BYTES)
        return;
    size_t distance = edit_distance(guess->wanted, wanted_len, candidate, len);
    if (guess->best == NULL || distance < guess->distance) {
        guess->best = candidate;
        guess->distance = distance;
    }
}

const char *name_guess_best(const struct name_guess *guess)
{
    size_t allowed = strlen(guess->wanted) < 4 ? 1 : (strlen(guess->wanted) + 2) / 3;
    return guess->best != NULL && guess->distance <= allowed && guess->distance < strlen(guess->best) ? guess->best
                                                                                                      : NULL;
}

static void find_homes(const struct config_section *section, const char *key, const char **home, unsigned *homes)
{
    for (const struct config_key *row = section->keys; row->name != NULL; row++) {
        if (strcmp(row->name, key) == 0) {
            *home = section->heading;
            ++*homes;
        }
        bool repeats = row->type == &type_stage_gates || row->type == &type_confidence; /* the names of gates */
        if (row->section != NULL && !repeats)
            find_homes(row->section, key, home, homes);
    }
}

const char *config_key_home(const char *key)
{
    const char *home = NULL;
    unsigned homes = 0;
    find_homes(&config_file_section, key, &home, &homes);
    return homes == 1 ? home : NULL;
}

const char *config_yaml_quote(struct config_arena *arena, const char *text)
{
    size_t len = strlen(text);
    char *out = config_arena_take(arena, len * 2 + 3, 1);
    if (out == NULL)
        return NULL;
    char *at = out;
    *at++ = '"';
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            *at++ = '\\';
        *at++ = *text;
    }
    *at = '"';
    return out;
}
