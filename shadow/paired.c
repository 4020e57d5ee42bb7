/*
 * Paired latency: see paired.h. One for each endpoint and two for the running time bucket, under the report's lock; the
 * compare thread adds. Plain counts; allocates nothing but the whole.
 */
#include "shadow/paired.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PACK_VERSION = 1,
    SIDE_BITS = 4,
    SIDE_EXACT = 1 << SIDE_BITS, /* steps of a side below this hold one value each */
    MAGNITUDE_BITS = 3,
    MAGNITUDE_EXACT = 1 << MAGNITUDE_BITS, /* ... of a difference */
    RATIO_STEPS = 16                       /* to each doubling */
};

#define WEIGHT_MAX UINT32_MAX

/* ---- scales: which values a step holds ---- */

struct span {
    double low, high;
};

/* The step of a log-linear scale: up to 2^bits exactly, then 2^bits to each doubling; of `steps` the last takes the
 * rest. */
static inline uint32_t scale_step(uint64_t us, uint32_t bits, uint32_t steps)
{
    uint64_t exact = UINT64_C(1) << bits;
    if (us < exact)
        return (uint32_t)us;
    uint32_t exponent = 63u - (uint32_t)__builtin_clzll(us);
    uint64_t step = exact + (exponent - bits) * exact + ((us >> (exponent - bits)) & (exact - 1));
    return step < steps ? (uint32_t)step : steps - 1;
}

static double scale_floor(uint32_t step, uint32_t bits)
{
    uint32_t exact = 1u << bits;
    if (step < exact)
        return step;
    return ldexp(exact + (step - exact) % exact, (int)((step - exact) / exact));
}

/* Coarser than router/histogram.h, as there are many of these, and saved: their layout has stayed what it was. */
static uint32_t side_step(uint64_t us)
{
    return scale_step(us, SIDE_BITS, PAIRED_SIDES);
}

static double side_floor(uint32_t step)
{
    return scale_floor(step, SIDE_BITS);
}

static struct span side_span(uint32_t step)
{
    double low = side_floor(step);
    return (struct span){low, step < SIDE_EXACT ? low : side_floor(step + 1)};
}

static uint32_t magnitude_step(uint64_t us)
{
    return scale_step(us, MAGNITUDE_BITS, PAIRED_MAGNITUDES);
}

static double magnitude_floor(uint32_t step)
{
    return scale_floor(step, MAGNITUDE_BITS);
}

static uint32_t difference_step(uint64_t primary_us, uint64_t shadow_us)
{
    uint32_t zero = PAIRED_MAGNITUDES - 1;
    return shadow_us >= primary_us ? zero + magnitude_step(shadow_us - primary_us)
                                   : zero - magnitude_step(primary_us - shadow_us);
}

static struct span difference_span(uint32_t step)
{
    int32_t from_zero = (int32_t)step - (PAIRED_MAGNITUDES - 1);
    uint32_t magnitude = (uint32_t)(from_zero < 0 ? -from_zero : from_zero);
    double low = magnitude_floor(magnitude), high = magnitude < MAGNITUDE_EXACT ? low : magnitude_floor(magnitude + 1);
    return from_zero < 0 ? (struct span){-high, -low} : (struct span){low, high};
}

static uint32_t ratio_step(uint64_t primary_us, uint64_t shadow_us)
{
    double primary = primary_us > 0 ? (double)primary_us : 1, shadow = shadow_us > 0 ? (double)shadow_us : 1;
    double step = round(log2(shadow / primary) * RATIO_STEPS);
    return (uint32_t)(fmin(fmax(step, -PAIRED_RATIO_REACH), PAIRED_RATIO_REACH) + PAIRED_RATIO_REACH);
}

/* In steps, not yet as a ratio: interpolation is even on that scale. */
static struct span ratio_span(uint32_t step)
{
    double middle = (double)step - PAIRED_RATIO_REACH;
    return (struct span){middle - 0.5, middle + 0.5};
}

/* The four histograms, for everything that treats them alike. */
struct part {
    uint32_t *steps;
    uint32_t count;
};

enum {
    PARTS = 4
};

static void parts_of(struct paired *paired, struct part parts[PARTS])
{
    parts[0] = (struct part){paired->primary, PAIRED_SIDES};
    parts[1] = (struct part){paired->shadow, PAIRED_SIDES};
    parts[2] = (struct part){paired->difference, PAIRED_DIFFERENCES};
    parts[3] = (struct part){paired->ratio, PAIRED_RATIOS};
}

/* ---- adding ---- */

static uint64_t total_of(const uint32_t *steps, uint32_t count)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += steps[i];
    return total;
}

/* Halving loses the odd ones, differently in each histogram: quantiles take each one's own total. */
static void halve(struct paired *paired)
{
    struct part parts[PARTS];
    parts_of(paired, parts);
    paired->weight = 0;
    for (int p = 0; p < PARTS; p++) {
        for (uint32_t i = 0; i < parts[p].count; i++)
            parts[p].steps[i] = parts[p].steps[i] / 2 + (parts[p].steps[i] & 1u);
        uint64_t total = total_of(parts[p].steps, parts[p].count);
        paired->weight = total > paired->weight ? total : paired->weight;
    }
}

struct paired_steps paired_steps_of(uint64_t primary_us, uint64_t shadow_us)
{
    return (struct paired_steps){
        .primary = side_step(primary_us),
        .shadow = side_step(shadow_us),
        .difference = difference_step(primary_us, shadow_us),
        .ratio = ratio_step(primary_us, shadow_us),
        .slower = shadow_us > primary_us,
    };
}

