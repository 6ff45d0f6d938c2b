/* edit_check.c - whether the edits of a call and what they report fit it. */
#include <math.h>
#include <string.h>
#include "attention/intervene.h"

/* One head's edit with the extents of its call. */
typedef struct subject {
    vdit_run *run;
    const vdit_attention *call;
    const vdit_edit *edit;
    size_t h, B, H, Nq, Nk, R, dv;
} subject;

static void check_range(const subject *s, const char *name, double value, double least, double most)
{
    if (!(value >= least && value <= most && fabs(value) < INFINITY))
        vdit_run_fail(s->run, VDIT_ERR_ARGUMENT,
                      "edit of head %zu: %s is %g, expected a number from %g to %g", s->h, name,
                      value, least, most);
}

/* Fails unless t is absent or of this type and shape; SIZE_MAX stands for 1 or R. */
static int check_tensor(const subject *s, const char *name, const vdit_tensor *t, vdit_dtype dtype,
                        int rank, const size_t *shape)
{
    char has[128], wants[128];
    vdit_tensor expected = vdit_tensor_view(NULL, dtype, rank, shape);
    int fits;

    if (t == NULL)
        return 0;
    fits = t->rank == rank && t->dtype == dtype;
    for (int i = 0; fits && i < rank; i++)
        fits = t->shape[i] == shape[i] ||
               (shape[i] == s->R && i == 2 && t->shape[i] == 1 && dtype == VDIT_F32 && rank == 3);
    if (fits)
        return 1;
    vdit_run_fail(s->run, VDIT_ERR_SHAPE, "edit of head %zu: %s is %s %s, expected %s %s", s->h,
                  name, vdit_dtype_name(t->dtype), vdit_tensor_shape_text(has, sizeof has, t),
                  vdit_dtype_name(dtype), vdit_tensor_shape_text(wants, sizeof wants, &expected));
    return 0;
}

/* Fails where an f32 tensor has an infinity or a NaN (with infinite: only a NaN or a negative number). */
static void check_values(const subject *s, const char *name, const vdit_tensor *t, int infinite)
{
    size_t index[VDIT_MAX_RANK] = {0}, count = vdit_tensor_count(t);
    double value;

    for (size_t n = 0; n < count; n++) {
        vdit_load_f64(&value, 1, vdit_tensor_at(t, index), 1, VDIT_F32);
        if (infinite ? !(value >= 0) : !(value - value == 0)) {
            vdit_run_fail(s->run, VDIT_ERR_ARGUMENT,
                          "edit of head %zu: %s has %g at element %zu, expected %s", s->h, name,
                          value, n, infinite ? "a number of at least 0" : "a finite number");
            return;
        }
        for (int axis = t->rank - 1; axis >= 0 && ++index[axis] == t->shape[axis]; axis--)
            index[axis] = 0;
    }
}

/* A tensor of the source call that takes the place of one of the call's. */
static void check_source(const subject *s, const char *name, const vdit_tensor *t,
                         const vdit_tensor *own, int needed, int any_keys)
{
    char has[128], wants[128];

    if (t == NULL) {
        if (needed)
            vdit_run_fail(s->run, VDIT_ERR_ARGUMENT,
                          "edit of head %zu: %s is not given, but the edit takes it", s->h, name);
        return;
    }
    if (t->rank == 4 && (t->dtype == VDIT_F32 || t->dtype == VDIT_BF16 || t->dtype == VDIT_F16) &&
        t->shape[0] == own->shape[0] && t->shape[1] == own->shape[1] &&
        (any_keys || t->shape[2] == own->shape[2]) && t->shape[3] == own->shape[3])
        return;
    vdit_run_fail(s->run, VDIT_ERR_SHAPE, "edit of head %zu: %s is %s %s, expected floats %s", s->h,
                  name, vdit_dtype_name(t->dtype), vdit_tensor_shape_text(has, sizeof has, t),
                  vdit_tensor_shape_text(wants, sizeof wants, own));
}

