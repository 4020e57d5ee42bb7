/*
 * The judge against a labelled corpus: every pair in tests/shadow/corpus must be judged as its author labelled it, with
 * exactly the fields named there. The format is described in corpus/README.md.
 */
#include "tests/shadow/packing.h"
#include "tests/shadow/pairs.h"

#include <dirent.h>

#include "shadow/rules.h"

enum {
    EXPECTED_MAX = 64,
    TEXT_MAX = 256
};

struct expected_field {
    char field[TEXT_MAX];
    char kind[32];
    bool ignored;
    bool seen;
};

struct labelled {
    const char *file;
    char name[TEXT_MAX];
    struct test_route route;
    struct pair *pair;
    char judgement[32], obstacle[32];
    struct expected_field fields[EXPECTED_MAX];
    uint32_t field_count;
    char shown[TEXT_MAX];                 /* path and values of one difference */
    char texts[RULES_ROOM * 4][TEXT_MAX]; /* what the route borrows */
    uint32_t text_count;
    bool default_headers;
    const char *present_only[RULES_ROOM];
    struct config_keyed keyed[RULES_ROOM];
    struct config_replace replace[RULES_ROOM];
    const char *hits[EXPECTED_MAX]; /* rules that do something, all of them where there is one */
    uint32_t hit_count;
};

struct tally {
    struct compare *compare;
    uint32_t cases, mistakes;
};

static void label_start(struct labelled *l, const char *file, const char *name)
{
    memset(l, 0, sizeof(*l));
    l->file = file;
    snprintf(l->name, sizeof(l->name), "%s", name);
    test_route_init(&l->route, "corpus");
    l->route.route.shadow.compare.present_only = l->present_only;
    l->route.route.shadow.compare.keyed = l->keyed;
    l->route.route.shadow.compare.replace = l->replace;
    l->pair = test_pair(&l->route);
    l->default_headers = true;
}

static void label_end(struct labelled *l)
{
    pair_free(l->pair);
}

static const char *keep(struct labelled *l, const char *text)
{
    assert_true(l->text_count < RULES_ROOM * 4);
    char *copy = l->texts[l->text_count++];
    snprintf(copy, TEXT_MAX, "%s", text);
    return copy;
}

static void mistake(const struct labelled *l, struct tally *tally, const char *what, const char *detail)
{
    print_error("%s: \"%s\": %s %s\n", l->file, l->name, what, detail);
    tally->mistakes++;
}

/* ---- checking ---- */

static struct expected_field *find_expected(struct labelled *l, const struct difference *d)
{
    for (uint32_t i = 0; i < l->field_count; i++) {
        struct expected_field *e = &l->fields[i];
        if (e->ignored == d->ignored && strcmp(e->field, d->field) == 0 &&
            (e->kind[0] == '\0' || strcmp(e->kind, difference_kind_name(d->kind)) == 0))
            return e;
    }
    return NULL;
}

static void check_fields(struct labelled *l, struct tally *tally, const struct comparison *comparison)
{
    for (uint32_t i = 0; i < comparison->differences.count; i++) {
        const struct difference *d = &comparison->differences.at[i];
        struct expected_field *expected = find_expected(l, d);
        if (expected == NULL) {
            char found[FIELD_ROOM + 64];
            snprintf(found, sizeof(found), "%s %s%s", d->field, difference_kind_name(d->kind),
                     d->ignored ? " (ignored)" : "");
            mistake(l, tally, "found a difference that is not labelled:", found);
        } else {
            expected->seen = true;
        }
    }
    for (uint32_t i = 0; i < l->field_count; i++)
        if (!l->fields[i].seen)
            mistake(l, tally, "did not find:", l->fields[i].field);
}

/* "PATH: PRIMARY | SHADOW" of one of the differences. */
static void check_shown(const struct labelled *l, struct tally *tally, const struct comparison *comparison)
{
    char first[DIFFERENCE_PATH_ROOM + 2 * VALUE_ROOM + 8] = "nothing";
    for (uint32_t i = comparison->differences.count; i-- > 0;) {
        const struct difference *d = &comparison->differences.at[i];
        snprintf(first, sizeof(first), "%s: %s | %s", d->path, d->primary, d->shadow);
        if (strcmp(first, l->shown) == 0)
            return;
    }
    if (l->shown[0] != '\0')
        mistake(l, tally, "shows", first);
}

