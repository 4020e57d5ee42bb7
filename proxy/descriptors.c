/*
 * The limit of open files: see descriptors.h. Control thread. The soft limit is what the kernel goes by, and it only
 * looks at it when a descriptor is made: so some can lie above it, open and in use.
 */
#include "proxy/descriptors.h"

enum {
    KEPT_MOST = 16,
    KEPT_PART = 8, /* of few descriptors fewer are kept */
};

void descriptors_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    rlim_t part = limit.rlim_max / KEPT_PART; /* of RLIM_INFINITY, too: it is a large number */
    limit.rlim_cur = limit.rlim_max - (part < KEPT_MOST ? part : KEPT_MOST);
    setrlimit(RLIMIT_NOFILE, &limit);
}

bool descriptors_lend(rlim_t *former)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
        return false;
    *former = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

void descriptors_take_back(rlim_t former)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = former;
    setrlimit(RLIMIT_NOFILE, &limit);
}
