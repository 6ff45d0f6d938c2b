/* golden/choice.h - statistics that are decisions. */
#ifndef VDIT_GOLDEN_CHOICE_H
#define VDIT_GOLDEN_CHOICE_H

#include "golden/evidence.h"

/*
 * Judges a statistic that chooses keys or counts entries over a threshold.
 * Out: reason, if an element is another than the golden's and could not have been. In: name, without "meter.";
 * expected and actual, of one dtype and shape. Returns: 0 if the statistic is none of these, else 1.
 */
int vdit_choice_judge(char *reason, size_t size, const vdit_evidence *evidence,
                      const vdit_golden *golden, const char *name, const vdit_tensor *expected,
                      const vdit_tensor *actual);

#endif
