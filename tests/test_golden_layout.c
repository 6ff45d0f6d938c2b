/* test_golden_layout.c - q, k and v in other orders: the same numbers, read through strides. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "file_support.h"
#include "golden/layout.h"
#include "golden/manifest.h"
#include <vdit/judge.h>

static const vdit_axes layouts[] = {VDIT_AXES_BHND, VDIT_AXES_BNHD, VDIT_AXES_BN3HD};

static vdit_case sample_case(vdit_axes axes)
{
    vdit_case c = {.name = "sample", .dtype = VDIT_BF16, .seed = 12, .B = 2, .H = 3, .axes = axes};

    c.family = vdit_family_find("needle");
    c.contract = vdit_contract_default(VDIT_BF16);
    c.Nq = c.Nk = 40;
    c.d = c.dv = 24;
    c.scale = 0.2;
    return c;
}

static void make(vdit_run *run, vdit_golden *golden, vdit_axes axes)
{
    vdit_case c = sample_case(axes);

    assert_int_equal(vdit_golden_generate(run, golden, &c), VDIT_OK);
    if (vdit_golden_compute(run, golden) != VDIT_OK)
        fail_msg("%s", vdit_run_message(run));
}

/* Both tensors are of the same shape, and their elements are the same bits. */
static void assert_same(vdit_run *run, const vdit_tensor *a, const vdit_tensor *b)
{
    vdit_difference d;

    assert_int_equal(vdit_difference_measure(run, &d, a, b, NULL), VDIT_OK);
    assert_true(d.count > 0 && d.unequal == 0);
}

static void a_layout_moves_elements_and_changes_none(void **state)
{
    static const char *const names[] = {"q", "k", "v", "o", "lse", "o.sigma"};
    vdit_golden plain;

    make(*state, &plain, VDIT_AXES_BHND);
    for (size_t i = 1; i < COUNT_OF(layouts); i++) {
        vdit_golden golden;
        make(*state, &golden, layouts[i]);
        assert_false(vdit_tensor_is_dense(vdit_golden_find(&golden, "q")));
        for (size_t n = 0; n < COUNT_OF(names); n++)
            assert_same(*state, vdit_golden_find(&plain, names[n]),
                        vdit_golden_find(&golden, names[n]));
    }
}

static void assert_stored(const vdit_golden *golden, const char *name, const char *shape)
{
    char text[100];
    vdit_tensor t;

    assert_true(vdit_layout_find(&t, golden, name));
    assert_string_equal(vdit_tensor_shape_text(text, sizeof text, &t), shape);
}

static void files_hold_what_the_layout_says(void **state)
{
    vdit_golden golden;
    vdit_tensor t;

    make(*state, &golden, VDIT_AXES_BNHD);
    assert_stored(&golden, "q", "[2, 40, 3, 24]");
    assert_stored(&golden, "o", "[2, 40, 3, 24]");
    assert_stored(&golden, "lse", "[2, 3, 40]");
    make(*state, &golden, VDIT_AXES_BN3HD);
    assert_stored(&golden, "qkv", "[2, 40, 3, 3, 24]");
    assert_stored(&golden, "o.sigma", "[2, 40, 3, 24]");
    assert_true(vdit_layout_find(&t, &golden, "qkv") && vdit_tensor_is_dense(&t));
    assert_false(vdit_layout_find(&t, &golden, "q"));
}

/* Element [b, n, part, h, c] of the packed tensor is q, k or v at [b, h, n, c]. */
static void the_packed_tensor_holds_each_element_in_its_place(void **state)
{
    static const char *const parts[] = {"q", "k", "v"};
    vdit_golden golden;
    vdit_tensor packed;

    make(*state, &golden, VDIT_AXES_BN3HD);
    assert_true(vdit_layout_find(&packed, &golden, "qkv"));
    for (size_t part = 0; part < 3; part++)
        for (size_t n = 0; n < 40; n++) {
            const size_t index[] = {1, 2, n, 5};
            size_t place = (((1 * 40 + n) * 3 + part) * 3 + 2) * 24 + 5;
            const void *element = vdit_tensor_at(vdit_golden_find(&golden, parts[part]), index);
            assert_memory_equal(element, (const char *)packed.data + 2 * place, 2);
        }
}

