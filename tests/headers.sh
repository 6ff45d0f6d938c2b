#!/bin/sh
# Each public header compiles alone, without warnings, as C99 and as C++.
: "${CC:=cc}"
status=0

# compiles HEADER COMPILER OPTION...
compiles() {
    header=$1
    shift
    printf '#include <vdit/%s>\ntypedef int not_empty;\n' "$header" |
        "$@" -pedantic -Wall -Wextra -Werror -I "$srcdir/lib" -fsyntax-only - || {
        echo "vdit/$header does not compile alone with: $*"
        status=1
    }
}

for cxx in ${CXX-c++ g++ clang++}; do
    command -v "$cxx" >/dev/null && break
    cxx=
done
for path in "$srcdir"/lib/vdit/*.h; do
    compiles "${path##*/}" $CC -std=c99 -x c
    [ -z "$cxx" ] || compiles "${path##*/}" "$cxx" -std=c++11 -x c++
done
[ -n "$cxx" ] || [ $status != 0 ] || {
    echo 'C99 holds; no C++ compiler here'
    exit 77
}
exit $status
