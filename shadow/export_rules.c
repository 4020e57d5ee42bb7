/*
 * The report's suggestions as YAML to paste under a route's shadow.compare: what is noise, what is only order, what is
 * never far apart. Both directions of a route share its rules, so they share a document. A suggestion whose path the
 * configuration would not take is left out, and a comment says so.
 */
#include "shadow/export.h"

#include <string.h>

#include "shadow/export_text.h"
#include "shadow/json_path.h"
#include "shadow/rules.h"

static bool accepts_path(const json_t *suggestion)
{
    struct json_path_fault fault;
    return json_path_is_valid(export_string(suggestion, "path"), &fault);
}

static bool accepts_ignore(const json_t *suggestion)
{
    struct json_path_fault fault;
    return rules_accept_ignore(export_string(suggestion, "path"), &fault);
}

static bool accepts_tolerance(const json_t *suggestion)
{
    double relative = export_number(suggestion, "relative");
    return accepts_path(suggestion) && relative > 0 && relative <= 1;
}

static void print_path(FILE *out, const json_t *suggestion)
{
    fputc('"', out);
    export_put(out, EXPORT_YAML, export_string(suggestion, "path"));
    fputc('"', out);
}

/* At most as many decimals as the configuration reads, rounded up: the rule must cover what was seen. */
static void print_tolerance(FILE *out, const json_t *suggestion)
{
    double percent = export_number(suggestion, "relative") * 100;
    double step = percent < 1 ? 0.01 : percent < 10 ? 0.1 : 1;
    double steps = percent / step;
    uint64_t whole = (uint64_t)steps;
    if (steps - (double)whole > 1e-9 && whole < UINT32_MAX)
        whole++;
    percent = (double)whole * step;
    fputs("{ path: ", out);
    print_path(out, suggestion);
    fprintf(out, ", relative: %.*f%% }", step < 0.1 ? 2 : step < 1 ? 1 : 0, percent > 100 ? 100 : percent);
}

static const struct rule_form {
    const char *rule;
    bool (*accepts)(const json_t *suggestion);
    void (*print)(FILE *out, const json_t *suggestion);
} forms[] = {
    {"ignore", accepts_ignore, print_path},
    {"tolerance", accepts_tolerance, print_tolerance},
    {"unordered", accepts_path, print_path},
};

enum {
    FORMS = sizeof(forms) / sizeof(forms[0])
};

/* Walks the suggestions of all directions of one route. */
struct walk {
    const json_t *routes;
    const char *name;
    size_t route, suggestion;
};

static const json_t *next_suggestion(struct walk *walk)
{
    for (; walk->route < json_array_size(walk->routes); walk->route++, walk->suggestion = 0) {
        const json_t *route = json_array_get(walk->routes, walk->route);
        const json_t *list = json_object_get(route, "suggestions");
        if (strcmp(export_string(route, "route"), walk->name) == 0 && walk->suggestion < json_array_size(list))
            return json_array_get(list, walk->suggestion++);
    }
    return NULL;
}

static bool is_form(const json_t *suggestion, const struct rule_form *form)
{
    return strcmp(export_string(suggestion, "rule"), form->rule) == 0;
}

/* Was the same said before, of the other direction? */
static bool is_said(const struct walk *walk, const struct rule_form *form, const json_t *suggestion)
{
    struct walk before = {.routes = walk->routes, .name = walk->name};
    const char *path = export_string(suggestion, "path");
    for (const json_t *other; (other = next_suggestion(&before)) != NULL && other != suggestion;)
        if (is_form(other, form) && form->accepts(other) && strcmp(export_string(other, "path"), path) == 0)
            return true;
    return false;
}

static void print_why(FILE *out, const json_t *suggestion)
{
    const char *why = export_string(suggestion, "why");
    if (why[0] != '\0') {
        fputs(" # ", out);
        export_put(out, EXPORT_PLAIN, why);
    }
    fputc('\n', out);
}

static unsigned print_form(FILE *out, const json_t *routes, const char *name, const struct rule_form *form)
{
    struct walk walk = {.routes = routes, .name = name};
    unsigned count = 0;
    for (const json_t *suggestion; (suggestion = next_suggestion(&walk)) != NULL;) {
        if (!is_form(suggestion, form) || is_said(&walk, form, suggestion))
            continue;
        if (!form->accepts(suggestion)) {
            fprintf(out, "# left out, for it cannot be written as a rule: %s ", form->rule);
            export_put(out, EXPORT_PLAIN, export_string(suggestion, "path"));
            fputc('\n', out);
            continue;
        }
        if (count++ == 0)
            fprintf(out, "%s:\n", form->rule);
        fputs("  - ", out);
        form->print(out, suggestion);
        print_why(out, suggestion);
    }
    return count;
}

static bool is_first_of_its_name(const json_t *routes, size_t index, const char *name)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(export_string(json_array_get(routes, i), "route"), name) == 0)
            return false;
    return true;
}

static bool has_suggestions(const json_t *routes, const char *name)
{
    struct walk walk = {.routes = routes, .name = name};
    return next_suggestion(&walk) != NULL;
}

char *export_rules(const json_t *report)
{
    struct export_page page;
    const json_t *routes = json_object_get(report, "routes"), *route;
    char fleet[EXPORT_FLEET];
    size_t i, documents = 0;
    if (!export_open(&page))
        return NULL;
    if (export_fleet(fleet, report))
        fprintf(page.out, "# By what %s have found.\n", fleet);
    json_array_foreach(routes, i, route)
    {
        const char *name = export_string(route, "route");
        unsigned count = 0;
        if (!is_first_of_its_name(routes, i, name) || !has_suggestions(routes, name))
            continue;
        fputs(documents++ > 0 ? "---\n# " : "# ", page.out);
        export_put(page.out, EXPORT_PLAIN, name);
        fputs(": to paste under routes[].shadow.compare, into the lists that are there already.\n", page.out);
        for (unsigned form = 0; form < FORMS; form++)
            count += print_form(page.out, routes, name, &forms[form]);
        if (count == 0)
            fputs("{}\n", page.out);
    }
    if (documents == 0)
        fputs("# Nothing to suggest: no field is known to be noise.\n", page.out);
    return export_close(&page);
}
