/*
 * Every way a file can be wrong: each is refused with exactly one line, at the right place, in words that say what was
 * expected.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/faults.h"
#include "config/tree.h"

/* Five good lines; the text behind them starts in line 6. */
#define BASE(text)                                                                                                     \
    "listeners:\n  - address: 127.0.0.1:8080\nbackends:\n"                                                             \
    "  legacy: { url: \"http://127.0.0.1:3001\" }\n  new: { url: \"http://127.0.0.1:3002\" }\n" text
/* A route whose further keys start in line 8, column 5. */
#define ROUTE(text)     BASE("routes:\n  - name: r\n    " text "\n")
#define LISTENER(value) "listeners:\n  - address: " value "\nbackends:\n  legacy: { url: \"http://127.0.0.1:3001\" }\n"
#define BACKEND(value)  "listeners:\n  - address: 127.0.0.1:8080\nbackends:\n  legacy: { url: " value " }\n"

#define TEN(text) text text text text text text text text text text
#define OPEN40    TEN("[[[[") TEN("]]]]")
#define X65       TEN("xxxxxx") "xxxxx"
#define X107      TEN("xxxxxxxxxx") "xxxxxxx"
#define PATH65    TEN("/a/a/a/a/a/a") "/a/a/a/a/a"
#define STAGES5   "{ percent: 1 }, { percent: 1 }, { percent: 1 }, { percent: 1 }, { percent: 1 }, "
#define STAGES65  TEN(STAGES5) STAGES5 STAGES5 STAGES5

struct bad_file {
    const char *name;
    unsigned line;
    unsigned column;
    const char *text;
    const char *said; /* what the line says behind the place: its beginning, or a part of it after "..." */
};

