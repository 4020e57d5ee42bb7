/*
 * Messages as documents: what a place is without a schema, what both sides say together, what a descriptor adds, and
 * the bounds. The labelled pairs (corpus/protobuf.pairs) show what the differ makes of them.
 */
#include "tests/shadow/messages.h"

#include "shadow/protobuf_shape.h"

static const char orders[] = "tests/shadow/corpus/orders.protoset";

struct made {
    struct protobuf_tree *tree;
    struct doc_builder docs[2];
};

static int start(void **state)
{
    static struct made made;
    made = (struct made){.tree = protobuf_tree_new()};
    *state = &made;
    return made.tree == NULL ? -1 : 0;
}

static int end(void **state)
{
    struct made *made = *state;
    protobuf_tree_free(made->tree);
    doc_builder_done(&made->docs[0]);
    doc_builder_done(&made->docs[1]);
    return 0;
}

static enum json_fault make(struct made *made, const struct descriptor_message *type, struct span a, struct span b)
{
    const struct protobuf_part parts[2] = {{a, NODE_SOUND}, {b, NODE_SOUND}};
    const struct protobuf_parts sides[2] = {{&parts[0], 1}, {&parts[1], 1}};
    struct doc_builder *docs[2] = {&made->docs[0], &made->docs[1]};
    return protobuf_tree_make(made->tree, type, false, sides, docs);
}

/* Both sides as text. */
static void check(struct made *made, const struct descriptor_message *type, const char *a, const char *b,
                  const char *text, const char *other)
{
    char first[MESSAGE_ROOM], second[MESSAGE_ROOM], found[MESSAGE_ROOM];
    assert_int_equal(make(made, type, message_of(first, a), message_of(second, b)), JSON_FAULT_NONE);
    message_text(found, &made->docs[0]);
    assert_string_equal(found, text);
    message_text(found, &made->docs[1]);
    assert_string_equal(found, other);
}

static void places_without_a_schema(void **state)
{
    static const struct {
        const char *digits, *text;
    } cases[] = {
        {"", "{}"},
        {"08 96 01", "{\"1\":150}"},
        {"08 ffffffffffffffffff01", "{\"1\":-1}"},
        {"10 02 08 01", "{\"1\":1,\"2\":2}"}, /* in the order of their numbers */
        {"08 01 10 02 08 03", "{\"1\":[1,3],\"2\":2}"},
        {"12 02 'hi'", "{\"2\":\"hi\"}"}, /* would read as a message */
        {"12 05 'error'", "{\"2\":\"error\"}"},
        {"12 00", "{\"2\":\"\"}"},
        {"12 03 08 96 01", "{\"2\":{\"1\":150}}"},
        {"12 06 c3a9c3a8c3a7", "{\"2\":\"\xc3\xa9\xc3\xa8\xc3\xa7\"}"},
        {"12 04 0a 02 'hi'", "{\"2\":{\"1\":\"hi\"}}"},
        {"12 03 0a 'hi'", "{\"2\":\"\nhi\"}"}, /* reads as no message: a text with a line end */
        {"12 03 000102", "{\"2\":\"AAEC\"}"},
        {"12 02 0001", "{\"2\":\"AAE=\"}"},
        {"12 01 00", "{\"2\":\"AA==\"}"},
        {"12 02 0801 12 02 0001", "{\"2\":[\"CAE=\",\"AAE=\"]}"}, /* one is no message, so none is */
        {"12 02 0801 12 02 'hi'", "{\"2\":[{\"1\":1},{\"13\":105}]}"},
        {"12 02 0801 12 00", "{\"2\":[{\"1\":1},{}]}"},
        {"13 08 01 14", "{\"2\":{\"1\":1}}"},
        {"09 0000000000002940", "{\"1\":12.5}"},
        {"09 0000000000000000", "{\"1\":0}"},
        {"09 9a9999999999b93f", "{\"1\":0.1}"},
        {"09 0500000000000000", "{\"1\":5}"},
        {"09 ffffffffffffffff", "{\"1\":18446744073709551615}"},
        {"09 0000000000000080", "{\"1\":9223372036854775808}"}, /* no -0 */
        {"09 0000000000002940 09 0500000000000000", "{\"1\":[4623226492472524800,5]}"},
        {"0d cdcccc3d", "{\"1\":0.1}"},
        {"0d 07000000", "{\"1\":7}"},
        {"08 01 0a 02 'hi'", "{\"1\":[1,\"text hi\"]}"}, /* several types at one place */
        {"08 01 0a 01 00", "{\"1\":[1,\"bytes AA==\"]}"},
        {"08 01 0d 07000000", "{\"1\":[1,\"fixed32 7\"]}"},
        {"0b 0c 0a 02 0801", "{\"1\":[[{}],{\"1\":1}]}"},
    };
    struct made *made = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check(made, NULL, cases[i].digits, cases[i].digits, cases[i].text, cases[i].text);
}

