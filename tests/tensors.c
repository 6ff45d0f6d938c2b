/* tensors.c - makes, changes and compares tensor files for the shell tests. */
#include "program.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vdit/file.h>
#include <vdit/random.h>

static const program_option options[] = {{0}};
static const program self = {
    "tensors",
    "Makes, changes and compares tensor files; a shape is written 2x3x4, a list 0,2,1.",
    "make OUT NAME SEED DTYPE SHAPE   uniform numbers in [-1,1); 0, 1, 2 if integer\n"
    "valid OUT NAME KEYS LIST         bool mask [B,1,1,KEYS]: the first LIST[b] keys\n"
    "numbers OUT NAME LIST            an i64 list\n"
    "permute OUT NAME IN LIST         the axes in this order\n"
    "reshape OUT NAME IN SHAPE        the same elements\n"
    "take OUT NAME IN AXIS LIST       these indices of an axis\n"
    "cast OUT NAME IN DTYPE           each element rounded once\n"
    "matmul OUT NAME A B              their product; both f32\n"
    "equal A B                        exit 1 unless equal bit for bit\n"
    "near A B LIMIT                   exit 1 unless |a - b| <= LIMIT everywhere",
    options,
};

static vdit_run *run;

static vdit_tensor open_tensor(const char *spec)
{
    vdit_file *file; /* stays open: a test is a short process */
    vdit_tensor t, dense;

    vdit_file_pick(run, &file, &t, spec);
    program_check(run);
    vdit_tensor_new(run, &dense, t.dtype, t.rank, t.shape);
    program_check(run);
    vdit_tensor_pack(dense.data, &t);
    vdit_file_close(file);
    return dense;
}

/* Reads numbers apart by ',' or 'x'. Returns: how many. */
static int read_numbers(size_t *numbers, int limit, const char *text)
{
    int count = 0;

    for (char *end; count < limit && *text != '\0'; text = *end ? end + 1 : end)
        numbers[count++] = (size_t)strtoull(text, &end, 10);
    return count;
}

static vdit_tensor make(vdit_dtype dtype, int rank, const size_t *shape)
{
    vdit_tensor t;

    vdit_tensor_new(run, &t, dtype, rank, shape);
    program_check(run);
    return t;
}

static vdit_dtype dtype_of(const char *name)
{
    vdit_dtype dtype = VDIT_F32;

    if (!vdit_dtype_find(&dtype, name))
        program_fail("no dtype %s", name);
    return dtype;
}

/* Element i of a stream: 0, 1 or 2 in an integer type, else uniform with 24 bits in [-1,1). */
static void put_random(const vdit_tensor *t, size_t i, uint32_t seed)
{
    const uint32_t counter[4] = {(uint32_t)i, 0, 0, 0}, key[2] = {seed, 0};
    char *to = (char *)t->data + i * vdit_dtype_size(t->dtype);
    uint32_t word[4];

    vdit_philox4x32_10(word, counter, key);
    if (vdit_dtype_is_float(t->dtype))
        vdit_store_f64(to, t->dtype, (double)(word[0] >> 8) / 8388608 - 1);
    else if (t->dtype == VDIT_I64)
        *(int64_t *)to = (int64_t)(word[0] % 3);
    else if (t->dtype == VDIT_I32)
        *(int32_t *)to = (int32_t)(word[0] % 3);
    else
        *to = (char)(word[0] % 2);
}

static vdit_tensor make_random(char **words)
{
    size_t shape[VDIT_MAX_RANK];
    int rank = read_numbers(shape, VDIT_MAX_RANK, words[2]);
    vdit_tensor t = make(dtype_of(words[1]), rank, shape);

    for (size_t i = 0; i < vdit_tensor_count(&t); i++)
        put_random(&t, i, (uint32_t)atoi(words[0]));
    return t;
}

static vdit_tensor make_valid(char **words)
{
    size_t lengths[64], keys = (size_t)atoi(words[0]);
    size_t batches = (size_t)read_numbers(lengths, 64, words[1]);
    vdit_tensor t = make(VDIT_BOOL, 4, (size_t[]){batches, 1, 1, keys});

    for (size_t i = 0; i < batches * keys; i++)
        ((char *)t.data)[i] = i % keys < lengths[i / keys];
    return t;
}

static vdit_tensor make_numbers(char **words)
{
    size_t numbers[64], count = (size_t)read_numbers(numbers, 64, words[0]);
    vdit_tensor t = make(VDIT_I64, 1, &count);

    for (size_t i = 0; i < count; i++)
        ((int64_t *)t.data)[i] = (int64_t)numbers[i];
    return t;
}

static vdit_tensor permute(char **words)
{
    vdit_tensor t = open_tensor(words[0]);
    size_t numbers[VDIT_MAX_RANK] = {0};
    int order[VDIT_MAX_RANK];

    read_numbers(numbers, VDIT_MAX_RANK, words[1]);
    for (int i = 0; i < VDIT_MAX_RANK; i++)
        order[i] = (int)numbers[i];
    return vdit_tensor_permute(&t, order);
}

static vdit_tensor reshape(char **words)
{
    vdit_tensor t = open_tensor(words[0]);
    size_t shape[VDIT_MAX_RANK];

    return vdit_tensor_view(t.data, t.dtype, read_numbers(shape, VDIT_MAX_RANK, words[1]), shape);
}

