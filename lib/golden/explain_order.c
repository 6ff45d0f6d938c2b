/* explain_order.c - values that belong to other keys: shifted, permuted, or rotated as a whole. */
#include "golden/explain.h"

static const char *const orders[] = {"", "as a 4 x 4 block that is read by columns", "0 8 1 9 ...",
                                     "0 2 4 ... 1 3 5 ...", "backwards"};

void vdit_explain_order(vdit_explain *e)
{
    vdit_wrong w = vdit_wrong_none(&e->head);
    ptrdiff_t eighth = (ptrdiff_t)((w.valid + 7) / 8);
    const ptrdiff_t shifts[] = {1, -1, eighth, -eighth};

    for (size_t i = 0; i < sizeof shifts / sizeof *shifts; i++) {
        w.value_shift = shifts[i];
        vdit_explain_try(e, &w);
        vdit_explain_offer(e, "values shifted",
                           "V is that of the key %td further: K and V misaligned", shifts[i]);
    }
    w.value_shift = 0;
    w.order_in = (vdit_range){0, e->head.keys};
    for (vdit_wrong_order o = VDIT_ORDER_TRANSPOSED; o <= VDIT_ORDER_REVERSED; o++) {
        w.order = o;
        vdit_explain_try(e, &w);
        vdit_explain_offer(e, "values permuted", "V permuted within 16 keys, %s", orders[o]);
    }
}