/* clang-format off */
static const struct bad_file bad_files[] = {
    {"empty", 1, 1,
     "",
     "the file is empty; expected at least listeners and backends"},
    {"only_a_comment", 1, 1,
     "# nothing\n",
     "the file is empty; expected at least listeners and backends"},
    {"only_null", 1, 1,
     "~\n",
     "the file is empty; expected at least listeners and backends"},
    {"a_word", 1, 1,
     "shunt\n",
     "\"shunt\" is a single value; expected a mapping of keys"},
    {"a_list", 1, 1,
     "- listeners\n",
     "this is a list; expected a mapping of keys"},
    {"not_utf8", 2, 15,
     "listeners:\n  - address: \"\377\"\n",
     "the byte 0xff is not UTF-8; expected a file in UTF-8"},
    {"overlong_utf8", 1, 3,
     "# \300\257\n",
     "the byte 0xc0 is not UTF-8; expected a file in UTF-8"},
    {"utf8_surrogate", 1, 3,
     "# \355\240\200\n",
     "the byte 0xed is not UTF-8; expected a file in UTF-8"},
    {"control_byte", 1, 12,
     "listeners: \001\n",
     "the file holds the control character 0x01; expected text"},
    {"delete_byte", 1, 6,
     "ab: c\177\n",
     "the file holds the control character 0x7f; expected text"},
    {"utf16", 1, 1,
     "\377\376l",
     "the byte 0xff is not UTF-8; expected a file in UTF-8"},
    {"tab_indentation", 2, 1,
     "listeners:\n\t- address: 127.0.0.1:8080\n",
     "this line is indented with a tab; expected blanks"},
    {"unclosed_flow", 2, 1,
     "listeners: [ { address: 127.0.0.1:8080 }\nbackends: {}\n",
     "this is no valid YAML: did not find expected ',' or ']' (while parsing a flow sequence that starts"},
    {"unclosed_quote", 2, 1,
     "listeners: \"abc\n",
     "this is no valid YAML: found unexpected end of stream (while scanning a quoted scalar that starts"},
    {"colon_in_plain_value", 1, 13,
     "listeners: a: b\n",
     "this is no valid YAML: mapping values are not allowed in this context"},
    {"second_document", 6, 1,
     BASE("---\na: b\n"),
     "a second document starts here; expected one document in the file"},
    {"unknown_anchor", 1, 12,
     "listeners: *nothing\n",
     "listeners: the alias *nothing has no anchor &nothing before it"},
    {"alias_in_itself", 1, 17,
     "listeners: &a [ *a ]\n",
     "listeners[0]: the alias *a stands inside its own anchor; expected a value that does not contain"},
    {"alias_bomb", 4, 29,
     "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
      "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
      "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
      "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
      "e: [*d,*d,*d]\n",
     "d[7]: the aliases unfold into more than 10000 values; expected fewer or smaller aliases"},
    {"too_deep", 1, 35,
     "a: " OPEN40 "\n",
     "a[0][0][0][0]"},
    {"merge_key", 7, 1,
     BASE("workers: 1\n<<: { workers: 2 }\n"),
     "the merge key << is not supported; expected every key written out, or an alias for a whole value"},
    {"tag", 6, 10,
     BASE("workers: !!int 2\n"),
     "workers: the tag \"tag:yaml.org,2002:int\" has no meaning here; expected a value without one"},
    {"custom_tag", 6, 9,
     BASE("limits: !shell { header_count: 100 }\n"),
     "limits: the tag \"!shell\" has no meaning here; expected a value without one"},
    {"list_as_key", 6, 3,
     BASE("? [a, b]\n: c\n"),
     "this key is no plain name; expected NAME: VALUE"},
    {"line_break_in_value", 6, 21,
     BASE("state: { directory: \"/var\\nlib\" }\n"),
     "state.directory: the value holds a line break; expected one line of text"},
    {"control_byte_in_value", 6, 21,
     BASE("state: { directory: \"/var\\tlib\" }\n"),
     "state.directory: the value holds a control character; expected one line of text"},
    {"control_byte_in_key", 6, 1,
     BASE("\"work\\ners\": 1\n"),
     "the key \"work\\x0aers\" holds a line break; expected a plain name"},
    {"literal_block", 7, 14,
     BASE("state:\n  directory: |\n    /var/lib\n"),
     "state.directory: the value holds a line break; expected one line of text"},
    {"unknown_key", 6, 1,
     BASE("worker: 2\n"),
     "the key \"worker\" is unknown; did you mean workers?"},
    {"unknown_key_swapped_letters", 6, 1,
     BASE("timeuots: { idle: 1s }\n"),
     "the key \"timeuots\" is unknown; did you mean timeouts?"},
    {"unknown_key_far_away", 6, 1,
     BASE("frobnicate: 1\n"),
     "the key \"frobnicate\" is unknown; expected one of listeners, admin, workers, access_log, timeouts,"},
    {"key_of_another_section", 6, 1,
     BASE("stages: [ { percent: 10 } ]\n"),
     "the key \"stages\" does not belong here; expected it in routes[]"},
    {"key_of_top_in_route", 6, 22,
     BASE("routes: [ { name: r, timeouts: { idle: 1s } } ]\n"),
     "routes[0]: the key \"timeouts\" does not belong here; expected it in the file"},
    {"duplicate_key", 7, 1,
     BASE("workers: 1\nworkers: 2\n"),
     "the key \"workers\" stands here a second time; expected it once, as in line 6"},
    {"duplicate_backend", 5, 3,
     "listeners:\n"
      "  - address: 127.0.0.1:8080\n"
      "backends:\n"
      "  legacy: { url: \"http://127.0.0.1:1\" }\n"
      "  legacy: { url: \"http://127.0.0.1:2\" }\n",
     "backends: the key \"legacy\" stands here a second time; expected it once, as in line 4"},
    {"no_listeners", 1, 1,
     "backends:\n  legacy: { url: \"http://127.0.0.1:3001\" }\n",
     "listeners: this key is missing; expected a list of mappings"},
    {"no_backends", 1, 1,
     "listeners:\n  - address: 127.0.0.1:8080\n",
     "backends: this key is missing; expected a mapping of names to backends"},
    {"no_backends_for_routes", 1, 1,
     "listeners:\n  - address: 127.0.0.1:8080\nroutes: [ { name: a, match: { path: /a }, new: b }, { name: b } ]\n",
     "backends: this key is missing; expected a mapping of names to backends"},
    {"null_backends", 3, 10,
     "listeners:\n  - address: 127.0.0.1:8080\nbackends:\n",
     "backends: there is no value; expected a mapping of names to backends, such as legacy: { url:"},
    {"empty_listeners", 1, 12,
     "listeners: []\nbackends:\n  legacy: { url: \"http://127.0.0.1:3001\" }\n",
     "listeners: the list has 0 items; expected 1 to 64"},
    {"listeners_mapping", 1, 12,
     "listeners: { address: 127.0.0.1:8080 }\n"
      "backends:\n"
      "  legacy: { url: \"http://127.0.0.1:3001\" }\n",
     "listeners: this is a mapping; expected a list"},
    {"listener_word", 1, 14,
     "listeners: [ 127.0.0.1:8080 ]\n"
      "backends:\n"
      "  legacy: { url: \"http://127.0.0.1:3001\" }\n",
     "listeners[0]: \"127.0.0.1:8080\" is a single value; expected a mapping of keys"},
    {"listener_without_address", 2, 5,
     "listeners:\n"
      "  - protocols: [http/1.1]\n"
      "backends:\n"
      "  legacy: { url: \"http://127.0.0.1:3001\" }\n",
     "listeners[0].address: this key is missing; expected an address"},
    {"same_listener_twice", 3, 14,
     "listeners:\n"
      "  - address: 127.0.0.1:8080\n"
      "  - address: 127.0.0.1:8080\n"
      "backends:\n"
      "  legacy: { url: \"http://127.0.0.1:3001\" }\n",
     "listeners[1].address: \"127.0.0.1:8080\" is the address of an earlier listener too; expected another"},
    {"listener_unknown_protocol", 3, 17,
     "listeners:\n"
      "  - address: 127.0.0.1:8080\n"
      "    protocols: [spdy]\n"
      "backends:\n"
      "  legacy: { url: \"http://127.0.0.1:3001\" }\n",
     "listeners[0].protocols[0]: \"spdy\" is no known protocol; expected h2 or http/1.1"},
    {"listener_no_protocol", 3, 16,
     "listeners:\n"
      "  - address: 127.0.0.1:8080\n"
      "    protocols: []\n"
      "backends:\n"
      "  legacy: { url: \"http://127.0.0.1:3001\" }\n",
     "listeners[0].protocols: the list is empty; expected [h2, http/1.1], or one of them"},
    {"address_without_port", 2, 14,
     LISTENER("127.0.0.1"),
     "listeners[0].address: 127.0.0.1: the port is missing; expected HOST:PORT, [IPV6]:PORT or unix:/PATH"},
    {"address_without_host", 2, 14,
     LISTENER("\":8080\""),
     "listeners[0].address: \":8080\": the host is missing; expected HOST:PORT, [IPV6]:PORT or unix:/PATH"},
    {"address_bad_port", 2, 14,
     LISTENER("127.0.0.1:http"),
     "listeners[0].address: \"127.0.0.1:http\": the port is no number from 0 to 65535; expected HOST:PORT,"},
    {"address_port_too_large", 2, 14,
     LISTENER("127.0.0.1:65536"),
     "listeners[0].address: \"127.0.0.1:65536\": the port is no number from 0 to 65535; expected HOST:PORT,"},
    {"address_bad_ipv4", 2, 14,
     LISTENER("127.0.0.256:8080"),
     "listeners[0].address: \"127.0.0.256:8080\": the host is no IPv4 address; expected HOST:PORT,"},
    {"address_ipv6_without_brackets", 2, 14,
     LISTENER("\"::1:8080\""),
     "listeners[0].address: \"::1:8080\": an IPv6 address must stand between [ and ]; expected HOST:PORT,"},
    {"address_bad_ipv6", 2, 14,
     LISTENER("\"[::g]:8080\""),
     "listeners[0].address: \"[::g]:8080\": between [ and ] stands no IPv6 address; expected HOST:PORT,"},
    {"address_unclosed_bracket", 2, 14,
     LISTENER("\"[::1:8080\""),
     "listeners[0].address: \"[::1:8080\": the ] behind the IPv6 address is missing; expected HOST:PORT,"},
    {"address_behind_bracket", 2, 14,
     LISTENER("\"[::1]8080\""),
     "listeners[0].address: \"[::1]8080\": only :PORT may follow the ]; expected HOST:PORT, [IPV6]:PORT or"},
    {"address_bad_name", 2, 14,
     LISTENER("\"my host:8080\""),
     "listeners[0].address: \"my host:8080\": the host is neither a name nor an address; expected"},
    {"address_hyphen_at_label_end", 2, 14,
     LISTENER("a-.example:8080"),
     "listeners[0].address: \"a-.example:8080\": the host is neither a name nor an address; expected"},
    {"address_with_scheme", 2, 14,
     LISTENER("http://127.0.0.1:8080"),
     "listeners[0].address: \"http://127.0.0.1:8080\": an address has no scheme; expected HOST:PORT,"},
    {"address_relative_unix", 2, 14,
     LISTENER("unix:run/shunt.sock"),
     "listeners[0].address: \"unix:run/shunt.sock\": the path of a unix socket must start with /; expected"},
    {"address_long_unix", 2, 14,
     LISTENER("unix:/" X107),
     "...\": the path of a unix socket may have at most 107 bytes; expected HOST:PORT, [IPV6]:POR"},
    {"address_null", 2, 13,
     LISTENER(""),
     "listeners[0].address: there is no value; expected HOST:PORT, [IPV6]:PORT or unix:/PATH"},
    {"address_list", 2, 14,
     LISTENER("[ 127.0.0.1:8080 ]"),
     "listeners[0].address: this is a list; expected HOST:PORT, [IPV6]:PORT or unix:/PATH"},
    {"admin_without_address", 6, 8,
     BASE("admin: {}\n"),
     "admin.address: this key is missing; expected an address"},
    {"admin_word", 6, 8,
     BASE("admin: 127.0.0.1:9901\n"),
     "admin: \"127.0.0.1:9901\" is a single value; expected a mapping of keys"},
    {"admin_beyond_loopback", 6, 19,
     BASE("admin: { address: \"0.0.0.0:9901\" }\n"),
     "admin.address: \"0.0.0.0:9901\" can be reached from other machines and there is no token_file;"},
    {"admin_beyond_loopback_v6", 6, 19,
     BASE("admin: { address: \"[::]:9901\" }\n"),
     "admin.address: \"[::]:9901\" can be reached from other machines and there is no token_file; expected"},
    {"admin_beyond_loopback_name", 6, 19,
     BASE("admin: { address: \"shunt.internal:9901\" }\n"),
     "admin.address: \"shunt.internal:9901\" can be reached from other machines and there is no token_file;"},
    {"admin_token_file_missing", 6, 47,
     BASE("admin: { address: 127.0.0.1:9901, token_file: /nonexistent/token }\n"),
     "admin.token_file: the file \"/nonexistent/token\" cannot be read: No such file or directory"},
    {"admin_token_file_is_device", 6, 47,
     BASE("admin: { address: 127.0.0.1:9901, token_file: /dev/null }\n"),
     "admin.token_file: the file \"/dev/null\" cannot be read: it is no regular file; expected a file with one line"},
    {"admin_token_file_is_folder", 6, 47,
     BASE("admin: { address: 127.0.0.1:9901, token_file: / }\n"),
     "admin.token_file: the file \"/\" cannot be read: it is no regular file; expected a file with one line"},
    {"admin_token_in_file", 6, 35,
     BASE("admin: { address: 127.0.0.1:9901, token: hunter2 }\n"),
     "admin: the key \"token\" is unknown; expected one of address, token_file"},
    {"workers_zero", 6, 10,
     BASE("workers: 0\n"),
     "workers: 0 is too small; expected a whole number from 1 to 256, or auto"},
    {"workers_too_many", 6, 10,
     BASE("workers: 257\n"),
     "workers: 257 is too large; expected a whole number from 1 to 256, or auto"},
    {"workers_word", 6, 10,
     BASE("workers: many\n"),
     "workers: \"many\" cannot be read; expected a whole number from 1 to 256, or auto"},
    {"workers_negative", 6, 10,
     BASE("workers: -1\n"),
     "workers: \"-1\" cannot be read; expected a whole number from 1 to 256, or auto"},
    {"workers_decimal", 6, 10,
     BASE("workers: 1.5\n"),
     "workers: 1.5 cannot be read; expected a whole number from 1 to 256, or auto"},
    {"workers_exponent", 6, 10,
     BASE("workers: 1e1\n"),
     "workers: 1e1 cannot be read; expected a whole number from 1 to 256, or auto"},
    {"workers_hex", 6, 10,
     BASE("workers: 0x10\n"),
     "workers: 0x10 cannot be read; expected a whole number from 1 to 256, or auto"},
    {"workers_huge", 6, 10,
     BASE("workers: 99999999999999999999999\n"),
     "workers: 99999999999999999999999 is too large; expected a whole number from 1 to 256, or auto"},
    {"access_log_word", 6, 13,
     BASE("access_log: yes\n"),
     "access_log: \"yes\" is a single value; expected a mapping of keys, or off"},
    {"access_log_above_all", 6, 23,
     BASE("access_log: { sample: 100.01% }\n"),
     "access_log.sample: 100.01% is too large; expected a percentage from 0% to 100%, with up to two"},
    {"timeout_without_unit", 6, 19,
     BASE("timeouts: { idle: 60 }\n"),
     "timeouts.idle: 60 has no unit; expected a duration from 1ms to 1d, such as 1s500ms (with d, h, m, s"},
    {"timeout_unknown_unit", 6, 19,
     BASE("timeouts: { idle: 60sec }\n"),
     "timeouts.idle: 60sec cannot be read; expected a duration from 1ms to 1d, such as 1s500ms (with d,"},
    {"timeout_decimal", 6, 19,
     BASE("timeouts: { idle: 1.5s }\n"),
     "timeouts.idle: 1.5s cannot be read; expected a duration from 1ms to 1d, such as 1s500ms (with d, h,"},
    {"timeout_units_out_of_order", 6, 19,
     BASE("timeouts: { idle: 30s1m }\n"),
     "timeouts.idle: 30s1m cannot be read; expected a duration from 1ms to 1d, such as 1s500ms (with d,"},
    {"timeout_unit_twice", 6, 19,
     BASE("timeouts: { idle: 1m1m }\n"),
     "timeouts.idle: 1m1m cannot be read; expected a duration from 1ms to 1d, such as 1s500ms (with d, h,"},
    {"timeout_half_without_unit", 6, 19,
     BASE("timeouts: { idle: 1m30 }\n"),
     "timeouts.idle: 1m30 has no unit; expected a duration from 1ms to 1d, such as 1s500ms (with d, h, m,"},
    {"timeout_blank", 6, 19,
     BASE("timeouts: { idle: 1 m }\n"),
     "timeouts.idle: \"1 m\" cannot be read; expected a duration from 1ms to 1d, such as 1s500ms (with d,"},
    {"timeout_zero", 6, 22,
     BASE("timeouts: { connect: 0 }\n"),
     "timeouts.connect: 0 is too small; expected a duration from 1ms to 1h, such as 1s500ms (with d, h,"},
    {"timeout_too_long", 6, 22,
     BASE("timeouts: { connect: 2h }\n"),
     "timeouts.connect: 2h is too large; expected a duration from 1ms to 1h, such as 1s500ms (with d, h,"},
    {"timeout_overflow", 6, 19,
     BASE("timeouts: { idle: 99999999999999d }\n"),
     "timeouts.idle: 99999999999999d is too large; expected a duration from 1ms to 1d, such as 1s500ms"},
    {"timeout_negative", 6, 19,
     BASE("timeouts: { idle: -1s }\n"),
     "timeouts.idle: \"-1s\" cannot be read; expected a duration from 1ms to 1d, such as 1s500ms (with d,"},
    {"timeout_list", 6, 19,
     BASE("timeouts: { idle: [1s] }\n"),
     "timeouts.idle: this is a list; expected a duration from 1ms to 1d, such as 1s500ms (with d, h, m, s"},
    {"timeout_null", 6, 19,
     BASE("timeouts: { idle: }\n"),
     "timeouts.idle: there is no value; expected a duration from 1ms to 1d, such as 1s500ms (with d, h,"},
    {"timeouts_list", 6, 11,
     BASE("timeouts: [ 1s ]\n"),
     "timeouts: this is a list; expected a mapping of keys"},
    {"size_without_unit", 6, 25,
     BASE("limits: { header_bytes: 32768 }\n"),
     "limits.header_bytes: 32768 has no unit; expected a size from 1KiB to 1MiB, such as 64KiB (with B,"},
    {"size_short_unit", 6, 25,
     BASE("limits: { header_bytes: 32K }\n"),
     "limits.header_bytes: 32K cannot be read; expected a size from 1KiB to 1MiB, such as 64KiB (with B,"},
    {"size_decimal", 6, 25,
     BASE("limits: { header_bytes: 1.5MiB }\n"),
     "limits.header_bytes: 1.5MiB cannot be read; expected a size from 1KiB to 1MiB, such as 64KiB (with"},
    {"size_too_small", 6, 25,
     BASE("limits: { header_bytes: 1023B }\n"),
     "limits.header_bytes: 1023B is too small; expected a size from 1KiB to 1MiB, such as 64KiB (with B,"},
    {"size_too_large", 6, 25,
     BASE("limits: { header_bytes: 2MiB }\n"),
     "limits.header_bytes: 2MiB is too large; expected a size from 1KiB to 1MiB, such as 64KiB (with B,"},
    {"drain_min_above_drain", 6, 36,
     BASE("timeouts: { drain: 10s, drain_min: 15s }\n"),
     "timeouts.drain_min: it would serve on for 15s, and break off what is left after 10s; expected drain_min up to drain, 10s"},
    {"drain_min_above_the_default", 6, 24,
     BASE("timeouts: { drain_min: 31s }\n"),
     "timeouts.drain_min: it would serve on for 31s, and break off what is left after 30s; expected drain_min up to drain, 30s"},
    {"drain_min_as_a_number", 6, 24,
     BASE("timeouts: { drain_min: 5 }\n"),
     "timeouts.drain_min: 5 has no unit; expected a duration from 0s to 1d, such as"},
    {"uri_larger_than_head", 6, 22,
     BASE("limits: { uri_bytes: 64KiB }\n"),
     "limits.uri_bytes: a request target of 65536 bytes does not fit a head of 32768; expected uri_bytes"},
    {"header_count_too_small", 6, 25,
     BASE("limits: { header_count: 7 }\n"),
     "limits.header_count: 7 is too small; expected a whole number from 8 to 10000"},
    {"connections_zero", 6, 24,
     BASE("limits: { connections: 0 }\n"),
     "limits.connections: 0 is too small; expected a whole number from 1 to 1000000"},
    {"flag_word", 6, 17,
     BASE("headers: { via: maybe }\n"),
     "headers.via: \"maybe\" is none of its words; expected true, false, on or off"},
    {"choice_not_allowed_here", 6, 29,
     BASE("headers: { x_forwarded_for: keep }\n"),
     "headers.x_forwarded_for: \"keep\" is none of its words; expected append, set or off"},
    {"choice_near_miss", 6, 26,
     BASE("headers: { x_request_id: kepe }\n"),
     "headers.x_request_id: \"kepe\" is none of its words; expected set, keep or off; did you mean keep?"},
    {"choice_mapping", 6, 26,
     BASE("headers: { x_request_id: {} }\n"),
     "headers.x_request_id: this is a mapping; expected set, keep or off"},
    {"state_without_a_place", 6, 8,
     BASE("state: {}\n"),
     "state.directory: there is no place to keep state in; expected directory: PATH, or redis, or both"},
    {"state_directory_is_missing_beside_a_slip", 6, 10,
     BASE("state: { rediss: { url: \"redis://127.0.0.1\", group: a } }\n"),
     "state: the key \"rediss\" is unknown; did you mean redis?"},
    {"state_empty_directory", 6, 21,
     BASE("state: { directory: \"\" }\n"),
     "state.directory: \"\" cannot be used here; expected a text that is not empty"},
    {"backends_empty", 3, 11,
     "listeners:\n  - address: 127.0.0.1:8080\nbackends: {}\n",
     "backends: there is no backend named legacy; expected one, as it answers requests without a route"},
    {"backends_list", 3, 11,
     "listeners:\n  - address: 127.0.0.1:8080\nbackends: [ a ]\n",
     "backends: this is a list; expected a mapping of names to backends, such as legacy: { url:"},
    {"backends_without_legacy", 4, 3,
     "listeners:\n"
      "  - address: 127.0.0.1:8080\n"
      "backends:\n"
      "  new: { url: \"http://127.0.0.1:3002\" }\n",
     "backends: there is no backend named legacy; expected one, as it answers requests without a route"},
    {"backend_word", 4, 11,
     "listeners:\n"
      "  - address: 127.0.0.1:8080\n"
      "backends:\n"
      "  legacy: http://127.0.0.1:3001\n",
     "backends.legacy: \"http://127.0.0.1:3001\" is a single value; expected a mapping of keys"},
    {"backend_without_url", 4, 11,
     "listeners:\n  - address: 127.0.0.1:8080\nbackends:\n  legacy: { queue: 10 }\n",
     "backends.legacy.url: this key is missing; expected a URL"},
    {"backend_bad_name", 5, 3,
     "listeners:\n"
      "  - address: 127.0.0.1:8080\n"
      "backends:\n"
      "  legacy: { url: \"http://127.0.0.1:1\" }\n"
      "  \"new one\": { url: \"http://127.0.0.1:2\" }\n",
     "backends.new one: \"new one\" is no name for a backend; expected 1 to 64 letters, digits, \"_\", \".\""},
    {"backend_named_dash", 5, 3,
     "listeners:\n"
      "  - address: 127.0.0.1:8080\n"
      "backends:\n"
      "  legacy: { url: \"http://127.0.0.1:1\" }\n"
      "  \"-\": { url: \"http://127.0.0.1:2\" }\n",
     "backends.-: \"-\" is no name for a backend; expected 1 to 64 letters, digits, \"_\", \".\" and \"-\", but"},
    {"url_without_scheme", 4, 18,
     BACKEND("127.0.0.1:3001"),
     "backends.legacy.url: \"127.0.0.1:3001\": the scheme is missing or unknown; expected http://HOST:PORT,"},
    {"url_unknown_scheme", 4, 18,
     BACKEND("\"ftp://127.0.0.1\""),
     "backends.legacy.url: \"ftp://127.0.0.1\": the scheme is missing or unknown; expected"},
    {"url_path", 4, 18,
     BACKEND("\"http://127.0.0.1:3001/api\""),
     "backends.legacy.url: \"http://127.0.0.1:3001/api\": a path is refused: requests are forwarded with"},
    {"url_query", 4, 18,
     BACKEND("\"http://127.0.0.1:3001?a=b\""),
     "backends.legacy.url: the URL: a query is refused: requests are forwarded with the query they came"},
    {"url_fragment", 4, 18,
     BACKEND("\"http://127.0.0.1:3001#a\""),
     "backends.legacy.url: \"http://127.0.0.1:3001#a\": a fragment has no meaning in the URL of a backend;"},
    {"url_user", 4, 18,
     BACKEND("\"http://user:secret@127.0.0.1:3001\""),
     "backends.legacy.url: the URL: user info in a URL is refused: credentials belong to the client's"},
    {"url_port_zero", 4, 18,
     BACKEND("\"http://127.0.0.1:0\""),
     "backends.legacy.url: \"http://127.0.0.1:0\": port 0 cannot be connected to; expected"},
    {"url_empty_port", 4, 18,
     BACKEND("\"http://127.0.0.1:\""),
     "backends.legacy.url: \"http://127.0.0.1:\": the port is no number from 0 to 65535; expected"},
    {"url_no_host", 4, 18,
     BACKEND("\"http://:3001\""),
     "backends.legacy.url: \"http://:3001\": the host is missing; expected http://HOST:PORT,"},
    {"url_bad_host", 4, 18,
     BACKEND("\"http://my_host!:3001\""),
     "backends.legacy.url: \"http://my_host!:3001\": the host is neither a name nor an address; expected"},
    {"url_ipv6_without_brackets", 4, 18,
     BACKEND("\"http://::1:3001\""),
     "backends.legacy.url: \"http://::1:3001\": an IPv6 address must stand between [ and ]; expected"},
    {"url_unix_relative", 4, 18,
     BACKEND("\"unix:backend.sock\""),
     "backends.legacy.url: \"unix:backend.sock\": the path of a unix socket must start with /; expected"},
    {"url_list", 4, 18,
     BACKEND("[ \"http://127.0.0.1:3001\" ]"),
     "backends.legacy.url: this is a list; expected http://HOST:PORT, https://HOST:PORT (an IPv6 address "
     "between [ and ]) or unix:/PATH"},
    {"variable_not_set", 6, 21,
     BASE("state: { directory: \"${SHUNT_TEST_NOT_SET}\" }\n"),
     "state.directory: the environment variable \"SHUNT_TEST_NOT_SET\" is not set; expected it in the"},
    {"variable_without_name", 6, 21,
     BASE("state: { directory: \"${}\" }\n"),
     "state.directory: ${ is not followed by a variable's name and }; expected ${NAME}, or $${ for the"},
    {"variable_not_closed", 6, 21,
     BASE("state: { directory: \"${HOME\" }\n"),
     "state.directory: ${ is not followed by a variable's name and }; expected ${NAME}, or $${ for the"},
    {"variable_with_default", 6, 21,
     BASE("state: { directory: \"${HOME:-/tmp}\" }\n"),
     "state.directory: ${ is not followed by a variable's name and }; expected ${NAME}, or $${ for the"},
    {"variable_starts_with_digit", 6, 21,
     BASE("state: { directory: \"${1A}\" }\n"),
     "state.directory: ${ is not followed by a variable's name and }; expected ${NAME}, or $${ for the"},
    {"secret_file_missing", 6, 29,
     BASE("state: { directory: { file: /nonexistent/secret } }\n"),
     "state.directory: the file \"/nonexistent/secret\" cannot be read: No such file or directory"},
    {"secret_file_is_device", 6, 29,
     BASE("state: { directory: { file: /dev/null } }\n"),
     "state.directory: the file \"/dev/null\" cannot be read: it is no regular file; expected a file with one line"},
    {"routes_mapping", 6, 9,
     BASE("routes: { orders: {} }\n"),
     "routes: this is a mapping; expected a list"},
    {"routes_null", 6, 8,
     BASE("routes:\n"),
     "routes: there is no value; expected a list"},
    {"route_word", 6, 11,
     BASE("routes: [ orders ]\n"),
     "routes[0]: \"orders\" is a single value; expected a mapping of keys"},
    {"route_without_name", 6, 11,
     BASE("routes: [ { percent: 10 } ]\n"),
     "routes[0].name: this key is missing; expected a name"},
    {"route_name_with_blank", 6, 19,
     BASE("routes: [ { name: my route } ]\n"),
     "routes[0].name: \"my route\" cannot be used here; expected a name of 1 to 64 letters, digits, \"_\","},
    {"route_name_dash", 6, 19,
     BASE("routes: [ { name: \"-\" } ]\n"),
     "routes[0].name: \"-\" cannot be used here; expected a name of 1 to 64 letters, digits, \"_\", \".\" and"},
    {"route_name_empty", 6, 19,
     BASE("routes: [ { name: \"\" } ]\n"),
     "routes[0].name: \"\" cannot be used here; expected a name of 1 to 64 letters, digits, \"_\", \".\" and"},
    {"route_name_long", 6, 19,
     BASE("routes: [ { name: " X65 " } ]\n"),
     "...\" cannot be used here; expected a name of 1 to 64 letters, digits, \"_\", \".\" and \"-\", bu"},
    {"route_name_twice", 8, 13,
     BASE("routes:\n"
      "  - { name: a, match: { path: /a } }\n"
      "  - { name: a, match: { path: /b } }\n"),
     "routes[1].name: \"a\" is the name of the route in line 7 too; expected another one"},
    {"route_unknown_backend", 8, 10,
     ROUTE("new: newer"),
     "routes[0].new: there is no backend named \"newer\"; expected one of those under backends; did you"},
    {"route_near_backend", 8, 10,
     ROUTE("new: nwe"),
     "routes[0].new: there is no backend named \"nwe\"; expected one of those under backends; did you mean"},
    {"route_backend_list", 8, 13,
     ROUTE("legacy: [ legacy ]"),
     "routes[0].legacy: this is a list; expected the name of a backend"},
    {"route_without_new", 6, 5,
     "listeners:\n"
      "  - address: 127.0.0.1:8080\n"
      "backends:\n"
      "  legacy: { url: \"http://127.0.0.1:3001\" }\n"
      "routes:\n"
      "  - name: r\n",
     "routes[0].new: there is no backend named new; expected one under backends, or the name of another"},
    {"match_path_relative", 8, 20,
     ROUTE("match: { path: orders }"),
     "routes[0].match.path: \"orders\": a path starts with /; expected a path such as /orders, /orders/* or"},
    {"match_path_query", 8, 20,
     ROUTE("match: { path: \"/orders?a=b\" }"),
     "routes[0].match.path: \"/orders?a=b\": a query is matched with the key query, not in the path;"},
    {"match_path_blank", 8, 20,
     ROUTE("match: { path: \"/my orders\" }"),
     "routes[0].match.path: \"/my orders\": a path holds no blanks, control bytes, # or bytes beyond ASCII"},
    {"match_path_fragment", 8, 20,
     ROUTE("match: { path: \"/a#b\" }"),
     "routes[0].match.path: \"/a#b\": a path holds no blanks, control bytes, # or bytes beyond ASCII (write"},
    {"match_path_non_ascii", 8, 20,
     ROUTE("match: { path: \"/caf\303\251\" }"),
     "routes[0].match.path: \"/caf\303\251\": a path holds no blanks, control bytes, # or bytes beyond ASCII"},
    {"match_path_star_in_segment", 8, 20,
     ROUTE("match: { path: /orders* }"),
     "routes[0].match.path: \"/orders*\": * stands for a whole segment, not for a part of one; expected a"},
    {"match_path_rest_in_the_middle", 8, 20,
     ROUTE("match: { path: /**/orders }"),
     "routes[0].match.path: \"/**/orders\": ** stands for the rest, so it can only be the last segment;"},
    {"match_path_three_stars", 8, 20,
     ROUTE("match: { path: /*** }"),
     "routes[0].match.path: \"/***\": * stands for a whole segment, not for a part of one; expected a path"},
    {"match_path_many_segments", 8, 20,
     ROUTE("match: { path: " PATH65 " }"),
     "...\": a path pattern may have at most 64 segments; expected a path such as /orders, /order"},
    {"match_path_list", 8, 20,
     ROUTE("match: { path: [ /a, /b ] }"),
     "routes[0].match.path: this is a list; expected a path such as /orders, /orders/* or /orders/**"},
    {"match_host_port", 8, 20,
     ROUTE("match: { host: \"example.com:80\" }"),
     "routes[0].match.host: \"example.com:80\": a host is matched without its port; expected a host such as"},
    {"match_host_star", 8, 20,
     ROUTE("match: { host: \"api.*.com\" }"),
     "routes[0].match.host: \"api.*.com\": * can only stand for whole labels at the front; expected a host"},
    {"match_host_all", 8, 20,
     ROUTE("match: { host: \"*\" }"),
     "routes[0].match.host: \"*\": * can only stand for whole labels at the front; expected a host such as"},
    {"match_host_empty_label", 8, 20,
     ROUTE("match: { host: a..b }"),
     "routes[0].match.host: \"a..b\": this is no host name; expected a host such as api.example.com or"},
    {"match_host_bad_ipv6", 8, 20,
     ROUTE("match: { host: \"[::g]\" }"),
     "routes[0].match.host: \"[::g]\": this is no IPv6 address in [ ], and a host is matched without its"},
    {"match_methods_lower_case", 8, 24,
     ROUTE("match: { methods: [get] }"),
     "routes[0].match.methods[0]: \"get\" is not in upper case, and methods are compared exactly; expected"},
    {"match_methods_word", 8, 23,
     ROUTE("match: { methods: GET }"),
     "routes[0].match.methods: \"GET\" is a single value; expected a list of methods such as [GET, HEAD],"},
    {"match_methods_empty", 8, 23,
     ROUTE("match: { methods: [] }"),
     "routes[0].match.methods: the list is empty; expected a list of methods such as [GET, HEAD], or"},
    {"match_methods_twice", 8, 29,
     ROUTE("match: { methods: [GET, GET] }"),
     "routes[0].match.methods[1]: \"GET\" stands here twice; expected it once"},
    {"match_methods_connect", 8, 24,
     ROUTE("match: { methods: [CONNECT] }"),
     "routes[0].match.methods[0]: \"CONNECT\" is refused by shunt in every request; expected a method such"},
    {"match_methods_not_a_token", 8, 24,
     ROUTE("match: { methods: [\"GE T\"] }"),
     "routes[0].match.methods[0]: \"GE T\" is no method; expected a method such as GET"},
    {"match_methods_all_and_one", 8, 23,
     ROUTE("match: { methods: [\"*\", GET] }"),
     "routes[0].match.methods: \"*\" already names all methods; expected it alone, or only the others"},
    {"match_header_name", 8, 25,
     ROUTE("match: { headers: { \"X Y\": a } }"),
     "routes[0].match.headers.X Y: the name \"X Y\" holds other characters than letters, digits and"},
    {"match_header_two_spellings", 8, 33,
     ROUTE("match: { headers: { X-A: a, x-a: b } }"),
     "routes[0].match.headers: the header \"x-a\" stands here in two spellings; expected it once"},
    {"match_header_no_values", 8, 30,
     ROUTE("match: { headers: { X-A: [] } }"),
     "routes[0].match.headers.X-A: the list is empty, so nothing would match; expected a value, a list of"},
    {"match_header_null", 8, 30,
     ROUTE("match: { headers: { X-A: } }"),
     "routes[0].match.headers.X-A: there is no value; expected a value, a list of values, or \"*\" for any"},
    {"match_query_mapping_value", 8, 26,
     ROUTE("match: { query: { a: { b: c } } }"),
     "routes[0].match.query.a: this is a mapping; expected a value, a list of values, or \"*\" for any value"},
    {"match_unknown_key", 8, 14,
     ROUTE("match: { paths: /a }"),
     "routes[0].match: the key \"paths\" is unknown; did you mean path?"},
    {"sticky_word", 8, 13,
     ROUTE("sticky: client_ip"),
     "routes[0].sticky: \"client_ip\" is a single value; expected a list such as [ { header: X-User-Id },"},
    {"sticky_empty", 8, 13,
     ROUTE("sticky: []"),
     "routes[0].sticky: the list has 0 items; expected 1 to 8"},
    {"sticky_unknown_word", 8, 15,
     ROUTE("sticky: [ clientip ]"),
     "routes[0].sticky[0]: \"clientip\" decides no cohort; expected { header: NAME }, { cookie: NAME }, {"},
    {"sticky_unknown_key", 8, 15,
     ROUTE("sticky: [ { body: a } ]"),
     "routes[0].sticky[0]: a mapping decides no cohort; expected { header: NAME }, { cookie: NAME }, {"},
    {"sticky_two_keys", 8, 15,
     ROUTE("sticky: [ { header: A, cookie: b } ]"),
     "routes[0].sticky[0]: a mapping decides no cohort; expected { header: NAME }, { cookie: NAME }, {"},
    {"sticky_bad_header", 8, 25,
     ROUTE("sticky: [ { header: \"A B\" } ]"),
     "routes[0].sticky[0]: \"A B\" cannot be a name of a header; expected letters, digits and"},
    {"sticky_behind_client_ip", 8, 26,
     ROUTE("sticky: [ client_ip, { header: A } ]"),
     "routes[0].sticky[1]: this is never looked at, as client_ip and random are always there; expected"},
    {"sticky_random_and_client_ip", 8, 23,
     ROUTE("sticky: [ random, client_ip ]"),
     "routes[0].sticky[1]: this is never looked at, as client_ip and random are always there; expected"},
    {"sticky_twice", 8, 30,
     ROUTE("sticky: [ { header: A }, { header: a } ]"),
     "routes[0].sticky[1]: this stands here twice; expected it once"},
    {"assign_without_cookie", 8, 13,
     ROUTE("assign: { max_age: 1d }"),
     "routes[0].assign.cookie: this key is missing; expected a name"},
    {"assign_bad_cookie", 8, 23,
     ROUTE("assign: { cookie: \"a=b\" }"),
     "routes[0].assign.cookie: \"a=b\" cannot be used here; expected letters, digits and !#$%&'*+-.^_`|~"},
    {"override_without_backend", 8, 18,
     ROUTE("overrides: [ { header: { A: b } } ]"),
     "routes[0].overrides[0]: the key backend is missing; expected legacy or new"},
    {"override_without_place", 8, 18,
     ROUTE("overrides: [ { backend: new } ]"),
     "routes[0].overrides[0]: the rule names none of header, cookie and query; expected exactly one"},
    {"override_two_places", 8, 18,
     ROUTE("overrides: [ { header: { A: b }, cookie: { c: d }, backend: new } ]"),
     "routes[0].overrides[0]: the rule names several of header, cookie and query; expected exactly one"},
    {"override_two_names", 8, 28,
     ROUTE("overrides: [ { header: { A: b, C: d }, backend: new } ]"),
     "routes[0].overrides[0].header: there are 2 names; expected one, and another rule for another name"},
    {"override_unknown_backend", 8, 47,
     ROUTE("overrides: [ { header: { A: b }, backend: newer } ]"),
     "routes[0].overrides[0].backend: \"newer\" is no side of this route; expected legacy or new"},
    {"override_unknown_key", 8, 20,
     ROUTE("overrides: [ { headers: { A: b }, backend: new } ]"),
     "routes[0].overrides[0]: the key \"headers\" is unknown; expected { header: { NAME: VALUE }, backend:"},
    {"override_word", 8, 18,
     ROUTE("overrides: [ new ]"),
     "routes[0].overrides[0]: \"new\" is a single value; expected { header: { NAME: VALUE }, backend: new }"},
    {"stages_empty", 8, 13,
     ROUTE("stages: []"),
     "routes[0].stages: the list has 0 items; expected 1 to 64"},
    {"stages_too_many", 8, 13,
     ROUTE("stages: [ " STAGES65 "]"),
     "routes[0].stages: the list has 65 items; expected 1 to 64"},
    {"stage_without_percent", 8, 15,
     ROUTE("stages: [ { name: a } ]"),
     "routes[0].stages[0].percent: this key is missing; expected a percentage"},
    {"stage_percent_above_all", 8, 26,
     ROUTE("stages: [ { percent: 101% } ]"),
     "routes[0].stages[0].percent: 101% is too large; expected a percentage from 0% to 100%, with up to"},
    {"stage_percent_three_decimals", 8, 26,
     ROUTE("stages: [ { percent: 0.001% } ]"),
     "routes[0].stages[0].percent: 0.001% has too many decimals; expected a percentage from 0% to 100%,"},
    {"stage_percent_negative", 8, 26,
     ROUTE("stages: [ { percent: -1 } ]"),
     "routes[0].stages[0].percent: \"-1\" cannot be read; expected a percentage from 0% to 100%, with up to"},
    {"stage_percent_word", 8, 26,
     ROUTE("stages: [ { percent: half } ]"),
     "routes[0].stages[0].percent: \"half\" cannot be read; expected a percentage from 0% to 100%, with up"},
    {"stage_percent_decreases", 10, 20,
     ROUTE("stages:\n      - { percent: 50 }\n      - { percent: 25 }"),
     "routes[0].stages[1].percent: the share is smaller than that of the stage before; expected at least"},
    {"stage_shadow_above_all", 8, 37,
     ROUTE("stages: [ { percent: 0, shadow: 200 } ]"),
     "routes[0].stages[0].shadow: 200 is too large; expected a percentage from 0% to 100%, with up to two"},
    {"stage_hold_without_unit", 8, 35,
     ROUTE("stages: [ { percent: 0, hold: 24 } ]"),
     "routes[0].stages[0].hold: 24 has no unit; expected a duration from 0s to 365d, such as 1s500ms"},
    {"stage_name_twice", 10, 17,
     ROUTE("stages:\n      - { name: a, percent: 1 }\n      - { name: a, percent: 2 }"),
     "routes[0].stages[1].name: \"a\" is the name of an earlier stage too; expected another one"},
    {"stage_bad_name", 8, 23,
     ROUTE("stages: [ { name: \"a b\", percent: 1 } ]"),
     "routes[0].stages[0].name: \"a b\" is no name for a stage; expected 1 to 64 letters, digits, \"_\", \".\","},
    {"stage_confirm_word", 8, 38,
     ROUTE("stages: [ { percent: 0, confirm: please } ]"),
     "routes[0].stages[0].confirm: \"please\" is none of its words; expected true, false, on or off"},
    {"stage_auto_without_hold", 10, 9,
     ROUTE("promotion: auto\n    stages:\n      - { percent: 1 }\n      - { percent: 2 }"),
     "routes[0].stages[0].hold: this key is missing; expected how long to stay in this stage before shunt"},
    {"percent_and_stages", 8, 14,
     ROUTE("percent: 10\n    stages: [ { percent: 1 } ]"),
     "routes[0].percent: the route has stages too; expected one of percent and stages"},
    {"shadow_percent_and_stages", 8, 24,
     ROUTE("shadow: { percent: 10 }\n    stages: [ { percent: 1 } ]"),
     "routes[0].shadow.percent: the route has stages, which say what is mirrored; expected shadow: 100 in"},
    {"percent_above_all", 8, 14,
     ROUTE("percent: 100.5"),
     "routes[0].percent: 100.5 is too large; expected a percentage from 0% to 100%, with up to two"},
    {"promotion_word", 8, 16,
     ROUTE("promotion: automatic"),
     "routes[0].promotion: \"automatic\" is none of its words; expected manual or auto"},
    {"gates_bare_rate", 8, 35,
     ROUTE("gates: { error_rate_increase: 2 }"),
     "routes[0].gates.error_rate_increase: 2 has no unit; expected a percentage with its % from 0% to"},
    {"gates_rate_above_all", 8, 29,
     ROUTE("gates: { mismatch_rate: 101% }"),
     "routes[0].gates.mismatch_rate: 101% is too large; expected a percentage with its % from 0% to 100%,"},
    {"gates_confidence_off", 8, 26,
     ROUTE("gates: { confidence: off }"),
     "routes[0].gates.confidence: \"off\" cannot be read; expected a percentage with its % from 50% to"},
    {"gates_confidence_all", 8, 26,
     ROUTE("gates: { confidence: 100% }"),
     "routes[0].gates.confidence: 100% is too large; expected a percentage with its % from 50% to"},
    {"gates_min_requests_zero", 8, 28,
     ROUTE("gates: { min_requests: 0 }"),
     "routes[0].gates.min_requests: 0 is too small; expected a whole number from 1 to 1000000000000"},
    {"gates_off", 8, 12,
     ROUTE("gates: off"),
     "routes[0].gates: \"off\" is a single value; expected a mapping of keys"},
    {"breaker_ratio_below_one", 8, 27,
     ROUTE("breaker: { p95_ratio: 0.5 }"),
     "routes[0].breaker.p95_ratio: 0.5 is too small; expected a number from 1 to 1000, such as 2 or 0.01,"},
    {"breaker_ratio_with_sign", 8, 27,
     ROUTE("breaker: { p95_ratio: 2x }"),
     "routes[0].breaker.p95_ratio: 2x cannot be read; expected a number from 1 to 1000, such as 2 or"},
    {"breaker_window_too_short", 8, 24,
     ROUTE("breaker: { window: 10ms }"),
     "routes[0].breaker.window: 10ms is too small; expected a duration from 100ms to 1h, such as 1s500ms"},
    {"breaker_on", 8, 14,
     ROUTE("breaker: on"),
     "routes[0].breaker: \"on\" is a single value; expected a mapping of keys, or off"},
    {"breaker_ten_decimals", 8, 28,
     ROUTE("breaker: { error_rate: 0.0123456789% }"),
     "routes[0].breaker.error_rate: 0.0123456789% has too many decimals; expected a percentage with its %"},
    {"shadow_word", 8, 13,
     ROUTE("shadow: 100"),
     "routes[0].shadow: 100 is a single value; expected a mapping of keys"},
    {"shadow_unknown_key", 8, 15,
     ROUTE("shadow: { samples_values: full }"),
     "routes[0].shadow: the key \"samples_values\" is unknown; expected one of percent, methods, timeout,"},
    {"shadow_methods_lower_case", 8, 25,
     ROUTE("shadow: { methods: [post] }"),
     "routes[0].shadow.methods[0]: \"post\" is not in upper case, and methods are compared exactly;"},
    {"shadow_max_body_too_large", 8, 25,
     ROUTE("shadow: { max_body: 1GiB }"),
     "routes[0].shadow.max_body: 1GiB is too large; expected a size from 0B to 64MiB, such as 64KiB (with"},
    {"compare_ignore_unknown", 8, 36,
     ROUTE("shadow: { compare: { ignore: [ headers ] } }"),
     "routes[0].shadow.compare.ignore[0]: \"headers\" is no part of a response; expected header:NAME,"},
    {"compare_ignore_no_header", 8, 36,
     ROUTE("shadow: { compare: { ignore: [ \"header:\" ] } }"),
     "routes[0].shadow.compare.ignore[0]: \"header:\" names no header; expected header:NAME, status, body"},
    {"compare_ignore_path", 8, 36,
     ROUTE("shadow: { compare: { ignore: [ \"$.a[\" ] } }"),
     "routes[0].shadow.compare.ignore[0]: \"$.a[\" has neither a number, nor *, nor a name in quotes"},
    {"compare_path_empty_name", 8, 39,
     ROUTE("shadow: { compare: { unordered: [ \"$.\" ] } }"),
     "routes[0].shadow.compare.unordered[0]: \"$.\" has no name behind a point; expected a JSON path such"},
    {"compare_path_index", 8, 39,
     ROUTE("shadow: { compare: { unordered: [ \"$[x]\" ] } }"),
     "routes[0].shadow.compare.unordered[0]: \"$[x]\" has neither a number, nor *, nor a name in quotes"},
    {"compare_path_quote", 8, 39,
     ROUTE("shadow: { compare: { unordered: [ \"$['a]\" ] } }"),
     "routes[0].shadow.compare.unordered[0]: \"$['a]\" has a name in quotes that is empty or not closed;"},
    {"compare_path_without_root", 8, 39,
     ROUTE("shadow: { compare: { unordered: [ tags ] } }"),
     "routes[0].shadow.compare.unordered[0]: \"tags\" does not start with $; expected a JSON path such as"},
    {"compare_path_step", 8, 39,
     ROUTE("shadow: { compare: { unordered: [ \"$tags\" ] } }"),
     "routes[0].shadow.compare.unordered[0]: \"$tags\" has a step that starts with neither . nor [;"},
    {"compare_tolerance_without_path", 8, 39,
     ROUTE("shadow: { compare: { tolerance: [ { absolute: 1 } ] } }"),
     "routes[0].shadow.compare.tolerance[0].path: this key is missing; expected a JSON path"},
    {"compare_tolerance_path", 8, 47,
     ROUTE("shadow: { compare: { tolerance: [ { path: total, absolute: 1 } ] } }"),
     "routes[0].shadow.compare.tolerance[0].path: \"total\" does not start with $; expected a JSON path"},
    {"sticky_name_list", 8, 25,
     ROUTE("sticky: [ { header: [ a ] } ]"),
     "routes[0].sticky[0]: this is a list; expected a name"},
    {"match_query_empty_name", 8, 23,
     ROUTE("match: { query: { \"\": a } }"),
     "routes[0].match.query.: the name \"\" is empty; expected the name of a query parameter"},
    {"match_host_list", 8, 20,
     ROUTE("match: { host: [ a ] }"),
     "routes[0].match.host: this is a list; expected a host such as api.example.com"},
    {"route_with_a_bad_value_in_the_list", 6, 11,
     BASE("routes: [ x, { name: a } ]\n"),
     "routes[0]: \"x\" is a single value; expected a mapping of keys"},
    {"compare_tolerance_negative", 8, 64,
     ROUTE("shadow: { compare: { tolerance: [ { path: \"$.a\", absolute: -1 } ] } }"),
     "routes[0].shadow.compare.tolerance[0].absolute: \"-1\" cannot be read; expected a number from 0 to"},
    {"compare_header_name", 8, 37,
     ROUTE("shadow: { compare: { headers: [ \"a:b\" ] } }"),
     "routes[0].shadow.compare.headers[0]: \"a:b\" holds other characters than letters, digits and"},
    {"compare_noise_short", 8, 33,
     ROUTE("shadow: { compare: { noise: 5 } }"),
     "routes[0].shadow.compare.noise: 5 is a single value; expected a mapping of keys"},
    {"compare_status_word", 8, 34,
     ROUTE("shadow: { compare: { status: equal } }"),
     "routes[0].shadow.compare.status: \"equal\" is none of its words; expected exact or class"},
    {"shadow_samples_values", 8, 34,
     ROUTE("shadow: { samples: { values: some } }"),
     "routes[0].shadow.samples.values: \"some\" is none of its words; expected redacted, full, hashed or none"},
    {"shadow_samples_keep", 8, 32,
     ROUTE("shadow: { samples: { keep: 1001 } }"),
     "routes[0].shadow.samples.keep: 1001 is too large; expected a whole number from 0 to 1000"},
    {"shadow_samples_max_bytes", 8, 37,
     ROUTE("shadow: { samples: { max_bytes: 1KiB } }"),
     "routes[0].shadow.samples.max_bytes: 1KiB is too small; expected a size from 64KiB to 1GiB"},
    {"shadow_samples_max_age", 8, 35,
     ROUTE("shadow: { samples: { max_age: 1s } }"),
     "routes[0].shadow.samples.max_age: 1s is too small; expected a duration from 1m to 3650d"},
    {"shadow_samples_deny_word", 8, 32,
     ROUTE("shadow: { samples: { deny: birthday } }"),
     "routes[0].shadow.samples.deny: \"birthday\" is a single value; expected a list of names such as [X-Tenant-Key,"},
    {"shadow_samples_deny_empty", 8, 33,
     ROUTE("shadow: { samples: { deny: [\"\"] } }"),
     "routes[0].shadow.samples.deny[0]: \"\" is empty; expected the name of a header, a parameter or a JSON member"},
    {"shadow_samples_deny_twice", 8, 38,
     ROUTE("shadow: { samples: { deny: [Pin, pin] } }"),
     "routes[0].shadow.samples.deny[1]: \"pin\" stands here twice; expected it once"},
    {"shadow_samples_deny_control", 8, 33,
     ROUTE("shadow: { samples: { deny: [\"a\\nb\"] } }"),
     "routes[0].shadow.samples.deny[0]: the value holds a line break; expected one line of text"},
    {"shadow_host_path", 8, 21,
     ROUTE("shadow: { host: \"a/b\" }"),
     "routes[0].shadow.host: \"a/b\": the host is neither a name nor an address; expected original, backend, or a host such"},
    {"shadow_host_port", 8, 21,
     ROUTE("shadow: { host: \"a:0\" }"),
     "routes[0].shadow.host: \"a:0\": port 0 cannot be connected to; expected original, backend, or a host such as"},
    {"shadow_host_list", 8, 21,
     ROUTE("shadow: { host: [a] }"),
     "routes[0].shadow.host: this is a list; expected original, backend, or a host such as api.example.com or"},
    {"shadow_headers_list", 8, 24,
     ROUTE("shadow: { headers: [a] }"),
     "routes[0].shadow.headers: this is a list; expected a mapping of keys"},
    {"shadow_headers_unknown", 8, 26,
     ROUTE("shadow: { headers: { replace: { a: b } } }"),
     "routes[0].shadow.headers: the key \"replace\" does not belong here; expected it in routes[].shadow.compare"},
    {"shadow_headers_remove_host", 8, 35,
     ROUTE("shadow: { headers: { remove: [Host] } }"),
     "routes[0].shadow.headers.remove[0]: \"Host\" is set with shadow.host; expected the name of another header"},
    {"shadow_headers_remove_length", 8, 35,
     ROUTE("shadow: { headers: { remove: [Content-Length] } }"),
     "routes[0].shadow.headers.remove[0]: \"Content-Length\" says how long the body is, and the body is copied as it came;"},
    {"shadow_headers_remove_name", 8, 35,
     ROUTE("shadow: { headers: { remove: [\"a b\"] } }"),
     "routes[0].shadow.headers.remove[0]: \"a b\" holds other characters than letters, digits and"},
    {"shadow_headers_remove_twice", 8, 38,
     ROUTE("shadow: { headers: { remove: [A, a] } }"),
     "routes[0].shadow.headers.remove[1]: \"a\" stands here twice; expected it once"},
    {"shadow_headers_set_content_length", 8, 33,
     ROUTE("shadow: { headers: { set: { content-length: a } } }"),
     "routes[0].shadow.headers.set.content-length: the header \"content-length\" says how long the body is"},
    {"shadow_headers_set_transfer_encoding", 8, 33,
     ROUTE("shadow: { headers: { set: { Transfer-Encoding: a } } }"),
     "routes[0].shadow.headers.set.Transfer-Encoding: the header \"Transfer-Encoding\" says how long the body is"},
    {"shadow_headers_set_trailer", 8, 33,
     ROUTE("shadow: { headers: { set: { trailer: a } } }"),
     "routes[0].shadow.headers.set.trailer: the header \"trailer\" says what follows the body"},
    {"shadow_headers_set_connection", 8, 33,
     ROUTE("shadow: { headers: { set: { connection: a } } }"),
     "routes[0].shadow.headers.set.connection: the header \"connection\" belongs to the connection"},
    {"shadow_headers_set_keep_alive", 8, 33,
     ROUTE("shadow: { headers: { set: { keep-alive: a } } }"),
     "routes[0].shadow.headers.set.keep-alive: the header \"keep-alive\" belongs to the connection"},
    {"shadow_headers_set_proxy_connection", 8, 33,
     ROUTE("shadow: { headers: { set: { proxy-connection: a } } }"),
     "routes[0].shadow.headers.set.proxy-connection: the header \"proxy-connection\" belongs to the connection"},
    {"shadow_headers_set_te", 8, 33,
     ROUTE("shadow: { headers: { set: { TE: a } } }"),
     "routes[0].shadow.headers.set.TE: the header \"TE\" belongs to the connection"},
    {"shadow_headers_set_upgrade", 8, 33,
     ROUTE("shadow: { headers: { set: { Upgrade: a } } }"),
     "routes[0].shadow.headers.set.Upgrade: the header \"Upgrade\" belongs to the connection"},
    {"shadow_headers_set_expect", 8, 33,
     ROUTE("shadow: { headers: { set: { expect: a } } }"),
     "routes[0].shadow.headers.set.expect: the header \"expect\" is answered by shunt, and a copy never waits; expected the name"},
    {"shadow_headers_set_x_shunt_shadow", 8, 33,
     ROUTE("shadow: { headers: { set: { X-Shunt-Shadow: a } } }"),
     "routes[0].shadow.headers.set.X-Shunt-Shadow: the header \"X-Shunt-Shadow\" marks every copy, so that backends can tell; expected the name"},
    {"shadow_headers_set_host", 8, 33,
     ROUTE("shadow: { headers: { set: { HOST: a } } }"),
     "routes[0].shadow.headers.set.HOST: the header \"HOST\" is set with shadow.host; expected the name of another header"},
    {"shadow_headers_set_name", 8, 33,
     ROUTE("shadow: { headers: { set: { \"a b\": a } } }"),
     "routes[0].shadow.headers.set.a b: the header \"a b\" holds other characters than letters, digits and"},
    {"shadow_headers_set_word", 8, 31,
     ROUTE("shadow: { headers: { set: a } }"),
     "routes[0].shadow.headers.set: \"a\" is a single value; expected names and values such as { X-Api-Key: test }"},
    {"shadow_headers_set_list", 8, 36,
     ROUTE("shadow: { headers: { set: { A: [b] } } }"),
     "routes[0].shadow.headers.set.A: this is a list; expected a value, or { file: PATH }"},
    {"shadow_headers_set_null", 8, 36,
     ROUTE("shadow: { headers: { set: { A: } } }"),
     "routes[0].shadow.headers.set.A: there is no value; expected a value, or { file: PATH }"},
    {"shadow_headers_set_line_break", 8, 36,
     ROUTE("shadow: { headers: { set: { A: \"b\\r\\nC: d\" } } }"),
     "routes[0].shadow.headers.set.A: the value holds a"},
    {"shadow_headers_set_delete", 8, 36,
     ROUTE("shadow: { headers: { set: { A: \"b\\x7f\" } } }"),
     "routes[0].shadow.headers.set.A: the value holds a"},
    {"shadow_headers_set_nul", 8, 36,
     ROUTE("shadow: { headers: { set: { A: \"b\\0c\" } } }"),
     "routes[0].shadow.headers.set.A: "},
    {"shadow_headers_set_file", 8, 44,
     ROUTE("shadow: { headers: { set: { A: { file: /nonexistent } } } }"),
     "routes[0].shadow.headers.set.A: the file \"/nonexistent\" cannot be read: No such file or directory; expected a file"},
    {"shadow_headers_set_spelling", 8, 39,
     ROUTE("shadow: { headers: { set: { A: b, a: c } } }"),
     "routes[0].shadow.headers.set.a: the header \"a\" stands here in two spellings; expected it once"},
    {"shadow_headers_remove_and_set", 8, 46,
     ROUTE("shadow: { headers: { remove: [A], set: { a: b } } }"),
     "routes[0].shadow.headers.set.a: the header \"a\" stands under remove too, and set replaces what is there; expected"},
    {"shadow_headers_add_upgrade", 8, 33,
     ROUTE("shadow: { headers: { add: { Upgrade: a } } }"),
     "routes[0].shadow.headers.add.Upgrade: the header \"Upgrade\" belongs to the connection, which shunt makes for itself;"},
    {"shadow_read_only", 8, 26,
     ROUTE("shadow: { read_only: true }"),
     "routes[0].shadow.read_only: \"true\" is none of its words; expected off or simulate"},
    {"shadow_max_rate_zero", 8, 25,
     ROUTE("shadow: { max_rate: 0 }"),
     "routes[0].shadow.max_rate: 0 is too small; expected a whole number from 1 to 1000000, or off"},
    {"shadow_max_rate_word", 8, 25,
     ROUTE("shadow: { max_rate: 10/s }"),
     "routes[0].shadow.max_rate: \"10/s\" cannot be read; expected a whole number from 1 to 1000000, or off"},
    {"shadow_sampling", 8, 25,
     ROUTE("shadow: { sampling: user }"),
     "routes[0].shadow.sampling: \"user\" is none of its words; expected request or cohort"},
    {"shadow_statuses_empty", 8, 25,
     ROUTE("shadow: { statuses: [] }"),
     "routes[0].shadow.statuses: the list is empty, so nothing would be mirrored; expected a list of statuses such as"},
    {"shadow_statuses_word", 8, 25,
     ROUTE("shadow: { statuses: 2xx }"),
     "routes[0].shadow.statuses: 2xx is a single value; expected a list of statuses such as [2xx, 404]"},
    {"shadow_statuses_interim", 8, 26,
     ROUTE("shadow: { statuses: [\"1xx\"] }"),
     "routes[0].shadow.statuses[0]: 1xx names no status of an answer; expected 2xx, 404 or 200-204, from 200 to 599"},
    {"shadow_statuses_continue", 8, 26,
     ROUTE("shadow: { statuses: [\"100\"] }"),
     "routes[0].shadow.statuses[0]: 100 names no status of an answer; expected 2xx, 404 or 200-204, from 200 to 599"},
    {"shadow_statuses_beyond", 8, 26,
     ROUTE("shadow: { statuses: [\"600\"] }"),
     "routes[0].shadow.statuses[0]: 600 names no status of an answer; expected 2xx, 404 or 200-204, from 200 to 599"},
    {"shadow_statuses_backwards", 8, 26,
     ROUTE("shadow: { statuses: [\"204-200\"] }"),
     "routes[0].shadow.statuses[0]: \"204-200\" names no status of an answer; expected 2xx, 404 or 200-204, from 200 to 599"},
    {"shadow_statuses_short", 8, 26,
     ROUTE("shadow: { statuses: [\"20\"] }"),
     "routes[0].shadow.statuses[0]: 20 names no status of an answer; expected 2xx, 404 or 200-204, from 200 to 599"},
    {"shadow_statuses_half", 8, 26,
     ROUTE("shadow: { statuses: [\"2x0\"] }"),
     "routes[0].shadow.statuses[0]: 2x0 names no status of an answer; expected 2xx, 404 or 200-204, from 200 to 599"},
    {"shadow_statuses_open", 8, 26,
     ROUTE("shadow: { statuses: [\"200-\"] }"),
     "routes[0].shadow.statuses[0]: \"200-\" names no status of an answer; expected 2xx, 404 or 200-204, from 200 to 599"},
    {"shadow_statuses_upper", 8, 26,
     ROUTE("shadow: { statuses: [\"2XX\"] }"),
     "routes[0].shadow.statuses[0]: \"2XX\" names no status of an answer; expected 2xx, 404 or 200-204, from 200 to 599"},
    {"shadow_statuses_twice", 8, 31,
     ROUTE("shadow: { statuses: [2xx, 2xx] }"),
     "routes[0].shadow.statuses[1]: 2xx stands here twice; expected it once"},
    {"shadow_breaker_on", 8, 24,
     ROUTE("shadow: { breaker: on }"),
     "routes[0].shadow.breaker: \"on\" is a single value; expected a mapping of keys, or off"},
    {"shadow_breaker_failures", 8, 48,
     ROUTE("shadow: { breaker: { consecutive_failures: 0 } }"),
     "routes[0].shadow.breaker.consecutive_failures: 0 is too small; expected a whole number from 1 to 1000000"},
    {"shadow_breaker_cooldown", 8, 36,
     ROUTE("shadow: { breaker: { cooldown: 5 } }"),
     "routes[0].shadow.breaker.cooldown: 5 has no unit; expected a duration from 100ms to 1h"},
    {"shadow_breaker_unknown", 8, 26,
     ROUTE("shadow: { breaker: { window: 5s } }"),
     "routes[0].shadow.breaker: the key \"window\" does not belong here; expected it in routes[].breaker"},
    {"shadow_endpoints_word", 8, 26,
     ROUTE("shadow: { endpoints: /a }"),
     "routes[0].shadow.endpoints: \"/a\" is a single value; expected a list of templates such as [\"/orders/{id}/items\"]"},
    {"shadow_endpoints_relative", 8, 27,
     ROUTE("shadow: { endpoints: [\"orders\"] }"),
     "routes[0].shadow.endpoints[0]: \"orders\": a path starts with /"},
    {"shadow_endpoints_query", 8, 27,
     ROUTE("shadow: { endpoints: [\"/a?b\"] }"),
     "routes[0].shadow.endpoints[0]: \"/a?b\": a query is matched with the key query, not in the path"},
    {"shadow_endpoints_blank", 8, 27,
     ROUTE("shadow: { endpoints: [\"/a b\"] }"),
     "routes[0].shadow.endpoints[0]: \"/a b\": a path holds no blanks"},
    {"shadow_endpoints_star", 8, 27,
     ROUTE("shadow: { endpoints: [\"/a/*\"] }"),
     "routes[0].shadow.endpoints[0]: \"/a/*\": a template has no *; write {name} for a segment, or ** at the end for the rest"},
    {"shadow_endpoints_rest", 8, 27,
     ROUTE("shadow: { endpoints: [\"/**/a\"] }"),
     "routes[0].shadow.endpoints[0]: \"/**/a\": ** stands for the rest, so it can only be the last segment"},
    {"shadow_endpoints_part", 8, 27,
     ROUTE("shadow: { endpoints: [\"/a/v{id}\"] }"),
     "routes[0].shadow.endpoints[0]: \"/a/v{id}\": {name} stands for a whole segment"},
    {"shadow_endpoints_empty", 8, 27,
     ROUTE("shadow: { endpoints: [\"/a/{}\"] }"),
     "routes[0].shadow.endpoints[0]: \"/a/{}\": {name} stands for a whole segment"},
    {"shadow_endpoints_open", 8, 27,
     ROUTE("shadow: { endpoints: [\"/a/{id\"] }"),
     "routes[0].shadow.endpoints[0]: \"/a/{id\": {name} stands for a whole segment"},
    {"shadow_endpoints_name", 8, 27,
     ROUTE("shadow: { endpoints: [\"/a/{i?d}\"] }"),
     "routes[0].shadow.endpoints[0]: \"/a/{i?d}\": a query is"},
    {"shadow_endpoints_blank_name", 8, 27,
     ROUTE("shadow: { endpoints: [\"/a/{i/d}\"] }"),
     "routes[0].shadow.endpoints[0]: \"/a/{i/d}\": {name} stands"},
    {"compare_tolerance_without_amount", 8, 39,
     ROUTE("shadow: { compare: { tolerance: [ { path: \"$.a\" } ] } }"),
     "routes[0].shadow.compare.tolerance[0]: there are none of absolute, relative and within; expected exactly one"},
    {"compare_tolerance_both", 8, 39,
     ROUTE("shadow: { compare: { tolerance: [ { path: \"$.a\", absolute: 1, relative: 1% } ] } }"),
     "routes[0].shadow.compare.tolerance[0]: there are several of absolute, relative and within; expected exactly one"},
    {"compare_tolerance_relative_and_within", 8, 39,
     ROUTE("shadow: { compare: { tolerance: [ { path: \"$.a\", relative: 1%, within: 1s } ] } }"),
     "routes[0].shadow.compare.tolerance[0]: there are several of absolute, relative and within; expected exactly one"},
    {"compare_tolerance_within_bare", 8, 62,
     ROUTE("shadow: { compare: { tolerance: [ { path: \"$.a\", within: 5 } ] } }"),
     "routes[0].shadow.compare.tolerance[0].within: 5 has no unit; expected a duration from 1ms to 365d"},
    {"compare_unordered_twice", 8, 46,
     ROUTE("shadow: { compare: { unordered: [ \"$.a\", { path: \"$.a\", by: id } ] } }"),
     "routes[0].shadow.compare.unordered[1]: \"$.a\" stands here twice; expected it once"},
    {"compare_unordered_paths_twice", 8, 64,
     ROUTE("shadow: { compare: { unordered: [ { path: \"$.a\", by: id }, \"$.a\" ] } }"),
     "routes[0].shadow.compare.unordered[1]: \"$.a\" stands here twice; expected it once"},
    {"compare_unordered_without_key", 8, 39,
     ROUTE("shadow: { compare: { unordered: [ { path: \"$.a\" } ] } }"),
     "routes[0].shadow.compare.unordered[0].by: this key is missing; expected a text"},
    {"compare_unordered_without_path", 8, 39,
     ROUTE("shadow: { compare: { unordered: [ { by: id } ] } }"),
     "routes[0].shadow.compare.unordered[0].path: this key is missing; expected a JSON path"},
    {"compare_unordered_empty_key", 8, 58,
     ROUTE("shadow: { compare: { unordered: [ { path: \"$.a\", by: \"\" } ] } }"),
     "routes[0].shadow.compare.unordered[0].by: \"\" cannot be used here; expected a text that is not empty"},
    {"compare_unordered_key_path", 8, 47,
     ROUTE("shadow: { compare: { unordered: [ { path: a, by: id } ] } }"),
     "routes[0].shadow.compare.unordered[0].path: \"a\" does not start with $; expected a JSON path such as $.total"},
    {"compare_unordered_list", 8, 39,
     ROUTE("shadow: { compare: { unordered: [ [\"$.a\"] ] } }"),
     "routes[0].shadow.compare.unordered[0]: this is a list; expected a JSON path such as $.tags, or { path: \"$.items\", by: id }"},
    {"compare_unordered_word", 8, 37,
     ROUTE("shadow: { compare: { unordered: \"$.a\" } }"),
     "routes[0].shadow.compare.unordered: \"$.a\" is a single value; expected a list of JSON paths"},
    {"compare_present_only_path", 8, 42,
     ROUTE("shadow: { compare: { present_only: [ \"a.b\" ] } }"),
     "routes[0].shadow.compare.present_only[0]: \"a.b\" does not start with $; expected a JSON path such as $.items[*].tags"},
    {"compare_replace_in", 8, 43,
     ROUTE("shadow: { compare: { replace: [ { in: status, pattern: a } ] } }"),
     "routes[0].shadow.compare.replace[0].in: \"status\" is no part of a response that is text; expected body, header:NAME or a JSON"},
    {"compare_replace_header", 8, 43,
     ROUTE("shadow: { compare: { replace: [ { in: \"header:a b\", pattern: a } ] } }"),
     "routes[0].shadow.compare.replace[0].in: \"header:a b\" names no header; expected body, header:NAME or a JSON path"},
    {"compare_replace_path", 8, 43,
     ROUTE("shadow: { compare: { replace: [ { in: \"$.\", pattern: a } ] } }"),
     "routes[0].shadow.compare.replace[0].in: \"$.\" has no name behind a point; expected body, header:NAME or a JSON path such as"},
    {"compare_replace_without_in", 8, 37,
     ROUTE("shadow: { compare: { replace: [ { pattern: a } ] } }"),
     "routes[0].shadow.compare.replace[0].in: this key is missing; expected a place"},
    {"compare_replace_without_pattern", 8, 37,
     ROUTE("shadow: { compare: { replace: [ { in: body } ] } }"),
     "routes[0].shadow.compare.replace[0].pattern: this key is missing; expected a regular expression"},
    {"compare_replace_pattern", 8, 58,
     ROUTE("shadow: { compare: { replace: [ { in: body, pattern: \"ab[c\" } ] } }"),
     "routes[0].shadow.compare.replace[0].pattern: \"ab[c\" cannot be used: missing terminating ] for character class at offset 4;"},
    {"compare_replace_pattern_group", 8, 58,
     ROUTE("shadow: { compare: { replace: [ { in: body, pattern: \"(a\" } ] } }"),
     "routes[0].shadow.compare.replace[0].pattern: \"(a\" cannot be used: missing closing parenthesis at offset 2; expected a regular"},
    {"compare_replace_pattern_empty", 8, 58,
     ROUTE("shadow: { compare: { replace: [ { in: body, pattern: \"\" } ] } }"),
     "routes[0].shadow.compare.replace[0].pattern: the pattern is empty; expected a regular expression as PCRE2 has them, such as"},
    {"compare_replace_with_group", 8, 71,
     ROUTE("shadow: { compare: { replace: [ { in: body, pattern: \"(a)\", with: \"$2\" } ] } }"),
     "routes[0].shadow.compare.replace[0].with: \"$2\" names a group that the pattern does not have; expected $0 for the whole match"},
    {"compare_replace_with_huge_group", 8, 71,
     ROUTE("shadow: { compare: { replace: [ { in: body, pattern: \"(a)\", with: \"$4294967297\" } ] } }"),
     "routes[0].shadow.compare.replace[0].with: \"$4294967297\" names a group that the pattern does not have; expected $0 for the"},
    {"compare_replace_with_dollar", 8, 67,
     ROUTE("shadow: { compare: { replace: [ { in: body, pattern: a, with: \"5 $\" } ] } }"),
     "routes[0].shadow.compare.replace[0].with: \"5 $\" has a $ that stands for no group; expected $0 for the whole match, $1 for the"},
    {"compare_replace_with_brace", 8, 67,
     ROUTE("shadow: { compare: { replace: [ { in: body, pattern: a, with: \"$${0\" } ] } }"),
     "routes[0].shadow.compare.replace[0].with: "},
    {"compare_xml_whitespace", 8, 42,
     ROUTE("shadow: { compare: { xml_whitespace: keep } }"),
     "routes[0].shadow.compare.xml_whitespace: \"keep\" is none of its words; expected ignore or exact"},
    {"compare_noise_confidence", 8, 47,
     ROUTE("shadow: { compare: { noise: { confidence: 100% } } }"),
     "routes[0].shadow.compare.noise.confidence: 100% is too large; expected a percentage with its % from 50% to"},
    {"compare_noise_relative", 8, 45,
     ROUTE("shadow: { compare: { noise: { relative: 0.2 } } }"),
     "routes[0].shadow.compare.noise.relative: 0.2 has no unit; expected a percentage with its % from 0% to 100%"},
    {"compare_noise_absolute", 8, 45,
     ROUTE("shadow: { compare: { noise: { absolute: off } } }"),
     "routes[0].shadow.compare.noise.absolute: \"off\" cannot be read; expected a percentage with its % from 0% to 100%"},
    {"limits_shadow_memory_small", 6, 26,
     BASE("limits: { shadow_memory: 1KiB }\n"),
     "limits.shadow_memory: 1KiB is too small; expected a size from 1MiB to 64GiB, such as 64KiB (with B,"},
    {"fallback_without_on", 8, 15,
     ROUTE("fallback: { methods: [GET] }"),
     "routes[0].fallback.on: this key is missing; expected a list of failures"},
    {"fallback_nothing", 8, 21,
     ROUTE("fallback: { on: [] }"),
     "routes[0].fallback.on: the list is empty; expected a list of failures such as [connect, timeout,"},
    {"fallback_unknown", 8, 23,
     ROUTE("fallback: { on: [ 4xx ] }"),
     "routes[0].fallback.on[0]: 4xx is no known failure; expected connect, timeout, 5xx or reset"},
    {"backend_is_the_listener", 4, 18,
     BACKEND("\"http://127.0.0.1:8080\""),
     "backends.legacy.url: this is shunt's own listener \"127.0.0.1:8080\", so requests would go round for ever"},
    {"backend_is_the_listener_of_all_addresses", 4, 18,
     "listeners:\n  - address: 0.0.0.0:8080\nbackends:\n  legacy: { url: \"http://localhost:8080\" }\n",
     "backends.legacy.url: this is shunt's own listener \"0.0.0.0:8080\", so requests would go round for ever"},
    {"backend_is_the_unix_listener", 4, 18,
     "listeners:\n  - address: unix:/run/a\nbackends:\n  legacy: { url: \"http+unix:/run/a\" }\n",
     "backends.legacy.url: this is shunt's own listener \"unix:/run/a\", so requests would go round for ever"},
    {"admin_is_the_listener", 6, 19,
     BASE("admin: { address: 127.0.0.1:8080 }\n"),
     "admin.address: the listener \"127.0.0.1:8080\" has this address; expected another one"},
    {"unreachable_after_all", 8, 28,
     BASE("routes:\n"
      "  - { name: wide, percent: 1 }\n"
      "  - { name: narrow, match: { path: /a } }\n"),
     "routes[1].match: no request can reach this route: the route \"wide\" in line 7 comes first and"},
    {"unreachable_same_path", 8, 28,
     BASE("routes:\n"
      "  - { name: wide, match: { path: /a/** } }\n"
      "  - { name: narrow, match: { path: /a/** } }\n"),
     "routes[1].match: no request can reach this route: the route \"wide\" in line 7 comes first and"},
    {"unreachable_below_rest", 8, 28,
     BASE("routes:\n"
      "  - { name: wide, match: { path: /a/** } }\n"
      "  - { name: narrow, match: { path: /a/b/c } }\n"),
     "routes[1].match: no request can reach this route: the route \"wide\" in line 7 comes first and"},
    {"unreachable_rest_takes_itself", 8, 28,
     BASE("routes:\n"
      "  - { name: wide, match: { path: /a/** } }\n"
      "  - { name: narrow, match: { path: /a } }\n"),
     "routes[1].match: no request can reach this route: the route \"wide\" in line 7 comes first and"},
    {"unreachable_star", 8, 28,
     BASE("routes:\n"
      "  - { name: wide, match: { path: /a/* } }\n"
      "  - { name: narrow, match: { path: /a/b } }\n"),
     "routes[1].match: no request can reach this route: the route \"wide\" in line 7 comes first and"},
    {"unreachable_fewer_methods", 8, 28,
     BASE("routes:\n"
      "  - { name: wide, match: { path: /a, methods: [GET, HEAD] } }\n"
      "  - { name: narrow, match: { path: /a, methods: [GET] } }\n"),
     "routes[1].match: no request can reach this route: the route \"wide\" in line 7 comes first and"},
    {"unreachable_host", 8, 28,
     BASE("routes:\n"
      "  - { name: wide, match: { host: \"*.example.com\" } }\n"
      "  - { name: narrow, match: { host: api.example.com } }\n"),
     "routes[1].match: no request can reach this route: the route \"wide\" in line 7 comes first and"},
    {"unreachable_wildcard_host", 8, 28,
     BASE("routes:\n"
      "  - { name: wide, match: { host: \"*.example.com\" } }\n"
      "  - { name: narrow, match: { host: \"*.api.example.com\" } }\n"),
     "routes[1].match: no request can reach this route: the route \"wide\" in line 7 comes first and"},
    {"unreachable_header_value", 8, 28,
     BASE("routes:\n"
      "  - { name: wide, match: { headers: { X-A: [b, c] } } }\n"
      "  - { name: narrow, match: { headers: { x-a: b, x-d: e } } }\n"),
     "routes[1].match: no request can reach this route: the route \"wide\" in line 7 comes first and"},
    {"unreachable_header_present", 8, 28,
     BASE("routes:\n"
      "  - { name: wide, match: { headers: { X-A: \"*\" } } }\n"
      "  - { name: narrow, match: { headers: { X-A: b } } }\n"),
     "routes[1].match: no request can reach this route: the route \"wide\" in line 7 comes first and"},
    {"unreachable_query", 8, 28,
     BASE("routes:\n"
      "  - { name: wide, match: { query: { a: b } } }\n"
      "  - { name: narrow, match: { query: { a: b }, path: /x } }\n"),
     "routes[1].match: no request can reach this route: the route \"wide\" in line 7 comes first and"},
    {"confidence_unknown_gate", 8, 42,
     ROUTE("gates: { confidence: { default: 99%, mismatches: 99% } }"),
     "routes[0].gates.confidence: the key \"mismatches\" is unknown; expected one of default, "
     "error_rate_increase, error_rate, availability, p50_increase, p95_increase, p99_incre"},
    {"confidence_of_min_requests", 8, 28,
     ROUTE("gates: { confidence: { min_requests: 99% } }"),
     "routes[0].gates.confidence: the key \"min_requests\" is unknown; expected one of default, "
     "error_rate_increase, error_rate, availability, p50_increase, p95_increase, p99_inc"},
    {"confidence_of_one_gate_all", 8, 43,
     ROUTE("gates: { confidence: { mismatch_rate: 100% } }"),
     "routes[0].gates.confidence.mismatch_rate: 100% is too large; expected a percentage with its % from 50% to "
     "99.9999%, such as 0.5%"},
    {"confidence_list", 8, 26,
     ROUTE("gates: { confidence: [ 99% ] }"),
     "routes[0].gates.confidence: this is a list; expected a percentage with its % from 50% to 99.9999%, such "
     "as 0.5%"},
    {"webhook_without_url", 8, 23,
     ROUTE("gates: { webhook: { interval: 30s } }"),
     "routes[0].gates.webhook.url: this key is missing; expected a URL"},
    {"webhook_word", 8, 23,
     ROUTE("gates: { webhook: on }"),
     "routes[0].gates.webhook: \"on\" is a single value; expected a mapping of keys, or off"},
    {"webhook_ftp", 8, 30,
     ROUTE("gates: { webhook: { url: \"ftp://a/b\" } }"),
     "routes[0].gates.webhook.url: the URL cannot be used: it begins neither with http:// nor with https://; "
     "expected http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]"},
    {"webhook_without_host", 8, 30,
     ROUTE("gates: { webhook: { url: \"http:///go\" } }"),
     "routes[0].gates.webhook.url: the URL cannot be used: the host is missing; expected "
     "http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]"},
    {"webhook_bad_port", 8, 30,
     ROUTE("gates: { webhook: { url: \"https://a:99999/go\" } }"),
     "routes[0].gates.webhook.url: the URL cannot be used: the port is no number from 0 to 65535; expected "
     "http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]"},
    {"webhook_fragment", 8, 30,
     ROUTE("gates: { webhook: { url: \"https://a/go#now\" } }"),
     "routes[0].gates.webhook.url: the URL cannot be used: it has a fragment, which is never sent; expected "
     "http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]"},
    {"webhook_blank", 8, 30,
     ROUTE("gates: { webhook: { url: \"https://a/go now\" } }"),
     "routes[0].gates.webhook.url: the URL cannot be used: it holds a blank or a byte beyond ASCII; expected "
     "http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]"},
    {"webhook_interval_below_timeout", 8, 53,
     ROUTE("gates: { webhook: { url: \"http://a/\", interval: 2s, timeout: 5s } }"),
     "routes[0].gates.webhook.interval: it would be asked again before it must have answered; expected an "
     "interval of at least its timeout, 5s"},
    {"webhook_timeout_above_interval", 8, 52,
     ROUTE("gates: { webhook: { url: \"http://a/\", timeout: 1m } }"),
     "routes[0].gates.webhook.interval: it would be asked again before it must have answered; expected an "
     "interval of at least its timeout, 1m"},
    {"webhook_interval_too_short", 8, 53,
     ROUTE("gates: { webhook: { url: \"http://a/\", interval: 500ms, timeout: 100ms } }"),
     "routes[0].gates.webhook.interval: 500ms is too small; expected a duration from 1s to 1d, such as 1s500ms "
     "(with d, h, m, s or ms)"},
    {"only_unknown_day", 8, 20,
     ROUTE("gates: { only: \"Mondy 09:00-16:00\" }"),
     "routes[0].gates.only: \"Mondy 09:00-16:00\": Mondy is no day; expected Mon, Tue, Wed, Thu, Fri, Sat or "
     "Sun, or a date such as 2026-12-24"},
    {"only_late_hour", 8, 41,
     ROUTE("gates: { only: [ \"Mon 09:00-16:00\", \"Tue 25:00-26:00\" ] }"),
     "routes[0].gates.only[1]: \"Tue 25:00-26:00\": 25:00-26:00 is no time of day; expected a time from 00:00 "
     "to 23:59, such as 09:00"},
    {"only_unknown_place", 8, 20,
     ROUTE("gates: { only: \"Mon 09:00-16:00 Europe/Berln\" }"),
     "routes[0].gates.only: \"Mon 09:00-16:00 Europe/Berln\": Europe/Berln is no place that is known; did you "
     "mean Europe/Berlin?"},
    {"only_no_hours_at_all", 8, 20,
     ROUTE("gates: { only: \"Mon 09:00-09:00\" }"),
     "routes[0].gates.only: \"Mon 09:00-09:00\": the hours end as they begin; expected a later end, or "
     "00:00-24:00 for whole days"},
    {"only_mapping", 8, 20,
     ROUTE("gates: { only: { from: 09:00 } }"),
     "routes[0].gates.only: this is a mapping; expected a line such as \"Mon-Thu 09:00-16:00 Europe/Berlin\" or "
     "\"2026-12-24 - 2026-12-26\", or a list of them"},
    {"only_empty", 8, 20,
     ROUTE("gates: { only: [] }"),
     "routes[0].gates.only: the list is empty; expected a line such as \"Mon-Thu 09:00-16:00 Europe/Berlin\" or "
     "\"2026-12-24 - 2026-12-26\", or a list of them"},
    {"only_null", 8, 20,
     ROUTE("gates: { only: ~ }"),
     "routes[0].gates.only: there is no value; expected a line such as \"Mon-Thu 09:00-16:00 Europe/Berlin\" or "
     "\"2026-12-24 - 2026-12-26\", or a list of them"},
    {"only_list_in_list", 8, 22,
     ROUTE("gates: { only: [ [ \"Mon 09:00-16:00\" ] ] }"),
     "routes[0].gates.only[0]: this is a list; expected a line such as \"Mon-Thu 09:00-16:00 Europe/Berlin\" or "
     "\"2026-12-24 - 2026-12-26\", or a list of them"},
    {"stage_gates_off", 8, 36,
     ROUTE("stages: [ { percent: 1, gates: off } ]"),
     "routes[0].stages[0].gates: \"off\" is a single value; expected a mapping of keys"},
    {"stage_gates_unknown", 8, 38,
     ROUTE("stages: [ { percent: 1, gates: { min_request: 5 } } ]"),
     "routes[0].stages[0].gates: the key \"min_request\" is unknown; did you mean min_requests?"},
    {"stage_gates_bad_value", 8, 50,
     ROUTE("stages: [ { percent: 1, gates: { error_rate: 5 } } ]"),
     "routes[0].stages[0].gates.error_rate: 5 has no unit; expected a percentage with its % from 0% to 100%, "
     "such as 0.5%, or off"},
    {"stage_gates_misplaced_key", 8, 38,
     ROUTE("stages: [ { percent: 1, gates: { hold: 5s } } ]"),
     "routes[0].stages[0].gates: the key \"hold\" does not belong here; expected it in routes[].stages[]"},
    {"stage_promotion_word", 8, 40,
     ROUTE("stages: [ { percent: 1, promotion: never } ]"),
     "routes[0].stages[0].promotion: \"never\" is none of its words; expected manual or auto"},
    {"stage_confirm_and_auto", 8, 65,
     ROUTE("stages: [ { percent: 1, hold: 1h, confirm: true, promotion: auto } ]"),
     "routes[0].stages[0].promotion: the stage says confirm, so that a person promotes; expected only one of "
     "promotion: auto and confirm: true"},
    {"stage_own_auto_without_hold", 9, 9,
     ROUTE("stages:\n      - { percent: 1, promotion: auto }\n      - { percent: 2 }"),
     "routes[0].stages[0].hold: this key is missing; expected how long to stay in this stage before shunt "
     "promotes by itself, such as hold: 2h"},
    {"stage_deadline_before_hold", 8, 49,
     ROUTE("stages: [ { percent: 1, hold: 2h, deadline: 1h } ]"),
     "routes[0].stages[0].deadline: the deadline comes before the hold can be over; expected more than 2h"},
    {"stage_deadline_with_hold", 8, 49,
     ROUTE("stages: [ { percent: 1, hold: 2h, deadline: 2h } ]"),
     "routes[0].stages[0].deadline: the deadline comes before the hold can be over; expected more than 2h"},
    {"stage_on_deadline_alone", 8, 42,
     ROUTE("stages: [ { percent: 1, on_deadline: tell } ]"),
     "routes[0].stages[0].on_deadline: the stage has no deadline; expected one beside it, such as deadline: 72h"},
    {"stage_on_deadline_word", 8, 56,
     ROUTE("stages: [ { percent: 1, deadline: 1h, on_deadline: promote } ]"),
     "routes[0].stages[0].on_deadline: \"promote\" is none of its words; expected pause, rollback or tell"},
    {"start_word", 8, 12,
     ROUTE("start: later\n    stages: [ { percent: 1 } ]"),
     "routes[0].start: \"later\" is none of its words; expected auto or manual"},
    {"start_of_a_fixed_share", 8, 12,
     ROUTE("start: manual"),
     "routes[0].start: the route has a fixed share and no plan; expected stages beside it"},
    {"on_failure_word", 8, 17,
     ROUTE("on_failure: zero\n    stages: [ { percent: 1 } ]"),
     "routes[0].on_failure: \"zero\" is a single value; expected a mapping of keys"},
    {"on_failure_unknown_end", 8, 23,
     ROUTE("on_failure: { to: back }\n    stages: [ { percent: 1 } ]"),
     "routes[0].on_failure.to: \"back\" is none of its words; expected zero, previous, freeze or tell"},
    {"on_failure_ramp_of_freeze", 8, 37,
     ROUTE("on_failure: { to: freeze, ramp: 10m }\n    stages: [ { percent: 1 } ]"),
     "routes[0].on_failure.ramp: the share stays where it is (to: freeze), so there is nothing to take down; "
     "expected to: zero or to: previous beside it"},
    {"on_failure_ramp_of_tell", 8, 25,
     ROUTE("on_failure: { ramp: 10m }\n    stages: [ { percent: 1 } ]"),
     "routes[0].on_failure.ramp: the share stays where it is (to: tell, the default with promotion: manual), so "
     "there is nothing to take down; expected to: zero or to: previous"},
    {"on_failure_ramp_too_long", 8, 35,
     ROUTE("on_failure: { to: zero, ramp: 2d }\n    stages: [ { percent: 1 } ]"),
     "routes[0].on_failure.ramp: 2d is too large; expected a duration from 0s to 1d, such as 1s500ms (with d, "
     "h, m, s or ms)"},
    {"on_failure_retries_of_zero", 8, 38,
     ROUTE("on_failure: { to: zero, retries: 2 }\n    stages: [ { percent: 1 } ]"),
     "routes[0].on_failure.retries: only to: previous tries again; expected it beside retries"},
    {"on_failure_retries_none", 8, 42,
     ROUTE("on_failure: { to: previous, retries: 0 }\n    stages: [ { percent: 1 } ]"),
     "routes[0].on_failure.retries: 0 is too small; expected a whole number from 1 to 100"},
    {"on_failure_of_a_fixed_share", 8, 17,
     ROUTE("on_failure: { to: freeze }"),
     "routes[0].on_failure: the route has a fixed share and no plan; expected stages beside it"},
    {"on_failure_ramp_of_a_fixed_share", 9, 17,
     ROUTE("promotion: auto\n    on_failure: { ramp: 10m }"),
     "routes[0].on_failure: the route has a fixed share and no plan; expected stages beside it"},
    {"breaker_slow_rate_alone", 8, 32,
     ROUTE("breaker: { slow_call_rate: 10% }"),
     "routes[0].breaker.slow_call_rate: nothing says which exchanges are slow; expected slow_call beside it, "
     "such as slow_call: 2s"},
    {"errors_empty", 8, 13,
     ROUTE("errors: []"),
     "routes[0].errors: the list is empty, so nothing would speak against new; expected a list of errors such "
     "as [5xx, 429, connect, timeout]"},
    {"errors_word", 8, 13,
     ROUTE("errors: 5xx"),
     "routes[0].errors: 5xx is a single value; expected a list of errors such as [5xx, 429, connect, timeout]"},
    {"errors_unknown", 8, 20,
     ROUTE("errors: [ 5xx, tls ]"),
     "routes[0].errors[1]: \"tls\" is no known error; expected connect, timeout, reset, bad_response, or "
     "statuses from 300 to 599 such as 5xx, 429 or 502-504"},
    {"errors_fine_status", 8, 15,
     ROUTE("errors: [ 200-599 ]"),
     "routes[0].errors[0]: \"200-599\" has statuses of answers that are fine; expected connect, timeout, reset, "
     "bad_response, or statuses from 300 to 599 such as 5xx, 429 or 502-"},
    {"errors_beyond", 8, 15,
     ROUTE("errors: [ 600 ]"),
     "routes[0].errors[0]: 600 is no known error; expected connect, timeout, reset, bad_response, or statuses "
     "from 300 to 599 such as 5xx, 429 or 502-504"},
    {"errors_backwards", 8, 15,
     ROUTE("errors: [ 504-502 ]"),
     "routes[0].errors[0]: \"504-502\" is no known error; expected connect, timeout, reset, bad_response, or "
     "statuses from 300 to 599 such as 5xx, 429 or 502-504"},
    {"errors_twice", 8, 27,
     ROUTE("errors: [ 5xx, reset, reset ]"),
     "routes[0].errors[2]: \"reset\" stands here twice; expected it once"},
    {"depends_on_word", 8, 17,
     ROUTE("depends_on: planner\n    stages: [ { percent: 1 } ]"),
     "routes[0].depends_on: \"planner\" is a single value; expected a list of routes such as [planner]"},
    {"depends_on_nobody", 8, 17,
     ROUTE("depends_on: []\n    stages: [ { percent: 1 } ]"),
     "routes[0].depends_on: the list has 0 items; expected 1 to 16"},
    {"depends_on_too_many", 8, 17,
     ROUTE("depends_on: [ a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q ]\n    stages: [ { percent: 1 } ]"),
     "routes[0].depends_on: the list has 17 items; expected 1 to 16"},
    {"depends_on_unknown", 8, 19,
     ROUTE("depends_on: [ planner ]\n    stages: [ { percent: 1 } ]"),
     "routes[0].depends_on[0]: there is no route named \"planner\"; expected one of those in this file"},
    {"depends_on_itself", 8, 19,
     ROUTE("depends_on: [ r ]\n    stages: [ { percent: 1 } ]"),
     "routes[0].depends_on[0]: this is the route itself, which would wait for ever; expected another one"},
    {"depends_on_no_route", 8, 19,
     ROUTE("depends_on: [ { stage: x } ]\n    stages: [ { percent: 1 } ]"),
     "routes[0].depends_on[0]: no route is named; expected the name of a route, or { route: NAME, stage: NAME }"},
    {"depends_on_list", 8, 28,
     ROUTE("depends_on: [ { route: [ r ] } ]\n    stages: [ { percent: 1 } ]"),
     "routes[0].depends_on[0].route: this is a list; expected a name"},
    {"depends_on_of_a_fixed_share", 8, 28,
     BASE("routes:\n  - { name: planner, match: { path: /planner }, stages: [ { name: canary, percent: 1 }, { "
     "percent: 50 } ] }\n  - { name: b, depends_on: [ planner ] }\n"),
     "routes[1].depends_on: the route has a fixed share and no plan; expected stages beside it"},
    {"depends_on_a_fixed_share", 8, 58,
     BASE("routes:\n  - { name: planner, match: { path: /p } }\n  - { name: b, stages: [ { percent: 1 } ], "
     "depends_on: [ planner ] }\n"),
     "routes[1].depends_on[0]: the route \"planner\" has a fixed share and no plan to wait for; expected a "
     "route with stages"},
    {"depends_on_a_slip", 8, 110,
     BASE("routes:\n  - { name: planner, match: { path: /planner }, stages: [ { name: canary, percent: 1 }, { "
     "percent: 50 } ] }\n  - { name: b, match: { path: /b }, stages: [ { name: canary, percent: 1 }, { percent: "
     "50 } ], depends_on: [ plannr ] }\n"),
     "routes[1].depends_on[0]: there is no route named \"plannr\"; expected one of those in this file; did you "
     "mean planner?"},
    {"depends_on_bad_key", 8, 128,
     BASE("routes:\n  - { name: planner, match: { path: /planner }, stages: [ { name: canary, percent: 1 }, { "
     "percent: 50 } ] }\n  - { name: b, match: { path: /b }, stages: [ { name: canary, percent: 1 }, { percent: "
     "50 } ], depends_on: [ { route: planner, stages: canary } ] }\n"),
     "routes[1].depends_on[0]: the key \"stages\" is unknown; expected the name of a route, or { route: NAME, "
     "stage: NAME }"},
    {"depends_on_twice", 8, 119,
     BASE("routes:\n  - { name: planner, match: { path: /planner }, stages: [ { name: canary, percent: 1 }, { "
     "percent: 50 } ] }\n  - { name: b, match: { path: /b }, stages: [ { name: canary, percent: 1 }, { percent: "
     "50 } ], depends_on: [ planner, { route: planner, stage: canary } ] }\n"),
     "routes[1].depends_on[1]: \"planner\" stands here twice; expected it once"},
    {"depends_on_unknown_stage", 8, 110,
     BASE("routes:\n  - { name: planner, match: { path: /planner }, stages: [ { name: canary, percent: 1 }, { "
     "percent: 50 } ] }\n  - { name: b, match: { path: /b }, stages: [ { name: canary, percent: 1 }, { percent: "
     "50 } ], depends_on: [ { route: planner, stage: canry } ] }\n"),
     "routes[1].depends_on[0]: the route \"planner\" has no stage named \"canry\"; expected one of canary, 50%"},
    {"depends_on_each_other", 7, 110,
     BASE("routes:\n  - { name: a, match: { path: /a }, stages: [ { name: canary, percent: 1 }, { percent: 50 } "
     "], depends_on: [ b ] }\n  - { name: b, match: { path: /b }, stages: [ { name: canary, percent: 1 }, { "
     "percent: 50 } ], depends_on: [ a ] }\n"),
     "routes[0].depends_on: these plans would wait for each other for ever: a -> b -> a; expected no way back"},
    {"depends_on_in_a_ring", 8, 113,
     BASE("routes:\n  - { name: a, match: { path: /a }, stages: [ { name: canary, percent: 1 }, { percent: 50 } "
     "], depends_on: [ d ] }\n  - { name: b, match: { path: /b }, stages: [ { name: canary, percent: 1 }, { "
     "percent: 50 } ], depends_on: [ d, c ] }\n  - { name: c, match: { path: /c }, stages: [ { name: canary, "
     "percent: 1 }, { percent: 50 } ], depends_on: [ d, { route: e, stage: canary } ] }\n  - { name: d, match: "
     "{ path: /d }, stages: [ { name: canary, percent: 1 }, { percent: 50 } ] }\n  - { name: e, match: { path: "
     "/e }, stages: [ { name: canary, percent: 1 }, { percent: 50 } ], depends_on: [ b ] }\n"),
     "routes[1].depends_on: these plans would wait for each other for ever: b -> c -> e -> b; expected no way back"},
    {"freeze_backwards", 6, 9,
     BASE("freeze: \"2027-01-07 - 2026-12-20\"\n"),
     "freeze: \"2027-01-07 - 2026-12-20\": the end is not behind the beginning; expected a later end"},
    {"freeze_no_such_date", 6, 11,
     BASE("freeze: [ \"2026-12-20 18:00 - 2027-02-29 08:00 Europe/Berlin\" ]\n"),
     "freeze[0]: \"2026-12-20 18:00 - 2027-02-29 08:00 Euro...\": 2027-02-29 is no date; expected a date from "
     "2000-01-01 to 2199-12-31, such as 2026-12-24"},
    {"freeze_only_one_time", 6, 11,
     BASE("freeze: [ \"2026-12-20 18:00 - 2027-01-07 Europe/Berlin\" ]\n"),
     "freeze[0]: \"2026-12-20 18:00 - 2027-01-07 Europe/Ber...\": only one end has a time; expected a time at "
     "both ends, or at none for whole days"},
    {"freeze_trailing_text", 6, 11,
     BASE("freeze: [ \"2026-12-20 - 2027-01-07 Europe/Berlin please\" ]\n"),
     "freeze[0]: \"2026-12-20 - 2027-01-07 Europe/Berlin pl...\": please does not belong here; expected the end "
     "of the line behind the place"},
    {"notify_mapping", 6, 9,
     BASE("notify: { url: \"http://a/\" }\n"),
     "notify: this is a mapping; expected a list"},
    {"notify_without_url", 6, 11,
     BASE("notify: [ { format: slack } ]\n"),
     "notify[0].url: this key is missing; expected a URL"},
    {"notify_user", 6, 18,
     BASE("notify: [ { url: \"https://u:secret@a/b\" } ]\n"),
     "notify[0].url: the URL cannot be used: it holds a user or a password; expected http://HOST[:PORT][/PATH] "
     "or https://HOST[:PORT][/PATH]"},
    {"notify_relative", 6, 18,
     BASE("notify: [ { url: /hook } ]\n"),
     "notify[0].url: the URL cannot be used: it begins neither with http:// nor with https://; expected "
     "http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]"},
    {"notify_format", 6, 39,
     BASE("notify: [ { url: \"http://a/\", format: teams } ]\n"),
     "notify[0].format: \"teams\" is none of its words; expected json or slack"},
    {"notify_unknown_event", 6, 51,
     BASE("notify: [ { url: \"http://a/\", events: [ rollback, breaker_opened ] } ]\n"),
     "notify[0].events[1]: \"breaker_opened\" is no event; expected one of start, promote, pause, resume, "
     "freeze, rollback, restart, set_percent, reset_breaker, waiting_for_promote, "},
    {"notify_no_events", 6, 39,
     BASE("notify: [ { url: \"http://a/\", events: [] } ]\n"),
     "notify[0].events: the list is empty, so nothing would be told; expected a list of events such as "
     "[rollback, breaker_open], or no such key for every change of state"},
    {"notify_token_missing", 6, 43,
     BASE("notify: [ { url: \"http://a/\", token_file: /nonexistent/token } ]\n"),
     "notify[0].token_file: the file \"/nonexistent/token\" cannot be read: No such file or directory; expected "
     "a file with one line"},
    {"notify_timeout", 6, 40,
     BASE("notify: [ { url: \"http://a/\", timeout: 2m } ]\n"),
     "notify[0].timeout: 2m is too large; expected a duration from 10ms to 1m, such as 1s500ms (with d, h, m, s "
     "or ms)"},
};

