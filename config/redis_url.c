/*
 * The URL of state.redis, taken apart.
 *
 * Called by the type of its key (redis_types.c) alone. What is between the scheme and the first / is the authority,
 * what is before its last @ the user: a password that holds one of / ? # @ % must have it as %XX, and is told so.
 */
#include "config/redis_url.h"

#include <stdint.h>
#include <string.h>

#include "config/scalar.h"

enum {
    PORT_OF_REDIS = 6379,
    PORT_OF_SENTINEL = 26379,
};

static const char any_form[] = "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], unix:///PATH[?db=DATABASE], "
                               "redis+sentinel://HOST[,HOST...]/MASTER[/DATABASE] or redis+cluster://HOST[,HOST...], "
                               "with rediss in place of redis "
                               "for TLS";

static const struct scheme {
    const char *prefix;
    enum config_redis_kind kind;
    bool is_tls;
    bool is_path;
} schemes[] = {
    {"redis://", REDIS_STANDALONE, false, false},        {"rediss://", REDIS_STANDALONE, true, false},
    {"unix://", REDIS_STANDALONE, false, true},          {"redis+sentinel://", REDIS_SENTINEL, false, false},
    {"rediss+sentinel://", REDIS_SENTINEL, true, false}, {"redis+cluster://", REDIS_CLUSTER, false, false},
    {"rediss+cluster://", REDIS_CLUSTER, true, false},
};

struct reading {
    struct config_arena *arena;
    struct redis_url_fault *fault;
    struct config_redis redis;
};

static bool refuse(struct reading *reading, const char *why, const char *expected)
{
    *reading->fault = (struct redis_url_fault){.why = why, .expected = expected};
    return false;
}

static const struct scheme *scheme_of(const char *text)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strncmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) == 0)
            return &schemes[i];
    }
    return NULL;
}

/* ---- user and password ---- */

/* The last @ of the authority, or NULL: there is no user. */
static const char *end_of_user(const char *authority)
{
    return memrchr(authority, '@', strcspn(authority, "/?#"));
}

struct redis_url_user redis_url_user(const char *url)
{
    struct redis_url_user user = {0};
    const char *scheme_end = strstr(url, "://");
    const char *start = scheme_end == NULL ? NULL : scheme_end + strlen("://");
    const char *end = start == NULL ? NULL : end_of_user(start);
    if (end == NULL)
        return user;
    const char *colon = memchr(start, ':', (size_t)(end - start));
    const char *name_end = colon != NULL ? colon : end;
    if (name_end > start)
        user.name = (struct redis_url_part){start, (size_t)(name_end - start)};
    if (colon != NULL)
        user.password = (struct redis_url_part){colon + 1, (size_t)(end - colon - 1)};
    return user;
}

static int digit_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
    return found == NULL ? -1 : (int)(found - digits);
}

/* The part's text with each %XX as the byte it stands for; NULL with the fault. */
static const char *decode(struct reading *reading, struct redis_url_part part)
{
    char *text = config_arena_text(reading->arena, part.at, part.len);
    char *to = text;
    if (text == NULL)
        (void)refuse(reading, NULL, NULL);
    for (const char *from = text; text != NULL && *from != '\0'; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        int high = digit_of(from[1]);
        int low = high < 0 ? -1 : digit_of(from[2]);
        if (low < 0) {
            (void)refuse(reading, "a % is not followed by two hexadecimal digits", "%25 for a % itself");
            return NULL;
        }
        if (high == 0 && low == 0) {
            (void)refuse(reading, "%00 stands for a byte that no name, password or path holds",
                         "a URL without it; password_file takes what a URL cannot");
            return NULL;
        }
        *to++ = (char)(high * 16 + low);
        from += 2;
    }
    if (text != NULL)
        *to = '\0';
    return text;
}

static bool read_user(struct reading *reading, const char *text)
{
    struct redis_url_user user = redis_url_user(text);
    if (user.name.at == NULL && user.password.at == NULL)
        return refuse(reading, "there is neither user nor password before the @",
                      "USER:PASSWORD@ or :PASSWORD@, or no @");
    if (user.password.at != NULL && user.password.len == 0)
        return refuse(reading, "the password behind the : is empty",
                      "the password, or no : and the key password or password_file");
    if (user.name.at != NULL && (reading->redis.username = decode(reading, user.name)) == NULL)
        return false;
    return user.password.at == NULL || (reading->redis.password = decode(reading, user.password)) != NULL;
}

/* ---- hosts ---- */

static bool read_host(struct reading *reading, const char *text, size_t len)
{
    static const char expected[] = "HOST or HOST:PORT, with an IPv6 address between [ and ]";
    struct config_redis_host *host = &reading->redis.hosts[reading->redis.host_count];
    struct config_address address = {.port = reading->redis.kind == REDIS_SENTINEL ? PORT_OF_SENTINEL : PORT_OF_REDIS};
    const char *copy = config_arena_text(reading->arena, text, len);
    const char *why = NULL;
    if (copy == NULL || !scalar_host_port(reading->arena, copy, &address, &why))
        return refuse(reading, why, expected);
    if (address.port == 0)
        return refuse(reading, "port 0 cannot be connected to", expected);
    *host = (struct config_redis_host){.host = address.host, .port = address.port};
    reading->redis.host_count++;
    return true;
}

