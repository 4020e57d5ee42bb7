/*
 * `status --wait STATE ROUTE`: asks each second until the route is there, cannot get there any more, or the time is
 * over; one exit code for scripts.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/goal.h"
#include "tools/shuntctl/number.h"
#include "tools/shuntctl/plan.h"
#include "tools/shuntctl/status.h"
#include "tools/shuntctl/value.h"
#include "tools/shuntctl/wait.h"
#include "tools/shuntctl/word.h"

struct status_wait {
    struct goal goal;
    enum goal_answer answer;
    bool known;         /* the route once had what is waited for */
    char sentence[512]; /* why it is lost or unknown */
    char progress[160];
};

static bool is_there(void *context, struct ctl *ctl, json_t *route)
{
    struct status_wait *wait = context;
    (void)ctl;
    wait->answer = goal_judge(&wait->goal, route, wait->sentence, sizeof(wait->sentence));
    if (wait->answer == GOAL_UNKNOWN && wait->known) /* taken out of the file meanwhile */
        wait->answer = GOAL_LOST;
    wait->known |= wait->answer != GOAL_UNKNOWN;
    return wait->answer != GOAL_NOT_YET;
}

static const char *tell_progress(void *context, const json_t *route)
{
    struct status_wait *wait = context;
    char stage[128];
    word_stage(route, stage, sizeof(stage));
    snprintf(wait->progress, sizeof(wait->progress), "%s%s%s, waiting for %s", word_phase(value_text(route, "phase")),
             stage[0] != '\0' ? ", stage " : "", stage, wait->goal.word);
    return wait->progress;
}

static int tell_end(const struct ctl *ctl, const struct status_wait *wait, const json_t *route)
{
    const char *name = value_text(route, "name"), *goal = ctl->options.state, *why = value_text(route, "why_not");
    char most[NUMBER_ROOM];
    if (wait->answer == GOAL_UNKNOWN)
        return complain(ctl, EXIT_USAGE, "--wait: %s", wait->sentence);
    if (ctl->options.json)
        api_print(route);
    else
        plan_draw_line(&ctl->screen, route);
    if (wait->answer == GOAL_REACHED)
        return EXIT_DONE;
    if (wait->answer == GOAL_LOST) { /* why_not tells the same with who and when, where it begins alike */
        bool alike = strncmp(why, wait->sentence, strlen(wait->sentence)) == 0;
        return complain(ctl, EXIT_REFUSED, "%s does not get to \"%s\" any more unless a person steps in: %s%s%s", name,
                        goal, alike ? "" : wait->sentence, alike || why[0] == '\0' ? "" : "; ", why);
    }
    return complain(ctl, EXIT_UNDECIDED, "%s is not at \"%s\" within %s%s%s", name, goal,
                    number_duration(ctl->options.wait_most_ms, most), why[0] != '\0' ? ": " : "", why);
}

int status_wait(struct ctl *ctl, const char *name)
{
    json_t *route = NULL;
    struct status_wait context = {.goal = goal_of(ctl->options.state)};
    char *complaint = NULL, *path = api_path("/api/v1/routes/%s", name);
    const struct wait wait = {
        path, "phase", ctl->options.wait_most_ms, ctl->options.wait_most_ms == 0, &context, is_there, tell_progress};
    int code = wait_for(ctl, &wait, &route, &complaint);
    if (code == EXIT_DONE)
        code = tell_end(ctl, &context, route);
    else if (complaint != NULL)
        fputs(complaint, ctl->err);
    /* "there is no such route" must not read as "it does not get there", unless it was there before */
    if (code == EXIT_REFUSED && context.answer != GOAL_LOST && !context.known)
        code = EXIT_USAGE;
    json_decref(route);
    free(complaint);
    free(path);
    return code;
}
