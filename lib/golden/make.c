/*
 * make.c - making a corpus, so that an interrupted one continues.
 *
 * While a make is under way the folder has manifest.part.json, rewritten after every case, and no
 * manifest.json. A case of an earlier make is kept if its inputs, regenerated, have the sums that the
 * old manifest says, its contract and scale are the same, and its files hold what the manifest says:
 * the outputs are then a fact.
 */
#include "config.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "golden/case.h"
#include "golden/corpus.h"
#include "golden/layout.h"

typedef struct making {
    vdit_run *run;
    const vdit_recipe *recipe;
    const char *directory;
    const vdit_corpus_options *options;
    const char *whole, *part; /* paths of the manifest, when done and before */
    vdit_manifest old;        /* what an earlier make left; no cases if there is none */
    vdit_manifest made;
} making;

static int exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* An earlier manifest becomes the part; one that cannot be read is as good as none. */
static vdit_status take_over(making *m)
{
    if (mkdir(m->directory, 0777) != 0 && errno != EEXIST)
        return vdit_run_fail(m->run, VDIT_ERR_IO, "%s: cannot make the folder: %s", m->directory,
                             strerror(errno));
    if (exists(m->whole) && rename(m->whole, m->part) != 0)
        return vdit_run_fail(m->run, VDIT_ERR_IO, "%s: cannot rename: %s", m->whole,
                             strerror(errno));
    if (!exists(m->part))
        return VDIT_OK;
    if (vdit_manifest_read(m->run, &m->old, m->part) != VDIT_OK && vdit_corpus_forgive(m->run))
        return VDIT_OK;
    if (vdit_run_status(m->run) == VDIT_OK && strcmp(m->old.recipe, m->recipe->name) != 0)
        return vdit_run_fail(m->run, VDIT_ERR_ARGUMENT,
                             "%s: holds the corpus of recipe %s, not of %s", m->directory,
                             m->old.recipe, m->recipe->name);
    return vdit_run_status(m->run);
}

static int same_inputs(const vdit_manifest_case *old, const vdit_manifest_case *entry)
{
    size_t count = 0;

    for (size_t i = 0; i < old->tensor_count; i++)
        count += !old->tensors[i].is_output;
    if (count != entry->tensor_count)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const vdit_manifest_tensor *t = vdit_manifest_tensor_find(old, entry->tensors[i].name);
        if (t == NULL || !vdit_manifest_tensor_equal(t, &entry->tensors[i]))
            return 0;
    }
    return 1;
}

static int same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Returns: 1 if what the inputs do not show is the same. */
static int same_call(const vdit_case *a, const vdit_case *b)
{
    const vdit_tokens *s = &a->tokens, *t = &b->tokens;

    return a->op == b->op && a->contract == b->contract && a->axes == b->axes &&
           a->scale == b->scale && same_text(a->plan, b->plan) && same_text(a->meters, b->meters) &&
           s->frames == t->frames && s->height == t->height && s->width == t->width &&
           s->text == t->text && s->text_first == t->text_first;
}

/* Returns: 1 if the earlier case is what this one would become; entry has the sums of the inputs. */
static int can_keep(making *m, const vdit_manifest_case *old, const vdit_manifest_case *entry)
{
    vdit_golden golden;
    int holds;

    if (old == NULL || strcmp(m->old.library, PACKAGE_VERSION) != 0 ||
        !same_call(&old->params, &entry->params) || strcmp(old->in, entry->in) != 0 ||
        strcmp(old->out, entry->out) != 0 || !same_inputs(old, entry))
        return 0;
    if (vdit_golden_open(m->run, &golden, m->directory, old) != VDIT_OK) {
        vdit_corpus_forgive(m->run);
        return 0;
    }
    holds = vdit_corpus_sums_hold(&golden, old);
    vdit_golden_close(&golden);
    return holds;
}

static vdit_status write_files(making *m, const vdit_golden *golden,
                               const vdit_manifest_case *entry)
{
    char *in = vdit_path_join(m->run, m->directory, entry->in);
    char *out = vdit_path_join(m->run, m->directory, entry->out);

    if (vdit_run_status(m->run) == VDIT_OK)
        vdit_golden_write(m->run, golden, in, out);
    return vdit_run_status(m->run);
}

/* npy has no bf16: such a tensor becomes f32, exactly. */
static vdit_status widen(vdit_run *run, vdit_tensor *t)
{
    vdit_tensor wide;
    size_t count = vdit_tensor_count(t);
    char *narrow;

    if (t->dtype != VDIT_BF16)
        return VDIT_OK;
    if (vdit_tensor_new(run, &wide, VDIT_F32, t->rank, t->shape) != VDIT_OK)
        return vdit_run_status(run);
    narrow = vdit_run_alloc(run, count, 2);
    if (narrow == NULL)
        return vdit_run_status(run);
    vdit_tensor_pack(narrow, t);
    for (size_t i = 0; i < count; i++) {
        double value;
        vdit_load_f64(&value, 1, narrow + 2 * i, 1, VDIT_BF16);
        vdit_store_f64((char *)wide.data + 4 * i, VDIT_F32, value);
    }
    *t = wide;
    return VDIT_OK;
}

/* Returns: the path of CASE.in.npz in the folder for the name CASE.in.safetensors; NULL as usual. */
static char *npz_path(making *m, const char *name)
{
    char *path = vdit_path_join(m->run, m->directory, name);

    if (path != NULL)
        memcpy(path + strlen(path) - strlen("safetensors"), "npz", sizeof "npz");
    return path;
}

