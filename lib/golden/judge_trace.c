/* judge_trace.c - two traces of activations: which is the first that diverges. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <vdit/judge.h>
#include <vdit/model.h>
#include "file/json.h"

#define PIECE 1024 /* elements that are compared at a time */

/* Where sigma is guessed: terms of a sum and channels as in a shadow run (model/net_noise.c), of a usual width. */
#define GUESSED_TERMS 1024
#define GUESSED_PEAK  4 /* of the largest element's noise over its sigma */

typedef struct judge {
    vdit_run *run;
    vdit_trace_finding *finding;
    const vdit_file *expected, *actual;
    const vdit_contract *contract; /* for a guess; NULL: by dtype */
    json_t *order; /* names in the order of execution, then what else expected has */
    json_t *sigma; /* NULL: there is none */
} judge;

int vdit_file_is_trace(const vdit_file *file)
{
    return vdit_file_meta(file, "order") != NULL;
}

/* Returns: the metadata text of a key as JSON of that type, of the first file that has it; or NULL. */
static json_t *read_meta(judge *j, const char *key, json_type type)
{
    const vdit_file *files[] = {j->expected, j->actual};
    const char *text = NULL;
    json_t *value;

    for (int i = 0; i < 2 && text == NULL; i++)
        text = vdit_file_meta(files[i], key);
    if (text == NULL)
        return NULL;
    value = vdit_json_parse(j->run, key, 0, text, strlen(text));
    if (value != NULL && json_typeof(value) != type) {
        vdit_run_fail(j->run, VDIT_ERR_FORMAT, "metadata \"%s\": expected a JSON %s", key,
                      type == JSON_ARRAY ? "list" : "object");
        json_decref(value);
        return NULL;
    }
    return value;
}

/* Makes the order: that of the metadata, then of the file. */
static void find_order(judge *j)
{
    json_t *listed = json_object();

    j->order = read_meta(j, "order", JSON_ARRAY);
    if (j->order == NULL && vdit_run_status(j->run) == VDIT_OK)
        j->order = json_array();
    for (size_t i = 0; i < json_array_size(j->order); i++) {
        const char *name = json_string_value(json_array_get(j->order, i));

        if (name == NULL)
            vdit_run_fail(j->run, VDIT_ERR_FORMAT,
                          "metadata \"order\": expected names, and %zu "
                          "is none",
                          i);
        else
            json_object_set_new(listed, name, json_true());
    }
    for (size_t i = 0; i < vdit_file_count(j->expected); i++) {
        const char *name = vdit_file_name(j->expected, i);

        if (json_object_get(listed, name) == NULL)
            json_array_append_new(j->order, json_string(name));
    }
    json_decref(listed);
}

/* Adds the elements from first on to the sums of a line. Out: sums[2], of squares of distance and of expected. */
static void add_piece(vdit_trace_line *line, double *sums, size_t *worst, const double *a,
                      const double *b, size_t first, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double distance = fabs(b[i] - a[i]);
        int both_nan = a[i] != a[i] && b[i] != b[i];

        if (a[i] == b[i] || both_nan) {
            sums[1] += isfinite(a[i]) ? a[i] * a[i] : 0;
            continue;
        }
        line->unequal++;
        if (!isfinite(distance)) {
            line->specials++;
            continue;
        }
        sums[0] += distance * distance;
        sums[1] += a[i] * a[i];
        if (distance > line->peak) {
            line->peak = distance;
            line->expected = a[i];
            line->actual = b[i];
            *worst = first + i;
        }
    }
}

/* Measures two tensors of one shape, both dense as files have them. Returns: the largest |expected|. */
static double measure(vdit_trace_line *line, const vdit_tensor *a, const vdit_tensor *b)
{
    double x[PIECE], y[PIECE], sums[2] = {0, 0}, largest = 0;
    size_t count = vdit_tensor_count(a), worst = 0;

    for (size_t i = 0; i < count; i += PIECE) {
        size_t n = count - i < PIECE ? count - i : PIECE;

        vdit_load_f64(x, n, (char *)a->data + i * vdit_dtype_size(a->dtype), 1, a->dtype);
        vdit_load_f64(y, n, (char *)b->data + i * vdit_dtype_size(b->dtype), 1, b->dtype);
        add_piece(line, sums, &worst, x, y, i, n);
        for (size_t k = 0; k < n; k++)
            largest = isfinite(x[k]) && fabs(x[k]) > largest ? fabs(x[k]) : largest;
    }
    line->measured = 1;
    line->count = count;
    line->rms = count > 0 ? sqrt(sums[0] / (double)count) : 0;
    line->size = count > 0 ? sqrt(sums[1] / (double)count) : 0;
    line->rank = a->rank;
    for (int axis = a->rank - 1; axis >= 0 && count > 0; axis--) {
        line->where[axis] = worst % a->shape[axis];
        worst /= a->shape[axis];
    }
    return largest;
}

