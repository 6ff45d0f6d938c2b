/* vdit-check.c - judge the outputs of a backend: from files, a command, or a backend by name. */
#include "config.h"
#include "check.h"
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    const char *command, *backend, *plugin, *contract, *pattern, *waivers, *sigma, *picture;
    int is_json, threads, relations, explain;
} options;

static const program_option option_table[] = {
    {"exec", 'e', "COMMAND", "run COMMAND per case; {in} and {out} are its files",
     program_read_text, &options.command},
    {"backend", 'b', "NAME", "judge a backend of the library: reference or fast", program_read_text,
     &options.backend},
    {"plugin", 'p', "FILE[:NAME]", "judge a backend of a shared object, vdit-backend(3)",
     program_read_text, &options.plugin},
    {"contract", 'c', "NAME", "judge by this contract, not by the case's own; auto: find it",
     program_read_text, &options.contract},
    {"sigma", 's', "FILE:NAME", "sigma of EXPECTED, for two tensor files", program_read_text,
     &options.sigma},
    {"case", 0, "PATTERN", "only cases, or activations, whose name fits the pattern",
     program_read_text, &options.pattern},
    {"explain", 'x', NULL, "say what a case that fails is consistent with", program_read_flag,
     &options.explain},
    {"picture", 0, "FILE", "with --explain: the residual of the worst case, as a PNG image",
     program_read_text, &options.picture},
    {"relations", 0, NULL, "try what must be true of a backend without a golden", program_read_flag,
     &options.relations},
    {"waivers", 0, "FILE", "expected failures: case, reason, expires", program_read_text,
     &options.waivers},
    {"json", 'j', NULL, "print one JSON object", program_read_flag, &options.is_json},
    {"threads", 't', "N", "threads to use", program_read_threads, &options.threads},
    {0},
};

static const program self = {
    "vdit-check",
    "Says whether the differences of an attention backend are normal.",
    "[OPTION...] CORPUS OUTPUTS\n[OPTION...] --exec COMMAND RECIPE|CORPUS\n"
    "[OPTION...] --backend NAME RECIPE|CORPUS\n[OPTION...] --plugin FILE[:NAME] RECIPE|CORPUS\n"
    "--relations --backend NAME|--plugin FILE[:NAME] [OPTION...] [RECIPE]\n"
    "[OPTION...] EXPECTED ACTUAL\n[OPTION...] TRACE TRACE",
    option_table,
};

/* Returns: "folder/name" followed by suffix, in the run's memory. */
static char *join(vdit_run *run, const char *folder, const char *name, const char *suffix)
{
    size_t size = strlen(folder) + strlen(name) + strlen(suffix) + 2;
    char *path = vdit_run_alloc(run, size, 1);

    program_check(run);
    snprintf(path, size, "%s/%s%s", folder, name, suffix);
    return path;
}

static int is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* A folder that a backend's outputs must not be mixed with: what it leaves out would be there. */
static int is_corpus(const char *folder)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/manifest.json", folder);

    return length > 0 && (size_t)length < sizeof path && access(path, F_OK) == 0;
}

size_t check_case_count(const check_job *j)
{
    return j->corpus ? j->manifest.case_count : j->recipe.case_count;
}

vdit_case *check_case_at(check_job *j, size_t i)
{
    return j->corpus ? &j->manifest.cases[i].params : &j->recipe.cases[i];
}

int check_is_selected(const vdit_case *c)
{
    return options.pattern == NULL || fnmatch(options.pattern, c->name, 0) == 0;
}

/*
 * Reads a corpus or a recipe. A contract of the command line takes the place of a recipe's, so that
 * sigma is computed once; exact needs none.
 */
static void read_cases(check_job *j, const char *argument)
{
    int recomputes_sigma;

    if (j->outputs != NULL)
        argument = program_data(j->run, argument, ".", "");
    if (j->outputs != NULL || is_folder(argument)) {
        j->corpus = argument;
        vdit_manifest_read(j->run, &j->manifest, join(j->run, argument, "manifest", ".json"));
    } else {
        vdit_recipe_load(j->run, &j->recipe, program_data(j->run, argument, "recipes", ".json"));
    }
    program_check(j->run);
    recomputes_sigma =
        j->corpus == NULL && j->contract != NULL && j->contract != vdit_contract_find("exact");
    for (size_t i = 0; recomputes_sigma && i < j->recipe.case_count; i++)
        j->recipe.cases[i].contract = j->contract;
}

