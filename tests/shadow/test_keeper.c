/*
 * The keeper: what it stored is there after a restart, a save that fails loses nothing, jobs are made once, ends are
 * ends.
 */
#include "tests/shadow/pairs.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shadow/archive.h"
#include "shadow/keeper.h"

struct fixture {
    char directory[64];
    struct test_route route;
    struct compare *compare;
    struct report *report;
    struct keeper *keeper;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->directory, sizeof(f->directory), "/tmp/shunt-keeper-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    test_route_init(&f->route, "orders");
    f->route.route.shadow.samples.max_bytes = 1 << 20;
    f->route.route.shadow.samples.max_age_ms = 3155760000000; /* the pairs of these tests are old */
    f->compare = compare_new();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct dirent *entry;
    assert_true(keeper_stop(f->keeper, 60000));
    report_free(f->report);
    compare_free(f->compare);
    DIR *directory = opendir(f->directory);
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    rmdir(f->directory);
    free(f);
    return 0;
}

static void start_in(struct fixture *f, const char *directory)
{
    char *warning;
    f->report = report_new();
    f->keeper = keeper_start(directory, f->report, &warning);
    assert_non_null(f->keeper);
    if (warning != NULL)
        fail_msg("%s", warning);
}

static void stop(struct fixture *f)
{
    assert_true(keeper_stop(f->keeper, 60000));
    report_free(f->report);
    f->keeper = NULL;
    f->report = NULL;
}

static void restart(struct fixture *f)
{
    stop(f);
    start_in(f, f->directory);
}

static void add(struct fixture *f, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        struct pair *pair = test_json_pair(&f->route, "{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":1}");
        report_add(f->report, pair, compare_pair(f->compare, pair));
        pair_free(pair);
    }
}

static uint64_t compared(struct fixture *f)
{
    struct comparison_totals totals;
    report_totals(f->report, "orders", &totals);
    return totals.compared;
}

static struct keeper_stats stats(struct fixture *f)
{
    struct keeper_stats now;
    keeper_stats(f->keeper, &now);
    return now;
}

/* The bound only ends a test that has failed. */
static void nap(void)
{
    const struct timespec time = {.tv_nsec = 5000000};
    nanosleep(&time, NULL);
}

static void await_saves(struct fixture *f, uint64_t count)
{
    for (int i = 0; i < 6000 && stats(f).saves < count; i++)
        nap();
    assert_true(stats(f).saves >= count);
}

/* ---- jobs ---- */

struct answer {
    pthread_mutex_t lock;
    unsigned count;
    bool known;
    json_t *json;
};

static void on_done(void *context, char *text, size_t len, bool known)
{
    struct answer *answer = context;
    pthread_mutex_lock(&answer->lock);
    answer->count++;
    answer->known = known;
    json_decref(answer->json);
    answer->json = text != NULL ? json_loadb(text, len, 0, NULL) : NULL;
    pthread_mutex_unlock(&answer->lock);
    free(text);
}

static struct keeper_job job_of(struct answer *answer)
{
    return (struct keeper_job){.route = "orders", .samples = 8, .format = "json", .done = on_done, .context = answer};
}

static void await_answers(struct answer *answer, unsigned count)
{
    for (int i = 0; i < 6000; i++) {
        pthread_mutex_lock(&answer->lock);
        bool there = answer->count >= count;
        pthread_mutex_unlock(&answer->lock);
        if (there)
            return;
        nap();
    }
    fail_msg("no answer came");
}

/* The only route of the report, once there is one. */
static json_t *route_of(struct answer *answer)
{
    json_t *routes = json_object_get(answer->json, "routes");
    assert_int_equal(json_array_size(routes), 1);
    return json_array_get(routes, 0);
}

static void a_job_is_made_once_and_completed(void **state)
{
    struct fixture *f = *state;
    struct answer answer = {.lock = PTHREAD_MUTEX_INITIALIZER};
    start_in(f, f->directory);
    add(f, 3);
    await_saves(f, 1);
    struct keeper_job job = job_of(&answer);
    job.mirror = json_pack("{s:{s:{s:i}}, s:{s:{s:i}}}", "orders", "legacy", "rate", 12, "rest", "legacy", "rate", 1);
    assert_true(keeper_submit(f->keeper, &job));
    await_answers(&answer, 1);
    json_t *route = route_of(&answer);
    json_t *samples = json_object_get(route, "samples");
    assert_true(json_integer_value(json_object_get(answer.json, "generated_at_ms")) > 0);
    assert_string_equal(json_string_value(json_object_get(answer.json, "version")), SHUNT_VERSION);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(route, "not_mirrored"), "rate")), 12);
    assert_true(json_array_size(samples) > 0);
    assert_string_equal(json_string_value(json_object_get(json_array_get(samples, 0), "for")), "$.a");
    assert_int_equal(stats(f).samples_kept, json_array_size(samples));
    json_decref(answer.json);
}

