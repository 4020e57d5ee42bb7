/*
 * Questions to the admin API: a path, perhaps a JSON body, a JSON answer or a sentence on standard error.
 */
#ifndef SHUNT_SHUNTCTL_API_H
#define SHUNT_SHUNTCTL_API_H

#include <jansson.h>

#include "tools/shuntctl/command.h"

/*
 * Asks with GET, or with POST when `body` (stolen) is not NULL. `member` is what an answer of shunt to this question
 * always has: without it something else answered, and no script may read that as a pass. EXIT_DONE: *answer is a new
 * reference, an object with `member`, of what is done, or will be (202). Otherwise what is wrong has been told on
 * standard error and *answer is NULL, or, when shunt refused, its error object.
 */
int api_ask(struct ctl *ctl, const char *path, json_t *body, const char *member, json_t **answer);

/* Asks with GET for something that is not JSON but of the media type `type`; *text is malloc'd. */
int api_ask_text(struct ctl *ctl, const char *path, const char *type, char **text);

/* printf for paths: each "%s" is percent-encoded. malloc'd; NULL without memory. */
char *api_path(const char *format, const char *name);

/* Why api_signature() has none, for complain(). */
#define API_NO_SIGNATURE "--who or --reason is not UTF-8 text, or memory is out; write it in plain letters"

/* {"who": ..., "reason": ...} from the options; a new reference. NULL: see above. */
json_t *api_signature(const struct ctl *ctl);

/* Says so where a change was made, but the fleet could not be told yet (202 with "pending"). */
void api_tell_pending(const struct screen *screen, const json_t *answer);

/* Prints JSON on standard output. Returns EXIT_DONE. */
int api_print(const json_t *answer);

#endif
