/*
 * Descriptor sets: what is found in one that protoc made, and what is said of a file that is none.
 */
#include "tests/shadow/messages.h"

#include <unistd.h>

#include "shadow/descriptor.h"

static const char orders[] = "tests/shadow/corpus/orders.protoset";

static struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static struct descriptor_set *load(void)
{
    char fault[DESCRIPTOR_FAULT_ROOM] = "";
    struct descriptor_set *set = descriptor_set_load(orders, fault);
    assert_string_equal(fault, "");
    assert_non_null(set);
    return set;
}

static const struct descriptor_field *field_of(const struct descriptor_set *set, const char *message, uint32_t number)
{
    const struct descriptor_message *found = descriptor_message_named(set, span_of(message));
    assert_non_null(found);
    const struct descriptor_field *field = descriptor_field_numbered(found, number);
    assert_non_null(field);
    return field;
}

static void fields_and_types(void **state)
{
    struct descriptor_set *set = load();
    const struct descriptor_field *field;
    (void)state;
    field = field_of(set, "shop.v1.Order", 3);
    assert_true(span_equal(field->name, span_of("items")));
    assert_int_equal(field->kind, KIND_MESSAGE);
    assert_true(field->repeated);
    assert_string_equal(field->message->name, "shop.v1.Item");
    field = field_of(set, "shop.v1.Order", 4);
    assert_true(field->message->map_entry);
    assert_string_equal(field->message->name, "shop.v1.Order.FeesEntry");
    field = field_of(set, "shop.v1.Order", 8);
    assert_string_equal(field->message->name, "google.protobuf.Timestamp");
    field = field_of(set, "shop.v1.Order", 2);
    assert_int_equal(field->kind, KIND_ENUM);
    assert_true(span_equal(descriptor_value_name(field->values, 1), span_of("STATE_OPEN")));
    assert_int_equal(descriptor_value_name(field->values, 5).len, 0);
    assert_true(span_equal(descriptor_value_name(field_of(set, "shop.old.Old", 6)->values, -1), span_of("LESS")));
    assert_true(span_equal(descriptor_value_name(field_of(set, "shop.old.Old", 6)->values, 1), span_of("SOME")));
    assert_int_equal(field_of(set, "shop.old.Old", 3)->kind, KIND_GROUP);
    assert_null(descriptor_field_numbered(descriptor_message_named(set, span_of("shop.v1.Order")), 18));
    assert_null(descriptor_message_named(set, span_of("shop.v1.Nothing")));
    assert_null(descriptor_message_named(set, span_of("")));
    descriptor_set_free(set);
}

static void presence(void **state)
{
    struct descriptor_set *set = load();
    (void)state;
    assert_false(field_of(set, "shop.v1.Order", 1)->presence);
    assert_true(field_of(set, "shop.v1.Order", 6)->presence);  /* of a oneof */
    assert_true(field_of(set, "shop.v1.Order", 8)->presence);  /* a message */
    assert_true(field_of(set, "shop.v1.Order", 10)->presence); /* optional */
    assert_true(field_of(set, "shop.old.Old", 2)->presence);   /* proto2 */
    descriptor_set_free(set);
}

static void methods_by_the_path_of_a_request(void **state)
{
    static const struct {
        const char *path, *output;
        bool streams;
    } cases[] = {
        {"/shop.v1.Orders/Get", "shop.v1.GetReply", false},
        {"/shop.v1.Orders/Watch", "shop.v1.Order", true},
        {"/api/v2/shop.v1.Orders/Watch?a=/b", "shop.v1.Order", true},
        {"shop.v1.Orders/Get", "shop.v1.GetReply", false},
        {"/shop.v1.Orders/", NULL, false},
        {"/shop.v1.Orders", NULL, false},
        {"/Orders/Get", NULL, false},
        {"/", NULL, false},
        {"", NULL, false},
    };
    struct descriptor_set *set = load();
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct descriptor_method *method = descriptor_method_of(set, span_of(cases[i].path));
        if ((method == NULL) != (cases[i].output == NULL))
            fail_msg("%s", cases[i].path);
        if (method == NULL)
            continue;
        assert_string_equal(method->output->name, cases[i].output);
        assert_true(method->streams == cases[i].streams);
    }
    descriptor_set_free(set);
}

