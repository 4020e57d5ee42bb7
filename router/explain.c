/*
 * router_explain(): the decision for made-up facts, and a sentence about it for people. Control thread only; counts
 * nothing.
 */
#include "router/control.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct sentence {
    char *at;
    size_t room;
};

__attribute__((format(printf, 2, 3))) static void say(struct sentence *sentence, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(sentence->at, sentence->room, format, arguments);
    va_end(arguments);
    size_t used = wanted < 0 ? 0 : (size_t)wanted;
    if (used >= sentence->room)
        used = sentence->room > 0 ? sentence->room - 1 : 0;
    sentence->at += used;
    sentence->room -= used;
}

static const char *const key_kinds[] = {
    [STICKY_HEADER] = "header",         [STICKY_COOKIE] = "cookie",
    [STICKY_QUERY] = "query parameter", [STICKY_CLIENT_IP] = "client address",
    [STICKY_RANDOM] = "chance",
};

static void say_key(struct sentence *sentence, const struct decision *decision)
{
    if (decision->sticky < 0) {
        say(sentence, "no sticky key is present, so the client address");
        return;
    }
    const struct config_sticky *key = &decision->route->sticky[decision->sticky];
    say(sentence, "%s%s%s", key_kinds[key->kind], key->name != NULL ? " " : "", key->name != NULL ? key->name : "");
}

static void say_cohort(struct sentence *sentence, const struct decision *decision)
{
    say_key(sentence, decision);
    say(sentence, " gives cohort %u; the share of %u.%02u %% takes cohorts below %u", decision->cohort,
        decision->share / 100, decision->share % 100, decision->share);
}

static void say_override(struct sentence *sentence, const struct decision *decision)
{
    const struct config_override *override = &decision->route->overrides[decision->override];
    say(sentence, "override %d (%s %s) matches", decision->override + 1, key_kinds[override->kind],
        override->match.name);
}

static void say_reason(struct sentence *sentence, const struct decision *decision)
{
    switch (decision->reason) {
    case REASON_NO_ROUTE:
        say(sentence, "no route matches, and such requests go to legacy");
        break;
    case REASON_PASSTHROUGH:
        say(sentence, "passthrough is on: everything goes to legacy");
        break;
    case REASON_OVERRIDE:
        say_override(sentence, decision);
        break;
    case REASON_ASSIGNED:
        say_cohort(sentence, decision);
        say(sentence, ", but the assignment cookie keeps the client on new");
        break;
    case REASON_COHORT:
        say_cohort(sentence, decision);
        break;
    case REASON_BREAKER_OPEN:
        say(sentence, "new would be asked, but the breaker keeps live traffic on legacy");
        break;
    case REASON_BREAKER_TRIAL:
        say(sentence, "the breaker is half open, and this would be one of its trial requests");
        break;
    case REASON_ROLLED_BACK:
        say(sentence, "the plan is rolled back: everything goes to legacy until a person resumes it");
        break;
    case REASON_DEPENDENCY:
        say(sentence, "new would be asked, but a route this one depends on has its traffic on legacy");
        break;
    case DECISION_REASONS:
        break;
    }
}

static void say_mirror(struct sentence *sentence, const struct decision *decision)
{
    if (decision->mirror == MIRROR_SENT)
        say(sentence, " A copy goes to %s.", side_name(side_other(decision->side)));
    else if (decision->mirror != MIRROR_OFF)
        say(sentence, " No copy is sent (%s).", mirror_reason_name(decision->mirror));
}

/* The same fields with their ids filled in; NULL without memory or fields. */
static struct field *fields_with_ids(const struct request_facts *facts)
{
    struct field *fields = facts->field_count > 0 ? calloc(facts->field_count, sizeof(*fields)) : NULL;
    for (uint32_t i = 0; fields != NULL && i < facts->field_count; i++) {
        fields[i] = facts->fields[i];
        fields[i].id = request_field_id(fields[i].name);
    }
    return fields;
}

void router_explain(const struct router *router, const struct request_facts *facts, struct decision *decision,
                    char *sentence, size_t room)
{
    struct sentence out = {sentence, room};
    struct router_view *view = router_make_view(router);
    *decision = (struct decision){.override = -1, .sticky = -1, .mirror = MIRROR_OFF};
    if (view == NULL) {
        say(&out, "No configuration is in use, or no memory is left to explain it.");
        return;
    }
    struct request_facts known = *facts;
    struct field *fields = fields_with_ids(facts);
    if (fields != NULL)
        known.fields = fields;
    view_decide(view, 0, &known, true, decision);
    if (decision->route != NULL)
        say(&out, "Route %s: ", decision->route->name);
    say_reason(&out, decision);
    say(&out, ". It goes to %s%s%s.", side_name(decision->side), decision->backend != NULL ? ", backend " : "",
        decision->backend != NULL ? decision->backend->name : "");
    say_mirror(&out, decision);
    free(fields);
    router_view_unref(view);
}
