/*
 * Is a text a JSON path that comparing understands? Only its form is looked at; shadow/ reads it for real.
 */
#ifndef SHUNT_CONFIG_JSONPATH_H
#define SHUNT_CONFIG_JSONPATH_H

/*
 * "$" and then any of .NAME, ..NAME, .*, ['NAME'], ["NAME"], [*], [3] (a subset of RFC 9535). NULL when it is one, else
 * what is wrong with it (static text).
 */
const char *jsonpath_fault(const char *text);

#endif
