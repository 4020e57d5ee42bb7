/*
 * The files a configuration of Redis names: the password's, and those of TLS.
 */
#ifndef SHUNT_PROXY_REDIS_FILES_H
#define SHUNT_PROXY_REDIS_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

enum {
    REDIS_SECRET_MOST = 4096,
    REDIS_FILES = 4
};

/* Tells one content of the files from another, by their inodes and times. */
struct redis_files {
    struct {
        uint64_t device, inode, size;
        int64_t changed_s, changed_ns;
    } file[REDIS_FILES]; /* zero: there is none */
};

struct redis_files redis_files_now(const struct config_redis *config);
bool redis_files_equal(const struct redis_files *a, const struct redis_files *b);

/* The password, from the configuration or its file, whose last newline is not part of it. *password is malloc'd, or
 * NULL where there is none. False with a sentence in `why`. */
bool redis_secret_read(const struct config_redis *config, char **password, char *why, size_t room);

#endif
