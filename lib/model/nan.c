/* nan.c - where a NaN comes from: the first activation that holds one, and a weight beside it that does. */
#include <stdio.h>
#include <string.h>
#include "base/internal.h"
#include "model/family.h"

/* Rows along the last axis are looked at by pieces of this many elements. */
#define PIECE 1024

/* Returns: 1 if a run of n elements, stride apart, has a NaN. */
static int row_has_nan(const char *row, vdit_dtype dtype, size_t n, ptrdiff_t stride)
{
    double x[PIECE];

    while (n > 0) {
        size_t piece = n < PIECE ? n : PIECE;

        vdit_load_f64(x, piece, row, stride, dtype);
        for (size_t i = 0; i < piece; i++)
            if (x[i] != x[i])
                return 1;
        row += (ptrdiff_t)piece * stride * (ptrdiff_t)vdit_dtype_size(dtype);
        n -= piece;
    }
    return 0;
}

int vdit_tensor_has_nan(const vdit_tensor *t)
{
    size_t index[VDIT_MAX_RANK] = {0}, rows = 1;
    int last = t->rank - 1;

    if (!vdit_dtype_is_float(t->dtype) || vdit_tensor_count(t) == 0)
        return 0;
    if (t->rank == 0)
        return row_has_nan(t->data, t->dtype, 1, 1);
    for (int axis = 0; axis < last; axis++)
        rows *= t->shape[axis];
    for (size_t row = 0; row < rows; row++) {
        if (row_has_nan(vdit_tensor_at(t, index), t->dtype, t->shape[last], t->stride[last]))
            return 1;
        for (int axis = last - 1; axis >= 0 && ++index[axis] == t->shape[axis]; axis--)
            index[axis] = 0;
    }
    return 0;
}

typedef struct search {
    char found[VDIT_NET_NAME_MAX + 32];
} search;

/* Hears the activations; stops the run at the first that holds a NaN. */
static vdit_status look(void *state, const char *name, const vdit_tensor *activation)
{
    search *s = state;

    if (!vdit_tensor_has_nan(activation))
        return VDIT_OK;
    snprintf(s->found, sizeof s->found, "%s", name);
    return VDIT_ERR_CANCELLED;
}

/* Returns: the length of the module that holds the first length letters of a name; 0 for the network. */
static size_t outer(const char *name, size_t length)
{
    while (length > 0 && strchr("./[", name[length]) == NULL)
        length--;
    return length;
}

/*
 * Looks among the weights of the activation's module, then of the module that holds it, and so on outwards. Returns:
 * the first that has a NaN, or NULL.
 */
static const char *find_weight(const vdit_file *weights, const char *activation)
{
    size_t length = strlen(activation);

    for (int inner = 1; inner || length > 0; inner = 0) {
        if (!inner)
            length = outer(activation, length - 1);
        for (size_t i = 0; i < vdit_file_count(weights); i++) {
            const char *name = vdit_file_name(weights, i);
            int below = length == 0 || (strncmp(name, activation, length) == 0 &&
                                        (name[length] == '.' || name[length] == '\0'));

            if (below && vdit_tensor_has_nan(vdit_file_tensor(weights, i)))
                return name;
        }
    }
    return NULL;
}

vdit_status vdit_nan_find(vdit_run *run, const vdit_model *model, const vdit_forward *call,
                          const char **activation, const char **weight)
{
    vdit_run *aside = vdit_run_new_like(run);
    vdit_forward again = *call;
    search s = {""};
    char *copy;

    *activation = *weight = NULL;
    if (aside == NULL)
        return vdit_run_status(run);
    vdit_run_set_threads(aside, vdit_run_threads(run));
    again.trace = look;
    again.trace_state = &s;
    again.meters = NULL;
    again.site_edits = NULL;
    vdit_model_forward(aside, model, &again);
    vdit_run_free(aside);
    if (s.found[0] == '\0')
        return VDIT_OK;
    copy = vdit_run_alloc(run, strlen(s.found) + 1, 1);
    if (copy != NULL)
        *activation = strcpy(copy, s.found);
    *weight = find_weight(model->weights, s.found);
    return vdit_run_status(run);
}