static bool rule_did_something(const struct comparison *comparison, const char *text)
{
    const struct rules *rules = comparison->rules;
    for (uint32_t i = 0; rules != NULL && i < rules->text_count; i++)
        if (strcmp(rules->texts[i], text) == 0 && (comparison->rule_hits[i / 64] >> (i % 64) & 1) != 0)
            return true;
    return false;
}

static void check_hits(struct labelled *l, struct tally *tally, const struct comparison *comparison)
{
    uint32_t hits = 0;
    if (l->hit_count == 0)
        return;
    for (uint32_t i = 0; i < l->hit_count; i++)
        if (!rule_did_something(comparison, l->hits[i]))
            mistake(l, tally, "this rule should have done something:", l->hits[i]);
    for (uint32_t i = 0; i < RULES_MAX / 64; i++)
        hits += (uint32_t)__builtin_popcountll(comparison->rule_hits[i]);
    if (hits != l->hit_count)
        mistake(l, tally, "more rules than those labelled did something", "");
}

static void check(struct labelled *l, struct tally *tally)
{
    if (l->default_headers) {
        test_route_header(&l->route, "content-type");
        test_route_header(&l->route, "location");
    }
    const struct comparison *comparison = compare_pair(tally->compare, l->pair);
    tally->cases++;
    if (strcmp(judgement_name(comparison->judgement), l->judgement) != 0)
        mistake(l, tally, "judged", judgement_name(comparison->judgement));
    if (l->obstacle[0] != '\0' && strcmp(obstacle_name(comparison->obstacle), l->obstacle) != 0)
        mistake(l, tally, "obstacle", obstacle_name(comparison->obstacle));
    check_hits(l, tally, comparison);
    check_fields(l, tally, comparison);
    check_shown(l, tally, comparison);
}

/* ---- reading ---- */

static const char *after(const char *line, const char *word)
{
    size_t len = strlen(word);
    return strncmp(line, word, len) == 0 && (line[len] == ' ' || line[len] == '\0') ? line + len + (line[len] == ' ')
                                                                                    : NULL;
}

static void expect_field(struct labelled *l, const char *text, bool ignored)
{
    assert_true(l->field_count < EXPECTED_MAX);
    struct expected_field *e = &l->fields[l->field_count++];
    e->ignored = ignored;
    const char *kind = ignored ? NULL : strrchr(text, ' ');
    snprintf(e->field, sizeof(e->field), "%.*s", kind == NULL ? (int)strlen(text) : (int)(kind - text), text);
    if (kind != NULL)
        snprintf(e->kind, sizeof(e->kind), "%s", kind + 1);
}

static void tolerate(struct labelled *l, const char *text, enum config_tolerance_kind kind)
{
    char *path;
    double amount = strtod(text, &path);
    test_route_tolerate(&l->route, keep(l, path + 1), kind, amount);
}

static void add_keyed(struct labelled *l, const char *text)
{
    char by[TEXT_MAX];
    int taken = 0;
    assert_int_equal(sscanf(text, "%255s %n", by, &taken), 1);
    assert_true(l->route.route.shadow.compare.keyed_count < RULES_ROOM);
    l->keyed[l->route.route.shadow.compare.keyed_count++] =
        (struct config_keyed){.path = keep(l, text + taken), .by = keep(l, by)};
}

static void add_present_only(struct labelled *l, const char *text)
{
    assert_true(l->route.route.shadow.compare.present_only_count < RULES_ROOM);
    l->present_only[l->route.route.shadow.compare.present_only_count++] = keep(l, text);
}

/* PLACE|PATTERN|WITH */
static void add_replacement(struct labelled *l, const char *text)
{
    char parts[TEXT_MAX];
    snprintf(parts, sizeof(parts), "%s", text);
    char *pattern = strchr(parts, '|'), *with = strrchr(parts, '|');
    assert_true(pattern != NULL && with > pattern);
    *pattern++ = *with++ = '\0';
    assert_true(l->route.route.shadow.compare.replace_count < RULES_ROOM);
    l->replace[l->route.route.shadow.compare.replace_count++] =
        (struct config_replace){.in = keep(l, parts), .pattern = keep(l, pattern), .with = keep(l, with)};
}

