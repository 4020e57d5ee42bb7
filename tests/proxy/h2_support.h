/*
 * What the tests of HTTP/2's header sections share: as much of a worker as they need, and a section as a list of names
 * and values.
 */
#ifndef SHUNT_TESTS_H2_SUPPORT_H
#define SHUNT_TESTS_H2_SUPPORT_H

#include <stdlib.h>
#include <string.h>

#include "proxy/h1.h"
#include "proxy/h2_block.h"
#include "proxy/h2_fields.h"
#include "proxy/worker_inside.h"
#include "tests/proxy/unlimited.h"
#include "router/text.h"

struct bench {
    struct worker *worker;
    struct view view;
    struct config config;
    struct h1_parser *parser;
};

static inline bool bench_open(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    bench->config.limits = (struct config_limits){.header_bytes = 4096, .header_count = 20, .uri_bytes = 1000};
    if (posix_memalign((void **)&bench->worker, 64, sizeof(*bench->worker)) != 0)
        return false;
    memset(bench->worker, 0, sizeof(*bench->worker));
    bench->worker->memory = &unlimited;
    bench->worker->random[0] = 1;
    bench->worker->view = &bench->view;
    bench->view.config = &bench->config;
    bench->parser = h1_parser_new(&bench->config.limits);
    return bench->parser != NULL;
}

static inline void bench_close(struct bench *bench)
{
    struct worker *worker = bench->worker;
    h1_parser_free(bench->parser);
    h2_blocks_done(worker);
    if (worker->h2_fields != NULL)
        h2_fields_done(worker->h2_fields);
    free(worker->h2_fields);
    while (worker->free_segments != NULL) {
        struct segment *segment = worker->free_segments;
        worker->free_segments = segment->next;
        free(segment);
    }
    chunk_pool_done(&worker->chunks);
    free(worker);
}

struct pair_of_text {
    const char *name, *value;
};

/* A section that ends with a NULL name. */
static inline struct h2_block *block_of(struct bench *bench, const struct pair_of_text *pairs)
{
    struct h2_block *block = h2_block_take(bench->worker);
    for (; block != NULL && pairs->name != NULL; pairs++) {
        if (!h2_block_add(block, text_of(pairs->name), text_of(pairs->value)))
            break;
    }
    return block;
}

#endif
