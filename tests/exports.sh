#!/bin/sh
# The shared library shows vdit_* and nothing else of ours. The locks that compilers make for OpenMP's
# critical sections and reductions are shared between libraries by design: .gomp_critical_user_*.
lib=$builddir/.libs/libvdit.so
[ -f "$lib" ] || exit 77 # a static build

symbols=$(${NM:-nm} -D --defined-only "$lib" | awk '$2 ~ /[TDBRVWC]/ { print $3 }')
[ -n "$symbols" ] || { echo "no exported symbols in $lib"; exit 1; }
if echo "$symbols" | grep -vE '^(vdit_[a-z0-9_]+|\.gomp_critical_user_.*)$'; then
    echo 'the symbols above are exported and are not ours'
    exit 1
fi
