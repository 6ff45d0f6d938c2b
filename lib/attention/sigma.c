/*
 * sigma.c - the noise model in binary64.
 *
 *     sigma^2 = sum_j (A_j + E_j) v_j^2 - 2 o sum_j E_j v_j + o^2 sum_j E_j + R(o)^2 / 3 + (s sum_j P_j |v_j|)^2
 *
 * with A_j = (min(p~_j, max(p_unit p~_j, p_sub)) / l)^2 / 3, E_j = (P_j score_unit scale |q| |k_j|)^2 and R the noise of
 * rounding o: three products with the panels of v, and sums per lane (doc/numerics.md, 5.6).
 */
#include <math.h>
#include <string.h>
#include "attention/sigma.h"
#include "exact/settle.h"

#define UNIT 0x1p-53

vdit_status vdit_sigma_new(vdit_run *run, vdit_sigma *sigma, const vdit_head *head)
{
    size_t nr = head->kernel->nr, lanes = VDIT_STREAM_PANELS * nr;

    sigma->squares = vdit_run_alloc(run, head->dv_padded * VDIT_TILE, sizeof(double));
    sigma->sizes = vdit_run_alloc(run, head->dv_padded * VDIT_TILE, sizeof(double));
    sigma->rounding = vdit_run_alloc(run, VDIT_TILE * nr, sizeof(double));
    sigma->score = vdit_run_alloc(run, VDIT_TILE * nr, sizeof(double));
    sigma->sum_both = vdit_run_alloc(run, lanes * head->dv_padded, sizeof(double));
    sigma->sum_score = vdit_run_alloc(run, lanes * head->dv_padded, sizeof(double));
    sigma->sum_size = vdit_run_alloc(run, lanes * head->dv_padded, sizeof(double));
    sigma->score_total = vdit_run_alloc(run, lanes, sizeof(double));
    sigma->query_square = vdit_run_alloc(run, lanes, sizeof(double));
    sigma->key_square = vdit_run_alloc(run, VDIT_TILE, sizeof(double));
    sigma->direct = vdit_run_alloc(run, nr * head->dv, sizeof(vdit_sigma_sums));
    return vdit_run_status(run);
}

double vdit_sigma_bytes(const vdit_attention *a)
{
    double lanes = VDIT_STREAM_PANELS * VDIT_KERNEL_NR_MAX;
    double dv = (double)a->v->shape[3] + VDIT_KERNEL_MR_MAX;

    return 8 * (dv * (2 * VDIT_TILE + 3 * lanes + 3 * VDIT_KERNEL_NR_MAX) +
                2 * VDIT_TILE * VDIT_KERNEL_NR_MAX + 2 * lanes);
}

/* v^2, |v| and |k|^2 of tile t. */
static void load_tile(vdit_sigma *sigma, const vdit_head *head, size_t t)
{
    size_t keys = vdit_tile_keys(head, t), mr = head->kernel->mr,
           count = head->dv_padded * VDIT_TILE;
    const double *v = head->v + t * count, *k = head->k + t * VDIT_TILE * head->d;

    for (size_t c = 0; c < head->dv_padded; c += mr)
        for (size_t i = c * VDIT_TILE; i < c * VDIT_TILE + keys * mr; i++) {
            sigma->squares[i] = v[i] * v[i];
            sigma->sizes[i] = fabs(v[i]);
        }
    for (size_t j = 0; j < keys; j++) {
        double sum = 0;
        for (size_t c = 0; c < head->d; c++) {
            double x = k[j / mr * mr * head->d + c * mr + j % mr];
            sum += x * x;
        }
        sigma->key_square[j] = sum;
    }
}

/* (score_unit scale |q|)^2 of each lane, and cleared sums. */
static void load_lanes(vdit_sigma *sigma, const vdit_stream *stream)
{
    const vdit_head *head = stream->head;
    size_t nr = head->kernel->nr, lanes = stream->panels * nr;
    double unit = head->call->noise.score_unit * head->call->scale;

    for (size_t lane = 0; lane < lanes; lane++) {
        const double *q = stream->q + lane / nr * nr * head->d + lane % nr;
        double sum = 0;
        for (size_t c = 0; c < head->d; c++)
            sum += q[c * nr] * q[c * nr];
        sigma->query_square[lane] = sum * unit * unit;
        sigma->score_total[lane] = 0;
    }
    memset(sigma->sum_both, 0, lanes * head->dv_padded * sizeof(double));
    memset(sigma->sum_score, 0, lanes * head->dv_padded * sizeof(double));
    memset(sigma->sum_size, 0, lanes * head->dv_padded * sizeof(double));
}

