/*
 * The command line. Reads argv and the environment, changes neither, prints nothing but help.
 */
#include "tools/shuntctl/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    KIND_SWITCH,
    KIND_TEXT,
    KIND_LIST,
    KIND_FILES,
    KIND_COUNT,
    KIND_DURATION,
    KIND_SPAN, /* a longer time, with its unit */
    KIND_SHARE /* 0.01% */
};

static const struct flag {
    const char *name;
    char letter; /* 0: none */
    enum kind kind;
    enum option_group group;
    size_t at;            /* offset in struct options */
    const char *argument; /* NULL for a switch */
    const char *help;
} flags[] = {
    {"admin", 'a', KIND_TEXT, GROUP_GLOBAL, offsetof(struct options, admin), "HOST:PORT",
     "admin address of the shunt to talk to (or SHUNT_ADMIN); default 127.0.0.1:9901"},
    {"token-file", 0, KIND_TEXT, GROUP_GLOBAL, offsetof(struct options, token_file), "FILE",
     "file with the admin token (or SHUNT_TOKEN_FILE, or the token itself in SHUNT_TOKEN)"},
    {"timeout", 0, KIND_DURATION, GROUP_GLOBAL, offsetof(struct options, timeout_ms), "SECONDS",
     "give up on an answer after this long; default 5"},
    {"json", 0, KIND_SWITCH, GROUP_GLOBAL, offsetof(struct options, json), NULL,
     "print the answer as JSON, for scripts"},
    {"no-color", 0, KIND_SWITCH, GROUP_GLOBAL, offsetof(struct options, no_color), NULL,
     "no colours (as does NO_COLOR); there are none when the output is not a terminal"},
    {"help", 'h', KIND_SWITCH, GROUP_GLOBAL, offsetof(struct options, help), NULL,
     "this text; after a command, that one's"},
    {"version", 'V', KIND_SWITCH, GROUP_GLOBAL, offsetof(struct options, version), NULL, "print the version"},
    {"reason", 'm', KIND_TEXT, GROUP_REASON, offsetof(struct options, reason), "TEXT",
     "why, for the audit trail: one short line"},
    {"who", 0, KIND_TEXT, GROUP_WHO, offsetof(struct options, who), "NAME", "who, for the audit trail; default $USER"},
    {"force", 0, KIND_SWITCH, GROUP_FORCE, offsetof(struct options, force), NULL,
     "past a gate that has failed or is undecided"},
    {"local", 0, KIND_SWITCH, GROUP_LOCAL, offsetof(struct options, local), NULL, "this replica alone, not its fleet"},
    {"cancel", 0, KIND_SWITCH, GROUP_CANCEL, offsetof(struct options, cancel), NULL, "take it back"},
    {"limit", 'n', KIND_COUNT, GROUP_LIMIT, offsetof(struct options, limit), "N", "the newest N entries; default 100"},
    {"count", 'c', KIND_COUNT, GROUP_WATCH, offsetof(struct options, count), "N", "end after N views"},
    {"interval", 'i', KIND_DURATION, GROUP_WATCH, offsetof(struct options, interval_ms), "SECONDS",
     "time between views; default 1"},
    {"header", 'H', KIND_LIST, GROUP_HEADER, 0, "'NAME: VALUE'", "a request header; may be repeated"},
    {"client", 0, KIND_TEXT, GROUP_CLIENT, offsetof(struct options, client), "ADDRESS", "the client's IP address"},
    {"reset", 0, KIND_SWITCH, GROUP_RESET, offsetof(struct options, reset), NULL,
     "forget what has been found so far and start clean"},
    {"format", 'f', KIND_TEXT, GROUP_REPORT, offsetof(struct options, format), "FORM",
     "text (default), json, markdown, junit, har, curl, rules or html"},
    {"output", 'o', KIND_TEXT, GROUP_REPORT, offsetof(struct options, output), "FILE",
     "write there, whole or not at all, instead of to standard output"},
    {"fleet", 0, KIND_SWITCH, GROUP_FLEET, offsetof(struct options, fleet), NULL,
     "what all replicas of the fleet have found together"},
    {"samples", 0, KIND_COUNT, GROUP_REPORT, offsetof(struct options, samples), "N",
     "samples of each field; default: what suits the form"},
    {"all", 0, KIND_SWITCH, GROUP_REPORT, offsetof(struct options, all), NULL,
     "text: a line for each hidden field and each endpoint, too"},
    {"html", 0, KIND_SWITCH, GROUP_REPORT, offsetof(struct options, html), NULL, "as --format html"},
    {"suggest-rules", 0, KIND_SWITCH, GROUP_RULES, offsetof(struct options, suggest_rules), NULL,
     "as --format rules: YAML that would take away noise, order and rounding"},
    {"limit", 0, KIND_SHARE, GROUP_VERDICT, offsetof(struct options, most), "PERCENT",
     "the most that may differ, such as 0.01%; default: the route's gate"},
    {"confidence", 0, KIND_SHARE, GROUP_VERDICT, offsetof(struct options, confidence), "PERCENT",
     "how sure the verdict must be; default: the route's gate, else 99%"},
    {"wait", 'w', KIND_SPAN, GROUP_WAIT, offsetof(struct options, wait_ms), "TIME",
     "while it is undecided, for as long as this: 90s, 15m, 2h"},
    {"wait", 'w', KIND_TEXT, GROUP_STATE, offsetof(struct options, state), "STATE",
     "until the route is there: a stage, a phase, breaker-closed, breaker-open or healthy"},
    {"timeout", 0, KIND_SPAN, GROUP_STATE, offsetof(struct options, wait_most_ms), "TIME",
     "with --wait: for as long as this at most, such as 90s, 15m or 2h; default: as long as it takes"},
    {"since", 0, KIND_SPAN, GROUP_SINCE, offsetof(struct options, since_ms), "TIME",
     "what is not older than this: 90s, 15m, 2h, 7d"},
    {"legacy", 0, KIND_TEXT, GROUP_COMPARE, offsetof(struct options, legacy), "URL", "where the old backend is"},
    {"new", 0, KIND_TEXT, GROUP_COMPARE, offsetof(struct options, new), "URL", "where the new one is"},
    {"requests", 0, KIND_TEXT, GROUP_COMPARE, offsetof(struct options, requests), "FILE",
     "recorded requests: HAR 1.2, or a JSON object on each line; - is standard input"},
    {"config", 0, KIND_TEXT, GROUP_COMPARE, offsetof(struct options, config), "FILE",
     "take rules, limits and gates from a route of this file"},
    {"route", 0, KIND_TEXT, GROUP_COMPARE, offsetof(struct options, route), "NAME", "which route of it"},
    {"rate", 0, KIND_COUNT, GROUP_COMPARE, offsetof(struct options, rate), "N",
     "requests a second to each side; default 50"},
    {"concurrency", 0, KIND_COUNT, GROUP_COMPARE, offsetof(struct options, concurrency), "N",
     "requests under way at once; default 8, at most 256"},
    {"noise", 0, KIND_SHARE, GROUP_COMPARE, offsetof(struct options, noise), "PERCENT",
     "requests sent to legacy twice, to learn what differs by itself; default 20%"},
    {"methods", 0, KIND_TEXT, GROUP_COMPARE, offsetof(struct options, methods), "LIST",
     "methods that may be sent; default GET,HEAD: writes only when named"},
    {"insecure", 0, KIND_SWITCH, GROUP_COMPARE, offsetof(struct options, insecure), NULL,
     "do not check the certificates of the two sides"},
    {"config", 0, KIND_TEXT, GROUP_SIMULATE, offsetof(struct options, config), "FILE", "the file with the plan"},
    {"route", 0, KIND_TEXT, GROUP_SIMULATE, offsetof(struct options, route), "NAME",
     "whose plan; not needed where only one route has stages"},
    {"rate", 0, KIND_TEXT, GROUP_SIMULATE, offsetof(struct options, traffic.rate), "N",
     "requests a second of the route, both sides together"},
    {"legacy-errors", 0, KIND_TEXT, GROUP_SIMULATE, offsetof(struct options, traffic.legacy_errors), "PERCENT",
     "error rate of legacy; default 0%"},
    {"new-errors", 0, KIND_TEXT, GROUP_SIMULATE, offsetof(struct options, traffic.new_errors), "PERCENT",
     "of new: 1%, or +0.5% more than legacy's; default: as legacy"},
    {"latency", 0, KIND_TEXT, GROUP_SIMULATE, offsetof(struct options, traffic.latency), "TIME",
     "median of legacy; default 20ms (log-normal, sigma 0.5)"},
    {"new-latency", 0, KIND_TEXT, GROUP_SIMULATE, offsetof(struct options, traffic.new_latency), "TIME",
     "of new: 26ms, or x1.3 times legacy's; default: as legacy"},
    {"mismatch", 0, KIND_TEXT, GROUP_SIMULATE, offsetof(struct options, traffic.mismatch), "PERCENT",
     "compared answers that differ; default 0%"},
    {"daily", 0, KIND_TEXT, GROUP_SIMULATE, offsetof(struct options, traffic.daily), "PERCENT",
     "so much more traffic at noon, and less at midnight; default 0%"},
    {"runs", 0, KIND_COUNT, GROUP_SIMULATE, offsetof(struct options, traffic.runs), "N",
     "how often the plan is run; default 200, at most 2000"},
    {"seed", 0, KIND_COUNT, GROUP_SIMULATE, offsetof(struct options, traffic.seed), "N",
     "another one draws other traffic; default 1"},
    {"for", 0, KIND_SPAN, GROUP_SIMULATE, offsetof(struct options, traffic.time_ms), "TIME",
     "each run ends then; default: ten times the holds, at least a day"},
    {"filename", 'f', KIND_FILES, GROUP_INJECT, 0, "FILE",
     "a manifest, YAML or JSON; may be repeated; - is standard input"},
    {"image", 0, KIND_TEXT, GROUP_INJECT, offsetof(struct options, inject.image), "IMAGE",
     "shunt's image, with its tag"},
    {"new", 0, KIND_TEXT, GROUP_INJECT, offsetof(struct options, new), "URL",
     "where the new backend is: a plan whose only stage copies requests is made"},
    {"legacy", 0, KIND_TEXT, GROUP_INJECT, offsetof(struct options, legacy), "PORT",
     "where the application listens; not needed where its pod has one port"},
    {"config", 0, KIND_TEXT, GROUP_INJECT, offsetof(struct options, config), "FILE",
     "shunt's file instead: it is checked, and becomes a ConfigMap"},
    {"configmap", 0, KIND_TEXT, GROUP_INJECT, offsetof(struct options, inject.configmap), "NAME",
     "a ConfigMap of yours instead, with shunt's file as shunt.yaml"},
    {"port", 0, KIND_TEXT, GROUP_INJECT, offsetof(struct options, inject.port), "PORT",
     "shunt's port in the pod; default: the file's first listener, else 8080"},
    {"native", 0, KIND_SWITCH, GROUP_INJECT, offsetof(struct options, inject.native), NULL,
     "a native sidecar (default): Kubernetes 1.29 and newer"},
    {"classic", 0, KIND_SWITCH, GROUP_INJECT, offsetof(struct options, inject.classic), NULL,
     "a container beside the others, for older ones"},
    {"pre-stop", 0, KIND_TEXT, GROUP_INJECT, offsetof(struct options, inject.pre_stop), "SECONDS",
     "the pod serves on for so long while clients are led away; default 5"},
    {"app-pre-stop", 0, KIND_TEXT, GROUP_INJECT, offsetof(struct options, inject.app_pre_stop), "HOW",
     "how the application waits: sleep (Kubernetes 1.30), exec (the image's sleep) or none"},
    {"token-secret", 0, KIND_TEXT, GROUP_INJECT, offsetof(struct options, inject.token_secret), "NAME",
     "the Secret with shunt's admin token; default: the workload's name, -shunt-admin"},
    {"only", 0, KIND_TEXT, GROUP_INJECT, offsetof(struct options, inject.only), "PART",
     "pods or services: one step after the other"},
    {"no-service", 0, KIND_SWITCH, GROUP_INJECT, offsetof(struct options, inject.no_service), NULL, "as --only pods"},
    {"uninject", 0, KIND_SWITCH, GROUP_INJECT, offsetof(struct options, inject.uninject), NULL,
     "take shunt out again: every byte is as it was"},
    {"output", 'o', KIND_TEXT, GROUP_INJECT, offsetof(struct options, output), "FILE",
     "write there, whole or not at all, instead of to standard output"},
    {"in-place", 0, KIND_SWITCH, GROUP_INJECT, offsetof(struct options, inject.in_place), NULL, "write the files anew"},
};

