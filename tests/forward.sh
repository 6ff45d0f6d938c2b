#!/bin/sh
# vdit-forward: inputs, outputs, edits, meters, traces, refusals; and what vdit-check says of traces of backends that
# are wrong in one operator.
: "${CC:=cc}"
forward=$builddir/bin/vdit-forward
check=$builddir/bin/vdit-check
model=$builddir/bin/vdit-model
tensors=$builddir/tests/tensors
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 99
status=0

say() {
    echo "$*"
    status=1
}

# works TEXT PROGRAM OPTION... - it exits 0, printing TEXT (or nothing, if TEXT is empty).
works() {
    text=$1
    shift
    "$@" >out 2>log </dev/null && cat out log >both &&
        if [ -n "$text" ]; then grep -qF -- "$text" both; else [ ! -s both ]; fi || {
        say "not 0 with '$text': $*"
        cat out log
    }
}

# refuses TEXT OPTION... - vdit-forward exits 2 with one line that holds TEXT, and leaves no file.
refuses() {
    text=$1
    shift
    ls -A >before
    "$forward" "$@" >out 2>log </dev/null
    got=$?
    ls -A >after
    [ $got = 2 ] && [ "$(wc -l <log)" = 1 ] && grep -qF -- "$text" log && [ ! -s out ] ||
        {
            say "exit $got, not 2 with one line '$text': vdit-forward $*"
            cat out log
        }
    cmp -s before after || say "files left or lost by: vdit-forward $*"
}

# same A B - the files hold the same bytes.
same() {
    cmp -s "$1" "$2" || say "$1 and $2 differ"
}

touch before after out log both
"$model" init wan --size tiny --seed 1 -o wan >log 2>&1 &&
    "$model" init hunyuan --size tiny --seed 1 -o hunyuan >log 2>&1 || exit 99
seeded="wan --seed 0 --size 2x8x8 --text-rows 6"

# The same bits with any number of threads, in any file, with or without a trace.
works '' "$forward" $seeded -o a.safetensors
works '' "$forward" $seeded -o b.safetensors -t 1
works '' "$forward" $seeded -o c.safetensors --trace t.safetensors
works '' "$forward" $seeded -o a.npy
same a.safetensors b.safetensors
same a.safetensors c.safetensors
works '' "$tensors" equal a.safetensors a.npy
works '' "$forward" wan --seed 1 --size 2x8x8 --text-rows 6 -o other.safetensors
! cmp -s a.safetensors other.safetensors || say 'the seed changes nothing'

# Inputs from files, some or all.
"$tensors" make l.npy x 1 f32 2x4x2x8x8 && "$tensors" make l1.npy x 1 f32 1x4x2x8x8 && "$tensors" make x.safetensors text 2 f32 2x5x16 &&
    "$tensors" numbers time.npy t 700,20 && "$tensors" make m.npy m 3 i64 2x5 || exit 99
works '' "$forward" wan --latents l.npy --text x.safetensors:text --timestep time.npy -o f.npy
works '' "$forward" wan --latents l.npy --text x.safetensors --timestep 700 -o g.npy -d bf16
works '' "$forward" wan --latents l.npy --seed 3 -o h.npy
refuses 'wan takes timestep: give --timestep FILE, or --seed N' wan --latents l.npy \
    --text x.safetensors -o i.npy
refuses 'wan takes latents' wan --text x.safetensors --timestep 3 -o i.npy
refuses 'has no such input' wan --latents l.npy --seed 3 --pooled x.safetensors -o i.npy
refuses 'hunyuan takes pooled' hunyuan --latents l.npy --text x.safetensors --timestep 3 -o i.npy
refuses 'text has shape [2, 5, 16], expected [1, 5, 16]' wan --seed 3 --text x.safetensors \
    --latents l1.npy -o i.npy
