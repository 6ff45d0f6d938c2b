/* rotary_learned.c - rotary tables with learned frequencies, rounded once (doc/numerics.md, 9.6). */
#include <math.h>
#include <string.h>
#include <vdit/op.h>
#include "base/parallel.h"
#include "exact/angle.h"
#include "exact/limbs.h"
#include "op/shape.h"
#include "op/table.h"

/*
 * Sums of products in fixed point: those of significands are multiples of 2^-1299 (2^-1127 for positions, 2^-172 for
 * frequencies), and all are below 2^30.
 */
#define LIMBS 42
#define LOW   (-1312)

#define TOGETHER 64 /* tokens of a task */

typedef struct learned_state {
    vdit_table table;
    double *position;  /* [tokens, axes] */
    double *frequency; /* [heads, pairs, axes] */
    size_t axes, heads, tokens;
} learned_state;

/* The factors of an angle, axis by axis. */
typedef struct factors {
    const double *p, *f;
    size_t axes;
} factors;

static factors factors_of(const learned_state *s, size_t n, size_t h, size_t j)
{
    factors made = {.axes = s->axes};

    made.p = s->position + n * s->axes;
    made.f = s->frequency + (h * s->table.pairs + j) * s->axes;
    return made;
}

/* Out: sum += |p f|. In: f of 24 bits. */
static void add_product(uint32_t *sum, double p, double f)
{
    int p_exponent, f_exponent;
    uint64_t a = (uint64_t)ldexp(frexp(fabs(p), &p_exponent), 53);
    uint64_t b = (uint64_t)ldexp(frexp(fabs(f), &f_exponent), 24);
    uint64_t low = (uint32_t)a * b, high = (a >> 32) * b + (low >> 32);
    const uint32_t product[] = {(uint32_t)low, (uint32_t)high, (uint32_t)(high >> 32)};
    uint32_t moved[LIMBS];

    if (a == 0 || b == 0)
        return;
    vdit_limbs_window(moved, LIMBS, product, 3, LOW - (p_exponent - 53 + f_exponent - 24));
    vdit_limbs_add(sum, moved, LIMBS);
}

/* Out: the angle, exact but for the cut to 192 bits. */
static void exact_angle(vdit_mp *angle, const factors *x)
{
    uint32_t sum[2][LIMBS] = {{0}}; /* of the positive products, of the others */
    int larger;

    for (size_t a = 0; a < x->axes; a++)
        add_product(sum[(x->p[a] < 0) != (x->f[a] < 0)], x->p[a], x->f[a]);
    larger = vdit_limbs_compare(sum[0], sum[1], LIMBS) < 0;
    vdit_limbs_sub(sum[larger], sum[!larger], LIMBS);
    vdit_mp_from_limbs(angle, larger ? -1 : 1, sum[larger], LIMBS, LOW);
}

/*
 * Out: an estimate of the angle. Returns: the bound of its error: products are exact as pairs, unless they are below
 * 2^-900, and sums of pairs err by 2^-100 of the magnitudes; not finite if a factor is not.
 */
static double estimate_angle(vdit_pair *angle, const factors *x)
{
    double size = 0;

    angle->high = angle->low = 0;
    for (size_t a = 0; a < x->axes; a++) {
        *angle = vdit_pair_add(*angle, vdit_two_product(x->p[a], x->f[a]));
        size += fabs(x->p[a] * x->f[a]);
    }
    return (double)(x->axes + 1) * (size * 0x1p-99 + 0x1p-900);
}

static void fill_pair(const learned_state *s, size_t n, size_t h, size_t j, uint64_t decided[3])
{
    const size_t to[] = {h, n, j};
    factors x = factors_of(s, n, h, j);
    vdit_pair angle;
    double error = estimate_angle(&angle, &x), rounded;
    vdit_mp precise;

    for (int c = VDIT_SINE; c <= VDIT_COSINE; c++) {
        vdit_dtype dtype = s->table.out[c]->dtype;
        int stage = 0;

        if (!isfinite(error)) {
            rounded = NAN;
        } else if (!vdit_angle_settle(&rounded, dtype, c, angle, error)) {
            exact_angle(&precise, &x);
            rounded = vdit_angle_round(dtype, c, &precise);
            stage = precise.sign == 0 ? 0 : 2;
        }
        decided[stage]++;
        vdit_table_put(&s->table, c, to, rounded);
    }
}

static void fill_tokens(void *context, size_t task, int thread)
{
    const learned_state *s = context;
    size_t end = (task + 1) * TOGETHER;

    for (size_t n = task * TOGETHER; n < end && n < s->tokens; n++)
        for (size_t h = 0; h < s->heads; h++)
            for (size_t j = 0; j < s->table.pairs; j++)
                fill_pair(s, n, h, j, s->table.decided[thread]);
}

