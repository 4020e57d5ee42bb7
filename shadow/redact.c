/*
 * Redaction: the one door through which anything of a request or an answer reaches the report.
 *
 * Values leave as their type and length only, unless the route says more; what stands under a name on the lists below,
 * or looks like a credential itself, never leaves. Whatever leaves is cleaned first: a response must not be able to
 * write escape sequences to the terminal of whoever reads the report. Any thread; the only state is the key of hashes,
 * which is drawn once and never leaves this process: outside of it a hash says nothing, not even of a short value.
 */
#include "shadow/redact.h"

#include <ctype.h>
#include <inttypes.h>
#include <openssl/core_names.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "router/store/crypto_library.h"

/* Exact names of header fields that carry credentials or sessions. */
static const char *const secret_headers[] = {
    "authorization",      "proxy-authorization", "cookie",
    "set-cookie",         "set-cookie2",         "www-authenticate",
    "proxy-authenticate", "authentication-info", "proxy-authentication-info",
    "x-csrf-token",       "x-xsrf-token",
};

enum {
    LETTERS = 'z' - 'a' + 1,
    PARTS_OF_A_LETTER = 8 /* one more than there are, so that every list ends */
};

/* By the letter they begin with: a name is gone through once, and most letters begin none. */
typedef const char *const parts_by_letter[LETTERS][PARTS_OF_A_LETTER];

#define BEGINS(letter) [(letter) - 'a']

/* A header, member or parameter whose name contains one of these holds a secret, or may; compared without what is
 * neither letter nor digit, so that "apikey" stands for Api-Key, api_key and apiKey. */
static parts_by_letter secret_parts = {
    BEGINS('a') = {"apikey", "accesskey", "authorization", "assertion"},
    BEGINS('b') = {"bearer"},
    BEGINS('c') = {"credential", "cookie", "creditcard", "cardnumber", "csrf"},
    BEGINS('e') = {"encryptionkey"},
    BEGINS('m') = {"masterkey"},
    BEGINS('p') = {"password", "passwd", "passphrase", "passcode", "private"},
    BEGINS('r') = {"recoverycode"},
    BEGINS('s') = {"secret", "session", "sessid", "signature", "signingkey", "subscriptionkey", "samlresponse"},
    BEGINS('t') = {"token"},
    BEGINS('x') = {"xsrf"},
};

/* The same, for whole words of a name only: as a part they stand in innocent words ("className", "discard"). */
static parts_by_letter secret_words = {
    BEGINS('a') = {"auth"},
    BEGINS('c') = {"cvv", "cvc", "cvn", "csc", "card"},
    BEGINS('h') = {"hmac"},
    BEGINS('i') = {"iban"},
    BEGINS('j') = {"jwt"},
    BEGINS('o') = {"otp"},
    BEGINS('p') = {"pan", "pin", "pass", "pwd"},
    BEGINS('s') = {"ssn", "sid", "sig"},
    BEGINS('t') = {"totp"},
};

enum {
    DATA_NAME_LENGTH = 64,
    DATA_NAME_DIGITS = 6,
    DATA_SEGMENT_LENGTH = 40,
    DATA_SEGMENT_DIGITS = 12, /* a phone number or a card; ids are shorter, and a path without its ids is of no use */
    TOKEN_LENGTH = 16,
    NAME_ROOM = 256, /* a longer name is no name */
    HASH_KEY_BYTES = 32,
    HASH_SHOWN = 6, /* bytes: 48 bits, so that two of a million values look equal by chance in 1 of 500 reports */
    CARD_LEAST = 13,
    CARD_MOST = 19,
    LOOKED_BEYOND = 4096,
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

size_t redact_character(const char *text, size_t len)
{
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] >= 0x20 && at[0] < 0x7f)
        return 1;
    if (at[0] < 0xc2)
        return 0;
    size_t need = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
    if (need == 0 || need > len)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if (need == 2 && at[0] == 0xc2 && at[1] < 0xa0) /* C1 control characters */
        return 0;
    if (need == 3) {
        unsigned code = (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
        bool direction = (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
                         (code >= 0x2066 && code <= 0x2069); /* would reorder or break the reader's line */
        if (code < 0x800 || (code >= 0xd800 && code <= 0xdfff) || direction)
            return 0;
    }
    if (need == 4 && ((at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f)))
        return 0;
    return need;
}

static bool is_printable_ascii(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)at[i] < 0x20 || (unsigned char)at[i] >= 0x7f)
            return false;
    return true;
}

