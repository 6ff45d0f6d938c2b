/* check_print.c - results: a table for people, JSON for machines. */
#include "config.h"
#include "check.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A finding under its name, as one line or object: the case's main tensor, or its log-sum-exp. */
typedef struct part {
    const char *name;
    const vdit_finding *finding;
    int is_attention;
    int64_t row;
    int rank; /* indices that say where */
} part;

static const char *verdict_word(const vdit_case_finding *finding, const check_waiver *waiver)
{
    return waiver ? "waived" : vdit_verdict_name(finding->verdict);
}

static void add(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        program_fail("no memory");
}

/* JSON has no NaN and no infinities: null stands for them. */
static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *where_json(const part *p)
{
    json_t *list = json_array();

    for (int i = 0; i < p->rank; i++) {
        size_t at = p->finding->difference.where[i];
        json_int_t index = p->is_attention && i == 2 ? (json_int_t)p->row : (json_int_t)at;
        if (json_array_append_new(list, json_integer(index)) != 0)
            program_fail("no memory");
    }
    return list;
}

static json_t *part_json(const part *p)
{
    const vdit_difference *d = &p->finding->difference;
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"z", d->z},
                   {"rms_z", d->rms},
                   {"gain", d->gain},
                   {"bias", d->bias},
                   {"bias_error", d->bias_error},
                   {"max_error", d->error},
                   {"max_ulps", d->ulps},
                   {"relative_l2", d->l2},
                   {"cosine", d->cosine},
                   {"expected", d->golden},
                   {"actual", d->actual},
                   {"sigma", d->sigma}};
    json_t *object = json_object();

    add(object, "verdict", json_string(vdit_verdict_name(p->finding->verdict)));
    add(object, "reason", json_string(p->finding->reason));
    if (!p->finding->measured)
        return object;
    add(object, "elements", json_integer((json_int_t)d->count));
    add(object, "unequal", json_integer((json_int_t)d->unequal));
    add(object, "specials", json_integer((json_int_t)d->specials));
    add(object, "where", where_json(p));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        add(object, numbers[i].key, number(numbers[i].value));
    return object;
}

static json_t *explanation_json(const vdit_explanation *e)
{
    json_t *object = json_object();

    add(object, "hypothesis", e->hypothesis ? json_string(e->hypothesis) : json_null());
    add(object, "text", json_string(e->text));
    add(object, "share", number(e->share));
    add(object, "rms_z_left", number(e->rms));
    add(object, "batch", json_integer((json_int_t)e->batch));
    add(object, "head", json_integer((json_int_t)e->head));
    return object;
}

static void case_json(check_printer *printer, const vdit_case_finding *f,
                      const check_waiver *waiver, const part *main, const part *lse)
{
    json_t *object = json_object();

    add(object, printer->noun, json_string(f->name));
    if (f->op != VDIT_OP_NONE)
        add(object, "op", json_string(vdit_operator_name(f->op)));
    add(object, "contract", f->contract ? json_string(f->contract->name) : json_null());
    add(object, "verdict", json_string(verdict_word(f, waiver)));
    add(object, "reason", json_string(f->reason));
    add(object, "trivial", f->trivial ? json_string(f->trivial) : json_null());
    add(object, "ratio_2x", number(f->ratio));
    add(object, "output", part_json(main));
    if (f->has_lse)
        add(object, "lse", part_json(lse));
    if (printer->explanation != NULL)
        add(object, "explanation", explanation_json(printer->explanation));
    if (waiver != NULL) {
        add(object, "waiver", json_string(waiver->reason));
        add(object, "waiver_expires", json_string(waiver->expires));
    }
    if (printer->cases == NULL)
        printer->cases = json_array();
    if (json_array_append_new(printer->cases, object) != 0)
        program_fail("no memory");
}

/* Writes "b,h,row,c" of the worst element, "-" if there is none. */
static const char *where_text(char *text, size_t size, const part *p)
{
    size_t used = 0;

    snprintf(text, size, "-");
    for (int i = 0; i < p->rank && p->finding->difference.z > 0 && used < size; i++) {
        size_t at = p->finding->difference.where[i];
        if (p->is_attention && i == 2)
            at = (size_t)p->row;
        used += (size_t)snprintf(text + used, size - used, i ? ",%zu" : "%zu", at);
    }
    return text;
}

static void part_line(const check_printer *printer, const part *p, const char *verdict,
                      double ratio, const char *note)
{
    const vdit_difference *d = &p->finding->difference;
    char where[96], twice[16] = "-";

    if (isfinite(ratio))
        snprintf(twice, sizeof twice, "%.2f", ratio);
    printf("%-*s  %-12s ", (int)printer->width, p->name, verdict);
    if (p->finding->measured)
        printf("%8.3g %6.3g %9.1e  %-17s %9.2e %8.4g %8.1e %9.6f %5s", d->z, d->rms, d->gain,
               where_text(where, sizeof where, p), d->error, d->ulps, d->l2, d->cosine, twice);
    printf("%s%s\n", *note ? "  " : "", note);
}

