/* npy.c - the header of an npy array (NEP 1), parsed and built. */
#include <stdio.h>
#include <string.h>
#include "base/internal.h"
#include "file/internal.h"
#include "file/npy.h"

#define MAGIC "\x93NUMPY"

/* npy's letter and size of each dtype; bf16 has none. */
static const char *const codes[VDIT_DTYPE_COUNT] = {
    [VDIT_F64] = "f8", [VDIT_F32] = "f4", [VDIT_F16] = "f2",  [VDIT_I64] = "i8",
    [VDIT_I32] = "i4", [VDIT_U8] = "u1",  [VDIT_BOOL] = "b1",
};

/* A place in the dictionary. Every reader of a piece returns 1 and moves past it, or 0. */
typedef struct cursor {
    const char *start, *at, *end;
} cursor;

vdit_status vdit_npy_header_size(vdit_run *run, size_t *size, const char *path, const char *name,
                                 const unsigned char *probe, size_t probe_size)
{
    size_t width, length = 0; /* the length takes two bytes in version 1, four in 2 and 3 */

    if (probe_size < 10 || memcmp(probe, MAGIC, 6) != 0)
        return vdit_file_fail(run, VDIT_ERR_FORMAT, path, name,
                              "offset 0: expected the magic string and version of an npy array");
    if (probe[6] < 1 || probe[6] > 3 || probe[7] != 0)
        return vdit_file_fail(run, VDIT_ERR_FORMAT, path, name,
                              "offset 6: npy version %d.%d, expected 1.0, 2.0 or 3.0", probe[6],
                              probe[7]);
    width = probe[6] == 1 ? 2 : 4;
    if (probe_size < 8 + width)
        return vdit_file_fail(run, VDIT_ERR_FORMAT, path, name,
                              "offset 8: expected the header's length, found the end");
    for (size_t i = width; i-- > 0;)
        length = length << 8 | probe[8 + i];
    if (length > VDIT_NPY_LIMIT)
        return vdit_file_fail(run, VDIT_ERR_LIMIT, path, name,
                              "offset 8: header of %zu bytes, expected at most %zu", length,
                              VDIT_NPY_LIMIT);
    *size = 8 + width + length;
    return VDIT_OK;
}

static void skip_space(cursor *c)
{
    while (c->at < c->end && strchr(" \t\r\n", *c->at) != NULL && *c->at != '\0')
        c->at++;
}

/* The given character, after white space. */
static int read_character(cursor *c, char character)
{
    skip_space(c);
    if (c->at == c->end || *c->at != character)
        return 0;
    c->at++;
    return 1;
}

/* The given word, after white space. */
static int read_word(cursor *c, const char *word)
{
    size_t size = strlen(word);

    skip_space(c);
    if ((size_t)(c->end - c->at) < size || memcmp(c->at, word, size) != 0)
        return 0;
    c->at += size;
    return 1;
}

