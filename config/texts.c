/*
 * Texts: lists of words such as methods, header names and paths of compared bodies.
 *
 * Called by types. Every bad item is told, not only the first; the same text twice is a fault, as it is never meant.
 */
#include "config/texts.h"

#include <inttypes.h>
#include <string.h>

#include "config/writer.h"

static const char *empty_fault(const char *text)
{
    return text[0] == '\0' ? "is empty" : NULL;
}

static bool is_in(const struct texts *texts, const char *text)
{
    for (uint32_t i = 0; i < texts->count; i++) {
        if (strcmp(texts->items[i], text) == 0)
            return true;
    }
    return false;
}

bool texts_read_item(struct loader *loader, const struct node *node, const struct texts_rule *rule, struct texts *texts)
{
    const struct node *scalar = loader_scalar(loader, node, rule->item_expected);
    if (scalar == NULL)
        return false;
    const char *wrong = rule->may_be_empty ? NULL : empty_fault(scalar->text);
    const char *between = " ";
    if (wrong == NULL && rule->fault != NULL) {
        wrong = rule->fault(scalar->text);
        between = rule->fault_is_sentence ? ": " : " ";
    }
    if (wrong != NULL) {
        loader_fault(loader, scalar->place, "%s%s%s; expected %s", node_shown(loader->faults, scalar), between, wrong,
                     rule->item_expected);
        return false;
    }
    const char *text = rule->lower ? loader_lower(loader, scalar) : loader_text(loader, scalar);
    if (text == NULL)
        return false;
    if (is_in(texts, text)) {
        loader_fault(loader, scalar->place, "%s stands here twice; expected it once",
                     node_shown(loader->faults, scalar));
        return false;
    }
    texts->items[texts->count++] = text;
    return true;
}

bool texts_read(struct loader *loader, const struct node *node, const struct texts_rule *rule, struct texts *texts)
{
    const struct node *list = loader_list(loader, node, rule->expected);
    if (list == NULL)
        return false;
    if (list->count > TEXTS_MOST) {
        loader_fault(loader, list->place, "the list has %" PRIu32 " items; expected at most %d", list->count,
                     TEXTS_MOST);
        return false;
    }
    struct texts read = {.items = loader_take(loader, list->count, sizeof(*read.items))};
    bool good = read.items != NULL;
    size_t index = 0;
    for (const struct node_item *item = list->items; item != NULL && read.items != NULL; item = item->next, index++) {
        size_t mark = faults_enter_item(loader->faults, index);
        good = texts_read_item(loader, item->value, rule, &read) && good;
        faults_leave(loader->faults, mark);
    }
    if (good)
        *texts = read;
    return good;
}

bool key_text_is_set(const struct config_key *key, const void *base)
{
    return *KEY_CONST_FIELD(char *, key, base) != NULL;
}

bool key_has_items(const struct config_key *key, const void *base)
{
    return *KEY_CONST_COUNT(key, base) > 0;
}

void key_write_text(struct writer *writer, const struct config_key *key, const void *base)
{
    writer_value(writer, *KEY_CONST_FIELD(char *, key, base));
}

void key_write_texts(struct writer *writer, const struct config_key *key, const void *base)
{
    writer_texts(writer, *KEY_CONST_FIELD(char *const *, key, base), *KEY_CONST_COUNT(key, base));
}
