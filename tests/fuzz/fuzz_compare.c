/*
 * A pair of captured answers, whole: heads, bodies of any kind, the report made of it. The input is four texts
 * separated by the line "%%": primary's head, primary's body, shadow's head, shadow's body.
 *
 * The same answer on both sides is always "matched"; the report is always valid JSON and prints.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/compare.h"
#include "shadow/report.h"

struct piece {
    const char *at;
    size_t len;
};

static struct piece next_piece(const char **at, size_t *left)
{
    static const char separator[] = "\n%%\n";
    const char *end = *left == 0 ? NULL : memmem(*at, *left, separator, sizeof(separator) - 1);
    struct piece piece = {*at, end == NULL ? *left : (size_t)(end - *at)};
    size_t taken = end == NULL ? *left : piece.len + sizeof(separator) - 1;
    *at += taken;
    *left -= taken;
    return piece;
}

static void fill(struct capture *capture, struct piece head, struct piece body)
{
    capture_reset(capture, 4096);
    capture_head(capture, 200, head.at, head.len);
    capture_body(capture, body.at, body.len / 2);
    capture_body(capture, body.at + body.len / 2, body.len - body.len / 2);
    capture_end(capture, OUTCOME_OK, body.len);
}

static void check_report(struct report *report)
{
    json_t *json = report_json(report, "fuzz");
    assert(json != NULL);
    char *dump = json_dumps(json, 0), *text = report_text(json, 80, true);
    assert(dump != NULL && text != NULL);
    free(dump);
    free(text);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *headers[] = {"content-type", "location", "set-cookie", "vary"};
    static const char *ignore[] = {"$..at", "header:vary"};
    static const char *unordered[] = {"$..tags"};
    static struct compare *compare;
    struct config_route route = {.name = "fuzz",
                                 .shadow = {.samples.keep = 2,
                                            .samples.values = size % 2 == 0 ? SAMPLES_REDACTED : SAMPLES_FULL,
                                            .compare = {.headers = headers,
                                                        .header_count = 4,
                                                        .ignore = ignore,
                                                        .ignore_count = 2,
                                                        .unordered = unordered,
                                                        .unordered_count = 1}}};
    const char *at = (const char *)data;
    struct piece head = next_piece(&at, &size), body = next_piece(&at, &size);
    struct piece other_head = next_piece(&at, &size), other_body = next_piece(&at, &size);

    if (compare == NULL)
        compare = compare_new();
    struct report *report = report_new();
    struct pair *pair = pair_new();
    assert(compare != NULL && report != NULL && pair != NULL);
    pair->route = &route;
    memcpy(pair->target, other_head.at,
           other_head.len < sizeof(pair->target) - 1 ? other_head.len : sizeof(pair->target) - 1);
    fill(&pair->primary_capture, head, body);
    fill(&pair->shadow_capture, head, body);
    const struct comparison *comparison = compare_pair(compare, pair);
    assert(comparison->judgement == JUDGEMENT_MATCHED);
    report_add(report, pair, comparison);
    fill(&pair->shadow_capture, other_head, other_body);
    report_add(report, pair, compare_pair(compare, pair));
    pair->kind = PAIR_NOISE;
    report_add(report, pair, compare_pair(compare, pair));
    check_report(report);
    pair_free(pair);
    report_free(report);
    return 0;
}
