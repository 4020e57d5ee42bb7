/*
 * Types: how each kind of value is read from a node and written for --dump.
 *
 * Called through the table of keys only. A reader that finds a fault tells it, with what was expected, and leaves the
 * value alone. The range of a row is inclusive and in the unit the struct holds.
 */
#include "config/types.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/cores.h"
#include "config/loader.h"
#include "config/names.h"
#include "config/scalar.h"
#include "config/texts.h"
#include "config/writer.h"

/* ---- nested sections ---- */

static void read_section(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    loader_read_section(loader, key->section, node, (char *)base + key->at);
}

static void write_section(struct writer *writer, const struct config_key *key, const void *base)
{
    const void *inner = (const char *)base + key->at;
    if (key->section->is_off != NULL && key->section->is_off(inner)) {
        writer_raw(writer, " off\n");
        return;
    }
    writer_raw(writer, "\n");
    writer->indent++;
    writer_section(writer, key->section, inner);
    writer->indent--;
}

const struct config_type type_section = {.name = "a mapping of keys", .read = read_section, .write = write_section};

/* The struct is made for a mapping that is there; a pointer that stays NULL says it is not. */
static void read_own_section(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    void *inner = loader_take(loader, 1, key->section->size);
    if (inner == NULL)
        return;
    *KEY_FIELD(void *, key, base) = inner;
    loader_read_section(loader, key->section, node, inner);
}

static void write_own_section(struct writer *writer, const struct config_key *key, const void *base)
{
    writer_raw(writer, "\n");
    writer->indent++;
    writer_section(writer, key->section, *KEY_CONST_FIELD(void *, key, base));
    writer->indent--;
}

static bool has_own_section(const struct config_key *key, const void *base)
{
    return *KEY_CONST_FIELD(void *, key, base) != NULL;
}

const struct config_type type_own_section = {
    .name = "a mapping of keys", .read = read_own_section, .write = write_own_section, .is_set = has_own_section};

static void read_sections(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    const struct node *list = loader_list(loader, node, "a list");
    if (list == NULL)
        return;
    if (list->count < (uint32_t)key->min || list->count > (uint32_t)key->max) {
        loader_fault(loader, list->place, "the list has %" PRIu32 " items; expected %.0f to %.0f", list->count,
                     key->min, key->max);
        return;
    }
    char *items = loader_take(loader, list->count, key->section->size);
    if (items == NULL)
        return;
    *KEY_FIELD(void *, key, base) = items;
    *KEY_COUNT(key, base) = list->count;
    size_t index = 0;
    for (const struct node_item *item = list->items; item != NULL; item = item->next, index++) {
        size_t mark = faults_enter_item(loader->faults, index);
        loader_read_section(loader, key->section, item->value, items + index * key->section->size);
        faults_leave(loader->faults, mark);
    }
}

static void write_sections(struct writer *writer, const struct config_key *key, const void *base)
{
    const char *items = *KEY_CONST_FIELD(char *, key, base);
    writer_raw(writer, "\n");
    writer->indent += 2;
    for (uint32_t i = 0; i < *KEY_CONST_COUNT(key, base); i++) {
        writer->dash = true;
        writer_section(writer, key->section, items + i * key->section->size);
    }
    writer->indent -= 2;
}

static void write_item_range(struct writer *writer, const struct config_key *key)
{
    writer_print(writer, "%.0f to %.0f items", key->min, key->max);
}

const struct config_type type_sections = {.name = "a list of mappings",
                                          .read = read_sections,
                                          .write = write_sections,
                                          .is_set = key_has_items,
                                          .write_range = write_item_range};

/* ---- words ---- */

/* "a, b or c" */
static const char *choices_text(struct loader *loader, const struct config_key *key)
{
    const char *text = "";
    for (const struct config_choice *choice = key->choices; choice->word != NULL && text != NULL; choice++) {
        const char *between = text[0] == '\0' ? "" : choice[1].word == NULL ? " or " : ", ";
        text = config_arena_print(loader->faults->arena, "%s%s%s", text, between, choice->word);
    }
    if (text == NULL)
        faults_no_memory(loader->faults);
    return text != NULL ? text : "a word";
}

