/*
 * `status ROUTE`: one route with its plan, its traffic and what became of its copies.
 *
 * Draws an element of status.routes; asks nothing.
 */
#include "tools/shuntctl/number.h"
#include "tools/shuntctl/plan.h"
#include "tools/shuntctl/status.h"
#include "tools/shuntctl/value.h"

/* Counters that are not 0, as "2xx 1,204, 5xx 3". */
static void draw_counts(const struct screen *screen, const char *title, const json_t *counts)
{
    const char *name;
    const json_t *value;
    bool any = false;
    screen_print(screen, TONE_FAINT, "  %s: ", title);
    json_object_foreach((json_t *)counts, name, value)
    {
        char count[NUMBER_ROOM];
        if (json_integer_value(value) <= 0)
            continue;
        screen_print(screen, TONE_PLAIN, "%s%s %s", any ? ", " : "", name,
                     number_count((uint64_t)json_integer_value(value), count));
        any = true;
    }
    screen_print(screen, TONE_FAINT, "%s\n", any ? "" : "none");
}

bool status_draw_route(const struct screen *screen, const json_t *route)
{
    bool whole = plan_draw(screen, route);
    fputc('\n', screen->out);
    json_t *alone = json_pack("{s:[O]}", "routes", route);
    whole &= alone != NULL && status_draw_traffic(screen, alone, NULL);
    json_decref(alone);
    fputc('\n', screen->out);
    draw_counts(screen, "legacy answered", value_at(route, "counters.legacy.classes"));
    draw_counts(screen, "new answered", value_at(route, "counters.new.classes"));
    draw_counts(screen, "outcomes on legacy", value_at(route, "counters.legacy.outcomes"));
    draw_counts(screen, "outcomes on new", value_at(route, "counters.new.outcomes"));
    draw_counts(screen, "copies", value_at(route, "counters.mirror"));
    return whole;
}
