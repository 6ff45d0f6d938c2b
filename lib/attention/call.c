/* call.c - setting up, checking and estimating an attention call. */
#include <math.h>
#include <string.h>
#include "attention/intervene.h"
#include "attention/last.h"
#include "attention/refine.h"
#include "attention/sigma.h"

void vdit_attention_init(vdit_attention *a, const vdit_tensor *q, const vdit_tensor *k,
                         const vdit_tensor *v)
{
    memset(a, 0, sizeof *a);
    a->size = sizeof *a;
    a->q = q;
    a->k = k;
    a->v = v;
    a->scale = q->rank == 4 && q->shape[3] > 0 ? 1 / sqrt((double)q->shape[3]) : 1;
}

/*
 * The sum of exp(s) is such a walk and divides the whole row; the output is one, of size between |o| and
 * sqrt(sum P^2 v^2), the size of the terms of P. In blocks the walk is shorter, but one key at a time is honest too.
 * Where such a sum of f32 stands so high that small terms vanish beside it (a peaked row of 10^4 keys one by one), this
 * is not enough.
 */
vdit_noise vdit_noise_over(const vdit_noise *noise, size_t keys)
{
    vdit_noise over = *noise;
    double walk = over.sum_unit * over.sum_unit * (double)keys;

    over.p_unit = sqrt(over.p_unit * over.p_unit + walk);
    over.out_unit = sqrt(over.out_unit * over.out_unit + walk);
    return over;
}

/* Fails unless the tensor has rank 4 and an element type that attention computes with. */
static void check_operand(vdit_run *run, const char *name, const vdit_tensor *t)
{
    char shape[128];

    if (t->rank != 4)
        vdit_run_fail(run, VDIT_ERR_SHAPE, "%s has shape %s, expected [B, H, N, width]", name,
                      vdit_tensor_shape_text(shape, sizeof shape, t));
    else if (t->dtype != VDIT_F32 && t->dtype != VDIT_BF16 && t->dtype != VDIT_F16)
        vdit_run_fail(run, VDIT_ERR_DTYPE, "%s is %s, expected f32, bf16 or f16", name,
                      vdit_dtype_name(t->dtype));
}

/* Fails unless the tensor is absent or of this type and shape. */
static void check_output(vdit_run *run, const char *name, const vdit_tensor *t, int rank,
                         const size_t *shape)
{
    char has[128], wants[128];
    vdit_tensor expected = vdit_tensor_view(NULL, VDIT_F32, rank, shape);

    if (t == NULL)
        return;
    if (t->rank != rank || memcmp(t->shape, shape, (size_t)rank * sizeof *shape) != 0)
        vdit_run_fail(run, VDIT_ERR_SHAPE, "%s has shape %s, expected %s", name,
                      vdit_tensor_shape_text(has, sizeof has, t),
                      vdit_tensor_shape_text(wants, sizeof wants, &expected));
}

static void check_dtype(vdit_run *run, const char *name, const vdit_tensor *t, vdit_dtype dtype)
{
    if (t != NULL && t->dtype != dtype)
        vdit_run_fail(run, VDIT_ERR_DTYPE, "%s is %s, expected %s", name, vdit_dtype_name(t->dtype),
                      vdit_dtype_name(dtype));
}

/* Fails where an i64 tensor of one axis has an entry outside 0..limit. */
static void check_indices(vdit_run *run, const char *name, const vdit_tensor *t, size_t limit)
{
    int64_t value;

    check_dtype(run, name, t, VDIT_I64);
    if (t == NULL || vdit_run_status(run) != VDIT_OK)
        return;
    for (size_t i = 0; i < t->shape[0]; i++) {
        memcpy(&value, vdit_tensor_at(t, &i), sizeof value);
        if (value < 0 || (uint64_t)value > limit) {
            vdit_run_fail(run, VDIT_ERR_ARGUMENT, "%s[%zu] is %lld, expected 0..%zu", name, i,
                          (long long)value, limit);
            return;
        }
    }
}

/* Fails where a float mask has a NaN or +inf. Index runs over the mask's own axes. */
static void check_mask_values(vdit_run *run, const vdit_tensor *mask)
{
    size_t index[4] = {0}, count = vdit_tensor_count(mask);
    double value;

    if (mask->dtype == VDIT_BOOL)
        return;
    for (size_t n = 0; n < count; n++) {
        vdit_load_f64(&value, 1, vdit_tensor_at(mask, index), 1, mask->dtype);
        if (!(value < INFINITY)) {
            vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                          "mask[%zu, %zu, %zu, %zu] is %s, expected a finite number or -inf",
                          index[0], index[1], index[2], index[3], value > 0 ? "+inf" : "NaN");
            return;
        }
        for (int axis = 3; axis >= 0 && ++index[axis] == mask->shape[axis]; axis--)
            index[axis] = 0;
    }
}

static void check_mask(vdit_run *run, const vdit_attention *a)
{
    static const char *const axes = "BHQK";
    const vdit_tensor *mask = a->mask;
    size_t full[4] = {a->q->shape[0], a->q->shape[1], a->q->shape[2], a->k->shape[2]};
    char shape[128];

    if (mask == NULL)
        return;
    if (mask->rank != 4)
        vdit_run_fail(run, VDIT_ERR_SHAPE, "mask has shape %s, expected [B, H, Nq, Nk]",
                      vdit_tensor_shape_text(shape, sizeof shape, mask));
    if (mask->dtype != VDIT_BOOL && (!vdit_dtype_is_float(mask->dtype) || mask->dtype == VDIT_F64))
        vdit_run_fail(run, VDIT_ERR_DTYPE, "mask is %s, expected bool, f32, bf16 or f16",
                      vdit_dtype_name(mask->dtype));
    for (int axis = 0; axis < 4 && vdit_run_status(run) == VDIT_OK; axis++)
        if (mask->shape[axis] != full[axis] && mask->shape[axis] != 1)
            vdit_run_fail(run, VDIT_ERR_SHAPE, "mask has extent %zu on axis %c, expected %zu or 1",
                          mask->shape[axis], axes[axis], full[axis]);
    if (vdit_run_status(run) == VDIT_OK)
        check_mask_values(run, mask);
}

