/* number.c - numbers as text. strtod and printf take the point from the locale; here it is a point. */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/number.h"

#define LONGEST 64 /* digits beyond this are no honest number's */

int vdit_number_read(double *value, const char *text)
{
    const char *point = localeconv()->decimal_point, *at = strchr(text, '.');
    size_t length = strlen(text), body;
    int percent = length > 0 && text[length - 1] == '%';
    char copy[2 * LONGEST], *end;
    double read;

    if (length == 0 || length > LONGEST || strlen(point) > 8 ||
        strspn(text, "+-0123456789.abcdefABCDEFxXpP") != length - (size_t)percent ||
        (percent && strspn(text, "0123456789.") != length - 1))
        return 0;
    body = length - (size_t)percent;
    if (at != NULL)
        snprintf(copy, sizeof copy, "%.*s%s%.*s%s", (int)(at - text), text, point,
                 (int)(body - (size_t)(at - text) - 1), at + 1, percent ? "e-2" : "");
    else
        snprintf(copy, sizeof copy, "%.*s%s", (int)body, text, percent ? "e-2" : "");
    read = strtod(copy, &end);
    if (end == copy || *end != '\0' || !isfinite(read))
        return 0;
    *value = read;
    return 1;
}

int vdit_number_count(size_t *value, const char *text, size_t limit)
{
    size_t read = 0;

    if (*text == '\0' || text[strspn(text, "0123456789")] != '\0')
        return 0;
    for (; *text != '\0'; text++) {
        size_t digit = (size_t)(*text - '0');
        if (digit > limit || read > (limit - digit) / 10)
            return 0;
        read = 10 * read + digit;
    }
    *value = read;
    return 1;
}

/* Writes value with so many digits, and a point. */
static void write_digits(char text[VDIT_NUMBER_TEXT], int digits, double value)
{
    const char *point = localeconv()->decimal_point;
    char *at;

    snprintf(text, VDIT_NUMBER_TEXT, "%.*g", digits, value);
    at = strstr(text, point);
    if (at != NULL) {
        memmove(at + 1, at + strlen(point), strlen(at + strlen(point)) + 1);
        *at = '.';
    }
}

char *vdit_number_text(char text[VDIT_NUMBER_TEXT], double value)
{
    double back = 0;

    for (int digits = 1; digits <= 17; digits++) {
        write_digits(text, digits, value);
        if (vdit_number_read(&back, text) && back == value)
            break;
    }
    return text;
}

char *vdit_number_percent(char text[VDIT_NUMBER_TEXT], double value)
{
    double back = 0;

    for (int digits = 1; digits <= 15; digits++) {
        write_digits(text, digits, 100 * value);
        strcat(text, "%");
        if (vdit_number_read(&back, text) && back == value)
            return text;
    }
    return vdit_number_text(text, value);
}