static void write_words(struct writer *writer, const struct config_key *key)
{
    for (const struct config_choice *choice = key->choices; choice->word != NULL; choice++)
        writer_print(writer, "%s`%s`", choice == key->choices ? "" : ", ", choice->word);
}

static const struct config_choice *read_word(struct loader *loader, const struct config_key *key,
                                             const struct node *node)
{
    const char *expected = choices_text(loader, key);
    const struct node *scalar = loader_scalar(loader, node, expected);
    if (scalar == NULL)
        return NULL;
    struct name_guess guess = {.wanted = scalar->text};
    for (const struct config_choice *choice = key->choices; choice->word != NULL; choice++) {
        if (strcmp(choice->word, scalar->text) == 0)
            return choice;
        name_guess_try(&guess, choice->word);
    }
    const char *near = name_guess_best(&guess);
    loader_fault(loader, scalar->place, "%s is none of its words; expected %s%s%s%s",
                 node_shown(loader->faults, scalar), expected, near != NULL ? "; did you mean " : "",
                 near != NULL ? near : "", near != NULL ? "?" : "");
    return NULL;
}

static const char *word_of(const struct config_key *key, int value)
{
    const struct config_choice *choice = key->choices;
    while (choice->word != NULL && choice->value != value)
        choice++;
    return choice->word != NULL ? choice->word : "?";
}

_Static_assert(sizeof(enum config_header_rule) == sizeof(int), "choices are kept as int");

static void read_choice(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    const struct config_choice *choice = read_word(loader, key, node);
    if (choice != NULL)
        memcpy((char *)base + key->at, &choice->value, sizeof(choice->value));
}

static void write_choice(struct writer *writer, const struct config_key *key, const void *base)
{
    int value;
    memcpy(&value, (const char *)base + key->at, sizeof(value));
    writer_value(writer, word_of(key, value));
}

const struct config_type type_choice = {
    .name = "a word", .read = read_choice, .write = write_choice, .write_range = write_words};

static void read_flag(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    const struct config_choice *choice = read_word(loader, key, node);
    if (choice != NULL)
        *KEY_FIELD(bool, key, base) = choice->value != 0;
}

static void write_flag(struct writer *writer, const struct config_key *key, const void *base)
{
    writer_value(writer, word_of(key, *KEY_CONST_FIELD(bool, key, base) ? 1 : 0));
}

const struct config_type type_flag = {
    .name = "a word", .read = read_flag, .write = write_flag, .write_range = write_words};
const struct config_type type_words = {
    .name = "a word", .read = read_flag, .write = write_flag, .write_range = write_words};

/* ---- numbers ---- */

/* How the numbers of one type are read and printed; `read` keeps whole numbers below 2^53, which a double holds
 * exactly. */
struct number_form {
    const char *what;    /* "a duration" */
    const char *example; /* behind the range: ", such as 1s500ms" */
    enum scalar_result (*read)(const char *text, double *value);
    void (*print)(double value, char out[SCALAR_TEXT_BYTES]);
};

static enum scalar_result whole(enum scalar_result result, uint64_t read, double *value)
{
    if (result == SCALAR_OK && read > UINT64_C(1) << 53)
        result = SCALAR_TOO_LARGE;
    if (result == SCALAR_OK)
        *value = (double)read;
    return result;
}

static enum scalar_result read_duration_value(const char *text, double *value)
{
    uint64_t ms = 0;
    enum scalar_result result = scalar_duration(text, &ms);
    return whole(result, ms, value);
}

static void print_duration_value(double value, char out[SCALAR_TEXT_BYTES])
{
    scalar_print_duration((uint64_t)value, out);
}

static enum scalar_result read_size_value(const char *text, double *value)
{
    uint64_t bytes = 0;
    enum scalar_result result = scalar_size(text, &bytes);
    return whole(result, bytes, value);
}

