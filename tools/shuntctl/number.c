/*
 * Numbers as people read them. Called by all that prints; touches nothing.
 */
#include "tools/shuntctl/number.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

char *number_count(uint64_t value, char out[NUMBER_ROOM])
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, value);
    char *to = out;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return out;
}

char *number_rate(double per_second, char out[NUMBER_ROOM])
{
    if (!(per_second > 0.0)) {
        snprintf(out, NUMBER_ROOM, "0/s");
    } else if (per_second < 99.95) {
        snprintf(out, NUMBER_ROOM, "%.1f/s", per_second < 0.1 ? 0.1 : per_second);
    } else {
        number_count((uint64_t)llround(per_second), out);
        strcat(out, "/s"); /* at most 20 digits and 6 commas before it */
    }
    return out;
}

/* "12.50" as "12.5", "12.00" as "12". */
static void trim_zeros(char *text)
{
    size_t length = strlen(text);
    while (strchr(text, '.') != NULL && (text[length - 1] == '0' || text[length - 1] == '.'))
        text[--length] = '\0';
}

char *number_percent(double fraction, char out[NUMBER_ROOM])
{
    enum {
        DECIMALS_MOST = 12
    };
    double percent = fraction * 100.0;
    int decimals = 2;
    if (percent > 0.0 && percent < 0.1) /* two digits that are not zeros */
        decimals = (int)fmin(DECIMALS_MOST, 1.0 - floor(log10(percent)));
    else if (percent > 99.99 && percent < 100.0) /* not all, so not "100 %" */
        percent = 99.99;
    snprintf(out, NUMBER_ROOM - 2, "%.*f", decimals, percent);
    trim_zeros(out);
    strcat(out, " %");
    return out;
}

char *number_latency(double us, char out[NUMBER_ROOM])
{
    if (us < 999.5)
        snprintf(out, NUMBER_ROOM, "%.0f us", us);
    else if (us < 999500.0)
        snprintf(out, NUMBER_ROOM, us < 9995.0 ? "%.2f ms" : us < 99950.0 ? "%.1f ms" : "%.0f ms", us / 1e3);
    else
        snprintf(out, NUMBER_ROOM, us < 9995000.0 ? "%.2f s" : "%.1f s", us / 1e6);
    return out;
}

char *number_duration(uint64_t ms, char out[NUMBER_ROOM])
{
    uint64_t s = ms / 1000;
    if (ms > 0 && ms < 1000)
        snprintf(out, NUMBER_ROOM, "%" PRIu64 "ms", ms);
    else if (s < 60)
        snprintf(out, NUMBER_ROOM, "%" PRIu64 "s", s);
    else if (s < 3600)
        snprintf(out, NUMBER_ROOM, "%" PRIu64 "m %02" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, NUMBER_ROOM, "%" PRIu64 "h %02" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(out, NUMBER_ROOM, "%" PRIu64 "d %02" PRIu64 "h", s / 86400, s / 3600 % 24);
    return out;
}
