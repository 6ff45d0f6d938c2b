# For the shell tests, sourced: a scratch folder to work in, status=0, and what programs must say.
# program: the one that is run, before the arguments; none: the arguments begin with it. after: options behind them.
# how: -F, TEXT is a string, or empty, it is a pattern.
: "${program=}" "${after=}" "${how=-F}"
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 99
status=0

# expect STATUS TEXT ARGUMENT... - it exits with STATUS and prints a line that holds TEXT.
expect() {
    wanted=$1
    text=$2
    shift 2
    # shellcheck disable=SC2086
    ${program:+"$program"} "$@" $after >out 2>log </dev/null
    got=$?
    [ $got = "$wanted" ] && cat out log | grep -q $how -- "$text" || {
        printf 'exit %s, not %s with "%s", from:\n  %s\n' $got "$wanted" "$text" "${program##*/} $*"
        cat out log
        status=1
    }
}

# refuses TEXT ARGUMENT... - it exits 2 with one line that begins with its name, holds TEXT, and no result.
refuses() {
    expect 2 "$@"
    shift
    name=${program:-$1}
    [ "$(wc -l <log)" = 1 ] && grep -q "^${name##*/}: " log && [ ! -s out ] || {
        printf 'one line was expected from:\n  %s\n' "${program##*/} $*"
        cat out log
        status=1
    }
}
