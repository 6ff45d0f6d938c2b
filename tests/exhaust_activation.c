/*
 * exhaust_activation.c - tries every f32 number: how close do activations come to a boundary between two roundings,
 * where they are not known? Section 9.4 of doc/numerics.md rests on the answer. Takes some minutes.
 *
 * Exit 1 if a value comes closer than 2^-160, as multi-precision could not tell on which side it lies.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "closeness.h"
#include "op/activation.h"

#define PIECE   VDIT_ACTIVATION_PIECE
#define CLOSEST (-160)
#define TINY                                                                                       \
    UINT32_C(0x21800000) /* 2^-60; nearer to 0 only a softplus of about ln 2 is not known */

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

typedef struct search {
    uint64_t tried, open;
    int64_t closest;
    double at;
    vdit_dtype dtype;
} search;

/* One number that the loop left open: known, settled by itself (it may be subnormal), or computed. */
static void try_one(search *found, vdit_activation f, vdit_dtype dtype, double z)
{
    uint64_t decided[3] = {0};
    vdit_known known;
    vdit_mp value;
    int64_t log;

    if (vdit_activation_known(&known, f, z))
        return;
    vdit_activation_round(f, dtype, 1, z, decided);
    if (decided[2] == 0)
        return;
    found->open++;
    vdit_mp_from_f64(&value, z);
    vdit_activation_precise(&value, f, &value);
    log = closeness(&value, dtype);
    if (log < found->closest) {
        found->closest = log;
        found->at = z;
        found->dtype = dtype;
    }
}

/* The numbers with the codes first to first + PIECE - 1 and this sign. */
static void try_piece(search *found, vdit_activation f, uint32_t first, uint32_t sign)
{
    double one[PIECE], z[PIECE], y[PIECE];

    for (uint32_t i = 0; i < PIECE; i++) {
        uint32_t code = (first + i) | sign;
        float value;
        memcpy(&value, &code, sizeof value);
        z[i] = value;
        one[i] = 1;
    }
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
        vdit_activation_settle(f, dtypes[d], PIECE, y, one, z);
        for (size_t i = 0; i < PIECE; i++)
            if (y[i] != y[i])
                try_one(found, f, dtypes[d], z[i]);
    }
    found->tried += PIECE;
}

/* Returns: 1 if all of this piece is known, being far out. */
static int far_out(vdit_activation f, uint32_t first, uint32_t sign)
{
    uint32_t code = first | sign;
    vdit_known known;
    float value;

    memcpy(&value, &code, sizeof value);
    return fabsf(value) > 1 && vdit_activation_known(&known, f, value);
}

static int try_all(vdit_activation f, const char *name)
{
    search found = {0};

    for (uint32_t sign = 0; sign < 2; sign++)
        for (uint32_t first = TINY; !far_out(f, first, sign << 31); first += PIECE)
            try_piece(&found, f, first, sign << 31);
    printf("%s: %" PRIu64 " tried, %" PRIu64
           " left open by the estimate, the closest within 2^%" PRId64
           " of a boundary of %s, at %a\n",
           name, found.tried, found.open, found.closest, vdit_dtype_name(found.dtype), found.at);
    fflush(stdout);
    return found.closest >= CLOSEST;
}

int main(void)
{
    static const char *const names[VDIT_ACTIVATION_COUNT] = {
        "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "quick_gelu", "softplus"};
    int good = 1;

    for (int f = 0; f < VDIT_ACTIVATION_COUNT; f++)
        good = try_all((vdit_activation)f, names[f]) && good;
    return good ? 0 : 1;
}
