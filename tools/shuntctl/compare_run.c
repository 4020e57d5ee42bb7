/*
 * The sender of `compare`: libcurl's multi interface, one thread. A slot is one recorded request on its way to both
 * sides, and for a share of the safe ones to legacy a second time; when all its answers have ended, the pairs are
 * judged and the slot takes the next request.
 *
 * Answers go into the same captures that live traffic fills: raw bytes, nothing decoded, nothing followed, at most
 * max_body kept, and trailers. HTTP/1.1, but for gRPC, which has to be HTTP/2. Bounds: slots by the concurrency, starts
 * by the rate, each answer by the time-out.
 */
#include "tools/shuntctl/compare_run.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <curl/curl.h>

enum {
    HEAD_BYTES_MOST = 64 * 1024,
    POLL_MS = 100
};

enum leg {
    LEG_PRIMARY, /* legacy */
    LEG_SHADOW,  /* new */
    LEG_NOISE,   /* legacy again */
    LEGS
};

struct transfer {
    struct slot *slot;       /* borrowed */
    CURL *easy;              /* owned; kept from one request to the next, and with it its connection */
    struct capture *capture; /* borrowed from the slot */
    char *head;              /* owned: lines of the head under way */
    size_t head_length;
    unsigned status;
    bool in_body, too_large; /* in_body: also behind it, where `head` has trailers */
};

struct slot {
    struct run *run; /* borrowed */
    struct pair *pair;
    struct capture noise;
    struct transfer legs[LEGS];
    struct curl_slist *lines; /* owned: the request's header lines */
    unsigned under_way;
    bool busy, twice;
};

struct sender {
    struct run *run;
    CURLM *multi;
    struct slot *slots;
    size_t next, done, sent;
    uint64_t started_us;
    double noise_due;
};

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- what comes back ---- */

/* "HTTP/1.1 200 OK": a new head, as after 100 Continue. */
static bool starts_head(const char *line, size_t length, unsigned *status)
{
    if (length < 12 || strncasecmp(line, "HTTP/", 5) != 0)
        return false;
    const char *blank = memchr(line, ' ', length);
    if (blank == NULL || (size_t)(blank - line) + 4 > length)
        return false;
    *status = 0;
    for (int i = 1; i <= 3; i++)
        *status = *status * 10 + (unsigned)((blank[i] - '0') & 15);
    return true;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t length = size * count, text = length;
    if (!transfer->in_body && starts_head(line, length, &transfer->status)) {
        transfer->head_length = 0;
        return length;
    }
    while (text > 0 && (line[text - 1] == '\n' || line[text - 1] == '\r'))
        text--;
    if (text == 0) {
        if (transfer->status >= 200 && !transfer->in_body) {
            capture_head(transfer->capture, transfer->status, transfer->head, transfer->head_length);
            transfer->head_length = 0;
            transfer->in_body = true;
        }
        return length;
    }
    if (transfer->head_length + text + 2 > HEAD_BYTES_MOST) {
        transfer->too_large = true;
        return 0;
    }
    memcpy(transfer->head + transfer->head_length, line, text);
    memcpy(transfer->head + transfer->head_length + text, "\r\n", 2);
    transfer->head_length += text + 2;
    return length;
}

static size_t on_body(char *at, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    capture_body(transfer->capture, at, size * count);
    return size * count;
}

static enum outcome_kind outcome_of(const struct transfer *transfer, CURLcode code)
{
    if (transfer->too_large)
        return OUTCOME_BAD_RESPONSE;
    switch (code) {
    case CURLE_OK:
        return transfer->capture->status != 0 ? OUTCOME_OK : OUTCOME_BAD_RESPONSE; /* HTTP/0.9 has no head */
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return OUTCOME_CONNECT_FAILED;
    case CURLE_OPERATION_TIMEDOUT:
        return OUTCOME_TIMEOUT;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return OUTCOME_RESET;
    default:
        return OUTCOME_BAD_RESPONSE;
    }
}

static enum side side_of(enum leg leg)
{
    return leg == LEG_SHADOW ? SIDE_NEW : SIDE_LEGACY;
}

static void note_fault(struct run_side *side, CURLcode code, enum outcome_kind kind)
{
    if (kind == OUTCOME_OK)
        return;
    if (side->failed++ == 0)
        snprintf(side->fault, sizeof(side->fault), "%s",
                 code == CURLE_SSL_CACERT_BADFILE
                     ? "this machine has no list of certificate authorities (Debian's package ca-certificates is one)"
                     : curl_easy_strerror(code));
}

