/*
 * HTTP for one question and one answer, on a blocking command line: non-blocking socket, poll(), a deadline.
 *
 * The other end is shunt's admin server, which tells a Content-Length; what is not such an answer is refused with a
 * hint that something else may listen there. Retries nothing, keeps nothing open.
 */
#include "tools/shuntctl/client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    ANSWER_BYTES_MOST = 64 * 1024 * 1024,
    READ_BYTES = 64 * 1024
};

static void __attribute__((format(printf, 2, 3))) say(char **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vasprintf(error, format, args) < 0)
        *error = NULL;
    va_end(args);
}

/* ---- who to talk to ---- */

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= 5 && text[digits] == '\0' && atoi(text) > 0 && atoi(text) <= 65535;
}

bool client_init(struct client *client, const char *admin, uint64_t timeout_ms, char **error)
{
    *client = (struct client){.timeout_ms = timeout_ms};
    *error = NULL;
    const char *at = strncmp(admin, "http://", 7) == 0 ? admin + 7 : admin;
    size_t all = strcspn(at, "/");
    char text[CLIENT_HOST_ROOM + 8];
    if (strncmp(admin, "https://", 8) == 0 || all >= sizeof(text) || (at[all] == '/' && at[all + 1] != '\0'))
        goto bad;
    memcpy(text, at, all);
    text[all] = '\0';
    char *colon = strrchr(text, ':'), *host = text;
    if (colon == NULL || !is_port(colon + 1))
        goto bad;
    *colon = '\0';
    size_t length = strlen(host);
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        host++;
    } else if (strchr(host, ':') != NULL) {
        goto bad;
    }
    if (strlen(host) >= sizeof(client->host))
        goto bad;
    strcpy(client->host, host[0] != '\0' ? host : "127.0.0.1");
    snprintf(client->port, sizeof(client->port), "%s", colon + 1);
    return true;
bad:
    say(error, "--admin: \"%s\" is not an admin address; expected HOST:PORT, such as 127.0.0.1:9901", admin);
    return false;
}

bool client_set_token(struct client *client, const char *token, const char *source, char **error)
{
    size_t length = strcspn(token, "\r\n");
    *error = NULL;
    bool whole = token[length + strspn(token + length, "\r\n")] == '\0';
    for (size_t i = 0; i < length; i++)
        whole &= (unsigned char)token[i] > 0x20 && (unsigned char)token[i] < 0x7f;
    if (!whole || length == 0 || length >= sizeof(client->token)) {
        say(error, "%s: this is not a token; expected one line of at most %d printable characters", source,
            CLIENT_TOKEN_ROOM - 1);
        return false;
    }
    memcpy(client->token, token, length);
    client->token[length] = '\0';
    return true;
}

bool client_read_token(struct client *client, const char *file, char **error)
{
    char text[CLIENT_TOKEN_ROOM + 2];
    FILE *in = fopen(file, "re");
    *error = NULL;
    if (in == NULL) {
        say(error, "--token-file: %s: %s; name a file that you may read", file, strerror(errno));
        return false;
    }
    size_t length = fread(text, 1, sizeof(text) - 1, in);
    bool failed = ferror(in) != 0;
    fclose(in);
    text[length] = '\0';
    if (failed) {
        say(error, "--token-file: %s: it cannot be read; name a file, not a folder", file);
        return false;
    }
    return client_set_token(client, text, file, error);
}

/* ---- waiting ---- */

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits until the socket can be read or written; false with errno, ETIMEDOUT at the deadline. */
static bool wait_for(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now = now_ms();
        struct pollfd wanted = {.fd = fd, .events = events};
        int ready = now >= deadline_ms ? 0 : poll(&wanted, 1, (int)(deadline_ms - now));
        if (ready > 0)
            return true;
        if (ready == 0) {
            errno = ETIMEDOUT;
            return false;
        }
        if (errno != EINTR)
            return false;
    }
}

