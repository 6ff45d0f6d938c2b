/*
 * intervene.c - attention under edits. A head with its edit becomes a call of one head: operands from the source call,
 * the temperature in its scale, thresholds found first. What acts before the softmax only is plain attention; all
 * else goes through the parts (edited.c). Rows that are not edited are a plain call beside it.
 */
#include <math.h>
#include <string.h>
#include "attention/intervene.h"
#include "attention/report.h"

/* One head as a call of its own, with the tensors that it points to. */
typedef struct one {
    const vdit_thresholds *all; /* of its edit, over the call that it was cut from */
    size_t first;               /* of its thresholds among them */
    vdit_attention call;
    vdit_edit edit;
    const vdit_edit *edits[1];
    vdit_head_report report;
    vdit_tensor tensor[24];
    size_t used;
    size_t b, h;
} one;

/* Returns: head (b, h) of a tensor [B,H,...], an extent of 1 standing for all; NULL for NULL. */
static vdit_tensor *cut(one *head, const vdit_tensor *t)
{
    vdit_tensor *part;
    size_t index[VDIT_MAX_RANK] = {0};

    if (t == NULL)
        return NULL;
    part = &head->tensor[head->used++];
    *part = *t;
    index[0] = t->shape[0] == 1 ? 0 : head->b;
    index[1] = t->shape[1] == 1 ? 0 : head->h;
    part->shape[0] = part->shape[1] = 1;
    part->data = vdit_tensor_at(t, index);
    return part;
}

static void cut_length(one *head, const vdit_tensor *t)
{
    if (t == NULL)
        return;
    head->call.key_length = &head->tensor[head->used];
    head->tensor[head->used] = *t;
    head->tensor[head->used].data = vdit_tensor_at(t, &head->b);
    head->tensor[head->used++].shape[0] = 1;
}

static void cut_report(one *head, const vdit_edit_report *report)
{
    head->report.size = sizeof head->report;
    head->report.threshold = cut(head, report->threshold);
    head->report.masked = cut(head, report->masked);
    head->report.kept_mass = cut(head, report->kept_mass);
    head->report.keep = cut(head, report->keep);
    head->report.free = cut(head, report->free);
    head->report.renormalised = cut(head, report->renormalised);
    head->report.dense_mass = cut(head, report->dense_mass);
}

/* Head (b, h) of the call; its edit, if it has one, with the source tensors cut to the same head. */
static void cut_head(one *head, const vdit_attention *call, const vdit_thresholds *known, size_t b,
                     size_t h)
{
    const vdit_edit *edit = call->edits[h];

    memset(head, 0, sizeof *head);
    head->all = &known[h];
    head->first = (b * call->q->shape[1] + h) * call->q->shape[2];
    head->b = b;
    head->h = h;
    head->call = *call;
    head->call.q = cut(head, call->q);
    head->call.k = cut(head, call->k);
    head->call.v = cut(head, call->v);
    head->call.mask = cut(head, call->mask);
    head->call.o = cut(head, call->o);
    head->call.lse = cut(head, call->lse);
    head->call.map = cut(head, call->map);
    head->call.sigma = cut(head, call->sigma);
    cut_length(head, call->key_length);
    head->call.edits = NULL;
    head->call.report = NULL;
    if (call->report != NULL)
        cut_report(head, call->report);
    if (edit == NULL)
        return;
    head->edit = *edit;
    head->edits[0] = &head->edit;
    head->call.edits = head->edits;
    head->edit.source_q = cut(head, edit->source_q);
    head->edit.source_k = cut(head, edit->source_k);
    head->edit.source_v = cut(head, edit->source_v);
    head->edit.source_map = cut(head, edit->source_map);
    head->edit.threshold = cut(head, edit->threshold);
    head->edit.keep = cut(head, edit->keep);
}

/* Whether all that an edit does is done before the softmax, or to its operands. */
static int is_plain(const vdit_edit *edit)
{
    return (edit->prune == VDIT_PRUNE_NONE ||
            (edit->prune == VDIT_PRUNE_MASK && edit->keep_moment == VDIT_BEFORE_SOFTMAX)) &&
           !vdit_pattern_acts(edit, VDIT_AFTER_SOFTMAX) && edit->key_weight == NULL &&
           edit->replace == 0 && edit->mix == 0 && edit->gate == 1;
}

/* The output with what was kept divided out, whatever the edit does with the rest. */
static void run_renormalised(vdit_run *run, const one *head, const double *tau,
                             const uint64_t *quota)
{
    vdit_attention call = head->call;
    vdit_edit edit = head->edit;
    const vdit_edit *edits[1] = {&edit};

    edit.lost = VDIT_LOST_RENORMALISED;
    call.edits = edits;
    call.o = head->report.renormalised;
    vdit_edited_head(run, &call, tau, quota, NULL);
}

