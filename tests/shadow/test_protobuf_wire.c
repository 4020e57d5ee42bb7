/*
 * The wire format: what is read, and what is refused where.
 */
#include "tests/shadow/messages.h"

#include "shadow/protobuf_wire.h"

static void reads_every_type(void **state)
{
    char room[MESSAGE_ROOM];
    struct wire_reader r = {.text =
                                message_of(room, "08 96 01 11 0100000000000080 1a 03 'abc' 23 08 07 24 2d 04030201")};
    struct wire_field field;
    (void)state;
    assert_true(wire_next(&r, &field));
    assert_int_equal(field.number, 1);
    assert_int_equal(field.type, WIRE_VARINT);
    assert_int_equal(field.value, 150);
    assert_true(wire_next(&r, &field));
    assert_int_equal(field.type, WIRE_FIXED64);
    assert_true(field.value == UINT64_C(0x8000000000000001));
    assert_true(wire_next(&r, &field));
    assert_int_equal(field.type, WIRE_BYTES);
    assert_true(span_equal(field.bytes, (struct span){"abc", 3}));
    assert_true(wire_next(&r, &field));
    assert_int_equal(field.type, WIRE_GROUP);
    assert_int_equal(field.number, 4);
    assert_true(span_equal(field.bytes, (struct span){"\x08\x07", 2}));
    assert_true(wire_next(&r, &field));
    assert_int_equal(field.type, WIRE_FIXED32);
    assert_int_equal(field.value, 0x01020304);
    assert_false(wire_next(&r, &field));
    assert_int_equal(r.fault, WIRE_FAULT_NONE);
}

static void names_what_is_wrong_and_where(void **state)
{
    static const struct {
        const char *digits;
        enum wire_fault fault;
        size_t at;
    } cases[] = {
        {"", WIRE_FAULT_NONE, 0},
        {"08 01", WIRE_FAULT_NONE, 2},
        {"0a 00", WIRE_FAULT_NONE, 2},
        {"08 ffffffffffffffffff01", WIRE_FAULT_NONE, 11},
        {"08 ffffffffffffffffff02", WIRE_FAULT_VARINT, 0},
        {"08 8080808080808080808000", WIRE_FAULT_VARINT, 0},
        {"08", WIRE_FAULT_ENDS_EARLY, 0},
        {"08 01 08 80", WIRE_FAULT_ENDS_EARLY, 2},
        {"08 01 0a 02 61", WIRE_FAULT_ENDS_EARLY, 2},
        {"0a ffffffffffffffffff01", WIRE_FAULT_ENDS_EARLY, 0},
        {"09 00000000000000", WIRE_FAULT_ENDS_EARLY, 0},
        {"0d 000000", WIRE_FAULT_ENDS_EARLY, 0},
        {"00 01", WIRE_FAULT_NUMBER, 0},
        {"02 00", WIRE_FAULT_NUMBER, 0},
        {"f8ffffff0f 01", WIRE_FAULT_NONE, 6},   /* 536870911 */
        {"8080808010 01", WIRE_FAULT_NUMBER, 0}, /* one more */
        {"0e", WIRE_FAULT_TYPE, 0},
        {"08 01 0f", WIRE_FAULT_TYPE, 2},
        {"0c", WIRE_FAULT_GROUP, 0},
        {"0b 14", WIRE_FAULT_GROUP, 0},
        {"0b 13 14 0c", WIRE_FAULT_NONE, 4},
        {"0b 08 01", WIRE_FAULT_ENDS_EARLY, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char room[MESSAGE_ROOM];
        size_t at = 99;
        enum wire_fault fault = wire_check(message_of(room, cases[i].digits), &at);
        if (fault != cases[i].fault || at != cases[i].at)
            fail_msg("%s: %s at %zu", cases[i].digits, wire_fault_name(fault), at);
    }
}

static void groups_have_a_depth(void **state)
{
    char text[2 * WIRE_GROUPS + 2];
    (void)state;
    memset(text, 0x0b, WIRE_GROUPS);
    memset(text + WIRE_GROUPS, 0x0c, WIRE_GROUPS);
    assert_int_equal(wire_check((struct span){text, 2 * WIRE_GROUPS}, NULL), WIRE_FAULT_NONE);
    memset(text, 0x0b, WIRE_GROUPS + 1);
    memset(text + WIRE_GROUPS + 1, 0x0c, WIRE_GROUPS + 1);
    assert_int_equal(wire_check((struct span){text, 2 * WIRE_GROUPS + 2}, NULL), WIRE_FAULT_DEPTH);
}

static void reads_packed_numbers(void **state)
{
    char room[MESSAGE_ROOM];
    struct wire_reader r = {.text = message_of(room, "01 9601 80")};
    uint64_t value;
    (void)state;
    assert_true(wire_next_packed(&r, WIRE_VARINT, &value));
    assert_int_equal(value, 1);
    assert_true(wire_next_packed(&r, WIRE_VARINT, &value));
    assert_int_equal(value, 150);
    assert_false(wire_next_packed(&r, WIRE_VARINT, &value));
    assert_int_equal(r.fault, WIRE_FAULT_ENDS_EARLY);
    assert_int_equal(r.at, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_type),
        cmocka_unit_test(names_what_is_wrong_and_where),
        cmocka_unit_test(groups_have_a_depth),
        cmocka_unit_test(reads_packed_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