static void check_transfer(const subject *s)
{
    const vdit_edit *edit = s->edit;
    const size_t map[4] = {s->B, s->H, s->R, s->Nk};
    int mapped = edit->mix != 0 && edit->source_map == NULL;
    size_t align[2] = {0, s->Nk};

    if ((edit->transfer & ~7u) != 0)
        vdit_run_fail(s->run, VDIT_ERR_ARGUMENT,
                      "edit of head %zu: transfer is %u, expected bits of q, k and v", s->h,
                      edit->transfer);
    check_source(s, "source_q", edit->source_q, s->call->q,
                 mapped || (edit->transfer & VDIT_FROM_Q) != 0, 0);
    check_source(s, "source_k", edit->source_k, s->call->k,
                 mapped || (edit->transfer & VDIT_FROM_K) != 0,
                 edit->align != NULL && (edit->transfer & VDIT_FROM_K) == 0);
    check_source(s, "source_v", edit->source_v, s->call->v, (edit->transfer & VDIT_FROM_V) != 0, 0);
    if (vdit_run_status(s->run) != VDIT_OK)
        return;
    if (check_tensor(s, "source_map", edit->source_map, VDIT_F32, 4, map))
        check_values(s, "source_map", edit->source_map, 0);
    align[0] = edit->source_k != NULL ? edit->source_k->shape[2] : s->Nk;
    if (check_tensor(s, "align", edit->align, VDIT_F32, 2, align))
        check_values(s, "align", edit->align, 0);
}

/* What needs a key for each query. */
static void check_square(const subject *s)
{
    const vdit_edit *edit = s->edit;

    if (s->Nq == s->Nk)
        return;
    if (edit->replace != 0 && edit->alpha != 0)
        vdit_run_fail(s->run, VDIT_ERR_ARGUMENT,
                      "edit of head %zu: I is not defined for %zu queries and %zu keys (C48)", s->h,
                      s->Nq, s->Nk);
    if (edit->lost == VDIT_LOST_DIAGONAL)
        vdit_run_fail(s->run, VDIT_ERR_ARGUMENT,
                      "edit of head %zu: no diagonal for %zu queries and %zu keys", s->h, s->Nq,
                      s->Nk);
}

static void check_prune(const subject *s)
{
    const vdit_edit *edit = s->edit;
    const size_t rows[3] = {s->B, s->H, s->R}, bits[4] = {s->B, s->H, s->R, (s->Nk + 7) / 8};

    if ((edit->prune == VDIT_PRUNE_THRESHOLD && edit->threshold == NULL) ||
        (edit->prune == VDIT_PRUNE_MASK && edit->keep == NULL))
        vdit_run_fail(s->run, VDIT_ERR_ARGUMENT,
                      "edit of head %zu: the %s to mask with is not given", s->h,
                      edit->prune == VDIT_PRUNE_MASK ? "mask" : "threshold");
    if (check_tensor(s, "threshold", edit->threshold, VDIT_F32, 3, rows))
        check_values(s, "threshold", edit->threshold, 1);
    check_tensor(s, "keep", edit->keep, VDIT_U8, 4, bits);
}

/* Enumerations from hostile hands. */
static void check_choices(const subject *s)
{
    const vdit_edit *edit = s->edit;
    const struct {
        const char *name;
        int value, count;
    } choices[] = {{"prune", (int)edit->prune, VDIT_PRUNE_MASK + 1},
                   {"scope", (int)edit->scope, VDIT_SCOPE_GLOBAL + 1},
                   {"ties", (int)edit->ties, VDIT_TIES_LINEAR + 1},
                   {"lost", (int)edit->lost, VDIT_LOST_UNIFORM + 1},
                   {"identity", (int)edit->identity, VDIT_IDENTITY_VIDEO_MOVE + 1},
                   {"uniform", (int)edit->uniform, VDIT_UNIFORM_SEGMENTS + 1},
                   {"keep_moment", (int)edit->keep_moment, VDIT_AFTER_SOFTMAX + 1}};

    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        if (choices[i].value < 0 || choices[i].value >= choices[i].count)
            vdit_run_fail(s->run, VDIT_ERR_ARGUMENT, "edit of head %zu: %s is %d, expected 0 to %d",
                          s->h, choices[i].name, choices[i].value, choices[i].count - 1);
}

