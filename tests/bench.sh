#!/bin/sh
# make bench: times and peak memory, as ratios from one run, with the machine and the versions.
#
#   PYTHON=python3 make bench     also against torch, if that Python has it
#   BENCH_VIDEO=yes make bench    also makes the recipe `video` (minutes)
#   BENCH_MODEL=DIR make bench    a checkpoint of Wan2.1-T2V-1.3B that is there; without it, a random one is made (2.8 GB)
#
# What is compared alternates within one process or between processes that take turns; medians count.
set -u
: "${srcdir:?}" "${builddir:?}"
programs=$builddir/tests
OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive
export OMP_NUM_THREADS OMP_WAIT_POLICY
repetitions=5
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

die() {
    echo "bench: $1" >&2
    exit 2
}

median() {
    sort -g "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

machine() {
    awk -F ': *' '/^model name/ { print $2; exit }' /proc/cpuinfo 2>/dev/null || uname -m
}

linear_row() {
    echo "$1" | awk '{
        flops = 2 * 1024 * 1536 * 1536 / 1e6
        if ($2 != "-")
            printf "  %-12s sgemm  %7.1f ms %5.0f GFLOP/s   exact %7.1f ms   ratio %5.2f   (at most 2.5)\n",
                   $1, $2, flops / $2, $3, $4
        else
            printf "  %-12s exact %7.1f ms\n", "no OpenBLAS", $3
        printf "  %-12s stages %d, %d, %d elements\n", "", $5, $6, $7
    }'
}

bench_linear() {
    echo 'linear, f32, 1024x1536x1536: each element rounded once, against sgemm'
    linear_row "$("$programs/bench_linear")" || die 'bench_linear failed'
    # OpenBLAS takes a processor that is younger than itself for an old one; the kernels can be named.
    for core in SKYLAKEX; do
        grep -q avx512f /proc/cpuinfo 2>/dev/null &&
            linear_row "$(OPENBLAS_CORETYPE=$core "$programs/bench_linear")"
    done
}

# ours KEY BACKEND DTYPE, theirs KEY DTYPE - one turn; its seconds go to $scratch/KEY.
ours() {
    echo "$2 $3" >&3
    read -r seconds stages <&4 || die 'bench_attention ended early'
    echo "$seconds" >>"$scratch/$1"
    [ -z "$stages" ] || echo "$stages" >"$scratch/$1.stages"
}
theirs() {
    echo "$2" >&5
    read -r seconds <&6 || die 'bench_torch.py ended early'
    echo "$seconds" >>"$scratch/$1"
}

turns() {
    [ -z "$torch" ] || theirs torch-f32 f32
    ours reference-f32 reference f32
    [ -z "$torch" ] || theirs torch-bf16 bf16
    ours reference-bf16 reference bf16
    ours fast-f32 fast f32
}

# Starts both sides on pipes: descriptors 3 and 4 are ours, 5 and 6 are torch's.
start() {
    mkfifo "$scratch/a" "$scratch/b" "$scratch/c" "$scratch/d"
    "$programs/bench_attention" "$1" "$2" "$3" <"$scratch/a" >"$scratch/b" &
    exec 3>"$scratch/a" 4<"$scratch/b"
    torch=
    [ -n "${PYTHON-}" ] && "$PYTHON" -c 'import torch' 2>/dev/null || return 0
    "$PYTHON" "$srcdir/tests/bench_torch.py" "$1" "$2" "$3" <"$scratch/c" >"$scratch/d" &
    exec 5>"$scratch/c" 6<"$scratch/d"
    read -r torch <&6 || die 'bench_torch.py does not start'
}

attention_row() {
    printf '  %-16s %8.3f s' "$1" "$(median "$scratch/$1")"
    [ -z "$torch" ] || awk -v a="$(median "$scratch/$1")" -v b="$(median "$scratch/torch-f32")" \
        -v note="$2" 'BEGIN { printf "   %5.2f of torch f32   %s", a / b, note }'
    [ ! -s "$scratch/$1.stages" ] || printf '   stages %s' "$(cat "$scratch/$1.stages")"
    echo
}

