/*
 * Two JSON documents and rules. The input is texts separated by bytes 0xff (no byte of any valid document): primary,
 * shadow, then rules, each with a letter in front: i(gnore) PATH, u(nordered) PATH, a(bsolute) PATH, r(elative) PATH,
 * w(ithin) PATH, k(eyed) PATH, p(resent only) PATH, s(ubstitute digits) PATH.
 *
 * Beside memory errors it looks for broken laws: a document never differs from itself; differences do not depend on
 * which side is called primary; what two documents have in common does not depend on the route's redaction; every text
 * that goes to the report is valid UTF-8 without control characters.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "shadow/json_diff.h"

enum {
    RULES_ROOM = 8,
    TEXTS_MAX = 2 + RULES_ROOM
};

struct texts {
    char *at[TEXTS_MAX]; /* owned, NUL-terminated */
    size_t len[TEXTS_MAX];
    uint32_t count;
};

static void split(struct texts *texts, const uint8_t *data, size_t size)
{
    while (texts->count < TEXTS_MAX && size > 0) {
        const uint8_t *end = memchr(data, 0xff, size);
        size_t len = end == NULL ? size : (size_t)(end - data);
        char *copy = malloc(len + 1);
        assert(copy != NULL);
        memcpy(copy, data, len);
        copy[len] = '\0';
        texts->at[texts->count] = copy;
        texts->len[texts->count++] = len;
        data += end == NULL ? size : len + 1;
        size -= end == NULL ? size : len + 1;
    }
}

static const struct veil redacted = {.values = SAMPLES_REDACTED}, full = {.values = SAMPLES_FULL};

struct rule_texts {
    const char *ignore[RULES_ROOM], *unordered[RULES_ROOM];
    struct config_tolerance tolerance[RULES_ROOM];
    struct config_keyed keyed[RULES_ROOM];
    const char *present_only[RULES_ROOM];
    struct config_replace replace[RULES_ROOM];
};

static struct rules *make_rules(const struct texts *texts, struct rule_texts *to)
{
    struct config_route route = {.name = "fuzz", .shadow.samples.values = SAMPLES_REDACTED};
    struct config_compare *compare = &route.shadow.compare;
    compare->ignore = to->ignore;
    compare->unordered = to->unordered;
    compare->tolerance = to->tolerance;
    compare->keyed = to->keyed;
    compare->present_only = to->present_only;
    compare->replace = to->replace;
    for (uint32_t i = 2; i < texts->count; i++) {
        const char *rule = texts->at[i];
        if (rule[0] == 'i')
            to->ignore[compare->ignore_count++] = rule + 1;
        else if (rule[0] == 'u')
            to->unordered[compare->unordered_count++] = rule + 1;
        else if (rule[0] == 'a' || rule[0] == 'r')
            to->tolerance[compare->tolerance_count++] = (struct config_tolerance){
                .path = rule + 1, .amount = 0.5, .kind = rule[0] == 'a' ? TOLERANCE_ABSOLUTE : TOLERANCE_RELATIVE};
        else if (rule[0] == 'w')
            to->tolerance[compare->tolerance_count++] =
                (struct config_tolerance){.path = rule + 1, .amount = 5000, .kind = TOLERANCE_WITHIN};
        else if (rule[0] == 'k')
            to->keyed[compare->keyed_count++] = (struct config_keyed){.path = rule + 1, .by = "id"};
        else if (rule[0] == 'p')
            to->present_only[compare->present_only_count++] = rule + 1;
        else if (rule[0] == 's')
            to->replace[compare->replace_count++] =
                (struct config_replace){.in = rule + 1, .pattern = "[0-9]+", .with = "N"};
    }
    struct rules *rules = rules_new(&route);
    assert(rules != NULL);
    assert(rules_are_of(rules, &route));
    return rules;
}

static void check_text(const char *text)
{
    json_t *json = json_string(text); /* NULL unless it is UTF-8 */
    assert(json != NULL);
    json_decref(json);
    for (; *text != '\0'; text++)
        assert((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void check_list(const struct difference_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        check_text(list->at[i].field);
        check_text(list->at[i].path);
        check_text(list->at[i].primary);
        check_text(list->at[i].shadow);
        assert(list->at[i].field[0] == '$');
    }
}

static struct difference_list there, back, self, shown;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json_doc primary, shadow;
    static struct json_diff *diff;
    struct texts texts = {.count = 0};
    struct rule_texts rule_texts;

    if (diff == NULL)
        diff = json_diff_new();
    assert(diff != NULL);
    split(&texts, data, size);
    if (texts.count >= 2 && json_doc_parse(&primary, texts.at[0], texts.len[0]) &&
        json_doc_parse(&shadow, texts.at[1], texts.len[1])) {
        struct rules *rules = make_rules(&texts, &rule_texts);
        difference_list_reset(&self, &redacted);
        assert(json_diff_run(diff, rules, &primary, &primary, &self) == JSON_DIFF_DONE);
        assert(self.count == 0);
        difference_list_reset(&there, &redacted);
        difference_list_reset(&back, &redacted);
        difference_list_reset(&shown, &full);
        rules_start_pair(rules);
        enum json_diff_result result = json_diff_run(diff, rules, &primary, &shadow, &there);
        rules_start_pair(rules);
        enum json_diff_result other = json_diff_run(diff, rules, &shadow, &primary, &back);
        rules_start_pair(rules);
        json_diff_run(diff, rules, &primary, &shadow, &shown);
        if (result == JSON_DIFF_DONE && other == JSON_DIFF_DONE) {
            assert(difference_list_is_real(&there) == difference_list_is_real(&back));
            assert(there.count == shown.count && there.beyond == shown.beyond);
        }
        check_list(&there);
        check_list(&back);
        check_list(&shown);
        rules_free(rules);
    }
    for (uint32_t i = 0; i < texts.count; i++)
        free(texts.at[i]);
    return 0;
}
