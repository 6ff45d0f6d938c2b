/* plan_value.c - the selector of a line, and the values of options. */
#include <float.h>
#include <stdio.h>
#include <string.h>
#include "attention/plan_read.h"
#include "base/number.h"

/* One term of a selector, its text in r->word. */
static vdit_status read_term(vdit_plan_reader *r, vdit_plan_selector *at)
{
    const char *text = r->word + 2;
    vdit_plan_set *sets[] = {&at->layers, &at->heads, &at->steps};
    size_t set = strcspn("LHS", (char[]){r->word[0], '\0'});

    if (set < 3)
        return sets[set]->count > 0
                   ? vdit_plan_expected(r, r->word_at, r->word, "each of L, H and S once")
                   : vdit_plan_read_set(r, sets[set], r->word + 1);
    if (r->word[1] != '=')
        return vdit_plan_expected(r, r->word_at, r->word, "B=, K= or Q=");
    if (r->word[0] == 'B')
        return vdit_plan_read_bits(r, &at->branches, text, vdit_plan_branch_words);
    if (r->word[0] == 'Q')
        return vdit_plan_read_bits(r, &at->queries, text, vdit_plan_query_words);
    return vdit_plan_read_kinds(r, &at->kinds, text);
}

/* Out: r->word, the text up to a blank or a colon. */
static void read_term_word(vdit_plan_reader *r)
{
    size_t size = 0;

    r->word_at = r->at;
    while (r->at < r->end && *r->at != ' ' && *r->at != '\t' && *r->at != ':')
        r->word[size++] = *r->at++;
    r->word[size] = '\0';
}

vdit_status vdit_plan_read_selector(vdit_plan_reader *r, vdit_plan_selector *at, int colon)
{
    int terms = 0, closed = 0;

    memset(at, 0, sizeof *at);
    at->branches = VDIT_BRANCH_BOTH;
    at->kinds = VDIT_KIND_ANY;
    at->queries = VDIT_ANY;
    for (; vdit_plan_more(r); terms++) {
        int all = terms == 0 && r->end - r->at >= 3 && strncmp(r->at, "all", 3) == 0 &&
                  (r->at + 3 == r->end || strchr(" \t:", r->at[3]) != NULL);
        if (!all && *r->at != ':' && strchr("LHSBKQ", *r->at) == NULL)
            break;
        read_term_word(r);
        if (!all && r->word[0] != '\0' && read_term(r, at) != VDIT_OK)
            return vdit_run_status(r->run);
        closed = vdit_plan_more(r) && *r->at == ':';
        r->at += closed;
    }
    if (colon && terms > 0 && !closed)
        return vdit_plan_expected(r, r->at, NULL, "a colon between selector and actions");
    return VDIT_OK;
}

static vdit_status read_number(vdit_plan_reader *r, const vdit_plan_option *option, double *value,
                               const char *text)
{
    char expected[96] = "a finite number";

    if (option->high < DBL_MAX)
        snprintf(expected, sizeof expected, "a number from %g to %g", option->low, option->high);
    else if (option->low > -DBL_MAX)
        snprintf(expected, sizeof expected, "a number of at least %g", option->low);
    if (!vdit_number_read(value, text) || !(*value >= option->low && *value <= option->high))
        return vdit_plan_expected(r, r->word_at, text, expected);
    return VDIT_OK;
}

static vdit_status read_sizes(vdit_plan_reader *r, const vdit_plan_option *option, size_t *value,
                              const char *text)
{
    char expected[96], number[16];
    size_t length;

    snprintf(expected, sizeof expected, "%s of at least %.0f",
             option->count == 3   ? "three numbers t,y,x"
             : option->count == 2 ? "two numbers y,x"
                                  : "a number",
             option->low);
    for (size_t i = 0; i < option->count; i++, text += length + 1) {
        length = strcspn(text, ",");
        snprintf(number, sizeof number, "%.*s", (int)(length < sizeof number ? length : 0), text);
        if (!vdit_number_count(&value[i], number, VDIT_PLAN_COUNT_MAX) ||
            (double)value[i] < option->low || (text[length] == ',') != (i + 1 < option->count))
            return vdit_plan_expected(r, r->word_at, r->word, expected);
    }
    return VDIT_OK;
}

