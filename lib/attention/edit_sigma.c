/*
 * edit_sigma.c - the noise of an honest kernel on an edited output (doc/conformance.md).
 *
 *     sigma^2 = sum_n f_n^2 s_n^2 + 1/3 max(out_unit |o|, out_sub)^2
 *
 * over the parts of the output, with s_n from facts alone: the rounded sigma and output of plain calls, kept masses,
 * and sets of entries. All is plain binary64 in a fixed order, so sigma is the same on every machine.
 */
#include <math.h>
#include <string.h>
#include "attention/bits.h"
#include "attention/intervene.h"

/* The working set of one head. */
typedef struct noise_job {
    vdit_run *run;
    const vdit_attention *call;
    vdit_composition parts;
    const double *tau;
    const uint64_t *quota;
    size_t rows, dv;
    double *square; /* [R][dv] the sum so far */
} noise_job;

/* Row tensors of a part, each with an element or more for each row. */
typedef struct part_facts {
    vdit_tensor sigma, o, kept, keep, free; /* bf16, f32 [1,1,R,dv]; f32 [1,1,R]; bits */
} part_facts;

static double element(const vdit_tensor *t, size_t r, size_t c)
{
    size_t index[4] = {0, 0, r, c};
    double value;

    vdit_load_f64(&value, 1, vdit_tensor_at(t, index), 1, t->dtype);
    return value;
}

static void new_facts(noise_job *job, part_facts *facts)
{
    size_t wide[4] = {1, 1, job->rows, job->dv}, bits[4] = {1, 1, job->rows, 0};

    bits[3] = (job->call->k->shape[2] + 7) / 8;
    vdit_tensor_new(job->run, &facts->sigma, VDIT_BF16, 4, wide);
    vdit_tensor_new(job->run, &facts->o, VDIT_F32, 4, wide);
    vdit_tensor_new(job->run, &facts->kept, VDIT_F32, 3, wide);
    vdit_tensor_new(job->run, &facts->keep, VDIT_U8, 4, bits);
    vdit_tensor_new(job->run, &facts->free, VDIT_U8, 4, bits);
    if (vdit_run_status(job->run) != VDIT_OK)
        return;
    memset(facts->keep.data, 0, bits[2] * bits[3]);
    memset(facts->free.data, 0, bits[2] * bits[3]);
}

/* The noise and the output of a plain call over the entries that the edit keeps before the softmax. */
static void plain_facts(noise_job *job, part_facts *facts, const vdit_attention *source,
                        const vdit_edit *edit)
{
    vdit_attention call = *source;
    const vdit_edit *edits[1] = {edit};

    call.edits = edit != NULL ? edits : source->edits;
    call.noise.out_unit = call.noise.out_sub = 0;
    call.o = &facts->o;
    call.sigma = &facts->sigma;
    call.lse = call.map = NULL;
    vdit_attention_plain(job->run, &call);
}

/* Which entries the mask after the softmax keeps, and their mass: by the edit without what follows it. */
static void masked_facts(noise_job *job, part_facts *facts, const vdit_edit *masks)
{
    vdit_edit_report report = {.size = sizeof report};
    vdit_attention call = *job->call;
    vdit_edit edit = *masks;
    const vdit_edit *edits[1] = {&edit};

    edit.key_weight = NULL;
    edit.replace = edit.mix = 0;
    edit.gate = 1;
    edit.lost = VDIT_LOST_DROPPED;
    report.keep = &facts->keep;
    report.free = &facts->free;
    report.kept_mass = &facts->kept;
    call.o = call.lse = call.map = call.sigma = NULL;
    call.edits = edits;
    vdit_edited_head(job->run, &call, job->tau, job->quota, &report);
}

/* Adds factor^2 s^2 to an element. */
static void add(noise_job *job, const vdit_part *part, size_t r, size_t c, double square)
{
    if (vdit_part_has(part, r))
        job->square[r * job->dv + c] += part->pair.high * part->pair.high * square;
}

