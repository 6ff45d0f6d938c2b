/* fuzz_npy.c - the reader of npy files. */
#include "fuzz.h"

const char *const fuzz_name = "npy";
vdit_reader *const fuzz_reader = vdit_npy_read;
