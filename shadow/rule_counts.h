/*
 * How often each rule of the file did something, by its text, so that a reload or a restart loses nothing. Internal to
 * the report.
 */
#ifndef SHUNT_SHADOW_RULE_COUNTS_H
#define SHUNT_SHADOW_RULE_COUNTS_H

#include "shadow/budget.h"
#include "shadow/compare.h"

enum {
    RULE_TEXT_ROOM = 200
};

struct rule_count {
    uint64_t pairs; /* about which it changed something */
    bool changed;   /* since it was last stored */
    char text[RULE_TEXT_ROOM];
};

struct rule_counts {
    struct rule_count *rows; /* owned; once the file is known its rules in its order, before that what was stored */
    uint32_t count, room;
    uint64_t serial; /* of the rules they follow */
    bool known;      /* they follow some */
};

void rule_counts_done(struct rule_counts *counts, struct budget *budget);
/* Counts a pair's hits. */
void rule_counts_add(struct rule_counts *counts, struct budget *budget, const struct comparison *comparison);
/* Takes back what was stored. False: it is there already, or no room. */
bool rule_counts_restore(struct rule_counts *counts, struct budget *budget, const char *text, uint64_t pairs);

#endif
