/*
 * Rule counts: see rule_counts.h. Under the report's lock; the compare thread counts. A row follows the rules of the
 * newest pair that needed any; what the file no longer says is forgotten.
 */
#include "shadow/rule_counts.h"

#include <stdlib.h>
#include <string.h>

#include "shadow/redact.h"
#include "shadow/rules.h"

void rule_counts_done(struct rule_counts *counts, struct budget *budget)
{
    budget_give(budget, counts->room * sizeof(struct rule_count));
    free(counts->rows);
    memset(counts, 0, sizeof(*counts));
}

static const struct rule_count *find(const struct rule_counts *counts, const char *text)
{
    for (uint32_t i = 0; i < counts->count; i++)
        if (strcmp(counts->rows[i].text, text) == 0)
            return &counts->rows[i];
    return NULL;
}

/* An empty set with room for so many; false without. */
static bool make(struct rule_counts *counts, struct budget *budget, uint32_t room)
{
    memset(counts, 0, sizeof(*counts));
    if (room == 0)
        return true;
    if (!budget_take(budget, room * sizeof(struct rule_count)))
        return false;
    counts->rows = calloc(room, sizeof(struct rule_count));
    if (counts->rows == NULL) {
        budget_give(budget, room * sizeof(struct rule_count));
        return false;
    }
    counts->room = room;
    return true;
}

static void follow(struct rule_counts *counts, struct budget *budget, const struct rules *rules)
{
    struct rule_counts now;
    bool made = make(&now, budget, rules->text_count < RULES_MAX ? rules->text_count : RULES_MAX);
    for (uint32_t i = 0; made && i < now.room; i++) {
        struct rule_count *row = &now.rows[now.count++];
        redact_clean(row->text, sizeof(row->text), rules->texts[i], strlen(rules->texts[i]));
        const struct rule_count *before = find(counts, row->text);
        row->pairs = before != NULL ? before->pairs : 0;
        row->changed = true;
    }
    rule_counts_done(counts, budget);
    *counts = now;
    counts->serial = rules->serial;
    counts->known = true;
}

void rule_counts_add(struct rule_counts *counts, struct budget *budget, const struct comparison *comparison)
{
    const struct rules *rules = comparison->rules;
    if (rules == NULL)
        return;
    if (!counts->known || counts->serial != rules->serial)
        follow(counts, budget, rules);
    for (uint32_t i = 0; i < counts->count; i++) {
        if ((comparison->rule_hits[i / 64] >> (i % 64) & 1u) == 0)
            continue;
        counts->rows[i].pairs++;
        counts->rows[i].changed = true;
    }
}

bool rule_counts_restore(struct rule_counts *counts, struct budget *budget, const char *text, uint64_t pairs)
{
    if (counts->known || find(counts, text) != NULL || counts->count == RULES_MAX)
        return false;
    if (counts->count == counts->room) {
        struct rule_counts more;
        uint32_t count = counts->count;
        if (!make(&more, budget, count == 0 ? 8 : count * 2))
            return false;
        if (count > 0)
            memcpy(more.rows, counts->rows, count * sizeof(struct rule_count));
        rule_counts_done(counts, budget);
        *counts = more;
        counts->count = count;
    }
    struct rule_count *row = &counts->rows[counts->count++];
    redact_clean(row->text, sizeof(row->text), text, strlen(text));
    row->pairs = pairs;
    return true;
}
