/*
 * Looking into JSON answers by dotted path: value_number(route, "breaker.window.new.judged"). What is missing or of
 * another type is "", 0, false or NULL, so that an older or newer shunt is shown as far as it is understood.
 */
#ifndef SHUNT_SHUNTCTL_VALUE_H
#define SHUNT_SHUNTCTL_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

json_t *value_at(const json_t *object, const char *path); /* borrowed */
const char *value_text(const json_t *object, const char *path);
double value_number(const json_t *object, const char *path);
uint64_t value_count(const json_t *object, const char *path); /* negative ones are 0 */
bool value_flag(const json_t *object, const char *path);

#endif