enum {
    FLAGS = sizeof(flags) / sizeof(flags[0]),
    COUNT_MOST = 1000000000
};

static void __attribute__((format(printf, 2, 3))) say(char **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vasprintf(error, format, args) < 0)
        *error = NULL;
    va_end(args);
}

static const struct flag *flag_by_name(const char *name, size_t length)
{
    for (size_t i = 0; i < FLAGS; i++)
        if (strlen(flags[i].name) == length && memcmp(flags[i].name, name, length) == 0)
            return &flags[i];
    return NULL;
}

static const struct flag *flag_by_letter(char letter)
{
    for (size_t i = 0; i < FLAGS; i++)
        if (letter != '\0' && flags[i].letter == letter)
            return &flags[i];
    return NULL;
}

/* Counts that end sooner than COUNT_MOST: what the admin API answers, what one machine can do. */
static uint64_t count_most(const char *name)
{
    static const struct {
        const char *name;
        uint64_t most;
    } limits[] = {{"limit", 10000}, {"samples", 100}, {"runs", 2000}, {"concurrency", 256}};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        if (strcmp(limits[i].name, name) == 0)
            return limits[i].most;
    return COUNT_MOST;
}

static bool read_count(const char *text, uint64_t most, uint64_t *count)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < 1 || value > most)
        return false;
    *count = value;
    return true;
}

