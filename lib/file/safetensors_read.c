/*
 * safetensors_read.c - reads safetensors: a length (8 bytes, little-endian), a JSON header of that
 * length, and the data. The header maps each name to {"dtype", "shape", "data_offsets": [begin,
 * end]}, offsets counting from the data's start, and "__metadata__" to an object of strings.
 *
 * The tensors must cover the data without an overlap or a hole, as the format requires. So no byte
 * has two meanings, and none has no meaning.
 */
#include <stdlib.h>
#include <string.h>
#include "base/internal.h"
#include "file/internal.h"
#include "file/json.h"
#include "file/safetensors.h"

/* One tensor of the header. */
typedef struct item {
    const char *name;
    vdit_tensor tensor;
    uint64_t begin, end; /* its bytes [begin, end) of the data */
    size_t order;        /* in the header */
} item;

static const char *const dtype_names[VDIT_DTYPE_COUNT] = {
    [VDIT_F64] = "F64", [VDIT_F32] = "F32", [VDIT_BF16] = "BF16", [VDIT_F16] = "F16",
    [VDIT_I64] = "I64", [VDIT_I32] = "I32", [VDIT_U8] = "U8",     [VDIT_BOOL] = "BOOL",
};

const char *vdit_safetensors_dtype_name(vdit_dtype dtype)
{
    return dtype_names[dtype];
}

static uint64_t load_u64(const unsigned char *bytes)
{
    uint64_t value = 0;

    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

/* Step 1: the header's length, checked. Out: data_start, the offset of the data. */
static vdit_status read_length(const vdit_source *source, size_t *data_start)
{
    uint64_t length;

    if (source->size < 8)
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, NULL,
                              "%zu bytes, expected a safetensors, npy or npz file or an index",
                              source->size);
    length = load_u64(source->bytes);
    if (length > source->size - 8)
        return vdit_file_fail(
            source->run, VDIT_ERR_FORMAT, source->path, NULL,
            "header of %ju bytes at offset 8, expected at most %zu in a file of %zu "
            "(not a safetensors file?)",
            (uintmax_t)length, source->size - 8, source->size);
    if (length > VDIT_JSON_LIMIT)
        return vdit_file_fail(source->run, VDIT_ERR_LIMIT, source->path, NULL,
                              "header of %ju bytes at offset 8, expected at most %zu",
                              (uintmax_t)length, VDIT_JSON_LIMIT);
    if (length < 2 || source->bytes[8] != '{')
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, NULL,
                              "offset 8: expected a header that starts with '{'");
    *data_start = 8 + (size_t)length;
    return VDIT_OK;
}

static vdit_status read_dtype(const vdit_source *source, const char *name, const json_t *value,
                              vdit_dtype *dtype)
{
    const char *text = json_string_value(value);

    for (int i = 0; text != NULL && i < VDIT_DTYPE_COUNT; i++)
        if (strcmp(text, dtype_names[i]) == 0) {
            *dtype = (vdit_dtype)i;
            return VDIT_OK;
        }
    return vdit_file_fail(source->run, VDIT_ERR_DTYPE, source->path, name,
                          "dtype %.20s, expected F64, F32, BF16, F16, I64, I32, U8 or BOOL",
                          text != NULL ? text : "missing");
}

/* Out: shape, rank extents that a dense tensor of this dtype can have. */
static vdit_status read_shape(const vdit_source *source, const char *name, const json_t *value,
                              vdit_dtype dtype, int *rank, size_t *shape)
{
    size_t axes = json_array_size(value);

    if (!json_is_array(value))
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, name,
                              "shape missing, expected a list");
    if (axes > VDIT_MAX_RANK)
        return vdit_file_fail(source->run, VDIT_ERR_LIMIT, source->path, name,
                              "%zu axes, expected at most %d", axes, VDIT_MAX_RANK);
    for (size_t i = 0; i < axes; i++) {
        const json_t *extent = json_array_get(value, i);
        json_int_t number = json_integer_value(extent);

        if (!json_is_integer(extent) || number < 0)
            return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, name,
                                  "axis %zu of the shape: expected an integer of at least 0", i);
        if ((uintmax_t)number > PTRDIFF_MAX)
            return vdit_file_fail(source->run, VDIT_ERR_LIMIT, source->path, name,
                                  "extent %jd of axis %zu cannot be addressed", (intmax_t)number,
                                  i);
        shape[i] = (size_t)number;
    }
    *rank = (int)axes;
    if (!vdit_shape_fits(dtype, *rank, shape))
        return vdit_file_fail(source->run, VDIT_ERR_LIMIT, source->path, name,
                              "the product of the shape cannot be addressed");
    return VDIT_OK;
}

/* Out: taken's begin and end, in order and within the data's size. */
static vdit_status read_offsets(const vdit_source *source, const char *name, const json_t *value,
                                uint64_t size, item *taken)
{
    const json_t *begin = json_array_get(value, 0), *end = json_array_get(value, 1);
    json_int_t b = json_integer_value(begin), e = json_integer_value(end);

    if (json_array_size(value) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, name,
                              "data_offsets: expected two integers");
    if (b < 0 || e < b || (uint64_t)e > size)
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, name,
                              "data_offsets [%jd, %jd]: expected 0 <= begin <= end <= %ju",
                              (intmax_t)b, (intmax_t)e, (uintmax_t)size);
    taken->begin = (uint64_t)b;
    taken->end = (uint64_t)e;
    return VDIT_OK;
}

