/* case.c - names, computed rows, sizes and checks of a case. */
#include <stdio.h>
#include <string.h>
#include "golden/case.h"
#include "golden/layer.h"

static const char *const operators[VDIT_OPERATOR_COUNT] = {
    [VDIT_OP_ATTENTION] = "attention",
    [VDIT_OP_LINEAR] = "linear",
    [VDIT_OP_MATMUL] = "matmul",
    [VDIT_OP_EXP] = "exp",
    [VDIT_OP_LOG] = "log",
    [VDIT_OP_CONV] = "conv",
    [VDIT_OP_ADD] = "add",
    [VDIT_OP_MODULATE] = "modulate",
    [VDIT_OP_GATED_ADD] = "gated_add",
    [VDIT_OP_LAYER_NORM] = "layer_norm",
    [VDIT_OP_RMS_NORM] = "rms_norm",
    [VDIT_OP_GROUP_NORM] = "group_norm",
    [VDIT_OP_ROTARY] = "rotary",
    [VDIT_OP_SIGMOID] = "sigmoid",
    [VDIT_OP_TANH] = "tanh",
    [VDIT_OP_SILU] = "silu",
    [VDIT_OP_GELU] = "gelu",
    [VDIT_OP_GELU_TANH] = "gelu_tanh",
    [VDIT_OP_QUICK_GELU] = "quick_gelu",
    [VDIT_OP_SOFTPLUS] = "softplus",
    [VDIT_OP_SWIGLU] = "swiglu",
    [VDIT_OP_GEGLU] = "geglu",
};

const char *vdit_operator_name(vdit_operator op)
{
    return operators[op];
}

int vdit_operator_find(vdit_operator *op, const char *name)
{
    for (int i = 0; i < VDIT_OPERATOR_COUNT; i++)
        if (strcmp(operators[i], name) == 0) {
            *op = (vdit_operator)i;
            return 1;
        }
    return 0;
}

int vdit_name_is_safe(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._-";

    return text[0] != '\0' && text[0] != '.' && text[0] != '-' && strlen(text) <= 200 &&
           text[strspn(text, allowed)] == '\0';
}

vdit_status vdit_case_name(vdit_run *run, vdit_case *c, const char *label)
{
    char size[80], name[256];

    if (c->op == VDIT_OP_ATTENTION && c->Nq == c->Nk)
        snprintf(size, sizeof size, "%zu", c->Nq);
    else if (c->op == VDIT_OP_ATTENTION)
        snprintf(size, sizeof size, "%zux%zu", c->Nq, c->Nk);
    else if (c->op == VDIT_OP_LINEAR || c->op == VDIT_OP_MATMUL)
        snprintf(size, sizeof size, "%zux%zux%zu", c->M, c->K, c->N);
    else if (c->op == VDIT_OP_CONV)
        snprintf(size, sizeof size, "%zux%zux%zux%zux%zu", c->K, c->N, c->tokens.frames,
                 c->tokens.height, c->tokens.width);
    else if (c->op == VDIT_OP_GROUP_NORM)
        snprintf(size, sizeof size, "%zux%zux%zu", c->M, c->K, c->N);
    else if (vdit_layer_has(c->op))
        snprintf(size, sizeof size, "%zux%zu", c->M, c->N);
    else
        snprintf(size, sizeof size, "%zu", c->N);
    snprintf(name, sizeof name, "%s-%s-%s-%s", label ? label : operators[c->op], c->family->name,
             vdit_dtype_name(c->dtype), size);
    c->name = vdit_text_copy(run, name);
    return vdit_run_status(run);
}

/*
 * Row rules. every S: 0, S, 2S, ...; count R: floor((2r + 1) Nq / (2R)) for r = 0 .. R - 1. Both have
 * the first and the last row besides. next_row gives the least computed row that is >= i.
 */
static size_t next_row(const vdit_case *c, size_t i)
{
    size_t next = c->Nq - 1, r;

    if (i == 0 || i >= next)
        return i;
    if (c->row_every != 0) {
        r = (i + c->row_every - 1) / c->row_every * c->row_every;
        return r < next ? r : next;
    }
    if (c->row_count != 0) {
        /* the least r with floor((2r + 1) Nq / (2R)) >= i, that is (2r + 1) Nq >= 2 R i */
        uint64_t need = 2 * (uint64_t)c->row_count * i;
        uint64_t odd = (need + c->Nq - 1) / c->Nq | 1;
        r = (size_t)(odd * c->Nq / (2 * (uint64_t)c->row_count));
        return r < next ? r : next;
    }
    return i;
}

