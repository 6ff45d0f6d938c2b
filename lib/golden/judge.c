/*
 * judge.c - the rules: one tensor, one case, all cases.
 *
 * Each comparison is written !(value <= limit), so that a NaN fails it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "golden/judge.h"

/*
 * The thresholds. Measured in doc/conformance.md: what honest kernels reach, what broken ones do.
 *   z        8: honest kernels reach 5.7; a tail of 8 standard deviations is not met in 10^12
 *            elements, and one step between neighbours of the format is at most 3.5
 *   rms      1.5: honest kernels reach 1.1; twice the noise everywhere is another contract
 *   bias     1/4: half the smallest gain that is worth a name (0.2% in bf16), and what rounding the
 *            scale to f32 costs an honest f32 kernel
 *   errors   8: as z, for the gain
 *   rows     32: with fewer, the scatter of the rows is no estimate of its standard error
 */
static const vdit_limits limits = {.z = 8, .rms = 1.5, .bias = 0.25, .errors = 8, .rows = 32};

const vdit_limits *vdit_judge_limits(void)
{
    return &limits;
}

const char *vdit_verdict_name(vdit_verdict verdict)
{
    static const char *const names[] = {"fails", "inconclusive", "holds"};

    return (size_t)verdict < sizeof names / sizeof *names ? names[verdict] : "unknown verdict";
}

/* Compares what can be seen without looking at elements. Returns: 1 if they can be measured. */
static int can_measure(vdit_finding *f, const vdit_tensor *golden, const vdit_tensor *actual)
{
    char got[64], want[64];

    if (actual == NULL)
        snprintf(f->reason, sizeof f->reason, "missing");
    else if (actual->dtype != golden->dtype)
        snprintf(f->reason, sizeof f->reason, "%s instead of %s", vdit_dtype_name(actual->dtype),
                 vdit_dtype_name(golden->dtype));
    else if (actual->rank != golden->rank ||
             memcmp(actual->shape, golden->shape, (size_t)golden->rank * sizeof(size_t)) != 0)
        snprintf(f->reason, sizeof f->reason, "shape %s instead of %s",
                 vdit_tensor_shape_text(got, sizeof got, actual),
                 vdit_tensor_shape_text(want, sizeof want, golden));
    else
        return 1;
    return 0;
}

/*
 * The root mean square may exceed its limit by what one row of elements at the limit of z adds: with
 * few rows it is no average yet.
 */
static double rms_limit(const vdit_difference *d)
{
    return d->rows ? sqrt(limits.rms * limits.rms + limits.z * limits.z / (double)d->rows) : 0;
}

static double bias_limit(const vdit_difference *d)
{
    return d->rows >= limits.rows ? limits.bias + limits.errors * d->bias_error : HUGE_VAL;
}

/* The first rule that a measured tensor breaks. */
static vdit_rule broken_rule(const vdit_difference *d, int is_exact)
{
    if (d->specials != 0)
        return VDIT_RULE_SPECIAL;
    if (is_exact)
        return d->unequal != 0 ? VDIT_RULE_BITS : VDIT_RULE_NONE;
    if (!(d->z <= limits.z))
        return VDIT_RULE_Z;
    if (!(d->rms <= rms_limit(d)))
        return VDIT_RULE_RMS;
    return !(d->bias <= bias_limit(d)) ? VDIT_RULE_GAIN : VDIT_RULE_NONE;
}

static void say_why(vdit_finding *f)
{
    const vdit_difference *d = &f->difference;
    size_t size = sizeof f->reason;

    if (f->rule == VDIT_RULE_SPECIAL)
        snprintf(f->reason, size, "%zu NaN or infinite on one side", d->specials);
    else if (f->rule == VDIT_RULE_BITS)
        snprintf(f->reason, size, "%zu of %zu not bit-equal", d->unequal, d->count);
    else if (f->rule == VDIT_RULE_Z)
        snprintf(f->reason, size, "z %.3g > %g", d->z, limits.z);
    else if (f->rule == VDIT_RULE_RMS)
        snprintf(f->reason, size, "rms z %.3g > %.3g", d->rms, rms_limit(d));
    else if (f->rule == VDIT_RULE_GAIN)
        snprintf(f->reason, size, "gain %.6f: bias %.3g > %.3g", 1 + d->gain, d->bias,
                 bias_limit(d));
}

vdit_status vdit_tensor_judge(vdit_run *run, vdit_finding *finding, const vdit_tensor *golden,
                              const vdit_tensor *actual, const vdit_tensor *sigma)
{
    vdit_finding f = {VDIT_FAILS, VDIT_RULE_FORM, "", 0, {0}};

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    if (can_measure(&f, golden, actual)) {
        if (vdit_difference_measure(run, &f.difference, golden, actual, sigma) != VDIT_OK)
            return vdit_run_status(run);
        f.measured = 1;
        f.rule = broken_rule(&f.difference, sigma == NULL);
        f.verdict = f.rule == VDIT_RULE_NONE ? VDIT_HOLDS : VDIT_FAILS;
        say_why(&f);
    }
    *finding = f;
    return VDIT_OK;
}

/* A bit per contract; the highest one stands for none. */
static uint32_t contract_bit(const vdit_contract *contract)
{
    for (int i = 0; i < 31 && vdit_contract_at((size_t)i) != NULL; i++)
        if (vdit_contract_at((size_t)i) == contract)
            return UINT32_C(1) << i;
    return UINT32_C(1) << 31;
}

void vdit_tally_add(vdit_tally *tally, const vdit_case_finding *finding, int waived)
{
    uint32_t bit = contract_bit(finding->contract);

    if (finding->verdict == VDIT_HOLDS || !waived)
        tally->seen[finding->op] |= bit;
    if (finding->verdict == VDIT_HOLDS && finding->trivial == NULL)
        tally->told[finding->op] |= bit;
    if (finding->verdict == VDIT_HOLDS)
        tally->hold++;
    else if (waived)
        tally->waived++;
    else if (finding->verdict == VDIT_INCONCLUSIVE)
        tally->inconclusive++;
    else
        tally->fail++;
}

vdit_verdict vdit_tally_verdict(const vdit_tally *tally)
{
    if (tally->fail != 0)
        return VDIT_FAILS;
    if (tally->inconclusive != 0 || tally->hold == 0)
        return VDIT_INCONCLUSIVE;
    for (size_t op = 0; op <= VDIT_OPERATOR_COUNT; op++)
        if (tally->told[op] != tally->seen[op])
            return VDIT_INCONCLUSIVE;
    return VDIT_HOLDS;
}