static void an_unknown_route_is_told(void **state)
{
    struct fixture *f = *state;
    struct answer answer = {.lock = PTHREAD_MUTEX_INITIALIZER};
    start_in(f, NULL);
    struct keeper_job job = job_of(&answer);
    assert_true(keeper_submit(f->keeper, &job));
    await_answers(&answer, 1);
    assert_false(answer.known);
    assert_null(answer.json);
    job.route = NULL;
    assert_true(keeper_submit(f->keeper, &job));
    await_answers(&answer, 2);
    assert_true(answer.known);
    assert_int_equal(json_array_size(json_object_get(answer.json, "routes")), 0);
    json_decref(answer.json);
}

static void on_done_slowly(void *context, char *text, size_t len, bool known)
{
    (void)len, (void)known;
    pthread_mutex_lock(context);
    pthread_mutex_unlock(context);
    free(text);
}

/* Eight may wait; those that still do at the end are never answered. */
static void jobs_are_bounded_and_dropped_at_the_end(void **state)
{
    struct fixture *f = *state;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    start_in(f, NULL);
    struct keeper_job job = {.format = "json", .done = on_done_slowly, .context = &gate};
    unsigned taken = 0;
    pthread_mutex_lock(&gate);
    for (int i = 0; i < 40; i++) {
        job.mirror = json_object();
        if (keeper_submit(f->keeper, &job))
            taken++;
        else
            json_decref(job.mirror); /* still ours */
    }
    assert_in_range(taken, 8, 9);
    pthread_mutex_unlock(&gate);
    stop(f);
}

/* As with a disk that does not answer: the end comes all the same, and what still runs is left alone. */
static void an_end_does_not_wait_for_ever(void **state)
{
    static struct {
        struct keeper *keeper;
        struct report *report;
    } volatile left_behind; /* for ever */
    static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct fixture *f = *state;
    start_in(f, NULL);
    const struct keeper_job job = {.format = "json", .done = on_done_slowly, .context = &gate};
    pthread_mutex_lock(&gate);
    left_behind.keeper = f->keeper;
    left_behind.report = f->report;
    f->keeper = NULL;
    f->report = NULL;
    unsigned taken = 0;
    for (int i = 0; i < 6000 && taken < 9; i++) { /* one more than may wait: its thread stands at the gate */
        if (keeper_submit(left_behind.keeper, &job))
            taken++;
        else
            nap();
    }
    assert_int_equal(taken, 9);
    assert_false(keeper_stop(left_behind.keeper, 50));
}

/* ---- lasting ---- */

static void a_restart_keeps_everything(void **state)
{
    struct fixture *f = *state;
    struct answer answer = {.lock = PTHREAD_MUTEX_INITIALIZER};
    start_in(f, f->directory);
    assert_true(stats(f).on_disk);
    add(f, 5);
    json_t *before = report_json(f->report, "orders");
    restart(f);
    assert_int_equal(compared(f), 5);
    json_t *after = report_json(f->report, "orders");
    json_t *was = json_array_get(json_object_get(before, "routes"), 0);
    json_t *is = json_array_get(json_object_get(after, "routes"), 0);
    static const char *const same[] = {"totals", "noise", "buckets", "endpoints", "verdict", "since_ms", "last_ms"};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        if (!json_equal(json_object_get(was, same[i]), json_object_get(is, same[i])))
            fail_msg("%s: %s\nwas: %s", same[i], json_dumps(json_object_get(is, same[i]), 0),
                     json_dumps(json_object_get(was, same[i]), 0));
    json_decref(before);
    json_decref(after);
    add(f, 1);
    restart(f);
    assert_int_equal(compared(f), 6);
    struct keeper_job job = job_of(&answer);
    assert_true(keeper_submit(f->keeper, &job));
    await_answers(&answer, 1);
    assert_true(json_array_size(json_object_get(route_of(&answer), "samples")) > 0);
    json_decref(answer.json);
}

static off_t log_size(struct fixture *f)
{
    char path[128];
    struct stat facts;
    snprintf(path, sizeof(path), "%s/shadow.db-wal", f->directory);
    return stat(path, &facts) == 0 ? facts.st_size : 0;
}

/* Two seconds in which nothing happens; then a pair, to prove that the keeper still looks. */
static void idle_writes_nothing(void **state)
{
    struct fixture *f = *state;
    start_in(f, f->directory);
    add(f, 1);
    await_saves(f, 1);
    for (int i = 0; i < 300; i++) /* what the first save left changed */
        nap();
    uint64_t saves = stats(f).saves;
    off_t size = log_size(f);
    for (int i = 0; i < 500; i++)
        nap();
    assert_int_equal(stats(f).saves, saves);
    assert_int_equal(log_size(f), size);
    add(f, 1);
    await_saves(f, saves + 1);
}

