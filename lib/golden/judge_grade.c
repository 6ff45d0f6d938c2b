/*
 * judge_grade.c - which contract does a backend keep? The strictest under which a case holds.
 *
 * Contracts stand in the table from the strictest on, and what holds under one holds under the next
 * of the same dtype: sigma only grows. Whether the inputs could have told two of them apart is read
 * off their sigmas: an honest kernel of the weaker one has an rms z of about sigma' / sigma under the
 * stricter one, and is rejected there if that is well above the limit of rms z.
 */
#include <math.h>
#include "golden/judge.h"

/* An honest kernel has an rms z between one half and 1 under its own sigma. */
#define LEAST_HONEST 0.5

/* Returns: the next contract after index i that fits the dtype, its index in i; NULL past the last. */
static const vdit_contract *next_fitting(size_t *i, vdit_dtype dtype)
{
    const vdit_contract *c;

    while ((c = vdit_contract_at(++*i)) != NULL && !vdit_contract_fits(c, dtype))
        ;
    return c;
}

/* The root mean square of weaker / stricter over elements that have both; 0 without any. */
static double growth(const vdit_tensor *stricter, const vdit_tensor *weaker)
{
    size_t count = vdit_tensor_count(stricter), size = vdit_dtype_size(stricter->dtype), n = 0;
    double sum = 0;

    for (size_t i = 0; i < count; i++) { /* both are made here, and dense */
        double a, b;
        vdit_load_f64(&a, 1, (const char *)stricter->data + i * size, 1, stricter->dtype);
        vdit_load_f64(&b, 1, (const char *)weaker->data + i * size, 1, weaker->dtype);
        if (a > 0 && isfinite(b / a)) {
            sum += b / a * (b / a);
            n++;
        }
    }
    return n ? sqrt(sum / (double)n) : 0;
}

/* Returns: 1 if no inputs could tell two units apart. */
static int is_alike(double unit, double weaker)
{
    return weaker <= 2 * unit;
}

/* Returns: 1 if two contracts ask the same of the operator, within a factor of 2: then neither is
 * weaker, and nothing is to be told. Only attention and products have a map or logits. */
static int is_same_promise(vdit_operator op, const vdit_contract *a, const vdit_contract *b)
{
    const vdit_noise *m = &a->noise, *n = &b->noise;
    int has_map = op == VDIT_OP_ATTENTION || op == VDIT_OP_LINEAR || op == VDIT_OP_MATMUL;

    return is_alike(m->sum_unit, n->sum_unit) && is_alike(m->out_unit, n->out_unit) &&
           (!has_map || (is_alike(m->p_unit, n->p_unit) && is_alike(m->score_unit, n->score_unit)));
}

/*
 * Out: grade->told, bit i for contract i and the next one that fits. Exactness is told by bits: from it
 * everything is, unless an answer without work is right.
 */
static vdit_status tell_apart(vdit_run *run, vdit_grade *grade, const vdit_golden *golden,
                              vdit_dtype dtype)
{
    size_t at = 0, mark = vdit_run_mark(run), next;
    const vdit_contract *c = vdit_contract_at(0);
    vdit_tensor sigma, weaker;

    if (grade->finding.trivial == NULL)
        grade->told |= 1;
    c = next_fitting(&at, dtype);
    if (c == NULL || vdit_golden_sigma(run, &sigma, golden, c) != VDIT_OK)
        return vdit_run_status(run);
    for (next = at; (c = next_fitting(&next, dtype)) != NULL; at = next) {
        if (vdit_golden_sigma(run, &weaker, golden, c) != VDIT_OK)
            return vdit_run_status(run);
        if (is_same_promise(golden->op, vdit_contract_at(at), c) ||
            LEAST_HONEST * growth(&sigma, &weaker) > vdit_judge_limits()->rms)
            grade->told |= UINT32_C(1) << at;
        sigma = weaker;
    }
    vdit_run_release(run, mark);
    return VDIT_OK;
}

vdit_status vdit_case_grade(vdit_run *run, vdit_grade *grade, const vdit_golden *golden,
                            const vdit_named *actual, size_t count)
{
    vdit_dtype dtype = golden->inputs[0].tensor.dtype;
    const vdit_contract *c = vdit_contract_at(0);
    vdit_grade g = {.level = VDIT_GRADE_NONE};

    for (size_t i = 0; c != NULL; c = next_fitting(&i, dtype)) {
        if (vdit_case_judge(run, &g.finding, golden, c, actual, count) != VDIT_OK)
            return vdit_run_status(run);
        if (g.finding.verdict != VDIT_FAILS) {
            g.level = i;
            break;
        }
    }
    if (tell_apart(run, &g, golden, dtype) == VDIT_OK)
        *grade = g;
    return vdit_run_status(run);
}
