/*
 * shadow.db: what is put is got back after any end, what is of no use is set aside, what is over a bound goes.
 */
#include "tests/shadow/pairs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shadow/archive.h"

struct fixture {
    char directory[64];
    struct archive *archive;
    struct record_cell cell;
    struct record_field field;
    struct record_group group;
    struct record_bucket bucket;
    struct record_rule rule;
};

static const uint16_t group_fields[] = {0, 2, 63};
static const unsigned char latency[] = {1, 0, 2, 0, 0, 255};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->directory, sizeof(f->directory), "/tmp/shunt-archive-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    const struct record_key whole = {"orders", SIDE_NEW, ""}, endpoint = {"orders", SIDE_NEW, "GET /orders/{id}"};
    f->cell = (struct record_cell){.key = endpoint,
                                   .since_ms = 1700000000000,
                                   .last_ms = 1700000001000,
                                   .judged = {1, 2, 3, 4},
                                   .noise_judged = {5, 6, 7, 8},
                                   .ungrouped = 9,
                                   .ungrouped_noise = 10,
                                   .other_differing = 11,
                                   .other_ignored = 12,
                                   .other_noise = 13,
                                   .limit = 0.001,
                                   .confidence = 0.99,
                                   .latency = latency,
                                   .latency_len = sizeof(latency)};
    f->cell.obstacles[OBSTACLE_SHADOW_TIMEOUT] = 4;
    f->field = (struct record_field){.key = endpoint,
                                     .index = 0,
                                     .name = "$.items[*].price",
                                     .differing = 3,
                                     .ignored = 1,
                                     .noise = 2,
                                     .apart = -1,
                                     .example_ms = 1700000000500,
                                     .path = "$.items[3].price",
                                     .primary = "<number>",
                                     .shadow = "it's \"quoted\"; DROP TABLE fields; --",
                                     .request_id = "id-1"};
    f->field.by_kind[DIFFERENCE_VALUE] = 3;
    f->field.by_kind[RECORD_SHAPE] = 2;
    f->field.by_kind[RECORD_NOISE_SHAPE] = 1;
    f->group = (struct record_group){
        .key = endpoint, .index = 0, .fields = group_fields, .field_count = 3, .pairs = 2, .last_ms = 1700000000600};
    f->bucket = (struct record_bucket){.key = whole,
                                       .at_ms = 1699999980000,
                                       .width_s = 60,
                                       .judged = {1, 0, 3, 0},
                                       .primary_p50_ms = 1.5F,
                                       .primary_p95_ms = 2.5F,
                                       .shadow_p50_ms = 1.25F,
                                       .shadow_p95_ms = 3.5F,
                                       .difference_p50_ms = -0.25F,
                                       .difference_p95_ms = 1,
                                       .ratio_p50 = 0.5F,
                                       .ratio_p95 = 2};
    f->rule = (struct record_rule){.key = whole, .text = "ignore $.meta.id", .pairs = 7};
    *state = f;
    return 0;
}

static void empty_directory(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory != NULL)
        closedir(directory);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    archive_close(f->archive);
    chmod(f->directory, 0700);
    empty_directory(f->directory);
    rmdir(f->directory);
    free(f);
    return 0;
}

static char *path_of(struct fixture *f, const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    return path;
}

/* Opens it anew; a warning is the caller's. */
static char *open_again(struct fixture *f)
{
    char *warning = NULL, *error = NULL;
    archive_close(f->archive);
    f->archive = archive_open(f->directory, &warning, &error);
    if (f->archive == NULL)
        fail_msg("%s", error);
    assert_null(error);
    return warning;
}

static void put_all(struct fixture *f)
{
    char *error;
    assert_true(archive_begin(f->archive));
    const struct record_sink *sink = archive_sink(f->archive);
    assert_true(sink->cell(sink->context, &f->cell));
    assert_true(sink->field(sink->context, &f->field));
    assert_true(sink->group(sink->context, &f->group));
    assert_true(sink->bucket(sink->context, &f->bucket));
    assert_true(sink->rule(sink->context, &f->rule));
    assert_true(archive_commit(f->archive, &error));
    assert_null(error);
}

/* ---- getting it back ---- */

struct got {
    const struct fixture *wanted;
    unsigned cells, fields, groups, buckets, rules;
    uint64_t matched;
    bool refuse;
};

static void assert_key(const struct record_key *a, const struct record_key *b)
{
    assert_string_equal(a->route, b->route);
    assert_int_equal(a->primary, b->primary);
    assert_string_equal(a->endpoint, b->endpoint);
}

