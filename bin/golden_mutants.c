/*
 * golden_mutants.c - is the judge sharp? Runs the backends of a plugin over recipes.
 *
 * A backend says in its about text what it is: "honest: ..." or "mutant: ...", followed by "[bf16
 * f16]" if that is true for some dtypes alone. The first one is the kernel that the others vary: where
 * a mutant gives its bits, it changes nothing, and the case does not count.
 */
#include "config.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <vdit/judge.h>
#include "golden.h"

#define DTYPES 3

static const vdit_dtype dtypes[DTYPES] = {VDIT_F32, VDIT_BF16, VDIT_F16};

/* What is known of one backend. */
typedef struct record {
    const vdit_backend *backend;
    const char *about; /* what follows the claim */
    int is_mutant;
    unsigned claims; /* bit 1 << i: the claim is made for dtypes[i] */
    size_t cases[DTYPES], rejected[DTYPES];
    double least,
        most; /* largest z of a case: the least among the rejected, the most among the others */
    unsigned rules; /* bit 1 << vdit_rule: what rejected it */
    int by_lse;
    const char *first; /* the first case that rejected it */
} record;

/* What is known of one case. */
typedef struct column {
    size_t cases, rejected, false_alarms;
    double least, honest;
    const char *least_name;
} column;

static unsigned read_claims(const char **text)
{
    unsigned claims = 0;
    const char *end = **text == '[' ? strchr(*text, ']') : NULL;

    if (end == NULL)
        return (1U << DTYPES) - 1;
    for (unsigned i = 0; i < DTYPES; i++) {
        const char *name = vdit_dtype_name(dtypes[i]), *at = *text + 1;
        size_t length = strlen(name);
        for (; at < end; at += strcspn(at, " ]") + 1)
            if (strncmp(at, name, length) == 0 && strchr(" ]", at[length]) != NULL)
                claims |= 1U << i;
    }
    *text = end + 1 + strspn(end + 1, " ");
    return claims;
}

static void read_about(record *r, const vdit_backend *backend)
{
    static const char honest[] = "honest: ", mutant[] = "mutant: ";
    const char *about = backend->about ? backend->about : "";

    *r = (record){.backend = backend, .least = HUGE_VAL};
    r->is_mutant = strncmp(about, mutant, strlen(mutant)) == 0;
    if (!r->is_mutant && strncmp(about, honest, strlen(honest)) != 0)
        program_fail("backend %s: about begins neither with \"honest: \" nor with \"mutant: \"",
                     backend->name);
    r->about = about + strlen(honest);
    r->claims = read_claims(&r->about);
    if (r->claims == 0)
        program_fail("backend %s: no dtype of f32, bf16, f16 in its brackets", backend->name);
}

/* Returns: the place of a dtype among the three. */
static size_t place_of(vdit_dtype dtype)
{
    size_t i = 0;

    while (i < DTYPES - 1 && dtypes[i] != dtype)
        i++;
    return i;
}

/* Returns: 1 if both have the same bits. Outputs are dense. */
static int same_bits(const vdit_named *a, const vdit_named *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(a[i].tensor.data, b[i].tensor.data,
                   vdit_tensor_count(&a[i].tensor) * vdit_dtype_size(a[i].tensor.dtype)) != 0)
            return 0;
    return 1;
}

static double largest_z(const vdit_case_finding *f)
{
    double z = f->main.difference.z;

    return f->has_lse && f->lse.difference.z > z ? f->lse.difference.z : z;
}

static void count_finding(record *r, column *c, const vdit_case_finding *f, size_t dtype)
{
    int is_rejected = f->verdict == VDIT_FAILS;
    double z = largest_z(f);

    r->cases[dtype]++;
    r->rejected[dtype] += is_rejected;
    if (is_rejected) {
        r->least = z < r->least ? z : r->least;
        r->rules |= 1U << f->main.rule;
        r->by_lse |= f->has_lse && f->lse.rule != VDIT_RULE_NONE;
        r->first = r->first ? r->first : f->name;
    } else {
        r->most = z > r->most ? z : r->most;
    }
    if (r->is_mutant) {
        c->cases++;
        c->rejected += is_rejected;
        if (is_rejected && z < c->least) {
            c->least = z;
            c->least_name = r->backend->name;
        }
    } else {
        c->honest = z > c->honest ? z : c->honest;
        c->false_alarms += is_rejected;
    }
}

/* Lets a backend compute a case. Returns: 0 if it refuses. */
static int apply(vdit_run *run, vdit_named *outputs, size_t *count, const vdit_golden *golden,
                 const vdit_backend *backend)
{
    if (vdit_golden_apply(run, outputs, count, golden, backend, NULL) == VDIT_ERR_UNSUPPORTED) {
        vdit_run_clear(run);
        return 0;
    }
    program_check(run);
    return 1;
}

