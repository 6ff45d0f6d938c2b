#!/bin/sh
# The options of each program's --help are those of its man page, where they stand as
#     .It Fl x , -long ...    or    .It Fl -long ...
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
status=0
found=0

for page in "$srcdir"/man/vdit-*.1; do
    name=$(basename "$page" .1)
    sed -nE 's/^\.It Fl (([A-Za-z]) , )?-([a-z][a-z-]*).*/\2 --\3/p' "$page" | sort >"$scratch/page"
    "$builddir/bin/$name" --help |
        sed -nE 's/^  (-([A-Za-z]),|   ) --([a-z][a-z-]*).*/\2 --\3/p' | sort >"$scratch/help"
    [ -s "$scratch/help" ] || {
        echo "$name --help shows no options"
        status=1
    }
    cmp -s "$scratch/page" "$scratch/help" || {
        echo "man/$name.1 (<) and $name --help (>) differ:"
        diff "$scratch/page" "$scratch/help"
        status=1
    }
    found=$((found + 1))
done
[ $found -gt 0 ] || exit 99
exit $status
