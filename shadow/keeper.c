/*
 * Keeps the report: a thread that brings to the disk what has changed, once a second, and makes the pages people ask
 * for.
 *
 * Everything of SQLite and every large text belongs to this thread; control hands over jobs under the lock and gets the
 * finished text through the job's `done`. One job at a time, so that what a report takes in memory is taken once. A
 * second in which nothing has changed opens no transaction and touches no file. A save that fails changes nothing: the
 * report is told that everything is changed again, samples wait here, and it is tried again, at longer intervals the
 * longer it fails. In memory only samples are stored: of totals the report itself is all there is. So there is no
 * archive in memory before the first pair, and a process that mirrors nothing has nothing of SQLite resident.
 */
#include "shadow/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shadow/archive.h"
#include "shadow/archive_file.h"
#include "shadow/export.h"
#include "shadow/report_fleet.h"

enum {
    SAVE_MS = 1000,
    SAVE_LATE_MS = 16000, /* the longest wait after failures */
    PRUNE_MS = 60000,
    JOBS_MOST = 8,
    FORGET_MOST = 64, /* routes; beyond it everything stored is put anew */
    KEEP_NICE = 10,
};

struct keeper {
    struct report *report; /* borrowed; locks itself */
    pthread_t thread;
    /* The thread's: */
    struct archive *archive; /* owned; NULL: in memory, and nothing has been compared */
    char *directory;         /* owned; NULL: in memory */
    json_t *samples;         /* owned: taken from the report, not stored yet; NULL: none */
    bool begun;              /* a transaction is open */
    bool veiled;             /* the file's veils have been looked at since the start */
    bool fallen;             /* the file was lost and cannot be opened again yet: `archive` is in memory meanwhile */
    bool failing;
    uint64_t wait_ms; /* until the next save */
    uint64_t save_at_ms, prune_at_ms;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t wanted, ended;
        struct keeper_job jobs[JOBS_MOST]; /* a queue; routes are owned */
        unsigned first, count;
        char *forget[FORGET_MOST]; /* owned */
        unsigned forget_count;
        bool forget_all;
        struct report_veil *veils; /* owned */
        uint32_t veil_count;
        bool veils_due;      /* are to be looked at with the next save */
        bool veils_replaced; /* they are not the first */
        bool stopping, over;
        struct keeper_stats stats;
        char *fault; /* owned */
        char *note;  /* owned */
    } shared;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct timespec at(uint64_t ms)
{
    return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
}

/* ---- one save ---- */

/* The first thing to be stored opens the transaction; where nothing has changed there is none. */
static bool begin(struct keeper *keeper)
{
    if (!keeper->begun)
        keeper->begun = archive_begin(keeper->archive);
    return keeper->begun;
}

/* Each record goes to the archive once the transaction is open. */
#define PUT(noun)                                                                                                      \
    static bool put_##noun(void *context, const struct record_##noun *record)                                          \
    {                                                                                                                  \
        struct keeper *keeper = context;                                                                               \
        const struct record_sink *sink = archive_sink(keeper->archive);                                                \
        return begin(keeper) && sink->noun(sink->context, record);                                                     \
    }
PUT(cell)
PUT(field)
PUT(group)
PUT(bucket)
PUT(rule)
#undef PUT

struct forgotten {
    char *routes[FORGET_MOST];
    unsigned count;
    bool all;
};

static struct forgotten take_forgotten(struct keeper *keeper)
{
    struct forgotten forgotten;
    pthread_mutex_lock(&keeper->shared.lock);
    forgotten.all = keeper->shared.forget_all;
    forgotten.count = keeper->shared.forget_count;
    memcpy(forgotten.routes, keeper->shared.forget, sizeof(forgotten.routes));
    keeper->shared.forget_all = false;
    keeper->shared.forget_count = 0;
    pthread_mutex_unlock(&keeper->shared.lock);
    return forgotten;
}

/* They are forgotten on disk, or will be with the next try. */
static void settle_forgotten(struct keeper *keeper, struct forgotten *forgotten, bool done)
{
    pthread_mutex_lock(&keeper->shared.lock);
    keeper->shared.forget_all |= forgotten->all && !done;
    for (unsigned i = 0; i < forgotten->count; i++) {
        if (!done && keeper->shared.forget_count < FORGET_MOST)
            keeper->shared.forget[keeper->shared.forget_count++] = forgotten->routes[i];
        else
            free(forgotten->routes[i]);
    }
    pthread_mutex_unlock(&keeper->shared.lock);
}