static vdit_status read_word(vdit_plan_reader *r, const vdit_plan_option *option, void *value,
                             const char *text)
{
    unsigned bits;
    int place = 0;

    if (vdit_plan_read_bits(r, &bits, text, option->words) != VDIT_OK)
        return vdit_run_status(r->run);
    while (bits >> place != 1 && bits >> place != 0)
        place++;
    if (bits != 1u << place)
        return vdit_plan_expected(r, r->word_at, text, "one word");
    memcpy(value, &place, sizeof place);
    return VDIT_OK;
}

static vdit_status read_letters(vdit_plan_reader *r, const vdit_plan_option *option, unsigned *bits,
                                const char *text)
{
    *bits = 0;
    for (const char *c = text; *c != '\0'; c++) {
        unsigned bit = 0;
        for (size_t i = 0; option->words[i] != NULL; i++)
            bit |= option->words[i][0] == *c ? 1u << i : 0;
        if (bit == 0 || (*bits & bit))
            return vdit_plan_expected(r, r->word_at, text,
                                      "q, k, v or several of them, such as qk");
        *bits |= bit;
    }
    return *bits ? VDIT_OK : vdit_plan_expected(r, r->word_at, NULL, "q, k or v");
}

/* Returns: the place of the name among the plan's files, which it is added to; counted from 0. */
static vdit_status find_file(vdit_plan_reader *r, size_t *place, const char *name)
{
    vdit_plan_file_name **last = &r->plan->files, *file;

    for (*place = 0; *last != NULL; last = &(*last)->next, ++*place)
        if (strcmp((*last)->name, name) == 0)
            return VDIT_OK;
    file = vdit_run_alloc(r->run, 1, sizeof *file);
    if (file == NULL)
        return vdit_run_status(r->run);
    memset(file, 0, sizeof *file);
    file->name = vdit_run_alloc(r->run, strlen(name) + 1, 1);
    if (file->name == NULL)
        return vdit_run_status(r->run);
    memcpy(file->name, name, strlen(name) + 1);
    *last = file;
    r->plan->file_count++;
    return VDIT_OK;
}

static vdit_status read_file(vdit_plan_reader *r, const vdit_tensor **into, const char *text)
{
    vdit_plan_reference *reference;
    size_t place;

    if (*text == '\0')
        return vdit_plan_expected(r, r->word_at, NULL, "FILE or FILE:NAME");
    reference = vdit_run_alloc(r->run, 1, sizeof *reference);
    if (reference == NULL || find_file(r, &place, text) != VDIT_OK)
        return vdit_run_status(r->run);
    *reference = (vdit_plan_reference){r->plan->references, r->line, into, place};
    r->plan->references = reference;
    return VDIT_OK;
}

vdit_status vdit_plan_read_value(vdit_plan_reader *r, const vdit_plan_option *option, size_t n,
                                 const char *text)
{
    void *value = vdit_plan_value(option, r->line, n);

    switch (option->type) {
    case VDIT_PLAN_NUMBER:
        return read_number(r, option, value, text);
    case VDIT_PLAN_SIZES:
        return read_sizes(r, option, value, text);
    case VDIT_PLAN_WORD:
        return read_word(r, option, value, text);
    case VDIT_PLAN_BITS:
        return vdit_plan_read_bits(r, value, text, option->words);
    case VDIT_PLAN_LETTERS:
        return read_letters(r, option, value, text);
    case VDIT_PLAN_KEYS:
        if (!r->quoted && text[strspn(text, "0123456789,-!")] == '\0')
            return vdit_plan_read_set(r, &r->line->key_list, text);
        return read_file(r, value, text);
    default:
        return read_file(r, value, text);
    }
}