/* Seconds, with decimals. */
static bool read_duration(const char *text, uint64_t *ms)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || (*end != '\0' && strcmp(end, "s") != 0) || !(seconds >= 0.01 && seconds <= 86400.0))
        return false;
    *ms = (uint64_t)(seconds * 1000.0 + 0.5);
    return true;
}

/* A number with a unit; without one, seconds. */
static bool read_span(const char *text, uint64_t *ms)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}};
    char *end;
    double number = strtod(text, &end);
    if (end == text)
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        double value = number * units[i].ms;
        if (strcmp(end, units[i].unit) != 0)
            continue;
        *ms = value >= 1 && value <= 30 * 86400e3 ? (uint64_t)(value + 0.5) : 0;
        return *ms > 0;
    }
    return false;
}

/* A percentage with its sign, as a fraction. */
static bool read_share(const char *text, double *share)
{
    char *end;
    double percent = strtod(text, &end);
    if (end == text || strcmp(end, "%") != 0 || !(percent >= 0 && percent <= 100))
        return false;
    *share = percent / 100;
    return true;
}

static bool add_header(struct options *options, const char *text, char **error)
{
    if (options->header_count == OPTIONS_HEADERS) {
        say(error, "-H: more than %d headers", OPTIONS_HEADERS);
        return false;
    }
    if (strchr(text, ':') == NULL || text[0] == ':') {
        say(error, "-H: \"%s\" is not a header; expected 'Name: value'", text);
        return false;
    }
    options->headers[options->header_count++] = text;
    return true;
}

