/*
 * The report as one self-contained page: the template of shadow/page/report.html with its style, its script, the
 * report's JSON and, for a browser without scripts, the sentences of the verdicts.
 *
 * Whoever serves, saves or prints the page calls it; any thread. It draws nothing: that is report.js, in the browser.
 * What it answers for is that nothing in the report can become markup: in the JSON the characters that could end a
 * script element are written as \u003c and the like, and the sentences are escaped as HTML.
 */
#include "shadow/export.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/page/page.h"

/* ---- the JSON, safe inside <script> ---- */

/* U+2028 and U+2029 end a line in old JavaScript, and stand in no JSON of ours outside of strings. */
static const char *separator_at(const char *at, size_t left)
{
    if (left < 3 || memcmp(at, "\xe2\x80", 2) != 0)
        return NULL;
    return at[2] == '\xa8' ? "\\u2028" : at[2] == '\xa9' ? "\\u2029" : NULL;
}

static const char *json_escape(char c)
{
    switch (c) {
    case '<':
        return "\\u003c";
    case '>':
        return "\\u003e";
    case '&':
        return "\\u0026";
    default:
        return NULL;
    }
}

/* These characters occur in JSON only inside strings, where an escape means the same. */
static void write_script_json(FILE *out, const char *text, size_t len)
{
    size_t written = 0;
    for (size_t i = 0; i < len; i++) {
        const char *separator = separator_at(text + i, len - i);
        const char *escape = separator != NULL ? separator : json_escape(text[i]);
        if (escape == NULL)
            continue;
        fwrite(text + written, 1, i - written, out);
        fputs(escape, out);
        i += separator != NULL ? 2 : 0;
        written = i + 1;
    }
    fwrite(text + written, 1, len - written, out);
}

static bool write_data(FILE *out, const json_t *report)
{
    if (report == NULL)
        return fputs("null", out) >= 0;
    char *text = json_dumps(report, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text == NULL)
        return false;
    write_script_json(out, text, strlen(text));
    free(text);
    return true;
}

/* ---- without scripts ---- */

static const char *html_escape(char c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static void write_html(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        const char *escape = html_escape(*text);
        if (escape != NULL)
            fputs(escape, out);
        else
            fputc(*text, out);
    }
}

static void write_text_of(FILE *out, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    write_html(out, text != NULL ? text : "");
}

static bool write_sentences(FILE *out, const json_t *report)
{
    const json_t *routes = json_object_get(report, "routes");
    if (json_array_size(routes) == 0) {
        fputs("<p>Nothing has been compared yet.</p>\n", out);
        return true;
    }
    fputs("<ul>\n", out);
    for (size_t i = 0; i < json_array_size(routes); i++) {
        const json_t *route = json_array_get(routes, i);
        fputs("<li><strong><bdi>", out);
        write_text_of(out, route, "route");
        fputs("</bdi></strong> (", out);
        write_text_of(out, route, "primary");
        fputs(" answers, ", out);
        write_text_of(out, route, "shadow");
        fputs(" is compared): <bdi>", out);
        write_text_of(out, json_object_get(route, "verdict"), "sentence");
        fputs("</bdi></li>\n", out);
    }
    fputs("</ul>\n", out);
    return true;
}

/* ---- the page ---- */

static bool write_style(FILE *out, const json_t *report)
{
    (void)report;
    return fwrite(page_css, 1, page_css_len, out) == page_css_len;
}

static bool write_script(FILE *out, const json_t *report)
{
    (void)report;
    return fwrite(page_js, 1, page_js_len, out) == page_js_len;
}

/* What stands in report.html where something is to be filled in, in this order. */
static const struct {
    const char *mark;
    bool (*write)(FILE *out, const json_t *report);
} parts[] = {
    {"{{style}}", write_style},
    {"{{sentences}}", write_sentences},
    {"{{report}}", write_data},
    {"{{script}}", write_script},
};

static bool write_page(FILE *out, const json_t *report)
{
    const char *at = page_html;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const char *mark = strstr(at, parts[i].mark);
        if (mark == NULL)
            return false;
        fwrite(at, 1, (size_t)(mark - at), out);
        if (!parts[i].write(out, report))
            return false;
        at = mark + strlen(parts[i].mark);
    }
    return fputs(at, out) >= 0;
}

char *export_html(const json_t *report)
{
    char *page = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&page, &len);
    if (out == NULL)
        return NULL;
    bool whole = write_page(out, report) && ferror(out) == 0;
    if (fclose(out) == 0 && whole)
        return page;
    free(page);
    return NULL;
}
