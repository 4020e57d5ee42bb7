/*
 * Timers of one worker: a hashed timing wheel (Varghese and Lauck 1987, scheme 6).
 *
 * Almost every timer is moved away before it fires, so moving is what has to be cheap: wheel_set() to a later time
 * writes one number, and the wheel re-files the timer when it comes past. Resolution is WHEEL_TICK_MS; a timer never
 * fires early.
 */
#ifndef SHUNT_PROXY_WHEEL_H
#define SHUNT_PROXY_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WHEEL_TICK_MS = 16,
    WHEEL_SLOTS = 512
};

struct timer {
    struct timer *next, *prev; /* next is NULL while not in a wheel */
    uint64_t due_ms;
    uint64_t filed_ms; /* the time it is filed under: due_ms may be later */
    void (*fire)(struct timer *timer);
};

struct wheel {
    struct timer slots[WHEEL_SLOTS]; /* ring heads */
    uint64_t now_ms;                 /* all slots up to here have been looked at */
    uint32_t count;
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);
/* Sets or moves. `fire` is called once, from wheel_advance(), not before `due_ms`; the timer is out of the wheel by
 * then. */
void wheel_set(struct wheel *wheel, struct timer *timer, uint64_t due_ms);
void wheel_cancel(struct wheel *wheel, struct timer *timer); /* also when it is not set */
void wheel_advance(struct wheel *wheel, uint64_t now_ms);

static inline bool timer_is_set(const struct timer *timer)
{
    return timer->next != 0;
}

#endif
