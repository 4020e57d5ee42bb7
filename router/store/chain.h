/*
 * The chain of checksums through the audit trail: each line's covers its text and the checksum of the line before.
 *
 * A line ends with the member "check": the first 128 bits of SHA-256, in lower case hex, over the former line's check
 * (nothing before the first line) and over the line's bytes as they were without this member. So a line that was
 * changed, removed, added or moved is found out, at itself or at the one behind it. Lines of the time before there were
 * checksums may stand at the beginning of a file; the first checksum covers them all. There is no secret in it: it
 * finds out faults and meddling, not somebody who computes the rest of the chain anew.
 */
#ifndef SHUNT_ROUTER_STORE_CHAIN_H
#define SHUNT_ROUTER_STORE_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    CHAIN_CHECK_LENGTH = 32,
    CHAIN_SEAL_LENGTH = CHAIN_CHECK_LENGTH + 12, /* of ,"check":"..."} */
    CHAIN_LINE_MOST = 8 * 1024 * 1024,           /* longer ones are not ours */
};

struct chain {
    char check[CHAIN_CHECK_LENGTH + 1]; /* what the next line builds on; "" before the first */
    bool sealed;                        /* a line with a checksum has come */
    uint64_t lines;
    uint64_t unsealed;   /* of them, before the first with a checksum */
    uint64_t damaged;    /* lines that do not fit */
    uint64_t damaged_at; /* the first of them, from 1; 0: none */
    const char *fault;   /* static: what is wrong there */
    off_t last_at;       /* where the last line begins; chain_read() only */
};

/* Makes the end of a line: `text` is an object's `length` bytes with its last brace, which `seal` stands in place of.
 * `seal` gets CHAIN_SEAL_LENGTH bytes, a line feed and a NUL; `check` is what the chain goes on from once the line
 * stands. False without memory or without libcrypto. */
bool chain_seal(const struct chain *chain, const char *text, size_t length, char seal[CHAIN_SEAL_LENGTH + 2],
                char check[CHAIN_CHECK_LENGTH + 1]);
/* The line stands. */
void chain_advance(struct chain *chain, const char check[CHAIN_CHECK_LENGTH + 1]);

/* Follows a line (without its line feed) that somebody wrote. False with errno (no memory, no libcrypto): nothing has
 * changed. */
bool chain_follow(struct chain *chain, const char *line, size_t length);
/* Follows all lines of the file up to `end`, from the beginning. False with errno. */
bool chain_read(struct chain *chain, int fd, off_t end);

#endif