static void a_written_layout_is_opened_as_it_was(void **state)
{
    for (size_t i = 0; i < COUNT_OF(layouts); i++) {
        vdit_case c = sample_case(layouts[i]);
        vdit_golden golden, opened;
        vdit_manifest_case entry;

        make(*state, &golden, layouts[i]);
        assert_int_equal(
            vdit_golden_write(*state, &golden, "sample.in.safetensors", "sample.out.safetensors"),
            VDIT_OK);
        assert_int_equal(vdit_manifest_start(*state, &entry, &c), VDIT_OK);
        vdit_manifest_add(&entry, &golden, 0);
        vdit_manifest_add(&entry, &golden, 1);
        assert_int_equal(vdit_golden_open(*state, &opened, ".", &entry), VDIT_OK);
        for (size_t n = 0; n < golden.input_count; n++)
            assert_same(*state, &golden.inputs[n].tensor,
                        vdit_golden_find(&opened, golden.inputs[n].name));
        for (size_t n = 0; n < golden.output_count; n++)
            assert_same(*state, &golden.outputs[n].tensor,
                        vdit_golden_find(&opened, golden.outputs[n].name));
        vdit_golden_close(&opened);
    }
}

/* A manifest that says BN3HD of a file with q, k and v. */
static void a_packed_case_without_the_packed_tensor_is_refused(void **state)
{
    vdit_case c = sample_case(VDIT_AXES_BHND);
    vdit_golden golden, opened;
    vdit_manifest_case entry;

    make(*state, &golden, VDIT_AXES_BHND);
    assert_int_equal(
        vdit_golden_write(*state, &golden, "sample.in.safetensors", "sample.out.safetensors"),
        VDIT_OK);
    assert_int_equal(vdit_manifest_start(*state, &entry, &c), VDIT_OK);
    vdit_manifest_add(&entry, &golden, 0);
    vdit_manifest_add(&entry, &golden, 1);
    entry.params.axes = VDIT_AXES_BN3HD;
    assert_int_not_equal(vdit_golden_open(*state, &opened, ".", &entry), VDIT_OK);
    assert_failure(*state, VDIT_ERR_SHAPE, "./sample.in.safetensors", "tensor \"qkv\"");
}

/* A backend that reads q, k and v as if they were dense. */
static vdit_status careless(vdit_run *run, const vdit_attention *a)
{
    vdit_tensor q = vdit_tensor_view(a->q->data, a->q->dtype, 4, a->q->shape);
    vdit_tensor k = vdit_tensor_view(a->k->data, a->k->dtype, 4, a->k->shape);
    vdit_tensor v = vdit_tensor_view(a->v->data, a->v->dtype, 4, a->v->shape);
    vdit_attention dense = *a;

    dense.q = &q;
    dense.k = &k;
    dense.v = &v;
    return vdit_attention_reference(run, &dense);
}

static vdit_verdict judge(vdit_run *run, const vdit_golden *golden, const vdit_backend *backend)
{
    vdit_named outputs[VDIT_GOLDEN_OUTPUTS];
    vdit_case_finding finding;
    size_t count;

    assert_int_equal(vdit_golden_apply(run, outputs, &count, golden, backend, NULL), VDIT_OK);
    assert_int_equal(vdit_case_judge(run, &finding, golden, NULL, outputs, count), VDIT_OK);
    return finding.verdict;
}

/* The dense layout cannot tell; the others must. */
static void whoever_ignores_strides_is_found(void **state)
{
    const vdit_backend wrong = {.size = sizeof wrong, .name = "careless", .attention = careless};

    for (size_t i = 0; i < COUNT_OF(layouts); i++) {
        vdit_golden golden;
        make(*state, &golden, layouts[i]);
        assert_int_equal(judge(*state, &golden, vdit_backend_find("fast")), VDIT_HOLDS);
        assert_int_equal(judge(*state, &golden, &wrong), i == 0 ? VDIT_HOLDS : VDIT_FAILS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_layout_moves_elements_and_changes_none, file_setup,
                                        file_teardown),
        cmocka_unit_test_setup_teardown(files_hold_what_the_layout_says, file_setup, file_teardown),
        cmocka_unit_test_setup_teardown(the_packed_tensor_holds_each_element_in_its_place,
                                        file_setup, file_teardown),
        cmocka_unit_test_setup_teardown(a_written_layout_is_opened_as_it_was, file_setup,
                                        file_teardown),
        cmocka_unit_test_setup_teardown(a_packed_case_without_the_packed_tensor_is_refused,
                                        file_setup, file_teardown),
        cmocka_unit_test_setup_teardown(whoever_ignores_strides_is_found, file_setup,
                                        file_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