/* What a place is on one side, it is on the other. */
static void sides_say_together_what_a_place_is(void **state)
{
    struct made *made = *state;
    check(made, NULL, "08 01", "08 01 08 02", "{\"1\":[1]}", "{\"1\":[1,2]}");
    check(made, NULL, "12 02 0801", "12 05 'hello'", "{\"2\":\"CAE=\"}", "{\"2\":\"aGVsbG8=\"}");
    check(made, NULL, "12 02 'hi'", "12 05 'hello'", "{\"2\":\"hi\"}", "{\"2\":\"hello\"}");
    check(made, NULL, "12 00", "12 02 0801", "{\"2\":{}}", "{\"2\":{\"1\":1}}");
    check(made, NULL, "08 07", "0d 07000000", "{\"1\":7}", "{\"1\":\"fixed32 7\"}");
    check(made, NULL, "09 0000000000002940", "09 0500000000000000", "{\"1\":4623226492472524800}", "{\"1\":5}");
    check(made, NULL, "0a 04 1a020801", "0a 08 1a020801 1a020802", "{\"1\":{\"3\":[{\"1\":1}]}}",
          "{\"1\":{\"3\":[{\"1\":1},{\"1\":2}]}}");
}

static void a_descriptor_names_and_types(void **state)
{
    static const struct {
        const char *digits, *text;
    } cases[] = {
        {"0a 02 'hi' 10 02", "{\"id\":\"hi\",\"state\":\"STATE_SHIPPED\"}"},
        {"10 4d", "{\"state\":77}"},
        {"1a 03 0a01 'A'", "{\"items\":[{\"sku\":\"A\"}]}"},
        {"1a 05 2203 010203", "{\"items\":[{\"sizes\":[1,2,3]}]}"},
        {"1a 06 2001 2002 2003", "{\"items\":[{\"sizes\":[1,2,3]}]}"},
        {"1a 04 1202 1003", "{\"items\":[{\"price\":{\"cents\":-2}}]}"},
        {"1a 0b 1209 19 000000000000f87f", "{\"items\":[{\"price\":{\"rate\":\"NaN\"}}]}"},
        {"1a 0b 1209 19 000000000000f0ff", "{\"items\":[{\"price\":{\"rate\":\"-Infinity\"}}]}"},
        {"1a 04 2a02 'hi'", "{\"items\":[{\"blob\":\"aGk=\"}]}"},
        {"22 09 0a03 'air' 1202 0805", "{\"fees\":{\"air\":{\"units\":5}}}"},
        {"22 05 0a03 'air'", "{\"fees\":{\"air\":{}}}"},
        {"2a 00", "{\"notes\":{\"0\":\"\"}}"},
        {"2a 0d 08 ffffffffffffffffff01 1200", "{\"notes\":{\"-1\":\"\"}}"},
        {"2a 01 08", "{\"notes\":{\"\":<not protobuf>}}"},
        {"3800", "{\"cash\":false}"},
        {"3801", "{\"cash\":true}"},
        {"5000", "{\"rank\":0}"},
        {"1000 59 0000000000000000", "{}"}, /* defaults that say nothing */
        {"7a 02 'hi'", "{\"15\":\"hi\"}"},  /* sfixed32 by its descriptor */
        {"7d ffffffff", "{\"offset\":-1}"},
        {"7200", "{}"},
        {"72 02 0102", "{\"states\":[\"STATE_OPEN\",\"STATE_SHIPPED\"]}"},
        {"4a 06 0000c03f 0000", "{\"weights\":[1.5,<not protobuf>]}"},
        {"9a06 02 'hi'", "{\"99\":\"hi\"}"},
        {"62 02 0800", "{\"parent\":{\"1\":0}}"},
        {"42 01 08", "{\"at\":<not protobuf>}"},
        {"8a01 04 0801 1001", "{\"flags\":{\"true\":\"STATE_OPEN\"}}"},
    };
    struct made *made = *state;
    char fault[DESCRIPTOR_FAULT_ROOM] = "";
    struct descriptor_set *set = descriptor_set_load(orders, fault);
    assert_string_equal(fault, "");
    const struct descriptor_message *order = descriptor_message_named(set, (struct span){"shop.v1.Order", 13});
    assert_non_null(order);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check(made, order, cases[i].digits, cases[i].digits, cases[i].text, cases[i].text);
    const struct descriptor_message *old = descriptor_message_named(set, (struct span){".shop.old.Old", 13});
    assert_non_null(old);
    check(made, old, "0800 13 14", "0800 1b 2003 1c 2a 02 0102 30 ffffffffffffffffff01", "{\"id\":0,\"2\":{}}",
          "{\"id\":0,\"line\":[{\"count\":3}],\"sizes\":[1,2],\"kind\":\"LESS\"}");
    descriptor_set_free(set);
}

