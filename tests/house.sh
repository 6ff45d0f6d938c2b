#!/bin/sh
# House rules that a machine can check: file length, layering, what the library must not do, and what
# must not stand in the text of the project.
cd "$srcdir" || exit 99
status=0

# rule TEXT LINES - any line breaks the rule.
rule() {
    [ -n "$2" ] || return
    printf 'broken: %s\n%s\n' "$1" "$2"
    status=1
}

sources=$(find lib bin tests doc -name '*.[ch]' | sort)
library=$(find lib -name '*.[ch]' | sort)
[ -n "$library" ] || exit 99

rule 'a file has at most 500 lines' \
    "$(wc -l $sources | awk '$2 != "total" && $1 > 500 { print $2 ": " $1 " lines" }')"

rule 'a folder of lib/ includes only what stands above it' "$(awk -f tests/layers.awk $library)"

words='printf|fprintf|vprintf|puts|putchar|perror|exit|_exit|abort|getenv|setenv|system'
rule 'the library does not print, exit or read the environment' \
    "$(grep -nE "\\b($words)\\(" $library)"

text='bootstrap configure.ac Makefile.am README.md HACKING.md NEWS lib bin man tests data doc'
rule 'no path of one machine, no note of unfinished work' \
    "$(grep -rnIE '(^|[^/[:alnum:]])/(work|home|root|farm)/|\.\./shared|\b(TO[D]O|FIX[M]E|XX[X])\b' $text)"

rule 'no flag that changes the bits' \
    "$(grep -nE 'f[f]ast-math|O[f]ast|march=[n]ative' configure.ac Makefile.am */local.mk)"

rule 'a program has a man page' "$(
    for program in bin/vdit-*.c; do
        name=$(basename "$program" .c)
        [ ! -f "$program" ] || [ -f "man/$name.1" ] || echo "$program has no man/$name.1"
    done
)"

exit $status
