#!/bin/sh
# vdit-attend: options, layouts, and every kind of error.
attend=$builddir/bin/vdit-attend
tensors=$builddir/tests/tensors
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 99
status=0

# holds NAME COMMAND... - the command exits 0.
holds() {
    name=$1
    shift
    "$@" >why 2>&1 || {
        printf 'not so: %s\n  %s\n' "$name" "$*"
        cat why
        status=1
    }
}

# refuses TEXT OPTION... - vdit-attend exits 2 with one line that holds TEXT, and writes nothing.
refuses() {
    text=$1
    shift
    rm -rf out
    mkdir out
    "$attend" "$@" >stdout 2>log </dev/null
    got=$?
    if [ $got != 2 ] || [ "$(wc -l <log)" != 1 ] || [ -s stdout ] || [ -n "$(ls -A out)" ] ||
        ! grep -q "^vdit-attend: " log || ! grep -qF -- "$text" log; then
        printf 'exit %s; one line with "%s" was expected from:\n  vdit-attend %s\n' $got "$text" "$*"
        cat stdout log
        ls -A out
        status=1
    fi
}

# run OPTION... - attention on the common tensors, which must succeed in silence.
run() {
    "$attend" --q q.safetensors --k k.safetensors --v v.safetensors "$@" >log 2>&1 || {
        printf 'failed: vdit-attend %s\n' "$*"
        cat log
        status=1
    }
}

# Three batches or heads of anything differ from each other, and so do all extents.
$tensors make q.safetensors q 1 f32 2x3x9x5 &&
    $tensors make k.safetensors k 2 f32 2x3x11x5 &&
    $tensors make v.safetensors v 3 f32 2x3x11x4 &&
    for i in q k v; do
        $tensors permute $i-bnhd.safetensors $i $i.safetensors 0,2,1,3 &&
            $tensors cast $i-bf16.safetensors $i $i.safetensors bf16 &&
            $tensors take $i-1.safetensors $i $i.safetensors 0 1 || exit 99
    done || exit 99
run -o o.safetensors --lse lse.safetensors --map map.safetensors

# Files and names.
run -o o.npy --lse all.npz --map all.npz
holds 'npy holds the same output' $tensors equal o.safetensors o.npy
holds 'npz holds the same lse' $tensors equal lse.safetensors all.npz:lse
holds 'npz holds the same map' $tensors equal map.safetensors all.npz:map
run -o one.safetensors --lse one.safetensors --map one.safetensors
for i in o lse map; do
    holds "one file holds $i" $tensors equal $i.safetensors one.safetensors:$i
done
run --lse alone.safetensors
holds 'lse alone is the same' $tensors equal lse.safetensors alone.safetensors

# Layouts and ranks.
holds 'BNHD runs' "$attend" --q q-bnhd.safetensors --k k-bnhd.safetensors --v v-bnhd.safetensors \
    --layout BNHD -o o-bnhd.safetensors --lse lse-bnhd.safetensors --map map-bnhd.safetensors
$tensors permute back.safetensors o o-bnhd.safetensors 0,2,1,3
holds 'BNHD gives the output of BHND' $tensors equal o.safetensors back.safetensors
holds 'lse is [B,H,R] in BNHD too' $tensors equal lse.safetensors lse-bnhd.safetensors
holds 'map is [B,H,R,Nk] in BNHD too' $tensors equal map.safetensors map-bnhd.safetensors
$tensors take o-1.safetensors o o.safetensors 0 1
for i in q k v o; do
    shape=$(case $i in q) echo 3x9x5 ;; k) echo 3x11x5 ;; v) echo 3x11x4 ;; o) echo 3x9x4 ;; esac)
    $tensors reshape $i-3.safetensors $i $i-1.safetensors $shape
    $tensors permute $i-3-nhd.safetensors $i $i-3.safetensors 1,0,2
    $tensors take $i-32.safetensors $i $i-3.safetensors 0 2
    $tensors reshape $i-2.safetensors $i $i-32.safetensors "${shape#3x}"
done
for i in 3 2; do
    holds "rank $i runs" "$attend" --q q-$i.safetensors --k k-$i.safetensors --v v-$i.safetensors \
        -o rank.safetensors
    holds "rank $i gives its part of rank 4" $tensors equal o-$i.safetensors rank.safetensors
