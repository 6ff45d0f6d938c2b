/*
 * edit_scene.h - for tests: one head with an edit and all that it may point to, judged against the oracle in
 * every stage.
 */
#ifndef TESTS_EDIT_SCENE_H
#define TESTS_EDIT_SCENE_H

#include "attention_scene.h"
#include "edit_oracle.h"

/* A head of 3 x 2 x 2 video tokens and 5 of text, and the tensors that edits point to. */
typedef struct edit_scene {
    scene s;
    vdit_edit edit;
    const vdit_edit *edits[1];
    vdit_edit_report report;
    vdit_tensor source_q, source_k, source_v, source_map, threshold, keep, weight, keys, align;
    vdit_tensor masked, kept_mass, bits;
    oracle_random random;
} edit_scene;

enum { EDIT_VIDEO = 12, EDIT_TEXT = 5, EDIT_N = EDIT_VIDEO + EDIT_TEXT, EDIT_D = 8, EDIT_DV = 6 };

/* Out: t with random tensors of dtype, its edit off but for the tensors of the source call. */
void edit_scene_start(edit_scene *t, vdit_run *run, vdit_dtype dtype, const char *name);

/* Returns: a dense tensor, all 0. */
vdit_tensor edit_scene_tensor(edit_scene *t, vdit_dtype dtype, int rank, const size_t *shape);

/* Thresholds that are entries of the map itself, so that equality is met. */
void edit_scene_thresholds(edit_scene *t);

/* Returns: o in f32 of the same call with another edit (NULL: none). */
vdit_tensor edit_scene_run_as(edit_scene *t, const vdit_edit *edit);

/* Runs the edit, then again so that only stage 1 or 2 may decide; compares every row with the oracle. */
void edit_scene_judge(edit_scene *t, const char *what);

#endif
