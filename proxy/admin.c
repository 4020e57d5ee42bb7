/*
 * The admin server: listens, guards the door, finds the endpoint, reads the body, calls the handler.
 *
 * Runs on the control thread's loop over evhttp. evhttp has no limit of its own on heads, bodies and patience, so all
 * three are set here; it answers what is not HTTP by itself. What endpoints do is in admin_views.c, admin_verbs.c,
 * admin_report.c and admin_explain.c; which there are, in admin_endpoints.c.
 */
#include "proxy/admin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "config/config.h"
#include "proxy/admin_body.h"
#include "proxy/admin_guard.h"
#include "proxy/admin_handlers.h"
#include "proxy/admin_reply.h"
#include "proxy/admin_request.h"
#include "proxy/admin_token.h"
#include "proxy/control.h"
#include "proxy/descriptors.h"

enum {
    HEAD_BYTES = 16 * 1024,
    BODY_HARD_BYTES = 4 * ADMIN_BODY_BYTES, /* beyond it evhttp answers itself, in HTML; up to it we do, in JSON */
    PATIENCE_S = 15,                        /* without a byte either way */
    BACKLOG = 64,
    ACCEPT_AGAIN_MS = 100, /* after there was no descriptor, not even of those that are kept for us */
};

struct admin {
    struct control *control; /* borrowed */
    struct evhttp *http;
    struct admin_reports *reports;   /* owned */
    struct evconnlistener *listener; /* borrowed from http */
    struct event *again;             /* accepting goes on; owned */
    rlim_t former_limit;             /* of descriptors, while `lent` */
    bool lent;
    int port;
    bool loopback;
    char *host;  /* of admin.address at start */
    char *token; /* at start; stays in force beyond loopback, whatever a reload says */
};

/* The one that serves: evhttp's listener has no room for a context of ours with its errors. */
static struct admin *serving;

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *in6 = (const void *)address;
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* A listening socket at the first address of the host that can be had; else -1 with errno. */
static int listen_at(const struct addrinfo *found, bool *loopback)
{
    int fault = EADDRNOTAVAIL;
    for (; found != NULL; found = found->ai_next) {
        int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int yes = 1;
        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
            bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
            *loopback = is_loopback(found->ai_addr);
            return fd;
        }
        fault = errno;
        if (fd >= 0)
            close(fd);
    }
    errno = fault;
    return -1;
}

static int port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address = {0};
    socklen_t length = sizeof(address);
    if (getsockname(fd, &address.any, &length) < 0)
        return -1;
    return ntohs(address.any.sa_family == AF_INET6 ? address.in6.sin6_port : address.in.sin_port);
}

static void __attribute__((format(printf, 2, 3))) say(char **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vasprintf(error, format, args) < 0)
        *error = NULL;
    va_end(args);
}

static int open_socket(struct admin *admin, const struct config_address *address, char **error)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    if (address->host == NULL) {
        say(error, "admin.address: %s: a unix socket cannot be served here; expected HOST:PORT", address->text);
        return -1;
    }
    snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    int fault = getaddrinfo(address->host, port, &hints, &found);
    if (fault != 0) {
        say(error, "admin.address: %s: %s; use an address of this machine, such as 127.0.0.1:9901", address->text,
            gai_strerror(fault));
        return -1;
    }
    int fd = listen_at(found, &admin->loopback);
    if (fd < 0)
        say(error, "admin.address: %s: cannot listen: %s; choose another port, or 0 for any free one", address->text,
            strerror(errno));
    freeaddrinfo(found);
    return fd;
}

/* The token to ask for now; NULL when there is none. That of the file as it is now goes to `room`; without room, where
 * it only matters that there is one, the file is not read. */
static const char *current_token(const struct admin *admin, char *room)
{
    const struct config *config = control_config(admin->control);
    if (config != NULL && config->admin.token != NULL)
        return room != NULL && admin_token_read(config->admin.token_file, room) ? room : config->admin.token;
    return admin->loopback && config != NULL ? NULL : admin->token;
}