static bool got_cell(void *context, const struct record_cell *r)
{
    struct got *got = context;
    const struct record_cell *w = &got->wanted->cell;
    got->cells++;
    got->matched = r->judged[0];
    if (got->refuse)
        return false;
    assert_key(&r->key, &w->key);
    assert_int_equal(r->since_ms, w->since_ms);
    assert_int_equal(r->last_ms, w->last_ms);
    assert_memory_equal(r->judged + 1, w->judged + 1, sizeof(r->judged) - sizeof(r->judged[0]));
    assert_memory_equal(r->noise_judged, w->noise_judged, sizeof(r->noise_judged));
    assert_memory_equal(r->obstacles, w->obstacles, sizeof(r->obstacles));
    assert_int_equal(r->ungrouped, w->ungrouped);
    assert_int_equal(r->ungrouped_noise, w->ungrouped_noise);
    assert_int_equal(r->other_differing, w->other_differing);
    assert_int_equal(r->other_ignored, w->other_ignored);
    assert_int_equal(r->other_noise, w->other_noise);
    assert_true(r->limit == w->limit && r->confidence == w->confidence);
    assert_int_equal(r->latency_len, w->latency_len);
    assert_memory_equal(r->latency, w->latency, w->latency_len);
    return true;
}

static bool got_field(void *context, const struct record_field *r)
{
    struct got *got = context;
    const struct record_field *w = &got->wanted->field;
    assert_int_equal(got->cells, 1); /* cells first */
    got->fields++;
    assert_key(&r->key, &w->key);
    assert_int_equal(r->index, w->index);
    assert_string_equal(r->name, w->name);
    assert_int_equal(r->differing, w->differing);
    assert_int_equal(r->ignored, w->ignored);
    assert_int_equal(r->noise, w->noise);
    assert_memory_equal(r->by_kind, w->by_kind, sizeof(r->by_kind));
    assert_true(r->apart < 0);
    assert_int_equal(r->example_ms, w->example_ms);
    assert_string_equal(r->path, w->path);
    assert_string_equal(r->primary, w->primary);
    assert_string_equal(r->shadow, w->shadow);
    assert_string_equal(r->request_id, w->request_id);
    return true;
}

static bool got_group(void *context, const struct record_group *r)
{
    struct got *got = context;
    assert_int_equal(got->fields, 1);
    got->groups++;
    assert_key(&r->key, &got->wanted->group.key);
    assert_int_equal(r->index, 0);
    assert_int_equal(r->field_count, 3);
    assert_memory_equal(r->fields, group_fields, sizeof(group_fields));
    assert_int_equal(r->pairs, 2);
    assert_int_equal(r->last_ms, got->wanted->group.last_ms);
    return true;
}

static bool got_bucket(void *context, const struct record_bucket *r)
{
    struct got *got = context;
    const struct record_bucket *w = &got->wanted->bucket;
    got->buckets++;
    assert_key(&r->key, &w->key);
    assert_int_equal(r->at_ms, w->at_ms);
    assert_int_equal(r->width_s, w->width_s);
    assert_memory_equal(r->judged, w->judged, sizeof(r->judged));
    assert_memory_equal(&r->primary_p50_ms, &w->primary_p50_ms, 8 * sizeof(float));
    return true;
}

static bool got_rule(void *context, const struct record_rule *r)
{
    struct got *got = context;
    got->rules++;
    assert_key(&r->key, &got->wanted->rule.key);
    assert_string_equal(r->text, got->wanted->rule.text);
    assert_int_equal(r->pairs, 7);
    return true;
}

static struct got load(struct fixture *f, bool refuse, uint64_t *refused)
{
    struct got got = {.wanted = f, .refuse = refuse};
    const struct record_sink sink = {&got, got_cell, got_field, got_group, got_bucket, got_rule};
    char *error;
    if (!archive_load(f->archive, &sink, refused, &error))
        fail_msg("%s", error);
    return got;
}

static void assert_all_there(struct fixture *f)
{
    uint64_t refused;
    struct got got = load(f, false, &refused);
    assert_int_equal(refused, 0);
    assert_int_equal(got.matched, f->cell.judged[0]);
    assert_true(got.cells == 1 && got.fields == 1 && got.groups == 1 && got.buckets == 1 && got.rules == 1);
}

static void assert_empty(struct fixture *f)
{
    uint64_t refused;
    struct got got = load(f, false, &refused);
    assert_true(got.cells + got.fields + got.groups + got.buckets + got.rules == 0);
}

