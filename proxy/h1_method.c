/*
 * The registered methods (IANA's HTTP Method Registry, July 2024) and a few that deployed software uses without being
 * registered. The frequent ones come first, because the list is walked.
 */
#include "proxy/h1_method.h"

#include <string.h>

#define SAFE         .safe = true, .idempotent = true
#define IDEMPOTENT   .idempotent = true
#define METHOD(text) .name = text, .len = sizeof(text) - 1

static const struct h1_method methods[] = {
    {METHOD("GET"), SAFE, .get = true},
    {METHOD("POST")},
    {METHOD("PUT"), IDEMPOTENT},
    {METHOD("HEAD"), SAFE, .head = true},
    {METHOD("DELETE"), IDEMPOTENT},
    {METHOD("PATCH")},
    {METHOD("OPTIONS"), SAFE, .options = true},
    {METHOD("TRACE"), SAFE},
    {METHOD("CONNECT"), .connect = true},
    {METHOD("PRI"), SAFE, .preface = true},
    {METHOD("ACL"), IDEMPOTENT},
    {METHOD("BASELINE-CONTROL"), IDEMPOTENT},
    {METHOD("BIND"), IDEMPOTENT},
    {METHOD("CHECKIN"), IDEMPOTENT},
    {METHOD("CHECKOUT"), IDEMPOTENT},
    {METHOD("COPY"), IDEMPOTENT},
    {METHOD("LABEL"), IDEMPOTENT},
    {METHOD("LINK"), IDEMPOTENT},
    {METHOD("LOCK")},
    {METHOD("MERGE"), IDEMPOTENT},
    {METHOD("MKACTIVITY"), IDEMPOTENT},
    {METHOD("MKCALENDAR"), IDEMPOTENT},
    {METHOD("MKCOL"), IDEMPOTENT},
    {METHOD("MKREDIRECTREF"), IDEMPOTENT},
    {METHOD("MKWORKSPACE"), IDEMPOTENT},
    {METHOD("MOVE"), IDEMPOTENT},
    {METHOD("ORDERPATCH"), IDEMPOTENT},
    {METHOD("PROPFIND"), SAFE},
    {METHOD("PROPPATCH"), IDEMPOTENT},
    {METHOD("REBIND"), IDEMPOTENT},
    {METHOD("REPORT"), SAFE},
    {METHOD("SEARCH"), SAFE},
    {METHOD("UNBIND"), IDEMPOTENT},
    {METHOD("UNCHECKOUT"), IDEMPOTENT},
    {METHOD("UNLINK"), IDEMPOTENT},
    {METHOD("UNLOCK"), IDEMPOTENT},
    {METHOD("UPDATE"), IDEMPOTENT},
    {METHOD("UPDATEREDIRECTREF"), IDEMPOTENT},
    {METHOD("VERSION-CONTROL"), IDEMPOTENT},
    /* not registered: the QUERY draft, caches' PURGE, UPnP and GENA */
    {METHOD("QUERY"), SAFE},
    {METHOD("PURGE"), IDEMPOTENT},
    {METHOD("M-SEARCH"), SAFE},
    {METHOD("NOTIFY")},
    {METHOD("SUBSCRIBE")},
    {METHOD("UNSUBSCRIBE")},
};

const struct h1_method *h1_method_find(struct text name)
{
    if (name.len == 3 && memcmp(name.at, "GET", 3) == 0)
        return &methods[0];
    for (const struct h1_method *m = methods; m < methods + sizeof(methods) / sizeof(methods[0]); m++)
        if (m->len == name.len && memcmp(m->name, name.at, m->len) == 0)
            return m;
    return NULL;
}
