/* judge_case.c - one case: its tensors, and whether its inputs could have told. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "golden/evidence.h"

static const vdit_tensor *named_find(const vdit_named *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i].tensor;
    return NULL;
}

/* The name of an operator's main output. */
static const char *main_name(vdit_operator op)
{
    return op == VDIT_OP_ATTENTION ? "o" : op == VDIT_OP_MATMUL ? "c" : "y";
}

/*
 * Sigma of the main output under the contract: the golden's own where the contract is its own, else
 * computed by the reference. Out: sigma; is_exact is set to 1 where equal bits are demanded.
 */
static vdit_status sigma_of(vdit_run *run, vdit_tensor *sigma, int *is_exact,
                            const vdit_golden *golden, const vdit_contract *contract)
{
    char name[16];
    const vdit_tensor *own;

    *is_exact = contract == vdit_contract_find("exact");
    if (*is_exact)
        return vdit_run_status(run);
    if (contract != golden->contract)
        return vdit_golden_sigma(run, sigma, golden, contract);
    snprintf(name, sizeof name, "%s.sigma", main_name(golden->op));
    own = vdit_golden_find(golden, name);
    if (own == NULL)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: the golden has no %s", golden->name, name);
    *sigma = *own;
    return vdit_run_status(run);
}

static void case_fail(vdit_case_finding *f, const char *tensor, const vdit_finding *finding)
{
    f->verdict = VDIT_FAILS;
    snprintf(f->reason, sizeof f->reason, "%s: %s", tensor, finding->reason);
}

/* The log-sum-exp, if the backend gives one. Every element is a row of its own. */
static vdit_status judge_lse(vdit_run *run, vdit_case_finding *f, const vdit_call *call,
                             const vdit_golden *golden, const vdit_tensor *actual)
{
    const vdit_tensor *lse = vdit_golden_find(golden, "lse");
    vdit_noise noise = vdit_contract_noise(f->contract, call->keys);
    vdit_tensor sigma, columns[2];
    int is_exact = f->contract == vdit_contract_find("exact");

    if (lse == NULL || actual == NULL)
        return vdit_run_status(run);
    f->has_lse = 1;
    if (vdit_call_lse_sigma(run, &sigma, call, lse, &noise) != VDIT_OK)
        return vdit_run_status(run);
    columns[0] = *lse;
    columns[1] = *actual;
    for (int i = 0; i < 2; i++)
        if (columns[i].rank < VDIT_MAX_RANK) {
            columns[i].shape[columns[i].rank] = 1;
            columns[i].stride[columns[i].rank++] = 1;
        }
    vdit_tensor_judge(run, &f->lse, &columns[0], &columns[1], is_exact ? NULL : &sigma);
    if (vdit_run_status(run) == VDIT_OK && f->verdict == VDIT_HOLDS && f->lse.verdict != VDIT_HOLDS)
        case_fail(f, "lse", &f->lse);
    return vdit_run_status(run);
}

/*
 * Would an answer without work pass? If it is the right one, the case is marked trivial: it checks
 * that, and tells nothing else. If it passes though it is wrong, the tolerance is too wide here.
 */
static vdit_status try_answer(vdit_run *run, vdit_case_finding *f, const vdit_tensor *golden,
                              const vdit_tensor *answer, const vdit_tensor *sigma, const char *name,
                              int is_right)
{
    vdit_finding finding;

    if (vdit_tensor_judge(run, &finding, golden, answer, sigma) != VDIT_OK)
        return vdit_run_status(run);
    if (is_right) {
        f->trivial = name;
    } else if (finding.verdict == VDIT_HOLDS && f->verdict == VDIT_HOLDS) {
        f->verdict = VDIT_INCONCLUSIVE;
        snprintf(f->reason, sizeof f->reason, "%s would pass too", name);
    }
    return VDIT_OK;
}

static int is_zero(const vdit_difference *d)
{
    return d->error == 0 && d->specials == 0;
}

static vdit_status try_zeros(vdit_run *run, vdit_case_finding *f, const vdit_tensor *golden,
                             const vdit_tensor *sigma)
{
    static const unsigned char zero[8] = {0};
    vdit_tensor zeros = *golden;
    vdit_difference d;

    memset(zeros.stride, 0, sizeof zeros.stride);
    zeros.data = (void *)(uintptr_t)zero; /* only read */
    if (vdit_difference_measure(run, &d, golden, &zeros, NULL) != VDIT_OK)
        return vdit_run_status(run);
    return try_answer(run, f, golden, &zeros, sigma, "0", is_zero(&d));
}

