/*
 * Decimals: see decimal.h. Schoolbook arithmetic on arrays of digits: numbers in answers are short, a difference of two
 * of them is taken only where a tolerance rule applies, and a double would judge 1.10 and 1.11 to be more than 0.01
 * apart. Pure; used on the compare thread.
 */
#include "shadow/decimal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SPAN_MAX = 1024,
    DIGITS_ROOM = SPAN_MAX + TOLERANCE_ROOM
};

static const int64_t exponent_limit = INT64_C(1000000000000);

/* The written exponent; sets *huge where it is beyond any use. */
static int64_t read_exponent(const char *at, const char *end, bool *huge)
{
    int64_t exponent = 0;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    for (; at < end; at++) {
        exponent = exponent * 10 + (*at - '0');
        if (exponent > exponent_limit) {
            *huge = true;
            return 0;
        }
    }
    return negative ? -exponent : exponent;
}

static const char *find_exponent(const char *at, const char *end)
{
    while (at < end && *at != 'e' && *at != 'E')
        at++;
    return at;
}

void decimal_read(struct decimal *decimal, const char *text, size_t len)
{
    const char *end = text + len;
    *decimal = (struct decimal){.negative = len > 0 && *text == '-'};
    const char *at = text + (decimal->negative ? 1 : 0);
    const char *mantissa_end = find_exponent(at, end);
    int64_t written = mantissa_end < end ? read_exponent(mantissa_end + 1, end, &decimal->huge) : 0;

    const char *point = memchr(at, '.', (size_t)(mantissa_end - at));
    const char *whole_end = point == NULL ? mantissa_end : point;
    const char *first = at;
    while (first < mantissa_end && (*first == '0' || *first == '.'))
        first++;
    if (first == mantissa_end) {
        decimal->zero = true;
        decimal->huge = false;
        decimal->negative = false; /* -0 is 0 */
        decimal->digits = decimal->end = first;
        return;
    }
    const char *last = mantissa_end;
    while (last > first && (last[-1] == '0' || last[-1] == '.'))
        last--;
    decimal->digits = first;
    decimal->end = last;
    decimal->exponent = written + (first < whole_end ? whole_end - first : whole_end + 1 - first);
}

/* The digit at *at, which moves behind it; -1 at the end. */
static int next_digit(const char **at, const char *end)
{
    if (*at < end && **at == '.')
        ++*at;
    if (*at >= end)
        return -1;
    return *(*at)++ - '0';
}

bool decimal_equal(const struct decimal *a, const struct decimal *b)
{
    if (a->zero || b->zero)
        return a->zero && b->zero;
    if (a->huge || b->huge || a->negative != b->negative || a->exponent != b->exponent)
        return false;
    const char *x = a->digits, *y = b->digits;
    for (;;) {
        int i = next_digit(&x, a->end), j = next_digit(&y, b->end);
        if (i != j)
            return false;
        if (i < 0)
            return true;
    }
}

uint64_t decimal_hash(const struct decimal *decimal)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a, 64 bits */
    if (decimal->zero)
        return hash;
    hash = (hash ^ (uint64_t)decimal->exponent ^ (decimal->negative ? UINT64_MAX : 0)) * UINT64_C(0x100000001b3);
    const char *at = decimal->digits;
    for (int digit = next_digit(&at, decimal->end); digit >= 0; digit = next_digit(&at, decimal->end))
        hash = (hash ^ (uint64_t)digit) * UINT64_C(0x100000001b3);
    return hash;
}

/* ---- differences ---- */

/* 0.DIGITS x 10^exponent, without a sign; digits from the most significant on. */
struct digits {
    int64_t exponent;
    size_t count;
    uint8_t at[DIGITS_ROOM];
};

void tolerance_init(struct tolerance *tolerance, double amount, bool relative)
{
    double usable = isfinite(amount) && amount > 0 ? amount : 0;
    tolerance->relative = relative;
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(tolerance->text, sizeof(tolerance->text), "%.*g", precision, usable);
        if (strtod(tolerance->text, NULL) == usable)
            break;
    }
    decimal_read(&tolerance->amount, tolerance->text, strlen(tolerance->text));
}

/* Digits of a number laid out so that the first stands for 10^(top - 1); at most `span` of them. */
static void lay_out(struct digits *to, const struct decimal *from, int64_t top, size_t span)
{
    memset(to->at, 0, span);
    to->exponent = top;
    to->count = span;
    if (from->zero || top - from->exponent >= (int64_t)span)
        return;
    size_t place = (size_t)(top - from->exponent);
    const char *at = from->digits;
    for (int digit = next_digit(&at, from->end); digit >= 0 && place < span; digit = next_digit(&at, from->end))
        to->at[place++] = (uint8_t)digit;
}

static void strip_leading_zeros(struct digits *d)
{
    size_t zeros = 0;
    while (zeros < d->count && d->at[zeros] == 0)
        zeros++;
    memmove(d->at, d->at + zeros, d->count - zeros);
    d->count -= zeros;
    d->exponent -= (int64_t)zeros;
}

