/* case_json.c - a case as a JSON object, read and written by one table of keys. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "golden/case.h"
#include "golden/planned.h"
#include "golden/layout.h"

#define BIT(op)   (1u << (op))
#define ATTENTION BIT(VDIT_OP_ATTENTION)
#define PRODUCTS  (BIT(VDIT_OP_LINEAR) | BIT(VDIT_OP_MATMUL))
#define ELEMENTS  (BIT(VDIT_OP_EXP) | BIT(VDIT_OP_LOG))
#define CONV      BIT(VDIT_OP_CONV)
#define CHANNELS  (CONV | BIT(VDIT_OP_GROUP_NORM))
#define ROWS                                                                                       \
    (BIT(VDIT_OP_ADD) | BIT(VDIT_OP_MODULATE) | BIT(VDIT_OP_GATED_ADD) | BIT(VDIT_OP_LAYER_NORM) | \
     BIT(VDIT_OP_RMS_NORM) | BIT(VDIT_OP_GROUP_NORM) | BIT(VDIT_OP_ROTARY) | ACTIVATIONS)
#define ACTIVATIONS     (BIT(VDIT_OPERATOR_COUNT) - BIT(VDIT_OP_SIGMOID))
#define LIST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;=+-_ %"

#define ALL (ATTENTION | PRODUCTS | ELEMENTS | CONV | ROWS)

typedef struct reader {
    vdit_run *run;
    const char *where;
    const char *key; /* the one being read */
    vdit_case *c;
} reader;

static const char *const masks[] = {
    [VDIT_MASK_NONE] = "none",
    [VDIT_MASK_BOOL_RANDOM] = "bool-random",
    [VDIT_MASK_FLOAT_RANDOM] = "float-random",
    [VDIT_MASK_WINDOW] = "window",
};

static vdit_status expected(const reader *r, const char *what)
{
    return vdit_run_fail(r->run, VDIT_ERR_FORMAT, "%s: \"%s\": expected %s", r->where, r->key,
                         what);
}

static vdit_status read_extent(reader *r, json_t *value, size_t *extent)
{
    json_int_t number = json_integer_value(value);

    if (!json_is_integer(value) || number < 1)
        return expected(r, "a positive whole number");
    if ((double)number > VDIT_CASE_EXTENT)
        return vdit_run_fail(r->run, VDIT_ERR_LIMIT, "%s: \"%s\" is %lld, at most %.0f allowed",
                             r->where, r->key, (long long)number, VDIT_CASE_EXTENT);
    *extent = (size_t)number;
    return VDIT_OK;
}

static vdit_status read_op(reader *r, json_t *value)
{
    if (!json_is_string(value) || !vdit_operator_find(&r->c->op, json_string_value(value)))
        return expected(r, "the name of an operator, such as attention or linear");
    return VDIT_OK;
}

static vdit_status read_family(reader *r, json_t *value)
{
    r->c->family = json_is_string(value) ? vdit_family_find(json_string_value(value)) : NULL;
    return r->c->family ? VDIT_OK : expected(r, "the name of an input family");
}

static vdit_status read_dtype(reader *r, json_t *value)
{
    vdit_dtype dtype;

    if (!json_is_string(value) || !vdit_dtype_find(&dtype, json_string_value(value)) ||
        !vdit_dtype_is_float(dtype) || dtype == VDIT_F64)
        return expected(r, "f32, bf16 or f16");
    r->c->dtype = dtype;
    return VDIT_OK;
}

static vdit_status read_seed(reader *r, json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) >> 53 != 0)
        return expected(r, "a whole number from 0 to 2^53 - 1");
    r->c->seed = (uint64_t)json_integer_value(value);
    return VDIT_OK;
}

static vdit_status read_contract(reader *r, json_t *value)
{
    r->c->contract = json_is_string(value) ? vdit_contract_find(json_string_value(value)) : NULL;
    return r->c->contract ? VDIT_OK : expected(r, "the name of a contract");
}

