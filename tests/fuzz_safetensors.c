/* fuzz_safetensors.c - the reader of safetensors files. */
#include "fuzz.h"

const char *const fuzz_name = "safetensors";
vdit_reader *const fuzz_reader = vdit_safetensors_read;
