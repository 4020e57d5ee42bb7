/*
 * Checks of plans: stages and their gates, deadlines, and what a failure does.
 *
 * Called by route_check() once a route is read. It also settles what could not be settled while keys were read one by
 * one: a stage has its route's gates and promotion where it does not say its own.
 */
#include "config/check.h"

#include <string.h>

#include "config/scalar.h"

/* ---- stages ---- */

static bool stage_name_is_taken(const struct config_route *route, uint32_t index, const char *name)
{
    for (uint32_t i = 0; i < route->stage_count; i++) {
        const char *other = route->stages[i].name;
        if (i != index && other != NULL && strcmp(other, name) == 0)
            return true;
    }
    return false;
}

/* A stage without a name is called after its share: "25%", and "25%-2" when that is taken. */
static void name_stage(struct loader *loader, struct config_route *route, uint32_t index)
{
    char share[SCALAR_TEXT_BYTES];
    scalar_print_share(route->stages[index].percent, share);
    const char *name = config_arena_print(loader->arena, "%s", share);
    for (unsigned again = 2; name != NULL && stage_name_is_taken(route, index, name); again++)
        name = config_arena_print(loader->arena, "%s-%u", share, again);
    if (name == NULL)
        faults_no_memory(loader->faults);
    route->stages[index].name = name;
}

static void check_stage_name(struct loader *loader, const struct config_route *route, uint32_t index,
                             const struct node *node)
{
    for (uint32_t i = 0; i < index; i++) {
        if (route->stages[i].name != NULL && strcmp(route->stages[i].name, route->stages[index].name) == 0) {
            check_fault(loader, "name", check_place(node, "name"),
                        "%s is the name of an earlier stage too; expected another one",
                        text_shown(loader->faults, route->stages[index].name));
            return;
        }
    }
}

static void check_share(struct loader *loader, const struct config_route *route, uint32_t index,
                        const struct node *node)
{
    const struct config_stage *stage = &route->stages[index];
    if (index > 0 && check_says(node, "percent") && stage->percent < route->stages[index - 1].percent) {
        char before[SCALAR_TEXT_BYTES];
        scalar_print_share(route->stages[index - 1].percent, before);
        check_fault(loader, "percent", check_place(node, "percent"),
                    "the share is smaller than that of the stage before; expected at least %s", before);
    }
}

static void settle_promotion(struct loader *loader, const struct config_route *route, struct config_stage *stage,
                             const struct node *node)
{
    bool own = check_says(node, "promotion");
    if (own && stage->confirm && stage->promotion == PROMOTION_AUTO)
        check_fault(loader, "promotion", check_place(node, "promotion"),
                    "the stage says confirm, so that a person promotes; expected only one of promotion: auto and "
                    "confirm: true");
    if (stage->confirm)
        stage->promotion = PROMOTION_MANUAL;
    else if (!own)
        stage->promotion = route->promotion;
}

static void check_deadline(struct loader *loader, const struct config_stage *stage, const struct node *node)
{
    char hold[SCALAR_TEXT_BYTES];
    scalar_print_duration(stage->hold_ms, hold);
    if (check_says(node, "on_deadline") && !check_says(node, "deadline"))
        check_fault(loader, "on_deadline", check_place(node, "on_deadline"),
                    "the stage has no deadline; expected one beside it, such as deadline: 72h");
    else if (stage->deadline_ms > 0 && stage->deadline_ms <= stage->hold_ms)
        check_fault(loader, "deadline", check_place(node, check_says(node, "deadline") ? "deadline" : "hold"),
                    "the deadline comes before the hold can be over; expected more than %s", hold);
}

/* A stage's gates are the route's, with the keys of its own over them. */
static void settle_stage_gates(struct loader *loader, const struct config_route *route, struct config_stage *stage,
                               const struct node *node)
{
    const struct node_item *gates = node_find(node, "gates");
    stage->gates = route->gates;
    if (gates == NULL || !stage->own_gates)
        return;
    size_t mark = faults_enter_key(loader->faults, "gates");
    loader_read_given(loader, &config_gate_section, gates->value, &stage->gates);
    faults_leave(loader->faults, mark);
}

static void check_stage(struct loader *loader, struct config_route *route, uint32_t index, const struct node *node)
{
    struct config_stage *stage = &route->stages[index];
    bool last = index + 1 == route->stage_count;
    if (stage->name != NULL)
        check_stage_name(loader, route, index, node);
    check_share(loader, route, index, node);
    settle_promotion(loader, route, stage, node);
    settle_stage_gates(loader, route, stage, node);
    check_deadline(loader, stage, node);
    if (!last && stage->promotion == PROMOTION_AUTO && !check_says(node, "hold"))
        check_fault(loader, "hold", node->place,
                    "this key is missing; expected how long to stay in this stage before shunt "
                    "promotes by itself, such as hold: 2h");
}

