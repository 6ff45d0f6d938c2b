/* safetensors.h - the constants of the format, for its reader and its writer. */
#ifndef VDIT_FILE_SAFETENSORS_H
#define VDIT_FILE_SAFETENSORS_H

#include <vdit/tensor.h>

/* The key of the metadata object, which no tensor may have as its name. */
#define VDIT_SAFETENSORS_META "__metadata__"

/* Returns: the format's name of the dtype, such as "BF16". */
const char *vdit_safetensors_dtype_name(vdit_dtype dtype);

#endif
