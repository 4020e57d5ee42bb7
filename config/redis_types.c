/*
 * Types of state.redis: its URL, and who asks.
 *
 * Called through the table of keys only. A password is shown nowhere: not in a fault, and in --dump only where it came
 * from. It may stand in the URL, beside it, or in a file; check_redis.c sees to it that it is one of them.
 */
#include "config/types.h"

#include <stdio.h>
#include <string.h>

#include "config/loader.h"
#include "config/redis_url.h"
#include "config/secret.h"
#include "config/texts.h"
#include "config/writer.h"

static const char mask[] = "***";

static bool has_origin(const struct writer *writer, const char *text)
{
    return writer->config != NULL && config_secret_origin(writer->config, text) != NULL;
}

/* ---- url ---- */

/* "${NAME}" and nothing else. */
static bool is_one_variable(const char *text, size_t len)
{
    return len > 3 && strncmp(text, "${", 2) == 0 && memchr(text, '}', len) == text + len - 1;
}

/* May where the URL came from be shown instead of it? Not where a password stands there in clear beside a variable. */
static bool origin_is_clean(const struct node *scalar)
{
    if (scalar->origin == NULL || scalar->origin[0] == '{') /* { file: PATH } */
        return true;
    struct redis_url_part password = redis_url_user(scalar->raw).password;
    return is_one_variable(scalar->raw, strlen(scalar->raw)) ||
           (password.at != NULL && is_one_variable(password.at, password.len));
}

static void read_url(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    struct config_redis *redis = base;
    const struct node *scalar = loader_scalar(loader, node, "a URL such as redis://HOST:PORT/0");
    struct redis_url_fault fault = {0};
    (void)key;
    if (scalar == NULL)
        return;
    if (redis_url_read(loader->arena, scalar->text, redis, &fault)) {
        struct node shown = *scalar;
        if (!origin_is_clean(scalar))
            shown.origin = NULL;
        redis->url = loader_text(loader, &shown);
    } else if (fault.why == NULL) {
        faults_no_memory(loader->faults);
    } else {
        loader_fault(loader, scalar->place, "the URL cannot be used: %s; expected %s", fault.why, fault.expected);
    }
}

static void write_url(struct writer *writer, const struct config_key *key, const void *base)
{
    const char *url = *KEY_CONST_FIELD(char *, key, base);
    struct redis_url_part password = redis_url_user(url).password;
    char shown[TREE_SCALAR_BYTES + sizeof(mask)];
    if (has_origin(writer, url) || password.at == NULL) {
        writer_value(writer, url);
        return;
    }
    (void)snprintf(shown, sizeof(shown), "%.*s%s%s", (int)(password.at - url), url, mask, password.at + password.len);
    writer_value(writer, shown);
}

const struct config_type type_redis_url = {.name = "a URL of Redis", .read = read_url, .write = write_url};

/* ---- username, password ---- */

static void read_secret(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "a text that is not empty";
    const struct node *scalar = loader_scalar(loader, node, expected);
    if (scalar == NULL)
        return;
    if (scalar->text[0] != '\0')
        *KEY_FIELD(const char *, key, base) = loader_text(loader, scalar);
    else
        loader_fault(loader, scalar->place, "it is empty; expected %s", expected);
}

static bool name_stands_beside(const struct config_key *key, const void *base)
{
    const char *url = ((const struct config_redis *)base)->url;
    return *KEY_CONST_FIELD(char *, key, base) != NULL && (url == NULL || redis_url_user(url).name.at == NULL);
}

static bool password_stands_beside(const struct config_key *key, const void *base)
{
    const char *url = ((const struct config_redis *)base)->url;
    return *KEY_CONST_FIELD(char *, key, base) != NULL && (url == NULL || redis_url_user(url).password.at == NULL);
}

static void write_password(struct writer *writer, const struct config_key *key, const void *base)
{
    const char *password = *KEY_CONST_FIELD(char *, key, base);
    writer_value(writer, has_origin(writer, password) ? password : mask);
}

const struct config_type type_redis_username = {
    .name = "a text", .read = read_secret, .write = key_write_text, .is_set = name_stands_beside};
const struct config_type type_redis_password = {
    .name = "a text", .read = read_secret, .write = write_password, .is_set = password_stands_beside};

/* ---- password_file ---- */

/* The content is only looked at here: it is read again whenever a connection is made. */
static void read_password_file(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    const struct node *scalar = loader_scalar(loader, node, "the path of a file");
    const char *content = scalar == NULL ? NULL : loader_secret(loader, scalar->text, scalar->place);
    const char *full = content == NULL ? NULL : loader_resolve(loader, scalar->text);
    if (full != NULL && loader_keep_path(loader, full, scalar))
        *KEY_FIELD(const char *, key, base) = full;
}

const struct config_type type_redis_password_file = {
    .name = "a path", .read = read_password_file, .write = key_write_text, .is_set = key_text_is_set};
