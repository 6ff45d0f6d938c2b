/*
 * relations.c - the relations: each makes of a case a second call whose output must be the first one's.
 *
 * Inputs are laid out densely anew, so that a relation tells of the computation and not of strides.
 */
#include "config.h"
#include "relations.h"
#include <math.h>
#include <string.h>

#define PADDING 37 /* keys that are appended: no multiple of any tile */

void relation_run(const relation_case *c, const vdit_attention *a, vdit_tensor *o, vdit_tensor *lse)
{
    size_t shape[4] = {a->q->shape[0], a->q->shape[1], a->rows ? a->rows->shape[0] : a->q->shape[2],
                       a->v->shape[3]};
    vdit_attention call = *a;

    if (vdit_tensor_new(c->run, o, a->q->dtype, 4, shape) != VDIT_OK ||
        (lse && vdit_tensor_new(c->run, lse, VDIT_F32, 3, shape) != VDIT_OK))
        return;
    /* A NaN in each float type: what the backend leaves out must not be what lay there. */
    memset(o->data, 0xff, vdit_tensor_count(o) * vdit_dtype_size(o->dtype));
    call.o = o;
    call.lse = lse;
    vdit_backend_attention(c->run, c->backend, &call);
}

/* A dense copy of t. */
vdit_tensor relation_packed(vdit_run *run, const vdit_tensor *t)
{
    vdit_tensor copy = *t;

    if (vdit_tensor_new(run, &copy, t->dtype, t->rank, t->shape) == VDIT_OK)
        vdit_tensor_pack(copy.data, t);
    return copy;
}

/* t with an axis in the other order. */
static vdit_tensor reversed(const vdit_tensor *t, int axis)
{
    vdit_tensor view = *t;
    size_t index[VDIT_MAX_RANK] = {0};

    if (t->shape[axis] > 0) {
        index[axis] = t->shape[axis] - 1;
        view.data = vdit_tensor_at(t, index);
        view.stride[axis] = -t->stride[axis];
    }
    return view;
}

/* t cut to n elements of an axis from first on. */
static vdit_tensor cut(const vdit_tensor *t, int axis, size_t first, size_t n)
{
    vdit_tensor view = *t;
    size_t index[VDIT_MAX_RANK] = {0};

    index[axis] = first;
    view.data = vdit_tensor_at(t, index);
    view.shape[axis] = n;
    return view;
}

static double number_at(const vdit_tensor *t, const size_t *index)
{
    double x;

    vdit_load_f64(&x, 1, vdit_tensor_at(t, index), 1, t->dtype);
    return x;
}

int relation_same(relation_pair *pair, const relation_case *c, vdit_tensor actual)
{
    *pair = (relation_pair){c->o, actual, &c->call, 0};
    return 1;
}

static int run_twice(relation_pair *pair, const relation_case *c)
{
    vdit_tensor o;

    relation_run(c, &c->call, &o, NULL);
    return relation_same(pair, c, o);
}

/* An axis of batches or heads turned around, in all that has it, and the output turned back. */
static int turn(relation_pair *pair, const relation_case *c, int axis)
{
    vdit_attention a = c->call;
    const vdit_tensor **parts[] = {&a.q, &a.k, &a.v, &a.mask};
    vdit_tensor made[5], o;

    if (a.q->shape[axis] < 2)
        return 0;
    for (size_t i = 0; i < 4; i++) {
        vdit_tensor view;
        if (*parts[i] == NULL)
            continue;
        view = (*parts[i])->shape[axis] > 1 ? reversed(*parts[i], axis) : **parts[i];
        made[i] = relation_packed(c->run, &view);
        *parts[i] = &made[i];
    }
    if (axis == 0 && a.key_length != NULL) {
        vdit_tensor view = reversed(a.key_length, 0);
        made[4] = relation_packed(c->run, &view);
        a.key_length = &made[4];
    }
    if (vdit_run_status(c->run) == VDIT_OK)
        relation_run(c, &a, &o, NULL);
    return vdit_run_status(c->run) == VDIT_OK && relation_same(pair, c, reversed(&o, axis));
}

static int turn_batches(relation_pair *pair, const relation_case *c)
{
    return turn(pair, c, 0);
}

static int turn_heads(relation_pair *pair, const relation_case *c)
{
    return turn(pair, c, 1);
}

/* Out: rows, i64 [n]: the query rows that the outputs first, first + step, ... of the case stand for. */
static vdit_tensor rows_of(const relation_case *c, size_t n, size_t first, ptrdiff_t step)
{
    vdit_tensor rows = {0};

    if (vdit_tensor_new(c->run, &rows, VDIT_I64, 1, &n) != VDIT_OK)
        return rows;
    for (size_t i = 0; i < n; i++) {
        size_t r = (size_t)((ptrdiff_t)first + (ptrdiff_t)i * step);
        ((int64_t *)rows.data)[i] =
            c->call.rows ? (int64_t)number_at(c->call.rows, &r) : (int64_t)r;
    }
    return rows;
}