done
holds '[N,H,d] runs' "$attend" --q q-3-nhd.safetensors --k k-3-nhd.safetensors \
    --v v-3-nhd.safetensors --layout BNHD -o rank.safetensors
holds '[N,H,d] gives [H,N,d]' $tensors equal o-3-nhd.safetensors rank.safetensors

# Rows.
$tensors take some.safetensors o o.safetensors 2 7,0,2,3,4
run -o rows.safetensors --rows 7,0,2-4
holds 'rows are those of the full run' $tensors equal some.safetensors rows.safetensors
$tensors numbers list.safetensors rows 7,0,2,3,4
run -o rows.safetensors --rows list.safetensors:rows
holds 'rows come from a file too' $tensors equal some.safetensors rows.safetensors
for i in o lse map; do
    $tensors take some.safetensors $i $i.safetensors 2 0,4,8
    run --rows every:4 -o out.npz --lse out.npz --map out.npz
    holds "every:4 of $i" $tensors equal some.safetensors out.npz:$i
done

# Masks and key lengths.
$tensors valid mask.safetensors mask 11 4,9
run -o masked.safetensors --mask mask.safetensors
$tensors numbers length.safetensors n 4,9
for length in 4,9 length.safetensors length.safetensors:n; do
    run -o length.npy --key-length $length
    holds "key length $length is its mask" $tensors equal masked.safetensors length.npy
done
run -o five.safetensors --key-length 5
run -o fives.safetensors --key-length 5,5
holds 'one key length serves all batches' $tensors equal five.safetensors fives.safetensors
$tensors make add.safetensors mask 4 f32 9x11
$tensors reshape add-4.safetensors mask add.safetensors 1x1x9x11
run -o add.npy --mask add.safetensors
run -o add-4.npy --mask add-4.safetensors:mask
holds 'a mask [Nq,Nk] is one of [1,1,Nq,Nk]' $tensors equal add.npy add-4.npy
run -o plain.npy
! $tensors equal plain.npy add.npy >/dev/null 2>&1 || {
    echo 'an additive mask changes nothing'
    status=1
}

# Meters.
run --layout-video 1,3,3 --text 2 --meters entropy,segments,lse,rows:every=4 -m meters.json -m meters.npz \
    -m meters.safetensors
holds 'a meter gives the same lse' $tensors equal lse.safetensors meters.npz:lse.row
$tensors take some.safetensors map map.safetensors 2 0,4,8
holds 'a meter gives rows of the map' $tensors equal some.safetensors meters.npz:rows.entry
holds 'safetensors holds the same' $tensors equal meters.npz:entropy.row meters.safetensors:entropy.row
for text in '"ids": "C39=row/ln(valid),C40=exact0,unit=nats"' '"entropy.percent"' '"every=4"' '"vdit-meters/1"'; do
    holds "the JSON file holds $text" grep -qF -- "$text" meters.json
done
run --meters picture:side=4,quantile -m picture.png -m picture.npz -m picture.json --view max:threshold=2
holds 'a PNG file says what it shows' grep -aq 'picture.max of blocks of 3 queries' picture.png
run --meters picture:side=4 -m again.png --view max:threshold=2
holds 'a picture has the same bytes each time' cmp picture.png again.png
run --source-q q.safetensors --meters similarity -m same.json
holds 'a map is like itself' sh -c 'tr -d " \\n" <same.json | grep -qF "\"similarity.cosine\":{\"dtype\":\"f32\",\"axes\":\"BH\",\"shape\":\"[2,3]\",\"value\":[[1.0,1.0,1.0],[1.0,1.0,1.0]]"'
holds 'a list of meters' sh -c '"$0" --meters help | grep -q "^entropy - "' "$attend"

# Numbers.
run -o scale.npy --scale 0x1p-1
! $tensors equal plain.npy scale.npy >/dev/null 2>&1 || {
    echo '--scale changes nothing'
    status=1
}
run -o zero.npy --scale 0
run -o zero-1.npy --scale 0 --key-length 1
$tensors take first.npy v v.safetensors 2 0,0,0,0,0,0,0,0,0
holds 'one valid key gives its value' $tensors equal first.npy zero-1.npy
$tensors matmul product.npy o map.safetensors v.safetensors
holds 'the map times V is close to o' $tensors near o.safetensors product.npy 1e-6
run -o bf16.safetensors --dtype bf16
$tensors cast rounded.safetensors o o.safetensors bf16
holds '--dtype bf16 is close to f32' $tensors near rounded.safetensors bf16.safetensors 0x1p-8
holds 'bf16 in gives bf16 out' "$attend" --q q-bf16.safetensors --k k-bf16.safetensors \
    --v v-bf16.safetensors -o bf16-in.safetensors
