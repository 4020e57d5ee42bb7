/*
 * Each sample as a comment and two curl commands, one for each side: to reproduce a difference at a prompt.
 *
 * A report is pasted into shells by people who trust it, and what stands in it was sent by strangers. So every value is
 * one quoted word (export_put_shell()), header lines only have names that HTTP knows (curl reads "-H @file"), the path
 * begins with a slash (else it could continue the host's name), and curl is told to expand and squash nothing.
 */
#include "shadow/export.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shadow/export_text.h"

/* Of one connection, or made anew by curl. */
static const char *const left_out[] = {"connection", "content-length",   "expect",
                                       "keep-alive", "proxy-connection", "te",
                                       "trailer",    "upgrade",          "transfer-encoding"};

static bool is_token(const char *text)
{
    if (text[0] == '\0')
        return false;
    for (; *text != '\0'; text++)
        if (!isalnum((unsigned char)*text) && strchr("!#$%&'*+-.^_`|~", *text) == NULL)
            return false;
    return true;
}

static bool is_left_out(const char *name)
{
    for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
        if (strcasecmp(left_out[i], name) == 0)
            return true;
    return !is_token(name);
}

/* Name and value of a line [name, value]; false when it is not one that curl may be given. */
static bool read_header(const json_t *line, const char **name, const char **value)
{
    *name = json_string_value(json_array_get(line, 0));
    *value = json_string_value(json_array_get(line, 1));
    return *name != NULL && *value != NULL && !is_left_out(*name);
}

/* Does it contain what the veil puts in the place of a value: "<string 12>", "<24>", "<number #5f3a09bc11d2>"? */
static bool has_hidden(const char *text)
{
    for (const char *at = text; (at = strchr(at, '<')) != NULL; at++) {
        size_t name = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz0123456789");
        size_t rest = strspn(at + 1 + name, " #0123456789abcdef");
        if (name > 0 && at[1 + name + rest] == '>')
            return true;
    }
    return false;
}

static bool request_has_hidden(const json_t *sample)
{
    const json_t *request = json_object_get(sample, "request");
    return has_hidden(export_string(sample, "target")) || has_hidden(export_string(request, "body"));
}

/* Headers whose values are hidden are left out, so that the command works as it stands; here they are named. */
static void print_hidden_headers(FILE *out, const json_t *request)
{
    const json_t *line;
    const char *between = "# left out, for the values are hidden: ";
    size_t i;
    json_array_foreach(json_object_get(request, "headers"), i, line)
    {
        const char *name, *value;
        if (!read_header(line, &name, &value) || !has_hidden(value))
            continue;
        fputs(between, out);
        export_put(out, EXPORT_PLAIN, name);
        between = ", ";
    }
    if (between[0] == ',')
        fputc('\n', out);
}

static void print_comment(FILE *out, const char *label, const char *text)
{
    fprintf(out, "# %s", label);
    export_put(out, EXPORT_PLAIN, text);
    fputc('\n', out);
}

static void print_comments(FILE *out, const json_t *route, const json_t *sample)
{
    const json_t *request = json_object_get(sample, "request"), *difference;
    char at[EXPORT_FIGURE];
    size_t i;
    fputs("\n# ", out);
    export_put(out, EXPORT_PLAIN, export_string(sample, "route"));
    fputs(", ", out);
    export_put(out, EXPORT_PLAIN, export_string(sample, "endpoint"));
    fprintf(out, ", %s UTC, answered by ", export_clock(at, export_count(sample, "at_ms"), "%Y-%m-%d %H:%M:%S"));
    export_put(out, EXPORT_PLAIN, export_string(sample, "primary"));
    fputs(", request id ", out);
    export_put(out, EXPORT_PLAIN, export_string(sample, "request_id"));
    fputc('\n', out);
    json_array_foreach(json_object_get(sample, "differences"), i, difference)
    {
        if (export_counts(route, sample, difference))
            print_comment(out, "differs: ", export_string(difference, "path"));
    }
    if (request_has_hidden(sample))
        print_comment(out, "fill in what is hidden: values such as <string 12> stand for what the request had", "");
    print_hidden_headers(out, request);
    if (export_flag(request, "cut"))
        fprintf(out, "# the body is only its beginning; it had %llu bytes\n",
                (unsigned long long)export_count(request, "body_bytes"));
    else if (export_count(request, "body_bytes") > 0 && json_object_get(request, "body") == NULL)
        fprintf(out, "# the body of %llu bytes was not kept: add --data-binary @FILE\n",
                (unsigned long long)export_count(request, "body_bytes"));
}

static void print_headers(FILE *out, const json_t *request)
{
    const json_t *line;
    bool has_type = false, has_coding = false;
    size_t i;
    json_array_foreach(json_object_get(request, "headers"), i, line)
    {
        const char *name, *value;
        char *text = NULL;
        if (!read_header(line, &name, &value) || has_hidden(value))
            continue;
        has_type |= strcasecmp(name, "content-type") == 0;
        has_coding |= strcasecmp(name, "accept-encoding") == 0;
        if (asprintf(&text, "%s%s%s", name, value[0] != '\0' ? ": " : ";", value) < 0)
            continue;
        fputs(" -H ", out);
        export_put_shell(out, text);
        free(text);
    }
    if (has_coding)
        fputs(" --compressed", out);
    if (!has_type && json_object_get(request, "body") != NULL)
        fputs(" -H 'Content-Type:'", out); /* else curl says it were a form */
}

static void print_command(FILE *out, const json_t *sample, const char *side)
{
    const json_t *request = json_object_get(sample, "request");
    const char *method = export_string(sample, "method"), *target = export_string(sample, "target");
    fputs("curl -sS -g -i --path-as-is", out);
    if (strcmp(method, "HEAD") == 0) {
        fputs(" --head", out); /* with -X HEAD it would wait for a body */
    } else {
        fputs(" -X ", out);
        export_put_shell(out, is_token(method) ? method : "GET");
    }
    print_headers(out, request);
    if (json_is_string(json_object_get(request, "body"))) {
        fputs(" --data-raw ", out);
        export_put_shell(out, export_string(request, "body"));
    }
    char *path = NULL;
    if (asprintf(&path, "%s%s", target[0] == '/' ? "" : "/", target) >= 0) {
        fprintf(out, " \"$%s\"", side);
        export_put_shell(out, path);
    }
    free(path);
    fputc('\n', out);
}

char *export_curl(const json_t *report)
{
    const json_t *route, *sample;
    struct export_page page;
    char fleet[EXPORT_FLEET];
    size_t i, k, count = 0;
    if (!export_open(&page))
        return NULL;
    fputs("# Requests whose answers differed. Say first where the sides are, such as LEGACY=http://127.0.0.1:8081\n"
          ": \"${LEGACY:?the URL of legacy}\" \"${NEW:?the URL of new}\"\n",
          page.out);
    if (export_fleet(fleet, report))
        fprintf(page.out, "# Of %s.\n", fleet);
    json_array_foreach(json_object_get(report, "routes"), i, route)
    {
        json_array_foreach(json_object_get(route, "samples"), k, sample)
        {
            if (!export_sample_counts(route, sample))
                continue;
            print_comments(page.out, route, sample);
            print_command(page.out, sample, "LEGACY");
            print_command(page.out, sample, "NEW");
            count++;
        }
    }
    if (count == 0)
        fputs("# There is no sample.\n", page.out);
    return export_close(&page);
}
