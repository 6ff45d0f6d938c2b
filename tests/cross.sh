#!/bin/sh
# The same bits on other processors, another compiler and another C library.
#
#   aarch64, riscv64, big-endian s390x   gcc; unit tests that read and write bytes, `cross` and `networks`, under qemu-user
#   aarch64                              clang; `cross`
#   x86-64 with musl                     gcc, static; `cross`
#
# `cross` is the recipe that has a case of all that goldens can hold; what is verified is its manifest. The
# foreign libraries are unpacked into a private folder (build/cross/NAME/root) by the packages that apt-get
# names; for musl they are built there from Debian's sources. Nothing is installed, the machine's own
# packages are not touched.
# Exit 77 where compilers, qemu or packages cannot be had, unless CROSS_REQUIRED is set.
set -u
: "${srcdir:?}" "${builddir:?}" "${MAKE:=make}"
packages='libjansson-dev libzip-dev libmd-dev libpng-dev libcmocka-dev libmpfr-dev libgomp1'
sources='zlib jansson libmd libzip'
mirror='http://deb.debian.org/debian'
jobs=$(getconf _NPROCESSORS_ONLN)
unit_tests=
for name in attention_pattern base backend exact_accumulator exact_draw file_index file_npy file_npz \
    file_pick file_safetensors file_write golden_family golden_layout golden_recipe model_config \
    model_convert model_make model_open model_survey plan plan_text; do
    unit_tests="$unit_tests tests/test_$name"
done

# leave WHY - no cross check on this machine.
leave() {
    echo "cross: $1"
    [ -z "${CROSS_REQUIRED-}" ] || exit 1
    exit 77
}

# begin NAME - the folders of one target.
begin() {
    top=$builddir/cross/$1
    root=$top/root
    mkdir -p "$top/build" "$top/state/lists/partial" "$top/archives/partial" "$root" &&
        : >"$top/status"
}

# apt ARCH COMMAND... - apt-get on lists and a package state of its own.
apt() {
    arch=$1
    shift
    apt-get -q -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User=root \
        -o Dir::Cache="$top" -o Dir::State="$top/state" -o Dir::State::status="$top/status" \
        -o Dir::Etc::sourcelist="$top/debian.sources" -o Dir::Etc::sourceparts=/dev/null "$@"
}

# suite TYPE SUITE - where apt takes its packages from.
suite() {
    printf 'Types: %s\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$1" "$mirror" "$2" \
        /usr/share/keyrings/debian-archive-keyring.gpg >"$top/debian.sources"
}

