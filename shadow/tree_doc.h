/*
 * A pair of trees as a pair of documents for the JSON differ.
 *
 * An element becomes an object of its attributes and elements; a name that occurs more than once under one parent,
 * anywhere in either tree, becomes an array in both, so that both have the same shape. An element that has nothing but
 * text, everywhere in both trees, becomes a string; else its texts are called "#text".
 */
#ifndef SHUNT_SHADOW_TREE_DOC_H
#define SHUNT_SHADOW_TREE_DOC_H

#include "shadow/doc_builder.h"
#include "shadow/tree.h"

struct tree_doc; /* buffers that are used again */

struct tree_doc *tree_doc_new(void); /* NULL without memory */
void tree_doc_free(struct tree_doc *maker);

/*
 * `ordered`: the order of siblings with different names counts. Names are written as the first tree writes them, those
 * it has not as the second does; one that would be taken for another is written with what it is relative to:
 * "{URI}local". JSON_FAULT_NONE, or the bound that was reached.
 */
enum json_fault tree_doc_make(struct tree_doc *maker, const struct tree *first, const struct tree *second, bool ordered,
                              struct doc_builder *first_doc, struct doc_builder *second_doc);

#endif
