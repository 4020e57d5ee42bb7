/*
 * What is in shadow.db: the report's records as rows, and the samples, newest and most telling of each field.
 *
 * Every record replaces the row of the same key, so that a save writes what has changed and may be repeated. Counters
 * are SQLite's signed 64 bits: what is larger stays at the largest. Lists of names (obstacles, kinds) are small JSON
 * objects, so that another version's names neither get lost nor need a column. "Newest" is the order of arrival, which
 * a clock that is set back does not change; only age goes by the clock. The file itself is archive_file.c's.
 */
#include "shadow/archive.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "shadow/archive_file.h"
#include "shadow/buckets.h"

enum {
    LOG_MOST = 64 * 1024 * 1024, /* somebody holds the log with a transaction left open */
    VACUUM_PAGES = 256,          /* given back at a time */
    KEEP_MOST = 1000,
};
/* As long as the report has them (buckets.h): older minutes are in their hour. */
#define MINUTES_MS (BUCKET_MINUTES_MAX * 60000ULL)
#define HOURS_MS   (BUCKET_HOURS_MAX * 3600000ULL)

_Static_assert(JUDGEMENTS == 4, "cells and buckets have a column for each");

/* ---- statements ---- */

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    PUT_CELL,
    PUT_FIELD,
    PUT_GROUP,
    PUT_BUCKET,
    PUT_RULE,
    PUT_BOUNDS,
    PUT_SAMPLE,
    TRIM_FIELD,
    OVER_BYTES,
    TRIM_BYTES,
    TRIM_AGE,
    TRIM_MINUTES,
    TRIM_HOURS,
    FREE_PAGES,
    GET_VALUES,
    PUT_VALUES,
    VEIL_SAMPLES,
    FORGET_FIRST,
    FORGET_CELLS = FORGET_FIRST,
    FORGET_FIELDS,
    FORGET_GROUPS,
    FORGET_BUCKETS,
    FORGET_RULES,
    FORGET_SAMPLES,
    FORGET_BOUNDS,
    FORGET_LAST = FORGET_BOUNDS,
    GET_CELLS,
    GET_FIELDS,
    GET_GROUPS,
    GET_BUCKETS,
    GET_RULES,
    GET_SAMPLES,
    STATEMENTS,
};

#define CELL_COLUMNS                                                                                                   \
    "route, primary_side, endpoint, since_ms, last_ms, matched, ignored, mismatched, not_comparable, noise_matched, "  \
    "noise_ignored, noise_mismatched, noise_not_comparable, obstacles, ungrouped, ungrouped_noise, other_differing, "  \
    "other_ignored, other_noise, limit_rate, confidence, latency"
#define FIELD_COLUMNS                                                                                                  \
    "route, primary_side, endpoint, position, field, differing, ignored, noise, kinds, apart, example_ms, path, "      \
    "primary_value, shadow_value, request_id"
#define GROUP_COLUMNS "route, primary_side, endpoint, position, fields, pairs, last_ms"
#define BUCKET_COLUMNS                                                                                                 \
    "route, primary_side, at_ms, width_s, matched, ignored, mismatched, not_comparable, primary_p50_ms, "              \
    "primary_p95_ms, shadow_p50_ms, shadow_p95_ms, difference_p50_ms, difference_p95_ms, ratio_p50, ratio_p95"
#define FORGET(table) "DELETE FROM " table " WHERE ?1 IS NULL OR route = ?1"
#define OF_FIELD      "route = ?1 AND primary_side = ?2 AND endpoint = ?3 AND field = ?4"

