/*
 * compose.c - the parts of an edited output:
 *
 *     g (1 - u) (1 - w)           sum_j M(a)_ij y_j v_j
 *     g (1 - u) w alpha           I: v_i, or the map with its video mass moved or cut (C46)
 *     g (1 - u) w (1 - alpha)     U: a mean of the values (C47)
 *     g u                         sum_j a'_ij v'_j
 *
 * with 1 - u replaced by 1 where the source map is added. Parts with a factor of 0 are left out, so that an edit of
 * strength 0 is the plain sum, bit for bit.
 */
#include <math.h>
#include <string.h>
#include "attention/compose.h"
#include "attention/intervene.h"

/* Returns: x y, or x (1 - y). */
static vdit_mp times(const vdit_mp *x, double y, int complement)
{
    vdit_mp factor, one, product;

    vdit_mp_from_f64(&factor, y);
    vdit_mp_from_f64(&one, 1);
    if (complement)
        vdit_mp_sub(&factor, &one, &factor);
    vdit_mp_mul(&product, x, &factor);
    return product;
}

/* A new part with that factor; NULL if the factor is 0. */
static vdit_part *add_part(vdit_composition *c, vdit_part_kind kind, const vdit_mp *factor,
                           vdit_source *source)
{
    vdit_part *part = &c->parts[c->part_count];
    vdit_mp rest;

    if (factor->sign == 0)
        return NULL;
    c->part_count++;
    memset(part, 0, sizeof *part);
    part->kind = kind;
    part->rows = VDIT_ANY;
    part->factor = *factor;
    part->pair.high = vdit_mp_round(factor, VDIT_F64);
    vdit_mp_from_f64(&rest, part->pair.high);
    vdit_mp_sub(&rest, factor, &rest);
    part->pair.low = vdit_mp_round(&rest, VDIT_F64);
    part->source = source;
    part->room = (size_t)(source - c->sources);
    part->own = &c->sources[0];
    part->means = c->means;
    return part;
}

/* A tensor f64 [1,1,rows,dv], cleared, in the run's memory; NULL without it. */
static vdit_tensor *new_values(vdit_run *run, size_t rows, size_t dv)
{
    size_t shape[4] = {1, 1, rows, dv};
    vdit_tensor *t = vdit_run_alloc(run, 1, sizeof *t);

    if (t == NULL || vdit_tensor_new(run, t, VDIT_F64, 4, shape) != VDIT_OK)
        return NULL;
    memset(t->data, 0, rows * dv * sizeof(double));
    return t;
}

/* to[row] = factor * v[j]: of two f32 values, exact. */
static void weigh_value(const vdit_tensor *to, size_t row, const vdit_tensor *v, size_t j,
                        double factor)
{
    double *out = (double *)to->data + row * to->shape[3];
    size_t index[4] = {0, 0, j, 0};

    vdit_load_f64(out, v->shape[3], vdit_tensor_at(v, index), v->stride[3], v->dtype);
    for (size_t c = 0; c < to->shape[3]; c++)
        out[c] *= factor;
}

static double load_f32(const vdit_tensor *t, const size_t *index)
{
    double value;

    vdit_load_f64(&value, 1, vdit_tensor_at(t, index), 1, VDIT_F32);
    return value;
}

/* The values times the weights of their keys. */
static void weigh_values(vdit_run *run, vdit_attention *call, const vdit_tensor *weight)
{
    size_t nk = call->v->shape[2];
    vdit_tensor *v = new_values(run, nk, call->v->shape[3]);

    for (size_t j = 0; v != NULL && j < nk; j++)
        weigh_value(v, j, call->v, j, load_f32(weight, &j));
    call->v = v;
}

/* Returns: the largest number of keys that a source key is aligned with, at least 1. */
static size_t count_layers(const vdit_tensor *align)
{
    size_t most = 1, index[2];

    for (index[0] = 0; index[0] < align->shape[0]; index[0]++) {
        size_t count = 0;
        for (index[1] = 0; index[1] < align->shape[1]; index[1]++)
            count += load_f32(align, index) != 0;
        most = count > most ? count : most;
    }
    return most;
}

/* The values of layer n: for each source key the n-th key that it is aligned with, weighted. */
static void align_values(vdit_run *run, vdit_attention *call, const vdit_tensor *align, size_t n)
{
    vdit_tensor *v = new_values(run, align->shape[0], call->v->shape[3]);
    size_t index[2], length = vdit_key_length(call, 0);

    for (index[0] = 0; v != NULL && index[0] < align->shape[0]; index[0]++) {
        size_t count = 0;
        for (index[1] = 0; index[1] < align->shape[1] && index[1] < length; index[1]++)
            if (load_f32(align, index) != 0 && count++ == n)
                weigh_value(v, index[0], call->v, index[1], load_f32(align, index));
    }
    call->v = v;
}

