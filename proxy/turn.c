/*
 * Turns: see turn.h. Worker thread. Knows connections and whether there is room, and nothing of what they carry.
 *
 * What was not read is not lost: the connection stays `readable`, and who leaves the line by a turn is woken. It leaves
 * otherwise only when it closes, when it moves (its new owner is woken), or when it is read because there is room.
 */
#include "proxy/turn.h"

#include "proxy/worker_inside.h"
#include "proxy/worker_memory.h"

enum {
    PARTS_SCARCE = 32, /* of the line has its turn with each tick: everybody within half a second */
    PARTS_ROOM = 4,    /* not all at once: it would be scarce again */
    LEAST_ROOM = 16,
    HANDSHAKES_ALWAYS = 8,  /* of the whole process */
    HANDSHAKES_SCARCE = 32, /* in turns */
};

uint32_t turns_due(uint32_t waiting, enum turn_room room)
{
    switch (room) {
    case TURN_ROOM:
        return waiting / PARTS_ROOM + LEAST_ROOM;
    case TURN_SCARCE:
        return waiting / PARTS_SCARCE + 1;
    case TURN_BRINK:
        break;
    }
    return 1;
}

static void wait_in_line(struct conn *conn)
{
    struct turn_line *line = &conn->worker->turns;
    if (conn->awaits_turn)
        return;
    conn->awaits_turn = true;
    conn->next_turn = NULL;
    conn->prev_turn = line->last;
    if (line->last != NULL)
        line->last->next_turn = conn;
    else
        line->first = conn;
    line->last = conn;
    line->waiting++;
    count_add(&conn->worker->counters.turns_awaited, 1);
    worker_busy(conn->worker);
}

void turn_leave(struct conn *conn)
{
    struct turn_line *line = &conn->worker->turns;
    if (!conn->awaits_turn)
        return;
    conn->awaits_turn = false;
    if (conn->prev_turn != NULL)
        conn->prev_turn->next_turn = conn->next_turn;
    else
        line->first = conn->next_turn;
    if (conn->next_turn != NULL)
        conn->next_turn->prev_turn = conn->prev_turn;
    else
        line->last = conn->prev_turn;
    conn->next_turn = conn->prev_turn = NULL;
    line->waiting--;
}

/* Who has come until idle connections are closed is served: from then on nobody waits. */
static bool is_scarce(const struct worker *worker)
{
    return memory_is_scarce(worker->memory) && worker->phase < DRAIN_CLOSING;
}

static bool take_turn(struct conn *conn)
{
    bool has = conn->has_turn;
    conn->has_turn = false;
    return has;
}

static bool go_or_wait(struct conn *conn, bool go)
{
    if (go)
        turn_leave(conn);
    else
        wait_in_line(conn);
    return go;
}

bool turn_has_come(struct conn *conn)
{
    const struct worker *worker = conn->worker;
    bool has_turn = take_turn(conn);
    return go_or_wait(conn, has_turn || !is_scarce(worker) || worker_memory_has_few_exchanges(worker));
}

bool turn_allows_handshake(struct conn *conn, uint32_t under_way)
{
    const struct worker *worker = conn->worker;
    bool has_turn = take_turn(conn);
    if (memory_limit(worker->memory) == 0 || worker->phase >= DRAIN_CLOSING)
        return go_or_wait(conn, true);
    return go_or_wait(conn, under_way < worker_part(worker, HANDSHAKES_ALWAYS) ||
                                (has_turn && under_way < worker_part(worker, HANDSHAKES_SCARCE)) ||
                                worker_memory_has_room_for(worker, (size_t)under_way * TURN_HANDSHAKE_BYTES));
}

void turns_tick(struct worker *worker)
{
    struct turn_line *line = &worker->turns;
    if (line->waiting == 0)
        return;
    bool scarce = is_scarce(worker);
    uint32_t due = turns_due(line->waiting, !scarce                              ? TURN_ROOM
                                            : memory_is_at_brink(worker->memory) ? TURN_BRINK
                                                                                 : TURN_SCARCE);
    for (; due > 0 && line->first != NULL; due--) {
        struct conn *conn = line->first;
        turn_leave(conn);
        conn->has_turn = true;
        conn_wake(conn);
    }
    worker_busy(worker);
}