/* From the weights 2^(x - top) in stream->s: P in place, and the panels both and score. */
static void weigh(vdit_sigma *sigma, vdit_stream *stream, size_t p, size_t keys)
{
    const vdit_noise *noise = &stream->head->call->noise;
    size_t nr = stream->head->kernel->nr;
    double largest[VDIT_KERNEL_NR_MAX], scrap[2 * VDIT_KERNEL_NR_MAX] = {0};

    /* p~ = weight / largest, so l = sum / largest */
    memcpy(largest, stream->most + p * nr, nr * sizeof *largest);
    stream->head->kernel->exp2_sum(1, stream->top + p * nr, largest, scrap, scrap + nr);
    for (size_t lane = 0; lane < nr; lane++) {
        size_t at = p * nr + lane;
        double total = stream->sum[at], least = noise->p_sub * largest[lane], scores = 0;

        for (size_t j = 0; total > 0 && j < keys; j++) {
            double weight = stream->s[j * nr + lane], share = weight / total;
            double rounding = fmin(weight, fmax(noise->p_unit * weight, least)) / total;

            stream->s[j * nr + lane] = share;
            sigma->score[j * nr + lane] =
                share * share * sigma->query_square[at] * sigma->key_square[j];
            sigma->rounding[j * nr + lane] = rounding * rounding / 3;
            scores += sigma->score[j * nr + lane];
        }
        sigma->score_total[at] += scores; /* a tile at a time, as bound->total counts */
    }
}

/* sums += V' W for one panel of queries and one tile. */
static void add_product(const vdit_stream *stream, size_t keys, const double *values,
                        const double *weights, double *sums)
{
    const vdit_head *head = stream->head;
    size_t mr = head->kernel->mr, nr = head->kernel->nr;

    for (size_t c = 0; c < head->dv_padded; c += mr) {
        head->kernel->gemm(keys, head->value_chunk, values + c * VDIT_TILE, weights, stream->tile);
        head->kernel->add(stream->tile, sums + c * nr);
    }
}

/* The weights of panel p on tile t. */
static void weigh_panel(vdit_sigma *sigma, vdit_stream *stream, size_t p, size_t t)
{
    const vdit_head *head = stream->head;
    size_t nr = head->kernel->nr, keys = vdit_tile_keys(head, t);
    double scrap[2 * VDIT_KERNEL_NR_MAX] = {0};

    vdit_stream_logits(stream, p, t);
    head->kernel->exp2_sum(keys, stream->top + p * nr, stream->s, scrap, scrap + nr);
    weigh(sigma, stream, p, keys);
}

static void sigma_panel(vdit_sigma *sigma, vdit_stream *stream, size_t p, size_t t)
{
    const vdit_head *head = stream->head;
    size_t nr = head->kernel->nr, keys = vdit_tile_keys(head, t), at = p * nr * head->dv_padded;

    weigh_panel(sigma, stream, p, t);
    add_product(stream, keys, head->v + t * head->dv_padded * VDIT_TILE, sigma->score,
                sigma->sum_score + at);
    add_product(stream, keys, sigma->sizes, stream->s, sigma->sum_size + at);
    for (size_t i = 0; i < keys * nr; i++) /* A + E, in the place of A */
        sigma->rounding[i] += sigma->score[i];
    add_product(stream, keys, sigma->squares, sigma->rounding, sigma->sum_both + at);
}

/* The sums of the three products: o enters afterwards, so terms may cancel. */
static vdit_sigma_sums product_sums(const vdit_sigma *sigma, size_t lane, size_t at, double o)
{
    double total = sigma->score_total[lane], both = sigma->sum_both[at];
    double cross = sqrt(both * total); /* at least |sum E v|, by Cauchy and Schwarz */
    vdit_sigma_sums s;

    s.noise = both - 2 * o * sigma->sum_score[at] + o * o * total;
    s.size = both + 2 * fabs(o) * cross + o * o * total;
    s.slope = cross + fabs(o) * total;
    return s;
}

/* Writes sigma of channel c of a lane if its sums settle it. Returns: 1 if so. */
static int finish_element(const vdit_sigma *sigma, const vdit_stream *stream,
                          const vdit_row_bound *bound, size_t lane, size_t c,
                          const vdit_sigma_sums *s)
{
    const vdit_head *head = stream->head;
    const vdit_noise *noise = &head->call->noise;
    size_t nr = head->kernel->nr, at = (lane / nr * head->dv_padded + c) * nr + lane % nr;
    double o = stream->o[at] / stream->sum[lane], size = sigma->sum_size[at] * noise->sum_unit;
    double out = fmax(noise->out_unit * fabs(o), noise->out_sub);
    double o_error = vdit_output_error(bound, head, c, o), value, root;
    double square = s->noise + out * out / 3 + size * size;
    /* every weight's relative error, twice for the square; the roundings of its formula, of its
       sums, and of |q|^2 and |k|^2; with a mask, of logits far below the top */
    double relative = 2 * (2 * bound->weight + 2 * bound->logit * head->key_norm_max +
                           bound->total + bound->sums * head->sum_weight_max +
                           (32 + (double)head->d) * UNIT + (head->masked ? 8192 * UNIT : 0));
    double error =
        1.1 * (relative * (s->size + size * size + out * out) +
               o_error * (2 * s->slope + noise->out_unit * out) +
               o_error * o_error * (sigma->score_total[lane] + noise->out_unit * noise->out_unit)) +
        (double)head->keys * 0x1p-900;

    if (!bound->usable || !(square > 4 * error))
        return 0;
    root = sqrt(square); /* concave: the root's error is below error / sqrt(square - error) */
    if (!vdit_settle_simple(&value, VDIT_BF16, root,
                            error / sqrt(square - error) + 8 * UNIT * root))
        return 0;
    vdit_rows_put(head, head->call->sigma, stream->first + lane, c, value);
    return 1;
}

