/* plan_parse.c - lines, actions and presets of a plan. */
#include <stdio.h>
#include <string.h>
#include "attention/plan_read.h"

#define TEXT_MAX ((size_t)1 << 20)

/* Reads r->at .. r->end, which holds something, as a line. */
static vdit_status read_line(vdit_plan_reader *r)
{
    vdit_plan_line *line = vdit_run_alloc(r->run, 1, sizeof *line);

    if (line == NULL)
        return vdit_run_status(r->run);
    memset(line, 0, sizeof *line);
    line->number = r->number;
    line->gate.tau = 0.3; /* C27 */
    vdit_edit_init(&line->values);
    r->line = line;
    if (vdit_plan_read_selector(r, &line->at, 1) != VDIT_OK)
        return vdit_run_status(r->run);
    line->values.queries = line->at.queries;
    for (int more = 1; more; r->at += more) {
        if (vdit_plan_read_action(r) != VDIT_OK)
            return vdit_run_status(r->run);
        more = vdit_plan_more(r); /* what stands there is a comma */
    }
    *r->plan->last_line = line;
    r->plan->last_line = &line->next;
    return VDIT_OK;
}

/* Reads the line of a preset whose name is in r->word. */
static vdit_status read_preset(vdit_plan_reader *r, const vdit_plan_preset *preset)
{
    char text[256];
    const char *mark = strchr(preset->text, '$');
    vdit_plan_reader inner = *r;

    r->word[0] = '\0';
    if (vdit_plan_more(r) && !vdit_plan_word(r))
        return vdit_run_status(r->run);
    if (preset->argument != NULL && (r->word[0] == '\0' || strlen(r->word) > 64 ||
                                     r->word[strspn(r->word, "0123456789.,%-")] != '\0'))
        return vdit_plan_expected(r, r->word_at, r->word, preset->argument);
    if (preset->argument == NULL && r->word[0] != '\0')
        return vdit_plan_expected(r, r->word_at, r->word, "nothing after this preset");
    if (vdit_plan_more(r))
        return vdit_plan_expected(r, r->at, NULL, "nothing more: a preset is a line of its own");
    snprintf(text, sizeof text, "%.*s%.64s%s",
             (int)(mark ? mark - preset->text : (ptrdiff_t)strlen(preset->text)), preset->text,
             mark ? r->word : "", mark ? mark + 1 : "");
    inner.preset = preset->name;
    inner.start = inner.at = text;
    inner.end = text + strlen(text);
    return read_line(&inner);
}

/* Reads what stands between line ends and semicolons: a preset or a line. */
static vdit_status read_segment(vdit_plan_reader *r)
{
    const char *from;

    if (!vdit_plan_more(r))
        return VDIT_OK;
    from = r->at;
    if (!vdit_plan_word(r))
        return vdit_run_status(r->run);
    for (const vdit_plan_preset *p = vdit_plan_presets; p->name != NULL; p++)
        if (strcmp(p->name, r->word) == 0)
            return read_preset(r, p);
    r->at = from;
    return read_line(r);
}

/* Returns: where a segment of the line ends: at a semicolon outside quotes, or the line's end. */
static const char *segment_end(const char *at, const char *end)
{
    int inside = 0;

    for (; at < end && (inside || *at != ';'); at++)
        inside ^= *at == '"';
    return at;
}

/* Returns: where a comment begins in a line, or its end. */
static const char *comment_at(const char *start, const char *end)
{
    int inside = 0;

    for (const char *at = start; at < end; at++) {
        inside ^= *at == '"';
        if (!inside && *at == '#' && (at == start || strchr(" \t;", at[-1]) != NULL))
            return at;
    }
    return end;
}

