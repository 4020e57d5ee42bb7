/*
 * The table of bytes behind h1_chars.h. One row per run of bytes that are alike.
 */
#include "proxy/h1_chars.h"

enum {
    ALNUM = H1_TOKEN | H1_TARGET | H1_REG_NAME | H1_QUOTED,
    MARK = H1_TOKEN | H1_TARGET | H1_REG_NAME | H1_QUOTED, /* a token byte that may stand in a host too */
};

const uint8_t h1_classes[256] = {
    ['\t'] = H1_QUOTED,
    [' '] = H1_QUOTED,
    ['!'] = MARK,
    ['"'] = H1_TARGET,
    ['#'] = H1_TOKEN | H1_QUOTED, /* a target has no fragment: RFC 9112 section 3.2 */
    ['$'] = MARK,
    ['%'] = H1_TOKEN | H1_TARGET | H1_QUOTED, /* in a host only before two digits: h1_target.c looks */
    ['&' ... '\''] = MARK,
    ['(' ... ')'] = H1_TARGET | H1_REG_NAME | H1_QUOTED,
    ['*' ... '+'] = MARK,
    [','] = H1_TARGET | H1_QUOTED,
    ['-' ... '.'] = MARK,
    ['/'] = H1_TARGET | H1_QUOTED,
    ['0' ... '9'] = ALNUM | H1_HEX | H1_DIGIT,
    [':'] = H1_TARGET | H1_QUOTED,
    [';'] = H1_TARGET | H1_REG_NAME | H1_QUOTED,
    ['<'] = H1_TARGET | H1_QUOTED,
    ['='] = H1_TARGET | H1_REG_NAME | H1_QUOTED,
    ['>' ... '@'] = H1_TARGET | H1_QUOTED,
    ['A' ... 'F'] = ALNUM | H1_HEX,
    ['G' ... 'Z'] = ALNUM,
    ['['] = H1_TARGET | H1_QUOTED,
    ['\\'] = H1_TARGET,
    [']'] = H1_TARGET | H1_QUOTED,
    ['^'] = H1_TOKEN | H1_TARGET | H1_QUOTED,
    ['_'] = MARK,
    ['`'] = H1_TOKEN | H1_TARGET | H1_QUOTED,
    ['a' ... 'f'] = ALNUM | H1_HEX,
    ['g' ... 'z'] = ALNUM,
    ['{'] = H1_TARGET | H1_QUOTED,
    ['|'] = H1_TOKEN | H1_TARGET | H1_QUOTED,
    ['}'] = H1_TARGET | H1_QUOTED,
    ['~'] = MARK,
    [0x80 ... 0xff] = H1_TARGET | H1_QUOTED,
};