size_t vdit_case_rows(const vdit_case *c)
{
    size_t count = 0;

    if (c->row_every == 0 && c->row_count == 0)
        return c->Nq;
    for (size_t i = 0; i < c->Nq; i = next_row(c, i) + 1, count++)
        ;
    return count;
}

void vdit_case_list_rows(int64_t *rows, const vdit_case *c)
{
    for (size_t i = 0; i < c->Nq; i++) {
        i = next_row(c, i);
        *rows++ = (int64_t)i;
    }
}

/* The elements of a case's tensors, in doubles, because they may be absurd. */
typedef struct volume {
    double in, out;        /* elements of the case's dtype */
    double mask;           /* elements of the mask */
    double rows, batches;  /* i64 elements */
    double largest, flops; /* elements of the largest tensor */
} volume;

static double greater(double a, double b)
{
    return a > b ? a : b;
}

static volume attention_volume(const vdit_case *c)
{
    volume v = {0};
    double heads = (double)c->B * (double)c->H, nq = (double)c->Nq, nk = (double)c->Nk;
    double rows = (double)vdit_case_rows(c);

    v.in = heads * (nq * (double)c->d + nk * (double)(c->d + c->dv));
    v.out = heads * rows * (double)c->dv;
    v.mask = c->mask == VDIT_MASK_NONE ? 0 : nq * nk;
    v.rows = c->row_every || c->row_count ? rows : 0;
    v.batches = c->key_length ? (double)c->B : 0;
    v.largest = greater(greater(v.in, v.out), v.mask);
    v.flops = 2 * heads * rows * nk * (double)(c->d + c->dv);
    return v;
}

static volume plain_volume(const vdit_case *c)
{
    volume v = {0};
    double rows = (double)c->M, terms = (double)c->K, columns = (double)c->N;

    if (c->op == VDIT_OP_EXP || c->op == VDIT_OP_LOG) {
        v.in = v.out = v.flops = columns;
    } else {
        v.in = terms * (rows + columns) + (c->bias ? columns : 0);
        v.out = rows * columns;
        v.flops = 2 * rows * columns * terms;
    }
    v.largest = greater(v.in, v.out);
    return v;
}

/* Every element of the output takes a product of depth K patches, or a few operations. */
static volume layer_volume(const vdit_case *c)
{
    volume v = {0};

    for (int i = 0; i <= VDIT_LAYER_INPUTS; i++) {
        size_t shape[VDIT_MAX_RANK];
        double count = 1;
        int rank;

        if (vdit_layer_tensor(c, i, &rank, shape) == NULL)
            continue;
        for (int axis = 0; axis < rank; axis++)
            count *= (double)shape[axis];
        *(i == VDIT_LAYER_INPUTS ? &v.out : &v.in) += count;
    }
    v.largest = greater(v.in, v.out);
    v.flops = v.out * (c->op == VDIT_OP_CONV ? 8 * (double)c->K : 8);
    return v;
}

static volume volume_of(const vdit_case *c)
{
    if (vdit_layer_has(c->op))
        return layer_volume(c);
    return c->op == VDIT_OP_ATTENTION ? attention_volume(c) : plain_volume(c);
}

void vdit_case_estimate(vdit_case_cost *cost, const vdit_case *c)
{
    volume v = volume_of(c);
    double size = (double)vdit_dtype_size(c->dtype);
    double mask_size = c->mask == VDIT_MASK_FLOAT_RANDOM ? size : 1;
    double lse = c->op == VDIT_OP_ATTENTION ? 4 * v.out / (double)c->dv : 0;

    cost->flops = v.flops;
    cost->in_bytes = v.in * size + v.mask * mask_size + 8 * (v.rows + v.batches);
    cost->out_bytes = v.out * (size + 2) + lse; /* 2: sigma is bf16 */
}

static vdit_status check_size(vdit_run *run, const vdit_case *c, const char *where)
{
    volume v = volume_of(c);

    if (v.largest * (double)vdit_dtype_size(c->dtype) > VDIT_CASE_BYTES)
        return vdit_run_fail(run, VDIT_ERR_LIMIT, "%s: tensors of %.3g bytes, at most %.3g allowed",
                             where, v.largest * (double)vdit_dtype_size(c->dtype), VDIT_CASE_BYTES);
    if (v.flops > VDIT_CASE_FLOPS)
        return vdit_run_fail(run, VDIT_ERR_LIMIT, "%s: %.3g operations, at most %.3g allowed",
                             where, v.flops, VDIT_CASE_FLOPS);
    return VDIT_OK;
}

