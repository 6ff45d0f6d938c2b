/* check_relations.c - vdit-check --relations: a table of what is true of a backend without a golden. */
#include "config.h"
#include "relations.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define RELATIONS_MAX 32

/* What the cases say of one relation. */
typedef struct relation_tally {
    size_t bits, within, broken;
    double z;        /* the largest */
    char where[256]; /* case and reason */
} relation_tally;

/* Two honest outputs differ by the roundings of both: sigma times the root of 2, from row first on. */
static vdit_status pair_sigma(vdit_run *run, vdit_tensor *sigma, const relation_pair *pair,
                              const vdit_contract *contract)
{
    vdit_attention a = *pair->noise;
    size_t shape[4] = {a.q->shape[0], a.q->shape[1], a.rows ? a.rows->shape[0] : a.q->shape[2],
                       a.v->shape[3]};
    vdit_tensor one;
    size_t count;

    if (vdit_tensor_new(run, &one, VDIT_BF16, 4, shape) != VDIT_OK ||
        vdit_tensor_new(run, sigma, VDIT_F64, 4, shape) != VDIT_OK)
        return vdit_run_status(run);
    a.sigma = &one;
    a.noise = vdit_contract_noise(contract, a.k->shape[2]);
    if (vdit_attention_reference(run, &a) != VDIT_OK)
        return vdit_run_status(run);
    count = vdit_tensor_count(&one);
    vdit_load_f64(sigma->data, count, one.data, 1, VDIT_BF16);
    for (size_t i = 0; i < count; i++)
        ((double *)sigma->data)[i] *= sqrt(2);
    sigma->data =
        (double *)sigma->data + pair->first * shape[3]; /* whole heads follow each other */
    sigma->shape[2] = pair->expected.shape[2];
    return VDIT_OK;
}

/*
 * Judges a pair by the rules of the contract, but for the common gain: where all weights of a row are
 * equal they all round alike.
 */
static void judge_pair(relation_tally *t, const relation *r, const relation_case *c,
                       const relation_pair *pair, const vdit_contract *contract)
{
    vdit_finding finding;
    vdit_tensor sigma;

    if (vdit_difference_measure(c->run, &finding.difference, &pair->expected, &pair->actual,
                                NULL) != VDIT_OK)
        return;
    if (finding.difference.unequal == 0) {
        t->bits++;
        return;
    }
    if (pair_sigma(c->run, &sigma, pair, contract) != VDIT_OK ||
        vdit_tensor_judge(c->run, &finding, &pair->expected, &pair->actual, &sigma) != VDIT_OK)
        return;
    t->z = finding.difference.z > t->z ? finding.difference.z : t->z;
    if (!r->needs_bits && (finding.verdict == VDIT_HOLDS || finding.rule == VDIT_RULE_GAIN)) {
        t->within++;
        return;
    }
    if (t->broken++ == 0)
        snprintf(t->where, sizeof t->where, "%s: %s", c->name,
                 r->needs_bits && finding.reason[0] == '\0' ? "other bits" : finding.reason);
}

/* A call that the backend refuses as unsupported says nothing of the relation; other failures break it. */
static void try_relation(relation_tally *t, const relation *r, const relation_case *c,
                         const vdit_contract *contract)
{
    size_t mark = vdit_run_mark(c->run);
    relation_pair pair;
    int applies = r->make(&pair, c);
    vdit_status status = vdit_run_status(c->run);

    if (status == VDIT_OK && applies) {
        judge_pair(t, r, c, &pair, contract);
        program_check(c->run);
    } else if (status == VDIT_ERR_MEMORY || status == VDIT_ERR_CANCELLED) {
        program_check(c->run);
    } else if (status != VDIT_OK && status != VDIT_ERR_UNSUPPORTED) {
        if (t->broken++ == 0)
            snprintf(t->where, sizeof t->where, "%s: %s", c->name, vdit_run_message(c->run));
    }
    vdit_run_clear(c->run);
    vdit_run_release(c->run, mark);
}

