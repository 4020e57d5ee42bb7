/*
 * `manual`: shuntctl(1), made of the tables of commands and flags and of what --help says of each.
 */
#include <stdlib.h>
#include <string.h>

#include "config/roff.h"
#include "tools/shuntctl/command.h"

static const char description[] =
    "shuntctl asks and steers a running shunt over its admin address: it says which share of the traffic goes where\n"
    "and why, moves plans, turns passthrough on, and shows what comparing found.\n"
    "\n"
    "Options may stand before or after the command. What is asked for goes to standard output, as text for people or,\n"
    "with `--json`, for programs; what is wrong goes to standard error. Every change is signed with who made it and "
    "why,\n"
    "and kept in the audit trail.\n";

static const char environment[] = "| name | what |\n"
                                  "| --- | --- |\n"
                                  "| `SHUNT_ADMIN` | as `--admin` |\n"
                                  "| `SHUNT_TOKEN_FILE` | as `--token-file` |\n"
                                  "| `SHUNT_TOKEN` | the admin token itself, where no file has it |\n"
                                  "| `USER` | as `--who` |\n"
                                  "| `NO_COLOR` | set to anything: as `--no-color` |\n";

static void write_options(struct writer *writer, unsigned groups)
{
    struct option_fact fact;
    for (size_t at = 0; options_next(&at, groups, &fact);) {
        writer_raw(writer, ".TP\n");
        if (fact.letter != '\0')
            writer_print(writer, "\\fB\\-%c\\fR, ", fact.letter);
        writer_raw(writer, "\\fB\\-\\-");
        roff_text(writer, fact.name);
        writer_raw(writer, "\\fR");
        if (fact.argument != NULL) {
            writer_raw(writer, " \\fI");
            roff_text(writer, fact.argument);
            writer_raw(writer, "\\fR");
        }
        writer_raw(writer, "\n");
        roff_inline(writer, fact.help);
        writer_raw(writer, "\n");
    }
}

static void write_command(struct writer *writer, const struct command *command)
{
    writer_raw(writer, ".SS \"");
    roff_text(writer, command->name);
    writer_raw(writer, command->arguments[0] != '\0' ? " " : "");
    roff_text(writer, command->arguments);
    writer_raw(writer, "\"\n");
    roff_inline(writer, command->summary);
    writer_raw(writer, "\n.PP\n");
    roff_markdown(writer, command->details);
    if (command->groups != 0)
        write_options(writer, command->groups);
}

static void write_exit_codes(struct writer *writer)
{
    const char *meaning;
    for (unsigned code = 0; (meaning = command_exit_code(code)) != NULL; code++) {
        writer_print(writer, ".TP\n\\fB%u\\fR\n", code);
        roff_text(writer, meaning);
        writer_raw(writer, "\n");
    }
}

int run_manual(struct ctl *ctl, const struct command *command, const char *const *words)
{
    struct writer writer = {.config = NULL};
    const struct command *each;
    (void)command;
    (void)words;
    roff_begin(&writer, "shuntctl", 1, "asks and steers a running shunt");
    roff_heading(&writer, "SYNOPSIS");
    writer_raw(&writer, "\\fBshuntctl\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]\n");
    roff_heading(&writer, "DESCRIPTION");
    roff_markdown(&writer, description);
    roff_heading(&writer, "OPTIONS");
    write_options(&writer, GROUP_GLOBAL);
    roff_heading(&writer, "COMMANDS");
    for (size_t i = 0; (each = command_at(i)) != NULL; i++)
        write_command(&writer, each);
    roff_heading(&writer, "EXIT STATUS");
    write_exit_codes(&writer);
    roff_heading(&writer, "ENVIRONMENT");
    roff_markdown(&writer, environment);
    roff_heading(&writer, "SEE ALSO");
    roff_markdown(&writer, "`shunt`(8), `shunt.yaml`(5)\n");
    char *text = writer_take(&writer);
    if (text == NULL)
        return complain(ctl, EXIT_REFUSED, "out of memory");
    fputs(text, stdout);
    free(text);
    return EXIT_DONE;
}
