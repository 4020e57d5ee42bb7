/*
 * The report's page from a report's JSON: standard input to standard output. For test_page.py, which opens the page in
 * a browser; the making is export_html(), the same that the admin API and shuntctl use.
 */
#include <stdio.h>
#include <stdlib.h>

#include "shadow/export.h"

int main(void)
{
    json_error_t fault;
    json_t *report = json_loadf(stdin, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &fault);
    if (report == NULL) {
        fprintf(stderr, "page: line %d: %s\n", fault.line, fault.text);
        return 1;
    }
    char *page = export_html(report);
    json_decref(report);
    bool written = page != NULL && fputs(page, stdout) >= 0 && fflush(stdout) == 0;
    free(page);
    return written ? 0 : 1;
}
