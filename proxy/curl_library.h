/*
 * libcurl, opened when a file first names somebody to tell or to ask; see config/library.h.
 */
#ifndef SHUNT_PROXY_CURL_LIBRARY_H
#define SHUNT_PROXY_CURL_LIBRARY_H

#include <curl/curl.h>

#include "config/library.h"

#define CURL_FUNCTIONS(X)                                                                                              \
    X(global_init, curl_global_init)                                                                                   \
    X(global_cleanup, curl_global_cleanup)                                                                             \
    X(free, curl_free)                                                                                                 \
    X(slist_append, curl_slist_append)                                                                                 \
    X(slist_free_all, curl_slist_free_all)                                                                             \
    X(url, curl_url)                                                                                                   \
    X(url_set, curl_url_set)                                                                                           \
    X(url_get, curl_url_get)                                                                                           \
    X(url_cleanup, curl_url_cleanup)                                                                                   \
    X(easy_init, curl_easy_init)                                                                                       \
    X(easy_reset, curl_easy_reset)                                                                                     \
    X(easy_setopt, curl_easy_setopt)                                                                                   \
    X(easy_getinfo, curl_easy_getinfo)                                                                                 \
    X(easy_strerror, curl_easy_strerror)                                                                               \
    X(easy_cleanup, curl_easy_cleanup)                                                                                 \
    X(multi_init, curl_multi_init)                                                                                     \
    X(multi_add_handle, curl_multi_add_handle)                                                                         \
    X(multi_remove_handle, curl_multi_remove_handle)                                                                   \
    X(multi_perform, curl_multi_perform)                                                                               \
    X(multi_info_read, curl_multi_info_read)                                                                           \
    X(multi_poll, curl_multi_poll)                                                                                     \
    X(multi_wakeup, curl_multi_wakeup)                                                                                 \
    X(multi_cleanup, curl_multi_cleanup)

struct curl_library {
    CURL_FUNCTIONS(LIBRARY_MEMBER)
};

/* Filled by curl_library_open(); then only read, by any thread. */
extern struct curl_library libcurl;

/* As library_open(). */
bool curl_library_open(char why[LIBRARY_WHY_ROOM]);

#endif