static int connect_to(const struct addrinfo *address, uint64_t deadline_ms)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), fault = 0;
    socklen_t length = sizeof(fault);
    if (fd < 0)
        return -1;
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return fd;
    if (errno == EINPROGRESS && wait_for(fd, POLLOUT, deadline_ms) &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &length) == 0) {
        if (fault == 0)
            return fd;
        errno = fault;
    }
    fault = errno;
    close(fd);
    errno = fault;
    return -1;
}

static int open_connection(const struct client *client, uint64_t deadline_ms, char **error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int fault = getaddrinfo(client->host, client->port, &hints, &found), fd = -1;
    if (fault != 0) {
        say(error, "cannot reach shunt at %s:%s: %s; is admin.address right? (--admin)", client->host, client->port,
            gai_strerror(fault));
        return -1;
    }
    for (const struct addrinfo *address = found; address != NULL && fd < 0; address = address->ai_next)
        fd = connect_to(address, deadline_ms);
    if (fd < 0)
        say(error, "cannot reach shunt at %s:%s: %s; is it running, and is admin.address right? (--admin)",
            client->host, client->port, strerror(errno));
    freeaddrinfo(found);
    return fd;
}

/* ---- question ---- */

static char *request_text(const struct client *client, const char *method, const char *path, const char *body)
{
    char *text = NULL;
    bool v6 = strchr(client->host, ':') != NULL;
    size_t length = body != NULL ? strlen(body) : 0;
    int printed = asprintf(&text,
                           "%s %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUser-Agent: shuntctl/%s\r\nConnection: close\r\n"
                           "%s%s%s%sContent-Length: %zu\r\n\r\n%s",
                           method, path, v6 ? "[" : "", client->host, v6 ? "]" : "", client->port, SHUNT_VERSION,
                           client->token[0] != '\0' ? "Authorization: Bearer " : "", client->token,
                           client->token[0] != '\0' ? "\r\n" : "",
                           body != NULL ? "Content-Type: application/json\r\n" : "", length, body != NULL ? body : "");
    return printed < 0 ? NULL : text;
}

static bool send_all(int fd, const char *text, uint64_t deadline_ms)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t sent = send(fd, text, left, MSG_NOSIGNAL);
        if (sent > 0) {
            text += sent;
            left -= (size_t)sent;
        } else if (errno != EINTR && (errno != EAGAIN || !wait_for(fd, POLLOUT, deadline_ms))) {
            return false;
        }
    }
    return true;
}

/* ---- answer ---- */

struct received {
    char *at;
    size_t length, room;
};

/* Reads on to the end; the connection closes behind the answer. False with errno. */
static bool receive_all(int fd, struct received *received, uint64_t deadline_ms)
{
    for (;;) {
        if (received->room - received->length < READ_BYTES + 1) {
            size_t room = received->room * 2 + READ_BYTES + 1;
            char *at = room <= ANSWER_BYTES_MOST ? realloc(received->at, room) : NULL;
            if (at == NULL) {
                errno = room <= ANSWER_BYTES_MOST ? ENOMEM : EFBIG;
                return false;
            }
            received->at = at;
            received->room = room;
        }
        ssize_t got = recv(fd, received->at + received->length, READ_BYTES, 0);
        if (got == 0)
            break;
        if (got > 0)
            received->length += (size_t)got;
        else if (errno != EINTR && (errno != EAGAIN || !wait_for(fd, POLLIN, deadline_ms)))
            return false;
    }
    received->at[received->length] = '\0';
    return true;
}

/* The value of a field in the head's lines, or NULL. */
static const char *field_value(const char *head, const char *end, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL && line < end; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1 + strspn(line + length + 1, " \t");
    }
    return NULL;
}

/* The media type, without its parameters' blanks; what does not fit is none. */
static void read_type(const char *head, const char *end, char *type, size_t room)
{
    const char *text = field_value(head, end, "Content-Type");
    size_t length = text != NULL ? strcspn(text, "\r\n") : 0;
    if (length >= room)
        length = 0;
    memcpy(type, text != NULL ? text : "", length);
    type[length] = '\0';
}

