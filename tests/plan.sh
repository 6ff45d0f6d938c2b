#!/bin/sh
# vdit-attend --plan: each edit at strength 0 is the plain call, at full strength it is what another way gives.
attend=$builddir/bin/vdit-attend
tensors=$builddir/tests/tensors
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 99
OMP_NUM_THREADS=1 # many calls, all of them small
export OMP_NUM_THREADS
status=0

# run OPTION... - attention on the common tensors, of 2 x 3 x 4 video and 5 text tokens.
run() {
    "$attend" --q q.safetensors --k k.safetensors --v v.safetensors --layout-video 2,3,4 --text 5 \
        --source-q sq.safetensors --source-k sk.safetensors --source-v sv.safetensors "$@" \
        >log 2>&1 || {
        printf 'failed: vdit-attend %s\n' "$*"
        cat log
        status=1
    }
}

# plain OPTION... - the same without a plan.
plain() {
    "$attend" --q q.safetensors --k k.safetensors --v v.safetensors "$@" >log 2>&1 || {
        printf 'failed: vdit-attend %s\n' "$*"
        cat log
        status=1
    }
}

# same NAME A B, apart NAME A B, near NAME A B LIMIT - what two files hold.
same() {
    $tensors equal "$2" "$3" >why 2>&1 && return
    printf 'not the same bits: %s\n' "$1"
    cat why
    status=1
}
apart() {
    $tensors equal "$2" "$3" >why 2>&1 || return
    printf 'the same bits: %s\n' "$1"
    status=1
}
near() {
    $tensors near "$2" "$3" "$4" >why 2>&1 && return
    printf 'not near: %s\n' "$1"
    cat why
    status=1
}

# says TEXT - the last run said so.
says() {
    grep -qF -- "$1" log && return
    printf 'no "%s" in:\n' "$1"
    cat log
    status=1
}

# refuses TEXT OPTION... - vdit-attend exits 2, its last line holds TEXT, and nothing is written.
refuses() {
    text=$1
    shift
    rm -rf out
    mkdir out
    "$attend" --q q.safetensors --k k.safetensors --v v.safetensors "$@" >stdout 2>log </dev/null
    got=$?
    if [ $got != 2 ] || [ -s stdout ] || [ -n "$(ls -A out)" ] ||
        ! tail -n 1 log | grep -F -- "$text" | grep -q '^vdit-attend: '; then
        printf 'exit %s; "%s" was expected from:\n  vdit-attend %s\n' $got "$text" "$*"
        cat stdout log
        ls -A out
        status=1
    fi
}

seed=0
for i in q k v sq sk sv; do
    seed=$((seed + 1))
    width=5
    case $i in *v) width=4 ;; esac
    $tensors make $i.safetensors x $seed f32 1x3x29x$width || exit 99
done
$tensors valid all.npy x 29 29 && $tensors cast ones-4.npy x all.npy f32 &&
    $tensors reshape ones.npy x ones-4.npy 29 && $tensors valid some-4.npy x 29 11 &&
    $tensors reshape every.npy x all.npy 29 && $tensors reshape some.npy x some-4.npy 29 || exit 99
$tensors make weights.npy x 9 f32 29 || exit 99
plain -o plain.npy --map map.npy

# Strength 0, on f32 and bf16: the plain call's bits.
for i in q k v; do
    $tensors cast $i-bf16.safetensors x $i.safetensors bf16 || exit 99
done
"$attend" --q q-bf16.safetensors --k k-bf16.safetensors --v v-bf16.safetensors \
    -o plain-bf16.safetensors || exit 99
while IFS= read -r plan; do
    run --plan "$plan" -o off.npy
    same "$plan" off.npy plain.npy
    "$attend" --q q-bf16.safetensors --k k-bf16.safetensors --v v-bf16.safetensors \
        --layout-video 2,3,4 --text 5 --plan "$plan" --source-q sq.safetensors \
        --source-k sk.safetensors -o off.safetensors 2>log ||
        { cat log; status=1; }
    same "$plan, bf16" off.safetensors plain-bf16.safetensors
done <<'PLANS'
all: temperature 1
mask 0%
mask 0% scope=row ties=count lost=renormalised
mask 0% scope=frame ties=linear lost=diagonal empty=maximum
mask 0% scope=global lost=uniform prunable=vv
identity weight=0
uniform weight=0 over=segments
blend alpha=0.5 weight=0 joint=video-move
mix 0
mix 0 own=kept align=ones.npy
gate 1
keys 0-28
keys "every.npy"
first-text 5
keep sliding tile=1,1,1 window=2,3,4
keep spatial window=3,4 after
keep temporal window=2, keep radial
keep radial decay=100 after
reweight ones.npy
L1: gate 0; H3-9: identity; S1: uniform; B=u: gate 0; K=cross: gate 0
temperature 0.2; temperature 1; gate 0; gate 1
PLANS