/* Makes a source's head ready: one row of flags is shared, tops are its own. */
static void load_source(vdit_run *run, vdit_composition *c, vdit_source *source)
{
    vdit_head *head = &source->head;

    source->call.o = source->call.lse = source->call.map = source->call.sigma = NULL;
    if (vdit_run_status(run) != VDIT_OK || vdit_head_new(run, head, &source->call) != VDIT_OK)
        return;
    vdit_head_load(run, head, 0, 0);
    if (head->odd_key_count > 0 || head->odd_value_count > 0)
        vdit_run_fail(
            run, VDIT_ERR_UNSUPPORTED,
            "k or v has an infinity or a NaN, expected finite numbers where an edit blends "
            "or masks after the softmax");
    memset(&source->rows, 0, sizeof source->rows);
    source->rows.top = vdit_run_alloc(run, head->row_count, sizeof(double));
    source->rows.o = c->open;
}

/* Fails where a value that is taken by its place, padding included, is not finite. */
static void check_values(vdit_run *run, const vdit_composition *c, const vdit_attention *call)
{
    const vdit_tensor *v = call->v;
    size_t index[4] = {0, 0, 0, 0};
    double value;

    if (c->edit->replace == 0 && c->edit->lost != VDIT_LOST_DIAGONAL)
        return;
    for (index[2] = 0; index[2] < v->shape[2]; index[2]++)
        for (index[3] = 0; index[3] < v->shape[3]; index[3]++) {
            vdit_load_f64(&value, 1, vdit_tensor_at(v, index), 1, v->dtype);
            if (value - value != 0) {
                vdit_run_fail(run, VDIT_ERR_UNSUPPORTED,
                              "v has %g at key %zu, expected finite numbers where an edit takes "
                              "values by their place",
                              value, index[2]);
                return;
            }
        }
}

/* The sources: whom parts attend with. */
static vdit_status make_sources(vdit_run *run, vdit_composition *c, const vdit_attention *call)
{
    const vdit_edit *edit = c->edit;
    int weighted = edit->key_weight != NULL, mapped = edit->mix != 0 && edit->source_map == NULL;
    size_t layers = edit->align != NULL ? count_layers(edit->align) : 1;

    c->source_count = 1 + (size_t)weighted + (mapped ? layers : 0);
    c->sources = vdit_run_alloc(run, c->source_count, sizeof *c->sources);
    for (size_t i = 0; c->sources != NULL && i < c->source_count; i++) {
        vdit_source *source = &c->sources[i];

        source->call = *call;
        if (i == 1 && weighted)
            weigh_values(run, &source->call, edit->key_weight);
        if (i > (size_t)weighted) {
            source->call.q = edit->source_q;
            source->call.k = edit->source_k;
            source->call.edits = NULL;
            if (edit->align != NULL) {
                source->call.mask = NULL;
                align_values(run, &source->call, edit->align, i - 1 - (size_t)weighted);
                source->call.key_length = NULL;
            }
        }
        load_source(run, c, source);
    }
    return vdit_run_status(run);
}

/* The mask after the softmax of the edit's own map. */
static vdit_post *make_post(vdit_run *run, vdit_composition *c, const double *tau,
                            const uint64_t *quota)
{
    const vdit_edit *edit = c->edit;
    vdit_post *post = &c->posts[0];
    size_t rows = c->sources[0].head.row_count;

    post->places = vdit_pattern_acts(edit, VDIT_AFTER_SOFTMAX);
    post->prunable = edit->prunable != 0 ? edit->prunable : 15;
    post->tau = tau;
    post->quota = quota;
    post->frozen = edit->prune == VDIT_PRUNE_MASK && edit->keep_moment == VDIT_AFTER_SOFTMAX;
    post->keep_maximum = edit->keep_maximum;
    post->lost = edit->lost;
    post->sum = vdit_run_alloc(run, rows, sizeof(double));
    post->error = vdit_run_alloc(run, rows, sizeof(double));
    return post;
}

/* I of the replacement: the query's own value, with the variants of C46. */
static void add_identity(vdit_run *run, vdit_composition *c, const vdit_mp *factor)
{
    vdit_source *own = &c->sources[0];
    vdit_post *post = &c->posts[1];
    vdit_part *part;

    if (c->edit->identity == VDIT_IDENTITY_VIDEO_MOVE) {
        part = add_part(c, VDIT_PART_SOFTMAX, factor, own);
        if (part == NULL)
            return;
        post->head = &own->head;
        post->blocks = VDIT_BLOCK_VV;
        post->lost = VDIT_LOST_DIAGONAL;
        post->sum = vdit_run_alloc(run, own->head.row_count, sizeof(double));
        post->error = vdit_run_alloc(run, own->head.row_count, sizeof(double));
        part->post = post;
        return;
    }
    part = add_part(c, VDIT_PART_IDENTITY, factor, own);
    if (part == NULL || c->edit->identity == VDIT_IDENTITY_FULL)
        return;
    part->rows = VDIT_VIDEO;
    part = add_part(c, VDIT_PART_SOFTMAX, factor, own);
    part->rows = VDIT_TEXT;
}

