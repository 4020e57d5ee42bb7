/*
 * Shunt in manifests: every way of writing them comes back byte for byte, doing it twice is doing it once, and what
 * cannot be done well is refused with its place and a remedy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "tools/shuntctl/inject.h"

#define FIXTURES "tests/tools/manifests/"

/* ---- running it ---- */

struct made {
    struct inject inject;
    struct inject_file files[2];
    bool good;
};

static const struct inject_options plain = {
    .image = "registry/shunt:0.1.0", .new = "http://orders-v2:80", .pre_stop_s = 5};

static struct made run_two(const struct inject_options *options, const char *first, size_t length, const char *second)
{
    struct made made = {.inject.options = *options};
    made.files[0] = (struct inject_file){.name = "a.yaml", .text = first, .length = length};
    made.files[1] =
        (struct inject_file){.name = "b.yaml", .text = second, .length = second != NULL ? strlen(second) : 0};
    made.inject.files = made.files;
    made.inject.file_count = second != NULL ? 2 : 1;
    made.inject.faults.arena = config_arena_new();
    assert_non_null(made.inject.faults.arena);
    made.good = inject_run(&made.inject);
    assert_false(made.inject.faults.no_memory);
    assert_int_equal(made.good, made.inject.faults.count == 0);
    return made;
}

static struct made run(const struct inject_options *options, const char *text, size_t length)
{
    return run_two(options, text, length, NULL);
}

static void done(struct made *made)
{
    config_arena_free(made->inject.faults.arena);
}

static void assert_made(const struct made *made, const char *name)
{
    if (!made->good)
        fail_msg("%s: %s", name, made->inject.faults.lines[0]);
}

static void assert_text(const struct inject_file *file, const char *text, size_t length, const char *name)
{
    if (file->made_length != length || memcmp(file->made, text, length) != 0)
        fail_msg("%s: these bytes differ:\n%.*s\n---- from\n%.*s", name, (int)file->made_length, file->made,
                 (int)length, text);
}

static bool notes_have(const struct made *made, const char *part)
{
    for (size_t i = 0; i < made->inject.note_count; i++)
        if (strstr(made->inject.notes[i], part) != NULL)
            return true;
    return false;
}

/* ---- every way of writing ---- */

static char *read_file(const char *path, size_t *length)
{
    FILE *in = fopen(path, "rb");
    char *text = malloc(64 * 1024);
    assert_non_null(in);
    assert_non_null(text);
    *length = fread(text, 1, 64 * 1024 - 1, in);
    text[*length] = '\0';
    fclose(in);
    return text;
}

static bool completes(const char *path)
{
    return strstr(path, "job.yaml") != NULL;
}

static const struct inject_options ways[] = {
    {.image = "registry/shunt:0.1.0", .new = "http://orders-v2:80", .pre_stop_s = 5},
    {.image = "registry/shunt:0.2.0",
     .configmap = "mine",
     .legacy = 3001,
     .port = 8081,
     .pre_stop_s = 60,
     .classic = true},
    {.image = "shunt", .new = "https://v2", .pre_stop_s = 0, .only = INJECT_PODS},
    {.image = "shunt", .configmap = "mine", .token_secret = "token", .pre_stop_s = 7, .pause = INJECT_PAUSE_EXEC},
};

enum {
    WAYS = sizeof(ways) / sizeof(ways[0])
};

static void one_way_and_back(const char *path, const char *text, size_t length, const struct inject_options *way)
{
    struct inject_options back = *way;
    back.uninject = true;
    struct made with = run(way, text, length);
    assert_made(&with, path);
    assert_true(with.files[0].changed);
    assert_non_null(strstr(with.files[0].made, way->image));
    struct made twice = run(way, with.files[0].made, with.files[0].made_length);
    assert_made(&twice, path);
    assert_text(&twice.files[0], with.files[0].made, with.files[0].made_length, path);
    assert_false(twice.files[0].changed);
    struct made without = run(&back, with.files[0].made, with.files[0].made_length);
    assert_made(&without, path);
    assert_text(&without.files[0], text, length, path);
    done(&without);
    done(&twice);
    done(&with);
}

/* What one way has put in, another changes to its own. */
static void from_one_way_to_another(const char *path, const char *text, size_t length)
{
    struct made first = run(&ways[0], text, length), other = run(&ways[3], text, length);
    struct made changed = run(&ways[3], first.files[0].made, first.files[0].made_length);
    assert_made(&changed, path);
    assert_text(&changed.files[0], other.files[0].made, other.files[0].made_length, path);
    done(&changed);
    done(&other);
    done(&first);
}