static void a_row_of_messages_is_a_list(void **state)
{
    struct made *made = *state;
    const struct protobuf_part parts[3] = {
        {{"\x08\x01", 2}, NODE_SOUND}, {{"\x08", 1}, NODE_SOUND}, {{"\x08\x02\x08", 3}, NODE_CUT_OFF}};
    const struct protobuf_parts sides[2] = {{parts, 3}, {parts, 0}};
    struct doc_builder *docs[2] = {&made->docs[0], &made->docs[1]};
    char found[MESSAGE_ROOM];
    assert_int_equal(protobuf_tree_make(made->tree, NULL, true, sides, docs), JSON_FAULT_NONE);
    message_text(found, docs[0]);
    assert_string_equal(found, "[{\"1\":1},<not protobuf>,<cut off>]");
    message_text(found, docs[1]);
    assert_string_equal(found, "[]");
}

/* Nested deeper than is looked into: bytes, without an end of the stack. */
static void depth_has_a_bound(void **state)
{
    struct made *made = *state;
    enum {
        LEVELS = 30000
    };
    char *text = malloc(LEVELS * 5), *at = text + LEVELS * 5;
    assert_non_null(text);
    for (size_t len = 0, i = 0; i < LEVELS; i++) {
        char front[8] = "\x0a";
        size_t n = 1, rest = len;
        for (; rest > 0x7f; rest >>= 7)
            front[n++] = (char)(rest | 0x80);
        front[n++] = (char)rest;
        at -= n;
        memcpy(at, front, n);
        len += n;
    }
    struct span deep = {at, (size_t)(text + LEVELS * 5 - at)};
    assert_int_equal(make(made, NULL, deep, deep), JSON_FAULT_NONE);
    assert_true(made->docs[0].doc.count < 4 * PROTOBUF_DEPTH);
    free(text);
}

static void places_have_a_bound(void **state)
{
    struct made *made = *state;
    enum {
        FIELDS = PROTOBUF_SHAPES + 1
    };
    unsigned char *text = malloc(FIELDS * 6);
    size_t len = 0;
    assert_non_null(text);
    for (uint32_t number = 1; number <= FIELDS; number++) {
        uint32_t tag = number << 3;
        for (; tag > 0x7f; tag >>= 7)
            text[len++] = (unsigned char)(tag | 0x80);
        text[len++] = (unsigned char)tag;
        text[len++] = 0;
    }
    assert_int_equal(make(made, NULL, (struct span){(char *)text, len}, (struct span){"", 0}), JSON_FAULT_SIZE);
    free(text);
}

/* A group cannot be taken for bytes: where it is too deep, the pair is. */
static void a_group_too_deep(void **state)
{
    struct made *made = *state;
    char text[4 * PROTOBUF_DEPTH], *at = text + sizeof(text);
    size_t len = 2;
    at -= 2;
    memcpy(at, "\x0b\x0c", 2);
    for (int depth = 1; depth < PROTOBUF_DEPTH; depth++) {
        assert_int_equal(make(made, NULL, (struct span){at, len}, (struct span){"", 0}), JSON_FAULT_NONE);
        size_t front = len > 0x7f ? 3 : 2;
        at -= front;
        at[0] = 0x0a;
        at[1] = (char)(len > 0x7f ? len | 0x80 : len);
        if (len > 0x7f)
            at[2] = (char)(len >> 7);
        len += front;
    }
    assert_int_equal(make(made, NULL, (struct span){at, len}, (struct span){"", 0}), JSON_FAULT_DEPTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(places_without_a_schema, start, end),
        cmocka_unit_test_setup_teardown(sides_say_together_what_a_place_is, start, end),
        cmocka_unit_test_setup_teardown(a_descriptor_names_and_types, start, end),
        cmocka_unit_test_setup_teardown(a_row_of_messages_is_a_list, start, end),
        cmocka_unit_test_setup_teardown(depth_has_a_bound, start, end),
        cmocka_unit_test_setup_teardown(places_have_a_bound, start, end),
        cmocka_unit_test_setup_teardown(a_group_too_deep, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