static char *await_fault(struct fixture *f)
{
    char *fault = NULL;
    for (int i = 0; i < 6000 && fault == NULL; i++) {
        fault = keeper_fault(f->keeper);
        nap();
    }
    assert_non_null(fault);
    return fault;
}

static void a_locked_file_costs_nothing_but_time(void **state)
{
    struct fixture *f = *state;
    char path[128];
    sqlite3 *other;
    start_in(f, f->directory);
    add(f, 2);
    await_saves(f, 1);
    snprintf(path, sizeof(path), "%s/shadow.db", f->directory);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    uint64_t saves = stats(f).saves;
    add(f, 3);
    char *fault = await_fault(f);
    assert_non_null(strstr(fault, "locked"));
    free(fault);
    assert_true(stats(f).save_failures > 0);
    assert_int_equal(stats(f).saves, saves);
    sqlite3_close(other);
    await_saves(f, saves + 1);
    restart(f);
    assert_int_equal(compared(f), 5);
}

/* Somebody cleans up the directory: the whole report is stored again. */
static void a_removed_file_is_made_again(void **state)
{
    struct fixture *f = *state;
    char path[128];
    start_in(f, f->directory);
    add(f, 4);
    await_saves(f, 1);
    static const char *const names[] = {"shadow.db", "shadow.db-wal", "shadow.db-shm"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", f->directory, names[i]);
        unlink(path);
    }
    uint64_t saves = stats(f).saves;
    await_saves(f, saves + 1);
    restart(f);
    assert_int_equal(compared(f), 4);
}

static void without_a_directory_that_works_it_is_memory(void **state)
{
    struct fixture *f = *state;
    struct answer answer = {.lock = PTHREAD_MUTEX_INITIALIZER};
    char *warning, path[128];
    snprintf(path, sizeof(path), "%s/none", f->directory);
    f->report = report_new();
    f->keeper = keeper_start(path, f->report, &warning);
    assert_true(f->keeper != NULL && warning != NULL);
    assert_non_null(strstr(warning, path));
    free(warning);
    assert_false(stats(f).on_disk);
    add(f, 1);
    await_saves(f, 1);
    struct keeper_job job = job_of(&answer);
    assert_true(keeper_submit(f->keeper, &job));
    await_answers(&answer, 1);
    assert_true(json_array_size(json_object_get(route_of(&answer), "samples")) > 0);
    json_decref(answer.json);
}

static void forgotten_stays_forgotten(void **state)
{
    struct fixture *f = *state;
    start_in(f, f->directory);
    add(f, 5);
    await_saves(f, 1);
    keeper_forget(f->keeper, "orders");
    assert_int_equal(compared(f), 0);
    add(f, 2); /* after it, within the same second */
    restart(f);
    assert_int_equal(compared(f), 2);
    keeper_forget(f->keeper, NULL);
    restart(f);
    assert_int_equal(compared(f), 0);
}

/* ---- values that may not be shown any more ---- */

static void veil(struct fixture *f, enum config_sample_values values)
{
    const struct report_veil veil = {"orders", values};
    assert_true(keeper_veil(f->keeper, &veil, 1));
}

static void add_telling(struct fixture *f)
{
    struct pair *pair = test_json_pair(&f->route, "{\"a\":\"OURS-77\"}", "{\"a\":\"THEIRS-77\"}");
    report_add(f->report, pair, compare_pair(f->compare, pair));
    pair_free(pair);
}

/* Does any of it, examples or samples, show a value? */
static bool shows_values(struct fixture *f)
{
    struct answer answer = {0};
    const struct keeper_job job = {.samples = 5, .format = "json", .done = on_done, .context = &answer};
    assert_true(keeper_submit(f->keeper, &job));
    await_answers(&answer, 1);
    char *text = json_dumps(answer.json, JSON_COMPACT);
    bool shows = strstr(text, "OURS-77") != NULL || strstr(text, "THEIRS-77") != NULL;
    free(text);
    json_decref(answer.json);
    return shows;
}

static bool file_contains(const struct fixture *f, const char *name, const char *text)
{
    char path[128], *at = NULL;
    size_t size = 0;
    snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    FILE *file = fopen(path, "rb"), *copy = open_memstream(&at, &size);
    assert_non_null(copy);
    for (int c; file != NULL && (c = fgetc(file)) != EOF;)
        fputc(c, copy);
    if (file != NULL)
        fclose(file);
    fclose(copy);
    bool found = memmem(at, size, text, strlen(text)) != NULL;
    free(at);
    return found;
}

