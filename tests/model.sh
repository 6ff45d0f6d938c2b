#!/bin/sh
# vdit-model: every command and option, every refusal in one line with nothing left behind.
model=$builddir/bin/vdit-model
scratch=$(mktemp -d) || exit 99
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
cd "$scratch" || exit 99
weights=diffusion_pytorch_model
: >before
: >after
count=0
status=0

# ok TEXT STATUS - reports one test in TAP: it passes if STATUS is 0.
ok() {
    count=$((count + 1))
    if [ "$2" = 0 ]; then
        echo "ok $count - $1"
    else
        echo "not ok $count - $1"
        sed 's/^/# /' log
        status=1
    fi
}

# run STATUS ARGUMENT... - runs vdit-model with its output in log. Returns: 0 if it exits with STATUS.
run() {
    expected=$1
    shift
    "$model" "$@" >log 2>&1 </dev/null
    [ $? = "$expected" ]
}

# says TEXT - Returns: 0 if the log has the text.
says() {
    grep -qF -- "$1" log
}

# refuses TEXT ARGUMENT... - Returns: 0 if it exits with 2, says one line with the text, and makes nothing.
refuses() {
    text=$1
    shift
    ls -R >before
    run 2 "$@" && says "$text" && [ "$(wc -l <log)" = 1 ] && grep -q '^vdit-model: ' log || return 1
    ls -R >after
    cmp -s before after
}

# value KEY - the number of a key of the JSON in log.
value() {
    sed -n 's/^ *"'"$1"'": \([0-9.e+]*\),\{0,1\}$/\1/p' log
}

while read -r family size parameters tensors; do
    run 0 init "$family" --size "$size" -o "$family-$size" &&
        says "$family-$size: $family, $parameters parameters in $tensors tensors, f32" &&
        run 0 inspect "$family-$size" && says "parameters  $parameters" &&
        says "tensors     $tensors" && says 'scan        all finite'
    ok "init and inspect $family $size" $?
done <<END
wan tiny 25592 69
mochi tiny 16360 59
hunyuan tiny 46584 92
cogvideox tiny 8664 64
END

# Names, shapes and numbers are functions of what the manual says, on every machine.
run 0 init wan --size tiny --seed 5 -o a && run 0 init wan --size tiny --seed 5 --threads 3 -o b &&
    cmp a/$weights.safetensors b/$weights.safetensors && cmp a/config.json b/config.json
ok 'one seed gives the same bytes for any number of threads' $?
run 0 init wan --size tiny --seed 6 -o c && ! cmp -s a/$weights.safetensors c/$weights.safetensors
ok 'another seed gives others' $?
run 0 init wan --size tiny num_layers=1 'patch_size=[1, 4, 4]' --dtype f16 -o d &&
    run 0 inspect d --tensors && says '"num_layers": 1,' && says 'dtypes      f16 42' &&
    says 'patch_embedding.weight' && says '[24, 4, 1, 4, 4]'
ok 'settings and dtype reach the checkpoint; its tensors are listed' $?
run 0 init wan --size tiny --shard-size 30000 --json -o e && says '"parameters": 25592.0' &&
    [ -f e/$weights-00001-of-00004.safetensors ] && [ -f e/$weights.safetensors.index.json ] &&
    run 0 inspect e --json && [ "$(value parameters)" = 25592 ] && [ "$(value f32)" = 69 ]
ok 'shards have an index, and are inspected together' $?

refuses 'expected init, convert, inspect, sites or estimate'
ok 'a command is expected' $?
refuses "'make' is none of init, convert, inspect, sites, estimate" make
ok 'an unknown command is refused' $?
refuses 'expected init FAMILY' init -o x && refuses 'init needs -o DIR' init wan &&
    refuses "family 'wen', expected one of wan, mochi" init wen -o x &&
    refuses "size 'big' of wan, expected one of tiny, 1.3B, 14B" init wan --size big -o x &&
    refuses "wan tiny: key \"layers\" is not known" init wan --size tiny layers=3 -o x &&
    refuses "setting 'layers', expected KEY=VALUE" init wan layers -o x &&
    refuses "wan: key \"image_dim\"" init wan image_dim=1280 -o x &&
    refuses "--dtype: 'f64' is none of f32, bf16, f16" init wan --size tiny --dtype f64 -o x
