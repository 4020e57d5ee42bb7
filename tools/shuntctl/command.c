/*
 * The commands in one table, their help, and the way from a command line to one of them.
 */
#include "tools/shuntctl/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct command commands[] = {
    {"status", "[ROUTE]", 0, 1, GROUP_STATE, false, run_status, "which share goes where, and why",
     "Shows the process, its backends, and for every route the phase of its plan, stage, share, breaker,\n"
     "traffic, comparison and why it is not promoted yet. With ROUTE: everything about this one.\n"
     "\n"
     "With --wait it waits for a route. STATE is the name of a stage (it, or a later one, has been entered;\n"
     "stage:NAME where a stage is named like another state), a phase (running, paused, frozen, waiting,\n"
     "done, rolled_back), breaker-closed, breaker-open, or healthy: waiting, running, done or of a fixed\n"
     "share, with no gate failed, the breaker closed, and all of its share in force. Exit code 0: reached;\n"
     "1: it is not reached any more unless a person steps in, such as done after a rollback; 3: not within\n"
     "--timeout; 2: no such route or state, or no access; 4: shunt cannot be reached. A shunt that restarts\n"
     "meanwhile is waited for; one that was never there, only as long as --timeout says.\n"
     "\n"
     "Examples:\n"
     "  shuntctl status\n"
     "  shuntctl status orders-read\n"
     "  shuntctl status --wait canary --timeout 30m orders-read && ./smoke-tests\n"
     "  shuntctl status --wait done --timeout 7d orders-read || shuntctl history orders-read\n"
     "  shuntctl status --json | jq '.routes[] | {name, percent}'\n"},
    {"watch", "[ROUTE]", 0, 1, GROUP_WATCH, false, run_watch, "the same, again and again",
     "On a terminal the view is redrawn each second until Ctrl-C; elsewhere each view is one line per\n"
     "route, and with --json one line of JSON. Goes on when shunt cannot be reached for a while.\n"
     "\n"
     "Examples:\n"
     "  shuntctl watch\n"
     "  shuntctl watch orders-read --interval 0.2 --count 50\n"},
    {"plan", "[ROUTE]", 0, 1, 0, false, run_plan, "where a plan stands, and why it is not promoted yet",
     "Says first, in one sentence, why the route is not promoted yet. Below: the stages with share, hold and\n"
     "deadline, marked where the plan stands; each gate with its verdict, and the interval in which its\n"
     "measure lies drawn against the limit (the line), how many requests or pairs that rests on, and when a\n"
     "decision can be expected if things go on as they are; what the plan depends on; the breaker.\n"
     "Without ROUTE: one line for each route.\n"
     "\n"
     "Examples:\n"
     "  shuntctl plan\n"
     "  shuntctl plan orders-read\n"
     "  shuntctl plan orders-read --json | jq -r .why_not\n"},
    {"fleet", "", 0, 0, 0, false, run_fleet, "who shares this plan, who leads, how Redis does",
     "Of a shunt with `state.redis`: the group's leader and passthrough, how each route is to be, and each\n"
     "replica with its version, role, how far it is behind, whether its file has the same plans as this one's,\n"
     "and the breakers that are open in it. Exit code 1: there is no fleet, or this replica is cut off from\n"
     "it; then what it knows is shown. docs/fleet.md has a runbook.\n"
     "\n"
     "Examples:\n"
     "  shuntctl fleet\n"
     "  shuntctl fleet --json | jq '.replicas[] | select(.epochs_behind > 0)'\n"},
    {"report", "[ROUTE]", 0, 1, GROUP_RESET | GROUP_CHANGE | GROUP_REPORT | GROUP_RULES | GROUP_FLEET, false,
     run_report, "what comparing found: differences, samples",
     "Shows pairs compared, matched and different, the fields that really differ with the reason, and\n"
     "samples of them. Other forms are for other readers: html is one page for people, with both answers\n"
     "side by side; junit for a CI; markdown for a pull request; har and curl to send the requests again;\n"
     "rules is YAML to paste into the file. --reset forgets what has been found, so that a corrected\n"
     "backend starts clean. --fleet shows what all replicas of a fleet have found, in any of these forms.\n"
     "\n"
     "Examples:\n"
     "  shuntctl report orders-read\n"
     "  shuntctl report orders-read --html -o report.html\n"
     "  shuntctl report --format junit -o report.xml\n"
     "  shuntctl report orders-read --suggest-rules\n"
     "  shuntctl report --json | jq '.routes[].verdict'\n"
     "  shuntctl report --fleet --html -o report.html\n"
     "  shuntctl report orders-read --reset -m 'totals corrected in 1.4.2'\n"},
    {"verdict", "ROUTE", 1, 1, GROUP_VERDICT | GROUP_WAIT, false, run_verdict,
     "do the answers agree? one sentence, for scripts",
     "Says how many answers were compared, how many differ, what that proves at this confidence, and\n"
     "whether the limit holds. Exit code 0: pass; 1: fail; 3: undecided, or no limit is set; 2: there is\n"
     "no such route; 4: shunt cannot be reached. With --wait it waits for a pass or a fail, and goes on\n"
     "when shunt is away for a while. `shuntctl gates` tells all gates of a stage, this one among them.\n"
     "\n"
     "Examples:\n"
     "  shuntctl verdict orders-read\n"
     "  shuntctl verdict orders-read --wait 2h --limit 0.01% && echo \"the answers agree\"\n"},
    {"compare", "", 0, 0, GROUP_COMPARE | GROUP_REPORT | GROUP_RULES | GROUP_VERDICT | GROUP_HEADER, true, run_compare,
     "send recorded requests to both sides, and compare",
     "A first look before any live traffic: every request of FILE goes to both sides, and the same engine\n"
     "that compares live traffic makes the same report. FILE is an HTTP archive (HAR) as browsers save it,\n"
     "or has on each line an object such as\n"
     "  {\"method\": \"GET\", \"url\": \"/orders/7\", \"headers\": {\"Accept\": \"application/json\"}, \"body\": "
     "\"...\"}\n"
     "Redirects are not followed and bodies are not decoded. Recorded headers are kept, but for those of one\n"
     "connection; `-H 'Name: value'` replaces one, `-H 'Host:'` drops it. Ctrl-C ends it with the report so far.\n"
     "Exit code 0: pass; 1: fail; 3: undecided (limit: --limit, else the route's gate, else 0.1%).\n"
     "\n"
     "Examples:\n"
     "  shuntctl compare --legacy http://127.0.0.1:8081 --new http://127.0.0.1:8082 --requests shop.har\n"
     "  shuntctl compare --legacy https://old.test --new https://new.test --requests requests.jsonl \\\n"
     "      --config shunt.yaml --route orders-read --rate 200 --html -o report.html\n"},
    {"gates", "[ROUTE]", 0, 1, 0, false, run_gates, "may the stage be left? for scripts",
     "Says for each route whether its gates pass, with the reason. Exit code 0: all pass (or have no\n"
     "gates); 1: one fails; 3: one is undecided and none fails.\n"
     "\n"
     "Examples:\n"
     "  shuntctl gates orders-read && shuntctl promote orders-read -m 'gates pass'\n"},
    {"start", "ROUTE", 1, 1, GROUP_CHANGE, false, run_verb, "begin a plan that waits for a person",
     "For plans with `start: manual`, which stand at 0 % until then.\n"
     "\n"
     "Examples:\n"
     "  shuntctl start orders-read -m 'approved in CHG-4711'\n"},
    {"promote", "ROUTE", 1, 1, GROUP_CHANGE | GROUP_FORCE, false, run_verb, "go to the next stage",
     "Refused while a gate fails (exit code 1) or is undecided (exit code 3), unless --force is given: then\n"
     "it says what it went past (gates, change freezes and hours, webhooks, other plans, the breaker), and\n"
     "the audit trail keeps that.\n"
     "\n"
     "Examples:\n"
     "  shuntctl promote orders-read -m 'dashboards are quiet'\n"
     "  shuntctl promote orders-read --force -m 'mismatches are known, TICKET-12'\n"},
    {"pause", "ROUTE", 1, 1, GROUP_CHANGE, false, run_verb, "keep the share, advance no further",
     "The breaker goes on watching.\n\nExamples:\n  shuntctl pause orders-read -m 'deploy of new at 14:00'\n"},
    {"freeze", "ROUTE", 1, 1, GROUP_CHANGE, false, run_verb, "nothing moves the plan until a person resumes it",
     "The share stays as it is: no gate, deadline or dependency changes it. The breaker goes on watching.\n"
     "\n"
     "Examples:\n"
     "  shuntctl freeze orders-read -m 'incident 4711: hands off'\n"},
    {"resume", "ROUTE", 1, 1, GROUP_CHANGE, false, run_verb, "go on after a pause, a freeze or a rollback",
     "After a rollback the plan begins at its first stage.\n"
     "\n"
     "Examples:\n"
     "  shuntctl resume orders-read -m 'fixed in 1.4.2'\n"},
    {"rollback", "ROUTE", 1, 1, GROUP_CHANGE, false, run_verb, "all live traffic of the route to legacy, now",
     "It stays there until someone resumes or restarts the plan.\n"
     "\n"
     "Examples:\n"
     "  shuntctl rollback orders-read -m 'wrong totals'\n"},
    {"restart", "ROUTE", 1, 1, GROUP_CHANGE, false, run_verb, "the plan from its first stage",
     "Examples:\n  shuntctl restart orders-read -m 'new build'\n"},
    {"set-percent", "ROUTE PERCENT", 2, 2, GROUP_CHANGE, false, run_set_percent, "this share to new, and pause there",
     "PERCENT is 0 to 100 with up to two decimals.\n"
     "\n"
     "Examples:\n"
     "  shuntctl set-percent orders-read 12.5 -m 'a closer look'\n"},
    {"reset-breaker", "ROUTE", 1, 1, GROUP_CHANGE, false, run_verb, "close the breaker and forget its trips",
     "Examples:\n  shuntctl reset-breaker orders-read -m 'it was the network'\n"},
    {"passthrough", "on|off|status", 1, 1, GROUP_CHANGE | GROUP_LOCAL, false, run_passthrough,
     "emergency: everything straight to legacy",
     "`on` sends everything straight to legacy: no split, no shadow. `off` releases this switch; others\n"
     "(signal, environment, file) may still hold it on, which is said. `status` exits 0 when it is off\n"
     "and 1 when it is on.\n"
     "\n"
     "In a fleet (`state.redis`) all replicas follow, unless --local is given. While Redis is away, `on` holds\n"
     "in the replica that is asked, and the others are told when Redis is back; `off` needs Redis.\n"
     "\n"
     "Examples:\n"
     "  shuntctl passthrough on -m 'incident 4711'\n"
     "  shuntctl passthrough on --local -m 'this pod alone'\n"
     "  shuntctl passthrough off -m 'incident 4711 is over'\n"},
    {"explain", "METHOD PATH", 2, 2, GROUP_HEADER | GROUP_CLIENT, false, run_explain,
     "which side a request would get, and why",
     "Asks for the decision on the current state, without sending or counting anything.\n"
     "\n"
     "Examples:\n"
     "  shuntctl explain GET /orders/7 -H 'X-User-Id: 42'\n"
     "  shuntctl explain GET '/orders?page=2' -H 'Cookie: session=abc' --client 192.0.2.7\n"},
    {"routes", "", 0, 0, 0, false, run_routes, "names of the routes, one per line",
     "Examples:\n  for r in $(shuntctl routes); do shuntctl pause $r -m 'freeze'; done\n"},
    {"history", "[ROUTE]", 0, 1, GROUP_LIMIT | GROUP_SINCE, false, run_history, "who changed what, when and why",
     "The newest changes of state, oldest first: from what to what, why, and on which evidence. shunt keeps\n"
     "200 of them at hand; `shuntctl audit` has them all.\n"
     "\n"
     "Examples:\n"
     "  shuntctl history orders-read\n"
     "  shuntctl history --since 2h\n"
     "  shuntctl history -n 5 --json\n"},
    {"audit", "[verify FILE|DIR]", 0, 2, GROUP_LIMIT, false, run_audit, "newest lines of the audit trail, as on disk",
     "`verify` asks no shunt: it follows the checksums of an audit.jsonl, or of that in a state directory, and\n"
     "prints the first line that does not fit. Exit code 0: all is as shunt wrote it; 1: something was changed,\n"
     "removed, added or moved; 3: nothing is proved, as no line has a checksum, or none is there although the state\n"
     "knows of events; 2: it cannot be read.\n"
     "\n"
     "Examples:\n"
     "  shuntctl audit -n 1000 --json > audit.json\n"
     "  shuntctl audit verify /var/lib/shunt\n"},
    {"drain", "", 0, 0, GROUP_CHANGE | GROUP_CANCEL, false, run_drain,
     "lead clients away before the end, and do not end",
     "/readyz says no from now on, while everything is served on for `timeouts.drain_min`; from its half on\n"
     "clients are told to leave, and at its end idle connections are closed. New connections are taken until\n"
     "SIGTERM, which ends shunt when that time is over and nothing is in flight. Asked again it changes nothing.\n"
     "In a pod it is the preStop hook of shunt's container.\n"
     "\n"
     "Examples:\n"
     "  shuntctl drain -m 'kernel update'\n"
     "  shuntctl drain --cancel\n"},
    {"reload", "", 0, 0, GROUP_WHO, false, run_reload, "read the configuration file again",
     "A file with faults changes nothing; its faults are listed and the exit code is 1.\n"
     "\n"
     "Examples:\n"
     "  shuntctl reload\n"},
    {"config", "", 0, 0, 0, false, run_config, "effective configuration as YAML, secrets masked",
     "Examples:\n  shuntctl config > effective.yaml\n"},
    {"check", "FILE", 1, 1, 0, true, run_check, "is this file good? asks no shunt",
     "Reads the file as shunt would and lists every fault as file:line:column. Exit code 0: good; 1: faults.\n"
     "\n"
     "Examples:\n"
     "  shuntctl check shunt.yaml\n"},
    {"inject", "[KIND/NAME...]", 0, OPTIONS_WORDS - 1, GROUP_INJECT, true, run_inject,
     "put shunt into manifests of Kubernetes. Asks no shunt",
     "Reads manifests, YAML or JSON, and prints all of them with shunt in the pods of one workload, or of those\n"
     "that are named: the container, its volumes, a ConfigMap with its file, a pause before the application\n"
     "ends, and time for the pod to end in. Services that select these pods lead to shunt's port then, where\n"
     "they led to the application's. Everything else is printed as it was, byte for byte. Doing it again\n"
     "changes nothing, or what other options say; without --new, --config and --configmap the plan of before\n"
     "is kept. --uninject, which reads -f, --only, --output and --in-place alone, takes all of it out again.\n"
     "\n"
     "A Deployment that serves already is done in two steps: pods first, and when all have shunt, Services.\n"
     "The token of the admin server is a Secret of yours; what to type for it is told on standard error.\n"
     "\n"
     "Exit code 0: done; 1: the manifests or shunt's file have faults, which are told by file:line:column;\n"
     "2: the command line is wrong, or a file cannot be read or written. Nothing is written by halves.\n"
     "\n"
     "Examples:\n"
     "  shuntctl inject -f orders.yaml --image registry/shunt:0.1.0 --new http://orders-v2:80 --only pods \\\n"
     "      | kubectl apply -f -\n"
     "  shuntctl inject -f deployment.yaml -f service.yaml --image registry/shunt:0.1.0 --config shunt.yaml "
     "--in-place\n"
     "  kubectl get deploy,svc -l app=orders -o yaml | shuntctl inject -f - --uninject | kubectl apply -f -\n"},
    {"ready", "", 0, 0, 0, false, run_ready, "does it take traffic? for health checks",
     "Asks /readyz, which needs no token, and prints its answer. Exit code 0: ready; 1: not, such as while it\n"
     "drains; 4: shunt cannot be reached. The image has it as its health check.\n"
     "\n"
     "Examples:\n"
     "  shuntctl ready --timeout 2\n"
     "  until shuntctl ready; do sleep 1; done\n"},
    {"simulate", "", 0, 0, GROUP_SIMULATE, true, run_simulate,
     "what would this plan do with such traffic? asks no shunt",
     "Runs the file's plan on traffic drawn by chance, with the router's own code, and says for each stage and\n"
     "gate when it would pass, fail or stay undecided, who would decide, and how often wrongly. Nothing is\n"
     "sent anywhere. docs/judgement.md explains what is behind it.\n"
     "\n"
     "Examples:\n"
     "  shuntctl simulate --config shunt.yaml --route orders-read --rate 20 --legacy-errors 0.5% --new-errors +0.5%\n"
     "  shuntctl simulate --config shunt.yaml --rate 200 --new-latency x1.3 --mismatch 0.02% --runs 1000\n"},
    {"completion", "bash|zsh|fish", 1, 1, 0, true, run_completion, "a script that completes command lines",
     "Prints it. The names of routes are asked for at the shunt that SHUNT_ADMIN names.\n"
     "\n"
     "Examples:\n"
     "  . <(shuntctl completion bash)\n"
     "  shuntctl completion zsh > \"${fpath[1]}/_shuntctl\"\n"
     "  shuntctl completion fish > ~/.config/fish/completions/shuntctl.fish\n"},
    {"manual", "", 0, 0, 0, true, run_manual, "the manual page shuntctl(1)",
     "Prints it in the form that man reads.\n"
     "\n"
     "Examples:\n"
     "  shuntctl manual | man -l -\n"},
};

