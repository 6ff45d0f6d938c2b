/* model/survey.h - the lists of a survey. */
#ifndef VDIT_MODEL_SURVEY_H
#define VDIT_MODEL_SURVEY_H

#include <vdit/model.h>

/* Leaves each name once, at its first place. In, Out: infos[count]. Returns: how many are left. */
size_t vdit_survey_unique(vdit_run *run, vdit_name_info *infos, size_t count);

#endif
