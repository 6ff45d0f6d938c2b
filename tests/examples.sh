#!/bin/sh
# Every command of the man pages' examples runs. A command is a line that begins with "$ " (or
# ".Dl $ "); a line that ends with \e goes on in the next. The commands of a page run in order in one
# folder that holds the files of data/captured; each must exit 0, or with N where it ends in
# "# exit N". What needs more than this project is written without the "$ ".
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
PATH=$builddir/bin:$PATH
VDIT_DATA=$srcdir/data
export PATH VDIT_DATA
status=0
total=0

# commands PAGE - the commands of a page, a line each, without mdoc's escapes.
commands() {
    awk '
        more { text = text " " $0 }
        !more && sub(/^(\.Dl )?\$ /, "") { text = $0; more = 1 }
        more && !sub(/\\e$/, "", text) { print text; more = 0 }
    ' "$1" | sed -e 's/\\-/-/g' -e 's/\\(aq/'"'"'/g' -e 's/\\&//g' -e 's/\\e/\\/g'
}

for page in "$srcdir"/man/*.[1-7]; do
    name=$(basename "$page")
    commands "$page" >"$scratch/commands"
    [ -s "$scratch/commands" ] || continue
    mkdir "$scratch/$name"
    cp "$srcdir"/data/captured/*.safetensors "$scratch/$name"
    chmod -R u+w "$scratch/$name"
    while IFS= read -r command; do
        case $command in
        *'# exit '*) expected=${command##*'# exit '} ;;
        *) expected=0 ;;
        esac
        (cd "$scratch/$name" && sh -c "$command") >"$scratch/log" 2>&1 </dev/null
        got=$?
        total=$((total + 1))
        [ $got = "$expected" ] || {
            printf '%s: exit %s, not %s: %s\n' "$name" $got "$expected" "$command"
            cat "$scratch/log"
            status=1
        }
    done <"$scratch/commands"
done
echo "$total commands"
[ $total -gt 0 ] || exit 99
exit $status
