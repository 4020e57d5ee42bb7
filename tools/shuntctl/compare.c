/*
 * `compare`: recorded requests to both sides, judged by the engine that judges live traffic (shadow/compare.h), told by
 * the same report. Asks no shunt; rules come from a route of a file, else they are the defaults.
 *
 * This file is the command: what it was asked for, the judge, the report at the end. Requests are read by
 * compare_input.c and sent by compare_run.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "shadow/archive.h"
#include "shadow/report.h"
#include "shadow/verdict.h"
#include "tools/shuntctl/api.h"
#include "tools/shuntctl/compare_input.h"
#include "tools/shuntctl/compare_run.h"
#include "tools/shuntctl/number.h"
#include "tools/shuntctl/report.h"
#include "tools/shuntctl/route_names.h"
#include "tools/shuntctl/value.h"

enum {
    FAULTS_TOLD = 20,
    STORE_EVERY = 32, /* pairs; more samples than these make are not kept waiting by the report */
    PROGRESS_EVERY_MS = 200,
    BAR_COLUMNS = 24
};

static const double limit_default = 0.001, noise_default = 0.2;

static volatile sig_atomic_t stopped;

static void on_interrupt(int number)
{
    (void)number;
    stopped = 1;
}

struct comparing {
    struct ctl *ctl;
    struct config *config;     /* owned */
    struct config_route route; /* of it, with what the command line says */
    struct recording recording;
    bool *wanted; /* owned */
    size_t wanted_count, told;
    json_t *not_sent; /* owned: by method */
    struct compare *judge;
    struct report *report;
    struct archive *archive;
    uint64_t compared, differing, since_store;
    uint64_t started_ms, shown_ms;
    bool progress; /* standard error is a terminal */
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the route: whose rules ---- */

static const char default_file[] = "listeners: [ { address: \"127.0.0.1:0\" } ]\n"
                                   "backends:\n"
                                   "  legacy: { url: \"http://127.0.0.1:1\" }\n"
                                   "  new: { url: \"http://127.0.0.1:1\" }\n"
                                   "routes: [ { name: offline, match: { path: /** }, percent: 0 } ]\n";

static bool load_config(struct comparing *c)
{
    const struct options *options = &c->ctl->options;
    struct config_errors errors = {0};
    c->config = options->config != NULL ? config_load(options->config, &errors)
                                        : config_parse("defaults", default_file, sizeof(default_file) - 1, &errors);
    for (size_t i = 0; i < errors.count; i++)
        fprintf(c->ctl->err, "%s\n", errors.lines[i]);
    config_errors_free(&errors);
    if (c->config == NULL)
        complain(c->ctl, EXIT_USAGE, "--config: %s has faults",
                 options->config != NULL ? options->config : "out of memory:");
    return c->config != NULL;
}

static const struct config_route *find_route(struct comparing *c)
{
    const char *name = c->ctl->options.route;
    char fault[512];
    if (c->ctl->options.config == NULL)
        return &c->config->routes[0];
    for (uint32_t i = 0; i < c->config->route_count; i++)
        if (name != NULL ? strcmp(c->config->routes[i].name, name) == 0 : c->config->route_count == 1)
            return &c->config->routes[i];
    if (name != NULL)
        (void)snprintf(fault, sizeof(fault), "--route: %s has no route \"%.100s\"", c->config->file, name);
    else
        (void)snprintf(fault, sizeof(fault), "--route: say which of the %u routes of %s", c->config->route_count,
                       c->config->file);
    (void)route_names_complain(c->ctl, c->config, ROUTES_ALL, fault);
    return NULL;
}

static bool choose_route(struct comparing *c)
{
    const struct options *options = &c->ctl->options;
    if (!load_config(c))
        return false;
    const struct config_route *found = find_route(c);
    if (found == NULL)
        return false;
    c->route = *found;
    if (options->config == NULL && options->route != NULL)
        c->route.name = options->route;
    if (options->most >= 0)
        c->route.gates.mismatch_rate = options->most;
    else if (c->route.gates.mismatch_rate < 0)
        c->route.gates.mismatch_rate = limit_default;
    if (options->confidence >= 0)
        c->route.gates.confidence = options->confidence;
    c->route.shadow.compare.noise.percent =
        (uint32_t)((options->noise >= 0 ? options->noise : noise_default) * SHARE_ALL + 0.5);
    return true;
}

/* ---- the requests ---- */

static void tell_fault(void *context, const char *sentence)
{
    struct comparing *c = context;
    if (c->told++ < FAULTS_TOLD)
        fprintf(c->ctl->err, "%s\n", sentence);
}

/* Malloc'd; NULL when it was complained about. */
static char *read_file(const struct ctl *ctl, const char *name, size_t *length)
{
    bool standard = strcmp(name, "-") == 0;
    FILE *in = standard ? stdin : fopen(name, "re");
    char *text = NULL;
    size_t room = 0;
    int cause = 0;
    *length = 0;
    if (in == NULL) {
        complain(ctl, EXIT_USAGE, "--requests: %s: %s; name a file of recorded requests", name, strerror(errno));
        return NULL;
    }
    for (;;) {
        if (room - *length < 64 * 1024) {
            room = room * 2 + 256 * 1024;
            char *more = room <= RECORDED_BYTES_MAX ? realloc(text, room) : NULL;
            if (more == NULL) {
                complain(ctl, EXIT_USAGE, "--requests: %s: larger than 1 GiB, or no memory; split it", name);
                goto fail;
            }
            text = more;
        }
        size_t got = fread(text + *length, 1, room - *length, in);
        cause = errno;
        *length += got;
        if (got == 0)
            break;
    }
    if (ferror(in) != 0) {
        complain(ctl, EXIT_USAGE, "--requests: %s: cannot be read: %s; name a file of recorded requests", name,
                 strerror(cause));
        goto fail;
    }
    if (!standard)
        fclose(in);
    return text;
fail:
    free(text);
    if (!standard)
        fclose(in);
    return NULL;
}

static bool read_requests(struct comparing *c)
{
    const char *name = c->ctl->options.requests;
    size_t length;
    char *text = read_file(c->ctl, name, &length);
    if (text == NULL)
        return false;
    bool good =
        recording_parse(&c->recording, strcmp(name, "-") == 0 ? "standard input" : name, text, length, tell_fault, c);
    free(text);
    if (!good) {
        complain(c->ctl, EXIT_USAGE, "out of memory");
        return false;
    }
    if (c->told > FAULTS_TOLD)
        fprintf(c->ctl->err, "... and %zu more\n", c->told - FAULTS_TOLD);
    if (c->recording.count == 0)
        complain(c->ctl, EXIT_USAGE,
                 "--requests: %s has no request; expected an HTTP archive (HAR) with entries, or lines such as "
                 "{\"method\": \"GET\", \"url\": \"/orders/7\"}",
                 name);
    else if (c->recording.bad > 0)
        fprintf(c->ctl->err, "shuntctl: %zu of %zu entries are no requests and are left out\n", c->recording.bad,
                c->recording.bad + c->recording.count);
    return c->recording.count > 0;
}

/* Is it one of "GET,HEAD"? */
static bool is_listed(const char *list, const char *method)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ", ");
        if (length == strlen(method) && strncasecmp(list, method, length) == 0)
            return true;
        list += length;
        list += strspn(list, ", ");
    }
    return false;
}

