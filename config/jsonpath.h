/*
 * Is a text a JSON path that comparing understands? Only its form is looked at; shadow/ reads it for real.
 */
#ifndef SHUNT_CONFIG_JSONPATH_H
#define SHUNT_CONFIG_JSONPATH_H

/*
 * "$" and then up to 63 of .NAME, .*, ['NAME'], ["NAME"], [*], [3], and of each with ".." for the point or in front of
 * the bracket (a subset of RFC 9535). NULL when it is one, else
 * what is wrong with it (static text).
 */
const char *jsonpath_fault(const char *text);

#endif
