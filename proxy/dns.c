/*
 * evdns and the system's files: see dns.h. One for each loop that looks up names; made with the first name.
 */
#include "proxy/dns.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <event2/dns.h>

static const char *const system_files[] = {"/etc/resolv.conf", "/etc/hosts"};
enum {
    SYSTEM_FILES = sizeof(system_files) / sizeof(system_files[0])
};

struct dns {
    struct event_base *base;    /* borrowed */
    struct evdns_base *servers; /* made with the first question: numeric hosts need none */
    char *nameserver;
    uint32_t timeout_ms;
    struct timespec system_files[SYSTEM_FILES]; /* when they were changed, as of our reading */
};

struct dns *dns_new(struct event_base *base, const char *nameserver, uint32_t timeout_ms)
{
    struct dns *dns = calloc(1, sizeof(*dns));
    if (dns == NULL)
        return NULL;
    dns->base = base;
    dns->timeout_ms = timeout_ms;
    if (nameserver != NULL && (dns->nameserver = strdup(nameserver)) == NULL) {
        free(dns);
        return NULL;
    }
    return dns;
}

void dns_free(struct dns *dns)
{
    if (dns == NULL)
        return;
    if (dns->servers != NULL)
        evdns_base_free(dns->servers, 1);
    free(dns->nameserver);
    free(dns);
}

/* True when one of the system's files is another one than when they were last looked at. */
static bool system_files_changed(struct dns *dns)
{
    bool changed = false;
    for (int i = 0; i < SYSTEM_FILES; i++) {
        struct stat facts;
        struct timespec time = {0};
        if (stat(system_files[i], &facts) == 0)
            time = facts.st_mtim;
        if (time.tv_sec != dns->system_files[i].tv_sec || time.tv_nsec != dns->system_files[i].tv_nsec)
            changed = true;
        dns->system_files[i] = time;
    }
    return changed;
}

static void set_patience(struct dns *dns)
{
    char seconds[32];
    snprintf(seconds, sizeof(seconds), "%u.%03u", dns->timeout_ms / 1000, dns->timeout_ms % 1000);
    evdns_base_set_option(dns->servers, "timeout:", seconds);
    evdns_base_set_option(dns->servers, "attempts:", "2");
}

static void read_system_files(struct dns *dns)
{
    if (dns->nameserver != NULL)
        evdns_base_nameserver_ip_add(dns->servers, dns->nameserver);
    else
        evdns_base_resolv_conf_parse(dns->servers, DNS_OPTIONS_ALL,
                                     system_files[0]); /* adds 127.0.0.1 if it finds none */
    set_patience(dns);
}

struct evdns_base *dns_base(struct dns *dns)
{
    bool changed = system_files_changed(dns);
    if (dns->servers == NULL) {
        dns->servers = evdns_base_new(dns->base, 0);
        if (dns->servers == NULL)
            return NULL;
        read_system_files(dns);
    } else if (changed && dns->nameserver == NULL) {
        evdns_base_clear_nameservers_and_suspend(dns->servers);
        evdns_base_clear_host_addresses(dns->servers);
        evdns_base_search_clear(dns->servers);
        read_system_files(dns);
        evdns_base_resume(dns->servers);
    }
    return dns->servers;
}