static const char *methods_of(const struct comparing *c)
{
    return c->ctl->options.methods != NULL ? c->ctl->options.methods : "GET,HEAD";
}

static bool choose_requests(struct comparing *c)
{
    const char *methods = methods_of(c);
    c->wanted = calloc(c->recording.count, sizeof(*c->wanted));
    c->not_sent = json_object();
    if (c->wanted == NULL || c->not_sent == NULL)
        return false;
    for (size_t i = 0; i < c->recording.count; i++) {
        const char *method = c->recording.at[i].method;
        c->wanted[i] = is_listed(methods, method);
        c->wanted_count += c->wanted[i];
        if (!c->wanted[i])
            json_object_set_new(c->not_sent, method,
                                json_integer(json_integer_value(json_object_get(c->not_sent, method)) + 1));
    }
    return true;
}

/* ---- judging ---- */

static void store_samples(struct comparing *c)
{
    json_t *samples = report_take_samples(c->report), *sample;
    char *error = NULL;
    size_t i;
    c->since_store = 0;
    if (samples == NULL || !archive_begin(c->archive)) {
        json_decref(samples);
        return;
    }
    json_array_foreach(samples, i, sample)
    {
        (void)archive_put_sample(c->archive, sample);
    }
    (void)archive_commit(c->archive, &error); /* without samples the report is still worth having */
    free(error);
    json_decref(samples);
}

static void judge_pair(void *context, const struct pair *pair)
{
    struct comparing *c = context;
    const struct comparison *comparison = compare_pair(c->judge, pair);
    report_add(c->report, pair, comparison);
    if (pair->kind == PAIR_CROSS && comparison->judgement != JUDGEMENT_NOT_COMPARABLE) {
        c->compared++;
        c->differing += comparison->judgement == JUDGEMENT_MISMATCHED;
    }
    if (++c->since_store >= STORE_EVERY)
        store_samples(c);
}

