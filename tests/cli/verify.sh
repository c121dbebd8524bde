# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# plan --verify: what is priced as wall time here, is run. By a made-up file, so the choice is any; what was
# measured is for nobody to test, what is printed of it is.

awk -f "$here/host.awk" >"$T/host.ini"
situation='measured [0-9.]+ [num]?s \([0-9.]+ [num]?s - [0-9.]+ [num]?s\)'

try() { # MODEL ARGS...
    model=$1
    shift
    fine plan "$model" --verify --array "$T/host.ini" --reps 3 --quiet --prompt 4 --gen 2 "$@"
}
try "$llama" --pes 2 --top 3
hold "how many of how many" says '^ran +3 of the [0-9]+ plans that were priced, in 3 rounds$'
hold "a row each, the fastest first" eval '[ "$(grep -cE "^[^ ]+ +[0-9.]+ [num]?s +[0-9.]+ [num]?s .*% +[0-9.]+ *$" "$T/out")" -eq 3 ] && says " 1\.000 *$"'
hold "the planner's choice against the best" eval \
    'says "^planner.s choice [^ ]+: $situation, true best [^ ]+: [0-9.]+ [num]?s \(.*\); regret [0-9.]+ %, (it is the best|slower in [0-3] of 3 rounds again: (above|within) the noise)"'
hold "and over all" says '^1 situation: regret median [0-9.]+ %, worst [0-9.]+ %; within 5 % in [01], '
try "$llama" --pes 2,3 --batch 1,2 --plan single,megatron --format csv
hold "a row for each plan of each situation" same "$(column pes | sort | uniq -c | tr -s ' \n' ' ')" " 4 2 4 3 "
hold "as many cells as columns" awk -f "$here/csv.awk" "$T/out"
try "$llama" --pes 2 --top 2 --format json
hold "schema, and what was found" eval \
    'same "$(at schema)" omnibus.plan/1 && same "$(at tasks.0.run)" 2 && same "$(at tasks.0.plans.0.to_best)" 1.0 && same "$(at tasks.0.best)" "$(at tasks.0.plans.0.plan)"'
hold "a regret is no less than none" eval 'at summary.worst_regret_percent | grep -q "^[0-9]"'
try "$llama" --pes 2 --plan megatron,workflow2,attn=subheads
hold "those that are asked for" eval 'says "^ran +2 of the 2 " && says "^skipped: attn=subheads: "'
try "$gpt2/config.json" --pes 2 --plan single,megatron
hold "a config, with random weights" says '^ran +2 of the 2 '
fine plan configs/demo/bert --verify --array "$T/host.ini" --reps 1 --quiet --prompt 4 --pes 2 --top 1
hold "an encoder; one round says nothing of noise" eval 'says "^planner.s choice .* it is the best$"'

refused 2 "array 'absent': cannot open" plan "$llama" --verify --array absent
refused 2 '--verify: seed-64pe is modelled \(expected this host' plan "$llama" --verify --array seed-64pe
refused 2 '--top without --verify' plan "$llama" --top 3
refused 2 '--verify with --explain or --diff' plan "$llama" --verify --explain megatron
refused 2 'reps: ' plan "$llama" --verify --array "$T/host.ini" --reps 0
refused 2 'the model.s 256 positions' plan "$llama" --verify --array "$T/host.ini" --prompt 300
refused 2 'expected an array to vary' plan "$llama" --verify --array "$T/host.ini" --set bus.width=3
if [ ! -f configs/arrays/host.ini ]; then
    refused 2 "array 'host': cannot open.*; first run omnibus calibrate --out" plan "$llama" --verify
fi
if [ -d /proc/self ] && env --default-signal=INT true 2>/dev/null; then
    interrupt INT RSD plan "$llama" --verify --array "$T/host.ini" --pes 8 --reps 1000 --output "$T/w/result"
fi