/* A JSON number, or a C hexadecimal number in a string. */
static vdit_status read_scale(reader *r, json_t *value)
{
    const char *text = json_string_value(value);
    char *end = NULL;
    double scale = text ? strtod(text, &end) : json_number_value(value);

    if ((text && (end == text || *end != '\0')) || (!text && !json_is_number(value)) ||
        !isfinite(scale) || (scale != 0 && !(fabs(scale) >= 0x1p-126 && fabs(scale) < 0x1p127)))
        return expected(r, "a number, 0 or from 2^-126 to 2^127 in magnitude");
    r->c->scale = scale;
    return VDIT_OK;
}

static vdit_status read_mask(reader *r, json_t *value)
{
    for (size_t i = 0; json_is_string(value) && i < sizeof masks / sizeof *masks; i++)
        if (strcmp(masks[i], json_string_value(value)) == 0) {
            r->c->mask = (vdit_mask_kind)i;
            return VDIT_OK;
        }
    return expected(r, "none, bool-random, float-random or window");
}

static vdit_status read_layout(reader *r, json_t *value)
{
    if (!json_is_string(value) || !vdit_axes_find(&r->c->axes, json_string_value(value)))
        return expected(r, "BHND, BNHD or BN3HD");
    return VDIT_OK;
}

static vdit_status read_video(reader *r, json_t *value)
{
    size_t *extents[] = {&r->c->tokens.frames, &r->c->tokens.height, &r->c->tokens.width};

    if (json_array_size(value) != 3)
        return expected(r, "a list of frames, height and width");
    for (size_t i = 0; i < 3; i++)
        if (read_extent(r, json_array_get(value, i), extents[i]) != VDIT_OK)
            return vdit_run_status(r->run);
    return VDIT_OK;
}

static vdit_status read_text_first(reader *r, json_t *value)
{
    r->c->tokens.text_first = json_is_true(value);
    return json_is_boolean(value) ? VDIT_OK : expected(r, "true or false");
}

/* Out: text, in the run's memory. */
static vdit_status read_text(reader *r, const char **text, json_t *value)
{
    if (!json_is_string(value) || json_string_length(value) == 0)
        return expected(r, "a text");
    *text = vdit_text_copy(r->run, json_string_value(value));
    return vdit_run_status(r->run);
}

static vdit_status read_plan(reader *r, json_t *value)
{
    if (read_text(r, &r->c->plan, value) != VDIT_OK)
        return vdit_run_status(r->run);
    return vdit_planned_check(r->run, r->c->plan, r->where);
}

static vdit_status read_meters(reader *r, json_t *value)
{
    if (read_text(r, &r->c->meters, value) != VDIT_OK)
        return vdit_run_status(r->run);
    if (r->c->meters[strspn(r->c->meters, LIST_CHARACTERS)] != '\0' || strlen(r->c->meters) > 400)
        return expected(r, "a list of meters, up to 400 characters");
    return VDIT_OK;
}

static vdit_status read_rows(reader *r, json_t *value)
{
    json_t *every = json_object_get(value, "every"), *count = json_object_get(value, "count");

    if (json_is_string(value) && strcmp(json_string_value(value), "all") == 0)
        return VDIT_OK;
    if (json_object_size(value) != 1 || (every == NULL) == (count == NULL))
        return expected(r, "\"all\", {\"every\": STRIDE} or {\"count\": R}");
    return read_extent(r, every ? every : count, every ? &r->c->row_every : &r->c->row_count);
}

/* Comes after B in the table. */
static vdit_status read_key_length(reader *r, json_t *value)
{
    size_t batches = r->c->B;
    int64_t *lengths;

    if (!json_is_array(value) || json_array_size(value) != batches)
        return expected(r, "a list of B whole numbers");
    lengths = vdit_run_alloc(r->run, batches, sizeof *lengths);
    for (size_t b = 0; lengths != NULL && b < batches; b++) {
        if (!json_is_integer(json_array_get(value, b)))
            return expected(r, "a list of B whole numbers");
        lengths[b] = json_integer_value(json_array_get(value, b));
    }
    r->c->key_length = lengths;
    return vdit_run_status(r->run);
}