static vdit_tensor take(char **words)
{
    vdit_tensor t = open_tensor(words[0]), out;
    size_t list[64], index[VDIT_MAX_RANK] = {0}, from[VDIT_MAX_RANK], axis = (size_t)atoi(words[1]);
    size_t size = vdit_dtype_size(t.dtype), shape[VDIT_MAX_RANK];

    memcpy(shape, t.shape, sizeof shape);
    shape[axis] = (size_t)read_numbers(list, 64, words[2]);
    out = make(t.dtype, t.rank, shape);
    for (size_t i = 0; i < vdit_tensor_count(&out); i++) {
        memcpy(from, index, sizeof from);
        from[axis] = list[index[axis]];
        memcpy((char *)out.data + i * size, vdit_tensor_at(&t, from), size);
        for (int a = t.rank - 1; a >= 0 && ++index[a] == shape[a]; a--)
            index[a] = 0;
    }
    return out;
}

static vdit_tensor cast(char **words)
{
    vdit_tensor t = open_tensor(words[0]), out = make(dtype_of(words[1]), t.rank, t.shape);

    for (size_t i = 0; i < vdit_tensor_count(&t); i++) {
        double value;
        vdit_load_f64(&value, 1, (char *)t.data + i * vdit_dtype_size(t.dtype), 1, t.dtype);
        vdit_store_f64((char *)out.data + i * vdit_dtype_size(out.dtype), out.dtype, value);
    }
    return out;
}

/* A product that shares nothing with the library's: plain sums in binary64. */
static vdit_tensor matmul(char **words)
{
    vdit_tensor a = open_tensor(words[0]), b = open_tensor(words[1]), c;
    size_t shape[VDIT_MAX_RANK], inner = a.shape[a.rank - 1], columns = b.shape[b.rank - 1];
    size_t rows = a.shape[a.rank - 2];

    memcpy(shape, a.shape, sizeof shape);
    shape[a.rank - 1] = columns;
    c = make(VDIT_F32, a.rank, shape);
    for (size_t i = 0; i < vdit_tensor_count(&c); i++) {
        const float *a_i = (float *)a.data + i / columns * inner;
        const float *b_i = (float *)b.data + i / columns / rows * inner * columns + i % columns;
        double sum = 0;
        for (size_t k = 0; k < inner; k++)
            sum += (double)a_i[k] * (double)b_i[k * columns];
        vdit_store_f64((float *)c.data + i, VDIT_F32, sum);
    }
    return c;
}

/* Fails unless both have one shape. */
static void open_pair(vdit_tensor *a, vdit_tensor *b, char **words)
{
    char left[128], right[128];

    *a = open_tensor(words[0]);
    *b = open_tensor(words[1]);
    vdit_tensor_shape_text(left, sizeof left, a);
    vdit_tensor_shape_text(right, sizeof right, b);
    if (strcmp(left, right) != 0)
        program_fail("%s is %s, %s is %s", words[0], left, words[1], right);
}

static int equal(char **words)
{
    vdit_tensor a, b;

    open_pair(&a, &b, words);
    if (a.dtype == b.dtype &&
        memcmp(a.data, b.data, vdit_tensor_count(&a) * vdit_dtype_size(a.dtype)) == 0)
        return 0;
    program_say("%s and %s differ", words[0], words[1]);
    return 1;
}

static int near(char **words)
{
    vdit_tensor a, b;
    double limit = atof(words[2]), x, y;

    open_pair(&a, &b, words);
    for (size_t i = 0; i < vdit_tensor_count(&a); i++) {
        vdit_load_f64(&x, 1, (char *)a.data + i * vdit_dtype_size(a.dtype), 1, a.dtype);
        vdit_load_f64(&y, 1, (char *)b.data + i * vdit_dtype_size(b.dtype), 1, b.dtype);
        if (!(fabs(x - y) <= limit)) {
            program_say("element %zu: %.9g in %s, %.9g in %s", i, x, words[0], y, words[1]);
            return 1;
        }
    }
    return 0;
}

static const struct {
    const char *name;
    int words; /* after OUT NAME, or in all if it only compares */
    vdit_tensor (*make)(char **words);
    int (*compare)(char **words);
} commands[] = {
    {"make", 3, make_random, NULL},
    {"valid", 2, make_valid, NULL},
    {"numbers", 1, make_numbers, NULL},
    {"permute", 2, permute, NULL},
    {"reshape", 2, reshape, NULL},
    {"take", 3, take, NULL},
    {"cast", 2, cast, NULL},
    {"matmul", 2, matmul, NULL},
    {"equal", 2, NULL, equal},
    {"near", 3, NULL, near},
};

int main(int argc, char **argv)
{
    char **words;
    int count = program_parse(&self, argc, argv, &words), status = 0;
    vdit_named out;

    run = vdit_run_new();
    for (size_t i = 0; run != NULL && i < sizeof commands / sizeof *commands; i++) {
        if (count < 1 || strcmp(words[0], commands[i].name) != 0 ||
            count != commands[i].words + (commands[i].make ? 3 : 1))
            continue;
        if (commands[i].compare) {
            status = commands[i].compare(words + 1);
        } else {
            out.name = words[2];
            out.tensor = commands[i].make(words + 3);
            vdit_file_write(run, words[1], &out, 1);
            program_check(run);
        }
        vdit_run_free(run);
        return program_finish(status);
    }
    program_fail("bad usage; see tensors --help");
}