ok 'init says what it lacks' $?
refuses 'a: cannot make the folder: File exists' init wan --size tiny -o a &&
    refuses 'none/x: cannot make the folder' init wan --size tiny -o none/x
ok 'a folder that exists or cannot be made is refused' $?
# A limit on the size of files, in blocks of 512 or 1,024 bytes, stands for a full disk.
(ulimit -f 20 && refuses "x/$weights.safetensors: cannot write" init wan --size tiny -o x)
ok 'a full disk leaves nothing' $?
(ulimit -f 20 && refuses "cannot write" init wan --size tiny --shard-size 8000 num_layers=40 -o x)
ok 'nor does one that fills up at a later shard' $?

"$model" init wan --size 1.3B --dtype bf16 -o big >log 2>&1 &
process=$!
sleep 1
kill -TERM $process
wait $process
[ $? = 2 ] && [ ! -e big ]
ok 'an interrupted one leaves nothing' $?

# replace FILE FROM TO - one text for another of the same length, in a file of any bytes.
replace() {
    LC_ALL=C sed "s/$2/$3/" "$1" >changed && mv changed "$1"
}

cp -R a bad
replace bad/$weights.safetensors 'blocks.0.norm2.weight' 'blocks.0.norm4.weight'
refuses "bad/$weights.safetensors: tensor \"blocks.0.norm2.weight\" is missing, expected shape [24]; and 1 more such faults" inspect bad
ok 'a renamed tensor is named as the one that is missing' $?
cp -R a long
replace long/$weights.safetensors '\[24,4,1,2,2\]' '[24,2,1,2,4]'
refuses "long/$weights.safetensors: tensor \"patch_embedding.weight\" has shape [24, 2, 1, 2, 4], expected [24, 4, 1, 2, 2]" \
    inspect long
ok 'a misshaped tensor is named with both shapes' $?
cp -R e lost
rm lost/$weights-00003-of-00004.safetensors
refuses "lost/$weights-00003-of-00004.safetensors: cannot open" inspect lost
ok 'a missing shard is named' $?
cp -R e away
sed "s#$weights-00002#../e/$weights-00002#" e/$weights.safetensors.index.json \
    >away/$weights.safetensors.index.json
refuses 'expected the name of a file beside the index' inspect away
ok 'a shard outside of the folder is refused' $?
cp -R a cut
head -c 3000 a/$weights.safetensors >cut/$weights.safetensors
refuses "cut/$weights.safetensors: " inspect cut
ok 'a file that is cut off is refused' $?
for text in '' '{' '[]' '{"_class_name": "X"}' '{"_class_name": "WanTransformer3DModel", "eps": "x"}' \
    '{"_class_name": "WanTransformer3DModel", "num_layers": 99999999999999999999}' \
    '{"_class_name": "WanTransformer3DModel", "num_layers": 2147483647}' \
    '{"_class_name": "WanTransformer3DModel", "ffn_dim": 1, "ffn_dim": 2}'; do
    printf '%s' "$text" >config.json
    refuses 'config.json: ' sites config.json
    ok "the configuration '$text' is refused" $?
done
printf '{"_class_name": "WanTransformer3DModel", "num_attention_heads": 2147483648}' >config.json
refuses 'config.json: key "num_attention_heads"' estimate config.json --size 1x2x2
ok 'sizes that overflow are refused' $?
printf '{"_class_name": "WanTransformer3DModel"}' >config.json
refuses 'beyond the tables' sites config.json --size 9999x2x2 || refuses '(rope_max_seq_len)' \
    sites config.json --size 9999x2x2
ok 'latents beyond the tables are refused' $?
refuses 'nowhere: expected a folder with config.json' inspect nowhere &&
    refuses 'expected inspect DIR, found 2 arguments' inspect a b &&
    refuses 'expected inspect DIR, found 0 arguments' inspect &&
    refuses 'expected a folder with config.json' inspect config.json
