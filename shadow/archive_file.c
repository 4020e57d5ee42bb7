/*
 * Opens shadow.db so that it lasts: write-ahead log, a commit that survives kill -9, bounded caches, readable by its
 * owner alone, and nothing forgotten left in free pages.
 *
 * A file that SQLite cannot read, that is of another version or not ours at all is set aside with its log, under a name
 * that sqlite3 can still open, and a new one is begun. One that is merely locked or may not be written is left alone:
 * that is an error of the moment, and the caller decides.
 */
#include "shadow/archive_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    BUSY_MS = 1000,       /* somebody looks at the file with sqlite3 */
    CHECK_MS = 2000,      /* a large file is not checked to its end */
    CHECK_STEPS = 100000, /* of SQLite's machine between two looks at the clock */
    DAMAGED_MOST = 100,
    NAME_ROOM = 64,
};

/* "shun" as a number: `file shadow.db` tells it. */
#define APPLICATION   "1936225646"
#define STRING_OF(x)  #x
#define STRING_OF2(x) STRING_OF(x)

static const char settings[] = "PRAGMA busy_timeout = 1000;"
                               "PRAGMA auto_vacuum = INCREMENTAL;" /* before the first table */
                               "PRAGMA secure_delete = ON;"
                               "PRAGMA cache_size = -2048;" /* KiB */
                               "PRAGMA mmap_size = 0;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA trusted_schema = OFF;"
                               "PRAGMA foreign_keys = OFF;"
                               "PRAGMA journal_size_limit = 4194304;"
                               "PRAGMA wal_autocheckpoint = 1000;";

/*
 * For people with sqlite3 as much as for shunt: one column for each figure, times in milliseconds since 1970, rates as
 * fractions. primary_side is who answered the client: legacy or new. endpoint '' is the route as a whole.
 */
