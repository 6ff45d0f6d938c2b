/* attend_plan_say.c - what vdit-attend says of its edits, in words and as JSON. */
#include "attend.h"
#include "program.h"
#include <string.h>

/* Returns: what head h undergoes; the plain call without an edit. */
static const char *order_of(const attend_job *job, size_t h)
{
    const char *order = vdit_edit_order(job->run, &job->edits[h]);

    program_check(job->run);
    return job->heads[h] == NULL ? "as without a plan" : order;
}

/* Returns: the first head after h whose order is another. */
static size_t next_order(const attend_job *job, size_t h)
{
    const char *order = order_of(job, h);
    size_t next = h + 1;

    while (next < job->q.shape[1] && strcmp(order_of(job, next), order) == 0)
        next++;
    return next;
}

void attend_plan_say(const attend_job *job)
{
    size_t heads = job->q.shape[1], edited = 0;

    for (size_t h = 0; job->plan != NULL && h < heads; h++)
        edited += job->heads[h] != NULL;
    if (job->plan != NULL && edited == 0)
        program_say("the plan changes nothing at this site; --site says which it is");
    for (size_t h = 0, next; edited > 0 && h < heads; h = next) {
        next = next_order(job, h);
        if (next == h + 1)
            program_say("head %zu: %s", h, order_of(job, h));
        else
            program_say("heads %zu-%zu: %s", h, next - 1, order_of(job, h));
    }
}

static double valid_keys(const attend_job *job, size_t b)
{
    if (job->call.key_length == NULL)
        return (double)job->k.shape[2];
    return (double)*(const int64_t *)vdit_tensor_at(&job->key_length, &b);
}

/* What the masks after the softmax left in the heads that have an edit: sums over their rows. */
typedef struct score {
    double rows, entries, masked, kept, least;
} score;

static void add_row(score *s, const attend_job *job, const size_t index[3])
{
    int64_t masked = *(const int64_t *)vdit_tensor_at(job->report.masked, index);
    float kept = *(const float *)vdit_tensor_at(job->report.kept_mass, index);

    s->rows++;
    s->entries += valid_keys(job, index[0]);
    s->masked += (double)masked;
    s->kept += kept;
    s->least = kept < s->least ? kept : s->least;
}

/* Returns: 1 if there is something to score. */
static int score_heads(score *s, const attend_job *job)
{
    size_t at[3];

    *s = (score){.least = 1};
    if (job->plan == NULL || job->report.masked == NULL || job->report.kept_mass == NULL)
        return 0;
    for (at[0] = 0; at[0] < job->q.shape[0]; at[0]++)
        for (at[1] = 0; at[1] < job->q.shape[1]; at[1]++)
            for (at[2] = 0; job->heads[at[1]] != NULL && at[2] < attend_row_count(job); at[2]++)
                add_row(s, job, at);
    return s->rows > 0 && s->entries > 0;
}

void attend_plan_say_score(const attend_job *job)
{
    score s;

    if (score_heads(&s, job))
        program_say("masked_fraction %.6g, kept_mass %.6g, of a row at least %.6g",
                    s.masked / s.entries, s.kept / s.rows, s.least);
}

void attend_plan_json(const attend_job *job, json_t *summary, int scored)
{
    json_t *edits = json_array();
    size_t heads = job->q.shape[1];
    score s;

    if (job->plan != NULL) {
        const char *text = vdit_plan_text(job->run, job->plan);
        program_check(job->run);
        for (size_t h = 0, next; h < heads; h = next) {
            next = next_order(job, h);
            json_array_append_new(edits,
                                  json_pack("{s:[I, I], s:s}", "heads", (json_int_t)h,
                                            (json_int_t)(next - 1), "order", order_of(job, h)));
        }
        json_object_set_new(summary, "plan", json_string(text));
        json_object_set(summary, "edits", edits);
        json_object_set_new(summary, "passes", json_integer(attend_plan_passes(job)));
    }
    if (scored && score_heads(&s, job)) {
        json_object_set_new(summary, "masked_fraction", json_real(s.masked / s.entries));
        json_object_set_new(summary, "kept_mass", json_real(s.kept / s.rows));
        json_object_set_new(summary, "least_kept_mass", json_real(s.least));
    }
    json_decref(edits);
}
