/* model_time.c - how long a call of a denoiser will take on this machine. */
#include "model_time.h"
#include "program.h"

#define ROWS     256  /* of the trials: queries, and rows of a linear layer */
#define KEYS     2048 /* at most, of the trial of attention */
#define WIDTH    1536 /* at most, of the trial of a linear layer */
#define SHORTEST 0.05 /* seconds that a trial is repeated for */

/* A tensor of numbers between -1 and 1. */
static vdit_tensor trial_tensor(vdit_run *run, vdit_dtype dtype, int rank, const size_t *shape)
{
    vdit_tensor t = {0};
    size_t size = vdit_dtype_size(dtype);
    uint32_t word = 1;

    vdit_tensor_new(run, &t, dtype, rank, shape);
    program_check(run);
    for (size_t i = 0, n = vdit_tensor_count(&t); i < n; i++) {
        word = word * UINT32_C(1664525) + UINT32_C(1013904223);
        vdit_store_f64((char *)t.data + i * size, dtype, word * 0x1p-31 - 1);
    }
    return t;
}

/* What is tried. */
typedef struct trial {
    vdit_run *run;
    const vdit_backend *backend;
    vdit_tensor q, k, v, o; /* of attention */
    vdit_tensor x, w, y;    /* of a linear layer */
} trial;

static void try_linear(trial *t)
{
    vdit_backend_linear(t->run, t->backend, &t->y, &t->x, &t->w, NULL);
}

static void try_attention(trial *t)
{
    vdit_attention call;

    vdit_attention_init(&call, &t->q, &t->k, &t->v);
    call.o = &t->o;
    vdit_backend_attention(t->run, t->backend, &call);
}

/* Returns: seconds of one call, the mean over as many as take a moment, after a first one. */
static double measure(trial *t, void (*call)(trial *t))
{
    double start, seconds;
    int calls = 0;

    call(t);
    start = program_seconds();
    do {
        call(t);
        calls++;
        seconds = program_seconds() - start;
    } while (seconds < SHORTEST);
    program_check(t->run);
    return seconds / calls;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Returns: the largest site, by the cells of its map; a small one where the network has none. */
static const vdit_site_info *largest(const vdit_model_survey *survey)
{
    static const vdit_site_info small = {.heads = 1, .queries = 1, .keys = 1, .width = 64};
    const vdit_site_info *found = &small;

    for (size_t i = 0; i < survey->site_count; i++) {
        const vdit_site_info *s = &survey->sites[i];

        if ((double)s->queries * (double)s->keys >= (double)found->queries * (double)found->keys)
            found = s;
    }
    return found;
}

/* Returns: the dtype in which most numbers of the weights are when they are used: a short call pays for widening them. */
static vdit_dtype weight_dtype(const vdit_model_survey *survey, vdit_dtype dtype)
{
    double most = 0, count[VDIT_DTYPE_COUNT] = {0};
    vdit_dtype found = dtype;

    for (size_t i = 0; i < survey->weight_count; i++) {
        const vdit_tensor *t = &survey->weights[i].tensor;

        count[t->dtype] += (double)vdit_tensor_count(t);
        if (count[t->dtype] > most) {
            most = count[t->dtype];
            found = t->dtype;
        }
    }
    return vdit_dtype_size(dtype) < vdit_dtype_size(found) ? dtype : found;
}

double model_seconds(vdit_run *run, const vdit_backend *backend, const vdit_model_survey *survey,
                     vdit_dtype dtype)
{
    const vdit_site_info *site = largest(survey);
    size_t mark = vdit_run_mark(run), width = least(site->heads * site->width, WIDTH);
    size_t q[] = {1, 1, least(site->queries, ROWS), site->width};
    size_t k[] = {1, 1, least(site->keys, KEYS), site->width};
    size_t x[] = {least(site->queries, ROWS), width}, w[] = {width, width};
    trial t = {.run = run, .backend = backend};
    double linear, attention;

    t.q = trial_tensor(run, dtype, 4, q);
    t.k = trial_tensor(run, dtype, 4, k);
    t.v = trial_tensor(run, dtype, 4, k);
    t.o = trial_tensor(run, dtype, 4, q);
    t.x = trial_tensor(run, dtype, 2, x);
    t.w = trial_tensor(run, weight_dtype(survey, dtype), 2, w);
    t.y = trial_tensor(run, dtype, 2, x);
    linear = measure(&t, try_linear) / (2.0 * (double)x[0] * (double)width * (double)width);
    attention =
        measure(&t, try_attention) / (4.0 * (double)q[2] * (double)k[2] * (double)site->width);
    vdit_run_release(run, mark);
    return linear * (survey->flops - survey->attention_flops) + attention * survey->attention_flops;
}
