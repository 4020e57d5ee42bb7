/*
 * The report in the forms people and programs want, each made from its JSON (docs/report.md), so that the admin API,
 * shuntctl and the offline comparison print the same. Pure apart from malloc; any thread; trusts nothing in the JSON.
 */
#ifndef SHUNT_SHADOW_EXPORT_H
#define SHUNT_SHADOW_EXPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Each returns malloc'd text, NUL-terminated, or NULL without memory. */
char *export_json(const json_t *report);     /* as it is, indented by 2 */
char *export_markdown(const json_t *report); /* for a pull request or a wiki */
char *export_junit(const json_t *report);    /* a test suite for each route and direction, a case for each endpoint */
char *export_har(const json_t *report);      /* HAR 1.2: two entries for each sample, primary and shadow */
char *export_curl(const json_t *report);     /* for each sample a comment and one command for each side */
char *export_rules(const json_t *report);    /* YAML to paste under shadow.compare: what is noise, what is only order */
char *export_html(const json_t *report);     /* one self-contained page */
/* A table for a terminal, at most `width` columns. */
char *report_text(const json_t *report, unsigned width, bool color);
/* The same with a line for each hidden field, too. */
char *report_text_all(const json_t *report, unsigned width, bool color);

struct export_format {
    const char *name; /* "json", "text", "markdown", "junit", "har", "curl", "rules", "html" */
    const char *media_type;
    const char *extension;
    char *(*make)(const json_t *report);
    unsigned samples; /* for each field, unless asked otherwise */
};

/* NULL: no such format. */
const struct export_format *export_find(const char *name);
/* The formats in the order of the table; NULL after the last. */
const struct export_format *export_at(unsigned index);

#endif
