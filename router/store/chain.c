/*
 * Computes and follows the checksums of the audit trail. audit.c writes and repairs the file, `shuntctl audit verify`
 * follows one that nobody else need be running for. Knows nothing of what the lines say.
 *
 * After a line that does not fit, the chain goes on from what that line claims: one changed line is one fault, and
 * what was written behind it is still vouched for.
 */
#include "router/store/chain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "router/store/crypto_library.h"

enum {
    BLOCK = 64 * 1024,
};

static const char seal_begins[] = ",\"check\":\"";
static const char changed[] = "its checksum does not fit: it was changed, or a line before it was changed, removed, "
                              "added or moved";
static const char unsealed[] = "it has no checksum, although lines before it have: shunt did not write it";
static const char too_long[] = "it is longer than any that shunt writes";

/* ---- one line ---- */

static void print_hex(char *to, const unsigned char *bytes)
{
    for (size_t i = 0; i < CHAIN_CHECK_LENGTH / 2; i++)
        snprintf(to + 2 * i, 3, "%02x", bytes[i]);
}

/* Over the former check and a line whose end, from `length` on, is `end`. False with errno. */
static bool compute(const char *former, const char *text, size_t length, const char *end,
                    char check[CHAIN_CHECK_LENGTH + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char why[LIBRARY_WHY_ROOM];
    if (!crypto_library_open(why)) {
        errno = ENOPKG;
        return false;
    }
    EVP_MD_CTX *context = libcrypto.digest_new();
    bool done = context != NULL && libcrypto.digest_init(context, libcrypto.sha256(), NULL) == 1 &&
                libcrypto.digest_update(context, former, strlen(former)) == 1 &&
                libcrypto.digest_update(context, text, length) == 1 &&
                libcrypto.digest_update(context, end, strlen(end)) == 1 &&
                libcrypto.digest_final(context, digest, NULL) == 1;
    libcrypto.digest_free(context);
    if (done)
        print_hex(check, digest);
    else
        errno = ENOMEM;
    return done;
}

bool chain_seal(const struct chain *chain, const char *text, size_t length, char seal[CHAIN_SEAL_LENGTH + 2],
                char check[CHAIN_CHECK_LENGTH + 1])
{
    if (!compute(chain->check, text, length - 1, "}", check))
        return false;
    snprintf(seal, CHAIN_SEAL_LENGTH + 2, "%s%s\"}\n", seal_begins, check);
    return true;
}

void chain_advance(struct chain *chain, const char check[CHAIN_CHECK_LENGTH + 1])
{
    memcpy(chain->check, check, CHAIN_CHECK_LENGTH + 1);
    chain->sealed = true;
    chain->lines++;
}

/* The checksum at the line's end; NULL: there is none. */
static const char *claim_of(const char *line, size_t length)
{
    if (length <= CHAIN_SEAL_LENGTH)
        return NULL;
    const char *seal = line + length - CHAIN_SEAL_LENGTH;
    const char *claim = seal + sizeof(seal_begins) - 1;
    bool is =
        memcmp(seal, seal_begins, sizeof(seal_begins) - 1) == 0 && memcmp(claim + CHAIN_CHECK_LENGTH, "\"}", 2) == 0;
    for (size_t i = 0; is && i < CHAIN_CHECK_LENGTH; i++)
        is = (claim[i] >= '0' && claim[i] <= '9') || (claim[i] >= 'a' && claim[i] <= 'f');
    return is ? claim : NULL;
}

static void note_damage(struct chain *chain, const char *fault)
{
    if (chain->damaged++ > 0)
        return;
    chain->damaged_at = chain->lines;
    chain->fault = fault;
}

bool chain_follow(struct chain *chain, const char *line, size_t length)
{
    char check[CHAIN_CHECK_LENGTH + 1];
    const char *claim = claim_of(line, length);
    size_t kept = claim != NULL ? length - CHAIN_SEAL_LENGTH : length;
    if (!compute(chain->check, line, kept, claim != NULL ? "}" : "", check))
        return false;
    chain->lines++;
    if (claim == NULL) {
        if (chain->sealed) {
            note_damage(chain, unsealed);
            return true;
        }
        chain->unsealed++;
        memcpy(chain->check, check, sizeof(check));
        return true;
    }
    if (memcmp(claim, check, CHAIN_CHECK_LENGTH) != 0)
        note_damage(chain, changed);
    memcpy(chain->check, claim, CHAIN_CHECK_LENGTH);
    chain->sealed = true;
    return true;
}

/* ---- a file ---- */

/* A line that is being put together from blocks. */
struct gather {
    char *text;
    size_t length, room;
    bool long_one; /* given up: only its end is looked for */
};

static bool gather_add(struct gather *gather, const char *piece, size_t length)
{
    if (gather->long_one || gather->length + length > CHAIN_LINE_MOST) {
        gather->long_one = true;
        return true;
    }
    if (gather->length + length > gather->room) {
        size_t room = (gather->length + length) * 2;
        char *text = realloc(gather->text, room);
        if (text == NULL)
            return false;
        gather->text = text;
        gather->room = room;
    }
    if (length > 0)
        memcpy(gather->text + gather->length, piece, length);
    gather->length += length;
    return true;
}

static bool gather_end(struct gather *gather, struct chain *chain)
{
    bool done = true;
    if (gather->long_one) {
        chain->lines++;
        note_damage(chain, too_long);
    } else {
        done = chain_follow(chain, gather->length > 0 ? gather->text : "", gather->length);
    }
    gather->length = 0;
    gather->long_one = false;
    return done;
}

/* `at` is where the block stands in the file. */
static bool read_block(struct chain *chain, struct gather *gather, const char *block, size_t length, off_t at)
{
    size_t from = 0;
    while (from < length) {
        const char *feed = memchr(block + from, '\n', length - from);
        size_t to = feed != NULL ? (size_t)(feed - block) : length;
        if (gather->length == 0 && !gather->long_one)
            chain->last_at = at + (off_t)from;
        if (!gather_add(gather, block + from, to - from) || (feed != NULL && !gather_end(gather, chain)))
            return false;
        from = to + 1;
    }
    return true;
}

bool chain_read(struct chain *chain, int fd, off_t end)
{
    struct gather gather = {0};
    char *block = malloc(BLOCK);
    bool good = block != NULL;
    for (off_t at = 0; good && at < end;) {
        size_t want = end - at < BLOCK ? (size_t)(end - at) : BLOCK;
        ssize_t got = pread(fd, block, want, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            break;
        good = got > 0 && read_block(chain, &gather, block, (size_t)got, at);
        at += got;
    }
    int fault = errno;
    if (good && (gather.length > 0 || gather.long_one)) {
        good = gather_end(&gather, chain); /* an unfinished line */
        fault = errno;
    }
    free(gather.text);
    free(block);
    errno = fault;
    return good;
}
