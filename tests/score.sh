#!/bin/sh
# make check-mutants: the score of the judge on the recipe attention, 64 rows of each case, and on mutants,
# 32,760 keys. Prints the tables of doc/conformance.md; exits 1 if a mutant survives or an honest variant is rejected.
golden=$builddir/bin/vdit-golden
mutants=$builddir/tests/.libs/mutants.so
VDIT_DATA=$srcdir/data
export VDIT_DATA
status=0

"$golden" mutants --rows 64 "$mutants" quick attention || status=1
"$golden" mutants "$mutants" mutants || status=1
exit $status
