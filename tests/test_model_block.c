/*
 * test_model_block.c - the lines of vdit-cogvideox(7) and vdit-hunyuan(7), each computed once more in binary64 from the
 * activations that a trace has before it.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "denoiser.h"

enum { TEXT = 8, VIDEO = 30, HEADS = 2 };

/* A run whose names are asked for with a prefix; width is that of the model. */
typedef struct scene {
    denoiser d;
    const char *prefix;
    size_t width;
} scene;

static double *load(scene *s, const vdit_tensor *t)
{
    size_t count = vdit_tensor_count(t);
    double *x = vdit_run_alloc(s->d.kept, count, sizeof *x);

    assert_non_null(x);
    vdit_load_f64(x, count, t->data, 1, t->dtype);
    return x;
}

/* Returns: the numbers of an activation. */
static double *get(scene *s, const char *name)
{
    char whole[200];

    (void)snprintf(whole, sizeof whole, "%s%s", s->prefix, name);
    return load(s, denoiser_find(&s->d, whole));
}

/* Returns: the numbers of a weight, or NULL if there is none. */
static double *weight(scene *s, const char *name, const char *what)
{
    char whole[200];
    const vdit_tensor *t;

    (void)snprintf(whole, sizeof whole, "%s%s.%s", s->prefix, name, what);
    t = vdit_file_find(vdit_model_weights(s->d.model), whole);
    return t != NULL ? load(s, t) : NULL;
}

/* A few roundings of f32, in a sum whose terms have such a size, lie between the two. */
static void assert_near(const char *what, double found, double expected, double size)
{
    if (!(fabs(found - expected) <= 0x1p-21 * (size + fabs(expected))))
        fail_msg("%s: found %.9g, expected %.9g", what, found, expected);
}

/* out = x (1 + scale) + shift, the places of shift and scale in the linear layer's output being given. */
static void assert_modulated(scene *s, const char *out, const char *in, const char *linear,
                             size_t shift, size_t scale, size_t rows)
{
    double *y = get(s, out), *x = get(s, in), *m = get(s, linear);

    for (size_t i = 0; i < rows * s->width; i++) {
        double *at = m + i % s->width, term = x[i] * (1 + at[scale * s->width]);

        assert_near(out, y[i], term + at[shift * s->width], fabs(term));
    }
}

/* y[O] = W x[K] + b of the linear layer of that name. */
static void assert_linear(scene *s, const char *name, const double *y, size_t outputs,
                          const double *x, size_t inputs)
{
    const double *w = weight(s, name, "weight"), *b = weight(s, name, "bias");

    for (size_t o = 0; o < outputs; o++) {
        double sum = b[o], size = fabs(b[o]);

        for (size_t k = 0; k < inputs; k++) {
            sum += w[o * inputs + k] * x[k];
            size += fabs(w[o * inputs + k] * x[k]);
        }
        assert_near(name, y[o], sum, size);
    }
}

/* y[n] is the norm of x[n] around its mean, or for RMS around 0, with the weights of that name if it has some. */
static void assert_norm(scene *s, const char *name, const double *y, const double *x, size_t n,
                        int around_mean, double eps)
{
    const double *w = weight(s, name, "weight"), *b = weight(s, name, "bias");
    double mean = 0, square = 0;

    for (size_t i = 0; around_mean && i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++) {
        double term = (x[i] - mean) / sqrt(square + eps) * (w != NULL ? w[i] : 1);

        assert_near(name, y[i], term + (b != NULL ? b[i] : 0), fabs(term));
    }
}

/* Each head of y [B,H,N,d] is the norm of that head of x [B,N,H d]; or y is [B,N,H,d]. */
static void assert_head_norm(scene *s, const char *name, const char *in, size_t rows,
                             int heads_first, int around_mean)
{
    double *y = get(s, name), *x = get(s, in);
    size_t d = s->width / HEADS;

    for (size_t n = 0; n < rows; n++)
        for (size_t h = 0; h < HEADS; h++)
            assert_norm(s, name, y + (heads_first ? h * rows + n : n * HEADS + h) * d,
                        x + n * s->width + h * d, d, around_mean, 1e-6);
}

/* out = gelu_tanh(in). */
static void assert_gelu(scene *s, const char *out, const char *in, size_t count)
{
    const double pi = 3.14159265358979323846;
    double *y = get(s, out), *x = get(s, in);

    for (size_t i = 0; i < count; i++) {
        double inner = sqrt(2 / pi) * (x[i] + 0.044715 * x[i] * x[i] * x[i]);

        assert_near(out, y[i], x[i] * (1 + tanh(inner)) / 2, fabs(x[i]));
    }
}

