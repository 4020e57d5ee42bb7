/*
 * A budget of bytes: everything the report allocates for what traffic brings is taken from one, so that no traffic
 * makes it grow beyond. Guarded by the report's lock.
 */
#ifndef SHUNT_SHADOW_BUDGET_H
#define SHUNT_SHADOW_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

struct budget {
    size_t used, limit;
    bool refused; /* once at least */
};

/* False: it would be too much, nothing is taken. */
static inline bool budget_take(struct budget *budget, size_t bytes)
{
    if (budget->used > budget->limit || bytes > budget->limit - budget->used) {
        budget->refused = true;
        return false;
    }
    budget->used += bytes;
    return true;
}

static inline void budget_give(struct budget *budget, size_t bytes)
{
    budget->used -= bytes < budget->used ? bytes : budget->used;
}

#endif