static bool admits(const struct admin *admin, struct evhttp_request *http, const struct admin_endpoint *endpoint)
{
    struct evkeyvalq *headers = evhttp_request_get_input_headers(http);
    struct admin_fault fault;
    char token[ADMIN_TOKEN_ROOM];
    enum admin_access access = endpoint == NULL ? ADMIN_SECRET : endpoint->access;
    struct admin_visitor visitor = {
        .host = evhttp_find_header(headers, "Host"),
        .origin = evhttp_find_header(headers, "Origin"),
        .fetch_site = evhttp_find_header(headers, "Sec-Fetch-Site"),
        .authorization = evhttp_find_header(headers, "Authorization"),
        .token = current_token(admin, access == ADMIN_SECRET ? token : NULL),
        .configured_host = admin->host,
        .changes = endpoint == NULL || endpoint->method == EVHTTP_REQ_POST,
        .access = access,
    };
    bool admitted = admin_guard_admits(&visitor, &fault);
    if (access == ADMIN_SECRET)
        explicit_bzero(token, sizeof(token));
    if (admitted)
        return true;
    if (fault.status == 401)
        evhttp_add_header(evhttp_request_get_output_headers(http), "WWW-Authenticate", "Bearer realm=\"shunt\"");
    admin_reply_fault(http, &fault);
    return false;
}

static void reply_not_found(struct evhttp_request *http, const char *path, const char *allow)
{
    char *verbs = allow[0] == '\0' ? admin_endpoint_verbs(path) : NULL;
    if (allow[0] == '\0') {
        admin_reply_error(http, 404, "no_such_path", verbs != NULL ? verbs : "GET / lists the endpoints",
                          "there is nothing at %.200s", path);
        free(verbs);
        return;
    }
    evhttp_add_header(evhttp_request_get_output_headers(http), "Allow", allow);
    admin_reply_error(http, 405, "wrong_method", "use what it takes; GET / lists the endpoints", "%.200s takes %s only",
                      path, allow);
}

/* The body as a checked object. False: answered. */
static bool read_body(struct admin_request *request)
{
    struct evbuffer *input = evhttp_request_get_input_buffer(request->http);
    size_t length = evbuffer_get_length(input);
    if (length > ADMIN_BODY_BYTES) {
        admin_reply_error(request->http, 413, "body_too_large",
                          "send less: the largest body anything needs is a few hundred bytes",
                          "the body has more than %d bytes", ADMIN_BODY_BYTES);
        return false;
    }
    const char *bytes = length > 0 ? (const char *)evbuffer_pullup(input, -1) : "";
    char *error = NULL;
    request->body = bytes != NULL ? admin_body_read(bytes, length, request->endpoint->fields, &error) : NULL;
    if (request->body != NULL)
        return true;
    admin_reply_error(request->http, error != NULL ? 400 : 500, error != NULL ? "bad_body" : "out_of_memory",
                      "docs/admin-api.md shows each endpoint's body", "%s", error != NULL ? error : "out of memory");
    free(error);
    return false;
}

static void handle(struct admin_request *request, const char *query)
{
    if (query != NULL && evhttp_parse_query_str(query, &request->query) < 0) {
        admin_reply_error(request->http, 400, "bad_query", "percent-encode names and values",
                          "the query cannot be read");
        return;
    }
    if (request->endpoint->method != EVHTTP_REQ_POST || read_body(request))
        request->endpoint->handle(request);
}

static void on_request(struct evhttp_request *http, void *context)
{
    struct admin *admin = context;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
    const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
    const char *query = uri != NULL ? evhttp_uri_get_query(uri) : NULL;
    struct admin_request request = {.control = admin->control, .reports = admin->reports, .http = http};
    char allow[32] = "";
    if (path == NULL || path[0] == '\0')
        path = "/";
    request.endpoint = admin_endpoint_find(path, evhttp_request_get_command(http), request.route, allow);
    if (!admits(admin, http, request.endpoint))
        return;
    if (request.endpoint == NULL) {
        reply_not_found(http, path, allow);
        return;
    }
    TAILQ_INIT(&request.query);
    handle(&request, query);
    evhttp_clear_headers(&request.query);
    json_decref(request.body);
}

/* Left to itself, evhttp closes a socket before it takes it out of the loop: by then the number may be another
 * thread's. */
static struct bufferevent *new_bufferevent(struct event_base *base, void *context)
{
    (void)context;
    return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
}

