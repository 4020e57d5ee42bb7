/*
 * Figures for people: counts with commas, rates as percentages that never lie about zero or all.
 */
#ifndef SHUNT_SHADOW_FIGURES_H
#define SHUNT_SHADOW_FIGURES_H

#include <stdint.h>

enum {
    FIGURE_ROOM = 32
};

enum rounding {
    ROUND_NEAREST,
    ROUND_DOWN, /* of a lower bound, which must stay one */
    ROUND_UP
};

/* 1234567 as "1,234,567". Returns `text`. */
const char *figure_count(char text[FIGURE_ROOM], uint64_t number);
/* 0.0000099 as "0.00099 %": two significant digits, "0 %" for nothing only, "100 %" for all only. Returns `text`. */
const char *figure_percent(char text[FIGURE_ROOM], double rate, enum rounding rounding);
/* A rate somebody wrote down: 0.0001 as "0.01 %", 0.999 as "99.9 %". Returns `text`. */
const char *figure_given(char text[FIGURE_ROOM], double rate);

#endif