static int turn_rows(relation_pair *pair, const relation_case *c)
{
    size_t n = c->o.shape[2];
    vdit_attention a = c->call;
    vdit_tensor rows, o;

    if (n < 2)
        return 0;
    rows = rows_of(c, n, n - 1, -1);
    a.rows = &rows;
    if (vdit_run_status(c->run) == VDIT_OK)
        relation_run(c, &a, &o, NULL);
    return vdit_run_status(c->run) == VDIT_OK && relation_same(pair, c, reversed(&o, 2));
}

/* The last third of the rows in a call of their own. */
static int split_rows(relation_pair *pair, const relation_case *c)
{
    size_t n = c->o.shape[2], first = n - n / 3;
    vdit_attention a = c->call;
    vdit_tensor rows, o;

    if (first == n)
        return 0;
    rows = rows_of(c, n - first, first, 1);
    a.rows = &rows;
    if (vdit_run_status(c->run) != VDIT_OK)
        return 0;
    relation_run(c, &a, &o, NULL);
    relation_same(pair, c, o);
    pair->expected = cut(&c->o, 2, first, n - first);
    pair->first = first;
    return 1;
}

/* t [B,H,N,d] with its rows j replaced by rows from[j]; NaN where from[j] is SIZE_MAX. */
static vdit_tensor gathered(vdit_run *run, const vdit_tensor *t, int axis, const size_t *from,
                            size_t n)
{
    vdit_tensor made;
    size_t shape[4];

    memcpy(shape, t->shape, sizeof shape);
    shape[axis] = n;
    if (vdit_tensor_new(run, &made, t->dtype, 4, shape) != VDIT_OK)
        return made;
    for (size_t j = 0; j < n; j++) {
        vdit_tensor to = cut(&made, axis, j, 1),
                    one = cut(t, axis, from[j] == SIZE_MAX ? 0 : from[j], 1);
        size_t count = vdit_tensor_count(&to);
        for (size_t i = 0; i < count; i++) {
            size_t index[4], rest = i;
            for (int x = 3; x >= 0; x--) {
                index[x] = rest % to.shape[x];
                rest /= to.shape[x];
            }
            memcpy(vdit_tensor_at(&to, index), vdit_tensor_at(&one, index),
                   vdit_dtype_size(t->dtype));
            if (from[j] == SIZE_MAX)
                vdit_store_f64(vdit_tensor_at(&to, index), t->dtype, NAN);
        }
    }
    return made;
}

/* The case with its keys and values taken from elsewhere, the mask with them if it tells keys apart. */
static int with_keys(relation_pair *pair, const relation_case *c, const size_t *from, size_t n,
                     const vdit_tensor *key_length)
{
    vdit_attention a = c->call;
    vdit_tensor k = gathered(c->run, a.k, 2, from, n), v = gathered(c->run, a.v, 2, from, n), mask;
    vdit_tensor o = {0};

    a.k = &k;
    a.v = &v;
    if (a.mask != NULL && a.mask->shape[3] > 1) {
        mask = gathered(c->run, a.mask, 3, from, n);
        a.mask = &mask;
    }
    a.key_length = key_length;
    if (vdit_run_status(c->run) == VDIT_OK)
        relation_run(c, &a, &o, NULL);
    return vdit_run_status(c->run) == VDIT_OK && relation_same(pair, c, o);
}

/* The least number of valid keys of a batch. */
static size_t least_length(const relation_case *c)
{
    size_t least = c->call.k->shape[2];

    for (size_t b = 0; c->call.key_length != NULL && b < c->call.q->shape[0]; b++) {
        size_t length = (size_t)number_at(c->call.key_length, &b);
        least = length < least ? length : least;
    }
    return least;
}

/* Keys that are valid in every batch, in another order: j goes where 7 j + 3 says. */
static int permute_keys(relation_pair *pair, const relation_case *c)
{
    size_t keys = c->call.k->shape[2], n = least_length(c), *from;

    while (n % 7 == 0 && n > 0)
        n--;
    from = vdit_run_alloc(c->run, keys, sizeof *from);
    if (n < 2 || from == NULL)
        return 0;
    for (size_t j = 0; j < keys; j++)
        from[j] = j < n ? (7 * j + 3) % n : j;
    return with_keys(pair, c, from, keys, c->call.key_length);
}

