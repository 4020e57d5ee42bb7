/*
 * Texts and lists of them: the part that many types have in common.
 */
#ifndef SHUNT_CONFIG_TEXTS_H
#define SHUNT_CONFIG_TEXTS_H

#include "config/keys.h"
#include "config/loader.h"

enum {
    TEXTS_MOST = 256
}; /* items of one list */

/* What is wrong with an item, or NULL. */
typedef const char *texts_fault(const char *text);

struct texts_rule {
    const char *expected;      /* of the list: "a list of header names" */
    const char *item_expected; /* of one item */
    texts_fault *fault;        /* NULL: any text */
    bool fault_is_sentence;    /* it goes behind "TEXT: "; else it begins with a verb */
    bool may_be_empty;
    bool lower; /* kept in lower case, and equal without regard to case */
};

struct texts {
    const char **items;
    uint32_t count;
};

/* Reads a list of different texts; false after a fault, and *texts is as it was. */
bool texts_read(struct loader *loader, const struct node *node, const struct texts_rule *rule, struct texts *texts);

/* Reads one item of a list that may hold more than texts; `texts` has room for it. False after a fault. */
bool texts_read_item(struct loader *loader, const struct node *node, const struct texts_rule *rule,
                     struct texts *texts);

/* For a type's `is_set` and `write`: of a text, NULL where there is none, and of a list with its count. */
bool key_text_is_set(const struct config_key *key, const void *base);
bool key_has_items(const struct config_key *key, const void *base); /* of whatever */
void key_write_text(struct writer *writer, const struct config_key *key, const void *base);
void key_write_texts(struct writer *writer, const struct config_key *key, const void *base);

#endif