# unpack ARCH SUITE - fills $root with the packages and all that they depend on.
unpack() {
    suite deb "$2" && apt "$1" update &&
        apt "$1" install -y --no-install-recommends --download-only $packages || return
    for deb in "$top"/archives/*.deb; do
        dpkg-deb -x "$deb" "$root" || return
    done
    # Links such as libm.so -> /lib/... must stay inside. Newer releases have /lib within /usr.
    find "$root" -type l -lname '/*' | while read -r link; do
        ln -sf "$root$(readlink "$link")" "$link"
    done
    [ -e "$root/lib" ] || ln -s usr/lib "$root/lib"
    touch "$root/complete"
}

# prepare NAME COMMAND... - fills the root of a target by the command, once.
prepare() {
    begin "$1" || exit 1
    name=$1
    shift
    [ -f "$root/complete" ] || "$@" >"$top/packages.log" 2>&1 ||
        leave "no libraries for $name (see $top/packages.log)"
}

# build LIBRARIES CONFIGURE-OPTION... - the programs and tests of a target in $top/build.
build() {
    libraries=$1
    shift
    (
        cd "$top/build" &&
            PKG_CONFIG_LIBDIR=$libraries/pkgconfig "$srcdir/configure" -q --disable-shared \
                --enable-static --without-openblas PKG_CONFIG="$(command -v pkg-config)" "$@" &&
            $MAKE -s -j"$jobs"
    ) >"$top/build.log" 2>&1 || {
        tail -n 30 "$top/build.log"
        return 1
    }
}

# build_for TRIPLET CONFIGURE-OPTION... - the same for another processor, with the libraries of $root.
build_for() {
    triplet=$1
    shift
    PKG_CONFIG_SYSROOT_DIR=$root
    export PKG_CONFIG_SYSROOT_DIR
    build "$root/usr/lib/$triplet" --host="$triplet" "$@"
}

# verify NAME [EMULATOR...] - the recipes `cross` and `networks` as the target's vdit-golden computes it.
verify() {
    name=$1
    shift
    (
        cd "$top/build" && VDIT_DATA=$srcdir/data "$@" bin/vdit-golden verify cross &&
            VDIT_DATA=$srcdir/data "$@" bin/vdit-golden verify networks
    ) >"$top/verify.log" 2>&1 || {
        cat "$top/verify.log"
        return 1
    }
    echo "cross: $name: $(tail -n 1 "$top/verify.log")"
}

# cross TRIPLET ARCH QEMU SUITE - another processor.
cross() {
    command -v "$1-gcc" >/dev/null || leave "no $1-gcc"
    command -v "$3" >/dev/null || leave "no $3"
    prepare "$1" unpack "$2" "$4"
    build_for "$1" CC="$1-gcc --sysroot=$root" || return
    # The unit tests' sums go to the log as they are: who runs this script may add them up.
    $MAKE -s -C "$top/build" -j"$jobs" check check_PROGRAMS="$unit_tests" check_LTLIBRARIES= \
        TESTS="$unit_tests" LOG_COMPILER="$3 -L $root" || return
    verify "$1" "$3" -L "$root"
}

# with_clang TRIPLET QEMU - clang for a processor whose root is there. It has no OpenMP for it: one thread.
with_clang() {
    command -v clang >/dev/null || leave 'no clang'
    begin "clang-$1"
    root=$builddir/cross/$1/root
    build_for "$1" --disable-openmp \
        CC="clang --target=$1 --sysroot=$root --gcc-toolchain=/usr" || return
    verify "clang, $1" "$2" -L "$root"
}

# with_cmake FOLDER OPTION... - builds and installs one library.
with_cmake() {
    folder=$1
    shift
    cmake -S "$folder" -B "$folder/static" -DCMAKE_C_COMPILER=musl-gcc -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_INSTALL_PREFIX="$root" -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_PREFIX_PATH="$root" \
        -DBUILD_SHARED_LIBS=OFF "$@" &&
        $MAKE -s -C "$folder/static" -j"$jobs" install
}

# compile_sources - fills $root with static libraries from Debian's source packages.
compile_sources() {
    machine=$(dpkg --print-architecture)
    suite deb-src bookworm && apt "$machine" update && mkdir -p "$top/sources" &&
        cd "$top/sources" && apt "$machine" source --download-only $sources || return
    for archive in *.orig.tar.*[a-z0-9]; do
        case $archive in *.asc) ;; *) tar xf "$archive" || return ;; esac
    done
    (cd zlib-* && CC=musl-gcc ./configure --static --prefix="$root" && $MAKE -s -j"$jobs" install) &&
        (cd libmd-* && ./configure -q CC=musl-gcc --disable-shared --prefix="$root" &&
            $MAKE -s -j"$jobs" install) &&
        with_cmake jansson-* -DJANSSON_BUILD_DOCS=OFF -DJANSSON_EXAMPLES=OFF \
            -DJANSSON_WITHOUT_TESTS=ON &&
        with_cmake libzip-* -DENABLE_COMMONCRYPTO=OFF -DENABLE_GNUTLS=OFF -DENABLE_MBEDTLS=OFF \
            -DENABLE_OPENSSL=OFF -DENABLE_BZIP2=OFF -DENABLE_LZMA=OFF -DENABLE_ZSTD=OFF \
            -DBUILD_TOOLS=OFF -DBUILD_REGRESS=OFF -DBUILD_EXAMPLES=OFF -DBUILD_DOC=OFF &&
        touch "$root/complete"
}

# musl - this processor with musl as the C library, all static.
musl() {
    command -v musl-gcc >/dev/null || leave 'no musl-gcc'
    command -v cmake >/dev/null || leave 'no cmake'
    prepare musl compile_sources
    unset PKG_CONFIG_SYSROOT_DIR
    build "$root/lib" --disable-openmp CC=musl-gcc LDFLAGS=-static \
        PKG_CONFIG="$(command -v pkg-config) --static" || return
    verify "musl, $(uname -m)"
}

status=0
for target in 'aarch64-linux-gnu arm64 qemu-aarch64 bookworm' \
    's390x-linux-gnu s390x qemu-s390x bookworm' \
    'riscv64-linux-gnu riscv64 qemu-riscv64 trixie'; do
    echo "cross: $target"
    cross $target || status=1
done
with_clang aarch64-linux-gnu qemu-aarch64 || status=1
musl || status=1
[ $status != 0 ] || echo 'cross: the same bits on all of them'
exit $status