static void every_way_of_writing_comes_back(void **state)
{
    glob_t found;
    (void)state;
    assert_int_equal(glob(FIXTURES "*", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 27);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i];
        size_t length;
        char *text = read_file(path, &length);
        struct made nothing = run(&(struct inject_options){.uninject = true}, text, length);
        assert_made(&nothing, path);
        assert_text(&nothing.files[0], text, length, path);
        done(&nothing);
        for (size_t way = 0; way < WAYS; way++)
            if (!completes(path) || !ways[way].classic)
                one_way_and_back(path, text, length, &ways[way]);
        from_one_way_to_another(path, text, length);
        free(text);
    }
    globfree(&found);
}

/* What ends a file gets lines, and the ConfigMap begins where it ended. */
static void what_is_added_at_one_place_stands_in_its_own_block(void **state)
{
#define ONE_PORT                                                                                                       \
    "  kind: Service\n  metadata: {name: orders}\n  spec:\n    selector: {app: orders}\n    ports:\n    - port: "      \
    "3001\n"
    static const char list[] =
        "kind: List\napiVersion: v1\nitems:\n- apiVersion: apps/v1\n  kind: Deployment\n  metadata: {name: orders}\n"
        "  spec:\n    template:\n      metadata: {labels: {app: orders}}\n      spec:\n        containers:\n"
        "        - name: main\n          ports: [{containerPort: 3001}]\n- apiVersion: v1\n" ONE_PORT;
    static const char directed[] =
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: orders}\nspec:\n  template:\n"
        "    metadata: {labels: {app: orders}}\n    spec:\n      containers:\n      - name: main\n"
        "        ports: [{containerPort: 3001}]\n...\n%YAML 1.1\n---\n  apiVersion: v1\n" ONE_PORT;
#undef ONE_PORT
    struct made made = run(&plain, list, strlen(list));
    (void)state;
    assert_made(&made, "list");
    assert_non_null(
        strstr(made.files[0].made, "    - port: 3001\n      targetPort: 8080\n- apiVersion: v1\n  kind: ConfigMap"));
    done(&made);
    made = run(&plain, directed, strlen(directed));
    assert_made(&made, "directed");
    assert_non_null(
        strstr(made.files[0].made, "    - port: 3001\n      targetPort: 8080\n---\napiVersion: v1\nkind: ConfigMap"));
    done(&made);
}

static void what_was_made_can_be_edited_before_it_is_taken_out(void **state)
{
    static const char text[] =
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n  - name: a\n    image: b\n"
        "    ports: [{containerPort: 1}]\n";
    struct made with = run(&plain, text, strlen(text));
    (void)state;
    assert_made(&with, "pod");
    /* a volume and an annotation of somebody else, in the list and the map that were made */
    const char *volumes = strstr(with.files[0].made, "  volumes:\n") + strlen("  volumes:\n");
    const char *annotations = strstr(with.files[0].made, "  annotations:\n") + strlen("  annotations:\n");
    char *edited = NULL;
    assert_true(asprintf(&edited, "%.*s    mine: too\n%.*s  - name: own\n    emptyDir: {}\n%s",
                         (int)(annotations - with.files[0].made), with.files[0].made, (int)(volumes - annotations),
                         annotations, volumes) > 0);
    struct made without = run(&(struct inject_options){.uninject = true}, edited, strlen(edited));
    assert_made(&without, "edited");
    static const char wanted[] =
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    mine: too\nspec:\n  containers:\n  - "
        "name: a\n"
        "    image: b\n    ports: [{containerPort: 1}]\n  volumes:\n  - name: own\n    emptyDir: {}\n";
    assert_text(&without.files[0], wanted, strlen(wanted), "edited");
    free(edited);
    done(&without);
    done(&with);
}

/* Its last line break is a part of it, also where the ConfigMap behind it goes, and the file's last line has no end. */
static void a_block_of_text_keeps_its_end(void **state)
{
    static const char with[] =
        "a: |\n  text\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {shunt/injected: "
        "Deployment/x}}";
    struct made without = run(&(struct inject_options){.uninject = true}, with, strlen(with));
    (void)state;
    assert_made(&without, "text");
    assert_text(&without.files[0], "a: |\n  text\n", strlen("a: |\n  text\n"), "text");
    done(&without);
}

/* Braces of YAML are no JSON: kubectl reads two of them, one after the other, only with "---" between them. */
static void braces_of_yaml_get_a_document_of_yaml(void **state)
{
    static const char text[] = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, ports: "
                               "[{containerPort: 1}]}]}}\n";
    struct made made = run(&plain, text, strlen(text));
    (void)state;
    assert_made(&made, "braces");
    assert_non_null(strstr(made.files[0].made, "\n---\napiVersion: v1\nkind: ConfigMap\n"));
    done(&made);
}

