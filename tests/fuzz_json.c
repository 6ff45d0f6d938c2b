/* fuzz_json.c - the reader of shard indexes, and so of JSON. */
#include "fuzz.h"

const char *const fuzz_name = "json";
vdit_reader *const fuzz_reader = vdit_index_read;
