/*
 * `inject`: shunt into manifests, and out of them. Reads the command line and the files, and tells what was done and
 * what to do next on standard error; asks no shunt and no cluster.
 */
#include "tools/shuntctl/inject.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/shuntctl/command.h"
#include "tools/shuntctl/inject_output.h"

enum {
    PRE_STOP_DEFAULT_S = 5,
    PRE_STOP_MOST_S = 3600,
    PORT_MOST = 65535
};

/* ---- options ---- */

static bool read_number(const char *text, unsigned long least, unsigned long most, unsigned *number)
{
    size_t length = strlen(text);
    unsigned long value = strtoul(text, NULL, 10);
    if (length == 0 || length > 9 || strspn(text, "0123456789") != length || value < least || value > most)
        return false;
    *number = (unsigned)value;
    return true;
}

static int read_port(const struct ctl *ctl, const char *option, const char *text, unsigned *port)
{
    if (text == NULL || read_number(text, 1, PORT_MOST, port))
        return EXIT_DONE;
    return complain(ctl, EXIT_USAGE, "inject: --%s: \"%s\" is no port; expected a number from 1 to %d", option, text,
                    PORT_MOST);
}

struct choice {
    const char *word;
    int value;
};

static int read_choice(const struct ctl *ctl, const char *option, const char *text, const struct choice *choices,
                       size_t count, int *value)
{
    char list[64] = "";
    for (size_t i = 0; i < count; i++) {
        if (text == NULL || strcmp(text, choices[i].word) == 0) {
            *value = text == NULL ? *value : choices[i].value;
            return EXIT_DONE;
        }
        strncat(list, i > 0 ? ", " : "", sizeof(list) - strlen(list) - 1);
        strncat(list, choices[i].word, sizeof(list) - strlen(list) - 1);
    }
    return complain(ctl, EXIT_USAGE, "inject: --%s: there is no \"%s\"; expected one of %s", option, text, list);
}

/* A name as Kubernetes takes it for ConfigMaps and Secrets (RFC 1123, a DNS subdomain). */
static int check_name(const struct ctl *ctl, const char *option, const char *name)
{
    size_t length = name != NULL ? strlen(name) : 1;
    if (name == NULL ||
        (length >= 1 && length <= 253 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == length &&
         strchr("-.", name[0]) == NULL && strchr("-.", name[length - 1]) == NULL))
        return EXIT_DONE;
    return complain(ctl, EXIT_USAGE,
                    "inject: --%s: \"%s\" is no name; expected small letters, digits, \"-\" and \".\" between them",
                    option, name);
}

/* Options that do not go together. NULL: they do. */
static const char *contradiction(const struct options *options)
{
    const struct option_inject *inject = &options->inject;
    bool in_place = inject->in_place;
    for (size_t i = 0; i < inject->file_count; i++)
        if (in_place && strcmp(inject->files[i], "-") == 0)
            return "--in-place needs a file, and -f - is none; leave --in-place out";
    if (inject->file_count == 0)
        return "no manifest; expected -f FILE, or -f - for standard input";
    if (in_place && options->output != NULL)
        return "--in-place and --output are two places; leave one out";
    if (inject->native && inject->classic)
        return "--native and --classic are two ways; leave one out";
    if ((options->config != NULL) + (inject->configmap != NULL) + (options->new != NULL) > 1)
        return "--new, --config and --configmap each say what shunt does; leave two of them out";
    if (inject->no_service && inject->only != NULL && strcmp(inject->only, "pods") != 0)
        return "--no-service is as --only pods, and does not go with another --only";
    return NULL;
}

static int check_image(const struct ctl *ctl, const struct inject_options *settings)
{
    const char *image = settings->image;
    if (image == NULL && (settings->uninject || settings->only == INJECT_SERVICES))
        return EXIT_DONE;
    if (image == NULL)
        return complain(ctl, EXIT_USAGE, "inject: which image? expected --image REGISTRY/shunt:TAG");
    for (const char *at = image; *at != '\0'; at++)
        if (*at <= ' ' || *at >= 0x7f)
            return complain(ctl, EXIT_USAGE,
                            "inject: --image: \"%s\" is no image; expected one such as registry/shunt:0.1.0", image);
    return image[0] != '\0' ? EXIT_DONE
                            : complain(ctl, EXIT_USAGE, "inject: --image is empty; expected REGISTRY/shunt:TAG");
}