enum {
    COMMANDS = sizeof(commands) / sizeof(commands[0])
};

const struct command *command_at(size_t index)
{
    return index < COMMANDS ? &commands[index] : NULL;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static unsigned least_of(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

/* Edits between two words (V. Levenshtein); more than any limit for long ones. */
static unsigned distance(const char *a, const char *b)
{
    enum {
        MOST = 24
    };
    unsigned row[MOST + 1];
    size_t length_a = strlen(a), length_b = strlen(b);
    if (length_a > MOST || length_b > MOST)
        return MOST;
    for (unsigned j = 0; j <= length_b; j++)
        row[j] = j;
    for (unsigned i = 1; i <= length_a; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= length_b; j++) {
            unsigned above = row[j];
            row[j] = least_of(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[length_b];
}

const char *command_nearest(const char *name)
{
    const char *nearest = NULL;
    unsigned best = 3; /* more edits than two are another word */
    for (size_t i = 0; i < COMMANDS; i++) {
        unsigned edits = distance(name, commands[i].name);
        if (edits < best) {
            best = edits;
            nearest = commands[i].name;
        }
    }
    return nearest;
}

const char *command_exit_code(unsigned code)
{
    static const char *const meanings[] = {
        [EXIT_DONE] = "done",
        [EXIT_REFUSED] = "refused or failed",
        [EXIT_USAGE] = "wrong command line",
        [EXIT_UNDECIDED] = "undecided, not enough evidence yet",
        [EXIT_UNREACHABLE] = "shunt cannot be reached",
    };
    return code < sizeof(meanings) / sizeof(meanings[0]) ? meanings[code] : NULL;
}

static void print_exit_codes(FILE *out)
{
    const char *meaning;
    fputs("\nExit codes:", out);
    for (unsigned code = 0; (meaning = command_exit_code(code)) != NULL; code++)
        fprintf(out, "%s%u %s", code == 0 ? " " : code == EXIT_UNREACHABLE ? ";\n" : "; ", code, meaning);
    fputs(".\n", out);
}

void command_overview(FILE *out)
{
    fprintf(out,
            "shuntctl %s: asks and steers a running shunt over its admin address\n\n"
            "Usage: shuntctl [OPTIONS] COMMAND [ARGUMENTS]\n\nCommands:\n",
            SHUNT_VERSION);
    for (size_t i = 0; i < COMMANDS; i++) {
        char left[40];
        snprintf(left, sizeof(left), "%s %s", commands[i].name, commands[i].arguments);
        fprintf(out, "  %-26s %s\n", left, commands[i].summary);
    }
    fputs("\nOptions:\n", out);
    options_help(out, GROUP_GLOBAL);
    fputs("\n`shuntctl COMMAND --help` tells more, with examples.\n", out);
    print_exit_codes(out);
}

void command_help(FILE *out, const struct command *command)
{
    fprintf(out, "shuntctl %s: %s\n\nUsage: shuntctl %s%s%s [OPTIONS]\n\n%s\nOptions:\n", command->name,
            command->summary, command->name, command->arguments[0] != '\0' ? " " : "", command->arguments,
            command->details);
    if (command->groups != 0)
        options_help(out, command->groups);
    options_help(out, GROUP_GLOBAL);
    print_exit_codes(out);
}

int complain(const struct ctl *ctl, int code, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    /* it may have the words of whatever answered: nobody's route or reason speaks to the terminal */
    screen_print(&(struct screen){.out = ctl->err}, TONE_PLAIN, "shuntctl: %s\n", length < 0 ? "out of memory" : text);
    free(length < 0 ? NULL : text);
    return code;
}

/* Host, port and token, for commands that ask a shunt. */
static int set_up_client(struct ctl *ctl)
{
    char *error = NULL;
    const char *token = getenv("SHUNT_TOKEN");
    bool good = client_init(&ctl->client, ctl->options.admin, ctl->options.timeout_ms, &error);
    if (good && ctl->options.token_file != NULL)
        good = client_read_token(&ctl->client, ctl->options.token_file, &error);
    else if (good && token != NULL && token[0] != '\0')
        good = client_set_token(&ctl->client, token, "SHUNT_TOKEN", &error);
    if (!good)
        complain(ctl, EXIT_USAGE, "%s", error != NULL ? error : "out of memory");
    free(error);
    return good ? EXIT_DONE : EXIT_USAGE;
}

static int check_words(const struct ctl *ctl, const struct command *command)
{
    size_t words = ctl->options.word_count - 1;
    const char *stranger = options_stranger(&ctl->options, command->groups);
    if (stranger != NULL)
        return complain(ctl, EXIT_USAGE, "%s takes no --%s; try `shuntctl %s --help`", command->name, stranger,
                        command->name);
    if (words < command->least)
        return complain(ctl, EXIT_USAGE, "%s needs %s; try `shuntctl %s --help`", command->name, command->arguments,
                        command->name);
    if (words > command->most)
        return complain(ctl, EXIT_USAGE, "%s: \"%s\" is one argument too many; expected `shuntctl %s%s%s`",
                        command->name, ctl->options.words[command->most + 1], command->name,
                        command->arguments[0] != '\0' ? " " : "", command->arguments);
    for (size_t i = 1; i <= words; i++) /* an unset variable of a script, most often */
        if (ctl->options.words[i][0] == '\0')
            return complain(ctl, EXIT_USAGE, "%s: argument %zu is empty; expected `shuntctl %s %s`", command->name, i,
                            command->name, command->arguments);
    return EXIT_DONE;
}

/* What the command makes of the flags that mean another thing with others. */
static int settle(struct ctl *ctl, const struct command *command)
{
    char *error = NULL;
    if (options_settle(&ctl->options, command->groups, &error))
        return EXIT_DONE;
    complain(ctl, EXIT_USAGE, "%s; try `shuntctl %s --help`", error != NULL ? error : "out of memory", command->name);
    free(error);
    return EXIT_USAGE;
}

static int run_named(struct ctl *ctl, const char *name)
{
    const struct command *command = command_find(name);
    if (command == NULL) {
        const char *nearest = command_nearest(name);
        return nearest != NULL
                   ? complain(ctl, EXIT_USAGE, "there is no command \"%s\"; did you mean `%s`?", name, nearest)
                   : complain(ctl, EXIT_USAGE, "there is no command \"%s\"; `shuntctl --help` lists them", name);
    }
    if (ctl->options.help) {
        command_help(stdout, command);
        return EXIT_DONE;
    }
    int code = settle(ctl, command);
    if (code == EXIT_DONE)
        code = check_words(ctl, command);
    if (code == EXIT_DONE && !command->local)
        code = set_up_client(ctl);
    return code != EXIT_DONE ? code : command->run(ctl, command, ctl->options.words + 1);
}

/* What was printed is out, or it is told that it is not; a verdict stays what it is. */
static int end_output(const struct ctl *ctl, int code)
{
    errno = 0;
    bool lost = ferror(stdout) != 0;
    if (fflush(stdout) == 0 && !lost)
        return code;
    complain(ctl, code,
             "standard output cannot be written: %s; what was asked for is done, but not told: make room there",
             errno != 0 ? strerror(errno) : "a write failed");
    return code == EXIT_DONE ? EXIT_REFUSED : code;
}

int shuntctl_run(int argc, char **argv)
{
    struct ctl ctl = {.err = stderr};
    char *error = NULL;
    if (!options_parse(&ctl.options, argc, argv, &error)) {
        complain(&ctl, EXIT_USAGE, "%s; try `shuntctl --help`", error != NULL ? error : "out of memory");
        free(error);
        return EXIT_USAGE;
    }
    screen_init(&ctl.screen, stdout, ctl.options.no_color);
    const struct options *options = &ctl.options;
    bool help = options->word_count > 0 && strcmp(options->words[0], "help") == 0;
    int code = EXIT_DONE;
    if (options->version) {
        printf("shuntctl %s\n", SHUNT_VERSION);
    } else if (help && options->word_count > 1) {
        ctl.options.help = true;
        code = run_named(&ctl, options->words[1]);
    } else if (options->word_count == 0 || help) {
        command_overview(options->help || help ? stdout : stderr);
        code = options->help || help ? EXIT_DONE : EXIT_USAGE;
    } else {
        code = run_named(&ctl, options->words[0]);
    }
    explicit_bzero(ctl.client.token, sizeof(ctl.client.token));
    return end_output(&ctl, code);
}
