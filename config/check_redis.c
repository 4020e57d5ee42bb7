/*
 * Checks of state: that there is a place for it, and who asks Redis, and over what.
 *
 * Called by the loader through the table of sections. The name of a replica is for people, so that it is made from
 * what the machine says of itself where the file says nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/check.h"
#include "config/names.h"
#include "config/redis_url.h"

bool state_is_set(const void *base)
{
    const struct config_state *state = base;
    return state->directory != NULL || redis_is_set(&state->redis);
}

void state_check(struct loader *loader, const struct node *node, void *base)
{
    (void)base;
    if (node->count == 0) /* what else it may hold without both is unknown, and was told */
        check_fault(loader, "directory", node->place,
                    "there is no place to keep state in; expected directory: PATH, or redis, or both");
}

bool redis_is_set(const void *base)
{
    return ((const struct config_redis *)base)->url != NULL;
}

bool redis_tls_is_set(const void *base)
{
    const struct config_redis *redis = base;
    return redis->ca != NULL || redis->certificate != NULL || redis->key != NULL || redis->server_name != NULL ||
           redis->insecure_skip_verify;
}

/* ---- replica ---- */

/* Whatever is no part of a name becomes a "-". */
static void make_a_name(char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t len = strnlen(text, NAME_BYTES);
    text[len] = '\0';
    for (size_t at = strspn(text, letters); at < len; at += strspn(text + at, letters))
        text[at] = '-';
}

static void fill_replica(struct loader *loader, struct config_redis *redis)
{
    char name[256] = "";
    const char *pod = getenv("POD_NAME");
    if (pod != NULL && pod[0] != '\0')
        (void)snprintf(name, sizeof(name), "%s", pod);
    else if (gethostname(name, sizeof(name) - 1) != 0)
        name[0] = '\0';
    make_a_name(name);
    const char *usual = name_is_valid(name) ? name : "replica";
    redis->replica = config_arena_text(loader->arena, usual, strlen(usual));
    if (redis->replica == NULL)
        faults_no_memory(loader->faults);
}

/* ---- who asks, and over what ---- */

static void check_user(struct loader *loader, const struct node *node, const struct config_redis *redis)
{
    struct redis_url_user user = redis_url_user(redis->url);
    bool password = check_says(node, "password");
    bool file = check_says(node, "password_file");
    if (password && file)
        check_fault(loader, "password_file", check_place(node, "password_file"),
                    "there is a password beside it; expected one of both");
    if (user.name.at != NULL && check_says(node, "username"))
        check_fault(loader, "username", check_place(node, "username"),
                    "the url holds a user name too; expected it in one place");
    if (user.password.at != NULL && (password || file))
        check_fault(loader, password ? "password" : "password_file",
                    check_place(node, password ? "password" : "password_file"),
                    "the url holds a password too; expected it in one place, best in a file");
    const char *name_key = user.name.at != NULL ? "url" : "username";
    if ((user.name.at != NULL || check_says(node, "username")) && user.password.at == NULL && !password && !file)
        check_fault(loader, name_key, check_place(node, name_key),
                    "there is a user name and no password; expected password or password_file beside it, or no user "
                    "name");
}

void redis_check(struct loader *loader, const struct node *node, void *base)
{
    struct config_redis *redis = base;
    if (!check_says(node, "replica"))
        fill_replica(loader, redis);
    if (redis->url == NULL)
        return;
    check_user(loader, node, redis);
    if (!redis->is_tls && check_says(node, "tls"))
        check_fault(loader, "tls", check_place(node, "tls"),
                    "the url does not begin with rediss, so that nothing would be encrypted; expected url: "
                    "\"rediss://...\", or no tls");
}
