/* survey.c - names that a network uses more than once. */
#include <stdlib.h>
#include <string.h>
#include "model/survey.h"

typedef struct place {
    const char *name;
    size_t first;
} place;

static int compare(const void *a, const void *b)
{
    const place *left = a, *right = b;
    int order = strcmp(left->name, right->name);

    if (order != 0)
        return order;
    return left->first < right->first ? -1 : left->first > right->first;
}

size_t vdit_survey_unique(vdit_run *run, vdit_name_info *infos, size_t count)
{
    place *places = vdit_run_alloc(run, count, sizeof *places);
    size_t left = 0;

    if (places == NULL || count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        places[i] = (place){infos[i].name, i};
    qsort(places, count, sizeof *places, compare);
    for (size_t i = 1; i < count; i++)
        if (strcmp(places[i - 1].name, places[i].name) == 0)
            infos[places[i].first].name = NULL;
    for (size_t i = 0; i < count; i++)
        if (infos[i].name != NULL)
            infos[left++] = infos[i];
    return left;
}
