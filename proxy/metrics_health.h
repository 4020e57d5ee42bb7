/*
 * The families of active checks on the /metrics page.
 */
#ifndef SHUNT_PROXY_METRICS_HEALTH_H
#define SHUNT_PROXY_METRICS_HEALTH_H

#include "proxy/health_board.h"
#include "proxy/metrics_text.h"

/* `board` NULL: the families without samples. */
void metrics_health_write(struct metrics_text *text, struct health_board *board);

#endif
