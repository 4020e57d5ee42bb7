/*
 * The one place that speaks to libcurl in shunt itself. Called on the thread "notify" (notify.c), which decides when
 * and what; here is how. Of an answer the first bytes are kept; one without end is broken off, so that nobody can keep
 * the thread or the network busy until the timeout.
 */
#include "proxy/errand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/curl_library.h"
#include "router/utf8.h"

enum {
    HEADER_ROOM = 1024,
};

static size_t on_answer(char *bytes, size_t one, size_t count, void *context)
{
    struct errand *errand = context;
    size_t length = one * count, room = sizeof(errand->answer) - errand->length;
    size_t kept = length < room ? length : room;
    memcpy(errand->answer + errand->length, bytes, kept);
    errand->length += kept;
    errand->body += length;
    return errand->body <= ERRAND_READ ? length : 0; /* 0 breaks it off */
}

/* Each line of the head, of interim answers and of what follows a body in pieces, too. */
static size_t on_head(char *bytes, size_t one, size_t count, void *context)
{
    struct errand *errand = context;
    (void)bytes;
    errand->head += one * count;
    return errand->head <= ERRAND_READ ? one * count : 0;
}

/* ---- what is sent ---- */

/* A name from the file in a header: control characters, which could end it, become blanks. */
static bool add_header(struct errand *errand, const char *name, const char *value)
{
    char line[HEADER_ROOM];
    snprintf(line, sizeof(line), "%s: %s", name, value);
    for (char *at = line; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
    struct curl_slist *longer = libcurl.slist_append(errand->headers, line);
    if (longer != NULL)
        errand->headers = longer;
    return longer != NULL;
}

/* The token may be longer than other headers. */
static bool add_token(struct errand *errand, const char *token)
{
    char *line;
    if (asprintf(&line, "Authorization: Bearer %s", token) < 0)
        return false;
    struct curl_slist *longer = libcurl.slist_append(errand->headers, line);
    if (longer != NULL)
        errand->headers = longer;
    explicit_bzero(line, strlen(line));
    free(line);
    return longer != NULL;
}

static bool make_headers(struct errand *errand, const struct errand_request *request)
{
    libcurl.slist_free_all(errand->headers);
    errand->headers = NULL;
    return (request->body == NULL || add_header(errand, "Content-Type", "application/json")) &&
           (request->token == NULL || add_token(errand, request->token)) &&
           (request->route == NULL || (add_header(errand, "X-Shunt-Route", request->route) &&
                                       add_header(errand, "X-Shunt-Stage", request->stage)));
}

static bool add_query(CURLU *url, const char *name, const char *value)
{
    char *pair;
    if (asprintf(&pair, "%s=%s", name, value) < 0)
        return false;
    bool added = libcurl.url_set(url, CURLUPART_QUERY, pair, CURLU_APPENDQUERY | CURLU_URLENCODE) == CURLUE_OK;
    free(pair);
    return added;
}

/* To be freed with curl_free(); NULL without memory. */
static char *make_url(const struct errand_request *request)
{
    CURLU *url = libcurl.url();
    char *text = NULL;
    if (url != NULL && libcurl.url_set(url, CURLUPART_URL, request->url, 0) == CURLUE_OK &&
        (request->route == NULL ||
         (add_query(url, "route", request->route) && add_query(url, "stage", request->stage))))
        if (libcurl.url_get(url, CURLUPART_URL, &text, 0) != CURLUE_OK)
            text = NULL;
    libcurl.url_cleanup(url);
    return text;
}

#define SET(option, value) (good = good && libcurl.easy_setopt(easy, option, value) == CURLE_OK)

static bool set_options(struct errand *errand, const struct errand_request *request, const char *url)
{
    CURL *easy = errand->easy;
    const char *authorities = getenv("SSL_CERT_FILE");
    bool good = true;
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_USERAGENT, "shunt/" SHUNT_VERSION);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    SET(CURLOPT_HTTPHEADER, errand->headers);
    SET(CURLOPT_WRITEFUNCTION, on_answer);
    SET(CURLOPT_WRITEDATA, errand);
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, errand);
    SET(CURLOPT_PRIVATE, errand);
    if (authorities != NULL && authorities[0] != '\0')
        SET(CURLOPT_CAINFO, authorities);
