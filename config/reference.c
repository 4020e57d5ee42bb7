/*
 * The reference page: docs/configuration.md, from the table of keys; and shunt.yaml(5), from that page.
 *
 * Called by `shunt --reference[=man]`. What a table cannot say (how values are written, how faults are told, a whole
 * example) stands here as text; everything about a key comes from its row. The examples are those of config/examples/,
 * and a test holds them together.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"
#include "config/roff.h"
#include "config/types.h"
#include "config/writer.h"

static const char smallest_file[] = "listeners:\n"
                                    "  - address: 127.0.0.1:8080\n"
                                    "backends:\n"
                                    "  legacy: { url: \"http://127.0.0.1:3001\" }\n"
                                    "  new:    { url: \"http://127.0.0.1:3002\" }\n"
                                    "routes: [ { name: everything, percent: 10 } ]\n";

static const char full_file[] =
    "listeners:\n"
    "  - address: 127.0.0.1:8080\n"
    "admin:\n"
    "  address: 127.0.0.1:9901          # beyond this machine a token_file is required\n"
    "workers: auto                      # one per core of the CPU quota\n"
    "access_log: { sample: 100% }       # or off\n"
    "timeouts: { request_header: 10s, request_body: 30s, idle: 60s, connect: 1s, response: 15s,\n"
    "            stream_idle: 5m, tunnel_idle: 1h, drain: 30s }\n"
    "backends:\n"
    "  legacy: { url: \"http://127.0.0.1:3001\" }\n"
    "  new:    { url: \"http://127.0.0.1:3002\" }\n"
    "routes:\n"
    "  - name: orders-read\n"
    "    match: { path: /orders/**, methods: [GET, HEAD] }\n"
    "    sticky: [ { header: X-User-Id }, { cookie: session }, client_ip ]   # the first one present decides the "
    "cohort\n"
    "    overrides:\n"
    "      - { header: { X-Shunt-Backend: new }, backend: new }              # testers\n"
    "      - { header: { X-Tenant: [acme-sandbox, zoom2] }, backend: new }   # canary tenants\n"
    "    stages:\n"
    "      - { name: shadow, percent: 0,  shadow: 100, hold: 24h }\n"
    "      - { name: canary, percent: 10, shadow: 100, hold: 2h }\n"
    "      - { percent: 25, hold: 2h }\n"
    "      - { percent: 50, hold: 2h }\n"
    "      - { percent: 100, shadow: 10, hold: 48h }                         # legacy is now the mirror\n"
    "    promotion: auto                                                     # or manual; a stage may say confirm: "
    "true\n"
    "    gates:   { min_requests: 500, error_rate_increase: 2%, p95_increase: 20%, mismatch_rate: 0.01%, confidence: "
    "99% }\n"
    "    breaker: { window: 60s, min_requests: 50, error_rate: 5%, error_rate_increase: 2%, p95_ratio: 2.0,\n"
    "               consecutive_errors: 10, cooldown: 30s, max_trips: 3 }\n"
    "    shadow:\n"
    "      methods: [GET, HEAD]         # the default; writes are mirrored only when they are named here\n"
    "      timeout: 2s\n"
    "      max_in_flight: 256\n"
    "      max_body: 1MiB\n"
    "      compare:\n"
    "        ignore: [ \"header:date\", \"$.meta.request_id\", \"$.items[*].updated_at\" ]\n"
    "        tolerance: [ { path: \"$.total\", absolute: 0.01 } ]\n"
    "        unordered: [ \"$.tags\" ]\n"
    "        noise: { percent: 5 }      # a second copy to the primary's own backend: what differs there is noise\n"
    "    fallback: { on: [connect, timeout, 5xx], methods: [GET, HEAD] }     # answer from legacy when new fails\n"
    "  - name: everything-else          # a fixed share follows the file on every reload\n"
    "    match: { path: /** }\n"
    "    sticky: [ random ]\n"
    "    percent: 25\n"
    "    shadow: { percent: 100, methods: [\"*\"] }\n"
    "state:\n"
    "  directory: shunt-state           # survives a restart and kill -9; without it state lives in memory\n";

static const char opening[] = "# Configuration\n"
                              "\n"
                              "<!-- Made from the table of keys in config/keys.c by `shunt --reference > "
                              "docs/configuration.md`: edit it there. -->\n"
                              "\n"
                              "shunt reads one YAML file. Only `listeners` and `backends` are required; this is a "
                              "whole migration, one request in ten\n"
                              "to the new backend:\n"
                              "\n"
                              "```yaml\n";

static const char how_to_write[] =
    "```\n"
    "\n"
    "`shunt --check` says whether a file is good. `shunt --dump` prints it with every default filled in. A "
    "bad file\n"
    "is refused as a whole, and all its faults are told at once, in the order of their place:\n"
    "\n"
    "```\n"
    "shunt.yaml:8:14: routes[0].percent: 101 is too large; expected a percentage from 0% to 100%, with up to two "
    "decimals\n"
    "shunt.yaml:9:5: routes[0]: the key \"stciky\" is unknown; did you mean sticky?\n"
    "```\n"
    "\n"
    "At start-up shunt then exits with status 2. When it reloads (on SIGHUP, and when the file changes), it keeps the\n"
    "configuration it has, logs the faults and counts them. A good file takes effect without losing a connection or a\n"
    "request; keys marked *restart* below are the exception: they take effect when shunt starts again.\n"
    "\n"
    "## How values are written\n"
    "\n"
    "| value | is written as | for example |\n"
    "| --- | --- | --- |\n"
    "| duration | whole numbers with `d`, `h`, `m`, `s`, `ms`, the largest unit first | `250ms`, `10s`, `1h30m` |\n"
    "| size | a whole number with `B`, `KiB`, `MiB`, `GiB` (or `kB`, `MB`, `GB`: powers of 1000) | `64KiB`, `1MiB` |\n"
    "| percentage | a number with up to two decimals; the `%` may be left out | `10`, `12.5%`, `0.01%` |\n"
    "| rate in % | a number with its `%` | `2%`, `0.01%` |\n"
    "| number | digits; where a row gives decimals, with a point | `500`, `2.0` |\n"
    "| name | 1 to 64 letters, digits, `_`, `.` and `-`; `-` alone is kept for requests without a route | "
    "`orders-read` |\n"
    "| JSON path | `$`, then any of `.name`, `['name']`, `[3]`, `[*]`, `.*`, `..name` | `$.items[*].updated_at` |\n"
    "\n"
    "A value can come from the environment or from a file, which is how secrets stay out of the configuration:\n"
    "\n"
    "- `${NAME}` in a value becomes that environment variable; one that is not set is a fault. `$$` stands for one\n"
    "  `$`, so that `$${` is `${`; a `$` before anything else is itself.\n"
    "- `{ file: PATH }` in place of a value becomes the content of that file without the line break at its end. A "
    "relative\n"
    "  path starts at the folder of the configuration file.\n"
    "\n"
    "`--dump` and the admin API show where such a text came from, and not the text. Of a webhook's URL they show the "
    "host "
    "alone:\n"
    "who knows the rest may write there.\n"
    "\n"
    "YAML anchors and aliases work (`stages: &plan [...]`, `stages: *plan`) as long as they unfold into no more than "
    "10,000\n"
    "values. Merge keys (`<<`), tags and several documents in one file are refused, and so are duplicate and unknown "
    "keys. A\n"
    "file has at most 1 MiB.\n"
    "\n"
    "## Schedules\n"
    "\n"
    "`only` and `freeze` take one line, or a list of lines; one of them is enough to be on.\n"
    "\n"
    "| line | when it is on |\n"
    "| --- | --- |\n"
    "| `Mon-Thu 09:00-16:00 Europe/Berlin` | on each of these days, as clocks in Berlin show it |\n"
    "| `Mon,Wed,Fri 22:00-06:00` | from 22:00 UTC of these days until 06:00 of the next |\n"
    "| `Sat-Sun 00:00-24:00 America/New_York` | on whole days |\n"
    "| `2026-12-20 18:00 - 2027-01-07 08:00 Europe/Berlin` | from one moment to the other |\n"
    "| `2026-12-24 - 2026-12-26 America/New_York` | on whole days, the last one too |\n"
    "\n"
    "Days are `Mon`, `Tue`, `Wed`, `Thu`, `Fri`, `Sat` and `Sun`, times have two digits each, and a line without a "
    "place is in UTC.\n"
    "Places are those of the IANA time zone database as ICU has it, so that no `tzdata` is needed. Hours that clocks "
    "jump "
    "over in\n"
    "spring are not there, and those that come twice in autumn are there twice; where an end of a span comes twice, "
    "the "
    "span is\n"
    "the longer one.\n"
    "\n";

static const char before_full[] =
    "## A full example\n"
    "\n"
    "A plan of stages with everything around it. More files to start from are in `config/examples/`.\n"
    "\n"
    "```yaml\n";

/* ---- cells ---- */

