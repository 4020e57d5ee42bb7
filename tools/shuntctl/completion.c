/*
 * `completion bash|zsh|fish`: a script for the shell, made of the tables of commands and flags, so that it knows what
 * this shuntctl knows.
 *
 * What a word may be is read from what --help calls it: FILE is a file, ROUTE a route of the shunt that answers,
 * "on|off", in small letters, one of these. Of other words (HOST:PORT, TEXT, PERCENT) a shell knows nothing.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "shadow/export.h"
#include "tools/shuntctl/command.h"

#define ROUTES  "shuntctl --timeout 1 routes 2>/dev/null"
#define METHODS "GET HEAD POST PUT PATCH DELETE OPTIONS"

enum {
    WORD_ROOM = 64,
};

/* ---- words ---- */

/* The n-th of "ROUTE [PERCENT]", without its brackets; false: there are not so many. */
static bool argument_at(const char *arguments, size_t n, char word[WORD_ROOM])
{
    for (; *arguments != '\0'; n--) {
        size_t length = strcspn(arguments, " ");
        if (n == 0) {
            size_t before = arguments[0] == '[', behind = arguments[length - 1] == ']';
            snprintf(word, WORD_ROOM, "%.*s", (int)(length - before - behind), arguments + before);
            return true;
        }
        arguments += length + strspn(arguments + length, " ");
    }
    return false;
}

static bool is_file(const char *word)
{
    return strncmp(word, "FILE", 4) == 0; /* FILE|DIR, too */
}

/* Methods, forms of a report, or "a|b|c" as "a b c". Empty: nobody knows such words by heart. */
static void choices_of(const char *word, char *choices, size_t room)
{
    const struct export_format *format;
    size_t used = 0;
    choices[0] = '\0';
    if (strcmp(word, "METHOD") == 0)
        snprintf(choices, room, METHODS);
    for (unsigned i = 0; strcmp(word, "FORM") == 0 && (format = export_at(i)) != NULL && used < room; i++)
        used += (size_t)snprintf(choices + used, room - used, "%s%s", i > 0 ? " " : "", format->name);
    if (!islower((unsigned char)word[0]))
        return;
    snprintf(choices, room, "%s", word);
    for (char *bar = choices; (bar = strchr(bar, '|')) != NULL;)
        *bar = ' ';
}

/* A flag of the command that is also a global one is written in its stead. */
static bool is_own(const struct command *command, const char *name)
{
    struct option_fact fact;
    for (size_t at = 0; command != NULL && command->groups != 0 && options_next(&at, command->groups, &fact);)
        if (strcmp(fact.name, name) == 0)
            return true;
    return false;
}

/* Calls `write` for each flag that the command takes, its own first; `command` may be NULL. */
static void each_flag(const struct command *command,
                      void (*write)(const struct command *command, const struct option_fact *fact))
{
    struct option_fact fact;
    for (size_t at = 0; command != NULL && command->groups != 0 && options_next(&at, command->groups, &fact);)
        write(command, &fact);
    for (size_t at = 0; options_next(&at, GROUP_GLOBAL, &fact);)
        if (!is_own(command, fact.name))
            write(NULL, &fact);
}

/* In quotes that every one of the three shells ends in the same way; `escaped` have a backslash put before them. */
static void quote(const char *text, const char *escaped, const char *apostrophe)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs(apostrophe, stdout);
            continue;
        }
        if (strchr(escaped, *text) != NULL)
            putchar('\\');
        putchar(*text);
    }
}

/* ---- bash ---- */