/* A string in either quotes without escapes. Out: text, at most size - 1 characters of it. */
static int read_string(cursor *c, char *text, size_t size)
{
    size_t used = 0;
    char quote;

    skip_space(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
        return 0;
    for (quote = *c->at++; c->at < c->end && *c->at != quote; c->at++) {
        if (*c->at == '\\' || used + 1 == size)
            return 0;
        text[used++] = *c->at;
    }
    text[used] = '\0';
    return read_character(c, quote);
}

/* Digits, and the L that Python 2 wrote after a long. */
static int read_extent(cursor *c, size_t *extent)
{
    size_t value = 0;
    const char *first;

    skip_space(c);
    for (first = c->at; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        size_t digit = (size_t)(*c->at - '0');

        if (value > (PTRDIFF_MAX - digit) / 10)
            return 0;
        value = 10 * value + digit;
    }
    *extent = value;
    if (c->at == first)
        return 0;
    read_character(c, 'L');
    return 1;
}

/* A tuple of at most VDIT_MAX_RANK extents: (), (3,), (3, 4), (3, 4,). */
static int read_shape(cursor *c, vdit_tensor *t)
{
    int comma = 1;

    if (!read_character(c, '('))
        return 0;
    for (t->rank = 0; !read_character(c, ')'); t->rank++) {
        if (!comma || t->rank == VDIT_MAX_RANK || !read_extent(c, &t->shape[t->rank]))
            return 0;
        comma = read_character(c, ',');
    }
    return t->rank != 1 || comma; /* (3) is a number */
}

/* Out: dtype and byte order. In: such as "<f4" or "|b1". */
static vdit_status find_dtype(vdit_run *run, vdit_npy *npy, const char *path, const char *name,
                              const char *descr)
{
    for (int i = 0; i < VDIT_DTYPE_COUNT; i++)
        if (codes[i] != NULL && descr[0] != '\0' && strcmp(codes[i], descr + 1) == 0 &&
            strchr("<>|", descr[0]) != NULL && (descr[0] != '|' || codes[i][1] == '1')) {
            npy->tensor.dtype = (vdit_dtype)i;
            npy->big_endian = descr[0] == '>';
            return VDIT_OK;
        }
    return vdit_file_fail(
        run, VDIT_ERR_DTYPE, path, name,
        "npy type '%s', expected f8, f4, f2, i8 or i4 in either byte order, u1 or b1", descr);
}

/* The three pairs of the dictionary, in any order. Out: npy, descr, fortran. */
static int read_dictionary(cursor *c, vdit_npy *npy, char descr[16], int *fortran)
{
    int seen[3] = {0, 0, 0}, comma = 1;
    char key[16];

    if (!read_character(c, '{'))
        return 0;
    while (!read_character(c, '}')) {
        if (!comma || !read_string(c, key, sizeof key) || !read_character(c, ':'))
            return 0;
        if (strcmp(key, "descr") == 0 && !seen[0]++) {
            if (!read_string(c, descr, 16))
                return 0;
        } else if (strcmp(key, "fortran_order") == 0 && !seen[1]++) {
            *fortran = read_word(c, "True");
            if (!*fortran && !read_word(c, "False"))
                return 0;
        } else if (strcmp(key, "shape") != 0 || seen[2]++ || !read_shape(c, &npy->tensor)) {
            return 0;
        }
        comma = read_character(c, ',');
    }
    skip_space(c);
    return c->at == c->end && seen[0] && seen[1] && seen[2];
}

/* Strides of the first axis running fastest. */
static void make_fortran(vdit_tensor *t)
{
    size_t step = 1;

    for (int i = 0; i < t->rank; i++) {
        t->stride[i] = (ptrdiff_t)step;
        step *= t->shape[i] ? t->shape[i] : 1;
    }
}

vdit_status vdit_npy_parse(vdit_run *run, vdit_npy *npy, const char *path, const char *name,
                           const unsigned char *header, size_t size)
{
    const char *text = (const char *)header + (header[6] == 1 ? 10 : 12);
    cursor c = {(const char *)header, text, (const char *)header + size};
    vdit_tensor *t = &npy->tensor;
    char descr[16];
    int fortran = 0;

    memset(npy, 0, sizeof *npy);
    if (!read_dictionary(&c, npy, descr, &fortran))
        return vdit_file_fail(run, VDIT_ERR_FORMAT, path, name,
                              "offset %td: expected a dictionary of 'descr' (a plain type), "
                              "'fortran_order' and 'shape' (at most %d axes)",
                              c.at - c.start, VDIT_MAX_RANK);
    if (find_dtype(run, npy, path, name, descr) != VDIT_OK)
        return vdit_run_status(run);
    if (!vdit_shape_fits(t->dtype, t->rank, t->shape))
        return vdit_file_fail(run, VDIT_ERR_LIMIT, path, name,
                              "the product of the shape cannot be addressed");
    *t = vdit_tensor_view(NULL, t->dtype, t->rank, t->shape);
    if (fortran)
        make_fortran(t);
    npy->bytes = vdit_tensor_count(t) * vdit_dtype_size(t->dtype);
    return VDIT_OK;
}

/*
 * Out: header. The padding is NumPy's, so that the bytes are those of its save(): room for the first
 * axis to grow to 21 digits, then spaces and a newline up to a multiple of 64.
 */
vdit_status vdit_npy_build(vdit_run *run, unsigned char header[VDIT_NPY_HEADER], size_t *size,
                           const char *path, const char *name, const vdit_tensor *tensor)
{
    const char *code = codes[tensor->dtype];
    char *text = (char *)header;
    size_t used;
    int first = 0; /* digits of the first axis */

    if (code == NULL)
        return vdit_file_fail(run, VDIT_ERR_DTYPE, path, name,
                              "npy has no bf16, expected another type or a .safetensors file");
    used = 10 + (size_t)sprintf(text + 10, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                                code[1] == '1' ? '|' : '<', code);
    for (int i = 0; i < tensor->rank; i++) {
        int digits = sprintf(text + used, i ? ", %zu" : "%zu", tensor->shape[i]);

        first = i == 0 ? digits : first;
        used += (size_t)digits;
    }
    used += (size_t)sprintf(text + used, "%s), }", tensor->rank == 1 ? "," : "");
    *size = (used + (tensor->rank > 0 ? (size_t)(21 - first) : 0) + 1) / 64 * 64 + 64;
    memset(text + used, ' ', *size - used);
    text[*size - 1] = '\n';
    memcpy(header, MAGIC "\x01\x00", 8);
    header[8] = (unsigned char)((*size - 10) & 255);
    header[9] = (unsigned char)((*size - 10) >> 8);
    return VDIT_OK;
}
