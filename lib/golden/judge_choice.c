/*
 * judge_choice.c - statistics that choose or count: sinks, counts over a threshold, largest entries.
 *
 * Where a backend's choice is not the golden's, it must be one that an honest kernel's entries could have made.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "golden/choice.h"

/* What the choices of one tensor are judged with. */
typedef struct chooser {
    const vdit_evidence *ev;
    const vdit_golden *golden;
    const vdit_tensor *expected, *actual;
    char option[32]; /* of the meter, as its text has it: queries */
    double tau;
} chooser;

/* Out: value, what ":key=" says in the part of the golden's list of meters that begins with meter. */
static void find_option(char *value, size_t size, const vdit_golden *golden, const char *meter,
                        const char *key)
{
    const char *from = golden->meters ? strstr(golden->meters, meter) : NULL;
    char pattern[32];
    const char *at;

    value[0] = '\0';
    snprintf(pattern, sizeof pattern, ":%s=", key);
    at = from ? strstr(from, pattern) : NULL;
    if (at == NULL || at > from + strcspn(from, ","))
        return;
    at += strlen(pattern);
    snprintf(value, size, "%.*s", (int)strcspn(at, ":,"), at);
}

/* Returns: 1 if row r is one of the queries that are counted: video rows unless the meter says otherwise. */
static int is_counted(const chooser *c, size_t r)
{
    const vdit_tokens *t = &c->golden->tokens;
    const vdit_tensor *rows = vdit_golden_find(c->golden, "rows");
    size_t i = rows ? (size_t)vdit_number_at(rows, &r) : r, video;
    size_t count = vdit_golden_find(c->golden, "q")->shape[2];
    int is_video;

    video = t->frames * t->height * t->width;
    is_video = video == 0 || count == video ||
               (t->text_first ? i >= t->text : i < video && count != t->text);
    if (strcmp(c->option, "all") == 0)
        return 1;
    return strcmp(c->option, "text") == 0 ? !is_video : is_video;
}

/* How far an entry may lie from what the golden has. */
static double reach_of(const vdit_evidence *ev, size_t b, size_t h, size_t r, double entry)
{
    double e = vdit_evidence_error(ev, b, h, r);

    return e > 0 ? vdit_judge_limits()->z * (e + vdit_dtype_roundoff(VDIT_F32)) * entry : 0;
}

/* Out: low and high, how many counted rows give key j tau or more: surely, and at most. */
static void count_key(const chooser *c, size_t b, size_t h, size_t j, double tau, size_t *low,
                      size_t *high)
{
    *low = *high = 0;
    for (size_t r = 0; r < c->ev->R; r++) {
        double entry = (double)vdit_evidence_row(c->ev, b, h, r)[j];
        double reach = reach_of(c->ev, b, h, r, tau);
        if (!is_counted(c, r))
            continue;
        *low += entry >= tau + reach;
        *high += entry >= tau - reach;
    }
}

static size_t count_rows(const chooser *c)
{
    size_t count = 0;

    for (size_t r = 0; r < c->ev->R; r++)
        count += is_counted(c, r) != 0;
    return count;
}

static int64_t integer_at(const vdit_tensor *t, const size_t *index)
{
    return (int64_t)vdit_number_at(t, index);
}

/* ladder.count [B,H,L,K]: between the sure count and the largest. */
static int ladder_count(const chooser *c, const size_t *at)
{
    const vdit_tensor *ladder = vdit_golden_find(c->golden, "meter.ladder.tau");
    int64_t got = integer_at(c->actual, at);
    size_t low, high;

    if (ladder == NULL)
        return 0;
    count_key(c, at[0], at[1], at[3], vdit_number_at(ladder, &at[2]), &low, &high);
    return got >= (int64_t)low && got <= (int64_t)high;
}

/* sink.keys [B,H,K]: more than half of the rows, surely or possibly. */
static int sink_keys(const chooser *c, const size_t *at)
{
    size_t low, high, rows = count_rows(c);

    count_key(c, at[0], at[1], at[2], c->tau, &low, &high);
    return integer_at(c->actual, at) ? 2 * high > rows : 2 * low <= rows;
}

