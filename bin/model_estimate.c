/* model_estimate.c - vdit-model estimate: what one call of a denoiser takes: memory, operations, time. */
#include "model.h"
#include "program.h"
#include <stdio.h>

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

/* Returns: the largest site, by the cells of its map. */
static const vdit_site_info *largest(const vdit_model_survey *survey)
{
    const vdit_site_info *found = NULL;

    for (size_t i = 0; i < survey->site_count; i++) {
        const vdit_site_info *s = &survey->sites[i];

        if (found == NULL ||
            (double)s->queries * (double)s->keys > (double)found->queries * (double)found->keys)
            found = s;
    }
    return found;
}

/* Returns: seconds of the call on a backend, scaled from a short linear layer and a short attention of its widths. */
static double estimate_time(vdit_run *run, const char *backend, const vdit_model_survey *survey,
                            vdit_dtype dtype)
{
    const vdit_site_info *site = largest(survey);
    size_t mark = vdit_run_mark(run), width = least(site->heads * site->width, WIDTH);
    size_t q[] = {1, 1, least(site->queries, ROWS), site->width};
    size_t k[] = {1, 1, least(site->keys, KEYS), site->width};
    size_t x[] = {ROWS, width}, w[] = {width, width};
    trial t = {.run = run, .backend = vdit_backend_find(backend)};
    double linear, attention;

    t.q = trial_tensor(run, dtype, 4, q);
    t.k = trial_tensor(run, dtype, 4, k);
    t.v = trial_tensor(run, dtype, 4, k);
    t.o = trial_tensor(run, dtype, 4, q);
    t.x = trial_tensor(run, dtype, 2, x);
    t.w = trial_tensor(run, dtype, 2, w);
    t.y = trial_tensor(run, dtype, 2, x);
    linear = measure(&t, try_linear) / (2.0 * ROWS * (double)width * (double)width);
    attention =
        measure(&t, try_attention) / (4.0 * (double)q[2] * (double)k[2] * (double)site->width);
    vdit_run_release(run, mark);
    return linear * (survey->flops - survey->attention_flops) + attention * survey->attention_flops;
}

/* Returns: bytes of the weights; those of a configuration alone would be of the call's dtype. */
static double weight_bytes(const vdit_model_survey *survey, const vdit_dtype *assumed)
{
    double bytes = 0;

    for (size_t i = 0; i < survey->weight_count; i++) {
        const vdit_tensor *t = &survey->weights[i].tensor;

        bytes += (double)vdit_tensor_count(t) *
                 (double)vdit_dtype_size(assumed != NULL ? *assumed : t->dtype);
    }
    return bytes;
}

/* Writes "0.031 s", or minutes and seconds. Returns: text. */
static char *seconds_text(char *text, size_t size, double seconds)
{
    if (seconds >= 60)
        return program_time_text(text, size, seconds);
    snprintf(text, size, "%.2g s", seconds);
    return text;
}

static void print_words(const vdit_extents *e, vdit_dtype dtype, const vdit_model_survey *survey,
                        double weights, const double seconds[2])
{
    double share = survey->flops > 0 ? survey->attention_flops / survey->flops : 0;
    char text[32];

    printf("latents     %zu x %zu x %zu, batch %zu, %zu rows of text, %s\n", e->frames, e->height,
           e->width, e->batch, e->text, vdit_dtype_name(dtype));
    printf("weights     %s\n", program_bytes_text(text, sizeof text, weights));
    printf("memory      %s beside weights, input and output\n",
           program_bytes_text(text, sizeof text, survey->bytes));
    printf("operations  %.4g\n", survey->flops);
    printf("attention   %.4g (%.1f%%)\n", survey->attention_flops, 100 * share);
    printf("fast        about %s on this machine\n", seconds_text(text, sizeof text, seconds[0]));
    printf("reference   about %s on this machine\n", seconds_text(text, sizeof text, seconds[1]));
}

int model_estimate(vdit_run *run, const model_settings *set, model_operands operands)
{
    vdit_model *model = model_open(run, model_only(operands, "estimate DIR or estimate CONFIG"));
    vdit_dtype dtype = model_dtype(set, VDIT_F32);
    vdit_model_survey survey;
    vdit_extents extents;
    double seconds[2], weights;

    if (set->size == NULL && set->video == NULL)
        program_fail("estimate needs --size or --video FRAMESxHEIGHTxWIDTH");
    model_extents(run, model, set, &extents);
    vdit_model_survey_of(run, model, &extents, dtype, &survey);
    program_check(run);
    weights = weight_bytes(&survey, vdit_model_weights(model) == NULL ? &dtype : NULL);
    seconds[0] = estimate_time(run, "fast", &survey, dtype);
    seconds[1] = estimate_time(run, "reference", &survey, dtype);
    if (set->json)
        model_print_json(json_pack(
            "{s:[I,I,I], s:I, s:I, s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "latents",
            (json_int_t)extents.frames, (json_int_t)extents.height, (json_int_t)extents.width,
            "batch", (json_int_t)extents.batch, "text", (json_int_t)extents.text, "dtype",
            vdit_dtype_name(dtype), "weight_bytes", weights, "memory_bytes", survey.bytes, "flops",
            survey.flops, "attention_flops", survey.attention_flops, "fast_seconds", seconds[0],
            "reference_seconds", seconds[1]));
    else
        print_words(&extents, dtype, &survey, weights, seconds);
    vdit_model_close(model);
    return 0;
}