holds 'bf16 in, bf16 asked for' "$attend" --q q-bf16.safetensors --k k-bf16.safetensors \
    --v v-bf16.safetensors -o bf16-asked.safetensors --dtype bf16
holds 'the default dtype is that of q' $tensors equal bf16-in.safetensors bf16-asked.safetensors
run -o f16.npy --dtype f16
holds '--dtype f16 is close to f32' $tensors near o.safetensors f16.npy 0x1p-10
run -o fast.npy --backend fast
holds 'fast is close to the reference' $tensors near plain.npy fast.npy 1e-5
run -o threads.npy --threads 3
holds 'the bits do not depend on threads' $tensors equal plain.npy threads.npy

# What torch recomputed in binary64 inside other people's models, without any code of ours.
for file in "$srcdir"/data/captured/*.safetensors; do
    set -- --q "$file:q" --k "$file:k" --v "$file:v" -o captured.safetensors
    ! head -c 2000 "$file" | grep -aq '"mask"' || set -- "$@" --mask "$file:mask"
    holds "${file##*/} runs" "$attend" "$@"
    holds "${file##*/} gives its o64" $tensors equal captured.safetensors "$file:o64"
done

# Words.
run --estimate
holds '--estimate says time and memory' grep -q '^2 x 3 heads of 9 x 11, width 5: about .*memory' log
run -o json.npy --json
holds '--json counts every element once' awk '
    match($0, /"stages": \[[0-9, ]*\]/) {
        split(substr($0, RSTART + 11, RLENGTH - 12), n, ", ")
        sum = n[1] + n[2] + n[3]
    }
    END { exit sum != 2 * 3 * 9 * 4 }' log
holds '--json names the output' grep -q '"outputs": {"o": {"dtype": "f32", "shape": \[2, 3, 9, 4\]' log
if [ -c /dev/full ]; then
    run -o full.npy --json
    "$attend" --q q.safetensors --k k.safetensors --v v.safetensors -o full.npy --json \
        >/dev/full 2>log
    [ $? = 2 ] && [ ! -e full.npy ] && grep -q '^vdit-attend: standard output: ' log || {
        echo 'a full standard output is not an error, or leaves an output'
        status=1
    }
fi

# An interrupt ends a long call cleanly. The call would take many seconds.
$tensors make long.safetensors q 1 f32 60000x64
"$attend" --q long.safetensors --k long.safetensors --v long.safetensors -o cut.npy 2>log &
sleep 1
kill -TERM $!
wait $!
got=$?
[ $got = 2 ] && [ ! -e cut.npy ] && [ -z "$(ls -A | grep cut)" ] && tail -n 1 log | grep -q cancelled || {
    echo "an interrupt gives $got and:"
    cat log
    ls -A
    status=1
}

