/* plan_text.c - a plan as text, in its canonical form. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "attention/plan.h"
#include "base/number.h"

/* Text that is measured first (bytes NULL) and then written. */
typedef struct writer {
    const vdit_plan *plan;
    char *bytes;
    size_t size, room;
} writer;

static void put(writer *w, const char *format, ...) VDIT_PRINTF(2, 3);

static void put(writer *w, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(w->bytes ? w->bytes + w->size : NULL, w->bytes ? w->room - w->size : 0,
                       format, arguments);
    va_end(arguments);
    w->size += length > 0 ? (size_t)length : 0;
}

static void put_set(writer *w, const vdit_plan_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        const size_t *range = set->range[i];
        put(w, "%s%zu", i == set->kept ? "!" : i > 0 ? "," : "", range[0]);
        if (range[1] != range[0])
            put(w, "-%zu", range[1]);
    }
}

static void put_bits(writer *w, unsigned bits, const char *const *words, const char *between)
{
    const char *before = "";

    for (size_t i = 0; words[i] != NULL; i++)
        if (bits >> i & 1) {
            put(w, "%s%s", before, words[i]);
            before = between;
        }
}

static void put_kinds(writer *w, unsigned kinds)
{
    const char *before = " K=";

    for (const vdit_plan_kind_word *k = vdit_plan_kind_words; k->name != NULL; k++)
        if ((kinds & k->bits) == k->bits) {
            put(w, "%s%s", before, k->name);
            before = ",";
            kinds &= ~k->bits;
        }
}

static void put_selector(writer *w, const vdit_plan_selector *at)
{
    const struct {
        char letter;
        const vdit_plan_set *set;
    } sets[] = {{'L', &at->layers}, {'H', &at->heads}, {'S', &at->steps}};
    size_t from = w->size;

    for (size_t i = 0; i < 3; i++)
        if (sets[i].set->count > 0) {
            put(w, " %c", sets[i].letter);
            put_set(w, sets[i].set);
        }
    if (at->branches != VDIT_BRANCH_BOTH) {
        put(w, " B=");
        put_bits(w, at->branches, vdit_plan_branch_words, ",");
    }
    if (at->kinds != VDIT_KIND_ANY)
        put_kinds(w, at->kinds);
    if (at->queries != VDIT_ANY) {
        put(w, " Q=");
        put_bits(w, at->queries, vdit_plan_query_words, ",");
    }
    put(w, "%s:", w->size == from ? " all" : "");
}

/* A name with a blank, a comma or the like stands in quotes; it holds none itself. */
static void put_file(writer *w, const vdit_tensor *const *into)
{
    const vdit_plan_file_name *file = w->plan->files;
    const vdit_plan_reference *reference = w->plan->references;

    while (reference->into != into)
        reference = reference->next;
    for (size_t i = 0; i < reference->file; i++)
        file = file->next;
    put(w,
        strpbrk(file->name, " \t,;#=") || strchr("-!0123456789", file->name[0]) ? "\"%s\"" : "%s",
        file->name);
}

static void put_number(writer *w, double value, int percent)
{
    char text[VDIT_NUMBER_TEXT];

    put(w, "%s", percent ? vdit_number_percent(text, value) : vdit_number_text(text, value));
}

/* Whether the value is the one that an option has when it is not given. */
static int is_default(const vdit_plan_option *option, const void *value, const vdit_plan_line *line)
{
    static const unsigned char zeros[sizeof(int)] = {0};

    switch (option->type) {
    case VDIT_PLAN_NUMBER:
        if (value == &line->values.replace)
            return line->values.replace == 1;
        if (value == &line->gate.tau)
            return line->gate.tau == 0.3;
        if (value == &line->values.fraction)
            return line->values.prune != VDIT_PRUNE_FRACTION;
        return option->of_pattern && *(const double *)value == 1;
    case VDIT_PLAN_FILE:
        return 0;
    case VDIT_PLAN_SIZES:
        return !option->required && *(const size_t *)value == 0;
    default: /* an int or an unsigned */
        if (value == &line->values.keep_moment)
            return line->values.keep_moment == VDIT_AFTER_SOFTMAX;
        return !option->required && memcmp(value, zeros, sizeof(int)) == 0;
    }
}

/* Whether a file is named at this place. */
static int is_file(const writer *w, const void *into)
{
    const vdit_plan_reference *r = w->plan->references;

    while (r != NULL && r->into != into)
        r = r->next;
    return r != NULL;
}

static void put_value(writer *w, const vdit_plan_option *option, const void *value,
                      const vdit_plan_line *line)
{
    const size_t *sizes = value;
    int place;

    switch (option->type) {
    case VDIT_PLAN_NUMBER:
        put_number(w, *(const double *)value, value == &line->values.fraction);
        return;
    case VDIT_PLAN_SIZES:
        for (size_t i = 0; i < option->count; i++)
            put(w, "%s%zu", i ? "," : "", sizes[i]);
        return;
    case VDIT_PLAN_WORD:
        memcpy(&place, value, sizeof place);
        put(w, "%s", option->words[place]);
        return;
    case VDIT_PLAN_BITS:
        put_bits(w, *(const unsigned *)value, option->words, ",");
        return;
    case VDIT_PLAN_LETTERS:
        put_bits(w, *(const unsigned *)value, option->words, "");
        return;
    default:
        if (is_file(w, value))
            put_file(w, value);
        else
            put_set(w, &line->key_list);
    }
}

static void put_action(writer *w, const vdit_plan_action *action, vdit_plan_line *line, size_t n)
{
    put(w, " %s", action->name);
    for (size_t i = 0; i < VDIT_PLAN_OPTIONS && action->options[i].type != VDIT_PLAN_NOTHING; i++) {
        const vdit_plan_option *option = &action->options[i];
        const void *value = vdit_plan_value(option, line, n);
        if (is_default(option, value, line) ||
            (option->type == VDIT_PLAN_FILE && !is_file(w, value)))
            continue;
        put(w, " %s%s", option->name ? option->name : "", option->name ? "=" : "");
        put_value(w, option, value, line);
    }
}

static void put_line(writer *w, vdit_plan_line *line)
{
    const vdit_plan_action *action;
    size_t from = w->size;
    int first = 1;

    put_selector(w, &line->at);
    for (int group = VDIT_GROUP_TRANSFER; group <= VDIT_GROUP_GATE; group++)
        for (size_t n = 0; (action = vdit_plan_action_of(line, (vdit_plan_group)group, n)) != NULL;
             n++) {
            put(w, "%s", first ? "" : ",");
            put_action(w, action, line, n);
            first = 0;
            if (group != VDIT_GROUP_KEEP)
                break;
        }
    put(w, "\n");
    if (w->bytes != NULL) /* the blank before the selector */
        memmove(w->bytes + from, w->bytes + from + 1, w->size - from);
    w->size--;
}

char *vdit_plan_text(vdit_run *run, const vdit_plan *plan)
{
    writer w = {plan, NULL, 0, 0};

    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            w.room = w.size + 2; /* a blank that is taken out again, and the end */
            w.bytes = vdit_run_alloc(run, w.room, 1);
            if (w.bytes == NULL)
                return NULL;
            w.size = 0;
        }
        for (vdit_plan_line *line = plan->lines; line != NULL; line = line->next)
            put_line(&w, line);
    }
    w.bytes[w.size] = '\0';
    return w.bytes;
}
