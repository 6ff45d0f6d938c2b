#!/bin/sh
# The judge is judged: each mutant is rejected, each honest variant holds, on the recipe quick; and
# vdit-golden mutants says so where that is not so. The longer recipes are make check-mutants.
: "${CC:=cc}"
golden=$builddir/bin/vdit-golden
VDIT_DATA=$srcdir/data
export VDIT_DATA
grep -q '^#define HAVE_DLOPEN' "$builddir/config.h" && [ -f "$builddir/tests/.libs/mutants.so" ] || {
    echo 'this build loads no plugins'
    exit 77
}
mutants=$builddir/tests/.libs/mutants.so
program=$golden
after='--threads 1'
. "$srcdir/tests/expect.sh"

# All of them that kernels without edits can show, and how many they are.
expect 0 'mutants rejected' mutants "$mutants" quick
sed -nE 's/^([0-9]+) of ([0-9]+) mutants .*; ([0-9]+) of ([0-9]+) honest .*/\1 \2 \3 \4/p' out >sums
read -r rejected mutant_count accepted honest <sums || status=1
[ "$rejected" = "$mutant_count" ] && [ "$mutant_count" -ge 75 ] && [ "$accepted" = "$honest" ] &&
    [ "$honest" -ge 15 ] || {
    cat out
    status=1
}

# Those of edits, on the small cases in bf16: an honest kernel with a map in memory stands beside them.
# shellcheck disable=SC2046
expect 0 'mutants rejected' mutants "$mutants" edits --rows 8 \
    $("$golden" list edits | awk '$1 ~ /-bf16-/ && $1 !~ /-[0-9]*[0-9][0-9][0-9][0-9][0-9]$/ { print "--case", $1 }')
sums_of_edits=$(tail -n 1 out)
printf '%s\n' "edits: $sums_of_edits"
case $sums_of_edits in
"25 of 25 mutants rejected"*"; 1 of 1 honest"*) ;;
*)
    cat out
    status=1
    ;;
esac

# Equal logits tell no order of the keys: there mutants survive, and the exit status says it.
expect 1 SURVIVES mutants "$mutants" quick --case attention-uniform-logits-bf16-32x129
expect 1 '"as_claimed": false' mutants "$mutants" quick --json \
    --case attention-uniform-logits-bf16-32x129

# Nothing judged is no score, and what makes no claim is none of the two.
expect 1 '0 of 0 mutants' mutants "$mutants" quick --case linear-normal-f32-16x64x24
$CC $TEST_CFLAGS -shared -fPIC -I"$srcdir/lib" "$srcdir/doc/examples/plugin.c" -o online.so \
    -L"$builddir/.libs" -lvdit -lm || exit 99
expect 2 'about begins neither with' mutants ./online.so quick
expect 2 'missing.so' mutants ./missing.so quick
expect 2 'no recipe' mutants "$mutants" no-such-recipe
exit $status
