#!/bin/sh
# The demo. Attention that was captured inside diffusers' video models is computed again from its q, k
# and v and compared with what the model got. Then the judge looks at two kernels: one whose scale is
# off by 1%, and the backend `fast`. Exit 0 if all comes out as it should.
: "${srcdir:?}" "${builddir:?}"
PATH=$builddir/bin:$PATH
VDIT_DATA=$srcdir/data
export PATH VDIT_DATA
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
status=0

# verdict OPTION... - what vdit-check says of two tensors: "holds 1.83", the verdict and the worst z.
verdict() {
    vdit-check "$@" >"$scratch/log" 2>&1 || status=1
    awk 'NR == 2 { print $2, $3 }' "$scratch/log"
}

# reproduce FILE - one captured call, a line of the table.
reproduce() {
    captured=$1
    set -- --q "$1:q" --k "$1:k" --v "$1:v" -o "$scratch/o.safetensors"
    ! head -c 2000 "$captured" | grep -aq '"mask"' || set -- "$@" --mask "$captured:mask"
    vdit-attend "$@" || status=1
    model=$(verdict "$scratch/o.safetensors:o" "$captured:o")
    oracle=$(verdict --contract exact "$scratch/o.safetensors:o" "$captured:o64")
    name=${captured##*/}
    [ "${oracle% *}" != holds ] || oracle='the same bits'
    printf '  %-22s %-8s z %-10s %s\n' "${name%.safetensors}" "${model% *}" "${model#* }" "$oracle"
}

echo
echo "Attention captured inside diffusers' models, computed again by vdit-attend"
printf '  %-22s %-21s %s\n' capture 'what the model got' 'binary64, rounded once'
for file in "$srcdir"/data/captured/*.safetensors; do
    reproduce "$file"
done

echo
echo 'A kernel whose scale is off by 1%: 0.206165 for 1/sqrt(24)'
vdit-check --case 'attention-n*-32x129' --exec \
    'vdit-attend --backend fast --scale 0.206165 --q {in}:q --k {in}:k --v {in}:v -o {out}' \
    quick 2>"$scratch/words"
[ $? = 1 ] || { cat "$scratch/words"; status=1; }

echo
echo 'The backend fast (the first and last lines of vdit-check --backend fast quick)'
vdit-check --backend fast quick >"$scratch/table" || status=1
head -n 7 "$scratch/table"
echo '...'
tail -n 1 "$scratch/table"
exit $status
