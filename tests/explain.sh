#!/bin/sh
# vdit-check --explain: of the mutants that a hypothesis covers, it names the cause of at least 8 in 10.
# Prints which ones it takes for something else, and the score.
check=$builddir/bin/vdit-check
mutants=$builddir/tests/.libs/mutants.so
VDIT_DATA=$srcdir/data
export VDIT_DATA
grep -q '^#define HAVE_DLOPEN' "$builddir/config.h" && [ -f "$mutants" ] || {
    echo 'this build loads no plugins'
    exit 77
}
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 99
status=0
covered=0
named=0

needle=attention-needle-bf16-512
normal=attention-normal-f16-32x129
lengths=lengths-needle-bf16-256x600
while IFS='|' read -r mutant case text; do
    recipe=quick
    case $case in
    n) case=$needle ;;
    r) case=$normal ;;
    l) case=$lengths recipe=attention ;;
    e:*) case=${case#e:} recipe=edits ;; # a bf16 case of edits, by the beginning of its name
    esac
    [ $recipe = quick ] || [ $recipe = attention ] || case="$case-bf16-*"
    covered=$((covered + 1))
    "$check" --explain --threads 1 --plugin "$mutants:$mutant" --case "$case" $recipe >out 2>&1
    if grep -q "consistent with: .*$text" out; then
        named=$((named + 1))
    else
        printf '%s is not "%s" but%s\n' "$mutant" "$text" \
            "$(sed -n 's/.*consistent with//p' out | head -1)"
    fi
done <<'END'
scale-1-over-d|r|1/d in place of
scale-1.01|r|the scale times 1.0[01]
scale-missing|r|no scale
scale-padded|r|next power of two
log2e-twice|r|log2 e twice
log2e-missing|r|log2 e missing
last-key|r|keys 128..128 missing
last-tile|cross-normal-f16-64x77|keys 64..76 missing: the last, partial
last-64|n|keys 448..511 missing
first-key|r|keys 0..0 missing
every-64th|n|every 64th key
tile-skipped|n|keys 256..319 missing
tile-twice|n|keys 256..319 counted twice
key-twice|r|keys 64..64 counted twice
padding|r|keys of zeros
last-stale|cross-normal-f16-64x77|keys 13..63 counted twice
stale-keys|n|K of keys 256..319 is that of the tile before
stale-values|n|V of keys 256..319 is that of the tile before
stale-head|temporal-normal-f16-16|k of batch . head 0 in the first tile\|k of batch ., head 0
tiles-swapped|n|V of keys 256..319 and of the tile before swapped
values-shifted|r|further: K and V misaligned
values-permuted|r|V permuted within 16 keys
tile-permuted|r|V of keys 64..127 permuted within 16
joint-values|n|V is that of the key 64 further
joint-queries|n|row i is row i + 64
length-more|l|a key too many
length-less|l|a key too few
length-ignored|l|key_length ignored
length-tile|l|rounded up to a tile
length-batch-0|l|key_length
mask-inverted|mask-bool-normal-bf16-40x72|the mask inverted
mask-ignored|mask-bool-normal-bf16-40x72|the mask ignored
mask-scaled|mask-float-normal-bf16-40x72|added before the scale
mask-row|mask-bool-normal-bf16-40x72|the mask of the next row
causal|r|causal
rows-swapped|r|row i is row i ^ 1
row-block|n|row i is row i + 448
row-tail|r|row i is row
heads-swapped|heads-normal-f16-20|k and v of batch
values-head-0|heads-normal-f16-20|v of batch ., head 0
heads-shared|heads-normal-f16-20|k and v of batch
keys-batch-0|heads-normal-f16-20|k of batch 0
batches-swapped|heads-normal-f16-20|is batch
channels-dropped|r|the last 8 channels
channels-shifted|r|channels of k shifted
row-zero|r|zero rows
row-nan|r|NaN rows
rows-missing|r|zero rows
channel-wrong|r|channel 1 of the output is channel 0
element-wrong|n|one element
flushed|attention-subnormal-f32-32x129|subnormal values
accumulators-bf16|r|sums kept in bf16
accumulators-f16|attention-normal-f32-32x129|sums kept in f16
scores-bf16|r|logits rounded to bf16
scores-f16|attention-normal-f32-32x129|logits rounded to f16
p-bf16|r|P rounded to bf16
p-truncated|r|P rounded to bf16 toward zero
output-truncated|r|output rounded to bf16 toward zero
no-maximum|attention-overflow-f32-32x129|no maximum
no-rescale|r|no rescale
no-rescale-sum|r|the sum not rescaled
no-rescale-output|r|the output not rescaled
rescale-twice|r|rescaled twice
merge-average|r|2 parts of the keys merged
merge-last|n|keys 444..511 missing
sum-tile|n|keys 64..127 missing in the denominator
sum-key|r|keys 64..64 missing in the denominator
sum-one|r|1 added to the denominator
mean|r|mean of V
zeros|r|zero rows
gain-0.98|r|gain 0.9[78]
gain-0.998|r|gain 0.99
lse-base-2|r|LSE in base 2
lse-no-maximum|r|LSE without the maximum
lse-maximum|r|the maximum in place
lse-shifted|r|LSE shifted
temperature-none|e:temperature-low-video|the temperature ignored
temperature-inverse|e:temperature-low-video|the inverse of the temperature
temperature-late|e:temperature-high-video|the temperature after the softmax
quantile-row|e:mask-head-video|the quantile by row
quantile-row|e:mask-row-video|the quantile by head
quantile-global|e:mask-head-video|the quantile over all heads
fraction-kept|e:mask-head-video|the fraction kept
renormalised|e:mask-row-video|renormalised
renormalised|e:mask-diagonal-video|what is lost dropped
moments|e:drop-vt-video|dropped after the softmax in place of before
blocks-transposed|e:drop-vt-video|block vt in place of tv
windows-wider|e:spatial-video|windows one wider
transfer-half|e:transfer-qk-video|q of the wrong branch
transfer-half|e:transfer-kv-video|k of the wrong branch
transfer-values|e:transfer-qk-video|v of the wrong branch
transfer-none|e:transfer-v-video|nothing taken from the source
mix-inverse|e:cross-refine-normal|mixed the other way round
identity-uniform|e:blend-video|I and U exchanged
uniform-padded|e:uniform-valid-normal|U over padded keys too
replaced|e:blend-half-video|the map replaced wholly
gate-none|e:gate-video|the head gate ignored
keys-kept|e:first-text-video|a text token more
keys-kept|e:keys-video|keys attended that the plan leaves out
weights-none|e:reweight-video|weights of keys ignored
text-rows|e:queries-video-video|rows of the other kind edited too
joint-edit|e:queries-video-video|text taken for video
edit-next-head|e:gate-head-video|each head has the edit of the next
END
echo "$named of $covered causes named"
[ $((10 * named)) -ge $((8 * covered)) ] || status=1

# What it prints beside, and where nothing fits.
"$check" --explain --threads 1 --plugin "$mutants:columns-swapped" --case $normal quick >out 2>&1
grep -q 'consistent with' out && grep -q 'rms z by channel' out &&
    grep -q "again: vdit-check --explain --case $normal --plugin" out || status=1
[ "$("$check" --explain --backend fast --case $normal quick 2>&1 | grep -c consistent)" = 0 ] || status=1
"$check" --explain --picture r.png --threads 1 --plugin "$mutants:row-zero" --case $normal quick \
    >out 2>&1
if grep -q '^#define HAVE_LIBPNG' "$builddir/config.h"; then
    [ "$(head -c 4 r.png | tail -c 3)" = PNG ] || status=1
fi
exit $status