static bool add_file(struct options *options, const char *name, char **error)
{
    struct option_inject *inject = &options->inject;
    if (inject->file_count == OPTIONS_FILES) {
        say(error, "-f: more than %d files", OPTIONS_FILES);
        return false;
    }
    inject->files[inject->file_count++] = name;
    return true;
}

static bool take_value(struct options *options, const struct flag *flag, const char *value, char **error)
{
    void *target = (char *)options + flag->at;
    switch (flag->kind) {
    case KIND_SWITCH:
        *(bool *)target = true;
        return true;
    case KIND_TEXT:
        *(const char **)target = value;
        return true;
    case KIND_LIST:
        return add_header(options, value, error);
    case KIND_FILES:
        return add_file(options, value, error);
    case KIND_COUNT:
        if (read_count(value, count_most(flag->name), target))
            return true;
        say(error, "--%s: \"%s\" is not a number from 1 to %llu", flag->name, value,
            (unsigned long long)count_most(flag->name));
        return false;
    case KIND_DURATION:
        if (read_duration(value, target))
            return true;
        say(error, "--%s: \"%s\" is not a time; expected seconds from 0.01 to 86400", flag->name, value);
        return false;
    case KIND_SPAN:
        if (read_span(value, target))
            return true;
        say(error, "--%s: \"%s\" is not a time; expected one such as 90s, 15m or 2h, at most 30d", flag->name, value);
        return false;
    case KIND_SHARE:
        if (read_share(value, target))
            return true;
        say(error, "--%s: \"%s\" is not a percentage; expected one from 0%% to 100%%, such as 0.01%%", flag->name,
            value);
        return false;
    }
    return false;
}