/* Checks the bytes of a line of text. */
static vdit_status check_bytes(vdit_plan_reader *r, const char *end)
{
    if (end - r->start > VDIT_PLAN_LINE_MAX)
        return vdit_run_fail(r->run, VDIT_ERR_LIMIT,
                             "plan, line %zu: %td bytes; at most %d were expected", r->number,
                             end - r->start, VDIT_PLAN_LINE_MAX);
    for (const char *at = r->start; at < end; at++)
        if ((unsigned char)*at < ' ' && *at != '\t')
            return vdit_plan_expected(r, at, NULL, "text, not a control character,");
    return VDIT_OK;
}

static vdit_status read_text(vdit_plan_reader *r, const char *text, size_t size)
{
    const char *past = text + size;

    for (const char *next, *end; text < past; text = next) {
        end = memchr(text, '\n', (size_t)(past - text));
        next = end != NULL ? end + 1 : past;
        end = end != NULL ? end : past;
        end -= end > text && end[-1] == '\r';
        r->number++;
        r->start = text;
        if (check_bytes(r, end) != VDIT_OK)
            return vdit_run_status(r->run);
        end = comment_at(text, end);
        for (r->at = text; r->at < end; r->at = r->end + 1) {
            r->end = segment_end(r->at, end);
            if (read_segment(r) != VDIT_OK)
                return vdit_run_status(r->run);
        }
    }
    return VDIT_OK;
}

vdit_status vdit_plan_parse(vdit_run *run, vdit_plan **plan, const char *text, size_t size)
{
    vdit_plan *made;
    vdit_plan_reader *r;

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    if (size > TEXT_MAX)
        return vdit_run_fail(run, VDIT_ERR_LIMIT, "plan: %zu bytes; at most %zu were expected",
                             size, TEXT_MAX);
    made = vdit_run_alloc(run, 1, sizeof *made);
    r = vdit_run_alloc(run, 1, sizeof *r);
    if (made == NULL || r == NULL)
        return vdit_run_status(run);
    memset(made, 0, sizeof *made);
    memset(r, 0, sizeof *r);
    made->last_line = &made->lines;
    r->run = run;
    r->plan = made;
    r->what = "plan";
    if (read_text(r, text, size) == VDIT_OK)
        *plan = made;
    return vdit_run_status(run);
}

/* Out: n, the one number of a set, if it is not empty. Returns: 1, or 0 if it is no single number. */
static int take_one(size_t *n, const vdit_plan_set *set)
{
    if (set->count == 0)
        return 1;
    if (set->count > 1 || set->kept == 0 || set->range[0][0] != set->range[0][1])
        return 0;
    *n = set->range[0][0];
    return 1;
}

/* Out: one, the bit that a set of bits holds, if it is not all. Returns: 1, or 0 if it holds several. */
static int take_bit(unsigned *one, unsigned bits, unsigned all)
{
    if (bits == all)
        return 1;
    if (bits == 0 || (bits & (bits - 1)) != 0)
        return 0;
    *one = bits;
    return 1;
}

vdit_status vdit_site_parse(vdit_run *run, vdit_site *site, const char *text)
{
    vdit_plan_reader *r = vdit_run_alloc(run, 1, sizeof *r);
    vdit_plan_selector at;
    vdit_site read = *site;

    if (r == NULL)
        return vdit_run_status(run);
    memset(r, 0, sizeof *r);
    r->run = run;
    r->what = "site";
    r->number = 1;
    r->start = r->at = text;
    r->end = text + strlen(text);
    if (check_bytes(r, r->end) != VDIT_OK || vdit_plan_read_selector(r, &at, 0) != VDIT_OK)
        return vdit_run_status(run);
    if (r->at < r->end || at.queries != VDIT_ANY || !take_one(&read.layer, &at.layers) ||
        !take_one(&read.head, &at.heads) || !take_one(&read.step, &at.steps) ||
        !take_bit(&read.branch, at.branches, VDIT_BRANCH_BOTH) ||
        !take_bit(&read.kind, at.kinds, VDIT_KIND_ANY))
        return vdit_plan_expected(r, r->at, r->at, "one site, such as L44 H0 S0 B=c K=full,");
    *site = read;
    return VDIT_OK;
}
