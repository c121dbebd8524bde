# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# Commands, options, numbers and lists: what is wrong is said in one line, with status 2.

omni
hold "status 2 and the page on stderr" eval '[ $status -eq 2 ] && silent && complains "^usage: omnibus"'
for word in --help -h help; do
    fine "$word"
    hold "the page" says '^usage: omnibus COMMAND'
    hold "every command" eval 'says "^  run " && says "^  check " && says "^  plan " && says "^  bench " && says "^  topo "'
done
fine --version
hold "a version" says '^omnibus [0-9]+\.[0-9]+\.[0-9]+$'
for command_name in run check plan bench calibrate topo; do
    fine "$command_name" --help
    hold "its options" eval 'says "^Usage: omnibus $command_name" && says " --format=F" && says "^Examples:"'
    hold "lines of at most 110 characters" eval '! says "^.{111,}"'
    fine "$command_name" -h
done
fine run --help
hold "plans and methods" eval 'says "^  megatron " && says "^  alternate " && says "^  qkv=in " && says "^  ffn=in\+out "'

# A page that fits a terminal, and a narrow one.
fits() { # COLUMNS LINES: $T/out
    [ "$(wc -l <"$T/out")" -le "$2" ] && ! grep -qE "^.{$(($1 + 1)),}" "$T/out"
}
COLUMNS=80 fine help
hold "80 columns, 24 lines with the prompt" fits 80 23
COLUMNS=40 fine help
hold "40 columns" fits 40 99
for page in "40 topo" "40 synth" "60 plan" "100 run"; do # plan's longest default is wider than 40 columns
    columns=${page% *}
    COLUMNS=$columns fine help "${page#* }"
    hold "$columns columns, but for the examples" eval 'sed "/^Examples:/,\$d" "$T/out" >"$T/page" && mv "$T/page" "$T/out" && fits $columns 999'
done
for columns in 0 1 x 99999999999999999999; do
    COLUMNS=$columns fine run --help
done
refused 2 "unknown command 'rnu' .*did you mean 'run'" help rnu
refused 2 'unexpected argument' help run check
refused 2 'unexpected argument' help run --completion

# The nearest to what was probably meant
refused 2 "unknown command 'bnech' .*did you mean 'bench'" bnech
refused 2 "did you mean --prompt-ids" run "$llama" --promt-ids 1
refused 2 "did you mean 'workflow1'" plan "$llama" --plan megatron,wrokflow1
refused 2 "unknown key 'qvk' .*did you mean 'qkv'" plan "$llama" --plan qvk=in
refused 2 "unknown key 'gruops' .*did you mean 'groups'" plan "$llama" --plan gruops=2
refused 2 "unknown value 'hedas' .*did you mean 'heads'" plan "$llama" --plan attn=hedas
refused 2 "unknown value 'both' .*expected out, in" plan "$llama" --plan qkv=both
refused 2 "unknown key 'wheels' .*expected qkv, attn, o, ffn, " plan "$llama" --plan wheels=4
refused 2 "llama-2-7: .*did you mean 'llama-2-7b'" plan llama-2-7
refused 2 "array 'segmented': .*did you mean 'segmented-256pe'" plan "$llama" --array segmented
refused 2 "unknown command 'hlep' .*did you mean 'help'" hlep
refused 2 'unknown option --hepl .*did you mean --help' topo --hepl

# A name is what is enough for the command: a checkpoint to run, a shape to plan.
fine run gpt2 --prompt-ids 1 --gen 1
hold "the demo" says '^model  gpt2: gpt2, 4 layers'
fine plan gpt2 --plan single --format json
hold "the shape" same "$(at model.layers)" 12
refused 2 'bert-base-uncased.json: not a directory .*omnibus synth' run bert-base-uncased --prompt a

refused 2 "unknown command 'chek' .*did you mean 'check'" chek
refused 2 "unknown command 'plans' .*did you mean 'plan'" plans "$llama"
refused 2 "unknown command 'frobnicate' .*expected run, check" frobnicate
refused 2 "unknown command ''" ''
refused 2 'unknown option --vers' --vers
refused 2 "unknown command 'benhc' .*did you mean 'bench'" benhc

refused 2 'no MODEL_DIR' run
refused 2 'no MODEL_DIR' check --pes 2
refused 2 'no MODEL_DIR' bench
refused 2 'no MODEL_DIR\|CONFIG.json' plan
refused 2 "unexpected argument 'more'" run "$llama" more
refused 2 "unexpected argument 'more'" topo more
refused 2 "unexpected argument ''" run ''
refused 2 'no prompt' run "$llama"

