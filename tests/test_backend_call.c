/* test_backend_call.c - calling backends of any size and manners, and loading what is no plugin. */
#include "config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/backend.h>

enum { COUNT = 4 };

/* Numbers with known images: exp(0) = 1 and ln 1 = 0. */
typedef struct scene {
    vdit_run *run;
    float x[COUNT], w[COUNT], y[COUNT];
    vdit_tensor xt, wt, yt;
} scene;

static int set_up(void **state)
{
    static const size_t shape[] = {2, 2};
    scene *s = test_calloc(1, sizeof *s);

    s->run = vdit_run_new();
    for (int i = 0; i < COUNT; i++) {
        s->x[i] = (float)(i % 2);
        s->w[i] = (float)(i + 1);
        s->y[i] = -7;
    }
    s->xt = vdit_tensor_view(s->x, VDIT_F32, 2, shape);
    s->wt = vdit_tensor_view(s->w, VDIT_F32, 2, shape);
    s->yt = vdit_tensor_view(s->y, VDIT_F32, 2, shape);
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
    for (int i = 0; i < COUNT; i++)
        ((float *)y->data)[i] = 9;
    return VDIT_OK;
}

static vdit_status nine_linear(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                               const vdit_tensor *w, const vdit_tensor *b)
{
    (void)run, (void)x, (void)w, (void)b;
    return nine(y);
}

static vdit_status nine_matmul(vdit_run *run, vdit_tensor *c, const vdit_tensor *a,
                               const vdit_tensor *b)
{
    (void)run, (void)a, (void)b;
    return nine(c);
}

static vdit_status nine_exp(vdit_run *run, vdit_tensor *y, const vdit_tensor *x)
{
    (void)run, (void)x;
    return nine(y);
}

static vdit_status refuse(vdit_run *run, vdit_tensor *y, const vdit_tensor *x)
{
    (void)run, (void)y, (void)x;
    return VDIT_ERR_LIMIT;
}

static vdit_status nine_attention(vdit_run *run, const vdit_attention *a)
{
    (void)run;
    return nine(a->o);
}

/* Calls the plain operators of b in turn. Out: first[4], the first element that each writes. */
static void call_all(float first[4], scene *s, const vdit_backend *b)
{
    assert_int_equal(vdit_backend_linear(s->run, b, &s->yt, &s->xt, &s->wt, NULL), VDIT_OK);
    first[0] = s->y[0];
    assert_int_equal(vdit_backend_matmul(s->run, b, &s->yt, &s->xt, &s->wt), VDIT_OK);
    first[1] = s->y[0];
    assert_int_equal(vdit_backend_exp(s->run, b, &s->yt, &s->xt), VDIT_OK);
    first[2] = s->y[0];
    assert_int_equal(vdit_backend_log(s->run, b, &s->yt, &s->wt), VDIT_OK);
    first[3] = s->y[0];
}

/* x = [0 1; 0 1], w = [1 2; 3 4]: x w' begins with 2, x w with 3, exp x with 1, ln w with 0. */
static void what_a_backend_lacks_the_reference_computes(void **state)
{
    static const vdit_backend none = {.size = sizeof none, .name = "none"};
    static const vdit_backend all = {.size = sizeof all,
                                     .name = "all",
                                     .linear = nine_linear,
                                     .matmul = nine_matmul,
                                     .exp = nine_exp,
                                     .log = nine_exp};
    const float reference[] = {2, 3, 1, 0}, nines[] = {9, 9, 9, 9};
    float first[4];

    call_all(first, *state, &none);
    assert_memory_equal(first, reference, sizeof first);
    call_all(first, *state, &all);
    assert_memory_equal(first, nines, sizeof first);
}

/* The table ends within matmul: what lies there is no operator. */
static void operators_beyond_the_size_are_not_called(void **state)
{
    static const vdit_backend older = {.size = offsetof(vdit_backend, matmul) + 1,
                                       .name = "older",
                                       .linear = nine_linear,
                                       .matmul = nine_matmul,
                                       .exp = nine_exp,
                                       .log = nine_exp};
    const float expected[] = {9, 3, 1, 0};
    float first[4];

    call_all(first, *state, &older);
    assert_memory_equal(first, expected, sizeof first);
}

static void a_larger_table_is_read_as_far_as_it_is_known(void **state)
{
    static const struct {
        vdit_backend known;
        void (*later)(void);
    } newer = {{.size = sizeof newer, .name = "newer", .exp = nine_exp}, NULL};
    const float expected[] = {2, 3, 9, 0};
    float first[4];

    call_all(first, *state, &newer.known);
    assert_memory_equal(first, expected, sizeof first);
}