/* As an API server gives it back: sorted, in blocks, nulls and empty ones gone. */
static void what_a_cluster_made_of_it_is_taken_out(void **state)
{
    static const char text[] =
        "apiVersion: v1\nitems:\n- apiVersion: apps/v1\n  kind: Deployment\n  metadata:\n    name: orders\n  spec:\n"
        "    template:\n      metadata:\n        annotations:\n"
        "          shunt/injected: "
        "'{\"port\":8080,\"legacy\":3001,\"undo\":{\"metadata\":{\"annotations\":{\"\":\"{}\","
        "\"shunt/"
        "injected\":null}},\"spec\":{\"terminationGracePeriodSeconds\":\"30\",\"initContainers\":{\"\":\"null\","
        "\"shunt\":null},\"containers\":{\"orders\":{\"lifecycle\":{\"\":null,\"preStop\":null}}},\"volumes\":{\"shunt-"
        "admin\":"
        "null,\"shunt-config\":null}}}}'\n"
        "      spec:\n        containers:\n        - lifecycle:\n            preStop:\n              sleep:\n"
        "                seconds: 5\n          name: orders\n        initContainers:\n        - image: shunt\n"
        "          name: shunt\n        terminationGracePeriodSeconds: 45\n        volumes:\n        - name: "
        "shunt-admin\n"
        "        - name: own\n        - name: shunt-config\n- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n"
        "    annotations:\n      shunt/injected: Deployment/orders\n    name: orders-shunt\nkind: List\n";
    static const char wanted[] =
        "apiVersion: v1\nitems:\n- apiVersion: apps/v1\n  kind: Deployment\n  metadata:\n    name: orders\n  spec:\n"
        "    template:\n      metadata:\n      spec:\n        containers:\n        - name: orders\n"
        "        terminationGracePeriodSeconds: 30\n        volumes:\n        - name: own\nkind: List\n";
    struct made without = run(&(struct inject_options){.uninject = true}, text, strlen(text));
    (void)state;
    assert_made(&without, "of a cluster");
    assert_text(&without.files[0], wanted, strlen(wanted), "of a cluster");
    done(&without);
}

/* What was a plain word in YAML is one in quotes in JSON. */
static void what_stood_in_yaml_is_given_back_in_json(void **state)
{
    static const char text[] =
        "{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"orders\", \"annotations\": "
        "{\"shunt/injected\": "
        "\"{\\\"of\\\":\\\"Deployment/orders\\\",\\\"undo\\\":{\\\"metadata\\\":{\\\"annotations\\\":{\\\"shunt/"
        "injected\\\":null}},"
        "\\\"spec\\\":{\\\"ports\\\":{\\\"http\\\":{\\\"targetPort\\\":\\\"'http'\\\"},\\\"81\\\":{\\\"targetPort\\\":"
        "\\\"web\\\"}}}}}"
        "\"}}, \"spec\": {\"ports\": [{\"name\": \"http\", \"port\": 80, \"targetPort\": 8080}, {\"port\": 81, "
        "\"targetPort\": 8080}]}}";
    struct made without = run(&(struct inject_options){.uninject = true}, text, strlen(text));
    (void)state;
    assert_made(&without, "service");
    assert_non_null(strstr(without.files[0].made, "{\"name\": \"http\", \"port\": 80, \"targetPort\": \"http\"}"));
    assert_non_null(strstr(without.files[0].made, "{\"port\": 81, \"targetPort\": \"web\"}"));
    assert_non_null(strstr(without.files[0].made, "\"annotations\": {}"));
    done(&without);
}

/* ---- which are meant, and in which order ---- */

#define WORKLOAD(kind, name, port)                                                                                     \
    "apiVersion: apps/v1\nkind: " kind "\nmetadata: {name: " name                                                      \
    "}\nspec:\n  template:\n    metadata: {labels: {app: " name                                                        \
    "}}\n    spec:\n      containers:\n        - name: main\n          ports: [{containerPort: " port "}]\n"
#define SERVICE(name, more)                                                                                            \
    "apiVersion: v1\nkind: Service\nmetadata: {name: " name "}\nspec: {selector: {app: " name "}, ports: [" more "]}"  \
    "\n"

static const char two_workloads[] =
    WORKLOAD("Deployment", "orders", "3001") "---\n" WORKLOAD("StatefulSet", "redis", "6379") "---\n" SERVICE(
        "orders", "{port: 80, targetPort: 3001}") "---\n" SERVICE("redis", "{port: 6379}");

static void those_that_are_named_get_it(void **state)
{
    static const char *const words[] = {"deploy/orders", "DEPLOYMENTS/orders", "orders"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct inject_options options = plain;
        options.words = &words[i];
        options.word_count = 1;
        struct made made = run(&options, two_workloads, strlen(two_workloads));
        assert_made(&made, words[i]);
        assert_non_null(strstr(made.files[0].made, "name: orders-shunt\n"));
        assert_null(strstr(made.files[0].made, "redis-shunt"));
        assert_non_null(strstr(made.files[0].made, "{port: 6379}"));
        /* again, without the name: those that have it */
        struct made again = run(&plain, made.files[0].made, made.files[0].made_length);
        assert_made(&again, "again");
        assert_text(&again.files[0], made.files[0].made, made.files[0].made_length, "again");
        done(&again);
        done(&made);
    }
}