/* Selects cases and makes their column as wide as the longest name. Returns: their number. */
static size_t count_selected(check_job *j)
{
    size_t selected = 0;

    for (size_t i = 0; i < check_case_count(j); i++) {
        size_t length = strlen(check_case_at(j, i)->name);
        if (!check_is_selected(check_case_at(j, i)))
            continue;
        selected++;
        j->printer.width = length > j->printer.width ? length : j->printer.width;
    }
    if (selected == 0 && check_case_count(j) != 0)
        program_fail("--case: no case fits '%s'", options.pattern);
    if (selected != check_case_count(j))
        program_say("%zu of %zu cases selected", selected, check_case_count(j));
    return selected;
}

/* Out: golden with inputs and outputs. */
static void load_golden(check_job *j, vdit_golden *golden, size_t i)
{
    if (j->corpus != NULL) {
        vdit_golden_open(j->run, golden, j->corpus, &j->manifest.cases[i]);
    } else {
        vdit_golden_generate(j->run, golden, &j->recipe.cases[i]);
        vdit_golden_compute(j->run, golden);
    }
    program_check(j->run);
}

/* Judges what a backend computed: by a contract, or by all until one holds. */
static void judge_outputs(check_job *j, vdit_case_finding *f, const vdit_golden *golden,
                          const vdit_named *list, size_t count)
{
    vdit_grade grade;

    if (!j->is_auto) {
        vdit_case_judge(j->run, f, golden, j->contract, list, count);
    } else if (vdit_case_grade(j->run, &grade, golden, list, count) == VDIT_OK) {
        check_levels_add(&j->levels, golden, &grade);
        *f = grade.finding;
    }
    vdit_case_ratio(j->run, f, golden, list, count);
    if (j->explains)
        check_explain(j, &j->explained, f, golden, list, count);
}

/* Judges the tensors of an output file; what is wrong with the file is a failure of the case. */
static void judge_file(check_job *j, vdit_case_finding *f, const vdit_golden *golden,
                       const char *path)
{
    vdit_file *file;
    vdit_named *list;
    size_t count;

    if (access(path, F_OK) != 0) {
        snprintf(f->reason, sizeof f->reason, "no output file");
        return;
    }
    if (vdit_file_open(j->run, &file, path) != VDIT_OK) {
        snprintf(f->reason, sizeof f->reason, "%s", vdit_run_message(j->run));
        vdit_run_clear(j->run);
        return;
    }
    count = vdit_file_count(file);
    list = vdit_run_alloc(j->run, count, sizeof *list);
    program_check(j->run);
    for (size_t i = 0; i < count; i++) {
        list[i].name = vdit_file_name(file, i);
        list[i].tensor = vdit_golden_logical(golden, list[i].name, vdit_file_tensor(file, i));
    }
    judge_outputs(j, f, golden, list, count);
    vdit_file_close(file);
}

static void judge_folder(check_job *j, vdit_case_finding *f, const vdit_golden *golden)
{
    const char *path = join(j->run, j->outputs, golden->name, ".safetensors");

    if (access(path, F_OK) != 0)
        path = join(j->run, j->outputs, golden->name, ".out.safetensors");
    judge_file(j, f, golden, path);
}

/* What a backend refuses is a failure of the case; without memory, or interrupted, nothing is judged. */
static void judge_backend(check_job *j, vdit_case_finding *f, const vdit_golden *golden)
{
    vdit_named outputs[VDIT_GOLDEN_OUTPUTS];
    size_t count = 0;
    vdit_status status = vdit_golden_apply(j->run, outputs, &count, golden, j->backend, NULL);

    if (status == VDIT_ERR_MEMORY || status == VDIT_ERR_CANCELLED)
        return;
    if (status != VDIT_OK) {
        snprintf(f->reason, sizeof f->reason, "%s", vdit_run_message(j->run));
        vdit_run_clear(j->run);
        return;
    }
    judge_outputs(j, f, golden, outputs, count);
}