/* clang-format on */

static void is_refused_once_at(const struct bad_file *bad, const char *text, size_t length)
{
    char place[64];
    struct config_errors errors = {0};
    struct config *config = config_parse("bad.yaml", text, length, &errors);
    (void)snprintf(place, sizeof(place), "bad.yaml:%u:%u: ", bad->line, bad->column);
    bool cut = strncmp(bad->said, "...", 3) == 0;
    bool once = config == NULL && errors.count == 1;
    bool there = once && strncmp(errors.lines[0], place, strlen(place)) == 0;
    const char *said = there ? errors.lines[0] + strlen(place) : "";
    if (!there || (cut ? strstr(said, bad->said) == NULL : strncmp(said, bad->said, strlen(bad->said)) != 0)) {
        print_error("%s: expected %s%s\n", bad->name, place, bad->said);
        for (size_t i = 0; i < errors.count; i++)
            print_error("    got: %s\n", errors.lines[i]);
        config_free(config);
        config_errors_free(&errors);
        fail_msg("%s", bad->name);
    }
    config_errors_free(&errors);
}

static void every_bad_file_is_refused_at_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++)
        is_refused_once_at(&bad_files[i], bad_files[i].text, strlen(bad_files[i].text));
}

static void nul_byte_is_refused(void **state)
{
    static const char text[] = "listeners:\n  -\0\n";
    static const struct bad_file bad = {"nul", 2, 4, text, "the file holds the control character 0x00; expected text"};
    (void)state;
    is_refused_once_at(&bad, text, sizeof(text) - 1);
}

