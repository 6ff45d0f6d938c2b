/* edit.c - an edit with every part off. */
#include <string.h>
#include <vdit/edit.h>

void vdit_edit_init(vdit_edit *edit)
{
    memset(edit, 0, sizeof *edit);
    edit->size = sizeof *edit;
    edit->queries = VDIT_ANY;
    edit->temperature = 1;
    edit->keep_moment = VDIT_AFTER_SOFTMAX;
    edit->gate = 1;
}

/* Whether entries or keys are dropped. */
static int drops(const vdit_edit *edit)
{
    return edit->keys != NULL || edit->first_text > 0 || edit->pattern_count > 0 ||
           edit->dropped_blocks != 0 || edit->prune != VDIT_PRUNE_NONE;
}

int vdit_edit_is_off(const vdit_edit *edit)
{
    return !drops(edit) && edit->transfer == 0 && edit->temperature == 1 &&
           edit->key_weight == NULL && edit->replace == 0 && edit->mix == 0 && edit->gate == 1;
}

int vdit_edit_drops(const vdit_edit *edit, vdit_moment moment)
{
    int mask = edit->prune != VDIT_PRUNE_NONE, before = moment == VDIT_BEFORE_SOFTMAX;

    if (edit->prune == VDIT_PRUNE_MASK)
        mask = edit->keep_moment == moment;
    else if (before)
        mask = 0;
    return mask || (before && (edit->keys != NULL || edit->first_text > 0)) ||
           (edit->pattern_count > 0 && edit->pattern_moment == moment) ||
           (edit->dropped_blocks != 0 && edit->block_moment == moment);
}