static void one_of_two_is_taken_out(void **state)
{
    static const char *const both[] = {"deploy/orders", "sts/redis"};
    struct inject_options options = plain, back = {.uninject = true, .words = &both[1], .word_count = 1};
    (void)state;
    options.words = both;
    options.word_count = 2;
    struct made two = run(&options, two_workloads, strlen(two_workloads));
    assert_made(&two, "two");
    options.word_count = 1;
    struct made one = run(&options, two_workloads, strlen(two_workloads));
    struct made left = run(&back, two.files[0].made, two.files[0].made_length);
    assert_made(&left, "left");
    assert_text(&left.files[0], one.files[0].made, one.files[0].made_length, "left");
    done(&left);
    done(&one);
    done(&two);
}

static void pods_first_then_services(void **state)
{
    static const char pods[] = WORKLOAD("Deployment", "orders", "3001");
    static const char service[] = SERVICE("orders", "{name: web, port: 80, targetPort: 3001}");
    struct inject_options first = plain, second = {.only = INJECT_SERVICES}, back = {.uninject = true};
    (void)state;
    first.only = INJECT_PODS;
    struct made one = run_two(&first, pods, strlen(pods), service);
    assert_made(&one, "pods");
    assert_text(&one.files[1], service, strlen(service), "the Service is left alone");
    struct made two = run_two(&second, one.files[0].made, one.files[0].made_length, service);
    assert_made(&two, "services");
    assert_text(&two.files[0], one.files[0].made, one.files[0].made_length, "the pods are left alone");
    assert_non_null(strstr(two.files[1].made, "targetPort: 8080"));
    struct made all = run_two(&plain, pods, strlen(pods), service);
    assert_text(&two.files[0], all.files[0].made, all.files[0].made_length, "both steps are one");
    assert_text(&two.files[1], all.files[1].made, all.files[1].made_length, "both steps are one");
    /* and backwards */
    back.only = INJECT_SERVICES;
    struct made three = run_two(&back, two.files[0].made, two.files[0].made_length, two.files[1].made);
    assert_text(&three.files[0], one.files[0].made, one.files[0].made_length, "services out");
    assert_text(&three.files[1], service, strlen(service), "services out");
    back.only = INJECT_PODS;
    struct made four = run_two(&back, three.files[0].made, three.files[0].made_length, three.files[1].made);
    assert_text(&four.files[0], pods, strlen(pods), "pods out");
    done(&four);
    done(&three);
    done(&all);
    done(&two);
    done(&one);
}

/* ---- shunt's file ---- */

static void the_plan_of_before_is_kept(void **state)
{
    static const char pods[] = WORKLOAD("Deployment", "orders", "3001");
    struct inject_options other = {.image = "registry/shunt:0.3.0", .pre_stop_s = 5};
    struct made one = run(&plain, pods, strlen(pods));
    (void)state;
    assert_made(&one, "first");
    struct made two = run(&other, one.files[0].made, one.files[0].made_length);
    assert_made(&two, "an image alone");
    assert_non_null(strstr(two.files[0].made, "registry/shunt:0.3.0"));
    assert_string_equal(strstr(two.files[0].made, "kind: ConfigMap"), strstr(one.files[0].made, "kind: ConfigMap"));
    done(&two);
    done(&one);
}

static void a_file_gets_what_a_pod_needs(void **state)
{
    static const char pods[] = WORKLOAD("Deployment", "orders", "3001");
    struct inject_options options = plain;
    (void)state;
    options.new = NULL;
    options.config_name = "shunt.yaml";
    options.config_text = "listeners:\r\n  - address: 0.0.0.0:8181   # clients\r\ntimeouts: { drain: 20s }\r\n"
                          "backends: { legacy: { url: \"http://localhost:3001\" } }\r\n\r\n\r\n";
    struct made made = run(&options, pods, strlen(pods));
    assert_made(&made, "file");
    assert_non_null(strstr(made.files[0].made, "  shunt.yaml: |\n"
                                               "    listeners:\n"
                                               "      - address: 0.0.0.0:8181   # clients\n"
                                               "    timeouts: { drain: 20s, \"drain_min\": \"5s\" }\n"
                                               "    backends: { legacy: { url: \"http://localhost:3001\" } }\n"
                                               "    admin:\n"
                                               "      address: \"0.0.0.0:9901\"\n"
                                               "      token_file: /etc/shunt/admin/token\n"
                                               "    state:\n"
                                               "      directory: /var/lib/shunt\n"));
    assert_non_null(strstr(made.files[0].made, "containerPort: 8181"));
    assert_non_null(strstr(made.files[0].made, "terminationGracePeriodSeconds: 35"));
    done(&made);
}

