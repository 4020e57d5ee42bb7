/*
 * A descriptor set, the path of a method in it, and a message that it answers with. The input is the path, a line feed,
 * the set's length in two bytes, the set, the message.
 *
 * Whatever the set says about it, a message has no difference to itself.
 */
#include "tests/fuzz/built.h"

#include "shadow/descriptor.h"
#include "shadow/protobuf_tree.h"

static void compare(const struct descriptor_message *type, struct span message)
{
    static struct protobuf_tree *tree;
    static struct doc_builder docs[2];
    const struct protobuf_part part = {message, NODE_SOUND};
    const struct protobuf_parts sides[2] = {{&part, 1}, {&part, 1}};
    struct doc_builder *to[2] = {&docs[0], &docs[1]};
    if (tree == NULL)
        tree = protobuf_tree_new();
    assert(tree != NULL);
    if (protobuf_tree_make(tree, type, false, sides, to) != JSON_FAULT_NONE)
        return;
    built_check(&docs[0]);
    assert(!built_diff(&docs[0], &docs[1]));
    doc_builder_trim(&docs[0]);
    doc_builder_trim(&docs[1]);
}

/* What is found is what was asked for. */
static void check_type(const struct descriptor_set *set, const struct descriptor_message *type)
{
    assert(descriptor_message_named(set, (struct span){type->name, strlen(type->name)}) == type);
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct descriptor_field *field = &type->fields[i],
                                      *found = descriptor_field_numbered(type, field->number);
        assert(found != NULL && found->number == field->number && field->name.len > 0);
        assert(field->kind > 0 && field->kind < KINDS);
        assert((field->kind == KIND_MESSAGE || field->kind == KIND_GROUP) == (field->message != NULL));
        assert((field->kind == KIND_ENUM) == (field->values != NULL));
        if (field->values != NULL)
            (void)descriptor_value_name(field->values, (int32_t)field->number);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char fault[DESCRIPTOR_FAULT_ROOM] = "";
    const char *text = (const char *)data, *end = size == 0 ? NULL : memchr(text, '\n', size);
    if (end == NULL || size - (size_t)(end - text) < 3)
        return 0;
    struct span path = {text, (size_t)(end - text)};
    size_t len = (size_t)(unsigned char)end[1] << 8 | (unsigned char)end[2], left = size - path.len - 3;
    len = len < left ? len : left;
    struct descriptor_set *set = descriptor_set_read((struct span){end + 3, len}, fault);
    assert((set == NULL) == (fault[0] != '\0'));
    if (set == NULL)
        return 0;
    const struct descriptor_method *method = descriptor_method_of(set, path);
    const struct descriptor_message *type = method != NULL ? method->output : descriptor_message_named(set, path);
    if (type != NULL) {
        check_type(set, type);
        compare(type, (struct span){end + 3 + len, left - len});
    }
    descriptor_set_free(set);
    return 0;
}
