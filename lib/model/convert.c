/* convert.c - which tensor of an original checkpoint becomes which, by a list of rules. */
#include <stdio.h>
#include <string.h>
#include "model/convert.h"

#define NUMBERS_MAX 4
#define NAME_SIZE   512

/* The numbers for which "{}" stands in a name, as they are written there. */
typedef struct numbers {
    struct {
        const char *text;
        int length;
    } item[NUMBERS_MAX];
    int count;
} numbers;

/* Returns: 1 if the name is the pattern with a number for each "{}". Out: found. */
static int match(const char *pattern, const char *name, numbers *found)
{
    found->count = 0;
    while (*pattern != '\0') {
        size_t digits = strspn(name, "0123456789");

        if (strncmp(pattern, "{}", 2) != 0) {
            if (*pattern++ != *name++)
                return 0;
        } else {
            if (digits == 0 || digits > 9 || found->count == NUMBERS_MAX)
                return 0;
            found->item[found->count].text = name;
            found->item[found->count++].length = (int)digits;
            name += digits;
            pattern += 2;
        }
    }
    return *name == '\0';
}

/* Writes the pattern with the numbers into name. */
static void expand(char name[NAME_SIZE], const char *pattern, const numbers *with)
{
    size_t used = 0;

    for (int i = 0; *pattern != '\0' && used + 1 < NAME_SIZE;) {
        if (strncmp(pattern, "{}", 2) != 0 || i == with->count) {
            name[used++] = *pattern++;
        } else {
            used += (size_t)snprintf(name + used, NAME_SIZE - used, "%.*s", with->item[i].length,
                                     with->item[i].text);
            i++;
            pattern += 2;
        }
    }
    name[used < NAME_SIZE ? used : NAME_SIZE - 1] = '\0';
}

/* Fills in what a rule takes; a rule without parts takes the whole as its only part. */
static void read_parts(vdit_convert_source *source, const vdit_convert_rule *rule)
{
    source->parts = rule->parts > 0 ? rule->parts : 1;
    source->count = rule->parts > 0 ? strlen(rule->take) : 1;
    source->take[0] = 0;
    for (size_t i = 0; rule->parts > 0 && i < source->count; i++)
        source->take[i] =
            (size_t)(rule->take[i] <= '9' ? rule->take[i] - '0' : rule->take[i] - 'a' + 10);
}

/* Returns: the original of the name, NULL if there is none. Out: source; original, its name, or the last one tried. */
static const vdit_tensor *find(const vdit_file *file, const vdit_convert_rule *rules,
                               const char *name, vdit_convert_source *source,
                               char original[NAME_SIZE])
{
    static const vdit_convert_rule same = {NULL, NULL, 0, NULL};
    numbers with;

    snprintf(original, NAME_SIZE, "%s", name);
    read_parts(source, &same);
    if (rules == NULL)
        return source->from = vdit_file_find(file, name);
    source->from = NULL;
    for (; source->from == NULL && rules->from != NULL; rules++) {
        if (rules->to == NULL || !match(rules->to, name, &with))
            continue;
        expand(original, rules->from, &with);
        read_parts(source, rules);
        source->from = vdit_file_find(file, original);
    }
    return source->from;
}

static int is_weight(vdit_dtype dtype)
{
    return dtype == VDIT_F32 || dtype == VDIT_BF16 || dtype == VDIT_F16;
}

/* Checks that the parts have the elements of the tensor. */
static vdit_status check(vdit_run *run, const char *path, const char *original,
                         const vdit_named *wanted, const vdit_convert_source *source)
{
    size_t count = vdit_tensor_count(source->from);
    size_t rows = source->from->rank > 0 ? source->from->shape[0] : 1;
    char shape[128], expected[128];

    if (!is_weight(source->from->dtype))
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: tensor \"%.200s\" is %s, expected f32, bf16 or f16", path,
                             original, vdit_dtype_name(source->from->dtype));
    if (rows % source->parts == 0 &&
        count / source->parts * source->count == vdit_tensor_count(&wanted->tensor))
        return VDIT_OK;
    return vdit_run_fail(run, VDIT_ERR_FORMAT,
                         "%s: tensor \"%.200s\" has shape %s, of which %zu of %zu parts are to be "
                         "\"%.200s\" of shape %s",
                         path, original, vdit_tensor_shape_text(shape, sizeof shape, source->from),
                         source->count, source->parts, wanted->name,
                         vdit_tensor_shape_text(expected, sizeof expected, &wanted->tensor));
}

/* Returns: 1 if a rule leaves the original's tensor out. */
static int is_left_out(const vdit_convert_rule *rules, const char *name)
{
    for (; rules != NULL && rules->from != NULL; rules++)
        if (rules->to == NULL && vdit_name_matches(rules->from, name))
            return 1;
    return 0;
}

/* Every tensor of the file must be used. */
static vdit_status check_used(vdit_run *run, const char *path, const vdit_file *file,
                              const vdit_convert_rule *rules, const vdit_convert_source *sources,
                              size_t count)
{
    for (size_t i = 0; i < vdit_file_count(file); i++) {
        size_t j = 0;

        while (j < count && sources[j].from != vdit_file_tensor(file, i))
            j++;
        if (j == count && !is_left_out(rules, vdit_file_name(file, i)))
            return vdit_run_fail(run, VDIT_ERR_FORMAT,
                                 "%s: tensor \"%.200s\" is unknown to this layout", path,
                                 vdit_file_name(file, i));
    }
    return VDIT_OK;
}

vdit_status vdit_convert_match(vdit_run *run, const char *path, const vdit_file *file,
                               const vdit_convert_rule *rules, const vdit_named *wanted,
                               size_t count, vdit_convert_source *sources)
{
    for (size_t i = 0; i < count; i++) {
        char original[NAME_SIZE];

        if (find(file, rules, wanted[i].name, &sources[i], original) == NULL)
            return vdit_run_fail(run, VDIT_ERR_FORMAT,
                                 "%s: tensor \"%.200s\" is missing, of which \"%.200s\" is made",
                                 path, original, wanted[i].name);
        if (check(run, path, original, &wanted[i], &sources[i]) != VDIT_OK)
            return vdit_run_status(run);
    }
    return check_used(run, path, file, rules, sources, count);
}

/* Copies elements, rounding to dtype. */
static void copy(void *out, vdit_dtype dtype, const vdit_tensor *from, size_t at, size_t count)
{
    const char *in = (const char *)from->data + at * vdit_dtype_size(from->dtype);
    size_t size = vdit_dtype_size(dtype);

    if (dtype == from->dtype) {
        memcpy(out, in, count * size);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        double value;

        vdit_load_f64(&value, 1, in + i * vdit_dtype_size(from->dtype), 1, from->dtype);
        vdit_store_f64((char *)out + i * size, dtype, value);
    }
}

/* Parts of the first axis are contiguous in row-major order, so a tensor is a sequence of stretches of its original. */
void vdit_convert_read(const vdit_convert_source *source, vdit_dtype dtype, size_t first,
                       size_t count, void *out)
{
    size_t part = vdit_tensor_count(source->from) / source->parts;

    while (count > 0) {
        size_t inside = first % part, n = part - inside < count ? part - inside : count;

        copy(out, dtype, source->from, source->take[first / part] * part + inside, n);
        out = (char *)out + n * vdit_dtype_size(dtype);
        first += n;
        count -= n;
    }
}
