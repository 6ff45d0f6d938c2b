/* edit_order.c - what an edit does, in the order in which it is applied, in words; and how often the map is needed. */
#include <stdarg.h>
#include <stdio.h>
#include <vdit/plan.h>
#include "base/number.h"

#define ORDER_TEXT 1024

typedef struct sentence {
    char *text;
    size_t size;
} sentence;

static void say(sentence *s, const char *format, ...) VDIT_PRINTF(2, 3);

/* Appends, cut to the room that there is. */
static void say(sentence *s, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(s->text + s->size, ORDER_TEXT - s->size, format, arguments);
    va_end(arguments);
    s->size += length > 0 ? (size_t)length : 0;
    if (s->size >= ORDER_TEXT)
        s->size = ORDER_TEXT - 1;
}

static void say_number(sentence *s, const char *before, double value, const char *after)
{
    char text[VDIT_NUMBER_TEXT];

    say(s, "%s%s%s", before, vdit_number_text(text, value), after);
}

static void say_places(sentence *s, const vdit_edit *edit, vdit_moment moment)
{
    static const char *const patterns[] = {"tiles",   "sliding",  "radial",
                                           "spatial", "temporal", "first frame"};
    static const char *const blocks[] = {"vv", "vt", "tv", "tt"};

    if (edit->pattern_count > 0 && edit->pattern_moment == moment) {
        for (size_t i = 0; i < edit->pattern_count; i++)
            say(s, "%s%s", i ? " or " : "keep ", patterns[edit->patterns[i].kind]);
        say(s, ", text %s -> ", edit->text_masked ? "masked" : "dense");
    }
    if (edit->dropped_blocks != 0 && edit->block_moment == moment) {
        say(s, "drop");
        for (unsigned i = 0; i < 4; i++)
            if (edit->dropped_blocks >> i & 1)
                say(s, " %s", blocks[i]);
        say(s, " -> ");
    }
}

static void say_prune(sentence *s, const vdit_edit *edit)
{
    static const char *const scopes[] = {"head", "row", "frame", "call"};
    char percent[VDIT_NUMBER_TEXT];

    if (edit->prune == VDIT_PRUNE_FRACTION)
        say(s, "mask the lowest %s per %s -> ", vdit_number_percent(percent, edit->fraction),
            scopes[edit->scope]);
    if (edit->prune == VDIT_PRUNE_THRESHOLD)
        say(s, "mask below the given threshold -> ");
    if (edit->prune == VDIT_PRUNE_MASK && edit->keep_moment == VDIT_AFTER_SOFTMAX)
        say(s, "mask the given entries -> ");
}

static void say_before(sentence *s, const vdit_edit *edit)
{
    if (edit->queries != VDIT_ANY)
        say(s, "%s queries: ", edit->queries == VDIT_VIDEO ? "video" : "text");
    if (edit->transfer != 0)
        say(s, "%s%s%s of the source -> ", edit->transfer & VDIT_FROM_Q ? "q" : "",
            edit->transfer & VDIT_FROM_K ? "k" : "", edit->transfer & VDIT_FROM_V ? "v" : "");
    say(s, "logits");
    if (edit->temperature != 1)
        say_number(s, " / ", edit->temperature, "");
    say(s, " -> ");
    if (edit->keys != NULL)
        say(s, "the chosen keys -> ");
    if (edit->first_text > 0)
        say(s, "the first %zu text keys -> ", edit->first_text);
    say_places(s, edit, VDIT_BEFORE_SOFTMAX);
    if (edit->prune == VDIT_PRUNE_MASK && edit->keep_moment == VDIT_BEFORE_SOFTMAX)
        say(s, "mask the given entries -> ");
    say(s, "softmax -> ");
}

static void say_after(sentence *s, const vdit_edit *edit)
{
    static const char *const losts[] = {"is dropped", "is renormalised", "goes to the diagonal",
                                        "goes to all keys"};
    size_t from = s->size;

    say_places(s, edit, VDIT_AFTER_SOFTMAX);
    say_prune(s, edit);
    if (s->size > from)
        say(s, "what is lost %s -> ", losts[edit->lost]);
    if (edit->key_weight != NULL)
        say(s, "keys reweighted -> ");
    if (edit->replace != 0) {
        say_number(s, "", edit->replace, " of it replaced by ");
        say_number(s, "", edit->alpha, " I + ");
        say_number(s, "", 1 - edit->alpha, " U -> ");
    }
    if (edit->mix != 0) {
        say_number(s, "", edit->mix, edit->source_map ? " of a given map" : " of the source's map");
        say(s, " %s -> ", edit->mix_adds ? "added" : "mixed in");
    }
    say(s, "times v");
    if (edit->gate != 1)
        say_number(s, " -> gate ", edit->gate, "");
}

char *vdit_edit_order(vdit_run *run, const vdit_edit *edit)
{
    sentence s = {vdit_run_alloc(run, ORDER_TEXT, 1), 0};

    if (s.text == NULL)
        return NULL;
    say_before(&s, edit);
    say_after(&s, edit);
    return s.text;
}

/* Whether the map of the call's own q and k takes part in the output. */
static int needs_map(const vdit_edit *edit)
{
    int replaced = edit->replace == 1 &&
                   (edit->alpha == 0 || edit->identity == VDIT_IDENTITY_FULL) &&
                   (edit->alpha == 1 || edit->uniform != VDIT_UNIFORM_SEGMENTS);

    return edit->gate != 0 && !replaced && (edit->mix != 1 || edit->mix_adds);
}

/* Whether entries are dropped after the softmax, which takes the sum of each row first. */
static int drops_after(const vdit_edit *edit)
{
    return (edit->prune != VDIT_PRUNE_NONE &&
            (edit->prune != VDIT_PRUNE_MASK || edit->keep_moment == VDIT_AFTER_SOFTMAX)) ||
           (edit->pattern_count > 0 && edit->pattern_moment == VDIT_AFTER_SOFTMAX) ||
           (edit->dropped_blocks != 0 && edit->block_moment == VDIT_AFTER_SOFTMAX);
}

int vdit_edit_passes(const vdit_edit *edit)
{
    int passes = 0;

    if (needs_map(edit))
        passes += drops_after(edit) ? 2 : 1;
    if (needs_map(edit) && edit->prune == VDIT_PRUNE_FRACTION) /* sums, and one digit or two */
        passes += edit->scope == VDIT_SCOPE_ROW ? 2 : 3;
    if (edit->gate != 0 && edit->mix != 0 && edit->source_map == NULL)
        passes++;
    return passes;
}