static int read_choices(const struct ctl *ctl, struct inject_options *settings)
{
    static const struct choice pauses[] = {
        {"sleep", INJECT_PAUSE_SLEEP}, {"exec", INJECT_PAUSE_EXEC}, {"none", INJECT_PAUSE_NONE}};
    static const struct choice parts[] = {{"pods", INJECT_PODS}, {"services", INJECT_SERVICES}};
    const struct option_inject *inject = &ctl->options.inject;
    int pause = INJECT_PAUSE_DEFAULT, only = inject->no_service ? INJECT_PODS : INJECT_EVERYTHING;
    int code = read_choice(ctl, "app-pre-stop", inject->app_pre_stop, pauses, 3, &pause);
    if (code == EXIT_DONE)
        code = read_choice(ctl, "only", inject->only, parts, 2, &only);
    settings->pause = (enum inject_pause)pause;
    settings->only = (enum inject_only)only;
    return code;
}

static int read_settings(const struct ctl *ctl, const char *const *words, struct inject_options *settings)
{
    const struct options *options = &ctl->options;
    const struct option_inject *inject = &options->inject;
    const char *wrong = contradiction(options);
    if (wrong != NULL)
        return complain(ctl, EXIT_USAGE, "inject: %s", wrong);
    *settings = (struct inject_options){.image = inject->image,
                                        .configmap = inject->configmap,
                                        .new = options->new,
                                        .token_secret = inject->token_secret,
                                        .pre_stop_s = PRE_STOP_DEFAULT_S,
                                        .classic = inject->classic,
                                        .uninject = inject->uninject,
                                        .words = words,
                                        .word_count = options->word_count - 1};
    int code = read_choices(ctl, settings);
    if (code == EXIT_DONE)
        code = read_port(ctl, "port", inject->port, &settings->port);
    if (code == EXIT_DONE)
        code = read_port(ctl, "legacy", options->legacy, &settings->legacy);
    if (code == EXIT_DONE && inject->pre_stop != NULL &&
        !read_number(inject->pre_stop, 0, PRE_STOP_MOST_S, &settings->pre_stop_s))
        code = complain(ctl, EXIT_USAGE, "inject: --pre-stop: \"%s\" is no pause; expected seconds from 0 to %d",
                        inject->pre_stop, PRE_STOP_MOST_S);
    if (code == EXIT_DONE)
        code = check_name(ctl, "configmap", inject->configmap);
    if (code == EXIT_DONE)
        code = check_name(ctl, "token-secret", inject->token_secret);
    return code == EXIT_DONE ? check_image(ctl, settings) : code;
}

/* ---- files ---- */

/* The text of a file or of standard input, malloc'd, with a NUL behind it; NULL with a sentence in *why. */
static char *read_whole(FILE *in, size_t *length, const char **why)
{
    char *text = NULL;
    char piece[65536];
    size_t got;
    FILE *out = open_memstream(&text, length);
    if (out == NULL) {
        *why = "out of memory";
        return NULL;
    }
    while ((got = fread(piece, 1, sizeof(piece), in)) > 0 && ftell(out) <= MANIFEST_BYTES)
        fwrite(piece, 1, got, out);
    *why = ferror(in) ? strerror(errno) : NULL;
    if (fclose(out) != 0)
        *why = "out of memory";
    if (*why == NULL)
        return text;
    free(text);
    return NULL;
}

static char *read_named(const struct ctl *ctl, const char *name, size_t *length)
{
    bool standard = strcmp(name, "-") == 0;
    struct stat found;
    const char *why = NULL;
    FILE *in = standard ? stdin : fopen(name, "re");
    char *text = NULL;
    if (in == NULL)
        why = strerror(errno);
    else if (fstat(fileno(in), &found) == 0 && S_ISDIR(found.st_mode))
        why = "it is a folder; name its files, each with -f";
    else
        text = read_whole(in, length, &why);
    if (in != NULL && !standard)
        fclose(in);
    if (text != NULL && strlen(text) != *length) {
        free(text);
        text = NULL;
        why = "it is no text: it has a byte of value 0";
    }
    if (text == NULL)
        complain(ctl, EXIT_USAGE, "inject: %s cannot be read: %s", standard ? "standard input" : name, why);
    return text;
}

