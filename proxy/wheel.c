/*
 * The timing wheel: see wheel.h. A worker calls wheel_advance() from its tick; callbacks may set and cancel any timer.
 */
#include "proxy/wheel.h"

#include <stddef.h>

static void unlink_timer(struct timer *timer)
{
    timer->next->prev = timer->prev;
    timer->prev->next = timer->next;
    timer->next = timer->prev = NULL;
}

static void link_before(struct timer *head, struct timer *timer)
{
    timer->prev = head->prev;
    timer->next = head;
    head->prev->next = timer;
    head->prev = timer;
}

static void file_timer(struct wheel *wheel, struct timer *timer)
{
    /* Never into a slot that has been looked at: round up, and at least one tick ahead. */
    uint64_t tick = (timer->due_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
    uint64_t next = wheel->now_ms / WHEEL_TICK_MS + 1;
    if (tick < next)
        tick = next;
    timer->filed_ms = tick * WHEEL_TICK_MS;
    link_before(&wheel->slots[tick % WHEEL_SLOTS], timer);
}

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        wheel->slots[i].next = wheel->slots[i].prev = &wheel->slots[i];
    wheel->now_ms = now_ms;
    wheel->count = 0;
}

void wheel_set(struct wheel *wheel, struct timer *timer, uint64_t due_ms)
{
    timer->due_ms = due_ms;
    if (timer_is_set(timer)) {
        if (due_ms + WHEEL_TICK_MS >= timer->filed_ms)
            return; /* later than filed: re-filed when the wheel comes past */
        unlink_timer(timer);
    } else {
        wheel->count++;
    }
    file_timer(wheel, timer);
}

void wheel_cancel(struct wheel *wheel, struct timer *timer)
{
    if (!timer_is_set(timer))
        return;
    unlink_timer(timer);
    wheel->count--;
}

static void advance_slot(struct wheel *wheel, struct timer *head)
{
    /* Take the slot's timers aside first, so that callbacks may file into this very slot. */
    struct timer due = {.next = &due, .prev = &due};
    if (head->next != head) {
        due.next = head->next;
        due.prev = head->prev;
        due.next->prev = due.prev->next = &due;
        head->next = head->prev = head;
    }
    while (due.next != &due) {
        struct timer *timer = due.next;
        unlink_timer(timer);
        if (timer->due_ms > wheel->now_ms) {
            file_timer(wheel, timer);
        } else {
            wheel->count--;
            timer->fire(timer);
        }
    }
}

void wheel_advance(struct wheel *wheel, uint64_t now_ms)
{
    uint64_t tick = wheel->now_ms / WHEEL_TICK_MS;
    uint64_t last = now_ms / WHEEL_TICK_MS;
    if (last <= tick)
        return;
    uint64_t first = tick + 1;
    if (last - tick > WHEEL_SLOTS)
        first = last - WHEEL_SLOTS + 1;
    for (uint64_t t = first; t <= last; t++) {
        /* A slot may only fire what is due by its own time, or by now for the last one. */
        wheel->now_ms = t == last ? now_ms : t * WHEEL_TICK_MS;
        if (first != tick + 1)
            wheel->now_ms = now_ms;
        advance_slot(wheel, &wheel->slots[t % WHEEL_SLOTS]);
    }
    wheel->now_ms = now_ms;
}
