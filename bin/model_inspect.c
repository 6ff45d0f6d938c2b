/* model_inspect.c - vdit-model inspect: what a checkpoint holds, and whether all of it is finite. */
#include "model.h"
#include "program.h"
#include <stdio.h>
#include <string.h>

/* What is told of a checkpoint. */
typedef struct facts {
    double parameters, bytes;
    size_t dtypes[VDIT_DTYPE_COUNT]; /* tensors of each */
    vdit_weight_fault *faults;
    size_t fault_count;
    int scanned;
} facts;

/* Adds up what the file holds. */
static void count(facts *f, const vdit_file *file)
{
    for (size_t i = 0; i < vdit_file_count(file); i++) {
        const vdit_tensor *t = vdit_file_tensor(file, i);

        f->parameters += (double)vdit_tensor_count(t);
        f->bytes += (double)vdit_tensor_count(t) * (double)vdit_dtype_size(t->dtype);
        f->dtypes[t->dtype]++;
    }
}

static json_t *tensors_json(const vdit_file *file)
{
    json_t *list = json_array();

    for (size_t i = 0; i < vdit_file_count(file); i++) {
        const vdit_tensor *t = vdit_file_tensor(file, i);

        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o}", "name", vdit_file_name(file, i), "dtype",
                                        vdit_dtype_name(t->dtype), "shape", model_shape_json(t)));
    }
    return list;
}

static void print_json(const vdit_model *model, const facts *f, int with_tensors)
{
    const vdit_file *file = vdit_model_weights(model);
    json_t *dtypes = json_object(), *faults = json_array(), *all;

    for (int i = 0; i < VDIT_DTYPE_COUNT; i++)
        if (f->dtypes[i] > 0)
            json_object_set_new(dtypes, vdit_dtype_name((vdit_dtype)i),
                                json_integer((json_int_t)f->dtypes[i]));
    for (size_t i = 0; i < f->fault_count; i++)
        json_array_append_new(faults, json_pack("{s:s, s:I, s:I}", "name", f->faults[i].name, "nan",
                                                (json_int_t)f->faults[i].nan, "infinite",
                                                (json_int_t)f->faults[i].infinite));
    all = json_pack("{s:s, s:o, s:I, s:I, s:I, s:o, s:b, s:o}", "family", vdit_model_family(model),
                    "config", json_loads(vdit_model_configuration(model), 0, NULL), "parameters",
                    (json_int_t)f->parameters, "tensor_count", (json_int_t)vdit_file_count(file),
                    "bytes", (json_int_t)f->bytes, "dtypes", dtypes, "scanned", f->scanned,
                    "not_finite", faults);
    if (with_tensors)
        json_object_set_new(all, "tensors", tensors_json(file));
    model_print_json(all);
}

static void print_tensors(const vdit_file *file)
{
    char shape[128];

    for (size_t i = 0; i < vdit_file_count(file); i++) {
        const vdit_tensor *t = vdit_file_tensor(file, i);

        printf("%-64s %-4s %s\n", vdit_file_name(file, i), vdit_dtype_name(t->dtype),
               vdit_tensor_shape_text(shape, sizeof shape, t));
    }
}

/* A line per fact; the configuration, which has many, comes last. */
static void print_words(const vdit_model *model, const facts *f, int with_tensors)
{
    const vdit_file *file = vdit_model_weights(model);
    char bytes[32];

    printf("family      %s\n", vdit_model_family(model));
    printf("parameters  %.0f\n", f->parameters);
    printf("tensors     %zu\n", vdit_file_count(file));
    printf("dtypes     ");
    for (int i = 0; i < VDIT_DTYPE_COUNT; i++)
        if (f->dtypes[i] > 0)
            printf(" %s %zu", vdit_dtype_name((vdit_dtype)i), f->dtypes[i]);
    printf("\nbytes       %.0f (%s)\n", f->bytes,
           program_bytes_text(bytes, sizeof bytes, f->bytes));
    if (!f->scanned)
        printf("scan        none\n");
    else if (f->fault_count == 0)
        printf("scan        all finite\n");
    for (size_t i = 0; i < f->fault_count; i++)
        printf("scan        %s: %zu NaN, %zu infinite\n", f->faults[i].name, f->faults[i].nan,
               f->faults[i].infinite);
    printf("config      %s\n", vdit_model_configuration(model));
    if (with_tensors)
        print_tensors(file);
}

int model_inspect(vdit_run *run, const model_settings *set, model_operands operands)
{
    const char *path = model_only(operands, "inspect DIR");
    vdit_model *model = NULL;
    facts f = {0};

    vdit_model_open(run, &model, path);
    program_check(run);
    count(&f, vdit_model_weights(model));
    f.scanned = !set->no_scan;
    if (f.scanned) {
        program_progress(run);
        vdit_model_scan(run, model, &f.faults, &f.fault_count);
        program_check(run);
        program_progress_clear();
    }
    if (set->json)
        print_json(model, &f, set->tensors);
    else
        print_words(model, &f, set->tensors);
    vdit_model_close(model);
    return f.fault_count > 0;
}