static void legacy_elsewhere_is_told(void **state)
{
    static const char pods[] = WORKLOAD("Deployment", "orders", "3001");
    struct inject_options options = plain;
    (void)state;
    options.new = NULL;
    options.config_name = "shunt.yaml";
    options.config_text =
        "listeners: [ { address: \"0.0.0.0:8080\" } ]\nbackends: { legacy: { url: \"http://orders-v1:80\" } }\n";
    struct made made = run(&options, pods, strlen(pods));
    assert_made(&made, "elsewhere");
    assert_true(notes_have(&made, "legacy is http://orders-v1:80, which is not in the pod"));
    done(&made);
    options.config_text =
        "listeners: [ { address: \"0.0.0.0:8080\" } ]\nbackends: { legacy: { url: \"http://127.0.0.1:3002\" } }\n";
    made = run(&options, pods, strlen(pods));
    assert_made(&made, "another port");
    assert_true(notes_have(&made, "no container says that it listens at port 3002"));
    done(&made);
}

static void services_are_told_of(void **state)
{
    static const char pods[] = WORKLOAD("Deployment", "orders", "3001");
    static const struct {
        const char *service, *note;
    } cases[] = {
        {SERVICE("orders", "{port: 80, targetPort: 3001}"), "Service/orders: port 80 leads to shunt"},
        {SERVICE("orders", "{port: 80, targetPort: 81}"), "none of its ports leads to 3001"},
        {SERVICE("others", "{port: 80, targetPort: 3001}"),
         "no Service of these files selects the pods of Deployment/orders"},
        {"apiVersion: v1\nkind: Service\nmetadata: {name: o}\nspec: {clusterIP: None, selector: {app: orders}, ports: "
         "[{port: 3001}]}\n",
         "Service/o is headless"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct made made = run_two(&plain, pods, strlen(pods), cases[i].service);
        assert_made(&made, cases[i].note);
        assert_true(notes_have(&made, cases[i].note));
        assert_int_equal(made.files[1].changed, i == 0);
        done(&made);
    }
}

static void policies_that_may_keep_clients_away_are_told_of(void **state)
{
    static const struct {
        const char *policy;
        bool told;
    } cases[] = {
        {"spec: {podSelector: {matchLabels: {app: orders}}, ingress: [{ports: [{port: 3001}]}]}", true},
        {"spec: {podSelector: {}, ingress: []}", true},
        {"spec: {podSelector: {matchLabels: {app: other}}, ingress: []}", false},
        {"spec: {podSelector: {matchLabels: {app: orders}}, egress: []}", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[1024];
        snprintf(text, sizeof(text),
                 "%s---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\n%s\n",
                 WORKLOAD("Deployment", "orders", "3001"), cases[i].policy);
        struct made made = run(&plain, text, strlen(text));
        assert_made(&made, cases[i].policy);
        assert_int_equal(notes_have(&made,
                                    "NetworkPolicy/p is about the pods of Deployment/orders: see that it lets clients "
                                    "in at port 8080"),
                         cases[i].told);
        done(&made);
    }
}

/* ---- what is refused ---- */

#define POD(spec)                                                                                                      \
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: orders}\nspec:\n  template:\n    metadata: {labels: "     \
    "{app: orders}}\n"                                                                                                 \
    "    spec:\n" spec
#define MAIN          "      containers:\n        - name: main\n          ports: [{containerPort: 3001}]\n"
#define NEW           .image = "shunt", .new = "http://v2", .pre_stop_s = 5
#define FILE_OF(text) .image = "shunt", .pre_stop_s = 5, .config_name = "shunt.yaml", .config_text = text
#define LEGACY        "backends: { legacy: { url: \"http://127.0.0.1:3001\" } }\n"
#define LISTENER      "listeners: [ { address: \"0.0.0.0:8080\" } ]\n"

static const char *const redis_word = "deploy/redis";
static const char *const orders_words[] = {"deploy/orders", "sts/orders"};

static const struct refusal {
    const char *text, *part;
    struct inject_options options;
} refusals[] = {
    {"a: b: c\n",
     "a.yaml:1:5: this is no valid YAML: mapping values are not allowed in this context; correct it first",
     {NEW}},
    {"a: [1\nb: 2\n", "; correct it first", {NEW}},
    {"a: *b\n", "a.yaml:1:4: the alias *b has no anchor &b before it; correct it first", {NEW}},
    {"a: &b [*b]\n", "a.yaml:1:8: the alias *b stands inside its own anchor", {NEW}},
    {"a: \xff\n", "a.yaml:1:4: this is no valid YAML", {NEW}},
    {"", "these files have no Deployment, StatefulSet", {NEW}},
    {"apiVersion: v1\nkind: ConfigMap\n", "add the one that gets shunt with -f", {NEW}},
    {two_workloads,
     "there are several workloads; name those that get shunt: Deployment/orders, StatefulSet/redis",
     {NEW}},
    {two_workloads,
     "there is no deploy/redis in these files; expected one of: Deployment/orders, StatefulSet/redis",
     {NEW, .words = &redis_word, .word_count = 1}},
    {POD(MAIN "        - name: shunt\n"), "a.yaml:11:11: Deployment/orders has a shunt here already", {NEW}},
    {POD(MAIN "      volumes: [{name: shunt-state}]\n"),
     "a.yaml:11:17: Deployment/orders has a shunt-state here already",
     {NEW}},
    {POD("      containers:\n        - name: main\n          ports: [{containerPort: 8080}]\n"),
     "a.yaml:10:19: the container main has port 8080, which shunt would have in the same pod; choose another: --port",
     {FILE_OF(LISTENER LEGACY)}},
    {POD(MAIN "      initContainers: [{name: m, restartPolicy: Always, ports: [{containerPort: 9901}]}]\n"),
     "the container m has port 9901, which shunt's admin server would have",
     {NEW}},
    {POD("      containers: [{name: main, ports: [{containerPort: 1, name: shunt}]}]\n"),
     "a port is called shunt, which is what shunt calls one of its own; rename it",
     {NEW}},
    {"apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {containers: [{name: a, ports: "
     "[{containerPort: 1}]}]}}}\n",
     "Job/j would never complete: a classic sidecar does not end by itself; leave --classic out",
     {NEW, .classic = true}},
    {POD("      volumes: []\n"), "Deployment/orders has no containers in its pod's spec", {NEW, .legacy = 1}},
    {"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n",
     "Pod/p has no containers in its pod's spec",
     {NEW, .legacy = 1}},
    {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: p}\n",
     "Deployment/p has no pod's spec; expected one",
     {NEW}},
    {POD("      containers: [{image: a}]\n"),
     "a container without a name; expected name: and image:",
     {NEW, .legacy = 1}},
    {POD("      containers: [{name: main}]\n"),
     "Deployment/orders does not have exactly one port; say where the application listens: --legacy PORT",
     {NEW}},
    {POD(MAIN),
     "Deployment/orders needs a plan: say where the new backend is (--new http://HOST:PORT)",
     {.image = "shunt"}},
    {POD(MAIN), "--new is no URL; expected one such as http://orders-v2:80", {.image = "shunt", .new = "http://\xff"}},
    {POD(MAIN),
     "--new is no URL; expected one such as http://orders-v2:80",
     {.image = "shunt", .new = "\" }\nadmin: {"}},
    {POD(MAIN), "the plan of --new:8:15: ", {.image = "shunt", .new = "ftp://v2", .pre_stop_s = 5}},
    {POD(MAIN),
     "shunt.yaml:3:1: the key \"rutes\" is unknown; did you mean routes?",
     {FILE_OF(LISTENER LEGACY "rutes: []\n")}},
    {POD(MAIN), "shunt.yaml:3:10: workers: ", {FILE_OF(LISTENER LEGACY "workers: -1\n")}},
    {POD(MAIN),
     "shunt.yaml: no listener takes clients of other pods; expected listeners: [ { address: 0.0.0.0:8080 } ]",
     {FILE_OF("listeners: [ { address: \"127.0.0.1:8080\" } ]\n" LEGACY)}},
    {POD(MAIN),
     "shunt.yaml: no listener takes clients of other pods at port 8081",
     {FILE_OF(LISTENER LEGACY), .port = 8081}},
    {POD(MAIN),
     "shunt.yaml: the admin server listens at 127.0.0.1:9901, where the kubelet's probes do not come",
     {FILE_OF(LISTENER LEGACY "admin: { address: \"127.0.0.1:9901\" }\n")}},
    {POD(MAIN),
     "shunt.yaml: state.directory is /tmp, which cannot be written to in the pod; expected /var/lib/shunt",
     {FILE_OF(LISTENER LEGACY "state: { directory: /tmp }\n")}},
    {POD(MAIN),
     "shunt.yaml: legacy is at port 3001, and --legacy says 3002; leave --legacy out",
     {FILE_OF(LISTENER LEGACY), .legacy = 3002}},
    {POD("      containers: [{name: main, ports: [{containerPort: 3001}]}]\n      volumes: *v\n"),
     "no anchor &v",
     {NEW}},
    {"x: &t {metadata: {labels: {app: a}}, spec: {containers: [{name: a, ports: [{containerPort: 1}]}]}}\napiVersion: "
     "v1\n"
     "kind: Pod\nmetadata: {name: p}\nspec: &s\n  containers: [{name: a, ports: [{containerPort: 1}]}]\ny: *s\n",
     "a.yaml:5:7: shunt has to change something in here, and an alias means the same; write the value out where the "
     "alias is",
     {NEW}},
    {"x: &c [{name: a, ports: [{containerPort: 1}]}]\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: "
     "{containers: *c}\n",
     "a.yaml:5:20: shunt has to change containers, which is an alias here; write its value out",
     {NEW}},
    {"x: &s {volumes: [], containers: [{name: a, ports: [{containerPort: 1}]}]}\napiVersion: v1\nkind: Pod\n"
     "metadata: {name: p}\nspec: {<<: *s}\n",
     "a.yaml:5:7: shunt has to change containers, which is merged (<<) into this; write it out here",
     {NEW}},
    {POD(MAIN "      volumes: []\n      volumes: []\n"),
     "a.yaml:12:7: volumes stands here a second time; leave one of them out",
     {NEW}},
    {POD(MAIN "        - name: main\n"),
     "a.yaml:11:11: main is the name of another one in this list; rename one of them",
     {NEW}},
    {POD(MAIN "      volumes: !!null ''\n"),
     "a.yaml:11:16: shunt has to change this value; write it without the tag that stands in front of it",
     {NEW}},
    {POD(MAIN "      terminationGracePeriodSeconds: !!int \"5\"\n"),
     "a.yaml:11:38: shunt has to change this value; write it without the tag that stands in front of it",
     {NEW}},
    {POD(MAIN "      terminationGracePeriodSeconds: &g 5\n"),
     "a.yaml:11:38: shunt has to change this value; write it without the anchor that stands in front of it",
     {NEW}},
    {POD(MAIN "      terminationGracePeriodSeconds: 060\n"), /* 48 to Kubernetes */
     "a.yaml:11:38: terminationGracePeriodSeconds is no number of seconds; expected one in plain digits",
     {NEW}},
    {POD(MAIN "      terminationGracePeriodSeconds: long\n"),
     "a.yaml:11:38: terminationGracePeriodSeconds is no number of seconds; expected one",
     {NEW}},
    {POD(MAIN "      volumes: {a: b}\n"), "volumes is something else than Kubernetes knows; expected a list", {NEW}},
    {POD(MAIN "      initContainers: none\n"), "a.yaml:11:23: initContainers is something else", {NEW}},
    {POD(MAIN "      volumes: &v []\n"),
     "a.yaml:11:16: shunt has to add something here; leave the anchor or the tag out",
     {NEW}},
    {POD(MAIN "      volumes: !!null\n"),
     "a.yaml:11:16: shunt has to change this value; write it without the tag",
     {NEW}},
    {"{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, ports: [{containerPort: 1}]}], "
     "volumes}}\n",
     "shunt has to give this key a value; write a colon behind it",
     {NEW}},
    {"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [name: a]\n",
     "a.yaml:5:16: shunt has to add something here; put this pair in braces",
     {NEW, .legacy = 1}},
    {"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: a}]\n  x: |\n    text",
     "lines behind a block of text that has no end of line; end the line",
     {NEW, .legacy = 1}},
    {"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, x: \"1\"# b\n  }]}\n",
     "in front of this comment; put a blank there",
     {NEW, .legacy = 1}},
    {POD(MAIN),
     "port 3001 is the application's, and shunt is in the same pod; give it another: --port 3002",
     {NEW, .legacy = 3001, .port = 3001}},
    {"apiVersion: v1\nkind: Pod\nmetadata: {generateName: p-}\nspec: {containers: [{name: a}]}\n",
     "this Pod has no metadata.name, after which shunt's ConfigMap and Secret are called",
     {NEW, .legacy = 1}},
    {WORKLOAD("Deployment", "orders", "3001") "---\n" WORKLOAD("StatefulSet", "orders", "3001"),
     "a.yaml:12:1: StatefulSet/orders: the ConfigMap orders-shunt, in which shunt's file would be, is "
     "that of Deployment/orders already; put the file into one of another name and say which: --configmap NAME",
     {NEW, .words = orders_words, .word_count = 2}},
    {POD(MAIN) "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: orders-shunt}\n",
     "the ConfigMap orders-shunt, in which shunt's file would be, is in these files already",
     {NEW}},
    {POD(MAIN),
     "Deployment/orders has no shunt in this file, so that a Service that leads to it would lead nowhere",
     {.only = INJECT_SERVICES}},
    {"apiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {shunt/injected: x}}\nspec: {containers: [{name: "
     "a}]}\n",
     "the annotation shunt/injected of Pod/p is not as shuntctl wrote it",
     {.uninject = true}},
    {"apiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {shunt/injected: '{\"undo\":{\"spec\":{\"a\":\"b: "
     "[\"}}}'}}\n"
     "spec: {a: 1}\n",
     "a.yaml:4:11: the annotation shunt/injected has something here that shuntctl did not write; remove shunt by hand",
     {.uninject = true}},
    {POD(MAIN) "---\n" SERVICE("orders", "{port: 80, targetPort: \"30\\\n  01\"}"), "write it in one line", {NEW}},
    {POD("      containers: [{name: a}, {name: b}]\n") "---\n" SERVICE("orders", "{port: 80}"),
     "which port of Service/orders leads to the application cannot be said",
     {.image = "shunt", .configmap = "mine"}},
    {POD(MAIN) "---\n" WORKLOAD("Deployment", "canary",
                                "3001") "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\n"
                                        "spec: {selector: {}}\n",
     "there are several workloads; name those that get shunt: Deployment/orders, Deployment/canary",
     {NEW}},
};

