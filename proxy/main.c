/*
 * The command line: says what it can say without serving (--check, --dump, --reference), else hands over to control.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "proxy/control.h"
#include "proxy/control_tls.h"
#include "proxy/libraries.h"
#include "shadow/descriptor.h"

enum {
    EXIT_GOOD = 0,
    EXIT_USAGE = 2
};

static const char default_path[] = "/etc/shunt/shunt.yaml";

static const char help[] =
    "Usage: shunt [--config FILE] [--fail-open HOST:PORT --listen HOST:PORT]\n"
    "       shunt --check [FILE]\n"
    "       shunt --dump [FILE]\n"
    "       shunt --reference | --version | --help\n"
    "\n"
    "A sidecar proxy that moves HTTP traffic from a legacy backend to a new one, a measured share at a time.\n"
    "\n"
    "  -c, --config FILE           the configuration (default: /etc/shunt/shunt.yaml); FILE alone means the same\n"
    "      --check                 say whether the file is valid: \"FILE: ok\", or every fault; serve nothing\n"
    "      --dump                  print the effective configuration, defaults filled in, secrets masked\n"
    "      --reference[=man]       print the page that explains every key of the file; man: as shunt.yaml(5)\n"
    "      --fail-open HOST:PORT   when the file cannot be used at the start, send everything to this legacy backend\n"
    "                              until it can, instead of exiting\n"
    "      --listen HOST:PORT      where to listen then\n"
    "      --version               print the version\n"
    "  -h, --help                  print this\n"
    "\n"
    "Signals: HUP reads the file again, USR1 turns passthrough on or off, TERM and INT finish what is under way and "
    "end.\n"
    "Environment: SHUNT_PASSTHROUGH=1 starts in passthrough.\n"
    "Exit codes: 0 ended as asked, 1 ended before everything was finished, 2 the command line, the file, an address "
    "or\n"
    "the state directory cannot be used.\n";

enum action {
    ACTION_RUN,
    ACTION_CHECK,
    ACTION_DUMP,
    ACTION_REFERENCE,
    ACTION_MANUAL,
    ACTION_VERSION,
    ACTION_HELP
};

struct command_line {
    enum action action;
    struct control_options options;
};

static int __attribute__((format(printf, 1, 2))) usage_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("shunt: ", stderr);
    vfprintf(stderr, format, args);
    fputs("; shunt --help says what there is\n", stderr);
    va_end(args);
    return EXIT_USAGE;
}

static bool read_command_line(int argc, char **argv, struct command_line *line)
{
    enum {
        OPTION_CHECK = 256,
        OPTION_DUMP,
        OPTION_REFERENCE,
        OPTION_VERSION,
        OPTION_FAIL_OPEN,
        OPTION_LISTEN
    };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, OPTION_CHECK},
        {"dump", no_argument, NULL, OPTION_DUMP},
        {"reference", optional_argument, NULL, OPTION_REFERENCE},
        {"fail-open", required_argument, NULL, OPTION_FAIL_OPEN},
        {"listen", required_argument, NULL, OPTION_LISTEN},
        {"version", no_argument, NULL, OPTION_VERSION},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static const struct {
        int option;
        enum action action;
    } actions[] = {
        {OPTION_CHECK, ACTION_CHECK},     {OPTION_DUMP, ACTION_DUMP}, {OPTION_REFERENCE, ACTION_REFERENCE},
        {OPTION_VERSION, ACTION_VERSION}, {'h', ACTION_HELP},
    };
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == '?')
            return false; /* getopt_long() has said why */
        if (option == 'c')
            line->options.config_path = optarg;
        else if (option == OPTION_FAIL_OPEN)
            line->options.fail_open = optarg;
        else if (option == OPTION_LISTEN)
            line->options.fail_listen = optarg;
        for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
            if (actions[i].option == option)
                line->action = actions[i].action;
        if (option == OPTION_REFERENCE && optarg != NULL)
            line->action = ACTION_MANUAL;
        if (option == OPTION_REFERENCE && optarg != NULL && strcmp(optarg, "man") != 0)
            return false;
    }
    return true;
}

/* False when standard output does not take it (a full disk, a closed pipe). */
static bool print(const char *text)
{
    return fputs(text, stdout) >= 0 && fflush(stdout) == 0;
}

static int print_made(char *text)
{
    if (text == NULL || !print(text)) {
        fprintf(stderr, "shunt: cannot print: %s\n", text == NULL ? "no memory" : "standard output does not take it");
        free(text);
        return EXIT_FAILURE;
    }
    free(text);
    return EXIT_GOOD;
}

/* Prints and frees them. */
static void print_errors(struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++)
        fprintf(stderr, "%s\n", errors->lines[i]);
    config_errors_free(errors);
}

static struct config *load_or_tell(const char *path)
{
    struct config_errors errors = {0};
    struct config *config = config_load(path, &errors);
    print_errors(&errors);
    return config;
}

static void print_fault(void *path, const char *fault)
{
    fprintf(stderr, "%s: %s\n", (const char *)path, fault);
}

static int check(const char *path)
{
    struct config *config = load_or_tell(path);
    if (config == NULL)
        return EXIT_USAGE;
    struct config_errors errors = {0};
    bool good = libraries_open(config, LIBRARIES_ALL, &errors);
    print_errors(&errors);
    good = control_tls_check(config, print_fault, (void *)(uintptr_t)path) && good;
    good = descriptor_sets_check(config, print_fault, (void *)(uintptr_t)path) && good;
    config_free(config);
    if (!good)
        return EXIT_USAGE;
    printf("%s: ok\n", path);
    return EXIT_GOOD;
}

static int dump(const char *path)
{
    struct config *config = load_or_tell(path);
    if (config == NULL)
        return EXIT_USAGE;
    char *text = config_dump(config);
    config_free(config);
    return print_made(text);
}

int main(int argc, char **argv)
{
    struct command_line line = {.options.config_path = default_path};
    if (!read_command_line(argc, argv, &line))
        return usage_error("the command line cannot be used");
    if (optind < argc)
        line.options.config_path = argv[optind++];
    if (optind < argc)
        return usage_error("\"%s\" is one argument too many", argv[optind]);
    if ((line.options.fail_open == NULL) != (line.options.fail_listen == NULL))
        return usage_error("--fail-open and --listen belong together");
    switch (line.action) {
    case ACTION_CHECK:
        return check(line.options.config_path);
    case ACTION_DUMP:
        return dump(line.options.config_path);
    case ACTION_REFERENCE:
        return print_made(config_reference());
    case ACTION_MANUAL:
        return print_made(config_manual());
    case ACTION_VERSION:
        return print("shunt " SHUNT_VERSION "\n") ? EXIT_GOOD : EXIT_FAILURE;
    case ACTION_HELP:
        return print(help) ? EXIT_GOOD : EXIT_FAILURE;
    case ACTION_RUN:
        break;
    }
    return control_run(&line.options);
}
