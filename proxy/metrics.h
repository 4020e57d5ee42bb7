/*
 * The /metrics page: everything shunt counts, in the Prometheus text format 0.0.4. docs/metrics.md explains each
 * family.
 */
#ifndef SHUNT_PROXY_METRICS_H
#define SHUNT_PROXY_METRICS_H

#include <stdbool.h>

#include <event2/buffer.h>

struct control;

/* Appends the page to `out`. Control thread. False without memory: `out` then has a part of it. */
bool metrics_write(struct control *control, struct evbuffer *out);

#endif
