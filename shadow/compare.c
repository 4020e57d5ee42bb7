/*
 * The judge: did the other side give the same answer?
 *
 * Most pairs are byte for byte the same and cost two memcmp; only a difference fetches the route's compiled rules and
 * looks closer: status, chosen headers, body. Runs on the compare thread alone and keeps its buffers and compiled rules
 * there. It counts nothing (report.c does) and never fails: what cannot be compared is a judgement of its own, with the
 * reason, so that silence is never taken for agreement.
 */
#include "shadow/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/body.h"
#include "shadow/grpc_outcome.h"
#include "shadow/grpc_stream.h"
#include "shadow/headers.h"
#include "shadow/rules.h"

static const char *const judgement_names[JUDGEMENTS] = {
    [JUDGEMENT_MATCHED] = "matched",
    [JUDGEMENT_IGNORED] = "ignored",
    [JUDGEMENT_MISMATCHED] = "mismatched",
    [JUDGEMENT_NOT_COMPARABLE] = "not_comparable",
};

static const char *const obstacle_names[OBSTACLES] = {
    [OBSTACLE_NONE] = "none",
    [OBSTACLE_PRIMARY_FAILED] = "primary_failed",
    [OBSTACLE_CLIENT_GONE] = "client_gone",
    [OBSTACLE_SHADOW_CONNECT] = "shadow_connect",
    [OBSTACLE_SHADOW_TIMEOUT] = "shadow_timeout",
    [OBSTACLE_SHADOW_RESET] = "shadow_reset",
    [OBSTACLE_SHADOW_BAD_RESPONSE] = "shadow_bad_response",
    [OBSTACLE_SHADOW_OVERLOADED] = "shadow_overloaded",
    [OBSTACLE_TRUNCATED] = "truncated",
    [OBSTACLE_CONTENT_ENCODING] = "content_encoding",
    [OBSTACLE_DECODED_TOO_LARGE] = "decoded_too_large",
    [OBSTACLE_TOO_COMPLEX] = "too_complex",
    [OBSTACLE_MEMORY] = "no_memory",
    [OBSTACLE_LIBRARY] = "no_libxml2",
};

/*
 * Rows: how the primary's exchange ended; columns: the shadow's. Two answers are compared; the primary's failure weighs
 * more than the shadow's, because without its answer there is nothing the other one could be held against.
 */
#define PRIMARY_FAILED_ROW                                                                                             \
    {                                                                                                                  \
        [OUTCOME_OK] = OBSTACLE_PRIMARY_FAILED, [OUTCOME_CONNECT_FAILED] = OBSTACLE_PRIMARY_FAILED,                    \
        [OUTCOME_TIMEOUT] = OBSTACLE_PRIMARY_FAILED, [OUTCOME_RESET] = OBSTACLE_PRIMARY_FAILED,                        \
        [OUTCOME_BAD_RESPONSE] = OBSTACLE_PRIMARY_FAILED, [OUTCOME_OVERLOADED] = OBSTACLE_PRIMARY_FAILED,              \
        [OUTCOME_CLIENT_GONE] = OBSTACLE_PRIMARY_FAILED,                                                               \
    }
static const enum obstacle outcome_matrix[OUTCOME_KINDS][OUTCOME_KINDS] = {
    [OUTCOME_OK] =
        {
            [OUTCOME_OK] = OBSTACLE_NONE,
            [OUTCOME_CONNECT_FAILED] = OBSTACLE_SHADOW_CONNECT,
            [OUTCOME_TIMEOUT] = OBSTACLE_SHADOW_TIMEOUT,
            [OUTCOME_RESET] = OBSTACLE_SHADOW_RESET,
            [OUTCOME_BAD_RESPONSE] = OBSTACLE_SHADOW_BAD_RESPONSE,
            [OUTCOME_OVERLOADED] = OBSTACLE_SHADOW_OVERLOADED,
            [OUTCOME_CLIENT_GONE] = OBSTACLE_CLIENT_GONE,
        },
    [OUTCOME_CONNECT_FAILED] = PRIMARY_FAILED_ROW,
    [OUTCOME_TIMEOUT] = PRIMARY_FAILED_ROW,
    [OUTCOME_RESET] = PRIMARY_FAILED_ROW,
    [OUTCOME_BAD_RESPONSE] = PRIMARY_FAILED_ROW,
    [OUTCOME_OVERLOADED] = PRIMARY_FAILED_ROW,
    [OUTCOME_CLIENT_GONE] =
        {
            [OUTCOME_OK] = OBSTACLE_CLIENT_GONE,
            [OUTCOME_CONNECT_FAILED] = OBSTACLE_CLIENT_GONE,
            [OUTCOME_TIMEOUT] = OBSTACLE_CLIENT_GONE,
            [OUTCOME_RESET] = OBSTACLE_CLIENT_GONE,
            [OUTCOME_BAD_RESPONSE] = OBSTACLE_CLIENT_GONE,
            [OUTCOME_OVERLOADED] = OBSTACLE_CLIENT_GONE,
            [OUTCOME_CLIENT_GONE] = OBSTACLE_CLIENT_GONE,
        },
};