/*
 * The mean of V: would it pass? Where it is right, all weights of a row are equal and a kernel rounds
 * them all alike, up or down: there a common gain is honest, and is forgiven.
 */
static vdit_status try_mean(vdit_run *run, vdit_case_finding *f, const vdit_call *call,
                            const vdit_tensor *golden, const vdit_tensor *sigma)
{
    vdit_tensor mean;
    int is_right = 0;

    if (f->verdict != VDIT_HOLDS && f->main.rule != VDIT_RULE_GAIN)
        return VDIT_OK;
    if (vdit_call_mean(run, &mean, &is_right, call, golden) != VDIT_OK)
        return vdit_run_status(run);
    if (is_right && f->main.rule == VDIT_RULE_GAIN) {
        f->main.verdict = f->verdict = VDIT_HOLDS;
        f->main.rule = VDIT_RULE_NONE;
        f->main.reason[0] = f->reason[0] = '\0';
    }
    return try_answer(run, f, golden, &mean, sigma, "the mean of V", is_right);
}

/* What is judged of attention beside its output. */
static vdit_status judge_attention(vdit_run *run, vdit_case_finding *f, const vdit_golden *golden,
                                   const vdit_tensor *o, const vdit_tensor *sigma,
                                   const vdit_named *actual, size_t count)
{
    vdit_call call;

    if (vdit_call_read(run, &call, golden) != VDIT_OK ||
        try_mean(run, f, &call, o, sigma) != VDIT_OK ||
        judge_lse(run, f, &call, golden, named_find(actual, count, "lse")) != VDIT_OK)
        return vdit_run_status(run);
    f->row = (int64_t)vdit_call_row(&call, f->main.difference.where[2]);
    f->lse_row = (int64_t)vdit_call_row(&call, f->lse.difference.where[2]);
    return vdit_run_status(run);
}

vdit_status vdit_case_ratio(vdit_run *run, vdit_case_finding *finding, const vdit_golden *golden,
                            const vdit_named *actual, size_t count)
{
    vdit_call call;

    if (golden->op != VDIT_OP_ATTENTION || !finding->main.measured)
        return vdit_run_status(run);
    if (golden->plan == NULL && vdit_call_read(run, &call, golden) == VDIT_OK)
        vdit_call_ratio(run, &finding->ratio, &call, vdit_golden_find(golden, "o"),
                        named_find(actual, count, "o"));
    return vdit_run_status(run);
}

void vdit_case_refuse(vdit_case_finding *finding, const char *name, vdit_operator op,
                      const vdit_contract *contract, const char *reason)
{
    vdit_case_finding f = {
        .name = name, .op = op, .contract = contract, .verdict = VDIT_FAILS, .ratio = NAN};

    snprintf(f.reason, sizeof f.reason, "%s", reason);
    *finding = f;
}

/* What the main output is compared with: the golden's, or that of the entries which the backend kept. */
typedef struct expectation {
    vdit_tensor main, sigma;
    int is_exact;
    int has_evidence;
    vdit_evidence evidence;
    char reason[160]; /* why the backend's decisions are wrong; "" if they are not */
} expectation;

/* Of a golden whose mask decides by rank. */
static vdit_status expect_decided(vdit_run *run, expectation *e, const vdit_golden *golden,
                                  const vdit_contract *contract, const vdit_tensor *keep)
{
    vdit_tensor o, sigma;
    size_t flips = 0;
    int clear = 0;

    if (keep == NULL) {
        if (!e->is_exact &&
            vdit_decision_widen(run, &sigma, &e->evidence, golden, &e->sigma) == VDIT_OK)
            e->sigma = sigma;
        return vdit_run_status(run);
    }
    if (vdit_decision_judge(run, &clear, &flips, e->reason, sizeof e->reason, &e->evidence, golden,
                            keep) != VDIT_OK ||
        clear || flips == 0 ||
        vdit_decision_apply(run, &o, &sigma, golden, contract, keep) != VDIT_OK)
        return vdit_run_status(run);
    e->main = o;
    e->sigma = sigma;
    return VDIT_OK;
}