static vdit_status check(vdit_run *run, const vdit_tensor *cosine, const vdit_tensor *sine,
                         const vdit_tensor *position, const vdit_tensor *frequency)
{
    static const char op[] = "rotary_learned";
    size_t shape[3];
    char text[256];

    if (vdit_table_check_position(run, op, position) != VDIT_OK ||
        vdit_check_dtype(run, op, "frequency", frequency) != VDIT_OK)
        return vdit_run_status(run);
    if (frequency->rank != 3 || frequency->shape[0] != position->shape[1])
        return vdit_run_fail(run, VDIT_ERR_SHAPE,
                             "%s: frequency has shape %s, expected [%zu, H, d / 2] to fit the "
                             "positions",
                             op, vdit_tensor_shape_text(text, sizeof text, frequency),
                             position->shape[1]);
    shape[0] = frequency->shape[1];
    shape[1] = position->shape[0];
    shape[2] = frequency->shape[2];
    return vdit_table_check(run, op, cosine, sine, 3, shape);
}

/* Positions and sums of |position frequency| are below 2^30, unless one of them is not finite. */
static vdit_status check_angle(vdit_run *run, const learned_state *s, size_t n, size_t h, size_t j)
{
    factors x = factors_of(s, n, h, j);
    double size = 0, most = 0;
    int finite = 1;

    for (size_t a = 0; a < s->axes; a++) {
        finite = finite && isfinite(x.p[a]) && isfinite(x.f[a]);
        most = fabs(x.p[a]) > most ? fabs(x.p[a]) : most;
        size += fabs(x.p[a] * x.f[a]);
    }
    if (finite && !(most < VDIT_ANGLE_LIMIT && size < VDIT_ANGLE_LIMIT))
        return vdit_run_fail(run, VDIT_ERR_LIMIT,
                             "rotary_learned: position[%zu] is up to %g, the terms of angle [%zu, "
                             "%zu, %zu] add up to "
                             "%g, expected less than 2^30",
                             n, most, h, n, j, size);
    return VDIT_OK;
}

static vdit_status check_angles(vdit_run *run, const learned_state *s)
{
    for (size_t n = 0; n < s->tokens; n++)
        for (size_t h = 0; h < s->heads; h++)
            for (size_t j = 0; j < s->table.pairs; j++)
                if (check_angle(run, s, n, h, j) != VDIT_OK)
                    return vdit_run_status(run);
    return VDIT_OK;
}

/* The operands in binary64, exact, where an angle's factors lie side by side. */
static vdit_status load(vdit_run *run, learned_state *s, const vdit_tensor *position,
                        const vdit_tensor *frequency)
{
    static const int order[] = {1, 2, 0};
    vdit_tensor moved = vdit_tensor_permute(frequency, order);
    ptrdiff_t size = (ptrdiff_t)vdit_dtype_size(frequency->dtype);
    ptrdiff_t *place;
    size_t count;

    s->position = vdit_run_alloc(run, s->tokens * s->axes, sizeof *s->position);
    s->frequency = vdit_run_alloc(run, vdit_tensor_count(frequency), sizeof *s->frequency);
    place = vdit_row_offsets(run, &count, &moved, 3);
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    vdit_tensor_pack(s->position, position);
    for (size_t i = 0; i < count; i++)
        vdit_load_f64(&s->frequency[i], 1, (char *)moved.data + place[i] * size, 1, moved.dtype);
    return VDIT_OK;
}

vdit_status vdit_rotary_learned(vdit_run *run, vdit_tensor *cosine, vdit_tensor *sine,
                                const vdit_tensor *position, const vdit_tensor *frequency)
{
    learned_state s = {.table = {.out = {sine, cosine}}};
    size_t mark = vdit_run_mark(run);

    if (vdit_run_status(run) != VDIT_OK || check(run, cosine, sine, position, frequency) != VDIT_OK)
        return vdit_run_status(run);
    s.axes = position->shape[1];
    s.tokens = position->shape[0];
    s.heads = frequency->shape[1];
    s.table.pairs = frequency->shape[2];
    if (load(run, &s, position, frequency) == VDIT_OK && check_angles(run, &s) == VDIT_OK &&
        vdit_table_start(run, &s.table) == VDIT_OK) {
        vdit_parallel(vdit_run_threads(run), s.tokens / TOGETHER + (s.tokens % TOGETHER != 0),
                      fill_tokens, &s);
        vdit_table_finish(run, &s.table);
    }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
