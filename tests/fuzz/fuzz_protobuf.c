/*
 * Two protobuf messages, or two gRPC bodies: made documents, compared. The first byte says what they are, the second
 * where the first ends.
 *
 * The same bytes twice have no difference, and where two messages have none, they are the same but for the order of
 * different fields: asked of a second, simpler comparison below.
 */
#include "tests/fuzz/built.h"

#include "shadow/grpc_stream.h"
#include "shadow/protobuf_shape.h"
#include "shadow/protobuf_tree.h"

enum {
    IS_GRPC = 1,
    IS_BASE64 = 2,
    IS_GZIP = 4,
    LIMIT = 64 * 1024,
    FIELDS = 4096,
    ROUGH_DEPTH = 8, /* deeper than that the bytes must be the same, or are not looked at */
};

/* ---- what is surely different ---- */

static int by_number(const void *a, const void *b)
{
    const struct wire_field *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->bytes.at > y->bytes.at) - (x->bytes.at < y->bytes.at);
}

/* The fields by number, those of one number as they stand: for that, every field's bytes.at is where it ends. */
static size_t fields_of(struct span text, struct wire_field *fields, struct span *bytes)
{
    struct wire_reader r = {.text = text};
    size_t count = 0;
    while (count < FIELDS && wire_next(&r, &fields[count])) {
        bytes[r.at] = fields[count].bytes;
        fields[count].bytes = (struct span){text.at + r.at, 0};
        count++;
    }
    if (count > 1)
        qsort(fields, count, sizeof(*fields), by_number);
    for (size_t i = 0; i < count; i++)
        fields[i].bytes = bytes[fields[i].bytes.at - text.at];
    return count;
}

static bool may_be_same(struct span a, struct span b, int depth);

static bool fields_may_be_same(const struct wire_field *a, const struct wire_field *b, size_t count, int depth)
{
    for (size_t i = 0; i < count; i++)
        if (a[i].number != b[i].number || a[i].type != b[i].type || a[i].value != b[i].value ||
            !may_be_same(a[i].bytes, b[i].bytes, depth + 1))
            return false;
    return true;
}

static bool may_be_same(struct span a, struct span b, int depth)
{
    if (span_equal(a, b) || depth > ROUGH_DEPTH)
        return true;
    if (wire_check(a, NULL) != WIRE_FAULT_NONE || wire_check(b, NULL) != WIRE_FAULT_NONE)
        return false;
    struct wire_field *x = calloc(FIELDS, sizeof(*x)), *y = calloc(FIELDS, sizeof(*y));
    struct span *bytes = calloc((a.len > b.len ? a.len : b.len) + 1, sizeof(*bytes));
    assert(x != NULL && y != NULL && bytes != NULL);
    size_t count = fields_of(a, x, bytes), other = fields_of(b, y, bytes);
    bool same = count == other && fields_may_be_same(x, y, count, depth);
    free(x);
    free(y);
    free(bytes);
    return same;
}

/* ---- a pair ---- */

/* Did it look at everything? Then *differs says whether something differs. */
static bool diff(const struct doc_builder docs[2], bool *differs)
{
    static struct json_diff *diff;
    static struct rules *rules;
    static struct difference_list list;
    static const struct veil veil = {.values = SAMPLES_REDACTED};
    const struct config_route route = {.name = "fuzz"};
    if (diff == NULL) {
        diff = json_diff_new();
        rules = rules_new(&route);
    }
    assert(diff != NULL && rules != NULL);
    difference_list_reset(&list, &veil);
    enum json_diff_result result = json_diff_run(diff, rules, &docs[0].doc, &docs[1].doc, &list);
    *differs = list.count > 0;
    return result == JSON_DIFF_DONE;
}

static void compare(bool list, const struct protobuf_parts sides[2], bool same_bytes)
{
    static struct protobuf_tree *tree;
    static struct doc_builder docs[2];
    struct doc_builder *to[2] = {&docs[0], &docs[1]};
    bool differs;
    if (tree == NULL)
        tree = protobuf_tree_new();
    assert(tree != NULL);
    if (protobuf_tree_make(tree, NULL, list, sides, to) != JSON_FAULT_NONE)
        return;
    built_check(&docs[0]);
    built_check(&docs[1]);
    built_diff(&docs[0], &docs[1]);
    if (!diff(docs, &differs))
        return;
    assert(!same_bytes || !differs);
    if (!differs && !list)
        assert(may_be_same(sides[0].at[0].bytes, sides[1].at[0].bytes, 0));
    doc_builder_trim(&docs[0]);
    doc_builder_trim(&docs[1]);
}

static void compare_messages(struct span first, struct span second)
{
    const struct protobuf_part parts[2] = {{first, NODE_SOUND}, {second, NODE_SOUND}};
    const struct protobuf_parts sides[2] = {{&parts[0], 1}, {&parts[1], 1}}, same[2] = {sides[0], sides[0]};
    compare(false, same, true);
    compare(false, sides, false);
}

static void compare_streams(unsigned how, struct span first, struct span second)
{
    static struct grpc_stream streams[2];
    struct grpc_type type = {.is_grpc = true, .web = true, .base64 = (how & IS_BASE64) != 0};
    struct span encoding = (how & IS_GZIP) != 0 ? (struct span){"gzip", 4} : (struct span){"", 0};
    if (grpc_stream_read(&streams[0], type, first, encoding, LIMIT) != CODING_DONE ||
        grpc_stream_read(&streams[1], type, second, encoding, LIMIT) != CODING_DONE)
        return;
    const struct protobuf_parts sides[2] = {{streams[0].parts, streams[0].count}, {streams[1].parts, streams[1].count}};
    const struct protobuf_parts same[2] = {sides[0], sides[0]};
    compare(true, same, true);
    compare(true, sides, span_equal(first, second));
    grpc_stream_trim(&streams[0]);
    grpc_stream_trim(&streams[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t len = (size - 2) * data[1] / UINT8_MAX;
    struct span first = {(const char *)data + 2, len}, second = {(const char *)data + 2 + len, size - 2 - len};
    if ((data[0] & IS_GRPC) != 0)
        compare_streams(data[0], first, second);
    else
        compare_messages(first, second);
    return 0;
}