static vdit_status read_bias(reader *r, json_t *value)
{
    r->c->bias = json_is_true(value);
    return json_is_boolean(value) ? VDIT_OK : expected(r, "true or false");
}

typedef struct key {
    const char *name;
    unsigned ops;      /* that have this key */
    unsigned required; /* that must have it */
    vdit_status (*read)(reader *r, json_t *value);
    size_t extent; /* where read is NULL: offset of the size_t to read */
} key;

static const key keys[] = {
    {"op", ALL, ALL, read_op, 0},
    {"dtype", ALL, ALL, read_dtype, 0},
    {"family", ALL, ALL, read_family, 0},
    {"seed", ALL, ALL, read_seed, 0},
    {"contract", ALL, 0, read_contract, 0},
    {"B", ATTENTION, 0, NULL, offsetof(vdit_case, B)},
    {"H", ATTENTION, 0, NULL, offsetof(vdit_case, H)},
    {"Nq", ATTENTION, ATTENTION, NULL, offsetof(vdit_case, Nq)},
    {"Nk", ATTENTION, ATTENTION, NULL, offsetof(vdit_case, Nk)},
    {"d", ATTENTION, ATTENTION, NULL, offsetof(vdit_case, d)},
    {"dv", ATTENTION, 0, NULL, offsetof(vdit_case, dv)},
    {"M", PRODUCTS | ROWS, PRODUCTS | ROWS, NULL, offsetof(vdit_case, M)},
    {"K", PRODUCTS | CHANNELS, PRODUCTS | CHANNELS, NULL, offsetof(vdit_case, K)},
    {"N", PRODUCTS | ELEMENTS | CONV | ROWS, PRODUCTS | ELEMENTS | CONV | ROWS, NULL,
     offsetof(vdit_case, N)},
    {"bias", BIT(VDIT_OP_LINEAR), 0, read_bias, 0},
    {"scale", ATTENTION, 0, read_scale, 0},
    {"layout", ATTENTION, 0, read_layout, 0},
    {"video", ATTENTION | CONV, CONV, read_video, 0},
    {"text", ATTENTION, 0, NULL, offsetof(vdit_case, tokens.text)},
    {"text_first", ATTENTION, 0, read_text_first, 0},
    {"plan", ATTENTION, 0, read_plan, 0},
    {"meters", ATTENTION, 0, read_meters, 0},
    {"mask", ATTENTION, 0, read_mask, 0},
    {"window", ATTENTION, 0, NULL, offsetof(vdit_case, window)},
    {"key_length", ATTENTION, 0, read_key_length, 0},
    {"rows", ATTENTION, 0, read_rows, 0},
};

#define KEY_COUNT (sizeof keys / sizeof *keys)

static vdit_status reject_unknown(const reader *r, json_t *object, const char *const *ignored)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        size_t k = 0, n = 0;
        while (k < KEY_COUNT && strcmp(keys[k].name, name) != 0)
            k++;
        while (ignored[n] != NULL && strcmp(ignored[n], name) != 0)
            n++;
        if (ignored[n] == NULL && (k == KEY_COUNT || (keys[k].ops & BIT(r->c->op)) == 0))
            return vdit_run_fail(r->run, VDIT_ERR_FORMAT, "%s: %s has no key \"%s\"", r->where,
                                 vdit_operator_name(r->c->op), name);
    }
    return VDIT_OK;
}

/* What is not said. */
static void fill_defaults(vdit_case *c, json_t *object)
{
    if (c->contract == NULL)
        c->contract = vdit_contract_default(c->dtype);
    if (c->op == VDIT_OP_ATTENTION && c->dv == 0)
        c->dv = c->d;
    if (c->op == VDIT_OP_ATTENTION && json_object_get(object, "scale") == NULL)
        c->scale = 1 / sqrt((double)c->d);
}