/* Out: z = x + gate y, rows of the width. */
static void add_gated(const scene *s, double *z, const double *x, const double *gate,
                      const double *y, size_t rows)
{
    for (size_t i = 0; i < rows * s->width; i++)
        z[i] = x[i] + gate[i % s->width] * y[i];
}

static void assert_rows(const scene *s, const char *what, const double *found,
                        const double *expected, size_t rows)
{
    for (size_t i = 0; i < rows * s->width; i++)
        assert_near(what, found[i], expected[i], 4);
}

/* Out: row n of the heads of o [B,H,N,d] side by side. */
static void gather_row(const scene *s, double *row, const double *o, size_t n, size_t rows)
{
    size_t d = s->width / HEADS;

    for (size_t i = 0; i < s->width; i++)
        row[i] = o[(i / d * rows + n) * d + i % d];
}

static scene *open_scene(const char *family, const char *const *settings, size_t width)
{
    static scene s;

    denoiser_open(&s.d, family, settings, (vdit_extents){1, 2, 6, 10, TEXT});
    denoiser_run(&s.d);
    s.width = width;
    s.prefix = "";
    return &s;
}

static void a_block_of_cogvideox_takes_the_text_first(void **state)
{
    static const char *const projections[] = {"attn1.to_q", "attn1.to_k", "attn1.to_v"};
    scene *s = open_scene("cogvideox", NULL, 16);
    const double *z = get(s, "patch_embed"), *x, *y, *o, *v;
    double row[16];

    (void)state;
    s->prefix = "transformer_blocks.0.";
    assert_norm(s, "norm1.norm", get(s, "norm1.norm"), z + TEXT * 16, 16, 1, 1e-5);
    assert_norm(s, "norm1.norm", get(s, "norm1.norm#2"), z, 16, 1, 1e-5);
    assert_modulated(s, "norm1[0]", "norm1.norm", "norm1.linear", 0, 1, VIDEO);
    assert_modulated(s, "norm1[1]", "norm1.norm#2", "norm1.linear", 3, 4, TEXT);
    x = get(s, "norm1[0]"), y = get(s, "norm1[1]");
    for (int i = 0; i < 3; i++) {
        assert_linear(s, projections[i], get(s, projections[i]), 16, y, 16);
        assert_linear(s, projections[i], get(s, projections[i]) + TEXT * 16, 16, x, 16);
    }
    assert_head_norm(s, "attn1.norm_q", "attn1.to_q", TEXT + VIDEO, 1, 1);
    assert_head_norm(s, "attn1.norm_k", "attn1.to_k", TEXT + VIDEO, 1, 1);
    o = get(s, "attn1/o"), v = get(s, "attn1/v");
    gather_row(s, row, v, 9, TEXT + VIDEO);
    assert_memory_equal(row, get(s, "attn1.to_v") + 9 * 16, sizeof row);
    gather_row(s, row, o, TEXT, TEXT + VIDEO);
    assert_linear(s, "attn1.to_out.0", get(s, "attn1[0]"), 16, row, 16);
    gather_row(s, row, o, 0, TEXT + VIDEO);
    assert_linear(s, "attn1.to_out.0", get(s, "attn1[1]"), 16, row, 16);
    denoiser_close(&s->d);
}

static void a_block_of_cogvideox_gates_what_it_adds(void **state)
{
    scene *s = open_scene("cogvideox", NULL, 16);
    const double *z = get(s, "patch_embed"), *first, *second, *ff;
    double x[VIDEO * 16], y[TEXT * 16];

    (void)state;
    s->prefix = "transformer_blocks.0.";
    first = get(s, "norm1.linear"), second = get(s, "norm2.linear"), ff = get(s, "ff");
    add_gated(s, x, z + TEXT * 16, first + 2 * 16, get(s, "attn1[0]"), VIDEO);
    add_gated(s, y, z, first + 5 * 16, get(s, "attn1[1]"), TEXT);
    assert_norm(s, "norm2.norm", get(s, "norm2.norm"), x, 16, 1, 1e-5);
    assert_norm(s, "norm2.norm", get(s, "norm2.norm#2"), y, 16, 1, 1e-5);
    assert_modulated(s, "norm2[0]", "norm2.norm", "norm2.linear", 0, 1, VIDEO);
    assert_modulated(s, "norm2[1]", "norm2.norm#2", "norm2.linear", 3, 4, TEXT);
    assert_linear(s, "ff.net.0.proj", get(s, "ff.net.0.proj"), 64, get(s, "norm2[1]"), 16);
    assert_gelu(s, "ff.net.0", "ff.net.0.proj", (TEXT + VIDEO) * 64);
    assert_linear(s, "ff.net.2", ff, 16, get(s, "ff.net.0"), 64);
    add_gated(s, x, x, second + 2 * 16, ff + TEXT * 16, VIDEO);
    add_gated(s, y, y, second + 5 * 16, ff, TEXT);
    s->prefix = "transformer_blocks.0";
    assert_rows(s, "x", get(s, "[0]"), x, VIDEO);
    assert_rows(s, "y", get(s, "[1]"), y, TEXT);
    s->prefix = "";
    assert_norm(s, "norm_final", get(s, "norm_final"), get(s, "transformer_blocks.1[0]"), 16, 1,
                1e-5);
    assert_norm(s, "norm_out.norm", get(s, "norm_out.norm"), get(s, "norm_final"), 16, 1, 1e-5);
    assert_modulated(s, "norm_out", "norm_out.norm", "norm_out.linear", 0, 1, VIDEO);
    denoiser_close(&s->d);
}