size_t redact_clean(char *to, size_t room, const char *at, size_t len)
{
    static const char cut[] = "...";
    size_t out = 0, fits_with_cut = 0;

    if (len > 0 && len < room && is_printable_ascii(at, len)) { /* nearly every text */
        memcpy(to, at, len);
        to[len] = '\0';
        return len;
    }
    for (size_t i = 0; i < len;) {
        size_t n = redact_character(at + i, len - i);
        size_t take = n == 0 ? 1 : n;
        if (out + take + 1 > room) {
            if (room < sizeof(cut))
                break;
            memcpy(to + fits_with_cut, cut, sizeof(cut));
            return fits_with_cut + sizeof(cut) - 1;
        }
        if (n == 0)
            to[out] = '?';
        else
            memcpy(to + out, at + i, n);
        i += take;
        out += take;
        if (out + sizeof(cut) <= room)
            fits_with_cut = out;
    }
    to[out] = '\0';
    return out;
}

/* ---- secret names ---- */

/* A name without what is neither letter nor digit, in lower case, and where its words begin. */
struct plain_name {
    size_t len;
    char at[NAME_ROOM];
    bool starts[NAME_ROOM + 1];
};

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

/* The byte at *i, percent-decoded: a parameter may be called "pass%77ord". Steps over it. */
static char name_byte(const char *name, size_t len, size_t *i)
{
    char c = name[(*i)++];
    if (c != '%' || len - *i < 2 || hex_digit(name[*i]) < 0 || hex_digit(name[*i + 1]) < 0)
        return c;
    c = (char)(hex_digit(name[*i]) * 16 + hex_digit(name[*i + 1]));
    *i += 2;
    return c;
}

/* False: too long for a name. */
static bool make_plain(struct plain_name *plain, const char *name, size_t len)
{
    bool gap = true, was_lower = false;
    plain->len = 0;
    for (size_t i = 0; i < len;) {
        char c = name_byte(name, len, &i);
        if (!isalnum((unsigned char)c)) {
            gap = true;
            continue;
        }
        if (plain->len == NAME_ROOM)
            return false;
        bool upper = isupper((unsigned char)c) != 0;
        bool next_lower = i < len && islower((unsigned char)name[i]);
        plain->starts[plain->len] = gap || (upper && (was_lower || next_lower));
        plain->at[plain->len++] = (char)tolower((unsigned char)c);
        gap = false;
        was_lower = !upper;
    }
    plain->starts[plain->len] = true;
    return true;
}

static bool is_part_at(const struct plain_name *plain, size_t at, parts_by_letter parts, bool whole_words)
{
    char first = plain->at[at];
    if (first < 'a' || first > 'z')
        return false;
    for (const char *const *part = parts[first - 'a']; *part != NULL; part++) {
        size_t len = strlen(*part), end = at + len;
        if (end > plain->len || memcmp(plain->at + at, *part, len) != 0)
            continue;
        if (!whole_words || plain->starts[end] || isdigit((unsigned char)plain->at[end])) /* "cvv" in "card-cvv2" too */
            return true;
    }
    return false;
}

static bool holds_secret(const struct plain_name *plain)
{
    for (size_t i = 0; i < plain->len; i++)
        if (is_part_at(plain, i, secret_parts, false) || (plain->starts[i] && is_part_at(plain, i, secret_words, true)))
            return true;
    return false;
}

static bool is_denied(const struct veil *veil, const struct plain_name *plain, const char *name, size_t len)
{
    for (uint32_t i = 0; i < veil->deny_count; i++) {
        struct plain_name denied;
        size_t denied_len = strlen(veil->deny[i]);
        if (denied_len == len && strncasecmp(name, veil->deny[i], len) == 0)
            return true;
        if (denied_len >= plain->len && make_plain(&denied, veil->deny[i], denied_len) && denied.len > 0 &&
            denied.len == plain->len && memcmp(denied.at, plain->at, plain->len) == 0)
            return true;
    }
    return false;
}