vdit_status vdit_case_read(vdit_run *run, vdit_case *c, json_t *object, const char *where,
                           const char *const *ignored)
{
    reader r = {run, where, NULL, c};

    memset(c, 0, sizeof *c);
    c->B = c->H = 1;
    if (!json_is_object(object))
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: expected an object", where);
    for (size_t k = 0; k < KEY_COUNT && vdit_run_status(run) == VDIT_OK; k++) {
        json_t *value = json_object_get(object, keys[k].name);
        r.key = keys[k].name;
        if (value == NULL && (keys[k].required & BIT(c->op)) != 0)
            return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: \"%s\" is missing", where, r.key);
        if (value == NULL || (keys[k].ops & BIT(c->op)) == 0)
            continue;
        if (keys[k].read != NULL)
            keys[k].read(&r, value);
        else
            read_extent(&r, value, (size_t *)((char *)c + keys[k].extent));
    }
    if (vdit_run_status(run) != VDIT_OK || reject_unknown(&r, object, ignored) != VDIT_OK)
        return vdit_run_status(run);
    if ((c->mask == VDIT_MASK_WINDOW) != (c->window != 0))
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: \"window\" goes with \"mask\": \"window\"",
                             where);
    fill_defaults(c, object);
    return vdit_case_check(run, c, where);
}

static void write_video(vdit_text *text, const vdit_case *c)
{
    if (c->tokens.frames != 0)
        vdit_text_print(text, ", \"video\": [%zu, %zu, %zu]", c->tokens.frames, c->tokens.height,
                        c->tokens.width);
}

static void write_attention(vdit_text *text, const vdit_case *c)
{
    vdit_text_print(text, ", \"scale\": \"%a\"", c->scale);
    if (c->axes != VDIT_AXES_BHND)
        vdit_text_print(text, ", \"layout\": \"%s\"", vdit_axes_name(c->axes));
    write_video(text, c);
    if (c->tokens.text_first)
        vdit_text_print(text, ", \"text_first\": true");
    if (c->plan != NULL)
        vdit_text_print(text, ", \"plan\": \"%s\"", c->plan);
    if (c->meters != NULL)
        vdit_text_print(text, ", \"meters\": \"%s\"", c->meters);
    if (c->mask != VDIT_MASK_NONE)
        vdit_text_print(text, ", \"mask\": \"%s\"", masks[c->mask]);
    if (c->row_every != 0)
        vdit_text_print(text, ", \"rows\": {\"every\": %zu}", c->row_every);
    if (c->row_count != 0)
        vdit_text_print(text, ", \"rows\": {\"count\": %zu}", c->row_count);
    if (c->key_length == NULL)
        return;
    vdit_text_print(text, ", \"key_length\": [");
    for (size_t b = 0; b < c->B; b++)
        vdit_text_print(text, b ? ", %lld" : "%lld", (long long)c->key_length[b]);
    vdit_text_print(text, "]");
}

void vdit_case_write(vdit_text *text, const vdit_case *c)
{
    vdit_text_print(text, "\"op\": \"%s\", \"contract\": \"%s\", \"family\": \"%s\"",
                    vdit_operator_name(c->op), c->contract->name, c->family->name);
    vdit_text_print(text, ", \"seed\": %llu, \"dtype\": \"%s\"", (unsigned long long)c->seed,
                    vdit_dtype_name(c->dtype));
    for (size_t k = 0; k < KEY_COUNT; k++) {
        size_t extent = *(const size_t *)((const char *)c + keys[k].extent);
        if (keys[k].read == NULL && (keys[k].ops & BIT(c->op)) != 0 && extent != 0)
            vdit_text_print(text, ", \"%s\": %zu", keys[k].name, extent);
    }
    if (c->bias)
        vdit_text_print(text, ", \"bias\": true");
    if (c->op == VDIT_OP_CONV)
        write_video(text, c);
    if (c->op == VDIT_OP_ATTENTION)
        write_attention(text, c);
}
