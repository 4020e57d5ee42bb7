/*
 * The admin API as shuntctl sees it: asks, reads JSON, turns refusals into a sentence and an exit code.
 */
#include "tools/shuntctl/api.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/shuntctl/value.h"

char *api_path(const char *format, const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    static const char hex[] = "0123456789ABCDEF";
    const char *hole = strstr(format, "%s");
    char *path = malloc(strlen(format) + 3 * strlen(name) + 1);
    if (path == NULL || hole == NULL) {
        free(path);
        return NULL;
    }
    char *to = mempcpy(path, format, (size_t)(hole - format));
    for (; *name != '\0'; name++) {
        unsigned char c = (unsigned char)*name;
        if (strchr(plain, c) != NULL) {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
        }
    }
    strcpy(to, hole + 2);
    return path;
}

static const char *user_name(void)
{
    const char *name = getenv("USER");
    if (name != NULL && name[0] != '\0')
        return name;
    const struct passwd *user = getpwuid(getuid());
    return user != NULL ? user->pw_name : "unknown";
}

json_t *api_signature(const struct ctl *ctl)
{
    const char *who = ctl->options.who != NULL ? ctl->options.who : user_name();
    json_t *signature = json_object();
    if (json_object_set_new(signature, "who", json_sprintf("operator:%s", who)) < 0 ||
        (ctl->options.reason != NULL &&
         json_object_set_new(signature, "reason", json_string(ctl->options.reason)) < 0)) {
        json_decref(signature);
        return NULL;
    }
    return signature;
}

/* What else is wrong, one per line, from the `first` on. */
static void tell_more(const struct ctl *ctl, const json_t *lines, size_t first)
{
    for (size_t i = first; i < json_array_size(lines); i++) {
        const char *line = json_string_value(json_array_get(lines, i));
        screen_print(&(struct screen){.out = ctl->err}, TONE_PLAIN, "  %s\n", line != NULL ? line : "");
    }
}

/* Tells a refusal: {"error": {"message", "remedy", "errors"?, "obstacles"?}}; the message has the first obstacle. */
static int tell_refusal(const struct ctl *ctl, int status, const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    const char *message = value_text(error, "message"), *remedy = value_text(error, "remedy");
    if (status == 200 || message[0] == '\0')
        return complain(ctl, EXIT_UNREACHABLE,
                        "%s:%s answered %d, and not like shunt; is admin.address right? (--admin)", ctl->client.host,
                        ctl->client.port, status);
    complain(ctl, EXIT_REFUSED, "%s%s%s", message, remedy[0] != '\0' ? "; " : "", remedy);
    tell_more(ctl, json_object_get(error, "errors"), 0);
    tell_more(ctl, json_object_get(error, "obstacles"), 1);
    return strcmp(value_text(error, "verdict"), "undecided") == 0 ? EXIT_UNDECIDED : EXIT_REFUSED;
}

/* Sends and receives; EXIT_DONE with the parsed answer, whatever its status. */
static int exchange(struct ctl *ctl, const char *path, const char *text, int *status, json_t **answer)
{
    struct answer raw;
    json_error_t fault;
    char *error = NULL;
    if (!client_call(&ctl->client, text != NULL ? "POST" : "GET", path, text, &raw, &error)) {
        complain(ctl, EXIT_UNREACHABLE, "%s", error != NULL ? error : "out of memory");
        free(error);
        return EXIT_UNREACHABLE;
    }
    *status = raw.status;
    *answer = json_loadb(raw.body, raw.length, 0, &fault);
    free(raw.body);
    return EXIT_DONE;
}

int api_ask(struct ctl *ctl, const char *path, json_t *body, const char *member, json_t **answer)
{
    int status = 0;
    *answer = NULL;
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    bool memory = path != NULL && (body == NULL || text != NULL);
    json_decref(body);
    if (!memory)
        return complain(ctl, EXIT_REFUSED, "out of memory");
    int code = exchange(ctl, path, text, &status, answer);
    free(text);
    if (code != EXIT_DONE)
        return code;
    if ((status == 200 || status == 202) && json_object_get(*answer, member) != NULL)
        return EXIT_DONE;
    code = tell_refusal(ctl, status, *answer);
    if (code == EXIT_UNREACHABLE) {
        json_decref(*answer);
        *answer = NULL;
    } else if (ctl->options.json) {
        api_print(*answer);
    }
    return code;
}

int api_ask_text(struct ctl *ctl, const char *path, const char *type, char **text)
{
    struct answer raw;
    char *error = NULL;
    *text = NULL;
    if (!client_call(&ctl->client, "GET", path, NULL, &raw, &error)) {
        complain(ctl, EXIT_UNREACHABLE, "%s", error != NULL ? error : "out of memory");
        free(error);
        return EXIT_UNREACHABLE;
    }
    if (raw.status == 200 && strncmp(raw.type, type, strlen(type)) == 0) {
        *text = raw.body;
        return EXIT_DONE;
    }
    json_t *refusal = json_loadb(raw.body, raw.length, 0, NULL);
    int code = tell_refusal(ctl, raw.status, refusal);
    json_decref(refusal);
    free(raw.body);
    return code;
}

void api_tell_pending(const struct screen *screen, const json_t *answer)
{
    if (value_flag(answer, "pending"))
        screen_wrap(
            screen, TONE_WARN, 0,
            "Redis is away: this holds in this replica alone for now. The fleet is told when Redis is back (shuntctl "
            "fleet).");
}

int api_print(const json_t *answer)
{
    json_dumpf(answer, stdout, JSON_INDENT(2));
    putchar('\n');
    return EXIT_DONE;
}
