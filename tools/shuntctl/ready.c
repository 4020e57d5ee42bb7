/*
 * `ready`: one question to /readyz, for health checks that have no HTTP client of their own.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"

enum {
    STATUS_READY = 200,
    STATUS_NOT_READY = 503,
};

/* "ready", or "not ready: " with why: what shunt says, and nobody else. */
static bool is_of_shunt(const struct answer *answer)
{
    const char *begin = answer->status == STATUS_READY       ? "ready"
                        : answer->status == STATUS_NOT_READY ? "not ready"
                                                             : NULL;
    return begin != NULL && strncmp(answer->body, begin, strlen(begin)) == 0;
}

static void tell(const struct ctl *ctl, const char *sentence, bool ready)
{
    if (ctl->options.json) {
        json_t *json = json_pack("{s:b, s:s}", "ready", ready, "answer", sentence);
        api_print(json);
        json_decref(json);
    } else {
        screen_print(&ctl->screen, ready ? TONE_GOOD : TONE_BAD, "%s\n", sentence);
    }
}

int run_ready(struct ctl *ctl, const struct command *command, const char *const *words)
{
    struct answer answer = {0};
    char *error = NULL;
    (void)command;
    (void)words;
    if (!client_call(&ctl->client, "GET", "/readyz", NULL, &answer, &error)) {
        complain(ctl, EXIT_UNREACHABLE, "%s", error != NULL ? error : "out of memory");
        free(error);
        return EXIT_UNREACHABLE;
    }
    bool known = is_of_shunt(&answer), ready = known && answer.status == STATUS_READY;
    if (known) {
        answer.body[strcspn(answer.body, "\n")] = '\0';
        tell(ctl, answer.body, ready);
    } else {
        complain(ctl, EXIT_UNREACHABLE, "what answers at %s is no shunt's admin address: /readyz has status %d",
                 ctl->options.admin, answer.status);
    }
    free(answer.body);
    return !known ? EXIT_UNREACHABLE : ready ? EXIT_DONE : EXIT_REFUSED;
}