static void check_stages(struct loader *loader, const struct node *node, struct config_route *route)
{
    const struct node_item *stages = node_find(node, "stages");
    if (stages == NULL || stages->value->kind != NODE_LIST || stages->value->count != route->stage_count)
        return;
    size_t mark = faults_enter_key(loader->faults, "stages");
    uint32_t index = 0;
    for (const struct node_item *item = stages->value->items; item != NULL; item = item->next, index++) {
        if (item->value->kind != NODE_MAPPING)
            continue;
        size_t item_mark = faults_enter_item(loader->faults, index);
        check_stage(loader, route, index, item->value);
        faults_leave(loader->faults, item_mark);
    }
    faults_leave(loader->faults, mark);
    for (index = 0; index < route->stage_count; index++) {
        if (route->stages[index].name == NULL)
            name_stage(loader, route, index);
    }
}

static bool mirrors_anything(const struct config_route *route)
{
    bool mirrors = route->stage_count == 0 && route->shadow.percent > 0;
    for (uint32_t i = 0; i < route->stage_count; i++)
        mirrors = mirrors || route->stages[i].shadow > 0;
    return mirrors;
}

/* The default gate on mismatches asks for pairs; a route that never mirrors would wait for them for ever. */
static void settle_mismatch_gate(const struct node *node, struct config_route *route)
{
    const struct node_item *gates = node_find(node, "gates");
    if (!mirrors_anything(route) && (gates == NULL || !check_says(gates->value, "mismatch_rate")))
        route->gates.mismatch_rate = RATE_UNSET;
}

/* ---- what a plan does by itself ---- */

static void check_failure(struct loader *loader, const struct node *section, const struct config_on_failure *on_failure)
{
    bool stays = on_failure->to == FAILURE_TELL || on_failure->to == FAILURE_FREEZE;
    if (stays && on_failure->ramp_ms > 0)
        check_fault(loader, "on_failure.ramp", check_place(section, "ramp"),
                    "the share stays where it is (to: %s%s), so there is nothing to take down; expected to: zero or "
                    "to: previous beside it",
                    on_failure->to == FAILURE_TELL ? "tell" : "freeze",
                    check_says(section, "to") ? "" : ", the default with promotion: manual");
    if (on_failure->to != FAILURE_PREVIOUS && check_says(section, "retries"))
        check_fault(loader, "on_failure.retries", check_place(section, "retries"),
                    "only to: previous tries again; expected it beside retries");
}

/* Without a word of the file a plan that promotes by itself falls back by itself, and a manual one tells. */
static void settle_failure(struct loader *loader, const struct node *node, struct config_route *route)
{
    const struct node_item *section = node_find(node, "on_failure");
    if (section == NULL || !check_says(section->value, "to"))
        route->on_failure.to = route->promotion == PROMOTION_AUTO ? FAILURE_ZERO : FAILURE_TELL;
    if (section != NULL)
        check_failure(loader, section->value, &route->on_failure);
    if (route->on_failure.to != FAILURE_PREVIOUS)
        route->on_failure.retries = 0;
}

/* What only a plan of stages can do. Words that change nothing are no fault: --dump writes them. */
static void check_fixed_share(struct loader *loader, const struct node *node, const struct config_route *route)
{
    enum config_failure_to usual = route->promotion == PROMOTION_AUTO ? FAILURE_ZERO : FAILURE_TELL;
    bool falls = route->on_failure.to == FAILURE_ZERO || route->on_failure.to == FAILURE_PREVIOUS;
    bool has_ramp = falls && route->on_failure.ramp_ms > 0; /* without a fall it was told */
    const struct {
        const char *key;
        bool is_wrong;
    } keys[] = {
        {"start", route->start_by_hand},
        {"on_failure", route->on_failure.to != usual || has_ramp},
        {"depends_on", route->depends_count > 0},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && !check_says(node, "stages"); i++) {
        if (keys[i].is_wrong)
            check_fault(loader, keys[i].key, check_place(node, keys[i].key),
                        "the route has a fixed share and no plan; expected stages beside it");
    }
}

void plan_check(struct loader *loader, const struct node *node, struct config_route *route)
{
    settle_mismatch_gate(node, route);
    check_stages(loader, node, route);
    settle_failure(loader, node, route);
    check_fixed_share(loader, node, route);
}
