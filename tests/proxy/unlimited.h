/*
 * Memory without a limit, for workers that tests make.
 */
#ifndef SHUNT_TESTS_UNLIMITED_H
#define SHUNT_TESTS_UNLIMITED_H

#include "proxy/memory.h"

static struct memory unlimited = {.group = {.usage_fd = -1, .stat_fd = -1}};

#endif