/* The relative noise of a weight of row r: its logit's, twice for the quotient, and a unit of binary32. */
static double weight_noise(const noise_job *job, size_t r, double key_norm)
{
    const vdit_attention *call = job->call;
    size_t query[4] = {0, 0, vdit_query_at(call, r), 0};
    double sum = 0, x;

    for (query[3] = 0; query[3] < call->q->shape[3]; query[3]++) {
        vdit_load_f64(&x, 1, vdit_tensor_at(call->q, query), 1, call->q->dtype);
        sum += x * x;
    }
    return 2 * call->noise.score_unit * fabs(call->scale) * sqrt(sum) * key_norm + 0x1p-23;
}

/* Returns: the largest |k| of the head. */
static double key_norm(const vdit_attention *call)
{
    size_t index[4] = {0, 0, 0, 0};
    double most = 0;

    for (index[2] = 0; index[2] < call->k->shape[2]; index[2]++) {
        double sum = 0, x;
        for (index[3] = 0; index[3] < call->k->shape[3]; index[3]++) {
            vdit_load_f64(&x, 1, vdit_tensor_at(call->k, index), 1, call->k->dtype);
            sum += x * x;
        }
        most = sqrt(sum) > most ? sqrt(sum) : most;
    }
    return most;
}

void vdit_edit_near(const vdit_attention *call, const double *tau, double *near)
{
    size_t rows = call->rows ? call->rows->shape[0] : call->q->shape[2];
    noise_job job = {.call = call};
    double norm = key_norm(call);

    for (size_t r = 0; r < rows; r++) {
        double reach = 8 * weight_noise(&job, r, norm);
        near[2 * r] = vdit_round_f64(VDIT_F32, tau[r] * (reach < 1 ? 1 - reach : 0));
        near[2 * r + 1] = vdit_round_f64(VDIT_F32, tau[r] * (1 + reach));
    }
}

/* sum over the free entries of row r of (|v_j| + x)^2. */
static double free_values(const part_facts *facts, const vdit_tensor *v, size_t r, size_t c,
                          double x)
{
    double sum = 0;

    for (size_t j = 0; j < v->shape[2]; j++)
        if (vdit_bits_has(&facts->free, 0, 0, r, j)) {
            double size = fabs(element(v, j, c)) + x;
            sum += size * size;
        }
    return sum;
}

/* A softmax part with the edit's own mask after it. */
static void add_masked(noise_job *job, const vdit_part *part, part_facts *facts)
{
    const vdit_noise *noise = &job->call->noise;
    const vdit_tensor *v = part->source->call.v;
    vdit_lost lost = part->post->lost;
    double norm = key_norm(job->call);

    for (size_t r = 0; r < job->rows; r++) {
        double kept = element(&facts->kept, r, 0), left = 1 - kept;
        double eta = weight_noise(job, r, norm), tau = job->tau != NULL ? job->tau[r] : 0;

        for (size_t c = 0; c < job->dv; c++) {
            double share = lost == VDIT_LOST_RENORMALISED ? 1 : kept, x = 0, square, o, flips;

            if (lost == VDIT_LOST_DIAGONAL)
                x = fabs(element(job->call->v, vdit_query_at(job->call, r), c));
            if (lost == VDIT_LOST_UNIFORM)
                x = part->means[VDIT_MEAN_VALID].bound[c];
            o = fabs(element(&facts->o, r, c));
            square = share * element(&facts->sigma, r, c);
            square *= square;
            if (lost != VDIT_LOST_RENORMALISED) {
                double mass = eta * kept * left * (o + x), moved = noise->p_unit * left * x;
                square += mass * mass + moved * moved / 3;
            }
            flips = free_values(facts, v, r, c, lost == VDIT_LOST_RENORMALISED ? o : x);
            if (tau < INFINITY && flips > 0)
                square += tau * tau * flips *
                          (lost == VDIT_LOST_RENORMALISED && kept > 0 ? 1 / (kept * kept) : 1);
            add(job, part, r, c, square);
        }
    }
}

