/* number.h - numbers as text, whatever the locale of the process. */
#ifndef VDIT_BASE_NUMBER_H
#define VDIT_BASE_NUMBER_H

#include <stddef.h>

#define VDIT_NUMBER_TEXT 32 /* room for vdit_number_text */

/*
 * Reads a decimal or hexadecimal (0x1p-3) number, rounded once to binary64; with a % at its end, a decimal one, a
 * hundredth of it. Out: value. In: text, NUL-terminated.
 * Returns: 1; 0 with value untouched if text is anything else, or not finite.
 */
int vdit_number_read(double *value, const char *text);

/* Reads decimal digits alone. Out: value. Returns: 1; 0 if text is anything else or exceeds limit. */
int vdit_number_count(size_t *value, const char *text, size_t limit);

/* Writes the shortest decimal that reads as the finite value. Returns: text. */
char *vdit_number_text(char text[VDIT_NUMBER_TEXT], double value);

/* Writes a fraction as a percentage if that reads as the value, else as vdit_number_text. Returns: text. */
char *vdit_number_percent(char text[VDIT_NUMBER_TEXT], double value);

#endif
