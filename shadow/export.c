/*
 * The table of the report's forms. Each form has a file of its own, export_FORM.c; what they share is in export_text.c.
 * Called by the keeper for the admin API, and by shuntctl for what it got from there.
 */
#include "shadow/export.h"

#include <string.h>

enum {
    TERMINAL_WIDTH = 100 /* for text that goes nowhere in particular; shuntctl knows its terminal and asks itself */
};

static char *make_text(const json_t *report)
{
    return report_text(report, TERMINAL_WIDTH, false);
}

char *export_json(const json_t *report)
{
    return json_dumps(report, JSON_INDENT(2) | JSON_ENCODE_ANY);
}

static const struct export_format formats[] = {
    {"text", "text/plain; charset=utf-8", "txt", make_text, 1},
    {"json", "application/json", "json", export_json, 3},
    {"markdown", "text/markdown; charset=utf-8", "md", export_markdown, 1},
    {"junit", "application/xml", "xml", export_junit, 1},
    {"har", "application/json", "har", export_har, 3},
    {"curl", "text/x-shellscript; charset=utf-8", "sh", export_curl, 1},
    {"rules", "application/yaml; charset=utf-8", "yaml", export_rules, 1},
    {"html", "text/html; charset=utf-8", "html", export_html, 3},
};

enum {
    FORMATS = sizeof(formats) / sizeof(formats[0])
};

const struct export_format *export_find(const char *name)
{
    for (unsigned i = 0; i < FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

const struct export_format *export_at(unsigned index)
{
    return index < FORMATS ? &formats[index] : NULL;
}
