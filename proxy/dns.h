/*
 * libevent's evdns with what the system's files say now: /etc/resolv.conf and /etc/hosts are read again when they have
 * changed, which evdns itself does not do. For whoever looks names up on a loop of its own.
 */
#ifndef SHUNT_PROXY_DNS_H
#define SHUNT_PROXY_DNS_H

#include <stdint.h>

struct dns;
struct event_base;
struct evdns_base;

/* `nameserver`: "127.0.0.1:5353" instead of those in /etc/resolv.conf; NULL: those. `timeout_ms`: of one question to
 * one server. NULL without memory. */
struct dns *dns_new(struct event_base *base, const char *nameserver, uint32_t timeout_ms);
/* To be asked for before each question. NULL without memory. */
struct evdns_base *dns_base(struct dns *dns);
/* Questions under way fail; their callbacks come from the loop. NULL is fine. */
void dns_free(struct dns *dns);

#endif
