#!/bin/sh
# The shared library shows vdit_* and nothing else. The compiler makes a lock of a named OpenMP
# critical section and shows it whatever the visibility; its name then begins with ours.
lib=$builddir/.libs/libvdit.so
[ -f "$lib" ] || exit 77 # a static build

symbols=$(${NM:-nm} -D --defined-only "$lib" | awk '$2 ~ /[TDBRVWC]/ { print $3 }')
[ -n "$symbols" ] || { echo "no exported symbols in $lib"; exit 1; }
if echo "$symbols" | grep -vE '^(\.gomp_critical_user_)?vdit_[a-z0-9_]+(\.var)?$'; then
    echo 'the symbols above are exported and are not ours'
    exit 1
fi