static void print_size_value(double value, char out[SCALAR_TEXT_BYTES])
{
    scalar_print_size((uint64_t)value, out);
}

static enum scalar_result read_count_value(const char *text, double *value)
{
    uint64_t count = 0;
    enum scalar_result result = scalar_count(text, &count);
    return whole(result, count, value);
}

static void print_count_value(double value, char out[SCALAR_TEXT_BYTES])
{
    (void)snprintf(out, SCALAR_TEXT_BYTES, "%.0f", value);
}

static enum scalar_result read_share_value(const char *text, double *value)
{
    uint32_t share = 0;
    enum scalar_result result = scalar_share(text, &share);
    return whole(result, share, value);
}

static void print_share_value(double value, char out[SCALAR_TEXT_BYTES])
{
    scalar_print_share((uint32_t)value, out);
}

static const struct number_form duration_form = {"a duration", ", such as 1s500ms (with d, h, m, s or ms)",
                                                 read_duration_value, print_duration_value};
static const struct number_form size_form = {"a size", ", such as 64KiB (with B, KiB, MiB or GiB)", read_size_value,
                                             print_size_value};
static const struct number_form count_form = {"a whole number", "", read_count_value, print_count_value};
static const struct number_form share_form = {"a percentage", ", with up to two decimals", read_share_value,
                                              print_share_value};
static const struct number_form rate_form = {"a percentage with its %", ", such as 0.5%", scalar_rate,
                                             scalar_print_rate};
static const struct number_form ratio_form = {"a number", ", such as 2 or 0.01", scalar_decimal, scalar_print_decimal};

/* What to say where a word is a value too. */
static const char *word_beside(const struct config_key *key, const char *off, const char *automatic)
{
    return (key->flags & KEY_OFF) != 0 ? off : (key->flags & KEY_AUTO) != 0 ? automatic : "";
}

/* "a duration from 1ms to 30d, such as 1s500ms (...)" */
static const char *expected_number(struct loader *loader, const struct config_key *key, const struct number_form *form)
{
    char least[SCALAR_TEXT_BYTES];
    char most[SCALAR_TEXT_BYTES];
    form->print(key->min, least);
    form->print(key->max, most);
    const char *text = config_arena_print(loader->faults->arena, "%s from %s to %s%s%s", form->what, least, most,
                                          form->example, word_beside(key, ", or off", ", or auto"));
    if (text == NULL)
        faults_no_memory(loader->faults);
    return text != NULL ? text : form->what;
}

static const char *result_text(enum scalar_result result)
{
    static const char *const texts[] = {
        [SCALAR_OK] = "is fine",
        [SCALAR_MALFORMED] = "cannot be read",
        [SCALAR_NO_UNIT] = "has no unit",
        [SCALAR_TOO_LARGE] = "is too large",
        [SCALAR_TOO_FINE] = "has too many decimals",
    };
    return texts[result];
}

/* Reads one number within the row's range; false after a fault. */
static bool read_number(struct loader *loader, const struct config_key *key, const struct number_form *form,
                        const struct node *node, double *value)
{
    const char *expected = expected_number(loader, key, form);
    const struct node *scalar = loader_scalar(loader, node, expected);
    if (scalar == NULL)
        return false;
    double read = 0;
    enum scalar_result result = form->read(scalar->text, &read);
    const char *wrong = result != SCALAR_OK ? result_text(result)
                        : read < key->min   ? "is too small"
                        : read > key->max   ? "is too large"
                                            : NULL;
    if (wrong != NULL) {
        loader_fault(loader, scalar->place, "%s %s; expected %s", node_shown(loader->faults, scalar), wrong, expected);
        return false;
    }
    *value = read;
    return true;
}

static void write_number(struct writer *writer, const struct number_form *form, double value)
{
    char text[SCALAR_TEXT_BYTES];
    form->print(value, text);
    writer_value(writer, text);
}

