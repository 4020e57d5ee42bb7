/*
 * Brings a saved state up to what the audit trail knows.
 *
 * An event is in the trail, and in force, a moment before the state that has it is on the disk. A process that is
 * killed in between leaves a state that is behind; without this, a share that was taken back would be there again after
 * the restart.
 */
#ifndef SHUNT_ROUTER_REPLAY_H
#define SHUNT_ROUTER_REPLAY_H

#include <stdbool.h>

#include <jansson.h>

/*
 * `state` is what router_save() made; `events` an array of events as router_history() shows them, oldest first. Those
 * behind the state's "sequence" are put into it: share, stage and phase of plans, breakers, switches, and history. What
 * an event does not say is taken on the safe side: holds and evidence begin anew, a cooldown or a ramp is a whole one.
 * Events that are not such are left out. True when there were any; the state then also says "replayed". Hand it to
 * router_restore().
 */
bool state_replay(json_t *state, const json_t *events);

#endif
