/*
 * Words for what a route is doing, with their tones: phase, stage, share, breaker, verdict. All views take them here.
 */
#ifndef SHUNT_SHUNTCTL_WORD_H
#define SHUNT_SHUNTCTL_WORD_H

#include <stddef.h>

#include <jansson.h>

#include "tools/shuntctl/screen.h"

/* "rolled back" for "rolled_back"; a phase nobody knows is its own word. */
const char *word_phase(const char *phase);
enum tone word_phase_tone(const char *phase);

enum tone word_verdict_tone(const char *verdict);

/* `route` is an element of status.routes; each writes NUL-terminated text. */

/* "canary 2/5"; empty for a fixed share. */
void word_stage(const json_t *route, char *out, size_t room);
/* "10 %", or "10 %, now 0 %" while ramp, breaker, dependency or passthrough take some of it away. */
void word_share(const json_t *route, char *out, size_t room);
/* "closed", "open, trip 2/3", "off" */
void word_breaker(const json_t *route, char *out, size_t room);
enum tone word_breaker_tone(const json_t *route);

#endif
