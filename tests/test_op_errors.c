/* test_op_errors.c - operators of the networks: every error is named, and nothing is written then. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>

typedef enum operation {
    ADD,
    MODULATE,
    GATED_ADD,
    ROTARY,
    LAYER,
    RMS,
    GROUP,
    MEAN,
    CONV
} operation;

#define OPERATIONS 9

/* The tensors of a call, in this order; and what is wrong with its other arguments. */
enum { Y, X, B, C, TENSORS, NONE };
typedef enum twist {
    PLAIN,
    NEGATIVE_EPS,
    INFINITE_EPS,
    NO_GROUPS,
    THREE_GROUPS,
    NO_STRIDE,
    LONG_PADDING
} twist;

/* Shapes that fit each other, for each operation. */
static const struct {
    int rank[TENSORS];
    size_t shape[TENSORS][4];
    vdit_dtype b_dtype;
} fitting[OPERATIONS] = {
    [ADD] = {{2, 2, 2, 0}, {{2, 4}, {2, 4}, {2, 4}, {0}}, VDIT_F32},
    [MODULATE] = {{2, 2, 2, 2}, {{2, 4}, {2, 4}, {2, 4}, {2, 4}}, VDIT_F32},
    [GATED_ADD] = {{2, 2, 2, 2}, {{2, 4}, {2, 4}, {2, 4}, {2, 4}}, VDIT_F32},
    [ROTARY] = {{2, 2, 2, 2}, {{2, 4}, {2, 4}, {2, 2}, {2, 2}}, VDIT_F32},
    [LAYER] = {{2, 2, 1, 1}, {{2, 4}, {2, 4}, {4}, {4}}, VDIT_F32},
    [RMS] = {{2, 2, 1, 1}, {{2, 4}, {2, 4}, {4}, {4}}, VDIT_F32},
    [GROUP] = {{3, 3, 1, 1}, {{2, 4, 3}, {2, 4, 3}, {4}, {4}}, VDIT_F32},
    [MEAN] = {{2, 3, 2, 0}, {{2, 4}, {2, 3, 4}, {2, 3}, {0}}, VDIT_I32},
    [CONV] = {{4, 4, 4, 1}, {{1, 2, 3, 3}, {1, 3, 4, 4}, {2, 3, 2, 2}, {2}}, VDIT_F32},
};

static vdit_status call(operation op, vdit_run *run, vdit_tensor *t, twist wrong)
{
    double eps = wrong == NEGATIVE_EPS ? -1 : wrong == INFINITE_EPS ? INFINITY : 1e-6;
    size_t groups = wrong == NO_GROUPS ? 0 : wrong == THREE_GROUPS ? 3 : 2;
    vdit_conv_walk walk = {{1, 1, 1}, {0, 0, 0}, {0, 0, 0}};

    walk.stride[1] = wrong == NO_STRIDE ? 0 : 1;
    walk.after[1] = wrong == LONG_PADDING ? SIZE_MAX - 3 : 0;
    switch (op) {
    case ADD:
        return vdit_add(run, &t[Y], &t[X], &t[B]);
    case MODULATE:
        return vdit_modulate(run, &t[Y], &t[X], &t[B], &t[C]);
    case GATED_ADD:
        return vdit_gated_add(run, &t[Y], &t[X], &t[B], &t[C]);
    case ROTARY:
        return vdit_rotary(run, &t[Y], &t[X], &t[B], &t[C]);
    case LAYER:
        return vdit_layer_norm(run, &t[Y], &t[X], &t[B], &t[C], eps);
    case RMS:
        return vdit_rms_norm(run, &t[Y], &t[X], &t[B], eps);
    case GROUP:
        return vdit_group_norm(run, &t[Y], &t[X], groups, &t[B], &t[C], eps);
    case MEAN:
        return vdit_masked_mean(run, &t[Y], &t[X], &t[B], 0);
    default:
        return vdit_conv(run, &t[Y], &t[X], &t[B], &t[C], &walk);
    }
}

/* Memory for the tensors of a call; the output's is filled with a pattern. */
typedef struct scene {
    double in[64], out[64];
    vdit_tensor t[TENSORS];
} scene;

static void prepare(scene *s, operation op)
{
    memset(s->in, 0, sizeof s->in);
    memset(s->out, 0x5a, sizeof s->out);
    for (int i = 0; i < TENSORS; i++)
        s->t[i] = vdit_tensor_view(i == Y ? s->out : s->in, i == B ? fitting[op].b_dtype : VDIT_F32,
                                   fitting[op].rank[i], fitting[op].shape[i]);
}

static int untouched(const scene *s)
{
    const unsigned char *byte = (const unsigned char *)s->out;

    for (size_t i = 0; i < sizeof s->out; i++)
        if (byte[i] != 0x5a)
            return 0;
    return 1;
}