static void every_truncation_is_refused_or_read(void **state)
{
    static const char text[] =
        ROUTE("match: { path: /a/**, headers: { X-A: [b, \"c\"] } }\n    stages: [ { percent: 12.5% } ]\n"
              "    overrides: [ { header: { A: b }, backend: new } ]");
    (void)state;
    for (size_t length = 0; length < sizeof(text); length++) {
        struct config_errors errors = {0};
        struct config *config = config_parse("cut.yaml", text, length, &errors);
        assert_true((config == NULL) == (errors.count > 0));
        config_free(config);
        config_errors_free(&errors);
    }
}

static void all_faults_are_told_in_the_order_of_their_place(void **state)
{
    static const char text[] = "listeners: []\n"
                               "workers: 0\n"
                               "timeouts: { idle: 60, drain: 1y }\n"
                               "backends:\n"
                               "  legacy: { url: \"htps://127.0.0.1\" }\n"
                               "rotues: []\n";
    static const char *const places[] = {
        "b.yaml:1:12: ", "b.yaml:2:10: ", "b.yaml:3:19: ", "b.yaml:3:30: ", "b.yaml:5:18: ", "b.yaml:6:1: "};
    struct config_errors errors = {0};
    (void)state;
    assert_null(config_parse("b.yaml", text, strlen(text), &errors));
    assert_int_equal(errors.count, sizeof(places) / sizeof(places[0]));
    for (size_t i = 0; i < errors.count; i++)
        assert_memory_equal(errors.lines[i], places[i], strlen(places[i]));
    config_errors_free(&errors);
}

