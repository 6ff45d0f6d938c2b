#!/bin/sh
# make check-mutants: the score of the judge on the recipe attention, and at 32,760 keys, 64 rows of each
# case. Prints the tables of doc/conformance.md; exits 1 if a mutant survives or an honest variant is rejected.
golden=$builddir/bin/vdit-golden
mutants=$builddir/tests/.libs/mutants.so
VDIT_DATA=$srcdir/data
export VDIT_DATA
status=0

"$golden" mutants --rows 64 "$mutants" quick attention || status=1
set --
for family in normal needle; do
    for dtype in f32 bf16 f16; do
        set -- "$@" --case "wan-480p-self-$family-$dtype-32760"
    done
done
"$golden" mutants --rows 64 "$mutants" video "$@" || status=1
exit $status