static void gives_back_what_was_put(void **state)
{
    struct fixture *f = *state;
    assert_null(open_again(f));
    put_all(f);
    f->cell.judged[0] = 100; /* the same row, not another one */
    put_all(f);
    assert_null(open_again(f));
    assert_all_there(f);
}

static void memory_gives_back_what_was_put(void **state)
{
    struct fixture *f = *state;
    char *warning, *error;
    f->archive = archive_open(NULL, &warning, &error);
    assert_non_null(f->archive);
    put_all(f);
    assert_all_there(f);
    assert_int_not_equal(access(path_of(f, "shadow.db"), F_OK), 0);
}

static void only_its_owner_may_read(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"shadow.db", "shadow.db-wal", "shadow.db-shm"};
    struct stat facts;
    mode_t mask = umask(0);
    assert_null(open_again(f));
    put_all(f);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stat(path_of(f, names[i]), &facts), 0);
        assert_int_equal(facts.st_mode & 0777, 0600);
    }
    umask(mask);
}

/* The first column of the first row, as people would ask. */
static int64_t ask(struct fixture *f, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(path_of(f, "shadow.db"), &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

static void people_can_ask_it(void **state)
{
    struct fixture *f = *state;
    assert_null(open_again(f));
    put_all(f);
    assert_int_equal(ask(f, "SELECT mismatched FROM cells WHERE route = 'orders' AND primary_side = 'new'"), 3);
    assert_int_equal(ask(f, "SELECT obstacles ->> 'shadow_timeout' FROM cells"), 4);
    assert_int_equal(ask(f, "SELECT kinds ->> 'value' FROM fields WHERE field = '$.items[*].price'"), 3);
    assert_int_equal(ask(f, "PRAGMA user_version"), 1);
    assert_int_equal(ask(f, "PRAGMA auto_vacuum"), 2);
}

/* Every end of the process is one without a close. */
static void survives_an_end_without_a_close(void **state)
{
    struct fixture *f = *state;
    pid_t child = fork();
    if (child == 0) {
        char *warning, *error;
        f->archive = archive_open(f->directory, &warning, &error);
        bool good = f->archive != NULL;
        if (good) {
            put_all(f);
            const struct record_sink *sink = archive_sink(f->archive);
            f->cell.judged[0] = 999;
            good = archive_begin(f->archive) && sink->cell(sink->context, &f->cell); /* never committed */
        }
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_null(open_again(f));
    assert_all_there(f);
}

static void huge_counts_stay_the_largest(void **state)
{
    struct fixture *f = *state;
    uint64_t refused;
    assert_null(open_again(f));
    f->cell.judged[0] = UINT64_MAX;
    put_all(f);
    struct got got = load(f, false, &refused);
    assert_true(got.matched == INT64_MAX);
}

static void refused_rows_are_counted(void **state)
{
    struct fixture *f = *state;
    uint64_t refused;
    assert_null(open_again(f));
    assert_true(archive_begin(f->archive));
    char *error;
    const struct record_sink *sink = archive_sink(f->archive);
    assert_true(sink->cell(sink->context, &f->cell));
    assert_true(archive_commit(f->archive, &error));
    load(f, true, &refused);
    assert_int_equal(refused, 1);
}

/* ---- what is of no use ---- */

static void write_file(const char *path, const void *bytes, size_t len, off_t offset)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, offset), (ssize_t)len);
    close(fd);
}

static void assert_set_aside(struct fixture *f, unsigned number)
{
    char name[40];
    char *warning = open_again(f);
    assert_non_null(warning);
    snprintf(name, sizeof(name), "shadow.db.damaged-%u", number);
    assert_non_null(strstr(warning, name));
    assert_non_null(strstr(warning, f->directory));
    free(warning);
    assert_int_equal(access(path_of(f, name), F_OK), 0);
    assert_empty(f);
    put_all(f);
    assert_all_there(f);
}

static void what_is_no_database_is_set_aside(void **state)
{
    struct fixture *f = *state;
    char nonsense[8192];
    memset(nonsense, 'x', sizeof(nonsense));
    write_file(path_of(f, "shadow.db"), nonsense, sizeof(nonsense), 0);
    assert_set_aside(f, 1);
    archive_close(f->archive);
    f->archive = NULL;
    write_file(path_of(f, "shadow.db"), "SQLite format 3", 16, 0);
    write_file(path_of(f, "shadow.db"), nonsense, sizeof(nonsense), 16);
    assert_set_aside(f, 2);
}

