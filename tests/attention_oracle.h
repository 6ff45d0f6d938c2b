/*
 * attention_oracle.h - for tests: attention by its definition (vdit/attention.h), in MPFR.
 *
 * Nothing of the library takes part but the reading of elements. Logits are exact; the rest has 600
 * bits; then the rule of the last stage is applied to every element: the value becomes the nearest
 * multiple of 2^-90 C, C the least power of two above (1 + 2^-64) times the sum of the magnitudes of
 * its terms, and is rounded once.
 */
#ifndef TESTS_ATTENTION_ORACLE_H
#define TESTS_ATTENTION_ORACLE_H

#include <vdit/attention.h>
#include "oracle.h"

#define ATTENTION_ORACLE_BITS 600

/* One row: the weights e^(s_j - max s) of the keys that take part, and what follows from them. */
typedef struct attention_oracle {
    const vdit_attention *call;
    size_t b, h, query;
    size_t count;  /* keys that are neither beyond the key length nor masked out */
    size_t *key;   /* [count] which */
    mpfr_t *p;     /* [count] */
    mpfr_t *logit; /* [count], exact */
    mpfr_t *norm;  /* [count] |k|^2 */
    mpfr_t top, sum, query_norm;
} attention_oracle;

/* Out: oracle, with room for any row of the call, to be freed. */
void attention_oracle_new(attention_oracle *oracle, const vdit_attention *call);
void attention_oracle_free(attention_oracle *oracle);

/* Computes row r of head (b, h); q and k must be finite there. */
void attention_oracle_load(attention_oracle *oracle, size_t b, size_t h, size_t r);

/* Returns: the output of channel c, the log-sum-exp, the map entry of key j, sigma of channel c. */
double attention_oracle_output(const attention_oracle *oracle, size_t c, vdit_dtype dtype);
double attention_oracle_lse(const attention_oracle *oracle);
double attention_oracle_map(const attention_oracle *oracle, size_t j);
double attention_oracle_sigma(const attention_oracle *oracle, size_t c);

/* Snaps value relative to size, then rounds it once. */
double attention_oracle_round(mpfr_t value, const mpfr_t size, vdit_dtype dtype);

/* Out: value = sum a_j v_j, size = sum a_j |v_j| of channel c, neither snapped nor rounded. */
void attention_oracle_sums(mpfr_t value, mpfr_t size, const attention_oracle *oracle, size_t c);

/* The snap rule: value becomes the nearest multiple of 2^-90 C, with C from size. */
void attention_oracle_snap(mpfr_t value, const mpfr_t size);

#endif
