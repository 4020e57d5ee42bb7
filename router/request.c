/*
 * Field names shunt treats specially, for callers that have no codec to tell them.
 */
#include "router/request.h"

#include "router/text.h"

static const struct {
    const char *name;
    enum field_id id;
} field_names[] = {
    {"connection", FIELD_CONNECTION},
    {"content-length", FIELD_CONTENT_LENGTH},
    {"transfer-encoding", FIELD_TRANSFER_ENCODING},
    {"host", FIELD_HOST},
    {"expect", FIELD_EXPECT},
    {"upgrade", FIELD_UPGRADE},
    {"keep-alive", FIELD_KEEP_ALIVE},
    {"proxy-connection", FIELD_PROXY_CONNECTION},
    {"te", FIELD_TE},
    {"trailer", FIELD_TRAILER},
    {"via", FIELD_VIA},
    {"x-forwarded-for", FIELD_X_FORWARDED_FOR},
    {"x-forwarded-proto", FIELD_X_FORWARDED_PROTO},
    {"x-forwarded-host", FIELD_X_FORWARDED_HOST},
    {"x-forwarded-client-cert", FIELD_X_FORWARDED_CLIENT_CERT},
    {"x-request-id", FIELD_X_REQUEST_ID},
    {"cookie", FIELD_COOKIE},
    {"content-type", FIELD_CONTENT_TYPE},
    {"content-encoding", FIELD_CONTENT_ENCODING},
    {"x-shunt-shadow", FIELD_SHUNT_SHADOW},
};

enum field_id request_field_id(struct text name)
{
    for (size_t i = 0; i < sizeof(field_names) / sizeof(field_names[0]); i++)
        if (text_equals_fold(name, field_names[i].name, strlen(field_names[i].name)))
            return field_names[i].id;
    return FIELD_OTHER;
}
