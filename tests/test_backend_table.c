/* test_backend_table.c - each operator of the networks, swapped one at a time into the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/backend.h>

enum { COUNT = 4, OPERATORS = 10 };

/* One operand of each kind, as small as they come. */
typedef struct scene {
    vdit_run *run;
    float x[COUNT], w[COUNT], half[COUNT], y[COUNT];
    vdit_tensor xt, wt, bt, image, kernel, ct, yt, yt_half, yt_image;
} scene;

static int set_up(void **state)
{
    static const size_t shape[] = {2, 2}, columns[] = {2, 1}, cube[] = {1, 2, 2}, one[] = {2, 2, 1};
    scene *s = test_calloc(1, sizeof *s);

    s->run = vdit_run_new();
    for (int i = 0; i < COUNT; i++) {
        s->x[i] = (float)(i + 1);
        s->w[i] = 0.5f * (float)i;
        s->half[i] = 0.25f;
    }
    s->xt = vdit_tensor_view(s->x, VDIT_F32, 2, shape);
    s->wt = vdit_tensor_view(s->w, VDIT_F32, 2, shape);
    s->bt = vdit_tensor_view(s->half, VDIT_F32, 1, shape);
    s->image = vdit_tensor_view(s->x, VDIT_F32, 3, cube);
    s->kernel = vdit_tensor_view(s->w, VDIT_F32, 3, one);
    s->ct = vdit_tensor_view(s->half, VDIT_F32, 2, columns);
    s->yt = vdit_tensor_view(s->y, VDIT_F32, 2, shape);
    s->yt_half = vdit_tensor_view(s->y, VDIT_F32, 2, columns);
    s->yt_image = vdit_tensor_view(s->y, VDIT_F32, 3, cube);
    *state = s;
    return s->run == NULL;
}

static int tear_down(void **state)
{
    scene *s = *state;

    vdit_run_free(s->run);
    test_free(s);
    return 0;
}

/* An operator for each place of the table; each answers y = 9. */
static vdit_status nine(vdit_tensor *y)
{
    for (size_t i = 0; i < vdit_tensor_count(y); i++)
        ((float *)y->data)[i] = 9;
    return VDIT_OK;
}

static vdit_status nine_conv(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *w, const vdit_tensor *b, const vdit_conv_walk *walk)
{
    (void)run, (void)x, (void)w, (void)b, (void)walk;
    return nine(y);
}

static vdit_status nine_layer_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                   const vdit_tensor *w, const vdit_tensor *b, double eps)
{
    (void)run, (void)x, (void)w, (void)b, (void)eps;
    return nine(y);
}

static vdit_status nine_rms_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                 const vdit_tensor *w, double eps)
{
    (void)run, (void)x, (void)w, (void)eps;
    return nine(y);
}

static vdit_status nine_group_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                   size_t groups, const vdit_tensor *w, const vdit_tensor *b,
                                   double eps)
{
    (void)run, (void)x, (void)groups, (void)w, (void)b, (void)eps;
    return nine(y);
}

static vdit_status nine_activate(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                 vdit_activation f)
{
    (void)run, (void)x, (void)f;
    return nine(y);
}

static vdit_status nine_add(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                            const vdit_tensor *z)
{
    (void)run, (void)x, (void)z;
    return nine(y);
}

static vdit_status nine_of_three(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                 const vdit_tensor *a, const vdit_tensor *b)
{
    (void)run, (void)x, (void)a, (void)b;
    return nine(y);
}

/* Backends with one operator each, in the order of the table. */
static const vdit_backend single[OPERATORS] = {
    {.size = sizeof(vdit_backend), .name = "conv", .conv = nine_conv},
    {.size = sizeof(vdit_backend), .name = "layer_norm", .layer_norm = nine_layer_norm},
    {.size = sizeof(vdit_backend), .name = "rms_norm", .rms_norm = nine_rms_norm},
    {.size = sizeof(vdit_backend), .name = "group_norm", .group_norm = nine_group_norm},
    {.size = sizeof(vdit_backend), .name = "activate", .activate = nine_activate},
    {.size = sizeof(vdit_backend), .name = "activate_gated", .activate_gated = nine_activate},
    {.size = sizeof(vdit_backend), .name = "add", .add = nine_add},
    {.size = sizeof(vdit_backend), .name = "modulate", .modulate = nine_of_three},
    {.size = sizeof(vdit_backend), .name = "gated_add", .gated_add = nine_of_three},
    {.size = sizeof(vdit_backend), .name = "rotary", .rotary = nine_of_three},
};

static void call(scene *s, const vdit_backend *b, int which)
{
    static const vdit_conv_walk walk = {.stride = {1, 1, 1}};

    switch (which) {
    case 0:
        vdit_backend_conv(s->run, b, &s->yt_image, &s->image, &s->kernel, &s->bt, &walk);
        break;
    case 1:
        vdit_backend_layer_norm(s->run, b, &s->yt, &s->xt, &s->bt, &s->bt, 0.5);
        break;
    case 2:
        vdit_backend_rms_norm(s->run, b, &s->yt, &s->xt, &s->bt, 0.5);
        break;
    case 3:
        vdit_backend_group_norm(s->run, b, &s->yt, &s->xt, 1, &s->bt, &s->bt, 0.5);
        break;
    case 4:
        vdit_backend_activate(s->run, b, &s->yt, &s->xt, VDIT_SILU);
        break;
    case 5:
        vdit_backend_activate_gated(s->run, b, &s->yt_half, &s->xt, VDIT_SILU);
        break;
    case 6:
        vdit_backend_add(s->run, b, &s->yt, &s->xt, &s->wt);
        break;
    case 7:
        vdit_backend_modulate(s->run, b, &s->yt, &s->xt, &s->bt, &s->wt);
        break;
    case 8:
        vdit_backend_gated_add(s->run, b, &s->yt, &s->xt, &s->bt, &s->wt);
        break;
    default:
        vdit_backend_rotary(s->run, b, &s->yt, &s->xt, &s->ct, &s->ct);
    }
    assert_int_equal(vdit_run_status(s->run), VDIT_OK);
}

/* No result of the reference is 9 here, and none is 0. */
static void an_operator_is_called_in_its_place_alone(void **state)
{
    scene *s = *state;
    float reference[OPERATORS];

    for (int which = 0; which < OPERATORS; which++) {
        s->y[0] = 0;
        call(s, vdit_backend_find("reference"), which);
        reference[which] = s->y[0];
        assert_true(reference[which] != 9 && reference[which] != 0);
    }
    for (int i = 0; i < OPERATORS; i++)
        for (int which = 0; which < OPERATORS; which++) {
            call(s, &single[i], which);
            assert_true(s->y[0] == (which == i ? 9 : reference[which]));
        }
}

/* A table that ends where the networks' operators begin, as one that was compiled before them. */
static void an_older_table_falls_back_for_all_of_them(void **state)
{
    scene *s = *state;
    vdit_backend older = single[0];

    older.size = offsetof(vdit_backend, conv);
    call(s, &older, 0);
    assert_true(s->y[0] != 9);
}

static void a_failed_run_calls_none_of_them(void **state)
{
    scene *s = *state;

    vdit_run_fail(s->run, VDIT_ERR_IO, "the disk is gone");
    assert_int_equal(vdit_backend_add(s->run, &single[6], &s->yt, &s->xt, &s->wt), VDIT_ERR_IO);
    assert_true(s->y[0] == 0);
    vdit_run_clear(s->run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_operator_is_called_in_its_place_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_older_table_falls_back_for_all_of_them, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_failed_run_calls_none_of_them, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
