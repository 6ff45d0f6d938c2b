/* attention_scene.c - making attention calls and judging what came out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "attention_oracle.h"
#include "attention_scene.h"

#define POISON 0xa5 /* in every output byte before a call */

vdit_tensor scene_tensor(vdit_run *run, vdit_dtype dtype, const size_t shape[4],
                         scene_layout layout)
{
    static const int order[4] = {0, 2, 1, 3};
    size_t lying[4], gap = layout == SCENE_GAPS ? 2 : 1, bytes;
    vdit_tensor t;

    for (int i = 0; i < 4; i++)
        lying[i] = shape[layout == SCENE_TOKENS_FIRST ? order[i] : i];
    lying[3] *= gap;
    assert_int_equal(vdit_tensor_new(run, &t, dtype, 4, lying), VDIT_OK);
    bytes = vdit_tensor_count(&t) * vdit_dtype_size(dtype);
    memset(t.data, POISON, bytes);
    if (layout == SCENE_TOKENS_FIRST)
        return vdit_tensor_permute(&t, order);
    if (layout == SCENE_GAPS && bytes > 0) {
        t.data = (char *)t.data + bytes - gap * vdit_dtype_size(dtype);
        t.stride[3] = (ptrdiff_t)gap;
        for (int i = 0; i < 4; i++)
            t.stride[i] = -t.stride[i];
    }
    t.shape[3] = shape[3];
    return t;
}

static double draw(oracle_random *random, vdit_dtype dtype, scene_kind kind)
{
    static const struct {
        int bits, lowest, highest;
    } formats[] = {
        [VDIT_F32] = {24, -149, 127}, [VDIT_BF16] = {8, -133, 127}, [VDIT_F16] = {11, -24, 15}};
    int lowest = formats[dtype].lowest, highest = formats[dtype].highest;

    switch (kind) {
    case SCENE_WIDE:
        return vdit_round_f64(dtype, oracle_number(random, formats[dtype].bits, lowest, highest));
    case SCENE_SUBNORMAL:
        return vdit_round_f64(dtype,
                              oracle_number(random, formats[dtype].bits, lowest, lowest + 16));
    case SCENE_INTEGER:
        return oracle_int(random, -4, 4);
    case SCENE_LARGE:
        return oracle_number(random, 8, 10, 12);
    default:
        return oracle_normal(random, dtype);
    }
}

void scene_set(vdit_tensor *t, size_t b, size_t h, size_t n, size_t c, double value)
{
    size_t index[4] = {b, h, n, c};

    if (t->dtype == VDIT_BOOL)
        *(unsigned char *)vdit_tensor_at(t, index) = value != 0;
    else
        vdit_store_f64(vdit_tensor_at(t, index), t->dtype, value);
}

double scene_get(const vdit_tensor *t, size_t b, size_t h, size_t n, size_t c)
{
    size_t index[4] = {b, h, n, c};
    double value;

    vdit_load_f64(&value, 1, vdit_tensor_at(t, index), 1, t->dtype);
    return value;
}

void scene_fill(vdit_tensor *t, oracle_random *random, scene_kind kind)
{
    for (size_t b = 0; b < t->shape[0]; b++)
        for (size_t h = 0; h < t->shape[1]; h++)
            for (size_t n = 0; n < t->shape[2]; n++)
                for (size_t c = 0; c < t->shape[3]; c++)
                    scene_set(t, b, h, n, c, draw(random, t->dtype, kind));
}

void scene_start(scene *s, vdit_run *run, const scene_shape *shape, const vdit_dtype dtypes[3],
                 oracle_random *random)
{
    static const vdit_noise bf16 = {0x1p-9, 0, 0x1p-23, 0x1p-9, 0, 0x1p-24};
    const size_t q[4] = {shape->B, shape->H, shape->Nq, shape->d};
    const size_t k[4] = {shape->B, shape->H, shape->Nk, shape->d};
    const size_t v[4] = {shape->B, shape->H, shape->Nk, shape->dv};

    memset(s, 0, sizeof *s);
    s->run = run;
    s->q = scene_tensor(run, dtypes[0], q, SCENE_DENSE);
    s->k = scene_tensor(run, dtypes[1], k, SCENE_DENSE);
    s->v = scene_tensor(run, dtypes[2], v, SCENE_DENSE);
    scene_fill(&s->q, random, SCENE_NORMAL);
    scene_fill(&s->k, random, SCENE_NORMAL);
    scene_fill(&s->v, random, SCENE_NORMAL);
    vdit_attention_init(&s->call, &s->q, &s->k, &s->v);
    s->call.noise = bf16;
}

void scene_mask(scene *s, vdit_dtype dtype, const size_t shape[4])
{
    s->mask = scene_tensor(s->run, dtype, shape, SCENE_DENSE);
    memset(s->mask.data, 0, vdit_tensor_count(&s->mask) * vdit_dtype_size(dtype));
    s->call.mask = &s->mask;
}

static void integers(scene *s, vdit_tensor *t, size_t count, const int64_t *values)
{
    assert_int_equal(vdit_tensor_new(s->run, t, VDIT_I64, 1, &count), VDIT_OK);
    if (count > 0)
        memcpy(t->data, values, count * sizeof *values);
}

