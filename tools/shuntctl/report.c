/*
 * `report`: what comparing found. The JSON comes from shunt; every other form is made here, by the room that made the
 * report (shadow/export.h), so that a server a version older or newer is shown as well as it is understood.
 */
#include "tools/shuntctl/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/shuntctl/api.h"

/* "text, json, ..." */
static void list_formats(char *list, size_t room)
{
    size_t len = 0;
    list[0] = '\0';
    for (unsigned i = 0; export_at(i) != NULL; i++) {
        int n = snprintf(list + len, room - len, "%s%s", i > 0 ? ", " : "", export_at(i)->name);
        len += n > 0 && (size_t)n < room - len ? (size_t)n : 0;
    }
}

const struct export_format *report_format(struct ctl *ctl)
{
    const struct options *options = &ctl->options;
    const char *name = options->format != NULL  ? options->format
                       : options->suggest_rules ? "rules"
                       : options->html          ? "html"
                       : options->json          ? "json"
                                                : "text";
    const struct export_format *format = export_find(name);
    char names[160];
    int given = (options->format != NULL) + options->suggest_rules + options->html + options->json;
    list_formats(names, sizeof(names));
    if (format == NULL) {
        complain(ctl, EXIT_USAGE, "--format: there is no \"%s\"; expected one of %s", name, names);
        return NULL;
    }
    if (given > 1) {
        complain(ctl, EXIT_USAGE, "one form at a time: --format, --html, --suggest-rules or --json");
        return NULL;
    }
    return format;
}

static char *make(const struct ctl *ctl, const json_t *report, const struct export_format *format)
{
    const struct screen *screen = &ctl->screen;
    bool to_file = ctl->options.output != NULL;
    if (strcmp(format->name, "text") != 0)
        return format->make(report);
    return (ctl->options.all ? report_text_all : report_text)(report, screen->width, screen->color && !to_file);
}

static int cannot_write(const struct ctl *ctl, const char *name, const char *cause)
{
    return complain(ctl, EXIT_USAGE, "--output: %s: %s; name a file in a folder that may be written to", name, cause);
}

/* By a file beside it, made and taken away: a folder may be read-only for more reasons than its mode. */
bool report_can_be_written(const struct ctl *ctl)
{
    const char *name = ctl->options.output;
    char *beside = NULL;
    struct stat found;
    int cause = 0;
    if (name == NULL || strcmp(name, "-") == 0)
        return true;
    if (stat(name, &found) == 0 && !S_ISREG(found.st_mode)) {
        cause = S_ISDIR(found.st_mode) ? EISDIR : access(name, W_OK) != 0 ? errno : 0;
    } else if (asprintf(&beside, "%s.XXXXXX", name) < 0) {
        cause = ENOMEM;
    } else {
        int fd = mkostemp(beside, O_CLOEXEC);
        if (fd < 0) {
            cause = errno;
        } else {
            close(fd);
            unlink(beside);
        }
        free(beside);
    }
    if (cause != 0)
        cannot_write(ctl, name, strerror(cause));
    return cause == 0;
}

/* Beside the file and then over it: who reads it finds the old one or the new one, whole. */
static int write_file(const struct ctl *ctl, const char *name, const char *text)
{
    char *beside = NULL;
    struct stat found;
    const char *fault = NULL;
    if (stat(name, &found) == 0 && !S_ISREG(found.st_mode)) { /* a terminal, a pipe: nothing to be put in its place */
        FILE *out = fopen(name, "we");
        bool whole = out != NULL && fputs(text, out) >= 0;
        whole = out != NULL && fclose(out) == 0 && whole;
        return whole ? EXIT_DONE : cannot_write(ctl, name, strerror(errno));
    }
    if (asprintf(&beside, "%s.XXXXXX", name) < 0)
        return complain(ctl, EXIT_USAGE, "out of memory");
    int fd = mkostemp(beside, O_CLOEXEC);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (out == NULL) {
        fault = strerror(errno);
        if (fd >= 0)
            close(fd);
    } else {
        mode_t mask = umask(0);
        umask(mask);
        bool whole = fputs(text, out) >= 0 && fflush(out) == 0 && fchmod(fd, 0666 & ~mask) == 0 && fsync(fd) == 0;
        int cause = errno;
        if (fclose(out) != 0 && whole) {
            whole = false;
            cause = errno;
        }
        if (whole && rename(beside, name) != 0) {
            whole = false;
            cause = errno;
        }
        fault = whole ? NULL : strerror(cause);
    }
    if (fault != NULL && fd >= 0)
        unlink(beside);
    free(beside);
    return fault == NULL ? EXIT_DONE : cannot_write(ctl, name, fault);
}

int report_print(struct ctl *ctl, const json_t *report, const struct export_format *format)
{
    char *text = make(ctl, report, format);
    int code = EXIT_DONE;
    if (text == NULL)
        return complain(ctl, EXIT_USAGE, "out of memory");
    if (ctl->options.output != NULL && strcmp(ctl->options.output, "-") != 0) {
        code = write_file(ctl, ctl->options.output, text);
    } else {
        size_t length = strlen(text);
        fputs(text, stdout);
        if (length > 0 && text[length - 1] != '\n')
            putchar('\n');
    }
    free(text);
    return code;
}

static int reset_report(struct ctl *ctl, const char *route)
{
    json_t *answer = NULL, *body = api_signature(ctl);
    if (body == NULL || (route != NULL && json_object_set_new(body, "route", json_string(route)) < 0)) {
        json_decref(body);
        return complain(ctl, EXIT_USAGE, API_NO_SIGNATURE);
    }
    int code = api_ask(ctl, "/api/v1/report/reset", body, "reset", &answer);
    if (code == EXIT_DONE && ctl->options.json)
        api_print(answer);
    else if (code == EXIT_DONE)
        screen_print(&ctl->screen, TONE_PLAIN, "%s: the report starts anew\n", route != NULL ? route : "all routes");
    json_decref(answer);
    return code;
}

/* Where to ask: /api/v1/report?route=NAME&samples=N&fleet=1. Malloc'd; NULL without memory. */
static char *report_path(const struct ctl *ctl, const char *route, const struct export_format *format)
{
    unsigned long long samples = ctl->options.samples > 0 ? ctl->options.samples : format->samples;
    char *name = route != NULL ? api_path("/api/v1/report?route=%s&", route) : strdup("/api/v1/report?");
    char *path = NULL;
    if (name != NULL && asprintf(&path, "%ssamples=%llu%s", name, samples, ctl->options.fleet ? "&fleet=1" : "") < 0)
        path = NULL;
    free(name);
    return path;
}

int run_report(struct ctl *ctl, const struct command *command, const char *const *words)
{
    json_t *answer = NULL;
    (void)command;
    if (ctl->options.reset && ctl->options.fleet)
        return complain(ctl, EXIT_USAGE,
                        "report: --reset is of one replica, and does not go with --fleet; leave one out");
    if (ctl->options.reset)
        return reset_report(ctl, words[0]);
    if (ctl->options.reason != NULL || ctl->options.who != NULL)
        return complain(ctl, EXIT_USAGE, "report: --reason and --who go with --reset only; leave them out");
    const struct export_format *format = report_format(ctl);
    if (format == NULL)
        return EXIT_USAGE;
    char *path = report_path(ctl, words[0], format);
    int code = api_ask(ctl, path, NULL, "routes", &answer);
    free(path);
    if (code == EXIT_DONE)
        code = report_print(ctl, answer, format);
    json_decref(answer);
    return code;
}