struct compare {
    struct rules **rules; /* owned; by the route's place in its configuration, NULL where none was needed yet */
    uint32_t rules_room;
    struct body_judge *body; /* owned */
    struct comparison result;
};

const char *judgement_name(enum judgement judgement)
{
    return (unsigned)judgement < JUDGEMENTS ? judgement_names[judgement] : "unknown";
}

const char *obstacle_name(enum obstacle obstacle)
{
    return (unsigned)obstacle < OBSTACLES ? obstacle_names[obstacle] : "unknown";
}

struct compare *compare_new(void)
{
    struct compare *compare = calloc(1, sizeof(*compare));
    if (compare == NULL)
        return NULL;
    compare->body = body_judge_new();
    if (compare->body == NULL) {
        compare_free(compare);
        return NULL;
    }
    return compare;
}

void compare_free(struct compare *compare)
{
    if (compare == NULL)
        return;
    for (uint32_t i = 0; i < compare->rules_room; i++)
        rules_free(compare->rules[i]);
    free(compare->rules);
    body_judge_free(compare->body);
    free(compare);
}

void compare_bound(struct compare *compare, const struct compare_bounds *bounds)
{
    body_judge_bound(compare->body, bounds);
}

/* ---- compiled rules ---- */

static bool make_rules_room(struct compare *compare, uint32_t index)
{
    if (index < compare->rules_room)
        return true;
    uint32_t room = index + 16;
    struct rules **rules = realloc(compare->rules, room * sizeof(struct rules *));
    if (rules == NULL)
        return false;
    for (uint32_t i = compare->rules_room; i < room; i++)
        rules[i] = NULL;
    compare->rules = rules;
    compare->rules_room = room;
    return true;
}

/* Compiled when a route is new or was changed by a reload; NULL without memory. */
static const struct rules *rules_of(struct compare *compare, const struct config_route *route)
{
    if (!make_rules_room(compare, route->index))
        return NULL;
    struct rules **slot = &compare->rules[route->index];
    if (*slot != NULL && rules_are_of(*slot, route))
        return *slot;
    rules_free(*slot);
    *slot = rules_new(route);
    return *slot;
}

/* ---- judging ---- */

/* Is this how an exchange may end? Then the matrix has a row and a column for it. */
static bool is_outcome(enum outcome_kind kind)
{
    return (unsigned)kind < OUTCOME_KINDS;
}

static enum obstacle obstacle_of(const struct pair *pair)
{
    const struct capture *primary = &pair->primary_capture, *shadow = &pair->shadow_capture;
    if (!is_outcome(primary->kind) || !is_outcome(shadow->kind))
        return is_outcome(primary->kind) ? OBSTACLE_SHADOW_RESET : OBSTACLE_PRIMARY_FAILED;
    enum obstacle obstacle = outcome_matrix[primary->kind][shadow->kind];
    return obstacle == OBSTACLE_NONE && (primary->failed || shadow->failed) ? OBSTACLE_MEMORY : obstacle;
}

static bool heads_are_same(const struct capture *primary, const struct capture *shadow)
{
    return primary->head_len == shadow->head_len &&
           (primary->head_len == 0 || memcmp(primary->at, shadow->at, primary->head_len) == 0);
}

static void compare_status(const struct rules *rules, unsigned primary, unsigned shadow, struct difference_list *list)
{
    if (primary == shadow || (rules->status_class && primary / 100 == shadow / 100))
        return;
    if (rules->ignore_status)
        difference_rule_hit(list, rules->status_text);
    struct difference *d = difference_note(list, DIFFERENCE_VALUE, rules->ignore_status, "status");
    if (d == NULL)
        return;
    snprintf(d->path, sizeof(d->path), "status");
    snprintf(d->primary, sizeof(d->primary), "%u", primary);
    snprintf(d->shadow, sizeof(d->shadow), "%u", shadow);
}

static enum obstacle compare_bodies(struct compare *compare, const struct rules *rules, const struct pair *pair,
                                    struct difference_list *list)
{
    if (body_is_same(&pair->primary_capture, &pair->shadow_capture))
        return OBSTACLE_NONE;
    if (rules->ignore_body) {
        difference_rule_hit(list, rules->body_text);
        difference_note(list, DIFFERENCE_VALUE, true, "body");
        return OBSTACLE_NONE;
    }
    return body_compare(compare->body, rules, pair, list);
}

static const enum obstacle obstacles_by_replacing[] = {
    [REPLACE_DONE] = OBSTACLE_NONE,
    [REPLACE_TOO_COMPLEX] = OBSTACLE_TOO_COMPLEX,
    [REPLACE_TOO_LARGE] = OBSTACLE_TOO_COMPLEX,
    [REPLACE_NO_MEMORY] = OBSTACLE_MEMORY,
};