static bool read_hosts(struct reading *reading, const char *text, size_t len)
{
    size_t count = 1;
    for (size_t i = 0; i < len; i++)
        count += text[i] == ',' ? 1 : 0;
    if (count > 1 && reading->redis.kind == REDIS_STANDALONE)
        return refuse(reading, "there are several hosts, and no way is given to choose one",
                      "redis+sentinel:// or redis+cluster:// before them, or one host");
    if (count > REDIS_HOSTS_MOST)
        return refuse(reading, "there are more than 64 hosts", "some of them: the others are found through these");
    reading->redis.hosts = config_arena_take(reading->arena, count, sizeof(*reading->redis.hosts));
    if (reading->redis.hosts == NULL)
        return refuse(reading, NULL, NULL);
    for (size_t at = 0; at <= len;) {
        const char *comma = memchr(text + at, ',', len - at);
        size_t one = comma == NULL ? len - at : (size_t)(comma - text) - at;
        if (!read_host(reading, text + at, one))
            return false;
        at += one + 1;
    }
    return true;
}

/* ---- what is behind the hosts ---- */

static bool read_database(struct reading *reading, const char *text)
{
    uint64_t number = 0;
    if (text[0] != '\0' && (scalar_count(text, &number) != SCALAR_OK || number > REDIS_DATABASE_MOST))
        return refuse(reading, "the database is no number from 0 to 65535", "a number such as 0, or none");
    if (number != 0 && reading->redis.kind == REDIS_CLUSTER)
        return refuse(reading, "a cluster has no other database than 0", "a URL that ends with the hosts");
    reading->redis.database = (uint32_t)number;
    return true;
}

/* Sentinel allows letters, digits, ".", "-" and "_" in the name of a master. */
static bool read_master(struct reading *reading, const char *text, size_t len)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
    static const char expected[] = "/MASTER behind the sentinels, as in their `sentinel monitor MASTER ...`";
    if (len == 0)
        return refuse(reading, "the name of the master is missing", expected);
    reading->redis.master = config_arena_text(reading->arena, text, len);
    if (reading->redis.master == NULL)
        return refuse(reading, NULL, NULL);
    if (reading->redis.master[strspn(reading->redis.master, letters)] != '\0')
        return refuse(reading,
                      "the name of the master holds other characters than letters, digits, \".\", \"-\" and \"_\"",
                      expected);
    return true;
}

/* `text` begins with the / behind the hosts, or is empty. */
static bool read_path(struct reading *reading, const char *text)
{
    text += text[0] == '/' ? 1 : 0;
    if (strchr(text, '@') != NULL)
        return refuse(reading, "an @ stands behind the hosts",
                      "in a user or password %2F for /, %3F for ?, %23 for # and "
                      "%40 for @");
    if (strpbrk(text, "?#") != NULL)
        return refuse(reading, "a ? or # has no meaning here",
                      "a URL without it; settings have their own keys beside url");
    if (reading->redis.kind != REDIS_SENTINEL)
        return read_database(reading, text);
    size_t len = strcspn(text, "/");
    return read_master(reading, text, len) && read_database(reading, text + len + (text[len] == '/' ? 1 : 0));
}

static bool read_network(struct reading *reading, const char *url, const char *authority)
{
    const char *hosts = end_of_user(authority);
    if (hosts != NULL && !read_user(reading, url))
        return false;
    hosts = hosts == NULL ? authority : hosts + 1;
    size_t len = strcspn(hosts, "/?#");
    return read_path(reading, hosts + len) && read_hosts(reading, hosts, len);
}

static bool read_unix(struct reading *reading, const char *text)
{
    static const char expected[] = "unix:///PATH or unix:///PATH?db=DATABASE; user and password have their own keys";
    static const char database[] = "?db=";
    size_t len = strcspn(text, "?#");
    const char *path = decode(reading, (struct redis_url_part){text, len});
    const char *why = NULL;
    if (path == NULL)
        return false;
    if (!scalar_unix_path(path, &why))
        return refuse(reading, why, expected);
    if (text[len] != '\0' &&
        (strncmp(text + len, database, strlen(database)) != 0 || text[len + strlen(database)] == '\0'))
        return refuse(reading, "behind the path stands something else than ?db=DATABASE", expected);
    reading->redis.hosts = config_arena_take(reading->arena, 1, sizeof(*reading->redis.hosts));
    if (reading->redis.hosts == NULL)
        return refuse(reading, NULL, NULL);
    reading->redis.hosts[0].host = path;
    reading->redis.host_count = 1;
    return text[len] == '\0' || read_database(reading, text + len + strlen(database));
}

static bool is_visible(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= 0x20 || *text >= 0x7f)
            return false;
    }
    return true;
}

bool redis_url_read(struct config_arena *arena, const char *text, struct config_redis *redis,
                    struct redis_url_fault *fault)
{
    struct reading reading = {.arena = arena, .fault = fault, .redis = *redis};
    const struct scheme *scheme = scheme_of(text);
    if (scheme == NULL)
        return refuse(&reading, strstr(text, "://") == NULL ? "the scheme is missing" : "the scheme is none of Redis",
                      any_form);
    if (!is_visible(text))
        return refuse(&reading, "it holds a blank or a byte beyond ASCII", "%XX for each such byte, as in %20");
    reading.redis.kind = scheme->kind;
    reading.redis.is_tls = scheme->is_tls;
    const char *rest = text + strlen(scheme->prefix);
    if (scheme->is_path ? !read_unix(&reading, rest) : !read_network(&reading, text, rest))
        return false;
    *redis = reading.redis;
    return true;
}