/* Out: e. In: golden, whose main output is own. */
static vdit_status expect(vdit_run *run, expectation *e, const vdit_golden *golden,
                          const vdit_tensor *own, const vdit_contract *contract,
                          const vdit_named *actual, size_t count)
{
    const vdit_tensor *keep = vdit_golden_find(golden, "keep");
    vdit_call call;

    memset(e, 0, sizeof *e);
    e->main = *own;
    if (sigma_of(run, &e->sigma, &e->is_exact, golden, contract) != VDIT_OK ||
        (keep == NULL && golden->plan == NULL && golden->meters == NULL))
        return vdit_run_status(run);
    e->has_evidence = 1;
    if (vdit_call_read(run, &call, golden) != VDIT_OK ||
        vdit_evidence_make(run, &e->evidence, golden, &call, contract) != VDIT_OK || keep == NULL)
        return vdit_run_status(run);
    return expect_decided(run, e, golden, contract, named_find(actual, count, "keep"));
}

/* Judges the main output as expected, and what answers without work would give. */
static vdit_status judge_main(vdit_run *run, vdit_case_finding *f, const expectation *e,
                              const vdit_golden *golden, const vdit_named *actual, size_t count)
{
    const char *name = main_name(golden->op);
    const vdit_tensor *sigma = e->is_exact ? NULL : &e->sigma;

    vdit_tensor_judge(run, &f->main, &e->main, named_find(actual, count, name), sigma);
    f->verdict = f->main.verdict;
    if (f->verdict != VDIT_HOLDS)
        case_fail(f, name, &f->main);
    if (f->verdict == VDIT_HOLDS)
        try_zeros(run, f, &e->main, sigma);
    if (golden->op == VDIT_OP_ATTENTION && vdit_run_status(run) == VDIT_OK)
        judge_attention(run, f, golden, &e->main, sigma, actual, count);
    return vdit_run_status(run);
}

/* What is wrong beside the main output. */
static vdit_status judge_rest(vdit_run *run, vdit_case_finding *f, expectation *e,
                              const vdit_golden *golden, const vdit_named *actual, size_t count)
{
    if (e->reason[0] == '\0')
        vdit_observed_judge(run, &f->observed, e->reason, sizeof e->reason, &e->evidence, golden,
                            f->contract, actual, count);
    if (e->reason[0] != '\0' && f->verdict != VDIT_FAILS) {
        f->verdict = VDIT_FAILS;
        snprintf(f->reason, sizeof f->reason, "%s", e->reason);
    }
    return vdit_run_status(run);
}

vdit_status vdit_case_judge(vdit_run *run, vdit_case_finding *finding, const vdit_golden *golden,
                            const vdit_contract *contract, const vdit_named *actual, size_t count)
{
    const char *name = main_name(golden->op);
    const vdit_tensor *own = vdit_golden_find(golden, name);
    size_t mark = vdit_run_mark(run);
    vdit_case_finding f;
    expectation e;

    vdit_case_refuse(&f, golden->name, golden->op, contract ? contract : golden->contract, "");
    if (own == NULL)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: the golden has no %s", golden->name, name);
    f.rank = own->rank;
    if (expect(run, &e, golden, own, f.contract, actual, count) == VDIT_OK &&
        judge_main(run, &f, &e, golden, actual, count) == VDIT_OK && e.has_evidence)
        judge_rest(run, &f, &e, golden, actual, count);
    vdit_run_release(run, mark);
    if (vdit_run_status(run) == VDIT_OK)
        *finding = f;
    return vdit_run_status(run);
}

/* Integers have no noise, and an expected tensor of 0 alone could not have told. */
vdit_status vdit_pair_judge(vdit_run *run, vdit_case_finding *finding, const char *name,
                            const vdit_tensor *expected, const vdit_tensor *actual,
                            const vdit_tensor *sigma, const vdit_contract *contract)
{
    size_t mark = vdit_run_mark(run);
    vdit_case_finding f;
    vdit_tensor guess;

    if (contract == NULL && vdit_dtype_is_float(expected->dtype) && expected->dtype != VDIT_F64)
        contract = vdit_contract_default(expected->dtype);
    vdit_case_refuse(&f, name, VDIT_OP_NONE, contract, "");
    f.rank = expected->rank;
    if (!vdit_dtype_is_float(expected->dtype) || contract == vdit_contract_find("exact")) {
        sigma = NULL;
    } else if (sigma == NULL) {
        vdit_sigma_guess(run, &guess, expected, contract);
        sigma = &guess;
    }
    if (vdit_tensor_judge(run, &f.main, expected, actual, sigma) == VDIT_OK) {
        f.verdict = f.main.verdict;
        snprintf(f.reason, sizeof f.reason, "%s", f.main.reason);
        if (f.verdict == VDIT_HOLDS)
            try_zeros(run, &f, expected, sigma);
    }
    vdit_run_release(run, mark);
    if (vdit_run_status(run) == VDIT_OK)
        *finding = f;
    return vdit_run_status(run);
}