/* How an answer was found. */
enum reading {
    READ_WHOLE,
    READ_NOTHING, /* closed before a byte */
    READ_TORN,    /* less than its Content-Length */
    READ_STRANGE, /* not one of shunt's */
};

/* Takes the answer apart in place. */
static enum reading read_answer(struct received *received, struct answer *answer)
{
    int minor, status;
    char *end = strstr(received->at, "\r\n\r\n");
    if (received->length == 0)
        return READ_NOTHING;
    if (end == NULL || sscanf(received->at, "HTTP/1.%1d %3d", &minor, &status) != 2 ||
        field_value(received->at, end, "Transfer-Encoding") != NULL)
        return READ_STRANGE;
    const char *text = field_value(received->at, end, "Content-Length");
    size_t there = received->length - (size_t)(end + 4 - received->at);
    unsigned long long told = text != NULL ? strtoull(text, NULL, 10) : there;
    if (told != there)
        return told > there ? READ_TORN : READ_STRANGE;
    answer->status = status;
    read_type(received->at, end, answer->type, sizeof(answer->type));
    answer->length = there;
    memmove(received->at, end + 4, there + 1);
    answer->body = received->at;
    return READ_WHOLE;
}

/* A change whose answer got lost may have been made: nobody should learn that from a second one. */
static const char *perhaps_done(const char *method)
{
    return strcmp(method, "POST") == 0 ? "; it may have been done all the same: see `shuntctl history`" : "";
}

/* No answer, for errno's reason. */
static void say_unanswered(const struct client *client, const char *method, char **error)
{
    int fault = errno;
    const char *perhaps = perhaps_done(method);
    if (fault == ETIMEDOUT)
        say(error,
            "no answer from shunt at %s:%s within %g s; is it busy (--timeout), and is admin.address right? "
            "(--admin)%s",
            client->host, client->port, (double)client->timeout_ms / 1000, perhaps);
    else if (fault == EFBIG)
        say(error, "%s:%s answers with more than %d MiB, and not like shunt; is admin.address right? (--admin)%s",
            client->host, client->port, ANSWER_BYTES_MOST / (1024 * 1024), perhaps);
    else
        say(error, "no answer from shunt at %s:%s: %s; does it still run, and is admin.address right? (--admin)%s",
            client->host, client->port, strerror(fault), perhaps);
}

static void say_unreadable(const struct client *client, const char *method, enum reading reading, char **error)
{
    static const char *const faults[] = {
        [READ_NOTHING] = "closes the connection without an answer; does shunt end, and is admin.address right?",
        [READ_TORN] = "ends before its answer is whole; ask again, and see shunt's log if that does not help",
        [READ_STRANGE] = "does not answer like shunt; is admin.address right?",
    };
    say(error, "%s:%s %s%s%s", client->host, client->port, faults[reading], reading == READ_TORN ? "" : " (--admin)",
        perhaps_done(method));
}

bool client_call(const struct client *client, const char *method, const char *path, const char *body,
                 struct answer *answer, char **error)
{
    struct received received = {0};
    uint64_t deadline_ms = now_ms() + client->timeout_ms;
    *error = NULL;
    char *text = request_text(client, method, path, body);
    int fd = text != NULL ? open_connection(client, deadline_ms, error) : -1;
    bool done = false;
    if (fd < 0)
        goto out;
    if (!send_all(fd, text, deadline_ms) || !receive_all(fd, &received, deadline_ms)) {
        say_unanswered(client, method, error);
    } else {
        enum reading reading = read_answer(&received, answer);
        done = reading == READ_WHOLE;
        if (!done)
            say_unreadable(client, method, reading, error);
    }
out:
    if (!done)
        free(received.at);
    if (fd >= 0)
        close(fd);
    if (text != NULL)
        explicit_bzero(text, strlen(text)); /* it has the token */
    free(text);
    return done;
}