bool redact_is_secret_name(const struct veil *veil, const char *name, size_t len)
{
    struct plain_name plain;
    return !make_plain(&plain, name, len) || holds_secret(&plain) || is_denied(veil, &plain, name, len);
}

bool redact_is_secret_header(const struct veil *veil, const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT(secret_headers); i++)
        if (strlen(secret_headers[i]) == len && strncasecmp(name, secret_headers[i], len) == 0)
            return true;
    return redact_is_secret_name(veil, name, len);
}

/* ---- values that look secret ---- */

static size_t run_of(const char *at, size_t len, const char *beside_letters)
{
    size_t n = 0;
    while (n < len && (isalnum((unsigned char)at[n]) || (at[n] != '\0' && strchr(beside_letters, at[n]) != NULL)))
        n++;
    return n;
}

/* eyJhbGciOi....eyJz...: RFC 7519. */
static bool is_jwt(const char *at, size_t len)
{
    if (len < 16 || memcmp(at, "eyJ", 3) != 0)
        return false;
    size_t head = run_of(at, len, "_-");
    return head >= 10 && head < len && at[head] == '.' && run_of(at + head + 1, len - head - 1, "_-") >= 4;
}

static bool is_key_block(const char *at, size_t len)
{
    return len >= 11 && memcmp(at, "-----BEGIN ", 11) == 0;
}

/* "Bearer abc", "Basic abc": the scheme and what follows it. */
static bool is_credentials(const char *at, size_t len)
{
    static const char *const schemes[] = {"bearer ", "basic "};
    for (size_t i = 0; i < COUNT(schemes); i++) {
        size_t n = strlen(schemes[i]);
        if (len > n + 7 && strncasecmp(at, schemes[i], n) == 0 && run_of(at + n, len - n, "-._~+/=") >= 8)
            return true;
    }
    return false;
}

/* "//user:password@host" */
static bool is_user_info(const char *at, size_t len)
{
    if (len < 6 || memcmp(at, "//", 2) != 0)
        return false;
    size_t user = 2;
    while (user < len && at[user] > ' ' && strchr("/?#@:\"'<>", at[user]) == NULL)
        user++;
    if (user == len || at[user] != ':')
        return false;
    while (user < len && at[user] > ' ' && strchr("/?#@\"'<>", at[user]) == NULL)
        user++;
    return user < len && at[user] == '@';
}

/* 13 to 19 digits, perhaps in groups, with the check digit of ISO/IEC 7812 and a first digit that payment cards have:
 * milliseconds since 1970 begin with 1. */
static bool is_card(const char *at, size_t len)
{
    char digits[CARD_MOST];
    size_t count = 0;
    if (at[0] < '2' || at[0] > '6')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (isdigit((unsigned char)at[i])) {
            if (count == CARD_MOST)
                return false;
            digits[count++] = (char)(at[i] - '0');
        } else if ((at[i] != ' ' && at[i] != '-') || i + 1 == len || !isdigit((unsigned char)at[i + 1])) {
            break;
        }
    }
    if (count < CARD_LEAST || (count == CARD_LEAST && at[0] != '4'))
        return false;
    unsigned sum = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned)digits[count - 1 - i] << (i & 1);
        sum += digit > 9 ? digit - 9 : digit;
    }
    return sum % 10 == 0;
}

static bool ends_name(const char *at, size_t len)
{
    while (len > 1 && *at == ' ' && (at[1] == ' ' || at[1] == '=' || at[1] == ':'))
        at++, len--;
    return len > 0 && *at != '\0' && strchr("=:>\"'", *at) != NULL;
}

/* "password=...", "\"token\": ...", "<secret>...", "name='pin' value=...": text that holds a secret of its own. */
static bool is_named_secret(const struct veil *veil, const char *at, size_t len)
{
    size_t name = run_of(at, len < NAME_ROOM ? len : NAME_ROOM, "_-.%[]"); /* "a[a[a[..." is begun at each letter */
    return name < len && name < NAME_ROOM && ends_name(at + name, len - name) && redact_is_secret_name(veil, at, name);
}

