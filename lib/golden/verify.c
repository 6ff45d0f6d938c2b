/* verify.c - recomputing the cases of a manifest and comparing bits. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file/dense.h"
#include "golden/corpus.h"
#include "golden/layout.h"

typedef struct verifying {
    vdit_run *run;
    const vdit_recipe *recipe; /* NULL: the manifest's own cases */
    const vdit_manifest *manifest;
    const char *directory; /* NULL: no files */
    const vdit_corpus_options *options;
    size_t failures;
    size_t in_case; /* failures of the current case */
} verifying;

static void fails(verifying *v, vdit_case_event event, const char *name, const char *format, ...)
    VDIT_PRINTF(4, 5);

static void fails(verifying *v, vdit_case_event event, const char *name, const char *format, ...)
{
    char text[1200];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    v->failures++;
    v->in_case++;
    vdit_corpus_report(v->options, event, name, text);
}

/* Where two tensors of one shape and dtype differ. */
typedef struct difference {
    size_t count, first; /* elements */
} difference;

static difference compare(const vdit_tensor *a, const vdit_tensor *b)
{
    size_t size = vdit_dtype_size(a->dtype), bytes, at = 0;
    vdit_dense left = vdit_dense_start(a), right = vdit_dense_start(b);
    unsigned char left_bytes[8192], right_bytes[8192];
    difference d = {0, 0};

    while ((bytes = vdit_dense_read(&left, left_bytes, sizeof left_bytes)) > 0) {
        vdit_dense_read(&right, right_bytes, sizeof right_bytes);
        for (size_t i = 0; i < bytes; i += size, at++)
            if (memcmp(left_bytes + i, right_bytes + i, size) != 0 && d.count++ == 0)
                d.first = at;
    }
    return d;
}

/* Writes the index of element number n as "[0, 0, 3, 17]". Returns: its value. */
static double locate(char *text, size_t size, const vdit_tensor *t, size_t n)
{
    vdit_tensor place = *t;
    double value;

    for (int i = t->rank - 1; i >= 0; n /= t->shape[i], i--)
        place.shape[i] = n % t->shape[i];
    vdit_tensor_shape_text(text, size, &place);
    vdit_load_f64(&value, 1, vdit_tensor_at(t, place.shape), 1, t->dtype);
    return value;
}

static void compare_values(verifying *v, const char *name, const vdit_manifest_case *listed,
                           const char *tensor, const vdit_tensor *file, const vdit_tensor *now)
{
    difference d = compare(file, now);
    char place[200];
    double in_file, recomputed;

    if (d.count == 0)
        return;
    in_file = locate(place, sizeof place, file, d.first);
    recomputed = locate(place, sizeof place, now, d.first);
    fails(v, VDIT_CASE_DIFFERS, name,
          "%s: tensor \"%s\": %zu of %zu elements differ, the first at %s: %.9g in the file, %.9g "
          "recomputed",
          vdit_manifest_tensor_find(listed, tensor)->is_output ? listed->out : listed->in, tensor,
          d.count, vdit_tensor_count(now), place, in_file, recomputed);
}

/* The scale and the layout that commands read from the file must be the case's. */
static void compare_meta(verifying *v, const vdit_golden *file, const vdit_manifest_case *listed)
{
    const char *scale = vdit_file_meta(file->in, "scale");
    const char *layout = vdit_file_meta(file->in, "layout");

    if (file->op == VDIT_OP_ATTENTION && (scale == NULL || !(strtod(scale, NULL) == file->scale)))
        fails(v, VDIT_CASE_DIFFERS, file->name, "%s: metadata \"scale\" is %.40s, expected %.17g",
              listed->in, scale ? scale : "missing", file->scale);
    if (file->op == VDIT_OP_ATTENTION &&
        strcmp(layout ? layout : "BHND", vdit_axes_name(file->axes)) != 0)
        fails(v, VDIT_CASE_DIFFERS, file->name, "%s: metadata \"layout\" is %.40s, expected %s",
              listed->in, layout ? layout : "missing", vdit_axes_name(file->axes));
}

static void verify_files(verifying *v, const vdit_golden *now, const vdit_manifest_case *listed)
{
    vdit_golden file;

    if (vdit_golden_open(v->run, &file, v->directory, listed) != VDIT_OK) {
        char message[1000];
        snprintf(message, sizeof message, "%s", vdit_run_message(v->run));
        if (vdit_corpus_forgive(v->run))
            fails(v, VDIT_CASE_DIFFERS, now->name, "%s", message);
        return;
    }
    compare_meta(v, &file, listed);
    for (size_t i = 0; i < listed->tensor_count; i++) {
        const char *tensor = listed->tensors[i].name;
        vdit_tensor recomputed, held;
        if (vdit_layout_find(&recomputed, now, tensor) && vdit_layout_find(&held, &file, tensor))
            compare_values(v, now->name, listed, tensor, &held, &recomputed);
    }
    vdit_golden_close(&file);
}

