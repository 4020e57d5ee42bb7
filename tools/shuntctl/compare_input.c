/*
 * Reader of recorded requests, for `compare`. Two formats are told apart by their first JSON value: an object with a
 * "log" is an HTTP archive; else each line is an object of its own, with the names curl users know: method, url (or
 * path), headers, body (or body_base64).
 *
 * Files come from browsers, proxies and scripts, so an entry that is no request is told and left out, and the others
 * are read on. Of a URL only path and query are kept: where requests go is for the command line to say.
 */
#include "tools/shuntctl/compare_input.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

enum {
    NESTING_MOST = 64, /* of one line, told before jansson recurses */
    HEADERS_MOST = 256
};

/* Of one connection, or made anew by the sender. */
static const char *const left_out[] = {"connection", "content-length",   "expect",
                                       "keep-alive", "proxy-connection", "te",
                                       "trailer",    "upgrade",          "transfer-encoding"};

static bool is_token(const char *at, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (at[i] == '\0' || (!isalnum((unsigned char)at[i]) && strchr("!#$%&'*+-.^_`|~", at[i]) == NULL))
            return false;
    return length > 0;
}

bool recorded_header_is_left_out(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
        if (strlen(left_out[i]) == length && strncasecmp(left_out[i], name, length) == 0)
            return true;
    return !is_token(name, length);
}

static void recorded_free(struct recorded *one)
{
    for (size_t i = 0; i < one->header_count; i++)
        free(one->headers[i]);
    free(one->headers);
    free(one->method);
    free(one->target);
    free(one->body);
}

void recording_free(struct recording *recording)
{
    for (size_t i = 0; i < recording->count; i++)
        recorded_free(&recording->at[i]);
    free(recording->at);
    *recording = (struct recording){.at = NULL};
}

/* ---- one request ---- */

/* What is wrong with an entry: static text; "" means memory. */
typedef const char *fault;

static fault take_method(struct recorded *one, const json_t *entry)
{
    const json_t *method = json_object_get(entry, "method");
    const char *text = method == NULL ? "GET" : json_string_value(method);
    if (text == NULL || !is_token(text, strlen(text)) || strlen(text) > 15)
        return "\"method\" is not a method";
    if (strcmp(text, "CONNECT") == 0)
        return "CONNECT opens a tunnel and has no answer to compare";
    one->method = strdup(text);
    return one->method != NULL ? NULL : "";
}

