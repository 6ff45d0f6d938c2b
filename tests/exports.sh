#!/bin/sh
# The shared library shows vdit_* and nothing else.
lib=$builddir/.libs/libvdit.so
[ -f "$lib" ] || exit 77 # a static build

symbols=$(${NM:-nm} -D --defined-only "$lib" | awk '$2 ~ /[TDBRVW]/ { print $3 }')
[ -n "$symbols" ] || { echo "no exported symbols in $lib"; exit 1; }
if echo "$symbols" | grep -vE '^vdit_[a-z0-9_]+$'; then
    echo 'the symbols above are exported and are not ours'
    exit 1
fi