/* A bar would end the cell. */
static void cell(struct writer *writer, const char *text)
{
    for (; *text != '\0'; text++) {
        const char letter[] = {*text, '\0'};
        writer_raw(writer, *text == '|' ? "\\|" : letter);
    }
}

/* The way a Markdown page names the anchor of a heading: letters and digits in lower case, "-" for blanks. */
static void anchor(struct writer *writer, const char *heading)
{
    for (; *heading != '\0'; heading++) {
        char letter[] = {(char)tolower((unsigned char)*heading), '\0'};
        if (*heading == ' ')
            letter[0] = '-';
        if (isalnum((unsigned char)letter[0]) || letter[0] == '-' || letter[0] == '_')
            writer_raw(writer, letter);
    }
}

static void kind_cell(struct writer *writer, const struct config_key *key)
{
    if (key->section == NULL) {
        cell(writer, key->type->name);
        return;
    }
    const char *before = key->type == &type_sections     ? "a list of "
                         : key->type == &type_unordered  ? "a list of JSON paths and "
                         : key->type == &type_confidence ? "a rate in %, or "
                                                         : "";
    writer_print(writer, "%s[%s](#", before, key->section->heading);
    anchor(writer, key->section->heading);
    writer_raw(writer, ")");
}

static void range_cell(struct writer *writer, const struct config_key *key)
{
    if (key->type->write_range != NULL)
        key->type->write_range(writer, key);
}

