/* generate.c - the input tensors of a case. */
#include "golden/case.h"
#include "golden/planned.h"
#include "golden/layout.h"
#include "golden/maker.h"
#include "golden/layer.h"
#include "golden/sides.h"

/* For the operators of the networks see layer.c. */
static const char *const names[VDIT_OPERATOR_COUNT][VDIT_MAKER_TENSORS] = {
    [VDIT_OP_ATTENTION] = {"q", "k", "v"},
    [VDIT_OP_LINEAR] = {"x", "w", "b"},
    [VDIT_OP_MATMUL] = {"a", "b"},
    [VDIT_OP_EXP] = {"x"},
    [VDIT_OP_LOG] = {"x"},
};

/* Out: t, the shape of random tensor number i of a plain operator. */
static vdit_status new_input(vdit_run *run, vdit_tensor *t, const vdit_case *c, const vdit_maker *m,
                             int i)
{
    size_t shape[VDIT_MAX_RANK] = {m->extent[i], m->width[i]};
    int rank;

    if (vdit_layer_has(c->op)) {
        vdit_layer_tensor(c, i, &rank, shape);
        return vdit_tensor_new(run, t, c->dtype, rank, shape);
    }
    if (c->op == VDIT_OP_EXP || c->op == VDIT_OP_LOG)
        return vdit_tensor_new(run, t, c->dtype, 1, &m->extent[i]);
    if (i == 2) /* the bias */
        return vdit_tensor_new(run, t, c->dtype, 1, &m->width[i]);
    return vdit_tensor_new(run, t, c->dtype, 2, shape);
}

/* Out: t[m->tensors], not cleared. */
static vdit_status new_inputs(vdit_run *run, vdit_tensor *t, const vdit_case *c,
                              const vdit_maker *m)
{
    if (c->op == VDIT_OP_ATTENTION)
        return vdit_layout_new(run, t, c);
    for (int i = 0; i < m->tensors; i++)
        new_input(run, &t[i], c, m, i);
    return vdit_run_status(run);
}

static const char *name_of(const vdit_case *c, int i)
{
    size_t shape[VDIT_MAX_RANK];
    int rank;

    return vdit_layer_has(c->op) ? vdit_layer_tensor(c, i, &rank, shape) : names[c->op][i];
}

static vdit_status add_input(vdit_run *run, vdit_golden *golden, const char *name,
                             const vdit_tensor *t)
{
    if (vdit_run_status(run) == VDIT_OK)
        golden->inputs[golden->input_count++] = (vdit_named){name, *t};
    return vdit_run_status(run);
}

static vdit_status add_sides(vdit_run *run, vdit_golden *golden, const vdit_case *c,
                             const vdit_tensor *rows)
{
    vdit_tensor t;

    if (c->mask != VDIT_MASK_NONE && vdit_sides_mask(run, &t, c) == VDIT_OK)
        add_input(run, golden, "mask", &t);
    if (c->key_length != NULL && vdit_sides_key_length(run, &t, c) == VDIT_OK)
        add_input(run, golden, "key_length", &t);
    if (c->row_every != 0 || c->row_count != 0)
        add_input(run, golden, "rows", rows);
    return vdit_run_status(run);
}

vdit_status vdit_golden_generate(vdit_run *run, vdit_golden *golden, const vdit_case *c)
{
    vdit_golden made = {.name = c->name,
                        .op = c->op,
                        .contract = c->contract,
                        .scale = c->scale,
                        .axes = c->axes,
                        .tokens = c->tokens,
                        .plan = c->plan,
                        .meters = c->meters};
    vdit_tensor t[VDIT_MAKER_TENSORS], rows = {0};
    vdit_maker m;

    if (c->op == VDIT_OP_ATTENTION && vdit_sides_rows(run, &rows, c) != VDIT_OK)
        return vdit_run_status(run);
    m = vdit_maker_of(c, rows.data, rows.shape[0]);
    if (new_inputs(run, t, c, &m) != VDIT_OK)
        return vdit_run_status(run);
    for (int i = 0; i < m.tensors; i++)
        if (vdit_maker_fill(run, &t[i], &m, i) == VDIT_OK)
            add_input(run, &made, name_of(c, i), &t[i]);
    if (add_sides(run, &made, c, &rows) == VDIT_OK && c->op == VDIT_OP_ATTENTION)
        vdit_planned_add(run, &made, c);
    if (vdit_run_status(run) == VDIT_OK)
        *golden = made;
    return vdit_run_status(run);
}