/* Tests the elements of a lane. Returns: how many are open. */
static size_t finish_lane(const vdit_sigma *sigma, const vdit_stream *stream, vdit_rows *rows,
                          size_t lane)
{
    const vdit_head *head = stream->head;
    size_t nr = head->kernel->nr, r = stream->first + lane, open = 0;
    unsigned char *is_open = rows->sigma + r * head->dv;
    vdit_row_bound bound;

    memset(is_open, 0, head->dv);
    if (stream->odd[lane] || stream->sum[lane] == 0) {
        for (size_t c = 0; c < head->dv; c++)
            vdit_rows_put(head, head->call->sigma, r, c, 0);
        return 0;
    }
    vdit_stream_bound(&bound, stream, lane);
    for (size_t c = 0; c < head->dv; c++) {
        size_t at = (lane / nr * head->dv_padded + c) * nr + lane % nr;
        vdit_sigma_sums s = product_sums(sigma, lane, at, stream->o[at] / stream->sum[lane]);

        is_open[c] = !finish_element(sigma, stream, &bound, lane, c, &s);
        open += is_open[c];
    }
    return open;
}

/* Adds tile t to the sums of one element, term by term, which do not cancel. */
static void add_terms(const vdit_sigma *sigma, const vdit_stream *stream, size_t lane, size_t c,
                      size_t t, double o, vdit_sigma_sums *s)
{
    const vdit_head *head = stream->head;
    size_t keys = vdit_tile_keys(head, t), nr = head->kernel->nr;
    vdit_sigma_sums tile = {0, 0, 0};

    for (size_t j = 0; j < keys; j++) {
        double v = vdit_head_packed_value(head, t * VDIT_TILE + j, c), gap = v - o;
        double score = sigma->score[j * nr + lane % nr];

        tile.noise += sigma->rounding[j * nr + lane % nr] * (v * v) + score * (gap * gap);
        tile.slope += score * fabs(gap);
    }
    s->noise += tile.noise;
    s->slope += tile.slope;
}

/* The open elements of panel p once more, without cancellation; what stays open is the last stage's. */
static void finish_panel(vdit_sigma *sigma, vdit_stream *stream, vdit_rows *rows, size_t p)
{
    const vdit_head *head = stream->head;
    size_t nr = head->kernel->nr, dv = head->dv, end = (p + 1) * nr;
    vdit_sigma_sums *direct = sigma->direct;

    end = end < stream->rows ? end : stream->rows;
    memset(direct, 0, nr * dv * sizeof *direct);
    for (size_t t = 0; t < head->tiles; t++) {
        load_tile(sigma, head, t);
        weigh_panel(sigma, stream, p, t);
        for (size_t lane = p * nr; lane < end; lane++)
            for (size_t c = 0; c < dv; c++) {
                size_t at = (p * head->dv_padded + c) * nr + lane % nr;
                if (rows->sigma[(stream->first + lane) * dv + c])
                    add_terms(sigma, stream, lane, c, t, stream->o[at] / stream->sum[lane],
                              &direct[lane % nr * dv + c]);
            }
    }
    for (size_t lane = p * nr; lane < end; lane++) {
        unsigned char *open = rows->sigma + (stream->first + lane) * dv;
        vdit_row_bound bound;

        vdit_stream_bound(&bound, stream, lane);
        for (size_t c = 0; c < dv; c++) {
            vdit_sigma_sums *s = &direct[lane % nr * dv + c];
            s->size = s->noise;
            if (open[c] && finish_element(sigma, stream, &bound, lane, c, s))
                open[c] = 0;
            if (open[c])
                rows->open[stream->first + lane] |= VDIT_OPEN_SIGMA;
        }
    }
}

void vdit_sigma_run(vdit_sigma *sigma, vdit_stream *stream, vdit_rows *rows)
{
    size_t nr = stream->head->kernel->nr;

    load_lanes(sigma, stream);
    for (size_t t = 0; t < stream->head->tiles; t++) {
        load_tile(sigma, stream->head, t);
        for (size_t p = 0; p < stream->panels; p++)
            sigma_panel(sigma, stream, p, t);
    }
    for (size_t p = 0; p < stream->panels; p++) {
        size_t open = 0;

        for (size_t lane = p * nr; lane < (p + 1) * nr && lane < stream->rows; lane++)
            open += finish_lane(sigma, stream, rows, lane);
        if (open > 0)
            finish_panel(sigma, stream, rows, p);
    }
}
