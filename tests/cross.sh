#!/bin/sh
# The same bits on other processors: builds for aarch64 and for big-endian s390x, runs the unit tests
# that read and write bytes, and verifies the recipe `cross`, all under qemu-user.
#
# The foreign libraries are unpacked into a private folder (build/cross/TRIPLET/root) by the packages
# that apt-get names; nothing is installed, the machine's own packages are not touched.
# Exit 77 where compilers, qemu or packages cannot be had, unless CROSS_REQUIRED is set.
set -u
: "${srcdir:?}" "${builddir:?}" "${MAKE:=make}"
packages='libjansson-dev libzip-dev libmd-dev libcmocka-dev libmpfr-dev libgomp1'
unit_tests=
for name in base backend exact_accumulator file_index file_npy file_npz file_pick file_safetensors \
    file_write golden_draw golden_family golden_recipe; do
    unit_tests="$unit_tests tests/test_$name"
done

# leave WHY - no cross check on this machine.
leave() {
    echo "cross: $1"
    [ -z "${CROSS_REQUIRED-}" ] || exit 1
    exit 77
}

# apt ARCH COMMAND... - apt-get on lists and a package state of its own.
apt() {
    arch=$1
    shift
    apt-get -q -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User=root \
        -o Dir::Cache="$top" -o Dir::State="$top/state" -o Dir::State::status="$top/status" "$@"
}

# unpack ARCH - fills $root with the packages and all that they depend on.
unpack() {
    mkdir -p "$top/state/lists/partial" "$top/archives/partial" "$root" && : >"$top/status" &&
        apt "$1" update && apt "$1" install -y --no-install-recommends --download-only $packages || return
    for deb in "$top"/archives/*.deb; do
        dpkg-deb -x "$deb" "$root" || return
    done
    # Links such as libm.so -> /lib/... must stay inside.
    find "$root" -type l -lname '/*' | while read -r link; do
        ln -sf "$root$(readlink "$link")" "$link"
    done
    touch "$root/unpacked"
}

# cross TRIPLET ARCH QEMU - the whole check for one processor.
cross() {
    triplet=$1 qemu=$3
    top=$builddir/cross/$triplet
    root=$top/root
    command -v "$triplet-gcc" >/dev/null || leave "no $triplet-gcc"
    command -v "$qemu" >/dev/null || leave "no $qemu"
    mkdir -p "$top/build"
    [ -f "$root/unpacked" ] || unpack "$2" >"$top/packages.log" 2>&1 ||
        leave "no packages for $2 (see $top/packages.log)"
    libraries="$root/usr/lib/$triplet"
    (
        cd "$top/build" &&
            PKG_CONFIG_LIBDIR=$libraries/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root "$srcdir/configure" -q \
                --host="$triplet" --disable-shared --enable-static --without-openblas \
                CC="$triplet-gcc --sysroot=$root" PKG_CONFIG="$(command -v pkg-config)" &&
            $MAKE -s -j"$(getconf _NPROCESSORS_ONLN)"
    ) >"$top/build.log" 2>&1 || {
        tail -n 30 "$top/build.log"
        return 1
    }
    # The unit tests' sums go to the log as they are: who runs this script may add them up.
    $MAKE -s -C "$top/build" check TESTS="$unit_tests" LOG_COMPILER="$qemu -L $root" || return
    (
        cd "$top/build" && VDIT_DATA=$srcdir/data "$qemu" -L "$root" bin/vdit-golden verify cross
    ) >"$top/verify.log" 2>&1 || {
        cat "$top/verify.log"
        return 1
    }
    echo "cross: $triplet: $(tail -n 1 "$top/verify.log")"
}

status=0
for target in 'aarch64-linux-gnu arm64 qemu-aarch64' 's390x-linux-gnu s390x qemu-s390x'; do
    echo "cross: $target"
    cross $target || status=1
done
[ $status != 0 ] || echo 'cross: the same bits on all of them'
exit $status