static const char *const texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [PUT_CELL] = "INSERT OR REPLACE INTO cells(" CELL_COLUMNS ")"
                 " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [PUT_FIELD] = "INSERT OR REPLACE INTO fields(" FIELD_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [PUT_GROUP] = "INSERT OR REPLACE INTO groups(" GROUP_COLUMNS ") VALUES(?,?,?,?,?,?,?)",
    [PUT_BUCKET] = "INSERT OR REPLACE INTO buckets(" BUCKET_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [PUT_RULE] = "INSERT OR REPLACE INTO rules(route, primary_side, rule, pairs) VALUES(?,?,?,?)",
    [PUT_BOUNDS] = "INSERT INTO sample_bounds(route, keep, max_bytes, max_age_ms, bytes) VALUES(?,?,?,?,0)"
                   " ON CONFLICT(route) DO UPDATE SET keep = excluded.keep, max_bytes = excluded.max_bytes,"
                   " max_age_ms = excluded.max_age_ms",
    [PUT_SAMPLE] = "INSERT INTO samples(route, primary_side, endpoint, field, at_ms, score, bytes, sample)"
                   " VALUES(?,?,?,?,?,?,?,?)",
    /* ?5: how many of the newest stay, ?6: how many of the others, the most telling first */
    [TRIM_FIELD] = "DELETE FROM samples WHERE " OF_FIELD " AND id NOT IN (SELECT id FROM samples WHERE " OF_FIELD
                   " ORDER BY id DESC LIMIT ?5)"
                   " AND id NOT IN (SELECT id FROM samples WHERE " OF_FIELD
                   "  AND id NOT IN (SELECT id FROM samples WHERE " OF_FIELD " ORDER BY id DESC LIMIT ?5)"
                   "  ORDER BY score, id DESC LIMIT ?6)",
    [OVER_BYTES] = "SELECT 1 FROM sample_bounds WHERE bytes > max_bytes LIMIT 1",
    [TRIM_BYTES] = "DELETE FROM samples WHERE id IN (SELECT id FROM (SELECT s.id, b.max_bytes,"
                   " sum(s.bytes) OVER (PARTITION BY s.route ORDER BY s.id DESC) AS so_far"
                   " FROM samples s JOIN sample_bounds b USING(route) WHERE b.bytes > b.max_bytes)"
                   " WHERE so_far > max_bytes)",
    [TRIM_AGE] = "DELETE FROM samples WHERE id IN (SELECT s.id FROM sample_bounds b"
                 " CROSS JOIN samples s ON s.route = b.route AND s.at_ms < ?1 - b.max_age_ms)",
    [TRIM_MINUTES] = "DELETE FROM buckets WHERE width_s < 3600 AND at_ms < ?1",
    [TRIM_HOURS] = "DELETE FROM buckets WHERE at_ms < ?1",
    [FREE_PAGES] = "PRAGMA freelist_count",
    [GET_VALUES] = "SELECT value FROM meta WHERE name = 'values:' || ?1",
    [PUT_VALUES] = "INSERT OR REPLACE INTO meta(name, value) VALUES('values:' || ?1, ?2)",
    /* ?2, ?3: names of the values that may be told; a sample that does not say how it was made is taken for the worst
     */
    [VEIL_SAMPLES] = "DELETE FROM samples WHERE route = ?1 AND coalesce(CASE WHEN json_valid(sample)"
                     " THEN json_extract(sample, '$.values') END, 'full') NOT IN (?2, ?3)",
    [FORGET_CELLS] = FORGET("cells"),
    [FORGET_FIELDS] = FORGET("fields"),
    [FORGET_GROUPS] = FORGET("groups"),
    [FORGET_BUCKETS] = FORGET("buckets"),
    [FORGET_RULES] = FORGET("rules"),
    [FORGET_SAMPLES] = FORGET("samples"),
    [FORGET_BOUNDS] = FORGET("sample_bounds"),
    [GET_CELLS] = "SELECT " CELL_COLUMNS " FROM cells ORDER BY route, primary_side, endpoint",
    [GET_FIELDS] = "SELECT " FIELD_COLUMNS " FROM fields ORDER BY route, primary_side, endpoint, position",
    [GET_GROUPS] = "SELECT " GROUP_COLUMNS " FROM groups ORDER BY route, primary_side, endpoint, position",
    [GET_BUCKETS] = "SELECT " BUCKET_COLUMNS " FROM buckets ORDER BY route, primary_side, at_ms, width_s",
    [GET_RULES] = "SELECT route, primary_side, rule, pairs FROM rules ORDER BY route, primary_side, rule",
    /* ?2 of the newest and ?3 of the others. The windows go over ids alone: the samples themselves may be large. */
    [GET_SAMPLES] = "SELECT field, sample FROM samples WHERE id IN (SELECT id FROM (SELECT id, newest,"
                    " row_number() OVER (PARTITION BY route, primary_side, endpoint, field, newest <= ?2"
                    "  ORDER BY score, id DESC) AS telling"
                    " FROM (SELECT id, route, primary_side, endpoint, field, score,"
                    "  row_number() OVER (PARTITION BY route, primary_side, endpoint, field ORDER BY id DESC) AS newest"
                    "  FROM samples WHERE ?1 IS NULL OR route = ?1))"
                    " WHERE newest <= ?2 OR telling <= ?3) ORDER BY id DESC",
};

