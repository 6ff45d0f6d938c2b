#!/bin/sh
# vdit-golden: makes, continues, verifies; finds what is damaged, missing or too much; the shipped
# manifests hold for 1, 2 and 7 threads.
golden=$builddir/bin/vdit-golden
VDIT_DATA=$srcdir/data
export VDIT_DATA
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 99
count=0
status=0

# ok TEXT STATUS - reports one test in TAP: it passes if STATUS is 0.
ok() {
    count=$((count + 1))
    if [ "$2" = 0 ]; then
        echo "ok $count - $1"
    else
        echo "not ok $count - $1"
        sed 's/^/# /' log
        status=1
    fi
}

# run STATUS ARGUMENT... - runs vdit-golden with its output in log. Returns: 0 if it exits with STATUS.
run() {
    expected=$1
    shift
    "$golden" "$@" >log 2>&1 </dev/null
    [ $? = "$expected" ]
}

# says TEXT - Returns: 0 if the log has the text.
says() {
    grep -qF -- "$1" log
}

# damage FILE - flips one bit of the last byte.
damage() {
    size=$(wc -c <"$1")
    byte=$(tail -c 1 "$1" | od -An -tu1 | tr -d ' ')
    head -c $((size - 1)) "$1" >damaged
    printf "\\$(printf %o $((byte ^ 1)))" >>damaged
    mv damaged "$1"
}

for threads in 1 2 7; do
    run 0 verify cross --threads $threads
    ok "the manifest of cross holds with $threads threads" $?
done
run 0 verify quick
ok 'the manifest of quick holds' $?
run 0 verify operators
ok 'the manifest of operators holds' $?
run 0 verify "$srcdir/data/quick"
ok 'the shipped corpus of quick holds' $?
run 0 verify edits --case mask-head-video-bf16-212 --case mix-align-video-f32-106 \
    --case cross-reweight-normal-f16-96x20 && says '3 cases hold'
ok 'the manifest of edits holds, of three cases' $?
run 0 verify meters --case sink-video-bf16-212 --case cross-normal-f32-96x20 && says '2 cases hold'
ok 'the manifest of meters holds, of two cases' $?
run 0 verify networks
ok 'the manifest of networks holds' $?
run 0 make networks -o networks.json && cmp -s networks.json "$srcdir/data/manifests/networks.json"
ok 'a manifest of networks is made again, byte for byte' $?
sed '/"blocks.0.attn1.norm_q"/s/"sha256": "./"sha256": "z/' networks.json >changed.json
run 1 verify networks --manifest changed.json &&
    says 'FAIL  wan-f32: the first activation that differs is blocks.0.attn1.norm_q'
ok 'the first activation that differs is told' $?
sed 's/"name": "mochi-f16"/"name": "mochi-f17"/' networks.json >changed.json
run 1 verify networks --manifest changed.json && says 'FAIL  mochi-f16' && says 'EXTRA mochi-f17'
ok 'cases that one of recipe and manifest lacks are told' $?
run 0 list networks && says 'wan-wide-f32'
ok 'the cases of networks are listed' $?
sed 's/"width": 10/"width": 0/' "$srcdir/data/recipes/networks.json" >bad.json
run 2 list ./bad.json && says 'bad.json: case 1: "width": expected a whole number' && [ "$(wc -l <log)" = 1 ]
ok 'a bad recipe of networks is refused with one line' $?
cmp -s "$srcdir/data/quick/manifest.json" "$srcdir/data/manifests/quick.json"
ok 'both manifests of quick are the same' $?
for recipe in attention cross edits meters mutants offset operators quick video; do
    run 0 list $recipe
    ok "the recipe $recipe is valid" $?
done

sed -n '/^{"format": "vdit-recipe/,/^ \]}/p' "$srcdir/man/vdit-recipe.5" >example.json
run 0 list ./example.json && says 'long-needle-bf16-32760'
ok 'the example of vdit-recipe(5) is valid' $?

cases=$(sed -n 's/.*"case_count": \([0-9]*\).*/\1/p' "$srcdir/data/manifests/cross.json")
run 0 make cross -o corpus && says "$cases made, 0 kept" && run 0 verify corpus &&
    says "$cases cases hold"
