/*
 * judge_observed.c - what a backend reports beside its output: numbers of the mask, and meters.
 *
 * Sums of map entries inherit the relative error of an entry, so sigma of a mass m is 2 e m; an entropy moves by
 * at most sum a |ln a| |error| <= 2 e H. Counts and chosen keys are decisions (judge_choice.c).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "golden/choice.h"

#define METER "meter."

/* How the error of a number follows from that of the entries. */
typedef enum error_kind {
    BY_HEAD, /* relative: of the worst row of the head. What the table does not name, too */
    BY_ROW,  /* relative: axis 2 is the row */
    LSE,     /* absolute: e of the row */
    VALUES,  /* no entries in it: roundings of f32 */
    ENERGY,  /* squares of outputs: sums that cancel, sqrt(Nk) larger, whose rows are independent */
    SHARE,   /* the same relative to 1 */
    COARSE,  /* relative, and a row's part rounded to bf16 */
    MARGIN,  /* differences of entries, relative to the entries */
    OF_CHOICE /* belongs to a chosen key: judged where the golden's was chosen */
} error_kind;

static const struct {
    const char *name;
    error_kind kind;
} kinds[] = {
    {"dense_mass", BY_ROW},        {"entropy.row", BY_ROW},        {"entropy.row_percent", BY_ROW},
    {"first-frame.row", BY_ROW},   {"text0.row", BY_ROW},          {"segments.row_video", BY_ROW},
    {"segments.row_text", BY_ROW}, {"max.entry", BY_ROW},          {"lse.row", LSE},
    {"sink.mean_norm", VALUES},    {"sink.value_norm", OF_CHOICE}, {"sink.ratio", OF_CHOICE},
    {"sink.place", OF_CHOICE},     {"sink.text", OF_CHOICE},       {"sink.text0", OF_CHOICE},
    {"ladder.tau", VALUES},        {"energy.av", ENERGY},          {"energy.uv", VALUES},
    {"energy.iv", VALUES},         {"energy.proportion", SHARE},   {"energy.violations", OF_CHOICE},
    {"topk.margin", MARGIN},       {"kcurve.error", SHARE},        {"picture.max", COARSE},
    {"picture.mean", COARSE},
};

static error_kind kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return kinds[i].kind;
    return BY_HEAD;
}

/* What one number is judged with. */
typedef struct observer {
    const vdit_evidence *ev;
    const vdit_golden *golden;
    const vdit_named *actual;
    size_t count;
    double out_unit; /* of the contract */
} observer;

static const vdit_tensor *actual_of(const observer *o, const char *name)
{
    for (size_t i = 0; i < o->count; i++)
        if (strcmp(o->actual[i].name, name) == 0)
            return &o->actual[i].tensor;
    return NULL;
}

/* Returns: sigma of the number value at an index, whose axes are B and H first if it has_heads. */

static double sigma_at(const observer *o, error_kind kind, double value, const size_t *at,
                       int has_heads)

{
    double rounding = 4 * vdit_dtype_roundoff(VDIT_F32), size = fabs(value), most;
    const vdit_tensor *entry = vdit_golden_find(o->golden, METER "topk.entry");

    if (kind == VALUES || kind == OF_CHOICE || !has_heads)
        return rounding * size;
    most = vdit_evidence_most(o->ev, at[0], at[1]);
    if (kind == COARSE)
        return (most + vdit_dtype_roundoff(VDIT_BF16)) * size;
    if (kind == BY_ROW)
        return (vdit_evidence_error(o->ev, at[0], at[1], at[2]) + rounding) * size;
    if (kind == LSE)
        return vdit_evidence_error(o->ev, at[0], at[1], at[2]) / 2 + rounding * (1 + size);
    if (kind == ENERGY || kind == SHARE)
        return (2 * most * sqrt((double)o->ev->Nk / (double)o->ev->R) + 2 * o->out_unit +
                rounding) *
               (kind == SHARE ? 1 + size : size);
    if (kind == MARGIN && entry != NULL)
        return 2 * (most + rounding) * vdit_number_at(entry, at);
    return (most + rounding) * size;
}

/* Out: sigma, f64 of the shape of expected. */
static vdit_status make_sigma(vdit_run *run, vdit_tensor *sigma, const observer *o, error_kind kind,
                              const vdit_tensor *expected)
{
    size_t count = vdit_tensor_count(expected);
    int has_heads =
        expected->rank >= 2 && expected->shape[0] == o->ev->B && expected->shape[1] == o->ev->H;

    if (vdit_tensor_new(run, sigma, VDIT_F64, expected->rank, expected->shape) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t n = 0; n < count; n++) {
        size_t at[VDIT_MAX_RANK] = {0}, rest = n;
        for (int axis = expected->rank - 1; axis >= 0; rest /= expected->shape[axis], axis--)
            at[axis] = rest % expected->shape[axis];
        ((double *)sigma->data)[n] = sigma_at(o, kind, vdit_number_at(expected, at), at, has_heads);
    }
    return VDIT_OK;
}

/* Returns: 1 if dtype and shape are equal; else reason says what they are. */
static int same_form(char *reason, size_t size, const char *name, const vdit_tensor *expected,
                     const vdit_tensor *actual)
{
    char got[64], want[64];

    if (actual->dtype == expected->dtype && actual->rank == expected->rank &&
        memcmp(actual->shape, expected->shape, (size_t)expected->rank * sizeof *expected->shape) ==
            0)
        return 1;
    snprintf(reason, size, "%s: %s %s instead of %s %s", name, vdit_dtype_name(actual->dtype),
             vdit_tensor_shape_text(got, sizeof got, actual), vdit_dtype_name(expected->dtype),
             vdit_tensor_shape_text(want, sizeof want, expected));
    return 0;
}

