/* meter_oracle.c - the statistics by their definitions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "meter_oracle.h"

#define BITS    ATTENTION_ORACLE_BITS
#define NEAREST MPFR_RNDN

void meter_oracle_exact_entropy(mpfr_t value, const attention_oracle *oracle, int percent)
{
    mpfr_t a, term;

    mpfr_inits2(BITS, a, term, (mpfr_ptr)0);
    mpfr_set_zero(value, 1);
    for (size_t i = 0; i < oracle->count; i++) {
        if (mpfr_zero_p(oracle->p[i]))
            continue;
        mpfr_div(a, oracle->p[i], oracle->sum, NEAREST);
        mpfr_log(term, a, NEAREST);
        mpfr_mul(term, term, a, NEAREST);
        mpfr_sub(value, value, term, NEAREST);
    }
    if (percent) {
        mpfr_mul_ui(value, value, 100, NEAREST);
        mpfr_log_ui(a, (unsigned long)oracle->count, NEAREST);
        mpfr_div(value, value, a, NEAREST);
    }
    mpfr_clears(a, term, (mpfr_ptr)0);
}

double meter_oracle_entropy(const attention_oracle *oracle, int percent)
{
    double rounded;
    mpfr_t value;

    mpfr_init2(value, BITS);
    meter_oracle_exact_entropy(value, oracle, percent);
    rounded = attention_oracle_round(value, value, VDIT_F32);
    mpfr_clear(value);
    return rounded;
}

void meter_oracle_exact_mass(mpfr_t value, const attention_oracle *oracle, size_t first, size_t end)
{
    mpfr_set_zero(value, 1);
    for (size_t i = 0; i < oracle->count; i++)
        if (oracle->key[i] >= first && oracle->key[i] < end)
            mpfr_add(value, value, oracle->p[i], NEAREST);
    if (!mpfr_zero_p(value))
        mpfr_div(value, value, oracle->sum, NEAREST);
}

double meter_oracle_mass(const attention_oracle *oracle, size_t first, size_t end)
{
    double rounded;
    mpfr_t value;

    mpfr_init2(value, BITS);
    meter_oracle_exact_mass(value, oracle, first, end);
    rounded = attention_oracle_round(value, value, VDIT_F32);
    mpfr_clear(value);
    return rounded;
}

double meter_oracle_mean(const double *values, size_t count)
{
    double rounded;
    mpfr_t sum;

    if (count == 0)
        return NAN;
    mpfr_init2(sum, 2 * BITS);
    mpfr_set_zero(sum, 1);
    for (size_t i = 0; i < count; i++)
        mpfr_add_d(sum, sum, values[i], NEAREST);
    mpfr_div_ui(sum, sum, (unsigned long)count, NEAREST);
    rounded = mpfr_nan_p(sum) ? NAN : attention_oracle_round(sum, sum, VDIT_F32);
    mpfr_clear(sum);
    return rounded;
}

double meter_oracle_result(const vdit_meter_results *results, const char *name, size_t at)
{
    const vdit_tensor *t = vdit_meter_find(results, name);
    double value;

    if (t == NULL || at >= vdit_tensor_count(t))
        fail_msg("there is no element %zu of %s", at, name);
    vdit_load_f64(&value, 1, (char *)t->data + at * vdit_dtype_size(t->dtype), 1, t->dtype);
    return value;
}

void meter_oracle_run(scene *s, const char *meters, const vdit_tokens *tokens,
                      vdit_meter_results *results)
{
    vdit_meter_request request;

    vdit_meter_request_init(&request, meters);
    if (tokens != NULL)
        request.tokens = *tokens;
    if (vdit_meter_run(s->run, &s->call, &request, results) != VDIT_OK)
        fail_msg("%s", vdit_run_message(s->run));
}

void meter_oracle_expect(const vdit_meter_results *results, const char *name, size_t at,
                         double expected)
{
    double found = meter_oracle_result(results, name, at);

    if (!oracle_same(found, expected))
        fail_msg("%s[%zu] is %a, expected %a", name, at, found, expected);
}
