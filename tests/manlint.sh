#!/bin/sh
# Every man page is clean under mandoc's lint, names itself by its file, and cross-references pages
# that exist.
command -v mandoc >/dev/null || exit 77
cd "$srcdir/man" || exit 99
status=0

mandoc -Tlint -Wwarning *.[1-7] || status=1
for page in *.[1-7]; do
    name=${page%.*} section=${page##*.}
    title=$(printf '%s' "$name" | tr '[:lower:]' '[:upper:]')
    grep -qx "\.Dt $title $section" "$page" || {
        echo "$page: no line .Dt $title $section"
        status=1
    }
    grep -oE '\bXr vdit[^ ]* [1-7]' "$page" | sort -u | while read -r _ other number; do
        [ -f "$other.$number" ] || echo "$page: .Xr $other $number, which does not exist"
    done | grep . && status=1
done
exit $status
