/*
 * The file shadow.db as such: made, opened, checked, set aside when it is of no use. What is in it is archive.c's.
 */
#ifndef SHUNT_SHADOW_ARCHIVE_FILE_H
#define SHUNT_SHADOW_ARCHIVE_FILE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    ARCHIVE_VERSION = 1 /* user_version; another one is not read */
};

/* Opens the database of this directory (NULL: one in memory), empty or with the schema of ARCHIVE_VERSION. As
 * archive_open() for the rest. */
sqlite3 *archive_file_open(const char *directory, char **warning, char **error);

/* Bytes of the write-ahead log now; 0 in memory. */
uint64_t archive_file_log_bytes(const char *directory);

/* Sets *to (NULL is fine) to a malloc'd sentence. Always false. */
bool archive_say(char **to, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