/* More keys, of NaN, beyond key_length. */
static int append_masked_keys(relation_pair *pair, const relation_case *c)
{
    size_t keys = c->call.k->shape[2], batches = c->call.q->shape[0], *from;
    vdit_tensor length;

    if (c->call.mask != NULL && c->call.mask->shape[3] > 1)
        return 0;
    from = vdit_run_alloc(c->run, keys + PADDING, sizeof *from);
    if (vdit_tensor_new(c->run, &length, VDIT_I64, 1, &batches) != VDIT_OK)
        return 0;
    for (size_t j = 0; j < keys + PADDING; j++)
        from[j] = j < keys ? j : SIZE_MAX;
    for (size_t b = 0; b < batches; b++)
        ((int64_t *)length.data)[b] =
            c->call.key_length ? (int64_t)number_at(c->call.key_length, &b) : (int64_t)keys;
    return with_keys(pair, c, from, keys + PADDING, &length);
}

/* A mask of one element for all. */
static int with_mask(relation_pair *pair, const relation_case *c, vdit_dtype dtype, double value)
{
    static const size_t one[4] = {1, 1, 1, 1};
    vdit_attention a = c->call;
    vdit_tensor mask, o;

    if (a.mask != NULL || vdit_tensor_new(c->run, &mask, dtype, 4, one) != VDIT_OK)
        return 0;
    if (dtype == VDIT_BOOL)
        *(unsigned char *)mask.data = value != 0;
    else
        vdit_store_f64(mask.data, dtype, value);
    a.mask = &mask;
    relation_run(c, &a, &o, NULL);
    return vdit_run_status(c->run) == VDIT_OK && relation_same(pair, c, o);
}

static int mask_nothing(relation_pair *pair, const relation_case *c)
{
    return with_mask(pair, c, VDIT_BOOL, 1);
}

static int shift_logits(relation_pair *pair, const relation_case *c)
{
    return with_mask(pair, c, VDIT_F32, 3);
}

/* The same call with an edit of every head that changes nothing. */
static int with_edit(relation_pair *pair, const relation_case *c, const vdit_edit *edit)
{
    size_t heads = c->call.q->shape[1];
    const vdit_edit **list = vdit_run_alloc(c->run, heads, sizeof *list);
    vdit_attention a = c->call;
    vdit_tensor o;

    if (list == NULL || !vdit_golden_offers(c->backend, VDIT_OP_ATTENTION, 1))
        return 0;
    for (size_t h = 0; h < heads; h++)
        list[h] = edit;
    a.edits = list;
    relation_run(c, &a, &o, NULL);
    return vdit_run_status(c->run) == VDIT_OK && relation_same(pair, c, o);
}

/* Temperature 1, gate 1, nothing masked, replaced or mixed. */
static int edit_nothing(relation_pair *pair, const relation_case *c)
{
    vdit_edit edit;

    vdit_edit_init(&edit);
    return with_edit(pair, c, &edit);
}

static int transfer_own_map(relation_pair *pair, const relation_case *c)
{
    vdit_edit edit;

    vdit_edit_init(&edit);
    edit.transfer = VDIT_FROM_Q | VDIT_FROM_K;
    edit.source_q = c->call.q;
    edit.source_k = c->call.k;
    return with_edit(pair, c, &edit);
}

static int prune_none(relation_pair *pair, const relation_case *c)
{
    vdit_edit edit;

    vdit_edit_init(&edit);
    edit.prune = VDIT_PRUNE_FRACTION;
    edit.fraction = 0;
    return with_edit(pair, c, &edit);
}

static const relation relations[] = {
    {"twice", "run twice", run_twice, 1},
    {"batches", "batches in the other order", turn_batches, 0},
    {"heads", "heads in the other order", turn_heads, 0},
    {"rows", "rows in the other order", turn_rows, 0},
    {"split", "a third of the rows in a call of their own", split_rows, 0},
    {"padding", "masked keys of NaN appended", append_masked_keys, 0},
    {"mask", "a mask that masks nothing", mask_nothing, 0},
    {"keys", "keys permuted with their values", permute_keys, 0},
    {"shift", "a constant added to all logits", shift_logits, 0},
    {"ones", "values of 1 give 1", relation_ones_give_one, 0},
    {"negative", "values negated", relation_negative_values, 0},
    {"half", "values halved", relation_half_values, 0},
    {"sum", "values of even and of odd keys add up", relation_add_values, 0},
    {"edit", "an edit that changes nothing", edit_nothing, 1},
    {"transfer", "the call's own map transferred", transfer_own_map, 1},
    {"prune", "0% of the map masked", prune_none, 1},
};

const relation *relation_at(size_t i)
{
    return i < sizeof relations / sizeof *relations ? &relations[i] : NULL;
}