void scene_key_length(scene *s, const int64_t *length)
{
    integers(s, &s->key_length, s->q.shape[0], length);
    s->call.key_length = &s->key_length;
}

void scene_rows(scene *s, size_t count, const int64_t *rows)
{
    integers(s, &s->rows, count, rows);
    s->call.rows = &s->rows;
}

void scene_outputs(scene *s, vdit_dtype dtype, unsigned wanted)
{
    size_t rows = s->call.rows != NULL ? s->rows.shape[0] : s->q.shape[2];
    const size_t wide[4] = {s->q.shape[0], s->q.shape[1], rows, s->v.shape[3]};
    const size_t map[4] = {s->q.shape[0], s->q.shape[1], rows, s->k.shape[2]};
    const size_t lse[4] = {s->q.shape[0], s->q.shape[1], rows, 1};

    s->o = scene_tensor(s->run, dtype, wide, SCENE_DENSE);
    s->sigma = scene_tensor(s->run, VDIT_BF16, wide, SCENE_DENSE);
    s->map = scene_tensor(s->run, VDIT_F32, map, SCENE_DENSE);
    s->lse = scene_tensor(s->run, VDIT_F32, lse, SCENE_DENSE);
    s->lse.rank = 3;
    s->call.o = wanted & SCENE_O ? &s->o : NULL;
    s->call.lse = wanted & SCENE_LSE ? &s->lse : NULL;
    s->call.map = wanted & SCENE_MAP ? &s->map : NULL;
    s->call.sigma = wanted & SCENE_SIGMA ? &s->sigma : NULL;
}

void scene_run(scene *s)
{
    vdit_status status = vdit_attention_reference(s->run, &s->call);

    if (status != VDIT_OK)
        print_error("%s\n", vdit_run_message(s->run));
    assert_int_equal(status, VDIT_OK);
}

/* What is compared, and where. */
typedef struct place {
    const char *what, *output;
    const vdit_tensor *t;
    size_t b, h, r;
} place;

/* Returns: 1, and says so, if the element differs from what was expected. */
static size_t differs(const place *at, size_t c, double expected)
{
    double found = scene_get(at->t, at->b, at->h, at->r, c);

    if (oracle_same(found, expected))
        return 0;
    print_error("%s: %s[%zu, %zu, %zu, %zu] is %a (%s), expected %a\n", at->what, at->output, at->b,
                at->h, at->r, c, found, vdit_dtype_name(at->t->dtype), expected);
    return 1;
}

static size_t compare_row(const scene *s, attention_oracle *oracle, place *at)
{
    const vdit_attention *call = &s->call;
    size_t wrong = 0, dv = s->v.shape[3];

    attention_oracle_load(oracle, at->b, at->h, at->r);
    for (size_t c = 0; call->o != NULL && c < dv; c++) {
        at->output = "o";
        at->t = call->o;
        wrong += differs(at, c, attention_oracle_output(oracle, c, call->o->dtype));
    }
    for (size_t c = 0; call->sigma != NULL && c < dv; c++) {
        at->output = "sigma";
        at->t = call->sigma;
        wrong += differs(at, c, attention_oracle_sigma(oracle, c));
    }
    for (size_t j = 0; call->map != NULL && j < s->k.shape[2]; j++) {
        at->output = "map";
        at->t = call->map;
        wrong += differs(at, j, attention_oracle_map(oracle, j));
    }
    if (call->lse != NULL) {
        at->output = "lse";
        at->t = call->lse;
        wrong += differs(at, 0, attention_oracle_lse(oracle));
    }
    return wrong;
}

size_t scene_compare(const scene *s, const char *what)
{
    size_t rows = s->call.rows != NULL ? s->rows.shape[0] : s->q.shape[2], wrong = 0;
    place at = {what, NULL, NULL, 0, 0, 0};
    attention_oracle oracle;

    attention_oracle_new(&oracle, &s->call);
    for (at.b = 0; at.b < s->q.shape[0]; at.b++)
        for (at.h = 0; at.h < s->q.shape[1]; at.h++)
            for (at.r = 0; at.r < rows && wrong < 10; at.r++)
                wrong += compare_row(s, &oracle, &at);
    attention_oracle_free(&oracle);
    return wrong;
}

void scene_judge(scene *s, const char *what)
{
    scene_run(s);
    assert_int_equal(scene_compare(s, what), 0);
}

int scene_equal(const vdit_tensor *a, const vdit_tensor *b)
{
    size_t size = vdit_dtype_size(a->dtype), index[VDIT_MAX_RANK] = {0};
    size_t count = vdit_tensor_count(a);

    for (size_t n = 0; n < count; n++) {
        if (memcmp(vdit_tensor_at(a, index), vdit_tensor_at(b, index), size) != 0)
            return 0;
        for (int axis = a->rank - 1; axis >= 0 && ++index[axis] == a->shape[axis]; axis--)
            index[axis] = 0;
    }
    return 1;
}

static int open_run(void **state, int threads)
{
    *state = vdit_run_new();
    vdit_run_set_threads(*state, threads);
    return *state == NULL;
}

int scene_open(void **state)
{
    return open_run(state, 1);
}

int scene_open_two(void **state)
{
    return open_run(state, 2);
}

int scene_close(void **state)
{
    vdit_run_free(*state);
    return 0;
}