static void end_transfer(struct transfer *transfer, CURLcode code)
{
    struct slot *slot = transfer->slot;
    curl_off_t whole_us = 0, before_us = 0;
    enum outcome_kind kind = outcome_of(transfer, code);
    curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &whole_us);
    curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T,
                      &before_us); /* connecting is not the answer's time */
    if (transfer->in_body)
        capture_trailers(transfer->capture, transfer->head, transfer->head_length);
    capture_end(transfer->capture, kind, whole_us > before_us ? (uint64_t)(whole_us - before_us) : 0);
    note_fault(&slot->run->side[side_of((enum leg)(transfer - slot->legs))], code, kind);
    slot->under_way--;
}

static void judge_slot(struct slot *slot)
{
    struct run *run = slot->run;
    struct pair *pair = slot->pair;
    pair->kind = PAIR_CROSS;
    run->judge(run->context, pair);
    if (slot->twice) {
        struct capture other = pair->shadow_capture;
        pair->kind = PAIR_NOISE;
        pair->shadow_capture = slot->noise;
        run->judge(run->context, pair);
        slot->noise = pair->shadow_capture;
        pair->shadow_capture = other;
    }
}

static void empty_slot(struct slot *slot)
{
    curl_slist_free_all(slot->lines);
    slot->lines = NULL;
    slot->busy = false;
}

/* ---- what is sent ---- */

static bool names_header(const char *line, const char *name)
{
    size_t length = strcspn(name, ":;");
    return strncasecmp(line, name, length) == 0 && (line[length] == ':' || line[length] == ';');
}

static bool is_replaced(const struct run *run, const char *line)
{
    for (size_t i = 0; i < run->header_count; i++)
        if (names_header(line, run->headers[i]))
            return true;
    return false;
}

static bool append(struct curl_slist **lines, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*lines, line);
    if (longer != NULL)
        *lines = longer;
    return longer != NULL;
}

static bool has_line(const struct curl_slist *lines, const char *name)
{
    for (; lines != NULL; lines = lines->next)
        if (names_header(lines->data, name))
            return true;
    return false;
}

/* gRPC is HTTP/2 only; gRPC-Web is not. */
static bool is_grpc(const struct curl_slist *lines)
{
    static const char type[] = "application/grpc";
    for (; lines != NULL; lines = lines->next) {
        const char *value = names_header(lines->data, "Content-Type:") ? strchr(lines->data, ':') : NULL;
        if (value == NULL)
            continue;
        value += 1 + strspn(value + 1, " \t");
        size_t length = sizeof(type) - 1;
        return strncasecmp(value, type, length) == 0 && value[length] != '-';
    }
    return false;
}

/* Recorded lines, those of the command line, and for curl which of its own to leave out. False without memory. */
static bool make_lines(struct slot *slot, const struct recorded *one)
{
    static const char *const of_curl[] = {"Accept:", "Content-Type:", "Expect:", "User-Agent:"};
    const struct run *run = slot->run;
    bool good = true;
    for (size_t i = 0; i < one->header_count; i++)
        if (!is_replaced(run, one->headers[i]))
            good = good && append(&slot->lines, one->headers[i]);
    for (size_t i = 0; i < run->header_count; i++)
        if (run->headers[i][strcspn(run->headers[i], ":") + 1] != '\0')
            good = good && append(&slot->lines, run->headers[i]);
    for (size_t i = 0; i < sizeof(of_curl) / sizeof(of_curl[0]); i++)
        if (!has_line(slot->lines, of_curl[i]))
            good = good && append(&slot->lines, of_curl[i]);
    return good && (!is_grpc(slot->lines) || append(&slot->lines, "TE: trailers"));
}

/* For the samples: the lines as a worker captures them. */
static void capture_request(struct pair *pair, const struct slot *slot, const struct recorded *one)
{
    size_t length = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL)
        return;
    for (const struct curl_slist *line = slot->lines; line != NULL; line = line->next) {
        size_t name = strcspn(line->data, ":;");
        if (line->data[name] == ';')
            fprintf(out, "%.*s:\r\n", (int)name, line->data);
        else if (line->data[name] != '\0' && line->data[name + 1] != '\0')
            fprintf(out, "%s\r\n", line->data);
    }
    capture_reset(&pair->request, PAIR_REQUEST_BODY);
    if (fclose(out) == 0) {
        capture_head(&pair->request, 0, text, length);
        capture_body(&pair->request, one->body != NULL ? one->body : "", one->body_length);
        capture_end(&pair->request, OUTCOME_OK, 0);
    }
    free(text);
}

