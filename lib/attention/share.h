/*
 * attention/share.h - rows cut into shares for the threads, in whole panels: equal ones, and as many for each
 * thread, so that all end together.
 */
#ifndef VDIT_ATTENTION_SHARE_H
#define VDIT_ATTENTION_SHARE_H

#include <stddef.h>

typedef struct vdit_shares {
    size_t rows, nr; /* rows in all; rows of a panel */
    size_t panels, count;
} vdit_shares;

/* At most `most` panels in a share, and `each` shares for each thread if there are panels enough. */
static inline vdit_shares vdit_shares_make(size_t rows, size_t nr, size_t threads, size_t most,
                                           size_t each)
{
    vdit_shares shares = {rows, nr, (rows + nr - 1) / nr, 0};
    size_t rounds = (shares.panels + threads * most - 1) / (threads * most);

    shares.count = threads * (rounds > each ? rounds : each);
    if (shares.count > shares.panels)
        shares.count = shares.panels;
    return shares;
}

/* Out: the first row of share i. Returns: how many it has. */
static inline size_t vdit_share_at(const vdit_shares *shares, size_t i, size_t *first)
{
    size_t end = (i + 1) * shares->panels / shares->count * shares->nr;

    *first = i * shares->panels / shares->count * shares->nr;
    return (end < shares->rows ? end : shares->rows) - *first;
}

#endif
