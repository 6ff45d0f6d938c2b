/* model_time.h - how long a call of a denoiser will take on this machine, for the programs that run models. */
#ifndef MODEL_TIME_H
#define MODEL_TIME_H

#include <vdit/model.h>

/* Returns: seconds of the call on a backend, scaled from a short linear layer and a short attention of its widths. */
double model_seconds(vdit_run *run, const vdit_backend *backend, const vdit_model_survey *survey,
                     vdit_dtype dtype);

#endif
