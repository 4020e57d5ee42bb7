/*
 * The type of routes[].errors: which statuses, failures and gRPC statuses speak against a backend.
 *
 * Called through the table of keys only. A list has two halves, one of HTTP's statuses and failures, one of gRPC's
 * statuses; a half that it says nothing of has its default.
 */
#include "config/types.h"

#include <inttypes.h>
#include <string.h>

#include "config/grpc_names.h"
#include "config/loader.h"
#include "config/scalar.h"
#include "config/texts.h"
#include "config/writer.h"

enum {
    ERROR_STATUS_LEAST = 300, /* a 2xx is what everybody hopes for */
    STATUSES = 640,
    GRPC_DEFAULT = 1 << 2 | 1 << 4 | 1 << 8 | 1 << 13 | 1 << 14 | 1 << 15 /* as config.h names them */
};

#define ERRORS_EXPECTED "a list of errors such as [5xx, 429, connect, timeout]"
#define GRPC_EXPECTED   "{ grpc: [UNKNOWN, UNAVAILABLE] }"

static const struct config_choice error_words[] = {{"connect", ERROR_CONNECT},
                                                   {"timeout", ERROR_TIMEOUT},
                                                   {"reset", ERROR_RESET},
                                                   {"bad_response", ERROR_BAD_RESPONSE},
                                                   {NULL, 0}};

struct reading {
    struct config_errors_of errors;
    struct texts texts; /* of HTTP's half */
    bool grpc;          /* its half is there */
    bool good;
};

/* ---- statuses of HTTP, and failures ---- */

static const struct config_choice *find_error_word(const char *word)
{
    const struct config_choice *choice = error_words;
    while (choice->word != NULL && strcmp(choice->word, word) != 0)
        choice++;
    return choice->word != NULL ? choice : NULL;
}

static const char *error_fault(const char *text)
{
    uint16_t from;
    uint16_t to;
    if (find_error_word(text) != NULL)
        return NULL;
    if (!scalar_statuses(text, &from, &to))
        return "is no known error";
    return from < ERROR_STATUS_LEAST ? "has statuses of answers that are fine" : NULL;
}

static void add_error(struct config_errors_of *errors, const char *text)
{
    const struct config_choice *choice = find_error_word(text);
    uint16_t from = 1;
    uint16_t to = 0;
    if (choice != NULL)
        errors->kinds |= (unsigned)choice->value;
    else
        (void)scalar_statuses(text, &from, &to);
    for (unsigned status = from; status <= to; status++)
        errors->status[status / 64] |= UINT64_C(1) << (status % 64);
}

static bool read_error(struct loader *loader, const struct node *node, struct reading *reading)
{
    static const struct texts_rule rule = {.expected = ERRORS_EXPECTED,
                                           .item_expected = "connect, timeout, reset, bad_response, or statuses from "
                                                            "300 to 599 such as 5xx, 429 or 502-504, "
                                                            "or " GRPC_EXPECTED,
                                           .fault = error_fault};
    if (!texts_read_item(loader, node, &rule, &reading->texts))
        return false;
    add_error(&reading->errors, reading->texts.items[reading->texts.count - 1]);
    return true;
}

/* ---- statuses of gRPC ---- */

static const char *grpc_fault(const char *text)
{
    unsigned status;
    if (!grpc_named(text, &status))
        return "is no status of gRPC";
    return status == 0 ? "is the status of answers that are fine" : NULL;
}

/* An empty list is one too: then no status of gRPC speaks against a backend. */
static bool read_grpc_list(struct loader *loader, const struct node *node, struct reading *reading)
{
    static const struct texts_rule rule = {.expected = "a list of statuses such as [UNKNOWN, UNAVAILABLE]",
                                           .item_expected = "a status by its name or its number, such as UNAVAILABLE "
                                                            "or 14",
                                           .fault = grpc_fault};
    struct texts texts = {0};
    if (!texts_read(loader, node, &rule, &texts))
        return false;
    for (uint32_t i = 0; i < texts.count; i++) {
        unsigned status = 0;
        (void)grpc_named(texts.items[i], &status);
        reading->errors.grpc |= 1U << status;
    }
    return true;
}

