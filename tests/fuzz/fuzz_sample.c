/*
 * What is read back of the stored report: one sample as it stands in shadow.db, which anybody who may write the state
 * directory has had in his hands, and a report as a program may hand it to shuntctl. Both are made into every form.
 *
 * No form may fail but for want of memory, and nothing in a sample gets out of its place: JSON stays JSON, XML stays
 * XML, and the page has as many scripts as it has without the sample.
 */
#include <assert.h>
#include <jansson.h>
#include <libxml/parser.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/export.h"

static bool is_json(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_decref(json);
    return json != NULL;
}

static bool is_xml(const char *text)
{
    int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_HUGE;
    xmlDocPtr document = xmlReadMemory(text, (int)strlen(text), NULL, NULL, options);
    bool good = document != NULL;
    xmlFreeDoc(document);
    return good;
}

static unsigned count_of(const char *text, const char *word)
{
    unsigned count = 0;
    for (; (text = strcasestr(text, word)) != NULL; text++)
        count++;
    return count;
}

static unsigned count_scripts(const json_t *report)
{
    char *page = export_html(report);
    assert(page != NULL);
    unsigned count = count_of(page, "<script") + count_of(page, "</script") + count_of(page, "<!--");
    free(page);
    return count;
}

static void make_all(const json_t *report)
{
    const struct export_format *format;
    for (unsigned i = 0; (format = export_at(i)) != NULL; i++) {
        char *text = format->make(report);
        assert(text != NULL);
        if (strcmp(format->media_type, "application/json") == 0)
            assert(is_json(text));
        if (strcmp(format->media_type, "application/xml") == 0)
            assert(is_xml(text));
        free(text);
    }
    char *wide = report_text_all(report, 200, true), *narrow = report_text(report, 1, false);
    assert(wide != NULL && narrow != NULL);
    free(wide);
    free(narrow);
}

/* A report with one route and its samples. */
static json_t *report_with(json_t *samples)
{
    json_t *report = json_pack("{s:i, s:I, s:s, s:[{s:s, s:s, s:s, s:o}]}", "schema", 2, "generated_at_ms",
                               (json_int_t)1700000000000, "version", "0", "routes", "route", "orders", "primary",
                               "legacy", "shadow", "new", "samples", samples);
    assert(report != NULL);
    return report;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned scripts;
    if (scripts == 0) {
        json_t *nothing = report_with(json_array());
        scripts = count_scripts(nothing);
        json_decref(nothing);
    }
    json_t *read = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
    if (read == NULL)
        return 0;
    make_all(read);
    assert(count_scripts(read) == scripts);
    json_t *samples = json_array();
    if (json_is_object(read)) /* as archive.c takes it */
        json_object_set_new(read, "for", json_string("$.total"));
    json_array_append_new(samples, read);
    json_t *report = report_with(samples);
    make_all(report);
    assert(count_scripts(report) == scripts);
    json_decref(report);
    return 0;
}