/*
 * A guess: the noise of one operator, relative to the root mean square, grown like the root of the number of operators
 * before, each of which adds its own.
 */
static void guess(judge *j, vdit_trace_line *line, vdit_dtype dtype, double largest, size_t before)
{
    const vdit_contract *contract = j->contract ? j->contract : vdit_contract_default(dtype);
    const vdit_noise *n = &contract->noise;
    double unit = sqrt((n->out_unit * n->out_unit + n->p_unit * n->p_unit +
                        (4 + GUESSED_TERMS / 16) * n->sum_unit * n->sum_unit) /
                       3);

    if (j->finding->noise == NULL)
        j->finding->noise = contract->name;
    line->sigma = unit * line->size * sqrt((double)before + 1);
    line->sigma_peak = line->size > 0 ? GUESSED_PEAK * line->sigma * largest / line->size : 0;
}

/* Returns: error / sigma, 0 without an error. */
static double ratio(double error, double sigma)
{
    return error > 0 ? error / sigma : 0;
}

/* Returns: the dtype with fewer digits. */
static vdit_dtype coarser(vdit_dtype a, vdit_dtype b)
{
    return vdit_dtype_size(b) < vdit_dtype_size(a) ? b : a;
}

static void judge_pair(judge *j, vdit_trace_line *line, const vdit_tensor *a, const vdit_tensor *b)
{
    json_t *known = j->sigma != NULL ? json_object_get(j->sigma, line->name) : NULL;
    double limit = vdit_judge_limits()->z, largest = measure(line, a, b);

    if (json_array_size(known) == 2) {
        line->sigma = json_number_value(json_array_get(known, 0));
        line->sigma_peak = json_number_value(json_array_get(known, 1));
    } else if (vdit_dtype_is_float(a->dtype)) {
        j->finding->guessed = 1;
        guess(j, line, coarser(a->dtype, b->dtype), largest, j->finding->compared);
    }
    line->z = ratio(line->rms, line->sigma);
    line->z_peak = ratio(line->peak, line->sigma_peak);
    if (line->specials > 0)
        snprintf(line->reason, sizeof line->reason,
                 "%zu of %zu elements are NaN or infinite on one side alone", line->specials,
                 line->count);
    else if (!(line->z <= limit))
        snprintf(line->reason, sizeof line->reason,
                 "its error has a root mean square of %.3g, the noise one of %.3g", line->rms,
                 line->sigma);
    else if (!(line->z_peak <= limit))
        snprintf(line->reason, sizeof line->reason, "an element is off by %.3g, the noise by %.3g",
                 line->peak, line->sigma_peak);
    line->agrees = line->reason[0] == '\0';
}

static void judge_line(judge *j, vdit_trace_line *line)
{
    const vdit_tensor *a = vdit_file_find(j->expected, line->name);
    const vdit_tensor *b = vdit_file_find(j->actual, line->name);
    char has[80], wants[80];

    if (a == NULL || b == NULL) {
        j->finding->missing++;
        line->missing = 1;
        snprintf(line->reason, sizeof line->reason, "missing");
        return;
    }
    if (a->rank != b->rank || memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) != 0)
        snprintf(line->reason, sizeof line->reason, "its shape is %s, expected %s",
                 vdit_tensor_shape_text(has, sizeof has, b),
                 vdit_tensor_shape_text(wants, sizeof wants, a));
    else if (vdit_dtype_is_float(a->dtype) != vdit_dtype_is_float(b->dtype))
        snprintf(line->reason, sizeof line->reason, "it is %s, expected %s",
                 vdit_dtype_name(b->dtype), vdit_dtype_name(a->dtype));
    else
        judge_pair(j, line, a, b);
    j->finding->compared++;
    j->finding->diverging += !line->agrees;
}

/* Returns: 1 if the name is that of an operand or the result of an attention site, which no module of the original has. */
static int is_of_site(const char *name)
{
    size_t length = strlen(name);

    return length > 2 && name[length - 2] == '/' && strchr("qkvo", name[length - 1]) != NULL;
}

/* Returns: the number of missing lines, but for those of sites where the other trace has none of them at all. */
static size_t count_missing(const judge *j)
{
    size_t of_sites = 0, in_both = 0;

    for (size_t i = 0; i < j->finding->count; i++) {
        const vdit_trace_line *line = &j->finding->lines[i];

        if (is_of_site(line->name)) {
            of_sites += (size_t)line->missing;
            in_both += !line->missing;
        }
    }
    return j->finding->missing - (in_both == 0 ? of_sites : 0);
}

/* Returns: 1 if q, k and v of the site whose "site/o" the line is agree. */
static int operands_agree(const vdit_trace_finding *f, const char *name)
{
    size_t length = strlen(name), agree = 0;

    for (size_t i = 0; length > 2 && strcmp(name + length - 2, "/o") == 0 && i < f->first; i++) {
        const char *other = f->lines[i].name;

        agree +=
            strlen(other) == length && strncmp(other, name, length - 1) == 0 && f->lines[i].agrees;
    }
    return agree == 3;
}

