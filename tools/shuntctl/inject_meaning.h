/*
 * Does a text that was made of a manifest mean what was meant? A check of manifest_edit.c and manifest_apply.c that
 * knows nothing of their bytes: it compares what a reader of YAML finds.
 */
#ifndef SHUNT_SHUNTCTL_INJECT_MEANING_H
#define SHUNT_SHUNTCTL_INJECT_MEANING_H

#include "tools/shuntctl/manifest.h"

/*
 * Of each node of `before`: it is the same in `after`, in the same place; what is laid on it is there, and nothing
 * else; what leaves is gone, and what is restored stands there. Returns the first node of `before` of which that is not
 * so, or the one behind which something is wrong; NULL: all is as meant. `after` has been read from the text that was
 * made.
 */
const struct manifest_node *inject_other_meaning(const struct manifest *before, const struct manifest *after);

#endif