/* A softmax part whose lost video mass goes to the own value, or all mass to the means of the segments. */
static void add_moved(noise_job *job, const vdit_part *part, const part_facts *facts)
{
    const vdit_noise *noise = &job->call->noise;
    double norm = key_norm(job->call);

    for (size_t r = 0; r < job->rows; r++) {
        double eta = weight_noise(job, r, norm) + noise->p_unit;

        for (size_t c = 0; c < job->dv; c++) {
            double square = element(&facts->sigma, r, c), x;

            square *= square; /* over all entries: no less than over the kept ones */
            x = part->segments
                    ? part->means[VDIT_MEAN_VIDEO].bound[c] + part->means[VDIT_MEAN_TEXT].bound[c]
                    : fabs(element(job->call->v, vdit_query_at(job->call, r), c));
            add(job, part, r, c, square + eta * eta * x * x);
        }
    }
}

/* Parts without weights. */
static void add_linear(noise_job *job, const vdit_part *part)
{
    const vdit_noise *noise = &job->call->noise;
    const vdit_tensor *v = job->call->v;

    for (size_t r = 0; r < job->rows; r++)
        for (size_t c = 0; c < job->dv; c++) {
            double square = 0, size = 0, rounded = 0;

            if (part->kind == VDIT_PART_IDENTITY) {
                size = fabs(element(v, vdit_query_at(job->call, r), c));
            } else if (part->kind == VDIT_PART_MEAN) {
                size = part->means[part->mean].bound[c];
                rounded = noise->p_unit * part->means[part->mean].pair[c].high;
                square = rounded * rounded / 3;
            } else {
                for (size_t j = 0; j < v->shape[2]; j++) {
                    double term = fabs(element(part->map, r, j) * element(v, j, c));
                    size += term;
                    square += noise->p_unit * term * (noise->p_unit * term) / 3;
                }
            }
            size *= noise->sum_unit;
            add(job, part, r, c, square + size * size);
        }
}

static void add_part(noise_job *job, const vdit_part *part)
{
    size_t mark = vdit_run_mark(job->run);
    vdit_edit before;
    part_facts facts;

    if (part->kind != VDIT_PART_SOFTMAX) {
        add_linear(job, part);
        return;
    }
    new_facts(job, &facts);
    if (part == job->parts.pruned) {
        masked_facts(job, &facts, job->parts.edit);
        vdit_edit_init(&before);
        before.tokens = job->parts.edit->tokens;
        before.prune = VDIT_PRUNE_MASK;
        before.keep = &facts.keep;
        before.keep_moment = VDIT_BEFORE_SOFTMAX;
        plain_facts(job, &facts, &part->source->call, &before);
        if (vdit_run_status(job->run) == VDIT_OK)
            add_masked(job, part, &facts);
    } else {
        plain_facts(job, &facts, &part->source->call, NULL);
        for (size_t r = 0; part->post == NULL && r < job->rows; r++)
            for (size_t c = 0; c < job->dv; c++)
                add(job, part, r, c, element(&facts.sigma, r, c) * element(&facts.sigma, r, c));
        if (part->post != NULL && vdit_run_status(job->run) == VDIT_OK)
            add_moved(job, part, &facts);
    }
    vdit_run_release(job->run, mark);
}

vdit_status vdit_edit_sigma(vdit_run *run, const vdit_attention *call, const double *tau,
                            const uint64_t *quota)
{
    const vdit_noise *noise = &call->noise;
    noise_job job = {.run = run, .call = call, .tau = tau, .quota = quota};
    size_t mark = vdit_run_mark(run);

    job.rows = call->rows ? call->rows->shape[0] : call->q->shape[2];
    job.dv = call->v->shape[3];
    job.square = vdit_run_alloc(run, job.rows * job.dv, sizeof(double));
    if (vdit_compose(run, &job.parts, call, tau, quota, NULL) != VDIT_OK)
        return vdit_run_status(run);
    memset(job.square, 0, job.rows * job.dv * sizeof(double));
    for (size_t i = 0; i < job.parts.part_count && vdit_run_status(run) == VDIT_OK; i++)
        add_part(&job, &job.parts.parts[i]);
    for (size_t r = 0; vdit_run_status(run) == VDIT_OK && r < job.rows; r++)
        for (size_t c = 0; c < job.dv; c++) {
            size_t index[4] = {0, 0, r, c};
            double out = fmax(noise->out_unit * fabs(element(call->o, r, c)), noise->out_sub);

            vdit_store_f64(vdit_tensor_at(call->sigma, index), VDIT_BF16,
                           sqrt(job.square[r * job.dv + c] + out * out / 3));
        }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
