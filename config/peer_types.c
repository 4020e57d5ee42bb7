/*
 * Types of peers: files of certificates, the versions of HTTP a listener speaks, and how a backend is named and asked
 * whether it is well.
 *
 * Called through the table of keys only. Of a file it is only asked whether it can be opened: proxy/ knows PEM.
 */
#include "config/types.h"

#include <string.h>

#include "config/loader.h"
#include "config/scalar.h"
#include "config/texts.h"
#include "config/writer.h"

/* ---- files ---- */

static void read_file(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    const struct node *scalar = loader_scalar(loader, node, "the path of a file");
    const char *path = scalar == NULL ? NULL : loader_file(loader, scalar);
    if (path != NULL)
        *KEY_FIELD(const char *, key, base) = path;
}

const struct config_type type_file = {
    .name = "a path", .read = read_file, .write = key_write_text, .is_set = key_text_is_set};

/* ---- listeners[].protocols ---- */

static const struct config_choice protocol_words[] = {{"h2", PROTOCOL_HTTP2}, {"http/1.1", PROTOCOL_HTTP1}, {NULL, 0}};

static const struct config_choice *find_protocol(const char *word)
{
    const struct config_choice *choice = protocol_words;
    while (choice->word != NULL && strcmp(choice->word, word) != 0)
        choice++;
    return choice->word != NULL ? choice : NULL;
}

static const char *protocol_fault(const char *text)
{
    return find_protocol(text) != NULL ? NULL : "is no known protocol";
}

static void read_protocols(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const struct texts_rule rule = {
        .expected = "[h2, http/1.1], or one of them", .item_expected = "h2 or http/1.1", .fault = protocol_fault};
    struct texts texts = {0};
    if (!texts_read(loader, node, &rule, &texts))
        return;
    if (texts.count == 0)
        loader_fault(loader, node->place, "the list is empty; expected %s", rule.expected);
    unsigned protocols = 0;
    for (uint32_t i = 0; i < texts.count; i++)
        protocols |= (unsigned)find_protocol(texts.items[i])->value;
    *KEY_FIELD(enum config_protocol, key, base) = (enum config_protocol)protocols;
}

static void write_protocols(struct writer *writer, const struct config_key *key, const void *base)
{
    unsigned protocols = *KEY_CONST_FIELD(enum config_protocol, key, base);
    const char *words[sizeof(protocol_words) / sizeof(protocol_words[0])];
    size_t count = 0;
    for (const struct config_choice *choice = protocol_words; choice->word != NULL; choice++) {
        if ((protocols & (unsigned)choice->value) != 0)
            words[count++] = choice->word;
    }
    writer_texts(writer, words, count);
}

static void write_protocol_range(struct writer *writer, const struct config_key *key)
{
    (void)key;
    for (const struct config_choice *choice = protocol_words; choice->word != NULL; choice++)
        writer_print(writer, "%s`%s`", choice == protocol_words ? "" : ", ", choice->word);
}

const struct config_type type_protocols = {.name = "a list of protocols",
                                           .read = read_protocols,
                                           .write = write_protocols,
                                           .write_range = write_protocol_range};

/* ---- names and hosts ---- */

static void fault_with_reason(struct loader *loader, const struct node *scalar, const char *why, const char *expected)
{
    if (why == NULL)
        faults_no_memory(loader->faults);
    else
        loader_fault(loader, scalar->place, "%s: %s; expected %s", node_shown(loader->faults, scalar), why, expected);
}

/* RFC 6066 section 3 has the name without the dot that may end it in DNS. */
static void read_server_name(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "a host name such as api.example.com, or an IP address";
    const struct node *scalar = loader_scalar(loader, node, expected);
    const char *why = NULL;
    if (scalar == NULL)
        return;
    if (!scalar_server_name(scalar->text, &why)) {
        fault_with_reason(loader, scalar, why, expected);
        return;
    }
    size_t len = strlen(scalar->text);
    len -= scalar->text[len - 1] == '.' ? 1 : 0;
    *KEY_FIELD(const char *, key, base) =
        loader_keep(loader, config_arena_text(loader->arena, scalar->text, len), scalar);
}

const struct config_type type_server_name = {
    .name = "a host", .read = read_server_name, .write = key_write_text, .is_set = key_text_is_set};

static void read_host_port(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "a host such as api.example.com or api.example.com:8443";
    const struct node *scalar = loader_scalar(loader, node, expected);
    const char *why = NULL;
    if (scalar == NULL)
        return;
    if (scalar_host(loader->faults->arena, scalar->text, &why))
        *KEY_FIELD(const char *, key, base) = loader_text(loader, scalar);
    else
        fault_with_reason(loader, scalar, why, expected);
}

const struct config_type type_host_port = {
    .name = "a host", .read = read_host_port, .write = key_write_text, .is_set = key_text_is_set};

/* ---- backends.NAME.health ---- */

enum {
    SERVICE_MOST = 255
};

/* Is it one visible word? What stands in the head of a request holds no blank and no control byte. */
static bool is_visible(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= 0x20 || *text >= 0x7f)
            return false;
    }
    return true;
}

static void read_health_path(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "a path such as /healthz, with a query where one is needed";
    const struct node *scalar = loader_scalar(loader, node, expected);
    if (scalar == NULL)
        return;
    const char *why = scalar->text[0] != '/'              ? "it does not begin with /"
                      : !is_visible(scalar->text)         ? "it holds a blank or a byte beyond ASCII"
                      : strchr(scalar->text, '#') != NULL ? "it has a fragment, which is never sent"
                                                          : NULL;
    if (why == NULL)
        *KEY_FIELD(const char *, key, base) = loader_text(loader, scalar);
    else
        fault_with_reason(loader, scalar, why, expected);
}

const struct config_type type_health_path = {
    .name = "a path", .read = read_health_path, .write = key_write_text, .is_set = key_text_is_set};

static void read_health_service(struct loader *loader, const struct config_key *key, const struct node *node,
                                void *base)
{
    static const char expected[] = "the full name of a service such as orders.v1.Orders, or \"\" for the whole server";
    const struct node *scalar = loader_scalar(loader, node, expected);
    if (scalar == NULL)
        return;
    if (is_visible(scalar->text) && strlen(scalar->text) <= SERVICE_MOST)
        *KEY_FIELD(const char *, key, base) = loader_text(loader, scalar);
    else
        loader_fault(loader, scalar->place, "%s is no name of a service; expected %s",
                     node_shown(loader->faults, scalar), expected);
}

const struct config_type type_health_service = {
    .name = "a name", .read = read_health_service, .write = key_write_text, .is_set = key_text_is_set};
