/*
 * What a worker counts for the whole process (what belongs to a route is in router/counters.h). Single writer, relaxed
 * loads elsewhere. One list makes the struct, the sum over workers and the lines of /metrics.
 */
#ifndef SHUNT_PROXY_WORKER_COUNTERS_H
#define SHUNT_PROXY_WORKER_COUNTERS_H

#include <stdint.h>

/* name, kind, help: the metric is shunt_NAME (counters get _total) */
#define WORKER_METRICS(M)                                                                                              \
    M(downstream_connections, COUNTER, "Client connections accepted")                                                  \
    M(downstream_active, GAUGE, "Client connections open")                                                             \
    M(downstream_requests, COUNTER, "Requests read from clients")                                                      \
    M(downstream_bytes_in, COUNTER, "Bytes read from clients")                                                         \
    M(downstream_bytes_out, COUNTER, "Bytes written to clients")                                                       \
    M(bad_requests, COUNTER, "Requests refused for what they say (4xx made by shunt)")                                 \
    M(request_timeouts, COUNTER, "Clients cut off for a slow head or body")                                            \
    M(client_gone, COUNTER, "Clients that left before their response ended")                                           \
    M(accept_errors, COUNTER, "accept() failures, such as no file descriptors")                                        \
    M(connections_refused, COUNTER, "Client connections not taken because of the connection limit or memory")          \
    M(connections_shed, COUNTER, "Client connections that rested and were closed for want of memory")                  \
    M(turns_awaited, COUNTER, "Times a connection was not read at once for want of memory, but in turn")               \
    M(upstream_connections, COUNTER, "Connections opened to backends")                                                 \
    M(upstream_connect_failures, COUNTER, "Connections to backends that failed or timed out")                          \
    M(upstream_reused, COUNTER, "Exchanges sent on a kept connection")                                                 \
    M(upstream_active, GAUGE, "Connections to backends with an exchange")                                              \
    M(upstream_idle, GAUGE, "Kept connections to backends without an exchange")                                        \
    M(upstream_retries, COUNTER, "Exchanges repeated because a kept connection had died")                              \
    M(upstream_stray_bytes, COUNTER, "Idle upstream connections closed for bytes nobody asked for")                    \
    M(upstream_queue, GAUGE, "Exchanges waiting for an upstream connection")                                           \
    M(upstream_queue_overflows, COUNTER, "Exchanges refused because the queue was full or waited too long")            \
    M(upstream_ejections, COUNTER, "Backend addresses set aside after consecutive failures")                           \
    M(bad_responses, COUNTER, "Responses of backends refused for what they say")                                       \
    M(tunnels, COUNTER, "Connections that became tunnels after an upgrade")                                            \
    M(tunnels_active, GAUGE, "Tunnels open, passthrough relays included")                                              \
    M(passthrough_connections, COUNTER, "Connections relayed raw to legacy")                                           \
    M(spliced_bytes, COUNTER, "Body bytes moved inside the kernel")                                                    \
    M(shadow_buffered_bytes, GAUGE, "Request bytes kept for copies that are behind")                                   \
    M(shadow_memory_bytes, GAUGE, "What limits.shadow_memory bounds: requests and answers kept for comparing")         \
    M(shadow_in_flight, GAUGE, "Copies under way")                                                                     \
    M(access_log_dropped, COUNTER, "Access log lines dropped because the log was behind")                              \
    M(loop_rounds, COUNTER, "Rounds of the event loop")

/*
 * Counters of one family that differ in their labels, side by side: a family's name, kind, names of its labels and
 * help, then a line for each with the values of the labels in the same order. FAMILY(...) opens one, S(member,
 * values...) is a counter of it.
 */
