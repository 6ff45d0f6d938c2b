#!/bin/sh
# Every man page is clean under mandoc's lint and names itself by its file.
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
done
exit $status