# Errors. $good is right but for what follows it.
good='--q q.safetensors --k k.safetensors --v v.safetensors'
printf junk >junk.safetensors
$tensors make q6.safetensors q 1 f32 2x3x9x6
$tensors make k3.safetensors k 1 f32 2x2x11x5
$tensors make v7.safetensors v 1 f32 2x3x7x4
$tensors make v1.safetensors v 1 f32 4
$tensors make i.safetensors q 1 i32 2x3x9x5
$tensors make m.safetensors m 1 f32 9x7
$tensors make m5.safetensors m 1 f32 1x1x1x9x11
$tensors make big.safetensors big 1 f32 1000000x1
refuses '--q is missing' --k k.safetensors --v v.safetensors -o out/o.npy
refuses 'nothing to write' $good
refuses "'more' was not expected" $good -o out/o.npy more
refuses 'unknown or ambiguous option --nosuch' $good -o out/o.npy --nosuch
refuses 'option --output needs an argument' $good -o
refuses 'nosuch.npy' --q nosuch.npy --k k.safetensors --v v.safetensors -o out/o.npy
refuses 'junk.safetensors' --q junk.safetensors --k k.safetensors --v v.safetensors -o out/o.npy
refuses 'nosuch' --q q.safetensors:nosuch --k k.safetensors --v v.safetensors -o out/o.npy
refuses 'one.safetensors' --q one.safetensors --k k.safetensors --v v.safetensors -o out/o.npy
refuses 'k.safetensors: k is [2, 3, Nk, 5]' --q q6.safetensors --k k.safetensors --v v.safetensors -o out/o.npy
refuses 'k3.safetensors: k is [2, 2, Nk, 5]' --q q.safetensors --k k3.safetensors --v v.safetensors -o out/o.npy
refuses 'v7.safetensors: v is [2, 3, 7, dv]' --q q.safetensors --k k.safetensors --v v7.safetensors -o out/o.npy
refuses 'v has shape [4]' --q q.safetensors --k k.safetensors --v v1.safetensors -o out/o.npy
refuses 'i.safetensors: q is i32' --q i.safetensors --k k.safetensors --v v.safetensors -o out/o.npy
refuses 'm.safetensors: mask has extent 7' $good -o out/o.npy --mask m.safetensors
refuses 'at most [B,H,Nq,Nk]' $good -o out/o.npy --mask m5.safetensors
refuses '12: key_length[0] is 12, expected 0..11' $good -o out/o.npy --key-length 12
refuses 'i64 or i32 of 2 or one element' $good -o out/o.npy --key-length 1,2,3
refuses 'neither an index nor a range' $good -o out/o.npy --key-length 1,,2
refuses 'index 9 is not below 9' $good -o out/o.npy --rows 0,9
refuses 'every:STRIDE' $good -o out/o.npy --rows every:0
refuses 'i64 or i32' $good -o out/o.npy --rows m.safetensors
refuses "'1e' is not a finite number" $good -o out/o.npy --scale 1e
refuses 'scale is 1e+300' $good -o out/o.npy --scale 1e300
refuses "'f64' is none of" $good -o out/o.npy --dtype f64
refuses "'bhnd' is none of" $good -o out/o.npy --layout bhnd
refuses "'cuda' is none of" $good -o out/o.npy --backend cuda
refuses 'not a number of threads' $good -o out/o.npy --threads 0
refuses 'numpy has no bf16' $good -o out/o.npy --dtype bf16
refuses '.safetensors, .npz or .npy' $good -o out/o.txt
refuses '.safetensors, .npz or .npy' $good -o -
refuses 'one tensor only' $good -o out/o.npy --lse out/o.npy
refuses 'nosuch/' $good -o out/o.npy --lse nosuch/lse.npy
mkdir folder.npy
refuses 'there is no meter' $good --meters entropy,x -m out/m.json
refuses 'option every' $good -o out/o.npy --meters rows:every=0 -m out/m.json
refuses 'names none' $good -o out/o.npy -m out/m.json
refuses 'it needs the queries of the call to compare with' $good --meters similarity -m out/m.json
refuses '--source-q needs --plan' $good --source-q q.safetensors --meters entropy -m out/m.json
refuses 'a picture was expected among' $good --meters entropy -m out/m.png
for view in least mean:root mean:log=x mean:clip=2 max:linear=1; do
    refuses '--view: ' $good --meters picture -m out/m.png --view $view
done
refuses 'give -m FILE' $good --meters entropy
refuses '.json, .npz, .safetensors or .png' $good --meters entropy -m out/m.txt
refuses 'another output goes there' $good -o out/o.npz --meters entropy -m out/o.npz
refuses 'another output goes there' $good --meters entropy -m out/m.json -m out/m.json
refuses 'FRAMES,HEIGHT,WIDTH' $good --meters entropy -m out/m.json --layout-video 3,3
refuses 'tokens: 9 queries' $good --meters entropy -m out/m.json --layout-video 2,2,2
refuses 'folder.npy' $good -o out/o.npy --lse folder.npy
refuses 'choose fewer --rows' --q big.safetensors --k big.safetensors --v big.safetensors \
    --map out/map.npy
# A full disk, as a limit on file size: the map does not fit, and the lse before it goes too.
(
    ulimit -f 1
    refuses 'out/map.safetensors: cannot write' $good --lse out/lse.npy --map out/map.safetensors
    exit $status
) || status=1
exit $status