static void print_column(const char *name, const column *c)
{
    program_progress_clear();
    if (c->cases == 0)
        printf("%-44s %9s %9s %-18s", name, "-", "-", "");
    else
        printf("%-44s %4zu/%-4zu %9.3g %-18s", name, c->rejected, c->cases, c->least,
               c->least_name ? c->least_name : "-");
    printf(" %9.3g%s\n", c->honest, c->false_alarms ? "  REJECTED" : "");
    fflush(stdout);
}

/* All backends on one case. */
static column run_case(vdit_run *run, record *records, size_t count, const vdit_case *wanted)
{
    size_t dtype = place_of(wanted->dtype), plain_count = 0, output_count = 0, mark;
    vdit_named plain[VDIT_GOLDEN_OUTPUTS], outputs[VDIT_GOLDEN_OUTPUTS];
    column c = {.least = HUGE_VAL};
    vdit_case_finding finding;
    vdit_golden golden;

    vdit_golden_generate(run, &golden, wanted);
    vdit_golden_compute(run, &golden);
    program_check(run);
    if (!apply(run, plain, &plain_count, &golden, records[0].backend))
        program_fail("backend %s: %s is refused", records[0].backend->name, wanted->name);
    for (size_t i = 0; i < count; i++) {
        record *r = &records[i];
        mark = vdit_run_mark(run);
        if ((r->claims & (1U << dtype)) != 0 &&
            vdit_golden_offers(r->backend, VDIT_OP_ATTENTION, wanted->plan != NULL) &&
            apply(run, outputs, &output_count, &golden, r->backend) &&
            !(r->is_mutant && same_bits(plain, outputs, output_count))) {
            vdit_case_judge(run, &finding, &golden, NULL, outputs, output_count);
            program_check(run);
            finding.name = wanted->name;
            count_finding(r, &c, &finding, dtype);
        }
        vdit_run_release(run, mark);
    }
    return c;
}

/* Writes "3/7" for each dtype. */
static const char *fraction(char *text, size_t size, const record *r, size_t i)
{
    if (r->cases[i] == 0)
        snprintf(text, size, "-");
    else
        snprintf(text, size, "%zu/%zu", r->rejected[i], r->cases[i]);
    return text;
}

/* Writes what rejected it: "NaN z rms gain lse". */
static const char *rules_text(char *text, size_t size, const record *r)
{
    static const struct {
        vdit_rule rule;
        const char *word;
    } words[] = {{VDIT_RULE_SPECIAL, "NaN "},
                 {VDIT_RULE_Z, "z "},
                 {VDIT_RULE_RMS, "rms "},
                 {VDIT_RULE_GAIN, "gain "}};
    size_t used = 0;

    *text = '\0';
    for (size_t i = 0; i < sizeof words / sizeof *words && used < size; i++)
        if (r->rules & (1U << words[i].rule))
            used += (size_t)snprintf(text + used, size - used, "%s", words[i].word);
    if (r->by_lse && used < size)
        snprintf(text + used, size - used, "lse");
    return text;
}

/* Returns: 1 if it does what its claim says: an honest one holds everywhere, a mutant is rejected in
 * some case of each dtype in which it changes anything. */
static int is_told(const record *r)
{
    for (size_t i = 0; i < DTYPES; i++)
        if (r->is_mutant ? r->cases[i] != 0 && r->rejected[i] == 0 : r->rejected[i] != 0)
            return 0;
    return 1;
}

static int is_exercised(const record *r)
{
    return r->cases[0] + r->cases[1] + r->cases[2] != 0;
}

static void print_record(const record *r)
{
    char cells[DTYPES][32], rules[32];

    for (size_t i = 0; i < DTYPES; i++)
        fraction(cells[i], sizeof cells[i], r, i);
    printf("%-18s %8s %8s %8s ", r->backend->name, cells[0], cells[1], cells[2]);
    if (isfinite(r->least) || r->first != NULL)
        printf("%9.3g ", r->least);
    else
        printf("%9s ", "-");
    printf("%9.3g  %-16s %s%s\n", r->most, rules_text(rules, sizeof rules, r), r->about,
           !is_told(r)        ? r->is_mutant ? "  SURVIVES" : "  REJECTED"
           : !is_exercised(r) ? "  (not exercised)"
                              : "");
}

static void print_records(const record *records, size_t count, int is_mutant)
{
    printf("\n%-18s %8s %8s %8s %9s %9s  %-16s %s\n", is_mutant ? "mutant" : "honest", "f32",
           "bf16", "f16", is_mutant ? "least z" : "rejected", is_mutant ? "survived" : "most z",
           "by", "");
    for (size_t i = 0; i < count; i++)
        if (records[i].is_mutant == is_mutant)
            print_record(&records[i]);
}