static void execute(struct fixture *f, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path_of(f, "shadow.db"), &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void another_version_is_set_aside_whole(void **state)
{
    struct fixture *f = *state;
    assert_null(open_again(f));
    put_all(f);
    archive_close(f->archive);
    f->archive = NULL;
    execute(f, "PRAGMA user_version = 2");
    assert_set_aside(f, 1);
    assert_int_equal(rename(path_of(f, "shadow.db.damaged-1"), strdupa(path_of(f, "kept"))), 0);
    archive_close(f->archive);
    f->archive = NULL;
    assert_int_equal(rename(strdupa(path_of(f, "kept")), strdupa(path_of(f, "shadow.db"))), 0);
    assert_int_equal(ask(f, "SELECT mismatched FROM cells"), 3);
}

static void another_programs_file_is_set_aside(void **state)
{
    struct fixture *f = *state;
    execute(f, "CREATE TABLE t(x)");
    assert_set_aside(f, 1);
}

/* Pages in the middle of it, which no header tells of. */
static void damaged_pages_are_found(void **state)
{
    struct fixture *f = *state;
    char nonsense[4096], *error;
    assert_null(open_again(f));
    put_all(f);
    assert_true(archive_begin(f->archive));
    const struct record_sink *sink = archive_sink(f->archive);
    for (uint32_t i = 1; i < 500; i++) {
        f->field.index = i;
        assert_true(sink->field(sink->context, &f->field));
    }
    assert_true(archive_commit(f->archive, &error));
    archive_close(f->archive);
    f->archive = NULL;
    f->field.index = 0;
    int64_t page = ask(f, "SELECT rootpage FROM sqlite_schema WHERE name = 'fields'");
    memset(nonsense, 0xee, sizeof(nonsense));
    write_file(path_of(f, "shadow.db"), nonsense, sizeof(nonsense), (off_t)(page - 1) * 4096);
    assert_set_aside(f, 1);
}

static void a_removed_file_is_noticed(void **state)
{
    struct fixture *f = *state;
    assert_null(open_again(f));
    put_all(f);
    assert_false(archive_is_lost(f->archive));
    assert_int_equal(unlink(path_of(f, "shadow.db")), 0);
    assert_true(archive_is_lost(f->archive));
}

/* ---- what cannot be done now ---- */

static void a_locked_file_refuses_and_keeps_what_was(void **state)
{
    struct fixture *f = *state;
    sqlite3 *other;
    char *error;
    assert_null(open_again(f));
    put_all(f);
    assert_int_equal(sqlite3_open(path_of(f, "shadow.db"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_false(archive_begin(f->archive));
    assert_false(archive_commit(f->archive, &error));
    assert_non_null(strstr(error, "locked"));
    free(error);
    assert_all_there(f);
    sqlite3_close(other);
    f->cell.judged[0] = 50;
    put_all(f);
    assert_all_there(f);
}

static void a_locked_file_is_not_taken_for_damaged(void **state)
{
    struct fixture *f = *state;
    sqlite3 *other;
    char *warning, *error;
    execute(f, "CREATE TABLE t(x)"); /* with the old journal a lock keeps readers out, too */
    assert_int_equal(sqlite3_open(path_of(f, "shadow.db"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    assert_null(archive_open(f->directory, &warning, &error));
    assert_null(warning);
    assert_non_null(strstr(error, "locked"));
    free(error);
    sqlite3_close(other);
    assert_int_equal(access(path_of(f, "shadow.db.damaged-1"), F_OK), -1);
}

/* A disk that is full, as far as SQLite can tell: no page more. Everything of the transaction goes, nothing before. */
static void a_full_disk_applies_nothing_by_halves(void **state)
{
    struct fixture *f = *state;
    static char long_text[4000];
    char *error;
    assert_null(open_again(f));
    put_all(f);
    memset(long_text, 'x', sizeof(long_text) - 1);
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    small = before;
    small.rlim_cur = 128 * 1024;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bool begun = archive_begin(f->archive);
    const struct record_sink *sink = archive_sink(f->archive);
    struct record_cell cell = f->cell;
    cell.judged[0] = 77;
    bool put = begun && sink->cell(sink->context, &cell);
    struct record_field field = f->field;
    field.shadow = long_text;
    for (uint32_t i = 1; i < 200 && put; i++) {
        field.index = i;
        put = sink->field(sink->context, &field);
    }
    bool kept = archive_commit(f->archive, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_false(kept);
    assert_non_null(strstr(error, f->directory));
    free(error);
    assert_all_there(f);
    f->cell.judged[0] = 78;
    put_all(f);
    assert_all_there(f);
}

static void an_unusable_directory_is_an_error(void **state)
{
    char *warning, *error;
    struct fixture *f = *state;
    assert_null(archive_open(path_of(f, "none"), &warning, &error));
    assert_non_null(strstr(error, "none"));
    free(error);
    assert_int_equal(symlink("/etc/passwd", path_of(f, "shadow.db")), 0);
    assert_null(archive_open(f->directory, &warning, &error)); /* never through a link */
    free(error);
}

/* ---- samples ---- */

struct made {
    const char *route, *field;
    uint64_t at_ms;
    int score, keep;
    json_int_t max_bytes, max_age_ms;
};

static json_t *sample_of(const struct made *made, int number)
{
    json_t *sample = json_pack("{s:I, s:s, s:s, s:i, s:s%}", "at_ms", (json_int_t)made->at_ms, "route", made->route,
                               "primary", "legacy", "number", number, "body", "nul \0 inside", (size_t)12);
    json_t *entry =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:o}", "route", made->route, "primary", "legacy",
                  "endpoint", "GET /", "field", made->field, "score", made->score, "keep", made->keep, "max_bytes",
                  made->max_bytes, "max_age_ms", made->max_age_ms, "sample", sample);
    assert_non_null(entry);
    return entry;
}

static void put_sample(struct fixture *f, const struct made *made, int number)
{
    char *error;
    json_t *entry = sample_of(made, number);
    assert_true(archive_begin(f->archive));
    assert_true(archive_put_sample(f->archive, entry));
    assert_true(archive_commit(f->archive, &error));
    json_decref(entry);
}

static const struct made usual = {"orders", "$.a", 1700000000000, 9, 4, 1000000, 86400000};

/* The numbers of the samples as one number: newest first. */
static long numbers(struct fixture *f, const char *route, unsigned each)
{
    json_t *samples = archive_samples(f->archive, route, each), *sample;
    long found = 0;
    size_t i;
    assert_non_null(samples);
    json_array_foreach(samples, i, sample)
    {
        assert_true(json_is_string(json_object_get(sample, "for")));
        assert_int_equal(json_string_length(json_object_get(sample, "body")), 12);
        found = found * 10 + (long)json_integer_value(json_object_get(sample, "number"));
    }
    json_decref(samples);
    return found;
}

static void keeps_the_newest_and_the_most_telling(void **state)
{
    struct fixture *f = *state;
    static const int scores[] = {0, 2, 7, 1, 8, 9, 9, 9};
    assert_null(open_again(f));
    for (int i = 1; i <= 7; i++) {
        struct made made = usual;
        made.score = scores[i];
        put_sample(f, &made, i);
    }
    assert_int_equal(numbers(f, "orders", 4), 7631);
    assert_int_equal(numbers(f, NULL, 4), 7631);
    assert_int_equal(numbers(f, "orders", 2), 73);
    assert_int_equal(numbers(f, "orders", 1), 7);
    assert_int_equal(numbers(f, "orders", 0), 0);
    assert_int_equal(numbers(f, "rest", 4), 0);
}

/* The clock was set back: what comes then is still the newest. */
static void a_clock_set_back_makes_nothing_old(void **state)
{
    struct fixture *f = *state;
    assert_null(open_again(f));
    for (int i = 1; i <= 6; i++) {
        struct made made = usual;
        made.at_ms -= (uint64_t)i * 1000;
        put_sample(f, &made, i);
    }
    assert_int_equal(numbers(f, "orders", 1), 6);
    assert_true(archive_prune(f->archive, 1000)); /* 1970 */
    assert_int_equal(numbers(f, "orders", 1), 6);
}

static void bytes_and_age_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct made made = usual;
    assert_null(open_again(f));
    made.keep = 100;
    for (int i = 1; i <= 9; i++) {
        made.at_ms += 1000;
        put_sample(f, &made, i);
    }
    int64_t all = ask(f, "SELECT bytes FROM sample_bounds");
    assert_int_equal(all, ask(f, "SELECT sum(length(CAST(sample AS BLOB))) FROM samples"));
    made.route = "rest";
    put_sample(f, &made, 1); /* is no concern of the other */
    made.route = "orders";
    made.max_bytes = all / 3;
    made.at_ms += 1000;
    put_sample(f, &made, 8);
    assert_int_equal(numbers(f, "orders", 100), 898);
    assert_true(ask(f, "SELECT bytes FROM sample_bounds WHERE route = 'orders'") <= all / 3);
    assert_true(archive_prune(f->archive, made.at_ms + 86400000)); /* one is younger than a day by nothing at all */
    assert_int_equal(numbers(f, "orders", 100), 8);
    assert_true(archive_prune(f->archive, made.at_ms + 86400001));
    assert_int_equal(numbers(f, NULL, 100), 0);
    assert_int_equal(ask(f, "SELECT sum(bytes) FROM sample_bounds"), 0);
}

static void old_minutes_go(void **state)
{
    struct fixture *f = *state;
    assert_null(open_again(f));
    put_all(f);
    assert_true(archive_prune(f->archive, f->bucket.at_ms + 3600 * 1000));
    assert_int_equal(ask(f, "SELECT count(*) FROM buckets"), 1);
    assert_true(archive_prune(f->archive, f->bucket.at_ms + 24 * 3600 * 1000));
    assert_int_equal(ask(f, "SELECT count(*) FROM buckets"), 0);
}

static bool directory_has(struct fixture *f, const char *secret)
{
    DIR *directory = opendir(f->directory);
    struct dirent *entry;
    bool found = false;
    while ((entry = readdir(directory)) != NULL) {
        int fd = openat(dirfd(directory), entry->d_name, O_RDONLY);
        struct stat facts;
        if (fd >= 0 && fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode)) {
            char *bytes = malloc((size_t)facts.st_size + 1);
            ssize_t got = read(fd, bytes, (size_t)facts.st_size);
            found |= got > 0 && memmem(bytes, (size_t)got, secret, strlen(secret)) != NULL;
            free(bytes);
        }
        close(fd);
    }
    closedir(directory);
    return found;
}

/* Not in a free page, not in the log. */
static void forgotten_is_gone(void **state)
{
    struct fixture *f = *state;
    struct made other = usual;
    char *error;
    assert_null(open_again(f));
    put_all(f);
    struct made made = usual;
    made.field = "$.purple-elephant";
    put_sample(f, &made, 1);
    other.route = "rest";
    put_sample(f, &other, 2);
    assert_true(directory_has(f, "purple-elephant"));
    assert_true(archive_begin(f->archive));
    assert_true(archive_forget(f->archive, "orders"));
    assert_true(archive_commit(f->archive, &error));
    assert_false(directory_has(f, "purple-elephant"));
    assert_false(directory_has(f, "$.items[3].price"));
    assert_empty(f);
    assert_int_equal(numbers(f, NULL, 9), 2);
    assert_true(archive_begin(f->archive));
    assert_true(archive_forget(f->archive, NULL));
    assert_true(archive_commit(f->archive, &error));
    assert_int_equal(numbers(f, NULL, 9), 0);
}

static void what_is_no_sample_is_refused_alone(void **state)
{
    struct fixture *f = *state;
    char *error;
    json_t *bad = json_pack("{s:s}", "route", "orders"), *good = sample_of(&usual, 5);
    assert_null(open_again(f));
    assert_true(archive_begin(f->archive));
    assert_false(archive_put_sample(f->archive, bad));
    assert_true(archive_put_sample(f->archive, good));
    assert_true(archive_commit(f->archive, &error));
    assert_int_equal(numbers(f, NULL, 9), 5);
    json_decref(bad);
    json_decref(good);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gives_back_what_was_put),
        TEST(memory_gives_back_what_was_put),
        TEST(only_its_owner_may_read),
        TEST(people_can_ask_it),
        TEST(survives_an_end_without_a_close),
        TEST(huge_counts_stay_the_largest),
        TEST(refused_rows_are_counted),
        TEST(what_is_no_database_is_set_aside),
        TEST(another_version_is_set_aside_whole),
        TEST(another_programs_file_is_set_aside),
        TEST(damaged_pages_are_found),
        TEST(a_removed_file_is_noticed),
        TEST(a_locked_file_refuses_and_keeps_what_was),
        TEST(a_locked_file_is_not_taken_for_damaged),
        TEST(a_full_disk_applies_nothing_by_halves),
        TEST(an_unusable_directory_is_an_error),
        TEST(keeps_the_newest_and_the_most_telling),
        TEST(a_clock_set_back_makes_nothing_old),
        TEST(bytes_and_age_are_bounded),
        TEST(old_minutes_go),
        TEST(forgotten_is_gone),
        TEST(what_is_no_sample_is_refused_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
