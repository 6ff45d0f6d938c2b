#!/bin/sh
# Every C example compiles as C99 without a warning, links with the library and runs: doc/examples/*.c,
# and each literal block of a man page of section 3 that begins with #include; each if it holds a main.
# The others are plugins, which tests/plugin.sh takes.
: "${CC:=cc}"
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
status=0
total=0

# try NAME SOURCE - compiles and runs it in the scratch folder.
try() {
    total=$((total + 1))
    (
        cd "$scratch" &&
            "$builddir/libtool" --silent --tag=CC --mode=link $CC $TEST_CFLAGS -std=c99 -pedantic -Wall \
                -Wextra -Werror -I"$srcdir/lib" -o "$1" "$2" "$builddir/libvdit.la" &&
            "./$1"
    ) >"$scratch/log" 2>&1 </dev/null || {
        echo "$1 failed:"
        cat "$scratch/log"
        status=1
    }
}

for source in "$srcdir"/doc/examples/*.c; do
    ! grep -q '^int main' "$source" || try "$(basename "$source" .c)" "$source"
done
for page in "$srcdir"/man/*.3; do
    name=$(basename "$page" .3)
    awk '
        /^\.Ed/ { inside = 0 }
        inside
        begun && /^#include/ { inside = 1; print }
        { begun = /^\.Bd -literal/ }
    ' "$page" | sed -e 's/\\e/\\/g' -e 's/\\&//g' -e 's/\\-/-/g' >"$scratch/$name.c"
    if grep -q '^int main' "$scratch/$name.c"; then
        try "$name" "$scratch/$name.c"
    fi
done
echo "$total programs"
[ $total -gt 0 ] || exit 99
exit $status
