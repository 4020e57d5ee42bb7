/*
 * Heads of requests and responses, good, odd and hostile: each is read in one piece, byte by byte, and cut in two at
 * every place, with the same outcome; and each that is accepted must be accepted, with the same fields, by llhttp too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/proxy/h1_oracle.h"
#include "tests/proxy/h1_support.h"

struct head_case {
    const char *name;
    struct bytes bytes;
    uint16_t status;   /* 0: accepted */
    const char *facts; /* accepted: describe_*(); refused: the fault's name; "more": not complete */
    size_t by;         /* refused: seen at the latest when so many bytes are there; 0: at the end */
    bool alone;        /* llhttp refuses it, or reads it in another way: said in the comment beside it */
    int kind;          /* of read_in_pieces() */
};

static const struct config_limits limits = {.header_bytes = 2048, .header_count = 8, .uri_bytes = 256};

#define H     "Host: h\r\n"
#define X16   "xxxxxxxxxxxxxxxx"
#define X64   X16 X16 X16 X16
#define X256  X64 X64 X64 X64
#define X1024 X256 X256 X256 X256

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* most cases need only the first columns */
static const struct head_case requests[] = {
    /* plain ones */
    {"get", BYTES("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), 0, "GET / host:h 1.1 none 1"},
    {"query", BYTES("GET /a/b?c=d&e HTTP/1.1\r\n" H "\r\n"), 0, "GET /a/b?c=d&e host:h 1.1 none 1"},
    {"empty query", BYTES("GET /a? HTTP/1.1\r\n" H "\r\n"), 0, "GET /a? host:h 1.1 none 1"},
    {"two question marks", BYTES("GET /a?b?c HTTP/1.1\r\n" H "\r\n"), 0, "GET /a?b?c host:h 1.1 none 1"},
    {"double slash path", BYTES("GET //a//b HTTP/1.1\r\n" H "\r\n"), 0, "GET //a//b host:h 1.1 none 1"},
    {"head", BYTES("HEAD / HTTP/1.1\r\n" H "\r\n"), 0, "HEAD / host:h 1.1 none 1"},
    {"patch", BYTES("PATCH /x HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"), 0, "PATCH /x host:h 1.1 length:5 2"},
    {"report", BYTES("REPORT /x HTTP/1.1\r\n" H "\r\n"), 0, "REPORT /x host:h 1.1 none 1"},
    {"trace", BYTES("TRACE /x HTTP/1.1\r\n" H "\r\n"), 0, "TRACE /x host:h 1.1 none 1"},
    {"version control", BYTES("VERSION-CONTROL / HTTP/1.1\r\n" H "\r\n"), 0, "VERSION-CONTROL / host:h 1.1 none 1",
     .alone = true}, /* not in its list */
    {"two pipelined", BYTES("GET /1 HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n"), 0, "GET /1 host:h 1.1 none 1"},
    {"empty lines before", BYTES("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"), 0, "GET / host:h 1.1 none 1"},
    {"high bytes in path", BYTES("GET /\xc3\xa4?\xff HTTP/1.1\r\n" H "\r\n"), 0, "GET /\xc3\xa4?\xff host:h 1.1 none 1",
     .alone = true}, /* strict about URIs */
    {"odd bytes in path", BYTES("GET /{a}|\"<b>\\^` HTTP/1.1\r\n" H "\r\n"), 0, "GET /{a}|\"<b>\\^` host:h 1.1 none 1"},
    {"high bytes in value", BYTES("GET / HTTP/1.1\r\n" H "X: \xe4\xf6\r\n\r\n"), 0, "GET / host:h 1.1 none 2"},
    {"tab in value", BYTES("GET / HTTP/1.1\r\n" H "X: a\tb\tcdefghij\tk\r\n\r\n"), 0, "GET / host:h 1.1 none 2"},
    {"empty value", BYTES("GET / HTTP/1.1\r\n" H "X:\r\nY: \r\nZ: \t \r\n\r\n"), 0, "GET / host:h 1.1 none 4"},
    {"no blank, many blanks", BYTES("GET / HTTP/1.1\r\nHost:h\r\nX:  \t a  \r\n\r\n"), 0, "GET / host:h 1.1 none 2"},
    {"all token bytes", BYTES("GET / HTTP/1.1\r\n" H "!#$%&'*+-.^_`|~09azAZ: v\r\n\r\n"), 0, "GET / host:h 1.1 none 2"},
    {"duplicates stay", BYTES("GET / HTTP/1.1\r\n" H "A: 1\r\na: 2\r\nA: 1\r\n\r\n"), 0, "GET / host:h 1.1 none 4"},
    {"as many fields as allowed", BYTES("GET / HTTP/1.1\r\n" H "A:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\n\r\n"),
     0, "GET / host:h 1.1 none 8"},
    {"not yet complete", BYTES("GET / HTTP/1.1\r\n" H "\r"), 0, "more"},
    {"nothing yet", BYTES("GE"), 0, "more"},
    {"only empty lines", BYTES("\r\n\r\n"), 0, "more"},

    /* what comes first */
    {"tls hello", BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400, "tls_on_plain_port", 1},
    {"http2 preface", BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, "http2_preface", 14},
    {"preface with another version", BYTES("PRI * HTTP/1.1\r\n" H "\r\n"), 501, "method_unknown", 15},
    {"ssh", BYTES("SSH-2.0-OpenSSH_9.2\r\n"), 400, "not_http", 20},
    {"binary", BYTES("\x80\x01\x02\x03"), 400, "not_http", 1},
    {"space first", BYTES(" GET / HTTP/1.1\r\n" H "\r\n"), 400, "not_http", 1},
    {"json", BYTES("{\"a\":1}"), 400, "not_http", 1},
    {"bare lf first", BYTES("\nGET / HTTP/1.1\r\n" H "\r\n"), 400, "bare_lf", 1},
    {"bare cr first", BYTES("\rGET / HTTP/1.1\r\n" H "\r\n"), 400, "bare_cr", 2},
    {"two cr first", BYTES("\r\r\n"), 400, "bare_cr", 2},
    {"too many empty lines", BYTES("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"), 400, "empty_lines", 9},
    {"nul first", BYTES("\0GET / HTTP/1.1\r\n"), 400, "not_http", 1},

    /* methods */
    {"unknown method", BYTES("FOO / HTTP/1.1\r\n" H "\r\n"), 501, "method_unknown", 4},
    {"lower case", BYTES("get / HTTP/1.1\r\n" H "\r\n"), 501, "method_unknown", 4},
    {"mixed case", BYTES("Get / HTTP/1.1\r\n" H "\r\n"), 501, "method_unknown", 4},
    {"get and more", BYTES("GETX / HTTP/1.1\r\n" H "\r\n"), 501, "method_unknown", 5},
    {"half a get", BYTES("GE / HTTP/1.1\r\n" H "\r\n"), 501, "method_unknown", 3},
    {"long method", BYTES(X64 " / HTTP/1.1\r\n" H "\r\n"), 501, "method_unknown", 33},
    {"connect", BYTES("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"), 501, "connect_refused", 8},
    {"method with colon", BYTES("GET: / HTTP/1.1\r\n" H "\r\n"), 400, "not_http", 4},
    {"method then tab", BYTES("GET\t/ HTTP/1.1\r\n" H "\r\n"), 400, "not_http", 4},
    {"method then crlf", BYTES("GET\r\n\r\n"), 400, "not_http", 4},

    /* targets */
    {"no target", BYTES("GET  HTTP/1.1\r\n" H "\r\n"), 400, "target_form", 5},
    {"two spaces before target", BYTES("GET  / HTTP/1.1\r\n" H "\r\n"), 400, "target_form", 5},
    {"two spaces behind target", BYTES("GET /  HTTP/1.1\r\n" H "\r\n"), 400, "version_malformed", 7},
    {"space in target", BYTES("GET /a b HTTP/1.1\r\n" H "\r\n"), 400, "version_malformed", 8},
    {"tab in target", BYTES("GET /a\tb HTTP/1.1\r\n" H "\r\n"), 400, "target_byte", 7},
    {"nul in target", BYTES("GET /a\0b HTTP/1.1\r\n" H "\r\n"), 400, "target_byte", 7},
    {"del in target", BYTES("GET /a\x7f HTTP/1.1\r\n" H "\r\n"), 400, "target_byte", 7},
    {"control in target", BYTES("GET /abcdefghijklmnopqrstuvwxyz\x01 HTTP/1.1\r\n" H "\r\n"), 400, "target_byte", 32},
    {"fragment", BYTES("GET /a#b HTTP/1.1\r\n" H "\r\n"), 400, "target_fragment", 7},
    {"relative", BYTES("GET a HTTP/1.1\r\n" H "\r\n"), 400, "target_form", 6},
    {"star", BYTES("OPTIONS * HTTP/1.1\r\n" H "\r\n"), 0, "OPTIONS * host:h 1.1 none 1"},
    {"star with get", BYTES("GET * HTTP/1.1\r\n" H "\r\n"), 400, "target_form", 6},
    {"star and more", BYTES("OPTIONS *a HTTP/1.1\r\n" H "\r\n"), 400, "target_form", 11},
    {"authority form", BYTES("GET h:80 HTTP/1.1\r\n" H "\r\n"), 400, "target_form", 9},
    {"absolute", BYTES("GET http://a.b:80/c?d HTTP/1.1\r\nHost: a.b:80\r\n\r\n"), 0, "GET /c?d host:a.b:80 1.1 none 1"},
    {"absolute beats host", BYTES("GET http://a/c HTTP/1.1\r\nHost: other\r\n\r\n"), 0, "GET /c host:a 1.1 none 1"},
    {"absolute without path", BYTES("GET http://a HTTP/1.1\r\n" H "\r\n"), 0, "GET / host:a 1.1 none 1"},
    {"absolute, query only", BYTES("GET http://a?b HTTP/1.1\r\n" H "\r\n"), 0, "GET /?b host:a 1.1 none 1"},
    {"absolute, capitals", BYTES("GET HTTP://A/c HTTP/1.1\r\n" H "\r\n"), 0, "GET /c host:A 1.1 none 1"},
    {"absolute, https", BYTES("GET https://a/c HTTP/1.1\r\n" H "\r\n"), 0, "GET /c host:a 1.1 none 1"},
    {"absolute, ipv6", BYTES("GET http://[::1]:8/c HTTP/1.1\r\n" H "\r\n"), 0, "GET /c host:[::1]:8 1.1 none 1"},
    {"absolute, empty host field", BYTES("GET http://a/c HTTP/1.1\r\nHost:\r\n\r\n"), 0, "GET /c host:a 1.1 none 1"},
    {"absolute options", BYTES("OPTIONS http://a HTTP/1.1\r\n" H "\r\n"), 0, "OPTIONS * host:a 1.1 none 1"},
    {"absolute options with path", BYTES("OPTIONS http://a/ HTTP/1.1\r\n" H "\r\n"), 0, "OPTIONS / host:a 1.1 none 1"},
    {"absolute without host field", BYTES("GET http://a/c HTTP/1.1\r\n\r\n"), 400, "host_missing"},
    {"absolute without authority", BYTES("GET http:///c HTTP/1.1\r\n" H "\r\n"), 400, "target_authority", 14},
    {"absolute, port only", BYTES("GET http://:80/c HTTP/1.1\r\n" H "\r\n"), 400, "target_authority", 17},
    {"absolute, user", BYTES("GET http://u:p@a/c HTTP/1.1\r\n" H "\r\n"), 400, "target_authority", 19},
    {"absolute, user without password", BYTES("GET http://u@a/c HTTP/1.1\r\n" H "\r\n"), 400, "target_authority", 17},
    {"absolute, bad port", BYTES("GET http://a:99999/ HTTP/1.1\r\n" H "\r\n"), 400, "target_authority", 20},
    {"another scheme", BYTES("GET ftp://a/c HTTP/1.1\r\n" H "\r\n"), 400, "target_form", 14},
    {"target at its limit", BYTES("GET /" X64 X64 X64 X16 X16 X16 "xxxxxxxxxxxxxxx HTTP/1.1\r\n" H "\r\n"), 0,
     "GET /" X64 X64 X64 X16 X16 X16 "xxxxxxxxxxxxxxx host:h 1.1 none 1"},
    {"target too long", BYTES("GET /" X256 " HTTP/1.1\r\n" H "\r\n"), 414, "target_too_long", 261},
    {"target without end", BYTES("GET /" X1024 X1024), 414, "target_too_long", 261},

    /* versions */
    {"1.0", BYTES("GET / HTTP/1.0\r\n\r\n"), 0, "GET / host: 1.0 none close 0"},
    {"1.0 with host", BYTES("GET / HTTP/1.0\r\n" H "\r\n"), 0, "GET / host:h 1.0 none close 1"},
    {"1.0 keep-alive", BYTES("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), 0, "GET / host: 1.0 none 1"},
    {"1.0 keep-alive and close", BYTES("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), 0,
     "GET / host: 1.0 none close 1"},
    {"0.9", BYTES("GET /\r\n"), 400, "version_malformed", 6},
    {"0.9 with lf", BYTES("GET /\n"), 400, "version_malformed", 6},
    {"0.9 spelled out", BYTES("GET / HTTP/0.9\r\n" H "\r\n"), 505, "version_unsupported", 14},
    {"1.2", BYTES("GET / HTTP/1.2\r\n" H "\r\n"), 505, "version_unsupported", 14},
    {"2.0", BYTES("GET / HTTP/2.0\r\n" H "\r\n"), 505, "version_unsupported", 14},
    {"3.1", BYTES("GET / HTTP/3.1\r\n" H "\r\n"), 505, "version_unsupported", 14},
    {"1.10", BYTES("GET / HTTP/1.10\r\n" H "\r\n"), 400, "version_malformed", 15},
    {"1.1 and space", BYTES("GET / HTTP/1.1 \r\n" H "\r\n"), 400, "version_malformed", 15},
    {"lower case version", BYTES("GET / http/1.1\r\n" H "\r\n"), 400, "version_malformed", 7},
    {"another protocol", BYTES("GET / ICE/1.0\r\n" H "\r\n"), 400, "version_malformed", 7},
    {"no version", BYTES("GET / \r\n" H "\r\n"), 400, "version_malformed", 7},
    {"version too short", BYTES("GET / HTTP/1\r\n" H "\r\n"), 400, "version_malformed", 13},
    {"version with leading zero", BYTES("GET / HTTP/01.1\r\n" H "\r\n"), 400, "version_malformed", 13},
    {"lf behind version", BYTES("GET / HTTP/1.1\n" H "\r\n"), 400, "bare_lf", 15},
    {"cr behind version", BYTES("GET / HTTP/1.1\rHost: h\r\n\r\n"), 400, "bare_cr", 16},
    {"two cr behind version", BYTES("GET / HTTP/1.1\r\r\n" H "\r\n"), 400, "bare_cr", 16},

    /* field lines */
    {"lf ends a field", BYTES("GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"), 400, "bare_lf", 24},
    {"lf ends the head", BYTES("GET / HTTP/1.1\r\n" H "\n"), 400, "bare_lf", 26},
    {"lf cr lf", BYTES("GET / HTTP/1.1\r\nHost: h\n\r\n"), 400, "bare_lf", 24},
    {"cr in value", BYTES("GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n"), 400, "bare_cr", 31},
    {"cr cr lf", BYTES("GET / HTTP/1.1\r\n" H "X: a\r\r\n\r\n"), 400, "bare_cr", 31},
    {"cr in the empty line", BYTES("GET / HTTP/1.1\r\n" H "\r\r\n"), 400, "bare_cr", 27},
    {"cr then field", BYTES("GET / HTTP/1.1\r\n" H "\rX: y\r\n\r\n"), 400, "bare_cr", 27},
    {"nul in value", BYTES("GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n"), 400, "nul_byte", 30},
    {"nul in name", BYTES("GET / HTTP/1.1\r\n" H "X\0: a\r\n\r\n"), 400, "nul_byte", 27},
    {"control in value", BYTES("GET / HTTP/1.1\r\n" H "X: abcdefghi\x0b\r\n\r\n"), 400, "control_byte", 38},
    {"del in value", BYTES("GET / HTTP/1.1\r\n" H "X: abcdefghijklmnopqrst\x7f\r\n\r\n"), 400, "control_byte", 49},
    {"escape in value", BYTES("GET / HTTP/1.1\r\n" H "X: \x1b[31m\r\n\r\n"), 400, "control_byte", 29},
    {"fold", BYTES("GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n"), 400, "obs_fold", 32},
    {"fold with tab", BYTES("GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n"), 400, "obs_fold", 32},
    {"folded empty line", BYTES("GET / HTTP/1.1\r\n" H "X: a\r\n \r\n\r\n"), 400, "obs_fold", 32},
    {"space before first field", BYTES("GET / HTTP/1.1\r\n " H "\r\n"), 400, "space_before_field", 17},
    {"tab before first field", BYTES("GET / HTTP/1.1\r\n\tX: y\r\n" H "\r\n"), 400, "space_before_field", 17},
    {"space before colon", BYTES("GET / HTTP/1.1\r\nHost : h\r\n\r\n"), 400, "space_before_colon", 21},
    {"tab before colon", BYTES("GET / HTTP/1.1\r\n" H "Content-Length\t: 5\r\n\r\n"), 400, "space_before_colon", 40},
    {"space in name", BYTES("GET / HTTP/1.1\r\n" H "X Y: z\r\n\r\n"), 400, "space_before_colon", 27},
    {"no name", BYTES("GET / HTTP/1.1\r\n" H ": y\r\n\r\n"), 400, "field_name_empty", 26},
    {"no colon", BYTES("GET / HTTP/1.1\r\n" H "X\r\n\r\n"), 400, "no_colon", 27},
    {"no colon, lf", BYTES("GET / HTTP/1.1\r\n" H "X\n\r\n"), 400, "no_colon", 27},
    {"bracket in name", BYTES("GET / HTTP/1.1\r\n" H "X[0]: y\r\n\r\n"), 400, "field_name", 27},
    {"parenthesis in name", BYTES("GET / HTTP/1.1\r\n" H "X(): y\r\n\r\n"), 400, "field_name", 27},
    {"slash in name", BYTES("GET / HTTP/1.1\r\n" H "GET / HTTP/1.1: y\r\n\r\n"), 400, "space_before_colon", 29},
    {"quote in name", BYTES("GET / HTTP/1.1\r\n" H "\"X\": y\r\n\r\n"), 400, "field_name", 26},
    {"high byte in name", BYTES("GET / HTTP/1.1\r\n" H "X\xc3\xa4: y\r\n\r\n"), 400, "field_name", 27},
    {"control in name", BYTES("GET / HTTP/1.1\r\n" H "X\x01: y\r\n\r\n"), 400, "field_name", 27},
    {"high byte look-alike of a name",
     BYTES("GET / HTTP/1.1\r\n" H "Transfer\xad"
           "Encoding: chunked\r\n\r\n"),
     400, "field_name", 34},
    {"too many fields", BYTES("GET / HTTP/1.1\r\n" H "A:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\n\r\n"),
     431, "fields_too_many", 61},
    {"head too large", BYTES("GET / HTTP/1.1\r\n" H "X: " X1024 X1024 "\r\n\r\n"), 431, "head_too_large", 2048},
    {"endless name", BYTES("GET / HTTP/1.1\r\n" H X1024 X1024), 431, "head_too_large", 2048},
    {"endless blanks", BYTES("GET / HTTP/1.1\r\n" H "X:                                          " X1024 X1024), 431,
     "head_too_large", 2048},

    /* Host */
    {"no host", BYTES("GET / HTTP/1.1\r\n\r\n"), 400, "host_missing"},
    {"no host but others", BYTES("GET / HTTP/1.1\r\nX-Host: h\r\n\r\n"), 400, "host_missing"},
    {"two hosts", BYTES("GET / HTTP/1.1\r\n" H "Host: i\r\n\r\n"), 400, "host_duplicate"},
    {"two equal hosts", BYTES("GET / HTTP/1.1\r\n" H "host: h\r\n\r\n"), 400, "host_duplicate"},
    {"two hosts in 1.0", BYTES("GET / HTTP/1.0\r\n" H H "\r\n"), 400, "host_duplicate"},
    {"empty host", BYTES("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 400, "host_empty"},
    {"blank host", BYTES("GET / HTTP/1.1\r\nHost:   \r\n\r\n"), 400, "host_empty"},
    {"empty host with star", BYTES("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n"), 0, "OPTIONS * host: 1.1 none 1"},
    {"host with port", BYTES("GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n"), 0,
     "GET / host:a.example:8080 1.1 none 1"},
    {"host with empty port", BYTES("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), 0, "GET / host:a: 1.1 none 1"},
    {"host with underscore", BYTES("GET / HTTP/1.1\r\nHost: a_b.svc\r\n\r\n"), 0, "GET / host:a_b.svc 1.1 none 1"},
    {"host with percent", BYTES("GET / HTTP/1.1\r\nHost: a%2db\r\n\r\n"), 0, "GET / host:a%2db 1.1 none 1"},
    {"ipv4", BYTES("GET / HTTP/1.1\r\nHost: 10.0.0.1:1\r\n\r\n"), 0, "GET / host:10.0.0.1:1 1.1 none 1"},
    {"ipv6", BYTES("GET / HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n"), 0, "GET / host:[2001:db8::1]:443 1.1 none 1"},
    {"ipv6 open", BYTES("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), 400, "host_malformed"},
    {"ipv6 and more", BYTES("GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n"), 400, "host_malformed"},
    {"ipv6 with zone", BYTES("GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"), 400, "host_malformed"},
    {"host with space", BYTES("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400, "host_malformed"},
    {"host list", BYTES("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), 400, "host_malformed"},
    {"host list without blank", BYTES("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), 400, "host_malformed"},
    {"host with path", BYTES("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400, "host_malformed"},
    {"host with user", BYTES("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), 400, "host_malformed"},
    {"host with fragment", BYTES("GET / HTTP/1.1\r\nHost: a#b\r\n\r\n"), 400, "host_malformed"},
    {"host with scheme", BYTES("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n"), 400, "host_malformed"},
    {"host with backslash", BYTES("GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n"), 400, "host_malformed"},
    {"host with high byte", BYTES("GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n"), 400, "host_malformed"},
    {"host with bad percent", BYTES("GET / HTTP/1.1\r\nHost: a%2\r\n\r\n"), 400, "host_malformed"},
    {"host with two ports", BYTES("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"), 400, "host_malformed"},
    {"host with named port", BYTES("GET / HTTP/1.1\r\nHost: a:http\r\n\r\n"), 400, "host_malformed"},
    {"host with large port", BYTES("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"), 400, "host_malformed"},
    {"host with endless port", BYTES("GET / HTTP/1.1\r\nHost: a:00000000000000000080\r\n\r\n"), 400, "host_malformed"},
    {"port without host", BYTES("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), 400, "host_malformed"},
    {"bad host beside absolute target", BYTES("GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n"), 400, "host_malformed"},

    /* Content-Length */
    {"length zero", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"), 0, "POST / host:h 1.1 length:0 2"},
    {"largest length", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n"), 0,
     "POST / host:h 1.1 length:9223372036854775807 2"},
    {"length 2^63", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n"), 400,
     "content_length_too_large"},
    {"length 2^64 + 5", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551621\r\n\r\n"), 400,
     "content_length_too_large"},
    {"length of 30 digits", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 100000000000000000000000000005\r\n\r\n"),
     400, "content_length_too_large"},
    {"leading zeros", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 0010\r\n\r\n"), 0,
     "POST / host:h 1.1 length:10 2"},
    {"empty length", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: \r\n\r\n"), 400, "content_length_malformed"},
    {"negative length", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: -5\r\n\r\n"), 400, "content_length_malformed"},
    {"plus length", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n"), 400, "content_length_malformed"},
    {"hexadecimal length", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n"), 400,
     "content_length_malformed"},
    {"length with blank", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 1 0\r\n\r\n"), 400,
     "content_length_malformed"},
    {"length with point", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 5.0\r\n\r\n"), 400,
     "content_length_malformed"},
    {"length with letter", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 5a\r\n\r\n"), 400,
     "content_length_malformed"},
    {"two lengths", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), 400,
     "content_length_duplicate"},
    {"two equal lengths", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\ncontent-length: 5\r\n\r\n"), 400,
     "content_length_duplicate"},
    {"list of lengths", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n"), 400, "content_length_duplicate"},
    {"list of other lengths", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 5,6\r\n\r\n"), 400,
     "content_length_duplicate"},
    {"look-alike of a length", BYTES("POST / HTTP/1.1\r\n" H "Content_Length: 5\r\n\r\n"), 0,
     "POST / host:h 1.1 none 2"},

    /* Transfer-Encoding */
    {"chunked", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"), 0, "POST / host:h 1.1 chunked 2"},
    {"chunked in capitals", BYTES("POST / HTTP/1.1\r\n" H "TRANSFER-ENCODING:CHUNKED\r\n\r\n"), 0,
     "POST / host:h 1.1 chunked 2"},
    {"length then chunked", BYTES("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
     400, "content_length_and_transfer_encoding"},
    {"chunked then length", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
     400, "content_length_and_transfer_encoding"},
    {"length and unknown coding",
     BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n"), 400,
     "content_length_and_transfer_encoding"},
    {"chunked in 1.0", BYTES("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"), 400,
     "transfer_encoding_in_http10"},
    {"chunked twice", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"), 400,
     "transfer_encoding_order"},
    {"chunked in two fields",
     BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400,
     "transfer_encoding_order"},
    {"chunked not last", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n"), 400,
     "transfer_encoding_order"},
    {"chunked not last, two fields",
     BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"), 400,
     "transfer_encoding_order"},
    {"gzip, chunked", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501,
     "transfer_encoding_unknown"},
    {"gzip", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n"), 501, "transfer_encoding_unknown"},
    {"identity", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"), 501,
     "transfer_encoding_unknown"},
    {"xchunked", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"), 501,
     "transfer_encoding_unknown"},
    {"chunkedx", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunkedx\r\n\r\n"), 501,
     "transfer_encoding_unknown"},
    {"parameter with another coding", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: x;q=\"a\"\r\n\r\n"), 501,
     "transfer_encoding_unknown"},
    {"chunked with parameter", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;q=1\r\n\r\n"), 400,
     "transfer_encoding_malformed"},
    {"quoted chunked", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n"), 400,
     "transfer_encoding_malformed"},
    {"empty coding", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"), 400, "transfer_encoding_malformed"},
    {"comma behind chunked", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked,\r\n\r\n"), 400,
     "transfer_encoding_malformed"},
    {"comma before chunked", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: , chunked\r\n\r\n"), 400,
     "transfer_encoding_malformed"},
    {"vertical tab before chunked",
     BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
           "chunked\r\n\r\n"),
     400, "control_byte"},
    {"coding with blank before colon", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n"), 400,
     "space_before_colon"},
    {"folded chunked", BYTES("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n\r\n"), 400,
     "transfer_encoding_malformed"},

    /* Connection, Upgrade, Expect */
    {"close", BYTES("GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n"), 0, "GET / host:h 1.1 none close 2"},
    {"close in a list", BYTES("GET / HTTP/1.1\r\n" H "Connection: x ,\tCLOSE\r\n\r\n"), 0,
     "GET / host:h 1.1 none close 2"},
    {"close in the second", BYTES("GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\nConnection: close\r\n\r\n"), 0,
     "GET / host:h 1.1 none close 3"},
    {"closed is not close", BYTES("GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n"), 0, "GET / host:h 1.1 none 2"},
    {"proxy-connection means nothing", BYTES("GET / HTTP/1.1\r\n" H "Proxy-Connection: close\r\n\r\n"), 0,
     "GET / host:h 1.1 none 2", .alone = true}, /* reads it as Connection */
    {"empty elements", BYTES("GET / HTTP/1.1\r\n" H "Connection: ,, ,\r\n\r\n"), 0, "GET / host:h 1.1 none 2"},
    {"connection with blank in option", BYTES("GET / HTTP/1.1\r\n" H "Connection: a b\r\n\r\n"), 400,
     "connection_malformed"},
    {"connection quoted", BYTES("GET / HTTP/1.1\r\n" H "Connection: \"close\"\r\n\r\n"), 400, "connection_malformed"},
    {"connection with 65 options",
     BYTES("GET / HTTP/1.1\r\n" H "Connection: a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,"
           "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a\r\n\r\n"),
     400, "connection_options"},
    {"websocket", BYTES("GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), 0,
     "GET / host:h 1.1 none upgrade:websocket 3"},
    {"websocket from a browser",
     BYTES("GET / HTTP/1.1\r\n" H "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket/13\r\n\r\n"), 0,
     "GET / host:h 1.1 none upgrade:WebSocket/13 3"},
    {"upgrade with body",
     BYTES("POST / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nabc"), 0,
     "POST / host:h 1.1 length:3 upgrade:x 4"},
    {"upgrade without connection", BYTES("GET / HTTP/1.1\r\n" H "Upgrade: websocket\r\n\r\n"), 0,
     "GET / host:h 1.1 none 2"},
    {"connection without upgrade", BYTES("GET / HTTP/1.1\r\n" H "Connection: upgrade\r\n\r\n"), 0,
     "GET / host:h 1.1 none 2"},
    {"upgrade in 1.0", BYTES("GET / HTTP/1.0\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"), 0,
     "GET / host:h 1.0 none close 3"},
    {"h2c is no upgrade",
     BYTES("GET / HTTP/1.1\r\n" H
           "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"),
     0, "GET / host:h 1.1 none 4"},
    {"h2c and another", BYTES("GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: H2C, websocket\r\n\r\n"), 0,
     "GET / host:h 1.1 none upgrade:websocket 3"},
    {"malformed upgrade is none", BYTES("GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: a b, c/, /d\r\n\r\n"),
     0, "GET / host:h 1.1 none 3"},
    {"continue", BYTES("POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n"), 0,
     "POST / host:h 1.1 continue length:3 3"},
    {"continue in 1.0", BYTES("POST / HTTP/1.0\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"), 0,
     "POST / host:h 1.0 length:3 close 3"},
    {"expect something else", BYTES("POST / HTTP/1.1\r\n" H "Expect: 200-ok\r\nContent-Length: 3\r\n\r\n"), 417,
     "expectation"},
    {"expect two things", BYTES("POST / HTTP/1.1\r\n" H "Expect: 100-continue, x\r\n\r\n"), 417, "expectation"},
    {"somebody's shadow", BYTES("GET / HTTP/1.1\r\n" H "x-shunt-shadow: 1\r\n\r\n"), 0,
     "GET / host:h 1.1 shadow none 2"},
    {"trailers wanted", BYTES("GET / HTTP/1.1\r\n" H "TE: gzip, Trailers\r\nConnection: te\r\n\r\n"), 0,
     "GET / host:h 1.1 trailers none 3"},
};

static const struct head_case responses[] = {
    {"ok", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), 0, "200 OK 1.1 length:5 1", .kind = 1},
    {"long reason", BYTES("HTTP/1.1 404 Not Found, sorry\t\xe4\r\nContent-Length: 0\r\n\r\n"), 0,
     "404 Not Found, sorry\t\xe4 1.1 length:0 1", .kind = 1},
    {"empty reason", BYTES("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), 0, "200  1.1 length:0 1", .kind = 1},
    {"no blank before no reason", BYTES("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), 0, "200  1.1 length:0 1",
     .kind = 1},
    {"chunked", BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), 0, "200 OK 1.1 chunked 1", .kind = 1},
    {"until close", BYTES("HTTP/1.1 200 OK\r\n\r\n"), 0, "200 OK 1.1 until-close close 0", .kind = 1},
    {"1.0", BYTES("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n"), 0, "200 OK 1.0 length:2 close 1", .kind = 1},
    {"1.0 keep-alive", BYTES("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n"), 0,
     "200 OK 1.0 length:2 2", .kind = 1},
    {"1.0 keep-alive without length", BYTES("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"), 0,
     "200 OK 1.0 until-close close 1", .kind = 1},
    {"close", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"), 0,
     "200 OK 1.1 length:2 close 2", .kind = 1},
    {"head with length", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), 0, "200 OK 1.1 none:5 1", .kind = 2},
    {"head with chunked", BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), 0, "200 OK 1.1 none 1",
     .kind = 2},
    {"head without either", BYTES("HTTP/1.1 200 OK\r\n\r\n"), 0, "200 OK 1.1 none 0", .kind = 2},
    {"204", BYTES("HTTP/1.1 204 No Content\r\n\r\n"), 0, "204 No Content 1.1 none 0", .kind = 1},
    {"204 with length zero", BYTES("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), 0,
     "204 No Content 1.1 none:0 1", .kind = 1},
    {"204 with length", BYTES("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"), 502, "body_forbidden",
     .kind = 1},
    {"204 chunked", BYTES("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 502,
     "body_forbidden", .kind = 1},
    {"304 with length", BYTES("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), 0,
     "304 Not Modified 1.1 none:5 1", .kind = 1},
    {"304 chunked", BYTES("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"), 0,
     "304 Not Modified 1.1 none 1", .kind = 1},
    {"205", BYTES("HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n"), 0, "205 Reset 1.1 length:0 1", .kind = 1},
    {"100", BYTES("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), 0, "100 Continue 1.1 none 0", .kind = 1},
    {"103", BYTES("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), 0, "103 Early Hints 1.1 none 1", .kind = 1},
    {"100 with length", BYTES("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n"), 502, "body_forbidden", .kind = 1},
    {"103 chunked", BYTES("HTTP/1.1 103 Hi\r\nTransfer-Encoding: chunked\r\n\r\n"), 502, "body_forbidden", .kind = 1},
    {"101", BYTES("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), 0,
     "101 Switching Protocols 1.1 none upgrade:websocket 2", .kind = 1},
    {"101 with length", BYTES("HTTP/1.1 101 X\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\n"), 502, "body_forbidden",
     .kind = 1},
    {"upgrade in a 200 is none", BYTES("HTTP/1.1 200 OK\r\nUpgrade: h2\r\nContent-Length: 0\r\n\r\n"), 0,
     "200 OK 1.1 length:0 2", .kind = 1},
    {"599", BYTES("HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n"), 0, "599 X 1.1 length:0 1", .kind = 1},
    {"999", BYTES("HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n"), 0, "999 X 1.1 length:0 1", .kind = 1},
    {"expect means nothing", BYTES("HTTP/1.1 200 OK\r\nExpect: x\r\nContent-Length: 0\r\n\r\n"), 0,
     "200 OK 1.1 length:0 2", .kind = 1},
    {"several hosts mean nothing", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nHost: a b\r\n\r\n"), 0,
     "200 OK 1.1 length:0 2", .kind = 1},
    {"not complete", BYTES("HTTP/1.1 200 OK\r\nContent-Le"), 0, "more", .kind = 1},

    {"no status line", BYTES("Hello, world\r\n"), 502, "status_line", 2, .kind = 1},
    {"http/0.9 body", BYTES("<html>"), 502, "status_line", 1, .kind = 1},
    {"shoutcast", BYTES("ICY 200 OK\r\n\r\n"), 502, "status_line", 1, .kind = 1},
    {"2.0", BYTES("HTTP/2.0 200 OK\r\n\r\n"), 502, "version_unsupported", 8, .kind = 1},
    {"1.2", BYTES("HTTP/1.2 200 OK\r\n\r\n"), 502, "version_unsupported", 8, .kind = 1},
    {"lower case", BYTES("http/1.1 200 OK\r\n\r\n"), 502, "status_line", 1, .kind = 1},
    {"no minor version", BYTES("HTTP/1 200 OK\r\n\r\n"), 502, "status_line", 7, .kind = 1},
    {"two blanks", BYTES("HTTP/1.1  200 OK\r\n\r\n"), 502, "status_line", 10, .kind = 1},
    {"tab", BYTES("HTTP/1.1\t200 OK\r\n\r\n"), 502, "status_line", 9, .kind = 1},
    {"two digits", BYTES("HTTP/1.1 20 OK\r\n\r\n"), 502, "status_line", 12, .kind = 1},
    {"four digits", BYTES("HTTP/1.1 2000 OK\r\n\r\n"), 502, "status_line", 13, .kind = 1},
    {"letters", BYTES("HTTP/1.1 2OO OK\r\n\r\n"), 502, "status_line", 11, .kind = 1},
    {"negative", BYTES("HTTP/1.1 -20 OK\r\n\r\n"), 502, "status_line", 10, .kind = 1},
    {"status 099", BYTES("HTTP/1.1 099 OK\r\n\r\n"), 502, "status_code", 12, .kind = 1},
    {"status 000", BYTES("HTTP/1.1 000 OK\r\n\r\n"), 502, "status_code", 12, .kind = 1},
    {"empty line first", BYTES("\r\nHTTP/1.1 200 OK\r\n\r\n"), 502, "status_line", 1, .kind = 1},
    {"lf behind status", BYTES("HTTP/1.1 200\nX: y\r\n\r\n"), 502, "bare_lf", 13, .kind = 1},
    {"lf behind reason", BYTES("HTTP/1.1 200 OK\nX: y\r\n\r\n"), 502, "bare_lf", 16, .kind = 1},
    {"cr in reason", BYTES("HTTP/1.1 200 O\rK\r\n\r\n"), 502, "bare_cr", 16, .kind = 1},
    {"nul in reason", BYTES("HTTP/1.1 200 O\0K\r\n\r\n"), 502, "nul_byte", 15, .kind = 1},
    {"control in reason", BYTES("HTTP/1.1 200 O\x02\r\n\r\n"), 502, "control_byte", 15, .kind = 1},
    {"second status line", BYTES("HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\n\r\n"), 502, "field_name", 22, .kind = 1},
    {"fold", BYTES("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"), 502, "obs_fold", .kind = 1},
    {"space before colon", BYTES("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n"), 502, "space_before_colon",
     .kind = 1},
    {"bare lf in fields", BYTES("HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n"), 502, "bare_lf", .kind = 1},
    {"two lengths", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), 502,
     "content_length_duplicate", .kind = 1},
    {"two equal lengths", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"), 502,
     "content_length_duplicate", .kind = 1},
    {"list of lengths", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n"), 502, "content_length_duplicate",
     .kind = 1},
    {"negative length", BYTES("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), 502, "content_length_malformed",
     .kind = 1},
    {"length and chunked", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), 502,
     "content_length_and_transfer_encoding", .kind = 1},
    {"length and chunked to head", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
     502, "content_length_and_transfer_encoding", .kind = 2},
    {"gzip, chunked", BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), 502,
     "transfer_encoding_unknown", .kind = 1},
    {"identity", BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n"), 502, "transfer_encoding_unknown",
     .kind = 1},
    {"chunked twice", BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 502,
     "transfer_encoding_order", .kind = 1},
    {"chunked in 1.0", BYTES("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), 502,
     "transfer_encoding_in_http10", .kind = 1},
    {"too many fields", BYTES("HTTP/1.1 200 OK\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\n\r\n"),
     502, "fields_too_many", .kind = 1},
    {"too large", BYTES("HTTP/1.1 200 OK\r\nA: " X1024 X1024 "\r\n\r\n"), 502, "head_too_large", 2048, .kind = 1},
    {"endless reason", BYTES("HTTP/1.1 200 " X1024 X1024 "\r\n\r\n"), 502, "head_too_large", 2048, .kind = 1},
};

/* ---- llhttp, which reads the same bytes ---- */

static void check_with_llhttp(const struct head_case *c, const struct reading *reading)
{
    struct oracle oracle = ask_oracle(c->kind == 0, c->bytes);
    if (!oracle.complete)
        fail_msg("%s: llhttp refuses it: %s", c->name, oracle.reason);
    struct line plain;
    without_marks(&plain, &reading->fields);
    assert_string_equal(oracle.fields.text, plain.text);
    assert_int_equal(oracle.minor, strstr(reading->facts.text, " 1.1 ") != NULL);
}

/* ---- the checks of one case ---- */

static void check_outcome(const struct head_case *c, const struct reading *reading, const char *how)
{
    if (c->status != 0) {
        if (reading->result != H1_BAD)
            fail_msg("%s, %s: not refused, but %s", c->name, how, reading->facts.text);
        if (strcmp(reading->fault, c->facts) != 0 || reading->status != c->status)
            fail_msg("%s, %s: refused with %u %s instead of %u %s", c->name, how, reading->status, reading->fault,
                     c->status, c->facts);
        return;
    }
    if (reading->result == H1_BAD)
        fail_msg("%s, %s: refused with %s", c->name, how, reading->fault);
    if (strcmp(c->facts, "more") == 0) {
        assert_int_equal(reading->result, H1_MORE);
        return;
    }
    if (reading->result != H1_DONE)
        fail_msg("%s, %s: not complete", c->name, how);
    if (strcmp(reading->facts.text, c->facts) != 0)
        fail_msg("%s, %s: read as '%s' instead of '%s'", c->name, how, reading->facts.text, c->facts);
}

static void check_case(struct h1_parser *parser, const struct head_case *c)
{
    struct reading whole = read_in_pieces(parser, &limits, c->kind, c->bytes, c->bytes.len, 1);
    check_outcome(c, &whole, "whole");
    struct reading bytewise = read_in_pieces(parser, &limits, c->kind, c->bytes, 0, 1);
    check_outcome(c, &bytewise, "byte by byte");
    if (c->by != 0 && bytewise.seen != c->by)
        fail_msg("%s: refused at byte %zu instead of %zu", c->name, bytewise.seen, c->by);
    if (whole.result == H1_DONE) {
        assert_int_equal(whole.head_bytes, bytewise.head_bytes);
        assert_string_equal(whole.fields.text, bytewise.fields.text);
        assert_memory_equal(c->bytes.at + whole.head_bytes - 4, "\r\n\r\n", 4);
    }
    for (size_t cut = 1; cut < c->bytes.len; cut++) {
        struct reading two = read_in_pieces(parser, &limits, c->kind, c->bytes, cut, c->bytes.len);
        check_outcome(c, &two, "in two pieces");
        assert_string_equal(whole.fields.text, two.fields.text);
    }
    if (whole.result == H1_DONE && !c->alone)
        check_with_llhttp(c, &whole);
}

static void check_table(const struct head_case *cases, size_t count)
{
    struct h1_parser *parser = h1_parser_new(&limits);
    assert_non_null(parser);
    for (size_t i = 0; i < count; i++)
        check_case(parser, &cases[i]);
    h1_parser_free(parser);
}

static void reads_requests(void **state)
{
    (void)state;
    check_table(requests, sizeof(requests) / sizeof(requests[0]));
}

static void reads_responses(void **state)
{
    (void)state;
    check_table(responses, sizeof(responses) / sizeof(responses[0]));
}

/* ---- single facts ---- */

static struct h1_parser *parser_with(const char *text, bool request)
{
    static const struct config_limits wide = {.header_bytes = 65536, .header_count = 300, .uri_bytes = 65536};
    struct h1_parser *parser = h1_parser_new(&wide);
    assert_non_null(parser);
    if (request)
        h1_parser_start_request(parser, &wide);
    else
        h1_parser_start_response(parser, &wide, false);
    size_t head_bytes;
    assert_int_equal(h1_parser_read(parser, text, strlen(text), &head_bytes), H1_DONE);
    return parser;
}

static void check_fields(const char *text, bool request, const char *expected)
{
    struct h1_parser *parser = parser_with(text, request);
    struct line line;
    describe_fields(&line, h1_parser_head(parser), "!");
    assert_string_equal(line.text, expected);
    h1_parser_free(parser);
}

static void marks_hop_by_hop_fields(void **state)
{
    (void)state;
    check_fields(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: x-a, X-C\r\nX-A: 1\r\nX-B: 2\r\nx-c: 3\r\nx-a: 4\r\nKeep-Alive: 5\r\n"
        "TE: trailers\r\nTrailer: X\r\nProxy-Connection: x\r\nUpgrade: y\r\n\r\n",
        true,
        "Host=h;Connection=x-a, X-C!;X-A=1!;X-B=2;x-c=3!;x-a=4!;Keep-Alive=5!;TE=trailers!;Trailer=X;"
        "Proxy-Connection=x!;Upgrade=y!;");
}

static void connection_cannot_take_essential_fields(void **state)
{
    (void)state;
    check_fields(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: host, cookie, Authorization, X-Forwarded-For, x-forwarded-port,"
        "content-length, x-real-ip, x-request-id, x-own\r\nCookie: a\r\nAuthorization: b\r\nX-Forwarded-For: c\r\n"
        "X-Forwarded-Port: 1\r\nContent-Length: 0\r\nX-Real-IP: d\r\nX-Request-Id: e\r\nX-Own: f\r\n\r\n",
        true,
        "Host=h;Connection=host, cookie, Authorization, X-Forwarded-For, x-forwarded-port,content-length, x-real-ip, "
        "x-request-id, x-own!;Cookie=a;Authorization=b;X-Forwarded-For=c;X-Forwarded-Port=1;Content-Length=0;"
        "X-Real-IP=d;X-Request-Id=e;X-Own=f!;");
}

static void knows_what_methods_promise(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool get, head_method, safe, idempotent;
    } cases[] = {
        {"GET / HTTP/1.0\r\n\r\n", true, false, true, true},
        {"HEAD / HTTP/1.0\r\n\r\n", false, true, true, true},
        {"POST / HTTP/1.0\r\n\r\n", false, false, false, false},
        {"PUT / HTTP/1.0\r\n\r\n", false, false, false, true},
        {"DELETE / HTTP/1.0\r\n\r\n", false, false, false, true},
        {"PATCH / HTTP/1.0\r\n\r\n", false, false, false, false},
        {"OPTIONS / HTTP/1.0\r\n\r\n", false, false, true, true},
        {"PROPFIND / HTTP/1.0\r\n\r\n", false, false, true, true},
        {"LOCK / HTTP/1.0\r\n\r\n", false, false, false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct h1_parser *parser = parser_with(cases[i].head, true);
        const struct head *head = h1_parser_head(parser);
        assert_int_equal(head->is_get, cases[i].get);
        assert_int_equal(head->is_head, cases[i].head_method);
        assert_int_equal(head->is_safe, cases[i].safe);
        assert_int_equal(head->is_idempotent, cases[i].idempotent);
        assert_false(head->is_connect);
        h1_parser_free(parser);
    }
}

static void copes_with_other_limits(void **state)
{
    (void)state;
    struct config_limits small = {.header_bytes = 100, .header_count = 1, .uri_bytes = 10};
    struct config_limits large = {.header_bytes = 65536, .header_count = 300, .uri_bytes = 10};
    char text[8192] = "GET / HTTP/1.1\r\nHost: h\r\n";
    size_t length = strlen(text), head_bytes;
    for (int i = 1; i < 300; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "X-%d: %d\r\n", i, i);
    length += (size_t)snprintf(text + length, sizeof(text) - length, "\r\n");

    struct h1_parser *parser = h1_parser_new(&small);
    assert_non_null(parser);
    h1_parser_start_request(parser, &small);
    assert_int_equal(h1_parser_read(parser, text, length, &head_bytes), H1_BAD);
    assert_string_equal(h1_parser_fault(parser)->name, "fields_too_many");
    h1_parser_start_request(parser, &large);
    assert_int_equal(h1_parser_read(parser, text, length, &head_bytes), H1_DONE);
    assert_int_equal(h1_parser_head(parser)->field_count, 300);
    h1_parser_start_request(parser, &small);
    assert_int_equal(h1_parser_read(parser, text, length, &head_bytes), H1_BAD);
    assert_int_equal(h1_parser_read(parser, text, length, &head_bytes), H1_BAD);
    h1_parser_free(parser);
}

static void a_refused_head_leaves_nothing_behind(void **state)
{
    (void)state;
    struct h1_parser *parser = h1_parser_new(&limits);
    assert_non_null(parser);
    static const struct bytes bad =
        BYTES("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n:");
    static const struct bytes good = BYTES("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    struct reading reading = read_in_pieces(parser, &limits, 0, bad, 0, 1);
    assert_int_equal(reading.result, H1_BAD);
    reading = read_in_pieces(parser, &limits, 0, good, 0, 1);
    assert_string_equal(reading.facts.text, "GET / host:h 1.1 none 1");
    h1_parser_free(parser);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_requests),
        cmocka_unit_test(reads_responses),
        cmocka_unit_test(marks_hop_by_hop_fields),
        cmocka_unit_test(connection_cannot_take_essential_fields),
        cmocka_unit_test(knows_what_methods_promise),
        cmocka_unit_test(copes_with_other_limits),
        cmocka_unit_test(a_refused_head_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
