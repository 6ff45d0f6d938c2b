/* denoiser.c - a network of drawn weights with a call of drawn inputs. */
#include "denoiser.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/random.h>

/* Fails with the run's message. */
static void must(const vdit_run *run)
{
    if (vdit_run_status(run) != VDIT_OK)
        fail_msg("%s", vdit_run_message(run));
}

/* A sum of four uniform numbers, of mean 0 and variance 1; or a time in 0 .. 1000. */
static double number(uint32_t stream, uint32_t i, int time)
{
    const uint32_t counter[] = {i, stream, 0, 0}, key[] = {7, 0};
    uint32_t word[4];
    double sum = 0;

    vdit_philox4x32_10(word, counter, key);
    for (int k = 0; k < 4; k++)
        sum += (double)word[k] / 4294967296.;
    return time ? 250 * sum : (sum - 2) * sqrt(3);
}

/* Out: t, of the shape and dtype of like. */
static void draw(vdit_run *run, vdit_tensor *t, const vdit_tensor *like, uint32_t stream, int time)
{
    vdit_tensor_new(run, t, like->dtype, like->rank, like->shape);
    must(run);
    for (size_t i = 0; i < vdit_tensor_count(t); i++) {
        char *at = (char *)t->data + i * vdit_dtype_size(t->dtype);
        double value = number(stream, (uint32_t)i, time);

        if (t->dtype == VDIT_I64)
            *(int64_t *)at = (int64_t)value;
        else
            vdit_store_f64(at, t->dtype, value);
    }
}

void denoiser_open(denoiser *d, const char *family, const char *const *settings,
                   vdit_extents extents)
{
    vdit_model_inputs inputs;
    size_t count = 0;

    memset(d, 0, sizeof *d);
    while (settings != NULL && settings[count] != NULL)
        count++;
    d->run = vdit_run_new();
    d->extents = extents;
    vdit_model_preset(d->run, &d->model, family, "tiny", settings, count);
    must(d->run);
    vdit_model_draw(d->run, d->model, 1, VDIT_F32);
    vdit_model_inputs_of(d->run, d->model, &extents, &inputs);
    must(d->run);
    draw(d->run, &d->latents, &inputs.latents, 0, 0);
    draw(d->run, &d->timestep, &inputs.timestep, 1, 1);
    draw(d->run, &d->text, &inputs.text, 2, 0);
    draw(d->run, &d->output, &inputs.output, 3, 0);
    if (inputs.pooled.rank > 0)
        draw(d->run, &d->pooled, &inputs.pooled, 4, 0);
    if (inputs.guidance.rank > 0)
        draw(d->run, &d->guidance, &inputs.guidance, 5, 1);
    if (inputs.text_mask.rank > 0) {
        vdit_tensor_new(d->run, &d->mask, inputs.text_mask.dtype, inputs.text_mask.rank,
                        inputs.text_mask.shape);
        must(d->run);
        memset(d->mask.data, 1, vdit_tensor_count(&d->mask));
    }
    vdit_forward_init(&d->call);
    d->call.latents = &d->latents;
    d->call.timestep = &d->timestep;
    d->call.text = &d->text;
    d->call.pooled = d->pooled.rank > 0 ? &d->pooled : NULL;
    d->call.guidance = d->guidance.rank > 0 ? &d->guidance : NULL;
    d->call.output = &d->output;
}

void denoiser_close(denoiser *d)
{
    vdit_run_free(d->kept);
    vdit_model_close(d->model);
    vdit_run_free(d->run);
}

/* Keeps an activation in the memory of the trace. */
static vdit_status keep(void *state, const char *name, const vdit_tensor *activation)
{
    denoiser *d = state;
    vdit_named *kept = &d->trace[d->trace_count++];
    char *copy = vdit_run_alloc(d->kept, strlen(name) + 1, 1);

    assert_true(d->trace_count <= DENOISER_TRACE);
    must(d->kept);
    kept->name = strcpy(copy, name);
    vdit_tensor_new(d->kept, &kept->tensor, activation->dtype, activation->rank, activation->shape);
    must(d->kept);
    vdit_tensor_pack(kept->tensor.data, activation);
    return VDIT_OK;
}

void denoiser_run(denoiser *d)
{
    vdit_run_free(d->kept);
    d->kept = vdit_run_new();
    d->trace_count = 0;
    d->call.trace = keep;
    d->call.trace_state = d;
    vdit_model_forward(d->run, d->model, &d->call);
    must(d->run);
}

