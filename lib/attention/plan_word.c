/* plan_word.c - words of a plan, and sets of numbers and words. */
#include <stdio.h>
#include <string.h>
#include "attention/plan_read.h"
#include "base/number.h"

vdit_status vdit_plan_expected(vdit_plan_reader *r, const char *at, const char *found,
                               const char *expected)
{
    char quote[80] = "";

    if (found != NULL && *found != '\0')
        snprintf(quote, sizeof quote, "'%.40s%s': ", found, strlen(found) > 40 ? "..." : "");
    if (r->preset != NULL)
        return vdit_run_fail(r->run, VDIT_ERR_FORMAT, "%s, line %zu: in %s, %s%s was expected",
                             r->what, r->number, r->preset, quote, expected);
    return vdit_run_fail(r->run, VDIT_ERR_FORMAT, "%s, line %zu, column %zu: %s%s was expected",
                         r->what, r->number, (size_t)(at - r->start) + 1, quote, expected);
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

int vdit_plan_more(vdit_plan_reader *r)
{
    while (r->at < r->end && is_blank(*r->at))
        r->at++;
    return r->at < r->end && *r->at != '#';
}

/* Whether a word ends here. */
static int ends(const vdit_plan_reader *r)
{
    if (r->at == r->end || is_blank(*r->at))
        return 1;
    return *r->at == ',' && (r->at + 1 == r->end || is_blank(r->at[1]));
}

int vdit_plan_word(vdit_plan_reader *r)
{
    size_t size = 0;
    int inside = 0;

    r->word_at = r->at;
    r->quoted = r->at < r->end && *r->at == '"';
    for (; r->at < r->end && (inside || !ends(r)); r->at++) {
        if (*r->at == '"')
            inside = !inside;
        else
            r->word[size++] = *r->at;
    }
    r->word[size] = '\0';
    if (inside)
        vdit_plan_expected(r, r->end, NULL, "a closing quote");
    return !inside;
}

/* Reads "N" or "N-M" from text of a certain length. Returns: 1, or 0 if it is neither. */
static int read_range(size_t range[2], const char *text, size_t length)
{
    char copy[32], *dash;

    if (length >= sizeof copy)
        return 0;
    memcpy(copy, text, length);
    copy[length] = '\0';
    dash = strchr(copy, '-');
    if (dash != NULL)
        *dash = '\0';
    if (!vdit_number_count(&range[0], copy, VDIT_PLAN_COUNT_MAX))
        return 0;
    range[1] = range[0];
    return dash == NULL ||
           (vdit_number_count(&range[1], dash + 1, VDIT_PLAN_COUNT_MAX) && range[0] <= range[1]);
}

vdit_status vdit_plan_read_set(vdit_plan_reader *r, vdit_plan_set *set, const char *text)
{
    const char *from = text;
    size_t room = 1, length;
    int excluding = 0;

    for (const char *c = text; *c != '\0'; c++)
        room += *c == ',' || *c == '!';
    set->count = set->kept = 0;
    set->range = vdit_run_alloc(r->run, room, sizeof *set->range);
    if (set->range == NULL)
        return vdit_run_status(r->run);
    if (*from == '!')
        excluding = *from++ == '!';
    for (;; from += length + 1) {
        length = strcspn(from, ",!");
        if (!read_range(set->range[set->count++], from, length))
            return vdit_plan_expected(r, r->word_at, text,
                                      "a list such as 0,3,44-47 or 0-47!44,45");
        set->kept += !excluding;
        if (from[length] == '\0')
            return VDIT_OK;
        if (from[length] == '!' && excluding)
            return vdit_plan_expected(r, r->word_at, text, "one '!', before all that is excluded");
        excluding |= from[length] == '!';
    }
}

int vdit_plan_set_has(const vdit_plan_set *set, size_t n)
{
    int has = set->kept == 0;

    for (size_t i = 0; i < set->count; i++)
        if (set->range[i][0] <= n && n <= set->range[i][1])
            has = i < set->kept;
    return has;
}

/* Out: list, "a, b or c" of words. */
static void list_words(char *list, size_t size, const char *const *words)
{
    size_t used = 0;

    for (size_t i = 0; words[i] != NULL && used < size; i++)
        used += (size_t)snprintf(list + used, size - used, "%s%s",
                                 i == 0                 ? ""
                                 : words[i + 1] == NULL ? " or "
                                                        : ", ",
                                 words[i]);
}

vdit_status vdit_plan_read_bits(vdit_plan_reader *r, unsigned *bits, const char *text,
                                const char *const *words)
{
    char list[128];
    size_t length, i;

    *bits = 0;
    for (const char *from = text;; from += length + 1) {
        length = strcspn(from, ",");
        for (i = 0; words[i] != NULL; i++)
            if (strlen(words[i]) == length && strncmp(words[i], from, length) == 0)
                break;
        if (words[i] == NULL) {
            list_words(list, sizeof list, words);
            return vdit_plan_expected(r, r->word_at, text, list);
        }
        *bits |= 1u << i;
        if (from[length] == '\0')
            return VDIT_OK;
    }
}

vdit_status vdit_plan_read_kinds(vdit_plan_reader *r, unsigned *kinds, const char *text)
{
    const char *names[16] = {NULL};
    unsigned which = 0;

    for (size_t i = 0; vdit_plan_kind_words[i].name != NULL; i++)
        names[i] = vdit_plan_kind_words[i].name;
    if (vdit_plan_read_bits(r, &which, text, names) != VDIT_OK)
        return vdit_run_status(r->run);
    *kinds = 0;
    for (size_t i = 0; names[i] != NULL; i++)
        if (which >> i & 1)
            *kinds |= vdit_plan_kind_words[i].bits;
    return VDIT_OK;
}