bench_attention() {
    start 4096 128 4
    echo "attention, N = 4096, d = 128, 4 heads; torch ${torch:-not here (set PYTHON)}"
    turns
    rm -f "$scratch"/*-f32 "$scratch"/*-bf16
    for _ in $(seq $repetitions); do
        turns
    done
    attention_row reference-f32 '(at most 2)'
    attention_row reference-bf16 '(at most 2)'
    attention_row fast-f32 '(at most 1)'
    if [ -n "$torch" ]; then
        attention_row torch-f32 ''
        attention_row torch-bf16 ''
    fi
    exec 3>&- 4<&- 5>&- 6<&-
    wait
}

# peak_row NAME LIMIT COMMAND... - seconds and peak memory of a command.
peak_row() {
    name=$1 limit=$2
    shift 2
    "$programs/bench_peak" "$@" >"$scratch/peak" || die "failed: $*"
    awk -v name="$name" -v limit="$limit" \
        '{ printf "  %-16s %8.1f s   peak %5d MiB   (under %s)\n", name, $1, $2, limit }' "$scratch/peak"
}

bench_memory() {
    echo 'memory: one head, N = 32760, d = 128, f32, full output, inputs counted'
    for backend in reference fast; do
        echo "$backend f32" >"$scratch/request"
        peak_row "$backend" '600 MiB' "$programs/bench_attention" 32760 128 1 <"$scratch/request"
    done
    if [ -n "${BENCH_VIDEO-}" ]; then
        echo 'recipe video: the true lengths, 256 sampled rows per case'
        VDIT_DATA=$srcdir/data peak_row 'video' '1024 MiB' \
            "$builddir/bin/vdit-golden" make video -o "$scratch/video"
    fi
}

# Seconds, and how many plain calls that is. The true length with BENCH_VIDEO: minutes.
bench_edits() {
    echo 'edits: one head, seconds and ratio to the plain call'
    "$programs/bench_edit" 8 16 24 64 128
    [ -z "${BENCH_VIDEO-}" ] ||
        peak_row 'mask 30%, N = 44776' '1024 MiB' "$programs/bench_edit" 28 30 53 256 128 'mask 30%'
}

bench_meters() {
    echo 'meters: one head, seconds and ratio to the plain call'
    "$programs/bench_meter" 8 16 24 64 128 | sed 's/^/  /'
    [ -z "${BENCH_VIDEO-}" ] ||
        peak_row 'meters, N = 44776' '1024 MiB' "$programs/bench_meter" 28 30 53 256 128 \
            column,energy,entropy,first-frame,ladder,lse,max,segments,sink,text0,text-tokens,topk
    [ -z "${BENCH_VIDEO-}" ] ||
        peak_row 'places, N = 44776' '1024 MiB' "$programs/bench_meter" 28 30 53 256 128 \
            frames,offset,diagonal,stripe,picture
    [ -z "${BENCH_VIDEO-}" ] ||
        peak_row 'quantile, N = 44776' '1024 MiB' "$programs/bench_meter" 28 30 53 256 128 quantile
}

# Linear layers against OpenBLAS; it takes a processor that is younger than itself for an old one.
bench_operators() {
    core=
    grep -q avx512f /proc/cpuinfo 2>/dev/null && core=SKYLAKEX
    for tokens in 192 1560; do
        echo "operators of a block of Wan2.1-T2V-1.3B, $tokens tokens, f32, weights bf16: ms, and ratios to fast"
        ${core:+env OPENBLAS_CORETYPE=$core} "$programs/bench_operators" $tokens >"$scratch/operators" ||
            die 'bench_operators failed'
        awk '{ printf "  %-18s fast %9.2f   reference %9.2f %6.2f", $1, $2, $3, $3 / $2
               if ($4 != "-")
                   printf "   OpenBLAS %9.2f %6.2f", $4, $4 / $2
               print "" }' "$scratch/operators"
    done
}

# forward_turn BACKEND - its seconds go to $scratch/forward-BACKEND; torch is a backend here.
forward_turn() {
    if [ "$1" = torch ]; then
        echo >&5
        read -r seconds <&6 || die 'bench_forward.py ended early'
    else
        echo "$1" >&3
        read -r seconds <&4 || die 'bench_forward ended early'
    fi
    echo "$seconds" >>"$scratch/forward-$1"
}

# forward_row BACKEND NOTE
forward_row() {
    awk -v name="$1" -v note="$2" -v own="$(median "$scratch/forward-$1")" \
        -v fast="$(median "$scratch/forward-fast")" \
        'BEGIN { printf "  %-16s %8.2f s   %5.2f of fast   %s\n", name, own, own / fast, note }'
}

# forward DIR FRAMES HEIGHT WIDTH - ours and diffusers' take turns; then the memory of each of ours.
forward() {
    rm -f "$scratch"/forward-*
    mkfifo "$scratch/e" "$scratch/f" "$scratch/g" "$scratch/h"
    "$programs/bench_forward" "$@" <"$scratch/e" >"$scratch/f" &
    exec 3>"$scratch/e" 4<"$scratch/f"
    read -r seconds <&4 || die 'bench_forward does not start'
    sides='fast reference'
    torch='not here (set PYTHON)'
    if [ -n "${PYTHON-}" ] && "$PYTHON" -c 'import torch, diffusers' 2>/dev/null; then
        "$PYTHON" "$srcdir/tests/bench_forward.py" "$@" <"$scratch/g" >"$scratch/h" &
        exec 5>"$scratch/g" 6<"$scratch/h"
        read -r torch <&6 || die 'bench_forward.py does not start'
        sides='torch fast reference'
    fi
    echo "forward, Wan2.1-T2V-1.3B, latents $2x$3x$4, 512 rows of text; opened in $seconds s; torch $torch"
    for turn in warm 1 2 3; do
        for side in $sides; do
            forward_turn "$side"
        done
        [ $turn != warm ] || rm -f "$scratch"/forward-*
    done
    forward_row fast ''
    forward_row reference '(at most 3)'
    [ "$sides" = 'fast reference' ] || forward_row torch '(at least 1)'
    exec 3>&- 4<&- 5>&- 6<&-
    wait
    rm -f "$scratch/e" "$scratch/f" "$scratch/g" "$scratch/h"
    for backend in fast reference; do
        echo "$backend" >"$scratch/request"
        "$programs/bench_peak" "$programs/bench_forward" "$@" <"$scratch/request" >"$scratch/peak" ||
            die 'bench_forward failed'
        awk -v name="$backend" \
            '{ printf "  %-16s peak %s MiB beyond the mapped file   (under 1024)\n", name, $3 }' "$scratch/peak"
    done
}

bench_forward() {
    model=${BENCH_MODEL-}
    if [ -z "$model" ]; then
        model=$scratch/model
        "$builddir/bin/vdit-model" init wan --size 1.3B --dtype bf16 --shard-size 1500000000 \
            -o "$model" 2>/dev/null || die 'vdit-model init failed'
    fi
    forward "$model" 3 16 16
    forward "$model" 1 60 104
}

echo "machine   $(machine), $(getconf _NPROCESSORS_ONLN) processors, 2 threads used"
echo "compiler  $($CC --version | head -n 1)"
echo "OpenBLAS  $(pkg-config --modversion openblas 2>/dev/null || echo none)"
bench_linear
bench_operators
bench_attention
bench_forward
bench_edits
bench_memory
bench_meters
