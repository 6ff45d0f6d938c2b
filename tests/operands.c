/* operands.c - families of numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "operands.h"

static double one_of(operand_family family, vdit_dtype dtype, oracle_random *random)
{
    int wide = dtype == VDIT_F16 ? 14 : 126;

    switch (family) {
    case OPERAND_WIDE:
        return oracle_number(random, 24, dtype == VDIT_F16 ? -26 : -150, wide);
    case OPERAND_INTEGERS:
        return oracle_int(random, -40, 40);
    case OPERAND_SPARSE:
        return (oracle_u32(random) & 3) != 0 ? (oracle_u32(random) & 1 ? -0.0 : 0.0)
                                             : oracle_normal(random, dtype);
    case OPERAND_SUBNORMAL:
        return ldexp(oracle_normal(random, dtype), dtype == VDIT_F16 ? -12 : -72);
    default:
        return oracle_normal(random, dtype);
    }
}

void operand_make(vdit_run *run, vdit_tensor *t, vdit_dtype dtype, int rank, const size_t *shape,
                  operand_family family, oracle_random *random)
{
    size_t count;

    if (vdit_tensor_new(run, t, dtype, rank, shape) != VDIT_OK)
        abort();
    count = vdit_tensor_count(t);
    for (size_t i = 0; i < count; i++) {
        double value = one_of(family, dtype, random);
        if (family == OPERAND_CANCEL && i % 2 == 1) {
            value = -operand_get(t, i - 1);
            if (oracle_u32(random) % 4 == 0)
                value *= 1 + 0x1p-7;
        }
        operand_set(t, i, value);
    }
}

static void *element(const vdit_tensor *t, size_t i)
{
    size_t index[VDIT_MAX_RANK] = {0};

    for (int axis = t->rank - 1; axis >= 0; axis--) {
        index[axis] = i % t->shape[axis];
        i /= t->shape[axis];
    }
    return vdit_tensor_at(t, index);
}

double operand_get(const vdit_tensor *t, size_t i)
{
    double value;

    vdit_load_f64(&value, 1, element(t, i), 1, t->dtype);
    return value;
}

void operand_set(vdit_tensor *t, size_t i, double value)
{
    vdit_store_f64(element(t, i), t->dtype, value);
}

int operand_same(const vdit_tensor *a, const vdit_tensor *b)
{
    size_t count = vdit_tensor_count(a);

    for (size_t i = 0; i < count; i++)
        if (memcmp(element(a, i), element(b, i), vdit_dtype_size(a->dtype)) != 0)
            return 0;
    return 1;
}