static void show_progress(void *context, size_t done)
{
    struct comparing *c = context;
    uint64_t now = now_ms(), spent = now - c->started_ms;
    char counts[3][NUMBER_ROOM], rate[NUMBER_ROOM], left[NUMBER_ROOM], bar[BAR_COLUMNS + 1];
    if (!c->progress || now - c->shown_ms < PROGRESS_EVERY_MS || done == 0)
        return;
    c->shown_ms = now;
    size_t filled = done * BAR_COLUMNS / c->wanted_count;
    memset(bar, '.', BAR_COLUMNS);
    memset(bar, '#', filled);
    bar[BAR_COLUMNS] = '\0';
    fprintf(c->ctl->err, "\r\033[K[%s] %s/%s  %s  %s differ  %s left", bar, number_count(done, counts[0]),
            number_count(c->wanted_count, counts[1]),
            number_rate((double)done * 1000 / (double)(spent > 0 ? spent : 1), rate),
            number_count(c->differing, counts[2]), number_duration(spent * (c->wanted_count - done) / done, left));
    fflush(c->ctl->err);
}

/* ---- the end ---- */

/* What the keeper adds for live traffic: samples, and what was not sent. A new reference; NULL without memory. */
static json_t *make_report(struct comparing *c, unsigned samples)
{
    store_samples(c);
    json_t *report = report_json(c->report, NULL), *route = json_array_get(json_object_get(report, "routes"), 0);
    if (route == NULL)
        return report;
    json_t *kept = archive_samples(c->archive, NULL, samples), *reasons = json_object();
    const char *method;
    json_t *count;
    json_int_t by_method = 0;
    json_object_foreach(c->not_sent, method, count)
    {
        by_method += json_integer_value(count);
    }
    if (by_method > 0)
        json_object_set_new(reasons, "method", json_integer(by_method));
    if (kept == NULL || json_object_set_new(route, "samples", kept) < 0 ||
        json_object_set_new(route, "not_mirrored", reasons) < 0) {
        json_decref(report);
        return NULL;
    }
    return report;
}

static void tell_not_sent(const struct comparing *c)
{
    const char *method, *between = "";
    json_t *count;
    if (json_object_size(c->not_sent) == 0)
        return;
    fputs("shuntctl: not sent, for --methods does not name them: ", c->ctl->err);
    json_object_foreach(c->not_sent, method, count)
    {
        fprintf(c->ctl->err, "%s%s %lld", between, method, (long long)json_integer_value(count));
        between = ", ";
    }
    fputc('\n', c->ctl->err);
}

static void tell_failures(const struct comparing *c, const struct run *run)
{
    static const char *const names[SIDES] = {[SIDE_LEGACY] = "legacy", [SIDE_NEW] = "new"};
    for (int side = 0; side < SIDES; side++) {
        const char *fault = run->side[side].fault;
        if (run->side[side].failed == 0)
            continue;
        fprintf(c->ctl->err, "shuntctl: %s (%s): %llu request%s without a whole answer; the first: %s; ", names[side],
                run->side[side].url, (unsigned long long)run->side[side].failed, run->side[side].failed == 1 ? "" : "s",
                fault);
        if (strstr(fault, "certificate") != NULL)
            fputs("--insecure takes a certificate that nobody vouches for\n", c->ctl->err);
        else
            fprintf(c->ctl->err, "does it answer there, and is --%s right?\n", names[side]);
    }
}

static int exit_code(const json_t *report)
{
    const json_t *route = json_array_get(json_object_get(report, "routes"), 0);
    const char *result = value_text(route, "verdict.result");
    return strcmp(result, "pass") == 0 ? EXIT_DONE : strcmp(result, "fail") == 0 ? EXIT_REFUSED : EXIT_UNDECIDED;
}

static int print_report(struct comparing *c, const struct export_format *format)
{
    const struct options *options = &c->ctl->options;
    json_t *report = make_report(c, options->samples > 0 ? (unsigned)options->samples : format->samples);
    if (report == NULL)
        return complain(c->ctl, EXIT_USAGE, "out of memory");
    int code = report_print(c->ctl, report, format);
    if (code == EXIT_DONE)
        code = exit_code(report);
    /* where the report went to a file or is for a program, people still want to read the outcome */
    if (code != EXIT_USAGE && (options->output != NULL || strcmp(format->name, "text") != 0)) {
        const json_t *route = json_array_get(json_object_get(report, "routes"), 0);
        const char *sentence = value_text(route, "verdict.sentence");
        fprintf(c->ctl->err, "%s\n", sentence[0] != '\0' ? sentence : "nothing was compared: undecided");
    }
    json_decref(report);
    return code;
}

/* ---- the command ---- */