/* Asserts what a call says, and that it writes nothing. */
static void assert_refused(operation op, scene *s, twist wrong, vdit_status status,
                           const char *message)
{
    vdit_run *run = vdit_run_new();

    assert_int_equal(call(op, run, s->t, wrong), status);
    assert_string_equal(vdit_run_message(run), message);
    assert_true(untouched(s));
    vdit_run_free(run);
}

/* One tensor has another shape: extents with a space between them. */
static void wrong_shape(operation op, int which, const char *shape, const char *message)
{
    scene s;
    char *end;

    prepare(&s, op);
    s.t[which].rank = 0;
    for (const char *at = shape; *at != '\0'; at = end) {
        size_t extent = strtoul(at, &end, 10);
        if (s.t[which].rank < VDIT_MAX_RANK)
            s.t[which].shape[s.t[which].rank] = extent;
        s.t[which].rank++;
    }
    assert_refused(op, &s, PLAIN, VDIT_ERR_SHAPE, message);
}

static void wrong_dtype(operation op, int which, vdit_dtype dtype, const char *message)
{
    scene s;

    prepare(&s, op);
    s.t[which].dtype = dtype;
    assert_refused(op, &s, PLAIN, VDIT_ERR_DTYPE, message);
}

static void wrong_argument(operation op, twist wrong, vdit_status status, const char *message)
{
    scene s;

    prepare(&s, op);
    assert_refused(op, &s, wrong, status, message);
}

static void shapes_that_do_not_fit_are_named(void **state)
{
    (void)state;
    wrong_shape(ADD, X, "1 1 1 1 1 1 1 1 1", "add: x has 9 axes, expected 0 to 8");
    wrong_shape(ADD, B, "2 3", "add: z has shape [2, 3], which does not fit [2, 4]");
    wrong_shape(ADD, B, "1 2 4", "add: z has shape [1, 2, 4], which does not fit [2, 4]");
    wrong_shape(ADD, Y, "2 5", "add: y has shape [2, 5], expected [2, 4] to fit x");
    wrong_shape(MODULATE, C, "3", "modulate: shift has shape [3], which does not fit [2, 4]");
    wrong_shape(GATED_ADD, B, "2", "gated_add: gate has shape [2], which does not fit [2, 4]");
    wrong_shape(ROTARY, X, "", "rotary: x has 0 axes, expected 1 to 8");
    wrong_shape(ROTARY, X, "2 3", "rotary: x has 3 elements in a row, expected pairs");
    wrong_shape(ROTARY, B, "2 4", "rotary: cosine has shape [2, 4], which does not fit [2, 2]");
    wrong_shape(ROTARY, C, "2 3", "rotary: sine has shape [2, 3], which does not fit [2, 2]");
    wrong_shape(LAYER, X, "", "layer_norm: x has 0 axes, expected 1 to 8");
    wrong_shape(LAYER, B, "3", "layer_norm: w has shape [3], expected [4] to fit x");
    wrong_shape(LAYER, C, "1 4", "layer_norm: b has shape [1, 4], expected [4] to fit x");
    wrong_shape(LAYER, Y, "4 2", "layer_norm: y has shape [4, 2], expected [2, 4] to fit x");
    wrong_shape(RMS, B, "5", "rms_norm: w has shape [5], expected [4] to fit x");
    wrong_shape(GROUP, X, "4", "group_norm: x has 1 axes, expected 2 to 8");
    wrong_shape(GROUP, B, "2", "group_norm: w has shape [2], expected [4] to fit x");
    wrong_shape(GROUP, C, "3", "group_norm: b has shape [3], expected [4] to fit x");
    wrong_shape(MEAN, X, "2 4", "masked_mean: x has 2 axes, expected 3");
    wrong_shape(MEAN, B, "3 2", "masked_mean: mask has shape [3, 2], expected [2, 3] to fit x");
    wrong_shape(MEAN, Y, "2 3", "masked_mean: y has shape [2, 3], expected [2, 4] to fit x");
    wrong_shape(CONV, X, "1 3", "conv: x has 2 axes, expected 3 to 5");
    wrong_shape(CONV, B, "2 4 2 2",
                "conv: w has shape [2, 4, 2, 2], expected [2, 3, 2, 2] to fit x");
    wrong_shape(CONV, B, "2 3 2", "conv: w has 3 axes, expected 4 like x");
    wrong_shape(CONV, C, "3", "conv: b has shape [3], expected [2] to fit w");
    wrong_shape(CONV, B, "2 3 2 5",
                "conv: the kernel has 5 elements along axis 1, x with its padding 4");
    wrong_shape(CONV, Y, "1 2 3 4",
                "conv: y has shape [1, 2, 3, 4], expected [1, 2, 3, 3] to fit x, w and the walk");
}