bool redact_looks_secret(const struct veil *veil, const char *at, size_t len)
{
    bool within_word = false, within_number = false;
    for (size_t i = 0; i < len; i++) {
        const char *here = at + i;
        size_t left = len - i;
        bool letter = isalnum((unsigned char)*here) || *here == '_' || *here == '%';
        bool digit = isdigit((unsigned char)*here) != 0;
        if (*here == '-' && is_key_block(here, left))
            return true;
        if (*here == '/' && is_user_info(here, left))
            return true;
        if (letter && !within_word &&
            (is_jwt(here, left) || is_credentials(here, left) || is_named_secret(veil, here, left)))
            return true;
        if (digit && !within_number && is_card(here, left))
            return true;
        within_word = letter || (within_word && (*here == '-' || *here == '.'));
        within_number = digit || (within_number && (*here == '.' || letter)) || (letter && !digit);
    }
    return false;
}

bool redact_is_data_name(const char *name, size_t len)
{
    size_t digits = 0;
    if (len > DATA_NAME_LENGTH)
        return true;
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '@' && i > 0) /* an address; "@type" is a name of JSON-LD, "@id" an attribute of XML */
            return true;
        digits += isdigit((unsigned char)name[i]) ? 1 : 0;
    }
    return digits >= DATA_NAME_DIGITS || (len > 0 && digits == len);
}

/* ---- values ---- */

/* The key is set once and lives in the context alone; a lock, as its state is used again for every value. */
static struct {
    pthread_once_t once;
    pthread_mutex_t lock;
    EVP_MAC_CTX *context; /* NULL: no libcrypto, no random bytes, or no memory. Lives as long as the process */
} hasher = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

static void draw_hash_key(void)
{
    unsigned char key[HASH_KEY_BYTES];
    char digest[] = "SHA256", why[LIBRARY_WHY_ROOM];
    if (!crypto_library_open(why))
        return;
    const OSSL_PARAM params[] = {libcrypto.param_text(OSSL_MAC_PARAM_DIGEST, digest, 0), libcrypto.param_end()};
    EVP_MAC *mac = libcrypto.mac_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = mac == NULL ? NULL : libcrypto.mac_context_new(mac);
    if (context != NULL && getrandom(key, sizeof(key), 0) == (ssize_t)sizeof(key) &&
        libcrypto.mac_init(context, key, sizeof(key), params) == 1)
        hasher.context = context;
    else
        libcrypto.mac_context_free(context);
    libcrypto.mac_free(mac);
    explicit_bzero(key, sizeof(key));
}

/* A string is not its number: the type counts. */
static bool hash(unsigned char sum[EVP_MAX_MD_SIZE], const char *type, const char *at, size_t len)
{
    size_t sum_len = 0;
    (void)pthread_mutex_lock(&hasher.lock);
    bool good = hasher.context != NULL && libcrypto.mac_init(hasher.context, NULL, 0, NULL) == 1 &&
                libcrypto.mac_update(hasher.context, (const unsigned char *)type, strlen(type) + 1) == 1 &&
                libcrypto.mac_update(hasher.context, (const unsigned char *)at, len) == 1 &&
                libcrypto.mac_final(hasher.context, sum, &sum_len, EVP_MAX_MD_SIZE) == 1 && sum_len >= HASH_SHOWN;
    (void)pthread_mutex_unlock(&hasher.lock);
    return good;
}

/* " #5f3a09bc11d2" of a value; "" where it cannot be made. */
static void write_hash(char to[2 + 2 * HASH_SHOWN + 1], const char *type, const char *at, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE];
    to[0] = '\0';
    (void)pthread_once(&hasher.once, draw_hash_key);
    if (!hash(sum, type, at, len))
        return;
    *to++ = ' ';
    *to++ = '#';
    for (size_t i = 0; i < HASH_SHOWN; i++) {
        *to++ = digits[sum[i] >> 4];
        *to++ = digits[sum[i] & 15];
    }
    *to = '\0';
}

void redact_value(char *to, size_t room, const struct veil *veil, bool secret, const char *type, int64_t count,
                  const char *at, size_t len)
{
    char hashed[2 + 2 * HASH_SHOWN + 1] = "";
    /* What is not shown need not be looked at, but for the end of what begins in it. */
    size_t seen = len < room + LOOKED_BEYOND ? len : room + LOOKED_BEYOND;
    if (veil->values == SAMPLES_NONE) {
        to[0] = '\0';
        return;
    }
    if (!secret && at != NULL && veil->values != SAMPLES_REDACTED)
        secret = redact_looks_secret(veil, at, seen);
    if (!secret && !veil_hides(veil)) {
        redact_clean(to, room, at, len);
        return;
    }
    if (!secret && veil->values == SAMPLES_HASHED && at != NULL)
        write_hash(hashed, type, at, len);
    if (count == NO_COUNT)
        snprintf(to, room, "<%s%s>", type, hashed);
    else
        snprintf(to, room, "<%s %" PRId64 "%s>", type, count, hashed);
}