/* Samples that wait to be stored are of what was before. */
static void drop_samples(struct keeper *keeper, const char *route)
{
    for (size_t i = json_array_size(keeper->samples); i-- > 0;) {
        const char *its = json_string_value(json_object_get(json_array_get(keeper->samples, i), "route"));
        if (route == NULL || (its != NULL && strcmp(its, route) == 0))
            json_array_remove(keeper->samples, i);
    }
}

static bool forget_stored(struct keeper *keeper, const struct forgotten *forgotten)
{
    if (!forgotten->all && forgotten->count == 0)
        return true;
    bool done = begin(keeper);
    if (forgotten->all) {
        drop_samples(keeper, NULL);
        done = done && archive_forget(keeper->archive, NULL);
    }
    for (unsigned i = 0; i < forgotten->count; i++) {
        drop_samples(keeper, forgotten->routes[i]);
        done = done && archive_forget(keeper->archive, forgotten->routes[i]);
    }
    /* Something newer than the forgetting may have been stored a moment before it. */
    report_save_again(keeper->report);
    return done;
}

/* ---- veils ---- */

static void note_veiled(struct keeper *keeper, const char *route, uint64_t samples)
{
    char *note;
    archive_say(&note,
                "route %s: samples.values allows less than before: %llu stored samples and all examples of values were "
                "deleted; counts and names of fields stay",
                route, (unsigned long long)samples);
    pthread_mutex_lock(&keeper->shared.lock);
    free(keeper->shared.note);
    keeper->shared.note = note;
    pthread_mutex_unlock(&keeper->shared.lock);
}

/* Of a file that does not know what was allowed, everything is taken for full values; a file that was made by this very
 * keeper holds nothing else than what it was given. */
static bool veil_route(struct keeper *keeper, const struct report_veil *veil)
{
    enum config_sample_values before = SAMPLES_FULL;
    bool known;
    uint64_t deleted, emptied = 0;
    if (!archive_values(keeper->archive, veil->route, &before, &known))
        return begin(keeper) && false; /* the commit tells why */
    if (known && before == veil->values)
        return true; /* writes nothing */
    if (!begin(keeper) || !archive_veil(keeper->archive, veil->route, veil->values, &deleted))
        return false;
    bool less = report_tells_more(before, veil->values);
    if (less && (known || !keeper->veiled))
        emptied = report_forget_examples(keeper->report, veil->route);
    if (deleted + emptied > 0 || (known && less))
        note_veiled(keeper, veil->route, deleted);
    return true;
}

static bool put_veils(struct keeper *keeper)
{
    pthread_mutex_lock(&keeper->shared.lock);
    uint32_t count = keeper->shared.veil_count;
    bool due = keeper->shared.veils_due;
    struct report_veil *veils = due ? report_veils_copy(keeper->shared.veils, count) : NULL;
    keeper->shared.veils_due = false;
    pthread_mutex_unlock(&keeper->shared.lock);
    bool done = !due || veils != NULL;
    for (uint32_t i = 0; veils != NULL && i < count && done; i++)
        done = veil_route(keeper, &veils[i]);
    report_veils_free(veils, count);
    keeper->veiled |= due && done && count > 0;
    return done;
}

static void settle_veils(struct keeper *keeper, bool kept)
{
    if (kept)
        return;
    pthread_mutex_lock(&keeper->shared.lock);
    keeper->shared.veils_due = keeper->shared.veils != NULL;
    pthread_mutex_unlock(&keeper->shared.lock);
}

static bool put_records(struct keeper *keeper)
{
    const struct record_sink sink = {keeper, put_cell, put_field, put_group, put_bucket, put_rule};
    return keeper->directory == NULL || keeper->fallen || report_save_changes(keeper->report, &sink);
}

/* May it still be shown, whatever was allowed when it was made? */
static bool may_show(struct keeper *keeper, const char *route, const json_t *sample)
{
    const char *name = json_string_value(json_object_get(sample, "values"));
    enum config_sample_values values = name == NULL                    ? SAMPLES_FULL
                                       : strcmp(name, "redacted") == 0 ? SAMPLES_REDACTED
                                       : strcmp(name, "hashed") == 0   ? SAMPLES_HASHED
                                                                       : SAMPLES_FULL;
    return route != NULL && report_may_show(keeper->report, route, values);
}

static void put_sample(struct keeper *keeper, const json_t *entry)
{
    const char *route = json_string_value(json_object_get(entry, "route"));
    if (may_show(keeper, route, json_object_get(entry, "sample")))
        (void)archive_put_sample(keeper->archive, entry);
}

