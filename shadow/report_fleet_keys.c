/*
 * Names of what a fleet adds up of its reports. Pure. Counters go by words, not by their places in an enum, so that two
 * versions of shunt may tell the same hash.
 */
#include "shadow/report_fleet_keys.h"

#include <stdio.h>
#include <string.h>

#include <xxhash.h>

static const char *const cell_words[] = {"ungrouped", "ungrouped_noise", "other_differing", "other_ignored",
                                         "other_noise"};
static const char *const field_words[] = {"differing", "ignored", "noise", "shape", "noise_shape"};

enum {
    CELL_WORDS = sizeof(cell_words) / sizeof(cell_words[0]),
    FIELD_WORDS = sizeof(field_words) / sizeof(field_words[0]),
};

_Static_assert(FLEET_CELL_COUNTERS == 2 * JUDGEMENTS + OBSTACLES + CELL_WORDS, "each counter has a name");
_Static_assert(FLEET_FIELD_COUNTERS == FIELD_WORDS + DIFFERENCE_KINDS, "each counter has a name");

void fleet_cell_counter(uint32_t index, char name[FLEET_KEY])
{
    if (index < JUDGEMENTS)
        (void)snprintf(name, FLEET_KEY, "%s", judgement_name((enum judgement)index));
    else if (index < 2 * JUDGEMENTS)
        (void)snprintf(name, FLEET_KEY, "noise_%s", judgement_name((enum judgement)(index - JUDGEMENTS)));
    else if (index < 2 * JUDGEMENTS + OBSTACLES)
        (void)snprintf(name, FLEET_KEY, "why_%s", obstacle_name((enum obstacle)(index - 2 * JUDGEMENTS)));
    else
        (void)snprintf(name, FLEET_KEY, "%s", cell_words[index - 2 * JUDGEMENTS - OBSTACLES]);
}

void fleet_field_counter(uint32_t index, char name[FLEET_KEY])
{
    if (index < FIELD_WORDS)
        (void)snprintf(name, FLEET_KEY, "%s", field_words[index]);
    else
        (void)snprintf(name, FLEET_KEY, "kind_%s", difference_kind_name((enum difference_kind)(index - FIELD_WORDS)));
}

const struct fleet_part fleet_parts[FLEET_PARTS] = {
    {'p', PAIRED_SIDES, 0}, {'s', PAIRED_SIDES, 0}, {'d', PAIRED_DIFFERENCES, 2}, {'r', PAIRED_RATIOS, 2}};

uint32_t *fleet_steps(struct paired *paired, uint32_t part)
{
    uint32_t *const steps[FLEET_PARTS] = {paired->primary, paired->shadow, paired->difference, paired->ratio};
    return steps[part];
}

uint32_t fleet_coarse(const struct fleet_part *part, uint32_t width, uint32_t step)
{
    return width == 1 ? step : (step + part->offset) / width;
}

uint32_t fleet_coarse_count(const struct fleet_part *part, uint32_t width)
{
    return fleet_coarse(part, width, part->count - 1) + 1;
}

/* ---- IDs ---- */

static void spell(char id[FLEET_ID + 1], uint64_t hash)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int i = 0; i < FLEET_ID; i++, hash >>= 6)
        id[i] = digits[hash & 63];
    id[FLEET_ID] = '\0';
}

void fleet_id(char id[FLEET_ID + 1], enum fleet_thing thing, const char *parent, const char *text)
{
    char head[FLEET_ID + 3];
    int length = snprintf(head, sizeof(head), "%c%.8s", (char)thing, parent);
    spell(id, XXH3_64bits_withSeed(text, strlen(text), XXH3_64bits(head, (size_t)length)));
}

void fleet_id_of_row(char id[FLEET_ID + 1], const char *route, enum side primary)
{
    fleet_id(id, FLEET_ROW, primary == SIDE_LEGACY ? "l" : "n", route);
}