static void judge_command(check_job *j, vdit_case_finding *f, const vdit_golden *golden, size_t i)
{
    const char *in, *out = join(j->run, j->command.folder, golden->name, ".safetensors");

    if (j->corpus != NULL) {
        in = join(j->run, j->corpus, j->manifest.cases[i].in, "");
    } else {
        in = join(j->run, j->command.folder, golden->name, ".in.safetensors");
        vdit_golden_write(j->run, golden, in, NULL);
        program_check(j->run);
    }
    if (check_command_run(j->run, &j->command, in, out, f->reason, sizeof f->reason))
        judge_file(j, f, golden, out);
    if (j->corpus == NULL)
        remove(in);
    remove(out);
}

static void judge_case(check_job *j, size_t i)
{
    size_t mark = vdit_run_mark(j->run);
    const check_waiver *waiver = NULL;
    vdit_golden golden;
    vdit_case_finding f;

    j->explained.is_explained = 0;
    load_golden(j, &golden, i);
    vdit_case_refuse(&f, golden.name, golden.op, j->contract ? j->contract : golden.contract, "");
    if (j->backend != NULL)
        judge_backend(j, &f, &golden);
    else if (j->outputs != NULL)
        judge_folder(j, &f, &golden);
    else
        judge_command(j, &f, &golden, i);
    program_check(j->run);
    if (f.verdict != VDIT_HOLDS)
        waiver = check_waivers_find(&j->waivers, f.name);
    vdit_tally_add(&j->tally, &f, waiver != NULL);
    program_progress_clear();
    j->printer.explanation = j->explained.is_explained ? &j->explained.explanation : NULL;
    check_print(&j->printer, &f, waiver);
    if (j->explains && !j->printer.is_json)
        check_explain_print(j, &j->explained, &f);
    vdit_golden_close(&golden);
    vdit_run_release(j->run, mark);
}

/* The reference against itself would say nothing of the backend. */
static int falls_back(check_job *j, size_t i)
{
    const vdit_case *c = check_case_at(j, i);
    vdit_operator op = c->op;

    if (j->backend == NULL || vdit_golden_offers(j->backend, op, c->plan != NULL))
        return 0;
    j->printer.fell_back_ops |= 1U << (c->plan ? CHECK_EDITED : (int)op);
    j->printer.fell_back++;
    return 1;
}

static void judge_cases(check_job *j, const char *argument)
{
    size_t selected, done = 0;

    read_cases(j, argument);
    selected = count_selected(j);
    for (size_t i = 0; i < check_case_count(j); i++) {
        if (!check_is_selected(check_case_at(j, i)))
            continue;
        vdit_run_progress(j->run, "cases", (double)done++, (double)selected);
        program_check(j->run);
        if (!falls_back(j, i))
            judge_case(j, i);
    }
}

/* What two operands, or one, are. */
enum { IS_CASES, IS_PAIR, IS_TRACE };

/* What goes with cases and not with two files. */
static void check_usage_of_files(int kind)
{
    if (kind == IS_CASES && options.sigma != NULL)
        program_fail("--sigma goes with two tensor files");
    if (kind == IS_TRACE && options.sigma != NULL)
        program_fail("--sigma goes with two tensors: a trace has its own");
    if (kind != IS_CASES && options.contract != NULL && strcmp(options.contract, "auto") == 0)
        program_fail("--contract auto goes with cases, not with two tensor files");
    if (kind == IS_PAIR && options.pattern != NULL)
        program_fail("--case goes with cases and traces, not with two tensor files");
    if (kind == IS_TRACE && options.waivers != NULL)
        program_fail("--waivers goes with cases, not with traces");
}