static void check_edit(const subject *s)
{
    const vdit_edit *edit = s->edit;
    const size_t keys = s->Nk;
    double scale = fabs(s->call->scale / edit->temperature);
    vdit_layout layout;

    if (vdit_layout_set(s->run, &layout, &edit->tokens, s->Nq, s->Nk) != VDIT_OK)
        return;
    vdit_pattern_check(s->run, edit, &layout);
    check_choices(s);
    if (edit->temperature == 0 && (edit->prune != VDIT_PRUNE_NONE || edit->mix != 0))
        vdit_run_fail(s->run, VDIT_ERR_ARGUMENT,
                      "edit of head %zu: temperature 0 makes no map to mask or to mix", s->h);
    if (edit->temperature != 0 &&
        !(edit->temperature > 0 && edit->temperature < INFINITY &&
          (s->call->scale == 0 || (scale >= 0x1p-126 && scale < 0x1p127))))
        vdit_run_fail(
            s->run, VDIT_ERR_ARGUMENT,
            "edit of head %zu: temperature is %g, expected at least 0, and scale / temperature "
            "from 2^-126 to 2^127",
            s->h, edit->temperature);
    check_range(s, "fraction", edit->fraction, 0, 1);
    check_range(s, "replace", edit->replace, 0, 1);
    check_range(s, "alpha", edit->alpha, 0, 1);
    check_range(s, "mix", edit->mix, 0, 1);
    check_range(s, "gate", edit->gate, -0x1p64, 0x1p64);
    if (check_tensor(s, "key_weight", edit->key_weight, VDIT_F32, 1, &keys))
        check_values(s, "key_weight", edit->key_weight, 0);
    check_transfer(s);
    check_prune(s);
    check_square(s);
}

static void check_report(const subject *s)
{
    const vdit_edit_report *report = s->call->report;
    const size_t rows[3] = {s->B, s->H, s->R}, bits[4] = {s->B, s->H, s->R, (s->Nk + 7) / 8};
    const size_t wide[4] = {s->B, s->H, s->R, s->dv};

    if (report->size != sizeof *report)
        vdit_run_fail(s->run, VDIT_ERR_ARGUMENT, "report.size is %zu, expected %zu", report->size,
                      sizeof *report);
    check_tensor(s, "report.threshold", report->threshold, VDIT_F32, 3, rows);
    check_tensor(s, "report.masked", report->masked, VDIT_I64, 3, rows);
    check_tensor(s, "report.kept_mass", report->kept_mass, VDIT_F32, 3, rows);
    check_tensor(s, "report.dense_mass", report->dense_mass, VDIT_F32, 3, rows);
    check_tensor(s, "report.keep", report->keep, VDIT_U8, 4, bits);
    check_tensor(s, "report.free", report->free, VDIT_U8, 4, bits);
    if (report->renormalised != NULL)
        check_tensor(s, "report.renormalised", report->renormalised, report->renormalised->dtype, 4,
                     wide);
}

vdit_status vdit_edits_check(vdit_run *run, const vdit_attention *call)
{
    subject s = {.run = run, .call = call};

    s.B = call->q->shape[0];
    s.H = call->q->shape[1];
    s.Nq = call->q->shape[2];
    s.Nk = call->k->shape[2];
    s.dv = call->v->shape[3];
    s.R = call->rows != NULL ? call->rows->shape[0] : s.Nq;
    for (s.h = 0; s.h < s.H && vdit_run_status(run) == VDIT_OK; s.h++) {
        s.edit = call->edits[s.h];
        if (s.edit == NULL)
            continue;
        if (s.edit->size != sizeof *s.edit)
            return vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                                 "edit of head %zu: size is %zu, expected %zu; set it up with "
                                 "vdit_edit_init",
                                 s.h, s.edit->size, sizeof *s.edit);
        check_edit(&s);
    }
    if (call->report != NULL && vdit_run_status(run) == VDIT_OK)
        check_report(&s);
    return vdit_run_status(run);
}