static bool is_called(const struct flag *flag, const char *name, char letter)
{
    return letter != '\0' ? flag->letter == letter : strcmp(flag->name, name) == 0;
}

/* Has another flag its name or letter, too? Then the command says which of them is meant; in the order they were given.
 */
static bool is_shared(const struct flag *flag)
{
    for (size_t i = 0; i < FLAGS; i++)
        if (&flags[i] != flag &&
            (is_called(&flags[i], flag->name, flag->letter) || is_called(&flags[i], flag->name, '\0')))
            return true;
    return false;
}

static bool keep_for_later(struct options *options, const struct flag *flag, char letter, const char *value,
                           char **error)
{
    if (options->given_count == OPTIONS_GIVEN) {
        say(error, "--%s: too many options", flag->name);
        return false;
    }
    options->given[options->given_count++] = (struct option_given){flag->name, value, letter};
    return true;
}

/* Takes the flag at argv[*at], and its value, which may be the next argument. */
static bool take_flag(struct options *options, int argc, char **argv, int *at, char **error)
{
    const char *text = argv[*at], *value = NULL;
    const struct flag *flag;
    char letter = text[1] == '-' ? '\0' : text[1];
    if (text[1] == '-') {
        size_t length = strcspn(text + 2, "=");
        flag = flag_by_name(text + 2, length);
        value = text[2 + length] == '=' ? text + 2 + length + 1 : NULL;
    } else {
        flag = flag_by_letter(text[1]);
        value = text[2] != '\0' ? text + 2 : NULL;
    }
    if (flag == NULL) {
        say(error, "unknown option %s", text);
        return false;
    }
    if (flag->kind == KIND_SWITCH && value != NULL) {
        say(error, "--%s takes no value", flag->name);
        return false;
    }
    if (flag->kind != KIND_SWITCH && value == NULL) {
        if (*at + 1 >= argc) {
            if (letter != '\0') /* which flag it is, the command knows */
                say(error, "-%c needs a value", letter);
            else
                say(error, "--%s needs %s", flag->name, flag->argument);
            return false;
        }
        value = argv[++*at];
    }
    if (is_shared(flag))
        return keep_for_later(options, flag, letter, value, error);
    options->seen |= (unsigned)flag->group;
    return take_value(options, flag, value, error);
}