static void read_directive(struct labelled *l, const char *line)
{
    const char *rest;
    if ((rest = after(line, "ignore")) != NULL)
        test_route_ignore(&l->route, keep(l, rest));
    else if ((rest = after(line, "unordered")) != NULL)
        test_route_unordered(&l->route, keep(l, rest));
    else if ((rest = after(line, "absolute")) != NULL)
        tolerate(l, rest, TOLERANCE_ABSOLUTE);
    else if ((rest = after(line, "relative")) != NULL)
        tolerate(l, rest, TOLERANCE_RELATIVE);
    else if ((rest = after(line, "within")) != NULL)
        tolerate(l, rest, TOLERANCE_WITHIN);
    else if ((rest = after(line, "keyed")) != NULL)
        add_keyed(l, rest);
    else if ((rest = after(line, "present_only")) != NULL)
        add_present_only(l, rest);
    else if ((rest = after(line, "replace")) != NULL)
        add_replacement(l, rest);
    else if ((rest = after(line, "hits")) != NULL)
        l->hits[l->hit_count++] = keep(l, rest);
    else if ((rest = after(line, "descriptor_set")) != NULL)
        l->route.route.shadow.compare.descriptor_set = keep(l, rest);
    else if ((rest = after(line, "target")) != NULL)
        snprintf(l->pair->target, sizeof(l->pair->target), "%s", rest);
    else if (after(line, "xml_whitespace") != NULL)
        l->route.route.shadow.compare.xml_whitespace = true;
    else if ((rest = after(line, "header")) != NULL) {
        l->default_headers = false;
        test_route_header(&l->route, keep(l, rest));
    } else if (after(line, "status_class") != NULL)
        l->route.route.shadow.compare.status_class = true;
    else if ((rest = after(line, "max_body")) != NULL)
        l->route.route.shadow.max_body = strtoul(rest, NULL, 10);
    else if ((rest = after(line, "shows")) != NULL)
        snprintf(l->shown, sizeof(l->shown), "%s", rest);
    else if ((rest = after(line, "want")) != NULL)
        sscanf(rest, "%31s %31s", l->judgement, l->obstacle);
    else if ((rest = after(line, "differs")) != NULL)
        expect_field(l, rest, false);
    else if ((rest = after(line, "ignores")) != NULL)
        expect_field(l, rest, true);
    else
        fail_msg("%s: \"%s\": unknown line: %s", l->file, l->name, line);
}

struct answer {
    unsigned status;
    enum outcome_kind kind;
    bool escaped, hex, failed, framed;
    char message[64]; /* how a message of a `framed` answer is compressed */
    char packed[64];  /* how the body is compressed: "gzip", "gzip,br" in this order */
    unsigned cut;     /* bytes that are taken away at its end */
    char more[64];    /* what is put there */
    char head[4096], trailers[1024];
    char *body;
    size_t len, room;
};

static void answer_add(struct answer *a, const char *at, size_t len)
{
    if (a->len + len > a->room) {
        a->room = (a->len + len) * 2 + 64;
        a->body = realloc(a->body, a->room);
        assert_non_null(a->body);
    }
    if (len > 0)
        memcpy(a->body + a->len, at, len);
    a->len += len;
}

/* \xNN, \n, \r, \\ , and \repeat{N,TEXT}. */
static void answer_add_escaped(struct answer *a, const char *line)
{
    while (*line != '\0') {
        unsigned code, times;
        int taken = 0;
        char text[128];
        if (sscanf(line, "\\x%2x%n", &code, &taken) == 1 && taken > 0) {
            char byte = (char)code;
            answer_add(a, &byte, 1);
            line += taken;
        } else if (sscanf(line, "\\repeat{%u,%127[^}]}%n", &times, text, &taken) == 2 && taken > 0) {
            for (unsigned i = 0; i < times; i++)
                answer_add(a, text, strlen(text));
            line += taken;
        } else if (line[0] == '\\' && line[1] != '\0' && strchr("nr\\", line[1]) != NULL) {
            answer_add(a, line[1] == 'n' ? "\n" : line[1] == 'r' ? "\r" : "\\", 1);
            line += 2;
        } else {
            answer_add(a, line++, 1);
        }
    }
}