/* What all records say together. */
typedef struct score {
    size_t mutants, killed, idle, honest, accepted;
    double least, most; /* smallest z of a rejected case of a mutant; largest of an honest one */
} score;

static score add_up(const record *records, size_t count)
{
    score s = {.least = HUGE_VAL};

    for (size_t i = 0; i < count; i++) {
        const record *r = &records[i];
        if (!is_exercised(r)) {
            s.idle++;
        } else if (r->is_mutant) {
            s.mutants++;
            s.killed += is_told(r) != 0;
            s.least = r->least < s.least ? r->least : s.least;
        } else {
            s.honest++;
            s.accepted += is_told(r) != 0;
            s.most = r->most > s.most ? r->most : s.most;
        }
    }
    return s;
}

static json_t *record_json(const record *r)
{
    char rules[32];

    return json_pack("{s:s, s:s, s:s, s:[III], s:[III], s:o, s:f, s:s, s:b}", "name",
                     r->backend->name, "claim", r->is_mutant ? "mutant" : "honest", "about",
                     r->about, "cases", (json_int_t)r->cases[0], (json_int_t)r->cases[1],
                     (json_int_t)r->cases[2], "rejected", (json_int_t)r->rejected[0],
                     (json_int_t)r->rejected[1], (json_int_t)r->rejected[2], "least_rejected_z",
                     isfinite(r->least) ? json_real(r->least) : json_null(), "most_held_z", r->most,
                     "by", rules_text(rules, sizeof rules, r), "as_claimed", is_told(r));
}

static void print_score(const record *records, size_t count, int is_json)
{
    score s = add_up(records, count);

    if (is_json) {
        json_t *list = json_array();
        for (size_t i = 0; i < count; i++)
            json_array_append_new(list, record_json(&records[i]));
        golden_print_json(json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:o}", "mutants", (json_int_t)s.mutants, "rejected",
            (json_int_t)s.killed, "honest", (json_int_t)s.honest, "accepted",
            (json_int_t)s.accepted, "not_exercised", (json_int_t)s.idle, "backends", list));
        return;
    }
    print_records(records, count, 0);
    print_records(records, count, 1);
    printf("\n%zu of %zu mutants rejected, smallest z %.3g; %zu of %zu honest variants accepted, "
           "largest z %.3g; %zu not exercised\n",
           s.killed, s.mutants, s.least, s.accepted, s.honest, s.most, s.idle);
}

/* The case with at most so many rows, the first and the last among them. */
static vdit_case with_rows(const vdit_case *c, size_t rows)
{
    vdit_case few = *c;

    if (rows != 0 && vdit_case_rows(c) > rows) {
        few.row_every = 0;
        few.row_count = rows;
    }
    return few;
}

static void run_recipe(vdit_run *run, record *records, size_t count, const char *argument,
                       size_t rows, int is_json)
{
    vdit_recipe recipe;

    golden_load_recipe(run, &recipe, argument);
    for (size_t i = 0; i < recipe.case_count; i++) {
        vdit_case c = with_rows(&recipe.cases[i], rows);
        size_t mark = vdit_run_mark(run);
        column seen;
        if (c.op != VDIT_OP_ATTENTION || !golden_wants(c.name))
            continue;
        vdit_run_progress(run, "cases", (double)i, (double)recipe.case_count);
        program_check(run);
        seen = run_case(run, records, count, &c);
        if (!is_json)
            print_column(c.name, &seen);
        vdit_run_release(run, mark);
    }
}

int golden_mutants(vdit_run *run, const char *plugin, char *const *recipes, size_t count,
                   size_t rows, int is_json)
{
    vdit_loaded loaded;
    record *records;
    size_t backends;
    score s;

    vdit_plugin_load(run, &loaded, plugin);
    program_check(run);
    backends = loaded.plugin->count;
    records = vdit_run_alloc(run, backends, sizeof *records);
    program_check(run);
    for (size_t i = 0; i < backends; i++)
        read_about(&records[i], loaded.plugin->backends[i]);
    if (records[0].is_mutant)
        program_fail("%s: its first backend is a mutant; the honest kernel was expected", plugin);
    if (!is_json)
        printf("%-44s %9s %9s %-18s %9s\n", "case", "rejected", "least z", "of", "honest z");
    program_progress(run);
    for (size_t i = 0; i < count; i++)
        run_recipe(run, records, backends, recipes[i], rows, is_json);
    program_progress_clear();
    print_score(records, backends, is_json);
    s = add_up(records, backends);
    return s.killed != s.mutants || s.accepted != s.honest || s.mutants == 0 || s.honest == 0;
}