static void a_failure_without_a_message_gets_one(void **state)
{
    static const vdit_backend rude = {.size = sizeof rude, .name = "rude", .log = refuse};
    scene *s = *state;

    assert_int_equal(vdit_backend_log(s->run, &rude, &s->yt, &s->wt), VDIT_ERR_LIMIT);
    assert_int_equal(vdit_run_status(s->run), VDIT_ERR_LIMIT);
    assert_string_equal(vdit_run_message(s->run),
                        "backend rude: limit exceeded, without a message");
}

static void a_failed_run_calls_no_backend(void **state)
{
    static const vdit_backend all = {.size = sizeof all,
                                     .name = "all",
                                     .linear = nine_linear,
                                     .matmul = nine_matmul,
                                     .exp = nine_exp,
                                     .log = nine_exp,
                                     .attention = nine_attention};
    scene *s = *state;
    vdit_attention a = {.size = sizeof a, .o = &s->yt};

    vdit_run_fail(s->run, VDIT_ERR_IO, "before");
    assert_int_equal(vdit_backend_linear(s->run, &all, &s->yt, &s->xt, &s->wt, NULL), VDIT_ERR_IO);
    assert_int_equal(vdit_backend_matmul(s->run, &all, &s->yt, &s->xt, &s->wt), VDIT_ERR_IO);
    assert_int_equal(vdit_backend_exp(s->run, &all, &s->yt, &s->xt), VDIT_ERR_IO);
    assert_int_equal(vdit_backend_log(s->run, &all, &s->yt, &s->xt), VDIT_ERR_IO);
    assert_int_equal(vdit_backend_attention(s->run, &all, &a), VDIT_ERR_IO);
    assert_true(s->y[0] == -7);
}

/* Shapes that do not fit never reach a backend, nor does a wish for sigma. */
static void attention_is_checked_before_a_backend_sees_it(void **state)
{
    static const vdit_backend all = {
        .size = sizeof all, .name = "all", .attention = nine_attention};
    static const size_t shape[] = {1, 1, 2, 2}, flat[] = {1, 1, 1, 4};
    scene *s = *state;
    vdit_tensor q = vdit_tensor_view(s->x, VDIT_F32, 4, shape), o, sigma;
    vdit_tensor k = vdit_tensor_view(s->w, VDIT_F32, 4, flat);
    vdit_attention a;

    o = vdit_tensor_view(s->y, VDIT_F32, 4, shape);
    vdit_attention_init(&a, &q, &k, &q);
    a.o = &o;
    assert_int_equal(vdit_backend_attention(s->run, &all, &a), VDIT_ERR_SHAPE);
    vdit_run_clear(s->run);
    a.k = &q;
    vdit_tensor_new(s->run, &sigma, VDIT_BF16, 4, shape);
    a.sigma = &sigma;
    assert_int_equal(vdit_backend_attention(s->run, &all, &a), VDIT_ERR_UNSUPPORTED);
    assert_true(s->y[0] == -7);
    vdit_run_clear(s->run);
    a.sigma = NULL;
    assert_int_equal(vdit_backend_attention(s->run, &all, &a), VDIT_OK);
    assert_true(s->y[0] == 9);
}

/* What is no plugin leaves the caller's struct as it was, and closing what is not open is harmless. */
static void what_is_no_plugin_is_not_loaded(void **state)
{
    scene *s = *state;
    vdit_loaded loaded = {NULL, NULL};

    assert_int_not_equal(vdit_plugin_load(s->run, &loaded, "no-such-plugin.so"), VDIT_OK);
    assert_null(loaded.handle);
    assert_null(loaded.plugin);
    assert_non_null(strstr(vdit_run_message(s->run), "no-such-plugin.so"));
    vdit_plugin_close(&loaded);
#ifndef HAVE_DLOPEN
    assert_int_equal(vdit_run_status(s->run), VDIT_ERR_UNSUPPORTED);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_backend_lacks_the_reference_computes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(operators_beyond_the_size_are_not_called, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_larger_table_is_read_as_far_as_it_is_known, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_failure_without_a_message_gets_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_run_calls_no_backend, set_up, tear_down),
        cmocka_unit_test_setup_teardown(attention_is_checked_before_a_backend_sees_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_plugin_is_not_loaded, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