struct archive {
    sqlite3 *db;
    char *directory; /* owned; NULL: memory */
    sqlite3_stmt *statements[STATEMENTS];
    struct record_sink sink;
    bool open;    /* a transaction is */
    bool failed;  /* something in it has */
    bool sampled; /* it put samples */
    bool wipe;    /* something was forgotten: the log must not keep it */
    bool damaged;
    char *fault; /* owned: of the first failure of the transaction */
};

/* What SQLite says is kept for the sentence of the commit. Always false. */
static bool fail(struct archive *archive)
{
    int code = sqlite3_errcode(archive->db) & 0xff;
    archive->failed = true;
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        archive->damaged = true;
    if (archive->fault == NULL)
        archive_say(&archive->fault, "%s", sqlite3_errmsg(archive->db));
    return false;
}

/* ---- binding ---- */

struct binder {
    struct archive *archive;
    sqlite3_stmt *statement;
    int column;
    bool bad;
};

static struct binder bind_to(struct archive *archive, enum statement which)
{
    return (struct binder){.archive = archive, .statement = archive->statements[which]};
}

/* Texts are borrowed: the statement is reset before its caller returns. */
static void bind_text(struct binder *b, const char *text)
{
    b->bad |= sqlite3_bind_text(b->statement, ++b->column, text != NULL ? text : "", -1, SQLITE_STATIC) != SQLITE_OK;
}

static sqlite3_int64 within(uint64_t count)
{
    return count < INT64_MAX ? (sqlite3_int64)count : INT64_MAX;
}

static void bind_count(struct binder *b, uint64_t count)
{
    b->bad |= sqlite3_bind_int64(b->statement, ++b->column, within(count)) != SQLITE_OK;
}

/* A column that is NOT NULL gets 0 for what is no number. */
static void bind_real(struct binder *b, double value)
{
    b->bad |= sqlite3_bind_double(b->statement, ++b->column, value == value ? value : 0.0) != SQLITE_OK;
}

/* NULL below 0. */
static void bind_known(struct binder *b, double value)
{
    b->bad |= (value >= 0 ? sqlite3_bind_double(b->statement, ++b->column, value)
                          : sqlite3_bind_null(b->statement, ++b->column)) != SQLITE_OK;
}

static void bind_key(struct binder *b, const struct record_key *key, bool endpoint)
{
    bind_text(b, key->route);
    bind_text(b, side_name(key->primary));
    if (endpoint)
        bind_text(b, key->endpoint);
}

/* Counts by name as {"name": count}, those of 0 left out. */
static void bind_named(struct binder *b, const uint64_t *counts, unsigned count, const char *(*name_of)(unsigned))
{
    json_t *object = json_object();
    bool whole = object != NULL;
    for (unsigned i = 0; i < count && whole; i++)
        if (counts[i] > 0)
            whole = json_object_set_new(object, name_of(i), json_integer(within(counts[i]))) == 0;
    char *text = whole ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (text == NULL)
        b->bad = true;
    else
        b->bad |= sqlite3_bind_text(b->statement, ++b->column, text, -1, free) != SQLITE_OK;
}

/* Runs a statement that gives no rows. */
static bool run(struct binder *b)
{
    int code = b->bad ? SQLITE_ERROR : sqlite3_step(b->statement);
    bool done = code == SQLITE_DONE || code == SQLITE_ROW;
    if (!done)
        fail(b->archive);
    sqlite3_reset(b->statement);
    sqlite3_clear_bindings(b->statement);
    return done;
}

static bool run_plain(struct archive *archive, enum statement which)
{
    struct binder b = bind_to(archive, which);
    return run(&b);
}

static const char *obstacle_at(unsigned index)
{
    return obstacle_name((enum obstacle)index);
}

static const char *kind_at(unsigned index)
{
    if (index >= DIFFERENCE_KINDS)
        return index == RECORD_SHAPE ? "shape" : "noise_shape";
    return difference_kind_name((enum difference_kind)index);
}

/* ---- records in ---- */

