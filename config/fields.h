/*
 * Matches of header fields, cookies and query parameters: NAME: VALUE, NAME: [VALUE, ...] or NAME: "*".
 */
#ifndef SHUNT_CONFIG_FIELDS_H
#define SHUNT_CONFIG_FIELDS_H

#include "config/loader.h"
#include "config/writer.h"

/* What a name may be and how it is kept, by where the field stands. */
enum field_place {
    FIELD_HEADER,
    FIELD_COOKIE,
    FIELD_QUERY
};

/* One match of the pair `item`. False after a fault. */
bool fields_read_one(struct loader *loader, const struct node_item *item, enum field_place place,
                     struct config_field_match *match);

/* All pairs of a mapping, at most PATTERN_FIELDS. */
void fields_read(struct loader *loader, const struct node *node, enum field_place place,
                 struct config_field_match **matches, uint32_t *count);

/* "NAME: VALUE" without a line's end, for a mapping on one line. */
void fields_write_one(struct writer *writer, const struct config_field_match *match);

#endif