/* Path and query of a URL, borrowed from it; NULL: it is none. */
static const char *path_of(const char *url)
{
    if (url[0] == '/' && url[1] != '/')
        return url;
    const char *scheme = strstr(url, "://");
    if (scheme == NULL || scheme == url ||
        strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.") != (size_t)(scheme - url))
        return NULL;
    return scheme + 3 + strcspn(scheme + 3, "/?#");
}

static fault take_target(struct recorded *one, const json_t *entry)
{
    const char *url = json_string_value(json_object_get(entry, "url"));
    if (url == NULL)
        url = json_string_value(json_object_get(entry, "path"));
    if (url == NULL)
        return "no \"url\"";
    const char *path = path_of(url);
    if (path == NULL)
        return "\"url\" is neither a URL nor a path that begins with a slash";
    char *to = one->target = malloc(3 * strlen(path) + 2);
    if (to == NULL)
        return "";
    if (*path != '/')
        *to++ = '/';
    for (; *path != '\0' && *path != '#'; path++) {
        unsigned char c = (unsigned char)*path;
        if (c < 0x20 || c == 0x7f)
            return "\"url\" has a control character in it";
        if (c == ' ' || c >= 0x80)
            to += sprintf(to, "%%%02X", c);
        else
            *to++ = (char)c;
    }
    *to = '\0';
    return NULL;
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return true;
    return false;
}

static fault add_header(struct recorded *one, const char *name, const json_t *value)
{
    char number[32];
    const char *text = json_string_value(value);
    if (json_is_integer(value)) {
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        text = number;
    }
    if (name == NULL || text == NULL)
        return "\"headers\" has one without name or value";
    if (name[0] == ':')
        return NULL; /* of HTTP/2: method, path and authority are told elsewhere */
    if (!is_token(name, strlen(name)) || has_control(text))
        return "\"headers\" has one that cannot stand in a request";
    if (recorded_header_is_left_out(name, strlen(name)))
        return NULL;
    if (one->header_count == HEADERS_MOST)
        return "more than 256 headers";
    if (asprintf(&one->headers[one->header_count], "%s%s%s", name, text[0] != '\0' ? ": " : ";", text) < 0)
        return "";
    one->header_count++;
    return NULL;
}

/* {"name": value, "name": [value, value]} */
static fault take_header_members(struct recorded *one, json_t *headers)
{
    const char *name;
    json_t *value, *each;
    fault found = NULL;
    json_object_foreach(headers, name, value)
    {
        size_t i;
        if (found != NULL)
            break;
        if (!json_is_array(value))
            found = add_header(one, name, value);
        json_array_foreach(value, i, each)
        {
            found = found != NULL ? found : add_header(one, name, each);
        }
    }
    return found;
}

/* [{"name": ..., "value": ...}, ...] as in HAR, or [["name", "value"], ...] */
static fault take_header_list(struct recorded *one, const json_t *headers)
{
    const json_t *line;
    size_t i;
    fault found = NULL;
    json_array_foreach(headers, i, line)
    {
        bool named = json_is_object(line);
        const json_t *name = named ? json_object_get(line, "name") : json_array_get(line, 0);
        const json_t *value = named ? json_object_get(line, "value") : json_array_get(line, 1);
        found = found != NULL ? found : add_header(one, json_string_value(name), value);
    }
    return found;
}

static fault take_headers(struct recorded *one, const json_t *entry)
{
    json_t *headers = json_object_get(entry, "headers");
    if (headers == NULL || json_is_null(headers))
        return NULL;
    one->headers = calloc(HEADERS_MOST, sizeof(*one->headers));
    if (one->headers == NULL)
        return "";
    if (json_is_object(headers))
        return take_header_members(one, headers);
    return json_is_array(headers) ? take_header_list(one, headers) : "\"headers\" is neither an object nor a list";
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(digits, c);
    return at == NULL ? -1 : (int)(at - digits);
}

/* What JSON cannot hold as it is: a protobuf message, a gRPC body. */
static fault take_base64(struct recorded *one, const json_t *body)
{
    const char *text = json_string_value(body);
    size_t digits = 0;
    uint32_t bits = 0;
    if (text == NULL)
        return "a body in base64 is not a string";
    char *to = one->body = malloc(strlen(text) / 4 * 3 + 4);
    if (to == NULL)
        return "";
    for (; base64_digit(*text) >= 0; text++) {
        bits = bits << 6 | (uint32_t)base64_digit(*text);
        if (++digits % 4 != 1)
            *to++ = (char)(bits >> (digits % 4 == 2 ? 4 : digits % 4 == 3 ? 2 : 0));
    }
    if (digits % 4 == 1 || strspn(text, "=") != strlen(text))
        return "a body in base64 is none";
    one->body_length = (size_t)(to - one->body);
    return NULL;
}

/* "body" or "body_base64" of a line, "postData.text" of HAR; an object is sent as JSON. */
static fault take_body(struct recorded *one, const json_t *entry)
{
    const json_t *body = json_object_get(entry, "body"), *posted = json_object_get(entry, "postData");
    const json_t *base64 = json_object_get(entry, "body_base64");
    const char *encoding = json_string_value(json_object_get(posted, "encoding"));
    if (body == NULL)
        body = json_object_get(posted, "text");
    if (base64 == NULL && encoding != NULL && strcasecmp(encoding, "base64") == 0)
        base64 = body;
    if (base64 != NULL && !json_is_null(base64))
        return take_base64(one, base64);
    if (body == NULL || json_is_null(body))
        return NULL;
    one->body =
        json_is_string(body) ? strdup(json_string_value(body)) : json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
    one->body_length = one->body != NULL ? strlen(one->body) : 0;
    return one->body != NULL ? NULL : "";
}

static fault take_request(struct recorded *one, const json_t *entry)
{
    fault (*const steps[])(struct recorded *, const json_t *) = {take_method, take_target, take_headers, take_body};
    if (!json_is_object(entry))
        return "not a JSON object";
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        fault found = steps[i](one, entry);
        if (found != NULL)
            return found;
    }
    return NULL;
}

/* ---- many ---- */

struct reader {
    struct recording *recording;
    const char *name;
    void (*tell)(void *context, const char *sentence);
    void *context;
};

static bool tell(struct reader *reader, const char *where, size_t number, const char *what)
{
    char *sentence = NULL;
    reader->recording->bad++;
    if (asprintf(&sentence, "%s:%s%zu: %s", reader->name, where, number, what) < 0)
        return false;
    reader->tell(reader->context, sentence);
    free(sentence);
    return true;
}

