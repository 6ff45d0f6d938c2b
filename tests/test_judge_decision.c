/*
 * test_judge_decision.c - masks by rank and statistics that choose: what an honest backend may decide otherwise,
 * and what it may not. The backends are the reference on inputs that are off by a little.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>
#include "golden/evidence.h"

static int new_run(void **state)
{
    *state = vdit_run_new();
    return *state == NULL ? -1 : 0;
}

static int free_run(void **state)
{
    vdit_run_free(*state);
    return 0;
}

/* A golden in f32 of a small grid with text, two heads, the given plan and meters. */
static void make(vdit_run *run, vdit_golden *golden, const char *plan, const char *meters)
{
    vdit_case c = {.name = "sample", .dtype = VDIT_F32, .seed = 77, .B = 1, .H = 2};

    c.family = vdit_family_find("video");
    c.contract = vdit_contract_default(VDIT_F32);
    c.tokens = (vdit_tokens){.frames = 3, .height = 4, .width = 6, .text = 8};
    c.Nq = c.Nk = 80;
    c.d = c.dv = 32;
    c.scale = 1 / sqrt(32.0);
    c.plan = plan;
    c.meters = meters;
    if (vdit_golden_generate(run, golden, &c) != VDIT_OK ||
        vdit_golden_compute(run, golden) != VDIT_OK)
        fail_msg("%s", vdit_run_message(run));
}

/* What a backend gives: copies of the golden's outputs, which may be changed. */
typedef struct answer {
    vdit_named list[VDIT_GOLDEN_OUTPUTS];
    size_t count;
} answer;

static void copy_outputs(vdit_run *run, answer *a, const vdit_golden *golden)
{
    a->count = golden->output_count;
    for (size_t i = 0; i < a->count; i++) {
        const vdit_tensor *t = &golden->outputs[i].tensor;
        a->list[i].name = golden->outputs[i].name;
        assert_int_equal(vdit_tensor_new(run, &a->list[i].tensor, t->dtype, t->rank, t->shape),
                         VDIT_OK);
        vdit_tensor_pack(a->list[i].tensor.data, t);
    }
}

static vdit_tensor *find(answer *a, const char *name)
{
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->list[i].name, name) == 0)
            return &a->list[i].tensor;
    fail_msg("no %s", name);
    return NULL;
}

static void drop(answer *a, const char *name)
{
    vdit_tensor *t = find(a, name);

    for (size_t i = 0; i < a->count; i++)
        if (&a->list[i].tensor == t) {
            memmove(&a->list[i], &a->list[i + 1], (a->count - i - 1) * sizeof *a->list);
            a->count--;
            return;
        }
}

/* Returns: the finding of an answer. */
static vdit_case_finding judge(vdit_run *run, const vdit_golden *golden, const answer *a)
{
    vdit_case_finding finding;

    if (vdit_case_judge(run, &finding, golden, NULL, a->list, a->count) != VDIT_OK)
        fail_msg("%s", vdit_run_message(run));
    return finding;
}

static void assert_fails(vdit_run *run, const vdit_golden *golden, const answer *a, const char *why)
{
    vdit_case_finding finding = judge(run, golden, a);

    if (finding.verdict != VDIT_FAILS || strstr(finding.reason, why) == NULL)
        fail_msg("%s: \"%s\" where a failure should say \"%s\"", vdit_verdict_name(finding.verdict),
                 finding.reason, why);
}

static void assert_holds(vdit_run *run, const vdit_golden *golden, const answer *a)
{
    vdit_case_finding finding = judge(run, golden, a);

    if (finding.verdict != VDIT_HOLDS)
        fail_msg("%s", finding.reason);
}

static vdit_evidence evidence_of(vdit_run *run, const vdit_golden *golden)
{
    vdit_evidence evidence;
    vdit_call call;

    assert_int_equal(vdit_call_read(run, &call, golden), VDIT_OK);
    assert_int_equal(vdit_evidence_make(run, &evidence, golden, &call, golden->contract), VDIT_OK);
    return evidence;
}

