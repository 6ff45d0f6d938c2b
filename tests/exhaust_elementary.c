/*
 * exhaust_elementary.c - tries every f32 number: how close do e^x and ln x come to a boundary between
 * two roundings? Section 3.2 of doc/numerics.md rests on the answer. Takes some minutes.
 *
 * Exit 1 if a value comes closer than 2^-60, as then the argument there would need a second look.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "closeness.h"
#include "exact/elementary.h"

#define CLOSEST (-60)

typedef struct function {
    const char *name;
    double (*estimate)(double x);
    void (*precise)(vdit_mp *out, const vdit_mp *x);
    float least, most; /* arguments whose result is neither trivial nor special */
} function;

static const vdit_dtype formats[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

/* Returns: the closest of all formats, for an argument where the estimate cannot tell; else 0. */
static int64_t closest_of(const function *f, float x)
{
    double value = f->estimate(x), error = fabs(value) * (VDIT_ESTIMATE_ERROR + 4 * 0x1p-53);
    int64_t closest = 0;
    vdit_mp precise;

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        int64_t found;
        if (vdit_round_f64(formats[i], value - error) == vdit_round_f64(formats[i], value + error))
            continue;
        vdit_mp_from_f64(&precise, x);
        f->precise(&precise, &precise);
        found = closeness(&precise, formats[i]);
        closest = found < closest ? found : closest;
    }
    return closest;
}

static int try_all(const function *f)
{
    int64_t closest = 0;
    unsigned long open = 0;
    float at = 0;

    for (uint64_t code = 0; code >> 32 == 0; code++) {
        uint32_t bits = (uint32_t)code;
        int64_t found;
        float x;
        memcpy(&x, &bits, sizeof x);
        if (!(x >= f->least && x <= f->most) || (f->least < 0 ? fabsf(x) < 0x1p-26f : x == 1))
            continue;
        found = closest_of(f, x);
        open += found < 0;
        if (found < closest) {
            closest = found;
            at = x;
        }
    }
    printf("%s: %lu left open by the estimate, the closest within 2^%ld, at %a\n", f->name, open,
           (long)closest, (double)at);
    return closest >= CLOSEST;
}

int main(void)
{
    static const function functions[] = {
        {"exp", vdit_exp_estimate, vdit_mp_exp, -105.0f, 90.0f},
        {"log", vdit_log_estimate, vdit_mp_log, 0x1p-149f, 0x1.fffffep+127f},
    };
    int good = try_all(&functions[0]);

    return try_all(&functions[1]) && good ? 0 : 1;
}