/* -1, 0, 1; both stripped. */
static int compare_digits(const struct digits *a, const struct digits *b)
{
    if (a->count == 0 || b->count == 0)
        return (a->count > 0) - (b->count > 0);
    if (a->exponent != b->exponent)
        return a->exponent < b->exponent ? -1 : 1;
    size_t longer = a->count > b->count ? a->count : b->count;
    for (size_t i = 0; i < longer; i++) {
        int x = i < a->count ? a->at[i] : 0, y = i < b->count ? b->at[i] : 0;
        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

/* a -= b; same layout, a >= b. */
static void subtract(struct digits *a, const struct digits *b)
{
    int borrow = 0;
    for (size_t i = a->count; i-- > 0;) {
        int digit = a->at[i] - b->at[i] - borrow;
        borrow = digit < 0;
        a->at[i] = (uint8_t)(borrow ? digit + 10 : digit);
    }
}

/* a += b; same layout, and the first place of both is 0. */
static void add(struct digits *a, const struct digits *b)
{
    int carry = 0;
    for (size_t i = a->count; i-- > 0;) {
        int digit = a->at[i] + b->at[i] + carry;
        carry = digit > 9;
        a->at[i] = (uint8_t)(carry ? digit - 10 : digit);
    }
}

static size_t digit_count(const struct decimal *decimal)
{
    size_t count = 0;
    const char *at = decimal->digits;
    while (count <= SPAN_MAX && next_digit(&at, decimal->end) >= 0)
        count++;
    return count;
}

/* The layout in which both numbers have their places, with one free place at the top for a carry. */
static void common_layout(const struct decimal *a, const struct decimal *b, int64_t *top, size_t *span)
{
    const struct decimal *large = a->zero || (!b->zero && b->exponent > a->exponent) ? b : a;
    const struct decimal *other = large == a ? b : a;
    int64_t bottom = large->exponent - (int64_t)digit_count(large);
    if (!other->zero && other->exponent - (int64_t)digit_count(other) < bottom)
        bottom = other->exponent - (int64_t)digit_count(other);
    *top = large->exponent + 1;
    int64_t places = *top - bottom;
    *span = places > SPAN_MAX ? SPAN_MAX : (size_t)places;
}

static void distance(struct digits *to, const struct decimal *a, const struct decimal *b)
{
    int64_t top;
    size_t span;
    struct digits other;

    common_layout(a, b, &top, &span);
    lay_out(to, a, top, span);
    lay_out(&other, b, top, span);
    if (a->negative != b->negative) {
        add(to, &other);
    } else if (memcmp(to->at, other.at, span) >= 0) {
        subtract(to, &other);
    } else {
        subtract(&other, to);
        memcpy(to->at, other.at, span);
    }
    strip_leading_zeros(to);
}

/* *to = a x b, b short. */
static void multiply(struct digits *to, const struct digits *a, const struct digits *b)
{
    to->exponent = a->exponent + b->exponent;
    to->count = a->count + b->count;
    memset(to->at, 0, to->count);
    for (size_t i = a->count; i-- > 0;) {
        unsigned carry = 0;
        for (size_t j = b->count; j-- > 0;) {
            unsigned sum = to->at[i + j + 1] + (unsigned)a->at[i] * b->at[j] + carry;
            to->at[i + j + 1] = (uint8_t)(sum % 10);
            carry = sum / 10;
        }
        to->at[i] = (uint8_t)(to->at[i] + carry);
    }
    strip_leading_zeros(to);
}

static void take_digits(struct digits *to, const struct decimal *from, size_t most)
{
    size_t count = digit_count(from);
    lay_out(to, from, from->exponent, count < most ? count : most);
}

static const struct decimal *larger(const struct decimal *a, const struct decimal *b)
{
    struct digits x, y;
    take_digits(&x, a, SPAN_MAX);
    take_digits(&y, b, SPAN_MAX);
    return compare_digits(&x, &y) >= 0 ? a : b;
}

bool decimal_within(const struct decimal *a, const struct decimal *b, const struct tolerance *tolerance)
{
    struct digits bound, between;

    if (decimal_equal(a, b))
        return true;
    if (a->huge || b->huge || tolerance->amount.zero)
        return false;
    take_digits(&bound, &tolerance->amount, TOLERANCE_ROOM);
    if (tolerance->relative) {
        struct digits amount = bound, magnitude;
        take_digits(&magnitude, larger(a, b), SPAN_MAX);
        multiply(&bound, &magnitude, &amount);
    }
    distance(&between, a, b);
    return compare_digits(&between, &bound) <= 0;
}

/* 0.DIGITS as a double; the exponent is the caller's. */
static double mantissa(const struct digits *d)
{
    double value = 0, place = 0.1;
    for (size_t i = 0; i < d->count && i < 17; i++, place /= 10)
        value += d->at[i] * place;
    return value;
}

double decimal_apart(const struct decimal *a, const struct decimal *b)
{
    struct digits between, largest;
    if (decimal_equal(a, b))
        return 0;
    if (a->huge || b->huge)
        return 1;
    distance(&between, a, b);
    take_digits(&largest, larger(a, b), SPAN_MAX);
    if (between.count == 0 || largest.count == 0) /* below the places that are looked at */
        return 0;
    int64_t places = between.exponent - largest.exponent;
    return places < -300 ? 0 : mantissa(&between) / mantissa(&largest) * pow(10, (double)places);
}