/*
 * Temperature 0: the keys of the largest logits become a mask before the softmax of equal logits. What the edit
 * masks before the softmax has then been said.
 */
static void apply_argmax(vdit_run *run, one *head, vdit_tensor *bits)
{
    size_t shape[4] = {1, 1, 0, (head->call.k->shape[2] + 7) / 8};

    shape[2] = head->call.rows ? head->call.rows->shape[0] : head->call.q->shape[2];
    if (vdit_tensor_new(run, bits, VDIT_U8, 4, shape) != VDIT_OK ||
        vdit_edit_argmax(run, &head->call, bits) != VDIT_OK)
        return;
    head->edit.prune = VDIT_PRUNE_MASK;
    head->edit.keep = bits;
    head->edit.keep_moment = VDIT_BEFORE_SOFTMAX;
    head->call.scale = 0;
    head->call.mask = NULL;
}

/* Computes one head whose rows are all edited. */
static vdit_status run_edited(vdit_run *run, one *head)
{
    vdit_attention map = head->call;
    vdit_tensor o, bits, *sigma = head->call.sigma;
    double *tau;
    uint64_t *quota;

    if (head->report.dense_mass != NULL)
        vdit_report_dense(run, head->report.dense_mass, &head->call);
    if (head->edit.temperature == 0)
        apply_argmax(run, head, &bits);
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    if (is_plain(&head->edit)) {
        vdit_report_plain(run, &head->report, &head->call);
        if (head->report.renormalised != NULL) {
            map.o = head->report.renormalised;
            map.lse = map.map = map.sigma = NULL;
            vdit_attention_plain(run, &map);
        }
        return vdit_attention_plain(run, &head->call);
    }
    if (vdit_edit_thresholds(run, &head->call, head->all, head->first, &tau, &quota) != VDIT_OK)
        return vdit_run_status(run);
    map.o = map.sigma = NULL;
    if (map.lse != NULL || map.map != NULL)
        vdit_attention_plain(run, &map);
    if (head->report.renormalised != NULL)
        run_renormalised(run, head, tau, quota);
    head->call.sigma = NULL;
    if (sigma != NULL && head->call.o == NULL) {
        if (vdit_tensor_new(run, &o, VDIT_F32, 4, sigma->shape) != VDIT_OK)
            return vdit_run_status(run);
        head->call.o = &o;
    }
    vdit_edited_head(run, &head->call, tau, quota,
                     vdit_report_is_wanted(&head->report) ? &head->report : NULL);
    head->call.sigma = sigma;
    if (sigma != NULL && vdit_run_status(run) == VDIT_OK)
        vdit_edit_sigma(run, &head->call, tau, quota);
    return vdit_run_status(run);
}

/* A dense tensor with n rows of t, which has rows on its third axis; NULL for NULL. */
static vdit_tensor *pick_rows(vdit_run *run, const vdit_tensor *t, const size_t *list, size_t n)
{
    size_t shape[VDIT_MAX_RANK] = {1, 1, n, 1}, from[4] = {0}, to[4] = {0};
    vdit_tensor *picked;

    if (t == NULL || t->shape[2] == 1)
        return (vdit_tensor *)t;
    shape[3] = t->rank == 4 ? t->shape[3] : 1;
    picked = vdit_run_alloc(run, 1, sizeof *picked);
    if (picked == NULL || vdit_tensor_new(run, picked, t->dtype, t->rank, shape) != VDIT_OK)
        return NULL;
    for (to[2] = 0; to[2] < n; to[2]++)
        for (to[3] = 0; to[3] < shape[3]; to[3]++) {
            from[2] = list[to[2]];
            from[3] = to[3];
            memcpy(vdit_tensor_at(picked, to), vdit_tensor_at(t, from), vdit_dtype_size(t->dtype));
        }
    return picked;
}

/* The rows of picked back to where they came from. */
static void put_rows(const vdit_tensor *t, const vdit_tensor *picked, const size_t *list, size_t n)
{
    size_t from[4] = {0}, to[4] = {0}, width = t != NULL && t->rank == 4 ? t->shape[3] : 1;

    for (from[2] = 0; t != NULL && from[2] < n; from[2]++)
        for (from[3] = 0; from[3] < width; from[3]++) {
            to[2] = list[from[2]];
            to[3] = from[3];
            memcpy(vdit_tensor_at(t, to), vdit_tensor_at(picked, from), vdit_dtype_size(t->dtype));
        }
}

/* What is written of a head has a row for each row of the call. */
enum { ROW_OUTPUTS = 11 };

