/*
 * Protobuf and gRPC bodies: see body.h. A protobuf body is one message; a gRPC body is a row of them, compared like
 * lines of JSON: by index, as a list. Where both sides have exactly one, and nothing says that there may be more, the
 * message itself is the document, so that the paths of a unary call are those of its message. Compare thread.
 */
#include "shadow/body_inside.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "shadow/grpc_outcome.h"
#include "shadow/headers.h"

/* ---- which message it is ---- */

/* The value of a media type's parameter, without quotes; empty where it has none of this name. */
static struct span parameter(struct span type, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i + len + 1 < type.len; i++) {
        if ((type.at[i] != ';' && type.at[i] != ' ') || strncasecmp(type.at + i + 1, name, len) != 0 ||
            type.at[i + 1 + len] != '=')
            continue;
        struct span value = {type.at + i + len + 2, type.len - i - len - 2};
        if (value.len > 0 && value.at[0] == '"')
            value = (struct span){value.at + 1, value.len - 1};
        for (size_t end = 0; end < value.len; end++)
            if (strchr("\"; \t", value.at[end]) != NULL)
                value.len = end;
        return value;
    }
    return (struct span){"", 0};
}

/* What a body says it is: in a parameter, as Prometheus and Google's clients do, or in a header, as Spring does. */
static const struct descriptor_message *type_told(const struct descriptor_set *set, const struct body *body)
{
    static const char *const names[] = {"proto", "messagetype"};
    const struct descriptor_message *type = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && type == NULL; i++)
        type = descriptor_message_named(set, parameter(body->type, names[i]));
    return type != NULL ? type : descriptor_message_named(set, body_field(body->head, "x-protobuf-message"));
}

/* ---- one message ---- */

static void show_wire(char *to, enum wire_fault fault, size_t at)
{
    if (fault == WIRE_FAULT_NONE)
        snprintf(to, VALUE_ROOM, "<valid protobuf>");
    else
        snprintf(to, VALUE_ROOM, "<not protobuf: %s at byte %zu>", wire_fault_name(fault), at);
}

enum obstacle body_compare_protobuf(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                    const struct body *shadow, struct difference_list *list)
{
    size_t at, other_at;
    enum wire_fault a = wire_check(primary->bytes, &at), b = wire_check(shadow->bytes, &other_at);
    if (a == WIRE_FAULT_DEPTH || b == WIRE_FAULT_DEPTH) /* perhaps protobuf, but not looked at */
        return OBSTACLE_TOO_COMPLEX;
    if (a != WIRE_FAULT_NONE && b != WIRE_FAULT_NONE) /* neither is protobuf, whatever it says */
        return body_compare_bytes(judge, rules, primary, shadow, list);
    if (a != WIRE_FAULT_NONE || b != WIRE_FAULT_NONE) {
        char value[VALUE_ROOM], other[VALUE_ROOM];
        show_wire(value, a, at);
        show_wire(other, b, other_at);
        body_note_invalid(list, value, other);
        return OBSTACLE_NONE;
    }
    const struct descriptor_message *type = NULL;
    if (rules->descriptors != NULL) {
        type = type_told(rules->descriptors, primary);
        type = type != NULL ? type : type_told(rules->descriptors, shadow);
    }
    const struct protobuf_part parts[2] = {{primary->bytes, NODE_SOUND}, {shadow->bytes, NODE_SOUND}};
    const struct protobuf_parts sides[2] = {{&parts[0], 1}, {&parts[1], 1}};
    struct doc_builder *docs[2] = {&judge->primary_built, &judge->shadow_built};
    return body_diff_built(judge, rules, protobuf_tree_make(judge->messages, type, false, sides, docs), list);
}

/* ---- a row of messages ---- */

/* Where a side has lost its Content-Type, it is taken for what the other one is. */
static enum coding_result read_streams(struct body_judge *judge, const struct body *bodies[2],
                                       struct grpc_type types[2])
{
    enum coding_result result = CODING_DONE;
    for (int side = 0; side < 2; side++)
        types[side] = grpc_type_of(bodies[side]->type);
    for (int side = 0; side < 2; side++)
        if (!types[side].is_grpc)
            types[side] = types[1 - side];
    for (int side = 0; side < 2 && result == CODING_DONE; side++) {
        size_t limit = body_decoded_most(judge, bodies[side]->max_body);
        result = grpc_stream_read(&judge->streams[side], types[side], bodies[side]->bytes,
                                  body_field(bodies[side]->head, "grpc-encoding"), limit);
    }
    return result;
}

/* Of bodies of which only the beginnings are there: as many messages as both have whole. */
static void keep_beginnings(struct grpc_stream streams[2], const struct body *bodies[2])
{
    for (int side = 0; side < 2; side++)
        if (bodies[side]->truncated && streams[side].cut_off)
            streams[side].count--;
    uint32_t both = streams[0].count < streams[1].count ? streams[0].count : streams[1].count;
    streams[0].count = streams[1].count = both;
}