static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE cells(route TEXT NOT NULL, primary_side TEXT NOT NULL, endpoint TEXT NOT NULL,"
    " since_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
    " matched INTEGER NOT NULL, ignored INTEGER NOT NULL, mismatched INTEGER NOT NULL, not_comparable INTEGER NOT NULL,"
    " noise_matched INTEGER NOT NULL, noise_ignored INTEGER NOT NULL, noise_mismatched INTEGER NOT NULL,"
    " noise_not_comparable INTEGER NOT NULL,"
    " obstacles TEXT NOT NULL," /* {"shadow_timeout": 3} */
    " ungrouped INTEGER NOT NULL, ungrouped_noise INTEGER NOT NULL,"
    " other_differing INTEGER NOT NULL, other_ignored INTEGER NOT NULL, other_noise INTEGER NOT NULL,"
    " limit_rate REAL, confidence REAL NOT NULL, latency BLOB,"
    " PRIMARY KEY(route, primary_side, endpoint)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE fields(route TEXT NOT NULL, primary_side TEXT NOT NULL, endpoint TEXT NOT NULL,"
    " position INTEGER NOT NULL, field TEXT NOT NULL,"
    " differing INTEGER NOT NULL, ignored INTEGER NOT NULL, noise INTEGER NOT NULL,"
    " kinds TEXT NOT NULL," /* {"value": 12} */
    " apart REAL, example_ms INTEGER NOT NULL, path TEXT NOT NULL, primary_value TEXT NOT NULL,"
    " shadow_value TEXT NOT NULL, request_id TEXT NOT NULL,"
    " PRIMARY KEY(route, primary_side, endpoint, position)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE groups(route TEXT NOT NULL, primary_side TEXT NOT NULL, endpoint TEXT NOT NULL,"
    " position INTEGER NOT NULL, fields TEXT NOT NULL," /* positions of fields: [0,3] */
    " pairs INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
    " PRIMARY KEY(route, primary_side, endpoint, position)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE buckets(route TEXT NOT NULL, primary_side TEXT NOT NULL, at_ms INTEGER NOT NULL,"
    " width_s INTEGER NOT NULL,"
    " matched INTEGER NOT NULL, ignored INTEGER NOT NULL, mismatched INTEGER NOT NULL, not_comparable INTEGER NOT NULL,"
    " primary_p50_ms REAL NOT NULL, primary_p95_ms REAL NOT NULL, shadow_p50_ms REAL NOT NULL,"
    " shadow_p95_ms REAL NOT NULL, difference_p50_ms REAL NOT NULL, difference_p95_ms REAL NOT NULL,"
    " ratio_p50 REAL NOT NULL, ratio_p95 REAL NOT NULL,"
    " PRIMARY KEY(route, primary_side, width_s, at_ms)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE rules(route TEXT NOT NULL, primary_side TEXT NOT NULL, rule TEXT NOT NULL, pairs INTEGER NOT NULL,"
    " PRIMARY KEY(route, primary_side, rule)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE samples(id INTEGER PRIMARY KEY, route TEXT NOT NULL, primary_side TEXT NOT NULL,"
    " endpoint TEXT NOT NULL, field TEXT NOT NULL, at_ms INTEGER NOT NULL, score INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, sample TEXT NOT NULL) STRICT;"
    "CREATE INDEX samples_by_field ON samples(route, primary_side, endpoint, field, score);"
    "CREATE INDEX samples_by_age ON samples(route, at_ms);"
    /* What a route's samples may take, as the newest of them said, and what they take. */
    "CREATE TABLE sample_bounds(route TEXT PRIMARY KEY, keep INTEGER NOT NULL, max_bytes INTEGER NOT NULL,"
    " max_age_ms INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TRIGGER sample_kept AFTER INSERT ON samples BEGIN"
    " UPDATE sample_bounds SET bytes = bytes + new.bytes WHERE route = new.route; END;"
    "CREATE TRIGGER sample_gone AFTER DELETE ON samples BEGIN"
    " UPDATE sample_bounds SET bytes = bytes - old.bytes WHERE route = old.route; END;"
    "INSERT INTO meta VALUES('made_by', 'shunt " SHUNT_VERSION "');"
    "PRAGMA application_id = " APPLICATION ";"
    "PRAGMA user_version = " STRING_OF2(1) ";"
                                           "COMMIT;";
_Static_assert(ARCHIVE_VERSION == 1, "the schema says which version it is");

bool archive_say(char **to, const char *format, ...)
{
    va_list arguments;
    if (to == NULL)
        return false;
    va_start(arguments, format);
    if (vasprintf(to, format, arguments) < 0)
        *to = NULL;
    va_end(arguments);
    return false;
}

/* ---- the path ---- */

struct place {
    const char *directory;
    char *path; /* owned; ":memory:" without a directory */
    int fd;     /* of the directory; -1 in memory */
};

static void place_done(struct place *place)
{
    free(place->path);
    if (place->fd >= 0)
        close(place->fd);
}

static bool place_init(struct place *place, const char *directory, char **error)
{
    *place = (struct place){.directory = directory, .fd = -1};
    int length =
        directory != NULL ? asprintf(&place->path, "%s/shadow.db", directory) : asprintf(&place->path, ":memory:");
    if (length < 0) {
        place->path = NULL;
        return archive_say(error, "shadow report: no memory");
    }
    if (directory == NULL)
        return true;
    place->fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return place->fd >= 0 ||
           archive_say(error, "state directory %s: cannot be opened: %s; the shadow report is not kept", directory,
                       strerror(errno));
}

/* SQLite gives its log the mode of the file, so the file has it before SQLite comes. */
static bool have_file(const struct place *place, char **error)
{
    if (place->directory == NULL)
        return true;
    int fd = openat(place->fd, "shadow.db", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat facts;
    bool fine = fd >= 0 && fstat(fd, &facts) == 0 && fchmod(fd, 0600) == 0;
    int fault = errno;
    if (fine && !S_ISREG(facts.st_mode)) {
        fine = false;
        fault = EINVAL;
    }
    if (fd >= 0)
        close(fd);
    return fine || archive_say(error,
                               "state directory %s: shadow.db cannot be opened: %s; let shunt own it and write to it, "
                               "or move it away",
                               place->directory, fault == EINVAL ? "it is not a regular file" : strerror(fault));
}

/* ---- setting aside ---- */

static const char *const companions[] = {"-wal", "-shm", "-journal"};

static void set_companions_aside(const struct place *place, const char *name)
{
    for (size_t i = 0; i < sizeof(companions) / sizeof(companions[0]); i++) {
        char from[NAME_ROOM], to[NAME_ROOM];
        snprintf(from, sizeof(from), "shadow.db%s", companions[i]);
        snprintf(to, sizeof(to), "%s%s", name, companions[i]);
        /* One that stayed would be taken for the new file's, and be refused by its salt. */
        if (renameat(place->fd, from, place->fd, to) < 0 && errno != ENOENT)
            unlinkat(place->fd, from, 0);
    }
}

/* True when the way is free for a new file. */
static bool set_aside(const struct place *place, const char *fault, char **warning, char **error)
{
    char name[NAME_ROOM];
    for (unsigned i = 1; i <= DAMAGED_MOST; i++) {
        snprintf(name, sizeof(name), "shadow.db.damaged-%u", i);
        if (renameat2(place->fd, "shadow.db", place->fd, name, RENAME_NOREPLACE) == 0) {
            set_companions_aside(place, name);
            free(*warning);
            archive_say(warning,
                        "state directory %s: shadow.db cannot be used (%s); it was set aside as %s, and the shadow "
                        "report begins anew",
                        place->directory, fault, name);
            return true;
        }
        if (errno != EEXIST)
            break;
    }
    return archive_say(error,
                       "state directory %s: shadow.db cannot be used (%s) and cannot be set aside: %s; move it away "
                       "yourself, and old shadow.db.damaged-N with it",
                       place->directory, fault, strerror(errno));
}

/* ---- looking at the file ---- */

enum finding {
    FINDING_GOOD,
    FINDING_USELESS, /* damaged, or not of this version */
    FINDING_LATER,   /* cannot be told now: locked, no memory, no permission, the disk */
};

static enum finding finding_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return FINDING_GOOD;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_SCHEMA:
        return FINDING_USELESS;
    default:
        return FINDING_LATER;
    }
}

