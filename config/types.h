/*
 * The types of values, as the table of keys names them.
 */
#ifndef SHUNT_CONFIG_TYPES_H
#define SHUNT_CONFIG_TYPES_H

#include "config/keys.h"

/* types.c: values that any section may have */
extern const struct config_type type_section;     /* a mapping with its own table, at an offset of the same struct */
extern const struct config_type type_own_section; /* the same behind a pointer; NULL: not there */
extern const struct config_type type_sections;    /* a list of those: pointer and count */
extern const struct config_type type_flag;        /* bool */
extern const struct config_type type_words;       /* bool with a word for false and one for true */
extern const struct config_type type_choice;      /* enum */
extern const struct config_type type_count;       /* uint32_t */
extern const struct config_type type_count64;     /* uint64_t */
extern const struct config_type type_limit;       /* uint32_t; 0 is written "off" */
extern const struct config_type type_duration;    /* uint64_t, milliseconds */
extern const struct config_type type_timer;       /* the same; 0 is written "off" */
extern const struct config_type type_size;        /* size_t, bytes */
extern const struct config_type type_share;       /* uint32_t, of SHARE_ALL */
extern const struct config_type type_rate;        /* double, fraction; RATE_UNSET with "off" */
extern const struct config_type type_ratio;       /* double, plain; RATE_UNSET with "off" */
extern const struct config_type type_text;        /* const char * */
extern const struct config_type type_name;        /* const char *, letters, digits, "_", ".", "-" */
extern const struct config_type type_token;       /* const char *, a token of HTTP */
extern const struct config_type type_address;     /* struct config_address */
extern const struct config_type type_workers;     /* uint32_t, "auto" is counted at once */

/* http_types.c: what requests are matched by */
extern const struct config_type type_host;
extern const struct config_type type_path;
extern const struct config_type type_methods;       /* pointer, count, and "*" */
extern const struct config_type type_match_methods; /* the same without a flag: all of them is an empty list */
extern const struct config_type type_header_fields; /* NAME: VALUE, NAME: [VALUE, ...] or NAME: "*" */
extern const struct config_type type_query_fields;
extern const struct config_type type_header_names; /* lower case */

/* peer_types.c: how peers are spoken to and asked after */
extern const struct config_type type_file; /* const char *, resolved; it can be opened when the configuration is read */
extern const struct config_type type_protocols;      /* enum config_protocol as a list */
extern const struct config_type type_server_name;    /* const char *, without the dot at its end */
extern const struct config_type type_host_port;      /* const char * */
extern const struct config_type type_health_path;    /* const char * */
extern const struct config_type type_health_service; /* const char *; may be empty */

/* error_types.c: what speaks against a backend */
extern const struct config_type type_errors; /* struct config_errors_of */

/* route_types.c: values that only one section has */
extern const struct config_type type_token_file;        /* of config_admin */
extern const struct config_type type_notify_token_file; /* of config_notify */
extern const struct config_type type_url;
extern const struct config_type type_backends;
extern const struct config_type type_backend_name;
extern const struct config_type type_sticky;
extern const struct config_type type_overrides;
extern const struct config_type type_stage_name;
extern const struct config_type type_fallback_on;
extern const struct config_type type_compare_parts;
extern const struct config_type type_json_path;
extern const struct config_type type_json_paths;
extern const struct config_type type_absolute;
extern const struct config_type type_relative;

/* plan_types.c: the same of plans, gates and who is told */
extern const struct config_type type_confidence;  /* of config_gates: one for all, or one for each */
extern const struct config_type type_stage_gates; /* of config_stage: kept for route_check(), which knows the route's */
extern const struct config_type type_schedule;    /* const struct schedule *; NULL with "off" */
extern const struct config_type type_web_url;     /* const char *; shown without what lies behind the host */
extern const struct config_type type_depends_on;  /* pointer and count; file_check() finds the routes */
extern const struct config_type type_events;      /* pointer and count */

/* redis_types.c: the same of state.redis */
extern const struct config_type type_redis_url; /* fills in what the URL holds of the others */
extern const struct config_type type_redis_username;
extern const struct config_type type_redis_password;
extern const struct config_type type_redis_password_file;

/* shadow_types.c: the same of the sections on mirroring and comparing */
extern const struct config_type type_shadow_host;
extern const struct config_type type_header_removals; /* these three make one list, config_shadow.headers */
extern const struct config_type type_header_replacements;
extern const struct config_type type_header_additions;
extern const struct config_type type_statuses;
extern const struct config_type type_templates;
extern const struct config_type type_secret_names;
extern const struct config_type type_within;
extern const struct config_type type_unordered; /* two lists of config_compare */
extern const struct config_type type_replace_in;
extern const struct config_type type_regex;
extern const struct config_type type_replacement;

#endif
