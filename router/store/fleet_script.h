/*
 * fleet.lua, put into the program when it is built (tools/cmake/Embed.cmake). It has a NUL after the last byte that
 * `_len` does not count.
 */
#ifndef SHUNT_ROUTER_STORE_FLEET_SCRIPT_H
#define SHUNT_ROUTER_STORE_FLEET_SCRIPT_H

#include <stddef.h>

extern const char fleet_script[];
extern const size_t fleet_script_len;

#endif