static void very_many_faults_are_counted(void **state)
{
    static char text[64 * 1024];
    size_t len = 0;
    struct config_errors errors = {0};
    (void)state;
    for (unsigned i = 0; i < FAULT_LIMIT + 50; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "nonsense%u: 1\n", i);
    assert_null(config_parse("b.yaml", text, len, &errors));
    assert_int_equal(errors.count, FAULT_LIMIT + 1);
    /* listeners and backends are missing too */
    assert_string_equal(errors.lines[FAULT_LIMIT], "b.yaml: 52 more faults are not shown");
    config_errors_free(&errors);
}

/* The only fault of `text` is at this place and starts with these words. */
static void is_refused(const char *text, unsigned line, unsigned column, const char *said)
{
    const struct bad_file bad = {said, line, column, text, said};
    is_refused_once_at(&bad, text, strlen(text));
}

static void too_many_anchors_are_refused(void **state)
{
    static char text[32 * 1024];
    size_t len = (size_t)snprintf(text, sizeof(text), "listeners: [ ");
    (void)state;
    for (unsigned i = 0; i <= TREE_ANCHORS; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "&a%04u x,\n", i);
    (void)snprintf(text + len, sizeof(text) - len, "x ]\n");
    is_refused(text, TREE_ANCHORS + 1, 1, "listeners[1000]: there are more than 1000 anchors; expected fewer");
}