static bool put_samples(struct keeper *keeper)
{
    if (keeper->samples == NULL)
        keeper->samples = report_take_samples(keeper->report);
    if (json_array_size(keeper->samples) == 0)
        return true;
    bool done = begin(keeper);
    for (size_t i = 0; i < json_array_size(keeper->samples) && done; i++)
        put_sample(keeper, json_array_get(keeper->samples, i));
    return done;
}

/* Takes `fault`. */
static void note_failure(struct keeper *keeper, char *fault)
{
    keeper->wait_ms = keeper->wait_ms * 2 < SAVE_LATE_MS ? keeper->wait_ms * 2 : SAVE_LATE_MS;
    report_save_again(keeper->report);
    pthread_mutex_lock(&keeper->shared.lock);
    keeper->shared.stats.save_failures++;
    if (!keeper->failing) {
        free(keeper->shared.fault);
        keeper->shared.fault = fault;
        fault = NULL;
    }
    pthread_mutex_unlock(&keeper->shared.lock);
    keeper->failing = true;
    free(fault);
}

static void note_success(struct keeper *keeper)
{
    uint64_t stored = json_array_size(keeper->samples);
    json_decref(keeper->samples);
    keeper->samples = NULL;
    keeper->failing = false;
    keeper->wait_ms = SAVE_MS;
    pthread_mutex_lock(&keeper->shared.lock);
    keeper->shared.stats.saves++;
    keeper->shared.stats.samples_kept += stored;
    pthread_mutex_unlock(&keeper->shared.lock);
}

/* Takes `fault`. */
static void tell(struct keeper *keeper, char *fault)
{
    pthread_mutex_lock(&keeper->shared.lock);
    free(keeper->shared.fault);
    keeper->shared.fault = fault;
    keeper->shared.stats.on_disk = !keeper->fallen && keeper->directory != NULL;
    pthread_mutex_unlock(&keeper->shared.lock);
}

/* A file that is damaged, or that somebody has removed, is replaced, and all of the report is stored again; where that
 * cannot be done, samples are kept in memory until it can. False without memory. */
static bool renew(struct keeper *keeper)
{
    char *warning, *error;
    if (!keeper->fallen && !archive_is_lost(keeper->archive))
        return true;
    if (!keeper->fallen)
        archive_close(keeper->archive);
    struct archive *archive = archive_open(keeper->directory, &warning, &error);
    bool fell = archive == NULL && !keeper->fallen;
    if (archive != NULL && keeper->fallen)
        archive_close(keeper->archive);
    if (archive != NULL)
        keeper->archive = archive;
    keeper->fallen = archive == NULL;
    if (archive != NULL)
        report_save_again(keeper->report);
    if (archive != NULL || fell) {
        settle_veils(keeper, false);
        tell(keeper, warning != NULL ? warning : error);
    } else {
        free(error);
    }
    if (fell)
        keeper->archive = archive_open(NULL, &warning, &error);
    return keeper->archive != NULL;
}

static bool use_memory(struct keeper *keeper)
{
    char *warning, *error;
    archive_close(keeper->archive);
    free(keeper->directory);
    keeper->directory = NULL;
    keeper->archive = archive_open(NULL, &warning, &error);
    free(error);
    return keeper->archive != NULL;
}

/* An archive in memory is opened when there is something to keep, and knows then what the first pairs were allowed to
 * tell. False: there is nothing, or no memory. */
static bool awake(struct keeper *keeper)
{
    if (keeper->archive != NULL || keeper->directory != NULL)
        return true;
    if (report_is_empty(keeper->report))
        return false;
    pthread_mutex_lock(&keeper->shared.lock);
    keeper->veiled = !keeper->shared.veils_replaced;
    pthread_mutex_unlock(&keeper->shared.lock);
    return use_memory(keeper);
}

/* All that has changed, in one transaction. */
static void save(struct keeper *keeper)
{
    char *fault = NULL;
    if (!awake(keeper) || !renew(keeper))
        return;
    struct forgotten forgotten = take_forgotten(keeper);
    keeper->begun = false;
    bool put = forget_stored(keeper, &forgotten);
    put = put && put_veils(keeper) && put_records(keeper) && put_samples(keeper);
    bool kept = put;
    if (keeper->begun || !put)
        kept = archive_commit(keeper->archive, &fault) && put;
    settle_forgotten(keeper, &forgotten, kept);
    settle_veils(keeper, kept);
    if (!kept)
        note_failure(keeper, fault);
    else if (keeper->begun)
        note_success(keeper);
    else
        keeper->failing = false;
    keeper->begun = false;
}

