# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# Tokens and counters of runs: the demo models' golden tokens under every plan, alone and together.

# ids FLAT PROMPT KEY COUNT: "1,2,3" of a flattened golden.json
ids() {
    awk -v want="prompts.$2.$3." -v most="$4" \
        'index($1, want) == 1 && n < most { printf "%s%s", n++ ? "," : "", $2 }' "$1"
}
commas() { tr ' ' ,; }
tokens() { column "tokens.$1" | commas; }

flat "$llama/golden.json" >"$T/llama.flat"
flat "$gpt2/golden.json" >"$T/gpt2.flat"
p0=$(ids "$T/llama.flat" 0 input_ids 99)
command='golden.json' status=- # the frame's words for expectations about no run
: >"$T/out"
: >"$T/err"
hold "the prompt ROMEO:" same "$p0" 49,46,44,36,46,25
hold "its tokens" same "$(ids "$T/llama.flat" 0 decode_ids 8)" 198,40,69,338,304,321,11,306

want=$(ids "$T/llama.flat" 0 decode_ids 12)
for plan in single megatron workflow1 workflow2 alternate megatron:o=out:gather=bus qkv=in:ffn=in+in:edge=scatter \
    attn=tokens/o=out; do
    for pes in 1 2 3 4 7 33; do
        fine run "$llama" --prompt-ids "$p0" --gen 12 --plan "$plan" --pes "$pes" --format csv
        hold "tokens $want" same "$(tokens 0)" "$want"
    done
done
for plan in lockstep replica pipeline lockstep:over=token; do
    for pes in 1 3 7; do
        fine run "$llama" --prompt-ids "$p0" --gen 12 --plan "$plan" --pes "$pes" --format csv
        hold "tokens $want" same "$(tokens 0)" "$want"
    done
done
for plan in groups=2:stages=2 alternate:stages=4:stack=2:chunk=2 attn=subheads:groups=2; do
    fine run "$llama" --prompt-ids "$p0" --gen 12 --plan "$plan" --pes 18 --format csv
    hold "tokens $want" same "$(tokens 0)" "$want"
done
want=$(ids "$T/gpt2.flat" 0 decode_ids 12)
for plan in megatron alternate; do
    fine run "$gpt2" --prompt-ids "$(ids "$T/gpt2.flat" 0 input_ids 99)" --gen 12 --plan "$plan" --pes 3 --format csv
    hold "tokens $want" same "$(tokens 0)" "$want"
done

# Prompts of different lengths at once: the same tokens as alone. --prompt-ids come before the file's.
{
    ids "$T/llama.flat" 1 input_ids 99
    echo
    echo
    ids "$T/llama.flat" 2 input_ids 99 | sed 's/,/ , /g'
    printf '  \r\n7'
} >"$T/ids"
for pes in 1 5; do
    fine run "$llama" --prompt-ids "$p0" --ids-file "$T/ids" --gen 32 --plan alternate --pes "$pes" --format csv
    for prompt in 0 1 2; do
        hold "sequence $prompt as in golden.json" same "$(tokens $prompt)" "$(ids "$T/llama.flat" $prompt decode_ids 32)"
    done
    hold "four sequences" same "$(column prompts.3)" 7
    tokens 3 >"$T/seven.$pes"
done
fine run "$llama" --prompt-ids 7 --gen 32 --format csv
hold "the same tokens alone and among others" eval \
    'same "$(tokens 0)" "$(cat "$T/seven.1")" && same "$(tokens 0)" "$(cat "$T/seven.5")"'

# --gen is exact; --stop-eos ends earlier. The end token of an edited copy is one that does come.
for gen in 1 2 64; do
    fine run "$llama" --prompt-ids "$p0" --gen "$gen" --format csv
    hold "$gen tokens" same "$(tokens 0 | tr , '\n' | wc -l | tr -d ' ')" "$gen"
done
mkdir "$T/eos"
sed 's/"eos_token_id": 511/"eos_token_id": 338/' "$llama/config.json" >"$T/eos/config.json"
ln -s "$PWD/$llama/model.safetensors" "$T/eos/model.safetensors"
fine run "$T/eos" --prompt-ids "$p0" --prompt-ids 7 --gen 8 --stop-eos --format csv
hold "the end at token 338" same "$(tokens 0)" 198,40,69,338
hold "the other sequence to go on" same "$(tokens 1 | tr , '\n' | wc -l | tr -d ' ')" 8
fine run "$T/eos" --prompt-ids "$p0" --gen 8 --stop-eos --format csv --config /dev/null
hold "the end at token 338" same "$(tokens 0)" 198,40,69,338
fine run "$T/eos" --prompt-ids "$p0" --gen 8 --format csv
hold "no end without --stop-eos" same "$(tokens 0)" 198,40,69,338,304,321,11,306

# Bits do not depend on the number of workers.
first_cpu=$("$program" topo --format csv | column cpu - | head -n 1)
[ "$("$program" topo --format csv | wc -l)" -gt 2 ] || skip "one CPU: runs on one and on all are the same run"
numbers() { flat | grep -E '^(tokens|fabric)[.]'; }
for plan in workflow1 workflow2; do
    fine run "$llama" --prompt-ids "$p0" --prompt-ids 7,8 --gen 6 --plan "$plan" --pes 5 --format json --dump "$T/all.st"
    numbers >"$T/all"
    fine run "$llama" --prompt-ids "$p0" --prompt-ids 7,8 --gen 6 --plan "$plan" --pes 5 --format json \
        --dump "$T/one.st" --cpus "$first_cpu"
    numbers >"$T/one"
    hold "one worker on CPU $first_cpu" eval 'same "$(at array.workers)" 1 && same "$(at array.cpus.0)" "$first_cpu"'
    hold "the tokens and counters of all CPUs" eval '[ -s "$T/all" ] && cmp -s "$T/all" "$T/one"'
    hold "the bits of all CPUs" cmp -s "$T/all.st" "$T/one.st"
done

# Nor on the schedule of reductions.
for plan in workflow2 megatron:wire=bf16; do
    for schedule in sliced pairwise; do
        fine run "$llama" --prompt-ids "$p0" --gen 6 --plan "$plan" --pes 5 --format json --dump "$T/$schedule.st" \
            --schedule "$schedule"
        numbers >"$T/$schedule"
    done
    hold "the tokens and counters of both schedules" eval '[ -s "$T/sliced" ] && cmp -s "$T/sliced" "$T/pairwise"'
    hold "the bits of both schedules" cmp -s "$T/sliced.st" "$T/pairwise.st"
done

fine run "$llama" --prompt-ids "$p0" --gen 4 --pes 3 --fabric null
