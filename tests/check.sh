#!/bin/sh
# vdit-check: exit codes, what fails closed, commands, waivers, two files, and every kind of error.
check=$builddir/bin/vdit-check
golden=$builddir/bin/vdit-golden
tensors=$builddir/tests/tensors
program=$check
. "$srcdir/tests/expect.sh"

# fresh - outputs/ holds a right answer to every case.
fresh() {
    rm -rf outputs
    mkdir outputs
    cp corpus/*.out.safetensors outputs
}

cat >small.json <<'END'
{"format": "vdit-recipe/1", "name": "small", "about": "cases for tests/check.sh", "cases": [
 {"op": "attention", "name": "a", "Nq": 40, "Nk": 96, "d": 16, "dtype": "f32", "seed": 1,
  "family": "normal"},
 {"op": "attention", "name": "b", "Nq": 40, "Nk": 96, "d": 16, "dtype": "bf16", "seed": 2,
  "family": ["normal", "uniform-logits"]},
 {"op": "linear", "name": "l", "M": 8, "K": 32, "N": 8, "dtype": "f32", "seed": 3,
  "family": "normal"}]}
END
"$golden" make small.json -o corpus >log 2>&1 || {
    cat log
    exit 99
}
f32=$(basename corpus/a-*.in.safetensors .in.safetensors)
bf16=$(basename corpus/b-normal-*.in.safetensors .in.safetensors)
linear=$(basename corpus/l-*.in.safetensors .in.safetensors)

# Files.
fresh
expect 0 '4 cases: 4 hold, 0 fail, 0 inconclusive' corpus outputs
expect 0 'right answer is the mean of V' corpus outputs
expect 0 '4 hold' --contract exact corpus outputs
mv "outputs/$f32.out.safetensors" "outputs/$f32.safetensors"
expect 0 '4 hold' corpus outputs
rm "outputs/$f32.safetensors"
expect 1 'no output file' corpus outputs
expect 1 '4 cases: 3 hold, 1 fail' corpus outputs
rm outputs/*
expect 1 '4 cases: 0 hold, 4 fail' corpus outputs
refuses 'a folder of outputs was expected' corpus nowhere
refuses 'goldens would judge themselves' corpus corpus
fresh
head -c 100 "corpus/$bf16.out.safetensors" >"outputs/$bf16.out.safetensors"
expect 1 '1 fail' corpus outputs
: >"outputs/$bf16.out.safetensors"
expect 1 '1 fail' corpus outputs

# Tensors that are not what they should be.
fresh
rm "outputs/$linear.out.safetensors"
"$tensors" reshape "outputs/$linear.safetensors" x "corpus/$linear.out.safetensors:y" 8x8
expect 1 'y: missing' corpus outputs
"$tensors" reshape "outputs/$linear.safetensors" y "corpus/$linear.out.safetensors:y" 4x16
expect 1 'y: shape [4, 16] instead of [8, 8]' corpus outputs
"$tensors" cast "outputs/$linear.safetensors" y "corpus/$linear.out.safetensors:y" bf16
expect 1 'y: bf16 instead of f32' corpus outputs
"$tensors" make "outputs/$linear.safetensors" y 1 f32 8x8
expect 1 'y: z ' corpus outputs
"$tensors" cast t.safetensors y "corpus/$linear.out.safetensors:y" bf16
"$tensors" cast "outputs/$linear.safetensors" y t.safetensors:y f32
expect 1 'y: z ' corpus outputs

# A corpus by its name.
mkdir shipped
cp "$srcdir"/data/quick/exp-*.out.safetensors shipped
expect 0 'cases: ' --case 'exp-*' quick shipped
refuses 'no such file' nothing shipped

# Which cases.
fresh
expect 3 '1 case: 1 hold' --case 'b-uniform*' corpus outputs
expect 0 '2 of 4 cases selected' --case '[al]-*' corpus outputs
refuses 'no case fits' --case nothing corpus outputs

# The library's backends; goldens computed on the way are those of the corpus.
expect 0 '4 cases: 4 hold' --backend reference --contract exact small.json
expect 0 '4 cases: 4 hold' --backend fast --threads 2 small.json
expect 0 '4 cases: 4 hold' --backend fast corpus
expect 1 'not bit-equal' --backend fast --contract exact small.json
expect 0 '1 hold' --backend reference --contract f32 --case 'b-normal*' corpus
expect 3 'the mean of V would pass too' --contract fp8 --backend fast --case '*-cancel-f32-32*' quick
refuses 'no backend is called' --backend gpu small.json
refuses 'no contract is called' --contract f64 corpus outputs

# Commands. The scratch folder's name has a quote and spaces, and nothing is left in it.
TMPDIR="$scratch/it's a \$place"
export TMPDIR
mkdir "$TMPDIR"
answer='cp "outputs/$(basename {in} .in.safetensors).out.safetensors" {out}'
expect 0 '4 cases: 4 hold' --exec "$answer" corpus
expect 0 '4 cases: 4 hold' --exec "test -s {in} && $answer" small.json
expect 0 '1 hold' --case 'a-*' small.json \
    --exec "$builddir/bin/vdit-attend --q {in}:q --k {in}:k --v {in}:v -o {out}"
expect 1 'the command ended with status 7' --exec 'exit 7 {in} {out}' corpus
expect 1 'the command ended with status 7' --exec "$answer; exit 7" corpus
expect 1 'the command was ended by signal 9' --exec 'kill -9 $$; : {in} {out}' corpus
expect 1 'no output file' --exec ': {in} {out}' corpus
expect 1 '0 hold, 4 fail' --exec ': {in} >{out}' corpus
expect 1 'told on standard error' --exec 'echo told on standard error; false {in} {out}' corpus
grep -q 'told on' out && {
    echo 'words of the command reached standard output'
    status=1
}
refuses 'must name both' --exec 'true {in}' corpus
[ -z "$(ls -A "$TMPDIR")" ] || {
    echo 'files of a command are left:'
    ls -A "$TMPDIR"
    status=1
}
refuses 'no such file' --exec 'true {in} {out}' nowhere.json
(
    TMPDIR=$scratch/none
    refuses "$TMPDIR" --exec 'true {in} {out}' corpus
    exit $status
) || status=1

# Waivers.
rm "outputs/$f32.out.safetensors"
echo '[{"case": "a-*", "reason": "not written yet", "expires": "9999-12-31"}]' >w.json
expect 0 '4 cases: 3 hold, 0 fail, 0 inconclusive, 1 waived' --waivers w.json corpus outputs
expect 0 'waiver for a-* until 9999-12-31: not written yet' --waivers w.json corpus outputs
sed s/9999-/2001-/ w.json >past.json
expect 1 'expired on 2001-12-31' --waivers past.json corpus outputs
sed s/a-/z-/ w.json >other.json
expect 1 'nothing failed under it' --waivers other.json corpus outputs
refuses 'YYYY-MM-DD' --waivers "$(sed s/9999/99/ w.json >bad.json && echo bad.json)" corpus outputs
refuses '"reason" was expected' \
    --waivers "$(sed 's/"not written yet"/1/' w.json >bad.json && echo bad.json)" corpus outputs
refuses 'bad.json: line 2' --waivers "$(echo '[{' >bad.json && echo bad.json)" corpus outputs
refuses 'none.json' --waivers none.json corpus outputs

# JSON.
fresh
expect 0 '"format": "vdit-check/1"' --json corpus outputs
expect 0 '"hold": 4' --json corpus outputs
rm "outputs/$f32.out.safetensors"
expect 1 '"reason": "no output file"' --json corpus outputs

# The strictest contract that holds; without queries nothing tells how logits are rounded.
expect 0 'attention f32, 1 case: f32: f32 throughout' --contract auto --backend fast \
    --case 'attention-needle-f32-32x129' quick
expect 0 '"contract": "exact"' --contract auto --json --backend reference \
    --case 'attention-needle-f32-32x129' quick
cat >still.json <<'END'
{"format": "vdit-recipe/1", "name": "still", "about": "no queries", "cases": [{"op": "attention",
 "name": "still", "Nq": 40, "Nk": 70, "d": 16, "dtype": "bf16", "seed": 1, "scale": 0,
 "family": "normal"}]}
END
expect 3 'no case could have told it from' --contract auto --backend fast still.json
rm -rf shifted && mkdir shifted && cp corpus/*.out.safetensors shifted
cp "corpus/$bf16.out.safetensors" "shifted/$f32.out.safetensors"
expect 1 'no contract' --contract auto corpus shifted
refuses 'goes with cases' --contract auto "corpus/$bf16.out.safetensors" \
    "corpus/$bf16.out.safetensors"

# Two files.
in=corpus/$bf16.in.safetensors
out=corpus/$bf16.out.safetensors
expect 0 '3 tensors: 3 hold' "$in" "$in"
expect 0 '1 tensor: 1 hold' "$out:o" "$out:o"
expect 1 'missing' "$in" "$out"
expect 1 'f32 instead of bf16' "$out:o" corpus/"$f32".out.safetensors:o
"$tensors" cast exact.safetensors o "$out:o" f32
"$tensors" cast rounded.safetensors o exact.safetensors:o f16
"$tensors" cast f16.safetensors other rounded.safetensors:o f16
expect 0 '1 hold' f16.safetensors rounded.safetensors
expect 0 '1 hold' --sigma "$out:o.sigma" "$out:o" "$out:o"
expect 0 '1 hold' --contract exact "$out:o" "$out:o"
"$tensors" numbers zeros.safetensors n 0,0,0
expect 3 'right answer is 0' zeros.safetensors zeros.safetensors
refuses 'several tensors' "$out:o" "$out"
refuses 'no.npy' no.npy "$out"
refuses '--sigma goes with' --sigma "$out:o.sigma" corpus outputs
refuses 'sigma' --sigma "$out:o.sigma" "$in:k" "$in:k"

# Usage, and what cannot be read or written.
refuses 'operands' corpus
refuses 'operands' --backend fast corpus outputs
refuses 'exclude each other' --backend fast --exec 'x {in} {out}' corpus
refuses 'threads' --threads 0 corpus outputs
refuses 'unknown' --what
sed 's/"case_count": 4/"case_count": 5/' corpus/manifest.json >m.json
cp m.json corpus/manifest.json
refuses 'manifest' corpus outputs
rm corpus/manifest.json
refuses 'manifest' corpus outputs
if [ -w /dev/full ]; then
    "$check" "$in" "$in" >/dev/full 2>log
    [ $? = 2 ] && grep -q 'standard output' log || {
        echo 'a full disk went unnoticed'
        status=1
    }
fi
exit $status
