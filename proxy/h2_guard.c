/*
 * Bounds on frames in bulk: see h2_guard.h. Worker thread. Pure counting; what follows is the connection's business.
 */
#include "proxy/h2_guard.h"

#include <string.h>

enum {
    WINDOW_MS = 1000
};

/* How many of a kind within WINDOW_MS, and how many more for each frame of work. 0 and 0: not bounded here. */
static const struct {
    uint32_t most, per_work;
} bounds[H2_ABUSE_KINDS] = {
    [H2_ABUSE_RESETS] = {200, 0}, /* a page that is left gives up all its streams at once */
    [H2_ABUSE_SETTINGS] = {100, 0},
    [H2_ABUSE_PING] = {500, 1}, /* who measures the path asks once a round trip while there is data */
    [H2_ABUSE_EMPTY_FRAMES] = {500, 0},
    [H2_ABUSE_PRIORITY] = {1000, 2},
    [H2_ABUSE_WINDOW_UPDATES] = {2000, 4}, /* for the stream and the connection, for each frame of data that was sent */
};

bool h2_guard_allows(struct h2_guard *guard, enum h2_abuse what, uint64_t now_ms)
{
    if (now_ms - guard->since_ms >= WINDOW_MS) {
        memset(guard, 0, sizeof(*guard));
        guard->since_ms = now_ms;
    }
    if (bounds[what].most == 0)
        return true;
    return ++guard->seen[what] <= bounds[what].most + (uint64_t)bounds[what].per_work * guard->work;
}