static void what_cannot_be_done_well_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refusal *refusal = &refusals[i];
        struct made made = run(&refusal->options, refusal->text, strlen(refusal->text));
        bool told = false;
        if (made.good)
            fail_msg("%zu: taken, and not refused by: %s\n%s", i, refusal->part, made.files[0].made);
        for (size_t line = 0; line < made.inject.faults.count; line++)
            told = told || strstr(made.inject.faults.lines[line], refusal->part) != NULL;
        if (!told)
            fail_msg("%zu: \"%s\" is not in: %s", i, refusal->part, made.inject.faults.lines[0]);
        done(&made);
    }
}

static void a_service_of_two_workloads_is_refused(void **state)
{
    static const char *const words[] = {"orders", "other"};
    static const char text[] =
        POD(MAIN) "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: other}\nspec: {template: "
                  "{metadata: {labels: {app: orders}}, spec: {containers: [{name: a, ports: "
                  "[{containerPort: 4001}]}]}}}\n---\n" SERVICE("orders", "{port: 80}");
    struct inject_options options = plain;
    (void)state;
    options.words = words;
    options.word_count = 1;
    struct made made = run(&options, text, strlen(text));
    assert_false(made.good);
    assert_non_null(strstr(made.inject.faults.lines[0], "Service/orders selects the pods of Deployment/other as well"));
    done(&made);
    options.word_count = 2;
    made = run(&options, text, strlen(text));
    assert_false(made.good);
    assert_non_null(strstr(made.inject.faults.lines[0], "whose ports are not the same"));
    done(&made);
}

