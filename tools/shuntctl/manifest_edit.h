/*
 * Changes of a manifest: what is added, replaced and removed, collected first and done at once.
 *
 * Each function adds splices to the manifest, or a fault where the place cannot be changed without harm: an alias means
 * it, too, or there is nothing the change could hold on to. What is added stays the caller's, and is read only when
 * manifest_apply() writes it.
 */
#ifndef SHUNT_SHUNTCTL_MANIFEST_EDIT_H
#define SHUNT_SHUNTCTL_MANIFEST_EDIT_H

#include <jansson.h>

#include "tools/shuntctl/manifest.h"

/* Pairs of an object, behind the last one of a map. */
void manifest_add_pairs(struct manifest *manifest, const struct manifest_node *map, json_t *pairs);
/* Items of an array, behind the last one of a list. */
void manifest_add_items(struct manifest *manifest, const struct manifest_node *list, json_t *items);
/* Gives a null a value. *before: the text that manifest_restore() is to be given; NULL where removing what is added is
 * enough. */
void manifest_fill(struct manifest *manifest, const struct manifest_node *value, json_t *content, const char **before);
/* Another scalar in the place of this one, whose text is told in *before. */
void manifest_replace(struct manifest *manifest, const struct manifest_node *value, json_t *scalar,
                      const char **before);
/* The reverse of both. */
void manifest_restore(struct manifest *manifest, struct manifest_node *value, const char *before);
/* Removes the items, or keys with their values, that are marked as leaving. */
void manifest_remove(struct manifest *manifest, const struct manifest_node *collection);

/* One more document behind this one, or behind the last one where that cannot be. */
void manifest_add_document(struct manifest *manifest, const struct manifest_document *document, json_t *content);
void manifest_remove_document(struct manifest *manifest, const struct manifest_document *document);

/* The text with all changes, of the arena; *length is its. NULL without memory. */
const char *manifest_apply(struct manifest *manifest, size_t *length);

/* Where the byte `at` of the text was in manifest->before. */
size_t manifest_place_before(const struct manifest *manifest, size_t at);

#endif