bool paired_make(struct paired **paired, struct budget *budget)
{
    if (*paired != NULL)
        return true;
    if (!budget_take(budget, sizeof(struct paired)))
        return false;
    *paired = calloc(1, sizeof(struct paired));
    if (*paired == NULL)
        budget_give(budget, sizeof(struct paired));
    return *paired != NULL;
}

void paired_add(struct paired *paired, const struct paired_steps *steps)
{
    if (paired->weight >= WEIGHT_MAX)
        halve(paired);
    paired->weight++;
    paired->count++;
    paired->slower += steps->slower;
    paired->primary[steps->primary]++;
    paired->shadow[steps->shadow]++;
    paired->difference[steps->difference]++;
    paired->ratio[steps->ratio]++;
}

void paired_merge(struct paired *into, const struct paired *from)
{
    struct paired other = *from;
    struct part to[PARTS], add[PARTS];
    while (into->weight + other.weight > WEIGHT_MAX) {
        halve(into);
        halve(&other);
    }
    parts_of(into, to);
    parts_of(&other, add);
    for (int p = 0; p < PARTS; p++)
        for (uint32_t i = 0; i < to[p].count; i++)
            to[p].steps[i] += add[p].steps[i];
    into->weight += other.weight;
    into->count += from->count;
    into->slower += from->slower;
}

/* ---- quantiles ---- */

static double quantile(const uint32_t *steps, uint32_t count, struct span (*span_of)(uint32_t), double q)
{
    double rank = q * (double)total_of(steps, count), before = 0, value = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (steps[i] == 0)
            continue;
        struct span span = span_of(i);
        double here = (double)steps[i], part = rank > before ? (rank - before) / here : 0;
        value = span.low + (span.high - span.low) * fmin(1, part);
        before += here;
        if (rank <= before)
            break;
    }
    return value;
}

double paired_primary_ms(const struct paired *paired, double q)
{
    return quantile(paired->primary, PAIRED_SIDES, side_span, q) / 1000;
}

double paired_shadow_ms(const struct paired *paired, double q)
{
    return quantile(paired->shadow, PAIRED_SIDES, side_span, q) / 1000;
}

double paired_difference_ms(const struct paired *paired, double q)
{
    return quantile(paired->difference, PAIRED_DIFFERENCES, difference_span, q) / 1000;
}

double paired_ratio(const struct paired *paired, double q)
{
    return paired->count > 0 ? exp2(quantile(paired->ratio, PAIRED_RATIOS, ratio_span, q) / RATIO_STEPS) : 0;
}

/* ---- packing: version, count, slower, then of each histogram how many steps are not empty, and these as gap and
 * count. All numbers in groups of 7 bits, the last without the high bit. ---- */

static size_t put(unsigned char *to, size_t len, uint64_t number)
{
    for (; number >= 128; number >>= 7)
        to[len++] = (unsigned char)(number | 128);
    to[len++] = (unsigned char)number;
    return len;
}

static size_t put_part(unsigned char *to, size_t len, const struct part *part)
{
    uint32_t used = 0, next = 0;
    for (uint32_t i = 0; i < part->count; i++)
        used += part->steps[i] > 0;
    len = put(to, len, used);
    for (uint32_t i = 0; i < part->count; i++) {
        if (part->steps[i] == 0)
            continue;
        len = put(to, len, i - next);
        len = put(to, len, part->steps[i]);
        next = i + 1;
    }
    return len;
}

size_t paired_pack(const struct paired *paired, unsigned char to[PAIRED_PACKED_MAX])
{
    struct paired copy = *paired;
    struct part parts[PARTS];
    size_t len = put(to, 0, PACK_VERSION);
    len = put(to, len, copy.count);
    len = put(to, len, copy.slower);
    parts_of(&copy, parts);
    for (int p = 0; p < PARTS; p++)
        len = put_part(to, len, &parts[p]);
    return len;
}

struct reader {
    const unsigned char *at, *end;
    bool bad;
};

static uint64_t get(struct reader *reader, uint64_t most)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
        if (reader->at == reader->end)
            break;
        unsigned char byte = *reader->at++;
        number |= (uint64_t)(byte & 127u) << shift;
        if (byte < 128) {
            reader->bad = reader->bad || number > most;
            return reader->bad ? 0 : number;
        }
    }
    reader->bad = true;
    return 0;
}

/* Returns what the steps add up to. */
static uint64_t get_part(struct reader *reader, const struct part *part)
{
    uint64_t used = get(reader, part->count), next = 0, total = 0;
    for (uint64_t i = 0; i < used && !reader->bad; i++) {
        uint64_t step = next + get(reader, part->count);
        if (step >= part->count) {
            reader->bad = true;
            break;
        }
        part->steps[step] = (uint32_t)get(reader, UINT32_MAX);
        total += part->steps[step];
        next = step + 1;
    }
    return total;
}

static void unpack(struct paired *paired, struct reader *reader)
{
    struct part parts[PARTS];
    parts_of(paired, parts);
    reader->bad = get(reader, UINT64_MAX) != PACK_VERSION || reader->bad;
    paired->count = get(reader, INT64_MAX);
    paired->slower = get(reader, paired->count);
    for (int p = 0; p < PARTS && !reader->bad; p++) {
        uint64_t total = get_part(reader, &parts[p]);
        reader->bad =
            reader->bad || total > WEIGHT_MAX || total > paired->count || (total == 0) != (paired->count == 0);
        paired->weight = total > paired->weight ? total : paired->weight;
    }
}

bool paired_unpack(struct paired *paired, const void *at, size_t len)
{
    struct reader reader = {.at = at, .end = (const unsigned char *)at + len};
    memset(paired, 0, sizeof(*paired));
    unpack(paired, &reader);
    if (!reader.bad && reader.at == reader.end)
        return true;
    memset(paired, 0, sizeof(*paired));
    return false;
}
