#!/bin/sh
# Builds the fuzz targets with clang's libFuzzer and sanitizers, and runs each for FUZZ_SECONDS (20),
# starting from its seeds. An input that breaks one is left in the build folder as fuzz-TARGET-*.
# FUZZ_KEEP=FOLDER keeps what was found worth trying, to be reduced into new seeds:
#   FOLDER/fuzz_npy -merge=1 tests/fuzz-seeds/npy FOLDER/npy
: "${srcdir:=.}" "${builddir:=.}" "${FUZZ_CC:=clang}" "${FUZZ_SECONDS:=20}"
command -v "$FUZZ_CC" >/dev/null || {
    echo "no $FUZZ_CC here: fuzzing needs clang" >&2
    exit 77
}
scratch=${FUZZ_KEEP:-$(mktemp -d)} || exit 99
[ -n "$FUZZ_KEEP" ] || trap 'rm -rf "$scratch"' EXIT
export srcdir
status=0

for target in safetensors npy npz json plan config; do
    program=$scratch/fuzz_$target libraries=
    case $target in
    config) # the whole library but golden; what computes is only linked
        sources="$(ls "$srcdir"/lib/*/*.c | grep -v /lib/base/ | grep -v /lib/golden/)"
        libraries="$(for name in libpng openblas; do
            pkg-config --silence-errors --libs $name
        done) -ldl" ;;
    plan) # the readers of plans; what finds gates computes
        sources="$(ls "$srcdir"/lib/attention/plan*.c | grep -v /plan_gates.c)
        $srcdir/lib/attention/edit.c $srcdir/lib/attention/edit_order.c" ;;
    *) # the readers; pictures are only written
        sources="$(ls "$srcdir"/lib/file/*.c | grep -v -e /png.c -e /shade.c) $srcdir/tests/fuzz.c" ;;
    esac
    # shellcheck disable=SC2046,SC2086 # the flags and the sources are words
    "$FUZZ_CC" -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        -I "$builddir" -I "$srcdir/lib" -o "$program" \
        "$srcdir"/lib/base/*.c $sources "$srcdir/tests/fuzz_$target.c" \
        $(pkg-config --cflags --libs jansson libzip libmd) $libraries -lm || exit 99
    mkdir -p "$scratch/$target"
    "$program" -max_total_time="$FUZZ_SECONDS" -max_len=2048 -timeout=10 -rss_limit_mb=1024 \
        -print_final_stats=1 -artifact_prefix="$builddir/fuzz-$target-" \
        "$scratch/$target" "$srcdir/tests/fuzz-seeds/$target" >"$scratch/$target.log" 2>&1
    code=$?
    if [ $code = 0 ]; then
        awk -v target="$target" '/number_of_executed_units/ { runs = $2 } / cov: / { cov = $4 }
            END { printf "fuzz_%-12s %9d inputs, %d edges reached\n", target, runs, cov }' \
            "$scratch/$target.log"
    else
        tail -n 40 "$scratch/$target.log"
        echo "fuzz_$target: failed"
        status=1
    fi
done
exit $status