ok 'inspect wants one folder' $?

# The last element of the last tensor becomes a NaN.
cp -R c nan
size=$(wc -c <c/$weights.safetensors)
head -c $((size - 4)) c/$weights.safetensors >nan/$weights.safetensors
printf '\000\000\300\177' >>nan/$weights.safetensors
run 1 inspect nan && says 'scan        proj_out.bias: 1 NaN, 0 infinite' &&
    run 0 inspect nan --no-scan && says 'scan        none' && run 1 inspect nan --json &&
    says '"name": "proj_out.bias"' && [ "$(value nan)" = 1 ]
ok 'weights that are not finite are told by name and number' $?

run 0 sites a --size 2x16x16 --text 12 && says 'blocks.1.attn1                                           1 full         2      128 x 128    12   64 KiB' &&
    says 'blocks.1.attn2                                           1 cross        2       128 x 12    12  6.0 KiB'
ok 'sites are listed with what they attend to' $?
run 0 sites a --video 5x128x128 --batch 2 --activations &&
    says '128 x 128' && says 'blocks.0.attn1.to_q ' && says '[2, 128, 24]'
ok 'a video becomes latents; activations are listed with their shapes' $?
run 0 sites mochi-tiny --size 2x4x4 --text 5 --json && says '"name": "time_embed.pooler"' &&
    says '"kind": "-"' && says '"kind": "full"' && [ "$(value queries | tail -n 1)" = 13 ]
ok 'sites as JSON' $?
run 0 sites config.json --activations --dtype bf16 && says ' bf16 '
ok 'a configuration alone has sites and activations' $?
refuses '--size: expected FRAMESxHEIGHTxWIDTH' sites a --size 2x16 &&
    refuses '--size: expected FRAMESxHEIGHTxWIDTH' sites a --size 2x16x16x1 &&
    refuses '--size: expected FRAMESxHEIGHTxWIDTH' sites a --size 0x16x16 &&
    refuses '--video: expected FRAMESxHEIGHTxWIDTH' sites a --video 9x99999999999999999999x9 &&
    refuses '--size and --video: expected one of them' sites a --size 2x4x4 --video 5x64x64 &&
    refuses "height 3, expected a positive multiple of the patch's 2" sites a --size 1x3x4
ok 'extents that the network does not take are refused' $?

run 0 estimate config.json --video 81x720x1280 --json && [ "$(value weight_bytes)" = 57153966336.0 ]
ok 'the largest Wan has its weights' $?
awk -v flops="$(value attention_flops)" 'BEGIN { exit !(flops > 4.71e15 && flops < 4.72e15) }' </dev/null
ok 'and its operations' $?
run 0 estimate a --size 2x16x16 --text 12 --threads 1 && says 'attention   ' &&
    says 'latents     2 x 16 x 16, batch 1, 12 rows of text, f32' && says ' on this machine'
ok 'an estimate in words' $?
printf '{"_class_name": "WanTransformer3DModel", "num_layers": 0}' >none.json
run 0 estimate none.json --size 1x2x2 && says 'attention   0 (0.0%)' && run 0 sites none.json
ok 'a network without layers has no sites' $?
refuses 'estimate needs --size or --video' estimate a
ok 'an estimate needs a size' $?

run 0 convert a --dtype bf16 --shard-size 20000 -o f && run 0 inspect f &&
    says 'dtypes      bf16 69' && [ -f f/$weights.safetensors.index.json ] &&
    run 0 convert f --json -o g && says '"family": "wan"' && run 0 inspect g &&
    says 'dtypes      bf16 69'
ok 'a checkpoint is rounded and put together again' $?
refuses "a/$weights.safetensors: tensor \"time_embedding.0.weight\" is missing, of which" \
    convert a/$weights.safetensors wan --size tiny -o x && refuses 'convert needs -o DIR' convert a &&
    refuses 'expected convert DIR' convert -o x
ok 'convert says what it lacks' $?

echo "1..$count"
exit $status
