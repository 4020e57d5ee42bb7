/*
 * `watch`: asks again and again, and draws what it got; a shunt that is away for a while is waited for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/command.h"
#include "tools/shuntctl/status.h"
#include "tools/shuntctl/value.h"
#include "tools/shuntctl/wait.h"

/* Leaves only the route asked for in status.routes. False when it is not there. */
static bool keep_route(json_t *status, const char *name)
{
    json_t *route = name != NULL ? status_route(status, name) : NULL;
    if (name == NULL)
        return true;
    return route != NULL && json_object_set_new(status, "routes", json_pack("[O]", route)) == 0;
}

/* The view is made in memory and written at once, so that a terminal does not flicker. */
static bool redraw(const struct screen *screen, const json_t *status, const json_t *before)
{
    char *text = NULL;
    size_t length = 0;
    struct screen canvas = *screen;
    canvas.out = open_memstream(&text, &length);
    if (canvas.out == NULL)
        return false;
    bool whole = status_draw(&canvas, status, before);
    whole &= fclose(canvas.out) == 0;
    if (whole) {
        fputs("\033[H\033[2J", screen->out);
        fwrite(text, 1, length, screen->out);
    }
    free(text);
    return whole;
}

static int show(struct ctl *ctl, json_t *status, const json_t *before, const char *name)
{
    if (!keep_route(status, name))
        return complain(ctl, EXIT_REFUSED, "there is no route \"%s\"; `shuntctl routes` lists them", name);
    bool whole = true;
    if (ctl->options.json)
        whole = json_dumpf(status, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF;
    else if (ctl->screen.terminal)
        whole = redraw(&ctl->screen, status, before);
    else
        status_draw_lines(&ctl->screen, status, before);
    if (fflush(stdout) == 0 && whole)
        return EXIT_DONE;
    complain(ctl, EXIT_REFUSED, "standard output cannot be written: %s; make room there", strerror(errno));
    clearerr(stdout); /* told once */
    return EXIT_REFUSED;
}

int run_watch(struct ctl *ctl, const struct command *command, const char *const *words)
{
    json_t *before = NULL;
    int code = EXIT_DONE;
    (void)command;
    for (uint64_t view = 1;; view++) {
        json_t *status = NULL;
        code = api_ask(ctl, "/api/v1/status", NULL, "routes", &status);
        if (code == EXIT_DONE)
            code = show(ctl, status, before, words[0]);
        if (code == EXIT_DONE) {
            json_decref(before);
            before = status;
        } else {
            json_decref(status);
        }
        bool away = code == EXIT_UNREACHABLE && before != NULL; /* never seen: wrong address */
        if ((code != EXIT_DONE && !away) || view == ctl->options.count)
            break;
        wait_sleep_ms(ctl->options.interval_ms);
    }
    json_decref(before);
    return code;
}
