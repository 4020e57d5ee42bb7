/*
 * One change of a manifest's text: between manifest_edit.c, which finds its place, and manifest_apply.c, which writes
 * it.
 */
#ifndef SHUNT_SHUNTCTL_MANIFEST_SPLICE_H
#define SHUNT_SHUNTCTL_MANIFEST_SPLICE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

enum splice_kind {
    SPLICE_TEXT,     /* `text` in the place of what was there */
    SPLICE_CONTENT,  /* `content` as JSON, behind `text` */
    SPLICE_MEMBERS,  /* the same for each of its members */
    SPLICE_LINES,    /* its members as lines of a block, at `column` */
    SPLICE_DOCUMENT, /* all of it */
    SPLICE_NO_LINES  /* whole lines are removed */
};

struct manifest_splice {
    enum splice_kind kind;
    size_t start, end;
    size_t order;                 /* of those that begin at one byte */
    size_t new_start, new_length; /* once applied */
    const char *text;
    json_t *content; /* borrowed */
    unsigned column;
    bool first; /* no member stands in front */
};

#endif