static void too_many_keys_and_values_are_refused(void **state)
{
    static char text[512 * 1024];
    size_t len = 0;
    (void)state;
    for (unsigned i = 0; i <= TREE_MAPPING_KEYS; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "k%u: 1\n", i);
    struct config_errors errors = {0};
    assert_null(config_parse("b.yaml", text, len, &errors));
    assert_string_equal(errors.lines[0], "b.yaml:1025:1: the mapping has more than 1024 keys; expected fewer");
    config_errors_free(&errors);
    len = (size_t)snprintf(text, sizeof(text), "listeners: [");
    for (unsigned i = 0; i <= TREE_NODES; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "x,");
    assert_null(config_parse("b.yaml", text, len, &errors));
    assert_string_equal(
        errors.lines[0],
        "b.yaml:1:200009: listeners[99998]: the file has more than 100000 values; expected a smaller file");
    config_errors_free(&errors);
}

/* `count` times `item` between two texts. */
static void is_refused_when_repeated(const char *before, const char *item, unsigned count, const char *after,
                                     const char *said)
{
    static char text[64 * 1024];
    struct config_errors errors = {0};
    size_t len = (size_t)snprintf(text, sizeof(text), "%s", before);
    for (unsigned i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, item, i);
    len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", after);
    assert_null(config_parse("b.yaml", text, len, &errors));
    assert_int_equal(errors.count, 1);
    if (strstr(errors.lines[0], said) == NULL)
        fail_msg("%s is not in %s", said, errors.lines[0]);
    config_errors_free(&errors);
}