/* Out: at [b,h,r,j], of the entry nearest to the threshold of the golden's head 0, or of the farthest. */
static void find_entry(vdit_run *run, size_t at[4], const vdit_golden *golden, int nearest)
{
    vdit_evidence ev = evidence_of(run, golden);
    const vdit_tensor *used = vdit_golden_find(golden, "used_threshold");
    double best = nearest ? HUGE_VAL : -1;

    for (size_t r = 0; r < ev.R; r++)
        for (size_t j = 0; j < ev.Nk; j++) {
            const size_t row[] = {0, 0, r};
            double threshold = vdit_number_at(used, row);
            double entry = (double)vdit_evidence_row(&ev, 0, 0, r)[j];
            double margin = fabs(entry - threshold) / fmax(entry, threshold);
            if (entry == 0 || (nearest ? !(margin < best) : !(margin > best)))
                continue;
            best = margin;
            memcpy(at, ((size_t[]){0, 0, r, j}), 4 * sizeof *at);
        }
}

static void flip(vdit_tensor *keep, const size_t at[4])
{
    const size_t byte[] = {at[0], at[1], at[2], at[3] / 8};

    *(unsigned char *)vdit_tensor_at(keep, byte) ^= (unsigned char)(1u << at[3] % 8);
}

/* Out: the answer's o, kept mass and count, as the reference has them with the answer's own entries. */
static void follow(vdit_run *run, answer *a, const vdit_golden *golden)
{
    vdit_evidence ev = evidence_of(run, golden);
    vdit_tensor o, sigma;

    assert_int_equal(
        vdit_decision_apply(run, &o, &sigma, golden, golden->contract, find(a, "keep")), VDIT_OK);
    *find(a, "o") = o;
    for (size_t n = 0; n < ev.H * ev.R; n++) {
        vdit_row_mask row = vdit_decision_row(&ev, find(a, "keep"), 0, n / ev.R, n % ev.R);
        ((float *)find(a, "kept_mass")->data)[n] = (float)row.mass;
        ((int64_t *)find(a, "masked")->data)[n] = (int64_t)row.masked;
    }
}

static void the_goldens_own_decisions_hold(void **state)
{
    vdit_golden golden;
    answer a;

    make(*state, &golden, "mask 50%", NULL);
    copy_outputs(*state, &a, &golden);
    assert_holds(*state, &golden, &a);
    assert_int_equal(judge(*state, &golden, &a).observed, 3);
}

/* The entry at the threshold itself is kept; a kernel that errs by a little drops it. */
static void a_free_entry_may_be_decided_otherwise(void **state)
{
    vdit_golden golden;
    size_t at[4];
    answer a;

    make(*state, &golden, "mask 50%", NULL);
    copy_outputs(*state, &a, &golden);
    find_entry(*state, at, &golden, 1);
    flip(find(&a, "keep"), at);
    follow(*state, &a, &golden);
    assert_holds(*state, &golden, &a);
}

static void a_clear_entry_may_not(void **state)
{
    vdit_golden golden;
    size_t at[4];
    answer a;

    make(*state, &golden, "mask 50%", NULL);
    copy_outputs(*state, &a, &golden);
    find_entry(*state, at, &golden, 0);
    flip(find(&a, "keep"), at);
    follow(*state, &a, &golden);
    assert_fails(*state, &golden, &a, "keep: 1 entries that are clear differ");
}