static bool put_cell(void *context, const struct record_cell *record)
{
    struct binder b = bind_to(context, PUT_CELL);
    bind_key(&b, &record->key, true);
    bind_count(&b, record->since_ms);
    bind_count(&b, record->last_ms);
    for (int i = 0; i < JUDGEMENTS; i++)
        bind_count(&b, record->judged[i]);
    for (int i = 0; i < JUDGEMENTS; i++)
        bind_count(&b, record->noise_judged[i]);
    bind_named(&b, record->obstacles, OBSTACLES, obstacle_at);
    bind_count(&b, record->ungrouped);
    bind_count(&b, record->ungrouped_noise);
    bind_count(&b, record->other_differing);
    bind_count(&b, record->other_ignored);
    bind_count(&b, record->other_noise);
    bind_known(&b, record->limit);
    bind_real(&b, record->confidence);
    if (record->latency != NULL)
        b.bad |= sqlite3_bind_blob64(b.statement, b.column + 1, record->latency, record->latency_len, SQLITE_STATIC) !=
                 SQLITE_OK;
    return run(&b);
}

static bool put_field(void *context, const struct record_field *record)
{
    struct binder b = bind_to(context, PUT_FIELD);
    bind_key(&b, &record->key, true);
    bind_count(&b, record->index);
    bind_text(&b, record->name);
    bind_count(&b, record->differing);
    bind_count(&b, record->ignored);
    bind_count(&b, record->noise);
    bind_named(&b, record->by_kind, RECORD_KINDS, kind_at);
    bind_known(&b, record->apart);
    bind_count(&b, record->example_ms);
    bind_text(&b, record->path);
    bind_text(&b, record->primary);
    bind_text(&b, record->shadow);
    bind_text(&b, record->request_id);
    return run(&b);
}

static bool put_group(void *context, const struct record_group *record)
{
    struct binder b = bind_to(context, PUT_GROUP);
    json_t *positions = json_array();
    bool whole = positions != NULL;
    for (uint32_t i = 0; i < record->field_count && whole; i++)
        whole = json_array_append_new(positions, json_integer(record->fields[i])) == 0;
    char *text = whole ? json_dumps(positions, JSON_COMPACT) : NULL;
    json_decref(positions);
    b.bad = text == NULL;
    bind_key(&b, &record->key, true);
    bind_count(&b, record->index);
    bind_text(&b, text);
    bind_count(&b, record->pairs);
    bind_count(&b, record->last_ms);
    bool done = run(&b);
    free(text);
    return done;
}

static bool put_bucket(void *context, const struct record_bucket *record)
{
    struct binder b = bind_to(context, PUT_BUCKET);
    bind_key(&b, &record->key, false);
    bind_count(&b, record->at_ms);
    bind_count(&b, record->width_s);
    for (int i = 0; i < JUDGEMENTS; i++)
        bind_count(&b, record->judged[i]);
    bind_real(&b, record->primary_p50_ms);
    bind_real(&b, record->primary_p95_ms);
    bind_real(&b, record->shadow_p50_ms);
    bind_real(&b, record->shadow_p95_ms);
    bind_real(&b, record->difference_p50_ms);
    bind_real(&b, record->difference_p95_ms);
    bind_real(&b, record->ratio_p50);
    bind_real(&b, record->ratio_p95);
    return run(&b);
}

static bool put_rule(void *context, const struct record_rule *record)
{
    struct binder b = bind_to(context, PUT_RULE);
    bind_key(&b, &record->key, false);
    bind_text(&b, record->text);
    bind_count(&b, record->pairs);
    return run(&b);
}

/* ---- samples in ---- */

static uint64_t count_in(const json_t *object, const char *key)
{
    json_int_t number = json_integer_value(json_object_get(object, key));
    return number > 0 ? (uint64_t)number : 0;
}

struct sample_key {
    const char *route, *primary, *endpoint, *field;
};

static void bind_sample_key(struct binder *b, const struct sample_key *key)
{
    bind_text(b, key->route);
    bind_text(b, key->primary);
    bind_text(b, key->endpoint);
    bind_text(b, key->field);
}

static bool put_bounds(struct archive *archive, const struct sample_key *key, uint64_t keep, const json_t *sample)
{
    struct binder b = bind_to(archive, PUT_BOUNDS);
    bind_text(&b, key->route);
    bind_count(&b, keep);
    bind_count(&b, count_in(sample, "max_bytes"));
    bind_count(&b, count_in(sample, "max_age_ms"));
    return run(&b);
}

static bool put_text(struct archive *archive, const struct sample_key *key, const json_t *sample, const char *text)
{
    struct binder b = bind_to(archive, PUT_SAMPLE);
    bind_sample_key(&b, key);
    bind_count(&b, count_in(json_object_get(sample, "sample"), "at_ms"));
    bind_count(&b, count_in(sample, "score"));
    bind_count(&b, strlen(text));
    bind_text(&b, text);
    return run(&b);
}

