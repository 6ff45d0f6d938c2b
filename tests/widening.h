/*
 * widening.h - for tests: bounds that are wider than they need be, so that later stages decide. Who includes it links
 * widening.c with -Wl,--wrap=vdit_stream_bound.
 */
#ifndef TESTS_WIDENING_H
#define TESTS_WIDENING_H

/* Added to the relative bound of every weight in stage 0. */
extern double widening;

/* What a test begins with: as scene_open_two, and nothing widened. */
int widening_open(void **state);

#endif
