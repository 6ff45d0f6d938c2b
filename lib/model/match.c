/* match.c - names that fit a pattern. */
#include <vdit/model.h>

int vdit_name_matches(const char *pattern, const char *name)
{
    const char *star = NULL, *from = NULL; /* behind the last '*', and what it has taken so far */

    while (*name != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            from = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star;
            name = ++from;
        } else {
            return 0;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}
