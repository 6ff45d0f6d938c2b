#!/bin/sh
# vdit-check --relations: what must be true without a golden holds for the library's backends, and each
# mutant here breaks the relation that stands beside it.
check=$builddir/bin/vdit-check
mutants=$builddir/tests/.libs/mutants.so
VDIT_DATA=$srcdir/data
export VDIT_DATA
program=$check
after='--threads 1'
how=
. "$srcdir/tests/expect.sh"

expect 0 '^keys *same bits' --relations --backend reference
expect 0 '^twice *same bits' --relations --backend fast quick
expect 0 '"same_bits"' --relations --backend fast --json --case 'heads-*'
expect 3 '^0 cases' --relations --backend fast --case 'linear-*' quick
expect 2 'goes with --backend' --relations quick
expect 2 'operands' --relations --backend fast quick quick
expect 2 'no case fits' --relations --backend fast --case 'nothing-*' quick
if grep -q '^#define HAVE_DLOPEN' "$builddir/config.h" && [ -f "$mutants" ]; then
    expect 0 '^sum *in sigma' --relations --plugin "$mutants:plain"
    while read -r mutant relation; do
        expect 1 "^$relation *broken" --relations --plugin "$mutants:$mutant"
    done <<'END'
keys-batch-0 batches
values-head-0 heads
row-zero rows
row-nan split
length-tile padding
first-key keys
sum-one shift
sum-key ones
gain-0.98 ones
END
fi
exit $status