static void write_number_range(struct writer *writer, const struct config_key *key, const struct number_form *form)
{
    char least[SCALAR_TEXT_BYTES];
    char most[SCALAR_TEXT_BYTES];
    form->print(key->min, least);
    form->print(key->max, most);
    writer_print(writer, "%s to %s%s", least, most, word_beside(key, ", or `off`", ", or `auto`"));
}

/* One reader and one writer for each way the struct keeps a whole number. */
#define WHOLE_NUMBER(name, ctype, form)                                                                                \
    static void read_##name(struct loader *loader, const struct config_key *key, const struct node *node, void *base)  \
    {                                                                                                                  \
        double value;                                                                                                  \
        if (read_number(loader, key, &(form), node, &value))                                                           \
            *KEY_FIELD(ctype, key, base) = (ctype)value;                                                               \
    }                                                                                                                  \
    static void write_##name(struct writer *writer, const struct config_key *key, const void *base)                    \
    {                                                                                                                  \
        write_number(writer, &(form), (double)*KEY_CONST_FIELD(ctype, key, base));                                     \
    }                                                                                                                  \
    static void write_range_of_##name(struct writer *writer, const struct config_key *key)                             \
    {                                                                                                                  \
        write_number_range(writer, key, &(form));                                                                      \
    }                                                                                                                  \
    static bool name##_is_set(const struct config_key *key, const void *base)                                          \
    {                                                                                                                  \
        return (key->flags & KEY_SKIP_ZERO) == 0 || *KEY_CONST_FIELD(ctype, key, base) != 0;                           \
    }

WHOLE_NUMBER(duration, uint64_t, duration_form)
WHOLE_NUMBER(size, size_t, size_form)
WHOLE_NUMBER(count, uint32_t, count_form)
WHOLE_NUMBER(count64, uint64_t, count_form)
WHOLE_NUMBER(share, uint32_t, share_form)

#define NUMBER_TYPE(title, kind)                                                                                       \
    {                                                                                                                  \
        .name = (title), .read = read_##kind, .write = write_##kind, .is_set = kind##_is_set,                          \
        .write_range = write_range_of_##kind,                                                                          \
    }

const struct config_type type_duration = NUMBER_TYPE("a duration", duration);
const struct config_type type_size = NUMBER_TYPE("a size", size);
const struct config_type type_count = NUMBER_TYPE("a number", count);
const struct config_type type_count64 = NUMBER_TYPE("a number", count64);
const struct config_type type_share = NUMBER_TYPE("a percentage", share);

static bool is_off_word(const struct config_key *key, const struct node *node)
{
    return (key->flags & KEY_OFF) != 0 && node->kind == NODE_SCALAR && !node->broken && strcmp(node->text, "off") == 0;
}

static void read_limit(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    if (is_off_word(key, node))
        *KEY_FIELD(uint32_t, key, base) = 0;
    else
        read_count(loader, key, node, base);
}

static void write_limit(struct writer *writer, const struct config_key *key, const void *base)
{
    if (*KEY_CONST_FIELD(uint32_t, key, base) == 0)
        writer_raw(writer, " off\n");
    else
        write_count(writer, key, base);
}

const struct config_type type_limit = {
    .name = "a number", .read = read_limit, .write = write_limit, .write_range = write_range_of_count};

static void read_timer(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    if (is_off_word(key, node))
        *KEY_FIELD(uint64_t, key, base) = 0;
    else
        read_duration(loader, key, node, base);
}

static void write_timer(struct writer *writer, const struct config_key *key, const void *base)
{
    if (*KEY_CONST_FIELD(uint64_t, key, base) == 0)
        writer_raw(writer, " off\n");
    else
        write_duration(writer, key, base);
}

const struct config_type type_timer = {
    .name = "a duration", .read = read_timer, .write = write_timer, .write_range = write_range_of_duration};

static void read_real(struct loader *loader, const struct config_key *key, const struct number_form *form,
                      const struct node *node, void *base)
{
    double value = RATE_UNSET;
    if (is_off_word(key, node) || read_number(loader, key, form, node, &value))
        *KEY_FIELD(double, key, base) = value;
}

