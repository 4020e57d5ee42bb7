/*
 * Process facts: memory, CPU, descriptors, threads. Read afresh for each page, on the control thread; a handful of
 * system calls.
 */
#include "proxy/metrics_process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void read_memory(struct metrics_process *process)
{
    uint64_t pages = 0, resident = 0;
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return;
    if (fscanf(file, "%" SCNu64 " %" SCNu64, &pages, &resident) == 2) {
        process->virtual_bytes = pages * page_bytes;
        process->resident_bytes = resident * page_bytes;
    }
    fclose(file);
}

static uint64_t count_entries(const char *path)
{
    uint64_t count = 0;
    DIR *directory = opendir(path);
    if (directory == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* Since Linux 6.2 the directory's size is the count; before, it is 0 and the entries must be counted, our own included.
 */
static uint64_t count_fds(void)
{
    struct stat facts;
    if (stat("/proc/self/fd", &facts) == 0 && facts.st_size > 0)
        return (uint64_t)facts.st_size;
    uint64_t count = count_entries("/proc/self/fd");
    return count > 0 ? count - 1 : 0;
}

void metrics_process_read(struct metrics_process *process)
{
    struct timespec cpu;
    struct rlimit files;
    memset(process, 0, sizeof(*process));
    read_memory(process);
    process->open_fds = count_fds();
    process->threads = count_entries("/proc/self/task");
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        process->max_fds = files.rlim_cur;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0)
        process->cpu_seconds = (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9;
}