static bool is_safe(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "OPTIONS") == 0;
}

/* Every 1/noise-th safe request goes to legacy twice. */
static bool is_twice(struct sender *sender, const struct recorded *one)
{
    if (!is_safe(one->method))
        return false;
    sender->noise_due += sender->run->noise;
    if (sender->noise_due < 1)
        return false;
    sender->noise_due -= 1;
    return true;
}

static void fill_pair(struct slot *slot, const struct recorded *one, size_t number)
{
    struct pair *pair = slot->pair;
    const struct config_route *route = slot->run->route;
    pair->route = route;
    pair->primary = SIDE_LEGACY;
    pair->wall_ms = wall_ms();
    snprintf(pair->method, sizeof(pair->method), "%s", one->method);
    snprintf(pair->target, sizeof(pair->target), "%s", one->target);
    snprintf(pair->request_id, sizeof(pair->request_id), "request-%zu", number + 1);
    capture_reset(&pair->primary_capture, route->shadow.max_body);
    capture_reset(&pair->shadow_capture, route->shadow.max_body);
    capture_reset(&slot->noise, route->shadow.max_body);
    capture_request(pair, slot, one);
}

#define SET(option, value) (good = good && curl_easy_setopt(easy, option, value) == CURLE_OK)

static long http_version(const struct curl_slist *lines, const char *url)
{
    if (!is_grpc(lines))
        return CURL_HTTP_VERSION_1_1;
    return strncmp(url, "https:", 6) == 0 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
}

static bool set_request(CURL *easy, const struct run *run, const struct recorded *one, const char *url,
                        const struct curl_slist *lines)
{
    bool good = true;
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, http_version(lines, url));
    if (is_grpc(lines)) { /* curl 7.88 cannot use a connection again on which HTTP/2 was not negotiated */
        SET(CURLOPT_FRESH_CONNECT, 1L);
        SET(CURLOPT_FORBID_REUSE, 1L);
    }
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)run->timeout_ms);
    if (run->insecure) {
        SET(CURLOPT_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (strcmp(one->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
        return good;
    }
    bool takes_body = one->body != NULL || strcmp(one->method, "POST") == 0 || strcmp(one->method, "PUT") == 0 ||
                      strcmp(one->method, "PATCH") == 0;
    if (takes_body) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)one->body_length);
        SET(CURLOPT_POSTFIELDS, one->body != NULL ? one->body : "");
    }
    SET(CURLOPT_CUSTOMREQUEST, one->method);
    return good;
}

static bool start_transfer(struct sender *sender, struct transfer *transfer, const struct recorded *one, enum side side)
{
    struct run *run = sender->run;
    CURL *easy = transfer->easy;
    char *url = NULL;
    curl_easy_reset(easy);
    if (asprintf(&url, "%s%s", run->side[side].url, one->target) < 0)
        return false;
    bool good = set_request(easy, run, one, url, transfer->slot->lines);
    free(url); /* curl has its own copy */
    SET(CURLOPT_HTTPHEADER, transfer->slot->lines);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, transfer);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_PRIVATE, transfer);
    transfer->head_length = 0;
    transfer->status = 0;
    transfer->in_body = transfer->too_large = false;
    if (!good || curl_multi_add_handle(sender->multi, easy) != CURLM_OK)
        return false;
    transfer->slot->under_way++;
    return true;
}

#undef SET

static void start_slot(struct sender *sender, struct slot *slot, size_t number)
{
    const struct recorded *one = &sender->run->recording->at[number];
    slot->busy = true;
    slot->under_way = 0;
    bool good = make_lines(slot, one);
    fill_pair(slot, one, number);
    slot->twice = is_twice(sender, one);
    slot->legs[LEG_PRIMARY].capture = &slot->pair->primary_capture;
    slot->legs[LEG_SHADOW].capture = &slot->pair->shadow_capture;
    slot->legs[LEG_NOISE].capture = &slot->noise;
    for (enum leg leg = LEG_PRIMARY; leg < LEGS; leg++) {
        struct transfer *transfer = &slot->legs[leg];
        bool wanted = leg != LEG_NOISE || slot->twice;
        if (wanted && !(good && start_transfer(sender, transfer, one, side_of(leg)))) {
            capture_end(transfer->capture, OUTCOME_OVERLOADED, 0);
            note_fault(&sender->run->side[side_of(leg)], CURLE_OUT_OF_MEMORY, OUTCOME_OVERLOADED);
        }
    }
}

/* ---- the round ---- */