/* The first column of the first row; *code as of SQLite. */
static sqlite3_int64 number_of(sqlite3 *db, const char *sql, int *code)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_int64 number = 0;
    *code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (*code == SQLITE_OK) {
        *code = sqlite3_step(statement);
        if (*code == SQLITE_ROW)
            number = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return number;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int is_late(void *deadline_ms)
{
    return now_ms() > *(const uint64_t *)deadline_ms;
}

/* Sound as far as there is time to look. */
static enum finding check(sqlite3 *db)
{
    uint64_t deadline_ms = now_ms() + CHECK_MS;
    sqlite3_stmt *statement = NULL;
    enum finding finding = FINDING_GOOD;
    sqlite3_progress_handler(db, CHECK_STEPS, is_late, &deadline_ms);
    int code = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        finding = text != NULL && strcmp(text, "ok") == 0 ? FINDING_GOOD : FINDING_USELESS;
    } else if (code != SQLITE_INTERRUPT) {
        finding = finding_of(code);
    }
    sqlite3_finalize(statement);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    return finding;
}

static bool execute(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* Is it new (then the schema is made), ours, or of no use? `fault`: what is wrong. */
static enum finding look(sqlite3 *db, char fault[160])
{
    int code;
    sqlite3_int64 version = number_of(db, "PRAGMA user_version", &code);
    if (finding_of(code) != FINDING_GOOD)
        goto failed;
    sqlite3_int64 tables = number_of(db, "SELECT count(*) FROM sqlite_schema", &code);
    if (finding_of(code) != FINDING_GOOD)
        goto failed;
    if (version == 0 && tables == 0) {
        if (execute(db, schema))
            return FINDING_GOOD;
        code = sqlite3_errcode(db);
        goto failed;
    }
    if (version != ARCHIVE_VERSION) {
        snprintf(fault, 160, "its version is %lld, this shunt reads %d", (long long)version, (int)ARCHIVE_VERSION);
        return FINDING_USELESS;
    }
    if (number_of(db, "PRAGMA application_id", &code) != strtol(APPLICATION, NULL, 10)) {
        snprintf(fault, 160, "it is another program's");
        return FINDING_USELESS;
    }
    snprintf(fault, 160, "it is damaged");
    return check(db);
failed:
    snprintf(fault, 160, "%s", sqlite3_errmsg(db));
    return finding_of(code);
}

/* With the write-ahead log a commit is one write. A file system that cannot have it (no shared memory) gets the old
 * journal, which needs more of fsync to be as safe. */
static bool choose_journal(sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    bool log = false;
    if (sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        const char *mode = (const char *)sqlite3_column_text(statement, 0);
        log = mode != NULL && strcmp(mode, "wal") == 0;
    }
    sqlite3_finalize(statement);
    return execute(db, log ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL");
}

/* ---- opening ---- */

/* *db is to be closed whatever comes out. */
static enum finding try_file(const struct place *place, sqlite3 **db, char fault[160])
{
    int code = sqlite3_open_v2(place->path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) {
        sqlite3_extended_result_codes(*db, 1);
        sqlite3_busy_timeout(*db, BUSY_MS);
        sqlite3_db_config(*db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        if (!execute(*db, settings))
            code = sqlite3_errcode(*db);
    }
    if (code != SQLITE_OK) {
        snprintf(fault, 160, "%s", *db != NULL ? sqlite3_errmsg(*db) : "no memory");
        return finding_of(code);
    }
    if (sqlite3_db_readonly(*db, "main") == 1) {
        snprintf(fault, 160, "it may only be read");
        return FINDING_LATER;
    }
    /* The file is looked at first: nothing is written to one that is not ours. */
    enum finding finding = look(*db, fault);
    if (finding == FINDING_GOOD && !choose_journal(*db)) {
        snprintf(fault, 160, "%s", sqlite3_errmsg(*db));
        finding = finding_of(sqlite3_errcode(*db));
    }
    return finding;
}

sqlite3 *archive_file_open(const char *directory, char **warning, char **error)
{
    struct place place;
    sqlite3 *db = NULL;
    char fault[160] = "";
    *warning = *error = NULL;
    enum finding finding = FINDING_LATER;
    if (!place_init(&place, directory, error))
        goto done;
    for (int tries = 0; tries < 2; tries++) {
        if (!have_file(&place, error))
            goto done;
        finding = try_file(&place, &db, fault);
        if (finding == FINDING_GOOD)
            goto done;
        sqlite3_close(db);
        db = NULL;
        if (finding == FINDING_LATER || directory == NULL)
            break;
        if (!set_aside(&place, fault, warning, error))
            goto done;
    }
    archive_say(error, "%s%s: shadow.db cannot be used now: %s; end what locks it, or give shunt space and permission",
                directory != NULL ? "state directory " : "", directory != NULL ? directory : "memory", fault);
done:
    place_done(&place);
    return db;
}

uint64_t archive_file_log_bytes(const char *directory)
{
    char *path;
    struct stat facts;
    if (directory == NULL || asprintf(&path, "%s/shadow.db-wal", directory) < 0)
        return 0;
    uint64_t bytes = stat(path, &facts) == 0 ? (uint64_t)facts.st_size : 0;
    free(path);
    return bytes;
}