static void says_what_is_wrong_with_a_set(void **state)
{
    static const struct {
        const char *digits, *fault;
    } cases[] = {
        {"ff",
         "is no FileDescriptorSet (ends early at byte 0); protoc --include_imports --descriptor_set_out makes one"},
        {"", "has no messages; protoc --include_imports --descriptor_set_out makes a FileDescriptorSet"},
        {"0a 02 12 00", "has no messages; protoc --include_imports --descriptor_set_out makes a FileDescriptorSet"},
        {"0a 05 12 03 'a b'", "the name of a package is no identifier"},
        {"0a 05 22 03 0a 01 '1'", "the name of a message is no identifier"},
        {"0a 02 22 00", "the name of a message is no identifier"},
        /* message M { field a without a number } */
        {"0a 0c 22 0a 0a01 'M' 12 05 0a01 'a' 2805", "the field a of M has no type or no number"},
        /* message M { .x.T t = 1 } */
        {"0a 14 22 12 0a01 'M' 12 0d 0a01 't' 1801 280b 32 04 '.x.T'",
         "the type x.T of the field t is not in it; protoc includes it with --include_imports"},
        /* message M twice */
        {"0a 05 2203 0a01 'M' 0a 05 2203 0a01 'M'", "the message M is in it twice"},
        /* message M; service S { method G returns .N } */
        {"0a 13 2203 0a01 'M' 32 0c 0a01 'S' 12 07 0a01 'G' 1a02 '.N'",
         "what S/G answers is not in it; protoc includes it with --include_imports"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char room[MESSAGE_ROOM], fault[DESCRIPTOR_FAULT_ROOM] = "";
        assert_null(descriptor_set_read(message_of(room, cases[i].digits), fault));
        assert_string_equal(fault, cases[i].fault);
    }
}

static void messages_in_messages_have_a_bound(void **state)
{
    char text[1024] = "", grown[1024], fault[DESCRIPTOR_FAULT_ROOM] = "";
    size_t len = 0;
    (void)state;
    for (int i = 0; i < DESCRIPTOR_DEPTH + 2; i++) { /* message M { what there is } */
        size_t inside = len;
        memcpy(grown, "\x0a\x01M\x1a", 4);
        grown[4] = (char)(inside & 0x7f);
        size_t front = 5;
        if (inside > 0x7f) {
            grown[4] = (char)(inside | 0x80);
            grown[front++] = (char)(inside >> 7);
        }
        len = inside == 0 ? 3 : front + inside;
        memcpy(grown + front, text, inside);
        memcpy(text, grown, len);
    }
    char file[1100] = "\x22", set[1200] = "\x0a";
    file[1] = (char)(len | 0x80);
    file[2] = (char)(len >> 7);
    memcpy(file + 3, text, len);
    set[1] = (char)((len + 3) | 0x80);
    set[2] = (char)((len + 3) >> 7);
    memcpy(set + 3, file, len + 3);
    assert_null(descriptor_set_read((struct span){set, len + 6}, fault));
    assert_string_equal(fault, "messages nested deeper than 32");
}

static void says_what_is_wrong_with_a_file(void **state)
{
    char fault[DESCRIPTOR_FAULT_ROOM];
    (void)state;
    assert_null(descriptor_set_load("/nonexistent/a.protoset", fault));
    assert_string_equal(fault, "cannot be opened: No such file or directory");
    assert_null(descriptor_set_load("/tmp", fault));
    assert_string_equal(fault, "is no file");
    assert_null(descriptor_set_load("tests/shadow/corpus/orders.proto", fault));
    assert_string_equal(fault, "is no FileDescriptorSet (no wire type at byte 0); protoc --include_imports "
                               "--descriptor_set_out makes one");
}

/* Cut off anywhere, it is refused, but behind its first file and its second. */
static void a_file_that_is_cut_off(void **state)
{
    char text[16 * 1024], fault[DESCRIPTOR_FAULT_ROOM];
    FILE *file = fopen(orders, "r");
    (void)state;
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text), file);
    assert_true(len > 0 && len < sizeof(text));
    fclose(file);
    unsigned loaded = 0, with_method = 0;
    for (size_t i = 0; i < len; i++) {
        char *copy = malloc(i + 1);
        assert_non_null(copy);
        memcpy(copy, text, i);
        struct descriptor_set *set = descriptor_set_read((struct span){copy, i}, fault);
        free(copy);
        loaded += set != NULL ? 1 : 0;
        with_method += set != NULL && descriptor_method_of(set, span_of("/shop.v1.Orders/Get")) != NULL ? 1 : 0;
        descriptor_set_free(set);
    }
    assert_int_equal(loaded, 2);
    assert_int_equal(with_method, 1);
}

static void keep_fault(void *context, const char *fault)
{
    snprintf(context, 256, "%s", fault);
}

static void files_are_checked_before(void **state)
{
    struct config_route routes[3] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    const struct config config = {.routes = routes, .route_count = 3};
    char fault[256] = "";
    (void)state;
    routes[1].shadow.compare.descriptor_set = orders;
    assert_true(descriptor_sets_check(&config, keep_fault, fault));
    assert_string_equal(fault, "");
    routes[2].shadow.compare.descriptor_set = "/tmp";
    assert_false(descriptor_sets_check(&config, keep_fault, fault));
    assert_string_equal(fault, "routes[2].shadow.compare.descriptor_set: /tmp: is no file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_and_types),
        cmocka_unit_test(presence),
        cmocka_unit_test(methods_by_the_path_of_a_request),
        cmocka_unit_test(says_what_is_wrong_with_a_set),
        cmocka_unit_test(messages_in_messages_have_a_bound),
        cmocka_unit_test(says_what_is_wrong_with_a_file),
        cmocka_unit_test(a_file_that_is_cut_off),
        cmocka_unit_test(files_are_checked_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