static void print_head(const check_printer *printer)
{
    printf("%-*s  %-12s %8s %6s %9s  %-17s %9s %8s %8s %9s %5s\n", (int)printer->width,
           printer->noun, "verdict", "worst z", "rms z", "gain-1",
           strcmp(printer->noun, "case") == 0 ? "at b,h,row,c" : "at", "max error", "max ulps",
           "rel L2", "cosine", "2x");
}

void check_print(check_printer *printer, const vdit_case_finding *finding,
                 const check_waiver *waiver)
{
    int is_attention = finding->op == VDIT_OP_ATTENTION;
    part main = {finding->name, &finding->main, is_attention, finding->row, finding->rank};
    part lse = {"  lse", &finding->lse, 1, finding->lse_row, 3};
    char note[320];

    if (printer->is_json) {
        case_json(printer, finding, waiver, &main, &lse);
        return;
    }
    if (printer->count++ == 0)
        print_head(printer);
    snprintf(note, sizeof note, "%s", finding->reason);
    if (finding->trivial != NULL && *note == '\0')
        snprintf(note, sizeof note, "right answer is %s: tells little", finding->trivial);
    else if (printer->levels != NULL && finding->verdict == VDIT_HOLDS)
        snprintf(note, sizeof note, "%s", finding->contract->name);
    part_line(printer, &main, verdict_word(finding, waiver), finding->ratio, note);
    if (finding->has_lse)
        part_line(printer, &lse, vdit_verdict_name(finding->lse.verdict), NAN, "");
    fflush(stdout);
}

static const char *fell_back_name(int op)
{
    return op == CHECK_EDITED ? "attention with edits" : vdit_operator_name((vdit_operator)op);
}

static json_t *fell_back_json(const check_printer *printer)
{
    json_t *list = json_array();

    for (int op = 0; op <= CHECK_EDITED; op++)
        if (printer->fell_back_ops >> op & 1 &&
            json_array_append_new(list, json_string(fell_back_name(op))) != 0)
            program_fail("no memory");
    return list;
}

static void level_json(void *state, const char *op, const char *dtype, const check_level *level,
                       const char *text)
{
    json_t *object = json_object();

    add(object, "op", json_string(op));
    add(object, "dtype", json_string(dtype));
    add(object, "cases", json_integer((json_int_t)level->cases));
    add(object, "contract",
        level->level == VDIT_GRADE_NONE ? json_null()
                                        : json_string(vdit_contract_at(level->level)->name));
    add(object, "text", json_string(text));
    if (json_array_append_new(state, object) != 0)
        program_fail("no memory");
}

static void level_line(void *state, const char *op, const char *dtype, const check_level *level,
                       const char *text)
{
    (void)state;
    printf("%s %s, %zu case%s: %s\n", op, dtype, level->cases, level->cases == 1 ? "" : "s", text);
}

static void total_json(check_printer *printer, const vdit_tally *tally, vdit_verdict verdict)
{
    const struct {
        const char *key;
        size_t value;
    } counts[] = {{"hold", tally->hold},
                  {"fail", tally->fail},
                  {"inconclusive", tally->inconclusive},
                  {"waived", tally->waived}};
    json_t *object = json_object();
    char *text;

    add(object, "format", json_string("vdit-check/1"));
    add(object, "verdict", json_string(vdit_verdict_name(verdict)));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        add(object, counts[i].key, json_integer((json_int_t)counts[i].value));
    add(object, "fell_back", json_integer((json_int_t)printer->fell_back));
    add(object, "fell_back_operators", fell_back_json(printer));
    if (printer->levels != NULL) {
        json_t *list = json_array();
        check_levels_each(printer->levels, level_json, list);
        add(object, "contracts", list);
    }
    add(object, "cases", printer->cases ? printer->cases : json_array());
    text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    if (text == NULL)
        program_fail("no memory");
    puts(text);
    free(text);
    json_decref(object);
}

static void fell_back_line(const check_printer *printer)
{
    const char *before = "";

    if (printer->fell_back == 0)
        return;
    printf("%zu %s%s fell back on the reference and %s not judged; the backend has no ",
           printer->fell_back, printer->noun, printer->fell_back == 1 ? "" : "s",
           printer->fell_back == 1 ? "was" : "were");
    for (int op = 0; op <= CHECK_EDITED; op++)
        if (printer->fell_back_ops >> op & 1) {
            printf("%s%s", before, fell_back_name(op));
            before = ", ";
        }
    printf("\n");
}

void check_print_total(check_printer *printer, const vdit_tally *tally, vdit_verdict verdict)
{
    size_t total = tally->hold + tally->fail + tally->inconclusive + tally->waived;

    if (printer->is_json) {
        total_json(printer, tally, verdict);
        return;
    }
    printf("%zu %s%s: %zu hold, %zu fail, %zu inconclusive", total, printer->noun,
           total == 1 ? "" : "s", tally->hold, tally->fail, tally->inconclusive);
    if (tally->waived != 0)
        printf(", %zu waived", tally->waived);
    printf("\n");
    fell_back_line(printer);
    if (printer->levels != NULL)
        check_levels_each(printer->levels, level_line, NULL);
}
