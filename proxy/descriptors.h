/*
 * The last descriptors of the process: kept back from traffic, for who asks how it is.
 */
#ifndef SHUNT_PROXY_DESCRIPTORS_H
#define SHUNT_PROXY_DESCRIPTORS_H

#include <stdbool.h>
#include <sys/resource.h>

/* As many as the system allows, since a proxy needs two for each client, but for a few. */
void descriptors_raise_limit(void);

/*
 * Lets the whole process have those, too; *former takes what holds otherwise. For as short as can be: until
 * descriptors_take_back(). What was opened meanwhile stays open. False: there are no more.
 */
bool descriptors_lend(rlim_t *former);
void descriptors_take_back(rlim_t former);

#endif
