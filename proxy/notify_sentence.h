/*
 * One change of state as one sentence for a chat.
 */
#ifndef SHUNT_PROXY_NOTIFY_SENTENCE_H
#define SHUNT_PROXY_NOTIFY_SENTENCE_H

struct router_event;

/* Such as "orders-read was promoted from shadow (0%) to canary (10%), by plan: all gates passed for the whole hold".
 * UTF-8, malloc'd; NULL without memory. */
char *notify_sentence(const struct router_event *event);
/* The same with what Slack takes for mark-up escaped: & < > (https://api.slack.com/reference/surfaces/formatting), as
 * the JSON it wants: {"text": "..."}. */
char *notify_slack(const struct router_event *event);

#endif
