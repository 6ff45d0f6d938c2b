/*
 * model/config.h - the keys of a config.json: each is asked for with its constructor's default.
 *
 * A key that is missing or null takes the default; one of the wrong type, out of range, or never asked for and not null
 * fails the run with a line that names file and key. Keys that begin with '_' are the file's own.
 */
#ifndef VDIT_MODEL_CONFIG_H
#define VDIT_MODEL_CONFIG_H

#include <vdit/run.h>

typedef struct vdit_config vdit_config;

/*
 * Reads a JSON object. In: where the keys and their texts live; name, for messages; text[size].
 * Returns: the keys, to be closed, or NULL with the run failed.
 */
vdit_config *vdit_config_open(vdit_run *run, vdit_run *memory, const char *name, const char *text,
                              size_t size);

/* Returns: the text of "_class_name", NULL if there is none; until keys are closed. */
const char *vdit_config_class(const vdit_config *keys);

/* After the last question: fails the run if a key that is not null was never asked for. */
void vdit_config_check(vdit_config *keys);

/*
 * Returns: the configuration in effect as a JSON text: class_name as "_class_name", the version of diffusers, and every key that was asked for, in
 * that order, with its value or its default; in the run's memory.
 */
const char *vdit_config_effective(vdit_run *run, const vdit_config *keys, const char *class_name);

/* keys may be NULL. */
void vdit_config_close(vdit_config *keys);

/* Returns: a whole number in least .. 2^31; missing may be 0 below that: then the key may stay null. */
size_t vdit_config_size(vdit_config *keys, const char *key, size_t least, size_t missing);

/* Returns: a number of layers, in least .. 4,096: a pass over shapes alone ends soon for each. */
size_t vdit_config_layers(vdit_config *keys, const char *key, size_t least, size_t missing);

/* Returns: a finite number. */
double vdit_config_number(vdit_config *keys, const char *key, double missing);

/* Returns: 0 or 1. */
int vdit_config_flag(vdit_config *keys, const char *key, int missing);

/* Returns: a text in the memory that vdit_config_open was given. missing may be NULL. */
const char *vdit_config_text(vdit_config *keys, const char *key, const char *missing);

/* Out: out[count], whole numbers >= 1. In: a list of exactly count, or missing[count]. */
void vdit_config_sizes(vdit_config *keys, const char *key, size_t *out, size_t count,
                       const size_t *missing);

/* Asks for a key that must be missing or null: what it would switch on is not offered. */
void vdit_config_absent(vdit_config *keys, const char *key, const char *what);

/* Fails the run with VDIT_ERR_UNSUPPORTED, "FILE: key KEY: only WHAT is offered", unless ok. */
void vdit_config_only(vdit_config *keys, const char *key, int ok, const char *what);

#endif