/* ---- accepting without descriptors ---- */

static void take_back(struct admin *admin)
{
    if (admin->lent)
        descriptors_take_back(admin->former_limit);
    admin->lent = false;
}

static void on_again(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct admin *admin = context;
    take_back(admin);
    (void)evconnlistener_enable(admin->listener);
}

/*
 * Clients have all descriptors, and who asks whether we live is to hear so all the same: it gets one of those that are
 * kept. The loop comes back to the listener before it comes to the timer. Without a descriptor even so, accepting rests
 * for a moment, as the loop would come back again and again.
 */
static void on_accept_failed(struct evconnlistener *listener, void *http)
{
    (void)http;
    struct admin *admin = serving;
    struct timeval soon = {.tv_usec = ACCEPT_AGAIN_MS * 1000};
    if (errno == EMFILE && !admin->lent && descriptors_lend(&admin->former_limit)) {
        admin->lent = true;
        soon.tv_usec = 0;
    } else {
        take_back(admin);
        (void)evconnlistener_disable(listener);
    }
    if (event_add(admin->again, &soon) < 0) /* without memory it goes on at once */
        on_again(-1, 0, admin);
}

static bool accept_from(struct admin *admin, int fd)
{
    struct evhttp_bound_socket *bound = evhttp_accept_socket_with_handle(admin->http, fd);
    if (bound == NULL)
        return false;
    serving = admin;
    admin->listener = evhttp_bound_socket_get_listener(bound);
    evconnlistener_set_error_cb(admin->listener, on_accept_failed);
    return true;
}

static bool serve(struct admin *admin, int fd)
{
    admin->http = evhttp_new(control_base(admin->control));
    admin->reports = admin_reports_new(control_base(admin->control));
    admin->again = event_new(control_base(admin->control), -1, 0, on_again, admin);
    if (admin->http == NULL || admin->reports == NULL || admin->again == NULL)
        return false;
    evhttp_set_max_headers_size(admin->http, HEAD_BYTES);
    evhttp_set_max_body_size(admin->http, BODY_HARD_BYTES);
    evhttp_set_flags(admin->http, EVHTTP_SERVER_LINGERING_CLOSE); /* a refused body is read away, so that 413 arrives */
    evhttp_set_timeout(admin->http, PATIENCE_S);
    evhttp_set_allowed_methods(admin->http, UINT16_MAX); /* all come to us: the answer is 405, not evhttp's 501 */
    evhttp_set_bevcb(admin->http, new_bufferevent, NULL);
    evhttp_set_gencb(admin->http, on_request, admin);
    return accept_from(admin, fd);
}

struct admin *admin_start(struct control *control, const struct config_admin *config, char **error)
{
    *error = NULL;
    int fd = -1;
    struct admin *admin = calloc(1, sizeof(*admin));
    if (admin == NULL)
        goto no_memory;
    admin->control = control;
    fd = open_socket(admin, &config->address, error);
    if (fd < 0)
        goto fail;
    if (!admin->loopback && config->token == NULL) {
        say(error, "admin.address: %s can be reached by others; set admin.token_file, or listen at 127.0.0.1",
            config->address.text);
        goto fail;
    }
    admin->port = port_of(fd);
    admin->host = strdup(config->address.host);
    admin->token = config->token != NULL ? strdup(config->token) : NULL;
    if (admin->host == NULL || (config->token != NULL && admin->token == NULL) || !serve(admin, fd))
        goto no_memory;
    return admin;
no_memory:
    say(error, "admin.address: %s: out of memory", config->address.text);
fail:
    if (fd >= 0)
        close(fd);
    admin_stop(admin);
    return NULL;
}

void admin_stop(struct admin *admin)
{
    if (admin == NULL)
        return;
    if (serving == admin)
        serving = NULL;
    take_back(admin);
    if (admin->again != NULL)
        event_free(admin->again);
    admin_reports_refuse(admin->reports);
    if (admin->http != NULL)
        evhttp_free(admin->http);
    admin_reports_free(admin->reports); /* evhttp tells it of every connection it closes */
    free(admin->host);
    free(admin->token);
    free(admin);
}

int admin_port(const struct admin *admin)
{
    return admin->port;
}