static void write_real(struct writer *writer, const struct config_key *key, const struct number_form *form,
                       const void *base)
{
    double value = *KEY_CONST_FIELD(double, key, base);
    if (value < 0)
        writer_raw(writer, " off\n");
    else
        write_number(writer, form, value);
}

static void read_rate(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    read_real(loader, key, &rate_form, node, base);
}

static void write_rate(struct writer *writer, const struct config_key *key, const void *base)
{
    write_real(writer, key, &rate_form, base);
}

static void read_ratio(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    read_real(loader, key, &ratio_form, node, base);
}

static void write_ratio(struct writer *writer, const struct config_key *key, const void *base)
{
    write_real(writer, key, &ratio_form, base);
}

static void write_rate_range(struct writer *writer, const struct config_key *key)
{
    write_number_range(writer, key, &rate_form);
}

static void write_ratio_range(struct writer *writer, const struct config_key *key)
{
    write_number_range(writer, key, &ratio_form);
}

const struct config_type type_rate = {
    .name = "a rate in %", .read = read_rate, .write = write_rate, .write_range = write_rate_range};
const struct config_type type_ratio = {
    .name = "a number", .read = read_ratio, .write = write_ratio, .write_range = write_ratio_range};

/* ---- texts ---- */

static void read_checked_text(struct loader *loader, const struct config_key *key, const struct node *node, void *base,
                              bool (*is_good)(const char *text), const char *expected)
{
    const struct node *scalar = loader_scalar(loader, node, expected);
    if (scalar == NULL)
        return;
    if (is_good(scalar->text))
        *KEY_FIELD(const char *, key, base) = loader_text(loader, scalar);
    else
        loader_fault(loader, scalar->place, "%s cannot be used here; expected %s", node_shown(loader->faults, scalar),
                     expected);
}

static bool is_not_empty(const char *text)
{
    return text[0] != '\0';
}

static void read_text(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    read_checked_text(loader, key, node, base, is_not_empty, "a text that is not empty");
}

static void read_name(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    read_checked_text(loader, key, node, base, name_is_valid,
                      "a name of 1 to 64 letters, digits, \"_\", \".\" and \"-\", but not \"-\" alone");
}

static void read_token(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    read_checked_text(loader, key, node, base, name_is_token, "letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 token)");
}

const struct config_type type_text = {
    .name = "a text", .read = read_text, .write = key_write_text, .is_set = key_text_is_set};
const struct config_type type_name = {
    .name = "a name", .read = read_name, .write = key_write_text, .is_set = key_text_is_set};
const struct config_type type_token = {
    .name = "a name", .read = read_token, .write = key_write_text, .is_set = key_text_is_set};

/* ---- addresses ---- */

static void read_address(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    static const char expected[] = "HOST:PORT, [IPV6]:PORT or unix:/PATH";
    const struct node *scalar = loader_scalar(loader, node, expected);
    const char *why = NULL;
    if (scalar == NULL ||
        scalar_address(loader->arena, scalar->text, KEY_FIELD(struct config_address, key, base), &why))
        return;
    if (why == NULL)
        faults_no_memory(loader->faults);
    else
        loader_fault(loader, scalar->place, "%s: %s; expected %s", node_shown(loader->faults, scalar), why, expected);
}

static void write_address(struct writer *writer, const struct config_key *key, const void *base)
{
    writer_value(writer, KEY_CONST_FIELD(struct config_address, key, base)->text);
}

const struct config_type type_address = {.name = "an address", .read = read_address, .write = write_address};

/* ---- workers ---- */

static void read_workers(struct loader *loader, const struct config_key *key, const struct node *node, void *base)
{
    if ((key->flags & KEY_AUTO) != 0 && node->kind == NODE_SCALAR && !node->broken && strcmp(node->text, "auto") == 0)
        *KEY_FIELD(uint32_t, key, base) = cores_count((uint32_t)key->max);
    else
        read_count(loader, key, node, base);
}

const struct config_type type_workers = {
    .name = "a number", .read = read_workers, .write = write_count, .write_range = write_range_of_count};