static bool read_manifests(const struct ctl *ctl, struct inject_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = ctl->options.inject.files[i];
        for (size_t before = 0; before < i; before++)
            if (strcmp(ctl->options.inject.files[before], name) == 0) {
                complain(ctl, EXIT_USAGE, "inject: -f %s is given twice; leave one out", name);
                return false;
            }
        files[i].name = strcmp(name, "-") == 0 ? "standard input" : name;
        files[i].text = read_named(ctl, name, &files[i].length);
        if (files[i].text == NULL)
            return false;
    }
    return true;
}

/* ---- what is told ---- */

static int tell_faults(const struct ctl *ctl, const struct manifest_faults *faults)
{
    const struct screen err = {.out = ctl->err};
    for (size_t i = 0; i < faults->count; i++)
        screen_print(&err, TONE_PLAIN, "%s\n", faults->lines[i]);
    if (faults->no_memory)
        return complain(ctl, EXIT_REFUSED, "out of memory; nothing is written");
    return complain(ctl, EXIT_REFUSED, "inject: %zu fault%s; nothing is written", faults->count,
                    faults->count == 1 ? "" : "s");
}

static const char *in_namespace(struct inject *inject, const struct inject_object *object)
{
    return object->namespace != NULL ? inject_print(inject, " -n %s", object->namespace) : "";
}

static void tell_next(const struct ctl *ctl, struct inject *inject, const struct inject_object *object)
{
    const struct screen err = {.out = ctl->err};
    const char *namespace = in_namespace(inject, object);
    enum inject_only only = inject->options.only;
    if (only == INJECT_SERVICES)
        return;
    screen_print(&err, TONE_PLAIN,
                 "next, once: kubectl create secret generic %s%s --from-literal=token=\"$(openssl rand -hex 20)\"\n",
                 inject_secret_name(inject, object), namespace);
    if (!object->workload->serves)
        return;
    if (only == INJECT_PODS)
        screen_print(
            &err, TONE_PLAIN,
            "next: apply this, wait for kubectl rollout status %s%s, and then apply it without --only pods: a pod "
            "without shunt has nobody at port %u\n",
            object->id, namespace, object->port);
    else
        screen_print(
            &err, TONE_PLAIN,
            "next: where %s serves already, apply what --only pods makes first, wait for kubectl rollout status "
            "%s%s, and then apply this\n",
            object->id, object->id, namespace);
}

static bool changes(const struct inject *inject)
{
    for (size_t i = 0; i < inject->file_count; i++)
        if (inject->files[i].changed)
            return true;
    return false;
}

static void tell_done(const struct ctl *ctl, struct inject *inject)
{
    const struct screen err = {.out = ctl->err};
    for (size_t i = 0; i < inject->note_count; i++)
        screen_print(&err, TONE_PLAIN, "%s\n", inject->notes[i]);
    if (inject->options.uninject && !changes(inject))
        screen_print(&err, TONE_PLAIN, "there was no shunt to take out\n");
    if (inject->options.uninject)
        return;
    for (const struct inject_object *object = inject->objects; object != NULL; object = object->next)
        if (object->chosen)
            tell_next(ctl, inject, object);
}

/* ---- all of it ---- */

static int inject_files(struct ctl *ctl, struct inject *inject)
{
    if (!inject_run(inject))
        return tell_faults(ctl, &inject->faults);
    int code = inject_write(ctl, inject);
    if (code == EXIT_DONE)
        tell_done(ctl, inject);
    return code;
}

int run_inject(struct ctl *ctl, const struct command *command, const char *const *words)
{
    struct inject_file files[OPTIONS_FILES] = {{.name = NULL}};
    struct inject inject = {.files = files, .file_count = ctl->options.inject.file_count};
    size_t length = 0;
    char *config = NULL;
    (void)command;
    int code = read_settings(ctl, words, &inject.options);
    if (code != EXIT_DONE)
        return code;
    inject.faults.arena = config_arena_new();
    bool good = inject.faults.arena != NULL && read_manifests(ctl, files, inject.file_count);
    if (good && ctl->options.config != NULL) {
        config = read_named(ctl, ctl->options.config, &length);
        inject.options.config_name = ctl->options.config;
        inject.options.config_text = config;
        good = config != NULL;
    }
    code = good ? inject_files(ctl, &inject) : EXIT_USAGE;
    for (size_t i = 0; i < inject.file_count; i++)
        free((char *)files[i].text);
    free(config);
    config_arena_free(inject.faults.arena);
    return code;
}