refused 2 'unknown option --gne .*did you mean --gen' run "$llama" --gne 3
refused 2 'unknown option --wheels .*see omnibus run --help' run "$llama" --wheels=4
refused 2 'unknown option -x' run "$llama" -x
refused 2 'ambiguous' run "$llama" --p 2
refused 2 'prompt-ids: not an option of check, but of run ' check "$llama" --prompt-ids 1
refused 2 'batch: not an option of run, but of plan and bench ' run "$llama" --batch 1
refused 2 'gen: no value' run "$llama" --gen
refused 2 'gen: no value' run "$llama" --gen=
refused 2 'gen: no value' run "$llama" --gen ''
refused 2 'quiet: takes no value' run "$llama" --quiet=yes
refused 2 'gen: given twice' run "$llama" --prompt-ids 1 --gen 2 --gen 2
refused 2 'quiet: given twice' run "$llama" --prompt-ids 1 --quiet --quiet
refused 2 'plan: given twice' check "$llama" --plan single --plan single
refused 2 "format: 'md'" run "$llama" --prompt-ids 1 --format md
refused 2 "format: 'JSON'" topo --format JSON
for command_name in run check bench; do
    refused 2 "unknown fabric 'ether' .*shm, null" "$command_name" "$llama" --fabric ether --quiet
    refused 2 "unknown schedule 'late' .*sliced, pairwise" "$command_name" "$llama" --schedule late --quiet
done

for number in 0 -1 +1 1e3 0x10 1.5 ' 2' 2x 99999999999999999999999 many; do
    refused 2 "gen: '$(printf %s "$number" | sed 's/[+.]/\\&/g')' .*expected a number" \
        run "$llama" --prompt-ids 1 --gen "$number"
    refused 2 'pes: ' run "$llama" --prompt-ids 1 --pes "$number"
done
refused 2 'pes: ' run "$llama" --prompt-ids 1 --pes 1,2
refused 2 'seed: ' check "$llama" --seed -1
for list in ',' '1,' ,1 1,,2 4-1 1- -3 1-2-3 0 0-3 1,x '1 2' 1-99999999999; do
    refused 2 'pes: ' check "$llama" --quiet --pes "$list"
    refused 2 'batch: ' plan "$llama" --batch "$list"
done
for list in '1,' ,1 1,,2 x 1,-2 1.5 2147483648 99999999999999999999; do
    refused 2 'prompt-ids: .*not a token id' run "$llama" --prompt-ids "$list"
done

for plan in foo megatron: :o=in qkv=x qkv foo=bar qkv=in:qkv=out megatron:megatron workflow1/ / ALL megatron,single \
    groups=0 groups=x stages=0 stages=x stack=0 stack=each chunk=0 chunk=each overlap=0 overlap=x overlap=65 wire=f8 over=x weights=x groups=1:groups=1 \
    groups=1/groups=1 wire=f16/wire=f16 replica/megatron megatron/lockstep workflow1/pipeline:stack=2; do
    refused 2 'plan' run "$llama" --prompt-ids 1 --plan "$plan"
done
refused 2 "unknown name 'megatorn' .*did you mean 'megatron'" run "$llama" --prompt-ids 1 --plan megatorn
refused 2 'empty' check "$llama" --quiet --plan megatron,
refused 2 'empty' check "$llama" --quiet --plan ,
refused 2 "unknown name 'foo'" check "$llama" --quiet --plan megatron,foo

# An error is one line, whatever is in it, and however long.
refused 2 'no\?such\?dir' run "no
such	dir" --prompt-ids 1
long=$(printf '%05000d' 0)
refused 2 '' "$long"
for option in gen pes plan prompt-ids ids-file dump format output config cpus fabric schedule "$long"; do
    refused 2 '' run "$llama" "--$option=$long"
done
refused 2 '' run "$long" --prompt-ids 1

# What comes with omnibus, from another directory than the checkout
command="omnibus plan gpt2 --array ideal, elsewhere"
(cd "$T" && timeout -k 5 120 "$program" plan gpt2 --array ideal --plan single >"$T/out" 2>"$T/err" </dev/null)
status=$?
hold "names of the checkout that it was built in" eval 'done_well && says "^single "'