/* 30 tokens of video as in CogVideoX: the patch is that of the larger extents. */
static const char *const hunyuan[] = {"patch_size=2", NULL};

static void the_conditions_of_hunyuan_are_summed(void **state)
{
    scene *s = open_scene("hunyuan", hunyuan, 20);
    double sum[20], context[20], y[TEXT * 20], *time, *guidance, *text, *gates;

    (void)state;
    s->prefix = "time_text_embed.";
    time = get(s, "timestep_embedder"), guidance = get(s, "guidance_embedder");
    text = get(s, "text_embedder");
    for (size_t i = 0; i < 20; i++)
        sum[i] = time[i] + guidance[i] + text[i];
    s->prefix = "context_embedder.time_text_embed.";
    time = get(s, "timestep_embedder"), text = get(s, "text_embedder");
    for (size_t i = 0; i < 20; i++)
        context[i] = time[i] + text[i];
    s->prefix = "";
    assert_rows(s, "e", get(s, "time_text_embed[0]"), sum, 1);
    assert_rows(s, "c", get(s, "context_embedder.time_text_embed"), context, 1);

    memcpy(y, get(s, "context_embedder.proj_in"), sizeof y);
    s->prefix = "context_embedder.token_refiner.refiner_blocks.0.";
    assert_norm(s, "norm1", get(s, "norm1"), y, 20, 1, 1e-6);
    gates = get(s, "norm_out.linear");
    add_gated(s, y, y, gates, get(s, "attn"), TEXT);
    assert_norm(s, "norm2", get(s, "norm2"), y, 20, 1, 1e-6);
    assert_linear(s, "ff.net.0.proj", get(s, "ff.net.0.proj"), 80, get(s, "norm2"), 20);
    add_gated(s, y, y, gates + 20, get(s, "ff"), TEXT);
    s->prefix = "";
    assert_rows(s, "y", get(s, "context_embedder"), y, TEXT);
    denoiser_close(&s->d);
}

/* One stream of a double block, whose first row stands for all where a linear layer is computed. */
typedef struct stream {
    const char *before, *norm1, *q, *k, *v, *norm_q, *norm_k, *out, *norm2, *ff, *after;
    size_t rows, first;
} stream;

static const stream of_video = {"x_embedder",
                                "norm1",
                                "attn.to_q",
                                "attn.to_k",
                                "attn.to_v",
                                "attn.norm_q",
                                "attn.norm_k",
                                "attn.to_out.0",
                                "norm2",
                                "ff",
                                "[0]",
                                VIDEO,
                                0};
static const stream of_text = {"context_embedder",
                               "norm1_context",
                               "attn.add_q_proj",
                               "attn.add_k_proj",
                               "attn.add_v_proj",
                               "attn.norm_added_q",
                               "attn.norm_added_k",
                               "attn.to_add_out",
                               "norm2_context",
                               "ff_context",
                               "[1]",
                               TEXT,
                               VIDEO};

static const char *joined(char *text, const char *a, const char *b)
{
    return strcat(strcpy(text, a), b);
}

