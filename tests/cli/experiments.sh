# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; names from and for test_cli.sh
# configs/experiments: each file runs as its head says, and comes to the verdict that the README has.

for file in configs/experiments/*.ini; do
    hold "$file opens with a question" eval '[ "$(sed "/^;\$/q" "$file" | grep -c "?\$")" -gt 0 ]'
    hold "and says how to run it" grep -q "^;   omnibus plan .* --config $file\$" "$file"
done

experiment() { # NAME [ARGS...]: as its head says, as CSV
    file=configs/experiments/$1.ini
    shift
    # shellcheck disable=SC2046 # words
    fine $(sed -n "s/^;   omnibus \(.* --config .*\)/\1/p" "$file" | head -n 1) --format csv "$@"
    for name in pes batch plan total_ps; do column "$name" >"$T/$name"; done
    paste -d ' ' "$T/pes" "$T/batch" "$T/plan" "$T/total_ps" >"$T/situations"
}
# "first,second,..." of the plans with these PEs and this batch, the fastest first, those of a list only
ranking() { # PES BATCH PLANS
    awk -v pes="$1" -v batch="$2" -v plans=",$3," \
        '$1 == pes && $2 == batch && index(plans, "," $3 ",") { print $4, $3 }' "$T/situations" |
        sort -n | sed 's/^[^ ]* //' | paste -sd , -
}
verdict() { # PES BATCH PLANS: the fastest first
    hold "$1 PEs, batch $2: $3" same "$(ranking "$1" "$2" "$3")" "$3"
}

experiment single-short
verdict 32 1 megatron,attn=tokens,workflow2
verdict 64 1 attn=subheads,attn=tokens,megatron
experiment single-long
verdict 32 1 megatron,attn=tokens,workflow2
verdict 64 1 attn=subheads,attn=tokens,megatron,megatron:groups=each:over=token,single
column prefill.ps >"$T/first"
hold "the prompt's tokens give the first token first" same \
    "$(paste -d ' ' "$T/first" "$T/plan" | sort -n | sed -n '1s/.* //p')" megatron:groups=each:over=token
fine plan configs/models/llama-2-7b.json --config configs/experiments/single-long.ini --format json
hold "then heads for the next ones" eval '[ "$(at tasks.1.joined.prefill_plan)" = megatron:groups=each:over=token ] && [ "$(at tasks.1.joined.decode_plan)" = attn=subheads ]'
hold "faster than one plan" eval '[ "$(at tasks.1.joined.total_ps)" -lt "$(at tasks.1.plans.0.total_ps)" ]'
experiment batched-short
verdict 64 1 attn=subheads,megatron,megatron:groups=4,replica,pipeline
verdict 64 64 megatron:groups=8,megatron:groups=4,replica,attn=tokens,megatron,pipeline,pipeline:stack=4
verdict 64 256 replica,megatron:groups=8,megatron,pipeline:stack=4,pipeline
experiment batched-long
verdict 64 8 megatron:groups=4,megatron:groups=8,attn=subheads,replica
verdict 64 64 megatron:groups=8,replica,megatron:groups=4,pipeline,pipeline:stack=4
experiment scale
column array >"$T/array"
column decode_step.ps >"$T/step"
# Picoseconds of a decode step: WIRES PIECES WIDTH PES
step() { paste -d ' ' "$T/array" "$T/pes" "$T/step" | sed -n "s/^.*wires=$1 bus.pieces=$2 bus.width=$3 $4 //p"; }
hold "one bus gets slower beyond some PEs" eval '[ "$(step bus 1 64 256)" -lt "$(step bus 1 64 1024)" ]'
hold "pieces move that" eval '[ "$(step bus 16 256 1024)" -lt "$(step bus 16 256 256)" ] && [ "$(step bus 16 256 1024)" -lt "$(step bus 16 256 4096)" ]'
hold "wires of its own do away with it" eval '[ "$(step own 1 16 4096)" -lt "$(step bus 16 256 4096)" ]'
fine plan configs/models/llama-2-7b.json --config configs/experiments/batched-long.ini --format json
hold "in JSON, too" eval '[ "$(at tasks.0.plans.0.plan)" = attn=subheads ] && [ "$(at crossovers.1.plan_to)" = megatron:groups=8 ]'
