/*
 * Control groups: which folders are looked into, and what they say of cores.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/cgroup.h"
#include "config/cores.h"

struct fixture {
    char root[64];
    char membership[128];
    struct cgroup_place place;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->root, sizeof(f->root), "/tmp/shunt-cgroup-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    snprintf(f->membership, sizeof(f->membership), "%s/membership", f->root);
    f->place = (struct cgroup_place){.membership = f->membership, .mount = f->root};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", f->root);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* Makes the folders on the way. */
static void put(const struct fixture *f, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", f->root, name);
    for (char *slash = strchr(path + strlen(f->root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

struct seen {
    const struct fixture *f;
    char text[1024];
};

static void see(void *context, const char *folder)
{
    struct seen *seen = context;
    size_t len = strlen(seen->text);
    assert_memory_equal(folder, seen->f->root, strlen(seen->f->root));
    snprintf(seen->text + len, sizeof(seen->text) - len, "%s ", folder + strlen(seen->f->root));
}

static void assert_walk(const struct fixture *f, const char *membership, const char *controller, const char *folders)
{
    struct seen seen = {.f = f};
    put(f, "membership", membership);
    cgroup_walk(&f->place, controller, see, &seen);
    assert_string_equal(seen.text, folders);
}

static void the_group_and_those_above_it_are_visited(void **state)
{
    struct fixture *f = *state;
    assert_walk(f, "0::/pods/one\n", "memory", "/pods/one /pods  ");
    assert_walk(f, "0::/\n", "memory", " ");
    assert_walk(f, "4:memory:/pods/one\n", "memory", "/memory/pods/one /memory/pods /memory ");
    assert_walk(f, "4:memory:/\n", "memory", "/memory ");
}

static void version_1_names_its_controllers(void **state)
{
    struct fixture *f = *state;
    assert_walk(f, "3:cpuset:/a\n2:cpu,cpuacct:/a\n", "cpu", "/cpu/a /cpu /cpu,cpuacct/a /cpu,cpuacct ");
    assert_walk(f, "2:cpuacct,cpu:/\n", "cpu", "/cpu /cpuacct,cpu ");
    assert_walk(f, "3:cpuset:/a\n9:name=systemd:/a\n", "cpu", "");
    assert_walk(f, "4:memory:/a\n0::/b\n", "memory", "/memory/a /memory /b  ");
}

static void what_is_no_line_is_passed_over(void **state)
{
    struct fixture *f = *state;
    assert_walk(f, "", "memory", "");
    assert_walk(f, "nonsense\n0:\n\n", "memory", "");
}

static void without_membership_there_is_the_mount(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.f = f};
    cgroup_walk(&f->place, "memory", see, &seen);
    assert_string_equal(seen.text, " ");
}

static void a_file_is_read_to_its_end_or_as_far_as_there_is_room(void **state)
{
    struct fixture *f = *state;
    char text[8];
    char folder[128];
    snprintf(folder, sizeof(folder), "%s/a", f->root);
    put(f, "a/short", "12\n34\n");
    put(f, "a/long", "123456789");
    put(f, "a/empty", "");
    assert_true(cgroup_read(folder, "short", text, sizeof(text)));
    assert_string_equal(text, "12\n34\n");
    assert_true(cgroup_read(folder, "long", text, sizeof(text)));
    assert_string_equal(text, "1234567");
    assert_false(cgroup_read(folder, "empty", text, sizeof(text)));
    assert_false(cgroup_read(folder, "none", text, sizeof(text)));
    assert_false(cgroup_read(folder, "", text, sizeof(text))); /* a folder */
}

static void the_smallest_quota_on_the_way_counts(void **state)
{
    struct fixture *f = *state;
    put(f, "membership", "0::/pods/one/shunt\n");
    assert_int_equal(cores_of_quota(&f->place), 0);
    put(f, "pods/one/shunt/cpu.max", "max 100000\n");
    assert_int_equal(cores_of_quota(&f->place), 0);
    put(f, "pods/cpu.max", "300000 100000\n");
    assert_int_equal(cores_of_quota(&f->place), 3);
    put(f, "pods/one/shunt/cpu.max", "150000 100000\n");
    assert_int_equal(cores_of_quota(&f->place), 2);
    put(f, "cpu.max", "50000 100000\n");
    assert_int_equal(cores_of_quota(&f->place), 1);
}

static void version_1_has_a_quota_in_two_files(void **state)
{
    struct fixture *f = *state;
    put(f, "membership", "4:cpu,cpuacct:/pods/one\n0::/\n");
    put(f, "cpu,cpuacct/pods/one/cpu.cfs_quota_us", "250000\n");
    assert_int_equal(cores_of_quota(&f->place), 0);
    put(f, "cpu,cpuacct/pods/one/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cores_of_quota(&f->place), 3);
    put(f, "cpu/cpu.cfs_quota_us", "-1\n");
    put(f, "cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cores_of_quota(&f->place), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_group_and_those_above_it_are_visited),
        TEST(version_1_names_its_controllers),
        TEST(what_is_no_line_is_passed_over),
        TEST(without_membership_there_is_the_mount),
        TEST(a_file_is_read_to_its_end_or_as_far_as_there_is_room),
        TEST(the_smallest_quota_on_the_way_counts),
        TEST(version_1_has_a_quota_in_two_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