/* sink.key [B,H]: a key that could have the largest count, over half; -1 if none surely has. */
static int sink_key(const chooser *c, const size_t *at)
{
    int64_t got = integer_at(c->actual, at);
    size_t rows = count_rows(c), best = 0, chosen = 0;

    if (got < -1 || got >= (int64_t)c->ev->Nk)
        return 0;
    for (size_t j = 0; j < c->ev->Nk; j++) {
        size_t low, high;
        count_key(c, at[0], at[1], j, c->tau, &low, &high);
        best = low > best ? low : best;
        if ((int64_t)j == got)
            chosen = high;
    }
    return got < 0 ? 2 * best <= rows : chosen >= best && 2 * chosen > rows;
}

/* sink.count [B,H]: what one key could have. */
static int sink_count(const chooser *c, const size_t *at)
{
    int64_t got = integer_at(c->actual, at);
    size_t best = 0, most = 0;

    for (size_t j = 0; j < c->ev->Nk; j++) {
        size_t low, high;
        count_key(c, at[0], at[1], j, c->tau, &low, &high);
        best = low > best ? low : best;
        most = high > most ? high : most;
    }
    return got >= (int64_t)best && got <= (int64_t)most;
}

/* Returns: 1 if the entry of the chosen key of row r could be as large as that of the golden's. */
static int is_as_large(const chooser *c, size_t r, const size_t *at)
{
    const float *entries = vdit_evidence_row(c->ev, at[0], at[1], r);
    int64_t got = integer_at(c->actual, at), own = integer_at(c->expected, at);
    double there;

    if (got < 0 || got >= (int64_t)c->ev->Nk || own < 0)
        return 0;
    there = (double)entries[own];
    return fabs((double)entries[got] - there) <= 2 * reach_of(c->ev, at[0], at[1], r, there);
}

/* max.key [B,H,R] */
static int max_key(const chooser *c, const size_t *at)
{
    return is_as_large(c, at[2], at);
}

/* topk.key [B,H,S,N]: as large as the golden's of this rank, and named once. */
static int topk_key(const chooser *c, const size_t *at)
{
    const vdit_tensor *which = vdit_golden_find(c->golden, "meter.topk.which");
    const vdit_tensor *rows = vdit_golden_find(c->golden, "rows");
    size_t r = 0, other[4];

    memcpy(other, at, sizeof other);
    for (other[3] = 0; other[3] < c->actual->shape[3]; other[3]++)
        if (other[3] != at[3] && integer_at(c->actual, other) == integer_at(c->actual, at))
            return 0;
    if (which == NULL)
        return 0;
    for (r = 0; r < c->ev->R; r++) {
        int64_t query = rows ? integer_at(rows, &r) : (int64_t)r;
        if (query == integer_at(which, &at[2]))
            return is_as_large(c, r, at);
    }
    return 0;
}

/* What chooses, by name without "meter.", and whether the element at an index could have been chosen. */
static const struct {
    const char *name, *meter;
    int (*could)(const chooser *c, const size_t *at);
} choices[] = {
    {"ladder.count", "ladder", ladder_count},
    {"sink.key", "sink", sink_key},
    {"sink.keys", "sink", sink_keys},
    {"sink.count", "sink", sink_count},
    {"max.key", "max", max_key},
    {"topk.key", "topk", topk_key},
};

int vdit_choice_judge(char *reason, size_t size, const vdit_evidence *evidence,
                      const vdit_golden *golden, const char *name, const vdit_tensor *expected,
                      const vdit_tensor *actual)
{
    chooser c = {.ev = evidence, .golden = golden, .expected = expected, .actual = actual};
    size_t i = 0, most = sizeof choices / sizeof *choices, count = vdit_tensor_count(expected);
    char tau[32];

    while (i < most && strcmp(choices[i].name, name) != 0)
        i++;
    if (i == most)
        return 0;
    find_option(c.option, sizeof c.option, golden, choices[i].meter, "queries");
    find_option(tau, sizeof tau, golden, choices[i].meter, "tau");
    c.tau = vdit_round_f64(VDIT_F32, tau[0] ? strtod(tau, NULL) : 0.3);
    for (size_t n = 0; n < count && reason[0] == '\0'; n++) {
        size_t at[VDIT_MAX_RANK], rest = n;
        for (int axis = expected->rank - 1; axis >= 0; rest /= expected->shape[axis], axis--)
            at[axis] = rest % expected->shape[axis];
        if (integer_at(expected, at) == integer_at(actual, at) || choices[i].could(&c, at))
            continue;
        snprintf(reason, size, "%s: %lld instead of %lld at element %zu, which is clear", name,
                 (long long)integer_at(actual, at), (long long)integer_at(expected, at), n);
    }
    return 1;
}
