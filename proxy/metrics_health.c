/*
 * Active checks on the /metrics page: see metrics_health.h. Control thread; reads the board only.
 */
#include "proxy/metrics_health.h"

#include <stddef.h>

static const char *const result_names[CHECK_RESULTS] = {"success", "failure", "timeout"};

static void write_counts(void *context, const char *backend, const uint64_t counts[CHECK_RESULTS])
{
    for (int result = 0; result < CHECK_RESULTS; result++) {
        struct metrics_label labels[] = {{"backend", backend}, {"result", result_names[result]}, {NULL, NULL}};
        metrics_text_count(context, labels, counts[result]);
    }
}

static void write_mark(void *context, const char *backend, const char *address, bool down)
{
    struct metrics_label labels[] = {{"backend", backend}, {"address", address}, {NULL, NULL}};
    metrics_text_count(context, labels, down ? 0 : 1);
}

void metrics_health_write(struct metrics_text *text, struct health_board *board)
{
    metrics_text_family(text, "shunt_health_checks_total", METRICS_COUNTER,
                        "Active checks of backends, by how they ended");
    if (board != NULL)
        health_board_each_count(board, write_counts, text);
    metrics_text_family(text, "shunt_health_up", METRICS_GAUGE, "1 while active checks count the address as healthy");
    if (board != NULL)
        health_board_each_mark(board, write_mark, text);
}
