/*
 * Figures: see figures.h. Pure; used wherever the report says a number in a sentence.
 */
#include "shadow/figures.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

const char *figure_count(char text[FIGURE_ROOM], uint64_t number)
{
    char digits[FIGURE_ROOM];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    char *to = text;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

static double round_to(double value, int decimals, enum rounding rounding)
{
    double scale = pow(10, decimals), scaled = value * scale;
    /* a hair of tolerance, so that what is exact in decimals stays as it is */
    if (rounding == ROUND_UP)
        return ceil(scaled * (1 - 1e-12)) / scale;
    if (rounding == ROUND_DOWN)
        return floor(scaled * (1 + 1e-12)) / scale;
    return round(scaled) / scale;
}

/* Enough for two significant digits, and one at least. */
static int decimals_of(double value)
{
    int decimals = 1 - (int)floor(log10(value * (1 + 1e-12)));
    return decimals < 1 ? 1 : decimals > 12 ? 12 : decimals;
}

const char *figure_percent(char text[FIGURE_ROOM], double rate, enum rounding rounding)
{
    if (!(rate > 0)) {
        snprintf(text, FIGURE_ROOM, "0 %%");
        return text;
    }
    if (rate >= 1) {
        snprintf(text, FIGURE_ROOM, "100 %%");
        return text;
    }
    double value = rate * 100;
    int decimals = decimals_of(value);
    double rounded = round_to(value, decimals, rounding);
    decimals = rounded > 0 ? decimals_of(rounded) : decimals; /* 0.000996 became 0.0010, not 0.00100 */
    if (rounded >= 100)
        snprintf(text, FIGURE_ROOM, ">99.9 %%");
    else
        snprintf(text, FIGURE_ROOM, "%.*f %%", decimals, rounded);
    return text;
}

const char *figure_given(char text[FIGURE_ROOM], double rate)
{
    snprintf(text, FIGURE_ROOM, "%.10g %%", rate * 100);
    return text;
}
