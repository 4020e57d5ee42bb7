/*
 * Answers of our own: see answer.h. Any thread; knows the form and not the reason.
 */
#include "proxy/answer.h"

#include <stdio.h>
#include <time.h>

#include "proxy/h1.h"

static size_t print_date(char *to, size_t room)
{
    time_t now = time(NULL);
    struct tm tm;
    return gmtime_r(&now, &tm) != NULL ? strftime(to, room, "%a, %d %b %Y %H:%M:%S GMT", &tm) : 0;
}

size_t answer_head(char *to, size_t room, unsigned status, size_t length, bool close)
{
    char date[40] = "";
    (void)print_date(date, sizeof(date));
    int len = snprintf(to, room,
                       "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                       "Content-Length: %zu\r\n%s\r\n",
                       status, h1_reason(status), date, length, close ? "Connection: close\r\n" : "");
    return len < 0 || (size_t)len >= room ? 0 : (size_t)len;
}
