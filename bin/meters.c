/* meters.c - what meters there are, and their results as JSON. */
#include "config.h"
#include "meters.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static void print_one(const vdit_meter_info *info)
{
    printf("%s - %s\n    %s%s%s\n", info->name, info->about,
           info->passes == 1   ? "one pass"
           : info->passes == 2 ? "two passes"
                               : "passes of its own",
           info->ids[0] ? "; " : "", info->ids);
    for (size_t i = 0; info->options != NULL && info->options[i].name != NULL; i++)
        printf("    :%s=%s    %s\n", info->options[i].name, info->options[i].value,
               info->options[i].about);
    for (size_t i = 0; info->outputs[i].name != NULL; i++)
        printf("    %s%s%s  %s [%s]  %s\n", info->name, info->outputs[i].name[0] ? "." : "",
               info->outputs[i].name, vdit_dtype_name(info->outputs[i].dtype),
               info->outputs[i].shape, info->outputs[i].about);
}

void meters_list(void)
{
    const vdit_meter_info *info;

    for (size_t i = 0; (info = vdit_meter_at(i)) != NULL; i++)
        print_one(info);
}

/* Returns: 1 if the result has an axis of rows or keys, and so belongs into a file of arrays alone. */
static int is_long(const char *shape)
{
    return strpbrk(shape, "RKSXY") != NULL;
}

/* A number as JSON: null for NaN, a word for an infinity. */
static json_t *number_json(const vdit_tensor *t, size_t at)
{
    const char *data = t->data;
    double value;

    vdit_load_f64(&value, 1, data + at * vdit_dtype_size(t->dtype), 1, t->dtype);
    if (value != value)
        return json_null();
    if (isinf(value))
        return json_string(value > 0 ? "inf" : "-inf");
    return vdit_dtype_is_float(t->dtype) ? json_real(value) : json_integer((json_int_t)value);
}

/* The elements from at on, in nested lists from axis on. */
static json_t *values_json(const vdit_tensor *t, int axis, size_t at)
{
    json_t *list;

    if (axis == t->rank)
        return number_json(t, at);
    list = json_array();
    for (size_t i = 0; i < t->shape[axis]; i++)
        json_array_append_new(list, values_json(t, axis + 1, at + i * (size_t)t->stride[axis]));
    return list;
}

/* Returns: the shape in letters of a result, such as "BHR". */
static const char *letters_of(const vdit_meter_result *result)
{
    const vdit_meter_info *info;
    size_t skip = strlen(result->meter);
    const char *name = result->name + skip + (result->name[skip] == '.');

    for (size_t i = 0; (info = vdit_meter_at(i)) != NULL; i++)
        for (size_t n = 0; strcmp(info->name, result->meter) == 0 && info->outputs[n].name; n++)
            if (strcmp(info->outputs[n].name, name) == 0)
                return info->outputs[n].shape;
    return "";
}

/* Adds a result to the entry of its meter, which is made if it is the first. */
static void add_result(json_t *meters, const vdit_meter_result *result)
{
    json_t *entry = json_object_get(meters, result->meter), *value;
    const char *letters = letters_of(result);
    char shape[128];

    if (entry == NULL) {
        entry = json_pack("{s:s, s:{}}", "ids", result->ids, "results");
        json_object_set_new(meters, result->meter, entry);
    }
    value =
        json_pack("{s:s, s:s, s:s}", "dtype", vdit_dtype_name(result->tensor.dtype), "axes",
                  letters, "shape", vdit_tensor_shape_text(shape, sizeof shape, &result->tensor));
    if (!is_long(letters))
        json_object_set_new(value, "value", values_json(&result->tensor, 0, 0));
    json_object_set_new(json_object_get(entry, "results"), result->name, value);
}

json_t *meters_json(const vdit_meter_results *results)
{
    json_t *meters = json_object();

    for (size_t i = 0; i < results->count; i++)
        add_result(meters, &results->list[i]);
    return meters;
}