ok 'a corpus is made and verified' $?
cmp -s corpus/manifest.json "$srcdir/data/manifests/cross.json"
ok 'its manifest is the shipped one' $?
run 0 make cross -o corpus && says "0 made, $cases kept"
ok 'what is there already is kept' $?

damage corpus/attention-needle-bf16-5x70.out.safetensors
run 1 verify corpus && says 'FAIL  attention-needle-bf16-5x70: ' && says 'tensor "o.sigma": 1 of 60 '
ok 'one flipped bit of a golden is found, by case and tensor' $?
damage corpus/linear-normal-f32-5x33x7.in.safetensors
run 1 verify corpus && says 'FAIL  linear-normal-f32-5x33x7: ' && says 'tensor "b": 1 of 7 elements'
ok 'one flipped bit of an input is found' $?
rm corpus/exp-normal-f16-100.in.safetensors
run 1 verify corpus && says 'exp-normal-f16-100.in.safetensors: cannot open'
ok 'a missing file is found' $?
run 0 make cross -o corpus && says "3 made, $((cases - 3)) kept" && run 0 verify corpus
ok 'make repairs what is damaged' $?
: >corpus/stray
run 1 verify corpus && says 'EXTRA stray: a file that the manifest does not list'
ok 'an extra file is found' $?
rm corpus/stray
tail -c +100 corpus/log-normal-f32-100.out.safetensors >damaged
mv damaged corpus/log-normal-f32-100.out.safetensors
run 1 verify corpus && says 'FAIL  log-normal-f32-100: corpus/log-normal-f32-100.out.safetensors'
ok 'a file that is no safetensors is found' $?

head -c 3000 "$srcdir/data/manifests/cross.json" >cut.json
run 2 verify cross --manifest cut.json && says 'vdit-golden: cut.json: ' && says 'not JSON'
ok 'a truncated manifest is refused' $?
sed 's/"case_count": /"case_count": 9/' "$srcdir/data/manifests/cross.json" >count.json
run 2 verify cross --manifest count.json && says "\"case_count\" is not the number of cases, $cases"
ok 'a manifest that lost a case is refused' $?
sed 's/"recipe": "cross"/"recipe": "other"/; s/5x70/5x71/g' "$srcdir/data/manifests/cross.json" \
    >names.json
run 1 verify cross --manifest names.json && says 'the manifest has no such case' &&
    says 'EXTRA attention-normal-f32-5x71: in the manifest, but no case of the recipe'
ok 'missing and extra cases are found' $?
sed 's/"seed": 101/"seed": 11/' "$srcdir/data/recipes/cross.json" >seed.json
run 1 verify ./seed.json && says 'tensor "q": SHA-256'
ok 'another seed is another corpus' $?

run 0 make quick -o one --npz --case exp-normal-f32-512 && [ -f one/exp-normal-f32-512.in.npz ] &&
    [ "$(ls one | wc -l)" = 5 ] && run 0 verify one
ok 'a single case is made, also as npz' $?
run 2 make quick -o one --case nonesuch && says 'no case is called nonesuch'
ok 'an unknown case is refused' $?
run 2 make cross -o one && says 'one: holds the corpus of recipe quick, not of cross'
ok "another recipe's corpus is not overwritten" $?
rm one/manifest.json one/manifest.part.json 2>log
run 2 verify one && says 'manifest.json: cannot open'
ok 'a folder without a manifest is refused' $?
run 2 make quick && says 'make needs -o DIR' && run 2 make quick -o none/where &&
    says 'none/where: cannot make the folder'
ok 'make says what it lacks' $?
run 2 make nonesuch -o new && says 'nonesuch' && [ ! -e new ]
ok 'an unknown recipe leaves nothing behind' $?
run 0 list cross --json && says '"name": "attention-needle-f16-5x70"' &&
    run 0 verify cross --json --case exp-normal-f32-100 && says '"failures": 0'
ok 'list and verify print JSON' $?

echo "1..$count"
exit $status