refuses '--text: l.npy: 5 axes' wan --latents l.npy --timestep 3 --text l.npy -o i.npy
refuses 'exclude each other' wan --latents l.npy --size 2x8x8 --seed 1 -o i.npy
refuses 'go with --seed' wan --size 2x8x8 -o i.npy
refuses "multiple of the patch's 2" wan --seed 1 --size 2x8x7 -o i.npy
refuses 'FRAMESxHEIGHTxWIDTH' wan --seed 1 --size 2x8 -o i.npy
refuses 'no-such' no-such --seed 1 -o i.npy
refuses 'one was expected' --seed 1 -o i.npy
refuses 'nothing to write' $seeded
refuses "none of f32, bf16, f16" $seeded -d f64 -o i.npy
refuses "none of reference, fast" $seeded -b slow -o i.npy
refuses '.safetensors or .npz' $seeded -o i.txt
refuses 'cannot write into the folder' $seeded -o no/i.npy
refuses 'another output goes there' $seeded -o i.safetensors --trace i.safetensors

# Edits: at a layer, from a source run, reported; a plan that meets nothing is told.
works 'changes nothing at step 0, branch c: there are layers 0-1 of 2 heads' \
    "$forward" $seeded --plan 'L7: gate 0' -o e.safetensors
same a.safetensors e.safetensors
works 'changes nothing' "$forward" $seeded --plan 'B=u S2: gate 0' --step 2 -o e.safetensors
works '' "$forward" $seeded --plan 'B=u S2: gate 0' --step 2 --branch u -o e.safetensors
! cmp -s a.safetensors e.safetensors || say 'the branch is not seen'
works '' "$forward" $seeded --trace own.safetensors --trace-names '*/q' --trace-names '*/k'
works '' "$forward" $seeded --plan 'transfer qk' --source own.safetensors -o e.safetensors
same a.safetensors e.safetensors
refuses 'blocks.0.attn1: own.safetensors: tensor "blocks.0.attn1/v" is missing' $seeded \
    --plan 'transfer v' --source own.safetensors -o i.npy
refuses 'blocks.0.attn1: the plan takes operands of a source run' $seeded --plan 'transfer v' -o i.npy
refuses 'blocks.0.attn2: edit of head 0: I is not defined' $seeded --plan 'identity' -o i.npy
refuses "plan, line 1, column 1" $seeded --plan '?' -o i.npy
refuses '--report goes with --plan' $seeded --report r.json -o i.npy
refuses '--source goes with --plan' $seeded --source own.safetensors -o i.npy
refuses "none of c, u" $seeded --plan 'gate 0' --branch x -o i.npy
echo 'L1 H1 K=self: mask 25%' >plan
works 'backend fast has no edits; the reference computed 1 heads' \
    "$forward" $seeded --plan-file plan -b fast -o e.safetensors --report r.json
grep -q '"site": "blocks.1.attn1"' r.json && grep -q '"masked_fraction": 0.25' r.json || say 'report'
works '' "$forward" $seeded --plan-file plan --report r.safetensors
works '' "$tensors" take z.npy m r.safetensors:blocks.1.attn1/masked 1 1
works '"edited_heads": 1' "$forward" $seeded --plan-file plan -o e.safetensors --json

# Meters at the sites that a pattern names.
works '' "$forward" $seeded --meters entropy,sink -m m.json --meter-sites '*.1.attn1'
[ "$(grep -c '"site": ' m.json)" = 1 ] && grep -q '"sink.key"' m.json || say 'meters'
works '' "$forward" $seeded --meters entropy -m m.npz
works '' "$tensors" equal m.npz:blocks.0.attn2/entropy.row m.npz:blocks.0.attn2/entropy.row
works 'topk' "$forward" --meters help
refuses 'no site fits' $seeded --meters entropy -m n.json --meter-sites 'x*'
refuses 'go together' $seeded --meters entropy -o i.npy
refuses 'blocks.0.attn1: ' $seeded --meters no-such -m n.json