static bool has_next(struct sender *sender)
{
    const struct run *run = sender->run;
    while (sender->next < run->recording->count && !run->wanted[sender->next])
        sender->next++;
    return sender->next < run->recording->count && *run->stop == 0;
}

/* When the next request may start, by the rate. */
static uint64_t due_us(const struct sender *sender)
{
    return sender->started_us + (uint64_t)((double)sender->sent * 1e6 / (double)sender->run->rate);
}

static void start_what_is_due(struct sender *sender)
{
    for (unsigned i = 0; i < sender->run->concurrency && has_next(sender); i++) {
        uint64_t now = now_us();
        if (now < due_us(sender))
            return;
        if (sender->slots[i].busy)
            continue;
        /* after a time without a free slot it goes on at the rate, it does not catch up */
        if (now > due_us(sender) + 1000000)
            sender->started_us += now - due_us(sender);
        start_slot(sender, &sender->slots[i], sender->next++);
        sender->sent++;
    }
}

static void end_what_has_ended(struct sender *sender)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(sender->multi, &left)) != NULL;) {
        struct transfer *transfer = NULL;
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE || curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer) != CURLE_OK)
            continue;
        curl_multi_remove_handle(sender->multi, easy);
        end_transfer(transfer, code);
    }
    for (unsigned i = 0; i < sender->run->concurrency; i++) {
        struct slot *slot = &sender->slots[i];
        if (!slot->busy || slot->under_way > 0)
            continue;
        judge_slot(slot);
        empty_slot(slot);
        sender->done++;
    }
}

static bool is_busy(const struct sender *sender)
{
    for (unsigned i = 0; i < sender->run->concurrency; i++)
        if (sender->slots[i].busy)
            return true;
    return false;
}

static int pause_ms(struct sender *sender)
{
    uint64_t now = now_us(), due = due_us(sender);
    if (!has_next(sender) || due >= now + POLL_MS * 1000)
        return POLL_MS;
    for (unsigned i = 0; i < sender->run->concurrency; i++)
        if (!sender->slots[i].busy)
            return due > now ? (int)((due - now) / 1000) + 1 : 0;
    return POLL_MS;
}

static void send_all(struct sender *sender)
{
    struct run *run = sender->run;
    int running;
    sender->started_us = now_us();
    while (*run->stop == 0 && (has_next(sender) || is_busy(sender))) {
        start_what_is_due(sender);
        curl_multi_perform(sender->multi, &running);
        end_what_has_ended(sender);
        run->progress(run->context, sender->done);
        if (has_next(sender) || is_busy(sender))
            curl_multi_poll(sender->multi, NULL, 0, pause_ms(sender), NULL);
    }
}

/* ---- beginning and end ---- */

static void free_slot(struct sender *sender, struct slot *slot)
{
    for (enum leg leg = LEG_PRIMARY; leg < LEGS; leg++) {
        if (slot->legs[leg].easy != NULL) {
            curl_multi_remove_handle(sender->multi, slot->legs[leg].easy);
            curl_easy_cleanup(slot->legs[leg].easy);
        }
        free(slot->legs[leg].head);
    }
    empty_slot(slot);
    capture_done(&slot->noise);
    pair_free(slot->pair);
}

static bool make_slot(struct sender *sender, struct slot *slot)
{
    slot->run = sender->run;
    slot->pair = pair_new();
    capture_init(&slot->noise);
    bool good = slot->pair != NULL;
    for (enum leg leg = LEG_PRIMARY; leg < LEGS; leg++) {
        slot->legs[leg].slot = slot;
        slot->legs[leg].easy = curl_easy_init();
        slot->legs[leg].head = malloc(HEAD_BYTES_MOST);
        good = good && slot->legs[leg].easy != NULL && slot->legs[leg].head != NULL;
    }
    return good;
}

bool run_requests(struct run *run, const char **error)
{
    struct sender sender = {.run = run};
    *error = "out of memory";
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return false;
    sender.multi = curl_multi_init();
    sender.slots = calloc(run->concurrency, sizeof(*sender.slots));
    bool good = sender.multi != NULL && sender.slots != NULL;
    for (unsigned i = 0; good && i < run->concurrency; i++)
        good = make_slot(&sender, &sender.slots[i]);
    if (good)
        send_all(&sender);
    for (unsigned i = 0; sender.slots != NULL && i < run->concurrency; i++)
        free_slot(&sender, &sender.slots[i]);
    free(sender.slots);
    curl_multi_cleanup(sender.multi);
    curl_global_cleanup();
    return good;
}