/* ---- targets ---- */

struct writer {
    char *to;
    size_t room, len;
};

static void write_clean(struct writer *w, const char *at, size_t len)
{
    if (w->len + 1 < w->room)
        w->len += redact_clean(w->to + w->len, w->room - w->len, at, len);
}

static void write_hint(struct writer *w, const char *what, size_t len)
{
    char hint[48];
    int n = snprintf(hint, sizeof(hint), "<%s%zu>", what, len);
    if (n > 0)
        write_clean(w, hint, (size_t)n);
}

/* Long letters and digits in one word: a token of a link that somebody got by mail, or a UUID that is as good as one.
 */
static bool is_token(const char *at, size_t len)
{
    size_t digits = 0, letters = 0;
    for (size_t i = 0; i < len; i++) {
        digits += isdigit((unsigned char)at[i]) ? 1 : 0;
        letters += isalpha((unsigned char)at[i]) ? 1 : 0;
    }
    return digits >= DATA_SEGMENT_DIGITS || (len >= TOKEN_LENGTH && digits > 1 && letters > 0);
}

static bool is_data_segment(const struct veil *veil, const char *at, size_t len)
{
    return len > DATA_SEGMENT_LENGTH || memchr(at, '@', len) != NULL || memchr(at, '%', len) != NULL ||
           memchr(at, ';', len) != NULL || is_token(at, len) || redact_looks_secret(veil, at, len);
}

/* "/sessions/NAME": what follows a name of secrets is one. */
static void write_path(struct writer *w, const struct veil *veil, const char *path, size_t len)
{
    bool after_secret = false;
    for (size_t i = 0; i < len;) {
        const char *slash = memchr(path + i, '/', len - i);
        size_t segment = slash == NULL ? len - i : (size_t)(slash - (path + i));
        bool hide =
            veil_hides(veil) ? is_data_segment(veil, path + i, segment) : redact_looks_secret(veil, path + i, segment);
        if (segment > 0 && (hide || after_secret))
            write_hint(w, "", segment);
        else
            write_clean(w, path + i, segment);
        after_secret = redact_is_secret_name(veil, path + i, segment);
        if (slash != NULL)
            write_clean(w, "/", 1);
        i += segment + 1;
    }
}

/* A name that is data is not shown either. */
static void write_parameter(struct writer *w, const struct veil *veil, const char *at, size_t name, size_t len)
{
    bool redact = veil_hides(veil);
    bool hides_name = redact && (redact_is_data_name(at, name) || is_token(at, name));
    bool hides_value = redact || redact_is_secret_name(veil, at, name) || redact_looks_secret(veil, at, len);
    if (name == len && len > 0 && hides_value) { /* "?token-without-a-name" */
        write_hint(w, "string ", len);
        return;
    }
    if (hides_name)
        write_hint(w, "name ", name);
    else
        write_clean(w, at, name);
    if (name == len)
        return;
    write_clean(w, "=", 1);
    if (hides_value)
        write_hint(w, "string ", len - name - 1);
    else
        write_clean(w, at + name + 1, len - name - 1);
}

static void write_query(struct writer *w, const struct veil *veil, const char *query)
{
    while (*query != '\0') {
        size_t len = strcspn(query, "&");
        size_t name = strcspn(query, "=&");
        write_parameter(w, veil, query, name, len);
        query += len;
        if (*query == '&') {
            write_clean(w, "&", 1);
            query++;
        }
    }
}

void redact_target(char *to, size_t room, const struct veil *veil, const char *target)
{
    struct writer w = {.to = to, .room = room};
    size_t path = strcspn(target, "?");

    to[0] = '\0';
    write_path(&w, veil, target, path);
    if (target[path] == '?') {
        write_clean(&w, "?", 1);
        write_query(&w, veil, target + path + 1);
    }
}