static void long_lists_and_values_are_refused(void **state)
{
    (void)state;
    is_refused_when_repeated(BASE("routes: [ { name: r, match: { methods: [ "), "M%u, ", 257, "] } } ]\n",
                             "b.yaml:6:40: routes[0].match.methods: the list has 257 items; expected at most 256");
    is_refused_when_repeated(BASE("routes: [ { name: r, match: { headers: { "), "h%u: a, ", 33, "} } } ]\n",
                             "routes[0].match.headers: there are 33 names; expected at most 32");
    is_refused_when_repeated(BASE("routes: [ { name: r, overrides: [ "), "{ query: { a: b%u }, backend: new }, ", 257,
                             "] } ]\n", "routes[0].overrides: the list has 257 rules; expected at most 256");
    is_refused_when_repeated(BASE("routes: [ { name: r, sticky: [ "), "{ query: q%u }, ", 9, "] } ]\n",
                             "routes[0].sticky: the list has 9 items; expected 1 to 8");
    is_refused_when_repeated(BASE("state: { directory: \""), "%04u", 2049, "\" }\n",
                             "b.yaml:6:21: state.directory: the value has 8196 bytes; expected at most 8192");
    is_refused_when_repeated(BASE("routes: [ { name: r, match: { query: { "), "q%03u", 65, ": a } } } ]\n",
                             "is longer than 256 bytes; expected the name of a query parameter");
}

