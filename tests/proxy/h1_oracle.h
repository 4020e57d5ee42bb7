/*
 * llhttp as a second reader of message heads: a well-kept parser that knows nothing of ours. What ours accepts, it must
 * accept with the same fields.
 */
#ifndef SHUNT_TESTS_H1_ORACLE_H
#define SHUNT_TESTS_H1_ORACLE_H

#include <llhttp.h>

#include "tests/proxy/h1_support.h"

struct oracle {
    struct line fields;
    bool in_value;
    bool complete;
    int minor;
    const char *reason; /* of a refusal */
};

static inline int on_name(llhttp_t *llhttp, const char *at, size_t length)
{
    struct oracle *oracle = llhttp->data;
    if (oracle->in_value)
        line_add(&oracle->fields, ";");
    oracle->in_value = false;
    line_add(&oracle->fields, "%.*s", (int)length, at);
    return 0;
}

static inline int on_value(llhttp_t *llhttp, const char *at, size_t length)
{
    struct oracle *oracle = llhttp->data;
    while (length > 0 && (at[length - 1] == ' ' || at[length - 1] == '\t'))
        length--;
    if (!oracle->in_value)
        line_add(&oracle->fields, "=");
    oracle->in_value = true;
    line_add(&oracle->fields, "%.*s", (int)length, at);
    return 0;
}

static inline int on_complete(llhttp_t *llhttp)
{
    struct oracle *oracle = llhttp->data;
    if (oracle->in_value)
        line_add(&oracle->fields, ";");
    oracle->complete = true;
    return HPE_PAUSED;
}

/* Reads one head that is there as a whole. */
static inline struct oracle ask_oracle(bool request, struct bytes bytes)
{
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_header_field = on_name;
    settings.on_header_value = on_value;
    settings.on_headers_complete = on_complete;
    struct oracle oracle = {.complete = false};
    llhttp_t llhttp;
    llhttp_init(&llhttp, request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    llhttp.data = &oracle;
    llhttp_execute(&llhttp, bytes.at, bytes.len);
    oracle.minor = llhttp.http_minor;
    oracle.reason = llhttp_get_error_reason(&llhttp);
    return oracle;
}

/* describe_fields() without its marks of hop-by-hop fields. */
static inline void without_marks(struct line *plain, const struct line *fields)
{
    plain->len = 0;
    plain->text[0] = '\0';
    for (const char *p = fields->text; *p != '\0'; p++)
        if (*p != MARK[0])
            line_add(plain, "%c", *p);
}

#endif