static const char bash_end[] =
    "_shuntctl_values() { # a word of this kind that begins so\n"
    "    case $1 in\n"
    "    FILE*) compgen -f -- \"$2\" ;;\n"
    "    ROUTE) compgen -W \"$(" ROUTES ")\" -- \"$2\" ;;\n"
    "    COMMAND) compgen -W \"$(_shuntctl_commands)\" -- \"$2\" ;;\n"
    "    METHOD) compgen -W '" METHODS "' -- \"$2\" ;;\n"
    "    FORM) compgen -W \"$(_shuntctl_forms)\" -- \"$2\" ;;\n"
    "    [[:lower:]]*) compgen -W \"${1//|/ }\" -- \"$2\" ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "_shuntctl() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} command='' waits='' words='' kind i\n"
    "    local -a kinds\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        if [[ -n $waits ]]; then\n"
    "            [[ ${COMP_WORDS[i]} == = ]] || waits=''\n"
    "        elif [[ ${COMP_WORDS[i]} == -* ]]; then\n"
    "            waits=$(_shuntctl_argument \"$command\" \"${COMP_WORDS[i]}\")\n"
    "        elif [[ -z $command ]]; then\n"
    "            command=${COMP_WORDS[i]}\n"
    "        else\n"
    "            words+=x\n"
    "        fi\n"
    "    done\n"
    "    [[ $current == = ]] && current=''\n"
    "    if [[ -n $waits ]]; then\n"
    "        kind=$waits\n"
    "    elif [[ $current == -* ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$(_shuntctl_options \"$command\")\" -- \"$current\")\n"
    "        return\n"
    "    elif [[ -z $command ]]; then\n"
    "        kind=COMMAND\n"
    "    else\n"
    "        read -ra kinds <<<\"$(_shuntctl_arguments \"$command\")\"\n"
    "        kind=${kinds[${#words}]:-}\n"
    "    fi\n"
    "    [[ $kind == FILE* ]] && compopt -o filenames 2>/dev/null\n"
    "    mapfile -t COMPREPLY < <(_shuntctl_values \"$kind\" \"$current\")\n"
    "}\n"
    "complete -F _shuntctl shuntctl\n";

static void bash_option(const struct command *command, const struct option_fact *fact)
{
    (void)command;
    printf(" --%s", fact->name);
    if (fact->letter != '\0')
        printf(" -%c", fact->letter);
}

static void bash_argument(const struct command *command, const struct option_fact *fact)
{
    const char *name = command != NULL ? command->name : "*";
    if (fact->argument == NULL)
        return;
    printf("    %s' --%s'", name, fact->name);
    if (fact->letter != '\0')
        printf(" | %s' -%c'", name, fact->letter);
    fputs(") echo '", stdout);
    quote(fact->argument, "", ""); /* 'NAME: VALUE' is no word of its own */
    puts("' ;;");
}

static void bash_arguments(const struct command *command)
{
    char word[WORD_ROOM];
    printf("    %s) echo '", command->name);
    for (size_t n = 0; argument_at(command->arguments, n, word); n++)
        printf("%s%s", n > 0 ? " " : "", word);
    puts("' ;;");
}

static void write_bash(void)
{
    const struct command *command;
    char forms[256];
    choices_of("FORM", forms, sizeof(forms));
    fputs("# Completion of shuntctl in bash. Made by `shuntctl completion bash`.\n\n_shuntctl_commands() {\n    echo "
          "help",
          stdout);
    for (size_t i = 0; (command = command_at(i)) != NULL; i++)
        printf(" %s", command->name);
    printf("\n}\n\n_shuntctl_forms() {\n    echo %s\n}\n\n_shuntctl_options() { # of the command\n    case $1 in\n",
           forms);
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        printf("    %s) echo", command->name);
        each_flag(command, bash_option);
        puts(" ;;");
    }
    fputs("    *) echo", stdout);
    each_flag(NULL, bash_option);
    fputs(" ;;\n    esac\n}\n\n_shuntctl_argument() { # of the command's option; nothing for a switch\n"
          "    case \"$1 $2\" in\n",
          stdout);
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        struct option_fact fact;
        for (size_t at = 0; command->groups != 0 && options_next(&at, command->groups, &fact);)
            bash_argument(command, &fact);
    }
    each_flag(NULL, bash_argument);
    fputs("    esac\n}\n\n_shuntctl_arguments() { # of the command, in their order\n    case $1 in\n"
          "    help) echo COMMAND ;;\n",
          stdout);
    for (size_t i = 0; (command = command_at(i)) != NULL; i++)
        bash_arguments(command);
    printf("    esac\n}\n\n%s", bash_end);
}

/* ---- zsh ---- */

static void zsh_action(const char *word)
{
    char choices[256];
    choices_of(word, choices, sizeof(choices));
    if (is_file(word))
        fputs("_files", stdout);
    else if (strcmp(word, "ROUTE") == 0)
        fputs("_shuntctl_routes", stdout);
    else if (choices[0] != '\0')
        printf("(%s)", choices);
    else
        putchar(' ');
}

static void zsh_spec(const char *dashes, const char *name, const char *joint, const struct option_fact *fact)
{
    printf(" \\\n            '%s%s%s%s[", fact->repeats ? "*" : "", dashes, name, fact->argument != NULL ? joint : "");
    quote(fact->help, "[]:\\", "'\\''");
    putchar(']');
    if (fact->argument != NULL) {
        putchar(':');
        quote(fact->argument, ":\\", "");
        putchar(':');
        zsh_action(fact->argument);
    }
    putchar('\'');
}

