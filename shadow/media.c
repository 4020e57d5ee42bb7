/*
 * Media types: see media.h. A table, first match wins; what is not in it is bytes. Pure; used on the compare thread.
 */
#include "shadow/media.h"

#include <strings.h>

/* By how they begin and end. RFC 6839 for the suffixes. */
static const struct {
    const char *start, *end;
    enum media_kind kind;
} kinds[] = {
    {"application/grpc", "", MEDIA_GRPC},
    {"application/x-protobuf", "", MEDIA_PROTOBUF},
    {"application/protobuf", "", MEDIA_PROTOBUF},
    {"application/x-google-protobuf", "", MEDIA_PROTOBUF},
    {"application/vnd.google.protobuf", "", MEDIA_PROTOBUF},
    {"application/json-seq", "", MEDIA_JSON_SEQUENCE},
    {"", "+json-seq", MEDIA_JSON_SEQUENCE},
    {"application/x-ndjson", "", MEDIA_JSON_LINES},
    {"application/ndjson", "", MEDIA_JSON_LINES},
    {"application/jsonl", "", MEDIA_JSON_LINES},
    {"application/jsonlines", "", MEDIA_JSON_LINES},
    {"application/x-jsonlines", "", MEDIA_JSON_LINES},
    {"application/json", "/json", MEDIA_JSON},
    {"text/json", "/json", MEDIA_JSON},
    {"", "+json", MEDIA_JSON},
    {"application/xml", "/xml", MEDIA_XML},
    {"text/xml", "/xml", MEDIA_XML},
    {"", "+xml", MEDIA_XML},
    {"application/x-www-form-urlencoded", "", MEDIA_FORM},
    {"text/", "", MEDIA_TEXT},
    {"application/json", "", MEDIA_TEXT},
    {"application/xml", "", MEDIA_TEXT},
    {"application/javascript", "", MEDIA_TEXT},
    {"application/ecmascript", "", MEDIA_TEXT},
    {"application/yaml", "", MEDIA_TEXT},
    {"application/x-yaml", "", MEDIA_TEXT},
    {"", "+yaml", MEDIA_TEXT},
    {"application/toml", "", MEDIA_TEXT},
    {"application/graphql", "", MEDIA_TEXT},
    {"application/sql", "", MEDIA_TEXT},
};

static bool ends_with(struct span text, const char *end)
{
    size_t len = strlen(end);
    return text.len >= len && strncasecmp(text.at + text.len - len, end, len) == 0;
}

static bool starts_with(struct span text, const char *start)
{
    size_t len = strlen(start);
    return text.len >= len && strncasecmp(text.at, start, len) == 0;
}

/* The type without its parameters. */
static struct span bare_type(struct span value)
{
    size_t len = 0;
    while (len < value.len && value.at[len] != ';' && value.at[len] != ' ' && value.at[len] != '\t')
        len++;
    return (struct span){value.at, len};
}

/* Without a Content-Type the first bytes have to do. */
static enum media_kind sniff(struct span body)
{
    while (body.len > 0 && body.at[0] != '\0' && strchr(" \t\r\n", body.at[0]) != NULL)
        body = (struct span){body.at + 1, body.len - 1};
    if (starts_with(body, "{") || starts_with(body, "["))
        return MEDIA_JSON;
    return starts_with(body, "<?xml") ? MEDIA_XML : MEDIA_BYTES;
}

enum media_kind media_kind_of(struct span content_type, struct span body)
{
    struct span type = bare_type(content_type);
    if (type.len == 0)
        return sniff(body);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (starts_with(type, kinds[i].start) && ends_with(type, kinds[i].end))
            return kinds[i].kind;
    return MEDIA_BYTES;
}
