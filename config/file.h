/*
 * Files the configuration is read from or names: read whole, or only asked whether they can be opened.
 *
 * All of them block on file I/O, from any thread. `*why` (static text) says what went wrong.
 */
#ifndef SHUNT_CONFIG_FILE_H
#define SHUNT_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads at most `room` bytes; the length, or -1 with *why. Room for one byte more than is allowed shows a file that is
 * too large. */
ssize_t file_read(const char *path, char *out, size_t room, const char **why);

/* The same of a regular file only: a pipe in its place would stop a reload for ever. */
ssize_t file_read_regular(const char *path, char *out, size_t room, const char **why);

/* Is it a regular file that may be read? False with *why. */
bool file_is_readable(const char *path, const char **why);

#endif
