# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
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
experiment overlap
for name in array prompt; do column "$name" >"$T/$name"; done
# Rows stand fastest first: of a plan 16 strips before 4, and those before the whole.
faster_in_strips() {
    paste -d '|' "$T/array" "$T/batch" "$T/prompt" "$T/plan" | awk -F '|' '
        { strips = 1; if (split($4, part, ":overlap=") == 2) strips = part[2]
          key = $1 "|" $2 "|" $3 "|" part[1]
          if (key in last && strips + 0 >= last[key] + 0) bad = 1
          last[key] = strips }
        END { exit bad || NR != 72 }'
}
hold "the more strips the faster" faster_in_strips
experiment scale
column array >"$T/array"
column decode_step.ps >"$T/step"
# Picoseconds of a decode step: WIRES PIECES WIDTH PES
step() { paste -d ' ' "$T/array" "$T/pes" "$T/step" | sed -n "s/^.*wires=$1 bus.pieces=$2 bus.width=$3 $4 //p"; }
hold "one bus gets slower beyond some PEs" eval '[ "$(step bus 1 64 256)" -lt "$(step bus 1 64 1024)" ]'
hold "pieces move that" eval '[ "$(step bus 16 256 1024)" -lt "$(step bus 16 256 256)" ] && [ "$(step bus 16 256 1024)" -lt "$(step bus 16 256 4096)" ]'
hold "wires of its own do away with it" eval '[ "$(step own 1 16 4096)" -lt "$(step bus 16 256 4096)" ]'
experiment faults
column array >"$T/array"
paste -d ' ' "$T/array" "$T/situations" >"$T/faults"
# The fastest plan: SLOW DEAD JITTER BATCH
fastest() { sed -n "s/^.*slow=$1 faults.dead=$2 faults.jitter=$3 64 $4 //p" "$T/faults" | sort -k 2 -n | sed -n '1s/ .*//p'; }
hold "halves of heads, where all PEs are well" same "$(fastest none none 0 1)" attn=subheads
hold "whole heads, where a slow one has none" same "$(fastest 37:2 none 0 1)" megatron
hold "groups for many, whatever is wrong" same "$(fastest 7:2 5 0.05 64)" megatron:groups=8
column fault_loss >"$T/loss"
paste -d ' ' "$T/array" "$T/batch" "$T/plan" "$T/loss" >"$T/faults"
# SLOW DEAD BATCH PLAN
lost() { awk -v of="slow=$1 faults.dead=$2 faults.jitter=0 $3 $4 " 'index($0, of) { printf "%.3f\n", $NF }' "$T/faults"; }
hold "replicas lose the factor, or nothing" same "$(lost 7:2 none 64 replica) $(lost 7:2 none 1 replica)" "0.999 0.000"
hold "a full pipeline keeps its slow stage's pace" same "$(lost 7:2 none 1 pipeline) $(lost 7:2 none 64 pipeline)" "0.031 0.441"
hold "whole heads don't miss a dead PE" same "$(lost none 5 1 megatron) $(lost none 5 1 attn=subheads)" "0.008 0.264"
experiment network
column array >"$T/array"
column prompt >"$T/prompt"
# Picoseconds on 64 PEs: ARRAY BATCH PROMPT PLAN
on() { paste -d ' ' "$T/array" "$T/prompt" "$T/situations" | sed -n "s/^$1 pe[^ ]* $3 64 $2 $4 //p"; }
for prompt in 128 3968; do
    hold "sums are faster on links, $prompt" eval '[ "$(on ring-64pe 1 $prompt attn=subheads)" -lt "$(on seed-64pe 1 $prompt attn=subheads)" ] && [ "$(on mesh-64pe-thin 1 $prompt attn=subheads)" -lt "$(on seed-64pe 1 $prompt attn=subheads)" ]'
    hold "nothing to send, nothing to win, $prompt" eval '[ "$(on ring-64pe 64 $prompt replica)" -eq "$(on seed-64pe 64 $prompt replica)" ]'
done
fine plan configs/models/llama-2-7b.json --config configs/experiments/batched-long.ini --format json
hold "in JSON, too" eval '[ "$(at tasks.0.plans.0.plan)" = attn=subheads ] && [ "$(at crossovers.1.plan_to)" = megatron:groups=8 ]'
