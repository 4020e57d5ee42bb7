/*
 * The loop of a wait. One thread; sleeps between questions, and writes one line again and again on a terminal.
 */
#include "tools/shuntctl/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tools/shuntctl/api.h"
#include "tools/shuntctl/number.h"

enum {
    ASK_EVERY_MS = 1000
};

uint64_t wait_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void wait_sleep_ms(uint64_t ms)
{
    struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

/* One question; what is complained about is kept, as a wait may outlive its cause. */
static int ask(struct ctl *ctl, const struct wait *wait, json_t **answer, char **complaint)
{
    FILE *usual = ctl->err;
    size_t length = 0;
    json_decref(*answer);
    free(*complaint);
    *answer = NULL;
    *complaint = NULL;
    FILE *err = open_memstream(complaint, &length);
    if (err == NULL)
        return complain(ctl, EXIT_USAGE, "out of memory");
    ctl->err = err;
    int code = api_ask(ctl, wait->path, NULL, wait->member, answer);
    ctl->err = usual;
    fclose(err);
    return code;
}

static void show_progress(const struct ctl *ctl, const struct wait *wait, const json_t *answer, uint64_t left_ms)
{
    char left[NUMBER_ROOM];
    if (isatty(fileno(ctl->err)) != 1)
        return;
    fprintf(ctl->err, "\r\033[K%s", answer != NULL ? wait->progress(wait->context, answer) : "shunt cannot be reached");
    if (!wait->for_ever)
        fprintf(ctl->err, "; %s left", number_duration(left_ms, left));
    fflush(ctl->err);
}

static void end_progress(const struct ctl *ctl)
{
    if (isatty(fileno(ctl->err)) == 1)
        fputs("\r\033[K", ctl->err);
}

int wait_for(struct ctl *ctl, const struct wait *wait, json_t **answer, char **complaint)
{
    uint64_t end_ms = wait_clock_ms() + wait->most_ms;
    bool seen = false;
    *answer = NULL;
    *complaint = NULL;
    for (;;) {
        int code = ask(ctl, wait, answer, complaint);
        seen |= code == EXIT_DONE;
        bool waits = code == EXIT_DONE ? !wait->is_enough(wait->context, ctl, *answer)
                                       : code == EXIT_UNREACHABLE && (seen || !wait->for_ever);
        uint64_t now = wait_clock_ms(), left_ms = wait->for_ever ? UINT64_MAX : end_ms > now ? end_ms - now : 0;
        if (!waits || left_ms == 0) {
            end_progress(ctl);
            return code;
        }
        show_progress(ctl, wait, *answer, left_ms);
        wait_sleep_ms(left_ms < ASK_EVERY_MS ? left_ms : ASK_EVERY_MS);
    }
}