/* "http://host:port/prefix", slashes at its end taken off; malloc'd. NULL: it was complained about. */
static char *side_url(const struct ctl *ctl, const char *flag, const char *text)
{
    bool good = text != NULL && (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0);
    if (good) {
        const char *host = strstr(text, "://") + 3;
        good = host[0] != '\0' && host[0] != '/' && strpbrk(text, " ?#\r\n\t") == NULL;
    }
    if (!good) {
        complain(ctl, EXIT_USAGE, "%s: %s%s%s; expected a URL such as http://127.0.0.1:8081", flag,
                 text != NULL ? "\"" : "", text != NULL ? text : "compare needs it",
                 text != NULL ? "\" is no URL" : "");
        return NULL;
    }
    size_t length = strlen(text);
    while (text[length - 1] == '/')
        length--;
    char *url = strndup(text, length);
    if (url == NULL)
        complain(ctl, EXIT_USAGE, "out of memory");
    return url;
}

static bool check_headers(const struct ctl *ctl)
{
    for (size_t i = 0; i < ctl->options.header_count; i++) {
        const char *line = ctl->options.headers[i];
        if (recorded_header_is_left_out(line, strcspn(line, ":")) || strpbrk(line, "\r\n") != NULL) {
            complain(ctl, EXIT_USAGE, "-H: \"%s\" cannot be sent as a header of a request", line);
            return false;
        }
    }
    return true;
}

static bool open_engine(struct comparing *c)
{
    char *warning = NULL, *error = NULL;
    c->judge = compare_new();
    c->report = report_new();
    c->archive = archive_open(NULL, &warning, &error);
    bool good = c->judge != NULL && c->report != NULL && c->archive != NULL;
    if (!good)
        complain(c->ctl, EXIT_USAGE, "%s", error != NULL ? error : "out of memory");
    free(warning);
    free(error);
    return good;
}

/* The first Ctrl-C ends the sending, a second one the program. */
static void watch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int send_and_tell(struct comparing *c, struct run *run, const struct export_format *format)
{
    const char *error = NULL;
    c->started_ms = now_ms();
    watch_interrupts();
    bool sent = run_requests(run, &error);
    if (c->progress)
        fputs("\r\033[K", c->ctl->err);
    if (!sent)
        return complain(c->ctl, EXIT_USAGE, "%s", error);
    if (stopped != 0)
        fputs("shuntctl: interrupted; this is the report so far\n", c->ctl->err);
    tell_not_sent(c);
    tell_failures(c, run);
    return print_report(c, format);
}

static int compare_sides(struct comparing *c, const char *legacy, const char *new, const struct export_format *format)
{
    const struct options *options = &c->ctl->options;
    struct run run = {
        .route = &c->route,
        .recording = &c->recording,
        .side = {[SIDE_LEGACY] = {.url = legacy}, [SIDE_NEW] = {.url = new}},
        .headers = options->headers,
        .header_count = options->header_count,
        .rate = options->rate,
        .timeout_ms = options->timeout_ms,
        .concurrency = (unsigned)options->concurrency,
        .insecure = options->insecure,
        .stop = &stopped,
        .judge = judge_pair,
        .progress = show_progress,
        .context = c,
    };
    c->progress = isatty(fileno(c->ctl->err)) == 1;
    if (!choose_route(c) || !read_requests(c) || !open_engine(c))
        return EXIT_USAGE;
    if (!choose_requests(c))
        return complain(c->ctl, EXIT_USAGE, "out of memory");
    if (c->wanted_count == 0) {
        tell_not_sent(c);
        return complain(c->ctl, EXIT_USAGE, "--methods: none of the recorded requests has one of \"%s\"",
                        methods_of(c));
    }
    run.wanted = c->wanted;
    run.noise = (double)c->route.shadow.compare.noise.percent / SHARE_ALL;
    return send_and_tell(c, &run, format);
}

int run_compare(struct ctl *ctl, const struct command *command, const char *const *words)
{
    const struct options *options = &ctl->options;
    struct comparing c = {.ctl = ctl};
    const struct export_format *format = report_format(ctl);
    char *legacy = NULL, *new = NULL;
    int code = EXIT_USAGE;
    (void)command;
    (void)words;
    if (format == NULL || (legacy = side_url(ctl, "--legacy", options->legacy)) == NULL ||
        (new = side_url(ctl, "--new", options->new)) == NULL || !check_headers(ctl))
        ;
    else if (options->requests == NULL)
        complain(ctl, EXIT_USAGE,
                 "--requests: compare needs a file of recorded requests; try `shuntctl compare --help`");
    else if (options->confidence >= 0 && (options->confidence < 0.5 || options->confidence > 0.999999))
        complain(ctl, EXIT_USAGE, "--confidence: expected a percentage from 50%% to 99.9999%%");
    else if (report_can_be_written(ctl))
        code = compare_sides(&c, legacy, new, format);
    free(legacy);
    free(new);
    recording_free(&c.recording);
    free(c.wanted);
    json_decref(c.not_sent);
    compare_free(c.judge);
    report_free(c.report);
    archive_close(c.archive);
    config_free(c.config);
    return code;
}