static bool is_one(const struct grpc_stream *stream)
{
    return stream->count == 1 && stream->parts[0].fault == NODE_SOUND;
}

static void add_json(struct doc_builder *to, struct json_doc *doc, const struct protobuf_part *part)
{
    if (part->fault != NODE_SOUND)
        doc_builder_broken(to, part->fault, part->bytes.at, part->bytes.len);
    else if (json_doc_parse(doc, part->bytes.at, part->bytes.len))
        doc_builder_document(to, doc);
    else if (json_fault_is_ours(doc->fault))
        to->fault = to->fault == JSON_FAULT_NONE ? doc->fault : to->fault;
    else
        doc_builder_broken(to, NODE_NOT_JSON, part->bytes.at, part->bytes.len);
}

static enum json_fault build_json(struct body_judge *judge, bool list)
{
    struct doc_builder *docs[2] = {&judge->primary_built, &judge->shadow_built};
    enum json_fault fault = JSON_FAULT_NONE;
    for (int side = 0; side < 2 && fault == JSON_FAULT_NONE; side++) {
        const struct grpc_stream *stream = &judge->streams[side];
        doc_builder_start(docs[side]);
        if (list)
            doc_builder_open_array(docs[side]);
        for (uint32_t i = 0; i < stream->count && docs[side]->fault == JSON_FAULT_NONE; i++)
            add_json(docs[side], &judge->primary, &stream->parts[i]);
        if (list)
            doc_builder_close(docs[side]);
        fault = doc_builder_finish(docs[side]);
    }
    return fault;
}

static enum json_fault build_protobuf(struct body_judge *judge, const struct descriptor_method *method, bool list)
{
    const struct grpc_stream *streams = judge->streams;
    const struct protobuf_parts sides[2] = {{streams[0].parts, streams[0].count}, {streams[1].parts, streams[1].count}};
    struct doc_builder *docs[2] = {&judge->primary_built, &judge->shadow_built};
    return protobuf_tree_make(judge->messages, method == NULL ? NULL : method->output, list, sides, docs);
}

static enum obstacle compare_messages(struct body_judge *judge, const struct rules *rules,
                                      const struct grpc_type types[2], bool truncated, struct difference_list *list)
{
    const struct descriptor_method *method =
        rules->descriptors == NULL ? NULL : descriptor_method_of(rules->descriptors, judge->target);
    bool streams = (method != NULL && method->streams) || truncated;
    bool many = streams || !is_one(&judge->streams[0]) || !is_one(&judge->streams[1]);
    bool json = types[0].json || types[1].json;
    return body_diff_built(judge, rules, json ? build_json(judge, many) : build_protobuf(judge, method, many), list);
}

static const enum obstacle obstacles_by_replacing[] = {
    [REPLACE_DONE] = OBSTACLE_NONE,
    [REPLACE_TOO_COMPLEX] = OBSTACLE_TOO_COMPLEX,
    [REPLACE_TOO_LARGE] = OBSTACLE_TOO_COMPLEX,
    [REPLACE_NO_MEMORY] = OBSTACLE_MEMORY,
};

/* gRPC-Web says in the body how the call ended; otherwise it was compared before. */
static enum obstacle compare_outcomes(struct body_judge *judge, const struct rules *rules, const struct body *bodies[2],
                                      bool *apart, struct difference_list *list)
{
    struct grpc_outcome outcomes[2];
    *apart = false;
    if ((judge->streams[0].trailers.len == 0 && judge->streams[1].trailers.len == 0) || bodies[0]->truncated ||
        bodies[1]->truncated)
        return OBSTACLE_NONE;
    for (int side = 0; side < 2; side++)
        outcomes[side] = grpc_outcome_of(judge->streams[side].trailers, bodies[side]->trailers, bodies[side]->head);
    return obstacles_by_replacing[grpc_outcome_compare(rules, &outcomes[0], &outcomes[1], apart, list)];
}

enum obstacle body_compare_grpc(struct body_judge *judge, const struct rules *rules, const struct body *primary,
                                const struct body *shadow, struct difference_list *list)
{
    const struct body *bodies[2] = {primary, shadow};
    struct grpc_type types[2];
    bool truncated = primary->truncated || shadow->truncated, apart;
    enum coding_result read = read_streams(judge, bodies, types);
    if (judge->streams[0].too_many || judge->streams[1].too_many)
        return OBSTACLE_TOO_COMPLEX;
    if (read != CODING_DONE)
        return body_obstacle_of_coding(read);
    enum obstacle obstacle = compare_outcomes(judge, rules, bodies, &apart, list);
    if (obstacle != OBSTACLE_NONE || apart)
        return obstacle;
    uint32_t before = list->count;
    if (truncated)
        keep_beginnings(judge->streams, bodies);
    obstacle = compare_messages(judge, rules, types, truncated, list);
    if (truncated && obstacle == OBSTACLE_NONE && list->count == before)
        obstacle = body_compare_beyond(rules, MEDIA_GRPC, primary, shadow, list);
    return obstacle;
}