/* "00 ff 10" */
static void answer_add_hex(struct answer *a, const char *line)
{
    unsigned code;
    int taken;
    for (; sscanf(line, " %2x%n", &code, &taken) == 1; line += taken) {
        char byte = (char)code;
        answer_add(a, &byte, 1);
    }
    assert_int_equal(strspn(line, " "), strlen(line));
}

/* One message as gRPC sends it: is it compressed, its length, itself. */
static void answer_add_frame(struct answer *a, const char *line)
{
    struct answer message = {0};
    answer_add_hex(&message, strcmp(line, "-") == 0 ? "" : line); /* one without fields */
    if (a->message[0] != '\0') {
        char *packed = test_pack(a->message, message.body == NULL ? "" : message.body, message.len, &message.len);
        free(message.body);
        message.body = packed;
    }
    const char front[5] = {a->message[0] != '\0', (char)(message.len >> 24), (char)(message.len >> 16),
                           (char)(message.len >> 8), (char)message.len};
    answer_add(a, front, sizeof(front));
    answer_add(a, message.body, message.len);
    free(message.body);
}

/* The word behind "key:" in an answer's first line; "" when it is not there. */
static void answer_option(const char *line, const char *key, char to[64])
{
    const char *at = strstr(line, key);
    to[0] = '\0';
    if (at != NULL)
        sscanf(at + strlen(key), "%63s", to);
}

static void answer_pack(struct answer *a)
{
    char *rest = NULL;
    for (char *name = strtok_r(a->packed, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
        char *at = test_pack(name, a->body, a->len, &a->len);
        free(a->body);
        a->body = at;
        a->room = a->len;
    }
    assert_true(a->cut <= a->len);
    a->len -= a->cut;
    answer_add(a, a->more, strlen(a->more));
}

static void answer_start(struct answer *a, const char *line)
{
    static const struct {
        const char *word;
        enum outcome_kind kind;
    } kinds[] = {
        {"connect_failed", OUTCOME_CONNECT_FAILED},
        {"timeout", OUTCOME_TIMEOUT},
        {"reset", OUTCOME_RESET},
        {"bad_response", OUTCOME_BAD_RESPONSE},
        {"overloaded", OUTCOME_OVERLOADED},
        {"client_gone", OUTCOME_CLIENT_GONE},
    };
    a->status = (unsigned)strtoul(line, NULL, 10);
    a->escaped = strstr(line, "escaped") != NULL;
    a->failed = strstr(line, "no_memory") != NULL;
    a->hex = strstr(line, "hex") != NULL;
    a->framed = strstr(line, "framed") != NULL;
    answer_option(line, "framed:", a->message);
    char cut[64];
    answer_option(line, "packed:", a->packed);
    answer_option(line, "cut:", cut);
    answer_option(line, "more:", a->more);
    a->cut = (unsigned)strtoul(cut, NULL, 10);
    a->kind = OUTCOME_OK;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strstr(line, kinds[i].word) != NULL)
            a->kind = kinds[i].kind;
    a->head[0] = a->trailers[0] = '\0';
    a->len = 0;
}

static void answer_finish(struct answer *a, struct capture *capture, size_t max_body)
{
    answer_pack(a);
    size_t half = a->len / 2;
    capture_reset(capture, max_body);
    capture_head(capture, a->status, a->head, strlen(a->head));
    if (a->len > 0) { /* in two pieces, as it may stream */
        capture_body(capture, a->body, half);
        capture_body(capture, a->body + half, a->len - half);
    }
    capture_trailers(capture, a->trailers, strlen(a->trailers));
    capture_end(capture, a->kind, 1500);
    capture->failed = a->failed;
}

enum place {
    OUTSIDE,
    DIRECTIVES,
    HEAD,
    BODY
};

struct corpus_reader {
    struct tally *tally;
    struct labelled label;
    struct answer answer;
    struct capture *capture; /* that `answer` is for */
    enum place place;
    uint32_t body_lines;
    uint32_t blank_lines; /* those at the end of a body are not part of it */
};

static void close_answer(struct corpus_reader *r)
{
    if (r->capture != NULL)
        answer_finish(&r->answer, r->capture, r->label.route.route.shadow.max_body);
    r->capture = NULL;
}