static void zsh_option(const struct command *command, const struct option_fact *fact)
{
    (void)command;
    zsh_spec("--", fact->name, "=", fact);
    if (fact->letter != '\0')
        zsh_spec("-", (const char[]){fact->letter, '\0'}, "+", fact);
}

static void zsh_command(const struct command *command)
{
    char word[WORD_ROOM];
    printf("    %s)\n        _arguments", command->name);
    each_flag(command, zsh_option);
    for (size_t n = 0; argument_at(command->arguments, n, word); n++) {
        printf(" \\\n            '%zu:", n + 1);
        quote(word, ":\\", "");
        putchar(':');
        zsh_action(word);
        putchar('\'');
    }
    puts("\n        ;;");
}

static void write_zsh(void)
{
    const struct command *command;
    fputs("#compdef shuntctl\n# Completion of shuntctl in zsh. Made by `shuntctl completion zsh`.\n\n"
          "_shuntctl_routes() {\n    local -a routes\n    routes=(${(f)\"$(" ROUTES
          ")\"})\n    compadd -a routes\n}\n\n"
          "_shuntctl_commands() {\n    local -a commands\n    commands=(\n        'help:what there is'\n",
          stdout);
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        printf("        '%s:", command->name);
        quote(command->summary, ":\\", "'\\''");
        puts("'");
    }
    fputs("    )\n    _describe command commands\n}\n\n_shuntctl() {\n"
          "    local curcontext=$curcontext state line\n    _arguments -C",
          stdout);
    each_flag(NULL, zsh_option);
    fputs(" \\\n            '1:command:_shuntctl_commands' \\\n            '*::argument:->rest' && return\n"
          "    case $line[1] in\n    help)\n        _arguments '1:command:_shuntctl_commands'\n        ;;\n",
          stdout);
    for (size_t i = 0; (command = command_at(i)) != NULL; i++)
        zsh_command(command);
    fputs("    esac\n}\n\nif [[ $funcstack[1] == _shuntctl ]]; then\n    _shuntctl \"$@\"\nelse\n    compdef _shuntctl "
          "shuntctl\nfi\n",
          stdout);
}

/* ---- fish ---- */

static void fish_words(const char *word)
{
    char choices[256];
    choices_of(word, choices, sizeof(choices));
    if (strcmp(word, "ROUTE") == 0)
        fputs(" -a '(" ROUTES ")'", stdout);
    else if (choices[0] != '\0')
        printf(" -a '%s'", choices);
}

static void fish_option(const struct command *command, const struct option_fact *fact)
{
    fputs("complete -c shuntctl", stdout);
    if (command != NULL)
        printf(" -n '__fish_seen_subcommand_from %s'", command->name);
    printf(" -l %s", fact->name);
    if (fact->letter != '\0')
        printf(" -s %c", fact->letter);
    if (fact->argument != NULL && is_file(fact->argument))
        fputs(" -rF", stdout);
    else if (fact->argument != NULL)
        fputs(" -x", stdout);
    if (fact->argument != NULL)
        fish_words(fact->argument);
    fputs(" -d '", stdout);
    quote(fact->help, "\\", "\\'");
    puts("'");
}

static void fish_command(const struct command *command)
{
    struct option_fact fact;
    char word[WORD_ROOM];
    printf("complete -c shuntctl -n __fish_use_subcommand -a %s -d '", command->name);
    quote(command->summary, "\\", "\\'");
    puts("'");
    if (argument_at(command->arguments, 0, word)) {
        printf("complete -c shuntctl -n '__fish_seen_subcommand_from %s'", command->name);
        if (is_file(word))
            fputs(" -F", stdout);
        fish_words(word);
        puts("");
    }
    for (size_t at = 0; command->groups != 0 && options_next(&at, command->groups, &fact);)
        fish_option(command, &fact);
}

static void write_fish(void)
{
    const struct command *command;
    puts("# Completion of shuntctl in fish. Made by `shuntctl completion fish`.\ncomplete -c shuntctl -f");
    each_flag(NULL, fish_option);
    for (size_t i = 0; (command = command_at(i)) != NULL; i++)
        fish_command(command);
}

/* ---- */

int run_completion(struct ctl *ctl, const struct command *command, const char *const *words)
{
    static const struct {
        const char *name;
        void (*write)(void);
    } shells[] = {{"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
        if (strcmp(words[0], shells[i].name) == 0) {
            shells[i].write();
            return EXIT_DONE;
        }
    return complain(ctl, EXIT_USAGE, "%s: \"%s\" is no shell it knows; expected one of %s", command->name, words[0],
                    command->arguments);
}