/* Step 2: one tensor of the header, without its data. Out: taken. In: size of all data. */
static vdit_status read_item(const vdit_source *source, uint64_t size, const char *name,
                             const json_t *value, item *taken)
{
    size_t shape[VDIT_MAX_RANK], bytes;
    vdit_dtype dtype = VDIT_F64;
    int rank = 0;

    if (!json_is_object(value))
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, name,
                              "expected an object of dtype, shape and data_offsets");
    if (read_dtype(source, name, json_object_get(value, "dtype"), &dtype) != VDIT_OK ||
        read_shape(source, name, json_object_get(value, "shape"), dtype, &rank, shape) != VDIT_OK ||
        read_offsets(source, name, json_object_get(value, "data_offsets"), size, taken) != VDIT_OK)
        return vdit_run_status(source->run);
    taken->name = name;
    taken->tensor = vdit_tensor_view(NULL, dtype, rank, shape);
    bytes = vdit_tensor_count(&taken->tensor) * vdit_dtype_size(dtype);
    if (taken->end - taken->begin != bytes)
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, name,
                              "data_offsets [%ju, %ju] hold %ju bytes, expected %zu from the shape",
                              (uintmax_t)taken->begin, (uintmax_t)taken->end,
                              (uintmax_t)(taken->end - taken->begin), bytes);
    return VDIT_OK;
}

static vdit_status read_meta(const vdit_source *source, json_t *value)
{
    const char *key;
    json_t *text;

    if (!json_is_object(value))
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, NULL,
                              VDIT_SAFETENSORS_META ": expected an object of strings");
    json_object_foreach(value, key, text)
    {
        if (!json_is_string(text))
            return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, NULL,
                                  VDIT_SAFETENSORS_META " \"%.200s\": expected a string", key);
        if (vdit_file_add_meta(source, key, json_string_value(text)) != VDIT_OK)
            return vdit_run_status(source->run);
    }
    return VDIT_OK;
}

/* By place in the data; empty tensors of one place keep the header's order. */
static int compare_items(const void *a, const void *b)
{
    const item *left = a, *right = b;

    if (left->begin != right->begin)
        return left->begin < right->begin ? -1 : 1;
    if (left->end != right->end)
        return left->end < right->end ? -1 : 1;
    return left->order < right->order ? -1 : left->order > right->order;
}

/* Step 3: sorts the items, which must follow each other from 0 to size. */
static vdit_status check_cover(const vdit_source *source, item *items, size_t count, uint64_t size)
{
    uint64_t covered = 0;

    if (count > 0)
        qsort(items, count, sizeof *items, compare_items);
    for (size_t i = 0; i < count; covered = items[i++].end)
        if (items[i].begin != covered)
            return vdit_file_fail(
                source->run, VDIT_ERR_FORMAT, source->path, items[i].name,
                "data begins at %ju, expected %ju, where the one before ends (%s)",
                (uintmax_t)items[i].begin, (uintmax_t)covered,
                items[i].begin < covered ? "an overlap" : "a hole");
    if (covered != size)
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, NULL,
                              "%ju bytes of data, expected %ju, where the last tensor ends",
                              (uintmax_t)size, (uintmax_t)covered);
    return VDIT_OK;
}

/* Step 4: the data. Only now, since what overlaps could ask for more memory than the file's size.
 */
static vdit_status add_items(const vdit_source *source, size_t data_start, item *items,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        vdit_tensor *tensor = &items[i].tensor;

        if (vdit_file_adopt(source, &tensor->data,
                            source->bytes + data_start + (size_t)items[i].begin, tensor->dtype,
                            vdit_tensor_count(tensor), 0) != VDIT_OK ||
            vdit_file_check_bool(source, items[i].name, tensor) != VDIT_OK ||
            vdit_file_add(source, items[i].name, tensor) != VDIT_OK)
            return vdit_run_status(source->run);
    }
    return VDIT_OK;
}

static vdit_status read_header(const vdit_source *source, size_t data_start, json_t *header)
{
    uint64_t size = source->size - data_start;
    size_t count = 0;
    item *items = vdit_run_alloc(source->run, json_object_size(header), sizeof *items);
    vdit_status status = vdit_run_status(source->run);
    const char *name;
    json_t *value;

    json_object_foreach(header, name, value)
    {
        if (status != VDIT_OK)
            return status;
        if (strcmp(name, VDIT_SAFETENSORS_META) == 0) {
            status = read_meta(source, value);
        } else {
            items[count].order = count;
            status = read_item(source, size, name, value, &items[count++]);
        }
    }
    if (status != VDIT_OK || check_cover(source, items, count, size) != VDIT_OK)
        return vdit_run_status(source->run);
    return add_items(source, data_start, items, count);
}

vdit_status vdit_safetensors_read(const vdit_source *source)
{
    size_t mark = vdit_run_mark(source->run), data_start = 0;
    json_t *header;

    if (read_length(source, &data_start) != VDIT_OK)
        return vdit_run_status(source->run);
    header = vdit_json_parse(source->run, source->path, 8, source->bytes + 8, data_start - 8);
    if (header == NULL)
        return vdit_run_status(source->run);
    read_header(source, data_start, header);
    vdit_run_release(source->run, mark);
    json_decref(header);
    return vdit_run_status(source->run);
}
