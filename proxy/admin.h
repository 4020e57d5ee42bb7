/*
 * The admin server: health, metrics and the JSON API, on the control thread's loop.
 *
 * What it answers is one table of endpoints (admin_endpoints.c); docs/admin-api.md tells it to people.
 */
#ifndef SHUNT_PROXY_ADMIN_H
#define SHUNT_PROXY_ADMIN_H

struct admin;
struct config_admin;
struct control;

/*
 * Listens at config->address and serves on control_base(control). Control thread only. `control` is borrowed until
 * admin_stop(); `config` only for the call: a token changed by a reload is read from control_config() with each
 * request. On failure returns NULL and a malloc'd sentence naming place, fault and remedy in *error.
 */
struct admin *admin_start(struct control *control, const struct config_admin *config, char **error);

/* Stops listening and breaks off connections. NULL is fine. Not from within a request. */
void admin_stop(struct admin *admin);

/* The port really bound: the kernel's choice when the file says 0. */
int admin_port(const struct admin *admin);

#endif