# Traces.
works '' "$forward" $seeded --trace p.safetensors --trace-names 'blocks.?.attn1/o' -o c.safetensors
same a.safetensors c.safetensors
works '' "$tensors" equal p.safetensors:blocks.1.attn1/o t.safetensors:blocks.1.attn1/o
refuses "fits 'x*'" $seeded --trace n.safetensors --trace-names 'x*'
refuses 'the tables of wan are its own' $seeded -o i.npy --without-rotary
refuses 'go with --trace' $seeded -o i.npy --noise f32
refuses 'is no contract with noise' $seeded --trace n.safetensors --noise exact
refuses 'a name in .safetensors' $seeded --trace n.npz

# What it takes.
works '% attention), ' "$forward" wan --size 2x8x8 --estimate
works '"flops": ' "$forward" wan --size 2x8x8 --estimate --json

# NaN in a weight: the last four bytes are those of proj_out.bias.
cp -r wan nan && file=$(ls nan/*.safetensors) && size=$(wc -c <"$file") &&
    printf '\000\000\300\177' | dd of="$file" bs=1 seek=$((size - 4)) conv=notrunc 2>/dev/null || exit 99
"$forward" nan --seed 0 -o n.safetensors >out 2>log
[ $? = 1 ] && grep -qF 'proj_out is the first activation that does, and the weight proj_out.bias' log ||
    { say 'NaN is not found'; cat log; }

# judge STATUS TEXT TRACE TRACE - vdit-check ends so, with a line that holds TEXT.
judge() {
    wanted=$1
    text=$2
    shift 2
    "$check" "$@" >out 2>log
    got=$?
    [ $got = "$wanted" ] && grep -qF -- "$text" out || {
        say "exit $got, not $wanted with '$text': vdit-check $*"
        grep '^[>a-z]' out
        cat log
    }
}

works '' "$forward" $seeded --trace exact.safetensors --noise f32
works '' "$forward" $seeded --trace fast.safetensors -b fast
works '' "$forward" $seeded --trace half.safetensors -d bf16
judge 0 'holds: all ' exact.safetensors fast.safetensors
judge 0 '"verdict": "holds"' --json exact.safetensors fast.safetensors
judge 1 '> patch_embedding ' exact.safetensors half.safetensors
judge 3 'guessed: no trace has a sigma' t.safetensors fast.safetensors
judge 0 'all 4 activations' --case 'blocks.?.attn?/o' exact.safetensors fast.safetensors
judge 3 '77 missing' exact.safetensors p.safetensors

# The first divergence of backends that are each wrong in one operator.
if grep -q '^#define HAVE_DLOPEN' "$builddir/config.h" && [ -f "$builddir/.libs/libvdit.so" ]; then
    $CC $TEST_CFLAGS -std=c99 -Wall -Wextra -Werror -shared -fPIC -I"$srcdir/lib" \
        "$srcdir/tests/plugin_broken.c" -o broken.so -L"$builddir/.libs" -lvdit || exit 99
    while read -r kind first; do
        works '' "$forward" $seeded --trace b.safetensors --plugin "broken.so:$kind"
        judge 1 "> $first " exact.safetensors b.safetensors
    done <<'END'
patch patch_embedding
bias condition_embedder.time_embedder.linear_1
gelu condition_embedder.text_embedder.act_1
eps blocks.0.norm1
swap blocks.0.attn1.to_q
rms blocks.0.attn2.norm_q
turn blocks.0.attn1/q
root blocks.0.attn1/o
gate blocks.0.norm2
END
    judge 1 'it, or what lies between it and blocks.0.attn1; the 29 before it agree' \
        exact.safetensors b.safetensors
    works '' "$forward" $seeded --trace b.safetensors --plugin broken.so:rms
    judge 1 'the first that differs at all is blocks.0.attn1.norm_q' \
        exact.safetensors b.safetensors
fi
exit $status