/* What the options and operands ask for; fails if they do not fit. Returns: IS_... */
static int check_usage(int count, char **operands)
{
    int callees = (options.command != NULL) + (options.backend != NULL) + (options.plugin != NULL);
    int wanted = callees ? 1 : 2, kind = IS_CASES, is_pair;

    if (callees > 1)
        program_fail("--exec, --backend and --plugin exclude each other");
    if (options.picture != NULL && !options.explain)
        program_fail("--picture goes with --explain");
    if (options.relations && (options.backend == NULL) == (options.plugin == NULL))
        program_fail("--relations goes with --backend or --plugin");
    if (options.relations && count == 0)
        return IS_CASES;
    if (count != wanted)
        program_fail("%d operands where %d were expected; see vdit-check --help", count, wanted);
    is_pair = wanted == 2 && !is_folder(operands[0]) && !is_folder(operands[1]);
    if (is_pair && (check_is_trace(operands[0]) || check_is_trace(operands[1])))
        kind = IS_TRACE;
    else if (is_pair)
        kind = IS_PAIR;
    check_usage_of_files(kind);
    if (wanted == 2 && !is_pair && !is_folder(operands[1]))
        program_fail("%s: a folder of outputs was expected", operands[1]);
    if (wanted == 2 && !is_pair && is_corpus(operands[1]))
        program_fail("%s: a corpus, whose goldens would judge themselves; outputs were expected",
                     operands[1]);
    return kind;
}

static void set_up(check_job *j)
{
    j->run = vdit_run_new();
    if (j->run == NULL)
        program_fail("no memory");
    vdit_run_set_threads(j->run, options.threads);
    program_progress(j->run);
    j->is_auto = options.contract != NULL && strcmp(options.contract, "auto") == 0;
    if (options.contract != NULL && !j->is_auto) {
        j->contract = vdit_contract_find(options.contract);
        if (j->contract == NULL)
            program_fail("--contract: no contract is called '%s'", options.contract);
    }
    if (options.backend != NULL) {
        j->backend = vdit_backend_find(options.backend);
        if (j->backend == NULL)
            program_fail("--backend: no backend is called '%s'", options.backend);
    }
    if (options.plugin != NULL)
        j->backend = program_plugin(j->run, options.plugin);
    if (options.waivers != NULL)
        check_waivers_read(j->run, &j->waivers, options.waivers);
    if (options.command != NULL)
        check_command_begin(j->run, &j->command, options.command);
}

/* Returns: what chooses backend and cases, for a line that runs one case again. */
static const char *again_text(vdit_run *run, int count, char **operands)
{
    const char *option = options.command  ? "--exec '"
                         : options.plugin ? "--plugin '"
                                          : "--backend '";
    const char *value = options.command  ? options.command
                        : options.plugin ? options.plugin
                                         : options.backend;
    size_t size = strlen(operands[0]) + strlen(value ? value : operands[1]) + 32;
    char *text = vdit_run_alloc(run, size, 1);

    program_check(run);
    if (value != NULL)
        snprintf(text, size, "%s%s' %s", option, value, operands[0]);
    else
        snprintf(text, size, "%s %s", operands[0], count > 1 ? operands[1] : "");
    return text;
}

int main(int argc, char **argv)
{
    static const int statuses[] = {[VDIT_FAILS] = 1, [VDIT_INCONCLUSIVE] = 3, [VDIT_HOLDS] = 0};
    static check_job j;
    char **operands;
    int count = program_parse(&self, argc, argv, &operands);
    int kind = check_usage(count, operands);
    vdit_verdict verdict;

    set_up(&j);
    j.printer.is_json = options.is_json;
    j.printer.levels = j.is_auto ? &j.levels : NULL;
    j.printer.noun = kind == IS_PAIR ? "tensor" : "case";
    if (options.relations) {
        read_cases(&j, count == 1 ? operands[0] : "quick");
        count_selected(&j);
        verdict = check_relations(&j);
        vdit_run_free(j.run);
        return program_finish(statuses[verdict]);
    }
    if (kind == IS_TRACE) {
        verdict = check_trace(&j, operands[0], operands[1], options.pattern);
        vdit_run_free(j.run);
        return program_finish(statuses[verdict]);
    }
    if (kind == IS_PAIR) {
        check_pair(&j, operands[0], operands[1], options.sigma);
    } else {
        j.outputs = count == 2 ? operands[1] : NULL;
        j.explains = options.explain;
        j.picture = options.picture;
        j.again = again_text(j.run, count, operands);
        judge_cases(&j, operands[0]);
    }
    check_waivers_say(&j.waivers);
    verdict = j.is_auto ? check_levels_verdict(&j.levels, &j.tally) : vdit_tally_verdict(&j.tally);
    check_print_total(&j.printer, &j.tally, verdict);
    vdit_run_free(j.run);
    return program_finish(statuses[verdict]);
}