/* Returns: 1 if the options ask for npz files that are not there. */
static int lacks_npz(making *m, const vdit_manifest_case *entry)
{
    char *in, *out;

    if (m->options == NULL || !m->options->npz)
        return 0;
    in = npz_path(m, entry->in);
    out = npz_path(m, entry->out);
    return in == NULL || out == NULL || !exists(in) || !exists(out);
}

static vdit_status write_npz(making *m, const vdit_golden *golden, int is_output, const char *name)
{
    vdit_named wide[VDIT_GOLDEN_INPUTS + VDIT_GOLDEN_OUTPUTS];
    size_t count = vdit_layout_store(wide, golden, is_output);
    char *path = npz_path(m, name);

    for (size_t i = 0; i < count; i++)
        if (widen(m->run, &wide[i].tensor) != VDIT_OK)
            return vdit_run_status(m->run);
    if (path == NULL)
        return vdit_run_status(m->run);
    return vdit_npz_write(m->run, path, wide, count, 1);
}

/* Computes the outputs and writes the files; entry becomes complete. */
static vdit_status compute_case(making *m, vdit_golden *golden, vdit_manifest_case *entry)
{
    if (vdit_golden_compute(m->run, golden) != VDIT_OK)
        return vdit_run_status(m->run);
    vdit_manifest_add(entry, golden, 1);
    if (write_files(m, golden, entry) == VDIT_OK && m->options && m->options->npz) {
        write_npz(m, golden, 0, entry->in);
        write_npz(m, golden, 1, entry->out);
    }
    return vdit_run_status(m->run);
}

/* golden has its inputs; entry becomes complete. */
static vdit_status finish_case(making *m, vdit_golden *golden, vdit_manifest_case *entry)
{
    const vdit_manifest_case *old = vdit_manifest_find(&m->old, golden->name);
    int kept;

    vdit_manifest_add(entry, golden, 0);
    kept = can_keep(m, old, entry) && !lacks_npz(m, entry);
    if (kept) {
        memcpy(entry->tensors, old->tensors, sizeof entry->tensors);
        entry->tensor_count = old->tensor_count;
    } else {
        compute_case(m, golden, entry);
    }
    if (vdit_run_status(m->run) == VDIT_OK)
        vdit_corpus_report(m->options, kept ? VDIT_CASE_KEPT : VDIT_CASE_MADE, golden->name, "");
    return vdit_run_status(m->run);
}

/* The part: what is made, and what of the earlier make is still to be looked at. */
static vdit_status write_part(making *m)
{
    size_t mark = vdit_run_mark(m->run);
    vdit_manifest both = m->made;

    both.cases = vdit_run_alloc(m->run, both.case_count + m->old.case_count, sizeof *both.cases);
    if (both.cases == NULL)
        return vdit_run_status(m->run);
    memcpy(both.cases, m->made.cases, m->made.case_count * sizeof *both.cases);
    for (size_t i = 0; i < m->old.case_count; i++)
        if (vdit_manifest_find(&m->made, m->old.cases[i].params.name) == NULL)
            both.cases[both.case_count++] = m->old.cases[i];
    vdit_manifest_write(m->run, &both, m->part);
    vdit_run_release(m->run, mark);
    return vdit_run_status(m->run);
}

static vdit_status make_case(making *m, const vdit_case *c)
{
    vdit_manifest_case *entry = &m->made.cases[m->made.case_count];
    vdit_golden golden;
    size_t mark;

    vdit_corpus_report(m->options, VDIT_CASE_BEGIN, c->name, "");
    if (vdit_manifest_start(m->run, entry, c) != VDIT_OK)
        return vdit_run_status(m->run);
    mark = vdit_run_mark(m->run);
    if (vdit_golden_generate(m->run, &golden, c) == VDIT_OK)
        finish_case(m, &golden, entry);
    vdit_run_release(m->run, mark);
    if (vdit_run_status(m->run) != VDIT_OK)
        return vdit_run_status(m->run);
    m->made.case_count++;
    return write_part(m);
}

static vdit_status check_names(vdit_run *run, const vdit_recipe *recipe,
                               const vdit_corpus_options *options)
{
    const char **names = vdit_run_alloc(run, recipe->case_count, sizeof *names);

    for (size_t i = 0; names != NULL && i < recipe->case_count; i++)
        names[i] = recipe->cases[i].name;
    return names ? vdit_corpus_check_only(run, options, names, recipe->case_count)
                 : vdit_run_status(run);
}

vdit_status vdit_corpus_make(vdit_run *run, const vdit_recipe *recipe, const char *directory,
                             const vdit_corpus_options *options)
{
    size_t mark = vdit_run_mark(run);
    making m = {.run = run, .recipe = recipe, .directory = directory, .options = options};

    m.whole = vdit_path_join(run, directory, VDIT_MANIFEST_NAME);
    m.part = vdit_path_join(run, directory, VDIT_MANIFEST_PART);
    m.made = (vdit_manifest){recipe->name, PACKAGE_VERSION, 0,
                             vdit_run_alloc(run, recipe->case_count, sizeof *m.made.cases)};
    if (vdit_run_status(run) == VDIT_OK && check_names(run, recipe, options) == VDIT_OK)
        take_over(&m);
    for (size_t i = 0; vdit_run_status(run) == VDIT_OK && i < recipe->case_count; i++)
        if (vdit_corpus_wants(options, recipe->cases[i].name))
            make_case(&m, &recipe->cases[i]);
    if (vdit_run_status(run) == VDIT_OK && vdit_manifest_write(run, &m.made, m.whole) == VDIT_OK)
        unlink(m.part);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