const char *denoiser_fail(denoiser *d)
{
    size_t size = vdit_tensor_count(&d->output) * vdit_dtype_size(d->output.dtype);
    void *before = test_malloc(size + 1);

    memcpy(before, d->output.data, size);
    vdit_model_forward(d->run, d->model, &d->call);
    assert_int_not_equal(vdit_run_status(d->run), VDIT_OK);
    assert_memory_equal(before, d->output.data, size);
    test_free(before);
    return vdit_run_message(d->run);
}

const vdit_tensor *denoiser_find(const denoiser *d, const char *name)
{
    for (size_t i = 0; i < d->trace_count; i++)
        if (strcmp(d->trace[i].name, name) == 0)
            return &d->trace[i].tensor;
    fail_msg("no activation is named %s", name);
    return NULL;
}

const vdit_named *denoiser_names(const vdit_named *next, const char *prefix, const char *names)
{
    for (; *names != '\0'; next++) {
        size_t length = strcspn(names, " ");
        char expected[256];

        (void)snprintf(expected, sizeof expected, "%s%.*s", prefix, (int)length, names);
        assert_string_equal(next->name, expected);
        names += length + strspn(names + length, " ");
    }
    return next;
}

double denoiser_value(const vdit_tensor *t, size_t index)
{
    double value;

    vdit_load_f64(&value, 1, (const char *)t->data + index * vdit_dtype_size(t->dtype), 1,
                  t->dtype);
    return value;
}

/* Returns: the address of a sample. Out: size, its bytes. */
static char *sample(const vdit_tensor *t, size_t i, size_t *size)
{
    *size = vdit_tensor_count(t) / t->shape[0] * vdit_dtype_size(t->dtype);
    return (char *)t->data + i * *size;
}

int denoiser_same(const vdit_tensor *a, size_t i, const vdit_tensor *b, size_t j)
{
    size_t size, other;
    const char *x = sample(a, i, &size), *y = sample(b, j, &other);

    return a->dtype == b->dtype && size == other && memcmp(x, y, size) == 0;
}

static void take(vdit_tensor *to, size_t i, const vdit_tensor *from, size_t j)
{
    size_t size, other;
    char *x = sample(to, i, &size), *y = sample(from, j, &other);

    assert_int_equal(size, other);
    memcpy(x, y, size);
}

void denoiser_take(denoiser *d, size_t i, const denoiser *from, size_t j)
{
    take(&d->latents, i, &from->latents, j);
    take(&d->timestep, i, &from->timestep, j);
    take(&d->text, i, &from->text, j);
    if (d->mask.rank > 0)
        take(&d->mask, i, &from->mask, j);
    if (d->pooled.rank > 0)
        take(&d->pooled, i, &from->pooled, j);
    if (d->guidance.rank > 0)
        take(&d->guidance, i, &from->guidance, j);
}

void denoiser_refused(const char *family, const char *setting, const char *message)
{
    vdit_run *run = vdit_run_new();
    vdit_model *model = NULL;

    vdit_model_preset(run, &model, family, "tiny", &setting, 1);
    assert_int_equal(vdit_run_status(run), VDIT_ERR_UNSUPPORTED);
    assert_string_equal(vdit_run_message(run), message);
    assert_null(model);
    vdit_run_free(run);
}

void denoiser_counts(const char *family, const char *size, size_t tensors, double numbers)
{
    vdit_run *run = vdit_run_new();
    vdit_model *model = NULL;
    vdit_extents smallest;
    vdit_model_survey survey;
    double sum = 0;

    vdit_model_preset(run, &model, family, size, NULL, 0);
    must(run);
    smallest = vdit_model_smallest(model);
    vdit_model_survey_of(run, model, &smallest, VDIT_F32, &survey);
    must(run);
    for (size_t i = 0; i < survey.weight_count; i++)
        sum += (double)vdit_tensor_count(&survey.weights[i].tensor);
    assert_int_equal(survey.weight_count, tensors);
    assert_true(sum == numbers);
    vdit_model_close(model);
    vdit_run_free(run);
}

void denoiser_extents_refused(denoiser *d, vdit_extents extents, const char *message)
{
    vdit_model_inputs inputs;

    vdit_run_clear(d->run);
    vdit_model_inputs_of(d->run, d->model, &extents, &inputs);
    assert_string_equal(vdit_run_message(d->run), message);
    vdit_run_clear(d->run);
}
