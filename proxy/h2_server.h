/*
 * A client's connection that speaks HTTP/2: many exchanges at a time, one for each stream.
 */
#ifndef SHUNT_PROXY_H2_SERVER_H
#define SHUNT_PROXY_H2_SERVER_H

#include <stdbool.h>

#include "proxy/downstream.h"
#include "proxy/h2.h"

/*
 * Goes on with the connection of *from, whose owner lets go of it: after ALPN, or in clear once the preface has been seen. `early`:
 * what has been read already, preface first; len 0: nothing. Borrowed during the call. False without memory: nothing has changed.
 */
bool h2_server_adopt(struct downstream *from, struct slice early);

#endif
