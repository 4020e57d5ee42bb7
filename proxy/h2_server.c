/*
 * Clients over HTTP/2: see h2_server.h.
 */
#include "proxy/h2_server.h"

bool h2_server_adopt(struct downstream *from, struct slice early)
{
    (void)from;
    (void)early;
    return false;
}
