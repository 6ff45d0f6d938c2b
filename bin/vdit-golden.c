/* vdit-golden.c - makes, verifies and lists corpora. Its man page, vdit-golden(1), is the contract. */
#include "config.h"
#include "golden.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ONLY_MAX 1000 /* options --case */

/* What the command line says, and what happens to the cases. */
static struct {
    const char *output, *manifest;
    const char *only[ONLY_MAX];
    size_t only_count, rows;
    int npz, threads, json;
} set;

/* The state of the reports: counts, and with --json the list of events. */
typedef struct tally {
    size_t made, kept, hold;
    json_t *events;
} tally;

static void read_case(void *into, const char *option, const char *text)
{
    (void)into;
    if (set.only_count == ONLY_MAX)
        program_fail("--%s: more than %d cases", option, ONLY_MAX);
    set.only[set.only_count++] = text;
}

static const program_option options[] = {
    {"output", 'o', "DIR", "make: the folder to make the corpus in", program_read_text,
     &set.output},
    {"manifest", 0, "FILE", "verify: compare with the sums in this manifest", program_read_text,
     &set.manifest},
    {"case", 'c', "NAME", "only this case; may be given again", read_case, NULL},
    {"npz", 0, NULL, "make: write npz files too, bf16 widened to f32", program_read_flag, &set.npz},
    {"rows", 'r', "N", "mutants: compute at most N rows of a case", program_read_size, &set.rows},
    {"threads", 't', "N", "threads (default: all); the bits do not depend on it",
     program_read_threads, &set.threads},
    {"json", 0, NULL, "print what happened, or the list, as JSON", program_read_flag, &set.json},
    {0},
};

static const program self = {
    "vdit-golden",
    "Makes, verifies and lists corpora of golden outputs; scores mutants.",
    "make RECIPE -o DIR [OPTION]...\n"
    "verify RECIPE|DIR [OPTION]...\n"
    "list RECIPE [OPTION]...\n"
    "mutants PLUGIN RECIPE... [OPTION]...",
    options,
};