static void close_case(struct corpus_reader *r)
{
    if (r->place == OUTSIDE)
        return;
    close_answer(r);
    check(&r->label, r->tally);
    label_end(&r->label);
    r->place = OUTSIDE;
}

static void open_answer(struct corpus_reader *r, const char *line)
{
    const char *primary = after(line, "--- primary"), *shadow = after(line, "--- shadow");
    close_answer(r);
    assert_true(primary != NULL || shadow != NULL);
    r->capture = primary != NULL ? &r->label.pair->primary_capture : &r->label.pair->shadow_capture;
    answer_start(&r->answer, primary != NULL ? primary : shadow);
    r->place = HEAD;
    r->body_lines = 0;
    r->blank_lines = 0;
}

static void read_line(struct corpus_reader *r, const char *file, char *line)
{
    if (strncmp(line, "=== ", 4) == 0) {
        close_case(r);
        label_start(&r->label, file, line + 4);
        r->place = DIRECTIVES;
    } else if (strncmp(line, "--- ", 4) == 0) {
        open_answer(r, line);
    } else if (r->place == DIRECTIVES && line[0] != '#' && line[0] != '\0') {
        read_directive(&r->label, line);
    } else if (r->place == HEAD && line[0] == '\0') {
        r->place = BODY;
    } else if (r->place == HEAD && line[0] == '~') {
        size_t len = strlen(r->answer.trailers);
        snprintf(r->answer.trailers + len, sizeof(r->answer.trailers) - len, "%s\r\n", line + 1);
    } else if (r->place == HEAD) {
        size_t len = strlen(r->answer.head);
        snprintf(r->answer.head + len, sizeof(r->answer.head) - len, "%s\r\n", line);
    } else if (r->place == BODY && line[0] == '\0') {
        r->blank_lines++;
    } else if (r->place == BODY) {
        r->blank_lines += r->body_lines++ > 0 ? 1 : 0;
        for (; r->blank_lines > 0; r->blank_lines--)
            if (!r->answer.hex && !r->answer.framed)
                answer_add(&r->answer, "\n", 1);
        if (r->answer.framed)
            answer_add_frame(&r->answer, line);
        else if (r->answer.hex)
            answer_add_hex(&r->answer, line);
        else if (r->answer.escaped)
            answer_add_escaped(&r->answer, line);
        else
            answer_add(&r->answer, line, strlen(line));
    }
}

static void read_corpus(struct tally *tally, const char *path)
{
    struct corpus_reader r = {.tally = tally};
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (ssize_t len = getline(&line, &room, file); len >= 0; len = getline(&line, &room, file)) {
        line[strcspn(line, "\n")] = '\0';
        read_line(&r, path, line);
    }
    close_case(&r);
    free(line);
    free(r.answer.body);
    fclose(file);
}

static void judges_every_labelled_pair(void **state)
{
    static const char folder[] = "tests/shadow/corpus";
    struct tally tally = {.compare = compare_new()};
    struct dirent *entry;
    DIR *directory = opendir(folder);

    (void)state;
    assert_non_null(tally.compare);
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        char path[512];
        if (strstr(entry->d_name, ".pairs") == NULL)
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        read_corpus(&tally, path);
    }
    closedir(directory);
    compare_free(tally.compare);
    print_message("%u labelled pairs, %u mistakes\n", tally.cases, tally.mistakes);
    assert_true(tally.cases >= 300);
    assert_int_equal(tally.mistakes, 0);
}

/* A route is freed, another one is made at the same address: its rules count, not those compiled before. */
static void new_rules_at_an_old_address(void **state)
{
    struct compare *compare = compare_new();
    struct test_route route;
    test_route_init(&route, "r");
    test_route_ignore(&route, "$.a");
    struct pair *pair = test_json_pair(&route, "{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":1}");

    (void)state;
    assert_non_null(compare);
    assert_int_equal(compare_pair(compare, pair)->judgement, JUDGEMENT_IGNORED);
    test_route_init(&route, "r");
    test_route_ignore(&route, "$.b");
    assert_int_equal(compare_pair(compare, pair)->judgement, JUDGEMENT_MISMATCHED);
    route.ignore[0] = "$.a";
    assert_int_equal(compare_pair(compare, pair)->judgement, JUDGEMENT_IGNORED);
    pair_free(pair);
    compare_free(compare);
}