static bool trim_field(struct archive *archive, const struct sample_key *key, uint64_t keep)
{
    struct binder b = bind_to(archive, TRIM_FIELD);
    bind_sample_key(&b, key);
    bind_count(&b, (keep + 1) / 2);
    bind_count(&b, keep / 2);
    return run(&b);
}

bool archive_put_sample(struct archive *archive, const json_t *sample)
{
    const struct sample_key key = {
        json_string_value(json_object_get(sample, "route")), json_string_value(json_object_get(sample, "primary")),
        json_string_value(json_object_get(sample, "endpoint")), json_string_value(json_object_get(sample, "field"))};
    const json_t *shown = json_object_get(sample, "sample");
    uint64_t keep = count_in(sample, "keep");
    if (!archive->open || key.route == NULL || key.primary == NULL || key.endpoint == NULL || key.field == NULL ||
        !json_is_object(shown))
        return false;
    char *text = json_dumps(shown, JSON_COMPACT);
    if (text == NULL)
        return false;
    if (keep > KEEP_MOST)
        keep = KEEP_MOST;
    bool done = put_bounds(archive, &key, keep, sample) && put_text(archive, &key, sample, text) &&
                trim_field(archive, &key, keep);
    free(text);
    archive->sampled = true;
    return done;
}

/* ---- veils ---- */

static const char *const values_names[] = {
    [SAMPLES_NONE] = "none", [SAMPLES_REDACTED] = "redacted", [SAMPLES_HASHED] = "hashed", [SAMPLES_FULL] = "full"};

bool archive_values(struct archive *archive, const char *route, enum config_sample_values *values, bool *known)
{
    struct binder b = bind_to(archive, GET_VALUES);
    bind_text(&b, route);
    int code = b.bad ? SQLITE_ERROR : sqlite3_step(b.statement);
    const char *name = code == SQLITE_ROW ? (const char *)sqlite3_column_text(b.statement, 0) : NULL;
    *known = false;
    for (unsigned i = 0; name != NULL && i < sizeof(values_names) / sizeof(values_names[0]); i++) {
        if (strcmp(name, values_names[i]) == 0) {
            *values = (enum config_sample_values)i;
            *known = true;
        }
    }
    bool read = code == SQLITE_ROW || code == SQLITE_DONE;
    if (!read)
        fail(archive);
    sqlite3_reset(b.statement);
    sqlite3_clear_bindings(b.statement);
    return read;
}

static bool put_values(struct archive *archive, const char *route, enum config_sample_values values)
{
    struct binder b = bind_to(archive, PUT_VALUES);
    bind_text(&b, route);
    bind_text(&b, values_names[values]);
    return run(&b);
}

static bool veil_samples(struct archive *archive, const char *route, enum config_sample_values values,
                         uint64_t *deleted)
{
    struct binder b = bind_to(archive, VEIL_SAMPLES);
    bind_text(&b, route);
    bind_text(&b, values == SAMPLES_NONE ? "" : "redacted");
    bind_text(&b, values == SAMPLES_HASHED ? "hashed" : "");
    if (!run(&b))
        return false;
    *deleted = (uint64_t)sqlite3_changes64(archive->db);
    archive->wipe = true;
    return true;
}

bool archive_veil(struct archive *archive, const char *route, enum config_sample_values values, uint64_t *deleted)
{
    *deleted = 0;
    return archive->open && (values == SAMPLES_FULL || veil_samples(archive, route, values, deleted)) &&
           put_values(archive, route, values);
}

/* ---- transactions ---- */