static int is_folder(const char *path)
{
    struct stat facts;

    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

void golden_load_recipe(vdit_run *run, vdit_recipe *recipe, const char *argument)
{
    vdit_recipe_load(run, recipe, program_data(run, argument, "recipes", ".json"));
    program_check(run);
}

int golden_wants(const char *name)
{
    for (size_t i = 0; i < set.only_count; i++)
        if (strcmp(set.only[i], name) == 0)
            return 1;
    return set.only_count == 0;
}

/* The words of each event, on stdout. */
static void report(void *state, vdit_case_event event, const char *name, const char *text)
{
    static const char *const words[] = {
        [VDIT_CASE_BEGIN] = NULL, [VDIT_CASE_MADE] = "made",    [VDIT_CASE_KEPT] = "kept",
        [VDIT_CASE_HOLDS] = "OK", [VDIT_CASE_DIFFERS] = "FAIL", [VDIT_CASE_EXTRA] = "EXTRA",
    };
    tally *t = state;

    if (event == VDIT_CASE_BEGIN)
        return;
    t->made += event == VDIT_CASE_MADE;
    t->kept += event == VDIT_CASE_KEPT;
    t->hold += event == VDIT_CASE_HOLDS;
    if (t->events != NULL) {
        json_array_append_new(t->events, json_pack("{s:s, s:s, s:s}", "event", words[event], "name",
                                                   name, "text", text));
        return;
    }
    program_progress_clear();
    printf(*text ? "%-5s %s: %s\n" : "%-5s %s%s\n", words[event], name, text);
    fflush(stdout); /* a line as soon as a case is done, also into a pipe */
}

static vdit_corpus_options corpus_options(tally *t)
{
    vdit_corpus_options o = {.report = report, .state = t, .npz = set.npz};

    if (set.only_count != 0) {
        o.only = set.only;
        o.only_count = set.only_count;
    }
    if (set.json)
        t->events = json_array();
    return o;
}

void golden_print_json(json_t *object)
{
    json_dumpf(object, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(object);
}

/* Out: total, the sum over the wanted cases. Returns: their number. */
static size_t add_costs(vdit_case_cost *total, const vdit_recipe *recipe)
{
    size_t count = 0;

    *total = (vdit_case_cost){0, 0, 0};
    for (size_t i = 0; i < recipe->case_count; i++) {
        vdit_case_cost cost;
        if (!golden_wants(recipe->cases[i].name))
            continue;
        vdit_case_estimate(&cost, &recipe->cases[i]);
        total->flops += cost.flops;
        total->in_bytes += cost.in_bytes;
        total->out_bytes += cost.out_bytes;
        count++;
    }
    return count;
}

/* Returns: the operations per second of a small attention on this machine, now. */
static double measure_rate(vdit_run *run)
{
    vdit_case c = {.name = "rate",
                   .family = vdit_family_find("normal"),
                   .contract = vdit_contract_find("f32"),
                   .dtype = VDIT_F32,
                   .B = 1,
                   .H = 1,
                   .Nq = 128,
                   .Nk = 1024,
                   .d = 64,
                   .dv = 64,
                   .scale = 0.125};
    size_t mark = vdit_run_mark(run);
    vdit_case_cost cost;
    vdit_golden golden;
    double start;

    vdit_case_estimate(&cost, &c);
    vdit_golden_generate(run, &golden, &c);
    start = program_seconds();
    vdit_golden_compute(run, &golden);
    program_check(run);
    vdit_run_release(run, mark);
    return cost.flops / (program_seconds() - start + 1e-6);
}

static void state_estimate(vdit_run *run, const vdit_recipe *recipe)
{
    char bytes[32], time[32];
    vdit_case_cost total;
    size_t count = add_costs(&total, recipe);

    program_say("%s: %zu cases, %.3g GFLOP, about %s, %s on disk", recipe->name, count,
                total.flops / 1e9,
                program_time_text(time, sizeof time, total.flops / measure_rate(run)),
                program_bytes_text(bytes, sizeof bytes, total.in_bytes + total.out_bytes));
}

/* Returns: the path of a recipe of networks, or NULL if the argument is none. */
static const char *networks(vdit_run *run, const char *argument)
{
    const char *path = is_folder(argument) ? NULL : program_data(run, argument, "recipes", ".json");

    return path != NULL && vdit_network_recipe_is(path) ? path : NULL;
}

static const char *make_corpus(vdit_run *run, const char *path, const vdit_corpus_options *o)
{
    vdit_recipe recipe;

    golden_load_recipe(run, &recipe, path);
    state_estimate(run, &recipe);
    program_progress(run);
    vdit_corpus_make(run, &recipe, set.output, o);
    program_check(run);
    program_progress_clear();
    return recipe.name;
}

static int make(vdit_run *run, const char *argument)
{
    tally t = {0};
    vdit_corpus_options o = corpus_options(&t);
    const char *path, *name;

    if (set.output == NULL)
        program_fail("make needs -o DIR");
    path = networks(run, argument);
    name = path != NULL ? golden_networks_make(run, path, set.output, &o)
                        : make_corpus(run, argument, &o);
    if (set.json)
        golden_print_json(json_pack("{s:s, s:s, s:I, s:I, s:o}", "recipe", name, "folder",
                                    set.output, "made", (json_int_t)t.made, "kept",
                                    (json_int_t)t.kept, "events", t.events));
    else
        printf("%zu cases in %s: %zu made, %zu kept\n", t.made + t.kept, set.output, t.made,
               t.kept);
    return 0;
}

/* Out: manifest, and for a recipe the recipe. Returns: the folder, or NULL for a recipe. */
static const char *load_verify(vdit_run *run, vdit_recipe *recipe, vdit_manifest *manifest,
                               const char *argument)
{
    const char *path = set.manifest, *folder = is_folder(argument) ? argument : NULL;
    char own[4096];

    if (folder == NULL) {
        golden_load_recipe(run, recipe, argument);
        if (path == NULL)
            path = program_data(run, recipe->name, "manifests", ".json");
    } else if (path == NULL) {
        snprintf(own, sizeof own, "%s/manifest.json", folder);
        path = own;
    }
    vdit_manifest_read(run, manifest, path);
    program_check(run);
    return folder;
}

static const char *verify_corpus(vdit_run *run, size_t *failures, const char *argument,
                                 const vdit_corpus_options *o)
{
    vdit_manifest manifest;
    vdit_recipe recipe;
    const char *folder = load_verify(run, &recipe, &manifest, argument);

    program_progress(run);
    vdit_corpus_verify(run, failures, folder ? NULL : &recipe, &manifest, folder, o);
    program_check(run);
    program_progress_clear();
    return manifest.recipe;
}

static int verify(vdit_run *run, const char *argument)
{
    tally t = {0};
    vdit_corpus_options o = corpus_options(&t);
    const char *path = networks(run, argument), *name;
    size_t failures;

    name = path != NULL ? golden_networks_verify(run, &failures, path, set.manifest, &o)
                        : verify_corpus(run, &failures, argument, &o);
    if (set.json)
        golden_print_json(json_pack("{s:s, s:I, s:I, s:o}", "recipe", name, "hold",
                                    (json_int_t)t.hold, "failures", (json_int_t)failures, "events",
                                    t.events));
    else
        printf("%zu cases hold, %zu failures\n", t.hold, failures);
    /* Nothing compared is nothing shown. */
    return failures != 0 || t.hold == 0;
}

static void shape_text(char *text, size_t size, const vdit_case *c)
{
    if (c->op == VDIT_OP_ATTENTION)
        snprintf(text, size, "%zux%zu %zux%zu d%zu", c->B, c->H, c->Nq, c->Nk, c->d);
    else if (c->op == VDIT_OP_LINEAR || c->op == VDIT_OP_MATMUL)
        snprintf(text, size, "%zux%zux%zu", c->M, c->K, c->N);
    else if (c->op == VDIT_OP_CONV)
        snprintf(text, size, "%zux%zu %zux%zux%zu", c->K, c->N, c->tokens.frames, c->tokens.height,
                 c->tokens.width);
    else if (c->op == VDIT_OP_GROUP_NORM)
        snprintf(text, size, "%zux%zux%zu", c->M, c->K, c->N);
    else if (c->M != 0)
        snprintf(text, size, "%zux%zu", c->M, c->N);
    else
        snprintf(text, size, "%zu", c->N);
}

static void list_case(json_t *events, const vdit_case *c)
{
    char shape[128], bytes[32];
    vdit_case_cost cost;

    vdit_case_estimate(&cost, c);
    shape_text(shape, sizeof shape, c);
    if (events != NULL) {
        json_array_append_new(
            events, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:f, s:f, s:f}", "name", c->name,
                              "op", vdit_operator_name(c->op), "family", c->family->name, "dtype",
                              vdit_dtype_name(c->dtype), "contract", c->contract->name, "shape",
                              shape, "rows", (json_int_t)vdit_case_rows(c), "flops", cost.flops,
                              "in_bytes", cost.in_bytes, "out_bytes", cost.out_bytes));
        return;
    }
    printf("%-44s %-24s %-12s %6zu %10.1f %10s\n", c->name, shape, c->contract->name,
           c->op == VDIT_OP_ATTENTION ? vdit_case_rows(c) : c->M, cost.flops / 1e6,
           program_bytes_text(bytes, sizeof bytes, cost.in_bytes + cost.out_bytes));
}