static void compiles_rules_once(void **state)
{
    struct compare *compare = compare_new();
    struct test_route route;
    test_route_init(&route, "r");
    test_route_ignore(&route, "$.a");
    struct pair *pair = test_json_pair(&route, "{\"a\":1}", "{\"a\":2}");

    (void)state;
    assert_non_null(compare);
    const struct rules *first = compare_pair(compare, pair)->rules;
    assert_non_null(first);
    assert_ptr_equal(compare_pair(compare, pair)->rules, first);
    pair_free(pair);
    compare_free(compare);
}

static void equal_bytes_need_no_rules(void **state)
{
    struct compare *compare = compare_new();
    struct test_route route;
    test_route_init(&route, "r");
    struct pair *pair = test_json_pair(&route, "{not even JSON", "{not even JSON");

    (void)state;
    assert_non_null(compare);
    const struct comparison *comparison = compare_pair(compare, pair);
    assert_int_equal(comparison->judgement, JUDGEMENT_MATCHED);
    assert_null(comparison->rules);
    pair_free(pair);
    compare_free(compare);
}

/* Where memory is short, a pair that would take much is told to be too complex, whatever its kind; small ones go on. */
static void a_pair_may_be_allowed_little(void **state)
{
    const struct compare_bounds bounds = {.nodes = 100, .bytes = 16 * 1024};
    struct compare *compare = compare_new();
    struct test_route route;
    char numbers[2][1024] = {"[1", "[2"};
    test_route_init(&route, "r");

    (void)state;
    assert_non_null(compare);
    for (int i = 0; i < 100; i++)
        for (int side = 0; side < 2; side++)
            strcat(numbers[side], ",1");
    for (int side = 0; side < 2; side++)
        strcat(numbers[side], "]");
    struct pair *large = test_json_pair(&route, numbers[0], numbers[1]);
    struct pair *small = test_json_pair(&route, "[1,1]", "[2,1]");
    assert_int_equal(compare_pair(compare, large)->judgement, JUDGEMENT_MISMATCHED);
    compare_bound(compare, &bounds);
    for (int i = 0; i < 2; i++) {
        const struct comparison *comparison = compare_pair(compare, large);
        assert_int_equal(comparison->judgement, JUDGEMENT_NOT_COMPARABLE);
        assert_int_equal(comparison->obstacle, OBSTACLE_TOO_COMPLEX);
        assert_int_equal(compare_pair(compare, small)->judgement, JUDGEMENT_MISMATCHED);
    }
    pair_free(large);
    pair_free(small);
    compare_free(compare);
}

/* Every way in which two exchanges may end. */
static void the_outcome_matrix(void **state)
{
    static const enum obstacle of_shadow[OUTCOME_KINDS] = {
        [OUTCOME_OK] = OBSTACLE_NONE,
        [OUTCOME_CONNECT_FAILED] = OBSTACLE_SHADOW_CONNECT,
        [OUTCOME_TIMEOUT] = OBSTACLE_SHADOW_TIMEOUT,
        [OUTCOME_RESET] = OBSTACLE_SHADOW_RESET,
        [OUTCOME_BAD_RESPONSE] = OBSTACLE_SHADOW_BAD_RESPONSE,
        [OUTCOME_OVERLOADED] = OBSTACLE_SHADOW_OVERLOADED,
        [OUTCOME_CLIENT_GONE] = OBSTACLE_CLIENT_GONE,
    };
    struct compare *compare = compare_new();
    struct test_route route;
    test_route_init(&route, "r");
    struct pair *pair = test_json_pair(&route, "{\"a\":1}", "{\"a\":2}");

    (void)state;
    assert_non_null(compare);
    for (int primary = 0; primary < OUTCOME_KINDS; primary++) {
        for (int shadow = 0; shadow < OUTCOME_KINDS; shadow++) {
            pair->primary_capture.kind = (enum outcome_kind)primary;
            pair->shadow_capture.kind = (enum outcome_kind)shadow;
            enum obstacle expected = primary == OUTCOME_OK            ? of_shadow[shadow]
                                     : primary == OUTCOME_CLIENT_GONE ? OBSTACLE_CLIENT_GONE
                                                                      : OBSTACLE_PRIMARY_FAILED;
            const struct comparison *comparison = compare_pair(compare, pair);
            assert_int_equal(comparison->obstacle, expected);
            assert_int_equal(comparison->judgement,
                             expected == OBSTACLE_NONE ? JUDGEMENT_MISMATCHED : JUDGEMENT_NOT_COMPARABLE);
            assert_int_equal(comparison->differences.count, expected == OBSTACLE_NONE ? 1 : 0);
        }
    }
    pair_free(pair);
    compare_free(compare);
}

