/*
 * A form (application/x-www-form-urlencoded) as a tree: one text for each field, names and values decoded.
 */
#ifndef SHUNT_SHADOW_FORM_TREE_H
#define SHUNT_SHADOW_FORM_TREE_H

#include "shadow/tree.h"

/*
 * As the URL standard reads forms: fields end with "&", "+" is a blank, "%" without two hexadecimal digits stands for
 * itself, a field without "=" has an empty value, and nothing between two "&" is no field. Every text is a form.
 * JSON_FAULT_NONE, or the bound that was reached.
 */
enum json_fault form_tree_read(struct tree *tree, struct span text);

#endif
