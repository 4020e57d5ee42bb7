/*
 * Words for events: who is told in a chat reads one sentence and knows what happened, to what, by whom and why. The
 * names of events are those of config/events.c; a test holds the two lists together.
 */
#include "proxy/notify_sentence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "router/router.h"
#include "router/utf8.h"

enum {
    WHY_MOST = 600 /* bytes of a reason, which people write */
};

static const struct phrase {
    const char *what;
    const char *says;
} phrases[] = {
    {"start", "was started"},
    {"promote", "was promoted"},
    {"pause", "was paused"},
    {"resume", "goes on"},
    {"freeze", "was frozen"},
    {"rollback", "was rolled back"},
    {"restart", "was started anew"},
    {"set_percent", "was given another share"},
    {"reset_breaker", "had its breaker reset"},
    {"waiting_for_promote", "waits for a person to promote it"},
    {"gate_failed", "failed a gate"},
    {"step_back", "was put back a stage"},
    {"deadline", "has reached its deadline"},
    {"dependency_met", "has all it depends on"},
    {"dependency_lost", "lost what it depends on"},
    {"done", "is done"},
    {"breaker_open", "was taken back to legacy: its breaker opened"},
    {"breaker_half_open", "is tried again by its breaker"},
    {"breaker_closed", "got its share back: its breaker closed"},
    {"breaker_healthy", "has been healthy long enough: its breaker forgot its trips"},
    {"fleet_breaker_open", "was taken back to legacy by the whole fleet: its breaker opened"},
    {"fleet_breaker_half_open", "is tried again by one replica for the whole fleet"},
    {"fleet_breaker_closed", "got its share back in the whole fleet: its breaker closed"},
    {"fleet_breaker_healthy", "has been healthy long enough: the fleet's breaker forgot its trips"},
    {"fleet_outlier", "is taken back to legacy in one replica alone"},
    {"passthrough_on", "sends everything straight to legacy: passthrough is on"},
    {"passthrough_off", "splits traffic again: passthrough is off"},
    {"route_added", "was added"},
    {"route_removed", "was taken out of the file"},
    {"reload", "follows an edited file"},
    {"report_forgotten", "begins its shadow report anew"},
};

/* What is not in the table is told by its name. */
static const char *phrase_of(const char *what)
{
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (strcmp(phrases[i].what, what) == 0)
            return phrases[i].says;
    return what;
}

/* "canary (10%)", or "10%" for a route without stages. */
static void print_place(FILE *out, const json_t *place)
{
    const char *stage = json_string_value(json_object_get(place, "stage"));
    double percent = json_number_value(json_object_get(place, "percent"));
    if (stage != NULL)
        fprintf(out, "%s (%.4g%%)", stage, percent);
    else
        fprintf(out, "%.4g%%", percent);
}

/* From where to where, when the event moved the share or the stage. */
static void print_movement(FILE *out, const struct router_event *event)
{
    const json_t *from = json_object_get(event->from, "percent"), *to = json_object_get(event->to, "percent");
    const json_t *left = json_object_get(event->from, "stage"), *entered = json_object_get(event->to, "stage");
    if (!json_is_number(from) || !json_is_number(to))
        return;
    bool same_stage = json_equal(left, entered) || left == entered;
    if (same_stage && json_number_value(from) == json_number_value(to))
        return;
    fputs(" from ", out);
    print_place(out, event->from);
    fputs(" to ", out);
    print_place(out, event->to);
}

/* Breakers say it themselves. */
static void print_author(FILE *out, const struct router_event *event)
{
    if (event->who != NULL && strcmp(event->who, "breaker") != 0)
        fprintf(out, ", by %s", event->who);
}

static void print_why(FILE *out, const char *why)
{
    if (why == NULL || why[0] == '\0')
        return;
    size_t length = strlen(why);
    size_t kept = length;
    if (length > WHY_MOST) {
        kept = WHY_MOST;
        while (kept > 0 && ((unsigned char)why[kept] & 0xc0) == 0x80)
            kept--;
    }
    fprintf(out, ": %.*s%s", (int)kept, why, kept < length ? "..." : "");
}

/* What came from people may not be UTF-8. Takes `text`. */
static char *make_utf8(char *text)
{
    json_t *clean = utf8_json(text);
    free(text);
    char *copy = clean != NULL ? strdup(json_string_value(clean)) : NULL;
    json_decref(clean);
    return copy;
}

char *notify_sentence(const struct router_event *event)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL)
        return NULL;
    fprintf(out, "%s %s", event->route != NULL ? event->route : "shunt", phrase_of(event->what));
    print_movement(out, event);
    print_author(out, event);
    print_why(out, event->why);
    bool good = ferror(out) == 0;
    if (fclose(out) != 0 || !good) {
        free(text);
        return NULL;
    }
    return make_utf8(text);
}

static char *escape(const char *sentence)
{
    char *escaped = malloc(strlen(sentence) * 5 + 1);
    if (escaped == NULL)
        return NULL;
    char *to = escaped;
    for (const char *at = sentence; *at != '\0'; at++) {
        const char *instead = *at == '&' ? "&amp;" : *at == '<' ? "&lt;" : *at == '>' ? "&gt;" : NULL;
        if (instead != NULL)
            to = stpcpy(to, instead);
        else
            *to++ = *at;
    }
    *to = '\0';
    return escaped;
}

char *notify_slack(const struct router_event *event)
{
    char *sentence = notify_sentence(event);
    char *escaped = sentence != NULL ? escape(sentence) : NULL;
    json_t *message = escaped != NULL ? json_pack("{s:s}", "text", escaped) : NULL;
    char *text = message != NULL ? json_dumps(message, JSON_COMPACT) : NULL;
    json_decref(message);
    free(escaped);
    free(sentence);
    return text;
}
