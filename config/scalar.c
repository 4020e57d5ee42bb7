/*
 * Scalars: numbers with units, addresses and URLs, read strictly and printed so that reading gives the same again.
 *
 * Called by the loader's types and by --dump. Opens nothing and resolves nothing: a host is only checked for its form.
 * Decimals are read by hand because strtod() follows the locale and accepts hexadecimal, infinities and blanks.
 */
#include "config/scalar.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Longest name first among equal beginnings: "ms" before "m". */
static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"ms", 1}, {"m", 60000}, {"s", 1000},
};

/* In the order they are printed. */
static const struct unit printed_durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

static const struct unit sizes[] = {
    {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"GB", 1000000000},
    {"MB", 1000000},     {"kB", 1000},        {"KB", 1000},        {"B", 1},
};

static const struct unit *unit_at(const char *text, const struct unit *units, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strncmp(text, units[i].name, strlen(units[i].name)) == 0)
            return &units[i];
    }
    return NULL;
}

/* Reads digits at *text and steps over them. */
static enum scalar_result digits(const char **text, uint64_t *value)
{
    const char *at = *text;
    uint64_t sum = 0;
    if (*at < '0' || *at > '9')
        return SCALAR_MALFORMED;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(sum, 10U, &sum) || __builtin_add_overflow(sum, (uint64_t)(*at - '0'), &sum))
            return SCALAR_TOO_LARGE;
    }
    *text = at;
    *value = sum;
    return SCALAR_OK;
}

enum scalar_result scalar_count(const char *text, uint64_t *count)
{
    uint64_t value;
    enum scalar_result result = digits(&text, &value);
    if (result != SCALAR_OK)
        return result;
    if (*text != '\0')
        return SCALAR_MALFORMED;
    *count = value;
    return SCALAR_OK;
}

/* ---- statuses ---- */

enum {
    STATUS_LEAST = 200,
    STATUS_MOST = 599
};

/* Three digits of a final answer's status; false when `text` does not begin with them. */
static bool status_at(const char *text, uint16_t *status)
{
    unsigned value = 0;
    for (int i = 0; i < 3; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *status = (uint16_t)value;
    return value >= STATUS_LEAST && value <= STATUS_MOST;
}

bool scalar_statuses(const char *text, uint16_t *from, uint16_t *to)
{
    size_t len = strlen(text);
    if (len == 3 && text[0] >= '2' && text[0] <= '5' && strcmp(text + 1, "xx") == 0) {
        *from = (uint16_t)((text[0] - '0') * 100);
        *to = (uint16_t)(*from + 99);
        return true;
    }
    if ((len != 3 && len != 7) || !status_at(text, from))
        return false;
    *to = *from;
    return len == 3 || (text[3] == '-' && status_at(text + 4, to) && *from <= *to);
}

void scalar_print_statuses(unsigned from, unsigned to, char out[SCALAR_TEXT_BYTES])
{
    if (from == to)
        (void)snprintf(out, SCALAR_TEXT_BYTES, "%u", from);
    else if (from % 100 == 0 && to == from + 99)
        (void)snprintf(out, SCALAR_TEXT_BYTES, "%uxx", from / 100);
    else
        (void)snprintf(out, SCALAR_TEXT_BYTES, "%u-%u", from, to);
}

enum scalar_result scalar_duration(const char *text, uint64_t *ms)
{
    uint64_t sum = 0;
    uint64_t last_factor = UINT64_MAX;
    do {
        uint64_t value;
        enum scalar_result result = digits(&text, &value);
        if (result != SCALAR_OK)
            return result;
        if (*text == '\0') {
            if (last_factor != UINT64_MAX || value != 0)
                return SCALAR_NO_UNIT;
            break;
        }
        const struct unit *unit = unit_at(text, durations, sizeof(durations) / sizeof(durations[0]));
        if (unit == NULL || unit->factor >= last_factor)
            return SCALAR_MALFORMED;
        if (__builtin_mul_overflow(value, unit->factor, &value) || __builtin_add_overflow(sum, value, &sum))
            return SCALAR_TOO_LARGE;
        last_factor = unit->factor;
        text += strlen(unit->name);
    } while (*text != '\0');
    *ms = sum;
    return SCALAR_OK;
}

void scalar_print_duration(uint64_t ms, char out[SCALAR_TEXT_BYTES])
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(printed_durations) / sizeof(printed_durations[0]); i++) {
        const struct unit *unit = &printed_durations[i];
        if (ms < unit->factor)
            continue;
        int wrote = snprintf(out + len, SCALAR_TEXT_BYTES - len, "%" PRIu64 "%s", ms / unit->factor, unit->name);
        len += wrote > 0 ? (size_t)wrote : 0;
        ms %= unit->factor;
    }
    if (len == 0)
        (void)snprintf(out, SCALAR_TEXT_BYTES, "0s");
}