/* What is shown of a long value ends between two characters, not within one. */
static void shown_values_are_cut_between_characters(void **state)
{
    static const char text[] =
        BASE("workers: x\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
             "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\n");
    struct config_errors errors = {0};
    (void)state;
    assert_null(config_parse("b.yaml", text, strlen(text), &errors));
    assert_int_equal(errors.count, 1);
    assert_non_null(strstr(errors.lines[0], "\xc3\xa9...\" cannot be read"));
    config_errors_free(&errors);
}

static void too_many_secrets_are_refused(void **state)
{
    static char text[64 * 1024];
    size_t len = (size_t)snprintf(text, sizeof(text), BASE("routes:\n"));
    struct config_errors errors = {0};
    (void)state;
    for (unsigned i = 0; i < 11; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "  - name: r%u\n    match: { path: /%u, query: { q: [",
                                i, i);
        for (unsigned j = 0; j < 95; j++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "\"${HOME}%u\",", j);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "] } }\n");
    }
    assert_int_equal(setenv("HOME", "/root", 0), 0);
    assert_null(config_parse("b.yaml", text, len, &errors));
    assert_int_equal(errors.count, 1);
    assert_non_null(strstr(errors.lines[0], "more than 1000 values come from variables and files"));
    config_errors_free(&errors);
}

static void passwords_in_a_refused_url_are_not_told(void **state)
{
    static const char text[] = BACKEND("\"http://admin:hunter2@127.0.0.1\"");
    struct config_errors errors = {0};
    (void)state;
    assert_null(config_parse("b.yaml", text, strlen(text), &errors));
    assert_int_equal(errors.count, 1);
    assert_null(strstr(errors.lines[0], "hunter2"));
    config_errors_free(&errors);
}

static void paths_of_refused_webhooks_are_not_told(void **state)
{
    static const char text[] = BASE("notify:\n  - { url: \"https://a/services/hunter2 \" }\n"
                                    "  - { url: \"htps://a/services/hunter2\" }\n"
                                    "  - { url: \"https://u:hunter2@a/\" }\n"
                                    "routes: [ { name: r, gates: { webhook: { url: \"a/hunter2\" } } } ]\n");
    struct config_errors errors = {0};
    (void)state;
    assert_null(config_parse("b.yaml", text, strlen(text), &errors));
    assert_int_equal(errors.count, 4);
    for (size_t i = 0; i < errors.count; i++)
        assert_null(strstr(errors.lines[i], "hunter2"));
    config_errors_free(&errors);
}

static void values_of_variables_are_not_told(void **state)
{
    static const char text[] = BASE("workers: \"${SHUNT_TEST_SECRET}\"\n");
    struct config_errors errors = {0};
    (void)state;
    assert_int_equal(setenv("SHUNT_TEST_SECRET", "hunter2", 1), 0);
    assert_null(config_parse("b.yaml", text, strlen(text), &errors));
    assert_int_equal(errors.count, 1);
    assert_null(strstr(errors.lines[0], "hunter2"));
    assert_non_null(strstr(errors.lines[0], "${SHUNT_TEST_SECRET}"));
    config_errors_free(&errors);
    assert_int_equal(unsetenv("SHUNT_TEST_SECRET"), 0);
}

static void a_long_key_path_is_cut(void **state)
{
    struct faults faults;
    struct config_arena *arena = config_arena_new();
    (void)state;
    assert_non_null(arena);
    faults_init(&faults, arena, "f");
    for (unsigned i = 0; i < 200; i++)
        (void)faults_enter_key(&faults, "a-rather-long-key");
    assert_int_equal(faults.path_len, FAULT_PATH_BYTES - 1);
    size_t mark = faults_enter_item(&faults, 7);
    faults_leave(&faults, mark);
    faults_leave(&faults, 0);
    assert_string_equal(faults.path, "");
    config_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bad_file_is_refused_at_its_place),
        cmocka_unit_test(nul_byte_is_refused),
        cmocka_unit_test(every_truncation_is_refused_or_read),
        cmocka_unit_test(all_faults_are_told_in_the_order_of_their_place),
        cmocka_unit_test(very_many_faults_are_counted),
        cmocka_unit_test(too_many_anchors_are_refused),
        cmocka_unit_test(too_many_keys_and_values_are_refused),
        cmocka_unit_test(long_lists_and_values_are_refused),
        cmocka_unit_test(shown_values_are_cut_between_characters),
        cmocka_unit_test(too_many_secrets_are_refused),
        cmocka_unit_test(passwords_in_a_refused_url_are_not_told),
        cmocka_unit_test(paths_of_refused_webhooks_are_not_told),
        cmocka_unit_test(values_of_variables_are_not_told),
        cmocka_unit_test(a_long_key_path_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