static int list(vdit_run *run, const char *argument)
{
    vdit_case_cost total;
    vdit_recipe recipe;
    json_t *cases = set.json ? json_array() : NULL;
    const char *path = networks(run, argument);
    char bytes[32];
    size_t count;

    if (path != NULL) {
        golden_networks_list(run, path, cases);
        if (cases != NULL)
            golden_print_json(json_pack("{s:o}", "cases", cases));
        return 0;
    }
    golden_load_recipe(run, &recipe, argument);
    if (!set.json)
        printf("%-44s %-24s %-12s %6s %10s %10s\n", "CASE", "SHAPE", "CONTRACT", "ROWS", "MFLOP",
               "SIZE");
    for (size_t i = 0; i < recipe.case_count; i++)
        if (golden_wants(recipe.cases[i].name))
            list_case(cases, &recipe.cases[i]);
    count = add_costs(&total, &recipe);
    if (set.json)
        golden_print_json(json_pack("{s:s, s:s, s:o}", "recipe", recipe.name, "about", recipe.about,
                                    "cases", cases));
    else
        printf("%zu cases, %.1f MFLOP, %s\n", count, total.flops / 1e6,
               program_bytes_text(bytes, sizeof bytes, total.in_bytes + total.out_bytes));
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*act)(vdit_run *run, const char *argument);
    } commands[] = {{"make", make}, {"verify", verify}, {"list", list}};
    char **operands;
    int count = program_parse(&self, argc, argv, &operands), status;
    vdit_run *run = vdit_run_new();
    size_t i = 0;

    if (run == NULL)
        program_fail("no memory");
    vdit_run_set_threads(run, set.threads);
    if (count >= 3 && strcmp(operands[0], "mutants") == 0) {
        status =
            golden_mutants(run, operands[1], operands + 2, (size_t)count - 2, set.rows, set.json);
        vdit_run_free(run);
        return program_finish(status);
    }
    if (count != 2)
        program_fail(
            "expected make, verify or list, and one recipe or folder, or mutants, a plugin "
            "and recipes; see --help");
    while (i < 3 && strcmp(commands[i].name, operands[0]) != 0)
        i++;
    if (i == 3)
        program_fail("'%s' is none of make, verify, list, mutants", operands[0]);
    status = commands[i].act(run, operands[1]);
    vdit_run_free(run);
    return program_finish(status);
}