static void default_cell(struct writer *writer, const struct config_key *key)
{
    if ((key->flags & KEY_REQUIRED) != 0)
        writer_raw(writer, "*required*");
    else if (key->fallback != NULL)
        writer_print(writer, "`%s`", key->fallback);
    else if (key->section == NULL || key->count_at != 0)
        writer_raw(writer, "none");
}

static void key_row(struct writer *writer, const struct config_key *key)
{
    writer_print(writer, "| `%s` | ", key->name);
    kind_cell(writer, key);
    writer_raw(writer, " | ");
    range_cell(writer, key);
    writer_raw(writer, " | ");
    default_cell(writer, key);
    writer_raw(writer, " | ");
    cell(writer, key->help);
    writer_raw(writer, (key->flags & KEY_RESTART) != 0 ? " *restart* |\n" : " |\n");
}

/* ---- sections ---- */

static void write_keys_of(struct writer *writer, const struct config_section *section)
{
    bool top = section == &config_file_section;
    writer_print(writer, "## %s\n\n", top ? "The file" : section->heading);
    if (section->intro != NULL)
        writer_print(writer, "%s\n\n", section->intro);
    writer_raw(writer, "| key | value | range | default | meaning |\n| --- | --- | --- | --- | --- |\n");
    for (const struct config_key *key = section->keys; key->name != NULL; key++)
        key_row(writer, key);
    writer_raw(writer, "\n");
    for (const struct config_key *key = section->keys; key->name != NULL; key++) {
        if (key->section != NULL && key->type != &type_stage_gates) /* those of the route, which come next */
            write_keys_of(writer, key->section);
    }
}

char *config_reference(void)
{
    struct writer writer = {.config = NULL};
    writer_raw(&writer, opening);
    writer_raw(&writer, smallest_file);
    writer_raw(&writer, how_to_write);
    write_keys_of(&writer, &config_file_section);
    writer_raw(&writer, before_full);
    writer_raw(&writer, full_file);
    writer_raw(&writer, "```\n");
    return writer_take(&writer);
}

char *config_manual(void)
{
    struct writer writer = {.config = NULL};
    char *page = config_reference();
    if (page == NULL)
        return NULL;
    roff_begin(&writer, "shunt.yaml", 5, "what shunt is to do: listeners, backends, routes and their plans");
    roff_heading(&writer, "DESCRIPTION");
    roff_markdown(&writer, page);
    roff_heading(&writer, "FILES");
    roff_markdown(&writer, "| file | what |\n| --- | --- |\n"
                           "| `/etc/shunt/shunt.yaml` | what shunt reads when it is told no other file |\n");
    roff_heading(&writer, "SEE ALSO");
    roff_markdown(&writer, "`shunt`(8), `shuntctl`(1)\n");
    free(page);
    return writer_take(&writer);
}
