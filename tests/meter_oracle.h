/*
 * meter_oracle.h - for tests: the statistics of vdit/meter.h by their definitions, in MPFR, from one row of
 * attention_oracle.h at a time; and the figures of heads from the facts of rows.
 */
#ifndef TESTS_METER_ORACLE_H
#define TESTS_METER_ORACLE_H

#include <vdit/meter.h>
#include "attention_oracle.h"
#include "attention_scene.h"

/* Out: value, of ATTENTION_ORACLE_BITS: what the next two round. */
void meter_oracle_exact_entropy(mpfr_t value, const attention_oracle *oracle, int percent);
void meter_oracle_exact_mass(mpfr_t value, const attention_oracle *oracle, size_t first,
                             size_t end);

/* Returns: -sum a ln a of the row, in nats, or over ln(keys) in percent; rounded once to f32. */
double meter_oracle_entropy(const attention_oracle *oracle, int percent);

/* Returns: sum of a_j over the keys first .. end - 1, rounded once to f32. */
double meter_oracle_mass(const attention_oracle *oracle, size_t first, size_t end);

/* Returns: the mean of count f32 values, rounded once to f32; NaN without any. */
double meter_oracle_mean(const double *values, size_t count);

/* Returns: element at of a result's tensor, in row-major order; the test fails if there is no such result. */
double meter_oracle_result(const vdit_meter_results *results, const char *name, size_t at);

/* Runs meters on the call of a scene; the test fails if that does. */
void meter_oracle_run(scene *s, const char *meters, const vdit_tokens *tokens,
                      vdit_meter_results *results);

/* The test fails, and says where, unless the element is what was expected. */
void meter_oracle_expect(const vdit_meter_results *results, const char *name, size_t at,
                         double expected);

#endif