static bool take_word(struct options *options, const char *word, char **error)
{
    if (options->word_count == OPTIONS_WORDS) {
        say(error, "too many arguments: \"%s\"", word);
        return false;
    }
    options->words[options->word_count++] = word;
    return true;
}

static const char *environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

bool options_parse(struct options *options, int argc, char **argv, char **error)
{
    bool only_words = false;
    *error = NULL;
    *options = (struct options){
        .admin = environment("SHUNT_ADMIN", "127.0.0.1:9901"),
        .token_file = environment("SHUNT_TOKEN_FILE", NULL),
        .timeout_ms = 5000,
        .interval_ms = 1000,
        .rate = 50,
        .concurrency = 8,
        .most = -1,
        .confidence = -1,
        .noise = -1,
    };
    for (int i = 1; i < argc; i++) {
        /* "-1" is a wrong number for whoever reads it, not an option */
        bool is_flag = !only_words && argv[i][0] == '-' && argv[i][1] != '\0' && !isdigit((unsigned char)argv[i][1]);
        if (is_flag && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!(is_flag ? take_flag(options, argc, argv, &i, error) : take_word(options, argv[i], error))) {
            return false;
        }
    }
    return true;
}

/* The flag called so that belongs to `groups`, else the one that all commands take. NULL: neither. */
static const struct flag *flag_of_groups(const struct option_given *given, unsigned groups)
{
    const struct flag *global = NULL;
    for (size_t i = 0; i < FLAGS; i++) {
        if (!is_called(&flags[i], given->name, given->letter))
            continue;
        if (((unsigned)flags[i].group & groups) != 0)
            return &flags[i];
        global = flags[i].group == GROUP_GLOBAL ? &flags[i] : global;
    }
    return global;
}

bool options_settle(struct options *options, unsigned groups, char **error)
{
    *error = NULL;
    for (size_t i = 0; i < options->given_count; i++) {
        const struct option_given *given = &options->given[i];
        const struct flag *flag = flag_of_groups(given, groups);
        if (flag == NULL) /* a stranger: options_stranger() names it */
            flag = flag_by_name(given->name, strlen(given->name));
        else if (!take_value(options, flag, given->value, error))
            return false;
        options->seen |= (unsigned)flag->group;
    }
    return true;
}

const char *options_stranger(const struct options *options, unsigned groups)
{
    unsigned strange = options->seen & ~groups;
    for (size_t i = 0; i < FLAGS; i++)
        if ((strange & (unsigned)flags[i].group) != 0)
            return flags[i].name;
    return NULL;
}

bool options_next(size_t *at, unsigned groups, struct option_fact *fact)
{
    for (; *at < FLAGS; (*at)++) {
        const struct flag *flag = &flags[*at];
        if (groups == GROUP_GLOBAL ? flag->group != GROUP_GLOBAL : ((unsigned)flag->group & groups) == 0)
            continue;
        *fact = (struct option_fact){flag->name, flag->letter, flag->argument, flag->help, flag->kind == KIND_LIST};
        (*at)++;
        return true;
    }
    return false;
}

void options_help(FILE *out, unsigned groups)
{
    struct option_fact fact;
    for (size_t at = 0; options_next(&at, groups, &fact);) {
        char left[48], letter[8] = "";
        if (fact.letter != '\0')
            snprintf(letter, sizeof(letter), "-%c, ", fact.letter);
        snprintf(left, sizeof(left), "%4s--%s%s%s", letter, fact.name, fact.argument != NULL ? " " : "",
                 fact.argument != NULL ? fact.argument : "");
        fprintf(out, "  %-26s %s\n", left, fact.help);
    }
}
