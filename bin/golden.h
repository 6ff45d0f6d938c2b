/* golden.h - what the files of vdit-golden share. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <jansson.h>
#include <vdit/golden.h>
#include "program.h"

/* Out: recipe, found as vdit-golden(1) says, or the program fails. */
void golden_load_recipe(vdit_run *run, vdit_recipe *recipe, const char *argument);

/* Returns: 1 if the command line wants the case of that name. */
int golden_wants(const char *name);

/* Prints object and drops it. */
void golden_print_json(json_t *object);

/*
 * Runs every backend of a plugin over the attention cases of recipes and prints the score: honest ones
 * must hold, mutants must be rejected. In: rows, the most that are computed of a case (0: as the case says), evenly spread.
 * Returns: the exit status.
 */
int golden_mutants(vdit_run *run, const char *plugin, char *const *recipes, size_t count,
                   size_t rows, int is_json);

/* The commands on a recipe of networks, a file at path. manifest: what make writes; what verify compares with, or NULL.
   list: where cases are added, or NULL to print them. Returns: the recipe's name. */
const char *golden_networks_make(vdit_run *run, const char *path, const char *manifest,
                                 const vdit_corpus_options *options);
const char *golden_networks_verify(vdit_run *run, size_t *failures, const char *path,
                                   const char *manifest, const vdit_corpus_options *options);
void golden_networks_list(vdit_run *run, const char *path, json_t *list);

#endif