/* A body longer than what is kept, on neither side, one, or both; the same or another. */
static void truncated_answers(void **state)
{
    static const struct {
        const char *primary, *shadow, *type;
        enum judgement judgement;
    } cells[] = {
        {"[1,2,3,4]", "[1,2,3,4]", "application/json", JUDGEMENT_MATCHED},
        {"[1,2,3,4]", "[1,2,3,5]", "application/json", JUDGEMENT_MISMATCHED},
        {"[1,2,3,4]", "[1]", "application/json", JUDGEMENT_MISMATCHED},
        {"[1]", "[1,2,3,4]", "application/json", JUDGEMENT_MISMATCHED},
        {"123456789", "123456789", "text/plain", JUDGEMENT_MATCHED},
        {"123456789", "123456788", "text/plain", JUDGEMENT_MISMATCHED},
        {"123456789", "123456789", "image/png", JUDGEMENT_MATCHED},
        {"123456789", "1234", "image/png", JUDGEMENT_MISMATCHED},
    };
    struct compare *compare = compare_new();
    struct test_route route;
    struct pair *pair;

    (void)state;
    assert_non_null(compare);
    test_route_init(&route, "r");
    route.route.shadow.max_body = 8;
    pair = test_pair(&route);
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        char head[64];
        snprintf(head, sizeof(head), "Content-Type: %s\r\n", cells[i].type);
        test_capture(&pair->primary_capture, 8, 200, head, cells[i].primary, strlen(cells[i].primary));
        test_capture(&pair->shadow_capture, 8, 200, head, cells[i].shadow, strlen(cells[i].shadow));
        assert_int_equal(compare_pair(compare, pair)->judgement, cells[i].judgement);
    }
    pair_free(pair);
    compare_free(compare);
}

static bool is_about(double found, double expected)
{
    return found > expected - 1e-12 && found < expected + 1e-12;
}

static double apart(struct compare *compare, const struct test_route *route, const char *primary, const char *shadow)
{
    struct pair *pair = test_json_pair(route, primary, shadow);
    const struct comparison *comparison = compare_pair(compare, pair);
    assert_int_equal(comparison->differences.count, 1);
    double found = comparison->differences.at[0].apart;
    pair_free(pair);
    return found;
}

static void says_how_far_numbers_are_apart(void **state)
{
    struct compare *compare = compare_new();
    struct test_route route;
    (void)state;
    assert_non_null(compare);
    test_route_init(&route, "r");
    assert_true(is_about(apart(compare, &route, "[1,2,100]", "[1,2,101]"), 1.0 / 101));
    assert_true(is_about(apart(compare, &route, "[10,2,100]", "[10,1,101]"), 0.5)); /* the most of all places */
    assert_true(is_about(apart(compare, &route, "[100,2]", "[101,4]"), 0.5));
    assert_true(apart(compare, &route, "9007199254740993", "9007199254740992") > 0);
    assert_true(apart(compare, &route, "\"a\"", "\"b\"") < 0); /* no numbers */
    assert_true(apart(compare, &route, "[\"a\"]", "[1]") < 0);
    compare_free(compare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_every_labelled_pair),
        cmocka_unit_test(new_rules_at_an_old_address),
        cmocka_unit_test(compiles_rules_once),
        cmocka_unit_test(equal_bytes_need_no_rules),
        cmocka_unit_test(a_pair_may_be_allowed_little),
        cmocka_unit_test(the_outcome_matrix),
        cmocka_unit_test(truncated_answers),
        cmocka_unit_test(says_how_far_numbers_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