/* U of the replacement, with the variants of C47. */
static void add_uniform(vdit_run *run, vdit_composition *c, const vdit_mp *factor)
{
    vdit_source *own = &c->sources[0];
    vdit_post *post = &c->posts[2];
    vdit_part *part;

    if (c->edit->uniform != VDIT_UNIFORM_SEGMENTS) {
        part = add_part(c, VDIT_PART_MEAN, factor, own);
        if (part != NULL)
            part->mean =
                c->edit->uniform == VDIT_UNIFORM_PADDED ? VDIT_MEAN_PADDED : VDIT_MEAN_VALID;
        return;
    }
    part = add_part(c, VDIT_PART_SOFTMAX, factor, own);
    if (part == NULL)
        return;
    post->head = &own->head;
    post->blocks = VDIT_BLOCK_VV | VDIT_BLOCK_VT | VDIT_BLOCK_TV | VDIT_BLOCK_TT;
    post->lost = VDIT_LOST_UNIFORM;
    post->sum = vdit_run_alloc(run, own->head.row_count, sizeof(double));
    post->error = vdit_run_alloc(run, own->head.row_count, sizeof(double));
    part->post = post;
    part->segments = 1;
}

/* The transferred map. */
static void add_source(vdit_composition *c, const vdit_mp *factor)
{
    size_t first = c->edit->key_weight != NULL ? 2 : 1;
    vdit_part *part;

    if (c->edit->source_map != NULL) {
        part = add_part(c, VDIT_PART_EXPLICIT, factor, &c->sources[0]);
        if (part != NULL)
            part->map = c->edit->source_map;
        return;
    }
    for (size_t i = first; i < c->source_count; i++)
        add_part(c, VDIT_PART_SOFTMAX, factor, &c->sources[i]);
}

static void make_parts(vdit_run *run, vdit_composition *c, const double *tau, const uint64_t *quota,
                       const vdit_edit_report *report)
{
    const vdit_edit *edit = c->edit;
    vdit_mp gate, own, replaced, factor;
    vdit_part *part;

    vdit_mp_from_f64(&gate, edit->gate);
    own = times(&gate, edit->mix_adds ? 0 : edit->mix, 1);
    factor = times(&own, edit->replace, 1);
    part = add_part(c, VDIT_PART_SOFTMAX, &factor, &c->sources[edit->key_weight != NULL ? 1 : 0]);
    if (part != NULL && (report != NULL || edit->prune != VDIT_PRUNE_NONE ||
                         vdit_pattern_acts(edit, VDIT_AFTER_SOFTMAX))) {
        part->post = make_post(run, c, tau, quota);
        part->post->head = &part->source->head;
        part->post->kept = report != NULL ? report->keep : NULL;
        if (report != NULL && report->free != NULL && tau != NULL) {
            double *near = vdit_run_alloc(run, part->source->head.row_count, 2 * sizeof *near);
            if (near != NULL)
                vdit_edit_near(&c->sources[0].call, tau, near);
            part->post->near = near;
            part->post->free = report->free;
        }
        c->pruned = part;
    }
    replaced = times(&own, edit->replace, 0);
    factor = times(&replaced, edit->alpha, 0);
    add_identity(run, c, &factor);
    factor = times(&replaced, edit->alpha, 1);
    add_uniform(run, c, &factor);
    factor = times(&gate, edit->mix, 0);
    add_source(c, &factor);
}

vdit_status vdit_compose(vdit_run *run, vdit_composition *c, const vdit_attention *call,
                         const double *tau, const uint64_t *quota, const vdit_edit_report *report)
{
    size_t rows = call->rows ? call->rows->shape[0] : call->q->shape[2];

    memset(c, 0, sizeof *c);
    c->edit = call->edits[0];
    c->open = vdit_run_alloc(run, rows, call->v->shape[3]);
    check_values(run, c, call);
    if (make_sources(run, c, call) != VDIT_OK)
        return vdit_run_status(run);
    c->parts = vdit_run_alloc(run, VDIT_PARTS + c->source_count, sizeof *c->parts);
    if (vdit_means_new(run, c->means, &c->sources[0].head) == VDIT_OK)
        make_parts(run, c, tau, quota, report);
    if (vdit_run_status(run) == VDIT_OK &&
        (c->edit->replace != 0 || c->edit->lost == VDIT_LOST_UNIFORM))
        vdit_means_load(c->means, &c->sources[0].head);
    return vdit_run_status(run);
}