static void prune(struct keeper *keeper)
{
    keeper->prune_at_ms = now_ms() + PRUNE_MS;
    if (keeper->archive != NULL)
        (void)archive_prune(keeper->archive, wall_ms()); /* what fails here fails in the next save, which tells it */
}

/* ---- one job ---- */

static bool add_samples(struct keeper *keeper, json_t *routes, const struct keeper_job *job)
{
    bool wanted = job->samples > 0 && keeper->archive != NULL;
    json_t *samples = wanted ? archive_samples(keeper->archive, job->route, job->samples) : NULL;
    json_t *route, *sample;
    size_t i, k;
    json_array_foreach(routes, i, route)
    {
        json_t *its = json_array();
        json_array_foreach(samples, k, sample)
        {
            if (json_equal(json_object_get(sample, "route"), json_object_get(route, "route")) &&
                json_equal(json_object_get(sample, "primary"), json_object_get(route, "primary")) &&
                may_show(keeper, json_string_value(json_object_get(route, "route")), sample))
                json_array_append(its, sample);
        }
        if (json_object_set_new(route, "samples", its) != 0) {
            json_decref(samples);
            return false;
        }
    }
    json_decref(samples);
    return true;
}

static void add_reasons(json_t *routes, const json_t *mirror)
{
    json_t *route;
    size_t i;
    json_array_foreach(routes, i, route)
    {
        const char *name = json_string_value(json_object_get(route, "route"));
        const char *primary = json_string_value(json_object_get(route, "primary"));
        json_t *reasons =
            name != NULL && primary != NULL ? json_object_get(json_object_get(mirror, name), primary) : NULL;
        if (reasons != NULL)
            json_object_set(route, "not_mirrored", reasons);
    }
}

static bool complete(struct keeper *keeper, json_t *report, const struct keeper_job *job)
{
    json_t *routes = json_object_get(report, "routes");
    if (json_object_get(report, "generated_at_ms") == NULL &&
        json_object_set_new(report, "generated_at_ms", json_integer((json_int_t)wall_ms())) != 0)
        return false;
    if (json_object_get(report, "version") == NULL &&
        json_object_set_new(report, "version", json_string(SHUNT_VERSION)) != 0)
        return false;
    if (job->fleet != NULL)
        return true;
    add_reasons(routes, job->mirror);
    return add_samples(keeper, routes, job);
}

static void do_job(struct keeper *keeper, const struct keeper_job *job)
{
    const struct export_format *format = export_find(job->format);
    json_t *report = job->fleet != NULL ? report_fleet_json(keeper->report, job->fleet, job->route, job->samples)
                                        : report_json(keeper->report, job->route);
    bool known = report != NULL || job->route == NULL;
    char *text = NULL;
    if (report != NULL && format != NULL && complete(keeper, report, job))
        text = format->make(report);
    json_decref(report);
    job->done(job->context, text, text != NULL ? strlen(text) : 0, known);
}

/* Those of the job that are the keeper's. */
static void job_done(struct keeper_job *job)
{
    free((char *)job->route);
    json_decref(job->mirror);
    json_decref(job->fleet);
}

/* ---- the thread ---- */

/* With the lock held: until there is a job, a save is due, or it is to end. */
static void await_work(struct keeper *keeper)
{
    struct timespec until = at(keeper->save_at_ms);
    while (keeper->shared.count == 0 && !keeper->shared.stopping && now_ms() < keeper->save_at_ms)
        pthread_cond_timedwait(&keeper->shared.wanted, &keeper->shared.lock, &until);
}

static bool take_job(struct keeper *keeper, struct keeper_job *job)
{
    if (keeper->shared.count == 0)
        return false;
    *job = keeper->shared.jobs[keeper->shared.first];
    keeper->shared.first = (keeper->shared.first + 1) % JOBS_MOST;
    keeper->shared.count--;
    return true;
}

static void save_if_due(struct keeper *keeper)
{
    if (now_ms() < keeper->save_at_ms)
        return;
    save(keeper);
    keeper->save_at_ms = now_ms() + keeper->wait_ms;
    if (now_ms() >= keeper->prune_at_ms)
        prune(keeper);
}

