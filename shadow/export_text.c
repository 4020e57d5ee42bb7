/*
 * The ground under every form of the report (export.h): unchecked JSON in, text out that cannot be broken out of.
 *
 * The report's JSON may come from a server of another version, or through a file that somebody has edited, and what
 * stands in it began as a request of a stranger. So nothing is believed: types are asked for at each step, control
 * characters never get through, and each syntax has one place that knows its special characters. Pure apart from
 * malloc; any thread.
 */
#include "shadow/export_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shadow/redact.h"

bool export_open(struct export_page *page)
{
    *page = (struct export_page){.out = NULL};
    page->out = open_memstream(&page->text, &page->len);
    return page->out != NULL;
}

char *export_close(struct export_page *page)
{
    bool bad = ferror(page->out) != 0;
    if (fclose(page->out) == 0 && !bad)
        return page->text;
    free(page->text);
    return NULL;
}

/* ---- reading ---- */

uint64_t export_count(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

double export_number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

bool export_has_number(const json_t *object, const char *key)
{
    return json_is_number(json_object_get(object, key));
}

bool export_flag(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static bool is_noise(const json_t *route, const char *endpoint, const char *field)
{
    const json_t *row, *its;
    size_t i, k;
    json_array_foreach(json_object_get(route, "endpoints"), i, row)
    {
        if (strcmp(export_string(row, "endpoint"), endpoint) != 0)
            continue;
        json_array_foreach(json_object_get(row, "fields"), k, its)
        {
            if (strcmp(export_string(its, "field"), field) == 0)
                return strcmp(export_string(its, "state"), "noise") == 0;
        }
    }
    return false;
}

bool export_counts(const json_t *route, const json_t *sample, const json_t *difference)
{
    return !export_flag(difference, "ignored") &&
           !is_noise(route, export_string(sample, "endpoint"), export_string(difference, "field"));
}

bool export_sample_counts(const json_t *route, const json_t *sample)
{
    const json_t *differences = json_object_get(sample, "differences"), *difference;
    uint64_t told = 0;
    size_t i;
    json_array_foreach(differences, i, difference)
    {
        if (export_counts(route, sample, difference))
            return true;
        told += export_flag(difference, "ignored") ? 0 : 1;
    }
    return json_array_size(differences) == 0 || export_count(sample, "fields") > told;
}

const char *export_string(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? value : "";
}

/* ---- writing ---- */

static void put_plain(FILE *out, const char *at)
{
    fputs(at, out);
}

static void put_xml(FILE *out, const char *at)
{
    for (; *at != '\0'; at++) {
        switch (*at) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            if (strncmp(at, "\xef\xbf\xbe", 3) == 0 || strncmp(at, "\xef\xbf\xbf", 3) == 0) {
                fputc('?', out); /* U+FFFE and U+FFFF: XML 1.0 has no way to write them */
                at += 2;
            } else {
                fputc(*at, out);
            }
        }
    }
}

/* As numeric references, which never act as punctuation of Markdown and mean the same in HTML. */
static void put_references(FILE *out, const char *at, const char *special)
{
    for (; *at != '\0'; at++) {
        if (strchr(special, *at) != NULL)
            fprintf(out, "&#%d;", *at);
        else
            fputc(*at, out);
    }
}

/* A colon matters before a slash only, an underscore only at a word's edge: sentences stay readable as they are. */
static void put_markdown(FILE *out, const char *at)
{
    for (char before = ' '; *at != '\0'; before = *at++) {
        char one[2] = {*at, '\0'};
        bool plain = (*at == ':' && at[1] != '/') ||
                     (*at == '_' && isalnum((unsigned char)before) && isalnum((unsigned char)at[1]));
        put_references(out, one, plain ? "" : "&<>\\`*_[]|~#!@{}:");
    }
}

static void put_yaml(FILE *out, const char *at)
{
    for (; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            fputc('\\', out);
        fputc(*at, out);
    }
}

static void (*const putters[])(FILE *out, const char *at) = {
    [EXPORT_PLAIN] = put_plain,
    [EXPORT_XML] = put_xml,
    [EXPORT_MARKDOWN] = put_markdown,
    [EXPORT_YAML] = put_yaml,
};

/* Malloc'd; a cleaned text is never longer than what it was made from. */
static char *cleaned(const char *text)
{
    size_t len = strlen(text);
    char *clean = malloc(len + 1);
    if (clean != NULL)
        redact_clean(clean, len + 1, text, len);
    return clean;
}

void export_put(FILE *out, enum export_syntax syntax, const char *text)
{
    char *clean = cleaned(text);
    putters[syntax](out, clean != NULL ? clean : "?");
    free(clean);
}

void export_put_code(FILE *out, const char *text)
{
    char *clean = cleaned(text);
    const char *at = clean != NULL ? clean : "?";
    if (*at == '\0') {
        /* nothing to mark as code */
    } else if (strpbrk(at, "`|\\") == NULL && *at != ' ' && at[strlen(at) - 1] != ' ') {
        fprintf(out, "`%s`", at); /* in a span nothing is special but these */
    } else {
        fputs("<code>", out);
        put_references(out, at, "&<>\\`*_[]|~#!@{}:");
        fputs("</code>", out);
    }
    free(clean);
}

/* Bytes of UTF-8 text that may stand in quotes as they are; 0: written by its number. */
static size_t harmless_bytes(const char *at)
{
    char clean[8];
    unsigned char c = (unsigned char)*at;
    size_t need = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (strnlen(at, need) < need || redact_clean(clean, sizeof(clean), at, need) != need ||
        memcmp(clean, at, need) != 0)
        return 0;
    return need;
}

void export_put_shell(FILE *out, const char *text)
{
    fputc('\'', out);
    while (*text != '\0') {
        size_t bytes = harmless_bytes(text);
        if (*text == '\'') {
            fputs("'\\''", out);
            text++;
        } else if (bytes > 0 || *text == '\n') {
            bytes = bytes > 0 ? bytes : 1;
            fwrite(text, 1, bytes, out);
            text += bytes;
        } else {
            fputs("'\"$(printf '", out);
            for (; *text != '\0' && *text != '\n' && harmless_bytes(text) == 0; text++)
                fprintf(out, "\\%03o", (unsigned)(unsigned char)*text);
            fputs("')\"'", out);
        }
    }
    fputc('\'', out);
}

/* ---- figures ---- */

const char *export_commas(char text[EXPORT_FIGURE], uint64_t count)
{
    char digits[EXPORT_FIGURE];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, count);
    char *to = text;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

const char *export_percent(char text[EXPORT_FIGURE], double rate)
{
    if (!(rate <= 1e9)) /* nothing that is a rate; it would not find room */
        snprintf(text, EXPORT_FIGURE, "?");
    else if (rate > 0.9999 && rate < 1) /* not all, so not "100.00 %" */
        snprintf(text, EXPORT_FIGURE, "99.99 %%");
    else
        snprintf(text, EXPORT_FIGURE, rate > 0 && rate < 0.0001 ? "<0.01 %%" : "%.2f %%", rate < 0 ? 0 : rate * 100);
    return text;
}

const char *export_milliseconds(char text[EXPORT_FIGURE], double ms)
{
    double size = ms < 0 ? -ms : ms;
    if (!(size <= 1e12))
        snprintf(text, EXPORT_FIGURE, "?");
    else
        snprintf(text, EXPORT_FIGURE, size < 10 ? "%.2f ms" : size < 100 ? "%.1f ms" : "%.0f ms", ms);
    return text;
}

const char *export_clock(char text[EXPORT_FIGURE], uint64_t wall_ms, const char *format)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    text[0] = '\0';
    if (gmtime_r(&seconds, &parts) == NULL || parts.tm_year > 9999 - 1900 ||
        strftime(text, EXPORT_FIGURE, format, &parts) == 0)
        text[0] = '\0';
    return text;
}

/* ---- a fleet ---- */

bool export_fleet(char text[EXPORT_FLEET], const json_t *report)
{
    const json_t *fleet = json_object_get(report, "fleet");
    uint64_t replicas = export_count(fleet, "replicas"), beyond = export_count(fleet, "beyond");
    char count[EXPORT_FIGURE], lost[EXPORT_FIGURE];
    text[0] = '\0';
    if (!json_is_object(fleet))
        return false;
    (void)snprintf(text, EXPORT_FLEET, "%s replica%s of a fleet together%s%s%s", export_commas(count, replicas),
                   replicas == 1 ? "" : "s", beyond > 0 ? "; " : "", beyond > 0 ? export_commas(lost, beyond) : "",
                   beyond > 0 ? " figures found no room in Redis and are missing" : "");
    return true;
}