static struct span content_type(const struct capture *capture)
{
    struct span value = {"", 0};
    size_t from = 0;
    headers_find(headers_of(capture), "content-type", strlen("content-type"), &from, &value);
    return value;
}

static bool is_grpc(const struct pair *pair)
{
    return grpc_type_of(content_type(&pair->primary_capture)).is_grpc ||
           grpc_type_of(content_type(&pair->shadow_capture)).is_grpc;
}

/*
 * gRPC: what the trailers, or a head without anything behind it, say of the call. Where a side says it in its body
 * (gRPC-Web), it is compared there.
 */
static enum obstacle compare_outcomes(const struct rules *rules, const struct pair *pair, bool *apart,
                                      struct difference_list *list)
{
    const struct capture *primary = &pair->primary_capture, *shadow = &pair->shadow_capture;
    const struct span nothing = {"", 0};
    struct grpc_outcome a = grpc_outcome_of(nothing, trailers_of(primary), headers_of(primary));
    struct grpc_outcome b = grpc_outcome_of(nothing, trailers_of(shadow), headers_of(shadow));
    bool in_body = grpc_type_of(content_type(primary)).web || grpc_type_of(content_type(shadow)).web;
    *apart = false;
    if (in_body && !(a.told && b.told))
        return OBSTACLE_NONE;
    return obstacles_by_replacing[grpc_outcome_compare(rules, &a, &b, apart, list)];
}

static enum obstacle look_closer(struct compare *compare, const struct rules *rules, const struct pair *pair,
                                 struct difference_list *list)
{
    const struct capture *primary = &pair->primary_capture, *shadow = &pair->shadow_capture;

    rules_start_pair(rules);
    compare_status(rules, primary->status, shadow->status, list);
    /* An error page differs from an answer in everything: one cause, one difference. */
    if (list->real > 0 && primary->status / 100 != shadow->status / 100)
        return OBSTACLE_NONE;
    bool apart = false;
    enum obstacle obstacle = is_grpc(pair) ? compare_outcomes(rules, pair, &apart, list) : OBSTACLE_NONE;
    if (obstacle != OBSTACLE_NONE || apart)
        return obstacle;
    obstacle = obstacles_by_replacing[headers_compare(rules, headers_of(primary), headers_of(shadow), list)];
    return obstacle != OBSTACLE_NONE ? obstacle : compare_bodies(compare, rules, pair, list);
}

/* With `values: none` not even what is no user's (a status, a media type, "null") leaves. */
static void forget_values(struct difference_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        list->at[i].primary[0] = list->at[i].shadow[0] = '\0';
}

static const struct comparison *conclude(struct comparison *result, enum judgement judgement, enum obstacle obstacle)
{
    result->judgement = judgement;
    result->obstacle = obstacle;
    if (result->differences.veil.values == SAMPLES_NONE)
        forget_values(&result->differences);
    memcpy(result->rule_hits, result->differences.rule_hits, sizeof(result->rule_hits));
    return result;
}

const struct comparison *compare_pair(struct compare *compare, const struct pair *pair)
{
    struct comparison *result = &compare->result;
    const struct capture *primary = &pair->primary_capture, *shadow = &pair->shadow_capture;

    result->rules = NULL;
    const struct veil veil = veil_of(&pair->route->shadow.samples);
    difference_list_reset(&result->differences, &veil);
    enum obstacle obstacle = obstacle_of(pair);
    if (obstacle != OBSTACLE_NONE)
        return conclude(result, JUDGEMENT_NOT_COMPARABLE, obstacle);
    if (primary->status == shadow->status && heads_are_same(primary, shadow) && body_is_same(primary, shadow) &&
        (span_equal(trailers_of(primary), trailers_of(shadow)) || !is_grpc(pair)))
        return conclude(result, JUDGEMENT_MATCHED, OBSTACLE_NONE);

    result->rules = rules_of(compare, pair->route);
    if (result->rules == NULL)
        return conclude(result, JUDGEMENT_NOT_COMPARABLE, OBSTACLE_MEMORY);
    obstacle = look_closer(compare, result->rules, pair, &result->differences);
    if (difference_list_is_real(&result->differences)) /* what was found counts, even if not all could be looked at */
        return conclude(result, JUDGEMENT_MISMATCHED, OBSTACLE_NONE);
    if (obstacle != OBSTACLE_NONE) {
        difference_list_reset(&result->differences, &veil);
        return conclude(result, JUDGEMENT_NOT_COMPARABLE, obstacle);
    }
    return conclude(result, result->differences.count > 0 ? JUDGEMENT_IGNORED : JUDGEMENT_MATCHED, OBSTACLE_NONE);
}