/* Returns: 1 if dtype, shape and place of the two are equal. */
static int same_form(vdit_manifest_tensor a, const vdit_manifest_tensor *b)
{
    memcpy(a.sha256, b->sha256, sizeof a.sha256);
    return vdit_manifest_tensor_equal(&a, b);
}

/* What the manifest says against what was recomputed. Returns: 1 if the files may be compared. */
static int verify_sums(verifying *v, const vdit_manifest_case *now,
                       const vdit_manifest_case *listed)
{
    const char *name = now->params.name;
    int comparable = 1;

    if (listed->params.contract != now->params.contract)
        fails(v, VDIT_CASE_DIFFERS, name, "the manifest has the contract %s, the recipe %s",
              listed->params.contract->name, now->params.contract->name);
    for (size_t i = 0; i < now->tensor_count; i++) {
        const vdit_manifest_tensor *t = vdit_manifest_tensor_find(listed, now->tensors[i].name);
        if (t != NULL && same_form(*t, &now->tensors[i])) {
            if (strcmp(t->sha256, now->tensors[i].sha256) != 0)
                fails(v, VDIT_CASE_DIFFERS, name,
                      "tensor \"%s\": SHA-256 %.16s... in the manifest, %.16s... recomputed",
                      t->name, t->sha256, now->tensors[i].sha256);
            continue;
        }
        comparable = 0;
        fails(v, VDIT_CASE_DIFFERS, name, "tensor \"%s\": %s in the manifest", now->tensors[i].name,
              t ? "another dtype, shape or file" : "missing");
    }
    if (listed->tensor_count > now->tensor_count)
        fails(v, VDIT_CASE_DIFFERS, name, "the manifest lists %zu tensors, the case has %zu",
              listed->tensor_count, now->tensor_count);
    return comparable;
}

static void verify_case(verifying *v, const vdit_case *c, const vdit_manifest_case *listed)
{
    size_t mark = vdit_run_mark(v->run);
    vdit_manifest_case now;
    vdit_golden golden;

    v->in_case = 0;
    vdit_corpus_report(v->options, VDIT_CASE_BEGIN, c->name, "");
    if (listed == NULL) {
        fails(v, VDIT_CASE_DIFFERS, c->name, "the manifest has no such case");
        return;
    }
    if (vdit_golden_generate(v->run, &golden, c) == VDIT_OK &&
        vdit_golden_compute(v->run, &golden) == VDIT_OK &&
        vdit_manifest_start(v->run, &now, c) == VDIT_OK) {
        vdit_manifest_add(&now, &golden, 0);
        vdit_manifest_add(&now, &golden, 1);
        if (verify_sums(v, &now, listed) && v->directory != NULL)
            verify_files(v, &golden, listed);
    }
    vdit_run_release(v->run, mark);
    if (vdit_run_status(v->run) == VDIT_OK && v->in_case == 0)
        vdit_corpus_report(v->options, VDIT_CASE_HOLDS, c->name, "");
}

/* Cases that only the manifest has, when a recipe says what there should be. */
static void find_extra_cases(verifying *v)
{
    for (size_t i = 0; i < v->manifest->case_count; i++) {
        const char *name = v->manifest->cases[i].params.name;
        size_t n = 0;
        while (n < v->recipe->case_count && strcmp(v->recipe->cases[n].name, name) != 0)
            n++;
        if (n == v->recipe->case_count)
            fails(v, VDIT_CASE_EXTRA, name, "in the manifest, but no case of the recipe");
    }
}

vdit_status vdit_corpus_verify(vdit_run *run, size_t *failures, const vdit_recipe *recipe,
                               const vdit_manifest *manifest, const char *directory,
                               const vdit_corpus_options *options)
{
    verifying v = {run, recipe, manifest, directory, options, 0, 0};
    size_t count = recipe ? recipe->case_count : manifest->case_count;
    size_t mark = vdit_run_mark(run);
    const vdit_case **cases = vdit_run_alloc(run, count, sizeof *cases);
    const char **names = vdit_run_alloc(run, count, sizeof *names);

    for (size_t i = 0; vdit_run_status(run) == VDIT_OK && i < count; i++) {
        cases[i] = recipe ? &recipe->cases[i] : &manifest->cases[i].params;
        names[i] = cases[i]->name;
    }
    vdit_corpus_check_only(run, options, names, count);
    for (size_t i = 0; vdit_run_status(run) == VDIT_OK && i < count; i++)
        if (vdit_corpus_wants(options, cases[i]->name))
            verify_case(&v, cases[i], vdit_manifest_find(manifest, cases[i]->name));
    if (vdit_run_status(run) == VDIT_OK && (options == NULL || options->only == NULL)) {
        if (recipe != NULL)
            find_extra_cases(&v);
        if (directory != NULL)
            vdit_corpus_find_extra(run, &v.failures, manifest, directory, options);
    }
    vdit_run_release(run, mark);
    if (vdit_run_status(run) == VDIT_OK)
        *failures = v.failures;
    return vdit_run_status(run);
}
