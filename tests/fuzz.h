/*
 * fuzz.h - a fuzz target is a reader and the folder of its seeds in tests/fuzz-seeds. Linked with
 * libFuzzer (make check-fuzz) it is fed what that invents; with fuzz_replay.c (make check), the seeds.
 */
#ifndef VDIT_TESTS_FUZZ_H
#define VDIT_TESTS_FUZZ_H

#include "file/internal.h"

extern const char *const fuzz_name;
extern vdit_reader *const fuzz_reader;

/* libFuzzer's entry: reads the bytes as a file, and every tensor that it holds. Returns: 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