/* Who flips a free entry must compute with it: the golden's numbers are then the wrong ones. */
static void the_numbers_are_those_of_the_backends_own_set(void **state)
{
    vdit_golden golden;
    size_t at[4];
    answer a;

    make(*state, &golden, "mask 50%", NULL);
    copy_outputs(*state, &a, &golden);
    find_entry(*state, at, &golden, 1);
    flip(find(&a, "keep"), at);
    assert_fails(*state, &golden, &a, "o: z");
    copy_outputs(*state, &a, &golden);
    flip(find(&a, "keep"), at);
    follow(*state, &a, &golden);
    ((int64_t *)find(&a, "masked")->data)[0]++;
    assert_fails(*state, &golden, &a, "masked: ");
    follow(*state, &a, &golden);
    ((float *)find(&a, "kept_mass")->data)[0] *= 1.01f;
    assert_fails(*state, &golden, &a, "kept_mass: ");
}

/* Without its set, a backend is allowed what the free entries can move, and no more. */
static void a_backend_that_does_not_tell_its_set_is_judged_too(void **state)
{
    vdit_golden golden;
    size_t at[4];
    answer a;

    make(*state, &golden, "mask 50%", NULL);
    copy_outputs(*state, &a, &golden);
    find_entry(*state, at, &golden, 1);
    flip(find(&a, "keep"), at);
    follow(*state, &a, &golden);
    drop(&a, "keep");
    assert_holds(*state, &golden, &a);
    copy_outputs(*state, &a, &golden);
    find_entry(*state, at, &golden, 0);
    flip(find(&a, "keep"), at);
    follow(*state, &a, &golden);
    drop(&a, "keep");
    assert_int_equal(judge(*state, &golden, &a).verdict, VDIT_FAILS);
}

/* The reference on q that is off by 2^-23 relatively, up or down: an honest f32 kernel. */
static vdit_status honest(vdit_run *run, const vdit_attention *a)
{
    vdit_tensor q;
    vdit_attention near = *a;

    if (vdit_tensor_new(run, &q, VDIT_F32, 4, a->q->shape) != VDIT_OK)
        return vdit_run_status(run);
    vdit_tensor_pack(q.data, a->q);
    for (size_t i = 0; i < vdit_tensor_count(&q); i++)
        ((float *)q.data)[i] *= 1 + (i % 3 == 0 ? -1.0f : 1.0f) * 0x1p-22f;
    near.q = &q;
    return vdit_attention_reference(run, &near);
}

static void an_honest_kernel_holds_with_its_own_decisions(void **state)
{
    static const char *const plans[] = {"mask 50%",
                                        "mask 30% scope=row lost=renormalised",
                                        "mask 80% lost=diagonal",
                                        "mask 50% ties=count",
                                        "mask threshold=threshold",
                                        "temperature 0.2; mask 50%"};
    const vdit_backend backend = {
        .size = sizeof backend, .name = "honest", .attention = honest, .edited = honest};

    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        vdit_golden golden;
        answer a;
        make(*state, &golden, plans[i], NULL);
        assert_int_equal(vdit_golden_apply(*state, a.list, &a.count, &golden, &backend, NULL),
                         VDIT_OK);
        assert_holds(*state, &golden, &a);
        drop(&a, "keep");
        assert_holds(*state, &golden, &a);
    }
}

static void a_mask_of_another_scope_is_found(void **state)
{
    vdit_golden golden, other;
    answer a;

    make(*state, &golden, "mask 50%", NULL);
    make(*state, &other, "mask 50% scope=row", NULL);
    copy_outputs(*state, &a, &other);
    assert_fails(*state, &golden, &a, "o: z");
    drop(&a, "keep");
    assert_fails(*state, &golden, &a, "o: z");
}

#define METERS                                                                                     \
    "entropy,energy,lse,max,ladder,sink,topk:k=4:every=10,segments,first-frame,quantile,kcurve,"   \
    "frames,picture"

static void meters_of_the_golden_hold(void **state)
{
    vdit_golden golden;
    answer a;

    make(*state, &golden, NULL, METERS);
    copy_outputs(*state, &a, &golden);
    assert_holds(*state, &golden, &a);
    assert_true(judge(*state, &golden, &a).observed > 30);
}