#if LIBCURL_VERSION_NUM >= 0x075700
    SET(CURLOPT_QUICK_EXIT, 1L); /* a look-up that hangs is left behind, not waited for */
#endif
    if (request->body != NULL) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(request->body));
        SET(CURLOPT_COPYPOSTFIELDS, request->body);
    }
    return good;
}

bool errand_start(struct errand *errand, CURLM *multi, const struct errand_request *request,
                  void (*on_end)(void *owner, const struct errand_result *result), void *owner)
{
    if (errand->easy == NULL)
        errand->easy = libcurl.easy_init();
    if (errand->easy == NULL)
        return false;
    libcurl.easy_reset(errand->easy);
    char *url = make_headers(errand, request) ? make_url(request) : NULL;
    bool good = url != NULL && set_options(errand, request, url);
    libcurl.free(url);
    errand->on_end = on_end;
    errand->owner = owner;
    errand->length = errand->head = errand->body = 0;
    errand->under_way = good && libcurl.multi_add_handle(multi, errand->easy) == CURLM_OK;
    return errand->under_way;
}

/* ---- what comes back ---- */

/* Was the answer whole, or is what is missing of no interest? */
static bool is_answered(const struct errand *errand, CURLcode code)
{
    return code == CURLE_OK || (code == CURLE_WRITE_ERROR && errand->body > ERRAND_READ);
}

static const char *fault_of(const struct errand *errand, CURLcode code)
{
    return errand->head > ERRAND_READ ? "the head of the answer is too long" : libcurl.easy_strerror(code);
}

void errand_end(CURL *easy, CURLM *multi, CURLcode code)
{
    char *private = NULL;
    long status = 0;
    curl_off_t retry_after_s = 0;
    struct errand_result result = {0};
    libcurl.easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    struct errand *errand = (struct errand *)(void *)private;
    if (is_answered(errand, code)) {
        libcurl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        libcurl.easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_s);
        result.status = (unsigned)status;
        result.retry_after_s = retry_after_s > 0 ? (uint64_t)retry_after_s : 0;
    } else {
        result.fault = fault_of(errand, code);
    }
    libcurl.multi_remove_handle(multi, easy);
    errand->under_way = false;
    errand->on_end(errand->owner, &result);
}

void errand_done(struct errand *errand, CURLM *multi)
{
    if (errand->under_way)
        libcurl.multi_remove_handle(multi, errand->easy);
    if (errand->easy != NULL) { /* else libcurl may not even be open */
        libcurl.easy_cleanup(errand->easy);
        libcurl.slist_free_all(errand->headers);
    }
    *errand = (struct errand){0};
}

void errand_first_line(const struct errand *errand, char *line, size_t room)
{
    const char *at = errand->answer, *end = at + errand->length;
    size_t length = 0;
    while (at < end && (*at == '\r' || *at == '\n' || *at == ' ' || *at == '\t'))
        at++;
    while (at < end && *at != '\r' && *at != '\n') {
        size_t take = utf8_sequence(at, (size_t)(end - at));
        if (length + (take > 0 ? take : 1) >= room)
            break;
        bool plain = take > 1 || (take == 1 && (unsigned char)*at >= 0x20 && *at != 0x7f);
        if (plain)
            memcpy(line + length, at, take);
        else
            line[length] = '?';
        length += take > 0 ? take : 1;
        at += take > 0 ? take : 1;
    }
    while (length > 0 && line[length - 1] == ' ')
        length--;
    line[length] = '\0';
}