static bool is_on_disk(const struct fixture *f)
{
    return file_contains(f, "shadow.db", "OURS-77") || file_contains(f, "shadow.db-wal", "OURS-77");
}

static void await_note(struct fixture *f)
{
    for (int i = 0; i < 20000; i++) {
        char *note = keeper_note(f->keeper);
        bool noted = note != NULL && strstr(note, "orders") != NULL;
        free(note);
        if (noted)
            return;
        nap();
    }
    fail_msg("nothing was said");
}

static void less_than_before_is_deleted_at_once(void **state)
{
    struct fixture *f = *state;
    f->route.route.shadow.samples.values = SAMPLES_FULL;
    start_in(f, f->directory);
    veil(f, SAMPLES_FULL);
    add_telling(f);
    await_saves(f, 1);
    assert_true(shows_values(f));
    assert_true(is_on_disk(f));
    assert_null(keeper_note(f->keeper));
    veil(f, SAMPLES_REDACTED);
    assert_false(shows_values(f)); /* before the next save, too */
    add_telling(f);                /* it was sent before */
    assert_false(shows_values(f));
    await_note(f);
    assert_int_equal(compared(f), 2);
    stop(f);
    assert_false(is_on_disk(f));
    start_in(f, f->directory);
    assert_int_equal(compared(f), 2);
    assert_false(shows_values(f));
}

/* There is nothing to keep before the first pair; what that one shows was made as the file says. */
static void in_memory_the_first_pair_is_the_beginning(void **state)
{
    struct fixture *f = *state;
    f->route.route.shadow.samples.values = SAMPLES_FULL;
    start_in(f, NULL);
    veil(f, SAMPLES_FULL);
    assert_false(shows_values(f));
    assert_int_equal(stats(f).saves, 0);
    add_telling(f);
    assert_true(shows_values(f));
    assert_int_equal(stats(f).saves, 1);
    assert_true(stats(f).samples_kept > 0);
    assert_null(keeper_note(f->keeper));
    veil(f, SAMPLES_REDACTED);
    assert_false(shows_values(f));
    await_note(f);
}

/* Examples that are not older than what may be shown are not taken for more. */
static void in_memory_examples_of_the_first_pair_stay(void **state)
{
    struct fixture *f = *state;
    f->route.route.shadow.samples.values = SAMPLES_REDACTED;
    start_in(f, NULL);
    veil(f, SAMPLES_REDACTED);
    add_telling(f);
    assert_false(shows_values(f));
    assert_int_equal(stats(f).saves, 1);
    assert_null(keeper_note(f->keeper));
}

static void less_than_before_a_restart_is_deleted(void **state)
{
    struct fixture *f = *state;
    f->route.route.shadow.samples.values = SAMPLES_FULL;
    start_in(f, f->directory);
    veil(f, SAMPLES_FULL);
    add_telling(f);
    restart(f);
    veil(f, SAMPLES_FULL);
    assert_true(shows_values(f)); /* as much as before is kept */
    restart(f);
    veil(f, SAMPLES_HASHED);
    await_note(f);
    assert_false(shows_values(f));
    assert_int_equal(compared(f), 1);
    stop(f);
    assert_false(is_on_disk(f));
    start_in(f, f->directory);
}

/* Compare thread, keeper and control at once; the sanitizer looks on. */
static void *add_many(void *context)
{
    add(context, 2000);
    return NULL;
}

static void all_at_once(void **state)
{
    struct fixture *f = *state;
    struct answer answer = {.lock = PTHREAD_MUTEX_INITIALIZER};
    unsigned submitted = 0;
    pthread_t thread;
    start_in(f, f->directory);
    assert_int_equal(pthread_create(&thread, NULL, add_many, f), 0);
    for (int i = 0; i < 200; i++) {
        struct keeper_job job = job_of(&answer);
        submitted += keeper_submit(f->keeper, &job);
        (void)stats(f);
        nap();
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    await_answers(&answer, submitted);
    json_decref(answer.json);
    restart(f);
    assert_int_equal(compared(f), 2000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_is_made_once_and_completed),
        TEST(an_unknown_route_is_told),
        TEST(jobs_are_bounded_and_dropped_at_the_end),
        TEST(an_end_does_not_wait_for_ever),
        TEST(a_restart_keeps_everything),
        TEST(idle_writes_nothing),
        TEST(a_locked_file_costs_nothing_but_time),
        TEST(a_removed_file_is_made_again),
        TEST(without_a_directory_that_works_it_is_memory),
        TEST(forgotten_stays_forgotten),
        TEST(less_than_before_is_deleted_at_once),
        TEST(in_memory_the_first_pair_is_the_beginning),
        TEST(in_memory_examples_of_the_first_pair_stay),
        TEST(less_than_before_a_restart_is_deleted),
        TEST(all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