/* Who asks for samples gets those of the pairs that are counted in the same answer, not those of a second ago. */
static void save_before(struct keeper *keeper, const struct keeper_job *job)
{
    if (job->samples > 0 && !keeper->failing)
        keeper->save_at_ms = now_ms();
    save_if_due(keeper);
}

static void *run(void *argument)
{
    struct keeper *keeper = argument;
    struct keeper_job job;
    pthread_setname_np(pthread_self(), "report");
    id_t self = (id_t)syscall(SYS_gettid);
    setpriority(PRIO_PROCESS, self, getpriority(PRIO_PROCESS, self) + KEEP_NICE);
    pthread_mutex_lock(&keeper->shared.lock);
    for (;;) {
        await_work(keeper);
        if (keeper->shared.stopping)
            break;
        bool has_job = take_job(keeper, &job);
        pthread_mutex_unlock(&keeper->shared.lock);
        if (has_job) {
            save_before(keeper, &job);
            do_job(keeper, &job);
            job_done(&job);
        }
        save_if_due(keeper); /* however many ask for pages */
        pthread_mutex_lock(&keeper->shared.lock);
    }
    pthread_mutex_unlock(&keeper->shared.lock);
    save(keeper);
    pthread_mutex_lock(&keeper->shared.lock);
    keeper->shared.over = true;
    pthread_cond_signal(&keeper->shared.ended);
    pthread_mutex_unlock(&keeper->shared.lock);
    return NULL;
}

/* ---- starting and stopping ---- */

#define RESTORE(noun)                                                                                                  \
    static bool restore_##noun(void *report, const struct record_##noun *record)                                       \
    {                                                                                                                  \
        return report_restore_##noun(report, record);                                                                  \
    }
RESTORE(cell)
RESTORE(field)
RESTORE(group)
RESTORE(bucket)
RESTORE(rule)
#undef RESTORE

/* False with a sentence: what is stored cannot be read, and must not be overwritten. */
static bool load(struct keeper *keeper, char **warning)
{
    const struct record_sink sink = {keeper->report, restore_cell,   restore_field,
                                     restore_group,  restore_bucket, restore_rule};
    uint64_t refused;
    char *error;
    if (!archive_load(keeper->archive, &sink, &refused, &error)) {
        free(*warning);
        *warning = error;
        return false;
    }
    if (refused > 0 && *warning == NULL)
        archive_say(warning,
                    "state directory %s: %llu rows of shadow.db could not be taken back into the shadow report and are "
                    "left out",
                    keeper->directory, (unsigned long long)refused);
    return true;
}

/* False without memory. */
static bool open_archive(struct keeper *keeper, const char *directory, char **warning)
{
    char *error = NULL;
    if (directory == NULL)
        return true;
    keeper->directory = strdup(directory);
    if (keeper->directory == NULL)
        return false;
    keeper->archive = archive_open(directory, warning, &error);
    if (keeper->archive == NULL) {
        free(*warning);
        *warning = error;
        return use_memory(keeper);
    }
    if (load(keeper, warning))
        return true;
    report_reset(keeper->report, NULL);
    return use_memory(keeper);
}

static void keeper_free(struct keeper *keeper)
{
    for (; keeper->shared.count > 0; keeper->shared.count--) {
        job_done(&keeper->shared.jobs[keeper->shared.first]);
        keeper->shared.first = (keeper->shared.first + 1) % JOBS_MOST;
    }
    while (keeper->shared.forget_count > 0)
        free(keeper->shared.forget[--keeper->shared.forget_count]);
    archive_close(keeper->archive);
    json_decref(keeper->samples);
    free(keeper->directory);
    free(keeper->shared.fault);
    free(keeper->shared.note);
    report_veils_free(keeper->shared.veils, keeper->shared.veil_count);
    pthread_cond_destroy(&keeper->shared.ended);
    pthread_cond_destroy(&keeper->shared.wanted);
    pthread_mutex_destroy(&keeper->shared.lock);
    free(keeper);
}

static void init_monotonic(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Signals are control's: the thread takes none. */
static bool start_thread(struct keeper *keeper)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return false;
    int fault = pthread_create(&keeper->thread, NULL, run, keeper);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return fault == 0;
}