bool archive_begin(struct archive *archive)
{
    free(archive->fault);
    archive->fault = NULL;
    archive->failed = archive->sampled = false;
    if (archive_file_log_bytes(archive->directory) > LOG_MOST &&
        sqlite3_wal_checkpoint_v2(archive->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK) {
        archive->failed = true;
        return archive_say(&archive->fault, "a transaction that somebody holds open keeps shadow.db-wal from being "
                                            "written back");
    }
    archive->open = run_plain(archive, BEGIN);
    return archive->open;
}

const struct record_sink *archive_sink(struct archive *archive)
{
    return &archive->sink;
}

bool archive_forget(struct archive *archive, const char *route)
{
    for (int which = FORGET_FIRST; which <= FORGET_LAST; which++) {
        struct binder b = bind_to(archive, (enum statement)which);
        if (route != NULL)
            bind_text(&b, route);
        if (!run(&b))
            return false;
    }
    archive->wipe = true;
    return true;
}

/* A row is there. */
static bool is_any(struct archive *archive, enum statement which)
{
    sqlite3_stmt *statement = archive->statements[which];
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        fail(archive);
    sqlite3_reset(statement);
    return code == SQLITE_ROW;
}

static bool trim_bytes(struct archive *archive)
{
    if (is_any(archive, OVER_BYTES))
        run_plain(archive, TRIM_BYTES);
    return !archive->failed;
}

static void roll_back(struct archive *archive)
{
    char *fault = archive->fault;
    archive->fault = NULL; /* whatever this says, it is not the reason */
    if (sqlite3_get_autocommit(archive->db) == 0)
        run_plain(archive, ROLLBACK);
    free(archive->fault);
    archive->fault = fault;
}

/* secure_delete clears the pages; the log still has what they were, until it has been written back and cut. */
static void wipe(struct archive *archive)
{
    if (archive->wipe &&
        sqlite3_wal_checkpoint_v2(archive->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK)
        archive->wipe = false;
}

static bool end(struct archive *archive)
{
    bool kept = archive->open && !archive->failed && run_plain(archive, COMMIT);
    if (!kept)
        roll_back(archive);
    archive->open = false;
    return kept;
}

bool archive_commit(struct archive *archive, char **error)
{
    *error = NULL;
    if (archive->open && archive->sampled && !archive->failed)
        trim_bytes(archive);
    if (end(archive)) {
        wipe(archive);
        return true;
    }
    archive_say(error,
                "%s%s: the shadow report cannot be stored in shadow.db: %s; give the directory space and write "
                "permission and end what locks the file, shunt tries again",
                archive->directory != NULL ? "state directory " : "",
                archive->directory != NULL ? archive->directory : "memory",
                archive->fault != NULL ? archive->fault : "no transaction was begun");
    return false;
}

/* ---- bounds ---- */

static bool trim_before(struct archive *archive, enum statement which, uint64_t wall_ms, uint64_t age_ms)
{
    struct binder b = bind_to(archive, which);
    bind_count(&b, wall_ms > age_ms ? wall_ms - age_ms : 0);
    return run(&b);
}

/* Pages that are free go back to the file system, some at a time. */
static void give_back(struct archive *archive)
{
    sqlite3_stmt *statement = archive->statements[FREE_PAGES];
    bool many = sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int64(statement, 0) >= VACUUM_PAGES;
    sqlite3_reset(statement);
    if (many)
        (void)sqlite3_exec(archive->db, "PRAGMA incremental_vacuum", NULL, NULL, NULL);
}

bool archive_prune(struct archive *archive, uint64_t wall_ms)
{
    if (!archive_begin(archive))
        return false;
    (void)(trim_before(archive, TRIM_AGE, wall_ms, 0) && trim_before(archive, TRIM_MINUTES, wall_ms, MINUTES_MS) &&
           trim_before(archive, TRIM_HOURS, wall_ms, HOURS_MS) && trim_bytes(archive));
    bool kept = end(archive);
    if (kept) {
        give_back(archive);
        wipe(archive);
    }
    return kept;
}

bool archive_is_lost(struct archive *archive)
{
    int moved = 0;
    if (archive->damaged)
        return true;
    return archive->directory != NULL &&
           sqlite3_file_control(archive->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0;
}

/* ---- records out ---- */

static const char *text_at(sqlite3_stmt *row, int column)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    return text != NULL ? (const char *)text : "";
}

static uint64_t count_at(sqlite3_stmt *row, int column)
{
    sqlite3_int64 count = sqlite3_column_int64(row, column);
    return count > 0 ? (uint64_t)count : 0;
}

static uint32_t index_at(sqlite3_stmt *row, int column)
{
    uint64_t count = count_at(row, column);
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static float float_at(sqlite3_stmt *row, int column)
{
    return (float)sqlite3_column_double(row, column);
}

static double known_at(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL ? -1.0 : sqlite3_column_double(row, column);
}

static bool key_of(sqlite3_stmt *row, bool endpoint, struct record_key *key)
{
    const char *primary = text_at(row, 1);
    key->route = text_at(row, 0);
    key->endpoint = endpoint ? text_at(row, 2) : "";
    for (int side = 0; side < SIDES; side++) {
        if (strcmp(primary, side_name((enum side)side)) == 0) {
            key->primary = (enum side)side;
            return key->route[0] != '\0';
        }
    }
    return false;
}

/* Names that this version does not know are left out. */
static bool named_at(sqlite3_stmt *row, int column, uint64_t *counts, unsigned count, const char *(*name_of)(unsigned))
{
    json_t *object = json_loads(text_at(row, column), 0, NULL);
    bool fine = json_is_object(object);
    for (unsigned i = 0; i < count && fine; i++)
        counts[i] = count_in(object, name_of(i));
    json_decref(object);
    return fine;
}

static bool get_cell(sqlite3_stmt *row, const struct record_sink *sink)
{
    struct record_cell record = {0};
    if (!key_of(row, true, &record.key) || !named_at(row, 13, record.obstacles, OBSTACLES, obstacle_at))
        return false;
    record.since_ms = count_at(row, 3);
    record.last_ms = count_at(row, 4);
    for (int i = 0; i < JUDGEMENTS; i++) {
        record.judged[i] = count_at(row, 5 + i);
        record.noise_judged[i] = count_at(row, 9 + i);
    }
    record.ungrouped = count_at(row, 14);
    record.ungrouped_noise = count_at(row, 15);
    record.other_differing = count_at(row, 16);
    record.other_ignored = count_at(row, 17);
    record.other_noise = count_at(row, 18);
    record.limit = known_at(row, 19);
    record.confidence = sqlite3_column_double(row, 20);
    record.latency = sqlite3_column_blob(row, 21);
    record.latency_len = record.latency != NULL ? (size_t)sqlite3_column_bytes(row, 21) : 0;
    return sink->cell(sink->context, &record);
}

static bool get_field(sqlite3_stmt *row, const struct record_sink *sink)
{
    struct record_field record = {0};
    if (!key_of(row, true, &record.key) || !named_at(row, 8, record.by_kind, RECORD_KINDS, kind_at))
        return false;
    record.index = index_at(row, 3);
    record.name = text_at(row, 4);
    record.differing = count_at(row, 5);
    record.ignored = count_at(row, 6);
    record.noise = count_at(row, 7);
    record.apart = known_at(row, 9);
    record.example_ms = count_at(row, 10);
    record.path = text_at(row, 11);
    record.primary = text_at(row, 12);
    record.shadow = text_at(row, 13);
    record.request_id = text_at(row, 14);
    return sink->field(sink->context, &record);
}

/* The positions in a group's row; false when they are none. */
static bool positions_at(sqlite3_stmt *row, int column, uint16_t positions[DIFFERENCES_MAX], uint32_t *count)
{
    json_t *array = json_loads(text_at(row, column), 0, NULL);
    size_t size = json_array_size(array);
    bool fine = json_is_array(array) && size <= DIFFERENCES_MAX;
    for (size_t i = 0; i < size && fine; i++) {
        const json_t *item = json_array_get(array, i);
        json_int_t number = json_integer_value(item);
        fine = json_is_integer(item) && number >= 0 && number <= UINT16_MAX;
        positions[i] = (uint16_t)number;
    }
    *count = (uint32_t)size;
    json_decref(array);
    return fine;
}

static bool get_group(sqlite3_stmt *row, const struct record_sink *sink)
{
    struct record_group record = {0};
    uint16_t positions[DIFFERENCES_MAX];
    if (!key_of(row, true, &record.key) || !positions_at(row, 4, positions, &record.field_count))
        return false;
    record.index = index_at(row, 3);
    record.fields = positions;
    record.pairs = count_at(row, 5);
    record.last_ms = count_at(row, 6);
    return sink->group(sink->context, &record);
}

static bool get_bucket(sqlite3_stmt *row, const struct record_sink *sink)
{
    struct record_bucket record = {0};
    if (!key_of(row, false, &record.key))
        return false;
    record.at_ms = count_at(row, 2);
    record.width_s = index_at(row, 3);
    for (int i = 0; i < JUDGEMENTS; i++)
        record.judged[i] = count_at(row, 4 + i);
    record.primary_p50_ms = float_at(row, 8);
    record.primary_p95_ms = float_at(row, 9);
    record.shadow_p50_ms = float_at(row, 10);
    record.shadow_p95_ms = float_at(row, 11);
    record.difference_p50_ms = float_at(row, 12);
    record.difference_p95_ms = float_at(row, 13);
    record.ratio_p50 = float_at(row, 14);
    record.ratio_p95 = float_at(row, 15);
    return sink->bucket(sink->context, &record);
}

static bool get_rule(sqlite3_stmt *row, const struct record_sink *sink)
{
    struct record_rule record = {0};
    if (!key_of(row, false, &record.key))
        return false;
    record.text = text_at(row, 2);
    record.pairs = count_at(row, 3);
    return sink->rule(sink->context, &record);
}

bool archive_load(struct archive *archive, const struct record_sink *sink, uint64_t *refused, char **error)
{
    static const struct {
        enum statement which;
        bool (*get)(sqlite3_stmt *row, const struct record_sink *sink);
    } tables[] = {{GET_CELLS, get_cell},
                  {GET_FIELDS, get_field},
                  {GET_GROUPS, get_group},
                  {GET_BUCKETS, get_bucket},
                  {GET_RULES, get_rule}};
    *error = NULL;
    *refused = 0;
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        sqlite3_stmt *row = archive->statements[tables[i].which];
        int code;
        while ((code = sqlite3_step(row)) == SQLITE_ROW)
            if (!tables[i].get(row, sink))
                ++*refused;
        if (code != SQLITE_DONE)
            archive_say(error,
                        "state directory %s: shadow.db cannot be read: %s; the stored shadow report is not shown",
                        archive->directory != NULL ? archive->directory : "-", sqlite3_errmsg(archive->db));
        sqlite3_reset(row);
        if (code != SQLITE_DONE)
            return false;
    }
    return true;
}

/* ---- samples out ---- */

/* False without memory. A text that is no sample is left out. */
static bool add_sample(json_t *samples, sqlite3_stmt *row)
{
    json_t *sample = json_loads(text_at(row, 1), JSON_ALLOW_NUL, NULL);
    if (!json_is_object(sample)) {
        json_decref(sample);
        return true;
    }
    if (json_object_set_new(sample, "for", json_string(text_at(row, 0))) == 0)
        return json_array_append_new(samples, sample) == 0;
    json_decref(sample);
    return false;
}

json_t *archive_samples(struct archive *archive, const char *route, unsigned each)
{
    struct binder b = bind_to(archive, GET_SAMPLES);
    json_t *samples = json_array();
    size_t bytes = 0;
    int code = SQLITE_ERROR;
    if (route != NULL)
        bind_text(&b, route);
    b.column = 1;
    bind_count(&b, (each + 1ULL) / 2);
    bind_count(&b, each / 2);
    while (samples != NULL && !b.bad && (code = sqlite3_step(b.statement)) == SQLITE_ROW) {
        bytes += (size_t)sqlite3_column_bytes(b.statement, 1);
        if (bytes > ARCHIVE_ANSWER_BYTES) {
            code = SQLITE_DONE;
            break;
        }
        if (!add_sample(samples, b.statement)) {
            code = SQLITE_NOMEM;
            break;
        }
    }
    sqlite3_reset(b.statement);
    sqlite3_clear_bindings(b.statement);
    if (code == SQLITE_DONE)
        return samples;
    json_decref(samples);
    return NULL;
}

/* ---- opening and closing ---- */

void archive_bound(size_t bytes, size_t most)
{
    (void)sqlite3_hard_heap_limit64((sqlite3_int64)most);
    (void)sqlite3_soft_heap_limit64((sqlite3_int64)bytes);
}

struct archive *archive_open(const char *directory, char **warning, char **error)
{
    struct archive *archive = calloc(1, sizeof(*archive));
    *warning = *error = NULL;
    if (archive == NULL || (directory != NULL && (archive->directory = strdup(directory)) == NULL)) {
        free(archive);
        archive_say(error, "shadow report: no memory");
        return NULL;
    }
    archive->sink = (struct record_sink){archive, put_cell, put_field, put_group, put_bucket, put_rule};
    archive->db = archive_file_open(directory, warning, error);
    bool ready = archive->db != NULL;
    for (int i = 0; i < STATEMENTS && ready; i++)
        ready = sqlite3_prepare_v3(archive->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &archive->statements[i],
                                   NULL) == SQLITE_OK;
    if (ready)
        return archive;
    if (archive->db != NULL)
        archive_say(error, "%s: shadow.db has tables of another shape: %s; move it away",
                    directory != NULL ? directory : "memory", sqlite3_errmsg(archive->db));
    archive_close(archive);
    return NULL;
}

void archive_close(struct archive *archive)
{
    if (archive == NULL)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(archive->statements[i]);
    sqlite3_close(archive->db);
    free(archive->directory);
    free(archive->fault);
    free(archive);
}
