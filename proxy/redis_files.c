/*
 * Files of Redis' configuration: see redis_files.h. The password's file is read each time a connection is made, so that
 * one who changes it at Redis need not tell us; a small file, read at once.
 */
#include "proxy/redis_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct redis_files redis_files_now(const struct config_redis *config)
{
    const char *paths[REDIS_FILES] = {config->password_file, config->ca, config->certificate, config->key};
    struct redis_files files;
    memset(&files, 0, sizeof(files));
    for (int i = 0; i < REDIS_FILES; i++) {
        struct stat facts;
        if (paths[i] == NULL || stat(paths[i], &facts) != 0)
            continue;
        files.file[i].device = facts.st_dev;
        files.file[i].inode = facts.st_ino;
        files.file[i].size = (uint64_t)facts.st_size;
        files.file[i].changed_s = facts.st_mtim.tv_sec;
        files.file[i].changed_ns = facts.st_mtim.tv_nsec;
    }
    return files;
}

bool redis_files_equal(const struct redis_files *a, const struct redis_files *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* At most REDIS_SECRET_MOST bytes. -1 with errno. */
static ssize_t read_small(const char *path, char *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got, length = 0;
    while (length <= REDIS_SECRET_MOST &&
           (got = read(fd, text + length, (size_t)(REDIS_SECRET_MOST + 1 - length))) != 0) {
        if (got < 0 && errno != EINTR) {
            close(fd);
            return -1;
        }
        length += got > 0 ? got : 0;
    }
    close(fd);
    return length;
}

static bool read_secret_file(const char *path, char *text, char *why, size_t room)
{
    ssize_t length = read_small(path, text);
    if (length < 0) {
        snprintf(why, room, "password_file %s cannot be read: %s", path, strerror(errno));
        return false;
    }
    if (length > 0 && length <= REDIS_SECRET_MOST && text[length - 1] == '\n')
        length--;
    if (length > 0 && length <= REDIS_SECRET_MOST && text[length - 1] == '\r')
        length--;
    if (length == 0 || length > REDIS_SECRET_MOST || memchr(text, '\0', (size_t)length) != NULL) {
        snprintf(why, room, "password_file %s holds no password: it is %s", path,
                 length == 0                  ? "empty"
                 : length > REDIS_SECRET_MOST ? "too long"
                                              : "not text");
        return false;
    }
    text[length] = '\0';
    return true;
}

bool redis_secret_read(const struct config_redis *config, char **password, char *why, size_t room)
{
    char text[REDIS_SECRET_MOST + 2];
    *password = NULL;
    if (config->password == NULL && config->password_file == NULL)
        return true;
    if (config->password == NULL && !read_secret_file(config->password_file, text, why, room))
        return false;
    *password = strdup(config->password != NULL ? config->password : text);
    explicit_bzero(text, sizeof(text));
    if (*password == NULL)
        snprintf(why, room, "no memory");
    return *password != NULL;
}
