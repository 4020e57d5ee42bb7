/*
 * The three files of the report's page, put into the program when it is built (tools/cmake/Embed.cmake). Each has a NUL
 * after its last byte that `_len` does not count.
 */
#ifndef SHUNT_SHADOW_PAGE_PAGE_H
#define SHUNT_SHADOW_PAGE_PAGE_H

#include <stddef.h>

extern const char page_html[]; /* with the marks that export_html.c fills in */
extern const size_t page_html_len;
extern const char page_css[];
extern const size_t page_css_len;
extern const char page_js[];
extern const size_t page_js_len;

#endif
