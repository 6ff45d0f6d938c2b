#!/bin/sh
# The same bits whatever computes: verifies the recipes `quick` and `attention` (their SHA-256 manifests
# are in the source) as built by gcc and clang, at -O0 and -O3, with and without OpenBLAS, with 1, 2 and
# 7 threads, and with every OPENBLAS_CORETYPE that runs on this machine.
#
# Programs built at -O0 are slow: they verify `quick` alone.
set -u
: "${srcdir:?}" "${builddir:?}" "${MAKE:=make}"
VDIT_DATA=$srcdir/data
export VDIT_DATA
cores='Prescott Core2 Nehalem Barcelona Sandybridge Bulldozer Piledriver Excavator Haswell Zen SkylakeX
       Cooperlake SapphireRapids ARMV8 NEOVERSEN1 NEOVERSEV1 THUNDERX2T99'
verified=0 failed=0

# build NAME CONFIGURE-OPTION... - vdit-golden in build/matrix/NAME.
build() {
    name=$1
    shift
    mkdir -p "$builddir/matrix/$name" && (
        cd "$builddir/matrix/$name" &&
            "$srcdir/configure" -q --disable-shared --enable-static "$@" &&
            $MAKE -s -j"$(getconf _NPROCESSORS_ONLN)" bin/vdit-golden
    ) >"$builddir/matrix/$name.log" 2>&1 || {
        echo "matrix: $name does not build:"
        tail -n 20 "$builddir/matrix/$name.log"
        failed=$((failed + 1))
        return 1
    }
}

# verify NAME RECIPE THREADS - one cell of the matrix.
verify() {
    log=$builddir/matrix/verify.log
    "$builddir/matrix/$1/bin/vdit-golden" verify "$2" --threads "$3" >"$log" 2>&1 </dev/null
    result=$?
    what="$1, $2, $3 threads${OPENBLAS_CORETYPE:+, core type $OPENBLAS_CORETYPE}"
    if [ $result = 0 ]; then
        echo "matrix: same bits: $what"
        verified=$((verified + 1))
    elif [ $result = 132 ] && [ -n "${OPENBLAS_CORETYPE-}" ]; then
        echo "matrix: does not run here (illegal instruction): $what"
    else
        echo "matrix: NOT the same bits: $what"
        tail -n 20 "$log"
        failed=$((failed + 1))
    fi
}

# all NAME RECIPE... - the recipes with 1, 2 and 7 threads.
all() {
    name=$1
    shift
    for recipe in "$@"; do
        for threads in 1 2 7; do
            verify "$name" "$recipe" "$threads"
        done
    done
}

for cc in gcc clang; do
    if ! command -v $cc >/dev/null; then
        echo "matrix: no $cc here"
        [ -z "${MATRIX_REQUIRED-}" ] || failed=$((failed + 1))
        continue
    fi
    build $cc-O3 CC=$cc CFLAGS=-O3 && all $cc-O3 quick attention
    build $cc-O0 CC=$cc CFLAGS=-O0 && all $cc-O0 quick
    build $cc-O3-portable CC=$cc CFLAGS=-O3 --without-openblas && all $cc-O3-portable quick attention
    build $cc-O0-portable CC=$cc CFLAGS=-O0 --without-openblas && all $cc-O0-portable quick
done
for core in $cores; do
    # OpenBLAS falls back silently on what it lacks; such a name is not a core type of this build.
    if OPENBLAS_VERBOSE=2 OPENBLAS_CORETYPE=$core "$builddir/matrix/gcc-O3/bin/vdit-golden" --version \
        2>&1 </dev/null | grep -qix "core: $core"; then
        OPENBLAS_CORETYPE=$core
        export OPENBLAS_CORETYPE
        verify gcc-O3 quick 2
        verify gcc-O3 attention 2
        unset OPENBLAS_CORETYPE
    fi
done

echo "matrix: $verified verified, $failed failed"
[ $failed = 0 ] && [ $verified -gt 0 ]
