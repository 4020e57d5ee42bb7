/*
 * Manifests: whatever the text is, shunt is put into it so that taking it out gives the text back, byte for byte, and
 * putting it in twice is putting it in once, and nothing else of it means anything else; or it is refused with a fault.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/inject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    struct config_arena *arena;
    const char *text; /* NULL: refused */
    size_t length;
};

static struct result run(const char *text, size_t length, unsigned way, bool uninject)
{
    struct inject_file file = {.name = "f", .text = text, .length = length};
    struct inject inject = {
        .options = {.image = "registry/shunt:1",
                    .new = way == 0 ? "http://new:80" : NULL,
                    .configmap = way == 0 ? NULL : "mine",
                    .token_secret = way == 1 ? "secret" : NULL,
                    .legacy = way == 2 ? 3001 : 0,
                    .pre_stop_s = 5,
                    .classic = way == 3,
                    .only = way == 2 ? INJECT_PODS : INJECT_EVERYTHING,
                    .uninject = uninject},
        .files = &file,
        .file_count = 1,
        .faults.arena = config_arena_new(),
    };
    assert(inject.faults.arena != NULL);
    bool good = inject_run(&inject);
    assert(good == (inject.faults.count == 0) && !inject.faults.no_memory);
    assert(!inject.one_way);
    return (struct result){inject.faults.arena, good ? file.made : NULL, file.made_length};
}

static void assert_same(const struct result *a, const struct result *b)
{
    assert(a->text != NULL && b->text != NULL && a->length == b->length && memcmp(a->text, b->text, a->length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size > 0 ? size : 1); /* no more than there is, so that reading beyond it is seen */
    assert(text != NULL);
    memcpy(text, data, size);
    unsigned way = size > 0 ? data[size - 1] & 3U : 0;
    struct result without = run(text, size, way, true), with = run(text, size, way, false);
    if (with.text != NULL) {
        struct result back = run(with.text, with.length, way, true), twice = run(with.text, with.length, way, false);
        assert_same(&without, &back);
        assert_same(&with, &twice);
        config_arena_free(back.arena);
        config_arena_free(twice.arena);
    }
    if (without.text != NULL) {
        struct result again = run(without.text, without.length, way, true);
        assert_same(&without, &again);
        config_arena_free(again.arena);
    }
    config_arena_free(without.arena);
    config_arena_free(with.arena);
    free(text);
    return 0;
}
