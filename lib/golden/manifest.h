/* golden/manifest.h - what corpora and manifests share. */
#ifndef VDIT_GOLDEN_MANIFEST_H
#define VDIT_GOLDEN_MANIFEST_H

#include <vdit/golden.h>
#include "golden/text.h"

#define VDIT_MANIFEST_FORMAT "vdit-corpus/1"
#define VDIT_MANIFEST_NAME   "manifest.json"
#define VDIT_MANIFEST_PART   "manifest.part.json" /* while a make is under way */

/* Out: entry, with the case and its file names, which live in the run's memory; no tensors yet. */
vdit_status vdit_manifest_start(vdit_run *run, vdit_manifest_case *entry, const vdit_case *c);

/* Adds the golden's inputs or outputs, with their sums, to entry. Allocates nothing. */
void vdit_manifest_add(vdit_manifest_case *entry, const vdit_golden *golden, int outputs);

/* Writes a manifest atomically. */
vdit_status vdit_manifest_write(vdit_run *run, const vdit_manifest *manifest, const char *path);

/* Returns: the case of that name, or NULL. */
const vdit_manifest_case *vdit_manifest_find(const vdit_manifest *manifest, const char *name);

/* Returns: the tensor of that name, or NULL. */
const vdit_manifest_tensor *vdit_manifest_tensor_find(const vdit_manifest_case *c,
                                                      const char *name);

/* Returns: 1 if name, dtype, shape, file and sum are equal. */
int vdit_manifest_tensor_equal(const vdit_manifest_tensor *a, const vdit_manifest_tensor *b);

#endif