static void check_operands(vdit_run *run, const vdit_attention *a)
{
    const vdit_tensor *q = a->q, *k = a->k, *v = a->v;
    double magnitude = fabs(a->scale);

    check_operand(run, "q", q);
    check_operand(run, "k", k);
    check_operand(run, "v", v);
    if (vdit_run_status(run) != VDIT_OK)
        return;
    if (k->shape[0] != q->shape[0] || k->shape[1] != q->shape[1] || k->shape[3] != q->shape[3])
        vdit_run_fail(run, VDIT_ERR_SHAPE,
                      "k is [%zu, %zu, Nk, %zu], expected [%zu, %zu, Nk, %zu] as q", k->shape[0],
                      k->shape[1], k->shape[3], q->shape[0], q->shape[1], q->shape[3]);
    if (v->shape[0] != k->shape[0] || v->shape[1] != k->shape[1] || v->shape[2] != k->shape[2])
        vdit_run_fail(run, VDIT_ERR_SHAPE,
                      "v is [%zu, %zu, %zu, dv], expected [%zu, %zu, %zu, dv] as k", v->shape[0],
                      v->shape[1], v->shape[2], k->shape[0], k->shape[1], k->shape[2]);
    if (!(magnitude == 0 || (magnitude >= 0x1p-126 && magnitude < 0x1p127)))
        vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                      "scale is %g, expected 0 or a magnitude in 2^-126..2^127", a->scale);
    if (k->shape[2] > UINT32_MAX / 2 || q->shape[3] > 1 << 20)
        vdit_run_fail(run, VDIT_ERR_LIMIT, "%zu keys of width %zu, expected below 2^31 and 2^20",
                      k->shape[2], q->shape[3]);
}

/* Fails unless every term of the noise model is finite and not negative. */
static void check_noise(vdit_run *run, const vdit_noise *noise)
{
    const struct {
        const char *name;
        double value;
    } terms[] = {{"p_unit", noise->p_unit},         {"p_sub", noise->p_sub},
                 {"score_unit", noise->score_unit}, {"out_unit", noise->out_unit},
                 {"out_sub", noise->out_sub},       {"sum_unit", noise->sum_unit}};

    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++)
        if (!(terms[i].value >= 0 && terms[i].value < INFINITY))
            vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                          "noise.%s is %g, expected a finite number of at least 0", terms[i].name,
                          terms[i].value);
}

vdit_status vdit_attention_check(vdit_run *run, const vdit_attention *a)
{
    size_t out[4], one;

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    check_operands(run, a);
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    check_output(run, "key_length", a->key_length, 1, a->q->shape);
    check_indices(run, "key_length", a->key_length, a->k->shape[2]);
    if (a->rows != NULL && a->rows->rank != 1)
        vdit_run_fail(run, VDIT_ERR_SHAPE, "rows has rank %d, expected 1", a->rows->rank);
    if (vdit_run_status(run) == VDIT_OK && a->rows != NULL && a->rows->shape[0] > 0 &&
        a->q->shape[2] == 0)
        vdit_run_fail(run, VDIT_ERR_ARGUMENT, "rows names %zu rows, but q has none",
                      a->rows->shape[0]);
    if (a->q->shape[2] > 0)
        check_indices(run, "rows", a->rows, a->q->shape[2] - 1);
    check_mask(run, a);
    one = a->rows ? a->rows->shape[0] : a->q->shape[2];
    out[0] = a->q->shape[0];
    out[1] = a->q->shape[1];
    out[2] = one;
    out[3] = a->v->shape[3];
    check_output(run, "o", a->o, 4, out);
    check_output(run, "sigma", a->sigma, 4, out);
    check_output(run, "lse", a->lse, 3, out);
    out[3] = a->k->shape[2];
    check_output(run, "map", a->map, 4, out);
    if (a->o != NULL)
        check_operand(run, "o", a->o);
    check_dtype(run, "sigma", a->sigma, VDIT_BF16);
    check_dtype(run, "lse", a->lse, VDIT_F32);
    check_dtype(run, "map", a->map, VDIT_F32);
    if (a->sigma != NULL)
        check_noise(run, &a->noise);
    if (a->edits != NULL && vdit_run_status(run) == VDIT_OK)
        vdit_edits_check(run, a);
    return vdit_run_status(run);
}

void vdit_attention_estimate(vdit_attention_cost *cost, const vdit_run *run,
                             const vdit_attention *a)
{
    double heads = (double)a->q->shape[0] * (double)a->q->shape[1];
    double rows = (double)(a->rows ? a->rows->shape[0] : a->q->shape[2]);
    double keys = (double)a->k->shape[2];
    double widths = (double)a->q->shape[3] + (double)a->v->shape[3];

    cost->entries = heads * rows * keys;
    cost->flops = 2 * cost->entries * widths;
    cost->bytes = vdit_head_bytes(a) + rows * (2 * (double)a->v->shape[3] + 16) +
                  vdit_run_threads(run) * (vdit_stream_bytes(a) + vdit_refine_bytes(a) +
                                           vdit_last_bytes(a) + vdit_sigma_bytes(a));
    if (a->edits != NULL)
        vdit_edits_estimate(cost, run, a);
}
