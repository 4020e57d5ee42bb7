/*
 * Files: opened, read and closed for the loader.
 *
 * Called while a configuration is loaded, on any thread. Knows nothing of what a file holds; a secret that was read is
 * its caller's to wipe.
 */
#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The words of an errno, without strerror()'s shared buffer. */
static const char *errno_text(int error)
{
    const char *text = strerrordesc_np(error);
    return text != NULL ? text : "unknown error";
}

/* Reads at most `room` bytes and closes. */
static ssize_t read_all(int fd, char *out, size_t room, const char **why)
{
    size_t len = 0;
    while (len < room) {
        ssize_t got = read(fd, out + len, room - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            *why = errno_text(errno);
            (void)close(fd);
            return -1;
        }
        if (got == 0)
            break;
        len += (size_t)got;
    }
    (void)close(fd);
    return (ssize_t)len;
}

ssize_t file_read(const char *path, char *out, size_t room, const char **why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return read_all(fd, out, room, why);
    *why = errno_text(errno);
    return -1;
}

/* Opening a pipe or a terminal must neither wait nor change anything. Returns -1 with *why. */
static int open_regular(const char *path, const char **why)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        *why = errno_text(errno);
        return -1;
    }
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        return fd;
    *why = "it is no regular file";
    (void)close(fd);
    return -1;
}

ssize_t file_read_regular(const char *path, char *out, size_t room, const char **why)
{
    int fd = open_regular(path, why);
    return fd < 0 ? -1 : read_all(fd, out, room, why);
}

bool file_is_readable(const char *path, const char **why)
{
    int fd = open_regular(path, why);
    if (fd < 0)
        return false;
    (void)close(fd);
    return true;
}