# Full strength: each edit changes something, and another way gives the same.
check() {
    run --plan "$1" -o edited.npy
    apart "$1" edited.npy plain.npy
}
check 'temperature 0.5'
plain -o other.npy --scale 0x1.c9f25c5bfedd9p-1
same 'half the temperature is twice the scale' edited.npy other.npy
check 'transfer qk'
cp edited.npy transferred.npy
"$attend" --q sq.safetensors --k sk.safetensors --v v.safetensors -o other.npy
same 'q and k of the source' edited.npy other.npy
check 'transfer kv'
"$attend" --q q.safetensors --k sk.safetensors --v sv.safetensors -o other.npy
same 'k and v of the source' edited.npy other.npy
check 'transfer v'
"$attend" --q q.safetensors --k k.safetensors --v sv.safetensors -o other.npy
same 'v of the source' edited.npy other.npy
check 'mix 1'
same 'all of the source map is its q and k' edited.npy transferred.npy
check 'keys 0-10'
plain -o other.npy --key-length 11
same 'a list of keys' edited.npy other.npy
run --plan 'keys some.npy' -o edited.npy
same 'keys from a file' edited.npy other.npy
check 'first-text 2'
plain -o other.npy --key-length 26
same 'the first text tokens' edited.npy other.npy
check 'identity'
same 'I v is v' edited.npy v.safetensors
check 'uniform'
plain -o other.npy --scale 0
same 'U v is the mean' edited.npy other.npy
check 'mask 30%'
says 'masked_fraction 0.299643, kept_mass 0.79'
run --plan 'mask 30%' --report report.safetensors --keep keep.npy
run --plan 'mask 30%' --free free.npy
run --plan 'mask 0%' --free none.npy
apart 'the threshold is an entry of the map, so some are free' free.npy none.npy
run --plan 'mask threshold=report.safetensors:threshold' -o other.npy
same 'the threshold of another pass' edited.npy other.npy
run --plan 'mask entries=keep.npy' -o other.npy
same 'the mask of another pass' edited.npy other.npy
run --plan 'mask 30% lost=renormalised' -o edited.npy
same 'the report has the renormalised output' edited.npy report.safetensors:renormalised
run --plan 'mask entries=keep.npy before' -o other.npy
near 'what is renormalised is masked before the softmax' edited.npy other.npy 1e-6
check 'keep sliding tile=1,2,2 window=1,1,2 after'
run --plan 'keep sliding tile=1,2,2 window=1,1,2 after' --keep keep.npy
check 'keep sliding tile=1,2,2 window=1,1,2'
run --plan 'mask entries=keep.npy before' -o other.npy
same 'a designed mask is its bits' edited.npy other.npy
run --plan 'keep sliding tile=1,2,2 window=1,1,2' --report dense.npz
run --plan 'keep sliding tile=1,2,2 window=1,1,2 after' --report after.npz
same 'the score of a mask is the mass it keeps' dense.npz:dense_mass after.npz:kept_mass
check 'drop vt,tv'
check 'keep radial decay=0.5, keep first-frame'
check 'reweight weights.npy'
check 'blend alpha=0.5 weight=0.5'
check 'gate 0'
plain -o other.npy --key-length 0
same 'a closed gate gives zeros' edited.npy other.npy
run --plan 'mix 1 map=map.npy' -o edited.npy
near 'its own map in place of the map' edited.npy plain.npy 1e-6
run --plan 'Q=text: identity' -o edited.npy
$tensors take text.npy x edited.npy 2 24,25,26,27,28 && $tensors take v-text.npy x v.safetensors 2 24,25,26,27,28
same 'text rows alone are edited' text.npy v-text.npy
$tensors take video.npy x edited.npy 2 0,7,23 && $tensors take plain-video.npy x plain.npy 2 0,7,23
same 'video rows are left' video.npy plain-video.npy
run --plan 'H1: gate 0' -o edited.npy
$tensors take heads.npy x edited.npy 1 0,2 && $tensors take plain-heads.npy x plain.npy 1 0,2
same 'one head alone is edited' heads.npy plain-heads.npy
printf '# a file\nL44 S3: identity\n' >plan.txt
run --plan-file plan.txt --site 'L44:S3 B=u' -o edited.npy
same 'the site of the call selects' edited.npy v.safetensors
run --plan 'identity' --rows 3,0 -o edited.npy
$tensors take rows.npy x v.safetensors 2 3,0
same 'some rows of an edited call' edited.npy rows.npy

# The same over several tiles of keys, text first.
for i in 1 2 3; do
    $tensors make long-$i.npy x 2$i f32 430x8 || exit 99