/* Returns: 1 if the backend chose the golden's sinks, or says nothing of them. */
static int same_choice(vdit_run *run, const observer *o)
{
    const vdit_tensor *expected = vdit_golden_find(o->golden, METER "sink.key");
    const vdit_tensor *actual = actual_of(o, METER "sink.key");
    vdit_difference d;

    return expected == NULL || actual == NULL ||
           (vdit_difference_measure(run, &d, expected, actual, NULL) == VDIT_OK && d.unequal == 0);
}

static vdit_status judge_one(vdit_run *run, char *reason, size_t size, const observer *o,
                             const vdit_named *expected, const vdit_tensor *actual)
{
    int is_meter = strncmp(expected->name, METER, sizeof METER - 1) == 0;
    const char *name = expected->name + (is_meter ? sizeof METER - 1 : 0);
    error_kind kind = kind_of(name);
    vdit_finding finding;
    vdit_tensor sigma;
    int is_float = vdit_dtype_is_float(expected->tensor.dtype);

    if (!same_form(reason, size, expected->name, &expected->tensor, actual) ||
        vdit_choice_judge(reason, size, o->ev, o->golden, name, &expected->tensor, actual) ||
        (kind == OF_CHOICE && !same_choice(run, o)))
        return vdit_run_status(run);
    if ((is_float && make_sigma(run, &sigma, o, kind, &expected->tensor) != VDIT_OK) ||
        vdit_tensor_judge(run, &finding, &expected->tensor, actual, is_float ? &sigma : NULL) !=
            VDIT_OK)
        return vdit_run_status(run);
    if (finding.verdict != VDIT_HOLDS)
        snprintf(reason, size, "%s: %s", expected->name, finding.reason);
    return VDIT_OK;
}

/*
 * What the mask of a row does: the count of dropped entries, or the mass that is kept. Of a backend that says which
 * entries it kept, those are counted; of another, what the free ones can change is allowed.
 */
static void judge_row_mask(char *reason, size_t size, const observer *o, const vdit_named *expected,
                           const vdit_tensor *actual)
{
    const vdit_tensor *golden_keep = vdit_golden_find(o->golden, "keep");
    const vdit_tensor *keep = actual_of(o, "keep");
    int is_mass = strcmp(expected->name, "kept_mass") == 0;
    size_t rows = o->ev->B * o->ev->H * o->ev->R;

    if (!same_form(reason, size, expected->name, &expected->tensor, actual))
        return;
    for (size_t n = 0; n < rows && reason[0] == '\0'; n++) {
        size_t b = n / o->ev->R / o->ev->H, h = n / o->ev->R % o->ev->H, r = n % o->ev->R;
        const size_t at[] = {b, h, r};
        vdit_row_mask own = vdit_decision_row(o->ev, keep ? keep : golden_keep, b, h, r);
        vdit_row_mask theirs = vdit_decision_row(o->ev, golden_keep, b, h, r);
        vdit_row_mask free_row = vdit_decision_free(o->ev, o->golden, b, h, r);
        double want = vdit_number_at(&expected->tensor, at), got = vdit_number_at(actual, at),
               reach;
        want += is_mass ? own.mass - theirs.mass : own.masked - theirs.masked;
        reach = is_mass ? vdit_judge_limits()->z * sigma_at(o, BY_ROW, want, at, 1) : 0;
        if (keep == NULL)
            reach += is_mass ? free_row.mass : free_row.masked;
        if (!(fabs(got - want) <= reach))
            snprintf(reason, size, "%s: %.9g instead of %.9g at %zu,%zu,%zu", expected->name, got,
                     want, b, h, r);
    }
}

/* Judged elsewhere: the output, what goes with it, and which entries are kept. */
static int is_elsewhere(const char *name)
{
    static const char *const names[] = {"o", "o.sigma", "lse", "keep"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return 1;
    return 0;
}

static int is_row_mask(const char *name)
{
    return strcmp(name, "kept_mass") == 0 || strcmp(name, "masked") == 0;
}

vdit_status vdit_observed_judge(vdit_run *run, size_t *judged, char *reason, size_t size,
                                const vdit_evidence *evidence, const vdit_golden *golden,
                                const vdit_contract *contract, const vdit_named *actual,
                                size_t count)
{
    observer o = {evidence, golden, actual, count, contract->noise.out_unit};
    size_t meters = 0;

    *judged = 0;
    for (size_t i = 0; i < golden->output_count && reason[0] == '\0'; i++) {
        const vdit_named *expected = &golden->outputs[i];
        const vdit_tensor *there = actual_of(&o, expected->name);
        if (is_elsewhere(expected->name) || there == NULL)
            continue;
        meters += strncmp(expected->name, METER, sizeof METER - 1) == 0;
        (*judged)++;
        if (is_row_mask(expected->name)) {
            judge_row_mask(reason, size, &o, expected, there);
            continue;
        }
        if (judge_one(run, reason, size, &o, expected, there) != VDIT_OK)
            return vdit_run_status(run);
    }
    if (golden->meters != NULL && meters == 0 && reason[0] == '\0')
        snprintf(reason, size, "%s: missing, as are all meters of the case", METER "*");
    return vdit_run_status(run);
}
