#!/bin/sh
# make check-mutants: the score of the judge on the recipe attention, 64 rows of each case, and on mutants,
# 32,760 keys. Prints the tables of doc/conformance.md; exits 1 if a mutant survives or an honest variant is rejected.
# With MUTANTS_QUICK 16 rows, and at 32,760 keys the cases in bf16; both runs side by side. Mutants of edits run on the
# small cases of the recipe edits.
golden=$builddir/bin/vdit-golden
mutants=$builddir/tests/.libs/mutants.so
VDIT_DATA=$srcdir/data
export VDIT_DATA
status=0

# edits ROWS - the score on edits.
edits() {
    # shellcheck disable=SC2046
    "$golden" mutants --threads 1 --rows "$1" "$mutants" edits \
        $("$golden" list edits | awk '$1 ~ /-(f32|bf16|f16)-/ && $1 !~ /-[0-9]*[0-9][0-9][0-9][0-9][0-9]$/ {
            print "--case", $1 }') || status=1
}

if [ -z "${MUTANTS_QUICK-}" ]; then
    "$golden" mutants --rows 64 "$mutants" quick attention || status=1
    "$golden" mutants "$mutants" mutants || status=1
    edits 64
    exit $status
fi
long=
for case in long-normal-bf16-100x32760 long-needle-bf16-100x32760 peaks-overflow-bf16-40x32760 \
    peaks-late-sink-bf16-40x32760 heads-needle-bf16-40x32760 heads-poison-bf16-40x32760 \
    mask-bool-normal-bf16-40x32760 mask-float-normal-bf16-40x32760; do
    long="$long --case $case"
done
# shellcheck disable=SC2086
"$golden" mutants --threads 1 $long "$mutants" mutants >mutants-long.log 2>&1 &
"$golden" mutants --threads 1 --rows 16 "$mutants" quick attention || status=1
edits 16
wait $! || status=1
cat mutants-long.log
rm -f mutants-long.log
exit $status
