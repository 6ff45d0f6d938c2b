#!/bin/sh
# The same bits whatever computes: verifies the recipes `quick` and `attention`, whose SHA-256 manifests
# are in the source, as built by gcc and clang, at -O0 and -O3, with and without OpenBLAS, with 1, 2 and
# 7 threads, with every OPENBLAS_CORETYPE that runs here, and on older processors (qemu-x86_64).
#
# One build sees both recipes at every thread count; the others see `quick` at every thread count and
# `attention` with 2 threads; an older processor, which is emulated, sees `quick`. The recipes `edits` and
# `meters` and `operators`, which were made with gcc, are verified as built by clang.
set -u
: "${srcdir:?}" "${builddir:?}" "${MAKE:=make}"
VDIT_DATA=$srcdir/data
export VDIT_DATA
cores='Prescott Core2 Nehalem Barcelona Sandybridge Bulldozer Piledriver Excavator Haswell Zen SkylakeX
       Cooperlake SapphireRapids ARMV8 NEOVERSEN1 NEOVERSEV1 THUNDERX2T99'
verified=0 failed=0
top=$builddir/matrix

# build NAME CONFIGURE-OPTION... - the programs in build/matrix/NAME, with the shared library.
build() {
    name=$1
    shift
    mkdir -p "$top/$name" && (
        cd "$top/$name" && "$srcdir/configure" -q "$@" &&
            $MAKE -s -j"$(getconf _NPROCESSORS_ONLN)"
    ) >"$top/$name.log" 2>&1 || {
        echo "matrix: $name does not build:"
        tail -n 20 "$top/$name.log"
        failed=$((failed + 1))
        return 1
    }
}

# cell WHAT COMMAND... - one cell of the matrix: the command must succeed.
cell() {
    what=$1
    shift
    "$@" >"$top/cell.log" 2>&1 </dev/null
    result=$?
    if [ $result = 0 ]; then
        echo "matrix: holds: $what"
        verified=$((verified + 1))
    elif [ $result = 132 ] && [ -n "${OPENBLAS_CORETYPE-}" ]; then
        echo "matrix: does not run here (illegal instruction): $what"
    else
        echo "matrix: FAILS: $what"
        tail -n 20 "$top/cell.log"
        failed=$((failed + 1))
    fi
}

# verify NAME RECIPE THREADS
verify() {
    cell "$1, $2, $3 threads" "$top/$1/bin/vdit-golden" verify "$2" --threads "$3"
}

# Where a tool is missing the matrix is smaller, unless MATRIX_REQUIRED is set.
lacks() {
    ! command -v "$1" >/dev/null || return 1
    echo "matrix: no $1 here"
    [ -z "${MATRIX_REQUIRED-}" ] || failed=$((failed + 1))
}

# blas_is CORE - whether OpenBLAS takes this name; else it falls back in silence.
blas_is() {
    OPENBLAS_VERBOSE=2 OPENBLAS_CORETYPE=$1 "$top/gcc-O3/bin/vdit-check" --version 2>&1 </dev/null |
        grep -qix "core: $1"
}

cd "$builddir" || exit 99
for cc in gcc clang; do
    ! lacks $cc || continue
    build $cc-O3 CC=$cc CFLAGS=-O3 || continue
    build $cc-O0 CC=$cc CFLAGS=-O0 || continue
    build $cc-O3-portable CC=$cc CFLAGS=-O3 --without-openblas || continue
    for name in $cc-O3 $cc-O0 $cc-O3-portable; do
        for threads in 1 2 7; do
            verify $name quick $threads
        done
        verify $name attention 2
        verify $name networks 2
    done
done
for threads in 1 7; do
    verify gcc-O3 attention $threads
done
name=clang-O3
[ -x "$top/$name/bin/vdit-golden" ] || name=gcc-O3
for recipe in edits meters operators; do
    verify $name $recipe 2
done

# OpenBLAS computes for the backend fast alone; it must neither disturb the reference nor break fast.
for core in $cores; do
    blas_is "$core" || continue
    OPENBLAS_CORETYPE=$core
    export OPENBLAS_CORETYPE
    for recipe in quick attention; do
        cell "core type $core, $recipe" "$top/gcc-O3/bin/vdit-golden" verify $recipe --threads 2
    done
    cell "core type $core, the backend fast" "$top/gcc-O3/bin/vdit-check" --backend fast quick
    unset OPENBLAS_CORETYPE
done

# The kernels for AVX2 and in portable C, where the processor would choose AVX-512.
case $(uname -m) in x86_64)
    for cpu in Nehalem Haswell; do
        lacks qemu-x86_64 || cell "processor $cpu, quick" "$top/gcc-O3/libtool" --mode=execute \
            qemu-x86_64 -cpu $cpu "$top/gcc-O3/bin/vdit-golden" verify quick --threads 2
    done
    ;;
esac

echo "matrix: $verified hold, $failed failed"
[ $failed = 0 ] && [ $verified -gt 0 ]