static void check_stream(scene *s, const stream *of)
{
    char name[100], other[100], linear[100];
    double z[VIDEO * 20], row[20], *m, *norm;

    s->prefix = "";
    memcpy(z, get(s, of->before), of->rows * 20 * sizeof *z);
    s->prefix = "transformer_blocks.0.";
    joined(linear, of->norm1, ".linear");
    m = get(s, linear);
    assert_norm(s, of->norm1, get(s, joined(name, of->norm1, ".norm")), z, 20, 1, 1e-6);
    assert_modulated(s, joined(other, of->norm1, "[0]"), name, linear, 0, 1, of->rows);
    assert_linear(s, of->q, get(s, of->q), 20, get(s, other), 20);
    assert_linear(s, of->k, get(s, of->k), 20, get(s, other), 20);
    assert_linear(s, of->v, get(s, of->v), 20, get(s, other), 20);
    assert_head_norm(s, of->norm_q, of->q, of->rows, 0, 0);
    assert_head_norm(s, of->norm_k, of->k, of->rows, 0, 0);
    gather_row(s, row, get(s, "attn/v"), of->first, VIDEO + TEXT);
    assert_memory_equal(row, get(s, of->v), sizeof row);
    gather_row(s, row, get(s, "attn/o"), of->first, VIDEO + TEXT);
    assert_linear(s, of->out, get(s, of->out), 20, row, 20);

    add_gated(s, z, z, m + 2 * 20, get(s, joined(name, "attn", of->after)), of->rows);
    norm = get(s, of->norm2);
    assert_norm(s, of->norm2, norm, z, 20, 1, 1e-6);
    for (size_t i = 0; i < 20; i++)
        row[i] = norm[i] * (1 + m[4 * 20 + i]) + m[3 * 20 + i];
    joined(name, of->ff, ".net.0.proj");
    assert_linear(s, name, get(s, name), 80, row, 20);
    assert_gelu(s, joined(other, of->ff, ".net.0"), name, of->rows * 80);
    joined(name, of->ff, ".net.2");
    assert_linear(s, name, get(s, of->ff), 20, get(s, other), 80);
    add_gated(s, z, z, m + 5 * 20, get(s, of->ff), of->rows);
    s->prefix = "transformer_blocks.0";
    assert_rows(s, "stream", get(s, of->after), z, of->rows);
}

static void a_double_block_of_hunyuan_is_its_formulas_in_both_streams(void **state)
{
    scene *s = open_scene("hunyuan", hunyuan, 20);

    (void)state;
    check_stream(s, &of_video);
    check_stream(s, &of_text);
    denoiser_close(&s->d);
}

static void a_single_block_of_hunyuan_is_its_formulas(void **state)
{
    scene *s = open_scene("hunyuan", hunyuan, 20);
    double z[(VIDEO + TEXT) * 20], both[100], *m;

    (void)state;
    memcpy(z, get(s, "transformer_blocks.0[0]"), VIDEO * 20 * sizeof *z);
    memcpy(z + VIDEO * 20, get(s, "transformer_blocks.0[1]"), TEXT * 20 * sizeof *z);
    s->prefix = "single_transformer_blocks.0.";
    m = get(s, "norm.linear");
    assert_norm(s, "norm", get(s, "norm.norm"), z, 20, 1, 1e-6);
    assert_modulated(s, "norm[0]", "norm.norm", "norm.linear", 0, 1, VIDEO + TEXT);
    assert_linear(s, "proj_mlp", get(s, "proj_mlp"), 80, get(s, "norm[0]"), 20);
    assert_gelu(s, "act_mlp", "proj_mlp", (VIDEO + TEXT) * 80);
    assert_head_norm(s, "attn.norm_q", "attn.to_q", VIDEO + TEXT, 0, 0);
    gather_row(s, both, get(s, "attn/o"), 0, VIDEO + TEXT);
    memcpy(both + 20, get(s, "act_mlp"), 80 * sizeof *both);
    assert_linear(s, "proj_out", get(s, "proj_out"), 20, both, 100);
    add_gated(s, z, z, m + 2 * 20, get(s, "proj_out"), VIDEO + TEXT);
    s->prefix = "";
    assert_rows(s, "x", get(s, "single_transformer_blocks.0[0]"), z, VIDEO);
    assert_rows(s, "y", get(s, "single_transformer_blocks.0[1]"), z + VIDEO * 20, TEXT);
    assert_norm(s, "norm_out", get(s, "norm_out.norm"), z, 20, 1, 1e-6);
    assert_modulated(s, "norm_out", "norm_out.norm", "norm_out.linear", 1, 0, VIDEO);
    denoiser_close(&s->d);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_of_cogvideox_takes_the_text_first),
        cmocka_unit_test(a_block_of_cogvideox_gates_what_it_adds),
        cmocka_unit_test(the_conditions_of_hunyuan_are_summed),
        cmocka_unit_test(a_double_block_of_hunyuan_is_its_formulas_in_both_streams),
        cmocka_unit_test(a_single_block_of_hunyuan_is_its_formulas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
