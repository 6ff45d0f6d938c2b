/* golden/corpus.h - what making and verifying a corpus share. */
#ifndef VDIT_GOLDEN_CORPUS_H
#define VDIT_GOLDEN_CORPUS_H

#include "golden/manifest.h"

/* Tells the caller what happened to a case; options may be NULL. */
void vdit_corpus_report(const vdit_corpus_options *options, vdit_case_event event, const char *name,
                        const char *text);

/* Returns: 1 if the options ask for that case. */
int vdit_corpus_wants(const vdit_corpus_options *options, const char *name);

/* Fails if the options ask for a name that is none of the count names. */
vdit_status vdit_corpus_check_only(vdit_run *run, const vdit_corpus_options *options,
                                   const char *const *names, size_t count);

/*
 * Forgets a failure that tells of a bad file, and not of this machine's state or of a cancellation.
 * Returns: 1 if there was one and it is forgotten.
 */
int vdit_corpus_forgive(vdit_run *run);

/*
 * Compares each tensor of an opened golden with the entry's sums.
 * Returns: 1 if all are as the entry says.
 */
int vdit_corpus_sums_hold(const vdit_golden *golden, const vdit_manifest_case *entry);

/* Reports the files in a folder that a manifest does not list, and adds their number to failures. */
vdit_status vdit_corpus_find_extra(vdit_run *run, size_t *failures, const vdit_manifest *manifest,
                                   const char *directory, const vdit_corpus_options *options);

#endif
