/* plan_action.c - an action of a plan: its name and its options. */
#include <stdio.h>
#include <string.h>
#include "attention/plan_read.h"

/* Returns: the action of these words, or NULL. */
static const vdit_plan_action *find_action(const char *name)
{
    for (const vdit_plan_action *a = vdit_plan_actions; a->name != NULL; a++)
        if (strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

/* Out: list, the second words of the actions that begin with this one. Returns: 1 if there are any. */
static int list_forms(char *list, size_t size, const char *first)
{
    size_t length = strlen(first), used = 0;

    for (const vdit_plan_action *a = vdit_plan_actions; a->name != NULL; a++)
        if (strncmp(a->name, first, length) == 0 && a->name[length] == ' ' && used < size)
            used += (size_t)snprintf(list + used, size - used, "%s%s", used ? ", " : "one of ",
                                     a->name + length + 1);
    return used > 0;
}

/* Reads the name of an action, of two words if there is such a one. Returns: NULL with the run failed. */
static const vdit_plan_action *read_name(vdit_plan_reader *r)
{
    const vdit_plan_action *action = NULL;
    char first[24], name[48], forms[96];
    const char *from, *behind;

    if (!vdit_plan_more(r)) {
        vdit_plan_expected(r, r->at, NULL, "an action");
        return NULL;
    }
    from = r->at;
    if (!vdit_plan_word(r))
        return NULL;
    behind = r->at;
    if (strlen(r->word) < sizeof first) {
        strcpy(first, r->word);
        if (vdit_plan_more(r) && *r->at != ',' && list_forms(forms, sizeof forms, first)) {
            if (!vdit_plan_word(r))
                return NULL;
            snprintf(name, sizeof name, "%s %.20s", first, r->word);
            action = find_action(name);
        }
        if (action != NULL)
            return action;
        r->at = behind;
        action = find_action(first);
        if (action != NULL)
            return action;
        if (list_forms(forms, sizeof forms, first)) {
            vdit_plan_expected(r, behind, vdit_plan_more(r) ? r->word : NULL, forms);
            return NULL;
        }
        strcpy(r->word, first);
    }
    vdit_plan_expected(r, from, r->word, "an action such as mask, temperature or gate");
    return NULL;
}

/* Returns: 1 if the option is one of some words, and this is one of them. */
static int is_word_of(const vdit_plan_option *option, const char *text)
{
    for (size_t i = 0; option->type == VDIT_PLAN_WORD && option->words[i] != NULL; i++)
        if (strcmp(option->words[i], text) == 0)
            return 1;
    return 0;
}

/*
 * Returns: the option of the name that stands before the "=" (length of it), or NULL. With length 0 it is one that
 * stands alone: that which has the word, else the first that is not given.
 */
static const vdit_plan_option *find_option(const vdit_plan_action *action, const char *text,
                                           size_t length, unsigned given)
{
    const vdit_plan_option *first = NULL;

    for (size_t i = 0; i < VDIT_PLAN_OPTIONS; i++) {
        const vdit_plan_option *o = &action->options[i];
        if (length > 0 && o->name != NULL && strlen(o->name) == length &&
            strncmp(o->name, text, length) == 0)
            return o;
        if (length > 0 || o->name != NULL || o->type == VDIT_PLAN_NOTHING)
            continue;
        if (is_word_of(o, text))
            return o;
        if (first == NULL && !(given >> i & 1))
            first = o;
    }
    return first;
}

/* Reads one option of an action. given: bits of those that were. */
static vdit_status read_option(vdit_plan_reader *r, const vdit_plan_action *action, size_t n,
                               unsigned *given)
{
    const vdit_plan_option *option;
    const char *text;
    size_t length;

    if (!vdit_plan_word(r))
        return vdit_run_status(r->run);
    length = strspn(r->word, "abcdefghijklmnopqrstuvwxyz");
    if (r->quoted || r->word[length] != '=')
        length = 0;
    text = r->word + (length > 0 ? length + 1 : 0);
    option = find_option(action, r->word, length, *given);
    if (option == NULL || (*given >> (option - action->options) & 1)) {
        char expected[64];
        snprintf(expected, sizeof expected, "%s of %s", option ? "each option once" : "an option",
                 action->name);
        return vdit_plan_expected(r, r->word_at, r->word, expected);
    }
    *given |= 1u << (option - action->options);
    return vdit_plan_read_value(r, option, n, text);
}

/* What a required option that is missing is called. */
static vdit_status check_required(vdit_plan_reader *r, const vdit_plan_action *action,
                                  unsigned given)
{
    char expected[96];

    for (size_t i = 0; i < VDIT_PLAN_OPTIONS; i++)
        if (action->options[i].required && !(given >> i & 1)) {
            const char *name = action->options[i].name;
            snprintf(expected, sizeof expected, "%s%s after %s", name ? name : "a value",
                     name ? "=" : "", action->name);
            return vdit_plan_expected(r, r->at, NULL, expected);
        }
    return VDIT_OK;
}

/* Makes room for an action in the line. Out: n, the place of its pattern. */
static vdit_status begin_action(vdit_plan_reader *r, const vdit_plan_action *action, size_t *n)
{
    vdit_edit *values = &r->line->values;

    *n = values->pattern_count;
    if (action->group != VDIT_GROUP_KEEP && (r->line->groups >> action->group & 1))
        return vdit_plan_expected(r, r->word_at, action->name, "one action of this sort in a line");
    r->line->groups |= 1u << action->group;
    if (action->group != VDIT_GROUP_KEEP)
        return VDIT_OK;
    if (*n == VDIT_PLAN_PATTERNS)
        return vdit_plan_expected(r, r->word_at, action->name, "no more than 16 designed masks");
    r->line->pattern[*n] = (vdit_pattern){.kind = (vdit_pattern_kind)action->value, .decay = 1};
    values->patterns = r->line->pattern;
    values->pattern_count = *n + 1;
    return VDIT_OK;
}

vdit_status vdit_plan_read_action(vdit_plan_reader *r)
{
    const vdit_plan_action *action = read_name(r);
    unsigned given = 0;
    const char *lack;
    size_t n;

    if (action == NULL || begin_action(r, action, &n) != VDIT_OK)
        return vdit_run_status(r->run);
    while (vdit_plan_more(r) && *r->at != ',')
        if (read_option(r, action, n, &given) != VDIT_OK)
            return vdit_run_status(r->run);
    if (check_required(r, action, given) != VDIT_OK)
        return vdit_run_status(r->run);
    lack = vdit_plan_finish(action, r->line, given);
    return lack == NULL ? VDIT_OK : vdit_plan_expected(r, r->at, NULL, lack);
}
