/*
 * What peers do in bulk to do harm: frames that cost us more than them. Each kind is counted within a second and
 * bounded, whereby frames that come with real work (acknowledgements of data, measurements of the path) may be as many
 * as there is work.
 */
#ifndef SHUNT_PROXY_H2_GUARD_H
#define SHUNT_PROXY_H2_GUARD_H

#include <stdbool.h>
#include <stdint.h>

enum h2_abuse {
    H2_ABUSE_RESETS, /* streams given up before their answer (CVE-2023-44487), or broken so that we reset them
                        (CVE-2025-8671) */
    H2_ABUSE_SETTINGS,
    H2_ABUSE_PING,
    H2_ABUSE_EMPTY_FRAMES, /* carry nothing, or nothing that is known */
    H2_ABUSE_CONTINUATION,
    H2_ABUSE_HEADER_LIST,
    H2_ABUSE_PRIORITY,
    H2_ABUSE_WINDOW_UPDATES,
    H2_ABUSE_STALLED,
    H2_ABUSE_KINDS,
};

/* Zeroed: nothing has been counted. */
struct h2_guard {
    uint64_t since_ms;
    uint32_t work; /* frames of heads and bodies, either way */
    uint32_t seen[H2_ABUSE_KINDS];
};

/* One more of them. False when it is one too many. Kinds without a bound (continuation, header list, stalled) are
 * never. */
bool h2_guard_allows(struct h2_guard *guard, enum h2_abuse what, uint64_t now_ms);
static inline void h2_guard_work(struct h2_guard *guard)
{
    guard->work++;
}

#endif
