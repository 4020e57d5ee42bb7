/*
 * The small values a file holds, from text and back to text: durations, sizes, shares, decimals, addresses, backend
 * URLs.
 *
 * Pure functions, any thread. Every reader takes the whole text or nothing and writes its result only on success.
 */
#ifndef SHUNT_CONFIG_SCALAR_H
#define SHUNT_CONFIG_SCALAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/arena.h"
#include "config/config.h"

enum scalar_result {
    SCALAR_OK = 0,
    SCALAR_MALFORMED,
    SCALAR_NO_UNIT,   /* a bare number where a unit is needed */
    SCALAR_TOO_LARGE, /* does not fit the type */
    SCALAR_TOO_FINE,  /* more decimals than are kept */
};

enum {
    SCALAR_TEXT_BYTES = 64
}; /* enough for what any scalar_print_*() writes */

/* "1h30m": whole numbers with d, h, m, s, ms, each unit once and largest first; a bare 0 is allowed. Milliseconds. */
enum scalar_result scalar_duration(const char *text, uint64_t *ms);
void scalar_print_duration(uint64_t ms, char out[SCALAR_TEXT_BYTES]);

/* "64KiB": a whole number with B, KiB, MiB, GiB, or kB, KB, MB, GB (powers of 1000); a bare 0 is allowed. Bytes. */
enum scalar_result scalar_size(const char *text, uint64_t *bytes);
void scalar_print_size(uint64_t bytes, char out[SCALAR_TEXT_BYTES]);

/* "12.5%" or "12.5": up to two decimals. Of SHARE_ALL; may be above it, the caller knows the range. */
enum scalar_result scalar_share(const char *text, uint32_t *share);
void scalar_print_share(uint32_t share, char out[SCALAR_TEXT_BYTES]);

/* "0.01%": the sign is the unit. A fraction: 0.0001. */
enum scalar_result scalar_rate(const char *text, double *fraction);
void scalar_print_rate(double fraction, char out[SCALAR_TEXT_BYTES]);

/* "2" or "0.015": digits with at most one point, no exponent, at most 9 digits in all. Ignores the locale. */
enum scalar_result scalar_decimal(const char *text, double *value);
void scalar_print_decimal(double value, char out[SCALAR_TEXT_BYTES]);

enum scalar_result scalar_count(const char *text, uint64_t *count);

/* "2xx", "404" or "200-204": statuses of final answers, 200 to 599. False for anything else. */
bool scalar_statuses(const char *text, uint16_t *from, uint16_t *to);
void scalar_print_statuses(unsigned from, unsigned to, char out[SCALAR_TEXT_BYTES]);

/*
 * "HOST:PORT", "[V6]:PORT" or "unix:/PATH". `*why` (static text) says what is wrong. Text is copied into the arena;
 * false with *why NULL means without memory.
 */
bool scalar_address(struct config_arena *arena, const char *text, struct config_address *address, const char **why);

/* "http://HOST[:PORT]" or https, with [V6] too, "unix:/PATH" or "http+unix:/PATH"; port 80 or 443 when there is none.
 * As above. */
bool scalar_backend_url(struct config_arena *arena, const char *text, struct config_address *address, const char **why);

/* Is that backend spoken to over TLS? */
bool scalar_is_https(const char *url);

/* A host's name, an IPv4 address or an IPv6 address without brackets: what a certificate is made out to. */
bool scalar_server_name(const char *text, const char **why);

/* "HOST", "HOST:PORT", "[V6]" or "[V6]:PORT", as a Host field has it. `*why` as above; takes scratch memory of the
 * arena. */
bool scalar_host(struct config_arena *arena, const char *text, const char **why);

/* The same, into host and port, which stays where the text has none and may be 0. Text is copied into the arena; false
 * with *why NULL means without memory. */
bool scalar_host_port(struct config_arena *arena, const char *text, struct config_address *address, const char **why);

/* An absolute path, short enough for the address of a unix socket. */
bool scalar_unix_path(const char *path, const char **why);

/* "http://HOST[:PORT][/PATH][?QUERY]" or https: what is asked or told somebody, so that it may hold a secret behind the
 * host. `*why` as above; takes scratch memory of the arena. */
bool scalar_web_url(struct config_arena *arena, const char *text, const char **why);

/* Can only processes of this machine reach it? True for 127.0.0.0/8, ::1, "localhost" and unix sockets. */
bool scalar_is_loopback(const struct config_address *address);

#endif