enum scalar_result scalar_size(const char *text, uint64_t *bytes)
{
    uint64_t value;
    enum scalar_result result = digits(&text, &value);
    if (result != SCALAR_OK)
        return result;
    if (*text == '\0') {
        if (value != 0)
            return SCALAR_NO_UNIT;
        *bytes = 0;
        return SCALAR_OK;
    }
    const struct unit *unit = unit_at(text, sizes, sizeof(sizes) / sizeof(sizes[0]));
    if (unit == NULL || text[strlen(unit->name)] != '\0')
        return SCALAR_MALFORMED;
    if (__builtin_mul_overflow(value, unit->factor, &value))
        return SCALAR_TOO_LARGE;
    *bytes = value;
    return SCALAR_OK;
}

void scalar_print_size(uint64_t bytes, char out[SCALAR_TEXT_BYTES])
{
    for (size_t i = 0; i < 3; i++) { /* GiB, MiB, KiB */
        if (bytes >= sizes[i].factor && bytes % sizes[i].factor == 0) {
            (void)snprintf(out, SCALAR_TEXT_BYTES, "%" PRIu64 "%s", bytes / sizes[i].factor, sizes[i].name);
            return;
        }
    }
    (void)snprintf(out, SCALAR_TEXT_BYTES, "%" PRIu64 "B", bytes);
}

enum {
    DECIMAL_DIGITS = 9
}; /* few enough for a double to hold and to print again without a rest */

struct decimal {
    uint64_t digits; /* all of them, without the point */
    unsigned places; /* how many stand behind the point */
};

/* Reads "12" or "12.50" at *text and steps over it. Zeros at the end of the decimals do not count. */
static enum scalar_result decimal(const char **text, struct decimal *value)
{
    const char *at = *text;
    uint64_t sum = 0;
    unsigned places = 0;
    unsigned significant = 0;
    bool point = false;
    if (*at < '0' || *at > '9')
        return SCALAR_MALFORMED;
    for (; (*at >= '0' && *at <= '9') || (*at == '.' && !point); at++) {
        if (*at == '.') {
            if (at[1] < '0' || at[1] > '9')
                return SCALAR_MALFORMED;
            point = true;
            continue;
        }
        sum = sum * 10 + (uint64_t)(*at - '0');
        places += point ? 1U : 0U;
        significant += sum > 0 ? 1U : 0U;
        if (significant > DECIMAL_DIGITS || places > DECIMAL_DIGITS)
            return point ? SCALAR_TOO_FINE : SCALAR_TOO_LARGE;
    }
    while (places > 0 && sum % 10 == 0) {
        sum /= 10;
        places--;
    }
    *text = at;
    *value = (struct decimal){.digits = sum, .places = places};
    return SCALAR_OK;
}

/* Exact operands below 2^53 and a power of ten below 10^22: the quotient is the nearest double. */
static double decimal_value(const struct decimal *value, unsigned more_places)
{
    double power = 1;
    for (unsigned i = 0; i < value->places + more_places; i++)
        power *= 10;
    return (double)value->digits / power;
}

enum scalar_result scalar_share(const char *text, uint32_t *share)
{
    struct decimal value;
    enum scalar_result result = decimal(&text, &value);
    if (result != SCALAR_OK)
        return result;
    if (*text == '%')
        text++;
    if (*text != '\0')
        return SCALAR_MALFORMED;
    if (value.places > 2)
        return SCALAR_TOO_FINE;
    uint64_t sum = value.digits;
    for (unsigned i = value.places; i < 2; i++)
        sum *= 10;
    if (sum > UINT32_MAX)
        return SCALAR_TOO_LARGE;
    *share = (uint32_t)sum;
    return SCALAR_OK;
}

void scalar_print_share(uint32_t share, char out[SCALAR_TEXT_BYTES])
{
    unsigned whole = share / 100;
    unsigned rest = share % 100;
    if (rest == 0)
        (void)snprintf(out, SCALAR_TEXT_BYTES, "%u%%", whole);
    else if (rest % 10 == 0)
        (void)snprintf(out, SCALAR_TEXT_BYTES, "%u.%u%%", whole, rest / 10);
    else
        (void)snprintf(out, SCALAR_TEXT_BYTES, "%u.%02u%%", whole, rest);
}

enum scalar_result scalar_rate(const char *text, double *fraction)
{
    struct decimal value;
    enum scalar_result result = decimal(&text, &value);
    if (result != SCALAR_OK)
        return result;
    if (*text == '\0')
        return SCALAR_NO_UNIT;
    if (strcmp(text, "%") != 0)
        return SCALAR_MALFORMED;
    *fraction = decimal_value(&value, 2);
    return SCALAR_OK;
}

