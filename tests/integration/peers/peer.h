/*
 * What the two peers share: the pattern their bodies are made of, sockets, and a way out when a system call fails.
 *
 * Test programs: single-threaded, and a failure of the machine (no memory, no descriptor) ends them with a message.
 */
#ifndef SHUNT_TESTS_PEER_H
#define SHUNT_TESTS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PATTERN_BYTES = 1 << 18,
    PATTERN_PERIOD = 65521
};

/* Any body byte at offset i is pattern[i % PATTERN_PERIOD], so both ends can check a body of any length without keeping
 * it. */
extern char pattern[PATTERN_BYTES + PATTERN_PERIOD];

void pattern_init(void);
/* True when `length` bytes are the body's part that begins at `offset`. */
bool pattern_matches(const char *at, size_t length, uint64_t offset);
/* The body's part at `offset`; *length is cut to what is there in one piece. */
const char *pattern_at(uint64_t offset, size_t *length);

uint64_t now_ns(void); /* CLOCK_MONOTONIC, the clock of Python's time.monotonic_ns() */

/* Prints "what: strerror" and exits 1. */
__attribute__((noreturn)) void die(const char *what);
void *must_alloc(size_t size);

/* "127.0.0.1:80" or "unix:/path". Non-blocking sockets. socket_listen() prints "listening ADDRESS\n" with the real
 * port. */
int socket_listen(const char *address, char *real, size_t room);
int socket_connect(const char *address); /* -1 with errno when it is refused at once */

#endif