static vdit_status check_lengths(vdit_run *run, const vdit_case *c, const char *where)
{
    int shorter = 0;

    for (size_t b = 0; c->key_length != NULL && b < c->B; b++) {
        if (c->key_length[b] < 0 || (uint64_t)c->key_length[b] > c->Nk)
            return vdit_run_fail(run, VDIT_ERR_FORMAT,
                                 "%s: key_length %lld, expected 0 to Nk = %zu", where,
                                 (long long)c->key_length[b], c->Nk);
        shorter |= (uint64_t)c->key_length[b] < c->Nk;
    }
    if (strcmp(c->family->name, "poison") == 0 && !shorter)
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: family poison needs a key_length below Nk = %zu", where, c->Nk);
    return VDIT_OK;
}

/* 4 ln n, with n rounded up to a power of two: 4 ln 2 = 2.78 a bit. */
static double needle_width(size_t n)
{
    double bits = 0;

    for (double power = 1; power < (double)n; power *= 2)
        bits++;
    return 2.78 * bits;
}

/* The families that are built from the scale. */
static vdit_status check_scale(vdit_run *run, const vdit_case *c, const char *where)
{
    const char *family = c->family->name;
    int needle = strcmp(family, "needle") == 0 || strcmp(family, "offset") == 0;

    if (!needle && strcmp(family, "late-sink") != 0 && strcmp(family, "integers") != 0 &&
        strcmp(family, "video") != 0)
        return VDIT_OK;
    if (!(c->scale >= 0x1p-8 && c->scale <= 16))
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: family %s needs a scale from 2^-8 to 16, not %g", where, family,
                             c->scale);
    if (needle && (double)c->d < needle_width(c->Nk))
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: family %s needs d >= %.0f for %zu keys, not %zu", where, family,
                             needle_width(c->Nk) + 0.5, c->Nk, c->d);
    return VDIT_OK;
}

/* q, k and v are slices of one tensor. */
static vdit_status check_layout(vdit_run *run, const vdit_case *c, const char *where)
{
    if (c->axes == VDIT_AXES_BN3HD && (c->Nq != c->Nk || c->d != c->dv))
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: layout BN3HD needs Nq = Nk and dv = d, not %zu, %zu and %zu, %zu",
                             where, c->Nq, c->Nk, c->dv, c->d);
    return VDIT_OK;
}

/* An axis is joint, video alone or text alone (vdit/edit.h). */
static int is_axis(const vdit_tokens *tokens, double video, size_t extent)
{
    return (double)extent == video + (double)tokens->text || (double)extent == video ||
           (extent != 0 && extent == tokens->text);
}

static vdit_status check_tokens(vdit_run *run, const vdit_case *c, const char *where)
{
    const vdit_tokens *t = &c->tokens;
    double video = (double)t->frames * (double)t->height * (double)t->width;

    if (t->frames == 0 && (t->text != 0 || t->text_first))
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: \"text\" goes with \"video\"", where);
    if (t->frames != 0 && (!is_axis(t, video, c->Nq) || !is_axis(t, video, c->Nk)))
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: Nq = %zu and Nk = %zu must each be all tokens, the %.0f of "
                             "\"video\" or the %zu of \"text\"",
                             where, c->Nq, c->Nk, video, t->text);
    return VDIT_OK;
}

/* The family video writes the grid of joint self-attention into some channels. */
static vdit_status check_video(vdit_run *run, const vdit_case *c, const char *where)
{
    const vdit_tokens *t = &c->tokens;
    double tokens = (double)t->frames * (double)t->height * (double)t->width + (double)t->text;

    if (strcmp(c->family->name, "video") != 0)
        return VDIT_OK;
    if ((double)c->Nq != tokens || (double)c->Nk != tokens || c->d < 16)
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: family video needs d >= 16, and \"video\" and \"text\" with "
                             "Nq = Nk tokens",
                             where);
    if (t->frames > 256 || t->height > 256 || t->width > 256)
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: family video needs frames, height and width up to 256", where);
    return VDIT_OK;
}

vdit_status vdit_case_check(vdit_run *run, const vdit_case *c, const char *where)
{
    if ((c->family->ops >> c->op & 1) == 0)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: family %s is not one of %s", where,
                             c->family->name, operators[c->op]);
    if (c->op == VDIT_OP_ATTENTION &&
        (check_lengths(run, c, where) != VDIT_OK || check_scale(run, c, where) != VDIT_OK ||
         check_layout(run, c, where) != VDIT_OK || check_tokens(run, c, where) != VDIT_OK ||
         check_video(run, c, where) != VDIT_OK))
        return vdit_run_status(run);
    if (vdit_layer_has(c->op) && vdit_layer_check(run, c, where) != VDIT_OK)
        return vdit_run_status(run);
    return check_size(run, c, where);
}