/* Plain digits without an exponent, as decimal() reads them, zeros at the end left out. */
static void print_plain(double value, const char *unit, char out[SCALAR_TEXT_BYTES])
{
    char text[SCALAR_TEXT_BYTES];
    int places = 0;
    for (double rest = value; places < DECIMAL_DIGITS && rest < 1e8; places++)
        rest *= 10;
    (void)snprintf(text, sizeof(text), "%.*f", places, value);
    char *point = strchr(text, '.');
    if (point != NULL) {
        size_t len = strlen(text);
        while (text[len - 1] == '0')
            text[--len] = '\0';
        if (text[len - 1] == '.')
            text[--len] = '\0';
    }
    (void)snprintf(out, SCALAR_TEXT_BYTES, "%.40s%.4s", text, unit);
}

void scalar_print_rate(double fraction, char out[SCALAR_TEXT_BYTES])
{
    print_plain(fraction * 100, "%", out);
}

enum scalar_result scalar_decimal(const char *text, double *value)
{
    struct decimal read;
    enum scalar_result result = decimal(&text, &read);
    if (result != SCALAR_OK)
        return result;
    if (*text != '\0')
        return SCALAR_MALFORMED;
    *value = decimal_value(&read, 0);
    return SCALAR_OK;
}

void scalar_print_decimal(double value, char out[SCALAR_TEXT_BYTES])
{
    print_plain(value, "", out);
}

/* ---- addresses ---- */

bool scalar_unix_path(const char *path, const char **why)
{
    if (path[0] != '/')
        *why = "the path of a unix socket must start with /";
    else if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        *why = "the path of a unix socket may have at most 107 bytes";
    else
        return true;
    return false;
}

/* RFC 1123 section 2.1: letters, digits and hyphens in labels of 1 to 63; an underscore is seen in practice. */
static bool is_host_name(const char *host)
{
    size_t label = 0;
    size_t len = strlen(host);
    if (len == 0 || len > 253)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = host[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        if (c == '.') {
            if (label == 0 || host[i - 1] == '-')
                return false;
            label = 0;
        } else if (letter || (c == '-' && label > 0)) {
            if (++label > 63)
                return false;
        } else {
            return false;
        }
    }
    return host[len - 1] != '-';
}

/* Digits and points only: meant as an IPv4 address, so it must be one. */
static bool looks_like_ipv4(const char *host)
{
    return host[strspn(host, "0123456789.")] == '\0';
}

static bool is_host(const char *host, bool bracketed, const char **why)
{
    unsigned char bytes[16];
    if (bracketed) {
        *why = "between [ and ] stands no IPv6 address";
        return inet_pton(AF_INET6, host, bytes) == 1;
    }
    if (host[0] == '\0') {
        *why = "the host is missing";
        return false;
    }
    if (strchr(host, ':') != NULL) {
        *why = "an IPv6 address must stand between [ and ]";
        return false;
    }
    if (looks_like_ipv4(host)) {
        *why = "the host is no IPv4 address";
        return inet_pton(AF_INET, host, bytes) == 1;
    }
    *why = "the host is neither a name nor an address";
    return is_host_name(host);
}