static void row_tensors(one *head, vdit_tensor ***list)
{
    vdit_head_report *report = &head->report;

    list[0] = &head->call.o;
    list[1] = &head->call.lse;
    list[2] = &head->call.map;
    list[3] = &head->call.sigma;
    list[4] = &report->threshold;
    list[5] = &report->masked;
    list[6] = &report->kept_mass;
    list[7] = &report->keep;
    list[8] = &report->renormalised;
    list[9] = &report->dense_mass;
    list[10] = &report->free;
}

/* Computes the n rows of list alone, and what is said of them. */
static void run_rows(vdit_run *run, one *head, const size_t *list, size_t n)
{
    one *some = vdit_run_alloc(run, 1, sizeof *some);
    vdit_tensor **here[ROW_OUTPUTS], **there[ROW_OUTPUTS], rows;
    size_t mark = vdit_run_mark(run);

    if (some == NULL || n == 0 || vdit_tensor_new(run, &rows, VDIT_I64, 1, &n) != VDIT_OK)
        return;
    *some = *head;
    some->edits[0] = &some->edit;
    some->call.edits = some->edits;
    some->edit.queries = VDIT_ANY;
    for (size_t i = 0; i < n; i++)
        ((int64_t *)rows.data)[i] = (int64_t)vdit_query_at(&head->call, list[i]);
    some->call.rows = &rows;
    row_tensors(head, here);
    row_tensors(some, there);
    for (int i = 0; i < ROW_OUTPUTS; i++)
        *there[i] = pick_rows(run, *here[i], list, n);
    if (vdit_run_status(run) == VDIT_OK)
        vdit_report_clear(&some->report, &some->call);
    some->edit.threshold = pick_rows(run, head->edit.threshold, list, n);
    some->edit.keep = pick_rows(run, head->edit.keep, list, n);
    some->edit.source_map = pick_rows(run, head->edit.source_map, list, n);
    if (vdit_run_status(run) == VDIT_OK && run_edited(run, some) == VDIT_OK)
        for (int i = 0; i < ROW_OUTPUTS; i++)
            put_rows(*here[i], *there[i], list, n);
    vdit_run_release(run, mark);
}

/* Takes the head's edit away, but for what its tokens are. */
static void turn_off(one *head)
{
    vdit_tokens tokens = head->edit.tokens;

    vdit_edit_init(&head->edit);
    head->edit.tokens = tokens;
    head->edits[0] = &head->edit;
    head->call.edits = head->edits;
}

/* A head of which only the rows of one kind are edited: all plainly, then those once more. */
static void run_some(vdit_run *run, one *head, const vdit_layout *layout)
{
    size_t rows = head->call.rows ? head->call.rows->shape[0] : head->call.q->shape[2], n = 0;
    size_t *list = vdit_run_alloc(run, rows, sizeof *list);
    one *plain = vdit_run_alloc(run, 1, sizeof *plain);

    if (plain == NULL)
        return;
    *plain = *head;
    turn_off(plain);
    run_edited(run, plain);
    for (size_t r = 0; list != NULL && r < rows; r++)
        if ((vdit_axis_kind(&layout->query, vdit_query_at(&head->call, r)) & head->edit.queries) !=
            0)
            list[n++] = r;
    if (list != NULL) {
        vdit_edit_operands(&head->call, &head->edit);
        run_rows(run, head, list, n);
    }
}

static vdit_status run_head(vdit_run *run, const vdit_attention *call, const vdit_thresholds *known,
                            size_t b, size_t h)
{
    size_t mark = vdit_run_mark(run);
    one *head = vdit_run_alloc(run, 1, sizeof *head);
    vdit_layout layout;

    if (head == NULL)
        return vdit_run_status(run);
    cut_head(head, call, known, b, h);
    if (head->call.edits == NULL || vdit_edit_is_off(&head->edit))
        turn_off(head);
    vdit_layout_set(run, &layout, &head->edit.tokens, call->q->shape[2], call->k->shape[2]);
    vdit_report_clear(&head->report, &head->call);
    if (head->edit.queries != VDIT_ANY && head->edit.queries != 0 && layout.query.text > 0) {
        run_some(run, head, &layout);
    } else {
        vdit_edit_operands(&head->call, &head->edit);
        run_edited(run, head);
    }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

vdit_status vdit_attention_edited(vdit_run *run, const vdit_attention *call)
{
    size_t mark = vdit_run_mark(run);
    vdit_thresholds *known = vdit_run_alloc(run, call->q->shape[1], sizeof *known);

    if (known != NULL)
        vdit_edit_sort_all(run, call, known);
    for (size_t b = 0; b < call->q->shape[0]; b++)
        for (size_t h = 0; h < call->q->shape[1] && vdit_run_status(run) == VDIT_OK; h++)
            run_head(run, call, known, b, h);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