static void element_types_are_named(void **state)
{
    (void)state;
    wrong_dtype(ADD, X, VDIT_F64, "add: x is f64, expected f32, bf16 or f16");
    wrong_dtype(ADD, B, VDIT_I64, "add: z is i64, expected f32, bf16 or f16");
    wrong_dtype(ADD, Y, VDIT_U8, "add: y is u8, expected f32, bf16 or f16");
    wrong_dtype(MODULATE, B, VDIT_BOOL, "modulate: scale is bool, expected f32, bf16 or f16");
    wrong_dtype(GATED_ADD, C, VDIT_F64, "gated_add: z is f64, expected f32, bf16 or f16");
    wrong_dtype(LAYER, X, VDIT_F64, "layer_norm: x is f64, expected f32, bf16 or f16");
    wrong_dtype(LAYER, B, VDIT_F64, "layer_norm: w is f64, expected f32, bf16 or f16");
    wrong_dtype(LAYER, C, VDIT_I32, "layer_norm: b is i32, expected f32, bf16 or f16");
    wrong_dtype(LAYER, Y, VDIT_F64, "layer_norm: y is f64, expected f32, bf16 or f16");
    wrong_dtype(MEAN, X, VDIT_I32, "masked_mean: x is i32, expected f32, bf16 or f16");
    wrong_dtype(MEAN, B, VDIT_F32, "masked_mean: mask is f32, expected an integer type or bool");
    wrong_dtype(MEAN, Y, VDIT_F64, "masked_mean: y is f64, expected f32, bf16 or f16");
    wrong_dtype(CONV, X, VDIT_F64, "conv: x is f64, expected f32, bf16 or f16");
    wrong_dtype(CONV, B, VDIT_F64, "conv: w is f64, expected f32, bf16 or f16");
    wrong_dtype(CONV, C, VDIT_F64, "conv: b is f64, expected f32, bf16 or f16");
    wrong_dtype(CONV, Y, VDIT_F64, "conv: y is f64, expected f32, bf16 or f16");
}

static void other_arguments_are_named(void **state)
{
    (void)state;
    wrong_argument(LAYER, NEGATIVE_EPS, VDIT_ERR_ARGUMENT,
                   "layer_norm: eps is -1, expected a finite number >= 0");
    wrong_argument(LAYER, INFINITE_EPS, VDIT_ERR_ARGUMENT,
                   "layer_norm: eps is inf, expected a finite number >= 0");
    wrong_argument(RMS, NEGATIVE_EPS, VDIT_ERR_ARGUMENT,
                   "rms_norm: eps is -1, expected a finite number >= 0");
    wrong_argument(GROUP, NO_GROUPS, VDIT_ERR_ARGUMENT,
                   "group_norm: 0 groups, expected a divisor of the 4 channels");
    wrong_argument(GROUP, THREE_GROUPS, VDIT_ERR_ARGUMENT,
                   "group_norm: 3 groups, expected a divisor of the 4 channels");
    wrong_argument(GROUP, INFINITE_EPS, VDIT_ERR_ARGUMENT,
                   "group_norm: eps is inf, expected a finite number >= 0");
    wrong_argument(CONV, NO_STRIDE, VDIT_ERR_ARGUMENT,
                   "conv: the stride of axis 1 is 0, expected at least 1");
    wrong_argument(CONV, LONG_PADDING, VDIT_ERR_LIMIT, "conv: axis 1 is too long with its padding");
}

/* Gives memory so many times, then none. */
static void *scarce(void *left, size_t size)
{
    return (*(int *)left)-- > 0 ? malloc(size) : NULL;
}

static void memory_that_runs_out_leaves_the_output_alone(void **state)
{
    (void)state;
    for (int op = 0; op < OPERATIONS; op++) {
        vdit_status status = VDIT_ERR_MEMORY;

        for (int calls = 0; status != VDIT_OK; calls++) {
            vdit_run *run = vdit_run_new();
            int left = calls;
            scene s;

            prepare(&s, (operation)op);
            vdit_run_set_allocator(run, scarce, &left);
            vdit_run_set_threads(run, 2);
            status = call((operation)op, run, s.t, PLAIN);
            assert_true(status == VDIT_OK || status == VDIT_ERR_MEMORY);
            assert_int_equal(untouched(&s), status != VDIT_OK);
            assert_int_equal(vdit_run_mark(run), 0);
            assert_true(calls < 100);
            vdit_run_free(run);
        }
    }
}

static void a_failed_run_stays_failed(void **state)
{
    (void)state;
    for (int op = 0; op < OPERATIONS; op++) {
        vdit_run *run = vdit_run_new();
        scene s;

        prepare(&s, (operation)op);
        vdit_run_fail(run, VDIT_ERR_IO, "before");
        assert_int_equal(call((operation)op, run, s.t, PLAIN), VDIT_ERR_IO);
        assert_true(untouched(&s));
        vdit_run_free(run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_that_do_not_fit_are_named),
        cmocka_unit_test(element_types_are_named),
        cmocka_unit_test(other_arguments_are_named),
        cmocka_unit_test(memory_that_runs_out_leaves_the_output_alone),
        cmocka_unit_test(a_failed_run_stays_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
