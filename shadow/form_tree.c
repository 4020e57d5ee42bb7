/*
 * Forms: see form_tree.h. Order among fields of different names does not count, nor does how a byte was escaped; the
 * values of one name keep their order. Runs on the compare thread.
 */
#include "shadow/form_tree.h"

#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `to` has room for text.len bytes. */
static struct span decode(char *to, struct span text)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; len++) {
        int high = -1, low = -1;
        if (text.at[i] == '%' && text.len - i > 2) {
            high = hex_digit(text.at[i + 1]);
            low = hex_digit(text.at[i + 2]);
        }
        bool escaped = high >= 0 && low >= 0;
        char plain = text.at[i] == '+' ? ' ' : text.at[i];
        to[len] = escaped ? (char)(high * 16 + low) : plain;
        i += escaped ? 3 : 1;
    }
    return (struct span){to, len};
}

static void add_field(struct tree *tree, char *room, struct span field)
{
    const char *equals = memchr(field.at, '=', field.len);
    size_t name_len = equals == NULL ? field.len : (size_t)(equals - field.at);
    size_t value_at = equals == NULL ? field.len : name_len + 1;
    struct span name = decode(room, (struct span){field.at, name_len});
    struct span value = decode(room + name_len, (struct span){field.at + value_at, field.len - value_at});
    tree_add(tree, TREE_ATTRIBUTE, name, name, (struct span){"", 0}, value);
}

enum json_fault form_tree_read(struct tree *tree, struct span text)
{
    static const struct span nothing = {"", 0};
    char *room = malloc(text.len + 1);
    if (room == NULL)
        return JSON_FAULT_MEMORY;
    tree_start(tree);
    tree_open(tree, nothing, nothing, nothing);
    for (size_t i = 0; i < text.len;) {
        const char *end = memchr(text.at + i, '&', text.len - i);
        size_t len = end == NULL ? text.len - i : (size_t)(end - text.at) - i;
        if (len > 0)
            add_field(tree, room, (struct span){text.at + i, len});
        i += len + 1;
    }
    tree_close(tree);
    free(room);
    return tree->fault;
}
