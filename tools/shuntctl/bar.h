/*
 * Small pictures in one line of text: a share, and an interval against its limit. In UTF-8 where the terminal has it,
 * else in ASCII.
 */
#ifndef SHUNT_SHUNTCTL_BAR_H
#define SHUNT_SHUNTCTL_BAR_H

#include <stdbool.h>

enum {
    BAR_COLUMNS_MOST = 40,
    BAR_ROOM = BAR_COLUMNS_MOST * 3 + 1 /* bytes, with the NUL */
};

/* `columns` cells: full up to `now`, half full up to `target`; both are fractions, and what is not 0 shows. */
char *bar_share(double now, double target, unsigned columns, bool unicode, char out[BAR_ROOM]);

/* What is measured and where it may lie; high may be INFINITY. */
struct bar_interval {
    double low, value, high, limit;
    double nothing; /* the value that means "no harm": 0 for rates and increases, 1 for ratios and availability */
};

/*
 * The limit stands at two thirds, `nothing` at the left edge; where more is better (`nothing` above the limit) it is
 * the other way round: the limit at one third, `nothing` at the right edge. So the safe side of all gates is at once
 * seen. What lies outside is drawn at the edge, and what is beyond the limit never in the limit's own cell.
 */
char *bar_interval(const struct bar_interval *interval, unsigned columns, bool unicode, char out[BAR_ROOM]);

#endif