/* False without memory. */
static bool add_entry(struct reader *reader, const json_t *entry, const char *where, size_t number)
{
    struct recording *recording = reader->recording;
    if (recording->count == recording->room) {
        size_t room = recording->room * 2 + 64;
        struct recorded *at = realloc(recording->at, room * sizeof(*at));
        if (at == NULL)
            return false;
        recording->at = at;
        recording->room = room;
    }
    struct recorded *one = &recording->at[recording->count];
    *one = (struct recorded){.method = NULL};
    fault found = take_request(one, entry);
    if (found == NULL) {
        recording->count++;
        return true;
    }
    recorded_free(one);
    return found[0] != '\0' && tell(reader, where, number, found);
}

static bool add_archive(struct reader *reader, const json_t *log)
{
    const json_t *entries = json_object_get(log, "entries"), *entry;
    size_t i;
    if (!json_is_array(entries))
        return tell(reader, " entry ", 0, "an HTTP archive without \"log.entries\"");
    json_array_foreach(entries, i, entry)
    {
        if (!add_entry(reader, json_object_get(entry, "request"), " entry ", i + 1))
            return false;
    }
    return true;
}

/* Is it nested deeper than any request? Counts brackets outside of strings. */
static bool is_deep(const char *at, size_t length)
{
    unsigned depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        if (quoted && at[i] == '\\')
            i++;
        else if (at[i] == '"')
            quoted = !quoted;
        else if (!quoted && (at[i] == '{' || at[i] == '[') && ++depth > NESTING_MOST)
            return true;
        else if (!quoted && (at[i] == '}' || at[i] == ']') && depth > 0)
            depth--;
    }
    return false;
}

static bool tell_not_json(struct reader *reader, size_t number, const json_error_t *error)
{
    char what[JSON_ERROR_TEXT_LENGTH + 32];
    snprintf(what, sizeof(what), "not JSON: %s", error->text);
    for (char *c = what; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return tell(reader, "", number, what);
}

static bool add_line(struct reader *reader, const char *at, size_t length, size_t number)
{
    json_error_t error;
    if (strspn(at, " \t\r") >= length)
        return true;
    if (is_deep(at, length))
        return tell(reader, "", number, "nested too deeply");
    json_t *entry = json_loadb(at, length, 0, &error);
    if (entry == NULL)
        return tell_not_json(reader, number, &error);
    bool done = add_entry(reader, entry, "", number);
    json_decref(entry);
    return done;
}

static bool add_lines(struct reader *reader, const char *text, size_t length)
{
    size_t number = 0;
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        size_t line = end != NULL ? (size_t)(end - text) : length;
        if (!add_line(reader, text, line, ++number))
            return false;
        text += line + (end != NULL);
        length -= line + (end != NULL);
    }
    return true;
}

/* An archive that was cut off or edited: told once, rather than as a thousand lines that are no requests. */
static bool looks_like_archive(const char *text, size_t length)
{
    static const char log[] = "\"log\"", entries[] = "\"entries\"";
    return text[strspn(text, " \t\r\n")] == '{' &&
           memmem(text, length < 256 ? length : 256, log, sizeof(log) - 1) != NULL &&
           memmem(text, length, entries, sizeof(entries) - 1) != NULL;
}

/* `text` is NUL-terminated behind `length`, so that looking for blanks ends. */
static bool parse(struct reader *reader, const char *text, size_t length)
{
    json_error_t error;
    json_t *first = json_loadb(text, length, JSON_DISABLE_EOF_CHECK, &error);
    const json_t *log = json_object_get(first, "log");
    if (first == NULL && looks_like_archive(text, length))
        return tell_not_json(reader, error.line > 0 ? (size_t)error.line : 1, &error);
    bool done = json_is_object(log) ? add_archive(reader, log) : add_lines(reader, text, length);
    json_decref(first);
    return done;
}

bool recording_parse(struct recording *recording, const char *name, const char *text, size_t length,
                     void (*tell_fault)(void *context, const char *sentence), void *context)
{
    struct reader reader = {.recording = recording, .name = name, .tell = tell_fault, .context = context};
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        text += 3;
        length -= 3;
    }
    char *copy = malloc(length + 1);
    if (copy == NULL)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    bool done = parse(&reader, copy, length);
    free(copy);
    return done;
}