static bool is_port(const char *text, uint16_t *port, const char **why)
{
    uint64_t value;
    *why = "the port is no number from 0 to 65535";
    if (strlen(text) > 5 || scalar_count(text, &value) != SCALAR_OK || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

/* `text` is HOST, HOST:PORT, [V6] or [V6]:PORT. Port stays as it is when none is given and `port_needed` is false. */
static bool host_and_port(struct config_arena *arena, const char *text, bool port_needed,
                          struct config_address *address, const char **why)
{
    bool bracketed = text[0] == '[';
    const char *start = bracketed ? text + 1 : text;
    const char *end = bracketed ? strchr(start, ']') : strrchr(start, ':');
    if (bracketed && end == NULL) {
        *why = "the ] behind the IPv6 address is missing";
        return false;
    }
    if (end == NULL)
        end = start + strlen(start);
    const char *rest = bracketed ? end + 1 : end;
    if (*rest != '\0' && *rest != ':') {
        *why = "only :PORT may follow the ]";
        return false;
    }
    if (*rest == '\0' && port_needed) {
        *why = "the port is missing";
        return false;
    }
    if (*rest == ':' && !is_port(rest + 1, &address->port, why))
        return false;
    char *host = config_arena_text(arena, start, (size_t)(end - start));
    if (host == NULL) {
        *why = NULL;
        return false;
    }
    address->host = host;
    return is_host(host, bracketed, why);
}

bool scalar_address(struct config_arena *arena, const char *text, struct config_address *address, const char **why)
{
    struct config_address read = {0};
    read.text = config_arena_text(arena, text, strlen(text));
    *why = NULL;
    if (read.text == NULL)
        return false;
    if (strncmp(text, "unix:", 5) == 0) {
        read.unix_path = read.text + 5;
        if (!scalar_unix_path(read.unix_path, why))
            return false;
    } else if (strstr(text, "://") != NULL) {
        *why = "an address has no scheme";
        return false;
    } else if (!host_and_port(arena, text, true, &read, why)) {
        return false;
    }
    *address = read;
    return true;
}

bool scalar_host(struct config_arena *arena, const char *text, const char **why)
{
    struct config_address read = {.port = 1};
    if (!host_and_port(arena, text, false, &read, why))
        return false;
    if (read.port == 0)
        *why = "port 0 cannot be connected to";
    return read.port != 0;
}

bool scalar_host_port(struct config_arena *arena, const char *text, struct config_address *address, const char **why)
{
    struct config_address read = *address;
    *why = NULL;
    if (!host_and_port(arena, text, false, &read, why))
        return false;
    *address = read;
    return true;
}

bool scalar_server_name(const char *text, const char **why)
{
    unsigned char bytes[16];
    if (strchr(text, ':') == NULL)
        return is_host(text, false, why);
    *why = "it has a colon and is no IPv6 address";
    return inet_pton(AF_INET6, text, bytes) == 1;
}

bool scalar_web_url(struct config_arena *arena, const char *text, const char **why)
{
    static const char *const schemes[] = {"http://", "https://"};
    const char *host = NULL;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
            host = text + strlen(schemes[i]);
    }
    *why = host == NULL ? "it begins neither with http:// nor with https://" : NULL;
    for (const char *at = text; *at != '\0' && *why == NULL; at++) {
        if (*at <= 0x20 || *at >= 0x7f)
            *why = "it holds a blank or a byte beyond ASCII";
        else if (*at == '#')
            *why = "it has a fragment, which is never sent";
    }
    if (*why != NULL)
        return false;
    size_t len = strcspn(host, "/?");
    if (memchr(host, '@', len) != NULL) {
        *why = "it holds a user or a password";
        return false;
    }
    const char *copy = config_arena_text(arena, host, len);
    return copy != NULL && scalar_host(arena, copy, why);
}

/* What may not follow the host of a backend's URL. */
static const char *beyond_authority(const char *rest)
{
    if (strchr(rest, '@') != NULL)
        return "user info in a URL is refused: credentials belong to the client's request";
    if (strchr(rest, '?') != NULL)
        return "a query is refused: requests are forwarded with the query they came with";
    if (strchr(rest, '#') != NULL)
        return "a fragment has no meaning in the URL of a backend";
    const char *slash = strchr(rest, '/');
    if (slash != NULL && slash[1] != '\0')
        return "a path is refused: requests are forwarded with the path they came with";
    return NULL;
}

static bool http_authority(struct config_arena *arena, const char *rest, uint16_t port, struct config_address *address,
                           const char **why)
{
    *why = beyond_authority(rest);
    if (*why != NULL)
        return false;
    char *authority = config_arena_text(arena, rest, strcspn(rest, "/"));
    if (authority == NULL)
        return false;
    address->port = port;
    if (!host_and_port(arena, authority, false, address, why))
        return false;
    if (address->port == 0) {
        *why = "port 0 cannot be connected to";
        return false;
    }
    return true;
}

bool scalar_is_https(const char *url)
{
    return strncmp(url, "https://", 8) == 0;
}

bool scalar_backend_url(struct config_arena *arena, const char *text, struct config_address *address, const char **why)
{
    struct config_address read = {0};
    bool good = false;
    read.text = config_arena_text(arena, text, strlen(text));
    *why = NULL;
    if (read.text == NULL)
        return false;
    if (strncmp(text, "http://", 7) == 0) {
        good = http_authority(arena, text + 7, 80, &read, why);
    } else if (scalar_is_https(text)) {
        good = http_authority(arena, text + 8, 443, &read, why);
    } else if (strncmp(text, "unix:", 5) == 0 || strncmp(text, "http+unix:", 10) == 0) {
        read.unix_path = strchr(read.text, ':') + 1;
        good = scalar_unix_path(read.unix_path, why);
    } else {
        *why = "the scheme is missing or unknown";
    }
    if (good)
        *address = read;
    return good;
}

bool scalar_is_loopback(const struct config_address *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (address->unix_path != NULL)
        return true;
    if (inet_pton(AF_INET, address->host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, address->host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
    return strcasecmp(address->host, "localhost") == 0;
}