done
long() {
    "$attend" --q long-1.npy --k long-2.npy --v long-3.npy --layout-video 6,7,10 --text 10 \
        --text-first "$@" >log 2>&1 || {
        printf 'failed: vdit-attend %s\n' "$*"
        cat log
        status=1
    }
}
long -o long.npy
for plan in 'mask 0% lost=renormalised' 'keep sliding tile=2,3,4 window=3,3,3 after' 'mix 0' \
    'first-text 10, keys 0-429'; do
    long --plan "$plan" -o off.npy
    same "$plan over tiles" off.npy long.npy
done
for plan in 'mask 40% scope=row' 'mask 40% scope=frame ties=count' 'mask 5% prunable=vv' \
    'keep sliding tile=2,3,4 window=1,3,1 after' 'keep radial after, drop tv after'; do
    long --plan "$plan" -o edited.npy --keep keep.npy --report report.npz
    apart "$plan" edited.npy long.npy
    long --plan 'mask entries=keep.npy' -o other.npy --report again.npz
    same "$plan is its bits" edited.npy other.npy
    same "the mass that $plan keeps" report.npz:kept_mass again.npz:kept_mass
done

# Gates that a meter decides. Of these heads the first alone has a sink at 0.04.
run --plan 'gate sinks tau=0.04' -o edited.npy
says 'head 0: logits -> softmax -> times v -> gate 0'
says 'heads 1-2: as without a plan'
run --plan 'H0: gate 0' -o other.npy
same 'a head with a sink is skipped' edited.npy other.npy
run --plan 'gate sinks' -o edited.npy
same 'no head has a sink at 0.3' edited.npy plain.npy
for n in 1 2 3; do
    run --plan "gate random 2 seed=$n" -o random-$n.npy
    [ "$(grep -c 'gate 0' log)" -ge 1 ] || {
        echo 'no head is drawn'
        status=1
    }
done
apart 'other seeds draw other heads' random-1.npy random-2.npy

# The summary.
run --plan 'H0-1: mask 30%' -o edited.npy --json
for text in '"plan": "H0-1: mask 30%\n"' '"heads": [0, 1], "order": "logits -> softmax -> mask' \
    '"heads": [2, 2], "order": "as without a plan"' '"passes": 5' '"masked_fraction": 0.29' \
    '"kept_mass": 0.79' '"least_kept_mass": 0.'; do
    says "$text"
done
run --plan 'mask 30%' --estimate
says 'passes over the map 5'

# Errors.
video='--layout-video 2,3,4 --text 5'
refuses '--plan: plan, line 1, column 6: ' -o out/o.npy --plan 'mask 1.5'
printf 'gate 0\nmask x\n' >bad.txt
refuses 'bad.txt: plan, line 2, column 6: ' -o out/o.npy --plan-file bad.txt
refuses 'nosuch.txt: cannot open' -o out/o.npy --plan-file nosuch.txt
refuses 'exclude each other' -o out/o.npy --plan-file bad.txt --plan 'gate 0'
refuses 'site, line 1' -o out/o.npy --plan 'gate 0' --site L1-2
refuses '--report needs --plan' -o out/o.npy --report out/r.npz
refuses "--free needs --plan" -o out/o.npy --free out/f.npy
refuses '--source-q needs --plan' -o out/o.npy --source-q sq.safetensors
refuses 'source_q is not given' -o out/o.npy --plan 'transfer q'
refuses 'source_k is f32 [1, 3, 29, 4]' -o out/o.npy --plan 'transfer k' --source-k v.safetensors
refuses 'nosuch.npy' -o out/o.npy --plan 'reweight nosuch.npy'
refuses 'key_weight is f32 [1, 1, 1, 29]' -o out/o.npy --plan 'reweight ones-4.npy'
refuses 'key 29 is not below' -o out/o.npy --plan 'keys 29'
refuses 'tokens that are declared' -o out/o.npy --plan 'drop vt'
refuses 'a declared video was expected' -o out/o.npy --plan 'keep radial'
# shellcheck disable=SC2086
refuses 'other queries' $video -o out/o.npy --plan 'gate 0; Q=text: identity'
refuses '29 queries are neither' --layout-video 2,3,4 --text 6 -o out/o.npy --plan 'drop vt'
refuses '4 heads are to be drawn from 3' -o out/o.npy --plan 'gate random 4'
run --plan 'temperature 0.5' -o other.npy
run --plan 'temperature 0.5' -o edited.npy --backend fast
same 'the reference computes for a backend without edits' edited.npy other.npy
says 'backend fast has no attention with edits; the reference computes'
run --plan 'temperature 0.5' -o edited.npy --backend fast --json
says '"backend": "reference"'
[ "$(grep -c 'the reference computes' log)" -eq 1 ] || {
    echo 'who computes is not said once'
    status=1
}
plain -o edited.npy --backend fast --json
says '"backend": "fast"'
exit $status