#define WORKER_SERIES(FAMILY, S)                                                                                       \
    FAMILY("shunt_http2_connections_total", COUNTER, "Connections that spoke HTTP/2", "side", NULL)                    \
    S(h2_down_connections, "downstream", NULL)                                                                         \
    S(h2_up_connections, "upstream", NULL)                                                                             \
    FAMILY("shunt_http2_connections_active", GAUGE, "Connections open that speak HTTP/2", "side", NULL)                \
    S(h2_down_active, "downstream", NULL)                                                                              \
    S(h2_up_active, "upstream", NULL)                                                                                  \
    FAMILY("shunt_http2_streams_total", COUNTER, "Streams opened", "side", NULL)                                       \
    S(h2_down_streams, "downstream", NULL)                                                                             \
    S(h2_up_streams, "upstream", NULL)                                                                                 \
    FAMILY("shunt_http2_streams_active", GAUGE, "Streams open", "side", NULL)                                          \
    S(h2_down_streams_active, "downstream", NULL)                                                                      \
    S(h2_up_streams_active, "upstream", NULL)                                                                          \
    FAMILY("shunt_http2_resets_total", COUNTER, "Streams reset, by whom", "side", "by")                                \
    S(h2_down_resets_peer, "downstream", "peer")                                                                       \
    S(h2_down_resets_shunt, "downstream", "shunt")                                                                     \
    S(h2_up_resets_peer, "upstream", "peer")                                                                           \
    S(h2_up_resets_shunt, "upstream", "shunt")                                                                         \
    FAMILY("shunt_http2_goaways_total", COUNTER, "Connections somebody said goodbye on, by whom", "side", "by")        \
    S(h2_down_goaways_peer, "downstream", "peer")                                                                      \
    S(h2_down_goaways_shunt, "downstream", "shunt")                                                                    \
    S(h2_up_goaways_peer, "upstream", "peer")                                                                          \
    S(h2_up_goaways_shunt, "upstream", "shunt")                                                                        \
    FAMILY("shunt_http2_abuse_total", COUNTER, "Connections ended for what the peer did in bulk", "side", "reason")    \
    S(h2_down_abuse_resets, "downstream", "resets")                                                                    \
    S(h2_down_abuse_settings, "downstream", "settings")                                                                \
    S(h2_down_abuse_ping, "downstream", "ping")                                                                        \
    S(h2_down_abuse_empty_frames, "downstream", "empty_frames")                                                        \
    S(h2_down_abuse_continuation, "downstream", "continuation")                                                        \
    S(h2_down_abuse_header_list, "downstream", "header_list")                                                          \
    S(h2_down_abuse_priority, "downstream", "priority")                                                                \
    S(h2_down_abuse_window_updates, "downstream", "window_updates")                                                    \
    S(h2_down_abuse_stalled, "downstream", "stalled")                                                                  \
    S(h2_up_abuse, "upstream", "any")                                                                                  \
    FAMILY("shunt_http2_protocol_errors_total", COUNTER, "Streams and connections ended for what RFC 9113 forbids",    \
           "side", NULL)                                                                                               \
    S(h2_down_protocol_errors, "downstream", NULL)                                                                     \
    S(h2_up_protocol_errors, "upstream", NULL)                                                                         \
    FAMILY("shunt_http2_ping_timeouts_total", COUNTER, "Connections given up because a PING was not answered", "side", \
           NULL)                                                                                                       \
    S(h2_down_ping_timeouts, "downstream", NULL)                                                                       \
    S(h2_up_ping_timeouts, "upstream", NULL)                                                                           \
    FAMILY("shunt_tls_handshakes_total", COUNTER, "TLS handshakes that ended", "side", "result")                       \
    S(tls_down_full, "downstream", "full")                                                                             \
    S(tls_down_resumed, "downstream", "resumed")                                                                       \
    S(tls_down_failed, "downstream", "failed")                                                                         \
    S(tls_up_full, "upstream", "full")                                                                                 \
    S(tls_up_resumed, "upstream", "resumed")                                                                           \
    S(tls_up_failed, "upstream", "failed")                                                                             \
    FAMILY("shunt_tls_handshake_failures_total", COUNTER, "TLS handshakes that failed, by reason", "side", "reason")   \
    S(tls_down_no_timeout, "downstream", "timeout")                                                                    \
    S(tls_down_no_closed, "downstream", "closed")                                                                      \
    S(tls_down_no_protocol, "downstream", "protocol")                                                                  \
    S(tls_down_no_no_certificate, "downstream", "no_certificate")                                                      \
    S(tls_down_no_certificate_expired, "downstream", "certificate_expired")                                            \
    S(tls_down_no_certificate_authority, "downstream", "certificate_authority")                                        \
    S(tls_down_no_certificate_name, "downstream", "certificate_name")                                                  \
    S(tls_down_no_certificate, "downstream", "certificate")                                                            \
    S(tls_down_no_alert, "downstream", "alert")                                                                        \
    S(tls_down_no_other, "downstream", "other")                                                                        \
    S(tls_up_no_timeout, "upstream", "timeout")                                                                        \
    S(tls_up_no_closed, "upstream", "closed")                                                                          \
    S(tls_up_no_protocol, "upstream", "protocol")                                                                      \
    S(tls_up_no_no_certificate, "upstream", "no_certificate")                                                          \
    S(tls_up_no_certificate_expired, "upstream", "certificate_expired")                                                \
    S(tls_up_no_certificate_authority, "upstream", "certificate_authority")                                            \
    S(tls_up_no_certificate_name, "upstream", "certificate_name")                                                      \
    S(tls_up_no_certificate, "upstream", "certificate")                                                                \
    S(tls_up_no_alert, "upstream", "alert")                                                                            \
    S(tls_up_no_other, "upstream", "other")                                                                            \
    FAMILY("shunt_tls_truncated_total", COUNTER,                                                                       \
           "Connections that ended in the middle of a message, without TLS's own end", "side", NULL)                   \
    S(tls_down_truncated, "downstream", NULL)                                                                          \
    S(tls_up_truncated, "upstream", NULL)                                                                              \
    FAMILY("shunt_tls_unverified_total", COUNTER,                                                                      \
           "Handshakes with backends whose certificate would not have been accepted", NULL, NULL)                      \
    S(tls_unverified, NULL, NULL)                                                                                      \
    FAMILY("shunt_tls_early_data_total", COUNTER, "Requests that came in early data", "result", NULL)                  \
    S(tls_early_accepted, "accepted", NULL)                                                                            \
    S(tls_early_refused, "refused", NULL)

struct worker_counters {
#define M(name, kind, help) uint64_t name;
    WORKER_METRICS(M)
#undef M
#define FAMILY(name, kind, help, first, second)
#define S(name, first, second) uint64_t name;
    WORKER_SERIES(FAMILY, S)
#undef S
#undef FAMILY
} __attribute__((aligned(64)));

#endif
