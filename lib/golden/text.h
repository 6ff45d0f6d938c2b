/* golden/text.h - strings in the memory of a run. */
#ifndef VDIT_GOLDEN_TEXT_H
#define VDIT_GOLDEN_TEXT_H

#include <vdit/run.h>

/* A text that grows. It starts as {.run = run}. */
typedef struct vdit_text {
    vdit_run *run;
    char *bytes; /* size of them, and a NUL */
    size_t size, room;
} vdit_text;

/* Appends formatted text of up to 511 bytes. Returns: VDIT_OK or the failure. */
vdit_status vdit_text_print(vdit_text *text, const char *format, ...) VDIT_PRINTF(2, 3);

/* Returns: a copy in the run's memory, or NULL with the run failed. */
char *vdit_text_copy(vdit_run *run, const char *text);

/* Returns: DIRECTORY/NAME in the run's memory, or NULL with the run failed. */
char *vdit_path_join(vdit_run *run, const char *directory, const char *name);

#endif