struct keeper *keeper_start(const char *directory, struct report *report, char **warning)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    *warning = NULL;
    if (keeper == NULL)
        return NULL;
    keeper->report = report;
    report_forget_veils(report);
    pthread_mutex_init(&keeper->shared.lock, NULL);
    init_monotonic(&keeper->shared.wanted);
    init_monotonic(&keeper->shared.ended);
    keeper->wait_ms = SAVE_MS;
    keeper->save_at_ms = now_ms() + SAVE_MS;
    keeper->prune_at_ms = now_ms();
    bool opened = open_archive(keeper, directory, warning);
    keeper->shared.stats.on_disk = opened && keeper->directory != NULL;
    if (opened && start_thread(keeper))
        return keeper;
    free(*warning);
    *warning = NULL;
    keeper_free(keeper);
    return NULL;
}

bool keeper_stop(struct keeper *keeper, uint64_t wait_ms)
{
    if (keeper == NULL)
        return true;
    struct timespec until = at(now_ms() + wait_ms);
    pthread_mutex_lock(&keeper->shared.lock);
    keeper->shared.stopping = true;
    pthread_cond_signal(&keeper->shared.wanted);
    while (!keeper->shared.over &&
           pthread_cond_timedwait(&keeper->shared.ended, &keeper->shared.lock, &until) != ETIMEDOUT)
        ;
    bool over = keeper->shared.over;
    pthread_mutex_unlock(&keeper->shared.lock);
    if (!over) {
        pthread_detach(keeper->thread);
        return false;
    }
    pthread_join(keeper->thread, NULL);
    keeper_free(keeper);
    return true;
}

/* ---- control's side ---- */

bool keeper_submit(struct keeper *keeper, const struct keeper_job *job)
{
    char *route = NULL;
    if (keeper == NULL || (job->route != NULL && (route = strdup(job->route)) == NULL))
        return false;
    pthread_mutex_lock(&keeper->shared.lock);
    bool taken = keeper->shared.count < JOBS_MOST && !keeper->shared.stopping;
    if (taken) {
        struct keeper_job *place = &keeper->shared.jobs[(keeper->shared.first + keeper->shared.count++) % JOBS_MOST];
        *place = *job;
        place->route = route;
        pthread_cond_signal(&keeper->shared.wanted);
    }
    pthread_mutex_unlock(&keeper->shared.lock);
    if (!taken)
        free(route);
    return taken;
}

/* With the lock held. Without room or memory everything stored goes: the report itself is put anew after that, and only
 * samples of other routes are lost. */
static void note_forgotten(struct keeper *keeper, const char *route)
{
    char *copy = route != NULL && keeper->shared.forget_count < FORGET_MOST ? strdup(route) : NULL;
    if (copy != NULL)
        keeper->shared.forget[keeper->shared.forget_count++] = copy;
    else
        keeper->shared.forget_all = true;
}

void keeper_forget(struct keeper *keeper, const char *route)
{
    if (keeper == NULL)
        return;
    report_reset(keeper->report, route);
    pthread_mutex_lock(&keeper->shared.lock);
    note_forgotten(keeper, route);
    pthread_mutex_unlock(&keeper->shared.lock);
}

bool keeper_veil(struct keeper *keeper, const struct report_veil *veils, uint32_t count)
{
    if (keeper == NULL)
        return true;
    struct report_veil *copy = report_veils_copy(veils, count);
    if (copy == NULL || !report_set_veils(keeper->report, veils, count)) {
        report_veils_free(copy, count);
        return false;
    }
    pthread_mutex_lock(&keeper->shared.lock);
    keeper->shared.veils_replaced = keeper->shared.veils != NULL;
    report_veils_free(keeper->shared.veils, keeper->shared.veil_count);
    keeper->shared.veils = copy;
    keeper->shared.veil_count = count;
    keeper->shared.veils_due = true;
    pthread_mutex_unlock(&keeper->shared.lock);
    return true;
}

void keeper_stats(struct keeper *keeper, struct keeper_stats *stats)
{
    *stats = (struct keeper_stats){0};
    if (keeper == NULL)
        return;
    pthread_mutex_lock(&keeper->shared.lock);
    *stats = keeper->shared.stats;
    pthread_mutex_unlock(&keeper->shared.lock);
}

static char *take_sentence(struct keeper *keeper, char **from)
{
    pthread_mutex_lock(&keeper->shared.lock);
    char *sentence = *from;
    *from = NULL;
    pthread_mutex_unlock(&keeper->shared.lock);
    return sentence;
}

char *keeper_fault(struct keeper *keeper)
{
    return keeper != NULL ? take_sentence(keeper, &keeper->shared.fault) : NULL;
}

char *keeper_note(struct keeper *keeper)
{
    return keeper != NULL ? take_sentence(keeper, &keeper->shared.note) : NULL;
}
