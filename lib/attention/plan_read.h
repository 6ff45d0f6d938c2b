/* attention/plan_read.h - reading a plan: a place in its text, words, and what was expected there. */
#ifndef VDIT_ATTENTION_PLAN_READ_H
#define VDIT_ATTENTION_PLAN_READ_H

#include "attention/plan.h"

#define VDIT_PLAN_LINE_MAX 4096

typedef struct vdit_plan_reader {
    vdit_run *run;
    vdit_plan *plan;
    const char *what;     /* that is read, for messages */
    const char *at, *end; /* of the line that is read */
    const char *start;    /* of the line, for columns */
    size_t number;        /* of the line, from 1 */
    const char *preset;   /* NULL, or the name of the preset whose text is read */
    vdit_plan_line *line; /* that is filled */
    const char *word_at;  /* where the word below begins */
    int quoted;           /* 1 if it began with a quote */
    char word[VDIT_PLAN_LINE_MAX + 1];
} vdit_plan_reader;

/* Fails with line and column of a place, what stands there (NULL: nothing is quoted) and what was expected. */
vdit_status vdit_plan_expected(vdit_plan_reader *r, const char *at, const char *found,
                               const char *expected);

/* Skips blanks. Returns: 1 if something follows that is no comment. */
int vdit_plan_more(vdit_plan_reader *r);

/*
 * Out: word: text up to a blank, the end, or a comma before one of these; a part in double quotes may hold them.
 * Returns: 1; 0 if a quote is not closed.
 */
int vdit_plan_word(vdit_plan_reader *r);

/* Reads "LIST!LIST" of numbers and ranges into set. In: text, which lies in r->word. */
vdit_status vdit_plan_read_set(vdit_plan_reader *r, vdit_plan_set *set, const char *text);

/* Reads words that are separated by commas. Out: bits, that of each word. */
vdit_status vdit_plan_read_bits(vdit_plan_reader *r, unsigned *bits, const char *text,
                                const char *const *words);

/* Reads K=... */
vdit_status vdit_plan_read_kinds(vdit_plan_reader *r, unsigned *kinds, const char *text);

/* Reads the terms of a selector and the colon behind it, if there is one. */
vdit_status vdit_plan_read_selector(vdit_plan_reader *r, vdit_plan_selector *at, int colon);

/* Reads an action, up to the comma behind it or the end. */
vdit_status vdit_plan_read_action(vdit_plan_reader *r);

/* Reads the text of an option of the line's n-th pattern into what it fills. */
vdit_status vdit_plan_read_value(vdit_plan_reader *r, const vdit_plan_option *option, size_t n,
                                 const char *text);

#endif