/* All relations on one case. Returns: 0 if the backend refuses the case. */
static int try_case(vdit_run *run, relation_tally *tallies, const vdit_backend *backend,
                    const vdit_case *params, const vdit_contract *contract)
{
    relation_case c = {.run = run, .backend = backend, .name = params->name};
    const relation *r;
    vdit_golden golden;

    if (vdit_golden_generate(run, &golden, params) != VDIT_OK)
        return 0;
    vdit_attention_init(&c.call, vdit_golden_find(&golden, "q"), vdit_golden_find(&golden, "k"),
                        vdit_golden_find(&golden, "v"));
    c.call.scale = golden.scale;
    c.call.mask = vdit_golden_find(&golden, "mask");
    c.call.key_length = vdit_golden_find(&golden, "key_length");
    c.call.rows = vdit_golden_find(&golden, "rows");
    relation_run(&c, &c.call, &c.o, &c.lse);
    if (vdit_run_status(run) == VDIT_ERR_UNSUPPORTED) {
        vdit_run_clear(run);
        return 0;
    }
    program_check(run);
    for (size_t i = 0; (r = relation_at(i)) != NULL; i++)
        try_relation(&tallies[i], r, &c, contract ? contract : golden.contract);
    return 1;
}

static void print_table(const relation_tally *tallies, size_t cases)
{
    const relation *r;

    printf("%-9s %-9s %6s %6s %6s %9s  %s\n", "relation", "verdict", "bits", "sigma", "broken",
           "worst z", "what is done");
    for (size_t i = 0; (r = relation_at(i)) != NULL; i++) {
        const relation_tally *t = &tallies[i];
        const char *verdict = t->broken   ? "broken"
                              : t->within ? "in sigma"
                              : t->bits   ? "same bits"
                                          : "untried";
        printf("%-9s %-9s %6zu %6zu %6zu %9.3g  %s%s%s\n", r->name, verdict, t->bits, t->within,
               t->broken, t->z, r->about, t->broken ? "; " : "", t->where);
    }
    printf("%zu case%s\n", cases, cases == 1 ? "" : "s");
}

static void print_json(const relation_tally *tallies, size_t cases, const char *verdict)
{
    json_t *list = json_array(), *all;
    const relation *r;

    for (size_t i = 0; (r = relation_at(i)) != NULL; i++)
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:I, s:I, s:I, s:o, s:s}", "relation", r->name, "about", r->about,
                      "same_bits", (json_int_t)tallies[i].bits, "within_sigma",
                      (json_int_t)tallies[i].within, "broken", (json_int_t)tallies[i].broken,
                      "worst_z", isfinite(tallies[i].z) ? json_real(tallies[i].z) : json_null(),
                      "first_broken", tallies[i].where));
    all = json_pack("{s:s, s:s, s:I, s:o}", "format", "vdit-relations/1", "verdict", verdict,
                    "cases", (json_int_t)cases, "relations", list);
    if (all == NULL)
        program_fail("no memory");
    json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(all);
}

vdit_verdict check_relations(check_job *j)
{
    static relation_tally tallies[RELATIONS_MAX];
    vdit_verdict verdict = VDIT_HOLDS;
    size_t cases = 0, count = check_case_count(j);

    for (size_t i = 0; i < count; i++) {
        size_t mark = vdit_run_mark(j->run);
        const vdit_case *c = check_case_at(j, i);
        if (c->op != VDIT_OP_ATTENTION || !check_is_selected(c))
            continue;
        vdit_run_progress(j->run, "cases", (double)i, (double)count);
        program_check(j->run);
        cases += try_case(j->run, tallies, j->backend, c, j->contract) != 0;
        program_check(j->run);
        vdit_run_release(j->run, mark);
    }
    program_progress_clear();
    for (size_t i = 0; relation_at(i) != NULL; i++)
        if (tallies[i].broken != 0)
            verdict = VDIT_FAILS;
    if (verdict == VDIT_HOLDS && cases == 0)
        verdict = VDIT_INCONCLUSIVE;
    if (j->printer.is_json)
        print_json(tallies, cases, vdit_verdict_name(verdict));
    else
        print_table(tallies, cases);
    return verdict;
}