static bool read_grpc(struct loader *loader, const struct node *mapping, struct reading *reading)
{
    const struct node_item *item = node_find(mapping, "grpc");
    if (item == NULL || mapping->count != 1) {
        loader_fault(loader, mapping->place, "the keys of this mapping are not grpc alone; expected " GRPC_EXPECTED);
        return false;
    }
    if (reading->grpc) {
        loader_fault(loader, mapping->place, "grpc stands here twice; expected it once, with all its statuses");
        return false;
    }
    reading->grpc = true;
    size_t mark = faults_enter_key(loader->faults, "grpc");
    bool good = read_grpc_list(loader, item->value, reading);
    faults_leave(loader->faults, mark);
    return good;
}

/* ---- both ---- */

/* { file: PATH } is a text too, as everywhere. */
static bool is_grpc(const struct node *node)
{
    return node->kind == NODE_MAPPING && !(node->count == 1 && node_find(node, "file") != NULL);
}

static bool read_list(struct loader *loader, const struct node *list, struct reading *reading)
{
    size_t index = 0;
    bool good = true;
    if (list->count == 0 || list->count > TEXTS_MOST) {
        if (list->count == 0)
            loader_fault(loader, list->place,
                         "the list is empty, so nothing would speak against new; expected " ERRORS_EXPECTED);
        else
            loader_fault(loader, list->place, "the list has %" PRIu32 " items; expected at most %d", list->count,
                         TEXTS_MOST);
        return false;
    }
    reading->texts.items = loader_take(loader, list->count, sizeof(*reading->texts.items));
    if (reading->texts.items == NULL)
        return false;
    for (const struct node_item *item = list->items; item != NULL; item = item->next, index++) {
        size_t mark = faults_enter_item(loader->faults, index);
        good = (is_grpc(item->value) ? read_grpc : read_error)(loader, item->value, reading) && good;
        faults_leave(loader->faults, mark);
    }
    return good;
}

/* A row's default is read first, so that what stands in the struct is the default of a half that is not there. */
static void read_errors(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    struct config_errors_of *errors = KEY_FIELD(struct config_errors_of, key, base);
    struct reading reading = {.grpc = false};
    if (is_grpc(node)) {
        reading.good = read_grpc(loader, node, &reading);
    } else {
        const struct node *list = loader_list(loader, node, ERRORS_EXPECTED);
        reading.good = list != NULL && read_list(loader, list, &reading);
    }
    if (!reading.good)
        return;
    uint32_t grpc = reading.grpc ? reading.errors.grpc : GRPC_DEFAULT;
    if (reading.texts.count > 0)
        *errors = reading.errors;
    errors->grpc = grpc;
}

/* Rows of statuses that follow each other, whole hundreds by themselves. */
static void write_statuses(struct writer *writer, const struct config_errors_of *errors, const char **between)
{
    unsigned status = 0;
    while (status < STATUSES) {
        unsigned from = status++;
        if (!config_status_is_error(errors, from))
            continue;
        while (config_status_is_error(errors, status) && status % 100 != 0)
            status++;
        char text[SCALAR_TEXT_BYTES];
        scalar_print_statuses(from, status - 1, text);
        writer_print(writer, "%s%s", *between, text);
        *between = ", ";
    }
}

static void write_grpc(struct writer *writer, const struct config_errors_of *errors)
{
    const char *between = "";
    writer_raw(writer, "{ grpc: [");
    for (unsigned status = 0; status < GRPC_STATUSES; status++) {
        if ((errors->grpc >> status & 1) == 0)
            continue;
        writer_print(writer, "%s%s", between, grpc_name(status));
        between = ", ";
    }
    writer_raw(writer, "] }");
}

static void write_errors(struct writer *writer, const struct config_key *key, const void *base)
{
    const struct config_errors_of *errors = KEY_CONST_FIELD(struct config_errors_of, key, base);
    const char *between = "";
    writer_raw(writer, " [");
    write_statuses(writer, errors, &between);
    for (const struct config_choice *choice = error_words; choice->word != NULL; choice++) {
        if ((errors->kinds & (unsigned)choice->value) == 0)
            continue;
        writer_print(writer, "%s%s", between, choice->word);
        between = ", ";
    }
    writer_raw(writer, between);
    write_grpc(writer, errors);
    writer_raw(writer, "]\n");
}

const struct config_type type_errors = {.name = "a list of errors", .read = read_errors, .write = write_errors};
