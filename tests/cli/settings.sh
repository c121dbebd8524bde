# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# Settings: what --print-config shows is read back as it was, and a result is made again from its own file.

prints_itself() { # ARGS...: print-config, read back
    fine "$@" --print-config
    mv "$T/out" "$T/first.ini"
    set -- "$1"
    fine "$1" --config "$T/first.ini" --print-config
    hold "the same settings" cmp -s "$T/first.ini" "$T/out"
}
for command_name in run check plan bench calibrate topo synth; do prints_itself $command_name; done
prints_itself run "$llama" --pes 4 --plan workflow1 --prompt-ids 1,2,3 --prompt-ids "$(seq -s , 1 400)" --stop-eos --gen 3
prints_itself run " odd; dir ;x" --ids-file '"quoted" \ and
two lines' --dump '	tab '
prints_itself plan "$llama" --array seed-64pe --set bus.width=32,64 --set pe.memory_mib=infinite --diff a,b
fine run --print-config
hold "what is not set as a comment" eval 'says "^; gen = 16" && says "^pes = 1" && ! says "^(config|print-config)"'
for file in configs/experiments/*.ini; do
    fine plan --config "$(basename "$file" .ini)" --print-config
    sed -n '/^[a-z]/p' "$file" >"$T/given"
    hold "all that is in $file" eval '! grep -vxFf "$T/out" "$T/given"'
done
refused 2 'no\.ini:2: pes: .0. .*expected a number' run "$llama" --config "$(printf '\npes = 0\n' >"$T/no.ini"; echo "$T/no.ini")"
refused 2 'model-dir: given twice' run "$llama" --model-dir "$llama"

# A result, its settings as INI, the same result
again() { # COMMAND ARGS...: the same fields from the result itself, and from an INI made of it
    again_command=$1
    fine "$@" --format json --output "$T/first.json"
    fine "$again_command" --config "$T/first.json" --output "$T/second.json"
    fine "$again_command" --config "$T/first.json" --print-config
    mv "$T/out" "$T/made.ini"
    fine "$again_command" --config "$T/made.ini" --output "$T/third.json"
    for file in first second third; do flat "$T/$file.json" | grep -E "$again_fields" >"$T/$file"; done
    hold "the result again" eval '[ -s "$T/first" ] && cmp -s "$T/first" "$T/second"'
    hold "and from its settings as INI" cmp -s "$T/first" "$T/third"
    hold "version, host and settings in it" eval \
        'flat "$T/third.json" | grep -q "^version [0-9]" && flat "$T/third.json" | grep -q "^host[.]cpu" &&
         flat "$T/third.json" | grep -q "^settings[.]format json"'
    rm -f "$T/first.json" "$T/second.json" "$T/third.json"
}
again_fields='^(plan|prompts|tokens|fabric|memory)[.]'
again run "$llama" --pes 3 --plan workflow2 --decode-plan megatron --prompt-ids "$(seq -s , 1 90)" --prompt-ids 7,8 --gen 5
again_fields='^(array|plans)[.]|[.](plan|total_ps)'
again plan "$llama" --pes 2,4 --plan megatron,workflow1:o=out --batch 1,2 --prompt 9
again plan "$llama" --array seed-64pe --set bus.width=32,64 --batch 1 --prompt 9
again_fields='^cases[.][0-9]*[.](plan|pes|max_abs|passed)'
again check "$gpt2" --pes 2 --plan megatron,groups=2
again_fields='^(plan|prompts|pooled|predictions|fabric)[.]'
again run configs/demo/bert --pes 3 --plan workflow1 --prompt 'Long live the [MASK]!' --prompt hello --token-types 0,0,0,0,1,1,1