static void a_case_with_meters_needs_some(void **state)
{
    vdit_golden golden;
    answer a;

    make(*state, &golden, NULL, "entropy");
    copy_outputs(*state, &a, &golden);
    a.count = 3;
    assert_fails(*state, &golden, &a, "missing");
}

/* A part in a hundred of a mass or an entropy, a key that is clearly not the sink, and the like. */
static void wrong_meters_are_found(void **state)
{
    static const struct {
        const char *name;
        double factor, addend;
    } wrongs[] = {
        {"meter.entropy.row", 1.01, 0},
        {"meter.entropy.percent", 1.01, 0},
        {"meter.entropy.keys", 1, 1},
        {"meter.energy.av", 1.05, 0},
        {"meter.energy.proportion", 1, 0.1},
        {"meter.lse.row", 1, 0.01},
        {"meter.max.key", 1, 1},
        {"meter.max.entry", 1.01, 0},
        {"meter.ladder.count", 1, 1},
        {"meter.sink.key", 1, 1},
        {"meter.sink.count", 1, -1},
        {"meter.sink.value_norm", 1.01, 0},
        {"meter.topk.key", 1, 1},
        {"meter.topk.entry", 1.01, 0},
        {"meter.topk.margin", 1.5, 0},
        {"meter.segments.vv", 1.01, 0},
        {"meter.first-frame.row", 1.01, 0},
    };

    vdit_golden golden;

    make(*state, &golden, NULL, METERS);
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        answer a;
        vdit_tensor *t;
        size_t last;
        copy_outputs(*state, &a, &golden);
        t = find(&a, wrongs[i].name);
        last = vdit_tensor_count(t) - 1;
        if (t->dtype == VDIT_I64)
            ((int64_t *)t->data)[last] += (int64_t)wrongs[i].addend;
        else if (t->dtype == VDIT_F64)
            ((double *)t->data)[last] =
                ((double *)t->data)[last] * wrongs[i].factor + wrongs[i].addend;
        else
            ((float *)t->data)[last] =
                (float)((double)((float *)t->data)[last] * wrongs[i].factor + wrongs[i].addend);
        assert_fails(*state, &golden, &a, wrongs[i].name + strlen("meter."));
    }
}

/* The meters of an honest kernel's map, read by the library. */
static void meters_of_an_honest_kernel_hold(void **state)
{
    vdit_golden golden, near;
    vdit_tensor q;
    answer a;

    make(*state, &golden, NULL, METERS);
    near = golden;
    near.output_count = 0;
    assert_int_equal(vdit_tensor_new(*state, &q, VDIT_F32, 4, golden.inputs[0].tensor.shape),
                     VDIT_OK);
    vdit_tensor_pack(q.data, &golden.inputs[0].tensor);
    for (size_t i = 0; i < vdit_tensor_count(&q); i++)
        ((float *)q.data)[i] *= 1 + (i % 3 == 0 ? -1.0f : 1.0f) * 0x1p-22f;
    near.inputs[0].tensor = q;
    assert_int_equal(vdit_golden_compute(*state, &near), VDIT_OK);
    copy_outputs(*state, &a, &near);
    assert_holds(*state, &golden, &a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_goldens_own_decisions_hold),
        cmocka_unit_test(a_free_entry_may_be_decided_otherwise),
        cmocka_unit_test(a_clear_entry_may_not),
        cmocka_unit_test(the_numbers_are_those_of_the_backends_own_set),
        cmocka_unit_test(a_backend_that_does_not_tell_its_set_is_judged_too),
        cmocka_unit_test(an_honest_kernel_holds_with_its_own_decisions),
        cmocka_unit_test(a_mask_of_another_scope_is_found),
        cmocka_unit_test(meters_of_the_golden_hold),
        cmocka_unit_test(a_case_with_meters_needs_some),
        cmocka_unit_test(wrong_meters_are_found),
        cmocka_unit_test(meters_of_an_honest_kernel_hold),
    };

    return cmocka_run_group_tests(tests, new_run, free_run);
}
