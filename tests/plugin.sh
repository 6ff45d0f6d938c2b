#!/bin/sh
# Plugins: sound ones, older and newer ones, whatever can be wrong with one, and the C example judged.
: "${CC:=cc}"
check=$builddir/bin/vdit-check
attend=$builddir/bin/vdit-attend
tensors=$builddir/tests/tensors
grep -q '^#define HAVE_DLOPEN' "$builddir/config.h" && [ -f "$builddir/.libs/libvdit.so" ] || {
    echo 'this build loads no plugins'
    exit 77
}
. "$srcdir/tests/expect.sh"

# object FILE SOURCE OPTION... - compiles a plugin as vdit-backend(3) says.
object() {
    file=$1
    source=$2
    shift 2
    $CC $TEST_CFLAGS -Wall -Wextra -Werror -shared -fPIC "$@" -I"$srcdir/lib" "$source" -o "$file" \
        -L"$builddir/.libs" -lvdit -lm || exit 99
}

# works PROGRAM OPTION... - it exits 0.
works() {
    "$@" >out 2>log </dev/null || {
        printf 'failed: %s\n' "$*"
        cat log
        status=1
    }
}

# odd KIND OPTION... - the plugin of that kind, KIND.so in capitals.
odd() {
    kind=$(echo "$1" | tr 'a-z-' 'A-Z_')
    shift
    object "$kind.so" "$srcdir/tests/plugin_odd.c" -std=c99 "-DODD=ODD_$kind" "$@"
}

# The C example, under each case's own contract.
object online.so "$srcdir/doc/examples/plugin.c" -std=c99 -pedantic -O2
cases=$(grep -c '"op": "attention"' "$srcdir/data/manifests/quick.json")
expect 0 "$cases cases: $cases hold" "$check" --plugin online.so quick
expect 0 'no linear, matmul, exp, log' "$check" --plugin online.so quick
expect 0 '"fell_back": 53' "$check" --json --plugin ./online.so:online quick
expect 3 '0 cases: 0 hold' "$check" --plugin online.so --case 'linear-*' quick
echo '{"format": "vdit-recipe/1", "name": "e", "about": "an edit", "cases": [{"op": "attention", "name": "e",
 "Nq": 8, "Nk": 8, "d": 4, "dtype": "f32", "seed": 1, "family": "normal", "plan": "all: temperature 2"}]}' >e.json
expect 3 'no attention with edits' "$check" --plugin online.so e.json
expect 1 'not bit-equal' "$check" --plugin online.so --contract exact --case 'heads-*' quick
expect 0 '1 hold' "$check" --plugin online.so --case 'heads-*-f32-*' "$srcdir/data/quick"

# Strides: tokens before heads.
"$tensors" make q.npy q 1 f32 2x5x3x8 && "$tensors" make k.npy k 2 f32 2x7x3x8 &&
    "$tensors" make v.npy v 3 f32 2x7x3x4 || exit 99
set -- --q q.npy --k k.npy --v v.npy --layout BNHD
works "$attend" "$@" --plugin online.so --rows 4,0 -o a.safetensors
works "$attend" "$@" --rows 4,0 -o b.safetensors
works "$tensors" near a.safetensors:o b.safetensors:o 1e-6
expect 2 'no map is ever made' "$attend" "$@" --plugin online.so --map m.npy
expect 2 'exclude each other' "$attend" "$@" --plugin online.so --backend fast -o c.npy

# Many backends, and what they may return.
odd sound
one='--case heads-*-f32-* quick'
refuses 'has 6 backends; name one of same, lazy, silent, failing, forgetful, empty' \
    "$check" --plugin SOUND.so quick
refuses 'no backend of the plugin is called sum; it has same, lazy' "$check" --plugin SOUND.so:sum quick
expect 0 '1 hold' "$check" --plugin SOUND.so:same --contract exact $one
expect 1 'NaN' "$check" --plugin SOUND.so:lazy $one
expect 1 'backend silent: unsupported, without a message' "$check" --plugin SOUND.so:silent $one
expect 1 'width 16?is odd' "$check" --plugin SOUND.so:failing $one
expect 1 'failed, and returns success' "$check" --plugin SOUND.so:forgetful $one
expect 3 'no attention, linear, matmul, exp, log' "$check" --plugin SOUND.so:empty quick
expect 0 'has no attention; the reference computes' \
    "$attend" "$@" --plugin SOUND.so:empty -o e.safetensors
expect 0 'has no attention with edits; the reference computes' \
    "$attend" "$@" --plugin online.so --plan 'all: temperature 2' -o t.safetensors
expect 0 'backend fast has no attention with edits' \
    "$attend" "$@" --backend fast --plan 'all: temperature 2' -o u.safetensors
works cmp t.safetensors u.safetensors
expect 2 'without a message' "$attend" "$@" --plugin SOUND.so:silent -o f.safetensors
[ ! -e f.safetensors ] || status=1
odd older
expect 3 'no attention, linear, matmul, exp, log' "$check" --plugin OLDER.so quick
odd newer
expect 0 '1 hold' "$check" --plugin NEWER.so --contract exact $one

# Objects that are no plugins of this library.
while read -r kind text; do
    odd "$kind"
    refuses "$text" "$check" --plugin "$file" quick
    refuses "$text" "$attend" "$@" --plugin "$file" -o g.safetensors
done <<'END'
nothing vdit_plugin_entry returned NULL
abi a plugin of ABI 2; this library takes ABI 1
short-plugin vdit_plugin has size
no-count a plugin without backends
no-list a plugin without backends
no-backend backend 1 is NULL
short-backend backend 0 has size
no-name backend 0 has no name
space backend 0 has no name
long-name backend 0 has no name
twins two backends are called twin
END
object other.so "$srcdir/tests/plugin_odd.c" -std=c99 -DODD=ODD_SOUND -Dvdit_plugin_entry=vdit_other
refuses 'it does not export vdit_plugin_entry' "$check" --plugin other.so quick
echo 'not an object' >text.so
: >empty.so
refuses 'text.so' "$check" --plugin text.so quick
for count in 1 63 64 100 1000 4096 9000; do
    head -c $count online.so >cut.so
    refuses 'cut.so' "$check" --plugin cut.so quick
done
refuses 'empty.so' "$check" --plugin empty.so quick
refuses 'nowhere.so' "$check" --plugin nowhere.so quick
refuses 'nowhere.so' "$check" --plugin nowhere.so:name quick
refuses '/dev/null' "$check" --plugin /dev/null quick
refuses 'exclude each other' "$check" --plugin online.so --backend fast quick
refuses 'operands' "$check" --plugin online.so quick outputs
echo 'extern int vdit_none(void); int vdit_some(void); int vdit_some(void) { return vdit_none(); }' >u.c
$CC -shared -fPIC u.c -o unresolved.so || exit 99
refuses 'vdit_none' "$check" --plugin unresolved.so quick
exit $status