/* A fault in what an earlier run made names the line of the file, not of what is left of it. */
static void faults_name_lines_of_the_file(void **state)
{
    static const char pods[] =
        WORKLOAD("Deployment", "orders", "3001") "---\n" SERVICE("orders", "{port: 80, targetPort: 3001}");
    struct made one = run(&plain, pods, strlen(pods));
    char *edited = NULL, where[32];
    unsigned line = 1;
    (void)state;
    assert_made(&one, "first");
    const char *ports = strstr(one.files[0].made, "spec: {selector: {app: orders}, ports: [");
    assert_non_null(ports);
    assert_true(asprintf(&edited,
                         "%.*sspec: {selector: {app: orders}, ports: &p [{port: 80, targetPort: 8080}], x: *p}\n",
                         (int)(ports - one.files[0].made), one.files[0].made) > 0);
    for (const char *at = edited; at < edited + (ports - one.files[0].made); at++)
        line += *at == '\n';
    snprintf(where, sizeof(where), "a.yaml:%u:", line);
    struct made two = run(&plain, edited, strlen(edited));
    assert_false(two.good);
    assert_memory_equal(two.inject.faults.lines[0], where, strlen(where));
    free(edited);
    done(&two);
    done(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_of_writing_comes_back),
        cmocka_unit_test(what_is_added_at_one_place_stands_in_its_own_block),
        cmocka_unit_test(what_was_made_can_be_edited_before_it_is_taken_out),
        cmocka_unit_test(a_block_of_text_keeps_its_end),
        cmocka_unit_test(braces_of_yaml_get_a_document_of_yaml),
        cmocka_unit_test(what_a_cluster_made_of_it_is_taken_out),
        cmocka_unit_test(what_stood_in_yaml_is_given_back_in_json),
        cmocka_unit_test(those_that_are_named_get_it),
        cmocka_unit_test(one_of_two_is_taken_out),
        cmocka_unit_test(pods_first_then_services),
        cmocka_unit_test(the_plan_of_before_is_kept),
        cmocka_unit_test(a_file_gets_what_a_pod_needs),
        cmocka_unit_test(legacy_elsewhere_is_told),
        cmocka_unit_test(services_are_told_of),
        cmocka_unit_test(policies_that_may_keep_clients_away_are_told_of),
        cmocka_unit_test(what_cannot_be_done_well_is_refused),
        cmocka_unit_test(a_service_of_two_workloads_is_refused),
        cmocka_unit_test(faults_name_lines_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