/* Says which is the first that diverges, and what it follows from. */
static void say_first(vdit_trace_finding *f)
{
    const vdit_trace_line *first = &f->lines[f->first], *before = NULL;
    size_t agree = 0;

    for (size_t i = 0; i < f->first && i < f->count; i++)
        if (f->lines[i].agrees) {
            before = &f->lines[i];
            agree++;
        }
    if (operands_agree(f, first->name))
        snprintf(f->text, sizeof f->text,
                 "%.100s is the first that diverges: the attention itself, whose q, k and v agree",
                 first->name);
    else if (before == NULL)
        snprintf(f->text, sizeof f->text, "%.100s, the first of all, diverges", first->name);
    else
        snprintf(f->text, sizeof f->text,
                 "%.100s is the first that diverges: it, or what lies between it and %.100s; the "
                 "%zu before it agree",
                 first->name, before->name, agree);
}

/* Says what the lines come to. */
static void conclude(vdit_trace_finding *f)
{
    size_t used;

    if (f->compared == 0) {
        snprintf(f->text, sizeof f->text, "no activation is in both traces");
    } else if (f->first == f->count) {
        snprintf(f->text, sizeof f->text, "all %zu activations that are in both agree",
                 f->compared);
    } else {
        say_first(f);
        used = strlen(f->text);
        if (f->first_unequal < f->first)
            snprintf(f->text + used, sizeof f->text - used,
                     "; the first that differs at all is %.100s", f->lines[f->first_unequal].name);
    }
}

/* Judges each name that the pattern takes. */
static void judge_lines(judge *j, const char *pattern)
{
    vdit_trace_finding *f = j->finding;

    for (size_t i = 0; i < json_array_size(j->order); i++) {
        const char *name = json_string_value(json_array_get(j->order, i));
        vdit_trace_line *line = &f->lines[f->count];
        char *copy;

        if (pattern != NULL && !vdit_name_matches(pattern, name))
            continue;
        copy = vdit_run_alloc(j->run, strlen(name) + 1, 1);
        if (copy == NULL)
            return;
        *line = (vdit_trace_line){.name = strcpy(copy, name)};
        judge_line(j, line);
        if (f->first == SIZE_MAX && !line->agrees && !line->missing)
            f->first = f->count;
        f->count++;
    }
    f->first = f->first == SIZE_MAX ? f->count : f->first;
}

/* Returns: how many activations of actual expected does not have. */
static size_t count_more(const judge *j)
{
    size_t more = 0;

    for (size_t i = 0; i < vdit_file_count(j->actual); i++)
        more += vdit_file_find(j->expected, vdit_file_name(j->actual, i)) == NULL;
    return more;
}

static void judge_all(judge *j, const char *pattern)
{
    vdit_trace_finding *f = j->finding;
    f->lines = vdit_run_alloc(j->run, json_array_size(j->order) + 1, sizeof *f->lines);
    if (f->lines == NULL)
        return;
    f->first = SIZE_MAX;
    judge_lines(j, pattern);
    f->missing = count_missing(j);
    f->more = count_more(j);
    while (f->first_unequal < f->count && f->lines[f->first_unequal].unequal == 0)
        f->first_unequal++;
    f->guessed &= f->first_unequal < f->count; /* equal values need no yardstick */
    if (f->compared == 0 || f->diverging > 0)
        f->verdict = VDIT_FAILS;
    else
        f->verdict = f->guessed || f->missing > 0 ? VDIT_INCONCLUSIVE : VDIT_HOLDS;
    conclude(f);
}

/* Returns: whose noise sigma is, in the run's memory: the files may be closed before the finding is read. */
static const char *name_noise(judge *j)
{
    const char *name = vdit_file_meta(j->expected, "noise");
    char *copy;

    if (name == NULL)
        name = vdit_file_meta(j->actual, "noise");
    if (name == NULL || (copy = vdit_run_alloc(j->run, strlen(name) + 1, 1)) == NULL)
        return NULL;
    return strcpy(copy, name);
}

vdit_status vdit_trace_judge(vdit_run *run, vdit_trace_finding *finding, const vdit_file *expected,
                             const vdit_file *actual, const char *pattern,
                             const vdit_contract *contract)
{
    judge j = {run, finding, expected, actual, contract, NULL, NULL};

    memset(finding, 0, sizeof *finding);
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    find_order(&j);
    j.sigma = read_meta(&j, "sigma", JSON_OBJECT);
    if (j.sigma != NULL)
        finding->noise = name_noise(&j);
    if (vdit_run_status(run) == VDIT_OK)
        judge_all(&j, pattern);
    json_decref(j.order);
    json_decref(j.sigma);
    return vdit_run_status(run);
}
