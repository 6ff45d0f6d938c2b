/* pattern_check.c - whether what an edit says about places can be meant. */
#include <math.h>
#include "attention/pattern.h"

static const char *const pattern_names[] = {"tiles",   "sliding",  "radial",
                                            "spatial", "temporal", "first frame"};

static vdit_status refuse(vdit_run *run, const vdit_pattern *p, const char *what,
                          const char *expected)
{
    return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "edit: pattern %s: %s; %s was expected",
                         pattern_names[p->kind], what, expected);
}

static vdit_status check_tiles(vdit_run *run, const vdit_pattern *p, const vdit_layout *layout)
{
    size_t queries = layout->query.video + layout->query.text;
    size_t keys = layout->key.video + layout->key.text, rows, columns;
    const vdit_tensor *t = p->tiles;
    char shape[128];

    if (p->rows == 0 || p->columns == 0 || t == NULL)
        return refuse(run, p, "no tiles", "a mask, and rows and columns of a tile");
    if (t->dtype != VDIT_BOOL)
        return vdit_run_fail(run, VDIT_ERR_DTYPE, "tiles is %s; bool was expected",
                             vdit_dtype_name(t->dtype));
    rows = queries / p->rows + (queries % p->rows != 0);
    columns = keys / p->columns + (keys % p->columns != 0);
    if (t->rank != 2 || t->shape[0] != rows || t->shape[1] != columns)
        return vdit_run_fail(
            run, VDIT_ERR_SHAPE,
            "tiles is %s; [%zu, %zu] was expected for %zu x %zu in tiles of %zu x %zu",
            vdit_tensor_shape_text(shape, sizeof shape, t), rows, columns, queries, keys, p->rows,
            p->columns);
    return VDIT_OK;
}

static vdit_status check_radial(vdit_run *run, const vdit_pattern *p, const vdit_layout *layout)
{
    double scaled = p->decay * ((double)layout->height * (double)layout->width);

    if (!(scaled >= 1 && scaled < 0x1p31))
        return refuse(run, p, "no width", "a decay of at least 1 / (height * width)");
    return VDIT_OK;
}

static vdit_status check_pattern(vdit_run *run, const vdit_pattern *p, const vdit_layout *layout)
{
    if ((unsigned)p->kind > VDIT_PATTERN_FIRST_FRAME)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "edit: pattern of kind %d is none",
                             (int)p->kind);
    if (p->kind == VDIT_PATTERN_TILES)
        return check_tiles(run, p, layout);
    if (layout->frames == 0)
        return refuse(run, p, "the tokens have no places", "a declared video");
    if (layout->query.video == 0 || layout->key.video == 0)
        return refuse(run, p, "text alone on an axis", "a map with video queries and video keys");
    for (int i = 0; i < 3; i++)
        if (p->kind == VDIT_PATTERN_SLIDING && (p->tile[i] == 0 || p->window[i] == 0))
            return refuse(run, p, "an extent of 0", "tile and window of at least 1");
    return p->kind == VDIT_PATTERN_RADIAL ? check_radial(run, p, layout) : VDIT_OK;
}

static vdit_status check_keys(vdit_run *run, const vdit_edit *edit, const vdit_layout *layout)
{
    const vdit_tensor *t = edit->keys;
    size_t keys = layout->key.video + layout->key.text;
    char shape[128];

    if (t != NULL && t->dtype != VDIT_BOOL)
        return vdit_run_fail(run, VDIT_ERR_DTYPE, "keys is %s; bool was expected",
                             vdit_dtype_name(t->dtype));
    if (t != NULL && (t->rank != 1 || t->shape[0] != keys))
        return vdit_run_fail(run, VDIT_ERR_SHAPE, "keys is %s; [%zu] was expected",
                             vdit_tensor_shape_text(shape, sizeof shape, t), keys);
    return VDIT_OK;
}

vdit_status vdit_pattern_check(vdit_run *run, const vdit_edit *edit, const vdit_layout *layout)
{
    unsigned blocks = edit->dropped_blocks | edit->prunable;
    int declared = layout->frames > 0 || layout->query.text > 0 || layout->key.text > 0;

    if (edit->queries == 0 || edit->queries > VDIT_ANY)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                             "edit: queries is %u; video, text or both were expected",
                             edit->queries);
    if (blocks > 15)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                             "edit: %u is no set of the blocks vv, vt, tv, tt", blocks);
    if (!declared && (blocks != 0 || edit->queries != VDIT_ANY || edit->first_text > 0))
        return vdit_run_fail(
            run, VDIT_ERR_ARGUMENT,
            "edit: blocks, query sets and first_text need tokens that are declared");
    if ((unsigned)edit->pattern_moment > VDIT_AFTER_SOFTMAX ||
        (unsigned)edit->block_moment > VDIT_AFTER_SOFTMAX)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "edit: a moment is neither before nor after");
    if (edit->pattern_count > 0 && edit->patterns == NULL)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "edit: patterns is NULL");
    for (size_t i = 0; i < edit->pattern_count; i++)
        if (check_pattern(run, &edit->patterns[i], layout) != VDIT_OK)
            return vdit_run_status(run);
    return check_keys(run, edit, layout);
}
