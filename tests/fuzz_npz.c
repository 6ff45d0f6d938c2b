/* fuzz_npz.c - the reader of npz files. */
#include "fuzz.h"

const char *const fuzz_name = "npz";
vdit_reader *const fuzz_reader = vdit_npz_read;
